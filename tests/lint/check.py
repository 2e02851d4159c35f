# SPDX-License-Identifier: Apache-2.0
"""Rules about the sources, one TAP result each: every tools/check-*, and those below, which look at
what was built or need other programs.

Each check returns its findings, "file:line: what"; none means ok.
"""
import concurrent.futures
import glob
import json
import os
import re
import shlex
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
os.chdir(TOP)

def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=False)
    if out.returncode == 0:
        names = [n for n in out.stdout.decode().split("\0") if n]
    else:  # an unpacked release
        names = [os.path.relpath(os.path.join(d, f), ".") for d, _, fs in os.walk(".") for f in fs
                 if not d.startswith(("./build", "./.git"))]
    return sorted(n for n in names if os.path.isfile(n) and not os.path.islink(n))


FILES = tracked()
C_FILES = [f for f in FILES if f.endswith((".c", ".h"))]


def read(name):
    with open(name, encoding="utf-8", errors="replace") as f:
        return f.read()


def tool(path):
    def run():
        r = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False)
        if r.returncode == 0:
            return []
        return [x for x in r.stdout.split("\n") if x] or [f"{path} ended with {r.returncode}"]
    run.__doc__ = path
    return run


def check_tests_registered():
    """A test beside its subject is built by the meson.build beside it (or a level up)."""
    bad = []
    for f in C_FILES:
        if not f.endswith("_test.c"):
            continue
        d = os.path.dirname(f)
        stem = os.path.basename(f)[:-2]
        found = False
        while d:
            m = os.path.join(d, "meson.build")
            if os.path.exists(m) and re.search(r"['/]" + re.escape(stem) + r"(\.c)?'", read(m)):
                found = True
            d = os.path.dirname(d)
        if not found:
            bad.append(f"{f}:1: no meson.build names it, so it never runs")
    return bad


def compile_commands():
    path = "build/release/compile_commands.json"
    return json.loads(read(path)) if os.path.exists(path) else []


def parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return [x for xs in pool.map(function, items) for x in xs]


def first_error(out):
    lines = [x for x in out.split("\n") if "error" in x] or out.strip().split("\n")
    return lines[0] if lines else "?"


def check_clang():
    """clang accepts what gcc builds, with the same warnings as errors."""
    def one(c):
        keep, skip = [], False
        words = shlex.split(c["command"])
        while not words[0].startswith("-"):  # the compiler, perhaps behind a cache
            words.pop(0)
        for a in words:
            if skip:
                skip = False
                continue
            if a in ("-o", "-MF", "-MQ"):
                skip = True
                continue
            if a in ("-MD", "-c"):
                continue
            keep.append(a)
        r = subprocess.run(["clang", "-fsyntax-only", "-Wno-unknown-warning-option"] + keep +
                           ["-fno-color-diagnostics"],
                           cwd=c["directory"], capture_output=True, text=True, check=False)
        return [] if r.returncode == 0 else [first_error(r.stderr)]
    commands = compile_commands()
    if not commands:
        return ["build/release/compile_commands.json is missing: make build first"]
    return parallel(one, commands)


def check_format():
    """clang-format 14 would change nothing (make fmt does it)."""
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True,
                             check=False).stdout
    if "version 14" not in version:
        return None  # others differ in what they like

    def one(f):
        r = subprocess.run(["clang-format", "--dry-run", "-Werror", f], capture_output=True,
                           text=True, check=False)
        return [] if r.returncode == 0 else [first_error(r.stderr)]
    return parallel(one, C_FILES)


def check_no_mutable_globals():
    """What a program knows is in what it is handed, not in file-scope variables."""
    allowed = set(read("tests/lint/mutable-globals.allow").split("\n"))
    objects = [os.path.join(d, f) for d, _, fs in os.walk("build/release/src") for f in fs
               if f.endswith(".o") and "_test" not in f]
    if not objects:
        return ["build/release has no object files: make build first"]
    out = subprocess.run(["objdump", "-t"] + objects, capture_output=True, text=True, check=False)
    bad, current = [], ""
    for line in out.stdout.split("\n"):
        m = re.match(r"(\S+):\s+file format", line)
        if m:
            current = os.path.basename(m.group(1))
        m = re.match(r"[0-9a-f]+ .{7} (\.t?(?:data|bss)(?:\.(?!rel\.ro)\S+)?)\s+([0-9a-f]+) (\S+)$", line)
        if m and int(m.group(2), 16) > 0:
            symbol = re.sub(r"[.][0-9]+$", "", m.group(3))
            name = f"{current}: {symbol}"
            if name not in allowed:
                bad.append(f"{name} ({m.group(1)})")
    return bad


def check_shell():
    """shellcheck finds nothing in the scripts."""
    scripts = [f for f in FILES if re.match(r"#!/bin/(ba)?sh|#!/bin/busybox", read(f)[:40])
               or (f.endswith(".sh"))]
    r = subprocess.run(["shellcheck", "-x", "-S", "warning", "-f", "gcc"] + scripts,
                       capture_output=True, text=True, check=False)
    return [x for x in r.stdout.split("\n") if x]


def check_yaml():
    """Every YAML file parses."""
    import yaml
    bad = []
    for f in FILES:
        if f.endswith((".yaml", ".yml")) and "/bad/" not in f:
            try:
                list(yaml.safe_load_all(read(f)))
            except yaml.YAMLError as e:
                bad.append(f"{f}: {str(e).splitlines()[0]}")
    return bad


def main():
    checks = [(os.path.basename(f), tool(f)) for f in sorted(glob.glob("tools/check-*"))]
    checks += [(k[len("check_"):], v) for k, v in globals().items() if k.startswith("check_")]
    wanted = sys.argv[1:]
    failed = 0
    checks = [c for c in checks if not wanted or c[0] in wanted]
    for n, (name, function) in enumerate(checks, 1):
        found = function()
        failed += bool(found)
        skip = " # SKIP" if found is None else ""
        print(f"{'not ok' if found else 'ok'} {n} - {name}: {function.__doc__}{skip}", flush=True)
        for x in (found or [])[:40]:
            print(f"#   {x}")
        if found and len(found) > 40:
            print(f"#   and {len(found) - 40} more")
    print(f"1..{len(checks)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
