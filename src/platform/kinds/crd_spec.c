/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/crd_spec.h"

#include <string.h>

#include "api/meta.h"
#include "api/schema.h"
#include "api/semantics.h"
#include "base/mem.h"
#include "base/str.h"
#include "platform/kinds/hook_client.h"

#define SELECTABLE_MAX 8
#define WARNING_BYTES_MAX 256
#define APPROVAL "api-approved.kubernetes.io"
/* Kubernetes' own text points there */
#define APPROVAL_SEE  \
	", see https" \
	"://github.com/kubernetes/enhancements/pull/1111"

/* ---- words ---- */
static void bad(
	struct causes *c, const char *at, const char *member, const struct json *v, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s%s", at, member);

	cause_invalid(c, path, v, "%s", detail);
}

static void missing(struct causes *c, const char *at, const char *member)
{
	CLEANUP(mem_freep) char *path = str_printf("%s%s", at, member);

	cause_required(c, path, NULL);
}

static void check_1035(struct causes *c, const char *at, const struct json *v, const char *before)
{
	CLEANUP(mem_freep)
	char *lower = *before ? str_lower(json_str_or(v, "")) : mem_strdup(json_str_or(v, ""));
	CLEANUP(mem_freep) char *error = name_label_1035_error(lower);

	if (error)
		cause_invalid(c, at, v, "%s%s", before, error);
}

/* What every version says alike stands above them. */
static bool is_shared(const struct json *versions, const char *pointer)
{
	const struct json *first = json_at(json_item(versions, 0), pointer);

	if (!first || json_is_null(first))
		return false;
	JSON_EACH (it, versions)
		if (!json_eq(json_at(it.val, pointer), first))
			return false;
	return true;
}

static char *place_of(bool shared, size_t i, const char *above, const char *within)
{
	return shared ? str_printf("spec.%s", above) : str_printf("spec.versions[%zu].%s", i, within);
}

/* ---- group, names ---- */
static void check_group(const struct json *spec, struct causes *c)
{
	const char *group = json_str_or(json_get(spec, "group"), "");
	CLEANUP(mem_freep) char *error = name_subdomain_error(group);

	if (!*group)
		cause_required(c, "spec.group", NULL);
	else if (error)
		cause_invalid(c, "spec.group", json_get(spec, "group"), "%s", error);
	else if (!strchr(group, '.'))
		cause_invalid(
			c, "spec.group", json_get(spec, "group"), "should be a domain with at least one dot");
}

static void check_scope(const struct json *spec, struct causes *c)
{
	static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
	const char *scope = json_str_or(json_get(spec, "scope"), "");

	if (!*scope)
		cause_required(c, "spec.scope", NULL);
	else if (!str_in(scope, scopes))
		cause_not_supported(c, "spec.scope", json_get(spec, "scope"), scopes);
}

static void check_names(const struct json *names, struct causes *c)
{
	static const char *const needed[] = { "plural", "singular", "kind", "listKind" };
	static const char mixed[] = "may have mixed case, but should otherwise match: ";
	static const struct {
		const char *member, *before;
	} labels[] = { { "plural", "" }, { "singular", "" }, { "kind", mixed }, { "listKind", mixed } };
	static const char *const lists[] = { "shortNames", "categories" };

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (str_empty(json_get_str(names, needed[i])))
			missing(c, "spec.names.", needed[i]);
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		CLEANUP(mem_freep) char *path = str_printf("spec.names.%s", labels[i].member);

		if (!str_empty(json_get_str(names, labels[i].member)))
			check_1035(c, path, json_get(names, labels[i].member), labels[i].before);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		JSON_EACH (it, json_get(names, lists[i])) {
			CLEANUP(mem_freep) char *path = str_printf("spec.names.%s[%zu]", lists[i], it.i);

			check_1035(c, path, it.val, "");
		}
		if (i == 0 && !str_empty(json_get_str(names, "kind")) &&
			str_eq(json_get_str(names, "kind"), json_get_str(names, "listKind")))
			cause_invalid(c, "spec.names.listKind", json_get(names, "listKind"),
				"kind and listKind may not be the same");
	}
}

