#!/bin/bash
# SPDX-License-Identifier: MIT
# IGMP by interface: settings of its own, what may be joined and how much, groups that the router
# joins itself, interfaces enabled and disabled while it runs and when it has ended.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/lan.topo" <<'END'
# A router between two links with a host each.
link h1:e0,198.18.1.11/24,multicast r:o1,198.18.1.1/24
link h2:e0,198.18.2.11/24,multicast r:o2,198.18.2.1/24
END

cat >"$tmp/r.json5" <<'END'
{ igmp: {
    querier_interfaces: ["o1"], query_interval: 3, query_response_interval: 1,
    last_member_query_interval: 0.5, track_hosts: true, max_sources: 3,
    interfaces: [ { name: "o2", version: 2, max_groups: 2,
                    send_router_alert: false,
                    access: [ { deny: "239.66.0.0/16" }, { permit: "239.0.0.0/8" } ] } ],
    static_groups: [ { interface: "o1", group: "239.9.9.9", join: true },
                     { interface: "o1", group: "232.9.9.9", source: "198.18.0.1", join: true },
                     { interface: "o2", group: "239.8.8.8" } ] } }
END

# groups FILTER : a jq filter of what the daemon knows of groups
groups() {
	ctl r --output json igmp groups | jq -r "$1"
}

# groups_of INTERFACE : their addresses, sorted
groups_of() {
	groups "[.groups[] | select(.interface == \"$1\").group] | sort | join(\" \")"
}

groups_are() {
	[ "$(groups_of "$1")" = "$2" ]
}

# interface NAME FILTER
interface() {
	ctl r --output json igmp interfaces | jq -r ".interfaces[] | select(.interface == \"$1\") | $2"
}

interface_is() {
	[ "$(interface "$1" "$2")" = "$3" ]
}

# seen CAPTURE FILTER FIELD… : as tshark decodes them, each line once
seen() {
	local f options=()
	for f in "${@:3}"; do
		options+=(-e "$f")
	done
	tshark -n -r "$tmp/$1.pcap" -Y "$2" -T fields "${options[@]}" 2>/dev/null | sort -u
}

by_interface() {
	label="by interface: "
	start_capture h1 one e0 igmp
	start_capture h2 two e0 igmp
	start_mcrd r "$tmp/r.json5" --ignore-state
	check "both are asked" wait_for 5 interface_is o2 .is_querier true
	start_sink h1 v3 --interface e0 --group 239.1.1.1
	start_sink h2 v2 --interface e0 --group 239.1.1.1
	check "one in version 3" wait_for 5 groups_are o1 "232.9.9.9 239.1.1.1 239.9.9.9"
	check "one in version 2" wait_for 5 groups_are o2 "239.1.1.1 239.8.8.8"
	check_equal "by which its host is known" \
		"$(groups '.groups[] | select(.interface == "o2" and .group == "239.1.1.1") |
			[.version, .hosts[0].host] | join(" ")')" "2 198.18.2.11"
	end_capture one
	end_capture two
	check_equal "queries on the one link" \
		"$(seen one 'igmp.type == 0x11' igmp.version ip.opt.ra)" "$(printf '3\t0')"
	check_equal "and on the other, without router alert" \
		"$(seen two 'igmp.type == 0x11' igmp.version ip.opt.ra)" "$(printf '2\t')"
}

