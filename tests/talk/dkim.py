"""dkim.py - which domain signs, by OpenDKIM's tables, and that none ever signs for the wrong name

Each row is a conversation and the signatures it should end with, as domain/selector.
What the signatures are worth is tested with verifiers of others (tests/mta/dkim.test).
"""
import os
import re
import sys

from milter import Milter
from tap import done, ok

port = int(sys.argv[1])
directory = sys.argv[3]


def tag(value, name):
    found = re.search(rb"(?:^|[;\s])" + name + rb"=\s*([^;]*)", value)
    return re.sub(rb"\s", b"", found.group(1)).decode() if found else None


def signatures(m):
    """The DKIM-Signature fields that were inserted, the uppermost first."""
    values = []
    for command, data in m.edits:
        name, value = data[4:].split(b"\0")[:2]
        if command == "i" and name == b"DKIM-Signature":
            values.insert(0, value)
    return values


def send(daemon, fields, sender=b"<alice@example.org>", login="alice", **connection):
    """(stage and reply, signatures)"""
    m = Milter(port).begin(daemon=daemon, **connection)
    macros = dict(i="D1")
    if login:
        macros.update(auth_type="PLAIN", auth_authen=login)
    header = [(b"To", b" bob@elsewhere.example"), (b"Subject", b" hello"),
              (b"Date", b" Mon, 02 Nov 2026 10:00:00 +0000"), (b"Message-ID", b" <1@client.example>")]
    seen = m.message([(n.encode(), v.encode()) for n, v in fields] + header, path=sender, **macros)
    made = signatures(m)
    m.quit()
    return seen, made


def names(made):
    return " ".join("%s/%s" % (tag(value, b"d"), tag(value, b"s")) for value in made)


# --- what the tables say

ROWS = [
    # label, From, reply, signatures
    ("two lines, two signatures, RSA first", "alice@example.org", "eom c", "example.org/s1 example.org/e1"),
    ("upper case and a display name", '"A" <ALICE@Example.ORG>', "eom c", "example.org/s1 example.org/e1"),
    ("a subaddress", "alice+x@example.org", "eom c", "example.org/s1 example.org/e1"),
    ("another domain of the account", "alice@example.net", "eom c", "example.net/s1"),
    ("a key whose path holds the domain", "x@bycustomer.example", "eom c", "bycustomer.example/mail"),
    ("where that file is not there: as the group says", "x@other.example", "eom c", ""),
    ("no line at all: not signed, not missed", "x@none.example", "eom c", ""),
    ("a key that is gone: tempfail for this domain", "x@bank.example", "eom y", ""),
    ("reject for that one", "x@shop.example", "eom y", ""),
    ("unsigned for others", "x@free.example", "eom c", ""),
    ("U-labels in From", "x@b\u00fccher.example", "eom c", "xn--bcher-kva.example/s1"),
    ("A-labels in From", "x@xn--bcher-kva.example", "eom c", "xn--bcher-kva.example/s1"),
]
for label, address, reply, expected in ROWS:
    seen, made = send("ORIGINATING", [("From", " " + address)])
    ok(seen == reply and names(made) == expected, "%s: %s" % (label, expected or reply), (seen, made))

seen, made = send("local", [("From", " x@bank.example")], sender=b"x@bank.example", login="", port=0)
ok(seen == "eom c", "local: tempfail for a domain without its key is not for maildrop", seen)
seen, made = send("ORIGINATING", [("From", " x@b\u00fccher.example")])
ok(made and tag(made[0], b"c") == "simple/simple", "canonicalisation as this domain wants it", made)
ok(made and int(tag(made[0], b"x")) - int(tag(made[0], b"t")) == 5 * 86400, "and an expiry of five days", made)
ok(made and tag(made[0], b"i") is None, "and no i=", made)
seen, made = send("ORIGINATING", [("From", " x@id.example")])
ok(made and tag(made[0], b"i") == "helpdesk@id.example", "i= of the table, with the domain put in", made)
ok(made and tag(made[0], b"x") is None and tag(made[0], b"c") == "relaxed/relaxed", "the rest as all domains have it", made)
seen, made = send("ORIGINATING", [("From", " alice@example.net")])
ok(made and tag(made[0], b"i") == "alice@example.net", "i= of the From address", made)

# --- a key that comes back is used, one that is in use may go

os.rename(directory + "/k3", directory + "/gone")
seen, made = send("ORIGINATING", [("From", " x@bank.example")])
ok(names(made) == "bank.example/s1", "a key that has come is used with the next message", (seen, made))
os.rename(directory + "/gone", directory + "/k3")
seen, made = send("ORIGINATING", [("From", " x@bank.example")])
ok(names(made) == "bank.example/s1", "and stays in use until the reload", (seen, made))

# --- never for the wrong name

