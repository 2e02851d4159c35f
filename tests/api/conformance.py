#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes clients rely on, by the numbers of kubernetes-api.md section 8. Prints TAP.

    conformance.py [PATTERN]      only tests whose name contains PATTERN

With API_FAKE=1 the fake API of the unit tests takes the server's place, for what it promises.

The checks are the functions named tNN... here and in the files checks_*.py beside, which reach what is shared by
`import conformance as c` (c.k is the administrator's client: it changes when a check restarts the server).

Runs against a server of its own, or against the cluster that KUBECONFIG names if API_CLUSTER=1 is set (tests of a
restart and of the server's own files are skipped then)."""
import base64
import concurrent.futures
import glob
import importlib
import json
import os
import re
import signal
import sys
import time
import traceback

from backend import Backend
from client import Client, Server, eventually

FAKE = os.environ.get("API_FAKE") == "1"
OWN = os.environ.get("API_CLUSTER") != "1"
DURABLE = "--store=mem" not in os.environ.get("APISERVER_ARGS", "")
server = None
k = None  # the administrator
NS = "conformance"
CM = "/api/v1/namespaces/%s/configmaps" % NS
PODS = "/api/v1/namespaces/%s/pods" % NS
GROUP = "conf.coracle.dev"
WIDGETS = "/apis/%s/v1/namespaces/%s/widgets" % (GROUP, NS)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
count = 0


class Skip(Exception):
    pass


def eq(got, want, what=""):
    if got != want:
        raise AssertionError("%s\n  got  %r\n  want %r" % (what, got, want))


def has(text, part):
    if part not in text:
        raise AssertionError("%r not in %r" % (part, text))


def status(a, code, reason=None):
    if a.status != code or (reason and a.json.get("reason") != reason):
        raise AssertionError("got %d %s, want %d %s" % (a.status, a.body[:600], code, reason))
    return a.json if a.body[:1] == b"{" else a.body


def fresh(base="x"):
    global count
    count += 1
    return "%s-%d-%04d" % (base, os.getpid(), count)


def cm(name=None, data=None, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict({"name": name or fresh("cm")}, **meta),
            "data": data if data is not None else {"a": "1"}}


def widget(name=None, spec=None, **meta):
    return {"apiVersion": GROUP + "/v1", "kind": "Widget", "metadata": dict({"name": name or fresh("w")}, **meta),
            "spec": spec if spec is not None else {"color": "red"}}


def pod(name=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name or fresh("pod")},
            "spec": dict({"containers": [{"name": "a", "image": "x"}]}, **spec)}


def make(path, o, code=201):
    return status(k.post(path, o), code)


SCHEMA = {"type": "object", "properties": {
    "spec": {"type": "object", "properties": {
        "color": {"type": "string"}, "size": {"type": "string", "default": "small", "enum": ["small", "big"]},
        "replicas": {"type": "integer", "minimum": 0}, "note": {"type": "string", "nullable": True},
        "weight": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                  "items": {"type": "object", "required": ["name"], "properties": {
                      "name": {"type": "string"}, "port": {"type": "integer"}}}}}},
    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}}}}


def crd(plural="widgets", kind="Widget", group=GROUP, scope="Namespaced", schema=None, **version):
    v = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or SCHEMA},
         "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                                                  "statusReplicasPath": ".status.replicas"}}}
    v.update(version)
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": plural + "." + group},
            "spec": {"group": group, "scope": scope, "versions": [v],
                     "names": {"plural": plural, "kind": kind, "shortNames": [plural[:3]], "categories": ["all"]}}}


def setup():
    global server, k
    if FAKE:
        server = Server(program="coracle-fakeapi-dev", args=None)
        k = Client(server.kubeconfig)
        make("/api/v1/namespaces", {"metadata": {"name": NS}})
        return
    if OWN:
        server = Server()
        k = Client(server.kubeconfig)
    else:
        k = Client(os.environ["KUBECONFIG"])
    make("/api/v1/namespaces", {"metadata": {"name": NS}})
    eventually(lambda: k.get("/api/v1/namespaces/%s/serviceaccounts/default" % NS).status == 200)
    make(CRDS, crd())


# ---- discovery and documents ----
def t01_api_answers():
    a = status(k.get("/api"), 200)
    eq((a["kind"], a["versions"]), ("APIVersions", ["v1"]))


def t02_aggregated_discovery_with_etag():
    t = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    a = k.get("/apis", headers={"Accept": t + ",application/json"})
    eq(a.headers["Content-Type"], t)
    eq(k.get("/apis", headers={"Accept": t, "If-None-Match": a.headers["ETag"]}).status, 304)


def t03_legacy_discovery():
    eq(status(k.get("/apis"), 200)["kind"], "APIGroupList")


def t04_a_new_crd_is_in_every_document_at_once():
    make(CRDS, crd("gadgets", "Gadget"))
    names = [r["name"] for r in status(k.get("/apis/" + GROUP + "/v1"), 200)["resources"]]
    assert {"gadgets", "gadgets/status", "gadgets/scale", "widgets"} <= set(names), names
    has(k.get("/apis", headers={"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"})
        .body.decode(), "gadgets")
    eq(k.get("/apis/%s/v1/gadgets" % GROUP).status, 200)
    doc = status(k.get("/openapi/v3"), 200)["paths"]["apis/" + GROUP + "/v1"]["serverRelativeURL"]
    has(k.get(doc).body.decode(), "Gadget")


def t04b_local_apiservices():
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    a = status(k.get(services + "/v1.apps"), 200)
    eq((a["spec"].get("service"), a["status"]["conditions"][0]["reason"]), (None, "Local"))
    c = crd("locals", "Local", group="local.coracle.dev")
    make(CRDS, c)
    assert eventually(lambda: k.get(services + "/v1.local.coracle.dev").status == 200)
    status(k.delete(CRDS + "/locals.local.coracle.dev"), 200)
    assert eventually(lambda: k.get(services + "/v1.local.coracle.dev").status == 404)
    eq(status(k.get("/api/v1/namespaces/default/services/kubernetes"), 200)["spec"]["clusterIP"], "10.96.0.1")


def t06_readyz_and_anonymous():
    anonymous = Client(server.kubeconfig if OWN else os.environ["KUBECONFIG"], anonymous=True)
    has(k.get("/readyz?verbose").body.decode(), "[+]")
    eq(k.get("/readyz/nope").status, 404)
    eq(anonymous.get("/healthz").body, b"ok")
    eq(anonymous.get("/version").status, 200)
    a = status(anonymous.get("/api"), 403, "Forbidden")
    eq(a["message"], 'forbidden: User "system:anonymous" cannot get path "/api"')
    a = status(anonymous.get("/api/v1/namespaces/n/pods/x"), 403, "Forbidden")
    eq(a["message"], 'pods "x" is forbidden: User "system:anonymous" cannot get resource "pods" in API group "" '
       'in the namespace "n"')


def t10_unknown_paths():
    eq(k.get("/apis/no.such.group/v1/things").body, b"404 page not found\n")
    a = status(k.get("/api/v1/nothings"), 404, "NotFound")
    eq((a["message"], a["details"]), ("the server could not find the requested resource", {}))
    status(k.put(CM, cm()), 405, "MethodNotAllowed")


# ---- writing ----
def t11_content_types():
    eq(k.post(CM, json.dumps(cm()), type=None).status, 201)
    eq(k.post(CM, json.dumps(cm()), type="application/json; charset=utf-8").status, 201)
    eq(k.post(CM, "kind: ConfigMap\nmetadata:\n  name: %s\n" % fresh("y"), type="application/yaml").status, 201)
    status(k.post(CM, json.dumps(cm()), type="text/plain"), 415, "UnsupportedMediaType")


def t15_kind_of_the_body():
    name = fresh("bare")
    eq(make(CM, {"metadata": {"name": name}})["kind"], "ConfigMap")
    has(status(k.post(WIDGETS, {"metadata": {"name": "x"}}), 400, "BadRequest")["message"], "Object 'Kind' is missing")
    status(k.post(CM, dict(cm(), kind="Secret")), 400, "BadRequest")


def t16_names_unlike_the_url():
    status(k.post(CM, cm(namespace="other")), 400, "BadRequest")
    o = make(CM, cm())
    o["metadata"]["name"] = "another"
    status(k.put(CM + "/" + fresh("one"), o), 400, "BadRequest")


