"""owners.py - limits of domains, pools and networks: events, mails, last, commands, advice"""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import time

from milter import FIELDS, Milter
from running import until
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

near = {"event": "soft-level", "account": "u0@shared.example", "percent": 80, "block_on": "20 foreign-senders per hour",
        "text": "u0@shared.example has reached 80% of its block_on of 20 foreign-senders per hour"}
ok([mail[:2] for mail in mails(near)] == [("admin@example.org", "countersign: u0@shared.example shows signs of a stolen password")],
   "signs of a stolen password are for the admin alone", mails(near))

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

# --- replies: the site's own texts, no name of what is shared

ok("quota de votre domaine atteint" in text and "shared" not in text, "a user reads the site's words and no name", text)
seen, text = send("net@example.net", "R1", 11)
ok(seen == "eom y" and "ce message depasse a lui seul la limite d'envoi de net@example.net (10 destinataires par heure)" in text,
   "and French without accents for the rest", (seen, text))

# --- whose limit: last, why

text = ctl("last", "u3@shared.example")[1]
ok("limit of   domain shared.example" in text, "last says whose limit it was", text)
ok(asks("why", "T1")["verdicts"][0]["limit_of"] == "domain shared.example", "so does why, as JSON", asks("why", "T1"))

# --- advice that fits

verdict = asks("why", "T1")["verdicts"][0]
ok(verdict["next"] == 'countersignctl quota set @shared.example "20 recipients per hour" --for 1h' and
   verdict["next"] in ctl("why", "T1")[1], "advice names the owner, with unit and window of the limit", verdict)
seen = send("w@watched.example", "W3", 40, daemon="WATCHED")[0]
verdict = until(lambda: asks("why", "W3")["verdicts"])[0]
ok(seen == "eom c" and verdict["reason"] == "over" and '"60 recipients per hour"' in verdict["next"],
   "and a limit in which the message fits", verdict)
send("tls@example.org", "X1", daemon="WATCHED", address="198.51.100.7")
verdict = until(lambda: asks("why", "X1")["verdicts"])[0]
ok(verdict["reason"] == "no-tls" and "TLS" in verdict["advice"] and "next" not in verdict, "other reasons have theirs", verdict)

# --- show, set, unset, reset, top, plan of: of a domain, a pool, a network

send("net@example.net", "N1", 1, address="192.0.2.7")
send("net@example.net", "N2", 1, address="::ffff:192.0.2.8")
until(lambda: "N2" in ctl("last", "net@example.net")[1])
status, text = ctl("quota", "show", "pool:acme")
ok(status == 0 and text.startswith("pool     acme\nplan     pool, from pool_plan\n") and "9 of 2000 " in text, "a pool's use", text)
ok(ctl("quota", "show", "pool acme")[1] == text, "also as the log has it", ctl("quota", "show", "pool acme"))
answer = asks("quota", "show", "@Pooled.EXAMPLE")
ok(answer["owner"] == "@pooled.example" and answer["limit_of"] == "domain pooled.example" and "account" not in answer and
   [(limit["of"], limit["used"]) for limit in answer["limits"]] == [("", 9), ("pool acme", 9)] and answer["home"] == "pool acme",
   "a domain's, which is kept with its pool's", answer)
ok("11 of 12 " in ctl("quota", "show", "@shared.example")[1] or "12 of 12 " in ctl("quota", "show", "@shared.example")[1],
   "and that of one without", ctl("quota", "show", "@shared.example"))
for name in "network:office", "network:192.0.2.200", "network:::ffff:192.0.2.1":
    status, text = ctl("quota", "show", name)
    ok(status == 0 and "network  office\n" in text and "2 of 30 " in text, "a network's as " + name, text)
