#!/bin/bash
# SPDX-License-Identifier: MIT
# The measuring tools measured: on a bare wire, mcrsink says exactly what mcrgen has done to it.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
to=(--group 239.1.1.1) # which options after it override

# transfer "SINK OPTIONS" "GEN OPTIONS" : from a to b, reports in sink.t.json and gen.t.json
transfer() {
	local sink=() source=()
	read -ra sink <<<"$1"
	read -ra source <<<"$2"
	start_sink b t --interface b0 "${to[@]}" "${sink[@]}"
	gen a t --interface a0 "${to[@]}" "${source[@]}"
	wait_for 10 wire_is_empty || not_ok "everything arrives at b0"
	end_sink t
}

# counter NODE IF FIELD : of /proc/net/dev
counter() {
	on "$1" cat /proc/net/dev | awk -v "name=$2:" -v "field=$3" '$1 == name { print $field }'
}

wire_is_empty() {
	[ "$(counter a a0 11)" = "$(counter b b0 3)" ]
}

# until_marker "SINK OPTIONS" N "GEN OPTIONS" : as transfer, for frames that may not arrive: a good
# datagram is sent behind them, and the sink ends once N datagrams and that one are there.
until_marker() {
	local sink=() source=()
	read -ra sink <<<"$1"
	read -ra source <<<"$3"
	start_sink b t --interface b0 --expect $(($2 + 1)) "${to[@]}" "${sink[@]}"
	gen a t --interface a0 "${to[@]}" "${source[@]}"
	gen a marker --interface a0 "${to[@]}" --mode packet --count 1
	wait_sink t 20
}

# of_sink FILTER…, of_gen FILTER… : values from a report, in a row
of_sink() {
	values "$tmp/sink.t.json" "$@"
}

of_gen() {
	values "$tmp/gen.t.json" "$@"
}

values() {
	local filters
	filters=$(printf '%s, ' "${@:2}")
	json "$1" "[${filters%, }] | map(tostring) | join(\" \")"
}

# Received, unique, lost, duplicated, reordered, corrupt
result() {
	of_sink .total.{received,unique,lost,duplicated,reordered,corrupt}
}

every_mode_reaches_every_sink() {
	local mode sink
	for mode in udp packet live; do
		for sink in "--mode udp" "--mode udp --gro" "--mode packet"; do
			transfer "$sink" "--mode $mode --count 2000 --rate 20000 --ttl 9 --dscp 46"
			check_equal "$mode to ${sink#--mode }" "$(result)" "2000 2000 0 0 0 0"
			check_equal "$mode to ${sink#--mode }: TTL, DSCP" \
				"$(of_sink ".flows[0]".{ttl,dscp}_{min,max})" "9 9 46 46"
		done
	done
}

the_rate_is_exact() {
	local mode tries rate
	rate=$(gently 50000)
	for mode in udp packet live; do
		# More than once only where others take the machine away for longer than a moment.
		for tries in 1 2 3; do
			transfer "--groups 50 --mode packet" \
				"--groups 50 --mode $mode --rate $rate --duration 2"
			[ "$(of_gen ".rate_pps >= $rate * 0.999")" != true ] || break
			echo "# try $tries: $(of_gen .rate_pps) packets/s"
		done
		check_equal "$mode: 2 s at $rate packets/s" "$(result)" \
			"$((2 * rate)) $((2 * rate)) 0 0 0 0"
		check_between "$mode: the sender's rate" "$(of_gen '.rate_pps | floor')" \
			$((rate * 999 / 1000)) $((rate * 1001 / 1000))
		check_between "$mode: the receiver's" "$(of_sink '.rate_pps | floor')" \
			$((rate * 95 / 100)) $((rate * 105 / 100))
		check_equal "$mode: flows" "$(of_sink '[.flows[].unique] | unique | @csv')" \
			$((rate / 25))
	done
}

both_directions() {
	start_sink a t --interface a0 "${to[@]}" --expect 1000
	gen b t --interface b0 --count 1000
	wait_sink t 10
	check_equal "from b to a" "$(result)" "1000 1000 0 0 0 0"
	transfer "--group 198.18.0.2" "--group 198.18.0.2 --count 1000"
	check_equal "unicast" "$(result)" "1000 1000 0 0 0 0"
	transfer "--group 198.18.0.2" "--group 198.18.0.2 --count 1000 --mode packet"
	check_equal "unicast frames" "$(result)" "1000 1000 0 0 0 0"
}

