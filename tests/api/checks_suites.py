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


HPAS = "/apis/autoscaling/%s/namespaces/" + c.NS + "/horizontalpodautoscalers"


def t02b_autoscalers_in_their_older_shape():
    """kubectl autoscale up to 1.33 writes autoscaling/v1; both versions are one set of objects."""
    name = fresh("h")
    o = {"metadata": {"name": name}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 60,
                                              "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
    make(HPAS % "v1", o)
    two, one = HPAS % "v2" + "/" + name, HPAS % "v1" + "/" + name
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
    a = status(c.k.get(two), 200)
    eq((a["spec"]["minReplicas"], a["spec"]["metrics"]), (1, [cpu]))
    more = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}}
    status(c.k.merge(two, {"spec": {"metrics": [more, cpu], "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}}), 200)
    a = status(c.k.get(one), 200)
    eq((a["spec"]["targetCPUUtilizationPercentage"], "metrics" in a["spec"], "behavior" in a["spec"]), (60, False, False))
    status(c.k.merge(one, {"spec": {"targetCPUUtilizationPercentage": 70}}), 200)
    a = status(c.k.get(two), 200)
    got = {m["resource"]["name"]: m["resource"]["target"] for m in a["spec"]["metrics"]}
    eq((got["memory"], got["cpu"]["averageUtilization"]), (more["resource"]["target"], 70))
    eq(a["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 5)
    assert not [k for k in a["metadata"].get("annotations", {}) if k.startswith("autoscaling.alpha")], a["metadata"]
    del o["spec"]["targetCPUUtilizationPercentage"]
    o["metadata"]["name"] = fresh("h")
    eq(make(HPAS % "v1", o)["spec"]["targetCPUUtilizationPercentage"], 80)


def t12b_quantities_are_written_one_way():
    limits = {"cpu": 0.5, "memory": "1024Mi"}
    a = make(c.PODS, c.pod(containers=[{"name": "a", "image": "x", "resources": {"limits": limits}}]))
    eq(a["spec"]["containers"][0]["resources"], {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}})


def t29b_what_go_takes_for_nothing():
    """Empty words, and keys that stand twice in lists which only patches look up by key."""
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    a = make(c.PODS, c.pod(restartPolicy="", tolerations=[{"key": "a", "operator": "", "value": "b"}], containers=[
        {"name": "a", "image": "x", "env": env, "ports": [{"containerPort": 1, "protocol": ""}]}]))
    eq((a["spec"]["restartPolicy"], a["spec"]["containers"][0]["env"], a["spec"]["containers"][0]["ports"][0]["protocol"]),
       ("Always", env, "TCP"))


def t22c_defaults_that_were_not_there():
    get = {"port": 80}
    a = make(c.PODS, c.pod(hostNetwork=True, containers=[{
        "name": "a", "image": "x", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": get}, "lifecycle": {"preStop": {
            "httpGet": get}}}]))["spec"]["containers"][0]
    eq((a["ports"][0]["hostPort"], a["livenessProbe"]["httpGet"]["path"], a["lifecycle"]["preStop"]["httpGet"]["path"]), (80, "/", "/"))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
        {"name": "a", "image": "x", "resources": {"limits": {"cpu": "1"}}}]}}
    apps = "/apis/apps/v1/namespaces/%s/" % c.NS
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    a = status(c.k.post(apps + "deployments?dryRun=All", {"metadata": {"name": fresh("d")}, "spec": spec}), 201)
    eq(a["spec"]["template"]["spec"]["containers"][0]["resources"], {"limits": {"cpu": "1"}})
    claim = {"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    a = status(c.k.post(apps + "statefulsets?dryRun=All", {"metadata": {"name": fresh("s")}, "spec": dict(
        spec, serviceName="x", volumeClaimTemplates=[claim])}), 201)["spec"]["volumeClaimTemplates"][0]
    eq((a["kind"], a["spec"]["volumeMode"], a["status"]["phase"]), ("PersistentVolumeClaim", "Filesystem", "Pending"))
    a = status(c.k.post("/apis/storage.k8s.io/v1/volumeattachments?dryRun=All", {"metadata": {"name": fresh("va")}, "spec": {
        "attacher": "x", "nodeName": "n", "source": {"persistentVolumeName": "p"}}}), 201)
    eq(a["status"]["attached"], False)
    a = status(c.k.post("/api/v1/nodes?dryRun=All", {"metadata": {"name": fresh("n")}, "status": {"capacity": {"cpu": "4"}}}), 201)
    eq(a["status"]["allocatable"], {"cpu": "4"})


