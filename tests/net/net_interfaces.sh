#!/bin/bash
# SPDX-License-Identifier: MIT
# interfaces: they come, go, change and come back under another number; others put programs on them
# or take ours off. Rules follow by themselves, and nothing piles up.
# timeout: 600
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
parts="missing recreate_input recreate_output down_and_up address_change rename exchange_names
	retire"
times=${TIMES:-$(seldom 10)}

# at NODE WORDS… : ip(8) there
at() {
	ip -n "$tb_prefix-$1" "${@:2}"
}

# rule_is STATE
rule_is() {
	ctl relay --output json list | jq -es --arg state "$1" '.[0].rules |
		length > 0 and all(.state == $state)'
}

is_working() {
	rule_is active && mcrd_is_ready relay
}

reason() {
	ctl relay --output json list | jq -r ".rules[0].$1"
}

# When the log says that the last rule became active, or the last worker ready: in ms.
last_success() {
	local at
	at=$(grep 'rules: rule .* is active\|supervisor: worker .* is ready' "$tmp/relay.log" |
		tail -n 1)
	date -d "${at%% *}" +%s%3N
}

# works_again LIMIT-MS : active, and its worker ready, within this time of now. By the clock of the
# daemon: on a busy host, asking takes longer than what is asked about.
works_again() {
	local start
	start=$(date +%s%3N)
	wait_for 20 is_working || not_ok "it works again" "$(ctl relay list)"
	check_between "it works again (in ms)" $(($(last_success) - start)) \
		"-$(patiently 20000)" "$(patiently "$1")"
}

# Links as tools/testbed makes them.
make_input() {
	at src link add s0 type veth peer name in0 netns "$tb_prefix-relay"
	at src address add 198.18.0.1/24 dev s0
	at src link set dev s0 up
	at src route add 224.0.0.0/4 dev s0
	at relay address add 198.18.0.2/24 dev in0
	at relay link set dev in0 up
}

make_output() {
	at relay link add "$1" type veth peer name r0 netns "$tb_prefix-rx1"
	at rx1 address add 198.18.1.2/24 dev r0
	at rx1 link set dev r0 up
	at relay address add 198.18.1.1/24 dev "$1"
	at relay link set dev "$1" up
}

# The kernel tells the other end of a link up to a second later that it is up.
is_up() {
	at "$1" link show dev "$2" | grep -q 'state UP'
}

# carries NAME COUNT : so many datagrams go through, each once
carries() {
	wait_for 5 is_up src s0 || not_ok "the source's link is up"
	start_sink rx1 "$1" --interface r0 "${flow[@]}" --expect "$2" --duration 10
	gen src "$1" --interface s0 "${flow[@]}" --count "$2" --rate 2000
	wait_sink "$1" 15
	check_whole "$1" "$2"
}

# What mcrd holds: descriptors by kind (maps, programs and links too), pins, attached programs.
holds() {
	find "/proc/${mcrd_pid[relay]}/fd" -mindepth 1 -printf '%l\n' |
		sed 's/:\[[0-9]*\]//; s/[0-9]*$//' | sort | uniq -c | tr -s ' \n' ' '
	find "$tb_bpffs/mcr/relay" -mindepth 1 | sort
	at relay -j -d link show | jq '[.[] | select(.xdp)] | length'
}

holds_as_before() {
	[ "$(holds)" = "$before" ]
}

check_holds() {
	if wait_for 20 holds_as_before; then
		ok "it holds what it held before"
	else
		not_ok "it holds what it held before" "$before"$'\nnow:\n'"$(holds)"
	fi
}

# xdp_on IF : the id of the program on it; nothing if there is none
xdp_on() {
	at relay -j -d link show dev "$1" | jq -r '.[0].xdp.prog.id // empty'
}

has_classifier() {
	[ -n "$(xdp_on "$1")" ]
}

# --- coming and going ----------------------------------------------------------------------------

missing() {
	at relay link delete dev in0
	at relay link delete dev o1
	echo "{ rules: [ $(rule in0 o1) ] }" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check "without its interfaces a rule is unresolved" rule_is unresolved
	check "the reason names the interface" grep -qw in0 <<<"$(reason reason)"
	make_input
	check "the input alone changes nothing for copies" \
		wait_for 2 grep -qw unresolved <<<"$(reason 'outputs[0].state')"
	make_output o1
	works_again 1000
	check_equal "on $DATAPATH" "$(datapaths relay)" "$DATAPATH"
	carries m 200
	stop_all
}

