"""opendkim_talk.py - opendkim.test's conversations: the same mail to both daemons, and each one's mail to the other

Arguments: a file of "NAME PORT" lines, the directory of the keys, the port of the DNS server.
"""
import base64
import os
import re
import subprocess
import sys

import dkim
import dns.resolver

# behind all others: there is a dkim.py in that directory, too
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "talk"))
from milter import Milter  # noqa: E402
from tap import done, ok  # noqa: E402

ports = dict((name, int(port)) for name, port in (line.split() for line in open(sys.argv[1])))
keys, dns_port = sys.argv[2], int(sys.argv[3])

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], dns_port, 5


def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return b"".join(resolver.resolve(name, "TXT")[0].strings)


def inserted(m, wanted):
    """The values of the fields that were inserted, the uppermost first."""
    values = []
    for command, data in m.edits:
        name, value = (data[4:] if command == "i" else data).split(b"\0")[:2]
        if command in "ih" and name.lower() == wanted:
            values.insert(0, value)
    return values


def tag(value, name):
    found = re.search(rb"(?:^|[;\s])" + name + rb"=\s*([^;]*)", value)
    return re.sub(rb"\s", b"", found.group(1)).decode() if found else None


def talk(name, fields, body, daemon="ORIGINATING", **macros):
    """(reply, DKIM-Signature values, Authentication-Results values) of a daemon"""
    m = Milter(ports[name]).begin(daemon=daemon)
    reply = m.message(fields, body=body, path=b"<x@a.example>", rcpts=(b"<y@d.example>",), i="O1", **macros)
    found = reply, inserted(m, b"dkim-signature"), inserted(m, b"authentication-results")
    m.quit()
    return found


def sign(name, fields, body):
    login = dict(auth_type="PLAIN", auth_authen="all") if name.startswith("our") else {}
    return talk(name, fields, body, **login)


BASE = [(b"To", b" y@d.example"), (b"Subject", b" hello"), (b"Date", b" Mon, 02 Nov 2026 10:00:00 +0000"),
        (b"Message-ID", b" <1@client.example>")]

# --- the same tables, the same signatures

ADDRESSES = ["vip@a.example", "VIP2@a.example", "other@A.Example", "x@b.example", "x@x.b.example", "joe@x.b.example",
             "x@c.example", "xsuby@e.example", "z@e.example", "joe@i.a.example", "z@elsewhere.example", "joe@q.example",
             "x@never.example", "x@sub.a.example"]
for kind in ("names", "patterns"):
    for multiple in ("false", "true"):
        for address in ADDRESSES:
            seen = {}
            for who in ("our", "their"):
                reply, made, _ = sign("%s-%s-%s" % (who, kind, multiple), [(b"From", b" " + address.encode())] + BASE, b"Hello.\r\n")
                seen[who] = sorted((tag(v, b"d"), tag(v, b"s"), tag(v, b"i")) for v in made)
                if who == "their" and reply not in ("eom c", "eom a"):
                    seen[who] = "it defers the mail"
            if len(seen["our"]) > 2 and len(seen["their"]) == 2:
                # opendkim 2.11 loses all but the first and the last of several, against its manual
                same = set(seen["their"]) < set(seen["our"])
            else:
                same = seen["our"] == seen["their"]
            ok(same and seen["our"], "%s, multiple %s: %s gets the signatures that opendkim makes"
               % (kind, multiple, address), seen)

# --- messages in every form

LONG = b" " + b" ".join(b"word%d" % i for i in range(150))
MESSAGES = [
    # label, fields beside the base, body
    ("plain", [], b"Hello.\r\n"),
    ("folded and odd white space", [(b"X-A", b" one\n  two\n\tthree"), (b"Cc", b" \"A, B\" <a@d.example>,\n\tc@d.example (C)"),
                                    (b"Reply-To", b"\n  vip@a.example"), (b"In-Reply-To", b"   <2@x>   ")], b"a  b\t c \r\n \t\r\n"),
    ("no space behind the colon", [(b"References", b"<1@x>"), (b"MIME-Version", b"1.0")], b"x\r\n"),
    ("an empty body", [], b""),
    ("only empty lines", [], b"\r\n\r\n\r\n"),
    ("empty lines at the end", [], b"x\r\n\r\n\r\n"),
    ("no line end at the end", [], b"x"),
    ("8-bit", [(b"Content-Transfer-Encoding", b" 8bit")], b"Gr\xc3\xbc\xc3\x9fe \xff\r\n"),
    ("an 8-bit field", [(b"In-Reply-To", b" \xc3\xa9\xe9")], b"x\r\n"),
    ("long lines", [(b"References", LONG.replace(b" word7", b"\n word7"))], b"y" * 5000 + b"\r\nz\r\n"),
    ("many lines", [], b"".join(b"line %d\r\n" % i for i in range(3000))),
    ("a dot", [], b".\r\n..\r\n"),
    ("the same field twice", [(b"To", b" z@d.example"), (b"List-ID", b" <l.d.example>")], b"x\r\n"),
]


