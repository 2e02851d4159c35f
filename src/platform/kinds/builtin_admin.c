/* SPDX-License-Identifier: Apache-2.0 */
/* How the API itself is extended: CustomResourceDefinitions, admission webhooks and policies, APIServices. What they do is in
 * crd.c, admission.c and aggregation.c; here is what they look like. */
#include "api/semantics.h"
#include "base/mem.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/expressions.h"
#include "platform/kinds/hook_client.h"
#include "platform/kinds/policy_check.h"

#include <string.h>

FIELD_TABLE(crd_names_fields, NULL, "Names of a kind.", ROW_STR("plural", "Plural, as in URLs."),
	ROW_STR("singular", "Singular."), ROW_STRS("shortNames", "Short names."), ROW_STR("kind", "Kind."),
	ROW_STR("listKind", "Kind of lists."), ROW_STRS("categories", "Groups of kinds such as all."));
#define SERVICE_ROWS                                                                                \
	ROW_STR("namespace", "Namespace of the service."), ROW_STR("name", "Name of the service."), \
	{                                                                                           \
		"port", F_INT32, 0, "Port, 443 by default."                                         \
	}
FIELD_TABLE(service_ref_fields, NULL, "A service of the cluster.", SERVICE_ROWS);
FIELD_TABLE(webhook_service_fields, NULL, "A service of the cluster.", SERVICE_ROWS,
	ROW_STR("path", "Path of its URL."));

#define EXTENSIONS "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
/* It contains itself: documents refer to it, and what the server checks of an inner schema is crd_check.c's. */
extern const struct field_table json_schema_fields;
FIELD_TABLE(json_schema_fields, EXTENSIONS "JSONSchemaProps", "A JSON schema.",
	ROW_STR("id", "Id of the schema; not allowed in a structural one."),
	ROW_STR("$schema", "Dialect; not allowed in a structural one."),
	ROW_STR("$ref", "Another schema; not allowed in a structural one."),
	ROW_STR("description", "What the value means; shown by kubectl explain."),
	ROW_STR("type", "Type of the value."), ROW_STR("format", "What the text or number looks like."),
	ROW_STR("title", "Title of the schema."),
	ROW_ANY("default", "Value that stands in for an absent one."),
	ROW_ANY("example", "An example of a value."), { "maximum", F_NUMBER, 0, "Largest number." },
	ROW_BOOL("exclusiveMaximum", "Whether the largest number itself is too large."),
	{ "minimum", F_NUMBER, 0, "Smallest number." },
	ROW_BOOL("exclusiveMinimum", "Whether the smallest number itself is too small."),
	ROW_INT("maxLength", "Most characters."), ROW_INT("minLength", "Fewest characters."),
	ROW_STR("pattern", "Regular expression the text must match."), ROW_INT("maxItems", "Most items."),
	ROW_INT("minItems", "Fewest items."), ROW_BOOL("uniqueItems", "Not allowed: use a list-type set."),
	{ "multipleOf", F_NUMBER, 0, "Number it must be a multiple of." },
	{ "enum", F_LIST, FIELD_ATOMIC, "The values allowed.", .items = F_ANY },
	ROW_INT("maxProperties", "Most members."), ROW_INT("minProperties", "Fewest members."),
	ROW_STRS("required", "Members that must be there."), ROW_ANY("items", "Schema of the items."),
	ROW_REFS("allOf", json_schema_fields, "Schemas all of which must hold."),
	ROW_REFS("oneOf", json_schema_fields, "Schemas exactly one of which must hold."),
	ROW_REFS("anyOf", json_schema_fields, "Schemas one of which must hold."),
	ROW_REF("not", json_schema_fields, "Schema that must not hold."),
	{ "properties", F_REF_MAP, 0, "Members and their schemas.", .ref = &json_schema_fields },
	ROW_ANY("additionalProperties", "Schema of members that are not listed."),
	{ "patternProperties", F_REF_MAP, 0, "Not allowed in a structural schema.",
		.ref = &json_schema_fields },
	{ "dependencies", F_MAP, 0, "Not allowed in a structural schema.", .items = F_ANY },
	ROW_ANY("additionalItems", "Not allowed in a structural schema."),
	{ "definitions", F_REF_MAP, 0, "Not allowed in a structural schema.", .ref = &json_schema_fields },
	ROW_OBJ("externalDocs", "Where there is more to read."),
	ROW_STR("externalDocs.description", "What it is."), ROW_STR("externalDocs.url", "Where it is."),
	ROW_BOOL("nullable", "Whether null is a value."),
	ROW_BOOL("x-kubernetes-preserve-unknown-fields", "Whether unknown members are kept."),
	ROW_BOOL("x-kubernetes-embedded-resource",
		"Whether it is an object with apiVersion, kind and metadata."),
	ROW_BOOL("x-kubernetes-int-or-string", "Whether both numbers and texts are allowed."),
	ROW_STRS("x-kubernetes-list-map-keys", "Members that identify an item of a map-like list."),
	ROW_STR("x-kubernetes-list-type", "How lists merge: atomic, set or map."),
	ROW_STR("x-kubernetes-map-type", "How objects merge: granular or atomic."),
	{ "x-kubernetes-validations", F_LIST, FIELD_LIST_MAP, "Rules in CEL.", .keys = "rule" },
	ROW_KEY("x-kubernetes-validations[].rule", "Expression that must be true; self is the value."),
	ROW_STR("x-kubernetes-validations[].message", "What is said if it is not."),
	ROW_STR("x-kubernetes-validations[].messageExpression", "Expression for what is said."),
	ROW_STR("x-kubernetes-validations[].reason", "Reason of the error."),
	ROW_STR("x-kubernetes-validations[].fieldPath", "Field the error names."),
	ROW_BOOL("x-kubernetes-validations[].optionalOldSelf", "Whether oldSelf may be absent."));