def t50b_jobs_leave_their_pods():
    """kubernetes-api.md 1.5"""
    jobs = "/apis/batch/v1/namespaces/%s/jobs" % c.NS
    o = {"metadata": {"name": fresh("j")}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
        {"name": "a", "image": "x"}]}}}}
    at = jobs + "/" + make(jobs, o)["metadata"]["name"]
    a = c.k.delete(at)
    has(str(a.all("Warning")), "child pods are preserved by default when jobs are deleted")
    eq(status(a, 200)["metadata"]["finalizers"], ["orphan"])
    a = c.k.delete(at, {"propagationPolicy": "Background"})
    eq(a.all("Warning"), [])
    if c.OWN:
        status(c.k.get(at), 404)


def t73b_reviews_are_no_tables():
    a = c.k.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {
        "path": "/", "verb": "get"}}}, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    status(a, 406, "NotAcceptable")


def t101c_a_pod_that_gets_a_deadline_changes_its_quota():
    ns = fresh("scopes")
    status(c.k.post("/api/v1/namespaces", {"metadata": {"name": ns}}), 201)
    base = "/api/v1/namespaces/" + ns
    if c.OWN:
        status(c.k.post(base + "/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}, "scopes": ["Terminating"]}}), 201)
        free = c.pod(automountServiceAccountToken=False)
        c.eventually(lambda: c.k.get(base + "/serviceaccounts/default").status == 200)
        status(c.k.post(base + "/pods", free), 201)
        c.eventually(lambda: c.k.get(base + "/resourcequotas/q").json["status"].get("used"))
        status(c.k.merge(base + "/pods/" + free["metadata"]["name"], {"spec": {"activeDeadlineSeconds": 100}}), 200)
        status(c.k.post(base + "/pods", c.pod(activeDeadlineSeconds=100)), 403, "Forbidden")


def t29c_what_is_wrong_with_a_pod():
    def refused(cause, account=None, **container):
        spec = {k[4:]: container.pop(k) for k in list(container) if k.startswith("pod_")}
        o = c.pod(containers=[dict({"name": "a", "image": "x"}, **container)], **spec)
        has(text(c.k.post(c.PODS + "?dryRun=All", o), 422, "Invalid"), "spec." + cause)
    at = "containers[0]."
    refused(at + "livenessProbe: Required value: must specify a handler type", livenessProbe={})
    refused(at + "readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive", readinessProbe={"httpGet": {"port": 0}})
    refused(at + "readinessProbe.tcpSocket.port: Invalid value: \"Bad!\": must contain only", readinessProbe={"tcpSocket": {"port": "Bad!"}})
    refused(at + "startupProbe.exec.command: Required value", startupProbe={"exec": {}})
    refused(at + "lifecycle.preStop: Required value: must specify a handler type", lifecycle={"preStop": {}})
    refused(at + "env[0].name: Required value", env=[{"name": "", "value": "x"}])
    refused(at + "env[0].valueFrom: Invalid value: \"\": must specify one of", env=[{"name": "A", "valueFrom": {}}])
    refused(at + "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            env=[{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
    refused(at + "ports[1].name: Duplicate value: \"p\"", ports=[{"containerPort": 1, "name": "p"}, {"containerPort": 2, "name": "p"}])
    refused(at + "ports[0].hostPort: Invalid value: 5: must match `containerPort`", pod_hostNetwork=True, ports=[{"containerPort": 1, "hostPort": 5}])
    refused(at + "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            resources={"limits": {"cpu": 1}, "requests": {"cpu": 2}})
    refused(at + "resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0", resources={"limits": {"cpu": -1}})
    refused(at + "volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique", pod_volumes=[{"name": "v"}],
            volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}])
    refused("volumes[0].name: Invalid value: \"Bad!\": a lowercase RFC 1123 label", pod_volumes=[{"name": "Bad!"}])
    refused("volumes[0].secret.secretName: Required value", pod_volumes=[{"name": "v", "secret": {}}])
    refused("volumes[0].hostPath: Forbidden: may not specify more than 1 volume type", pod_volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}])
    refused("tolerations[0].operator: Invalid value: \"b\": value must be empty", pod_tolerations=[{"key": "a", "operator": "Exists", "value": "b"}])
    refused("tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute'",
            pod_tolerations=[{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}])
    refused("hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address", pod_hostAliases=[{"ip": "x", "hostnames": ["a"]}])
    refused("activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647", pod_activeDeadlineSeconds=0)


