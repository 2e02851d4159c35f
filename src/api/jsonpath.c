/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jsonpath.h"

#include <string.h>

#include "base/mem.h"

#define STEPS_MAX 64
#define TEXT_MAX 4096

enum step_kind { STEP_KEY, STEP_INDEX, STEP_ALL, STEP_FILTER };
enum compare { CMP_EXISTS, CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };
struct step {
	enum step_kind kind;
	char *key;             /* of STEP_KEY */
	int64_t index;         /* negative: from the end */
	struct jsonpath *left; /* of STEP_FILTER: path from the item */
	enum compare cmp;
	struct json_doc *right; /* what it is compared with */
};
struct jsonpath {
	struct step steps[STEPS_MAX];
	size_t n;
};

void jsonpath_free(struct jsonpath *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->steps[i].key);
		jsonpath_free(p->steps[i].left);
		json_doc_free(p->steps[i].right);
	}
	free(p);
}

static void jsonpath_freep(struct jsonpath **p)
{
	jsonpath_free(*p);
}

static int bad(struct err *e, const char *at)
{
	return err_set(e, ERR_INVALID, "JSONPath is not understood at '%.64s'", at);
}

static struct step *add_step(struct jsonpath *p, enum step_kind kind)
{
	if (p->n == STEPS_MAX)
		return NULL;
	p->steps[p->n].kind = kind;
	return &p->steps[p->n++];
}

/* Quoted text at *at ('..' or ".."); backslash keeps the next character. NULL: no end. */
static char *read_quoted(const char **at)
{
	char quote = *(*at)++;
	struct str s = { 0 };

	for (; **at && **at != quote; (*at)++) {
		if (**at == '\\' && (*at)[1])
			(*at)++;
		str_addc(&s, **at);
	}
	if (**at != quote) {
		str_done(&s);
		return NULL;
	}
	(*at)++;
	return str_take(&s);
}

/* .name, with \. for a dot that belongs to it */
static char *read_name(const char **at)
{
	struct str s = { 0 };

	for (; **at && !strchr(".[]{}()=!<> ", **at); (*at)++) {
		if (**at == '\\' && (*at)[1])
			(*at)++;
		str_addc(&s, **at);
	}
	return str_take(&s);
}

static void skip_space(const char **at)
{
	while (**at == ' ')
		(*at)++;
}

static int parse_steps(const char **at, struct jsonpath *p, bool in_filter, struct err *e);

static int read_literal(const char **at, struct step *s, struct err *e)
{
	skip_space(at);
	s->right = json_doc_new();
	if (**at == '\'' || **at == '"') {
		CLEANUP(mem_freep) char *text = read_quoted(at);

		if (!text)
			return bad(e, *at);
		json_set_root(s->right, json_new_str(s->right, text));
		return 0;
	}
	size_t n = strcspn(*at, ")& ");
	json_doc_free(s->right);
	s->right = json_parse(*at, n, NULL);
	if (!s->right)
		return bad(e, *at);
	*at += n;
	return 0;
}

/* Behind "?(": @.path OP literal )] */
static int read_filter(const char **at, struct jsonpath *p, struct err *e)
{
	static const struct {
		const char *text;
		enum compare cmp;
	} ops[] = { { "==", CMP_EQ }, { "!=", CMP_NE }, { "<=", CMP_LE }, { ">=", CMP_GE }, { "<", CMP_LT },
		{ ">", CMP_GT } };
	struct step *s = add_step(p, STEP_FILTER);

	if (!s)
		return bad(e, *at);
	s->left = MEM_NEW(struct jsonpath);
	skip_space(at);
	if (*(*at)++ != '@')
		return bad(e, *at - 1);
	if (parse_steps(at, s->left, true, e) < 0)
		return -1;
	skip_space(at);
	for (size_t i = 0; i < ARRAY_LEN(ops) && s->cmp == CMP_EXISTS; i++)
		if (str_starts(*at, ops[i].text)) {
			s->cmp = ops[i].cmp;
			*at += strlen(ops[i].text);
		}
	if (s->cmp != CMP_EXISTS && read_literal(at, s, e) < 0)
		return -1;
	skip_space(at);
	if (!str_starts(*at, ")]"))
		return bad(e, *at);
	*at += 2;
	return 0;
}

static int read_brackets(const char **at, struct jsonpath *p, struct err *e)
{
	const char *from = *at;
	struct step *s;

	(*at)++;
	if (str_starts(*at, "?(")) {
		*at += 2;
		return read_filter(at, p, e);
	}
	if (**at == '\'' || **at == '"') {
		CLEANUP(mem_freep) char *key = read_quoted(at);

		if (!key || !(s = add_step(p, STEP_KEY)))
			return bad(e, from);
		s->key = TAKE(key);
	} else if (**at == '*') {
		(*at)++;
		if (!add_step(p, STEP_ALL))
			return bad(e, from);
	} else {
		size_t n = strcspn(*at, "]");
		CLEANUP(mem_freep) char *digits = mem_strndup(*at, n);
		int64_t i;

		if (!str_to_i64(digits, INT32_MIN, INT32_MAX, &i) || !(s = add_step(p, STEP_INDEX)))
			return bad(e, from);
		s->index = i;
		*at += n;
	}
	if (**at != ']')
		return bad(e, from);
	(*at)++;
	return 0;
}

