"""console_browser.py - the console in chromium, of which console.test has made the laboratory

usage: console_browser.py PORT SUBMISSION-PORT PASSWORD DIRECTORY HOSTILE-LOGIN SECOND
DIRECTORY has the file tokens, with lines NAME TOKEN. SECOND is the host of a second filter, or
empty; bob has been refused by both, and has sent a message through it five days ago. Writes TAP.
"""
import json
import os
import re
import smtplib
import ssl
import sys
import time
import urllib.parse

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PORT, SUBMISSION, PASSWORD, DIRECTORY, HOSTILE, SECOND = sys.argv[1:7]
URL = f"http://127.0.0.1:{PORT}/"
TOKENS = dict(line.split() for line in open(DIRECTORY + "/tokens"))
SHOTS = os.environ.get("COUNTERSIGN_SCREENSHOTS")
AXE = os.environ.get("COUNTERSIGN_AXE")
LOOK = open(os.path.dirname(os.path.abspath(__file__)) + "/console_look.js").read()
ALICE, BOB = "alice@example.org", "bob@example.net"
PAGES = ("now", "account", "account/alice%40example.org", "day", "events", "domains", "check")
count = 0


def ok(good, sentence, seen=None):
    global count
    count += 1
    print(("ok" if good else "not ok") + f" {count} - {sentence}", flush=True)
    if not good and seen is not None:
        print("# " + repr(seen)[:1500])


def send(login, sender, recipients, text):
    """The reply to a message."""
    context = ssl._create_unverified_context()
    try:
        with smtplib.SMTP("127.0.0.1", int(SUBMISSION), local_hostname="client.example", timeout=120) as client:
            client.starttls(context=context)
            client.login(login, PASSWORD)
            client.sendmail(sender, recipients, text)
        return "250"
    except smtplib.SMTPRecipientsRefused as error:
        return str(list(error.recipients.values())[0])
    except smtplib.SMTPResponseException as error:
        return f"{error.smtp_code} {error.smtp_error}"


def message(sender, subject="hello"):
    return f"From: {sender}\r\nTo: joe@elsewhere.example\r\nSubject: {subject}\r\n\r\nText\r\n"