def t17_server_owned_metadata():
    o = make(WIDGETS, widget(uid="mine", creationTimestamp="2001-01-01T00:00:00Z", generation=7, selfLink="/x"))
    assert re.fullmatch(r"[0-9a-f-]{36}", o["metadata"]["uid"]), o
    eq(o["metadata"]["generation"], 1)
    assert not o["metadata"]["creationTimestamp"].startswith("2001")
    status(k.post(CM, cm(resourceVersion="5")), 400)


def t18_generate_name():
    names = set()
    o = {"metadata": {"generateName": "g-"}}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for a in pool.map(lambda _: k.post(CM, o), range(200)):
            n = status(a, 201)["metadata"]["name"]
            assert re.fullmatch("g-[bcdfghjklmnpqrstvwxz2456789]{5}", n), n
            names.add(n)
    eq(len(names), 200)


def t19_exists():
    o = cm()
    make(CM, o)
    a = status(k.post(CM, o), 409, "AlreadyExists")
    eq((a["details"]["kind"], a["message"]), ("configmaps", 'configmaps "%s" already exists' % o["metadata"]["name"]))
    o = make(CM, cm(finalizers=["a.b/c"]))
    path = CM + "/" + o["metadata"]["name"]
    k.delete(path)
    has(status(k.post(CM, cm(o["metadata"]["name"])), 409)["message"], "object is being deleted: ")
    k.merge(path, {"metadata": {"finalizers": None}})


def t20_stale_put():
    o = make(CM, cm())
    path = CM + "/" + o["metadata"]["name"]
    k.merge(path, {"data": {"b": "2"}})
    a = status(k.put(path, dict(o, data={"c": "3"})), 409, "Conflict")
    eq(a["message"], 'Operation cannot be fulfilled on configmaps "%s": the object has been modified; please apply your '
       'changes to the latest version and try again' % o["metadata"]["name"])


def t21_put_without_rv():
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    del o["metadata"]["resourceVersion"]
    has(status(k.put(path, o), 422, "Invalid")["message"], "metadata.resourceVersion")
    c = make(CM, cm())
    del c["metadata"]["resourceVersion"]
    status(k.put(CM + "/" + c["metadata"]["name"], dict(c, data={"z": "1"})), 200)


def t22_put_of_a_missing_object():
    w = widget()
    w["metadata"]["resourceVersion"] = "1"
    status(k.put(WIDGETS + "/" + w["metadata"]["name"], w), 404, "NotFound")
    name = fresh("lease")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": NS},
             "spec": {"holderIdentity": "me", "renewTime": "2026-01-02T03:04:05.678901Z"}}
    path = "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s" % (NS, name)
    o = status(k.put(path, lease), 201)
    eq(o["spec"]["renewTime"], "2026-01-02T03:04:05.678901Z")


def t23_a_write_that_changes_nothing():
    for base, o in ((CM, cm()), (WIDGETS, widget())):
        a = make(base, o)
        path = base + "/" + a["metadata"]["name"]
        w = k.watch(base + "?resourceVersion=" + a["metadata"]["resourceVersion"])
        b = status(k.put(path, a), 200)
        c = status(k.merge(path, {"metadata": {"name": a["metadata"]["name"]}}), 200)
        eq(b["metadata"]["resourceVersion"], a["metadata"]["resourceVersion"])
        eq(c["metadata"]["resourceVersion"], a["metadata"]["resourceVersion"])
        eq(c["metadata"].get("generation"), a["metadata"].get("generation"))
        assert w.quiet()
        w.close()


def t24_generation():
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    eq(status(k.merge(path, {"metadata": {"labels": {"a": "b"}}}), 200)["metadata"]["generation"], 1)
    eq(status(k.merge(path, {"spec": {"color": "blue"}}), 200)["metadata"]["generation"], 2)
    a = status(k.merge(path, {"status": {"phase": "x"}}), 200)
    eq((a.get("status"), a["metadata"]["generation"]), (None, 2))


def t25_status_subresource():
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    a = status(k.merge(path + "/status", {"status": {"phase": "up"}, "spec": {"color": "no"},
                                          "metadata": {"labels": {"l": "m"}}}), 200)
    eq((a["status"], a["spec"]["color"], a["metadata"].get("labels"), a["metadata"]["generation"]),
       ({"phase": "up"}, "red", None, 1))
    eq(k.get(path + "/nope").status, 404)


def t25b_scale():
    o = make(WIDGETS, widget(spec={"replicas": 2}))
    path = WIDGETS + "/" + o["metadata"]["name"]
    s = status(k.get(path + "/scale"), 200)
    eq((s["kind"], s["apiVersion"], s["spec"], s["status"]["replicas"]), ("Scale", "autoscaling/v1", {"replicas": 2}, 0))
    eq(status(k.merge(path + "/scale", {"spec": {"replicas": 5}}), 200)["spec"]["replicas"], 5)
    eq(status(k.get(path), 200)["spec"]["replicas"], 5)


def t26_dry_run():
    o = cm()
    a = status(k.post(CM + "?dryRun=All", o), 201)
    assert a["metadata"]["uid"] and "resourceVersion" not in a["metadata"]
    eq(k.get(CM + "/" + o["metadata"]["name"]).status, 404)
    status(k.post(CM + "?dryRun=x", o), 422, "Invalid")


def t27_field_validation():
    def body():
        return '{"apiVersion":"%s/v1","kind":"Widget","metadata":{"name":"%s"},"spec":{"zip":1,"color":"a","color":"b"}}' \
            % (GROUP, fresh("fv"))

    m = status(k.post(WIDGETS + "?fieldValidation=Strict", body()), 400, "BadRequest")["message"]
    has(m, 'strict decoding error: unknown field "spec.zip", duplicate field "spec.color"')
    a = k.post(WIDGETS, body())
    eq((a.status, a.all("Warning")), (201, ['299 - "unknown field \\"spec.zip\\""', '299 - "duplicate field \\"spec.color\\""']))
    eq(a.json["spec"], {"color": "b", "size": "small"})
    a = k.post(WIDGETS + "?fieldValidation=Ignore", body())
    eq((a.status, a.all("Warning")), (201, []))
    status(k.post(WIDGETS + "?fieldValidation=x", body()), 422)
    has(status(k.post(CM + "?fieldValidation=Strict", dict(cm(), zip=1)), 400)["message"], 'unknown field "zip"')


def t28_sizes():
    status(k.post(CM, cm(data={"a": "x" * (4 * 1024 * 1024)})), 413, "RequestEntityTooLarge")
    status(k.post(CM, cm(data={"a": "x" * 1258291})), 422, "Invalid")
    status(k.post(CM, cm(annotations={"a": "x" * (256 * 1024 + 1)})), 422, "Invalid")


def t29_every_error_at_once():
    a = status(k.post(WIDGETS, widget(spec={"color": 1, "size": "huge", "replicas": -1, "tags": ["a", "a"]})), 422, "Invalid")
    eq(sorted(c["field"] for c in a["details"]["causes"]), [".spec.replicas", "spec.color", "spec.replicas", "spec.size", "spec.tags[1]"])
    eq(a["details"]["kind"], "Widget")
    eq(sorted(c["reason"] for c in a["details"]["causes"]),
       ["FieldValueDuplicate", "FieldValueInvalid", "FieldValueInvalid", "FieldValueNotSupported", "FieldValueTypeInvalid"])


def t29b_bad_bodies():
    for body in ("{", "[]", "null", '"x"', "", '{"metadata":"no"}', '{"metadata":{"name":5}}', "{" * 300 + "}" * 300):
        a = k.post(CM, body)
        assert a.status in (400, 422), (body[:30], a.status, a.body[:200])
        eq(a.json["kind"], "Status")
    status(k.post(CM, {"metadata": {"name": fresh()}, "data": {"a": 1}}), 400, "BadRequest")
    status(k.post(CM, "a: [", type="application/yaml"), 400, "BadRequest")
    status(k.post(CM, cm("Not_A_Name")), 422, "Invalid")
    status(k.merge(CM + "/" + make(CM, cm())["metadata"]["name"], "{"), 400)


