"""owners.py - limits of domains, pools and networks: events, mails, last, commands, advice"""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import time

from milter import FIELDS, Milter
from tap import done, ok

port = int(sys.argv[1])
directory = sys.argv[3]
ctl_path = os.environ["COUNTERSIGNCTL"]


def ctl(*words):
    """Exit status and output of countersignctl."""
    ended = subprocess.run([ctl_path, "-s", directory + "/control", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    return ended.returncode, ended.stdout.decode()


def asks(*words):
    return json.loads(ctl("--json", *words)[1])


def until(condition, seconds=30):
    """Wait for what happens off the message's path."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = condition()
        if seen:
            return seen
        time.sleep(0.05)
    return condition()


def send(login, queue_id, rcpts=1, daemon="ORIGINATING", address="127.0.0.1"):
    m = Milter(port).begin(daemon=daemon, address=address)
    seen = m.message([(b"From", b" " + login.encode())] + FIELDS[1:], path=b"<%s>" % login.encode(),
                     rcpts=[b"<r%d@elsewhere.example>" % i for i in range(rcpts)],
                     i=queue_id, auth_type="PLAIN", auth_authen=login)
    text = m.reply_text.decode()
    m.quit()
    return seen, text


def events(word, **members):
    try:
        with open(directory + "/events") as file:
            return [event for event in map(json.loads, file) if event["event"] == word and
                    all(event.get(name) == value for name, value in members.items())]
    except FileNotFoundError:
        return []


loader = importlib.machinery.SourceFileLoader("event_mail", os.path.join(os.path.dirname(sys.argv[0]),
                                                                        "../../contrib/event-mail"))
spec = importlib.util.spec_from_loader("event_mail", loader)
event_mail = importlib.util.module_from_spec(spec)
loader.exec_module(event_mail)


def mails(event):
    """Recipient, subject and text of the mails that contrib/event-mail makes of an event."""
    return [(recipient, message["Subject"], message.get_content())
            for recipient, message in event_mail.messages(event, "admin@example.org")]


# --- whose limit: events and mails

for i in range(12):
    send("u%d@shared.example" % i, "S%d" % i)
for i in range(5):
    seen, text = send("u%d@shared.example" % (i + 2), "T%d" % i)
ok(seen == "eom y" and "5.7.28" in text, "a domain is over", (seen, text))
shared = until(lambda: events("over", limit_of="domain shared.example"))
ok(shared and shared[0]["account"] == "u2@shared.example" and shared[0]["limit"] == "12 recipients per hour",
   "the event names the domain and whose message it was", events("over"))
until(lambda: "T4" in ctl("last", "u6@shared.example")[1])
time.sleep(1.2)  # a turn of the journal
ok(len(events("over")) == 1, "of five accounts of one domain, one event", events("over"))
soft = events("soft-level", limit_of="domain shared.example")
ok(len(soft) == 1 and "domain shared.example has reached 50% of its limit" in soft[0]["text"],
   "so is the mark before it", soft)
ok(not events("soft-level", account="u0@shared.example") or "limit_of" in events("soft-level")[0],
   "no user who sent 2 messages hears of 50%", events("soft-level"))
ok([mail[:2] for mail in mails(shared[0])] == [("admin@example.org", "countersign: domain shared.example is over its limit")],
   "the admin gets a mail about the domain", mails(shared[0]))
ok([mail[0] for mail in mails(soft[0])] == ["admin@example.org"], "and no user one about its mark", mails(soft[0]))

send("big@pooled.example", "P1", 9)
until(lambda: len(events("soft-level", account="big@pooled.example")) >= 2)
ok(not events("soft-level", limit_of="pool acme"), "9 of 2000 is no mark of the pool")
ok(events("soft-level", limit_of="domain pooled.example") and
   [e for e in events("soft-level", account="big@pooled.example") if "limit_of" not in e],
   "one message that takes two limits to their marks makes two events", events("soft-level"))
own = [e for e in events("soft-level", account="big@pooled.example") if "limit_of" not in e][0]
ok(len(mails(own)) == 1 and mails(own)[0][0] == "big@pooled.example" and "messages are deferred" in mails(own)[0][2],
   "the user hears of the own limit only", mails(own))

send("w@watched.example", "W1", 6, daemon="WATCHED")
send("w@watched.example", "W2", 11, daemon="WATCHED")
seen = until(lambda: events("over", account="w@watched.example"))
ok(seen and "would be" in seen[0]["text"] and "mode watch accepts it" in seen[0]["text"], "in mode watch it would be", seen)
own = [e for e in events("soft-level", account="w@watched.example") if "limit_of" not in e]
ok(own and "would be deferred" in mails(own[0])[0][2] and "are deferred" not in mails(own[0])[0][2],
   "and the mail says so, too", [mails(e) for e in own])

# --- whose limit: last, why

text = ctl("last", "u3@shared.example")[1]
ok("limit of   domain shared.example" in text, "last says whose limit it was", text)
ok(asks("why", "T1")["verdicts"][0]["limit_of"] == "domain shared.example", "so does why, as JSON", asks("why", "T1"))

done()
