#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
# Sources that send as fast as they can into every topology: frames of 100 and 1400 bytes made in
# the kernel, and super-frames of 46 datagrams. Much is lost, and the books close exactly all the
# same, from the source's device to the sink's socket.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
seconds=${SECONDS_OF_LOAD:-1} loads=${LOADS:-$(some 2 live:100 super:1400 live:1400)}
topologies=${TOPOLOGIES:-$(some 4 chain_3hop diamond funnel routed tree_fanout converge high_fanout_50)}
out='o1, ttl: 8'

# load NODE[:RELAY:IN]… : sources on these nodes, all at once. A relay without an XDP program needs
# GRO to take XDP frames.
load() {
	local item node peer in how=(--mode live) names=() i=0
	[ "$kind" = live ] || how=(--mode udp --segment 46)
	for item; do
		IFS=: read -r node peer in <<<"$item"
		[ "$DATAPATH" = afxdp ] || on "$peer" ethtool -K "$in" gro on
		names+=("$node")
	done
	for node in "${names[@]}"; do
		gen_start "$node" "$node" --interface s0 "${flow[@]}" --first-flow $((++i)) \
			"${how[@]}" --size "$size" --duration "$seconds"
	done
	gen_wait "${names[@]}"
}

sink() {
	start_sink "$1" "$1" --interface r0 "${flow[@]}"
}

# check_source NODE RELAY IN : what the source's device passed on was seen
check_source() {
	check_equal "all that $1 offered was seen by $2" \
		"$(stat "$2" "seen(\"$3\")")" "$(offered "$1")"
}

# check_relay NODE OUTPUTS IN… : from the frames it saw to the copies it sent
check_relay() {
	local node=$1 outputs=$2 in matched
	for in in "${@:3}"; do
		check_equal "each frame seen by $node on $in has one verdict: for the worker" \
			"$(stat "$node" "verdict(\"$in\"; \"to_worker\")")" \
			"$(stat "$node" "seen(\"$in\")")"
		check_ring "$node" "$in"
	done
	matched=$(stat "$node" '.workers | sum(.matched)')
	check_equal "all that $node took matched" \
		"$(stat "$node" '.workers | sum(.dequeued)')" "$matched"
	check_equal "$node: copies due" "$(stat "$node" '[.rules[].outputs[].due] | add')" \
		$((matched * outputs))
	check_equal "$node: copies sent, or dropped by name" \
		"$(stat "$node" '[.rules[].outputs[] | .sent + (.drops | add)] | add')" \
		$((matched * outputs))
}

# check_sink NODE OUT SINK : what left there was received, or refused by the sink's socket
check_sink() {
	end_sink "$3"
	check_equal "all that left $1 by $2 came to the socket of $3" \
		"$(json "$tmp/sink.$3.json" '.total.received + .total.socket_dropped')" \
		"$(passed_on "$1" "$2")"
	check_equal "nothing that $3 received was changed" \
		"$(totals "$3" "corrupt checksums.bad")" "0 0"
}

# check_loss COPIES SOURCE… : it was an overload. (Frames for a packet socket are handled all the
# way to the worker's ring by the source itself, which that slows down. A slow build has slow
# sources, too.)
check_loss() {
	local offered delivered lost
	offered=$(offered "${@:2}")
	delivered=$(cat "$tmp"/sink.*.json | jq -s '[.[].total.received] | add')
	lost=$((offered * $1 - delivered))
	echo "# $label$offered offered, $delivered of $((offered * $1)) copies delivered"
	[ "$DATAPATH $kind" = "afpacket live" ] || [ "$slowness" != 1 ] ||
		check_between "something was lost" "$lost" 1 $((offered * $1))
}

# refused NODE OUT : datagrams that the device refused, where they are in its books only
refused() {
	echo $(($(stat "$1" "outputs(\"$2\") | sum(.sent)") - $(passed_on "$1" "$2")))
}

over_chain_3hop() {
	local node lost
	relay r1 "$(rule in0 "$out")"
	relay r2 "$(rule in0 "$out")"
	relay r3 "$(rule in0 "$out")"
	sink rx1
	load src:r1:in0
	check_books r1 r2 r3
	check_source src r1 in0
	check_relay r1 1 in0
	check_hop r1 o1 r2 in0
	check_relay r2 1 in0
	check_hop r2 o1 r3 in0
	check_relay r3 1 in0
	check_sink r3 o1 rx1
	check_loss 1 src
	lost=$(totals rx1 socket_dropped)
	for node in r1 r2 r3; do
		lost=$((lost + $(ring_lost "$node" in0) + $(copy_drops "$node" o1)))
		lost=$((lost + $(refused "$node" o1)))
	done
	check_equal "offered = delivered + what every hop and the sink say they dropped" \
		$(($(totals rx1 received) + lost)) "$(offered src)"
}

