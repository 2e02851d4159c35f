/* SPDX-License-Identifier: Apache-2.0 */
/* kube/workqueue.h - the set of keys that need a look. A key is handed out once at a time; added while out, it returns after
 * wq_done(). Keys are copied. Loop thread only. Order: first due, then first added (tests rely on it). */
#pragma once

#include "base/loop.h"

struct workqueue;
/* ready() is called (from the loop, never from within wq_add) when a key can be taken, and again after each wq_done() while
 * there are more. */
struct workqueue *wq_new(struct loop *l, loop_fn *ready, void *arg);
void wq_free(struct workqueue *q); /* NULL is fine */
void wq_add(struct workqueue *q, const char *key);
void wq_add_after(struct workqueue *q, const char *key, int64_t delay_ms); /* the earlier of several wins */
bool wq_take(struct workqueue *q, const char **ret_key);                   /* borrowed until wq_done() */
void wq_done(struct workqueue *q, const char *key);
size_t wq_len(const struct workqueue *q); /* waiting, those due later included */
bool wq_due(const struct workqueue *q);   /* a key can be taken now */
