#!/bin/bash
# SPDX-License-Identifier: MIT
# Group memberships: 200 groups and source-specific ones, in the kernel's tables and as IGMPv3
# reports on the wire; a reload leaves only what is gone.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
groups=200

# rules GROUPS TTL-OF-THE-FIRST MORE… : for 239.9.0.1, 239.9.0.2, … and sources for 239.10.0.1
rules() {
	local i ttl=$2
	echo "{ rules: ["
	for ((i = 1; i <= $1; i++)); do
		match="group: \"239.9.0.$i\", port: 5001" rule in0 "o1, ttl: $ttl"
		ttl=8
	done
	for i in 7 8; do
		match="group: \"239.10.0.1\", source: \"198.18.0.$i\"" rule in0 o1
	done
	printf '%s\n' "${@:3}" "] }"
}

# joined NODE IF : groups, as the kernel has them (byte order of the host, in hex)
joined() {
	on "$1" cat /proc/net/igmp |
		awk -v dev="$2" '/^[0-9]/ { mine = $2 == dev } !/^[0-9]/ && mine { print $1 }'
}

# records CAPTURE FILTER : "TYPE GROUP SOURCES" of each group record of the IGMPv3 reports
records() {
	tshark -n -r "$tmp/$1.pcap" -Y "igmp.type == 0x22${2:+ && $2}" -T fields \
		-e igmp.record_type -e igmp.maddr -e igmp.num_src 2>/dev/null |
		awk '{ n = split($1, type, ","); split($2, group, ","); split($3, sources, ",")
			for (i = 1; i <= n; i++) print type[i], group[i], sources[i] }'
}

# all_reported CAPTURE TYPE COUNT : so many groups are in reports of this type
all_reported() {
	local n
	n=$(records "$1" | awk -v type="$2" '$1 == type { print $2 }' | sort -u | wc -l)
	[ "$n" -ge "$3" ]
}

joins() {
	local json
	rules "$groups" 8 >"$tmp/first.json5"
	start_capture src first s0 igmp
	start_mcrd relay "$tmp/first.json5" --ignore-state
	check_equal "runs on" "$(datapaths relay)" "$DATAPATH"
	check_equal "$groups groups joined" \
		"$(joined relay in0 | grep -c '^[0-9A-F]\{2\}0009EF')" "$groups"
	check_equal "the sources of a source-specific join" \
		"$(on relay cat /proc/net/mcfilter |
			awk '$2 == "in0" && $3 == "0xef0a0001" { print $4, $5, $6 }' | sort)" \
		"$(printf '0x%s 1 0\n' c6120007 c6120008)"
	# type 4: to "exclude nobody", the join of a group; 5 and 3: sources that are wanted
	check "reports for $groups groups" wait_for 10 all_reported first 4 "$groups"
	check "a report with the sources" wait_for 10 all_reported first 5 1
	wait_for 10 reports_are_over first
	end_capture first
	check_equal "no source-specific group is asked for from all" \
		"$(records first | grep '^4 239\.10\.')" ""

	# one rule changes, the last one goes, one comes
	rules $((groups - 1)) 9 "$(match='group: "239.11.0.1"' rule in0 o1)" >"$tmp/second.json5"
	start_capture src second s0 igmp
	json=$(ctl relay --output json config load --replace --file "$tmp/second.json5")
	check_equal "three rules differ" \
		"$(jq -r '[.changes[].action] | sort | join(" ")' <<<"$json")" "add change remove"
	check "the new group is reported" wait_for 10 all_reported second 4 1
	check "the group that is gone is left" wait_for 10 all_reported second 3 1
	wait_for 10 reports_are_over second
	end_capture second
	check_equal "nothing else is left or joined" "$(records second | sort -u)" \
		"$(printf '3 239.9.0.%s 0\n4 239.11.0.1 0\n' "$groups")"
	ctl relay --output json config load --replace --file "$tmp/first.json5" >"$tmp/back.json"
	check_equal "$groups groups joined again" \
		"$(joined relay in0 | grep -c '^[0-9A-F]\{2\}0009EF')" "$groups"
	stop_all
	check_equal "all are left at the end" "$(joined relay in0)" "010000E0"
}

# The kernel sends each change twice, a second apart at most: quiet for longer than that.
reports_are_over() {
	local n
	n=$(captured "$1")
	sleep 1.5
	[ "$(captured "$1")" = "$n" ]
}

tb_up fanout N=1
for_each_datapath joins
finish
