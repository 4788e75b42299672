#!/bin/bash
# SPDX-License-Identifier: MIT
# IGMP with hosts as the kernel makes them: what is learned of each version, what is asked on the
# wire, by an independent decoder, how quickly leaves are followed, and who asks when two could.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/lan.topo" <<'END'
# A LAN with two routers and two hosts, behind a switch that floods.
link r1:o1,198.18.1.1/24 lan:p1
link r2:o1,198.18.1.2/24 lan:p2
link h1:e0,198.18.1.11/24,multicast lan:p3
link h2:e0,198.18.1.12/24,multicast lan:p4
END

# config OPTIONS : IGMP on o1
config() {
	echo "{ igmp: { querier_interfaces: [\"o1\"], query_interval: 5, query_response_interval: 1,
		last_member_query_interval: 0.5, ${1:-} } }"
}

# groups NODE FILTER : a jq filter of what the daemon knows of groups
groups() {
	ctl "$1" --output json igmp groups | jq -r "$2"
}

# has_group NODE GROUP [FILTER]
has_group() {
	[ "$(groups "$1" "[.groups[] | select(.group == \"$2\" and (${3:-true}))] | length")" = 1 ]
}

has_no_group() {
	[ "$(groups "$1" "[.groups[] | select(.group == \"$2\")] | length")" = 0 ]
}

# interface NODE FILTER : of its only IGMP interface
interface() {
	ctl "$1" --output json igmp interfaces | jq -r ".interfaces[0] | $2"
}

is_querier() {
	[ "$(interface "$1" .is_querier)" = "$2" ]
}

# fields CAPTURE FILTER FIELD… : as tshark decodes them
fields() {
	local f options=()
	for f in "${@:3}"; do
		options+=(-e "$f")
	done
	tshark -n -r "$tmp/$1.pcap" -Y "$2" -T fields "${options[@]}" 2>/dev/null
}

# malformed CAPTURE : packets that the decoder finds fault with
malformed() {
	tshark -n -o ip.check_checksum:TRUE -r "$tmp/$1.pcap" \
		-Y '_ws.malformed || igmp.checksum.status == 0 || ip.checksum.status == 0' 2>/dev/null
}

bridge() {
	local p
	on lan ip link add br0 type bridge mcast_snooping 0
	for p in p1 p2 p3 p4; do
		on lan ip link set "$p" master br0
	done
	on lan ip link set br0 up
}

# leaves_ms CAPTURE GROUP : for each time that the group was left, milliseconds from the first word
# of it on the wire to its effect, by the daemon's log
leaves_ms() {
	paste -d ' ' <(fields "$1" "igmp.record_type == 3 && igmp.maddr == $2" frame.time_epoch |
		awk '$1 > last + 1.05 { print last = $1 }') <(
		grep -F "(*,$2) is wanted no more" "$tmp/r1.log" | cut -d ' ' -f 1 |
			date -f - +%s.%N) |
		awk 'NF == 2 { printf "%d\n", ($2 - $1) * 1000 }'
}

versions() {
	label="versions: "
	config >"$tmp/r1.json5"
	start_capture h1 wire e0 igmp
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	check "it becomes the querier" wait_for 5 is_querier r1 true
	start_sink h1 any --interface e0 --group 239.1.1.1
	start_sink h1 ssm --interface e0 --group 232.1.1.1 --source 198.18.0.1
	check "an IGMPv3 join" wait_for 2 has_group r1 239.1.1.1 '.mode == "exclude" and .version == 3'
	check "a source-specific join" wait_for 2 has_group r1 232.1.1.1 \
		'.mode == "include" and [.sources[].source] == ["198.18.0.1"]'
	on h2 sysctl -qw net.ipv4.conf.e0.force_igmp_version=2
	on h2 ip addr add 239.2.2.2/32 dev e0 autojoin
	check "an IGMPv2 join" wait_for 2 has_group r1 239.2.2.2 '.version == 2'
	check_equal "who asked for it" \
		"$(groups r1 '.groups[] | select(.group == "239.2.2.2").last_reporter')" 198.18.1.12
	end_sink any
	check "a leave" wait_for 3 has_no_group r1 239.1.1.1
	on h2 ip addr del 239.2.2.2/32 dev e0
	check "an IGMPv2 leave" wait_for 3 has_no_group r1 239.2.2.2
	on h2 sysctl -qw net.ipv4.conf.e0.force_igmp_version=1
	on h2 ip addr add 239.2.2.3/32 dev e0 autojoin
	check "an IGMPv1 join" wait_for 2 has_group r1 239.2.2.3 '.version == 1'
	on h2 sysctl -qw net.ipv4.conf.e0.force_igmp_version=2
	check "what is wanted stays" has_group r1 232.1.1.1
	end_sink ssm
	on h2 ip addr del 239.2.2.3/32 dev e0
	on h2 sysctl -qw net.ipv4.conf.e0.force_igmp_version=0
	check_equal "received = accepted + drops" \
		"$(interface r1 '.received - .accepted - ([.drops[]] | add)')" 0
	# a host of version 1 may want it still, and would not say so
	check_equal "nothing is refused but the leave of a group that has hosts of version 1" \
		"$(interface r1 '.drops | map_values(select(. > 0)) | tojson')" '{"version":1}'
	end_capture wire
	queries
	stop_all
}

# What the querier has sent, as tshark reads it.
queries() {
	local general=(ip.src ip.dst ip.ttl igmp.max_resp igmp.s igmp.qrv igmp.qqic igmp.num_src)
	check_equal "no packet is malformed" "$(malformed wire)" ""
	check_equal "a general query" \
		"$(fields wire 'igmp.type == 0x11 && igmp.maddr == 0.0.0.0' "${general[@]}" | head -n 1)" \
		"$(printf '%s\t' 198.18.1.1 224.0.0.1 1 10 0 2 5)0"
	check_equal "every query has a router alert" \
		"$(fields wire 'igmp.type == 0x11 && ip.src == 198.18.1.1 && !ip.opt.ra' ip.dst)" ""
	check_equal "queries for the group that was left go to it" \
		"$(fields wire 'igmp.type == 0x11 && igmp.maddr == 239.1.1.1' ip.dst igmp.max_resp |
			sort -u)" "$(printf '239.1.1.1\t5')"
	# the host says twice that it leaves, and the second time may come after the first query
	check_between "… as often as the robustness says" \
		"$(fields wire 'igmp.type == 0x11 && igmp.maddr == 239.1.1.1' ip.dst | wc -l)" 2 4
}

fast() {
	local i
	label="fast leave: "
	config "fast_leave: true, static_groups: [{ interface: \"o1\", group: \"239.9.9.9\" }]" \
		>"$tmp/r1.json5"
	start_capture h1 leaves e0 igmp
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	ctl r1 log-level set --facility network --level debug
	check "a static group is there" has_group r1 239.9.9.9 '.static'
	for ((i = 0; i < 10; i++)); do
		start_sink h1 any --interface e0 --group 239.1.1.1
		wait_for 2 has_group r1 239.1.1.1 || not_ok "join $i"
		end_sink any
		wait_for 2 has_no_group r1 239.1.1.1 || not_ok "leave $i"
		sleep 1.1 # each leave is said twice
	done
	end_capture leaves
	leaves_ms leaves 239.1.1.1 >"$tmp/leaves"
	check_equal "leaves that were looked at" "$(wc -l <"$tmp/leaves")" 10
	check_between "ms from a leave to its effect, the slowest" "$(sort -n "$tmp/leaves" |
		tail -n 1)" 0 50
	check_equal "they were fast leaves" "$(interface r1 .fast_leaves)" 10
	start_sink h1 one --interface e0 --group 239.1.1.1
	start_sink h2 two --interface e0 --group 239.1.1.1
	wait_for 2 has_group r1 239.1.1.1 '[.hosts[].host] == ["198.18.1.11", "198.18.1.12"]' ||
		wait_for 2 has_group r1 239.1.1.1 '(.hosts | length) == 2' ||
		not_ok "both hosts are known" "$(groups r1 .groups)"
	end_sink one
	sleep 0.2
	check "what another host wants stays" has_group r1 239.1.1.1
	end_sink two
	check "until that one leaves" wait_for 1 has_no_group r1 239.1.1.1
	config "fast_leave: true" >"$tmp/r1.json5"
	ctl r1 config load --replace --file "$tmp/r1.json5" >/dev/null
	check "a static group that is not configured any more is gone" has_no_group r1 239.9.9.9
}

# r1 runs from before.
election() {
	label="election: "
	config >"$tmp/r2.json5"
	start_mcrd r2 "$tmp/r2.json5" --ignore-state
	check "the lower address asks" wait_for 7 is_querier r2 false
	check_equal "the other one knows whom it goes by" "$(interface r2 .querier)" 198.18.1.1
	check "and the lower one goes on" is_querier r1 true
	start_sink h1 any --interface e0 --group 239.1.1.1
	check "both learn" wait_for 2 has_group r2 239.1.1.1
	check "both learn" wait_for 2 has_group r1 239.1.1.1
	on r1 ip link set o1 down
	check "without a link it forgets" wait_for 2 has_no_group r1 239.1.1.1
	check_equal "its state says why" "$(interface r1 .state)" down
	on r1 ip link set o1 up
	check "with it, it learns again" wait_for 5 has_group r1 239.1.1.1
	stop_mcrd r1
	end_sink any
	check_equal "no packet was refused" "$(interface r2 '[.drops[]] | add')" 0
	stop_mcrd r2
}

# What a daemon has open that it needs for nothing.
none() {
	label="without IGMP: "
	echo "{}" >"$tmp/r1.json5"
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	check_equal "no packet socket" "$(on r1 tail -n +2 /proc/net/packet)" ""
	check_equal "no raw socket" "$(on r1 tail -n +2 /proc/net/raw)" ""
	config >"$tmp/r1.json5"
	ctl r1 config load --file "$tmp/r1.json5" >/dev/null
	check_equal "one packet socket" "$(on r1 tail -n +2 /proc/net/packet | wc -l)" 1
	check_equal "one raw socket" "$(on r1 tail -n +2 /proc/net/raw | wc -l)" 1
	echo "{}" >"$tmp/r1.json5"
	ctl r1 config load --replace --file "$tmp/r1.json5" >/dev/null
	check_equal "none again" "$(on r1 tail -n +2 /proc/net/packet /proc/net/raw | grep -c '^[0-9f]')" 0
	stop_mcrd r1
}

tb_up "$tmp/lan.topo"
bridge
none
versions
fast
election
finish
