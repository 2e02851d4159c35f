/* SPDX-License-Identifier: Apache-2.0 */
#include "api/selector.h"

#include <string.h>

#include "api/semantics.h"
#include "base/mem.h"

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_MISSING, OP_GREATER, OP_LESS };
struct term {
	enum op op;
	char *key;
	struct strv values;
	bool equals; /* written as = or !=, not as a set */
};
struct selector {
	struct term *terms;
	size_t n, cap;
	bool nothing; /* made of an absent selector: matches no object */
};

void selector_free(struct selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->terms[i].key);
		strv_done(&s->terms[i].values);
	}
	free(s->terms);
	free(s);
}

void selector_freep(struct selector **s)
{
	selector_free(*s);
	*s = NULL;
}

static int bad(struct err *e, const char *what, const char *near)
{
	return err_set(e, ERR_BAD_REQUEST, "unable to parse requirement: %s '%.64s'", what, near);
}

static int add_term(
	struct selector *s, enum op op, const char *key, bool equals, struct term **ret, struct err *e)
{
	if (s->n == SELECTOR_TERMS_MAX)
		return err_set(
			e, ERR_BAD_REQUEST, "a selector has at most %d requirements", SELECTOR_TERMS_MAX);
	if (!name_is_label_key(key))
		return bad(e, "invalid label key", key);
	s->terms = mem_grow(s->terms, &s->cap, s->n + 1, sizeof(*s->terms));
	s->terms[s->n] = (struct term){ .op = op, .key = mem_strdup(key), .equals = equals };
	*ret = &s->terms[s->n++];
	return 0;
}

static int add_value(struct term *t, const char *value, struct err *e)
{
	if (!name_is_label_value(value))
		return bad(e, "invalid label value", value);
	strv_add(&t->values, value);
	return 0;
}

/* ---- text ---- */

struct lexer {
	const char *p;
};

static void skip_space(struct lexer *l)
{
	while (*l->p == ' ' || *l->p == '\t')
		l->p++;
}

static char *read_word(struct lexer *l)
{
	size_t n;

	skip_space(l);
	n = strcspn(l->p, " \t=!,()<>");
	l->p += n;
	return mem_strndup(l->p - n, n);
}

static bool accept(struct lexer *l, const char *token)
{
	size_t n = strlen(token);

	skip_space(l);
	if (strncmp(l->p, token, n) != 0)
		return false;
	l->p += n;
	return true;
}

/* (a,b,) : an empty value counts */
static int read_values(struct lexer *l, struct term *t, struct err *e)
{
	if (!accept(l, "("))
		return bad(e, "found what is no '(' at", l->p);
	do {
		CLEANUP(mem_freep) char *v = read_word(l);

		if (add_value(t, v, e) < 0)
			return -1;
	} while (accept(l, ","));
	if (!accept(l, ")"))
		return bad(e, "found what is neither ',' nor ')' at", l->p);
	return 0;
}

static int read_compared(struct lexer *l, struct selector *s, const char *key, enum op op, struct err *e)
{
	CLEANUP(mem_freep) char *v = read_word(l);
	struct term *t;
	int64_t n;

	if (add_term(s, op, key, op == OP_IN || op == OP_NOT_IN, &t, e) < 0)
		return -1;
	if ((op == OP_GREATER || op == OP_LESS) && !str_to_i64(v, INT64_MIN, INT64_MAX, &n))
		return bad(e, "for 'Gt', 'Lt' operators, the value must be an integer, not", v);
	return add_value(t, v, e);
}

static int read_set(struct lexer *l, struct selector *s, const char *key, struct err *e)
{
	CLEANUP(mem_freep) char *word = read_word(l);
	struct term *t;

	if (str_eq(word, "in") || str_eq(word, "notin")) {
		if (add_term(s, *word == 'i' ? OP_IN : OP_NOT_IN, key, false, &t, e) < 0)
			return -1;
		return read_values(l, t, e);
	}
	return bad(e, "found what is no operator:", *word ? word : l->p);
}

static int read_term(struct lexer *l, struct selector *s, struct err *e)
{
	bool missing = accept(l, "!");
	CLEANUP(mem_freep) char *key = read_word(l);
	struct term *t;

	if (!*key)
		return bad(e, "found no key at", l->p);
	skip_space(l);
	if (missing || !*l->p || *l->p == ',')
		return add_term(s, missing ? OP_MISSING : OP_EXISTS, key, false, &t, e);
	if (accept(l, "=="))
		return read_compared(l, s, key, OP_IN, e);
	if (accept(l, "="))
		return read_compared(l, s, key, OP_IN, e);
	if (accept(l, "!="))
		return read_compared(l, s, key, OP_NOT_IN, e);
	if (accept(l, ">"))
		return read_compared(l, s, key, OP_GREATER, e);
	if (accept(l, "<"))
		return read_compared(l, s, key, OP_LESS, e);
	return read_set(l, s, key, e);
}

