/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/gc_graph.h - who owns whom, by uid. Pure bookkeeping for gc.c. */
#pragma once

#include "api/kind.h"
#include "api/obj.h"

struct gc_owner {
	char *uid, *api_version, *kind, *name;
	bool blocking;
};
struct gc_node {
	char *uid, *key;
	const struct kind *kind; /* NULL: only referenced, never seen */
	struct gc_owner *owners;
	size_t n_owners;
	struct gc_node **dependents;
	size_t n_dependents, cap_dependents;
	bool deleting, foreground, orphan; /* finalizers of those names */
	struct gc_node *next;              /* in the hash chain */
};
struct gc_graph;
struct gc_graph *gc_graph_new(void);
void gc_graph_free(struct gc_graph *g);
struct gc_node *gc_graph_find(const struct gc_graph *g, const char *uid);
/* Takes an object's present state over. Owners unknown so far become nodes of their own. */
struct gc_node *gc_graph_put(struct gc_graph *g, const struct kind *k, const struct obj *o);
/* The object is gone: its node stays, unseen, while others refer to it. */
void gc_graph_gone(struct gc_graph *g, const char *uid);
typedef void gc_node_fn(void *arg, struct gc_node *n);
/* Every seen node of a kind. fn may call gc_graph_gone() for it. */
void gc_graph_each(struct gc_graph *g, const struct kind *k, gc_node_fn *fn, void *arg);
