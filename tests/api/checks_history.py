# SPDX-License-Identifier: Apache-2.0
"""The recent past (kubernetes-api.md 2.6, 2.7, 7.2): every change is there for five minutes, to watches and to lists at a
revision, however it is kept."""
import random

import conformance as c
from conformance import eq, fresh, has, make, status

PATH = "/api/v1/namespaces/default/configmaps"
WATCHERS, WRITES = 200, 300
OBJECTS, CHANGES = 8, 500


def t74b_two_hundred_watchers_see_three_hundred_writes_once_and_in_order():
    name = fresh("fan")
    rv = status(c.k.get(PATH), 200)["metadata"]["resourceVersion"]
    watches = [c.k.watch(PATH + "?resourceVersion=" + rv, timeout=60) for _ in range(WATCHERS)]
    o = make(PATH, c.cm(name, {"n": "0"}))
    wanted = [("ADDED", o["metadata"]["resourceVersion"], "0")]
    for i in range(1, WRITES):
        o = status(c.k.merge(PATH + "/" + name, {"data": {"n": str(i)}}), 200)
        wanted.append(("MODIFIED", o["metadata"]["resourceVersion"], str(i)))
    for w in watches:
        got = [w.next() for _ in range(WRITES)]
        eq([(e["type"], e["object"]["metadata"]["resourceVersion"], e["object"]["data"]["n"]) for e in got], wanted)
    for w in watches[:10]:
        assert w.quiet(0.05)
    for w in watches:
        w.close()
    c.k.delete(PATH + "/" + name)


def t100_the_past_is_whole_and_says_what_was_written():
    """Large objects that change by little, are deleted and made again: what a watch from before it all tells, and lists at
    revisions on the way."""
    chance = random.Random(100)
    ours = fresh("past")
    start = int(status(c.k.get(PATH), 200)["metadata"]["resourceVersion"])
    filler = {"key-%d" % i: "%032x" % chance.getrandbits(128) for i in range(60)}
    now, wanted, at = {}, [], {}
    for i in range(CHANGES):
        name = "%s-%d" % (ours, chance.randrange(OBJECTS))
        if name not in now:
            o = status(c.k.post(PATH, c.cm(name, dict(filler, n=str(i)))), 201)
            wanted.append(("ADDED", name, o["metadata"]["resourceVersion"], str(i)))
            now[name] = str(i)
        elif chance.randrange(15) == 0:
            status(c.k.delete(PATH + "/" + name), 200)
            wanted.append(("DELETED", name, None, now.pop(name)))
        else:
            o = status(c.k.merge(PATH + "/" + name, {"data": {"n": str(i), "key-%d" % chance.randrange(60): "changed %d" % i}}), 200)
            wanted.append(("MODIFIED", name, o["metadata"]["resourceVersion"], str(i)))
            now[name] = str(i)
        at[wanted[-1][2] or ""] = dict(now)
    w = c.k.watch(PATH + "?resourceVersion=%d" % start, timeout=60)
    before = start
    for kind, name, rv, n in wanted:
        e = w.next()
        eq((e["type"], e["object"]["metadata"]["name"], e["object"]["data"]["n"]), (kind, name, n))
        seen = int(e["object"]["metadata"]["resourceVersion"])
        assert rv is None or seen == int(rv), (seen, rv)
        assert seen > before
        before = seen
        eq(len(e["object"]["data"]), 61)
    assert w.quiet()
    w.close()
    at.pop("", None)
    for rv in chance.sample(sorted(at), 30):
        items = status(c.k.get(PATH + "?resourceVersion=" + rv + "&resourceVersionMatch=Exact"), 200)["items"]
        eq({o["metadata"]["name"]: o["data"]["n"] for o in items if o["metadata"]["name"].startswith(ours)}, at[rv])
    for name in now:
        c.k.delete(PATH + "/" + name)


