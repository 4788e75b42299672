# SPDX-License-Identifier: MIT
# One file, non-recursive. `make help` lists the targets. MODE=release|debug|asan|cov|fuzz selects
# flags and the object directory build/<mode>/, so that modes coexist.

MODE ?= release
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
UNITDIR ?= $(PREFIX)/lib/systemd/system
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
VERSION := 0.1.0

B := build/$(MODE)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

ifeq ($(V),1)
Q :=
say =
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

# --- flags -----------------------------------------------------------------------------------

warn := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
ifeq ($(WERROR),1)
warn += -Werror
endif

cflags.release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
ldflags.release := -pie -Wl,-z,relro,-z,now
cflags.debug := -O0 -g3
cflags.asan := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
ldflags.asan := -fsanitize=address,undefined
cflags.cov := -O0 -g --coverage
ldflags.cov := --coverage
cflags.fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ldflags.fuzz := -fsanitize=address,undefined
ifeq ($(MODE),fuzz)
CC := $(CLANG)
endif
$(if $(cflags.$(MODE)),,$(error MODE=$(MODE): release, debug, asan, cov or fuzz))

pkgs := libbpf libxdp liburing libmnl libcjson libcap-ng libseccomp
ifeq ($(filter help clean deps demo test bench bare-test uninstall,$(MAKECMDGOALS)),)
missing := $(strip $(foreach p,$(pkgs),$(shell pkg-config --exists $(p) || echo $(p))))
endif

lang := -std=gnu11 -D_GNU_SOURCE -DMCR_VERSION='"$(VERSION)"' -fno-strict-aliasing -fno-common \
	-ffile-prefix-map=$(CURDIR)=. -Iinclude -Iuserspace -I$(B)
cflags = $(lang) $(warn) $(cflags.$(MODE)) $(CPPFLAGS) $(CFLAGS)
ldflags = $(ldflags.$(MODE)) $(LDFLAGS)
bpf_flags := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Iinclude \
	-idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# --- components: every source is listed, so that a stray file does not ship --------------------

bpf.src := bpf/mcr_xdp.bpf.c
gen_bpf.src := tools/mcrgen_live.bpf.c
bench_bpf.src := tools/bench/sink.bpf.c

base.src += userspace/base/bytes.c
base.src += userspace/base/cksum.c
base.src += userspace/base/diag.c
base.src += userspace/base/hash.c
base.src += userspace/base/heap.c
base.src += userspace/base/ip4.c
base.src += userspace/base/json5.c
base.src += userspace/base/pool.c

pim_wire.own += userspace/wire/pim.c
pim_wire.own += userspace/wire/pim_assert.c
pim_wire.own += userspace/wire/pim_bsr.c
pim_wire.own += userspace/wire/pim_hello.c
pim_wire.own += userspace/wire/pim_jp.c
pim_wire.own += userspace/wire/pim_register.c

wire.src += userspace/wire/igmp.c
wire.src += userspace/wire/ip.c
wire.src += $(pim_wire.own)

igmp.src += userspace/engine/igmp.c
igmp.src += userspace/engine/igmp_access.c
igmp.src += userspace/engine/igmp_group.c
igmp.src += userspace/engine/igmp_hosts.c
igmp.src += userspace/engine/igmp_proxy.c
igmp.src += userspace/engine/igmp_querier.c
igmp.src += userspace/engine/igmp_query.c
igmp.src += userspace/engine/igmp_report.c
igmp.src += userspace/engine/igmp_show.c
igmp.src += userspace/engine/igmp_tell.c
igmp.src += userspace/engine/igmp_timing.c

pim.src += userspace/engine/pim.c
pim.src += userspace/engine/pim_assert.c
pim.src += userspace/engine/pim_bsm.c
pim.src += userspace/engine/pim_bsr.c
pim.src += userspace/engine/pim_config.c
pim.src += userspace/engine/pim_data.c
pim.src += userspace/engine/pim_down.c
pim.src += userspace/engine/pim_jp.c
pim.src += userspace/engine/pim_macro.c
pim.src += userspace/engine/pim_neighbor.c
pim.src += userspace/engine/pim_port.c
pim.src += userspace/engine/pim_register.c
pim.src += userspace/engine/pim_route.c
pim.src += userspace/engine/pim_rp.c
pim.src += userspace/engine/pim_show.c
pim.src += userspace/engine/pim_up.c

