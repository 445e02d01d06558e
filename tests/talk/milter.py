"""milter.py - the MTA's side of the milter protocol, version 6, on raw sockets

For what miltertest cannot say: NUL and 8-bit octets, huge fields, pickup's port 0,
aborts at any step, hundreds of connections. Every packet is 4 octets of length, one of
command, and data.
"""
import socket
import struct

ACTIONS = 0x1FF
STEPS = 0x1FFFFF
NR_HDR = 0x80
NR_BODY = 0x80000
NOHELO = 0x2


class Closed(Exception):
    """The filter closed the connection."""


class Milter:
    """One connection to the filter."""

    def __init__(self, port, timeout=60):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        # macros and their command are two small writes; without this each waits for an acknowledgement
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.edits = []     # at end of message: (command, data)
        self.reply_text = b""

    def close(self):
        self.sock.close()

    def write(self, command, data=b""):
        self.sock.sendall(struct.pack("!I", len(data) + 1) + command + data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise Closed()
            data += piece
        return data

    def read(self):
        length = struct.unpack("!I", self.exactly(4))[0]
        packet = self.exactly(length)
        return packet[:1], packet[1:]

    def answer(self):
        """The reply to a command: c, r, t, y ... ; y's text is kept."""
        while True:
            command, data = self.read()
            if command == b"y":
                self.reply_text = data.rstrip(b"\0")
            if command in b"crtdaysf":
                return command.decode()
            if command != b"p":
                self.edits.append((command.decode(), data))

    def negotiate(self, steps=STEPS, actions=ACTIONS):
        self.write(b"O", struct.pack("!III", 6, actions, steps))
        command, data = self.read()
        assert command == b"O", command
        self.steps = struct.unpack("!III", data[:12])[2]

    def macros(self, command, **values):
        """macros(b"M", i="X", auth_authen="alice"); names longer than a letter get braces."""
        data = b""
        for name, value in values.items():
            name = name if len(name) == 1 else "{" + name + "}"
            data += name.encode() + b"\0" + value.encode("utf-8", "surrogateescape") + b"\0"
        self.write(b"D", command + data)

    def connect(self, daemon="ORIGINATING", address="127.0.0.1", port=1234, name=b"client.example"):
        self.macros(b"C", daemon_name=daemon)
        family = b"6" if ":" in address else b"4"
        self.write(b"C", name + b"\0" + family + struct.pack("!H", port) + address.encode() + b"\0")
        return self.answer()

    def helo(self, name=b"client.example"):
        if self.steps & NOHELO:
            return "c"
        self.write(b"H", name + b"\0")
        return self.answer()

    def mail(self, path=b"<alice@example.org>", **macros):
        self.edits = []
        self.macros(b"M", **macros)
        self.write(b"M", path + b"\0")
        return self.answer()

    def rcpt(self, path=b"<bob@elsewhere.example>"):
        self.write(b"R", path + b"\0")
        return self.answer()

    def header(self, name, value):
        self.write(b"L", name + b"\0" + value + b"\0")
        return "c" if self.steps & NR_HDR else self.answer()

    def eoh(self):
        self.write(b"N")
        return self.answer()

    def body(self, data):
        for at in range(0, len(data), 65535):
            self.write(b"B", data[at:at + 65535])
            if not self.steps & NR_BODY and self.answer() != "c":
                return
        return

    def eom(self):
        self.write(b"E")
        return self.answer()

    def abort(self):
        self.write(b"A")

    def quit(self):
        self.write(b"Q")
        self.close()

    def begin(self, **options):
        self.negotiate()
        self.connect(**options)
        self.helo()
        return self

    def message(self, fields, body=b"Hello.\r\n", path=b"<alice@example.org>", rcpts=(b"<bob@elsewhere.example>",), **macros):
        """A whole message; 'stage reply' where it ended."""
        reply = self.mail(path, **macros)
        if reply != "c":
            return "mail " + reply
        for rcpt in rcpts:
            reply = self.rcpt(rcpt)
            if reply != "c":
                return "rcpt " + reply
        for name, value in fields:
            self.header(name, value)
        reply = self.eoh()
        if reply != "c":
            return "eoh " + reply
        self.body(body)
        return "eom " + self.eom()


FIELDS = [(b"From", b" alice@example.org"), (b"To", b" bob@elsewhere.example"), (b"Subject", b" hello"),
          (b"Date", b" Mon, 02 Nov 2026 10:00:00 +0000"), (b"Message-ID", b" <1@client.example>")]
