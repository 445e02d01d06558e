"""try.py - countersignctl try and the daemon give the same verdict and the same reply"""
import json
import os
import subprocess
import sys

from milter import FIELDS, Milter
from tap import done, ok, skip

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


def tried(arguments, text, how):
    """What countersignctl says; None where that is no JSON."""
    seen = run(arguments, text, "--json", *how)
    try:
        found = json.loads(seen.stdout)
    except ValueError:
        return None, seen
    verdict = "accept" if found["verdict"] == "warn" else found["verdict"]
    if seen.returncode != STATUS[verdict]:
        return None, seen
    return (verdict, found["reply"], len(found["signatures"]) > 0), found


def case(listener, login, sender, header_from=None, rcpt="bob@elsewhere.example", client="192.0.2.7", fresh=True):
    """One message through both; fresh: without counts, which only the daemon knows."""
    header_from = header_from or sender
    rcpts = rcpt if isinstance(rcpt, list) else [rcpt]
    path = sender if sender.startswith("<") else "<%s>" % sender
    arguments = ["--listener", listener, "--from", sender, "--client", client]
    for address in rcpts:
        arguments += ["--rcpt", address]
    if login is not None:
        arguments += ["--login", login]
    what = "%s %s %s %s %s" % (listener, login, sender, header_from, rcpt)
    running, all_running = tried(arguments, message(header_from), [])
    direct, all_direct = tried(arguments, message(header_from), ["--direct"])
    expected = by_daemon(listener, login, path, header_from, rcpts, client)
    ok(running == expected and all_running["used"] == "running", what, (expected, all_running))
    ok(not fresh or (direct == expected and all_direct["used"] == "direct"), what + ", directly", (expected, all_direct))


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
case("users", "app", "x@elsewhere.example", rcpt=["a@x.example", "b@x.example"], fresh=False)
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
ok(seen.returncode == 1 and b"NUL in line 8" in seen.stderr, "a NUL is refused", seen)
seen = run(ALICE, good + b"a\rb\n")
ok(seen.returncode == 1 and b"bare CR in line 8" in seen.stderr, "a bare CR is refused", seen)
seen = run(ALICE, good + b"a\r", "--json")
ok(seen.returncode == 1 and "bare CR" in json.loads(seen.stdout)["error"] and seen.stderr == b"", "at the end, as JSON", seen)
for what in (["--plain"], []):
    seen = run(ALICE + what, b"")
    ok(seen.returncode == 0 and b"verdict    accept" in seen.stdout, "a message of its own %s" % what, seen)
seen = run(ALICE + ["--print"], good)
ok(seen.returncode == 0 and b"DKIM-Signature: " in seen.stdout and seen.stdout.endswith(good), "--print", seen)
sys.path.pop(0)     # dkim.py here is a conversation
sys.path.append("/usr/lib/python3/dist-packages")
try:
    import dkim
except ImportError:
    dkim = None
    skip("--print verifies: python3-dkim is not installed")
public = subprocess.run("openssl pkey -in '%s/keys/example.org/s1.pem' -pubout -outform DER | base64 -w0" % directory,
                        shell=True, stdout=subprocess.PIPE, check=True).stdout
texts = [good, message("alice" + ORG, b"\r\n"), good.replace(b"Hello.\n", b""), good + b"no line end", good + b"\xe4\xf6 8 bit  \n\n\n",
         good.replace(b"Subject: hello", b"Subject: a\n\tfolded  one"), b"Authentication-Results: mx.example.org; spf=pass\n" + good,
         b"From someone Sat Nov 28 12:00:00 2026\n" + good, good.replace(b"Subject: hello", b"Subject: " + b"x" * 3000), good + b"y" * 70000 + b"\n"]
for text in texts if dkim is not None else []:
    for how in (["--print"], ["--print", "--direct"], ["--print", "--mta", "sendmail", "--client", "192.0.2.1"]):
        printed = run(ALICE + how, text).stdout
        good_one = dkim.verify(printed, dnsfunc=lambda name, timeout=5: b"v=DKIM1; k=rsa; p=" + public)
        ok(good_one and b"mx.example.org; spf" not in printed, "the signature of --print verifies %s %r" % (how[1:], text[:40]), printed[:2000])
