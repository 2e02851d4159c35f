/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/expressions.h"

#include "api/semantics.h"
#include "base/mem.h"
#include "platform/kinds/hook_client.h"

#include <string.h>

#define CONDITIONS_MAX 64

/* ---- what may be named ---- */

static void add_fields(
	struct cel_env *env, const struct cel_type *object, const char *type, const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		cel_type_add(env, object, names[i], cel_type_named(env, type));
}

static const struct cel_type *request_type(struct cel_env *env)
{
	static const char *const texts[] = { "subResource", "requestSubResource", "name", "namespace",
		"operation", NULL };
	static const char *const kind_parts[] = { "group", "version", "kind", NULL };
	static const char *const resource_parts[] = { "group", "version", "resource", NULL };
	static const char *const user_texts[] = { "username", "uid", NULL };
	const struct cel_type *t = cel_type_object(env, "kubernetes.AdmissionRequest"),
			      *kind = cel_type_object(env, "kubernetes.GroupVersionKind"),
			      *resource = cel_type_object(env, "kubernetes.GroupVersionResource"),
			      *user = cel_type_object(env, "kubernetes.UserInfo");

	add_fields(env, kind, "s", kind_parts);
	add_fields(env, resource, "s", resource_parts);
	add_fields(env, user, "s", user_texts);
	cel_type_add(env, user, "groups", cel_type_named(env, "Ls"));
	cel_type_add(env, user, "extra", cel_type_named(env, "PsLs"));
	add_fields(env, t, "s", texts);
	cel_type_add(env, t, "kind", kind);
	cel_type_add(env, t, "requestKind", kind);
	cel_type_add(env, t, "resource", resource);
	cel_type_add(env, t, "requestResource", resource);
	cel_type_add(env, t, "userInfo", user);
	cel_type_add(env, t, "dryRun", cel_type_named(env, "b"));
	cel_type_add(env, t, "options", cel_type_named(env, "D"));
	return t;
}

static const struct cel_type *namespace_type(struct cel_env *env)
{
	static const char *const texts[] = { "name", "generateName", "namespace", "uid", "resourceVersion",
		"creationTimestamp", "deletionTimestamp", NULL };
	static const char *const numbers[] = { "generation", "deletionGracePeriodSeconds", NULL };
	const struct cel_type *t = cel_type_object(env, "kubernetes.Namespace"),
			      *meta = cel_type_object(env, "kubernetes.NamespaceMetadata"),
			      *spec = cel_type_object(env, "kubernetes.NamespaceSpec"),
			      *status = cel_type_object(env, "kubernetes.NamespaceStatus");

	add_fields(env, meta, "s", texts);
	add_fields(env, meta, "i", numbers);
	cel_type_add(env, meta, "labels", cel_type_named(env, "Pss"));
	cel_type_add(env, meta, "annotations", cel_type_named(env, "Pss"));
	cel_type_add(env, meta, "UID", cel_type_named(env, "s"));
	cel_type_add(env, spec, "finalizers", cel_type_named(env, "Ls"));
	cel_type_add(env, status, "phase", cel_type_named(env, "s"));
	cel_type_add(env, t, "metadata", meta);
	cel_type_add(env, t, "spec", spec);
	cel_type_add(env, t, "status", status);
	return t;
}

struct cel_env *request_env(unsigned with, const struct cel_type **ret_variables)
{
	struct cel_env *env = cel_env_new();
	const struct cel_type *dyn = cel_type_named(env, "D"),
			      *variables = cel_type_object(env, "kubernetes.variables");
	bool policy = with & RV_WITH_POLICY, authorizer = !(with & RV_NO_AUTHORIZER);

	/* a name no expression can say keeps the numbers as they are */
	cel_env_add(env, "object", dyn);
	cel_env_add(env, "oldObject", dyn);
	cel_env_add(env, "request", request_type(env));
	cel_env_add(env, authorizer ? "authorizer" : "", cel_type_named(env, "Z"));
	cel_env_add(env, authorizer ? "authorizer.requestResource" : "", cel_type_named(env, "R"));
	cel_env_add(env, with & RV_WITH_PARAMS ? "params" : "", dyn);
	cel_env_add(env, policy ? "namespaceObject" : "", namespace_type(env));
	cel_env_add(env, policy ? "variables" : "", variables);
	if (ret_variables)
		*ret_variables = variables;
	return env;
}

/* ---- checking ---- */

struct cel_program *expression_check(const struct json *text, const struct cel_env *env, const char *types,
	const char *at, struct causes *c)
{
	struct cel_program *p = NULL;
	struct err e = { 0 };
	bool wrong_type = false;

	if (str_empty(json_str(text)) || strspn(json_str(text), " \t\r\n") == json_str_len(text)) {
		cause_required(c, at, "expression is not specified");
		return NULL;
	}
	if (strlen(json_str(text)) != json_str_len(text)) {
		cause_invalid(c, at, text, "compilation failed: the expression contains a NUL character");
		return NULL;
	}
	for (const char *t = types; *t && !p; t++) {
		const char letter[2] = { *t, '\0' };

		if (cel_compile(json_str(text), env, cel_type_named((struct cel_env *)env, letter), &p, &e) ==
			0)
			return p;
		wrong_type = str_starts(e.msg, "must evaluate to");
		if (!wrong_type)
			break;
	}
	if (wrong_type && types[1])
		cause_invalid(c, at, text, "must evaluate to one of [string null_type]%s",
			strstr(e.msg, " but got "));
	else
		cause_invalid(c, at, text, "%s", e.msg);
	return NULL;
}

void match_conditions_check(const struct json *list, unsigned with, const char *at, struct causes *c)
{
	struct cel_env *env;

	if (!json_len(list))
		return;
	if (json_len(list) > CONDITIONS_MAX) {
		cause_text(c, "FieldValueTooMany", at, "Too many: %zu: must have at most %d items",
			json_len(list), CONDITIONS_MAX);
		return;
	}
	env = request_env(with, NULL);
	JSON_EACH (it, list) {
		CLEANUP(mem_freep) char *path = str_printf("%s[%zu].expression", at, it.i);
		CLEANUP(mem_freep) char *name_at = str_printf("%s[%zu].name", at, it.i);
		const char *name = json_get_str(it.val, "name");

		cel_program_free(expression_check(json_get(it.val, "expression"), env, "b", path, c));
		if (str_empty(name))
			cause_required(c, name_at, "");
		else if (!name_is_label_key(name))
			cause_invalid(c, name_at, json_get(it.val, "name"), HOOK_KEY_TEXT);
	}
	cel_env_free(env);
}
