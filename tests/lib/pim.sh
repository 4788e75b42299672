# shellcheck shell=bash
# shellcheck disable=SC2154  # variables of harness.sh
# SPDX-License-Identifier: MIT
# For tests of PIM, after harness.sh: what a daemon knows, and what was on the wire.

# neighbors_are NODE "ADDRESS…" : in order
neighbors_are() {
	[ "$(ctl "$1" --output json pim neighbors |
		jq -r '[.neighbors[].address] | sort | join(" ")')" = "$2" ]
}

# neighbor NODE ADDRESS FILTER
neighbor() {
	ctl "$1" --output json pim neighbors | jq -r ".neighbors[] | select(.address == \"$2\") | $3"
}

has_secondary() {
	neighbor "$1" "$2" '.secondary_addresses[]' | grep -qxF "$3"
}

# pim_books NODE : messages received that are neither accepted nor dropped
pim_books() {
	ctl "$1" --output json pim interfaces |
		jq '.counters | .received - .accepted - ([.drops[]] | add)'
}

pim_drops() {
	ctl "$1" --output json pim interfaces | jq '[.counters.drops[]] | add'
}

# fields CAPTURE FILTER FIELD… : as tshark decodes them
fields() {
	local f options=()
	for f in "${@:3}"; do
		options+=(-e "$f")
	done
	tshark -n -r "$tmp/$1.pcap" -Y "$2" -T fields "${options[@]}" 2>/dev/null
}

# malformed_pim CAPTURE : packets that the decoder finds fault with
malformed_pim() {
	tshark -n -o ip.check_checksum:TRUE -r "$tmp/$1.pcap" \
		-Y 'pim && (_ws.malformed || pim.cksum.status == 0 || ip.checksum.status == 0)' \
		2>/dev/null
}

# Three routers in a row: src - r1 - r2 - r3 - rx1, rx2. Unicast routes are static.
row_up() {
	cat >"$tmp/row.topo" <<'END'
link src:s0,198.18.1.1/24 r1:i0,198.18.1.2/24
link r1:d0,198.18.12.1/24,gro r2:u0,198.18.12.2/24,gro
link r2:d0,198.18.23.2/24,gro r3:u0,198.18.23.3/24,gro
link r3:o1,198.18.3.1/24,gro rx1:r0,198.18.3.2/24,multicast,gro
link r3:o2,198.18.4.1/24,gro rx2:r0,198.18.4.2/24,multicast,gro
route r1 198.18.0.0/16 via 198.18.12.2
route r2 198.18.1.0/24 via 198.18.12.1
route r2 198.18.0.0/16 via 198.18.23.3
route r3 198.18.0.0/16 via 198.18.23.2
route src 198.18.0.0/16 via 198.18.1.2
END
	tb_up "$tmp/row.topo"
}

# row_config NODE PIM-OPTIONS [IGMP-OPTIONS] : for a router of the row
row_config() {
	local interfaces=() igmp=""
	case $1 in
	r1) interfaces=(i0 d0) ;;
	r2) interfaces=(u0 d0) ;;
	r3) interfaces=(u0 o1 o2) && igmp="igmp: { querier_interfaces: [\"o1\", \"o2\"], ${3:-} }" ;;
	esac
	echo "{ pim: { triggered_hello_delay: 0.1, ${2:-} interfaces: [
		$(printf '{ name: "%s", hello_period: 5 },' "${interfaces[@]}") ] }, $igmp }" >"$tmp/$1.json5"
}

# row_start [PIM-OPTIONS [IGMP-OPTIONS]] : returns when all know each other
row_start() {
	local node
	for node in r1 r2 r3; do
		row_config "$node" "${1:-}" "${2:-}"
		start_mcrd "$node" "$tmp/$node.json5" --ignore-state
	done
	wait_for 5 neighbors_are r2 "198.18.12.1 198.18.23.3" &&
		wait_for 5 neighbors_are r1 198.18.12.2 && wait_for 5 neighbors_are r3 198.18.23.2
}

# routes NODE FILTER : a jq filter of the multicast routes
routes() {
	ctl "$1" --output json mroute | jq -r "$2"
}

# route_is NODE SOURCE GROUP "INPUT OUTPUT…"
route_is() {
	[ "$(routes "$1" ".routes[] | select(.source == \"$2\" and .group == \"$3\") |
		[.input_interface, .output_interfaces[]] | join(\" \")")" = "$4" ]
}

no_routes() {
	[ "$(routes "$1" '.routes | length')" = 0 ]
}

# tree NODE SOURCE GROUP FILTER : what PIM has of it
tree() {
	ctl "$1" --output json pim joins |
		jq -r ".joins[] | select(.source == \"$2\" and .group == \"$3\") | $4"
}
