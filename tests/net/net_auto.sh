#!/bin/bash
# SPDX-License-Identifier: MIT
# The datapath `auto`: thin traffic stays in the kernel, a fat flow goes to a worker and comes back
# when it thins, a worker that dies hands its rules over. Moves cost no datagram and repeat none.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/control.sh
. "$root/tests/lib/control.sh"
DATAPATH=auto
rate=${RATE:-$(gently 100000)} moves=${MOVES:-$(seldom 20)}
rest_ms=$(patiently 100)

# is_on DATAPATH [REASON-PATTERN]
is_on() {
	ctl relay --output json list | jq -e --arg d "$1" --arg r "${2:-}" \
		'.rules[0] | .datapath_effective == $d and (.datapath_reason | test($r))'
}

where() {
	ctl relay --output json list |
		jq -r '.rules[0] | "\(.datapath_effective): \(.datapath_reason)"'
}

# check_is_on NAME DATAPATH REASON-PATTERN : within 15 s, by itself
check_is_on() {
	if wait_for 15 is_on "$2" "$3"; then
		ok "$1"
	else
		not_ok "$1" "$(where)"
	fi
}

# start_auto OUTPUT… : a daemon with one rule that chooses for itself
start_auto() {
	local out outputs=""
	for out; do
		outputs+="{ interface: '$out', ttl: 8 }, "
	done
	cat >"$tmp/relay.json5" <<-END
		{ stats_interval: 0, rules: [ { id: "a", name: "tv", datapath: "auto",
		  input: { interface: "in0", $flow_match }, outputs: [ $outputs ] } ] }
	END
	start_mcrd relay "$tmp/relay.json5" --ignore-state || bail "no relay"
	check_equal "a rule begins in the kernel" "$(datapaths relay)" xdp
	check_equal "… and has no worker" "$(ctl relay --output json list-workers | jq '.workers | length')" 0
}

stop_relay() {
	stop_mcrd relay INT
}

# Both ways, by the traffic alone. As fast as can be is enough anywhere.
by_traffic() {
	start_auto o1 # and nobody who listens there, which would take more than the relay does
	start_gen src thin --interface s0 "${flow[@]}" --rate 1000
	wait_for 10 sees_packets
	check_is_on "thin traffic stays in the kernel" xdp 'little to do: the kernel needs [0-9]+ %'
	end_gen thin
	start_gen src fat --interface s0 "${flow[@]}" --first-flow 1 --mode live
	renice -n -20 -p "${gen_pid[fat]}" >"$tmp/renice.log"
	check_is_on "a fat flow goes to a worker" afxdp '1 output, runs of [0-9]+ datagrams: about [0-9]+ ns'
	check "show rule says why" grep -q 'runs of [0-9]* datagrams' <(ctl relay show rule tv)
	end_gen fat
	start_gen src after --interface s0 "${flow[@]}" --first-flow 2 --rate 1000
	check_is_on "it thins: back in the kernel" xdp 'little to do'
	end_gen after
	check_books relay
	check_equal "all that was seen was replicated, or handed to the worker" \
		"$(stat relay 'verdict("in0"; "replicated") + verdict("in0"; "to_worker")')" \
		"$(stat relay 'seen("in0")')"
	stop_relay
}

sees_packets() {
	ctl relay --output json stats | jq -e '.rules[0].packets_per_second > 500'
}

# trace enable|disable : a rule that is traced has a worker, so this moves it when it is wanted
trace() {
	ctl relay trace "$1" tv >/dev/null || not_ok "trace $1"
}

