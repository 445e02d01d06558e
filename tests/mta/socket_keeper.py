"""socket_keeper.py SOCKET COMMAND... - keep a listening socket while a daemon is restarted

Passes the socket to COMMAND as sd_listen_fds(3) describes it, with the name "milter". HUP restarts
the daemon as a service manager does: TERM, wait for its end, start. TERM ends both; the exit
status is the daemon's.
"""
import os
import signal
import socket
import sys

child = 0


def start(listener):
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)      # dup2() to itself leaves it as it was
        variables = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="milter")
        os.execve(sys.argv[2], sys.argv[2:], variables)
    finally:
        os._exit(127)


def end(pid):
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


signals = {signal.SIGHUP, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
keeper = socket.socket(socket.AF_UNIX)
keeper.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
keeper.listen(512)
child = start(keeper)
while signal.sigwait(signals) == signal.SIGHUP:
    status = end(child)
    if status != 0:
        sys.exit("the daemon ended with status %d" % status)
    child = start(keeper)
sys.exit(end(child))
