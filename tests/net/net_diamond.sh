#!/bin/bash
# SPDX-License-Identifier: MIT
# diamond: whatever goes both ways arrives twice, no more: nothing loops, and the second copy of
# each datagram is a duplicate at the sink.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 20000)} seconds=${SECONDS_OF_LOAD:-$(briefly 5)}

diamond() {
	local n=$((rate * seconds)) out='o1, ttl: "decrement"'
	relay top "$(rule in0 'o1, ttl: 8' 'o2, ttl: 8')"
	relay left "$(rule in0 "$out")"
	relay right "$(rule in0 "$out")"
	relay bottom "$(rule in1 "$out")" "$(rule in2 "$out")"
	start_sink rx1 a --interface r0 "${flow[@]}"
	gen src g --interface s0 "${flow[@]}" --size 1400 \
		--rate "$rate" --duration "$seconds"
	check_books top left right bottom
	end_sink a
	check_equal "sent" "$(offered g)" "$n"
	check_equal "top sees each datagram once" "$(stat top 'seen("in0")')" "$n"
	check_hop top o1 left in0
	check_hop top o2 right in0
	check_hop left o1 bottom in1
	check_hop right o1 bottom in2
	check_equal "bottom sends each datagram twice" \
		"$(stat bottom 'outputs("o1") | sum(.sent)')" $((2 * n))
	check_equal "the sink has each datagram, and each once more" \
		"$(totals a "received unique duplicated lost corrupt socket_dropped")" \
		"$((2 * n)) $n $n 0 0 0"
	stop_all
}

tb_up diamond
for_each_datapath diamond
finish
