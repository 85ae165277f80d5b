#!/bin/sh
# The job's report is that of one process on the same captures, names and digests apart.
#
# Installs pyspark into target/spark, and Java where there is none; asks first, unless CI is set.
set -eu
cd "$(dirname "$0")/../.."
program=${1:?usage: test.sh PORTWITNESS FOLDER}
captures=${2:?usage: test.sh PORTWITNESS FOLDER}
venv=target/spark

missing=""
command -v java >/dev/null 2>&1 || missing="default-jre-headless"
python3 -c 'import ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
[ -x "$venv/bin/spark-submit" ] || wanted=pyspark
if [ -n "$missing${wanted:-}" ]; then
    echo "spark: to install: $missing ${wanted:-}"
    if [ "${CI:-}" != true ]; then
        printf 'Install them now? [y/N] '
        read -r answer
        [ "$answer" = y ] || { echo "spark: nothing installed"; exit 1; }
    fi
    root=""
    [ "$(id -u)" -eq 0 ] || root=sudo
    # shellcheck disable=SC2086  # a list of words is meant
    [ -z "$missing" ] || { $root apt-get -q update && $root apt-get -q install -y --no-install-recommends $missing; }
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q 'pyspark>=4,<5'
fi

# Spark looks for itself with the first python3 it meets, which may be another one.
PYSPARK_PYTHON="$PWD/$venv/bin/python"
PYSPARK_DRIVER_PYTHON=$PYSPARK_PYTHON
export PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT HUP INT TERM
SPARK_LOCAL_IP=127.0.0.1 "$venv/bin/spark-submit" --master 'local[2]' --conf spark.ui.enabled=false \
    --conf spark.log.level=ERROR contrib/spark/observe.py --portwitness "$program" --site benches/site.toml \
    --work "$work/obs" "mirror=$captures/*.pcap" >"$work/spark.json" 2>"$work/spark.log" || status=$?
"$program" verify --site benches/site.toml --format json --at=mirror="$captures/*.pcap" >"$work/one.json" || expected=$?
[ "${status:-0}" -eq "${expected:-0}" ] || { cat "$work/spark.log" >&2; echo "spark: status ${status:-0}, expected ${expected:-0}" >&2; exit 1; }
python3 - "$work/spark.json" "$work/one.json" <<'PYTHON'
import json
import sys

spark, one = (json.load(open(name)) for name in sys.argv[1:])
for report in (spark, one):
    # Listed in the order in which they were put together.
    report["captures"].sort(key=lambda capture: capture["path"])
    for capture in report["captures"]:
        capture["path"] = capture["sha256"] = None
assert one["verdict"] == "pass" and len(one["captures"]) == 20, one["headline"]
if spark != one:
    differ = [k for k in one if spark.get(k) != one[k]]
    sys.exit(f"spark: the reports differ in {differ}")
print(f"spark: same report as one process: {one['headline']}, {len(one['flows'])} flows, {len(one['captures'])} captures")
PYTHON
