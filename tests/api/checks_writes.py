# SPDX-License-Identifier: Apache-2.0
"""The fine print of writes, deletions and lists: behaviours 11-63 of kubernetes-api.md section 8 that conformance.py leaves open."""
import os
import shutil
import subprocess
import tempfile
import threading
import time

import conformance as c
from conformance import OWN, Skip, eq, eventually, fresh, has, make, status


# ---- protobuf by hand ----
def field(n, data):
    data = data.encode() if isinstance(data, str) else data
    return bytes([n << 3 | 2]) + varint(len(data)) + data


def varint(n):
    out = b""
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out


def number(n, value):
    return bytes([n << 3]) + varint(value)


def envelope(api_version, kind, raw):
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


PROTOBUF = "application/vnd.kubernetes.protobuf"


def t12_one_object_in_three_formats():
    def entry(k, v):
        return field(1, k) + field(2, v)

    def shape(o):
        return o["apiVersion"], o["kind"], o["metadata"]["labels"], o["metadata"]["annotations"], o["data"]
    meta = {"labels": {"l": "1"}, "annotations": {"a": "2"}}
    one = make(c.CM, c.cm(data={"x": "yy", "z": ""}, **meta))
    two = status(c.k.post(c.CM, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  labels: {l: '1'}\n  annotations:\n    a: '2'\n"
                          "data:\n  x: yy\n  z: ''\n" % fresh("y"), type="application/yaml"), 201)
    raw = field(1, field(1, fresh("p")) + field(11, entry("l", "1")) + field(12, entry("a", "2"))) + \
        field(2, entry("x", "yy")) + field(2, entry("z", ""))
    three = status(c.k.post(c.CM, envelope("v1", "ConfigMap", raw), type=PROTOBUF), 201)
    eq(shape(one), shape(two))
    eq(shape(one), shape(three))


def t14_delete_options_in_protobuf():
    for version in ("v1", "meta.k8s.io/v1", "policy/v1"):
        path = c.CM + "/" + make(c.CM, c.cm())["metadata"]["name"]
        dry = envelope(version, "DeleteOptions", field(5, "All"))
        status(c.k.delete(path, dry, type=PROTOBUF), 200)
        status(c.k.get(path), 200)
        wrong = envelope(version, "DeleteOptions", field(2, field(1, "00000000-0000-0000-0000-000000000000")))
        status(c.k.delete(path, wrong, type=PROTOBUF), 409, "Conflict")
        a = status(c.k.delete(path, envelope(version, "DeleteOptions", number(1, 0) + field(4, "Orphan")), type=PROTOBUF), 200)
        eq(a["metadata"]["finalizers"], ["orphan"])
        if OWN:
            status(c.k.merge(path, {"metadata": {"finalizers": None}}), 200)


# ---- names and sizes ----
def t18b_generated_names_are_cut():
    a = make(c.CM, {"metadata": {"generateName": "x" * 200}})
    eq((len(a["metadata"]["name"]), a["metadata"]["name"][:58]), (63, "x" * 58))
    a = make(c.CM, {"metadata": {"generateName": "g-", "name": fresh("own")}})
    assert a["metadata"]["name"].startswith("own"), a
    status(c.k.post(c.CM, {"metadata": {"generateName": "Bad_"}}), 422, "Invalid")
    status(c.k.post(c.CM, {"metadata": {}}), 422, "Invalid")
    a = c.k.post(c.CM + "?dryRun=All", {"metadata": {"generateName": "g-"}})
    assert status(a, 201)["metadata"]["name"].startswith("g-")