recreate_input() {
	local i before number
	relay relay "$(rule in0 o1)"
	before=$(holds)
	start_sink rx1 a --interface r0 "${flow[@]}"
	for ((i = 1; i <= times; i++)); do
		number=$(index_of in0)
		at relay link delete dev in0
		check "without it: unresolved" wait_for 2 rule_is unresolved
		make_input
		check_fails "another number" test "$(index_of in0)" = "$number"
		works_again 1000
		check "the source's link is up" wait_for 5 is_up src s0
		gen src g --interface s0 "${flow[@]}" --count 100 --rate 2000
		check "a hundred go through" wait_for 2 have_gone $((100 * i))
	done
	check_books relay
	end_sink a
	check_equal "a hundred datagrams each time" "$(totals a "unique duplicated corrupt")" \
		"$((100 * times)) 0 0"
	check_equal "on $DATAPATH" "$(datapaths relay)" "$DATAPATH"
	check_holds
	stop_all
}

index_of() {
	at relay -j link show dev "$1" | jq '.[0].ifindex'
}

# have_gone COUNT : so many copies, by the first output
have_gone() {
	[ "$(ctl relay --output json stats | jq '.rules[0].outputs[0].sent')" -ge "$1" ]
}

recreate_output() {
	local i before
	relay relay "$(rule in0 o1 o2)"
	before=$(holds)
	start_sink rx2 b --interface r0 "${flow[@]}"
	for ((i = 1; i <= times; i++)); do
		at relay link delete dev o1
		check "its output is unresolved" wait_for 2 output_is unresolved
		make_output o1
		check "and comes back" wait_for 2 output_is active
		carries "o$i" 100
	done
	check_books relay
	end_sink b
	check_whole b $((100 * times))
	check_holds
	stop_all
}

# output_is STATE, of the first output
output_is() {
	[ "$(reason 'outputs[0].state')" = "$1" ]
}

down_and_up() {
	local i
	relay relay "$(rule in0 o1 o2)"
	carries before 200
	for i in in0 o1 in0 o1; do
		at relay link set dev "$i" down
		sleep 0.2
		check "$i down: the daemon answers" ctl relay ping
		at relay link set dev "$i" up
		check "$i up: rule and worker are ready" wait_for 10 is_working
		carries "up$i" 200
	done
	at relay link set dev o1 down
	start_sink rx2 b --interface r0 "${flow[@]}"
	gen src g --interface s0 "${flow[@]}" --count 500 --rate 5000
	check_books relay
	end_sink b
	check_whole b 500
	at relay link set dev o1 up
	stop_all
}

# --- what they are called and what addresses they have -------------------------------------------

source_seen() {
	start_sink rx1 s --interface r0 "${flow[@]}" --expect 50 --duration 10
	gen src s --interface s0 "${flow[@]}" --count 50 --rate 2000
	wait_sink s 15
	json "$tmp/sink.s.json" '[.flows[].source] | unique | join(" ")'
}

check_source() {
	sleep 0.3
	check_equal "copies come from $1" "$(source_seen)" "$1"
}

address_change() {
	relay relay "$(rule in0 o1)"
	check_source 198.18.1.1
	at relay address add 198.18.1.77/24 dev o1
	check_source 198.18.1.1
	at relay address delete 198.18.1.1/24 dev o1
	at relay address replace 198.18.1.77/24 dev o1
	check_source 198.18.1.77
	at relay address flush dev o1
	check "without an address: unresolved" wait_for 2 output_is unresolved
	at relay address add 198.18.1.1/24 dev o1
	check "with one: active" wait_for 1 output_is active
	check_source 198.18.1.1
	stop_all
}

renaming() {
	at relay link set dev "$1" down
	at relay link set dev "$1" name "$2"
	at relay link set dev "$2" up
}