/* Nothing is demanded of these: what a client writes there is its own. */
FIELD_TABLE(crd_condition_fields, NULL, "A condition.",
	{ "type", F_STRING, 0, "Type of the condition.", .deflt = "\"\"" },
	{ "status", F_STRING, 0, "Whether it holds: True, False, Unknown.", .deflt = "\"\"" },
	ROW_STR("reason", "Why, one CamelCase word."), ROW_STR("message", "Why, for people."),
	ROW_TIME("lastTransitionTime", "When the status last changed."),
	ROW_INT("observedGeneration", "Generation it is about."));
FIELD_TABLE(crd_fields, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	"A kind added to the API.", { "spec", F_OBJECT, FIELD_REQUIRED, "What is wanted." },
	ROW_STR("spec.group", "API group."), ROW_REF("spec.names", crd_names_fields, "Names."),
	ROW_ENUM("spec.scope", "Cluster|Namespaced", "Cluster or Namespaced."),
	ROW_LIST("spec.versions", "Versions."), ROW_STR("spec.versions[].name", "Name, such as v1."),
	ROW_BOOL("spec.versions[].served", "Whether it is served."),
	ROW_BOOL("spec.versions[].storage", "Whether it is the stored one."),
	ROW_BOOL("spec.versions[].deprecated", "Whether users are warned."),
	ROW_STR("spec.versions[].deprecationWarning", "Text of the warning."),
	ROW_OBJ("spec.versions[].schema", "Schema."),
	ROW_REF("spec.versions[].schema.openAPIV3Schema", json_schema_fields,
		"OpenAPI v3 schema, structural."),
	ROW_OBJ("spec.versions[].subresources", "Subresources."),
	ROW_OBJ("spec.versions[].subresources.status", "Status is written by itself."),
	ROW_OBJ("spec.versions[].subresources.scale", "It has a size."),
	ROW_STR("spec.versions[].subresources.scale.specReplicasPath", "Where the wanted size is."),
	ROW_STR("spec.versions[].subresources.scale.statusReplicasPath", "Where the size is."),
	ROW_STR("spec.versions[].subresources.scale.labelSelectorPath", "Where the selector is."),
	ROW_LIST("spec.versions[].additionalPrinterColumns", "Columns."),
	ROW_STR("spec.versions[].additionalPrinterColumns[].name", "Name."),
	ROW_STR("spec.versions[].additionalPrinterColumns[].type", "Type."),
	ROW_STR("spec.versions[].additionalPrinterColumns[].format", "Format."),
	ROW_STR("spec.versions[].additionalPrinterColumns[].description", "Description."),
	ROW_I32("spec.versions[].additionalPrinterColumns[].priority", "Above 0: wide only."),
	ROW_STR("spec.versions[].additionalPrinterColumns[].jsonPath", "Where the value is."),
	ROW_LIST("spec.versions[].selectableFields", "Fields for selecting."),
	ROW_STR("spec.versions[].selectableFields[].jsonPath", "Where the value is."),
	ROW_OBJ("spec.conversion", "How versions convert."),
	ROW_ENUM("spec.conversion.strategy", "None|Webhook", "None or Webhook."),
	ROW_OBJ("spec.conversion.webhook", "Who converts."),
	ROW_STRS("spec.conversion.webhook.conversionReviewVersions", "Versions of the review."),
	ROW_OBJ("spec.conversion.webhook.clientConfig", "How to reach it."),
	ROW_STR("spec.conversion.webhook.clientConfig.url", "URL."),
	ROW_REF("spec.conversion.webhook.clientConfig.service", webhook_service_fields, "Service."),
	ROW_BYTES("spec.conversion.webhook.clientConfig.caBundle", "CAs."),
	ROW_BOOL("spec.preserveUnknownFields", "No longer allowed."), ROW_OBJ("status", "What is."),
	{ "status.conditions", F_REF_LIST, FIELD_LIST_MAP | FIELD_NULLABLE | FIELD_REPLACE,
		"What is known about it, by type.", .keys = "type", .ref = &crd_condition_fields },
	ROW_REF("status.acceptedNames", crd_names_fields, "Names in use."),
	ROW_STRS("status.storedVersions", "Versions ever stored."),
	ROW_INT("status.observedGeneration", "Generation acted upon."));

