# SPDX-License-Identifier: Apache-2.0
"""Rules about the sources, one TAP result each: every tools/check-*, and those below, which look at
what was built or need other programs. They want `make build` first.

Each check returns its findings, "file:line: what"; none means ok.
"""
import concurrent.futures
import datetime
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

BUILD = os.environ.get("LINT_BUILD", "build/release")
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
    """Its text; nothing if it has gone while we were looking."""
    try:
        with open(name, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


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
    path = f"{BUILD}/compile_commands.json"
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
        return [] if r.returncode == 0 or not os.path.exists(f) else [first_error(r.stderr)]
    return parallel(one, C_FILES)


def check_no_mutable_globals():
    """What a program knows is in what it is handed, not in file-scope variables."""
    allowed = set(read("tests/lint/mutable-globals.allow").split("\n"))
    objects = [os.path.join(d, f) for d, _, fs in os.walk(f"{BUILD}/src") for f in fs
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


def rooms():
    """tools/layers: room -> rooms it may use, itself included. A name stands for the rooms inside it, too."""
    said = {}
    for line in read("tools/layers").split("\n"):
        m = re.match(r"([a-z/]+):(.*)", line)
        if m:
            said[m.group(1)] = {m.group(1)} | set(m.group(2).split())
    return {room: {r for r in said for name in may if r == name or r.startswith(name + "/")}
            for room, may in said.items()}


def symbols_of(objects):
    """(defined, wanted) external symbols of object files, wanted with the file that wants them."""
    out = subprocess.run(["nm", "-A", "-P", "-g"] + objects, capture_output=True, text=True,
                         check=False).stdout
    defined, wanted = set(), {}
    for line in out.split("\n"):
        m = re.match(r"(\S+): (\S+) ([A-Za-z])", line)
        if m and m.group(3) in "Uw":
            wanted.setdefault(m.group(2), m.group(1))
        elif m:
            defined.add(m.group(2))
    return defined, wanted


def check_symbols():
    """No room uses a function of a room it may not see, not even past the headers."""
    by_room = {}
    for room in rooms():
        objects = [os.path.join(d, f) for d, _, fs in os.walk(f"{BUILD}/src/{room}") for f in fs
                   if f.endswith(".o") and "_test" not in d and "_test" not in f]
        if objects:
            by_room[room] = symbols_of(objects)
    if not by_room:
        return ["build/release has no object files: make build first"]
    bad = []
    for room, (_, wanted) in by_room.items():
        allowed = set().union(*(by_room[r][0] for r in rooms()[room] if r in by_room))
        for other in set(by_room) - rooms()[room]:
            bad += [f"{os.path.basename(wanted[s])}: {s}() is of room {other}, which {room} may not use"
                    for s in sorted(set(wanted) & by_room[other][0] - allowed)]
    return bad


TIDY = ["clang-tidy", "-p", BUILD, "--quiet", "--extra-arg=-include",
        f"--extra-arg={TOP}/tests/lint/tidy.h", f"--extra-arg=-I{TOP}/src"]
TIDY_NEVER = ("src/base/err.c", "src/base/str.c")  # they define what tidy.h redefines
TIDY_ALWAYS = ("src/base/", "src/api/")
TIDY_MAX = 40  # files in one run: about a minute on two cores


def tidy_files():
    """TIDY=all: every file. Else what differs from the last commit or came with it, then the rooms
    that everything stands on, in turn: another part of them each day."""
    known = {os.path.relpath(os.path.join(c["directory"], c["file"])) for c in compile_commands()}
    files = sorted(f for f in C_FILES if f in known and f.endswith(".c") and not f.endswith("_test.c")
                   and f not in TIDY_NEVER)
    if os.environ.get("TIDY") == "all":
        return files
    out = subprocess.run(["git", "diff", "--name-only", "HEAD~1"], capture_output=True, text=True,
                         check=False).stdout.split("\n")
    first = [f for f in files if f in out]
    rest = [f for f in files if f.startswith(TIDY_ALWAYS) and f not in first]
    turn = datetime.date.today().toordinal() * TIDY_MAX % max(len(rest), 1)
    return (first + rest[turn:] + rest[:turn])[:TIDY_MAX]


def check_tidy():
    """clang-tidy finds nothing (.clang-tidy; TIDY=all for every file)."""
    files = tidy_files()
    if not files:
        return ["build/release/compile_commands.json is missing: make build first"]

    allowed = {tuple(x.split(": ", 1)) for x in read("tests/lint/tidy.allow").split("\n")
               if x and not x.startswith("#")}

    def accepted(finding):
        m = re.match(r"([^:]+):.*\[([\w.-]+)", finding)
        return m and (m.group(1), m.group(2)) in allowed

    def some(batch):
        out = subprocess.run(TIDY + batch, capture_output=True, text=True, check=False).stdout
        found = {re.sub(r"^.*?/((?:src|tests|tools|bench)/)", r"\1", x) for x in out.split("\n")
                 if re.search(r": (?:error|warning): ", x)}
        return sorted(x for x in found if not accepted(x))
    return parallel(some, [files[i:i + 4] for i in range(0, len(files), 4)])


def check_spdx():
    """Every text file that can have a comment begins with its licence."""
    bare = (".json", ".allow", ".txt", ".pem", ".golden", ".bin", ".sum")
    bad = []
    for f in FILES:
        if f in ("LICENSE", "VERSION") or f.endswith(bare) or "/corpus/" in f or "/fixtures/" in f:
            continue
        head = read(f)[:400]
        if head and "\0" not in head and "SPDX-License-Identifier: Apache-2.0" not in head:
            bad.append(f"{f}:1: no SPDX line")
    return bad


# Hosts that stand for something; any other in a URL is somebody's machine, and may not be there tomorrow
HOSTS = re.compile(r"[\d.:]+$|.*\bexample(\.\w+)?$|.*\.svc(\.|$)|.*\.local$|kubernetes(\.|$)|"
                   r"(.*\.)?(kubevirt\.io|k8s\.io|apache\.org|coracle\.dev|kernel\.org|qemu\.org|w3\.org|demo\.io)$")
# Places of one machine or one person (split, so that this file may say them)
PLACES = re.compile(r"(?<![\w.$}])(/wor" r"k/|/hom" r"e/(?!debian\b|user\b)\w+/|/Us" r"ers/\w)|/tmp/bri" r"ef")


def check_strangers():
    """No names of machines, mirrors or directories that only one place has."""
    bad = []
    for f in FILES:
        if f == "LICENSE" or f.endswith((".png", ".qcow2")):
            continue
        for n, line in enumerate(read(f).split("\n"), 1):
            for m in re.finditer(r"\b(?:https?|docker|ftp)://([a-z0-9-]+(?:\.[a-z0-9-]+)+)", line):
                if not HOSTS.match(m.group(1)):
                    bad.append(f"{f}:{n}: host {m.group(1)}")
            if PLACES.search(line):
                bad.append(f"{f}:{n}: {line.strip()[:80]}")
    return bad


def check_links():
    """Links from page to page lead somewhere."""
    bad = []
    for f in FILES:
        if not f.endswith(".md"):
            continue
        for n, line in enumerate(read(f).split("\n"), 1):
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
                if "://" not in target and not os.path.exists(os.path.join(os.path.dirname(f), target)):
                    bad.append(f"{f}:{n}: there is no {target}")
    return bad


def check_generated():
    """Every generated block of a page is one that tools/gen-docs makes."""
    made = {m for f in glob.glob("tools/gen-docs-*.c") for m in re.findall(r'\{ "([a-z-]+)", [a-z_]+ \}', read(f))}
    return [f"{f}: nothing makes the block {name}" for f in FILES if f.endswith(".md")
            for name in re.findall(r"^<!-- generated (\S+) -->$", read(f), re.M) if name not in made]


def programs():
    """Names of the installed programs, by src/bin/meson.build."""
    return sorted(re.findall(r"executable\('([a-z-]+)'[^)]*install: true", read("src/bin/meson.build")))


def page_of(program):
    found = glob.glob(f"docs/man/{program}.[18]")
    return found[0] if found else None


def check_manuals():
    """Every program has a man page that renders, and both name the same options."""
    bad = []
    for p in programs():
        page = page_of(p)
        if not page:
            bad.append(f"docs/man: no page for {p}")
            continue
        text = re.sub(r"\\f[BIRP]", "", read(page).replace("\\-", "-"))
        exe = os.path.join(os.environ.get("CORACLE_BIN", "build/bin"), p)
        if not os.path.exists(exe):
            bad.append(f"{exe} is missing: make build first")
            continue
        r = subprocess.run([exe, "--help"], capture_output=True, text=True, check=False, timeout=10)
        option = r"(?<![\w-])--[a-z][a-z-]+"
        shown = set(re.findall(option, r.stdout + r.stderr))
        told = set(re.findall(option, text)) - {"--help", "--version"}
        bad += [f"{page}:1: {p} --help has {o}, the page has not" for o in
                sorted(shown - told - {"--help", "--version"})]
        if r.returncode == 0:
            foreign = set(re.findall(option, "\n".join(x for x in text.split("\n") if "kubectl" in x)))
            bad += [f"{page}:1: {o} is not in {p} --help" for o in sorted(told - shown - foreign)]
        if shutil.which("man"):
            r = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                               env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
            bad += [f"{page}: {x}" for x in r.stderr.split("\n") if x.strip()]
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
        if f.endswith((".yaml", ".yml")) and "/bad/" not in f and "/templates/" not in f:
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
