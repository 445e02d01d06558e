#!/bin/sh
# run.sh - one conversation: run.sh PATH/NAME.lua (spoken by miltertest) or PATH/NAME.py
# Starts the real daemon with NAME.conf on a free port, lets the script speak, stops the
# daemon, and adds a TAP line for each line of NAME.expect (an extended regular
# expression the log must hold; with ! in front: must not).
set -u
here=$(cd "$(dirname "$0")" && pwd)
script=$1
name=$(basename "${script%.*}")
: "${COUNTERSIGN:=$(pwd)/countersign}"
: "${COUNTERSIGNCTL:=$(pwd)/countersignctl}"
export COUNTERSIGNCTL
if [ ! -f "$here/$name.conf" ]; then
	echo "1..0 # SKIP $name has no configuration: it is no conversation, others use it"
	exit 0
fi
case $script in
*.lua) speaker=${MILTERTEST:-miltertest} package=miltertest ;;
*) speaker=python3 package=python3 ;;
esac
if ! command -v "$speaker" >/dev/null 2>&1; then
	echo "1..0 # SKIP $package is not installed: apt-get install $package"
	exit 0
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/talk.XXXXXX") || exit 1
pid=
cleanup() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

mkdir -p "$dir/keys/example.org" "$dir/keys/example.net"
for domain in example.org example.net; do
	openssl genrsa -out "$dir/keys/$domain/s1.pem" 2048 2>/dev/null || exit 1
	chmod 600 "$dir/keys/$domain/s1.pem"
done
# A free port: asked for, tried, and asked for anew where another took it meanwhile.
start() {
	tries=0
	while [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		port=$(awk -v seed="$$$tries" 'BEGIN { srand(seed); print 20000 + int(rand() * 12000) }')
		sed -e "s|@PORT@|$port|g" -e "s|@DIR@|$dir|g" -e "s|@GROUP@|${group:-}|g" \
		    -e "s|@STORE@|${TALK_STORE:-store = \"embedded\"}|g" "$here/$name.conf" >"$dir/conf"
		: >"$dir/log"
		$1 "$COUNTERSIGN" -c "$dir/conf" 2>"$dir/log" &
		pid=$!
		waited=0
		while [ $waited -lt 300 ] && kill -0 "$pid" 2>/dev/null; do
			grep -q 'is ready on' "$dir/log" && return 0
			sleep 0.1
			waited=$((waited + 1))
		done
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		pid=
		grep -q 'cannot be listened on' "$dir/log" || break
	done
	echo "Bail out! the daemon did not start: $(cat "$dir/log")"
	exit 1
}
# NAME.setup, sourced: files the configuration needs
# shellcheck disable=SC1090
[ ! -f "$here/$name.setup" ] || . "$here/$name.setup"
start "${TALK_WRAPPER:-}"
case $script in
*.lua) "$speaker" -D port="$port" -D lib="$here/lib.lua" -D dir="$dir" -D pid="$pid" -s "$script" ;;
*) PYTHONDONTWRITEBYTECODE=1 "$speaker" "$script" "$port" "$pid" "$dir" ;;
esac >"$dir/tap" 2>"$dir/err"
talked=$?
kill "$pid"
wait "$pid"
stopped=$?
pid=
grep -v '^1\.\.' "$dir/tap"
n=$(grep -cE '^(not )?ok ' "$dir/tap")
check() { # status, what
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
if [ -f "$here/$name.expect" ]; then
	while IFS= read -r pattern; do
		case $pattern in
		''|'#'*) continue ;;
		'!'*) ! grep -qE -- "${pattern#!}" "$dir/log"; check $? "the log does not say: ${pattern#!}" ;;
		*) grep -qE -- "$pattern" "$dir/log"; check $? "the log says: $pattern" ;;
		esac
	done <"$here/$name.expect"
fi
grep -q '^1\.\.' "$dir/tap" || talked=1
check "$talked" "the conversation ended as planned"
check "$stopped" "the daemon stopped cleanly"
echo "1..$n"
sed 's/^/# /' "$dir/err"
[ "$stopped" -eq 0 ] || echo "# the daemon's exit status: $stopped"
if [ -n "${TALK_VERBOSE:-}" ] || [ "$talked" -ne 0 ] || [ "$stopped" -ne 0 ]; then sed 's/^/# log: /' "$dir/log"; fi
exit 0
