#!/bin/bash
# SPDX-License-Identifier: MIT
# Group memberships that come back: after the interface was down, or deleted and made again; that
# two rules share; that end with the daemon. In the kernel's tables, and as IGMPv3 reports.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
first=239.1.1.1

# --- what there is -------------------------------------------------------------------------------

# hex_of GROUP : as /proc/net/igmp has it, in the byte order of the host
hex_of() {
	local a b c d
	IFS=. read -r a b c d <<<"$1"
	printf '%02X%02X%02X%02X' "$d" "$c" "$b" "$a"
}

# joined GROUP : by how many memberships on in0 the relay's kernel has it; 0 if it has not
joined() {
	on relay cat /proc/net/igmp |
		awk -v group="$(hex_of "$1")" '/^[0-9]/ { here = $2 == "in0" }
			here && $1 == group { n += $2 } END { print n + 0 }'
}

has_joined() {
	[ "$(joined "$1")" = "$2" ]
}

# --- what the network hears ----------------------------------------------------------------------

# records NAME GROUP : what captured reports say of a group: types of IGMPv3 records, each once.
# 3: to INCLUDE nothing, a leave; 4: to EXCLUDE nothing, a join.
records() {
	tshark -n -r "$tmp/$1.pcap" -Y igmp -T fields -E separator=' ' -e igmp.record_type \
		-e igmp.maddr 2>/dev/null | awk -v group="$2" '{
			n = split($1, types, ","); split($2, groups, ",")
			for (i = 1; i <= n; i++)
				if (groups[i] == group) print types[i] + 0
		}' | sort -u | paste -sd ' '
}

has_records() {
	[ "$(records "$1" "$2")" = "$3" ]
}

# check_records NAME GROUP TYPES TEXT : within the time that reports are repeated in
check_records() {
	wait_for 5 has_records "$1" "$2" "$3"
	check_equal "$4" "$(records "$1" "$2")" "$3"
}

# --- rules ---------------------------------------------------------------------------------------

# rule_of GROUP : a rule for it that goes out of o1
rule_of() {
	match="group: \"$1\", port: 5001" rule in0 o1
}

# load RULE… : so many rules are all there is
load() {
	echo "{ rules: [ $* ] }" >"$tmp/next.json5"
	ctl relay config load --replace --file "$tmp/next.json5" >"$tmp/load.log" 2>&1 ||
		bail "config load: $(cat "$tmp/load.log")"
}

# check_forwards NAME : the first group arrives
check_forwards() {
	start_sink rx1 "$1" --interface r0 --group 239.1.1.1 --port 5001
	gen src "$1" --interface s0 --group 239.1.1.1 --port 5001 --count 200 --rate 5000
	check_books relay
	end_sink "$1"
	check_whole "$1" 200
}

# One group of two rules: it is left when the last of them goes.
shared() {
	local other
	other=$(match="group: \"$first\", port: 5002" rule in0 o1)
	start_capture src shared s0 igmp
	load "$(rule_of "$first")" "$other"
	check_equal "two rules, one membership" "$(joined "$first")" 1
	check_records shared "$first" 4 "its join is reported"
	load "$other"
	check_equal "one rule, the same membership" "$(joined "$first")" 1
	check_equal "and no leave" "$(records shared "$first")" 4
	load ""
	check "no rule, no membership" wait_for 5 has_joined "$first" 0
	check_records shared "$first" "3 4" "the leave is reported"
	end_capture shared
}

down_and_up() {
	start_capture src flap s0 igmp
	ip -n "$tb_prefix-relay" link set in0 down
	ip -n "$tb_prefix-relay" link set in0 up
	check_records flap "$first" 4 "after down and up the join is reported again"
	end_capture flap
	check_equal "and is there" "$(joined "$first")" 1
	check "the worker is ready" wait_for 20 mcrd_is_ready relay
	check "the interface is up" wait_for 10 is_up
	check_forwards up
}

is_up() {
	on relay ip -o link show dev in0 | grep -q LOWER_UP &&
		on src ip -o link show dev s0 | grep -q LOWER_UP
}

# The other end goes with it, and both are made again as the testbed does.
deleted_and_again() {
	local mac
	mac=$(on relay cat /sys/class/net/in0/address)
	ip -n "$tb_prefix-relay" link del in0
	check "without the interface: unresolved" wait_for 10 all_are unresolved
	check_equal "memberships without it" "$(joined "$first")" 0
	ip link add s0 netns "$tb_prefix-src" type veth peer name in0 address "$mac" \
		netns "$tb_prefix-relay"
	ip -n "$tb_prefix-src" addr add 198.18.0.1/24 dev s0
	ip -n "$tb_prefix-src" link set s0 up
	ip -n "$tb_prefix-src" route add 224.0.0.0/4 dev s0
	start_capture src again s0 igmp
	ip -n "$tb_prefix-relay" addr add 198.18.0.2/24 dev in0
	ip -n "$tb_prefix-relay" link set in0 up
	check "with it: active" wait_for 10 all_are active
	check_equal "memberships with it" "$(joined "$first")" 1
	check_records again "$first" 4 "the join is reported"
	end_capture again
	check "the worker is ready" wait_for 20 mcrd_is_ready relay
	check "the interface is up" wait_for 10 is_up
	check_forwards again
}

all_are() {
	[ "$(ctl relay --output json list | jq -r '[.rules[].state] | unique | join(" ")')" = "$1" ]
}

# The end of the daemon is the end of its memberships, and the network hears of it.
the_end() {
	start_capture src end s0 igmp
	stop_mcrd relay
	check "no memberships" wait_for 5 has_joined "$first" 0
	check_records end "$first" 3 "leaves are reported"
	end_capture end
}

joins() {
	start_mcrd relay "" --ignore-state || bail "no relay"
	shared
	load "$(rule_of "$first")"
	check "the worker gets ready" wait_for 10 mcrd_is_ready relay
	check_forwards before
	down_and_up
	deleted_and_again
	the_end
	stop_all
}

tb_up fanout N=1
for_each_datapath joins
finish
