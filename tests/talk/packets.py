"""packets.py - packets that no MTA sends end their own connection, and no one else notices

Streams of packets, well-formed and then changed at random with a fixed seed, while a bystander sends
messages. COUNTERSIGN_STREAMS sets how many, COUNTERSIGN_SEED the first seed.
"""
import os
import random
import re
import socket
import struct
import sys
import threading
import time

from milter import FIELDS, Closed, Milter
from tap import done, ok

port = int(sys.argv[1])
pid = int(sys.argv[2])
directory = sys.argv[3]
slow = os.environ.get("TALK_WRAPPER", "") != "" or os.environ.get("SANITIZE", "") != ""
streams = int(os.environ.get("COUNTERSIGN_STREAMS", "400" if slow else "2000"))
first = int(os.environ.get("COUNTERSIGN_SEED", "1"))


def login(**more):
    return dict(dict(i="P1", auth_type="PLAIN", auth_authen="alice"), **more)


def status():
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(60)
        control.connect(directory + "/control")
        control.sendall(b'{"command":"status"}\n')
        return control.recv(65536)


def ended(m):
    """Does the filter end this connection?"""
    try:
        while m.sock.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except socket.timeout:
        return False


# macros without value: libmilter walks past its list when it looks for one that is not there
for count in (1, 3, 5, 9, 33, 129):
    for where in (b"M", b"R", b"E", b"C"):
        m = Milter(port).begin()
        m.message(FIELDS, **login())
        m.write(b"D", where + b"".join(b"n%d\0" % i for i in range(count)))
        try:
            m.write(b"M", b"<alice@example.org>\0")
            m.write(b"R", b"<bob@elsewhere.example>\0")
        except ConnectionError:
            pass
        seen = ended(m)
        m.close()
        if not seen:
            ok(False, "%d macro strings for %s end the connection" % (count, where))
m = Milter(port).begin()
ok(m.message(FIELDS, **login()) == "eom c", "macros without value do no harm")
m.quit()

# one of each kind, to the end of its connection
kinds = {
    "a macro without end": [(b"D", b"Mi\0x")],
    "macros of no command": [(b"D", b"")],
    "macros of an unknown command": [(b"D", b"Zi\0x\0")],
    "HELO without end": [(b"H", b"client.example")],
    "HELO without name": [(b"H", b"")],
    "MAIL without end": [(b"M", b"<alice@example.org>")],
    "a parameter without end": [(b"M", b"<alice@example.org>\0SIZE=1")],
    "RCPT before MAIL": [(b"R", b"<bob@elsewhere.example>\0")],
    "a field before RCPT": [(b"M", b"<alice@example.org>\0"), (b"L", b"From\0 x\0")],
    "body before the end of the header": [(b"M", b"<alice@example.org>\0"), (b"R", b"<b@x.example>\0"), (b"B", b"x")],
    "an end with data": [(b"M", b"<alice@example.org>\0"), (b"R", b"<b@x.example>\0"), (b"N", b""), (b"E", b"x")],
    "a second CONNECT": [(b"C", b"x\0U")],
    "a second negotiation": [(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))],
    "a new session (QUIT_NC)": [(b"K", b"")],
    "an unknown command": [(b"Z", b"?")],
    "a command without a letter": [(b"\0", b"")],
    "many parameters": [(b"M", b"\0" * 5000)],
}
bad = []
for kind, packets in kinds.items():
    m = Milter(port, timeout=30).begin()
    try:
        for packet in packets:
            m.write(*packet)
    except ConnectionError:
        pass
    if not ended(m):
        bad.append(kind)
    m.close()
for kind, octets in {"a length of 0": b"\0\0\0\0M", "a huge length": b"\x7f\xff\xff\xffD", "a negative length": b"\xff\xff\xff\xffM",
                     "a host name without end": b"\0\0\0\5Chost", "MAIL first": b"\0\0\0\2M\0"}.items():
    m = Milter(port, timeout=30)
    if "name" in kind:
        m.negotiate()
    m.sock.sendall(octets)
    if not ended(m):
        bad.append(kind)
    m.close()
ok(not bad, "each kind of bad packet ends its connection", bad)


def packet(command, data=b""):
    return [struct.pack("!I", len(data) + 1), command, data]


