#!/bin/bash
# SPDX-License-Identifier: MIT
# Frames of every kind, right and wrong: each is relayed as documented, or is in exactly one named
# counter. The outputs' devices compute checksums in software, so that the sinks see what a wire
# would carry.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
count=200
routed=198.18.102.2

# inject NODE OPTION… : frames of a kind, between two looks at the counters of in1 and in2. In the
# unicast outputs' host nobody has the port, so that its ICMP messages come back to the relay.
inject() {
	local was1 was2
	was1=$(counts relay in1)
	was2=$(counts relay in2)
	start_sink rx1 group --mode packet --interface r0 --group 239.1.1.1 --port 5001 --ports 10
	start_sink rx2 routed --mode packet --interface r0 --group "$routed" --port 6001
	start_sink rx2 raw --mode packet --interface r0 --group "$routed" --port 6002
	gen "$1" g --interface s0 "${flow[@]}" --mode packet --size 1000 --count "$count" "${@:2}"
	check_books relay
	end_sink group
	end_sink routed
	end_sink raw
	since1=$(counts_since "$was1" relay in1)
	since2=$(counts_since "$was2" relay in2)
}

# relayed KIND GROUP ROUTED RAW OPTION… : all are relayed; what the checksums at the sinks are
relayed() {
	local sink want=("$2" "$3" "$4") i=0
	inject src1 "${@:5}"
	check_equal "$1: relayed, by the counters" "$since1" "matched=$count to_worker=$count"
	for sink in group routed raw; do
		check_equal "$1: relayed, at sink $sink" \
			"$(totals "$sink" "unique lost corrupt checksums.${want[i]}")" \
			"$count 0 0 $count"
		i=$((i + 1))
	done
}

# counted KIND COUNTERS OPTION… : none is relayed, and that is why
counted() {
	inject src1 "${@:3}"
	check_equal "$1: counted" "$since1" "$2"
	check_equal "$1: nothing arrives" "$(json "$tmp/sink.group.json" '.total.received +
		.other.malformed + .other.ip_checksum_bad + .other.fragments')" 0
	check_equal "$1: nothing arrives by routes" \
		"$(totals routed received) $(totals raw received)" "0 0"
}

frames() {
	local n=$count kind other='group: "239.1.1.1", port: 5002'
	relay relay "$(rule in1 'o1, ttl: 8' "{ address: \"$routed\", port: 6001 }" \
		"{ address: \"$routed\", port: 6002, source: \"preserve\" }")" \
		"$(also='accept_ttl1: true,' match="$other" rule in1 'o1, ttl: 8')" \
		"$(match='group: "239.1.1.1", port: 5003' rule in2 'o1, ttl: 8')"
	check_books relay

	relayed "full checksum" good good good --checksum full
	relayed "checksum left to the device" good good good --checksum partial
	relayed "the same, nobody told" good good good --checksum pseudo
	relayed "no checksum" none good none --checksum zero
	relayed "trailer behind the datagram" good good good --malformed trailer
	relayed "DF set" good good good --df
	counted "wrong checksum" "drop.checksum=$n to_worker=$n" --checksum wrong
	counted "wrong IP header checksum" "drop.checksum=$n to_worker=$n" --malformed ip-checksum

	counted "IP options" "ip_options=$n" --ip-options
	counted "fragments" "fragment=$((3 * n))" --fragment 400
	counted "VLAN tag" "vlan=$n" --vlan 5
	counted "TTL 1" "rule.ttl=$n ttl=$n" --ttl 1
	counted "TTL 0" "rule.ttl=$n ttl=$n" --ttl 0
	counted "source 127.0.0.5" "bad_source=$n" --source 127.0.0.5
	counted "source 239.9.9.9" "bad_source=$n" --source 239.9.9.9
	counted "source 255.255.255.255" "bad_source=$n" --source 255.255.255.255
	counted "another port" "no_rule=$n" --port 5009
	counted "another group" "no_rule=$n" --group 239.1.1.2
	counted "a link-local group" "control=$n" --group 224.0.0.5
	counted "another ethertype" "not_ip4=$n" --malformed ethertype
	for kind in short-ip short-udp version ihl total-long total-short udp-long udp-short; do
		counted "malformed, $kind" "malformed=$n" --malformed "$kind"
	done

	inject src1 --port 5002 --ttl 1
	check_equal "TTL 1, accepted: counted" "$since1" "matched=$n to_worker=$n"
	check_equal "TTL 1, accepted: arrives" "$(totals group "unique corrupt")" "$n 0"
	counted "own address as source, TTL 1 accepted" "loop=$n rule.loop=$n" \
		--port 5002 --ttl 1 --source 198.18.101.1
	inject src2
	check_equal "wrong input interface: counted" "$since2" "wrong_iif=$n"
	check_equal "wrong input interface: nothing arrives" "$(totals group received)" 0
	for kind in 1 2 3; do
		echo "no UDP" | on src1 socat -u - IP4-SENDTO:239.1.1.1:89
	done
	check_books relay
	check_equal "OSPF is not relayed" "$(stat relay 'verdict("in1"; "not_relayed")')" 3
	stop_all
}

cat >"$tmp/frames.topo" <<'END'
each 2 link src{i}:s0,198.{net}.1/24,multicast relay:in{i},198.{net}.2/24
each 2 link relay:o{i},198.18.10{i}.1/24 rx{i}:r0,198.18.10{i}.2/24
END
tb_up "$tmp/frames.topo"
on relay ethtool -K o1 tx off >"$tmp/ethtool.log"
on relay ethtool -K o2 tx off >>"$tmp/ethtool.log"
for_each_datapath frames
finish
