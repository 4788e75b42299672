#!/bin/bash
# SPDX-License-Identifier: MIT
# Our router as the first hop: it sends what a source of its own says to FRR, the rendezvous point, in
# Registers, is told to stop, asks again, and forwards natively once FRR has joined the source's tree.
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

rp=198.18.255.2

# register_is STATE
register_is() {
	pim_says r1 joins ".joins | any(.source == \"198.18.10.1\" and .register == \"$1\")"
}

# traffic COUNTER : FRR's, of our interface
traffic() {
	frr_show f1 'show ip pim interface traffic json' ".x0.$1"
}

has_received() {
	[ "$(traffic registerRx)" -ge "$1" ]
}

is_forgotten() {
	pim_says r1 joins '.joins | all(.source != "198.18.10.1")'
}

frr_has_forgotten() {
	frr_says f1 'show ip pim upstream json' '[.[] | objects | has("198.18.10.1")] | any | not'
}

two_routers_up
# traffic is looked at every 10 s
keepalive=15 two_routers_start "static_rp: [{ group: \"239.0.0.0/8\", rp: \"$rp\" }]"
frr_set f1 "ip pim rp $rp 239.0.0.0/8" "ip pim keep-alive-timer 8" "ip pim rp keep-alive-timer 8"
start_gen src1 stream --interface s0 --group 239.1.1.1 --port 5001 --rate 100 --ttl 9
check "FRR gets Registers" wait_for 3 has_received 1
check "and says stop, as nobody is there to receive" wait_packet wire "pim.type == 2"
check "we do" wait_for 2 register_is prune
check "and ask again" wait_for 12 was_seen wire "pim.type == 1 && pim.register_flag.null_register == 1"
check "FRR answers" wait_for 2 register_is prune
start_sink h2 any --interface e0 --group 239.1.1.1
check "FRR joins the source's tree" wait_packet wire "$(joined 239.1.1.1 198.18.10.1) &&
	ip.src == 198.18.1.2"
check "our route goes there" wait_for 3 has_route 239.1.1.1 198.18.10.1 x1
sleep 2 # of the stream
end_gen stream
sleep 0.2
end_sink any
check_equal "none came twice" "$(json "$tmp/sink.any.json" .total.duplicated)" 0
check_between "datagrams that have come" "$(json "$tmp/sink.any.json" .total.unique)" 100 \
	"$(sent stream)"
check_equal "once they came, all of them" "$(json "$tmp/sink.any.json" .total.lost)" 0
check "when the source is silent, we forget it" wait_for 28 is_forgotten
check "and so does FRR" wait_for 14 frr_has_forgotten
two_routers_end none
finish
