"""books.py - the books in a file: a kill in the middle of load, a full disk, files of others, old files

run.sh's daemon is the one whose file is in use. The others are started here.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from milter import FIELDS, Closed, Milter
from running import until
from tap import done, ok, skip

run_port = int(sys.argv[1])
directory = sys.argv[3]
ctl_path = os.environ["COUNTERSIGNCTL"]
daemon_path = os.environ.get("COUNTERSIGN", os.getcwd() + "/countersign")


class Daemon:
    """A daemon with a directory of its own, which is place as it sees it and root + place for us."""

    def __init__(self, name, more="", store=None):
        self.place = directory + "/" + name
        self.root = ""
        self.inside = []    # what runs a command where the daemon is
        os.makedirs(self.place, mode=0o700, exist_ok=True)
        self.more = more
        self.store = store or self.place + "/counters"
        self.process = None

    def file(self, name):
        return self.root + self.place + "/" + name

    def start(self, wrapper=(), place=None):
        """True: it is ready. False: it ended, and self.log says why."""
        for _ in range(20):
            self.port = random.randrange(20000, 32000)
            with open(directory + "/conf") as file:
                conf = file.read().replace(str(run_port), str(self.port), 1)
            conf = conf.replace(directory + "/control", directory + "/" + os.path.basename(self.place) + ".control")
            conf = re.sub("file:[^\"]*", "file:" + self.store, conf) + self.more
            conf_path = self.place + ".conf"
            with open(conf_path, "w") as file:
                file.write(conf)
            self.log_path = self.place + ".log"
            with open(self.log_path, "w") as log:
                self.process = subprocess.Popen([*wrapper, daemon_path, "-c", conf_path], stderr=log)
            until(lambda: "is ready on" in self.log() or self.process.poll() is not None)
            if self.process.poll() is None:
                return True
            if "cannot be listened on" not in self.log():
                break
        return False

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)

    def ctl(self, *words):
        ended = subprocess.run([ctl_path, "-s", self.place + ".control", *words], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60)
        return ended.stdout.decode()

    def sql(self, query):
        """The rows of a query, by another process beside the daemon."""
        asked = ("import json, sqlite3, sys\n"
                 "books = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=60)\n"
                 "print(json.dumps(books.execute(sys.argv[2]).fetchall()))\n"
                 "books.close()\n")
        ended = subprocess.run([*self.inside, sys.executable, "-c", asked, self.place + "/counters.books", query],
                               stdout=subprocess.PIPE, timeout=120)
        return json.loads(ended.stdout) if ended.returncode == 0 else []

    def ids(self):
        """The queue ids in the books."""
        return {row[0] for row in self.sql("SELECT queue_id FROM decisions")}


def send(port, queue_id, account="alice"):
    """One message; what the filter answered last, "eom c" where it passes."""
    sender = account.encode() + b"@example.org"
    client = Milter(port).begin(daemon="ORIGINATING", address="127.0.0.1")
    seen = client.message([(b"From", b" " + sender)] + FIELDS[1:], path=b"<%s>" % sender,
                          rcpts=[b"<r@elsewhere.example>"], i=queue_id, auth_type="PLAIN", auth_authen=account)
    client.quit()
    return seen


def load(port, name, sent):
    """Messages until the daemon is gone."""
    try:
        for n in range(1000000):
            queue_id = "%s%d" % (name, n)
            if send(port, queue_id, "user%d" % (n % 300)) == "eom c":
                sent.append(queue_id)
    except (Closed, OSError):
        pass


# --- killed in the middle of load

killed = Daemon("killed")
ok(killed.start(), "a daemon starts with no books", killed.log())
sent = []
threads = [threading.Thread(target=load, args=(killed.port, "K%d" % n, sent)) for n in range(4)]
for thread in threads:
    thread.start()
for turn in range(3):
    before = len(killed.ids())
    until(lambda: len(killed.ids()) > before + 300)
committed = killed.ids()
killed.end(signal.SIGKILL)
for thread in threads:
    thread.join()
ok(len(committed) > 900, "under load, decisions are in the books while it goes on", len(committed))
after = killed.ids()
ok(committed <= after, "a kill loses none of those", len(committed - after))
ok(killed.sql("PRAGMA integrity_check") == [["ok"]], "the file is sound")
sums = killed.sql("SELECT sum(messages) FROM sums")[0][0]
ok(sums >= len(committed) - 5200 and sums > 0, "the sums are there, too", (sums, len(after)))
ok(killed.start(), "the daemon starts again", killed.log())
some = sorted(committed)[0]
ok("accepted" in killed.ctl("why", some), "why knows what was before the kill", killed.ctl("why", some))
ok(send(killed.port, "AGAIN1") == "eom c" and until(lambda: "accepted" in killed.ctl("why", "AGAIN1")), "and what comes after it")
report = json.loads(killed.ctl("--json", "report"))
ok(report["total"]["messages"] >= sums + 1, "report has the sums of both", report["total"])
ok(killed.end() == 0, "it stops")
ok(not os.path.exists(killed.file("counters.books-wal")), "and leaves one file")

# --- two daemons on one file

second = Daemon("second", store=directory + "/counters")
ok(not second.start() and "in use by another countersign" in second.log(), "a second daemon on the same file is refused",
   second.log())

# --- files that are not ours

foreign = Daemon("foreign")
with open(foreign.file("counters.books"), "w") as file:
    file.write("root:x:0:0:root:/root:/bin/bash\n")
ok(not foreign.start() and "were not written by countersign; move the file away" in foreign.log(),
   "a foreign file is refused at the start", foreign.log())
ok(os.path.getsize(foreign.file("counters.books")) == 32, "and left as it was")
os.unlink(foreign.file("counters.books"))
os.symlink("/etc/passwd", foreign.file("counters.books"))
ok(not foreign.start() and "are a symbolic link" in foreign.log(), "so is a symbolic link", foreign.log())
os.unlink(foreign.file("counters.books"))
shutil.copy(killed.file("counters.books"), foreign.file("counters.books"))
os.chmod(foreign.file("counters.books"), 0o600)
if os.geteuid() == 0:
    os.chown(foreign.file("counters.books"), 65534, 65534)
    ok(not foreign.start() and "belong to uid 65534" in foreign.log(), "and the file of another user", foreign.log())
    os.chown(foreign.file("counters.books"), 0, 0)
else:
    skip("the file of another user needs root")
with open(foreign.file("counters.books"), "r+b") as file:
    file.seek(4096)
    file.write(b"\xff" * 8192)
ok(not foreign.start() and "are damaged" in foreign.log(), "and a damaged one", foreign.log())

# --- what an earlier version kept

old = Daemon("old")
now = int(time.time() * 1000)
with open(old.file("counters.history"), "w") as file:
    file.write('{"at":%d,"filter":"mail1","queue_id":"OLD1","account":"alice@example.org","recipients":2,"action":"accept",'
               '"would":"accept"}\n{"at":%d,"queue' % (now, now))
with open(old.file("counters.daybook"), "w") as file:
    file.write(time.strftime("%Y%m%d", time.gmtime()) + " alice@example.org 7 9 1000 1 7 9 1000 1 7 9 1000 over=3\n")
    file.write(time.strftime("%Y%m%d", time.gmtime(time.time() - 3 * 86400)) +
               " alice@example.org 100 200 5000 2 60 150 1000 1 7 9 1000 over=1,blocked=2\n")
ok(old.start(), "it starts beside the files of an earlier version", old.log())
ok("accepted" in old.ctl("why", "OLD1"), "why knows what was in the history", old.ctl("why", "OLD1"))
text = old.ctl("report")
ok(re.search(r"alice@example.org +7 +9 .*refused: over 3", text), "report knows the sums", text)
text = old.ctl("quota", "top")
ok(re.search(r"alice@example.org +9 +7 +3 ", text), "so does quota top", text)
ok("decisions: 1; unreadable lines: 1" in old.log() and "sums of accounts: 2; unreadable lines: 0" in old.log(),
   "the log says what was imported", old.log())
ok(sorted(os.listdir(old.place)) == sorted(set(os.listdir(old.place)) - {"counters.history", "counters.daybook"} |
                                           {"counters.history.imported", "counters.daybook.imported"}),
   "and the files have other names now", os.listdir(old.place))
text = old.ctl("report", "--day", "7d")
ok(re.search(r"^\d+-\d+-\d+ to \d+-\d+-\d+ \(UTC\): 1 account of 1 domain", text) and
   re.search(r"alice@example.org +107 +209 .* 3  refused: blocked 2, over 4", text), "report adds up seven days", text)
text = old.ctl("report", "--day", "3d")
ok(re.search(r"alice@example.org +7 +9 ", text), "but not what is older", text)
day = [time.strftime("%Y-%m-%d", time.gmtime(time.time() - n * 86400)) for n in (5, 1)]
text = old.ctl("report", "--from", day[0], "--to", day[1])
ok(text.startswith("%s to %s (UTC)" % tuple(day)) and re.search(r"alice@example.org +100 +200 ", text), "report --from --to", text)
answer = json.loads(old.ctl("--json", "report", "--from", day[0]))
ok(answer["from"] == int(day[0].replace("-", "")) and answer["total"]["recipients"] == 209, "--to is today by default", answer)
ok("are not 1 to 366 days" in old.ctl("report", "--from", day[1], "--to", day[0]) and
   "are not 1 to 366 days" in old.ctl("report", "--day", "2026-02-30") and
   "cannot be used with" in old.ctl("report", "--day", "7d", "--from", day[0]) and
   "--to needs --from" in old.ctl("report", "--to", day[0]) and "is not 1d to 366d" in old.ctl("report", "--day", "0d") and
   "is not a day" in old.ctl("report", "--day", "7w"), "days that are none are errors", old.ctl("report", "--day", "7w"))
text = old.ctl("quota", "suggest", "--days", "2")
ok("nothing to judge by: no account sent mail from" in text and "plans" not in text, "suggest without data says so", text)
ok("person" in old.ctl("quota", "suggest", "--days", "4"), "with data it proposes")
text = old.ctl("last", "alice")
ok(re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+-]\S*  OLD1", text), "times have their zone", text)
old.end()
ok(old.start() and "imported" not in old.log(), "once", old.log())
ok(re.search(r"alice@example.org +7 +9 ", old.ctl("report")), "the sums are the same")

# --- a file that is taken away

os.rename(old.file("counters.books"), old.file("moved"))
send(old.port, "MOVED1")
ok(until(lambda: "the file was moved or removed; restart the daemon" in old.log()), "a file that is taken away is noticed", old.log())
os.rename(old.file("moved"), old.file("counters.books"))
ok(until(lambda: "accepted" in old.ctl("why", "MOVED1")), "nothing was lost by that", old.ctl("why", "MOVED1"))
old.end()

# --- a full disk

full = Daemon("full", more='event_command = ["%s/full.event", "%s"]\n' % (directory, directory))
with open(directory + "/full.event", "w") as file:
    file.write("#!/bin/sh\ncat >>\"$1/full.events\"\n")
os.chmod(directory + "/full.event", 0o755)
mount = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'mount -t tmpfs -o size=1m,mode=0700 none "$0" && exec "$@"', full.place]
if os.geteuid() != 0 or subprocess.run([*mount, "true"], stderr=subprocess.DEVNULL).returncode != 0:
    for _ in range(16):
        skip("a small file system of its own needs root and mount(8)")
    done()
ok(full.start(mount), "a daemon starts on a small disk", full.log())
full.root = "/proc/%d/root" % full.process.pid
full.inside = ["nsenter", "--target", str(full.process.pid), "--mount"]
ok(send(full.port, "ROOM1") == "eom c" and until(lambda: "ROOM1" in full.ids()), "and keeps its books there", full.ids())


def fill(name):
    """Leave no block free."""
    with open(full.file(name), "wb", buffering=0) as hog:
        try:
            while True:
                hog.write(b"x" * 4096)
        except OSError:
            pass


fill("hog")
n = 0
while "cannot be written" not in full.log() and n < 3000:
    # what is free inside the files of the books is used up first
    n += 1
    send(full.port, "FULL%d" % n)
ok(until(lambda: re.search("cannot be written: .*counters.books: .*full", full.log())), "when the disk is full the log says so",
   full.log())
ok(send(full.port, "STILL1") == "eom c", "mail passes all the same")
ok(until(lambda: os.path.exists(directory + "/full.events") and "books-failed" in open(directory + "/full.events").read()),
   "it is an event")
ok(re.search(r"books .*counters.books: waiting [1-9]\d*, events \d+, given up 0, CANNOT BE WRITTEN: .*full", full.ctl("status")),
   "status shows it", full.ctl("status"))
os.unlink(full.file("hog"))
ok(until(lambda: "accepted" in full.ctl("why", "STILL1")), "when there is room again, what waited is written",
   full.ctl("why", "STILL1"))
ok(until(lambda: "books-back" in full.ctl("events")) and "books-failed" in full.ctl("events"), "both events are in the books",
   full.ctl("events"))
ok(full.sql("PRAGMA integrity_check") == [["ok"]], "the file is sound")
kept = full.sql("SELECT count(*) FROM decisions")[0][0]
sums = full.sql("SELECT sum(messages) FROM sums")[0][0]
ok(kept == sums == n + 2, "no message is missing, in decisions and in sums", (kept, sums, n + 2))
full.end()

# --- a disk that is full from the start

mount[6] = 'mount -t tmpfs -o size=1m,mode=0700 none "$0" && { dd if=/dev/zero of="$0/hog" bs=4k 2>/dev/null; exec "$@"; }'
ok(full.start(mount) and "disk is full" in full.log(), "a full disk does not keep the daemon from starting, and is logged", full.log())
full.root = "/proc/%d/root" % full.process.pid
ok(send(full.port, "EARLY1") == "eom c", "mail passes")
ok(until(lambda: re.search("CANNOT BE WRITTEN: .*full", full.ctl("status"))), "status shows it", full.ctl("status"))
ok("is not open" in full.ctl("why", "EARLY1"), "why says that there are no books", full.ctl("why", "EARLY1"))
os.unlink(full.file("hog"))
ok(until(lambda: "accepted" in full.ctl("why", "EARLY1")), "when there is room, the books are made, and nothing is missing",
   full.ctl("why", "EARLY1"))
full.end()
done()
