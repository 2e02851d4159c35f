/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, conversions and the functions every CEL has. */
#include "api/cel_int.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))

/* ---- comparing ---- */

static struct cel_value f_eq(ARGS)
{
	return cel_bool(cel_equal(r, &a[0], &a[1]));
}

static struct cel_value f_ne(ARGS)
{
	return cel_bool(!cel_equal(r, &a[0], &a[1]));
}

static struct cel_value ordered(struct cel_run *r, const struct cel_value *a, bool lt, bool eq, bool gt)
{
	int c = cel_compare(r, &a[0], &a[1]);

	if (c == 2)
		return cel_no_overload();
	return cel_bool(c == -1 ? lt : c == 0 ? eq : c == 1 ? gt : false);
}

static struct cel_value f_lt(ARGS)
{
	return ordered(r, a, true, false, false);
}

static struct cel_value f_le(ARGS)
{
	return ordered(r, a, true, true, false);
}

static struct cel_value f_gt(ARGS)
{
	return ordered(r, a, false, false, true);
}

static struct cel_value f_ge(ARGS)
{
	return ordered(r, a, false, true, true);
}

static struct cel_value f_in(ARGS)
{
	struct cel_value v;

	if (a[1].kind == CEL_MAP)
		return cel_bool(cel_map_find(r, a[1].map, &a[0], &v));
	if (a[1].kind != CEL_LIST)
		return cel_no_overload();
	for (size_t i = 0; i < a[1].list->n; i++) {
		v = cel_list_at(r, a[1].list, i);
		if (!cel_pay(r, 1))
			return cel_over_budget();
		if (cel_equal(r, &v, &a[0]))
			return cel_bool(true);
	}
	return cel_bool(false);
}

/* ---- members by index ---- */

static bool whole_index(const struct cel_value *v, int64_t *ret)
{
	if (v->kind == CEL_UINT && v->u <= INT64_MAX)
		*ret = (int64_t)v->u;
	else if (v->kind == CEL_INT)
		*ret = v->i;
	else if (v->kind == CEL_DOUBLE && v->d == floor(v->d) && fabs(v->d) < 9e15)
		*ret = (int64_t)v->d;
	else
		return false;
	return true;
}

/* Absent: *ret_found false. */
static struct cel_value at_index(
	struct cel_run *r, const struct cel_value *of, const struct cel_value *key, bool *ret_found)
{
	struct cel_value v = cel_null();
	int64_t i;

	*ret_found = false;
	if (of->kind == CEL_MAP) {
		*ret_found = cel_map_find(r, of->map, key, &v);
		return v;
	}
	if (of->kind != CEL_LIST || !whole_index(key, &i)) {
		*ret_found = of->kind == CEL_LIST;
		return cel_fail(r, "unsupported index type '%s' in list", cel_type_name(key));
	}
	if (i < 0 || (uint64_t)i >= of->list->n)
		return v;
	*ret_found = true;
	return cel_list_at(r, of->list, (size_t)i);
}

static struct cel_value opt_index(struct cel_run *r, const struct cel_value *a)
{
	const struct cel_value *of = a[0].kind == CEL_OPTIONAL ? a[0].of : &a[0];
	struct cel_value v;
	bool found;

	if (!of)
		return a[0];
	v = at_index(r, of, &a[1], &found);
	if (!found)
		return cel_optional(r, NULL);
	return v.kind == CEL_ERROR || v.kind == CEL_OPTIONAL ? v : cel_optional(r, &v);
}

static struct cel_value f_opt_index(ARGS)
{
	return opt_index(r, a);
}

static struct cel_value f_index(ARGS)
{
	struct cel_value v;
	bool found;

	if (a[0].kind == CEL_OPTIONAL)
		return opt_index(r, a);
	v = at_index(r, &a[0], &a[1], &found);
	if (found)
		return v;
	if (a[0].kind != CEL_LIST)
		return cel_no_key(r, &a[1]);
	return cel_fail(r, "index out of bounds: %lld",
		(long long)(a[1].kind == CEL_DOUBLE ? (int64_t)a[1].d : a[1].i));
}

