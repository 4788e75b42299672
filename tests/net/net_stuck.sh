#!/bin/bash
# SPDX-License-Identifier: MIT
# Outputs that do not get on: a queue of one packet, a queue so long that the send buffer fills up,
# a device that nobody reads. The others lose nothing, and each loss is counted where it happens.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# In a slow build, too, more than the 16 MiB that a send buffer may hold.
rate=${RATE:-$((slowness == 1 ? 20000 : 5000))} seconds=${SECONDS_OF_LOAD:-3}

# nobody_reads DEVICE : a tap device that is only written to, and that never
nobody_reads() {
	ip netns exec "$tb_prefix-relay" socat -u UDP4-RECV:9 \
		"TUN:198.18.9.1/24,tun-type=tap,tun-name=$1,iff-up" 2>"$tmp/socat.log" &
	all_pids+=("$!")
	wait_for 10 has_address "$1" || bail "no tap device: $(cat "$tmp/socat.log")"
}

has_address() {
	on relay ip -o -4 addr show up dev "$1" | grep -q .
}

# drops OUT : "due NAME=N…", of the reasons that are not zero
drops() {
	stat relay "outputs(\"$1\")[0] | ([.due] + [.drops | to_entries[] | select(.value > 0) |
		.key]) | join(\" \")"
}

stuck() {
	local n=$((rate * seconds)) i due was
	was=$(device relay tap0 tx.dropped)
	relay relay "$(rule in0 o1 o2 o3 o4 tap0)"
	start_sink rx1 1 --interface r0 "${flow[@]}"
	start_sink rx4 4 --interface r0 "${flow[@]}"
	gen src g --interface s0 "${flow[@]}" --size 1400 --rate "$rate" --duration "$seconds"
	check_books relay
	check_equal "sent" "$(offered g)" "$n"
	for i in 1 4; do
		end_sink "$i"
		check_whole "$i" "$n"
		check_equal "o$i drops nothing" "$(drops "o$i")" "$n"
	done
	check_equal "o2 drops what its queue refuses" "$(drops o2)" "$n device"
	check_equal "o3 drops what its send buffer cannot hold" "$(drops o3)" "$n full"
	due=$(stat relay 'outputs("tap0")[0] | .sent + (.drops | add)')
	check_equal "tap0: sent or dropped" "$due" "$n"
	check_between "tap0 drops by itself what nobody reads" \
		$(($(device relay tap0 tx.dropped) - was)) $((n / 2)) "$n"
	stop_all
	on relay tc qdisc del dev o3 root # what waits in it would still hold the socket's buffer
	queue_o3
}

queue_o3() {
	on relay tc qdisc add dev o3 root tbf rate 8kbit burst 3000 limit 100mb
}

tb_up fanout N=4
on relay tc qdisc add dev o2 root tbf rate 8kbit burst 3000 limit 3000
queue_o3
nobody_reads tap0
for_each_datapath stuck
finish
