# SPDX-License-Identifier: Apache-2.0
"""What kinds look like: protobuf, Tables, discovery, metrics, by the numbers of kubernetes-api.md section 8."""
import concurrent.futures
import json
import re
import struct

import conformance as c
from conformance import Skip, eq, fresh, has, make, status

PB = "application/vnd.kubernetes.protobuf"
META = ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
META_LIST = ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


# ---- protobuf, read without any table: field numbers are given by hand ----
def varint(b, at):
    n = shift = 0
    while True:
        n |= (b[at] & 0x7F) << shift
        at += 1
        if b[at - 1] < 0x80:
            return n, at
        shift += 7


def fields(b):
    """{number: [values]} of a message; byte strings stay bytes."""
    out, at = {}, 0
    while at < len(b):
        tag, at = varint(b, at)
        if tag & 7 == 0:
            v, at = varint(b, at)
        elif tag & 7 == 1:
            v, at = b[at:at + 8], at + 8
        else:
            n, at = varint(b, at)
            v, at = b[at:at + n], at + n
            assert len(v) == n, "a value is cut off"
        out.setdefault(tag >> 3, []).append(v)
    return out


def unwrap(b):
    """apiVersion, kind and message of an envelope."""
    eq(b[:4], b"k8s\0")
    unknown = fields(b[4:])
    kind = fields(unknown[1][0])
    return kind[1][0].decode(), kind[2][0].decode(), fields(unknown[2][0])


def accept(*types):
    return {"Accept": ",".join(types)}


def raw(a, code=200):
    eq(a.status, code)
    eq(a.headers.get("Content-Type"), PB)
    return unwrap(a.body)


def config_map(**data):
    name = fresh("pb")
    make("/api/v1/namespaces/default/configmaps", {"metadata": {"name": name, "labels": {"pb": name}}, "data": data})
    return name


def t13p_protobuf_of_one_object_and_of_a_list():
    name = config_map(a="b")
    url = "/api/v1/namespaces/default/configmaps"
    version, kind, m = raw(c.k.get(url + "/" + name, headers=accept(PB, "application/json")))
    eq((version, kind), ("v1", "ConfigMap"))
    eq(fields(m[1][0])[1], [name.encode()])
    eq(fields(m[2][0]), {1: [b"a"], 2: [b"b"]})
    version, kind, m = raw(c.k.get(url + "?labelSelector=pb%3D" + name, headers=accept(PB)))
    eq((version, kind, len(m[2])), ("v1", "ConfigMapList", 1))
    meta = fields(m[1][0])
    assert int(meta[2][0]) > 0, "the list has its version"
    eq(fields(fields(m[2][0])[1][0])[1], [name.encode()])


def t13p_order_and_weight_choose():
    url = "/api/v1/namespaces/default/configmaps/" + config_map()
    eq(c.k.get(url, headers=accept("application/json", PB)).headers.get("Content-Type"), "application/json")
    eq(c.k.get(url, headers=accept("application/json;q=0.5", PB)).headers.get("Content-Type"), PB)
    eq(c.k.get(url, headers=accept(PB + ";q=0.1", "application/json;q=0.2")).headers.get("Content-Type"), "application/json")
    eq(c.k.get(url, headers=accept("*/*")).headers.get("Content-Type"), "application/json")


def t13p_protobuf_answers_to_writes_and_errors():
    name = fresh("pb")
    url = "/api/v1/namespaces/default/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    _, kind, m = raw(c.k.post(url, body, headers=accept(PB)), 201)
    eq((kind, fields(m[1][0])[1]), ("ConfigMap", [name.encode()]))
    version, kind, m = raw(c.k.post(url, body, headers=accept(PB, "application/json")), 409)
    eq((version, kind, m[2], m[4], m[6]), ("v1", "Status", [b"Failure"], [b"AlreadyExists"], [409]))
    _, kind, m = raw(c.k.merge(url + "/" + name, {"data": {"x": "y"}}, headers=accept(PB)))
    eq(fields(m[2][0])[2], [b"y"])
    _, kind, m = raw(c.k.delete(url + "/" + name, headers=accept(PB)))
    eq((kind, m[2]), ("Status", [b"Success"]))
    _, kind, m = raw(c.k.get(url + "/" + name, headers=accept(PB)), 404)
    eq((kind, m[6]), ("Status", [404]))


def t13p_protobuf_answers_to_reviews():
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    _, kind, m = raw(c.k.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, headers=accept(PB)), 201)
    eq((kind, fields(m[3][0])[1]), ("SelfSubjectAccessReview", [1]))


def frames(w, n):
    """The next n frames of a watch: type, and what unwrap() says of the object."""
    out = []
    for _ in range(n):
        size = struct.unpack(">I", w.read(4))[0]
        event = fields(w.read(size))
        out.append((event[1][0].decode(),) + unwrap(fields(event[2][0])[1][0]))
    return out


def open_watch(path, *types):
    a = c.k.open("GET", path, headers=accept(*types), timeout=10)[1]
    eq(a.status, 200)
    return a


def t13p_a_watch_in_protobuf():
    name = config_map(a="b")
    url = "/api/v1/namespaces/default/configmaps"
    w = open_watch(url + "?watch=1&resourceVersion=0&labelSelector=pb%3D" + name, PB + ";stream=watch", "application/json")
    eq(w.getheader("Content-Type"), PB + ";stream=watch")
    type, version, kind, m = frames(w, 1)[0]
    eq((type, version, kind, fields(m[1][0])[1]), ("ADDED", "v1", "ConfigMap", [name.encode()]))
    status(c.k.merge(url + "/" + name, {"data": {"a": "c"}}), 200)
    c.k.delete(url + "/" + name)
    (t1, _, _, m1), (t2, _, _, m2) = frames(w, 2)
    eq((t1, t2), ("MODIFIED", "DELETED"))
    eq(fields(m1[2][0])[2], [b"c"])
    w.close()


def t13p_the_error_of_a_watch_is_a_status_in_protobuf():
    old = c.k.watch("/api/v1/configmaps?resourceVersion=1")
    if old.next()["type"] != "ERROR":
        raise Skip("the server remembers everything since its beginning")
    w = open_watch("/api/v1/configmaps?watch=1&resourceVersion=1", PB)
    type, version, kind, m = frames(w, 1)[0]
    eq((type, version, kind, m[6]), ("ERROR", "v1", "Status", [410]))
    w.close()


