/* SPDX-License-Identifier: Apache-2.0 */
/* Group rbac.authorization.k8s.io (kubernetes-api.md 5.2). */
#include "api/semantics.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"

FIELD_TABLE(policy_rule_fields, "io.k8s.api.rbac.v1.PolicyRule", "What may be done with what.",
	{ "verbs", F_LIST, FIELD_ATOMIC, "Verbs; * is all.", .items = F_STRING },
	ROW_STRS("apiGroups", "API groups; \"\" is core."),
	ROW_STRS("resources", "Resources, with subresources as r/sub."),
	ROW_STRS("resourceNames", "Only these objects."),
	ROW_STRS("nonResourceURLs", "Paths that are no resources."));

FIELD_TABLE(role_fields, "io.k8s.api.rbac.v1.Role", "Rights within a namespace.",
	{ "rules", F_REF_LIST, FIELD_ATOMIC | FIELD_NULLABLE, "Rules.", .ref = &policy_rule_fields });
FIELD_TABLE(clusterrole_fields, "io.k8s.api.rbac.v1.ClusterRole", "Rights everywhere.",
	{ "rules", F_REF_LIST, FIELD_ATOMIC | FIELD_NULLABLE, "Rules.", .ref = &policy_rule_fields },
	ROW_OBJ("aggregationRule", "Rules are collected from other roles."),
	ROW_REFS("aggregationRule.clusterRoleSelectors", label_selector_fields, "Which roles."));
FIELD_TABLE_ATOMIC(subject_fields, "io.k8s.api.rbac.v1.Subject", "Somebody.",
	{ "kind", F_STRING, FIELD_REQUIRED, "User, Group or ServiceAccount." },
	ROW_STR("apiGroup", "API group of that kind."), { "name", F_STRING, FIELD_REQUIRED, "Name." },
	ROW_STR("namespace", "Namespace of a service account."));
FIELD_TABLE(rolebinding_fields, "io.k8s.api.rbac.v1.RoleBinding", "Who has a role.",
	ROW_REFS("subjects", subject_fields, "Who."),
	{ "roleRef", F_OBJECT, FIELD_REQUIRED | FIELD_ATOMIC, "Which role." },
	ROW_STR("roleRef.apiGroup", "API group."), ROW_STR("roleRef.kind", "Role or ClusterRole."),
	ROW_STR("roleRef.name", "Name."));

static void rule_validate(const struct json *rule, const char *at, bool namespaced, struct causes *c)
{
	static const struct {
		const char *member, *detail;
	} needed[] = { { "apiGroups", "resource rules must supply at least one api group" },
		{ "resources", "resource rules must supply at least one resource" } };
	const struct json *paths = json_get(rule, "nonResourceURLs");
	CLEANUP(mem_freep) char *verbs_at = str_printf("%s.verbs", at);
	CLEANUP(mem_freep) char *paths_at = str_printf("%s.nonResourceURLs", at);

	if (json_len(json_get(rule, "verbs")) == 0)
		cause_required(c, verbs_at, "verbs must contain at least one value");
	if (json_len(paths) > 0) {
		if (namespaced)
			cause_invalid(
				c, paths_at, paths, "namespaced rules cannot apply to non-resource URLs");
		if (json_len(json_get(rule, "apiGroups")) > 0 || json_len(json_get(rule, "resources")) > 0 ||
			json_len(json_get(rule, "resourceNames")) > 0)
			cause_invalid(c, paths_at, paths,
				"rules cannot apply to both regular resources and non-resource URLs");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, needed[i].member);

		if (json_len(json_get(rule, needed[i].member)) == 0)
			cause_required(c, path, needed[i].detail);
	}
}

static void role_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	bool namespaced = str_eq(json_get_str(o, "kind"), "Role");
	const struct json *aggregation = json_get(o, "aggregationRule"),
			  *selectors = json_get(aggregation, "clusterRoleSelectors");

	JSON_EACH (it, json_get(o, "rules")) {
		CLEANUP(mem_freep) char *at = str_printf("rules[%zu]", it.i);

		rule_validate(it.val, at, namespaced, c);
	}
	if (json_is_obj(aggregation) && json_len(selectors) == 0)
		cause_required(c, "aggregationRule.clusterRoleSelectors",
			"at least one clusterRoleSelector required if aggregationRule is non-nil");
}

static void binding_default(struct json_doc *d, struct json *o)
{
	if (json_is_obj(json_get(o, "roleRef")))
		default_str(d, json_get(o, "roleRef"), "apiGroup", "rbac.authorization.k8s.io");
	JSON_EACH (it, json_get(o, "subjects")) {
		const char *kind = json_get_str(it.val, "kind");

		if (str_eq(kind, "User") || str_eq(kind, "Group"))
			default_str(d, it.val, "apiGroup", "rbac.authorization.k8s.io");
	}
}

