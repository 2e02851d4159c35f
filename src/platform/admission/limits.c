/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/limits.h"

#include "base/mem.h"
#include "platform/admission/amounts.h"

#include <string.h>

/* ---- defaults ---- */
static void fill_one(const struct json *wanted, struct json_doc *d, struct json *container, const char *what,
	struct strv *ret_set)
{
	JSON_EACH (it, wanted) {
		const struct json *resources = json_get(container, "resources");

		if (json_get(json_get(resources, what), it.key))
			continue;
		json_set_copy(
			d, json_need_obj(d, json_need_obj(d, container, "resources"), what), it.key, it.val);
		strv_add(ret_set, it.key);
	}
}

static void note(struct strv *set, const char *what, const char *kind, const char *name, struct strv *notes)
{
	CLEANUP(mem_freep) char *list = NULL;

	if (set->len == 0)
		return;
	strv_sort(set);
	list = strv_join(set, ", ");
	strv_addf(notes, "%s %s for %s %s", list, what, kind, name);
}

static void fill_container(const struct json *item, struct json_doc *d, struct json *container,
	const char *kind, struct strv *notes)
{
	CLEANUP(strv_done) struct strv limits = { 0 };
	CLEANUP(strv_done) struct strv requests = { 0 };
	const char *name = json_str_or(json_get(container, "name"), "");

	fill_one(json_get(item, "default"), d, container, "limits", &limits);
	fill_one(json_get(item, "defaultRequest"), d, container, "requests", &requests);
	note(&requests, "request", kind, name, notes);
	note(&limits, "limit", kind, name, notes);
}

void limits_fill(const struct json *range, struct json_doc *d, struct json *pod, struct strv *notes)
{
	static const char *const lists[][2] = { { "containers", "container" },
		{ "initContainers", "init container" } };
	const struct json *spec = json_get(pod, "spec");

	JSON_EACH (it, json_at(range, "/spec/limits")) {
		if (!str_eq(json_get_str(it.val, "type"), "Container"))
			continue;
		for (size_t l = 0; l < ARRAY_LEN(lists); l++)
			JSON_EACH (c, json_get(spec, lists[l][0])) {
				if (json_is_obj(c.val))
					fill_container(it.val, d, c.val, lists[l][1], notes);
			}
	}
}

/* ---- checks ---- */
struct bounds {
	const char *type, *resource;
	struct quantity enforced;
	const struct quantity *request, *limit; /* NULL: none */
	struct strv *why;
};

static void add_why(const struct bounds *b, const char *word, const char *tail, const struct quantity *seen)
{
	char enforced[QUANTITY_TEXT_MAX], text[QUANTITY_TEXT_MAX] = "";
	CLEANUP(mem_freep) char *m = NULL;

	if (seen)
		quantity_text(seen, text);
	m = str_printf("%s %s usage per %s is %s%s%s", word, b->resource, b->type,
		quantity_text(&b->enforced, enforced), tail, text);
	if (!strv_has(b->why, m))
		strv_add(b->why, m);
}

static void check_min(const struct bounds *b)
{
	if (!b->request)
		add_why(b, "minimum", ".  No request is specified", NULL);
	else if (quantity_cmp(b->request, &b->enforced) < 0)
		add_why(b, "minimum", ", but request is ", b->request);
	else if (b->limit && quantity_cmp(b->limit, &b->enforced) < 0)
		add_why(b, "minimum", ", but limit is ", b->limit);
}

static void check_max(const struct bounds *b)
{
	if (!b->limit)
		add_why(b, "maximum", ".  No limit is specified", NULL);
	else if (quantity_cmp(b->limit, &b->enforced) > 0)
		add_why(b, "maximum", ", but limit is ", b->limit);
	else if (b->request && quantity_cmp(b->request, &b->enforced) > 0)
		add_why(b, "maximum", ", but request is ", b->request);
}

/* Claims have no limits. */
static void check_max_request(const struct bounds *b)
{
	if (!b->request)
		add_why(b, "maximum", ".  No request is specified", NULL);
	else if (quantity_cmp(b->request, &b->enforced) > 0)
		add_why(b, "maximum", ", but request is ", b->request);
}