engine.src += $(igmp.src)
engine.src += $(pim.src)
engine.src += userspace/engine/action.c
engine.src += userspace/engine/datapath.c
engine.src += userspace/engine/doctor.c
engine.src += userspace/engine/explain.c
engine.src += userspace/engine/mrib.c
engine.src += userspace/engine/mrib_rule.c
engine.src += userspace/engine/resolve.c
engine.src += userspace/engine/rpf.c
engine.src += userspace/engine/rule.c

edge.src += userspace/edge/buffer.c
edge.src += userspace/edge/ctlsock.c
edge.src += userspace/edge/ethtool.c
edge.src += userspace/edge/igmpsock.c
edge.src += userspace/edge/ipsend.c
edge.src += userspace/edge/lock.c
edge.src += userspace/edge/log.c
edge.src += userspace/edge/loop.c
edge.src += userspace/edge/membership.c
edge.src += userspace/edge/netdev.c
edge.src += userspace/edge/netif.c
edge.src += userspace/edge/nexthop.c
edge.src += userspace/edge/notify.c
edge.src += userspace/edge/offload.c
edge.src += userspace/edge/pimsock.c
edge.src += userspace/edge/probe.c
edge.src += userspace/edge/route.c
edge.src += userspace/edge/routestore.c
edge.src += userspace/edge/rtnl.c
edge.src += userspace/edge/sandbox.c
edge.src += userspace/edge/sock.c
edge.src += userspace/edge/spawn.c
edge.src += userspace/edge/statefile.c
edge.src += userspace/edge/sysctl.c

plane.src += userspace/plane/plane_inherit.c
plane.src += userspace/plane/plane_link.c
plane.src += userspace/plane/plane_load.c
plane.src += userspace/plane/plane_punts.c
plane.src += userspace/plane/plane_rules.c
plane.src += userspace/plane/plane_sets.c
plane.src += userspace/plane/plane_stats.c

worker.src += userspace/worker/batch.c
worker.src += userspace/worker/egress.c
worker.src += userspace/worker/frame.c
worker.src += userspace/worker/header.c
worker.src += userspace/worker/ingress.c
worker.src += userspace/worker/ingress_afpacket.c
worker.src += userspace/worker/ingress_afxdp.c
worker.src += userspace/worker/spin.c
worker.src += userspace/worker/stock.c
worker.src += userspace/worker/table.c
worker.src += userspace/worker/worker.c

config.src += userspace/daemon/config.c
config.src += userspace/daemon/config_igmp.c
config.src += userspace/daemon/config_igmp_read.c
config.src += userspace/daemon/config_igmp_settings.c
config.src += userspace/daemon/config_igmp_show.c
config.src += userspace/daemon/config_pim.c
config.src += userspace/daemon/config_pim_read.c
config.src += userspace/daemon/config_mroute.c
config.src += userspace/daemon/config_read.c
config.src += userspace/daemon/config_rule.c
config.src += userspace/daemon/config_show.c
config.src += userspace/daemon/config_value.c

daemon.src += $(config.src)
daemon.src += userspace/daemon/accounting.c
daemon.src += userspace/daemon/apply.c
daemon.src += userspace/daemon/commands.c
daemon.src += userspace/daemon/commands_config.c
daemon.src += userspace/daemon/commands_list.c
daemon.src += userspace/daemon/commands_pim.c
daemon.src += userspace/daemon/commands_mroute.c
daemon.src += userspace/daemon/commands_router.c
daemon.src += userspace/daemon/datapaths.c
daemon.src += userspace/daemon/doctor.c
daemon.src += userspace/daemon/explain.c
daemon.src += userspace/daemon/explain_router.c
daemon.src += userspace/daemon/main.c
daemon.src += userspace/daemon/merging.c
daemon.src += userspace/daemon/ports.c
daemon.src += userspace/daemon/request.c
daemon.src += userspace/daemon/router.c
daemon.src += userspace/daemon/router_host.c
daemon.src += userspace/daemon/router_data.c
daemon.src += userspace/daemon/router_igmp.c
daemon.src += userspace/daemon/router_mroute.c
daemon.src += userspace/daemon/router_pim.c
daemon.src += userspace/daemon/router_pim_route.c
daemon.src += userspace/daemon/router_remember.c
daemon.src += userspace/daemon/router_static.c
daemon.src += userspace/daemon/rows.c
daemon.src += userspace/daemon/settle.c
daemon.src += userspace/daemon/show.c
daemon.src += userspace/daemon/show_pim.c
daemon.src += userspace/daemon/show_router.c
daemon.src += userspace/daemon/show_trace.c
daemon.src += userspace/daemon/sockets.c
daemon.src += userspace/daemon/supervisor.c

