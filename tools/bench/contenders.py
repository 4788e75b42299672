# SPDX-License-Identifier: MIT
"""What is compared: how each is started, when it is ready, and what it says of itself."""

import json
import os
import re
import shutil
import subprocess

from lab import (BENCH, BIN, GROUP, PORT, RELAY_CPU, BenchError, rss_kib, source,
                 wait_for)

VIFS = 32  # of the kernel's multicast forwarding; one is the input


class Contender:
    """One way to copy what comes for GROUP from in0 to `outs`."""

    name = None
    what = None  # for the reader of the results
    warm_up = 0.1  # seconds of traffic before anything is read

    def __init__(self, lab, node, outs, flows=1, rules=1):
        self.lab, self.node, self.outs = lab, node, outs
        self.flows, self.rules = flows, rules
        self.processes = []

    @staticmethod
    def refuses(setup):
        """Why it cannot do this at all; None if it can."""
        del setup

    def start(self):
        raise NotImplementedError

    def spawn(self, words, log, cpu=RELAY_CPU, **kwargs):
        process = self.lab.start(self.node, words, "%s.%s" % (self.node, log), cpu=cpu, **kwargs)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            self.lab.stop(process)
        self.processes = []

    def memory_kib(self):
        return sum(rss_kib(p.pid) for p in self.processes)

    def books(self):
        """What it has counted since it was started; None if it keeps no books."""

    def watch(self):
        """Called while traffic runs, for what note() says."""

    def note(self):
        """What is worth knowing of how it ran; None if nothing is."""


