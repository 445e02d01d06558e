"""limits.py - no threads, no descriptors: sessions wait or are closed, nothing hangs, nothing leaks"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

from milter import FIELDS, Closed, Milter
from running import until
from tap import done, ok

port = int(sys.argv[1])
pid = int(sys.argv[2])
directory = sys.argv[3]


def status():
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(60)
        control.connect(directory + "/control")
        control.sendall(b'{"command":"status"}\n')
        return json.loads(control.makefile("rb").readline())


def limit(kind, soft):
    """Set one of the daemon's limits, as its user: not every root may do so."""
    subprocess.run(["setpriv", "--reuid=54321", "--clear-groups", "prlimit", "--pid", str(pid), "--%s=%s:" % (kind, soft)], check=True)


def limit_of(name):
    with open("/proc/%d/limits" % pid) as limits:
        return [line[len(name):].split()[0] for line in limits if line.startswith(name)][0]


def descriptors():
    return len(os.listdir("/proc/%d/fd" % pid))


def threads():
    return len(os.listdir("/proc/%d/task" % pid))


def cpu():
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def login(**more):
    return dict(dict(i="L1", auth_type="PLAIN", auth_authen="alice"), **more)


def talk(results, **options):
    """A session with a message: how it ended."""
    try:
        m = Milter(port).begin(**options)
        m.mail(b"<x@stranger.example>" if options else b"<alice@example.org>", **({"i": "L2"} if options else login()))
        results.append(m.rcpt())
        m.quit()
    except (Closed, ConnectionError, AssertionError):
        results.append("closed")
    except socket.timeout:
        results.append("hung")


def burst(count, **options):
    results = []
    talkers = [threading.Thread(target=talk, args=(results,), kwargs=options) for _ in range(count)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join()
    return results


PATIENCE = 100      # commands of another session before one's first answer


def go_on(together, answered, count, results):
    """A session with a command every 20 ms, until each of so many has had its first answers."""
    commands = 0
    try:
        together.wait()
        m = Milter(port).begin()
        m.mail(**login())
        answered.append(True)
        while len(answered) < count and commands < PATIENCE:
            m.rcpt()
            commands += 1
            time.sleep(0.02)
        m.quit()
        results.append("alone" if len(answered) < count else "with all")
    except (Closed, ConnectionError, AssertionError):
        results.append("closed")
    except socket.timeout:
        results.append("hung")


def busy(count):
    """Sessions that begin at once and go on: how each ended."""
    together, answered, results = threading.Barrier(count), [], []
    talkers = [threading.Thread(target=go_on, args=(together, answered, count, results)) for _ in range(count)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join()
    return results


def quiet():
    """No session is open any more."""
    return until(lambda: status()["sessions"] == 0)


ok(burst(1) == ["c"], "a message, before")
ok(quiet(), "and its session ends")
before = descriptors() + 16     # some are the resolver's, which come and go; a burst is of 40
unlimited = limit_of("Max processes")

# a thread stays with a session that goes on: those that began with it have others
seen = [busy(count) for count in (3, 4, 6, 9, 12) * 5]
ok(all(set(one) == {"with all"} for one in seen), "sessions that go on do not keep others waiting", seen)
ok(quiet(), "and end")
ok(status()["shortage"]["threads"] == 0, "there were threads for all", status()["shortage"])

# no new threads, while each session waits for a name server that does not answer
limit("nproc", 1)
results = burst(40, daemon="mx", address="192.0.2.1")
ok("hung" not in results and len(results) == 40, "without threads no session hangs", results)
shortage = status()["shortage"]
ok(shortage["threads"] > 0, "status counts the threads that were refused", shortage)
ok(quiet(), "and all sessions have ended", status())
ok(until(lambda: descriptors() <= before, 20), "no descriptor is lost", (before, descriptors()))

# nor where threads are few, and each has a session that goes on
results = busy(24)
ok(set(results) == {"with all"}, "without new threads no session keeps others waiting", results)
ok(quiet(), "and these end, too")

# all threads held by peers that send half a packet: others are closed, for their MTA to defer
stuck = []
while len(stuck) < 100:
    m = Milter(port)
    m.sock.sendall(b"\0\0")
    stuck.append(m)
m = Milter(port, timeout=120)
try:
    m.negotiate()
    seen = "answered"
except (Closed, ConnectionError):
    seen = "closed"
except socket.timeout:
    seen = "hung"
ok(seen == "closed", "a session that no thread is free for is closed", seen)
ok(until(lambda: status()["shortage"]["closed"] > 0), "status counts it", status()["shortage"])
ok(not status()["listener"]["answers"], "and says that the listener does not answer", status()["listener"])
for one in stuck:
    one.close()
limit("nproc", unlimited)
ok(until(lambda: burst(1) == ["c"]), "when they have gone, mail flows")
ok(until(lambda: status()["listener"]["answers"]), "and the listener answers", status()["listener"])
ok(quiet() and until(lambda: descriptors() <= before, 20), "nothing is lost", (before, descriptors(), status()))
ok(until(lambda: threads() < 60), "threads go", threads())

# no descriptors
unlimited = limit_of("Max open files")
kept = Milter(port).begin()
limit("nofile", descriptors() + 20)
sessions = []
closed = 0
for _ in range(100):
    m = Milter(port, timeout=120)
    try:
        m.negotiate()
        sessions.append(m)
    except (Closed, ConnectionError, AssertionError):
        closed += 1
    except socket.timeout:
        ok(False, "a connection without a descriptor hangs")
ok(closed > 0 and sessions, "without descriptors connections are closed at once", (closed, len(sessions)))
ok(kept.message(FIELDS, **login()) == "eom c", "a session that has one notices nothing")
ok(status()["shortage"]["descriptors"] >= closed, "status counts them, and can be asked", status()["shortage"])
for m in sessions:
    m.close()

# a limit below what is in use: nothing can be accepted at all
limit("nofile", 5)
waiting = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(20)]
asking = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for s in asking:
    s.connect(directory + "/control")
used, started = cpu(), time.monotonic()
for s in waiting[:10]:
    try:
        s.recv(1)
    except socket.timeout:
        break
    except ConnectionError:
        pass
time.sleep(1)
used = (cpu() - used) / os.sysconf("SC_CLK_TCK")
ok(used < 0.5 * (time.monotonic() - started), "no CPU is burnt", used)
limit("nofile", unlimited)
for s in waiting:
    s.close()
asking[0].settimeout(60)
asking[0].sendall(b'{"command":"status"}\n')
ok(b"shortage" in asking[0].makefile("rb").readline(), "who asked meanwhile gets an answer")
for s in asking:
    s.close()
ok(kept.message(FIELDS, **login()) == "eom c", "the kept session goes on")
kept.quit()
ok(until(lambda: burst(1) == ["c"]), "and new ones come in again")
ok(quiet() and until(lambda: descriptors() <= before, 20), "nothing is lost", (before, descriptors(), status()))
with open(directory + "/log", errors="replace") as log:
    lines = [line for line in log if "shortage" in line or "new threads" in line or "descriptors left" in line]
ok(2 <= len(lines) < 20, "the log says so, and is not flooded", lines)
done()