FOREIGN = [
    # label, listener, login, sender, header fields, reply
    ("foreign From, enforced", "ORIGINATING", "dave", b"<dave@example.org>", [("From", " alice@example.org")], "eoh y"),
    ("foreign From, watched", "WATCHED", "dave", b"<dave@example.org>", [("From", " alice@example.org")], "eom c"),
    ("foreign From, accepted", "LAX", "dave", b"<dave@example.org>", [("From", " alice@example.org")], "eom c"),
    ("foreign envelope, watched", "WATCHED", "dave", b"<alice@example.org>", [("From", " dave@example.org")], "eom c"),
    ("foreign envelope, accepted", "LAX", "dave", b"<alice@example.org>", [("From", " dave@example.org")], "eom c"),
    ("foreign Sender, watched", "WATCHED", "dave", b"<dave@example.org>",
     [("From", " dave@example.org"), ("Sender", " alice@example.org")], "eom c"),
    ("foreign Sender, accepted", "LAX", "dave", b"<dave@example.org>",
     [("From", " dave@example.org"), ("Sender", " alice@example.org")], "eom c"),
    ("foreign Resent-From, accepted", "LAX", "dave", b"<dave@example.org>",
     [("Resent-From", " alice@example.org"), ("From", " dave@example.org")], "eom c"),
    ("foreign Resent-Sender, accepted", "LAX", "dave", b"<dave@example.org>",
     [("Resent-Sender", " alice@example.org"), ("From", " dave@example.org")], "eom c"),
    ("own Resent-From above a foreign From, accepted", "LAX", "dave", b"<dave@example.org>",
     [("Resent-From", " dave@example.org"), ("From", " alice@example.org")], "eom c"),
    ("one foreign mailbox of two, accepted", "LAX", "dave", b"<dave@example.org>",
     [("From", " dave@example.org, alice@example.org")], "eom c"),
    ("the foreign one in a group, accepted", "LAX", "dave", b"<dave@example.org>",
     [("From", " team: dave@example.org, alice@example.org;")], "eom c"),
    ("two From fields, accepted", "LAX", "dave", b"<dave@example.org>",
     [("From", " dave@example.org"), ("From", " dave@example.org")], "eom c"),
    ("malformed From, accepted", "LAX", "dave", b"<dave@example.org>", [("From", " dave@example.org <")], "eom c"),
    ("no From, accepted", "LAX", "dave", b"<dave@example.org>", [], "eom c"),
    ("null sender with a foreign From, accepted", "LAX", "dave", b"<>", [("From", " alice@example.org")], "eom c"),
    ("no login, watched", "WATCHED", "", b"<alice@example.org>", [("From", " alice@example.org")], "eom c"),
    ("relay: another domain than sign_as", "lists", "", b"<bounces@lists.example.net>", [("From", " alice@example.org")], "eom c"),
    ("relay: an owned domain, not below sign_as", "lists", "", b"<x@example.net>", [("From", " x@example.net")], "eom c"),
    ("relay: foreign Sender", "lists", "", b"<x@lists.example.net>",
     [("From", " x@lists.example.net"), ("Sender", " alice@example.org")], "eom c"),
    ("relay: sign_as though all is owned", "tied", "", b"<x@example.org>", [("From", " x@example.org")], "eom c"),
    ("relay: a login does not help a foreign From", "lists", "alice", b"<alice@example.org>",
     [("From", " alice@example.org")], "mail y"),
    ("local: foreign From", "local", "", b"dave@example.org", [("From", " alice@example.org")], "eom c"),
    ("local: foreign From, accepted", "phpfree", "", b"dave@example.org", [("From", " alice@example.org")], "eom c"),
    ("local: null sender", "local", "", b"", [("From", " alice@example.org")], "eom c"),
    ("inbound: our own domain from outside", "mx", "", b"<alice@example.org>", [("From", " alice@example.org")], "eom c"),
    ("inbound: two From fields, as RFC 5322 allows one", "mx", "", b"<alice@example.org>",
     [("From", " alice@example.org"), ("From", " alice@example.org")], "eoh y"),
    ("inbound: a login is refused", "mx", "alice", b"<alice@example.org>", [("From", " alice@example.org")], "mail y"),
]
for label, listener, login, sender, fields, reply in FOREIGN:
    local = dict(port=0) if listener in ("local", "phpfree") else {}
    seen, made = send(listener, fields, sender=sender, login=login, **local)
    ok(seen == reply and not made, "unsigned: %s" % label, (seen, made))

OWNED = [
    ("a null sender with the login's own From", "LAX", "alice", b"<>", "alice@example.org", "example.org/s1 example.org/e1"),
    ("relay: sign_as", "lists", "", b"<bounces@lists.example.net>", "x@lists.example.net", "lists.example.net/s1"),
    ("relay: an account that owns everything", "trusted", "", b"<x@example.net>", "x@example.net", "example.net/s1"),
    ("relay: the same, tied to a domain", "tied", "", b"<x@example.net>", "x@example.net", "example.net/s1"),
    ("local: own From", "local", "", b"dave@example.org", "dave@example.org", "example.org/s1 example.org/e1"),
]
for label, listener, login, sender, address, expected in OWNED:
    local = dict(port=0) if listener == "local" else {}
    seen, made = send(listener, [("From", " " + address)], sender=sender, login=login, **local)
    ok(seen == "eom c" and names(made) == expected, "signed: %s: %s" % (label, expected), (seen, made))

# what a client writes itself is never taken for ours
seen, made = send("ORIGINATING", [("DKIM-Signature", " v=1; d=bank.example"), ("From", " alice@example.org")])
ok(names(made) == "example.org/s1 example.org/e1", "a DKIM-Signature of the client changes nothing", made)
ok(made and "dkim-signature" not in tag(made[0], b"h").lower().split(":"), "and is not signed", made)

with open("/proc/%s/limits" % sys.argv[2]) as limits:
    core = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
ok(core == [["0", "0"]], "the daemon leaves no core file, which would hold its keys", core)

done()