def t73p_metadata_in_protobuf_of_builtins_and_custom_resources():
    name = config_map(a="b")
    url = "/api/v1/namespaces/default/configmaps"
    version, kind, m = raw(c.k.get(url + "/" + name, headers=accept(PB + META, "application/json" + META)))
    eq((version, kind, sorted(m)), ("meta.k8s.io/v1", "PartialObjectMetadata", [1]))
    _, kind, m = raw(c.k.get(url + "?labelSelector=pb%3D" + name, headers=accept(PB + META_LIST)))
    eq((kind, len(m[2])), ("PartialObjectMetadataList", 1))
    eq(c.k.get(url, headers=accept(PB + META)).status, 406)
    w = open_watch(url + "?watch=1&resourceVersion=0&labelSelector=pb%3D" + name, PB + META)
    eq(frames(w, 1)[0][2], "PartialObjectMetadata")
    w.close()
    url = c.WIDGETS
    _, kind, _ = raw(c.k.get(url, headers=accept(PB + META_LIST)))
    eq(kind, "PartialObjectMetadataList")
    eq(c.k.get(url, headers=accept(PB)).status, 406)
    eq(c.k.get(url, headers=accept(PB, "application/json")).headers.get("Content-Type"), "application/json")


# ---- Tables (2.8) ----
# Plural, group version, and the columns as kubectl prints them; * marks those of -o wide.
WORKLOAD = ["Containers*", "Images*", "Selector*"]
TABLES = {
    "v1/nodes": ["Name", "Status", "Roles", "Age", "Version", "Internal-IP*", "External-IP*", "OS-Image*", "Kernel-Version*",
                 "Container-Runtime*"],
    "v1/pods": ["Name", "Ready", "Status", "Restarts", "Age", "IP*", "Node*", "Nominated Node*", "Readiness Gates*"],
    "apps/v1/deployments": ["Name", "Ready", "Up-to-date", "Available", "Age"] + WORKLOAD,
    "apps/v1/daemonsets": ["Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"] + WORKLOAD,
    "apps/v1/replicasets": ["Name", "Desired", "Current", "Ready", "Age"] + WORKLOAD,
    "apps/v1/statefulsets": ["Name", "Ready", "Age", "Containers*", "Images*"],
    "apps/v1/controllerrevisions": ["Name", "Controller", "Revision", "Age"],
    "batch/v1/jobs": ["Name", "Status", "Completions", "Duration", "Age"] + WORKLOAD,
    "batch/v1/cronjobs": ["Name", "Schedule", "Timezone", "Suspend", "Active", "Last Schedule", "Age"] + WORKLOAD,
    "v1/replicationcontrollers": ["Name", "Desired", "Current", "Ready", "Age"] + WORKLOAD,
    "v1/podtemplates": ["Name", "Containers", "Images", "Pod Labels"],
    "v1/services": ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector*"],
    "v1/endpoints": ["Name", "Endpoints", "Age"],
    "discovery.k8s.io/v1/endpointslices": ["Name", "AddressType", "Ports", "Endpoints", "Age"],
    "v1/events": ["Last Seen", "Type", "Reason", "Object", "Subobject*", "Source*", "Message", "First Seen*", "Count*", "Name*"],
    "events.k8s.io/v1/events": ["Last Seen", "Type", "Reason", "Object", "Subobject*", "Source*", "Message", "First Seen*",
                                "Count*", "Name*"],
    "v1/configmaps": ["Name", "Data", "Age"],
    "v1/secrets": ["Name", "Type", "Data", "Age"],
    "v1/serviceaccounts": ["Name", "Secrets", "Age"],
    "v1/namespaces": ["Name", "Status", "Age"],
    "v1/persistentvolumes": ["Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
                             "VolumeAttributesClass", "Reason", "Age", "VolumeMode*"],
    "v1/persistentvolumeclaims": ["Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass",
                                  "VolumeAttributesClass", "Age", "VolumeMode*"],
    "v1/resourcequotas": ["Name", "Request", "Limit", "Age"],
    "v1/limitranges": ["Name", "Created At"],
    "apiextensions.k8s.io/v1/customresourcedefinitions": ["Name", "Created At"],
    "rbac.authorization.k8s.io/v1/roles": ["Name", "Created At"],
    "rbac.authorization.k8s.io/v1/clusterroles": ["Name", "Created At"],
    "rbac.authorization.k8s.io/v1/rolebindings": ["Name", "Role", "Age", "Users*", "Groups*", "ServiceAccounts*"],
    "rbac.authorization.k8s.io/v1/clusterrolebindings": ["Name", "Role", "Age", "Users*", "Groups*", "ServiceAccounts*"],
    "coordination.k8s.io/v1/leases": ["Name", "Holder", "Age"],
    "apiregistration.k8s.io/v1/apiservices": ["Name", "Service", "Available", "Age"],
    "admissionregistration.k8s.io/v1/validatingwebhookconfigurations": ["Name", "Webhooks", "Age"],
    "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": ["Name", "Webhooks", "Age"],
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies": ["Name", "Validations", "ParamKind", "Age"],
    "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": ["Name", "PolicyName", "ParamRef", "Age"],
    "policy/v1/poddisruptionbudgets": ["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"],
    "scheduling.k8s.io/v1/priorityclasses": ["Name", "Value", "Global-Default", "Age", "PreemptionPolicy"],
    "storage.k8s.io/v1/storageclasses": ["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion",
                                         "Age"],
    "storage.k8s.io/v1/csidrivers": ["Name", "AttachRequired", "PodInfoOnMount", "StorageCapacity", "TokenRequests",
                                     "RequiresRepublish", "Modes", "Age"],
    "storage.k8s.io/v1/csinodes": ["Name", "Drivers", "Age"],
    "storage.k8s.io/v1/csistoragecapacities": ["Name", "StorageClass", "Capacity"],
    "storage.k8s.io/v1/volumeattachments": ["Name", "Attacher", "PV", "Node", "Attached", "Age"],
    "storage.k8s.io/v1/volumeattributesclasses": ["Name", "DriverName", "Age"],
    "networking.k8s.io/v1/ingresses": ["Name", "Class", "Hosts", "Address", "Ports", "Age"],
    "networking.k8s.io/v1/ingressclasses": ["Name", "Controller", "Parameters", "Age"],
    "networking.k8s.io/v1/networkpolicies": ["Name", "Pod-Selector", "Age"],
    "node.k8s.io/v1/runtimeclasses": ["Name", "Handler", "Age"],
    "autoscaling/v2/horizontalpodautoscalers": ["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"],
    "autoscaling/v1/horizontalpodautoscalers": ["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"],
    "certificates.k8s.io/v1/certificatesigningrequests": ["Name", "Age", "SignerName", "Requestor", "RequestedDuration",
                                                          "Condition"],
}