static void crd_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_need_obj(d, o, "spec");
	struct json *names = json_need_obj(d, spec, "names");
	const char *kind = json_get_str(names, "kind");

	if (kind) {
		CLEANUP(mem_freep) char *lower = str_lower(kind);
		CLEANUP(mem_freep) char *list = str_printf("%sList", kind);

		if (str_empty(json_get_str(names, "singular")))
			json_set_str(d, names, "singular", lower);
		if (str_empty(json_get_str(names, "listKind")))
			json_set_str(d, names, "listKind", list);
	}
	default_str(d, json_need_obj(d, spec, "conversion"), "strategy", "None");
}

/* ---- webhooks ---- */
#define RULE_ROWS                                                                                       \
	ROW_STRS("apiGroups", "API groups; * is all."), ROW_STRS("apiVersions", "Versions; * is all."), \
		ROW_STRS("resources", "Resources; r/sub, r/* and */sub name subresources."),            \
		ROW_STRS("operations", "CREATE, UPDATE, DELETE, CONNECT or *."),                        \
	{                                                                                               \
		"scope", F_STRING, 0, "Cluster, Namespaced or *.", .deflt = "\"*\"",                    \
								   .enums = "*|Cluster|Namespaced"      \
	}
FIELD_TABLE(rule_fields, "io.k8s.api.admissionregistration.v1.RuleWithOperations", "Requests that are meant.",
	RULE_ROWS);
FIELD_TABLE_ATOMIC(named_rule_fields, "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
	"Requests that are meant.", RULE_ROWS, ROW_STRS("resourceNames", "Only these objects; none: all."));
