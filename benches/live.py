#!/usr/bin/env python3
"""What watching costs: one transfer over a pair of wires, with nothing, tcpdump, and both engines of watch beside it.

    live.py --portwitness target/release/portwitness [--gigabytes 4] [--rounds 3]

Runs as root, in network and mount namespaces of its own, and leaves nothing behind. Offload is off, so that packets are the
wire's. All four take turns, so that none profits from a quiet moment. The rate is a median; processor times are the least of
all rounds, since whatever else runs only adds to them. A Markdown table.

"own" is the processor time of the capturing process per packet that passed. What capturing costs in the kernel is paid by
whoever sends and receives, so "all" is the processor time of sender, receiver and capturer together, less that of the same
transfer with nothing beside it. "program" is what the kernel's program itself took per packet, by the kernel's own statistics.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["PATH"] += ":/usr/sbin:/sbin"
NEAR, FAR, PORT = "10.77.0.12", "10.77.0.13", 6162
SITE = f"""scenario = "image-level"
operations = ["enterprise-manager"]
observed_from = ["mount-server"]
[roles]
mount-server = ["{NEAR}"]
repository = ["{FAR}"]
target-linux = ["10.77.0.22"]
"""
CHUNK = 1 << 18


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portwitness", required=True)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def serve():
    """Takes transfers, one after the other; says of each how much processor time it took."""
    with socket.create_server((FAR, PORT)) as server:
        print("ready", flush=True)
        while True:
            stream, _ = server.accept()
            before, buffer = os.times(), bytearray(CHUNK)
            while stream.recv_into(buffer):
                pass
            after = os.times()
            print(after.user + after.system - before.user - before.system, flush=True)
            stream.close()


def transfer(total):
    """Sends so many bytes; seconds and processor time."""
    chunk, sent = bytes(CHUNK), 0
    began, before = time.monotonic(), os.times()
    with socket.create_connection((FAR, PORT)) as stream:
        while sent < total:
            stream.sendall(chunk)
            sent += CHUNK
        stream.shutdown(socket.SHUT_WR)
        stream.recv(1)
    after = os.times()
    return time.monotonic() - began, after.user + after.system - before.user - before.system


def packets():
    counters = json.loads(run("ip", "-j", "-s", "link", "show", "w0"))[0]["stats64"]
    return counters["rx"]["packets"] + counters["tx"]["packets"]


class Capture:
    """A program that captures while a transfer runs."""

    def __init__(self, name, words, work):
        self.name, self.words, self.work = name, words, work
        self.log = os.path.join(work, "log")

    def start(self):
        if not self.words:
            return
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.words, cwd=self.work, stdout=log, stderr=log)
        time.sleep(1.5)
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                sys.exit(f"{self.name} ended: {log.read()}")
        self.before = self.spent()

    def spent(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def program(self):
        """Runs and nanoseconds of the sieve, where it is there."""
        if self.name != "watch, ebpf":
            return None
        programs = json.loads(run("bpftool", "-j", "prog", "show", "name", "sieve"))
        programs = programs if isinstance(programs, list) else [programs]
        newest = max(programs, key=lambda p: p["id"])
        return newest.get("run_cnt", 0), newest.get("run_time_ns", 0)

    def end(self):
        """Processor time of its own and packets it missed."""
        if not self.words:
            return 0.0, 0
        # What is on its way is taken in first.
        time.sleep(1)
        own = self.spent() - self.before
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return own, self.missed()

    def missed(self):
        if self.name == "tcpdump":
            with open(self.log, encoding="utf-8") as log:
                return int(re.search(r"(\d+) packets? dropped by kernel", log.read()).group(1))
        with open(os.path.join(self.work, "report"), encoding="utf-8") as report:
            return json.load(report)["captures"][0]["loss"]["kernel"]


def wires():
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "add", "far")
    run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", "far")
    run("ip", "addr", "add", f"{NEAR}/24", "dev", "w0")
    run("ip", "link", "set", "w0", "up")
    run("ip", "-n", "far", "addr", "add", f"{FAR}/24", "dev", "w1")
    run("ip", "-n", "far", "link", "set", "w1", "up")
    off = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"]
    run("ethtool", "-K", "w0", *off)
    run("ip", "netns", "exec", "far", "ethtool", "-K", "w1", *off)


def measure(capture, server, total):
    capture.start()
    before = packets()
    began = capture.program()
    seconds, sending = transfer(total)
    receiving = float(server.stdout.readline())
    passed = packets() - before
    ended = capture.program()
    own, missed = capture.end()
    program = None
    if ended and ended[0] > began[0]:
        program = (ended[1] - began[1]) / (ended[0] - began[0])
    return {
        "rate": total / seconds / 1e6, "packets": passed, "own": own, "all": own + sending + receiving,
        "missed": missed, "program": program,
    }


def inside(args):
    work = tempfile.mkdtemp()
    with open(os.path.join(work, "site.toml"), "w", encoding="utf-8") as site:
        site.write(SITE)
    wires()
    watch = [os.path.abspath(args.portwitness), "watch", "--site", "site.toml", "-i", "w0", "--json", "-o", "report",
             "--format", "json", "--engine"]
    captures = [
        Capture("nothing", None, work),
        Capture("tcpdump", ["tcpdump", "-i", "w0", "-s", "128", "-B", "16384", "-w", "/dev/null", "-Z", "root"], work),
        Capture("watch, pcap", [*watch, "pcap"], work),
        Capture("watch, ebpf", [*watch, "ebpf"], work),
    ]
    with open("/proc/sys/kernel/bpf_stats_enabled", encoding="ascii") as file:
        statistics_were = file.read()
    me = [sys.executable, os.path.abspath(__file__), "--serve", "--portwitness", "x"]
    server = subprocess.Popen(["ip", "netns", "exec", "far", *me], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        total = int(args.gigabytes * 1e9)
        transfer(total // 20)
        server.stdout.readline()
        results = {c.name: [] for c in captures}
        for _ in range(args.rounds):
            for capture in captures:
                results[capture.name].append(measure(capture, server, total))
        # The kernel's statistics cost something themselves: a round of their own.
        with open("/proc/sys/kernel/bpf_stats_enabled", "w", encoding="ascii") as file:
            file.write("1")
        program = measure(captures[-1], server, total)["program"]
    finally:
        with open("/proc/sys/kernel/bpf_stats_enabled", "w", encoding="ascii") as file:
            file.write(statistics_were)
        server.kill()
        shutil.rmtree(work)
    tell(results, program, args)


def tell(results, program, args):
    median = lambda name, key: statistics.median(r[key] for r in results[name])
    least = lambda name, key: min(r[key] / r["packets"] for r in results[name]) * 1e9
    print(f"\n{args.gigabytes:g} GB over a pair of wires, offload off, {args.rounds} rounds, {os.cpu_count()} processors\n")
    print("| beside the transfer | MB/s | packets | own, ns per packet | all, ns per packet | program, ns per packet | missed |")
    print("|---|---|---|---|---|---|---|")
    for name in results:
        passed, own = median(name, "packets"), least(name, "own")
        more = least(name, "all") - least("nothing", "all")
        inner = f"{program:.0f}" if program and name == "watch, ebpf" else ""
        missed = sum(r["missed"] for r in results[name])
        print(f"| {name} | {median(name, 'rate'):.0f} | {passed:.0f} | {own:.0f} | {more:.0f} | {inner} | {missed} |")


def main():
    args = arguments()
    if args.serve:
        serve()
    elif args.inside:
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        inside(args)
    else:
        if os.geteuid() != 0:
            sys.exit("live.py needs root, for namespaces of its own")
        missing = [p for p in ("unshare", "ip", "ethtool", "tcpdump", "bpftool") if not shutil.which(p)]
        if missing:
            sys.exit(f"missing: {', '.join(missing)} (tests/setup.sh installs them)")
        seal = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        sys.exit(subprocess.call([*seal, sys.executable, os.path.abspath(__file__), "--inside", *sys.argv[1:]]))


main()
