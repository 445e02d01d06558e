"""books_redis_run.py - books in Redis that takes only some of what is to be written

books_redis_run.py COUNTERSIGN REDIS_SERVER
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from milter import Milter
from running import Daemon, Redis, until
from tap import done, ok, skip

program, redis_program = sys.argv[1:3]
ctl_path = os.path.dirname(program) + "/countersignctl"
web_path = os.path.dirname(program) + "/countersign-web"

# Each host sent as many messages an hour as its number says.
FILL = """
if redis.replicate_commands then redis.replicate_commands() end
for i = 0, 335 do
	local at = tonumber(ARGV[1]) - 3600 * i
	local key = 'countersign:{daybook}:hours:' .. ARGV[2 + math.floor(ARGV[1] / 86400) - math.floor(at / 86400)]
	for host = 1, 65 do
		redis.call('HSET', key, math.floor(at % 86400 / 3600) .. ' mx' .. host, 'action:accept=' .. host)
	end
end
return 1"""


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


def ask(*commands):
    """A connection to the control socket, with these requests sent."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(directory + "/control")
    link.sendall("".join('{"command":"%s"}\n' % command for command in commands).encode())
    return link


def status_is_first():
    """Is status answered before rates, which waits 3 s for a Redis that is stopped?"""
    redis.process.send_signal(signal.SIGSTOP)
    try:
        slow, gone, quick = ask("rates"), [ask("report") for _ in range(3)], ask("status")
        first = json.loads(quick.makefile().readline())["ok"] and not select.select([slow], [], [], 0)[0]
        for each in gone:
            each.close()
        return first
    finally:
        redis.process.send_signal(signal.SIGCONT)


def web(path):
    """The status of a GET."""
    made = subprocess.run([web_path, "--make-token", "reader", "read"], stdout=subprocess.PIPE).stdout.decode()
    token, line = made.split("\n", 1)
    with open(os.open(directory + "/tokens", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("tokens = (" + line + ")\n")
    at = directory + "/web.sock"
    process = subprocess.Popen([web_path, "-s", directory + "/control", "-l", "unix:" + at, "-t", directory + "/tokens"],
                               stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(at))
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(at)
            link.sendall(("GET /api/v1%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n" %
                          (path, token)).encode())
            return int(link.recv(65536).split()[1])
    finally:
        process.terminate()
        process.wait()


def counted():
    """Messages in the sums of the day, and in those by minute."""
    return (ctl("report")["total"]["messages"],
            sum(place["actions"].get("accept", 0) for place in ctl("rates", "--hours", "6")["places"]))


daemon = None
directory = tempfile.mkdtemp(prefix="books.")
redis = Redis(redis_program, directory)
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
    ctl("block", "bob", "--for", "1h")
    ctl("quota", "set", "carol", "5 recipients per hour", "--for", "1h")
    ok(until(lambda: redis.ask("EXISTS", "countersign:{events}") == b":1\r\n"), "a block is an event")
    ok(redis.stay() == ["countersign:{index}:blocked"], "every key expires, save the list of the blocked", redis.stay())
    # what 65 hosts did in 14 days
    now = int(time.time())
    days = [time.strftime("%Y%m%d", time.gmtime(now - i * 86400)) for i in range(16)]
    redis.ask("EVAL", FILL, "0", str(now), *days)
    answer = ctl("rates", "--hours", "336")
    hours = {}
    for place in answer["places"]:
        hours[place["at"]] = hours.get(place["at"], 0) + place["actions"].get("accept", 0)
    ok(len(answer["places"]) <= 10000 + len(hours) and answer["hosts"][0] == "*" and "mx65" in answer["hosts"] and
       "mx1" not in answer["hosts"], "in a long answer the quietest hosts are one", answer["hosts"])
    ok(len(hours) == 336 and sorted(hours.values())[:335] == [sum(range(1, 66))] * 335, "and none is lost", hours)
    ok(len(ctl("rates", "--hours", "336", "--host", "mx1")["places"]) == 336, "each can be asked for")
    # an answer that takes long holds up no other
    ok(any(status_is_first() for _ in range(5)), "status is answered while rates waits for Redis")
    ok(ctl("status")["ok"], "others may leave before their answer is there")
    lines = ask("rates", "status", "events", "status").makefile()
    answers = [json.loads(lines.readline()) for _ in range(4)]
    ok(["version" in answer for answer in answers] == [False, True, False, True] and "hosts" in answers[0] and
       "events" in answers[2], "answers on one connection come in the order of the requests", answers)
    # books that cannot be read
    redis.process.kill()
    redis.process.wait()
    for words in (("rates",), ("hours", "alice"), ("report",), ("last", "alice"), ("events",), ("quota", "top")):
        answer = ctl(*words)
        ok(not answer["ok"] and answer.get("code") == "unavailable", " ".join(words) + " says that the books cannot be read", answer)
    ok(ctl("report", "--from", "2026-01-02", "--to", "2026-01-01")["code"] == "request", "days that are none are another matter")
    if os.path.exists(web_path):
        ok(web("/rates") == 503 and web("/accounts/alice/hours") == 503, "which is 503 in countersign-web")
    else:
        skip("countersign-web was not built")
    ok(daemon.stop() == 0, "the daemon stops cleanly")
finally:
    if daemon is not None:
        daemon.process.kill()
    redis.process.kill()
    redis.process.wait()
    shutil.rmtree(directory)
done()
