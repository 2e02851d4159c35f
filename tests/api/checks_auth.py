# SPDX-License-Identifier: Apache-2.0
"""Roles, reviews, token requests, webhooks, policies and APIServices in the words of kube-apiserver 1.34 (kubernetes-api.md 5.1 to 5.4, 8.87,
8.89, 8.91, 8.92, 8.95)."""
import json

import conformance as c
from backend import Backend
from conformance import eq, fresh, has, make, status

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/"


def refused(path, body, *want):
    a = status(c.k.post(path, body), 422, "Invalid")
    eq(["%s: %s" % (x["field"], x["message"]) for x in a["details"]["causes"]], list(want))


def t89_rules_say_what_they_are_about():
    path = RBAC + "/clusterroles?dryRun=All"
    group = "Required value: resource rules must supply at least one api group"
    resource = "Required value: resource rules must supply at least one resource"
    refused(path, {"metadata": {"name": "x"}, "rules": [
        {"verbs": [], "resources": ["a"]}, {"verbs": ["get"], "apiGroups": [""]},
        {"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["x"], "apiGroups": [""]}]},
            "rules[0].verbs: Required value: verbs must contain at least one value", "rules[0].apiGroups: " + group,
            "rules[1].resources: " + resource,
            'rules[2].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs')
    refused(RBAC + "/namespaces/default/roles?dryRun=All", {"metadata": {"name": "x"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]},
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs')
    refused(path, {"metadata": {"name": "x"}, "aggregationRule": {"clusterRoleSelectors": []}},
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil")


def t89_bindings_name_a_role_and_somebody():
    path = RBAC + "/clusterrolebindings?dryRun=All"
    good = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    refused(path, {"metadata": {"name": "x"}, "roleRef": {"apiGroup": "foo", "kind": "Role", "name": ""}},
            'roleRef.apiGroup: Unsupported value: "foo": supported values: "rbac.authorization.k8s.io"',
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"', "roleRef.name: Required value")
    refused(path, {"metadata": {"name": "x"}, "roleRef": good, "subjects": [
        {"kind": "Foo", "name": "a"}, {"kind": "User", "name": ""}, {"kind": "ServiceAccount", "name": "a", "namespace": "n", "apiGroup": "foo"},
        {"kind": "Group", "name": "g", "apiGroup": "bad"}, {"kind": "ServiceAccount", "name": "a"}]},
            'subjects[0].kind: Unsupported value: "Foo": supported values: "ServiceAccount", "User", "Group"', "subjects[1].name: Required value",
            'subjects[2].apiGroup: Unsupported value: "foo": supported values: ""',
            'subjects[3].apiGroup: Unsupported value: "bad": supported values: "rbac.authorization.k8s.io"', "subjects[4].namespace: Required value")


def t91_reviews_say_who_allows_it():
    name = fresh("why")
    make(RBAC + "/clusterroles", {"metadata": {"name": name}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    make(RBAC + "/namespaces/default/rolebindings", {"metadata": {"name": name}, "roleRef": ref, "subjects": [
        {"kind": "Group", "name": name}, {"kind": "ServiceAccount", "name": "some", "namespace": "other"}]})

    def review(**spec):
        spec["resourceAttributes"] = {"verb": "get", "resource": "pods", "namespace": spec.pop("ns", "default")}
        return status(c.k.post(REVIEWS + "subjectaccessreviews", {"spec": spec}), 201)["status"]
    why = 'RBAC: allowed by RoleBinding "%s/default" of ClusterRole "%s" to ' % (name, name)
    eq(review(user="u", groups=[name]), {"allowed": True, "reason": why + 'Group "%s"' % name})
    eq(review(user="system:serviceaccount:other:some"), {"allowed": True, "reason": why + 'ServiceAccount "some/other"'})
    eq(review(user="u", groups=[name], ns="other"), {"allowed": False})
    refused(REVIEWS + "subjectaccessreviews", {"spec": {"user": ""}},
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            'spec.user: Invalid value: "": at least one of user or group must be specified')
    refused(REVIEWS + "subjectaccessreviews", {"metadata": {"name": "x"}, "spec": {"user": "u", "resourceAttributes": {"verb": "get"}}},
            'metadata: Invalid value: {"name":"x"}: must be empty')
    refused(REVIEWS + "namespaces/default/localsubjectaccessreviews",
            {"spec": {"user": "u", "resourceAttributes": {"verb": "get", "namespace": "other"}}},
            'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace')
    c.k.delete(RBAC + "/clusterroles/" + name)
    c.k.delete(RBAC + "/namespaces/default/rolebindings/" + name)


def t87_token_requests_and_reviews_in_kubernetes_words():
    name = fresh("tokens")
    make("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    path = "/api/v1/namespaces/default/serviceaccounts/%s/token" % name

    def bound(**ref):
        return c.k.post(path, {"spec": {"boundObjectRef": dict({"apiVersion": "v1"}, **ref)}})
    eq(status(bound(kind="Foo", name="x"), 400)["message"], "cannot bind token to object of type /v1, Kind=Foo")
    eq(status(bound(kind="Pod"), 400)["message"], "Name parameter required.")
    eq(status(bound(kind="Pod", name="nope"), 404)["details"], {"name": "nope", "kind": "pods"})
    a = status(c.k.post(path, {"metadata": {"name": "other"}}), 422, "Invalid")
    eq(a["details"]["causes"][0]["message"], 'Invalid value: "other": must match the service account name if specified')
    token = status(c.k.post(path, {"spec": {"audiences": ["a", "b"]}}), 201)["status"]["token"]

    def error(token, **spec):
        a = status(c.k.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": dict(spec, token=token)}), 201)["status"]
        eq(a["user"], {})
        return a["error"]
    eq(error("abc"), "invalid bearer token")
    eq(error("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"), "invalid bearer token")
    eq(error(token, audiences=["z"]), '[invalid bearer token, token audiences ["a" "b"] is invalid for the target audiences ["z"]]')
    c.k.delete("/api/v1/namespaces/default/serviceaccounts/" + name)


ADM = "/apis/admissionregistration.k8s.io/v1"
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def hook(**more):
    h = dict({"name": "a.b.c", "clientConfig": {"url": "https://x.example.com/y"}, "sideEffects": "None", "admissionReviewVersions": ["v1"],
              "rules": [RULE]}, **more)
    return {"metadata": {"name": "x"}, "webhooks": [{k: v for k, v in h.items() if v is not None}]}


def t92_webhook_configurations_are_checked():
    for path in (ADM + "/validatingwebhookconfigurations?dryRun=All", ADM + "/mutatingwebhookconfigurations?dryRun=All"):
        refused(path, hook(name=""), "webhooks[0].name: Required value")
        refused(path, hook(name="a"), 'webhooks[0].name: Invalid value: "a": should be a domain with at least three segments separated by dots')
        refused(path, hook(timeoutSeconds=31), "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds")
        refused(path, hook(sideEffects=None), "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun")
        at = "webhooks[0].rules[0]."
        refused(path, hook(rules=[{}]), *[at + x + ": Required value" for x in ("operations", "apiGroups", "apiVersions", "resources")])
        refused(path, hook(rules=[dict(RULE, operations=["FOO"], apiVersions=["*", "v1"], resources=["pods/*", "pods/status", ""])]),
                at + 'operations[0]: Unsupported value: "FOO": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
                at + "apiVersions: Invalid value: [\"*\",\"v1\"]: if '*' is present, must not specify other API versions",
                at + "resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
                at + "resources[2]: Required value")
        url = "webhooks[0].clientConfig.url: Invalid value: "
        refused(path, hook(clientConfig={"url": "http://u@x/?a=b#c"}),
                url + "\"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                url + '"u": user information is not permitted in the URL', url + '"c": fragments are not permitted in the URL',
                url + '"a=b": query parameters are not permitted in the URL')
        a = status(c.k.post(path, hook(namespaceSelector={"matchExpressions": [{"key": "a", "operator": "Foo"}]})), 422, "Invalid")
        eq(a["details"]["causes"][0]["message"], 'Invalid value: "Foo": not a valid selector operator')
        a = status(c.k.post(path, hook(matchConditions=[{"name": "a", "expression": "object.foo"}])), 422, "Invalid")
        eq(a["details"]["causes"][0]["message"], 'Invalid value: "object.foo": must evaluate to bool but got dyn')


def t95_apiservices_are_checked():
    path = "/apis/apiregistration.k8s.io/v1/apiservices?dryRun=All"

    def service(name="v1.x.example.com", **spec):
        s = dict({"group": "x.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
                  "service": {"name": "a", "namespace": "b"}}, **spec)
        return {"metadata": {"name": name}, "spec": s}
    refused(path, service(groupPriorityMinimum=0, versionPriority=1001),
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000")
    refused(path, service(service={"port": 70000}), "spec.service.namespace: Required value", "spec.service.name: Required value",
            "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive")
    refused(path, service(service=None, insecureSkipTLSVerify=True),
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify")


def t92_what_webhooks_must_not_answer():
    """Patches of validating webhooks, objects of another kind, no answer at all: told in the words of kube-apiserver."""
    name = fresh("bad")
    told = {}

    def handle(r):
        if "raw" in told:
            return told["raw"][0], {}, told["raw"][1]
        return 200, {"Content-Type": "application/json"}, {
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": dict({"uid": json.loads(r.body)["request"]["uid"], "allowed": True}, **told)}
    b = Backend(handle, "%s.%s.svc" % (name, c.NS))
    c.publish(name, b)
    path = "/api/v1/namespaces/%s/configmaps?dryRun=All" % c.NS
    body = {"metadata": {"name": name, "labels": {"bad": name}}, "data": {"a": "1"}}

    def config(plural, **service):
        make(ADM + "/" + plural, dict(hook(
            name=name + ".b.c", rules=[dict(RULE, resources=["configmaps"])], objectSelector={"matchLabels": {"bad": name}}, timeoutSeconds=5,
            clientConfig={"caBundle": c.b64(b.ca), "service": dict({"namespace": c.NS, "name": name, "path": "/x"}, **service)}),
            metadata={"name": name}))
        return ADM + "/" + plural + "/" + name

    def said():
        a = status(c.k.post(path, body), 500, "InternalError")["message"]
        return a.replace('Internal error occurred: failed calling webhook "%s.b.c": ' % name, "")
    patch = c.b64(json.dumps([{"op": "replace", "path": "/kind", "value": "Secret"}]))
    try:
        at = config("validatingwebhookconfigurations")
        for raw, want in [
                ((500, b"boom"), 'failed to call webhook: an error on the server ("boom") has prevented the request from succeeding'),
                ((404, b""), "failed to call webhook: the server could not find the requested resource"),
                ((200, b""), "failed to call webhook: 0-length response with status code: 200"),
                ((200, b"hello"), "failed to call webhook: couldn't get version/kind; json parse error: "),
                ((200, b'{"response":{}}'), "received invalid webhook response: expected webhook response of admission.k8s.io/v1, "
                 "Kind=AdmissionReview, got /, Kind=")]:
            told["raw"] = raw
            has(said(), want)
        del told["raw"]
        told.update(patch=patch, patchType="JSONPatch")
        eq(said(), "received invalid webhook response: validating webhook may not return response.patch")
        del told["patch"]
        eq(said(), "received invalid webhook response: validating webhook may not return response.patchType")
        status(c.k.delete(at), 200)
        told["patch"] = patch
        at = config("mutatingwebhookconfigurations")
        has(said(), "a webhook may not make an object one of another kind")
        status(c.k.delete(at), 200)
        config("validatingwebhookconfigurations", name="nowhere")
        eq(said(), 'failed to call webhook: Post "https://nowhere.%s.svc:443/x?timeout=5s": service "nowhere" not found' % c.NS)
    finally:
        for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
            c.k.delete(ADM + "/" + plural + "/" + name)
        b.close()