def url_of(key):
    return ("/api/" if key.count("/") == 1 else "/apis/") + key


def table(url, **kw):
    a = c.k.get(url, headers=accept("application/json;as=Table;v=v1;g=meta.k8s.io"), **kw)
    eq(a.status, 200)
    return a.json


def t72c_columns_of_every_kind():
    wrong = []
    for key, want in sorted(TABLES.items()):
        have = [d["name"] + ("*" if d["priority"] > 0 else "") for d in table(url_of(key))["columnDefinitions"]]
        if have != want:
            wrong.append("%s: %s" % (key, have))
    eq(wrong, [])


def t72c_every_listed_kind_is_in_the_table_above():
    """A kind that is added without columns to expect is noticed."""
    missing = []
    groups = [("api/v1", "v1")] + [("apis/" + v["groupVersion"], v["groupVersion"])
                                   for g in c.k.get("/apis").json["groups"] for v in g["versions"]]
    for path, gv in groups:
        if not re.search(r"^v1$|^(apps|batch|policy|autoscaling)/|\.k8s\.io/", gv):
            continue
        a = c.k.get("/" + path)
        for r in a.json.get("resources", []) if a.status == 200 else []:
            if "/" not in r["name"] and "list" in r["verbs"] and gv + "/" + r["name"] not in TABLES:
                missing.append(gv + "/" + r["name"])
    eq(missing if c.OWN else [], [])


# ---- documents ----
def document(gv):
    return status(c.k.get("/openapi/v3/" + ("api/" if gv == "v1" else "apis/") + gv), 200)


def group_versions():
    return ["v1"] + [v["groupVersion"] for g in c.k.get("/apis").json["groups"] for v in g["versions"]]


def properties(schema, at):
    for name, v in schema.get("properties", {}).items():
        yield at + "." + name, v
        yield from properties(v, at + "." + name)
    for below in ("items", "additionalProperties"):
        if isinstance(schema.get(below), dict):
            yield from properties(schema[below], at + "[]")


def t09d_every_field_of_every_builtin_kind_has_a_description():
    bare = []
    for gv in group_versions():
        if GROUP_OF_OURS.search(gv):
            for name, schema in document(gv)["components"]["schemas"].items():
                bare += [p for p, v in properties(schema, name) if not v.get("description")]
    eq(bare, [])


GROUP_OF_OURS = re.compile(r"^v1$|^(apps|batch|policy|autoscaling)/|\.k8s\.io/")


def t09d_bodies_of_subresources_are_described():
    core = document("v1")
    for path, kind in (("pods/{name}/eviction", "io.k8s.api.policy.v1.Eviction"),
                       ("pods/{name}/binding", "io.k8s.api.core.v1.Binding"),
                       ("serviceaccounts/{name}/token", "io.k8s.api.authentication.v1.TokenRequest")):
        post = core["paths"]["/api/v1/namespaces/{namespace}/" + path]["post"]
        ref = post["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        eq(ref, "#/components/schemas/" + kind)
        eq(post["x-kubernetes-group-version-kind"]["kind"], kind.rsplit(".")[-1])
        assert core["components"]["schemas"][kind]["x-kubernetes-group-version-kind"], kind
    scale = "io.k8s.api.autoscaling.v1.Scale"
    assert scale in document("apps/v1")["components"]["schemas"]


# ---- health, metrics (1.3) ----
def t06h_health_by_name_and_without_some_checks():
    a = c.k.get("/readyz?verbose&exclude=store&exclude=nope")
    eq(a.status, 200)
    text = a.body.decode()
    for line in ("[+]ping ok\n", "[+]store excluded: ok\n", 'no matches for "nope"', "readyz check passed\n"):
        c.has(text, line)
    for path in ("/livez/ping", "/healthz/store", "/readyz"):
        eq((c.k.get(path).status, c.k.get(path).body), (200, b"ok"))
    eq(c.k.get("/livez/nope").status, 404)


SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? ([-+.0-9e]+|\+Inf)$')


def metrics():
    """{name: {labels: value}}, checked for the form Prometheus wants."""
    a = c.k.get("/metrics")
    eq((a.status, a.headers.get("Content-Type")), (200, "text/plain; version=0.0.4; charset=utf-8"))
    found, types = {}, {}
    for line in a.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, type = line.split(" ")
            assert name not in types, name + " is declared twice"
            types[name] = type
        elif not line.startswith("#"):
            m = SAMPLE.match(line)
            assert m, line
            base = re.sub("_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or types.get(base) == "histogram", line
            labels = dict(re.findall(r'([a-z_]+)="([^"]*)"', m[2] or ""))
            assert types.get(m[1]) != "counter" or m[1].endswith("_total"), line
            found.setdefault(m[1], {})[tuple(sorted(labels.items()))] = float(m[3])
    return found


def value(found, name, **labels):
    return sum(v for k, v in found.get(name, {}).items() if set(labels.items()) <= set(k))


def t06m_metrics_count_requests_and_watch_events():
    before = metrics()
    name = config_map(a="b")
    url = "/api/v1/namespaces/default/configmaps"
    w = c.k.watch(url + "?resourceVersion=0&labelSelector=pb%3D" + name)
    eq(w.next()["type"], "ADDED")
    status(c.k.merge(url + "/" + name + "?dryRun=All", {"data": {"x": "y"}}), 200)
    status(c.k.get(url + "/no-such"), 404)
    after = metrics()
    w.close()

    def grown(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    cm = {"group": "", "version": "v1", "resource": "configmaps", "component": "apiserver"}
    eq(grown("apiserver_request_total", verb="POST", code="201", scope="namespace", **cm) >= 1, True)
    eq(grown("apiserver_request_total", verb="PATCH", dry_run="All", scope="resource", **cm), 1.0)
    eq(grown("apiserver_request_total", verb="GET", code="404", scope="resource", **cm), 1.0)
    eq(grown("apiserver_request_duration_seconds_count", verb="PATCH", dry_run="All", **cm), 1.0)
    eq(grown("apiserver_request_duration_seconds_bucket", verb="PATCH", dry_run="All", le="+Inf", **cm), 1.0)
    eq(grown("apiserver_watch_events_total", group="", resource="configmaps") >= 1, True)
    assert value(after, "apiserver_longrunning_requests", verb="WATCH", resource="configmaps") >= 1
    assert value(after, "apiserver_storage_objects", resource="configmaps") >= 1
    assert value(after, "apiserver_storage_objects", resource="customresourcedefinitions.apiextensions.k8s.io") >= 1
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"):
        assert value(after, name) > 0, name


def t06m_what_is_not_served_makes_no_series():
    strange = [fresh(x) for x in ("things", "group", "path", "sub")]
    c.k.get("/api/v1/namespaces/default/" + strange[0])
    c.k.get("/apis/%s.example.com/v1/things" % strange[1])
    c.k.get("/" + strange[2])
    c.k.get("/api/v1/namespaces/default/pods/x/" + strange[3])
    told = [" ".join(dict(k).values()) for k in metrics()["apiserver_request_total"]]
    eq([t for t in told if any(s in t for s in strange)], [])


# ---- what may not be, and may not change (1.5) ----
NAMESPACED = "/api/v1/namespaces/default/"
POD_SPEC = {"containers": [{"name": "a", "image": "x"}]}


def refused(a, *fields):
    s = status(a, 422, "Invalid")
    eq(sorted(x["field"] for x in s["details"]["causes"]), sorted(fields))
    return s


def workload(**spec):
    labels = {"app": fresh("w")}
    return {"metadata": {"name": fresh("w")}, "spec": dict({"selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": POD_SPEC}}, **spec)}


def t29k_selectors_and_templates_that_can_not_change():
    for url in ("/apis/apps/v1/namespaces/default/" + p for p in ("deployments", "replicasets", "daemonsets", "statefulsets")):
        o = make(url, workload())
        at = url + "/" + o["metadata"]["name"]
        a = c.k.jsonpatch(at, [{"op": "add", "path": "/spec/selector/matchLabels/x", "value": "y"},
                               {"op": "add", "path": "/spec/template/metadata/labels/x", "value": "y"}])
        s = refused(a, "spec.selector")
        c.has(s["message"], "field is immutable")
        c.k.delete(at)
    url = "/apis/batch/v1/namespaces/default/jobs"
    job = {"metadata": {"name": fresh("j")}, "spec": {"template": {"spec": dict(POD_SPEC, restartPolicy="Never")}}}
    at = url + "/" + make(url, job)["metadata"]["name"]
    refused(c.k.jsonpatch(at, [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "y"}]), "spec.template")
    status(c.k.merge(at, {"spec": {"parallelism": 3}}), 200)
    refused(c.k.post(url, {"metadata": {"name": fresh("j")}, "spec": {"template": {"spec": POD_SPEC}}}),
            "spec.template.spec.restartPolicy")
    url = "/apis/batch/v1/namespaces/default/cronjobs"
    cron = {"metadata": {"name": fresh("c")}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job["spec"]}}}
    at = url + "/" + make(url, cron)["metadata"]["name"]
    status(c.k.jsonpatch(at, [{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "y"}]), 200)


