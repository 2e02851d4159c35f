# SPDX-License-Identifier: Apache-2.0
"""Admission, access and the fine print of writes, by the numbers of kubernetes-api.md section 8."""
import base64
import concurrent.futures
import json
import shutil
import socket
import subprocess
import tempfile
import time

import conformance as c
from backend import Backend
from client import Client, find_server_program
from conformance import OWN, Skip, eq, eventually, fresh, has, make, status


def namespace(**meta):
    name = fresh("adm")
    make("/api/v1/namespaces", {"metadata": dict({"name": name}, **meta)})
    if OWN:
        c.k.get("/api/v1/namespaces/%s/serviceaccounts/default" % name)
    eventually(lambda: c.k.get("/api/v1/namespaces/%s/serviceaccounts/default" % name).status == 200)
    return name


def core(ns, plural, name=None):
    return "/api/v1/namespaces/%s/%s%s" % (ns, plural, "/" + name if name else "")


def container(name="a", requests=None, limits=None):
    o = {"name": name, "image": "x"}
    if requests or limits:
        o["resources"] = {k: v for k, v in (("requests", requests), ("limits", limits)) if v}
    return o


def pod(*containers, **spec):
    return {"metadata": {"name": fresh("pod")}, "spec": dict({"containers": list(containers) or [container()]}, **spec)}


def quota(ns, hard, **spec):
    """Its name, once it counts."""
    name = fresh("q")
    make(core(ns, "resourcequotas"), {"metadata": {"name": name}, "spec": dict({"hard": hard}, **spec)})
    assert eventually(lambda: status(c.k.get(core(ns, "resourcequotas", name)), 200).get("status", {}).get("used"), 15)
    return name


def used(ns, name):
    return status(c.k.get(core(ns, "resourcequotas", name)), 200)["status"]["used"]


