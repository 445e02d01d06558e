"""books_redis_run.py - books in Redis that takes only some of what is to be written

books_redis_run.py COUNTERSIGN REDIS_SERVER
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from milter import Milter
from running import Daemon
from tap import done, ok

program, redis_program = sys.argv[1:3]
ctl_path = os.path.dirname(program) + "/countersignctl"


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = condition()
        if seen:
            return seen
        time.sleep(0.05)
    return condition()


class Redis:
    def __init__(self, directory):
        self.socket = directory + "/redis.sock"
        self.process = subprocess.Popen([redis_program, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", directory],
                                        stdout=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.socket))

    def ask(self, *words):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(self.socket)
            link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
            return link.recv(1 << 20)


def conf(port):
    return """
mode = "enforce"
listen = "inet:127.0.0.1:%d"
control = "%s/control"
log = "stderr"
realm = "example.org"
authserv_id = "mx.example.org"
store = "redis:local"
redis = { local = { server = "unix:%s" } }
require_tls = false
default_plan = "person"
plans = { person = { limits = ["1000 recipients per hour"] } }
listeners = { users = { role = "submission"  daemon = ["ORIGINATING"] } }
""" % (port, directory, redis.socket)


def send(login):
    """One message; True: it passed."""
    sender = login.encode() + b"@example.org"
    m = Milter(daemon.port).begin(address="192.0.2.1")
    try:
        return (m.mail(b"<%s>" % sender, i="Q1", auth_type="PLAIN", auth_authen=login) == "c" and
                m.rcpt(b"<r@elsewhere.example>") == "c" and m.header(b"From", b" " + sender) == "c" and
                m.eoh() == "c" and m.eom() == "c")
    finally:
        m.quit()


def ctl(*words):
    ended = subprocess.run([ctl_path, "-s", directory + "/control", "--json", *words], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
    return json.loads(ended.stdout)


def counted():
    """Messages in the sums of the day, and in those by minute."""
    return (ctl("report")["total"]["messages"],
            sum(place["actions"].get("accept", 0) for place in ctl("rates", "--hours", "6")["places"]))


directory = tempfile.mkdtemp(prefix="books.")
redis = Redis(directory)
try:
    # a key of the history that something else has made
    redis.ask("SET", "countersign:{history}:batches", "x")
    daemon = Daemon(program, directory, conf)
    passed = [send("alice") for _ in range(3)]
    ok(all(passed) and until(lambda: counted() == (3, 3)), "a history that Redis refuses does not stop the sums", counted())
    ok("the history of decisions cannot be written" in daemon.said(), "the log says what is refused", daemon.said()[-1000:])
    send("alice")
    ok(until(lambda: counted() == (4, 4)), "nor those of later mail, and none is counted twice", counted())
    redis.ask("DEL", "countersign:{history}:batches")
    ok(until(lambda: len(ctl("last", "alice")["verdicts"]) == 4) and counted() == (4, 4), "nothing of the history is lost",
       ctl("last", "alice"))
    ok(daemon.stop() == 0, "the daemon stops cleanly")
finally:
    redis.process.kill()
    redis.process.wait()
    shutil.rmtree(directory)
done()