def t29k_classes_do_not_change():
    url = "/apis/storage.k8s.io/v1/storageclasses"
    name = make(url, {"metadata": {"name": fresh("sc")}, "provisioner": "a", "parameters": {"a": "b"}})["metadata"]["name"]
    refused(c.k.merge(url + "/" + name, {"provisioner": "b"}), "provisioner")
    refused(c.k.merge(url + "/" + name, {"reclaimPolicy": "Retain"}), "reclaimPolicy")
    refused(c.k.merge(url + "/" + name, {"parameters": {"a": "c"}}), "parameters")
    status(c.k.merge(url + "/" + name, {"allowVolumeExpansion": True}), 200)
    url = "/apis/scheduling.k8s.io/v1/priorityclasses"
    name = make(url, {"metadata": {"name": fresh("pc")}, "value": 5})["metadata"]["name"]
    refused(c.k.merge(url + "/" + name, {"value": 6}), "value")
    refused(c.k.post(url, {"metadata": {"name": fresh("pc")}, "value": 1000000001}), "value")
    refused(c.k.post(url, {"metadata": {"name": "system-mine"}, "value": 1}), "metadata.name")


def t29k_secrets():
    url = NAMESPACED + "secrets"
    name = make(url, {"metadata": {"name": fresh("s")}})["metadata"]["name"]
    refused(c.k.merge(url + "/" + name, {"type": "x"}), "type")
    refused(c.k.post(url, {"metadata": {"name": fresh("s")}, "type": "kubernetes.io/tls"}), "data[tls.crt]", "data[tls.key]")
    refused(c.k.post(url, {"metadata": {"name": fresh("s")}, "type": "kubernetes.io/basic-auth"}), "data[password]")
    make(url, {"metadata": {"name": fresh("s")}, "type": "kubernetes.io/basic-auth", "stringData": {"username": "a"}})
    fixed = make(url, {"metadata": {"name": fresh("s")}, "immutable": True, "stringData": {"a": "b"}})["metadata"]["name"]
    refused(c.k.merge(url + "/" + fixed, {"stringData": {"a": "c"}}), "data")
    refused(c.k.merge(url + "/" + fixed, {"immutable": False}), "immutable")


def t29k_claims():
    url = NAMESPACED + "persistentvolumeclaims"
    claim = {"metadata": {"name": fresh("pvc")}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                         "resources": {"requests": {"storage": "1Gi"}}}}
    at = url + "/" + make(url, claim)["metadata"]["name"]
    refused(c.k.merge(at, {"spec": {"accessModes": ["ReadWriteMany"]}}), "spec")
    status(c.k.merge(at, {"spec": {"volumeName": "later"}}), 200)
    refused(c.k.merge(at, {"spec": {"volumeName": "other"}}), "spec")
    status(c.k.merge(at, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}), 200)


def t29k_enumerations_and_ranges():
    def pod(**spec):
        return {"metadata": {"name": fresh("p")}, "spec": dict(POD_SPEC, **spec)}

    pods = NAMESPACED + "pods"
    refused(c.k.post(pods, pod(restartPolicy="Sometimes")), "spec.restartPolicy")
    refused(c.k.post(pods, pod(containers=[{"name": "a", "image": "x", "livenessProbe": {
        "periodSeconds": -1, "httpGet": {"port": 80, "scheme": "GOPHER"}}}])),
        "spec.containers[0].livenessProbe.periodSeconds", "spec.containers[0].livenessProbe.httpGet.scheme")
    refused(c.k.post(pods, pod(volumes=[{"name": "v", "hostPath": {}}])), "spec.volumes[0].hostPath.path")
    refused(c.k.post("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {
        "metadata": {"name": fresh("b")}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}), "spec")
    refused(c.k.post("/apis/apps/v1/namespaces/default/deployments", workload(replicas=-1)), "spec.replicas")


