#!/bin/bash
# SPDX-License-Identifier: MIT
# A proxy between hosts and a router that knows nothing of them: what they want together is said
# upstream, traffic comes from there without any route to it, and ends when nobody wants it.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"

cat >"$tmp/proxy.topo" <<'END'
# A source, its router, the proxy, and a host on each of two links.
link src:s0,198.18.0.1/24,multicast up:in0,198.18.0.2/24
link up:o1,198.18.9.1/24 r:in0,198.18.9.2/24
link h1:e0,198.18.1.11/24,multicast r:o1,198.18.1.1/24
link h2:e0,198.18.2.11/24,multicast r:o2,198.18.2.1/24
END
cat >"$tmp/up.json5" <<'END'
{ igmp: { querier_interfaces: ["o1"], source_interfaces: ["in0"], fast_leave: true,
          last_member_query_interval: 0.2 } }
END
cat >"$tmp/r.json5" <<'END'
{ igmp: { querier_interfaces: ["o1", "o2"], fast_leave: true, proxy: { upstream: "in0" },
          last_member_query_interval: 0.2 } }
END

# at NODE GROUP FILTER : a jq filter of what that router knows of a group
at() {
	ctl "$1" --output json igmp groups |
		jq -r "[.groups[] | select(.group == \"$2\")] | $3"
}

at_is() {
	[ "$(at "$1" "$2" "$3")" = "$4" ]
}

# above GROUP : what is asked for upstream: its mode, and the sources that it names
above() {
	at up "$1" '.[] | [.mode] + (if .mode == "include" then .sources | map(select(.forwarded))
		else .sources | map(select(.forwarded | not)) end | map(.source) | sort) |
		join(" ")'
}

above_is() {
	[ "$(above "$1")" = "$2" ]
}

# check_above WHAT GROUP WANTED
check_above() {
	wait_for 5 above_is "$2" "$3" || :
	check_equal "$1" "$(above "$2")" "$3"
}

# outputs GROUP : where the proxy forwards a group to
outputs() {
	ctl r --output json mroute | jq -r "[.routes[] | select(.group == \"$1\" and .output_interfaces != []) |
		.input_interface + \">\" + (.output_interfaces | join(\",\"))] | unique | join(\" \")"
}

outputs_are() {
	[ "$(outputs "$1")" = "$2" ]
}

# joins : what the proxy has joined itself
joins() {
	ctl r --output json igmp interfaces | jq .joins
}

joins_are() {
	[ "$(joins)" = "$1" ]
}

# start_host NODE NAME GROUP EXCEPT… : a host that wants a group from any source but these
start_host() {
	ip netns exec "$tb_prefix-$1" python3 -c "
import socket, sys, signal
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
group, own, no = (socket.inet_aton(a) for a in ('$3', sys.argv[1], '0.0.0.0'))
s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, group + own)
for a in sys.argv[2:]:
    s.setsockopt(0, 38, group + own + socket.inet_aton(a))  # IP_BLOCK_SOURCE
print('ready', flush=True)
signal.pause()" "$(ip netns exec "$tb_prefix-$1" ip -4 -br addr show dev e0 |
		awk '{ sub("/.*", "", $3); print $3 }')" "${@:4}" >"$tmp/host.$2" 2>&1 &
	host_pid[$2]=$!
	all_pids+=("$!")
	wait_for 5 grep -q ready "$tmp/host.$2" || bail "host $2: $(cat "$tmp/host.$2")"
}

declare -A host_pid=()

end_host() {
	end_process "${host_pid[$1]}" TERM 5 || :
}

