"""dashboards.py - are the dashboards such as Grafana loads, and has each query data?

usage: dashboards.py PROMETHEUS-URL FIGURES DASHBOARD...
FIGURES is what countersignctl metrics prints: no query may name a figure that is not in it, and no
panel of the directory may be without data unless it says what rarely happens. Prints each fault.
"""
import json
import re
import sys
import urllib.parse
import urllib.request

url, figures = sys.argv[1], open(sys.argv[2]).read()
NAMES = set(re.findall(r"^(\w+)[{ ]", figures, re.M))
faults, uids = [], set()


def query(expression):
    with urllib.request.urlopen(url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})) as answer:
        return json.load(answer)


def check_place(where, panel, taken):
    place = panel["gridPos"]
    if place["x"] < 0 or place["w"] < 1 or place["x"] + place["w"] > 24:
        faults.append(f"{where}: is not within 24 columns")
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            if (x, y) in taken:
                faults.append(f"{where}: lies over another panel")
                return
            taken.add((x, y))


def check_query(where, target):
    expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
    if "$" in expression:
        faults.append(f"{where}: a variable that is none: {expression}")
    for name in re.findall(r"\b((?:countersign|process)_\w+)", expression):
        if name not in NAMES:
            faults.append(f"{where}: there is no {name}")
    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
        if not re.search(r"\bby \([^)]*\b" + label + r"\b", expression) and " by " in expression:
            faults.append(f"{where}: the legend has {label}, which the query leaves out")
    answer = query(expression)
    if not answer["data"]["result"]:
        faults.append(f"{where}: no data for {expression}")


for path in sys.argv[3:]:
    board = json.load(open(path))
    for name, kind in (("uid", str), ("title", str), ("schemaVersion", int), ("panels", list), ("templating", dict),
                       ("time", dict), ("annotations", dict), ("tags", list)):
        if not isinstance(board.get(name), kind):
            faults.append(f"{path}: {name} is not {kind.__name__}")
    if board["uid"] in uids or not re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"]):
        faults.append(f"{path}: the uid is there twice, or longer than 40")
    uids.add(board["uid"])
    variables = {variable["name"] for variable in board["templating"]["list"]}
    if variables != {"datasource", "instance"} or "id" in board:
        faults.append(f"{path}: variables, or an id of another Grafana")
    ids, taken = [panel["id"] for panel in board["panels"]], set()
    if len(ids) != len(set(ids)):
        faults.append(f"{path}: two panels have one id")
    for panel in board["panels"]:
        where = f"{path}: {panel['title']}"
        if panel["type"] not in ("timeseries", "stat") or not panel["description"] or not panel["targets"]:
            faults.append(f"{where}: type, description or targets")
        for target in panel["targets"]:
            check_query(where, target)
        refs = [target["refId"] for target in panel["targets"]]
        if len(refs) != len(set(refs)):
            faults.append(f"{where}: two queries have one refId")
        check_place(where, panel, taken)
for fault in faults:
    print(fault)
sys.exit(1 if faults or not uids else 0)
