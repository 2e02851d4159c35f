/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema_int.h"

#include <string.h>

#include "base/mem.h"

/* One validation. causes NULL: only yes or no is wanted, the first violation ends it. */
struct check {
	struct causes *causes;
	bool ratchet; /* what equals its old value counts as valid */
	size_t *visits; /* schemas asked, or NULL: that of the arms of a failed anyOf which came furthest tells why */
	bool loose; /* lists may have an item twice */
};

static bool valid(const struct check *c, const struct schema *s, const struct json *v, const struct json *old,
	const struct jpath *at);

/* Violations: all return false. */

/* "<path> in body <text>" */
static bool bad_body(const struct check *c, const struct jpath *at, const struct json *v, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
static bool bad_body(
	const struct check *c, const struct jpath *at, const struct json *v, const char *fmt, ...)
{
	va_list ap;

	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(at);
	CLEANUP(str_done) struct str text = { 0 };
	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	cause_invalid(c->causes, path, v, "%s in body %s", path, str_cstr(&text));
	return false;
}

static bool bad_type(const struct check *c, const struct jpath *at, const char *want, const struct json *v)
{
	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(at);
	cause_type(c->causes, path, want, v);
	return false;
}

/* A combination of schemas failed: upstream shows no value, and the path in quotes. */
static bool bad_combination(const struct check *c, const struct jpath *at, const char *text)
{
	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(at);
	cause_text(c->causes, "FieldValueInvalid", "<nil>", "Invalid value: \"\": \"%s\" %s", path, text);
	return false;
}

/* Too few items or properties: the number is the value shown. */
static bool bad_few(
	const struct check *c, const struct jpath *at, size_t shown, int64_t min, const char *what)
{
	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(at);
	cause_text(c->causes, "FieldValueInvalid", path,
		"Invalid value: %zu: %s in body should have at least %lld %s", shown, path, (long long)min,
		what);
	return false;
}

static bool bad_many(const struct check *c, const struct jpath *at, size_t have, int64_t max)
{
	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(at);
	cause_text(c->causes, "FieldValueTooMany", path, "Too many: %zu: must have at most %lld item%s", have,
		(long long)max, max == 1 ? "" : "s");
	return false;
}

/* All checks of one value are made when causes are collected, else up to the first that fails. */
static bool and_then(const struct check *c, bool so_far)
{
	return so_far || c->causes;
}

/* ---- types ---- */

static bool is_whole(const struct json *v)
{
	if (json_type(v) == JSON_UINT)
		return json_num(v) < 9223372036854775808.0;
	if (json_type(v) != JSON_REAL)
		return json_is_int(v);
	double x = json_num(v);
	return x >= -9223372036854775808.0 && x < 9223372036854775808.0 && (double)(int64_t)x == x;
}

static bool has_type(const struct schema *s, const struct json *v)
{
	switch (s->type) {
	case ST_ANY:
		return true;
	case ST_OBJECT:
		return json_is_obj(v);
	case ST_ARRAY:
		return json_is_arr(v);
	case ST_STRING:
		return json_is_str(v);
	case ST_INTEGER:
		return is_whole(v);
	case ST_NUMBER:
		return json_is_num(v);
	case ST_BOOLEAN:
		return json_is_bool(v);
	}
	return false;
}

bool schema_has_type(const struct schema *s, const struct json *v)
{
	return s->flags & SF_INT_OR_STRING ? json_is_str(v) || is_whole(v) : has_type(s, v);
}

const char *schema_type_name(const struct schema *s)
{
	static const char *const names[] = { "", "object", "array", "string", "integer", "number",
		"boolean" };

	return s->flags & SF_INT_OR_STRING ? "integer,string" : names[s->type];
}

static bool check_type(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	return schema_has_type(s, v) || bad_type(c, at, schema_type_name(s), v);
}

/* ---- scalars ---- */

static bool check_enum(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	CLEANUP(strv_done) struct strv allowed = { 0 };

	JSON_EACH (it, s->enums)
		if (json_eq(it.val, v))
			return true;
	if (!c->causes)
		return false;
	JSON_EACH (it, s->enums) {
		if (json_is_str(it.val))
			strv_add(&allowed, json_str(it.val));
		else
			strv_take(&allowed, json_write(it.val, NULL));
	}
	CLEANUP(mem_freep) char *path = jpath_text(at);
	cause_not_supported(c->causes, path, v, (const char *const *)strv_argv(&allowed));
	return false;
}

static size_t count_chars(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static bool check_length(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	if (s->min_len < 0 && s->max_len < 0)
		return true;
	int64_t n = (int64_t)count_chars(json_str(v), json_str_len(v));
	if (s->max_len >= 0 && n > s->max_len) {
		if (c->causes) {
			CLEANUP(mem_freep) char *path = jpath_text(at);
			cause_too_long(c->causes, path, (size_t)s->max_len);
		}
		return false;
	}
	if (n < s->min_len)
		return bad_body(c, at, v, "should be at least %lld chars long", (long long)s->min_len);
	return true;
}

static bool check_string(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	const char *text = json_str(v);
	size_t len = json_str_len(v);
	bool ok = check_length(c, s, v, at);

	if (ok && s->pattern && !re_matches(s->pattern, text, len))
		ok = bad_body(c, at, v, "should match '%s'", s->pattern_text);
	/* no bytes are bytes to Go */
	bool no_bytes = c->loose && len == 0 && str_eq(s->format, "byte");

	if (and_then(c, ok) && s->check_format && !no_bytes && !s->check_format(text, len)) {
		if (c->causes) {
			CLEANUP(mem_freep) char *path = jpath_text(at);
			CLEANUP(mem_freep) char *shown = json_write(v, NULL);
			cause_text(c->causes, "FieldValueTypeInvalid", path,
				"Invalid value: %s: %s in body must be of type %s: %s", shown, path,
				s->format, shown);
		}
		ok = false;
	}
	return ok;
}

/* Beyond 2^53 a double has no fraction left to compare. */
static bool is_multiple(double x, double of)
{
	double times = x / of;

	if (times >= 9007199254740992.0 || times <= -9007199254740992.0)
		return true;
	double rest = times - (double)(int64_t)times;
	return rest < 1e-9 && rest > -1e-9;
}

static bool check_number(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	double x = json_num(v);
	bool ok = true;

	if ((s->flags & SF_HAS_MAX) && (s->flags & SF_EXCLUSIVE_MAX ? x >= s->max : x > s->max))
		ok = bad_body(c, at, v, "should be less than %s%.17g",
			s->flags & SF_EXCLUSIVE_MAX ? "" : "or equal to ", s->max);
	if (and_then(c, ok) && (s->flags & SF_HAS_MIN) &&
		(s->flags & SF_EXCLUSIVE_MIN ? x <= s->min : x < s->min))
		ok = bad_body(c, at, v, "should be greater than %s%.17g",
			s->flags & SF_EXCLUSIVE_MIN ? "" : "or equal to ", s->min);
	if (and_then(c, ok) && s->multiple_of > 0 && !is_multiple(x, s->multiple_of))
		ok = bad_body(c, at, v, "should be a multiple of %.17g", s->multiple_of);
	if (and_then(c, ok) && (s->flags & SF_INT32) && (x > INT32_MAX || x < INT32_MIN))
		ok = bad_body(c, at, v, "must be of type int32");
	return ok;
}

/* ---- lists ---- */

/* What tells items of a set or list-map apart, as JSON text. */
static void item_identity(const struct schema *s, const struct json *v, struct str *out)
{
	if (s->list_type == SCHEMA_LIST_SET) {
		json_write_to(v, out);
		return;
	}
	for (size_t i = 0; i < s->list_keys.len; i++) {
		const char *key = s->list_keys.items[i];
		const struct json *k = json_get(v, key);

		if (!k) {
			const struct schema *p = s->items ? schema_prop_of(s->items, key, strlen(key)) : NULL;
			k = p ? p->deflt : NULL;
		}
		json_write_to(k, out);
		str_addc(out, '\n');
	}
}

static bool bad_duplicate(const struct check *c, const struct schema *s, const struct json *item, size_t i,
	const struct jpath *at)
{
	struct jpath here = { .up = at, .index = i };

	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(&here);
	if (s->list_type == SCHEMA_LIST_SET) {
		cause_duplicate(c->causes, path, item);
		return false;
	}
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *keys = json_new_obj(d);
	for (size_t k = 0; k < s->list_keys.len; k++)
		if (json_get(item, s->list_keys.items[k]))
			json_set_copy(d, keys, s->list_keys.items[k], json_get(item, s->list_keys.items[k]));
	cause_duplicate(c->causes, path, keys);
	return false;
}

struct identity {
	char *text;
	const struct json *item;
	size_t i;
};

static int compare_identities(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;
	int d = strcmp(x->text, y->text);

	return d ? d : x->i < y->i ? -1 : 1;
}

static bool bad_item(const struct check *c, const struct json *item, size_t i, const struct jpath *at)
{
	struct jpath here = { .up = at, .index = i };

	if (!c->causes)
		return false;
	CLEANUP(mem_freep) char *path = jpath_text(&here);
	cause_invalid(c->causes, path, item, "must be an object for an array of list-type map");
	return false;
}

static bool check_unique(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	size_t n = json_len(v);
	bool ok = true;

	if (s->list_type == SCHEMA_LIST_MAP && !c->loose)
		JSON_EACH (it, v)
			if (!json_is_obj(it.val) && !json_is_null(it.val) && and_then(c, ok))
				ok = bad_item(c, it.val, it.i, at);
	if (n < 2 || s->list_type == SCHEMA_LIST_ATOMIC || c->loose)
		return true;
	CLEANUP(mem_freep) struct identity *ids = mem_alloc(n * sizeof(*ids));
	JSON_EACH (it, v) {
		struct str text = { 0 };

		item_identity(s, it.val, &text);
		ids[it.i] = (struct identity){ str_take(&text), it.val, it.i };
	}
	qsort(ids, n, sizeof(*ids), compare_identities);
	for (size_t i = 1; i < n && and_then(c, ok); i++)
		if (strcmp(ids[i - 1].text, ids[i].text) == 0 &&
			(i < 2 || strcmp(ids[i - 2].text, ids[i].text) != 0))
			ok = bad_duplicate(c, s, ids[i].item, ids[i].i, at);
	for (size_t i = 0; i < n; i++)
		free(ids[i].text);
	return ok;
}

const struct json *schema_old_item(const struct schema *s, const struct json *item, const struct json *old)
{
	if (!json_is_arr(old) || s->list_type != SCHEMA_LIST_MAP)
		return NULL;
	JSON_EACH (it, old) {
		bool same = true;

		for (size_t k = 0; k < s->list_keys.len && same; k++)
			same = json_eq(json_get(item, s->list_keys.items[k]),
				json_get(it.val, s->list_keys.items[k]));
		if (same)
			return it.val;
	}
	return NULL;
}

static bool check_list(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	int64_t n = (int64_t)json_len(v);
	bool ok = true;

	if (s->max_items >= 0 && n > s->max_items)
		ok = bad_many(c, at, (size_t)n, s->max_items);
	if (and_then(c, ok) && n < s->min_items)
		ok = bad_few(c, at, (size_t)n, s->min_items, "items");
	if (and_then(c, ok) && !check_unique(c, s, v, at))
		ok = false;
	if (s->items)
		JSON_EACH (it, v) {
			struct jpath here = { .up = at, .index = it.i };

			if (and_then(c, ok) &&
				!valid(c, s->items, it.val, schema_old_item(s, it.val, old), &here))
				ok = false;
		}
	return ok;
}

/* ---- objects ---- */

static bool check_required(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	bool ok = true;

	for (size_t i = 0; i < s->required.len && and_then(c, ok); i++) {
		const char *name = s->required.items[i];
		struct jpath here = { .up = at, .key = name, .len = strlen(name) };

		if (json_get(v, name))
			continue;
		ok = false;
		if (c->causes) {
			CLEANUP(mem_freep) char *path = jpath_text(&here);
			cause_required(c->causes, path, NULL);
		}
	}
	return ok;
}

/* apiVersion and kind of an embedded resource are demanded, those of the root are the server's business. */
static bool check_type_meta(
	const struct check *c, const struct schema *s, const struct json *v, const struct jpath *at)
{
	static const char *const names[] = { "apiVersion", "kind" };
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(names) && and_then(c, ok); i++) {
		struct jpath here = { .up = at, .key = names[i], .len = strlen(names[i]) };
		const struct json *m = json_get(v, names[i]);

		if (m && !json_is_str(m)) {
			ok = bad_type(c, &here, "string", m);
		} else if ((s->flags & SF_EMBEDDED) && json_str_len(m) == 0) {
			ok = false;
			if (c->causes) {
				CLEANUP(mem_freep) char *path = jpath_text(&here);
				cause_required(c->causes, path, m ? "must not be empty" : NULL);
			}
		}
	}
	return ok;
}

static bool check_members(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	bool ok = true;

	JSON_EACH (it, v) {
		struct jpath here = { .up = at, .key = it.key, .len = it.key_len };
		const struct schema *below = schema_prop_of(s, it.key, it.key_len);
		const struct json *before = old ? json_getn(old, it.key, it.key_len) : NULL;

		if (!and_then(c, ok))
			break;
		if (s->meta && it.key_len == 8 && strcmp(it.key, "metadata") == 0 &&
			!valid(c, s->meta, it.val, before, &here))
			ok = false;
		else if (below && !valid(c, below, it.val, before, &here))
			ok = false;
	}
	return ok;
}

static bool check_object(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	int64_t n = (int64_t)json_len(v);
	bool ok = check_required(c, s, v, at);

	if (and_then(c, ok) && s->max_props >= 0 && n > s->max_props)
		ok = bad_many(c, at, (size_t)n, s->max_props);
	if (and_then(c, ok) && n < s->min_props)
		ok = bad_few(c, at, (size_t)n, s->min_props, "properties");
	if (and_then(c, ok) && s->meta && !check_type_meta(c, s, v, at))
		ok = false;
	if (and_then(c, ok) && (s->slots || s->additional || s->meta) && !check_members(c, s, v, old, at))
		ok = false;
	return ok;
}

/* ---- allOf, anyOf, oneOf, not ---- */

void schema_set_loose(struct schema *root)
{
	root->loose = true;
}

static size_t count_valid(
	const struct schema_arms *l, const struct json *v, const struct json *old, bool ratchet)
{
	const struct check quiet = { .ratchet = ratchet };
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += valid(&quiet, l->items[i], v, old, NULL);
	return n;
}

/* Why the arm that came furthest fails. */
static void tell_best(const struct check *c, const struct schema_arms *l, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	CLEANUP(causes_done) struct causes best = { 0 };
	size_t most = 0;

	for (size_t i = 0; i < l->n && c->causes; i++) {
		CLEANUP(causes_done) struct causes found = { 0 };
		size_t visits = 0;
		const struct check loud = {
			.causes = &found, .ratchet = c->ratchet, .loose = c->loose, .visits = &visits
		};

		valid(&loud, l->items[i], v, old, at);
		if (i > 0 && visits <= most)
			continue;
		most = visits;
		causes_done(&best);
		best = found;
		found = (struct causes){ 0 };
	}
	for (size_t i = 0; i < best.len; i++)
		cause_text(c->causes, best.items[i].reason, best.items[i].field, "%s", best.items[i].message);
}

static bool check_one_of(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	static const char text[] = "must validate one and only one schema (oneOf). Found";
	size_t n = count_valid(&s->one_of, v, old, c->ratchet);

	if (n == 1)
		return true;
	CLEANUP(mem_freep)
	char *whole =
		n ? str_printf("%s %zu valid alternatives", text, n) : str_printf("%s none valid", text);
	bad_combination(c, at, whole);
	if (n == 0)
		tell_best(c, &s->one_of, v, old, at);
	return false;
}

static bool check_junctors(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	const struct check quiet = { .ratchet = c->ratchet, .loose = c->loose };
	bool ok = true;

	for (size_t i = 0; i < s->all_of.n && and_then(c, ok); i++)
		if (!valid(c, s->all_of.items[i], v, old, at))
			ok = false;
	if (!ok)
		bad_combination(c, at, "must validate all the schemas (allOf)");
	if (and_then(c, ok) && s->any_of.n && !count_valid(&s->any_of, v, old, c->ratchet)) {
		ok = bad_combination(c, at, "must validate at least one schema (anyOf)");
		tell_best(c, &s->any_of, v, old, at);
	}
	if (and_then(c, ok) && s->one_of.n && !check_one_of(c, s, v, old, at))
		ok = false;
	if (and_then(c, ok) && s->not_of && valid(&quiet, s->not_of, v, old, NULL))
		ok = bad_combination(c, at, "must not validate the schema (not)");
	return ok;
}

static bool check_value(const struct check *c, const struct schema *s, const struct json *v,
	const struct json *old, const struct jpath *at)
{
	bool ok = true;

	switch (json_type(v)) {
	case JSON_OBJ:
		return check_object(c, s, v, json_is_obj(old) ? old : NULL, at);
	case JSON_ARR:
		return check_list(c, s, v, json_is_arr(old) ? old : NULL, at);
	case JSON_STR:
		ok = check_string(c, s, v, at);
		break;
	case JSON_INT:
	case JSON_UINT:
	case JSON_REAL:
		ok = check_number(c, s, v, at);
		break;
	case JSON_BOOL:
	case JSON_NULL:
		break;
	}
	return ok;
}

static bool valid(const struct check *c, const struct schema *s, const struct json *v, const struct json *old,
	const struct jpath *at)
{
	bool ok = true;

	if (json_is_null(v) && (s->flags & SF_NULLABLE))
		return true;
	if (c->ratchet && old && json_eq(v, old))
		return true;
	if (c->visits)
		++*c->visits;
	ok = check_type(c, s, v, at);
	if (and_then(c, ok) && s->enums && !check_enum(c, s, v, at))
		ok = false;
	if (!check_type(&(struct check){ 0 }, s, v, at))
		return false;
	if (and_then(c, ok) && !check_value(c, s, v, old, at))
		ok = false;
	if (and_then(c, ok) && (s->all_of.n || s->any_of.n || s->one_of.n || s->not_of) &&
		!check_junctors(c, s, v, old, at))
		ok = false;
	return ok;
}

void schema_validate_values(
	const struct schema *s, const struct json *v, const struct json *old, struct causes *causes)
{
	struct check c = { .causes = NULL, .loose = s->loose };

	/* most objects are valid and need no second pass */
	if (valid(&c, s, v, NULL, NULL))
		return;
	c.ratchet = old != NULL;
	c.causes = causes;
	valid(&c, s, v, old, NULL);
}

/* Rules may rely on what the schema says: those of an object that broke it badly are not asked. */
static bool blocks_rules(const struct causes *c, size_t from)
{
	static const char *const reasons[] = { "FieldValueNotSupported", "FieldValueRequired",
		"FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid", NULL };

	for (size_t i = from; i < c->len; i++)
		if (str_in(c->items[i].reason, reasons))
			return true;
	return c->dropped > 0;
}

void schema_validate(
	const struct schema *s, const struct json *v, const struct json *old, struct causes *causes)
{
	schema_validate_noting(s, v, old, causes, NULL);
}

void schema_validate_noting(const struct schema *s, const struct json *v, const struct json *old,
	struct causes *causes, struct causes *tolerated)
{
	size_t before = causes->len;

	schema_validate_values(s, v, old, causes);
	if (!(s->flags & SF_HAS_RULES))
		return;
	if (blocks_rules(causes, before))
		cause_text(causes, "FieldValueInvalid", "<nil>",
			"Invalid value: null: some validation rules were not checked because the object was "
			"invalid; correct the existing errors to complete validation");
	else
		schema_evaluate(s, v, old, causes, tolerated);
}
