# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for tests, and variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests of traffic, after harness.sh: sources in the background, daemons at rest, and the
# books of docs/accounting.md closed hop by hop.

: "${DATAPATH:=afxdp}" # for_each_datapath sets it
flow=(--group 239.1.1.1 --port 5001)
flow_match='group: "239.1.1.1", port: 5001'

# --- sources -------------------------------------------------------------------------------------

declare -A gen_pid=()

# gen_start NODE NAME OPTION… : as gen, in the background
gen_start() {
	gen "$@" &
	gen_pid[$2]=$!
	all_pids+=("$!")
}

# gen_wait NAME… : until they have ended
gen_wait() {
	local name
	for name; do
		wait "${gen_pid[$name]}" || bail "mcrgen $name failed"
		forget_pid "${gen_pid[$name]}"
	done
}

# sent NAME… : datagrams that these sources have handed on
sent() {
	local name sum=0
	for name; do
		sum=$((sum + $(json "$tmp/gen.$name.json" .total.sent)))
	done
	echo "$sum"
}

# offered NAME… : those of them that the sources' devices have passed to the next hop
offered() {
	local name sum=0
	for name; do
		sum=$((sum + $(json "$tmp/gen.$name.json" .total.offered)))
	done
	echo "$sum"
}

# --- daemons -------------------------------------------------------------------------------------

