/* SPDX-License-Identifier: Apache-2.0 */
/* Values: made, taken from JSON as schemas type it, compared, and turned back into JSON. */
#include "api/cel_value.h"

#include "api/cel_int.h"

#include <math.h>
#include <string.h>

#include "base/crypto.h"

#define PAY_ITEMS 16 /* references made per unit of cost */
#define PAY_BYTES 10 /* bytes looked at or made per unit of cost */

struct cel_run *cel_run_new(void)
{
	struct cel_run *r = MEM_NEW(struct cel_run);

	r->arena = arena_new();
	r->left = CEL_BUDGET_MAX;
	return r;
}

void cel_run_free(struct cel_run *r)
{
	if (!r)
		return;
	arena_free(r->arena);
	free(r);
}

void cel_run_freep(struct cel_run **r)
{
	cel_run_free(*r);
	*r = NULL;
}

struct arena *cel_run_arena(struct cel_run *r)
{
	return r->arena;
}

void cel_run_set_budget(struct cel_run *r, uint64_t budget)
{
	r->left = budget;
}

uint64_t cel_run_left(const struct cel_run *r)
{
	return r->left;
}

void cel_run_set_authorizer(struct cel_run *r, cel_authorize_fn *fn, void *arg)
{
	r->authorize = fn;
	r->authorize_arg = arg;
}

bool cel_pay(struct cel_run *r, uint64_t cost)
{
	if (r->broke || cost > CEL_COST_MAX || r->cost + cost > CEL_COST_MAX) {
		r->broke = true;
		return false;
	}
	r->cost += cost;
	return true;
}

/* ---- making ---- */

struct cel_value cel_fail(struct cel_run *r, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	if (!cel_pay(r, 1 + text.len / PAY_BYTES))
		return cel_over_budget();
	return (struct cel_value){
		.kind = CEL_ERROR, .s = arena_strdup(r->arena, str_cstr(&text)), .n = text.len
	};
}

struct cel_value cel_error(struct cel_run *r, const char *text)
{
	return cel_fail(r, "%s", text);
}

static struct cel_value fixed_error(const char *text)
{
	return (struct cel_value){ .kind = CEL_ERROR, .s = text, .n = strlen(text) };
}

struct cel_value cel_no_overload(void)
{
	return fixed_error("no such overload");
}

struct cel_value cel_over_budget(void)
{
	return fixed_error("operation cancelled: actual cost limit exceeded");
}

struct cel_value cel_null(void)
{
	return (struct cel_value){ .kind = CEL_NULL };
}

struct cel_value cel_bool(bool b)
{
	return (struct cel_value){ .kind = CEL_BOOL, .b = b };
}

struct cel_value cel_int(int64_t i)
{
	return (struct cel_value){ .kind = CEL_INT, .i = i };
}

struct cel_value cel_uint(uint64_t u)
{
	return (struct cel_value){ .kind = CEL_UINT, .u = u };
}

struct cel_value cel_double(double d)
{
	return (struct cel_value){ .kind = CEL_DOUBLE, .d = d };
}

struct cel_value cel_strn(const char *s, size_t n)
{
	return (struct cel_value){ .kind = CEL_STRING, .s = s, .n = n };
}

struct cel_value cel_str(const char *s)
{
	return cel_strn(s, strlen(s));
}

struct cel_value cel_duration(int64_t ns)
{
	return (struct cel_value){ .kind = CEL_DURATION, .i = ns };
}

#define TIMESTAMP_MIN INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
struct cel_value cel_timestamp(struct cel_run *r, int64_t sec, int32_t nano, int32_t offset)
{
	if (sec < TIMESTAMP_MIN || sec > TIMESTAMP_MAX)
		return cel_fail(r, "timestamp overflow");
	return (struct cel_value){ .kind = CEL_TIMESTAMP, .nano = nano, .i = sec, .n = (uint32_t)offset };
}

struct cel_value cel_opaque(enum cel_kind kind, const void *p)
{
	return (struct cel_value){ .kind = kind, .p = p };
}

struct cel_value cel_authorizer(void)
{
	return cel_opaque(CEL_AUTHORIZER, NULL);
}

struct cel_value cel_str_copy(struct cel_run *r, const char *s, size_t n)
{
	char *copy;

