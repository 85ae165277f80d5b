#!/usr/bin/env python3
"""Times portwitness beside other programs that read captures: A B A B, medians, as a Markdown table.

    peers.py --portwitness target/release/portwitness --sets target/bench [--rounds 5] [--tshark 1000000] [SET...]

Every program reads the same file, in turn, so that none profits from a quiet moment. Files are read once before, so all find
them in memory. A peak below this script's own (about 15 MiB) shows as that: a process begins as a copy of it. Programs that are not installed are named and left out; nothing is installed.
"""

import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SETS = ["snap", "bulk", "small", "scan", "rotated", "ng", "zst"]
FILTER = "tcp port 6162 and host 10.77.0.13"
# Where Debian keeps the programs that are not for everyone.
os.environ["PATH"] += ":/usr/sbin:/sbin"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portwitness", required=True)
    parser.add_argument("--sets", required=True, help="folder that `traffic` filled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tshark", type=int, default=1_000_000, help="packets that tshark reads; its time is scaled")
    parser.add_argument("names", nargs="*", metavar="SET", default=SETS)
    return parser.parse_args()


def files(folder, name):
    pattern = {"rotated": "rotated/part-*.pcap", "ng": "ng.pcapng", "zst": "zst.pcap.zst"}.get(name, f"{name}.pcap")
    return sorted(glob.glob(os.path.join(folder, pattern)))


def packets(folder, name):
    """From the note beside a set: `version 1, 20000000 packets, 2000 flows`."""
    with open(os.path.join(folder, f"{name}.made"), encoding="ascii") as note:
        return int(note.read().split(", ")[1].split()[0])


def commands(args, name, paths, scratch):
    """(label, program, argument lists: one per process, scale)"""
    site = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site.toml")
    verify = [args.portwitness, "verify", "--site", site, "--format", "line"]
    rows = [("portwitness verify", args.portwitness, [[*verify, *[f"--at=mirror={p}" for p in paths]]], 1)]
    rows.append(("portwitness verify, 1 thread", args.portwitness, [[*verify, "--threads", "1", *[f"--at=mirror={p}" for p in paths]]], 1))
    rows.append(("cat", "cat", [["cat", *paths]], 1))
    if name == "zst":
        rows.append(("zstd -dc", "zstd", [["zstd", "-dcq", *paths]], 1))
        return rows
    rows.append(("tcpdump, filter", "tcpdump", [["tcpdump", "-n", "-r", p, "-w", "/dev/null", FILTER] for p in paths], 1))
    rows.append(("capinfos", "capinfos", [["capinfos", "-T", "-m", *paths]], 1))
    # One start per file would time their waits at the end, a second and more each.
    if name not in ("ng", "rotated"):
        rows.append(("nfpcapd", "nfpcapd", [["nfpcapd", "-r", p, "-w", scratch] for p in paths], 1))
        rows.append(("softflowd", "softflowd", [["softflowd", "-r", p, "-n", "127.0.0.1:9", "-c", "none"] for p in paths], 1))
        rows.append(("argus", "argus", [["argus", "-X", "-r", p, "-w", f"{scratch}/argus"] for p in paths], 1))
    total = packets(args.sets, name)
    prefix = min(args.tshark, total) if name != "rotated" else total // len(paths)
    tshark = ["tshark", "-n", "-r", paths[0], "-c", str(prefix), "-q", "-z", "conv,tcp"]
    rows.append((f"tshark, first {prefix:,}, scaled", "tshark", [tshark], total / prefix))
    return rows


def run(lists):
    """Seconds, CPU seconds, peak KiB, worst status of processes run one after the other."""
    elapsed = cpu = peak = status = 0
    for command in lists:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        elapsed += time.monotonic() - began
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
        status = max(status, abs(process.returncode))
    return elapsed, cpu, peak, status


def measure(args, name):
    paths = files(args.sets, name)
    if not paths:
        sys.exit(f"peers: no set {name} in {args.sets}; `make bench-traffic` makes it")
    total, size = packets(args.sets, name), sum(os.path.getsize(p) for p in paths)
    print(f"\n### {name}: {total:,} packets, {size / 1e6:,.0f} MB\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        rows = commands(args, name, paths, scratch)
        here = [r for r in rows if shutil.which(r[1])]
        run([["cat", *paths]])
        results = {label: [] for label, *_ in here}
        for _ in range(args.rounds):
            for label, _, lists, scale in here:
                elapsed, cpu, peak, status = run(lists)
                results[label].append((elapsed * scale, cpu * scale, peak, status))
    table(here, results, total)
    missing = sorted({r[1] for r in rows} - {r[1] for r in here})
    if missing:
        print(f"\nNot installed: {', '.join(missing)}.")


def table(rows, results, total):
    print("| program | seconds | least | most | CPU s | peak MiB | ns/packet | times portwitness | status |")
    print("|---|---|---|---|---|---|---|---|---|")
    base = statistics.median(r[0] for r in results[rows[0][0]])
    for label, *_ in rows:
        times, cpus, peaks, statuses = zip(*results[label])
        mid = statistics.median(times)
        print(f"| {label} | {mid:.3f} | {min(times):.3f} | {max(times):.3f} | {statistics.median(cpus):.3f} "
              f"| {max(peaks) / 1024:.0f} | {mid * 1e9 / total:.0f} | {mid / base:.2f} | {max(statuses)} |")
    if any(max(r[3] for r in results[label]) > 0 for label, *_ in rows[:2]):
        sys.exit("peers: portwitness did not reach its verdict")


def main():
    args = arguments()
    unknown = set(args.names) - set(SETS)
    if unknown:
        sys.exit(f"peers: no such set: {', '.join(sorted(unknown))}")
    sys.stdout.reconfigure(line_buffering=True)
    print(f"{os.cpu_count()} processors, {args.rounds} rounds, medians; every file in memory")
    for name in args.names:
        measure(args, name)


if __name__ == "__main__":
    main()