seen = json.loads(run(ALICE + ["--print"], good, "--json").stdout)
ok(seen["message"].endswith(good.decode()) and seen["message"].startswith("DKIM-Signature:"), "--print as JSON", seen)
seen = run(["--listener", "other"] + ALICE[2:], good)
ok(seen.returncode == 1 and b"it has: users, strict" in seen.stderr, "no such listener", seen)
seen = run(["--listener", "watched"] + ALICE[2:4] + ["--from", "bob" + ORG] + ALICE[6:], good)
ok(seen.returncode == 0 and b"mode enforce would: reject" in seen.stdout, "what mode watch changes", seen)
seen = json.loads(run(ALICE[:4] + ["--from", "bob" + ORG] + ALICE[6:], good, "--json").stdout)
ok(seen["verdict"] == "reject" and seen["other_mode"]["verdict"] == "warn" and seen["other_mode"]["signatures"] == [],
   "and the other way", seen)
ok([rule["reason"] for rule in seen["rules"] if rule["decides"]] == ["foreign-envelope"], "the rule that decides", seen["rules"])
seen = json.loads(run(["--listener", "users", "--login", "app", "--from", "x@x.example", "--rcpt", "y@x.example"], good, "--json").stdout)
ok([(limit["before"], limit["after"], limit["max"]) for limit in seen["limits"]] == [(2, 3, 3)], "limits before and after", seen["limits"])
seen = json.loads(run(["--login", "u1001"] + ALICE[4:], good, "--json").stdout)
ok(seen["listener"] == "users" and [step["answer"] for step in seen["account_steps"]] == ["not found", "found"],
   "the first listener for a login, and how the account was found", seen)
seen = json.loads(run(["--verify"] + ALICE[4:], good, "--json").stdout)
ok(seen["listener"] == "mx" and [l["takes"] for l in seen["listeners"]] == [False] * 4 + [True], "the first for strangers", seen)
seen = run(ALICE + ["--verify"], good)
ok(seen.returncode == 1 and b"of role inbound: mx" in seen.stderr, "--verify at another listener", seen)
seen = run(ALICE + ["--running"], good, "--direct")
ok(seen.returncode == 64 and b"--running or --direct" in seen.stderr, "--running with --direct", seen)
with open(directory + "/conf") as conf, open(directory + "/draft", "w") as draft:
    draft.write(conf.read().replace('on_foreign_from = "quarantine"', 'on_foreign_from = "tempfail"'))
held = ["--listener", "held", "--login", "alice", "--from", "alice" + ORG, "--rcpt", "bob@elsewhere.example"]
text = message("bob" + ORG)
for how, status in ([], 4), (["--direct"], 4):
    seen = run(held, text, "-c", directory + "/draft", *how)
    ok(seen.returncode == status and b"how        direct, " in seen.stdout, "another file than the daemon's %s" % how, seen)
seen = run(held + ["--running"], text, "-c", directory + "/draft")
ok(seen.returncode == 3 and b"how        running, " in seen.stdout, "but --running is the daemon's", seen)
seen = run(held + ["--running"], text, "-s", directory + "/none")
ok(seen.returncode == 1 and b"no daemon answers" in seen.stderr, "--running without a daemon", seen)
many = [word for i in range(2000) for word in ("--rcpt", "r%d@elsewhere.example" % i)]
seen = json.loads(run(ALICE[:6] + many, good + b"x" * 70 * 1024 + b"\n" + b"y\n" * 3000000, "--json", "--direct").stdout)
again = json.loads(run(ALICE[:6] + many, good + b"x" * 70 * 1024 + b"\n" + b"y\n" * 3000000, "--json").stdout)
for one in seen, again:
    for name in ("used", "why", "signatures", "added", "other_mode"):
        del one[name]
ok(seen == again and seen["verdict"] == "accept" and len(seen["recipients"]) == 2000, "many recipients, a large message", (str(seen)[:500], str(again)[:500]))
seen = run(ALICE[:6], good, "--json")
ok(seen.returncode == 64 and "--rcpt" in json.loads(seen.stdout)["error"], "without a recipient", seen)
seen = subprocess.run([os.environ["COUNTERSIGNCTL"], "-c", directory + "/conf", "--json", "last", "alice", "--count", "1"],
                      stdout=subprocess.PIPE, check=False).stdout
before = seen
run(ALICE, good)
seen = subprocess.run([os.environ["COUNTERSIGNCTL"], "-c", directory + "/conf", "--json", "last", "alice", "--count", "1"],
                      stdout=subprocess.PIPE, check=False).stdout
ok(b"TRY" in before and seen == before, "nothing is journaled", (before, seen))
done()
