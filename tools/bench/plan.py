# SPDX-License-Identifier: MIT
"""Which cells there are: of the quick run, of the full one, and what BENCH_ONLY leaves of them."""

from collections import namedtuple

from contenders import ALL

FANOUTS = [1, 2, 4, 8, 16, 32, 64]
PAYLOADS = [64, 100, 512, 1316, 1400, 8900]
FLOWS = [1, 16, 1000]
RULES = [1, 1000, 10000]
RATES = [1000, 10000, 100000]
JUMBO = 1472  # more payload than that does not fit an MTU of 1500
USUAL = [name for name in ALL if name != "kernel-core1"]
WITH_PROGRAMS = ["kernel", "afpacket", "afxdp", "xdp"]  # the kernel for that of the receivers
LONG = ["kernel", "afpacket", "afxdp", "xdp", "auto"]  # where time is short

# Everything that is the same while a contender runs.
Setup = namedtuple("Setup", "topology fanout mtu flows rules")
# kind: rate, latency, zero_loss or bpf; rate: of a latency, "half" is that of the zero-loss rate
Point = namedtuple("Point", "payload flows kind rate")
Job = namedtuple("Job", "setup contender points")


def point(payload, flows=1, kind="rate", rate=0):
    return Point(payload, flows, kind, rate)


def setup_for(fanout, payload, flows=1, rules=1, topology="fanout"):
    return Setup(topology, fanout, 9000 if payload > JUMBO else 1500, flows, rules)


class Plan:
    """Points by setup and contender, in the order they were asked for."""

    def __init__(self, only):
        self.only = only
        self.jobs = {}

    def wants(self, contender, setup, p):
        values = {"contender": contender, "topology": setup.topology, "fanout": setup.fanout,
                  "payload": p.payload, "flows": setup.flows, "rules": setup.rules,
                  "metric": p.kind}
        return all(str(values[k]) in wanted for k, wanted in self.only.items())

    def add(self, setup, p, contenders=None):
        for name in contenders or USUAL:
            if self.wants(name, setup, p):
                points = self.jobs.setdefault((setup, name), [])
                if p not in points:
                    points.append(p)

    def result(self):
        """Jobs of one setup follow each other, so that contenders take turns."""
        setups = list(dict.fromkeys(setup for setup, _ in self.jobs))
        return [Job(setup, name, self.jobs[setup, name])
                for setup in setups for name in ALL if (setup, name) in self.jobs]


def add_bars(plan):
    """The cells that the project has set bars for."""
    for fanout in (1, 4, 16):
        plan.add(setup_for(fanout, 100), point(100))
        plan.add(setup_for(fanout, 1400), point(1400), ["tc"] + LONG)
    for rate in (10000, 100000):
        plan.add(setup_for(4, 100), point(100, kind="latency", rate=rate), ["mmsg"] + LONG)
    plan.add(setup_for(4, 100), point(100, kind="bpf"), WITH_PROGRAMS)
    plan.add(setup_for(4, 100, flows=1000), point(100, 1000), ["kernel", "xdp", "auto"])
    plan.add(setup_for(4, 100, rules=10000), point(100), ["xdp", "auto"])
    plan.add(setup_for(1, 1400, topology="chain"), point(1400), LONG)


def add_matrix(plan):
    """All fan-outs and sizes at full offer; each other axis around a point in the middle."""
    for fanout in FANOUTS:
        for payload in PAYLOADS:
            plan.add(setup_for(fanout, payload), point(payload), list(ALL))
    for flows in FLOWS:
        for fanout in (1, 4, 16):
            for payload in (100, 1400):
                plan.add(setup_for(fanout, payload, flows=flows), point(payload, flows))
    for rules in RULES:
        for fanout in (1, 4, 16):
            plan.add(setup_for(fanout, 100, rules=rules), point(100))
    for payload in (100, 1400):
        plan.add(setup_for(1, payload, topology="chain"), point(payload))
    for fanout in (1, 4, 16):
        for payload in (100, 1400):
            plan.add(setup_for(fanout, payload), point(payload, kind="zero_loss"))
            for rate in RATES + ["half"]:
                plan.add(setup_for(fanout, payload), point(payload, kind="latency", rate=rate))
            plan.add(setup_for(fanout, payload), point(payload, kind="bpf"), WITH_PROGRAMS)


def parse_only(text):
    """contender=kernel,afxdp fanout=1,4 … → what each key may be"""
    only = {}
    for word in text.split():
        key, _, values = word.partition("=")
        if key not in ("contender", "topology", "fanout", "payload", "flows", "rules", "metric"):
            raise ValueError("BENCH_ONLY: not contender, topology, fanout, payload, flows, rules "
                             "or metric: " + word)
        only[key] = values.split(",")
    return only


def make(kind, only):
    plan = Plan(only)
    add_bars(plan)
    if kind == "full":
        add_matrix(plan)
    return plan.result()