static void subject_validate(const struct json *subject, const char *at, struct causes *c)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
	static const char *const rbac[] = { "rbac.authorization.k8s.io", NULL };
	static const char *const core[] = { "", NULL };
	const char *kind = json_str_or(json_get(subject, "kind"), ""), *name = json_get_str(subject, "name");
	const struct json *group = json_get(subject, "apiGroup");
	bool account = str_eq(kind, "ServiceAccount");
	CLEANUP(mem_freep) char *name_at = str_printf("%s.name", at);
	CLEANUP(mem_freep) char *kind_at = str_printf("%s.kind", at);
	CLEANUP(mem_freep) char *group_at = str_printf("%s.apiGroup", at);
	CLEANUP(mem_freep) char *ns_at = str_printf("%s.namespace", at);
	CLEANUP(mem_freep) char *error = account && !str_empty(name) ? name_subdomain_error(name) : NULL;

	if (str_empty(name))
		cause_required(c, name_at, "");
	if (error)
		cause_invalid(c, name_at, json_get(subject, "name"), "%s", error);
	if (!str_in(kind, kinds)) {
		cause_not_supported(c, kind_at, json_get(subject, "kind"), kinds);
		return;
	}
	if (account && json_str_len(group) > 0)
		cause_not_supported(c, group_at, group, core);
	if (!account && !str_eq(json_str_or(group, ""), rbac[0]))
		cause_not_supported(c, group_at, group, rbac);
	if (account && str_empty(json_get_str(subject, "namespace")))
		cause_required(c, ns_at, "");
}

static void binding_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const kinds[] = { "Role", "ClusterRole", NULL };
	static const char *const groups[] = { "rbac.authorization.k8s.io", NULL };
	const char *const *allowed =
		str_eq(json_get_str(o, "kind"), "ClusterRoleBinding") ? kinds + 1 : kinds;
	CLEANUP(json_doc_freep) struct json_doc *none = json_lit("''");
	const struct json *kind = json_at(o, "/roleRef/kind");

	if (!str_eq(json_at_str(o, "/roleRef/apiGroup"), groups[0]))
		cause_not_supported(c, "roleRef.apiGroup", json_at(o, "/roleRef/apiGroup"), groups);
	if (!str_in(json_str_or(kind, ""), allowed))
		cause_not_supported(c, "roleRef.kind", kind ? kind : json_root(none), allowed);
	if (str_empty(json_at_str(o, "/roleRef/name")))
		cause_required(c, "roleRef.name", "");
	if (old && !json_eq(json_get(o, "roleRef"), json_get(old, "roleRef")))
		cause_invalid(c, "roleRef", json_get(o, "roleRef"), "cannot change roleRef");
	JSON_EACH (it, json_get(o, "subjects")) {
		CLEANUP(mem_freep) char *at = str_printf("subjects[%zu]", it.i);

		subject_validate(it.val, at, c);
	}
}

static struct json *role_ref_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_strf(d, "%s/%s", json_str_or(json_at(o, "/roleRef/kind"), ""),
		json_str_or(json_at(o, "/roleRef/name"), ""));
}

static struct json *subjects_cell(struct json_doc *d, const struct json *o, const char *kind)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_get(o, "subjects")) {
		if (!str_eq(json_get_str(it.val, "kind"), kind))
			continue;
		str_addf(&s, "%s", s.len ? ", " : "");
		if (str_eq(kind, "ServiceAccount"))
			str_addf(&s, "%s/", json_str_or(json_get(it.val, "namespace"), ""));
		str_add(&s, json_str_or(json_get(it.val, "name"), ""));
	}
	return json_new_str(d, str_cstr(&s));
}

static struct json *users_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return subjects_cell(d, o, "User");
}

static struct json *groups_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return subjects_cell(d, o, "Group");
}

static struct json *accounts_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return subjects_cell(d, o, "ServiceAccount");
}

static const struct column binding_columns[] = {
	{ "Role", "string", NULL, "Role.", 0, NULL, role_ref_cell },
	COLUMN_AGE,
	{ "Users", "string", NULL, "Users.", 1, NULL, users_cell },
	{ "Groups", "string", NULL, "Groups.", 1, NULL, groups_cell },
	{ "ServiceAccounts", "string", NULL, "Service accounts.", 1, NULL, accounts_cell },
	{ 0 },
};

#define RBAC(k, p, s) \
	.group = "rbac.authorization.k8s.io", .version = "v1", .kind = k, .plural = p, .singular = s

const struct resource_def builtin_rbac[] = {
	{ .kind = { RBAC("Role", "roles", "role"), .namespaced = true, .fields = &role_fields },
		.rules = { .create_on_update = true },
		.columns = created_columns,
		.hooks = { .validate = role_validate } },
	{ .kind = { RBAC("ClusterRole", "clusterroles", "clusterrole"), .fields = &clusterrole_fields },
		.rules = { .create_on_update = true },
		.columns = created_columns,
		.hooks = { .validate = role_validate } },
	{ .kind = { RBAC("RoleBinding", "rolebindings", "rolebinding"), .namespaced = true,
		  .fields = &rolebinding_fields },
		.rules = { .create_on_update = true },
		.columns = binding_columns,
		.hooks = { .deflt = binding_default, .validate = binding_validate } },
	{ .kind = { RBAC("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding"),
		  .fields = &rolebinding_fields },
		.rules = { .create_on_update = true },
		.columns = binding_columns,
		.hooks = { .deflt = binding_default, .validate = binding_validate } },
	{ .kind = { 0 } },
};
