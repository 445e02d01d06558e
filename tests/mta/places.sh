# shellcheck shell=bash
# shellcheck disable=SC2034 # results are variables that the caller reads
#
# places.sh - a host of one's own for a test: lines that documents tell to write are tried as they
# stand, with /etc/postfix, port 25, 587, 8891 and DNS on port 53
#
# The test runs in network, mount and host name spaces of its own; nothing that it writes to these
# places is seen outside, and nothing listens for others.

# places_enter SCRIPT - go on in namespaces; skips if there are none
places_enter() {
	[[ ${COUNTERSIGN_PLACES:-} == yes ]] && return 0
	unshare --net --mount --uts true 2>/dev/null || skip "namespaces cannot be made here"
	COUNTERSIGN_PLACES=yes exec unshare --net --mount --uts --propagation private bash "$1"
}

# places_address ADDRESS NUMBER - give loopback one more address; NUMBER 0 is 127.0.0.1
places_address() {
	"$LAB_PYTHON" - "$1" "$2" <<-'END'
	import fcntl, socket, struct, sys
	name = b"lo" if sys.argv[2] == "0" else b"lo:" + sys.argv[2].encode()
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	def ask(call, data):
	    fcntl.ioctl(s, call, struct.pack("16s", name) + data)
	address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(sys.argv[1]))
	ask(0x8916, address)                                                          # SIOCSIFADDR
	ask(0x8914, struct.pack("H14x", 0x1 | 0x8 | 0x40))                            # UP, LOOPBACK, RUNNING
	END
}

# places_make NAME - a host of that name: loopback, /etc, /run, /var/spool and /var/lib of its own.
# After lab_create, and after all that asks dpkg. The ports of the lab are the real ones then.
places_make() {
	local etc=$LAB_DIR/etc

	places_address 127.0.0.1 0 || return 1
	# root alone may write there, as in the real ones; not all of /etc: it may be large, or locked
	mkdir -p "$etc" && (cd /etc && tar -c --ignore-failed-read alternatives ca-certificates* \
	    group gshadow hosts ld.so* localtime login.defs magic mime.types nsswitch.conf passwd \
	    perl protocols python3* services shadow ssl 2>/dev/null) | tar -x -C "$etc" 2>/dev/null
	mkdir -p "$etc/countersign" "$etc/postfix" "$etc/mail"
	printf 'nameserver 127.0.0.1\n' >"$etc/resolv.conf"
	printf '127.0.0.1 localhost\n' >"$etc/hosts"
	printf '%s\n' "hosts: files dns" "passwd: files" "group: files" "services: files" >"$etc/nsswitch.conf"
	grep -qs '^submission' "$etc/services" || printf '%s\n' 'smtp 25/tcp mail' 'domain 53/udp' \
	    'domain 53/tcp' 'submission 587/tcp' >>"$etc/services"
	mount --bind "$etc" /etc && mount -t tmpfs -o mode=0755 tmpfs /run &&
	    mount -t tmpfs -o mode=0755 tmpfs /var/spool && mount -t tmpfs -o mode=0755 tmpfs /var/lib &&
	    mkdir -p /var/spool/postfix || return 1
	hostname "$1" 2>/dev/null || "$LAB_PYTHON" -c 'import socket, sys; socket.sethostname(sys.argv[1])' "$1"
	LAB_SUBMISSION_PORT=587 LAB_INBOUND_PORT=25 LAB_DNS_PORT=53 LAB_MILTER_PORT=8891
}

# mta_end - undo the mounts and stop the laboratory; redefines what common.sh calls at the end
mta_end() {
	umount -l /etc/postfix /var/spool/postfix /etc 2>/dev/null
	lab_stop
}

# places_blocks - read what document_blocks.py found: the arrays block_file, block_from, block_for
places_blocks() {
	local file from target

	block_file=() block_from=() block_for=()
	mkdir -p "$LAB_DIR/blocks"
	"$LAB_PYTHON" "$LAB_TOP/tests/mta/document_blocks.py" "$LAB_TOP" "$LAB_DIR/blocks" \
	    >"$LAB_DIR/blocks/list" 2>"$LAB_DIR/blocks/errors"
	block_status=$?
	while read -r file from target; do
		block_file+=("$file") block_from+=("$from") block_for+=("$target")
	done <"$LAB_DIR/blocks/list"
}

# places_lines DOCUMENT FILE - the lines that the document has for the file, all its blocks
places_lines() {
	local i

	for i in "${!block_file[@]}"; do
		[[ ${block_from[i]} == "$1":* && ${block_for[i]} == "$2" ]] && cat "${block_file[i]}"
	done
	return 0
}

# places_countersign [LINE...] - install countersign.conf and the account as README tells to, with
# these lines more, and start it. The sample is taken as it stands but for the log, and with
# places_sendmail=yes for the line that it has for Sendmail.
places_countersign() {
	local conf=/etc/countersign/countersign.conf

	mountpoint -q /etc || return 1
	grep -q '^countersign:' /etc/passwd || {
		printf 'countersign:x:987:987::/var/lib/countersign:/usr/sbin/nologin\n' >>/etc/passwd
		printf 'countersign:x:987:\n' >>/etc/group
	}
	install -d -o 987 -g 987 /run/countersign /var/lib/countersign
	install -d -m 2750 -o 987 -g "$(id -g "$LAB_POSTFIX_USER")" /var/spool/postfix/countersign
	install -d -m 0750 -g 987 /etc/countersign/keys /etc/countersign/keys/example.org
	install -m 0640 -g 987 "$LAB_DIR/keys/example.org/lab.pem" /etc/countersign/keys/example.org/
	{
		sed -e 's/^#log = "syslog"/log = "stderr"/' ${places_sendmail:+-e '/^listen = /d'} \
		    ${places_sendmail:+-e 's|^#\(listen = "unix:/run/\)|\1|'} \
		    "$LAB_TOP/contrib/samples/countersign.conf"
		printf '%s\n' "$@"
	} >"$conf"
	"$LAB_BUILD/countersign" -t -c "$conf" >"$LAB_DIR/work/checked" 2>&1 || return 1
	LAB_LOG_START=$(wc -l 2>/dev/null <"$LAB_DIR/countersign.log" || echo 0)
	lab_serve countersign "$LAB_BUILD/countersign" -c "$conf"
	lab_up countersign lab_is_ready
}
