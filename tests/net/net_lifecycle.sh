#!/bin/bash
# SPDX-License-Identifier: MIT
# lifecycle: starts, reloads, crashes and ends of the daemon: what it leaves alone, what it brings
# back, what it leaves behind (nothing).
# timeout: 600
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

parts=${PARTS:-second_is_refused side_by_side ending ending_without crash reload figures}
rate=${RATE:-$(gently 20000)}
other_flow=(--group 239.1.1.2 --port 5002)
other_match='group: "239.1.1.2", port: 5002'
added=(--input-interface in0 --input-group 239.1.1.3 --input-port 5003 --rule-id added
	--output interface=o3)

# configure RULE… : the file of the daemon; the variable `settings` has what else it says
configure() {
	echo "{ ${settings:-} rules: [ $* ] }" >"$tmp/relay.json5"
}

# start_as INSTANCE [CONFIG [OPTION…]] : a daemon on the node relay, not waited for
start_as() {
	local mcrd_words=()
	mcrd_command "$1" "${2:-}"
	ip netns exec "$tb_prefix-relay" "${mcrd_words[@]}" "${@:3}" >>"$tmp/$1.log" 2>&1 &
	mcrd_pid[$1]=$!
	all_pids+=("$!")
}

ping_succeeds() {
	ctl "$1" ping
}

rule_ids() {
	ctl "$1" --output json list | jq -r '[.rules[].rule_id] | sort | join(" ")'
}

# What is pinned, and which: names, and ids of the maps.
pinned() {
	find "$tb_bpffs/mcr/$1" -mindepth 1 | sort
	bpftool -j map show pinned "$tb_bpffs/mcr/$1/rules" | jq .id
}

has_program() {
	ip -n "$tb_prefix-relay" -d link show dev in0 | grep -q prog/xdp
}

worker_pids() {
	ctl "$1" --output json list-workers | jq -r '.workers[].pid'
}

are_gone() {
	local pid
	for pid; do
		is_gone "$pid" || return 1
	done
}

# forwards NAME FLOW-OPTION… : a thousand datagrams reach the first receiver
forwards() {
	start_sink rx1 "$1" --interface r0 "${@:2}"
	gen src "$1" --interface s0 "${@:2}" --count 1000 --rate 10000
	wait_for 5 is_at_rest relay
	end_sink "$1"
	check_whole "$1" 1000
}

# is_degraded WORDS
is_degraded() {
	ctl relay --output json status |
		jq -es --arg words "$1" '.[0].degraded | any(contains($words))'
}

is_not_degraded() {
	ctl relay --output json status | jq -es '.[0].degraded == [] and .[0].persisted'
}

# --- more than one -------------------------------------------------------------------------------

second_is_refused() {
	local pins status=0 mcrd_words=()
	relay relay "$(rule in0 o1)"
	pins=$(pinned relay)
	start_sink rx1 a --interface r0 "${flow[@]}"
	gen_start src g --interface s0 "${flow[@]}" --rate "$rate" --duration 2
	mcrd_command relay "$tmp/relay.json5"
	on relay "${mcrd_words[@]}" >"$tmp/second.log" 2>&1 || status=$?
	check_equal "a second daemon ends with" "$status" 1
	check "it names the first" grep -qw "${mcrd_pid[relay]}" "$tmp/second.log"
	gen_wait g
	check_books relay
	end_sink a
	check_whole a $((2 * rate))
	check_equal "the pins are as they were" "$(pinned relay)" "$pins"
	check "the first answers" ctl relay ping
	stop_all
}

# Where one has the XDP hook, the other takes a packet socket, and says why.
side_by_side() {
	relay relay "$(rule in0 o1)"
	echo "{ rules: [ { input: { interface: 'in0', $other_match }," \
		"outputs: [{ interface: 'o2' }], datapath: 'afxdp' } ] }" >"$tmp/other.json5"
	start_as other "$tmp/other.json5"
	check "another instance starts" wait_for 10 mcrd_is_ready other
	start_sink rx1 a --interface r0 "${flow[@]}"
	start_sink rx2 b --interface r0 "${other_flow[@]}"
	gen_start src g --interface s0 "${flow[@]}" --rate 5000 --count 5000
	gen_start src h --interface s0 "${other_flow[@]}" --rate 5000 --count 5000
	gen_wait g h
	check_books relay other
	end_sink a
	end_sink b
	check_whole a 5000
	check_whole b 5000
	check_equal "the other runs on" "$(datapaths other)" \
		"$([ "$DATAPATH" = afxdp ] && echo afpacket || echo afxdp)"
	stop_mcrd other
	check_fails "the other's pins are gone" test -e "$tb_bpffs/mcr/other"
	forwards again "${flow[@]}"
	stop_all
}

