#!/usr/bin/env python3
"""Observes many captures on Apache Spark and judges them.

    spark-submit observe.py --portwitness /usr/bin/portwitness --site site.toml --work /shared/work \\
        mount-server=/captures/mnt-*.pcapng repository=/captures/repo-*.pcapng > report.json

One PLACE=PATTERN per observation point, as for `verify --at`. Captures, the work folder and the program have to be at the
same path on every worker (a shared file system). Every capture is observed by itself: map. Saved observations of one place
are then appended pairwise in the order of time: reduce. Appending is associative, so any tree gives the same;
docs/observation.md says what one run over all captures may tell beyond it. The judge runs once, on the driver, since its
input is small.

Nothing here knows what an observation holds: all of it is `portwitness observe`.
"""

import argparse
import glob
import os
import subprocess
import sys
import uuid


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portwitness", default="portwitness", help="the program, at the same path on every worker")
    parser.add_argument("--site", required=True)
    parser.add_argument("--work", required=True, help="a folder that every worker can write to")
    parser.add_argument("--format", default="json", choices=["json", "text", "line"])
    parser.add_argument("captures", nargs="+", metavar="PLACE=PATTERN")
    return parser.parse_args()


def run(program, inputs, output):
    """`portwitness observe INPUTS -o OUTPUT`; a worker's failure is the job's."""
    done = subprocess.run([program, "observe", "--threads", "1", *inputs, "-o", output], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"portwitness observe {' '.join(inputs)}: {done.stderr.strip()}")
    return output


def places(given):
    """(place, number, capture) of every capture; the number keeps the order of names, in which rotated files are written."""
    for item in given:
        place, _, pattern = item.partition("=")
        found = sorted(glob.glob(pattern))
        if not place or not found:
            sys.exit(f"{item}: expected PLACE=PATTERN that matches captures")
        for number, capture in enumerate(found):
            yield place, number, os.path.abspath(capture)


def main():
    from pyspark.sql import SparkSession

    args = arguments()
    program, work = args.portwitness, os.path.abspath(args.work)
    os.makedirs(work, exist_ok=True)
    captures = list(places(args.captures))
    spark = SparkSession.builder.appName("portwitness").getOrCreate()

    def observe(row):
        place, number, capture = row
        # A task may be tried again: each try has a file of its own.
        output = os.path.join(work, f"{uuid.uuid4().hex}.obs")
        return place, (number, run(program, [capture], output))

    def append(one, other):
        (number, first), (_, second) = sorted([one, other])
        output = os.path.join(work, f"{uuid.uuid4().hex}.obs")
        return number, run(program, [first, second], output)

    try:
        mapped = spark.sparkContext.parallelize(captures, len(captures)).map(observe).cache()
        # Neighbours first: what lies between two files in time must be appended before both ends are.
        rounds = mapped
        most = max(number for _, number, _ in captures) + 1
        span = 1
        while span < most:
            span *= 2
            key = lambda row, span=span: ((row[0], row[1][0] // span), row[1])
            rounds = rounds.map(key).reduceByKey(append).map(lambda row: (row[0][0], row[1])).cache()
        observed = sorted(rounds.collect())
    finally:
        spark.stop()

    at = [f"--at={place}={path}" for place, (_, path) in observed]
    sys.exit(subprocess.run([program, "verify", "--site", args.site, "--format", args.format, *at]).returncode)


if __name__ == "__main__":
    main()
