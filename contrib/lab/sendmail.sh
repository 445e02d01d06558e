# shellcheck shell=bash
# shellcheck disable=SC2034 # most results are variables that the caller reads
#
# sendmail.sh - a private Sendmail for the laboratory
#
# Sourced after lab.sh, whose DNS, Redis, countersign and users it shares.
# Debian's packages of Sendmail cannot be installed beside a Postfix, so they
# are downloaded and unpacked like the lab's other servers. sendmail.cf is made
# from the lab's own settings and from the lines of contrib/samples/sendmail.mc as they
# stand there, but for address and port. Whatever this Sendmail delivers goes
# by SMTP to a smtp-sink of the lab, which writes each message to a file, so
# that a test sees what another site would have received: Sendmail still
# changes header fields while it sends.
#
# The order of calls:
#
#	lab_fetch_servers CACHE; lab_sm_fetch CACHE
#	lab_create; lab_sm_create
#	lab_start_dns; lab_start_redis; lab_sm_start
#	lab_sm_write_config; lab_start_countersign
#	lab_sm_submit, lab_sm_inbound, lab_sm_talk, lab_sm_local
#	lab_sm_delivered ADDRESS WORD	the file with what was delivered
#	lab_stop			stops these servers too
#
# The listener of logged-in users is on LAB_SUBMISSION_PORT and that for mail
# from outside on LAB_INBOUND_PORT. Sendmail knows no XCLIENT: clients are told
# apart by their addresses in 127.0.0.0/8, and 127.0.0.1 is sendmail(1).

# libwrap0: Sendmail needs it, and nothing else of the laboratory does.
# libnss-wrapper: gives one process an /etc/hosts of its own, on any kernel and
# in any container.
LAB_SM_PACKAGES="sendmail-base sendmail-bin sendmail-cf sensible-mda libwrap0 libnss-wrapper"

# Plain tools that this file calls beside LAB_TOOL_PACKAGES.
LAB_SM_TOOL_PACKAGES="m4"

# ---------------------------------------------------------------- packages

# lab_sm_fetch CACHE - make Sendmail available; sets LAB_SM, LAB_SM_LIBRARIES, LAB_SM_HOSTS_LIBRARY.
# Called after lab_fetch_servers, which looked at whose directory it is.
lab_sm_fetch() {
	local rc=0

	lab_fetch "$1" sendmail lab_download "$LAB_SM_PACKAGES" || rc=1
	LAB_SM=$LAB_FETCHED
	LAB_SM_LIBRARIES=$(find "$LAB_SM" -name 'libwrap.so.0' -printf '%h' -quit 2>/dev/null)
	LAB_SM_HOSTS_LIBRARY=$(find "$LAB_SM" -name 'libnss_wrapper.so' -print -quit 2>/dev/null)
	return $rc
}

# lab_sm_missing - print the libraries that this machine lacks to run Sendmail
lab_sm_missing() {
	lab_missing "$LAB_SM_LIBRARIES" "$LAB_SM/usr/libexec/sendmail/sendmail"
}

# ---------------------------------------------------------------- the place

# lab_sm_create - more ports, and directories only root can write to
lab_sm_create() {
	local dir=$LAB_DIR/sendmail

	LAB_SINK_PORT=$(lab_free_port)
	mkdir -p "$dir/sasl" "$LAB_DIR/spool/mqueue" "$LAB_DIR/spool/msp" "$LAB_DIR/sink" || return 1
	chmod 0700 "$LAB_DIR/spool/mqueue"
	# smtp-sink and the sending half of sendmail(1) run as nobody.
	chown 65534:65534 "$LAB_DIR/sink" "$LAB_DIR/spool/msp"
	chmod 0770 "$LAB_DIR/spool/msp"
}

