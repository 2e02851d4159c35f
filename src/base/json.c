/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/json_impl.h"

#include <math.h>
#include <string.h>

#define SMALL_OBJ 32 /* json_eq(): beyond, members in another order are sorted */

/* ---- documents ---- */

struct json_doc *json_doc_new(void)
{
	struct json_doc *d = MEM_NEW(struct json_doc);

	d->m = yyjson_mut_doc_new(NULL);
	MUST(d->m);
	return d;
}

void json_doc_free(struct json_doc *d)
{
	if (!d)
		return;
	yyjson_mut_doc_free(d->m);
	free(d->text);
	free(d);
}

void json_doc_freep(struct json_doc **d)
{
	json_doc_free(*d);
	*d = NULL;
}

struct json *json_root(const struct json_doc *d)
{
	return d ? json_of(d->m->root) : NULL;
}

void json_set_root(struct json_doc *d, struct json *v)
{
	MUST(!v || v == json_root(d) || !mut_of(v)->next);
	d->m->root = mut_of(v);
}

static char *write_text(const struct json *v, yyjson_write_flag flags, size_t *ret_len)
{
	size_t len = 0;
	yyjson_write_err we;

	if (!v) {
		if (ret_len)
			*ret_len = 4;
		return mem_strdup("null");
	}
	/* what JSON can not say: strings are made valid when they enter a tree, numbers here */
	flags |= YYJSON_WRITE_INF_AND_NAN_AS_NULL;
	char *text = yyjson_mut_val_write_opts(mut_of(v), flags, NULL, &len, &we);
	MUST(text);
	if (ret_len)
		*ret_len = len;
	return text;
}

char *json_write(const struct json *v, size_t *ret_len)
{
	return write_text(v, 0, ret_len);
}

char *json_write_pretty(const struct json *v, size_t *ret_len)
{
	return write_text(v, YYJSON_WRITE_PRETTY_TWO_SPACES, ret_len);
}

void json_write_to(const struct json *v, struct str *out)
{
	size_t len;
	char *text = write_text(v, 0, &len);

	if (!out->data) {
		*out = (struct str){ .data = text, .len = len, .cap = len + 1 };
		return;
	}
	str_addn(out, text, len);
	free(text);
}

/* ---- reading scalars ---- */

static bool has_type(const struct json *v, uint8_t type)
{
	return v && type_of(mut_of(v)) == type;
}

static bool has_subtype(const struct json *v, uint8_t type, uint8_t subtype)
{
	return has_type(v, type) && subtype_of(mut_of(v)) == subtype;
}

enum json_type json_type(const struct json *v)
{
	if (!v)
		return JSON_NULL;
	switch (type_of(mut_of(v))) {
	case YYJSON_TYPE_BOOL:
		return JSON_BOOL;
	case YYJSON_TYPE_STR:
		return JSON_STR;
	case YYJSON_TYPE_ARR:
		return JSON_ARR;
	case YYJSON_TYPE_OBJ:
		return JSON_OBJ;
	case YYJSON_TYPE_NUM:
		if (subtype_of(mut_of(v)) == YYJSON_SUBTYPE_REAL)
			return JSON_REAL;
		if (subtype_of(mut_of(v)) == YYJSON_SUBTYPE_UINT && mut_of(v)->uni.u64 > INT64_MAX)
			return JSON_UINT;
		return JSON_INT;
	default:
		return JSON_NULL;
	}
}

bool json_is_null(const struct json *v)
{
	return !v || type_of(mut_of(v)) == YYJSON_TYPE_NULL;
}

bool json_is_obj(const struct json *v)
{
	return has_type(v, YYJSON_TYPE_OBJ);
}

bool json_is_arr(const struct json *v)
{
	return has_type(v, YYJSON_TYPE_ARR);
}

bool json_is_str(const struct json *v)
{
	return has_type(v, YYJSON_TYPE_STR);
}

bool json_is_bool(const struct json *v)
{
	return has_type(v, YYJSON_TYPE_BOOL);
}

bool json_is_num(const struct json *v)
{
	return has_type(v, YYJSON_TYPE_NUM);
}

