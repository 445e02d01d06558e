#!/usr/bin/python3 -B
#
# try_all_run.py - every message of the conversations, at the daemon and with countersignctl try
#
# usage: try_all_run.py COUNTERSIGN COUNTERSIGNCTL CONVERSATION...	runs them, and prints TAP
#        try_all_run.py -c CONF		stands in for the daemon of a conversation
#
# As the daemon it starts the real one on another port, and is the MTA's peer: it hands on every
# packet, and knows so what each message was. Before the end of a message it is tried (--running);
# then verdict, reply, signing domains and Authentication-Results must be those of the daemon. Where no
# limit and no block counts, some are tried with --direct, too. What a
# file or a command line cannot say (NUL, a field named "From\v", SIZE=, an MTA's reading of a
# recipient) is counted as not comparable.
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = re.compile(rb"[!-9;-~]+\Z")
EVERY = 6   # each of so many messages is tried with --direct, too
CHANGES = ("dkim.py",)  # removes keys that the daemon has read
STATUS = {"accept": 0, "warn": 0, "quarantine": 3, "tempfail": 4, "reject": 5}


# --- the stand-in ---

def read_packet(sock):
    """Command and data, or None at the end."""
    head = b""
    while len(head) < 4:
        piece = sock.recv(4 - len(head))
        if not piece:
            return None
        head += piece
    data = b""
    while len(data) < struct.unpack("!I", head)[0]:
        piece = sock.recv(struct.unpack("!I", head)[0] - len(data))
        if not piece:
            return None
        data += piece
    return data[:1], data[1:]


def packet(command, data):
    return struct.pack("!I", len(data) + 1) + command + data


def plain(answer):
    """Without what depends on since when a resolver is dead: first there is no time left, then it is known."""
    return [[field for field in part if "our resolver" not in field] if isinstance(part, list) else part for part in answer]


class Message:
    """What the MTA said of one message."""

    def __init__(self):
        self.path, self.parameters, self.rcpts = b"", [], []    # rcpts: (path, reply or None)
        self.fields, self.body, self.odd, self.over = [], b"", [], False
        self.macros = {}    # as they were at MAIL


