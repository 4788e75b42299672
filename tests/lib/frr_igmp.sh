# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests of IGMP beside a router of FRR, after frr.sh: a LAN with our router r1, FRR's f1 and a
# host; the source is behind ours.

ours=198.18.1.10
cat >"$tmp/lan.topo" <<'END'
# A LAN with our router, one of FRR and a host; the source is behind ours.
link src:s0,198.18.0.1/24,multicast r1:in0,198.18.0.2/24
link r1:o1,198.18.1.10/24 lan:p1
link f1:x0,198.18.1.20/24 lan:p2
link h1:e0,198.18.1.30/24,multicast lan:p3
END

lan_up() {
	local port
	tb_up "$tmp/lan.topo"
	on lan ip link add br0 type bridge mcast_snooping 0
	for port in p1 p2 p3; do
		on lan ip link set "$port" master br0
	done
	on lan ip link set br0 up
	on r1 sysctl -qw net.ipv4.conf.o1.promote_secondaries=1
}

# config VERSION : IGMP as frr_igmp has it
config() {
	cat <<-END
	{ igmp: { querier_interfaces: ["o1"], source_interfaces: ["in0"], version: $1,
	          query_interval: 1, query_response_interval: 0.5, last_member_query_interval: 0.5 } }
	END
}

# interface FILTER : of our only IGMP interface
interface() {
	ctl r1 --output json igmp interfaces | jq -r ".interfaces[0] | $1"
}

is_querier() {
	[ "$(interface .is_querier)" = "$1" ]
}

frr_querier_is() {
	frr_says f1 'show ip igmp interface x0 json' ".x0.querier == \"$1\""
}

has_frr_group() {
	frr_says f1 'show ip igmp groups json' ".x0.groups[]? | select(.group == \"239.1.1.1\")"
}

has_our_group() {
	ctl r1 --output json igmp groups | jq -e '.groups[] | select(.group == "239.1.1.1")'
}

frr_start() {
	start_frr f1 <<<"$(frr_interface x0 "${frr_igmp[@]}" " ip igmp version $1")"
}

# queries FROM [SINCE] : general queries on the wire after a time, with their versions
queries() {
	tshark -n -r "$tmp/wire.pcap" -Y "igmp.type == 0x11 && igmp.maddr == 0.0.0.0 &&
		ip.src == $1 && frame.time_epoch > ${2:-0}" -T fields -e igmp.version 2>/dev/null
}

has_asked() {
	[ "$(queries "$@" | wc -l)" -ge 2 ]
}

now() {
	date +%s.%N
}

# receiving SECONDS : a stream to the host, who has joined; it lasts until `received`
receiving() {
	start_sink h1 stream --interface e0 --group 239.1.1.1
	check "both learn that the host wants it" wait_for 5 has_frr_group
	check "both learn that the host wants it" wait_for 5 has_our_group
	gen_start src stream --interface s0 --group 239.1.1.1 --port 5001 --rate 500 \
		--duration "$1" --ttl 9
}

received() {
	gen_wait stream
	end_sink stream
	check_equal "the host has got all of it" "$(json "$tmp/sink.stream.json" .total.unique)" \
		"$(sent stream)"
	check_equal "once" "$(json "$tmp/sink.stream.json" .total.duplicated)" 0
}

# What both have said and heard.
stop() {
	end_capture wire
	stop_mcrd r1
	check_frr f1 "$@"
	stop_frr f1
	check_wire "$*" wire
	on h1 sysctl -qw net.ipv4.conf.e0.force_igmp_version=0
}
