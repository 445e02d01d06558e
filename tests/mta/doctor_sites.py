"""doctor_sites.py - sites for countersignctl doctor: healthy ones, and each broken in one way

Called by doctor.test with COUNTERSIGN_BUILD (where the programs are), POSTFIX (the directory of
postconf and its libraries) and REDIS (redis-server). Lays a site out in a directory of its own,
with a DNS server that knows its domain, a countersign that listens and, where it is wanted, a
Redis; asks the doctor; compares what it found with what was broken. Writes TAP.
"""
import base64
import concurrent.futures
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from dns_server import A, AAAA, CNAME, MX, PTR, SERVFAIL, SILENT, TXT, Server, record  # noqa: E402

BUILD = os.environ["COUNTERSIGN_BUILD"]
POSTFIX = os.environ["POSTFIX"]
REDIS = os.environ["REDIS"]
OURS = "198.51.100.25"
HOST = "mail.example.org"
IGNORED = {"clock.off", "resolver.slow", "redis.slow"}     # matters of the machine that runs the test
# Errors that no site here can have: they need a live MTA (doctor_live.test).
UNSHOWN = {"tls.served-old", "sendmail.socket-unsafe"}
TOP = tempfile.mkdtemp(prefix="countersign-doctor.")
os.chmod(TOP, 0o755)
RUNNING = []
MOUNTED = []


def sh(*words, **more):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more).stdout


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def free_port():
    """Below those of outgoing connections, and with room for the second port of a Redis Cluster."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(15000, 32000)))
                return probe.getsockname()[1]
            except OSError:
                continue


def wait_for(condition):
    until = time.monotonic() + 120
    while not condition():
        if time.monotonic() > until:
            sys.exit(f"Bail out! in vain was waited for line {condition.__code__.co_firstlineno}")
        time.sleep(0.02)


def accepts(where, host="127.0.0.1"):
    try:
        if isinstance(where, int):
            socket.create_connection((host, where), 5).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(where)
        return True
    except OSError:
        return False


def start(*words, **more):
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **more)
    RUNNING.append(process)
    return process


# --- certificates ----------------------------------------------------------

def make_certificates():
    """An authority, an intermediate one, and what it signs for HOST."""
    os.mkdir(f"{TOP}/tls")
    os.chdir(f"{TOP}/tls")

    def key(name):
        sh("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        os.chmod(f"{name}.key", 0o600)

    def sign(name, subject, days, issuer=None, san=None):
        sh("openssl", "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={subject}", "-out", f"{name}.csr")
        write(f"{TOP}/tls/{name}.ext", f"subjectAltName=DNS:{san}\n" if san else "basicConstraints=CA:true\n")
        by = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"] if issuer else \
            ["-signkey", f"{name}.key"]
        sh("openssl", "x509", "-req", "-in", f"{name}.csr", "-days", str(days), "-extfile", f"{name}.ext",
           "-out", f"{name}.pem", *by)
    for name in "root", "middle", "host", "renewed", "other", "soon", "self":
        key(name)
    sign("root", "Doctor Root", 30)
    sign("middle", "Doctor Middle", 30, "root")
    sign("host", HOST, 90, "middle", HOST)
    sign("renewed", HOST, 90, "middle", HOST)
    sign("other", "www.example.net", 90, "middle", "www.example.net")
    sign("soon", HOST, 3, "middle", HOST)
    sign("self", HOST, 90, None, HOST)
    shutil.copy("host.key", "expired.key")
    sh("openssl", "req", "-new", "-key", "host.key", "-subj", f"/CN={HOST}", "-out", "expired.csr")
    write(f"{TOP}/tls/index.txt", "")
    write(f"{TOP}/tls/ca.cnf", "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\nserial=s.srl\n"
          "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    write(f"{TOP}/tls/s.srl", "77\n")
    sh("openssl", "ca", "-batch", "-config", "ca.cnf", "-cert", "middle.pem", "-keyfile", "middle.key",
       "-in", "expired.csr", "-extfile", "host.ext", "-startdate", "20200101000000Z", "-enddate",
       "20210101000000Z", "-out", "expired.pem", "-notext")
    for name in "host", "renewed", "other", "soon", "expired":
        with open(f"{name}.full", "w", encoding="ascii") as full:
            for part in name, "middle":
                with open(f"{part}.pem", encoding="ascii") as file:
                    full.write(file.read())
    os.chdir("/")


def make_key(path, bits=2048):
    """A DKIM key; its record."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sh("openssl", "genrsa", "-out", path, str(bits))
    os.chmod(path, 0o600)
    return record_of(path)


def record_of(path):
    der = sh("openssl", "rsa", "-in", path, "-pubout", "-outform", "DER")
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


def txt(record):
    record = record if isinstance(record, bytes) else record.encode()
    return (TXT, [record[i:i + 255] for i in range(0, len(record), 255)])


# --- a site ------------------------------------------------------------------

class Site:
    """A healthy one, until it is changed."""

    def __init__(self, name):
        self.dir = f"{TOP}/{re.sub('[^a-z0-9-]+', '-', name.lower())}"
        os.mkdir(self.dir)
        self.main = {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.dir}/queue", "data_directory": f"{self.dir}/data",
            "daemon_directory": f"{POSTFIX}/usr/lib/postfix/sbin", "command_directory": f"{POSTFIX}/usr/sbin",
            "shlib_directory": f"{POSTFIX}/usr/lib/postfix", "mail_owner": "uucp",
            "myhostname": HOST, "mydomain": "example.org", "mynetworks": "127.0.0.0/8 [::1]/128",
            "recipient_delimiter": "+", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth",
            "smtpd_tls_cert_file": f"{TOP}/tls/host.full", "smtpd_tls_key_file": f"{TOP}/tls/host.key",
            "smtpd_tls_security_level": "may",
            "smtpd_milters": f"inet:127.0.0.1:{MILTER}", "non_smtpd_milters": "$smtpd_milters",
            "milter_default_action": "tempfail",
        }
        self.services = {
            "smtp": ("smtp inet n - y - - smtpd", {}),
            "submission": ("submission inet n - y - - smtpd", {
                "syslog_name": "postfix/submission", "smtpd_tls_security_level": "encrypt",
                "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes",
                "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
                "milter_macro_daemon_name": "ORIGINATING"}),
            "pickup": ("pickup unix n - y 60 1 pickup", {}),
            "cleanup": ("cleanup unix n - y - 0 cleanup", {}),
            "smtp-out": ("smtp unix - - y - - smtp", {}),
        }
        self.record = KEY_RECORD
        shutil.copytree(f"{TOP}/keys", f"{self.dir}/keys")
        self.zone = {
            b"25.100.51.198.in-addr.arpa": [(PTR, HOST.encode())],
            HOST.encode(): [(A, socket.inet_aton(OURS)), txt("v=spf1 a -all")],
            b"example.org": [(MX, (10, HOST.encode())), txt(f"v=spf1 ip4:{OURS} -all")],
            b"_dmarc.example.org": [txt("v=DMARC1; p=none; rua=mailto:dmarc@example.org")],
            b"s1._domainkey.example.org": [txt(self.record)],
        }
        self.conf = {
            "mode": '"enforce"', "listen": f'"inet:127.0.0.1:{MILTER}"', "control": f'"{self.dir}/control"',
            "realm": '"example.org"', "authserv_id": f'"{HOST}"', "keys": f'"{self.dir}/keys"',
            "store": f'"file:{self.dir}/counters"', "default_plan": '"person"',
            "plans": '{ person = { limits = ["100 recipients per hour"] } }',
            "accounts": '( { login = "alice"  owns = ["info@example.org"] } )',
            "listeners": '{ users = { role = "submission"  daemon = ["ORIGINATING"] }\n'
                         ' php = { role = "local"  pickup = true }\n mx = { role = "inbound" } }',
        }
        self.options = ["--ip", OURS]
        self.use_postfix = True
        self.dns = None
        self.server = Server
        self.dns_port = None
        self.master_more = ""
        self.cure = None
        self.ignored = IGNORED
        self.second_server = self.conf_dns = ""     # more in the dns group
        self.after = []         # called once all files are there

    def file(self, name, text, mode=0o644):
        return write(f"{self.dir}/{name}", text, mode)

    def lay_out(self):
        self.dns = self.server(self.zone)
        port = self.dns_port or self.dns.port
        self.conf["dns"] = f'{{ servers = ["127.0.0.1@{port}"{self.second_server}] {self.conf_dns} }}'
        self.file("main.cf", "".join(f"{name} = {value}\n" for name, value in self.main.items()))
        master = "# services\n"
        for line, options in self.services.values():
            master += line + "\n" + "".join(f"  -o {name}={value}\n" for name, value in options.items())
        self.file("master.cf", master + self.master_more)
        os.makedirs(f"{self.dir}/queue", exist_ok=True)
        self.file("countersign.conf", "".join(f"{name} = {value}\n" for name, value in self.conf.items()))
        for call in self.after:
            call()

    def ask(self, *more):
        words = [f"{BUILD}/countersignctl", "-c", f"{self.dir}/countersign.conf", "doctor"]
        if self.use_postfix:
            words += ["--postfix-config", self.dir]
        done = subprocess.run(words + self.options + list(more), check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PATH": f"{POSTFIX}/usr/sbin:/usr/bin:/bin",
                                   "LD_LIBRARY_PATH": f"{POSTFIX}/usr/lib/postfix"})
        return done

    def close(self):
        if self.dns:
            self.dns.close()


# --- TAP -----------------------------------------------------------------------

class Tap:
    """Numbered lines."""
    n = 0
    failed = 0

    @classmethod
    def ok(cls, good, text, *notes):
        cls.n += 1
        print(("ok" if good else "not ok"), cls.n, "-", text)
        if not good:
            cls.failed += 1
            for note in notes:
                for line in str(note).splitlines():
                    print("#", line)
        sys.stdout.flush()