def t15k_defaults_of_pods_come_from_their_table():
    o = make(NAMESPACED + "pods", {"metadata": {"name": fresh("p")}, "spec": dict(POD_SPEC, volumes=[
        {"name": "h", "hostPath": {"path": "/x"}}, {"name": "c", "configMap": {"name": "x"}}, {"name": "i", "iscsi": {
            "targetPortal": "10.0.0.1", "iqn": "iqn.a", "lun": 0}}])})["spec"]
    eq([o[k] for k in ("restartPolicy", "dnsPolicy", "terminationGracePeriodSeconds", "schedulerName", "securityContext")],
       ["Always", "ClusterFirst", 30, "default-scheduler", {}])
    v = {x["name"]: x for x in o["volumes"]}
    eq((v["h"]["hostPath"]["type"], v["c"]["configMap"]["defaultMode"], v["i"]["iscsi"]["iscsiInterface"]), ("", 420, "default"))
    eq((o["containers"][0]["resources"], o["containers"][0]["terminationMessagePolicy"]), ({}, "File"))


def t77k_null_in_a_builtin_kind_is_nothing():
    o = make(NAMESPACED + "services", {"metadata": {"name": fresh("s"), "annotations": None}, "spec": {
        "selector": None, "ports": [{"port": 80, "name": None, "targetPort": None}], "externalName": None}, "status": None})
    eq(("annotations" in o["metadata"], "externalName" in o["spec"], "selector" in o["spec"]), (False, False, False))
    eq((o["spec"]["ports"][0].get("name"), o["spec"]["ports"][0]["targetPort"]), (None, 80))
    d = make("/apis/apps/v1/namespaces/default/deployments", workload(replicas=None, strategy={"rollingUpdate": None}))
    eq((d["spec"]["replicas"], d["spec"]["strategy"]["rollingUpdate"]["maxSurge"]), (1, "25%"))


# ---- discovery (1.2) ----
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"


def aggregated(path, version="v2"):
    a = c.k.get(path, headers=accept(AGGREGATED % version))
    eq((a.status, a.headers.get("Content-Type")), (200, AGGREGATED % version))
    return a


def t02d_each_form_of_discovery_says_the_same():
    for path in ("/api", "/apis"):
        for version in ("v2", "v2beta1"):
            a = aggregated(path, version)
            again = c.k.get(path, headers={"Accept": AGGREGATED % version, "If-None-Match": a.headers.get("ETag")})
            eq((again.status, again.body), (304, b""))
            for group in a.json["items"]:
                name = group["metadata"].get("name", "")
                for v in group["versions"]:
                    gv = (name + "/" if name else "") + v["version"]
                    legacy = c.k.get(("/apis/" if name else "/api/") + gv).json["resources"]
                    want = {}
                    for r in legacy:
                        want[r["name"]] = (r.get("group") or name, r.get("version") or v["version"], r["kind"], sorted(r["verbs"]))
                    have = {}
                    for r in v["resources"]:
                        k = r["responseKind"]
                        have[r["resource"]] = (k["group"], k["version"] or v["version"], k["kind"], sorted(r["verbs"]))
                        for s in r.get("subresources", []):
                            k = s["responseKind"]
                            have[r["resource"] + "/" + s["subresource"]] = (k["group"] or name, k["version"] or v["version"], k["kind"],
                                                                            sorted(s["verbs"]))
                    eq(have, want, gv)


def t02d_groups_and_versions_in_order():
    names = [g["name"] for g in c.k.get("/apis").json["groups"]]
    ours = ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "batch",
            "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io", "scheduling.k8s.io",
            "coordination.k8s.io", "discovery.k8s.io"]
    eq([n for n in names if n in ours], ours)
    eq([g["metadata"]["name"] for g in aggregated("/apis").json["items"]], names)
    many = fresh("many") + "." + c.GROUP
    versions = ["v1", "v2", "v11alpha2", "v3beta1", "v10beta3", "foo1"]
    o = c.crd("things", "Thing", group=many)
    o["spec"]["versions"] = [dict(o["spec"]["versions"][0], name=v, storage=v == "v1") for v in versions]
    make(c.CRDS, o)
    group = c.k.get("/apis/" + many).json
    eq([v["version"] for v in group["versions"]], ["v2", "v1", "v10beta3", "v3beta1", "v11alpha2", "foo1"])
    eq(group["preferredVersion"]["version"], "v2")
    c.k.delete(c.CRDS + "/things." + many)


def t02d_hashes_of_what_is_stored():
    core = {r["name"]: r for r in c.k.get("/api/v1").json["resources"]}
    eq(core["pods"]["storageVersionHash"], "xPOwRZ+Yhw8=")
    events = [r for r in c.k.get("/apis/events.k8s.io/v1").json["resources"]][0]
    eq(core["events"]["storageVersionHash"], events["storageVersionHash"])
    eq({n: core[n]["kind"] for n in ("pods/binding", "pods/exec", "pods/eviction", "serviceaccounts/token")},
       {"pods/binding": "Binding", "pods/exec": "PodExecOptions", "pods/eviction": "Eviction",
        "serviceaccounts/token": "TokenRequest"})


def t02d_an_unavailable_group_version_is_stale():
    group = fresh("gone") + "." + c.GROUP
    make("/apis/apiregistration.k8s.io/v1/apiservices", {"metadata": {"name": "v1." + group}, "spec": {
        "group": group, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "no-such-service"}}})
    items = [g for g in aggregated("/apis").json["items"] if g["metadata"]["name"] == group]
    eq([(v["version"], v["freshness"], v.get("resources") or []) for g in items for v in g["versions"]], [("v1", "Stale", [])])
    assert group in [g["name"] for g in c.k.get("/apis").json["groups"]]
    eq(c.k.get("/apis/%s/v1" % group).status, 503)
    eq(c.k.get("/apis/apps/v1").status, 200)
    c.k.delete("/apis/apiregistration.k8s.io/v1/apiservices/v1." + group)


