/* SPDX-License-Identifier: Apache-2.0 */
/* platform/objects/watchers.h - who watches a bucket, by what of it they look at: a change is told to those whose scope its
 * key is in, and costs nothing for the others, however many they are. For bucket.c. */
#pragma once

#include "platform/objects/bucket.h"

struct watchers;
struct watchers *watchers_new(void);
void watchers_free(struct watchers *ws); /* NULL is fine. None may be left */
void watchers_add(struct watchers *ws, struct bucket_watch *w, const char *scope);
void watchers_remove(struct bucket_watch *w); /* any number of times; also while being told */
/* Those of everything first, each scope's in the order added. */
void watchers_tell(struct watchers *ws, const char *key, const struct bucket_change *c);
struct bucket_watch *watchers_any(const struct watchers *ws); /* NULL: there are none */
size_t watchers_len(const struct watchers *ws);