# rule IF OUTPUT… : a rule on the present datapath. It takes the flow above, or what the variable
# `match` says; an output is an interface, and after a comma the rest of it as in the file, or in
# braces all of it. The variable `also` has further members of the rule.
rule() {
	local out list=""
	for out in "${@:2}"; do
		[[ $out == \{* ]] || out="{ interface: \"${out%%,*}\"${out#"${out%%,*}"} }"
		list+=" $out,"
	done
	echo "{ datapath: \"$DATAPATH\", ${also:-}" \
		"input: { interface: \"$1\", ${match:-$flow_match} }, outputs: [$list ] },"
}

# relay NODE RULE… : a daemon with these rules; checks that they run on the present datapath
relay() {
	echo "{ rules: [ ${*:2} ] }" >"$tmp/$1.json5"
	start_mcrd "$1" "$tmp/$1.json5" --ignore-state || bail "no relay on $1"
	check_equal "$1 runs on $DATAPATH" "$(datapaths "$1")" "$DATAPATH"
}

# datapaths NODE : on what its rules really run
datapaths() {
	ctl "$1" --output json list | jq -r '[.rules[].datapath_effective] | unique | join(" ")'
}

# What was started for one datapath, before the next.
stop_all() {
	local name
	for name in "${!sink_pid[@]}"; do
		end_sink "$name"
	done
	for name in "${!mcrd_pid[@]}"; do
		stop_mcrd "$name"
	done
}

# check_books NODE… : each closes its own books exactly, once it is at rest. Leaves its counters in
# $tmp/stats.NODE.json.
check_books() {
	local node
	for node; do
		if wait_for 10 is_at_rest "$node"; then
			ok "the books of $node close"
		else
			not_ok "the books of $node close" \
				"$(jq -c '.identities[] | select(.left.value != .right.value)' \
					"$tmp/check.$node.json")"
		fi
		ctl "$node" --output json stats >"$tmp/stats.$node.json"
	done
}

# stat NODE FILTER : out of the counters that check_books has left. FILTER is jq's and may use
# seen(IF), verdict(IF; NAME), lists outputs(IF) and workers(IF), and LIST | sum(.MEMBER).
stat() {
	jq -r "def port(i): .interfaces[] | select(.name == i);
		def stage(i): port(i) | if .xdp_mode == \"none\" then .packet_socket else . end;
		def seen(i): stage(i).seen // 0;
		def verdict(i; v): stage(i).verdicts[v] // 0;
		def outputs(i): [.rules[].outputs[] | select(.interface == i)];
		def workers(i): [.workers[] | select(.interface == i)];
		def sum(f): [.[] | f] | add // 0;
		$2" "$tmp/stats.$1.json"
}

# counts NODE IF : what became of the frames of an interface, and of its rules, as one JSON object
# without zeros
counts() {
	stat "$1" "def total(prefix): add // [] | group_by(.key) |
			map({ key: (prefix + .[0].key), value: (map(.value) | add) }) |
			from_entries;
		(stage(\"$2\").verdicts // {}) + { matched: (workers(\"$2\") | sum(.matched)) } +
		(workers(\"$2\") | map(.frame_drops | to_entries) | total(\"drop.\")) +
		([.rules[] | select(.input_interface == \"$2\") | .drops | to_entries] |
			total(\"rule.\")) |
		with_entries(select(.value != 0)) | tojson"
}

# counts_since BEFORE NODE IF : by how much they have grown: "NAME=N …", sorted, without zeros
counts_since() {
	jq -nr --argjson a "$1" --argjson b "$(counts "$2" "$3")" '[$b | to_entries[] |
		select(.value != ($a[.key] // 0)) | "\(.key)=\(.value - ($a[.key] // 0))"] |
		sort | join(" ")'
}

# device NODE IF COUNTER : rx or tx, a dot, and its name as in `ip -s -j link`
device() {
	ip -n "$tb_prefix-$1" -s -j link show dev "$2" | jq ".[0].stats64.$3"
}

# --- from hop to hop -----------------------------------------------------------------------------

# in_worker NODE IF : datagrams that its workers took: all seen less those that the ring refused
in_worker() {
	stat "$1" "workers(\"$2\") | sum(.dequeued)"
}

# passed_on NODE IF : datagrams that have left by this interface, and were not refused by it
passed_on() {
	local sum
	sum=$(stat "$1" "outputs(\"$2\") | sum(.sent)")
	if [ "$(stat "$1" "any(outputs(\"$2\")[]; .device_counts_drops)")" = true ]; then
		sum=$((sum - $(device "$1" "$2" tx.dropped)))
	fi
	echo "$sum"
}

# check_hop FROM-NODE OUT NODE IN : every datagram that left there was seen here
check_hop() {
	check_equal "all that left $1 by $2 came to $3" \
		"$(stat "$3" "seen(\"$4\")")" "$(passed_on "$1" "$2")"
}

# check_ring NODE IF : what was let in was taken, or refused by the ring; no third way
check_ring() {
	local lost refused
	if [ "$DATAPATH" = afxdp ]; then
		check_equal "frames for the worker of $1: taken or refused by the ring" \
			"$(stat "$1" "workers(\"$2\") |
				sum(.dequeued + .rx_dropped + .ring_full + .in_ring)")" \
			"$(stat "$1" "verdict(\"$2\"; \"to_worker\")")"
		return
	fi
	check_equal "socket buffers for the worker of $1: taken or refused by the ring" \
		"$(stat "$1" "workers(\"$2\") | sum(.dequeued_skbs + .ring_full + .in_ring)")" \
		"$(stat "$1" "port(\"$2\").packet_socket.to_worker_skbs")"
	refused=$(stat "$1" "workers(\"$2\") | sum(.ring_full)")
	lost=$(stat "$1" "port(\"$2\").packet_socket.not_taken")
	check_between "datagrams in the socket buffers that its ring refused" \
		"$lost" "$refused" $((refused * 64))
	check_equal "datagrams for the worker of $1: taken or refused" \
		$(($(in_worker "$1" "$2") + lost)) "$(stat "$1" "verdict(\"$2\"; \"to_worker\")")"
}

# ring_lost NODE IF : datagrams that the rings refused
ring_lost() {
	stat "$1" "([workers(\"$2\")[] | select(.worker_type == \"afxdp\")] |
		sum(.rx_dropped + .ring_full)) + (port(\"$2\").packet_socket.not_taken // 0)"
}

# copy_drops NODE IF : copies that were due on this interface and dropped, all reasons
copy_drops() {
	stat "$1" "outputs(\"$2\") | sum(.drops | add)"
}

# --- at the sink ---------------------------------------------------------------------------------

# totals SINK NAMES : these of the sink's totals
totals() {
	json "$tmp/sink.$1.json" ".total | [.${2// /, .}] | join(\" \")"
}

# check_whole SINK COUNT : so many datagrams, each once, in order, unchanged
check_whole() {
	check_equal "sink $1: $2 datagrams, each once, in order, unchanged" \
		"$(totals "$1" "received unique duplicated lost reordered corrupt stale") \
$(totals "$1" "socket_dropped checksums.bad")" "$2 $2 0 0 0 0 0 0 0"
}

# --- on the wire ---------------------------------------------------------------------------------

declare -A capture_pid=()

# start_capture NODE NAME IF [FILTER…] : tcpdump in the background, capturing on return
start_capture() {
	rm -f "$tmp/$2.tcpdump" # of a capture of the same name before
	ip netns exec "$tb_prefix-$1" tcpdump -Z root -n -U --immediate-mode -B 65536 -i "$3" \
		-w "$tmp/$2.pcap" "${@:4}" 2>"$tmp/$2.tcpdump" &
	capture_pid[$2]=$!
	all_pids+=("$!")
	wait_for 20 grep -q '^tcpdump: listening\|^listening' "$tmp/$2.tcpdump" ||
		bail "tcpdump $2: $(cat "$tmp/$2.tcpdump")"
}

captured() {
	tcpdump -n -r "$tmp/$1.pcap" 2>/dev/null | wc -l
}

has_captured() {
	[ "$(captured "$1")" -ge "$2" ]
}

# end_capture NAME [FRAMES] : once so many are there, 10 s at most
end_capture() {
	wait_for 10 has_captured "$1" "${2:-0}" ||
		not_ok "capture $1 has $2 frames" "$(captured "$1")"
	end_process "${capture_pid[$1]}" TERM 10 || not_ok "tcpdump $1 ends well"
}

# fields NAME FILTER FIELD… : these fields of the captured frames; equal lines once, behind how many
fields() {
	local name=$1 filter=$2 field words=()
	for field in "${@:3}"; do
		words+=(-e "$field")
	done
	tshark -n -r "$tmp/$name.pcap" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE \
		-Y "$filter" -T fields -E separator=' ' "${words[@]}" 2>"$tmp/$name.tshark" |
		sort | uniq -c | sed 's/^ *//'
}