int selector_parse_labels(const char *text, struct selector **ret, struct err *e)
{
	CLEANUP(selector_freep) struct selector *s = MEM_NEW(struct selector);
	struct lexer l = { .p = text };

	if (strlen(text) > SELECTOR_TEXT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "a selector is at most %d bytes long", SELECTOR_TEXT_MAX);
	skip_space(&l);
	while (*l.p) {
		if (read_term(&l, s, e) < 0)
			return -1;
		skip_space(&l);
		if (!*l.p)
			break;
		if (*l.p != ',')
			return bad(e, "found what is no ',' at", l.p);
		l.p++;
		skip_space(&l);
		if (!*l.p)
			return bad(e, "found nothing behind", ",");
	}
	*ret = TAKE(s);
	return 0;
}

/* ---- JSON ---- */

static int add_equal(struct selector *s, const char *key, const struct json *value, struct err *e)
{
	struct term *t;

	if (!json_is_str(value))
		return bad(e, "no string is the value of", key);
	if (add_term(s, OP_IN, key, true, &t, e) < 0)
		return -1;
	return add_value(t, json_str(value), e);
}

static int add_expression(struct selector *s, const struct json *x, struct err *e)
{
	static const struct {
		const char *name;
		enum op op;
	} ops[] = { { "In", OP_IN }, { "NotIn", OP_NOT_IN }, { "Exists", OP_EXISTS },
		{ "DoesNotExist", OP_MISSING } };
	const char *name = json_str_or(json_get(x, "operator"), "");
	const struct json *values = json_get(x, "values");
	struct term *t;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (!str_eq(ops[i].name, name))
			continue;
		bool set = ops[i].op == OP_IN || ops[i].op == OP_NOT_IN;

		if (set != (json_len(values) > 0))
			return bad(e, set ? "values must be non-empty for" : "values set must be empty for",
				name);
		if (add_term(s, ops[i].op, json_str_or(json_get(x, "key"), ""), false, &t, e) < 0)
			return -1;
		JSON_EACH (it, values)
			if (!json_is_str(it.val) || add_value(t, json_str(it.val), e) < 0)
				return bad(e, "a value is no label value for", name);
		return 0;
	}
	return err_set(e, ERR_BAD_REQUEST, "\"%.64s\" is not a valid label selector operator", name);
}

int selector_from_json(const struct json *label_selector, struct selector **ret, struct err *e)
{
	CLEANUP(selector_freep) struct selector *s = MEM_NEW(struct selector);

	if (json_is_null(label_selector)) {
		s->nothing = true;
		*ret = TAKE(s);
		return 0;
	}
	JSON_EACH (it, json_get(label_selector, "matchLabels"))
		if (add_equal(s, it.key, it.val, e) < 0)
			return -1;
	JSON_EACH (it, json_get(label_selector, "matchExpressions"))
		if (add_expression(s, it.val, e) < 0)
			return -1;
	*ret = TAKE(s);
	return 0;
}

struct selector *selector_from_map(const struct json *map)
{
	struct selector *s = MEM_NEW(struct selector);

	JSON_EACH (it, map)
		if (add_equal(s, it.key, it.val, NULL) < 0)
			s->nothing = true; /* no object can have such a label */
	return s;
}

/* ---- matching ---- */

static bool compare(const struct term *t, const char *value)
{
	int64_t have, want;

	if (!value || !t->values.len || !str_to_i64(value, INT64_MIN, INT64_MAX, &have) ||
		!str_to_i64(t->values.items[0], INT64_MIN, INT64_MAX, &want))
		return false;
	return t->op == OP_GREATER ? have > want : have < want;
}

static bool term_matches(const struct term *t, const struct json *labels)
{
	const char *value = json_get_str(labels, t->key);

	switch (t->op) {
	case OP_IN:
		return value && strv_has(&t->values, value);
	case OP_NOT_IN:
		return !value || !strv_has(&t->values, value);
	case OP_EXISTS:
		return value;
	case OP_MISSING:
		return !value;
	case OP_GREATER:
	case OP_LESS:
		return compare(t, value);
	}
	return false;
}

bool selector_matches(const struct selector *s, const struct json *labels)
{
	if (!s)
		return true;
	if (s->nothing)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!term_matches(&s->terms[i], labels))
			return false;
	return true;
}

void selector_text(const struct selector *s, struct str *out)
{
	for (size_t i = 0; s && i < s->n; i++) {
		const struct term *t = &s->terms[i];
		CLEANUP(mem_freep) char *values = strv_join(&t->values, ",");

		if (i)
			str_addc(out, ',');
		if (t->op == OP_MISSING)
			str_addc(out, '!');
		str_add(out, t->key);
		if (t->op == OP_GREATER || t->op == OP_LESS)
			str_addf(out, "%s%s", t->op == OP_GREATER ? ">" : "<", values);
		else if (t->equals)
			str_addf(out, "%s%s", t->op == OP_IN ? "=" : "!=", values);
		else if (t->op == OP_IN || t->op == OP_NOT_IN)
			str_addf(out, " %s (%s)", t->op == OP_IN ? "in" : "notin", values);
	}
}
