#!/bin/bash
# SPDX-License-Identifier: MIT
# What keeps packets from being forwarded is planted; explain names it as the cause.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

S=198.18.0.1
cat >"$tmp/relay.json5" <<'END'
{
  igmp: { querier_interfaces: ["o1", "o2"], source_interfaces: ["in0"], fast_leave: true,
          interfaces: [ { name: "o2", max_groups: 1 } ] },
  rules: [ { name: "tv", input: { interface: "in0", group: "239.9.9.9", port: 5001 },
             outputs: [ { interface: "o1" } ] },
           { input: { interface: "o2", group: "239.9.9.8" }, outputs: [ { interface: "o1" } ] } ],
}
END

# causes NODE CAUSE ARGUMENT… : of explain ARGUMENT…
causes() {
	ctl "$1" --output json explain "${@:3}" >"$tmp/said.json" &&
		[ "$(json "$tmp/said.json" .cause)" = "$2" ]
}

# explains NODE CAUSE WORDS ARGUMENT… : the cause, soon, and the sentence has these words
explains() {
	check "explain ${*:4}: $2" wait_for 5 causes "$1" "$2" "${@:4}"
	check "in these words: $3" grep -qF "$3" <(json "$tmp/said.json" .sentence)
	echo "# $(json "$tmp/said.json" .sentence)"
}

packets() {
	gen src packets --interface s0 --port 5001 --count 20 --rate 2000 "$@"
}

# step FILTER : of the last explanation, by jq
step() {
	jq -e "[.steps[] | select($1)] | length > 0" "$tmp/said.json"
}

rules() {
	label="a rule: "
	explains relay no_traffic "has come in at in0" "$S" 239.9.9.9
	explains relay ttl "arrives with TTL 1" "$S" 239.9.9.9 --ttl 1
	packets --group 239.9.9.9 --ttl 1
	explains relay ttl "all 20 packets" "$S" 239.9.9.9
	packets --group 239.9.9.9 --ttl 5
	explains relay forwarded "to 1 output" "$S" 239.9.9.9 --port 5001
	check "the packets are counted" step '.check == "counters" and (.text | contains("20 packets"))'
	explains relay no_receiver "nobody wants" "$S" 239.9.9.9 --port 5002
	explains relay wrong_input "from in0, and none from o2" "$S" 239.9.9.9 in o2
	on rx1 ip link set dev r0 down
	explains relay interface_down "none of its outputs" "$S" 239.9.9.9
	on rx1 ip link set dev r0 up
	explains relay link_local "never leaves it" "$S" 224.0.0.251
	explains relay no_rule "not routed on lo" "$S" 239.1.1.1 in lo
	check_fails "an address that is none" ctl relay explain x 239.1.1.1
	check_fails "a word that is none" ctl relay explain "$S" 239.1.1.1 at o2
}

routes() {
	label="a route: "
	explains relay no_receiver "nobody wants 232.1.1.1" "$S" 232.1.1.1
	start_sink rx1 one --interface r0 --group 232.1.1.1 --source "$S"
	explains relay no_traffic "has come in at in0" "$S" 232.1.1.1
	packets --group 232.1.1.1 --ttl 9
	explains relay forwarded "to 1 output" "$S" 232.1.1.1
	explains relay rpf "comes in at o2, and has to come in at in0" "$S" 232.1.1.1 in o2
	explains relay ttl "TTL 1" "$S" 232.1.1.1 --ttl 1
	check "each decision is there" step '.check == "unicast" and (.text | contains("198.18.0.0/24"))'
	on relay ip link set dev in0 down
	explains relay interface_down "in0" "$S" 232.1.1.1
	explains relay interface_down "in0, which is down" "$S" 232.1.1.1 in in0
	on relay ip link set dev in0 up
	explains relay no_traffic "in0" "$S" 232.1.1.1
	packets --group 232.1.1.1 --ttl 9
	explains relay forwarded "to 1 output" "$S" 232.1.1.1
	end_sink one
	explains relay no_receiver "nobody wants" "$S" 232.1.1.1
}

