"""spf_suite_run.py - every test of the suite as a conversation with a daemon that asks a real name server

The documents of the suite give the same names different records, so each has a name server
and a daemon of its own. The result is read from Authentication-Results; an
explanation is what the refusal says behind "explains:", where a % is written twice, as
libmilter has it.
"""
import os
import re
import socket
import sys
import tempfile

import yaml

from milter import FIELDS, Milter
from running import Daemon
from tap import done, ok

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import dns_server as dns  # noqa: E402

CONF = """
mode = "enforce"
listen = "inet:127.0.0.1:%d"
log = "stderr"
authserv_id = "receiver.example"
dns = { servers = ["127.0.0.1@%d"] }
spf = { exempt = []  timeout = "1500 ms" }
listeners = {
  marks   = { role = "inbound"  daemon = ["marks"] }
  refuses = { role = "inbound"  daemon = ["refuses"]  on_spf_fail = "reject" }
}
"""
EXPLANATION_MAX = 240   # octets of a reply, with the words before it


def octets(text):
    """The suite writes octets as the code points of the same number."""
    return str(text).encode("latin1")


def strings(value):
    """The character-strings of a TXT record; one at least, as DNS has it."""
    parts = []
    for part in value if isinstance(value, list) else [value]:
        part = octets(part)
        parts += [part[at:at + 255] for at in range(0, len(part), 255)]
    return parts or [b""]


def zone_of(document):
    """The zone data as dns_server.py wants it; SPF records count as TXT where there are none."""
    zone = {}
    for name, records in document["zonedata"].items():
        made = zone.setdefault(octets(name).rstrip(b"."), [])
        has_txt = any(isinstance(entry, dict) and "TXT" in entry for entry in records)
        for entry in records:
            if not isinstance(entry, dict):
                made.append((dns.SILENT, None))
                continue
            for kind, value in entry.items():
                if kind == "MX":
                    made.append((dns.MX, (value[0], octets(value[1]))))
                elif kind == "A":
                    made.append((dns.A, socket.inet_aton(value)))
                elif kind == "AAAA":
                    made.append((dns.AAAA, socket.inet_pton(socket.AF_INET6, value)))
                elif kind in ("PTR", "CNAME"):
                    made.append((dns.PTR if kind == "PTR" else dns.CNAME, octets(value)))
                elif value != "NONE" and (kind == "TXT" or not has_txt):
                    made.append((dns.TXT, strings(value)))
    return zone


def converse(daemon, listener, test):
    """One message; what the filter answered, its reply, and the value of Authentication-Results."""
    milter = Milter(daemon.port)
    milter.negotiate()
    milter.connect(daemon=listener, address=test["host"])
    milter.helo(octets(test["helo"]))
    answer = milter.message(FIELDS, path=b"<" + octets(test["mailfrom"]) + b">", i="Q1")
    results = [data[4:] for command, data in milter.edits if command == "i"]
    milter.quit()
    fields = [value for value in results if value.startswith(b"Authentication-Results\0")]
    return answer, milter.reply_text.decode("latin1"), fields[0].decode("latin1") if fields else ""


def check(daemon, name, test):
    wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
    answer, reply, field = converse(daemon, "marks", test)
    found = re.findall(r"\bspf=(\w+)", field)
    # the last one is that of MAIL FROM; for a null sender there is one for both
    good = answer in ("eom c", "eom a") and found and found[-1] in wanted
    ok(good, "%s: %s" % (name, "/".join(wanted)), (answer, reply, field))
    if "explanation" not in test:
        return
    answer, reply, field = converse(daemon, "refuses", test)
    told = reply.partition("; that domain explains: ")[2]
    expected = "" if test["explanation"] == "DEFAULT" else test["explanation"]
    expected = ("; that domain explains: " + expected)[:EXPLANATION_MAX][len("; that domain explains: "):]
    ok(answer == "mail y" and reply.startswith("550 5.7.23 ") and told == expected.replace("%", "%%"),
       "%s: the explanation" % name, (answer, reply))


def main():
    program, suite = sys.argv[1:]
    explanations = tests = 0
    with open(suite, encoding="utf-8") as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    for document in documents:
        with tempfile.TemporaryDirectory(prefix="spf_suite.") as directory:
            server = dns.Server(zone_of(document))
            daemon = Daemon(program, directory, lambda port: CONF % (port, server.port))
            for name, test in document["tests"].items():
                tests += 1
                explanations += "explanation" in test
                check(daemon, name, test)
            status = daemon.stop()
            text = daemon.said()
            ok(status == 0 and "Sanitizer" not in text and "runtime error" not in text,
               "%s: the daemon stopped cleanly" % document["description"], text[-2000:])
            server.close()
    ok(tests == 203, "203 tests", tests)
    ok(explanations == 22, "22 of them with an explanation", explanations)
    done()


main()
