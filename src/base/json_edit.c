/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/json_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- strings ---- */

/* Length of the valid UTF-8 sequence at p, 0 if there is none: no overlong forms, surrogates or above U+10FFFF. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80   ? 1
		     : p[0] < 0xc2 ? 0
		     : p[0] < 0xe0 ? 2
		     : p[0] < 0xf0 ? 3
		     : p[0] < 0xf5 ? 4
				   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static bool utf8_ok(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)s + i, n - i);

		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* Bytes that are no UTF-8 (a guest's console, a file name) become U+FFFD, as in Go's encoder. */
static void utf8_repair(const char *s, size_t n, struct str *out)
{
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)s + i, n - i);

		if (len)
			str_addn(out, s + i, len);
		else
			str_add(out, "\xef\xbf\xbd");
		i += len ? len : 1;
	}
}

static yyjson_mut_val *new_val(struct json_doc *d, uint64_t tag)
{
	yyjson_mut_val *v = unsafe_yyjson_mut_val(d->m, 1);

	MUST(v);
	v->tag = tag;
	v->uni.u64 = 0;
	v->next = NULL;
	return v;
}

static yyjson_mut_val *new_str(struct json_doc *d, const char *s, size_t n)
{
	CLEANUP(str_done) struct str fixed = { 0 };

	if (!utf8_ok(s, n)) {
		utf8_repair(s, n, &fixed);
		s = fixed.data;
		n = fixed.len;
	}
	yyjson_mut_val *v = new_val(d, YYJSON_TYPE_STR);
	v->uni.str = unsafe_yyjson_mut_strncpy(d->m, s, n);
	MUST(v->uni.str);
	set_len(v, n);
	return v;
}

/* ---- building ---- */

struct json *json_new_null(struct json_doc *d)
{
	return json_of(new_val(d, YYJSON_TYPE_NULL));
}

struct json *json_new_bool(struct json_doc *d, bool b)
{
	return json_of(new_val(d, YYJSON_TYPE_BOOL | (b ? YYJSON_SUBTYPE_TRUE : YYJSON_SUBTYPE_FALSE)));
}

struct json *json_new_i64(struct json_doc *d, int64_t n)
{
	yyjson_mut_val *v = new_val(d, YYJSON_TYPE_NUM | (n < 0 ? YYJSON_SUBTYPE_SINT : YYJSON_SUBTYPE_UINT));

	v->uni.i64 = n;
	return json_of(v);
}

struct json *json_new_u64(struct json_doc *d, uint64_t n)
{
	yyjson_mut_val *v = new_val(d, YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT);

	v->uni.u64 = n;
	return json_of(v);
}

struct json *json_new_num(struct json_doc *d, double n)
{
	yyjson_mut_val *v = new_val(d, YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL);

	v->uni.f64 = n;
	return json_of(v);
}

struct json *json_new_str(struct json_doc *d, const char *s)
{
	return s ? json_new_strn(d, s, strlen(s)) : json_new_null(d);
}

struct json *json_new_strn(struct json_doc *d, const char *s, size_t n)
{
	return json_of(new_str(d, s, n));
}

__attribute__((format(printf, 2, 0))) static struct json *new_strv(
	struct json_doc *d, const char *fmt, va_list ap)
{
	CLEANUP(str_done) struct str s = { 0 };

	str_addv(&s, fmt, ap);
	return json_new_strn(d, s.data, s.len);
}

struct json *json_new_strf(struct json_doc *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct json *v = new_strv(d, fmt, ap);
	va_end(ap);
	return v;
}

struct json *json_new_obj(struct json_doc *d)
{
	return json_of(new_val(d, YYJSON_TYPE_OBJ));
}

struct json *json_new_arr(struct json_doc *d)
{
	return json_of(new_val(d, YYJSON_TYPE_ARR));
}

/* ---- linking; the ring is described in json_impl.h ---- */

static void link_item(yyjson_mut_val *arr, yyjson_mut_val *v)
{
	yyjson_mut_val *last = last_of(arr);

	v->next = last ? last->next : v;
	if (last)
		last->next = v;
	arr->uni.ptr = v;
	set_len(arr, len_of(arr) + 1);
}

static void link_member(yyjson_mut_val *obj, yyjson_mut_val *k, yyjson_mut_val *v)
{
	yyjson_mut_val *last = last_of(obj);

	k->next = v;
	v->next = last ? last->next->next : k;
	if (last)
		last->next->next = k;
	obj->uni.ptr = k;
	set_len(obj, len_of(obj) + 1);
}

/* ---- copying ---- */

struct need {
	size_t vals, bytes;
};

static void count(const yyjson_mut_val *v, struct need *n)
{
	n->vals++;
	if (type_of(v) == YYJSON_TYPE_STR)
		n->bytes += len_of(v) + 1;
	JSON_EACH (it, (const struct json *)v) {
		if (it.key) {
			n->vals++;
			n->bytes += it.key_len + 1;
		}
		count(mut_of(it.val), n);
	}
}

