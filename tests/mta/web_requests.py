"""web_requests.py - requests to countersign-web, of which web.test has made the laboratory

usage: web_requests.py SOCKET PORT LOG WEB-LOG TOKENS, where TOKENS is a file with lines NAME TOKEN
Account alice@example.org has sent mail, bob@example.net is of another domain. Writes TAP.
"""
import http.client
import json
import re
import socket
import sys
import threading
import time

path, port, log, web_log = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
TOKENS = dict(line.split() for line in open(sys.argv[5]))
count = 0


def ok(good, sentence, seen=None):
    global count
    count += 1
    print(("ok" if good else "not ok") + f" {count} - {sentence}")
    if not good and seen is not None:
        print("# " + repr(seen)[:500])


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(path)


def ask(method, url, who=None, body=None, unix=True, raw=None, **fields):
    """Status, parsed body, fields."""
    connection = Unix("localhost", timeout=30) if unix else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if who is not None:
        headers["Authorization"] = "Bearer " + TOKENS.get(who, who)
    if body is not None:
        raw = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, url, body=raw, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    kind = answer.getheader("Content-Type", "")
    return answer.status, json.loads(text) if "json" in kind and text else text, dict(answer.getheaders())


def status(*words, **options):
    return ask(*words, **options)[0]


API = "/api/v1"
ALICE = API + "/accounts/alice@example.org"
BOB = API + "/accounts/bob@example.net"

# --- open pages
code, text, fields = ask("GET", "/metrics")
ok(code == 200 and fields["Content-Type"].startswith("text/plain; version=0.0.4"), "figures without a token", fields)
code, text, fields = ask("GET", "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
ok(fields["Content-Type"].startswith("application/openmetrics-text") and text.endswith("# EOF\n"),
   "as OpenMetrics for one that takes it", fields)
ok(fields["Content-Security-Policy"].startswith("default-src 'none'") and fields["Cache-Control"] == "no-store" and
   fields["X-Content-Type-Options"] == "nosniff", "every reply has strict fields", fields)
code, health, _ = ask("GET", "/health")
ok(code == 200 and health["healthy"] and set(health) == {"healthy", "daemon", "listener", "store", "resolver", "keys"},
   "health is good", health)
ok(status("HEAD", "/health") == 200, "HEAD as GET")
code, _, fields = ask("POST", "/metrics")
ok(code == 405 and fields["Allow"] == "GET", "nothing is posted to figures", fields)
code, problem, fields = ask("GET", "/nonsense")
ok(code == 404 and fields["Content-Type"] == "application/problem+json" and problem["status"] == 404,
   "what does not exist is a problem in JSON", problem)

# --- the document
code, openapi, _ = ask("GET", API + "/openapi.json")
ok(code == 200 and openapi["openapi"] == "3.0.3", "the OpenAPI document is served")
faults, names = [], []
for url, operations in openapi["paths"].items():
    for method, operation in operations.items():
        names.append(operation["operationId"])
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        if declared != set(re.findall(r"\{(\w+)\}", url)):
            faults.append(f"{method} {url}: parameters of the path")
        if not {"200", "401", "404", "503"} <= set(operation["responses"]):
            faults.append(f"{method} {url}: responses")
        for ref in re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(operation)):
            place = openapi
            for part in ref.split("/"):
                place = place.get(part) if place else None
            if place is None:
                faults.append(f"{method} {url}: {ref}")
        real = API + url.replace("{account}", "alice@example.org").replace("{queue_id}", "NOSUCH")
        if status(method.upper(), real) != 401:
            faults.append(f"{method} {url}: without a token")
ok(faults == [] and len(names) == len(set(names)), "it is whole, and each operation needs a token", faults or names)

# --- reading
code, answer, _ = ask("GET", API + "/status", "reader")
ok(code == 200 and answer["accepted"] >= 2 and "ok" not in answer, "status", answer)
code, answer, _ = ask("GET", ALICE + "/limits", "reader")
ok(code == 200 and answer["account"] == "alice@example.org" and answer["limits"][0]["used"] > 0, "limits", answer)
ok(status("GET", API + "/accounts/alice/limits", "reader") == 200, "an account without a domain has the realm added")
for _ in range(200):
    answer = ask("GET", API + "/accounts", "reader")[1]
    if len(answer["accounts"]) == 2:
        break
    time.sleep(0.05)
ok({line["account"] for line in answer["accounts"]} >= {"alice@example.org", "bob@example.net"}, "accounts", answer)
code, answer, _ = ask("GET", API + "/accounts?limit=1", "reader")
first = answer["accounts"][0]["account"]
ok(len(answer["accounts"]) == 1 and answer["page"]["next"] == 1, "a page", answer)
code, answer, _ = ask("GET", API + "/accounts?limit=1&offset=1", "reader")
ok(len(answer["accounts"]) == 1 and answer["accounts"][0]["account"] != first, "the next page", answer)


