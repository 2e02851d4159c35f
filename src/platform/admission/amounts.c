/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/amounts.h"

#include "base/mem.h"

#include <string.h>

void amounts_done(struct amounts *a)
{
	for (size_t i = 0; i < a->len; i++)
		free(a->items[i].name);
	free(a->items);
	*a = (struct amounts){ 0 };
}

static size_t place(const struct amounts *a, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = a->len;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int cmp = strcmp(a->items[mid].name, name);

		if (cmp == 0)
			*ret_found = true;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct quantity *amounts_get(const struct amounts *a, const char *name)
{
	bool found;
	size_t i = place(a, name, &found);

	return found ? &a->items[i].q : NULL;
}

/* The entry, zero if it is new. */
static struct quantity *need(struct amounts *a, const char *name, bool *ret_found)
{
	size_t i = place(a, name, ret_found);

	if (!*ret_found) {
		a->items = mem_grow(a->items, &a->cap, a->len + 1, sizeof(*a->items));
		memmove(&a->items[i + 1], &a->items[i], (a->len - i) * sizeof(*a->items));
		a->items[i] = (struct amount){ .name = mem_strdup(name), .q = { .format = 'd' } };
		a->len++;
	}
	return &a->items[i].q;
}

void amounts_add(struct amounts *a, const char *name, const struct quantity *q)
{
	bool found;

	quantity_add(need(a, name, &found), q);
}

void amounts_add_count(struct amounts *a, const char *name, int64_t n)
{
	amounts_add(a, name, &(struct quantity){ .value = n, .format = 'd' });
}

void amounts_add_all(struct amounts *a, const struct amounts *more)
{
	for (size_t i = 0; i < more->len; i++)
		amounts_add(a, more->items[i].name, &more->items[i].q);
}

void amounts_raise(struct amounts *a, const char *name, const struct quantity *q)
{
	bool found;
	struct quantity *now = need(a, name, &found);

	if (!found || quantity_cmp(now, q) < 0)
		*now = *q;
}

void amounts_set(struct amounts *a, const char *name, const struct quantity *q)
{
	bool found;

	*need(a, name, &found) = *q;
}

void amounts_read(struct amounts *a, const struct json *map)
{
	JSON_EACH (it, map) {
		struct quantity q;

		if (it.key && quantity_from_json(it.val, &q, NULL) == 0)
			amounts_add(a, it.key, &q);
	}
}

void amounts_write(const struct amounts *a, struct json_doc *d, struct json *map)
{
	char buf[QUANTITY_TEXT_MAX];

	for (size_t i = 0; i < a->len; i++)
		json_set_str(d, map, a->items[i].name, quantity_text(&a->items[i].q, buf));
}

void amounts_text(const struct amounts *a, struct str *out)
{
	char buf[QUANTITY_TEXT_MAX];

	for (size_t i = 0; i < a->len; i++)
		str_addf(out, "%s%s=%s", i ? "," : "", a->items[i].name, quantity_text(&a->items[i].q, buf));
}

/* ---- pods ---- */
static void raise_all(struct amounts *a, const struct amounts *more)
{
	for (size_t i = 0; i < more->len; i++)
		amounts_raise(a, more->items[i].name, &more->items[i].q);
}

static void add_overhead(const struct json *overhead, bool only_known, struct amounts *a)
{
	CLEANUP(amounts_done) struct amounts more = { 0 };

	amounts_read(&more, overhead);
	for (size_t i = 0; i < more.len; i++)
		if (!only_known || amounts_get(a, more.items[i].name))
			amounts_add(a, more.items[i].name, &more.items[i].q);
}

void pod_amounts(const struct json *spec, const char *what, struct amounts *ret)
{
	CLEANUP(amounts_done) struct amounts sidecars = { 0 };
	CLEANUP(amounts_done) struct amounts most = { 0 };
	CLEANUP(amounts_done) struct amounts own = { 0 };

	JSON_EACH (it, json_get(spec, "containers"))
		amounts_read(ret, json_get(json_get(it.val, "resources"), what));
	JSON_EACH (it, json_get(spec, "initContainers")) {
		CLEANUP(amounts_done) struct amounts now = { 0 };
		const struct json *map = json_get(json_get(it.val, "resources"), what);

		if (str_eq(json_get_str(it.val, "restartPolicy"), "Always")) {
			amounts_read(ret, map);
			amounts_read(&sidecars, map);
		} else {
			amounts_read(&now, map);
		}
		amounts_add_all(&now, &sidecars);
		raise_all(&most, &now);
	}
	raise_all(ret, &most);
	amounts_read(&own, json_get(json_get(spec, "resources"), what));
	for (size_t i = 0; i < own.len; i++)
		amounts_set(ret, own.items[i].name, &own.items[i].q);
	/* a limit on what was unlimited would be a new one */
	add_overhead(json_get(spec, "overhead"), str_eq(what, "limits"), ret);
}