status, text = ctl("quota", "show", "network:198.51.100.1")
ok(status == 1 and "no network for 198.51.100.1" in text, "an address of none", text)
ok(ctl("quota", "show", "@a..b")[0] == 1 and "is not a domain" in ctl("quota", "show", "@a..b")[1], "a domain that is none")
status, text = ctl("quota", "set", "@shared.example", "40 recipients per hour", "--for", "2h")
ok(status == 0 and "for 2 h the limit of domain shared.example is 40" in text, "quota set of a domain", text)
ok(send("u9@shared.example", "S20")[0] == "eom c", "holds for its accounts at once")
ok("of 40 " in ctl("quota", "show", "u9@shared.example")[1], "and is shown with each", ctl("quota", "show", "u9@shared.example"))
ok(asks("quota", "unset", "@shared.example") == {"ok": True, "owner": "@shared.example", "limit_of": "domain shared.example", "unset": 1},
   "quota unset of it")
ok(send("u9@shared.example", "S21")[0] in ("eom y", "mail y"), "gives the plan's back")
ok(ctl("quota", "reset", "@shared.example") == (0, "the counters of domain shared.example are empty\n"), "quota reset of it")
ok(send("u9@shared.example", "S22")[0] == "eom c", "makes room at once")
status, text = ctl("quota", "set", "pool:acme", "40 recipients per hour", "--for", "2h")
ok(status == 1 and "no limit of pool:acme" in text and "2000 recipients per day" in text, "a pool's limits are named", text)
for name in "alcie@shared.example", "@nothing.example", "pool:ecma", "network:home":
    status, text = ctl("quota", "reset", name)
    answer = asks("quota", "reset", name)
    ok(status == 1 and "there is no " in text and answer["ok"] is False and "there is no " in answer["error"],
       "%s does not exist" % name, (text, answer))
ok(ctl("quota", "reset", "idle@pooled.example") == (0, "nothing was counted for idle@pooled.example\n"),
   "an account that the configuration names does", ctl("quota", "reset", "idle@pooled.example"))
status, text = ctl("block", "pool:acme")
ok(status == 1 and "only accounts can be blocked" in text, "a pool is not blocked", text)
ok("is a pool" in ctl("last", "pool:acme")[1] and ctl("last", "pool:acme")[0] == 1, "nor has it a history of its own", ctl("last", "pool:acme"))
for name in "pool:", "@", "network:", "domain:":
    ok(ctl("quota", "show", name)[0] == 1 and "is missing" in ctl("quota", "show", name)[1], "a name is missing: " + name, ctl("quota", "show", name))
status, text = ctl("plan", "of", "pool:acme")
ok(status == 0 and text.startswith("pool     acme\nplan     pool, from pool_plan\n  limit           2000 recipients per day"), "plan of a pool", text)
status, text = ctl("plan", "of", "@pooled.example")
ok("domain   pooled.example\nplan     domain, from domain_plan" in text and "pool     acme" in text, "plan of a domain", text)
ok("network  office\nplan     network, from network_plan" in ctl("plan", "of", "network:192.0.2.1")[1], "plan of a network")
names = lambda *words: [line["account"] for line in asks("quota", "top", *words)["accounts"]]
ok(names("@pooled.example") == ["big@pooled.example"] and names("pool:acme") == ["big@pooled.example"] and
   names("network:192.0.2.9") == ["net@example.net"] and len(names()) > 3, "quota top of each",
   [names(name) for name in ("@pooled.example", "pool:acme", "network:192.0.2.9")])
ok(ctl("quota", "top", "alice")[0] == 1, "an account has no accounts")
ok("of domain pooled.example" in ctl("quota", "top", "pool:acme")[1] or "of 10 recipients per hour" in ctl("quota", "top", "pool:acme")[1],
   "quota top says whose limit is the fullest", ctl("quota", "top", "pool:acme"))

# --- an account is left out

seen = [send("news@pooled.example", "L%d" % i, 4)[0] for i in range(2)]
ok(seen == ["eom c", "eom c"] and "9 of 2000 " in ctl("quota", "show", "pool:acme")[1], "not_counted_in leaves an account out", seen)
text = ctl("plan", "of", "news@pooled.example")[1]
ok("not_counted_in  domain" in text and text.count("not counted here") == 2, "plan of says so", text)

done()
