#!/bin/bash
# SPDX-License-Identifier: MIT
# Rules replicated in the kernel, by the real daemon: policies on the wire, exact books also when a
# receiver's ring is full, changes of rules under traffic that cost the others nothing, and what
# makes a rule leave this datapath and come back by itself.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"
DATAPATH=xdp
rate=${RATE:-$(gently 100000)}
good="1 1" # what tshark says of IP and UDP checksums that are right

# runs_on DATAPATH REASON-PATTERN [RULE] : the first rule, or this one
runs_on() {
	ctl relay --output json list | jq -e --arg d "$1" --arg r "$2" --argjson i "${3:-0}" \
		'.rules[$i] | .datapath_effective == $d and (.datapath_reason | test($r))'
}

# check_runs_on NAME DATAPATH REASON-PATTERN : within some seconds, by itself
check_runs_on() {
	wait_for 10 runs_on "$2" "$3"
	check_equal "$1" "$(ctl relay --output json list |
		jq -r --arg r "$3" '.rules[0] | "\(.datapath_effective) \(.datapath_reason |
			if test($r) then "" else . end)"')" "$2 "
}

# By SIGINT, so that nothing stays in the kernel: the next one counts from zero.
stop_relay() {
	local name
	for name in "${!sink_pid[@]}"; do
		end_sink "$name"
	done
	stop_mcrd relay INT
}

# kernel NAME : of what the kernel made of frames from in0
kernel() {
	stat relay "port(\"in0\").kernel.$1"
}

# --- bytes ---------------------------------------------------------------------------------------

policies() {
	local i how=UDP4-SENDTO:239.1.1.1:5001,sourceport=4444,ip-multicast-ttl=12
	relay relay "$(rule in0 \
		'o1, group: "239.2.1.1", port: 6001, ttl: 9, dscp: 10' \
		'o2, source: "preserve", ttl: "decrement"' \
		'o3, group: "239.2.1.3", source: "198.19.0.77"')"
	for i in 1 2 3; do
		start_capture "rx$i" "p$i" r0 udp
	done
	for i in 1 2 3 4 5; do
		echo "datagram $i" |
			on src socat -u - "$how,ip-tos=187,ip-mtu-discover=2" || bail "socat"
	done
	check_books relay
	for i in 1 2 3; do
		end_capture "p$i" 5
	done
	check_equal "group, port, TTL and DSCP rewritten; ECN and DF kept" \
		"$(wire p1)" "5 198.18.1.1 239.2.1.1 4444 6001 9 0x2b 1 $good 01:00:5e:02:01:01"
	check_equal "source and port preserved, TTL one less" \
		"$(wire p2)" "5 198.18.0.1 239.1.1.1 4444 5001 11 0xbb 1 $good 01:00:5e:01:01:01"
	check_equal "literal source, default TTL" \
		"$(wire p3)" "5 198.19.0.77 239.2.1.3 4444 5001 1 0xbb 1 $good 01:00:5e:02:01:03"
	check_equal "five different payloads, the same everywhere" \
		"$(for i in 1 2 3; do fields "p$i" udp data.data; done | sort | uniq -c | sed 's/^ *//' |
			cut -d ' ' -f 1 | xargs)" "3 3 3 3 3"
	stop_relay
}

wire() {
	fields "$1" udp ip.src ip.dst udp.srcport udp.dstport ip.ttl ip.dsfield ip.flags.df \
		ip.checksum.status udp.checksum.status eth.dst
}

# --- books ---------------------------------------------------------------------------------------