/* ---- arithmetic ---- */

static struct cel_value overflow(struct cel_run *r, bool is_uint)
{
	return cel_fail(r, "%s overflow", is_uint ? "unsigned integer" : "integer");
}

static struct cel_value f_not(ARGS)
{
	return a[0].kind == CEL_BOOL ? cel_bool(!a[0].b) : cel_no_overload();
}

static struct cel_value f_negate(ARGS)
{
	if (a[0].kind == CEL_DOUBLE)
		return cel_double(-a[0].d);
	if (a[0].kind != CEL_INT)
		return cel_no_overload();
	return a[0].i == INT64_MIN ? overflow(r, false) : cel_int(-a[0].i);
}

static struct cel_value join_strings(struct cel_run *r, const struct cel_value *a)
{
	size_t n = a[0].n + a[1].n;
	struct cel_value v;
	char *s;

	if (n > CEL_STRING_MAX || !cel_pay(r, 1 + n / 10))
		return cel_over_budget();
	s = arena_alloc(r->arena, n + 1);
	if (a[0].n)
		memcpy(s, a[0].s, a[0].n);
	if (a[1].n)
		memcpy(s + a[0].n, a[1].s, a[1].n);
	v = cel_strn(s, n);
	v.kind = a[0].kind;
	return v;
}

/* Is x, by the identity the list's type gives it, among the first `n` of items? Its place, else n. */
static size_t place_of(struct cel_run *r, const struct schema *s, const struct cel_value *items, size_t n,
	const struct cel_value *x)
{
	for (size_t i = 0; i < n && cel_pay(r, 1); i++) {
		bool same = s->list_type == SCHEMA_LIST_SET && cel_equal(r, &items[i], x);

		if (s->list_type == SCHEMA_LIST_MAP && items[i].kind == CEL_MAP && x->kind == CEL_MAP) {
			same = true;
			for (size_t k = 0; k < s->list_keys.len && same; k++) {
				const char *key = s->list_keys.items[k];
				struct cel_value p = cel_null(), q = cel_null();
				bool has_p = cel_map_get(r, items[i].map, key, strlen(key), &p),
				     has_q = cel_map_get(r, x->map, key, strlen(key), &q);

				same = has_p == has_q && (!has_p || cel_equal(r, &p, &q));
			}
		}
		if (same)
			return i;
	}
	return n;
}

static struct cel_value join_lists(struct cel_run *r, const struct cel_list *x, const struct cel_list *y)
{
	struct cel_value *items = cel_items(r, x->n + y->n), v;
	const struct schema *s = x->schema && x->schema->list_type != SCHEMA_LIST_ATOMIC ? x->schema : NULL;
	struct cel_list *l;
	size_t n = x->n;

	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < x->n; i++)
		items[i] = cel_list_at(r, x, i);
	for (size_t i = 0; i < y->n; i++) {
		struct cel_value item = cel_list_at(r, y, i);
		size_t at = s ? place_of(r, s, items, n, &item) : n;

		items[at] = item;
		n += at == n;
	}
	v = cel_list_of(r, items, n);
	l = arena_alloc(r->arena, sizeof(*l));
	*l = *v.list;
	l->schema = s;
	v.list = l;
	return v;
}

/* Seconds and nanos of a duration added to a time. */
static struct cel_value move_time(struct cel_run *r, const struct cel_value *t, int64_t ns, bool back)
{
	int64_t sec = ns / 1000000000, nano = ns % 1000000000;

	sec = back ? t->i - sec : t->i + sec;
	nano = back ? t->nano - nano : t->nano + nano;
	if (nano < 0) {
		nano += 1000000000;
		sec--;
	} else if (nano >= 1000000000) {
		nano -= 1000000000;
		sec++;
	}
	return cel_timestamp(r, sec, (int32_t)nano, (int32_t)(uint32_t)t->n);
}