# ---- documents of aggregated groups (5.4) ----
def t95d_documents_of_an_aggregated_group():
    if not c.OWN:
        raise Skip
    group, name = "docs.coracle.dev", fresh("docs")
    echo = {"type": "object", "description": "Says it again.", "properties": {"spec": {"$ref": "#/definitions/dev.docs.EchoSpec"}},
            "x-kubernetes-group-version-kind": [{"group": group, "version": "v1", "kind": "Echo"}]}
    v2 = {"swagger": "2.0", "info": {"title": "x", "version": "1"}, "paths": {
        "/apis/%s/v1/namespaces/{namespace}/echoes" % group: {"get": {
            "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/dev.docs.Echo"}}}}},
        "/apis/other.dev/v1/others": {"get": {"responses": {"200": {"description": "OK"}}}}},
        "definitions": {"dev.docs.Echo": echo, "dev.docs.Unused": {"type": "object"}, "dev.docs.EchoSpec": {
            "type": "object", "description": "What to say.", "properties": {"text": {"type": "string", "description": "Text."}}}}}
    at = "apis/%s/v1" % group

    def handle(r):
        answers = {"/" + at: {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group + "/v1", "resources": [
            {"name": "echoes", "singularName": "echo", "namespaced": True, "kind": "Echo", "verbs": ["get", "list"]}]},
            "/openapi/v2": v2, "/openapi/v3": {"paths": {at: {"serverRelativeURL": "/openapi/v3/%s?hash=ABC" % at}}},
            "/openapi/v3/" + at: {"openapi": "3.0.0", "mine": True}}
        body = answers.get(r.path.split("?")[0])
        return (200 if body else 404), {"Content-Type": "application/json"}, body or {}
    b = c.Backend(handle, "%s.%s.svc" % (name, c.NS), client_ca=open(c.server.dir + "/pki/front-proxy-ca.crt").read())
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    make(services, {"metadata": {"name": "v1." + group}, "spec": {
        "group": group, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": c.b64(b.ca),
        "service": {"name": name, "namespace": c.NS}}})
    c.publish(name, b)

    def url():
        return c.k.get("/openapi/v3").json["paths"].get(at, {}).get("serverRelativeURL")
    assert c.eventually(lambda: url() == "/openapi/v3/%s?hash=ABC" % at), url()
    eq(status(c.k.get(url()), 200), {"openapi": "3.0.0", "mine": True})
    doc = status(c.k.get("/openapi/v2"), 200)
    eq(sorted(n for n in doc["definitions"] if n.startswith("dev.docs")), ["dev.docs.Echo", "dev.docs.EchoSpec"])
    eq(doc["definitions"]["dev.docs.Echo"], echo)
    eq([p for p in doc["paths"] if "other.dev" in p or "echoes" in p], ["/apis/%s/v1/namespaces/{namespace}/echoes" % group])
    gnostic = c.k.get("/openapi/v2", headers=accept("application/com.github.proto-openapi.spec.v2@v1.0+protobuf"))
    c.has(gnostic.body, b"Says it again.")
    c.k.delete(services + "/v1." + group)
    assert c.eventually(lambda: url() is None)
    assert "dev.docs.Echo" not in c.k.get("/openapi/v2").json["definitions"]
    b.close()


# ---- cells ----
def cells(url, name, **want):
    t = table(url + "?fieldSelector=metadata.name%3D" + name)
    row = dict(zip([d["name"] for d in t["columnDefinitions"]], t["rows"][0]["cells"]))
    eq({k: row[k] for k in want}, want)
    return row


def pod_with(status_, spec=None, **meta):
    url = NAMESPACED + "pods"
    name = make(url, {"metadata": dict(meta, name=fresh("cell")), "spec": dict(POD_SPEC, nodeName="no-such-node", **(spec or {}))})["metadata"]["name"]
    status(c.k.merge(url + "/" + name + "/status", {"status": status_}), 200)
    return name


def container(name, state, ready=False, restarts=0, **more):
    return dict({"name": name, "state": state, "ready": ready, "restartCount": restarts, "image": "x", "imageID": ""}, **more)


def t72k_what_a_pod_is_said_to_do():
    url = NAMESPACED + "pods"
    two = {"containers": [{"name": n, "image": "x"} for n in "ab"]}
    init = dict(two, initContainers=[{"name": "i", "image": "x"}, {"name": "j", "image": "x"}])
    running, done = {"running": {}}, {"terminated": {"exitCode": 0, "reason": "Completed"}}
    ready = [{"type": "Ready", "status": "True"}]
    for want, spec, st in (
            (("0/2", "Pending"), two, {}),
            (("0/2", "CrashLoopBackOff"), two, {"containerStatuses": [
                container("a", {"waiting": {"reason": "CrashLoopBackOff"}}), container("b", done)]}),
            (("1/2", "Running"), two, {"phase": "Running", "conditions": ready, "containerStatuses": [
                container("a", done), container("b", running, True)]}),
            (("1/2", "NotReady"), two, {"phase": "Running", "containerStatuses": [
                container("a", done), container("b", running, True)]}),
            (("0/2", "ExitCode:3"), two, {"phase": "Failed", "containerStatuses": [
                container("a", {"terminated": {"exitCode": 3}}), container("b", {"terminated": {"exitCode": 0, "signal": 9}})]}),
            (("0/2", "Evicted"), two, {"phase": "Failed", "reason": "Evicted"}),
            (("0/2", "Init:1/2"), init, {"initContainerStatuses": [container("i", done), container("j", running)]}),
            (("0/2", "Init:ErrImagePull"), init, {"initContainerStatuses": [
                container("i", {"waiting": {"reason": "ErrImagePull"}}), container("j", {"waiting": {"reason": "PodInitializing"}})]}),
            (("0/2", "Init:Error"), init, {"initContainerStatuses": [
                container("i", {"terminated": {"exitCode": 1, "reason": "Error"}})]}),
            (("1/3", "Running"), dict(two, initContainers=[{"name": "i", "image": "x", "restartPolicy": "Always"}]),
             {"phase": "Running", "initContainerStatuses": [container("i", running, True, started=True)]}),
            (("0/2", "SchedulingGated"), two, {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]})):
        cells(url, pod_with(st, spec), Ready=want[0], Status=want[1])
    name = pod_with({"containerStatuses": [container("a", running, True, 3, lastState={"terminated": {
        "exitCode": 1, "finishedAt": "2020-01-01T00:00:00Z"}})]})
    assert re.match(r"3 \(\d+y(\d+d)? ago\)", cells(url, name)["Restarts"]), cells(url, name)
    c.k.delete(url + "/" + name)
    cells(url, name, Status="Terminating")


