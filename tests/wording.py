#!/usr/bin/python3
"""wording.py TOP - words that texts for people must not use, with file and line.

Reads every string literal of the C source with a space in it (log lines, events, replies, errors,
--help), the comments of scripts that Redis runs, and the documents and samples. Prints one line for
each finding, and exits with 1 if there is one. Log keys and JSON names are no such texts.
"""
import glob
import os
import re
import sys

# word, the better one
WORDS = [
    (r"anew", "again"),
    (r"mend(s|ed|ing)?", "fix, correct"),
    (r"heed(s|ed)?", "honor"),
    (r"bears?", "contains, has"),
    (r"whoever", "name the party"),
    (r"nobody", "no one, no other user"),
    (r"likewise", "also"),
    (r"look-ups?", "lookup"),
    (r"perhaps", "may"),
    (r"he|him|his|she|her|hers", "it, they, or the role"),
    (r"told|tells|hears", "reports, logs; people are notified"),
    (r"knows? no", "has no"),
    (r"goes by|go by", "follows, uses"),
    (r"for want of", "for lack of"),
    (r"in force", "in effect"),
    (r"passed over", "skipped"),
    (r"found out", "determined"),
    (r"cannot be (had|asked)", "cannot be obtained; is unavailable"),
    (r"stands? (in|behind|alone|at|there)", "is in, follows, is at"),
    (r"(?<!there )(?<!there\n)(is|are) no (?!longer|more\b|matter|time\b|room\b|such\b|one\b|key\b|login\b|valid\b|record\b|TLS)\w+",
     "is not a ..."),
    (r"where (there (is|are) (no|none)|it is not|not)", "if"),
    (r"authoris\w*|recognis\w*|honour\w*|behaviour|licence|neighbour\w*|favour\w*|misspelt", "American spelling"),
    (r"of course|simply", "leave it out"),
]
# in string literals of the source only: what programs do, and units that operators read
SAID = [
    (r"says?|asks?|asked", "reports, has, queries"),
    (r"octets?", "bytes"),
]
# file: words that stay there
ALLOWED = {
    # a column of the file since 0.2
    "filter/journal/backlog.c": ["told"],
    # a value of the JSON of countersignctl try
    "filter/trial/report.c": ["asked"],
    # a record does say, or not: the words of RFC 7208
    "policy/verdict/reasons.c": ["say"],
    # bytes, in French
    "policy/verdict/reply_texts.c": ["octets"],
}


def words(rows):
    return [(re.compile(r"(?<![\w.${/<-])(?:%s)(?![\w-])" % word, re.I), better) for word, better in rows]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\n|[^\s"\'/]+|/|[ \t]+', re.S)


def literals(text):
    """Each string literal with the line it begins in; adjacent ones are one."""
    line, start, held = 1, 0, ""
    for token in TOKEN.findall(text):
        if token[0] == '"':
            start = start if held else line
            held += token[1:-1]
        elif token.strip() and not token.startswith(("/*", "//")):
            if " " in held.strip():
                yield start, held
            held = ""
        line += token.count("\n")


def plain(text, path):
    """A document without what is quoted in it: names, requests of roff."""
    if path.endswith((".5", ".7", ".8")):
        text = re.sub(r"(?m)^\.\\\".*$", "", text)
        text = re.sub(r"(?m)^\.(Ql|Ic|Pa|Cm|Xr|Ar|Fl|Li|Nm) .*$", "", text)
    return text


def report(path, line, text, rows):
    found = 0
    for pattern, better in rows:
        for hit in pattern.finditer(text):
            if hit.group(0) in ALLOWED.get(path, []):
                continue
            print("%s:%d: \"%s\": %s" % (path, line + text.count("\n", 0, hit.start()), hit.group(0), better))
            found += 1
    return found


def main():
    top = sys.argv[1]
    os.chdir(top)
    found = seen = 0
    everywhere, said = words(WORDS), words(WORDS + SAID)
    for path in sorted(glob.glob("filter/**/*.[ch]", recursive=True) + glob.glob("policy/**/*.[ch]", recursive=True)):
        with open(path, encoding="utf-8") as file:
            for line, text in literals(file.read()):
                seen += 1
                found += report(path, line, text, said)
    pages = [p for pattern in ("README", "filter/README", "policy/README", "filter/*.[1-8]", "filter/**/*.lua",
                               "contrib/doc/*", "contrib/samples/*", "contrib/*.8", "contrib/quickstart",
                               "contrib/debian/conf", "contrib/systemd/*", "contrib/container/*.conf")
             for p in glob.glob(pattern, recursive=True) if os.path.isfile(p)]
    for path in sorted(pages):
        with open(path, encoding="utf-8") as file:
            seen += 1
            found += report(path, 1, plain(file.read(), path), everywhere)
    print("# %d texts" % seen)
    return 0 if found == 0 and seen > 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
