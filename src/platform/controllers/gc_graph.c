/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/gc_graph.h"

#include "api/meta.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FINALIZER_FOREGROUND "foregroundDeletion"
#define FINALIZER_ORPHAN "orphan"

struct gc_graph {
	struct gc_node **buckets;
	size_t n_buckets, n;
};

struct gc_graph *gc_graph_new(void)
{
	struct gc_graph *g = MEM_NEW(struct gc_graph);

	g->n_buckets = 256;
	g->buckets = mem_zalloc(sizeof(*g->buckets) * g->n_buckets);
	return g;
}

static void owners_free(struct gc_node *n)
{
	for (size_t i = 0; i < n->n_owners; i++) {
		free(n->owners[i].uid);
		free(n->owners[i].api_version);
		free(n->owners[i].kind);
		free(n->owners[i].name);
	}
	free(n->owners);
	n->owners = NULL;
	n->n_owners = 0;
}

static void node_free(struct gc_node *n)
{
	owners_free(n);
	free(n->dependents);
	free(n->uid);
	free(n->key);
	free(n);
}

void gc_graph_free(struct gc_graph *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n_buckets; i++) {
		for (struct gc_node *n = g->buckets[i], *next; n; n = next) {
			next = n->next;
			node_free(n);
		}
	}
	free(g->buckets);
	free(g);
}

static size_t hash(const char *s)
{
	size_t h = 1469598103934665603u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

struct gc_node *gc_graph_find(const struct gc_graph *g, const char *uid)
{
	for (struct gc_node *n = g->buckets[hash(uid) % g->n_buckets]; n; n = n->next)
		if (str_eq(n->uid, uid))
			return n;
	return NULL;
}

static void grow(struct gc_graph *g)
{
	size_t n_buckets = g->n_buckets * 2;
	struct gc_node **buckets = mem_zalloc(sizeof(*buckets) * n_buckets);

	for (size_t i = 0; i < g->n_buckets; i++) {
		for (struct gc_node *n = g->buckets[i], *next; n; n = next) {
			size_t at = hash(n->uid) % n_buckets;

			next = n->next;
			n->next = buckets[at];
			buckets[at] = n;
		}
	}
	free(g->buckets);
	g->buckets = buckets;
	g->n_buckets = n_buckets;
}

static struct gc_node *need(struct gc_graph *g, const char *uid)
{
	struct gc_node *n = gc_graph_find(g, uid);
	size_t at;

	if (n)
		return n;
	if (++g->n > g->n_buckets)
		grow(g);
	n = MEM_NEW(struct gc_node);
	n->uid = mem_strdup(uid);
	at = hash(uid) % g->n_buckets;
	n->next = g->buckets[at];
	g->buckets[at] = n;
	return n;
}

/* Drops a node that nobody refers to and that was never seen, or is seen no more. */
static void drop_unused(struct gc_graph *g, struct gc_node *n)
{
	struct gc_node **at = &g->buckets[hash(n->uid) % g->n_buckets];

	if (n->kind || n->n_dependents)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	g->n--;
	node_free(n);
}

static void unlink_owners(struct gc_graph *g, struct gc_node *n)
{
	for (size_t i = 0; i < n->n_owners; i++) {
		struct gc_node *owner = gc_graph_find(g, n->owners[i].uid);

		if (!owner)
			continue;
		for (size_t d = 0; d < owner->n_dependents; d++)
			if (owner->dependents[d] == n)
				owner->dependents[d--] = owner->dependents[--owner->n_dependents];
		if (owner != n)
			drop_unused(g, owner);
	}
	owners_free(n);
}

static void link_owners(struct gc_graph *g, struct gc_node *n, const struct json *refs)
{
	size_t i = 0;

	n->owners = mem_zalloc(sizeof(*n->owners) * (json_len(refs) + 1));
	JSON_EACH (it, refs) {
		struct gc_owner *o = &n->owners[i++];
		struct gc_node *owner;

		o->uid = mem_strdup(json_str_or(json_get(it.val, "uid"), ""));
		o->api_version = mem_strdup(json_str_or(json_get(it.val, "apiVersion"), ""));
		o->kind = mem_strdup(json_str_or(json_get(it.val, "kind"), ""));
		o->name = mem_strdup(json_str_or(json_get(it.val, "name"), ""));
		o->blocking = json_bool(json_get(it.val, "blockOwnerDeletion"));
		owner = need(g, o->uid);
		owner->dependents = mem_grow(owner->dependents, &owner->cap_dependents,
			owner->n_dependents + 1, sizeof(*owner->dependents));
		owner->dependents[owner->n_dependents++] = n;
	}
	n->n_owners = i;
}

struct gc_node *gc_graph_put(struct gc_graph *g, const struct kind *k, const struct obj *o)
{
	struct gc_node *n = need(g, obj_uid(o));
	const struct json *tree = obj_json(o);

	n->kind = k;
	free(n->key);
	n->key = mem_strdup(obj_key(o));
	n->deleting = obj_deleting(o);
	n->foreground = meta_has_finalizer(tree, FINALIZER_FOREGROUND);
	n->orphan = meta_has_finalizer(tree, FINALIZER_ORPHAN);
	unlink_owners(g, n);
	link_owners(g, n, json_at(tree, "/metadata/ownerReferences"));
	return n;
}

void gc_graph_gone(struct gc_graph *g, const char *uid)
{
	struct gc_node *n = gc_graph_find(g, uid);

	if (!n)
		return;
	n->kind = NULL;
	n->deleting = n->foreground = n->orphan = false;
	unlink_owners(g, n);
	drop_unused(g, n);
}

void gc_graph_each(struct gc_graph *g, const struct kind *k, gc_node_fn *fn, void *arg)
{
	struct gc_node **found = NULL;
	size_t n_found = 0, cap = 0;

	for (size_t i = 0; i < g->n_buckets; i++) {
		for (struct gc_node *n = g->buckets[i]; n; n = n->next) {
			if (n->kind != k)
				continue;
			found = mem_grow(found, &cap, n_found + 1, sizeof(*found));
			found[n_found++] = n;
		}
	}
	for (size_t i = 0; i < n_found; i++)
		fn(arg, found[i]);
	free(found);
}
