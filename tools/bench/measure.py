# SPDX-License-Identifier: MIT
"""One measurement of one contender: traffic, what arrived of it, what it cost."""

import json
import os
import subprocess
import time

from lab import BUILD, BenchError, Generator, cpu_times, wait_for

LONG = 10        # as long as a busy machine may need for what is measured
NOT_LOST = ("verdict.to_worker", "verdict.to_packet", "verdict.xdp", "verdict.replicated")


def offered_by(report):
    """Datagrams that the generator's device has passed to the relay."""
    return report["total"]["offered"]


def wait_for_traffic(sinks, generator):
    wait_for(lambda: sinks.ask("count")["datagrams"] or generator.process.poll() is not None,
             10, "traffic at the receivers")


def udp_sockets(lab, node):
    return [line.split() for line in lab.run(node, ["cat", "/proc/net/udp"]).splitlines()[1:]]


def socket_drops(lab, node):
    return sum(int(fields[-1]) for fields in udp_sockets(lab, node))


def socket_queues(lab, node):
    """Bytes that wait to be read."""
    return sum(int(fields[4].split(":")[1], 16) for fields in udp_sockets(lab, node))


def backlog_drops():
    """Of the kernel's queues for received packets, which are the machine's."""
    with open("/proc/net/softnet_stat", encoding="ascii") as f:
        return sum(int(line.split()[1], 16) for line in f)


def device_drops(lab, node, outs):
    """tx_dropped of these devices."""
    drops = 0
    for line in lab.run(node, ["cat", "/proc/net/dev"]).splitlines():
        name, _, rest = line.partition(":")
        if name.strip() in outs:
            drops += int(rest.split()[11])
    return drops


def difference(after, before):
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


class Traffic:
    """Runs the generator past a contender, and holds the books against each other."""

    def __init__(self, lab, sinks, contender, copies, nodes):
        self.lab, self.sinks, self.contender = lab, sinks, contender
        self.copies = copies  # of each datagram
        self.nodes = nodes    # relays
        self.before = self.look()

    def look(self):
        # A relay counts in turns: what it shows may lag behind what has arrived.
        books = self.contender.books()
        until = time.monotonic() + 2
        while books and any(b["wrong"] for b in books) and time.monotonic() < until:
            time.sleep(0.05)
            books = self.contender.books()
        return {"books": books, "backlog": backlog_drops(),
                "sockets": sum(socket_drops(self.lab, n) for n in self.nodes),
                "devices": [device_drops(self.lab, n, self.contender.outs) for n in self.nodes]}

    def close(self, report):
        """What became of all that was offered, once everything is at rest."""
        until = time.monotonic() + 5
        while True:
            self.sinks.settle()
            run = self.account(report)
            is_at_rest = run.pop("is_at_rest") and run.get("closed", True) is True
            if is_at_rest or time.monotonic() > until:
                return run

    def account(self, report):
        seen = self.sinks.ask("read")
        before, after = self.before, self.look()
        now = self.sinks.ask("count")["datagrams"]
        due = offered_by(report) * self.copies
        refused = [b - a for a, b in zip(before["devices"], after["devices"])]
        run = {"offered": offered_by(report), "refused": report["device"]["tx_dropped"],
               "due": due, "arrived": seen["datagrams"],
               "duplicated": seen["duplicated"], "reordered": seen["reordered"],
               "corrupt": seen["corrupt"], "foreign": seen["foreign"], "stale": seen["stale"],
               "lost": due - seen["unique"],
               "is_at_rest": now == seen["datagrams"] == seen["received"] and
                             not any(socket_queues(self.lab, n) for n in self.nodes),
               "loss": {"backlog": after["backlog"] - before["backlog"],
                        "socket": after["sockets"] - before["sockets"],
                        "device": sum(refused)}}
        if after["books"]:
            counters = [difference(b["counters"], a["counters"])
                        for a, b in zip(before["books"], after["books"])]
            add_own_loss(run["loss"], counters)
            run["closed"] = self.closed(run, counters, after["books"], refused)
        run["loss"] = {k: v for k, v in run["loss"].items() if v}
        return run

    @staticmethod
    def closed(run, counters, books, refused):
        """Identities 1 to 5 by mcrctl check; from hop to hop by the counters on both sides."""
        wrong = ["identity %s" % i for b in books for i in b["wrong"]]
        came = run["offered"]
        for at, (relay, book) in enumerate(zip(counters, books)):
            if relay.get("seen", 0) != came:
                wrong.append("offered %d, seen %d at hop %d" % (came, relay.get("seen", 0), at))
            came = relay.get("sent", 0) - (refused[at] if book["device_drops"] else 0)
        if came != run["arrived"]:
            wrong.append("sent %d, arrived %d" % (came, run["arrived"]))
        return "; ".join(wrong) if wrong else True


def add_own_loss(loss, counters):
    for relay in counters:
        for key, value in relay.items():
            if key == "ring" or key.startswith(("frame.", "copy.")) or (
                    key.startswith("verdict.") and key not in NOT_LOST):
                loss[key] = loss.get(key, 0) + value


def wait_window(window, has_some):
    """At least so long: on a busy machine somebody may not have had a turn by then."""
    until = time.monotonic() + LONG / 2
    time.sleep(window)
    while not has_some() and time.monotonic() < until:
        time.sleep(window)


