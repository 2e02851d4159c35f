/* SPDX-License-Identifier: Apache-2.0 */
/* Role-based access control, evaluated on the objects in memory (kubernetes-api.md 5.2): any allow wins. */
#include "platform/auth/auth.h"

#include "api/selector.h"
#include "base/mem.h"

#include <string.h>

#define RBAC_GROUP "rbac.authorization.k8s.io/"

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* ---- rules ---- */
static bool list_has(const struct json *list, const char *s)
{
	JSON_EACH (it, list) {
		if (str_eq(json_str(it.val), "*") || str_eq(json_str(it.val), s))
			return true;
	}
	return false;
}

static bool resource_matches(const struct json *list, const char *plural, const char *sub)
{
	CLEANUP(mem_freep)
	char *full = str_empty(sub) ? mem_strdup(plural) : str_printf("%s/%s", plural, sub);

	JSON_EACH (it, list) {
		const char *r = json_str_or(it.val, "");

		if (str_eq(r, "*") || str_eq(r, full))
			return true;
		if (!str_empty(sub) && str_starts(r, "*/") && str_eq(r + 2, sub))
			return true;
	}
	return false;
}

static bool path_matches(const struct json *list, const char *path)
{
	JSON_EACH (it, list) {
		const char *u = json_str_or(it.val, "");
		size_t n = strlen(u);

		if (str_eq(u, path) || (n > 0 && u[n - 1] == '*' && strncmp(u, path, n - 1) == 0))
			return true;
	}
	return false;
}

bool rule_covers(const struct json *rule, const struct access *a)
{
	const struct json *names = json_get(rule, "resourceNames");

	if (!list_has(json_get(rule, "verbs"), a->verb))
		return false;
	if (!a->resource_request)
		return path_matches(json_get(rule, "nonResourceURLs"), a->path);
	if (!list_has(json_get(rule, "apiGroups"), or_empty(a->group)) ||
		!resource_matches(json_get(rule, "resources"), a->plural, a->sub))
		return false;
	if (json_len(names) == 0)
		return true;
	JSON_EACH (it, names) {
		if (!str_empty(a->name) && str_eq(json_str(it.val), a->name))
			return true;
	}
	return false;
}

/* ---- bindings ---- */
static bool subject_is(const struct json *subject, const struct user *u, const char *binding_ns)
{
	const char *kind = json_str_or(json_get(subject, "kind"), ""),
		   *name = json_str_or(json_get(subject, "name"), "");
	const char *ns = json_get_str(subject, "namespace");
	static const char prefix[] = "system:serviceaccount:";
	const char *rest;

	if (str_eq(kind, "User"))
		return str_eq(name, u->name);
	if (str_eq(kind, "Group"))
		return user_in(u, name);
	if (!str_eq(kind, "ServiceAccount") || !str_starts(or_empty(u->name), prefix))
		return false;
	if (str_empty(ns))
		ns = binding_ns;
	rest = u->name + strlen(prefix);
	return str_starts(rest, ns) && rest[strlen(ns)] == ':' && str_eq(rest + strlen(ns) + 1, name);
}

static bool binding_applies(const struct obj *binding, const struct user *u)
{
	JSON_EACH (it, json_get(obj_json(binding), "subjects")) {
		if (subject_is(it.val, u, obj_namespace(binding)))
			return true;
	}
	return false;
}

struct rbac_walk {
	struct auth *auth;
	const struct user *user;
	rule_fn *fn;
	void *arg;
	struct str *reason;
	bool explain; /* also what allows */
};

static bool walk_rules(struct rbac_walk *w, const struct obj *role)
{
	JSON_EACH (it, json_get(obj_json(role), "rules")) {
		if (!w->fn(w->arg, it.val))
			return false;
	}
	return true;
}

/* An aggregated role is what its selectors select, as of now; of aggregated ones among those, their rules as last put
 * together (roles.c). */
static bool walk_aggregate(struct rbac_walk *w, const struct obj *role, const struct json *selectors)
{
	const struct bucket *b = objects_bucket(w->auth->objects, RBAC_GROUP "clusterroles");
	bool more = true;

	JSON_EACH (it, selectors) {
		CLEANUP(selector_freep) struct selector *sel = NULL;
		const struct obj *o;

		if (!more || selector_from_json(it.val, &sel, NULL) < 0)
			continue;
		for (size_t i = 0; more && (o = bucket_at(b, i)); i++)
			if (!str_eq(obj_name(o), obj_name(role)) &&
				selector_matches(sel, json_at(obj_json(o), "/metadata/labels")))
				more = walk_rules(w, o);
	}
	return more;
}

