#!/bin/bash
# SPDX-License-Identifier: MIT
# Traffic follows what hosts want: source-specific by the unicast routes, any-source from the first
# source interface; how quickly it comes and ends; 10,000 groups; the books close.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/relay.json5" <<'END'
{
  igmp: { querier_interfaces: ["o1", "o2"], source_interfaces: ["in0"], fast_leave: true,
          max_groups: 20000 },
}
END

# routes FILTER : a jq filter of the multicast routes
routes() {
	ctl relay --output json mroute | jq -r "$1"
}

# outputs SOURCE GROUP : interfaces that it goes out of
outputs() {
	routes "[.routes[] | select(.source == \"$1\" and .group == \"$2\") |
		.output_interfaces[]] | join(\" \")"
}

goes_to() {
	[ "$(outputs "$1" "$2")" = "$3" ]
}

rules_are() {
	[ "$(ctl relay --output json list | jq '[.rules[] | select(.state == "active")] | length')" = "$1" ]
}

specific() {
	label="source-specific: "
	start_sink rx1 one --interface r0 --group 232.1.1.1 --source 198.18.0.1
	check "a join makes a route" wait_for 2 goes_to 198.18.0.1 232.1.1.1 o1
	check_equal "its input is where the source is" \
		"$(routes '.routes[0].input_interface')" in0
	check_equal "its rule says why it is there" \
		"$(ctl relay --output json list | jq -r '.rules[0].origin')" igmp
	check_fails "it is not removed by hand" ctl relay remove \
		--rule-id mroute:198.18.0.1,232.1.1.1
	start_sink rx2 two --interface r0 --group 232.1.1.1 --source 198.18.0.1
	check "two receivers" wait_for 2 goes_to 198.18.0.1 232.1.1.1 "o1 o2"
	gen src ssm --interface s0 --group 232.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	end_sink two
	check "one of them leaves" wait_for 2 goes_to 198.18.0.1 232.1.1.1 o1
	gen src more --interface s0 --group 232.1.1.1 --port 5001 --count 500 --rate 10000 \
		--first-flow 1
	sleep 0.2
	end_sink one
	check "the last one leaves" wait_for 2 rules_are 0
	check_equal "no route is left" "$(routes '.routes | length')" 0
	check_equal "the first got all" "$(json "$tmp/sink.one.json" .total.unique)" 1500
	check_equal "the second until it left" "$(json "$tmp/sink.two.json" .total.unique)" 1000
	check_equal "the kernel's memberships are left, too" \
		"$(on relay cat /proc/net/mcfilter | grep -c in0)" 0
	check "the books close" wait_for 5 is_at_rest relay
}

lost() {
	label="unicast routes: "
	start_sink rx1 far --interface r0 --group 232.1.1.2 --source 198.19.0.9
	wait_for 2 goes_to 198.19.0.9 232.1.1.2 o1
	check_equal "without a way back there is no input" \
		"$(routes '.routes[0].input_interface')" ""
	check_equal "and why" "$(ctl relay --output json rpf 198.19.0.9 | jq -r .rpf.is_routed)" false
	on relay ip route add 198.19.0.0/24 via 198.18.0.1
	check "a route comes, and with it the input" wait_for 1 rules_are 1
	check_equal "by its next hop" "$(ctl relay --output json rpf 198.19.0.9 |
		jq -r '[.rpf.upstream_interface, .rpf.upstream_neighbor] | join(" ")')" "in0 198.18.0.1"
	on relay ip route del 198.19.0.0/24
	check "it goes" wait_for 1 rules_are 0
	end_sink far
	wait_for 2 rules_are 0
}