/* ---- one version ---- */
static void check_deprecation(const struct json *v, size_t i, struct causes *c)
{
	const struct json *warning = json_get(v, "deprecationWarning");
	CLEANUP(mem_freep) char *at = str_printf("spec.versions[%zu].deprecationWarning", i);
	const char *text = json_str_or(warning, "");

	if (!json_is_str(warning))
		return;
	if (!json_bool(json_get(v, "deprecated"))) {
		cause_invalid(c, at, warning, "can only be set for deprecated versions");
		return;
	}
	if (json_str_len(warning) > WARNING_BYTES_MAX)
		cause_invalid(c, at, warning, "must be <= %d characters long", WARNING_BYTES_MAX);
	if (!*text)
		cause_invalid(c, at, warning, "must not be an empty string");
	for (size_t k = 0; text[k]; k++)
		if ((unsigned char)text[k] < ' ' || text[k] == 0x7f) {
			cause_invalid(c, at, warning,
				"must only contain printable UTF-8 characters; non-printable character found "
				"at index %zu",
				k);
			break;
		}
}

static void check_schema(const struct json *v, const char *at, bool status, struct causes *c)
{
	const struct json *schema = json_at(v, "/schema/openAPIV3Schema");
	struct schema *compiled = NULL;
	CLEANUP(causes_done) struct causes found = { 0 };
	struct err e = { 0 };

	if (!json_is_obj(schema))
		return;
	schema_check(schema, at, status, &found);
	if (found.len == 0 && schema_compile(schema, at, &compiled, &found, &e) < 0 && found.len == 0)
		cause_invalid(c, at, NULL, "%s", e.msg);
	else if (compiled)
		schema_check_rules(compiled, at, &found);
	for (size_t k = 0; k < found.len; k++)
		cause_text(c, found.items[k].reason, found.items[k].field, "%s", found.items[k].message);
	schema_free(compiled);
}

static void check_scale_path(const struct json *v, const char *at, const char *first, const char *second,
	const char *detail, struct causes *c)
{
	const char *path = json_str_or(v, "");

	if (*path != '.')
		cause_invalid(c, at, v, "must be a simple json path starting with .");
	else if (!str_starts(path, first) && !(second && str_starts(path, second)))
		cause_invalid(c, at, v, "%s", detail);
}

static void check_scale(const struct json *v, const char *at, struct causes *c)
{
	const struct json *scale = json_at(v, "/subresources/scale"),
			  *selector = json_get(scale, "labelSelectorPath");
	static const struct {
		const char *member, *below, *detail;
	} paths[] = { { "specReplicasPath", ".spec.", "should be a json path under .spec" },
		{ "statusReplicasPath", ".status.", "should be a json path under .status" } };

	if (!json_is_obj(scale))
		return;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.scale.%s", at, paths[i].member);

		if (json_str_len(json_get(scale, paths[i].member)) == 0)
			cause_required(c, path, NULL);
		else
			check_scale_path(json_get(scale, paths[i].member), path, paths[i].below, NULL,
				paths[i].detail, c);
	}
	if (json_str_len(selector) > 0) {
		CLEANUP(mem_freep) char *path = str_printf("%s.scale.labelSelectorPath", at);

		check_scale_path(selector, path, ".spec.", ".status.",
			"should be a json path under either .spec or .status", c);
	}
}

static void check_columns(const struct json *v, const char *at, struct causes *c)
{
	static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
	static const char *const formats[] = { "byte", "date", "date-time", "double", "float", "int32",
		"int64", "password", NULL };

	JSON_EACH (it, json_get(v, "additionalPrinterColumns")) {
		const struct json *type = json_get(it.val, "type"), *format = json_get(it.val, "format"),
				  *path = json_get(it.val, "jsonPath");
		CLEANUP(mem_freep) char *here = str_printf("%s[%zu].", at, it.i);
		CLEANUP(mem_freep) char *type_at = str_printf("%stype", here);

		if (json_str_len(json_get(it.val, "name")) == 0)
			missing(c, here, "name");
		if (json_str_len(type) == 0)
			cause_required(c, type_at, "must be one of boolean,date,integer,number,string");
		else if (!str_in(json_str(type), types))
			cause_invalid(c, type_at, type, "must be one of boolean,date,integer,number,string");
		if (json_str_len(format) > 0 && !str_in(json_str(format), formats))
			bad(c, here, "format", format,
				"must be one of byte,date,date-time,double,float,int32,int64,password");
		if (json_str_len(path) == 0)
			missing(c, here, "JSONPath");
		else if (*json_str(path) != '.')
			bad(c, here, "JSONPath", path, "must be a simple json path starting with .");
	}
}

