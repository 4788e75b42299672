#!/bin/bash
# SPDX-License-Identifier: MIT
# Traffic of any source comes in on every interface that is routed on: what the data path tells of
# a source becomes a route of its own, and what comes the wrong way is not forwarded.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/relay.json5" <<'END2'
{
  igmp: { querier_interfaces: ["o1", "o2"], source_interfaces: ["in0"], fast_leave: true,
          max_groups: 20000 },
}
END2

# routes FILTER : a jq filter of the multicast routes
routes() {
	ctl relay --output json mroute | jq -r "$1"
}

# way SOURCE GROUP : "input outputs"
way() {
	routes ".routes[] | select(.source == \"$1\" and .group == \"$2\") |
		[.input_interface, .output_interfaces[]] | join(\" \")"
}

goes() {
	[ "$(way "$1" "$2")" = "$3" ]
}

rules_are() {
	[ "$(ctl relay --output json status | jq '.rules.active')" = "$1" ]
}

# rule ID FIELD
rule() {
	ctl relay --output json stats | jq -r ".rules[] | select(.rule_id == \"$1\") | $2"
}

listening() {
	label="listening: "
	check_equal "a classifier is on every interface" "$(ctl relay --output json stats |
		jq -r '[.interfaces[] | select(.xdp_mode == "native") | .name] | sort | join(" ")')" \
		"in0 o1 o2"
	check "no rule is there" rules_are 0
	gen src unwanted --interface s0 --group 239.1.1.9 --port 5001 --count 10 --ttl 9
	check_equal "a group that nobody wants makes no route" "$(routes '.routes | length')" 0
}

# From the first source interface nothing is lost; from another, what comes before there is a rule.
heard() {
	label="heard: "
	start_sink rx1 any --interface r0 --group 239.1.1.1
	check "a join" wait_for 2 goes "" 239.1.1.1 "in0 o1"
	gen src first --interface s0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	check "a source on the first interface has its route" \
		wait_for 2 goes 198.18.0.1 239.1.1.1 "in0 o1"
	gen rx2 other --interface r0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9 \
		--first-flow 1
	check "one on another interface, too" wait_for 2 goes 198.18.2.2 239.1.1.1 "o2 o1"
	gen rx2 more --interface r0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9 \
		--first-flow 2
	gen rx2 dying --interface r0 --group 239.1.1.1 --port 5001 --count 10 --ttl 1 --first-flow 3
	check "it is guarded against where the group comes in" \
		wait_for 2 rule_is guard:198.18.2.2,239.1.1.1 .datapath_effective drop
	check "the routes count" wait_for 3 counted 198.18.2.2 1000
	sleep 0.2
	end_sink any
	check "all go with the last receiver" wait_for 2 rules_are 0
	check_equal "no route is left" "$(routes '.routes | length')" 0
	check_equal "from the first interface all arrive" "$(flow 0)" 1000
	check_equal "from another, once there is a rule" "$(flow 2)" 1000
	check_between "and before that, but for the first few" "$(flow 1)" 700 1000
	echo "# lost before there was a rule: $((1000 - $(flow 1))) datagrams, 0.1 ms apart"
	check_equal "TTL 1 does not" "$(flow 3)" 0
	check "the books close" wait_for 5 is_at_rest relay
}

rule_is() {
	[ "$(rule "$1" "$2")" = "$3" ]
}

# flow N : datagrams of that flow that have arrived
flow() {
	json "$tmp/sink.any.json" "[.flows[] | select(.flow == $1) | .unique] | add // 0"
}

