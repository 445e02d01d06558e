"""smtp_load.py PORT LOGIN PASSWORD MESSAGES FILE - log in and send so many messages, some at once

Writes a line to FILE for each message as soon as it is answered: "ok" or what was refused. Goes on
after MESSAGES until FILE.stop exists.
"""
import os
import smtplib
import ssl
import sys
import threading

CLIENTS = 6
PORT, LOGIN, PASSWORD, MESSAGES, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
TEXT = "From: %s\r\nTo: joe@elsewhere.example\r\nSubject: load\r\n\r\nText\r\n" % LOGIN
lock = threading.Lock()
sent = 0
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def note(line):
    global sent
    with lock, open(FILE, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")
        sent += 1


def session():
    client = smtplib.SMTP("127.0.0.1", PORT, local_hostname="client.example", timeout=120)
    client.starttls(context=context)
    client.login(LOGIN, PASSWORD)
    for _ in range(2):
        client.sendmail(LOGIN, ["joe@elsewhere.example"], TEXT)
        note("ok")
    client.quit()


def run():
    while sent < MESSAGES or not os.path.exists(FILE + ".stop"):
        try:
            session()
        except (OSError, smtplib.SMTPException) as error:
            note("refused: " + repr(error).replace("\n", " "))


threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
