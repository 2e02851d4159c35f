# SPDX-License-Identifier: Apache-2.0
"""The official Python client against the server that KUBECONFIG names. Prints TAP; the first argument goes before each name."""
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import uuid

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, UnprocessibleEntityError

LABEL = {"client": "python"}
PATIENCE = 20


class World:
    """What the checks share."""

    def __init__(self):
        self.api = config.new_client_from_config()
        self.core = client.CoreV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)
        self.ns = "py-" + uuid.uuid4().hex[:8]
        self.core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=self.ns)))

    def close(self):
        self.core.delete_namespace(self.ns)


w = None
checks = []


def check(fn):
    checks.append(fn)
    return fn


def eq(got, want):
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))


def refused(status, fn, *args, **kw):
    try:
        fn(*args, **kw)
    except ApiException as e:
        eq(e.status, status)
        return json.loads(e.body)
    raise AssertionError("no error, want %d" % status)


def eventually(fn):
    end = time.time() + PATIENCE
    while time.time() < end:
        if fn():
            return
        time.sleep(0.05)
    raise AssertionError("not in %d s" % PATIENCE)


def config_map(name, data=None, **meta):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, **meta), data=data)


def deployment(name):
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name, labels=LABEL),
        spec=client.V1DeploymentSpec(
            replicas=2, selector=client.V1LabelSelector(match_labels={"app": name}),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels={"app": name}),
                spec=client.V1PodSpec(containers=[client.V1Container(
                    name="main", image="registry.invalid/main", env=[client.V1EnvVar(name="A", value="1"), client.V1EnvVar(name="B", value="2")])]))))


@check
def versions_and_groups():
    v = client.VersionApi(w.api).get_code()
    assert v.git_version.startswith("v1."), v
    groups = [g.name for g in client.ApisApi(w.api).get_api_versions().groups]
    for g in ("apps", "batch", "apiextensions.k8s.io", "rbac.authorization.k8s.io"):
        assert g in groups, groups
    assert any(r.name == "pods/eviction" for r in w.core.get_api_resources().resources)


@check
def typed_create_read_update_delete():
    made = w.core.create_namespaced_config_map(w.ns, config_map("a", {"k": "v"}, labels=LABEL))
    eq(w.core.read_namespaced_config_map("a", w.ns).data, {"k": "v"})
    made.data["k"] = "w"
    new = w.core.replace_namespaced_config_map("a", w.ns, made)
    assert new.metadata.resource_version != made.metadata.resource_version
    eq(refused(409, w.core.replace_namespaced_config_map, "a", w.ns, made)["reason"], "Conflict")
    eq(refused(409, w.core.create_namespaced_config_map, w.ns, config_map("a"))["reason"], "AlreadyExists")
    eq([c.metadata.name for c in w.core.list_namespaced_config_map(w.ns, label_selector="client=python").items], ["a"])
    w.core.delete_namespaced_config_map("a", w.ns, body=client.V1DeleteOptions(propagation_policy="Background"))
    eq(refused(404, w.core.read_namespaced_config_map, "a", w.ns)["details"]["kind"], "configmaps")


@check
def typed_deployment_status_and_scale():
    d = w.apps.create_namespaced_deployment(w.ns, deployment("d"))
    eq((d.spec.strategy.type, d.spec.revision_history_limit, d.metadata.generation), ("RollingUpdate", 10, 1))
    d = w.apps.patch_namespaced_deployment_status("d", w.ns, {"status": {"replicas": 1, "conditions": [
        {"type": "Available", "status": "True", "reason": "Yes", "lastTransitionTime": "2024-01-02T03:04:05Z"}]}})
    eq((d.status.replicas, d.status.conditions[0].last_transition_time.year), (1, 2024))
    s = w.apps.patch_namespaced_deployment_scale("d", w.ns, {"spec": {"replicas": 5}})
    eq((s.kind, s.spec.replicas, s.status.selector), ("Scale", 5, "app=d"))
    eq(w.apps.read_namespaced_deployment("d", w.ns).spec.replicas, 5)


