"""running.py - a daemon with a configuration of its own, for conversations that run.sh does not know

Daemon(program, directory, conf): conf(port) is the text of the configuration for a free port, and is asked again when
another process took that port first.
"""
import os
import socket
import subprocess
import sys
import time


def until(condition, seconds=60):
    """Wait for what happens off the message's path: what condition() answered last."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = condition()
        if seen:
            return seen
        time.sleep(0.05)
    return condition()


class Redis:
    """A Redis of its own, on a socket in directory."""

    def __init__(self, program, directory):
        self.socket = directory + "/redis.sock"
        self.process = subprocess.Popen([program, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", directory],
                                        stdout=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.socket))

    def ask(self, *words):
        """One command, and its answer as Redis writes it."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(self.socket)
            words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            return link.recv(1 << 20)

    def stay(self):
        """The keys that never expire, in order."""
        found = self.ask("EVAL", "local stay = {} for _, key in ipairs(redis.call('KEYS', '*')) do "
                         "if redis.call('TTL', key) == -1 then stay[#stay + 1] = key end end "
                         "table.sort(stay) return table.concat(stay, ' ')", "0")
        return found.split(b"\r\n")[1].decode().split()


class Daemon:
    def __init__(self, program, directory, conf):
        self.conf, self.log = directory + "/conf", directory + "/log"
        for _ in range(20):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            with open(self.conf, "w") as file:
                file.write(conf(self.port))
            with open(self.log, "w") as log:
                self.process = subprocess.Popen([program, "-c", self.conf], stderr=log)
            while self.process.poll() is None:
                if "is ready on" in self.said():
                    return
                time.sleep(0.02)
        sys.exit("Bail out! the daemon did not start: " + self.said())

    def said(self):
        """The log so far."""
        with open(self.log) as log:
            return log.read()

    def stop(self):
        self.process.terminate()
        return self.process.wait()
