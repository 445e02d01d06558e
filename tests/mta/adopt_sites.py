"""adopt_sites.py - hosts for countersignctl adopt; called by adopt.test

A host is a directory with etc/ and expect.json: {"expect": [[what, place, regular expression] ...],
"keys": [paths below /etc of private keys that are made], "setup": shell commands run in the namespace,
"check": whether countersign -t must be content, "status": of adopt, "args": further arguments,
"back": run the way back with postconf, and say "as it was"}. place is conf (the files
without comments, white space collapsed), conf-not, said (what is printed, and the comments), said-not,
both. Writes TAP.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ["COUNTERSIGN_BUILD"]
POSTFIX = os.environ.get("POSTFIX")
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
EXAMPLES = os.environ.get("COUNTERSIGN_ADOPT_EXAMPLES", os.path.join(TOP, "..", "shared", "adopt"))
count = 0
failed = 0


def ok(good, sentence, *notes):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {sentence}")
    if not good:
        for note in notes:
            for line in note.splitlines():
                print("# " + line)
    sys.stdout.flush()


def comments_of(text):
    """What stands behind # outside of quotation marks."""
    return "\n".join(part for _, part in split_comments(text))


def split_comments(text):
    for line in text.splitlines():
        match = re.match(r'((?:[^"#]|"(?:[^"\\]|\\.)*")*)(#.*)?$', line)
        yield (match.group(1), match.group(2) or "") if match else (line, "")


def without_comments(text):
    return re.sub(r"\s+", " ", " ".join(part for part, _ in split_comments(text)))


def way_back(top):
    """Commands that give each setting the value it has, by the way back of adopt, and say what differs then."""
    show = "{ postconf -n; postconf -M; }"
    return f"{show} >{top}/before\n" \
        f"sed -n '/^The way back/,/^$/p' {top}/said | grep -E '^postconf .* -(P|Me|e) ' | sh -e\n" \
        f"echo \"way back: $?\"; {show} | diff {top}/before - && echo 'as it was'\n"


def run_host(host, expected, postconf):
    """Run adopt on a host; its exit status, what it printed, its files, and what countersign -t says."""
    top = tempfile.mkdtemp(prefix="countersign-adopt.")
    os.chmod(top, 0o755)
    try:
        etc = os.path.join(top, "etc")
        # of this machine all but its own mail servers
        mail = shutil.ignore_patterns("mail", "opendkim*", "opendmarc*", "policyd*", "postfix", "postfwd*", "rspamd")
        shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True, ignore=mail)
        shutil.copytree(os.path.join(host, "etc"), etc, dirs_exist_ok=True)
        for key in expected.get("keys", []):
            path = os.path.join(etc, key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, stderr=subprocess.DEVNULL)
            os.chmod(path, 0o600)
        for root, dirs, files in os.walk(etc):
            for name in dirs + files:
                os.chown(os.path.join(root, name), 0, 0, follow_symlinks=False)
        out = os.path.join(top, "out")
        run = expected.get("setup", "true") + "\n" + \
            f"{BUILD}/countersignctl adopt --output {out} {expected.get('args', '')} >{top}/said\nstatus=$?\n" \
            f"cat {top}/said\n" \
            f"{way_back(top) if expected.get('back') and postconf else ''}" \
            f"{BUILD}/countersign -t -c {out}/countersign.conf >{top}/checked 2>&1; echo $? >{top}/check\n" \
            "exit $status\n"
        env = dict(os.environ, PATH="/usr/bin:/bin")
        if postconf:
            env.update(PATH=f"{POSTFIX}/usr/sbin:/usr/bin:/bin",
                       LD_LIBRARY_PATH=f"{POSTFIX}/usr/lib/postfix:{POSTFIX}/usr/lib/x86_64-linux-gnu")
        env.pop("MAIL_CONFIG", None)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             f"mount --bind {etc} /etc && exec sh -c \"$1\"", "sh", run],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        files = {}
        if os.path.isdir(out):
            for name in sorted(os.listdir(out)):
                with open(os.path.join(out, name), encoding="utf-8") as file:
                    files[name] = file.read()
        with open(os.path.join(top, "check"), encoding="utf-8") as file:
            check = file.read().strip()
        with open(os.path.join(top, "checked"), encoding="utf-8") as file:
            checked = file.read()
        return done.returncode, done.stdout, files, check, checked
    finally:
        shutil.rmtree(top, ignore_errors=True)


def judge(host, postconf):
    name = os.path.basename(host) + (" with postconf" if postconf else "")
    with open(os.path.join(host, "expect.json"), encoding="utf-8") as file:
        expected = json.load(file)
    status, said, files, check, checked = run_host(host, expected, postconf)
    raw = "\n".join(files.get(key, "") for key in ("countersign.conf", "plans.conf"))
    conf, comments = without_comments(raw), comments_of(raw)
    shown = (said, raw, checked) if os.environ.get("VERBOSE") else ()
    ok(status == expected.get("status", 0), f"{name}: the files are written, and its status", said, *shown)
    said_all = said + "\n" + comments
    for what, place, pattern in expected["expect"]:
        texts = {"conf": conf, "conf-not": conf, "said": said_all, "said-not": said_all,
                 "both": conf + said_all + "".join(files.values())}
        found = re.search(pattern, texts[place]) is not None
        ok(found != place.endswith("-not"), f"{name}: {what}", f"{place}: {pattern}", *(shown or (texts[place],)))
    if expected.get("back") and postconf:
        ok("way back: 0\nas it was" in said, f"{name}: the way back writes what was there", said)
    if expected.get("check"):
        ok(check == "0", f"{name}: countersign -t is content", checked)
    if os.environ.get("SHOW"):
        print("\n".join("# " + line for line in (said + "\n=== conf\n" + raw + "\n=== -t\n" + checked).splitlines()))


def main():
    hosts = []
    own = os.path.join(HERE, "adopt")
    for place in (EXAMPLES, own):
        if not os.path.isdir(place):
            print(f"# {place} is not there: its hosts are not tried", file=sys.stderr)
            if place == EXAMPLES:
                global count
                count += 1
                print(f"ok {count} - the example hosts # SKIP {place} is not there (COUNTERSIGN_ADOPT_EXAMPLES)")
            continue
        hosts += [os.path.join(place, name) for name in sorted(os.listdir(place))
                  if os.path.isfile(os.path.join(place, name, "expect.json"))]
    for host in hosts:
        if len(sys.argv) > 1 and os.path.basename(host) not in sys.argv[1:]:
            continue
        judge(host, False)
        if POSTFIX:
            judge(host, True)
    print(f"1..{count}")
    sys.exit(failed > 0)


main()