mcrd.src := $(daemon.src) $(worker.src) $(plane.src) $(edge.src) $(engine.src) $(wire.src) \
	$(base.src)

client.src += userspace/ctl/client.c
ctl.src += userspace/ctl/args.c
ctl.src += userspace/ctl/cmd_config.c
ctl.src += userspace/ctl/cmd_doctor.c
ctl.src += userspace/ctl/cmd_explain.c
ctl.src += userspace/ctl/cmd_igmp.c
ctl.src += userspace/ctl/cmd_look.c
ctl.src += userspace/ctl/cmd_mroute.c
ctl.src += userspace/ctl/cmd_pim.c
ctl.src += userspace/ctl/cmd_rule.c
ctl.src += userspace/ctl/cmd_stats.c
ctl.src += userspace/ctl/exchange.c
ctl.src += userspace/ctl/help.c
ctl.src += userspace/ctl/main.c
ctl.src += userspace/ctl/outputs.c
ctl.src += userspace/ctl/rules.c
ctl.src += userspace/ctl/table.c
ctl.src += userspace/ctl/values.c

mcrgen.src += tools/mcrgen.c
mcrgen.src += tools/mcrgen_frame.c
mcrgen.src += tools/mcrgen_live.c
mcrgen.src += tools/mcrgen_packet.c
mcrgen.src += tools/mcrgen_report.c
mcrgen.src += tools/mcrgen_udp.c
mcrgen.src += tools/options.c
mcrsink.src += tools/mcrsink.c
mcrsink.src += tools/mcrsink_flow.c
mcrsink.src += tools/mcrsink_join.c
mcrsink.src += tools/mcrsink_latency.c
mcrsink.src += tools/mcrsink_packet.c
mcrsink.src += tools/mcrsink_report.c
mcrsink.src += tools/mcrsink_udp.c
mcrsink.src += tools/options.c

bench.src += tools/bench/mmsg.c
bench.src += tools/bench/sink.c

obj = $(patsubst %.c,$(B)/%.o,$(1))
bins := $(addprefix $(B)/bin/,mcrd mcrctl mcrgen mcrsink)

# --- targets -----------------------------------------------------------------------------------

.PHONY: all
all: $(bins) $(B)/lib/libmcr.a ## build everything (MODE=…, V=1 shows commands)

$(B)/bin/mcrd: $(call obj,$(mcrd.src))
$(B)/bin/mcrd: libs = -lbpf -luring -lmnl -lcjson -lcap-ng -lseccomp -lpthread
$(B)/bin/mcrctl: $(call obj,$(ctl.src) $(base.src)) $(B)/lib/libmcr.a
$(B)/bin/mcrctl: libs = -lcjson -lm
$(B)/bin/mcrgen: $(call obj,$(mcrgen.src) $(base.src))
$(B)/bin/mcrgen: libs = -lbpf -lcjson -lm
$(B)/bin/mcrsink: $(call obj,$(mcrsink.src) $(base.src))
$(B)/bin/mcrsink: libs = -lcjson -lm

$(B)/bin/%:
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -o $@ $(filter %.o %.a,$^) $(ldflags) $(libs)

$(B)/lib/libmcr.a: $(call obj,$(client.src))
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c | need-libs
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) $(cflags.$*) -MMD -MP -c -o $@ $<

