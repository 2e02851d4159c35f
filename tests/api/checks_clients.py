# SPDX-License-Identifier: Apache-2.0
"""What suites of others and real clients (tests/clients) showed to be missing, by the numbers of kubernetes-api.md section 8."""
import http.server
import json

import conformance as c
from backend import Backend
from conformance import NS, OWN, Skip, eq, fresh, has, make, status

DEPLOYMENTS = "/apis/apps/v1/namespaces/%s/deployments" % NS


def deployment(name, **meta):
    labels = {"app": name}
    return {"metadata": dict({"name": name, "labels": labels}, **meta), "spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x"}]}}}}


def t25c_built_in_status_may_change_annotations():
    """controller-runtime, pkg/client: a metadata-only status patch of a Deployment"""
    name = fresh("d")
    make(DEPLOYMENTS, deployment(name))
    a = status(c.k.merge(DEPLOYMENTS + "/%s/status" % name, {"metadata": {"annotations": {"a": "b"}, "labels": {"l": "m"}},
                                                             "spec": {"replicas": 7}, "status": {"replicas": 1}}), 200)
    eq(a["metadata"]["annotations"]["a"], "b")
    eq((a["metadata"]["labels"], a["spec"]["replicas"], a["status"]["replicas"]), ({"app": name}, 1, 1))
    w = fresh("w")
    make(c.WIDGETS, c.widget(w))
    a = status(c.k.merge(c.WIDGETS + "/%s/status" % w, {"metadata": {"annotations": {"a": "b"}}, "status": {"phase": "x"}}), 200)
    eq(a["metadata"].get("annotations"), None)


def t25c_built_in_kinds_show_an_empty_status():
    """As Go prints a struct; controller-runtime compares an unstructured read with a converted typed one"""
    name = fresh("d")
    eq(make(DEPLOYMENTS, deployment(name))["status"], {})
    a = status(c.k.get(DEPLOYMENTS + "/" + name), 200)
    eq(a["status"], {})
    fields = json.dumps([f["fieldsV1"] for f in a["metadata"]["managedFields"]])
    assert "f:status" not in fields, fields
    sets = "/apis/apps/v1/namespaces/%s/replicasets" % NS
    a = make(sets, deployment(fresh("rs")))
    eq(a["status"], {"replicas": 0})
    fields = json.dumps([f["fieldsV1"] for f in a["metadata"]["managedFields"]])
    assert "f:status" not in fields, fields
    pdb = make("/apis/policy/v1/namespaces/%s/poddisruptionbudgets" % NS, {"metadata": {"name": fresh("pdb")}, "spec": {"minAvailable": 1}})
    eq(pdb["status"], {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0})


def t12c_a_target_port_of_nothing_is_the_port():
    """protobuf can not leave an IntOrString out: client-go sends 0"""
    s = make("/api/v1/namespaces/%s/services" % NS, {"metadata": {"name": fresh("svc")}, "spec": {"ports": [
        {"name": "a", "port": 80, "targetPort": 0}, {"name": "b", "port": 81, "targetPort": ""}, {"name": "c", "port": 82}]}})
    eq([p["targetPort"] for p in s["spec"]["ports"]], [80, 81, 82])


def t26c_dry_run_of_a_create_with_a_resource_version():
    """client.NewDryRunClient creates what it has read before"""
    name = fresh("d")
    body = deployment(name, resourceVersion="5")
    status(c.k.post(DEPLOYMENTS, body), 400)
    a = status(c.k.post(DEPLOYMENTS + "?dryRun=All", body), 201)
    eq(a["metadata"].get("resourceVersion"), None)
    body["spec"]["template"]["spec"]["containers"] = []
    status(c.k.post(DEPLOYMENTS + "?dryRun=All", body), 422, "Invalid")


def t38c_apply_of_a_scale():
    name, w = fresh("d"), fresh("w")
    make(DEPLOYMENTS, deployment(name))
    make(c.WIDGETS, c.widget(w))
    for at in (DEPLOYMENTS + "/" + name, c.WIDGETS + "/" + w):
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
        a = status(c.k.apply(at + "/scale", body, "scaler", force=True), 200)
        eq((a["kind"], a["spec"]["replicas"]), ("Scale", 4))
        o = status(c.k.get(at), 200)
        entry = [f for f in o["metadata"]["managedFields"] if f["manager"] == "scaler"][0]
        eq((entry["operation"], entry["subresource"], entry["apiVersion"], entry["fieldsV1"]),
           ("Apply", "scale", o["apiVersion"], {"f:spec": {"f:replicas": {}}}))
        body["spec"]["replicas"] = 5
        a = status(c.k.apply(at + "/scale", body, "other"), 409, "Conflict")
        eq(a["details"]["causes"][0]["field"], ".spec.replicas")
        status(c.k.apply(at + "/scale", dict(body, spec={"replicas": -1}), "scaler"), 422)
        status(c.k.apply(at + "/scale", dict(body, kind="Deployment"), "scaler"), 400)


def t60c_field_selectors_of_the_newer_events():
    """controller-runtime, pkg/manager: one store, two shapes"""
    name = fresh("regarded")
    events = "/apis/events.k8s.io/v1/namespaces/%s/events" % NS
    make(events, {"metadata": {"name": name}, "eventTime": "2024-01-01T00:00:00.000000Z", "reportingController": "x.dev/y",
                  "reportingInstance": "y", "action": "a", "reason": "Because", "type": "Normal", "note": "n",
                  "regarding": {"kind": "Pod", "name": name, "namespace": NS}})
    for path, sel in ((events, "regarding.name=" + name), (events, "regarding.name=%s,reportingController=x.dev/y" % name),
                      ("/apis/events.k8s.io/v1/events", "regarding.name=" + name),
                      ("/api/v1/namespaces/%s/events" % NS, "involvedObject.name=" + name)):
        eq([e["metadata"]["name"] for e in status(c.k.get(path + "?fieldSelector=" + sel), 200)["items"]], [name], sel)
    eq(status(c.k.get(events + "?fieldSelector=regarding.name=other" + name), 200)["items"], [])
    status(c.k.get(events + "?fieldSelector=involvedObject.name=x"), 400)


def t92c_slashes_of_a_webhook_url_are_joined():
    """envtest's URLs have two; a server in Go redirects them, kube-apiserver never sends them so"""
    if not OWN:
        raise Skip
    seen = []

    def handler(r):
        seen.append(r.path)
        return 200, {"Content-Type": "application/json"}, {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": json.loads(r.body)["request"]["uid"], "allowed": False, "status": {"message": "no", "code": 403, "reason": "Forbidden"}}}
    b = Backend(handler, "x,IP:127.0.0.1")
    name = fresh("slashes")
    base = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    make(base, {"metadata": {"name": name}, "webhooks": [{
        "name": "a.coracle.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "objectSelector": {"matchLabels": {"slashes": "yes"}},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"]}],
        "clientConfig": {"url": "https://127.0.0.1:%d//fail//here" % b.port, "caBundle": c.b64(b.ca)}}]})
    try:
        a = status(c.k.post(c.CM, {"metadata": {"name": name, "labels": {"slashes": "yes"}}}), 403, "Forbidden")
        has(a["message"], "denied the request: no")
        eq(seen[0].split("?")[0], "/fail/here")
    finally:
        c.k.delete(base + "/" + name)
        b.close()
