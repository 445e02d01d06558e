# shellcheck shell=bash
# shellcheck disable=SC2317 # most functions are called by name, through ok
#
# common.sh - what the tests of this directory share
#
# Each test starts one laboratory (contrib/lab/lab.sh), sends real mail through its
# Postfix and writes TAP. Called by make check; also by hand from a build
# directory: ../tests/mta/quota.test. Variables that help then:
#
#	COUNTERSIGN_LAB_CACHE	where the unpacked servers are kept
#	COUNTERSIGN_LAB_KEEP=yes keep the lab's directory with all logs
#	LAB_WRAPPER="valgrind ..." run countersign below that

set -u
MTA_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=contrib/lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../contrib/lab/lab.sh"

tap_count=0

# skip REASON - nothing can be tested here; exits
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

# bail REASON - something broke that is not the subject of the test; exits
bail() {
	echo "Bail out! $*"
	exit 1
}

# explain - for a failed assertion: the last conversation and the end of the log
explain() {
	{
		echo "the answer at ${LAB_AT:-?} was: ${LAB_REPLY:-none}"
		if [[ -n ${LAB_TRANSCRIPT:-} && -e ${LAB_TRANSCRIPT:-} ]]; then
			echo "the end of the conversation:"
			tail -n 6 "$LAB_TRANSCRIPT" | cut -c 1-300
		fi
		echo "the end of countersign's log:"
		tail -n 3 "$LAB_DIR/countersign.log" | cut -c 1-900
		echo "the end of Postfix's log:"
		tail -n 3 "$LAB_DIR/mail.log" | cut -c 1-300
	} 2>&1 | sed 's/^/# /'
	# Started, not ended by us, and gone: nothing that follows would say more.
	if [[ -n ${LAB_PID[countersign]:-} ]] && lab_gone countersign; then
		lab_end countersign
		bail "countersign ended by itself, with status $LAB_STATUS"
	fi
}

# ok SENTENCE COMMAND... - one assertion: COMMAND succeeds
ok() {
	local sentence=$1

	shift
	tap_count=$((tap_count + 1))
	if "$@"; then
		echo "ok $tap_count - $sentence"
	else
		echo "not ok $tap_count - $sentence"
		echo "# failed: $*"
		explain
	fi
}

# not COMMAND... - turn a condition round
not() {
	! "$@"
}

# has FILE REGEX - does a line of FILE match the extended regular expression?
has() {
	grep -qE -e "$2" "$1" 2>/dev/null
}

# answer COMMAND-PATTERN REPLY-PATTERN - is this what decided over the last message?
# shellcheck disable=SC2053 # patterns are meant
answer() {
	[[ $LAB_AT == $1 && $LAB_REPLY == $2 ]]
}

# accepted - was the last message accepted?
accepted() {
	answer . '250 *'
}

# signatures N - does the message that was found delivered bear N signatures?
signatures() {
	[[ -n $LAB_FOUND && $(lab_fields "$LAB_FOUND" DKIM-Signature | wc -l) == "$1" ]]
}

# note_log - remember where the log ends now; log_line and logged look behind that
note_log() {
	log_mark=$(wc -l <"$LAB_DIR/countersign.log")
}

# logged REGEX - wait until a line since note_log matches; sets log_found
logged() {
	lab_wait 5 find_logged "$1"
}

find_logged() {
	log_found=$(tail -n "+$((log_mark + 1))" "$LAB_DIR/countersign.log" | grep -E -e "$1" | head -n 1)
	[[ -n $log_found ]]
}

# logged_once REGEX - exactly one line since note_log matches
logged_once() {
	logged "$1" || return 1
	[[ $(tail -n "+$((log_mark + 1))" "$LAB_DIR/countersign.log" | grep -cE -e "$1") == 1 ]]
}

# message FILE FROM TO SUBJECT [FIELD...] - write a message to a file of the lab
message() {
	local file=$LAB_DIR/work/$1

	shift
	lab_message "$@" >"$file"
	printf '%s' "$file"
}

# mta_need - look whether a laboratory can run here; skips the test if not
mta_need() {
	local package missing

	LAB_BUILD=$(cd "${top_builddir:-.}" && pwd -P)
	[[ -x $LAB_BUILD/countersign ]] || bail "$LAB_BUILD/countersign was not built"
	((EUID == 0)) || skip "Postfix starts as root only"
	# shellcheck disable=SC2086 # a list of words
	missing=$(lab_not_installed $LAB_TOOL_PACKAGES)
	[[ -z $missing ]] || skip "not installed: ${missing//$'\n'/ } (contrib/run-tests installs them)"
	lab_fetch_servers "${COUNTERSIGN_LAB_CACHE:-$LAB_BUILD/lab-servers}" 2>/dev/null ||
	    skip "the packages of the servers cannot be downloaded"
	missing=
	for package in $(lab_server_libraries); do
		missing+=$(lab_not_installed "$package" | sed 's/^/ /')
	done
	[[ -z $missing ]] || skip "not installed:$missing (contrib/run-tests installs them)"
}

