# SPDX-License-Identifier: Apache-2.0
"""What is wrong with definitions and their objects, in the words of kube-apiserver 1.34 (kubernetes-api.md 4, 8.76-8.81)."""
import conformance as c
from conformance import eq, fresh, has, make, status

LABEL = ("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
         "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')")


def definition(version=None, **spec):
    name = fresh("bad").replace("-", "")
    o = c.crd(name + "s", name.capitalize())
    o["spec"]["names"].pop("shortNames")
    o["spec"].update(spec)
    for v in o["spec"]["versions"]:
        v.pop("subresources", None)
        v.pop("additionalPrinterColumns", None)
        v.update(version or {})
    return o


def refused(o, *want):
    a = status(c.k.post(c.CRDS + "?dryRun=All", o), 422, "Invalid")
    got = ["%s: %s" % (x["field"], x["message"]) for x in a["details"]["causes"]]
    eq(got, list(want))


def schema(**properties):
    return {"schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}


# ---- 81 ----
def t81_what_all_versions_say_alike_is_named_above_them():
    bad = schema(a={"type": "array"})
    o = definition(bad)
    refused(o, "spec.validation.openAPIV3Schema.properties[a].items: Required value: must be specified")
    o["spec"]["versions"].append(dict(o["spec"]["versions"][0], name="v2", storage=False))
    refused(o, "spec.validation.openAPIV3Schema.properties[a].items: Required value: must be specified")
    o["spec"]["versions"][1].update(schema())
    refused(o, "spec.versions[0].schema.openAPIV3Schema.properties[a].items: Required value: must be specified")


def t81_versions_are_one_stored_and_each_named_once():
    o = definition()
    o["spec"]["versions"].append(dict(o["spec"]["versions"][0], storage=False))
    a = status(c.k.post(c.CRDS + "?dryRun=All", o), 422, "Invalid")
    has(a["message"], "must contain unique version names")
    o["spec"]["versions"][1]["name"] = "V_2"
    has(status(c.k.post(c.CRDS + "?dryRun=All", o), 422, "Invalid")["message"], 'spec.versions[1].name: Invalid value: "V_2": ' + LABEL)
    o = definition({"storage": False})
    a = status(c.k.post(c.CRDS + "?dryRun=All", o), 422, "Invalid")
    eq([x["field"] for x in a["details"]["causes"]], ["spec.versions", "status.storedVersions"])
    refused(definition({"schema": None}), "spec.versions[0].schema.openAPIV3Schema: Required value")


def t81_names_are_labels():
    o = definition()
    o["spec"]["names"].update(kind="bad_kind", listKind="bad_kind", shortNames=["BAD"], categories=["Upper"])
    mixed = "may have mixed case, but should otherwise match: " + LABEL
    refused(o, 'spec.names.singular: Invalid value: "bad_kind": ' + LABEL, 'spec.names.kind: Invalid value: "bad_kind": ' + mixed,
            'spec.names.listKind: Invalid value: "bad_kind": ' + mixed,
            'spec.names.shortNames[0]: Invalid value: "BAD": ' + LABEL,
            'spec.names.listKind: Invalid value: "bad_kind": kind and listKind may not be the same',
            'spec.names.categories[0]: Invalid value: "Upper": ' + LABEL)


def t81_groups_of_the_community_want_an_approval():
    o = definition(group="made-up.k8s.io")
    o["metadata"]["name"] = o["spec"]["names"]["plural"] + ".made-up.k8s.io"
    refused(o, 'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation '
            '"api-approved.kubernetes.io", see https:' + '//github.com/kubernetes/enhancements/pull/1111')
    o["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    status(c.k.post(c.CRDS + "?dryRun=All", o), 201)


def t81_columns_scale_and_selectable_fields_are_checked():
    columns = [{"name": "", "type": "foo", "jsonPath": "spec.x"}, {"name": "a", "type": "integer", "jsonPath": ".a", "format": "bar"}]
    at = "spec.additionalPrinterColumns"
    refused(definition({"additionalPrinterColumns": columns}), at + "[0].name: Required value",
            at + '[0].type: Invalid value: "foo": must be one of boolean,date,integer,number,string',
            at + '[0].JSONPath: Invalid value: "spec.x": must be a simple json path starting with .',
            at + '[1].format: Invalid value: "bar": must be one of byte,date,date-time,double,float,int32,int64,password')
    scale = {"specReplicasPath": "spec.x", "statusReplicasPath": ".spec.y", "labelSelectorPath": ".foo"}
    at = "spec.subresources.scale."
    refused(definition({"subresources": {"scale": scale}}),
            at + 'specReplicasPath: Invalid value: "spec.x": must be a simple json path starting with .',
            at + 'statusReplicasPath: Invalid value: ".spec.y": should be a json path under .status',
            at + 'labelSelectorPath: Invalid value: ".foo": should be a json path under either .spec or .status')
    paths = ["x", ".metadata.name", ".x", ".x", ".o", ".a[0]", ""]
    fields = dict(schema(x={"type": "string"}, o={"type": "object"}, a={"type": "array", "items": {"type": "string"}}),
                  selectableFields=[{"jsonPath": p} for p in paths])
    at = "spec.selectableFields[%d].jsonPath: %s"
    refused(definition(fields), at % (0, 'Invalid value: "x": is an invalid path: expected [ or . but got: x'),
            at % (1, 'Invalid value: ".metadata.name": is an invalid path: does not refer to a valid field'),
            at % (3, 'Duplicate value: ".x"'),
            at % (4, 'Invalid value: ".o": must point to a field of type string, boolean or integer. Enum string fields and strings '
                  'with formats are allowed.'),
            at % (5, 'Invalid value: ".a[0]": is an invalid path: array notation is not allowed'), at % (6, "Required value"))


def t81_conversions_and_warnings_are_checked():
    hook = {"conversionReviewVersions": ["v7", "V_1"], "clientConfig": {"service": {"name": "", "namespace": "", "port": 70000, "path": "x//y"}}}
    at = "spec.conversion.webhookClientConfig.service."
    refused(definition(conversion={"strategy": "Webhook", "webhook": hook}), at + "name: Required value", at + "namespace: Required value",
            at + "port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
            at + "path: Invalid value: \"x//y\": must start with a '/'", at + 'path: Invalid value: "x//y": segment[0] may not be empty',
            at + 'path: Invalid value: "x//y": segment[1] may not be empty',
            'spec.conversion.conversionReviewVersions[1]: Invalid value: "V_1": ' + LABEL,
            'spec.conversion.conversionReviewVersions: Invalid value: ["v7","V_1"]: must include at least one of v1, v1beta1')
    refused(definition({"deprecationWarning": "x"}),
            'spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions')
    refused(definition(preserveUnknownFields=True), "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
            "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead")


def t81_defaults_have_no_unknown_fields():
    bad = {"type": "object", "properties": {"x": {"type": "string"}}, "default": {"y": 1}}
    refused(definition(schema(a=bad)), 'spec.validation.openAPIV3Schema.properties[a].default: Invalid value: {"y":1}: must not have unknown fields')


# ---- 77 ----
def t77_null_on_a_field_that_has_none_is_dropped():
    o = definition(schema(spec={"type": "object", "properties": {
        "a": {"type": "string"}, "n": {"type": "string", "nullable": True}, "d": {"type": "string", "default": "x"},
        "o": {"type": "object", "properties": {"t": {"type": "string", "format": "date-time"}}}}}))
    make(c.CRDS, o)
    path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, o["spec"]["names"]["plural"])
    made = make(path, {"apiVersion": c.GROUP + "/v1", "kind": o["spec"]["names"]["kind"], "metadata": {"name": "x"},
                       "spec": {"a": None, "n": None, "d": None, "o": {"t": None}}})
    eq(made["spec"], {"n": None, "d": "x", "o": {}})
    a = c.k.merge(path + "/x?fieldValidation=Strict", {"spec": {"a": None, "n": "y"}})
    eq(status(a, 200)["spec"], {"n": "y", "d": "x", "o": {}})
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


# ---- 78 ----
def t78_of_anyof_and_oneof_the_arm_that_came_furthest_tells_why():
    two = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
    arms = [{"required": ["x"]}, {"required": ["y"]}]
    o = definition(schema(spec={"type": "object", "properties": {
        "any": dict(two, anyOf=arms), "one": dict(two, oneOf=arms), "e": {"type": "string", "enum": ["a", "b"]},
        "s": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "f": {"type": "string", "format": "hostname"}, "p": {"type": "string", "maxLength": 1, "pattern": "^a"}}}))
    make(c.CRDS, o)
    path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, o["spec"]["names"]["plural"])
    for spec, want in [
            ({"any": {}}, [("<nil>", 'Invalid value: "": "spec.any" must validate at least one schema (anyOf)'),
                           ("spec.any.x", "Required value")]),
            ({"one": {}}, [("<nil>", 'Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found none valid'),
                           ("spec.one.x", "Required value")]),
            ({"one": {"x": 1, "y": 2}}, [("<nil>", 'Invalid value: "": "spec.one" must validate one and only one schema (oneOf). '
                                          'Found 2 valid alternatives')]),
            ({"e": 1}, [("spec.e", 'Invalid value: "integer": spec.e in body must be of type string: "integer"'),
                        ("spec.e", 'Unsupported value: 1: supported values: "a", "b"')]),
            ({"s": ["a", "a", "a"]}, [("spec.s[1]", 'Duplicate value: "a"')]),
            ({"f": "a.b"}, [("spec.f", 'Invalid value: "a.b": spec.f in body must be of type hostname: "a.b"')]),
            ({"p": "bb"}, [("spec.p", "Too long: may not be more than 1 byte")])]:
        a = status(c.k.post(path, {"apiVersion": c.GROUP + "/v1", "kind": o["spec"]["names"]["kind"], "metadata": {"name": "x"},
                                   "spec": spec}), 422, "Invalid")
        eq([(x["field"], x["message"]) for x in a["details"]["causes"]], want)
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


