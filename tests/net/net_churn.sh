#!/bin/bash
# SPDX-License-Identifier: MIT
# Rules come and go 100 times a second beside one that nobody touches: it loses nothing and sends
# nothing twice. Counter rows are used again, and what was taken is given back.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

rate=${RATE:-$(gently 50000)} seconds=${SECONDS_OF_CHURN:-$(briefly 10)}

# requests N : N rules of every kind added, and removed right after, or many later
requests() {
	awk -v n="$1" -v datapath="$DATAPATH" '
	function output(i) {
		if (i % 5 == 0) return "{\"interface\":\"o3\"}"
		if (i % 5 == 1) return "{\"interface\":\"o2\",\"group\":\"239.200.0.1\",\"port\":" 1000 + i "}"
		if (i % 5 == 2) return "{\"address\":\"198.18.3.2\"," \
			"\"port\":" 1000 + i ",\"source\":\"198.18.77." i % 250 "\"}"
		if (i % 5 == 3) return "{\"interface\":\"gone" i % 7 "\"}"
		return "{\"interface\":\"o1\",\"source\":\"preserve\",\"ttl\":\"decrement\"}"
	}
	function add(i,   input) {
		input = i % 3 ? "\"input_group\":\"239.100." int(i / 250) "." i % 250 "\"" : \
			"\"input_group\":\"239.1.1.1\",\"input_source\":\"198.18.55.55\""
		printf "{\"command\":\"AddRule\",\"rule_id\":\"c%d\",\"input_interface\":\"in0\",%s," \
			"\"input_port\":%d,\"datapath\":\"%s\",\"outputs\":[%s]}\n", \
			i, input, 10000 + i, datapath, output(i)
	}
	function remove(i) { printf "{\"command\":\"RemoveRule\",\"rule_id\":\"c%d\"}\n", i }
	BEGIN {
		for (i = 0; i < n; i++) { # three of four go at once, one a hundred rules later
			add(i)
			if (i % 4) remove(i)
			else if (i >= 100) remove(i - 100)
			else print "{\"command\":\"Ping\"}"
		}
		for (i = n - 100; i < n; i++) if (i % 4 == 0) remove(i)
	}'
}

# How many entries a map has, and the highest counter row of a rule.
map_entries() {
	bpftool -j map dump pinned "$tb_bpffs/mcr/relay/$1" | jq length
}

highest_row() {
	bpftool -j map dump pinned "$tb_bpffs/mcr/relay/rules" | jq '[.[].formatted.value.rule] | max'
}

memberships() {
	on relay ip -o maddr show dev in0 | grep -c 239
}

# What must be the same afterwards.
taken() {
	echo "rules $(map_entries rules), destinations $(map_entries destinations)," \
		"memberships $(memberships), listed $(ctl relay --output json list | jq '.rules | length')"
}

churn() {
	local main before rss now n=$((seconds * 100)) worker
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", datapath: "$DATAPATH",
		  input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		  outputs: [ { interface: "o1", group: "239.2.2.2", port: 5002 } ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	main=${mcrd_pid[relay]}
	worker=$(worker_pids relay)
	check_equal "runs on $DATAPATH" "$(datapath_of relay)" "$DATAPATH"
	requests 400 >"$tmp/warm"
	requests "$n" >"$tmp/requests"
	# so that the log is full, and as much at hand as rules that come and go at this rate take
	check "the first 400 at once" "$helper/ask" "$tmp/relay.sock" <"$tmp/warm"
	check "the next 400 in turn" "$helper/ask" "$tmp/relay.sock" 200 <"$tmp/warm"
	before=$(taken) rss=$(rss_kb "$main")
	start_sink rx1 a --interface r0 --group 239.2.2.2 --port 5002
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate "$rate" --duration "$((seconds + 1))"
	"$helper/ask" "$tmp/relay.sock" 200 <"$tmp/requests" >"$tmp/replies" 2>"$tmp/asked"
	echo "# $(cat "$tmp/asked")"
	check_equal "every change is made" "$(awk '{ print $4 }' "$tmp/asked")" "$(wc -l <"$tmp/requests")"
	wait_gen g
	now=$(rss_kb "$main")
	echo "# $(taken); highest row $(highest_row); RSS $rss kB before, $now kB after"
	wait_at_rest relay
	end_sink a
	check_equal "the other rule lost nothing, twice came nothing" \
		"$(sink_value a unique) $(sink_value a duplicated) $(sink_value a reordered)" "$(gen_offered g) 0 0"
	check_equal "everything is given back" "$(taken)" "$before"
	check_equal "by the same worker" "$(worker_pids relay)" "$worker"
	check_rows
	check_memory "memory is flat (1 %)" "$now" 0 $((rss + rss / 100))
	stop_mcrd relay
}

# A rule's row is free again a second or two after it has gone, so few are ever in use.
check_rows() {
	requests 1 | head -n 1 >"$tmp/one"
	check "one more rule" "$helper/ask" "$tmp/relay.sock" <"$tmp/one"
	check_between "counter rows are used again" "$(highest_row)" 1 600
}

tb_up demo
for_each_datapath churn
finish
