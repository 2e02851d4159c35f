/* SPDX-License-Identifier: Apache-2.0 */
#include "api/managers.h"

#include <string.h>

#include "base/mem.h"
#include "base/time.h"

#define UPDATERS_MAX 10 /* older Update entries are summed up under one name, as upstream does */
#define ANCIENT "ancient-changes"

static void manager_done(struct manager *m)
{
	free(m->name);
	free(m->operation);
	free(m->api_version);
	free(m->subresource);
	free(m->time);
	fset_done(&m->fields);
}

void managers_done(struct managers *m)
{
	for (size_t i = 0; i < m->n; i++)
		manager_done(&m->items[i]);
	free(m->items);
	*m = (struct managers){ 0 };
}

struct manager *managers_add(struct managers *m, const char *name, const char *operation,
	const char *api_version, const char *subresource)
{
	m->items = mem_grow(m->items, &m->cap, m->n + 1, sizeof(*m->items));
	m->items[m->n] = (struct manager){ .name = mem_strdup(name),
		.operation = mem_strdup(operation),
		.api_version = mem_strdup(api_version),
		.subresource = mem_strdup(subresource) };
	return &m->items[m->n++];
}

struct manager *managers_find(const struct managers *m, const char *name, const char *operation,
	const char *api_version, const char *subresource)
{
	for (size_t i = 0; i < m->n; i++) {
		struct manager *x = &m->items[i];

		if (str_eq(x->name, name) && str_eq(x->operation, operation) &&
			str_eq(x->subresource, subresource) &&
			(str_eq(operation, "Apply") || str_eq(x->api_version, api_version)))
			return x;
	}
	return NULL;
}

void manager_touch(struct manager *m, int64_t now_ms)
{
	char buf[TIME_TEXT_MAX];

	free(m->time);
	m->time = mem_strdup(time_rfc3339(now_ms, buf));
}

void managers_read(struct managers *m, const struct json *list)
{
	JSON_EACH (it, list) {
		const char *name = json_str_or(json_get(it.val, "manager"), "");
		const char *operation = json_str_or(json_get(it.val, "operation"), "");

		if (!str_eq(operation, "Apply") && !str_eq(operation, "Update"))
			continue;
		struct manager *x =
			managers_add(m, name, operation, json_str_or(json_get(it.val, "apiVersion"), ""),
				json_str_or(json_get(it.val, "subresource"), ""));
		const char *time = json_get_str(it.val, "time");
		x->time = time ? mem_strdup(time) : NULL;
		fset_from_json(&x->fields, json_get(it.val, "fieldsV1"));
	}
}

/* Appliers first, then updaters by time, as upstream sorts them. */
static int compare_managers(const void *a, const void *b)
{
	const struct manager *x = a, *y = b;
	int d = strcmp(x->operation, y->operation);

	if (!d)
		d = strcmp(x->time ? x->time : "", y->time ? y->time : "");
	if (!d)
		d = strcmp(x->name, y->name);
	return d ? d : strcmp(x->subresource, y->subresource);
}

static void drop(struct managers *m, size_t i)
{
	manager_done(&m->items[i]);
	memmove(&m->items[i], &m->items[i + 1], (m->n - i - 1) * sizeof(*m->items));
	m->n--;
}

/* Sorted already: the oldest updaters come first. */
static void sum_up_old(struct managers *m)
{
	size_t updaters = 0, first = m->n;

	for (size_t i = m->n; i > 0; i--)
		if (str_eq(m->items[i - 1].operation, "Update")) {
			updaters++;
			first = i - 1;
		}
	while (updaters > UPDATERS_MAX && first + 1 < m->n) {
		struct manager *into = &m->items[first + 1];

		fset_add(&into->fields, &m->items[first].fields);
		free(into->name);
		into->name = mem_strdup(ANCIENT);
		drop(m, first);
		updaters--;
	}
}

void managers_write(struct managers *m, struct json_doc *d, struct json *o)
{
	struct json *meta = json_need_obj(d, o, "metadata");

	for (size_t i = m->n; i > 0; i--) {
		fset_tidy(&m->items[i - 1].fields);
		if (fset_empty(&m->items[i - 1].fields))
			drop(m, i - 1);
	}
	if (!m->n) {
		json_remove(meta, "managedFields");
		return;
	}
	if (m->n > 1)
		qsort(m->items, m->n, sizeof(*m->items), compare_managers);
	sum_up_old(m);
	struct json *list = json_new_arr(d);
	for (size_t i = 0; i < m->n; i++) {
		const struct manager *x = &m->items[i];
		struct json *e = json_new_obj(d);

		json_set_str(d, e, "manager", x->name);
		json_set_str(d, e, "operation", x->operation);
		json_set_str(d, e, "apiVersion", x->api_version);
		json_set_str(d, e, "time", x->time);
		json_set_str(d, e, "fieldsType", "FieldsV1");
		json_set(d, e, "fieldsV1", fset_to_json(d, &x->fields));
		if (*x->subresource)
			json_set_str(d, e, "subresource", x->subresource);
		json_append(d, list, e);
	}
	json_set(d, meta, "managedFields", list);
}

static void keep_status_only(struct fset *s)
{
	struct fset only = { 0 };
	const struct fset *status = fset_kid(s, "f:status");

	if (status)
		fset_add(fset_need(&only, "f:status"), status);
	fset_done(s);
	s->kids = only.kids;
	s->n = only.n;
	s->cap = only.cap;
}

void managers_strip(struct fset *s, const char *subresource)
{
	static const char *const root[] = { "f:apiVersion", "f:kind", "f:status" };
	static const char *const in_meta[] = { "f:name", "f:namespace", "f:creationTimestamp", "f:selfLink",
		"f:uid", "f:generation", "f:managedFields", "f:resourceVersion", "f:deletionTimestamp",
		"f:deletionGracePeriodSeconds" };
	struct fset *meta;

	s->member = false;
	if (str_eq(subresource, "status")) {
		keep_status_only(s);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(root); i++)
		fset_drop(s, root[i]);
	meta = fset_kid(s, "f:metadata");
	if (meta) {
		meta->member = false;
		for (size_t i = 0; i < ARRAY_LEN(in_meta); i++)
			fset_drop(meta, in_meta[i]);
	}
	fset_tidy(s);
}
