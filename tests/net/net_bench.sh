#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark itself: its receivers see what is lost, comes twice, late or corrupt, and count as
# mcrsink does; a small run gives complete results. How fast anything is, is not tested here.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
bench=$root/build/${MODE:-release}/bench
out=$tmp/out

# --- the receivers -------------------------------------------------------------------------------

# receivers NODE FLOWS : the counting program on r0 of a node, which `ask` speaks to
receivers() {
	coproc "$bench/sink" r0 "$2" "$tb_prefix-$1" 2>"$tmp/bench-sink.log"
	receivers_pid=$COPROC_PID
	all_pids+=("$receivers_pid")
	read -r answer <&"${COPROC[0]}" || bail "bench sink: $(cat "$tmp/bench-sink.log")"
	check_equal "the receivers are ready" "$answer" '{"ready": 1}'
}

# ask COMMAND : leaves the answer, which is JSON, in `answer`
ask() {
	echo "$1" >&"${COPROC[1]}"
	read -r answer <&"${COPROC[0]}"
}

# counted NAMES : these counters out of the last answer
counted() {
	jq -r "[.${1// /, .}] | join(\" \")" <<<"$answer"
}

# both FLOWS OPTION… : traffic past mcrsink and the receivers, after the commands in `before`
before=(reset)
both() {
	local flows=$1 command
	shift
	start_sink rx1 s --mode packet --interface r0 --buffer 64 --group 239.1.1.1 --groups "$flows" \
		--port 5001
	for command in "${before[@]}"; do
		ask "$command"
	done
	gen src g --interface s0 --group 239.1.1.1 --groups "$flows" "$@"
	wait_for 10 has_counted "$(json "$tmp/gen.g.json" .total.sent)"
	end_sink s
	ask read
}

# What mcrsink has counted, as `counted "received unique duplicated reordered lost"`.
mcrsink_counted() {
	json "$tmp/sink.s.json" \
		'.total | [.received, .unique, .duplicated, .reordered, .lost] | join(" ")'
}

check_faults() {
	check_equal "received, each once, twice, late, lost: as mcrsink says" \
		"$(counted "received unique duplicated reordered lost")" "$(mcrsink_counted)"
	check_equal "lost are those that were left out" "$(counted lost)" "$(gen_said skipped)"
	check_equal "twice are those that were sent again" \
		"$(counted duplicated)" "$(gen_said duplicated)"
	check_equal "late are those that were exchanged" "$(counted reordered)" "$(gen_said swapped)"
	check_between "and there were such" "$(counted lost)" 1 30000
	check_between "…" "$(counted duplicated)" 1 30000
	check_between "…" "$(counted reordered)" 1 30000
}

has_counted() {
	ask count
	[ "$(counted datagrams)" -ge "$1" ]
}

# gen_said NAMES : these totals of the generator
gen_said() {
	json "$tmp/gen.g.json" ".total | [.${1// /, .}] | join(\" \")"
}

faults=(--skip 50 --duplicate 70 --swap 90)
large=(--mode udp --segment 16 --count 48000 --size 200)

faults_one_by_one() {
	label="one by one: "
	both 3 --mode packet --count 30000 "${faults[@]}"
	check_faults
}

faults_in_buffers() {
	label="in large buffers: "
	both 3 "${large[@]}" "${faults[@]}"
	check_faults
	check_equal "all came in buffers of 16, each datagram was read" \
		"$(counted "buffers walked")" "3000 3000"
}

# Believed by their ends: faults that make up for each other within a buffer are overlooked.
faults_behind_ends() {
	label="in trusted buffers: "
	before=(reset trust)
	both 3 "${large[@]}" "${faults[@]}"
	check_equal "all count as received" "$(counted received)" 48000
	check_between "most of what was left out is seen" "$(counted lost)" \
		$(($(gen_said skipped) / 2)) "$(gen_said skipped)"
	check_between "most of what was sent again is seen" "$(counted duplicated)" \
		$(($(gen_said duplicated) / 2)) "$(gen_said duplicated)"
	both 2 "${large[@]}"
	check_equal "without faults none is seen, as by mcrsink" \
		"$(counted "received unique duplicated reordered lost")" "48000 48000 0 0 0"
	check_equal "…" "$(mcrsink_counted)" "48000 48000 0 0 0"
	check_between "of most buffers the ends were read" "$(counted walked)" 1 400
	before=(reset)
}

