#!/bin/bash
# SPDX-License-Identifier: MIT
# Configurations that must be refused are, by a daemon at work, and nothing changes: not the
# configuration, not the maps, not a packet. What is saved is what runs: loading it changes
# nothing, and saving that gives the same bytes, for a large set of rules of every kind, too.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

rules=${RULES:-5000}

map_dump() {
	bpftool -j map dump pinned "$tb_bpffs/mcr/relay/$1"
}

# What the kernel has been told, to be compared.
kernel_side() {
	local map
	for map in rules destinations ifaces; do
		map_dump $map | cksum
	done
	bpftool -j link show pinned "$tb_bpffs/mcr/relay/links/in0" 2>&1
}

# What runs, but for what changes with the time: why a datapath is the right one.
running() {
	ctl relay --output json config show
	ctl relay --output json list | jq -c 'del(.rules[].datapath_reason)'
}

start_relay() {
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [
		  { id: "a", datapath: "$DATAPATH", name: "tv",
		    input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		    outputs: [ { interface: "o1" }, { interface: "o2", source: "preserve", ttl: "decrement" } ] },
		  { id: "b", input: { interface: "o3", group: "239.1.1.2" },
		    outputs: [ { interface: "in0", group: "239.9.9.9", port: 9 } ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	check_equal "runs on $DATAPATH" "$(ctl relay --output json list |
		jq -r '.rules[] | select(.rule_id == "a") | .datapath_effective')" "$DATAPATH"
}

broken() {
	local before before_running sent times=0
	start_relay || return
	before=$(kernel_side) before_running=$(running)
	start_sink rx1 a --interface r0 --group 239.1.1.1 --port 5001
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate "$(gently 20000)" --duration 2
	while ! is_gone "${gen_pid[g]}"; do
		times=$((times + 1))
		"$helper/broken" "$tmp/relay.sock" "$root/tests/golden/config/broken.txt" >"$tmp/broken" 2>&1 ||
			break
	done
	check_equal "each is refused with code, position, path and reason" \
		"$(awk '$3 == "wrong" { print $4 }' "$tmp/broken")" 0
	grep -v '^sent' "$tmp/broken" | head -n 20
	wait_gen g
	sent=$(gen_offered g)
	echo "# $times times: $(tail -n 1 "$tmp/broken"), under $sent packets"
	check_between "there were 500 or more" "$(awk '$1 == "sent" { print $2 }' "$tmp/broken")" 500 5000
	wait_at_rest relay
	end_sink a
	check_equal "the stream did not suffer" "$(sink_value a unique) $(sink_value a duplicated)" "$sent 0"
	check_equal "the maps are as before" "$(kernel_side)" "$before"
	check_equal "the configuration is as before" "$(running)" "$before_running"
	check_saved
	stop_mcrd relay
}

# The configuration that runs: saved, loaded, saved again.
check_saved() {
	local before
	before=$(kernel_side)$(running)
	check "config save" ctl relay config save --file "$tmp/saved.json5"
	check_equal "loading what was saved changes nothing" \
		"$(ctl relay --output json config load --file "$tmp/saved.json5" --replace |
			jq -c '[.status, .changes]')" \
		'["ok",[]]'
	check "config save" ctl relay config save --file "$tmp/again.json5"
	check "the same bytes" cmp "$tmp/saved.json5" "$tmp/again.json5"
	check_equal "the same rules and maps" "$(kernel_side)$(running)" "$before"
}

# Rules of every kind, by dice that fall the same way each time.
random_config() {
	awk -v n="$rules" '
	function dice(sides) { return int(rand() * sides) }
	function group() { return sprintf("239.%d.%d.%d", 1 + dice(250), dice(256), dice(256)) }
	function unicast() { return sprintf("198.%d.%d.%d", 18 + dice(2), dice(256), 1 + dice(254)) }
	function pick(list,   words, m) { m = split(list, words, " "); return words[1 + dice(m)] }
	function output(esp,   text) {
		if (dice(5)) text = sprintf("interface: \"%s\", group: \"%s\"", pick("o1 o2 o3 gone0"), group())
		else text = sprintf("address: \"%s\"", unicast())
		if (!esp && dice(2)) text = text sprintf(", port: %d", 1 + dice(65535))
		if (dice(2)) text = text sprintf(", ttl: %s", dice(3) ? 1 + dice(255) : "\"decrement\"")
		if (!dice(3)) text = text sprintf(", source: \"%s\"", dice(2) ? pick("interface preserve") : unicast())
		if (!dice(3)) text = text sprintf(", dscp: %d", dice(64))
		return "{ " text " }"
	}
	BEGIN {
		srand(7)
		print "{ multicast_ttl: 7, worker_grace: 1, stats_interval: 0,"
		print "pinning: { in0: [1, 0], gone0: [0] }, rules: ["
		for (i = 0; i < n; i++) {
			printf "{ %s input: { interface: \"%s\", group: \"%s\"", \
				dice(3) ? sprintf("name: \"%s %d\",", pick("tv öst \\\"q\\\" \\\\ €"), i) : \
				sprintf("id: \"r%d\",", i), pick("in0 in0 in0 gone1"), dice(9) ? group() : unicast()
			esp = !dice(10)
			if (esp) printf ", protocol: \"esp\""
			else if (dice(4)) printf ", port: %d", 1 + dice(65535)
			if (!dice(4)) printf ", source: \"%s\"", unicast()
			printf " }, datapath: \"%s\", accept_ttl1: %s, outputs: [", \
				pick("auto afxdp afpacket"), pick("true false")
			for (k = 1 + dice(dice(20) ? 3 : 64); k; k--) printf " %s,", output(esp)
			print " ] },"
		}
		print "] }"
	}' >"$tmp/random.json5"
}

large() {
	local listed
	random_config
	start_mcrd relay "" --ignore-state || return
	if ! ctl relay --output json config load --file "$tmp/random.json5" --replace >"$tmp/loaded"; then
		not_ok "a set of $rules rules is loaded" "$(head -c 2000 "$tmp/loaded")"
		return
	fi
	check_equal "a set of $rules rules is loaded" \
		"$(jq '[.changes[] | select(.rule_id)] | length' "$tmp/loaded")" "$rules"
	check_saved
	listed=$(running | cksum)
	stop_mcrd relay
	start_mcrd relay "$tmp/saved.json5" --ignore-state || return
	check "config save" ctl relay config save --file "$tmp/fresh.json5"
	check "a daemon that starts from it saves the same bytes" cmp "$tmp/saved.json5" "$tmp/fresh.json5"
	check_equal "… and has the same rules" "$(running | cksum)" "$listed"
	stop_mcrd relay
}

tb_up demo
for_each_datapath broken
large
finish