def examine(name, expected, change):
    """One site: what is found, errors and warnings, is just `expected`."""
    site = Site(name)
    seen = set()
    change(site)
    site.lay_out()
    done = site.ask("--json")
    site.close()
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return False, name, done.stdout, done.stderr
    bad = [f for f in report["findings"] if f["level"] in ("error", "warning") and f["id"] not in site.ignored]
    for finding in bad:
        seen.add((finding["level"], finding["id"]))
        if not finding["what"] or not finding["cure"]:
            seen.add(("without words", finding["id"]))
    if isinstance(expected, str):
        expected = {("error", expected)}
    status = 2 if any(l == "error" for l, _ in expected) else 1 if expected else 0
    if site.cure is not None and not any(f["cure"] == site.cure for f in bad):
        seen.add(("another cure", site.cure))
    good = seen == expected and done.returncode == status
    return (good, name, f"expected {sorted(expected)}, status {status}; got status {done.returncode}",
            json.dumps(report["findings"], indent=1), done.stderr.decode())


# --- the cases ---------------------------------------------------------------

CASES = []


def case(expected, name=None, level="error"):
    """Register a broken site."""
    def register(function):
        found = {(level, expected)} if isinstance(expected, str) else expected
        title = name or function.__name__.replace("_", " ")
        CASES.append((f"{expected if isinstance(expected, str) else sorted(expected)[0][1]}: {title}", found, function))
        return function
    return register


def submission(site):
    return site.services["submission"][1]


# Postfix and the milter

@case("postfix.milter-missing")
def milters_are_not_set(site):
    del site.main["smtpd_milters"]
    site.main["non_smtpd_milters"] = f"inet:127.0.0.1:{MILTER}"


@case("postfix.milter-missing")
def another_port(site):
    site.main["smtpd_milters"] = "inet:127.0.0.1:9"
    site.main["non_smtpd_milters"] = f"inet:127.0.0.1:{MILTER}"


@case("postfix.milter-missing")
def the_cure_keeps_other_milters(site):
    site.main["scanner"] = "inet:127.0.0.1:9"
    site.main["smtpd_milters"] = "$scanner"
    site.main["non_smtpd_milters"] = f"inet:127.0.0.1:{MILTER}, $scanner"
    site.cure = f"smtpd_milters = inet:127.0.0.1:{MILTER}, $scanner"


@case("postfix.milter-missing")
def the_cure_of_a_service_is_an_override(site):
    submission(site)["smtpd_milters"] = "inet:127.0.0.1:9"
    site.cure = f"-o {{ smtpd_milters = inet:127.0.0.1:{MILTER}, inet:127.0.0.1:9 }}"


@case("postfix.local-mail", level="warning")
def the_cure_of_local_mail_keeps_other_milters(site):
    site.main["non_smtpd_milters"] = "inet:127.0.0.1:9"
    site.cure = f"non_smtpd_milters = inet:127.0.0.1:{MILTER}, inet:127.0.0.1:9"


@case("postfix.milter-off-by-override")
def emptied_in_master_cf(site):
    submission(site)["smtpd_milters"] = ""


@case("postfix.milter-off-by-override")
def receive_override_options(site):
    submission(site)["receive_override_options"] = "no_address_mappings,no_milters"


@case("postfix.milter-default-action")
def default_action_accept(site):
    site.main["milter_default_action"] = "accept"


@case("postfix.milter-default-action")
def own_default_action(site):
    site.main["smtpd_milters"] = f"{{ inet:127.0.0.1:{MILTER}, default_action=accept }}"


@case("postfix.milter-default-action")
def default_action_of_one_service(site):
    submission(site)["milter_default_action"] = "accept"


@case("postfix.milter-default-action", level="warning")
def default_action_reject(site):
    site.main["milter_default_action"] = "reject"


@case("postfix.milter-maps")
def disabled_for_a_network(site):
    site.file("milter_maps", "# VPN\n10.8.0.0/16 DISABLE\n")
    site.main["smtpd_milter_maps"] = f"cidr:{site.dir}/milter_maps"


@case("postfix.milter-protocol")
def old_protocol(site):
    site.main["milter_protocol"] = "2"


@case("postfix.unused-parameter")
def misspelt_milters(site):
    site.main["smtpd_milter"] = site.main.pop("smtpd_milters")
    site.main["non_smtpd_milters"] = f"inet:127.0.0.1:{MILTER}"


@case("postfix.unused-parameter")
def misspelt_sasl(site):
    submission(site)["smtpd_sasl_auth_enabled"] = submission(site).pop("smtpd_sasl_auth_enable")


@case("postfix.unused-parameter", level="warning")
def misspelt_harmless(site):
    site.main["message_size_limits"] = "1000000"


@case("postfix.master-syntax")
def blanks_around_equals(site):
    site.services["submission"] = (site.services["submission"][0] + "\n  -o smtpd_milters = inet:127.0.0.1:1",
                                   submission(site))


@case("postfix.master-syntax")
def a_line_with_too_few_fields(site):
    site.master_more = "2525 inet n\n"


@case("postfix.milter-address")
def sendmails_order(site):
    site.main["smtpd_milters"] = f"inet:{MILTER}@127.0.0.1"


@case("postfix.milter-address")
def port_before_host(site):
    site.main["smtpd_milters"] = f"inet:{MILTER}:127.0.0.1"


@case("postfix.milter-address")
def ipv6_alone_cannot_connect_to_ipv4(site):
    site.main["inet_protocols"] = "ipv6"
    site.options = []
    site.main["relayhost"] = "smtp.provider.example"


@case("postfix.milter-address")
def tcp_colon(site):
    site.main["smtpd_milters"] = f"tcp:127.0.0.1:{MILTER}"


@case("postfix.postscreen-override")
def options_at_postscreen(site):
    site.services["smtp"] = ("smtp inet n - y - 1 postscreen", {"milter_macro_daemon_name": "mx"})
    site.services["smtpd"] = ("smtpd pass - - y - - smtpd", {})


@case("postfix.reinjection")
def content_filter_hands_back(site):
    site.main["content_filter"] = "smtp:[127.0.0.1]:10024"
    site.services["back"] = ("127.0.0.1:10025 inet n - y - - smtpd",
                             {"content_filter": "", "smtpd_relay_restrictions": "permit_mynetworks,reject"})


@case("postfix.milter-maps")
def maps_other_milter(site):
    site.file("milter_maps", "10.8.0.0/16 inet:127.0.0.1:9\n")
    site.main["smtpd_milter_maps"] = f"cidr:{site.dir}/milter_maps"


@case("postfix.milter-maps")
def maps_lower(site):
    site.file("milter_maps", "10.8.0.0/16 disable\n")
    submission(site)["smtpd_milter_maps"] = f"cidr:{site.dir}/milter_maps"


@case("postfix.unused-parameter")
def smtp_milters(site):
    site.main["smtp_milters"] = site.main.pop("smtpd_milters")
    site.main["non_smtpd_milters"] = "inet:127.0.0.1:%d" % MILTER


@case("postfix.milter-address")
def no_type(site):
    site.main["smtpd_milters"] = "127.0.0.1:%d" % MILTER


@case("postfix.milter-address")
def no_host(site):
    site.main["smtpd_milters"] = "inet:%d" % MILTER


@case("postfix.reinjection")
def bare_port(site):
    submission(site)["content_filter"] = "smtp-amavis:[127.0.0.1]:10026"
    site.services["back"] = ("10025 inet n - y - - smtpd", {"content_filter": "", "smtpd_relay_restrictions": "permit_mynetworks,reject"})


@case("postfix.local-mail", level="warning")
def no_milter_for_sendmail(site):
    del site.main["non_smtpd_milters"]


# the socket

@case("socket.dead")
def nobody_listens(site):
    port = free_port()
    site.conf["listen"] = f'"inet:127.0.0.1:{port}"'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"


@case("socket.dead")
def something_else_listens(site):
    site.conf["listen"] = f'"inet:127.0.0.1:{REDIS_PORT}"'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{REDIS_PORT}"


@case("socket.open-to-network")
def any_address(site):
    site.conf["listen"] = f'"inet:0.0.0.0:{MILTER}"'


