# SPDX-License-Identifier: Apache-2.0
"""Behaviours of time and of schemas that need a check of their own: what a server that has forgotten answers, bookmarks, single
objects watched, and the reasons of refusals."""
import base64
import json
import os
import socket
import time
import sqlite3

import conformance as c
import watchers
from checks_http import sanitized
from client import Client, Server
from conformance import CM, GROUP, NS, WIDGETS, cm, eq, fresh, has, make, names, status, widget


def forget(server):
    """What five minutes and a compaction do to a stopped server's file: it knows no change any more."""
    with sqlite3.connect(os.path.join(server.dir, "state.db")) as db:
        upto = db.execute("SELECT max(rev) FROM changes").fetchone()[0] - 1
        db.execute("DELETE FROM changes WHERE rev IN (SELECT prev FROM changes WHERE rev <= ? AND prev > 0)", (upto,))
        db.execute("DELETE FROM changes WHERE rev <= ? AND deleted", (upto,))
        db.execute("UPDATE meta SET value = ? WHERE name = 'compact_rev'", (upto,))
    db.close()


def t56_a_new_server_comes_to_rest():
    """With no history to read there is none to go on reading."""
    if not c.OWN or c.FAKE:
        raise c.Skip()
    s = Server()
    try:
        def used():
            stat = open("/proc/%d/stat" % s.proc.pid).read().rsplit(")", 1)[1].split()
            return int(stat[11]) + int(stat[12])
        time.sleep(1)
        before = used()
        time.sleep(1)
        assert used() - before < 5, "%d hundredths of a second in a second" % (used() - before)
    finally:
        eq(s.remove()[0], 0)


def t56_a_server_that_has_forgotten_says_so_and_helps_on():
    """56, 66: 410 with a token that goes on from the present; an old watch gets one ERROR event."""
    if not c.OWN or not c.DURABLE or not os.path.exists(os.path.join(c.server.dir, "state.db")):
        raise c.Skip()
    s = Server()
    try:
        k = Client(s.kubeconfig)
        path = "/api/v1/namespaces/default/configmaps"
        for n in "abcde":
            status(k.post(path, {"metadata": {"name": n, "labels": {"page": "1"}}}), 201)
        one = status(k.get(path + "?limit=2&labelSelector=page%3D1"), 200)
        rv, token = one["metadata"]["resourceVersion"], one["metadata"]["continue"]
        status(k.delete(path + "/d"), 200)
        status(k.merge(path + "/e", {"data": {"x": "y"}}), 200)
        eq(s.stop(), 0)
        forget(s)
        s.start()
        k = Client(s.kubeconfig)
        a = status(k.get(path + "?limit=2&labelSelector=page%3D1&continue=" + token), 410, "Expired")
        rest = status(k.get(path + "?limit=9&labelSelector=page%3D1&continue=" + a["metadata"]["continue"]), 200)
        eq(names(rest), ["c", "e"])
        assert int(rest["metadata"]["resourceVersion"]) > int(rv)
        status(k.get(path + "?resourceVersionMatch=Exact&resourceVersion=" + rv), 410, "Expired")
        w = k.watch(path + "?resourceVersion=" + rv)
        e = w.next()
        eq((w.status, e["type"], e["object"]["code"], e["object"]["reason"]), (200, "ERROR", 410, "Expired"))
        eq(w.next(), None)
    finally:
        rc, text = s.remove()
    eq(rc, 0, text[-2000:])


def t67_bookmarks_follow_the_whole_world():
    """One comes 2 s before the end; with its revision the next watch begins where others have written meanwhile."""
    path = "/api/v1/namespaces/%s/limitranges" % NS
    begin = status(k().get(path), 200)["metadata"]["resourceVersion"]
    w = k().watch(path + "?allowWatchBookmarks=true&timeoutSeconds=5&resourceVersion=" + begin)
    o = make(CM, cm())
    e = w.next()
    eq((e["type"], e["object"]["kind"], e["object"]["apiVersion"]), ("BOOKMARK", "LimitRange", "v1"))
    assert int(e["object"]["metadata"]["resourceVersion"]) >= int(o["metadata"]["resourceVersion"]), e
    eq(w.next(), None)
    w.close()


def t71_watching_one_object_begins_with_it():
    o = make(WIDGETS, widget())
    name = o["metadata"]["name"]
    w = k().watch(WIDGETS + "?resourceVersion=0&fieldSelector=metadata.name%3D" + name)
    eq(w.next()["type"], "ADDED")
    status(k().merge(WIDGETS + "/" + name, {"spec": {"color": "x"}}), 200)
    e = w.next()
    eq((e["type"], e["object"]["spec"]["color"]), ("MODIFIED", "x"))
    make(WIDGETS, widget())
    status(k().delete(WIDGETS + "/" + name), 200)
    eq(w.next()["type"], "DELETED")  # and nothing of the other one
    w.close()