	if (n > CEL_STRING_MAX || !cel_pay(r, 1 + n / PAY_BYTES))
		return cel_over_budget();
	copy = arena_alloc(r->arena, n + 1);
	if (n)
		memcpy(copy, s, n);
	return cel_strn(copy, n);
}

char *cel_cstr(struct cel_run *r, const struct cel_value *v)
{
	return arena_strndup(r->arena, v->s, v->n);
}

struct cel_value *cel_items(struct cel_run *r, size_t n)
{
	if (!cel_pay(r, 1 + n))
		return NULL;
	return arena_alloc(r->arena, (n + 1) * sizeof(struct cel_value));
}

struct cel_value cel_list_of(struct cel_run *r, const struct cel_value *items, size_t n)
{
	struct cel_list *l = arena_alloc(r->arena, sizeof(*l));

	l->items = items;
	l->n = n;
	return (struct cel_value){ .kind = CEL_LIST, .list = l };
}

struct cel_value cel_map_of(struct cel_run *r, const struct cel_pair *pairs, size_t n)
{
	struct cel_map *m = arena_alloc(r->arena, sizeof(*m));

	m->pairs = pairs;
	m->n = n;
	return (struct cel_value){ .kind = CEL_MAP, .map = m };
}

struct cel_value cel_optional(struct cel_run *r, const struct cel_value *v)
{
	struct cel_value *copy = NULL;

	if (v) {
		copy = arena_alloc(r->arena, sizeof(*copy));
		*copy = *v;
	}
	return (struct cel_value){ .kind = CEL_OPTIONAL, .of = copy };
}

struct cel_value cel_lazy_object(
	struct cel_run *r, const char *const *names, size_t n, cel_field_fn *fn, void *arg)
{
	struct cel_map *m = arena_alloc(r->arena, sizeof(*m));
	struct cel_lazy *l = arena_alloc(r->arena, sizeof(*l));

	*l = (struct cel_lazy){ .names = names, .n = n, .fn = fn, .arg = arg };
	l->made = arena_alloc(r->arena, (n + 1) * sizeof(struct cel_value));
	l->state = arena_alloc(r->arena, n + 1);
	m->lazy = l;
	m->n = n;
	return (struct cel_value){ .kind = CEL_MAP, .map = m };
}

/* ---- from JSON ---- */

static struct cel_value list_from(struct cel_run *r, const struct schema *s, const struct json *v)
{
	struct cel_list *l;
	const struct json **raw;

	if (!cel_pay(r, 1 + json_len(v) / PAY_ITEMS))
		return cel_over_budget();
	l = arena_alloc(r->arena, sizeof(*l));
	l->schema = s;
	l->n = json_len(v);
	raw = arena_alloc(r->arena, (l->n + 1) * sizeof(struct json *));
	JSON_EACH (it, v)
		raw[it.i] = it.val;
	l->raw = raw;
	return (struct cel_value){ .kind = CEL_LIST, .list = l };
}

static struct cel_value map_from(struct cel_run *r, const struct schema *s, const struct json *v, bool root)
{
	struct cel_map *m = arena_alloc(r->arena, sizeof(*m));

	*m = (struct cel_map){ .n = json_len(v), .raw = v, .schema = s, .root = root };
	return (struct cel_value){ .kind = CEL_MAP, .map = m };
}

struct cel_value cel_from_json(struct cel_run *r, const struct json *v)
{
	switch (json_type(v)) {
	case JSON_NULL:
		break;
	case JSON_BOOL:
		return cel_bool(json_bool(v));
	case JSON_INT:
		return cel_int(json_i64(v));
	case JSON_UINT:
		return cel_uint(json_u64(v));
	case JSON_REAL:
		return cel_double(json_num(v));
	case JSON_STR:
		return cel_strn(json_str(v), json_str_len(v));
	case JSON_ARR:
		return list_from(r, NULL, v);
	case JSON_OBJ:
		return map_from(r, NULL, v, false);
	}
	return cel_null();
}

static struct cel_value bytes_from(struct cel_run *r, const struct json *v)
{
	CLEANUP(str_done) struct str raw = { 0 };
	struct cel_value ret;

