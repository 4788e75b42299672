#!/bin/bash
# SPDX-License-Identifier: MIT
# high_fanout_50: one relay, 50 outputs on 50 interfaces; 20,000 datagrams of 1400 bytes a second,
# a million copies a second, and every receiver gets every one.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 20000)} seconds=${SECONDS_OF_LOAD:-$(briefly 5)} outputs=50 size=${SIZE:-1400}

fanout() {
	local i n=$((rate * seconds)) list=()
	for ((i = 1; i <= outputs; i++)); do
		list+=("o$i")
	done
	relay relay "$(rule in0 "${list[@]}")"
	for ((i = 1; i <= outputs; i++)); do
		start_sink "rx$i" "$i" --mode packet --buffer 256 --interface r0 "${flow[@]}"
	done
	gen src g --interface s0 "${flow[@]}" --size "$size" \
		--rate "$rate" --duration "$seconds"
	check_books relay
	check_equal "sent" "$(offered g)" "$n"
	check_equal "seen" "$(stat relay 'seen("in0")')" "$n"
	check_equal "copies sent" "$(stat relay '.workers | sum(.sent)')" $((n * outputs))
	for ((i = 1; i <= outputs; i++)); do
		end_sink "$i"
		check_whole "$i" "$n"
	done
	echo "# ${label}copies, sends, batches:" \
		"$(stat relay 'workers("in0")[0] | "\(.sent) \(.submitted) \(.batches)"')"
	stop_all
}

tb_up high_fanout_50
for_each_datapath fanout
finish