def t78_each_violation_has_its_reason():
    schema = {"type": "object", "properties": {"spec": {"type": "object", "required": ["must"], "properties": {
        "must": {"type": "string"}, "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "kind": {"type": "string", "enum": ["a", "b"]}, "n": {"type": "integer", "minimum": 1, "maximum": 5},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 3, "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}}}}}}
    group = "reasons." + GROUP
    make(c.CRDS, c.crd("reasons", "Reason", group=group, schema=schema))
    path = "/apis/%s/v1/namespaces/%s/reasons" % (group, NS)

    def refused(**spec):
        o = {"apiVersion": group + "/v1", "kind": "Reason", "metadata": {"name": fresh("r")}, "spec": dict({"must": "x"}, **spec)}
        if spec.get("must", "") is None:
            del o["spec"]["must"]
        a = status(k().post(path, o), 422, "Invalid")
        return [(x["reason"], x["field"]) for x in a["details"]["causes"]]
    eq(refused(must=None), [("FieldValueRequired", "spec.must")])
    eq(refused(word=5), [("FieldValueTypeInvalid", "spec.word")])
    eq(refused(word="A"), [("FieldValueInvalid", "spec.word")])
    eq(refused(word="abcdef"), [("FieldValueTooLong", "spec.word")])
    eq(refused(kind="c"), [("FieldValueNotSupported", "spec.kind")])
    eq(refused(n=0), [("FieldValueInvalid", "spec.n")])
    eq(refused(n=6), [("FieldValueInvalid", "spec.n")])
    eq(refused(set=["a", "b", "a"]), [("FieldValueDuplicate", "spec.set[2]")])
    eq(refused(set=["a", "b", "c", "d"]), [("FieldValueTooMany", "spec.set")])
    eq(refused(map=[{"k": "1"}, {"k": "1"}]), [("FieldValueDuplicate", "spec.map[1]")])
    eq(refused(map=[{}]), [("FieldValueRequired", "spec.map[0].k")])
    eq(sorted(refused(word="A", n=9)), [("FieldValueInvalid", "spec.n"), ("FieldValueInvalid", "spec.word")])


def k():
    return c.k


def t99b_a_long_history_is_read_back_as_it_was_and_small():
    """Every event and every past list is the same before and after a restart; old versions do not take more than before."""
    if not c.OWN or not c.DURABLE or "etcd" in os.environ.get("APISERVER_ARGS", ""):
        raise c.Skip()
    path = "/api/v1/namespaces/default/configmaps"
    s = Server()
    try:
        k = Client(s.kubeconfig)
        text = {"k%d" % i: "v" * 100 for i in range(80)}
        begin = k.get(path).json["metadata"]["resourceVersion"]
        conn = k.connection()

        def call(method, where, body, type="application/json"):
            conn.request(method, where, json.dumps(body), {"Content-Type": type})
            a = conn.getresponse()
            body = a.read()
            assert a.status < 300, body
            return json.loads(body)
        for i in range(3000):
            name = "h%d" % (i % 20)
            if i < 20 or i % 700 == 0:
                if i >= 20:
                    call("DELETE", path + "/" + name, {})
                call("POST", path, {"metadata": {"name": name}, "data": text})
            else:
                o = call("PATCH", path + "/" + name, {"data": {"n": str(i)}}, "application/merge-patch+json")
            if i == 1500:
                middle = o["metadata"]["resourceVersion"]

        def seen(n):
            w = k.watch(path + "?resourceVersion=" + begin)
            events = [w.next() for _ in range(n)]
            w.close()
            past = status(k.get(path + "?resourceVersionMatch=Exact&resourceVersion=" + middle), 200)["items"]
            return events, past
        events, past = seen(3000 + 4)
        eq(s.stop(), 0)
        s.start()
        k = Client(s.kubeconfig)
        # before the history is there, which the server reads later, or when somebody asks: it has to fit what comes after it
        conn = k.connection()
        for i in range(100):
            call("PATCH", path + "/h%d" % (i % 3), {"data": {"n": "at once %d" % i}}, "application/merge-patch+json")
        call("DELETE", path + "/h4", {})
        call("POST", path, {"metadata": {"name": "h4"}, "data": text})
        again, past_again = seen(len(events) + 102)
        rss = watchers.rss_mib(s.proc.pid)
        assert sanitized(s.program) or rss < 26, "%.1f MiB after a restart" % rss
        eq([e["type"] for e in again[:len(events)]], [e["type"] for e in events])
        assert again[:len(events)] == events and past_again == past
        eq([e["object"]["data"]["n"] for e in again[len(events):-2]], ["at once %d" % i for i in range(100)])
        eq([e["type"] for e in again[-2:]], ["DELETED", "ADDED"])
        eq(s.stop(), 0)
        s.start()
        k = Client(s.kubeconfig)
        time.sleep(1)  # by itself
        assert seen(len(again)) == (again, past)
    finally:
        rc, log = s.remove()
    eq(rc, 0, log[-2000:])


