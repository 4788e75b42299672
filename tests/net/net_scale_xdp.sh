#!/bin/bash
# SPDX-License-Identifier: MIT
# 10,000 rules replicated in the kernel, from the startup file: how long until the daemon is ready,
# how much memory it takes, that all of them forward, and that the next start takes them over.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
DATAPATH=xdp n_rules=10000
budget_ms=${BUDGET_MS:-$(patiently 2000)} # what a busy machine may take; alone it is a quarter

# One rule for a worker, so that there is one to be weighed.
write_rules() {
	local i
	echo "{ stats_interval: 0, rules: ["
	for ((i = 0; i < n_rules - 1; i++)); do
		match="group: \"239.20.$((i / 250)).$((i % 250 + 1))\", port: 5001" \
			rule in0 "o$((i % 3 + 1)), ttl: 8"
	done
	DATAPATH=afxdp rule in0 'o1, ttl: 8'
	echo "] }"
}

# begin NAME : starts the daemon, and tells how long that took and what it weighs
begin() {
	local ms rss
	start_mcrd relay "$tmp/relay.json5" --ignore-state || bail "no relay"
	ms=$(started_in)
	rss=$(ip netns pids "$tb_prefix-relay" | while read -r pid; do
		awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup"
	done | awk '{ n += $1 } END { print int(n / 1024) }')
	echo "# $1: $n_rules rules in $ms ms, $rss MiB"
	check_between "$1: ready, in ms" "$ms" 0 "$budget_ms"
	check_memory "$1: MiB of mcrd and a worker" "$rss" 1 96
	check_equal "$1: on" "$(datapaths relay)" "afxdp xdp"
}

# By the log: from the process's first moment to its saying that it is ready.
started_in() {
	local ticks up ready hz
	hz=$(getconf CLK_TCK)
	ticks=$(cut -d ' ' -f 22 "/proc/${mcrd_pid[relay]}/stat")
	up=$(cut -d ' ' -f 1 /proc/uptime)
	ready=$(grep 'supervisor: mcrd .* listening' "$tmp/relay.log" | tail -n 1 | cut -d ' ' -f 1)
	awk -v t="$ticks" -v hz="$hz" -v up="$up" -v now="${EPOCHREALTIME}" \
		-v ready="$(date -d "$ready" +%s.%N)" \
		'BEGIN { print int((ready - (now - up + t / hz)) * 1000 + 0.5) }'
}

forwards() {
	local i
	for i in 1 2 3; do
		start_sink "rx$i" "$i" --mode packet --interface r0
	done
	gen src g --interface s0 --group 239.20.0.1 --groups 250 --mode packet --count 500
	gen src h --interface s0 --group 239.20.38.1 --groups 250 --mode packet --count 500
	check_books relay
	for i in 1 2 3; do
		end_sink "$i"
	done
	check_equal "$1: 500 of them forward, each to its output" \
		"$(for i in 1 2 3; do totals "$i" "unique lost"; done | xargs |
			awk '{ print $1 + $3 + $5, $2 + $4 + $6 }')" "1000 0"
}

tb_up demo
write_rules >"$tmp/relay.json5"
begin "from nothing"
forwards "from nothing"
stop_mcrd relay KILL
begin "taken over"
forwards "taken over"
stop_mcrd relay INT
finish
