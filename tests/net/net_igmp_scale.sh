#!/bin/bash
# SPDX-License-Identifier: MIT
# IGMP at its limits: 300 interfaces, 64 of them outputs of one group; 10,000 groups joined while
# others are answered; an interface that flaps a hundred times, or is made anew, leaves the state of
# a fresh start.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

n=300 outputs=64

cat >"$tmp/scale.topo" <<END
# A router with a host on each of its links: all of them in one namespace.
link src:s0,198.18.0.1/24,multicast relay:in0,198.18.0.2/24
each $n link relay:o{i},198.{net}.1/24 rx:r{i},198.{net}.2/24,gro
END

# config N : the first N interfaces
config() {
	echo "{ igmp: { source_interfaces: ['in0'], fast_leave: true, max_groups: 20000,
		query_interval: 20, query_response_interval: 1, last_member_query_interval: 0.2,
		querier_interfaces: [$(seq -f "'o%g'," "$1" | tr -d '\n')] } }"
}

interfaces() {
	ctl relay --output json igmp interfaces | jq "$1"
}

all_ask() {
	[ "$(interfaces '[.interfaces[] | select(.state == "up" and .is_querier)] | length')" = "$1" ]
}

groups_are() {
	[ "$(ctl relay --output json igmp groups | jq '.groups | length')" = "$1" ]
}

outputs_of() {
	ctl relay --output json mroute | jq "[.routes[] | select(.group == \"$1\") |
		.output_interfaces | length] | max"
}

outputs_are() {
	[ "$(outputs_of "$1")" = "$2" ]
}

rules_are() {
	[ "$(ctl relay --output json mroute | jq '[.routes[] | select(.rule_id != "")] | length')" = "$1" ]
}

rss_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/${mcrd_pid[relay]}/status"
}

wide() {
	local i
	label="$n interfaces: "
	config "$n" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check "all are asked" wait_for 10 all_ask "$n"
	for ((i = 1; i <= n; i++)); do
		echo "addr add 239.2.$((i / 256)).$((i % 256))/32 dev r$i autojoin"
		[ "$i" -gt "$outputs" ] || echo "addr add 239.1.1.1/32 dev r$i autojoin"
	done >"$tmp/joins"
	on rx ip -batch "$tmp/joins"
	check "each has its groups" wait_for 20 groups_are $((n + outputs))
	check "one has $outputs outputs" wait_for 10 outputs_are 239.1.1.1 "$outputs"
	gen src wide --interface s0 --group 239.1.1.1 --port 5001 --count 1000 --rate 2000 --ttl 9
	check_books relay
	check_equal "$outputs copies of each" "$(stat relay '[.rules[].outputs[]] | sum(.sent)')" \
		$((1000 * outputs))
	check_equal "and none is dropped" \
		"$(stat relay '[.rules[].outputs[]] | sum(.drops | add)')" 0
	check_equal "received = accepted + drops, on each" "$(interfaces '[.interfaces[] |
		select(.received != .accepted + ([.drops[]] | add))] | length')" 0
	sed 's/^addr add/addr del/; s/ autojoin//' "$tmp/joins" >"$tmp/leaves"
	on rx ip -batch "$tmp/leaves"
	check "all are left" wait_for 20 groups_are 0
	stop_mcrd relay
}

