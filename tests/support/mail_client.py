"""mail_client.py - a mail program, and the reader at the other end

mail_client.py send HOST LOGIN FROM HEADER-FROM TO SUBJECT: one message with a login (no login if it
is "-"); prints the reply to it. mail_client.py signed FILE WORLD SELECTOR: does the one signature of
a message verify, with the key that WORLD, a configuration of unbound, has for the selector?
"""
import re
import smtplib
import ssl
import sys


def send(host, login, sender, author, to, subject):
    message = ("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@laptop.example.org>\r\n"
               "Date: Sun, 29 Nov 2026 02:00:00 +0000\r\n\r\nHello.\r\n" % (author, to, subject, subject))
    with smtplib.SMTP(host, 25 if login == "-" else 587, "laptop.example.org", timeout=120,
                      source_address=("192.0.2.7", 0)) as client:
        if login != "-":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.login(login, "secret-" + login)
        client.ehlo_or_helo_if_needed()
        for step in (lambda: client.mail(sender), lambda: client.rcpt(to), lambda: client.data(message)):
            code, text = step()
            if code >= 300:
                break
        print(code, text.decode())


def signed(path, world, selector):
    import dkim

    def text_of(name, timeout=5):
        with open(world, encoding="ascii") as file:
            for line in file:
                if "'" + name.decode() in line and " IN TXT " in line:
                    return "".join(re.findall(r'"([^"]*)"', line)).encode()
        return None
    with open(path, "rb") as file:
        message = file.read()
    mail = dkim.DKIM(message)
    fields = [value for name, value in mail.headers if name.lower() == b"dkim-signature"]
    tag = b"s=" + selector.encode() + b";"
    return len(fields) == 1 and tag in fields[0].replace(b" ", b"") and mail.verify(dnsfunc=text_of)


if sys.argv[1] == "send":
    send(*sys.argv[2:])
else:
    sys.exit(0 if signed(*sys.argv[2:]) else 1)
