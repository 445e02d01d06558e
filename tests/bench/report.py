#!/usr/bin/python3
"""report.py - the bench's table, its JSON and its picture: report.py RESULTS JSON [SVG]

RESULTS holds one JSON object a line, one for each run of the load generator; runs of one name
are rounds, and the median of each figure counts. The aims are computed here, from
figures of this run alone: each ratio is taken within a round, then the median of those.
"""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

LABELS = {
    "nothing-answering": "do-nothing filter, every command answered",
    "nothing-negotiated": "do-nothing filter, negotiated as countersign",
    "nothing-away": "do-nothing filter, all steps negotiated away",
    "bare-inet": "countersign, identity alone",
    "sign-inet": "countersign, identity and signature",
    "quota-inet": "countersign, identity and 3 windows in Redis",
    "embedded-inet": "countersign, whole, windows in the process",
    "submission-inet": "countersign, whole submission, TCP",
    "submission-unix": "countersign, whole submission, unix",
    "opendkim-sign-inet": "opendkim, signing, TCP",
    "opendkim-sign-unix": "opendkim, signing, unix",
    "rspamd-inet": "rspamd, signing and ratelimit, default rules",
    "rspamd-trimmed-inet": "rspamd, signing and ratelimit, nothing else",
    "inbound-unix": "countersign, inbound: SPF and DKIM, unix",
    "opendkim-verify-unix": "opendkim, verifying, key in a file, unix",
}


def read_results(path):
    """The rounds of each name, in the order of their first appearance."""
    rounds = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            result = json.loads(line)
            rounds.setdefault(result["name"], []).append(result)
    return rounds


def median_of(values):
    """The median, or for anything but numbers the first."""
    first = values[0]
    if isinstance(first, dict):
        return {key: median_of([value[key] for value in values]) for key in first}
    if isinstance(first, (int, float)):
        return statistics.median(values)
    return first


def medians(rounds):
    """One result for each name."""
    return {name: {key: median_of([result[key] for result in results if key in result])
                   for key in results[0]} for name, results in rounds.items()}


def each_round(rounds, name, key):
    """A figure of each round."""
    return [result[key] for result in rounds.get(name, [])]


def ratio(above, below):
    """The median of the rounds' ratios, or None where one side was not measured."""
    pairs = [a / b for a, b in zip(above, below) if b]
    return statistics.median(pairs) if pairs else None


def spread(values):
    """How much the largest exceeds the smallest, as a factor."""
    values = [value for value in values if value]
    return max(values) / min(values) if len(values) > 1 else None


def filter_cpu(rounds, name):
    return each_round(rounds, "filters/" + name, "cpu_us")


def series(middle, part):
    """[(number, median result)] of a part whose names end in a number."""
    found = [(int(name.split("/")[1]), result) for name, result in middle.items()
             if name.startswith(part + "/")]
    return sorted(found, key=lambda pair: pair[0])


def latency_aims(middle):
    """Percentiles at 8 clients."""
    for pace in ("busy", "paced"):
        for kind in ("inet", "unix"):
            result = middle.get("%s/submission-%s" % (pace, kind))
            if result is None:
                continue
            for key, most in (("p50", 1000), ("p99", 10000)):
                yield ("%s of a message, 8 clients %s, %s" % (
                    key, "without pause" if pace == "busy" else "at 500 a second",
                    "TCP" if kind == "inet" else "unix"), result["message_us"][key], "<", most, "us")