def t29d_what_is_wrong_with_a_service():
    def refused(cause, **spec):
        a = c.k.post("/api/v1/namespaces/%s/services?dryRun=All" % c.NS, {"metadata": {"name": fresh("s")}, "spec": spec})
        has(text(a, 422, "Invalid"), "spec." + cause)
    refused("externalName: Required value", type="ExternalName")
    refused("selector: Invalid value: \"b b\": a valid label must be", selector={"a": "b b"}, ports=[{"port": 1}])
    refused("ports[0].name: Invalid value: \"A_\": a lowercase RFC 1123 label", ports=[{"port": 1, "name": "A_"}])
    refused("ports[0].targetPort: Invalid value: \"-x\": must not begin or end with a hyphen", ports=[{"port": 1, "targetPort": "-x"}])
    refused("ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":1,", ports=[{"port": 1, "name": "a"}, {"port": 1, "name": "b"}])


def t05b_the_server_has_an_endpoint_slice():
    a = status(c.k.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=kubernetes"), 200)
    e = status(c.k.get("/api/v1/namespaces/default/endpoints/kubernetes"), 200)["subsets"][0]
    eq((a["items"][0]["endpoints"][0]["addresses"], a["items"][0]["ports"]), ([e["addresses"][0]["ip"]], e["ports"]))


def t60b_events_are_found_by_their_newer_source():
    ns = "/namespaces/%s/events" % c.NS
    o = {"metadata": {"name": fresh("e")}, "regarding": {"kind": "Pod", "name": "p", "namespace": c.NS}, "reason": "R", "note": "M",
         "type": "Normal", "eventTime": "2025-01-01T00:00:00.123456Z", "reportingController": o_source(), "reportingInstance": "i", "action": "A"}
    make("/apis/events.k8s.io/v1" + ns, o)
    a = status(c.k.get("/api/v1" + ns + "?fieldSelector=source=" + o["reportingController"]), 200)
    eq([x["metadata"]["name"] for x in a["items"]], [o["metadata"]["name"]])


def o_source():
    return "source-" + fresh("s")


def t89d_an_empty_group_of_a_role_is_rbacs():
    base = "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings" % c.NS
    a = make(base, {"metadata": {"name": fresh("b")}, "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "User", "name": "u", "apiGroup": ""}]})
    eq((a["roleRef"]["apiGroup"], a["subjects"][0]["apiGroup"]), ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io"))


def t27d_keys_that_stand_twice():
    w = {"apiVersion": c.GROUP + "/v1", "kind": "Widget", "metadata": {"name": fresh("w")}, "spec": {"color": "red"}}
    at = c.WIDGETS + "/" + make(c.WIDGETS, w)["metadata"]["name"]
    body = "\napiVersion: %s/v1\nkind: Widget\nmetadata:\n  name: %s\nspec:\n  color: a\n  color: b\n" % (c.GROUP, w["metadata"]["name"])
    a = c.k.call("PATCH", at + "?fieldManager=m&force=true&fieldValidation=Strict", body, type="application/apply-patch+yaml")
    has(text(a, 400, "BadRequest"), 'line 8: key "color" already set in map')
    a = c.k.call("PATCH", at + "?fieldManager=m&force=true", body, type="application/apply-patch+yaml")
    eq(status(a, 200)["spec"]["color"], "b")
    has(str(a.all("Warning")), "already set in map")
    a = c.k.call("PATCH", at + "?fieldValidation=Strict", '{"spec":{"color":"a","color":"b"}}', type="application/merge-patch+json")
    has(a.json["message"], 'duplicate field "spec.color"')
    assert a.status in (400, 422), a.status


def t12c_no_bytes_are_bytes():
    a = make("/api/v1/namespaces/%s/secrets" % c.NS, {"metadata": {"name": fresh("s")}, "data": {"a": ""}, "stringData": {"b": ""}})
    eq(a["data"], {"a": "", "b": ""})
    make(c.CM, {"metadata": {"name": fresh("s")}, "binaryData": {"a": ""}})


def t24e_conditions_of_a_definition_are_anybodys():
    o = c.crd(fresh("conds").replace("-", "").replace("_", "") + "x", "Conds" + fresh("x").replace("-", ""), group="sc." + c.GROUP)
    at = c.CRDS + "/" + make(c.CRDS, o)["metadata"]["name"]
    a = status(c.k.merge(at + "/status", {"status": {"conditions": [{"message": "mine"}]}}), 200)
    eq([x["message"] for x in a["status"]["conditions"]], ["mine"])
    status(c.k.delete(at), 200)


def t29e_templates_are_looked_at_too():
    a = c.k.post("/api/v1/namespaces/%s/replicationcontrollers" % c.NS, {"metadata": {"name": fresh("r")}, "spec": {"template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {}}}})
    has(text(a, 422), "spec.template.spec.containers: Required value")
    a = c.k.post("/apis/batch/v1/namespaces/%s/cronjobs" % c.NS, {"metadata": {"name": fresh("r")}, "spec": {
        "schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Always", "containers": [
            {"name": "a", "image": "x"}]}}}}}})
    has(text(a, 422), 'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure"')


def t08b_documents_have_no_empty_lists():
    """Clients that read a document into their own types and write it again get the same."""
    def empty(v, at):
        if isinstance(v, dict):
            for k, x in v.items():
                if x == [] and k in ("parameters", "required", "tags", "enum"):
                    raise AssertionError("/".join(at + [k]))
                empty(x, at + [k])
        elif isinstance(v, list):
            for x in v:
                empty(x, at)
    for gv in ("api/v1", "apis/apps/v1", "apis/" + c.GROUP + "/v1"):
        empty(status(c.k.get("/openapi/v3/" + gv), 200), [gv])


def t23b_a_time_of_null_is_none():
    """kubectl rollout undo writes the template with creationTimestamp: null: that is no other template."""
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
        {"name": "a", "image": "x"}]}}}
    o = make("/apis/apps/v1/namespaces/%s/deployments" % c.NS, {"metadata": {"name": fresh("d")}, "spec": spec})
    at = "/apis/apps/v1/namespaces/%s/deployments/%s" % (c.NS, o["metadata"]["name"])
    template = o["spec"]["template"]
    template["metadata"]["creationTimestamp"] = None
    a = status(c.k.jsonpatch(at, [{"op": "replace", "path": "/spec/template", "value": template}]), 200)
    eq(a["metadata"]["generation"], o["metadata"]["generation"])
    eq(a["metadata"]["resourceVersion"], o["metadata"]["resourceVersion"])
