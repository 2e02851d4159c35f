/* SPDX-License-Identifier: Apache-2.0 */
/* Webhook configurations and what they match (kubernetes-api.md 5.1). */
#include "platform/admission/webhook.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define GROUP "admissionregistration.k8s.io"
#define HOOK_TIMEOUT_S 10
#define HOOK_TIMEOUT_MAX_S 30

static const char *const storages[] = { GROUP "/mutatingwebhookconfigurations",
	GROUP "/validatingwebhookconfigurations" };

/* ---- configurations ---- */
void hook_unref(struct hook *h)
{
	if (!h || --h->refs > 0)
		return;
	json_doc_free(h->doc);
	selector_free(h->namespaces);
	selector_free(h->objects);
	match_conditions_free(h->conditions);
	free(h->name);
	free(h->url);
	free(h->service_ns);
	free(h->service);
	free(h->path);
	free(h->ca_pem);
	free(h);
}

static char *copy_str(const struct json *v)
{
	return json_str(v) ? mem_strdup(json_str(v)) : NULL;
}

/* As kube-apiserver calls it: "//x" is "/x" there, which a server in Go would answer with a redirection. */
static void join_slashes(char *path)
{
	char *to = path;

	for (const char *from = path; from && *from; from++)
		if (*from != '/' || from == path || from[-1] != '/')
			*to++ = *from;
	if (to)
		*to = '\0';
}

static void read_client(struct hook *h, const struct json *client)
{
	const struct json *svc = json_get(client, "service"), *ca = json_get(client, "caBundle");
	CLEANUP(str_done) struct str pem = { 0 };

	h->url = copy_str(json_get(client, "url"));
	h->service_ns = copy_str(json_get(svc, "namespace"));
	h->service = copy_str(json_get(svc, "name"));
	h->path = copy_str(json_get(svc, "path"));
	join_slashes(h->path);
	if (h->url && strstr(h->url, "://"))
		join_slashes(strstr(h->url, "://") + strlen("://"));
	h->port = json_get(svc, "port") ? (int)json_i64(json_get(svc, "port")) : 443;
	if (json_str_len(ca) > 0 && b64_decode(json_str(ca), json_str_len(ca), false, &pem, NULL) == 0)
		h->ca_pem = str_take(&pem);
}

static int selector_member(const struct json *w, const char *key, struct selector **ret, struct err *e)
{
	const struct json *v = json_get(w, key);

	return v ? selector_from_json(v, ret, e) : 0;
}

static struct hook *hook_new(const struct json *w, bool mutating, struct err *e)
{
	struct hook *h = MEM_NEW(struct hook);
	int64_t seconds = json_i64(json_get(w, "timeoutSeconds"));
	const char *effects = json_get_str(w, "sideEffects");

	h->refs = 1;
	h->doc = json_doc_from(w);
	h->name = mem_strdup(json_str_or(json_get(w, "name"), ""));
	h->mutating = mutating;
	h->ignore_failure = str_eq(json_get_str(w, "failurePolicy"), "Ignore");
	h->equivalent = !str_eq(json_get_str(w, "matchPolicy"), "Exact");
	h->reinvoke = str_eq(json_get_str(w, "reinvocationPolicy"), "IfNeeded");
	h->dry_run_ok = str_eq(effects, "None") || str_eq(effects, "NoneOnDryRun");
	h->timeout_ms = (int)(seconds > 0 && seconds <= HOOK_TIMEOUT_MAX_S ? seconds : HOOK_TIMEOUT_S) * 1000;
	read_client(h, json_get(w, "clientConfig"));
	if (selector_member(w, "namespaceSelector", &h->namespaces, e) < 0 ||
		selector_member(w, "objectSelector", &h->objects, e) < 0 ||
		match_conditions_new(json_get(w, "matchConditions"), 0, &h->conditions, e) < 0) {
		hook_unref(h);
		return NULL;
	}
	return h;
}

static void drop_hooks(struct webhooks *w)
{
	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < w->n[k]; i++)
			hook_unref(w->hooks[k][i]);
		free(w->hooks[k]);
		w->hooks[k] = NULL;
		w->n[k] = 0;
	}
}

static void read_hooks(struct webhooks *w, size_t k)
{
	const struct bucket *b = objects_bucket(w->adm->objects, storages[k]);
	const struct obj *o;
	size_t cap = 0;

	for (size_t i = 0; (o = bucket_at(b, i)); i++) {
		JSON_EACH (it, json_get(obj_json(o), "webhooks")) {
			struct err e = { 0 };
			struct hook *h = hook_new(it.val, k == 0, &e);

			if (!h) {
				log_error("apiserver: webhook configuration '%s': %s", obj_name(o), e.msg);
				continue;
			}
			w->hooks[k] = mem_grow(w->hooks[k], &cap, w->n[k] + 1, sizeof(*w->hooks[k]));
			w->hooks[k][w->n[k]++] = h;
		}
	}
}

struct hook **webhooks_list(struct admitter *adm, bool mutating, size_t *ret_n)
{
	struct webhooks *w = adm->webhooks;
	size_t k = mutating ? 0 : 1;