#define WEBHOOK_ROWS                                                                                      \
	{ "name", F_STRING, FIELD_REQUIRED, "Name, with a domain." },                                     \
		{ "clientConfig", F_OBJECT, FIELD_REQUIRED, "How to reach it." },                         \
		ROW_STR("clientConfig.url", "URL of a webhook outside the cluster."),                     \
		ROW_REF("clientConfig.service", webhook_service_fields,                                   \
			"Service of a webhook in the cluster."),                                          \
		ROW_BYTES("clientConfig.caBundle", "CAs its certificate is checked with."),               \
		ROW_REFS("rules", rule_fields, "Requests it is asked about."),                            \
		{ "failurePolicy", F_STRING, 0, "What happens when it fails.", .deflt = "\"Fail\"",       \
			.enums = "Fail|Ignore" },                                                         \
		{ "matchPolicy", F_STRING, 0, "Whether other versions of a resource count.",              \
			.deflt = "\"Equivalent\"", .enums = "Equivalent|Exact" },                         \
		ROW_REF("namespaceSelector", label_selector_fields, "Namespaces meant."),                 \
		ROW_REF("objectSelector", label_selector_fields, "Objects meant."),                       \
		ROW_STR("sideEffects", "None or NoneOnDryRun."),                                          \
		{ "timeoutSeconds", F_INT32, 0, "How long it may take, 1 to 30.", .deflt = "10" },        \
		ROW_STRS("admissionReviewVersions", "Versions of the review it understands."),            \
		{ "matchConditions", F_LIST, FIELD_LIST_MAP, "Further conditions, in CEL.",               \
			.keys = "name" },                                                                 \
		ROW_KEY("matchConditions[].name", "Name of the condition."),                              \
	{                                                                                                 \
		"matchConditions[].expression", F_STRING, FIELD_REQUIRED, "Expression that must be true." \
	}
#define ADMISSIONREGISTRATION "io.k8s.api.admissionregistration.v1."
FIELD_TABLE(validating_webhook_fields, ADMISSIONREGISTRATION "ValidatingWebhook",
	"A webhook that may refuse.", WEBHOOK_ROWS);
FIELD_TABLE(mutating_webhook_fields, ADMISSIONREGISTRATION "MutatingWebhook", "A webhook that may change.",
	WEBHOOK_ROWS,
	{ "reinvocationPolicy", F_STRING, 0, "Whether it is asked again after later changes.",
		.deflt = "\"Never\"", .enums = "IfNeeded|Never" });
FIELD_TABLE(validating_configuration_fields, ADMISSIONREGISTRATION "ValidatingWebhookConfiguration",
	"Webhooks asked about writes, which may refuse them.",
	ROW_KEYED_REFS("webhooks", validating_webhook_fields, "name", "The webhooks."));
FIELD_TABLE(mutating_configuration_fields, ADMISSIONREGISTRATION "MutatingWebhookConfiguration",
	"Webhooks asked about writes, which may change them.",
	ROW_KEYED_REFS("webhooks", mutating_webhook_fields, "name", "The webhooks."));

static void webhook_default(struct json_doc *d, struct json *o)
{
	JSON_EACH (it, json_get(o, "webhooks")) {
		struct json *service = json_at(it.val, "/clientConfig/service");

		if (!json_get(it.val, "namespaceSelector"))
			json_set(d, it.val, "namespaceSelector", json_new_obj(d));
		if (!json_get(it.val, "objectSelector"))
			json_set(d, it.val, "objectSelector", json_new_obj(d));
		if (service)
			default_int(d, service, "port", 443);
	}
}

static void webhook_name_check(const struct json *v, const char *at, struct causes *c)
{
	const char *name = json_str_or(v, ""), *dot = strchr(name, '.');
	CLEANUP(mem_freep) char *error = name_subdomain_error(name);

	if (!*name)
		cause_required(c, at, NULL);
	else if (error)
		cause_invalid(c, at, v, "%s", error);
	else if (!dot || !strchr(dot + 1, '.'))
		cause_invalid(c, at, v, "should be a domain with at least three segments separated by dots");
}

#define HOOK_SECONDS_MAX 30
/* Whom it is asked about, and for how long. */
static void webhook_match_check(const struct json *hook, const char *at, struct causes *c)
{
	static const char *const selectors[] = { "namespaceSelector", "objectSelector" };
	const struct json *seconds = json_get(hook, "timeoutSeconds");
	CLEANUP(mem_freep) char *rules_at = str_printf("%s.rules", at);
	CLEANUP(mem_freep) char *seconds_at = str_printf("%s.timeoutSeconds", at);

	hook_rules_check(json_get(hook, "rules"), rules_at, c);
	if (json_is_num(seconds) && (json_i64(seconds) < 1 || json_i64(seconds) > HOOK_SECONDS_MAX))
		cause_invalid(c, seconds_at, seconds, "the timeout value must be between 1 and %d seconds",
			HOOK_SECONDS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, selectors[i]);

		hook_selector_check(json_get(hook, selectors[i]), path, c);
	}
}

