"""running.py - a daemon with a configuration of its own, for conversations that run.sh does not know

Daemon(program, directory, conf): conf(port) is the text of the configuration for a free port, and is asked again when
another process took that port first.
"""
import socket
import subprocess
import sys
import time


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
