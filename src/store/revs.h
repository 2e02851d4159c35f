/* SPDX-License-Identifier: Apache-2.0 */
/* store/revs.h - which revision each key is at: what a store needs to check an expected revision without reading
 * its tables. A hash table of copied keys; not for several threads at once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct revs;
struct revs *revs_new(void);
void revs_free(struct revs *r); /* NULL is fine */
/* 0: there is no such key. */
uint64_t revs_get(const struct revs *r, const char *key);
void revs_set(struct revs *r, const char *key, uint64_t rev); /* 0: the key goes */
size_t revs_len(const struct revs *r);
struct rev_entry {
	const char *key; /* of the table */
	uint64_t rev;
};
/* All of them by key, in byte order: revs_len() entries, to be freed. */
struct rev_entry *revs_sorted(const struct revs *r);
