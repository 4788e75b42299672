#!/bin/bash
# SPDX-License-Identifier: MIT
# The daemon is killed, ended and started, told to reload, and replaced by another build, again and
# again, under 100,000 packets a second. What the kernel replicates goes on as if nothing were: not
# one is lost or sent twice. What workers move is back within a second. The books close over all of
# it, and the counters of interfaces only grow.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

times=${TIMES:-$(seldom 20)} worker_times=${WORKER_TIMES:-$(seldom 5)}
rate=${RATE:-$(gently 100000)}

# The build that takes turns with the usual one; mcrctl is the same.
other_build() {
	mkdir "$tmp/next"
	ln -s "$root/build/${MODE:-release}/next/mcrd" "$bin/mcrctl" "$tmp/next/"
	builds=("$bin" "$tmp/next")
}

by_kill() {
	kill -KILL "${mcrd_pid[relay]}"
	wait "${mcrd_pid[relay]}" 2>/dev/null
	forget_pid "${mcrd_pid[relay]}"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
}

by_term() {
	end_process "${mcrd_pid[relay]}" TERM 10 || not_ok "it ends well"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
}

reloads() {
	grep -c 'supervisor: reload: ' "$tmp/relay.log"
}

has_reloaded() {
	[ "$(reloads)" -gt "$1" ]
}

# Another rule comes with each second one, and goes with the next.
by_reload() {
	local before
	before=$(reloads)
	write_config "$(($1 % 2))"
	kill -HUP "${mcrd_pid[relay]}"
	wait_for 10 has_reloaded "$before" || not_ok "it has reloaded"
}

by_upgrade() {
	end_process "${mcrd_pid[relay]}" TERM 10 || not_ok "it ends well"
	bin=${builds[$((1 - $1 % 2))]} start_mcrd relay "$tmp/relay.json5" --ignore-state
	[[ $(version_of_daemon) == *-next ]] || [ $(($1 % 2)) = 1 ] || not_ok "another build runs"
}

# write_config EXTRA-RULES
write_config() {
	local extra=""
	[ "$1" = 0 ] || extra="{ id: 'extra', datapath: '$DATAPATH',
		input: { interface: 'in0', group: '239.1.1.9' }, outputs: [ { interface: 'o3' } ] }"
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", datapath: "$DATAPATH",
		  input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		  outputs: [ { interface: "o1", group: "239.2.2.2", port: 5002 }, { interface: "o2" } ] },
		  $extra ] }
	END
}

# What must never become less, of all interfaces.
interface_counters() {
	stats relay '.interfaces[] | select(.name == "in0") |
		[.seen, .bytes, .verdicts.replicated, .kernel.replicated // 0,
		 .kernel.copies_taken // 0, .kernel.copies_refused // 0] | join(" ")'
}

# check_grown NAME BEFORE AFTER : none of the numbers has become less
check_grown() {
	check "$1" awk -v a="$2" -v b="$3" 'BEGIN { n = split(a, x); if (split(b, y) != n || !n) exit 1
		for (i = 1; i <= n; i++) if (y[i] < x[i]) exit 1 }'
}

# interrupt HOW TIMES : the daemon, in this way, so many times
interrupt() {
	local i before after
	after=$(interface_counters)
	for ((i = 0; i < $2; i++)); do
		before=$after
		"by_$1" "$i" || bail "no daemon after $1 $i"
		after=$(interface_counters)
		[ "$DATAPATH" != xdp ] || check_grown "$1 $i: counters have only grown" "$before" "$after"
	done
}

version_of_daemon() {
	ctl relay --output json status | jq -r .version
}

begin() {
	write_config 0
	start_mcrd relay "$tmp/relay.json5" --ignore-state || bail "no relay"
	check_equal "runs on $DATAPATH" "$(datapath_of relay)" "$DATAPATH"
	start_sink rx1 a --interface r0 --group 239.2.2.2 --port 5002
	start_sink rx2 b --interface r0 --group 239.1.1.1 --port 5001
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate "$rate" --size 100
}

# Sent = arrived + refused by a receiver's ring; that is no loss of ours, and it has its name.
check_all_there() {
	local sent refused name
	sent=$(gen_offered g)
	refused=$(stats relay '.interfaces[] | select(.name == "in0") | .kernel.copies_refused')
	for name in a b; do
		check_equal "$name: nothing twice, out of order, or changed" \
			"$(sink_value "$name" duplicated) $(sink_value "$name" reordered) \
$(sink_value "$name" corrupt)" "0 0 0"
	done
	check_equal "all arrive, or are refused by a receiver's ring" \
		$(($(sink_value a unique) + $(sink_value a socket_dropped) + \
			$(sink_value b unique) + $(sink_value b socket_dropped) + refused)) $((2 * sent))
	echo "# $sent sent, $refused of the copies refused by rings"
}

in_the_kernel() {
	local how outer=$label seen DATAPATH=xdp
	label="xdp: "
	begin
	for how in kill term reload upgrade; do
		interrupt "$how" "$times"
		check "still on xdp after $how" [ "$(datapath_of relay)" = xdp ]
	done
	end_gen g
	wait_at_rest relay
	end_sink a
	end_sink b
	check_all_there
	seen=$(stats relay '.interfaces[] | select(.name == "in0") | "\(.seen) \(.verdicts.replicated)"')
	check_equal "all were seen, and replicated" "$seen" "$(gen_offered g) $(gen_offered g)"
	stop_mcrd relay INT
	check_equal "a proper end leaves nothing" "$(find "$tb_bpffs/mcr" -type f 2>/dev/null)" ""
	label=$outer
}

by_workers() {
	local how most DATAPATH=afxdp label="afxdp: "
	begin
	start_gaps rx1 a r0 3
	for how in kill term reload upgrade; do
		interrupt "$how" "$worker_times"
	done
	end_gaps a
	end_gen g
	wait_at_rest relay
	end_sink a
	end_sink b
	most=$(awk '$1 == "gap" { print $2 }' "$tmp/gaps.a" | nth 100)
	echo "# longest gap $most ms; $(awk '$1 == "gap"' "$tmp/gaps.a" | wc -l) of 3 ms or more"
	check_between "forwarding is back within a second, in ms" "${most%.*}" 0 \
		"$(patiently 1000)"
	check_equal "nothing twice" "$(sink_value a duplicated) $(sink_value b duplicated)" "0 0"
	stop_mcrd relay
}

tb_up demo
other_build
in_the_kernel
by_workers
finish
