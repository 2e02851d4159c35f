/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fieldset.h"

#include <string.h>

#include "base/mem.h"

void fset_done(struct fset *s)
{
	for (size_t i = 0; i < s->n; i++)
		fset_done(&s->kids[i]);
	free(s->kids);
	free(s->key);
	*s = (struct fset){ 0 };
}

/* Where key is or would stand. */
static size_t place_of(const struct fset *s, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int d = strcmp(s->kids[mid].key, key);

		if (d == 0) {
			*ret_found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

struct fset *fset_kid(const struct fset *s, const char *key)
{
	bool found = false;
	size_t i = s ? place_of(s, key, &found) : 0;

	return found ? &s->kids[i] : NULL;
}

struct fset *fset_need(struct fset *s, const char *key)
{
	bool found;
	size_t i = place_of(s, key, &found);

	if (found)
		return &s->kids[i];
	s->kids = mem_grow(s->kids, &s->cap, s->n + 1, sizeof(*s->kids));
	memmove(&s->kids[i + 1], &s->kids[i], (s->n - i) * sizeof(*s->kids));
	s->n++;
	s->kids[i] = (struct fset){ .key = mem_strdup(key) };
	return &s->kids[i];
}

/* Made for each field of each object that is written: without printf, and names are short. */
struct fset *fset_need_field(struct fset *s, const char *name)
{
	char small[128];
	size_t len = strlen(name);
	CLEANUP(mem_freep) char *large = len + 3 > sizeof(small) ? mem_alloc(len + 3) : NULL;
	char *key = large ? large : small;

	memcpy(key, "f:", 2);
	memcpy(key + 2, name, len + 1);
	return fset_need(s, key);
}

void fset_drop(struct fset *s, const char *key)
{
	bool found;
	size_t i = place_of(s, key, &found);

	if (!found)
		return;
	fset_done(&s->kids[i]);
	s->n--;
	memmove(&s->kids[i], &s->kids[i + 1], (s->n - i) * sizeof(*s->kids));
}

bool fset_empty(const struct fset *s)
{
	return !s->member && !s->n;
}

bool fset_eq(const struct fset *a, const struct fset *b)
{
	if (a->member != b->member || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->kids[i].key, b->kids[i].key) != 0 || !fset_eq(&a->kids[i], &b->kids[i]))
			return false;
	return true;
}

void fset_add(struct fset *to, const struct fset *from)
{
	to->member |= from->member;
	for (size_t i = 0; i < from->n; i++)
		fset_add(fset_need(to, from->kids[i].key), &from->kids[i]);
}

void fset_take(struct fset *to, struct fset *from)
{
	if (!fset_empty(to)) {
		fset_add(to, from);
		return;
	}
	free(to->kids);
	to->member = from->member;
	to->kids = from->kids;
	to->n = from->n;
	to->cap = from->cap;
	from->kids = NULL;
	from->n = from->cap = 0;
	from->member = false;
}

void fset_copy(struct fset *to, const struct fset *from)
{
	*to = (struct fset){ 0 };
	fset_add(to, from);
}

static void drop_empty_kids(struct fset *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (fset_empty(&s->kids[i]))
			fset_done(&s->kids[i]);
		else
			s->kids[n++] = s->kids[i];
	}
	s->n = n;
}

void fset_tidy(struct fset *s)
{
	for (size_t i = 0; i < s->n; i++)
		fset_tidy(&s->kids[i]);
	drop_empty_kids(s);
}

static void clear(struct fset *s)
{
	s->member = false;
	for (size_t i = 0; i < s->n; i++)
		fset_done(&s->kids[i]);
	s->n = 0;
}

void fset_subtract(struct fset *s, const struct fset *gone, bool below)
{
	if (gone->member) {
		s->member = false;
		if (below) {
			clear(s);
			return;
		}
	}
	for (size_t i = 0; i < gone->n; i++) {
		struct fset *kid = fset_kid(s, gone->kids[i].key);

		if (kid)
			fset_subtract(kid, &gone->kids[i], below);
	}
	drop_empty_kids(s);
}

void fset_intersect(const struct fset *a, const struct fset *b, struct fset *ret)
{
	ret->member = a->member && b->member;
	for (size_t i = 0; i < a->n; i++) {
		const struct fset *other = fset_kid(b, a->kids[i].key);
		struct fset both = { 0 };

		if (!other)
			continue;
		fset_intersect(&a->kids[i], other, &both);
		if (!fset_empty(&both)) {
			struct fset *kid = fset_need(ret, a->kids[i].key);
			fset_add(kid, &both);
		}
		fset_done(&both);
	}
}

void fset_from_json(struct fset *s, const struct json *fields_v1)
{
	JSON_EACH (it, fields_v1) {
		if (str_eq(it.key, ".")) {
			s->member = true;
			continue;
		}
		struct fset *kid = fset_need(s, it.key);
		fset_from_json(kid, it.val);
		if (json_len(it.val) == 0)
			kid->member = true;
	}
}

struct json *fset_to_json(struct json_doc *d, const struct fset *s)
{
	struct json *o = json_new_obj(d);

	if (s->member && s->n)
		json_add(d, o, ".", json_new_obj(d));
	for (size_t i = 0; i < s->n; i++)
		json_add(d, o, s->kids[i].key, fset_to_json(d, &s->kids[i]));
	return o;
}

/* ---- as text ---- */

static void add_element(struct str *path, const char *key)
{
	const char *text = key + 2;

	if (*key == 'f') {
		str_addf(path, ".%s", text);
	} else if (*key == 'k') {
		CLEANUP(json_doc_freep) struct json_doc *d = json_parse(text, strlen(text), NULL);

		str_addc(path, '[');
		JSON_EACH (it, d ? json_root(d) : NULL) {
			str_addf(path, "%s%s=", it.i ? "," : "", it.key);
			json_write_to(it.val, path);
		}
		str_addc(path, ']');
	} else {
		str_addf(path, "[%s%s]", *key == 'v' ? "=" : "", text);
	}
}

static void each(const struct fset *s, struct str *path, fset_fn *fn, void *arg)
{
	if (s->member)
		fn(arg, str_cstr(path));
	for (size_t i = 0; i < s->n; i++) {
		size_t len = path->len;

		if (strlen(s->kids[i].key) < 2)
			continue;
		add_element(path, s->kids[i].key);
		each(&s->kids[i], path, fn, arg);
		path->len = len;
		path->data[len] = '\0';
	}
}

void fset_each(const struct fset *s, fset_fn *fn, void *arg)
{
	CLEANUP(str_done) struct str path = { 0 };

	str_reserve(&path, 1);
	each(s, &path, fn, arg);
}
