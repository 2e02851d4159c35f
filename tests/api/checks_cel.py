# SPDX-License-Identifier: Apache-2.0
"""Expressions: rules of custom resources, match conditions, admission policies (kubernetes-api.md 4, 5.1, 8.79)."""
import base64
import json

import conformance as c
from backend import Backend
from conformance import eq, eventually, fresh, has, make, status

ADM = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = ADM + "/validatingadmissionpolicies", ADM + "/validatingadmissionpolicybindings"


def text(**more):
    return dict({"type": "string"}, **more)


def rules(*r):
    return [x if isinstance(x, dict) else {"rule": x} for x in r]


def spec_schema(properties, **more):
    return {"type": "object", "properties": {"spec": dict({"type": "object", "properties": properties}, **more)}}


class Kind:
    """A custom resource with this schema of its spec."""

    def __init__(self, properties, **more):
        name = fresh("cel").replace("-", "")
        self.plural, self.kind = name + "s", name.capitalize()
        self.crd = c.crd(self.plural, self.kind, schema=spec_schema(properties, **more))
        self.crd["spec"]["names"].pop("shortNames")
        self.crd["spec"]["versions"][0].pop("subresources")
        self.path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, self.plural)

    def __enter__(self):
        make(c.CRDS, self.crd)
        eventually(lambda: c.k.get(self.path).status == 200)
        return self

    def __exit__(self, *a):
        c.k.delete(c.CRDS + "/" + self.crd["metadata"]["name"])

    def object(self, spec, name=None):
        return {"apiVersion": c.GROUP + "/v1", "kind": self.kind, "metadata": {"name": name or fresh("o")}, "spec": spec}

    def good(self, spec):
        return status(c.k.post(self.path, self.object(spec)), 201)

    def bad(self, spec, field, message):
        a = status(c.k.post(self.path, self.object(spec)), 422, "Invalid")
        causes = [(x["field"], x["message"]) for x in a["details"]["causes"]]
        if (field, message) not in causes:
            raise AssertionError("%r not among %r" % ((field, message), causes))


# ---- rules of custom resources ----
def t79_an_uncompilable_rule_refuses_the_definition():
    for rule, why in [("self.b > 0", "undefined field 'b'"), ("self.a >", "Syntax error"), ("self.a", "must evaluate to a bool"),
                      ("self.a == 'x'", "no matching overload for '_==_' applied to '(int, string)'"),
                      ("self.a.matches('(')", "no matching overload"), ("nope(self)", "undeclared reference to 'nope'")]:
        k = Kind({"a": {"type": "integer"}}, **{"x-kubernetes-validations": rules("self.a > 0", rule)})
        a = status(c.k.post(c.CRDS, k.crd), 422, "Invalid")
        cause = a["details"]["causes"][0]
        eq(cause["field"], "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[1].rule")
        has(cause["message"], why)
        eq(c.k.get(c.CRDS + "/" + k.crd["metadata"]["name"]).status, 404)


def t79_rules_accept_and_refuse():
    with Kind({"path": text(**{"x-kubernetes-validations": [
            {"rule": "self.startsWith('/')", "message": "path must be absolute (start with '/')"},
            {"rule": "!self.contains('..')", "message": "path must not contain '..'"}]}),
            "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer"}}},
                     "x-kubernetes-validations": [{"rule": "self.all(a, self.exists_one(b, a.port == b.port))",
                                                   "messageExpression": "'ports: ' + self.map(x, string(x.port)).join(',')"}]},
            "cpu": {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": rules(
                "type(self) == int ? self > 0 : isQuantity(self) && quantity(self).isLessThan(quantity('4'))")}}) as k:
        k.good({"path": "/a", "list": [{"port": 1}, {"port": 2}], "cpu": "500m"})
        k.good({"cpu": 2})
        k.bad({"path": "a"}, "spec.path", "Invalid value: \"string\": path must be absolute (start with '/')")
        k.bad({"path": "/a/.."}, "spec.path", "Invalid value: \"string\": path must not contain '..'")
        k.bad({"list": [{"port": 1}, {"port": 1}]}, "spec.list", 'Invalid value: "array": ports: 1,1')
        k.bad({"cpu": "5"}, "spec.cpu", 'Invalid value: "": failed rule: type(self) == int ? self > 0 : isQuantity(self) '
              "&& quantity(self).isLessThan(quantity('4'))")