def t72k_cells_of_other_kinds():
    core = NAMESPACED
    name = make(core + "services", {"metadata": {"name": fresh("s")}, "spec": {"type": "ClusterIP", "selector": {"b": "c", "a": "b"}, "ports": [
        {"name": "x", "port": 80, "nodePort": 0}, {"name": "y", "port": 53, "protocol": "UDP"}]}})["metadata"]["name"]
    cells(core + "services", name, **{"Port(s)": "80/TCP,53/UDP", "External-IP": "<none>", "Selector": "a=b,b=c"})
    name = make("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", {"metadata": {"name": fresh("n")}, "spec": {
        "podSelector": {"matchLabels": {"z": "1"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]},
                                                                       {"key": "q", "operator": "DoesNotExist"}]}}})["metadata"]["name"]
    cells("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", name, **{"Pod-Selector": "!q,a in (x,y),z=1"})
    name = make("/apis/networking.k8s.io/v1/namespaces/default/ingresses", {"metadata": {"name": fresh("i")}, "spec": {
        "tls": [{"hosts": ["a"]}], "rules": [{"host": h} for h in "abcd"]}})["metadata"]["name"]
    cells("/apis/networking.k8s.io/v1/namespaces/default/ingresses", name, Class="<none>", Hosts="a,b,c + 1 more...", Ports="80, 443")
    claim = {"metadata": {"name": fresh("pvc")}, "spec": {"accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                                                         "resources": {"requests": {"storage": "1Gi"}}}}
    name = make(core + "persistentvolumeclaims", claim)["metadata"]["name"]
    cells(core + "persistentvolumeclaims", name, Status="Pending", Volume="", VolumeAttributesClass="<unset>", VolumeMode="Filesystem")
    event = {"metadata": {"name": fresh("e")}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "fieldPath": "spec"},
             "reason": "R", "message": "text \n", "type": "Normal", "source": {"component": "c", "host": "h"}, "count": 3,
             "firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": "2020-01-01T00:00:00Z"}
    name = make(core + "events", event)["metadata"]["name"]
    for url in (core + "events", "/apis/events.k8s.io/v1/namespaces/default/events"):
        cells(url, name, Object="pod/p", Subobject="spec", Source="c, h", Message="text", Count=3, Reason="R", Name=name)
    name = make("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"metadata": {"name": fresh("b")}, "spec": {
        "maxUnavailable": "10%"}})["metadata"]["name"]
    cells("/apis/policy/v1/namespaces/default/poddisruptionbudgets", name, **{"Min Available": "N/A", "Max Unavailable": "10%"})


def t72k_tables_with_the_whole_object_and_their_watch():
    name = config_map(a="b")
    url = "/api/v1/namespaces/default/configmaps?labelSelector=pb%3D" + name
    t = table(url + "&includeObject=Object")
    eq((t["rows"][0]["object"]["kind"], t["rows"][0]["object"]["data"]), ("ConfigMap", {"a": "b"}))
    eq(table(url + "&includeObject=None")["rows"][0]["object"], None)
    w = c.k.watch(url + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&includeObject=Object&allowWatchBookmarks=true"
                  "&timeoutSeconds=1",
                  headers=accept("application/json;as=Table;v=v1;g=meta.k8s.io"))
    first = w.next()
    eq((first["type"], first["object"]["kind"], first["object"]["rows"][0]["cells"][:2]), ("ADDED", "Table", [name, 1]))
    eq(first["object"]["rows"][0]["object"]["data"], {"a": "b"})
    mark = w.next()
    eq((mark["type"], mark["object"].get("columnDefinitions") or []), ("BOOKMARK", []))
    meta = mark["object"]["rows"][0]["object"]["metadata"]
    eq((int(meta["resourceVersion"]) > 0, meta["annotations"]["k8s.io/initial-events-end"]), (True, "true"))
    eq(w.next(), None)


# ---- field selectors (2.5) ----
def selected(url, selector):
    return sorted(o["metadata"]["name"] for o in status(c.k.get(url + "?fieldSelector=" + selector), 200)["items"])


def t60k_absent_fields_count_as_what_they_mean():
    nodes = "/api/v1/nodes"
    open_, shut = fresh("node"), fresh("node")
    make(nodes, {"metadata": {"name": open_}})
    make(nodes, {"metadata": {"name": shut}, "spec": {"unschedulable": True}})
    eq([n for n in selected(nodes, "spec.unschedulable%3Dfalse") if n in (open_, shut)], [open_])
    eq([n for n in selected(nodes, "spec.unschedulable!%3Dfalse") if n in (open_, shut)], [shut])
    for n in (open_, shut):
        c.k.delete(nodes + "/" + n)
    url = NAMESPACED + "pods"
    name = make(url, {"metadata": {"name": fresh("p")}, "spec": POD_SPEC})["metadata"]["name"]
    eq(selected(url, "spec.hostNetwork%3Dfalse,metadata.name%3D" + name), [name])
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    name = make(jobs, {"metadata": {"name": fresh("j")}, "spec": {"template": {"spec": dict(POD_SPEC, restartPolicy="Never")}}})["metadata"]["name"]
    eq(selected(jobs, "status.successful%3D0,metadata.name%3D" + name), [name])
    status(c.k.merge(jobs + "/" + name + "/status", {"status": {"succeeded": 1}}), 200)
    eq(selected(jobs, "status.successful%3D1,metadata.name%3D" + name), [name])


def t60k_events_are_selected_in_both_shapes():
    name, who = fresh("e"), fresh("pod")
    make(NAMESPACED + "events", {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": who, "namespace": "default"},
                                 "reason": "R", "type": "Normal", "source": {"component": "comp-" + who}})
    eq(selected(NAMESPACED + "events", "involvedObject.name%3D" + who), [name])
    eq(selected(NAMESPACED + "events", "source%3Dcomp-" + who), [name])
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    eq(selected(new, "regarding.kind%3DPod,regarding.name%3D" + who), [name])
    eq(c.k.get(new + "?fieldSelector=involvedObject.nope%3Dx").status, 400)


