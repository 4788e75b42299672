#!/bin/bash
# SPDX-License-Identifier: MIT
# A million packets of garbage to PIM, some of them in a neighbour's name: each has a named fate, no
# neighbour and no datagram is lost, and Ping is answered all the time.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"
# shellcheck source=tests/lib/garbage.sh
. "$root/tests/lib/garbage.sh"

cat >"$tmp/chain.topo" <<'END'
# src - r1 - r2 - h1; r2's namespace is where the garbage comes from
link src:s0,198.18.0.1/24,multicast r1:in0,198.18.0.2/24
link r1:o1,198.18.1.1/24 r2:in0,198.18.1.2/24
link r2:o1,198.18.2.1/24 h1:e0,198.18.2.2/24,multicast,gro
route r2 198.18.0.0/24 via 198.18.1.1
END
cat >"$tmp/r1.json5" <<'END'
{ pim: { interfaces: [{ name: "in0" }, { name: "o1", hello_period: 1, hold_time: 6,
                                         neighbors: [{ permit: "198.18.1.2/32" }] }],
         static_rp: [{ group: "239.0.0.0/8", rp: "198.18.1.1" }] } }
END
cat >"$tmp/r2.json5" <<'END'
{ pim: { interfaces: [{ name: "in0", hello_period: 1, hold_time: 6 }], jp_period: 1 },
  igmp: { querier_interfaces: ["o1"] } }
END

counter() {
	ctl "$1" --output json pim interfaces | jq -r ".counters | $2"
}

has_route() {
	ctl "$1" --output json mroute | jq -e '.routes[] | select(.source == "198.18.0.1" and
		.rule_id != "" and .output_interfaces == ["o1"])'
}

has_neighbor() {
	ctl r1 --output json pim neighbors | jq -e '.neighbors[] | select(.address == "198.18.1.2")'
}

# All that was sent is counted: by r2, and of garbage. A socket that is full counts as lost also what
# is meant for the other one, so that when any was lost it was so many at most.
is_settled() {
	local sent
	sent=$(($(counter r2 '[.sent_types[]] | add') + count))
	counter r1 "if .lost == 0 then .received == $sent else
		.received < $sent and .received + .lost >= $sent end" | grep -x true
}

tb_up "$tmp/chain.topo"
start_mcrd r1 "$tmp/r1.json5" --ignore-state
start_mcrd r2 "$tmp/r2.json5" --ignore-state
start_sink h1 stream --interface e0 --group 232.1.1.1 --source 198.18.0.1 --port 5001
check "a route is there" wait_for 10 has_route r1
check "all the way" wait_for 10 has_route r2
start_gen src stream --interface s0 --group 232.1.1.1 --port 5001 --rate "$(gently 5000)" --ttl 9
garbage r2 in0 pim r1 198.18.1.1 198.18.1.2
end_gen stream
check "each packet is counted" wait_for 5 is_settled
end_sink stream
check_equal "received = accepted + drops" \
	"$(counter r1 '.received - .accepted - ([.drops[]] | add)')" 0
counter r1 '"# accepted \(.accepted), lost \(.lost), dropped \(.drops |
	map_values(select(. > 0)) | tojson)"'
check "the neighbour is there" has_neighbor
check_equal "and was all the time" "$(grep -c 'neighbour .* is gone' "$tmp/r1.log")" 0
check_equal "no datagram was lost" "$(sink_value stream unique)" "$(gen_offered stream)"
check_pings
stop_mcrd r2
stop_mcrd r1
finish
