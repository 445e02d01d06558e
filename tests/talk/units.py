"""units.py - each unit in limits: what a message costs, or what has happened before it"""
import os
import socket
import subprocess
import sys
import time
import json

from milter import FIELDS, Milter
from tap import done, ok

port = int(sys.argv[1])
directory = sys.argv[3]
HOME = "192.0.2.1"
reply = b""


def ctl(*words):
    """A command of countersignctl: its output."""
    return subprocess.run([os.environ["COUNTERSIGNCTL"], "-s", directory + "/control", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True).stdout


def control(**request):
    with socket.socket(socket.AF_UNIX) as at:
        at.settimeout(60)
        at.connect(directory + "/control")
        at.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(at.makefile("rb").readline())


def send(login, address=HOME, sender=None, rcpts=(b"<bob@elsewhere.example>",), body=b"Hello.\r\n", number=b"1"):
    """One message of a login from an address: where it ended."""
    global reply
    m = Milter(port).begin(address=address)
    sender = (sender or login + "@example.org").encode()
    fields = [(b"From", b" " + sender)] + FIELDS[1:4] + [(b"Message-ID", b" <%s@client.example>" % number)]
    seen = m.message(fields, body, path=b"<%s>" % sender, rcpts=rcpts,
                     i="P1", auth_type="PLAIN", auth_authen=login + "@example.org")
    reply = m.reply_text
    held = any(command == "q" for command, _ in m.edits)
    m.quit()
    return seen + " held" if held else seen


def at_mail(login):
    """Is a message refused at MAIL, at last? With Redis a block is counted beside the mail, and a change by hand that is
    noticed late makes forgotten that the account is over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if send(login) == "mail y":
            return True
        time.sleep(0.05)
    return False


def report(to, number):
    """A delivery report about a message comes in for an address."""
    m = Milter(port).begin(daemon="mx", address="203.0.113.9")
    body = (b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; there.example\r\n\r\n"
            b"Action: failed\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: someone\r\n"
            b"Message-ID: <%s@client.example>\r\n\r\n--b--\r\n" % number)
    seen = m.message([(b"From", b" MAILER-DAEMON@there.example"), (b"Subject", b" Undelivered"),
                      (b"Content-Type", b' multipart/report; report-type=delivery-status; boundary="b"')], body,
                     path=b"<>", rcpts=(b"<%s@example.org>" % to,))
    m.quit()
    return seen


def dead(login, names, code="5.1.1", text="unknown"):
    """The MTA refuses recipients of a login, and there is no message."""
    m = Milter(port).begin(address=HOME)
    m.mail(b"<%s@example.org>" % login.encode(), i="P1", auth_type="PLAIN", auth_authen=login + "@example.org")
    for name in names:
        m.macros(b"R", rcpt_mailer="error", rcpt_host=code, rcpt_addr=text)
        m.rcpt(b"<%s@x.example>" % name.encode())
    m.quit()


# --- countries and networks, a mark each in one charge ---
ok(send("places") == "eom c" and send("places", "192.0.2.2") == "eom c", "addresses of one country are one")
ok(send("places", "192.0.2.200") == "eom c", "the second country is the last")
ok(send("places", "198.51.100.1") == "eom y" and b"(2 countries per day, 2 used); try again in" in reply,
   "a third is refused", reply)
ok(send("places", "198.51.100.1") == "eom y", "and again: what is refused is not counted")
seen = ctl("try", "--login", "places@example.org", "--client", "198.51.100.1", "--from", "places@example.org",
           "--rcpt", "x@y.example")
ok("2 countries per day" in seen and "tempfail" in seen, "countersignctl try foretells it", seen)
ok(send("places", "10.0.0.1") == "eom c", "a country that is not known costs nothing")
ok(send("places") == "eom c", "and the countries that are counted still pass")
seen = ctl("quota", "show", "places@example.org")
ok("2 countries per day" in seen and "3 networks per day" in seen, "countersignctl shows them", seen)
ctl("quota", "set", "places@example.org", "3 countries per day", "--for", "1h")
ok(send("places", "198.51.100.1") == "eom c", "a raised limit of countries has room for the third")
ctl("quota", "reset", "places@example.org")
ok(send("places", "198.51.100.1") == "eom c" and send("places", "192.0.2.200") == "eom c", "reset forgets them")

# --- a limit and a sign on the same unit and window count apart ---
ok(send("both") == "eom c", "the first address passes")
ok(send("both", "192.0.2.2") == "eom y" and send("both", "192.0.2.2") == "eom y",
   "the second does not, though block_on counts it")
send("both", "192.0.2.3")
send("both", "192.0.2.4")
ok(at_mail("both"), "the fourth blocks")

# --- what happens beside messages ---
for number, why in enumerate(("unverified address: Address verification in progress", "address verification problem",
                              "unverified address: connect to mx.x.example[192.0.2.9]:25: Connection timed out")):
    dead("refused", ["u%d%d" % (number, k) for k in range(4)], "4.1.1",
         "<u@x.example>: Recipient address rejected: " + why)
dead("refused", ["busy%d" % k for k in range(4)], "4.2.0", "<u@x.example>: Recipient address rejected: Greylisted")
ok(send("refused") == "eom c", "addresses that the MTA does not know yet do not count")
dead("refused", ["a", "b", "a", "c", "b"])
dead("refused", ["a"], "4.1.1", "<a@x.example>: Recipient address rejected: undeliverable address: host said: 550")
ok(send("refused") == "eom c", "three dead addresses, some of them again, fill a limit of three")
dead("refused", ["d"])
ok(send("refused") == "eom y" and
   b"a limit of refused@example.org is exceeded (3 refused-recipients per hour, 4 counted); try again in" in reply,
   "with the fourth no message passes", reply)
ok(at_mail("refused") and b"4 counted" in reply, "the next is refused at MAIL", reply)
seen = ctl("quota", "show", "refused@example.org")
ok("3 refused-recipients per hour" in seen and "4" in seen, "countersignctl shows the count", seen)
seen = ctl("try", "--login", "refused@example.org", "--client", HOME, "--from", "refused@example.org",
           "--rcpt", "x@y.example")
ok("3 refused-recipients per hour, 4 counted" in seen, "countersignctl try knows the level", seen)
ctl("quota", "set", "refused@example.org", "10 refused-recipients per hour", "--for", "1h")
ok(send("refused") == "eom c", "a raised limit lets mail pass")
ctl("quota", "unset", "refused@example.org")
ok(send("refused") == "eom y", "the plan's own refuses again")
ctl("quota", "reset", "refused@example.org")
ok(send("refused") == "eom c", "reset ends it")

for _ in range(2):
    send("foreign", sender="bank@victim.example")
ok(send("foreign") == "eom c", "two foreign senders are within the limit")
send("foreign", sender="bank@victim.example")
ok(send("foreign") == "eom y" and b"550" in reply and b"(2 foreign-senders per hour, 3 counted)" in reply,
   "after the third own mail is rejected", reply)
ok(send("foreign", sender="bank@victim.example") in ("mail y", "eom y"), "a foreign sender is refused as before")

for number in range(2):
    control(command="login report", account="logins@example.org", client=HOME, success=0, password_hash="w%d" % number)
ok(send("logins") == "eom c", "two wrong passwords are within the limit")
control(command="login report", account="logins@example.org", client=HOME, success=0, password_hash="w0")
ok(send("logins") == "eom c", "the same wrong password again counts once")
ctl("login-failed", "logins@example.org", HOME)
ok(send("logins") == "eom y" and b"failed-logins" in reply, "a third wrong password stops mail", reply)

dead("held", ["a", "b"])
ok(send("held") == "eom c held", "on_over = quarantine holds the mail")

for number in range(4):
    ok(send("copies", rcpts=(b"<r%d@x.example>" % number,), body=b"Buy!\r\n") == "eom c", "three duplicates pass", number)
ok(send("copies", rcpts=(b"<r3@x.example>",), body=b"Buy!\r\n") == "eom c", "the same envelope again counts nothing")
ok(send("copies", rcpts=(b"<r4@x.example>",), body=b"Buy!\r\n") == "eom c", "the fourth is counted after it passes")
ok(send("copies", body=b"Else\r\n") == "eom y" and b"(3 duplicates per hour, 4 counted)" in reply,
   "then no message passes", reply)

for number in (b"x1", b"x2", b"x3"):
    send("back", number=number, body=number)
for number in (b"x1", b"x1", b"forged"):
    ok(report(b"back", number) == "eom c", "a report is delivered")
ok(send("back") == "eom c", "one message that came back is within the limit, forged reports count nothing")
report(b"back", b"x2")
ok(send("back") == "eom y" and b"(1 bounces per day, 2 counted)" in reply, "after the second no mail passes", reply)

# --- limits that accounts share ---
dead("one", ["a", "b"])
dead("two", ["b", "c"])
ok(send("one") == "eom y" and b"a limit of your organization is exceeded; try again in" in reply,
   "what two accounts of a pool did counts together", reply)
ok(send("two") in ("eom y", "mail y"), "for both")

for number, login in enumerate(["three", "four", "three"]):
    send(login, "100.64.0.1")
    control(command="login report", account=login + "@example.org", client="100.64.0.%d" % (number + 1), success=0,
            password_hash="n%d" % number)
ok(send("three", "100.64.0.9") == "eom y" and b"a limit of your network is exceeded" in reply,
   "wrong passwords of several accounts from one network count together", reply)
ok(send("three") == "eom c", "and stop mail from there only")

# --- new recipients as a limit and as a sign ---
ok(send("new", rcpts=[b"<n%d@x.example>" % n for n in range(5)]) == "eom c", "five new recipients pass")
for _ in range(5):
    ok(send("new", rcpts=[b"<m1@x.example>", b"<m2@x.example>"]) == "eom y", "a message to two more does not")
ok(send("new", rcpts=[b"<n1@x.example>"]) == "eom c", "and tried again it is no further sign")
send("new", rcpts=[b"<m3@x.example>", b"<m4@x.example>"])
ok(at_mail("new"), "more than eight that it tried block")
done()
