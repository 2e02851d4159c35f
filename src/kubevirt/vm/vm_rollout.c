/* SPDX-License-Identifier: Apache-2.0 */
/* One function from (start revision, VM, instance, configuration) to what is staged and what goes live now. rollout.md 2,
 * decisions 1-7. Fields that can change live are compared with the instance, for that is what the guest has; all others with
 * the start revision, since the instance carries defaults that the VM does not. */
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define TEMPLATE_SPEC "spec.template.spec"
#define MEANING_T1 "a non-live-updatable field was changed in the template spec"
#define MEANING_METADATA "the metadata of the template were changed"

void rollout_done(struct edits *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->items[i].path);
		free(r->items[i].was);
		free(r->items[i].is);
	}
	free(r->items);
	json_doc_free(r->vmi);
	free(r->busy_message);
	free(r->because);
	free(r->meaning);
	*r = (struct edits){ 0 };
}

bool rollout_live(const struct vm_seen *s)
{
	return s->config->rollout == ROLLOUT_LIVE_UPDATE;
}

struct change *rollout_add(struct edits *r, const char *path, const struct json *was, const struct json *is,
	enum live_class class)
{
	struct change *c;

	r->items = mem_grow(r->items, &r->cap, r->n + 1, sizeof(r->items[0]));
	c = &r->items[r->n++];
	*c = (struct change){ .path = mem_strdup(path), .class = class };
	c->was = json_is_null(was) ? NULL : json_write(was, NULL);
	c->is = json_is_null(is) ? NULL : json_write(is, NULL);
	return c;
}

struct json *rollout_vmi(const struct vm_seen *s, struct edits *r)
{
	if (!r->vmi)
		r->vmi = obj_draft(s->vmi);
	return json_root(r->vmi);
}

void rollout_busy(struct edits *r, const char *reason, const char *message)
{
	for (size_t i = 0; i < r->n; i++) /* the change that was just added, in all its parts */
		r->items[i].waits = r->items[i].waits || r->items[i].class == r->items[r->n - 1].class;
	if (r->busy_reason)
		return; /* the first in KubeVirt's order: CPU, placement, memory */
	r->busy_reason = reason;
	r->busy_message = mem_strdup(message);
}

/* ---- fields that are compared with the start revision ---- */
struct static_walk {
	const struct vm_seen *seen;
	struct edits *r;
	bool both_cpu, guest; /* the exceptions of rollout.md 2.3, 3. */
};

/* Is this one compared with the instance instead? */
static bool left_to_live(
	const struct static_walk *w, enum live_class class, const char *shown, const struct json *is)
{
	switch (class) {
	case LIVE_PLACEMENT:
	case LIVE_NICS:
		return true;
	case LIVE_CPU_SOCKETS:
		return w->both_cpu;
	case LIVE_MEMORY:
		return w->guest;
	case LIVE_MEMORY_MAX:
		return rollout_memory_max_goes(w->seen);
	case LIVE_VOLUMES:
	case LIVE_DISKS:
		return rollout_volume_goes(w->seen, class, shown);
	case LIVE_NEUTRAL_UUID: /* persisted from the instance: no change, and about to be if there is none */
		return json_is_null(is) || str_eq(json_str(is), json_at_str(obj_json(w->seen->vmi),
									"/spec/domain/firmware/uuid"));
	default:
		return false;
	}
}

/* What the guest has, where that may have been changed since its start. */
static const struct json *had(const struct static_walk *w, enum live_class class, const struct json *at_start)
{
	const struct json *vmi = obj_json(w->seen->vmi), *now = NULL;

	if (class == LIVE_MEMORY)
		now = json_at(vmi, "/spec/domain/memory/guest");
	else if (class == LIVE_CPU_SOCKETS)
		now = json_at(vmi, "/spec/domain/cpu/sockets");
	return now && !json_is_null(at_start) ? now : at_start;
}

/* A default that was written into the template: the running instance has it already. Not below lists, whose items stand
 * elsewhere there. Taking one out again is a change, for what the next start would give is the cluster's to say. Under
 * Stage every edit counts (decision 4). */
static bool instance_has(const struct vm_seen *s, const char *dotted, const struct json *is)
{
	CLEANUP(mem_freep) char *pointer = str_printf("/%s", dotted);
	const struct json *has;

	for (char *p = pointer; *p; p++)
		if (*p == '.')
			*p = '/';
	has = json_at(json_get(obj_json(s->vmi), "spec"), pointer);
	if (json_is_null(has) && (str_eq(dotted, "domain.cpu.cores") || str_eq(dotted, "domain.cpu.threads")))
		has = json_get(
			json_at(obj_json(s->vmi), "/status/currentCPUTopology"), strrchr(dotted, '.') + 1);
	return rollout_live(s) && !json_is_null(has) && !json_is_null(is) && !strpbrk(dotted, "0123456789") &&
	       spec_same(dotted, has, is);
}

static void on_static(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	struct static_walk *w = arg;
	enum live_class class = live_class(dotted);
	struct change *c;

	if (left_to_live(w, class, shown, b) || instance_has(w->seen, dotted, b))
		return;
	CLEANUP(mem_freep) char *path = str_printf(TEMPLATE_SPEC ".%s", shown);
	c = rollout_add(w->r, path, had(w, class, a), b, class);
	c->staged = true;
	c->why = MEANING_T1;
}

static void compare_static(const struct vm_seen *s, struct edits *r)
{
	const struct json *was = json_get(s->start, "spec");
	const struct json *is = json_get(s->template, "spec");
	struct static_walk w = { .seen = s, .r = r };

	w.both_cpu = json_is_obj(json_at(was, "/domain/cpu")) && json_is_obj(json_at(is, "/domain/cpu"));
	w.guest = !json_is_null(json_at(is, "/domain/memory/guest"));
	spec_diff("", was, is, on_static, &w);
}