broken_headers() {
	label="broken: "
	ask reset
	gen src g --interface s0 --group 239.1.1.1 --mode packet --count 100 --malformed trailer
	wait_for 10 has_seen_corrupt 100 || not_ok "100 datagrams of a wrong length are corrupt" "$answer"
	ask read
	check_equal "none of them counts as received" "$(counted "datagrams corrupt")" "0 100"
}

has_seen_corrupt() {
	ask read
	[ "$(counted corrupt)" = "$1" ]
}

latency_of_a_delay() {
	label="latency: "
	ask reset
	ask time
	gen src g --interface s0 --group 239.1.1.1 --mode packet --count 1000 --rate 10000
	ask latency
	check_equal "of each datagram" "$(counted n)" 1000
	check "its percentiles are in order" jq -e \
		'.p50 > 0 and .p50 <= .p99 and .p99 <= ."p99.9" and .max > 0' <<<"$answer"
}

# --- a small run ---------------------------------------------------------------------------------

small_run() {
	label="a small run: "
	check "ends well" env BENCH_OUT="$out" BENCH_REPEATS=2 BENCH_WINDOW=0.1 \
		BENCH_ONLY="contender=kernel,mmsg,afxdp fanout=1,4 payload=100 flows=1 rules=1 \
topology=fanout metric=rate,latency" "$root/tools/bench/run" quick
	check_equal "nothing went wrong" "$(jq -c '[.skipped[], .environment.warnings[] |
		select(tostring | contains("busy with something else") | not)]' "$out/results.json")" "[]"
	check "each cell is complete" jq -e '.cells | length > 0 and all(
		(.contender, .topology, .metric, .unit | type == "string") and
		(.fanout, .payload, .flows, .rules, .repeats, .median, .min, .max | type == "number") and
		.min <= .median and .median <= .max and .repeats == 2)' "$out/results.json"
	check "there is a rate of each contender at each fan-out" jq -e '
		[.cells[] | select(.metric == "delivered" and .median > 0) |
			"\(.contender) \(.fanout)"] | sort ==
		["afxdp 1", "afxdp 4", "kernel 1", "kernel 4", "mmsg 1", "mmsg 4"]' "$out/results.json"
	check "cost, memory and latency are there, too" jq -e '
		[.cells[] | select(.fanout == 4).metric] | unique | contains(["cpu",
			"cpu_less_generator", "latency_p50@10000", "latency_max@100000", "memory"])' \
		"$out/results.json"
	check "machine, kernel, commands and the ceiling are named" jq -e '.environment |
		(.machine, .kernel, .date, .command, .commands.generator | type == "string") and
		.cpus > 0 and .generator_ceiling_pps["100"] > 0' "$out/results.json"
	check "nothing comes twice or corrupt, and what is offered is arrived or lost" jq -e '
		[.cells[].runs[]?] | length > 0 and all(.duplicated == 0 and .corrupt == 0 and
			.due == .arrived + .lost)' "$out/results.json"
	check "mcr's books close" jq -e '[.cells[] | select(.contender == "afxdp").runs[]?.closed] |
		length > 0 and all(. == true)' "$out/results.json"
	check "tables and plots are made of it" env BENCH_OUT="$out" "$root/tools/bench/report"
	check "…" grep -q 'delivered, fan-out 4' "$out/results.md"
	check "…" grep -q '</svg>' "$out/delivered-fanout-100.svg"
}

# What a relay does not have is named, not left out.
unknown_datapath() {
	label="a datapath that there may not be: "
	check "ends well" env BENCH_OUT="$out" BENCH_REPEATS=1 BENCH_WINDOW=0.1 \
		BENCH_ONLY="contender=xdp fanout=1 payload=100 flows=1 rules=1 topology=fanout" \
		"$root/tools/bench/run" quick
	check "it was measured, or why not is said" jq -e '(.cells | length > 0) or
		(.skipped | length == 1 and .[0].contender == "xdp" and (.[0].reason | length > 0))' \
		"$out/results.json"
	check_fails "a key that BENCH_ONLY does not have is refused" \
		env BENCH_OUT="$out" BENCH_ONLY=color=red "$root/tools/bench/run" quick
}

cat >"$tmp/pair.topo" <<END
link src:s0,198.18.0.1/24,multicast rx1:r0,198.18.0.2/24,gro
END
tb_up "$tmp/pair.topo"
receivers rx1 16
ask pass
faults_one_by_one
faults_in_buffers
faults_behind_ends
broken_headers
latency_of_a_delay
end_process "$receivers_pid" TERM 5
tb_down
small_run
unknown_datapath
label=""
finish
