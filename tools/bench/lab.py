# SPDX-License-Identifier: MIT
"""Networks of namespaces, processes in them, the generator and the sinks."""

import json
import os
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", os.environ.get("MODE", "release"))
BIN = os.path.join(BUILD, "bin")
BENCH = os.path.join(BUILD, "bench")
TESTBED = os.path.join(ROOT, "tools", "testbed")

GROUP = "239.1.1.1"
PORT = 5001
SOURCE = "198.19.0.1"  # of no interface, so that any number of sources may follow it
GENERATOR_CPU = 0
RELAY_CPU = 1


class BenchError(Exception):
    pass


def source(i):
    """The address of source i: 198.19.0.1 and those after it."""
    return "198.19.%d.%d" % ((i + 1) // 256, (i + 1) % 256)


def rss_kib(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return 0


def wait_for(condition, seconds, what, pause=0.005):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise BenchError("not within %g s: %s" % (seconds, what))
        time.sleep(pause)


class Lab:
    """A network that tools/testbed has built; leaves nothing behind."""

    def __init__(self, name, topology, directory):
        self.prefix = "mcrb-%d-%s" % (os.getpid(), name)
        self.bpffs = "/run/mcr-testbed/%s/bpf" % self.prefix
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        self.processes = []
        path = self.file("topo")
        with open(path, "w", encoding="ascii") as f:
            f.write(topology)
        done = subprocess.run([TESTBED, "up", "--prefix", self.prefix, path],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError("testbed: " + done.stderr)

    def file(self, name):
        return os.path.join(self.directory, name)

    def namespace(self, node):
        return "%s-%s" % (self.prefix, node)

    def command(self, node, words, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        return ["nsenter", "--net=/run/netns/" + self.namespace(node)] + pin + words

    def run(self, node, words, **kwargs):
        done = subprocess.run(self.command(node, words), capture_output=True, text=True,
                              check=False, **kwargs)
        if done.returncode:
            raise BenchError("%s: %s" % (" ".join(words), done.stderr.strip()))
        return done.stdout

    def address(self, node, interface):
        """The IPv4 address of an interface."""
        out = self.run(node, ["ip", "-j", "-4", "addr", "show", "dev", interface])
        return json.loads(out)[0]["addr_info"][0]["local"]

    def has_xdp(self, node):
        """Whether an XDP program is on any interface of a node."""
        return any("xdp" in link for link in json.loads(self.run(node, ["ip", "-j", "link"])))

    def start(self, node, words, log, cpu=None, **kwargs):
        with open(self.file(log), "w", encoding="utf-8") as f:
            kwargs.setdefault("stdout", f)
            process = subprocess.Popen(self.command(node, words, cpu), stderr=f,
                                       stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                                       text=True, **kwargs)
        self.processes.append(process)
        return process

    def log(self, name):
        with open(self.file(name), encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def stop(self, process):
        if process not in self.processes:
            return
        self.processes.remove(process)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def down(self):
        for process in list(self.processes):
            self.stop(process)
        subprocess.run([TESTBED, "down", "--prefix", self.prefix], check=False)


def fanout(n, mtu=None):
    """src – relay – rx1 … rxN"""
    option = " mtu=%d" % mtu if mtu else ""
    return ("link src:s0,198.18.0.1/24,multicast relay:in0,198.18.0.2/24,gro%s\n"
            "each %d link relay:o{i},198.{net}.1/24 rx{i}:r0,198.{net}.2/24,gro%s\n"
            % (option, n, option))


def chain():
    """src – r1 – r2 – r3 – rx1"""
    return ("link src:s0,198.18.0.1/24,multicast r1:in0,198.18.0.2/24,gro\n"
            "link r1:o1,198.18.1.1/24 r2:in0,198.18.1.2/24,gro\n"
            "link r2:o1,198.18.2.1/24 r3:in0,198.18.2.2/24,gro\n"
            "link r3:o1,198.18.3.1/24 rx1:r0,198.18.3.2/24,gro\n")


class Sinks:
    """The counting programs at the receivers."""

    def __init__(self, lab, nodes, flows):
        self.lab = lab
        self.process = lab.start(nodes[0], [os.path.join(BENCH, "sink"), "r0", str(flows)] +
                                 [lab.namespace(n) for n in nodes], "sink.log",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise BenchError("sink: " + self.lab.log("sink.log"))
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def settle(self, pause=0.015, seconds=3):
        """Waits until nothing more comes."""
        until = time.monotonic() + seconds
        before, quiet = -1, 0
        while quiet < 2 and time.monotonic() < until:
            time.sleep(pause)
            now = self.ask("count")["datagrams"]
            quiet = quiet + 1 if now == before else 0
            before = now


class Generator:
    """mcrgen on its own core."""

    example = ("taskset -c %d mcrgen --interface s0 --mode live --group %s --port %d --source %s "
               "--sources FLOWS --size PAYLOAD --rate RATE (0: full offer) --duration SECONDS; "
               "--mode packet for what does not fit a page"
               % (GENERATOR_CPU, GROUP, PORT, SOURCE))

    def __init__(self, lab, payload, flows, duration, rate=0, extra=()):
        mode = "live" if payload <= 3400 else "packet"
        words = [os.path.join(BIN, "mcrgen"), "--json", "--interface", "s0", "--mode", mode,
                 "--group", GROUP, "--port", str(PORT), "--source", SOURCE,
                 "--sources", str(flows), "--size", str(payload), "--rate", str(rate),
                 "--duration", str(duration)] + list(extra)
        self.lab = lab
        self.words = words
        self.process = lab.start("src", words, "gen.log", cpu=GENERATOR_CPU,
                                 stdout=subprocess.PIPE)

    def end(self):
        """Ends it before its time; its report."""
        self.process.terminate()
        return self.finish()

    def finish(self):
        """Its report, when it has ended."""
        out, _ = self.process.communicate()
        if self.process in self.lab.processes:
            self.lab.processes.remove(self.process)
        if self.process.returncode:
            raise BenchError("mcrgen: " + self.lab.log("gen.log"))
        return json.loads(out)


def cpu_times():
    """Seconds that all CPUs together were busy and stolen, and the time of this reading."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(x) for x in f.readline().split()[1:]]
    tick = os.sysconf("SC_CLK_TCK")
    user, nice, system, idle, iowait, irq, softirq, steal = fields[:8]
    busy = user + nice + system + irq + softirq
    return {"busy": busy / tick, "steal": steal / tick, "idle": (idle + iowait) / tick,
            "at": time.monotonic()}
