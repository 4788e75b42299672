#!/bin/bash
# SPDX-License-Identifier: MIT
# A worker has no privileges, and none of the system calls that would get it any: tried in its own
# process. It goes on relaying afterwards. Main keeps only what its work takes.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"

# status_of PID NAME : a line of /proc/PID/status
status_of() {
	awk -v name="$2:" '$1 == name { $1 = ""; print substr($0, 2) }' "/proc/$1/status"
}

check_process() {
	local pid=$1 set
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		check_equal "worker $pid: $set is empty" "$(status_of "$pid" "$set")" 0000000000000000
	done
	check_equal "worker $pid: no_new_privs" "$(status_of "$pid" NoNewPrivs)" 1
	check_equal "worker $pid: a system call filter" "$(status_of "$pid" Seccomp)" 2
	check_equal "worker $pid: no groups" "$(status_of "$pid" Groups | tr -d ' ')" ""
	check "worker $pid: not root" test "$(status_of "$pid" Uid | cut -d ' ' -f 1)" != 0
	check_equal "worker $pid: one user" "$(status_of "$pid" Uid | tr ' ' '\n' | sort -u | wc -l)" 1
	check_equal "worker $pid: no core dumps" \
		"$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits")" "0 0"
	check_fails "worker $pid: not to be traced by its own user" \
		setpriv --reuid="$(status_of "$pid" Uid | cut -d ' ' -f 1)" --clear-groups \
		cat "/proc/$pid/environ"
}

# Descriptors that could reach further than frames, channel, ledger and log.
check_descriptors() {
	local pid=$1 odd
	odd=$(find "/proc/$pid/fd" -mindepth 1 -printf '%f %l\n' |
		grep -v -E ' (socket:|anon_inode:\[io_uring\]$|/dev/null$|pipe:)' |
		grep -v -F "$tmp/relay.log")
	check_equal "worker $pid: nothing open but sockets, the io_uring and the log" "$odd" ""
}

# The bits of a capability set, in words of capability.h that main needs.
check_main() {
	local pid=${mcrd_pid[relay]} wanted=0 cap
	# setgid, setuid, setpcap, net_admin, net_raw, ipc_lock, sys_resource, perfmon, bpf, kill
	for cap in 5 6 7 8 12 13 14 24 38 39; do
		wanted=$((wanted | 1 << cap))
	done
	for cap in CapPrm CapEff CapBnd; do
		check_equal "main: nothing more than it needs in $cap" \
			$((0x$(status_of "$pid" "$cap") & ~wanted)) 0
	done
	check_equal "main: CapAmb is empty" "$(status_of "$pid" CapAmb)" 0000000000000000
}

sandbox() {
	local pid sent tries=0
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", datapath: "$DATAPATH",
		  input: { interface: "in0", group: "239.1.1.1", port: 5001 },
		  outputs: [ { interface: "o1" }, { address: "198.18.2.2", port: 6000 } ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || return
	check_equal "runs on $DATAPATH" "$(datapath_of relay)" "$DATAPATH"
	check_main
	pid=$(worker_pids relay)
	check_process "$pid"
	check_descriptors "$pid"
	start_sink rx1 a --interface r0 --group 239.1.1.1 --port 5001
	start_gen src g --interface s0 --group 239.1.1.1 --port 5001 --rate 5000 --count 10000
	while ! is_gone "${gen_pid[g]}"; do
		"$helper/inject" "$pid" >"$tmp/inject" 2>&1 || break
		tries=$((tries + 1))
	done
	tail -n 1 "$tmp/inject" | sed "s/^/# $tries times: /"
	check_equal "worker $pid: every forbidden call is refused" \
		"$(grep -v '^refused' "$tmp/inject" | grep -v ' calls refused$')" ""
	check_between "tried again and again" "$tries" 10 100000
	wait_gen g
	sent=$(gen_offered g)
	check_equal "the same worker relays on" "$(worker_pids relay)" "$pid"
	wait_at_rest relay
	end_sink a
	check_equal "nothing is lost: $sent" "$(sink_value a unique)" "$sent"
	stop_mcrd relay
}

tb_up demo
for_each_datapath sandbox
finish
