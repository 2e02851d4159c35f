# SPDX-License-Identifier: Apache-2.0
"""What the suites of others look at (kubectl's own command tests, Kubernetes' e2e tests of its API machinery) and what came up
when the same requests were sent to kube-apiserver 1.34: by the numbers of kubernetes-api.md section 8."""
import conformance as c
from conformance import eq, fresh, has, make, status


def text(a, code, reason=None):
    return status(a, code, reason)["message"]


def t31b_values_of_another_type():
    """16, 31, 35: nothing that reads a built-in kind meets what is not of its type; the server lives."""
    wrong = ({"a": 1}, ["a"], [None], [{}], "x", 5, True, {"a": {"b": [1]}})
    at = c.PODS + "/" + make(c.PODS, c.pod())["metadata"]["name"]
    for path in (("metadata", "labels"), ("metadata", "ownerReferences"), ("metadata", "finalizers"), ("spec", "containers"),
                 ("spec", "volumes"), ("spec", "tolerations"), ("spec", "securityContext"), ("status", "conditions"), ("spec",)):
        for value in wrong:
            body = {path[0]: {path[1]: value}} if len(path) == 2 else {path[0]: value}
            for patch in (c.k.merge, c.k.smp):
                assert patch(at, body).status in (200, 400, 422, 500), (path, value)
            assert c.k.post(c.PODS + "?dryRun=All", dict({"metadata": {"name": fresh("t")}}, **body)).status in (201, 400, 422), \
                (path, value)
    has(text(c.k.smp(at, {"metadata": {"labels": "x"}}), 422, "Invalid"), "cannot restore map from string")
    has(text(c.k.smp(at, {"spec": {"containers": "x"}}), 422, "Invalid"), "cannot restore slice from string")
    a = c.k.post(c.PODS, dict(c.pod(), metadata={"name": fresh("t"), "labels": "x"}))
    has(text(a, 400, "BadRequest"), "cannot be handled as a Pod: json: cannot unmarshal string into Go struct field")


def t20c_a_pods_manifest_once_more():
    """20, 44: what defaults and admission gave a pod is kept by a PUT of its manifest."""
    o = c.pod(serviceAccountName="default", automountServiceAccountToken=False)
    at = c.PODS + "/" + make(c.PODS, o)["metadata"]["name"]
    o["metadata"]["labels"] = {"new": "1"}
    a = status(c.k.put(at, o), 200)
    eq((a["spec"]["priority"], a["spec"]["preemptionPolicy"], a["spec"]["enableServiceLinks"]), (0, "PreemptLowerPriority", True))


def t24c_what_may_change_in_a_pod():
    o = c.pod(activeDeadlineSeconds=50, tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
                                                     {"key": "b", "operator": "Exists", "effect": "NoSchedule"}])
    at = c.PODS + "/" + make(c.PODS, o)["metadata"]["name"]
    has(text(c.k.merge(at, {"spec": {"hostname": "x"}}), 422), "spec: Forbidden: pod updates may not change fields other than")
    has(text(c.k.merge(at, {"spec": {"terminationGracePeriodSeconds": 5}}), 422), "spec: Forbidden: pod updates may not change")
    has(text(c.k.smp(at, {"spec": {"containers": [{"name": "b", "image": "x"}]}}), 422),
        "spec.containers: Forbidden: pod updates may not add or remove containers")
    has(text(c.k.merge(at, {"spec": {"activeDeadlineSeconds": 60}}), 422), "must be less than or equal to previous value")
    has(text(c.k.merge(at, {"spec": {"activeDeadlineSeconds": None}}), 422), "must not update from a positive integer to nil value")
    has(text(c.k.merge(at, {"spec": {"schedulingGates": [{"name": "a.b/c"}]}}), 422), "found new scheduling gate 'a.b/c'")
    has(text(c.k.smp(at, {"spec": {"containers": [{"name": "a", "image": ""}]}}), 422), "spec.containers[0].image: Required value")
    has(text(c.k.merge(at, {"spec": {"tolerations": o["spec"]["tolerations"][:1]}}), 422),
        "existing toleration can not be modified except its tolerationSeconds")
    o["spec"]["tolerations"][0]["tolerationSeconds"] = 1
    status(c.k.merge(at, {"spec": {"tolerations": o["spec"]["tolerations"], "activeDeadlineSeconds": 40}}), 200)


def t35b_a_volume_of_nothing_but_a_name():
    a = make(c.PODS, c.pod(volumes=[{"name": "v"}]))
    eq([v for v in a["spec"]["volumes"] if v["name"] == "v"], [{"name": "v", "emptyDir": {}}])


def t24d_the_address_of_a_service_stays():
    services = "/api/v1/namespaces/%s/services" % c.NS
    for ip in (None, "None"):
        o = {"metadata": {"name": fresh("s")}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}
        if ip:
            o["spec"]["clusterIP"] = ip
        at = services + "/" + make(services, o)["metadata"]["name"]
        has(text(c.k.merge(at, {"spec": {"clusterIP": "10.0.0.12"}}), 422),
            'spec.clusterIPs[0]: Invalid value: ["10.0.0.12"]: may not change once set')


def t39b_from_client_side_apply_to_server_side():
    """39, 43: what the annotation of kubectl's own apply says was kubectl's all along."""
    o = c.cm(data={"a": "1", "b": "1"})
    name = o["metadata"]["name"]
    last = "kubectl.kubernetes.io/last-applied-configuration"
    applied = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"a":"1","b":"1"}}\n' % name
    o["metadata"]["annotations"] = {last: applied}
    status(c.k.post(c.CM + "?fieldManager=kubectl-client-side-apply", o), 201)
    at = c.CM + "/" + name
    new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "2", "b": "2"}}
    status(c.k.apply(at, new, manager="other"), 409, "Conflict")
    status(c.k.merge(at + "?fieldManager=third", {"data": {"b": "3"}}), 200)
    a = status(c.k.apply(at, new, manager="kubectl"), 409, "Conflict")
    eq([x["field"] for x in a["details"]["causes"]], [".data.b"])
    new["data"]["b"] = "3"
    a = status(c.k.apply(at, new, manager="kubectl"), 200)
    eq(a["data"], {"a": "2", "b": "3"})
    has(a["metadata"]["annotations"][last], '"a":"2"')


def t101b_a_quota_without_limits():
    quotas = "/api/v1/namespaces/%s/resourcequotas" % c.NS
    make(quotas, {"metadata": {"name": fresh("q")}})
