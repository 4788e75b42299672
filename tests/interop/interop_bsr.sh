#!/bin/bash
# SPDX-License-Identifier: MIT
# Our router as a candidate for bootstrap router and rendezvous point: FRR learns from it which RP a
# range of groups has, joins there, and forgets it when it is gone.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_pim.sh
. "$root/tests/lib/frr_pim.sh"

rp=198.18.255.1

# frr_rp_is ADDRESS : what FRR takes for the RP of 238.0.0.0/8, learned from the bootstrap router
frr_rp_is() {
	frr_says f1 'show ip pim rp-info json' \
		".\"$1\"[]? | select(.group == \"238.0.0.0/8\" and .source == \"BSR\")"
}

has_bsr() {
	frr_says f1 'show ip pim bsr json' ".bsr == \"$rp\""
}

has_no_rp() {
	! frr_rp_is "$rp"
}

two_routers_up
two_routers_start "router_id: \"$rp\", candidate_bsr: { priority: 70, period: 3 },
	candidate_rp: { priority: 10, period: 3, groups: [\"238.0.0.0/8\"] }"
check "we are the bootstrap router" wait_for 20 pim_says r1 rp ".bsr.address == \"$rp\""
check "FRR knows it" wait_for 8 has_bsr
check "and our RP" wait_for 8 frr_rp_is $rp
start_sink h2 any --interface e0 --group 238.1.1.1
check "FRR joins the shared tree at us" wait_packet wire "$(joined 238.1.1.1 $rp) &&
	ip.src == 198.18.1.2"
check "there it leads" wait_for 5 pim_says r1 joins \
	'.joins | any(.group == "238.1.1.1" and .is_rp and .branches[0].interface == "x1")'
gen src1 stream --interface s0 --group 238.1.1.1 --port 5001 --rate 200 --count 600 --ttl 9
sleep 0.2
end_sink any
echo "# of $(sent stream) sent: unique, duplicated, lost: $(got any)"
check_between "datagrams that have come, but for the first ones, which FRR's kernel may lose" \
	"$(json "$tmp/sink.any.json" .total.unique)" 550 600
check_equal "none came twice, none is missing after the first" \
	"$(json "$tmp/sink.any.json" '.total | [.duplicated, .lost] | join(" ")')" "0 0"
pim_config "x1 in0 o1" "router_id: \"$rp\", candidate_bsr: { priority: 70, period: 3 }" \
	"$(igmp_on '"o1"')" >"$tmp/r1.json5"
check "we are no RP any more" ctl r1 config load --replace --file "$tmp/r1.json5"
check "and FRR knows it" wait_for 12 has_no_rp
# FRR passes bootstrap messages on to where they came from, too, which is permitted (RFC 5059 §3.4);
# and what it prunes has no address when its RP has gone
two_routers_end "own, .address"
finish
