#!/bin/bash
# SPDX-License-Identifier: MIT
# Source-specific multicast through our router and one of FRR, both ways at once: joins and prunes
# go at once where they have to, a source that was not asked for does not come, no shared tree and no
# Register appears.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_pim.sh
. "$root/tests/lib/frr_pim.sh"

# through NAME SOURCE-NODE SOURCE HOST ROUTER-ADDRESS : with another source beside, which is not
# wanted, and then is
through() {
	local source=$3 other=${3%.*}.9 since left
	label="$1: "
	since=$(now)
	start_sink "$4" ssm --interface e0 --group 232.1.1.1 --source "$source"
	check_ms "from the report to the Join" "$4" "igmp.record_type && igmp.maddr == 232.1.1.1" \
		wire "$(joined 232.1.1.1 "$source")" 1000 "$since"
	check "both routers have the route" wait_for 5 "has_both_$4" "$source"
	gen "$2" one --interface s0 --group 232.1.1.1 --port 5001 --count 1000 --rate 2000 --ttl 9 \
		--mode packet --source "$source" --checksum full
	gen "$2" two --interface s0 --group 232.1.1.1 --port 5001 --count 100 --rate 2000 --ttl 9 \
		--mode packet --source "$other" --checksum full --first-flow 7
	sleep 0.2
	left=$(now)
	end_sink ssm
	check_equal "all of the source comes, and nothing of another one" "$(got ssm)" "1000 0 0"
	check_ms "from the leave to a query for group and source" "$4" \
		"igmp.record_type && igmp.maddr == 232.1.1.1" "$4" \
		"igmp.type == 0x11 && igmp.maddr == 232.1.1.1 && igmp.num_src == 1" 1000 "$left"
	# the last member query time is 2 × 0.5 s
	check_ms "from the leave to the Prune" "$4" "igmp.record_type && igmp.maddr == 232.1.1.1" \
		wire "$(pruned 232.1.1.1 "$source")" 2200 "$left"
	start_sink "$4" ssm --interface e0 --group 232.1.1.1 --source "$other"
	check "the other source is wanted now" wait_for 5 "has_both_$4" "$other"
	gen "$2" two --interface s0 --group 232.1.1.1 --port 5001 --count 500 --rate 2000 --ttl 9 \
		--mode packet --source "$other" --checksum full --first-flow 8
	sleep 0.2
	end_sink ssm
	check_equal "and comes" "$(got ssm)" "500 0 0"
}

no_route_is_left() {
	[ "$(ctl r1 --output json mroute | jq ".routes | length")" = 0 ]
}

has_both_h1() {
	has_route 232.1.1.1 "$1" o1 && frr_has_route f1 232.1.1.1 "$1" x0
}

has_both_h2() {
	has_route 232.1.1.1 "$1" x1 && frr_has_route f1 232.1.1.1 "$1" o1
}

no_route_is_left() {
	[ "$(ctl r1 --output json mroute | jq '.routes | length')" = 0 ]
}

two_routers_up
two_routers_start ""
through "from ours to FRR's host" src1 198.18.10.1 h2
through "from FRR to our host" src2 198.18.20.1 h1
label=""
check "no route is left" wait_for 6 no_route_is_left
two_routers_end none
check_none "no shared tree and no Register was seen" wire \
	"pim.type == 1 || pim.type == 2 || pim.source_addr.flags.w == 1"
finish
