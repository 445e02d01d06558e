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


def ask(method, url, who=None, body=None, unix=True, raw=None, source=None, **fields):
    """Status, parsed body, fields."""
    connection = Unix("localhost", timeout=30) if unix else \
        http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=source)
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


def until(good, *words):
    """The answer when it is good: the journal writes a moment after a message."""
    for _ in range(200):
        code, seen, _ = ask(*words)
        if code == 200 and good(seen):
            break
        time.sleep(0.05)
    return code == 200 and good(seen), seen


for who in ("reader", "customer"):
    good, answer = until(lambda seen: sum(row["messages"] for row in seen["hours"]) == 1, "GET", ALICE + "/hours?days=14", who)
    ok(good and answer["hours"][-1]["at"] % 3600000 == 0, "hours of an account: " + who, answer)
good, answer = until(lambda seen: sum(place["actions"].get("accept", 0) for place in seen["places"]) == 2,
                     "GET", API + "/rates?hours=336", "reader")
ok(good and answer["step_s"] == 3600 and len(answer["hosts"]) == 1, "decisions of two weeks by hour", answer)
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

for url in ("/accounts?limit=1%00x", "/report?domain=example.org%00x", "/report?day=2026-%2B1-%2B1",
            "/report?day=2026-%201-%201", "/report?day=2026--1-01"):
    ok(status("GET", API + url, "reader") == 400, "refused: " + url)
ok(status("GET", API + "/status%00x", "reader") == 404 and status("GET", "/%00") == 404, "a path does not end at a NUL")
for url in ("/report?match=" + "x" * 8000, "/accounts?by=" + "x" * 8000):
    code, answer, _ = ask("GET", API + url, "reader")
    ok(code == 413 and "too long" in answer["detail"], "a value that is too long is the client's mistake", (code, answer))
SLASH = API + "/accounts/host%2Fmail@example.org"
code, answer, _ = ask("GET", SLASH + "/limits", "customer")
ok(code == 200 and answer["account"] == "host/mail@example.org", "an account with a slash", answer)
ok(status("PUT", SLASH + "/block", "customer", {}) == 200 and status("DELETE", SLASH + "/block", "customer") == 200,
   "can be blocked and unblocked")
ok(status("GET", API + "/accounts/x@example.net%2F@example.org/limits", "customer") == 404 and
   status("GET", API + "/accounts/x@example.org%2F..%2F..%2Fstatus", "customer") == 404, "a slash leads to no other domain")


def talk(*lines, after=b""):
    """Answers to a request as it stands."""
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(30)
    one.connect(path)
    one.sendall("\r\n".join(lines + ("", "")).encode() + after)
    answers = b""
    while piece := one.recv(65536):
        answers += piece
    one.close()
    return answers


