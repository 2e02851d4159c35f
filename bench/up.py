#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`coracle up` until it answers and until KubeVirt is Available: on an empty directory (cold), and again on what that left
(warm). What the program says itself stands beside what a client sees.

  bench/up.py [ROUNDS]     CORACLE_BIN: where the programs are (build/bin). Needs root. Never fails.
"""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LOADER = importlib.machinery.SourceFileLoader("bench_run", f"{HERE}/run")
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", LOADER))
LOADER.exec_module(run)


def said(log, pattern):
    found = re.findall(pattern, open(log, encoding="utf-8", errors="replace").read())
    return float(found[-1]) * 1000 if found else float("nan")


def start(directory, port):
    """Milliseconds: kubectl would be answered, Available; and what the program says of both."""
    log = f"{directory}/logs/coracle.log"
    with open(f"{directory}/up.log", "wb") as out:
        began = time.monotonic()
        p = subprocess.Popen([f"{run.BIN}/coracle", "up", "--data-dir", directory, "--port", str(port)], stdout=out, stderr=out)
    answered = None
    while answered is None:
        if time.monotonic() - began > 30 or p.poll() is not None:
            raise run.Skip(open(f"{directory}/up.log", encoding="utf-8").read()[-300:])
        try:
            run.Api(f"{directory}/kubeconfig").call("GET", "/readyz")
            answered = time.monotonic() - began
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            time.sleep(0.002)
    while "KubeVirt is Available after" not in open(log, encoding="utf-8").read().rsplit("coracle v", 1)[-1]:
        if time.monotonic() - began > 120:
            raise run.Skip("KubeVirt is not Available after 120 s")
        time.sleep(0.002)
    available = time.monotonic() - began
    return p, [answered * 1000, available * 1000, said(log, r"answering on port \d+ after ([\d.]+) s"),
               said(log, r"KubeVirt is Available after ([\d.]+) s")]


def one_round():
    directory = tempfile.mkdtemp(prefix="cor.up.", dir="/tmp")
    os.chmod(directory, 0o755)
    port, rows = run.free_port(), []
    try:
        for _ in range(2):
            p, row = start(directory, port)
            rows.append(row)
            time.sleep(1)
            p.terminate()
            p.wait()
        return rows
    finally:
        subprocess.run([f"{run.BIN}/coracle", "uninstall", "--data-dir", directory, "--yes"], capture_output=True, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def main():
    if os.geteuid() != 0:
        print("left out: needs root")
        return 0
    try:
        rounds = [one_round() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    except (run.Skip, OSError) as e:
        print(f"left out: {e}")
        return 0
    for i, kind in enumerate(("cold", "warm")):
        for j, what in enumerate(("answered", "Available")):
            seen, own = [r[i][j] for r in rounds], [r[i][j + 2] for r in rounds]
            print(f"  {kind} until {what:<10} {statistics.median(seen):8.0f} ms (min {min(seen):.0f})   it says {statistics.median(own):.0f}"
                  f"   budget {(150, 2000)[j]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