static void webhook_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const effects[] = { "None", "NoneOnDryRun", NULL };
	size_t i = 0;

	JSON_EACH (it, json_get(o, "webhooks")) {
		CLEANUP(mem_freep) char *effects_at = str_printf("webhooks[%zu].sideEffects", i);
		CLEANUP(mem_freep) char *versions_at = str_printf("webhooks[%zu].admissionReviewVersions", i);
		CLEANUP(mem_freep) char *name_at = str_printf("webhooks[%zu].name", i);
		CLEANUP(mem_freep) char *conditions_at = str_printf("webhooks[%zu].matchConditions", i);
		CLEANUP(mem_freep) char *hook_at = str_printf("webhooks[%zu]", i);
		CLEANUP(mem_freep) char *client_at = str_printf("webhooks[%zu].clientConfig", i++);

		if (!old || !json_eq(json_get(o, "webhooks"), json_get(old, "webhooks")))
			match_conditions_check(json_get(it.val, "matchConditions"), 0, conditions_at, c);
		if (!json_get(it.val, "sideEffects"))
			cause_required(c, effects_at, "must specify one of None, NoneOnDryRun");
		else if (!str_in(json_get_str(it.val, "sideEffects"), effects))
			cause_not_supported(c, effects_at, json_get(it.val, "sideEffects"), effects);
		hook_client_check(json_get(it.val, "clientConfig"), client_at, c);
		hook_versions_check(json_get(it.val, "admissionReviewVersions"), versions_at,
			"must specify one of v1, v1beta1", c);
		webhook_name_check(json_get(it.val, "name"), name_at, c);
		webhook_match_check(it.val, hook_at, c);
	}
}

static struct json *webhooks_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, (int64_t)json_len(json_get(o, "webhooks")));
}
static const struct column webhook_columns[] = {
	{ "Webhooks", "integer", NULL, "Number of webhooks.", 0, NULL, webhooks_cell },
	COLUMN_AGE,
	{ 0 },
};

/* ---- admission policies ---- */
FIELD_TABLE_ATOMIC(match_resources_fields, ADMISSIONREGISTRATION "MatchResources", "Requests that are meant.",
	{ "namespaceSelector", F_REF, 0, "Namespaces meant.", .deflt = "{}", .ref = &label_selector_fields },
	{ "objectSelector", F_REF, 0, "Objects meant.", .deflt = "{}", .ref = &label_selector_fields },
	ROW_REFS("resourceRules", named_rule_fields, "Requests meant."),
	ROW_REFS("excludeResourceRules", named_rule_fields, "Requests not meant after all."),
	{ "matchPolicy", F_STRING, 0, "Whether other versions of a resource count.",
		.deflt = "\"Equivalent\"", .enums = "Equivalent|Exact" });