traffic() {
	label="any source: "
	start_sink h1 one --interface e0 --group 239.1.1.1
	check_above "a wish goes up" 239.1.1.1 exclude
	check_equal "as the proxy's own" "$(at up 239.1.1.1 '.[0].last_reporter')" 198.18.9.2
	check "traffic comes from upstream" wait_for 3 outputs_are 239.1.1.1 "in0>o1"
	start_sink h2 two --interface e0 --group 239.1.1.1
	check "for both" wait_for 3 outputs_are 239.1.1.1 "in0>o1,o2"
	check "through the router above" wait_for 3 wait_forwarding up 239.1.1.1
	gen src any --interface s0 --group 239.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	end_sink two
	check "one leaves" wait_for 3 outputs_are 239.1.1.1 "in0>o1"
	check_equal "the wish above stays" "$(above 239.1.1.1)" exclude
	gen src more --interface s0 --group 239.1.1.1 --port 5001 --count 500 --rate 10000 \
		--first-flow 1 --ttl 9
	sleep 0.2
	end_sink one
	check_above "and so does the other: nobody wants it above" 239.1.1.1 ""
	check_equal "the first got all" "$(json "$tmp/sink.one.json" .total.unique)" 1500
	check_equal "the second until it left" "$(json "$tmp/sink.two.json" .total.unique)" 1000
	check "nothing is joined" wait_for 3 joins_are 0
}