def t30_missing_and_terminating_namespaces():
    a = status(k.post("/api/v1/namespaces/nowhere/configmaps", cm()), 404, "NotFound")
    eq(a["message"], 'namespaces "nowhere" not found')
    ns = fresh("ns")
    make("/api/v1/namespaces", {"metadata": {"name": ns, "finalizers": ["a.b/c"]}})
    status(k.delete("/api/v1/namespaces/" + ns), 200)
    a = status(k.post("/api/v1/namespaces/%s/configmaps" % ns, cm()), 403, "Forbidden")
    eq([c["reason"] for c in a["details"]["causes"]], ["NamespaceTerminating"])
    k.merge("/api/v1/namespaces/" + ns, {"metadata": {"finalizers": None}})


# ---- patches ----
def t31_merge_patch():
    o = make(WIDGETS, widget(spec={"color": "red", "tags": ["a", "b"]}))
    a = status(k.merge(WIDGETS + "/" + o["metadata"]["name"], {"spec": {"color": None, "tags": ["c"]}}), 200)
    eq(a["spec"], {"size": "small", "tags": ["c"]})


def t32_json_patch_that_does_not_apply():
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    for op in ({"op": "test", "path": "/spec/color", "value": "no"}, {"op": "remove", "path": "/spec/none"},
               {"op": "fly", "path": "/spec"}, {"op": "add", "path": "/no/such/parent", "value": 1}):
        a = status(k.jsonpatch(path, [{"op": "add", "path": "/spec/color", "value": "x"}, op]), 422, "Invalid")
        eq((a["message"], a["details"]), ("the server rejected our request due to an error in our request", {}), op)
    eq(status(k.get(path), 200)["spec"]["color"], "red")
    status(k.jsonpatch(path, {"op": "add"}), 400)


def t33_json_patch_dialect():
    o = make(WIDGETS, widget(annotations={"a/b": "1"}, spec={"tags": ["a"]}))
    path = WIDGETS + "/" + o["metadata"]["name"]
    a = status(k.jsonpatch(path, [
        {"op": "replace", "path": "/spec/color", "value": "new"}, {"op": "test", "path": "/spec/note", "value": None},
        {"op": "add", "path": "/spec/tags/-", "value": "b"},
        {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"}]), 200)
    eq((a["spec"]["color"], a["spec"]["tags"], a["metadata"]["annotations"]["a/b"]), ("new", ["a", "b"], "2"))


def t34_no_strategic_merge_for_custom_resources():
    o = make(WIDGETS, widget())
    a = status(k.smp(WIDGETS + "/" + o["metadata"]["name"], {"spec": {}}), 415, "UnsupportedMediaType")
    has(a["message"], "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")


DEPLOYMENTS = "/apis/apps/v1/namespaces/%s/deployments" % NS


def deployment(name=None):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name or fresh("d")},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{"name": "one", "image": "x", "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]}],
                "tolerations": [{"key": "k", "operator": "Exists"}]}}}}


def t35_strategic_merge_of_containers():
    o = make(DEPLOYMENTS, deployment())
    path = DEPLOYMENTS + "/" + o["metadata"]["name"]

    def spec(containers, **more):
        return {"spec": {"template": {"spec": dict({"containers": containers}, **more)}}}

    a = status(k.smp(path, spec([{"name": "two", "image": "y"}])), 200)
    eq([c["name"] for c in a["spec"]["template"]["spec"]["containers"]], ["two", "one"])
    a = status(k.smp(path, spec([{"name": "one"}, {"name": "two"}],
                                **{"$setElementOrder/containers": [{"name": "one"}, {"name": "two"}]})), 200)
    eq([c["name"] for c in a["spec"]["template"]["spec"]["containers"]], ["one", "two"])
    a = status(k.smp(path, spec([{"name": "one", "env": [{"name": "E", "$patch": "delete"}]}])), 200)
    eq([e["name"] for e in a["spec"]["template"]["spec"]["containers"][0]["env"]], ["F"])