	if (b64_decode(json_str(v), json_str_len(v), false, &raw, NULL) < 0)
		return cel_fail(r, "error decoding bytes");
	ret = cel_str_copy(r, str_cstr(&raw), raw.len);
	if (ret.kind == CEL_STRING)
		ret.kind = CEL_BYTES;
	return ret;
}

/* A date alone is a timestamp too. */
static struct cel_value date_from(struct cel_run *r, const struct json *v)
{
	CLEANUP(mem_freep) char *text = str_printf("%.10sT00:00:00Z", json_str(v));
	int64_t sec;
	int32_t nano, offset;

	if (json_str_len(v) != 10 || !cel_parse_timestamp(text, strlen(text), &sec, &nano, &offset))
		return cel_fail(r, "invalid date");
	return cel_timestamp(r, sec, nano, 0);
}

static struct cel_value string_from(struct cel_run *r, const struct schema *s, const struct json *v)
{
	int64_t n;
	int32_t nano, offset;

	if (!s->format)
		return cel_from_json(r, v);
	if (str_eq(s->format, "byte"))
		return bytes_from(r, v);
	if (str_eq(s->format, "duration")) {
		if (!cel_parse_duration(json_str(v), json_str_len(v), &n))
			return cel_fail(r, "invalid duration %s", json_str(v));
		return cel_duration(n);
	}
	if (str_eq(s->format, "date"))
		return date_from(r, v);
	if (str_eq(s->format, "date-time")) {
		if (!cel_parse_timestamp(json_str(v), json_str_len(v), &n, &nano, &offset))
			return cel_fail(r, "invalid date-time %s", json_str(v));
		return cel_timestamp(r, n, nano, offset);
	}
	return cel_from_json(r, v);
}

static struct cel_value unexpected(struct cel_run *r, const char *want)
{
	return cel_fail(r, "invalid data, expected a value of type %s", want);
}

struct cel_value cel_from_schema(struct cel_run *r, const struct schema *s, const struct json *v, bool root)
{
	if (!s)
		return cel_from_json(r, v);
	if (json_is_null(v))
		return s->flags & SF_NULLABLE || s->type == ST_ANY
			       ? cel_null()
			       : cel_fail(r, "invalid data, got null for schema with nullable=false");
	if (s->flags & SF_INT_OR_STRING)
		return json_is_str(v) || json_is_int(v)
			       ? cel_from_json(r, v)
			       : cel_fail(r,
					 "invalid data, expected XIntOrString value to be either a string "
					 "or integer");
	switch (s->type) {
	case ST_ANY:
		break;
	case ST_OBJECT:
		return json_is_obj(v) ? map_from(r, s, v, root || (s->flags & SF_EMBEDDED))
				      : unexpected(r, "object");
	case ST_ARRAY:
		return json_is_arr(v) ? list_from(r, s, v) : unexpected(r, "array");
	case ST_STRING:
		return json_is_str(v) ? string_from(r, s, v) : unexpected(r, "string");
	case ST_INTEGER:
		return json_is_num(v) ? cel_int(json_i64(v)) : unexpected(r, "integer");
	case ST_NUMBER:
		return json_is_num(v) ? cel_double(json_num(v)) : unexpected(r, "number");
	case ST_BOOLEAN:
		return json_is_bool(v) ? cel_bool(json_bool(v)) : unexpected(r, "boolean");
	}
	return cel_from_json(r, v);
}

/* ---- containers ---- */

struct cel_value cel_list_at(struct cel_run *r, const struct cel_list *l, size_t i)
{
	if (l->items)
		return l->items[i];
	return cel_from_schema(r, l->schema ? l->schema->items : NULL, l->raw[i], false);
}

size_t cel_map_size(const struct cel_map *m)
{
	return m->n;
}

static struct cel_value lazy_get(struct cel_run *r, struct cel_lazy *l, size_t i)
{
	if (l->state[i] == 1)
		return cel_fail(r, "field '%s' refers to itself", l->names[i]);
	if (l->state[i] == 0) {
		l->state[i] = 1;
		l->made[i] = l->fn(l->arg, r, i);
		l->state[i] = 2;
	}
	return l->made[i];
}

static struct cel_value raw_member(
	struct cel_run *r, const struct cel_map *m, const char *name, size_t len, const struct json *v)
{
	if (!m->schema || (m->root && schema_is_type_meta(m->schema, name, len)))
		return cel_from_json(r, v);
	return cel_from_schema(r, schema_prop_of(m->schema, name, len), v, false);
}

