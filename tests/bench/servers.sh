# shellcheck shell=bash
# servers.sh - the filters that the bench compares, each started as its package would run it
#
# A bash library on top of contrib/lab/lab.sh. Every bench_start_NAME function
# starts one filter and records it:
#
#	BENCH_PROCESS[NAME]	its process id
#	BENCH_SOCKET[NAME]	its socket, as the load generator takes it
#
# Filters that are not installed are not started; BENCH_MISSING holds what
# would have to be installed. Nothing is taken from /etc but rspamd's own rules.

declare -A BENCH_PROCESS=() BENCH_SOCKET=()
BENCH_MISSING=()

# Debian's sbin directories are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

# bench_place NAME KIND - choose a socket of KIND inet or unix for the filter NAME
bench_place() {
	local name=$1

	if [[ $2 == unix ]]; then
		BENCH_SOCKET[$name]=unix:$LAB_DIR/$name.sock
	else
		BENCH_SOCKET[$name]=inet:127.0.0.1:$(lab_free_port)
	fi
}

# bench_sendmail_place NAME - the socket in the words of libmilter: inet:PORT@HOST
bench_sendmail_place() {
	local socket=${BENCH_SOCKET[$1]}

	[[ $socket == unix:* ]] || socket=inet:${socket##*:}@127.0.0.1
	printf '%s' "$socket"
}

# bench_answers NAME - does something accept connections there?
bench_answers() {
	local socket=${BENCH_SOCKET[$1]}

	if [[ $socket == unix:* ]]; then
		[[ -S ${socket#unix:} ]]
	else
		lab_listens "${socket##*:}"
	fi
}

# bench_serve NAME COMMAND... - start a filter and wait until it accepts connections
bench_serve() {
	local name=$1

	shift
	lab_serve "$name" "$@"
	lab_up "$name" bench_answers "$name" || return 1
	BENCH_PROCESS[$name]=${LAB_PID[$name]}
}

# bench_missing PROGRAM PACKAGE - is PROGRAM absent? Told, loudly, with the cure
bench_missing() {
	command -v "$1" >/dev/null && return 1
	BENCH_MISSING+=("$2")
	lab_say "NOT MEASURED: $2 is not installed (apt-get install $2; its service need not run)"
}

# bench_start_nothing NAME [-n | -a] - the do-nothing program
bench_start_nothing() {
	bench_place "$1" inet
	# shellcheck disable=SC2086 # an option or nothing
	bench_serve "$1" "$LAB_BUILD/tests/bench/nothing" ${2:-} "$(bench_sendmail_place "$1")"
}

# bench_write_countersign NAME LINES - a configuration: what all have, and LINES
bench_write_countersign() {
	cat >"$LAB_DIR/$1.conf" <<-END
	mode        = "enforce"
	listen      = "${BENCH_SOCKET[$1]}"
	realm       = "example.org"
	authserv_id = "mx.example.org"
	log         = "stderr"
	dns   = { servers = ["127.0.0.1@$LAB_DNS_PORT"] }
	$2
	END
	# a Redis that nothing uses is an error
	if [[ $2 == *redis:main* && $2 != *"redis = {"* ]]; then
		echo "redis = { main = { server = \"unix:$LAB_DIR/redis.sock\" } }" >>"$LAB_DIR/$1.conf"
	fi
}

# Three windows that nobody fills.
BENCH_PLAN='default_plan = "person"
plans = { person = { limits = ["1000000000 recipients per hour", "1000000000 recipients per day", "1000000000 messages per hour"] } }'
BENCH_USERS='listeners = { users = { role = "submission"  daemon = ["ORIGINATING"] } }'
BENCH_MX='listeners = { mx = { role = "inbound" } }'

# bench_start_countersign NAME KIND LINES - countersign on a socket of KIND with these settings
bench_start_countersign() {
	bench_place "$1" "$2"
	bench_write_countersign "$1" "$3"
	bench_serve "$1" "$LAB_BUILD/countersign" -c "$LAB_DIR/$1.conf"
}

# bench_submission [STORE] [KEYS] - settings of a whole submission
bench_submission() {
	printf 'keys = "%s"\nstore = "%s"\n%s\n%s\n' "${2:-$LAB_DIR/keys}" "${1:-redis:main}" \
	    "$BENCH_PLAN" "$BENCH_USERS"
}

# bench_start_opendkim NAME KIND MODE LINES - opendkim; it logs nothing, which favours it
bench_start_opendkim() {
	bench_missing opendkim opendkim && return 0
	bench_place "$1" "$2"
	cat >"$LAB_DIR/$1.conf" <<-END
	Syslog no
	Mode $3
	Socket $(bench_sendmail_place "$1")
	AuthservID mx.example.org
	Canonicalization relaxed/relaxed
	MinimumKeyBits 1024
	RequireSafeKeys no
	InternalHosts 127.0.0.1
	$4
	END
	bench_serve "$1" opendkim -f -x "$LAB_DIR/$1.conf"
}

# bench_write_rspamd NAME - rspamd's shipped configuration with a directory of local settings
bench_write_rspamd() {
	local dir=$LAB_DIR/$1 local_d=$LAB_DIR/$1/local.d worker

	mkdir -p "$local_d" "$dir/db" "$dir/log" "$dir/run" || return 1
	for worker in normal controller; do
		echo 'enabled = false;' >"$local_d/worker-$worker.inc"
	done
	printf '%s\n' "bind_socket = \"${BENCH_SOCKET[$1]#inet:}\";" 'upstream "local" { self_scan = yes; }' \
	    'count = 1;' >"$local_d/worker-proxy.inc"
	printf '%s\n' "control_socket = \"$dir/control\";" \
	    "dns { nameserver = \"127.0.0.1:$LAB_DNS_PORT\"; }" >"$local_d/options.inc"
	echo "servers = \"$LAB_DIR/redis.sock\";" >"$local_d/redis.conf"
	printf '%s\n' "path = \"$LAB_DIR/keys/\$domain/\$selector.pem\";" 'selector = "lab";' \
	    'check_pubkey = false;' 'use_esld = false;' >"$local_d/dkim_signing.conf"
	# the same three windows, for the logged-in user
	printf 'rates {\n' >"$local_d/ratelimit.conf"
	for worker in hour:1h day:1d messages:1h; do
		printf ' %s { selector = "user.lower"; bucket { burst = 1000000000; rate = "1000000000 / %s"; } }\n' \
		    "${worker%:*}" "${worker#*:}"
	done >>"$local_d/ratelimit.conf"
	printf '}\n' >>"$local_d/ratelimit.conf"
}

# bench_trim_rspamd NAME - leave only what the comparison needs: signing and limits
bench_trim_rspamd() {
	local local_d=$LAB_DIR/$1/local.d file

	for file in /etc/rspamd/modules.d/*.conf; do
		file=${file##*/}
		case $file in
		dkim_signing.conf | dkim.conf | ratelimit.conf | redis.conf) ;;
		*) echo 'enabled = false;' >"$local_d/$file" ;;
		esac
	done
	echo 'filters = "dkim";' >>"$local_d/options.inc"
}

# bench_start_rspamd NAME [trim] - rspamd as milter: DKIM signing and ratelimit in Redis
bench_start_rspamd() {
	local dir=$LAB_DIR/$1

	bench_missing rspamd rspamd && return 0
	bench_place "$1" inet
	bench_write_rspamd "$1" || return 1
	[[ ${2:-} != trim ]] || bench_trim_rspamd "$1"
	bench_serve "$1" rspamd -f -i -c /etc/rspamd/rspamd.conf --var="LOCAL_CONFDIR=$dir" --var="DBDIR=$dir/db" \
	    --var="LOGDIR=$dir/log" --var="RUNDIR=$dir/run"
}

# bench_write_letter - $LAB_DIR/letter: what friend.example sends, signed by a signer that is not ours;
# $LAB_DIR/opendkim.keys: its public key as opendkim reads it from a file
bench_write_letter() {
	local record

	"$LAB_BUILD/tests/bench/load" --role inbound --print-letter >"$LAB_DIR/letter.plain" &&
	    lab_sign friend.example post "$LAB_DIR/friend-keys/friend.example/post.pem" \
	    <"$LAB_DIR/letter.plain" >"$LAB_DIR/letter" || return 1
	record=$(openssl rsa -in "$LAB_DIR/friend-keys/friend.example/post.pem" -pubout -outform DER 2>/dev/null |
	    openssl base64 -A)
	printf 'post._domainkey.friend.example v=DKIM1; k=rsa; p=%s\n' "$record" >"$LAB_DIR/opendkim.keys"
}

# bench_start_ours - what every part measures
bench_start_ours() {
	bench_start_nothing nothing-answering &&
	    bench_start_nothing nothing-negotiated -n &&
	    bench_start_nothing nothing-away -a &&
	    bench_start_countersign submission-inet inet "$(bench_submission)" &&
	    bench_start_countersign submission-unix unix "$(bench_submission)" &&
	    bench_start_countersign inbound-unix unix "$BENCH_MX"
}

# bench_start_pieces - countersign with less than a whole submission: what its parts cost
bench_start_pieces() {
	bench_start_countersign bare-inet inet "$BENCH_USERS" &&
	    bench_start_countersign sign-inet inet "keys = \"$LAB_DIR/keys\"
	    $BENCH_USERS" &&
	    bench_start_countersign quota-inet inet "store = \"redis:main\"
	    $BENCH_PLAN
	    $BENCH_USERS" &&
	    bench_start_countersign embedded-inet inet "$(bench_submission embedded)"
}

# bench_start_opendkims - opendkim, signing and verifying
bench_start_opendkims() {
	local sign="Domain example.org
	Selector lab
	KeyFile $LAB_DIR/keys/example.org/lab.pem
	OversignHeaders From" verify="TestPublicKeys $LAB_DIR/opendkim.keys
	AlwaysAddARHeader yes"

	bench_start_opendkim opendkim-sign-inet inet s "$sign" &&
	    bench_start_opendkim opendkim-sign-unix unix s "$sign" &&
	    bench_start_opendkim opendkim-verify-unix unix v "$verify"
}

# bench_start_rspamds - rspamd, as shipped and with everything else taken away
bench_start_rspamds() {
	bench_start_rspamd rspamd-inet && bench_start_rspamd rspamd-trimmed-inet trim
}