rename() {
	relay relay "$(rule in0 o1)"
	carries before 200
	renaming in0 in9
	check "renamed: unresolved" wait_for 2 rule_is unresolved
	check_equal "no program stays there" "$(xdp_on in9)" ""
	renaming in9 in0
	works_again 1000
	carries input 200
	renaming o1 o9
	check "renamed: its output is unresolved" wait_for 2 output_is unresolved
	renaming o9 o1
	check "renamed back: active" wait_for 1 output_is active
	carries output 200
	stop_all
}

# exchange IF IF : their names, at once
exchange() {
	at relay -batch - <<-END
		link set dev $1 down
		link set dev $2 down
		link set dev $1 name other
		link set dev $2 name $1
		link set dev other name $2
		link set dev $1 up
		link set dev $2 up
	END
}

# The rules follow the names: what is called in0 is the input, what is called o1 the output.
exchange_names() {
	relay relay "$(match='group: "239.1.1.2"' rule o3 o2)" "$(rule in0 o1)"
	exchange in0 o3
	works_again 1000
	check "links are up" wait_for 5 is_up src s0
	check "links are up" wait_for 5 is_up rx3 r0
	start_sink rx1 x --interface r0 "${flow[@]}" --expect 200 --duration 10
	start_sink rx2 y --interface r0 --group 239.1.1.2 --port 5001 --expect 200 --duration 10
	gen rx3 x --interface r0 "${flow[@]}" --source 198.18.3.2 --count 200 --rate 2000
	gen src y --interface s0 --group 239.1.1.2 --port 5001 --count 200 --rate 2000
	wait_sink x 15
	wait_sink y 15
	check_whole x 200
	check_whole y 200
	check_equal "memberships" "$(memberships in0) $(memberships o3)" "239.1.1.1 239.1.1.2"
	exchange in0 o3
	works_again 1000
	carries back 200
	check_equal "memberships" "$(memberships in0) $(memberships o3)" "239.1.1.1 239.1.1.2"
	stop_all
}

memberships() {
	at relay -j maddress show dev "$1" | jq -r '[.[].maddr[] |
		select(.family == "inet") | .address | select(startswith("239"))] | join(" ")'
}

# --- programs of others --------------------------------------------------------------------------

put_foreign() {
	on relay bpftool prog load "$tmp/foreign.o" "$tb_bpffs/foreign" type xdp &&
		on relay bpftool net attach xdpdrv pinned "$tb_bpffs/foreign" dev in0 &&
		rm "$tb_bpffs/foreign"
}

compile_foreign() {
	cat >"$tmp/foreign.c" <<-'END'
		__attribute__((section("xdp"), used)) int foreigner(void *ctx) { return ctx ? 2 : 1; }
		__attribute__((section("license"), used)) char terms[] = "GPL";
	END
	clang -O2 -g -target bpf -c "$tmp/foreign.c" -o "$tmp/foreign.o"
}

foreign_program() {
	local id
	check "a foreign program compiles" compile_foreign
	check "it is on the interface" put_foreign
	id=$(xdp_on in0)
	DATAPATH=auto
	echo "{ rules: [ $(rule in0 o1) ] }" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check_equal "the rule runs on" "$(datapaths relay)" afpacket
	check "the reason names the program or its id" \
		grep -qw "foreigner\|id $id" <<<"$(reason datapath_reason)"
	check "status names it" grep -qw "foreigner\|id $id" <<<"$(ctl relay status)"
	carries foreign 500
	check_equal "it is still there" "$(xdp_on in0)" "$id"
	stop_all
	check_equal "and still after the daemon" "$(xdp_on in0)" "$id"
	at relay link set dev in0 xdp off
}

# link_id IF : of the link that is pinned for it
link_id() {
	bpftool -j link show pinned "$tb_bpffs/mcr/relay/links/$1" | jq .id
}

# has_other_link THAN
has_other_link() {
	has_classifier in0 && [ "$(link_id in0)" != "$1" ]
}

detached() {
	local id start DATAPATH=afxdp
	relay relay "$(rule in0 o1)"
	carries before 200
	id=$(link_id in0)
	check "the classifier is taken off" bpftool link detach id "$id"
	start=$(now_cs)
	check "it comes back" wait_for 10 has_other_link "$id"
	check_between "after (in 10 ms)" $(($(now_cs) - start)) 0 "$(patiently 220)"
	wait_for 5 is_working
	carries after 200
	check_equal "on afxdp" "$(datapaths relay)" afxdp
	check_fails "it cannot be taken off by ip link" at relay link set dev in0 xdp off
	stop_all
}

