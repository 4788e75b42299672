#!/bin/bash
# SPDX-License-Identifier: MIT
# Jumbo frames: 8900 bytes of payload through interfaces with an MTU of 9000. What is too large for
# an output is counted there, and harms no other.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
rate=${RATE:-$(gently 3000)} seconds=${SECONDS_OF_LOAD:-$(briefly 3)}
wide=198.18.1.2 narrow=198.18.2.2

jumbo() {
	local n=$((rate * seconds)) sink
	relay relay "$(rule in0 o1 o2 "{ address: \"$wide\", port: 6001 }" \
		"{ address: \"$narrow\", port: 6002 }" \
		"{ address: \"$wide\", port: 6003, source: \"preserve\" }")"
	start_sink rx1 group --interface r0 "${flow[@]}"
	start_sink rx2 group2 --interface r0 "${flow[@]}"
	start_sink rx1 wide --group "$wide" --port 6001
	start_sink rx2 narrow --group "$narrow" --port 6002
	start_sink rx1 raw --group "$wide" --port 6003
	gen src g --interface s0 "${flow[@]}" --size 8900 --rate "$rate" --duration "$seconds"
	check_books relay
	for sink in group group2 wide narrow raw; do
		end_sink "$sink"
	done
	check_equal "sent" "$(offered g)" "$n"
	check_whole group "$n"
	check_whole wide "$n"
	check_whole raw "$n"
	check_equal "nothing goes out where the MTU is 1500" "$(totals group2 received)" 0
	check_equal "that is counted" \
		"$(stat relay 'outputs("o2")[0] | "\(.due) \(.drops.too_big)"')" "$n $n"
	# by the kernel's routes, and fragmented there, as DF is not set
	check_whole narrow "$n"
	stop_all
}

# With DF nothing may fragment it.
jumbo_df() {
	local n=500
	relay relay "$(rule in0 "{ address: \"$wide\", port: 6001 }" \
		"{ address: \"$narrow\", port: 6002 }" 'o2')"
	start_sink rx1 wide --group "$wide" --port 6001
	gen src g --interface s0 "${flow[@]}" --df --size 8900 --rate 1000 --count "$n"
	check_books relay
	end_sink wide
	check_whole wide "$n"
	check_equal "DF: too big by routes, too big for the output" \
		"$(stat relay '[.rules[0].outputs[] | .drops.too_big] | join(" ")')" "0 $n $n"
	stop_all
}

cat >"$tmp/jumbo.topo" <<'END'
link src:s0,198.18.0.1/24,multicast relay:in0,198.18.0.2/24 mtu=9000
link relay:o1,198.18.1.1/24 rx1:r0,198.18.1.2/24 mtu=9000
link relay:o2,198.18.2.1/24 rx2:r0,198.18.2.2/24 mtu=1500
END
tb_up "$tmp/jumbo.topo"
for_each_datapath jumbo
for_each_datapath jumbo_df
finish