NEXT = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
for lines, after in ((("Content-Length: 0", "Content-Length: 60"), NEXT),
                     (("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + NEXT),
                     (("X-Forwarded-User: carl", "X-Forwarded-User: nobody", "Content-Length: 0"), NEXT),
                     (("Host: localhost", "Content-Length: 0"), NEXT)):
    answers = talk("POST /session HTTP/1.1", "Host: x", *lines, after=after)
    ok(answers.startswith(b"HTTP/1.1 400 ") and b"twice" in answers and b"healthy" not in answers,
       "a request that can be read in two ways ends the connection: " + lines[0], answers)

# --- before the body


def early(line, length, *lines, sent=b"", later=b""):
    """The answer to a header whose body has not come; and what comes after the body."""
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(8)
    one.connect(path)
    one.sendall("\r\n".join((line + " HTTP/1.1", "Host: x", length, "Content-Type: application/json") + lines +
                             ("", "")).encode() + sent)
    answer = b""
    try:
        while b"\r\n\r\n" not in answer and (piece := one.recv(65536)):
            answer += piece
        one.sendall(later)
        while piece := one.recv(65536):
            answer += piece
    except OSError as error:
        answer += repr(error).encode()
    one.close()
    return answer


HUGE = "Content-Length: 4000000"
for line, length, fields, want in (
        ("POST " + API + "/try", HUGE, (), 401), ("POST " + API + "/try", HUGE, ("Expect: 100-continue",), 401),
        ("PUT " + ALICE + "/block", "Content-Length: 9", ("Authorization: Bearer nobody.x",), 401),
        ("PUT " + ALICE + "/block", "Transfer-Encoding: chunked", (), 401),
        ("POST " + API + "/try", HUGE, ("Authorization: Bearer " + TOKENS["operator"],), 403),
        ("POST " + API + "/try", HUGE, ("X-Forwarded-User: carl",), 403),
        ("POST " + API + "/try", "Content-Length: 4194305", ("Authorization: Bearer " + TOKENS["admin"],), 413),
        ("PUT " + ALICE + "/block", "Content-Length: 65537", ("Authorization: Bearer " + TOKENS["operator"],), 413),
        ("POST /session", "Content-Length: 65536", (), 413), ("POST /main.js", HUGE, (), 405), ("POST /health", HUGE, (), 405),
        ("POST /nonsense", HUGE, (), 404)):
    answer = early(line, length, *fields)
    ok(answer.startswith(f"HTTP/1.1 {want} ".encode()) and b"problem+json" in answer and b"Error" not in answer,
       f"{want} before the body: {line} {length} {' '.join(fields)[:30]}", answer)
answer = early("POST " + API + "/try", HUGE, sent=b"x" * 60000, later=b"x" * 3940000)
ok(answer.startswith(b"HTTP/1.1 401 ") and b"Error" not in answer, "one that sends its body all the same is let to", answer)
ok([status("POST", API + "/try", raw=b"x" * 4000000) for _ in range(3)] == [401] * 3, "and any client sees the answer")
answer = early("POST " + API + "/try", HUGE, "Expect: 100-continue", "Authorization: Bearer " + TOKENS["admin"])
ok(answer.startswith(b"HTTP/1.1 100 "), "one that may send it is asked for it", answer)

# --- roles and changes
ok(status("PUT", ALICE + "/block", "reader", {}) == 403, "a reader blocks no one")
ok(status("POST", API + "/reload", "operator") == 403, "an operator does not reload")
code, answer, _ = ask("PUT", ALICE + "/block", "operator", {"for_seconds": 600, "reason": "stolen \u2603"})
ok(code == 200, "an operator blocks", answer)
code, answer, _ = ask("GET", API + "/blocks", "reader")
ok(answer["blocked"][0]["account"] == "alice@example.org" and answer["blocked"][0]["by"].startswith("operator (by "),
   "the block names the person", answer)
ok(re.search(r"alice@example.org: blocked by operator \(by ", open(log).read()), "so does the daemon's log")
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
for method, url, who, body, field in (
        ("PUT", ALICE + "/block", "operator", {"for_seconds": "60"}, "for_seconds"),
        ("PUT", ALICE + "/block", "operator", {"for_seconds": 60.0}, "for_seconds"),
        ("PUT", ALICE + "/block", "operator", {"for_seconds": True}, "for_seconds"),
        ("PUT", ALICE + "/block", "operator", {"reason": ["x"]}, "reason"),
        ("DELETE", ALICE + "/block", "operator", {"reason": None}, "reason"),
        ("PUT", ALICE + "/limits", "operator", {"limit": 5, "for_seconds": 60}, "limit"),
        ("PUT", ALICE + "/limits", "operator", {"limit": "500 recipients per hour", "for_seconds": "60"}, "for_seconds"),
        ("PUT", ALICE + "/limits", "operator", {"limit": "500 recipients per hour"}, "for_seconds"),
        ("DELETE", ALICE + "/limits", "operator", {"reason": 0}, "reason"),
        ("POST", ALICE + "/reset", "operator", {"reason": {}}, "reason"),
        ("POST", API + "/doctor", "operator", {"x": 1}, "x"), ("POST", API + "/reload", "admin", {"x": None}, "x"),
        ("POST", API + "/try", "admin", {"from": "", "rcpt": "x@example.org", "message": "x"}, "rcpt"),
        ("POST", API + "/try", "admin", {"from": "", "rcpt": ["x@example.org", 5], "message": "x"}, "rcpt"),
        ("POST", API + "/try", "admin", {"from": 5, "rcpt": ["x@example.org"], "message": "x"}, "from"),
        ("POST", API + "/try", "admin", {"from": "", "rcpt": ["x@example.org"], "message": 5}, "message"),
        ("GET", API + "/events?limit=x", "reader", None, "limit"), ("GET", API + "/rates?hours=337", "reader", None, "hours"),
        ("GET", ALICE + "/hours?days=15", "reader", None, "days"), ("GET", API + "/rates?host=a&host=b", "reader", None, "host"),
        ("GET", API + "/report?day=1", "reader", None, "day"), ("GET", API + "/suggestion?days=1e1", "reader", None, "days")):
    code, answer, _ = ask(method, url, who, body)
    ok(code == 400 and answer["field"] == field and field in answer["detail"],
       f"a value of a wrong type is refused by its name: {method} {url[len(API):]} {json.dumps(body)}", (code, answer))
code, answer, _ = ask("PUT", ALICE + "/block", "operator", raw=b'{"reason":"a","reason":"b"}', Content_Type="application/json")
ok(code == 400 and '"reason"' in answer["detail"], "so is one that comes twice", answer)
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
for url in (BOB + "/limits", BOB + "/history", BOB + "/hours", BOB + "/plan", API + "/rates", API + "/status", API + "/events",
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
unknown = [ask("GET", API + "/status", "no-such-name.wrong")[:2] for _ in range(12)]
ok([code for code, _ in unknown] == [401] * 10 + [429] * 2 and
   unknown == [ask("GET", API + "/status", "late.wrong")[:2] for _ in range(12)],
   "a name that does not exist is answered as one that does", unknown)
ok(status("GET", API + "/status", "late") == 429, "an owner who was not there before waits at the place of the guesses")
ok(status("GET", API + "/status", "late", X_Forwarded_For="192.0.2.9, 192.0.2.10") == 200, "but gets in from another")
for _ in range(12):
    status("GET", API + "/status", "late.wrong", unix=False)
ok(status("GET", API + "/status", "late", unix=False) == 429, "so over TCP")
ok(status("GET", API + "/status", "late", unix=False, source=("127.0.0.2", 0)) == 200, "by the address of the client")

# --- the console: its files, and sessions
code, text, fields = ask("GET", "/")
ok(code == 200 and fields["Content-Type"] == "text/html; charset=utf-8" and "<main" in text, "the console is at /", fields)
policy = fields["Content-Security-Policy"]
ok(policy.startswith("default-src 'self';") and "unsafe" not in policy and "frame-ancestors 'none'" in policy,
   "with a strict policy", policy)
ok(not re.search(r"<(script|style)[^>]*>[^<]|\son\w+=|style=|https?://(?!www.w3.org)", text), "nothing in it is inline or from outside", text)
for name, kind in (("main.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")):
    code, text, fields = ask("GET", "/" + name)
    ok(code == 200 and fields["Content-Type"].startswith(kind) and text, name + " has its type", fields)
for url in ("/../web-tokens", "/%2e%2e/web-tokens", "/..%2fweb-tokens", "//etc/passwd", "/console/main.js",
            "/./main.js", "/README", "/%ff"):
    ok(status("GET", url) == 404, "no file by " + url)
ok(status("POST", "/", raw=b"x") == 405, "nothing is posted to it")


def log_in(who, body=None, **fields):
    code, answer, fields = ask("POST", "/session", body={"token": TOKENS[who]} if body is None else body, **fields)
    return code, answer, fields.get("Set-Cookie", "")


code, who, cookie = log_in("operator", Host="mail.example.org")
ok(code == 200 and who["name"] == "operator" and who["role"] == "operator" and who["domains"] == [] and len(who["csrf"]) == 64,
   "logging in", who)
ok(cookie.startswith("__Host-countersign=") and all(word in cookie.split("; ") for word in
   ("Path=/", "HttpOnly", "SameSite=Strict", "Secure")) and "Domain" not in cookie, "the cookie is for this host, TLS and HTTP alone", cookie)
ok(TOKENS["operator"] not in cookie and who["csrf"] not in cookie, "and holds neither the token nor the proof")
named = {"Cookie": cookie.split(";")[0], "Host": "mail.example.org"}
ok(status("GET", API + "/status", **named) == 200, "the session may read")
ok(status("GET", "/session", **named) == 200, "and says who it is")
ok(status("PUT", ALICE + "/block", body={}, **named) == 403, "a change needs more than the cookie")
ok(status("PUT", ALICE + "/block", body={}, X_CSRF_Token="0" * 64, **named) == 403, "no other proof")
ok(status("PUT", ALICE + "/block", body={}, X_Requested_With="x", **named) == 403, "nor the proof of a proxy")
code, other, _ = log_in("operator", Host="mail.example.org")
ok(other["csrf"] != who["csrf"] and status("PUT", ALICE + "/block", body={}, X_CSRF_Token=other["csrf"], **named) == 403,
   "nor that of another session")
ok(status("DELETE", "/session", **named) == 403, "nor does a page of others log out")
ok(status("PUT", ALICE + "/block", body={"reason": "by session"}, X_CSRF_Token=who["csrf"], **named) == 200, "with the proof it blocks")
ok("by session" in json.dumps(ask("GET", API + "/blocks", "reader")[1]), "which is seen")
ok(status("DELETE", ALICE + "/block", body={"reason": "it was a test"}, X_CSRF_Token=who["csrf"], **named) == 200, "and unblocks")
ok(re.search(r": unblocked by operator \(by .*\): it was a test", open(log).read()), "with a reason in the log")
ok(status("POST", API + "/reload", X_CSRF_Token=who["csrf"], **named) == 403, "its role is that of the token")
ok(status("GET", API + "/status", Cookie=cookie.split(";")[0].replace("__Host-", ""), Host="mail.example.org") == 401,
   "a cookie that another host could set is not looked at")
ok(status("DELETE", "/session", X_CSRF_Token=who["csrf"], **named) == 200 and status("GET", API + "/status", **named) == 401,
   "after logging out the cookie is worth nothing")
code, who, cookie = log_in("customer", unix=False)
ok(cookie.startswith("countersign=") and "Secure" not in cookie and "SameSite=Strict" in cookie, "on loopback there is no TLS", cookie)
ok(who["domains"] == ["example.org"] and status("GET", BOB + "/limits", unix=False, Cookie=cookie.split(";")[0]) == 404 and
   status("GET", ALICE + "/limits", unix=False, Cookie=cookie.split(";")[0]) == 200, "a customer's session sees its own alone", who)
for host in ("127.0.0.1.example.org", "127.example.org:80", "[::1].example.org", "localhost.example.org"):
    ok(log_in("operator", Host=host)[2].startswith("__Host-"), "TLS alone on " + host)
for host in ("127.0.0.1:8890", "127.0.0.2", "[::1]:80", "LocalHost:1"):
    ok(log_in("operator", Host=host)[2].startswith("countersign="), "on " + host + " there is none")
code, who, cookie = log_in("operator", Host="localhost")
ok(status("GET", API + "/status", Host="localhost", Cookie=cookie.split(";")[0], X_Forwarded_User="") == 200,
   "an empty name of a proxy leaves the session")
ok(log_in("operator", Host="localhost", X_Forwarded_Proto="https")[2].startswith("__Host-"), "by a proxy with TLS there is")
for body, why in (({"token": "operator." + "0" * 48}, "a wrong secret"), ({"token": "nobody.x"}, "a name that does not exist"),
                  ({"token": 5}, "a number"), ({}, "nothing"), ({"token": "carl."}, "a name of the proxy")):
    code, answer, cookie = log_in("operator", body)
    ok(code in (400, 401) and cookie == "", "no session by " + why, (code, answer))
ok(status("POST", "/session", raw=json.dumps({"token": TOKENS["operator"]}).encode(), Content_Type="text/plain") == 400,
   "nor by what a form could send")
codes = [log_in("admin", {"token": "admin.wrong"})[0] for _ in range(12)]
ok(codes[-1] == 429, "logging in is limited", codes)
first = log_in("operator", unix=False)[2].split(";")[0]
for _ in range(40):
    log_in("operator", unix=False)
ok(status("GET", API + "/status", unix=False, Cookie=first) == 401, "a token has 16 sessions, the oldest ends")
ok(status("GET", API + "/status", unix=False, Cookie="countersign=" + "a" * 5000) == 401, "a long cookie is none")

code, who, fields = ask("GET", "/session", X_Forwarded_User="carl")
ok(code == 200 and who["name"] == "carl" and not who["session"], "one that a proxy vouches for needs no session", who)
ok(status("PUT", ALICE + "/block", body={}, X_Forwarded_User="carl", X_Requested_With="console") == 200 and
   status("DELETE", ALICE + "/block", X_Forwarded_User="carl", X_Requested_With="console") == 200, "and changes what it may")

# --- the doctor
before = ask("GET", API + "/doctor", "reader")[1]
ok(status("POST", API + "/doctor", "reader") == 403, "a reader does not start the doctor")
ok(status("GET", API + "/doctor", "customer") == 404, "for a customer there is none")
ok(status("POST", API + "/doctor", "operator") == 200, "an operator does")
for _ in range(400):
    found = ask("GET", API + "/doctor", "reader")[1]
    if found["at"] != before["at"]:
        break
    time.sleep(0.05)
ok(found["at"] > before["at"] and all(set(one) == {"level", "id", "where", "what", "cure"} for one in found["findings"]),
   "and the findings come", found)
ok(any(one["id"] == "spf.missing" and one["where"] == "example.net" and one["cure"] for one in found["findings"]),
   "with what to do", found)

code, answer, _ = ask("GET", API + "/domains", "reader")
ok(answer["keys"] == [{"domain": "example.org", "selector": "lab"}] and answer["n_keys"] == 1, "keys by domain", answer)
ok(status("GET", API + "/domains", "customer") == 404, "not for a customer")

# --- searching
code, answer, _ = ask("GET", API + "/report?match=LIC", "reader")
ok([line["name"] for line in answer["accounts"]] == ["alice@example.org"], "accounts are found by a part of their name", answer)
code, answer, _ = ask("GET", API + "/report?match=b", "customer")
ok(answer["accounts"] == [], "not those of other domains", answer)

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