/* False: fn wants no more. */
static bool walk_role(struct rbac_walk *w, const struct obj *binding)
{
	const struct json *ref = json_get(obj_json(binding), "roleRef");
	bool cluster = str_eq(json_get_str(ref, "kind"), "ClusterRole");
	const char *name = json_str_or(json_get(ref, "name"), "");
	CLEANUP(mem_freep) char *key = kind_key(cluster ? NULL : obj_namespace(binding), name);
	const struct obj *role =
		objects_get(w->auth->objects, cluster ? RBAC_GROUP "clusterroles" : RBAC_GROUP "roles", key);

	if (!role) {
		if (w->reason)
			str_addf(w->reason, "%s%s.rbac.authorization.k8s.io \"%s\" not found",
				w->reason->len ? ", " : "", cluster ? "clusterrole" : "role", name);
		return true;
	}
	if (json_at(obj_json(role), "/aggregationRule/clusterRoleSelectors"))
		return walk_aggregate(
			w, role, json_at(obj_json(role), "/aggregationRule/clusterRoleSelectors"));
	return walk_rules(w, role);
}

static void add_object(struct str *s, const char *kind, const char *name, const char *ns)
{
	str_addf(s, str_empty(ns) ? "%s \"%s\"" : "%s \"%s/%s\"", kind, name, ns);
}

/* allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "g" */
static void explain_binding(struct rbac_walk *w, const struct obj *binding)
{
	const struct json *ref = json_get(obj_json(binding), "roleRef");

	str_clear(w->reason);
	str_add(w->reason, "allowed by ");
	add_object(w->reason, str_empty(obj_namespace(binding)) ? "ClusterRoleBinding" : "RoleBinding",
		obj_name(binding), obj_namespace(binding));
	str_addf(w->reason, " of %s \"%s\" to ", json_str_or(json_get(ref, "kind"), ""),
		json_str_or(json_get(ref, "name"), ""));
	JSON_EACH (it, json_get(obj_json(binding), "subjects")) {
		const char *kind = json_str_or(json_get(it.val, "kind"), ""),
			   *ns = json_get_str(it.val, "namespace");

		if (!subject_is(it.val, w->user, obj_namespace(binding)))
			continue;
		add_object(w->reason, kind, json_str_or(json_get(it.val, "name"), ""),
			str_eq(kind, "ServiceAccount") ? ns : NULL);
		return;
	}
}

static bool walk_bindings(struct rbac_walk *w, const char *storage, const char *prefix)
{
	const struct bucket *b = objects_bucket(w->auth->objects, storage);
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix); i++)
		if (binding_applies(o, w->user) && !walk_role(w, o)) {
			if (w->explain)
				explain_binding(w, o);
			return false;
		}
	return true;
}

static void walk(struct rbac_walk *w, const char *ns)
{
	CLEANUP(mem_freep) char *prefix = NULL;

	if (!walk_bindings(w, RBAC_GROUP "clusterrolebindings", "") || str_empty(ns))
		return;
	prefix = str_printf("%s/", ns);
	walk_bindings(w, RBAC_GROUP "rolebindings", prefix);
}

void access_each_rule(struct auth *auth, const struct user *u, const char *ns, rule_fn *fn, void *arg)
{
	struct rbac_walk w = { .auth = auth, .user = u, .fn = fn, .arg = arg };

	walk(&w, ns);
}

struct verdict {
	const struct access *a;
	bool allowed;
};

static bool judge(void *arg, const struct json *rule)
{
	struct verdict *v = arg;

	v->allowed = rule_covers(rule, v->a);
	return !v->allowed;
}

static bool may(struct auth *auth, const struct access *a, struct str *reason, bool explain)
{
	struct verdict v = { .a = a };
	struct rbac_walk w = {
		.auth = auth, .user = a->user, .fn = judge, .arg = &v, .reason = reason, .explain = explain
	};

	if (user_in(a->user, GROUP_MASTERS))
		return true;
	walk(&w, a->resource_request ? a->ns : NULL);
	return v.allowed;
}

bool access_allowed(struct auth *auth, const struct access *a, struct str *reason)
{
	return may(auth, a, reason, false);
}

bool access_explain(struct auth *auth, const struct access *a, struct str *why)
{
	return may(auth, a, why, true);
}

int access_denied(const struct access *a, const char *reason, struct err *e)
{
	const char *user = or_empty(a->user->name);
	CLEANUP(str_done) struct str m = { 0 };

	if (!a->resource_request) {
		str_addf(&m, "forbidden: User \"%s\" cannot %s path \"%s\"", user, a->verb, a->path);
	} else {
		str_add(&m, a->plural);
		if (!str_empty(a->group))
			str_addf(&m, ".%s", a->group);
		if (!str_empty(a->name))
			str_addf(&m, " \"%s\"", a->name);
		str_addf(&m, " is forbidden: User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\" ",
			user, a->verb, a->plural, str_empty(a->sub) ? "" : "/", or_empty(a->sub),
			or_empty(a->group));
		if (str_empty(a->ns))
			str_add(&m, "at the cluster scope");
		else
			str_addf(&m, "in the namespace \"%s\"", a->ns);
	}
	if (!str_empty(reason))
		str_addf(&m, ": RBAC: %s", reason);
	return err_set(e, ERR_FORBIDDEN, "%s", m.data);
}
