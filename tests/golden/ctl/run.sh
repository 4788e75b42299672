#!/bin/bash
# SPDX-License-Identifier: MIT
# mcrctl against a daemon of cardboard: what it prints, what it sends, how it ends. Each case is
# compared with expect/<case>; UPDATE=1 writes these files anew, to be read before committing them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mcrctl=${MCRCTL:-$root/build/${MODE:-release}/bin/mcrctl}
program=$mcrctl
dir=$(mktemp -d /tmp/mcr-ctl-XXXXXX)
sock=$dir/mcrd.sock
cases=0 failed=0 fake=

stop_fake()
{
	[ -z "$fake" ] || { kill "$fake"; wait "$fake"; } 2>/dev/null
	fake=
}
trap 'stop_fake; rm -rf "$dir"' EXIT

# with REPLIES: from here on the daemon answers from this folder.
with()
{
	stop_fake
	rm -f "$sock"
	"$dir/fake_mcrd" "$sock" "$here/replies/$1" "$dir/log" &
	fake=$!
	for _ in $(seq 200); do
		[ -S "$sock" ] && return
		sleep 0.02
	done
	echo "Bail out! the daemon of cardboard does not come up"
	exit 1
}

# golden CASE ARGUMENT…: one run of mcrctl; paths of this run are replaced in what it prints.
golden()
{
	local case=$1 status
	shift
	: >"$dir/log"
	(cd "$dir" && timeout 20 "$mcrctl" --socket-path "$sock" "$@" >"$dir/out" 2>"$dir/err")
	status=$?
	{
		printf 'mcrctl'
		printf ' %q' "$@"
		printf '\nstatus %d\n' "$status"
		[ ! -s "$dir/out" ] || { echo '--- output' && cat "$dir/out"; }
		[ ! -s "$dir/err" ] || { echo '--- errors' && cat "$dir/err"; }
		[ ! -s "$dir/log" ] || { echo '--- requests' && cat "$dir/log"; }
	} | sed "s|$dir|DIR|g" >"$dir/got"
	compare "$case"
}

compare()
{
	cases=$((cases + 1))
	[ -z "${UPDATE:-}" ] || cp "$dir/got" "$here/expect/$1"
	if diff -u "$here/expect/$1" "$dir/got" >"$dir/diff" 2>&1; then
		echo "ok $cases - $1"
	else
		echo "not ok $cases - $1"
		sed 's/^/# /' "$dir/diff"
		failed=$((failed + 1))
	fi
}

# expect CASE CONDITION…: a case without a file.
expect()
{
	local case=$1
	shift
	cases=$((cases + 1))
	if "$@"; then
		echo "ok $cases - $case"
	else
		echo "not ok $cases - $case: $*"
		failed=$((failed + 1))
	fi
}

tables()
{
	with good
	golden no-command
	golden status status
	golden list list
	golden list-rules-json list-rules --output json
	golden show-by-name show rule tv
	golden stats stats
	golden workers workers
	golden check check
	golden ping ping
	golden version version
	golden trace-show trace show tv
	golden trace-show-json --output json trace show tv
	golden logs logs
	golden logs-json logs --output json --since 7
	golden logs-follow logs --follow
	golden logs-follow-json logs --follow --output json
	golden log-level-get log-level get
	golden config-show config show
	golden igmp-groups igmp groups
	golden igmp-groups-json --output json igmp groups
	golden igmp-interfaces igmp interfaces
	golden igmp-interfaces-json --output json igmp interfaces
	golden pim-neighbors pim neighbors
	golden pim-interfaces pim interfaces
	golden pim-rp pim rp
	golden pim-rp-group pim rp --group 239.1.1.1
	golden pim-joins pim joins
	golden pim-joins-json --output json pim joins
	golden pim-enable pim enable --interface o1 --dr-priority 7
	golden pim-enable-dry --dry-run pim enable --interface o1
	golden pim-disable pim disable --interface o1
	golden pim-set-rp pim set-rp --group 239.0.0.0/8 --rp 198.18.9.9
	golden pim-set-rp-address pim set-rp-address --address 198.18.9.9
	golden mroute mroute
	golden mroute-json --output json mroute
	golden explain explain 198.18.0.1 239.1.1.1
	golden explain-in explain 198.18.0.1 239.1.1.1 in in0 --port 5001 --ttl 1
	golden explain-json --output json explain 198.18.0.1 239.1.1.1
	golden doctor doctor
	golden doctor-json --output json doctor
	golden rpf rpf 198.19.0.9
	golden rpf-json --output json rpf 198.19.0.9
	golden json-before --output json list-workers
	golden verbose -v ping
}

