#!/bin/bash
# SPDX-License-Identifier: MIT
# converge: three sources send the same group by three interfaces into one output; all three
# streams arrive whole and in order.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 20000)} seconds=${SECONDS_OF_LOAD:-$(briefly 5)}

converge() {
	local i n=$((rate * seconds)) rules=()
	for i in 1 2 3; do
		rules+=("$(rule "in$i" 'o1, source: "preserve", ttl: "decrement"')")
	done
	relay relay "${rules[@]}"
	start_sink rx1 a --interface r0 "${flow[@]}"
	for i in 1 2 3; do
		gen_start "src$i" "g$i" --interface s0 "${flow[@]}" \
			--first-flow "$i" --size 1400 --rate "$rate" --duration "$seconds"
	done
	gen_wait g1 g2 g3
	check_books relay
	end_sink a
	check_equal "sent" "$(offered g1 g2 g3)" $((3 * n))
	check_whole a $((3 * n))
	for i in 1 2 3; do
		check_equal "stream $i comes from its source, whole" \
			"$(json "$tmp/sink.a.json" ".flows[] | select(.flow == $i) |
				[.source, .unique, .ttl_min, .ttl_max] | join(\" \")")" \
			"198.18.$i.1 $n 15 15"
	done
	stop_all
}

tb_up converge
for_each_datapath converge
finish