/* The schema a path of members leads to; NULL, with the reason. */
static const struct json *follow(const struct json *schema, const char *path, char **ret_why)
{
	while (*path) {
		size_t n;

		if (*path == '[') {
			*ret_why = mem_strdup("array notation is not allowed");
			return NULL;
		}
		if (*path != '.') {
			n = strcspn(path, ".[");
			*ret_why = str_printf("expected [ or . but got: %.*s", (int)n, path);
			return NULL;
		}
		n = strcspn(++path, ".[");
		schema = json_getn(json_get(schema, "properties"), path, n);
		if (!json_is_obj(schema)) {
			*ret_why = mem_strdup("does not refer to a valid field");
			return NULL;
		}
		path += n;
	}
	return schema;
}

static void check_selectable(const struct json *v, const char *at, struct causes *c)
{
	static const char *const scalars[] = { "string", "boolean", "integer", NULL };
	const struct json *list = json_get(v, "selectableFields"),
			  *root = json_at(v, "/schema/openAPIV3Schema");
	size_t unique = 0;

	JSON_EACH (it, list) {
		const struct json *path = json_get(it.val, "jsonPath"), *schema;
		CLEANUP(mem_freep) char *here = str_printf("%s[%zu].jsonPath", at, it.i);
		CLEANUP(mem_freep) char *why = NULL;
		bool twice = false;

		if (json_str_len(path) == 0) {
			cause_required(c, here, NULL);
			continue;
		}
		schema = follow(root, json_str(path), &why);
		if (!schema) {
			cause_invalid(c, here, path, "is an invalid path: %s", why);
			continue;
		}
		if (str_starts(json_str(path), ".metadata"))
			cause_invalid(c, here, path, "must not point to fields in metadata");
		if (!str_in(json_str_or(json_get(schema, "type"), ""), scalars))
			cause_invalid(c, here, path,
				"must point to a field of type string, boolean or integer. Enum string "
				"fields and strings "
				"with formats are allowed.");
		for (size_t i = 0; i < it.i; i++)
			twice |= json_eq(json_get(json_item(list, i), "jsonPath"), path);
		if (twice)
			cause_duplicate(c, here, path);
		unique += !twice;
	}
	if (unique > SELECTABLE_MAX)
		cause_text(c, "FieldValueTooMany", at, "Too many: %zu: must have at most %d items", unique,
			SELECTABLE_MAX);
}

static void check_shared_and_own(
	const struct json *versions, const struct json *v, size_t i, bool above, struct causes *c)
{
	static const struct {
		const char *pointer, *above, *within;
		void (*check)(const struct json *v, const char *at, struct causes *c);
	} parts[] = {
		{ "/subresources", "subresources", "subresources", check_scale },
		{ "/additionalPrinterColumns", "additionalPrinterColumns", "additionalPrinterColumns",
			check_columns },
		{ "/selectableFields", "selectableFields", "selectableFields", check_selectable },
	};
	bool shared = is_shared(versions, "/schema");

	if (shared == above) {
		CLEANUP(mem_freep)
		char *at = place_of(shared, i, "validation.openAPIV3Schema", "schema.openAPIV3Schema");

		check_schema(v, at, json_is_obj(json_at(v, "/subresources/status")), c);
	}
	for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
		CLEANUP(mem_freep) char *at = NULL;

		shared = is_shared(versions, parts[k].pointer);
		if (shared != above)
			continue;
		at = place_of(shared, i, parts[k].above, parts[k].within);
		parts[k].check(v, at, c);
	}
}

/* ---- all versions ---- */
/* As Kubernetes shows them: in the names of its own structs. */
static void bad_versions(const struct json *versions, const char *detail, struct causes *c)
{
	CLEANUP(str_done) struct str s = { 0 };
	static const struct {
		const char *member, *shown;
	} more[] = { { "schema", "Schema" }, { "subresources", "Subresources" },
		{ "additionalPrinterColumns", "AdditionalPrinterColumns" },
		{ "selectableFields", "SelectableFields" } };

	str_addc(&s, '[');
	JSON_EACH (it, versions) {
		str_add(&s, it.i ? ",{\"Name\":" : "{\"Name\":");
		json_write_to(json_get(it.val, "name"), &s);
		str_addf(&s, ",\"Served\":%s,\"Storage\":%s,\"Deprecated\":%s,\"DeprecationWarning\":",
			json_bool(json_get(it.val, "served")) ? "true" : "false",
			json_bool(json_get(it.val, "storage")) ? "true" : "false",
			json_bool(json_get(it.val, "deprecated")) ? "true" : "false");
		json_write_to(json_get(it.val, "deprecationWarning"), &s);
		for (size_t i = 0; i < ARRAY_LEN(more); i++) {
			CLEANUP(mem_freep) char *pointer = str_printf("/%s", more[i].member);

			str_addf(&s, ",\"%s\":", more[i].shown);
			if (is_shared(versions, pointer))
				str_add(&s, "null");
			else
				json_write_to(json_get(it.val, more[i].member), &s);
		}
		str_addc(&s, '}');
	}
	str_addc(&s, ']');
	cause_text(c, "FieldValueInvalid", "spec.versions", "Invalid value: %s: %s", str_cstr(&s), detail);
}

