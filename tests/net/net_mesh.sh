#!/bin/bash
# SPDX-License-Identifier: MIT
# mesh: four relays, each linked with each other, each host a source of its own. A relay takes a
# source only from the link that leads to it and floods all others: every host gets every foreign
# datagram exactly once, and what comes another way round is dropped as wrong_iif, exactly.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 2000)} seconds=${SECONDS_OF_LOAD:-$(briefly 5)}

# mesh_rules NODE-NUMBER : one rule for each source
mesh_rules() {
	local me=$1 from in out list=()
	for from in 1 2 3 4; do
		in=m$from list=()
		[ "$from" != "$me" ] || in=h0
		for out in m1 m2 m3 m4 h0; do
			[ "$out" = "m$me" ] || [ "$out" = "$in" ] ||
				list+=("$out, source: \"preserve\", ttl: \"decrement\"")
		done
		match="$flow_match, source: \"198.18.$from.2\"" rule "$in" "${list[@]}"
	done
}

mesh() {
	local i n=$((rate * seconds)) link
	for i in 1 2 3 4; do
		relay "m$i" "$(mesh_rules "$i")"
	done
	for i in 1 2 3 4; do
		start_sink "h$i" "$i" --interface r0 "${flow[@]}"
	done
	for i in 1 2 3 4; do
		gen_start "h$i" "g$i" --interface r0 "${flow[@]}" \
			--first-flow "$i" --size 1000 --rate "$rate" --duration "$seconds"
	done
	gen_wait g1 g2 g3 g4
	check_books m1 m2 m3 m4
	check_equal "sent" "$(offered g1 g2 g3 g4)" $((4 * n))
	for i in 1 2 3 4; do
		end_sink "$i"
		check_whole "$i" $((3 * n))
		# each foreign source comes once by its own link, and once by each of the two others
		check_equal "m$i takes each source once" \
			"$(stat "m$i" '.workers | sum(.matched)')" $((4 * n))
		for link in m1 m2 m3 m4; do
			[ "$link" = "m$i" ] || check_equal "m$i drops what comes round by $link" \
				"$(stat "m$i" "verdict(\"$link\"; \"wrong_iif\")")" $((2 * n))
		done
	done
	stop_all
}

tb_up mesh
for_each_datapath mesh
finish
