# shellcheck shell=bash
# shellcheck disable=SC2034,SC2119,SC2120,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests of PIM beside routers of FRR, after frr.sh: our configurations with FRR's short timers,
# and what we know.

# pim_config "IF…" [PIM [MORE]] : PIM on these interfaces, with more of `pim` and more besides. An
# interface is a name, or in braces all of it but the timers of Hellos.
pim_config() {
	local interface list=""
	for interface in $1; do
		list+="{ name: \"$interface\", hello_period: 1, hold_time: 4, ${interface_more:-} }, "
	done
	echo "{ pim: { interfaces: [$list], triggered_hello_delay: 1, jp_period: 5, keepalive: ${keepalive:-35},
		register_suppression: 10, register_probe: 5, ${2:-} }, ${3:-} }"
}

# IGMP on interfaces, as frr_igmp has it, for pim_config.
igmp_on() {
	echo "igmp: { querier_interfaces: [$1], query_interval: 1, query_response_interval: 0.5,
		last_member_query_interval: 0.5 }"
}

# pim NODE WHAT FILTER : a jq filter of what our daemon says of PIM (neighbors, interfaces, rp, joins)
pim() {
	ctl "$1" --output json pim "$2" | jq -r "$3"
}

# pim_says NODE WHAT FILTER : the filter is true of it
pim_says() {
	ctl "$1" --output json pim "$2" | jq -es ".[0] | $3"
}

has_neighbor() {
	pim_says "$1" neighbors ".neighbors | any(.address == \"$2\")"
}

has_no_neighbor() {
	pim_says "$1" neighbors ".neighbors | all(.address != \"$2\")"
}

# frr_has_neighbor NODE IF ADDRESS
frr_has_neighbor() {
	frr_says "$1" 'show ip pim neighbor json' ".\"$2\" // {} | has(\"$3\")"
}

frr_has_no_neighbor() {
	frr_says "$1" 'show ip pim neighbor json' ".\"$2\" // {} | has(\"$3\") | not"
}

# --- two routers, each with a source and a host --------------------------------------------------
# src1 - r1 - h1, src2 - f1 - h2, and r1:x1 - f1:x0; our r1 is 198.18.1.1, FRR's f1 198.18.1.2.

two_routers_up() {
	cat >"$tmp/two.topo" <<-END
	link src1:s0,198.18.10.1/24,multicast r1:in0,198.18.10.2/24
	link r1:o1,198.18.11.1/24 h1:e0,198.18.11.2/24,multicast,gro
	link r1:x1,198.18.1.1/24 f1:x0,198.18.1.2/24
	link src2:s0,198.18.20.1/24,multicast f1:in0,198.18.20.2/24
	link f1:o1,198.18.21.1/24 h2:e0,198.18.21.2/24,multicast,gro
	route r1 198.18.20.0/23 via 198.18.1.2
	route r1 198.18.255.2/32 via 198.18.1.2
	route f1 198.18.10.0/23 via 198.18.1.1
	route f1 198.18.255.1/32 via 198.18.1.1
	route src1 198.18.0.0/16 via 198.18.10.2
	route src2 198.18.0.0/16 via 198.18.20.2
	END
	tb_up "$tmp/two.topo"
	on r1 ip addr add 198.18.255.1/32 dev lo
	on f1 ip addr add 198.18.255.2/32 dev lo
	on src2 ethtool -K s0 tx off >/dev/null # or what FRR puts into Registers has no checksums
}

# two_routers_start [OUR-PIM] : captures first, so that nothing is missed
two_routers_start() {
	start_capture h1 h1 e0 igmp
	start_capture h2 h2 e0 igmp
	start_capture f1 wire x0 'igmp or pim'
	start_frr f1 <<-END
	$(frr_interface x0)
	$(frr_interface in0)
	$(frr_interface o1 "${frr_igmp[@]}" " ip igmp version 3")
	$(frr_interface lo)
	END
	pim_config "x1 in0 o1" "${1:-}" "$(igmp_on '"o1"')" >"$tmp/r1.json5"
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	check "FRR lists us" wait_for 6 frr_has_neighbor f1 x0 198.18.1.1
	check "we list it" wait_for 6 has_neighbor r1 198.18.1.2
}

