"""Holds a Parquet file against the JSON of the same run, as DuckDB reads the one and Python the other.

    compare.py flows|findings FILE.parquet FILE.json

Every value of the JSON has to be in its column, and where the JSON has none the column has to be null.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

import duckdb

# Objects of which each field has a column of its own.
APART = ("orig", "resp", "app")
# Fields of a report's flow or requirement that are moments.
MOMENTS = ("first", "last")


def nanoseconds(text):
    """`2026-11-20T21:00:00.000000001Z`: more digits than datetime has."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = (datetime.fromisoformat(whole + "+00:00") - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    return seconds * 10**9 + int(fraction.ljust(9, "0") or 0)


def flat(record):
    """A record's fields by the names of their columns."""
    out = {}
    for name, value in record.items():
        if name in APART and isinstance(value, dict):
            out.update({f"{name}_{inner}": v for inner, v in value.items()})
        else:
            out[name] = value
    return out


def expected(kind, path):
    with open(path, encoding="utf-8") as text:
        if kind == "flows":
            return [flat(json.loads(line)) for line in text]
        report = json.load(text)
    rows = [("requirement", r) for r in report["requirements"]]
    rows += [("unexpected_flow", f) for f in report["flows"] if f["class"] == "unexpected"]
    return [{**flat(r), "kind": what, "verdict": report["verdict"]} for what, r in rows]


def main():
    kind, table, text = sys.argv[1:4]
    reader = duckdb.sql(f"SELECT * FROM read_parquet('{table}')")
    types = dict(zip(reader.columns, map(str, reader.types)))
    moments = [c for c, t in types.items() if t.startswith("TIMESTAMP")]
    wanted = ", ".join(f'epoch_ns("{c}") AS "{c}"' if c in moments else f'"{c}"' for c in types)
    got = duckdb.sql(f"SELECT {wanted} FROM read_parquet('{table}')")
    rows = [dict(zip(got.columns, row)) for row in got.fetchall()]
    want = expected(kind, text)
    if len(rows) != len(want):
        sys.exit(f"{len(rows)} rows, expected {len(want)}")
    values = 0
    for number, (row, record) in enumerate(zip(rows, want)):
        left = dict(row)
        for name, value in record.items():
            if name not in left:
                sys.exit(f"row {number}: {name} has no column")
            cell = left.pop(name)
            if isinstance(value, (list, dict)):
                cell = json.loads(cell)
            elif name in MOMENTS and value is not None:
                value = nanoseconds(value)
            if cell != value or isinstance(value, bool) != isinstance(cell, bool):
                sys.exit(f"row {number}, {name}: {cell!r}, expected {value!r}")
            values += value is not None
        others = [n for n, v in left.items() if v is not None]
        if others:
            sys.exit(f"row {number}: {others} are in no JSON")
    print(json.dumps({"rows": len(rows), "values": values, "types": types}))


main()
