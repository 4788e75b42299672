#!/bin/bash
# SPDX-License-Identifier: MIT
# A million packets of garbage to IGMP: random, cut off, with bits flipped, lying about lengths.
# Each of them has a named fate, no group and no datagram is lost, and Ping is answered all the time.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"
# shellcheck source=tests/lib/garbage.sh
. "$root/tests/lib/garbage.sh"

cat >"$tmp/relay.json5" <<'END'
{ igmp: { querier_interfaces: ["o1"], source_interfaces: ["in0"], query_interval: 2,
          query_response_interval: 1 } }
END

interface() {
	ctl relay --output json igmp interfaces | jq -r ".interfaces[0] | $1"
}

# The group that has been there from the start; it would be younger if it had been lost.
has_group() {
	ctl relay --output json igmp groups |
		jq -e ".groups[] | select(.group == \"239.1.1.1\" and .age_secs > ${1:-0})"
}

device() {
	ip -n "$tb_prefix-$1" -s -j link show dev "$2" | jq ".[0].stats64.$3"
}

# What IGMP got, and what the classifier refused before, because lengths contradict the frame.
counted() {
	echo $(($(interface .received) + $(stats relay '[.interfaces[] | select(.name == "o1") |
		.verdicts.malformed // 0] | add // 0')))
}

is_settled() {
	[ "$(counted)" = "$(device relay o1 rx.packets)" ]
}

tb_up fanout N=1
start_mcrd relay "$tmp/relay.json5" --ignore-state
start_sink rx1 stream --interface r0 --group 239.1.1.1 --port 5001
check "a host wants a group" wait_for 5 has_group
start_gen src stream --interface s0 --group 239.1.1.1 --port 5001 --rate "$(gently 5000)" --ttl 9
began=$(now_cs)
garbage rx1 r0 igmp relay 198.18.1.1 198.18.1.2
lasted=$((($(now_cs) - began) / 100))
end_gen stream
wait_for 5 is_settled
end_sink stream
check_equal "the link has lost nothing" "$(device relay o1 rx.packets)" "$(device rx1 r0 tx.packets)"
check_between "so many packets came" "$(device relay o1 rx.packets)" $((count * 9 / 10)) \
	$((count + 1000))
check_equal "each is counted" "$(counted)" "$(device relay o1 rx.packets)"
check_equal "received = accepted + drops" "$(interface '.received - .accepted - ([.drops[]] | add)')" 0
interface '"# accepted \(.accepted), dropped \(.drops | map_values(select(. > 0)) | tojson)"'
check "the group was there all the time" has_group "$lasted"
check_equal "no datagram was lost" "$(sink_value stream unique)" "$(gen_offered stream)"
check_pings
stop_mcrd relay
finish