	*ret_n = 0;
	if (!w)
		return NULL;
	if (w->stale) {
		drop_hooks(w);
		read_hooks(w, 0);
		read_hooks(w, 1);
		w->stale = false;
	}
	*ret_n = w->n[k];
	return w->hooks[k];
}

bool webhooks_any(struct admitter *adm, bool mutating)
{
	size_t n;

	webhooks_list(adm, mutating, &n);
	return n > 0;
}

static void mutating_changed(struct bucket_watch *b, const struct bucket_change *c)
{
	(void)c;
	CONTAINER_OF(b, struct webhooks, watches[0])->stale = true;
}

static void validating_changed(struct bucket_watch *b, const struct bucket_change *c)
{
	(void)c;
	CONTAINER_OF(b, struct webhooks, watches[1])->stale = true;
}

static void never_gone(struct bucket_watch *b)
{
	(void)b;
}

struct webhooks *webhooks_new(struct admitter *adm)
{
	struct webhooks *w = MEM_NEW(struct webhooks);

	w->adm = adm;
	w->stale = true;
	for (size_t i = 0; i < 2; i++) {
		w->watches[i].change = i == 0 ? mutating_changed : validating_changed;
		w->watches[i].gone = never_gone;
		bucket_watch_add(objects_bucket(adm->objects, storages[i]), &w->watches[i], "");
	}
	return w;
}

void webhooks_free(struct webhooks *w)
{
	if (!w)
		return;
	drop_hooks(w);
	bucket_watch_remove(&w->watches[0]);
	bucket_watch_remove(&w->watches[1]);
	free(w);
}

/* ---- matching ---- */
static bool list_has(const struct json *list, const char *s)
{
	JSON_EACH (it, list) {
		if (str_eq(json_str(it.val), "*") || str_eq(json_str(it.val), s))
			return true;
	}
	return false;
}

/* "r", "r/sub", "*" (no subresources), "r/" + "*", "*" + "/sub", and all of everything. */
static bool resource_matches(const struct json *list, const char *plural, const char *sub)
{
	JSON_EACH (it, list) {
		const char *r = json_str_or(it.val, ""), *slash = strchr(r, '/');
		size_t n = slash ? (size_t)(slash - r) : strlen(r);
		bool name = (n == 1 && *r == '*') || (strlen(plural) == n && strncmp(r, plural, n) == 0);

		if (!name)
			continue;
		if (!slash && str_empty(sub))
			return true;
		/* upstream: with a subresource wildcard the resource itself matches too */
		if (slash && (str_eq(slash + 1, "*") || (!str_empty(sub) && str_eq(slash + 1, sub))))
			return true;
	}
	return false;
}

static bool rule_matches(const struct json *rule, const struct hook_subject *t, const struct resource *res)
{
	const char *scope = json_str_or(json_get(rule, "scope"), "*");

	if (!list_has(json_get(rule, "operations"), t->operation) ||
		!list_has(json_get(rule, "apiGroups"), res->kind->group) ||
		!list_has(json_get(rule, "apiVersions"), res->kind->version) ||
		!resource_matches(json_get(rule, "resources"), res->kind->plural, t->sub))
		return false;
	if (str_eq(scope, "*"))
		return true;
	return str_eq(scope, "Namespaced") == res->kind->namespaced;
}

static bool rules_match(const struct hook *h, const struct hook_subject *t, const struct resource *res)
{
	JSON_EACH (it, json_get(json_root(h->doc), "rules")) {
		if (rule_matches(it.val, t, res))
			return true;
	}
	return false;
}

static struct resource *equivalent_match(const struct hook *h, const struct hook_subject *t)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(t->adm->objects->registry, i)); i++)
		for (size_t j = 0; j < gv->n; j++)
			if (gv->items[j] != t->res && str_eq(gv->items[j]->storage, t->res->storage) &&
				rules_match(h, t, gv->items[j]))
				return gv->items[j];
	return NULL;
}

static bool namespace_matches(const struct hook *h, const struct hook_subject *t)
{
	bool is_ns = str_empty(t->res->kind->group) && str_eq(t->res->kind->plural, "namespaces");
	const struct obj *ns;

	if (!h->namespaces)
		return true;
	if (is_ns)
		return selector_matches(
			h->namespaces, json_at(t->object ? t->object : t->old, "/metadata/labels"));
	if (!t->res->kind->namespaced)
		return true;
	ns = objects_get(t->adm->objects, "namespaces", t->ns);
	return selector_matches(h->namespaces, ns ? json_at(obj_json(ns), "/metadata/labels") : NULL);
}

struct resource *hook_matches(const struct hook *h, const struct hook_subject *t)
{
	struct resource *res = rules_match(h, t, t->res) ? t->res
			       : h->equivalent           ? equivalent_match(h, t)
							 : NULL;

	if (!res || !namespace_matches(h, t))
		return NULL;
	if (h->objects &&
		!(t->object && selector_matches(h->objects, json_at(t->object, "/metadata/labels"))) &&
		!(t->old && selector_matches(h->objects, json_at(t->old, "/metadata/labels"))))
		return NULL;
	return res;
}
