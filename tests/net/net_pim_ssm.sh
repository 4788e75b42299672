#!/bin/bash
# SPDX-License-Identifier: MIT
# Source-specific trees across three routers: joins and prunes hop by hop, how quickly traffic
# comes and ends, what a link that flaps and a way that moves leave of it, and that the books close.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/pim.sh
. "$root/tests/lib/pim.sh"

source=198.18.1.1

trees() {
	label="trees: "
	start_capture r2 jp d0 pim
	start_sink rx1 one --interface r0 --group 232.1.1.1 --source "$source"
	check "a join builds a tree" wait_for 3 route_is r1 "$source" 232.1.1.1 "i0 d0"
	check "… over the second router" route_is r2 "$source" 232.1.1.1 "u0 d0"
	check "… to the third" route_is r3 "$source" 232.1.1.1 "u0 o1"
	check_equal "hosts want it there" "$(routes r3 \
		'.routes[0].outputs | map(.interface + " " + (.owners | join(" "))) | join(", ")')" "o1 igmp"
	check_equal "a router does here" "$(routes r2 \
		'.routes[0].outputs | map(.interface + " " + (.owners | join(" "))) | join(", ")')" "d0 pim"
	check_equal "its rule says why it is there" \
		"$(ctl r2 --output json list | jq -r '.rules[0].origin')" pim
	check_equal "whom the join goes to" "$(tree r3 "$source" 232.1.1.1 .rpf_neighbor)" 198.18.23.2
	start_sink rx2 two --interface r0 --group 232.1.1.1 --source "$source"
	check "a second receiver" wait_for 3 route_is r3 "$source" 232.1.1.1 "u0 o1 o2"
	gen src a --interface s0 --group 232.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	wait_for 3 has_received r3 2000
	end_sink two
	check "it leaves" wait_for 3 route_is r3 "$source" 232.1.1.1 "u0 o1"
	end_sink one
	check "without receivers the tree goes" wait_for 3 no_routes r1
	check "everywhere" wait_for 3 no_routes r3
	end_capture jp
	check_equal "the first got all" "$(json "$tmp/sink.one.json" .total.unique)" 1000
	check_equal "once" "$(json "$tmp/sink.one.json" .total.received)" 1000
	check_equal "each hop takes one of the TTL" \
		"$(json "$tmp/sink.one.json" '.flows[0] | [.ttl_min, .ttl_max] | join(" ")')" "6 6"
	check_equal "the second, too" "$(json "$tmp/sink.two.json" .total.unique)" 1000
	check_equal "no packet is malformed" "$(malformed_pim jp)" ""
	# a router that has just come up is sent a join twice
	check_equal "joins, then one prune" "$(fields jp 'pim.type == 3' pim.numjoins pim.numprunes |
		uniq | tr '\t\n' ' ,')" "1 0,0 1,"
	books
}

has_received() {
	[ "$(ctl "$1" --output json stats | jq '[.rules[].outputs[].sent] | add')" -ge "$2" ]
}

books() {
	local node
	for node in r1 r2 r3; do
		check "the books of $node close" wait_for 5 is_at_rest "$node"
	done
}

# times CAPTURE GROUP : "join MS" from the report to the first packet, "leave MS" from the last
# member's leave to the last packet
times() {
	tshark -n -r "$tmp/$1.pcap" -T fields -e frame.time_epoch -e igmp.record_type -e ip.dst \
		2>/dev/null | awk -F '\t' -v group="$2" '
		$2 ~ /5/ && $1 > asked + 1.2 { asked = $1; waits = 1 }
		$2 ~ /6/ && $1 > left + 1.2 { left = $1 }
		$2 == "" && $3 == group {
			if (waits) print "join", int(($1 - asked) * 1000 + 1)
			waits = 0
			if (left > asked) after[left] = int(($1 - left) * 1000 + 1)
		}
		END { for (at in after) print "leave", after[at] }'
}

# The whole tree is built and taken down each time.
quick() {
	local i rounds
	rounds=$(seldom 6)
	label="quick: "
	gen_start src steady --interface s0 --group 232.1.1.3 --port 5001 --rate "$(gently 2000)" \
		--duration $((rounds * 2 + 1)) --ttl 9
	start_capture rx1 wire r0 'igmp or (udp and dst 232.1.1.3)'
	for ((i = 0; i < rounds; i++)); do
		start_sink rx1 on --interface r0 --group 232.1.1.3 --source "$source"
		sleep 0.4
		end_sink on
		sleep 1.4
	done
	end_capture wire
	gen_wait steady
	times wire 232.1.1.3 >"$tmp/times"
	echo "# ms: $(sort "$tmp/times" | tr '\n' ' ')"
	check_equal "joins that were followed" "$(grep -c join "$tmp/times")" "$rounds"
	# the slowest may be the machine's: all of them are printed above
	check_between "ms from a join to the first packet across three routers, all but one" \
		"$(awk '/join/ { print $2 }' "$tmp/times" | sort -n | tail -n 2 | head -n 1)" 0 \
		"$(patiently 200)"
	check_between "ms from a leave to the last packet, all but one" \
		"$(awk '/leave/ { print $2 } END { print 0; print 0 }' "$tmp/times" | sort -n |
			tail -n 2 | head -n 1)" 0 "$(patiently 50)"
	wait_for 3 no_routes r1
}

moves() {
	label="moves: "
	start_sink rx1 one --interface r0 --group 232.1.1.4 --source "$source"
	wait_for 3 route_is r1 "$source" 232.1.1.4 "i0 d0"
	on r3 ip route del 198.18.0.0/16
	check "without a way to the source there is no input" \
		wait_for 1 route_is r3 "$source" 232.1.1.4 ""
	check "and upstream hears of it" wait_for 3 no_routes r2
	on r3 ip route add 198.18.0.0/16 via 198.18.23.2
	check "with it, the tree is back" wait_for 1 route_is r1 "$source" 232.1.1.4 "i0 d0"
	check "up to the receiver" wait_for 1 route_is r3 "$source" 232.1.1.4 "u0 o1"
	ctl r2 config load --replace --file "$tmp/r2.json5" >/dev/null
	check "a reload changes nothing" route_is r2 "$source" 232.1.1.4 "u0 d0"
	on r2 ip link set u0 down
	check "the way over a link that is down is another, and ends here" wait_for 3 route_is r2 "$source" 232.1.1.4 d0
	on r2 ip link set u0 up
	on r2 ip route replace 198.18.1.0/24 via 198.18.12.1
	check "comes back, and the tree with it" wait_for 8 route_is r1 "$source" 232.1.1.4 "i0 d0"
	check "as it was" wait_for 3 route_is r2 "$source" 232.1.1.4 "u0 d0"
	end_sink one
	check "it goes" wait_for 3 no_routes r1
}

row_up
row_start "" "fast_leave: true, query_interval: 20, query_response_interval: 2," ||
	not_ok "the routers know each other"
for part in ${PARTS:-trees quick moves}; do
	"$part"
done
label=""
stop_all
finish