bool cel_map_get(
	struct cel_run *r, const struct cel_map *m, const char *name, size_t len, struct cel_value *ret)
{
	const struct json *v;

	if (m->raw) {
		v = json_getn(m->raw, name, len);
		/* a member with a name of its own that is null is as good as absent */
		if (!v || (json_is_null(v) && m->schema && m->schema->props))
			return false;
		*ret = raw_member(r, m, name, len, v);
		return true;
	}
	if (m->lazy) {
		for (size_t i = 0; i < m->lazy->n; i++) {
			if (strlen(m->lazy->names[i]) == len && memcmp(m->lazy->names[i], name, len) == 0) {
				*ret = lazy_get(r, m->lazy, i);
				return true;
			}
		}
		return false;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct cel_value *k = &m->pairs[i].key;

		if (k->kind == CEL_STRING && k->n == len && memcmp(k->s, name, len) == 0) {
			*ret = m->pairs[i].val;
			return true;
		}
	}
	return false;
}

bool cel_map_find(
	struct cel_run *r, const struct cel_map *m, const struct cel_value *key, struct cel_value *ret)
{
	if (key->kind == CEL_STRING)
		return cel_map_get(r, m, key->s, key->n, ret);
	if (!m->pairs)
		return false;
	for (size_t i = 0; i < m->n; i++) {
		if (cel_equal(r, &m->pairs[i].key, key)) {
			*ret = m->pairs[i].val;
			return true;
		}
	}
	return false;
}

struct cel_value cel_map_keys(struct cel_run *r, const struct cel_map *m)
{
	struct cel_value *keys = cel_items(r, m->n);

	if (!keys)
		return cel_over_budget();
	if (m->raw) {
		JSON_EACH (it, m->raw)
			keys[it.i] = cel_strn(it.key, it.key_len);
	} else {
		for (size_t i = 0; i < m->n; i++)
			keys[i] = m->lazy ? cel_str(m->lazy->names[i]) : m->pairs[i].key;
	}
	return cel_list_of(r, keys, m->n);
}

struct cel_value cel_no_key(struct cel_run *r, const struct cel_value *key)
{
	CLEANUP(str_done) struct str text = { 0 };

	switch (key->kind) {
	case CEL_STRING:
		str_addn(&text, key->s, key->n < 256 ? key->n : 256);
		break;
	case CEL_INT:
		str_addf(&text, "%lld", (long long)key->i);
		break;
	case CEL_UINT:
		str_addf(&text, "%llu", (unsigned long long)key->u);
		break;
	case CEL_BOOL:
		str_add(&text, key->b ? "true" : "false");
		break;
	default:
		return cel_no_overload();
	}
	return cel_fail(r, "no such key: %s", str_cstr(&text));
}

/* ---- comparing ---- */

