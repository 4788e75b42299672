#!/bin/bash
# SPDX-License-Identifier: MIT
# What outputs make of a datagram, field by field, on the wire: addresses, ports, TTL, DSCP, ECN,
# DF and checksums; which rule takes what; ESP.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
to=198.18.102.2
good="1 1" # what tshark says of IP and UDP checksums that are right

# two_kinds : five datagrams with DSCP 46, ECN 3 and DF, five with nothing of it
two_kinds() {
	local i how=UDP4-SENDTO:239.1.1.1:5001,sourceport=4444,ip-multicast-ttl=12
	for i in 1 2 3 4 5; do
		echo "datagram $i of the first kind" |
			on src1 socat -u - "$how,ip-tos=187,ip-mtu-discover=2" || bail "socat"
		echo "datagram $i of the second kind, longer" |
			on src1 socat -u - "$how,ip-mtu-discover=0" || bail "socat"
	done
}

# check_wire NAME CAPTURE DEST PORT SOURCE TTL DSFIELD-OF-FIRST DSFIELD-OF-SECOND [SOURCE-PORT]
check_wire() {
	local port=() first second
	[ -z "${9:-}" ] || port=(udp.srcport)
	first="5 $5 $3 $6 $7 1 $good${9:+ $9}"
	second="5 $5 $3 $6 $8 0 $good${9:+ $9}"
	check_equal "$1" \
		"$(fields "$2" "ip.dst == $3 && udp.dstport == $4" ip.src ip.dst ip.ttl ip.dsfield \
			ip.flags.df ip.checksum.status udp.checksum.status "${port[@]}" | sort)" \
		"$(printf '%s\n' "$first" "$second" | sort)"
}

policies() {
	relay relay "$(rule in1 \
		'o1, group: "239.2.1.1", port: 6001, ttl: 9' \
		'o1, group: "239.2.1.2", source: "preserve", ttl: "decrement"' \
		'o1, group: "239.2.1.3", source: "198.19.0.77", dscp: 10' \
		'o2' \
		"{ address: \"$to\", port: 6003, dscp: 34 }" \
		"{ address: \"$to\", port: 6004, source: \"preserve\", ttl: \"decrement\" }" \
		"{ interface: \"o2\", address: \"$to\", port: 6005,
			source: \"198.19.0.78\", ttl: 33 }")"
	start_capture rx1 p1 r0 udp
	start_capture rx2 p2 r0 udp
	two_kinds
	check_books relay
	end_capture p1 30
	end_capture p2 40
	check_wire "group, port and TTL rewritten; DSCP, ECN and DF kept" \
		p1 239.2.1.1 6001 198.18.101.1 9 0xbb 0x00 4444
	check_wire "source and port preserved, TTL one less" \
		p1 239.2.1.2 5001 198.18.1.1 11 0xbb 0x00 4444
	check_wire "literal source; DSCP 10 with the ECN it had; default TTL" \
		p1 239.2.1.3 5001 198.19.0.77 1 0x2b 0x28 4444
	check_wire "an output that says nothing" p2 239.1.1.1 5001 198.18.102.1 1 0xbb 0x00 4444
	check_wire "unicast: source by the kernel, TTL 64, DSCP 34, ECN and DF kept" \
		p2 "$to" 6003 198.18.102.1 64 0x8b 0x88
	check_wire "unicast, source and port preserved, TTL one less" \
		p2 "$to" 6004 198.18.1.1 11 0xbb 0x00 4444
	check_wire "unicast, literal source, TTL 33" p2 "$to" 6005 198.19.0.78 33 0xbb 0x00
	check_equal "group MAC addresses" \
		"$(fields p1 udp eth.src eth.dst | sort)" \
		"$(printf '10 02:00:c6:12:65:01 01:00:5e:02:01:0%s\n' 1 2 3)"
	check_equal "payloads are what they were" \
		"$(fields p1 udp data.data | cut -d ' ' -f 2 | sort)" \
		"$(fields p2 "udp.dstport == 5001" data.data | cut -d ' ' -f 2 | sort)"
	check_equal "ten different payloads" "$(fields p1 udp data.data | wc -l)" 10
	stop_all
}

