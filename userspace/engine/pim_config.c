/* SPDX-License-Identifier: MIT */
/* What a configuration of PIM begins with, which those who only read one need as well. */
#include "engine/pim_config.h"

#include "base/portset.h"
#include "wire/pim.h"

void pim_config_default(struct pim_config *c)
{
	*c = (struct pim_config){
		.ports = PORTS_MAX,
		.neighbors = 1024,
		.neighbors_per_port = 64,
		.routes = 65536,
		.branches = 131072,
		.bsr_rps = 256,
		.seed = 1,
		.triggered_hello_ms = 5000,
		.jp_period_ms = 60000,
		.keepalive_ms = 210000,
		.register_suppression_ms = 60000,
		.register_probe_ms = 5000,
		.assert_ms = 180000,
		.assert_override_ms = 3000,
		.registers_per_source = 1000,
		.registers = 10000,
		.n_ssm = 1,
		.bsr_period_ms = 60000,
		.crp_period_ms = 60000,
		.candidate_bsr = { .priority = 64, .hash_mask = PIM_HASH_MASK },
		.candidate_rp = { .priority = 192 },
	};
	c->ssm[0] = (struct ip4_prefix){ ip4_from_host(0xe8000000), 8 };
}

void pim_port_config_default(struct pim_port_config *c)
{
	*c = (struct pim_port_config){
		.is_enabled = true,
		.dr_priority = 1,
		.hello_ms = 30000,
		.propagation_ms = 500,
		.override_ms = 2500,
	};
}
