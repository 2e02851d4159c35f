/* SPDX-License-Identifier: Apache-2.0 */
/* The whole story of a VM's edits for people: what waits, what is on its way, what the guest has by now. */
#include "kubevirt/vm/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vm/vm_impl.h"

#define MEMORY_PATH "spec.template.spec.domain.memory.guest"
#define SOCKETS_PATH "spec.template.spec.domain.cpu.sockets"

const char *change_state_name(enum change_state s)
{
	static const char *const names[] = { [CHANGE_STAGED] = "staged",
		[CHANGE_GOING] = "going",
		[CHANGE_APPLYING] = "applying",
		[CHANGE_LIVE] = "live" };

	return names[s];
}

const struct obj *rollout_revision(
	const struct obj *vm, const struct obj *vmi, const struct obj *const *revisions, size_t n)
{
	const char *named = vmi ? json_at_str(obj_json(vmi), "/status/virtualMachineRevisionName") : NULL;
	const struct obj *found = NULL;
	int64_t generation, newest = -1;

	for (size_t i = 0; i < n; i++) {
		if (!vm_revision_of(revisions[i], vm, &generation))
			continue;
		if (str_eq(named, obj_name(revisions[i])))
			return revisions[i];
		if (generation > newest) {
			newest = generation;
			found = revisions[i];
		}
	}
	return found;
}

/* ---- does the guest have what its instance wants? ---- */
static bool guest_has_memory(const struct json *vmi)
{
	return vmi_guest_current(vmi) < 0 || vmi_guest_current(vmi) == vmi_guest_wanted(vmi);
}

static bool guest_has_sockets(const struct json *vmi)
{
	int64_t has = json_i64(json_at(vmi, "/status/currentCPUTopology/sockets"));

	return !has || has == json_i64(json_at(vmi, "/spec/domain/cpu/sockets"));
}

/* What stands in brackets; NULL: nothing. Caller frees. */
static char *name_in(const char *shown)
{
	const char *from = strchr(shown, '['), *to = from ? strchr(from, ']') : NULL;

	return to ? mem_strndup(from + 1, (size_t)(to - from) - 1) : NULL;
}

/* Plugged is what is Ready (volumes that were there at the start have no phase), unplugged what is gone. */
static bool volume_follows(const char *shown, const struct json *vmi)
{
	CLEANUP(mem_freep) char *name = name_in(shown);
	const struct json *want = name ? nic_named(json_at(vmi, "/spec/volumes"), name) : NULL;
	const struct json *has = name ? nic_named(json_at(vmi, "/status/volumeStatus"), name) : NULL;
	const char *phase = json_get_str(has, "phase");

	if (!name)
		return true;
	return want ? has && (str_empty(phase) || str_eq(phase, VOLUME_READY)) : !has;
}

/* A card that is to leave has not left before it is gone from the status; a pulled cable shows there too. */
static bool nic_follows(const char *shown, const struct json *vmi)
{
	CLEANUP(mem_freep) char *name = name_in(shown);
	const struct json *want = name ? nic_interface(json_get(vmi, "spec"), name) : NULL;
	const struct json *has = name ? nic_named(json_at(vmi, "/status/interfaces"), name) : NULL;

	if (!name)
		return true;
	if (!want || nic_absent(want))
		return !has;
	return has &&
	       str_eq(json_get_str(want, "state"), "down") == str_eq(json_get_str(has, "linkState"), "down");
}

/* For its pod to be attached to its network (87, 88). */
static bool nic_waits(const char *shown, const struct json *vmi)
{
	CLEANUP(mem_freep) char *name = name_in(shown);
	CLEANUP(mem_freep) char *has = name ? nic_waiting(vmi, name) : NULL;

	return has;
}

static bool guest_has(const struct json *vmi, enum live_class class, const char *shown)
{
	switch (class) {
	case LIVE_MEMORY:
		return guest_has_memory(vmi);
	case LIVE_CPU_SOCKETS:
		return guest_has_sockets(vmi);
	case LIVE_VOLUMES:
	case LIVE_DISKS:
		return volume_follows(shown, vmi);
	case LIVE_NICS:
		return nic_follows(shown, vmi) && !nic_waits(shown, vmi);
	default:
		return true;
	}
}

/* Has the instance been told at all? A claim that is replaced by migration is not before that is done. */
static bool instance_has_volume(const struct vm_seen *s, const char *shown)
{
	CLEANUP(mem_freep) char *name = name_in(shown);
	const struct json *want = name ? nic_named(json_at(s->template, "/spec/volumes"), name) : NULL;
	const struct json *has = name ? nic_named(json_at(obj_json(s->vmi), "/spec/volumes"), name) : NULL;

	return !want || !has || spec_same("volumes.0", has, want);
}

/* ---- the list ---- */
struct list_walk {
	const struct vm_seen *seen;
	struct edits *r;
	size_t n_pending; /* items that rollout_compute() found */
};

/* The same field, or one of the two is part of the other. */
static bool overlaps(const char *a, const char *b)
{
	size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return !strncmp(a, b, n) && (!a[n] || strchr(".[", a[n])) && (!b[n] || strchr(".[", b[n]));
}

static bool is_pending(const struct list_walk *w, const char *path)
{
	for (size_t i = 0; i < w->n_pending; i++)
		if (overlaps(w->r->items[i].path, path))
			return true;
	return false;
}

/* What a change that is on its way comes from: the size that was reached last, which need not be that of the start. Where the
 * bar begins, too (virtctl). */
