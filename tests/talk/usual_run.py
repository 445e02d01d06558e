"""usual_run.py - sums by time, and accounts that send far more than they usually do

usual_run.py COUNTERSIGN CLOCK_SHIFT_LIBRARY REDIS_SERVER

Nine days pass on a clock that the test sets, with the books in memory. Then two filters of different hosts share a Redis,
whose books get the past of an account as rows of the days before.
"""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

from milter import Milter
from running import Daemon, Redis, until
from tap import done, ok, skip

HOUR, DAY = 3600, 86400
START = 1893456000      # a Tuesday, 1 January 2030, 00:00 UTC
program, library, redis_program = sys.argv[1:4]
ctl_path = os.path.dirname(program) + "/countersignctl"


running = []            # processes that must not outlive the test


class Filter:
    def __init__(self, directory, store):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.store = directory, store
        self.daemon = Daemon(program, directory, self.conf)
        running.append(self.daemon.process)

    def conf(self, port):
        return """
mode = "enforce"
listen = "inet:127.0.0.1:%d"
control = "%s/control"
log = "stderr"
realm = "example.org"
authserv_id = "mx.example.org"
%s
require_tls = false
default_plan = "person"
plans = { person = { block_on = "8 times usual"  block_for = "4 hours" } }
listeners = { users = { role = "submission"  daemon = ["ORIGINATING"] } }
""" % (port, self.directory, self.store)

    def send(self, login, rcpts, queue_id="Q1"):
        """One message; True: it passed."""
        sender = login.encode() + b"@example.org"
        m = Milter(self.daemon.port).begin(address="192.0.2.1")
        try:
            reply = m.mail(b"<%s>" % sender, i=queue_id, auth_type="PLAIN", auth_authen=login)
            for i in range(rcpts):
                if reply == "c":
                    reply = m.rcpt(b"<r%d@elsewhere.example>" % i)
            if reply != "c":
                return False
            for name, value in ((b"From", b" " + sender), (b"Subject", b" hello")):
                m.header(name, value)
            return m.eoh() == "c" and m.eom() == "c"
        finally:
            m.quit()

    def ctl(self, *words):
        ended = subprocess.run([ctl_path, "-s", self.directory + "/control", *words], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60)
        return ended.stdout.decode()

    def json(self, *words):
        return json.loads(self.ctl("--json", *words))

    def sums(self, login):
        """Messages, recipients, refused of the last 14 days by hour."""
        hours = self.json("hours", login, "--days", "14")["hours"]
        return [sum(hour[name] for hour in hours) for name in ("messages", "recipients", "refused")]

    def blocked(self, login):
        return "%s@example.org is blocked for" % login in self.daemon.said()


def set_clock(at):
    """What time it is for programs that have the library preloaded."""
    shift = os.environ["CLOCK_SHIFT"]
    with open(shift, "r+b" if os.path.exists(shift) else "wb") as file:
        file.write(struct.pack("q", int(at - time.time())))


