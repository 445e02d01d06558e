"""ops.py - countersignctl and the control socket: answers, changes, groups, events, bad clients"""
import json
import os
import pwd
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time

from milter import FIELDS, Milter
from running import until
from tap import done, ok

port = int(sys.argv[1])
pid = int(sys.argv[2])
directory = sys.argv[3]
ctl_path = os.environ["COUNTERSIGNCTL"]
me = pwd.getpwuid(os.getuid()).pw_name


def ctl(*words, **options):
    """Exit status and output of countersignctl."""
    ended = subprocess.run([ctl_path, "-s", directory + "/control", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, **options)
    return ended.returncode, ended.stdout.decode()


def asks(*words):
    status, text = ctl("--json", *words)
    return json.loads(text)


def send(login, queue_id, rcpts=1, sender=None, fields=None, daemon="ORIGINATING", address="127.0.0.1"):
    sender = sender or login + "@example.org"
    m = Milter(port).begin(daemon=daemon, address=address)
    seen = m.message(fields or [(b"From", b" " + sender.encode())] + FIELDS[1:], path=b"<%s>" % sender.encode(),
                     rcpts=[b"<r%d@elsewhere.example>" % i for i in range(rcpts)],
                     **(dict(i=queue_id, auth_type="PLAIN", auth_authen=login) if login else dict(i=queue_id)))
    text = m.reply_text.decode()
    m.quit()
    return seen, text


def events(word):
    try:
        with open(directory + "/events") as file:
            return [event for event in map(json.loads, file) if event["event"] == word]
    except FileNotFoundError:
        return []


def log():
    with open(directory + "/log", errors="replace") as file:
        return file.read()


# --- from "my mail bounces" to the answer

ok(send("alice", "Q1", 2)[0] == "eom c", "a message within the limit passes")
seen, text = send("alice", "Q2", 3)
ok(seen == "eom y" and "4.7.28" in text, "one beyond it is deferred", (seen, text))
verdicts = until(lambda: [v for v in asks("last", "alice")["verdicts"] if v["queue_id"] == "Q2"])
ok(verdicts and verdicts[0]["action"] == "tempfail" and verdicts[0]["reason"] == "over",
   "last knows the last verdict", verdicts)
ok(verdicts[0]["reply"] == text and verdicts[0]["recipients"] == 3, "with the words the client read", verdicts)
status, text = ctl("last", "alice@example.org")
ok(status == 0 and "Q2  deferred: over" in text and "Q1  accepted" in text and text.index("Q2") < text.index("Q1"),
   "last shows the newest first", text)
status, text = ctl("why", "Q2")
ok(status == 0 and "deferred: over" in text and "try again in" in text and "quota set alice@example.org" in text,
   "why tells the reason, the reply and what to do", text)
ok("has no message" in ctl("why", "NONE1")[1], "why says if it knows nothing")
ok(ctl("why", "NONE1")[0] == 1 and ctl("last", "nobody")[0] == 0, "and has status 1, which last has not")
status, text = ctl("last", "alice", "--count", "1")
ok("Q2" in text and "Q1" not in text, "last --count", text)
seen, _ = send("alice", "Q3", sender="bob@example.org")
ok(seen == "mail y", "a foreign sender is refused at MAIL", seen)
ok(until(lambda: "refused: foreign-envelope" in ctl("last", "alice")[1]), "and last tells that, too")

# --- show, set, unset, reset, plan of

status, text = ctl("quota", "show", "alice")
ok(status == 0 and "person, from default_plan" in text, "quota show says where the plan comes from", text)
ok("2 of 4 " in text and "50%" in text and "[##########..........]" in text and "less in" in text,
   "and used, limit, percent, a bar, when it gets less", text)
ok("store    file" in text, "and where the counters are", text)
status, text = ctl("plan", "of", "bulk")
ok("plan     much, from accounts" in text and re.search(r"limit +100000 recipients per hour", text) and
   re.search(r"max_recipients +50\n", text) and re.search(r"max_size +20000000 bytes\n", text),
   "plan of says which plan and where from", text)
ok(re.search(r"^domain +example.org\nplan +none$", text, re.M), "and that the domain has none", text)
status, text = ctl("plan", "of", "thief")
ok(re.search(r"block_on +3 foreign-senders per hour\n", text) and re.search(r"block_for +4 h\n", text),
   "and when and for how long it blocks", text)
status, text = ctl("quota", "set", "alice", "500 recipients per hour", "--for", "2h")
ok(status == 0 and "for 2 h the limit of alice@example.org is 500" in text, "quota set", text)
ok(send("alice", "Q4", 3)[0] == "eom c", "raises a limit without a reload")
ok("5 of 500" in ctl("quota", "show", "alice")[1] and "set by hand for 2 h more" in ctl("quota", "show", "alice")[1],
   "and quota show says so", ctl("quota", "show", "alice"))
ok(ctl("quota", "set", "alice", "5 sheep per hour", "--for", "2h")[0] == 1, "a limit that is none is an error")
ok("recipients per hour" in ctl("quota", "set", "alice", "5 messages per minute", "--for", "2h")[1],
   "one that the plan does not have names those it has", ctl("quota", "set", "alice", "5 messages per minute", "--for", "2h"))
ok(ctl("quota", "set", "alice", "5 recipients per hour", "--for", "soon")[0] == 64, "a time that is none is an error")
ok(ctl("quota", "set", "alice", "5 recipients per hour")[0] == 64, "for ever is not for a while")
ok("1 limit set by hand removed" in ctl("quota", "unset", "alice")[1], "quota unset")
ok("5 of 4 " in ctl("quota", "show", "alice")[1] and "over; room in" in ctl("quota", "show", "alice")[1],
   "gives the plan's limit back, with when room returns", ctl("quota", "show", "alice"))
ok(ctl("quota", "reset", "alice")[0] == 0 and "0 of 4 " in ctl("quota", "show", "alice")[1], "quota reset")

# --- block

status, text = ctl("block", "alice", "--for", "1h", "--reason", "password stolen")
ok(status == 0 and "is blocked for 60 min" in text and "mode watch" not in text, "block", text)
text = ctl("block", "quiet")[1]
ok("mode watch refuses nothing" in text and 'login = "quiet@example.org"' in text, "in mode watch it warns that mail passes", text)
ctl("unblock", "quiet")
seen, text = send("alice", "Q5")
ok(seen == "mail y" and "help.example.org" in text, "acts at the very next MAIL", (seen, text))
ok("blocked" in text and "stolen" not in text, "says that it is blocked and whom to ask, not why", text)
ok("BLOCKED  since " in ctl("quota", "show", "alice")[1] and "by %s: password stolen" % me in ctl("quota", "show", "alice")[1], "quota show tells the operator why",
   ctl("quota", "show", "alice"))
status, text = ctl("blocked")
ok("alice@example.org" in text and "by %s: password stolen" % me in text, "blocked lists who, until when, by whom", text)
ok(until(lambda: events("blocked")) and events("blocked")[0]["by"] == me and
   events("blocked")[0]["account"] == "alice@example.org", "the program hears of the block", events("blocked"))
ok("may send again" in ctl("unblock", "alice")[1] and "was not blocked" in ctl("unblock", "alice")[1], "unblock")
ok(send("alice", "Q6")[0] == "eom c", "acts at once, too")
ok(until(lambda: events("unblocked")), "and is an event")
ok("no account is blocked" in ctl("blocked")[1], "blocked is empty again")

# --- hold-queue

status, text = ctl("hold-queue", "alice", "--print")
ok(status == 0 and "postsuper -h - <<'END'" in text and "\nQ1\n" in text and "\nQ6\n" in text and "\nQ2\n" not in text,
   "hold-queue prints the queue ids that passed", text)
ok('$7 == "alice@example.org"' in text, "and how to find what has other ids by now", text)
ok(ctl("hold-queue", "alice")[0] == 64, "it prints, and never does it by itself")
send("alice", "Q$(touch x)", sender="alice+`id`@example.org")
until(lambda: "Q$(" in ctl("last", "alice")[1])
text = ctl("hold-queue", "alice", "--print")[1]
ok("touch" not in text and "`id`" not in text, "what a stranger could write never becomes a command", text)

# --- top, report, suggest

for i in range(3):
    send("bulk", "B%d" % i, 20)
until(lambda: " 60 " in ctl("quota", "top")[1])
status, text = ctl("quota", "top")
ok("bulk@example.org" in text.splitlines()[1] and " 60 " in text.splitlines()[1], "quota top by recipients", text)
status, text = ctl("quota", "top", "--by", "percent", "--count", "1")
ok("alice@example.org" in text and "bulk" not in text and "% of 4 recipients per hour" in text, "quota top by percent", text)
ok(ctl("quota", "top", "--by", "size")[0] == 64, "an order that is none is an error")
most = asks("quota", "top", "--by", "messages")["accounts"]
ok(len(most) >= 2 and [a["messages"] for a in most] == sorted([a["messages"] for a in most], reverse=True) and
   {a["account"]: a["recipients"] for a in most}["bulk@example.org"] == 60, "quota top by messages", most)
report = until(lambda: [r for r in [asks("report")] if r["total"]["messages"] >= 7])[0]
lines = {line["name"]: line for line in report["accounts"]}
ok(lines["bulk@example.org"]["recipients"] == 60 and lines["bulk@example.org"]["messages"] == 3 and
   lines["bulk@example.org"]["connections"] == 3, "report: messages, recipients, connections", lines)
ok(lines["bulk@example.org"]["bytes"] > 300, "and bytes", lines["bulk@example.org"])
ok(lines["alice@example.org"]["refused"]["over"] == 1 and lines["alice@example.org"]["refused"]["foreign-envelope"] == 1 and
   lines["alice@example.org"]["refused"]["blocked"] == 1, "and refusals by reason", lines["alice@example.org"])
refused = asks("quota", "top", "--by", "refused")["accounts"]
ok([(a["account"], a["refused"]) for a in refused] ==
   [(line["name"], sum(line["refused"].values())) for line in report["accounts"] if "refused" in line],
   "quota top by refused has the figures of the report, and no account without any", (refused, report["accounts"]))
ok(report["domains"][0]["name"] == "example.org" and report["domains"][0]["messages"] == report["total"]["messages"],
   "and the same by domain", report["domains"])
status, text = ctl("report", "--top", "1", "--domain", "EXAMPLE.org")
ok("bulk@example.org" in text and "alice@example.org" not in text, "report --top --domain", text)
ok("0 accounts" in ctl("report", "--day", "2020-02-02")[1] and "0 accounts" in ctl("report", "--day", "yesterday")[1],
   "report --day")
ok(ctl("report", "--day", "soon")[0] == 64, "a day that is none is an error")
status, text = ctl("quota", "suggest", "--today", "--days", "3")
ok(status == 0 and "default_plan" in text and "recipients per hour" in text, "quota suggest", text)
with open(directory + "/plans.conf", "w") as file:
    file.write(text)
with open(directory + "/conf") as file:
    conf = file.read().replace("default_plan", "#").split("plans = {")[0]
with open(directory + "/suggested.conf", "w") as file:
    file.write(conf.replace("history", 'plans_file = "%s/plans.conf"\nhistory' % directory, 1))
ended = subprocess.run([os.environ.get("COUNTERSIGN", "./countersign"), "-t", "-c", directory + "/suggested.conf"],
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
ok(ended.returncode == 0, "what it prints is a plans file", ended.stdout)

# --- events

ok(until(lambda: events("soft-level")) and "50%" in events("soft-level")[0]["text"], "crossing warn_at is an event", events("soft-level"))
ok(until(lambda: events("over")) and events("over")[0]["account"] == "alice@example.org" and
   events("over")[0]["limit"] == "4 recipients per hour", "being over is one", events("over"))
for i in range(3):
    send("dave", "D%d" % i, 3)
until(lambda: [e for e in events("over") if e["account"] == "dave@example.org"])
until(lambda: "D2" in ctl("last", "dave")[1])
time.sleep(1.2)  # a turn of the journal
ok(len([e for e in events("over") if e["account"] == "dave@example.org"]) == 1, "but told once", events("over"))
for i in range(12):
    send("mallory", "M%d" % i, sender="victim%d@example.org" % i)
ok(until(lambda: events("foreign-sender-burst")) and
   events("foreign-sender-burst")[0]["account"] == "mallory@example.org", "many foreign senders are one event", events("foreign-sender-burst"))
ok(len(events("foreign-sender-burst")) == 1, "one")
for i in range(4):
    send("thief", "T%d" % i, sender="owner%d@example.org" % i)
ok(until(lambda: [e for e in events("blocked") if e["account"] == "thief@example.org" and e["by"] == "block_on"]),
   "what block_on blocks is an event, too", events("blocked"))
status, text = ctl("events")
ok("over" in text and "foreign-sender-burst" in text and "mallory@example.org tried 10 messages" in text, "events lists them", text)
os.kill(pid, signal.SIGHUP)
ok(until(lambda: events("reload")), "a reload is an event")
good = open(directory + "/conf").read()
with open(directory + "/conf", "w") as file:
    file.write(good + "\nmood = 1\n")
ok(ctl("reload")[0] == 1 and until(lambda: events("reload-failed")), "so is one that fails")
ok("mood" in events("reload-failed")[0]["mistakes"], "with the mistakes", events("reload-failed"))
with open(directory + "/conf", "w") as file:
    file.write(good)

# --- a program that fails, crashes, hangs

ctl("block", "fail")
ok(until(lambda: "ended with status 3; output: I fail" in log()), "a program that fails is told in the log", log()[-500:])
ctl("block", "crash")
ok(until(lambda: "ended by signal 11; output: I crash" in log()), "one that crashes, too", log()[-500:])
for i in range(6):
    ctl("block", "hang%d" % i)
began = time.monotonic()
ok(send("erin", "E1")[0] == "eom c" and time.monotonic() - began < 2, "programs that hang hold up no message")
ok(until(lambda: log().count("killed after event_timeout; output: I hang") >= 6), "they are ended when their time is up")
left = subprocess.run(["pgrep", "-f", "^sleep 600"], stdout=subprocess.PIPE).stdout
children = [p for p in left.split() if open("/proc/%d/status" % int(p)).read().find("PPid:\t%d\n" % pid) >= 0]
ok(not children, "with all they had started", left)
ctl("block", "frank")
ok(until(lambda: [e for e in events("blocked") if e["account"] == "frank@example.org"]), "and others have their turn then")

# --- a relay's client that has no account

seen, text = send(None, "L1", daemon="lists", address="198.51.100.9", sender="alice@example.org")
ok(seen == "mail y" and "550 5.7.1" in text and "198.51.100.9 is not authorized" in text and "log in" not in text,
   "is not told to log in", (seen, text))

ok(not os.path.exists(directory + "/unended"), "each event was a line with its line break")

# --- who may ask, who may change

if os.getuid() != 0:
    print("# not root: who may ask and who may change is not tested")
else:
    writer = dict(user="nobody", group="nogroup", extra_groups=["adm"])
    reader = dict(user="nobody", group="nogroup", extra_groups=["users"])
    stranger = dict(user="nobody", group="nogroup", extra_groups=[])
    ctl_copy = directory + "/ctl"
    with open(ctl_path, "rb") as binary, open(ctl_copy, "wb") as copy:
        copy.write(binary.read())
    os.chmod(ctl_copy, 0o755)
    ctl_path = ctl_copy
    ok(ctl("status", **reader)[0] == 0 and ctl("quota", "show", "alice", **reader)[0] == 0, "the reading group may ask", ctl("status", **reader))
    status, text = ctl("unblock", "frank", **reader)
    ok(status == 1 and "nobody may read, but not change" in text, "but not change anything", text)
    ok(ctl("unblock", "frank", **writer)[0] == 0, "the writing group may")
    status, text = ctl("status", **stranger)
    ok(status == 1 and "control_read_group" in text, "and others may nothing", text)

# --- bad requests and bad clients

with socket.socket(socket.AF_UNIX) as raw:
    raw.connect(directory + "/control")
    raw.settimeout(60)
    lines = raw.makefile("rb")
    for bad in (b"hello", b"{}", b'{"command":7}', b'{"command":"fly"}', b'{"command":"last"}', b'{"command":"why"}',
                b'{"command":"quota show","account":"a b"}', b'{"command":"report","domain":"..","n":-3}',
                b'{"command":"block","account":"x","account":"y"}', b"\xff\xfe", b'{"command":"quota set","account":"alice"}',
                b'{"command":"events","n":"many"}', b'{"command":"last","account":"alice","n":1e999}'):
        raw.sendall(bad + b"\n")
        answer = json.loads(lines.readline())
        if answer["ok"] and not bad.startswith(b'{"command":"events"'):
            ok(False, "a bad request gets an error", (bad, answer))
    raw.sendall(b'{"command":"status"}\n' * 20)
    ok(all(json.loads(lines.readline())["ok"] for _ in range(20)), "bad requests get errors, and the connection lives on")
ctl("unblock", "frank")  # blocked above, and unblocked there by root alone
# a field that is unknown, missing or out of range is named; a text cannot begin a line of its own
with socket.socket(socket.AF_UNIX) as raw:
    raw.connect(directory + "/control")
    raw.settimeout(60)
    lines = raw.makefile("rb")
    for bad, named in ((b'{"command":"block","account":"frank","for_ms":-1}', "for_ms must be a whole number from 1000 to "),
                       (b'{"command":"block","account":"frank","for_ms":0}', "for_ms must be"),
                       (b'{"command":"block","account":"frank","for_ms":"1h"}', "for_ms must be"),
                       (b'{"command":"block","account":"frank","for_ms":1e300}', "for_ms must be"),
                       (b'{"command":"block","account":"frank","form_s":1}', 'unknown field "form_s"; the fields of "block" are: account, for_ms, reason'),
                       (b'{"command":"block","account":"frank","reason":7}', "reason must be a text"),
                       (b'{"command":"block","account":"frank","reason":"x\\ncountersign: forged"}', "reason must be without line breaks"),
                       (b'{"command":"block","account":"frank","reason":"x\\u0085y"}', "reason must be without"),
                       (b'{"command":"block","account":"frank","reason":"\\u001b[2J"}', "reason must be without"),
                       (b'{"command":"block","account":"fr\\nank"}', "account must be without"),
                       (b'{"command":"block"}', 'the request "block" has no field "account"'),
                       (b'{"command":"quota set","account":"frank","for_ms":5000}', 'no field "limit"'),
                       (b'{"command":"quota set","account":"frank","limit":"5 recipients per hour"}', 'no field "for_ms"'),
                       (b'{"command":"status","verbose":true}', 'unknown field "verbose"; the fields of "status" are: none'),
                       (b'{"command":"last","account":"alice","n":0}', "n must be a whole number from 1 to "),
                       (b'{"command":"events","n":1.5}', "n must be a whole number")):
        raw.sendall(bad + b"\n")
        answer = json.loads(lines.readline())
        if answer["ok"] or named not in answer["error"]:
            ok(False, "a field that is wrong is named", (bad, answer))
ok("frank" not in ctl("blocked")[1], "and blocks nobody")
ok(ctl("block", "frank", "--reason", "x\ncountersign: forged")[0] == 1, "countersignctl cannot forge a line, either")
with open(directory + "/log", encoding="latin-1") as log:
    ok(not [line for line in log if line.startswith("countersign: forged")], "nor is there one in the log")

# idle clients do not lock out root and the daemon's account
idle = []
for _ in range(100):
    client = socket.socket(socket.AF_UNIX)
    client.connect(directory + "/control")
    idle.append(client)
ok(all(ctl("status")[0] == 0 for _ in range(5)), "a hundred idle clients do not lock countersignctl out", ctl("status"))
for client in idle:
    client.close()

slow = []
for _ in range(40):
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect(directory + "/control")
        client.send(b'{"command":"last","account":"alice","n":50}\n' * 80)
    except OSError:
        pass
    slow.append(client)
ok(send("bulk", "S1")[0] == "eom c", "40 clients that never read cost the mail path nothing")
for client in slow:
    client.close()
ok(until(lambda: ctl("status")[0] == 0), "and the socket answers when they have gone")

# --- a restart forgets nothing that is in the file (run.sh stops the daemon; here the files are looked at)

def in_books(query):
    """What an operator's own query of the books answers, while the daemon writes them."""
    with sqlite3.connect("file:" + directory + "/counters.books?mode=ro", uri=True) as books:
        return books.execute(query).fetchall()


ok(until(lambda: in_books("SELECT text FROM decisions WHERE queue_id = 'S1'")) and
   '"queue_id":"S1"' in in_books("SELECT text FROM decisions WHERE queue_id = 'S1'")[0][0],
   "the history is in its file")
ok(in_books("SELECT messages FROM sums WHERE account = 'bulk@example.org'")[0][0] >= 3 and
   in_books("SELECT count(*) FROM events WHERE kind = 'over'")[0][0] >= 2, "so are sums and events")
ok(os.stat(directory + "/counters.books").st_mode & 0o777 == 0o600, "which is the daemon's alone")
ok(len(asks("last", "alice", "--count", "100")["verdicts"]) <= 50, "and bounded")
done()