class Socket:
    """A watch as a browser makes it: frames of a WebSocket (RFC 6455), without a library."""

    def __init__(self, client, path, headers=None):
        self.s = client.tls.wrap_socket(socket.create_connection((client.host, client.port), 10), server_hostname=client.host)
        lines = ["GET %s HTTP/1.1" % path, "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] + ["%s: %s" % h for h in (headers or {}).items()]
        self.s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.f = self.s.makefile("rb")
        self.head = ""
        while not self.head.endswith("\r\n\r\n"):
            line = self.f.readline().decode()
            assert line, self.head
            self.head += line
        self.status = int(self.head.split()[1])

    def send(self, op, data):
        mask = b"\1\2\3\4"
        self.s.sendall(bytes([0x80 | op, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def frame(self):
        """Opcode and what it carries; (None, b"") at the end of the connection."""
        head = self.f.read(2)
        if len(head) < 2:
            return None, b""
        n = head[1] & 127
        assert head[0] & 0x80 and not head[1] & 0x80
        n = int.from_bytes(self.f.read(2 if n == 126 else 8), "big") if n > 125 else n
        return head[0] & 15, self.f.read(n)

    def event(self):
        op, data = self.frame()
        eq(op, 1)
        return json.loads(data)

    def close(self):
        self.f.close()
        self.s.close()


def t71c_watches_by_websocket():
    """2.7: the same events, a text frame each; pings are answered, the end is a close frame."""
    q = "?watch=1&resourceVersion=" + c.k.get(CM).json["metadata"]["resourceVersion"]
    big = cm(data={"x": "y" * 300000})
    w = Socket(c.k, CM + q)
    eq(w.status, 101)
    has(w.head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    plain = c.k.watch(CM + q.replace("watch=1&", ""))
    o, large = make(CM, cm()), make(CM, big)
    status(c.k.delete(CM + "/" + o["metadata"]["name"]), 200)
    got = [w.event() for _ in range(3)]
    eq([(e["type"], e["object"]["metadata"]["name"]) for e in got],
       [("ADDED", o["metadata"]["name"]), ("ADDED", large["metadata"]["name"]), ("DELETED", o["metadata"]["name"])])
    assert got == [plain.next() for _ in range(3)]
    plain.close()
    w.send(9, b"are you there")
    eq(w.frame(), (10, b"are you there"))
    w.send(1, b"nobody listens")
    status(c.k.delete(CM + "/" + large["metadata"]["name"]), 200)
    eq(w.event()["type"], "DELETED")
    w.send(8, b"\x03\xe8")
    while w.frame()[0] is not None:
        pass
    w.close()
    # as others end: by time, by an error in an event
    w = Socket(c.k, CM + "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=none", {"Sec-WebSocket-Protocol": "binary.k8s.io"})
    has(w.head, "Sec-WebSocket-Protocol: binary.k8s.io")
    eq(w.frame(), (8, b"\x03\xe8"))
    w.close()
    # protobuf comes in binary frames
    w = Socket(c.k, CM + q, {"Accept": "application/vnd.kubernetes.protobuf"})
    op, data = w.frame()
    eq((op, data[:1]), (2, b"\x0a"))
    w.close()
    # who may not is told before; what is no watch is an ordinary answer
    w = Socket(c.k, CM + q, {"Impersonate-User": "nobody"})
    eq(w.status, 403)
    w.close()
    w = Socket(c.k, CM)
    eq(w.status, 200)
    w.close()
    # browsers send the token as a protocol
    token = status(c.k.post("/api/v1/namespaces/%s/serviceaccounts/default/token" % NS, {}), 201)["status"]["token"]
    anybody = Client(c.server.kubeconfig, anonymous=True) if c.OWN else None
    if anybody:
        bearer = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
        w = Socket(anybody, CM + q, {"Sec-WebSocket-Protocol": bearer + ", base64.binary.k8s.io"})
        eq(w.status, 403)
        w.close()
    many = [Socket(c.k, CM + "?watch=1&resourceVersion=" + o["metadata"]["resourceVersion"]) for _ in range(50)]
    for w in many[::2]:
        w.close()
    o = make(CM, cm())
    for w in many[1::2]:
        while w.event()["object"]["metadata"]["name"] != o["metadata"]["name"]:
            pass
        w.close()
