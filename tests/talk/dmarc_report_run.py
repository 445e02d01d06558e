"""dmarc_report_run.py - messages in, and what the aggregate reports of the day say of them

The XML is validated with the schema of RFC 9990 (rfc9990.xsd) and read by a parser that knows nothing of the writer.
"""
import json
import os
import shutil
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
    wanted = {"bank.example": 8, "none.example": 2, "test.example": 1, "lenient.example": 1}
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
    ok(all_text.count("<?xml") == 4, "all reports at once", all_text[:300])
    answer = ctl(daemon, "dmarc", "report", "--day", "2020-01-01")
    ok(answer.returncode == 0 and "0 domains" in answer.stdout, "a day without any", answer)
    answer = ctl(daemon, "dmarc", "report", "--day", "2020-02-31")
    ok(answer.returncode == 1 and "not a day" in answer.stderr, "what is no day", answer)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="dmarc_report.") as directory:
        key, record = make_key(directory + "/key.pem")
        server = dns.Server(zone(record))
        daemon = Daemon(program, directory,
                        lambda port: CONF % {"port": port, "dns": server.port, "directory": directory})
        for mail in MAIL:
            send(daemon, key, mail)
        check_reports(daemon, directory)
        status = daemon.stop()
        text = daemon.said()
        ok(status == 0 and "Sanitizer" not in text and "runtime error" not in text, "the daemon stopped cleanly", text[-2000:])
        server.close()
    done()


main()