# lab_sm_contrib_lines - the lines that contrib/samples/sendmail.mc tells an
# administrator to add, as they stand there but for the places of the lab
lab_sm_contrib_lines() {
	local milter=inet:$LAB_MILTER_PORT@127.0.0.1

	[[ -z $LAB_MILTER ]] || milter=local:${LAB_MILTER#unix:}
	sed -e "s|local:/run/countersign/milter|$milter|" \
	    -e "s/Port=smtp/Addr=127.0.0.1, Port=$LAB_INBOUND_PORT/" \
	    -e "s/Port=submission/Addr=127.0.0.1, Port=$LAB_SUBMISSION_PORT/" \
	    "$LAB_TOP/contrib/samples/sendmail.mc"
}

# lab_sm_places - what Debian's ostype would set to places in /etc and /var
lab_sm_places() {
	local dir=$LAB_DIR/sendmail

	cat <<-END
	define(\`QUEUE_DIR', \`$1')dnl
	define(\`STATUS_FILE', \`$dir/$2.statistics')dnl
	define(\`HELP_FILE', \`$dir/help')dnl
	define(\`confPID_FILE', \`$dir/$2.pid')dnl
	define(\`confSERVICE_SWITCH_FILE', \`$dir/switch')dnl
	define(\`confHOSTS_FILE', \`$dir/hosts')dnl
	define(\`confCR_FILE', \`-o $dir/relay-domains')dnl
	define(\`confDOMAIN_NAME', \`mx.example.org')dnl
	define(\`confDONT_PROBE_INTERFACES', \`True')dnl
	dnl Directories for temporary files are everybody's, with the sticky bit.
	define(\`confDONT_BLAME_SENDMAIL', \`TrustStickyBit')dnl
	dnl The log of the host is not ours; -X writes a private one.
	define(\`confLOG_LEVEL', \`0')dnl
	dnl The load of this machine must not decide over a test.
	define(\`confQUEUE_LA', \`999')dnl
	define(\`confREFUSE_LA', \`999')dnl
	define(\`confTO_IDENT', \`0s')dnl
	define(\`confTO_RESOLVER_RETRANS', \`1s')dnl
	define(\`confTO_RESOLVER_RETRY', \`1')dnl
	END
}

# lab_sm_write_mc - the site example.org, the lines of contrib, and a way out
# that ends at the sink
lab_sm_write_mc() {
	local dir=$LAB_DIR/sendmail

	cat <<-END
	OSTYPE(\`linux')dnl
	undefine(\`ALIAS_FILE')dnl
	define(\`confFORWARD_PATH', \`')dnl
	define(\`confDEF_USER_ID', \`65534:65534')dnl
	define(\`confSERVER_CERT', \`$dir/certificate.pem')dnl
	define(\`confSERVER_KEY', \`$dir/certificate.key')dnl
	define(\`confCACERT', \`$dir/certificate.pem')dnl
	define(\`confCACERT_PATH', \`$dir')dnl
	define(\`confAUTH_MECHANISMS', \`PLAIN LOGIN')dnl
	define(\`confAUTH_OPTIONS', \`A,p')dnl
	TRUST_AUTH_MECH(\`PLAIN LOGIN')dnl
	LOCAL_DOMAIN(\`example.org')dnl
	FEATURE(\`nocanonify')dnl
	FEATURE(\`accept_unresolvable_domains')dnl
	define(\`SMART_HOST', \`esmtp:[127.0.0.1]')dnl
	define(\`ESMTP_MAILER_ARGS', \`TCP \$h $LAB_SINK_PORT')dnl
	dnl Mail of the site itself ends at the sink as well.
	define(\`LOCAL_MAILER_PATH', \`[IPC]')dnl
	define(\`_DEF_LOCAL_MAILER_FLAGS', \`')dnl
	define(\`LOCAL_MAILER_FLAGS', \`lsDFMAX5:/|@qk')dnl
	define(\`LOCAL_MAILER_ARGS', \`TCP [127.0.0.1] $LAB_SINK_PORT')dnl
	define(\`LOCAL_MAILER_DSN_DIAGNOSTIC_CODE', \`SMTP')dnl
	END
	lab_sm_places "$LAB_DIR/spool/mqueue" mta
	lab_sm_contrib_lines
	cat <<-END
	MAILER(\`local')dnl
	MAILER(\`smtp')dnl
	LOCAL_CONFIG
	ESASL_CONF_PATH=$dir/sasl
	END
}

# lab_sm_write_submit_mc - sendmail(1) as users call it: it hands its mail to
# the listener for mail from outside
lab_sm_write_submit_mc() {
	cat <<-END
	OSTYPE(\`linux')dnl
	define(\`confRUN_AS_USER', \`nobody:nogroup')dnl
	define(\`confTRUSTED_USER', \`nobody')dnl
	define(\`MSP_QUEUE_DIR', \`$LAB_DIR/spool/msp')dnl
	define(\`RELAY_MAILER_ARGS', \`TCP \$h $LAB_INBOUND_PORT')dnl
	END
	lab_sm_places "$LAB_DIR/spool/msp" msp
	cat <<-END
	FEATURE(\`nocanonify')dnl
	FEATURE(\`msp', \`[127.0.0.1]')dnl
	END
}

# lab_sm_make_cf NAME - $LAB_DIR/sendmail/NAME.cf from NAME.mc
lab_sm_make_cf() {
	local cf=$LAB_SM/usr/share/sendmail/cf dir=$LAB_DIR/sendmail

	if ! m4 -D_CF_DIR_="$cf/" "$cf/m4/cf.m4" "$dir/$1.mc" >"$dir/$1.cf" 2>"$dir/$1.m4.log" ||
	    [[ -s $dir/$1.m4.log ]]; then
		lab_say "m4 could not make $1.cf: $(head -n 3 "$dir/$1.m4.log")"
		return 1
	fi
}

# lab_sm_write_configuration - all files that Sendmail reads
lab_sm_write_configuration() {
	local dir=$LAB_DIR/sendmail i

	printf 'hosts files\naliases files\n' >"$dir/switch"
	: >"$dir/help"
	: >"$dir/mta.statistics"
	{
		printf '127.0.0.1 mx.example.org localhost\n'
		for ((i = 2; i < 20; i++)); do
			printf '127.0.0.%d client%d.stranger.example\n' $i $i
		done
	} >"$dir/hosts"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
	    -subj /CN=mx.example.org -out "$dir/certificate.pem" -keyout "$dir/certificate.key" \
	    2>/dev/null && chmod 0600 "$dir/certificate.key" || return 1
	# The logins are those of the lab's Postfix.
	lab_make_users || return 1
	cp "$LAB_DIR/postfix/sasl/smtpd.conf" "$dir/sasl/Sendmail.conf" || return 1
	lab_sm_write_mc >"$dir/sendmail.mc"
	lab_sm_write_submit_mc >"$dir/submit.mc"
	lab_sm_make_cf sendmail && lab_sm_make_cf submit
}

# ---------------------------------------------------------------- the servers

# lab_sm_sink - become the sink: one file a message, with the envelope above it
lab_sm_sink() {
	cd "$LAB_DIR/sink" || exit 1
	exec env -i PATH=/usr/bin:/bin LANG=C LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix" \
	    "$LAB_SERVERS/usr/sbin/smtp-sink" -u nobody -c -d message. "127.0.0.1:$LAB_SINK_PORT" 100
}

# lab_sm_run CF ARGUMENT... - become sendmail with that configuration. Sendmail
# asks for the name of every client and of the host, whatever its configuration
# says, and waits a minute where the host has none with a dot in it: /etc/hosts
# and what hostname(1) says are private ones, which only this process sees.
lab_sm_run() {
	local cf=$1

	shift
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C LD_LIBRARY_PATH="$LAB_SM_LIBRARIES" \
	    LD_PRELOAD="$LAB_SM_HOSTS_LIBRARY" NSS_WRAPPER_HOSTS="$LAB_DIR/sendmail/hosts" \
	    NSS_WRAPPER_HOSTNAME=mx.example.org \
	    "$LAB_SM/usr/libexec/sendmail/sendmail" -C "$LAB_DIR/sendmail/$cf.cf" "$@"
}

# lab_sm_start_daemon - the daemon alone; mail.log gets all its conversations
lab_sm_start_daemon() {
	lab_serve sendmail lab_sm_run sendmail -bD -X "$LAB_DIR/mail.log"
	lab_up sendmail lab_listens "$LAB_SUBMISSION_PORT" &&
	    lab_up sendmail lab_listens "$LAB_INBOUND_PORT"
}

# lab_sm_start - the sink and Sendmail
lab_sm_start() {
	lab_sm_write_configuration || return 1
	lab_serve sink lab_sm_sink
	lab_up sink lab_listens "$LAB_SINK_PORT" && lab_sm_start_daemon
}

# ---------------------------------------------------------------- countersign

LAB_SM_LISTENERS=	# more listeners, before those of contrib/samples/sendmail.mc

# lab_sm_conditions LISTENER - which connections contrib/samples/sendmail.mc says belong to it
lab_sm_conditions() {
	sed -n "s/^dnl *$1 *= { role = \"[a-z]*\" *\(.*[^ ]\) *}\$/\1/p" "$LAB_TOP/contrib/samples/sendmail.mc"
}

# lab_sm_write_config - $LAB_DIR/countersign.conf as lab_write_config writes
# it, with the listeners told apart as contrib/samples/sendmail.mc says
lab_sm_write_config() {
	local conf=$LAB_DIR/countersign.conf users msp mx

	lab_write_config || return 1
	users=$(lab_sm_conditions users) msp=$(lab_sm_conditions msp) mx=$(lab_sm_conditions mx)
	if [[ -z $users || -z $msp || -z $mx ]]; then
		lab_say "contrib/samples/sendmail.mc shows no listeners for countersign.conf"
		return 1
	fi
	awk -v users="$users" -v msp="$msp" -v mx="$mx" -v more="$LAB_SM_LISTENERS" '
	    /daemon = \["ORIGINATING"\]/ { $0 = users }
	    /pickup = true/ { $0 = msp }
	    /role = "inbound"/ { $0 = $0 " " mx }
	    { print }
	    /^listeners = / { print more }' "$conf" >"$conf.new" && mv "$conf.new" "$conf"
}

# lab_sm_restart_countersign - end it and start it with a new configuration
lab_sm_restart_countersign() {
	lab_end countersign
	lab_sm_write_config && lab_start_countersign
}

# ---------------------------------------------------------------- mail

# lab_sm_submit LOGIN FROM TO FILE [SWAKS-OPTION...] - log in and send the file
lab_sm_submit() {
	lab_submit "$@"
	lab_sm_queue_id
}

# lab_sm_inbound ADDRESS HELO FROM TO FILE [SWAKS-OPTION...] - send the file
# from an address of 127.0.0.0/8
lab_sm_inbound() {
	local address=$1 helo=$2 from=$3 to=$4 file=$5

	shift 5
	lab_swaks --port "$LAB_INBOUND_PORT" --local-interface "$address" --ehlo "$helo" \
	    --from "$from" --to "$to" --data "@$file" "$@"
	lab_sm_queue_id
}

# lab_sm_queue_id - Sendmail says "250 2.0.0 ID Message accepted for delivery"
lab_sm_queue_id() {
	LAB_QUEUE_ID=
	if [[ $LAB_REPLY =~ ^250\ 2\.0\.0\ ([0-9A-Za-z]+)\ Message\ accepted ]]; then
		LAB_QUEUE_ID=${BASH_REMATCH[1]}
	fi
}

# lab_sm_local FROM TO FILE - sendmail(1) as users call it; FROM may be -
lab_sm_local() {
	local sender=(-f "$1")

	[[ $1 == - ]] && sender=()
	(lab_sm_run submit -Ac -i ${sender[@]+"${sender[@]}"} "$2") <"$3" >"$LAB_DIR/work/local.out" 2>&1
}

# lab_sm_direct FROM TO FILE - sendmail -Am: root's way past the listeners
lab_sm_direct() {
	(lab_sm_run sendmail -Am -i -f "$1" "$2") <"$3" >"$LAB_DIR/work/local.out" 2>&1
}

# lab_sm_talk PORT ADDRESS - hold the conversation that standard input says, a
# command a line, from that client address. Three lines are more than commands:
# "STARTTLS" also starts it, "AUTH LOGIN-NAME" logs in with the password of
# the lab, and "FILE NAME" sends a message and the dot after DATA. The
# transcript is $LAB_TRANSCRIPT, one line an exchange: command => reply
lab_sm_talk() {
	LAB_NUMBER=$((LAB_NUMBER + 1))
	LAB_TRANSCRIPT=$LAB_DIR/work/transcript.$LAB_NUMBER
	LAB_AT='' LAB_REPLY='' LAB_QUEUE_ID=''
	"$LAB_PYTHON" -c '
import base64, re, socket, ssl, sys
port, address, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
peer = socket.create_connection(("127.0.0.1", port), 60, (address, 0))
lines = peer.makefile("rb")
def reply():
    said = []
    while True:
        line = lines.readline().decode("latin-1").rstrip("\r\n")
        said.append(line)
        if line[3:4] != "-":
            return " | ".join(said)
def show(what):
    answer = reply()
    print(what, "=>", answer, flush=True)
    return answer
show("connect")
for what in sys.stdin.read().splitlines():
    words = what.split(" ", 1)
    if words[0] == "FILE":
        data = open(words[1], "rb").read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        sent = re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"
    elif words[0] == "AUTH":
        secret = "\0" + words[1] + "\0" + password
        sent = b"AUTH PLAIN " + base64.b64encode(secret.encode()) + b"\r\n"
    else:
        sent = what.encode() + b"\r\n"
    peer.sendall(sent)
    answer = show(what)
    if what == "STARTTLS" and answer.startswith("220"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        peer = context.wrap_socket(peer)
        lines = peer.makefile("rb")
' "$1" "$2" "$LAB_PASSWORD" >"$LAB_TRANSCRIPT" 2>&1
}

# lab_sm_find ADDRESS WORD - find the message to ADDRESS that holds WORD
lab_sm_find() {
	local file

	LAB_FOUND=
	while IFS= read -r file; do
		grep -qiF "X-Rcpt-Args: <$1>" "$file" || continue
		LAB_FOUND=$file
		return 0
	done < <(grep -lrF -e "$2" "$LAB_DIR/sink" 2>/dev/null)
	return 1
}

# lab_sm_delivered ADDRESS WORD - wait until it is there; sets LAB_FOUND
lab_sm_delivered() {
	lab_wait 15 lab_sm_find "$1" "$2"
}