def session(rng):
    """A good session: up to three messages."""
    packets = [packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF)),
               packet(b"D", b"Cj\0mx.example.org\0{daemon_name}\0" + rng.choice([b"ORIGINATING", b"mx", b"?"]) + b"\0"),
               packet(b"C", b"client.example\x004\x04\xd2" + rng.choice([b"127.0.0.1", b"192.0.2.1"]) + b"\0")]
    if rng.random() < 0.5:
        packets.append(packet(b"H", b"client.example\0"))
    for _ in range(rng.randrange(4)):
        packets += [packet(b"D", b"Mi\x004B\0{mail_addr}\0alice@example.org\0{auth_type}\0PLAIN\0{auth_authen}\0alice\0"),
                    packet(b"M", b"<alice@example.org>\0SIZE=100\0"), packet(b"D", b"Ri\x004B\0"),
                    packet(b"R", b"<bob@elsewhere.example>\0"), packet(b"D", b"Ti\x004B\0"), packet(b"T")]
        for name, value in FIELDS:
            packets += [packet(b"D", b"Li\x004B\0"), packet(b"L", name + b"\0" + value + b"\0")]
        packets += [packet(b"N"), packet(b"B", b"Hello.\r\n" * rng.randrange(1, 300)), packet(b"D", b"Ei\x004B\0"), packet(b"E")]
        if rng.random() < 0.3:
            packets.append(packet(b"A"))
    packets.append(packet(b"Q"))
    return packets


def change(rng, packets):
    """Change one thing."""
    at = rng.randrange(len(packets))
    length, command, data = packets[at]
    kind = rng.randrange(12)
    if kind == 0 and data:      # an octet
        i = rng.randrange(len(data))
        packets[at] = [length, command, data[:i] + bytes([rng.randrange(256)]) + data[i + 1:]]
    elif kind == 1:             # the length
        packets[at] = [struct.pack("!I", rng.choice([0, 1, 2, 5, 70000, 1 << 20, 1 << 31, 0xFFFFFFFF, rng.randrange(4000)])), command, data]
    elif kind == 2:             # the command
        packets[at] = [length, bytes([rng.choice(b"OCHMRTLNBEAQDUKZ\0\xff")]), data]
    elif kind == 3:             # no NUL at the end
        packets[at] = packet(command, data.rstrip(b"\0"))
    elif kind == 4:             # cut
        packets[at] = packet(command, data[:rng.randrange(len(data) + 1)])
    elif kind == 5:             # gone
        del packets[at]
    elif kind == 6:             # twice
        packets.insert(at, packets[at])
    elif kind == 7:             # elsewhere
        packets.insert(rng.randrange(len(packets)), packets.pop(at))
    elif kind == 8:             # macros without value
        packets.insert(at, packet(b"D", rng.choice([b"C", b"H", b"M", b"R", b"T", b"N", b"E", b"Z"]) +
                                  b"".join(b"n%d\0" % i for i in range(rng.randrange(70)))))
    elif kind == 9:             # noise
        packets.insert(at, packet(bytes([rng.randrange(256)]), rng.randbytes(rng.randrange(200))))
    elif kind == 10:            # everything after it in another order
        rest = packets[at:]
        rng.shuffle(rest)
        packets[at:] = rest
    elif kind == 11:            # more NULs
        packets[at] = packet(command, data + b"\0" * rng.randrange(5))


def speak(seed):
    """One stream; does its connection end?"""
    rng = random.Random(seed)
    packets = session(rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
        if packets:
            change(rng, packets)
    octets = b"".join(b"".join(one) for one in packets)
    if rng.random() < 0.2:
        octets = octets[:rng.randrange(len(octets) + 1)]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        try:
            at = 0
            while at < len(octets):
                n = rng.choice([1, 5, 100, 5000, 100000])
                s.sendall(octets[at:at + n])
                at += n
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except socket.timeout:
            return False
        except OSError:     # it was reset, which may show in any of these
            pass
    return True


hung = []
share = threading.Lock()
seeds = iter(range(first, first + streams))
running = True
noticed = []
messages = 0


def talker():
    while True:
        with share:
            seed = next(seeds, None)
        if seed is None:
            return
        try:
            if not speak(seed):
                hung.append(seed)
        except OSError as error:
            hung.append((seed, repr(error)))
            return


def bystander():
    global messages
    try:
        one = Milter(port).begin()
        while running:
            seen = one.message(FIELDS, **login())
            messages += 1
            if seen != "eom c":
                noticed.append(seen)
        one.quit()
    except (Closed, OSError) as error:
        noticed.append(repr(error))


aside = threading.Thread(target=bystander)
aside.start()
threads = [threading.Thread(target=talker) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
running = False
aside.join()
ok(not hung, "%d random streams all came to their end" % streams, hung[:5])
ok(not noticed and messages > 0, "a session beside them notices nothing", (messages, noticed[:3]))

answer = b""
for _ in range(300):
    answer = status()
    if b'"sessions":0,"in_flight":0' in answer:
        break
    time.sleep(0.1)
ok(b'"sessions":0,"in_flight":0' in answer, "no session is left", answer)
with open(directory + "/log", errors="replace") as log:
    lines = [line for line in log if re.search("connection of .* closed", line)]
ok(0 < len(lines) < 20, "the log names the peer, and is not flooded", len(lines))
done()
