#!/bin/bash
# SPDX-License-Identifier: MIT
# IGMP beside a router of FRR on one LAN: only the one with the lower address asks, the other one
# takes over when it is gone, in v3 and in v2. A receiver gets all that is sent to it, all the time.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_igmp.sh
. "$root/tests/lib/frr_igmp.sh"

# move ADDRESS : ours
move() {
	on r1 ip addr add "$1/24" dev o1
	on r1 ip addr del "$ours/24" dev o1
	ours=$1
}

# election VERSION : ours is lower, then the other one is, then that one is silent
election() {
	local since
	label="v$1: "
	ours=198.18.1.10
	config "$1" >"$tmp/r1.json5"
	[ "$1" = 3 ] || on h1 sysctl -qw net.ipv4.conf.e0.force_igmp_version=2
	start_capture h1 wire e0 igmp
	frr_start "$1"
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	check "the lower address asks" wait_for 5 frr_querier_is other
	check "and knows it" is_querier true
	receiving 10
	since=$(now)
	check "it goes on asking" wait_for 6 has_asked "$ours" "$since"
	check_equal "the other one is silent" "$(queries 198.18.1.20 "$since")" ""
	move 198.18.1.40
	check "as the higher address it gives way" wait_for 8 is_querier false
	check_equal "to whom" "$(interface .querier)" 198.18.1.20
	check "whom the other one takes itself for" wait_for 8 frr_querier_is local
	since=$(now)
	check "which asks" wait_for 6 has_asked 198.18.1.20 "$since"
	check_equal "while ours is silent" "$(queries "$ours" "$since")" ""
	on lan ip link set p2 down
	check "when it falls silent, ours takes over" wait_for 8 is_querier true
	on lan ip link set p2 up
	check "and gives way again" wait_for 8 is_querier false
	check "what the host wants stays known" has_our_group
	received
	check_equal "no version but this one was spoken" "$(queries "$ours" | sort -u)" "$1"
	# FRR's host reports the groups of its protocols, and in v3 until it has heard an older query
	check_equal "nothing was refused but what is not routed, and other versions" \
		"$(interface '.drops | del(.group, .version) | map_values(select(. > 0)) | tojson')" "{}"
	stop 198.18.1.10 198.18.1.40
	move 198.18.1.10
}

lan_up
for version in ${VERSIONS:-3 2}; do
	election "$version"
done
finish
