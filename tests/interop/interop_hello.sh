#!/bin/bash
# SPDX-License-Identifier: MIT
# Neighbours: PIM's Hello beside a router of FRR. Each lists the other, both agree who is the
# designated router whatever priorities say, and changes of addresses, restarts and goodbyes are
# taken as they are meant.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_pim.sh
. "$root/tests/lib/frr_pim.sh"

ours=198.18.1.30 theirs=198.18.1.20
cat >"$tmp/link.topo" <<'END'
link r1:x1,198.18.1.30/24 f1:x0,198.18.1.20/24
END

# load [INTERFACE-SETTINGS] : into the running daemon
load() {
	interface_more=${1:-} pim_config x1 >"$tmp/r1.json5"
	ctl r1 config load --file "$tmp/r1.json5" >/dev/null || not_ok "it takes: $1"
}

# dr_is ADDRESS : both say so
dr_is() {
	pim_says r1 interfaces ".interfaces[0].dr == \"$1\"" &&
		frr_says f1 'show ip pim interface json' ".x0.pimDesignatedRouter == \"$1\""
}

# theirs_of ADDRESS FILTER : what FRR knows of us
theirs_of() {
	frr_show f1 'show ip pim neighbor json' ".x0[\"$1\"] | $2"
}

neighbors() {
	label="neighbours: "
	check "FRR lists us" wait_for 6 frr_has_neighbor f1 x0 "$ours"
	check "we list it" wait_for 6 has_neighbor r1 "$theirs"
	check_equal "it knows our holdtime" "$(theirs_of "$ours" .holdTimeMax)" 4
	check_equal "and we its" "$(pim r1 neighbors '.neighbors[0].holdtime')" 4
	check_equal "it knows our priority" "$(theirs_of "$ours" .drPriority)" 1
	check_equal "and we its" "$(pim r1 neighbors '.neighbors[0].dr_priority')" 1
}

designated() {
	label="designated router: "
	check "the higher address, with equal priorities" wait_for 5 dr_is "$ours"
	load "dr_priority: 0,"
	check "not the lower priority" wait_for 5 dr_is "$theirs"
	load "dr_priority: 10,"
	check "the higher priority" wait_for 5 dr_is "$ours"
	frr_set f1 "interface x0" "ip pim drpriority 4294967295"
	check "the highest there is" wait_for 5 dr_is "$theirs"
	load "hide_dr_priority: true,"
	check "the higher address, when one says no priority" wait_for 5 dr_is "$ours"
	frr_set f1 "interface x0" "no ip pim drpriority"
	load
	check "no neighbour was lost by all that" has_neighbor r1 "$theirs"
}

addresses() {
	label="addresses: "
	on r1 ip addr add 198.18.1.40/24 dev x1
	check "FRR learns of a second address" wait_for 5 has_secondary 198.18.1.40
	on r1 ip addr del "$ours/24" dev x1
	check "and that it has become the first" wait_for 3 frr_has_neighbor f1 x0 198.18.1.40
	check "the old one has said goodbye" wait_for 1 frr_has_no_neighbor f1 x0 "$ours"
	check "all the time we list FRR" has_neighbor r1 "$theirs"
}

has_secondary() {
	frr f1 'show ip pim secondary' | grep -wF "$1"
}

restarts() {
	local id
	label="restarts: "
	id=$(pim r1 interfaces '.interfaces[0].generation_id')
	stop_mcrd r1 KILL
	start_mcrd r1
	check "FRR is listed again" wait_for 6 has_neighbor r1 "$theirs"
	check "FRR lists us" frr_has_neighbor f1 x0 "$ours"
	check_equal "and has not noticed" "$(pim r1 interfaces '.interfaces[0].generation_id')" "$id"
	check "it says Hello" wait_for 3 pim_says r1 interfaces '.counters.sent_types.hello > 0'
}

goodbyes() {
	label="goodbyes: "
	check "PIM is switched off" ctl r1 pim disable --interface x1
	check "FRR has us no more" wait_for 1 frr_has_no_neighbor f1 x0 198.18.1.40
	check "it is switched on" ctl r1 pim enable --interface x1
	check "FRR is listed again" wait_for 6 has_neighbor r1 "$theirs"
	check_frr f1 "$ours" 198.18.1.40
	stop_frr f1
	check "FRR says goodbye" wait_for 2 has_no_neighbor r1 "$theirs"
}

# What goes out with the settings of the standard.
defaults() {
	label="defaults: "
	echo '{ pim: { interfaces: [{ name: "x1" }] } }' >"$tmp/r1.json5"
	start_capture f1 default x0 pim
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	end_capture default 1
	check_equal "holdtime, priority, delays of the first Hello" \
		"$(tshark -n -r "$tmp/default.pcap" -c 1 -T fields -e pim.holdtime \
			-e pim.dr_priority -e pim.propagation_delay -e pim.override_interval \
			-e pim.t -e ip.ttl 2>/dev/null)" "$(printf '%s\t' 105 1 500 2500 0)1"
	stop_mcrd r1
}

tb_up "$tmp/link.topo"
on r1 sysctl -qw net.ipv4.conf.x1.promote_secondaries=1
defaults
label=""
start_capture f1 wire x0 pim
start_frr f1 <<<"$(frr_interface x0)"
pim_config x1 >"$tmp/r1.json5"
start_mcrd r1 "$tmp/r1.json5" --ignore-state
for part in ${PARTS:-neighbors designated restarts addresses goodbyes}; do
	"$part"
done
label=""
check_equal "received = accepted + drops" \
	"$(pim r1 interfaces '.counters | .received - .accepted - ([.drops[]] | add)')" 0
check_equal "nothing was refused" "$(pim r1 interfaces '.counters.drops | add')" 0
stop_mcrd r1
end_capture wire
check_wire "$ours 198.18.1.40" wire default
finish
