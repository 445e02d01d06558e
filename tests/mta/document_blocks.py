#!/usr/bin/python3
"""document_blocks.py - the lines for MTAs and for countersign.conf that the documents tell to write

    document_blocks.py SOURCE DIRECTORY

Writes each marked block to DIRECTORY, as it stands, and prints one line about it: its file, the
document and the number of the line, the file it is for. Prints errors, and exits with 1, if there
are none in a document that must have some, or if lines for an MTA stand outside of marked blocks.

A block is marked in a text by a line "In /etc/postfix/main.cf, ...:" above it, in a manual by
".Pa /etc/postfix/main.cf :" above ".Bd". The samples for MTAs are whole files.
"""
import os
import re
import sys

MUST_HAVE = {
    "README": {"/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/mail/sendmail.mc",
               "/etc/countersign/countersign.conf"},
    "filter/countersign.8": {"/etc/postfix/main.cf", "/etc/postfix/local-login-senders"},
    "contrib/doc/countersign-lists.7": {"/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/postfix/transport"},
}
SAMPLES = {
    "contrib/samples/postfix-main.cf": "/etc/postfix/main.cf",
    "contrib/samples/postfix-master.cf": "/etc/postfix/master.cf",
    "contrib/samples/sendmail.mc": "/etc/mail/sendmail.mc",
}
# What only a file of an MTA has; in running text it stands between other words.
FOREIGN = re.compile(r"^\s*(#?\s*(non_)?smtpd_milters\s*=|milter_\w+\s*=|message_\w+_characters\s*=|"
                     r"\w+_maps\s*=|\w+_destination_\w+\s*=|-o \w+=|\w+ +(inet|unix) +[n-] |"
                     r"INPUT_MAIL_FILTER\(|DAEMON_OPTIONS\(|FEATURE\(|define\()")


def documents(source):
    """All texts that people read, from the top of the source."""
    found = ["README"]
    for directory in ("contrib/doc", "contrib/samples", "contrib/systemd", "filter"):
        for name in sorted(os.listdir(os.path.join(source, directory))):
            path = directory + "/" + name
            if os.path.isfile(os.path.join(source, path)) and (directory != "filter" or name[-2:] in (".5", ".8")):
                found.append(path)
    return found


def unroff(line):
    """A line of a literal display, as man shows it."""
    return line.replace("\\&", "").replace("\\e", "\\").replace("\\-", "-")


def text_blocks(lines):
    """(number of the first line, file, lines) of each block of a text, and the numbers in blocks."""
    at = 0
    while at < len(lines):
        marked = re.match(r"In (/etc/[\w./-]+)[ ,:].*:$|In (/etc/[\w./-]+):$", lines[at])
        at += 1
        if not marked:
            continue
        while at < len(lines) and not lines[at]:
            at += 1
        first, block = at, []
        while at < len(lines) and (lines[at].startswith("\t") or
                                   (not lines[at] and at + 1 < len(lines) and lines[at + 1].startswith("\t"))):
            block.append(lines[at][1:])
            at += 1
        yield first, marked.group(1) or marked.group(2), block


def roff_blocks(lines):
    """The same of a manual."""
    at = 0
    while at + 1 < len(lines):
        marked = re.match(r"\.Pa (/etc/[\w./-]+) :$", lines[at])
        at += 1
        if not marked or not lines[at].startswith(".Bd -literal"):
            continue
        first = at = at + 1
        while lines[at] != ".Ed":
            at += 1
        yield first, marked.group(1), [unroff(line) for line in lines[first:at]]


def outputs(lines):
    """The numbers of the lines of a manual that show a command and what it prints."""
    inside = False
    for at, line in enumerate(lines):
        if line.startswith(".Bd -literal") and at + 1 < len(lines):
            inside = lines[at + 1].startswith("$ ")
        elif line == ".Ed":
            inside = False
        elif inside:
            yield at


def blocks_of(path, lines):
    if path in SAMPLES:
        return [(0, SAMPLES[path], lines)]
    return list(roff_blocks(lines) if re.search(r"\.[578]$", path) else text_blocks(lines))


def main():
    source, directory = sys.argv[1:]
    errors = 0
    number = 0
    for path in documents(source):
        with open(os.path.join(source, path), encoding="utf-8") as file:
            lines = file.read().split("\n")
        blocks = blocks_of(path, lines)
        inside = set(outputs(lines))
        for first, target, block in blocks:
            number += 1
            inside.update(range(first, first + len(block)))
            name = os.path.join(directory, "block.%d" % number)
            with open(name, "w", encoding="utf-8") as file:
                file.write("\n".join(block).rstrip("\n") + "\n")
            print(name, "%s:%d" % (path, first + 1), target)
            if not any(block):
                errors += 1
                print("%s:%d: the block of %s is empty" % (path, first + 1, target), file=sys.stderr)
        for missing in sorted(MUST_HAVE.get(path, set()) - {target for _, target, _ in blocks}):
            errors += 1
            print("%s: no block for %s was found" % (path, missing), file=sys.stderr)
        for at, line in enumerate(lines):
            if at not in inside and FOREIGN.match(line) and not line.startswith("."):
                errors += 1
                print("%s:%d: a line for an MTA in no marked block: %s" % (path, at + 1, line), file=sys.stderr)
    sys.exit(1 if errors or not number else 0)


main()