def t36_strategic_merge_of_other_lists():
    o = make(DEPLOYMENTS, deployment())
    path = DEPLOYMENTS + "/" + o["metadata"]["name"]
    a = status(k.smp(path, {"spec": {"template": {"spec": {"tolerations": [{"key": "z", "operator": "Exists"}]}}}}), 200)
    eq([t["key"] for t in a["spec"]["template"]["spec"]["tolerations"]], ["z"])
    k.smp(path, {"metadata": {"finalizers": ["a.b/c"]}})
    a = status(k.smp(path, {"metadata": {"finalizers": ["d.e/f"]}}), 200)
    eq(sorted(a["metadata"]["finalizers"]), ["a.b/c", "d.e/f"])
    a = status(k.smp(path, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/c"]}}), 200)
    eq(a["metadata"]["finalizers"], ["d.e/f"])
    k.smp(path, {"metadata": {"finalizers": None}})


def t37_patches_meet():
    o = make(CM, cm())
    path = CM + "/" + o["metadata"]["name"]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        for a in pool.map(lambda i: k.merge(path, {"data": {"k%d" % i: "v"}}), range(100)):
            status(a, 200)
    eq(len(status(k.get(path), 200)["data"]), 101)
    status(k.merge(path, {"metadata": {"resourceVersion": o["metadata"]["resourceVersion"]}, "data": {"x": "y"}}), 409, "Conflict")


def t38_apply_creates():
    o = cm()
    path = CM + "/" + o["metadata"]["name"]
    has(status(k.apply(path, o, manager=None), 422, "Invalid")["message"], "fieldManager")
    a = status(k.apply(path, o), 201)
    b = status(k.apply(path, o), 200)
    eq(a["metadata"]["resourceVersion"], b["metadata"]["resourceVersion"])


def t39_apply_conflict():
    o = widget()
    path = WIDGETS + "/" + o["metadata"]["name"]
    status(k.apply(path, o), 201)
    o["spec"]["color"] = "blue"
    a = status(k.apply(path, o, manager="m2"), 409, "Conflict")
    c = a["details"]["causes"][0]
    eq((c["reason"], c["field"], c["message"]), ("FieldManagerConflict", ".spec.color", 'conflict with "m1"'))
    eq(status(k.apply(path, o, manager="m2", force=True), 200)["spec"]["color"], "blue")


def t40_apply_gives_up_fields():
    o = cm(data={"a": "1", "b": "2"})
    path = CM + "/" + o["metadata"]["name"]
    status(k.apply(path, o), 201)
    status(k.apply(path, dict(o, data={"b": "2"}), manager="m2"), 200)
    a = status(k.apply(path, dict(o, data={})), 200)
    eq(a["data"], {"b": "2"})


def t41_apply_of_map_lists():
    o = widget(spec={"ports": [{"name": "a", "port": 1}]})
    path = WIDGETS + "/" + o["metadata"]["name"]
    status(k.apply(path, o), 201)
    o["spec"] = {"ports": [{"name": "b", "port": 2}]}
    a = status(k.apply(path, o, manager="m2"), 200)
    eq([p["name"] for p in a["spec"]["ports"]], ["a", "b"])
    m = [e for e in a["metadata"]["managedFields"] if e["manager"] == "m2"][0]
    assert 'k:{"name":"b"}' in m["fieldsV1"]["f:spec"]["f:ports"], m


def t42_apply_refusals():
    o = cm()
    path = CM + "/" + o["metadata"]["name"]
    bad = cm(o["metadata"]["name"])
    bad["metadata"]["managedFields"] = [{"manager": "x"}]
    status(k.apply(path, bad), 400, "BadRequest")
    w = widget()
    status(k.apply(WIDGETS + "/" + w["metadata"]["name"] + "/status", dict(w, status={"phase": "x"})), 404, "NotFound")
    w["spec"]["zip"] = 1
    a = k.apply(WIDGETS + "/" + w["metadata"]["name"], w)
    assert a.status >= 400, a.status


def t43_a_patch_owns_what_it_writes():
    o = cm()
    path = CM + "/" + o["metadata"]["name"]
    status(k.apply(path, o), 201)
    status(k.merge(path + "?fieldManager=hand", {"data": {"a": "other"}}), 200)
    a = status(k.apply(path, o), 409, "Conflict")
    has(a["details"]["causes"][0]["message"], 'conflict with "hand"')


# ---- deletion ----
def t45_delete_options_without_kind():
    o = make(CM, cm())
    a = status(k.delete(CM + "/" + o["metadata"]["name"], {"propagationPolicy": "Background"}), 200)
    eq((a["status"], a["details"]["uid"], a["details"]["kind"]), ("Success", o["metadata"]["uid"], "configmaps"))


def t46_finalizers():
    o = make(WIDGETS, widget(finalizers=["a.b/c"]))
    path = WIDGETS + "/" + o["metadata"]["name"]
    a = status(k.delete(path), 200)
    m = a["metadata"]
    eq((m["deletionGracePeriodSeconds"], m["generation"]), (0, 2))
    assert m["deletionTimestamp"]
    eq(status(k.delete(path), 200)["metadata"]["resourceVersion"], m["resourceVersion"])
    # 47
    w = k.watch(WIDGETS + "?resourceVersion=" + m["resourceVersion"])
    status(k.merge(path, {"metadata": {"finalizers": ["a.b/c", "new/one"]}}), 422, "Invalid")
    a = status(k.merge(path, {"metadata": {"finalizers": None}}), 200)
    e = w.next()
    eq(e["type"], "DELETED")
    assert int(e["object"]["metadata"]["resourceVersion"]) > int(m["resourceVersion"])
    eq(k.get(path).status, 404)
    w.close()


def t48_preconditions():
    o = make(CM, cm())
    path = CM + "/" + o["metadata"]["name"]
    status(k.delete(path, {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}), 409, "Conflict")
    status(k.delete(path, {"preconditions": {"uid": o["metadata"]["uid"]}}), 200)


def t49_pods_go_gracefully():
    o = make(PODS, pod())
    path = PODS + "/" + o["metadata"]["name"]
    status(k.get(path + "/proxy/"), 400)  # it has no address
    eq((o["spec"]["restartPolicy"], o["spec"]["serviceAccountName"], o["status"]["phase"]), ("Always", "default", "Pending"))
    status(k.delete(path), 200)
    eq(k.get(path).status, 404)
    o = make(PODS, pod())
    path = PODS + "/" + o["metadata"]["name"]
    b = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": o["metadata"]["name"]},
         "target": {"kind": "Node", "name": "n1"}}
    eq(status(k.post(path + "/binding", b), 201)["status"], "Success")
    status(k.post(path + "/binding", b), 409)
    a = status(k.get(path), 200)
    eq((a["spec"]["nodeName"], a["status"]["conditions"][0]["type"]), ("n1", "PodScheduled"))
    a = status(k.delete(path), 200)
    eq(a["metadata"]["deletionGracePeriodSeconds"], 30)
    eq(k.get(path).status, 200)
    status(k.delete(path, {"gracePeriodSeconds": 0}), 200)
    eq(k.get(path).status, 404)


def t52_immortal_namespaces():
    status(k.delete("/api/v1/namespaces/default"), 403, "Forbidden")


def t52b_namespace_finalize():
    ns = fresh("fin")
    make("/api/v1/namespaces", {"metadata": {"name": ns}})
    o = status(k.delete("/api/v1/namespaces/" + ns), 200)
    eq((o["status"]["phase"], o["spec"]["finalizers"]), ("Terminating", ["kubernetes"]))
    if not OWN:
        return
    o["spec"]["finalizers"] = []
    status(k.put("/api/v1/namespaces/%s/finalize" % ns, o), 200)
    eq(k.get("/api/v1/namespaces/" + ns).status, 404)


def t53_delete_collection():
    label = fresh("dc")
    for _ in range(3):
        make(CM, cm(labels={"dc": label}))
    a = status(k.delete(CM + "?labelSelector=dc%3D" + label), 200)
    eq(len(a["items"]), 3)
    eq(status(k.get(CM + "?labelSelector=dc%3D" + label), 200)["items"], [])
    eq(k.delete("/api/v1/namespaces").status, 405)
    eq(k.delete("/api/v1/configmaps").status, 405)


# ---- lists ----
def names(a):
    return [o["metadata"]["name"] for o in a["items"]]


def t55_pages_of_one_snapshot():
    base = fresh("page")
    make("/api/v1/namespaces", {"metadata": {"name": base}})
    path = "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % base
    for n in "abcde":
        make(path, {"metadata": {"name": n}})
    one = status(k.get(path + "?limit=2"), 200)
    eq((names(one), one["metadata"]["remainingItemCount"]), (["a", "b"], 3))
    k.delete(path + "/c")
    make(path, {"metadata": {"name": "bb"}})
    status(k.merge(path + "/d", {"metadata": {"labels": {"new": "one"}}}), 200)
    two = status(k.get(path + "?limit=2&continue=" + one["metadata"]["continue"]), 200)
    eq((names(two), two["metadata"]["remainingItemCount"], two["metadata"]["resourceVersion"]),
       (["c", "d"], 1, one["metadata"]["resourceVersion"]))
    eq(two["items"][1]["metadata"].get("labels"), None)
    three = status(k.get(path + "?limit=2&continue=" + two["metadata"]["continue"]), 200)
    eq((names(three), three["metadata"].get("continue"), three["metadata"].get("remainingItemCount")), (["e"], None, None))
    # 57: exactly then
    a = status(k.get(path + "?resourceVersionMatch=Exact&resourceVersion=" + one["metadata"]["resourceVersion"]), 200)
    eq(names(a), list("abcde"))


def t57_revisions_of_lists():
    now = int(status(k.get(CM + "?limit=1"), 200)["metadata"]["resourceVersion"])
    status(k.get(CM + "?resourceVersion=0"), 200)
    status(k.get(CM + "?resourceVersion=%d" % now), 200)
    status(k.get(CM + "?resourceVersion=%d&resourceVersionMatch=NotOlderThan" % now), 200)
    t = time.monotonic()
    a = status(k.get(CM + "?resourceVersion=%d" % (now + 1000000)), 504, "Timeout")
    assert 2.5 < time.monotonic() - t < 6
    eq((a["details"]["causes"][0]["reason"], a["details"]["retryAfterSeconds"]), ("ResourceVersionTooLarge", 1))


def t58_option_errors():
    for q in ("resourceVersionMatch=Exact", "resourceVersionMatch=Exact&resourceVersion=0", "sendInitialEvents=true",
              "resourceVersionMatch=x&resourceVersion=1"):
        status(k.get(CM + "?" + q), 422, "Invalid")
    for q in ("resourceVersion=abc", "continue=zzz", "limit=x", "labelSelector=a%3D%3D%3Db", "fieldSelector=spec.no%3D1"):
        status(k.get(CM + "?" + q), 400, "BadRequest")


def t59_label_selectors():
    tag = fresh("sel")
    make(CM, cm(labels={"tag": tag, "a": "1"}))
    make(CM, cm(labels={"tag": tag, "b": "1"}))
    for q, n in (("a!=1", 1), ("a notin (1)", 1), ("a in (1,2)", 1), ("!a", 1), ("a", 1), ("a!=2", 2)):
        a = status(k.get(CM + "?labelSelector=" + ("tag=%s,%s" % (tag, q)).replace(" ", "%20")), 200)
        eq(len(a["items"]), n, q)


def t60_field_selectors():
    o = make(CM, cm())
    a = status(k.get(CM + "?fieldSelector=metadata.name%3D" + o["metadata"]["name"]), 200)
    eq(names(a), [o["metadata"]["name"]])
    o = make(PODS, pod(nodeName="here"))
    a = status(k.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dhere,status.phase!%3DFailed"), 200)
    eq(names(a), [o["metadata"]["name"]])


def t61_list_of_a_missing_namespace():
    eq(status(k.get("/api/v1/namespaces/nowhere/configmaps"), 200)["items"], [])


def t62_kinds_in_lists():
    make(WIDGETS, widget())
    assert "kind" in status(k.get(WIDGETS), 200)["items"][0]
    a = status(k.get(CM), 200)
    assert "kind" not in a["items"][0] and "apiVersion" not in a["items"][0]
    eq(a["kind"], "ConfigMapList")


# ---- watches ----
def t64_where_a_watch_begins():
    o = make(WIDGETS, widget())
    path = WIDGETS + "?fieldSelector=metadata.name%3D" + o["metadata"]["name"]
    for q in ("", "&resourceVersion=0"):
        w = k.watch(path + q)
        e = w.next()
        eq((e["type"], e["object"]["metadata"]["name"]), ("ADDED", o["metadata"]["name"]))
        w.close()
    w = k.watch(path + "&resourceVersion=" + o["metadata"]["resourceVersion"])
    k.merge(WIDGETS + "/" + o["metadata"]["name"], {"spec": {"color": "x"}})
    eq(w.next()["type"], "MODIFIED")
    w.close()


def t65_leaving_a_selector():
    o = make(CM, cm(labels={"in": "yes"}))
    path = CM + "/" + o["metadata"]["name"]
    w = k.watch(CM + "?labelSelector=in%3Dyes&resourceVersion=" + o["metadata"]["resourceVersion"])
    a = status(k.merge(path, {"metadata": {"labels": {"in": "no"}}}), 200)
    e = w.next()
    eq((e["type"], e["object"]["metadata"]["labels"], e["object"]["metadata"]["resourceVersion"]),
       ("DELETED", {"in": "yes"}, a["metadata"]["resourceVersion"]))
    k.merge(path, {"metadata": {"labels": {"in": "yes"}}})
    eq(w.next()["type"], "ADDED")
    w.close()


def t68_initial_events():
    o = make(WIDGETS, widget())
    w = k.watch(WIDGETS + "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
    kinds = []
    while True:
        e = w.next()
        kinds.append(e["type"])
        if e["type"] == "BOOKMARK":
            break
    assert set(kinds[:-1]) == {"ADDED"}, kinds
    eq(e["object"]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"})
    k.delete(WIDGETS + "/" + o["metadata"]["name"])
    eq(w.next()["type"], "DELETED")
    w.close()
    status(k.get(WIDGETS + "?watch=true&sendInitialEvents=true"), 422)


def t69_timeout_ends_cleanly():
    rv = status(k.get(CM), 200)["metadata"]["resourceVersion"]
    t = time.monotonic()
    w = k.watch(CM + "?timeoutSeconds=1&resourceVersion=" + rv)
    eq(w.next(), None)
    assert 0.5 < time.monotonic() - t < 4


def t72_tables():
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    o = make(WIDGETS, widget())
    a = status(k.get(WIDGETS, headers=accept), 200)
    eq((a["kind"], [c["name"] for c in a["columnDefinitions"]]), ("Table", ["Name", "Age"]))
    eq(a["rows"][0]["object"]["kind"], "PartialObjectMetadata")
    w = k.watch(WIDGETS + "?resourceVersion=" + o["metadata"]["resourceVersion"], headers=accept)
    path = WIDGETS + "/" + o["metadata"]["name"]
    k.merge(path, {"spec": {"color": "1"}})
    k.merge(path, {"spec": {"color": "2"}})
    assert w.next()["object"]["columnDefinitions"]
    assert not w.next()["object"].get("columnDefinitions")
    w.close()


def t73_metadata_only():
    make(WIDGETS, widget())
    for base in (CM, WIDGETS):
        a = k.get(base, headers={"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"})
        eq((a.json["kind"], a.json["items"][0]["kind"]), ("PartialObjectMetadataList", "PartialObjectMetadata"))
        assert "spec" not in a.json["items"][0] and "data" not in a.json["items"][0]
        eq(k.get(base, headers={"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}).status, 406)


def t74_many_watchers_see_everything_in_order():
    o = make(CM, cm())
    path = CM + "/" + o["metadata"]["name"]
    rv = o["metadata"]["resourceVersion"]
    watches = [k.watch(CM + "?fieldSelector=metadata.name%3D" + o["metadata"]["name"] + "&resourceVersion=" + rv)
               for _ in range(20)]
    for i in range(100):
        status(k.merge(path, {"data": {"n": str(i)}}), 200)
    for w in watches:
        eq([w.next()["object"]["data"]["n"] for _ in range(100)], [str(i) for i in range(100)])
        w.close()


# ---- custom resource definitions ----
def t75_usable_at_once():
    for i in range(5):
        p = "abcde"[i] + "things"
        make(CRDS, crd(p, "Thing%d" % i, scope="Cluster"))
        make("/apis/%s/v1/%s" % (GROUP, p), {"apiVersion": GROUP + "/v1", "kind": "Thing%d" % i, "metadata": {"name": "x"}})
        status(k.delete(CRDS + "/" + p + "." + GROUP), 200)


def t76_pruning_and_defaults():
    o = make(WIDGETS, widget(spec={"zip": {"a": 1}, "free": {"any": {"thing": 1}}, "weight": "5"}))
    eq(o["spec"], {"size": "small", "free": {"any": {"thing": 1}}, "weight": "5"})


def t77_null():
    o = make(WIDGETS, widget(spec={"note": None, "size": None}))
    eq(o["spec"], {"note": None, "size": "small"})


def t80_versions():
    c = crd("multis", "Multi")
    v2 = dict(c["spec"]["versions"][0], name="v2", storage=False, deprecated=True)
    c["spec"]["versions"].append(v2)
    make(CRDS, c)
    base = "/apis/%s/%%s/namespaces/%s/multis" % (GROUP, NS)
    name = fresh()
    make(base % "v1", {"apiVersion": GROUP + "/v1", "kind": "Multi", "metadata": {"name": name}})
    a = k.get(base % "v2" + "/" + name)
    eq((a.json["apiVersion"], a.all("Warning")), (GROUP + "/v2", ['299 - "%s/v2 Multi is deprecated"' % GROUP]))
    eq(status(k.get(base % "v2"), 200)["items"][0]["apiVersion"], GROUP + "/v2")
    a = status(k.merge(base % "v2" + "/" + name, {"spec": {"color": "x"}}), 200)
    eq(a["apiVersion"], GROUP + "/v2")
    eq(status(k.get(base % "v1" + "/" + name), 200)["spec"]["color"], "x")


def t81_bad_definitions():
    bad = crd("bads", "Bad", schema={"properties": {"x": {}}})
    status(k.post(CRDS, bad), 422, "Invalid")
    bad = crd("bads", "Bad")
    bad["metadata"]["name"] = "other." + GROUP
    status(k.post(CRDS, bad), 422, "Invalid")
    bad = crd("bads", "Bad")
    bad["spec"]["versions"].append(dict(bad["spec"]["versions"][0], name="v2"))
    status(k.post(CRDS, bad), 422, "Invalid")


def t82_clashing_names():
    make(CRDS, crd("firsts", "First"))
    c = crd("seconds", "Second")
    c["spec"]["names"]["shortNames"] = ["fir"]
    o = make(CRDS, c)
    cond = {x["type"]: x["status"] for x in o["status"]["conditions"]}
    eq(cond["NamesAccepted"], "False")
    eq(k.get("/apis/%s/v1/seconds" % GROUP).status, 404)
    status(k.delete(CRDS + "/firsts." + GROUP), 200)
    assert eventually(lambda: k.get("/apis/%s/v1/seconds" % GROUP).status == 200)


def t83_deleting_a_definition():
    make(CRDS, crd("mortals", "Mortal"))
    base = "/apis/%s/v1/namespaces/%s/mortals" % (GROUP, NS)
    one = {"apiVersion": GROUP + "/v1", "kind": "Mortal", "metadata": {"name": "one", "finalizers": ["a.b/c"]}}
    make(base, one)
    make(base, dict(one, metadata={"name": "two"}))
    status(k.delete(CRDS + "/mortals." + GROUP), 200)
    assert eventually(lambda: k.get(base + "/two").status == 404)
    status(k.get(base + "/one"), 200)
    status(k.post(base, dict(one, metadata={"name": "three"})), 403, "Forbidden")
    k.merge(base + "/one", {"metadata": {"finalizers": None}})
    assert eventually(lambda: k.get(base).status == 404)
    assert eventually(lambda: k.get(CRDS + "/mortals." + GROUP).status == 404)


def t84_printer_columns():
    make(CRDS, crd("cols", "Col", additionalPrinterColumns=[
        {"name": "Ready", "type": "string", "jsonPath": ".spec.free.conditions[?(@.type=='Ready')].status"},
        {"name": "First", "type": "string", "jsonPath": ".spec.tags[0]"},
        {"name": "Wide", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1}]))
    base = "/apis/%s/v1/namespaces/%s/cols" % (GROUP, NS)
    make(base, {"apiVersion": GROUP + "/v1", "kind": "Col", "metadata": {"name": "x"}, "spec": {
        "tags": ["t"], "free": {"conditions": [{"type": "Ready", "status": "True"}]}}})
    a = status(k.get(base, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}), 200)
    eq([c["name"] for c in a["columnDefinitions"]], ["Name", "Ready", "First", "Wide"])
    eq(a["rows"][0]["cells"], ["x", "True", "t", None])


# ---- access ----
def t86_certificates_and_tokens():
    me = status(k.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}), 201)["status"]["userInfo"]
    assert "system:masters" in me["groups"], me
    bad = Client(server.kubeconfig if OWN else os.environ["KUBECONFIG"], token="nonsense")
    status(bad.get("/api"), 401, "Unauthorized")


def token_of(sa, **spec):
    path = "/api/v1/namespaces/%s/serviceaccounts/%s/token" % (NS, sa)
    return status(k.post(path, {"spec": spec}), 201)["status"]["token"]


def t87_tokens_die_with_their_account():
    sa = fresh("sa")
    base = "/api/v1/namespaces/%s/serviceaccounts" % NS
    make(base, {"metadata": {"name": sa}})
    config = server.kubeconfig if OWN else os.environ["KUBECONFIG"]
    c = Client(config, token=token_of(sa))
    me = status(c.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}), 201)["status"]["userInfo"]
    eq(me["username"], "system:serviceaccount:%s:%s" % (NS, sa))
    assert {"system:serviceaccounts", "system:serviceaccounts:" + NS, "system:authenticated"} <= set(me["groups"])
    p = make(PODS, pod())
    bound = Client(config, token=token_of(sa, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": p["metadata"]["name"],
                                                               "uid": p["metadata"]["uid"]}))
    status(bound.get("/apis"), 200)
    k.delete(PODS + "/" + p["metadata"]["name"])
    status(bound.get("/apis"), 401)
    k.delete(base + "/" + sa)
    status(c.get("/apis"), 401)
    make(base, {"metadata": {"name": sa}})
    status(c.get("/apis"), 401)
    status(k.post("/api/v1/namespaces/%s/serviceaccounts/%s/token" % (NS, sa), {"spec": {"expirationSeconds": 5}}), 422)


def t87b_bootstrap_tokens():
    tid = "%06d" % (os.getpid() % 1000000)
    secret = "0123456789abcdef"
    o = {"metadata": {"name": "bootstrap-token-" + tid}, "type": "bootstrap.kubernetes.io/token", "stringData": {
        "token-id": tid, "token-secret": secret, "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:nodes,mallory"}}
    secrets = "/api/v1/namespaces/kube-system/secrets"
    make(secrets, o)
    c = Client(server.kubeconfig if OWN else os.environ["KUBECONFIG"], token=tid + "." + secret)
    me = status(c.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}), 201)["status"]["userInfo"]
    eq((me["username"], me["groups"]), ("system:bootstrap:" + tid, [
        "system:bootstrappers", "system:bootstrappers:nodes", "system:authenticated"]))
    k.merge(secrets + "/bootstrap-token-" + tid, {"stringData": {"expiration": "2020-01-01T00:00:00Z"}})
    status(c.get("/api"), 401)
    c.token = tid + ".0123456789abcdee"
    status(c.get("/api"), 401)


