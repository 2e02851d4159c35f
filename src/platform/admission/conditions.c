/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/conditions.h"

#include "api/semantics.h"
#include "base/mem.h"

#include <string.h>

/* ---- values ---- */

static void add_kind(struct json_doc *d, struct json *o, const char *key, const struct kind *k,
	const char *last, const char *value)
{
	struct json *g = json_need_obj(d, o, key);

	json_set_str(d, g, "group", k->group);
	json_set_str(d, g, "version", k->version);
	json_set_str(d, g, last, value);
}

/* pods/eviction carries an Eviction, /scale a Scale. */
static struct kind kind_of_body(const struct resource *res, const char *sub)
{
	const struct subresource *s = str_empty(sub) ? NULL : resource_sub(res, sub);
	struct kind k = *res->kind;

	if (s && s->kind) {
		k.kind = s->kind;
		k.group = s->group ? s->group : k.group;
		k.version = s->version ? s->version : k.version;
	}
	return k;
}

static bool is_namespace(const struct resource *res)
{
	return str_empty(res->kind->group) && str_eq(res->kind->plural, "namespaces");
}

void admission_describe(
	struct json_doc *d, struct json *o, const struct admission_in *in, const struct resource *as)
{
	struct kind sent = kind_of_body(as, in->sub), asked = kind_of_body(in->res, in->sub);
	const char *ns = is_namespace(in->res) ? in->name : in->ns; /* its own */

	add_kind(d, o, "kind", &sent, "kind", sent.kind);
	add_kind(d, o, "resource", as->kind, "resource", as->kind->plural);
	add_kind(d, o, "requestKind", &asked, "kind", asked.kind);
	add_kind(d, o, "requestResource", in->res->kind, "resource", in->res->kind->plural);
	if (!str_empty(in->sub)) {
		json_set_str(d, o, "subResource", in->sub);
		json_set_str(d, o, "requestSubResource", in->sub);
	}
	if (!str_empty(in->name))
		json_set_str(d, o, "name", in->name);
	if (!str_empty(ns))
		json_set_str(d, o, "namespace", ns);
	json_set_str(d, o, "operation", in->operation);
	user_to_json(d, json_need_obj(d, o, "userInfo"), in->user);
	json_set_bool(d, o, "dryRun", in->dry_run);
}

static struct json *request_json(struct json_doc *d, const struct admission_in *in, const struct resource *as)
{
	struct json *o = json_new_obj(d);

	admission_describe(d, o, in, as);
	json_set_copy(d, o, "options", in->options);
	if (!in->options)
		json_set(d, o, "options", json_new_obj(d));
	json_set_str(d, json_get(o, "options"), "kind", in->options_kind);
	json_set_str(d, json_get(o, "options"), "apiVersion", "meta.k8s.io/v1");
	return o;
}

/* May the user of the request, or an account, do this? */
static bool authorize(void *arg, const struct cel_access *a, struct arena *arena, const char **ret_reason)
{
	const struct request_values *v = arg;
	struct user account = { 0 };
	struct access access = { .user = v->in->user,
		.resource_request = !a->path,
		.verb = a->verb,
		.group = a->group ? a->group : "",
		.version = "*",
		.plural = a->resource,
		.sub = a->subresource,
		.ns = a->ns,
		.name = a->name,
		.path = a->path };
	CLEANUP(str_done) struct str reason = { 0 };
	bool allowed;

	if (a->account) {
		account.name = str_printf("system:serviceaccount:%s:%s", a->account_ns, a->account);
		strv_add(&account.groups, "system:serviceaccounts");
		strv_addf(&account.groups, "system:serviceaccounts:%s", a->account_ns);
		strv_add(&account.groups, GROUP_AUTHENTICATED);
		access.user = &account;
	}
	allowed = access_allowed(v->adm->auth, &access, &reason);
	*ret_reason = arena_strdup(arena, str_cstr(&reason));
	user_done(&account);
	return allowed;
}

