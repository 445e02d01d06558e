"""dns_server.py - a DNS server on loopback that serves given data, and misbehaves when told to

For what no honest server can be made to do. As a module: Server(zone) answers from a
dict, name -> [(type, data), ...]; names and data are bytes. As a program it serves the
names below "bad.test", each of which behaves as its first label says, prints its port and
ends with its standard input.
"""
import socket
import struct
import sys
import threading
import time

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 41
OK, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
SILENT = "SILENT"       # as a type in zone data: no question for this name is answered
RCODE = "RCODE"         # as a type in zone data: every question for this name is answered with this code
TTL = 60


def wire_name(name):
    """A name, bytes with dots between labels, as it is sent."""
    labels = [label for label in name.rstrip(b".").split(b".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def wire_data(kind, data):
    """The data of a record: bytes; for MX (preference, host); for TXT a list of strings."""
    if kind in (CNAME, NS, PTR):
        return wire_name(data)
    if kind == MX:
        return struct.pack("!H", data[0]) + wire_name(data[1])
    if kind == TXT:
        return b"".join(bytes([len(part)]) + part for part in data)
    return data


def record(name, kind, data, ttl=TTL, klass=1):
    return name + struct.pack("!HHIH", kind, klass, ttl, len(data)) + data


class Query:
    """What was asked; name_wire, name (lower case), kind."""

    def __init__(self, packet):
        self.packet = packet
        self.id = packet[:2]
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += 1 + packet[at]
        self.name_wire = packet[12:at + 1]
        self.name = b".".join(labels).lower()
        self.kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
        self.question = packet[12:at + 5]
        self.room = 512
        if struct.unpack("!H", packet[10:12])[0] and packet[at + 5:at + 8] == b"\0\0" + bytes([OPT]):
            self.room = max(512, struct.unpack("!H", packet[at + 8:at + 10])[0])

    def reply(self, rcode=OK, answers=(), flags=0x8580, authority=()):
        header = self.id + struct.pack("!HHHHH", flags | rcode, 1, len(answers), len(authority), 0)
        return header + self.question + b"".join(answers) + b"".join(authority)


def soa():
    data = wire_name(b"ns.invalid") + wire_name(b"hostmaster.invalid") + struct.pack("!IIIII", 1, 60, 60, 60, TTL)
    return record(b"\0", SOA, data)


class Server:
    """UDP and TCP on one port of loopback, each in a thread."""

    def __init__(self, zone=None):
        self.zone = {name.lower(): records for name, records in (zone or {}).items()}
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(64)
        self.asked = []
        for run in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def close(self):
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while True:
            try:
                packet, sender = self.udp.recvfrom(65535)
            except OSError:
                return
            threading.Thread(target=self.serve_packet, args=(packet, sender), daemon=True).start()

    def serve_packet(self, packet, sender):
        try:
            query = Query(packet)
            self.asked.append((query.name, query.kind))
            for reply in self.answer(query, False):
                if len(reply) > query.room:
                    reply = query.reply(flags=0x8780)
                self.udp.sendto(reply, sender)
        except (IndexError, struct.error, OSError):
            pass

    def serve_tcp(self):
        while True:
            try:
                connection = self.tcp.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                length = stream.read(2)
                if len(length) < 2:
                    return
                query = Query(stream.read(struct.unpack("!H", length)[0]))
                self.asked.append((query.name, query.kind))
                replies = self.answer(query, True)
                if not replies or len(replies[0]) > 65535:  # more than a message can hold
                    return
                for reply in replies:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def answer(self, query, tcp):
        """The packets to send, honestly, from the zone."""
        del tcp
        answers, name, wire = [], query.name, query.name_wire
        for _ in range(20):
            records = self.zone.get(name)
            if records is None:
                below = any(other.endswith(b"." + name) for other in self.zone)
                return [query.reply(OK if below else NXDOMAIN, answers, authority=[soa()])]
            if any(kind == SILENT for kind, _ in records) and \
                    not any(kind == query.kind for kind, _ in records):
                return []
            codes = [data for kind, data in records if kind == RCODE]
            if codes:
                return [query.reply(codes[0])]
            found = [data for kind, data in records if kind == query.kind]
            answers += [record(wire, query.kind, wire_data(query.kind, data)) for data in found]
            alias = [data for kind, data in records if kind == CNAME]
            if found or not alias:
                return [query.reply(OK, answers, authority=[] if answers else [soa()])]
            answers.append(record(wire, CNAME, wire_name(alias[0])))
            name, wire = alias[0].rstrip(b".").lower(), wire_name(alias[0])
        return [query.reply(OK, answers)]


class BadServer(Server):
    """Behaves as the first label of the name says."""

    def answer(self, query, tcp):
        label = query.name.split(b".")[0].decode("latin1")
        word, _, number = label.partition("-")
        behave = getattr(self, "do_" + word, None)
        return behave(query, tcp, int(number or 0)) if behave else [query.reply(NXDOMAIN, authority=[soa()])]

    def good(self, query):
        """An honest answer: one record."""
        data = {A: b"\x7f\0\0\1" if b".ns." in query.name else b"\xc0\0\2\1", AAAA: bytes(16), TXT: b"\x0bv=spf1 -all", PTR: wire_name(b"host.good.test"),
                MX: b"\0\x0a" + wire_name(b"host.good.test")}.get(query.kind, b"")
        return record(query.name_wire, query.kind, data)

    def alias(self, query, target):
        return record(query.name_wire, CNAME, wire_name(target))

    # what a server may do

    def do_good(self, query, tcp, n):
        return [query.reply(OK, [self.good(query)])]

    def do_empty(self, query, tcp, n):
        return [query.reply(OK, authority=[soa()])]

    def do_bare(self, query, tcp, n):   # neither records nor SOA
        return [query.reply(OK)]

    def do_servfail(self, query, tcp, n):
        return [query.reply(SERVFAIL)]

    def do_refused(self, query, tcp, n):
        return [query.reply(REFUSED)]

    def do_formerr(self, query, tcp, n):
        return [query.reply(FORMERR)]

    def do_notimp(self, query, tcp, n):
        return [query.reply(NOTIMP)]

    def do_silent(self, query, tcp, n):
        return []

    def do_late(self, query, tcp, n):
        time.sleep(n / 1000)
        return [query.reply(OK, [self.good(query)])]

    def do_once(self, query, tcp, n):   # good for a second, then SERVFAIL (n = 0) or silence
        if self.asked.count((query.name, query.kind)) > 1:
            return [] if n else [query.reply(SERVFAIL)]
        return [query.reply(OK, [record(query.name_wire, TXT, b"\x0bv=spf1 -all", ttl=1)])]

    def do_behind(self, query, tcp, n):  # not known to a resolver, only to the zone's server
        if query.packet[2] & 1:
            return [query.reply(NXDOMAIN, authority=[soa()])]
        return self.do_good(query, tcp, n)

    def do_alias(self, query, tcp, n):
        if query.packet[2] & 1:
            return [query.reply(NXDOMAIN, [self.alias(query, b"behind-0.bad.test")], authority=[soa()])]
        return [query.reply(OK, [self.alias(query, b"behind-0.bad.test")])]

    def do_bad(self, query, tcp, n):    # the zone
        if query.kind != NS:
            return [query.reply(OK, authority=[soa()])]
        return [query.reply(OK, [record(query.name_wire, NS, wire_name(b"good.ns.bad.test"))])]

    def do_turn(self, query, tcp, n):   # twelve records, each time in another order
        turn = len(self.asked) % 12
        order = [(i + turn) % 12 for i in range(12)]
        made = {MX: lambda i: struct.pack("!H", i // 4) + wire_name(b"h%02d.test" % i),
                PTR: lambda i: wire_name(b"h%02d.test" % i)}[query.kind]
        return [query.reply(OK, [record(query.name_wire, query.kind, made(i), ttl=0) for i in order])]

    def do_truncated(self, query, tcp, n):  # all of it by TCP
        return [query.reply(OK, [self.good(query)], flags=0x8580 if tcp else 0x8780)]

    def do_halfopen(self, query, tcp, n):   # TCP is promised, and closes
        return [] if tcp else [query.reply(flags=0x8780)]

    def do_big(self, query, tcp, n):    # one TXT record of n octets
        size, data = n, b""
        while size:
            part = min(size, 255)
            data += bytes([part]) + b"x" * part
            size -= part
        return [query.reply(OK, [record(query.name_wire, TXT, data)])]

    def do_many(self, query, tcp, n):   # n records
        made = {A: lambda i: b"\x0a" + struct.pack("!I", i)[1:],
                MX: lambda i: struct.pack("!H", i) + wire_name(b"h%04d.test" % i),
                TXT: lambda i: b"\x05" + b"%05d" % i}[query.kind]
        return [query.reply(OK, [record(b"\xc0\x0c", query.kind, made(i)) for i in range(n)])]

    def do_chain(self, query, tcp, n):  # n aliases, told one by one
        if n == 0:
            return self.do_good(query, tcp, 0)
        return [query.reply(OK, [self.alias(query, b"chain-%d.bad.test" % (n - 1))])]

    def do_loop(self, query, tcp, n):
        return [query.reply(OK, [self.alias(query, b"loop-%d.bad.test" % (1 - n))])]

    def do_self(self, query, tcp, n):
        return [query.reply(OK, [self.alias(query, query.name)])]

    def do_lost(self, query, tcp, n):   # an alias of nothing
        return [query.reply(OK, [self.alias(query, b"nothing.bad.test")])]

    # what none should do

    def do_wrongid(self, query, tcp, n):
        query.id = bytes([query.id[0] ^ 1, query.id[1]])
        return self.do_good(query, tcp, n)

    def do_wrongname(self, query, tcp, n):
        other = wire_name(b"other.bad.test")
        query.question = other + query.question[len(query.name_wire):]
        return [query.reply(OK, [record(other, query.kind, b"\xc0\0\2\1")])]

    def do_othername(self, query, tcp, n):  # the question is ours, the answer another's
        return [query.reply(OK, [record(wire_name(b"other.bad.test"), query.kind, b"\xc0\0\2\1")])]

    def do_othertype(self, query, tcp, n):
        return [query.reply(OK, [record(query.name_wire, A if query.kind == TXT else TXT, b"\3abc")])]

    def do_otherclass(self, query, tcp, n):
        return [query.reply(OK, [record(query.name_wire, query.kind, b"\xc0\0\2\1", klass=3)])]

    def do_garbage(self, query, tcp, n):
        return [query.id + bytes((i * 37 + n) % 256 for i in range(300))]

    def do_stump(self, query, tcp, n):  # cut off in the record
        return [self.do_good(query, tcp, 0)[0][:-3]]

    def do_header(self, query, tcp, n):
        return [query.reply(OK, [self.good(query)])[:7]]

    def do_pointer(self, query, tcp, n):    # a name that points to itself
        at = 12 + len(query.question)
        name = struct.pack("!H", 0xc000 | at)
        return [query.reply(OK, [record(name, query.kind, b"\xc0\0\2\1")])]

    def do_lie(self, query, tcp, n):    # a TXT string, or an address, longer than its record
        return [query.reply(OK, [record(query.name_wire, query.kind, b"\x40abc" if query.kind == TXT else b"abc")])]

    def do_query(self, query, tcp, n):  # the question sent back as it came
        return [query.packet]


def main():
    server = BadServer()
    print(server.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
