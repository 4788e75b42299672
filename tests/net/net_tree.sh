#!/bin/bash
# SPDX-License-Identifier: MIT
# tree_fanout: one relay feeds three, each of which feeds a receiver; 20,000 datagrams of 1400 bytes
# a second arrive whole at all three.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 20000)} seconds=${SECONDS_OF_LOAD:-$(briefly 10)}

tree() {
	local i n=$((rate * seconds))
	relay root "$(rule in0 'o1, ttl: 4' 'o2, ttl: 4' 'o3, ttl: 4')"
	for i in 1 2 3; do
		relay "leaf$i" "$(rule in0 'o1, ttl: "decrement", source: "preserve"')"
		start_sink "rx$i" "$i" --interface r0 "${flow[@]}"
	done
	gen src g --interface s0 "${flow[@]}" --size 1400 \
		--rate "$rate" --duration "$seconds"
	check_books root leaf1 leaf2 leaf3
	check_equal "sent" "$(offered g)" "$n"
	for i in 1 2 3; do
		end_sink "$i"
		check_whole "$i" "$n"
		check_hop root "o$i" "leaf$i" in0
		check_equal "TTL and source at sink $i" \
			"$(json "$tmp/sink.$i.json" '.flows[0] | "\(.ttl_min) \(.source)"')" \
			"3 198.18.$i.1"
	done
	stop_all
}

tb_up tree_fanout
for_each_datapath tree
finish