static void check_versions(const struct json *spec, bool compile, struct causes *c)
{
	const struct json *versions = json_get(spec, "versions");
	size_t storages = 0;
	bool twice = false;

	JSON_EACH (it, versions)
		if (!json_is_obj(json_at(it.val, "/schema/openAPIV3Schema"))) {
			CLEANUP(mem_freep)
			char *at = str_printf("spec.versions[%zu].schema.openAPIV3Schema", it.i);

			cause_required(c, at, NULL);
		}
	JSON_EACH (it, versions) {
		CLEANUP(mem_freep) char *name_at = str_printf("spec.versions[%zu].name", it.i);

		storages += json_bool(json_get(it.val, "storage"));
		for (size_t i = 0; i < it.i; i++)
			twice |= json_eq(json_get(json_item(versions, i), "name"), json_get(it.val, "name"));
		check_1035(c, name_at, json_get(it.val, "name"), "");
		check_deprecation(it.val, it.i, c);
		if (compile)
			check_shared_and_own(versions, it.val, it.i, false, c);
	}
	if (twice)
		bad_versions(versions, "must contain unique version names", c);
	if (storages != 1)
		bad_versions(versions, "must have exactly one version marked as storage version", c);
	if (json_len(versions) > 0)
		check_1035(c, "spec.version", json_get(json_item(versions, 0), "name"), "");
}

/* ---- the rest ---- */
static void check_conversion(const struct json *conversion, struct causes *c)
{
	static const char *const strategies[] = { "None", "Webhook", NULL };
	static const char client_at[] = "spec.conversion.webhookClientConfig",
			  versions_at[] = "spec.conversion.conversionReviewVersions",
			  unwanted[] = "should not be set when strategy is not set to Webhook";
	const struct json *strategy = json_get(conversion, "strategy"),
			  *hook = json_get(conversion, "webhook"), *client = json_get(hook, "clientConfig"),
			  *versions = json_get(hook, "conversionReviewVersions");

	if (!str_in(json_str_or(strategy, ""), strategies))
		cause_not_supported(c, "spec.conversion.strategy", strategy, strategies);
	if (!str_eq(json_str(strategy), "Webhook")) {
		if (json_is_obj(client))
			cause_forbidden(c, client_at, "%s", unwanted);
		if (json_len(versions) > 0)
			cause_forbidden(c, versions_at, "%s", unwanted);
		return;
	}
	if (!json_is_obj(client))
		cause_required(c, client_at, "required when strategy is set to Webhook");
	else
		hook_client_check(client, client_at, c);
	hook_versions_check(versions, versions_at, NULL, c);
}

static void check_fixed(const struct json *o, const struct json *old, struct causes *c)
{
	static const struct {
		const char *pointer, *path;
		bool established; /* only then */
	} fixed[] = { { "/spec/scope", "spec.scope", true }, { "/spec/names/kind", "spec.names.kind", true },
		{ "/spec/group", "spec.group", false },
		{ "/spec/names/plural", "spec.names.plural", false } };
	bool established = cond_is(json_at(old, "/status/conditions"), "Established", "True");

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if ((established || !fixed[i].established) &&
			!json_eq(json_at(o, fixed[i].pointer), json_at(old, fixed[i].pointer)))
			cause_invalid(c, fixed[i].path, json_at(o, fixed[i].pointer), "field is immutable");
}

