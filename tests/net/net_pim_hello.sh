#!/bin/bash
# SPDX-License-Identifier: MIT
# PIM routers on a LAN: how they find each other, who is the DR, what a reload and an end leave of
# it, and what is refused. What is on the wire is read by an independent decoder.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/pim.sh
. "$root/tests/lib/pim.sh"

cat >"$tmp/lan.topo" <<'END'
# A LAN with three routers.
link r1:o1,198.18.1.1/24 lan:p1
link r2:o1,198.18.1.2/24 lan:p2
link r3:o1,198.18.1.3/24 lan:p3
END

bridge() {
	local p
	on lan ip link add br0 type bridge mcast_snooping 0
	for p in p1 p2 p3; do
		on lan ip link set "$p" master br0
	done
	on lan ip link set br0 up
}

# config NODE INTERFACE-OPTIONS [OPTIONS] : PIM on o1
config() {
	echo "{ pim: { triggered_hello_delay: 0.2, ${3:-}
		interfaces: [{ name: \"o1\", hello_period: 2, ${2:-} }] } }" >"$tmp/$1.json5"
}

dr() {
	ctl "$1" --output json pim interfaces | jq -r '.interfaces[0].dr'
}

dr_is() {
	[ "$(dr "$1")" = "$2" ]
}

hello() {
	local gen_id
	label="hello: "
	config r1
	config r2
	config r3 'dr_priority: 5'
	start_capture lan wire br0 pim
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	start_mcrd r2 "$tmp/r2.json5" --ignore-state
	check "r1 knows r2" wait_for 3 neighbors_are r1 198.18.1.2
	check "r2 knows r1" wait_for 3 neighbors_are r2 198.18.1.1
	check "the higher address is the DR" wait_for 3 dr_is r1 198.18.1.2
	start_mcrd r3 "$tmp/r3.json5" --ignore-state
	check "all know each other" wait_for 3 neighbors_are r1 "198.18.1.2 198.18.1.3"
	check "the priority goes before the address" wait_for 3 dr_is r1 198.18.1.3
	check "all agree" wait_for 3 dr_is r2 198.18.1.3
	check_equal "what r1 knows of r3" "$(neighbor r1 198.18.1.3 \
		'[.interface, .dr_priority, .is_dr, .holdtime, .source] | join(" ")')" \
		"o1 5 true 7 PimHello"
	gen_id=$(neighbor r1 198.18.1.3 .generation_id)
	config r3 'dr_priority: 0'
	ctl r3 config load --replace --file "$tmp/r3.json5" >/dev/null
	check "a priority that is changed is said at once" wait_for 1 dr_is r1 198.18.1.2
	check_equal "and no neighbour begins anew" "$(neighbor r1 198.18.1.3 .generation_id)" "$gen_id"
	on r3 ip addr add 198.18.1.33/24 dev o1
	check "a secondary address is told" wait_for 3 has_secondary r1 198.18.1.3 198.18.1.33
	on r3 ip link set o1 down
	check "a link that is down ends neighbourhood on that side" wait_for 2 neighbors_are r3 ""
	on r3 ip link set o1 up
	check "and it comes back" wait_for 5 neighbors_are r3 "198.18.1.1 198.18.1.2"
	stop_mcrd r3 INT
	check "who ends for good says goodbye" wait_for 1 neighbors_are r1 198.18.1.2
	end_capture wire
	check_equal "no packet is malformed" "$(malformed_pim wire)" ""
	check_equal "all go to all PIM routers, with TTL 1 and the precedence of routing" \
		"$(fields wire pim ip.dst ip.ttl ip.dsfield | sort -u)" "$(printf '224.0.0.13\t1\t0xc0')"
	check_equal "received = accepted + drops, and none" "$(pim_books r1) $(pim_drops r1)" "0 0"
}

filters() {
	label="filters: "
	config r1 'neighbors: [{ deny: "198.18.1.2" }, { permit: "198.18.1.0/24" }]'
	ctl r1 config load --replace --file "$tmp/r1.json5" >/dev/null
	check "a neighbour that is not permitted any more is gone" neighbors_are r1 ""
	sleep 2.5 # one Hello period
	check "and stays away" neighbors_are r1 ""
	check_between "its packets are counted" \
		"$(ctl r1 --output json pim interfaces | jq .counters.drops.filtered)" 1 3
	config r1 'passive: true'
	ctl r1 config load --replace --file "$tmp/r1.json5" >/dev/null
	check "who is passive is gone for the others" wait_for 1 neighbors_are r2 ""
	check_equal "and the DR for itself" "$(ctl r1 --output json pim interfaces |
		jq -r '.interfaces[0] | [.passive, .is_dr] | join(" ")')" "true true"
	config r1
	ctl r1 config load --replace --file "$tmp/r1.json5" >/dev/null
	check "all is as before" wait_for 3 neighbors_are r2 198.18.1.1
}

commands() {
	label="commands: "
	echo '{}' >"$tmp/r3.json5"
	start_mcrd r3 "$tmp/r3.json5" --ignore-state
	check_equal "no raw socket without PIM" "$(on r3 tail -n +2 /proc/net/raw)" ""
	ctl r3 --dry-run pim enable --interface o1 >/dev/null
	check_equal "a dry run does nothing" "$(ctl r3 --output json config show | jq .config.pim)" null
	check "PIM is enabled" ctl r3 pim enable --interface o1 --dr-priority 7
	check "and speaks" wait_for 7 neighbors_are r3 "198.18.1.1 198.18.1.2"
	check "others hear it" wait_for 7 dr_is r1 198.18.1.3
	check "an RP" ctl r3 pim set-rp --group 239.0.0.0/8 --rp 198.18.9.9
	check "it replaces that of the same range" ctl r3 pim set-rp --group 239.0.0.0/8 --rp 198.18.9.8
	check "this router as the RP" ctl r3 pim set-rp-address --address 198.18.1.3
	check_equal "of a group in the range" "$(ctl r3 pim rp --group 239.1.1.1)" "239.1.1.1: 198.18.9.8"
	check_equal "of another one" "$(ctl r3 pim rp --group 225.1.1.1)" "225.1.1.1: 198.18.1.3"
	check_equal "the configuration has it all" "$(ctl r3 --output json config show |
		jq -c '.config.pim | [.rp_address, .interfaces, .static_rp]')" \
		'["198.18.1.3",[{"name":"o1","dr_priority":7}],[{"group":"239.0.0.0/8","rp":"198.18.9.8"}]]'
	stop_mcrd r3 KILL
	start_mcrd r3
	check "and keeps it" wait_for 7 neighbors_are r3 "198.18.1.1 198.18.1.2"
	check "PIM is disabled" ctl r3 pim disable --interface o1
	check "which the others hear" wait_for 1 neighbors_are r1 198.18.1.2
	check_fails "there is nothing more to disable" ctl r3 pim disable --interface o1
	check_equal "no raw socket again" "$(on r3 tail -n +2 /proc/net/raw)" ""
	stop_mcrd r3
}

tb_up "$tmp/lan.topo"
bridge
hello
filters
commands
stop_mcrd r1
stop_mcrd r2
finish
