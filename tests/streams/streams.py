# SPDX-License-Identifier: Apache-2.0
"""Streams of pods, by several clients. TAP on stdout.

    streams.py TOP BIN [TEST]...
"""
import base64
import concurrent.futures
import fcntl
import hashlib
import http.client
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.parse

TOP, BIN = sys.argv[1:3]
ONLY = sys.argv[3:]
IMAGE = "coracle.dev/coracle-shim:v0"
KUBECTLS = [k for k in (TOP + "/build/tools/kubectl-%s/kubectl" % v for v in ("1.20", "1.32")) if os.path.exists(k)] or ["kubectl"]
PODS = "/api/v1/namespaces/default/pods/"

# A server that tells what it was asked, echoes upgrades and posted bodies, and listens on 127.0.0.1:8081 too
WEB = """
import http.server as s, json, socketserver, threading
class H(s.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, code, body, **headers):
        self.send_response(code)
        for k, v in headers.items(): self.send_header(k, v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def go(self):
        if self.headers.get('Upgrade') == 'echo':
            self.send_response(101); self.send_header('Connection', 'Upgrade'); self.send_header('Upgrade', 'echo')
            self.send_header('Sec-WebSocket-Protocol', self.headers['Sec-WebSocket-Protocol']); self.end_headers()
            self.wfile.flush()
            for b in iter(lambda: self.connection.recv(1000), b''): self.connection.sendall(b.upper())
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.path == '/redirect': self.answer(302, b'', Location='/there?x=1')
        elif self.path == '/elsewhere': self.answer(302, b'', Location='http://other.example/x')
        elif self.path == '/big': self.answer(200, b'x' * 8000000)
        elif self.path == '/echo': self.answer(200, body)
        else: self.answer(418 if self.path == '/teapot' else 200, json.dumps(dict(method=self.command, path=self.path, body=len(body),
                          headers={k.lower(): v for k, v in self.headers.items()})).encode())
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = go
    def log_message(*a): pass
class S(socketserver.ThreadingMixIn, s.HTTPServer): daemon_threads = True
threading.Thread(target=S(('127.0.0.1', 8081), H).serve_forever, daemon=True).start()
S(('', 8080), H).serve_forever()
"""


class Failed(Exception):
    pass


def check(cond, text=""):
    if not cond:
        raise Failed(str(text)[:2000])


def wait(fn, seconds, text):
    end = time.monotonic() + seconds
    while not fn():
        if time.monotonic() > end:
            raise Failed("not within %d s: %s" % (seconds, text() if callable(text) else text))
        time.sleep(0.05)


def pod(name, command, ctr=None, **spec):
    c = {"name": "c", "image": IMAGE, "command": command if isinstance(command, list) else ["sh", "-c", command], **(ctr or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "restartPolicy": "Never", "containers": [c], **spec}}


