"""tap.py - results in the Test Anything Protocol

ok() each result, and done() at the end.
"""
import sys

count = failures = 0


def ok(good, what, seen=""):
    """One result; seen is told where it is bad."""
    global count, failures
    count += 1
    failures += not good
    print("%sok %d - %s" % ("" if good else "not ", count, what))
    if not good:
        print("# seen: %r" % (seen,))
    sys.stdout.flush()


def skip(what):
    """What cannot be tried here."""
    global count
    count += 1
    print("ok %d # SKIP %s" % (count, what))


def done():
    """The end of the process: 1 where a result was bad."""
    print("1..%d" % count)
    sys.exit(failures != 0)
