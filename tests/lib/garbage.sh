# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests with tests/lib/garbage, after control.sh: a million packets, and what becomes of Ping
# meanwhile.

count=$((1000000 / slowness / slowness))

# garbage NODE IF PROTOCOL VICTIM ROUTER NEIGHBOR : from there, all of it, while the daemon of VICTIM
# is pinged
garbage() {
	local began pinger rate
	rate=$(gently 100000) began=$(now_cs)
	"$helper/flood" "$tmp/$4.sock" 0 "$((count / rate + 1))" >"$tmp/flood" 2>&1 &
	pinger=$!
	all_pids+=("$pinger")
	on "$1" "$helper/garbage" "$2" "$3" "$count" "$rate" "$5" "$6" >"$tmp/garbage" ||
		not_ok "garbage is sent" "$(cat "$tmp/garbage")"
	echo "# in $((($(now_cs) - began) * 10)) ms: $(tr '\n' ' ' <"$tmp/garbage")"
	wait "$pinger"
	forget_pid "$pinger"
}

# The slowest of thousands may be the machine's, which has no rest meanwhile: it is printed.
check_pings() {
	grep '^pings' "$tmp/flood" | sed 's/^/# /'
	check_equal "every ping is answered" "$(flood_value failed)" 0
	check_between "ninety-nine of a hundred within 50 ms (us)" "$(flood_value p99_us)" 1 \
		"$(patiently 50000)"
}
