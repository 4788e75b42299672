#!/bin/bash
# SPDX-License-Identifier: MIT
# Our router as the rendezvous point between two routers of FRR, one at the source, one at the host:
# Registers are taken, stopped, asked for again; the shared tree and the source's tree meet here, and
# every datagram comes once.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_pim.sh
. "$root/tests/lib/frr_pim.sh"

rp=198.18.255.1

cat >"$tmp/chain.topo" <<'END'
# src1 - f1 - r1 - f2 - h1
link src1:s0,198.18.10.1/24,multicast f1:in0,198.18.10.2/24
link f1:x0,198.18.1.2/24 r1:x1,198.18.1.1/24
link r1:x2,198.18.2.1/24 f2:x0,198.18.2.2/24
link f2:o1,198.18.20.1/24 h1:e0,198.18.20.2/24,multicast,gro
route src1 198.18.0.0/16 via 198.18.10.2
route f1 198.18.2.0/24 via 198.18.1.1
route f1 198.18.20.0/24 via 198.18.1.1
route f1 198.18.255.1/32 via 198.18.1.1
route r1 198.18.10.0/24 via 198.18.1.2
route r1 198.18.20.0/24 via 198.18.2.2
route f2 198.18.1.0/24 via 198.18.2.1
route f2 198.18.10.0/24 via 198.18.2.1
route f2 198.18.255.1/32 via 198.18.2.1
END

# f1_register COUNTER : of FRR at the source
f1_register() {
	frr_show f1 'show ip pim interface traffic json' ".x0.$1"
}

has_been_stopped() {
	[ "$(f1_register registerStopRx)" -ge "$1" ]
}

tb_up "$tmp/chain.topo"
on r1 ip addr add "$rp/32" dev lo
on src1 ethtool -K s0 tx off >/dev/null # or what FRR puts into Registers has no checksums
start_capture f1 wire1 x0 'igmp or pim'
start_capture f2 wire2 x0 'igmp or pim'
start_frr f1 <<<"$(frr_interface x0 && frr_interface in0)"
start_frr f2 <<<"$(frr_interface x0 && frr_interface o1 "${frr_igmp[@]}")"
pim_config "x1 x2" "rp_address: \"$rp\"" >"$tmp/r1.json5"
start_mcrd r1 "$tmp/r1.json5" --ignore-state
frr_set f1 "ip pim rp $rp 224.0.0.0/4"
frr_set f2 "ip pim rp $rp 224.0.0.0/4"
check "FRR at the source lists us" wait_for 6 frr_has_neighbor f1 x0 198.18.1.1
check "FRR at the host lists us" wait_for 6 frr_has_neighbor f2 x0 198.18.2.1
check "we are the rendezvous point" pim_says r1 rp ".rps | any(.rp == \"$rp\")"

label="no receivers: "
start_gen src1 stream --interface s0 --group 239.1.1.1 --port 5001 --rate 100 --ttl 9
check "a Register is answered by a Register-Stop" wait_for 3 has_been_stopped 1
check "and so is a Null-Register" wait_for 10 has_been_stopped 2
check_between "Registers that came nevertheless" "$(seen wire1 "pim.type == 1" | wc -l)" 1 30

label="a receiver: "
since=$(now)
start_sink h1 any --interface e0 --group 239.1.1.1
check "the source's tree is joined" wait_packet wire1 "$(joined 239.1.1.1 198.18.10.1) &&
	ip.src == 198.18.1.1" "$since"
check "our route leads from one to the other" wait_for 5 has_route 239.1.1.1 198.18.10.1 x2
sleep 2 # of the stream
end_gen stream
sleep 0.2
end_sink any
echo "# of $(sent stream) sent: unique, duplicated, lost: $(got any)"
check_between "datagrams that have come" "$(json "$tmp/sink.any.json" .total.unique)" 100 \
	"$(sent stream)"
check_equal "none came twice, and once they came, all of them" \
	"$(json "$tmp/sink.any.json" '.total | [.duplicated, .lost] | join(" ")')" "0 0"

label="a source that comes later: "
start_sink h1 any --interface e0 --group 239.2.2.2
check "the shared tree is there" wait_for 5 pim_says r1 joins \
	'.joins | any(.group == "239.2.2.2" and .source == "")'
gen src1 later --interface s0 --group 239.2.2.2 --port 5001 --rate 200 --count 800 --ttl 9
sleep 0.2
end_sink any
echo "# of $(sent later) sent: unique, duplicated, lost: $(got any)"
check_between "datagrams that have come, the first ones in Registers" \
	"$(json "$tmp/sink.any.json" .total.unique)" 780 800
check_equal "none came twice" "$(json "$tmp/sink.any.json" .total.duplicated)" 0

label=""
check_equal "received = accepted + drops" \
	"$(pim r1 interfaces '.counters | .received - .accepted - ([.drops[]] | add)')" 0
check_equal "no message was refused" \
	"$(pim r1 interfaces '.counters.drops | map_values(select(. > 0)) | tojson')" "{}"
check "the books close" wait_for 5 is_at_rest r1
check_frr f1 198.18.1.1 198.18.255.1
check_frr f2 198.18.2.1 198.18.255.1
stop_mcrd r1
stop_frr f1
stop_frr f2
end_capture wire1
end_capture wire2
check_wire "198.18.1.1 198.18.2.1 198.18.255.1" wire1 wire2
finish