static int parse_steps(const char **at, struct jsonpath *p, bool in_filter, struct err *e)
{
	while (**at) {
		if (**at == '[') {
			if (read_brackets(at, p, e) < 0)
				return -1;
			continue;
		}
		if (in_filter && strchr(" =!<>)", **at))
			return 0;
		if (**at != '.')
			return bad(e, *at);
		(*at)++;
		if (**at == '[' || (!**at && !p->n))
			continue;
		if (**at == '*') {
			(*at)++;
			if (!add_step(p, STEP_ALL))
				return bad(e, *at);
			continue;
		}
		CLEANUP(mem_freep) char *name = read_name(at);
		struct step *s = *name ? add_step(p, STEP_KEY) : NULL;
		if (!s)
			return bad(e, *at);
		s->key = TAKE(name);
	}
	return 0;
}

int jsonpath_parse(const char *text, struct jsonpath **ret, struct err *e)
{
	CLEANUP(jsonpath_freep) struct jsonpath *p = MEM_NEW(struct jsonpath);
	CLEANUP(mem_freep) char *copy = NULL;
	size_t n = strlen(text);

	if (n > TEXT_MAX)
		return err_set(e, ERR_INVALID, "a JSONPath is at most %d bytes long", TEXT_MAX);
	if (n >= 2 && text[0] == '{' && text[n - 1] == '}') {
		text++;
		n -= 2;
	}
	if (n && *text == '$') {
		text++;
		n--;
	}
	copy = n && *text != '.' && *text != '[' ? str_printf(".%.*s", (int)n, text) : mem_strndup(text, n);
	const char *at = copy;
	if (parse_steps(&at, p, false, e) < 0)
		return -1;
	*ret = TAKE(p);
	return 0;
}

/* ---- evaluation ---- */

static bool ordered(const struct json *a, const struct json *b, enum compare cmp)
{
	int d;

	if (json_is_num(a) && json_is_num(b))
		d = json_num(a) < json_num(b) ? -1 : json_num(a) > json_num(b);
	else if (json_is_str(a) && json_is_str(b))
		d = strcmp(json_str(a), json_str(b));
	else
		return false;
	switch (cmp) {
	case CMP_LT:
		return d < 0;
	case CMP_LE:
		return d <= 0;
	case CMP_GT:
		return d > 0;
	case CMP_GE:
		return d >= 0;
	default:
		return false;
	}
}

static bool passes(const struct step *s, const struct json *item)
{
	const struct json *v = jsonpath_first(s->left, item);

	if (s->cmp == CMP_EXISTS)
		return v;
	if (!v)
		return false;
	if (s->cmp == CMP_EQ || s->cmp == CMP_NE)
		return json_eq(v, json_root(s->right)) == (s->cmp == CMP_EQ);
	return ordered(v, json_root(s->right), s->cmp);
}

static void walk(const struct jsonpath *p, size_t at, const struct json *v, jsonpath_fn *fn, void *arg)
{
	if (!v)
		return;
	if (at == p->n) {
		fn(arg, v);
		return;
	}
	const struct step *s = &p->steps[at];
	switch (s->kind) {
	case STEP_KEY:
		walk(p, at + 1, json_get(v, s->key), fn, arg);
		break;
	case STEP_INDEX: {
		int64_t i = s->index < 0 ? s->index + (int64_t)json_len(v) : s->index;

		if (json_is_arr(v) && i >= 0 && (size_t)i < json_len(v))
			walk(p, at + 1, json_item(v, (size_t)i), fn, arg);
		break;
	}
	case STEP_ALL:
		JSON_EACH (it, v)
			walk(p, at + 1, it.val, fn, arg);
		break;
	case STEP_FILTER:
		JSON_EACH (it, v)
			if (passes(s, it.val))
				walk(p, at + 1, it.val, fn, arg);
		break;
	}
}

void jsonpath_each(const struct jsonpath *p, const struct json *root, jsonpath_fn *fn, void *arg)
{
	walk(p, 0, root, fn, arg);
}

static void keep_first(void *arg, const struct json *v)
{
	const struct json **first = arg;

	if (!*first)
		*first = v;
}

const struct json *jsonpath_first(const struct jsonpath *p, const struct json *root)
{
	const struct json *first = NULL;

	walk(p, 0, root, keep_first, &first);
	return first;
}
