#!/bin/bash
# SPDX-License-Identifier: MIT
# Our router as the last hop: a host of IGMPv2 joins, our Join goes to FRR, which is the rendezvous
# point and the source's first hop, and the source's own tree is joined with the first datagram.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_pim.sh
. "$root/tests/lib/frr_pim.sh"

rp=198.18.255.2

frr_has_pruned() {
	! frr_has_route f1 239.1.1.1 198.18.20.1 x0
}

two_routers_up
two_routers_start "static_rp: [{ group: \"239.0.0.0/8\", rp: \"$rp\" }]"
frr_set f1 "ip pim rp $rp 239.0.0.0/8"
on h1 sysctl -qw net.ipv4.conf.e0.force_igmp_version=2
since=$(now)
start_sink h1 any --interface e0 --group 239.1.1.1
check_ms "from the report to the Join of the shared tree" h1 "igmp.type == 0x16 && igmp.maddr == 239.1.1.1" \
	wire "$(joined 239.1.1.1 $rp) && pim.source_addr.flags.w == 1 && pim.source_addr.flags.r == 1" \
	1000 "$since"
check "FRR has our interface in its shared tree" wait_for 5 frr_has_route f1 239.1.1.1 "*" x0
gen_start src2 stream --interface s0 --group 239.1.1.1 --port 5001 --rate 100 --duration 6 --ttl 9
check "the source's tree is joined" wait_packet wire "$(joined 239.1.1.1 198.18.20.1) &&
	ip.src == 198.18.1.1"
check "and its route is in force" wait_for 5 has_route 239.1.1.1 198.18.20.1 o1
gen_wait stream
sleep 0.2
left=$(now)
end_sink any
check_between "datagrams that have come, but for those before the tree was there" \
	"$(json "$tmp/sink.any.json" .total.unique)" $(($(sent stream) - 20)) "$(sent stream)"
check_equal "none came twice" "$(json "$tmp/sink.any.json" .total.duplicated)" 0
echo "# of $(sent stream) sent: unique, duplicated, lost: $(got any)"
check_ms "from the leave to the Prune of the shared tree" h1 "igmp.type == 0x17" \
	wire "$(pruned 239.1.1.1 $rp)" 2200 "$left"
check "FRR forwards no more" wait_for 5 frr_has_pruned
two_routers_end none
check_none "no Register was sent by us" wire "pim.type == 1"
finish
