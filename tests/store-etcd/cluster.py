# SPDX-License-Identifier: Apache-2.0
"""An etcd of three members with TLS on loopback, in a temporary directory; and a proxy to cut connections with. The system's
own etcd service is not used. Standard library only."""
import ctypes
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ETCD = "/usr/bin/etcd"


def free_ports(n):
    socks = []
    for _ in range(n):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        socks.append(s)
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def alone():
    """In a child: signals of the terminal are not for it, and it ends with us, however we end."""
    os.setpgrp()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)   # PR_SET_PDEATHSIG


def run(*argv, **kw):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, **kw).stdout


class Cluster:
    """members: {name: Popen or None}"""

    def __init__(self, n=3, tls=True):
        self.dir = tempfile.mkdtemp(prefix="coracle-etcd-")
        self.tls = tls
        self.scheme = "https" if tls else "http"
        self.names = ["m%d" % i for i in range(n)]
        ports = free_ports(2 * n)
        self.client = dict(zip(self.names, ports[:n]))
        self.peer = dict(zip(self.names, ports[n:]))
        self.members = dict.fromkeys(self.names)
        if tls:
            self.make_certificates()
        for m in self.names:
            self.start(m)
        self.wait()

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_certificates(self):
        with open(self.path("ext"), "w") as f:
            f.write("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("openssl", "req", "-x509", *key, "-subj", "/CN=etcd-ca", "-days", "2", "-keyout", self.path("ca.key"),
            "-out", self.path("ca.crt"))
        for name in ("member", "client"):
            run("openssl", "req", *key, "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"),
                "-out", self.path(name + ".csr"))
            run("openssl", "x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.crt"), "-CAkey",
                self.path("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", self.path("ext"), "-out",
                self.path(name + ".crt"))

    def start(self, m, *more):
        url = "%s://127.0.0.1:%d"
        argv = [ETCD, "--name", m, "--data-dir", self.path(m), "--logger", "zap", "--log-level", "error",
                "--listen-client-urls", url % (self.scheme, self.client[m]),
                "--advertise-client-urls", url % (self.scheme, self.client[m]),
                "--listen-peer-urls", url % (self.scheme, self.peer[m]),
                "--initial-advertise-peer-urls", url % (self.scheme, self.peer[m]),
                "--initial-cluster", ",".join("%s=%s" % (x, url % (self.scheme, self.peer[x])) for x in self.names),
                "--heartbeat-interval", "50", "--election-timeout", "500"]
        if self.tls:
            for kind in ("", "peer-"):
                argv += ["--%scert-file" % kind, self.path("member.crt"), "--%skey-file" % kind,
                         self.path("member.key"), "--%strusted-ca-file" % kind, self.path("ca.crt"),
                         "--%sclient-cert-auth" % kind]
        self.members[m] = subprocess.Popen(argv + list(more), stdout=subprocess.DEVNULL,
                                           stderr=open(self.path(m + ".log"), "a"), preexec_fn=alone)

    def kill(self, m, sig=signal.SIGKILL):
        self.members[m].send_signal(sig)
        self.members[m].wait(20)
        self.members[m] = None

    def url(self, m):
        return "%s://127.0.0.1:%d" % (self.scheme, self.client[m])

    def endpoints(self):
        return ",".join(self.url(m) for m in self.names)

    def ctl(self, *argv, members=None):
        tls = []
        if self.tls:
            tls = ["--cacert", self.path("ca.crt"), "--cert", self.path("client.crt"), "--key", self.path("client.key")]
        ends = ",".join(self.url(m) for m in (members or self.names))
        return run("etcdctl", "--endpoints", ends, *tls, *argv, env=dict(os.environ, ETCDCTL_API="3"))

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while True:
            try:
                self.ctl("endpoint", "health", members=[m for m in self.names if self.members[m]])
                return
            except subprocess.SubprocessError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def leader(self):
        up = [m for m in self.names if self.members[m]]
        for m in up:
            if self.ctl("endpoint", "status", members=[m]).split(", ")[4] == "true":
                return m
        return None

    def options(self, endpoints=None):
        out = ["--store=etcd:" + (endpoints or self.endpoints())]
        if self.tls:
            out += ["--etcd-ca=" + self.path("ca.crt"), "--etcd-cert=" + self.path("client.crt"),
                    "--etcd-key=" + self.path("client.key")]
        return out

    def remove(self):
        for m in self.names:
            if self.members[m]:
                self.kill(m)
        shutil.rmtree(self.dir, ignore_errors=True)


class Proxy:
    """Bytes from a port to another one, until it is cut; then it takes no connections until it is mended. late: by how
    many seconds everything that comes back is."""

    def __init__(self, to, late=0):
        self.to, self.pairs, self.whole, self.late = to, [], True, late
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.sock.accept()
            except OSError:
                return
            if not self.whole:
                a.close()
                continue
            b = socket.create_connection(("127.0.0.1", self.to))
            self.pairs += [a, b]
            threading.Thread(target=self.pump, args=(a, b, 0), daemon=True).start()
            threading.Thread(target=self.pump, args=(b, a, self.late), daemon=True).start()

    def pump(self, a, b, late):
        held = queue.Queue()
        if late:
            threading.Thread(target=self.release, args=(held, b), daemon=True).start()
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if late:
                    held.put((time.monotonic() + late, data))
                else:
                    b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def release(self, held, to):
        try:
            while True:
                due, data = held.get()
                time.sleep(max(0, due - time.monotonic()))
                to.sendall(data)
        except OSError:
            pass

    def cut(self):
        self.whole = False
        for s in self.pairs:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.pairs = []

    def mend(self):
        self.whole = True

    def close(self):
        self.cut()
        self.sock.close()
