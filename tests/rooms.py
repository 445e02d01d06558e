#!/usr/bin/python3 -B
#
# rooms.py - does every include and every call between rooms run down the stairs?
#
# usage: rooms.py SOURCE BUILD
#
# The rooms and who may use whom are the tables in SOURCE/filter/README and SOURCE/policy/README:
#
#	room      what it is
#	          uses other rooms
#
# A file in filter/ itself is in the room main. policy/ may be used by all of filter/. Two files
# X.c and X.h of one room count as one part. Includes are read from the source, calls from the
# object files below BUILD (nm: who needs a name, who defines it). Besides, lines of code keep within
# WIDTH columns, results of pthread calls are used or cast to void, and two files have no function of
# one name, not even static ones, so that a stack trace names one place. Prints one line for each
# fault, and returns 1 if there is one.

import os
import re
import subprocess
import sys

WIDTH = 100


class House:
    """The source, the tables, and the uses that were found."""

    def __init__(self, source, build):
        self.source, self.build = source, build
        self.faults = []
        self.rooms = {}		# "filter/spf" -> where its row is
        self.allowed = {}		# ("filter/spf", "filter/dns") -> where that is permitted
        self.files = []		# paths below source
        self.uses = {}		# (part, part) -> how the one uses the other, the first found

    def fault(self, text):
        self.faults.append(text)

    # --- the tables ---

    def read_table(self, top):
        """The rows of SOURCE/top/README."""
        path = top + "/README"
        room = None
        try:
            lines = open(os.path.join(self.source, path), encoding="utf-8").read().split("\n")
        except OSError as error:
            self.fault(f"{path}: {error.strerror}")
            return
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            row = re.match(r"\t([a-z]\w*) {2,}\S", line)
            uses = re.match(r"\t {2,}uses ([a-z_ ]+)$", line)
            if row:
                room = f"{top}/{row[1]}"
                if room in self.rooms:
                    self.fault(f"{where}: the room {room} has a row already ({self.rooms[room]})")
                self.rooms[room] = where
            elif uses and room:
                for used in uses[1].split():
                    self.allowed[(room, f"{top}/{used}")] = where
            elif room and not line.startswith("\t"):
                break
        for (_, used), where in self.allowed.items():
            if used.startswith(top + "/") and used not in self.rooms:
                self.fault(f"{where}: there is no row for the room {used}")

    # --- the source ---

    @staticmethod
    def room_of(path):
        """The room of a file."""
        parts = path.split("/")
        return "/".join(parts[:2]) if len(parts) > 2 else parts[0] + "/main"

    @staticmethod
    def part_of(path):
        """X.c and X.h are one part."""
        return re.sub(r"\.[ch]$", "", path)

    def find_files(self):
        """All .c and .h, and whether each is in a room that is known."""
        for top in ("filter", "policy"):
            for folder, folders, names in os.walk(os.path.join(self.source, top)):
                folders.sort()
                for name in sorted(names):
                    # a build in the source directory makes *_lua.c there
                    if name.endswith((".c", ".h")) and not name.endswith("_lua.c"):
                        path = os.path.relpath(os.path.join(folder, name), self.source)
                        self.files.append(path)
        lived_in = {self.room_of(path) for path in self.files}
        for room in sorted(lived_in - set(self.rooms)):
            top, name = room.split("/")
            self.fault(f"{room}/: no row in {top}/README; add one where it stands in the house, "
                       f"below all that may use it: \"{name}  what it is\", and in the next line "
                       "\"uses\" with the rooms that it needs")
        for room in sorted(set(self.rooms) - lived_in):
            self.fault(f"{self.rooms[room]}: the room {room} has no file; remove its row")
        for top in ("filter", "policy"):
            if not any(path.startswith(top + "/") for path in self.files):
                self.fault(f"{top}/: no file found in {self.source}")

    def use(self, one, other, how):
        """A file uses another."""
        one, other = self.part_of(one), self.part_of(other)
        if one != other:
            self.uses.setdefault((one, other), how)

    def read_includes(self):
        """Every include, which names the room; and the width of lines."""
        known = set(self.files)
        functions = {}
        n = 0
        for path in self.files:
            text = open(os.path.join(self.source, path), encoding="utf-8").read()
            if path.endswith(".c"):
                for name in re.findall(r"^(\w+)\([^;]*?\n\{$", text, re.M):
                    functions.setdefault(name, set()).add(path)
            for number, line in enumerate(text.split("\n"), 1):
                self.check_width(path, number, line)
                self.check_result(path, number, line)
                include = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
                if not include or include[1] == "config.h":
                    continue
                how = f"{path}:{number} includes {include[1]}"
                if include[1] in known:
                    self.use(path, include[1], how)
                    n += 1
                elif '"' in line or include[1].startswith(("filter/", "policy/")):
                    self.fault(f"{how}, which is not there; write the path from the top, "
                               'as in "filter/base/log.h"')
        for name, paths in sorted(functions.items()):
            if len(paths) > 1 and name != "main":
                self.fault(f"{' and '.join(sorted(paths))} have a function {name} each; let the "
                           "name begin with that of its file or object")
        if n == 0 or not functions:
            self.fault("no include of a room, or no function, was found")

    def check_width(self, path, number, line):
        """Code within WIDTH columns; texts may be longer."""
        if len(re.sub(r'"(\\.|[^"\\])*"', '""', line.expandtabs(8))) > WIDTH:
            self.fault(f"{path}:{number}: longer than {WIDTH} columns (a tab is 8)")

    def check_result(self, path, number, line):
        """One style: the result of a pthread call is used or cast to void."""
        if re.match(r"\t+pthread_\w+\(.*;$", line):
            self.fault(f"{path}:{number}: use the result of the call, or write (void) before it")

    # --- the objects ---

    def find_objects(self):
        """The object of each .c file; those of files that are gone are left out."""
        sources = {path for path in self.files if path.endswith(".c")}
        objects = {}
        for top in ("filter", "policy"):
            for folder, folders, names in os.walk(os.path.join(self.build, top)):
                folders.sort()
                for name in sorted(names):
                    if not name.endswith(".o"):
                        continue
                    below = os.path.relpath(folder, self.build)
                    path = f"{below}/{name.split('-')[-1][:-2]}.c"
                    made = os.path.isfile(os.path.join(self.build, path))
                    if path in sources or made and self.part_of(path) + ".h" in self.files:
                        objects[os.path.join(folder, name)] = path
        seen = {self.room_of(path) for path in objects.values()}
        status = os.path.join(self.build, "config.status")
        if os.path.isfile(status) and 'S["HAVE_WEB_TRUE"]="#"' in open(status, encoding="utf-8").read():
            seen.add("filter/web")      # not built where its libraries are not
        for room in sorted({self.room_of(path) for path in sources} - seen):
            self.fault(f"{room}/: no object file in {self.build}; run make first")
        return objects

    def replaced_names(self):
        """Names of libraries that the program replaces: not one part calling another."""
        text = open(os.path.join(self.source, "Makefile.am"), encoding="utf-8").read()
        return set(re.findall(r"--export-dynamic-symbol=(\w+)", text)) | {"main"}

    def read_calls(self):
        """Every name that one object needs and another defines."""
        objects = self.find_objects()
        if not objects:
            return
        output = subprocess.run(
            [os.environ.get("NM", "nm"), "-A", "-g", "-P", *objects], check=True,
            capture_output=True, text=True).stdout
        defined, needed = {}, []
        replaced = self.replaced_names()
        for line in output.split("\n"):
            row = re.match(r"(\S+): (\w+)\S* ([A-Za-z])", line)
            if row is None or row[2] in replaced:
                continue
            if row[3] in "Uwv":
                needed.append((objects[row[1]], row[2]))
            else:
                defined[row[2]] = objects[row[1]]
        n = 0
        for path, name in needed:
            if name in defined:
                self.use(path, defined[name], f"{path} uses {name} of {defined[name]}")
                n += self.room_of(path) != self.room_of(defined[name])
        if n == 0:
            self.fault(f"no call between rooms was found in the objects of {self.build}")

    # --- the rules ---

    def check_permissions(self):
        """Every use is permitted, every permission is used."""
        used = set()
        for (one, other), how in sorted(self.uses.items()):
            pair = (self.room_of(one + ".c"), self.room_of(other + ".c"))
            same = pair[0] == pair[1]
            if same or pair[0].startswith("filter/") and pair[1].startswith("policy/"):
                continue
            used.add(pair)
            if pair in self.allowed or not set(pair) <= set(self.rooms):
                continue
            top, name = pair[0].split("/")
            if pair[1].split("/")[0] != top:
                self.fault(f"{how}: {top}/ may use nothing of {pair[1].split('/')[0]}/")
                continue
            self.fault(f"{how}: the room {name} may not use {pair[1].split('/')[1]}; if it "
                       f"should, add that to its \"uses\" ({self.rooms[pair[0]]}), else move what "
                       "both need to a room below")
        for pair, where in sorted(self.allowed.items()):
            if pair not in used and set(pair) <= set(self.rooms):
                self.fault(f"{where}: {pair[0].split('/')[1]} does not use "
                           f"{pair[1].split('/')[1]}; remove that from its \"uses\"")

    def check_order(self):
        """In the tables, a room is used by rooms above it only."""
        order = list(self.rooms)
        for (room, used), where in self.allowed.items():
            if used in self.rooms and order.index(used) <= order.index(room):
                self.fault(f"{where}: {used.split('/')[1]} is not below {room.split('/')[1]}; "
                           "a room uses rooms further down only, so that there is no circle")

    def check_circles(self):
        """Files use each other in one direction; so do rooms, whatever the tables say."""
        after = {}
        for one, other in self.uses:
            after.setdefault(one, []).append(other)
        between = {}
        for (one, other), how in sorted(self.uses.items()):
            pair = (self.room_of(one + ".c"), self.room_of(other + ".c"))
            if pair[0] != pair[1]:
                between.setdefault(pair, how)
        around = {}
        for one, other in between:
            around.setdefault(one, []).append(other)
        for circle in circles(around):
            self.fault("circle of rooms: " + "; ".join(
                how for pair, how in between.items() if set(pair) <= set(circle)))
        for circle in circles(after):
            self.fault("circle of files: " + "; ".join(
                how for pair, how in self.uses.items() if set(pair) <= set(circle)))

    def inspect(self):
        """All faults."""
        self.read_table("filter")
        self.read_table("policy")
        self.find_files()
        self.read_includes()
        self.read_calls()
        self.check_permissions()
        self.check_order()
        self.check_circles()
        return self.faults


def circles(after):
    """The strongly connected sets of more than one (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in after.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(stack[at:])
            del stack[at:]

    for node in sorted(after):
        if node not in index:
            visit(node)
    return found


def main():
    faults = House(sys.argv[1], sys.argv[2]).inspect()
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