static struct cel_value f_add(ARGS)
{
	int64_t i;
	uint64_t u;

	if (a[0].kind == CEL_TIMESTAMP && a[1].kind == CEL_DURATION)
		return move_time(r, &a[0], a[1].i, false);
	if (a[0].kind == CEL_DURATION && a[1].kind == CEL_TIMESTAMP)
		return move_time(r, &a[1], a[0].i, false);
	if (a[0].kind != a[1].kind)
		return cel_no_overload();
	switch (a[0].kind) {
	case CEL_INT:
		return __builtin_add_overflow(a[0].i, a[1].i, &i) ? overflow(r, false) : cel_int(i);
	case CEL_UINT:
		return __builtin_add_overflow(a[0].u, a[1].u, &u) ? overflow(r, true) : cel_uint(u);
	case CEL_DOUBLE:
		return cel_double(a[0].d + a[1].d);
	case CEL_DURATION:
		return __builtin_add_overflow(a[0].i, a[1].i, &i) ? overflow(r, false) : cel_duration(i);
	case CEL_STRING:
	case CEL_BYTES:
		return join_strings(r, a);
	case CEL_LIST:
		return join_lists(r, a[0].list, a[1].list);
	default:
		return cel_no_overload();
	}
}

static struct cel_value time_between(struct cel_run *r, const struct cel_value *a)
{
	__int128 ns = ((__int128)a[0].i - a[1].i) * 1000000000 + a[0].nano - a[1].nano;

	return ns > INT64_MAX || ns < INT64_MIN ? overflow(r, false) : cel_duration((int64_t)ns);
}

static struct cel_value f_sub(ARGS)
{
	int64_t i;
	uint64_t u;

	if (a[0].kind == CEL_TIMESTAMP && a[1].kind == CEL_DURATION)
		return move_time(r, &a[0], a[1].i, true);
	if (a[0].kind == CEL_TIMESTAMP && a[1].kind == CEL_TIMESTAMP)
		return time_between(r, a);
	if (a[0].kind != a[1].kind)
		return cel_no_overload();
	switch (a[0].kind) {
	case CEL_INT:
		return __builtin_sub_overflow(a[0].i, a[1].i, &i) ? overflow(r, false) : cel_int(i);
	case CEL_UINT:
		return __builtin_sub_overflow(a[0].u, a[1].u, &u) ? overflow(r, true) : cel_uint(u);
	case CEL_DOUBLE:
		return cel_double(a[0].d - a[1].d);
	case CEL_DURATION:
		return __builtin_sub_overflow(a[0].i, a[1].i, &i) ? overflow(r, false) : cel_duration(i);
	default:
		return cel_no_overload();
	}
}

static struct cel_value f_mul(ARGS)
{
	int64_t i;
	uint64_t u;

	if (a[0].kind != a[1].kind)
		return cel_no_overload();
	switch (a[0].kind) {
	case CEL_INT:
		return __builtin_mul_overflow(a[0].i, a[1].i, &i) ? overflow(r, false) : cel_int(i);
	case CEL_UINT:
		return __builtin_mul_overflow(a[0].u, a[1].u, &u) ? overflow(r, true) : cel_uint(u);
	case CEL_DOUBLE:
		return cel_double(a[0].d * a[1].d);
	default:
		return cel_no_overload();
	}
}

static struct cel_value f_div(ARGS)
{
	if (a[0].kind != a[1].kind)
		return cel_no_overload();
	switch (a[0].kind) {
	case CEL_INT:
		if (!a[1].i)
			return cel_fail(r, "division by zero");
		return a[0].i == INT64_MIN && a[1].i == -1 ? overflow(r, false) : cel_int(a[0].i / a[1].i);
	case CEL_UINT:
		return a[1].u ? cel_uint(a[0].u / a[1].u) : cel_fail(r, "division by zero");
	case CEL_DOUBLE:
		return cel_double(a[0].d / a[1].d);
	default:
		return cel_no_overload();
	}
}

