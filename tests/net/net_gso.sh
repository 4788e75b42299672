#!/bin/bash
# SPDX-License-Identifier: MIT
# Senders that leave segmentation to the kernel (UDP_SEGMENT) and receivers that take merged
# datagrams (UDP_GRO): every datagram is relayed once, in order, at every hop.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 50000)} seconds=${SECONDS_OF_LOAD:-$(briefly 3)}

# super_frames SIZE SEGMENTS : 50 times 1310 bytes is more than one send of ours takes
super_frames() {
	local n=$((rate * seconds)) sink
	relay relay "$(rule in0 o1 o2 '{ address: "198.18.2.2", port: 6001 }')"
	start_sink rx1 plain --interface r0 "${flow[@]}"
	start_sink rx2 gro --interface r0 --gro "${flow[@]}"
	start_sink rx2 routed --group 198.18.2.2 --port 6001 --gro
	gen src g --interface s0 "${flow[@]}" --size "$1" --segment "$2" --rate "$rate" \
		--count "$n"
	check_books relay
	check_equal "$2 times $1 bytes: sent" "$(offered g)" "$n"
	for sink in plain gro routed; do
		end_sink "$sink"
		check_whole "$sink" "$n"
	done
	if [ "$DATAPATH" = afpacket ]; then
		# how many datagrams are due when the sender has its turn is the machine's affair
		check_equal "the relay took super-frames as they were sent" \
			"$(stat relay 'workers("in0")[0].dequeued_skbs')" \
			"$(json "$tmp/gen.g.json" .device.tx_packets)"
	fi
	stop_all
}

tb_up fanout N=2
for_each_datapath super_frames 1400 40
for_each_datapath super_frames 1310 50
for_each_datapath super_frames 100 64
finish
