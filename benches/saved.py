#!/usr/bin/env python3
"""Times portwitness on a thousand saved observations: seconds, CPU seconds and peak memory, as a Markdown table.

    saved.py --portwitness target/release/portwitness --sets target/bench [--rounds 5]

The set *brief* of `traffic` is observed file by file first, where that was not done by this very program. The verdict is
compared with that of the captures, byte for byte but for the names of files.
"""

import argparse
import glob
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site.toml")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portwitness", required=True)
    parser.add_argument("--sets", required=True, help="folder that `traffic` filled")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def observe(args, captures, folder):
    """Saves each capture's observation; the paths."""
    with open(args.portwitness, "rb") as program:
        made_by = hashlib.file_digest(program, "sha256").hexdigest()
    note = os.path.join(folder, "made-by")
    if not (os.path.exists(note) and open(note, encoding="ascii").read() == made_by):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for capture in captures:
            saved = os.path.join(folder, os.path.basename(capture) + ".obs")
            subprocess.run([args.portwitness, "observe", capture, "-o", saved], check=True)
        with open(note, "w", encoding="ascii") as to:
            to.write(made_by)
    return [os.path.join(folder, os.path.basename(c) + ".obs") for c in captures]


def run(command, out):
    """Seconds, CPU seconds, peak KiB, status; what it prints goes into a file."""
    with open(out, "wb") as to:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=to)
        _, code, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, process.returncode


def main():
    args = arguments()
    captures = sorted(glob.glob(os.path.join(args.sets, "brief", "part-*.pcap")))
    if not captures:
        sys.exit(f"saved: no set brief in {args.sets}; `make bench-saved` makes it")
    folder = os.path.join(args.sets, "brief-saved")
    saved = observe(args, captures, folder)
    size = sum(os.path.getsize(s) for s in saved)
    print(f"{len(saved):,} saved observations, {size / 1e6:,.0f} MB\n")
    print("| command | seconds | least | most | CPU s | peak MiB | status |")
    print("|---|---|---|---|---|---|---|")
    verify = [args.portwitness, "verify", "--site", SITE, "--format", "json"]
    out = os.path.join(args.sets, "brief-report.json")
    for label, command in (
        ("verify", [*verify, *saved]),
        ("verify --threads 1", [*verify, "--threads", "1", *saved]),
        ("verify --max-memory 256M", [*verify, "--max-memory", "256M", *saved]),
    ):
        results = [run(command, out) for _ in range(args.rounds)]
        times, cpus, peaks, statuses = zip(*results)
        print(f"| {label} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} "
              f"| {statistics.median(cpus):.2f} | {max(peaks) / 1024:.0f} | {max(statuses)} |", flush=True)
    same(args, captures, [*verify, *saved], out)


def same(args, captures, command, out):
    """Compares the report with that of the captures; digests and names of files differ."""
    def report(command):
        _, _, _, status = run(command, out)
        with open(out, encoding="utf-8") as text:
            lines = [l.replace("brief-saved", "brief").replace(".pcap.obs", ".pcap") for l in text]
        return status, [l for l in lines if '"sha256"' not in l]
    if report(command) != report([args.portwitness, "verify", "--site", SITE, "--format", "json", *captures]):
        sys.exit("saved: the report differs from that of the captures")
    print("\nThe report is that of the captures.")


if __name__ == "__main__":
    main()
