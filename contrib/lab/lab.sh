# shellcheck shell=bash
# shellcheck disable=SC2034 # most results are variables that the caller reads
#
# lab.sh - private real servers on loopback, for the quickstart and the tests
#
# A bash library. It runs a Postfix, a redis-server, a DNS server and
# countersign out of a directory of its own, on free ports of 127.0.0.1, and
# stops them again. Nothing of it is installed: the packages of the servers
# are downloaded and unpacked into a cache directory, so that no service is
# set up, no account is made and no file in /etc changes, and the copy that
# runs is the same whether or not the machine has such a server already.
#
# The order of calls:
#
#	lab_fetch_servers CACHE		download and unpack the servers
#	lab_create			make the directory, choose the ports
#	lab_start_servers		DNS, Redis, Postfix
#	lab_write_config; lab_start_countersign
#	lab_submit, lab_inbound ...	send mail; LAB_REPLY is the answer
#	lab_delivered ADDRESS WORD	the file it was delivered to
#	lab_stop			stop all by process id, remove the directory
#
# The caller sets LAB_BUILD, the directory that holds countersign and
# countersignctl. Functions return non-zero after a message on standard
# error; they exit only if their comment says so.

# The top of the source tree that this file belongs to.
LAB_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# Servers: unpacked, never installed.
LAB_SERVER_PACKAGES="nsd postfix redis-server redis-tools sasl2-bin"

# Dovecot, for tests of log-ins.
LAB_DOVECOT_PACKAGES="dovecot-core"

# Programs that the guides use.
LAB_FAIL2BAN_PACKAGES="fail2ban"

# Plain tools that the lab calls; none of them brings a service.
LAB_TOOL_PACKAGES="libnet-ssleay-perl libsasl2-2 libsasl2-modules libsasl2-modules-db
	openssl perl python3 python3-dkim swaks util-linux"

# Tools of the other tests.
LAB_TEST_PACKAGES="bind9-dnsutils chromium chromium-driver curl debootstrap fish fonts-dejavu-core iproute2 jq ldnsutils libcmocka-dev libmaxmind-db-writer-perl libxml2-utils libyaml-dev m4 mandoc miltertest procps python3-selenium python3-yaml sqlite3 valgrind zsh"

# Accounts that every Debian has and that own no process on most machines:
# Postfix insists on a user and a group that nothing else of it uses.
LAB_POSTFIX_USER="uucp"
LAB_POSTFIX_GROUP="operator"

# The users of the lab, all with one password, and what the mail is about.
LAB_PASSWORD=lab-secret
LAB_PYTHON=/usr/bin/python3

declare -A LAB_PID=()

# ---------------------------------------------------------------- messages

# lab_say TEXT... - a line for the person who started this
lab_say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# lab_wait SECONDS COMMAND... - repeat COMMAND until it succeeds or time is up
lab_wait() {
	local deadline=$((SECONDS + $1 + 1))

	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

# ---------------------------------------------------------------- packages

# lab_become_root PROGRAM ARGUMENT... - go on as root, through sudo if need be;
# exits if that is not possible
lab_become_root() {
	local name keep=()

	((EUID == 0)) && return 0
	if ! command -v sudo >/dev/null; then
		lab_say "run this as root, or install sudo (packages must be installed," \
		    "and Postfix starts as root only)"
		exit 1
	fi
	for name in TMPDIR CI CC CFLAGS MAKEFLAGS COUNTERSIGN_LAB_CACHE COUNTERSIGN_REDIS_SERVER; do
		[[ -v $name ]] && keep+=("$name=${!name}")
	done
	lab_say "root is needed to install packages and to run Postfix: asking sudo"
	exec sudo -- env ${keep[@]+"${keep[@]}"} "$@"
}

# lab_other_mta - name the mail servers other than Postfix that this machine has
lab_other_mta() {
	local found program=

	found=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
	    awk '$1 == "installed" && $2 != "postfix" && / mail-transport-agent/ { print $2 }')
	if [[ -z $found ]]; then
		for program in /usr/sbin/sendmail /usr/lib/sendmail; do
			[[ -e $program ]] || continue
			dpkg-query -S "$program" 2>/dev/null | grep -q '^postfix:' ||
				found="$program (of no known package)"
			break
		done
	fi
	printf '%s' "$found"
}

