/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, linear probing, no tombstones: a removal moves what stands behind it. At most three quarters full. */
#include "store/revs.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define REVS_MIN 8 /* a power of two, as every size */

struct slot {
	char *key; /* NULL: free */
	uint64_t rev;
	uint32_t hash;
};
struct revs {
	uint32_t seed;
	struct slot *slots;
	size_t n, size;
};

/* FNV-1a from a start of its own in each process: names are chosen by users, and shall not be chosen to collide. */
static uint32_t hash_of(const struct revs *r, const char *key)
{
	uint32_t h = r->seed;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return h ^ h >> 15;
}

struct revs *revs_new(void)
{
	struct revs *r = MEM_NEW(struct revs);

	crypto_random(&r->seed, sizeof(r->seed));
	r->size = REVS_MIN;
	r->slots = mem_zalloc(r->size * sizeof(*r->slots));
	return r;
}

void revs_free(struct revs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->size; i++)
		free(r->slots[i].key);
	free(r->slots);
	free(r);
}

/* The key's slot, or the free one where it belongs. */
static size_t place(const struct revs *r, const char *key, uint32_t hash)
{
	size_t i = hash & (r->size - 1);

	while (r->slots[i].key && (r->slots[i].hash != hash || !str_eq(r->slots[i].key, key)))
		i = (i + 1) & (r->size - 1);
	return i;
}

static void resize(struct revs *r, size_t size)
{
	struct slot *old = r->slots;
	size_t n = r->size;

	r->slots = mem_zalloc(size * sizeof(*r->slots));
	r->size = size;
	for (size_t i = 0; i < n; i++)
		if (old[i].key)
			r->slots[place(r, old[i].key, old[i].hash)] = old[i];
	free(old);
}

uint64_t revs_get(const struct revs *r, const char *key)
{
	return r->slots[place(r, key, hash_of(r, key))].rev;
}

static void take_out(struct revs *r, size_t i)
{
	size_t mask = r->size - 1;

	free(r->slots[i].key);
	for (size_t j = (i + 1) & mask; r->slots[j].key; j = (j + 1) & mask) {
		size_t home = r->slots[j].hash & mask;

		/* may it stand at i? Only if its home is not behind i on the way to j */
		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		r->slots[i] = r->slots[j];
		i = j;
	}
	r->slots[i] = (struct slot){ 0 };
	r->n--;
}

void revs_set(struct revs *r, const char *key, uint64_t rev)
{
	uint32_t hash = hash_of(r, key);
	size_t i = place(r, key, hash);

	if (r->slots[i].key) {
		if (rev)
			r->slots[i].rev = rev;
		else
			take_out(r, i);
		return;
	}
	if (!rev)
		return;
	if ((r->n + 1) * 4 > r->size * 3) {
		resize(r, r->size * 2);
		i = place(r, key, hash);
	}
	r->slots[i] = (struct slot){ mem_strdup(key), rev, hash };
	r->n++;
}

size_t revs_len(const struct revs *r)
{
	return r->n;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct rev_entry *)a)->key, ((const struct rev_entry *)b)->key);
}

struct rev_entry *revs_sorted(const struct revs *r)
{
	struct rev_entry *list = mem_alloc((r->n + 1) * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < r->size; i++)
		if (r->slots[i].key)
			list[n++] = (struct rev_entry){ r->slots[i].key, r->slots[i].rev };
	qsort(list, n, sizeof(*list), by_key);
	return list;
}
