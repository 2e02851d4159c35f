/* SPDX-License-Identifier: Apache-2.0 */
/* platform/objects/objects_impl.h - between objects.c, load.c, commit.c and waits.c. */
#pragma once

#include "platform/objects/objects.h"

struct bucket *objects_bucket_of_key(
	struct objects *s, const char *store_key, const char **ret_key); /* or NULL */
struct obj *objects_from_value(const char *value, size_t len, uint64_t rev, struct err *e);
uint64_t objects_since(const struct objects *s); /* how far back the history is known */
void objects_drop_past(struct objects *s);
void objects_store_key(const struct bucket *b, const char *key, struct str *out);
void objects_forget_pending(struct objects *s); /* writes that were never answered; frees them, at the end */
void objects_wake_waits(struct objects *s);     /* a revision has been reached */
/* A write of the key is settled: one of those that wait for it goes on. */
void objects_wake_key(struct objects *s, const struct bucket *b, const char *key);
