/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/discover.h"

#include "base/mem.h"

#include <stdlib.h>

/* Kinds that are views of others, or answered without being stored. */
static bool is_view(const char *group, const char *plural)
{
	return str_eq(group, "events.k8s.io") || str_eq(group, "metrics.k8s.io") ||
	       str_eq(plural, "bindings") || str_eq(plural, "componentstatuses") ||
	       str_eq(group, "subresources.kubevirt.io");
}

struct entry {
	struct kind kind;
	bool deletable, watchable;
};
struct discovered {
	struct entry *items;
	size_t len, cap;
	/* while asking */
	struct kube_client *client;
	discover_fn *fn;
	void *arg;
	bool core_done;
};

void discovered_free(struct discovered *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->len; i++) {
		struct kind *k = &d->items[i].kind;

		free((char *)k->group);
		free((char *)k->version);
		free((char *)k->kind);
		free((char *)k->plural);
	}
	free(d->items);
	free(d);
}

const struct kind *discovered_at(const struct discovered *d, size_t i)
{
	return i < d->len ? &d->items[i].kind : NULL;
}

bool discovered_deletable(const struct discovered *d, size_t i)
{
	return d->items[i].deletable;
}

bool discovered_watchable(const struct discovered *d, size_t i)
{
	return d->items[i].watchable;
}

static bool has_verb(const struct json *verbs, const char *verb)
{
	JSON_EACH (it, verbs)
		if (str_eq(json_str(it.val), verb))
			return true;
	return false;
}

static bool known(const struct discovered *d, const char *group, const char *plural)
{
	for (size_t i = 0; i < d->len; i++)
		if (str_eq(d->items[i].kind.group, group) && str_eq(d->items[i].kind.plural, plural))
			return true;
	return false;
}

static void add_resource(struct discovered *d, const char *group, const char *version, const struct json *r)
{
	const struct json *verbs = json_get(r, "verbs");
	const char *plural = json_get_str(r, "resource");
	struct entry *e;

	if (!plural || is_view(group, plural) || known(d, group, plural) || !has_verb(verbs, "list"))
		return;
	d->items = mem_grow(d->items, &d->cap, d->len + 1, sizeof(*d->items));
	e = &d->items[d->len++];
	*e = (struct entry){ .deletable = has_verb(verbs, "delete"), .watchable = has_verb(verbs, "watch") };
	e->kind.group = mem_strdup(group);
	e->kind.version = mem_strdup(version);
	e->kind.kind = mem_strdup(json_str_or(json_at(r, "/responseKind/kind"), ""));
	e->kind.plural = mem_strdup(plural);
	e->kind.singular = "";
	e->kind.namespaced = str_eq(json_get_str(r, "scope"), "Namespaced");
}

static void add_groups(struct discovered *d, const struct json *list)
{
	JSON_EACH (g, json_get(list, "items")) {
		const char *group = json_str_or(json_at(g.val, "/metadata/name"), "");

		/* the preferred version comes first and wins */
		JSON_EACH (v, json_get(g.val, "versions")) {
			if (str_eq(json_get_str(v.val, "freshness"), "Stale"))
				continue;
			JSON_EACH (r, json_get(v.val, "resources"))
				add_resource(d, group, json_str_or(json_get(v.val, "version"), "v1"), r.val);
		}
	}
}

static void ask(struct discovered *d);

static void on_answer(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct discovered *d = arg;
	CLEANUP(json_doc_freep) struct json_doc *doc = NULL;
	struct err bad = { 0 };

	if (!e && status == 200)
		doc = json_parse(body, len, &bad);
	else if (!e)
		err_set(&bad, ERR_INTERNAL, "discovery answered with status %d", status);
	if (!doc) {
		d->fn(d->arg, NULL, e ? e : &bad);
		discovered_free(d);
		return;
	}
	add_groups(d, json_root(doc));
	if (!d->core_done) {
		d->core_done = true;
		ask(d);
		return;
	}
	d->fn(d->arg, d, NULL);
}

static void ask(struct discovered *d)
{
	kube_raw_accept(d->client, "GET", d->core_done ? "/apis" : "/api",
		"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", on_answer, d);
}

void discover(struct kube_client *c, discover_fn *fn, void *arg)
{
	struct discovered *d = MEM_NEW(struct discovered);

	d->client = c;
	d->fn = fn;
	d->arg = arg;
	ask(d);
}