# What happens, and nobody has to be asked for.
elsewhere() {
	label="elsewhere: "
	start_sink rx1 one --interface r0 --group 232.1.1.2 --source "$S"
	explains relay no_traffic "in0" "$S" 232.1.1.2
	gen rx2 wrong --mode packet --interface r0 --group 232.1.1.2 --source "$S" --port 5001 \
		--count 20 --rate 2000 --ttl 9
	explains relay rpf "all 20 packets that came did not come in at in0" "$S" 232.1.1.2
	end_sink one
}

no_route() {
	label="no way back: "
	start_sink rx1 far --interface r0 --group 232.1.1.3 --source 198.19.0.9
	explains relay no_route "no way back to 198.19.0.9" 198.19.0.9 232.1.1.3
	on relay ip route add blackhole 198.19.0.0/24
	explains relay no_route "blackhole" 198.19.0.9 232.1.1.3
	on relay ip route del blackhole 198.19.0.0/24
	end_sink far
}

limits() {
	label="limits: "
	start_sink rx2 one --interface r0 --group 232.1.1.4 --source "$S"
	explains relay no_traffic "in0" "$S" 232.1.1.4
	start_sink rx2 two --interface r0 --group 232.1.1.5 --source "$S"
	explains relay limit "limit of groups is reached on o2" "$S" 232.1.1.5
	end_sink two
	end_sink one
}

# --- other routers -------------------------------------------------------------------------------

cat >"$tmp/router.json5" <<'END'
{
  igmp: { querier_interfaces: ["o1", "o2"], source_interfaces: ["in0"], fast_leave: true },
  pim: { triggered_hello_delay: 0.1, register_rate_source: 5,
         static_rp: [ { group: "239.1.0.0/16", rp: "198.18.2.1" },
                      { group: "239.3.0.0/16", rp: "198.18.2.2" } ],
         interfaces: [ { name: "o1" },
                       { name: "in0", boundary: [ { deny: "232.1.6.0/24" }, { permit: "224.0.0.0/4" } ] },
                       { name: "o2", boundary: [ { deny: "239.1.5.0/24" }, { permit: "224.0.0.0/4" } ] } ] },
}
END

# Messages of a router that is not there, from the other end of o2:
#	pim.py hello PRIORITY | assert SOURCE GROUP | prune SOURCE GROUP RP | register SOURCE GROUP RP COUNT
cat >"$tmp/pim.py" <<'END'
import socket, struct, sys

def checksum(data):
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return n ^ 0xffff

def message(kind, body, covered=None):
    head = struct.pack("!BBH", 0x20 | kind, 0, 0)
    sum = checksum((head + body)[:covered])
    return struct.pack("!BBH", 0x20 | kind, 0, sum) + body

def send(data, to="224.0.0.13"):
    sock.sendto(data, (to, 0))

ip = socket.inet_aton
unicast = lambda a: b"\x01\x00" + ip(a)
group = lambda a: b"\x01\x00\x00\x20" + ip(a)
source = lambda a, flags: b"\x01\x00" + bytes([flags, 32]) + ip(a)
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 103)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ip("198.18.2.2"))
what, words = sys.argv[1], sys.argv[2:]
if what == "hello":
    send(message(0, struct.pack("!HHHHHIHHI", 1, 2, 105, 19, 4, int(words[0]), 20, 4, 7)))
elif what == "assert":
    send(message(5, group(words[1]) + unicast(words[0]) + struct.pack("!II", 0, 0)))
elif what == "prune":
    send(message(3, unicast("198.18.2.1") + b"\x00\x01" + struct.pack("!H", 210) + group(words[1]) +
                 struct.pack("!HH", 1, 1) + source(words[2], 7) + source(words[0], 5)))
elif what == "register":
    inner = struct.pack("!BBHHHBBH", 0x45, 0, 36, 0, 0, 9, 17, 0) + ip(words[0]) + ip(words[1])
    inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:]
    inner += struct.pack("!HHHH", 5000, 5001, 16, 0) + bytes(8)
    for i in range(int(words[3])):
        send(message(1, bytes(4) + inner, 8), words[2])
END

router() {
	on rx2 python3 "$tmp/pim.py" "$@" || not_ok "pim.py $*"
}

