# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For tests in namespaces: source it, build a network with tb_up, start daemons and sinks, check,
# end with `finish`. Everything is taken down when the test ends, whatever ends it.
#
#	. "$(dirname "$0")/../lib/harness.sh"
#	tb_up demo
#	start_mcrd relay "$tmp/relay.json5"
#	start_sink rx1 a --interface r0 --group 239.1.1.1 --port 5001
#	gen src a --interface s0 --group 239.1.1.1 --port 5001 --count 1000
#	end_sink a
#	check_equal "all arrive" "$(json "$tmp/sink.a.json" .total.unique)" 1000
#	finish
#
# MODE=release|debug|asan|cov chooses the build, DATAPATHS the datapaths of for_each_datapath,
# KEEP=1 keeps the test's directory. Exit status: 0 passed, 1 failed, 77 cannot run here.
#
# Under another MODE than release the same tests run with less load and more time. A release build
# meets the figures as they are written; what is written as
#
#	$(gently 50000) $(briefly 10) $(patiently 2000) $(seldom 100) $(some 2 a b c d)
#
# is a rate, how long load lasts, how long something may take, how often it is done, and with which
# of several, and gives way to slower builds. wait_for and all that waits by it are patient by
# themselves. check_memory is check_between for what a process holds: under asan it looks at
# nothing, says so, and counts as nothing. Whatever a sanitizer reports, of whichever program, fails
# the test.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$root/build/${MODE:-release}/bin
test_name=$(basename "$0" .sh)
tb_prefix=mcrt-$$
tb_bpffs=/run/mcr-testbed/$tb_prefix/bpf
passed=0 failed=0
label=""              # put before the name of each check
declare -A mcrd_pid=() sink_pid=()
all_pids=()           # every process that this test has started and not yet waited for
PATH=$PATH:/usr/sbin:/sbin

# --- results -------------------------------------------------------------------------------------

ok() {
	passed=$((passed + 1))
	echo "ok $((passed + failed)) - $label$1"
}

not_ok() {
	failed=$((failed + 1))
	echo "not ok $((passed + failed)) - $label$1"
	[ -z "${2:-}" ] || echo "#   ${2//$'\n'/$'\n#   '}"
}

# check NAME COMMAND… : passes when the command does
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "$*"$'\n'"$output"
	fi
}

check_fails() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		not_ok "$name" "succeeded: $*"$'\n'"$output"
	else
		ok "$name"
	fi
}

# check_equal NAME GOT WANTED
check_equal() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got $2, wanted $3"
	fi
}