static struct cel_value f_mod(ARGS)
{
	if (a[0].kind != a[1].kind)
		return cel_no_overload();
	if (a[0].kind == CEL_INT) {
		if (!a[1].i)
			return cel_fail(r, "modulus by zero");
		return a[0].i == INT64_MIN && a[1].i == -1 ? overflow(r, false) : cel_int(a[0].i % a[1].i);
	}
	if (a[0].kind == CEL_UINT)
		return a[1].u ? cel_uint(a[0].u % a[1].u) : cel_fail(r, "modulus by zero");
	return cel_no_overload();
}

/* ---- sizes and texts ---- */

static struct cel_value f_size(ARGS)
{
	switch (a[0].kind) {
	case CEL_STRING:
		(void)cel_pay(r, a[0].n / 10);
		return cel_int((int64_t)cel_chars(a[0].s, a[0].n));
	case CEL_BYTES:
		return cel_int((int64_t)a[0].n);
	case CEL_LIST:
		return cel_int((int64_t)a[0].list->n);
	case CEL_MAP:
		return cel_int((int64_t)cel_map_size(a[0].map));
	default:
		return cel_no_overload();
	}
}

static bool two_strings(struct cel_run *r, const struct cel_value *a)
{
	return a[0].kind == CEL_STRING && a[1].kind == CEL_STRING && cel_pay(r, (a[0].n + a[1].n) / 10);
}

static struct cel_value f_contains(ARGS)
{
	if (!two_strings(r, a))
		return cel_no_overload();
	return cel_bool(!a[1].n || memmem(a[0].s, a[0].n, a[1].s, a[1].n) != NULL);
}

static struct cel_value f_starts(ARGS)
{
	if (!two_strings(r, a))
		return cel_no_overload();
	return cel_bool(!a[1].n || (a[0].n >= a[1].n && memcmp(a[0].s, a[1].s, a[1].n) == 0));
}

static struct cel_value f_ends(ARGS)
{
	if (!two_strings(r, a))
		return cel_no_overload();
	return cel_bool(
		!a[1].n || (a[0].n >= a[1].n && memcmp(a[0].s + a[0].n - a[1].n, a[1].s, a[1].n) == 0));
}

/* ---- conversions ---- */

static struct cel_value int_from_double(struct cel_run *r, double d)
{
	if (isnan(d) || d <= -9223372036854775808.0 || d >= 9223372036854775807.0)
		return overflow(r, false);
	return cel_int((int64_t)d);
}

static struct cel_value bad_conversion(struct cel_run *r, const struct cel_value *v, const char *to)
{
	return cel_fail(r, "type conversion error from '%s' to '%s'", cel_type_name(v), to);
}

static struct cel_value f_int(ARGS)
{
	CLEANUP(mem_freep) char *text = NULL;
	int64_t i;

	switch (a[0].kind) {
	case CEL_INT:
		return a[0];
	case CEL_UINT:
		return a[0].u > INT64_MAX ? overflow(r, false) : cel_int((int64_t)a[0].u);
	case CEL_DOUBLE:
		return int_from_double(r, a[0].d);
	case CEL_TIMESTAMP:
		return cel_int(a[0].i);
	case CEL_STRING:
		text = mem_strndup(a[0].s, a[0].n < 64 ? a[0].n : 64);
		if (a[0].n >= 64 || strlen(text) != a[0].n ||
			!str_to_i64(
				text[0] == '+' && text[1] != '-' ? text + 1 : text, INT64_MIN, INT64_MAX, &i))
			return bad_conversion(r, &a[0], "int");
		return cel_int(i);
	default:
		return cel_no_overload();
	}
}

static struct cel_value f_uint(ARGS)
{
	CLEANUP(mem_freep) char *text = NULL;
	uint64_t u;

