"""dmarc_report_run.py - messages in, and what the aggregate reports of the day say of them

The XML is validated with the schema of RFC 9990 (rfc9990.xsd) and read by a parser that knows nothing of the writer.
"""
import email
import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

from dmarc_run import fields_of, make_key, sign
from milter import Milter
from running import Daemon
from tap import done, ok, skip

import dns_server as dns

HERE = os.path.dirname(os.path.abspath(__file__))
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
CONF = """
mode = "enforce"
listen = "inet:127.0.0.1:%(port)d"
control = "%(directory)s/control"
store = "file:%(directory)s/counters"
log = "stderr"
realm = "home.example"
authserv_id = "mx.home.example"
dns = { servers = ["127.0.0.1@%(dns)d"]  timeout = "1500 ms" }
spf = { exempt = []  timeout = "1500 ms" }
dmarc = {
  trusted_forwarders = ["198.51.100.7"]
  overrides = ( { domain = "lenient.example"  policy = "none" } )
  report = { from = "dmarc-noreply@home.example"  org = "Home & <Sons>"  email = "postmaster@home.example"
             extra_contact_info = "https://home.example/dmarc"  sendmail = "%(directory)s/sendmail" }
}
listeners = {
  marks = { role = "inbound"  daemon = ["marks"] }
  obeys = { role = "inbound"  daemon = ["obeys"]  on_dmarc_fail = "policy" }
  watch = { role = "inbound"  daemon = ["watch"]  on_dmarc_fail = "policy"  mode = "watch" }
}
"""
RUA = "; rua=mailto:d@%s"
RECORDS = {
    "bank.example": "v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; fo=1:d; rua=mailto:d@bank.example!10m",
    "none.example": "v=DMARC1; p=none; rua=mailto:d@none.example",
    "test.example": "v=DMARC1; p=reject; t=y; rua=mailto:d@test.example",
    "lenient.example": "v=DMARC1; p=reject; rua=mailto:d@lenient.example",
    "silent.example": "v=DMARC1; p=reject",
    "home.example": "v=DMARC1; p=reject; rua=mailto:d@home.example",
    # addresses of others: with consent, with another address, at another host, without consent, silent; too small, odd
    "far.example": "v=DMARC1; p=none; rua=mailto:far@agreed.example,mailto:far@moved.example,mailto:far@victim.example,"
                   "mailto:far@aimed.example,https://agreed.example/,mailto:-oQ/tmp@far.example,mailto:small@far.example!1k,"
                   "mailto:far@mail.far.example,mailto:far@FAR.example",
    "nobody.example": "v=DMARC1; p=none; rua=mailto:n@victim.example",
    "later.example": "v=DMARC1; p=none; rua=mailto:l@silent.example,mailto:l@later.example",
    "esp.example": "v=DMARC1; p=none",
}
# listener, From, MAIL FROM, d= list, client, other fields, recipient
MAIL = [
    ("obeys", "a@bank.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "b@bank.example", "x@esp.example", [], "192.0.2.9", [], "c@home.example"),
    ("obeys", "a@bank.example", "x@bank.example", ["esp.example", "bank.example"], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@mail.bank.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("marks", "a@bank.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("watch", "a@bank.example", "x@esp.example", [], "192.0.2.10", [], "b@home.example"),
    ("obeys", "a@bank.example", "x@esp.example", [], "198.51.100.7", [], "b@home.example"),
    ("obeys", "a@bank.example", "", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@none.example", "x@esp.example", [], "2001:db8::9", [], "b@home.example"),
    ("obeys", "a@none.example", "x@none.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@test.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@lenient.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@far.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@nobody.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@later.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    # of these, nothing is reported
    ("obeys", "a@silent.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@norecord.example", "x@esp.example", [], "192.0.2.9", [], "b@home.example"),
    ("obeys", "a@bank.example", "x@bank.example", [], "192.0.2.11", [("Subject", " Report Domain: home.example Submitter: bank.example")],
     "b@home.example"),
    ("obeys", "a@bank.example", "x@esp.example", [], "192.0.2.12", [], "dmarc-noreply@home.example"),
]


def zone(key_record):
    made = {}
    for domain, text in RECORDS.items():
        made[b"_dmarc." + domain.encode()] = [(dns.TXT, [text.encode()])]
    for domain in ("bank.example", "none.example", "esp.example"):
        made[domain.encode()] = [(dns.TXT, [b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"])]
    for domain in ("bank.example", "esp.example"):
        made[b"s._domainkey." + domain.encode()] = [(dns.TXT, [key_record[:250], key_record[250:]])]
    made[b"mail.bank.example"] = [(dns.A, b"\xc0\0\2\1")]
    made[b"far.example._report._dmarc.agreed.example"] = [(dns.TXT, [b"v=DMARC1"])]
    made[b"far.example._report._dmarc.moved.example"] = [(dns.TXT, [b"v=DMARC1; rua=mailto:new@moved.example"])]
    made[b"far.example._report._dmarc.aimed.example"] = [(dns.TXT, [b"v=DMARC1; rua=mailto:new@victim.example"])]
    made[b"later.example._report._dmarc.silent.example"] = [(dns.SILENT, None)]
    return made


def send(daemon, key, mail):
    listener, author, sender, signers, client, more, recipient = mail
    fields = fields_of(author) + more
    fields = sign(key, fields, signers) + fields if signers else fields
    milter = Milter(daemon.port)
    milter.negotiate()
    milter.connect(daemon=listener, address=client)
    milter.helo(b"helo.esp.example")
    milter.message([(name.encode(), text.encode("latin1")) for name, text in fields], path=b"<" + sender.encode() + b">",
                   rcpts=(b"<" + recipient.encode() + b">",), i="Q1", body=b"body\r\n")
    milter.quit()


def ctl(daemon, *words):
    program = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "countersignctl")
    return subprocess.run([program, "-c", daemon.conf, *words], capture_output=True, text=True)


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.1)
    return what()


def child(element, name):
    found = element.find(NS + name)
    return found.text or "" if found is not None else None


def rows_of(text):
    """The records of a report as tuples, with its policy and its metadata."""
    root = xml.etree.ElementTree.fromstring(text)
    rows = {}
    for record in root.findall(NS + "record"):
        row, names, results = (record.find(NS + part) for part in ("row", "identifiers", "auth_results"))
        evaluated = row.find(NS + "policy_evaluated")
        rows[(child(row, "source_ip"), child(names, "header_from"), child(names, "envelope_from"),
              child(evaluated, "disposition"), child(evaluated, "dkim"), child(evaluated, "spf"),
              tuple((child(reason, "type"), child(reason, "comment") or "") for reason in evaluated.findall(NS + "reason")),
              tuple((child(one, "domain"), child(one, "selector"), child(one, "result")) for one in results.findall(NS + "dkim")),
              tuple((child(one, "domain"), child(one, "scope"), child(one, "result"))
                    for one in results.findall(NS + "spf")))] = int(child(row, "count"))
    policy = {element.tag[len(NS):]: element.text for element in root.find(NS + "policy_published")}
    metadata = {element.tag[len(NS):]: element.text for element in root.find(NS + "report_metadata")}
    dates = root.find(NS + "report_metadata").find(NS + "date_range")
    return rows, policy, metadata, (int(child(dates, "begin")), int(child(dates, "end")))


def validate(text, directory, what):
    if shutil.which("xmllint") is None:
        skip("%s: not installed: xmllint" % what)
        return
    with open(directory + "/report.xml", "w") as file:
        file.write(text)
    lint = subprocess.run(["xmllint", "--nonet", "--noout", "--schema", HERE + "/rfc9990.xsd", directory + "/report.xml"],
                          capture_output=True, text=True)
    ok(lint.returncode == 0, what, lint.stderr)


def counted(daemon):
    """Domains of today => messages."""
    answer = ctl(daemon, "--json", "dmarc", "report", "--day", "today")
    return {one["domain"]: one["messages"] for one in json.loads(answer.stdout)["domains"]}


ESP = (("esp.example", "mfrom", "pass"),)
BANK = {
    ("192.0.2.9", "bank.example", "esp.example", "reject", "fail", "fail", (), (), ESP): 2,
    ("192.0.2.9", "bank.example", "bank.example", "pass", "pass", "pass", (),
     (("bank.example", "s", "pass"), ("esp.example", "s", "pass")), (("bank.example", "mfrom", "pass"),)): 1,
    ("192.0.2.9", "mail.bank.example", "esp.example", "quarantine", "fail", "fail", (), (), ESP): 1,
    ("192.0.2.9", "bank.example", "esp.example", "none", "fail", "fail", (("local_policy", ""),), (), ESP): 1,
    ("192.0.2.10", "bank.example", "esp.example", "none", "fail", "fail",
     (("local_policy", "nothing is refused yet (mode watch)"),), (), ESP): 1,
    ("198.51.100.7", "bank.example", "esp.example", "none", "fail", "fail", (("trusted_forwarder", ""),), (),
     (("esp.example", "mfrom", "fail"),)): 1,
    ("192.0.2.9", "bank.example", "", "reject", "fail", "fail", (), (), (("helo.esp.example", "mfrom", "none"),)): 1,
}
NONE = {
    ("2001:db8::9", "none.example", "esp.example", "none", "fail", "fail", (), (), ESP): 1,
    ("192.0.2.9", "none.example", "none.example", "none", "fail", "pass", (), (), (("none.example", "mfrom", "pass"),)): 1,
}
TEST = {("192.0.2.9", "test.example", "esp.example", "quarantine", "fail", "fail", (("policy_test_mode", "t=y"),), (), ESP): 1}
LENIENT = {("192.0.2.9", "lenient.example", "esp.example", "none", "fail", "fail", (("local_policy", "an override"),), (), ESP): 1}


def check_reports(daemon, directory):
    wanted = {"bank.example": 8, "none.example": 2, "test.example": 1, "lenient.example": 1,
              "far.example": 1, "nobody.example": 1, "later.example": 1}
    found = wait_for(lambda: counted(daemon) == wanted)
    ok(found, "each domain that wants reports, and its messages", counted(daemon))
    for domain, rows in (("bank.example", BANK), ("none.example", NONE), ("test.example", TEST), ("lenient.example", LENIENT)):
        text = ctl(daemon, "dmarc", "report", "--day", "today", "--print", "--domain", domain).stdout
        validate(text, directory, "%s: the report is valid" % domain)
        found, policy, metadata, dates = rows_of(text)
        ok(found == rows, "%s: its rows" % domain, [row for row in found.items() if row not in rows.items()])
        ok(metadata["org_name"] == "Home & <Sons>" and metadata["email"] == "postmaster@home.example" and
           metadata["report_id"].endswith("." + domain + "@home.example") and
           metadata["extra_contact_info"] == "https://home.example/dmarc" and
           dates[0] % 86400 == 0 and dates[1] == dates[0] + 86399, "%s: who reports, and when" % domain, (metadata, dates))
        if domain == "bank.example":
            ok(policy == {"domain": "bank.example", "discovery_method": "treewalk", "p": "reject", "sp": "quarantine", "np": "reject",
                          "adkim": "s", "aspf": "r", "fo": "1:d", "testing": "n"}, "the published policy", policy)
        if domain == "test.example":
            ok(policy["testing"] == "y" and "sp" not in policy, "a policy that is tested", policy)
    all_text = ctl(daemon, "dmarc", "report", "--day", "today", "--print").stdout
    ok(all_text.count("<?xml") == 7, "all reports at once", all_text[:300])
    answer = ctl(daemon, "dmarc", "report", "--day", "2020-01-01")
    ok(answer.returncode == 0 and "0 domains" in answer.stdout, "a day without any", answer)
    answer = ctl(daemon, "dmarc", "report", "--day", "2020-02-31")
    ok(answer.returncode == 1 and "not a day" in answer.stderr, "what is no day", answer)


SENDMAIL = """#!/bin/sh
test -e %(directory)s/broken && { echo "the queue is full" >&2; exit 75; }
{ printf '%%s\\n' "$@"; echo --; cat; } >%(directory)s/mail.tmp
mv %(directory)s/mail.tmp %(directory)s/mail.$$
"""


def mails_of(directory):
    """The mails that sendmail took: (arguments, message)."""
    found = []
    for name in sorted(os.listdir(directory)):
        if name.startswith("mail.") and name != "mail.tmp":
            with open(directory + "/" + name, encoding="ascii") as file:
                words, _, text = file.read().partition("--\n")
            found.append((words.split("\n")[:-1], email.message_from_string(text)))
            os.remove(directory + "/" + name)
    return found


def states(daemon, day, *words):
    answer = ctl(daemon, "--json", "dmarc", "report", "--day", day, *words)
    return {one["domain"]: one.get("report") for one in json.loads(answer.stdout)["domains"]}


def check_mail(words, mail, day, directory):
    """One mail, as its reader gets it."""
    domain = mail["Subject"].split()[2]
    words_of = mail["Subject"].split()
    part = mail.get_payload()[1]
    text = gzip.decompress(part.get_payload(decode=True)).decode()
    rows, policy, metadata, dates = rows_of(text)
    ok(words == ["-oi", "-f", "dmarc-noreply@home.example", mail["To"]] and mail["From"] == "dmarc-noreply@home.example" and
       words_of == ["Report", "Domain:", domain, "Submitter:", "home.example", "Report-ID:", "<%s>" % metadata["report_id"]] and
       part.get_content_type() == "application/gzip" and
       part.get_filename() == "home.example!%s!%d!%d.xml.gz" % (domain, dates[0], dates[1]) and
       mail["Auto-Submitted"] == "auto-generated" and mail["MIME-Version"] == "1.0" and mail["Date"] and mail["Message-ID"],
       "%s: the mail" % domain, (words, mail.items(), part.get_filename()))
    ok(policy["domain"] == domain and time.strftime("%Y-%m-%d", time.gmtime(dates[0])) == day, "%s: its report" % domain, policy)
    validate(text, directory, "%s: it is valid" % domain)
    return mail["To"]


def check_sending(daemon, directory):
    answer = ctl(daemon, "dmarc", "report", "--day", "today", "--send")
    ok(answer.returncode == 1 and "not over" in answer.stderr, "no report of a day that is not over", answer)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))
    with sqlite3.connect(directory + "/counters.books") as db:
        db.execute("PRAGMA busy_timeout = 30000")
        for table in ("dmarc_rows", "dmarc_domains"):
            db.execute("UPDATE %s SET day = %s" % (table, day.replace("-", "")))
    db.close()
    open(directory + "/broken", "w").close()
    found = states(daemon, day, "--send", "--domain", "test.example")["test.example"]
    ok(found["state"] == "waiting" and "the queue is full" in found["why"] and found["to"] == [] and found["tries"] == 1 and
       500 < found["next"] - time.time() < 610, "what sendmail does not take is tried again later", found)
    os.remove(directory + "/broken")
    found = states(daemon, day, "--send")
    ok(wait_for(lambda: json.loads(ctl(daemon, "--json", "dmarc", "report", "--day", day).stdout)["sending"] is False), "all are sent")
    found = states(daemon, day)
    ok(found["bank.example"]["to"] == ["d@bank.example"] and found["bank.example"]["state"] == "sent", "the own address", found)
    ok(found["test.example"]["state"] == "sent" and found["test.example"]["tries"] == 2, "and what failed before", found)
    ok(found["far.example"]["to"] == ["far@agreed.example", "new@moved.example", "far@mail.far.example", "far@far.example"],
       "those of others that agreed, and no others", found["far.example"])
    ok(found["nobody.example"]["state"] == "none" and "victim.example" in found["nobody.example"]["why"], "a victim gets nothing", found)
    ok(found["later.example"]["state"] == "waiting" and found["later.example"]["to"] == ["l@later.example"], "a silent one waits", found)
    mails = mails_of(directory)
    got = sorted(check_mail(words, mail, day, directory) for words, mail in mails)
    ok(got == sorted(["d@bank.example", "d@none.example", "d@test.example", "d@lenient.example", "far@agreed.example", "far@far.example",
                      "far@mail.far.example", "new@moved.example", "l@later.example"]), "one mail for each", got)
    states(daemon, day, "--send")
    wait_for(lambda: json.loads(ctl(daemon, "--json", "dmarc", "report", "--day", day).stdout)["sending"] is False)
    ok(mails_of(directory) == [], "and none twice")
    answer = ctl(daemon, "dmarc", "report", "--day", day)
    ok("sent to d@bank.example\n" in answer.stdout and "nobody.example" in answer.stdout, "the table", answer.stdout)
    answer = ctl(daemon, "dmarc", "report", "--print", "--send")
    ok(answer.returncode == 64, "--print and --send do not fit together", answer)


def check_command(daemon):
    answer = ctl(daemon, "dmarc", "check", "news.bank.example")
    ok(answer.returncode == 0 and "_dmarc.news.bank.example: no record\n_dmarc.bank.example: v=DMARC1; p=reject" in answer.stdout and
       "organization: bank.example\npolicy: reject, by np of bank.example\nalignment: DKIM strict, SPF relaxed\n"
       "reports to mailto:d@bank.example: ok\n" in answer.stdout, "dmarc check: the walk, the policy, the addresses", answer)
    answer = ctl(daemon, "dmarc", "check", "nobody.example")
    ok(answer.returncode == 1 and "mailto:n@victim.example: refused" in answer.stdout and
       'publish nobody.example._report._dmarc.victim.example. IN TXT "v=DMARC1"' in answer.stdout, "an address without consent", answer)
    answer = ctl(daemon, "dmarc", "check", "norecord.example")
    ok(answer.returncode == 1 and "policy: none applies" in answer.stdout, "no record", answer)
    answer = ctl(daemon, "--json", "dmarc", "check", "test.example")
    policy = json.loads(answer.stdout)["policy"]
    ok(policy["policy"] == "quarantine" and policy["testing"] and policy["addresses"][0]["state"] == "ok", "as JSON", answer)
    answer = ctl(daemon, "dmarc", "check", "no..domain")
    ok(answer.returncode == 64, "no domain", answer)


def guide_steps():
    """The guide's steps in their order: ("record", name, text) and ("command", words, what it prints)."""
    with open(os.path.join(HERE, "..", "..", "contrib", "doc", "countersign-dmarc.7")) as file:
        # an indented line goes on with the one above it
        lines = re.sub(r"\n {4}(?! )", " ", file.read()).split("\n")
    steps = []
    for at, line in enumerate(lines):
        if line.startswith("_dmarc.") and " IN TXT " in line:
            name, _, text = line.partition(". IN TXT ")
            steps.append(("record", name, text.strip('"')))
        elif line.startswith("$ countersignctl "):
            end = at + 1
            while lines[end] != ".Ed" and not lines[end].startswith("$ "):
                end += 1
            steps.append(("command", line.split()[2:], lines[at + 1:end]))
    return steps


def check_guide(daemon, directory):
    """What countersign-dmarc(7) shows is what comes, with the records that it shows."""
    zone = {b"shop.example.org": [(dns.A, b"\xc0\0\2\1")]}
    program = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "countersignctl")
    checks = 0
    for kind, what, shown in guide_steps():
        if kind == "record":
            zone[what.encode()] = [(dns.TXT, [shown.encode()])]
        elif what[:2] == ["dmarc", "check"]:
            server = dns.Server(zone)
            with open(directory + "/guide.conf", "w") as conf:
                conf.write('listen = "inet:127.0.0.1:1"\nauthserv_id = "mx.example.org"\n'
                           'dns = { servers = ["127.0.0.1@%d"] }\n' % server.port)
            answer = subprocess.run([program, "-c", directory + "/guide.conf", *what], capture_output=True, text=True)
            server.close()
            ok(answer.stdout.rstrip("\n").split("\n") == shown, "the guide: %s" % " ".join(what), (answer, shown))
            checks += 1
        else:
            answer = ctl(daemon, *what)
            ok(answer.returncode == 0, "the guide: %s" % " ".join(what), answer)
    ok(checks == 5, "the guide has five looks at DNS", checks)


OWN_CONF = """
mode = "watch"
listen = "inet:127.0.0.1:%(port)d"
control = "%(directory)s/control"
store = "file:%(directory)s/counters"
log = "stderr"
realm = "home.example"
require_tls = false
dkim = { check_dns = false  key_table = "%(directory)s/KeyTable"  signing_table = "refile:%(directory)s/SigningTable" }
%(own)s
dns = { servers = ["127.0.0.1@%(dns)d"]  timeout = "1500 ms" }
listeners = {
  users = { role = "submission"  daemon = ["ORIGINATING"] }
  inbound = { role = "inbound"  daemon = ["INBOUND"] }
}
"""


def own_checked(daemon, wanted):
    """dmarc check --own as JSON, by domain, once the history has what is wanted."""
    def look():
        answer = ctl(daemon, "--json", "dmarc", "check", "--own")
        found = {one["domain"]: one for one in json.loads(answer.stdout).get("domains", [])}
        counts = {name: (one["aligned"], one["unaligned"]) for name, one in found.items()}
        return counts == wanted and (answer.returncode, found)
    found = wait_for(look)
    ok(found, "dmarc check --own counts", (ctl(daemon, "--json", "dmarc", "check", "--own"), daemon.said()))
    return found or (None, {})


def submit(daemon, *authors, daemon_name="ORIGINATING"):
    for at, author in enumerate(authors):
        milter = Milter(daemon.port)
        milter.negotiate()
        milter.connect(daemon=daemon_name, address="192.0.2.9")
        milter.helo()
        milter.message([(name.encode(), text.encode()) for name, text in fields_of(author)], path=b"<" + author.encode() + b">",
                       i="O%d" % at, auth_type="PLAIN", auth_authen=author)
        milter.quit()


def check_own(program, directory):
    """Our own domains: what of today's mail aligns, and the record to publish next."""
    make_key(directory + "/key.pem")
    with open(directory + "/KeyTable", "w") as file:
        file.write("home home.example:s1:%s/key.pem\n" % directory)
    with open(directory + "/SigningTable", "w") as file:
        file.write("*@home.example home\n*@news.home.example home\n*@hard.example home\n")
    records = {"home.example": b"v=DMARC1; p=none; sp=none; rua=mailto:d@home.example",
               "idle.example": b"v=DMARC1; p=reject", "hard.example": b"v=DMARC1; p=reject; adkim=s"}
    server = dns.Server({b"_dmarc." + name.encode(): [(dns.TXT, [text])] for name, text in records.items()})
    text = 'own_domains = ["home.example", "bare.example", "idle.example", "hard.example", "sub.home.example"]'
    conf = {"directory": directory, "dns": server.port}
    daemon = Daemon(program, directory, lambda port: OWN_CONF % dict(conf, port=port, own=text))
    submit(daemon, "a@home.example", "a@home.example", "a@news.home.example", "a@bare.example", "a@hard.example", "a@foreign.example")
    submit(daemon, "a@home.example", daemon_name="INBOUND")
    status, found = own_checked(daemon, {"home.example": (3, 0), "bare.example": (0, 1), "idle.example": (0, 0),
                                         "hard.example": (0, 1), "sub.home.example": (0, 0)})
    if found:
        ok(status == 1, "not all are ready", status)
        ok(found["home.example"]["ready"] and found["home.example"]["next"] ==
           "v=DMARC1; p=reject; t=y; sp=none; rua=mailto:d@home.example", "the next record, with its other tags", found["home.example"])
        ok(not found["bare.example"]["ready"] and found["bare.example"]["next"] == "v=DMARC1; p=none; rua=mailto:dmarc@bare.example" and
           found["bare.example"]["examples"] == [{"domain": "bare.example", "account": "a@bare.example", "sign": "", "messages": 1}],
           "who sends without a signature", found["bare.example"])
        ok(found["hard.example"]["next"] == "v=DMARC1; p=none; adkim=s", "a policy that hurts our mail", found["hard.example"])
        ok(found["idle.example"]["next"] is None and found["sub.home.example"]["next"] is None and not found["idle.example"]["ready"],
           "no mail: nothing is known; a record above is not replaced by a weaker one", found)
    answer = ctl(daemon, "dmarc", "check", "--own")
    ok(answer.returncode == 1 and "home.example: aligned 3, not aligned 0\n" in answer.stdout and
       "  not aligned: 1 from hard.example, account a@hard.example, signed by home.example/s1\n" in answer.stdout and
       "  not aligned: 1 from bare.example, account a@bare.example, not signed\n" in answer.stdout and
       '  publish _dmarc.home.example. IN TXT "v=DMARC1; p=reject; t=y; sp=none; rua=mailto:d@home.example"\n' in answer.stdout,
       "for people", answer)
    ok(ctl(daemon, "dmarc", "check").returncode == 64 and ctl(daemon, "dmarc", "check", "--own", "a.example").returncode == 64,
       "DOMAIN or --own")
    daemon.stop()
    # the default: the realm and the domains that sign
    daemon = Daemon(program, directory, lambda port: OWN_CONF % dict(conf, port=port, own=""))
    status, found = own_checked(daemon, {"home.example": (3, 0)})
    ok(status == 0, "all are ready", (status, found))
    daemon.stop()
    server.close()


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="dmarc_own.") as directory:
        check_own(program, directory)
    with tempfile.TemporaryDirectory(prefix="dmarc_report.") as directory:
        key, record = make_key(directory + "/key.pem")
        server = dns.Server(zone(record))
        daemon = Daemon(program, directory,
                        lambda port: CONF % {"port": port, "dns": server.port, "directory": directory})
        try:
            for mail in MAIL:
                send(daemon, key, mail)
            check_reports(daemon, directory)
            with open(directory + "/sendmail", "w") as file:
                file.write(SENDMAIL % {"directory": directory})
            os.chmod(directory + "/sendmail", 0o755)
            check_sending(daemon, directory)
            check_command(daemon)
            check_guide(daemon, directory)
        finally:
            status = daemon.stop()
            server.close()
        text = daemon.said()
        ok(status == 0 and "Sanitizer" not in text and "runtime error" not in text, "the daemon stopped cleanly", text[-2000:])
    done()


main()