class Node:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="coracle-streams-")
        os.makedirs(self.dir + "/releases/v0/bin")
        shutil.copy(BIN + "/coracle-shim", self.dir + "/releases/v0/bin/")
        self.config = self.dir + "/kubeconfig"

    def start(self):
        self.proc = subprocess.Popen([BIN + "/coracle-node-dev", self.dir, "0"], stdout=subprocess.PIPE, stderr=open(self.dir + "/log", "ab"))
        check(self.proc.stdout.readline().strip(), "the node does not start: " + self.tail())
        text = open(self.config).read()
        self.host, port = re.search(r"server: \"?https://([^:\"]+):(\d+)", text).groups()
        self.port = int(port)
        self.tls = ssl.create_default_context(cadata=self.field(text, "certificate-authority-data").decode())
        self.tls.check_hostname = False
        for name in ("client-certificate-data", "client-key-data"):
            with open(self.dir + "/" + name, "wb") as f:
                f.write(self.field(text, name))
        self.tls.load_cert_chain(self.dir + "/client-certificate-data", self.dir + "/client-key-data")
        wait(lambda: self.k("get", "serviceaccount", "default").returncode == 0, 20, "no default service account")

    @staticmethod
    def field(text, name):
        return base64.b64decode(re.search(name + r": \"?([A-Za-z0-9+/=]+)", text).group(1))

    def tail(self):
        return open(self.dir + "/log", errors="replace").read()[-2000:]

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(30)

    def argv(self, *args, kubectl=KUBECTLS[-1]):
        return [kubectl, "--kubeconfig", self.config, *args]

    def k(self, *args, stdin=b"", timeout=20, kubectl=KUBECTLS[-1]):
        return subprocess.run(self.argv(*args, kubectl=kubectl), input=stdin, capture_output=True, timeout=timeout)

    def apply(self, *objects):
        r = self.k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode())
        check(r.returncode == 0, r.stderr)

    def get(self, name):
        return json.loads(self.k("get", "pod", name, "-o", "json").stdout or "{}")

    def phase(self, name, want, seconds=15):
        wait(lambda: self.get(name).get("status", {}).get("phase") == want, seconds, lambda: "%s: %s" % (name, self.get(name).get("status")))

    def connect(self):
        return self.tls.wrap_socket(socket.create_connection((self.host, self.port), 10))

    def http(self, method, path, body=None, headers=None):
        c = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=15)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r, data

    def upgrade(self, path, headers, method="GET"):
        """The socket, the status line with the headers, and what came behind them."""
        s = self.connect()
        s.sendall(("%s %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n%s\r\n" % (
            method, path, "".join("%s: %s\r\n" % h for h in headers))).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = s.recv(65536)
            check(more, head)
            head += more
        head, rest = head.split(b"\r\n\r\n", 1)
        return s, head.decode(), rest


class WebSocket:
    """Just enough of RFC 6455, as a client of its own."""

    def __init__(self, n, path, protocol):
        key = base64.b64encode(os.urandom(16)).decode()
        self.s, self.head, self.buf = n.upgrade(path, [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)] +
                                                ([("Sec-WebSocket-Protocol", protocol)] if protocol else []))
        self.ok = " 101 " in self.head
        if self.ok:
            proof = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
            check(proof in self.head, self.head)

    def send(self, data, text=False):
        mask = os.urandom(4)
        n = len(data)
        head = bytes([0x81 if text else 0x82]) + (bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n))
        self.s.sendall(head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def need(self, n):
        while len(self.buf) < n:
            more = self.s.recv(65536)
            if not more:
                return False
            self.buf += more
        return True

    def receive(self):
        """(opcode, data); None at the end."""
        if not self.need(2):
            return None
        op, n, at = self.buf[0] & 15, self.buf[1] & 127, 2
        if n >= 126:
            size = 2 if n == 126 else 8
            check(self.need(2 + size))
            n, at = int.from_bytes(self.buf[2:2 + size], "big"), 2 + size
        check(self.need(at + n))
        data, self.buf = self.buf[at:at + n], self.buf[at + n:]
        return None if op == 8 else (op, data)

    def channels(self):
        """Everything until the end, by channel."""
        out = {}
        for op, data in iter(self.receive, None):
            if op == 1:
                data = bytes([data[0] - 48]) + base64.b64decode(data[1:])
            out[data[0]] = out.get(data[0], b"") + data[1:]
        self.s.close()
        return out


def on_terminal(argv, steps, rows=33, columns=101):
    """Runs it on a terminal. Each step waits for a text, then types. What was shown, and the exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    shown, end = b"", time.monotonic() + 15
    steps = list(steps)
    at = 0
    while time.monotonic() < end:
        if steps and re.search(steps[0][0].encode(), shown[at:]):
            at = len(shown)
            if callable(steps[0][1]):
                steps[0][1](fd)
            else:
                os.write(fd, steps[0][1].encode())
            steps.pop(0)
            continue
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            more = os.read(fd, 65536)
        except OSError:
            more = b""
        if not more:
            break
        shown += more
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    check(not steps, "still waits for %s: %r" % (steps and steps[0][0], shown))
    return shown.decode(errors="replace").replace("\r", ""), code


TESTS = []


def test(fn):
    TESTS.append((fn.__name__, fn, ()))
    return fn


def each_kubectl(fn):
    """Once for the kubectl that speaks SPDY, once for the one that speaks WebSocket."""
    for k in KUBECTLS:
        TESTS.append(("%s_%s" % (fn.__name__, re.sub(r".*kubectl-([\d.]+).*", r"\1", k)), fn, (k,)))
    return fn


# ---- exec ----
@each_kubectl
def exec_passes_streams_and_the_exit_code(n, kubectl):
    r = n.k("exec", "-i", "web", "--", "sh", "-c", "cat; echo err >&2; exit 7", stdin=b"in\n", kubectl=kubectl)
    check(r.returncode == 7 and r.stdout == b"in\n" and r.stderr.startswith(b"err\n"), r)
    r = n.k("exec", "web", "--", "true", kubectl=kubectl)
    check(r.returncode == 0 and not r.stdout and not r.stderr, r)


@each_kubectl
def exec_carries_much_both_ways_unharmed(n, kubectl):
    data = os.urandom(5000000)
    r = n.k("exec", "-i", "web", "--", "cat", stdin=data, kubectl=kubectl)
    check(r.returncode == 0 and r.stdout == data, (r.returncode, len(r.stdout), r.stderr))


@each_kubectl
def exec_tells_the_exit_code_when_input_is_not_read(n, kubectl):
    r = n.k("exec", "-i", "web", "--", "sh", "-c", "echo out; exit 3", stdin=b"x" * 20000000, kubectl=kubectl)
    check(r.returncode == 3 and r.stdout == b"out\n", r)


@each_kubectl
def exec_on_a_terminal_knows_its_size_and_control_c(n, kubectl):
    def grow(fd):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown, code = on_terminal(n.argv("exec", "-it", "web", "--", "sh", "-c", "trap '' WINCH; while read x; do eval \"$x\"; done", kubectl=kubectl), [
        ("", "until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; echo si''zed\n"),
        ("sized", grow),
        ("", "until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo gr''own\n"),
        ("grown", "exec sh -c 'echo sl''eeps; sleep 100'\n"),
        ("sleeps", "\x03")])
    check(code == 130, (code, shown))


@test
def a_slow_reader_slows_the_program_down(n):
    path = PODS + "web/exec?stdout=1&" + urllib.parse.urlencode({"command": "cat"}) + "&command=/dev/zero"
    ws = WebSocket(n, path, "v5.channel.k8s.io")
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % n.proc.pid).read()).group(1))
    before = rss()
    time.sleep(1.5)
    check(rss() - before < 100000, "%d kB more" % (rss() - before))
    ws.s.close()


@test
def websocket_v5_ends_stdin_by_a_close_signal(n):
    ws = WebSocket(n, PODS + "web/exec?stdin=true&stdout=true&stderr=true&command=sh&command=-c&command=" +
                   urllib.parse.quote("wc -c; exit 9"), "v5.channel.k8s.io")
    check(ws.ok and "v5.channel.k8s.io" in ws.head, ws.head)
    ws.send(b"\x00abc")
    ws.send(b"\xff\x00")
    out = ws.channels()
    status = json.loads(out[3])
    check(out[1].strip() == b"3" and status["reason"] == "NonZeroExitCode", out)
    check(status["details"]["causes"] == [{"reason": "ExitCode", "message": "9"}], out)


@test
def websocket_v4_and_base64_work_as_old_clients_expect(n):
    path = PODS + "web/exec?stdout=True&stderr=True&stdin=False&tty=False&command=sh&command=-c&command=" + urllib.parse.quote("echo o; echo e >&2")
    for protocol in ("v4.channel.k8s.io", "v4.base64.channel.k8s.io"):
        out = WebSocket(n, path, protocol).channels()
        check(out[1] == b"o\n" and out[2] == b"e\n" and json.loads(out[3])["status"] == "Success", (protocol, out))
    for protocol in ("channel.k8s.io", "base64.channel.k8s.io", None):
        out = WebSocket(n, path, protocol).channels()
        check(out[1] == b"o\n" and out[2] == b"e\n" and not out.get(3), (protocol, out))


@test
def what_can_not_become_a_stream_is_refused_with_a_status(n):
    r, body = n.http("POST", PODS + "web/exec?stdout=1&command=id")
    check(r.status == 400 and json.loads(body)["message"] == "Upgrade request required", body)
    r, body = n.http("POST", PODS + "web/exec?command=id")
    check(r.status == 400 and "at least 1 of stdin" in json.loads(body)["message"], body)
    r, body = n.http("POST", PODS + "web/exec?stdout=1")
    check(r.status == 400, body)
    r, body = n.http("POST", PODS + "none/exec?stdout=1&command=id")
    check(r.status == 404, body)
    ws = WebSocket(n, PODS + "web/exec?stdout=1&command=id", "v9.channel.k8s.io")
    check(" 400 " in ws.head, ws.head)
    _, head, _ = n.upgrade(PODS + "web/exec?stdout=1&command=id", [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v9")], "POST")
    check(" 403 " in head and "X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io" in head, head)


@each_kubectl
def cp_copies_there_and_back(n, kubectl):
    with tempfile.TemporaryDirectory() as d:
        os.makedirs(d + "/from/sub")
        data = os.urandom(1000000)
        for name in ("a", "sub/b"):
            with open(d + "/from/" + name, "wb") as f:
                f.write(data)
        to = "/tmp/cp-" + os.path.basename(d)
        r = n.k("cp", d + "/from", "web:" + to, kubectl=kubectl)
        check(r.returncode == 0, r)
        r = n.k("cp", "web:" + to + "/sub", d + "/back", kubectl=kubectl)
        check(r.returncode == 0 and open(d + "/back/b", "rb").read() == data, r)


# ---- attach ----
@each_kubectl
def attach_shows_output_from_now_on(n, kubectl):
    with subprocess.Popen(n.argv("attach", "tick", "-c", "c", kubectl=kubectl), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        lines = [p.stdout.readline() for _ in range(3)]
        p.kill()
        err = p.stderr.read()
    check(lines == [b"tick\n"] * 3 and b"tock" in err, (lines, err))


@each_kubectl
def attach_feeds_stdin_and_stdin_once_ends_it(n, kubectl):
    name = "once%d" % KUBECTLS.index(kubectl)
    n.phase(name, "Running")
    r = n.k("attach", "-i", name, stdin=b"fed\n" * 100000, kubectl=kubectl)
    n.phase(name, "Succeeded")
    check(r.returncode == 0 and r.stdout == b"fed\n" * 100000 + b"over\n", (r.returncode, len(r.stdout), r.stderr))
    check(n.k("logs", name).stdout == b"fed\n" * 100000 + b"over\n", "the log has it too")


@test
def stdin_without_once_takes_one_after_the_other(n):
    n.phase("keep", "Running")
    for kubectl, text in zip((KUBECTLS * 2)[:2], ("one", "end")):
        with subprocess.Popen(n.argv("attach", "-i", "keep", kubectl=kubectl), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            p.stdin.write(text.encode() + b"\n")
            p.stdin.flush()
            check(p.stdout.readline() == b"got %s\n" % text.encode(), text)
            p.kill()
    n.phase("keep", "Failed")


@each_kubectl
def run_it_rm_gives_a_terminal_and_the_exit_code(n, kubectl):
    # kubectl 1.20 makes no service account wait of its own; the prompt comes when attached
    shown, code = on_terminal(n.argv("run", "shell", "-it", "--rm", "--restart=Never", "--image=" + IMAGE, "--command", "--", "sh", kubectl=kubectl), [
        ("enter", "\n"), ("# ", "echo $TERM; until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; tty\n"), ("/dev/pts/0", "exit 6\n")])
    check(code == 6 and "xterm" in shown, (code, shown))
    wait(lambda: not n.get("shell"), 10, "the pod goes")


# ---- debugging ----
@test
def debug_adds_a_container_that_sees_the_others_processes(n):
    shown, code = on_terminal(n.argv("debug", "web", "-it", "--image=" + IMAGE, "--target=c", "-c", "dbg", "--profile=general", "--", "sh"), [
        ("enter", "\n"), ("# ", "tr '\\0' ' ' < /proc/1/cmdline | head -c 12; tty\n"), ("python3 -u.*/dev/pts/0", "exit 3\n")])
    wait(lambda: n.get("web")["status"]["ephemeralContainerStatuses"][0]["state"].get("terminated", {}).get("exitCode") == 3, 10,
         lambda: n.get("web")["status"])
    p = n.get("web")
    check(all(c["restartCount"] == 0 for c in p["status"]["containerStatuses"]) and
          any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"]["conditions"]), p["status"])
    check("exit 3" in n.k("logs", "web", "-c", "dbg").stdout.decode(), "its log")


@test
def debugging_containers_are_only_added_and_only_there(n):
    def patch(sub, containers):
        return n.http("PATCH", PODS + "tick" + sub, json.dumps({"spec": {"ephemeralContainers": containers}}),
                      {"Content-Type": "application/strategic-merge-patch+json"})
    ok = {"name": "d", "image": IMAGE, "command": ["sleep", "1000"]}
    r, body = patch("", [ok])
    check(r.status == 422, body)
    for bad, text in ((dict(ok, name="c"), "Duplicate"), (dict(ok, ports=[{"containerPort": 1}]), "cannot be set for an Ephemeral Container"),
                      (dict(ok, targetContainerName="nix"), "Not found")):
        r, body = patch("/ephemeralcontainers", [bad])
        check(r.status == 422 and text in body.decode(), (bad, r.status, body))
    r, body = patch("/ephemeralcontainers", [ok])
    check(r.status == 200, body)
    r, body = patch("/ephemeralcontainers", [dict(ok, image="other")])
    check(r.status == 422 and b"may not be changed" in body, body)
    wait(lambda: "running" in (n.get("tick")["status"].get("ephemeralContainerStatuses") or [{"state": {}}])[0]["state"], 10,
         lambda: n.get("tick")["status"])
    r = n.k("exec", "tick", "-c", "d", "--", "echo", "within")
    check(r.stdout == b"within\n", r)
    p = pod("early", "true")
    p["spec"]["ephemeralContainers"] = [ok]
    r = n.k("create", "-f", "-", stdin=json.dumps(p).encode())
    check(r.returncode != 0 and b"cannot be set on create" in r.stderr, r)


# ---- port-forward ----
class Forward:
    def __init__(self, n, kubectl, port, name="web"):
        self.p = subprocess.Popen(n.argv("port-forward", name, ":%d" % port, kubectl=kubectl), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.p.stdout.readline().decode()
        m = re.search(r"127.0.0.1:(\d+) ->", line)
        check(m, line or self.p.stderr.read())
        self.port = int(m.group(1))

    def get(self, path, method="GET", body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        c.request(method, path, body)
        return c.getresponse().read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.err = self.p.stderr.read()
        self.p.wait()


@each_kubectl
def port_forward_reaches_the_pods_own_address(n, kubectl):
    with Forward(n, kubectl, 8081) as f:  # bound to 127.0.0.1 in the pod
        check(json.loads(f.get("/x"))["path"] == "/x", "an answer")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda i: json.loads(f.get("/%d" % i))["path"], range(48)))
        check(answers == ["/%d" % i for i in range(48)], answers)
        data = os.urandom(3000000)
        check(f.get("/echo", "POST", data) == data, "an echo of 3 MB")
        check(len(f.get("/big")) == 8000000, "8 MB")


@each_kubectl
def port_forward_tells_that_nobody_listens(n, kubectl):
    with Forward(n, kubectl, 9) as f:
        try:
            f.get("/")
            check(False, "an answer")
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    check(b"error forwarding port 9 to pod web" in f.err and b"Connection refused" in f.err, f.err)


@test
def port_forward_by_channels_as_the_python_client_does_it(n):
    ws = WebSocket(n, PODS + "web/portforward?ports=8081,9", "v4.channel.k8s.io")
    check(ws.ok, ws.head)
    seen = {}
    sent = False
    while b"\r\n\r\n" not in seen.get(0, b"") or b"refused" not in seen.get(3, b""):
        m = ws.receive()
        check(m, seen)
        seen[m[1][0]] = seen.get(m[1][0], b"") + m[1][1:]
        if not sent:
            ws.send(b"\x00GET /y HTTP/1.0\r\n\r\n")
            sent = True
    check(seen[0].startswith(struct.pack("<H", 8081) + b"HTTP/1.1 200"), seen)
    check(seen[1] == struct.pack("<H", 8081) and seen[2] == struct.pack("<H", 9) and seen[3].startswith(struct.pack("<H", 9)), seen)
    ws.channels()
    check(" 400 " in WebSocket(n, PODS + "web/portforward", "v4.channel.k8s.io").head, "no ports")


# ---- logs ----
@each_kubectl
def logs_know_their_options(n, kubectl):
    every = "".join("line %d\n" % i for i in range(1, 6))
    wanted = {"": every, "--tail=2": "line 4\nline 5\n", "--tail=0": "", "--limit-bytes=9": "line 1\nli", "-f": every, "-c c": every,
              "--since-time=2020-01-01T00:00:00Z": every, "--since-time=2100-01-01T00:00:00Z": "",
              "--tail=1 --timestamps": r"\d{4}-\d\d-\d\dT[\d:.]+Z line 5\n", "--insecure-skip-tls-verify-backend": every}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = pool.map(lambda a: n.k("logs", "done", *a.split(), kubectl=kubectl).stdout.decode(), wanted)
    for (options, want), have in zip(wanted.items(), got):
        check(re.fullmatch(want, have), (options, have))
    with subprocess.Popen(n.argv("logs", "-f", "--since=1s", "tick", "-c", "c", kubectl=kubectl), stdout=subprocess.PIPE) as p:
        lines = [p.stdout.readline() for _ in range(6)]
        p.kill()
    check(set(lines) == {b"tick\n", b"tock\n"}, lines)


@test
def log_options_that_make_no_sense_are_refused(n):
    for query, code in (("tailLines=x", 400), ("tailLines=-1", 422), ("limitBytes=0", 422), ("sinceSeconds=0", 422), ("sinceTime=foo", 400),
                        ("sinceSeconds=3&sinceTime=2026-01-01T00:00:00Z", 422), ("container=nix", 400), ("previous=true", 400)):
        r, body = n.http("GET", PODS + "done/log?" + query)
        check(r.status == code and json.loads(body)["kind"] == "Status", (query, r.status, body))


# ---- proxy ----
@test
def the_proxy_passes_every_method_and_rewrites_the_path(n):
    for where in ("pods/web:8080", "pods/web", "pods/http:web:8080", "services/web:h", "services/http:web:80", "services/plain"):
        r, body = n.http("GET", "/api/v1/namespaces/default/%s/proxy/a%%2Fb/?x=1&y=%%20" % where, headers={"X-Mine": "1", "Authorization": "Bearer "})
        got = json.loads(body)
        check(got["path"] == "/a%2Fb/?x=1&y=%20" and got["headers"]["x-mine"] == "1", (where, got))
        check("authorization" not in got["headers"] and got["headers"]["x-forwarded-for"] == "127.0.0.1", got)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        r, body = n.http(method, PODS + "web/proxy/m", body=b"hello" if method[0] == "P" else None)
        check(r.status == 200 and (method == "HEAD" or json.loads(body)["method"] == method), (method, r.status, body))
    check(n.http("GET", PODS + "web/proxy/teapot")[0].status == 418, "the status")
    check(len(n.http("GET", PODS + "web/proxy/big")[1]) == 8000000, "8 MB")
    data = os.urandom(2000000)
    check(n.http("POST", PODS + "web/proxy/echo", body=data)[1] == data, "an echo of 2 MB")


@test
def the_proxy_leads_redirects_back_and_leaves_others(n):
    r, _ = n.http("GET", PODS + "web/proxy?q=1")
    check(r.status == 301 and r.getheader("Location") == PODS + "web/proxy/?q=1", r.getheaders())
    r, _ = n.http("GET", PODS + "web/proxy/redirect")
    check(r.status == 302 and r.getheader("Location") == PODS + "web/proxy/there?x=1", r.getheaders())
    r, _ = n.http("GET", PODS + "web/proxy/elsewhere")
    check(r.getheader("Location") == "http://other.example/x", r.getheaders())


@test
def the_proxy_carries_upgrades_but_no_token(n):
    token = base64.urlsafe_b64encode(n.k("create", "token", "default").stdout.strip()).decode().rstrip("=")
    s, head, rest = n.upgrade("/api/v1/namespaces/default/services/web:h/proxy/up", [
        ("Upgrade", "echo"), ("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io." + token + ", mine")])
    check(" 101 " in head, head)
    check("base64url" not in head and "Sec-WebSocket-Protocol: mine" in head, head)  # it echoes what it got
    s.sendall(b"shout")
    while len(rest) < 5:
        rest += s.recv(100)
    check(rest == b"SHOUT", rest)
    s.close()


@test
def the_proxy_says_what_is_wrong(n):
    for path, code, text in (("pods/nix/proxy/", 404, "not found"), ("services/nix/proxy/", 404, "not found"), ("pods/web:9/proxy/", 503, "refused"),
                             ("services/web/proxy/", 503, "no endpoints available"), ("services/web:nix/proxy/", 503, "no service port"),
                             ("pods/ftp:web:1/proxy/", 400, "invalid pod request"), ("pods/https:web:8080/proxy/", 503, "error trying to reach"),
                             ("services/evil/proxy/", 400, "address not allowed")):
        r, body = n.http("GET", "/api/v1/namespaces/default/" + path)
        check(r.status == code and text in json.loads(body)["message"], (path, r.status, body))


@test
def kubectl_proxy_serves_pods_to_local_programs(n):
    with subprocess.Popen(n.argv("proxy", "--port=0"), stdout=subprocess.PIPE) as p:
        port = int(re.search(rb":(\d+)", p.stdout.readline()).group(1))
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request("GET", PODS + "web/proxy/through")
        got = json.loads(c.getresponse().read())
        p.kill()
    check(got["path"] == "/through", got)


@test
def a_node_answers_for_its_health_and_pods(n):
    node = n.get("web")["spec"]["nodeName"]
    check(n.http("GET", "/api/v1/nodes/%s/proxy/healthz" % node)[1] == b"ok", "healthz")
    names = [p["metadata"]["name"] for p in json.loads(n.http("GET", "/api/v1/nodes/%s/proxy/pods" % node)[1])["items"]]
    check("web" in names, names)
    check(n.http("GET", "/api/v1/nodes/%s/proxy/stats/summary" % node)[0].status == 404, "no numbers")
    check(n.http("GET", "/api/v1/nodes/nix/proxy/healthz")[0].status == 404, "another node")


# ---- who may ----
@test
def get_and_create_are_different_rights(n):
    """1.34: a GET upgrade needs get, a POST needs create."""
    n.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "execs"},
             "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "execs"},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "execs"},
             "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": "default"}]})
    who = [("Impersonate-User", "system:serviceaccount:default:viewer")]
    path = "web/exec?stdout=1&command=id"
    _, head, _ = n.upgrade(PODS + path, [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")] + who, "POST")
    check(" 101 " in head, head)
    _, head, _ = n.upgrade(PODS + path, [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")] + who)
    check(" 403 " in head, head)
    _, head, _ = n.upgrade(PODS + "web/portforward", [("Upgrade", "SPDY/3.1")] + who, "POST")
    check(" 403 " in head, head)


def prepare(n):
    n.apply(pod("web", ["python3", "-u", "-c", WEB], {"ports": [{"containerPort": 8080, "name": "h"}]}),
            pod("tick", "while sleep 0.2; do echo tick; echo tock >&2; done"),
            pod("keep", "while read x; do echo got $x; [ $x = end ] && exit 4; done", {"stdin": True}),
            *(pod("once%d" % i, "cat; echo over", {"stdin": True, "stdinOnce": True}) for i in range(len(KUBECTLS))),
            pod("done", "for i in 1 2 3 4 5; do echo line $i; done"),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
             "spec": {"selector": {"app": "web"}, "ports": [{"name": "h", "port": 80, "targetPort": "h"}]}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"},
             "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "evil"}, "spec": {"ports": [{"port": 80}]}},
            {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "evil"},
             "subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]}]})
    for name, phase in (("web", "Running"), ("tick", "Running"), ("done", "Succeeded")):
        n.phase(name, phase)
    wait(lambda: n.http("GET", "/api/v1/namespaces/default/services/web:h/proxy/")[0].status == 200, 10, "the service's endpoints")


def clean(n):
    if os.path.exists(BIN + "/coracle"):
        subprocess.run([BIN + "/coracle", "uninstall", "--yes", "--data-dir", n.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60)


def main():
    tests = [t for t in TESTS if not ONLY or t[0] in ONLY or t[1].__name__ in ONLY]
    print("1..%d" % (len(tests) + 1), flush=True)
    n = Node()
    try:
        n.start()
        prepare(n)
        for i, (name, fn, args) in enumerate(tests, 1):
            begun = time.monotonic()
            try:
                fn(n, *args)
                print("ok %d - %s # %.1f s" % (i, name, time.monotonic() - begun), flush=True)
            except Exception as e:
                print("not ok %d - %s\n# %s: %s" % (i, name, type(e).__name__, str(e).replace("\n", "\n# ")), flush=True)
                if n.proc.poll() is not None:
                    print("# the node ended with %s\n# %s" % (n.proc.returncode, n.tail().replace("\n", "\n# ")), flush=True)
                    break
        n.k("delete", "pods", "--all", "--grace-period=1", timeout=30)
    except Exception as e:
        print("Bail out! %s: %s" % (type(e).__name__, str(e).replace("\n", " ")), flush=True)
    code = n.stop() if n.proc.poll() is None else n.proc.returncode
    print("%sok %d - the_node_ends_orderly" % ("" if code == 0 else "not ", len(tests) + 1), flush=True)
    if code != 0:
        print("# status %s\n# %s" % (code, n.tail().replace("\n", "\n# ")), flush=True)
    clean(n)
    shutil.rmtree(n.dir, ignore_errors=True)


main()
