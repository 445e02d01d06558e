"""theft_weeks_run.py - thefts among two weeks of honest mail, under the sample plans, on a moved clock

theft_weeks_run.py COUNTERSIGN CLOCK_SHIFT_LIBRARY PLANS_FILE

Each account is a list of (time, client address, recipients, subject). All of them are sent in the order of their times,
to the real daemon, whose wall clock is set to the time of each (tests/support/clock_shift.c). Who is deferred tries the
same message again, as mail programs do; a thief goes on with the next. What comes out is a table: recipients that were
reached before the block, minutes from a thief's first message to it, and recipients reached in all: blocks end.
"""
import heapq
import os
import random
import re
import shutil
import struct
import sys
import tempfile
import time

from milter import Milter
from running import Daemon
from tap import done, ok

MINUTE, HOUR, DAY = 60, 3600, 86400
START = 1893456000      # a Tuesday, 1 January 2030, 00:00 UTC
RECIPIENTS, MINUTES = 60, 3     # a theft is stopped within one of them
BOUNDS = {"patient": 302}       # save one that stays below every limit, and is seen by its body alone
SEED = int(os.environ.get("COUNTERSIGN_THEFT_SEED", "1"))
chance = random.Random(SEED)


class Mail:
    """One message, and when it is tried next."""
    def __init__(self, login, at, address, recipients, subject, refused=(), thief=False, body=None, back=False):
        self.login, self.at, self.address, self.recipients = login, at, address, recipients
        self.subject, self.refused, self.thief, self.tries = subject, refused, thief, 0
        self.back, self.id = back, "<%d.%s>" % (chance.getrandbits(48), login)
        self.body = body or "%s at %s\r\n" % (subject, at)


def office(number):
    """Two weeks of a person: people known and new, at work and at home, with a weekend."""
    login, known = "u%d@example.org" % number, ["k%d.%d@elsewhere.example" % (number, i) for i in range(40)]
    mails, fresh = [], 0
    for day in range(14):
        for _ in range(chance.randint(0, 3) if day % 7 in (4, 5) else chance.randint(4, 14)):
            rcpts = chance.sample(known, chance.choice((1, 1, 1, 2, 5)))
            if chance.random() < 0.15:
                fresh += 1
                rcpts.append("n%d.%d@new.example" % (number, fresh))
            address = chance.choice(("192.0.2.%d" % number, "192.0.2.%d" % number, "198.51.100.%d" % chance.randint(1, 9)))
            mails.append(Mail(login, START + day * DAY + chance.randint(7 * HOUR, 20 * HOUR), address, rcpts,
                              "note %d" % len(mails)))
    return mails


def invitation():
    """An honest peak: one day, one letter to many who were never written to, and a client that tries again."""
    at = START + 9 * DAY + 10 * HOUR
    return [Mail("wedding@example.org", at + i, "192.0.2.99", ["guest%d@family.example" % i], "Invitation",
                 body="Please come.\r\n")
            for i in range(90)]


def merge():
    """An honest peak: numbered letters to customers, more than the plan lets pass in an hour."""
    at = START + 10 * DAY + 9 * HOUR
    return [Mail("invoices@example.org", at + 2 * i, "192.0.2.98", ["c%d@customer.example" % i], "Invoice %d" % i)
            for i in range(100)]


def newsletter():
    """An honest list with a plan of its own, each Monday."""
    return [Mail("news@example.org", START + day * DAY + 8 * HOUR + i, "192.0.2.97",
                 ["s%d.%d@reader.example" % (i, k) for k in range(50)], "News of week %d" % day, body="News of week %d\r\n" % day)
            for day in (6, 13) for i in range(12)]


def burst():
    at = START + 8 * DAY + 3 * HOUR
    return [Mail("burst@example.org", at + i / 4, "203.0.113.5", ["b%d@victim.example" % i], "offer %d" % chance.getrandbits(40),
                 thief=True) for i in range(400)]


def slow():
    at = START + 8 * DAY
    return [Mail("slow@example.org", at + 2 * MINUTE * i, "203.0.113.%d" % (i % 50 + 1), ["l%d@victim.example" % i],
                 "hello %d" % chance.getrandbits(40), thief=True) for i in range(700)]