FIELD_TABLE(policy_fields, ADMISSIONREGISTRATION "ValidatingAdmissionPolicy",
	"Rules in CEL asked about writes.", ROW_OBJ("spec", "What is wanted."),
	{ "spec.paramKind", F_OBJECT, FIELD_ATOMIC, "Kind of objects with parameters." },
	ROW_STR("spec.paramKind.apiVersion", "API version of the parameters."),
	ROW_STR("spec.paramKind.kind", "Kind of the parameters."),
	ROW_REF("spec.matchConstraints", match_resources_fields, "Requests it is about."),
	ROW_LIST("spec.validations", "What must hold."),
	{ "spec.validations[].expression", F_STRING, FIELD_REQUIRED, "Expression that must be true." },
	ROW_STR("spec.validations[].message", "What is said if it is not."),
	ROW_STR("spec.validations[].reason", "Reason of the refusal."),
	ROW_STR("spec.validations[].messageExpression", "Expression for what is said."),
	{ "spec.failurePolicy", F_STRING, 0, "What happens when an expression fails.", .deflt = "\"Fail\"",
		.enums = "Fail|Ignore" },
	ROW_LIST("spec.auditAnnotations", "What is noted in the audit log."),
	{ "spec.auditAnnotations[].key", F_STRING, FIELD_REQUIRED, "Key of the note." },
	{ "spec.auditAnnotations[].valueExpression", F_STRING, FIELD_REQUIRED, "Expression for its text." },
	ROW_KEYED("spec.matchConditions", "name", "Further conditions, in CEL."),
	ROW_KEY("spec.matchConditions[].name", "Name of the condition."),
	{ "spec.matchConditions[].expression", F_STRING, FIELD_REQUIRED, "Expression that must be true." },
	ROW_KEYED("spec.variables", "name", "Expressions with a name, for the others to use."),
	ROW_KEY("spec.variables[].name", "Name; used as variables.NAME."),
	{ "spec.variables[].expression", F_STRING, FIELD_REQUIRED, "Expression." },
	ROW_OBJ("status", "What is."), ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_OBJ("status.typeChecking", "What is wrong with the types in its expressions."),
	ROW_LIST("status.typeChecking.expressionWarnings", "Warnings."),
	{ "status.typeChecking.expressionWarnings[].fieldRef", F_STRING, FIELD_REQUIRED,
		"Path of the expression." },
	{ "status.typeChecking.expressionWarnings[].warning", F_STRING, FIELD_REQUIRED, "What is wrong." },
	{ "status.conditions", F_REF_LIST, FIELD_LIST_MAP | FIELD_REPLACE, "What is known about it, by type.",
		.keys = "type", .ref = &condition_fields });
FIELD_TABLE(policy_binding_fields, ADMISSIONREGISTRATION "ValidatingAdmissionPolicyBinding",
	"Where a policy holds.", ROW_OBJ("spec", "What is wanted."),
	ROW_STR("spec.policyName", "The policy."),
	{ "spec.paramRef", F_OBJECT, FIELD_ATOMIC, "Objects with its parameters." },
	ROW_STR("spec.paramRef.name", "One object by name."),
	ROW_STR("spec.paramRef.namespace", "Namespace of the objects; else that of the request."),
	ROW_REF("spec.paramRef.selector", label_selector_fields, "Objects by label."),
	ROW_ENUM("spec.paramRef.parameterNotFoundAction", "Allow|Deny", "What happens if there are none."),
	ROW_REF("spec.matchResources", match_resources_fields,
		"Requests it is about, of those of the policy."),
	{ "spec.validationActions", F_LIST, FIELD_SET, "Deny, Warn, Audit.", .items = F_STRING });

static struct json *validations_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, (int64_t)json_len(json_at(o, "/spec/validations")));
}

static struct json *param_kind_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *p = json_at(o, "/spec/paramKind");

	if (!json_is_obj(p))
		return json_new_str(d, "<unset>");
	return json_new_strf(
		d, "%s/%s", json_str_or(json_get(p, "apiVersion"), ""), json_str_or(json_get(p, "kind"), ""));
}

static struct json *param_ref_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *p = json_at(o, "/spec/paramRef");
	const char *ns = json_get_str(p, "namespace"), *name = json_get_str(p, "name");

	if (!json_is_obj(p))
		return json_new_str(d, "<unset>");
	if (str_empty(name))
		return json_new_strf(d, "%s/*", str_empty(ns) ? "*" : ns);
	return json_new_strf(d, "%s/%s", str_empty(ns) ? "*" : ns, name);
}
static const struct column policy_columns[] = {
	{ "Validations", "integer", NULL, "Number of rules.", 0, NULL, validations_cell },
	{ "ParamKind", "string", NULL, "Kind of its parameters.", 0, NULL, param_kind_cell },
	COLUMN_AGE,
	{ 0 },
};
static const struct column policy_binding_columns[] = {
	{ "PolicyName", "string", NULL, "The policy.", 0, ".spec.policyName", NULL },
	{ "ParamRef", "string", NULL, "Objects with its parameters.", 0, NULL, param_ref_cell },
	COLUMN_AGE,
	{ 0 },
};

