#!/usr/bin/python3
"""guide_steps.py - the steps of a guide (mdoc), for guides.test

    guide_steps.py steps PAGE DIRECTORY
    guide_steps.py same SHOWN GOT

steps: writes each step of the page to DIRECTORY and prints one line for each: "hook WORDS" for a
comment of the form .\\" guide: WORDS, "file NAME TARGET" for lines that go to the end of a file,
"run NAME LINE" for a command, with what the page shows in NAME.shown.

A command is a line of a literal display that begins with "$ ". It ends there, but for a
backslash at its end or a here-document; what follows up to the next one is its output. A display
without a command below ".Pa /etc/... :" is for that file. Other displays are not run.

same: is GOT what the page shows? White space and places of line breaks do not count, nor do
numbers, times and queue ids. "..." stands for any text. If not, prints both and exits with 1.
"""
import os
import re
import sys


def unroff(line):
    return line.replace("\\&", "").replace("\\e", "\\").replace("\\-", "-")


def displays(lines):
    """(kind, number, what) in their order: hooks, and literal displays with the line above them."""
    at = 0
    while at < len(lines):
        hook = re.match(r'\.\\" guide: (.+)$', lines[at])
        if hook:
            yield "hook", at + 1, hook.group(1)
        elif lines[at].startswith(".Bd -literal"):
            first = at + 1
            while lines[at] != ".Ed":
                at += 1
            yield "display", first, (lines[first - 2], [unroff(line) for line in lines[first:at]])
        at += 1


def commands(display):
    """(offset, command, output) of each command of a display."""
    at = 0
    while at < len(display):
        if not re.match(r"[$] ", display[at]):
            at += 1
            continue
        first = at
        command = [display[at][2:]]
        end = re.search(r"<<'?(\w+)'?", command[0])
        while command[-1].endswith("\\") or (end and command[-1] != end.group(1)):
            at += 1
            command.append(display[at])
        at += 1
        shown = []
        while at < len(display) and not re.match(r"[$] ", display[at]):
            shown.append(display[at])
            at += 1
        yield first, "\n".join(command) + "\n", "\n".join(shown).strip() + "\n"


def steps(page, directory):
    with open(page, encoding="utf-8") as file:
        lines = file.read().split("\n")
    number = 0
    for kind, line, what in displays(lines):
        if kind == "hook":
            print("hook", what)
            continue
        above, display = what
        found = list(commands(display))
        target = re.match(r"\.Pa (/etc/[\w./-]+) :$", above)
        if not found and target:
            number += 1
            with open(os.path.join(directory, str(number)), "w", encoding="utf-8") as file:
                file.write("\n".join(display) + "\n")
            print("file", number, target.group(1))
        for offset, command, shown in found:
            number += 1
            with open(os.path.join(directory, "%d" % number), "w", encoding="utf-8") as file:
                file.write(command)
            with open(os.path.join(directory, "%d.shown" % number), "w", encoding="utf-8") as file:
                file.write(shown)
            print("run", number, line + offset + 1, command.split("\n")[0])


def pattern(shown):
    words = []
    for word in shown.split():
        if word == "...":
            words.append(r".*")
            continue
        word = re.sub(r"[0-9A-F]{9,}|[0-9]+", "0", word)
        word = re.sub(r"\[[#.]+\]", "[#]", word)
        words.append(re.escape(word))
    # "..." may stand for nothing
    return " ?".join(words).replace(" ?.* ?", ".*")


def plain(text):
    text = re.sub(r"\b[0-9A-F]{9,}\b|[0-9]+", "0", " ".join(text.split()))
    return re.sub(r"\[[#.]+\]", "[#]", text)


def same(shown, got):
    with open(shown, encoding="utf-8") as file:
        shown = file.read()
    with open(got, encoding="utf-8", errors="replace") as file:
        got = file.read()
    if re.fullmatch(pattern(shown), plain(got)):
        return True
    print("the guide shows:\n" + shown + "\nit was:\n" + got)
    return False


if __name__ == "__main__":
    if sys.argv[1] == "steps":
        steps(sys.argv[2], sys.argv[3])
    else:
        sys.exit(0 if same(sys.argv[2], sys.argv[3]) else 1)