def history():
    for _ in range(200):
        seen = ask("GET", ALICE + "/history", "reader")[1]
        if seen.get("verdicts"):
            break
        time.sleep(0.05)
    return seen


answer = history()
ok(answer["verdicts"][0]["account"] == "alice@example.org", "history", answer)
queue_id = answer["verdicts"][0]["queue_id"]
ok(status("GET", API + "/messages/" + queue_id, "reader") == 200, "a message")
ok(status("GET", API + "/messages/NOSUCH", "reader") == 404, "none that does not exist")
ok(status("GET", API + "/events?limit=5", "reader") == 200, "events")
ok(status("GET", API + "/report?day=" + time.strftime("%Y-%m-%d", time.gmtime()), "reader") == 200, "report")
ok(status("GET", API + "/dmarc-reports", "reader") in (200, 422), "DMARC reports")
for url, why in (("/report?day=2026-13-01", "a day that is none"), ("/report?day=today&x=1", "what is unknown"),
                 ("/accounts?limit=0", "no lines"), ("/accounts?limit=9999999999999999999", "too many lines"),
                 ("/accounts?limit=1&limit=2", "a value twice"), ("/accounts?%ff=1", "what is no UTF-8"),
                 ("/events?limit=1.5", "half a line")):
    code, answer, _ = ask("GET", API + url, "reader")
    ok(code == 400 and answer["detail"], "refused with a reason: " + why, (code, answer))

# --- roles and changes
ok(status("PUT", ALICE + "/block", "reader", {}) == 403, "a reader blocks no one")
ok(status("POST", API + "/reload", "operator") == 403, "an operator does not reload")
code, answer, _ = ask("PUT", ALICE + "/block", "operator", {"for_seconds": 600, "reason": "stolen \u2603"})
ok(code == 200, "an operator blocks", answer)
code, answer, _ = ask("GET", API + "/blocks", "reader")
ok(answer["blocked"][0]["account"] == "alice@example.org" and answer["blocked"][0]["by"].startswith("operator (by "),
   "the block names the person", answer)
ok(re.search(r"alice@example.org is blocked, says operator \(by ", open(log).read()), "so does the daemon's log")
ok("web: operator (operator) block alice@example.org: done" in open(web_log).read(), "and ours")
ok(status("DELETE", ALICE + "/block", "operator") == 200 and not ask("GET", API + "/blocks", "reader")[1]["blocked"],
   "and unblocks")
code, answer, _ = ask("PUT", ALICE + "/limits", "operator", {"limit": "500 recipients per hour", "for_seconds": 60})
ok(code == 200 and ask("GET", ALICE + "/limits", "reader")[1]["limits"][0]["max"] == 500, "a limit is raised", answer)
ok(status("DELETE", ALICE + "/limits", "operator") == 200, "and restored")
ok(status("POST", ALICE + "/reset", "operator") == 200 and
   ask("GET", ALICE + "/limits", "reader")[1]["limits"][0]["used"] == 0, "counters are emptied")
code, answer, _ = ask("PUT", ALICE + "/limits", "operator", {"limit": "many", "for_seconds": 60})
ok(code == 422 and answer["detail"], "what the daemon refuses has its reason", answer)
ok(status("POST", API + "/reload", "admin") == 200, "an admin reloads")
code, answer, _ = ask("POST", API + "/try", "admin", {"listener": "users", "login": "alice", "from": "alice@example.org",
                      "rcpt": ["x@elsewhere.example"], "message": "From: alice@example.org\r\nSubject: x\r\n\r\nhello\r\n"})
ok(code == 200 and answer["verdict"] == "accept", "and tries a message", (code, answer))
for body, why in (([], "a list"), ({"for_seconds": 0}, "no time"), ({"for_seconds": "x"}, "text for a number"),
                  ({"nonsense": 1}, "what is unknown"), ({"reason": 5}, "a number for a text"),
                  ({"reason": "a\nb"}, "a line break"), ({"person": "root"}, "another person")):
    code, answer, _ = ask("PUT", ALICE + "/block", "operator", body)
    ok(code in (400, 422) and answer["detail"], "no change by " + why, (code, answer))
ok(status("PUT", ALICE + "/block", "operator", raw=b'{"reason":"a"}', Content_Type="text/plain") == 415,
   "nor by what a form could send")