def full_offer(traffic, point, window):
    """Delivered copies a second, and what a copy costs, while more comes than can be taken."""
    sinks = traffic.sinks
    sinks.ask("reset")
    generator = Generator(traffic.lab, point.payload, point.flows, window + LONG)
    wait_for_traffic(sinks, generator)
    time.sleep(traffic.contender.warm_up)
    # Reading every datagram costs more, the larger the buffers are that a contender sends.
    sinks.ask("trust")
    first, cpu = sinks.ask("count"), cpu_times()
    wait_window(window, lambda: sinks.ask("count")["datagrams"] > first["datagrams"])
    last, cpu_after = sinks.ask("count"), cpu_times()
    sinks.ask("doubt")
    memory = traffic.contender.memory_kib()
    traffic.contender.watch()
    report = generator.end()
    run = traffic.close(report)
    copies = last["datagrams"] - first["datagrams"]
    seconds = (last["at_ns"] - first["at_ns"]) / 1e9
    busy = cpu_after["busy"] - cpu["busy"]
    if not copies:
        raise BenchError("nothing arrives")
    run.update({"rate": copies / seconds, "generated": report["rate_pps"], "memory": memory,
                "cpu": busy / copies * 1e9,
                "steal": (cpu_after["steal"] - cpu["steal"]) / seconds,
                "frames_per_copy": report["rate_pps"] * seconds / copies})
    return run


def latency(traffic, point, rate, window):
    """Percentiles of the time from the generator to the receivers' interfaces, in µs."""
    sinks = traffic.sinks
    sinks.ask("reset")
    generator = Generator(traffic.lab, point.payload, point.flows, window + LONG, rate=rate)
    wait_for_traffic(sinks, generator)
    time.sleep(traffic.contender.warm_up)
    sinks.ask("time")
    wait_window(window, lambda: sinks.ask("latency")["n"])
    report = generator.end()
    run = traffic.close(report)
    figures = sinks.ask("latency")
    if not figures["n"]:
        raise BenchError("nothing arrives")
    run.update({name: figures[name] / 1000 for name in ("p50", "p99", "p99.9", "max")})
    run["generated"] = report["rate_pps"]
    return run


def is_lossless(traffic, point, rate, seconds):
    """Whether all copies of `rate` datagrams a second arrive, and the generator makes them."""
    traffic.before = traffic.look()
    traffic.sinks.ask("reset")
    generator = Generator(traffic.lab, point.payload, point.flows, seconds, rate=rate)
    report = generator.finish()
    run = traffic.close(report)
    is_whole = run["lost"] == 0 and report["device"]["tx_dropped"] == 0
    # At the end of its time the generator reports the rate that was asked for, if it kept up.
    return is_whole and report["total"]["sent"] >= 0.99 * rate * seconds and \
        report["rate_pps"] >= 0.98 * rate


def zero_loss(traffic, point, seconds, steps=7):
    """The highest rate of copies without any loss, by bisection; in copies a second."""
    top = full_offer(traffic, point, 0.2)
    low, high = 0, max(1000, int(1.1 * top["generated"]))
    for _ in range(steps):
        middle = (low + high) // 2
        if is_lossless(traffic, point, middle, seconds):
            low = middle
        else:
            high = middle
    return {"rate": low * traffic.copies, "input": low}


def read_bpf():
    """Time and number of runs of each BPF program by its name."""
    done = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True,
                          check=True)
    programs = {}
    for program in json.loads(done.stdout):
        name = program.get("name", "?")
        ns, runs = programs.get(name, (0, 0))
        programs[name] = (ns + program.get("run_time_ns", 0), runs + program.get("run_cnt", 0))
    return programs


def bpf_cost(traffic, point, window):
    """ns a run of each program of ours, and of the receivers'. Measuring costs time itself, so it is done apart."""
    path = "/proc/sys/kernel/bpf_stats_enabled"
    with open(path, encoding="ascii") as f:
        was = f.read()
    traffic.sinks.ask("reset")
    traffic.sinks.ask("trust")  # as while a rate is measured
    try:
        write_text(path, "1")
        before = read_bpf()
        Generator(traffic.lab, point.payload, point.flows, window).finish()
        after = read_bpf()
    finally:
        write_text(path, was)
    traffic.sinks.settle()
    costs = {}
    for name, (ns, runs) in after.items():
        ns_before, runs_before = before.get(name, (0, 0))
        if name.startswith(("mcr_", "bench_")) and runs > runs_before:
            costs[name] = (ns - ns_before) / (runs - runs_before)
    if not costs:
        raise BenchError("no BPF program of ours has run")
    return costs


def write_text(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def ceiling(lab, node, payloads, window=0.4):
    """What the generator can offer when everything is dropped at the relay's interface."""
    program = os.path.join(BUILD, "tools", "bench", "drop.bpf.o")
    lab.run(node, ["ip", "link", "set", "dev", "in0", "xdpdrv", "obj", program, "sec",
                   "xdp.frags"])
    try:
        return {str(p): round(Generator(lab, p, 1, window).finish()["rate_pps"])
                for p in payloads}
    finally:
        lab.run(node, ["ip", "link", "set", "dev", "in0", "xdp", "off"])