	switch (a[0].kind) {
	case CEL_UINT:
		return a[0];
	case CEL_INT:
		return a[0].i < 0 ? overflow(r, true) : cel_uint((uint64_t)a[0].i);
	case CEL_DOUBLE:
		if (isnan(a[0].d) || a[0].d < 0 || a[0].d >= 18446744073709551615.0)
			return overflow(r, true);
		return cel_uint((uint64_t)a[0].d);
	case CEL_STRING:
		text = mem_strndup(a[0].s, a[0].n < 64 ? a[0].n : 64);
		if (a[0].n >= 64 || strlen(text) != a[0].n || !str_to_u64(text, &u))
			return bad_conversion(r, &a[0], "uint");
		return cel_uint(u);
	default:
		return cel_no_overload();
	}
}

static bool parse_double(const struct cel_value *v, double *ret)
{
	CLEANUP(mem_freep) char *text = mem_strndup(v->s, v->n < 400 ? v->n : 400);
	char *end;

	if (!v->n || v->n >= 400 || strlen(text) != v->n || isspace((unsigned char)text[0]))
		return false;
	errno = 0;
	*ret = strtod(text, &end);
	return !*end && !(errno == ERANGE && isinf(*ret));
}

static struct cel_value f_double(ARGS)
{
	double d;

	switch (a[0].kind) {
	case CEL_DOUBLE:
		return a[0];
	case CEL_INT:
		return cel_double((double)a[0].i);
	case CEL_UINT:
		return cel_double((double)a[0].u);
	case CEL_STRING:
		return parse_double(&a[0], &d) ? cel_double(d) : bad_conversion(r, &a[0], "double");
	default:
		return cel_no_overload();
	}
}

static bool is_utf8(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		int more = c < 0x80                ? 0
			   : c >= 0xc2 && c < 0xe0 ? 1
			   : (c & 0xf0) == 0xe0    ? 2
			   : c >= 0xf0 && c < 0xf5 ? 3
						   : -1;
		uint32_t v = more > 0 ? c & (0x3fu >> more) : c;

		if (more < 0 || (size_t)more >= n - i)
			return false;
		for (int k = 1; k <= more; k++) {
			if (((unsigned char)s[i + (size_t)k] & 0xc0) != 0x80)
				return false;
			v = v << 6 | ((unsigned char)s[i + (size_t)k] & 0x3f);
		}
		if ((more == 2 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) ||
			(more == 3 && (v < 0x10000 || v > 0x10ffff)))
			return false;
		i += (size_t)more + 1;
	}
	return true;
}

void cel_double_text(double d, struct str *out)
{
	char text[40];
	int exp;

	if (isnan(d) || isinf(d)) {
		str_add(out, isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 0; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits, d);
		if (strtod(text, NULL) != d)
			continue;
		exp = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
		if (exp >= -4 && exp < 6)
			snprintf(text, sizeof(text), "%.*f", digits > exp ? digits - exp : 0, d);
		str_add(out, text);
		return;
	}
}

static struct cel_value text_of(struct cel_run *r, const struct cel_value *v, struct str *out)
{
	switch (v->kind) {
	case CEL_BOOL:
		str_add(out, v->b ? "true" : "false");
		break;
	case CEL_INT:
		str_addf(out, "%lld", (long long)v->i);
		break;
	case CEL_UINT:
		str_addf(out, "%llu", (unsigned long long)v->u);
		break;
	case CEL_DOUBLE:
		cel_double_text(v->d, out);
		break;
	case CEL_DURATION:
		cel_duration_text(v->i, out);
		break;
	case CEL_TIMESTAMP:
		cel_timestamp_text(v, out);
		break;
	default:
		if (!cel_opaque_text(v, out))
			return cel_no_overload();
		break;
	}
	return cel_str_copy(r, str_cstr(out), out->len);
}

static struct cel_value f_string(ARGS)
{
	CLEANUP(str_done) struct str text = { 0 };
	struct cel_value v = a[0];

