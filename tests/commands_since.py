#
# commands_since.py - does countersign ask anything of Redis that version 5 does not have?
#
# Which commands there are, since when, and since when each argument, a Redis 7 or later tells
# (COMMAND DOCS; SENTINEL is not among them, its one command is that of 2.8). What countersign uses is read from its scripts and sources. The same list is held against
# the rules for an ACL user in countersign-store(5): who copies them must not be told NOPERM.

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("top_srcdir", ".")
OLDEST = (5, 0, 0)

# What Redis 5's Lua has of its own; of other libraries cmsgpack is in all versions.
LUA_CALLS = {"call", "pcall", "error_reply", "status_reply", "sha1hex", "log", "replicate_commands"}

# Changes since version 5 that no argument shows, by command: why they do not matter.
HARMLESS = {
    "AUTH": "the user's name is sent only where one is configured",
    "EXPIRE": "options are found as arguments",
    "PEXPIRE": "options are found as arguments",
    "SET": "options are found as arguments",
    "XADD": "options are found as arguments",
    "XTRIM": "options are found as arguments",
    "ZADD": "options are found as arguments",
    "XREVRANGE": "no range of ours is exclusive",
    "CLUSTER SLOTS": "what is more is not read",
    "CONFIG GET": "one pattern is asked for at a time",
    "INFO": "no section is named",
    "HSCAN": "options are found as arguments",
    "ZRANGE": "options are found as arguments",
}

# Not in the rules: what every user may do, what is for Clusters, and PING, INFO and CONFIG GET, whose
# refusal does no harm: the doctor then does not know how Redis is set up.
ALWAYS = {"AUTH", "ASKING", "CLUSTER SLOTS", "SELECT", "PING", "CONFIG GET"}

numbered = 0
failed = 0


def ok(good, what, why=()):
    global numbered, failed
    numbered += 1
    print("%sok %d - %s" % ("" if good else "not ", numbered, what))
    if not good:
        failed += 1
        for line in why:
            print("# " + str(line))
    return good


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def sources(folder):
    """Every file below a folder, by its name from the top, in order."""
    found = []
    for path, _, names in os.walk(os.path.join(TOP, folder)):
        found += [os.path.relpath(os.path.join(path, name), TOP) for name in names]
    return sorted(found)


# ------------------------------------------------------------------ what is used

def lua_uses(text):
    """(command, literal words of the call) of a script; and what of it cannot be told."""
    text = re.sub(r"--[^\n]*", "", text)
    uses, odd = [], []
    for match in re.finditer(r"redis\.(\w+)", text):
        if match.group(1) not in LUA_CALLS:
            odd.append("redis." + match.group(1))
    for match in re.finditer(r"redis\.(p?)call\s*\(", text):
        depth, at = 1, match.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        inside = text[match.end():at - 1]
        first = re.match(r"\s*'([A-Za-z]+)'", inside)
        if not first:
            odd.append("redis.call(" + inside[:40])
            continue
        words = {word.upper() for word in re.findall(r"'([^']*)'", inside)}
        if match.group(1):      # where pcall() fails, the script goes on: words of later versions may be tried
            words = set()
        uses.append((first.group(1).upper(), words))
    if re.match(r"\s*#!", text):
        odd.append("a script with #!")
    return uses, odd


def c_uses(text, commands):
    """The same of a source in C: words in capitals that are commands; what else is in the function counts as its words."""
    uses = []
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"refusals\[\] = \{.*?\};", "", text, flags=re.S)    # words of errors
    for function in re.split(r"\n}\n", text):
        words = set(re.findall(r'"([A-Za-z-]+)"', function))
        words = {word.upper() for word in words if word.isupper() or "-" in word}
        for word in words:
            if word in commands:
                others = [word + " " + other for other in words if word + " " + other in commands]
                uses.extend((name, words) for name in others or [word])
    return uses


# ------------------------------------------------------------------ what Redis knows