# lab_refuse_beside_other_mta YES-OR-NO - exits if another MTA is installed,
# unless --beside-other-mta is given
lab_refuse_beside_other_mta() {
	local other

	other=$(lab_other_mta)
	[[ -n $other ]] || return 0
	if [[ $1 == yes ]]; then
		lab_say "another mail server is here, going on beside it as requested: $other"
		return 0
	fi
	cat >&2 <<-END
	${0##*/}: this machine has a mail server other than Postfix: $other

	Nothing was done. To try countersign without coming near it, use a
	container or a throw-away Debian, as root:

	    debootstrap bookworm /tmp/try-countersign
	    cp -a "$LAB_TOP" /tmp/try-countersign/root/countersign
	    mount --rbind /proc /tmp/try-countersign/proc
	    chroot /tmp/try-countersign /root/countersign/contrib/${0##*/}

	Or call ${0##*/} --beside-other-mta: only compilers, libraries and plain
	tools are installed, and all servers run from a temporary directory on
	free ports of 127.0.0.1, so your mail server is not touched.
	END
	exit 1
}

# lab_not_installed PACKAGE... - those of the packages that are not installed
lab_not_installed() {
	local package

	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
		    grep -qx installed || printf '%s\n' "$package"
	done
}

# lab_apt LOG ARGUMENT... - apt-get, once with the package lists as they are
# and once more with fresh ones; what it says goes to LOG
lab_apt() {
	local log=$1

	shift
	# needrestart would restart services of the host.
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
	set -- -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
	apt-get -y -q "$@" >"$log" 2>&1 </dev/null && return 0
	apt-get -q update >>"$log" 2>&1 </dev/null
	apt-get -y -q "$@" >>"$log" 2>&1 </dev/null
}

# lab_install LOG PACKAGE... - install what is missing of these packages
lab_install() {
	local log=$1 missing

	shift
	mapfile -t missing < <(lab_not_installed "$@" | sort -u)
	((${#missing[@]} > 0)) || return 0
	echo "installing: ${missing[*]}"
	lab_apt "$log" install --no-install-recommends "${missing[@]}" && return 0
	tail -n 20 "$log" >&2
	lab_say "apt-get could not install: ${missing[*]}"
	return 1
}

# lab_libraries_of FILE... - the library packages that .deb files depend on
lab_libraries_of() {
	local file

	for file in "$@"; do
		dpkg-deb -f "$file" Pre-Depends Depends
	done | sed 's/^[A-Z][A-Za-z-]*: //' | tr ',' '\n' |
	    sed -n 's/^ *\(lib[^ (|]*\).*/\1/p' | sort -u
}

# lab_known WORD... - of each word, names of one package in different releases of Debian with | between them, the
# first that there is here; if there is none, the first, so that apt-get complains of it
lab_known() {
	local word name found

	for word in "$@"; do
		found=${word%%|*}
		for name in ${word//|/ }; do
			apt-cache policy "$name" 2>/dev/null | grep -q '^  Candidate: [^(]' && found=$name && break
		done
		printf '%s\n' "$found"
	done
}

# lab_download LOG PACKAGE... - download packages into the current directory; a word may be as lab_known has it
lab_download() {
	local log=$1 names

	shift
	(($# == 0)) && return 0
	if [[ $* == *'|'* ]]; then
		# there is no choice without lists
		apt-cache policy "${1%%|*}" 2>/dev/null | grep -q Candidate || apt-get -q update >"$log" 2>&1 </dev/null
		mapfile -t names < <(lab_known "$@")
		set -- "${names[@]}"
	fi
	lab_apt "$log" download "$@"
}

# lab_unpack CACHE NAME DOWNLOAD PACKAGES - make CACHE/NAME of the packages that the
# function DOWNLOAD, called with a log and PACKAGES, leaves in its current directory
lab_unpack() {
	local cache=$1 name=$2 download=$3 packages=$4 new=$1/new-$2 log=$1/download-$2.log deb

	rm -rf "$new" "$cache/$name"
	mkdir -p "$new/deb" || return 1
	# apt's download user writes there; if it may not, apt does it as root and says so.
	chown _apt "$new/deb" 2>/dev/null
	# shellcheck disable=SC2086 # a list of words
	if ! (cd "$new/deb" && "$download" "$log" $packages); then
		lab_say "cannot download the packages of the private $name: $(tail -n 1 "$log")"
		return 1
	fi
	for deb in "$new"/deb/*.deb; do
		dpkg -x "$deb" "$new" || return 1
	done
	# Programs that change their group would look for no library of ours, and
	# must not lie about in a directory that nobody watches.
	find "$new" -type f -perm /6000 -exec chmod ug-s {} + || return 1
	chmod 0755 "$new"
	lab_libraries_of "$new"/deb/*.deb >"$new/libraries" || return 1
	rm -rf "$new/deb"
	printf '%s\n' "$packages" >"$new/complete"
	mv "$new" "$cache/$name"
}

# lab_fetch CACHE NAME DOWNLOAD PACKAGES - lab_unpack, unless CACHE/NAME has just these packages; sets
# LAB_FETCHED. Several callers may do so at the same time.
lab_fetch() {
	local cache rc=0

	cache=$(cd "$1" && pwd -P) || return 1
	exec 9>"$cache/lock" && flock 9 || return 1
	if [[ $(cat "$cache/$2/complete" 2>/dev/null) != "$4" ]]; then
		lab_unpack "$cache" "$2" "$3" "$4" || rc=1
	fi
	exec 9>&-
	LAB_FETCHED=$cache/$2
	return $rc
}

# lab_fetch_servers CACHE - make the servers available; sets LAB_SERVERS
lab_fetch_servers() {
	local cache rc=0

	mkdir -p "$1" && cache=$(cd "$1" && pwd -P) || return 1
	# Programs from here run as root: nobody else may put them here.
	if [[ ! -O $cache || -n $(find "$cache" -maxdepth 0 -perm /022) ]]; then
		lab_say "$cache must belong to $(id -un) and be writable by nobody else"
		return 1
	fi
	lab_fetch "$cache" servers lab_download "$LAB_SERVER_PACKAGES" || rc=1
	LAB_SERVERS=$LAB_FETCHED
	return $rc
}

# lab_missing LIBRARIES PROGRAM - print the libraries that this machine lacks to run
# a program that was unpacked, with the directories LIBRARIES
lab_missing() {
	LD_LIBRARY_PATH=$1 ldd "$2" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p'
}

# lab_server_libraries - the packages of libraries that the servers need
lab_server_libraries() {
	cat "$LAB_SERVERS/libraries"
}

# lab_build_packages - what building needs. configure.ac names for each library
# the package that holds it, and that is the list.
lab_build_packages() {
	printf '%s\n' build-essential autoconf automake pkg-config
	grep -o '[a-z0-9]*lib[a-z0-9.+-]*-dev' "$LAB_TOP/configure.ac" | sort -u
}

# lab_copy_source DIRECTORY - copy the source tree without anything built
lab_copy_source() {
	mkdir -p "$1" || return 1
	if [[ -e $LAB_TOP/.git ]] && command -v git >/dev/null; then
		# Root may build a tree that belongs to the user who called sudo.
		(cd "$LAB_TOP" && git -c safe.directory='*' ls-files -z --cached --others \
		    --exclude-standard --deduplicate |
		    while IFS= read -r -d '' file; do
			[[ -e $file || -L $file ]] && printf '%s\0' "$file"
		    done |
		    tar -c --null --no-recursion -T - -f -) | tar -x -C "$1" -f - --no-same-owner
		[[ -e $1/configure.ac ]] && return 0
	fi
	(cd "$LAB_TOP" && tar -c --exclude=./.git -f - .) |
	    tar -x -C "$1" -f - --no-same-owner || return 1
	if [[ -e $1/config.status ]]; then
		(cd "$1" && make -s distclean >/dev/null 2>&1)
		rm -f "$1/config.status" "$1/Makefile"
	fi
}

# lab_build SOURCE DIRECTORY LOG [CONFIGURE-ARGUMENT...] - configure and make, out of tree
lab_build() {
	local source=$1 build=$2 log=$3

	shift 3
	if ! (mkdir -p "$build" && cd "$source" && ./autogen.sh && cd "$build" &&
	    "$source/configure" "$@" && make -j"$(nproc)") >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		lab_say "the build failed (the lines above are the end of its output)"
		return 1
	fi
}

# ---------------------------------------------------------------- the place

# lab_port_used PORT - does anything on this machine have that port?
lab_port_used() {
	local hex

	hex=$(printf ':%04X' "$1")
	awk -v hex="$hex" 'index($2, hex) == 9 || index($2, hex) == 33 { found = 1 }
	    END { exit !found }' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null
}

# lab_free_port - print a port that nothing uses, below those of outgoing connections
lab_free_port() {
	local port

	while :; do
		port=$((15000 + (RANDOM * 32768 + RANDOM) % 17000))
		lab_port_used $port || break
	done
	echo $port
}

# lab_create - make the directory and choose the ports
lab_create() {
	LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/countersign-lab.XXXXXX") || return 1
	LAB_DIR=$(cd "$LAB_DIR" && pwd -P)
	# Postfix gives up its rights and must still get here.
	chmod 0755 "$LAB_DIR"
	mkdir -p "$LAB_DIR/spool" "$LAB_DIR/work"
	LAB_SUBMISSION_PORT=$(lab_free_port)
	LAB_INBOUND_PORT=$(lab_free_port)
	LAB_DNS_PORT=$(lab_free_port)
	LAB_MILTER_PORT=$(lab_free_port)
	LAB_NUMBER=0
}

# lab_serve NAME COMMAND... - start a server; its output goes to $LAB_DIR/NAME.log
lab_serve() {
	local name=$1

	shift
	"$@" >>"$LAB_DIR/$name.log" 2>&1 </dev/null &
	LAB_PID[$name]=$!
}

# lab_runs NAME - is that server alive?
lab_runs() {
	[[ -n ${LAB_PID[$1]:-} ]] && kill -0 "${LAB_PID[$1]}" 2>/dev/null
}

# lab_gone NAME - is it not?
lab_gone() {
	! lab_runs "$1"
}

# lab_listens PORT - does something of this machine accept connections there?
# Asked of the kernel: connecting would already be a conversation.
lab_listens() {
	awk -v hex="$(printf ':%04X' "$1")" '$4 == "0A" && index($2, hex) == 9 { found = 1 }
	    END { exit !found }' /proc/net/tcp
}

# lab_up NAME COMMAND... - wait until COMMAND succeeds; a server that ended or
# does not come up is reported with the end of its log
lab_up() {
	local name=$1 deadline=$((SECONDS + ${LAB_UP_SECONDS:-20}))

	shift
	until "$@"; do
		if lab_gone "$name" || ((SECONDS > deadline)); then
			lab_say "the private $name did not start; its log ends:"
			tail -n 15 "$LAB_DIR/$name.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

# lab_end NAME [SIGNAL] - stop one server by its process id; LAB_STATUS is its exit status
lab_end() {
	local pid=${LAB_PID[$1]:-}

	[[ -n $pid ]] || return 0
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	if ! lab_wait 15 lab_gone "$1"; then
		lab_say "$1 (process $pid) did not stop within 15 seconds: killed"
		kill -KILL "$pid" 2>/dev/null
	fi
	wait "$pid" 2>/dev/null
	LAB_STATUS=$?
	unset "LAB_PID[$1]"
}

# lab_stop - stop everything that lab_serve started and remove the directory;
# COUNTERSIGN_LAB_KEEP=yes keeps the directory
lab_stop() {
	local name

	[[ -n ${LAB_DIR:-} ]] || return 0
	# All are asked first, then waited for one by one.
	for name in "${!LAB_PID[@]}"; do
		kill -TERM "${LAB_PID[$name]}" 2>/dev/null
		kill -CONT "${LAB_PID[$name]}" 2>/dev/null
	done
	for name in "${!LAB_PID[@]}"; do
		lab_end "$name"
	done
	if [[ ${COUNTERSIGN_LAB_KEEP:-} == yes ]]; then
		lab_say "kept: $LAB_DIR"
	else
		rm -rf "$LAB_DIR"
	fi
	LAB_DIR=
}

# ---------------------------------------------------------------- keys, DNS

# lab_make_key DOMAIN SELECTOR DIRECTORY - make a DKIM key at
# DIRECTORY/DOMAIN/SELECTOR.pem and print its DNS record
lab_make_key() {
	local file=$3/$1/$2.pem public

	(umask 077 && mkdir -p "$3/$1" && openssl genrsa -out "$file" 2048 2>/dev/null) || return 1
	public=$(openssl rsa -in "$file" -pubout -outform DER 2>/dev/null | openssl base64 -A)
	# A TXT string holds 255 octets at most.
	printf '%s._domainkey.%s. IN TXT "v=DKIM1; k=rsa; " "p=%s" "%s"\n' \
	    "$2" "$1" "${public:0:200}" "${public:200}"
}

LAB_ZONE_MORE=		# more records, if a test needs some

# lab_write_zone - the root zone of a very small Internet; it is complete, so a
# name that is not in it does not exist, and no question leaves the machine
lab_write_zone() {
	mkdir -p "$LAB_DIR/dns" || return 1
	# shellcheck disable=SC2016 # $TTL is a word of the zone file
	{
		printf '%s\n' \
		    '$TTL 300' \
		    '. IN SOA ns.example. hostmaster.example. 1 3600 600 86400 30' \
		    '. IN NS ns.example.' \
		    'ns.example. IN A 127.0.0.1' \
		    'example.org. IN MX 10 mx.example.org.' \
		    'example.org. IN TXT "v=spf1 ip4:198.51.100.0/24 -all"' \
		    'mx.example.org. IN A 198.51.100.25' \
		    'spoofed.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"' \
		    'softly.example. IN TXT "v=spf1 ip4:192.0.2.1 ~all"' \
		    'friend.example. IN TXT "v=spf1 a:out.friend.example -all"' \
		    'out.friend.example. IN A 192.0.2.7' \
		    'out.friend.example. IN TXT "v=spf1 a -all"' \
		    'broken.example. IN TXT "v=spf1 ipv4:192.0.2.1 -all"' \
		    'elsewhere.example. IN MX 10 mx.elsewhere.example.' \
		    'mx.elsewhere.example. IN A 203.0.113.25'
		[[ -z $LAB_ZONE_MORE ]] || printf '%s\n' "$LAB_ZONE_MORE"
		lab_make_key example.org lab "$LAB_DIR/keys"
		lab_make_key friend.example post "$LAB_DIR/friend-keys"
	} >"$LAB_DIR/dns/zone"
}

# lab_start_dns - nsd, answering for the root zone above
lab_start_dns() {
	local dir=$LAB_DIR/dns

	lab_write_zone || return 1
	cat >"$dir/nsd.conf" <<-END
	server:
	    ip-address: 127.0.0.1@$LAB_DNS_PORT
	    server-count: 1
	    username: ""
	    zonesdir: "$dir"
	    database: ""
	    pidfile: "$dir/pid"
	    xfrdfile: "$dir/xfrd.state"
	    zonelistfile: "$dir/zone.list"
	    xfrdir: "$dir"
	    rrl-ratelimit: 0
	remote-control:
	    control-enable: no
	zone:
	    name: "."
	    zonefile: "zone"
	END
	lab_serve dns "$LAB_SERVERS/usr/sbin/nsd" -d -c "$dir/nsd.conf"
	lab_up dns lab_listens "$LAB_DNS_PORT"
}

# lab_python PROGRAM ARGUMENT... - a Python program that knows the lab's DNS
lab_python() {
	local program=$1

	shift
	"$LAB_PYTHON" -c "
import sys, dkim, dns.resolver
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = ['127.0.0.1']
resolver.port = $LAB_DNS_PORT
resolver.lifetime = 5
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return b''.join(resolver.resolve(name, 'TXT')[0].strings)
$program" "$@"
}

# lab_verifies FILE - does every DKIM-Signature of the message verify with the key in DNS?
lab_verifies() {
	lab_python '
message = open(sys.argv[1], "rb").read()
mail = dkim.DKIM(message)
count = sum(1 for name, value in mail.headers if name.lower() == b"dkim-signature")
sys.exit(0 if count and all(mail.verify(i, dnsfunc=txt) for i in range(count)) else 1)' "$1"
}

# lab_sign DOMAIN SELECTOR KEYFILE - sign a message, standard input to standard output,
# as another site would: with a signer that is not ours
lab_sign() {
	"$LAB_PYTHON" -c '
import sys, dkim
domain, selector, key = sys.argv[1:]
message = sys.stdin.buffer.read().replace(b"\n", b"\r\n")
field = dkim.sign(message, selector.encode(), domain.encode(), open(key, "rb").read(),
    include_headers=[b"from", b"to", b"subject"], canonicalize=(b"relaxed", b"relaxed"))
sys.stdout.buffer.write((field + message).replace(b"\r\n", b"\n"))' "$@"
}

# ---------------------------------------------------------------- Redis

LAB_REDIS_OPTIONS=()	# more options of redis-server

# lab_start_redis - a redis-server, or what COUNTERSIGN_REDIS_SERVER names, on a unix socket; keeps nothing on disk
lab_start_redis() {
	lab_serve redis "${COUNTERSIGN_REDIS_SERVER:-$LAB_SERVERS/usr/bin/redis-server}" --port 0 \
	    --unixsocket "$LAB_DIR/redis.sock" --unixsocketperm 700 \
	    --save '' --appendonly no --daemonize no --dir "$LAB_DIR/work" "${LAB_REDIS_OPTIONS[@]}"
	lab_up redis lab_redis ping
}

# lab_redis COMMAND... - ask it
lab_redis() {
	"$LAB_SERVERS/usr/bin/redis-cli" -s "$LAB_DIR/redis.sock" "$@" >"$LAB_DIR/redis.reply" 2>&1 &&
	    ! grep -q '^Could not connect' "$LAB_DIR/redis.reply"
}

# ---------------------------------------------------------------- Postfix

# lab_postfix PROGRAM ARGUMENT... - run a program of the private Postfix
# (postqueue, sendmail ...). LD_LIBRARY_PATH goes before the path that is built
# into Debian's programs, so that an installed Postfix lends it no library.
lab_postfix() {
	local program=$1

	shift
	env -i PATH="$LAB_SERVERS/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin" LANG=C \
	    MAIL_CONFIG="$LAB_DIR/postfix" LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix" \
	    "$LAB_SERVERS/usr/sbin/$program" "$@"
}

# lab_contrib_lines FILE - the lines that contrib/samples/FILE tells an administrator to
# add, as they stand there but for the places that are the lab's own
lab_contrib_lines() {
	sed -e "s|unix:countersign/milter|${LAB_MILTER:-inet:127.0.0.1:$LAB_MILTER_PORT}|" \
	    -e "s/^submission inet n       -       y /127.0.0.1:$LAB_SUBMISSION_PORT inet n - n /" \
	    "$LAB_TOP/contrib/samples/$1"
}

# lab_write_main_cf - Postfix's own settings; what countersign needs is added from contrib
lab_write_main_cf() {
	local dir=$LAB_DIR/postfix

	cat <<-END
	compatibility_level = 3.6
	# All places are private.
	config_directory = $dir
	queue_directory = $LAB_DIR/spool/queue
	data_directory = $LAB_DIR/spool/data
	command_directory = $LAB_SERVERS/usr/sbin
	daemon_directory = $LAB_SERVERS/usr/lib/postfix/sbin
	shlib_directory = $LAB_SERVERS/usr/lib/postfix
	meta_directory = $dir
	mailq_path = $LAB_SERVERS/usr/sbin/mailq
	newaliases_path = $LAB_SERVERS/usr/sbin/newaliases
	sendmail_path = $LAB_SERVERS/usr/sbin/sendmail
	import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
	export_environment = MAIL_CONFIG TZ LANG LD_LIBRARY_PATH
	maillog_file = $LAB_DIR/mail.log
	maillog_file_prefixes = $LAB_DIR
	mail_owner = $LAB_POSTFIX_USER
	setgid_group = $LAB_POSTFIX_GROUP
	# Nothing leaves the machine, no name is looked up outside.
	inet_interfaces = 127.0.0.1
	inet_protocols = ipv4
	smtpd_peername_lookup = no
	smtp_dns_support_level = disabled
	default_transport = error:this laboratory sends nothing out
	# A site: example.org. Mail to elsewhere.example is delivered here too, to be read.
	myhostname = mx.example.org
	myorigin = example.org
	mydestination =
	mynetworks = 127.0.0.0/8
	alias_maps =
	alias_database =
	local_recipient_maps =
	# Loopback clients stand for remote ones here: nothing of theirs is completed or rewritten.
	local_header_rewrite_clients =
	biff = no
	notify_classes =
	recipient_delimiter = +
	virtual_mailbox_domains = example.org, friend.example, elsewhere.example
	virtual_mailbox_base = $LAB_DIR/mail
	virtual_mailbox_maps = texthash:$dir/mailboxes
	virtual_uid_maps = static:65534
	virtual_gid_maps = static:65534
	# Fast and small; big messages are one of the tests.
	in_flow_delay = 0
	message_size_limit = 104857600
	virtual_mailbox_limit = 0
	mailbox_size_limit = 0
	smtpd_client_connection_count_limit = 0
	smtpd_tls_cert_file = $dir/certificate.pem
	smtpd_tls_key_file = $dir/certificate.key
	smtpd_sasl_local_domain =
	# Debian's Postfix looks there by itself before 3.10 only.
	cyrus_sasl_config_path = $dir/sasl
	END
	lab_contrib_lines postfix-main.cf
	lab_more_main_cf
}

# lab_more_main_cf - for tests to redefine: more lines of main.cf
lab_more_main_cf() {
	:
}

# lab_write_master_cf - the services; pickup looks again after 2 seconds, not 60
lab_write_master_cf() {
	lab_contrib_lines postfix-master.cf
	cat <<-END
	127.0.0.1:$LAB_INBOUND_PORT inet n - n - - smtpd
	  -o syslog_name=postfix/inbound
	  -o smtpd_authorized_xclient_hosts=127.0.0.0/8
	pickup    unix  n       -       n       2       1       pickup
	cleanup   unix  n       -       n       -       0       cleanup
	qmgr      unix  n       -       n       300     1       qmgr
	tlsmgr    unix  -       -       n       1000?   1       tlsmgr
	rewrite   unix  -       -       n       -       -       trivial-rewrite
	bounce    unix  -       -       n       -       0       bounce
	defer     unix  -       -       n       -       0       bounce
	trace     unix  -       -       n       -       0       bounce
	verify    unix  -       -       n       -       1       verify
	flush     unix  n       -       n       1000?   0       flush
	proxymap  unix  -       -       n       -       -       proxymap
	showq     unix  n       -       n       -       -       showq
	smtp      unix  -       -       n       -       -       smtp
	error     unix  -       -       n       -       -       error
	retry     unix  -       -       n       -       -       error
	discard   unix  -       -       n       -       -       discard
	virtual   unix  -       n       n       -       -       virtual
	anvil     unix  -       -       n       -       1       anvil
	postlog   unix-dgram n  -       n       -       1       postlogd
	END
}

# lab_make_users - the logins of the submission listener, in a private sasldb
lab_make_users() {
	local dir=$LAB_DIR/postfix user

	mkdir -p "$dir/sasl" || return 1
	for user in alice bob carol dave; do
		printf '%s' "$LAB_PASSWORD" |
		    "$LAB_SERVERS/usr/sbin/saslpasswd2" -f "$dir/sasldb" -c -p -u example.org "$user" || {
			lab_say "saslpasswd2 could not make the login $user"
			return 1
		}
	done
	chown "$LAB_POSTFIX_USER" "$dir/sasldb" && chmod 0600 "$dir/sasldb"
	cat >"$dir/sasl/smtpd.conf" <<-END
	pwcheck_method: auxprop
	auxprop_plugin: sasldb
	sasldb_path: $dir/sasldb
	mech_list: PLAIN LOGIN
	END
}

# lab_start_postfix - Postfix with a submission listener, an inbound one and sendmail(1)
lab_start_postfix() {
	local dir=$LAB_DIR/postfix queue=$LAB_DIR/spool/queue name

	mkdir -p "$dir" "$queue" "$LAB_DIR/spool/data" "$LAB_DIR/mail" || return 1
	lab_make_users || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mx.example.org \
	    -out "$dir/certificate.pem" -keyout "$dir/certificate.key" 2>/dev/null || return 1
	{
		for name in alice bob carol dave info sales postmaster; do
			printf '%s@example.org example.org/%s/\n' "$name" "$name"
		done
		# Of the other sites every address exists.
		printf "@%s %s/all/\n" friend.example{,} elsewhere.example{,}
	} >"$dir/mailboxes"
	lab_write_main_cf >"$dir/main.cf"
	lab_write_master_cf >"$dir/master.cf"
	: >"$dir/dynamicmaps.cf"
	# Postfix waits while a file of its configuration is younger than two seconds.
	touch -d "1 minute ago" "$dir/main.cf" "$dir/master.cf" "$dir/mailboxes" "$dir/dynamicmaps.cf"
	for name in active bounce corrupt defer deferred flush hold incoming private saved trace \
	    public maildrop; do
		mkdir "$queue/$name" && chmod 0700 "$queue/$name" &&
		    chown "$LAB_POSTFIX_USER" "$queue/$name" || return 1
	done
	mkdir "$queue/pid"
	chown "$LAB_POSTFIX_USER" "$LAB_DIR/spool/data"
	chmod 0700 "$LAB_DIR/spool/data"
	chgrp "$LAB_POSTFIX_GROUP" "$queue/public" "$queue/maildrop"
	chmod 0710 "$queue/public"
	chmod 0730 "$queue/maildrop"
	chown 65534:65534 "$LAB_DIR/mail"
	lab_serve postfix lab_postfix_master
	lab_up postfix lab_listens "$LAB_SUBMISSION_PORT" && lab_up postfix lab_listens "$LAB_INBOUND_PORT"
}

# lab_postfix_master - become Postfix's master process
lab_postfix_master() {
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C \
	    MAIL_CONFIG="$LAB_DIR/postfix" LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix" \
	    "$LAB_SERVERS/usr/lib/postfix/sbin/master" -s -c "$LAB_DIR/postfix"
}

# ---------------------------------------------------------------- countersign

# What tests change before lab_write_config: pieces of the configuration file.
LAB_CONF_MODE=enforce
LAB_CONF_LISTEN=	# the milter socket; empty: the port that Postfix is told at its start
LAB_MILTER=		# how Postfix names that socket; empty: as a port
LAB_CONF_STORE='store = "redis:main"'
LAB_CONF_REDIS_SERVER=	# where it is; empty: the lab's unix socket
LAB_CONF_REDIS=		# more settings of that Redis
LAB_CONF_PLANS='default_plan = "person"
plans = { person = { limits = ["100 recipients per hour", "300 recipients per day"] } }'
LAB_CONF_ACCOUNTS='accounts = ( { login = "alice"  owns = ["info@example.org", "@alice.example"] } )'
LAB_CONF_USERS=		# more settings of the submission listener
LAB_CONF_PHP='on_over = "reject"'
LAB_CONF_MX='on_spf_fail = "reject"'
LAB_CONF_OWNERS=	# lines of an owners table, if there is one
LAB_CONF_MORE=		# more settings of the whole

# lab_write_config - write $LAB_DIR/countersign.conf from these pieces
lab_write_config() {
	local dir=$LAB_DIR owners= redis= away=

	# a Redis that nothing uses is an error, and so is an away_file of one that is not the store
	if [[ "$LAB_CONF_STORE $LAB_CONF_MORE" == *redis:main* ]]; then
		[[ $LAB_CONF_STORE == *redis:main* ]] && away="away_file = \"$dir/countersign.away\""
		redis="redis = { main = { server = \"${LAB_CONF_REDIS_SERVER:-unix:$dir/redis.sock}\"  $away  $LAB_CONF_REDIS } }"
	fi
	if [[ -n $LAB_CONF_OWNERS ]]; then
		printf '%s\n' "$LAB_CONF_OWNERS" >"$dir/owners"
		owners="owners      = [\"texthash:$dir/owners\"]"
	fi
	cat >"$dir/countersign.conf" <<-END
	mode        = "$LAB_CONF_MODE"
	listen      = "${LAB_CONF_LISTEN:-inet:127.0.0.1:$LAB_MILTER_PORT}"
	control     = "$dir/control"
	realm       = "example.org"
	authserv_id = "mx.example.org"
	keys        = "$dir/keys"
	$owners
	dns   = { servers = ["127.0.0.1@$LAB_DNS_PORT"] }
	log   = "stderr"
	$LAB_CONF_STORE
	$redis
	$LAB_CONF_PLANS
	$LAB_CONF_ACCOUNTS
	listeners = {
	  users = {
	    role = "submission"
	    daemon = ["ORIGINATING"]
	    $LAB_CONF_USERS
	  }
	  php = {
	    role = "local"
	    pickup = true
	    $LAB_CONF_PHP
	  }
	  mx = {
	    role = "inbound"
	    $LAB_CONF_MX
	  }
	}
	$LAB_CONF_MORE
	END
}

# lab_log_has TEXT - does countersign's log hold a line with TEXT?
lab_log_has() {
	grep -qF -e "$1" "$LAB_DIR/countersign.log" 2>/dev/null
}

# lab_start_countersign - run it; LAB_WRAPPER may hold e.g. valgrind and its options
lab_start_countersign() {
	if [[ ! -x $LAB_BUILD/countersign ]]; then
		lab_say "$LAB_BUILD/countersign was not built"
		return 1
	fi
	touch "$LAB_DIR/countersign.log"
	LAB_LOG_START=$(wc -l <"$LAB_DIR/countersign.log")
	# shellcheck disable=SC2086 # a command and its options
	lab_serve countersign ${LAB_WRAPPER:-} "$LAB_BUILD/countersign" -c "$LAB_DIR/countersign.conf"
	lab_up countersign lab_is_ready
}

# lab_is_ready - has countersign said so since it was last started?
lab_is_ready() {
	tail -n "+$((LAB_LOG_START + 1))" "$LAB_DIR/countersign.log" | grep -q ready
}

# lab_restart_countersign - end it and start it with a new configuration
lab_restart_countersign() {
	lab_end countersign
	lab_write_config && lab_start_countersign
}

# lab_reload_countersign - write the configuration again and have it read
lab_reload_countersign() {
	local before

	lab_write_config || return 1
	before=$(grep -c 'reload: the new configuration is in effect' "$LAB_DIR/countersign.log")
	kill -HUP "${LAB_PID[countersign]}"
	lab_wait 10 lab_has_reloaded "$before"
}

# lab_has_reloaded BEFORE - more often than BEFORE times?
lab_has_reloaded() {
	(($(grep -c 'reload: the new configuration is in effect' "$LAB_DIR/countersign.log") > $1))
}

# lab_ctl ARGUMENT... - countersignctl, on the lab's control socket
lab_ctl() {
	"$LAB_BUILD/countersignctl" -s "$LAB_DIR/control" "$@"
}

# lab_write_commands - $LAB_DIR/bin: the commands of this lab, for use from any terminal
lab_write_commands() {
	local name

	mkdir -p "$LAB_DIR/bin" || return 1
	cat >"$LAB_DIR/bin/countersignctl" <<-END
	#!/bin/sh
	exec "$LAB_BUILD/countersignctl" -c "$LAB_DIR/countersign.conf" "\$@"
	END
	for name in sendmail postqueue postcat postsuper; do
		cat >"$LAB_DIR/bin/$name" <<-END
		#!/bin/sh
		MAIL_CONFIG="$LAB_DIR/postfix" LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix"
		export MAIL_CONFIG LD_LIBRARY_PATH
		exec "$LAB_SERVERS/usr/sbin/$name" "\$@"
		END
	done
	chmod +x "$LAB_DIR"/bin/*
}

# lab_start_servers - everything but countersign
lab_start_servers() {
	lab_start_dns && lab_start_redis && lab_start_postfix
}

# ---------------------------------------------------------------- mail

# lab_message FROM TO SUBJECT [FIELD...] - write a message to standard output
lab_message() {
	printf 'From: %s\nTo: %s\nSubject: %s\n' "$1" "$2" "$3"
	printf 'Date: %s\nMessage-ID: <%s.%s@client.example>\n' \
	    "$(LC_ALL=C date -R)" "$RANDOM$RANDOM" "$$"
	shift 3
	(($# == 0)) || printf '%s\n' "$@"
	printf '\nThis is a message of the laboratory.\n'
}

# lab_read_answer - find in the transcript what the server said to the message:
# the first refusal, else the answer to its end. Sets LAB_REPLY, LAB_AT (the
# command that was answered), LAB_QUEUE_ID.
lab_read_answer() {
	local line

	line=$(awk '
	    /^ [-~]> / {
		command = substr($0, 5)
		sub(/[: ].*/, "", command)
		if ((command == "MAIL" || command == "RCPT" || command == "DATA" ||
		    command == "AUTH" || command == ".")) at = command
		else if (command == "QUIT" || command == "EHLO" || command == "STARTTLS" ||
		    command == "XCLIENT") at = ""
	    }
	    /^<[-~*]/ {
		reply = substr($0, 5)
		if (at != "" && reply ~ /^[2-5][0-9][0-9] / && (reply ~ /^[45]/ || at == ".")) {
			print at, reply
			exit
		}
	    }' "$LAB_TRANSCRIPT")
	LAB_AT=${line%% *}
	LAB_REPLY=${line#* }
	LAB_QUEUE_ID=
	if [[ $LAB_REPLY =~ queued\ as\ ([0-9A-Za-z]+) ]]; then
		LAB_QUEUE_ID=${BASH_REMATCH[1]}
	fi
}

# lab_swaks ARGUMENT... - one conversation; the transcript is $LAB_TRANSCRIPT
lab_swaks() {
	LAB_NUMBER=$((LAB_NUMBER + 1))
	LAB_TRANSCRIPT=$LAB_DIR/work/transcript.$LAB_NUMBER
	swaks --server 127.0.0.1 --timeout 60 "$@" >"$LAB_TRANSCRIPT" 2>&1
	lab_read_answer
}

# lab_submit LOGIN FROM TO FILE [SWAKS-OPTION...] - log in and send the file
lab_submit() {
	local login=$1 from=$2 to=$3 file=$4

	shift 4
	lab_swaks --port "$LAB_SUBMISSION_PORT" --tls --auth PLAIN --auth-user "$login" \
	    --auth-password "$LAB_PASSWORD" --ehlo client.example --from "$from" --to "$to" \
	    --data "@$file" "$@"
}

# lab_inbound ADDRESS HELO FROM TO FILE [SWAKS-OPTION...] - send the file as a
# client of that address would (XCLIENT)
lab_inbound() {
	local address=$1 helo=$2 from=$3 to=$4 file=$5

	shift 5
	lab_swaks --port "$LAB_INBOUND_PORT" --xclient-addr "$address" \
	    --xclient-name '[UNAVAILABLE]' --ehlo "$helo" --from "$from" --to "$to" \
	    --data "@$file" "$@"
}

# lab_sendmail FROM TO FILE - send the file with sendmail(1)
lab_sendmail() {
	lab_postfix sendmail -i -f "$1" "$2" <"$3"
}

# lab_find_delivered ADDRESS WORD - find the delivered message to ADDRESS that holds WORD
lab_find_delivered() {
	local file

	LAB_FOUND=
	while IFS= read -r file; do
		grep -qixF "Delivered-To: $1" "$file" || continue
		LAB_FOUND=$file
		return 0
	done < <(grep -lrF -e "$2" "$LAB_DIR/mail/${1#*@}"/*/new 2>/dev/null)
	return 1
}

# lab_delivered ADDRESS WORD - wait until a message with WORD is in the mailbox; sets LAB_FOUND
lab_delivered() {
	lab_wait 15 lab_find_delivered "$1" "$2"
}

# lab_header FILE - the header section of a message, unfolded
lab_header() {
	awk '/^\r?$/ { exit } /^[ \t]/ { sub(/^[ \t]+/, " "); printf "%s", $0; next }
	    { if (NR > 1) printf "\n"; printf "%s", $0 } END { printf "\n" }' "$1"
}

# lab_fields FILE NAME - the values of the fields of that name, one a line
lab_fields() {
	lab_header "$1" | awk -v name="$2:" 'tolower(substr($0, 1, length(name))) == tolower(name) {
	    $0 = substr($0, length(name) + 1); sub(/^[ \t]+/, ""); print }'
}