# 1000 datagrams each of two flows, something done to every 10th or 7th of each
what_is_done_is_seen() {
	local mode flows="--groups 2"
	for mode in udp packet; do
		transfer "$flows" "$flows --mode $mode --count 2000 --duplicate 10"
		check_equal "$mode: duplicated" "$(result)" "2000 1800 0 200 0 0"
		transfer "$flows" "$flows --mode $mode --count 2000 --skip 10"
		check_equal "$mode: left out" "$(result)" "2000 2000 200 0 0 0"
		transfer "$flows" "$flows --mode $mode --count 2000 --swap 10 --burst 20"
		check_equal "$mode: swapped" "$(result)" "2000 2000 2 0 198 0"
		check_equal "$mode: … the last of each not made up for" \
			"$(of_gen .total.{swapped,skipped})" "198 2"
		transfer "$flows" "$flows --mode $mode --count 2000 --corrupt 7"
		check_equal "$mode: corrupted" "$(result)" "2000 2000 0 0 0 284"
	done
	transfer "$flows" "$flows --count 20000 --duplicate 7 --skip 11 --corrupt 13"
	check_equal "all at once" "$(of_sink .total.{unique,lost,duplicated,corrupt})" \
		"$(of_gen '20000 - .total.duplicated' .total.{skipped,duplicated,corrupted})"
}

checksums() {
	local row kind counted arrives
	for row in full:good:100 partial:partial:100 pseudo:bad:0 zero:none:100 wrong:bad:0; do
		IFS=: read -r kind counted arrives <<<"$row"
		transfer "--mode packet" "--mode packet --count 100 --size 333 --checksum $kind"
		check_equal "packet, $kind: all $counted" \
			"$(of_sink .total.received ".total.checksums.$counted")" "100 100"
		until_marker "" "$arrives" "--mode packet --count 100 --checksum $kind"
		check_equal "packet, $kind: $arrives of 100 reach an application" \
			"$(of_sink .total.received)" $((arrives + 1))
	done
	# In a frame that XDP has made nobody can be told that a checksum is partial.
	for row in full:good partial:bad zero:none wrong:bad; do
		IFS=: read -r kind counted <<<"$row"
		transfer "--mode packet" "--mode live --count 100 --size 333 --checksum $kind"
		check_equal "live, $kind: all $counted" \
			"$(of_sink .total.received ".total.checksums.$counted")" "100 100"
	done
}

# What is not a datagram of ours on the wire, and how the sink counts it
odd_frames() {
	local row kind counted
	for row in short-ip:malformed short-udp:malformed version:malformed ihl:malformed \
		total-long:malformed total-short:malformed udp-long:malformed udp-short:malformed \
		ip-checksum:ip_checksum_bad; do
		IFS=: read -r kind counted <<<"$row"
		until_marker "--mode packet" 0 "--mode packet --count 10 --malformed $kind"
		check_equal "$kind" "$(of_sink .total.received ".other.$counted")" "1 10"
	done
	transfer "--mode packet" "--mode packet --count 10 --malformed trailer"
	check_equal "trailer" "$(result)" "10 10 0 0 0 0"
	transfer "" "--mode packet --count 10 --ip-options"
	check_equal "IP options" "$(result)" "10 10 0 0 0 0"
	transfer "" "--mode packet --count 10 --size 1000 --fragment 256"
	check_equal "fragments, put together" "$(result)" "10 10 0 0 0 0"
	until_marker "--mode packet" 0 "--mode packet --count 10 --size 1000 --fragment 256"
	check_equal "fragments, on the wire" "$(of_sink .total.received .other.fragments)" "1 40"
}

vlan_tag() {
	on b tcpdump -qni b0 -c 5 vlan 7 and udp >"$tmp/vlan.log" 2>&1 &
	all_pids+=("$!")
	wait_for 5 grep -q listening "$tmp/vlan.log"
	gen a t --interface a0 --mode packet --vlan 7 --count 5
	check "VLAN tag" wait_for 5 grep -q '^5 packets captured' "$tmp/vlan.log"
}