@check
def typed_patch_of_each_kind():
    w.apps.create_namespaced_deployment(w.ns, deployment("p"))
    # a list is sent as a JSON patch, a dictionary as a strategic merge patch
    d = w.apps.patch_namespaced_deployment("p", w.ns, [{"op": "test", "path": "/spec/replicas", "value": 2},
                                                       {"op": "replace", "path": "/spec/replicas", "value": 3}])
    eq(d.spec.replicas, 3)
    d = w.apps.patch_namespaced_deployment("p", w.ns, {"spec": {"template": {"spec": {"containers": [
        {"name": "main", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]}]}}}})
    eq(sorted(e.name for e in d.spec.template.spec.containers[0].env), ["B", "C"])
    refused(422, w.apps.patch_namespaced_deployment, "p", w.ns, [{"op": "remove", "path": "/spec/nothing/there"}])


@check
def typed_lists_in_pages():
    for i in range(5):
        w.core.create_namespaced_secret(w.ns, client.V1Secret(metadata=client.V1ObjectMeta(name="s-%d" % i, labels=LABEL),
                                                              string_data={"i": str(i)}))
    names, token, left = [], None, []
    while True:
        page = w.core.list_namespaced_secret(w.ns, limit=2, _continue=token)
        names += [s.metadata.name for s in page.items if s.metadata.name.startswith("s-")]
        left.append(page.metadata.remaining_item_count)
        token = page.metadata._continue
        if not token:
            break
    eq(names, ["s-%d" % i for i in range(5)])
    eq(left[-1], None)
    w.core.delete_collection_namespaced_secret(w.ns, label_selector="client=python")
    eq([s.metadata.name for s in w.core.list_namespaced_secret(w.ns).items if s.metadata.name.startswith("s-")], [])


@check
def dry_run():
    w.core.create_namespaced_config_map(w.ns, config_map("dry"), dry_run="All")
    refused(404, w.core.read_namespaced_config_map, "dry", w.ns)


@check
def watch_sees_every_change():
    start = w.core.list_namespaced_config_map(w.ns).metadata.resource_version
    seen = []

    def follow():
        for e in watch.Watch().stream(w.core.list_namespaced_config_map, w.ns, resource_version=start, timeout_seconds=PATIENCE,
                                      label_selector="seen=yes"):
            seen.append((e["type"], e["object"].metadata.name, (e["object"].data or {}).get("n")))
            if e["type"] == "DELETED" and e["object"].metadata.name == "w-1":
                return
    t = threading.Thread(target=follow)
    t.start()
    for i in range(2):
        w.core.create_namespaced_config_map(w.ns, config_map("w-%d" % i, {"n": "0"}, labels={"seen": "yes"}))
    for n in "12":
        w.core.patch_namespaced_config_map("w-0", w.ns, {"data": {"n": n}})
    w.core.patch_namespaced_config_map("w-1", w.ns, {"metadata": {"labels": {"seen": "no"}}})
    t.join(PATIENCE)
    eq(seen, [("ADDED", "w-0", "0"), ("ADDED", "w-1", "0"), ("MODIFIED", "w-0", "1"), ("MODIFIED", "w-0", "2"), ("DELETED", "w-1", "0")])


@check
def watch_ends_by_its_timeout_and_goes_on():
    """kubernetes-api.md 69: the client keeps the resourceVersion over watches of a second"""
    watcher, seen = watch.Watch(), []
    resource_version = w.core.list_namespaced_endpoints(w.ns).metadata.resource_version
    for i in range(3):
        w.core.create_namespaced_endpoints(w.ns, client.V1Endpoints(metadata=client.V1ObjectMeta(name="e-%d" % i)))
        for e in watcher.stream(w.core.list_namespaced_endpoints, w.ns, resource_version=resource_version, timeout_seconds=1):
            seen.append(e["object"].metadata.name)
            resource_version = e["object"].metadata.resource_version
    eq(seen, ["e-0", "e-1", "e-2"])