# ---- quota (5.1) ----
def t92q_quota_of_counts():
    ns = namespace()
    q = quota(ns, {"count/leases.coordination.k8s.io": "1", "services": "1", "services.nodeports": "0", "count/widgets." + c.GROUP: "1"})
    leases = "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % ns
    make(leases, {"metadata": {"name": "a"}})
    a = status(c.k.post(leases, {"metadata": {"name": "b"}}), 403, "Forbidden")
    eq(a["message"], 'leases.coordination.k8s.io "b" is forbidden: exceeded quota: %s, requested: '
       'count/leases.coordination.k8s.io=1, used: count/leases.coordination.k8s.io=1, limited: '
       'count/leases.coordination.k8s.io=1' % q)
    eq(used(ns, q), {"count/leases.coordination.k8s.io": "1", "services": "0", "services.nodeports": "0",
                     "count/widgets." + c.GROUP: "0"})
    status(c.k.post(leases + "?dryRun=All", {"metadata": {"name": "b"}}), 403)
    status(c.k.delete(leases + "/a"), 200)
    assert eventually(lambda: used(ns, q)["count/leases.coordination.k8s.io"] == "0", 15)
    status(c.k.post(leases + "?dryRun=All", {"metadata": {"name": "b"}}), 201)
    make(leases, {"metadata": {"name": "b"}})
    s = make(core(ns, "services"), {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    a = status(c.k.merge(core(ns, "services", "s"), {"spec": {"type": "NodePort"}}), 403)
    has(a["message"], 'services "s" is forbidden: exceeded quota: %s, requested: services.nodeports=1, used: '
        'services.nodeports=0, limited: services.nodeports=0' % q)
    status(c.k.put(core(ns, "services", "s"), dict(s, metadata=dict(s["metadata"], labels={"a": "b"}))), 200)
    widgets = "/apis/%s/v1/namespaces/%s/widgets" % (c.GROUP, ns)
    make(widgets, c.widget("one"))
    a = status(c.k.post(widgets, c.widget("two")), 403)
    has(a["message"], "exceeded quota: " + q)


def t92q_quota_of_compute():
    ns = namespace()
    q = quota(ns, {"pods": "3", "requests.cpu": "1", "limits.memory": "1Gi"})
    a = status(c.k.post(core(ns, "pods"), pod(container("one"), container("two", {"cpu": "1m"}))), 403)
    has(a["message"], "failed quota: %s: must specify limits.memory for: one,two; requests.cpu for: one" % q)
    p = make(core(ns, "pods"), pod(container("a", {"cpu": "600m"}, {"memory": "512Mi"})))
    eq(used(ns, q), {"pods": "1", "requests.cpu": "600m", "limits.memory": "512Mi"})
    a = status(c.k.post(core(ns, "pods"), pod(container("a", {"cpu": "500m"}, {"memory": "1Gi"}))), 403)
    has(a["message"], "exceeded quota: %s, requested: limits.memory=1Gi,requests.cpu=500m, used: "
        "limits.memory=512Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1" % q)
    # one that has ended uses nothing
    status(c.k.merge(core(ns, "pods", p["metadata"]["name"]) + "/status", {"status": {"phase": "Succeeded"}}), 200)
    assert eventually(lambda: used(ns, q) == {"pods": "0", "requests.cpu": "0", "limits.memory": "0"}, 15), used(ns, q)


def t92q_quota_scopes():
    ns = namespace()
    best = quota(ns, {"pods": "1"}, scopes=["BestEffort"])
    ends = quota(ns, {"pods": "1"}, scopes=["Terminating", "NotBestEffort"])
    high = quota(ns, {"pods": "0"}, scopeSelector={"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]})
    make(core(ns, "pods"), pod())
    has(status(c.k.post(core(ns, "pods"), pod()), 403)["message"], "exceeded quota: " + best)
    small = container("a", {"cpu": "1m"})
    make(core(ns, "pods"), pod(small))
    make(core(ns, "pods"), pod(small, activeDeadlineSeconds=100))
    has(status(c.k.post(core(ns, "pods"), pod(small, activeDeadlineSeconds=100)), 403)["message"], "exceeded quota: " + ends)
    a = status(c.k.post(core(ns, "pods"), pod(small, priorityClassName="system-node-critical")), 403)
    has(a["message"], "exceeded quota: " + high)


def t92q_quota_of_claims():
    ns = namespace()
    q = quota(ns, {"requests.storage": "10Gi", "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
                   "persistentvolumeclaims": "5"})

    def claim(size, cls):
        return {"metadata": {"name": fresh("pvc")}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": cls,
                                                             "resources": {"requests": {"storage": size}}}}
    make(core(ns, "persistentvolumeclaims"), claim("4Gi", "gold"))
    a = status(c.k.post(core(ns, "persistentvolumeclaims"), claim("2Gi", "gold")), 403)
    has(a["message"], "requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, used: "
        "gold.storageclass.storage.k8s.io/requests.storage=4Gi, limited: gold.storageclass.storage.k8s.io/requests.storage=5Gi")
    make(core(ns, "persistentvolumeclaims"), claim("6Gi", "tin"))
    eq(used(ns, q), {"requests.storage": "10Gi", "gold.storageclass.storage.k8s.io/requests.storage": "4Gi",
                     "persistentvolumeclaims": "2"})


def t92q_parallel_creates_do_not_overbook():
    ns = namespace()
    q = quota(ns, {"configmaps": "30"})
    before = int(used(ns, q)["configmaps"])
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda i: c.k.post(core(ns, "configmaps"), c.cm("cm-%d" % i)).status, range(60)))
    eq((codes.count(201), codes.count(403)), (30 - before, 60 - 30 + before))
    assert eventually(lambda: used(ns, q)["configmaps"] == "30", 15), used(ns, q)
    # a create that fails afterwards gives back what it booked
    status(c.k.delete(core(ns, "configmaps", "cm-%d" % codes.index(201))), 200)
    assert eventually(lambda: used(ns, q)["configmaps"] == "29", 15)
    status(c.k.post(core(ns, "configmaps"), c.cm("kube-root-ca.crt")), 409)
    assert eventually(lambda: used(ns, q)["configmaps"] == "29", 15), used(ns, q)


def t92q_a_larger_quota_lets_in_more():
    ns = namespace()
    q = quota(ns, {"secrets": "0"})
    status(c.k.post(core(ns, "secrets"), {"metadata": {"name": "s"}}), 403)
    a = status(c.k.merge(core(ns, "resourcequotas", q), {"spec": {"hard": {"secrets": "1"}}}), 200)
    assert a["metadata"]["name"] == q
    assert eventually(lambda: c.k.post(core(ns, "secrets"), {"metadata": {"name": "s"}}).status == 201, 15)
    for bad in ({"hard": {"nonsense": "1"}}, {"hard": {"pods": "-1"}}, {"hard": {}, "scopes": ["Sometimes"]}):
        status(c.k.post(core(ns, "resourcequotas"), {"metadata": {"name": "bad"}, "spec": bad}), 422, "Invalid")


# ---- limits (5.1) ----
def t92l_limit_range_defaults():
    ns = namespace()
    o = make(core(ns, "limitranges"), {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"memory": "1Gi"}}]}})
    eq(o["spec"]["limits"][0]["default"], {"cpu": "500m", "memory": "1Gi"})
    eq(o["spec"]["limits"][0]["defaultRequest"], {"cpu": "100m", "memory": "1Gi"})
    assert eventually(lambda: "resources" in str(c.k.post(core(ns, "pods") + "?dryRun=All", pod()).json["spec"]))
    p = make(core(ns, "pods"), pod(container("a"), container("b", {"cpu": "200m"}, {"cpu": "300m"}),
                                   initContainers=[container("i")]))
    one, two = p["spec"]["containers"]
    eq(one["resources"], {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}})
    eq(two["resources"], {"limits": {"cpu": "300m", "memory": "1Gi"}, "requests": {"cpu": "200m", "memory": "1Gi"}})
    eq(p["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
       "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; "
       "memory request for container b; memory limit for container b; cpu, memory request for init container i; "
       "cpu, memory limit for init container i")
    eq(p["status"]["qosClass"], "Burstable")


def t92l_limit_range_bounds():
    ns = namespace()
    make(core(ns, "limitranges"), {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}},
        {"type": "Pod", "max": {"cpu": "1500m"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]}})

    def refusal(*containers):
        return status(c.k.post(core(ns, "pods"), pod(*containers)), 403, "Forbidden")["message"].split(" is forbidden: ")[1]
    assert eventually(lambda: c.k.post(core(ns, "pods") + "?dryRun=All", pod(container("a", {"cpu": "2"}, {"cpu": "2"}))).status == 403)
    eq(refusal(container("a", {"cpu": "50m"}, {"cpu": "200m"})), "minimum cpu usage per Container is 100m, but request is 50m")
    eq(refusal(container("a", {"cpu": "500m"}, {"cpu": "1200m"})), "maximum cpu usage per Container is 1, but limit is 1200m")
    eq(refusal(container("a", {"cpu": "100m"}, {"cpu": "500m"})),
       "cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000")
    two = [container(n, {"cpu": "900m"}, {"cpu": "900m"}) for n in "ab"]
    eq(refusal(*two), "maximum cpu usage per Pod is 1500m, but limit is 1800m")
    eq(refusal(container("a", {"cpu": "20m"}, {"cpu": "2"})),
       "[minimum cpu usage per Container is 100m, but request is 20m, maximum cpu usage per Container is 1, but limit is 2, "
       "cpu max limit to request ratio per Container is 4, but provided ratio is 100.000000, "
       "maximum cpu usage per Pod is 1500m, but limit is 2]")
    make(core(ns, "pods"), pod())  # with the defaults that the range itself implies

    def claim(size):
        return {"metadata": {"name": fresh("pvc")}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                             "resources": {"requests": {"storage": size}}}}
    a = status(c.k.post(core(ns, "persistentvolumeclaims"), claim("3Gi")), 403)
    has(a["message"], "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi")
    a = status(c.k.post(core(ns, "persistentvolumeclaims"), claim("1Mi")), 403)
    has(a["message"], "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi")
    make(core(ns, "persistentvolumeclaims"), claim("1Gi"))
    a = status(c.k.post(core(ns, "limitranges"), {"metadata": {"name": "bad"}, "spec": {"limits": [
        {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}), 422, "Invalid")
    has(a["message"], "min value 2 is greater than max value 1")


# ---- the other plugins (5.1, 1.5) ----
def t92p_default_storage_class():
    ns = namespace()
    cls = fresh("sc")
    base = "/apis/storage.k8s.io/v1/storageclasses"
    make(base, {"metadata": {"name": cls, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "none.coracle.dev"})

    def claim(**spec):
        return {"metadata": {"name": fresh("pvc")}, "spec": dict({"accessModes": ["ReadWriteOnce"], "resources": {
            "requests": {"storage": "1Gi"}}}, **spec)}
    try:
        assert eventually(lambda: c.k.post(core(ns, "persistentvolumeclaims") + "?dryRun=All", claim()).json["spec"].get(
            "storageClassName"))
        if OWN:
            eq(make(core(ns, "persistentvolumeclaims"), claim())["spec"]["storageClassName"], cls)
        eq(make(core(ns, "persistentvolumeclaims"), claim(storageClassName=""))["spec"]["storageClassName"], "")
        eq(make(core(ns, "persistentvolumeclaims"), claim(storageClassName="x"))["spec"]["storageClassName"], "x")
    finally:
        c.k.delete(base + "/" + cls)


def t92p_priority():
    ns = namespace()
    p = make(core(ns, "pods"), pod(priorityClassName="system-cluster-critical"))
    eq((p["spec"]["priority"], p["spec"]["preemptionPolicy"]), (2000000000, "PreemptLowerPriority"))
    bad = pod(priorityClassName="none")
    eq(status(c.k.post(core(ns, "pods"), bad), 403)["message"],
       'pods "%s" is forbidden: no PriorityClass with name none was found' % bad["metadata"]["name"])
    has(status(c.k.post(core(ns, "pods"), pod(priority=5)), 403)["message"],
        "the integer value of priority (5) must not be provided in pod spec")
    if not OWN:
        return
    base, name = "/apis/scheduling.k8s.io/v1/priorityclasses", fresh("pc")
    make(base, {"metadata": {"name": name}, "value": 7, "globalDefault": True, "preemptionPolicy": "Never"})
    a = status(c.k.post(base, {"metadata": {"name": fresh("pc")}, "value": 8, "globalDefault": True}), 403)
    has(a["message"], "PriorityClass %s is already marked as default. Only one default can exist" % name)
    p = make(core(ns, "pods"), pod())
    eq((p["spec"]["priority"], p["spec"]["priorityClassName"], p["spec"]["preemptionPolicy"]), (7, name, "Never"))
    status(c.k.delete(base + "/" + name), 200)


def t92p_service_account():
    ns = namespace()
    bad = pod(serviceAccountName="none")
    eq(status(c.k.post(core(ns, "pods"), bad), 403)["message"],
       'pods "%s" is forbidden: error looking up service account %s/none: serviceaccount "none" not found'
       % (bad["metadata"]["name"], ns))
    make(core(ns, "serviceaccounts"), {"metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "registry"}]})
    p = make(core(ns, "pods"), pod(serviceAccountName="puller", initContainers=[container("i")]))
    eq(p["spec"]["imagePullSecrets"], [{"name": "registry"}])
    volume = [v for v in p["spec"]["volumes"] if v["name"].startswith("kube-api-access-")]
    eq(len(volume), 1)
    for x in p["spec"]["containers"] + p["spec"]["initContainers"]:
        eq([m["mountPath"] for m in x["volumeMounts"]], ["/var/run/secrets/kubernetes.io/serviceaccount"])
    p = make(core(ns, "pods"), pod(automountServiceAccountToken=False))
    eq(p["spec"].get("volumes"), None)


def t92p_tolerations():
    p = make(core(namespace(), "pods"), pod(tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                                                          "effect": "NoExecute", "tolerationSeconds": 5}]))
    eq([(t["key"], t["tolerationSeconds"]) for t in p["spec"]["tolerations"]],
       [("node.kubernetes.io/not-ready", 5), ("node.kubernetes.io/unreachable", 300)])


def t92p_plugins_can_be_switched_off():
    if not OWN:
        raise Skip
    program = find_server_program()
    with tempfile.TemporaryDirectory() as d:
        r = subprocess.run([program, d, "0", "--disable-admission-plugins=Nonsense"], capture_output=True, text=True, timeout=20)
        eq(r.returncode, 2)
        has(r.stderr, "unknown admission plugin 'Nonsense'")
        p = subprocess.Popen([program, d, "0", "--disable-admission-plugins=LimitRanger,ResourceQuota,Priority,"
                              "DefaultTolerationSeconds,ServiceAccount"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            k = c.Client(p.stdout.readline().strip())
            status(k.post(core("default", "resourcequotas"), {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}), 201)
            status(k.post(core("default", "limitranges"), {"metadata": {"name": "l"}, "spec": {"limits": [
                {"type": "Container", "default": {"cpu": "1"}}]}}), 201)
            o = status(k.post(core("default", "pods"), pod(serviceAccountName="none")), 201)
            eq((o["spec"].get("tolerations"), o["spec"].get("priority"), o["spec"].get("volumes"),
                o["spec"]["containers"][0].get("resources", {})), (None, None, None, {}))
        finally:
            p.terminate()
            p.wait(20)
            p.stdout.close()


# ---- namespaces ----
def t52c_namespaces_that_stay():
    for name in ("default", "kube-system", "kube-public"):
        a = status(c.k.delete("/api/v1/namespaces/" + name), 403, "Forbidden")
        eq(a["message"], 'namespaces "%s" is forbidden: this namespace may not be deleted' % name)
    name = fresh("ns")
    a = make("/api/v1/namespaces", {"metadata": {"name": name}})
    eq((a["metadata"]["labels"], a["spec"]), ({"kubernetes.io/metadata.name": name}, {"finalizers": ["kubernetes"]}))
    status(c.k.delete("/api/v1/namespaces/" + name), 200)


# ---- conversion by webhook (4) ----
GROUP2 = "conv." + c.GROUP


class Converter:
    """A CRD with v1 (spec.host, spec.port) and v2 (spec.address = host:port), and the webhook between them."""

    def __init__(self, storage="v1", plural=None):
        self.plural = plural or fresh("conv").replace("-", "") + "s"
        self.kind = "Conv" + self.plural.capitalize()
        self.name = fresh("converter")
        self.calls, self.fail = [], None
        self.backend = Backend(self.handle, "%s.%s.svc" % (self.name, c.NS))
        c.publish(self.name, self.backend)
        make(c.CRDS, self.crd(storage))
        self.name_of_crd = self.plural + "." + GROUP2

    def crd(self, storage="v1", strategy="Webhook"):
        def version(name, props):
            return {"name": name, "served": True, "storage": storage == name, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": props},
                                                 "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}}},
                    "subresources": {"status": {}}, "additionalPrinterColumns": [
                        {"name": "Address", "type": "string", "jsonPath": ".spec.address"}] if name == "v2" else []}
        conversion = {"strategy": "None"} if strategy == "None" else {"strategy": "Webhook", "webhook": {
            "conversionReviewVersions": ["v1"], "clientConfig": {"caBundle": c.b64(self.backend.ca), "service": {
                "namespace": c.NS, "name": self.name, "path": "/convert"}}}}
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": self.plural + "." + GROUP2},
                "spec": {"group": GROUP2, "scope": "Namespaced", "names": {"plural": self.plural, "kind": self.kind},
                         "conversion": conversion, "versions": [
                             version("v1", {"host": {"type": "string"}, "port": {"type": "integer", "default": 80}}),
                             version("v2", {"address": {"type": "string"}})]}}

    def handle(self, r):
        q = json.loads(r.body)["request"]
        self.calls.append((q["desiredAPIVersion"], len(q["objects"])))
        if self.fail:
            return self.fail(q)
        return 200, {"Content-Type": "application/json"}, {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": {
                "uid": q["uid"], "result": {"status": "Success"},
                "convertedObjects": [self.convert(o, q["desiredAPIVersion"]) for o in q["objects"]]}}

    @staticmethod
    def convert(o, to):
        o = json.loads(json.dumps(o))
        spec = o.get("spec", {})
        if to.endswith("v2") and "host" in spec:
            o["spec"] = {"address": "%s:%d" % (spec["host"], spec["port"])}
        elif to.endswith("v1") and "address" in spec:
            host, port = spec["address"].split(":")
            o["spec"] = {"host": host, "port": int(port)}
        o["apiVersion"] = to
        o["metadata"].setdefault("annotations", {})["converted"] = to
        o["metadata"]["creationTimestamp"] = None  # not its business
        return o

    def path(self, version, name=None):
        return "/apis/%s/%s/namespaces/%s/%s%s" % (GROUP2, version, c.NS, self.plural, "/" + name if name else "")

    def body(self, version, name=None, **spec):
        return {"apiVersion": GROUP2 + "/" + version, "kind": self.kind, "metadata": {"name": name or fresh("o")}, "spec": spec}

    def __enter__(self):
        return self

    def __exit__(self, *a):
        c.k.delete(c.CRDS + "/" + self.name_of_crd)
        self.backend.close()


def t80b_conversion_by_webhook_of_reads_and_writes():
    with Converter() as v:
        o = make(v.path("v1"), v.body("v1", "a", host="h"))
        eq((o["spec"], v.calls), ({"host": "h", "port": 80}, []))
        a = status(c.k.get(v.path("v2", "a")), 200)
        eq((a["apiVersion"], a["spec"], a["metadata"]["annotations"]), (
            GROUP2 + "/v2", {"address": "h:80"}, {"converted": GROUP2 + "/v2"}))
        eq((a["metadata"]["uid"], a["metadata"]["creationTimestamp"]), (o["metadata"]["uid"], o["metadata"]["creationTimestamp"]))
        status(c.k.get(v.path("v2", "a")), 200)
        eq(v.calls, [(GROUP2 + "/v2", 1)])  # remembered
        has(v.backend.requests[0].path, "/convert?timeout=30s")
        b = make(v.path("v2"), v.body("v2", "b", address="x:7"))
        eq((b["apiVersion"], b["spec"], b["metadata"]["generation"]), (GROUP2 + "/v2", {"address": "x:7"}, 1))
        eq(status(c.k.get(v.path("v1", "b")), 200)["spec"], {"host": "x", "port": 7})
        a = status(c.k.merge(v.path("v2", "a"), {"spec": {"address": "new:9"}}), 200)
        eq((a["spec"], a["metadata"]["generation"]), ({"address": "new:9"}, 2))
        eq(status(c.k.get(v.path("v1", "a")), 200)["spec"], {"host": "new", "port": 9})
        rv = a["metadata"]["resourceVersion"]
        a = status(c.k.put(v.path("v2", "a"), a), 200)
        eq(a["metadata"]["resourceVersion"], rv)  # 23: nothing changed
        a = status(c.k.merge(v.path("v2", "a") + "/status", {"status": {"phase": "up"}, "spec": {"address": "no:1"}}), 200)
        eq((a["spec"], a["status"]), ({"address": "new:9"}, {"phase": "up"}))
        a = status(c.k.put(v.path("v2", "a"), dict(a, spec={"address": "z:1"}), headers={}), 200)
        status(c.k.put(v.path("v2", "a"), dict(a, metadata=dict(a["metadata"], resourceVersion=rv))), 409, "Conflict")
        d = status(c.k.post(v.path("v2") + "?dryRun=All", v.body("v2", "dry", address="x:7")), 201)
        eq((d["apiVersion"], d["spec"]), (GROUP2 + "/v2", {"address": "x:7"}))
        t = status(c.k.get(v.path("v2"), headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}), 200)
        eq([r["cells"][1] for r in t["rows"]], ["z:1", "x:7"])


def t80c_conversion_of_lists_and_watches():
    with Converter() as v:
        for i in range(30):
            make(v.path("v1"), v.body("v1", "n%02d" % i, host="h%02d" % i))
        a = status(c.k.get(v.path("v2")), 200)
        eq([o["spec"]["address"] for o in a["items"]], ["h%02d:80" % i for i in range(30)])
        eq({o["apiVersion"] for o in a["items"]}, {GROUP2 + "/v2"})
        eq(v.calls, [(GROUP2 + "/v2", 30)])
        one = status(c.k.get(v.path("v2") + "?limit=10"), 200)
        eq(len(one["items"]), 10)
        w = c.k.watch(v.path("v2") + "?labelSelector=w%3D1&resourceVersion=" + a["metadata"]["resourceVersion"])
        x = c.k.watch(v.path("v2") + "?resourceVersion=" + a["metadata"]["resourceVersion"])
        y = c.k.watch(v.path("v2"))
        for i in range(30):
            e = y.next()
            eq((e["type"], e["object"]["spec"]["address"]), ("ADDED", "h%02d:80" % i))
        status(c.k.merge(v.path("v1", "n00"), {"metadata": {"labels": {"w": "1"}}, "spec": {"port": 1}}), 200)
        status(c.k.merge(v.path("v1", "n00"), {"metadata": {"labels": {"w": None}}, "spec": {"port": 2}}), 200)
        last = status(c.k.delete(v.path("v1", "n01")), 200)
        assert last
        eq([(e["type"], e["object"]["spec"]["address"]) for e in (w.next(), w.next())],
           [("ADDED", "h00:1"), ("DELETED", "h00:1")])
        for watch in (x, y):
            eq([(e["type"], e["object"]["spec"]["address"], e["object"]["apiVersion"]) for e in (watch.next() for _ in range(3))],
               [("MODIFIED", "h00:1", GROUP2 + "/v2"), ("MODIFIED", "h00:2", GROUP2 + "/v2"), ("DELETED", "h01:80", GROUP2 + "/v2")])
        for watch in (w, x, y):
            watch.close()


def t80d_conversion_that_fails():
    with Converter() as v:
        make(v.path("v1"), v.body("v1", "a", host="h"))
        prefix = "conversion webhook for %s/v1, Kind=%s failed: " % (GROUP2, v.kind)

        def answer(**response):
            return lambda q: (200, {"Content-Type": "application/json"}, {
                "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": dict({"uid": q["uid"]}, **response)})
        v.fail = answer(result={"status": "Failed", "message": "not today"})
        a = status(c.k.get(v.path("v2", "a")), 500, "InternalError")
        has(a["message"], prefix + "not today")
        has(status(c.k.get(v.path("v2")), 500)["message"], prefix)
        status(c.k.post(v.path("v2"), v.body("v2", "b", address="x:7")), 500)
        eq(c.k.get(v.path("v1", "b")).status, 404)
        v.fail = answer(result={"status": "Success"}, convertedObjects=[])
        has(status(c.k.get(v.path("v2", "a")), 500)["message"], "webhook returned 0 objects, expected 1")
        v.fail = lambda q: answer(result={"status": "Success"}, convertedObjects=[
            dict(o, apiVersion=q["desiredAPIVersion"], metadata=dict(o["metadata"], name="other")) for o in q["objects"]])(q)
        has(status(c.k.get(v.path("v2", "a")), 500)["message"], "webhook returned invalid metadata")
        v.fail = lambda q: (503, {}, b"")
        w = c.k.watch(v.path("v2"))
        e = w.next()
        eq((e["type"], e["object"]["code"]), ("ERROR", 500))
        eq(w.next(), None)
        status(c.k.get(v.path("v1", "a")), 200)
        v.fail = None
        eq(status(c.k.get(v.path("v2", "a")), 200)["spec"], {"address": "h:80"})


def t80e_the_storage_version_moves():
    with Converter() as v:
        make(v.path("v1"), v.body("v1", "a", host="h"))
        make(v.path("v1"), v.body("v1", "b", host="h"))
        crd = status(c.k.get(c.CRDS + "/" + v.name_of_crd), 200)
        eq(crd["status"]["storedVersions"], ["v1"])
        a = status(c.k.put(c.CRDS + "/" + v.name_of_crd, dict(v.crd("v2"), metadata=crd["metadata"])), 200)
        eq(a["status"]["storedVersions"], ["v1", "v2"])
        o = status(c.k.get(v.path("v2", "a")), 200)
        eq(o["spec"], {"address": "h:80"})
        # a write that changes nothing moves the object
        b = status(c.k.put(v.path("v2", "a"), o), 200)
        assert b["metadata"]["resourceVersion"] != o["metadata"]["resourceVersion"]
        eq(b["metadata"]["generation"], 1)
        v.calls.clear()
        eq(status(c.k.get(v.path("v2", "a")), 200)["spec"], {"address": "h:80"})
        eq(v.calls, [])
        eq(status(c.k.get(v.path("v1", "a")), 200)["spec"], {"host": "h", "port": 80})
        # 4: what may still be stored cannot leave the spec, and the storage version cannot leave the list
        crd = status(c.k.get(c.CRDS + "/" + v.name_of_crd), 200)
        one = dict(crd, spec=dict(crd["spec"], versions=[x for x in crd["spec"]["versions"] if x["name"] == "v2"]))
        has(status(c.k.put(c.CRDS + "/" + v.name_of_crd, one), 422, "Invalid")["message"], "missing from spec.versions")
        status(c.k.merge(c.CRDS + "/" + v.name_of_crd + "/status", {"status": {"storedVersions": ["v1"]}}), 422, "Invalid")
        a = status(c.k.merge(c.CRDS + "/" + v.name_of_crd + "/status", {"status": {"storedVersions": ["v2"]}}), 200)
        eq(a["status"]["storedVersions"], ["v2"])


def t80f_the_strategy_changes():
    with Converter() as v:
        make(v.path("v1"), v.body("v1", "a", host="h"))
        eq(status(c.k.get(v.path("v2", "a")), 200)["spec"], {"address": "h:80"})
        crd = status(c.k.get(c.CRDS + "/" + v.name_of_crd), 200)
        status(c.k.put(c.CRDS + "/" + v.name_of_crd, dict(v.crd(strategy="None"), metadata=crd["metadata"])), 200)
        eq(status(c.k.get(v.path("v1", "a")), 200)["spec"], {"host": "h", "port": 80})
        a = status(c.k.get(v.path("v2", "a")), 200)
        eq(a["apiVersion"], GROUP2 + "/v2")
        for bad in ({"strategy": "Webhook"}, {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}},
                    {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v9"], "clientConfig": {"url": "https://x"}}}):
            status(c.k.merge(c.CRDS + "/" + v.name_of_crd, {"spec": {"conversion": dict({"webhook": None}, **bad)}}), 422, "Invalid")


# ---- webhooks (5.1) ----
def hook(kind, answer, label, **more):
    return c.Hook(kind, answer, label, **more)


def rule(resources, operations=("*",), groups=("*",), versions=("*",), **more):
    return dict({"operations": list(operations), "apiGroups": list(groups), "apiVersions": list(versions),
                 "resources": list(resources)}, **more)


def t92e_rules_of_subresources_and_scope():
    ns = namespace()
    name = fresh("w")
    label = fresh("sub")
    path = c.WIDGETS + "/" + name
    make(c.WIDGETS, c.widget(name, labels={"hook": label}))
    with hook("Validating", c.allow, label, rules=[rule(["*/status"])]) as h:
        status(c.k.merge(path, {"spec": {"color": "1"}}), 200)
        status(c.k.merge(path + "/status", {"status": {"phase": "a"}}), 200)
        eq([(q["subResource"], q["requestSubResource"], q["operation"], q["options"]["kind"]) for q in h.asked],
           [("status", "status", "UPDATE", "UpdateOptions")])
    with hook("Validating", c.allow, label, rules=[rule(["widgets/*"])]) as h:
        status(c.k.merge(path, {"spec": {"color": "2"}}), 200)
        status(c.k.merge(path + "/status", {"status": {"phase": "b"}}), 200)
        eq([q.get("subResource") for q in h.asked], [None, "status"])
    with hook("Validating", c.allow, label, rules=[rule(["*"])]) as h:
        status(c.k.merge(path + "/status", {"status": {"phase": "c"}}), 200)
        status(c.k.merge(path, {"spec": {"color": "3"}}), 200)
        eq([q.get("subResource") for q in h.asked], [None])
    with hook("Validating", c.allow, label, rules=[rule(["widgets"], versions=["v2"])]) as h:
        status(c.k.merge(path, {"spec": {"color": "4"}}), 200)
        eq(h.asked, [])
    with hook("Validating", c.allow, label, rules=[rule(["*"], scope="Cluster")]) as h:
        status(c.k.merge(path, {"spec": {"color": "5"}}), 200)
        status(c.k.merge("/api/v1/namespaces/" + ns, {"metadata": {"labels": {"hook": label}}}), 200)
        eq([(q["resource"]["resource"], q["name"], q["namespace"]) for q in h.asked], [("namespaces", ns, ns)])


def t92f_object_selector_sees_old_and_new():
    label = fresh("both")
    o = make(c.CM, c.cm(labels={"hook": label}))
    path = c.CM + "/" + o["metadata"]["name"]
    with hook("Validating", c.allow, label) as h:
        status(c.k.merge(path, {"metadata": {"labels": {"hook": None}}}), 200)
        status(c.k.merge(path, {"data": {"x": "y"}}), 200)
        status(c.k.merge(path, {"metadata": {"labels": {"hook": label}}}), 200)
        status(c.k.delete(path), 200)
        eq([q["operation"] for q in h.asked], ["UPDATE", "UPDATE", "DELETE"])
        d = h.asked[2]
        eq((d["object"], d["oldObject"]["metadata"]["name"], d["options"]["kind"]), (None, o["metadata"]["name"], "DeleteOptions"))


def t92g_equivalent_versions():
    """A rule for v2 matches a request for v1; the webhook gets, and patches, v2."""
    label = fresh("eqv")
    with Converter() as v:
        def answer(q):
            if q["operation"] == "DELETE":
                return {"allowed": True}
            return c.patching({"op": "replace", "path": "/spec/address", "value": "patched:5"})(q)
        with hook("Mutating", answer, label, rules=[rule([v.plural], groups=[GROUP2], versions=["v2"])]) as h:
            o = make(v.path("v1"), dict(v.body("v1", host="h"), metadata={"name": "a", "labels": {"hook": label}}))
            eq((o["apiVersion"], o["spec"]), (GROUP2 + "/v1", {"host": "patched", "port": 5}))
            q = h.asked[0]
            eq((q["kind"]["version"], q["requestKind"]["version"], q["resource"]["version"], q["requestResource"]["version"]),
               ("v2", "v1", "v2", "v1"))
            eq((q["object"]["apiVersion"], q["object"]["spec"]), (GROUP2 + "/v2", {"address": "h:80"}))
            status(c.k.merge(v.path("v1", "a"), {"spec": {"port": 81}}), 200)
            eq((h.asked[1]["oldObject"]["spec"], h.asked[1]["object"]["spec"]), ({"address": "patched:5"}, {"address": "patched:81"}))
        with hook("Validating", c.allow, label, matchPolicy="Exact", rules=[rule([v.plural], groups=[GROUP2], versions=["v2"])]) as h:
            status(c.k.merge(v.path("v1", "a"), {"spec": {"port": 82}}), 200)
            eq(h.asked, [])
            status(c.k.merge(v.path("v2", "a"), {"spec": {"address": "z:3"}}), 200)
            eq(len(h.asked), 1)


def t92h_what_a_review_says():
    label = fresh("say")
    with hook("Mutating", c.allow, label) as h:
        o = make(c.WIDGETS + "?fieldManager=me&fieldValidation=Strict", dict(c.widget(), metadata={
            "generateName": "gen-", "labels": {"hook": label}, "uid": "5c3b1f1e-0000-4000-8000-000000000000"}))
        q = h.asked[0]
        eq(q["options"], {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me", "fieldValidation": "Strict"})
        m = q["object"]["metadata"]
        eq((m["namespace"], m.get("uid"), m.get("creationTimestamp"), m.get("resourceVersion"), m["managedFields"][0]["manager"]),
           (c.NS, None, None, None, "me"))
        eq((q["userInfo"]["username"], "name" in q, q["requestKind"]["kind"]), (
            c.k.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).json["status"]["userInfo"]["username"], False, "Widget"))
        path = c.WIDGETS + "/" + o["metadata"]["name"]
        status(c.k.apply(path, {"apiVersion": c.GROUP + "/v1", "kind": "Widget", "spec": {"replicas": 2}}, manager="ap"), 200)
        eq((h.asked[1]["operation"], h.asked[1]["options"]), ("UPDATE", {
            "kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "ap"}))
        a = status(c.k.get(path), 200)
        eq(a["spec"], {"color": "red", "size": "small", "replicas": 2})
        status(c.k.delete(path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}), 200)
        eq((h.asked[2]["options"]["propagationPolicy"], h.asked[2]["options"]["kind"]), ("Background", "DeleteOptions"))


def t92i_scale_eviction_and_binding_have_their_own_bodies():
    label = fresh("own")
    name = fresh("w")
    make(c.WIDGETS, c.widget(name, {"replicas": 1}))
    patch = c.patching({"op": "replace", "path": "/spec/replicas", "value": 7})
    with hook("Mutating", patch, label, objectSelector={}, rules=[rule(["widgets/scale"])]) as h:
        a = status(c.k.merge(c.WIDGETS + "/" + name + "/scale", {"spec": {"replicas": 3}}), 200)
        q = h.asked[0]
        eq((q["kind"], q["resource"]["resource"], q["subResource"]), ({"group": "autoscaling", "version": "v1", "kind": "Scale"}, "widgets", "scale"))
        eq((q["object"]["kind"], q["object"]["spec"], q["oldObject"]["spec"]), ("Scale", {"replicas": 3}, {"replicas": 1}))
        eq(a["spec"]["replicas"], 7)
        eq(status(c.k.get(c.WIDGETS + "/" + name), 200)["spec"]["replicas"], 7)
    if not OWN:
        return
    p = make(c.PODS, c.pod())
    pod_path = c.PODS + "/" + p["metadata"]["name"]
    with hook("Validating", c.allow, label, objectSelector={}, rules=[rule(["pods/binding", "pods/eviction"])]) as h:
        status(c.k.post(pod_path + "/binding", {"target": {"kind": "Node", "name": "n"}}), 201)
        status(c.k.post(pod_path + "/eviction?dryRun=All", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {
            "name": p["metadata"]["name"]}}), 201)
        one, two = h.asked
        eq((one["operation"], one["kind"]["kind"], one["object"]["target"]["name"], one["oldObject"]), ("CREATE", "Binding", "n", None))
        eq((two["operation"], two["kind"], two["object"]["kind"], two["dryRun"]), (
            "CREATE", {"group": "policy", "version": "v1", "kind": "Eviction"}, "Eviction", True))
    c.k.delete(pod_path, {"gracePeriodSeconds": 0})


def t92j_connect_is_admitted():
    label = fresh("con")
    p = make(c.PODS, c.pod())
    pod_path = c.PODS + "/" + p["metadata"]["name"]
    answer = {"allowed": False, "status": {"message": "no shells", "code": 403, "reason": "Forbidden"}}
    with hook("Validating", lambda q: answer, label, objectSelector={}, rules=[rule(["pods/exec"], ["CONNECT"])]) as h:
        a = status(c.k.get(pod_path + "/exec?command=sh&command=-c&stdin=true&container=a"), 403, "Forbidden")
        has(a["message"], "denied the request: no shells")
        q = h.asked[0]
        eq((q["operation"], q["kind"]["kind"], q["subResource"], q["object"], q["oldObject"], q["options"]), (
            "CONNECT", "PodExecOptions", "exec", {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh", "-c"],
                                                  "stdin": True, "container": "a"}, None, None))
    status(c.k.get(pod_path + "/exec?command=sh"), 400)  # not on a node: the webhook is gone
    c.k.delete(pod_path)


def t92l_what_a_webhook_fills_in_belongs_to_nobody():
    """An apply by whoever created the object, which does not list those fields, leaves them as they are."""
    label = fresh("fill")
    name = fresh("w")
    path = c.WIDGETS + "/" + name

    def owned(o):
        return sorted(k for f in o["metadata"]["managedFields"] for k in f["fieldsV1"].get("f:spec", {}))
    fill = c.patching({"op": "add", "path": "/spec/color", "value": "blue"})
    with hook("Mutating", fill, label) as h:
        o = make(c.WIDGETS + "?fieldManager=me", c.widget(name, {"replicas": 1}, labels={"hook": label}))
        eq((o["spec"]["color"], "f:color" in owned(o), "f:replicas" in owned(o)), ("blue", False, True))
        eq("f:color" in json.dumps(h.asked[0]["object"]["metadata"]["managedFields"]), False)
    with hook("Mutating", c.patching({"op": "add", "path": "/spec/color", "value": "green"}), label):
        o = status(c.k.merge(path + "?fieldManager=me", {"spec": {"replicas": 2}}), 200)
        eq((o["spec"]["color"], "f:color" in owned(o), "f:replicas" in owned(o)), ("green", False, True))
    for f in o["metadata"]["managedFields"]:  # as kubectl does when an object moves to server-side apply
        f["operation"] = "Apply"
    status(c.k.merge(path, {"metadata": {"managedFields": o["metadata"]["managedFields"]}}), 200)
    mine = {"apiVersion": c.GROUP + "/v1", "kind": "Widget", "spec": {"replicas": 3}, "metadata": {"labels": {"hook": label}}}
    eq(status(c.k.apply(path, mine, manager="me"), 200)["spec"], {"color": "green", "size": "small", "replicas": 3})


def t93c_answers_that_are_none():
    label = fresh("bad")

    def refusal(h, response, kind="AdmissionReview", **more):
        def handle(r):
            q = json.loads(r.body)["request"]
            return 200, {"Content-Type": "application/json"}, dict({
                "apiVersion": "admission.k8s.io/v1", "kind": kind, "response": dict({"uid": q["uid"]}, **response)}, **more)
        h.backend.handler = handle
        return status(c.k.post(c.CM, c.cm(labels={"hook": label})), 500, "InternalError")["message"]

    with hook("Mutating", c.allow, label) as h:
        failed = 'failed calling webhook "%s.coracle.dev": received invalid webhook response: ' % h.name
        has(refusal(h, {"allowed": True, "uid": "x"}), failed + "expected response.uid=")
        has(refusal(h, {"allowed": True}, kind="Other"), failed + "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview")
        has(refusal(h, {"allowed": True, "patch": c.b64("[]")}), failed + "webhook returned response.patch but not response.patchType")
        has(refusal(h, {"allowed": True, "patchType": "JSONPatch"}), failed + "webhook returned response.patchType but not response.patch")
        h.backend.handler = lambda r: (500, {}, b"overloaded")
        has(status(c.k.post(c.CM, c.cm(labels={"hook": label})), 500)["message"],
            'failed to call webhook: an error on the server ("overloaded") has prevented the request from succeeding')
        h.backend.handler = lambda r: (503, {}, b"overloaded")
        has(status(c.k.post(c.CM, c.cm(labels={"hook": label})), 500)["message"],
            "failed to call webhook: the server is currently unable to handle the request")
    # what it wants can not be done: its policy does not help
    with hook("Mutating", c.patching({"op": "remove", "path": "/no/such"}), label, failurePolicy="Ignore"):
        status(c.k.post(c.CM, c.cm(labels={"hook": label})), 500, "InternalError")


def t93d_a_webhook_that_speaks_v1beta1():
    label = fresh("beta")

    def handle(r):
        d = json.loads(r.body)
        patch = c.b64(json.dumps([{"op": "add", "path": "/data", "value": {"from": d["apiVersion"]}}]))
        return 200, {"Content-Type": "application/json"}, {"apiVersion": d["apiVersion"], "kind": "AdmissionReview", "response": {
            "uid": d["request"]["uid"], "allowed": True, "patch": patch}}
    with hook("Mutating", c.allow, label, admissionReviewVersions=["v9", "v1beta1", "v1"]) as h:
        h.backend.handler = handle
        eq(make(c.CM, c.cm(labels={"hook": label}))["data"], {"from": "admission.k8s.io/v1beta1"})


def t92k_mutating_in_order_validating_at_once():
    label = fresh("ord")
    seen = []

    def slow(q):
        time.sleep(0.5)
        return {"allowed": True}

    def first(q):
        seen.append("first")
        return c.patching({"op": "add", "path": "/data/x", "value": "1"})(q)

    def second(q):
        seen.append("second " + q["object"]["data"].get("x", "none"))
        return {"allowed": True}
    with hook("Mutating", first, label), hook("Mutating", second, label):
        make(c.CM, c.cm(labels={"hook": label}))
    eq(seen, ["first", "second 1"])
    with hook("Validating", slow, label), hook("Validating", slow, label), hook("Validating", slow, label):
        t = time.monotonic()
        make(c.CM, c.cm(labels={"hook": label}))
        assert time.monotonic() - t < 1.2


def t92m_admission_configuration_is_exempt():
    label = fresh("ex")
    deny = {"allowed": False}
    with hook("Validating", lambda q: deny, label, objectSelector={}, rules=[rule(["*"], groups=["admissionregistration.k8s.io"])]) as h:
        with hook("Mutating", c.allow, label):
            pass
        eq(h.asked, [])


def t92n_what_configurations_must_say():
    base = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

    def body(**more):
        w = {"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://x/y"}, "rules": []}
        w.update(more)
        return {"metadata": {"name": fresh("bad")}, "webhooks": [{k: v for k, v in w.items() if v is not None}]}
    for bad in ({"sideEffects": None}, {"sideEffects": "Some"}, {"admissionReviewVersions": None}, {"admissionReviewVersions": ["v7"]},
                {"clientConfig": {}}, {"clientConfig": {"url": "http://x"}}, {"timeoutSeconds": 31}, {"failurePolicy": "Maybe"},
                {"name": "short"}, {"clientConfig": None}):
        a = c.k.post(base, body(**bad))
        assert a.status == 422, (bad, a.status, a.body[:300])
    o = status(c.k.post(base + "?dryRun=All", body()), 201)["webhooks"][0]
    eq([o[k] for k in ("failurePolicy", "matchPolicy", "timeoutSeconds", "namespaceSelector", "objectSelector")],
       ["Fail", "Equivalent", 10, {}, {}])


# ---- access (5.2, 5.3) ----
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHZ = "/apis/authorization.k8s.io/v1"


def config():
    return c.server.kubeconfig if OWN else c.os.environ["KUBECONFIG"]


def account(*rules, cluster=False):
    """A fresh service account with these rights in the tests' namespace, and its client."""
    name = fresh("who")
    make(core(c.NS, "serviceaccounts"), {"metadata": {"name": name}})
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": c.NS}]
    kind = "ClusterRole" if cluster else "Role"
    where = RBAC if cluster else RBAC + "/namespaces/" + c.NS
    make("%s/%ss" % (where, kind.lower()), {"metadata": {"name": name}, "rules": list(rules)})
    make("%s/%sbindings" % (where, kind.lower()), {"metadata": {"name": name}, "subjects": subjects, "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}})
    return name, c.Client(config(), token=c.token_of(name))


def may(verbs, resources, groups=("",), **more):
    return dict({"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}, **more)


def whoami(client, **headers):
    return status(client.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers=headers), 201)["status"]["userInfo"]


def t86b_impersonation():
    me = whoami(c.k, **{"Impersonate-User": "jane", "Impersonate-Group": "devs", "Impersonate-Uid": "u-1",
                        "Impersonate-Extra-Scopes": "a", "Impersonate-Extra-Acme.com%2Fkey": "b"})
    eq((me["username"], me["uid"], me["groups"], me["extra"]), (
        "jane", "u-1", ["devs", "system:authenticated"], {"scopes": ["a"], "acme.com/key": ["b"]}))
    me = whoami(c.k, **{"Impersonate-User": "system:serviceaccount:a:b"})
    eq(me["groups"], ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"])
    a = c.k.call("GET", "/api", headers={"Impersonate-User": "system:anonymous"})
    status(a, 403)
    has(status(c.k.call("GET", "/api", headers={"Impersonate-Group": "devs"}), 500)["message"], "without impersonating a user")
    name, client = account(may(["impersonate"], ["users"]), may(["impersonate"], ["userextras/scopes"], ["authentication.k8s.io"],
                                                                   resourceNames=["view"]), cluster=True)
    status(client.call("GET", "/api", headers={"Impersonate-User": "jane"}), 200)
    a = status(client.call("GET", "/api", headers={"Impersonate-User": "jane", "Impersonate-Group": "g"}), 403)
    has(a["message"], 'groups "g" is forbidden: User "system:serviceaccount:%s:%s" cannot impersonate resource "groups" in API group "" '
        "at the cluster scope" % (c.NS, name))
    status(client.call("GET", "/api", headers={"Impersonate-User": "jane", "Impersonate-Uid": "x"}), 403)
    status(client.call("GET", "/api", headers={"Impersonate-User": "jane", "Impersonate-Extra-Scopes": "view"}), 200)
    status(client.call("GET", "/api", headers={"Impersonate-User": "jane", "Impersonate-Extra-Scopes": "edit"}), 403)


def t87c_bound_tokens():
    sa = fresh("bound")
    make(core(c.NS, "serviceaccounts"), {"metadata": {"name": sa}})
    s = make(core(c.NS, "secrets"), {"metadata": {"name": sa}})
    token = c.token_of(sa, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": sa, "uid": s["metadata"]["uid"]})
    claims = jwt(token)
    eq((claims["kubernetes.io"]["secret"]["uid"], claims["exp"] - claims["iat"]), (s["metadata"]["uid"], 3600))
    client = c.Client(config(), token=token)
    status(client.get("/apis"), 200)
    status(c.k.delete(core(c.NS, "secrets", sa)), 200)
    assert eventually(lambda: client.get("/apis").status == 401, 15)
    path = core(c.NS, "serviceaccounts", sa) + "/token"
    a = status(c.k.post(path, {"spec": {"expirationSeconds": 5}}), 422, "Invalid")
    eq([x["field"] for x in a["details"]["causes"]], ["spec.expirationSeconds"])
    has(a["message"], "may not specify a duration less than 10 minutes")
    status(c.k.post(path, {"spec": {"boundObjectRef": {"kind": "Pod", "name": "none"}}}), 404)
    status(c.k.post(path, {"spec": {"boundObjectRef": {"kind": "Service", "name": "x"}}}), 400)
    status(c.k.post(path, {"spec": {"boundObjectRef": {"kind": "Secret", "name": "none"}}}), 404)
    # an audience of its own: not for this server, and told so by a review
    other = c.token_of(sa, audiences=["vault"], expirationSeconds=7200)
    eq(jwt(other)["exp"] - jwt(other)["iat"], 7200)
    status(c.Client(config(), token=other).get("/apis"), 401)
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    a = status(c.k.post(reviews, {"spec": {"token": other, "audiences": ["x", "vault"]}}), 201)["status"]
    eq((a["authenticated"], a["audiences"]), (True, ["vault"]))
    a = status(c.k.post(reviews, {"spec": {"token": other}}), 201)["status"]
    assert not a.get("authenticated") and a["error"], a
    status(c.k.post(reviews, {"spec": {}}), 400)


def jwt(token):
    part = token.split(".")[1]
    return json.loads(c.base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def t87d_token_secrets():
    sa = fresh("old")
    o = make(core(c.NS, "serviceaccounts"), {"metadata": {"name": sa}})
    kind = "kubernetes.io/service-account-token"
    status(c.k.post(core(c.NS, "secrets"), {"metadata": {"name": sa + "-x"}, "type": kind}), 422, "Invalid")
    make(core(c.NS, "secrets"), {"metadata": {"name": sa, "annotations": {"kubernetes.io/service-account.name": sa}}, "type": kind})

    def filled():
        s = status(c.k.get(core(c.NS, "secrets", sa)), 200)
        return s if s.get("data", {}).get("token") else None
    s = eventually(filled, 15)
    assert s
    eq(s["metadata"]["annotations"]["kubernetes.io/service-account.uid"], o["metadata"]["uid"])
    data = {k: c.base64.b64decode(v).decode() for k, v in s["data"].items()}
    eq(data["namespace"], c.NS)
    has(data["ca.crt"], "BEGIN CERTIFICATE")
    client = c.Client(config(), token=data["token"])
    eq(whoami(client)["username"], "system:serviceaccount:%s:%s" % (c.NS, sa))
    assert "exp" not in jwt(data["token"])
    # taken out of the Secret it is worth nothing; put back anew it is another one
    status(c.k.merge(core(c.NS, "secrets", sa), {"data": {"token": None}}), 200)
    assert eventually(filled, 15)
    status(c.k.delete(core(c.NS, "serviceaccounts", sa)), 200)
    assert eventually(lambda: c.k.get(core(c.NS, "secrets", sa)).status == 404, 15)
    status(client.get("/apis"), 401)


def t87e_discovery_of_keys():
    a = c.k.get("/.well-known/openid-configuration")
    doc = status(a, 200)
    eq((doc["jwks_uri"].endswith("/openid/v1/jwks"), doc["response_types_supported"], doc["subject_types_supported"]),
       (True, ["id_token"], ["public"]))
    a = c.k.get("/openid/v1/jwks")
    eq(a.headers["Content-Type"], "application/jwk-set+json")
    keys = {k["kid"]: k for k in a.json["keys"]}
    sa = fresh("kid")
    make(core(c.NS, "serviceaccounts"), {"metadata": {"name": sa}})
    token = c.token_of(sa)
    head = token.split(".")[0]
    assert json.loads(c.base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"] in keys
    eq(jwt(token)["iss"], doc["issuer"])
    status(c.Client(config(), token=token).get("/openid/v1/jwks"), 200)
    status(c.Client(config(), anonymous=True).get("/openid/v1/jwks"), 403)


def t87f_bootstrap_tokens_need_their_usage():
    tid, secret = c.fresh("b")[-4:] + "ab", "0123456789abcdef"
    data = {"token-id": tid, "token-secret": secret}
    path = "/api/v1/namespaces/kube-system/secrets"
    make(path, {"metadata": {"name": "bootstrap-token-" + tid}, "type": "bootstrap.kubernetes.io/token", "stringData": data})
    client = c.Client(config(), token=tid + "." + secret)
    status(client.get("/api"), 401)
    status(c.k.merge(path + "/bootstrap-token-" + tid, {"stringData": {"usage-bootstrap-authentication": "true",
                                                                      "expiration": "2999-01-01T00:00:00Z"}}), 200)
    eventually(lambda: client.get("/api").status != 401)
    eq(whoami(client)["username"], "system:bootstrap:" + tid)
    status(c.k.delete(path + "/bootstrap-token-" + tid), 200)
    assert eventually(lambda: client.get("/api").status == 401)


def t88b_the_front_proxys_authority_makes_nobody_else():
    if not OWN:
        raise Skip
    pki = c.server.dir + "/pki/"
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", d + "/k",
                        "-out", d + "/r", "-subj", "/CN=somebody/O=system:masters"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "x509", "-req", "-in", d + "/r", "-CA", pki + "front-proxy-ca.crt", "-CAkey",
                        pki + "front-proxy-ca.key", "-set_serial", "7", "-out", d + "/c", "-days", "1"], check=True,
                       stderr=subprocess.DEVNULL)
        client = c.Client(config(), cert=(d + "/c", d + "/k"))
        a = client.call("GET", "/api", headers={"X-Remote-User": "root", "X-Remote-Group": "system:masters"})
        assert a.status in (401, 403), a.status


def t89b_escalation_is_told_rule_by_rule():
    name, client = account(may(["create", "update", "get"], ["roles", "rolebindings"], ["rbac.authorization.k8s.io"]),
                           may(["get"], ["configmaps"]))
    base = RBAC + "/namespaces/" + c.NS
    a = status(client.post(base + "/roles", {"metadata": {"name": fresh("r")}, "rules": [
        may(["get", "list", "delete"], ["configmaps", "secrets"]), may(["get"], ["pods"], resourceNames=["x"])]}), 403)
    eq(a["message"].split("currently held:\n")[1].splitlines(), [
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["list" "delete"]}',
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["x"], Verbs:["get"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "delete"]}'])
    has(a["message"], 'user "system:serviceaccount:%s:%s" (groups=["system:serviceaccounts" "system:serviceaccounts:%s" '
        '"system:authenticated"]) is attempting to grant' % (c.NS, name, c.NS))
    # one of his own, changed in nothing but its labels, is no grant
    role = fresh("r")
    make(base + "/roles", {"metadata": {"name": role}, "rules": [may(["*"], ["*"])]})
    o = status(client.get(base + "/roles/" + role), 200)
    o["metadata"]["labels"] = {"a": "b"}
    status(client.put(base + "/roles/" + role, o), 200)
    o = status(client.get(base + "/roles/" + role), 200)
    o["rules"] = [may(["get"], ["configmaps"])]
    status(client.put(base + "/roles/" + role, o), 200)
    o["rules"] = [may(["get", "create"], ["configmaps"])]
    status(client.put(base + "/roles/" + role, dict(o, metadata={"name": role})), 403)
    # binding needs the role's rules, or the verb bind for that very role
    strong = fresh("r")
    make(base + "/roles", {"metadata": {"name": strong}, "rules": [may(["*"], ["secrets"])]})

    def binding(to, kind="Role"):
        return {"metadata": {"name": fresh("rb")}, "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to}}
    status(client.post(base + "/rolebindings", binding(strong)), 403)
    status(client.post(base + "/rolebindings", binding("none")), 404)
    make(base + "/roles", {"metadata": {"name": name + "-bind"}, "rules": [
        may(["bind"], ["roles"], ["rbac.authorization.k8s.io"], resourceNames=[strong])]})
    make(base + "/rolebindings", {"metadata": {"name": name + "-bind"}, "subjects": [
        {"kind": "ServiceAccount", "name": name, "namespace": c.NS}], "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name + "-bind"}})
    assert eventually(lambda: client.post(base + "/rolebindings?dryRun=All", binding(strong)).status == 201)
    status(client.post(base + "/rolebindings", binding(strong)), 201)
    status(client.post(base + "/rolebindings", binding("admin", "ClusterRole")), 403)
    # whole clusters are no matter of a namespace's rights
    status(client.post(RBAC + "/clusterroles", {"metadata": {"name": fresh("cr")}, "rules": []}), 403)


def t89c_aggregation_needs_everything():
    name, client = account(may(["create"], ["clusterroles"], ["rbac.authorization.k8s.io"]), cluster=True)
    body = {"metadata": {"name": fresh("agg")}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}, "rules": []}
    has(status(client.post(RBAC + "/clusterroles", body), 403)["message"],
        "must have cluster-admin privileges to use the aggregationRule")
    status(client.post(RBAC + "/clusterroles", {"metadata": {"name": fresh("cr")}, "rules": []}), 201)


def t90b_aggregated_roles():
    label, base = fresh("agg"), RBAC + "/clusterroles"
    name, client = account()
    make(base, {"metadata": {"name": label}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}, "rules": []})
    make(RBAC + "/namespaces/%s/rolebindings" % c.NS, {"metadata": {"name": label}, "subjects": [
        {"kind": "ServiceAccount", "name": name, "namespace": c.NS}], "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": label}})
    status(client.get(c.CM), 403)
    part = {"metadata": {"name": label + "-part", "labels": {label: "true"}}, "rules": [may(["list"], ["configmaps"])]}
    make(base, part)
    assert eventually(lambda: client.get(c.CM).status == 200)
    assert eventually(lambda: status(c.k.get(base + "/" + label), 200)["rules"] == [may(["list"], ["configmaps"])])
    rv = status(c.k.get(base + "/" + label), 200)["metadata"]["resourceVersion"]
    status(c.k.merge(base + "/" + label + "-part", {"metadata": {"annotations": {"a": "b"}}}), 200)
    status(c.k.delete(base + "/" + label + "-part"), 200)
    assert eventually(lambda: client.get(c.CM).status == 403)
    assert eventually(lambda: not status(c.k.get(base + "/" + label), 200).get("rules"))
    assert rv
    # edit follows what is aggregated to it (KubeVirt's roles do that)
    make(base, {"metadata": {"name": label + "-edit", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
                "rules": [may(["frob"], ["widgets"], [c.GROUP])]})
    assert eventually(lambda: "frob" in json.dumps(status(c.k.get(base + "/edit"), 200)["rules"]))
    status(c.k.delete(base + "/" + label + "-edit"), 200)


def t90c_resource_names():
    one, other = make(c.CM, c.cm())["metadata"]["name"], make(c.CM, c.cm())["metadata"]["name"]
    name, client = account(may(["get", "watch", "list", "create", "deletecollection", "delete"], ["configmaps"], resourceNames=[one]))
    status(client.get(c.CM + "/" + one), 200)
    status(client.get(c.CM + "/" + other), 403)
    status(client.get(c.CM), 403)
    status(client.get(c.CM + "?fieldSelector=metadata.name%3D" + one), 200)
    status(client.get(c.CM + "?fieldSelector=metadata.name%3D" + other), 403)
    status(client.get(c.CM + "?fieldSelector=metadata.name%21%3D" + other), 403)
    w = client.watch(c.CM + "?fieldSelector=metadata.name%3D" + one)
    eq((w.status, w.next()["object"]["metadata"]["name"]), (200, one))
    w.close()
    status(client.get(c.CM + "?watch=true"), 403)
    status(client.post(c.CM, c.cm(one)), 403)
    status(client.delete(c.CM), 403)
    status(client.delete(c.CM + "/" + one), 200)


def t90d_subresources_and_paths():
    o = make(c.WIDGETS, c.widget())["metadata"]["name"]
    name, client = account(may(["get", "patch"], ["widgets/status"], [c.GROUP]))
    status(client.get(c.WIDGETS + "/" + o), 403)
    status(client.get(c.WIDGETS + "/" + o + "/status"), 200)
    status(client.merge(c.WIDGETS + "/" + o + "/status", {"status": {"phase": "x"}}), 200)
    a = status(client.get(c.WIDGETS + "/" + o + "/scale"), 403)
    eq(a["message"], 'widgets.%s "%s" is forbidden: User "system:serviceaccount:%s:%s" cannot get resource "widgets/scale" in API group '
       '"%s" in the namespace "%s"' % (c.GROUP, o, c.NS, name, c.GROUP, c.NS))
    name, client = account(may(["patch"], ["*/scale"], ["*"]))
    status(client.merge(c.WIDGETS + "/" + o + "/scale", {"spec": {"replicas": 2}}), 200)
    status(client.merge(c.WIDGETS + "/" + o + "/status", {"status": {"phase": "x"}}), 403)
    name, client = account({"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]}, cluster=True)
    eq(client.get("/metrics").status, 200)
    eq(client.get("/debug/none").status, 404)
    eq(status(client.get("/debug"), 403)["message"],
       'forbidden: User "system:serviceaccount:%s:%s" cannot get path "/debug"' % (c.NS, name))


def t91c_reviews_agree_with_requests():
    one = make(c.CM, c.cm())["metadata"]["name"]
    name, client = account(may(["get"], ["configmaps"], resourceNames=[one]), may(["list"], ["pods", "pods/*"]),
                           may(["*"], ["widgets"], [c.GROUP]))
    rules = status(client.post(AUTHZ + "/selfsubjectrulesreviews", {"spec": {"namespace": c.NS}}), 201)["status"]
    eq(rules["incomplete"], False)

    def by_rules(verb, group, resource, name):
        def inside(have, want):
            return "*" in have or want in have
        return any(inside(r["verbs"], verb) and inside(r.get("apiGroups", []), group) and inside(r.get("resources", []), resource)
                   and (not r.get("resourceNames") or name in r["resourceNames"]) for r in rules["resourceRules"])
    wname = make(c.WIDGETS, c.widget())["metadata"]["name"]
    for verb, group, resource, obj, path, method in (
            ("get", "", "configmaps", one, c.CM + "/" + one, "GET"), ("get", "", "configmaps", "other", c.CM + "/other", "GET"),
            ("list", "", "configmaps", "", c.CM, "GET"), ("list", "", "pods", "", c.PODS, "GET"),
            ("delete", c.GROUP, "widgets", wname, c.WIDGETS + "/" + wname, "DELETE"), ("delete", "", "secrets", "x", core(c.NS, "secrets", "x"), "DELETE")):
        spec = {"resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": c.NS, "name": obj}}
        allowed = client.call(method, path).status != 403
        eq(status(client.post(AUTHZ + "/selfsubjectaccessreviews", {"spec": spec}), 201)["status"]["allowed"], allowed, (verb, resource, obj))
        user = {"user": "system:serviceaccount:%s:%s" % (c.NS, name)}
        eq(status(c.k.post(AUTHZ + "/subjectaccessreviews", {"spec": dict(spec, **user)}), 201)["status"]["allowed"], allowed)
        eq(status(c.k.post(AUTHZ + "/namespaces/%s/localsubjectaccessreviews" % c.NS, {"spec": dict(spec, **user)}), 201)[
            "status"]["allowed"], allowed)
        eq(by_rules(verb, group, resource, obj), allowed, (verb, resource, obj))
    a = status(client.post(AUTHZ + "/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {"path": "/api", "verb": "get"}}}), 201)
    eq(a["status"]["allowed"], True)


def t91d_reviews_that_say_too_little():
    res = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "other"}}
    local = AUTHZ + "/namespaces/%s/localsubjectaccessreviews" % c.NS
    has(status(c.k.post(local, {"spec": dict(res, user="jane")}), 422, "Invalid")["message"], "must match metadata.namespace")
    status(c.k.post(local, {"spec": {"user": "jane", "nonResourceAttributes": {"path": "/", "verb": "get"}}}), 422)
    has(status(c.k.post(AUTHZ + "/subjectaccessreviews", {"spec": res}), 422)["message"],
        "at least one of user or group must be specified")
    for spec in ({}, dict(res, nonResourceAttributes={"path": "/", "verb": "get"})):
        status(c.k.post(AUTHZ + "/selfsubjectaccessreviews", {"spec": spec}), 422, "Invalid")
    a = status(c.k.post(AUTHZ + "/subjectaccessreviews", {"spec": dict(res, groups=["system:masters"])}), 201)
    eq(a["status"]["allowed"], True)


# ---- aggregated APIs (5.4) ----
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


def condition(o, kind="Available"):
    return [(x["status"], x["reason"]) for x in o.get("status", {}).get("conditions", []) if x["type"] == kind]


def t95b_local_apiservices():
    items = {o["metadata"]["name"]: o for o in status(c.k.get(SERVICES), 200)["items"]}
    for name in ("v1.", "v1.apps", "v1.apiextensions.k8s.io", "v1." + c.GROUP):
        o = items[name]
        eq((o["spec"].get("service"), condition(o)), (None, [("True", "Local")]), name)
        assert "kube-aggregator.kubernetes.io/automanaged" in o["metadata"]["labels"], o
    eq((items["v1."]["spec"]["groupPriorityMinimum"], items["v1." + c.GROUP]["spec"]["groupPriorityMinimum"]), (18000, 1000))
    status(c.k.delete(SERVICES + "/v1." + c.GROUP), 200)
    assert eventually(lambda: c.k.get(SERVICES + "/v1." + c.GROUP).status == 200, 35)
    status(c.k.get(c.WIDGETS), 200)
    for bad in ({"metadata": {"name": "v1.x"}, "spec": {"group": "y", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}},
                {"metadata": {"name": "v1.y"}, "spec": {"group": "y", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
                                                        "service": {"name": "a", "namespace": "b"}, "caBundle": "YQ==",
                                                        "insecureSkipTLSVerify": True}}):
        status(c.k.post(SERVICES, bad), 422, "Invalid")


def t95c_conditions_of_an_apiservice():
    if not OWN:
        raise Skip
    group, name = fresh("g") + ".coracle.dev", fresh("agg")
    resources = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group + "/v1", "resources": []}
    b = Backend(lambda r: (answer[0], {"Content-Type": "application/json"}, resources), "%s.%s.svc" % (name, c.NS))
    answer = [503]
    path = SERVICES + "/v1." + group
    make(SERVICES, {"metadata": {"name": "v1." + group}, "spec": {
        "group": group, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": c.b64(b.ca),
        "service": {"name": name, "namespace": c.NS}}})

    def is_(*want):
        return eventually(lambda: condition(status(c.k.get(path), 200)) == [want], 10), condition(c.k.get(path).json)
    assert is_("False", "ServiceNotFound")[0]
    make(core(c.NS, "services"), {"metadata": {"name": name}, "spec": {"ports": [{"port": 444, "name": "https"}]}})
    got = is_("False", "ServicePortError")
    assert got[0], got
    status(c.k.merge(core(c.NS, "services", name), {"spec": {"ports": [{"port": 443, "name": "https"}]}}), 200)
    got = is_("False", "EndpointsNotFound")
    assert got[0], got
    slices = "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices" % c.NS
    make(slices, {"metadata": {"name": name + "-1", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
                  "ports": [{"name": "https", "port": b.port}], "endpoints": []})
    got = is_("False", "MissingEndpoints")
    assert got[0], got
    status(c.k.merge(slices + "/" + name + "-1", {"endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]}), 200)
    got = is_("False", "FailedDiscoveryCheck")
    assert got[0], got
    status(c.k.get("/apis/%s/v1/things" % group), 503)
    status(c.k.get("/apis/%s/v1" % group), 503)
    n = len(b.requests)
    status(c.k.get("/apis/%s/v1/things" % group), 503)
    assert all(r.path.split("?")[0] == "/apis/%s/v1" % group for r in b.requests[n:]), "asked although it is unavailable"
    stale = c.k.get("/apis", headers={"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}).json
    eq([v["freshness"] for i in stale["items"] if i["metadata"]["name"] == group for v in i["versions"]], ["Stale"])
    status(c.k.get("/api/v1/namespaces"), 200)
    answer[0] = 200
    got = is_("True", "Passed")
    assert got[0], got
    status(c.k.get("/apis/%s/v1/things" % group), 200)
    r = [r for r in b.requests if r.headers.get("X-Remote-User") == "system:kube-aggregator"][0]
    eq(r.headers.get_all("X-Remote-Group"), ["system:masters"])
    status(c.k.delete(path), 200)
    b.close()


# ---- eviction (97) ----
def t97b_eviction_by_the_letter():
    ns = namespace()
    pods, pdbs = core(ns, "pods"), "/apis/policy/v1/namespaces/%s/poddisruptionbudgets" % ns
    kinds = {r["name"]: r for r in status(c.k.get("/api/v1"), 200)["resources"]}
    eq([kinds["pods/eviction"][x] for x in ("group", "version", "kind")], ["policy", "v1", "Eviction"])
    if not OWN:
        raise Skip  # what follows plays node agent and controller

    def running(ready="True", label="a"):
        p = pod()
        p["metadata"]["labels"] = {"app": label}
        name = make(pods, p)["metadata"]["name"]
        status(c.k.post(pods + "/" + name + "/binding", {"target": {"kind": "Node", "name": "n"}}), 201)
        status(c.k.merge(pods + "/" + name + "/status", {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": ready}]}}), 200)
        return name

    def evict(name, query="", **options):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        if options:
            body["deleteOptions"] = options
        return c.k.post(pods + "/" + name + "/eviction" + query, body)

    def budget(label="a", **spec):
        name = fresh("pdb")
        make(pdbs, {"metadata": {"name": name}, "spec": dict({"selector": {"matchLabels": {"app": label}}}, **spec)})
        return name

    def says(name, **st):
        status(c.k.merge(pdbs + "/" + name + "/status", {"status": dict({"observedGeneration": 1}, **st)}), 200)
    one, two, sick = running(), running(), running("False")
    b = budget(minAvailable=2)
    a = evict(one)
    status(a, 429, "TooManyRequests")
    eq((a.headers["Retry-After"], a.json["details"]["causes"][0]["message"]),
       ("10", "The disruption budget %s is still being processed by the server." % b))
    says(b, desiredHealthy=2, currentHealthy=2, disruptionsAllowed=0, expectedPods=3)
    a = evict(one)
    status(a, 429, "TooManyRequests")
    eq((a.json["message"], a.json["details"]["causes"], a.headers["Retry-After"], a.json["details"].get("retryAfterSeconds")), (
        "Cannot evict pod as it would violate the pod's disruption budget.",
        [{"reason": "DisruptionBudget", "message": "The disruption budget %s needs 2 healthy pods and has 2 currently" % b}], None, None))
    # one that is not ready costs nothing while the others suffice
    status(evict(sick, dryRun=["All"]), 201)
    status(evict(sick, "?dryRun=All"), 201)
    eq("deletionTimestamp" in status(c.k.get(pods + "/" + sick), 200)["metadata"], False)
    a = status(evict(sick), 201)
    eq((a["kind"], a["status"]), ("Status", "Success"))
    o = status(c.k.get(pods + "/" + sick), 200)
    assert o["metadata"]["deletionTimestamp"], o
    eq([(x["status"], x["reason"], x["message"]) for x in o["status"]["conditions"] if x["type"] == "DisruptionTarget"],
       [("True", "EvictionByEvictionAPI", "Eviction API: evicting")])
    # not while they do not, unless the budget says so
    says(b, desiredHealthy=2, currentHealthy=1, disruptionsAllowed=0)
    sick = running("False")
    status(evict(sick), 429)
    status(c.k.merge(pdbs + "/" + b, {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}), 200)
    status(evict(sick), 201)
    # two at once do not share one
    says(b, observedGeneration=2, desiredHealthy=1, currentHealthy=2, disruptionsAllowed=1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        codes = sorted(a.status for a in pool.map(evict, (one, two)))
    eq(codes, [201, 429])
    st = status(c.k.get(pdbs + "/" + b), 200)["status"]
    eq((st["disruptionsAllowed"], len(st["disruptedPods"])), (0, 1))
    # preconditions and grace of the options
    left = [p["metadata"]["name"] for p in status(c.k.get(pods), 200)["items"] if not p["metadata"].get("deletionTimestamp")][0]
    says(b, observedGeneration=2, disruptionsAllowed=5)
    status(evict(left, preconditions={"uid": "00000000-0000-0000-0000-000000000000"}), 409, "Conflict")
    status(evict(left, gracePeriodSeconds=0), 201)
    eq(c.k.get(pods + "/" + left).status, 404)
    # several budgets, another name, nobody
    both = running(label="b")
    budget("b", maxUnavailable="10%")
    budget("b", minAvailable="50%")
    has(status(evict(both), 500)["message"], "This pod has more than one PodDisruptionBudget")
    status(c.k.post(pods + "/" + both + "/eviction", {"metadata": {"name": "other"}}), 400)
    status(evict("nobody"), 404, "NotFound")
    pending = pod()
    pending["metadata"]["labels"] = {"app": "a"}
    name = make(pods, pending)["metadata"]["name"]
    says(b, observedGeneration=2, disruptionsAllowed=0)
    status(evict(name), 201)
    eq(c.k.get(pods + "/" + name).status, 404)
    for bad in ({"minAvailable": 1, "maxUnavailable": 1}, {"minAvailable": "150%"}, {"minAvailable": -1}):
        status(c.k.post(pdbs, {"metadata": {"name": "bad"}, "spec": dict({"selector": {}}, **bad)}), 422, "Invalid")


# ---- certificates (1.5) ----
def t86c_certificate_signing_requests():
    base = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", d + "/k",
                        "-out", d + "/r", "-subj", "/CN=jane"], check=True, stderr=subprocess.DEVNULL)
        request = c.b64(open(d + "/r").read())
    signer = "coracle.dev/" + fresh("signer")
    name, client = account(may(["create", "get"], ["certificatesigningrequests"], ["certificates.k8s.io"]),
                           may(["update", "patch"], ["certificatesigningrequests/approval", "certificatesigningrequests/status"],
                               ["certificates.k8s.io"]), cluster=True)
    o = status(client.post(base, {"metadata": {"name": fresh("csr")}, "spec": {
        "request": request, "signerName": signer, "usages": ["client auth"], "username": "root", "groups": ["system:masters"]}}), 201)
    eq((o["spec"]["username"], "system:masters" in o["spec"]["groups"]), ("system:serviceaccount:%s:%s" % (c.NS, name), False))
    path = base + "/" + o["metadata"]["name"]
    verdict = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}}
    a = status(client.merge(path + "/approval", verdict), 403, "Forbidden")
    has(a["message"], 'user not permitted to approve requests with signerName "%s"' % signer)
    a = status(client.merge(path + "/status", {"status": {"certificate": c.b64("x")}}), 403)
    has(a["message"], 'user not permitted to sign requests with signerName "%s"' % signer)
    a = status(c.k.merge(path, {"spec": {"username": "root"}, "metadata": {"labels": {"a": "b"}}}), 200)
    eq((a["spec"]["username"], a["metadata"]["labels"]), (o["spec"]["username"], {"a": "b"}))
    status(c.k.merge(path + "/status", verdict), 422, "Invalid")
    a = status(c.k.merge(path + "/approval", verdict), 200)
    eq(a["status"]["conditions"][0]["type"], "Approved")
    status(c.k.merge(path + "/approval", {"status": {"conditions": []}}), 422, "Invalid")
    status(c.k.delete(path), 200)


def t86d_approved_requests_are_signed():
    """CertificateSigningRequests of Kubernetes' own signers: what is signed works, what the signer does not sign is Failed."""
    base = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    ours = "kubernetes.io/kube-apiserver-client"
    node = "/O=system:nodes/CN=system:node:n1"
    verdict = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}}
    with tempfile.TemporaryDirectory() as d:
        def request(subject, san=None, key="ec", opts=("-pkeyopt", "ec_paramgen_curve:P-256")):
            subprocess.run(["openssl", "req", "-newkey", key, *opts, "-nodes", "-keyout", d + "/key", "-out", d + "/req", "-subj", subject] +
                           (["-addext", "subjectAltName=" + san] if san else []), check=True, stderr=subprocess.DEVNULL)
            return c.b64(open(d + "/req").read())

        def ask(request, signer=ours, usages=("client auth", "digital signature"), code=201, **spec):
            return status(c.k.post(base, {"metadata": {"name": fresh("csr")}, "spec": dict(
                {"request": request, "signerName": signer, "usages": list(usages)}, **spec)}), code)

        def decided(o):
            path = base + "/" + o["metadata"]["name"]
            assert "certificate" not in c.k.get(path).json.get("status", {})
            status(c.k.merge(path + "/approval", verdict), 200)
            assert eventually(lambda: c.k.get(path).json["status"].get("certificate") or
                              len(c.k.get(path).json["status"]["conditions"]) > 1)
            s = c.k.get(path).json["status"]
            status(c.k.delete(path), 200)
            return s

        def issued(*a, **kw):
            s = decided(ask(*a, **kw))
            assert "certificate" in s, s
            with open(d + "/cert", "w") as f:
                f.write(base64.b64decode(s["certificate"]).decode())
            return subprocess.run(["openssl", "x509", "-in", d + "/cert", "-noout", "-text"], check=True, capture_output=True, text=True).stdout

        def failed(why, *a, **kw):
            s = decided(ask(*a, **kw))
            assert "certificate" not in s
            eq([x["type"] for x in s["conditions"]], ["Approved", "Failed"])
            eq(s["conditions"][1]["reason"], "SignerValidationFailure")
            has(s["conditions"][1]["message"], why)
        text = issued(request("/O=dev/O=ops/CN=jane"), expirationSeconds=3600)
        has(text, "TLS Web Client Authentication")
        assert "TLS Web Server" not in text and "CA:TRUE" not in text
        jane = Client(c.server.kubeconfig, cert=(d + "/cert", d + "/key"))
        me = status(jane.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}), 201)["status"]["userInfo"]
        eq((me["username"], me["groups"]), ("jane", ["dev", "ops", "system:authenticated"]))
        ends = subprocess.run(["openssl", "x509", "-in", d + "/cert", "-noout", "-checkend", "3700"], capture_output=True, check=False)
        eq(ends.returncode, 1)  # within the hour
        has(issued(request("/CN=rsa", key="rsa:2048", opts=())), "CN = rsa")
        has(issued(request(node, "DNS:n1,IP:10.0.0.1"), "kubernetes.io/kubelet-serving", ("server auth", "digital signature")),
            "DNS:n1, IP Address:10.0.0.1")
        issued(request(node), ours + "-kubelet")
        failed("usages did not match", request("/CN=x"), usages=("server auth",))
        failed("usages did not match", request("/CN=x"), usages=("digital signature",))
        failed("exactly [system:nodes]", request("/CN=system:node:x"), ours + "-kubelet")
        failed("system:node:", request("/O=system:nodes/CN=x"), ours + "-kubelet")
        failed("not allowed", request(node, "DNS:n1"), ours + "-kubelet")
        failed("required", request(node), "kubernetes.io/kubelet-serving", ("server auth",))
        failed("only DNS and IP", request(node, "DNS:n1,URI:spiffe://x"), "kubernetes.io/kubelet-serving", ("server auth",))
        # nobody else's, and not before somebody says so
        o = ask(request("/CN=x"), "example.com/signer")
        status(c.k.merge(base + "/" + o["metadata"]["name"] + "/approval", verdict), 200)
        later = ask(request("/CN=x"))
        time.sleep(0.3)
        for o in (o, later):
            assert "certificate" not in c.k.get(base + "/" + o["metadata"]["name"]).json.get("status", {})
        # what is never taken
        good, tampered = request("/CN=x"), bytearray(base64.b64decode(request("/CN=y")))
        der = bytearray(base64.b64decode(b"".join(bytes(tampered).splitlines()[1:-1])))
        der[-1] ^= 1
        pem = "-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n" % base64.b64encode(der).decode()
        for request_text in (c.b64(pem), c.b64("x"), c.b64(open(d + "/key").read())):
            eq(ask(request_text, code=422)["details"]["causes"][0]["field"], "spec.request")
        eq(ask(good, "nodomain/x", code=422)["details"]["causes"][0]["field"], "spec.signerName")
        eq(ask(good, usages=(), code=422)["details"]["causes"][0]["field"], "spec.usages")
        eq(ask(good, expirationSeconds=599, code=422)["details"]["causes"][0]["field"], "spec.expirationSeconds")
        has(ask(request("/O=system:masters/CN=x"), code=403)["message"], "system:masters group is not allowed")


def t92q_two_servers_share_no_quota():
    """On one etcd, where bookings meet: compare and swap decides."""
    etcd = shutil.which("etcd")
    if not OWN or not etcd:
        raise Skip
    with tempfile.TemporaryDirectory() as d:
        client, peer = (free_port() for _ in range(2))
        url = "http://127.0.0.1:%d"
        procs = [subprocess.Popen([etcd, "--data-dir", d + "/etcd", "--listen-client-urls", url % client, "--advertise-client-urls",
                                   url % client, "--listen-peer-urls", url % peer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        try:
            ks = []
            assert eventually(lambda: answers(client), 10)
            for n in "xy":
                procs.append(subprocess.Popen([find_server_program(), d + "/" + n, "0", "--store=etcd:" + url % client],
                                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
                ks.append(c.Client(procs[-1].stdout.readline().strip()))
            ns = fresh("two")
            status(ks[0].post("/api/v1/namespaces", {"metadata": {"name": ns}}), 201)
            for k in ks:
                assert eventually(lambda: k.get(core(ns, "serviceaccounts", "default")).status == 200)
            status(ks[0].post(core(ns, "resourcequotas"), {"metadata": {"name": "q"}, "spec": {"hard": {"secrets": "20"}}}), 201)
            for k in ks:
                assert eventually(lambda: k.get(core(ns, "resourcequotas", "q")).status == 200)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                codes = list(pool.map(lambda i: ks[i % 2].post(core(ns, "secrets"), {"metadata": {"name": "s%d" % i}}).status, range(50)))
            eq((codes.count(201), codes.count(403)), (20, 30))
            eq(len(status(ks[0].get(core(ns, "secrets")), 200)["items"]), 20)
            for i in [i for i, code in enumerate(codes) if code == 201][:5]:
                status(ks[i % 2].delete(core(ns, "secrets", "s%d" % i)), 200)
            assert eventually(lambda: ks[1].get(core(ns, "resourcequotas", "q")).json["status"]["used"] == {"secrets": "15"}, 10)
        finally:
            for p in reversed(procs):
                p.terminate()
                p.wait(20)
            for p in procs[1:]:
                p.stdout.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
