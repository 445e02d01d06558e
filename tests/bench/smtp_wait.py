"""smtp_wait.py NAME PORT MESSAGES RATE - how long clients wait for the reply to the end of DATA

Sends MESSAGES of 4 KB to 127.0.0.1:PORT, RATE a second in all, one in each session, some sessions at
once. Prints one line of JSON: the percentiles of the time from the end of DATA to its reply, in us.
A message that is not taken ends the program with status 1.
"""
import json
import smtplib
import sys
import threading
import time

CLIENTS = 8
NAME, PORT, MESSAGES, RATE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
SENDER, RECIPIENT = "alice@example.org", "bob@sink.example"
LINE = "The quick brown fox jumps over the lazy dog, again and again.\r\n"
TEXT = "From: %s\r\nTo: %s\r\nSubject: bench\r\n\r\n%s.\r\n" % (
    SENDER, RECIPIENT, LINE * (4096 // len(LINE)))
waits, failures, lock = [], [], threading.Lock()


def must(answer, code):
    if answer[0] != code:
        raise smtplib.SMTPResponseException(*answer)


def send_one():
    """One session; how long the reply took."""
    client = smtplib.SMTP("127.0.0.1", PORT, local_hostname="client.example", timeout=60)
    must(client.ehlo(), 250)
    must(client.mail(SENDER), 250)
    must(client.rcpt(RECIPIENT), 250)
    must(client.docmd("DATA"), 354)
    client.sock.sendall(TEXT.encode())
    since = time.perf_counter()
    must(client.getreply(), 250)
    wait = time.perf_counter() - since
    client.quit()
    return wait


def run(first, begun):
    """Every CLIENTS-th message, at its time."""
    try:
        for i in range(first, MESSAGES, CLIENTS):
            time.sleep(max(0, begun + i / RATE - time.perf_counter()))
            wait = send_one()
            with lock:
                waits.append(wait * 1e6)
    except (OSError, smtplib.SMTPException) as error:
        failures.append("%s: %r" % (NAME, error))


def percentile(share):
    return sorted(waits)[min(len(waits) - 1, int(share * len(waits)))]


def main():
    begun = time.perf_counter()
    threads = [threading.Thread(target=run, args=(i, begun)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or not waits:
        sys.exit("\n".join(failures) or "no messages")
    print(json.dumps({"name": NAME, "messages": len(waits), "per_second_wanted": RATE,
                      "end_us": {"p50": percentile(0.5), "p99": percentile(0.99)}}))


main()
