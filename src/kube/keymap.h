/* SPDX-License-Identifier: Apache-2.0 */
/* kube/keymap.h - an ordered map from text to pointer: a sorted array. Finding is a binary search, the i-th entry is one step,
 * inserting moves the rest (lists arrive in key order, so filling is appending). Keys are copied, values belong to the
 * caller. Zero-initialise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct keymap_entry {
	char *key;
	void *val;
};
struct keymap {
	struct keymap_entry *items;
	size_t len, cap;
};
void keymap_done(struct keymap *m, void (*free_val)(void *val)); /* free_val may be NULL */
/* Where key is, or where it would go. */
size_t keymap_find(const struct keymap *m, const char *key, bool *ret_found);
void *keymap_get(const struct keymap *m, const char *key);
void *keymap_put(struct keymap *m, const char *key, void *val); /* returns the value replaced, or NULL */
void *keymap_take(struct keymap *m, const char *key);           /* removes; NULL if absent */
