# SPDX-License-Identifier: Apache-2.0
"""A small HTTPS client of a Kubernetes API server, and the server to talk to: the one that KUBECONFIG names, or a fresh
one of our own. Standard library only."""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def find_server_program():
    named = os.environ.get("APISERVER")
    if named:
        return named
    top = os.path.join(HERE, "..", "..")
    for where in ("build/bin", "build/release/src/bin", "build/dev-apiserver/src/bin"):
        p = os.path.join(top, where, "coracle-apiserver-dev")
        if os.access(p, os.X_OK):
            return p
    raise SystemExit("no coracle-apiserver-dev: set APISERVER, or run `make build`")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def all(self, name):
        return self.headers.get_all(name) or []


class Client:
    """One connection a request: slow, but nothing carries over from one test to the next."""

    def __init__(self, kubeconfig, anonymous=False, token=None, cert=None):
        text = open(kubeconfig).read()
        m = re.search(r"server: (https?)://([^:\s]+):(\d+)", text)
        self.host, self.port = m.group(2), int(m.group(3))
        self.token, self.tls = token, None
        if m.group(1) == "http":
            return

        def data(key):
            return base64.b64decode(re.search(key + r": (\S+)", text).group(1)).decode()

        self.ca = data("certificate-authority-data")
        self.tls = ssl.create_default_context(cadata=self.ca)
        if not anonymous and not token:
            with tempfile.NamedTemporaryFile("w") as f:
                if cert:
                    f.write(open(cert[0]).read() + open(cert[1]).read())
                else:
                    f.write(data("client-certificate-data") + "\n" + data("client-key-data"))
                f.flush()
                self.tls.load_cert_chain(f.name)

    def connection(self, timeout=20):
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=timeout)

    def open(self, method, path, body=None, type="application/json", headers=None, timeout=20):
        c = self.connection(timeout)
        h = dict(headers or {})
        if self.token:
            h["Authorization"] = "Bearer " + self.token
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if body is not None and type:
            h.setdefault("Content-Type", type)
        c.request(method, path, body=body, headers=h)
        return c, c.getresponse()

    def call(self, method, path, body=None, type="application/json", headers=None):
        c, r = self.open(method, path, body, type, headers)
        a = Answer(r.status, r.headers, r.read())
        c.close()
        return a

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body, **kw):
        return self.call("POST", path, body, **kw)

    def put(self, path, body, **kw):
        return self.call("PUT", path, body, **kw)

    def delete(self, path, body=None, **kw):
        return self.call("DELETE", path, body, **kw)

    def merge(self, path, body, **kw):
        return self.call("PATCH", path, body, type="application/merge-patch+json", **kw)

    def jsonpatch(self, path, ops, **kw):
        return self.call("PATCH", path, ops, type="application/json-patch+json", **kw)

    def smp(self, path, body, **kw):
        return self.call("PATCH", path, body, type="application/strategic-merge-patch+json", **kw)

    def apply(self, path, body, manager="m1", force=None):
        q = "?fieldManager=" + manager if manager else "?x=1"
        if force is not None:
            q += "&force=" + ("true" if force else "false")
        return self.call("PATCH", path + q, body, type="application/apply-patch+yaml")

    def watch(self, path, **kw):
        return Watch(self, path, **kw)


class Watch:
    def __init__(self, client, path, timeout=10, headers=None, param="watch=true"):
        sep = "&" if "?" in path else "?"
        self.c, self.r = client.open("GET", path + (param and sep + param), timeout=timeout, headers=headers)
        self.status = self.r.status

    def next(self):
        """The next event, or None at a clean end."""
        line = self.r.readline()
        return json.loads(line) if line.strip() else None

    def quiet(self, seconds=0.3):
        """True if nothing comes."""
        self.c.sock.settimeout(seconds)
        try:
            return not self.r.readline()
        except (socket.timeout, TimeoutError):
            return True

    def close(self):
        self.c.close()


class Server:
    """A server of our own in a temporary directory, which it runs in; args: more of its options, besides those of
    APISERVER_ARGS, in which @ is something else for each server (for --etcd-prefix=/@)."""

    made = 0

    def __init__(self, args=(), program=None):
        Server.made += 1
        unique = "t%d-%d" % (os.getpid(), Server.made)
        self.args = ["0"] + list(args) if args is not None else []
        if args is not None:
            self.args += [a.replace("@", unique) for a in os.environ.get("APISERVER_ARGS", "").split()]
        self.env = None
        self.program = find_server_program()
        if program:  # beside it
            self.program = os.path.join(os.path.dirname(self.program), program)
        self.dir = tempfile.mkdtemp(prefix="coracle-api-")
        self.start()

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "a")
        self.proc = subprocess.Popen([self.program, self.dir] + self.args, stdout=subprocess.PIPE,
                                     stderr=self.log, text=True, cwd=self.dir, env=self.env)
        self.kubeconfig = self.proc.stdout.readline().strip()
        if not self.kubeconfig:
            raise SystemExit("the server did not start: " + open(os.path.join(self.dir, "log")).read())

    def stop(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        rc = self.proc.wait(20)
        self.proc.stdout.close()
        self.log.close()
        return rc

    def restart(self, sig=signal.SIGTERM):
        rc = self.stop(sig)
        self.start()
        return rc

    def remove(self):
        rc = self.stop() if self.proc.poll() is None else self.proc.returncode
        text = open(os.path.join(self.dir, "log")).read()
        shutil.rmtree(self.dir)
        return rc, text


def eventually(fn, seconds=5):
    end = time.monotonic() + seconds
    while True:
        v = fn()
        if v or time.monotonic() > end:
            return v
        time.sleep(0.05)
