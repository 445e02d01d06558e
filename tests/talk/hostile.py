"""hostile.py - bad input and bad luck: each has a stated answer, none ends or bloats the daemon"""
import os
import random
import socket
import struct
import sys
import threading
import time

from milter import FIELDS, Closed, Milter
from tap import done, ok

port = int(sys.argv[1])
pid = int(sys.argv[2])
directory = sys.argv[3]
# sanitizers keep freed memory aside, so growth says nothing there
padded = os.environ.get("SANITIZE", "") != ""
slow = os.environ.get("TALK_WRAPPER", "") != ""  # under valgrind everything takes longer


def memory_kb():
    with open("/proc/%d/status" % pid) as status:
        return int([line.split()[1] for line in status if line.startswith("VmRSS")][0])


def login(**more):
    return dict(dict(i="H1", auth_type="PLAIN", auth_authen="alice"), **more)


def ask_status():
    """What the control socket answers; a full queue of connections is waited for."""
    for _ in range(100):
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(60)
                control.connect(directory + "/control")
                control.sendall(b'{"command":"status"}\n')
                return control.recv(65536)
        except BlockingIOError:
            time.sleep(0.1)
    return b""


# a monitor opens and closes the port
for _ in range(50):
    Milter(port).close()
m = Milter(port).begin()
ok(m.message(FIELDS, **login()) == "eom c", "50 connects and closes do no harm")
m.quit()

# aborts and closes at every step, with and without a goodbye
steps = ["negotiate", "connect", "helo", "mail", "rcpt", "header", "eoh", "body", "eom"]
for ending in ("close", "quit", "abort", "again"):
    for stop in range(1, len(steps) + 1):
        m = Milter(port)
        for step in steps[:stop]:
            if step == "negotiate":
                m.negotiate()
            elif step == "mail":
                m.mail(**login())
            elif step == "header":
                for name, value in FIELDS:
                    m.header(name, value)
            elif step == "body":
                m.body(b"x\r\n")
            else:
                getattr(m, step)()
        if ending == "abort" and stop > 3:
            m.abort()
        elif ending == "again" and stop > 3:
            # a new MAIL without any ABORT, as Sendmail does it
            ok(m.message(FIELDS, **login()) == "eom c", "MAIL after %s ends the message before" % steps[stop - 1])
        if ending == "close":
            m.close()
        else:
            m.quit()
m = Milter(port).begin()
ok(m.message(FIELDS, **login()) == "eom c", "after all these ends, mail flows")

# steps out of order: an MTA never does this, and libmilter answers some of it with silence
for order in ((b"R", b"x\0"), (b"L", b"From\0 x\0"), (b"N", b""), (b"B", b"x"), (b"E", b""), (b"A", b""), (b"Z", b"?")):
    m2 = Milter(port).begin()
    try:
        m2.write(*order)
        m2.write(b"M", b"<alice@example.org>\0")
        m2.write(*order)
    except ConnectionError:
        pass
    m2.close()
ok(m.message(FIELDS, **login()) == "eom c", "steps out of order do no harm")

# HELO between messages, then ABORT (Postfix at a second EHLO): the new name stays
m2 = Milter(port).begin(daemon="mx", address="192.0.2.1")
m2.mail(b"<x@stranger.example>", i="HELO1")
m2.helo(b"second.example")
m2.abort()
m2.message(FIELDS, path=b"<x@stranger.example>", i="HELO2")
m2.quit()

# octets
ok(m.message([(b"From", b" alice@example.org\0 (bob@example.org)")] + FIELDS[1:], **login())[:3] in ("eoh", "eom"),
   "a NUL in From is survived")
