#!/bin/bash
# SPDX-License-Identifier: MIT
# A switch that snoops IGMP stands before the relay, and sends it what it has joined and nothing
# else. Under a service manager that keeps descriptors, joins outlive the daemon: it is killed and
# started under load, and the switch hears of no leave. Without one, the kernel leaves at once.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

rate=$(gently 20000) kills=$(seldom 5)

cat >"$tmp/snooping.topo" <<'END'
link src:s0,198.18.0.1/24,multicast lan:p1
link relay:in0,198.18.0.2/24 lan:p2
link relay:o1,198.19.1.1/24 rx1:r0,198.19.1.2/24,gro
END

switch_up() {
	# it goes by what it has heard once hosts had the time to answer its first query
	on lan ip link add br0 type bridge mcast_snooping 1 mcast_querier 1 \
		mcast_startup_query_interval 100 mcast_query_response_interval 50
	on lan ip link set p1 master br0
	on lan ip link set p2 master br0
	on lan ip link set p2 type bridge_slave mcast_flood off mcast_fast_leave on
	on lan ip link set br0 up
}

switch_sends() {
	on lan bridge -json mdb show | jq -e --arg group "$1" \
		'[.[].mdb[]? | select(.grp == $group and .port == "p2")] | length > 0'
}

# managed WORDS… : the manager on the relay, and in it the daemon
managed() {
	local mcrd_words=()
	mcrd_command relay "$tmp/relay.json5"
	ip netns exec "$tb_prefix-relay" "$root/tests/lib/manager" "$tmp/notify" "${mcrd_words[@]}" \
		--ignore-state >"$tmp/manager" 2>>"$tmp/relay.log" &
	manager=$!
	all_pids+=("$manager")
	wait_for 20 mcrd_is_ready relay
}

daemon_pid() {
	awk '$1 == "started" { pid = $2 } END { print pid }' "$tmp/manager"
}

another_is_ready() {
	[ "$(daemon_pid)" != "$1" ] && [ -S "$tmp/relay.sock" ] &&
		[ "$(ctl relay --output json status | jq .pid)" = "$(daemon_pid)" ]
}

counted() {
	awk -v what="$1" '$1 == what { n++ } END { print n + 0 }' "$tmp/manager"
}

# What of earlier daemons is kept: theirs have other process ids in their names.
kept_of_others() {
	awk -v own="membership-$(daemon_pid)-" '$1 == "stored" { kept[$2] } $1 == "removed" { delete kept[$2] }
		END { for (name in kept) n += index(name, own) != 1; print n + 0 }' "$tmp/manager"
}

none_of_others() {
	[ "$(kept_of_others)" = 0 ]
}

load_begins() {
	wait_for 10 reaches_relay || not_ok "the switch sends anything"
	start_sink rx1 "$1" --interface r0 --group 239.1.1.1 --port 5001
	start_gen src "$1" --interface s0 --group 239.1.1.1 --port 5001 --rate "$rate" --size 100
}

reaches_relay() {
	gen src probe --interface s0 --group 239.1.1.1 --port 5001 --count 1
	[ "$(ctl relay --output json show rule a | jq .rule.packets_matched)" -gt 0 ]
}

lost() {
	echo $(($(gen_offered "$1") - $(sink_value "$1" unique)))
}

outlived() {
	local pid i
	label="with a manager: "
	managed || { not_ok "it starts" "$(tail -n 5 "$tmp/relay.log")"; return; }
	check "the switch sends what is joined" wait_for 5 switch_sends 239.1.1.1
	load_begins kept
	for ((i = 0; i < kills; i++)); do
		pid=$(daemon_pid)
		kill -KILL "$pid"
		wait_for 20 another_is_ready "$pid" || not_ok "kill $i: another one is ready"
		check "kill $i: the switch goes on sending" switch_sends 239.1.1.1
	done
	check "what earlier ones had joined is kept" test "$(kept_of_others)" -gt 0
	check "… until the present one is settled" wait_for 30 none_of_others
	end_gen kept
	wait_at_rest relay
	end_sink kept
		check_equal "of $(gen_offered kept) datagrams, those lost" "$(lost kept)" 0
	check_equal "nothing twice" "$(sink_value kept duplicated)" 0
	check "a rule that goes is left, there and at the manager" ctl relay remove --rule-id a
	check "the switch hears of it" wait_for 5 no_longer switch_sends 239.1.1.1
	check "so does the manager" wait_for 5 counts_agree
	end_process "$manager" INT 10
	forget_pid "$manager"
	label=""
}

no_longer() {
	! "$@"
}

counts_agree() {
	[ "$(counted stored)" = "$(counted removed)" ]
}

# The same switch, to see that it does what the above relies on.
without() {
	label="without one: "
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	check "the switch sends what is joined" wait_for 5 switch_sends 239.1.1.1
	load_begins cut
	kill -KILL "${mcrd_pid[relay]}"
	wait "${mcrd_pid[relay]}" 2>/dev/null
	forget_pid "${mcrd_pid[relay]}"
	unset "mcrd_pid[relay]"
	check "it hears of the leave" wait_for 5 no_longer switch_sends 239.1.1.1
	end_gen cut
	end_sink cut
	label=""
}

cat >"$tmp/relay.json5" <<'END'
{ stats_interval: 0, rules: [ { id: "a", datapath: "xdp",
  input: { interface: "in0", group: "239.1.1.1", port: 5001 }, outputs: [ { interface: "o1" } ] } ] }
END
tb_up "$tmp/snooping.topo"
switch_up
outlived
without
finish
