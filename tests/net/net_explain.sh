#!/bin/bash
# SPDX-License-Identifier: MIT
# What keeps packets from being forwarded is planted; explain names it as the cause.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

S=198.18.0.1
cat >"$tmp/relay.json5" <<'END'
{
  igmp: { querier_interfaces: ["o1", "o2"], source_interfaces: ["in0"], fast_leave: true,
          interfaces: [ { name: "o2", max_groups: 1 } ] },
  rules: [ { name: "tv", input: { interface: "in0", group: "239.9.9.9", port: 5001 },
             outputs: [ { interface: "o1" } ] },
           { input: { interface: "o2", group: "239.9.9.8" }, outputs: [ { interface: "o1" } ] } ],
}
END

# causes NODE CAUSE ARGUMENT… : of explain ARGUMENT…
causes() {
	ctl "$1" --output json explain "${@:3}" >"$tmp/said.json" &&
		[ "$(json "$tmp/said.json" .cause)" = "$2" ]
}

# explains NODE CAUSE WORDS ARGUMENT… : the cause, soon, and the sentence has these words
explains() {
	check "explain ${*:4}: $2" wait_for 5 causes "$1" "$2" "${@:4}"
	check "in these words: $3" grep -qF "$3" <(json "$tmp/said.json" .sentence)
	echo "# $(json "$tmp/said.json" .sentence)"
}

packets() {
	gen src packets --interface s0 --port 5001 --count 20 --rate 2000 "$@"
}

# step FILTER : of the last explanation, by jq
step() {
	jq -e "[.steps[] | select($1)] | length > 0" "$tmp/said.json"
}

rules() {
	label="a rule: "
	explains relay no_traffic "has come in at in0" "$S" 239.9.9.9
	explains relay ttl "arrives with TTL 1" "$S" 239.9.9.9 --ttl 1
	packets --group 239.9.9.9 --ttl 1
	explains relay ttl "all 20 packets" "$S" 239.9.9.9
	packets --group 239.9.9.9 --ttl 5
	explains relay forwarded "to 1 output" "$S" 239.9.9.9 --port 5001
	check "the packets are counted" step '.check == "counters" and (.text | contains("20 packets"))'
	explains relay no_receiver "nobody wants" "$S" 239.9.9.9 --port 5002
	explains relay wrong_input "from in0, and none from o2" "$S" 239.9.9.9 in o2
	on rx1 ip link set dev r0 down
	explains relay interface_down "none of its outputs" "$S" 239.9.9.9
	on rx1 ip link set dev r0 up
	explains relay link_local "never leaves it" "$S" 224.0.0.251
	explains relay no_rule "not routed on lo" "$S" 239.1.1.1 in lo
	check_fails "an address that is none" ctl relay explain x 239.1.1.1
	check_fails "a word that is none" ctl relay explain "$S" 239.1.1.1 at o2
}

routes() {
	label="a route: "
	explains relay no_receiver "nobody wants 232.1.1.1" "$S" 232.1.1.1
	start_sink rx1 one --interface r0 --group 232.1.1.1 --source "$S"
	explains relay no_traffic "has come in at in0" "$S" 232.1.1.1
	packets --group 232.1.1.1 --ttl 9
	explains relay forwarded "to 1 output" "$S" 232.1.1.1
	explains relay rpf "comes in at o2, and has to come in at in0" "$S" 232.1.1.1 in o2
	explains relay ttl "TTL 1" "$S" 232.1.1.1 --ttl 1
	check "each decision is there" step '.check == "unicast" and (.text | contains("198.18.0.0/24"))'
	on relay ip link set dev in0 down
	explains relay interface_down "in0" "$S" 232.1.1.1
	explains relay interface_down "in0, which is down" "$S" 232.1.1.1 in in0
	on relay ip link set dev in0 up
	explains relay no_traffic "in0" "$S" 232.1.1.1
	packets --group 232.1.1.1 --ttl 9
	explains relay forwarded "to 1 output" "$S" 232.1.1.1
	end_sink one
	explains relay no_receiver "nobody wants" "$S" 232.1.1.1
}

# What happens, and nobody has to be asked for.
elsewhere() {
	label="elsewhere: "
	start_sink rx1 one --interface r0 --group 232.1.1.2 --source "$S"
	explains relay no_traffic "in0" "$S" 232.1.1.2
	gen rx2 wrong --mode packet --interface r0 --group 232.1.1.2 --source "$S" --port 5001 \
		--count 20 --rate 2000 --ttl 9
	explains relay rpf "all 20 packets that came did not come in at in0" "$S" 232.1.1.2
	end_sink one
}

no_route() {
	label="no way back: "
	start_sink rx1 far --interface r0 --group 232.1.1.3 --source 198.19.0.9
	explains relay no_route "no way back to 198.19.0.9" 198.19.0.9 232.1.1.3
	on relay ip route add blackhole 198.19.0.0/24
	explains relay no_route "blackhole" 198.19.0.9 232.1.1.3
	on relay ip route del blackhole 198.19.0.0/24
	end_sink far
}

limits() {
	label="limits: "
	start_sink rx2 one --interface r0 --group 232.1.1.4 --source "$S"
	explains relay no_traffic "in0" "$S" 232.1.1.4
	start_sink rx2 two --interface r0 --group 232.1.1.5 --source "$S"
	explains relay limit "limit of groups is reached on o2" "$S" 232.1.1.5
	end_sink two
	end_sink one
}

people() {
	label="for people: "
	check "the last line is the sentence" grep -q \
		'^Not forwarded: nobody wants 232.7.7.7. (no_receiver)$' \
		<(ctl relay explain "$S" 232.7.7.7 | tail -n 1)
}

tb_up fanout N=2
start_mcrd relay "$tmp/relay.json5" --ignore-state
for part in ${PARTS:-rules routes elsewhere no_route limits people}; do
	"$part"
done
label=""
stop_mcrd relay
finish