@check
def create_from_yaml():
    text = yaml.safe_dump_all([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y", "namespace": w.ns}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "y", "namespace": w.ns}, "spec": {
            "selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "web"}]}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "y", "namespace": w.ns}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "y", "namespace": w.ns}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "registry.invalid/a"}]}}}}])
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(text)
        f.flush()
        utils.create_from_yaml(w.api, f.name)
        assert w.core.read_namespaced_service("y", w.ns).spec.cluster_ip
        try:
            utils.create_from_yaml(w.api, f.name)
            raise AssertionError("made twice")
        except utils.FailToCreateError as e:
            eq([x.status for x in e.api_exceptions], [409] * 4)


@check
def tokens_and_reviews():
    w.core.create_namespaced_service_account(w.ns, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="bot")))
    # the model's name changed between releases; the dictionary is what is sent
    t = w.core.create_namespaced_service_account_token("bot", w.ns, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                                                                     "spec": {"audiences": [], "expirationSeconds": 600}})
    conf = client.Configuration()
    conf.host, conf.ssl_ca_cert = w.api.configuration.host, w.api.configuration.ssl_ca_cert
    conf.api_key = {"authorization": "Bearer " + t.status.token}
    bot = client.CoreV1Api(client.ApiClient(conf))
    r = refused(403, bot.list_namespaced_secret, w.ns)
    assert "system:serviceaccount:%s:bot" % w.ns in r["message"], r
    review = client.AuthorizationV1Api(w.api).create_self_subject_access_review({"spec": {"resourceAttributes": {
        "namespace": w.ns, "verb": "delete", "resource": "pods"}}})
    eq(review.status.allowed, True)


@check
def eviction():
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="e"), spec=client.V1PodSpec(
        containers=[client.V1Container(name="a", image="registry.invalid/a")]))
    w.core.create_namespaced_pod(w.ns, pod)
    w.core.create_namespaced_pod_eviction("e", w.ns, client.V1Eviction(metadata=client.V1ObjectMeta(name="e", namespace=w.ns)))
    eventually(lambda: not [p for p in w.core.list_namespaced_pod(w.ns).items if p.metadata.name == "e"])


@check
def events_and_leases():
    involved = client.V1ObjectReference(kind="Pod", name="x", namespace=w.ns)
    w.core.create_namespaced_event(w.ns, client.CoreV1Event(metadata=client.V1ObjectMeta(generate_name="x."), involved_object=involved,
                                                            reason="Tested", type="Normal", message="by Python"))
    found = w.core.list_namespaced_event(w.ns, field_selector="involvedObject.name=x,reason=Tested").items
    eq([e.message for e in found], ["by Python"])
    lease = client.CoordinationV1Api(w.api).create_namespaced_lease(w.ns, {"metadata": {"name": "l"}, "spec": {
        "holderIdentity": "me", "renewTime": "2024-01-02T03:04:05.678901Z"}})
    eq(lease.spec.renew_time.microsecond, 678901)


GADGETS = {"group": "py.coracle.dev", "version": "v1", "plural": "gizmos"}


@check
def custom_resources():
    crds = client.ApiextensionsV1Api(w.api)
    name = "%(plural)s.%(group)s" % GADGETS
    crds.create_custom_resource_definition({"metadata": {"name": name}, "spec": {
        "group": GADGETS["group"], "scope": "Namespaced", "names": {"plural": "gizmos", "kind": "Gizmo"},
        "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {
                "size": {"type": "integer", "minimum": 0}, "color": {"type": "string", "default": "red"}}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}})
    custom = client.CustomObjectsApi(w.api)
    body = {"apiVersion": "py.coracle.dev/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": 1, "junk": 2}}
    g = custom.create_namespaced_custom_object(namespace=w.ns, body=body, **GADGETS)
    eq(g["spec"], {"size": 1, "color": "red"})
    g = custom.patch_namespaced_custom_object(namespace=w.ns, name="g", body={"spec": {"color": None, "size": 4}}, **GADGETS)
    eq(g["spec"], {"size": 4, "color": "red"})
    refused(422, custom.patch_namespaced_custom_object, namespace=w.ns, name="g", body={"spec": {"size": -1}}, **GADGETS)
    g = custom.patch_namespaced_custom_object_status(namespace=w.ns, name="g", body={"status": {"any": [1, None]}}, **GADGETS)
    eq(g["status"], {"any": [1, None]})
    eq(len(custom.list_namespaced_custom_object(namespace=w.ns, **GADGETS)["items"]), 1)
    events = [e["type"] for e in watch.Watch().stream(custom.list_namespaced_custom_object, namespace=w.ns, timeout_seconds=1, **GADGETS)]
    eq(events, ["ADDED"])