seen = m.message([(b"From", b" alice@example.org, \xff\xfe@example.org")] + FIELDS[1:], **login())
ok(seen == "eoh y", "8-bit octets in an address are refused", seen)
seen = m.message([(b"From", b" J\xf6rg <alice@example.org>")] + FIELDS[1:], **login())
ok(seen == "eom c", "8-bit octets in a display name pass", seen)
seen = m.message([(b"From", b" alice@example.org\r\n\tBcc: x")] + FIELDS[1:], **login())
ok(seen == "eoh y", "a smuggled line end is refused", seen)
seen = m.message(FIELDS, path=b"<" + b"a" * 5000 + b"@example.org>", **login())
ok(seen == "mail y", "an endless envelope sender is refused", seen)
seen = m.message(FIELDS, path=b"<al\nice@example.org>", **login())
ok(seen == "mail y" and b"\n" not in m.reply_text, "a line end in MAIL FROM does not reach the reply", m.reply_text)
seen = m.message(FIELDS, path=b"<%s%n%d@example.org>", **login())
ok(seen == "mail y" and b"%" not in m.reply_text.replace(b"%%", b""), "a format in MAIL FROM does not reach the reply", m.reply_text)
seen = m.message(FIELDS, i="H2", auth_type="PLAIN", auth_authen="a b\x01")
ok(seen == "mail y", "a login that is no name is refused", seen)
seen = m.message(FIELDS, i="H3", auth_author="alice@example.org")
ok(seen == "mail y" and b"authentication required" in m.reply_text, "auth_author is no login", m.reply_text)
seen = m.message(FIELDS + [(b"From", b" alice@example.org")], **login())
ok(seen == "eoh y" and b"more than one From" in m.reply_text, "two From fields are refused", m.reply_text)

seen = m.message([(b"From", b" alice@example.org\r, bob@example.org")] + FIELDS[1:], **login())
ok(seen == "eoh y", "a bare CR in From is refused", seen)
# what Postfix leaves of a field of 90 000 octets: its first 60 000
seen = m.message([(b"From", (b" (" + b"x" * 90000 + b") bob@example.org")[:60000])] + FIELDS[1:], **login())
ok(seen == "eoh y", "a From that the MTA cut is refused", seen)

# {daemon_name} counts as sent at CONNECT: cleanup(8) of Postfix tells another one later
m2 = Milter(port).begin(daemon="ORIGINATING")
m2.mail(daemon_name="mx", **login(i="LATE"))
m2.macros(b"R", daemon_name="mx")
m2.rcpt()
for name, value in FIELDS:
    m2.macros(b"L", daemon_name="mx")
    m2.header(name, value)
m2.macros(b"N", daemon_name="mx")
m2.eoh()
m2.macros(b"E", daemon_name="mx")
ok(m2.eom() == "c" and any(e[0] == "i" and b"DKIM-Signature" in e[1] for e in m2.edits),
   "a daemon_name told late changes nothing", m2.edits)
m2.quit()

# sizes
seen = m.message(FIELDS + [(b"X-Large", b" " + b"x" * 100000)], **login())
ok(seen == "eom c", "a field of 100 000 octets passes", seen)
seen = m.message([(b"From", b" " + b"(" * 100000 + b" alice@example.org")] + FIELDS[1:], **login())
ok(seen == "eoh y", "100 000 open comments in From are refused", seen)
seen = m.message([(b"From", b" alice@example.org" + b", alice@example.org" * 5000)] + FIELDS[1:], **login())
ok(seen == "eoh y", "5 000 mailboxes in From are refused", seen)
seen = m.message(FIELDS + [(b"X-%d" % i, b" x") for i in range(9990)], **login())
ok(seen == "eom c", "9 995 fields pass", seen)
seen = m.message(FIELDS + [(b"X-%d" % i, b" x") for i in range(20000)], **login())
ok(seen == "eoh y" and b"too many" in m.reply_text, "20 000 fields are refused at end of header", (seen, m.reply_text))
seen = m.message(FIELDS + [(b"X-%d" % i, b" " + b"y" * 60000) for i in range(50)], **login())
ok(seen == "eoh y", "3 MB of header are refused", seen)
before = memory_kb()
chunk = (b"x" * 76 + b"\r\n") * 840
m.mail(**login())
m.rcpt()
for name, value in FIELDS:
    m.header(name, value)
m.eoh()
for _ in range(10 if slow else 800):
    m.body(chunk)
seen = m.eom()
after = memory_kb()
ok(seen == "c", "a body of 50 MB passes", seen)
ok(slow or padded or after - before < 4096, "and is not held in memory", (before, after))
seen = m.message(FIELDS, rcpts=[b"<r%d@x.example>" % i for i in range(200 if slow else 5000)], **login())
ok(seen == "eom c", "5 000 recipients are counted", seen)