def t65b_watches_see_what_is_in_their_scope():
    """Of everything, of a namespace, of one object; by the path or by field selectors; of namespaced and other kinds."""
    other = "/api/v1/namespaces/default/configmaps"
    every = "/api/v1/configmaps"
    for path in (c.CM, other):
        c.k.delete(path + "/scope-a")
        c.k.delete(path + "/scope-b")
    rv = c.k.get(c.CM).json["metadata"]["resourceVersion"]
    q = "?resourceVersion=" + rv
    name = "&fieldSelector=metadata.name%3Dscope-a"
    scopes = [(every + q, "aAbB"), (c.CM + q, "ab"), (other + q, "AB"), (c.CM + q + name, "a"), (every + q + name, "aA"),
              (every + q + "&fieldSelector=metadata.namespace%3D" + c.NS, "ab"),
              (every + q + name + ",metadata.namespace%3Ddefault", "A"),
              (every + q + "&fieldSelector=metadata.name%21%3Dscope-a", "bB"),
              (c.CM + q + "&fieldSelector=metadata.namespace%3Ddefault", "")]
    watches = [(c.k.watch(path), want) for path, want in scopes]
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    watches += [(c.k.watch(roles + q + "&fieldSelector=metadata.name%3Dscope-" + n), want) for n, want in ("nn", ("m", ""))]
    for n in "ab":
        for path in (c.CM, other):
            status(c.k.post(path, {"metadata": {"name": "scope-" + n}}), 201)
    status(c.k.post(roles, {"metadata": {"name": "scope-n"}}), 201)
    for w, want in watches:
        got = ""
        for _ in want:
            o = w.next()["object"]["metadata"]
            letter = o["name"][-1]
            got += letter.upper() if o.get("namespace") == "default" else letter
        eq(got, want)
        assert w.quiet(0.1)
        w.close()
    c.k.delete(roles + "/scope-n")


def t71b_the_deprecated_paths_of_watches():
    """/api/v1/watch/...: of everything, of a namespace, of one object; nothing but watches, and only for who may watch (2.7)."""
    rv = c.k.get(c.CM).json["metadata"]["resourceVersion"]
    q = "?resourceVersion=" + rv
    of_ns = "/api/v1/watch/namespaces/%s/configmaps" % c.NS
    a, b = fresh("old"), fresh("old")
    paths = [("/api/v1/watch/configmaps", [a, b]), (of_ns, [a, b]), (of_ns + "/" + b, [b]), (of_ns + "/" + fresh("none"), [])]
    watches = [(c.k.watch(p + q, param=""), want) for p, want in paths]
    for name in (a, b):
        status(c.k.post(c.CM, {"metadata": {"name": name}}), 201)
    for w, want in watches:
        eq([w.next()["object"]["metadata"]["name"] for _ in want], want)
        assert w.quiet(0.1)
        w.close()
    old = "/apis/rbac.authorization.k8s.io/v1/watch/namespaces/%s/roles" % c.NS
    w = c.k.watch(old + "?timeoutSeconds=1", param="")
    eq(w.status, 200)
    w.close()
    status(c.k.post(of_ns, {"metadata": {"name": fresh("old")}}), 405)
    status(c.k.delete(of_ns + "/" + a), 405)
    status(c.k.get(c.CM + "/" + a), 200)
    status(c.k.get(of_ns, headers={"Impersonate-User": "nobody"}), 403)
    has(c.k.get(of_ns, headers={"Impersonate-User": "nobody"}).json["message"], 'cannot watch resource "configmaps"')


def t49b_bindings_are_posted_to_the_namespace_too():
    path = "/api/v1/namespaces/%s/bindings" % c.NS
    name = fresh("bound")
    status(c.k.post(c.PODS, {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a"}]}}), 201)
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}}
    status(c.k.post(path, {"metadata": {"name": fresh("none")}, "target": {"kind": "Node", "name": "n1"}}), 404)
    status(c.k.post(path, {"target": {"name": "n1"}}), 400)
    status(c.k.post(path, {"metadata": {"name": name, "namespace": "other"}, "target": {"name": "n1"}}), 400)
    status(c.k.post(path, {"metadata": {"name": name}}), 422)
    status(c.k.get(path), 405)
    status(c.k.post(path + "?dryRun=All", binding), 201)
    assert "nodeName" not in c.k.get(c.PODS + "/" + name).json["spec"]
    eq(status(c.k.post(path, binding), 201)["status"], "Success")
    eq(c.k.get(c.PODS + "/" + name).json["spec"]["nodeName"], "n1")
    has(status(c.k.post(path, binding), 409, "Conflict")["message"], "already assigned to node")
    c.k.delete(c.PODS + "/" + name + "?gracePeriodSeconds=0")