# A list that is too long for one reply.
pages()
{
	with paged
	golden paged-list list
	with paged
	golden paged-list-json --output json list
	golden paged-refused stats
}

changes()
{
	with good
	golden add-short add --input-interface in0 --input-group 239.1.1.1 --input-port 5001 \
		--outputs '239.2.2.2:5002:o1,198.18.9.9:6000,:0:o2:source=preserve:ttl=decrement'
	golden add-long add --name tv --rule-id r1 --input-interface in0 --input-group 239.1.1.1 \
		--input-port=0 --input-source 198.18.0.5 --input-protocol esp --datapath afpacket \
		--accept-ttl1 \
		--output 'group=239.2.2.2,port=5002,interface=o1,ttl=8,source=preserve,dscp=46' \
		--output address=198.18.9.9,port=6000
	golden add-protocol-number add --input-interface in0 --input-group 239.1.1.1 \
		--input-protocol 17 --outputs '239.2.2.2:5002:o1:ttl=8:source=198.18.0.7:dscp=46'
	golden add-json add --input-interface in0 --input-group 239.1.1.1 --outputs ::o1 \
		--output json
	golden add-dry --dry-run add --input-interface in0 --input-group 239.1.1.1 --outputs ::o1
	golden mroute-add mroute add --group 239.7.7.7 --source 198.18.0.9 --input in0 \
		--output o1 --output o2
	golden mroute-remove mroute remove --group 239.7.7.7 --dry-run
	golden igmp-enable igmp enable o1
	golden igmp-disable --dry-run igmp disable o1
	golden remove-id remove --rule-id 1f2e3d4c5b6a7988
	golden remove-name remove --name tv --dry-run
	golden list-dry list --dry-run --output json
	golden trace-enable trace enable tv --every 10
	golden trace-enable-all trace enable tv --dry-run
	golden trace-disable trace disable tv
	golden log-level-global log-level set --global debug
	golden log-level-facility log-level set --facility egress --level default
	printf '{\n  rules: [],\n}\n' >"$dir/good.json5"
	golden config-load config load --file good.json5
	golden config-load-replace config load --file "$dir/good.json5" --replace --dry-run
	golden config-save config save
	golden config-save-relative config save --file out.json5
	golden config-save-absolute config save --file /x/out.json5
	golden config-check config check --file good.json5
}

refusals()
{
	with refused
	golden refused-add add --input-interface in0 --input-group 239.1.1.1 --outputs ::o1:ttl=300
	golden refused-json --output json add --input-interface in0 --input-group 239.1.1.1 \
		--outputs ::o1:ttl=300
	golden refused-unsaved remove --rule-id aa
	golden refused-unsaved-dry remove --rule-id aa --dry-run
	golden refused-nothing remove --name aa
	golden refused-load config load --file good.json5
	golden refused-check-config config check --file good.json5
	golden refused-check check
	golden refused-check-json check --output json
	golden refused-show show rule zz
	golden refused-trace trace enable zz --every 0
	golden refused-trace-json --output json trace disable zz
	golden refused-logs logs --since 4000000 --follow
	golden refused-version version
	golden empty-trace trace show tv
	golden refused-level log-level set --global debug
	golden refused-unknown stats
	golden empty-list list
	golden empty-workers workers
	golden refused-explain explain x 239.1.1.1
	golden empty-doctor doctor
	golden empty-igmp-groups igmp groups
	golden empty-mroute mroute
	golden refused-rpf rpf x
	golden empty-igmp-interfaces igmp interfaces
}