def weeks(root):
    """Nine days of a site without Redis."""
    set_clock(START)
    os.environ["LD_PRELOAD"] = library
    one = Filter(root + "/one", 'store = "embedded"')
    del os.environ["LD_PRELOAD"]
    passed = True
    for day in range(8):
        for hour in (8, 9, 12, 15):
            set_clock(START + day * DAY + hour * HOUR + 600)
            for login in ("alice", "bob", "news"):
                passed = one.send(login, 4 + hour % 3) and passed
            if day == 1 and hour == 9:
                passed = one.send("news", 300) and passed
            until(lambda d=day, h=hour: one.sums("bob")[0] == (8, 9, 12, 15).index(h) + 1 + 4 * d)
    ok(passed, "eight days of honest mail pass", one.daemon.said()[-2000:])
    now = START + 8 * DAY + 9 * HOUR + 1200
    set_clock(now)
    ok(one.send("news", 300) and one.send("bob", 49) and one.send("carol", 200),
       "a newsletter at its hour, a busy hour, and a new account")
    ok(until(lambda: one.sums("carol") == [1, 200, 0] and one.sums("bob")[1] == 8 * 18 + 49), "hours knows them", one.ctl("hours", "bob"))
    sent = 0
    while sent < 500 and not one.blocked("alice") and one.send("alice", 1):
        sent += 1
    ok(until(lambda: one.blocked("alice")) and sent >= 50, "who sends 8 times as much as usual is blocked", sent)
    ok("it sent more than 8 times usual in an hour" in one.daemon.said() and
       "more than 8 times its usual 6" in one.daemon.said(), "the log says why", one.daemon.said()[-1000:])
    events = until(lambda: [e for e in one.json("events")["events"] if e["event"] == "blocked"])
    ok(events and "; usual: 6 recipients an hour; look" in events[0]["text"] and events[0]["usual_per_hour"] == 6,
       "so does the event", events)
    ok(not one.send("alice", 1) and until(lambda: one.sums("alice")[2] >= 1), "its mail is refused, and counted by hour",
       one.ctl("hours", "alice"))
    one.ctl("unblock", "alice")
    more = one.send("alice", 1)
    before = one.sums("alice")[1]
    until(lambda: one.sums("alice")[1] == before + 1, 10)
    time.sleep(2.5)     # at least one more look
    ok(more and one.daemon.said().count("alice@example.org is blocked for") == 1 and one.send("alice", 1),
       "who is unblocked is not blocked again in that hour")
    ok(not any(one.blocked(login) for login in ("news", "bob", "carol")), "nobody else is blocked", one.daemon.said()[-1000:])
    one.ctl("block", "bob", "--for", "1h")
    events = until(lambda: [e for e in one.json("events")["events"] if e["event"] == "blocked" and "bob" in e["text"]])
    ok(events and "; usual: 6 recipients an hour" in events[0]["text"], "an operator's block says what is usual, too", events)
    # the day of a block is not usual, nor the one before: less than five days are left of eleven
    rates = one.json("rates", "--hours", "336")
    ok(rates["step_s"] == 3600 and rates["hosts"] == [socket.gethostname()] and
       sum(place["actions"].get("accept", 0) for place in rates["places"]) >= 8 * 12 + 1 + 3 + 50, "rates knows all hours", rates["hosts"])
    ok([place["at"] for place in rates["places"]] == sorted(place["at"] for place in rates["places"]) and
       any(place["reasons"].get("blocked") for place in rates["places"]), "in order, with reasons", rates["places"][-1])
    rates = one.json("rates", "--hours", "1", "--host", socket.gethostname())
    ok(rates["step_s"] == 60 and len(rates["places"]) >= 1 and all(place["at"] % 60000 == 0 for place in rates["places"]),
       "and the last one by minute", rates)
    answer = one.ctl("rates", "--host", "none")
    ok(f'no filter on a host "none" has been known for 14 days; known are: {socket.gethostname()}' in answer,
       "a host that is none is an error that names those that are", answer)
    ok("rejected" in one.ctl("rates") and "recipients" in one.ctl("hours", "alice"), "both can be read", one.ctl("rates"))
    ok(one.daemon.stop() == 0, "the daemon stops cleanly")


def put_day(redis, day, login, hours):
    """A row as daybook.lua makes it: hours is {hour: recipients}."""
    row = struct.pack("<dIH", 1000.0, 1, 0) + b"".join(
        struct.pack("<BBBB", 1, n, 0, hour) for hour, n in sorted(hours.items()))
    key = "countersign:{daybook}:rows:" + time.strftime("%Y%m%d", time.gmtime(day))
    redis.ask("HSET", key, login + "@example.org", row)
    redis.ask("EXPIRE", key, 30 * DAY)


