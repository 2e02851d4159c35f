/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/json_impl.h"

#include <string.h>

#define SMALL_OBJ 16 /* up to here comparing all pairs of keys beats sorting them */

struct conv {
	yyjson_val *from;   /* flat array in document order */
	yyjson_mut_val *to; /* the same, value for value */
	struct strv *dups;
	struct err *e;
};

/* Where we are, for the paths of duplicates. */
struct place {
	const struct place *up;
	const yyjson_val *key; /* NULL in arrays and at the root */
	size_t index;
};

static int build(struct conv *c, yyjson_val *v, const struct place *at, int depth);

static void add_path(struct str *out, const struct place *at)
{
	if (!at->up)
		return;
	add_path(out, at->up);
	if (!at->key) {
		str_addf(out, "[%zu]", at->index);
		return;
	}
	if (out->len)
		str_addc(out, '.');
	str_add(out, at->key->uni.str);
}

static void report_dup(struct conv *c, const struct place *at, const yyjson_val *key)
{
	struct place p = { .up = at, .key = key };
	CLEANUP(str_done) struct str path = { 0 };

	if (!c->dups)
		return;
	add_path(&path, &p);
	if (!strv_has(c->dups, str_cstr(&path)))
		strv_add(c->dups, str_cstr(&path));
}

static size_t val_len(const yyjson_val *v)
{
	return (size_t)(v->tag >> YYJSON_TAG_BIT);
}

static bool same_key(const yyjson_val *a, const yyjson_val *b)
{
	size_t n = val_len(a);

	return n == val_len(b) && memcmp(a->uni.str, b->uni.str, n) == 0;
}

static int compare_keys(const void *pa, const void *pb)
{
	const yyjson_val *a = *(yyjson_val *const *)pa, *b = *(yyjson_val *const *)pb;
	size_t na = val_len(a), nb = val_len(b);

	if (na != nb)
		return na < nb ? -1 : 1;
	int r = memcmp(a->uni.str, b->uni.str, na);
	if (r)
		return r;
	return a < b ? -1 : a > b;
}

/* Makes `key` a NONE value, which link_obj() leaves out; key and string stay readable. */
static void drop(struct conv *c, const struct place *at, yyjson_val *key)
{
	report_dup(c, at, key);
	key->tag &= ~(uint64_t)YYJSON_TYPE_MASK;
}

/* Of members with the same key all but the last are dropped. Sorting large objects keeps hostile ones from costing
 * the square of their size. Returns how many are left. */