# What the answers of others are while 10,000 groups are joined, and what these take.
many() {
	local groups=10000 began took before after pinger
	label="$groups groups: "
	config 2 >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	wait_for 5 all_ask 2
	before=$(rss_kib)
	"$helper/flood" "$tmp/relay.sock" 0 "$(briefly 10)" >"$tmp/flood" 2>&1 &
	pinger=$!
	all_pids+=("$pinger")
	began=$(now_cs)
	start_sink rx many --interface r1 --group 232.2.0.0 --groups "$groups" --source 198.18.0.1
	check "are joined and forwarded" wait_for 60 rules_are "$groups"
	took=$((($(now_cs) - began) * 10))
	after=$(rss_kib)
	echo "# $groups joins in $took ms; $before KiB before, $after KiB after"
	check_between "ms, for 1,000 joins a second" "$took" 1 "$(patiently 10000)"
	looks_at_memory && check_between "bytes of memory a group and source" \
		$(((after - before) * 1024 / groups)) 0 4096
	wait "$pinger"
	forget_pid "$pinger"
	grep '^pings' "$tmp/flood" | sed 's/^/# /'
	check_equal "meanwhile every ping is answered" "$(flood_value failed)" 0
	check_between "ninety-nine of a hundred within 50 ms (us)" "$(flood_value p99_us)" 1 \
		"$(patiently 50000)"
	end_sink many
	check "all go" wait_for 60 rules_are 0
	stop_mcrd relay
}

# What is known, without what grows older.
state() {
	ctl relay --output json igmp groups | jq -S '[.groups[] | del(.age_secs, .expires_in_secs,
		.sources[].expires_in_secs, .hosts[].expires_in_secs)] | sort_by(.interface, .group)'
	ctl relay --output json mroute | jq -S '[.routes[] | del(.age_secs, .packets, .bytes,
		.packets_per_second, .last_seen_secs, .packets_wrong_interface)] | sort_by(.source, .group)'
}

state_is() {
	state >"$tmp/state"
	cmp -s "$tmp/state" "$1"
}

descriptors() {
	find "/proc/${mcrd_pid[relay]}/fd" -mindepth 1 | wc -l
}

flaps() {
	local i before
	label="flaps: "
	config 3 >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	start_sink rx any1 --interface r1 --group 239.3.0.0 --groups 10
	start_sink rx ssm1 --interface r1 --group 232.3.0.0 --groups 10 --source 198.18.0.1
	start_sink rx any2 --interface r2 --group 239.3.0.0 --groups 5
	check "hosts want groups" wait_for 5 groups_are 25
	check "which are forwarded" wait_for 5 rules_are 20
	state >"$tmp/fresh"
	for ((i = 0; i < 100; i++)); do
		printf 'link set o1 down\nlink set o1 up\n'
	done >"$tmp/flaps"
	on relay ip -batch "$tmp/flaps"
	check "after 100 of them all is as before" wait_for 10 state_is "$tmp/fresh"
	before=$(descriptors)
	on relay ip -batch "$tmp/flaps"
	check "after 200 as well" wait_for 10 state_is "$tmp/fresh"
	check_between "and they leave no descriptors open" "$(descriptors)" 1 "$before"
	check_equal "and every packet accounted for" "$(interfaces '[.interfaces[] |
		select(.received != .accepted + ([.drops[]] | add))] | length')" 0
	end_sink any1
	end_sink ssm1
	for ((i = 0; i < 5; i++)); do
		on relay ip link del o1
		on relay ip link add o1 type veth peer name r1 netns "$tb_prefix-rx"
		on relay ip addr add 198.18.1.1/24 dev o1
		on relay ip link set o1 up
		on rx ip link set r1 up
	done
	on rx ip addr add 198.18.1.2/24 dev r1
	start_sink rx any1 --interface r1 --group 239.3.0.0 --groups 10
	start_sink rx ssm1 --interface r1 --group 232.3.0.0 --groups 10 --source 198.18.0.1
	check "an interface made anew five times, the same" wait_for 10 state_is "$tmp/fresh"
	stop_mcrd relay
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check "a fresh start, the same" wait_for 10 state_is "$tmp/fresh"
	stop_mcrd relay
}

tb_up "$tmp/scale.topo"
on rx sysctl -qw net.ipv4.igmp_max_memberships=20000 net.core.optmem_max=1000000000
for part in ${PARTS:-wide many flaps}; do
	echo "# $part at $SECONDS s"
	"$part"
done
label=""
finish
