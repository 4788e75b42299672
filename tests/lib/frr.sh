# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests with routers of FRR, after harness.sh and books.sh: a zebra and a pimd in a node's
# namespace, what they know, what they complain of, and what an independent decoder says of every
# IGMP and PIM packet of ours.
#
#	start_frr f1 <<<"$(frr_interface x0)"
#	wait_for 5 frr_says f1 'show ip pim neighbor json' '.x0 | has("198.18.1.1")'
#	check_frr f1 198.18.1.1
#
# Nothing of the machine's own FRR is used but its programs: configurations, sockets and logs are
# in the test's directory.

frr_bin=/usr/lib/frr
declare -A frr_pids=()

# frr_interface IF [LINE…] : its configuration, with short timers
frr_interface() {
	printf '%s\n' "interface $1" " ip pim" " ip pim hello 1 4" "${@:2}"
}

# What it needs to be a querier, for frr_interface.
frr_igmp=(" ip igmp" " ip igmp query-max-response-time 5" " ip igmp query-interval 1"
	" ip igmp last-member-query-interval 5")

# start_frr NODE : with pimd's configuration from stdin; returns when its interfaces are up
start_frr() {
	local node=$1 dir=$tmp/frr.$1 name
	[ -x "$frr_bin/pimd" ] || skip "needs FRR"
	chmod o+x "$tmp"
	rm -rf "$dir"
	mkdir "$dir"
	{
		printf '%s\n' "log file $dir/pimd.log debugging" "debug igmp" "debug pim events" \
			"debug pim packets" "debug pim trace" "ip pim join-prune-interval 5" \
			"ip pim register-suppress-time 11" "ip pim keep-alive-timer 35" \
			"ip pim rp keep-alive-timer 35"
		cat
	} >"$dir/pimd.conf"
	echo "log file $dir/zebra.log" >"$dir/zebra.conf"
	: >"$dir/vtysh.conf"
	: >"$dir/pimd.log"
	chown -R frr "$dir"
	on "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.igmp_max_memberships=1000 ||
		bail "$node does not forward"
	# They make themselves a directory in /run, which is one of their own here.
	for name in zebra pimd; do
		ip netns exec "$tb_prefix-$node" sh -c 'mount -t tmpfs frr /run && exec "$@"' sh \
			"$frr_bin/$name" -P 0 -f "$dir/$name.conf" -i "$dir/$name.pid" \
			-z "$dir/zserv.api" --vty_socket "$dir" >"$dir/$name.out" 2>&1 &
		frr_pids[$node]+="$! "
		all_pids+=("$!")
		wait_for 10 test -S "$dir/$name.vty" || bail "$name: $(cat "$dir/$name.out")"
	done
	wait_for 10 frr_is_up "$node" || bail "pimd on $node: $(cat "$dir/pimd.out")"
}

# All interfaces of its configuration are.
frr_is_up() {
	local name
	while read -r name; do
		frr_says "$1" 'show ip pim interface json' \
			".\"$name\" | .state == \"up\" and .address != \"0.0.0.0\"" || return 1
	done < <(sed -n 's/^interface //p' "$tmp/frr.$1/pimd.conf")
}

# frr NODE COMMAND… : what its pimd answers to these commands of vtysh
frr() {
	local word words=()
	for word in "${@:2}"; do
		words+=(-c "$word")
	done
	vtysh --vty_socket "$tmp/frr.$1" --config_dir "$tmp/frr.$1" -d pimd "${words[@]}"
}

# frr_show NODE COMMAND FILTER : a jq filter of what it answers in JSON
frr_show() {
	frr "$1" "$2" | jq -r "$3"
}

# frr_says NODE COMMAND FILTER : the filter is true of it
frr_says() {
	frr "$1" "$2" | jq -es "(.[0] // {}) | $3"
}

# frr_set NODE LINE… : a change of configuration. It takes an RP only when it knows a way there.
frr_set() {
	wait_for 5 frr_takes "$@" || not_ok "FRR on $1 takes: ${*:2}" "$(frr_takes "$@")"
}

frr_takes() {
	local output
	output=$(frr "$1" "configure terminal" "${@:2}" 2>&1)
	echo "$output"
	[[ $output != *%* && $output != *"No Path to RP"* ]]
}

stop_frr() {
	local pid
	for pid in ${frr_pids[$1]}; do
		end_process "$pid" TERM 10
	done
	unset "frr_pids[$1]"
}

# complaints NODE ADDRESS… : lines of its log that find fault with these routers. That groups of
# 224.0.0.0/24, which the kernel reports, are not routed is none, nor is that an election has to wait.
complaints() {
	local address words=()
	for address in "${@:2}"; do
		words+=(-e "$address")
	done
	grep -iE 'invalid|short|unknown|ignor|unsupported|unexpected|fail|discard|drop' \
		"$tmp/frr.$1/pimd.log" | grep -wF "${words[@]}" |
		grep -vE '(falls in|part of) 224\.0\.0\.0/24|when last member query interval timer is running'
}

# check_frr NODE ADDRESS… : it has nothing to say against these routers
check_frr() {
	local counters
	check_equal "FRR on $1 does not complain of ${*:2}" "$(complaints "$@" | head -n 20)" ""
	counters=$(frr "$1" 'show ip pim interface detail' 'show ip pim statistics' |
		grep -E 'Receive Failed|ropped')
	[ -n "$counters" ] || not_ok "FRR on $1 has counters"
	check_equal "FRR on $1 has refused no Hello and no bootstrap message" \
		"$(grep -v ': 0$' <<<"$counters")" ""
}

# check_wire "ADDRESS…" CAPTURE… : every IGMP and PIM packet from there is as the standards want it,
# by tshark and by a decoder of our own
check_wire() {
	local name files=() faults="" addresses
	read -ra addresses <<<"$1"
	for name in "${@:2}"; do
		files+=("$tmp/$name.pcap")
		faults+=$(tshark -n -o ip.check_checksum:TRUE -r "$tmp/$name.pcap" -Y "ip.src in {${1// /,}} &&
			(igmp || pim) && (_ws.malformed || _ws.expert.severity >= 6291456 ||
			ip.checksum.status == 0 || igmp.checksum.status == 0 ||
			pim.cksum.status == 0)" 2>&1 | grep -v '^Running as user')
	done
	check_equal "tshark finds no fault with $1" "$faults" ""
	if "$root/tests/lib/wire_check" "${files[@]}" -- "${addresses[@]}" >"$tmp/wire.faults" 2>&1; then
		ok "nor does another decoder"
	else
		not_ok "nor does another decoder" "$(cat "$tmp/wire.faults")"
	fi
	echo "# $1: $(tail -n 1 "$tmp/wire.faults")"
}
