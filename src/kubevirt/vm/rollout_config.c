/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the cluster's configuration under a VM that runs (decisions 12, 13; rollout.md 7.3). Nothing is stored for it: the
 * instance is what the configuration of its start made of the start's template, so what today's makes of the same template tells
 * the difference. Strategy, gates and update methods are read afresh in every pass and need nothing of this. */
#include "kubevirt/vm/rollout.h"

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define MEANING "the cluster's configuration was changed"

/* Fields of an instance that the configuration decides when its VM does not. */
static const struct drifter {
	const char *path; /* below spec, dotted */
	bool room;        /* room for growth: more of it than asked for is no lack */
} drifters[] = {
	{ "domain.memory.maxGuest", .room = true },
	{ "domain.cpu.maxSockets", .room = true },
	{ "domain.cpu.model" },
	{ "evictionStrategy" },
};

static const struct json *field_at(const struct json *spec, const char *dotted)
{
	CLEANUP(mem_freep) char *pointer = str_printf("/%s", dotted);

	for (char *p = pointer; *p; p++)
		if (*p == '.')
			*p = '/';
	return json_at(spec, pointer);
}

typedef void drift_fn(void *arg, const struct drifter *f, const struct json *was, const struct json *is);

/* Given by the VM itself now: an edit like any other, and compared as such. */
static bool is_given(const struct vm_seen *s, const char *dotted)
{
	return !json_is_null(field_at(json_get(s->start, "spec"), dotted)) ||
	       !json_is_null(field_at(json_get(s->template, "spec"), dotted));
}

static void each_drift(const struct vm_seen *s, drift_fn *fn, void *arg)
{
	const struct defaults_in in = { .config = s->config };
	const struct json *spec = json_get(obj_json(s->vmi), "spec");
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(json_get(s->start, "spec"));

	vmi_default_spec(d, json_root(d), &in);
	for (size_t i = 0; i < ARRAY_LEN(drifters); i++) {
		const struct drifter *f = &drifters[i];
		const struct json *was = field_at(spec, f->path), *is = field_at(json_root(d), f->path);

		if (is_given(s, f->path) || spec_same(f->path, was, is))
			continue;
		if (f->room && json_is_null(is))
			continue; /* Stage would not reserve any; what is there does no harm */
		fn(arg, f, was, is);
	}
}

/* ---- under opt-in ---- */
struct config_walk {
	const struct vm_seen *seen;
	struct edits *r;
};

static bool is_max_guest(const struct drifter *f)
{
	return str_eq(f->path, "domain.memory.maxGuest");
}

/* An instance that runs can have it: the eviction strategy is only looked at when it is needed, a maximum of memory as far as
 * room was kept (ANN_MEMORY_ROOM). */
static bool goes_live(const struct vm_seen *s, const struct drifter *f, const struct json *is)
{
	const struct json *vmi = obj_json(s->vmi);
	int64_t max = quantity_bytes(is);

	if (!rollout_live(s))
		return false;
	if (is_max_guest(f))
		return max <= vmi_guest_room(vmi) && max >= vmi_guest_at_boot(vmi) &&
		       max >= vmi_guest_current(vmi) && max >= vmi_guest_wanted(vmi);
	return str_eq(f->path, "evictionStrategy");
}

static void on_change(void *arg, const struct drifter *f, const struct json *was, const struct json *is)
{
	struct config_walk *w = arg;
	CLEANUP(mem_freep) char *path = str_printf("spec.template.spec.%s", f->path);
	struct change *c = rollout_add(w->r, path, was, is, LIVE_RESTART);

	c->staged = !goes_live(w->seen, f, is);
	c->why = c->staged ? MEANING : NULL;
	if (c->staged || vmi_migrating(obj_json(w->seen->vmi)))
		return;
	struct json *spec = json_get(rollout_vmi(w->seen, w->r), "spec");
	if (is_max_guest(f))
		json_put_str(w->r->vmi, spec, "/domain/memory/maxGuest", json_str(is));
	else
		json_set_copy(w->r->vmi, spec, f->path, is);
}

static bool is_opted(const struct vm_seen *s)
{
	return kv_opted(obj_json(s->vm), ANN_ROLLOUT_CONFIGURATION, s->config->rollout_configuration);
}

struct max_walk {
	const struct vm_seen *seen;
	int64_t bytes;
};

static void on_max(void *arg, const struct drifter *f, const struct json *was, const struct json *is)
{
	struct max_walk *w = arg;

	if (is_max_guest(f) && goes_live(w->seen, f, is))
		w->bytes = quantity_bytes(is);
}

int64_t rollout_config_max_guest(const struct vm_seen *s)
{
	struct max_walk w = { s, -1 };

	if (is_opted(s))
		each_drift(s, on_max, &w);
	return w.bytes;
}

void rollout_config(const struct vm_seen *s, struct edits *r)
{
	struct config_walk w = { s, r };

	if (is_opted(s))
		each_drift(s, on_change, &w);
}

/* ---- what is told in any case ---- */
static void on_drift(void *arg, const struct drifter *f, const struct json *was, const struct json *is)
{
	struct str *out = arg;
	CLEANUP(mem_freep) char *a = json_is_null(was) ? NULL : json_write(was, NULL);
	CLEANUP(mem_freep) char *b = json_is_null(is) ? NULL : json_write(is, NULL);

	str_addf(
		out, "%sspec.%s %s -> %s", out->len ? "; " : "", f->path, a ? a : "(none)", b ? b : "(none)");
}

bool rollout_drift(const struct vm_seen *s, char **ret)
{
	struct str out = { 0 };

	*ret = NULL;
	if (!s->vmi)
		return true;
	if (!s->start || !s->template || obj_deleting(s->vmi) || vmi_is_final(obj_json(s->vmi)))
		return false;
	each_drift(s, on_drift, &out);
	if (out.len)
		*ret = str_take(&out);
	return true;
}