# ---- 80 ----
def t80_a_deprecated_version_names_the_newest_that_is_not():
    o = definition({"deprecated": True, "name": "v1beta1"})
    first = o["spec"]["versions"][0]
    more = [dict(first, name=n, storage=False, deprecated=d) for n, d in (("v1alpha1", False), ("v1beta2", False), ("v1", False), ("v2", True))]
    o["spec"]["versions"] += more
    make(c.CRDS, o)
    kind, plural = o["spec"]["names"]["kind"], o["spec"]["names"]["plural"]
    a = c.k.get("/apis/%s/v1beta1/%s" % (c.GROUP, plural))
    eq(a.all("Warning"), ['299 - "%s/v1beta1 %s is deprecated; use %s/v1 %s"' % (c.GROUP, kind, c.GROUP, kind)])
    a = c.k.get("/apis/%s/v2/%s" % (c.GROUP, plural))
    eq(a.all("Warning"), ['299 - "%s/v2 %s is deprecated"' % (c.GROUP, kind)])
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


# ---- 76 ----
def t76_a_default_of_the_whole_status_is_there_from_the_start():
    schemas = schema(spec={"type": "object", "properties": {"n": {"type": "integer"}}},
                     status={"type": "object", "default": {"seen": -1}, "properties": {"seen": {"type": "integer"}}})
    o = definition(dict(schemas, subresources={"status": {}}))
    make(c.CRDS, o)
    path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, o["spec"]["names"]["plural"])
    body = {"apiVersion": c.GROUP + "/v1", "kind": o["spec"]["names"]["kind"], "metadata": {"name": "x"}, "spec": {"n": 1}, "status": {"seen": 7}}
    eq(make(path, body)["status"], {"seen": -1})
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