# wait_forwarding NODE GROUP : does it forward the group?
wait_forwarding() {
	[ "$(ctl "$1" --output json mroute | jq "[.routes[] | select(.group == \"$2\" and
		.rule_id != \"\" and .output_interfaces != [])] | length")" -gt 0 ]
}

specific() {
	label="source-specific: "
	start_sink h1 one --interface e0 --group 232.1.1.1 --source 198.18.0.1
	check_above "a wish goes up" 232.1.1.1 "include 198.18.0.1"
	check "no route leads to the source, and traffic comes" wait_for 3 outputs_are 232.1.1.1 \
		"in0>o1"
	check "through the router above" wait_for 3 wait_forwarding up 232.1.1.1
	gen src ssm --interface s0 --group 232.1.1.1 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	end_sink one
	check_equal "all of it" "$(json "$tmp/sink.one.json" .total.unique)" 1000
	check_above "a leave goes up" 232.1.1.1 ""
	start_sink h1 one --interface e0 --group 232.1.1.2 --source 198.18.2.11
	check "a source behind another link comes in there" wait_for 3 outputs_are 232.1.1.2 "o2>o1"
	gen h2 local --interface e0 --group 232.1.1.2 --port 5001 --count 1000 --rate 10000 --ttl 9
	sleep 0.2
	end_sink one
	check_equal "all of it" "$(json "$tmp/sink.one.json" .total.unique)" 1000
}

merged() {
	label="merged: "
	start_host h1 one 239.2.2.2 198.18.0.7 198.18.0.8
	check_above "what one does not want" 239.2.2.2 \
		"exclude 198.18.0.7 198.18.0.8"
	start_sink h2 two --interface e0 --group 239.2.2.2 --source 198.18.0.7
	check_above "another one wants" 239.2.2.2 "exclude 198.18.0.8"
	start_host h2 all 239.2.2.2 198.18.0.8 198.18.0.9
	end_sink two
	check_above "what both do not want" 239.2.2.2 "exclude 198.18.0.8"
	end_host one
	check_above "what the other does not" 239.2.2.2 \
		"exclude 198.18.0.8 198.18.0.9"
	end_host all
	check_above "nobody" 239.2.2.2 ""
	start_sink h1 one --interface e0 --group 239.2.2.3 --source 198.18.0.1
	start_sink h2 two --interface e0 --group 239.2.2.3 --source 198.18.0.2
	check_above "one source each" 239.2.2.3 "include 198.18.0.1 198.18.0.2"
	end_sink one
	end_sink two
	check_above "nobody" 239.2.2.3 ""
	check "nothing is joined" wait_for 3 joins_are 0
}

flap() {
	label="flap: "
	start_host h1 one 239.3.3.3 198.18.0.7
	check_above "a wish" 239.3.3.3 "exclude 198.18.0.7"
	on r ip link set in0 down
	check_above "it goes with the link" 239.3.3.3 ""
	check_equal "nothing is joined" "$(joins)" 0
	on r ip link set in0 up
	check_above "and comes back with it" 239.3.3.3 "exclude 198.18.0.7"
	sed 's/, proxy: { upstream: "in0" }//' "$tmp/r.json5" >"$tmp/none.json5"
	ctl r config load --replace --file "$tmp/none.json5" >/dev/null
	check_above "without the proxy nobody says it" 239.3.3.3 ""
	check_equal "and nothing comes in" "$(outputs 239.3.3.3)" ">o1"
	ctl r config load --replace --file "$tmp/r.json5" >/dev/null
	check_above "with it, it is said again" 239.3.3.3 "exclude 198.18.0.7"
	end_host one
	check_above "nobody" 239.3.3.3 ""
}

# What hosts send goes upstream and to hosts that want it, and nowhere else.
hosts() {
	label="hosts that send: "
	start_sink up above --interface o1 --group 239.5.5.5
	gen h1 first --interface e0 --group 239.5.5.5 --port 5001 --count 1 --ttl 9
	check "the first is met" wait_for 3 outputs_are 239.5.5.5 "o1>in0"
	gen h1 rest --interface e0 --group 239.5.5.5 --port 5001 --count 1000 --rate 10000 \
		--first-flow 1 --ttl 9
	sleep 0.2
	end_sink above
	check_between "above, all but the first" \
		"$(json "$tmp/sink.above.json" .total.unique)" 1000 1001
	start_sink h2 beside --interface e0 --group 239.5.5.5
	check "a host beside wants it" wait_for 3 outputs_are 239.5.5.5 "in0>o2 o1>o2,in0"
	gen h1 more --interface e0 --group 239.5.5.5 --port 5001 --count 500 --rate 10000 --ttl 9
	sleep 0.2
	end_sink beside
	check_equal "and gets it" "$(json "$tmp/sink.beside.json" .total.unique)" 500
	check "as long as it does" wait_for 3 outputs_are 239.5.5.5 "o1>in0"
	sed 's/, proxy: { upstream: "in0" }//' "$tmp/r.json5" >"$tmp/none.json5"
	ctl r config load --replace --file "$tmp/none.json5" >/dev/null
	check_equal "without the proxy it goes nowhere" "$(outputs 239.5.5.5)" ""
	ctl r config load --replace --file "$tmp/r.json5" >/dev/null
}

groups_above_are() {
	[ "$(ctl up --output json igmp groups | jq '.groups | length')" = "$1" ]
}

# Far more than one socket may join.
many() {
	label="many: "
	start_sink h1 many --interface e0 --group 239.4.0.0 --groups 1000
	check "1,000 groups go up" wait_for 10 groups_above_are 1000
	gen src many --interface s0 --group 239.4.0.0 --groups 1000 --port 5001 --count 3000 \
		--rate 10000 --ttl 9
	sleep 0.3
	end_sink many
	check_equal "their traffic comes" "$(json "$tmp/sink.many.json" .total.unique)" 3000
	check "none stays" wait_for 10 groups_above_are 0
	check_equal "no join failed" "$(ctl r --output json igmp interfaces | jq .join_failures)" 0
}

tb_up "$tmp/proxy.topo"
start_mcrd up "$tmp/up.json5" --ignore-state
start_mcrd r "$tmp/r.json5" --ignore-state
start_capture up wire o1 igmp
on h1 sysctl -qw net.ipv4.igmp_max_memberships=2000
for part in ${PARTS:-traffic specific merged flap hosts many}; do
	"$part"
done
label=""
end_capture wire
check_equal "only the proxy reports, beside who wants what its hosts send" \
	"$(tshark -n -r "$tmp/wire.pcap" -Y 'igmp.type != 0x11 && !(igmp.maddr == 239.5.5.5)' \
		-T fields -e ip.src 2>/dev/null | sort -u)" 198.18.9.2
check_equal "no packet is malformed" "$(tshark -n -o ip.check_checksum:TRUE -r "$tmp/wire.pcap" \
	-Y '_ws.malformed || igmp.checksum.status == 0 || ip.checksum.status == 0' 2>/dev/null)" ""
check "the books of the proxy close" wait_for 5 is_at_rest r
stop_mcrd r
stop_mcrd up
finish