$(B)/%.bpf.o: %.bpf.c | need-libs
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf_flags) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*) > $@.tmp && mv $@.tmp $@

$(call obj,$(plane.src)): $(patsubst %.bpf.c,$(B)/%.skel.h,$(bpf.src))
$(call obj,tools/mcrgen_live.c): $(patsubst %.bpf.c,$(B)/%.skel.h,$(gen_bpf.src))

.PHONY: need-libs
need-libs:
ifneq ($(missing),)
	@echo "missing libraries: $(missing)"
	@echo "on Debian 12, as root: make deps; elsewhere install what tools/deps lists"
	@exit 1
endif

# --- unit tests --------------------------------------------------------------------------------
# unit.<name>: what tests/unit/test_<name>.c is linked with, and nothing else; unit_libs.<name>:
# libraries besides cmocka.

unit.action := userspace/engine/action.c userspace/base/bytes.c
unit.batch := userspace/worker/batch.c
unit.bytes := userspace/base/bytes.c
unit.cksum := userspace/base/cksum.c
unit.classify :=
unit.client := userspace/ctl/client.c
config_test.src := $(config.src) userspace/engine/pim_config.c userspace/engine/rule.c \
	userspace/base/diag.c userspace/base/ip4.c userspace/base/json5.c
unit.config := $(config_test.src)
unit_libs.config := -lcjson
unit.config_igmp := $(config_test.src)
unit_libs.config_igmp := -lcjson
unit.ctlsock := userspace/edge/buffer.c userspace/edge/ctlsock.c userspace/edge/loop.c \
	userspace/base/diag.c
unit.datapath := userspace/engine/datapath.c
unit.diag := userspace/base/diag.c
unit.doctor := userspace/engine/doctor.c
unit.egress := userspace/worker/egress.c userspace/worker/batch.c userspace/worker/frame.c \
	userspace/worker/header.c userspace/base/cksum.c userspace/daemon/sockets.c
unit_libs.egress := -luring
unit.explain := userspace/engine/explain.c userspace/engine/mrib.c userspace/engine/rpf.c \
	userspace/base/pool.c userspace/base/hash.c userspace/base/ip4.c
unit.frame := userspace/worker/frame.c userspace/base/cksum.c
unit.header := userspace/worker/header.c userspace/worker/frame.c userspace/base/cksum.c
igmp_test.src := $(igmp.src) userspace/engine/action.c userspace/wire/igmp.c \
	userspace/base/bytes.c userspace/base/cksum.c userspace/base/hash.c \
	userspace/base/heap.c userspace/base/ip4.c userspace/base/pool.c
unit.igmp := $(igmp_test.src)
unit.igmp_policy := $(igmp_test.src)
unit.igmp_table := $(igmp_test.src)
unit.igmp_wire := userspace/wire/igmp.c userspace/wire/ip.c userspace/base/bytes.c \
	userspace/base/cksum.c userspace/base/ip4.c
unit.ip4 := userspace/base/ip4.c
unit.json5 := userspace/base/json5.c userspace/base/diag.c
unit.lock := userspace/edge/lock.c userspace/base/diag.c
unit.log := userspace/edge/log.c
unit.loop := userspace/edge/loop.c
unit.membership := userspace/edge/membership.c userspace/edge/notify.c userspace/edge/sysctl.c \
	userspace/base/ip4.c
unit.mrib := userspace/engine/mrib.c userspace/engine/mrib_rule.c userspace/engine/rule.c \
	userspace/base/diag.c userspace/base/pool.c userspace/base/hash.c userspace/base/ip4.c
unit.netif := userspace/edge/netif.c userspace/edge/rtnl.c userspace/edge/ethtool.c \
	userspace/edge/netdev.c userspace/edge/loop.c userspace/edge/log.c userspace/base/ip4.c
unit_libs.netif := -lmnl
unit.notify := userspace/edge/notify.c
unit.offload := userspace/edge/offload.c userspace/edge/loop.c
unit_libs.offload := -lpthread
unit.payload :=
pim_wire.src := $(pim_wire.own) userspace/base/bytes.c \
	userspace/base/cksum.c userspace/base/ip4.c
