/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody grants what he has not got (kubernetes-api.md 5.2): who writes a role needs every rule in it, who binds one needs the
 * role's rules, unless the verbs escalate and bind say otherwise. */
#include "platform/auth/auth.h"
#include "platform/auth/roles.h"
#include "platform/apiserver/write.h"

#include "base/mem.h"

#include <string.h>

struct escalation {
	struct op *op;
	const char *ns;      /* of the grant; NULL: everywhere */
	struct strv missing; /* "group\nresource\nverb": verbs of one resource are told together */
	struct strv others;  /* whole lines */
};

struct covering {
	const struct access *a;
	bool covered;
};

static bool covers(void *arg, const struct json *rule)
{
	struct covering *c = arg;

	c->covered = rule_covers(rule, c->a);
	return !c->covered;
}

static bool holds(struct escalation *x, const struct access *a)
{
	struct covering c = { .a = a };

	access_each_rule(x->op->s->auth, &x->op->user, x->ns, covers, &c);
	return c.covered;
}

/* Rules that differ in their verbs alone are one, as upstream tells them. */
static void note(struct escalation *x, const struct access *a)
{
	CLEANUP(mem_freep)
	char *full = str_printf(
		"%s%s%s", a->resource_request ? a->plural : "", a->sub ? "/" : "", a->sub ? a->sub : "");

	if (!a->resource_request)
		strv_addf(&x->others, "{NonResourceURLs:[\"%s\"], Verbs:[\"%s\"]}", a->path, a->verb);
	else if (!str_empty(a->name))
		strv_addf(&x->others,
			"{APIGroups:[\"%s\"], Resources:[\"%s\"], ResourceNames:[\"%s\"], Verbs:[\"%s\"]}",
			a->group, full, a->name, a->verb);
	else
		strv_addf(&x->missing, "%s\n%s\n%s", a->group, full, a->verb);
}

static void put_together(struct escalation *x)
{
	for (size_t i = 0; i < x->missing.len; i++) {
		CLEANUP(mem_freep) char *copy = mem_strdup(x->missing.items[i]);
		size_t head = (size_t)(strrchr(x->missing.items[i], '\n') - x->missing.items[i]);
		char *rest = copy;
		const char *group = str_next(&rest, '\n'), *resource = str_next(&rest, '\n');
		CLEANUP(str_done) struct str line = { 0 };
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first &= strncmp(x->missing.items[k], x->missing.items[i], head + 1) != 0;
		if (!first)
			continue;
		str_addf(&line, "{APIGroups:[\"%s\"], Resources:[\"%s\"], Verbs:[", group, resource);
		for (size_t k = i; k < x->missing.len; k++)
			if (strncmp(x->missing.items[k], x->missing.items[i], head + 1) == 0)
				str_addf(
					&line, "%s\"%s\"", k == i ? "" : " ", x->missing.items[k] + head + 1);
		str_add(&line, "]}");
		strv_add(&x->others, line.data);
	}
	strv_sort(&x->others);
}

static void check_one(struct escalation *x, struct access *a)
{
	if (!holds(x, a))
		note(x, a);
}

static void check_resource(
	struct escalation *x, const struct json *rule, struct access *a, const char *resource)
{
	const char *slash = strchr(resource, '/');
	CLEANUP(mem_freep)
	char *plural = mem_strndup(resource, slash ? (size_t)(slash - resource) : strlen(resource));
	const struct json *names = json_get(rule, "resourceNames");

	a->plural = plural;
	a->sub = slash ? slash + 1 : NULL;
	a->name = NULL;
	if (json_len(names) == 0) {
		check_one(x, a);
		return;
	}
	JSON_EACH (it, names) {
		a->name = json_str_or(it.val, "");
		check_one(x, a);
	}
}

/* A rule is broken up into single grants. A wildcard in it is matched by a wildcard only: "*" as a verb, group or resource is
 * compared as the text it is. */
static void check_rule(struct escalation *x, const struct json *rule)
{
	struct access a = { .user = &x->op->user, .ns = x->ns };

	JSON_EACH (v, json_get(rule, "verbs")) {
		a.verb = json_str_or(v.val, "");
		a.resource_request = false;
		JSON_EACH (u, json_get(rule, "nonResourceURLs")) {
			a.path = json_str_or(u.val, "");
			check_one(x, &a);
		}
		a.resource_request = true;
		JSON_EACH (g, json_get(rule, "apiGroups")) {
			a.group = json_str_or(g.val, "");
			JSON_EACH (r, json_get(rule, "resources"))
				check_resource(x, rule, &a, json_str_or(r.val, ""));
		}
	}
}