static int cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_i64(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_double(double a, double b)
{
	if (isnan(a) || isnan(b))
		return 3;
	return a < b ? -1 : a > b;
}

/* Beyond 2^53 neighbours are equal: as upstream, the integer becomes a double. */
static int cmp_int_double(int64_t i, double d)
{
	return cmp_double((double)i, d);
}

static int cmp_uint_double(uint64_t u, double d)
{
	return cmp_double((double)u, d);
}

static int inverse(int c)
{
	return c == -1 ? 1 : c == 1 ? -1 : c;
}

static bool is_number(const struct cel_value *v)
{
	return v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_DOUBLE;
}

static int cmp_numbers(const struct cel_value *a, const struct cel_value *b)
{
	if (a->kind == CEL_DOUBLE && b->kind == CEL_DOUBLE)
		return cmp_double(a->d, b->d);
	if (a->kind == CEL_DOUBLE)
		return inverse(b->kind == CEL_INT ? cmp_int_double(b->i, a->d) : cmp_uint_double(b->u, a->d));
	if (b->kind == CEL_DOUBLE)
		return a->kind == CEL_INT ? cmp_int_double(a->i, b->d) : cmp_uint_double(a->u, b->d);
	if (a->kind == CEL_INT && b->kind == CEL_INT)
		return cmp_i64(a->i, b->i);
	if (a->kind == CEL_INT)
		return a->i < 0 ? -1 : cmp_u64((uint64_t)a->i, b->u);
	if (b->kind == CEL_INT)
		return b->i < 0 ? 1 : cmp_u64(a->u, (uint64_t)b->i);
	return cmp_u64(a->u, b->u);
}

static int cmp_bytes(struct cel_run *r, const struct cel_value *a, const struct cel_value *b)
{
	size_t n = a->n < b->n ? a->n : b->n;
	int c;

	(void)cel_pay(r, n / PAY_BYTES);
	c = n ? memcmp(a->s, b->s, n) : 0;
	return c ? (c < 0 ? -1 : 1) : cmp_u64(a->n, b->n);
}

int cel_compare(struct cel_run *r, const struct cel_value *a, const struct cel_value *b)
{
	if (is_number(a) && is_number(b))
		return cmp_numbers(a, b);
	if (a->kind != b->kind)
		return 2;
	switch (a->kind) {
	case CEL_BOOL:
		return cmp_i64(a->b, b->b);
	case CEL_STRING:
	case CEL_BYTES:
		return cmp_bytes(r, a, b);
	case CEL_DURATION:
		return cmp_i64(a->i, b->i);
	case CEL_TIMESTAMP:
		return a->i != b->i ? cmp_i64(a->i, b->i) : cmp_i64(a->nano, b->nano);
	default:
		return 2;
	}
}

static bool lists_equal(struct cel_run *r, const struct cel_list *a, const struct cel_list *b);

static bool maps_equal(struct cel_run *r, const struct cel_map *a, const struct cel_map *b)
{
	struct cel_value keys, x, y;

	if (a == b)
		return true;
	if (cel_map_size(a) != cel_map_size(b) || !cel_pay(r, 1 + a->n))
		return false;
	keys = cel_map_keys(r, a);
	if (keys.kind != CEL_LIST)
		return false;
	for (size_t i = 0; i < keys.list->n; i++) {
		if (!cel_map_find(r, a, &keys.list->items[i], &x) ||
			!cel_map_find(r, b, &keys.list->items[i], &y) || r->broke || !cel_equal(r, &x, &y))
			return false;
	}
	return true;
}

/* Lists that are sets, or maps by key: order does not count. */
static bool unordered_equal(struct cel_run *r, const struct cel_list *a, const struct cel_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		struct cel_value x = cel_list_at(r, a, i);
		bool found = false;

		for (size_t k = 0; k < b->n && !found; k++) {
			/* usually it is where it was */
			struct cel_value y = cel_list_at(r, b, (i + k) % b->n);

			if (!cel_pay(r, 1))
				return false;
			found = cel_equal(r, &x, &y);
		}
		if (!found)
			return false;
	}
	return true;
}

static bool lists_equal(struct cel_run *r, const struct cel_list *a, const struct cel_list *b)
{
	if (a == b)
		return true;
	if (a->n != b->n)
		return false;
	if (a->schema && a->schema->list_type != SCHEMA_LIST_ATOMIC)
		return unordered_equal(r, a, b);
	for (size_t i = 0; i < a->n; i++) {
		struct cel_value x = cel_list_at(r, a, i), y = cel_list_at(r, b, i);

		if (!cel_pay(r, 1) || !cel_equal(r, &x, &y))
			return false;
	}
	return true;
}

static bool optionals_equal(struct cel_run *r, const struct cel_value *a, const struct cel_value *b)
{
	if (!a->of || !b->of)
		return a->of == b->of;
	return cel_equal(r, a->of, b->of);
}

bool cel_equal(struct cel_run *r, const struct cel_value *a, const struct cel_value *b)
{
	if (is_number(a) && is_number(b))
		return cmp_numbers(a, b) == 0;
	if (a->kind != b->kind || r->broke)
		return false;
	switch (a->kind) {
	case CEL_ERROR:
		return false;
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return a->b == b->b;
	case CEL_STRING:
	case CEL_BYTES:
		return a->n == b->n && cmp_bytes(r, a, b) == 0;
	case CEL_TYPE:
		return str_eq(a->s, b->s);
	case CEL_LIST:
		return lists_equal(r, a->list, b->list);
	case CEL_MAP:
		return maps_equal(r, a->map, b->map);
	case CEL_OPTIONAL:
		return optionals_equal(r, a, b);
	case CEL_DURATION:
	case CEL_TIMESTAMP:
		return cel_compare(r, a, b) == 0;
	default:
		return cel_opaque_equal(a, b);
	}
}

