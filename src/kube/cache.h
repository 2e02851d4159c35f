/* SPDX-License-Identifier: Apache-2.0 */
/* kube/cache.h - a local, watched copy of a kind (client-go's informer): list, then watch, again on 410, resuming from
 * its resourceVersion otherwise, with back-off on failure. Objects in it are shared and immutable. Loop thread only. An
 * object replaced by another of the same name is told as deleted, then added. Not to be freed from within its own
 * handlers. */
#pragma once

#include "kube/client.h"

struct cache;
struct cache_opts {
	const char *ns, *label_selector, *field_selector;
};
struct cache *cache_new(
	struct kube_client *c, const struct kind *k, const struct cache_opts *o /* or NULL */);
void cache_free(struct cache *c);
const struct kind *cache_kind(const struct cache *c);
/* Handlers run in the order added, for every change, also during the first list. old NULL: added; new NULL: deleted. */
typedef void cache_fn(void *arg, const struct obj *old, const struct obj *new);
void cache_on_change(struct cache *c, cache_fn *fn, void *arg);
void cache_on_synced(struct cache *c, loop_fn *fn, void *arg); /* once, when the first list is in */
void cache_on_moved(
	struct cache *c, loop_fn *fn, void *arg); /* each time cache_rv() has moved, also by a bookmark */
void cache_start(struct cache *c);
void cache_relist(struct cache *c); /* list again now; what is there stays meanwhile */
bool cache_synced(const struct cache *c);
uint64_t cache_rv(const struct cache *c);                      /* everything up to here has been seen */
bool cache_covers(const struct cache *c, const struct obj *o); /* o is within its namespace and selectors */

/* Borrowed until the next turn, as is its tree: a reference keeps the object, obj_json() has to be asked again. NULL: absent */
const struct obj *cache_get(const struct cache *c, const char *key);
size_t cache_len(const struct cache *c);
/* All objects in key order: for (size_t i = 0; (o = cache_at(c, i)); i++). */
const struct obj *cache_at(const struct cache *c, size_t i);

/* Indexes: emit any number of values per object; look up by value, in key order. Add before cache_start(). */
typedef void index_emit_fn(void *emit_arg, const char *value);
typedef void index_fn(const struct obj *o, index_emit_fn *emit, void *emit_arg);
int cache_add_index(struct cache *c, index_fn *fn); /* returns the index number */
size_t cache_indexes(const struct cache *c);
size_t cache_index_len(const struct cache *c, int index, const char *value);
const struct obj *cache_index_at(const struct cache *c, int index, const char *value, size_t i);
/* Ready-made index functions. */
void index_by_owner_uid(
	const struct obj *o, index_emit_fn *emit, void *emit_arg); /* every ownerReference uid */
void index_by_namespace(const struct obj *o, index_emit_fn *emit, void *emit_arg);