def t76_what_a_scale_would_choke_on_is_refused():
    o = definition(dict(schema(spec={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
                        subresources={"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}))
    make(c.CRDS, o)
    path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, o["spec"]["names"]["plural"])
    for n, want in (("x", "Invalid value: 0: .spec.n accessor error: x is of the type string, expected int64"),
                    (1.5, "Invalid value: 0: .spec.n accessor error: 1.5 is of the type float64, expected int64"),
                    (-1, "Invalid value: -1: should be a non-negative integer"),
                    (1 << 31, "Invalid value: 2147483648: should be less than or equal to 2147483647")):
        a = status(c.k.post(path, {"apiVersion": c.GROUP + "/v1", "kind": o["spec"]["names"]["kind"], "metadata": {"name": "x"}, "spec": {"n": n}}),
                   422, "Invalid")
        eq([(x["field"], x["message"]) for x in a["details"]["causes"]], [(".spec.n", want)])
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


# ---- 76: additionalProperties: true may stand beside properties; nothing is known of what is in such members ----
def t76_any_members_beside_known_ones():
    o = definition(schema(spec={"type": "object", "additionalProperties": True, "properties": {"a": {"type": "string"}}}))
    make(c.CRDS, o)
    path = "/apis/%s/v1/namespaces/%s/%s" % (c.GROUP, c.NS, o["spec"]["names"]["plural"])
    body = {"apiVersion": c.GROUP + "/v1", "kind": o["spec"]["names"]["kind"], "metadata": {"name": "x"},
            "spec": {"a": "s", "b": {"c": 1}, "n": 3, "l": [{"d": 1}]}}
    eq(make(path, body)["spec"], {"a": "s", "b": {}, "n": 3, "l": [{}]})
    status(c.k.delete(c.CRDS + "/" + o["metadata"]["name"]), 200)


# ---- 76 ----
def t76_metadata_of_custom_resources_has_its_types():
    for meta, want in (({"labels": []}, "cannot unmarshal array into Go struct field ObjectMeta.labels of type map[string]string"),
                       ({"finalizers": "x"}, "cannot unmarshal string into Go struct field ObjectMeta.finalizers of type"),
                       ({"ownerReferences": {}}, "cannot unmarshal object into Go struct field ObjectMeta.ownerReferences of type"),
                       ({"uid": 1}, "cannot unmarshal number into Go struct field ObjectMeta.uid of type string"),
                       ({"generation": "x"}, "cannot unmarshal string into Go struct field ObjectMeta.generation of type"),
                       ({"creationTimestamp": "bad"}, 'parsing time "bad" as "2006-01-02T15:04:05Z07:00": cannot parse "bad" as "2006"')):
        a = status(c.k.post(c.WIDGETS, c.widget(**meta)), 400, "BadRequest")
        has(a["message"], 'Widget in version "v1" cannot be handled as a Widget: ')
        has(a["message"], want)
    a = status(c.k.post(c.CM, c.cm(creationTimestamp="bad")), 400, "BadRequest")
    has(a["message"], 'parsing time "bad"')