/* ---- APIService ---- */
FIELD_TABLE(apiservice_fields, "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
	"Who serves a group version.", ROW_OBJ("spec", "What is wanted."),
	ROW_STR("spec.group", "API group."), ROW_STR("spec.version", "Version."),
	{ "spec.service", F_REF, FIELD_NULLABLE, "Service that serves it; none: this server.",
		.ref = &service_ref_fields },
	ROW_BOOL("spec.insecureSkipTLSVerify", "Whether its certificate is not checked."),
	ROW_BYTES("spec.caBundle", "CAs."),
	{ "spec.groupPriorityMinimum", F_INT32, FIELD_REQUIRED, "Order of groups, 1 to 20000." },
	{ "spec.versionPriority", F_INT32, FIELD_REQUIRED, "Order of versions, 1 to 1000." },
	ROW_OBJ("status", "What is."), ROW_CONDITIONS("status.conditions", plain_condition_fields));

static void apiservice_default(struct json_doc *d, struct json *o)
{
	struct json *service = json_at(o, "/spec/service");

	if (json_is_obj(service))
		default_int(d, service, "port", 443);
}

#define GROUP_PRIORITY_MAX 20000
#define VERSION_PRIORITY_MAX 1000
static void apiservice_spec_check(const struct json *spec, struct causes *c)
{
	const struct json *service = json_get(spec, "service"),
			  *group = json_get(spec, "groupPriorityMinimum"),
			  *version = json_get(spec, "versionPriority"), *port = json_get(service, "port");
	const char *name = json_str_or(json_get(spec, "group"), "");
	CLEANUP(mem_freep) char *group_error = *name ? name_subdomain_error(name) : NULL;
	CLEANUP(mem_freep) char *error = name_label_1035_error(json_str_or(json_get(spec, "version"), ""));

	if (group_error)
		cause_invalid(c, "spec.group", json_get(spec, "group"), "%s", group_error);
	if (error)
		cause_text(c, "FieldValueInvalid", "spec.version", "Invalid value: \"%s\": %s",
			json_str_or(json_get(spec, "version"), ""), error);
	if (json_i64(group) < 1 || json_i64(group) > GROUP_PRIORITY_MAX)
		cause_invalid(c, "spec.groupPriorityMinimum", group, "must be positive and less than %d",
			GROUP_PRIORITY_MAX);
	if (json_i64(version) < 1 || json_i64(version) > VERSION_PRIORITY_MAX)
		cause_invalid(c, "spec.versionPriority", version, "must be positive and less than %d",
			VERSION_PRIORITY_MAX);
	if (!json_is_obj(service)) {
		if (json_str_len(json_get(spec, "caBundle")) > 0)
			cause_invalid(c, "spec.caBundle", NULL, "local APIServices may not have a caBundle");
		if (json_bool(json_get(spec, "insecureSkipTLSVerify")))
			cause_invalid(c, "spec.insecureSkipTLSVerify",
				json_get(spec, "insecureSkipTLSVerify"),
				"local APIServices may not have insecureSkipTLSVerify");
		return;
	}
	if (str_empty(json_get_str(service, "namespace")))
		cause_required(c, "spec.service.namespace", NULL);
	if (str_empty(json_get_str(service, "name")))
		cause_required(c, "spec.service.name", NULL);
	if (json_is_num(port) && (json_i64(port) < 1 || json_i64(port) > UINT16_MAX))
		cause_invalid(c, "spec.service.port", port,
			"port is not valid: must be between 1 and %d, inclusive", UINT16_MAX);
}

static void apiservice_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	CLEANUP(mem_freep)
	char *want = str_printf("%s.%s", json_str_or(json_at(o, "/spec/version"), ""),
		json_str_or(json_at(o, "/spec/group"), ""));

	if (!str_eq(json_at_str(o, "/metadata/name"), want) && json_at_str(o, "/spec/group"))
		cause_invalid(c, "metadata.name", json_at(o, "/metadata/name"),
			"must be `spec.version+\".\"+spec.group`: \"%s\"", want);
	apiservice_spec_check(json_get(o, "spec"), c);
	if (json_at(o, "/spec/caBundle") && json_bool(json_at(o, "/spec/insecureSkipTLSVerify")))
		cause_invalid(c, "spec.insecureSkipTLSVerify", json_at(o, "/spec/insecureSkipTLSVerify"),
			"may not be true if caBundle is present");
}

