#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 clients of the control socket are idle, slow, half closed, send garbage and huge lines, hang
# up in the middle of replies or never read them. Others get their Ping answered within 50 ms all
# the time, the relay loses nothing, and the memory that it took is given back.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

seconds=${SECONDS_OF_FLOOD:-$(briefly 8)}
most_ms=$(patiently 50)

# has_fds PID COUNT
has_fds() {
	[ "$(fd_count "$1")" -eq "$2" ]
}

# takes_at_most PID KB
takes_at_most() {
	[ "$(rss_kb "$1")" -le "$2" ]
}

# check_flood NAME : of what is in $tmp/flood. Counted is what the daemon takes, not how long others
# have the processor.
check_flood() {
	grep '^kind' "$tmp/flood" | awk '{ printf "# %s: %d connections, %d ended, %d refused\n", $2, $4, $6, $8 }'
	grep '^pings' "$tmp/flood" | sed 's/^/# /'
	check_equal "$1: every ping is answered" "$(flood_value failed)" 0
	check_between "$1: there were many pings" "$(flood_value pings)" $((slowness == 1 ? 100 : 5)) 1000000
	check_between "$1: each within $most_ms ms (us)" "$(flood_value net_max_us)" 1 $((most_ms * 1000))
}

flooded() {
	local main rss fds
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", datapath: "$DATAPATH",
		  input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		  outputs: [ { interface: "o1" }, { interface: "o2" } ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	main=${mcrd_pid[relay]}
	check_equal "runs on $DATAPATH" "$(datapath_of relay)" "$DATAPATH"
	rss=$(rss_kb "$main") fds=$(fd_count "$main")
	start_sink rx1 a --interface r0 --group 239.1.1.1 --port 5001
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate "$(gently 20000)" --size 200
	"$helper/flood" "$tmp/relay.sock" 200 "$seconds" >"$tmp/flood" 2>&1
	end_gen g
	check_flood "200 bad clients"
	check "descriptors are given back" wait_for 20 has_fds "$main" "$fds"
	! looks_at_memory || wait_for 20 takes_at_most "$main" $((rss + 1024))
	check_memory "memory is given back, nearly (kB)" "$(rss_kb "$main")" 0 $((rss + 1024))
	echo "# RSS $rss kB before, $(rss_kb "$main") kB after; descriptors $fds before, $(fd_count "$main") after"
	wait_at_rest relay
	end_sink a
	check_equal "the stream lost nothing" "$(sink_value a unique) $(sink_value a duplicated)" "$(gen_offered g) 0"
	stop_mcrd relay
}

# So many rules that nobody sends to, and whose lists are long.
idle_rules() {
	awk -v n="$1" 'BEGIN {
		while (n--)
			printf "{ input: { interface: \"in0\", group: \"239.2.%d.%d\", port: 5001 }, " \
				"outputs: [ { interface: \"o1\" } ] },\n", n / 250, n % 250
	}'
}

# Strangers may use the read-only socket, a limited number of times each; lists are long there.
strangers() {
	echo "{ stats_interval: 0, rules: [ $(idle_rules 2000) ] }" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	chmod 755 "$tmp"
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$helper/flood" "$tmp/relay-ro.sock" 200 3 >"$tmp/flood.strangers" 2>&1 &
	all_pids+=("$!")
	"$helper/flood" "$tmp/relay.sock" 0 3 >"$tmp/flood" 2>&1
	wait "$!"
	check_flood "200 strangers at the read-only socket"
	check_between "most of them are refused" \
		"$(awk '$1 == "kind" { n += $4 - $8 } END { print n }' "$tmp/flood.strangers")" 1 100000
	stop_mcrd relay
}

tb_up demo
for_each_datapath flooded
strangers
finish
