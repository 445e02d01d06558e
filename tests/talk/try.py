"""try.py - countersignctl try and the daemon give the same verdict and the same reply"""
import json
import os
import subprocess
import sys

from milter import FIELDS, Milter
from tap import done, ok

port = int(sys.argv[1])
directory = sys.argv[3]
DAEMONS = {"users": "ORIGINATING", "strict": "STRICT", "watched": "WATCHED", "held": "HELD",
           "lists": "lists", "apps": "apps", "mx": "mx", "php": "local"}
STATUS = {"accept": 0, "warn": 0, "quarantine": 3, "tempfail": 4, "reject": 5}


def run(arguments, text, *more):
    return subprocess.run([os.environ["COUNTERSIGNCTL"], "-c", directory + "/conf", *more, "try", *arguments],
                          input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def by_daemon(listener, login, sender, header_from, rcpts, client):
    """Verdict, reply and signature, as the MTA sees them."""
    macros = {"i": "TRY"}
    if login is not None:
        macros.update(auth_type="PLAIN", auth_authen=login)
    fields = [(b"From", b" " + header_from.encode())] + FIELDS[1:]
    milter = Milter(port)
    milter.negotiate()
    milter.connect(daemon=DAEMONS[listener], address=client, port=0 if listener == "php" else 1234)
    milter.helo()
    ended = milter.message(fields, path=sender.encode(), rcpts=[b"<" + r.encode() + b">" for r in rcpts], **macros)
    edits = milter.edits
    milter.quit()
    reply = milter.reply_text.decode().replace("%%", "%") if ended[-1] == "y" else None
    verdict = "accept"
    if reply is not None:
        verdict = "reject" if reply[0] == "5" else "tempfail"
    elif any(command == "q" for command, _ in edits):
        verdict = "quarantine"
    return verdict, reply, any(b"DKIM-Signature" in data for _, data in edits)


def message(header_from, end=b"\n"):
    fields = [(b"From", b" " + header_from.encode())] + FIELDS[1:]
    return end.join(name + b":" + value for name, value in fields) + end + end + b"Hello." + end


def case(listener, login, sender, header_from=None, rcpt="bob@elsewhere.example", client="192.0.2.7"):
    """One message through both."""
    header_from = header_from or sender
    rcpts = rcpt if isinstance(rcpt, list) else [rcpt]
    path = sender if sender.startswith("<") else "<%s>" % sender
    expected = by_daemon(listener, login, path, header_from, rcpts, client)
    arguments = ["--listener", listener, "--from", sender, "--client", client]
    for address in rcpts:
        arguments += ["--rcpt", address]
    if login is not None:
        arguments += ["--login", login]
    tried = run(arguments, message(header_from), "--json")
    what = "%s %s %s %s %s" % (listener, login, sender, header_from, rcpt)
    try:
        found = json.loads(tried.stdout)
    except ValueError:
        ok(False, what, tried)
        return
    signed = any(field["name"] == "DKIM-Signature" for field in found["added"])
    verdict = "accept" if found["verdict"] == "warn" else found["verdict"]
    seen = (verdict, found["reply"], signed)
    ok(seen == expected and tried.returncode == STATUS[verdict], what, (expected, seen, tried.returncode))


ORG = "@example.org"
case("users", "u1001", "alice" + ORG)
case("users", "u1002", "bob" + ORG)
case("users", "u1002", "alice" + ORG)
case("users", "u1001", "u1001" + ORG)
case("users", "carol", "carol" + ORG)
case("users", "dave", "dave" + ORG)
case("users", "dave", "dave" + ORG, client="10.1.2.3")
case("users", "erin", "erin" + ORG)
case("users", "erin", "erin" + ORG, client="10.1.2.3")
case("users", "frank", "frank" + ORG)
case("users", None, "bob" + ORG)
case("users", "alice", "<>", "alice" + ORG)
case("users", "alice", "alice" + ORG, "bob" + ORG)
case("users", "alice", "alice" + ORG, "alice" + ORG + ", ceo@bank.example")
case("users", "alice", "alice" + ORG, "nonsense")
case("users", "alice", "alice" + ORG, "Alice\n <alice" + ORG + ">")
case("users", "alice", "alice" + ORG, rcpt="announce" + ORG)
case("users", "bob", "bob" + ORG, rcpt="announce" + ORG)
case("users", "bob", "bob" + ORG, rcpt="Announce+x@EXAMPLE.org")
case("users", "bob", "bob" + ORG, rcpt="announce%example.org" + ORG)
case("users", "alice", "alice" + ORG, rcpt="any@closed.example.org")
case("users", "carol", "carol" + ORG, rcpt="any@closed.example.org")
case("users", "alice", "alice" + ORG, '"ceo@bank.example" <alice@example.org>')
case("users", "alice", "alice" + ORG, "=?utf-8?B?4oCuZWxwbWF4ZS5rbmFi?= <alice@example.org>")
case("users", "alice", "alice" + ORG, '"Bank <ceo@bank.example>" <alice@example.org>')
case("users", "app", "x@elsewhere.example", rcpt=["%s@x.example" % c for c in "abcd"])
case("users", "app", "x@elsewhere.example", rcpt=["a@x.example", "b@x.example"])
case("strict", "alice", "alice" + ORG, '"Bank <ceo@bank.example>" <alice@example.org>')
case("strict", "alice", "alice" + ORG, "=?utf-8?Q?ceo=40bank.example?= <alice@example.org>")
case("strict", "alice", "alice" + ORG, "x@bank.example")
case("watched", "alice", "alice" + ORG, "bob" + ORG)
case("held", "alice", "alice" + ORG, "bob" + ORG)
case("lists", None, "list@example.net", client="192.0.2.9")
case("lists", None, "list" + ORG, client="192.0.2.9")
case("lists", None, "list@example.net", "member@elsewhere.example", client="192.0.2.9")
case("apps", None, "shop" + ORG, client="192.0.2.8")
case("apps", None, "alice" + ORG, client="192.0.2.8")
case("apps", None, "shop" + ORG, client="198.51.100.1")
case("mx", None, "alice" + ORG, rcpt="announce" + ORG)
case("mx", None, "x@stranger.invalid")
case("php", None, "bob" + ORG, rcpt="announce" + ORG, client="127.0.0.1")
case("php", None, "alice" + ORG, rcpt="announce" + ORG, client="127.0.0.1")

ALICE = ["--listener", "users", "--login", "alice", "--from", "alice" + ORG, "--rcpt", "bob@elsewhere.example"]
good = message("alice" + ORG)
seen = run(ALICE, message("alice" + ORG, b"\r\n"), "--json")
ok(json.loads(seen.stdout)["verdict"] == "accept", "a message with CRLF", seen)
seen = run(ALICE, good + b"a\0b\n")
ok(seen.returncode == 1 and b"NUL" in seen.stderr, "a NUL is refused", seen)
seen = run(ALICE, good + b"a\rb\n")
ok(seen.returncode == 1 and b"bare CR" in seen.stderr, "a bare CR is refused", seen)
seen = run(ALICE + ["--plain"], b"")
ok(seen.returncode == 0 and b"verdict    accept" in seen.stdout, "a message of its own", seen)
seen = run(ALICE + ["--print"], good)
ok(seen.returncode == 0 and b"DKIM-Signature: " in seen.stdout and seen.stdout.endswith(good), "--print", seen)
seen = run(["--listener", "other"] + ALICE[2:], good)
ok(seen.returncode == 1 and b"it has: users, strict" in seen.stderr, "no such listener", seen)
seen = run(["--listener", "watched"] + ALICE[2:4] + ["--from", "bob" + ORG] + ALICE[6:], good)
ok(seen.returncode == 0 and b"mode enforce would: reject" in seen.stdout, "what mode watch changes", seen)
seen = subprocess.run([os.environ["COUNTERSIGNCTL"], "-c", directory + "/conf", "--json", "last", "alice", "--count", "1"],
                      stdout=subprocess.PIPE, check=False).stdout
before = seen
run(ALICE, good)
seen = subprocess.run([os.environ["COUNTERSIGNCTL"], "-c", directory + "/conf", "--json", "last", "alice", "--count", "1"],
                      stdout=subprocess.PIPE, check=False).stdout
ok(b"TRY" in before and seen == before, "nothing is journaled", (before, seen))
done()