static bool is_real(const struct json *v)
{
	return has_subtype(v, YYJSON_TYPE_NUM, YYJSON_SUBTYPE_REAL);
}

static bool is_uint(const struct json *v)
{
	return has_subtype(v, YYJSON_TYPE_NUM, YYJSON_SUBTYPE_UINT);
}

bool json_is_int(const struct json *v)
{
	return json_is_num(v) && !is_real(v);
}

const char *json_str(const struct json *v)
{
	return json_is_str(v) ? mut_of(v)->uni.str : NULL;
}

const char *json_str_or(const struct json *v, const char *deflt)
{
	return json_is_str(v) ? mut_of(v)->uni.str : deflt;
}

size_t json_str_len(const struct json *v)
{
	return json_is_str(v) ? len_of(mut_of(v)) : 0;
}

bool json_bool(const struct json *v)
{
	return json_bool_or(v, false);
}

bool json_bool_or(const struct json *v, bool deflt)
{
	return json_is_bool(v) ? subtype_of(mut_of(v)) == YYJSON_SUBTYPE_TRUE : deflt;
}

int64_t json_i64(const struct json *v)
{
	if (!json_is_num(v))
		return 0;
	if (is_uint(v))
		return mut_of(v)->uni.u64 > INT64_MAX ? INT64_MAX : mut_of(v)->uni.i64;
	if (!is_real(v))
		return mut_of(v)->uni.i64;
	double f = mut_of(v)->uni.f64;
	if (isnan(f))
		return 0;
	if (f >= 0x1p63)
		return INT64_MAX;
	return f <= -0x1p63 ? INT64_MIN : (int64_t)f;
}

uint64_t json_u64(const struct json *v)
{
	if (!json_is_num(v))
		return 0;
	if (is_uint(v))
		return mut_of(v)->uni.u64;
	if (!is_real(v))
		return mut_of(v)->uni.i64 < 0 ? 0 : mut_of(v)->uni.u64;
	double f = mut_of(v)->uni.f64;
	if (!(f > 0))
		return 0;
	return f >= 0x1p64 ? UINT64_MAX : (uint64_t)f;
}

double json_num(const struct json *v)
{
	if (!json_is_num(v))
		return 0;
	if (is_real(v))
		return mut_of(v)->uni.f64;
	return is_uint(v) ? (double)mut_of(v)->uni.u64 : (double)mut_of(v)->uni.i64;
}

/* ---- reading containers ---- */

size_t json_len(const struct json *v)
{
	return json_is_obj(v) || json_is_arr(v) ? len_of(mut_of(v)) : 0;
}

yyjson_mut_val *json_find_key(const struct json *obj, const char *key, size_t len, yyjson_mut_val **ret_prev)
{
	size_t n = json_is_obj(obj) ? len_of(mut_of(obj)) : 0;
	yyjson_mut_val *prev = n ? last_of(mut_of(obj)) : NULL;

	for (; n > 0; n--) {
		yyjson_mut_val *k = prev->next->next;

		if (len_of(k) == len && memcmp(k->uni.str, key, len) == 0) {
			if (ret_prev)
				*ret_prev = prev;
			return k;
		}
		prev = k;
	}
	return NULL;
}

struct json *json_get(const struct json *obj, const char *key)
{
	return json_getn(obj, key, strlen(key));
}

struct json *json_getn(const struct json *obj, const char *key, size_t len)
{
	yyjson_mut_val *k = json_find_key(obj, key, len, NULL);

	return k ? json_of(k->next) : NULL;
}

struct json *json_item(const struct json *arr, size_t i)
{
	if (!json_is_arr(arr) || i >= len_of(mut_of(arr)))
		return NULL;
	yyjson_mut_val *v = last_of(mut_of(arr));
	if (i + 1 == len_of(mut_of(arr)))
		return json_of(v);
	for (v = v->next; i > 0; i--)
		v = v->next;
	return json_of(v);
}

const char *json_segment_end(const char *p)
{
	while (*p && *p != '/')
		p++;
	return p;
}