# check_between NAME GOT LEAST MOST, of integers
check_between() {
	if [[ $2 =~ ^-?[0-9]+$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
		ok "$1"
	else
		not_ok "$1" "got $2, wanted $3 to $4"
	fi
}

# check_memory NAME GOT LEAST MOST : as check_between. Address sanitizers keep what is freed, to see
# who uses it afterwards, so that processes only grow.
check_memory() {
	if looks_at_memory; then
		check_between "$@"
	else
		echo "# not looked at under MODE=$MODE: $label$1 (it is $2)"
	fi
}

looks_at_memory() {
	[ "${MODE:-release}" != asan ]
}

# The whole test cannot run here.
skip() {
	echo "1..0 # SKIP $*"
	exit 77
}

# What cannot be gone on from.
bail() {
	not_ok "$*"
	exit 1
}

finish() {
	exit 0
}

# json FILE FILTER : a value out of a JSON file, by jq
json() {
	jq -r "$2" "$1"
}

# --- slow builds ---------------------------------------------------------------------------------

# How much less is asked of a build that is not optimised, or watches each of its steps.
slowness=1
[ "${MODE:-release}" = release ] || slowness=10

# gently RATE : of datagrams or requests a second
gently() {
	echo $(($1 / slowness))
}

# briefly SECONDS : of load
briefly() {
	echo $((slowness == 1 ? $1 : 1))
}

# patiently TIME, in any unit
patiently() {
	echo $(($1 * slowness))
}

# seldom TIMES : once at least
seldom() {
	echo $((($1 + slowness - 1) / slowness))
}

# some N WORD… : the first N of these words, where all of them take too long
some() {
	if [ "$slowness" = 1 ]; then
		echo "${@:2}"
	else
		echo "${@:2:$1}"
	fi
}

# --- waiting -------------------------------------------------------------------------------------

now_cs() {
	local up
	read -r up _ </proc/uptime
	echo "${up/./}"
}

# wait_for SECONDS COMMAND… : until the command succeeds; fails when the time is over
wait_for() {
	local until
	until=$(($(now_cs) + $(patiently "$1") * 100))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_cs)" -lt "$until" ] || return 1
		sleep 0.02
	done
}

is_gone() {
	! kill -0 "$1" 2>/dev/null
}

# end_process PID SIGNAL SECONDS : returns its exit status; kills it when it does not end
end_process() {
	local pid=$1 status=0
	kill "-$2" "$pid" 2>/dev/null
	if ! wait_for "$3" is_gone "$pid"; then
		kill -KILL "$pid" 2>/dev/null
		echo "# process $pid did not end within $3 s of SIG$2" >&2
	fi
	wait "$pid" 2>/dev/null || status=$?
	forget_pid "$pid"
	return "$status"
}

forget_pid() {
	local pid others=()
	for pid in "${all_pids[@]}"; do
		[ "$pid" = "$1" ] || others+=("$pid")
	done
	all_pids=("${others[@]}")
}

# --- the network ---------------------------------------------------------------------------------

# tb_up NAME [PARAM=VALUE…] : as tools/testbed up, under a prefix of this test's own
tb_up() {
	local output
	output=$("$root/tools/testbed" up --prefix "$tb_prefix" "$@" 2>&1) ||
		bail "testbed up $*: $output"
}

tb_down() {
	"$root/tools/testbed" down --prefix "$tb_prefix"
}

# on NODE COMMAND… : runs it in the node's namespace
on() {
	ip netns exec "$tb_prefix-$1" "${@:2}"
}

# --- daemons -------------------------------------------------------------------------------------

# mcrd_command NODE [CONFIG] : leaves the daemon's command line in the array mcrd_words
mcrd_command() {
	mcrd_words=(env -u ASAN_OPTIONS "$bin/mcrd" --instance "$1" --socket-path "$tmp/$1.sock"
		--state-dir "$tmp/$1.state" --bpffs "$tb_bpffs")
	[ -z "${2:-}" ] || mcrd_words+=(--config "$2")
}

# start_mcrd NODE [CONFIG [OPTION…]] : returns when it answers and its workers are ready
start_mcrd() {
	local node=$1 mcrd_words=()
	mcrd_command "$node" "${2:-}"
	ip netns exec "$tb_prefix-$node" "${mcrd_words[@]}" "${@:3}" >>"$tmp/$node.log" 2>&1 &
	mcrd_pid[$node]=$!
	all_pids+=("$!")
	if ! wait_for 20 mcrd_is_ready_or_gone "$node" || is_gone "${mcrd_pid[$node]}"; then
		not_ok "mcrd starts on $node" "$(tail -n 20 "$tmp/$node.log")"
		return 1
	fi
}

# (jq 1.6 takes empty input for a yes, so it is slurped.)
mcrd_is_ready() {
	ctl "$1" --output json ping |
		jq -es '.[0] | .status == "ok" and .workers == .workers_ready' >/dev/null
}

mcrd_is_ready_or_gone() {
	is_gone "${mcrd_pid[$1]}" || mcrd_is_ready "$1"
}

# stop_mcrd NODE [SIGNAL] : fails the test when it does not end well
stop_mcrd() {
	local node=$1 pid=${mcrd_pid[$1]} status=0
	unset "mcrd_pid[$node]"
	end_process "$pid" "${2:-TERM}" 10 || status=$?
	[ "${2:-TERM}" = KILL ] || check_equal "mcrd on $node ends with status 0" "$status" 0
	check_reports "mcrd on $node" "$tmp/$node.log"
}

# check_reports WHOM FILE… : fails the test when a sanitizer has said something in there
check_reports() {
	local reports
	reports=$(grep -h -A 20 'ERROR: [A-Za-z]*Sanitizer\|runtime error:' "${@:2}" 2>/dev/null |
		head -n 40)
	[ -z "$reports" ] || not_ok "no sanitizer report from $1" "$reports"
}

# ctl NODE [OPTION…] COMMAND… : mcrctl for the daemon of a node
ctl() {
	"$bin/mcrctl" --socket-path "$tmp/$1.sock" "${@:2}"
}

# Nothing moves, and both sides of every identity are equal; but for the buffers, of which the
# kernel may keep some at hand. Leaves what was said in $tmp/check.NODE.json.
is_at_rest() {
	ctl "$1" --output json check >"$tmp/check.$1.json" &&
		jq -es '.[0] | .holds and ([.identities[] | select(.note != "" or
			(.id != 5 and .left.value != .right.value))] == [])' \
			<"$tmp/check.$1.json" >/dev/null
}