ok(status("PUT", ALICE + "/block", "operator", raw=b'{"a":' * 5000, Content_Type="application/json") == 400, "nor by depth")
ok(status("PUT", ALICE + "/block", "operator", raw=b"x" * 200000, Content_Type="application/json") == 413, "nor by length")
ok(status("GET", "/" + "a" * 60000) in (414, 431), "a long address is refused")
ok(not ask("GET", API + "/blocks", "reader")[1]["blocked"], "none of it changed anything")

# --- a customer
code, answer, _ = ask("GET", ALICE + "/limits", "customer")
ok(code == 200, "a customer sees an account of its domain", answer)
ok(status("GET", API + "/accounts/ALICE@EXAMPLE.org/limits", "customer") == 200, "in any case")
ok(status("GET", API + "/accounts/%ff%fe/limits", "reader") == 404, "what is no UTF-8 is no account")
for url in (BOB + "/limits", BOB + "/history", BOB + "/plan", API + "/status", API + "/events",
            API + "/accounts/alice/limits", API + "/accounts/@example.org/limits",
            API + "/accounts/pool:x@example.org/limits", API + "/accounts/network:1@example.org/limits",
            API + "/accounts/%22bob@example.net%22@example.org/limits",
            API + "/accounts/alice@example.org@example.net/limits", API + "/accounts/bob%25example.net@example.org/limits",
            API + "/accounts/bob@example.net%00@example.org/limits",
            API + "/report?domain=example.net", API + "/accounts?domain=example.net", API + "/suggestion"):
    ok(status("GET", url, "customer") == 404, "but not " + url[len(API):])
ok(status("PUT", BOB + "/block", "customer", {}) == 404, "nor blocks one of another")
ok(status("PUT", ALICE + "/block", "customer", {}) == 200, "blocks its own")
ask("PUT", BOB + "/block", "operator", {})
code, answer, _ = ask("GET", API + "/blocks", "customer")
ok([line["account"] for line in answer["blocked"]] == ["alice@example.org"], "sees its own block alone", answer)
code, answer, _ = ask("GET", API + "/accounts", "customer")
ok([line["account"] for line in answer["accounts"]] == ["alice@example.org"], "its own accounts", answer)
code, answer, _ = ask("GET", API + "/report", "customer")
ok("example.net" not in json.dumps(answer) and code == 200, "its own report", answer)
ok(status("GET", API + "/messages/" + queue_id, "customer") == 200, "its own message")
bobs = ask("GET", BOB + "/history", "reader")[1]["verdicts"][0]["queue_id"]
ok(status("GET", API + "/messages/" + bobs, "customer") == 404, "no other's")
for account in ("alice@example.org", "bob@example.net"):
    ask("DELETE", API + "/accounts/" + account + "/block", "operator")

# --- who may not
ok(status("GET", API + "/status") == 401, "no token")
ok(status("GET", API + "/status", "reader." + "0" * 48) == 401, "a wrong secret")
ok(status("GET", API + "/status", "nobody.x") == 401, "a name that does not exist")
ok(status("GET", API + "/status", "x" * 20000) in (401, 431), "a long one")
ok(status("GET", API + "/status", X_Forwarded_User="carl") == 200, "a proxy on the unix socket vouches for a name")
ok(status("GET", API + "/status", X_Forwarded_User="reader") == 401, "not for one with a secret")
ok(status("PUT", ALICE + "/block", body={}, X_Forwarded_User="carl") == 403, "a change by it needs X-Requested-With")
ok(status("GET", API + "/status", unix=False, X_Forwarded_User="carl") == 401, "nor over TCP")
ok(status("GET", API + "/status", "reader", unix=False) == 200, "a token works over TCP")
codes = [status("GET", API + "/status", "reader.wrong") for _ in range(12)]
ok(codes[-1] == 429, "wrong secrets are limited", codes)
ok(1 <= open(web_log).read().count("a wrong secret for reader") <= 10, "and logged, no more than that")
ok(status("GET", API + "/status", "reader") == 200, "which does not lock out the right one")

# --- many and slow clients
slow = []
for _ in range(90):
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    one.send(b"GET /health HT")
    slow.append(one)
ok(status("GET", "/health", unix=False) == 200, "90 clients that stop in the middle hold up no one on another socket")
began = time.monotonic()
code = []
threads = [threading.Thread(target=lambda: code.append(status("GET", API + "/status", "reader", unix=False)))
           for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ok(code == [200] * 20, "20 at once are answered", code)
one = slow[0]
one.settimeout(60)
ok(one.recv(100) == b"", "and those are ended")
ok(time.monotonic() - began < 55, "in time")
for one in slow:
    one.close()
print(f"1..{count}")
