# SPDX-License-Identifier: Apache-2.0
"""The transport (kubernetes-api.md 2.9): both versions of HTTP, compression, what is refused before it is a request, and
many or stuck clients. With servers of its own."""
import base64
import gzip
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

import conformance as c
from client import HERE, Client, Server, eventually
from conformance import eq, has, status

CM = "/api/v1/namespaces/default/configmaps"
PYTHON = "/usr/bin/python3"  # which has Debian's packages
IDLE_MAX_KIB = 28  # of memory for an idle watch: 300 MiB for 10,000 of them, less what the server takes itself
IDLE_H2_ALONE_MAX_KIB = 32  # of a watch with a HTTP/2 connection for itself; 2 less of 10,000, so within the 300 MiB too
AFTER_MAX_KIB = 2
IDLE_H2_MAX_KIB = 8  # of a hundred on one


class Own:
    def __init__(self):
        if not c.OWN:
            raise c.Skip()
        self.server = Server()
        self.k = Client(self.server.kubeconfig)
        self.dir = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.dir.cleanup()
        rc, text = self.server.remove()
        if rc != 0:
            raise AssertionError("the server ended with %d\n%s" % (rc, text[-4000:]))

    def socket(self, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(60)
        s.connect((self.k.host, self.k.port))
        return self.k.tls.wrap_socket(s, server_hostname=self.k.host)

    def talk(self, text):
        """What comes back until the server closes: status, body."""
        with self.socket() as s:
            s.sendall(text)
            got = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
        head, _, body = got.partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode(), body

    def curl(self, *args, path, **kw):
        """A started curl that speaks HTTP/2 and trusts, and is trusted by, the server."""
        names = {}
        text = open(self.server.kubeconfig).read()
        for name in ("client-certificate-data", "client-key-data"):
            names[name] = os.path.join(self.dir.name, name)
            with open(names[name], "wb") as f:
                f.write(base64.b64decode(text.split(name + ": ")[1].split()[0]))
        ca = os.path.join(self.dir.name, "ca")
        with open(ca, "w") as f:
            f.write(self.k.ca)
        return subprocess.Popen(
            ["curl", "-sS", "-N", "--http2", "--max-time", "50", "--cacert", ca, "--cert",
             names["client-certificate-data"], "--key", names["client-key-data"], *args,
             "https://%s:%d%s" % (self.k.host, self.k.port, path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)


def config_map(name, data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": data}}


def t69h_http2_serves_the_same():
    with Own() as o:
        p = o.curl("-w", "\n%{http_version} %{http_code}", path=CM)
        body, _, told = p.communicate()[0].decode().rpartition("\n")
        eq(told, "2 200")
        eq(json.loads(body)["kind"], "ConfigMapList")
        p = o.curl("-X", "POST", "-H", "Content-Type: application/json", "-d", json.dumps(config_map("a", "b")),
                   "-w", "\n%{http_version} %{http_code}", path=CM)
        body, _, told = p.communicate()[0].decode().rpartition("\n")
        eq(told, "2 201")
        eq(json.loads(body)["data"], {"x": "b"})
        p = o.curl(path=CM + "/none")
        status(o.k.get(CM + "/none"), 404)
        eq(json.loads(p.communicate()[0])["reason"], "NotFound")
        big = os.path.join(o.dir.name, "big")
        with open(big, "w") as f:
            f.write(json.dumps(config_map("big", "x" * 4000000)))
        p = o.curl("-X", "POST", "-H", "Content-Type: application/json", "--data-binary", "@" + big, path=CM)
        eq(json.loads(p.communicate()[0])["code"], 413)


def t69i_an_http2_watch_ends_cleanly_with_the_server():
    with Own() as o:
        watch = o.curl(path=CM + "?watch=1&fieldSelector=metadata.name=a")
        status(o.k.post(CM, config_map("a", "b")), 201)
        eq(json.loads(watch.stdout.readline())["object"]["metadata"]["name"], "a")
        o.server.restart()
        eq(watch.stdout.read(), b"")
        eq(watch.wait(10), 0, "curl fails if a stream is cut off")


def t69j_what_is_no_request_is_answered_with_a_status():
    host = b"Host: x\r\n"
    many = b"".join(b"X%d: y\r\n" % i for i in range(101))
    with Own() as o:
        for text, code, reason in (
                (b"GET /\r\n\r\n", 400, "BadRequest"),
                (b"GET /%zz HTTP/1.1\r\n" + host + b"\r\n", 400, "BadRequest"),
                (b"GET / HTTP/1.1\r\n" + host + many + b"\r\n", 431, "BadRequest"),
                (b"POST " + CM.encode() + b" HTTP/1.1\r\n" + host + b"Content-Length: 99999999\r\n\r\n", 413,
                 "RequestEntityTooLarge"),
                (b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: br\r\n\r\n", 501, "NotImplemented")):
            got, head, body = o.talk(text)
            eq(got, code, head)
            has(head, "Content-Type: application/json")
            body = json.loads(body)
            eq((body["kind"], body["code"], body["reason"]), ("Status", code, reason))


def t69k_long_lists_are_compressed_for_who_takes_it():
    with Own() as o:
        for i in range(40):
            status(o.k.post(CM, config_map("x%d" % i, "some text, %d " % i * 2000)), 201)
        plain = o.k.get(CM)
        packed = o.k.get(CM, headers={"Accept-Encoding": "gzip"})
        eq(plain.headers.get("Content-Encoding"), None)
        eq(packed.headers.get("Content-Encoding"), "gzip")
        assert len(plain.body) > 1000000, len(plain.body)
        assert len(packed.body) < len(plain.body) / 5, len(packed.body)
        eq(json.loads(gzip.decompress(packed.body)), plain.json)
        w = o.k.watch(CM + "?resourceVersion=0", headers={"Accept-Encoding": "gzip"})
        eq(w.r.headers.get("Content-Encoding"), None)
        eq(w.next()["type"], "ADDED")
        w.close()


def sanitized(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


def measured(n, streams, result):
    env = dict(os.environ)
    own = os.path.join(env.get("CORACLE_BIN", ""), "coracle-apiserver-dev")
    if os.access(own, os.X_OK):
        env["APISERVER"] = own  # memory of the program as it is, without sanitizers
    p = subprocess.run([PYTHON, os.path.join(HERE, "watchers.py"), str(n), str(streams), "2"], env=env,
                       capture_output=True, text=True, timeout=150, check=False)
    result.append((p, sanitized(env["APISERVER"]) if "APISERVER" in env else False))


def check_measured(p, is_sanitized, limit_kib):
    if p.returncode:
        raise AssertionError(p.stdout + p.stderr)
    m = json.loads(p.stdout)
    print("# " + p.stdout.strip())
    idle = max(m["rss_open_mib"], m["rss_idle_mib"]) - m["rss_before_mib"]
    each, after = idle * 1024 / m["watches"], (m["rss_after_mib"] - m["rss_before_mib"]) * 1024 / m["watches"]
    if not is_sanitized:
        assert each < limit_kib, "%.1f KiB for each watch, %.1f are allowed" % (each, limit_kib)
        # what was sent is not kept: the new objects take some
        assert after < limit_kib + AFTER_MAX_KIB, "%.1f KiB for each watch when all had something sent" % after
    for what in ("get", "create"):
        assert m["beside"][what]["p50_ms"] < 10 * m["alone"][what]["p50_ms"] + 20, m


def t70a_idle_watchers_cost_little_and_hinder_nobody():
    """A tenth of the 10,000 watches for which the whole server may take 300 MiB; `tests/api/watchers.py` is the whole."""
    if not c.OWN:
        raise c.Skip()
    result = []
    measured(1000, 0, result)
    check_measured(*result[0], IDLE_MAX_KIB)
    measured(1000, 100, result)
    check_measured(*result[1], IDLE_H2_MAX_KIB)
    measured(1000, 1, result)
    check_measured(*result[2], IDLE_H2_ALONE_MAX_KIB)


def t70b_stuck_and_slow_clients_are_closed_and_delay_nobody():
    """WATCH_STUCK_MS for a watcher that does not read, HTTP_HEAD_TIMEOUT_MS for a head that does not come."""
    with Own() as o:
        stuck = o.socket(4096)
        stuck.sendall(b"GET " + CM.encode() + b"?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck_h2 = o.curl("--limit-rate", "1", path=CM + "?watch=1")
        slow = o.socket()
        slow.sendall(b"GET /api HTTP/1.1\r\nHo")
        began = time.monotonic()
        good = o.k.watch(CM + "?fieldSelector=metadata.name=a", timeout=20)
        status(o.k.post(CM, config_map("a", "")), 201)
        eq(good.next()["type"], "ADDED")
        for i in range(40):
            sent = time.monotonic()
            status(o.k.merge(CM + "/a", {"data": {"x": "%d " % i + "x" * 500000}}), 200)
            has(good.next()["object"]["data"]["x"][:5], "%d " % i)
            took = time.monotonic() - sent
            assert took < 3, "a change took %.1f s to a watcher that reads" % took
        good.close()
        got = slow.recv(65536).decode()
        assert 9 < time.monotonic() - began < 20, time.monotonic() - began
        has(got, "HTTP/1.1 408 ")
        has(got, '"reason":"Timeout"')
        log = os.path.join(o.server.dir, "log")
        assert eventually(lambda: open(log).read().count("takes nothing and is closed") == 2, 60), open(log).read()
        got = b"?"
        try:
            while part := stuck.recv(65536):
                got = part
        except OSError:
            pass  # reset: what was unsent is not sent any more
        assert not got.endswith(b"0\r\n\r\n"), "the watch ended as if nothing was missing"
        stuck.close()
        stuck_h2.send_signal(signal.SIGTERM)
        stuck_h2.wait()
        slow.close()
        status(o.k.get(CM + "/a"), 200)