def whole(signatures, fields, body):
    """The message as it goes over the wire."""
    lines = [b"DKIM-Signature:" + value for value in signatures] + [n + b":" + v for n, v in fields]
    return b"\r\n".join(re.sub(rb"\r?\n", b"\r\n", line) for line in lines) + b"\r\n\r\n" + body


def opendkim_says(signatures, fields, body):
    fields = [(b"DKIM-Signature", re.sub(rb"\r\n", b"\n", v)) for v in signatures] + fields
    _, _, results = talk("their-verifier", fields, body, daemon="mx")
    return b" ".join(results)


def we_say(signatures, fields, body):
    fields = [(b"DKIM-Signature", re.sub(rb"\r\n", b"\n", v)) for v in signatures] + fields
    _, _, results = talk("our-relaxed-relaxed", fields, body, daemon="mx")
    return b" ".join(results)


for header in ("simple", "relaxed"):
    for body_form in ("simple", "relaxed"):
        form = "%s/%s" % (header, body_form)
        for label, more, body in MESSAGES:
            fields = [(b"From", b" vip@a.example")] + BASE + more
            _, made, _ = sign("our-%s-%s" % (header, body_form), fields, body)
            # no MTA sends that to a filter, and opendkim takes no such message at all in the relaxed form
            complete = body.endswith(b"\n") or not body
            said = opendkim_says(made, fields, body) if complete else b"dkim=pass"
            ok(len(made) == 1 and tag(made[0], b"c") == form and b"dkim=pass" in said,
               "%s, %s: opendkim verifies what countersign signed" % (form, label), (made, said))
            good = False
            try:
                good = dkim.verify(whole(made, fields, body), dnsfunc=txt)
            except dkim.DKIMException as error:
                said = error
            # dkimpy splits lines of 8-bit fields in its own way
            if label != "an 8-bit field":
                ok(good, "%s, %s: and dkimpy does" % (form, label), said)

            _, made, _ = sign("their-%s-%s" % (header, body_form), fields, body) if complete else ("", [], "")
            said = we_say(made, fields, body)
            ok(not complete or len(made) == 1 and tag(made[0], b"c") == form and b"dkim=pass" in said and b"header.s=s2" in said,
               "%s, %s: countersign verifies what opendkim signed" % (form, label), (made, said))
            said = we_say(made, fields, body + b"more\r\n")
            ok(not complete or b"dkim=fail" in said and b"dkim=pass" not in said, "%s, %s: and not once it was changed" % (form, label), said)

            for algorithm, selector, key in ((b"rsa-sha256", b"s1", "one"), (b"ed25519-sha256", b"ed", "ed")):
                if label == "an 8-bit field":
                    continue
                pem = open(keys + "/" + key, "rb").read()
                if key == "ed":
                    # dkimpy wants the seed in base64
                    der = subprocess.run(["openssl", "pkey", "-in", keys + "/ed", "-outform", "DER"],
                                         stdout=subprocess.PIPE, check=True).stdout
                    pem = base64.b64encode(der[-32:])
                value = dkim.sign(whole([], fields, body), selector, b"a.example", pem,
                                  canonicalize=(header.encode(), body_form.encode()), signature_algorithm=algorithm)
                value = value[len(b"DKIM-Signature:"):].rstrip(b"\r\n")
                said = we_say([value], fields, body)
                ok(b"dkim=pass" in said and b"header.s=" + selector in said,
                   "%s, %s: countersign verifies what dkimpy signed by %s" % (form, label, algorithm.decode()), (value, said))

done()