# --- the end -------------------------------------------------------------------------------------

nothing_is_left() {
	check_fails "no pins" test -e "$tb_bpffs/mcr/relay"
	check_fails "no program on the interface" has_program
	check_fails "no control socket" test -e "$tmp/relay.sock"
	check_fails "no read-only socket" test -e "$tmp/relay-ro.sock"
	check_equal "no processes" "$(ip netns pids "$tb_prefix-relay")" ""
	check_equal "no memberships" \
		"$(ip -n "$tb_prefix-relay" maddress show dev in0 | grep -c 'inet *239')" 0
}

# ends_well [SIGNAL]
ends_well() {
	local start
	start=$(now_cs)
	stop_mcrd relay "${1:-TERM}"
	check_between "it takes less than 2 s (in 10 ms)" $(($(now_cs) - start)) 0 "$(patiently 199)"
	nothing_is_left
}

ending() {
	relay relay "$(rule in0 o1 o2)"
	ends_well
	relay relay "$(rule in0 o1 o2)"
	gen_start src g --interface s0 "${flow[@]}" --rate "$rate" --duration 2
	sleep 0.5
	ends_well INT
	gen_wait g
}

# What the daemon works with is taken from it, while traffic flows.
ending_without() {
	relay relay "$(rule in0 o1 o2)"
	gen_start src g --interface s0 "${flow[@]}" --rate "$rate" --duration 3
	ip -n "$tb_prefix-relay" link set dev o1 netns "$tb_prefix-rx3" name lost
	sleep 0.3
	find "$tb_bpffs/mcr/relay" -type f -delete
	rm "$tmp/relay-ro.sock"
	sleep 0.3
	check "it lives" ctl relay ping
	ends_well
	gen_wait g
	ip -n "$tb_prefix-rx3" link set dev lost netns "$tb_prefix-relay" name o1
	ip -n "$tb_prefix-relay" address add 198.18.1.1/24 dev o1
	ip -n "$tb_prefix-relay" link set dev o1 up
}

# --- crashes, and what is remembered -------------------------------------------------------------

