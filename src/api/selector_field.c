/* SPDX-License-Identifier: Apache-2.0 */
#include "api/selector.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct field_term {
	char *path, *value;
	char *deflt; /* of an absent field; NULL: "" */
	bool differs;
};
struct field_selector {
	struct field_term *terms;
	size_t n, cap;
};

void field_selector_free(struct field_selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->terms[i].path);
		free(s->terms[i].value);
		free(s->terms[i].deflt);
	}
	free(s->terms);
	free(s);
}

void field_selector_freep(struct field_selector **s)
{
	field_selector_free(*s);
	*s = NULL;
}

/* Up to an unescaped comma; *p behind it. A backslash keeps the next of \ , = from meaning anything. */
static char *read_value(const char **p, bool *ret_ok)
{
	struct str s = { 0 };

	*ret_ok = true;
	for (; **p && **p != ','; (*p)++) {
		if (**p == '\\') {
			(*p)++;
			if (!**p || !strchr("\\,=", **p)) {
				*ret_ok = false;
				break;
			}
		} else if (**p == '=') {
			*ret_ok = false;
			break;
		}
		str_addc(&s, **p);
	}
	return str_take(&s);
}

static bool read_term(struct field_selector *s, const char **p)
{
	size_t n = strcspn(*p, "=!,\\");
	const char *op = *p + n;
	bool differs = op[0] == '!' && op[1] == '=', ok;

	if (!n || (!differs && *op != '='))
		return false;
	struct field_term t = { .path = mem_strndup(*p, n), .differs = differs };
	*p = op + (differs || op[1] == '=' ? 2 : 1);
	t.value = read_value(p, &ok);
	s->terms = mem_grow(s->terms, &s->cap, s->n + 1, sizeof(*s->terms));
	s->terms[s->n++] = t;
	return ok;
}

int field_selector_parse(const char *text, struct field_selector **ret, struct err *e)
{
	CLEANUP(field_selector_freep) struct field_selector *s = MEM_NEW(struct field_selector);
	const char *p = text;

	if (strlen(text) > SELECTOR_TEXT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "a selector is at most %d bytes long", SELECTOR_TEXT_MAX);
	while (*p) {
		if (*p == ',') { /* empty terms are let be, as upstream does */
			p++;
			continue;
		}
		const char *from = p;
		if (s->n == SELECTOR_TERMS_MAX || !read_term(s, &p))
			return err_set(e, ERR_BAD_REQUEST,
				"invalid selector: '%.64s'; can't understand '%.64s'", text, from);
	}
	*ret = TAKE(s);
	return 0;
}

/* Dotted path to a scalar, as text. */
static const char *value_at(const struct json *o, const char *path, char buf[32])
{
	for (const char *p = path; o;) {
		size_t n = strcspn(p, ".");

		o = json_getn(o, p, n);
		if (!p[n])
			break;
		p += n + 1;
	}
	if (json_is_str(o))
		return json_str(o);
	if (json_is_bool(o))
		return json_bool(o) ? "true" : "false";
	if (!json_is_int(o))
		return "";
	snprintf(buf, 32, "%lld", (long long)json_i64(o));
	return buf;
}

/* "a.b|c": the first of them that is there. */
static const char *value_of(const struct json *o, const char *path, char buf[32])
{
	const char *v = "";

	if (!strchr(path, '|'))
		return value_at(o, path, buf);
	for (const char *p = path; !*v && *p;) {
		size_t n = strcspn(p, "|");
		CLEANUP(mem_freep) char *one = mem_strndup(p, n);

		v = value_at(o, one, buf);
		p += n + (p[n] == '|');
	}
	return v;
}

bool field_selector_matches(const struct field_selector *s, const struct json *o)
{
	char buf[32];

	for (size_t i = 0; s && i < s->n; i++) {
		const char *v = value_of(o, s->terms[i].path, buf);

		if (!*v && s->terms[i].deflt)
			v = s->terms[i].deflt;
		if (str_eq(v, s->terms[i].value) == s->terms[i].differs)
			return false;
	}
	return true;
}

const char *field_selector_value(const struct field_selector *s, const char *path)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (!s->terms[i].differs && str_eq(s->terms[i].path, path))
			return s->terms[i].value;
	return NULL;
}

bool field_selector_each(const struct field_selector *s, size_t *i, const char **ret_path)
{
	if (!s || *i >= s->n)
		return false;
	*ret_path = s->terms[(*i)++].path;
	return true;
}

void field_selector_rename(struct field_selector *s, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (size_t i = 0; s && i < s->n; i++) {
		char *path = s->terms[i].path;

		if (!str_starts(path, from) || (path[len] != '.' && path[len] != '\0'))
			continue;
		s->terms[i].path = str_printf("%s%s", to, path + len);
		free(path);
	}
}

void field_selector_map(
	struct field_selector *s, size_t i, const char *path, size_t path_len, const char *deflt)
{
	struct field_term *t = &s->terms[i];

	MUST(i < s->n);
	free(t->path);
	free(t->deflt);
	t->path = mem_strndup(path, path_len);
	t->deflt = deflt ? mem_strdup(deflt) : NULL;
}