@check
def dynamic_client():
    d = dynamic.DynamicClient(w.api)
    gizmos = d.resources.get(api_version="py.coracle.dev/v1", kind="Gizmo")
    body = {"apiVersion": "py.coracle.dev/v1", "kind": "Gizmo", "metadata": {"name": "dyn"}, "spec": {"size": 1}}
    gizmos.create(body=body, namespace=w.ns)
    g = gizmos.get(name="dyn", namespace=w.ns)
    eq(g.spec.size, 1)
    g = gizmos.patch(name="dyn", namespace=w.ns, body={"spec": {"size": 2}}, content_type="application/merge-patch+json")
    eq(g.spec.size, 2)
    g = gizmos.patch(name="dyn", namespace=w.ns, body=[{"op": "replace", "path": "/spec/size", "value": 3}],
                     content_type="application/json-patch+json")
    eq(g.spec.size, 3)
    g = gizmos.server_side_apply(body=json.dumps({"apiVersion": "py.coracle.dev/v1", "kind": "Gizmo", "metadata": {"name": "dyn"},
                                       "spec": {"color": "blue"}}), name="dyn", namespace=w.ns, field_manager="one", force_conflicts=True)
    eq((g.spec.size, g.spec.color), (3, "blue"))
    try:
        gizmos.server_side_apply(body=json.dumps({"apiVersion": "py.coracle.dev/v1", "kind": "Gizmo", "metadata": {"name": "dyn"},
                                       "spec": {"color": "green"}}), name="dyn", namespace=w.ns, field_manager="two")
        raise AssertionError("no conflict")
    except ConflictError:
        pass
    g.metadata.resourceVersion = "1"
    try:
        gizmos.replace(body=g, namespace=w.ns)
        raise AssertionError("replaced what is stale")
    except ConflictError:
        pass
    pods = d.resources.get(api_version="v1", kind="Pod")
    try:
        pods.create(body={"metadata": {"name": "bad"}, "spec": {"containers": []}}, namespace=w.ns)
        raise AssertionError("a pod without containers")
    except UnprocessibleEntityError:
        pass
    seen = []
    for e in gizmos.watch(namespace=w.ns, field_selector="metadata.name=dyn", timeout=1):
        seen.append((e["type"], e["object"].metadata.name))
    eq(seen, [("ADDED", "dyn")])
    gizmos.delete(name="dyn", namespace=w.ns)
    try:
        gizmos.get(name="dyn", namespace=w.ns)
        raise AssertionError("still there")
    except NotFoundError:
        pass
    # what a loop over "everything that can be listed" meets
    for r in d.resources.search(namespaced=True, api_version="v1"):
        if "list" in (getattr(r, "verbs", None) or []) and not r.kind.endswith("List"):
            d.get(r, namespace=w.ns)
    client.ApiextensionsV1Api(w.api).delete_custom_resource_definition("%(plural)s.%(group)s" % GADGETS)


@check
def leader_election():
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
    config.load_kube_config()
    led = threading.Event()
    c = electionconfig.Config(ConfigMapLock("lead", w.ns, "me"), lease_duration=17, renew_deadline=15, retry_period=5,
                              onstarted_leading=led.set, onstopped_leading=None)
    threading.Thread(target=leaderelection.LeaderElection(c).run, daemon=True).start()
    assert led.wait(PATIENCE)


def main():
    global w
    prefix = sys.argv[1] + " " if len(sys.argv) > 1 else ""
    w = World()
    failed = 0
    for i, fn in enumerate(checks, 1):
        try:
            fn()
            print("ok %d - %s%s" % (i, prefix, fn.__name__))
        except Exception as e:
            failed += 1
            print("not ok %d - %s%s" % (i, prefix, fn.__name__))
            print("# " + (str(e) + "\n" + traceback.format_exc()).replace("\n", "\n# "))
        sys.stdout.flush()
    print("1..%d" % len(checks))
    w.close()
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # the election's thread never ends


main()