# mta_begin - start a laboratory with the configuration of the LAB_CONF variables
mta_begin() {
	mta_need
	lab_create || bail "no directory for the laboratory"
	trap mta_end EXIT
	trap 'exit 130' INT TERM HUP
	if ! { lab_start_servers && lab_write_config && lab_start_countersign; }; then
		bail "the laboratory did not start"
	fi
	note_log
}

# sm_need - look whether a laboratory with Sendmail instead of Postfix can run here; skips if not
# The test has read contrib/lab/sendmail.sh.
sm_need() {
	local missing cache

	LAB_BUILD=$(cd "${top_builddir:-.}" && pwd -P)
	cache=${COUNTERSIGN_LAB_CACHE:-$LAB_BUILD/lab-servers}
	[[ -x $LAB_BUILD/countersign ]] || bail "$LAB_BUILD/countersign was not built"
	((EUID == 0)) || skip "Sendmail starts as root only"
	# shellcheck disable=SC2086 # lists of words
	missing=$(lab_not_installed $LAB_TOOL_PACKAGES $LAB_SM_TOOL_PACKAGES)
	[[ -z $missing ]] || skip "not installed: ${missing//$'\n'/ }"
	{ lab_fetch_servers "$cache" && lab_sm_fetch "$cache"; } 2>/dev/null ||
	    skip "the packages of the servers, Sendmail among them, cannot be downloaded"
	missing=$(lab_sm_missing)
	[[ -z $missing ]] || skip "Sendmail needs libraries that are not here: ${missing//$'\n'/ }"
}

# sm_create - its directory, which is removed in the end
sm_create() {
	if ! { lab_create && lab_sm_create; }; then
		bail "no directory for the laboratory"
	fi
	trap mta_end EXIT
	trap 'exit 130' INT TERM HUP
}

# sm_start - start it with the configuration of the LAB_CONF variables
sm_start() {
	if ! { lab_start_dns && lab_start_redis && lab_sm_start && lab_sm_write_config &&
	    lab_start_countersign; }; then
		bail "the laboratory did not start"
	fi
	note_log
}

# sm_begin - all of it
sm_begin() {
	sm_need
	sm_create
	sm_start
}

# load_sent N - were at least so many messages of the load answered?
load_sent() {
	[[ -e $LAB_DIR/work/load ]] && (($(wc -l <"$LAB_DIR/work/load") >= $1))
}

# load_ready N - has the daemon started so often since the load began?
load_ready() {
	(($(tail -n "+$load_log" "$LAB_DIR/countersign.log" | grep -c 'is ready on') >= $1))
}

# load_through PORT MESSAGES RESTARTS - alice sends so many messages while socket_keeper.py, which
# runs the daemon, restarts it: no client sees it, every message is checked
load_through() {
	local load i

	load_log=$(($(wc -l <"$LAB_DIR/countersign.log") + 1))
	"$LAB_PYTHON" "$MTA_TESTS/smtp_load.py" "$1" alice@example.org "$LAB_PASSWORD" "$2" \
	    "$LAB_DIR/work/load" 2>"$LAB_DIR/work/load.errors" &
	load=$!
	for ((i = 1; i <= $3; i++)); do
		lab_wait 120 load_sent $((i * $2 / 8)) ||
		    bail "the load does not flow: $(tail -n 3 "$LAB_DIR/work/load.errors")"
		kill -HUP "${LAB_PID[countersign]}"
		ok "restart $i under load" lab_wait 60 load_ready "$i"
	done
	touch "$LAB_DIR/work/load.stop"
	wait "$load"
	ok "the load ends by itself" test $? = 0
	ok "at least $2 messages were sent" load_sent "$2"
	grep -v '^ok$' "$LAB_DIR/work/load" | sort | uniq -c | head -n 5 | sed 's/^/# /'
	ok "none of them was refused or deferred" not has "$LAB_DIR/work/load" '^refused'
	# the daemon writes its line before it answers the MTA
	ok "each was checked" test "$(tail -n "+$load_log" "$LAB_DIR/countersign.log" |
	    grep -c 'account=alice@example.org .*action=accept')" = "$(grep -c '^ok$' "$LAB_DIR/work/load")"
	ok "each daemon stopped well" \
	    test "$(tail -n "+$load_log" "$LAB_DIR/countersign.log" | grep -c 'countersign: stopped')" = "$3"
}

# mta_end - stop the laboratory; called by the trap
mta_end() {
	lab_stop
}

# mta_done - the end of a test: countersign lives and stops in order, then the plan
mta_done() {
	ok "countersign is alive at the end" lab_runs countersign
	lab_end countersign
	ok "and ends with status 0 on TERM" test "$LAB_STATUS" = 0
	ok "no sanitizer and no valgrind complained" not has "$LAB_DIR/countersign.log" \
	    'ERROR: (Address|Leak|Undefined|Thread)Sanitizer|runtime error:|ERROR SUMMARY: [1-9]|definitely lost: [1-9]'
	echo "1..$tap_count"
}