def t88_front_proxy_headers_need_its_certificate():
    me = status(k.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={"X-Remote-User": "mallory"}),
                201)["status"]["userInfo"]
    assert me["username"] != "mallory"
    if not OWN:
        return
    pki = server.dir + "/pki/front-proxy-client"
    front = Client(server.kubeconfig, cert=(pki + ".crt", pki + ".key"))
    me = status(front.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={
        "X-Remote-User": "alice", "X-Remote-Group": "g1", "X-Remote-Extra-Scopes": "s"}), 201)["status"]["userInfo"]
    eq((me["username"], me["extra"]), ("alice", {"scopes": ["s"]}))
    assert "g1" in me["groups"]


def t90_rbac():
    sa = fresh("rb")
    base = "/api/v1/namespaces/%s/serviceaccounts" % NS
    make(base, {"metadata": {"name": sa}})
    c = Client(server.kubeconfig if OWN else os.environ["KUBECONFIG"], token=token_of(sa))
    o = make(CM, cm())
    name = o["metadata"]["name"]
    status(c.get(CM + "/" + name), 403, "Forbidden")
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s" % NS
    make(rbac + "/rolebindings", {"metadata": {"name": sa}, "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": sa}, "subjects": [
            {"kind": "ServiceAccount", "name": sa, "namespace": NS}]})
    has(status(c.get(CM + "/" + name), 403)["message"], 'role.rbac.authorization.k8s.io "%s" not found' % sa)
    make(rbac + "/roles", {"metadata": {"name": sa}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get", "watch", "list"]}]})
    status(c.get(CM + "/" + name), 200)
    status(c.get(CM), 403)
    status(c.get(CM + "?fieldSelector=metadata.name%3D" + name), 200)
    status(c.put(CM + "/" + name, o), 403)
    # 91: the reviews agree
    for verb, n, want in (("get", name, True), ("get", "other", False), ("delete", name, False)):
        spec = {"resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": NS, "name": n}}
        a = status(c.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec}), 201)
        eq(a["status"]["allowed"], want, (verb, n))
        a = status(k.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            "spec": dict(spec, user="system:serviceaccount:%s:%s" % (NS, sa))}), 201)
        eq(a["status"]["allowed"], want, (verb, n))
    a = status(c.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": NS}}), 201)
    assert any(r.get("resourceNames") == [name] for r in a["status"]["resourceRules"]), a
    r = status(k.get(rbac + "/rolebindings/" + sa), 200)
    r["roleRef"]["name"] = "x"
    status(k.put(rbac + "/rolebindings/" + sa, r), 422, "Invalid")


def t89_nobody_grants_what_he_has_not():
    sa = fresh("esc")
    make("/api/v1/namespaces/%s/serviceaccounts" % NS, {"metadata": {"name": sa}})
    c = Client(server.kubeconfig if OWN else os.environ["KUBECONFIG"], token=token_of(sa))
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s" % NS

    def grant(name, *rules):
        make(rbac + "/roles", {"metadata": {"name": name}, "rules": list(rules)})
        make(rbac + "/rolebindings", {"metadata": {"name": name}, "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": [
                {"kind": "ServiceAccount", "name": sa, "namespace": NS}]})

    def role(*verbs):
        return {"metadata": {"name": fresh("r")}, "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}]}
    grant(sa, {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "get"]},
          {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    status(c.post(rbac + "/roles", role("get")), 201)
    a = status(c.post(rbac + "/roles", role("get", "delete")), 403, "Forbidden")
    has(a["message"], "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}')
    status(c.post(rbac + "/roles", role("*")), 403)
    b = {"metadata": {"name": fresh("b")}, "subjects": [], "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}
    status(c.post(rbac + "/rolebindings", b), 403)
    grant(fresh("more"), {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "clusterroles"],
                          "verbs": ["escalate", "bind"]})
    status(c.post(rbac + "/roles", role("*")), 201)
    status(c.post(rbac + "/rolebindings", b), 201)


def t91b_token_review():
    sa = fresh("tr")
    make("/api/v1/namespaces/%s/serviceaccounts" % NS, {"metadata": {"name": sa}})
    a = status(k.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token_of(sa)}}), 201)
    eq((a["status"]["authenticated"], a["status"]["user"]["username"]), (True, "system:serviceaccount:%s:%s" % (NS, sa)))
    a = status(k.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "bad"}}), 201)
    assert not a["status"].get("authenticated") and a["status"]["error"]


