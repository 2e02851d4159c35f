/* SPDX-License-Identifier: Apache-2.0 */
/* Where two VMI specs differ in meaning, field by field. rollout.md 2.3: null is an empty list or map, quantities by value, the
 * order of lists counts. The field table says what each place is. */
#include <inttypes.h>
#include <string.h>

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/tables.h"
#include "kubevirt/vm/vm_impl.h"

struct walk {
	spec_diff_fn *fn;
	void *arg;
	struct str dotted,
		shown; /* of the place; "domain.devices.disks.0.name" and "domain.devices.disks[root].name" */
};

struct mark {
	size_t dotted, shown;
};

static struct mark mark(const struct walk *w)
{
	return (struct mark){ w->dotted.len, w->shown.len };
}

static void cut(struct str *s, size_t len)
{
	s->len = len;
	if (s->data)
		s->data[len] = 0;
}

static void back(struct walk *w, struct mark m)
{
	cut(&w->dotted, m.dotted);
	cut(&w->shown, m.shown);
}

static void into_member(struct walk *w, const char *key)
{
	if (w->dotted.len)
		str_addc(&w->dotted, '.');
	str_add(&w->dotted, key);
	if (w->shown.len)
		str_addc(&w->shown, '.');
	str_add(&w->shown, key);
}

static void into_item(struct walk *w, size_t i, const char *name)
{
	str_addf(&w->dotted, ".%zu", i);
	if (name)
		str_addf(&w->shown, "[%s]", name);
	else
		str_addf(&w->shown, "[%zu]", i);
}

static void report(struct walk *w, const struct json *a, const struct json *b)
{
	w->fn(w->arg, str_cstr(&w->dotted), str_cstr(&w->shown), a, b);
}

/* Plain structs in KubeVirt's API, where {} means nothing; everywhere else an empty object says something (masquerade: {}). */
static bool plain_struct(const char *dotted)
{
	static const char *const plain[] = { "", "domain", "domain.devices", "domain.resources",
		"domain.memory", "domain.cpu", "domain.firmware", "domain.machine", "affinity",
		"affinity.nodeAffinity", "affinity.podAffinity", "affinity.podAntiAffinity", NULL };
	return str_in(dotted, plain);
}

/* Choices that nobody has made as long as they are not true. Others are made when they are absent (autoattach...). */
static bool false_is_none(const char *dotted)
{
	static const char *const names[] = { "dedicatedCpuPlacement", "isolateEmulatorThread",
		"disableHotplug", "overcommitGuestOverhead", "blockMultiQueue", "networkInterfaceMultiqueue",
		"hotpluggable", "readOnly", "shareable", NULL };
	const char *last = strrchr(dotted, '.');

	return last && str_in(last + 1, names);
}

static bool is_empty(const struct json *v, const struct field *f, const char *dotted)
{
	switch (json_type(v)) {
	case JSON_NULL:
		return true;
	case JSON_STR:
		return !json_str_len(v);
	case JSON_ARR:
		return !json_len(v);
	case JSON_OBJ:
		return !json_len(v) &&
		       ((f && (f->type == F_MAP || f->type == F_REF_MAP)) || plain_struct(dotted));
	case JSON_BOOL:
		return !json_bool(v) && false_is_none(dotted);
	case JSON_INT:
		return !json_i64(v) && str_starts(dotted, "domain.cpu."); /* 0 sockets are none given */
	default:
		return false;
	}
}

static bool same_quantity(const struct json *a, const struct json *b)
{
	struct quantity x, y;

	return quantity_from_json(a, &x, NULL) == 0 && quantity_from_json(b, &y, NULL) == 0 &&
	       quantity_cmp(&x, &y) == 0;
}

/* Below a map of quantities the row is the map's own. */
static bool holds_quantity(const struct field *f)
{
	return f &&
	       (f->type == F_QUANTITY || ((f->type == F_MAP || f->type == F_LIST) && f->items == F_QUANTITY));
}