/* Decision 4: under Stage every edit of the template waits, that of its labels and annotations too. */
static void compare_metadata(const struct vm_seen *s, struct edits *r)
{
	static const char *const maps[] = { "labels", "annotations" };
	const struct json *was = json_get(s->start, "metadata");
	const struct json *is = json_get(s->template, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(maps) && !rollout_live(s); i++) {
		const struct json *a = json_get(was, maps[i]), *b = json_get(is, maps[i]);
		CLEANUP(mem_freep) char *path = str_printf("spec.template.metadata.%s", maps[i]);
		struct change *c;

		if ((!json_len(a) && !json_len(b)) || json_eq(a, b))
			continue;
		c = rollout_add(r, path, a, b, LIVE_RESTART);
		c->staged = true;
		c->why = MEANING_METADATA;
	}
}

/* ---- the instance's idea of the VM's generation (rollout.md 2.1) ---- */
static void on_other_than_uuid(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	if (live_class(dotted) != LIVE_NEUTRAL_UUID)
		*(bool *)arg = true;
}

static bool same_template(const struct vm_seen *s)
{
	const struct json *was = s->start, *is = s->template;

	bool differs = false;

	/* written into it by ourselves (vm.c) */
	spec_diff("", json_get(was, "spec"), json_get(is, "spec"), on_other_than_uuid, &differs);
	return !differs && json_eq(json_get(was, "metadata"), json_get(is, "metadata"));
}

static void raise_generation(const struct vm_seen *s, struct edits *r)
{
	CLEANUP(mem_freep) char *now = str_printf("%lld", (long long)obj_generation(s->vm));

	if (str_eq(meta_annotation(obj_json(s->vmi), ANN_VM_GENERATION), now) || !same_template(s))
		return;
	struct json *vmi = rollout_vmi(s, r);
	meta_set_annotation(r->vmi, vmi, ANN_VM_GENERATION, now);
}

/* Decision 6: while anything is staged, nothing further reaches the guest. */
static void block_the_rest(const struct vm_seen *s, struct edits *r)
{
	for (size_t i = 0; i < r->n; i++)
		r->staged = r->staged || r->items[i].staged;
	if (!r->staged)
		return;
	r->because = vm_types_because(s);
	for (size_t i = 0; i < r->n; i++)
		r->items[i].staged = true;
	json_doc_free(TAKE(r->vmi));
	/* nor does it wait for anything but the restart */
	r->busy_reason = NULL;
	free(TAKE(r->busy_message));
}

void rollout_compute(const struct vm_seen *s, struct edits *ret)
{
	*ret = (struct edits){ 0 };
	if (!s->vmi || !s->start || !s->template || obj_deleting(s->vmi) || vmi_is_final(obj_json(s->vmi)))
		return;
	ret->known = true;
	rollout_cpu(s, ret);
	rollout_nics(s, ret);
	rollout_placement(s, ret);
	rollout_memory_max(s, ret);
	rollout_memory(s, ret);
	rollout_volumes(s, ret);
	compare_static(s, ret);
	compare_metadata(s, ret);
	rollout_config(s, ret);
	block_the_rest(s, ret);
	rollout_cpu_cancel(s, ret);
	rollout_memory_cancel(s, ret);
	rollout_nics_cancel(s, ret);
	rollout_volumes_at_once(s, ret);
	raise_generation(s, ret);
	rollout_synced(s, ret);
}

/* ---- the message (decision 7) ---- */
static void add_value(struct str *out, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (!text) {
		str_add(out, "(none)");
	} else if (n <= ROLLOUT_VALUE_MAX) {
		str_add(out, text);
	} else {
		/* not in the middle of a character */
		for (n = ROLLOUT_VALUE_MAX; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
		str_addn(out, text, n);
		str_add(out, "...");
	}
}

/* The meaning that stood first stays first while it holds. */
static const char *first_meaning(const struct edits *r, const char *old)
{
	const char *first = NULL;

	for (size_t i = 0; i < r->n; i++) {
		const char *why = r->items[i].why;

		if (why && old && str_starts(old, why) && (!old[strlen(why)] || old[strlen(why)] == ':'))
			return why;
		if (why && !first)
			first = why;
	}
	return first ? first : MEANING_T1;
}

/* false: the message is full */
static bool add_change(struct str *out, const struct change *c, size_t shown)
{
	size_t len = out->len;

	str_addf(out, "%s%s ", shown ? "; " : "", c->path);
	add_value(out, c->was);
	str_add(out, " -> ");
	add_value(out, c->is);
	if (shown < ROLLOUT_PATHS_MAX && (out->len <= ROLLOUT_MESSAGE_MAX || !shown))
		return true;
	out->len = len;
	out->data[len] = 0;
	return false;
}

char *rollout_message(const struct edits *r, const char *old)
{
	const char *meaning = first_meaning(r, old);
	struct str out = { 0 };
	size_t shown = 0, staged = 0;
	bool full = false;

	str_addf(&out, "%s: ", meaning);
	/* first those that the meaning is about */
	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < r->n; i++) {
			const struct change *c = &r->items[i];

			if (!c->staged || (c->why == meaning) == others)
				continue;
			staged++;
			full = full || !add_change(&out, c, shown);
			shown += !full;
		}
	if (shown < staged)
		str_addf(&out, "; and %zu more", staged - shown);
	if (r->because)
		str_addf(&out, "; from %s", r->because);
	return str_take(&out);
}
