#!/bin/bash
# SPDX-License-Identifier: MIT
# Static multicast routes: forwarded whoever wants it, beside what hosts want and with the input
# going before theirs, changed while the router runs, kept when it ends.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/relay.json5" <<'END'
{ igmp: { querier_interfaces: ["o2"], source_interfaces: ["in0"], fast_leave: true },
  mroutes: [ { group: "239.1.1.1", source: "198.18.0.1", input: "in0", outputs: ["o1", "late0"] },
             { group: "239.1.1.2", input: "in0", outputs: ["o1"] } ] }
END

# outputs GROUP : its routes, as input>output(owners),…
outputs() {
	ctl relay --output json mroute | jq -r "[.routes[] | select(.group == \"$1\") |
		.input_interface + \">\" + ([.outputs[] | select(.state == \"forwarded\") |
		.interface + \"(\" + (.owners - [\"remembered\"] | join(\"+\")) + \")\"] |
		sort | join(\",\"))] |
		sort | join(\" \")"
}

outputs_are() {
	[ "$(outputs "$1")" = "$2" ]
}

# received SINK
received() {
	json "$tmp/sink.$1.json" .total.unique
}

rule_is() {
	[ "$(ctl relay --output json list | jq -r "[.rules[] | select(.rule_id == \"$1\") |
		[.origin, .state] | join(\" \")] | join(\" \")")" = "$2" ]
}

additive() {
	label="additive: "
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check "a route is in force" wait_for 3 rule_is mroute:198.18.0.1,239.1.1.1 "mroute active"
	start_sink rx1 one --interface r0 --mode packet --group 239.1.1.1
	gen src a --interface s0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	check_equal "nobody has asked for it" "$(ctl relay --output json igmp groups | jq -c .groups)" '[]'
	start_sink rx2 two --interface r0 --group 239.1.1.1 --source 198.18.0.1
	check "a host wants it, too" wait_for 3 outputs_are 239.1.1.1 \
		"in0>late0(static),o1(static),o2(igmp)"
	gen src b --interface s0 --group 239.1.1.1 --port 5001 --count 500 --rate 10000 --ttl 9 \
		--first-flow 1
	sleep 0.2
	end_sink two
	check "and no more" wait_for 3 outputs_are 239.1.1.1 "in0>late0(static),o1(static)"
	end_sink one
	check_equal "without a host all of it comes" "$(received one)" 1500
	check_equal "to the host while it wants it" "$(received two)" 500
	check "the books close" wait_for 5 is_at_rest relay
}

late() {
	label="late: "
	check "an interface is not there" output_is_missing late0
	on relay ip link add late0 type veth peer name late1
	on relay ip link set late0 up
	on relay ip link set late1 up
	check "an interface comes" wait_for 3 output_is_active late0
	on relay ip link del late0
	check "and goes" wait_for 3 output_is_missing late0
}

output_state() {
	ctl relay --output json list | jq -r ".rules[] | select(.rule_id ==
		\"mroute:198.18.0.1,239.1.1.1\") | .outputs[] | select(.interface == \"$1\") | .egress"
}

output_is_active() {
	[ "$(output_state "$1")" != "" ] && [ "$(output_state "$1")" != none ]
}

output_is_missing() {
	[ "$(output_state "$1")" = "" ] || [ "$(output_state "$1")" = none ]
}

# The static route says where any source comes in; no unicast route is asked.
any_source() {
	label="any source: "
	start_sink rx1 one --interface r0 --mode packet --group 239.1.1.2
	gen src c --interface s0 --group 239.1.1.2 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	end_sink one
	check_equal "all of it comes" "$(received one)" 1000
	check_equal "by that route alone" "$(outputs 239.1.1.2)" "in0>o1(static)"
}

changed() {
	label="changed: "
	check_equal "a dry run" "$(ctl relay mroute remove --group 239.1.1.2 --dry-run)" \
		"would change the setting mroutes"
	check "a route is removed" ctl relay mroute remove --group 239.1.1.2
	check "and its rule goes" rule_is "mroute:*,239.1.1.2" ""
	check "another one is added" ctl relay mroute add --group 239.1.1.3 --input o1 --output in0 \
		--output o2
	check_equal "it is there" "$(outputs 239.1.1.3)" "o1>in0(static),o2(static)"
	check "and changed" ctl relay mroute add --group 239.1.1.3 --input o1 --output o2
	check_equal "it is so" "$(outputs 239.1.1.3)" "o1>o2(static)"
	stop_mcrd relay KILL
	start_mcrd relay "$tmp/relay.json5"
	check "it is kept" wait_for 3 outputs_are 239.1.1.3 "o1>o2(static)"
	check_equal "and what was removed is not" "$(outputs 239.1.1.2)" ""
	echo '{ mroutes: [] }' >"$tmp/none.json5"
	ctl relay config load --replace --file "$tmp/none.json5" >/dev/null
	check_equal "without any there is no router" \
		"$(ctl relay --output json list | jq -c .rules)" '[]'
	check_equal "and no socket" "$(on relay tail -n +2 /proc/net/packet)" ""
}

tb_up fanout N=2
for part in additive late any_source changed; do
	"$part"
done
label=""
stop_mcrd relay
finish