# two_routers_end REASON : what is true in the end of every story. REASON, or none, is what messages
# may have been refused for.
two_routers_end() {
	label="in the end: "
	check_equal "received = accepted + drops" \
		"$(pim r1 interfaces '.counters | .received - .accepted - ([.drops[]] | add)')" 0
	check_equal "no message of PIM was refused" \
		"$(pim r1 interfaces ".counters.drops | del(.$1) |
			map_values(select(. > 0)) | tojson")" "{}"
	check "the books close" wait_for 5 is_at_rest r1
	check_frr f1 198.18.1.1 198.18.10.2 198.18.11.1 198.18.255.1
	stop_mcrd r1
	stop_frr f1
	end_capture wire
	end_capture h1
	end_capture h2
	check_wire "198.18.1.1 198.18.10.2 198.18.11.1 198.18.255.1" wire h1
}

# seen CAPTURE FILTER [SINCE] : these packets, as tshark shows them, one a line
seen() {
	tshark -n -r "$tmp/$1.pcap" -Y "($2) && frame.time_epoch > ${3:-0}" 2>&1 |
		grep -v '^Running as user'
}

# check_none NAME CAPTURE FILTER : no such packet was seen
check_none() {
	check_equal "$1" "$(seen "$2" "$3" | head -n 5)" ""
}

# Filters of Joins and Prunes: joined GROUP ADDRESS, which is the source's, or the RP's.
joined() {
	echo "pim.type == 3 && pim.group == $1 && pim.numjoins > 0 && pim.join_ip == $2"
}

pruned() {
	echo "pim.type == 3 && pim.group == $1 && pim.numprunes > 0 && pim.prune_ip == $2"
}

# has_route GROUP SOURCE OUTPUT : our route, in force, goes out there and nowhere else
has_route() {
	ctl r1 --output json mroute | jq -e ".routes[] | select(.group == \"$1\" and
		.source == \"$2\" and .output_interfaces == [\"$3\"] and .rule_id != \"\")"
}

# frr_has_route NODE GROUP SOURCE OUTPUT : FRR's goes out there, perhaps elsewhere, too
frr_has_route() {
	frr_says "$1" 'show ip mroute json' ".\"$2\".\"$3\".oil | has(\"$4\")"
}

# got SINK : unique datagrams, duplicates and gaps of a sink that has ended
got() {
	json "$tmp/sink.$1.json" '.total | [.unique, .duplicated, .lost] | join(" ")'
}

# when CAPTURE FILTER [SINCE] : of the first packet, in milliseconds of the epoch; none: nothing
when() {
	tshark -n -r "$tmp/$1.pcap" -Y "($2) && frame.time_epoch > ${3:-0}" -T fields \
		-e frame.time_epoch 2>/dev/null | awk 'NR == 1 { printf "%.0f\n", $1 * 1000 }'
}

# wait_packet CAPTURE FILTER [SINCE] : within 5 s
wait_packet() {
	wait_for 5 was_seen "$@"
}

was_seen() {
	[ -n "$(when "$@")" ]
}

now() {
	date +%s.%N
}

# check_ms NAME CAPTURE FILTER CAPTURE FILTER MOST SINCE : from the first packet to the second
check_ms() {
	local from to
	wait_packet "$4" "$5" "$7"
	from=$(when "$2" "$3" "$7") to=$(when "$4" "$5" "$7")
	if [ -n "$from" ] && [ -n "$to" ]; then
		check_between "$1 (ms)" $((to - from)) 0 "$(patiently "$6")"
	else
		not_ok "$1" "from '$from' to '$to'"
	fi
}