# To and fro under traffic that would stay in the kernel: it is traced, and not.
to_and_fro() {
	local i lost overtaken name
	start_auto o1 o2
	for i in 1 2; do
		start_sink "rx$i" "$i" --interface r0 "${flow[@]}"
	done
	# not so much that a worker is wanted for it
	start_gen src g --interface s0 "${flow[@]}" --rate "$rate" --size 100
	for ((i = 0; i < moves; i += 2)); do
		trace enable
		wait_for 15 is_on afxdp || not_ok "move $i: to a worker" "$(where)"
		trace disable
		wait_for 15 is_on xdp || not_ok "move $((i + 1)): back" "$(where)"
	done
	end_gen g
	check_books relay
	check_equal "all were replicated, or handed to a worker" \
		"$(stat relay 'verdict("in0"; "replicated") + verdict("in0"; "to_worker")')" "$(offered g)"
	check_between "… some by each" "$(stat relay 'verdict("in0"; "to_worker")')" 1 "$(offered g)"
	overtaken=$(stat relay 'port("in0").kernel.overtaken')
	lost=$(($(DATAPATH=afxdp ring_lost relay in0) + $(copy_drops relay o1) + $(copy_drops relay o2)))
	for name in 1 2; do
		end_sink "$name"
		check_equal "sink $name: nothing twice or changed in $moves moves" \
			"$(totals "$name" "duplicated corrupt")" "0 0"
		check_equal "sink $name: nothing is lost" "$(($(offered g) - \
			$(json "$tmp/sink.$name.json" '.total.unique + .total.socket_dropped')))" \
			"$(($(DATAPATH=afxdp ring_lost relay in0) + $(copy_drops relay "o$name") + \
				$(refused "o$name")))"
	done
	check_equal "the worker dropped nothing" "$lost" 0
	echo "# $(offered g) datagrams, $moves moves; reordered $(totals 1 reordered)," \
		"said to be overtaken $overtaken"
	stop_relay
}

# What a ring refused of the copies for an output.
refused() {
	echo $(($(stat relay "outputs(\"$1\") | sum(.sent)") - $(passed_on relay "$1")))
}

# A worker dies: frames go by the kernel at the same moment, until there is another one.
a_worker_dies() {
	local pid crashed
	start_auto o1 o2
	start_sink rx1 a --interface r0 "${flow[@]}"
	start_gen src g --interface s0 "${flow[@]}" --rate "$rate" --size 100
	trace enable
	wait_for 15 is_on afxdp || not_ok "it is traced, so a worker has it" "$(where)"
	check "show rule says that it is traced" wait_for 5 is_on afxdp 'it is traced'
	for pid in 1 2 3; do
		pid=$(worker_pids relay)
		start_gaps rx1 k r0 "$rest_ms"
		kill -KILL "$pid"
		wait_for 15 another_worker "$pid" || not_ok "another worker"
		wait_for 15 is_on afxdp || not_ok "back on the worker" "$(where)"
		end_gaps k
		check_equal "the stream did not rest for $rest_ms ms" "$(grep -c gap "$tmp/gaps.k")" 0
	done
	end_gen g
	check_books relay
	end_sink a
	crashed=$(stat relay '(.workers | sum(.frame_drops.crash)) + (outputs("o1") | sum(.drops.crash))')
	check_equal "only what the workers had before them is lost, as crash" \
		$(($(offered g) - $(json "$tmp/sink.a.json" '.total.unique + .total.socket_dropped'))) \
		$((crashed + $(DATAPATH=afxdp ring_lost relay in0) + $(copy_drops relay o1) - \
			$(stat relay 'outputs("o1") | sum(.drops.crash)') + $(refused o1)))
	check_equal "no frame found nobody" "$(stat relay 'verdict("in0"; "no_worker")')" 0
	check_equal "nothing twice" "$(totals a "duplicated corrupt")" "0 0"
	echo "# lost to 3 crashes: $crashed"
	stop_relay
}

another_worker() {
	[ -n "$(worker_pids relay)" ] && [ "$(worker_pids relay)" != "$1" ]
}

# A rule that asks for xdp is not traced, and says what would be.
traced_on_xdp() {
	sed -i 's/datapath: "auto"/datapath: "xdp"/' "$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state || bail "no relay"
	check "a rule on xdp refuses to be traced, with a way out" \
		grep -q 'give it the datapath auto or afxdp' <(ctl relay trace enable tv 2>&1)
	stop_relay
}

tb_up demo
by_traffic
to_and_fro
a_worker_dies
traced_on_xdp
finish
