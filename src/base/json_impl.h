/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_impl.h - private to base/json*.c: how a tree lies in memory.
 *
 * A `struct json` is a yyjson_mut_val. A container's uni.ptr is its LAST item (in objects: last key), whose `next` leads
 * round to the first; an object's ring goes key, value, key, value. `next` is NULL in values that are in no container,
 * which is how the setters catch a value put in twice. */
#pragma once

#include "base/json.h"
#include "base/mem.h"

#include <yyjson.h>

struct json_doc {
	yyjson_mut_doc *m;
	char *text; /* parsed documents: the strings' memory; from malloc, may be NULL */
};

static inline yyjson_mut_val *mut_of(const struct json *v)
{
	return (yyjson_mut_val *)(uintptr_t)v;
}

static inline struct json *json_of(yyjson_mut_val *v)
{
	return (struct json *)v;
}

static inline yyjson_mut_val *last_of(const yyjson_mut_val *container)
{
	return container->uni.ptr;
}

static inline size_t len_of(const yyjson_mut_val *v)
{
	return (size_t)(v->tag >> YYJSON_TAG_BIT);
}

static inline void set_len(yyjson_mut_val *v, size_t len)
{
	v->tag = (v->tag & YYJSON_TAG_MASK) | ((uint64_t)len << YYJSON_TAG_BIT);
}

static inline uint8_t type_of(const yyjson_mut_val *v)
{
	return (uint8_t)(v->tag & YYJSON_TYPE_MASK);
}

static inline uint8_t subtype_of(const yyjson_mut_val *v)
{
	return (uint8_t)(v->tag & YYJSON_SUBTYPE_MASK);
}

/* The key whose value is *ret_val and the key before it (for unlinking); NULL if absent. */
yyjson_mut_val *json_find_key(const struct json *obj, const char *key, size_t len, yyjson_mut_val **ret_prev);
/* Takes the entry after `prev` (an item, or a key with its value) out of the ring. */
void json_unlink_after(yyjson_mut_val *container, yyjson_mut_val *prev);
/* One segment of a pointer: p points behind the '/', *ret_end at the next '/' or the end. */
bool json_segment_is(const char *p, const char *end, const char *key, size_t key_len);
const char *json_segment_end(const char *p);
/* Array index without sign or leading zeros; false if it is none. */
bool json_segment_index(const char *p, const char *end, size_t *ret);