def memory_aims(middle):
    """What a large body and many connections take."""
    bodies = series(middle, "body")
    if len(bodies) > 1:
        yield ("memory that a body of %d MB adds" % (bodies[-1][0] // 1048576),
               (bodies[-1][1]["peak_kb"] - bodies[0][1]["peak_kb"]) / 1024, "<", 1.0, "MB")
    for part, how in (("idle", "quiet connections"), ("crowd", "busy connections")):
        for number, result in series(middle, part):
            yield ("resident memory, %d %s" % (number, how), result["peak_kb"] / 1024, "<", 30.0, "MB")


def limit_aims(rounds):
    """What limits cost, by themselves."""
    for name, what, comparison, bound, unit in (
            ("embedded/charges-a-core", "charges in the process, on one core", ">=", 1e6, "per second"),
            ("embedded/memory-of-an-account", "memory of an account in the process, 3 windows", "<", 1024, "octets"),
            ("redis/memory-of-an-account", "memory of an account in Redis, 3 windows", "<", 1024, "octets"),
            ("redis/memory-all-buckets-1000-each", "the same, 1000 in each bucket", "<", 1024, "octets")):
        values = each_round(rounds, "rows/quota/" + name, "value")
        if values:
            yield (what, statistics.median(values), comparison, bound, unit)


def dmarc_aims(rounds):
    """What DMARC adds to SPF and DKIM: the dearest of the messages that dmarc_bench makes."""
    for key, what, comparison, bound, unit in (
            ("cpu", "CPU of DMARC with all answers cached", "<", 15.0, "us"),
            ("cold", "DNS round trips of DMARC with none", "<", 1.5, "round trips")):
        values = [statistics.median(each_round(rounds, name, "value")) for name in rounds
                  if name.startswith("rows/dmarc/") and name.endswith("/" + key)]
        if values:
            yield (what, max(values), comparison, bound, unit)


def aims(rounds, middle):
    """(what, figure or None, comparison, bound, unit) of each aim."""
    ours = filter_cpu(rounds, "submission-inet")
    for name, what, bound in (
            ("nothing-away", "a do-nothing filter without any step", 1.15),
            ("nothing-negotiated", "one negotiated as countersign", 1.3)):
        floor = [a + b for a, b in zip(filter_cpu(rounds, name),
                                       each_round(rounds, "openssl", "rsa2048_sign_us"))]
        yield ("submission / (RSA signature + %s)" % what, ratio(ours, floor), "<=", bound, "x")
    for place in ("inet", "unix"):
        yield ("opendkim signing / submission, %s" % place,
               ratio(filter_cpu(rounds, "opendkim-sign-" + place),
                     filter_cpu(rounds, "submission-" + place)), ">=", 4.5, "x")
    yield ("rspamd / submission", ratio(filter_cpu(rounds, "rspamd-inet"), ours), ">=", 4.0, "x")
    yield ("inbound / opendkim verifying", ratio(filter_cpu(rounds, "inbound-unix"),
           filter_cpu(rounds, "opendkim-verify-unix")), "<", 0.5, "x")
    for kind in ("inet", "unix"):
        yield ("messages through Postfix, signing / no filter, %s" % kind,
               ratio(each_round(rounds, "postfix/relay-" + kind, "per_second"),
                     each_round(rounds, "postfix/none", "per_second")), ">=", 0.7, "x")
    yield from latency_aims(middle)
    for part, what in (("connections", "busy connections"), ("quiet", "quiet connections beside 8 busy ones"),
                       ("accounts", "accounts"), ("domains", "domains")):
        points = series(middle, part)
        if points:
            yield ("CPU, %s %s" % (" to ".join(str(points[i][0]) for i in (0, -1)), what),
                   spread([point[1]["cpu_us"] for point in points]), "<=", 1.25, "x between the ends")
    yield from memory_aims(middle)
    yield from limit_aims(rounds)
    yield from dmarc_aims(rounds)


def holds(figure, comparison, bound):
    return {"<": figure < bound, "<=": figure <= bound, ">=": figure >= bound}[comparison]


def print_filters(middle):
    """The comparison."""
    base = middle.get("filters/submission-inet", {}).get("cpu_us")
    print("\nCPU of the filter for each message (1 recipient, 18 header fields, 4 KB, 8 clients)\n")
    print("%-48s %9s %7s %8s %8s %8s" % ("", "CPU us", "ratio", "per s", "p50 us", "RSS MB"))
    for name, result in middle.items():
        if not name.startswith("filters/"):
            continue
        print("%-48s %9.0f %7s %8.0f %8.0f %8.1f" % (
            LABELS.get(name[8:], name[8:]), result["cpu_us"],
            "%.2f" % (result["cpu_us"] / base) if base else "-", result["per_second"],
            result["message_us"]["p50"], result["rss_kb"] / 1024))
    for key, label in (("rsa2048_sign", "OpenSSL: one RSA-2048 signature"),
                       ("rsa2048_verify", "OpenSSL: one RSA-2048 verification"),
                       ("ed25519_sign", "OpenSSL: one Ed25519 signature"),
                       ("ed25519_verify", "OpenSSL: one Ed25519 verification")):
        if "openssl" in middle:
            cost = middle["openssl"][key + "_us"]
            print("%-48s %9.0f %7s" % (label, cost, "%.2f" % (cost / base) if base else "-"))


def print_series(middle):
    """What depends on a number."""
    for part, unit in (("connections", "busy connections"), ("floor", "the same, do-nothing filter"),
                       ("quiet", "quiet connections beside 8 busy ones"), ("accounts", "accounts"), ("domains", "domains"),
                       ("body", "octets of body"), ("idle", "quiet connections besides"),
                       ("crowd", "busy connections")):
        points = series(middle, part)
        if not points:
            continue
        print("\n%-10s %9s %9s %9s %9s %9s   (%s)" % ("", "CPU us", "p50 us", "p99 us", "RSS MB", "peak MB", unit))
        for number, result in points:
            print("%10d %9.0f %9.0f %9.0f %9.1f %9.1f" % (
                number, result["cpu_us"], result["message_us"]["p50"], result["message_us"]["p99"],
                result["rss_kb"] / 1024, result["peak_kb"] / 1024))


def print_latency(middle):
    """8 clients."""
    names = [name for name in middle if name.startswith(("busy/", "paced/"))]
    if names:
        print("\n%-34s %8s %8s %8s %8s %8s %8s" % ("latency, 8 clients, us", "p50", "p90", "p99", "p99.9", "max", "per s"))
    for name in names:
        result = middle[name]
        print("%-34s %8.0f %8.0f %8.0f %8.0f %8.0f %8.0f" % (
            (name,) + tuple(result["message_us"][key] for key in ("p50", "p90", "p99", "p999", "max")) +
            (result["per_second"],)))


def print_growth(middle):
    """What all filters share."""
    names = [name for name in middle if name.startswith("growth/") and "redis_us" in middle[name] and
             name != "growth/model"]
    if names:
        print("\n%-26s %9s %9s %9s %9s %10s %10s" % (
            "growth", "per s", "Redis us", "CPU us", "p50 us", "node most", "filter least"))
    for name in names:
        result = middle[name]
        print("%-26s %9.0f %9.1f %9.0f %9.0f %10.2f %10.2f" % (
            name[7:], result["per_second"], result["redis_us"], result["cpu_us"], result["p50_us"],
            result["node_share"], result["slowest"]))
    for name in middle:
        if name.startswith("growth/memory/"):
            print("%-26s %9.0f MB in Redis" % (name[14:], middle[name]["octets"] / 1e6))


def print_others(middle):
    """Postfix, and the programs that measure one part."""
    names = [name for name in middle if name.startswith("postfix/")]
    if names:
        print("\n%-30s %11s %17s  %s" % ("through Postfix", "messages/s", "CPU us of filter",
              "end of DATA to reply, p50 p99 us"))
    for name in names:
        wait = middle.get(name.replace("postfix/", "postfix-wait/"))
        print("%-30s %11.1f %17.0f  %s" % (
            name[8:], middle[name]["per_second"], middle[name]["cpu_us"],
            "%11.0f %11.0f" % (wait["end_us"]["p50"], wait["end_us"]["p99"]) if wait else "not measured"))
    names = [name for name in middle if name.startswith("rows/")]
    if names:
        print()
    for name in names:
        print("%-48s %12.3f %s" % (name[5:], middle[name]["value"], middle[name]["unit"]))


def print_aims(found):
    """Each aim, and whether this run met it."""
    print("\naims")
    for what, figure, comparison, bound, unit in found:
        if figure is None:
            print("  %-52s not measured" % what)
        else:
            print("  %-52s %9.2f %2s %g %s: %s" % (what, figure, comparison, bound, unit,
                  "met" if holds(figure, comparison, bound) else "MISSED"))


def version(*command):
    """The first line that a program says of itself, or None."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace").strip().split("\n")[0]


def machine(middle):
    """What the figures depend on."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    return {"processors": os.cpu_count(), "model": model, "kernel": platform.release(),
            "openssl": middle.get("openssl", {}).get("version"), "opendkim": version("opendkim", "-V"),
            "rspamd": version("rspamd", "--version"), "load_average": os.getloadavg()[0]}