class Wire:
    """One connection of an MTA, and ours to the daemon."""

    def __init__(self, stand_in, mta):
        self.stand_in, self.mta = stand_in, mta
        self.filter = socket.create_connection(("127.0.0.1", stand_in.port))
        for sock in (self.mta, self.filter):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.macros = {}
        self.connection, self.helo, self.message = None, None, None
        self.silent = 0

    def macro(self, name, *commands):
        macros = self.message.macros if self.message else self.macros
        for command in commands:
            if name in macros.get(command, {}):
                return macros[command][name]
        return None

    def arguments(self):
        """The words of countersignctl try for this message; None, and why, if there are none."""
        message, name = self.message, self.connection
        if name is None:
            return None, "no connection"
        host, family, port, address = name
        login = self.macro("{auth_authen}", b"M")
        daemon = self.macro("{daemon_name}", b"C")
        if self.macro("{auth_type}", b"M") and not login:
            return None, "AUTH without a login"
        if self.macro("{daemon_port}", b"C"):
            return None, "a daemon port"
        if message.parameters:
            return None, "parameters of MAIL"
        words = []
        if port == 0 and family in b"46":
            words += ["--mta", "pickup"]
        words += ["--daemon", daemon or ""]
        if family in b"46":
            words += ["--client", address]
        else:
            return None, "a client without address"
        if self.helo is not None:
            words += ["--helo", self.helo.decode("utf-8", "surrogateescape")]
        if login:
            words += ["--login", login]
        if self.macro("{tls_version}", b"M", b"H"):
            words += ["--tls"]
        try:
            words += ["--from", message.path.decode() or "<>"]
            for path, _ in message.rcpts:
                words += ["--rcpt", path.decode()]
        except UnicodeDecodeError:
            return None, "an address that is not UTF-8"
        if not message.rcpts:
            words += ["--rcpt", "nobody@elsewhere.example"]
        if any("\n" in word or "\0" in word for word in words):
            return None, "an address with a line end"
        return words, None

    def text(self):
        """The message as a file; None, and why, if it cannot be one."""
        message = self.message
        if message.odd:
            return None, message.odd[0]
        made = b""
        for name, value in message.fields:
            if not NAME.match(name) or b"\r" in value or b"\0" in value or re.search(rb"\n(?![ \t])", value):
                return None, "a field that no line is"
            made += name + b":" + value + b"\n"
        body = message.body.replace(b"\r\n", b"\n")
        if b"\r" in body or b"\0" in body or message.body.count(b"\n") != message.body.count(b"\r\n"):
            return None, "a body with NUL, bare CR or bare LF"
        return made + b"\n" + body, None

    def attempt(self):
        """Try the message; (answer, status) or (None, why)."""
        words, why = self.arguments()
        if words is None:
            return None, why
        text, why = self.text()
        if text is None:
            return None, why
        with self.stand_in.trials:
            answer, about = self.ask(["-s", self.stand_in.control], ["--running", *words], text)
            self.stand_in.n_tried += 1
            if self.stand_in.n_tried % EVERY != 0 or os.environ.get("TRY_CHANGES") or "verdict" not in answer or answer["limits"] or answer["blocked"]:
                return answer, about
        direct, about = self.ask(["-c", self.stand_in.conf], ["--direct", *words], text)
        if any(direct.get(name) != answer[name] for name in ("verdict", "reply", "reason")):
            return direct, about
        return answer, about

    @staticmethod
    def ask(where, words, text):
        """One run of countersignctl try: (answer, (status, words))."""
        seen = subprocess.run([os.environ["TRY_CTL"], *where, "--json", "try", *words], input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        try:
            return json.loads(seen.stdout), (seen.returncode, words)
        except ValueError:
            return {"error": "no JSON: %r %r" % (seen.stdout, seen.stderr)}, (seen.returncode, words)

    def note(self, tried, expected):
        """One comparison, or why there is none; expected: verdict, reply, domains, field."""
        answer, about = tried
        if answer is None:
            self.stand_in.record({"skipped": about})
            return
        status, words = about
        if "sending is blocked" in (answer.get("reply") or "") and "sending is blocked" not in (expected[1] or ""):
            self.stand_in.record({"skipped": "the account is blocked because of this message"})
            return
        if "verdict" not in answer:
            self.stand_in.record({"ok": False, "words": words, "expected": expected, "seen": answer})
            return
        verdict = "accept" if answer["verdict"] == "warn" else answer["verdict"]
        reply = answer["reply"]
        seen = [verdict, reply]
        if len(expected) > 2:
            seen += [[re.search(r"d=([^;\s]+)", value).group(1) for value in answer["signatures"]],
                     [field["value"] for field in answer["added"] if field["name"] == "Authentication-Results"]]
        same = plain(seen) == plain(expected) and status == STATUS[verdict]
        self.stand_in.record({"ok": same, "words": words, "expected": expected, "seen": seen, "status": status,
                              "rules": [r["reason"] for r in answer["rules"] if r["found"]]})

    def answers(self):
        """What the daemon answers to a command: packets up to the reply."""
        while True:
            got = read_packet(self.filter)
            if got is None:
                return None
            self.pending.append(got)
            if got[0] in b"crtdaysfO":
                return got

    @staticmethod
    def reply_of(got):
        """Verdict and reply of a packet."""
        command, data = got
        if command == b"y":
            text = data.rstrip(b"\0").decode("utf-8", "replace").replace("%%", "%")
            return ("reject" if text[0] == "5" else "tempfail"), text
        return ("accept" if command in (b"c", b"a") else command.decode()), None

    def ended(self, pending, got):
        """What the daemon made of a whole message."""
        verdict, reply = self.reply_of(got)
        if verdict == "accept" and any(command == b"q" for command, _ in pending):
            verdict = "quarantine"
        signed, results = [], []
        for command, data in pending:
            if command == b"i":
                name, value = data[4:].rstrip(b"\0").decode("utf-8", "replace").split("\0", 1)
                if name == "DKIM-Signature":
                    signed.insert(0, re.search(r"d=([^;\s]+)", value).group(1))
                elif name == "Authentication-Results":
                    results.append(value)
        return verdict, reply, signed, results

    def refused_rcpts(self):
        """A message of which no recipient was accepted has ended so."""
        message = self.message
        if message is not None and not message.over and message.rcpts and all(reply for _, reply in message.rcpts):
            text = message.rcpts[-1][1]
            self.note(self.attempt(), ("reject" if text[0] == "5" else "tempfail", text))
        self.message = None

    def command(self, command, data):
        """One packet of the MTA: hand it on, and the answer back. False at the end."""
        tried = None
        if command == b"D":
            words = data[1:].split(b"\0")
            self.macros[data[:1]] = {words[i].decode("utf-8", "surrogateescape"):
                                     words[i + 1].decode("utf-8", "surrogateescape") for i in range(0, len(words) - 1, 2)}
        elif command == b"C":
            host, rest = data.split(b"\0", 1)
            family = rest[:1]
            port = struct.unpack("!H", rest[1:3])[0] if family in b"46" else 0
            self.connection = (host, family, port, rest[3:].rstrip(b"\0").decode("latin1"))
        elif command == b"H":
            self.refused_rcpts()
            self.helo = data.rstrip(b"\0")
        elif command == b"M":
            self.refused_rcpts()
            self.message = Message()
            self.message.macros = dict(self.macros)
            self.message.path, *self.message.parameters = data.rstrip(b"\0").split(b"\0")
        elif command in b"AQK":
            self.refused_rcpts()
        elif self.message is not None and command == b"R":
            if "{rcpt_addr}" in self.macros.get(b"R", {}):
                self.message.odd.append("an MTA's reading of a recipient")
        elif self.message is not None and command == b"L":
            name, value = data.split(b"\0", 1)
            self.message.fields.append((name, value.rstrip(b"\0")))
        elif self.message is not None and command == b"B":
            self.message.body += data
        elif self.message is not None and command == b"E":
            if data:
                self.message.body += data
            tried = self.attempt()
        self.filter.sendall(packet(command, data))
        if command == b"Q":
            return False
        if command in b"DAK" or (command == b"L" and self.silent & 0x80) or (command == b"B" and self.silent & 0x80000):
            return True
        self.pending = []
        got = self.answers()
        if got is None:
            return False
        self.after(command, data, got, tried)
        for one in self.pending:
            self.mta.sendall(packet(*one))
        return True

    def after(self, command, data, got, tried):
        """Compare what there is to compare."""
        message = self.message
        if command == b"O":
            self.silent = struct.unpack("!III", got[1][:12])[2]
        if message is None or message.over:
            return
        verdict, reply = self.reply_of(got)
        if command == b"R":
            message.rcpts.append((data.split(b"\0", 1)[0], reply))
        elif command in b"MNB" and verdict != "accept":
            message.over = True
            self.note(self.attempt(), (verdict, reply))
        elif command == b"E":
            message.over = True
            self.note(tried, self.ended(self.pending, got))

    def run(self):
        try:
            while True:
                got = read_packet(self.mta)
                if got is None or not self.command(*got):
                    break
            self.refused_rcpts()
        except OSError:
            pass
        self.mta.close()
        self.filter.close()


class StandIn:
    """The daemon of a conversation."""

    def __init__(self, conf):
        with open(conf, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        port = int(re.search(r'listen = "inet:127\.0\.0\.1:(\d+)"', text).group(1))
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(100)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        text = text.replace("127.0.0.1:%d" % port, "127.0.0.1:%d" % self.port, 1)
        found = re.search(r'^control = "([^"]+)"', text, re.M)
        self.control = found.group(1) if found else os.path.dirname(os.path.abspath(conf)) + "/try.control"
        if not found:
            text = 'control = "%s"\n' % self.control + text
        with open(conf + ".try", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        self.lock = threading.Lock()
        self.trials = threading.Lock()  # the daemon tries two at once
        self.n_tried = 0
        self.conf = conf + ".try"
        self.process = subprocess.Popen([os.environ["TRY_DAEMON"], "-c", conf + ".try"])

    def record(self, what):
        with self.lock, open(os.environ["TRY_LOG"], "a") as log:
            log.write(json.dumps(what) + "\n")

    def serve(self):
        while True:
            sock, _ = self.listener.accept()
            try:
                wire = Wire(self, sock)
            except OSError:
                sock.close()
                continue
            threading.Thread(target=wire.run, daemon=True).start()

    def run(self):
        for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            signal.signal(name, lambda number, _: self.process.send_signal(number))
        threading.Thread(target=self.serve, daemon=True).start()
        while True:
            try:
                return self.process.wait()
            except InterruptedError:
                pass


# --- the test ---

def run_one(conversation, directory, daemon, ctl):
    """One conversation: what was compared."""
    log = directory + "/" + os.path.basename(conversation)
    environment = dict(os.environ, COUNTERSIGN=os.path.abspath(__file__), COUNTERSIGNCTL=ctl,
                       TRY_DAEMON=daemon, TRY_CTL=ctl, TRY_LOG=log)
    if os.path.basename(conversation) in CHANGES:
        environment["TRY_CHANGES"] = "1"
    if conversation.endswith(".test"):
        command = ["bash", conversation]
    else:
        command = ["sh", HERE + "/run.sh", conversation]
    seen = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    try:
        with open(log) as lines:
            return [json.loads(line) for line in lines], seen.stdout.decode("utf-8", "replace")
    except OSError:
        return [], seen.stdout.decode("utf-8", "replace")


def main():
    daemon, ctl, *conversations = sys.argv[1:]
    count = bad = 0
    with tempfile.TemporaryDirectory() as directory:
        for conversation in conversations:
            noted, said = run_one(conversation, directory, daemon, ctl)
            compared = [one for one in noted if "ok" in one]
            wrong = [one for one in compared if not one["ok"]]
            skipped = [one["skipped"] for one in noted if "skipped" in one]
            count += 1
            if not noted and re.search(r"^1\.\.0 # SKIP", said, re.M):
                print("ok %d - %s # SKIP it was skipped itself" % (count, os.path.basename(conversation)))
                continue
            good = compared and not wrong
            bad += not good
            print("%sok %d - %s: %d messages alike, %d cannot be compared" % ("" if good else "not ", count,
                  os.path.basename(conversation), len(compared) - len(wrong), len(skipped)))
            for why in sorted(set(skipped)):
                print("# not comparable, %d: %s" % (skipped.count(why), why))
            for one in wrong[:10]:
                print("# " + json.dumps(one)[:2000])
            if not compared:
                print("# " + said[-3000:].replace("\n", "\n# "))
            sys.stdout.flush()
    print("1..%d" % count)
    sys.exit(bad > 0)


if sys.argv[1] == "-c":
    sys.exit(StandIn(sys.argv[2]).run())
main()