def unix_site(site, path, seen):
    """The site's own countersign on a unix socket."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    site.conf["listen"] = f'"unix:{path}"'
    site.conf["listen_mode"] = '"0666"'
    site.main["smtpd_milters"] = f"unix:{seen}"

    def run():
        site.daemon = start(f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(path))
    site.after.append(run)


@case("socket.chroot")
def outside_of_the_chroot(site):
    unix_site(site, f"{site.dir}/run/milter", f"{site.dir}/run/milter")


@case("socket.permission")
def closed_directory(site):
    unix_site(site, f"{site.dir}/queue/run/milter", "run/milter")
    site.after.append(lambda: os.chmod(f"{site.dir}/queue/run", 0o700))


@case("socket.permission")
def closed_socket(site):
    unix_site(site, f"{site.dir}/queue/run/milter", "/run/milter")
    site.conf["listen_mode"] = '"0600"'


@case("socket.open-to-network")
def peers_all(site):
    port = free_port()
    site.conf["listen"] = f'"inet:0.0.0.0:{port}"'
    site.conf["peers"] = '{ users = ["uucp"]  networks = ["0.0.0.0/0"] }'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"
    def run():
        start(f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(port))
    site.after.append(run)


# listeners and owners

@case("listener.no-match")
def unknown_daemon_name(site):
    site.conf["listeners"] = '{ users = { role = "submission"  daemon = ["ORIGINATING"] }\n' \
        ' php = { role = "local"  pickup = true }\n mx = { role = "inbound" daemon = ["MX"] } }'


@case("listener.wrong-role")
def no_daemon_name(site):
    del submission(site)["milter_macro_daemon_name"]


@case("listener.wrong-role")
def another_daemon_name(site):
    submission(site)["milter_macro_daemon_name"] = "submission"


@case("listener.wrong-role")
def everything_is_submission(site):
    site.main["milter_macro_daemon_name"] = "ORIGINATING"


@case("listener.never-reached")
def behind_one_that_takes_all(site):
    site.conf["listeners"] = '{ users = { role = "submission"  daemon = ["ORIGINATING"] }\n' \
        ' mx = { role = "inbound" }\n php = { role = "local"  pickup = true } }'


@case("owners.none")
def postfix_has_owners(site):
    submission(site)["smtpd_sender_login_maps"] = f"hash:{site.dir}/logins"
    site.conf["accounts"] = '( { login = "alice" } )'


@case("owners.differ", level="warning")
def other_tables(site):
    submission(site)["smtpd_sender_login_maps"] = f"hash:{site.file('logins', 'a@example.org alice')}"
    submission(site)["smtpd_sender_restrictions"] = "reject_sender_login_mismatch"
    site.conf["owners"] = f'["texthash:{site.file("others", "a@example.org alice")}"]'


@case("owners.table")
def no_such_table(site):
    site.conf["owners"] = f'["texthash:{site.dir}/gone"]'


@case("owners.table")
def database_is_away(site):
    cf = site.file("db.cf", "hosts = inet:127.0.0.1:9\nuser = u\ndbname = d\nquery = SELECT 1\n", 0o640)
    site.conf["owners"] = f'["pgsql:{cf}"]'


@case("realm.missing")
def logins_of_pam(site):
    del site.conf["realm"]
    site.conf["accounts"] = '( { login = "alice@example.org"  owns = ["info@example.org"] } )'
    site.main.update(smtpd_sasl_type="cyrus", smtpd_sasl_path="smtpd", cyrus_sasl_config_path=f"{site.dir}/sasl")
    site.file("sasl/smtpd.conf", "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")


@case("realm.missing")
def sasldb(site):
    del site.conf["realm"]
    site.conf["accounts"] = '( { login = "alice@example.org"  owns = ["info@example.org"] } )'
    submission(site).update(smtpd_sasl_type="cyrus", smtpd_sasl_path="smtpd")
    site.main.update(cyrus_sasl_config_path=f"{site.dir}/sasl")
    site.file("sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n")


@case("delimiter.differs", level="warning")
def other_delimiter(site):
    site.main["recipient_delimiter"] = "-"


# configuration and keys

@case("config.syntax")
def unknown_option(site):
    site.conf["lisen"] = '"x"'


@case("config.syntax")
def unknown_account(site):
    site.conf["user"] = '"no-such-user-here"'


@case("config.watch", level="warning")
def watch_forgotten(site):
    site.conf["mode"] = '"watch"'
    old = time.time() - 20 * 86400
    site.after.append(lambda: os.utime(f"{site.dir}/countersign.conf", (old, old)))


def running(site, change):
    """Its own countersign, to which something is done once it runs."""
    port = free_port()
    site.conf["listen"] = f'"inet:127.0.0.1:{port}"'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"

    def run():
        program = shutil.copy(f"{BUILD}/countersign", f"{site.dir}/countersign")
        start(program, "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(port) and accepts(f"{site.dir}/control"))
        change()
    site.after.append(run)


@case("config.not-loaded", level="warning")
def file_changed_later(site):
    running(site, lambda: os.utime(f"{site.dir}/countersign.conf", (time.time() + 60,) * 2))


@case("config.not-loaded", level="warning")
def program_was_replaced(site):
    running(site, lambda: os.replace(shutil.copy(f"{BUILD}/countersign", f"{site.dir}/new"), f"{site.dir}/countersign"))


@case("key.open")
def key_for_everyone(site):
    os.chmod(f"{site.dir}/keys/example.org/s1.pem", 0o644)


@case("key.directory")
def keys_directory_for_everyone(site):
    os.chmod(f"{site.dir}/keys/example.org", 0o777)


@case("key.unreadable")
def key_is_nonsense(site):
    site.file("keys/example.org/s1.pem", "nonsense\n", 0o600)


@case("control.missing", level="warning")
def no_control(site):
    del site.conf["control"]


@case("store.unwritable")
def no_directory(site):
    site.conf["store"] = f'"file:{site.dir}/gone/counters"'


@case("store.embedded", level="warning")
def forgets(site):
    site.conf["store"] = '"embedded"'
    site.conf["plans"] = '{ person = { limits = ["300 recipients per day"] } }'


@case("quota.none", level="warning")
def no_plan(site):
    del site.conf["default_plan"]
    del site.conf["plans"]


# DNS

@case("rdns.missing")
def no_name(site):
    del site.zone[b"25.100.51.198.in-addr.arpa"]


@case("rdns.not-confirmed")
def name_leads_elsewhere(site):
    site.zone[b"25.100.51.198.in-addr.arpa"] = [(PTR, b"other.example.org")]
    site.zone[b"other.example.org"] = [(A, socket.inet_aton("198.51.100.99"))]


@case("rdns.generic", level="warning")
def name_of_a_pool(site):
    pool = b"198-51-100-25.pool.provider.example"
    site.zone[b"25.100.51.198.in-addr.arpa"] = [(PTR, pool)]
    site.zone[pool] = [(A, socket.inet_aton(OURS))]


@case("rdns.other-than-helo", level="warning")
def name_is_another(site):
    site.zone[b"25.100.51.198.in-addr.arpa"] = [(PTR, b"srv.example.org")]
    site.zone[b"srv.example.org"] = [(A, socket.inet_aton(OURS))]


@case("helo.bad")
def helo_localhost(site):
    site.main["smtp_helo_name"] = "localhost"


@case("helo.bad")
def helo_ip(site):
    site.main["smtp_helo_name"] = "[198.51.100.25]"


@case("helo.bad")
def helo_local(site):
    site.main["smtp_helo_name"] = "mail.example.local"


@case("helo.bad")
def helo_does_not_resolve(site):
    site.main["smtp_helo_name"] = "nowhere.example.org"
    site.options += ["--skip", "rdns.other-than-helo", "--skip", "spf.helo"]


@case("helo.elsewhere", level="warning")
def helo_of_another_host(site):
    site.zone[HOST.encode()] = [(A, socket.inet_aton("198.51.100.99")), txt("v=spf1 a -all")]
    site.zone[b"25.100.51.198.in-addr.arpa"] = [(PTR, b"srv.example.org")]
    site.zone[b"srv.example.org"] = [(A, socket.inet_aton(OURS))]
    site.options += ["--skip", "rdns.other-than-helo"]


def spf(site, *records):
    site.zone[b"example.org"] = [(MX, (10, HOST.encode()))] + [txt(record) for record in records]


@case("spf.missing")
def no_spf(site):
    spf(site)


@case("spf.several")
def two_spf(site):
    spf(site, f"v=spf1 ip4:{OURS} -all", "v=spf1 mx -all")


@case("spf.misses-us")
def spf_of_others(site):
    spf(site, "v=spf1 ip4:192.0.2.1 -all")


@case("spf.misses-us")
def second_address(site):
    site.options += ["--ip", "2001:db8::25"]
    site.zone[b"5.2" + b".0" * 22 + b".8.b.d.0.1.0.0.2.ip6.arpa"] = [(PTR, HOST.encode())]
    site.zone[HOST.encode()].append((AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::25")))


@case("spf.too-many")
def eleven_includes(site):
    names = [f"s{i}.example.net" for i in range(11)]
    spf(site, "v=spf1 " + " ".join("include:" + name for name in names) + " -all")
    for name in names:
        site.zone[name.encode()] = [txt("v=spf1 ip4:192.0.2.1 -all")]


@case("spf.too-many", "many includes", "warning")
def nine_includes(site):
    names = [f"s{i}.example.net" for i in range(9)]
    spf(site, f"v=spf1 ip4:{OURS} " + " ".join("include:" + name for name in names) + " -all")
    for name in names:
        site.zone[name.encode()] = [txt("v=spf1 ip4:192.0.2.1 -all")]


@case("spf.syntax")
def ipv4_colon(site):
    spf(site, f"v=spf1 ipv4:{OURS} -all")


@case("spf.syntax")
def include_of_nothing(site):
    spf(site, f"v=spf1 include:gone.example.net ip4:{OURS} -all")
    site.zone[b"gone.example.net"] = [txt("no spf")]


@case("spf.pass-all")
def plus_all(site):
    spf(site, "v=spf1 +all")


@case("spf.pass-all")
def whole_internet(site):
    spf(site, "v=spf1 ip4:0.0.0.0/0 -all")


@case("spf.open-end", level="warning")
def question_mark_all(site):
    spf(site, f"v=spf1 ip4:{OURS} ?all")


@case("spf.ptr", level="warning")
def uses_ptr(site):
    spf(site, f"v=spf1 ip4:{OURS} ptr -all")


@case("spf.helo", level="warning")
def helo_without_spf(site):
    site.zone[HOST.encode()] = [(A, socket.inet_aton(OURS))]


S1 = b"s1._domainkey.example.org"


@case("dkim.no-record")
def no_record(site):
    del site.zone[S1]


@case("dkim.other-key")
def record_of_another(site):
    site.zone[S1] = [txt(OTHER_RECORD)]


@case("dkim.revoked")
def empty_p(site):
    site.zone[S1] = [txt("v=DKIM1; k=rsa; p=")]


@case("dkim.unusable")
def backslash_in_record(site):
    site.zone[S1] = [txt(site.record.replace(b"; ", b"\\; "))]


@case("dkim.several-records")
def two_records(site):
    site.zone[S1].append(txt(OTHER_RECORD))


@case("dkim.test-flag", level="warning")
def in_test(site):
    site.zone[S1] = [txt(site.record.replace(b"k=rsa;", b"k=rsa; t=y;"))]


@case("dkim.short", level="warning")
def short_key(site):
    site.zone[S1] = [txt(make_key(f"{site.dir}/keys/example.org/s1.pem", 1024))]


@case("dkim.short", "below 1024 bits")
def very_short_key(site):
    make_key(f"{site.dir}/keys/example.org/s1.pem", 512)


@case("dkim.no-key", level="warning")
def domain_without_key(site):
    site.conf["accounts"] = '( { login = "alice"  owns = ["@example.net"] } )'
    for name in b"example.net", b"_dmarc.example.net":
        site.zone[name] = site.zone[name.replace(b"net", b"org")]
    site.zone[b"example.net._report._dmarc.example.org"] = [txt("v=DMARC1")]


@case("dkim.no-key", level="warning")
def domain_of_the_mta_without_key(site):
    site.main["virtual_mailbox_domains"] = "example.org, example.net"


@case("dkim.no-key", level="warning")
def domain_of_a_table_without_key(site):
    site.main["virtual_mailbox_domains"] = "hash:" + site.file("domains", "example.org x\nexample.net x\n")


@case("dkim.key-old", level="warning")
def old_key(site):
    old = time.time() - 500 * 86400
    os.utime(f"{site.dir}/keys/example.org/s1.pem", (old, old))


@case("dmarc.missing", level="warning")
def no_dmarc(site):
    del site.zone[b"_dmarc.example.org"]


@case("dmarc.several")
def two_dmarc(site):
    site.zone[b"_dmarc.example.org"].append(txt("v=DMARC1; p=reject"))


@case("dmarc.syntax")
def dmarc_without_p(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1; rua=mailto:dmarc@example.org")]


@case("dmarc.syntax")
def dmarc_with_commas(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1, p=none, rua=mailto:dmarc@example.org")]


@case("dmarc.syntax")
def dmarc_at_the_domain(site):
    site.zone[b"example.org"] += site.zone.pop(b"_dmarc.example.org")


@case("dmarc.syntax")
def dmarc_in_lower_case(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=dmarc1; p=none; rua=mailto:dmarc@example.org")]


@case("dmarc.syntax")
def dmarc_p_behind_rua(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1; rua=mailto:dmarc@example.org; p=none")]


@case("dmarc.syntax")
def dmarc_rua_without_mailto(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1; p=none; rua=dmarc@example.org")]


@case("dmarc.none-no-rua", level="warning")
def dmarc_without_reports(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1; p=none")]


@case("dmarc.rua-unauthorised", level="warning")
def reports_elsewhere(site):
    site.zone[b"_dmarc.example.org"] = [txt("v=DMARC1; p=none; rua=mailto:x@reports.example.net")]


@case("mx.missing", level="warning")
def no_mx(site):
    site.zone[b"example.org"] = site.zone[b"example.org"][1:]


@case("mx.unresolved")
def mx_without_address(site):
    site.zone[b"example.org"].append((MX, (20, b"gone.example.org")))


@case("mx.is-address")
def mx_is_an_address(site):
    site.zone[b"example.org"].append((MX, (20, b"198.51.100.26")))


@case("mx.cname", level="warning")
def mx_is_an_alias(site):
    site.zone[b"example.org"] = [(MX, (10, b"mx.example.org")), txt(f"v=spf1 ip4:{OURS} -all")]
    site.zone[b"mx.example.org"] = [(CNAME, HOST.encode())]


class SignedServer(Server):
    """Validates, and finds the own domain bogus: SERVFAIL, unless it is told not to check."""

    def answer(self, query, tcp):
        if query.name.endswith(b"example.org") and not query.packet[3] & 0x10:
            return [query.reply(SERVFAIL)]
        return super().answer(query, tcp)


@case("dns.bogus")
def refused_by_a_validating_server(site):
    site.server = SignedServer
    site.options += ["--skip", "helo.bad"]


@case("dns.bogus")
def signed_zone_was_changed(site):
    """Signed by ldns-signzone, changed after that, served by nsd, validated by ourselves."""
    zone = [f"{name.decode()}. 300 IN " + {
        A: lambda d: "A " + socket.inet_ntoa(d), MX: lambda d: f"MX {d[0]} {d[1].decode()}.",
        TXT: lambda d: "TXT " + " ".join('"' + part.decode() + '"' for part in d)}[kind](data)
        for name, records in site.zone.items() if name.endswith(b"example.org") for kind, data in records]
    site.file("zone", "\n".join(["example.org. 300 IN SOA ns.example.org. h.example.org. 1 3600 600 86400 60",
                                 "example.org. 300 IN NS ns.example.org.", "ns.example.org. 300 IN A 127.0.0.1"] + zone) + "\n")
    key = sh("ldns-keygen", "-a", "ED25519", "-k", "example.org", cwd=site.dir).decode().strip()
    sh("ldns-signzone", "-f", "signed", "zone", key, cwd=site.dir)
    with open(f"{site.dir}/signed", encoding="ascii") as file:
        signed = file.read()
    site.file("signed", re.sub(r"(?m)^(example\.org\..*\sMX\s+)10", r"\g<1>20", signed))
    port = free_port()
    conf = site.file("nsd.conf", f'''server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{site.dir}"
  database: ""
  pidfile: "{site.dir}/nsd.pid"
  xfrdfile: "{site.dir}/xfrd.state"
  zonelistfile: "{site.dir}/zone.list"
  xfrdir: "{site.dir}"
remote-control:
  control-enable: no
zone:
  name: example.org
  zonefile: signed
''')
    start(f"{POSTFIX}/usr/sbin/nsd", "-d", "-c", conf)
    wait_for(lambda: accepts(port))
    site.dns_port = port
    site.conf_dns = f'trust_anchor = "{site.dir}/{key}.key"'
    site.options = []
    site.main["relayhost"] = "smtp.provider.example"


@case("resolver.slow", level="warning")
def answers_late(site):
    class Late(Server):
        def answer(self, query, tcp):
            if not query.name:
                time.sleep(1.5)
            return super().answer(query, tcp)
    site.server = Late
    site.ignored = IGNORED - {"resolver.slow"}


@case("redis.slow", level="warning")
def redis_answers_late(site):
    class Late(OldRedis):
        def answer(self, words):
            time.sleep(0.15)
            return super().answer(words)
    site.redis = Late("8.2.2")
    site.conf["redis"] = f'{{ main = {{ server = "127.0.0.1:{site.redis.port}"  deadline = "200 ms" }} }}'
    site.conf["store"] = '"redis:main"'
    site.ignored = IGNORED - {"redis.slow"}


@case("resolver.no-tcp", level="warning")
def long_answers_are_lost(site):
    """The own SPF record does not fit into a packet, and there is no TCP."""
    class Short(Server):
        def answer(self, query, tcp):
            if tcp:
                return []
            if query.kind == 48:
                return [query.reply(flags=0x8780)]
            return super().answer(query, tcp)
    site.server = Short


@case("resolver.not-validating", level="warning")
def second_server_is_dead(site):
    site.second_server = f', "127.0.0.1@{free_port()}"'


@case("resolver.not-validating", level="warning")
def signatures_are_left_out(site):
    """What is not signed is still used; what is stripped fails for us, and is no error of the domain."""
    anchor = site.file("anchor", "example.com. IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n")
    site.zone[b"example.com"] = [(48, bytes.fromhex("0101030f") + base64.b64decode("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="))]
    site.conf_dns = f'trust_anchor = "{anchor}"'


@case("resolver.lies", level="warning")
def every_name_has_an_address(site):
    class Lying(Server):
        def answer(self, query, tcp):
            if query.kind == A and query.name not in self.zone and query.name.endswith(b".com"):
                return [query.reply(answers=[record(query.name_wire, A, bytes(4))])]
            return super().answer(query, tcp)
    site.server = Lying


@case("resolver.dead")
def dns_is_away(site):
    site.dns_port = free_port()


# TLS

def certificate(site, name, key=None):
    site.main["smtpd_tls_cert_file"] = f"{TOP}/tls/{name}"
    site.main["smtpd_tls_key_file"] = f"{TOP}/tls/{key or name.split('.')[0] + '.key'}"


@case("tls.expired")
def expired(site):
    certificate(site, "expired.full")


@case("tls.expires-soon", level="warning")
def expires_soon(site):
    certificate(site, "soon.full")


@case("tls.name")
def name_of_another_host(site):
    certificate(site, "other.full")


@case("tls.key-mismatch")
def key_of_another(site):
    certificate(site, "host.full", "other.key")


@case("tls.unreadable")
def no_certificate_file(site):
    certificate(site, "gone.full", "host.key")


@case("tls.chain")
def intermediate_is_missing(site):
    certificate(site, "host.pem")


@case("tls.self-signed", level="warning")
def self_signed(site):
    certificate(site, "self.pem")


@case("tls.key-open")
def key_open(site):
    path = f"{site.dir}/host.key"
    shutil.copy(f"{TOP}/tls/host.key", path)
    os.chmod(path, 0o644)
    site.main["smtpd_tls_key_file"] = path


@case("tls.not-offered")
def level_none(site):
    submission(site)["smtpd_tls_security_level"] = "none"


@case({("error", "tls.not-offered"), ("warning", "tls.not-offered")})
def no_certificate(site):
    del site.main["smtpd_tls_cert_file"]
    del site.main["smtpd_tls_key_file"]


@case("tls.wrapper")
def port_465_without(site):
    site.services["smtps"] = ("smtps inet n - y - - smtpd", dict(submission(site)))


@case("tls.old-protocol", level="warning")
def old_tls(site):
    submission(site)["smtpd_tls_mandatory_protocols"] = "!SSLv2,!SSLv3"


@case("auth.without-tls")
def passwords_in_the_clear(site):
    submission(site)["smtpd_tls_security_level"] = "may"
    submission(site)["smtpd_tls_auth_only"] = "no"


@case("auth.on-25", level="warning")
def auth_on_25(site):
    site.services["smtp"][1].update(smtpd_sasl_auth_enable="yes", smtpd_tls_auth_only="yes")


@case("auth.anonymous")
def anonymous(site):
    site.main["smtpd_sasl_security_options"] = "noplaintext"


@case("auth.none")
def no_auth(site):
    del submission(site)["smtpd_sasl_auth_enable"]


@case("relay.open")
def permits_all(site):
    site.services["smtp"][1]["smtpd_relay_restrictions"] = "permit"


@case("relay.open")
def ok_for_own_senders(site):
    """Whoever says that he is from example.org may relay."""
    site.main["smtpd_sender_restrictions"] = ""
    table = site.file("senders", "example.org OK\n")
    site.services["smtp"] = (site.services["smtp"][0] + "\n  -o { smtpd_relay_restrictions = permit_mynetworks, "
                             f"check_sender_access hash:{table}, reject_unauth_destination }}", {})


@case("relay.open")
def every_domain_is_ours(site):
    site.main["relay_domains"] = "static:all"


@case("relay.open")
def a_class_that_permits(site):
    site.main.update(smtpd_restriction_classes="friends", friends="permit", smtpd_relay_restrictions="friends, reject_unauth_destination")


@case("relay.open")
def access_table_says_ok(site):
    site.services["smtp"][1]["smtpd_relay_restrictions"] = \
        f"check_client_access cidr:{site.file('clients', '0.0.0.0/0 OK')}, reject_unauth_destination".replace(" ", "\n    ", 0)
    line, options = site.services["smtp"]
    value = options.pop("smtpd_relay_restrictions")
    site.services["smtp"] = (line + "\n  -o { smtpd_relay_restrictions = " + value + " }", options)


@case("relay.networks")
def everyone_is_a_neighbor(site):
    site.main["mynetworks"] = "127.0.0.0/8 0.0.0.0/0"


@case("relay.networks")
def half(site):
    site.main["mynetworks"] = "127.0.0.0/8 0.0.0.0/1 128.0.0.0/1"


@case("relay.networks")
def network_of_strangers(site):
    site.main["mynetworks"] = "127.0.0.0/8, 203.0.113.0/24"


@case("relay.networks")
def networks_in_a_file(site):
    site.main["mynetworks"] = site.file("networks", "# ours\n127.0.0.0/8\n0.0.0.0/0\n")


@case("relay.networks")
def networks_in_a_cidr_table(site):
    site.main["mynetworks"] = "127.0.0.0/8, cidr:" + site.file("networks", "[::]/0 OK\n")


@case("relay.networks")
def networks_of_one_service(site):
    submission(site)["mynetworks"] = "0.0.0.0/0"


@case("relay.networks", level="warning")
def wider_than_the_host(site):
    site.main["mynetworks"] = "127.0.0.0/8 198.51.100.0/24"


@case("relay.networks", level="warning")
def networks_by_class(site):
    del site.main["mynetworks"]
    site.main["mynetworks_style"] = "subnet"


@case("relay.submission-networks", level="warning")
def neighbors_without_login(site):
    site.main["mynetworks"] = "127.0.0.0/8 192.168.77.0/24"
    submission(site)["smtpd_relay_restrictions"] = "permit_mynetworks,permit_sasl_authenticated,reject"


@case("sign.smtp-header-checks", level="warning")
def rewrites_when_sending(site):
    site.main["smtp_header_checks"] = "regexp:/etc/postfix/smtp_header_checks"


@case("timeout.command")
def impatient(site):
    site.main["milter_command_timeout"] = "10s"


@case("timeout.content", level="warning")
def impatient_at_the_end(site):
    site.main["milter_content_timeout"] = "30s"


# other filters

def opendkim(site, first, **settings):
    """A real OpenDKIM beside us, in front or behind."""
    port = free_port()
    settings = {"Mode": "v", "Socket": f"inet:{port}@127.0.0.1", "UserID": "root", "RequireSafeKeys": "no", **settings}
    conf = site.file("opendkim.conf", "".join(f"{name} {value}\n" for name, value in settings.items()))
    start(os.environ["OPENDKIM"], "-f", "-x", conf, env={**os.environ, "LD_LIBRARY_PATH": os.environ["OPENDKIM_LIBRARIES"]})
    wait_for(lambda: accepts(port))
    pair = [f"inet:127.0.0.1:{port}", f"inet:localhost:{MILTER}"]
    site.main["smtpd_milters"] = ", ".join(pair if first else reversed(pair))


@case("sign.twice", level="warning")
def opendkim_signs(site):
    opendkim(site, False, Mode="sv", Domain="example.org", Selector="s1", KeyFile=f"{site.dir}/keys/example.org/s1.pem")


@case("sign.twice", level="warning")
def opendkim_signs_by_table(site):
    table = site.file("SigningTable", "*@example.org s1\n")
    keys = site.file("KeyTable", f"s1 example.org:s1:{site.dir}/keys/example.org/s1.pem\n")
    opendkim(site, False, SigningTable=f"refile:{table}", KeyTable=f"file:{keys}", Mode="s")


@case("ar.authserv-id", level="warning")
def opendkim_writes_under_our_name(site):
    opendkim(site, True)


@case("ar.authserv-id", level="warning")
def opendkim_is_given_our_name(site):
    opendkim(site, True, AuthservID=f'"{HOST}"')


@case("sign.order", level="warning")
def spamassassin_behind_us(site):
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{MILTER}, unix:spamass/spamass.sock"


@case("sign.order", level="warning")
def disclaimer_by_pipe(site):
    submission(site)["content_filter"] = "dfilt"
    site.services["dfilt"] = ("dfilt unix - n n - - pipe flags=Rq user=nobody argv=/etc/postfix/disclaimer -f ${sender} -- ${recipient}", {})


@case("log.milter-warnings", level="warning")
def postfix_complains(site):
    when = time.strftime("%b %d %H:%M:%S")
    site.main["maillog_file"] = site.file("mail.log", (
        f"Jan  1 00:00:01 mail postfix/smtpd[1]: warning: milter inet:127.0.0.1:{MILTER}: long ago\n"
        f"{when} mail postfix/smtpd[1]: warning: milter inet:127.0.0.1:9: of another\n"
        f"{when} mail postfix/smtpd[1]: warning: milter inet:127.0.0.1:{MILTER}: can't read SMFIC_BODYEOB reply packet header: "
        "Connection timed out\n"))


@case("log.milter-warnings", level="warning")
def postfix_could_not_connect(site):
    site.main["maillog_file"] = site.file("mail.log", time.strftime("%Y-%m-%dT%H:%M:%S.123456+00:00 ") + (
        f"mail postfix/cleanup[1]: warning: connect to Milter service inet:127.0.0.1:{MILTER}: Connection refused\n"))


def deferred(site, senders):
    """Queue files as Postfix writes their beginning."""
    for n, sender in enumerate(senders):
        name = f"{site.dir}/queue/deferred/{n % 16:X}/{n:08X}"
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as file:
            for kind, text in (b"C", b"  100 50 1 0 100 0"), (b"T", b"1764363274 1"), (b"S", sender.encode()), (b"M", b""):
                file.write(kind + bytes([len(text)]) + text)


@case("queue.long", level="warning")
def one_sender_waits(site):
    deferred(site, ["thief@example.org"] * 90 + [f"u{n}@example.org" for n in range(40)])


@case("fd.limit", level="warning")
def few_files(site):
    port = free_port()
    site.conf["listen"] = f'"inet:127.0.0.1:{port}"'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"

    def run():
        start("prlimit", "--nofile=250:250", f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(port))
        wait_for(lambda: accepts(f"{site.dir}/control"))
    site.after.append(run)


@case("rbl.listed", level="warning")
def on_a_blocklist(site):
    site.options += ["--only", "rbl.listed"]
    site.zone[b"25.100.51.198.zen.spamhaus.org"] = [(A, socket.inet_aton("127.0.0.2"))]
    site.zone[b"25.100.51.198.bl.spamcop.net"] = [(A, socket.inet_aton("127.255.255.254"))]


# Redis

def redis(site, *options, more="", **words):
    """A Redis of the site's own."""
    port = free_port()
    start(REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "3600 1", "--dir", site.dir,
          "--appendonly", "no", *options)
    wait_for(lambda: accepts(port))
    words.setdefault("server", f'"127.0.0.1:{port}"')
    site.conf["redis"] = "{ main = { " + "  ".join(f"{k} = {v}" for k, v in words.items()) + more + " } }"
    site.conf["store"] = '"redis:main"'
    return port