class Browser:
    def __init__(self, language="en"):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--disable-background-networking", "--no-first-run", f"--lang={language}"):
            options.add_argument(word)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(60)
        self.size(1200)

    def size(self, width, height=900):
        self.width = width
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})

    def dark(self, on=True):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]})

    def js(self, code, *values):
        return self.driver.execute_script(code, *values)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector="main"):
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until(self, condition, seconds=40):
        end = time.monotonic() + seconds
        while True:
            try:
                value = condition()
            except WebDriverException:
                value = None
            if value or time.monotonic() > end:
                return value
            time.sleep(0.05)

    def sees(self, *texts, selector="main"):
        return self.until(lambda: all(text in self.text(selector) for text in texts))

    def ready(self):
        """Wait until nothing is loading and each chart is drawn."""
        return self.until(lambda: self.js("""return document.querySelector("h1") !== null &&
            document.querySelector("main [aria-busy]") === null &&
            [...document.querySelectorAll(".drawing")].every((one) => one.firstChild !== null)"""))

    def go(self, page, fresh=False):
        if fresh:
            self.driver.get("about:blank")
        self.driver.get(f"{URL}#/{page}")
        self.until(lambda: self.js("return document.querySelector('h1') !== null"))
        return self.ready()

    def shows(self, page, *texts, seconds=60):
        """Go there until all texts are there: the journal writes a moment after a message."""
        end = time.monotonic() + seconds
        while True:
            self.go(page, fresh=True)
            if all(text in self.text() for text in texts):
                return True
            if time.monotonic() > end:
                return False

    def log_in(self, who):
        self.driver.get(URL)
        self.driver.delete_all_cookies()
        self.driver.get("about:blank")
        self.driver.get(URL)
        self.until(lambda: self.find("input[type=password]"))
        self.find("input[type=password]").send_keys(TOKENS.get(who, who))
        self.find("form button").click()

    def press(self, text, selector="button"):
        """Click the button or link with this text."""
        self.until(lambda: self.js("""const one = [...document.querySelectorAll(arguments[0])].find((one) =>
            one.innerText.trim() === arguments[1]); one?.click(); return Boolean(one)""", selector, text))

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.js("return document.activeElement.innerText || document.activeElement.tagName")

    def tab_to(self, text, most=60):
        """Press Tab until what has the focus has this text."""
        for _ in range(most):
            if self.focused().strip() == text:
                return True
            self.keys(Keys.TAB)
        return False

    def faults(self):
        """What is wrong with the page for those who cannot see it, or see it badly."""
        found = self.js(LOOK)
        if AXE:
            self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": open(AXE).read()})
            found += self.driver.execute_async_script("""const done = arguments[arguments.length - 1];
                axe.run().then((result) => done(result.violations.map((one) => "axe: " + one.id + " (" + one.impact + ") " +
                one.nodes.map((node) => node.html.slice(0, 120)).join(" "))), (error) => done([String(error)]))""")
        return found

    def shot(self, name):
        if not SHOTS:
            return
        high = min(1600, self.js("return document.documentElement.scrollHeight"))
        width = self.width
        self.size(width, high)
        self.ready()
        self.driver.save_screenshot(f"{SHOTS}/{name}.png")
        self.size(width)

    def complaints(self):
        """What the browser logged: errors of scripts, and what the policy kept from loading."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE" and "the server responded with a status of" not in entry["message"]]


def texts():
    """Both languages have each text, and each reason and event has words."""
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.path.dirname(os.path.dirname(here))

    def keys(name):
        return re.findall(r'^\t"([^"]+)":', open(f"{top}/contrib/console/{name}").read(), re.M)
    english, french = keys("texts-en.js"), keys("texts-fr.js")
    ok(english == french and len(set(english)) == len(english), "each text is in English and in French",
       set(english) ^ set(french))
    words = re.findall(r'^\t\[REASON_\w+\] = \{ "([a-z-]{2,})"', open(f"{top}/policy/verdict/reasons.c").read(), re.M)
    left = [word for word in words if "reason." + word not in english]
    ok(len(words) > 40 and left == [], "each reason has words", left)
    words = re.findall(r'^\t\[EVENT_\w+\] = \{ "([a-z-]+)"', open(f"{top}/filter/journal/event.c").read(), re.M)
    left = [word for word in words if "event." + word not in english]
    ok(len(words) > 15 and left == [], "each event has words", left)
    sources = "".join(open(f"{top}/contrib/console/{name}").read() for name in os.listdir(f"{top}/contrib/console")
                      if name.endswith(".js"))
    unsafe = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\.style\b|https?://(?!www\.w3\.org)", sources)
    ok(unsafe == [], "nothing in the console makes HTML of text, or comes from outside", unsafe)


def mail():
    replies = [send(ALICE, ALICE, ["joe@elsewhere.example"], message(ALICE, f"number {i}")) for i in range(6)]
    replies += [send(BOB, BOB, ["joe@elsewhere.example", "ann@elsewhere.example"], message(BOB)) for _ in range(2)]
    ok(set(replies) == {"250"}, "mail of two domains is accepted", replies)
    ok(send(ALICE, BOB, ["joe@elsewhere.example"], message(ALICE)).startswith("553"), "a foreign envelope sender is refused")
    ok(send(ALICE, ALICE, ["joe@elsewhere.example"], message(BOB)).startswith("550"), "a foreign From, too")
    send(ALICE, '"<img src=x onerror=alert(1)>"@example.net', ["joe@elsewhere.example"], message(ALICE))
    reply = send(HOSTILE, ALICE, ["joe@elsewhere.example"], message(ALICE))
    ok(reply.startswith("55"), "a login that looks like HTML sends as another", reply)


def logging_in(browser):
    browser.driver.get(URL)
    browser.until(lambda: browser.find("input[type=password]"))
    browser.shot("login")
    ok(browser.faults() == [], "the log-in page has no fault", browser.faults())
    browser.log_in("operator." + "0" * 48)
    ok(browser.sees("This token is not known"), "a wrong token is not known", browser.text())
    browser.log_in("admin")
    ok(browser.sees("Now", "State", "running"), "a right one leads to the page Now", browser.text())
    cookies = browser.driver.get_cookies()
    ok(len(cookies) == 1 and cookies[0]["httpOnly"] and cookies[0]["sameSite"] == "Strict" and browser.js("return document.cookie") == "",
       "scripts cannot read the cookie", cookies)
    ok(browser.js("return Object.keys(localStorage).concat(Object.keys(sessionStorage)).length") == 0, "nothing is kept besides")


def now(browser):
    browser.shows("day", "8 messages")
    browser.go("now", fresh=True)
    ok(browser.sees("redis, available", "none is withheld", "Redis, available", "Accepted: 8"), "Now shows the state", browser.text())
    ok(browser.until(lambda: browser.js("return document.querySelectorAll('.chart svg rect.bar').length") >= 2), "and a chart")
    label = browser.find(".chart svg").get_attribute("aria-label")
    ok("Accepted 8" in label and "Rejected" in label, "which says in words what it shows", label)
    browser.find(".chart summary").click()
    ok(browser.until(lambda: browser.js("return document.querySelectorAll('.chart table tbody tr').length") >= 1), "and as a table")
    ok("By outcome" in browser.text() and "Refused, by reason" in browser.text() and
       "the envelope sender belongs to someone else" in browser.text(".chart:nth-of-type(2)"), "and reasons", browser.text())
    ok("Each bar is 1 minute" in browser.text(), "by minute", browser.text())
    for period, what, accepted in (("24 hours", "10 minutes", 8), ("14 days", "1 hour", 9 if SECOND else 8)):
        browser.press(period, ".choose label")
        ok(browser.sees(f"Each bar is {what}.", f"Accepted {accepted}", "the From address is of another domain"), period + ", too", browser.text())
        ok(browser.sees(f"Accepted {accepted}", selector="#live"), "a screen reader hears it", browser.text("#live"))
        browser.ready()
    marks = browser.js("return [...document.querySelectorAll('.chart:first-of-type .axis')].map((one) => one.textContent).filter((one) => /[a-z]/i.test(one))")
    ok(len(marks) == 14 and len(set(marks)) == 14, "two weeks have a mark for each day", marks)
    asked = browser.js("return performance.getEntriesByType('resource').map((one) => one.name).filter((one) => /report/.test(one))")
    ok(asked == [], "no report of a day is asked for", asked)
    browser.size(360)
    ok(browser.sees("Each bar is 3 hours."), "on a telephone with wider bars", browser.text())
    browser.size(1200)


def account(browser):
    browser.go("account")
    field = browser.find("input[type=search]")
    field.send_keys("lic")
    ok(browser.sees("1 account found") and browser.text(".results").strip() == ALICE, "a part of a name finds the account",
       browser.text())
    ok(browser.sees("1 account found", selector="#live"), "a screen reader hears it")
    browser.press(ALICE, ".results a")
    ok(browser.sees("Plan person", "Not blocked", "20 recipients per hour", "6 of 20 used (30%)", "more room in"), "its limits are shown",
       browser.text())
    meter = browser.find("[role=meter]")
    ok(meter.get_attribute("aria-valuenow") == "30" and "more room" in meter.get_attribute("aria-valuetext"), "as bars with words")
    ok(browser.shows("account/alice%40example.org", "rejected: the envelope sender belongs to someone else", "553 5.7.1 the envelope sender <bob@example.net>",
                    "rejected: the From address is of another domain", "accepted"), "and the last decisions in plain words with the reply",
       browser.text())
    titles = browser.js("return [...document.querySelectorAll('.chart figcaption')].map((one) => one.firstChild.textContent)")
    ok(len(titles) == 2 and "by hour" in titles[0] and "by day" in titles[1] and "In 14 days: 6 messages to 6 recipients, 3 refused." in browser.text(),
       "and plots by hour and day", (titles, browser.text()))
    sums = [[sum(int(row[i]) for row in rows) for i in (1, 2)] for rows in tables(browser)]
    ok(sums == [[6, 3], [6, 3]], "which are tables, too", tables(browser))
    asked = browser.js("return performance.getEntriesByType('resource').map((one) => one.name).filter((one) => /report\\?day/.test(one))")
    ok(asked == [], "without a report of each day", asked)
    for zone in ("Pacific/Kiritimati", "Asia/Kolkata"):
        browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
        browser.go("account/alice%40example.org", fresh=True)
        seen = tables(browser)
        want = browser.js("""const at = Math.floor(Date.now() / 3600000) * 3600000, when = { day: "numeric", month: "short", timeZone: arguments[0] };
            return [new Intl.DateTimeFormat("en", { ...when, hour: "2-digit", minute: "2-digit" }), new Intl.DateTimeFormat("en", when)].map((one) =>
            [one.format(at), one.format(at - 3600000)])""", zone)
        ok(all(table[0][0] in near for table, near in zip(seen, want)), "in the time zone of the reader: " + zone, (seen, want))
    browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def tables(browser):
    """The rows of the table below each plot."""
    return browser.js("""return [...document.querySelectorAll(".chart tbody")].map((one) =>
        [...one.rows].map((row) => [...row.cells].map((cell) => cell.textContent)))""")


def two_filters(browser):
    """They appear as one, and can be told apart."""
    first = os.uname().nodename
    ok(browser.shows("account/bob%40example.net", "Host: " + first, "Host: " + SECOND), "decisions of two filters are in one list, each with its host", browser.text())
    browser.press(SECOND, "label")
    ok(browser.until(lambda: "Host: " + SECOND in browser.text() and "Host: " + first not in browser.text()), "and each can be shown alone",
       browser.text())
    ok(browser.shows("events", first, SECOND), "so can events", browser.text())
    browser.js("""const label = [...document.querySelectorAll("label")].find((one) => one.innerText === "Host");
        const select = document.getElementById(label.htmlFor); select.value = arguments[0];
        select.dispatchEvent(new Event("change"))""", SECOND)
    ok(browser.until(lambda: len(browser.text("main tbody")) > 0 and first + "\n" not in browser.text("main tbody")), "by the host",
       browser.text())
    browser.go("now")
    ok(browser.sees("running on " + first), "the page Now says whose state it is", browser.text())
    browser.press("14 days", ".choose label")
    ok(browser.sees("These are the sums of 2 hosts.", "Accepted 9"), "its plots are those of both", browser.text())
    both = tables(browser)[0]
    ok(len(both) >= 2 and both[-1][1] == "1", "with the mail of five days ago", both)
    for host, accepted in ((SECOND, 1), (first, 8), ("", 9)):
        browser.js("""const label = [...document.querySelectorAll("label")].find((one) => one.innerText === "Host");
            const select = document.getElementById(label.htmlFor); select.value = arguments[0];
            select.dispatchEvent(new Event("change"))""", host)
        ok(browser.sees(f"Accepted {accepted}") and ("sums of" in browser.text()) == (host == ""), f"or of one: {host or 'both'}", browser.text())
    browser.go("account/bob%40example.net", fresh=True)
    rows = tables(browser)
    ok("In 14 days: 3 messages to 5 recipients" in browser.text() and len(rows[0]) >= 2 and len(rows[1]) == 2 and rows[0][-1][1] == "1",
       "an account has its mail of five days ago, too", (rows, browser.text()))


def hostile(browser):
    ok("<img src=x onerror=alert(1)>" in browser.text(), "a hostile address is text", browser.text())
    ok(browser.js("return document.querySelectorAll('main img, main script').length") == 0, "and nothing else")
    browser.go("account/" + urllib.parse.quote(HOSTILE, safe=""))
    ok(browser.sees(HOSTILE.split("@")[0]) or "problem" in browser.text(), "a hostile account is text", browser.text())
    browser.go("account/%E0%A4%A")
    ok(browser.until(lambda: browser.js("return document.querySelector('h1') !== null")), "a broken address breaks nothing")
    browser.go("account/" + urllib.parse.quote("<script>alert(1)</script>", safe=""))
    ok(browser.js("return document.querySelectorAll('main img, main script').length") == 0, "nor does one with a script")
    browser.go("no/such/page")
    ok(browser.sees("There is no such page"), "a page that does not exist is said to be so")


def blocking(browser):
    """By the keyboard alone, as an operator."""
    browser.log_in("operator")
    browser.sees("State")
    browser.go("account/alice%40example.org", fresh=True)
    browser.keys(Keys.TAB)
    ok(browser.focused() == "Skip to the content", "the first Tab is at the link to the content", browser.focused())
    browser.keys(Keys.ENTER)
    ok(browser.js("return location.hash.startsWith('#/account')"), "which does not leave the page")
    ok(browser.tab_to("Block"), "Tab leads to the button", browser.focused())
    browser.keys(Keys.ENTER)
    ok(browser.until(lambda: browser.js("return document.querySelector('dialog')?.open")) and "Block alice@example.org?" in browser.text("dialog"),
       "it asks", browser.text("body"))
    ok(browser.faults() == [], "the question has no fault", browser.faults())
    browser.keys(Keys.ESCAPE)
    ok(browser.until(lambda: not browser.js("return document.querySelector('dialog')")) and browser.focused() == "Block",
       "Escape closes it, and the focus is back", browser.focused())
    browser.keys(Keys.ENTER)
    browser.until(lambda: browser.js("return document.querySelector('dialog')?.open"))
    browser.keys(Keys.TAB, "<b>stolen?</b>", Keys.TAB, Keys.TAB, Keys.ENTER)
    ok(browser.sees("Blocked since", "by operator", "<b>stolen?</b>"), "the account is blocked", browser.text())
    ok(browser.sees("alice@example.org is blocked.", selector="#live"), "a screen reader hears it")
    reply = send(ALICE, ALICE, ["joe@elsewhere.example"], message(ALICE))
    ok(reply.startswith("55") and "blocked" in reply, "its next message is refused", reply)

    ok(browser.shows("account/alice%40example.org", "rejected: the account is blocked"), "which is shown", browser.text())
    browser.shot("account-blocked")


def changing(browser):
    browser.press("Unblock")
    browser.until(lambda: browser.find("dialog button[type=submit]"))
    browser.find("dialog button[type=submit]").click()
    ok(browser.sees("Not blocked"), "it is unblocked", browser.text())
    ok(send(ALICE, ALICE, ["joe@elsewhere.example"], message(ALICE)) == "250", "and its next message is accepted")
    browser.press("Change a limit")
    browser.until(lambda: browser.find("dialog input"))
    browser.find("dialog input").clear()
    browser.find("dialog input").send_keys("nonsense")
    browser.find("dialog button[type=submit]").click()
    ok(browser.until(lambda: browser.text("dialog [role=alert]")), "a limit that is none is refused with the reason")
    browser.find("dialog input").clear()
    browser.find("dialog input").send_keys("50 recipients per hour")
    browser.find("dialog button[type=submit]").click()
    ok(browser.sees("of 50 used", "raised for another"), "a limit is raised", browser.text())
    browser.press("Restore the plan")
    browser.until(lambda: browser.find("dialog button[type=submit]"))
    browser.find("dialog button[type=submit]").click()
    ok(browser.sees("of 20 used"), "and restored", browser.text())
    browser.press("Reset")
    browser.until(lambda: browser.find("dialog button[type=submit]"))
    browser.find("dialog button[type=submit]").click()
    ok(browser.sees("nothing used"), "its counters are emptied", browser.text())


def day(browser):
    ok(browser.shows("day", "9 messages to 11 recipients", ALICE, BOB), "Day shows accounts", browser.text())
    order = lambda: browser.js("return [...document.querySelectorAll('main tbody th')].map((one) => one.innerText)")
    ok(order()[0] == ALICE and browser.find("[aria-sort]").get_attribute("aria-sort") == "descending", "those that send most first", order())
    browser.press("Account", "th button")
    first = order()[0]
    browser.press("Account", "th button")
    ok(order()[0] != first and browser.find("[aria-sort]").text.startswith("Account"), "they can be sorted", order())
    browser.js("""const label = [...document.querySelectorAll("label")].find((one) => one.innerText === "Refused for");
        const select = document.getElementById(label.htmlFor); select.value = "blocked";
        select.dispatchEvent(new Event("change"))""")
    ok(browser.until(lambda: order() == [ALICE]), "by reason, too", order())
    browser.press("Domains", "label")
    ok(browser.until(lambda: order() == ["example.org"]), "and by domain", order())


def rest(browser):
    ok(browser.shows("events", "blocked", ALICE, "<b>stolen?</b>"), "Events shows the block", browser.text())
    browser.go("check")
    browser.press("Check again")
    ok(browser.until(lambda: "spf.missing" in browser.text() and "Looked at" in browser.text(), 60), "Check shows findings",
       browser.text())
    ok("example.net. IN TXT" in browser.text(), "with what to do", browser.text())
    fields = {"Login": ALICE, "Envelope sender": ALICE, "Envelope recipients": "joe@elsewhere.example", "Listener": "users",
              "The message, with its header": message(BOB).replace("\r\n", "\n")}
    for label, value in fields.items():
        browser.js("""const label = [...document.querySelectorAll("label")].find((one) => one.innerText === arguments[0]);
            document.getElementById(label.htmlFor).value = arguments[1]""", label, value)
    browser.press("Try")
    ok(browser.sees("rejected: the From address is of another domain", "550 5.7.1", "Addresses that the message claims"),
       "a pasted message is tried", browser.text())
    browser.shot("try")
    ok(browser.shows("domains", "example.org", "lab", "example.net", "spf.missing", "dkim.no-key", "dmarc.missing", "no fault found"), "Domains shows what was found of each", browser.text())
    rows = browser.js("""return [...document.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.innerText))""")
    ok([row for row in rows if row[0] == "example.org" and row[-1] not in ("", "0")], "and how many messages were signed", rows)


def every_page(browser):
    """Faults, narrow, dark, French; each page."""
    for page in PAGES:
        name = "account-one" if "/" in page else page
        browser.size(1200)
        browser.go(page, fresh=True)
        ok(browser.faults() == [], f"{name}: no fault", browser.faults())
        browser.shot(name)
        browser.dark()
        ok(browser.faults() == [], f"{name}: nor in the dark", browser.faults())
        if page == "now":
            browser.shot("now-dark")
        browser.size(360)
        browser.ready()
        wide = browser.js("return document.documentElement.scrollWidth")
        ok(wide <= 360, f"{name}: 360 pixels are enough", wide)
        ok(browser.faults() == [], f"{name}: no fault there", browser.faults())
        browser.dark(False)
        if page == "account/alice%40example.org":
            browser.shot("account-one-narrow")
    browser.size(1200)


def languages(browser):
    browser.go("now")
    browser.js("""const select = document.querySelector("#who select"); select.value = "fr"; select.dispatchEvent(new Event("change"))""")
    ok(browser.sees("Maintenant", "en marche sur") and browser.js("return document.documentElement.lang") == "fr", "French by the switch")
    for page in PAGES:
        browser.go(page, fresh=True)
        text = browser.text("body")
        left = [word for word in ("Loading", "Nothing to show", "undefined", "[object", "NaN", "Not blocked", "Refused ", "Messages today")
                if word in text]
        ok(left == [], f"{page} is in French", (left, text))
        if page == "account/alice%40example.org":
            browser.shot("account-one-fr")
    browser.js("""const select = document.querySelector("#who select"); select.value = "en"; select.dispatchEvent(new Event("change"))""")
    ok(browser.sees("Accounts", selector="#nav"), "and English again")


def customer(browser):
    browser.press("Log out")
    ok(browser.until(lambda: browser.find("input[type=password]")), "logging out")
    browser.log_in("customer")
    ok(browser.sees("Login or address"), "a customer begins with its accounts", browser.text())
    ok(browser.text("#nav").split() == ["Accounts", "Day"], "and has these pages alone", browser.text("#nav"))
    ok(browser.sees(ALICE) and BOB not in browser.text(), "it sees its own accounts", browser.text())
    browser.find("input[type=search]").send_keys("bob")
    ok(browser.sees("No account of the last 14 days"), "finds no other", browser.text())
    browser.go("account/bob%40example.net", fresh=True)
    ok(browser.sees("There is no such thing") and "recipients per hour" not in browser.text(), "opens no other", browser.text())
    browser.go("day", fresh=True)
    ok(browser.sees(ALICE) and BOB not in browser.text() and "example.net" not in browser.text(), "nor sees one in its day", browser.text())
    browser.go("events", fresh=True)
    ok(browser.sees("There is no such page"), "other pages do not exist for it")
    codes = browser.driver.execute_async_script("""const done = arguments[arguments.length - 1];
        Promise.all(["status", "events", "doctor", "accounts/bob@example.net/limits", "accounts/bob@example.net/history", "accounts/bob@example.net/hours", "rates",
            "report?domain=example.net", "suggestion"].map((path) => fetch("api/v1/" + path).then((answer) => answer.status))).then(done)""")
    ok(set(codes) == {404}, "nor below them", codes)
    browser.go("account/alice%40example.org", fresh=True)
    ok(browser.sees("Not blocked") and browser.js("return document.querySelectorAll('.buttons button').length") >= 2,
       "it may change its own", browser.text())
    ok(browser.sees("In 14 days: 7 messages to 7 recipients, 4 refused."), "and sees what it sent by hour", browser.text())


def ending(browser):
    """A session that ends while a page is open."""
    browser.driver.delete_all_cookies()
    browser.go("day", fresh=True)
    ok(browser.until(lambda: browser.find("input[type=password]")), "without its cookie no one is logged in")
    browser.log_in("reader")
    browser.sees("State")
    browser.go("account/alice%40example.org")
    ok(browser.sees("may look, but not change") and browser.js("return document.querySelectorAll('.buttons button').length") == 0,
       "a reader is offered no change", browser.text())
    browser.driver.delete_all_cookies()
    browser.press("Day", "nav a")
    ok(browser.until(lambda: browser.find("input[type=password]") and "session is over" in browser.text()), "a session that ends leads to logging in",
       browser.text())


def french():
    """A browser whose reader prefers French."""
    browser = Browser("fr-CH,fr,en")
    try:
        browser.driver.get(URL)
        browser.until(lambda: browser.find("input[type=password]"))
        ok("Se connecter" in browser.text(), "French by the browser", browser.text())
        ok(browser.complaints() == [], "nothing was kept from loading", browser.complaints())
    finally:
        browser.driver.quit()


texts()
mail()
chromium = Browser()
try:
    for part in (logging_in, now, account, hostile) + ((two_filters,) if SECOND else ()) + (blocking, changing, day):
        part(chromium)
    chromium.log_in("admin")
    chromium.sees("State")
    for part in (rest, every_page, languages, customer, ending):
        part(chromium)
    ok(chromium.complaints() == [], "no script failed, and nothing was kept from loading", chromium.complaints())
finally:
    chromium.driver.quit()
french()
print(f"1..{count}")