static double as_number(const struct quantity *q)
{
	return (double)q->value + q->nano / 1e9;
}

static bool is_zero(const struct quantity *q)
{
	return !q || (q->value == 0 && q->nano == 0);
}

static void check_limit_ratio(const struct bounds *b)
{
	char enforced[QUANTITY_TEXT_MAX];
	CLEANUP(mem_freep) char *m = NULL;
	double ratio;

	quantity_text(&b->enforced, enforced);
	if (is_zero(b->request))
		m = str_printf("%s max limit to request ratio per %s is %s, but no request is specified or "
			       "request is 0",
			b->resource, b->type, enforced);
	else if (is_zero(b->limit))
		m = str_printf("%s max limit to request ratio per %s is %s, but no limit is specified or "
			       "limit is 0",
			b->resource, b->type, enforced);
	if (!m) {
		ratio = as_number(b->limit) / as_number(b->request);
		if (ratio > as_number(&b->enforced))
			m = str_printf("%s max limit to request ratio per %s is %s, but provided ratio is %f",
				b->resource, b->type, enforced, ratio);
	}
	if (m && !strv_has(b->why, m))
		strv_add(b->why, m);
}

static void check_all(const struct json *map, const char *type, const struct amounts *requests,
	const struct amounts *limits, void (*check)(const struct bounds *b), struct strv *why)
{
	JSON_EACH (it, map) {
		struct bounds b = { .type = type,
			.resource = it.key,
			.request = amounts_get(requests, it.key),
			.limit = limits ? amounts_get(limits, it.key) : NULL,
			.why = why };

		if (quantity_from_json(it.val, &b.enforced, NULL) == 0)
			check(&b);
	}
}

static void check_item(const struct json *item, const struct amounts *requests, const struct amounts *limits,
	struct strv *why)
{
	const char *type = json_str_or(json_get(item, "type"), "");

	check_all(json_get(item, "min"), type, requests, limits, check_min, why);
	check_all(json_get(item, "max"), type, requests, limits, limits ? check_max : check_max_request, why);
	if (limits)
		check_all(json_get(item, "maxLimitRequestRatio"), type, requests, limits, check_limit_ratio,
			why);
}

static void check_containers(const struct json *item, const struct json *list, struct strv *why)
{
	JSON_EACH (c, list) {
		CLEANUP(amounts_done) struct amounts requests = { 0 };
		CLEANUP(amounts_done) struct amounts limits = { 0 };

		amounts_read(&requests, json_at(c.val, "/resources/requests"));
		amounts_read(&limits, json_at(c.val, "/resources/limits"));
		check_item(item, &requests, &limits, why);
	}
}

static void check_pod(const struct json *item, const struct json *spec, struct strv *why)
{
	CLEANUP(amounts_done) struct amounts requests = { 0 };
	CLEANUP(amounts_done) struct amounts limits = { 0 };

	if (str_eq(json_get_str(item, "type"), "Container")) {
		check_containers(item, json_get(spec, "containers"), why);
		check_containers(item, json_get(spec, "initContainers"), why);
	} else if (str_eq(json_get_str(item, "type"), "Pod")) {
		pod_amounts(spec, "requests", &requests);
		pod_amounts(spec, "limits", &limits);
		check_item(item, &requests, &limits, why);
	}
}

static void check_claim(const struct json *item, const struct json *spec, struct strv *why)
{
	CLEANUP(amounts_done) struct amounts requests = { 0 };

	if (!str_eq(json_get_str(item, "type"), "PersistentVolumeClaim"))
		return;
	amounts_read(&requests, json_at(spec, "/resources/requests"));
	check_item(item, &requests, NULL, why);
}

void limits_check(const struct json *range, const char *plural, const struct json *o, struct strv *ret_why)
{
	const struct json *spec = json_get(o, "spec");

	JSON_EACH (it, json_at(range, "/spec/limits")) {
		if (str_eq(plural, "pods"))
			check_pod(it.val, spec, ret_why);
		else
			check_claim(it.val, spec, ret_why);
	}
}