static const struct json *comes_from(
	const struct json *vmi, enum live_class class, const struct json *at_start, const struct json *is)
{
	const struct json *sockets = json_at(vmi, "/status/currentCPUTopology/sockets");
	int64_t from = json_i64(at_start), has = json_i64(sockets), to = json_i64(is);

	if (class == LIVE_MEMORY && vmi_guest_requested(vmi) >= 0)
		return vmi_guest_requested(vmi) != vmi_guest_wanted(vmi)
			       ? json_at(vmi, "/status/memory/guestRequested")
			       : json_at(vmi, "/status/memory/guestCurrent"); /* back from half of another */
	if (class == LIVE_CPU_SOCKETS && sockets &&
		(from < to ? has < from || has > to : has > from || has < to))
		return sockets;
	return at_start;
}

static void on_difference(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	struct list_walk *w = arg;
	enum live_class class = live_class(dotted);
	CLEANUP(mem_freep) char *path = str_printf("spec.template.spec.%s", shown);

	if (class == LIVE_RESTART || class == LIVE_NEUTRAL_UUID || is_pending(w, path))
		return;
	const struct json *vmi = obj_json(w->seen->vmi);
	bool has = guest_has(vmi, class, shown) &&
		   (class != LIVE_VOLUMES || instance_has_volume(w->seen, shown));
	struct change *c = rollout_add(w->r, path, has ? a : comes_from(vmi, class, a, b), b, class);
	c->state = has ? CHANGE_LIVE : CHANGE_APPLYING;
}

static bool listed(const struct edits *r, const char *path)
{
	for (size_t i = 0; i < r->n; i++)
		if (str_eq(r->items[i].path, path))
			return true;
	return false;
}

/* The way back to what it was started with differs from the start revision in nothing. */
static void ways_back(const struct vm_seen *s, struct edits *r)
{
	const struct json *vmi = obj_json(s->vmi);

	if (!listed(r, MEMORY_PATH) && !guest_has_memory(vmi))
		rollout_add(r, MEMORY_PATH,
			comes_from(vmi, LIVE_MEMORY, json_at(vmi, "/status/memory/guestCurrent"), NULL),
			json_at(vmi, "/spec/domain/memory/guest"), LIVE_MEMORY)
			->state = CHANGE_APPLYING;
	if (!listed(r, SOCKETS_PATH) && !guest_has_sockets(vmi))
		rollout_add(r, SOCKETS_PATH, json_at(vmi, "/status/currentCPUTopology/sockets"),
			json_at(vmi, "/spec/domain/cpu/sockets"), LIVE_CPU_SOCKETS)
			->state = CHANGE_APPLYING;
}

static bool touched(const struct edits *r, const char *path)
{
	for (size_t i = 0; i < r->n; i++)
		if (overlaps(r->items[i].path, path))
			return true;
	return false;
}

/* Likewise what was plugged and has not quite left, or is being plugged again. */
static void devices_on_their_way(const struct vm_seen *s, struct edits *r, const char *list,
	const struct json *status, bool (*follows)(const char *shown, const struct json *vmi),
	enum live_class class)
{
	const struct json *vmi = obj_json(s->vmi);

	JSON_EACH (it, status) {
		const char *name = json_get_str(it.val, "name");
		CLEANUP(mem_freep)
		char *path = str_printf("spec.template.spec.%s[%s]", list, name ? name : "");
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		struct json *item = json_new_obj(d);
		bool wanted =
			name && nic_named(json_at(vmi, class == LIVE_NICS ? "/spec/domain/devices/interfaces"
									  : "/spec/volumes"),
					name);

		if (str_empty(name) || touched(r, path) || follows(path, vmi))
			continue;
		json_set_str(d, item, "name", name);
		rollout_add(r, path, wanted ? NULL : item, wanted ? item : NULL, class)->state =
			CHANGE_APPLYING;
	}
}

static void staged_first(struct edits *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct change c = r->items[i];

		if (c.state != CHANGE_STAGED)
			continue;
		memmove(&r->items[at + 1], &r->items[at], (i - at) * sizeof(c));
		r->items[at++] = c;
	}
}

void rollout_list(const struct rollout_in *in, struct edits *ret)
{
	static const struct vm_env env = { 0 };
	struct vm_seen s = { .vm = in->vm,
		.vmi = in->vmi,
		.revision = in->revision,
		.template = in->template,
		.start = in->start,
		.config = in->config,
		.env = &env };
	struct list_walk w = { .seen = &s, .r = ret };
	CLEANUP(vm_types_done) struct vm_types types = { 0 };

	if (in->types)
		vm_types_look(&s, in->types, &types);
	else if (!s.template)
		s.template = json_at(obj_json(s.vm), "/spec/template");
	if (!in->types && !s.start && s.revision)
		s.start = json_at(obj_json(s.revision), "/data/spec/template");
	rollout_compute(&s, ret);
	if (!ret->known)
		return;
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i].state = ret->items[i].staged ? CHANGE_STAGED : CHANGE_GOING;
	w.n_pending = ret->n;
	spec_diff("", json_get(s.start, "spec"), json_get(s.template, "spec"), on_difference, &w);
	ways_back(&s, ret);
	devices_on_their_way(&s, ret, "volumes", json_at(obj_json(s.vmi), "/status/volumeStatus"),
		volume_follows, LIVE_VOLUMES);
	devices_on_their_way(&s, ret, "domain.devices.interfaces",
		json_at(obj_json(s.vmi), "/status/interfaces"), nic_follows, LIVE_NICS);
	staged_first(ret);
}