def draw(middle, svg):
    """A bar for each filter, by gnuplot; False where that is not installed."""
    if shutil.which("gnuplot") is None:
        print("NOT DRAWN: gnuplot is not installed (apt-get install gnuplot-nox)")
        return False
    rows = [(LABELS.get(name[8:], name[8:]), result["cpu_us"]) for name, result in middle.items()
            if name.startswith("filters/")]
    if not rows:
        print("NOT DRAWN: the filters were not measured")
        return False
    data = "\n".join("%d %.1f \"%s\"" % (i, cost, label) for i, (label, cost) in enumerate(rows))
    script = """set terminal svg size 900,%d font "sans,12"
set output '%s'
set title "CPU time of the filter for each message, microseconds"
set style fill solid 0.6
set yrange [%g:-0.7]
set xrange [0:*]
unset key
set grid xtics
$rows << END
%s
END
plot $rows using ($2/2):1:($2/2):(0.35):ytic(3) with boxxyerrorbars linecolor rgb "#4060a0", \\
     $rows using 2:1:(sprintf(" %%.0f", $2)) with labels left notitle
""" % (60 + 30 * len(rows), svg.replace("'", ""), len(rows) - 0.3, data)
    return subprocess.run(["gnuplot"], input=script.encode(), check=False).returncode == 0


def main():
    rounds = read_results(sys.argv[1])
    middle = medians(rounds)
    found = list(aims(rounds, middle))
    print_filters(middle)
    print_latency(middle)
    print_series(middle)
    print_growth(middle)
    print_others(middle)
    print_aims(found)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"machine": machine(middle), "medians": middle, "rounds": rounds,
                   "aims": [{"what": a[0], "figure": a[1], "comparison": a[2], "bound": a[3], "unit": a[4],
                             "met": None if a[1] is None else holds(a[1], a[2], a[3])} for a in found]},
                  file, indent=1)
        file.write("\n")
    print("\nwritten: %s" % sys.argv[2])
    if len(sys.argv) > 3:
        if not draw(middle, sys.argv[3]):
            sys.exit(1)
        print("drawn: %s" % sys.argv[3])


if __name__ == "__main__":
    main()
