#!/bin/bash
# SPDX-License-Identifier: MIT
# What keeps packets from arriving is planted, one after the other: doctor names it, and the remedy
# that it prints removes it. Where nothing is wrong, nothing is found.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

cat >"$tmp/relay.json5" <<'END'
{
  igmp: { querier_interfaces: ["o2"], source_interfaces: ["in0"] },
  pim: { interfaces: [ { name: "o2" } ] },
  rules: [ { name: "tv", input: { interface: "in0", group: "239.1.1.1", source: "198.18.0.1" },
             outputs: [ { interface: "o1" } ] } ],
}
END

# doctor [FILTER] : its findings, or what jq makes of them
doctor() {
	ctl relay --output json doctor | jq -r "${1:-.findings}"
}

codes() {
	doctor '[.findings[] | .code + (if .where == "" then "" else " " + .where end)] | join(", ")'
}

finds() {
	[ "$(codes)" = "$1" ]
}

# mends : carries out the remedy of the only finding
mends() {
	local remedy
	remedy=$(doctor '.findings[0].remedy')
	echo "# $remedy" >&3
	on relay bash -c "$remedy"
}

# fault CODE[ INTERFACE] COMMAND… : planted in the relay, named, mended
fault() {
	check "$1 is planted" on relay "${@:2}"
	check "$1 is found, and nothing else" wait_for 5 finds "$1"
	check "its remedy can be carried out" mends
	check "and mends it" wait_for 5 finds ""
}

rules_run_on() {
	[ "$(ctl relay --output json list | jq -r '.rules[0].datapath_effective')" = "$1" ]
}

settings() {
	label="settings: "
	fault max_memberships sysctl -qw net.ipv4.igmp_max_memberships=3
	fault max_msf sysctl -qw net.ipv4.igmp_max_msf=1
	if on relay test -e /proc/sys/net/core/optmem_max; then
		fault optmem sysctl -qw net.core.optmem_max=1024
	fi
	fault files prlimit --pid "${mcrd_pid[relay]}" --nofile=200:
	fault "rp_filter o2" sysctl -qw net.ipv4.conf.o2.rp_filter=1
	fault "igmp_version in0" sysctl -qw net.ipv4.conf.in0.force_igmp_version=2
}

interfaces() {
	label="interfaces: "
	fault "down o1" ip link set dev o1 down
	fault "no_multicast o2" ip link set dev o2 multicast off
	fault "mtu_output o1" ip link set dev o1 mtu 1400
	check "an interface loses its address" on relay ip address flush dev o2
	check "which is found" wait_for 5 finds "no_address o2"
	export ADDRESS=198.18.2.1/24
	check "and mended" mends
	check "so that nothing is left" wait_for 5 finds ""
	check "its other end goes down" on rx1 ip link set dev r0 down
	check "which is found" wait_for 5 finds "no_carrier o1"
	on rx1 ip link set dev r0 up
	check "so that nothing is left" wait_for 5 finds ""
}

# add NAME DATAPATH : a rule onto o1
add() {
	check "a rule on $2" ctl relay add --name "$1" --input-interface in0 \
		--input-group 239.1.1.2 --datapath "$2" --outputs ::o1
}

offloads() {
	label="offloads: "
	add slow afpacket
	on relay ethtool -K in0 rx-udp-gro-forwarding on
	check "nothing is found" wait_for 5 finds ""
	fault "gro_forwarding in0" ethtool -K in0 rx-udp-gro-forwarding off
	fault "udp_gso o1" ethtool -K o1 tx-udp-segmentation off
	ctl relay remove --name slow >/dev/null
	add fast xdp
	check "nothing is found" wait_for 5 finds ""
	check "the other end takes no frames from XDP" on rx1 ethtool -K r0 gro off
	check "which is found" wait_for 5 finds "no_redirects o1"
	check "and mended there" env PEER=r0 ip netns exec "$tb_prefix-rx1" bash -c \
		"$(doctor '.findings[0].remedy')"
	check "so that nothing is left" wait_for 5 finds ""
	ctl relay remove --name fast >/dev/null
}

compile_foreign() {
	cat >"$tmp/foreign.c" <<-'END'
		__attribute__((section("xdp"), used)) int foreigner(void *ctx) { return ctx ? 2 : 1; }
		__attribute__((section("license"), used)) char terms[] = "GPL";
	END
	clang -O2 -g -target bpf -c "$tmp/foreign.c" -o "$tmp/foreign.o"
}

# In the turn in which the classifier is taken off from outside.
put_foreign() {
	local link
	link=$(bpftool -j link show pinned "$tb_bpffs/mcr/relay/links/in0" | jq .id) &&
		bpftool link detach id "$link" &&
		on relay bpftool net attach xdpdrv pinned "$tb_bpffs/foreign" dev in0
}

foreign_program() {
	label="foreign program: "
	compile_foreign || bail "no program"
	on relay bpftool prog load "$tmp/foreign.o" "$tb_bpffs/foreign" type xdp
	check "the rules run on xdp" wait_for 10 rules_run_on xdp
	check "a program of somebody else is on the interface" wait_for 10 put_foreign
	rm "$tb_bpffs/foreign"
	check "it is found" wait_for 5 finds "xdp_foreign in0"
	check "the rules run elsewhere" wait_for 5 rules_run_on afpacket
	check "its remedy can be carried out" mends
	check "and mends it" wait_for 5 finds ""
	check "the classifier comes back" wait_for 5 rules_run_on xdp
}

other_router() {
	local pid
	label="other router: "
	on relay smcrouted -n -I "mcr$$" -f /dev/null -P "$tmp/smcroute.pid" \
		-u "$tmp/smcroute.sock" >"$tmp/smcroute.log" 2>&1 &
	pid=$!
	all_pids+=("$pid")
	check "it has the kernel's routing" wait_for 5 finds other_router
	check "the remedy can be carried out" mends
	check "and mends it" wait_for 5 finds ""
	check "by its end" wait_for 5 is_gone "$pid"
	forget_pid "$pid"
}

bridge() {
	label="bridge: "
	on relay ip link add br0 type bridge
	on relay ip link set dev br0 up
	fault "bridge_querier o1" ip link set dev o1 master br0
	on relay ip link set dev o1 nomaster
	on relay ip link del br0
}

exec 3>&1
tb_up fanout N=2
start_mcrd relay "$tmp/relay.json5" --ignore-state
check "nothing is found where nothing is wrong" wait_for 5 finds ""
check "which is success" ctl relay doctor
check_equal "it looked at" "$(doctor .interfaces)" 3
for part in ${PARTS:-settings interfaces offloads foreign_program other_router bridge}; do
	"$part"
done
label=""
on relay ip link set dev o1 down
check_fails "an error is none" ctl relay doctor
check "and is told to people" grep -q '^error: o1 is down (down)$' <(ctl relay doctor)
on relay ip link set dev o1 up
ctl relay add --name gone --input-interface in0 --input-group 239.1.1.3 --outputs ::no1 >/dev/null
check "an interface that is not there" wait_for 5 finds "missing no1"
stop_mcrd relay
finish