class Redis:
    """A private server, and its answers as Python has them."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="countersign-commands-")
        path = os.path.join(self.directory, "sock")
        program = os.environ.get("COUNTERSIGN_REDIS_SERVER") or "redis-server"
        self.process = subprocess.Popen([program, "--port", "0", "--unixsocket", path, "--save", "", "--dir",
                                         self.directory], stdout=subprocess.DEVNULL)
        for _ in range(500):
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.02)
        self.file = self.socket.makefile("rwb")

    def ask(self, *words):
        self.file.write(b"*%d\r\n" % len(words))
        for word in words:
            self.file.write(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
        self.file.flush()
        return self.reply()

    def reply(self):
        line = self.file.readline().decode().rstrip("\r\n")
        kind, rest = line[0], line[1:]
        if kind in "+:":
            return rest
        if kind == "-":
            raise RuntimeError(rest)
        if kind == "$":
            return self.file.read(int(rest) + 2)[:-2].decode(errors="replace") if int(rest) >= 0 else None
        return [self.reply() for _ in range(int(rest))]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def pairs(answer):
    return dict(zip(answer[::2], answer[1::2]))


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def docs_of(redis):
    """All commands, subcommands as "CLUSTER SLOTS"."""
    found = {}

    def take(name, answer):
        doc = pairs(answer)
        found[name.upper().replace("|", " ")] = doc
        for sub, more in pairs(doc.get("subcommands", [])).items():
            take(sub, more)

    for name, answer in pairs(redis.ask("COMMAND", "DOCS")).items():
        take(name, answer)
    return found


def newer_words(arguments):
    """The words of arguments that came after OLDEST, with their version."""
    words = {}
    for argument in arguments:
        one = pairs(argument)
        if version(one.get("since", "1.0.0")) > OLDEST and "token" in one:
            words[one["token"].upper()] = one["since"]
        inner = newer_words(one.get("arguments", []))
        if version(one.get("since", "1.0.0")) > OLDEST:
            for item in one.get("arguments", []):
                if "token" in pairs(item):
                    inner.setdefault(pairs(item)["token"].upper(), one["since"])
        words.update(inner)
    return words


def complaints(uses, docs):
    """What of uses version 5 would not understand."""
    found = set()
    for name, words in uses:
        doc = docs.get(name)
        if doc is None:
            found.add("%s: there is no such command" % name)
            continue
        if version(doc["since"]) > OLDEST:
            found.add("%s is there since %s" % (name, doc["since"]))
        for word, since in newer_words(doc.get("arguments", [])).items():
            if word in words:
                found.add("%s with %s is there since %s" % (name, word, since))
        for since, change in doc.get("history", []):
            if version(since) > OLDEST and name not in HARMLESS:
                found.add("%s changed in %s: %s" % (name, since, change))
    return sorted(found)


def acl_words(page):
    """The commands that countersign-store(5) tells to allow."""
    block = re.search(r"It needs these rules.*?\.Bd[^\n]*\n(.*?)\.Ed", page, re.S)
    return {word[1:].upper().replace("|", " ") for word in block.group(1).split() if word.startswith("+")}


# ------------------------------------------------------------------ the tests

def main():
    if shutil.which(os.environ.get("COUNTERSIGN_REDIS_SERVER") or "redis-server") is None:
        print("1..0 # SKIP redis-server is not installed: apt-get install redis-server")
        return 0
    redis = Redis()
    try:
        if version(re.search(r"redis_version:(\S+)", redis.ask("INFO", "server")).group(1)) < (7, 0, 0):
            print("1..0 # SKIP a server before version 7 does not tell since when commands are there")
            return 0
        docs = docs_of(redis)
    finally:
        redis.close()

    everything = []
    for name in sources("filter"):
        if name.endswith(".lua"):
            uses, odd = lua_uses(read(name))
            ok(uses and not odd, "%s: every call's command can be read" % name, odd)
            everything += uses
        elif name.endswith(".c") and re.search(r"redis|journal|\bpush\(command", read(name)):
            everything += c_uses(read(name), docs)
    names = {name for name, _ in everything}
    ok({"EVALSHA", "AUTH", "XADD", "HSCAN", "CLUSTER SLOTS"} <= names,
       "the commands of the C sources are found", sorted(names))
    why = complaints(everything, docs)
    ok(not why, "%d commands, with their arguments, are Redis 5's" % len(names), why)
    allowed = acl_words(read("filter/countersign-store.5"))
    ok(names - ALWAYS == allowed, "countersign-store(5) tells the ACL user's commands, no more and no less",
       ["missing: " + name for name in sorted(names - ALWAYS - allowed)] +
       ["never used: " + name for name in sorted(allowed - (names - ALWAYS))])
    examined = re.search(r'\{doctor\}", prefix\),(.*?)NULL', read("filter/doctor/check_redis.c"), re.S)
    examined = {name.upper() for name in re.findall(r'"(\w+)"', examined.group(1))}
    ok(examined == allowed - {"TIME", "INFO"}, "the doctor asks for the same",
       sorted(examined ^ (allowed - {"TIME", "INFO"})))

    # Would it be seen?
    for script, part in (
            ("redis.call('GETEX', KEYS[1])", "GETEX is there since 6.2.0"),
            ("redis.call('SET', KEYS[1], '1', 'KEEPTTL')", "SET with KEEPTTL is there since 6.0.0"),
            ("redis.call('ZADD', KEYS[1], 'GT', 1, 'a')", "ZADD with GT is there since 6.2.0"),
            ("redis.call('PEXPIRE', KEYS[1], 5, 'NX')", "PEXPIRE with NX is there since 7.0.0"),
            ("redis.call('LPOP', KEYS[1], 5)", "LPOP changed in 6.2.0"),
            ("redis.pcall('GETEX', KEYS[1], 'PERSIST')", "GETEX is there since 6.2.0"),
            ("redis.call('NOSUCH', KEYS[1])", "there is no such command")):
        uses, odd = lua_uses(script)
        ok(not odd and part in "; ".join(complaints(uses, docs)), "it would be seen: " + script, complaints(uses, docs))
    for script in ("redis.call(command, KEYS[1])", "redis.setresp(3)", "#!lua name=x\nredis.call('GET', 'x')"):
        ok(lua_uses(script)[1], "it would be seen: " + script.replace("\n", " "))
    print("1..%d" % numbered)
    return 1 if failed else 0


sys.exit(main())