# pickup: port 0, paths without <>
m2 = Milter(port).begin(daemon="mx.example.org", port=0)
seen = m2.message(FIELDS, path=b"alice@example.org", rcpts=[b"bob"], i="P1")
ok(seen == "eom c" and any(e[0] == "i" for e in m2.edits), "pickup mail is known by port 0 and signed", (seen, m2.edits))
m2.quit()

# strangers: hostile results and signatures in the header
m2 = Milter(port).begin(daemon="mx", address="192.0.2.66")
forged = [(b"Authentication-Results", b" mx.example.org; dkim=pass"),
          (b"Authentication-Results", b" (c (d\\) ) ) \"mx.example.org\" 1 ; spf=pass"),
          (b"Authentication-Results", b" other.example; mx.example.org"),
          (b"Authentication-Results", b" ((( mx.example.org"),
          (b"DKIM-Signature", b" v=1; a=rsa-sha256; d=nowhere.invalid; s=x; h=from; bh=; b="),
          (b"DKIM-Signature", b" " + b";" * 60000)] + [(b"DKIM-Signature", b" v=1; a=rsa-sha256; d=d%d.example; "
          b"s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=YWJj" % i) for i in range(200)]
seen = m2.message(forged + FIELDS, path=b"<x@stranger.example>", i="F1")
deleted = [struct.unpack("!I", data[:4])[0] for command, data in m2.edits if command == "m"]
ok(seen == "eom c" and deleted == [4, 2, 1], "forged results go, last first, another's stay", (seen, deleted))
inserted = [data for command, data in m2.edits if command == "i" and b"Received-SPF\0" not in data]
ok(len(inserted) == 1 and b"Authentication-Results\0 mx.example.org" in inserted[0], "one field of our own comes", inserted)
ok(b"spf=temperror" in inserted[0] and b"dkim=temperror" in inserted[0], "DNS that is away is temperror, never silence", inserted)
m2.quit()
m2 = Milter(port).begin(daemon="mx", address="192.0.2.66")
seen = m2.message([(b"Subject", b" no author")], path=b"<>", i="F2")
ok(seen == "eom c", "a bounce without From passes on the inbound side", seen)
m2.quit()

# LEADSPC is required, loudly
m2 = Milter(port)
try:
    m2.negotiate(steps=0xFFFFF)
    m2.connect()
    refused = False
except (Closed, AssertionError, ConnectionError):
    refused = True
ok(refused, "an MTA without leading space is refused")
m2.close()

# garbage on the socket
for seed in range(20):
    random.seed(seed)
    s = socket.create_connection(("127.0.0.1", port))
    try:
        s.sendall(struct.pack("!I", random.choice([1, 5, 70000, 0xFFFFFFFF])) + bytes(random.randrange(256) for _ in range(300)))
    except ConnectionError:
        pass
    s.close()
ok(m.message(FIELDS, **login()) == "eom c", "garbage on other connections does no harm")

# the control socket: garbage, a flood of clients, a client that never reads
path = directory + "/control"
clients = []
for i in range(40):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.setblocking(False)
    try:
        s.send([b"\0\xff\n", b"[]\n", b'{"command":5}\n', b'{"command":"quota show"}\n', b"x" * 5000][i % 5])
    except (BlockingIOError, ConnectionError):
        pass
    clients.append(s)
ok(m.message(FIELDS, **login()) == "eom c", "40 bad control clients cost the mail path nothing")
for s in clients:
    s.close()
ok(b'"ok":true' in ask_status(), "and the control socket still answers")

# many connections at once, each with several messages
errors = []


def worker():
    try:
        one = Milter(port).begin()
        for _ in range(3 if slow else 20):
            seen = one.message(FIELDS, **login())
            if seen != "eom c":
                errors.append(seen)
        one.quit()
    except Exception as error:  # pylint: disable=broad-except
        errors.append(repr(error))


threads = [threading.Thread(target=worker) for _ in range(8 if slow else 60)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ok(not errors, "many connections at once", errors[:3])
m.quit()

# every message that was begun has ended, however it ended
status = b""
for _ in range(100):
    status = ask_status()
    if b'"sessions":0,"in_flight":0' in status:
        break
    time.sleep(0.1)
ok(b'"sessions":0,"in_flight":0' in status, "no session and no message is left", status)
done()