# has_route GROUP : of the source itself
has_route() {
	ctl relay --output json mroute | jq -e ".routes[] | select(.source == \"$S\" and .group == \"$1\")"
}

dr_is() {
	[ "$(ctl relay --output json pim interfaces |
		jq -r '.interfaces[] | select(.interface == "o2") | .dr')" = "$1" ]
}

pim() {
	label="PIM: "
	ctl relay config load --replace --file "$tmp/router.json5" >/dev/null ||
		bail "no PIM"
	router hello 10
	check "another router is the DR" wait_for 5 dr_is 198.18.2.2
	start_sink rx2 one --interface r0 --group 232.2.2.2 --source "$S"
	explains relay not_dr "o2: hosts want it, and 198.18.2.2 is the DR there" "$S" 232.2.2.2
	router hello 0
	check "this one is" wait_for 5 dr_is 198.18.2.1
	explains relay no_traffic "in0" "$S" 232.2.2.2
	packets --group 232.2.2.2 --ttl 9
	explains relay forwarded "to 1 output" "$S" 232.2.2.2
	router assert "$S" 232.2.2.2
	explains relay assert_lost "o2: 198.18.2.2 has won the assert" "$S" 232.2.2.2
	end_sink one

	on relay ip route add 198.19.0.0/24 via 198.18.2.2
	start_sink rx1 any --interface r0 --group 239.2.2.2
	explains relay no_rp "239.2.2.2 has no RP" 198.19.0.9 239.2.2.2
	explains relay no_traffic "in0" "$S" 239.2.2.2
	packets --group 239.2.2.2 --ttl 9
	wait_for 5 has_route 239.2.2.2
	packets --group 239.2.2.2 --ttl 9
	explains relay forwarded "to 1 output" "$S" 239.2.2.2
	end_sink any
	packets --group 239.3.1.1 --ttl 9
	explains relay forwarded "to 1 output" "$S" 239.3.1.1
	check "in Registers" step '.check == "register" and (.text | contains("198.18.2.2"))'
	explains relay no_receiver "nobody wants" 198.19.0.9 239.3.1.1
	explains relay no_rp "239.4.2.2 has no RP" "$S" 239.4.2.2
	router prune "$S" 239.1.2.3 198.18.2.1
	explains relay pruned "o2: who wants the group there has pruned" "$S" 239.1.2.3
	start_sink rx2 scoped --interface r0 --group 239.1.5.1
	explains relay boundary "o2: a boundary" "$S" 239.1.5.1
	end_sink scoped
	start_sink rx1 scoped --interface r0 --group 232.1.6.1 --source "$S"
	explains relay boundary "a boundary on in0 keeps 232.1.6.1 from coming in" "$S" 232.1.6.1
	packets --group 232.1.6.1 --ttl 9
	explains relay boundary "a boundary on in0" "$S" 232.1.6.1
	end_sink scoped
	check_equal "nothing comes over it" "$(json "$tmp/sink.scoped.json" .total.received)" 0

	start_sink rx1 far --interface r0 --group 239.1.2.4
	explains relay no_traffic "o2" 198.19.0.9 239.1.2.4
	router register 198.19.0.9 239.1.2.4 198.18.2.1 50
	explains relay rate_limited "more than the 5 a second that are taken" 198.19.0.9 239.1.2.4
	end_sink far
	start_sink rx1 lost --interface r0 --group 232.2.2.3 --source 198.20.0.9
	on relay ip route add 198.20.0.0/24 via 198.18.2.9
	explains relay no_neighbor "198.18.2.9 is to be asked for it by o2" 198.20.0.9 232.2.2.3
	end_sink lost
}

people() {
	label="for people: "
	explains relay no_receiver "nobody wants" "$S" 232.7.7.7
	check "the last line is the sentence" grep -q \
		'^Not forwarded: nobody wants 232.7.7.7. (no_receiver)$' \
		<(ctl relay explain "$S" 232.7.7.7 | tail -n 1)
}

tb_up fanout N=2
start_mcrd relay "$tmp/relay.json5" --ignore-state
for part in ${PARTS:-rules routes elsewhere no_route limits people pim}; do
	"$part"
done
label=""
stop_mcrd relay
finish
