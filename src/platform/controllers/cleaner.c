/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/cleaner.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/controllers/discover.h"
#include "platform/clients/kinds.h"

#include <stdlib.h>

/* One machine per round; what it waits for is the answer to the call under way. */
struct cleaner {
	struct kube_client *client;
	char *ns;
	cleaner_done_fn *fn;
	void *arg;
	struct discovered *found;
	size_t at;
	size_t left;
	struct str remaining;   /* "pods. has 2 resource instances, ..." */
	struct strv finalizers; /* of what is left, each time one is met */
};

static void cleaner_end(struct cleaner *c, const struct err *e)
{
	c->fn(c->arg, e && e->code != ERR_NONE ? e : NULL);
	discovered_free(c->found);
	str_done(&c->remaining);
	strv_done(&c->finalizers);
	free(c->ns);
	free(c);
}

static void next_resource(struct cleaner *c);

static void on_namespace_written(void *arg, const struct obj *o, const struct err *e)
{
	/* gone or changed meanwhile: the next round sees */
	cleaner_end(arg, e && e->code != ERR_NOT_FOUND && e->code != ERR_CONFLICT ? e : NULL);
}

/* "a.b/c in 2 resource instances, ..." */
static void tell_finalizers(struct cleaner *c, struct str *out)
{
	strv_sort(&c->finalizers);
	for (size_t i = 0; i < c->finalizers.len;) {
		size_t n = i;

		while (n < c->finalizers.len && str_eq(c->finalizers.items[n], c->finalizers.items[i]))
			n++;
		str_addf(out, "%s%s in %zu resource instances", i ? ", " : "", c->finalizers.items[i], n - i);
		i = n;
	}
}

/* As kube-controller-manager words them. */
static void set_conditions(struct cleaner *c, struct json_doc *d, struct json *status, int64_t now)
{
	CLEANUP(str_done) struct str content = { 0 };
	CLEANUP(str_done) struct str finalizers = { 0 };

	str_addf(&content, "Some resources are remaining: %s", str_cstr(&c->remaining));
	str_add(&finalizers, "Some content in the namespace has finalizers remaining: ");
	tell_finalizers(c, &finalizers);
	cond_set(d, status, "NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
		"All resources successfully discovered", now);
	cond_set(d, status, "NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
		"All legacy kube types successfully parsed", now);
	cond_set(d, status, "NamespaceDeletionContentFailure", "False", "ContentDeleted",
		"All content successfully deleted, may be waiting on finalization", now);
	cond_set(d, status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", content.data, now);
	if (c->finalizers.len > 0)
		cond_set(d, status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
			finalizers.data, now);
	else
		cond_set(d, status, "NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers",
			"All content-preserving finalizers finished", now);
}

static void on_namespace(void *arg, const struct obj *ns, const struct err *e)
{
	struct cleaner *c = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o, *status;
	int64_t now = loop_wall_ms(kube_client_loop(c->client));

	if (e) {
		cleaner_end(c, e->code == ERR_NOT_FOUND ? NULL : e);
		return;
	}
	d = obj_draft(ns);
	o = json_root(d);
	if (c->left == 0) {
		/* the namespace's own finalizer is ours to take; others' stay */
		struct json *list = json_at(o, "/spec/finalizers");

		for (struct json_iter it = json_iter(list); json_next(&it);)
			if (str_eq(json_str(it.val), "kubernetes"))
				json_iter_remove(&it);
		kube_update(c->client, &pk_namespace, NULL, c->ns, "finalize", o, on_namespace_written, c);
		return;
	}
	status = json_need_obj(d, o, "status");
	set_conditions(c, d, status, now);
	kube_update(c->client, &pk_namespace, NULL, c->ns, "status", o, on_namespace_written, c);
}

static void on_list(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct cleaner *c = arg;
	const struct kind *k = discovered_at(c->found, c->at);

	if (e && e->code != ERR_NOT_FOUND && e->code != ERR_METHOD_NOT_ALLOWED) {
		cleaner_end(c, e);
		return;
	}
	if (!e && n) {
		c->left += n;
		str_addf(&c->remaining, "%s%s.%s has %zu resource instances", c->remaining.len ? ", " : "",
			k->plural, k->group, n);
		for (size_t i = 0; i < n; i++)
			JSON_EACH (it, json_at(obj_json(items[i]), "/metadata/finalizers"))
				strv_add(&c->finalizers, json_str_or(it.val, ""));
	}
	c->at++;
	next_resource(c);
}

static void on_deleted(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct cleaner *c = arg;
	struct kube_list_opts opts = { .ns = c->ns };

	if (e) {
		cleaner_end(c, e);
		return;
	}
	kube_list(c->client, discovered_at(c->found, c->at), &opts, on_list, c);
}

static void next_resource(struct cleaner *c)
{
	const struct kind *k;
	CLEANUP(str_done) struct str path = { 0 };

	while ((k = discovered_at(c->found, c->at)) &&
		(!k->namespaced || !discovered_deletable(c->found, c->at)))
		c->at++;
	if (!k) {
		kube_get(c->client, &pk_namespace, NULL, c->ns, on_namespace, c);
		return;
	}
	kind_path(k, c->ns, NULL, NULL, &path);
	kube_raw(c->client, "DELETE", path.data, NULL, NULL, 0, on_deleted, c);
}

static void on_discovered(void *arg, struct discovered *found, const struct err *e)
{
	struct cleaner *c = arg;

	c->found = found;
	if (e)
		cleaner_end(c, e);
	else
		next_resource(c);
}

void cleaner_start(struct kube_client *client, const char *ns, cleaner_done_fn *fn, void *arg)
{
	struct cleaner *c = MEM_NEW(struct cleaner);

	c->client = client;
	c->ns = mem_strdup(ns);
	c->fn = fn;
	c->arg = arg;
	discover(client, on_discovered, c);
}