# Only what rules need has a program, and only while they do.
no_more_than_needed() {
	local DATAPATH=afxdp name
	relay relay "$(rule in0 o1 o2)"
	for name in o1 o2 o3 lo; do
		check_equal "no program on $name" "$(xdp_on "$name")" ""
	done
	check_equal "one on in0" "$(has_classifier in0 && echo yes)" yes
	ctl relay remove --rule-id "$(reason rule_id)" >/dev/null
	check_equal "none without the rule" "$(xdp_on in0)" ""
	stop_all
	DATAPATH=afpacket
	relay relay "$(rule in0 o1)"
	check_equal "none for a packet socket" "$(xdp_on in0)" ""
	stop_all
}

# --- workers -------------------------------------------------------------------------------------

has_no_workers() {
	ctl relay --output json list-workers | jq -es '.[0].workers == []'
}

retire() {
	local pid
	echo "{ worker_grace: 1, rules: [ $(also='id: "a",' rule in0 o1) ] }" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	pid=$(ctl relay --output json list-workers | jq '.workers[0].pid')
	ctl relay remove --rule-id a >/dev/null
	check "without rules the worker goes" wait_for 4 has_no_workers
	check "its process, too" wait_for 2 is_gone "$pid"
	ctl relay config load --file "$tmp/relay.json5" >/dev/null
	works_again 1000
	carries again 200
	stop_all
}

# Two workers, each on its core alone
check_cores() {
	local pid core=0
	for pid in $(ctl relay --output json list-workers |
		jq -r '.workers | sort_by(.core_id)[].pid'); do
		check_equal "worker $core runs on core" \
			"$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$pid/status")" "$core"
		core=$((core + 1))
	done
	check_equal "workers" "$core" 2
}

# Two workers share an interface: by its queues, or by flow.
pinning() {
	echo "{ pinning: { in0: [0, 1] }, rules: [ $(rule in0 o1) ] }" >"$tmp/relay.json5"
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check_equal "it runs on" "$(datapaths relay)" "$DATAPATH"
	check_cores
	if [ "$DATAPATH" = afxdp ]; then
		check_equal "each has a queue" "$(ctl relay --output json list-workers |
			jq -c '[.workers[].queues] | sort')" "[[0],[1]]"
	fi
	start_sink rx1 a --interface r0 "${flow[@]}"
	gen src g --interface s0 "${flow[@]}" --mode packet --source 198.18.0.20 --sources 64 \
		--rate 10000 --count 20000
	check_books relay
	end_sink a
	# one that is bound to a core waits when another test has it: then the ring names the loss
	check_equal "sent = arrived + refused by the rings" \
		"$(($(totals a unique) + $(ring_lost relay in0)))" 20000
	check_equal "no duplicates, in order, unchanged" \
		"$(totals a "duplicated reordered corrupt stale socket_dropped")" "0 0 0 0 0"
	check_between "most arrive" "$(totals a unique)" 10000 20000
	echo "# ${label}refused by the rings: $(ring_lost relay in0)"
	if [ "$DATAPATH" = afpacket ]; then
		check_equal "both had work" \
			"$(stat relay 'workers("in0") | all(.dequeued > 1000)')" true
	fi
	stop_all
}

two_queues() {
	tb_down
	cat >"$tmp/queues.topo" <<-'END'
		link src:s0,198.18.0.1/24,multicast relay:in0,198.18.0.2/24 queues=2
		link relay:o1,198.18.1.1/24 rx1:r0,198.18.1.2/24,gro
	END
	tb_up "$tmp/queues.topo"
	for_each_datapath pinning
}

# --- all of it -----------------------------------------------------------------------------------

tb_up demo
for part in ${PARTS:-$parts}; do
	label="$part: "
	echo "# $part at $SECONDS s"
	for_each_datapath "$part"
done
for part in foreign_program detached no_more_than_needed two_queues; do
	label="$part: "
	echo "# $part at $SECONDS s"
	"$part"
done
label=""
finish
