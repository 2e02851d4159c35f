# SPDX-License-Identifier: Apache-2.0
"""Writers and a watcher that keep book of what a server told them, over its deaths, and the audit of those books:

  - every acknowledged write is there, no other is but those whose answer never came;
  - the resourceVersion never goes back;
  - the watcher sees each change once, in order, and nothing that did not happen."""
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))
from client import Client  # noqa: E402

NS = "/api/v1/namespaces/default/configmaps"


class Refused(Exception):
    """The server answered, but not with success: the write has not been made, or may be made (5xx)."""


class Keyed:
    """One writer's book: each name is only ever written by one writer. A state is a token, or None for absent."""

    def __init__(self):
        self.now = {}        # name -> states it may be in
        self.acked = []      # (rv or None for deletions, name, token or None)
        self.maybe = []      # (name, token or None): the answer never came


class Writer(threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.number, self.book = world, number, Keyed()
        self.random = random.Random(world.seed * 1000 + number)
        self.conn, self.tokens = None, 0
        self.failures = 0  # answers of 5xx

    def call(self, method, path, body=None, type="application/json"):
        """(status, parsed); any exception means that nobody knows."""
        if not self.conn:
            k = self.world.client
            self.conn = http.client.HTTPSConnection(k.host, k.port, context=k.tls, timeout=20)
        self.conn.request(method, path, body=json.dumps(body) if body is not None else None, headers={"Content-Type": type})
        r = self.conn.getresponse()
        return r.status, json.loads(r.read())

    def one(self):
        name = "w%d-%d" % (self.number, self.random.randrange(12))
        may = self.book.now.setdefault(name, {None})
        self.tokens += 1
        token = "%d-%d" % (self.number, self.tokens)
        body = {"metadata": {"name": name}, "data": {"token": token, "pad": "x" * self.random.randrange(3000)}}
        kind = self.random.choice(["create", "patch", "patch", "put", "delete"])
        if may == {None} or (None in may and kind == "create"):
            want, args = token, ("POST", NS, body)
        elif kind == "delete":
            want, args = None, ("DELETE", NS + "/" + name)
        elif kind == "put":
            want, args = token, ("PUT", NS + "/" + name, body)
        else:
            want, args = token, ("PATCH", NS + "/" + name, {"data": body["data"]}, "application/merge-patch+json")
        try:
            status, answer = self.call(*args)
        except (OSError, ssl.SSLError, http.client.HTTPException, ValueError):
            self.conn = None
            may.add(want)
            self.book.maybe.append((name, want))
            return False
        if status in (200, 201):
            rv = None if want is None and answer["kind"] == "Status" else int(answer["metadata"]["resourceVersion"])
            self.book.acked.append((rv, name, want))
            self.book.now[name] = {want}
        elif status >= 500 or status == 429:
            self.failures += 1
            may.add(want)
            self.book.maybe.append((name, want))
        elif status == 404 and None in may:
            self.book.now[name] = {None}
        elif status == 409 and args[0] == "POST" and len(may) > 1:
            may.discard(None)
        else:
            raise AssertionError("%s %s: %d %s; states %r" % (args[0], name, status, json.dumps(answer)[:300], may))
        return True

    def run(self):
        try:
            while not self.world.stopping:
                self.world.may_write.wait()
                if not self.one():
                    self.world.alive.wait(5)
                    time.sleep(0.002)
        except BaseException as e:
            self.world.fail("writer %d: %r" % (self.number, e))


class Watcher(threading.Thread):
    def __init__(self, world, rv):
        super().__init__(daemon=True)
        self.world, self.rv = world, rv
        self.events = []  # (rv, type, name, token)
        self.connects = 0

    def take(self, e):
        o = e["object"]
        if e["type"] == "ERROR":
            raise AssertionError("watch from %d: %s" % (self.rv, json.dumps(o)))
        rv = int(o["metadata"]["resourceVersion"])
        if e["type"] == "BOOKMARK":
            assert rv >= self.rv, (rv, self.rv)
        else:
            assert rv > self.rv, "event %d after %d" % (rv, self.rv)
            self.events.append((rv, e["type"], o["metadata"]["name"], o["data"]["token"]))
        self.rv = rv

    def once(self):
        k = self.world.client
        c = http.client.HTTPSConnection(k.host, k.port, context=k.tls, timeout=5)
        c.request("GET", NS + "?watch=true&allowWatchBookmarks=true&labelSelector=!nobody&resourceVersion=%d" % self.rv)
        r = c.getresponse()
        assert r.status == 200, r.status
        self.connects += 1
        while True:
            line = r.readline()
            if not line.endswith(b"\n"):
                return  # the end, perhaps in the middle of a line
            self.take(json.loads(line))

    def run(self):
        while not self.world.audited:  # not "stopping": the last writes are yet to be seen, perhaps over a new connection
            try:
                self.once()
            except (OSError, ssl.SSLError, http.client.HTTPException):
                self.world.alive.wait(5)
                time.sleep(0.002)
            except BaseException as e:
                self.world.fail("watcher: %r" % e)
                return


class World:
    """The server's clients. alive: the server can be reached, as far as anybody knows."""

    def __init__(self, kubeconfig, seed, writers=6):
        self.seed, self.stopping, self.audited, self.trouble = seed, False, False, []
        self.alive, self.may_write = threading.Event(), threading.Event()
        self.reach(kubeconfig)
        self.seen_rv = self.list()[0]
        self.writers = [Writer(self, n) for n in range(writers)]
        self.watcher = Watcher(self, self.seen_rv)
        self.may_write.set()
        for t in self.writers + [self.watcher]:
            t.start()

    def reach(self, kubeconfig):
        self.client = Client(kubeconfig)
        self.alive.set()

    def fail(self, what):
        self.trouble.append(what)

    def list(self):
        a = self.client.get(NS)
        if a.status != 200:
            raise AssertionError("list: %d %s" % (a.status, a.body[:300]))
        items = {o["metadata"]["name"]: (o["data"]["token"], int(o["metadata"]["resourceVersion"]))
                 for o in a.json["items"] if o["metadata"]["name"].startswith("w")}
        return int(a.json["metadata"]["resourceVersion"]), items

    def check_rv(self):
        """After each restart: never back."""
        newest = max([rv for w in self.writers for rv, _, _ in w.book.acked[-50:] if rv] + [self.watcher.rv, self.seen_rv])
        rv, _ = self.list()
        if rv < newest:
            self.fail("the list is at %d, but %d has been seen" % (rv, newest))
        self.seen_rv = rv

    def finish(self):
        """Stops everything and compares the books. Returns the troubles found."""
        self.stopping = True
        self.may_write.set()
        for w in self.writers:
            w.join(30)
            if w.is_alive():
                self.fail("writer %d hangs" % w.number)
        rv, items = self.list()
        newest = max([r for _, r in items.values()] + [0])
        end = time.monotonic() + 20
        while self.watcher.rv < newest and time.monotonic() < end and self.watcher.is_alive():
            time.sleep(0.02)
        self.audited = True
        self.audit(items)
        return self.trouble

    def audit(self, items):
        by_rv = {rv: (kind, name, token) for rv, kind, name, token in self.watcher.events}
        if len(by_rv) != len(self.watcher.events):
            self.fail("the watcher saw a change twice")
        last, told = {}, set()
        for rv, kind, name, token in self.watcher.events:
            want = {"ADDED": name not in last, "MODIFIED": name in last, "DELETED": last.get(name) == token}[kind]
            if not want:
                self.fail("%s of %s at %d does not follow from %r" % (kind, name, rv, last.get(name)))
            told.add((name, None if kind == "DELETED" else token))
            last.pop(name, None)
            if kind != "DELETED":
                last[name] = token
        if last != {name: token for name, (token, _) in items.items()}:
            self.fail("what the watcher saw does not add up to the list: %r against %r" % (last, items))
        possible = set()
        for w in self.writers:
            possible |= {(name, token) for _, name, token in w.book.acked} | set(w.book.maybe)
            for rv, name, token in w.book.acked:
                if rv and token and by_rv.get(rv, (0, 0, 0))[1:] != (name, token):
                    self.fail("acknowledged %s=%s at %d, the watcher saw %r" % (name, token, rv, by_rv.get(rv)))
                if (name, token) not in told:
                    self.fail("acknowledged %s=%s was never seen" % (name, token))
            for name, may in w.book.now.items():
                state = items.get(name, (None,))[0]
                if state not in may:
                    self.fail("%s is %r, must be one of %r" % (name, state, may))
        if told - possible:
            self.fail("seen, but written by nobody: %r" % sorted(told - possible, key=str)[:5])

    def sums(self):
        return {"acknowledged": sum(len(w.book.acked) for w in self.writers),
                "unanswered": sum(len(w.book.maybe) for w in self.writers),
                "refused": sum(w.failures for w in self.writers),
                "events": len(self.watcher.events), "watches": self.watcher.connects}
