#!/bin/bash
# SPDX-License-Identifier: MIT
# Any-source groups across three routers of which the one in the middle is the rendezvous point:
# Registers, the switch to the source's own tree, without packets twice; both orders of source and
# receiver; a source that ends.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/pim.sh
. "$root/tests/lib/pim.sh"

source=198.18.1.1
rp=198.18.12.2

registers_are() {
	[ "$(tree r1 "$source" "$1" .register)" = "$2" ]
}

is_spt() {
	[ "$(tree "$1" "$source" "$2" .spt)" = true ]
}

count() {
	ctl "$1" --output json pim interfaces | jq ".counters.$2"
}

# The receiver is there first.
receiver_first() {
	local group=239.1.1.1 n
	n=$(($(gently 1000) * 3))
	label="receiver first: "
	start_capture r2 wire u0 pim
	start_sink rx1 one --interface r0 --group "$group"
	check "a join goes to the rendezvous point" wait_for 3 route_is r3 "" "$group" "u0 o1"
	check "which waits for sources" wait_for 3 has_tree r2 "" "$group"
	check_equal "it knows that it is it" "$(tree r2 "" "$group" .is_rp)" true
	gen src a --interface s0 --group "$group" --port 5001 --count "$n" --rate "$(gently 1000)" --ttl 9
	check "the rendezvous point has joined the source" is_spt r2 "$group"
	check "the receiver's router has, too" wait_for 3 is_spt r3 "$group"
	check "Registers are stopped" wait_for 3 registers_are "$group" prune
	check "the route of the source" route_is r1 "$source" "$group" "i0 d0"
	end_sink one
	end_capture wire
	check_equal "nothing twice" "$(json "$tmp/sink.one.json" '.total.received - .total.unique')" 0
	echo "# $(json "$tmp/sink.one.json" .total.unique) of $n came," \
		"$(count r2 received_types.register) Registers"
	# the first go by before routes are there: when it is met, and when its tree is changed
	check_between "all come but the first" "$(json "$tmp/sink.one.json" .total.unique)" \
		$((n - n / 10)) "$n"
	check_between "some of them in Registers" "$(count r2 registers_forwarded)" 1 $((n / 2))
	check_equal "no packet is malformed" "$(malformed_pim wire)" ""
	check_equal "a Register has a checksum over eight octets" \
		"$(fields wire 'pim.type == 1' pim.cksum.status | sort -u)" 1
	check "without receivers nobody joins" wait_for 3 route_is r1 "$source" "$group" "i0"
	books
}

has_tree() {
	[ -n "$(tree "$@" .group)" ]
}

# A source sends that nobody wants, and then somebody does.
source_first() {
	local group=239.1.1.2 rate
	rate=$(gently 1000)
	label="source first: "
	gen_start src b --interface s0 --group "$group" --port 5001 --duration 6 --rate "$rate" --ttl 9
	check "the rendezvous point hears of it" wait_for 3 has_tree r2 "$source" "$group"
	check "and stops Registers that nobody wants" wait_for 3 registers_are "$group" prune
	start_capture rx1 join r0 "igmp or (udp and dst $group)"
	start_sink rx1 one --interface r0 --group "$group"
	check "it is joined to the source" wait_for 3 is_spt r3 "$group"
	gen_wait b
	end_sink one
	end_capture join
	check_equal "nothing twice" "$(json "$tmp/sink.one.json" '.total.received - .total.unique')" 0
	check_equal "nothing is lost once it has come" "$(json "$tmp/sink.one.json" \
		'.flows[0] | .last_sequence - .first_sequence + 1 - .unique')" 0
	check_between "ms from the join to the first packet" "$(tshark -n -r "$tmp/join.pcap" -T fields \
		-e frame.time_epoch -e igmp.type -e ip.dst 2>/dev/null | awk -F '\t' -v group="$group" '
		$2 == "0x22" && !asked { asked = $1 }
		$3 == group && asked && !came { came = 1; print int(($1 - asked) * 1000 + 1) }')" 0 \
		"$(patiently 200)"
	books
}

never() {
	local group=239.1.1.3 n
	n=$(gently 1000)
	label="never: "
	row_config r3 "$common spt: \"never\"," "$igmp"
	ctl r3 config load --replace --file "$tmp/r3.json5" >/dev/null
	start_sink rx1 one --interface r0 --group "$group"
	wait_for 3 route_is r3 "" "$group" "u0 o1"
	gen src c --interface s0 --group "$group" --port 5001 --count "$n" --rate "$(gently 1000)" --ttl 9
	check_equal "the receiver's router keeps to the shared tree" "$(tree r3 "$source" "$group" .spt)" ""
	end_sink one
	check_equal "nothing twice" "$(json "$tmp/sink.one.json" '.total.received - .total.unique')" 0
	check_between "all come but the first" "$(json "$tmp/sink.one.json" .total.unique)" \
		$((n - n / 4)) "$n"
}

books() {
	local node
	for node in r1 r2 r3; do
		check "the books of $node close" wait_for 5 is_at_rest "$node"
	done
}

common="static_rp: [{ group: \"224.0.0.0/4\", rp: \"$rp\" }], keepalive: 60,"
igmp="fast_leave: true, query_interval: 20, query_response_interval: 2,"
row_up
row_start "$common" "$igmp" || not_ok "the routers know each other"
for part in ${PARTS:-receiver_first source_first never}; do
	"$part"
done
label=""
stop_all
finish