def t09d_objects_within_custom_resources_are_described():
    group = fresh("embedded") + "." + c.GROUP
    schema = {"type": "object", "properties": {"spec": {"type": "object", "description": "Wanted.", "properties": {
        "one": {"type": "object", "description": "An object.", "x-kubernetes-embedded-resource": True,
                "x-kubernetes-preserve-unknown-fields": True},
        "many": {"type": "array", "items": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {
            "spec": {"type": "object"}}}}}}}}
    make(c.CRDS, c.crd("boxes", "Box", group=group, schema=schema))
    name = ".".join(reversed(group.split("."))) + ".v1.Box"
    v3 = None
    for definitions in (document(group + "/v1")["components"]["schemas"], c.k.get("/openapi/v2").json["definitions"]):
        spec = definitions[name]["properties"]["spec"]["properties"]
        v3 = v3 or spec
        # v2 has no words for "and anything else": there such an object is described as anything
        for o in [spec["many"]["items"]] + ([spec["one"]] if "properties" in spec["one"] else []):
            assert {"apiVersion", "kind", "metadata"} <= set(o["properties"]), o
            c.has(json.dumps(o["properties"]["metadata"]), "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    assert "metadata" in v3["one"]["properties"]
    c.k.delete(c.CRDS + "/boxes." + group)


def t09e_v2_says_nothing_of_kinds_that_keep_everything():
    group = fresh("anything") + "." + c.GROUP
    make(c.CRDS, c.crd("bags", "Bag", group=group, schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    name = ".".join(reversed(group.split("."))) + ".v1.Bag"
    v3 = document(group + "/v1")["components"]["schemas"][name]
    v2 = c.k.get("/openapi/v2").json["definitions"][name]
    eq((v3["x-kubernetes-preserve-unknown-fields"], set(v2)), (True, {"type", "x-kubernetes-group-version-kind"}))
    c.k.delete(c.CRDS + "/bags." + group)


# ---- addresses and node ports of Services ----
SERVICES = "/api/v1/namespaces/%s/services"


def service(type="NodePort", ports=((80, None),), **spec):
    ports = [dict({"name": "p%d" % i, "port": p[0]}, **({"nodePort": p[1]} if p[1] else {}), **(p[2] if len(p) > 2 else {}))
             for i, p in enumerate(ports)]
    return {"metadata": {"name": fresh("svc")}, "spec": dict({"type": type, "ports": ports}, **spec)}


def t23b_node_ports_are_given_once():
    path = SERVICES % c.NS

    def node_ports(o):
        return [p.get("nodePort") for p in o["spec"]["ports"]]

    def wrong(body, field, message, method=c.k.post, where=path):
        (cause,) = status(method(where, body), 422, "Invalid")["details"]["causes"]
        eq(cause["field"], field)
        has(cause["message"], message)
    a = make(path, service(ports=((80, None), (81, None), (82, 30080))))
    pa = path + "/" + a["metadata"]["name"]
    got = node_ports(a)
    assert len(set(got)) == 3 and got[2] == 30080 and all(30000 <= p <= 32767 for p in got), got
    taken = "provided port is already allocated"
    wrong(service(ports=((80, 30080),)), "spec.ports[0].nodePort", taken)
    wrong(service(ports=((80, None), (90, got[0]))), "spec.ports[1].nodePort", taken)
    wrong(service(ports=((80, 80),)), "spec.ports[0].nodePort", "The range of valid ports is 30000-32767")
    wrong(service("ClusterIP", ((80, 30090),)), "spec.ports[0].nodePort", "may not be used when `type` is 'ClusterIP'")
    wrong(service(ports=((80, 30090), (81, 30090))), "spec.ports[1].nodePort", "Duplicate value")
    # what was refused, or only tried, holds nothing
    status(c.k.post(path + "?dryRun=All", service(ports=((80, 30090),))), 201)
    both = make(path, service(ports=((53, 30090), (53, 30090, {"protocol": "UDP"}))))
    eq(node_ports(both), [30090, 30090])
    # an update without them keeps them; a new port gets one
    bare = {"spec": {"ports": [{"name": "x", "port": 81}, {"name": "y", "port": 80}, {"name": "z", "port": 99}]}}
    b = status(c.k.merge(pa, bare), 200)
    eq(node_ports(b)[:2], [got[1], got[0]])
    assert node_ports(b)[2] not in (None, 30080, got[0], got[1])
    make(path, service(ports=((80, 30080),)))  # it is free again
    wrong({"spec": {"ports": [{"name": "x", "port": 81, "nodePort": 30080}]}}, "spec.ports[0].nodePort", taken, c.k.merge, pa)
    eq(status(c.k.merge(pa, bare), 200)["metadata"]["resourceVersion"], b["metadata"]["resourceVersion"])
    # to another type and back
    o = status(c.k.merge(pa, {"spec": {"type": "ClusterIP"}}), 200)
    eq(node_ports(o), [None] * 3)
    o = status(c.k.merge(pa, {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}}), 200)
    eq(node_ports(o), [None] * 3)
    o = status(c.k.merge(pa, {"spec": {"allocateLoadBalancerNodePorts": True, "externalTrafficPolicy": "Local"}}), 200)
    ports = node_ports(o) + [o["spec"]["healthCheckNodePort"]]
    assert len(set(ports)) == 4 and None not in ports, ports
    wrong(service(ports=((80, ports[3]),)), "spec.ports[0].nodePort", taken)
    status(c.k.delete(path + "/" + both["metadata"]["name"]), 200)
    make(path, service(ports=((80, 30090),)))
    # many at once: each port once
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: status(c.k.post(path, service(ports=((80, None), (81, None)))), 201), range(40)))
    ports = [p for o in made for p in node_ports(o)]
    eq(len(set(ports)), 80)
    tries = [service(ports=((80, 31999),)) for _ in range(10)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        eq(sorted(a.status for a in pool.map(lambda s: c.k.post(path, s), tries)), [201] + [422] * 9)
    eq(status(c.k.call("DELETE", path), 200)["kind"], "ServiceList")


def t23c_addresses_of_services_are_given_once():
    path = SERVICES % c.NS
    a = make(path, service("ClusterIP"))
    ip = a["spec"]["clusterIP"]
    eq(a["spec"]["clusterIPs"], [ip])
    message = status(c.k.post(path, service("ClusterIP", clusterIP=ip)), 422)["message"]
    has(message, "failed to allocate IP %s: provided IP is already allocated" % ip)
    has(status(c.k.post(path, service("ClusterIP", clusterIP="192.168.1.1")), 422)["message"], "does not match the current range")
    # somebody has the address that the next one's name leads to
    twin = service("ClusterIP")
    would = status(c.k.post(path + "?dryRun=All", twin), 201)["spec"]["clusterIP"]
    first = make(path, service("ClusterIP", clusterIP=would))
    got = make(path, twin)["spec"]["clusterIP"]
    assert got not in (would, "None", "")
    eq(first["spec"]["clusterIP"], would)
    for name in (first["metadata"]["name"], a["metadata"]["name"]):
        status(c.k.delete(path + "/" + name), 200)
    eq(make(path, service("ClusterIP", clusterIP=ip))["spec"]["clusterIP"], ip)
    eq(make(path, service("ClusterIP", clusterIP="None"))["spec"]["clusterIP"], "None")
    eq(make(path, service("ClusterIP", clusterIP="None"))["spec"]["clusterIP"], "None")
