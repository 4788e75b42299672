#!/bin/bash
# SPDX-License-Identifier: MIT
# Multicast and unicast in, multicast and unicast out: all four directions at once, by UDP sockets
# at both ends. The sender of unicast hears no ICMP message, though nobody has the port.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 5000)} seconds=${SECONDS_OF_LOAD:-$(briefly 3)}
relay_in=198.18.0.2 routed=198.18.2.2

directions() {
	local n=$((rate * seconds)) name
	relay relay \
		"$(rule in0 o1 "{ address: \"$routed\", port: 6001 }")" \
		"$(match="group: \"$relay_in\", port: 7000" rule in0 \
			'o1, group: "239.3.3.3", port: 7001' \
			"{ address: \"$routed\", port: 7002 }")"
	start_sink rx1 multi-multi --interface r0 "${flow[@]}"
	start_sink rx2 multi-uni --group "$routed" --port 6001
	start_sink rx1 uni-multi --interface r0 --group 239.3.3.3 --port 7001
	start_sink rx2 uni-uni --group "$routed" --port 7002
	start_capture src icmp s0 icmp
	gen_start src g1 --interface s0 "${flow[@]}" --size 1200 \
		--rate "$rate" --duration "$seconds"
	gen_start src g2 --interface s0 --group "$relay_in" --port 7000 --first-flow 1 --size 1200 \
		--rate "$rate" --duration "$seconds"
	gen_wait g1 g2
	check_books relay
	for name in multi-multi multi-uni uni-multi uni-uni; do
		end_sink "$name"
		check_whole "$name" "$n"
	done
	end_capture icmp
	check_equal "the sender of unicast is not told that the port is closed" "$(captured icmp)" 0
	check_equal "outputs are of these kinds" \
		"$(stat relay '[.rules[].outputs[].egress] | sort | join(" ")')" \
		"packet packet udp udp"
	stop_all
}

tb_up fanout N=2
for_each_datapath directions
finish