static size_t drop_dups(struct conv *c, yyjson_val *obj, const struct place *at)
{
	size_t n = val_len(obj), left = n;
	yyjson_val *small[SMALL_OBJ], **keys = small;
	CLEANUP(mem_freep) yyjson_val **big = NULL;

	if (n > SMALL_OBJ)
		keys = big = mem_alloc(n * sizeof(*big));
	yyjson_val *k = obj + 1;
	for (size_t i = 0; i < n; i++, k = unsafe_yyjson_get_next(k + 1))
		keys[i] = k;
	if (n > SMALL_OBJ) {
		qsort(keys, n, sizeof(*keys), compare_keys);
		for (size_t i = 1; i < n; i++)
			if (same_key(keys[i - 1], keys[i])) {
				drop(c, at, keys[i - 1]);
				left--;
			}
		return left;
	}
	for (size_t i = 0; i + 1 < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (same_key(keys[i], keys[j])) {
				drop(c, at, keys[i]);
				left--;
				break;
			}
	return left;
}

static int build_obj(struct conv *c, yyjson_val *v, const struct place *at, int depth)
{
	yyjson_mut_val *m = c->to + (v - c->from), *first = NULL, *tail = NULL;
	size_t n = val_len(v), left = drop_dups(c, v, at);

	m->tag = v->tag;
	set_len(m, left);
	m->uni.ptr = NULL;
	yyjson_val *k = v + 1;
	for (size_t i = 0; i < n; i++, k = unsafe_yyjson_get_next(k + 1)) {
		if ((k->tag & YYJSON_TYPE_MASK) == YYJSON_TYPE_NONE)
			continue;
		yyjson_mut_val *mk = c->to + (k - c->from);
		struct place p = { .up = at, .key = k };

		mk->tag = k->tag;
		mk->uni = k->uni;
		mk->next = mk + 1;
		if (build(c, k + 1, &p, depth))
			return -1;
		if (tail)
			tail->next = mk;
		else
			first = mk;
		tail = mk + 1;
		m->uni.ptr = mk;
	}
	if (tail)
		tail->next = first;
	return 0;
}

static int build_arr(struct conv *c, yyjson_val *v, const struct place *at, int depth)
{
	yyjson_mut_val *m = c->to + (v - c->from), *first = NULL, *tail = NULL;
	size_t n = val_len(v);

	m->tag = v->tag;
	m->uni.ptr = NULL;
	yyjson_val *item = v + 1;
	for (size_t i = 0; i < n; i++, item = unsafe_yyjson_get_next(item)) {
		struct place p = { .up = at, .index = i };
		yyjson_mut_val *mi = c->to + (item - c->from);

		if (build(c, item, &p, depth))
			return -1;
		if (tail)
			tail->next = mi;
		else
			first = mi;
		tail = mi;
	}
	if (tail)
		tail->next = first;
	m->uni.ptr = tail;
	return 0;
}

/* Recursion is bounded by JSON_DEPTH_MAX; the library's reader itself does not recurse. */
static int build(struct conv *c, yyjson_val *v, const struct place *at, int depth)
{
	yyjson_mut_val *m = c->to + (v - c->from);
	uint8_t type = (uint8_t)(v->tag & YYJSON_TYPE_MASK);

	if (type != YYJSON_TYPE_OBJ && type != YYJSON_TYPE_ARR) {
		m->tag = v->tag;
		m->uni = v->uni;
		return 0;
	}
	if (depth >= JSON_DEPTH_MAX)
		return err_set(c->e, ERR_BAD_REQUEST, "invalid JSON: nested deeper than %d", JSON_DEPTH_MAX);
	return type == YYJSON_TYPE_OBJ ? build_obj(c, v, at, depth + 1) : build_arr(c, v, at, depth + 1);
}

static int report_bad(const char *text, size_t len, const yyjson_read_err *re, struct err *e)
{
	size_t line = 1, col = 1;

	for (size_t i = 0; i < re->pos && i < len; i++, col++)
		if (text[i] == '\n') {
			line++;
			col = 0;
		}
	return err_set(e, ERR_BAD_REQUEST, "invalid JSON: %s at line %zu, column %zu (byte %zu)", re->msg,
		line, col, re->pos);
}

struct json_doc *json_parse(const char *text, size_t len, struct err *e)
{
	return json_parse_dups(text, len, NULL, e);
}

struct json_doc *json_parse_dups(const char *text, size_t len, struct strv *dups, struct err *e)
{
	yyjson_read_err re;
	struct place root = { 0 };

	if (len == 0) {
		err_set(e, ERR_BAD_REQUEST, "invalid JSON: no text");
		return NULL;
	}
	/* without YYJSON_READ_INSITU the text is not written to */
	yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text, len, YYJSON_READ_NOFLAG, NULL, &re);
	if (!doc) {
		MUST(re.code != YYJSON_READ_ERROR_MEMORY_ALLOCATION);
		report_bad(text, len, &re, e);
		return NULL;
	}
	struct json_doc *d = json_doc_new();
	MUST(yyjson_mut_doc_set_val_pool_size(d->m, doc->val_read));
	struct conv c = { .from = doc->root, .dups = dups, .e = e };
	c.to = unsafe_yyjson_mut_val(d->m, doc->val_read);
	MUST(c.to);
	int r = build(&c, doc->root, &root, 0);
	c.to->next = NULL;
	d->m->root = c.to;
	/* The reader's copy of the text holds all strings: take it instead of copying each of them. */
	d->text = doc->str_pool;
	doc->str_pool = NULL;
	yyjson_doc_free(doc);
	/* later additions need no chunk as large as this one */
	MUST(yyjson_mut_doc_set_val_pool_size(d->m, 16));
	if (r)
		json_doc_freep(&d);
	return d;
}

struct json_doc *json_lit(const char *text)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	struct err e = { 0 };

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	struct json_doc *d = json_parse(copy, strlen(copy), &e);
	if (!d)
		mem_bug(e.msg, text, 0);
	return d;
}
