"""live_sites.py - hosts that run, for countersignctl doctor

Called by doctor_live.test in a network of its own. Each host is a Postfix after a guide that many
follow (Debian with Dovecot, iRedMail, ISPConfig and others), or a Sendmail, with countersign, DNS,
certificates and files as they would be there. Healthy hosts must give neither errors nor warnings;
then one thing is broken while they run. Writes TAP.
"""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import doctor_sites as base
from doctor_sites import HOST, OURS, POSTFIX, TOP, Site, Tap, accepts, redis, sh, submission, wait_for, write

SENDMAIL = os.environ["SENDMAIL"]
OURS6 = "2001:db8::25"

# What Debian's master.cf has, without the chroot of the lab's own servers.
BACKGROUND = """\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
        -o syslog_name=${multi_instance_name?{$multi_instance_name}:{postfix}}/$service_name
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
tlsproxy  unix  -       -       n       -       0       tlsproxy
dnsblog   unix  -       -       n       -       0       dnsblog
"""

DEBIAN_MAIN = """\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no

# appending .domain is the MUA's job.
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6

# TLS parameters
smtpd_tls_cert_file={tls}/host.full
smtpd_tls_key_file={tls}/host.key
smtpd_tls_security_level=may

smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache

smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.org
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
myorigin = example.org
mydestination = $myhostname, example.org, debian.example.org, localhost.example.org, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""

DEBIAN_MILTER = """
# countersign
milter_default_action = tempfail
smtpd_milters = inet:127.0.0.1:{milter}
non_smtpd_milters = $smtpd_milters
message_strip_characters = \\0
"""

DEBIAN_SUBMISSION = """\
# Choose one: enable submission for loopback clients only, or for any client.
submission inet n       -       n       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_helo_restrictions=$mua_helo_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
submissions     inet  n       -       n       -       -       smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
"""


class Host(Site):
    """A Site whose Postfix runs. main_text and master_text stand as a guide has them."""

    def __init__(self, name):
        super().__init__(name)
        self.tls = f"{self.dir}/tls"
        shutil.copytree(f"{TOP}/tls", self.tls)
        self.main_text = DEBIAN_MAIN.format(tls=self.tls) + \
            "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n" + DEBIAN_MILTER.format(milter=base.MILTER)
        self.master_text = "smtp      inet  n       -       n       -       -       smtpd\n" + DEBIAN_SUBMISSION
        self.greeting = HOST
        self.runs = None
        self.before = []        # called before Postfix starts: it warns of a filter that is not there
        self.dovecot = None
        self.ports = (25, 587)
        self.whole = True       # all parts run

    def lay_out(self):
        self.dns = base.Server(self.zone)
        self.conf["dns"] = f'{{ servers = ["127.0.0.1@{self.dns.port}"] }}'
        self.file("main.cf", self.main_text + f"""
