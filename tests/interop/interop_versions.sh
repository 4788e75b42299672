#!/bin/bash
# SPDX-License-Identifier: MIT
# IGMP beside a router of FRR that is set to another version: a receiver gets all that is sent to it,
# all the time, whoever asks.
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/books.sh
. "$root/tests/lib/books.sh"
# shellcheck source=tests/lib/frr.sh
. "$root/tests/lib/frr.sh"
# shellcheck source=tests/lib/frr_igmp.sh
. "$root/tests/lib/frr_igmp.sh"

# mismatch OURS THEIRS : versions. FRR ignores queries that are not of its own version, so when ours
# is the newer one, it has to speak the older one as well; and does, until it has not heard it for a
# while.
mismatch() {
	local since
	label="v$1 beside v$2: "
	config "$1" >"$tmp/r1.json5"
	start_capture h1 wire e0 igmp
	frr_start "$2"
	start_mcrd r1 "$tmp/r1.json5" --ignore-state
	receiving 7
	if [ "$1" -gt "$2" ]; then
		check "the older version is spoken" wait_for 5 speaks "$2"
		check "so that both agree who asks" wait_for 5 frr_querier_is other
		check "ours, in the older version" wait_for 5 has_asked_in "$2"
	else
		since=$(now)
		check "ours goes on asking" wait_for 5 has_asked "$ours" "$since"
		check "and so does the other one, which ignores it" wait_for 5 has_asked \
			198.18.1.20 "$since"
		check_equal "each in its version" "$(queries "$ours" | sort -u)" "$1"
	fi
	received
	stop "$ours"
}

has_asked_in() {
	[ "$(queries "$ours" | grep -cx "$1")" -ge 2 ]
}

speaks() {
	[ "$(interface .version)" = "$1" ]
}

lan_up
mismatch 3 2
mismatch 2 3
finish