# overload SIZE : as fast as frames can be made; what is lost has a name. The ring of the first
# receiver is emptied by a thread, which is not always there in time.
overload() {
	local i sent
	on rx1 sh -c 'echo 1 >/sys/class/net/r0/threaded'
	relay relay "$(rule in0 o1 o2 o3)"
	for i in 1 2 3; do
		start_sink "rx$i" "$i" --interface r0 "${flow[@]}"
	done
	gen src g --interface s0 "${flow[@]}" --mode live --size "$1" --duration 1
	check_books relay
	sent=$(stat relay 'seen("in0")')
	check_equal "$1 B: all that the source offered was seen" "$sent" "$(offered g)"
	check_equal "… and replicated" "$(stat relay 'verdict("in0"; "replicated")')" "$sent"
	check_equal "… copies are taken or refused by interfaces" \
		"$(kernel 'copies_taken + port("in0").kernel.copies_refused')" $((3 * sent))
	for i in 1 2 3; do
		end_sink "$i"
	done
	check_equal "… what was taken came to sockets" \
		"$(cat "$tmp"/sink.[123].json | jq -s '[.[].total | .received + .socket_dropped] | add')" \
		"$(kernel copies_taken)"
	for i in 1 2 3; do
		check_equal "… o$i: its device names what it refused" \
			"$(json "$tmp/sink.$i.json" '.total.received + .total.socket_dropped')" \
			"$(passed_on relay "o$i")"
	done
	check_equal "… nothing was changed" \
		"$(cat "$tmp"/sink.[123].json | jq -s '[.[].total | .corrupt, .duplicated] | add')" 0
	on rx1 sh -c 'echo 0 >/sys/class/net/r0/threaded'
	check_between "… the overload was one" "$(kernel copies_refused)" 1 $((3 * sent))
	echo "# $1 B: $sent sent; $(kernel copies_refused) of $((3 * sent)) copies refused by rings"
	stop_relay
}

# --- changes under traffic -----------------------------------------------------------------------

# outputs N… : as a request names them
outputs() {
	local i list=""
	for i; do
		list+="${list:+,}{\"interface\":\"o$i\",\"source\":\"preserve\"}"
	done
	echo "[$list]"
}

# add ID GROUP OUTPUTS : as a line for the control socket
add() {
	echo "{\"command\":\"AddRule\",\"rule_id\":\"$1\",\"input_interface\":\"in0\"," \
		"\"input_group\":\"$2\",\"input_port\":5001,\"datapath\":\"xdp\",\"outputs\":$3}"
}

# the_one OUTPUTS : the flow's rule with these, whatever it had before, as such a line
the_one() {
	echo "{\"command\":\"LoadConfig\",\"replace\":true,\"config\":{\"rules\":[{\"id\":\"a\"," \
		"\"datapath\":\"xdp\",\"input\":{\"interface\":\"in0\",\"group\":\"239.1.1.1\"," \
		"\"port\":5001},\"outputs\":$1}]}}"
}

# Neighbours come and go while one rule is under way.
neighbours() {
	local i
	relay relay "$(rule in0 o1 o2)"
	start_sink rx1 a --interface r0 "${flow[@]}"
	start_sink rx2 b --interface r0 "${flow[@]}"
	start_gen src g --interface s0 "${flow[@]}" --rate "$rate"
	for ((i = 0; i < 300; i++)); do
		add "n$i" "239.1.2.$((i % 250))" "$(outputs $((i % 3 + 1)))"
		echo "{\"command\":\"RemoveRule\",\"rule_id\":\"n$i\"}"
	done >"$tmp/requests"
	check "300 other rules come and go" "$helper/ask" "$tmp/relay.sock" <"$tmp/requests"
	end_gen g
	check_books relay
	check_equal "all run here to the end" "$(datapaths relay)" xdp
	check_undisturbed a b
	stop_relay
}