def t79_transition_rules_and_ratcheting():
    with Kind({"fixed": text(**{"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is fixed"}]}),
               "n": {"type": "integer"}, "old": {"type": "integer"}}) as k:
        o = k.good({"fixed": "a", "n": 1, "old": 0})
        at = k.path + "/" + o["metadata"]["name"]
        a = status(c.k.merge(at, {"spec": {"fixed": "b"}}), 422, "Invalid")
        eq(a["details"]["causes"], [{"reason": "FieldValueInvalid", "message": 'Invalid value: "string": is fixed',
                                     "field": "spec.fixed"}])
        # a rule that comes later does not hold up what leaves the broken field alone
        crd = status(c.k.get(c.CRDS + "/" + k.crd["metadata"]["name"]), 200)
        properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        properties["old"]["x-kubernetes-validations"] = rules("self > 0")
        status(c.k.put(c.CRDS + "/" + k.crd["metadata"]["name"], crd), 200)
        assert eventually(lambda: c.k.post(k.path, k.object({"old": 0})).status == 422)
        a = c.k.merge(at, {"spec": {"n": 2}})
        status(a, 200)
        eq(a.all("Warning"), ['299 - "spec.old: Invalid value: \\"integer\\": failed rule: self > 0"'])
        status(c.k.merge(at, {"spec": {"old": -1}}), 422)


# ---- match conditions ----
class Hook:
    def __init__(self, *conditions, **more):
        self.name = fresh("celhook")
        self.backend = Backend(self.answer, "localhost")
        self.hook = dict({"name": "h.%s.io" % self.name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                          "clientConfig": {"url": "https://localhost:%d/" % self.backend.port,
                                           "caBundle": base64.b64encode(self.backend.ca.encode()).decode()},
                          "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
                          "matchConditions": [{"name": "c%d" % i, "expression": e} for i, e in enumerate(conditions)]}, **more)

    def answer(self, r):
        uid = json.loads(r.body)["request"]["uid"]
        return 200, {"Content-Type": "application/json"}, {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "response": {"uid": uid, "allowed": False, "status": {"message": "asked"}}}

    def config(self):
        return {"metadata": {"name": self.name}, "webhooks": [self.hook]}

    def __enter__(self):
        make(ADM + "/validatingwebhookconfigurations", self.config())
        return self

    def __exit__(self, *a):
        c.k.delete(ADM + "/validatingwebhookconfigurations/" + self.name)
        self.backend.close()


def configmap(labels=None, **data):
    return {"metadata": {"name": fresh("cm"), "labels": labels or {}}, "data": data}


def t79_match_conditions():
    with Hook("'cel' in object.metadata.labels", "request.userInfo.username != 'nobody'",
              "request.resource.resource == 'configmaps' && request.operation == 'CREATE'",
              "authorizer.group('').resource('configmaps').namespace('x').check('get').allowed()") as h:
        assert eventually(lambda: c.k.post(c.CM, configmap({"cel": "1"})).status == 400)
        has(c.k.post(c.CM, configmap({"cel": "1"})).json["message"], "denied the request: asked")
        status(c.k.post(c.CM, configmap({"other": "1"})), 201)
        eq(len([r for r in h.backend.requests if b'"other"' in r.body]), 0)
    # what can not be evaluated counts as the failure policy says
    with Hook("object.data.nope == 'x'"):
        a = status(c.k.post(c.CM, configmap(a="b")), 403, "Forbidden")
        has(a["message"], "no such key: nope")
    with Hook("object.data.nope == 'x'", failurePolicy="Ignore"):
        status(c.k.post(c.CM, configmap(a="b")), 201)
    bad = Hook("object.x ==").config()
    a = status(c.k.post(ADM + "/validatingwebhookconfigurations", bad), 422, "Invalid")
    eq(a["details"]["causes"][0]["field"], "webhooks[0].matchConditions[0].expression")


# ---- policies ----
class Policy:
    def __init__(self, validations, actions=("Deny",), binding=None, **spec):
        self.name = fresh("policy")
        match = {"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"],
                                    "resources": ["configmaps"]}],
                 "objectSelector": {"matchLabels": {"policy": self.name}}}
        self.policy = {"metadata": {"name": self.name}, "spec": dict({
            "matchConstraints": match, "validations": validations}, **spec)}
        self.binding = {"metadata": {"name": self.name}, "spec": dict({
            "policyName": self.name, "validationActions": list(actions)}, **(binding or {}))}

    def __enter__(self):
        make(POLICIES, self.policy)
        make(BINDINGS, self.binding)
        return self

    def __exit__(self, *a):
        c.k.delete(BINDINGS + "/" + self.name)
        c.k.delete(POLICIES + "/" + self.name)

    def configmap(self, **data):
        return configmap({"policy": self.name}, **data)

    def post(self, code, **data):
        return c.k.post(c.CM, self.configmap(**data)) if code is None else status(c.k.post(c.CM, self.configmap(**data)), code)


