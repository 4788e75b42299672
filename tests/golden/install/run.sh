#!/bin/bash
# SPDX-License-Identifier: MIT
# make install and make uninstall in a DESTDIR: everything arrives, a program can be built with the
# library, and afterwards there is what was there before, nothing more and nothing less.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
dir=$(mktemp -d /tmp/mcr-install-XXXXXX)
dest=$dir/dest
fake=
cases=0 failed=0

stop_fake()
{
	[ -z "$fake" ] || { kill "$fake"; wait "$fake"; } 2>/dev/null
	fake=
}
trap 'stop_fake; rm -rf "$dir"' EXIT

# expect WHAT COMMAND…: one case.
expect()
{
	local what=$1
	shift
	cases=$((cases + 1))
	if "$@" >"$dir/said" 2>&1; then
		echo "ok $cases - $what"
	else
		echo "not ok $cases - $what"
		sed 's/^/# /' "$dir/said"
		failed=$((failed + 1))
	fi
}

# Type, mode and path of everything in DESTDIR, to a file.
snapshot()
{
	(cd "$dest" && find . -printf '%y %m %p\n' | LC_ALL=C sort) >"$dir/$1"
}

run_make()
{
	make --no-print-directory -C "$root" MODE="${MODE:-release}" DESTDIR="$dest" PREFIX=/usr "$@"
}

has_mode()
{
	[ "$(stat -c %a "$dest$2")" = "$1" ]
}

all_arrived()
{
	has_mode 755 /usr/sbin/mcrd && has_mode 755 /usr/bin/mcrctl &&
		has_mode 644 /usr/include/mcr/client.h && has_mode 644 /usr/lib/libmcr.a &&
		has_mode 644 /usr/share/man/man8/mcrctl.8 && has_mode 644 /usr/share/man/man8/mcrd.8 &&
		has_mode 644 /usr/share/man/man5/mcrd.conf.5 &&
		has_mode 644 /usr/share/doc/mcr/mcrd.json5 &&
		has_mode 644 /usr/lib/systemd/system/mcrd.service &&
		has_mode 644 /usr/share/bash-completion/completions/mcrctl
}

# The record and the tree agree: what is new since `before` is on record, and the other way round.
record_is_exact()
{
	LC_ALL=C comm -13 <(sed 's/^. [0-9]* \.//' "$dir/before" | LC_ALL=C sort) \
		<(sed 's/^. [0-9]* \.//' "$dir/installed" | LC_ALL=C sort) >"$dir/new"
	diff <(cut -c 3- "$dest/usr/share/doc/mcr/installed" | LC_ALL=C sort) "$dir/new"
}

no_place_is_unfilled()
{
	! grep -r '@[A-Z]*@' "$dest"/usr/lib/{systemd,pkgconfig} "$dest/usr/share"
}

# A client of ten lines, found by pkg-config alone.
client_builds()
{
	cat >"$dir/client.c" <<'C'
#include <mcr/client.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct mcr_client *c;
	const char *reply;
	int err = mcr_client_open(&c, argv[argc - 1], 5000);

	err = err ? err : mcr_client_request(c, "{\"command\":\"Ping\"}", &reply, NULL, 5000);
	if (!err)
		puts(reply);
	mcr_client_close(c);
	return err ? 1 : 0;
}
C
	local flags
	flags=$(PKG_CONFIG_SYSROOT_DIR=$dest PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig \
		pkg-config --cflags --libs mcr) || return
	# shellcheck disable=SC2086 # these are several words
	cc -Wall -Wextra -Werror -o "$dir/client" "$dir/client.c" $flags
}

client_talks()
{
	"$dir/client" "$dir/x.sock" | grep -q '"2/2 workers ready"'
}

start_fake()
{
	cc -o "$dir/fake_mcrd" "$root/tests/lib/fake_mcrd.c" -lcjson || return
	"$dir/fake_mcrd" "$dir/x.sock" "$root/tests/golden/ctl/replies/good" "$dir/log" &
	fake=$!
	for _ in $(seq 200); do
		[ -S "$dir/x.sock" ] && return
		sleep 0.02
	done
	return 1
}

exposure_is_low()
{
	systemd-analyze security --offline=true --threshold=31 \
		"$dest/usr/lib/systemd/system/mcrd.service"
}

# Somebody was here before, with directories that are empty and some that are not.
mkdir -p "$dest/usr/lib/pkgconfig" "$dest/usr/sbin" "$dest/etc/mcr" "$dest/var/lib/mcr"
echo mine >"$dest/usr/sbin/other"
echo '{}' >"$dest/etc/mcr/mcrd.json5"
snapshot before

expect "make install" run_make install
snapshot installed
expect "everything has arrived, with its mode" all_arrived
expect "the record names what is new and nothing else" record_is_exact
expect "places are filled in" no_place_is_unfilled
expect "the unit starts the installed daemon" \
	grep -qx 'ExecStart=/usr/sbin/mcrd' "$dest/usr/lib/systemd/system/mcrd.service"
if command -v systemd-analyze >/dev/null; then
	expect "the unit exposes little" exposure_is_low
fi
expect "the installed mcrctl runs" "$dest/usr/bin/mcrctl" help
expect "the completion is good bash" bash -n "$dest/usr/share/bash-completion/completions/mcrctl"
expect "a client builds with pkg-config" client_builds
expect "a daemon of cardboard comes up" start_fake
expect "the client gets its answer" client_talks

expect "make install once more" run_make install
snapshot again
expect "it changes nothing" diff "$dir/installed" "$dir/again"
expect "make uninstall" run_make uninstall
snapshot after
expect "what is left is what was there before" diff "$dir/before" "$dir/after"
expect "a second uninstall has nothing to do" bash -c "! '$root/tools/install' remove '$dest' \
	/usr/share/doc/mcr/installed"

expect "make install after that" run_make install
echo mine >"$dest/usr/include/mcr/mine.h"
expect "make uninstall beside a file of somebody else's" run_make uninstall
expect "that file stays" grep -q mine "$dest/usr/include/mcr/mine.h"
rm -r "$dest/usr/include"
snapshot after
expect "and nothing else does" diff "$dir/before" "$dir/after"

echo 'f /usr/share/../sbin/other' >"$dir/record"
expect "a damaged record removes nothing" bash -c "! '$root/tools/install' remove '$dest' \
	/../record && [ -f '$dest/usr/sbin/other' ]"
expect "a file that is missing is an error" bash -c "! '$root/tools/install' add '$dir/partly' \
	/doc/installed '0644:$here/run.sh:/a/b/run.sh' 0644:/nonexistent:/c/d"
expect "but what was installed until then is on record" "$root/tools/install" remove \
	"$dir/partly" /doc/installed
expect "so that nothing of it remains" rmdir "$dir/partly"

echo "1..$cases"
[ "$failed" -eq 0 ]