def t97_eviction():
    label = fresh("ev")
    p = pod()
    p["metadata"]["labels"] = {"ev": label}
    o = make(PODS, p)
    name = o["metadata"]["name"]
    status(k.merge(PODS + "/" + name + "/status", {"status": {"phase": "Running"}}), 200)
    pdbs = "/apis/policy/v1/namespaces/%s/poddisruptionbudgets" % NS
    make(pdbs, {"metadata": {"name": label}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"ev": label}}}})
    ev = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    a = status(k.post(PODS + "/" + name + "/eviction", ev), 429, "TooManyRequests")
    eq(a["details"]["causes"][0]["reason"], "DisruptionBudget")
    status(k.merge(pdbs + "/" + label + "/status", {"status": {"disruptionsAllowed": 1, "observedGeneration": 1}}), 200)
    status(k.post(PODS + "/" + name + "/eviction", dict(ev, deleteOptions={"dryRun": ["All"]})), 201)
    status(k.get(PODS + "/" + name), 200)
    status(k.post(PODS + "/" + name + "/eviction", ev), 201)
    eq(k.get(PODS + "/" + name).status, 404)


# ---- webhooks and aggregated APIs ----
def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def publish(name, backend):
    """A Service whose only endpoint is the backend."""
    make("/api/v1/namespaces/%s/services" % NS, {"metadata": {"name": name}, "spec": {"ports": [{"port": 443, "name": "https"}]}})
    make("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices" % NS, {
        "metadata": {"name": name + "-1", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
        "ports": [{"name": "https", "port": backend.port}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]})


def review(answer):
    """A webhook: answer(request of the review) -> response without uid."""
    def handle(r):
        q = json.loads(r.body)["request"]
        return 200, {"Content-Type": "application/json"}, {
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": dict(answer(q), uid=q["uid"])}
    return handle


class Hook:
    def __init__(self, kind, answer, label, **more):
        self.name = fresh("hook")
        self.backend = Backend(review(answer), "%s.%s.svc" % (self.name, NS))
        publish(self.name, self.backend)
        self.base = "/apis/admissionregistration.k8s.io/v1/%swebhookconfigurations" % kind.lower()
        w = {"name": self.name + ".coracle.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
             "clientConfig": {"caBundle": b64(self.backend.ca),
                              "service": {"namespace": NS, "name": self.name, "path": "/hook"}},
             "objectSelector": {"matchLabels": {"hook": label}},
             "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["widgets", "configmaps"]}]}
        w.update(more)
        make(self.base, {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind + "WebhookConfiguration",
                         "metadata": {"name": self.name}, "webhooks": [w]})

    @property
    def asked(self):
        return [json.loads(r.body)["request"] for r in self.backend.requests]

    def __enter__(self):
        return self

    def __exit__(self, *a):
        k.delete(self.base + "/" + self.name)
        self.backend.close()


def allow(q):
    return {"allowed": True}


def patching(*ops):
    return lambda q: {"allowed": True, "patchType": "JSONPatch", "patch": b64(json.dumps(list(ops)))}


def t92_a_mutating_webhook():
    label = fresh("mut")
    patch = patching({"op": "add", "path": "/spec/color", "value": "hooked"})
    with Hook("Mutating", lambda q: patch(q) if q["object"] else {"allowed": True}, label) as h:
        o = make(WIDGETS, widget(labels={"hook": label}))
        eq(o["spec"]["color"], "hooked")
        q = h.asked[0]
        eq((q["operation"], q["kind"], q["namespace"], q["dryRun"], q["oldObject"], q["options"]["kind"]),
           ("CREATE", {"group": GROUP, "version": "v1", "kind": "Widget"}, NS, False, None, "CreateOptions"))
        eq(q["object"]["spec"], {"color": "red", "size": "small"})
        assert "uid" not in q["object"]["metadata"] and "system:masters" in q["userInfo"]["groups"], q
        eq(h.backend.requests[0].path, "/hook?timeout=10s")
        path = WIDGETS + "/" + o["metadata"]["name"]
        a = status(k.merge(path, {"spec": {"color": "mine", "size": "big"}}), 200)
        eq((a["spec"], h.asked[1]["operation"], h.asked[1]["oldObject"]["spec"]["size"]),
           ({"color": "hooked", "size": "big"}, "UPDATE", "small"))
        make(WIDGETS, widget())  # without the label: nobody asks
        eq(len(h.asked), 2)
        status(k.merge(path + "/status", {"status": {"phase": "x"}}), 200)  # "widgets" are not "widgets/status"
        eq(len(h.asked), 2)
        status(k.delete(path), 200)
        eq((h.asked[2]["operation"], h.asked[2]["object"]), ("DELETE", None))


def t92b_reinvocation():
    label = fresh("re")
    one = patching({"op": "add", "path": "/metadata/annotations", "value": {"one": "1"}})

    def first(q):
        return one(q) if not q["object"]["metadata"].get("annotations") else {"allowed": True}
    with Hook("Mutating", first, label, reinvocationPolicy="IfNeeded") as a:
        with Hook("Mutating", patching({"op": "add", "path": "/spec/color", "value": "b"}), label) as b:
            o = make(WIDGETS, widget(labels={"hook": label}))
            eq((o["metadata"]["annotations"], o["spec"]["color"]), ({"one": "1"}, "b"))
            eq((len(a.asked), len(b.asked)), (2, 1))
            eq(a.asked[1]["object"]["spec"]["color"], "b")


def t93_denial():
    label = fresh("deny")
    answer = {"allowed": False, "status": {"code": 422, "reason": "Invalid", "message": "spec.color: not today",
                                           "details": {"causes": [{"reason": "FieldValueInvalid", "field": "spec.color",
                                                                   "message": "not today"}]}}, "warnings": ["careful"]}
    with Hook("Validating", lambda q: answer, label) as h:
        a = k.post(WIDGETS, widget(labels={"hook": label}))
        eq(status(a, 422, "Invalid")["message"],
           'admission webhook "%s.coracle.dev" denied the request: spec.color: not today' % h.name)
        eq((a.json["details"]["causes"][0]["field"], a.all("Warning")), ("spec.color", ['299 - "careful"']))
    with Hook("Validating", lambda q: {"allowed": False}, label) as h:
        a = status(k.post(WIDGETS, widget(labels={"hook": label})), 400)
        eq(a["message"], 'admission webhook "%s.coracle.dev" denied the request without explanation' % h.name)


def t93b_failure_policy():
    label = fresh("fail")
    with Hook("Validating", lambda q: {"uid": "wrong"}, label) as h:
        h.backend.handler = lambda r: (500, {}, b"no")
        a = status(k.post(CM, cm(labels={"hook": label})), 500, "InternalError")
        has(a["message"], 'failed calling webhook "%s.coracle.dev"' % h.name)
    with Hook("Validating", allow, label, failurePolicy="Ignore") as h:
        h.backend.handler = lambda r: (500, {}, b"no")
        make(CM, cm(labels={"hook": label}))
    with Hook("Mutating", allow, label, timeoutSeconds=1) as h:
        h.backend.handler = lambda r: time.sleep(3) or (200, {}, b"")
        t = time.monotonic()
        status(k.post(CM, cm(labels={"hook": label})), 500)
        assert time.monotonic() - t < 2.5


def t92c_dry_run_and_side_effects():
    label = fresh("dry")
    with Hook("Validating", allow, label) as h:
        status(k.post(CM + "?dryRun=All", cm(labels={"hook": label})), 201)
        eq(h.asked[0]["dryRun"], True)
    with Hook("Validating", allow, label, sideEffects="NoneOnDryRun") as h:
        k.merge(h.base + "/" + h.name, {})
        status(k.post(CM + "?dryRun=All", cm(labels={"hook": label})), 201)


def t92d_namespace_selector():
    label = fresh("nss")
    with Hook("Validating", lambda q: {"allowed": False}, label, namespaceSelector={"matchLabels": {"no": "such"}}):
        make(CM, cm(labels={"hook": label}))
    with Hook("Validating", lambda q: {"allowed": False}, label, namespaceSelector={
            "matchLabels": {"kubernetes.io/metadata.name": NS}}):
        status(k.post(CM, cm(labels={"hook": label})), 400)


def t94_mutated_objects_are_checked_again():
    label = fresh("chk")
    with Hook("Mutating", patching({"op": "add", "path": "/spec/size", "value": "huge"},
                                   {"op": "add", "path": "/spec/zip", "value": 1}), label):
        a = status(k.post(WIDGETS, widget(labels={"hook": label})), 422, "Invalid")
        eq([c["field"] for c in a["details"]["causes"]], ["spec.size"])


def t83b_a_definition_goes_while_an_object_is_being_made():
    make(CRDS, crd("fleetings", "Fleeting"))
    label = fresh("fl")
    base = "/apis/%s/v1/namespaces/%s/fleetings" % (GROUP, NS)

    def slow(q):
        time.sleep(0.7)
        return {"allowed": True}
    with Hook("Mutating", slow, label, rules=[{"operations": ["CREATE"], "apiGroups": [GROUP], "apiVersions": ["*"],
                                               "resources": ["fleetings"]}]):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            f = pool.submit(k.post, base, {"apiVersion": GROUP + "/v1", "kind": "Fleeting", "metadata": {
                "name": "x", "labels": {"hook": label}}})
            time.sleep(0.2)
            status(k.delete(CRDS + "/fleetings." + GROUP), 200)
            assert eventually(lambda: k.get(CRDS + "/fleetings." + GROUP).status == 404)
            status(f.result(), 404, "NotFound")
    make(CRDS, crd("fleetings", "Fleeting"))
    eq(status(k.get(base), 200)["items"], [])


def t94b_concurrent_patches_through_a_webhook():
    label = fresh("conc")
    with Hook("Mutating", allow, label):
        o = make(CM, cm(labels={"hook": label}))
        path = CM + "/" + o["metadata"]["name"]
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            for a in pool.map(lambda i: k.merge(path, {"data": {"k%d" % i: "v"}}), range(20)):
                status(a, 200)
        eq(len(status(k.get(path), 200)["data"]), 21)


def t95_aggregated_api():
    if not OWN:
        raise Skip
    group, name = "agg.coracle.dev", fresh("agg")
    resources = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group + "/v1", "resources": [
        {"name": "echoes", "singularName": "echo", "namespaced": True, "kind": "Echo", "verbs": ["get", "create"]}]}

    def handle(r):
        if r.path.split("?")[0] == "/apis/%s/v1" % group:
            return 200, {"Content-Type": "application/json"}, resources
        return 418, {"Content-Type": "application/json", "X-Mine": "yes"}, {"path": r.path, "body": r.body.decode()}
    front_ca = open(server.dir + "/pki/front-proxy-ca.crt").read()
    b = Backend(handle, "%s.%s.svc" % (name, NS), client_ca=front_ca)
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    make(services, {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1." + group},
                    "spec": {"group": group, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
                             "caBundle": b64(b.ca), "service": {"name": name, "namespace": NS}}})

    def available():
        conditions = k.get(services + "/v1." + group).json.get("status", {}).get("conditions", [])
        return [(c["status"], c["reason"]) for c in conditions if c["type"] == "Available"]
    assert eventually(lambda: available() == [("False", "ServiceNotFound")]), available()
    a = status(k.get("/apis/%s/v1/namespaces/%s/echoes/x" % (group, NS)), 503, "ServiceUnavailable")
    publish(name, b)
    assert eventually(lambda: available() == [("True", "Passed")]), available()
    has(k.get("/apis").body.decode(), group)
    eq(status(k.get("/apis/%s/v1" % group), 200)["resources"][0]["name"], "echoes")
    a = k.call("POST", "/apis/%s/v1/namespaces/%s/echoes/x/sub/more?a=b%%20c" % (group, NS), "hello", type="text/plain",
               headers={"X-Remote-User": "mallory", "Authorization": ""})
    eq((a.status, a.headers["X-Mine"], a.json), (418, "yes", {
        "path": "/apis/%s/v1/namespaces/%s/echoes/x/sub/more?a=b%%20c" % (group, NS), "body": "hello"}))
    r = b.requests[-1]
    eq((r.headers["X-Remote-User"], r.headers["Authorization"], r.headers["Content-Type"]),
       ("kubernetes-admin", None, "text/plain"))
    assert "system:masters" in r.headers.get_all("X-Remote-Group")
    eq(dict(x[0] for x in r.peer["subject"])["commonName"], "front-proxy-client")
    # 96: upgrades pass through
    c, up = k.open("GET", "/apis/%s/v1/namespaces/%s/echoes/x/up" % (group, NS), headers={
        "Connection": "Upgrade", "Upgrade": "echo"})
    eq((up.status, up.headers["Upgrade"]), (101, "echo"))
    c.sock.sendall(b"shout")
    eq(c.sock.recv(100), b"SHOUT")
    c.close()
    # the caller's rights are checked here
    sa = fresh("sa")
    make("/api/v1/namespaces/%s/serviceaccounts" % NS, {"metadata": {"name": sa}})
    status(Client(server.kubeconfig, token=token_of(sa)).get("/apis/%s/v1/namespaces/%s/echoes/x" % (group, NS)), 403)
    # gone again
    k.delete("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices/%s-1" % (NS, name))
    assert eventually(lambda: available() == [("False", "EndpointsNotFound")]), available()
    status(k.get("/apis/%s/v1/namespaces/%s/echoes/x" % (group, NS)), 503)
    status(k.get(CM), 200)
    k.delete(services + "/v1." + group)
    eq(k.get("/apis/%s/v1" % group).status, 404)
    b.close()


def t60b_events_in_both_shapes():
    events = "/api/v1/namespaces/%s/events" % NS
    name = fresh("event")
    o = {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "x", "namespace": NS}, "reason": "r",
         "message": "m", "type": "Normal", "lastTimestamp": "2020-01-01T00:00:00Z"}
    make(events, o)
    status(k.get(events + "/" + name), 200)  # written just now
    eq(len(status(k.get(events + "?fieldSelector=involvedObject.name%3Dx,reason%3Dr"), 200)["items"]), 1)
    eq(status(k.get("/apis/events.k8s.io/v1/namespaces/%s/events/%s" % (NS, name)), 200)["note"], "m")


# ---- storage ----
def t98_kill_9_loses_nothing():
    if not OWN or not DURABLE:
        raise Skip
    global k
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    a = status(k.merge(path, {"spec": {"color": "last"}}), 200)
    server.restart(signal.SIGKILL)
    k = Client(server.kubeconfig)
    b = status(k.get(path), 200)
    eq((b["spec"]["color"], b["metadata"]["resourceVersion"]), ("last", a["metadata"]["resourceVersion"]))
    c = make(CM, cm())
    assert int(c["metadata"]["resourceVersion"]) > int(a["metadata"]["resourceVersion"])


def t99_watches_resume_after_a_restart():
    if not OWN or not DURABLE:
        raise Skip
    global k
    o = make(WIDGETS, widget())
    path = WIDGETS + "/" + o["metadata"]["name"]
    for c in ("1", "2", "3"):
        status(k.merge(path, {"spec": {"color": c}}), 200)
    status(k.delete(path), 200)
    w = k.watch(WIDGETS + "?resourceVersion=" + o["metadata"]["resourceVersion"])
    for _ in range(4):
        w.next()
    eq(server.restart(), 0)
    eq(w.next(), None)  # a clean end
    w.close()
    k = Client(server.kubeconfig)
    w = k.watch(WIDGETS + "?resourceVersion=" + o["metadata"]["resourceVersion"])
    got = [w.next() for _ in range(4)]
    eq([(e["type"], e["object"]["spec"]["color"]) for e in got],
       [("MODIFIED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3"), ("DELETED", "3")])
    w.close()


def checks_of(module):
    return [(n, f) for n, f in vars(module).items() if re.match(r"t\d\d", n) and callable(f)]


def all_checks():
    """Ours, then those of each checks_*.py, in the order of their definition."""
    me = sys.modules["conformance"] = sys.modules["__main__"]
    found = checks_of(me)
    for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "checks_*.py"))):
        found += checks_of(importlib.import_module(os.path.basename(path)[:-3]))
    names = [n for n, _ in found]
    twice = sorted(n for n in set(names) if names.count(n) > 1)
    if twice:
        raise SystemExit("two checks of one name: " + ", ".join(twice))
    return found