def t28b_limits_of_metadata():
    def refused(field_of, **meta):
        a = status(c.k.post(c.CM, c.cm(**meta)), 422, "Invalid")
        assert field_of in [x["field"] for x in a["details"]["causes"]], a["details"]["causes"]
    refused("metadata.labels", labels={"a": "x" * 64})
    refused("metadata.labels", labels={"a": "no blanks"})
    refused("metadata.labels", labels={"-a": "x"})
    refused("metadata.labels", labels={"x" * 64: "x"})
    refused("metadata.labels", labels={"a.b/" + "x" * 64: "x"})
    refused("metadata.annotations", annotations={"a b": "x"})
    refused("metadata.annotations", annotations={"a": "x" * 200 * 1024, "b": "x" * 60 * 1024})
    a = status(c.k.post(c.CM, c.cm(finalizers=["no name"])), 422, "Invalid")
    assert a["details"]["causes"][0]["field"].startswith("metadata.finalizers"), a
    for bad in ({"kind": "Pod", "name": "x", "uid": "u"}, {"apiVersion": "v1", "name": "x", "uid": "u"},
                {"apiVersion": "v1", "kind": "Pod", "uid": "u"}, {"apiVersion": "v1", "kind": "Pod", "name": "x"}):
        a = status(c.k.post(c.CM, c.cm(ownerReferences=[bad])), 422, "Invalid")
        assert a["details"]["causes"][0]["field"].startswith("metadata.ownerReferences"), a
    two = [{"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in "ab"]
    status(c.k.post(c.CM, c.cm(ownerReferences=two)), 422, "Invalid")
    make(c.CM, c.cm(labels={"a.b/c": "x" * 63, "e": ""}, annotations={"A.b/c": "any thing"}))
    status(c.k.post(c.CM, c.cm("x" * 254)), 422, "Invalid")
    make(c.CM, c.cm("y" * 253))
    status(c.k.post("/api/v1/namespaces", {"metadata": {"name": "n" * 64}}), 422, "Invalid")
    status(c.k.post("/api/v1/namespaces", {"metadata": {"name": "a.b"}}), 422, "Invalid")
    secrets = "/api/v1/namespaces/%s/secrets" % c.NS
    status(c.k.post(secrets, {"metadata": {"name": fresh()}, "stringData": {"a": "x" * (1024 * 1024 + 1)}}), 422, "Invalid")
    path = c.CM + "/" + make(c.CM, c.cm())["metadata"]["name"]
    status(c.k.jsonpatch(path, [{"op": "test", "path": "/a", "value": 1}] * 10001), 413, "RequestEntityTooLarge")


def t21b_puts_that_need_a_revision():
    for path, o in (
            ("/apis/coordination.k8s.io/v1/namespaces/%s/leases" % c.NS, {"metadata": {"name": fresh()}}),
            ("/apis/policy/v1/namespaces/%s/poddisruptionbudgets" % c.NS, {"metadata": {"name": fresh()}, "spec": {"selector": {}}}),
            ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", {"metadata": {"name": fresh()}})):
        o = make(path, o)
        name = o["metadata"]["name"]
        del o["metadata"]["resourceVersion"]
        has(status(c.k.put(path + "/" + name, o), 422, "Invalid")["message"], "must be specified for an update")
        status(c.k.delete(path + "/" + name), 200)


def t22b_puts_that_create():
    core = "/api/v1/namespaces/%s/" % c.NS
    rbac = "/apis/rbac.authorization.k8s.io/v1/"
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    creates = [
        (core + "endpoints", {}), (core + "services", {"spec": {"ports": [{"port": 1}]}}), (core + "limitranges", {"spec": {"limits": []}}),
        (core + "events", {"involvedObject": {"namespace": c.NS}}), (rbac + "namespaces/%s/roles" % c.NS, {"rules": []}),
        (rbac + "namespaces/%s/rolebindings" % c.NS, {"roleRef": ref}), (rbac + "clusterroles", {"rules": []}),
        (rbac + "clusterrolebindings", {"roleRef": ref})]
    for path, body in creates:
        name = fresh("put")
        status(c.k.put(path + "/" + name, dict(body, metadata={"name": name})), 201)
        status(c.k.delete(path + "/" + name), 200)
    for path in (core + "configmaps", core + "secrets", core + "serviceaccounts", "/apis/apps/v1/namespaces/%s/deployments" % c.NS):
        name = fresh("put")
        o = c.deployment(name) if path.endswith("deployments") else {"metadata": {"name": name}}
        status(c.k.put(path + "/" + name, o), 404, "NotFound")


def t30b_a_create_without_its_namespace_in_the_body():
    o = make(c.CM, {"metadata": {"name": fresh()}})
    eq(o["metadata"]["namespace"], c.NS)
    a = status(c.k.post("/api/v1/namespaces", {"metadata": {"name": fresh("ns"), "namespace": "x"}}), 201)
    eq(a["metadata"].get("namespace"), None)


# ---- deletion ----
def t45b_delete_options_of_any_kind():
    for kind in (None, {"kind": "DeleteOptions", "apiVersion": "v1"}, {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"},
                 {"kind": "DeleteOptions", "apiVersion": "policy/v1"}):
        path = c.CM + "/" + make(c.CM, c.cm())["metadata"]["name"]
        status(c.k.delete(path, dict(kind or {}, dryRun=["All"])), 200)
        status(c.k.get(path), 200)
        # the body alone counts where there is one
        a = status(c.k.delete(path + "?propagationPolicy=Orphan", dict(kind or {}, propagationPolicy="Background")), 200)
        eq(a["status"], "Success")
    path = c.CM + "/" + make(c.CM, c.cm())["metadata"]["name"]
    status(c.k.delete(path, "{"), 400, "BadRequest")
    status(c.k.delete(path, {"dryRun": ["Some"]}), 422, "Invalid")
    status(c.k.delete(path + "?gracePeriodSeconds=x"), 400, "BadRequest")
    status(c.k.delete(path, {"propagationPolicy": "Sideways"}), 422, "Invalid")
    status(c.k.delete(path, {"propagationPolicy": "Orphan", "orphanDependents": True}), 422, "Invalid")
    a = status(c.k.delete(path + "?propagationPolicy=Orphan"), 200)
    eq(a["metadata"]["finalizers"], ["orphan"])
    if OWN:
        status(c.k.merge(path, {"metadata": {"finalizers": None}}), 200)


def t46b_finalizers_of_built_in_kinds():
    o = make(c.CM, c.cm(finalizers=["a.b/c", "d.e/f"]))
    path = c.CM + "/" + o["metadata"]["name"]
    a = status(c.k.delete(path), 200)
    eq((a["kind"], a["metadata"]["deletionGracePeriodSeconds"]), ("ConfigMap", 0))
    status(c.k.merge(path, {"data": {"still": "mine"}}), 200)  # edits are allowed
    b = status(c.k.merge(path, {"metadata": {"finalizers": ["d.e/f"]}}), 200)
    assert b["metadata"]["deletionTimestamp"] == a["metadata"]["deletionTimestamp"]
    # deletion cannot be taken back
    b["metadata"].pop("deletionTimestamp")
    b = status(c.k.put(path, b), 200)
    assert b["metadata"]["deletionTimestamp"]
    b["metadata"]["finalizers"] = []
    rv = b["metadata"]["resourceVersion"]
    a = status(c.k.put(path, b), 200)
    eq(a["metadata"]["resourceVersion"], rv)  # 2.4: answered with the old one
    status(c.k.get(path), 404)
    make(c.CM, c.cm(o["metadata"]["name"]))


def t48b_revision_preconditions():
    o = make(c.CM, c.cm())
    path, rv = c.CM + "/" + o["metadata"]["name"], o["metadata"]["resourceVersion"]
    status(c.k.merge(path, {"data": {"b": "2"}}), 200)
    has(status(c.k.delete(path, {"preconditions": {"resourceVersion": rv}}), 409, "Conflict")["message"], "precondition")
    o = status(c.k.get(path), 200)
    status(c.k.delete(path, {"preconditions": {"resourceVersion": o["metadata"]["resourceVersion"], "uid": o["metadata"]["uid"]}}), 200)
    status(c.k.delete(path), 404, "NotFound")
    o = make(c.CM, c.cm())
    other = dict(o, metadata=dict(o["metadata"], uid="00000000-0000-0000-0000-000000000000"))
    status(c.k.put(c.CM + "/" + o["metadata"]["name"], other), 409, "Conflict")


def t49b_grace_only_shrinks():
    o = make(c.PODS, c.pod(nodeName="n", terminationGracePeriodSeconds=100))
    path = c.PODS + "/" + o["metadata"]["name"]
    status(c.k.delete(path + "?dryRun=All"), 200)
    assert "deletionTimestamp" not in status(c.k.get(path), 200)["metadata"]
    eq(status(c.k.delete(path), 200)["metadata"]["deletionGracePeriodSeconds"], 100)
    a = status(c.k.delete(path, {"gracePeriodSeconds": 50}), 200)["metadata"]
    eq(a["deletionGracePeriodSeconds"], 50)
    b = status(c.k.delete(path, {"gracePeriodSeconds": 80}), 200)["metadata"]
    eq((b["deletionGracePeriodSeconds"], b["deletionTimestamp"], b["resourceVersion"]), (50, a["deletionTimestamp"], a["resourceVersion"]))
    eq(status(c.k.delete(path, {"gracePeriodSeconds": -1}), 200)["metadata"]["deletionGracePeriodSeconds"], 1)
    status(c.k.delete(path, {"gracePeriodSeconds": 0}), 200)
    status(c.k.get(path), 404)
    o = make(c.PODS, c.pod(nodeName="n"))
    path = c.PODS + "/" + o["metadata"]["name"]
    status(c.k.merge(path + "/status", {"status": {"phase": "Succeeded"}}), 200)
    status(c.k.delete(path), 200)
    status(c.k.get(path), 404)


def t53b_delete_collection_by_field_and_dry():
    label = fresh("dc")
    names = [make(c.CM, c.cm(labels={"dc": label}))["metadata"]["name"] for _ in range(3)]
    a = status(c.k.delete(c.CM + "?dryRun=All&labelSelector=dc%3D" + label), 200)
    eq((a["kind"], len(a["items"])), ("ConfigMapList", 3))
    eq(len(status(c.k.get(c.CM + "?labelSelector=dc%3D" + label), 200)["items"]), 3)
    a = status(c.k.delete(c.CM + "?fieldSelector=metadata.name%3D" + names[0]), 200)
    eq([o["metadata"]["name"] for o in a["items"]], names[:1])
    a = status(c.k.delete(c.CM + "?labelSelector=dc%3D" + label, {"preconditions": {}, "propagationPolicy": "Background"}), 200)
    eq(sorted(o["metadata"]["name"] for o in a["items"]), sorted(names[1:]))
    status(c.k.delete(c.CM + "?labelSelector=%3D%3D%3D"), 400)
    eq(c.k.delete("/apis/%s/v1/widgets" % c.GROUP).status, 404)
    w = c.fresh("dc")
    make(c.WIDGETS, c.widget(labels={"w": w}, finalizers=["a.b/c"]))
    a = status(c.k.delete(c.WIDGETS + "?labelSelector=w%3D" + w), 200)
    o = status(c.k.get(c.WIDGETS + "?labelSelector=w%3D" + w), 200)["items"][0]
    assert o["metadata"]["deletionTimestamp"]
    status(c.k.merge(c.WIDGETS + "/" + o["metadata"]["name"], {"metadata": {"finalizers": None}}), 200)


# ---- lists ----
def t63_lists_and_watches_fit_together():
    base = "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % c.NS
    stop, failures, writers = threading.Event(), [], []

    def write(n):
        i = 0
        try:
            while not stop.is_set():
                name = "fit-%d-%d" % (n, i % 7)
                if c.k.get(base + "/" + name).status == 404:
                    status(c.k.post(base, {"metadata": {"name": name, "labels": {"i": str(i)}}}), 201)
                elif i % 3:
                    status(c.k.merge(base + "/" + name, {"metadata": {"labels": {"i": str(i)}}}), 200)
                else:
                    status(c.k.delete(base + "/" + name), 200)
                i += 1
        except Exception as e:
            failures.append(e)
    for n in range(4):
        writers.append(threading.Thread(target=write, args=(n,)))
        writers[-1].start()
    try:
        for _ in range(5):
            a = status(c.k.get(base), 200)
            rv = int(a["metadata"]["resourceVersion"])
            state = {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in a["items"]}
            assert all(int(v) <= rv for v in state.values()), (rv, state)
            w = c.k.watch(base + "?resourceVersion=%d" % rv)
            last = rv
            for _ in range(60):
                e = w.next()
                o = e["object"]["metadata"]
                now = int(o["resourceVersion"])
                assert now > last, (e["type"], now, last)
                last = now
                known = o["name"] in state
                eq(e["type"] == "ADDED", not known, (e["type"], o["name"]))
                if e["type"] == "DELETED":
                    del state[o["name"]]
                else:
                    state[o["name"]] = o["resourceVersion"]
            w.close()
            b = status(c.k.get(base + "?resourceVersionMatch=Exact&resourceVersion=%d" % last), 200)
            eq({o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in b["items"]}, state)
    finally:
        stop.set()
        for t in writers:
            t.join()
    if failures:
        raise failures[0]


# ---- with controllers ----
class Platform:
    """`coracle server`: with garbage collector and namespace controller; or the cluster."""

    def __enter__(self):
        if not OWN:
            self.k = c.k
            return self
        program = os.path.join(os.path.dirname(c.server.program), "coracle")
        if not os.access(program, os.X_OK):
            raise Skip
        self.dir = tempfile.mkdtemp(prefix="coracle-api-")
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.proc = subprocess.Popen([program, "server", "--data-dir", self.dir, "--port", "0"], stdout=self.log, stderr=self.log)
        config = os.path.join(self.dir, "kubeconfig")

        def up():
            if self.proc.poll() is not None:
                raise AssertionError(open(os.path.join(self.dir, "log")).read()[-2000:])
            return os.path.exists(config)
        assert eventually(up, 15)
        self.k = c.Client(config)
        assert eventually(lambda: self.ready(), 15)
        return self

    def ready(self):
        try:
            return self.k.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200
        except OSError:
            return False

    def __exit__(self, *a):
        if OWN:
            self.proc.terminate()
            self.proc.wait(20)
            self.log.close()
            shutil.rmtree(self.dir, ignore_errors=True)


def t50_dependents_and_namespaces():
    with Platform() as p:
        k = p.k
        ns = fresh("gc")
        status(k.post("/api/v1/namespaces", {"metadata": {"name": ns}}), 201)
        base = "/api/v1/namespaces/%s/configmaps" % ns

        def owner_and_dependent(block=None, finalizers=None):
            o = status(k.post(base, {"metadata": {"name": fresh("own")}}), 201)
            ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]}
            if block is not None:
                ref["blockOwnerDeletion"] = block
            d = status(k.post(base, {"metadata": {"name": fresh("dep"), "ownerReferences": [ref], "finalizers": finalizers or []}}), 201)
            return base + "/" + o["metadata"]["name"], base + "/" + d["metadata"]["name"]
        # 50: background, foreground, orphan
        o, d = owner_and_dependent()
        status(k.delete(o), 200)
        status(k.get(o), 404)
        assert eventually(lambda: k.get(d).status == 404, 15)
        o, d = owner_and_dependent(True, ["a.b/c"])
        a = status(k.delete(o, {"propagationPolicy": "Foreground"}), 200)
        eq(a["metadata"]["finalizers"], ["foregroundDeletion"])
        assert eventually(lambda: status(k.get(d), 200)["metadata"].get("deletionTimestamp"), 15)
        time.sleep(0.5)
        status(k.get(o), 200)
        status(k.merge(d, {"metadata": {"finalizers": None}}), 200)
        assert eventually(lambda: k.get(o).status == 404, 15)
        o, d = owner_and_dependent()
        status(k.delete(o, {"propagationPolicy": "Orphan"}), 200)
        assert eventually(lambda: k.get(o).status == 404, 15)
        eq(status(k.get(d), 200)["metadata"].get("ownerReferences"), None)
        # 51: an owner that never was
        ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "5c3b1f1e-0000-4000-8000-000000000000"}
        d = status(k.post(base, {"metadata": {"name": fresh("dep"), "ownerReferences": [ref]}}), 201)
        assert eventually(lambda: k.get(base + "/" + d["metadata"]["name"]).status == 404, 15)
        # 52: the namespace goes with all that is in it, custom resources too, and says what keeps it
        definition = c.crd("gadgets", "Gadget", group="gc." + c.GROUP)
        status(k.post(c.CRDS, definition), 201)
        gadgets = "/apis/gc.%s/v1/namespaces/%s/gadgets" % (c.GROUP, ns)
        kind = {"apiVersion": "gc.%s/v1" % c.GROUP, "kind": "Gadget"}
        status(k.post(gadgets, dict(kind, metadata={"name": "one"})), 201)
        status(k.post(gadgets, dict(kind, metadata={"name": "two", "finalizers": ["a.b/c"]})), 201)
        a = status(k.delete("/api/v1/namespaces/" + ns), 200)
        eq(a["status"]["phase"], "Terminating")
        assert eventually(lambda: k.get(gadgets + "/one").status == 404, 15)

        def remains():
            conds = status(k.get("/api/v1/namespaces/" + ns), 200)["status"].get("conditions", [])
            return {x["type"]: (x["status"], x["message"]) for x in conds}
        assert eventually(lambda: remains().get("NamespaceFinalizersRemaining", ("",))[0] == "True", 15), remains()
        has(remains()["NamespaceFinalizersRemaining"][1], "a.b/c in 1 resource instances")
        has(remains()["NamespaceContentRemaining"][1], "gadgets.gc.%s has 1 resource instances" % c.GROUP)
        status(k.post(base, {"metadata": {"name": "late"}}), 403, "Forbidden")
        status(k.merge(gadgets + "/two", {"metadata": {"finalizers": None}}), 200)
        assert eventually(lambda: k.get("/api/v1/namespaces/" + ns).status == 404, 30)
        status(k.delete(c.CRDS + "/gadgets.gc." + c.GROUP), 200)