	if (v.kind == CEL_STRING)
		return v;
	if (v.kind == CEL_BYTES) {
		if (!cel_pay(r, v.n / 10) || !is_utf8(v.s, v.n))
			return cel_fail(r, "invalid UTF-8 in bytes, cannot convert to string");
		v.kind = CEL_STRING;
		return v;
	}
	return text_of(r, &v, &text);
}

static struct cel_value f_bytes(ARGS)
{
	struct cel_value v = a[0];

	if (v.kind != CEL_STRING && v.kind != CEL_BYTES)
		return cel_no_overload();
	v.kind = CEL_BYTES;
	return v;
}

static struct cel_value f_bool(ARGS)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True", NULL }, *const no[] = { "0",
		"f", "F", "false", "FALSE", "False", NULL };
	char text[8] = "";

	if (a[0].kind == CEL_BOOL)
		return a[0];
	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (a[0].n < sizeof(text))
		memcpy(text, a[0].s, a[0].n);
	if (str_in(text, yes) || str_in(text, no))
		return cel_bool(str_in(text, yes));
	return bad_conversion(r, &a[0], "bool");
}

static struct cel_value f_type(ARGS)
{
	const char *name = cel_type_name(&a[0]);

	return (struct cel_value){ .kind = CEL_TYPE, .s = name, .n = strlen(name) };
}

static struct cel_value f_dyn(ARGS)
{
	return a[0];
}

#define ORDER "bb:b|ii:b|uu:b|dd:b|ss:b|yy:b|tt:b|rr:b|id:b|di:b|ud:b|du:b|iu:b|ui:b"
const struct cel_fn cel_fns_std[] = {
	{ "_==_", "AA:b", f_eq, false },
	{ "_!=_", "AA:b", f_ne, false },
	{ "_<_", ORDER, f_lt, false },
	{ "_<=_", ORDER, f_le, false },
	{ "_>_", ORDER, f_gt, false },
	{ "_>=_", ORDER, f_ge, false },
	{ "@in", "ALA:b|APAB:b", f_in, false },
	{ "_[_]", "LAi:A|PABA:B|OLAi:OA|OPABA:OB", f_index, false },
	{ "_[?_]", "LAi:OA|PABA:OB|OLAi:OA|OPABA:OB", f_opt_index, false },
	{ "!_", "b:b", f_not, false },
	{ "-_", "i:i|d:d", f_negate, false },
	{ "_+_", "ii:i|uu:u|dd:d|ss:s|yy:y|LALA:LA|rr:r|tr:t|rt:t", f_add, false },
	{ "_-_", "ii:i|uu:u|dd:d|rr:r|tr:t|tt:r", f_sub, false },
	{ "_*_", "ii:i|uu:u|dd:d", f_mul, false },
	{ "_/_", "ii:i|uu:u|dd:d", f_div, false },
	{ "_%_", "ii:i|uu:u", f_mod, false },
	{ "size", "s:i|y:i|LA:i|PAB:i|s.:i|y.:i|LA.:i|PAB.:i", f_size, false },
	{ "contains", "s.s:b", f_contains, false },
	{ "startsWith", "s.s:b", f_starts, false },
	{ "endsWith", "s.s:b", f_ends, false },
	{ "int", "i:i|u:i|d:i|s:i|t:i", f_int, false },
	{ "uint", "u:u|i:u|d:u|s:u", f_uint, false },
	{ "double", "d:d|i:d|u:d|s:d", f_double, false },
	{ "string", "s:s|b:s|i:s|u:s|d:s|y:s|t:s|r:s|I:s|C:s", f_string, false },
	{ "bytes", "y:y|s:y", f_bytes, false },
	{ "bool", "b:b|s:b", f_bool, false },
	{ "type", "A:T", f_type, false },
	{ "dyn", "A:D", f_dyn, false },
	{ 0 },
};