pim_engine.src := $(pim.src) userspace/engine/action.c $(pim_wire.src) userspace/base/hash.c \
	userspace/base/heap.c userspace/base/pool.c
unit.pim_assert := $(pim_engine.src)
unit.pim_bsr := $(pim_engine.src)
unit.pim_hello := $(pim_engine.src)
unit.pim_register := $(pim_engine.src)
unit.pim_tree := $(pim_engine.src)
unit.pim_wire := $(pim_wire.src)
unit.pool := userspace/base/pool.c userspace/base/hash.c userspace/base/heap.c
unit.portset :=
unit.resolve := userspace/engine/resolve.c userspace/base/ip4.c
unit.route := userspace/edge/route.c userspace/edge/routestore.c userspace/edge/nexthop.c \
	userspace/edge/rtnl.c userspace/edge/loop.c userspace/edge/log.c userspace/base/hash.c \
	userspace/base/pool.c
unit_libs.route := -lmnl
unit.routestore := userspace/edge/routestore.c userspace/edge/nexthop.c userspace/base/hash.c \
	userspace/base/pool.c
unit.rewrite := userspace/worker/header.c userspace/worker/frame.c userspace/base/cksum.c
unit.rows := userspace/daemon/rows.c userspace/base/diag.c
unit.rpf := userspace/engine/rpf.c userspace/base/pool.c userspace/base/hash.c userspace/base/ip4.c
unit.rule := userspace/engine/rule.c userspace/base/diag.c userspace/base/ip4.c
unit.sandbox := userspace/edge/sandbox.c userspace/base/diag.c
unit_libs.sandbox := -lcap-ng -lseccomp
unit.spawn := userspace/edge/spawn.c
unit.spin := userspace/worker/spin.c
unit.statefile := userspace/edge/statefile.c userspace/base/diag.c userspace/base/cksum.c
unit.stock := userspace/worker/stock.c
unit.table := userspace/worker/table.c

unit_names := $(sort $(patsubst unit.%,%,$(filter unit.%,$(.VARIABLES))))
unit_bins := $(addprefix $(B)/tests/,$(unit_names))

define unit_rule
$(B)/tests/$(1): $(call obj,tests/unit/test_$(1).c $(unit.$(1)))
$(B)/tests/$(1): libs = -lcmocka $(unit_libs.$(1))
endef
$(foreach t,$(unit_names),$(eval $(call unit_rule,$(t))))

$(unit_bins): $(B)/tests/%:
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -o $@ $(filter %.o %.a,$^) $(ldflags) $(libs)

.PHONY: unit
unit: $(unit_bins) ## build and run the unit tests (MODE=asan: under the sanitizers)
	$(Q)tests/run $(unit_bins)

# --- simulations -------------------------------------------------------------------------------
# sim.<name>: what tests/sim/sim_<name>.c is linked with.

sim.igmp := $(igmp_test.src)
sim.pim_bsr := $(pim_engine.src)
sim.pim_chain := $(pim_engine.src)
sim.pim_lan := $(pim_engine.src)
sim.pim_ring := $(pim_engine.src)

sim_names := $(sort $(patsubst sim.%,%,$(filter sim.%,$(.VARIABLES))))
sim_bins := $(addprefix $(B)/tests/sim/,$(sim_names))

define sim_rule
$(B)/tests/sim/$(1): $(call obj,tests/sim/sim_$(1).c $(sim.$(1)))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(cflags) -o $$@ $$(filter %.o,$$^) $$(ldflags) -lcmocka
endef
$(foreach t,$(sim_names),$(eval $(call sim_rule,$(t))))

.PHONY: sim
sim: $(sim_bins) ## protocols on a virtual clock, over links that lose, double and delay
	$(Q)tests/run $(sim_bins)

# What a protocol costs: prints figures, judges nothing.
$(B)/tests/sim/cost_igmp: $(call obj,tests/sim/cost_igmp.c $(igmp_test.src))
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -o $@ $^ $(ldflags)

.PHONY: cost
cost: $(B)/tests/sim/cost_igmp ## what a report costs, with 10,000 groups
	$(Q)$<