static void walk(struct walk *w, const struct json *a, const struct json *b);

static void walk_members(struct walk *w, const struct json *a, const struct json *b)
{
	struct mark m = mark(w);

	JSON_EACH (it, a) {
		into_member(w, it.key);
		walk(w, it.val, json_get(b, it.key));
		back(w, m);
	}
	JSON_EACH (it, b) {
		if (json_get(a, it.key))
			continue;
		into_member(w, it.key);
		walk(w, NULL, it.val);
		back(w, m);
	}
}

static const struct json *by_name(const struct json *list, const char *name, size_t *ret_i)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name)) {
			*ret_i = it.i;
			return it.val;
		}
	return NULL;
}

/* Every item has a name of its own. */
static bool all_named(const struct json *list)
{
	size_t i;

	JSON_EACH (it, list) {
		const char *name = json_get_str(it.val, "name");
		if (!name || by_name(list, name, &i) != it.val)
			return false;
	}
	return true;
}

static void walk_named(struct walk *w, const struct json *a, const struct json *b)
{
	struct mark m = mark(w);
	size_t i, last = 0;
	bool moved = false, other = false;

	JSON_EACH (it, a) {
		const char *name = json_get_str(it.val, "name");
		const struct json *now = by_name(b, name, &i);

		into_item(w, now ? i : it.i, name);
		if (now)
			walk(w, it.val, now);
		else
			report(w, it.val, NULL);
		back(w, m);
		moved = moved || (now && i < last);
		if (now)
			last = i;
		other = other || !now;
	}
	JSON_EACH (it, b) {
		const char *name = json_get_str(it.val, "name");

		if (by_name(a, name, &i))
			continue;
		into_item(w, it.i, name);
		report(w, NULL, it.val);
		back(w, m);
		other = true;
	}
	if (moved && !other)
		report(w, a, b);
}

static void walk_items(struct walk *w, const struct json *a, const struct json *b)
{
	struct mark m = mark(w);

	if (json_len(a) != json_len(b)) {
		report(w, a, b);
		return;
	}
	JSON_EACH (it, a) {
		into_item(w, it.i, NULL);
		walk(w, it.val, json_item(b, it.i));
		back(w, m);
	}
}

static void walk(struct walk *w, const struct json *a, const struct json *b)
{
	const struct field *f = w->dotted.len ? fields_find(&vmi_spec_fields, w->dotted.data) : NULL;
	const char *dotted = str_cstr(&w->dotted);
	bool no_a = is_empty(a, f, dotted), no_b = is_empty(b, f, dotted);

	if ((no_a && no_b) || json_eq(a, b) || (holds_quantity(f) && same_quantity(a, b)))
		return;
	if (f && f->type == F_ANY) {
		report(w, a, b);
		return;
	}
	/* Into what stands on one side only as well: its fields may be live ones. An empty object
	 * on one side is a change itself. */
	if ((json_is_obj(a) || no_a) && (json_is_obj(b) || no_b) && (json_len(a) || json_len(b))) {
		walk_members(w, a, b);
		return;
	}
	if ((json_is_arr(a) || no_a) && (json_is_arr(b) || no_b)) {
		if (json_len(a) + json_len(b) && all_named(a) && all_named(b))
			walk_named(w, a, b);
		else
			walk_items(w, a, b);
		return;
	}
	report(w, a, b);
}

void spec_diff(const char *at, const struct json *a, const struct json *b, spec_diff_fn *fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };

	str_add(&w.dotted, at);
	str_add(&w.shown, at);
	walk(&w, a, b);
	str_done(&w.dotted);
	str_done(&w.shown);
}

static void note_difference(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	*(bool *)arg = true;
}

bool spec_same(const char *at, const struct json *a, const struct json *b)
{
	bool differs = false;

	spec_diff(at, a, b, note_difference, &differs);
	return !differs;
}