limits() {
	label="limits: "
	start_sink h2 more --interface e0 --group 239.2.2.2
	check "a group too many is refused" wait_for 3 interface_is o2 '.drops.cap_groups > 0' true
	start_sink h2 denied --interface e0 --group 239.66.1.1
	check "and one that is denied" wait_for 3 interface_is o2 '.drops.filtered > 0' true
	check_equal "what was there stays" "$(groups_of o2)" "239.1.1.1 239.8.8.8"
	check_equal "received = accepted + drops" \
		"$(interface o2 '.received - .accepted - ([.drops[]] | add)')" 0
	start_sink h1 many --interface e0 --group 239.1.1.5 --source 198.18.0.1 --sources 4
	check "sources too many are refused" wait_for 3 interface_is o1 '.sources_refused > 0' true
	check_equal "then any source is taken" "$(groups '.groups[] | select(.group == "239.1.1.5") |
		.mode')" exclude
	check_equal "and no host too many is known" "$(interface o1 .hosts_refused)" 0
	end_sink many
	end_sink v2
	check "a group that is left makes room" wait_for 6 groups_are o2 "239.2.2.2 239.8.8.8"
	end_sink more
	end_sink denied
	check "and the last one is left" wait_for 6 groups_are o2 "239.8.8.8"
}

# What the kernel of the router has joined on o1, beside 224.0.0.0/24.
joined() {
	ip netns exec "$tb_prefix-r" ip -4 maddr show dev o1 |
		awk '$1 == "inet" && $2 !~ /^224\.0\.0\./ { print $2 }' | sort | tr '\n' ' '
}

joined_are() {
	[ "$(joined)" = "$1" ]
}

reported() {
	[ -n "$(seen again 'igmp.type == 0x22 && ip.src == 198.18.1.1 && igmp.maddr == 239.9.9.9' ip.src)" ]
}

joins() {
	label="joins: "
	check_equal "the router is a host of its groups" "$(joined)" "232.9.9.9 239.9.9.9 "
	check_equal "of one source" "$(on r grep -c 'o1 0xe8090909 0xc6120001' /proc/net/mcfilter)" 1
	on r ip link set o1 down
	check "a link that is down has nobody" wait_for 3 joined_are ""
	start_capture h1 again e0 igmp
	on r ip link set o1 up
	check "it joins again" wait_for 3 joined_are "232.9.9.9 239.9.9.9 "
	check "and says so" wait_for 3 reported
	end_capture again
	check "its host answers again" wait_for 5 groups_are o1 "232.9.9.9 239.1.1.1 239.9.9.9"
	sed 's/, join: true//' "$tmp/r.json5" >"$tmp/plain.json5"
	ctl r config load --replace --file "$tmp/plain.json5" >/dev/null
	check_equal "until it is not configured" "$(joined)" ""
	check "the groups stay" groups_are o1 "232.9.9.9 239.1.1.1 239.9.9.9"
	ctl r config load --replace --file "$tmp/r.json5" >/dev/null
	check_equal "and are joined again" "$(joined)" "232.9.9.9 239.9.9.9 "
}

switched() {
	label="enable, disable: "
	check_equal "a dry run says what would change" "$(ctl r igmp disable o2 --dry-run)" \
		"would change the setting igmp"
	check_equal "and changes nothing" "$(interface o2 .state)" up
	check "disable" ctl r igmp disable o2
	check_equal "it is none of the interfaces" "$(interface o2 .state)" ""
	check_equal "its groups are gone" "$(groups '[.groups[] | select(.interface == "o2") |
		select(.static | not)] | length')" 0
	check_equal "twice is once" "$(ctl r igmp disable o2)" "nothing changed"
	check_fails "what is not configured cannot be" ctl r igmp disable o3
	check "one that is not there can be enabled" ctl r igmp enable o3
	stop_mcrd r KILL
	start_mcrd r "$tmp/r.json5"
	check_equal "all of that is kept" "$(ctl r config show | jq -c '.igmp |
		[.querier_interfaces, [.interfaces[] | .name, .mode]]')" '[["o1","o3"],["o2","off"]]'
	check_equal "one is not there" "$(interface o3 .state)" missing
	check "enable" ctl r igmp enable o2
	check "with its settings of before" wait_for 5 interface_is o2 '[.state, .version] | join(" ")' \
		"up 2"
	check "and its static group" groups_are o2 239.8.8.8
}

tb_up "$tmp/lan.topo"
for part in by_interface limits joins switched; do
	"$part"
done
label=""
end_sink v3
stop_mcrd r
finish