hostile_replies()
{
	with hostile
	golden hostile-list list
	golden hostile-list-json --output json list
	golden hostile-verbose -v --output json list
	golden hostile-ping ping
	golden hostile-stats stats
	golden hostile-add add --input-interface in0 --input-group 239.1.1.1 --outputs ::o1
	golden hostile-check check
	golden hostile-remove remove --rule-id x
	golden hostile-status status
	golden hostile-show show rule x
	golden hostile-config config show
	golden hostile-version version
	golden hostile-trace trace show x
	golden hostile-logs logs --follow
	golden hostile-igmp-groups igmp groups
	golden hostile-mroute mroute
	golden hostile-explain explain x x
	golden hostile-doctor doctor
	golden hostile-pim-neighbors pim neighbors
	golden hostile-pim-interfaces pim interfaces
	golden hostile-pim-rp pim rp
	golden hostile-pim-joins pim joins
	golden hostile-rpf rpf x
	golden hostile-igmp-interfaces igmp interfaces
	with broken
	golden broken-text ping
	golden broken-two version
	golden broken-status status
	golden broken-array list
	golden broken-deep workers
	golden broken-hangup add --input-interface in0 --input-group 239.1.1.1 --outputs ::o1
	golden broken-hangup-reading stats
	with silent
	golden silent-add add --timeout 1 --input-interface in0 --input-group 239.1.1.1 \
		--outputs ::o1
	golden silent-ping ping --timeout 1
}

# The command line is refused before anything is sent.
usage()
{
	local add=(add --input-interface in0 --input-group 239.1.1.1)

	with good
	golden usage-unknown frobnicate
	golden usage-second-word config frobnicate
	golden usage-half config
	golden usage-explain-short explain 198.18.0.1
	golden usage-explain-word explain 198.18.0.1 239.1.1.1 at in0
	golden usage-explain-long explain 198.18.0.1 239.1.1.1 in in0 in1
	golden usage-explain-ttl explain 198.18.0.1 239.1.1.1 --ttl 256
	golden usage-option list --frobnicate
	golden usage-short -x list
	golden usage-value remove --name
	golden usage-flag-value add --accept-ttl1=yes
	golden usage-twice remove --name a --name b
	golden usage-operand list extra
	golden usage-no-operand show rule
	golden usage-remove remove
	golden usage-remove-both remove --name a --rule-id b
	golden usage-every trace enable tv --every=-1
	golden usage-since logs --since last
	golden usage-trace trace
	golden usage-add add
	golden usage-add-no-output "${add[@]}"
	golden usage-port "${add[@]}" --input-port http --outputs ::o1
	golden usage-outputs "${add[@]}" --outputs 239.2.2.2
	golden usage-outputs-port "${add[@]}" --outputs 239.2.2.2:x:o1
	golden usage-pim-priority pim enable --interface o1 --dr-priority high
	golden usage-outputs-empty "${add[@]}" --outputs ::o1,
	golden usage-output-key "${add[@]}" --output group=239.2.2.2,tll=8
	golden usage-output-pair "${add[@]}" --output 239.2.2.2
	golden usage-output-twice "${add[@]}" --output port=1,port=2
	golden usage-format list --output xml
	golden usage-timeout list --timeout 0
	golden usage-both --instance x list
	golden usage-mroute-add mroute add --group 239.7.7.7 --input in0
	golden usage-igmp-enable igmp enable
	golden usage-level log-level set --facility egress
	golden usage-file config load --file missing.json5
	golden usage-directory config load --file .
	head -c 9000000 /dev/zero | tr '\0' ' ' >"$dir/big.json5"
	golden usage-big config check --file big.json5
	printf '{}\0' >"$dir/nul.json5"
	golden usage-nul config check --file nul.json5
	golden help help
	golden help-option --help
	golden help-add help add
	golden help-config-load config load --help
	golden help-trace-enable help trace enable
	golden help-logs help logs
	golden help-unknown help frobnicate
	golden version-option --version
}

# Runs mcrctl without the socket path of golden, as somebody else where as_other says so.
as_other=()
plain()
{
	timeout 20 "${as_other[@]}" "$mcrctl" "$@" >"$dir/out" 2>"$dir/err"
	local status=$?
	{
		printf 'mcrctl'
		printf ' %q' "$@"
		printf '\nstatus %d\n' "$status"
		cat "$dir/out" "$dir/err"
	} | sed "s|$dir|DIR|g" >"$dir/got"
}

sockets()
{
	stop_fake
	rm -f "$sock"
	plain --socket-path "$sock" ping; compare unreachable-missing
	plain --instance no-such-instance ping; compare unreachable-instance
	plain --instance a/b ping; compare unreachable-name
	plain --socket-path "$(printf '%0200d' 0)" ping; compare unreachable-long
	with good
	kill -9 "$fake" && wait "$fake" 2>/dev/null
	fake=
	plain --socket-path "$sock" ping; compare unreachable-stale
	sock=$dir/mcrd-ro.sock
	with good
	rm "$dir/mcrd.sock"
	plain --socket-path "$dir/mcrd.sock" ping; compare readonly-reads
	plain --socket-path "$dir/mcrd.sock" remove --name x; compare readonly-changes
	plain --socket-path "$dir/mcrd.sock" logs; compare readonly-logs
	plain --socket-path "$dir/mcrd.sock" trace show x; compare readonly-trace
	others
}

