#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
# 10,000 rules in one transaction, all of which forward; 300 interfaces; a rule with 64 outputs, on
# 64 interfaces and on one.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
n_rules=10000 n_interfaces=300
rate=${RATE:-$(gently 10000)} seconds=${SECONDS_OF_LOAD:-$(briefly 2)}

# memory NODE : of the daemon and its workers, proportional shares, in MiB
memory() {
	local pid sum=0
	for pid in $(ip netns pids "$tb_prefix-$1"); do
		sum=$((sum + $(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")))
	done
	echo $((sum / 1024))
}

# rules_programmed NODE : entries of the map of rules that have an interface
rules_programmed() {
	bpftool -j map dump pinned "$tb_bpffs/mcr/$1/rules" |
		jq '[.[] | select(.formatted.key.ifindex != 0)] | length'
}

ten_thousand() {
	local i start ms
	{
		echo "{ rules: ["
		for ((i = 0; i < n_rules; i++)); do
			match="group: \"239.20.$((i / 250)).$((i % 250 + 1))\", port: 5001" \
				rule in0 "o$((i % 3 + 1)), ttl: 8"
		done
		echo "] }"
	} >"$tmp/rules.json5"
	start_mcrd relay "" --ignore-state || bail "no relay"
	start=$(now_ms)
	check "$n_rules rules are loaded" ctl relay config load --file "$tmp/rules.json5"
	ms=$(($(now_ms) - start))
	check_between "… in 2 s, in ms" "$ms" 0 "$(patiently 2000)"
	wait_for 20 mcrd_is_ready relay || not_ok "the worker is ready"
	check_equal "all are active" \
		"$(ctl relay --output json status | jq .rules.active)" "$n_rules"
	check_equal "all run on" "$(datapaths relay)" "$DATAPATH"
	check_equal "all are programmed" "$(rules_programmed relay)" "$n_rules"
	for i in 1 2 3; do
		start_sink "rx$i" "$i" --mode packet --interface r0
	done
	gen src g --interface s0 --group 239.20.0.1 --groups 250 --mode packet --count 500
	gen src h --interface s0 --group 239.20.39.1 --groups 250 --mode packet --count 500
	check_books relay
	for i in 1 2 3; do
		end_sink "$i"
	done
	check_equal "500 of them forward, each to its output" \
		"$(for i in 1 2 3; do totals "$i" "flows unique lost"; done | xargs)" \
		"168 336 0 166 332 0 166 332 0"
	echo "# $label$n_rules rules in $ms ms, $(memory relay) MiB"
	start=$(now_ms)
	check "the same again changes nothing" \
		ctl relay config load --replace --file "$tmp/rules.json5"
	echo "# ${label}the same again in $(($(now_ms) - start)) ms"
	stop_all
}

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# captured_datagrams : of 100 bytes; merged ones lie in one frame
captured_datagrams() {
	tshark -n -r "$tmp/all.pcap" -T fields -e udp.length 2>/dev/null |
		awk '{ n += ($1 - 8) / 100 } END { print n + 0 }'
}

all_captured() {
	[ "$(captured_datagrams)" = "$1" ]
}

# Rule i goes from interface i to the next one; every one of them is input and output.
three_hundred() {
	local i start rules=() n=10
	for ((i = 1; i <= n_interfaces; i++)); do
		rules+=("$(rule "v$i" "v$((i % n_interfaces + 1)), ttl: 8")")
	done
	start=$(now_ms)
	relay relay "${rules[@]}"
	echo "# $label$n_interfaces interfaces after $(($(now_ms) - start)) ms, $(memory relay) MiB"
	start_capture far all any udp and inbound
	for ((i = 1; i <= n_interfaces; i++)); do
		gen far g --interface "f$i" "${flow[@]}" --mode packet --count "$n"
	done
	check_books relay
	wait_for 10 all_captured $((n * n_interfaces))
	end_capture all
	check_equal "each interface took $n and sent $n" \
		"$(stat relay '[.workers[] | "\(.matched) \(.sent)"] | unique | join(", ")')" \
		"$n $n"
	check_equal "all arrive" "$(captured_datagrams)" $((n * n_interfaces))
	check_equal "each by its own interface" "$(stat relay '[.rules[].outputs[0] |
		select(.sent == 10) | .interface] | unique | length')" "$n_interfaces"
	stop_all
}

sixty_four() {
	local i n=$((rate * seconds)) list=()
	for ((i = 1; i <= 64; i++)); do
		list+=("o$i")
		start_sink "rx$i" "$i" --mode packet --interface r0 --group 239.1.1.1
	done
	relay relay "$(rule in0 "${list[@]}")"
	gen src g --interface s0 "${flow[@]}" --size 500 --rate "$rate" --duration "$seconds"
	check_books relay
	check_equal "sent" "$(offered g)" "$n"
	for ((i = 1; i <= 64; i++)); do
		end_sink "$i"
		check_whole "$i" "$n"
	done
	stop_all
}

sixty_four_on_one() {
	local i n=$((rate * seconds / 4)) list=()
	for ((i = 1; i <= 64; i++)); do
		list+=("o1, group: \"239.30.0.$i\", port: $((6000 + i))")
	done
	start_sink rx1 a --mode packet --interface r0 --buffer 1000 --group 239.30.0.1 --groups 64 \
		--port 6001 --ports 64
	relay relay "$(rule in0 "${list[@]}")"
	gen src g --interface s0 "${flow[@]}" --size 500 --rate $((rate / 4)) --duration "$seconds"
	check_books relay
	end_sink a
	check_equal "sent" "$(offered g)" "$n"
	check_equal "64 outputs of one interface: all of it" \
		"$(totals a "flows unique lost reordered corrupt socket_dropped")" \
		"64 $((64 * n)) 0 0 0 0"
	stop_all
}

tb_up fanout N=64
for_each_datapath ten_thousand
for_each_datapath sixty_four
for_each_datapath sixty_four_on_one
tb_down
cat >"$tmp/interfaces.topo" <<END
each $n_interfaces link far:f{i},198.{net}.1/24 relay:v{i},198.{net}.2/24
END
tb_up "$tmp/interfaces.topo"
for_each_datapath three_hundred
finish
