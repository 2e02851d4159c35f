#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many idle watchers on one server: what they cost in memory, whether others feel them, how fast a change reaches all.

    watchers.py [N] [STREAMS] [IDLE]
                                  N watches (10000); STREAMS of them on each HTTP/2 connection; 0 (default): HTTP/1.1, one
                                  connection each; looked at after IDLE seconds (12: the server tidies up each 10).
                                  Prints one line of JSON.

Times include this client, which shares the machine: they are upper bounds."""
import http.client
import json
import os
import resource
import select
import socket
import sys
import time

from client import Client, Server

NS = "/api/v1/namespaces/default/configmaps"
OTHER = "/api/v1/namespaces/kube-public/configmaps"
WATCH = NS + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=3000"
SAMPLES = 300


def rss_mib(pid):
    for line in open("/proc/%d/status" % pid):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024


class Http1:
    """One watch on a connection of its own."""

    def __init__(self, client):
        self.sock = client.tls.wrap_socket(socket.create_connection((client.host, client.port)),
                                           server_hostname=client.host)
        self.sock.sendall(b"GET " + WATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: watchers\r\n"
                          b"Accept: application/json\r\n\r\n")
        self.want = 1
        head = self.sock.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), head[:200]
        self.sock.setblocking(False)

    def events(self):
        """How many changes have arrived."""
        got = b""
        try:
            while True:
                part = self.sock.recv(65536)
                if not part:
                    raise SystemExit("a watch has ended")
                got += part
        except (BlockingIOError, OSError) as e:
            if "did not complete" not in str(e) and not isinstance(e, BlockingIOError):
                raise
        return got.count(b'{"type":"ADDED"')

    def close(self):
        self.sock.close()


class Http2:
    """Several watches on one connection."""

    def __init__(self, client, streams):
        import h2.config
        import h2.connection
        self.sock = client.h2_tls.wrap_socket(socket.create_connection((client.host, client.port)),
                                              server_hostname=client.host)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.want = streams
        answers = 0
        for _ in range(streams):
            self.h2.send_headers(self.h2.get_next_available_stream_id(), [
                (":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", WATCH),
                ("user-agent", "watchers"), ("accept", "application/json")], end_stream=True)
        self.sock.sendall(self.h2.data_to_send())
        while answers < streams:
            answers += self.take(self.sock.recv(65536), "ResponseReceived")
        self.sock.setblocking(False)

    def take(self, data, kind):
        import h2.events
        n = 0
        if not data:
            raise SystemExit("a watch has ended")
        for e in self.h2.receive_data(data):
            n += isinstance(e, getattr(h2.events, kind))
            if isinstance(e, h2.events.DataReceived):
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            if isinstance(e, (h2.events.StreamReset, h2.events.StreamEnded, h2.events.ConnectionTerminated)):
                raise SystemExit("a watch has ended: %r" % e)
        self.sock.sendall(self.h2.data_to_send())
        return n

    def events(self):
        n = 0
        try:
            while True:
                n += self.take(self.sock.recv(65536), "DataReceived")
        except (BlockingIOError, OSError) as e:
            if "did not complete" not in str(e) and not isinstance(e, BlockingIOError):
                raise
        return n

    def close(self):
        self.sock.close()


def percentiles(samples):
    s = sorted(samples)
    return {"p50_ms": round(s[len(s) // 2] * 1000, 3), "p99_ms": round(s[len(s) * 99 // 100] * 1000, 3)}


class Caller:
    """Requests one after another on one connection."""

    def __init__(self, client):
        self.c = http.client.HTTPSConnection(client.host, client.port, context=client.tls, timeout=60)
        self.i = 0

    def call(self, method, path, body=None):
        began = time.perf_counter()
        self.c.request(method, path, body=json.dumps(body) if body else None,
                       headers={"Content-Type": "application/json"})
        r = self.c.getresponse()
        r.read()
        assert r.status < 300, r.status
        return time.perf_counter() - began

    def create(self, path):
        self.i += 1
        return self.call("POST", path, {"apiVersion": "v1", "kind": "ConfigMap",
                                        "metadata": {"name": "x%d" % self.i}, "data": {"a": "b" * 500}})

    def measure(self):
        return {"get": percentiles([self.call("GET", "/api/v1/namespaces/kube-public") for _ in range(SAMPLES)]),
                "create": percentiles([self.create(OTHER) for _ in range(SAMPLES)])}


def fan_out(caller, watches):
    """One change; how long until each connection has it for all of its watches."""
    poll = select.epoll()
    by_fd = {w.sock.fileno(): [w, w.want] for w in watches}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    began = time.perf_counter()
    caller.create(NS)
    delays = []
    while len(delays) < len(watches):
        ready = poll.poll(30)
        if not ready:
            raise SystemExit("%d of %d got no event" % (len(watches) - len(delays), len(watches)))
        for fd, _ in ready:
            got = by_fd[fd]
            n = got[0].events()
            if n and got[1] > 0:
                got[1] -= n
                if got[1] <= 0:
                    delays.append(time.perf_counter() - began)
    poll.close()
    return {**percentiles(delays), "max_ms": round(max(delays) * 1000, 1)}


def measure(server, n=10000, streams=0, seconds_idle=12):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, n + 1000), hard))
    client = Client(server.kubeconfig)
    client.h2_tls = Client(server.kubeconfig).tls
    client.h2_tls.set_alpn_protocols(["h2"])
    caller = Caller(client)
    pid = server.proc.pid
    out = {"watches": n, "streams": streams, "rss_before_mib": round(rss_mib(pid), 1), "alone": caller.measure()}
    began = time.perf_counter()
    watches = []
    for i in range(n // (streams or 1)):
        watches.append(Http2(client, streams) if streams else Http1(client))
    out["open_s"] = round(time.perf_counter() - began, 1)
    out["rss_open_mib"] = round(rss_mib(pid), 1)
    time.sleep(seconds_idle)
    out["rss_idle_mib"] = round(rss_mib(pid), 1)
    out["beside"] = caller.measure()
    out["fan_out"] = fan_out(caller, watches)
    out["fan_out_again"] = fan_out(caller, watches)
    out["rss_after_mib"] = round(rss_mib(pid), 1)
    for w in watches:
        w.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return out


if __name__ == "__main__":
    own = Server()
    try:
        print(json.dumps(measure(own, *[int(x) for x in sys.argv[1:]])))
    finally:
        own.remove()
