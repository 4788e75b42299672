#!/bin/bash
# SPDX-License-Identifier: MIT
# Three routers on a LAN: what one of them prunes and another one wants goes on without a gap, by an
# override; when nobody wants it any more it ends after the time for overrides.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/pim.sh
. "$root/tests/lib/pim.sh"

cat >"$tmp/lan.topo" <<'END'
link src:s0,198.18.1.1/24 r1:i0,198.18.1.2/24
link r1:o1,198.18.9.1/24 lan:p1
link r2:u0,198.18.9.2/24 lan:p2
link r3:u0,198.18.9.3/24 lan:p3
link r2:o1,198.18.2.1/24 rx2:r0,198.18.2.2/24,multicast,gro
link r3:o1,198.18.3.1/24 rx3:r0,198.18.3.2/24,multicast,gro
route r2 198.18.1.0/24 via 198.18.9.1
route r3 198.18.1.0/24 via 198.18.9.1
END

source=198.18.1.1 group=232.1.1.1

bridge() {
	local p
	on lan ip link add br0 type bridge mcast_snooping 0
	for p in p1 p2 p3; do
		on lan ip link set "$p" master br0
	done
	on lan ip link set br0 up
}

# config NODE IF… : PIM there, and IGMP on o1 of r2 and r3
config() {
	local igmp=""
	[ "$1" = r1 ] || igmp="igmp: { querier_interfaces: [\"o1\"], fast_leave: true }"
	echo "{ pim: { triggered_hello_delay: 0.1, interfaces: [
		$(printf '{ name: "%s", hello_period: 5 },' "${@:2}") ] }, $igmp }" >"$tmp/$1.json5"
	start_mcrd "$1" "$tmp/$1.json5" --ignore-state
}

override() {
	label="override: "
	start_capture lan wire br0 pim
	start_sink rx2 two --interface r0 --group "$group" --source "$source"
	start_sink rx3 three --interface r0 --group "$group" --source "$source"
	check "there is a tree" wait_for 3 route_is r1 "$source" "$group" "i0 o1"
	check "to both" wait_for 3 route_is r3 "$source" "$group" "u0 o1"
	check "to both" wait_for 3 route_is r2 "$source" "$group" "u0 o1"
	gen_start src steady --interface s0 --group "$group" --port 5001 --rate "$(gently 1000)" \
		--ttl 9 --duration 6
	wait_for 2 route_counts r2 1
	end_sink two
	check "one of them leaves" wait_for 2 no_routes r2
	gen_wait steady
	check "the other one's traffic goes on" route_is r1 "$source" "$group" "i0 o1"
	end_sink three
	check_equal "without a gap" "$(json "$tmp/sink.three.json" .total.unique)" "$(sent steady)"
	check_equal "and once" "$(json "$tmp/sink.three.json" '.total.received - .total.unique')" 0
	check "when the last one leaves it ends" wait_for 6 no_routes r1
	end_capture wire
	# a router that has just come up is sent a join twice
	check_equal "who said what at last: a prune and its override, a prune and its echo" \
		"$(fields wire 'pim.type == 3' ip.src pim.numjoins pim.numprunes | uniq | tail -n 4 |
			tr '\t\n' ' ,')" \
		"198.18.9.2 0 1,198.18.9.3 1 0,198.18.9.3 0 1,198.18.9.1 0 1,"
	check_equal "no packet is malformed" "$(malformed_pim wire)" ""
}

route_counts() {
	[ "$(routes "$1" '.routes[0].packets')" -ge "$2" ]
}

tb_up "$tmp/lan.topo"
bridge
config r1 i0 o1
config r2 u0 o1
config r3 u0 o1
wait_for 5 neighbors_are r1 "198.18.9.2 198.18.9.3" || not_ok "r1 knows its neighbours"
wait_for 5 neighbors_are r2 "198.18.9.1 198.18.9.3" || not_ok "r2 knows its neighbours"
wait_for 5 neighbors_are r3 "198.18.9.1 198.18.9.2" || not_ok "r3 knows its neighbours"
override
label=""
stop_all
finish