def fresh_only():
    at = START + 9 * DAY + 2 * HOUR
    return [Mail("fresh@example.org", at + MINUTE * i, "203.0.113.77", ["f%d.%d@victim.example" % (i, k) for k in range(10)],
                 "invoice %d" % chance.getrandbits(40), thief=True) for i in range(120)]


def dead():
    """A list of which most addresses are dead: the MTA refuses them."""
    at, mails = START + 9 * DAY + 4 * HOUR, []
    for i in range(120):
        rcpts = ["d%d.%d@victim.example" % (i, k) for k in range(10)]
        mails.append(Mail("dead@example.org", at + 30 * i, "203.0.113.88", rcpts, "bill %d" % chance.getrandbits(40),
                          refused=rcpts[:7], thief=True))
    return mails


def circular():
    """An honest peak: one letter to each of 200 members, who all wrote back before."""
    members = ["m%d@choir.example" % i for i in range(200)]
    known = [Mail("choir@example.org", START + (i // 40) * DAY + 9 * HOUR + i % 40, "192.0.2.96", [member], "Welcome %d" % i)
             for i, member in enumerate(members)]
    at = START + 11 * DAY + 18 * HOUR
    return known + [Mail("choir@example.org", at + 2 * i, "192.0.2.96", [member], "Rehearsal", body="At eight.\r\n")
                    for i, member in enumerate(members)]


def patient():
    """A theft below every limit: 40 new recipients an hour, from one address, with one body."""
    at = START + 8 * DAY
    return [Mail("patient@example.org", at + 90 * i, "203.0.113.99", ["p%d@victim.example" % i],
                 "parcel %d" % chance.getrandbits(40), thief=True, body="Pay for your parcel.\r\n") for i in range(960)]


def returned():
    """The same with another body each, to a list of which 7 of 10 addresses are dead: reports come back."""
    at = START + 8 * DAY
    return [Mail("returned@example.org", at + 90 * i, "203.0.113.98", ["r%d@victim.example" % i],
                 "bill %d" % chance.getrandbits(40), thief=True, back=i % 10 < 7) for i in range(960)]


class Site:
    def __init__(self, program, library, plans):
        self.directory = tempfile.mkdtemp(prefix="theft-weeks.")
        self.shift = self.directory + "/shift"
        self.set_clock(START)
        os.environ["CLOCK_SHIFT"], os.environ["LD_PRELOAD"] = self.shift, library
        with open(plans) as file, open(self.directory + "/plans.conf", "w") as copy:
            copy.write(file.read())
        self.daemon = Daemon(program, self.directory, self.conf)
        del os.environ["LD_PRELOAD"]

    def conf(self, port):
        return """
mode = "enforce"
listen = "inet:127.0.0.1:%d"
log = "stderr"
realm = "example.org"
authserv_id = "mx.example.org"
store = "embedded"
history = { messages = 0 }
require_tls = false
plans_file = "%s/plans.conf"
accounts = ( { login = "news@example.org"  plan = "business" } )
listeners = { users = { role = "submission"  daemon = ["ORIGINATING"] }  mx = { role = "inbound"  daemon = ["MX"] } }
""" % (port, self.directory)

    def set_clock(self, at):
        with open(self.shift, "r+b" if os.path.exists(self.shift) else "wb") as file:
            file.write(struct.pack("q", int(at - time.time())))

    def send(self, mail):
        """One try: how many recipients it reached, or why not. libmilter ends a connection that was idle for hours."""
        self.set_clock(mail.at)
        m = Milter(self.daemon.port).begin(address=mail.address)
        try:
            return self.say(m, mail)
        finally:
            m.quit()

    def report(self, mail):
        """The report that a message was not delivered, from the host that had taken it."""
        m = Milter(self.daemon.port).begin(daemon="MX", address="192.0.2.200")
        body = ("--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n--b\r\n"
                "Content-Type: message/rfc822\r\n\r\nMessage-ID: %s\r\n\r\n--b--\r\n" % mail.id)
        try:
            reply = m.message([(b"From", b" MAILER-DAEMON@there.example"), (b"Content-Type",
                b" multipart/report; report-type=delivery-status; boundary=b")], body.encode(), b"<>",
                [b"<%s>" % mail.login.encode()])
            assert reply == "eom c", reply
        finally:
            m.quit()

    @staticmethod
    def say(m, mail):
        fields = [(b"From", b" " + mail.login.encode()), (b"To", b" you@there.example"), (b"Subject", b" " + mail.subject.encode()),
                  (b"Message-ID", b" " + mail.id.encode())]
        reply = m.mail(b"<%s>" % mail.login.encode(), i="W1", auth_type="PLAIN", auth_authen=mail.login)
        taken = 0
        if reply != "c":
            return reply
        for rcpt in mail.recipients:
            if rcpt in mail.refused:
                m.macros(b"R", rcpt_mailer="error", rcpt_host="5.1.1", rcpt_addr="no such user")
            else:
                m.macros(b"R", rcpt_mailer="smtp", rcpt_host="victim.example", rcpt_addr=rcpt)
                taken += 1
            reply = m.rcpt(b"<%s>" % rcpt.encode())
            if reply != "c":
                return reply
        for name, value in fields:
            m.header(name, value)
        reply = m.eoh()
        if reply == "c":
            m.body(mail.body.encode())
            reply = m.eom()
        return taken if reply == "c" else reply

    def blocked(self):
        return re.findall(r"(\S+) is blocked for .* minutes: (.*)", self.daemon.said())


def main():
    site = Site(*sys.argv[1:4])
    try:
        two_weeks(site)
    finally:
        site.daemon.process.kill()
        shutil.rmtree(site.directory)


def two_weeks(site):
    """All mail in the order of its times, the table, and the bounds."""
    queue, reached, before, first, stopped, lost = [], {}, {}, {}, {}, 0
    for number, mail in enumerate(sum([office(n) for n in range(20)], []) + invitation() + merge() + newsletter() +
                                  burst() + slow() + fresh_only() + dead() + circular() + patient() + returned()):
        heapq.heappush(queue, (mail.at, number, mail))
    number = len(queue)
    while queue:
        _, _, mail = heapq.heappop(queue)
        seen = site.send(mail)
        if mail.thief:
            first.setdefault(mail.login, mail.at)
        if isinstance(seen, int):
            reached[mail.login] = reached.get(mail.login, 0) + seen
            if mail.back:
                site.report(mail)
            if mail.login not in stopped:
                before[mail.login] = reached[mail.login]
            continue
        if mail.thief:
            time.sleep(0.01)    # signs are counted beside the mail
            if mail.login not in stopped and any(login == mail.login for login, _ in site.blocked()):
                stopped[mail.login] = mail.at
            continue
        mail.tries += 1
        lost += mail.tries == 8
        if mail.tries < 8:
            mail.at += 15 * MINUTE * mail.tries
            number += 1
            heapq.heappush(queue, (mail.at, number, mail))
    why = dict(site.blocked())
    thieves = ("burst", "slow", "fresh", "dead", "patient", "returned")
    print("# %-8s %10s %10s %10s   %s" % ("", "recipients", "minutes", "in all", "seen"))
    for name in thieves:
        login = name + "@example.org"
        minutes = (stopped.get(login, float("inf")) - first[login]) / MINUTE
        print("# %-8s %10d %10.1f %10d   %s" % (name, before.get(login, 0), minutes, reached.get(login, 0), why.get(login)))
        ok(login in stopped, "the theft is stopped: " + name)
        most = BOUNDS.get(name, RECIPIENTS)
        ok(before.get(login, 0) <= most or minutes <= MINUTES, "within %d recipients or %d minutes: %s" % (
            most, MINUTES, name), (before.get(login), minutes))
    honest = sorted(login for login in why if login.split("@")[0] not in thieves)
    ok(not honest, "no honest account of 24 is blocked", [(login, why[login]) for login in honest])
    ok(reached["news@example.org"] == 1200 and reached["wedding@example.org"] == 90 and
       reached["invoices@example.org"] == 100 and reached["choir@example.org"] == 400,
       "newsletter, invitation, invoices and letters arrive", reached)
    ok(lost == 0, "no honest mail is given up", lost)
    ok(site.daemon.stop() == 0, "the daemon stopped cleanly")
    done()


main()