sizes() {
	local row mode size
	for row in udp:36 udp:1472 udp:8972 udp:65507 packet:36 packet:8972 \
		live:36 live:37 live:3000; do
		IFS=: read -r mode size <<<"$row"
		transfer "" "--mode $mode --size $size --count 200 --rate 2000"
		check_equal "$mode, $size bytes" "$(result)" "200 200 0 0 0 0"
		check_equal "$mode, $size bytes: bytes" "$(of_sink .total.bytes)" "$((200 * size))"
	done
	transfer "--mode packet" "--size 1000 --segment 30 --count 3001 --rate 50000"
	check_equal "segments, taken apart" "$(result)" "3001 3001 0 0 0 0"
}

many_memberships() {
	local many="--groups 130 --ports 2"
	transfer "$many" "$many --count 2600 --rate 20000"
	check_equal "130 groups, 2 ports" "$(result)" "2600 2600 0 0 0 0"
	check_equal "… on sockets of 20 groups" "$(of_sink .sockets)" 14
	check_equal "… in flows" "$(of_sink .total.flows)" 260
	many="--group 232.1.1.1 --groups 3 --source 198.18.0.100 --sources 25"
	transfer "$many" "$many --mode packet --count 750 --rate 20000"
	check_equal "3 groups from 25 sources each" "$(result)" "750 750 0 0 0 0"
	transfer "--group 232.1.1.1 --source 198.18.0.100" \
		"--group 232.1.1.1 --source 198.18.0.99 --sources 3 --count 30"
	check_equal "one source of three" \
		"$(of_sink .total.{unique,lost} .flows[0].source)" "10 0 198.18.0.100"
	transfer "--groups 200 --ports 100" \
		"--groups 200 --ports 100 --mode packet --count 40000 --rate 40000 --size 36"
	check_equal "20,000 flows" "$(of_sink .total.{unique,lost,flows})" "40000 0 20000"
}

drops_are_accounted_for() {
	transfer "--buffer 1" "--mode live --count 1000000"
	check_equal "offered = received + dropped by the socket" \
		"$(of_sink '.total.received + .total.socket_dropped')" "$(of_gen .total.offered)"
	transfer "--mode packet --buffer 1" "--mode live --count 1000000"
	check_equal "offered = received + dropped by the packet socket" \
		"$(of_sink '.total.received + .total.socket_dropped')" "$(of_gen .total.offered)"
	on b ethtool -K b0 gro off
	gen a t --interface a0 --mode live --count 1000
	check_equal "live frames that nobody takes" \
		"$(of_gen .total.{sent,offered,unaccounted})" "1000 0 1000"
	on b ethtool -K b0 gro on
	on b ip link set b0 down
	gen a t --interface a0 --mode packet --count 100
	check_equal "a link that is down" \
		"$(of_gen '.total.sent + .total.failed' .total.offered)" "100 0"
	on b ip link set b0 up
}

the_sink_ends() {
	start_sink b t --interface b0 "${to[@]}" --idle 100
	gen a t --interface a0 --count 10
	check "when nothing comes any more" wait_for 5 is_gone "${sink_pid[t]}"
	end_sink t
	check_equal "… having read what came" "$(of_sink .total.received)" 10
	start_sink b t --interface b0 "${to[@]}" --expect 10
	gen a t --interface a0 --count 10
	check "when it has what it expects" wait_for 5 is_gone "${sink_pid[t]}"
	end_sink t
	start_sink b t --interface b0 "${to[@]}"
	gen a t --interface a0 --count 10
	end_sink t
	check_equal "at SIGTERM, having read what was there" "$(of_sink .total.received)" 10
	check_fails "with status 1 when less comes than it expects" \
		on b "$bin/mcrsink" --interface b0 "${to[@]}" --expect 10 --duration 0.1
}

tb_up pair MTU=9000
every_mode_reaches_every_sink
the_rate_is_exact
both_directions
what_is_done_is_seen
checksums
odd_frames
vlan_tag
sizes
many_memberships
drops_are_accounted_for
the_sink_ends
finish