bool json_segment_is(const char *p, const char *end, const char *key, size_t key_len)
{
	size_t i = 0;

	for (; p < end; p++, i++) {
		char c = *p;

		if (c == '~' && p + 1 < end && (p[1] == '0' || p[1] == '1'))
			c = *++p == '0' ? '~' : '/';
		if (i >= key_len || key[i] != c)
			return false;
	}
	return i == key_len;
}

bool json_segment_index(const char *p, const char *end, size_t *ret)
{
	size_t v = 0;

	if (p == end || end - p > 9 || (*p == '0' && end - p > 1))
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (size_t)(*p - '0');
	}
	*ret = v;
	return true;
}

/* Child of v by one pointer segment. */
static struct json *child_at(const struct json *v, const char *p, const char *end)
{
	size_t i;

	if (json_is_arr(v))
		return json_segment_index(p, end, &i) ? json_item(v, i) : NULL;
	if (!memchr(p, '~', (size_t)(end - p)))
		return json_getn(v, p, (size_t)(end - p));
	JSON_EACH (it, v)
		if (json_segment_is(p, end, it.key, it.key_len))
			return it.val;
	return NULL;
}

struct json *json_at(const struct json *v, const char *pointer)
{
	while (v && *pointer) {
		if (*pointer != '/')
			return NULL;
		const char *end = json_segment_end(pointer + 1);
		v = child_at(v, pointer + 1, end);
		pointer = end;
	}
	return json_of(mut_of(v));
}

const char *json_get_str(const struct json *obj, const char *key)
{
	return json_str(json_get(obj, key));
}

const char *json_at_str(const struct json *v, const char *pointer)
{
	return json_str(json_at(v, pointer));
}

struct json_iter json_iter(const struct json *v)
{
	struct json_iter it = { .container = v, .i = SIZE_MAX, .left = json_len(v) };

	it.prev = it.left ? last_of(mut_of(v)) : NULL;
	return it;
}

bool json_next(struct json_iter *it)
{
	bool in_obj = json_is_obj(it->container);
	yyjson_mut_val *at;

	if (it->left == 0) {
		it->val = NULL;
		return false;
	}
	it->left--;
	it->i++;
	if (it->at)
		it->prev = it->at;
	at = in_obj ? ((yyjson_mut_val *)it->prev)->next->next : ((yyjson_mut_val *)it->prev)->next;
	it->at = at;
	if (in_obj) {
		it->key = at->uni.str;
		it->key_len = len_of(at);
		at = at->next;
	}
	it->val = json_of(at);
	return true;
}

void json_unlink_after(yyjson_mut_val *container, yyjson_mut_val *prev)
{
	bool in_obj = type_of(container) == YYJSON_TYPE_OBJ;
	yyjson_mut_val *before = in_obj ? prev->next : prev; /* whose next is to change */
	yyjson_mut_val *at = before->next, *val = in_obj ? at->next : at;
	size_t n = len_of(container) - 1;

	set_len(container, n);
	if (n == 0) {
		container->uni.ptr = NULL;
	} else {
		before->next = val->next;
		if (last_of(container) == at)
			container->uni.ptr = prev;
	}
	val->next = NULL; /* fresh again: it may be put elsewhere */
}

void json_iter_remove(struct json_iter *it)
{
	MUST(it->at);
	json_unlink_after(mut_of(it->container), it->prev);
	it->at = NULL;
	it->val = NULL;
	it->key = NULL;
	it->i--;
}

/* ---- equality ---- */

static bool eq_real_int(double f, const struct json *n)
{
	bool negative = !is_uint(n) && mut_of(n)->uni.i64 < 0;

	/* converting n instead would round it; the casts back catch fractions */
	if (f >= 0)
		return f < 0x1p64 && !negative && (double)(uint64_t)f == f &&
		       (uint64_t)f == mut_of(n)->uni.u64;
	return f >= -0x1p63 && negative && (double)(int64_t)f == f && (int64_t)f == mut_of(n)->uni.i64;
}

static bool eq_num(const struct json *a, const struct json *b)
{
	if (is_real(a) && is_real(b))
		return mut_of(a)->uni.f64 == mut_of(b)->uni.f64;
	if (is_real(a))
		return eq_real_int(mut_of(a)->uni.f64, b);
	if (is_real(b))
		return eq_real_int(mut_of(b)->uni.f64, a);
	/* Same bits are the same number unless one is a negative and the other a huge positive. */
	if (mut_of(a)->uni.u64 != mut_of(b)->uni.u64)
		return false;
	return is_uint(a) == is_uint(b) || mut_of(a)->uni.i64 >= 0;
}