# --- fuzz --------------------------------------------------------------------------------------
# fuzz.<name>: what tests/fuzz/fuzz_<name>.c is linked with. New inputs go to build/fuzz/corpus.

FUZZ_SECONDS ?= 30

fuzz.config := $(config_test.src)
fuzz_libs.config := -lcjson
fuzz.frame := userspace/worker/frame.c userspace/worker/header.c userspace/base/cksum.c
fuzz.igmp := userspace/wire/igmp.c userspace/wire/ip.c userspace/base/bytes.c \
	userspace/base/cksum.c
fuzz.igmp_engine := $(igmp_test.src)
fuzz.json5 := userspace/base/json5.c userspace/base/diag.c
fuzz.pim := $(pim_engine.src)
fuzz.pim_wire := $(pim_wire.src)

fuzz_names := $(sort $(patsubst fuzz.%,%,$(filter fuzz.%,$(.VARIABLES))))

define fuzz_rule
$(B)/bin/fuzz_$(1): $(call obj,tests/fuzz/fuzz_$(1).c $(fuzz.$(1)))
$(B)/bin/fuzz_$(1): libs = -fsanitize=fuzzer $(fuzz_libs.$(1))
endef
$(foreach t,$(fuzz_names),$(eval $(call fuzz_rule,$(t))))

.PHONY: fuzz
ifeq ($(MODE),fuzz)
fuzz: $(addprefix $(B)/bin/fuzz_,$(fuzz_names))
	$(Q)tests/lib/run_fuzz $(FUZZ_SECONDS) $^
else
fuzz: ## run each fuzz target for FUZZ_SECONDS (30)
	$(Q)$(MAKE) MODE=fuzz fuzz
endif

# --- bpf tests: as root; each makes its own namespaces, and 77 means that it cannot run here -----

bpf_tests := test_inherit test_plane test_replicate test_xdp
bpf_test.bin := $(addprefix $(B)/tests/bpf/,$(bpf_tests))

$(bpf_test.bin): %: %.o $(call obj,$(plane.src) userspace/base/diag.c)
	$(call say,LD,$@)
	$(Q)$(CC) $(cflags) -o $@ $^ $(ldflags) -lcmocka -lbpf

$(addsuffix .o,$(bpf_test.bin)): $(patsubst %.bpf.c,$(B)/%.skel.h,$(bpf.src))

.PHONY: bpf-tests
bpf-tests: $(bpf_test.bin) ## run the tests of the BPF programs and of plane/ (root)
	$(Q)tests/run $^

# --- test helpers ------------------------------------------------------------------------------
# Programs that tests run: tests/lib/<name>.c, linked with libmcr.

helpers := ask broken flood gaps garbage inject joins kill_worker
helper.bin := $(addprefix $(B)/tests/lib/,$(helpers))

$(helper.bin): %: %.o $(B)/lib/libmcr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(cflags) -o $@ $^ $(ldflags) -lcjson -lpthread

# mcrd as a later version of it would be, for tests that replace the one by the other.
next.src := $(addprefix userspace/daemon/,commands.c main.c show.c)
next.obj := $(patsubst %.c,$(B)/next/%.o,$(next.src))

$(next.obj): $(B)/next/%.o: %.c | need-libs
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -UMCR_VERSION -DMCR_VERSION='"$(VERSION)-next"' -MMD -MP -c -o $@ $<

$(B)/next/mcrd: $(next.obj) $(call obj,$(filter-out $(next.src),$(mcrd.src)))
	$(call say,LD,$@)
	$(Q)$(CC) $(cflags) -o $@ $(filter %.o,$^) $(ldflags) -lbpf -luring -lmnl -lcjson -lcap-ng \
		-lseccomp -lpthread

test-programs: test-helpers

.PHONY: test-helpers
test-helpers: $(helper.bin) $(B)/next/mcrd ## the programs that tests in namespaces run

# --- test --------------------------------------------------------------------------------------
# What takes packages looks for them first, so that these work on a system that has only make.