# of the laboratory
queue_directory = {self.dir}/queue
data_directory = {self.dir}/data
daemon_directory = {POSTFIX}/usr/lib/postfix/sbin
command_directory = {POSTFIX}/usr/sbin
shlib_directory = {POSTFIX}/usr/lib/postfix
meta_directory = {self.dir}
mail_owner = uucp
setgid_group = operator
maillog_file = {self.dir}/mail.log
maillog_file_prefixes = {self.dir}
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH
export_environment = MAIL_CONFIG TZ LANG LD_LIBRARY_PATH
smtpd_peername_lookup = no
""")
        self.file("master.cf", self.master_text + BACKGROUND)
        self.file("dynamicmaps.cf", "")
        self.file("countersign.conf", "".join(f"{name} = {value}\n" for name, value in self.conf.items()))
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
                     "trace", "public", "maildrop", "pid"):
            os.makedirs(f"{self.dir}/queue/{name}", exist_ok=True)
            shutil.chown(f"{self.dir}/queue/{name}", "uucp")
        os.makedirs(f"{self.dir}/data", exist_ok=True)
        shutil.chown(f"{self.dir}/data", "uucp")
        past = time.time() - 100
        for name in "main.cf", "master.cf":
            os.utime(f"{self.dir}/{name}", (past, past))
        self.start_dovecot()
        for call in self.before:
            call()
        self.runs = base.start(f"{POSTFIX}/usr/lib/postfix/sbin/master", "-s", "-c", self.dir, env={
            "PATH": "/usr/sbin:/usr/bin", "LANG": "C", "MAIL_CONFIG": self.dir,
            "LD_LIBRARY_PATH": f"{POSTFIX}/usr/lib/postfix"})
        for port in self.ports:
            wait_for(lambda port=port: accepts(port))
        for call in self.after:
            call()

    def start_dovecot(self):
        """As much of Dovecot's auth protocol as makes smtpd offer AUTH."""
        path = f"{self.dir}/queue/private/auth"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(20)
        self.dovecot = listener

        def serve():
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                base.threading.Thread(target=hold, args=(peer,), daemon=True).start()

        def hold(peer):
            with peer:
                peer.sendall(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")
                with contextlib.suppress(OSError):
                    while peer.recv(4096):
                        pass
        base.threading.Thread(target=serve, daemon=True).start()

    def close(self):
        super().close()
        if self.dovecot:
            self.dovecot.close()
        if self.runs:
            self.runs.terminate()
            self.runs.wait(20)
            base.RUNNING.remove(self.runs)


SENDMAIL_MC = """OSTYPE(`linux')dnl
undefine(`ALIAS_FILE')dnl
define(`confFORWARD_PATH', `')dnl
define(`confDEF_USER_ID', `65534:65534')dnl
define(`QUEUE_DIR', `{dir}/mqueue')dnl
define(`STATUS_FILE', `{dir}/statistics')dnl
define(`HELP_FILE', `{dir}/help')dnl
define(`confPID_FILE', `{dir}/pid')dnl
define(`confSERVICE_SWITCH_FILE', `{dir}/switch')dnl
define(`confHOSTS_FILE', `{dir}/hosts')dnl
define(`confCR_FILE', `-o {dir}/relay-domains')dnl
define(`confDOMAIN_NAME', `mail.example.org')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
define(`confLOG_LEVEL', `0')dnl
define(`confTO_IDENT', `0s')dnl
define(`confSERVER_CERT', `{dir}/tls/host.full')dnl
define(`confSERVER_KEY', `{dir}/tls/host.key')dnl
define(`confCACERT', `{dir}/tls/middle.pem')dnl
define(`confCACERT_PATH', `{dir}/tls')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
define(`confAUTH_OPTIONS', `A,p')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
LOCAL_DOMAIN(`example.org')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
{contrib}
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH={dir}/sasl
"""


class SendmailHost(Host):
    """A real Sendmail, with the lines of contrib/samples/sendmail.mc."""

    def __init__(self, name):
        super().__init__(name)
        top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        with open(f"{top}/contrib/samples/sendmail.mc", encoding="utf-8") as file:
            lines = file.read()
        self.mc = SENDMAIL_MC.format(dir=self.dir, contrib=lines)
        self.use_postfix = False
        self.socket = f"{self.dir}/run/milter"
        self.mc = self.mc.replace("local:/run/countersign/milter", f"local:{self.socket}")
        self.options += ["--sendmail-cf", f"{self.dir}/sendmail.cf"]
        self.conf["listen"] = f'"unix:{self.socket}"'
        roles = dict(re.findall(r"^dnl *(users|msp|mx) *= \{ (role = .*[^ ]) *\}$", lines, re.M))
        self.conf["listeners"] = "{ " + "\n".join(f"{name} = {{ {text} }}" for name, text in roles.items()) + " }"

    def lay_out(self):
        self.dns = base.Server(self.zone)
        self.conf["dns"] = f'{{ servers = ["127.0.0.1@{self.dns.port}"] }}'
        self.file("countersign.conf", "".join(f"{name} = {value}\n" for name, value in self.conf.items()))
        os.makedirs(f"{self.dir}/mqueue", 0o700)
        os.makedirs(os.path.dirname(self.socket), 0o755, True)
        self.file("switch", "hosts files\naliases files\n")
        self.file("hosts", "127.0.0.1 mail.example.org localhost\n")
        self.file("help", "")
        self.file("statistics", "")
        self.file("sasl/Sendmail.conf", f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {self.dir}/sasldb\nmech_list: PLAIN LOGIN\n")
        subprocess.run([f"{POSTFIX}/usr/sbin/saslpasswd2", "-f", f"{self.dir}/sasldb", "-c", "-p", "-u", "example.org", "alice"], input=b"secret", check=True)
        os.chmod(f"{self.dir}/sasldb", 0o600)
        mc = self.file("sendmail.mc", self.mc)
        cf = f"{SENDMAIL}/usr/share/sendmail/cf"
        self.file("sendmail.cf", sh("m4", f"-D_CF_DIR_={cf}/", f"{cf}/m4/cf.m4", mc).decode())
        base.start(f"{base.BUILD}/countersign", "-c", f"{self.dir}/countersign.conf")
        wait_for(lambda: accepts(self.socket))
        wrapper = sh("find", SENDMAIL, "-name", "libnss_wrapper.so").decode().split()[0]
        self.runs = base.start(f"{SENDMAIL}/usr/libexec/sendmail/sendmail", "-C", f"{self.dir}/sendmail.cf", "-bD", "-X", f"{self.dir}/mail.log", env={
            "PATH": "/usr/sbin:/usr/bin", "LANG": "C", "LD_LIBRARY_PATH": os.environ["SENDMAIL_LIBRARIES"], "LD_PRELOAD": wrapper,
            "NSS_WRAPPER_HOSTS": f"{self.dir}/hosts", "NSS_WRAPPER_HOSTNAME": "mail.example.org"})
        wait_for(lambda: accepts(25) and accepts(587))
        for call in self.after:
            call()


CASES = []


def case(*expected, host=Host):
    """expected: "id" of an error, or "warning id"; none: the host is healthy."""
    found = {("warning", word[8:]) if word.startswith("warning ") else ("error", word) for word in expected}

    def register(function):
        title = function.__name__.replace("_", " ")
        CASES.append((f"{' '.join(expected) or 'healthy'}: {title}", found, function, host))
        return function
    return register


def examine(name, expected, change, host):
    """One host, alone."""
    site = host(f"live-{Tap.n}")    # paths of sockets must be short
    try:
        change(site)
        site.lay_out()
        begin = time.monotonic()
        done = site.ask("--json")
        took = time.monotonic() - begin
    finally:
        site.close()
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return False, name, done.stdout, done.stderr
    bad = [f for f in report["findings"] if f["level"] in ("error", "warning") and f["id"] not in site.ignored]
    seen = {(f["level"], f["id"]) for f in bad}
    return (seen == expected and all(f["what"] and f["cure"] for f in bad), name,
            f"expected {sorted(expected)}; {took:.1f} s", json.dumps(report["findings"], indent=1), done.stderr.decode(),
            sh("tail", "-n", "5", f"{site.dir}/mail.log").decode() if os.path.exists(f"{site.dir}/mail.log") else "")


# --- healthy hosts -----------------------------------------------------------

@case()
def debian_with_dovecot(host):
    """Debian's main.cf and master.cf, Dovecot's socket, as Debian's wiki has it."""


@case()
def workaround_orgs_ispmail(host):
    """Mailboxes in a database, senders bound to logins, Rspamd in front of us."""
    logins = host.file("sender-logins", "alice@example.org alice@example.org\ninfo@example.org alice@example.org\n")
    host.main_text += f"""
virtual_transport = lmtp:unix:private/dovecot-lmtp
virtual_mailbox_domains = example.org
virtual_mailbox_maps = texthash:{logins}
smtpd_tls_auth_only = yes
smtpd_sender_login_maps = texthash:{logins}
smtpd_milters = inet:127.0.0.1:11332, {{ inet:127.0.0.1:{base.MILTER}, default_action=tempfail, protocol=6 }}
non_smtpd_milters = inet:127.0.0.1:{base.MILTER}
milter_protocol = 6
milter_mail_macros = i {{mail_addr}} {{client_addr}} {{client_name}} {{auth_authen}}
"""
    host.main_text = host.main_text.replace("mydestination = $myhostname, example.org, debian.example.org, localhost.example.org, localhost",
                                            "mydestination = $myhostname, localhost")
    host.master_text = host.master_text.replace("-o smtpd_sender_restrictions=$mua_sender_restrictions",
                                                "-o smtpd_sender_restrictions=reject_sender_login_mismatch,permit_sasl_authenticated,reject")
    del host.conf["realm"]
    host.conf["accounts"] = '( { login = "alice@example.org" } )'
    host.conf["owners"] = f'["texthash:{logins}"]'


@case()
def iredmail(host):
    """amavis by content_filter and back on 10025, policy service, sqlite in place of SQL, names in capitals."""
    db = f"{host.dir}/vmail.db"
    sh("sqlite3", db, "create table alias (address text, goto text); insert into alias values ('info@example.org', 'alice@example.org')")
    logins = host.file("sender_login_maps.cf", f"dbpath = {db}\nquery = SELECT goto FROM alias WHERE address='%s'\n", 0o640)
    host.main_text += f"""
smtpd_helo_required = yes
smtpd_helo_restrictions =
    permit_mynetworks
    permit_sasl_authenticated
    reject_non_fqdn_helo_hostname
    reject_invalid_helo_hostname
# a table that only looks
smtpd_sender_restrictions =
    reject_non_fqdn_sender
    # comments may stand between
    reject_unlisted_sender
    permit_mynetworks
    permit_sasl_authenticated
smtpd_recipient_restrictions =
    reject_non_fqdn_recipient
    reject_unlisted_recipient
    check_policy_service inet:127.0.0.1:7777
    permit_mynetworks
    permit_sasl_authenticated
    reject_unauth_destination
smtpd_relay_restrictions = $smtpd_recipient_restrictions
smtpd_tls_protocols = !SSLv2 !SSLv3 !TLSv1 !TLSv1.1
smtpd_tls_mandatory_protocols = !SSLv2 !SSLv3 !TLSv1 !TLSv1.1
smtpd_tls_auth_only = yes
smtpd_sender_login_maps = proxy:sqlite:{logins}
proxy_read_maps = $smtpd_sender_login_maps
content_filter = smtp-amavis:[127.0.0.1]:10024
smtp-amavis_destination_recipient_limit = 1000
"""
    host.master_text += """\
smtp-amavis unix - - n - 4 smtp
    -o syslog_name=postfix/amavis
    -o smtp_data_done_timeout=1200
    -o smtp_send_xforward_command=yes
    -o disable_dns_lookups=yes
    -o max_use=20
127.0.0.1:10025 inet n - n - - smtpd
    -o syslog_name=postfix/10025
    -o content_filter=
    -o mynetworks_style=host
    -o mynetworks=127.0.0.0/8
    -o local_recipient_maps=
    -o relay_recipient_maps=
    -o strict_rfc821_envelopes=yes
    -o smtp_tls_security_level=none
    -o smtpd_tls_security_level=none
    -o smtpd_restriction_classes=
    -o smtpd_delay_reject=no
    -o smtpd_client_restrictions=permit_mynetworks,reject
    -o smtpd_helo_restrictions=
    -o smtpd_sender_restrictions=
    -o smtpd_recipient_restrictions=permit_mynetworks,reject
    -o smtpd_end_of_data_restrictions=
    -o smtpd_error_sleep_time=0
    -o smtpd_soft_error_limit=1001
    -o smtpd_hard_error_limit=1000
    -o smtpd_client_connection_count_limit=0
    -o smtpd_client_connection_rate_limit=0
    -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_address_mappings,no_milters
"""
    host.conf["owners"] = f'["sqlite:{logins}"]'


@case()
def ispconfig(host):
    """Rspamd with default action accept for it, and tempfail for us; -o with braces and blanks."""
    host.main_text = host.main_text.replace("milter_default_action = tempfail\n", "")
    host.main_text += f"""
smtpd_client_restrictions = permit_inet_interfaces, permit_mynetworks, permit_sasl_authenticated, reject_unauth_pipelining, permit
smtpd_client_message_rate_limit = 100
smtpd_restriction_classes = greylisting
greylisting = check_policy_service inet:127.0.0.1:10023
smtpd_recipient_restrictions = permit_mynetworks, reject_unknown_recipient_domain, reject_unlisted_recipient, permit_sasl_authenticated, reject_non_fqdn_recipient, reject_unauth_destination
smtpd_milters = inet:localhost:11332, {{ inet:localhost:{base.MILTER}
    default_action=tempfail
    command_timeout=30s }}
non_smtpd_milters = {{ inet:localhost:{base.MILTER}, default_action=tempfail }}
milter_default_action = accept
milter_protocol = 6
owner_request_special = no
smtpd_tls_exclude_ciphers = RC4, aNULL
"""
    host.master_text = host.master_text.replace("  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n",
                                                "  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }\n")


@case()
def smart_host_of_the_provider(host):
    """A private address, everything leaves through the provider."""
    host.options = []
    host.main_text = host.main_text.replace("relayhost =\n", "relayhost = [smtp.provider.example]:587\n")
    host.main_text += "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:/etc/postfix/sasl_passwd\n" \
        "smtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = encrypt\n"
    base.spf(host, "v=spf1 include:provider.example ~all")
    host.zone[b"provider.example"] = [base.txt("v=spf1 ip4:192.0.2.0/24 -all")]


@case()
def two_filters_on_one_redis(host):
    """Mail of users on a filter of its own; both count in one Redis."""
    port = redis(host)
    other = base.free_port()
    host.conf["listen"] = f'"inet:127.0.0.1:{other}"'
    host.main_text = host.main_text.replace(f"inet:127.0.0.1:{base.MILTER}", f"inet:127.0.0.1:{other}")
    second = write(f"{host.dir}/second.conf", f'listen = "inet:127.0.0.1:{base.free_port()}"\nlog = "stderr"\nstore = "redis:main"\n'
                   f'redis = {{ main = {{ server = "127.0.0.1:{port}" }} }}\n')

    def run():
        base.start(f"{base.BUILD}/countersign", "-c", f"{host.dir}/countersign.conf")
        base.start(f"{base.BUILD}/countersign", "-c", second)
        wait_for(lambda: accepts(other))
    host.before.append(run)


@case()
def inbound_mx_only(host):
    for name in "realm", "keys", "accounts", "plans", "default_plan":
        del host.conf[name]
    host.conf["listeners"] = '{ mx = { role = "inbound" } }'
    host.master_text = host.master_text.split("# Choose")[0]
    host.main_text = host.main_text.replace("non_smtpd_milters = $smtpd_milters\n", "")
    host.main_text += "relay_domains = example.org\ntransport_maps = inline:{ example.org=smtp:[192.0.2.10] }\n"
    base.spf(host, "v=spf1 ip4:192.0.2.77 -all")
    host.ports = (25,)


@case()
def submission_behind_address_translation(host):
    """No port 25 at all, users only; --ip names the address that others see."""
    host.master_text = "\n".join(host.master_text.split("\n")[1:])
    host.main_text += "inet_interfaces = 127.0.0.1\n"
    host.zone[b"example.org"][0] = (base.MX, (10, b"mx.provider.example"))
    host.zone[b"mx.provider.example"] = [(base.A, socket.inet_aton("192.0.2.9"))]
    host.ports = (587, 465)


@case()
def ipv6_alone(host):
    host.main_text = host.main_text.replace("inet_protocols = all", "inet_protocols = ipv6")
    host.options = ["--ip", OURS6]
    host.zone[b"5.2" + b".0" * 22 + b".8.b.d.0.1.0.0.2.ip6.arpa"] = [(base.PTR, HOST.encode())]
    host.zone[HOST.encode()] = [(base.AAAA, socket.inet_pton(socket.AF_INET6, OURS6)), base.txt("v=spf1 a -all")]
    base.spf(host, "v=spf1 mx -all")
    port = base.free_port()
    host.conf["listen"] = f'"inet:[::1]:{port}"'
    host.main_text = host.main_text.replace(f"inet:127.0.0.1:{base.MILTER}", f"inet:[::1]:{port}")
    host.ports = ()

    def run():
        base.start(f"{base.BUILD}/countersign", "-c", f"{host.dir}/countersign.conf")
        wait_for(lambda: accepts(port, "::1") and accepts(587, "::1"))
    host.after.append(run)


@case()
def opendkim_in_front_on_purpose(host):
    """OpenDKIM verifies under a name of its own while countersign is tried."""
    base.opendkim(host, True, AuthservID="opendkim.example.org")
    host.main_text += f"smtpd_milters = {host.main['smtpd_milters']}\n"


@case()
def postscreen(host):
    host.master_text = """\
smtp      inet  n       -       n       -       1       postscreen
smtpd     pass  -       -       n       -       -       smtpd
  -o milter_macro_daemon_name=mx
""" + DEBIAN_SUBMISSION
    host.main_text += "postscreen_access_list = permit_mynetworks\npostscreen_greet_action = enforce\n"


@case()
def second_instance(host):
    """postmulti: this instance takes mail of users only; the other one, whose files are elsewhere, has port 25."""
    host.main_text += "multi_instance_name = postfix-out\nmulti_instance_enable = yes\nmaster_service_disable =\n"
    host.master_text = host.master_text.replace("smtp      inet", "127.0.0.1:2500 inet").replace(" smtpd\n", " smtpd\n", 1)
    host.ports = (587,)


@case()
def unix_socket_in_the_chroot(host):
    """Chrooted services, the socket below the queue directory, named without a leading slash."""
    base.unix_site(host, f"{host.dir}/queue/countersign/milter", "countersign/milter")
    host.before, host.after = host.after, []
    host.main_text = host.main_text.replace(f"inet:127.0.0.1:{base.MILTER}", "unix:countersign/milter")
    host.dovecot = None


@case()
def addresses_of_dual_stack(host):
    """Nothing is named: the host's own two addresses are found, and both are right."""
    host.options = []
    host.zone[b"5.2" + b".0" * 22 + b".8.b.d.0.1.0.0.2.ip6.arpa"] = [(base.PTR, HOST.encode())]
    host.zone[HOST.encode()].append((base.AAAA, socket.inet_pton(socket.AF_INET6, OURS6)))
    base.spf(host, f"v=spf1 ip4:{OURS} ip6:{OURS6} -all")


@case(host=SendmailHost)
def sendmail(host):
    """sendmail.cf as m4 makes it."""


# --- broken while they run ---------------------------------------------------

def renewed(host, port_files=("host",)):
    """The certificate was renewed after Postfix had started: another one is in the file now."""
    del port_files
    host.after.append(lambda: [accepts(587), serve_once(587), renew(host)])


def serve_once(port):
    """Have smtpd load its certificate."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.recv(1000)


def renew(host):
    for end in "full", "key":
        source = "renewed"
        shutil.copy(f"{host.tls}/{source}.{end}", f"{host.tls}/host.{end}")


@case("tls.served-old")
def renewed_and_not_loaded(host):
    """smtpd that already runs keeps what it has read; Postfix's processes live for minutes."""
    host.main_text += "max_use = 10000\nmax_idle = 1000s\n"
    host.master_text = host.master_text.replace("submission inet n       -       n       -       -       smtpd",
                                                "submission inet n       -       n       -       1       smtpd")
    renewed(host)


@case("auth.without-tls")
def passwords_before_tls(host):
    host.master_text = host.master_text.replace("  -o smtpd_tls_security_level=encrypt\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=yes\n",
                                                "  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=no\n")


@case("auth.without-tls")
def an_old_process_still_takes_them(host):
    """The file was corrected, and Postfix was not reloaded."""
    host.master_text = host.master_text.replace("  -o smtpd_tls_security_level=encrypt\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=yes\n",
                                                "  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=no\n")

    def correct():
        with open(f"{host.dir}/master.cf", encoding="ascii") as file:
            text = file.read()
        host.file("master.cf", text.replace("smtpd_tls_auth_only=no", "smtpd_tls_auth_only=yes"))
    host.after.append(correct)


@case("tls.not-offered", "warning tls.not-offered")
def the_key_was_gone_at_the_start(host):
    """Postfix could not read its key, and offers no TLS; now the file is right."""
    os.rename(f"{host.tls}/host.key", f"{host.tls}/away")
    host.main_text += "smtpd_tls_auth_only = yes\nmax_idle = 1000s\n"
    host.master_text = host.master_text.split("submissions ")[0].replace("-o smtpd_tls_security_level=encrypt", "-o smtpd_tls_security_level=may").replace(
        "       -       -       smtpd\n  -o syslog_name=postfix/submission", "       -       1       smtpd\n  -o syslog_name=postfix/submission")
    host.after.append(lambda: [serve_once(587), os.rename(f"{host.tls}/away", f"{host.tls}/host.key")])


@case("warning tls.old-protocol")
def old_protocols(host):
    host.main_text += "smtpd_tls_mandatory_protocols = >=TLSv1\nsmtpd_tls_ciphers = low\n"


@case("warning auth.on-25")
def auth_in_main_cf(host):
    host.main_text += "smtpd_sasl_auth_enable = yes\nsmtpd_tls_auth_only = yes\n"


@case("socket.chroot")
def socket_outside_of_the_chroot(host):
    path = f"{host.dir}/run/milter"
    base.unix_site(host, path, path)
    host.main_text = host.main_text.replace(f"inet:127.0.0.1:{base.MILTER}", f"unix:{path}")
    host.master_text = host.master_text.replace("submission inet n       -       n ", "submission inet n       -       y ")
    host.ports = ()


@case("relay.open")
def relays(host):
    host.main_text = host.main_text.replace("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "permit_mynetworks permit")


@case("warning log.milter-warnings", "socket.dead")
def countersign_is_away(host):
    """Postfix itself writes the warning."""
    port = base.free_port()
    host.conf["listen"] = f'"inet:127.0.0.1:{port}"'
    host.main_text = host.main_text.replace(f"inet:127.0.0.1:{base.MILTER}", f"inet:127.0.0.1:{port}")

    def send():
        serve_once(25)
        wait_for(lambda: "connect to Milter service" in open(f"{host.dir}/mail.log", encoding="ascii").read())
    host.after.append(send)


@case("warning queue.long")
def mail_of_one_sender_waits(host):
    """Postfix itself defers it."""
    host.main_text += "default_transport = retry:no\nnon_smtpd_milters =\ndefer_transports = smtp\n"
    host.options += ["--skip", "postfix.local-mail"]

    def send():
        env = {"PATH": f"{POSTFIX}/usr/sbin:/usr/bin", "MAIL_CONFIG": host.dir, "LD_LIBRARY_PATH": f"{POSTFIX}/usr/lib/postfix"}
        for _ in range(101):
            subprocess.run([f"{POSTFIX}/usr/sbin/sendmail", "-f", "thief@example.org", "u@elsewhere.example"],
                           input=b"Subject: x\n\nx\n", env=env, check=False, stderr=subprocess.DEVNULL, timeout=30)
        wait_for(lambda: sum(len(files) for _, _, files in os.walk(f"{host.dir}/queue/deferred")) > 100)
    host.after.append(send)


@case("sendmail.socket-unsafe", host=SendmailHost)
def directory_for_everyone(host):
    """Sendmail itself says so in its log."""
    host.after.append(lambda: os.chmod(f"{host.dir}/run", 0o777))


@case("sendmail.socket-unsafe", host=SendmailHost)
def socket_for_everyone(host):
    host.after.append(lambda: os.chmod(host.socket, 0o777))


@case("sendmail.no-filter", host=SendmailHost)
def sendmail_without_us(host):
    host.mc = re.sub(r"(?m)^INPUT_MAIL_FILTER\(`countersign'[^\n]*\n", "", host.mc)


@case("sendmail.flag", host=SendmailHost)
def sendmail_lets_mail_pass(host):
    host.mc = host.mc.replace("F=T, ", "")


@case("auth.without-tls", host=SendmailHost)
def sendmail_takes_passwords(host):
    host.mc = host.mc.replace("`A,p'", "`A'")


@case("tls.served-old", host=SendmailHost)
def sendmail_was_not_restarted(host):
    host.after.append(lambda: renew(host))


@case("tls.key-mismatch", host=SendmailHost)
def sendmail_has_another_key(host):
    host.after.append(lambda: shutil.copy(f"{host.tls}/other.key", f"{host.tls}/host.key"))


@case("sendmail.masquerade", host=SendmailHost)
def sendmail_masquerades(host):
    host.mc = host.mc.replace("LOCAL_DOMAIN(", "MASQUERADE_AS(`example.org')dnl\nFEATURE(`masquerade_envelope')dnl\nLOCAL_DOMAIN(")


def listens_on_25(site, program):
    """Postfix is set up, and another MTA has its port."""
    name = shutil.copy(os.path.realpath(sys.executable), f"{site.dir}/{program}")
    base.start(name, "-S", "-c", "import socket, time; s = socket.create_server(('127.0.0.1', 25)); time.sleep(1000)")
    process = base.RUNNING[-1]
    wait_for(lambda: accepts(25))

    def close():
        process.kill()
        process.wait()
        Site.close(site)
    site.close = close


@case("warning two.mtas", host=Site)
def exim_has_the_port(site):
    listens_on_25(site, "exim4")


@case("warning two.mtas", host=Site)
def sendmail_has_the_port(site):
    listens_on_25(site, "sendmail")


@case(host=Site)
def a_tunnel_has_the_port(site):
    listens_on_25(site, "socat")


def installed(site, package, version):
    """What dpkg says is installed."""
    status = site.file("dpkg-status", f"Package: {package}\nStatus: install ok installed\nVersion: {version}\n")
    sh("mount", "--bind", status, "/var/lib/dpkg/status")

    def close():
        sh("umount", "/var/lib/dpkg/status")
        Site.close(site)
    site.close = close


@case("warning library.hole", host=Site)
def an_old_libspf2(site):
    installed(site, "libspf2-2", "1.2.10-7")


@case(host=Site)
def a_patched_libspf2(site):
    installed(site, "libspf2-2", "1.2.10-8.2+b1")


# --- all ---------------------------------------------------------------------

def main():
    for words in (["link", "set", "lo", "up"], ["addr", "add", OURS + "/32", "dev", "lo"], ["-6", "addr", "add", OURS6 + "/128", "dev", "lo", "nodad"]):
        sh("ip", *words)
    base.MILTER, base.REDIS_PORT = base.free_port(), base.free_port()
    base.make_certificates()
    base.KEY_RECORD = base.make_key(f"{TOP}/keys/example.org/s1.pem")
    os.chmod(f"{TOP}/keys", 0o755)
    write(f"{TOP}/milter.conf", f'listen = "inet:127.0.0.1:{base.MILTER}"\nlog = "stderr"\n')
    base.start(f"{base.BUILD}/countersign", "-c", f"{TOP}/milter.conf")
    wait_for(lambda: accepts(base.MILTER))
    wanted = sys.argv[1:]
    for one in CASES:
        if not wanted or any(word in one[0] for word in wanted):
            Tap.ok(*examine(*one))
    print(f"1..{Tap.n}")
    return 1 if Tap.failed else 0


if __name__ == "__main__":
    os._exit(base.run(main))