static bool eq_str(const yyjson_mut_val *a, const yyjson_mut_val *b)
{
	return len_of(a) == len_of(b) && memcmp(a->uni.str, b->uni.str, len_of(a)) == 0;
}

static int compare_keys(const void *pa, const void *pb)
{
	const yyjson_mut_val *a = *(yyjson_mut_val *const *)pa, *b = *(yyjson_mut_val *const *)pb;

	if (len_of(a) != len_of(b))
		return len_of(a) < len_of(b) ? -1 : 1;
	return memcmp(a->uni.str, b->uni.str, len_of(a));
}

static yyjson_mut_val **sorted_keys(const struct json *obj)
{
	size_t n = len_of(mut_of(obj));
	yyjson_mut_val **keys = mem_alloc(n * sizeof(*keys)), *k = last_of(mut_of(obj));

	for (size_t i = 0; i < n; i++)
		keys[i] = k = k->next->next;
	qsort(keys, n, sizeof(*keys), compare_keys);
	return keys;
}

static bool eq_big_obj(const struct json *a, const struct json *b)
{
	CLEANUP(mem_freep) yyjson_mut_val **ka = sorted_keys(a);
	CLEANUP(mem_freep) yyjson_mut_val **kb = sorted_keys(b);

	for (size_t i = 0, n = json_len(a); i < n; i++)
		if (!eq_str(ka[i], kb[i]) || !json_eq(json_of(ka[i]->next), json_of(kb[i]->next)))
			return false;
	return true;
}

static bool eq_obj(const struct json *a, const struct json *b)
{
	size_t n = json_len(a);

	if (n != json_len(b))
		return false;
	if (n == 0)
		return true;
	/* mostly both have the same order: expect b's next key, and look around only if it is another */
	yyjson_mut_val *ka = last_of(mut_of(a))->next->next, *kb = last_of(mut_of(b))->next->next;
	for (size_t i = 0; i < n; i++, ka = ka->next->next, kb = kb->next->next) {
		if (!eq_str(ka, kb)) {
			if (n > SMALL_OBJ)
				return eq_big_obj(a, b);
			kb = json_find_key(b, ka->uni.str, len_of(ka), NULL);
			if (!kb)
				return false;
		}
		if (!json_eq(json_of(ka->next), json_of(kb->next)))
			return false;
	}
	return true;
}

static bool eq_arr(const struct json *a, const struct json *b)
{
	size_t n = json_len(a);

	if (n != json_len(b))
		return false;
	yyjson_mut_val *va = last_of(mut_of(a)), *vb = last_of(mut_of(b));
	for (; n > 0; n--) {
		va = va->next;
		vb = vb->next;
		if (!json_eq(json_of(va), json_of(vb)))
			return false;
	}
	return true;
}

bool json_eq(const struct json *a, const struct json *b)
{
	if (a == b)
		return true;
	if (json_is_null(a) || json_is_null(b))
		return json_is_null(a) && json_is_null(b);
	if (type_of(mut_of(a)) != type_of(mut_of(b)))
		return false;
	switch (type_of(mut_of(a))) {
	case YYJSON_TYPE_BOOL:
		return json_bool(a) == json_bool(b);
	case YYJSON_TYPE_NUM:
		return eq_num(a, b);
	case YYJSON_TYPE_STR:
		return eq_str(mut_of(a), mut_of(b));
	case YYJSON_TYPE_ARR:
		return eq_arr(a, b);
	default:
		return eq_obj(a, b);
	}
}

static bool depth_ok(const struct json *v, int depth)
{
	if (!json_is_obj(v) && !json_is_arr(v))
		return true;
	if (depth >= JSON_DEPTH_MAX)
		return false;
	JSON_EACH (it, v)
		if (!depth_ok(it.val, depth + 1))
			return false;
	return true;
}

bool json_depth_ok(const struct json *v)
{
	return depth_ok(v, 0);
}