crash() {
	local workers pins again
	configure "$(rule in0 o1)"
	rm -rf "$tmp/relay.state"
	start_mcrd relay "$tmp/relay.json5" || return
	check "a rule is added" ctl relay add "${added[@]}" --datapath "$DATAPATH"
	check "its worker is ready" wait_for 10 mcrd_is_ready relay
	mapfile -t workers < <(worker_pids relay)
	check_between "workers" ${#workers[@]} 1 2
	pins=$(pinned relay) again=$(rule_ids relay)
	stop_mcrd relay KILL
	check "the workers are gone with main" wait_for 2 are_gone "${workers[@]}"
	check "the pins are still there" test -e "$tb_bpffs/mcr/relay/rules"
	start_as relay "$tmp/relay.json5"
	check "it is back" wait_for 10 ping_succeeds relay
	check_equal "with the first answer all rules are there" "$(rule_ids relay)" "$again"
	check "the workers are ready" wait_for 10 mcrd_is_ready relay
	check_equal "the same names are pinned" "$(pinned relay | grep /)" "$(grep / <<<"$pins")"
	check_equal "and the same maps, with what was in them" "$(pinned relay)" "$pins"
	check_equal "on $DATAPATH" "$(datapaths relay)" "$DATAPATH"
	forwards f "${flow[@]}"
	start_sink rx3 h --interface r0 --group 239.1.1.3 --port 5003
	gen src h --interface s0 --group 239.1.1.3 --port 5003 --count 1000 --rate 10000
	check_books relay
	end_sink h
	check_whole h 1000
	ends_well
}

# corrupt FILE : one byte in its middle
corrupt() {
	printf '\377' | dd of="$1" bs=1 seek=$(($(wc -c <"$1") / 2)) conv=notrunc status=none
}

saved_state() {
	local dir=$tmp/relay.state
	configure "$(also='id: "file",' rule in0 o1)"
	rm -rf "$dir"
	start_mcrd relay "$tmp/relay.json5"
	ctl relay add "${added[@]}" >/dev/null
	stop_mcrd relay
	start_mcrd relay "$tmp/relay.json5"
	check_equal "the saved rules run" "$(rule_ids relay)" "added file"
	check "all is well" is_not_degraded
	stop_mcrd relay
	start_mcrd relay "$tmp/relay.json5" --ignore-state
	check_equal "with --ignore-state those of the file do" "$(rule_ids relay)" "file"
	ctl relay add "${added[@]}" >/dev/null
	stop_mcrd relay
	corrupt "$dir/state.json"
	start_mcrd relay "$tmp/relay.json5"
	check_equal "of a damaged state the predecessor runs" "$(rule_ids relay)" "file"
	stop_mcrd relay
	corrupt "$dir/state.json"
	corrupt "$dir/state.json.1"
	start_mcrd relay "$tmp/relay.json5"
	check_equal "without any, the file's rules run" "$(rule_ids relay)" "file"
	check "status says so" is_degraded "saved state"
	forwards f "${flow[@]}"
	stop_mcrd relay
}

# The state directory is full, and then is not.
full_disk() {
	local status=0
	configure "$(also='id: "file",' rule in0 o1)"
	rm -rf "$tmp/relay.state"
	mkdir "$tmp/relay.state"
	mount -t tmpfs -o size=16k mcrt "$tmp/relay.state" || bail "no tmpfs"
	start_mcrd relay "$tmp/relay.json5"
	check "saved while there is room" is_not_degraded
	dd if=/dev/zero of="$tmp/relay.state/ballast" bs=4k status=none 2>/dev/null
	ctl relay --output json add "${added[@]}" >"$tmp/reply" 2>"$tmp/why" || status=$?
	check_equal "mcrctl ends with" "$status" 3
	check_equal "the reply says that it is not saved" "$(jq -c .persisted "$tmp/reply")" false
	check "and why" grep -q "No space left" "$tmp/why"
	check "the rule runs all the same" wait_for 5 mcrd_is_ready relay
	check_equal "both rules are there" "$(rule_ids relay)" "added file"
	check "status tells" is_degraded "not saved"
	check_equal "what was saved before is whole" \
		"$(tail -n +2 "$tmp/relay.state/state.json" | jq -r '.rules | length')" 1
	rm "$tmp/relay.state/ballast"
	check "saved by itself once there is room" wait_for 4 is_not_degraded
	check_equal "the saved state has both" \
		"$(tail -n +2 "$tmp/relay.state/state.json" | jq -r '.rules | length')" 2
	stop_mcrd relay
	umount "$tmp/relay.state"
}

# --- reloading -----------------------------------------------------------------------------------

has_rules() {
	[ "$(rule_ids relay)" = "$1" ]
}

has_logged() {
	grep -q "$1" "$tmp/relay.log"
}

# Rules come, change and go; the one that stays loses nothing. A bad file changes nothing.
reload() {
	local before stays
	stays=$(also='id: "stays",' rule in0 o1)
	relay relay "$stays" "$(also='id: "goes",' match=$other_match rule in0 o2)"
	: >"$tmp/relay.log"
	start_sink rx1 a --interface r0 "${flow[@]}"
	gen_start src g --interface s0 "${flow[@]}" --rate "$rate" --duration 5
	for _ in 1 2 3 4 5; do
		configure "$stays" "$(also='id: "comes",' match=$other_match rule in0 o2 o3)"
		kill -HUP "${mcrd_pid[relay]}"
		check "rules come" wait_for 2 has_rules "comes stays"
		configure "$stays" "$(also='id: "goes",' match=$other_match rule in0 o3)"
		kill -HUP "${mcrd_pid[relay]}"
		check "rules go" wait_for 2 has_rules "goes stays"
	done
	before=$(ctl relay --output json config show)
	printf '{ rules: [\n  { input: { interface: "in0" } } ] }\n' >"$tmp/relay.json5"
	kill -HUP "${mcrd_pid[relay]}"
	check "a bad file is told of, with the place" \
		wait_for 2 has_logged "err rules: .*/relay.json5:2:[0-9]*: rules\[0\]"
	check_equal "and changes nothing" "$(ctl relay --output json config show)" "$before"
	rm "$tmp/relay.json5"
	kill -HUP "${mcrd_pid[relay]}"
	check "no file is told of" wait_for 2 has_logged "No such file"
	check_equal "and changes nothing" "$(ctl relay --output json config show)" "$before"
	gen_wait g
	check_books relay
	end_sink a
	check_whole a $((5 * rate))
	stop_all
}

# --- who may, and what is logged -----------------------------------------------------------------

read_only() {
	local words status rules
	relay relay "$(rule in0 o1)"
	rules=$(rule_ids relay)
	for words in "remove --rule-id $rules" "add ${added[*]}" "config load --file $tmp/relay.json5" \
		"log-level set --global debug" "trace enable $rules" "config save --file $tmp/x"; do
		status=0
		# shellcheck disable=SC2086  # words
		"$bin/mcrctl" --socket-path "$tmp/relay-ro.sock" $words >"$tmp/why" 2>&1 || status=$?
		check_equal "${words%% --*}: refused" "$status" 1
	done
	check "a look is not" "$bin/mcrctl" --socket-path "$tmp/relay-ro.sock" stats
	check_equal "the rules are as they were" "$(rule_ids relay)" "$rules"
	check_fails "no file was written" test -e "$tmp/x"
	stop_all
}

# stats_lines KIND : "recv=… matched=… …" of the figures in the log, line by line
stats_lines() {
	jq -r 'select(.facility == "stats").message' "$tmp/relay.log" | grep "^\[STATS:$1\]"
}

# figure KIND NAME : it in the last line
figure() {
	stats_lines "$1" | tail -n 1 | grep -o " $2=[0-9]*" | cut -d = -f 2
}

pps_sum() {
	stats_lines "$1" | grep -o '([0-9]* pps)' | tr -d '(ps)' | awk '{ n += $1 } END { print n }'
}

figure_is() {
	[ "$(figure "$1" "$2")" = "$3" ]
}

figures() {
	local lines quiet
	settings='stats_interval: 1,' configure "$(rule in0 o1 o2)"
	rm -f "$tmp/relay.log"
	start_mcrd relay "$tmp/relay.json5" --ignore-state --log-json
	gen src g --interface s0 "${flow[@]}" --size 200 --rate 4000 --count 10000
	check "the figures appear" wait_for 5 figure_is Ingress recv 10000
	check "those of the egress, too" wait_for 5 figure_is Egress sent 20000
	check_equal "matched" "$(figure Ingress matched)" 10000
	check_equal "nothing wrong" "$(figure Ingress parse_err) $(figure Ingress no_match) \
$(figure Ingress buf_exhaust) $(figure Egress errors)" "0 0 0 0"
	check_equal "submitted" "$(figure Egress submitted)" 20000
	check_equal "bytes" "$(figure Egress bytes)" "$(ctl relay --output json stats |
		jq '[.rules[].outputs[].bytes] | add')"
	check_equal "rates of ingress add up" "$(pps_sum Ingress)" 10000
	check_equal "rates of egress add up" "$(pps_sum Egress)" 20000
	ctl relay log-level set --facility stats --level warning >/dev/null
	quiet=$(stats_lines Ingress | wc -l)
	sleep 2.2
	check_equal "none at a higher level" "$(stats_lines Ingress | wc -l)" "$quiet"
	ctl relay log-level set --facility stats --level default >/dev/null
	sleep 2.2
	lines=$(stats_lines Ingress | wc -l)
	check_between "again at the lower" "$lines" $((quiet + 1)) $((quiet + 3))
	ctl relay log-level set --global debug >/dev/null
	check_equal "a level that is set" \
		"$(ctl relay --output json log-level get | jq -r .global)" debug
	stop_mcrd relay
	check_equal "every line is JSON with all its members" \
		"$(jq -c 'keys' "$tmp/relay.log" | sort -u)" \
		'["facility","ident","level","message","timestamp"]'
	check_equal "lines and objects" "$(jq -c . "$tmp/relay.log" | wc -l)" \
		"$(wc -l <"$tmp/relay.log")"
}

# What a test that failed may have left mounted.
unmount_state() {
	! mountpoint -q "$tmp/relay.state" || umount -l "$tmp/relay.state"
}

# --- all of it -----------------------------------------------------------------------------------

trap 'unmount_state; clean_up' EXIT
tb_up demo
for part in $parts; do
	label="$part: "
	echo "# $part at $SECONDS s"
	for_each_datapath "$part"
done
for part in saved_state full_disk read_only; do
	label="$part: "
	echo "# $part at $SECONDS s"
	"$part"
done
label=""
finish
