#!/bin/bash
# SPDX-License-Identifier: MIT
# chain_3hop: three relays in a row; 50,000 datagrams of 1400 bytes a second for 10 s arrive whole.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 50000)} seconds=${SECONDS_OF_LOAD:-$(briefly 10)}

# The first leaves the default TTL, 1: what it sends is for the next relay, and no further.
chain() {
	local n
	relay r1 "$(rule in0 o1)"
	relay r2 "$(also='accept_ttl1: true,' rule in0 'o1, ttl: 8')"
	relay r3 "$(rule in0 'o1, ttl: "decrement"')"
	start_sink rx1 a --interface r0 "${flow[@]}"
	gen src g --interface s0 "${flow[@]}" --size 1400 \
		--rate "$rate" --duration "$seconds"
	check_books r1 r2 r3
	end_sink a
	n=$((rate * seconds))
	check_equal "sent" "$(offered g)" "$n"
	check_whole a "$n"
	check_equal "TTL at the sink" \
		"$(json "$tmp/sink.a.json" '.flows[0] | "\(.ttl_min) \(.ttl_max)"')" "7 7"
	check_hop r1 o1 r2 in0
	check_hop r2 o1 r3 in0
	echo "# ${label}delay p50, p99 in ns: $(totals a "latency_ns.p50 latency_ns.p99")"
	stop_all
}

tb_up chain_3hop
for_each_datapath chain
finish