# --- traffic -------------------------------------------------------------------------------------

# start_sink NODE NAME OPTION… : mcrsink in the background, ready on return
start_sink() {
	local node=$1 name=$2
	rm -f "$tmp/sink.$name.log" # of a sink of the same name before
	ip netns exec "$tb_prefix-$node" "$bin/mcrsink" --json "${@:3}" \
		>"$tmp/sink.$name.json" 2>"$tmp/sink.$name.log" &
	sink_pid[$name]=$!
	all_pids+=("$!")
	if ! wait_for 20 sink_is_ready_or_gone "$name" || is_gone "${sink_pid[$name]}"; then
		bail "mcrsink $name: $(cat "$tmp/sink.$name.log")"
	fi
}

sink_is_ready_or_gone() {
	grep -qx ready "$tmp/sink.$1.log" || is_gone "${sink_pid[$1]}"
}

# end_sink NAME : it reads what has arrived and reports in $tmp/sink.NAME.json
end_sink() {
	local pid=${sink_pid[$1]}
	unset "sink_pid[$1]"
	end_process "$pid" TERM 10 || not_ok "mcrsink $1 ends well" "$(cat "$tmp/sink.$1.log")"
}

# wait_sink NAME SECONDS : for one that ends by itself (--expect, --idle, --duration)
wait_sink() {
	wait_for "$2" is_gone "${sink_pid[$1]}" || not_ok "mcrsink $1 ends within $2 s"
	end_sink "$1"
}

# gen NODE NAME OPTION… : mcrgen in the foreground, its report in $tmp/gen.NAME.json
gen() {
	ip netns exec "$tb_prefix-$1" "$bin/mcrgen" --json "${@:3}" \
		>"$tmp/gen.$2.json" 2>"$tmp/gen.$2.log" ||
		bail "mcrgen $2: $(cat "$tmp/gen.$2.log")"
}

# for_each_datapath COMMAND… : runs it with DATAPATH set, once for each; checks are labelled
for_each_datapath() {
	local DATAPATH outer=$label
	for DATAPATH in ${DATAPATHS:-afxdp afpacket}; do
		label="$outer$DATAPATH: "
		"$@"
	done
	label=$outer
}

# --- the end -------------------------------------------------------------------------------------

# Processes in this test's namespaces, once all that it knows of have ended.
stray_processes() {
	local name pid
	for name in $(ip netns list | grep -o "^$tb_prefix-[^ ]*"); do
		for pid in $(ip netns pids "$name"); do
			echo "process $pid ($(cat "/proc/$pid/comm")) in $name"
		done
	done
}

# Prints what is there of this test after tb_down: nothing, if all is well.
leftovers() {
	local pid
	for pid in "${all_pids[@]}"; do
		is_gone "$pid" || echo "process $pid"
	done
	ip netns list | grep "^$tb_prefix-"
	grep -F "/run/mcr-testbed/$tb_prefix" /proc/self/mounts
	[ ! -e "/run/mcr-testbed/$tb_prefix" ] || echo "/run/mcr-testbed/$tb_prefix"
}

clean_up() {
	local status=$? pid strays
	trap '' INT TERM
	label=""
	for pid in "${all_pids[@]}"; do
		end_process "$pid" TERM 10
	done
	for pid in "${!mcrd_pid[@]}"; do # those that stop_mcrd has not seen
		check_reports "mcrd on $pid" "$tmp/$pid.log"
	done
	check_reports "other programs" "$tmp"/sanitizer.*
	strays=$(stray_processes)
	[ ! -e "/run/mcr-testbed/$tb_prefix" ] || tb_down
	strays+=$(leftovers)
	[ -z "$strays" ] || not_ok "nothing is left behind" "$strays"
	[[ $status =~ ^(0|77)$ || $failed -gt 0 ]] || not_ok "ended with status $status"
	[ "$failed" = 0 ] || status=1
	if [ "$status" != 77 ]; then
		echo "1..$((passed + failed))"
		echo "# $test_name: $passed passed, $failed failed"
	fi
	if [ -n "${KEEP:-}" ]; then
		echo "# kept: $tmp"
	else
		rm -rf "$tmp"
	fi
	exit "$status"
}

tmp=$(mktemp -d "/tmp/$tb_prefix.XXXXXX") || exit 1
# Reports of programs whose status and stderr nobody looks at. Not of mcrd: its workers can open no
# file.
export ASAN_OPTIONS=log_path=$tmp/sanitizer
trap clean_up EXIT
trap 'exit 130' INT TERM
[ "$(id -u)" = 0 ] || skip "needs root"