size_t cel_chars(const char *s, size_t n)
{
	size_t chars = 0;

	for (size_t i = 0; i < n; i++)
		chars += ((unsigned char)s[i] & 0xc0) != 0x80;
	return chars;
}

const char *cel_type_name(const struct cel_value *v)
{
	static const char *const names[] = { "error", "null_type", "bool", "int", "uint", "double", "string",
		"bytes", "list", "map", "google.protobuf.Duration", "google.protobuf.Timestamp", "type",
		"optional_type", "kubernetes.Quantity", "kubernetes.URL", "net.IP", "net.CIDR",
		"kubernetes.Semver", "kubernetes.NamedFormat", "kubernetes.authorization.Authorizer",
		"kubernetes.authorization.PathCheck", "kubernetes.authorization.GroupCheck",
		"kubernetes.authorization.ResourceCheck", "kubernetes.authorization.Decision" };

	return names[v->kind];
}

/* ---- to JSON ---- */

static struct json *list_to_json(struct cel_run *r, struct json_doc *d, const struct cel_list *l, int depth);
static struct json *map_to_json(struct cel_run *r, struct json_doc *d, const struct cel_map *m, int depth);

static struct json *to_json(struct cel_run *r, struct json_doc *d, const struct cel_value *v, int depth)
{
	CLEANUP(str_done) struct str text = { 0 };

	if (depth > JSON_DEPTH_MAX / 2 || !cel_pay(r, 1))
		return NULL;
	switch (v->kind) {
	case CEL_NULL:
		return json_new_null(d);
	case CEL_BOOL:
		return json_new_bool(d, v->b);
	case CEL_INT:
		return json_new_i64(d, v->i);
	case CEL_UINT:
		return json_new_u64(d, v->u);
	case CEL_DOUBLE:
		return isfinite(v->d) ? json_new_num(d, v->d) : NULL;
	case CEL_STRING:
		return json_new_strn(d, v->s, v->n);
	case CEL_BYTES:
		b64_encode(v->s, v->n, false, &text);
		return json_new_str(d, str_cstr(&text));
	case CEL_DURATION:
		cel_duration_text(v->i, &text);
		return json_new_str(d, str_cstr(&text));
	case CEL_TIMESTAMP:
		cel_timestamp_text(v, &text);
		return json_new_str(d, str_cstr(&text));
	case CEL_LIST:
		return list_to_json(r, d, v->list, depth);
	case CEL_MAP:
		return map_to_json(r, d, v->map, depth);
	case CEL_OPTIONAL:
		return v->of ? to_json(r, d, v->of, depth + 1) : json_new_null(d);
	default:
		return cel_opaque_text(v, &text) ? json_new_str(d, str_cstr(&text)) : NULL;
	}
}

static struct json *list_to_json(struct cel_run *r, struct json_doc *d, const struct cel_list *l, int depth)
{
	struct json *a = json_new_arr(d), *item;

	for (size_t i = 0; i < l->n; i++) {
		struct cel_value v = cel_list_at(r, l, i);

		item = to_json(r, d, &v, depth + 1);
		if (!item)
			return NULL;
		json_append(d, a, item);
	}
	return a;
}

static struct json *map_to_json(struct cel_run *r, struct json_doc *d, const struct cel_map *m, int depth)
{
	struct json *o = json_new_obj(d), *item;
	struct cel_value keys = cel_map_keys(r, m), v;

	for (size_t i = 0; keys.kind == CEL_LIST && i < keys.list->n; i++) {
		const struct cel_value *k = &keys.list->items[i];

		if (k->kind != CEL_STRING || !cel_map_find(r, m, k, &v))
			return NULL;
		item = to_json(r, d, &v, depth + 1);
		if (!item)
			return NULL;
		json_setn(d, o, k->s, k->n, item);
	}
	return o;
}

struct json *cel_to_json(struct cel_run *r, struct json_doc *d, const struct cel_value *v)
{
	return to_json(r, d, v, 0);
}