def redis_cli(port, *words):
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        data = b"*%d\r\n" % len(words)
        for word in words:
            data += b"$%d\r\n%s\r\n" % (len(word), word.encode())
        peer.sendall(data)
        answer = peer.recv(4096)
        if answer[:1] == b"-":
            sys.exit(f"Bail out! Redis: {answer!r}")


@case("redis.away")
def redis_is_away(site):
    site.conf["redis"] = f'{{ main = {{ server = "127.0.0.1:{free_port()}" }} }}'
    site.conf["store"] = '"redis:main"'


@case("redis.auth")
def redis_wants_a_password(site):
    redis(site, "--requirepass", "secret")


@case("redis.auth")
def password_for_everyone(site):
    redis(site, "--requirepass", "secret", password_file=f'"{site.file("password", "secret")}"')


@case("redis.evicts")
def evicts(site):
    redis(site, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")


@case("redis.forgets", level="warning")
def keeps_nothing(site):
    redis(site, "--save", "")


@case("redis.replica")
def replica(site):
    redis(site, "--replicaof", "127.0.0.1", "1")


@case("redis.refuses-writes")
def memory_is_full(site):
    redis(site, "--maxmemory", "1", "--maxmemory-policy", "noeviction")


class OldRedis(threading.Thread):
    """Answers as a Redis of some version: no package of one so old is left."""

    def __init__(self, version, seconds=0):
        super().__init__(daemon=True)
        self.version, self.seconds = version, seconds
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile("rb") as stream:
            while (line := stream.readline()):
                words = []
                for _ in range(int(line[1:])):
                    words.append(stream.read(int(stream.readline()[1:])).decode())
                    stream.readline()
                peer.sendall(self.answer(words))

    def answer(self, words):
        if words[0] == "TIME":
            now = str(int(time.time()) + self.seconds).encode()
            return b"*2\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(now), now)
        if words[0] == "INFO":
            text = (f"redis_version:{self.version}\r\nrole:master\r\nloading:0\r\naof_enabled:1\r\nmaxmemory:0\r\n"
                    "cluster_enabled:0\r\n").encode()
            return b"$%d\r\n%s\r\n" % (len(text), text)
        return b"*0\r\n" if words[0] in ("EVAL", "CONFIG") else b"+PONG\r\n" if words[0] == "PING" else b"+OK\r\n"


def old_redis(site, *words):
    site.redis = OldRedis(*words)
    site.conf["redis"] = f'{{ main = {{ server = "127.0.0.1:{site.redis.port}" }} }}'
    site.conf["store"] = '"redis:main"'


@case({("error", "redis.version"), ("warning", "redis.lua-hole")})
def redis_of_2018(site):
    old_redis(site, "4.0.14")


@case("redis.lua-hole", level="warning")
def redis_with_a_hole(site):
    old_redis(site, "6.2.14")


@case({("error", "clock.off")})
def an_hour_away_from_redis(site):
    site.ignored = set()
    old_redis(site, "8.2.2", 3600)


@case("redis.clock", level="warning")
def ten_seconds_away_from_redis(site):
    old_redis(site, "8.2.2", 10)


@case("disk.full")
def no_room_for_counters(site):
    small_disk(site, "counters", 100)


@case("disk.full", level="warning")
def little_room_for_counters(site):
    small_disk(site, "counters", 94)


@case("disk.full")
def no_room_in_the_queue(site):
    small_disk(site, "queue", 100)


@case("disk.full")
def no_inodes_in_the_queue(site):
    small_disk(site, "queue", 0, inodes=2)


def small_disk(site, what, percent, inodes=100):
    """1 MB of memory as a disk, so full."""
    path = f"{site.dir}/{what}" if what == "queue" else f"{site.dir}/disk"
    os.makedirs(path)
    sh("mount", "-t", "tmpfs", "-o", f"size=1m,nr_inodes={inodes},mode=0755", "none", path)
    MOUNTED.append(path)
    if percent:
        with open(f"{path}/filled", "wb") as file, contextlib.suppress(OSError):
            file.write(bytes(1 << 20) * percent if percent == 100 else bytes((1 << 20) * percent // 100))
    else:
        with contextlib.suppress(OSError):
            for n in range(10):
                os.mkdir(f"{path}/{n}")
    if what == "counters":
        site.conf["store"] = f'"file:{path}/counters"'


@case("redis.acl")
def a_command_is_missing(site):
    port = redis(site, user='"filter"', password_file=f'"{site.file("password", "secret", 0o600)}"')
    redis_cli(port, "ACL", "SETUSER", "filter", "on", ">secret", "~countersign:*", "+@all", "-zadd")


@case("redis.acl")
def keys_of_another_prefix(site):
    port = redis(site, user='"filter"', password_file=f'"{site.file("password", "secret", 0o600)}"')
    redis_cli(port, "ACL", "SETUSER", "filter", "on", ">secret", "~other:*", "+@all")


@case("redis.cluster-mode")
def a_cluster_unawares(site):
    redis(site, "--cluster-enabled", "yes")


@case("redis.open")
def open_to_the_world(site):
    redis(site, "--bind", "0.0.0.0", "--protected-mode", "no")




# --- healthy sites -------------------------------------------------------------

HEALTHY = []


def healthy(function):
    HEALTHY.append((f"healthy: {function.__name__.replace('_', ' ')}", function))
    return function


@healthy
def plain_postfix(site):
    del site


@healthy
def automatic_roles(site):
    del site.conf["listeners"]
    del submission(site)["milter_macro_daemon_name"]


@healthy
def chroot_and_unix_socket(site):
    unix_site(site, f"{site.dir}/queue/run/milter", "/run/milter")


@healthy
def no_chroot_and_unix_socket(site):
    for name, (line, options) in site.services.items():
        site.services[name] = (line.replace(" - y - ", " - n - "), options)
    site.services["cleanup"] = ("cleanup unix n - n - 0 cleanup", {})
    unix_site(site, f"{site.dir}/run/milter", f"{site.dir}/run/milter")


@healthy
def opendkim_tables(site):
    key = f"{site.dir}/keys/example.org/s1.pem"
    del site.conf["keys"]
    table = site.file("KeyTable", f"s1._domainkey.example.org example.org:s1:{key}\n")
    signing = site.file("SigningTable", "*@example.org s1._domainkey.example.org\n")
    site.conf["dkim"] = f'{{ key_table = "file:{table}"  signing_table = "refile:{signing}" }}'


@healthy
def with_redis(site):
    redis(site)


@healthy
def with_redis_and_rights(site):
    port = redis(site, user='"filter"', password_file=f'"{site.file("password", "secret", 0o600)}"')
    manual = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../filter/countersign-store.5")
    with open(manual, encoding="utf-8") as page:
        rules = re.search(r"It needs these rules.*?\.Bd[^\n]*\n(.*?)\.Ed", page.read(), re.S).group(1)
    redis_cli(port, "ACL", "SETUSER", "filter", "on", ">secret", *rules.split())


@healthy
def hosted_with_tables(site):
    logins = site.file("logins", "alice@example.org alice@example.org\n")
    del site.conf["realm"]
    site.conf["accounts"] = '( { login = "alice@example.org"  owns = ["@example.org"] } )'
    site.conf["owners"] = f'["texthash:{logins}"]'
    submission(site)["smtpd_sender_login_maps"] = f"hash:{logins}"
    submission(site)["smtpd_sender_restrictions"] = "reject_sender_login_mismatch"
    site.services["smtps"] = ("smtps inet n - y - - smtpd", {**submission(site), "smtpd_tls_wrappermode": "yes"})
    site.services["back"] = ("127.0.0.1:10025 inet n - y - - smtpd",
                             {"content_filter": "", "smtpd_milters": "",
                              "smtpd_relay_restrictions": "permit_mynetworks,reject"})
    site.main["content_filter"] = "smtp:[127.0.0.1]:10024"
    site.main["virtual_mailbox_domains"] = "example.org"


@healthy
def postscreen_and_a_macro_for_restrictions(site):
    site.services["smtp"] = ("smtp inet n - y - 1 postscreen", {})
    site.services["smtpd"] = ("smtpd pass - - y - - smtpd", {})
    site.main["mua_relay"] = "permit_sasl_authenticated, reject"
    submission(site)["smtpd_relay_restrictions"] = "$mua_relay"


@healthy
def smarthost_and_private_address(site):
    site.options = []
    site.main["relayhost"] = "[smtp.provider.example]:587"
    spf(site, "v=spf1 include:provider.example ~all")
    site.zone[b"provider.example"] = [txt("v=spf1 ip4:192.0.2.0/24 -all")]


@healthy
def rotation(site):
    make_key(f"{site.dir}/keys/example.org/s2.pem")


@healthy
def inbound_only(site):
    """An MX that sends nothing but bounces: that the domain's SPF record does not name it is right."""
    for name in "realm", "keys", "accounts", "plans", "default_plan":
        del site.conf[name]
    site.conf["listeners"] = '{ mx = { role = "inbound" } }'
    del site.services["submission"]
    del site.main["non_smtpd_milters"]
    site.main["mydestination"] = "example.org, localhost"
    spf(site, "v=spf1 ip4:192.0.2.77 -all")


@healthy
def ipv6_only(site):
    """Postfix connects by IPv6 only, also to us."""
    site.main["inet_protocols"] = "ipv6"
    port = free_port()
    site.conf["listen"] = f'"inet:[::1]:{port}"'
    site.main["smtpd_milters"] = f"inet:[::1]:{port}"

    def run():
        start(f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(port, "::1"))
    site.after.append(run)
    site.options = ["--ip", "2001:db8::25"]
    site.zone[b"5.2" + b".0" * 22 + b".8.b.d.0.1.0.0.2.ip6.arpa"] = [(PTR, HOST.encode())]
    site.zone[HOST.encode()] = [(AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::25")), txt("v=spf1 a -all")]
    spf(site, "v=spf1 mx -all")


@healthy
def hosts_in_mydestination(site):
    """Debian's default: the names of the host are no domains of users."""
    site.main["mydestination"] = f"$myhostname, example.org, debian.example.org, localhost.example.org, localhost"


@healthy
def own_relay_network(site):
    """A network of ours that a listener names is meant; its size is no oversight."""
    site.main["mynetworks"] = "127.0.0.0/8 [::1]/128 198.51.100.0/24"
    site.conf["listeners"] = ('{ users = { role = "submission"  daemon = ["ORIGINATING"] }\n'
                              ' php = { role = "local"  pickup = true }\n'
                              ' apps = { role = "relay"  client = ["198.51.100.0/24"]  account = "apps@example.org" }\n'
                              ' mx = { role = "inbound" } }')
    submission(site)["mynetworks"] = "127.0.0.0/8"


@healthy
def opendkim_verifies_beside_us(site):
    opendkim(site, True, AuthservID="opendkim.example.org")


@healthy
def many_wait_of_many(site):
    deferred(site, [f"u{n}@example.org" for n in range(300)])


@healthy
def on_a_blocklist_and_not_asked(site):
    site.zone[b"25.100.51.198.zen.spamhaus.org"] = [(A, socket.inet_aton("127.0.0.2"))]


@healthy
def countersign_runs_as_it_is(site):
    running(site, lambda: None)


@healthy
def before_filter(site):
    """The filter comes first, then countersign: port 25 has no milter, the way back has it."""
    site.services["smtp"][1].update(smtpd_milters="", smtpd_proxy_filter="127.0.0.1:10024")
    site.services["back"] = ("127.0.0.1:10025 inet n - y - - smtpd", {"smtpd_relay_restrictions": "permit_mynetworks,reject", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"})


@healthy
def bare_accounts(site):
    del site.conf["realm"]
    site.conf["accounts"] = '( { login = "alice"  owns = ["info@example.org", "alice@example.org"] } )'
    site.main.update(smtpd_sasl_type="cyrus", smtpd_sasl_path="smtpd", cyrus_sasl_config_path=f"{site.dir}/sasl")
    site.file("sasl/smtpd.conf", "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")


@healthy
def chainfiles_separate(site):
    for n in "smtpd_tls_cert_file", "smtpd_tls_key_file":
        del site.main[n]
    site.main["smtpd_tls_chain_files"] = f"{TOP}/tls/host.key, {TOP}/tls/host.full"


def with_peers(site, host, peers):
    """A daemon of ours on a port of the host's, which lets these peers in."""
    port = free_port()
    site.conf["listen"] = f'"inet:{host}:{port}"'
    site.conf["peers"] = peers
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"
    def run():
        start(f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf")
        wait_for(lambda: accepts(port))
    site.after.append(run)


@healthy
def peers_users(site):
    with_peers(site, "127.0.0.1", '{ users = ["uucp"] }')


@healthy
def redis_tls(site):
    port = free_port()
    start(REDIS, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "3600 1", "--dir", site.dir,
      "--tls-cert-file", f"{TOP}/tls/host.full", "--tls-key-file", f"{TOP}/tls/host.key", "--tls-auth-clients", "no", "--tls-ca-cert-file", f"{TOP}/tls/root.pem")
    wait_for(lambda: accepts(port))
    site.conf["redis"] = f'{{ main = {{ server = "127.0.0.1:{port}"  tls = true  tls_ca_cert_file = "{TOP}/tls/root.pem"  tls_name = "{HOST}" }} }}'
    site.conf["store"] = '"redis:main"'


@healthy
def null_client(site):
    """sends only by sendmail(1), over a smarthost"""
    for n in ("smtp", "submission"):
        del site.services[n]
    del site.main["smtpd_milters"]
    site.main["non_smtpd_milters"] = "inet:127.0.0.1:%d" % MILTER
    site.main.update(inet_interfaces="loopback-only", mydestination="", relayhost="[smtp.provider.example]:587",
                     smtp_sasl_auth_enable="yes", smtp_sasl_password_maps="hash:/x", smtp_tls_security_level="encrypt")
    for n in ("smtpd_tls_cert_file", "smtpd_tls_key_file"):
        del site.main[n]
    site.options = []
    site.conf["listeners"] = '{ php = { role = "local" pickup = true } }'
    spf(site, "v=spf1 include:provider.example -all")
    site.zone[b"provider.example"] = [txt("v=spf1 ip4:192.0.2.0/24 -all")]


@healthy
def several_submissions(site):
    site.services["smtps"] = ("smtps inet n - y - - smtpd", {**submission(site), "smtpd_tls_wrappermode": "yes"})
    site.services["s2"] = ("2525 inet n - n - - smtpd", {**submission(site)})
    site.services["s3"] = ("127.0.0.1:10587 inet n - n - - smtpd", {**submission(site), "smtpd_tls_security_level": "may", "smtpd_tls_auth_only": "no"})
    site.main.update(multi_instance_name="postfix-out", multi_instance_enable="yes", multi_instance_group="mta")


@healthy
def maps_on_25(site):
    site.file("milter_maps", "10.8.0.0/16 DISABLE\n")
    site.services["smtp"][1]["smtpd_milter_maps"] = f"cidr:{site.dir}/milter_maps"


@healthy
def peers_some(site):
    with_peers(site, "0.0.0.0", '{ users = ["uucp"]  networks = ["127.0.0.0/8", "172.18.0.0/16"] }')


@healthy
def mail_elsewhere_and_softfail(site):
    site.zone[b"example.org"] = [(MX, (1, b"mx.provider.example")), txt(f"v=spf1 ip4:{OURS} ~all")]
    site.zone[b"mx.provider.example"] = [(A, socket.inet_aton("192.0.2.9"))]


@case("socket.permission")
def peers_without_the_mta(site):
    peers_users(site)
    site.conf["peers"] = '{ users = ["nobody"] }'


# --- Sendmail ------------------------------------------------------------------

SENDMAIL_CF = """# a sendmail.cf, as far as it matters
Dj{host}
DS
DM
Xcountersign, S=inet:{port}@127.0.0.1, F=T, T=C:10s;S:30s;R:60s;E:2m
O InputMailFilters=countersign
O DaemonPortOptions=Name=MTA, Port=smtp
O DaemonPortOptions=Name=MSA, Port=submission, M=Ea
O AuthMechanisms=PLAIN LOGIN
O AuthOptions=A,p
O MustQuoteChars=
"""


def sendmail(change=lambda text: text):
    def set_up(site):
        site.use_postfix = False
        path = site.file("sendmail.cf", change(SENDMAIL_CF.format(host=HOST, port=MILTER)))
        site.options += ["--sendmail-cf", path]
        site.conf["listeners"] = '{ users = { role = "submission"  daemon = ["MSA"] }\n' \
            ' msp = { role = "local"  daemon = ["MTA"]  client = ["127.0.0.1", "::1"] }\n' \
            ' mx = { role = "inbound"  daemon = ["MTA"] } }'
    return set_up


def sendmail_cases():
    rows = [
        ("sendmail.no-filter", "error", "another port", lambda t: t.replace(f":{MILTER}@", ":9@")),
        ("sendmail.no-filter", "error", "not in InputMailFilters",
         lambda t: t.replace("InputMailFilters=countersign", "InputMailFilters=other")),
        ("sendmail.flag", "error", "no flag", lambda t: t.replace("F=T, ", "")),
        ("sendmail.flag", "warning", "F=R", lambda t: t.replace("F=T", "F=R")),
        ("sendmail.masquerade", "error", "MASQUERADE_AS", lambda t: t.replace("\nDM", "\nDMexample.net")),
        ("sendmail.masquerade", "error", "genericstable", lambda t: t + "Kgenerics hash /etc/mail/genericstable\n"),
        ("sendmail.quote-chars", "warning", "a full stop", lambda t: t.replace("Chars=", "Chars=.'")),
        ("timeout.command", "error", "R: is missing", lambda t: t.replace("R:60s;", "")),
        ("auth.without-tls", "error", "no p", lambda t: t.replace("A,p", "A")),
        ("auth.none", "error", "no a", lambda t: t.replace("M=Ea", "M=E")),
    ]
    rules = "SBasic_check_rcpt\nR$*\t\t$: $1 $| $>\"Relay_ok\"\n"
    local = "R<?> $+ < @ $=w >\t$@ RELAY\t\tFROM local\n"
    rows += [
        ("relay.open", "error", "promiscuous_relay", lambda t: t + "SBasic_check_rcpt\n"),
        ("relay.open", "error", "relay_local_from", lambda t: t + rules + "SRelay_ok\n" + local),
    ]
    yield "healthy: Sendmail", set(), sendmail()
    yield "healthy: Sendmail that asks who may relay", set(), sendmail(lambda t: t + rules + "SRelay_ok\n")
    for identity, level, words, change in rows:
        yield f"{identity}: Sendmail, {words}", {(level, identity)}, sendmail(change)


# --- all -----------------------------------------------------------------------

def options_work():
    """--only, --skip, text for people, what hangs."""
    site = Site("options")
    site.main["milter_default_action"] = "accept"
    site.zone[S1] = [txt("v=DKIM1; p=")]
    site.lay_out()
    done = site.ask("--json", "--only", "dkim.revoked")
    ids = [f["id"] for f in json.loads(done.stdout)["findings"]]
    Tap.ok(ids == ["dkim.revoked"] and done.returncode == 2, "--only asks for one check", done.stdout)
    done = site.ask("--json", "--skip", "dkim.revoked")
    ids = [f["id"] for f in json.loads(done.stdout)["findings"] if f["level"] == "error"]
    Tap.ok(ids == ["postfix.milter-default-action"], "--skip leaves one out", done.stdout)
    text = site.ask().stdout.decode()
    Tap.ok(re.search(r"^error +postfix\.milter-default-action +" + re.escape(site.dir) + r"/main\.cf:\d+\n"
                     r" +the default action .*\n +cure: milter_default_action = tempfail$", text, re.M) is not None
           and re.search(r"^2 errors, 0 warnings, \d+ unknown$", text.splitlines()[-1]) is not None,
           "text for people", text)
    done = site.ask("--only", "dkim.norecord")
    Tap.ok(done.returncode == 64 and b"no check dkim.norecord" in done.stderr and b"did you mean dkim.no-record?" in done.stderr,
           "an unknown id is refused with the nearest", done.returncode, done.stderr)
    done = site.ask("--skip", "quite-another-thing")
    Tap.ok(done.returncode == 64 and b"countersignctl(8)" in done.stderr, "or with where they are listed", done.stderr)
    site.close()


def nothing_there():
    """What is missing is named, with what to do."""
    site = Site("nothing")
    site.lay_out()
    command = [f"{BUILD}/countersignctl", "-c", f"{site.dir}/countersign.conf", "doctor", "--json", "--ip", OURS]

    def findings(words, **more):
        done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **more)
        return done.returncode, json.loads(done.stdout)["findings"]
    status, found = findings([command[0], "-c", f"{site.dir}/gone.conf"] + command[3:])
    bad = [f for f in found if f["level"] == "error"]
    Tap.ok(status == 2 and [f["id"] for f in bad] == ["config.syntax"] and "No such file" in bad[0]["what"] and bad[0]["cure"],
           "without a configuration there is one error", found)
    status, found = findings(command + ["--postfix-config", site.dir], env={"PATH": "/nowhere"})
    mta = [f for f in found if f["id"] == "postfix.milter-missing"]
    usual = any(os.access(f"{d}/postconf", os.X_OK) for d in ("/usr/sbin", "/usr/local/sbin"))
    Tap.ok(usual or (status == 0 and len(mta) == 1 and mta[0]["level"] == "unknown" and "postconf was not found" in mta[0]["what"]),
           "without postconf Postfix is unknown, and nothing else", found)
    status, found = findings(command + ["--postfix-config", f"{site.dir}/gone"],
                             env={"PATH": f"{POSTFIX}/usr/sbin", "LD_LIBRARY_PATH": f"{POSTFIX}/usr/lib/postfix"})
    Tap.ok(status == 0 and any(f["level"] == "unknown" and "main.cf" in f["what"] for f in found),
           "a directory without main.cf is unknown", found)
    status, found = findings(command + ["--sendmail-cf", f"{site.dir}/gone.cf"])
    Tap.ok(status == 0 and any(f["level"] == "unknown" and "gone.cf" in f["what"] for f in found),
           "so is a sendmail.cf that is not there", found)
    os.chmod(f"{site.dir}/countersign.conf", 0o600)
    shutil.copy(command[0], f"{TOP}/countersignctl")
    status, found = findings([f"{TOP}/countersignctl"] + command[1:], user=65534, group=65534, extra_groups=[])
    Tap.ok(status == 0 and [f["id"] for f in found if f["level"] == "unknown" and f["cure"] == "run this as root"] == ["config.syntax"],
           "who may not read the configuration is told to be root", found)
    site.close()


def daemon_tells():
    """The daemon looks every hour by itself, and raises an event when a record is gone."""
    site = Site("daemon")
    path = f"{site.dir}/milter"
    script = site.file("event", f"#!/bin/sh\ncat >>{site.dir}/events\n", 0o755)
    site.conf.update(listen=f'"unix:{path}"', log='"stderr"', store='"embedded"', event_command=f'["{script}"]')
    shift = site.file("shift", "\0" * 8)
    site.lay_out()

    def turn(seconds):
        with open(shift, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def logged(pattern):
        with open(f"{site.dir}/log", encoding="utf-8") as file:
            return re.search(pattern, file.read()) is not None
    with open(f"{site.dir}/log", "wb") as log:
        RUNNING.append(subprocess.Popen(
            [f"{BUILD}/countersign", "-c", f"{site.dir}/countersign.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "CLOCK_SHIFT": shift, "LD_PRELOAD": f"{BUILD}/tests/support/clock_shift.so"}))
    wait_for(lambda: logged("is ready"))

    def key_asked():
        return sum(1 for name, _ in site.dns.asked if name == S1)
    turn(100)
    wait_for(key_asked)
    wait_for(lambda: (b"example.org", TXT) in site.dns.asked)

    # the round is over when its keys' answers are in; the next one finds no record
    def round_at(seconds):
        before = key_asked()
        turn(seconds)
        wait_for(lambda: key_asked() > before)

    def events():
        try:
            with open(f"{site.dir}/events", encoding="utf-8") as file:
                return [(e["event"], e["check"], e["where"]) for e in map(json.loads, file) if e["event"].startswith("check-")]
        except OSError:
            return []
    good = site.dns.zone[S1]
    del site.dns.zone[S1]
    round_at(4000)
    wait_for(lambda: logged(r"event check-failed: .*has no DNS record"))
    failed = ("check-failed", "dkim.no-record", S1.decode())
    wait_for(lambda: events() == [failed])
    Tap.ok(not logged(r"event check-failed: (?!.*has no DNS record)"), "the daemon tells of a record that is gone")
    round_at(8000)
    site.dns.zone[S1] = [(SILENT, b"")]
    round_at(12000)
    Tap.ok(events() == [failed], "and only once, also while DNS does not answer", events())
    site.dns.zone[S1] = good
    round_at(16000)
    wait_for(lambda: len(events()) > 1)
    Tap.ok(events() == [failed, ("check-passed",) + failed[1:]], "and that it is good again", events())

    def turns(identity, where, breaks, repairs, hours):
        """It is told once when it turns bad, and once when it is good again."""
        def told():
            return [event for event, check, at in events() if (check, at) == (identity, where)]
        breaks()
        round_at(hours * 4000)
        wait_for(lambda: told() == ["check-failed"])
        repairs()
        round_at(hours * 4000 + 4000)
        wait_for(lambda: len(told()) > 1)
        Tap.ok(told() == ["check-failed", "check-passed"], f"the daemon tells of {identity}, too", events())
    mail = site.dns.zone[b"example.org"]
    turns("spf.missing", "example.org", lambda: site.dns.zone.update({b"example.org": mail[:1]}),
          lambda: site.dns.zone.update({b"example.org": mail}), 5)
    # the host's own address is not in the record, and was not at the start: that is no change
    Tap.ok(not any(check == "spf.misses-us" for _, check, _ in events()), "a record that comes back is no new error", events())
    turns("spf.pass-all", "example.org", lambda: site.dns.zone.update({b"example.org": mail[:1] + [txt("v=spf1 +all")]}),
          lambda: site.dns.zone.update({b"example.org": mail}), 7)
    turns("socket.dead", f"unix:{path}", lambda: os.rename(path, f"{path}.away"), lambda: os.rename(f"{path}.away", path), 9)
    site.close()


def hung(site):
    """A Redis and a table server that accept and never answer; DNS that is silent."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    site.keep = listener
    port = listener.getsockname()[1]
    site.conf["redis"] = f'{{ main = {{ server = "127.0.0.1:{port}" }} }}'
    site.conf["store"] = '"redis:main"'
    site.conf["listen"] = f'"inet:127.0.0.1:{port}"'
    site.main["smtpd_milters"] = f"inet:127.0.0.1:{port}"
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    site.keep2 = silent
    site.dns_port = silent.getsockname()[1]


def silent_zone(site):
    """DNS lives, and the own domain does not answer."""
    class Deaf(Server):
        def answer(self, query, tcp):
            return [] if query.name.endswith(b"example.org") or b"arpa" in query.name else super().answer(query, tcp)
    site.server = Deaf


def listed():
    """The manual lists just the checks that there are, and each error has a site here."""
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "filter")
    with open(f"{top}/doctor/doctor.c", encoding="utf-8") as file:
        table = re.findall(r'\{ "([a-z0-9.-]+)", DOCTOR_(ERROR|WARNING|OK),', file.read())
    with open(f"{top}/countersignctl.8", encoding="utf-8") as file:
        manual = re.findall(r"^\.It Cm ([a-z0-9.-]+) Pq (error|warning|ok)$", file.read(), re.M)
    Tap.ok(table and [(i, l.lower()) for i, l in table] == manual, "countersignctl(8) lists the checks",
           sorted(set((i, l.lower()) for i, l in table) ^ set(manual)))
    shown = {identity for _, expected, _ in CASES + list(sendmail_cases()) for _, identity in expected}
    lacking = {identity for identity, level in table if level == "ERROR"} - shown - UNSHOWN
    Tap.ok(not lacking, "each error is shown by a site", sorted(lacking))


def main():
    global MILTER, REDIS_PORT, KEY_RECORD, OTHER_RECORD
    MILTER, REDIS_PORT = free_port(), free_port()
    make_certificates()
    KEY_RECORD = make_key(f"{TOP}/keys/example.org/s1.pem")
    OTHER_RECORD = make_key(f"{TOP}/other/other.pem")
    os.chmod(f"{TOP}/keys", 0o755)
    start(REDIS, "--port", str(REDIS_PORT), "--save", "", "--dir", TOP)
    write(f"{TOP}/milter.conf", f'listen = "inet:127.0.0.1:{MILTER}"\nlog = "stderr"\n')
    start(f"{BUILD}/countersign", "-c", f"{TOP}/milter.conf")
    wait_for(lambda: accepts(MILTER) and accepts(REDIS_PORT))
    wanted = sys.argv[1:]

    cases = [(name, set(), change) for name, change in HEALTHY] + CASES + list(sendmail_cases()) + [
        ("hung: Redis, milter and DNS accept and never answer",
         {("error", "redis.away"), ("error", "socket.dead"), ("error", "resolver.dead")}, hung),
        ("silent: a domain whose servers do not answer is no error", set(), silent_zone)]
    with concurrent.futures.ThreadPoolExecutor(8) as crew:
        for result in crew.map(lambda one: examine(*one),
                               [one for one in cases if not wanted or any(word in one[0] for word in wanted)]):
            Tap.ok(*result)
    listed()
    options_work()
    nothing_there()
    if os.environ.get("SANITIZE"):
        Tap.n += 1
        print(f"ok {Tap.n} - the daemon's own rounds # SKIP LD_PRELOAD comes before the sanitizer's library")
    else:
        daemon_tells()
    print(f"1..{Tap.n}")
    return 1 if Tap.failed else 0


def run(body):
    """Run body, and end whatever was started; its status."""
    code = 1
    try:
        code = body()
    finally:
        for process in RUNNING:
            process.send_signal(signal.SIGTERM)
        for process in RUNNING:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for place in MOUNTED:
            subprocess.run(["umount", place], check=False)
        if os.environ.get("COUNTERSIGN_LAB_KEEP") != "yes":
            shutil.rmtree(TOP, ignore_errors=True)
        sys.stdout.flush()
    return code


if __name__ == "__main__":
    os._exit(run(main))
