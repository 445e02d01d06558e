"""places.py - countries and networks of clients, from MaxMind DB files, as signs of a theft"""
import os
import subprocess
import sys
import time

from milter import FIELDS, Milter
from running import until
from tap import done, ok

port = int(sys.argv[1])
directory = sys.argv[3]
make_mmdb = os.path.join(os.path.dirname(sys.argv[0]), "../support/make_mmdb.pl")


def send(login, address):
    """One message of a login from an address: where it ended."""
    m = Milter(port).begin(address=address)
    seen = m.message([(b"From", b" " + login.encode())] + FIELDS[1:], path=b"<%s>" % login.encode(),
                     i="P1", auth_type="PLAIN", auth_authen=login)
    m.quit()
    return seen


def log():
    with open(directory + "/log", encoding="utf-8", errors="replace") as file:
        return file.read()


def blocked(login):
    """Is it blocked now, or soon?"""
    return until(lambda: send(login, "192.0.2.1") == "mail y", 10)


french = ["192.0.2.%d" % i for i in range(1, 20)] + ["2001:db8:1::1", "2001:db8:1:2::3"]
ok(all(send("home@example.org", address) == "eom c" for address in french), "many addresses of one country are one")
ok(all(send("home@example.org", address) == "eom c" for address in ("127.0.0.1", "10.0.0.1", "2001:db8:2::1") * 3),
   "addresses that the file does not know are none")
ok(send("home@example.org", "192.0.2.200") == "eom c" and send("home@example.org", "192.0.2.1") == "eom c",
   "the second country is within the limit")
for address in ("192.0.2.1", "192.0.2.200", "198.51.100.1"):
    send("far@example.org", address)
ok(blocked("far@example.org"), "the third country blocks")
ok(send("home@example.org", "192.0.2.1") == "eom c", "but nobody else")
for address in ("192.0.2.1", "192.0.2.200", "2001:db8:1::5"):
    ok(send("net@example.org", address) == "eom c", "two countries of one network are one network", address)
send("net@example.org", "198.51.100.1")
ok(blocked("net@example.org"), "a second network blocks a plan of one")

# the file changes: what was Dutch is French now
subprocess.run(["perl", make_mmdb, directory + "/country.mmdb", "country", "192.0.2.0/24=FR", "198.51.100.0/24=FR",
                "203.0.113.0/24=BR"], check=True)
ok(until(lambda: "country.mmdb was read again" in log()), "a file that changed is read again")
for address in ("192.0.2.1", "192.0.2.200", "198.51.100.1", "203.0.113.1"):
    send("moved@example.org", address)
time.sleep(0.5)
ok(send("moved@example.org", "192.0.2.1") == "eom c", "and counts from then on")
# cut short in place while it is in use, as cp does
with open(directory + "/country.mmdb", "r+b") as file:
    file.truncate(100)
ok(until(lambda: "keeping the previous contents" in log()), "a file that is cut short is refused")
ok(send("moved@example.org", "203.0.113.1") == "eom c", "and the old contents still serve")
done()