# Another receiver is there all the time, so that the tree is.
quick() {
	local i
	label="quick: "
	gen_start src steady --interface s0 --group 232.1.1.3 --port 5001 --rate 2000 --duration 27 \
		--ttl 9
	start_sink rx2 always --interface r0 --group 232.1.1.3 --source 198.18.0.1
	wait_for 2 goes_to 198.18.0.1 232.1.1.3 o2
	start_capture rx1 wire r0 'igmp or (udp and dst 232.1.1.3)'
	for ((i = 0; i < 12; i++)); do
		start_sink rx1 on --interface r0 --group 232.1.1.3 --source 198.18.0.1
		sleep 0.3
		end_sink on
		sleep 1.6
	done
	end_capture wire
	end_sink always
	wait_for 2 rules_are 0
	gen_wait steady
	tshark -n -r "$tmp/wire.pcap" -T fields -e frame.time_epoch -e igmp.record_type -e ip.dst \
		2>/dev/null | awk -F '\t' '
		$2 ~ /5/ && $1 > asked + 1.2 { asked = $1; waits = 1 }
		$2 ~ /6/ && $1 > left + 1.2 { left = $1 }
		$2 == "" && $3 == "232.1.1.3" {
			if (waits) print "join", int(($1 - asked) * 1000 + 1)
			waits = 0; last = $1
			if (left > asked) after[left] = int(($1 - left) * 1000 + 1)
		}
		END { for (at in after) print "leave", after[at] }' >"$tmp/times"
	echo "# ms: $(sort "$tmp/times" | tr '\n' ' ')"
	check_equal "joins that were followed" "$(grep -c join "$tmp/times")" 12
	# of twelve the slowest may be the machine's: all of them are printed above
	check_between "ms from a join to the first packet, eleven of twelve" \
		"$(awk '/join/ { print $2 }' "$tmp/times" | sort -n | tail -n 2 | head -n 1)" 0 20
	check_between "ms from a leave to the last packet, the slowest" \
		"$(awk '/leave/ { print $2 } END { print 0 }' "$tmp/times" | sort -n | tail -n 1)" 0 50
	check "the books close" wait_for 5 is_at_rest relay
}

# config ID… : the router, and rules with 64 outputs each that only take up room
config() {
	local id i outs=""
	for ((i = 0; i < 64; i++)); do
		outs+="{ interface: \"no$i\" },"
	done
	head -n -1 "$tmp/relay.json5"
	echo "  rules: ["
	for id; do
		echo "{ id: \"$id\", outputs: [$outs], input: { interface: \"in0\",
			group: \"239.200.$((id / 256)).$((id % 256))\" } },"
	done
	echo "] }"
}

# Room for 128 more outputs: what else is wanted has to wait, and gets its turn.
full() {
	label="full: "
	# shellcheck disable=SC2046  # numbers
	config $(seq 2046) >"$tmp/full.json5"
	ctl relay config load --replace --file "$tmp/full.json5" >/dev/null ||
		not_ok "the rules are loaded"
	start_sink rx1 late --interface r0 --group 232.3.0.0 --groups 200 --source 198.18.0.1
	check "some routes have to wait" wait_for 5 has_failures
	check "others do not" wait_for 5 forwarded_are 128
	ctl relay config load --replace --file "$tmp/relay.json5" >/dev/null
	check "all get their turn" wait_for 10 rules_are 200
	end_sink late
	wait_for 2 rules_are 0
}

forwarded_are() {
	[ "$(routes '[.routes[] | select(.rule_id != "")] | length')" = "$1" ]
}

has_failures() {
	[ "$(routes .failures)" -gt 0 ]
}

any_source() {
	label="any source: "
	start_sink rx1 any --interface r0 --group 239.1.1.1
	check "a join" wait_for 2 goes_to "" 239.1.1.1 o1
	gen src asm --interface s0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	gen src asm2 --interface s0 --group 239.1.1.1 --port 5001 --count 10 --ttl 1
	sleep 0.2
	end_sink any
	check_equal "all arrive, but those with TTL 1" "$(json "$tmp/sink.any.json" .total.unique)" 1000
	check "a leave" wait_for 2 rules_are 0
	check "the books close" wait_for 5 is_at_rest relay
}

many() {
	local groups=10000
	label="$groups groups: "
	on rx1 sysctl -qw net.ipv4.igmp_max_memberships=20000 net.core.optmem_max=1000000000
	start_sink rx1 many --interface r0 --group 232.2.0.0 --groups "$groups" --source 198.18.0.1
	check "are joined and forwarded" wait_for 60 rules_are "$groups"
	gen src many --interface s0 --group 232.2.0.0 --groups "$groups" --port 5001 \
		--count $((groups * 2)) --rate 20000 --ttl 9
	sleep 0.5
	end_sink many
	check_equal "all arrive" "$(json "$tmp/sink.many.json" .total.unique)" $((groups * 2))
	check "all go" wait_for 60 rules_are 0
	check "the books close" wait_for 10 is_at_rest relay
}

tb_up fanout N=2
start_mcrd relay "$tmp/relay.json5" --ignore-state
for part in ${PARTS:-specific lost full any_source quick many}; do
	"$part"
done
label=""
stop_mcrd relay
finish