# A user whom only the read-only socket lets in.
others()
{
	local mcrctl=$dir/mcrctl

	if [ "$(id -u)" -ne 0 ]; then
		cases=$((cases + 1))
		echo "ok $cases - others # SKIP only root can become another user"
		return
	fi
	cp "$program" "$mcrctl"
	chmod 0755 "$dir" && chmod 0666 "$sock"
	sock=$dir/mcrd.sock
	with good
	chmod 0600 "$sock"
	as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	plain --socket-path "$sock" remove --name x; compare other-changes
	rm "$dir/mcrd-ro.sock"
	plain --socket-path "$sock" ping; compare other-without-readonly
	sock=$dir/mcrd-ro.sock
	with good
	chmod 0666 "$sock"
	plain --socket-path "$dir/mcrd.sock" ping; compare other-reads
	as_other=()
	rm "$dir/mcrd.sock"
}

# What bash offers after some beginnings of a command line.
completion()
{
	local line

	sock=$dir/mcrd.sock
	with good
	cat >"$dir/try" <<'TRY'
source "$1/tools/completion/mcrctl.bash"
eval "mcrctl() { '$2' --socket-path '$3' \"\$@\"; }"
while IFS= read -r line; do
	IFS=' ' read -ra COMP_WORDS <<<"$line"
	[[ $line != *' ' ]] || COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_mcrctl
	echo "$line: ${COMPREPLY[*]}"
done
TRY
	for line in 'mcrctl ' 'mcrctl l' 'mcrctl config ' 'mcrctl config load --f' \
		'mcrctl add --input-p' 'mcrctl add --datapath ' 'mcrctl --output ' \
		'mcrctl remove --name ' 'mcrctl show rule t' 'mcrctl --instance x sta' \
		'mcrctl trace ' 'mcrctl trace enable ' 'mcrctl trace enable tv --' \
		'mcrctl logs --' \
		'mcrctl help log-level '; do
		echo "$line"
	done | bash "$dir/try" "$root" "$program" "$sock" >"$dir/got" 2>&1
	compare completion
}

# Tables stay within 100 columns, whatever is in them, and nothing steers a terminal.
figures()
{
	local widest

	widest=$(cd "$here/expect" &&
		cat {list,stats,workers,check,show-by-name,status,trace-show,hostile-list,help}* |
		grep -v -e '^mcrctl' -e '^{' -e '^[<>] ' |
		LC_ALL=C.UTF-8 awk '{ if (length > w) w = length } END { print w }')
	expect "no line is wider than 100 columns (widest $widest)" [ "$widest" -le 100 ]
	expect "no control byte is printed" \
		bash -c "! LC_ALL=C grep -l -P \
			'[\\x00-\\x08\\x0b-\\x1f\\x7f]|\\xc2[\\x80-\\x9f]' '$here'/expect/*"
}

# logs --follow asks every 500 ms, and shows what it has until it is interrupted.
interrupted()
{
	local status

	sock=$dir/mcrd.sock
	with endless
	: >"$dir/log"
	timeout --preserve-status -s INT 1.3 \
		"$mcrctl" --socket-path "$sock" logs --follow >"$dir/out" 2>&1
	status=$?
	expect "logs --follow goes on until it is interrupted" [ "$status" -eq 130 ]
	expect "it asks every 500 ms" [ "$(wc -l <"$dir/log")" -eq 3 ]
	expect "what it has shown is there" grep -q 'the only line' "$dir/out"
}

full_disk()
{
	sock=$dir/mcrd.sock
	with good
	"$mcrctl" --socket-path "$sock" list >/dev/full 2>"$dir/err"
	expect "output that cannot be written is an error" [ $? -eq 1 ]
}

if ! cc -O1 -o "$dir/fake_mcrd" "$root/tests/lib/fake_mcrd.c" -lcjson; then
	echo "Bail out! tests/lib/fake_mcrd.c does not compile"
	exit 1
fi
tables
changes
refusals
hostile_replies
pages
usage
sockets
figures
interrupted
full_disk
completion
echo "1..$cases"
[ "$failed" -eq 0 ]