# counted SOURCE AT_LEAST
counted() {
	[ "$(routes "[.routes[] | select(.source == \"$1\") | .packets] | add // 0")" -ge "$2" ]
}

# The way to the source changes: its route follows, and what still comes the old way ends here.
moved() {
	label="moved: "
	on rx2 ip addr add 198.19.0.1/32 dev r0
	on relay ip route add 198.19.0.1/32 via 198.18.2.2
	start_sink rx1 any --interface r0 --group 239.1.1.2
	wait_for 2 goes "" 239.1.1.2 "in0 o1"
	gen rx2 far --interface r0 --source 198.19.0.1 --group 239.1.1.2 --port 5001 --count 500 \
		--rate 10000 --ttl 9
	check "a source behind a route" wait_for 2 goes 198.19.0.1 239.1.1.2 "o2 o1"
	on relay ip route change 198.19.0.1/32 via 198.18.0.1
	check "its way changes" wait_for 2 goes 198.19.0.1 239.1.1.2 "in0 o1"
	gen rx2 wrong --interface r0 --source 198.19.0.1 --group 239.1.1.2 --port 5001 --count 500 \
		--rate 10000 --ttl 9 --first-flow 1
	check "what comes the wrong way is counted" wait_for 3 wrong_are 198.19.0.1 500
	sleep 0.2
	end_sink any
	check_equal "and not forwarded" "$(flow 1)" 0
	check "all go" wait_for 2 rules_are 0
	check "the books close" wait_for 5 is_at_rest relay
}

# wrong_are SOURCE N
wrong_are() {
	[ "$(routes "[.routes[] | select(.source == \"$1\") | .packets_wrong_interface] | add")" = "$2" ]
}

# Receiver and source on one link: the route has no output, and its frames do not fall through to
# the rule of the group.
at_home() {
	label="at home: "
	start_sink rx2 any --interface r0 --group 239.1.1.3
	wait_for 2 goes "" 239.1.1.3 "in0 o2"
	gen rx2 home --interface r0 --group 239.1.1.3 --port 5001 --count 10 --ttl 9
	check "a source beside its receivers has no output" wait_for 2 goes 198.18.2.2 239.1.1.3 o2
	check_equal "its rule drops" "$(rule mroute:198.18.2.2,239.1.1.3 .datapath_effective)" drop
	gen rx2 more --interface r0 --group 239.1.1.3 --port 5001 --count 100 --ttl 9
	check "and counts" wait_for 3 pruned_are 100
	end_sink any
	check "all go" wait_for 2 rules_are 0
	check "the books close" wait_for 5 is_at_rest relay
}

pruned_are() {
	[ "$(rule mroute:198.18.2.2,239.1.1.3 .drops.pruned)" -ge "$1" ]
}

# A bridge has no native XDP: what comes in there is told of by the filter of a packet socket.
bridged() {
	label="bridged: "
	on relay ip link add br0 type bridge
	on relay ip link set br0 up
	on relay ip addr flush dev o2
	on relay ip link set o2 master br0
	on relay ip addr add 198.18.2.1/24 dev br0
	sed 's/querier.*source_interfaces.*$/querier_interfaces: ["o1"], source_interfaces: ["in0", "br0"],/' \
		"$tmp/relay.json5" >"$tmp/bridged.json5"
	ctl relay config load --replace --file "$tmp/bridged.json5" >/dev/null || not_ok "is loaded"
	check "a worker listens there" wait_for 5 worker_is br0 afpacket running
	start_sink rx1 any --interface r0 --group 239.1.1.4
	wait_for 2 goes "" 239.1.1.4 "in0 o1"
	gen rx2 before --interface r0 --group 239.1.1.4 --port 5001 --count 10 --rate 1000 --ttl 9
	check "a source behind it has its route" wait_for 2 goes 198.18.2.2 239.1.1.4 "br0 o1"
	gen rx2 after --interface r0 --group 239.1.1.4 --port 5001 --count 1000 --rate 5000 --ttl 9 \
		--first-flow 1
	sleep 0.2
	end_sink any
	check_equal "all arrive" "$(flow 1)" 1000
	check "all go" wait_for 2 rules_are 0
	check "the books close" wait_for 5 is_at_rest relay
	ctl relay config load --replace --file "$tmp/relay.json5" >/dev/null || not_ok "is loaded again"
	on relay ip link set o2 nomaster
	on relay ip link del br0
	on relay ip addr add 198.18.2.1/24 dev o2
}

# worker_is INTERFACE KIND STATUS
worker_is() {
	ctl relay --output json list-workers | jq -e ".workers[] | select(.interface == \"$1\" and
		.worker_type == \"$2\" and .status == \"$3\")" >/dev/null
}

ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# (*,G), (S,G) and a guard for each of them: the source is not where (*,G) comes in.
many() {
	local groups=10000 start
	label="$groups groups: "
	on rx1 sysctl -qw net.ipv4.igmp_max_memberships=20000 net.core.optmem_max=1000000000
	start=$(ms)
	start_sink rx1 any --interface r0 --group 239.2.0.0 --groups "$groups"
	check "are joined from any source" wait_for 60 rules_are "$groups"
	echo "# joined after $(($(ms) - start)) ms"
	start=$(ms)
	gen rx2 first --interface r0 --group 239.2.0.0 --groups "$groups" --port 5001 \
		--count $((groups * 8)) --rate 20000 --ttl 9
	check "their source has its routes" wait_for 60 rules_are $((3 * groups))
	echo "# all heard after $(($(ms) - start)) ms"
	gen rx2 after --interface r0 --group 239.2.0.0 --groups "$groups" --port 5001 \
		--count $((groups * 2)) --rate 20000 --ttl 9 --first-flow 20000
	sleep 0.5
	end_sink any
	check_equal "then all arrive" "$(json "$tmp/sink.any.json" \
		'[.flows[] | select(.flow >= 20000) | .unique] | add')" $((groups * 2))
	echo "# lost before there were rules: $((groups * 8 - $(json "$tmp/sink.any.json" \
		'[.flows[] | select(.flow < 20000) | .unique] | add')))"
	check "all go" wait_for 60 rules_are 0
	check "the books close" wait_for 10 is_at_rest relay
}

tb_up fanout N=2
start_mcrd relay "$tmp/relay.json5" --ignore-state
for part in ${PARTS:-$(some 5 listening heard moved at_home many)}; do
	"$part"
done
label=""
stop_mcrd relay
finish