static struct json *apiservice_service_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *s = json_at(o, "/spec/service");

	if (json_is_null(s))
		return json_new_str(d, "Local");
	return json_new_strf(
		d, "%s/%s", json_str_or(json_get(s, "namespace"), ""), json_str_or(json_get(s, "name"), ""));
}

static struct json *apiservice_available_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	JSON_EACH (it, json_at(o, "/status/conditions")) {
		if (!str_eq(json_get_str(it.val, "type"), "Available"))
			continue;
		if (str_eq(json_get_str(it.val, "status"), "True"))
			return json_new_str(d, "True");
		return json_new_strf(d, "%s (%s)", json_str_or(json_get(it.val, "status"), ""),
			json_str_or(json_get(it.val, "reason"), ""));
	}
	return json_new_str(d, "Unknown");
}
static const struct column apiservice_columns[] = {
	{ "Service", "string", NULL, "Service.", 0, NULL, apiservice_service_cell },
	{ "Available", "string", NULL, "Whether it answers.", 0, NULL, apiservice_available_cell },
	COLUMN_AGE,
	{ 0 },
};

static const char *const crd_names[] = { "crd", "crds", NULL }, *const api_extensions[] = { "api-extensions",
	NULL };
#define ADMISSION(k, p, s) \
	.group = "admissionregistration.k8s.io", .version = "v1", .kind = k, .plural = p, .singular = s

const struct resource_def builtin_admin[] = {
	{ .kind = { .group = "apiextensions.k8s.io",
		  .version = "v1",
		  .kind = "CustomResourceDefinition",
		  .plural = "customresourcedefinitions",
		  .singular = "customresourcedefinition",
		  .short_names = crd_names,
		  .categories = api_extensions,
		  .has_status = true,
		  .fields = &crd_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.subresources = status_only,
		.columns = created_columns,
		.hooks = { .deflt = crd_default } },
	{ .kind = { ADMISSION("MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
			    "mutatingwebhookconfiguration"),
		  .categories = api_extensions, .fields = &mutating_configuration_fields },
		.rules = { .generation = GEN_ALL_BUT_META, .needs_rv = true },
		.columns = webhook_columns,
		.hooks = { .deflt = webhook_default, .validate = webhook_validate } },
	{ .kind = { ADMISSION("ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
			    "validatingwebhookconfiguration"),
		  .categories = api_extensions, .fields = &validating_configuration_fields },
		.rules = { .generation = GEN_ALL_BUT_META, .needs_rv = true },
		.columns = webhook_columns,
		.hooks = { .deflt = webhook_default, .validate = webhook_validate } },
	{ .kind = { ADMISSION("ValidatingAdmissionPolicy", "validatingadmissionpolicies",
			    "validatingadmissionpolicy"),
		  .categories = api_extensions, .has_status = true, .fields = &policy_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.subresources = status_only,
		.columns = policy_columns,
		.hooks = { .validate = policy_validate } },
	{ .kind = { ADMISSION("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings",
			    "validatingadmissionpolicybinding"),
		  .categories = api_extensions, .fields = &policy_binding_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.columns = policy_binding_columns,
		.hooks = { .validate = policy_binding_validate } },
	{ .kind = { .group = "apiregistration.k8s.io",
		  .version = "v1",
		  .kind = "APIService",
		  .plural = "apiservices",
		  .singular = "apiservice",
		  .categories = api_extensions,
		  .has_status = true,
		  .fields = &apiservice_fields },
		.rules = { .needs_rv = true },
		.subresources = status_only,
		.columns = apiservice_columns,
		.hooks = { .deflt = apiservice_default, .validate = apiservice_validate } },
	{ .kind = { 0 } },
};