class Kernel(Contender):
    name = "kernel"
    what = "multicast forwarding of the kernel, routes set up by smcroute"

    @staticmethod
    def refuses(setup):
        if setup.fanout >= VIFS:
            return "the kernel has %d multicast interfaces, one of which is the input" % VIFS
        return None

    def configuration(self):
        lines = ["phyint %s enable" % i for i in ["in0"] + self.outs]
        to = " ".join(self.outs)
        for i in range(self.flows):
            lines.append("mroute from in0 source %s group %s to %s" % (source(i), GROUP, to))
        for i in range(1, self.rules):
            lines.append("mroute from in0 source %s group %s to %s"
                         % (source(0), other_group(i), to))
        return "\n".join(lines) + "\n"

    def start(self):
        base = self.lab.file(self.node + ".smcroute")
        write(base + ".conf", self.configuration())
        self.lab.run(self.node, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        self.spawn(["smcrouted", "-n", "-N", "-f", base + ".conf", "-P", base + ".pid", "-u",
                    base + ".sock"], "smcroute.log")
        wanted = self.flows + self.rules - 1
        wait_for(lambda: self.routes() >= wanted, 60, "%d routes of smcroute" % wanted)

    def routes(self):
        return len(self.lab.run(self.node, ["cat", "/proc/net/ip_mr_cache"]).splitlines()) - 1

    def stop(self):
        super().stop()
        self.lab.run(self.node, ["sysctl", "-qw", "net.ipv4.ip_forward=0"])


class KernelApart(Kernel):
    """On the relay's core, as far as a veth allows: there a thread takes what comes in."""

    name = "kernel-core1"
    what = "the same on core 1: in0 is polled by a thread of the kernel that is pinned there"

    def start(self):
        super().start()
        before = self.pollers()
        self.set_threaded(1)
        wait_for(lambda: self.pollers() - before, 5, "a thread that polls in0")
        for pid in self.pollers() - before:
            os.sched_setaffinity(pid, {RELAY_CPU})

    def stop(self):
        self.set_threaded(0)
        super().stop()

    def set_threaded(self, on):
        # ip netns exec, because it shows the namespace's own /sys.
        path = "/sys/class/net/in0/threaded"
        subprocess.run(["ip", "netns", "exec", self.lab.namespace(self.node), "sh", "-c",
                        "echo %d >%s" % (on, path)], check=True)

    @staticmethod
    def pollers():
        return {int(pid) for pid in os.listdir("/proc") if pid.isdigit() and
                command_name(pid).startswith("napi/in0-")}


class Tc(Contender):
    name = "tc"
    what = "tc: u32 filters, an action mirred for each output"
    ACTIONS = 30  # of one filter; the kernel takes 32

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.decrements = False

    def filters(self, group, before):
        """Filters of up to ACTIONS outputs; all but the last one let the next one look."""
        lines = []
        for at in range(0, len(self.outs), self.ACTIONS):
            chunk = self.outs[at:at + self.ACTIONS]
            actions = list(before) if at == 0 else []
            actions += ["action mirred egress mirror dev %s pipe" % out for out in chunk[:-1]]
            if at + self.ACTIONS >= len(self.outs):
                actions.append("action mirred egress redirect dev %s" % chunk[-1])
            else:
                actions.append("action mirred egress mirror dev %s continue" % chunk[-1])
            lines.append("filter add dev in0 parent ffff: protocol ip pref 10 u32 "
                         "match ip dst %s/32 %s" % (group, " ".join(actions)))
        return lines

    def batch(self, lines):
        path = self.lab.file(self.node + ".tc")
        write(path, "\n".join(lines) + "\n")
        self.lab.run(self.node, ["tc", "-batch", path])

    def start(self):
        rewrite = ["action pedit ex munge ip ttl dec pipe", "action csum ip pipe"]
        self.decrements = self.knows(rewrite)
        before = rewrite if self.decrements else []
        # They are tried one after the other: the one that matches is in the middle.
        groups = [other_group(i) for i in range(1, self.rules)]
        groups.insert(len(groups) // 2, GROUP)
        self.batch(["qdisc add dev in0 ingress"])
        self.batch([line for group in groups for line in self.filters(group, before)])

    def knows(self, actions):
        """Whether this kernel has these actions."""
        try:
            self.batch(["qdisc add dev in0 ingress"] + self.filters(GROUP, actions))
            return True
        except BenchError:
            return False
        finally:
            self.lab.run(self.node, ["tc", "qdisc", "del", "dev", "in0", "ingress"])

    def stop(self):
        super().stop()
        self.lab.run(self.node, ["tc", "qdisc", "del", "dev", "in0", "ingress"])

    def note(self):
        if self.decrements:
            return None
        return "this kernel has no pedit: nothing is rewritten, not even the TTL"


class Socat(Contender):
    name = "socat"
    what = "socat, one process for each output"

    @staticmethod
    def refuses(setup):
        return "one process for each rule and output" if setup.rules > 1 else None

    def start(self):
        for out in self.outs:
            self.spawn(["socat", "-u", "-b", "65536",
                        "UDP4-RECV:%d,ip-add-membership=%s:in0,reuseaddr" % (PORT, GROUP),
                        "UDP4-DATAGRAM:%s:%d,ip-multicast-if=%s,ip-multicast-ttl=8,"
                        "ip-multicast-loop=0" % (GROUP, PORT, self.lab.address(self.node, out))],
                       "socat-%s.log" % out)
        wait_for(lambda: self.sockets() >= len(self.outs), 20, "sockets of socat")

    def sockets(self):
        return self.lab.run(self.node, ["cat", "/proc/net/udp"]).count(":%04X" % PORT)


class Mmsg(Contender):
    name = "mmsg"
    what = "a relay by recvmmsg and sendmmsg: tools/bench/mmsg.c"

    @staticmethod
    def refuses(setup):
        return "one process for each rule" if setup.rules > 1 else None

    def start(self):
        process = self.spawn([os.path.join(BENCH, "mmsg"), "in0", GROUP, str(PORT)] + self.outs,
                             "mmsg.log", stdout=subprocess.PIPE)
        if process.stdout.readline() != "ready\n":
            raise BenchError(self.lab.log(self.node + ".mmsg.log"))


class Mcr(Contender):
    """Our own relay: source kept and TTL decremented, as the kernel's forwarding does it."""

    datapath = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.base = self.lab.file(self.node + ".mcr")
        self.effective = None

    def rule(self, group):
        outs = ", ".join('{ interface: "%s", source: "preserve", ttl: "decrement" }' % o
                         for o in self.outs)
        return ('{ datapath: "%s", input: { interface: "in0", group: "%s", port: %d },'
                ' outputs: [ %s ] },\n' % (self.datapath, group, PORT, outs))

    def configuration(self):
        rules = self.rule(GROUP) + "".join(self.rule(other_group(i))
                                           for i in range(1, self.rules))
        return "{ pinning: { in0: [%d] }, rules: [\n%s] }\n" % (RELAY_CPU, rules)

    def start(self):
        write(self.base + ".json5", self.configuration())
        process = self.spawn([os.path.join(BIN, "mcrd"), "--instance", self.node,
                              "--socket-path", self.base + ".sock",
                              "--state-dir", self.base + ".state", "--bpffs", self.lab.bpffs,
                              "--ignore-state", "--config", self.base + ".json5"],
                             "mcrd.log", cpu=None)
        wait_for(lambda: process.poll() is not None or self.is_ready(), 60, "mcrd")
        if process.poll() is not None:
            raise BenchError("mcrd: " + first_error(self.lab.log(self.node + ".mcrd.log")))
        self.effective = self.find_effective()
        if self.datapath not in ("auto", self.effective):
            raise BenchError("runs on %s instead" % self.effective)

    def stop(self):
        super().stop()
        # What mcrd leaves behind goes on forwarding, and the next contender is to do that.
        shutil.rmtree(os.path.join(self.lab.bpffs, "mcr", self.node), ignore_errors=True)
        wait_for(lambda: not self.lab.has_xdp(self.node), 5, "XDP programs to go")

    def ask(self, *words):
        done = subprocess.run([os.path.join(BIN, "mcrctl"), "--socket-path",
                               self.base + ".sock", "--output", "json"] + list(words),
                              capture_output=True, text=True, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {}

    def is_ready(self):
        reply = self.ask("ping")
        return reply.get("status") == "ok" and reply["workers"] == reply["workers_ready"]

    def find_effective(self):
        kinds = {r.get("datapath_effective") for r in self.ask("list").get("rules", [])}
        return "+".join(sorted(str(k) for k in kinds))

    def memory_kib(self):
        done = subprocess.run(["ip", "netns", "pids", self.lab.namespace(self.node)],
                              capture_output=True, text=True, check=False)
        return sum(rss_kib(int(pid)) for pid in done.stdout.split())

    def books(self):
        """Counters, and what of the identities of docs/accounting.md does not hold at rest."""
        check, stats = self.ask("check"), self.ask("stats")
        port = next((i for i in stats.get("interfaces", []) if i["name"] == "in0"), {})
        xdp, packet = port, port.get("packet_socket") or {}
        stage = packet if port.get("xdp_mode") == "none" else xdp
        workers = stats.get("workers", [])
        outputs = [o for r in stats.get("rules", []) for o in r["outputs"]]
        books = {"seen": stage.get("seen", 0),
                 "matched": sum(r.get("packets_matched", 0) for r in stats.get("rules", [])),
                 "due": sum(o["due"] for o in outputs), "sent": sum(o["sent"] for o in outputs),
                 "ring": sum(w["rx_dropped"] + (0 if w["worker_type"] == "afpacket"
                                                else w["ring_full"]) for w in workers) +
                         packet.get("not_taken", 0)}
        for key, value in (stage.get("verdicts") or {}).items():
            books["verdict." + key] = value
        for worker in workers:
            for key, value in worker["frame_drops"].items():
                books["frame." + key] = books.get("frame." + key, 0) + value
        for output in outputs:
            for key, value in output["drops"].items():
                books["copy." + key] = books.get("copy." + key, 0) + value
        wrong = [i["id"] for i in check.get("identities", [{"id": 0, "holds": False}])
                 if not i.get("holds", True)]
        return {"counters": books, "wrong": wrong,
                "device_drops": any(o.get("device_counts_drops") for o in outputs)}

    def note(self):
        return "on %s" % self.effective if self.datapath == "auto" else None


class McrAfpacket(Mcr):
    name = datapath = "afpacket"
    what = "mcrd, datapath afpacket"


class McrAfxdp(Mcr):
    name = datapath = "afxdp"
    what = "mcrd, datapath afxdp"


class McrXdp(Mcr):
    name = datapath = "xdp"
    what = "mcrd, datapath xdp"


class McrAuto(Mcr):
    name = datapath = "auto"
    what = "mcrd, datapath auto"
    warm_up = 2.3  # it chooses once a second, by what it has seen in the whole of one

    def watch(self):
        self.effective = self.find_effective()


def other_group(i):
    """The group of rule i > 0, which nothing is sent to."""
    return "239.2.%d.%d" % (i // 250, i % 250 + 1)


def command_name(pid):
    try:
        with open("/proc/%s/comm" % pid, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def first_error(log):
    """Why mcrd has ended: its last error, without time and file, or the last line there is."""
    errors = [line for line in log.splitlines() if " mcrd err " in line]
    if not errors:
        return (log.splitlines() or ["it has ended without a word"])[-1]
    return re.sub(r"^.* mcrd err (\S+: )?(/\S+:\d+:\d+: )?", "", errors[-1])



ALL = {c.name: c for c in (Kernel, KernelApart, Tc, Socat, Mmsg, McrAfpacket, McrAfxdp, McrXdp,
                            McrAuto)}