def fleet(root, redis, now):
    """Two filters on one Redis, all of which take it for now."""
    store = 'store = "redis:local"\nredis = { local = { server = "unix:%s" } }' % redis.socket
    for ago in range(2, 9):
        put_day(redis, now - ago * DAY, "alice", {8: 5, 9: 6, 14: 4})
    odd = "mx2\\xfc.test"
    other = subprocess.run(["unshare", "--uts", "true"], stderr=subprocess.DEVNULL).returncode == 0
    one = Filter(root + "/mx1", store)
    wrapper = root + "/other"
    with open(wrapper, "w") as file:     # the kernel takes any octets as a name; these are not UTF-8
        named = """exec unshare --uts python3 -c 'import os, socket, sys
socket.sethostname(b"mx2\\xfc.test")
os.execv(sys.argv[1], sys.argv[1:])' %s "$@"\n"""
        file.write("#!/bin/sh\n" + (named if other else "exec %s \"$@\"\n") % program)
    os.chmod(wrapper, 0o755)
    keep, globals()["program"] = program, wrapper
    two = Filter(root + "/mx2", store)
    globals()["program"] = keep
    ok(one.sums("alice")[1] == 7 * 15, "the past is read", one.ctl("hours", "alice", "--days", "14"))
    passed = all(one.send("alice", 1) for _ in range(30))
    until(lambda: one.sums("alice")[1] == 7 * 15 + 30)
    ok(passed and not one.blocked("alice"), "30 recipients through one filter are not too many")
    sent = 0
    while sent < 300 and not two.blocked("alice") and two.send("alice", 1):
        sent += 1
    ok(until(lambda: one.blocked("alice") or two.blocked("alice")) and sent >= 19, "but they count together with those of another", sent)
    ok(until(lambda: not one.send("alice", 1)), "and the block is that of both")
    until(lambda: two.sums("alice")[2] >= 1)
    rates = one.json("rates", "--hours", "24")
    hosts = [socket.gethostname(), odd] if other else [socket.gethostname()]
    if other:
        accepted = {host: sum(place["actions"].get("accept", 0) for place in rates["places"] if place["host"] == host)
                    for host in hosts}
        ok(rates["hosts"] == sorted(hosts) and accepted[hosts[0]] >= 30 and accepted[odd] >= 19,
           "rates has both hosts, told apart", rates)
        ok({place["host"] for place in two.json("rates", "--host", odd)["places"]} == {odd}, "or one of them")
        ok(two.json("status")["filter"] == odd and until(lambda: odd in {e.get("filter") for e in one.json("events")["events"]} |
                                                         {e.get("filter") for e in one.json("last", "alice")["verdicts"]}),
           "a name that is not UTF-8 is told with escapes", two.json("status"))
    else:
        skip("a host name of its own needs root")
        skip("a host name of its own needs root")
        skip("a host name of its own needs root")
    ok(odd in one.ctl("--direct", "-c", one.daemon.conf, "rates") or not other, "--direct reads them without a daemon",
       one.ctl("--direct", "-c", one.daemon.conf, "rates"))
    ok(redis.stay() == ["countersign:{index}:blocked"], "every key expires, save the list of the blocked", redis.stay())
    redis.process.kill()
    redis.process.wait()
    ok("cannot be read" in one.ctl("rates") and "cannot be read" in one.ctl("hours", "alice"), "without Redis the error says so",
       one.ctl("rates"))

def main():
    root = tempfile.mkdtemp(prefix="usual.")
    os.environ["CLOCK_SHIFT"] = root + "/shift"
    try:
        weeks(root)
        if redis_program:
            now = START + 10 * DAY + 900    # all of it is within one hour
            set_clock(now)
            os.environ["LD_PRELOAD"] = library
            redis = Redis(redis_program, root)
            try:
                fleet(root, redis, now)
            finally:
                redis.process.kill()
        else:
            skip("redis-server is not installed")
    finally:
        for process in running:
            process.kill()
        shutil.rmtree(root)
    done()


main()