static struct cel_value shown(struct request_values *v, const struct json *o, struct resource *as)
{
	char av[KIND_API_VERSION_MAX];
	struct json *copy;

	if (!o || as == v->in->res || !str_empty(v->in->sub))
		return cel_from_json(v->run, o);
	copy = json_copy(v->doc, o);
	json_set_str(v->doc, copy, "apiVersion", kind_api_version(as->kind, av));
	return cel_from_json(v->run, copy);
}

void request_values_init(
	struct request_values *v, struct admitter *adm, const struct admission_in *in, struct resource *as)
{
	struct cel_access resource = { .group = as->kind->group,
		.resource = as->kind->plural,
		.subresource = in->sub,
		.ns = in->ns,
		.name = in->name };
	const struct obj *ns = NULL;

	*v = (struct request_values){ .adm = adm, .in = in, .doc = json_doc_new(), .run = cel_run_new() };
	if (!str_empty(in->ns) && in->res->kind->namespaced)
		ns = objects_get(adm->objects, "namespaces", in->ns);
	cel_run_set_authorizer(v->run, authorize, v);
	v->vars[RV_OBJECT] = shown(v, in->object, as);
	v->vars[RV_OLD_OBJECT] = shown(v, in->old ? obj_json(in->old) : NULL, as);
	v->vars[RV_REQUEST] = cel_from_json(v->run, request_json(v->doc, in, as));
	v->vars[RV_AUTHORIZER] = cel_authorizer();
	v->vars[RV_REQUEST_RESOURCE] = cel_resource_check(v->run, &resource);
	v->vars[RV_PARAMS] = cel_null();
	v->vars[RV_NAMESPACE] = ns ? cel_from_json(v->run, obj_json(ns)) : cel_null();
	v->vars[RV_VARIABLES] = cel_null();
}

void request_values_done(struct request_values *v)
{
	cel_run_free(v->run);
	json_doc_free(v->doc);
}

/* ---- conditions ---- */

struct condition {
	char *name, *text;
	struct cel_program *program;
};
struct match_conditions {
	struct condition *items;
	size_t n;
};

void match_conditions_free(struct match_conditions *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->items[i].name);
		free(m->items[i].text);
		cel_program_free(m->items[i].program);
	}
	free(m->items);
	free(m);
}

int match_conditions_new(const struct json *list, unsigned with, struct match_conditions **ret, struct err *e)
{
	struct cel_env *env;
	struct match_conditions *m;
	int failed = 0;

	*ret = NULL;
	if (!json_len(list))
		return 0;
	env = request_env(with, NULL);
	m = MEM_NEW(struct match_conditions);
	m->items = mem_zalloc(json_len(list) * sizeof(*m->items));
	JSON_EACH (it, list) {
		struct condition *c = &m->items[m->n++];

		c->name = mem_strdup(json_str_or(json_get(it.val, "name"), ""));
		c->text = mem_strdup(json_str_or(json_get(it.val, "expression"), ""));
		if (!failed)
			failed = cel_compile(c->text, env, cel_type_named(env, "b"), &c->program, e);
	}
	cel_env_free(env);
	if (failed) {
		match_conditions_free(m);
		return -1;
	}
	*ret = m;
	return 0;
}

int match_conditions_ask(const struct match_conditions *m, struct request_values *v, struct err *e)
{
	bool failed = false;

	for (size_t i = 0; m && i < m->n; i++) {
		struct err why = { 0 };
		bool holds = false;

		if (cel_eval_bool(m->items[i].program, v->run, v->vars, &holds, &why) == 0) {
			if (!holds)
				return 0;
			continue;
		}
		if (!failed)
			err_set(e, ERR_INTERNAL, "expression '%.200s' resulted in error: %s",
				m->items[i].text, why.msg);
		failed = true;
	}
	return failed ? -1 : 1;
}
