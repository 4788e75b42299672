#!/bin/bash
# SPDX-License-Identifier: MIT
# Each of three routers is killed, ended and started again, and told to reload, under traffic that
# the kernel forwards: nothing is lost, nothing comes twice, and its neighbours notice nothing.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/pim.sh
. "$root/tests/lib/pim.sh"

source=198.18.1.1
rate=$(gently 5000)

neighbours_since() {
	ctl "$1" --output json pim neighbors | jq -c '[.neighbors[] | [.address, .generation_id]] | sort'
}

# again NODE SIGNAL
again() {
	stop_mcrd "$1" "$2" 2>/dev/null
	start_mcrd "$1" "$tmp/$1.json5" --ignore-state
}

survives() {
	local node how before
	gen_start src steady --interface s0 --group 232.1.1.1 --port 5001 --rate "$rate" --ttl 9 \
		--duration "$seconds"
	for node in r2 r1 r3; do
		before=$(neighbours_since r1)$(neighbours_since r2)$(neighbours_since r3)
		for how in KILL TERM; do
			again "$node" "$how"
		done
		kill -HUP "${mcrd_pid[$node]}"
		check "$node knows its neighbours again" wait_for 8 knows_neighbours "$node"
		check_equal "its neighbours have noticed nothing" \
			"$(neighbours_since r1)$(neighbours_since r2)$(neighbours_since r3)" "$before"
	done
	check_equal "all that time" "$(is_gone "${gen_pid[steady]}" || echo it was sent)" "it was sent"
	gen_wait steady
}

knows_neighbours() {
	case $1 in
	r2) neighbors_are r2 "198.18.12.1 198.18.23.3" ;;
	r1) neighbors_are r1 198.18.12.2 ;;
	r3) neighbors_are r3 198.18.23.2 ;;
	esac
}

owners() {
	routes "$1" '[.routes[].outputs[].owners[]] | unique | join(" ")'
}

owners_are() {
	[ "$(owners "$1")" = "$2" ]
}

seconds=$((slowness == 1 ? 24 : 60))
row_up
row_start "jp_period: 6," "fast_leave: true, query_interval: 8, query_response_interval: 1," ||
	not_ok "the routers know each other"
start_sink rx1 one --interface r0 --group 232.1.1.1 --source "$source"
check "there is a tree" wait_for 3 route_is r1 "$source" 232.1.1.1 "i0 d0"
check_equal "the kernel forwards" "$(ctl r2 --output json list | jq -r '.rules[0].datapath_effective')" xdp
survives
check "what was remembered is learned again by then" wait_for 12 owners_are r2 pim
check "of hosts, too" wait_for 12 owners_are r3 igmp
end_sink one
check_equal "nothing is lost" "$(json "$tmp/sink.one.json" .total.unique)" "$(sent steady)"
check_equal "nothing twice" "$(json "$tmp/sink.one.json" '.total.received - .total.unique')" 0
check "without receivers the tree goes" wait_for 3 no_routes r1
check "everywhere" no_routes r3
stop_all
finish
