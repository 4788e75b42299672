#!/bin/bash
# SPDX-License-Identifier: MIT
# A worker is killed again and again under traffic. The daemon lives, forwarding is back at once,
# nothing is lost to a leak, and every packet of the whole time is in some counter.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

kills=${KILLS:-$(seldom 100)}
rate=${RATE:-$(gently 30000)}
most_ms=$(patiently 250)

# Where the packets of $tmp/stats.json are that did not arrive by output $1.
fates() {
	jq -r --argjson o "$1" '
		.rules[0].outputs[$o] as $out |
		(.interfaces[] | select(.name == "in0")) as $in |
		def named: to_entries[] | select(.value > 0) | "\(.key)=\(.value)";
		($out.drops | named | "copy." + .),
		(.workers[] | .frame_drops | named | "frame." + .),
		($in.verdicts | del(.to_worker, .to_packet) | named | "verdict." + .),
		($in.packet_socket // {verdicts: {}} | .verdicts | del(.to_worker) | named | "verdict2." + .),
		(if .workers[0].worker_type == "afxdp"
		 then "rx_dropped=\([.workers[].rx_dropped] | add)", "ring_full=\([.workers[].ring_full] | add)"
		 else "not_taken=\($in.packet_socket.not_taken)" end)
		' "$tmp/stats.json"
}

# Sent = arrived + all that is said to be lost, for output $1 with receiver $2.
check_books() {
	local sent arrived lost=0 line
	sent=$(gen_offered g) arrived=$(sink_value "$2" unique)
	while read -r line; do
		lost=$((lost + ${line#*=}))
	done < <(fates "$1")
	echo "# output $1: sent $sent, arrived $arrived, lost: $(fates "$1" | tr '\n' ' ')"
	check_equal "output $1: sent = arrived + named drops" $((arrived + lost)) "$sent"
	check_equal "output $1: nothing arrives twice" "$(sink_value "$2" duplicated)" 0
	check_equal "output $1: nothing is corrupt" "$(sink_value "$2" corrupt)" 0
}

remember() {
	fds=$(fd_kinds "$1") bpf=$(bpf_counts relay) rss=$(rss_kb "$1") pinned=$(pins relay)
}

check_remembered() {
	local now
	now=$(rss_kb "$1")
	echo "# RSS $rss kB before, $now kB after; $(fd_count "$1") descriptors; $bpf"
	check_equal "the same descriptors as before" "$(fd_kinds "$1")" "$fds"
	check_equal "the same BPF programs and maps as before" "$(bpf_counts relay)" "$bpf"
	check_equal "the same pins as before" "$(pins relay)" "$pinned"
	check_memory "memory is within 1 %" "$now" $((rss - rss / 100)) $((rss + rss / 100))
}

# What it does each second it has done.
has_ticked() {
	[ "$(ctl relay --output json status | jq .uptime_s)" -ge 2 ]
}

kill_all() {
	local main fds bpf rss pinned
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", datapath: "$DATAPATH",
		  input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		  outputs: [ { interface: "o1", group: "239.2.2.2", port: 5002 }, { interface: "o2" } ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	main=${mcrd_pid[relay]}
	check_equal "runs on $DATAPATH" "$(datapath_of relay)" "$DATAPATH"
	start_sink rx1 a --interface r0 --group 239.2.2.2 --port 5002
	start_sink rx2 b --interface r0 --group 239.1.1.1 --port 5001
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate "$rate" --size 200
	# what is grown once by the first of everything is there before it is measured
	check "the first kill" "$helper/kill_worker" "$tmp/relay.sock" 5
	check "the daemon's first seconds are over" wait_for 10 has_ticked
	remember "$main"
	start_gaps rx1 a r0 3
	if "$helper/kill_worker" "$tmp/relay.sock" "$kills" >"$tmp/kills" 2>&1; then
		ok "another worker after each of $kills kills"
	else
		not_ok "another worker after each of $kills kills" "$(tail -n 3 "$tmp/kills")
$(tail -n 10 "$tmp/relay.log")"
	fi
	end_gaps a
	end_gen g
	check "the daemon lives" kill -0 "$main"
	wait_at_rest relay
	check_remembered "$main"
	ctl relay --output json stats >"$tmp/stats.json"
	end_sink a
	end_sink b
	check_gaps
	check_books 0 a
	check_books 1 b
	stop_mcrd relay
}

check_gaps() {
	local n p50 p99 most
	awk '$1 == "gap" { print $2 }' "$tmp/gaps.a" >"$tmp/gaps"
	n=$(wc -l <"$tmp/gaps") p50=$(nth 50 <"$tmp/gaps") p99=$(nth 99 <"$tmp/gaps") most=$(nth 100 <"$tmp/gaps")
	echo "# $n gaps in the stream of 3 ms or more: p50 $p50 ms, p99 $p99 ms, longest $most ms"
	check_between "each kill was a gap" "$n" $((kills * 9 / 10)) 100000
	check_between "forwarding is back within $most_ms ms (p99)" "${p99%.*}" 0 "$most_ms"
}

tb_up demo
for_each_datapath kill_all
finish