# The most specific of four rules for a group takes what it names; a rule without port keeps it.
specific() {
	local n=100 group='group: "239.5.5.5"' from
	relay relay \
		"$(match="$group" rule in1 'o1, group: "239.6.0.4"')" \
		"$(match="$group, port: 7001" rule in1 'o1, group: "239.6.0.3"')" \
		"$(match="$group, source: \"198.18.1.1\"" rule in1 'o1, group: "239.6.0.2"')" \
		"$(match="$group, source: \"198.18.1.1\", port: 7001" rule in1 \
			'o1, group: "239.6.0.1", port: 8001')"
	start_capture rx1 s1 r0 udp
	for from in 198.18.1.1 198.18.1.9; do
		gen src1 g --interface s0 --mode packet --group 239.5.5.5 --port 7001 --ports 2 \
			--source "$from" --count $((2 * n))
	done
	check_books relay
	end_capture s1 $((4 * n))
	check_equal "the most specific rule takes it" \
		"$(fields s1 udp ip.dst udp.dstport | sort -k 2)" \
		"$(printf "$n 239.6.0.%s\n" "1 8001" "2 7002" "3 7001" "4 7002")"
	stop_all
}

# ESP to a group and by routes. The 64 bytes behind the IP header stay as they are.
esp() {
	local i payload match='group: "239.7.7.7", protocol: "esp"'
	relay relay "$(rule in1 'o1, group: "239.8.8.8", source: "preserve", ttl: "decrement"' \
		'o1, ttl: 5, dscp: 12' "{ address: \"$to\" }" \
		"{ address: \"$to\", source: \"preserve\", ttl: 40 }")"
	head -c 64 /dev/urandom >"$tmp/esp"
	start_capture rx1 e1 r0 proto 50
	start_capture rx2 e2 r0 proto 50
	for i in 1 2 3; do
		on src1 socat -u "$tmp/esp" IP4-SENDTO:239.7.7.7:50,ip-multicast-ttl=20
	done
	check_books relay
	end_capture e1 6
	end_capture e2 6
	check_equal "ESP to groups" \
		"$(fields e1 esp ip.src ip.dst ip.ttl ip.dsfield ip.len ip.checksum.status)" \
		"$(printf '3 %s 84 1\n' "198.18.1.1 239.8.8.8 19 0x00" \
			"198.18.101.1 239.7.7.7 5 0x30")"
	check_equal "ESP by routes" \
		"$(fields e2 esp ip.src ip.dst ip.ttl ip.len ip.checksum.status)" \
		"$(printf '3 %s 84 1\n' "198.18.1.1 $to 40" "198.18.102.1 $to 64")"
	payload=$(od -An -v -tx1 "$tmp/esp" | tr -d ' \n')
	check_equal "SPI, sequence and all that follows" \
		"$(for i in e1 e2; do
			tcpdump -n -r "$tmp/$i.pcap" -x 2>/dev/null | grep -o '0x00[1-5]0: .*' |
				cut -d : -f 2 | tr -d ' \n' | sed "s/$payload/=/g" | tr -dc =
		done)" "============"
	stop_all
}

cat >"$tmp/policies.topo" <<'END'
link src1:s0,198.18.1.1/24,multicast relay:in1,198.18.1.2/24
each 2 link relay:o{i},198.18.10{i}.1/24 rx{i}:r0,198.18.10{i}.2/24
END
tb_up "$tmp/policies.topo"
on relay ethtool -K o1 tx off >"$tmp/ethtool.log"
on relay ethtool -K o2 tx off >>"$tmp/ethtool.log"
for_each_datapath policies
for_each_datapath specific
for_each_datapath esp
finish