/* A string that is in a tree already, so surely valid. */
static yyjson_mut_val *copy_scalar(struct json_doc *d, const yyjson_mut_val *v)
{
	yyjson_mut_val *to = new_val(d, v->tag);

	to->uni = v->uni;
	if (type_of(v) == YYJSON_TYPE_STR) {
		to->uni.str = unsafe_yyjson_mut_strncpy(d->m, v->uni.str, len_of(v));
		MUST(to->uni.str);
	}
	return to;
}

static yyjson_mut_val *copy_val(struct json_doc *d, const yyjson_mut_val *v)
{
	uint8_t type = type_of(v);

	if (type != YYJSON_TYPE_OBJ && type != YYJSON_TYPE_ARR)
		return copy_scalar(d, v);
	yyjson_mut_val *to = new_val(d, type), *at = last_of(v);
	for (size_t n = len_of(v); n > 0; n--) {
		if (type == YYJSON_TYPE_ARR) {
			at = at->next;
			link_item(to, copy_val(d, at));
		} else {
			at = at->next->next;
			yyjson_mut_val *k = copy_scalar(d, at);
			link_member(to, k, copy_val(d, at->next));
		}
	}
	return to;
}

struct json *json_copy(struct json_doc *d, const struct json *v)
{
	return v ? json_of(copy_val(d, mut_of(v))) : json_new_null(d);
}

struct json_doc *json_doc_from(const struct json *v)
{
	struct json_doc *d = json_doc_new();
	struct need n = { 0 };

	if (v) {
		/* one chunk of each kind, of the right size: these trees live long */
		count(mut_of(v), &n);
		MUST(yyjson_mut_doc_set_val_pool_size(d->m, n.vals));
		if (n.bytes)
			MUST(yyjson_mut_doc_set_str_pool_size(d->m, n.bytes));
	}
	d->m->root = mut_of(json_copy(d, v));
	MUST(yyjson_mut_doc_set_val_pool_size(d->m, 16));
	MUST(yyjson_mut_doc_set_str_pool_size(d->m, 256));
	return d;
}

/* ---- changing objects ---- */

static void set_member(struct json_doc *d, struct json *obj, const char *key, size_t len, struct json *v)
{
	MUST(json_is_obj(obj) && v);
	yyjson_mut_val *k = json_find_key(obj, key, len, NULL), *m = mut_of(v);

	if (k && k->next == m)
		return;
	MUST(!m->next); /* in a container already */
	if (!k) {
		link_member(mut_of(obj), new_str(d, key, len), m);
		return;
	}
	yyjson_mut_val *old = k->next;
	m->next = old->next;
	k->next = m;
	old->next = NULL;
}

void json_set(struct json_doc *d, struct json *obj, const char *key, struct json *v)
{
	set_member(d, obj, key, strlen(key), v);
}

void json_add(struct json_doc *d, struct json *obj, const char *key, struct json *v)
{
	MUST(json_is_obj(obj) && v && !mut_of(v)->next);
	link_member(mut_of(obj), new_str(d, key, strlen(key)), mut_of(v));
}

void json_setn(struct json_doc *d, struct json *obj, const char *key, size_t len, struct json *v)
{
	set_member(d, obj, key, len, v);
}

void json_set_str(struct json_doc *d, struct json *obj, const char *key, const char *s)
{
	if (s)
		json_set(d, obj, key, json_new_str(d, s));
	else
		json_remove(obj, key);
}

void json_set_strf(struct json_doc *d, struct json *obj, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_set(d, obj, key, new_strv(d, fmt, ap));
	va_end(ap);
}

void json_set_i64(struct json_doc *d, struct json *obj, const char *key, int64_t n)
{
	json_set(d, obj, key, json_new_i64(d, n));
}

void json_set_bool(struct json_doc *d, struct json *obj, const char *key, bool b)
{
	json_set(d, obj, key, json_new_bool(d, b));
}

void json_set_copy(struct json_doc *d, struct json *obj, const char *key, const struct json *v)
{
	json_set(d, obj, key, json_copy(d, v));
}

struct json *json_need_obj(struct json_doc *d, struct json *obj, const char *key)
{
	struct json *v = json_get(obj, key);

	if (!json_is_obj(v)) {
		v = json_new_obj(d);
		json_set(d, obj, key, v);
	}
	return v;
}

struct json *json_need_arr(struct json_doc *d, struct json *obj, const char *key)
{
	struct json *v = json_get(obj, key);

	if (!json_is_arr(v)) {
		v = json_new_arr(d);
		json_set(d, obj, key, v);
	}
	return v;
}

bool json_remove(struct json *obj, const char *key)
{
	yyjson_mut_val *prev;

	if (!json_find_key(obj, key, strlen(key), &prev))
		return false;
	json_unlink_after(mut_of(obj), prev);
	return true;
}

void json_clear(struct json *container)
{
	if (!json_is_obj(container) && !json_is_arr(container))
		return;
	set_len(mut_of(container), 0);
	mut_of(container)->uni.ptr = NULL;
}