over_tree_fanout() {
	local i
	relay root "$(rule in0 'o1, ttl: 8' 'o2, ttl: 8' 'o3, ttl: 8')"
	for i in 1 2 3; do
		relay "leaf$i" "$(rule in0 "$out")"
		sink "rx$i"
	done
	load src:root:in0
	check_books root leaf1 leaf2 leaf3
	check_source src root in0
	check_relay root 3 in0
	for i in 1 2 3; do
		check_hop root "o$i" "leaf$i" in0
		check_relay "leaf$i" 1 in0
		check_sink "leaf$i" o1 "rx$i"
	done
	check_loss 3 src
}

over_diamond() {
	relay top "$(rule in0 'o1, ttl: 8' 'o2, ttl: 8')"
	relay left "$(rule in0 "$out")"
	relay right "$(rule in0 "$out")"
	relay bottom "$(rule in1 "$out")" "$(rule in2 "$out")"
	sink rx1
	load src:top:in0
	check_books top left right bottom
	check_source src top in0
	check_relay top 2 in0
	check_hop top o1 left in0
	check_hop top o2 right in0
	check_relay left 1 in0
	check_relay right 1 in0
	check_hop left o1 bottom in1
	check_hop right o1 bottom in2
	check_relay bottom 1 in1 in2
	check_sink bottom o1 rx1
	check_loss 2 src
}

over_converge() {
	relay relay "$(rule in1 "$out")" "$(rule in2 "$out")" "$(rule in3 "$out")"
	sink rx1
	load src1:relay:in1 src2:relay:in2 src3:relay:in3
	check_books relay
	check_source src1 relay in1
	check_source src2 relay in2
	check_source src3 relay in3
	check_relay relay 1 in1 in2 in3
	check_sink relay o1 rx1
	check_loss 1 src1 src2 src3
}

# Two workers send to one device at once, faster than its peer takes frames.
over_funnel() {
	local i
	relay a "$(rule in1 "$out")" "$(rule in2 "$out")"
	relay b "$(rule in0 "$out")"
	sink rx1
	load src1:a:in1 src2:a:in2
	check_books a b
	for i in 1 2; do
		check_source "src$i" a "in$i"
	done
	check_relay a 1 in1 in2
	check_hop a o1 b in0
	echo "# ${label}refused by a's device: $(device a o1 tx.dropped)"
	check_relay b 1 in0
	check_sink b o1 rx1
	check_loss 1 src1 src2
}

# Two workers send by routes, to the same device; with and without naming it.
over_routed() {
	local i in='group: "198.18.10.2", port: 5001'
	relay a "$(rule in1 '{ address: "198.18.10.2" }')" \
		"$(rule in2 '{ interface: "o1", address: "198.18.10.2" }')"
	relay b "$(match=$in rule in0 "$out, group: \"239.1.1.1\"")"
	sink rx1
	load src1:a:in1 src2:a:in2
	check_books a b
	for i in 1 2; do
		check_source "src$i" a "in$i"
	done
	check_relay a 1 in1 in2
	check_routed
	check_relay b 1 in0
	check_sink b o1 rx1
	check_loss 1 src1 src2
}

# What b saw of what a sent by routes. Where the device counts, refused copies of the output that
# names it are in the device's counter only; those of the other are refused one by one, and named.
check_routed() {
	local named left dropped
	named=$(stat a '[.rules[].outputs[] | select(.interface == "") | .drops.device] | add')
	left=$(stat a '[.rules[].outputs[].sent] | add')
	dropped=$(device a o1 tx.dropped)
	echo "# ${label}refused by a's device: $dropped, of which named: $named"
	if [ "$(stat a 'any(outputs("o1")[]; .device_counts_drops)')" = true ]; then
		left=$((left - dropped + named))
	fi
	check_equal "all that left a by routes came to b" "$(stat b 'seen("in0")')" "$left"
}

over_high_fanout_50() {
	local i list=()
	for ((i = 1; i <= 50; i++)); do
		list+=("o$i")
		sink "rx$i"
	done
	relay relay "$(rule in0 "${list[@]}")"
	load src:relay:in0
	check_books relay
	check_source src relay in0
	check_relay relay 50 in0
	for ((i = 1; i <= 50; i++)); do
		check_sink relay "o$i" "rx$i"
	done
	check_loss 50 src
}

overload() {
	local outer=$label kind size load file=$topology
	[[ $topology != @(funnel|routed) ]] || file=$tmp/funnel.topo
	for load in $loads; do
		kind=${load%:*} size=${load#*:} label="$outer$kind, $size B: "
		tb_up "$file"
		"over_$topology"
		stop_all
		tb_down
		rm -f "$tmp"/gen.* "$tmp"/sink.*
	done
	label=$outer
}

cat >"$tmp/funnel.topo" <<'END'
each 2 link src{i}:s0,198.{net}.1/24,multicast a:in{i},198.{net}.2/24
link a:o1,198.18.10.1/24 b:in0,198.18.10.2/24
link b:o1,198.18.11.1/24 rx1:r0,198.18.11.2/24,gro
END
for topology in $topologies; do
	label="$topology: "
	for_each_datapath overload
done
finish