static bool may(struct op *op, const char *verb, const char *plural, const char *ns, const char *name)
{
	struct access a = { .user = &op->user,
		.resource_request = true,
		.verb = verb,
		.group = "rbac.authorization.k8s.io",
		.version = "v1",
		.plural = plural,
		.ns = ns,
		.name = name };

	return access_allowed(op->s->auth, &a, NULL);
}

static int refuse(struct escalation *x, const char *name)
{
	CLEANUP(mem_freep) char *gr = kind_group_resource(x->op->res->kind);
	CLEANUP(mem_freep) char *groups = strv_join(&x->op->user.groups, "\" \"");
	CLEANUP(mem_freep) char *lines = NULL;

	put_together(x);
	lines = strv_join(&x->others, "\n");
	return err_set(&x->op->err, ERR_FORBIDDEN,
		"%s \"%s\" is forbidden: user \"%s\" (groups=[\"%s\"]) is attempting to grant RBAC "
		"permissions not currently held:\n%s",
		gr, name, x->op->user.name ? x->op->user.name : "", groups, lines);
}

static int check_rules(struct op *op, const char *ns, const struct json *rules, const char *name)
{
	struct escalation x = { .op = op, .ns = ns };
	int ret = 0;

	JSON_EACH (it, rules)
		check_rule(&x, it.val);
	if (x.missing.len + x.others.len > 0)
		ret = refuse(&x, name);
	strv_done(&x.missing);
	strv_done(&x.others);
	return ret;
}

static bool holds_everything(struct op *op)
{
	CLEANUP(json_doc_freep)
	struct json_doc *all =
		json_lit("[{'apiGroups':['*'],'resources':['*'],'verbs':['*']},{'nonResourceURLs':['"
			 "*'],'verbs':['*']}]");
	struct err e = op->err;
	bool holds = check_rules(op, NULL, json_root(all), "") == 0;

	op->err = e;
	return holds;
}

static int check_role(struct op *op, const char *name)
{
	const struct json *o = json_root(op->draft), *old = op->old ? obj_json(op->old) : NULL;

	if (old && json_eq(json_get(o, "rules"), json_get(old, "rules")) &&
		json_eq(json_get(o, "aggregationRule"), json_get(old, "aggregationRule")))
		return 0;
	if (may(op, "escalate", op->res->kind->plural, op->ns, name))
		return 0;
	/* it may come to mean anything */
	if (json_get(o, "aggregationRule") && !holds_everything(op))
		return err_set(&op->err, ERR_FORBIDDEN,
			"clusterroles.rbac.authorization.k8s.io \"%s\" is forbidden: must have cluster-admin "
			"privileges to use the "
			"aggregationRule",
			name);
	return check_rules(op, op->res->kind->namespaced ? op->ns : NULL, json_get(o, "rules"), name);
}

static int check_binding(struct op *op, const char *name)
{
	const struct json *o = json_root(op->draft), *old = op->old ? obj_json(op->old) : NULL,
			  *ref = json_get(o, "roleRef");
	bool cluster = str_eq(json_get_str(ref, "kind"), "ClusterRole");
	const char *role_name = json_str_or(json_get(ref, "name"), "");
	CLEANUP(mem_freep) char *key = kind_key(cluster ? NULL : op->ns, role_name);
	CLEANUP(json_doc_freep) struct json_doc *rules = json_doc_new();
	const struct obj *role;

	if (old && json_eq(json_get(o, "subjects"), json_get(old, "subjects")) &&
		json_eq(ref, json_get(old, "roleRef")))
		return 0;
	if (may(op, "bind", cluster ? "clusterroles" : "roles", op->ns, role_name))
		return 0;
	role = objects_get(op->s->objects,
		cluster ? "rbac.authorization.k8s.io/clusterroles" : "rbac.authorization.k8s.io/roles", key);
	if (!role)
		return err_set(&op->err, ERR_NOT_FOUND, "%s.rbac.authorization.k8s.io \"%s\" not found",
			cluster ? "clusterroles" : "roles", role_name);
	json_set_root(rules, json_new_arr(rules));
	role_rules(op->s->objects, role, rules, json_root(rules));
	return check_rules(op, op->res->kind->namespaced ? op->ns : NULL, json_root(rules), name);
}

int escalation_check(struct op *op)
{
	const char *plural = op->res->kind->plural;
	const char *name = json_str_or(json_at(json_root(op->draft), "/metadata/name"), "");

	if (!str_eq(op->res->kind->group, "rbac.authorization.k8s.io") || user_in(&op->user, GROUP_MASTERS))
		return 0;
	return str_ends(plural, "bindings") ? check_binding(op, name) : check_role(op, name);
}