# check_undisturbed SINK… : all of gen g arrived there once, but for what rings refused
check_undisturbed() {
	local name sum=0 n=$(($(offered g) * $#))
	for name; do
		end_sink "$name"
		check_equal "$name: nothing twice, out of order or changed" \
			"$(totals "$name" "duplicated reordered corrupt")" "0 0 0"
		sum=$((sum + $(json "$tmp/sink.$name.json" '.total.unique + .total.socket_dropped')))
	done
	check_between "nothing is lost but to rings of receivers" \
		$((n - sum)) 0 "$(kernel copies_refused)"
	echo "# $n copies, $(kernel copies_refused) refused by rings"
}

# An output joins and leaves a rule under way; how soon it has datagrams is measured at its end.
live_outputs() {
	local n=100 p50
	the_one "$(outputs 1 2)" >"$tmp/without"
	the_one "$(outputs 1 2 3)" >"$tmp/with"
	start_mcrd relay "" --ignore-state || bail "no relay"
	check "a rule with two outputs" "$helper/ask" "$tmp/relay.sock" <"$tmp/without"
	check_equal "… runs on xdp" "$(datapaths relay)" xdp
	start_sink rx1 a --interface r0 "${flow[@]}"
	start_sink rx2 b --interface r0 "${flow[@]}"
	start_gen src g --interface s0 "${flow[@]}" --rate "$rate"
	on relay nice -n -20 "$helper/joins" "$tmp/relay.sock" o3 "$tmp/with" "$tmp/without" "$n" \
		>"$tmp/joins" 2>"$tmp/joins.log" || not_ok "measured" "$(cat "$tmp/joins.log")"
	end_gen g
	check_books relay
	check_equal "each time it had datagrams" "$(grep -c . "$tmp/joins")" "$n"
	p50=$(nth 50 <"$tmp/joins")
	echo "# an output is in force after $p50 us (p50), $(nth 99 <"$tmp/joins") us (p99)," \
		"$(nth 100 <"$tmp/joins") us (most)"
	check_between "… within 5 ms (p50; who else is on the machine is in the rest)" "$p50" 0 \
		"$(patiently 5000)"
	check_undisturbed a b
	stop_relay
}

# --- what it cannot do ---------------------------------------------------------------------------

# Receivers without GRO or XDP do not take redirected frames.
eligibility() {
	on rx2 ethtool -K r0 gro off
	DATAPATH=afxdp also='id: "a",' relay relay \
		"$(DATAPATH=xdp also='id: "a",' rule in0 'o1, ttl: 8' 'o2, ttl: 8')"
	check_runs_on "a peer without GRO: a worker, and the reason" afxdp 'o2: cannot take redirected'
	on rx2 ethtool -K r0 gro on
	check_runs_on "GRO is switched on: back by itself" xdp 'asks for xdp'
	forwards "after GRO was switched on" a b
	on relay ip link set in0 mtu 9000
	on relay ip link set o1 mtu 9000
	on relay ip link set o2 mtu 9000
	check_runs_on "MTU 9000: a worker, and the reason" afxdp 'in0: its MTU makes frames in pieces'
	on relay ip link set in0 mtu 1500
	check_runs_on "MTU 1500: back" xdp 'asks for xdp'
	on relay ip link set o2 mtu 1400
	check_runs_on "an output with a smaller MTU" afxdp 'o2: has a smaller MTU than the input'
	on relay ip link set o2 mtu 1500
	check_runs_on "… and as before" xdp 'asks for xdp'
	forwards "after changes of the MTU" a b
	on relay ip link set o2 down
	wait_for 5 output_state down
	check_runs_on "an output that is down holds up nobody" xdp ''
	forwards "one is down" a
	on relay ip link set o2 up
	wait_for 5 output_state up
	forwards "it is up again" a b
	stop_relay
}

# output_state up|down : what the daemon thinks of o2
output_state() {
	ctl relay --output json list | jq -e --arg s "$1" \
		'.rules[0].outputs[1].reason | test("is down") == ($s == "down")'
}

# forwards NAME SINK… : 1000 datagrams arrive at each, and the books close
forwards() {
	local i=0 name title=$1
	for name in "${@:2}"; do
		start_sink "rx$((++i))" "$name" --interface r0 "${flow[@]}" --expect 1000 --duration 10
	done
	gen src g --interface s0 "${flow[@]}" --count 1000 --rate 20000
	for name in "${@:2}"; do
		wait_sink "$name" 15
		check_equal "$title: $name has all" "$(totals "$name" "unique duplicated corrupt")" "1000 0 0"
	done
	check_books relay
}

# The interface goes with all that the kernel knows of it, and comes back by another number.
recreated() {
	relay relay "$(rule in0 'o1, ttl: 8' 'o3, ttl: 8, source: "preserve"')"
	on relay ip link del o3
	wait_for 5 runs_on xdp 'asks'
	forwards "one output is gone" a
	on relay ip link add o3 type veth peer name r0 netns "$tb_prefix-rx3"
	on rx3 ethtool -K r0 gro on
	on rx3 ip link set r0 up
	on rx3 ip addr add 198.18.3.2/24 dev r0
	on relay ip addr add 198.18.3.1/24 dev o3
	on relay ip link set o3 up
	wait_for 5 all_outputs_up
	check_equal "it came back: all outputs on xdp" "$(datapaths relay)" xdp
	start_sink rx3 c --interface r0 "${flow[@]}" --expect 1000 --duration 10
	forwards "it came back" a
	wait_sink c 15
	check_equal "… and has all" "$(totals c "unique duplicated corrupt")" "1000 0 0"
	stop_relay
}

all_outputs_up() {
	ctl relay --output json list |
		jq -e '[.rules[0].outputs[] | select(.state != "active" or .reason != "")] == []'
}

tb_up demo
policies
overload 100
tb_down # devices count from the beginning of their days
tb_up demo
overload 1400
neighbours
live_outputs
eligibility
recreated
finish