def t79_a_policy_denies():
    with Policy([{"expression": "variables.n <= 3", "messageExpression": "'n is ' + string(variables.n)"},
                 {"expression": "object.metadata.name != 'x'"},
                 {"expression": "!has(object.data.secret)", "message": "no secrets", "reason": "Forbidden"}],
                variables=[{"name": "raw", "expression": "has(object.data.n) ? object.data.n : '0'"},
                           {"name": "n", "expression": "int(variables.raw)"}],
                matchConditions=[{"name": "not-free", "expression": "!has(object.data.free)"}]) as p:
        assert eventually(lambda: p.post(None, n="4").status == 422)
        o = p.configmap(n="4")
        a = status(c.k.post(c.CM, o), 422, "Invalid")
        text = "ValidatingAdmissionPolicy '%s' with binding '%s' denied request: n is 4" % (p.name, p.name)
        eq(a["message"], 'configmaps "%s" is forbidden: %s' % (o["metadata"]["name"], text))
        eq(a["details"]["causes"], [{"message": text}])
        p.post(201, n="3")
        p.post(201, n="4", free="1")
        a = p.post(403, secret="1")
        eq(a["reason"], "Forbidden")
        has(a["message"], "denied request: no secrets")
        a = p.post(422, n="many")
        has(a["message"], "expression 'variables.n <= 3' resulted in error: composited variable \"n\" fails to evaluate: "
            "type conversion error from 'string' to 'int'")
        # others are none of its business
        status(c.k.post(c.CM, configmap(n="4")), 201)
        # dry run is asked, too
        status(c.k.post(c.CM + "?dryRun=All", p.configmap(n="4")), 422)


def t79_policies_warn_and_ignore_failures():
    with Policy([{"expression": "object.data.n == '1'"}], actions=("Warn",)) as p:
        assert eventually(lambda: p.post(None, n="2").headers.get("Warning"))
        a = c.k.post(c.CM, p.configmap(n="2"))
        eq(a.status, 201)
        has(a.headers["Warning"], "Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': failed expression: "
            "object.data.n == '1'" % (p.name, p.name))
    with Policy([{"expression": "object.data.n == '1'"}], failurePolicy="Ignore") as p:
        assert eventually(lambda: p.post(None, n="2").status == 422)
        p.post(201, m="1")


def t79_policies_have_parameters():
    limit = make(c.CM, configmap(max="3"))["metadata"]["name"]
    ref = {"paramRef": {"name": limit, "namespace": c.NS, "parameterNotFoundAction": "Deny"}}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    rule = [{"expression": "int(object.data.n) <= int(params.data.max)", "messageExpression": "'at most ' + params.data.max"}]
    with Policy(rule, binding=ref, paramKind=kind) as p:
        assert eventually(lambda: p.post(None, n="4").status == 422)
        has(p.post(422, n="4")["message"], "denied request: at most 3")
        p.post(201, n="3")
        status(c.k.merge(c.CM + "/" + limit, {"data": {"max": "9"}}), 200)
        assert eventually(lambda: p.post(None, n="4").status == 201)
        status(c.k.delete(c.CM + "/" + limit), 200)
        assert eventually(lambda: p.post(None, n="4").status == 422)
        has(p.post(422, n="1")["message"], "failed to configure binding: no params found for policy binding with `Deny` "
            "parameterNotFoundAction")


def t79_policies_see_the_request():
    with Policy([{"expression": "request.operation == 'CREATE' ? oldObject == null : oldObject.data.n == object.data.n",
                  "message": "n is fixed"},
                 {"expression": "namespaceObject.metadata.name == request.namespace"},
                 {"expression": "request.userInfo.groups.exists(g, g == 'system:masters') || "
                                "authorizer.requestResource.check('get').allowed()"}]) as p:
        o = p.post(201, n="1")
        at = c.CM + "/" + o["metadata"]["name"]
        assert eventually(lambda: c.k.merge(at, {"data": {"n": "2"}}).status == 422)
        a = status(c.k.merge(at, {"data": {"n": "2"}}), 422)
        has(a["message"], "denied request: n is fixed")
        status(c.k.merge(at, {"data": {"m": "2"}}), 200)


def t79_broken_policies_are_refused():
    for change, field in [({"validations": [{"expression": "object.x +"}]}, "spec.validations[0].expression"),
                          ({"validations": [{"expression": "1"}]}, "spec.validations[0].expression"),
                          ({"validations": [{"expression": "params.x == 1"}]}, "spec.validations[0].expression"),
                          ({"validations": [{"expression": "variables.x"}]}, "spec.validations[0].expression"),
                          ({"validations": [{"expression": "true", "messageExpression": "1"}]},
                           "spec.validations[0].messageExpression"),
                          ({"variables": [{"name": "1x", "expression": "true"}]}, "spec.variables[0].name"),
                          ({"variables": [{"name": "x", "expression": "nope"}]}, "spec.variables[0].expression"),
                          ({"matchConditions": [{"name": "x", "expression": "object"}, {"name": "y", "expression": "y"}]},
                           "spec.matchConditions[1].expression"),
                          ({"validations": []}, "spec.validations"), ({"matchConstraints": None}, "spec.matchConstraints")]:
        p = Policy([{"expression": "true"}])
        p.policy["spec"].update(change)
        a = status(c.k.post(POLICIES, p.policy), 422, "Invalid")
        fields = [x["field"] for x in a["details"]["causes"]]
        if field not in fields:
            raise AssertionError("%s not in %s (%s)" % (field, fields, change))
    p = Policy([{"expression": "true"}], actions=("Deny", "Warn"))
    a = status(c.k.post(BINDINGS, p.binding), 422, "Invalid")
    eq(a["details"]["causes"][0]["field"], "spec.validationActions")