static void check_stored(const struct json *o, const struct json *old, struct causes *c)
{
	size_t i = 0;

	JSON_EACH (it, json_at(old, "/status/storedVersions")) {
		bool found = false;

		JSON_EACH (v, json_at(o, "/spec/versions"))
			found |= str_eq(json_get_str(v.val, "name"), json_str(it.val));
		if (!found) {
			CLEANUP(mem_freep) char *at = str_printf("status.storedVersions[%zu]", i);
			const char *name = json_str_or(it.val, "");

			cause_invalid(c, at, it.val,
				"missing from spec.versions; %s was previously a storage version, and must "
				"remain in "
				"spec.versions until a storage migration ensures no data remains persisted "
				"in %s and "
				"removes %s from status.storedVersions",
				name, name, name);
		}
		i++;
	}
}

/* What the server would note of a new definition. */
static void check_storing(const struct json *versions, struct causes *c)
{
	const char *first = NULL;

	JSON_EACH (it, versions) {
		const char *name = json_str_or(json_get(it.val, "name"), "");

		if (!json_bool(json_get(it.val, "storage")))
			continue;
		if (!first)
			first = name;
		else if (!str_eq(first, name))
			cause_text(c, "FieldValueInvalid", "status.storedVersions",
				"Invalid value: [\"%s\"]: must have the storage version %s", first, name);
	}
	if (!first)
		cause_text(c, "FieldValueInvalid", "status.storedVersions",
			"Invalid value: null: must have at least one stored version");
}

enum approval { APPROVAL_MISSING, APPROVAL_BAD, APPROVAL_GIVEN, APPROVAL_BYPASSED };

static enum approval approval_of(const struct json *o)
{
	const char *said = json_str_or(json_get(json_at(o, "/metadata/annotations"), APPROVAL), ""),
		   *host = strstr(said, "://");

	if (!*said)
		return APPROVAL_MISSING;
	if (str_starts(said, "unapproved"))
		return APPROVAL_BYPASSED;
	return host && host > said && host[3] && host[3] != '/' ? APPROVAL_GIVEN : APPROVAL_BAD;
}

/* Groups of the community itself. */
static void check_approval(const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const owned[] = { "k8s.io", "kubernetes.io" };
	static const char at[] = "metadata.annotations[" APPROVAL "]";
	const char *group = json_str_or(json_at(o, "/spec/group"), "");
	enum approval now = approval_of(o);
	bool guarded = false;

	for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
		size_t n = strlen(group), m = strlen(owned[i]);

		guarded |= n >= m && str_eq(group + n - m, owned[i]) && (n == m || group[n - m - 1] == '.');
	}
	if (!guarded || (old && approval_of(old) == now))
		return;
	if (now == APPROVAL_MISSING)
		cause_required(c, at,
			"protected groups must have approval annotation \"" APPROVAL "\"" APPROVAL_SEE);
	else if (now == APPROVAL_BAD)
		cause_invalid(c, at, json_get(json_at(o, "/metadata/annotations"), APPROVAL),
			"protected groups must have approval annotation \"" APPROVAL
			"\" with either a URL or a reason starting with \"unapproved\"" APPROVAL_SEE);
}

void crd_spec_check(const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec"), *versions = json_get(spec, "versions");
	CLEANUP(mem_freep)
	char *want = str_printf("%s.%s", json_str_or(json_at(spec, "/names/plural"), ""),
		json_str_or(json_get(spec, "group"), ""));
	/* compiling schemas is what takes time: only when they changed */
	bool compile = !old || !json_eq(versions, json_at(old, "/spec/versions"));

	if (!old && !str_eq(json_at_str(o, "/metadata/name"), want))
		cause_invalid(c, "metadata.name", json_at(o, "/metadata/name"),
			"must be spec.names.plural+\".\"+spec.group");
	check_group(spec, c);
	check_scope(spec, c);
	check_versions(spec, compile, c);
	check_names(json_get(spec, "names"), c);
	if (compile && json_len(versions) > 0)
		check_shared_and_own(versions, json_item(versions, 0), 0, true, c);
	if (!old || !json_eq(json_get(spec, "conversion"), json_at(old, "/spec/conversion")))
		check_conversion(json_get(spec, "conversion"), c);
	if (old) {
		check_fixed(o, old, c);
		check_stored(o, old, c);
	} else {
		check_storing(versions, c);
	}
	check_approval(o, old, c);
	if (json_bool(json_get(spec, "preserveUnknownFields")) &&
		!json_bool(json_at(old, "/spec/preserveUnknownFields")))
		cause_invalid(c, "spec.preserveUnknownFields", json_get(spec, "preserveUnknownFields"),
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
			"spec.versions[*].schema instead");
}
