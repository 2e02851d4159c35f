/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/keymap.h"

#include "base/mem.h"

#include <string.h>

void keymap_done(struct keymap *m, void (*free_val)(void *val))
{
	for (size_t i = 0; i < m->len; i++) {
		free(m->items[i].key);
		if (free_val)
			free_val(m->items[i].val);
	}
	free(m->items);
	*m = (struct keymap){ 0 };
}

size_t keymap_find(const struct keymap *m, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = m->len;

	/* Appending in order is the common way to fill a map. */
	if (hi && strcmp(m->items[hi - 1].key, key) < 0)
		lo = hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(m->items[mid].key, key);

		if (cmp == 0) {
			*ret_found = true;
			return mid;
		}
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

void *keymap_get(const struct keymap *m, const char *key)
{
	bool found;
	size_t i = keymap_find(m, key, &found);

	return found ? m->items[i].val : NULL;
}

void *keymap_put(struct keymap *m, const char *key, void *val)
{
	bool found;
	size_t i = keymap_find(m, key, &found);

	if (found) {
		void *old = m->items[i].val;

		m->items[i].val = val;
		return old;
	}
	m->items = mem_grow(m->items, &m->cap, m->len + 1, sizeof(m->items[0]));
	memmove(&m->items[i + 1], &m->items[i], (m->len - i) * sizeof(m->items[0]));
	m->items[i] = (struct keymap_entry){ .key = mem_strdup(key), .val = val };
	m->len++;
	return NULL;
}

void *keymap_take(struct keymap *m, const char *key)
{
	bool found;
	size_t i = keymap_find(m, key, &found);
	void *val;

	if (!found)
		return NULL;
	val = m->items[i].val;
	free(m->items[i].key);
	m->len--;
	memmove(&m->items[i], &m->items[i + 1], (m->len - i) * sizeof(m->items[0]));
	return val;
}