# What the fake API of the unit tests promises to do as the true server does; the rest it leaves out
FAKE_PROMISES = ("t15_", "t16_", "t17_", "t18_", "t19_", "t20_", "t21_", "t22_", "t23_", "t24_", "t25_", "t26_", "t32_", "t33_",
                 "t34_", "t37_", "t45_", "t46_", "t48_", "t59_", "t60_", "t61_", "t62_", "t64_", "t65_", "t69_", "t74_")


def run():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    tests = [(n, f) for n, f in all_checks() if pattern in n and (not FAKE or n.startswith(FAKE_PROMISES))]
    failed = 0
    setup()
    for i, (name, fn) in enumerate(tests, 1):
        try:
            fn()
            print("ok %d - %s" % (i, name))
        except Skip:
            print("ok %d - %s # SKIP" % (i, name))
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt):
                raise
            failed += 1
            print("not ok %d - %s" % (i, name))
            for line in (str(e) or traceback.format_exc()).splitlines():
                print("# " + line)
            if not isinstance(e, AssertionError):
                print("# " + traceback.format_exc().replace("\n", "\n# "))
        sys.stdout.flush()
    n = len(tests)
    if server:
        n += 1
        rc, log = server.remove()
        clean = rc == 0 and "error" not in log.replace("terror", "") and "Sanitizer" not in log
        print("%s %d - the server ends cleanly and logged no error" % ("ok" if clean else "not ok", n))
        if not clean:
            failed += 1
            print("# exit %s\n# %s" % (rc, log.replace("\n", "\n# ")))
    print("1..%d" % n)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run())
