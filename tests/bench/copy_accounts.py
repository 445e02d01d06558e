"""Copy what Redis holds of the account u0 for others.

copy_accounts.py FROM TO KEY FILE: for each account from uFROM to uTO - 1 a copy of KEY, with "u0@"
in its name replaced. FILE is what redis-cli dump printed of it. The commands go to standard output,
for redis-cli --pipe.
"""
import sys


def command(*words):
    """One command in the protocol of Redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def main():
    """Write them."""
    key = sys.argv[3].encode()
    with open(sys.argv[4], "rb") as file:
        value = file.read()[:-1]  # without the line end
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.buffer.write(command(b"RESTORE", key.replace(b"u0@", b"u%d@" % number),
                                        b"86400000", value, b"REPLACE"))


if __name__ == "__main__":
    main()
