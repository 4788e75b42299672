#!/bin/bash
# SPDX-License-Identifier: MIT
# Datagrams merged on receive: mcrd has the kernel do it where rules run on afpacket, and undoes
# that when none does, even if it was killed meanwhile. What is merged leaves as it came: each datagram
# once, in order, with its size, and wrong checksums are found.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
DATAPATH=afpacket
n=3000 # which the ring's socket holds even if the worker has no turn meanwhile

# merging IS : whether the device's feature is on or off
merging() {
	on relay ethtool -k in0 | grep -q "^rx-udp-gro-forwarding: $1"
}

# batches SIZE : live frames come by 16, three flows in turn
batches() {
	relay relay "$(match='group: "239.1.1.1"' rule in0 "o1, ttl: 7")"
	check "$1 bytes: switched on" merging on
	start_sink rx1 s --interface r0 --group 239.1.1.1 --ports 3 --gro
	gen src g --interface s0 --mode live --source 198.18.0.9 --group 239.1.1.1 --ports 3 \
		--burst 10 --size "$1" --count "$n"
	check_books relay
	check_equal "$1 bytes: nothing was lost on the way in" \
		"$(ring_lost relay in0)" 0
	end_sink s
	check_whole s "$n"
	check_between "$1 bytes: socket buffers for $n datagrams" \
		"$(stat relay 'workers("in0")[0].dequeued_skbs')" 1 $((n / 2))
	stop_all
	check "$1 bytes: off at the end" merging off
}

wrong_checksums() {
	relay relay "$(rule in0 o1)"
	gen src g --interface s0 --mode live --source 198.18.0.9 "${flow[@]}" --checksum wrong \
		--count 640
	check_books relay
	check_equal "wrong checksums are not merged into right ones" \
		"$(counts_since "{}" relay in0 | grep -o 'drop.checksum=[0-9]*')" drop.checksum=640
	stop_all
}

# What a daemon that was killed has left on is seen to by the next one.
killed() {
	relay relay "$(rule in0 o1)"
	kill -KILL "${mcrd_pid[relay]}"
	wait "${mcrd_pid[relay]}" 2>/dev/null
	forget_pid "${mcrd_pid[relay]}"
	check "killed: still on" merging on
	relay relay "$(rule in0 o1)"
	check "started again: on" merging on
	echo "{ rules: [] }" >"$tmp/none.json5"
	ctl relay config load --replace --file "$tmp/none.json5" >"$tmp/none" ||
		not_ok "no rule any more" "$(cat "$tmp/none")"
	check "without a rule: off" wait_for 10 merging off
	stop_all
}

# What was on before is not ours.
of_others() {
	on relay ethtool -K in0 rx-udp-gro-forwarding on
	relay relay "$(rule in0 o1)"
	stop_all
	check "what somebody else has switched on stays on" merging on
	on relay ethtool -K in0 rx-udp-gro-forwarding off
}

cat >"$tmp/merge.topo" <<EOF
link src:s0,198.18.0.1/24,multicast relay:in0,198.18.0.2/24,gro
link relay:o1,198.18.1.1/24 rx1:r0,198.18.1.2/24
EOF
tb_up "$tmp/merge.topo"
batches 100
batches 1400
wrong_checksums
killed
of_others
finish