golden_tests := $(sort $(wildcard tests/golden/*/run.sh))
net_tests := $(sort $(wildcard tests/net/*.sh))
fault_tests := $(sort $(wildcard tests/fault/*.sh))
interop_tests := $(sort $(wildcard tests/interop/*.sh))
jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps
deps: ## install the packages that are missing (Debian 12 or newer, root), or name them
	$(Q)tools/deps

.PHONY: demo
demo: ## video and 100,000 packets a second through a relay, watched (root)
	$(Q)tools/deps build demo
	$(Q)$(MAKE) --no-print-directory $(jobs) all
	$(Q)MODE=$(MODE) tools/demo

.PHONY: test
test: ## run all tests (root)
	$(Q)tools/deps build test
	$(Q)$(MAKE) --no-print-directory $(jobs) test-programs
	$(Q)MODE=$(MODE) tests/run $(unit_bins) $(sim_bins) $(bpf_test.bin) $(golden_tests) \
		$(net_tests) $(fault_tests) $(interop_tests)

# The benchmark measures, which is not for slow builds.
.PHONY: net-tests
net-tests: all test-helpers ## the tests in namespaces alone (MODE=asan: with less load; root)
	$(Q)MODE=$(MODE) tests/run $(fault_tests) $(interop_tests) \
		$(filter-out $(if $(filter release,$(MODE)),,tests/net/net_bench.sh),$(net_tests))

.PHONY: test-programs
test-programs: all $(unit_bins) $(sim_bins) $(bpf_test.bin) bench-programs

.PHONY: bare-test
bare-test: ## make demo and make test in a new, bare Debian 12 (root, debootstrap)
	$(Q)tests/bare/run

# --- benchmarks --------------------------------------------------------------------------------
# docs/benchmarks.md. BENCH=full takes the whole matrix, BENCH_ONLY a part of it.

BENCH ?= quick

bench.bin := $(addprefix $(B)/bench/,micro mmsg sink)
bench.obj := $(B)/tools/bench/drop.bpf.o

$(B)/bench/micro: $(call obj,tests/bench/micro.c userspace/base/cksum.c userspace/base/diag.c) \
	$(call obj,$(addprefix userspace/worker/,batch.c frame.c header.c stock.c table.c))
$(B)/bench/mmsg: $(call obj,tools/bench/mmsg.c)
$(B)/bench/sink: $(call obj,tools/bench/sink.c)
$(B)/bench/sink: libs = -lbpf
$(call obj,tools/bench/sink.c): $(patsubst %.bpf.c,$(B)/%.skel.h,$(bench_bpf.src))

$(bench.bin):
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -o $@ $(filter %.o,$^) $(ldflags) $(libs)

.PHONY: bench
bench: ## relays measured against each other (root; BENCH=full: for hours, all of it)
	$(Q)tools/deps build bench
	$(Q)$(MAKE) --no-print-directory $(jobs) bench-programs
	$(Q)MODE=$(MODE) tools/bench/run $(BENCH)
	$(Q)tools/bench/report

.PHONY: bench-programs
bench-programs: all $(bench.bin) $(bench.obj)

# --- checks ------------------------------------------------------------------------------------

product.src := $(sort $(mcrd.src) $(client.src) $(ctl.src) $(mcrgen.src) $(mcrsink.src) \
	$(bench.src))

.PHONY: check
check: check-layers check-style lint check-docs ## all checks of sources and documents (root)

.PHONY: check-layers
check-layers: $(call obj,$(product.src)) ## includes, purity, callers
	$(Q)tools/check-layers $(call obj,$(product.src))

.PHONY: check-style
check-style: ## format, lengths, licences, shell scripts
	$(Q)tools/check-style

# clang-tidy looks again at what has been compiled anew. cppcheck 2.10 is wrong about what is
# suppressed: it follows neither pointers in initializers nor conditions of loops, takes a missing
# diag for one that is dereferenced, and wants tools to free what they need until they end.
cppcheck := cppcheck --quiet --std=c11 --error-exitcode=1 --enable=warning,performance,portability \
	--suppress=uninitvar --suppress=nullPointerRedundantCheck --suppress=ctunullpointer \
	--suppress=invalidPrintfArgType_uint --suppress='memleak:tools/*' --suppress='*:$(B)/*' \
	-D'LIBBPF_OPTS(type,name,...)=struct type name' \
	-D'cJSON_ArrayForEach(item,list)=while ((item = (list)->child))' \
	-D_GNU_SOURCE -Iinclude -Iuserspace -I$(B)

.PHONY: lint
lint: $(patsubst %.c,$(B)/%.tidy,$(product.src)) ## clang-tidy and cppcheck
	$(call say,LINT,cppcheck)
	$(Q)$(cppcheck) $(product.src)

$(B)/%.tidy: %.c $(B)/%.o .clang-tidy
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- $(lang) >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@

# --- mcrctl, installation and documents against the programs --------------------------------------

.PHONY: golden
golden: $(B)/bin/mcrd $(B)/bin/mcrctl $(B)/lib/libmcr.a ## mcrctl, install and uninstall
	$(Q)tests/run $(golden_tests)

.PHONY: check-docs
check-docs: all ## run every command in the documents (root)
	@tools/check-docs

# --- install -----------------------------------------------------------------------------------
# What is written, and which directories had to be made, is recorded in installed_record, and
# uninstall goes by that. DESTDIR is honoured.

DOCDIR ?= $(PREFIX)/share/doc/mcr
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
installed_record = $(DOCDIR)/installed

# Texts that name the places where things are installed.
filled := $(addprefix $(B)/filled/,mcr.pc mcrd.service mcrctl.8 mcrd.8 mcrd.conf.5)
$(B)/filled/mcr.pc: tools/mcr.pc.in
$(B)/filled/mcrd.service: tools/systemd/mcrd.service
$(B)/filled/mcrctl.8: docs/man/mcrctl.8
$(B)/filled/mcrd.8: docs/man/mcrd.8
$(B)/filled/mcrd.conf.5: docs/man/mcrd.conf.5
# Made anew each time, because the places may be others than the last time.
.PHONY: $(filled)
$(filled):
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@SBINDIR@|$(SBINDIR)|; s|@DOCDIR@|$(DOCDIR)|; s|@VERSION@|$(VERSION)|' $< > $@

# mode:what:where
install_list = \
	0755:$(B)/bin/mcrd:$(SBINDIR)/mcrd \
	0755:$(B)/bin/mcrctl:$(BINDIR)/mcrctl \
	0644:$(B)/lib/libmcr.a:$(LIBDIR)/libmcr.a \
	0644:include/mcr/abi.h:$(INCLUDEDIR)/mcr/abi.h \
	0644:include/mcr/client.h:$(INCLUDEDIR)/mcr/client.h \
	0644:$(B)/filled/mcr.pc:$(PKGCONFIGDIR)/mcr.pc \
	0644:$(B)/filled/mcrctl.8:$(MANDIR)/man8/mcrctl.8 \
	0644:$(B)/filled/mcrd.8:$(MANDIR)/man8/mcrd.8 \
	0644:$(B)/filled/mcrd.conf.5:$(MANDIR)/man5/mcrd.conf.5 \
	0644:tools/completion/mcrctl.bash:$(COMPLETIONDIR)/mcrctl \
	0644:$(B)/filled/mcrd.service:$(UNITDIR)/mcrd.service \
	0644:tools/systemd/mcr-sysusers.conf:$(SYSUSERSDIR)/mcr.conf \
	0644:tools/systemd/mcr-tmpfiles.conf:$(TMPFILESDIR)/mcr.conf \
	0644:docs/examples/mcrd.json5:$(DOCDIR)/mcrd.json5

.PHONY: install
install: $(B)/bin/mcrd $(B)/bin/mcrctl $(B)/lib/libmcr.a $(filled) ## install under PREFIX (DESTDIR)
	$(Q)tools/install add "$(DESTDIR)" "$(installed_record)" $(install_list)

.PHONY: uninstall
uninstall: ## remove exactly what install wrote
	$(Q)tools/install remove "$(DESTDIR)" "$(installed_record)"

.PHONY: clean
clean: ## remove build/
	$(Q)rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

-include $(shell find build/$(MODE) -name '*.d' 2>/dev/null)