/* ---- changing arrays ---- */

/* The item before the i-th, going round. */
static yyjson_mut_val *before_item(struct json *arr, size_t i)
{
	yyjson_mut_val *v = last_of(mut_of(arr));

	for (; i > 0; i--)
		v = v->next;
	return v;
}

void json_append(struct json_doc *d, struct json *arr, struct json *v)
{
	(void)d;
	MUST(json_is_arr(arr) && v && !mut_of(v)->next);
	link_item(mut_of(arr), mut_of(v));
}

void json_append_str(struct json_doc *d, struct json *arr, const char *s)
{
	json_append(d, arr, json_new_str(d, s));
}

void json_insert(struct json_doc *d, struct json *arr, size_t i, struct json *v)
{
	MUST(json_is_arr(arr) && v && !mut_of(v)->next && i <= json_len(arr));
	if (i == json_len(arr)) {
		json_append(d, arr, v);
		return;
	}
	yyjson_mut_val *prev = before_item(arr, i);
	mut_of(v)->next = prev->next;
	prev->next = mut_of(v);
	set_len(mut_of(arr), json_len(arr) + 1);
}

void json_replace_item(struct json_doc *d, struct json *arr, size_t i, struct json *v)
{
	(void)d;
	MUST(json_is_arr(arr) && v && i < json_len(arr));
	yyjson_mut_val *prev = before_item(arr, i), *old = prev->next, *m = mut_of(v);

	if (old == m)
		return;
	MUST(!m->next);
	m->next = old == prev ? m : old->next;
	if (old != prev)
		prev->next = m;
	if (last_of(mut_of(arr)) == old)
		mut_of(arr)->uni.ptr = m;
	old->next = NULL;
}

void json_remove_item(struct json *arr, size_t i)
{
	MUST(json_is_arr(arr) && i < json_len(arr));
	json_unlink_after(mut_of(arr), before_item(arr, i));
}

/* ---- pointers ---- */

void json_pointer_add(struct str *out, const char *segment)
{
	str_addc(out, '/');
	for (; *segment; segment++) {
		if (*segment == '~')
			str_add(out, "~0");
		else if (*segment == '/')
			str_add(out, "~1");
		else
			str_addc(out, *segment);
	}
}

/* The key a segment stands for. */
static char *segment_key(const char *p, const char *end)
{
	struct str s = { 0 };

	for (; p < end; p++) {
		if (*p == '~' && p + 1 < end && (p[1] == '0' || p[1] == '1'))
			str_addc(&s, *++p == '0' ? '~' : '/');
		else
			str_addc(&s, *p);
	}
	return str_take(&s);
}

/* Puts v at one segment below `in`. */
static void put_child(struct json_doc *d, struct json *in, const char *p, const char *end, struct json *v)
{
	size_t i = json_len(in);

	if (!json_is_arr(in)) {
		CLEANUP(mem_freep) char *key = segment_key(p, end);
		json_set(d, in, key, v);
		return;
	}
	MUST((end - p == 1 && *p == '-') || json_segment_index(p, end, &i));
	if (i < json_len(in))
		json_replace_item(d, in, i, v);
	else
		json_insert(d, in, i, v);
}

static struct json *get_child(const struct json *in, const char *p, const char *end)
{
	CLEANUP(mem_freep) char *key = NULL;
	size_t i;

	if (json_is_arr(in))
		return json_segment_index(p, end, &i) ? json_item(in, i) : NULL;
	key = segment_key(p, end);
	return json_get(in, key);
}

void json_put(struct json_doc *d, struct json *root, const char *pointer, struct json *v)
{
	MUST(json_is_obj(root) || json_is_arr(root));
	for (;;) {
		MUST(*pointer == '/');
		const char *p = pointer + 1, *end = json_segment_end(p);
		if (!*end) {
			put_child(d, root, p, end, v);
			return;
		}
		struct json *next = get_child(root, p, end);
		if (!json_is_obj(next) && !json_is_arr(next)) {
			next = json_new_obj(d);
			put_child(d, root, p, end, next);
		}
		root = next;
		pointer = end;
	}
}

void json_put_str(struct json_doc *d, struct json *root, const char *pointer, const char *s)
{
	if (s)
		json_put(d, root, pointer, json_new_str(d, s));
	else
		json_remove_at(root, pointer);
}

bool json_remove_at(struct json *root, const char *pointer)
{
	size_t i;

	while (*pointer == '/') {
		const char *p = pointer + 1, *end = json_segment_end(p);
		if (*end) {
			root = get_child(root, p, end);
			pointer = end;
			continue;
		}
		if (json_is_arr(root)) {
			if (!json_segment_index(p, end, &i) || i >= json_len(root))
				return false;
			json_remove_item(root, i);
			return true;
		}
		CLEANUP(mem_freep) char *key = segment_key(p, end);
		return json_remove(root, key);
	}
	return false;
}
