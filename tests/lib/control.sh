# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests that do things to a daemon while traffic flows. Source it after harness.sh.

helper=$root/build/${MODE:-release}/tests/lib
declare -A gen_pid=() gaps_pid=()

# --- traffic in the background -------------------------------------------------------------------

# start_gen NODE NAME OPTION… : mcrgen in the background until end_gen
start_gen() {
	ip netns exec "$tb_prefix-$1" "$bin/mcrgen" --json "${@:3}" \
		>"$tmp/gen.$2.json" 2>"$tmp/gen.$2.log" &
	gen_pid[$2]=$!
	all_pids+=("$!")
}

# end_gen NAME : its report is in $tmp/gen.NAME.json afterwards
end_gen() {
	local pid=${gen_pid[$1]}
	unset "gen_pid[$1]"
	end_process "$pid" INT 10 || not_ok "mcrgen $1 ends well" "$(cat "$tmp/gen.$1.log")"
}

# wait_gen NAME : for one that ends by itself (--count, --duration)
wait_gen() {
	local pid=${gen_pid[$1]} status=0
	unset "gen_pid[$1]"
	wait "$pid" || status=$?
	forget_pid "$pid"
	[ "$status" = 0 ] || not_ok "mcrgen $1 ends well" "$(cat "$tmp/gen.$1.log")"
}

# gen_offered NAME : how many packets its interface has taken to the next hop
gen_offered() {
	jq ".total.offered" "$tmp/gen.$1.json"
}

sink_value() {
	json "$tmp/sink.$1.json" ".total.$2"
}

# start_gaps NODE NAME INTERFACE LEAST-MS : watches how long the stream stands still
start_gaps() {
	ip netns exec "$tb_prefix-$1" "$helper/gaps" "$3" "$4" >"$tmp/gaps.$2" 2>&1 &
	gaps_pid[$2]=$!
	all_pids+=("$!")
	wait_for 5 grep -qx ready "$tmp/gaps.$2" || bail "gaps: $(cat "$tmp/gaps.$2")"
}

end_gaps() {
	local pid=${gaps_pid[$1]}
	unset "gaps_pid[$1]"
	end_process "$pid" TERM 5 || not_ok "gaps $1 ends well" "$(cat "$tmp/gaps.$1")"
}

# nth PERCENT <NUMBERS : a percentile, in hundredths of a percent the largest
nth() {
	sort -n | awk -v p="$1" '{ v[NR] = $1 }
		END { n = int((NR * p + 99) / 100); print NR ? v[n < 1 ? 1 : n] : 0 }'
}

# --- the daemon ----------------------------------------------------------------------------------

# stats NODE [FILTER] : GetStats, or what jq makes of it
stats() {
	ctl "$1" --output json stats | jq -r "${2:-.}"
}

wait_at_rest() {
	wait_for 10 is_at_rest "$1" || not_ok "the books of $1 hold at rest" "$(ctl "$1" check)"
}

worker_pids() {
	ctl "$1" --output json list-workers | jq -r '.workers[] | select(.status == "running") | .pid'
}

# The datapath that the rules of NODE really run on: one word, or several.
datapath_of() {
	ctl "$1" --output json list |
		jq -r '[.rules[] | select(.state == "active") | .datapath_effective] | unique | join(" ")'
}

# --- answers in bad company ----------------------------------------------------------------------

# A number that flood has printed behind this word.
flood_value() {
	awk -v word="$1" '$1 == "pings" { for (i = 1; i < NF; i++) if ($i == word) print $(i + 1) }' "$tmp/flood"
}

# --- what a process holds ------------------------------------------------------------------------

rss_kb() {
	awk '$1 == "Rss:" { print $2 }' "/proc/$1/smaps_rollup"
}

fd_count() {
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# Descriptors by what they are, to be compared.
fd_kinds() {
	find "/proc/$1/fd" -mindepth 1 -printf '%l\n' | sed 's/:\[[0-9]*\]//; s/[0-9]*$//' | sort | uniq -c
}

# bpf_counts NODE : programs and maps of its instance, wherever they are held
bpf_counts() {
	local map
	map=$(bpftool -j map show pinned "$tb_bpffs/mcr/$1/verdicts" | jq .id)
	bpftool -j prog show | jq --argjson map "$map" -r '
		[.[] | select(any(.map_ids[]?; . == $map))] |
		"\(length) programs, \([.[].map_ids[]] | unique | length) maps"'
}

pins() {
	find "$tb_bpffs/mcr/$1" -mindepth 1 | sort
}
