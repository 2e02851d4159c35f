# SPDX-License-Identifier: Apache-2.0
"""Writers and watchers that remember what they were told, and what has to be true of it afterwards."""
import http.client
import json
import random
import threading
import time

NS = "/api/v1/namespaces/load/configmaps"
LOST = (OSError, http.client.HTTPException, ValueError)


class Session:
    """A connection that is kept; broken ones are opened anew with the next call."""

    def __init__(self, client):
        self.client, self.c = client, None

    def call(self, method, path, body=None, timeout=40):
        if not self.c:
            self.c = self.client.connection(timeout)
        try:
            self.c.request(method, path, body=json.dumps(body) if body else None,
                           headers={"Content-Type": "application/json"})
            r = self.c.getresponse()
            return r.status, json.loads(r.read())
        except LOST:
            self.close()
            raise

    def close(self):
        if self.c:
            self.c.close()
        self.c = None


class Writer(threading.Thread):
    """Alone on its keys: creates, replaces, deletes. What was acknowledged has to be found; what was not answered may be."""

    def __init__(self, name, client, seed, keys=8):
        super().__init__(daemon=True)
        self.name, self.session, self.random = name, Session(client), random.Random(seed)
        self.keys = ["%s-%d" % (name, i) for i in range(keys)]
        self.may = {k: {None} for k in self.keys}   # values it can have now; None: there is none
        self.acked = []                             # (rv, name, value), in the order made
        self.unanswered = self.refused = 0
        self.problems, self.ending, self.n = [], False, 0

    def run(self):
        while not self.ending:
            k = self.random.choice(self.keys)
            try:
                self.step(k)
            except LOST:
                self.unanswered += 1
                time.sleep(0.05)

    def read(self, k):
        """What there is now; of the values that were possible, one."""
        code, o = self.session.call("GET", NS + "/" + k)
        if code not in (200, 404):
            raise OSError("read: %d" % code)
        value = o["data"]["n"] if code == 200 else None
        if value not in self.may[k]:
            self.problems.append("%s is %r, but can only be one of %r" % (k, value, self.may[k]))
        self.may[k] = {value}
        return value

    def step(self, k):
        if len(self.may[k]) > 1:
            self.read(k)
        now = next(iter(self.may[k]))
        self.n += 1
        new = None if now is not None and self.random.random() < 0.2 else str(self.n)
        body = {"metadata": {"name": k}, "data": {"n": new, "pad": "x" * self.random.randrange(800)}}
        self.may[k] = {now, new}
        if new is None:
            code, o = self.session.call("DELETE", NS + "/" + k)
        elif now is None:
            code, o = self.session.call("POST", NS, body)
        else:
            code, o = self.session.call("PUT", NS + "/" + k, body)
        if code in (200, 201):
            self.may[k] = {new}
            self.acknowledged(k, new, o)
        elif code < 500 and code != 429:
            self.problems.append("%s: %s to %s: %d %s" % (k, now, new, code, o.get("message")))
        else:
            self.refused += 1   # 5xx: as if it was not answered
            time.sleep(0.05)

    def acknowledged(self, k, value, o):
        if value is None:
            return   # the answer of a deletion has no revision
        rv = int(o["metadata"]["resourceVersion"])
        if self.acked and rv <= self.acked[-1][0]:
            self.problems.append("resourceVersion went from %d to %d" % (self.acked[-1][0], rv))
        self.acked.append((rv, k, value))


class Watcher(threading.Thread):
    """Follows from where it was, whatever happens to the server."""

    def __init__(self, name, client, rv):
        super().__init__(daemon=True)
        self.name, self.client, self.rv = name, client, rv
        self.events, self.times, self.problems = [], [], []
        self.breaks, self.ending, self.conn = 0, False, None

    def run(self):
        while not self.ending:
            try:
                self.follow()
            except LOST + (AttributeError,):
                pass
            self.breaks += 1
            time.sleep(0.02)

    def follow(self):
        path = NS + "?watch=true&allowWatchBookmarks=true&resourceVersion=%d" % self.rv
        self.conn = self.client.connection(120)
        self.conn.request("GET", path)
        r = self.conn.getresponse()
        if r.status != 200:
            raise OSError(r.status)
        while not self.ending:
            line = r.readline()
            if not line.endswith(b"\n"):
                return
            self.take(json.loads(line))

    def take(self, e):
        if e["type"] == "ERROR":
            self.problems.append("%s: %s" % (self.name, e["object"]["message"]))
            self.rv = max(self.rv, 0)
            time.sleep(0.2)
            return
        rv = int(e["object"]["metadata"]["resourceVersion"])
        if e["type"] != "BOOKMARK":
            if rv <= self.rv:
                self.problems.append("%s: event of %d after %d" % (self.name, rv, self.rv))
            self.events.append((rv, e["type"], e["object"]["metadata"]["name"],
                                None if e["type"] == "DELETED" else e["object"]["data"].get("n")))
            self.times.append(time.monotonic())
        self.rv = max(rv, self.rv)

    def end(self):
        self.ending = True
        if self.conn and self.conn.sock:
            try:
                self.conn.sock.shutdown(2)
            except OSError:
                pass
        self.join(10)

    def longest_pause(self):
        return max((b - a for a, b in zip(self.times, self.times[1:])), default=0)


def judge(writers, watchers, final_rv):
    """Everything that is wrong, as texts."""
    wrong = []
    for t in writers + watchers:
        wrong += ["%s: %s" % (t.name, p) for p in t.problems[:5]]
    told = [dict((e[0], e) for e in w.events) for w in watchers]
    for w, t in zip(watchers, told):
        missing = set(told[0]) ^ set(t)
        if missing:
            wrong.append("%s and %s differ at %s" % (watchers[0].name, w.name, sorted(missing)[:10]))
        if len(t) != len(w.events):
            wrong.append("%s was told %d events twice" % (w.name, len(w.events) - len(t)))
        for x in writers:
            for rv, k, value in x.acked:
                e = t.get(rv)
                if rv <= final_rv and (not e or e[2:] != (k, value)):
                    wrong.append("%s: %s=%s acknowledged at %d was told as %s" % (w.name, k, value, rv, e))
                    break
    # every key goes ADDED, MODIFIED..., DELETED, ADDED
    alive = {}
    for e in watchers[0].events:
        if alive.get(e[2], False) != (e[1] != "ADDED"):
            wrong.append("%s is %s at %d, which does not follow" % (e[2], e[1], e[0]))
        alive[e[2]] = e[1] != "DELETED"
    return wrong
