/* SPDX-License-Identifier: Apache-2.0 */
/* From the launcher's STATE to the VMI's status. Entries of others (skeletons by virt-controller) are
 * filled, not replaced. */
#include "kubevirt/handler/guest.h"

#include <stdlib.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/names.h"

#define GUEST_SLOW_RESIZE_MS 2000 /* from here on people are told how far it is */
#define DEVICES_MAX 256           /* of a kind; a launcher that tells of more is not believed */

void guest_phase(const struct guest_view *v, struct json_doc *d, struct json *vmi, const char *phase)
{
	struct json *status = json_need_obj(d, vmi, "status"), *stamps, *stamp;
	char text[TIME_TEXT_MAX];

	json_set_str(d, status, "phase", phase);
	stamps = json_need_arr(d, status, "phaseTransitionTimestamps");
	JSON_EACH (it, stamps)
		if (str_eq(json_get_str(it.val, "phase"), phase))
			return;
	stamp = json_new_obj(d);
	json_set_str(d, stamp, "phase", phase);
	json_set_str(d, stamp, "phaseTransitionTimestamp", time_rfc3339(v->now, text));
	json_append(d, stamps, stamp);
}

/* The entry of that name, made if absent. */
static struct json *entry(struct json_doc *d, struct json *list, const char *name)
{
	struct json *o;

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	o = json_new_obj(d);
	json_set_str(d, o, "name", name);
	json_append(d, list, o);
	return o;
}

static void put_volumes(const struct guest_view *v, struct json_doc *d, struct json *status)
{
	const struct json *told = json_get(v->facts->state, "disks");

	JSON_EACH (it, json_len(told) <= DEVICES_MAX ? told : NULL) {
		struct json *volume = entry(d, json_need_arr(d, status, "volumeStatus"),
			json_str_or(json_get(it.val, "name"), ""));

		json_set_str(d, volume, "target", json_str_or(json_get(it.val, "target"), ""));
		if (json_get(it.val, "size"))
			json_set_i64(d, volume, "size", json_i64(json_get(it.val, "size")));
	}
}

static void put_quantity(struct json_doc *d, struct json *o, const char *key, int64_t bytes)
{
	char text[QUANTITY_TEXT_MAX];

	if (bytes > 0 && bytes != quantity_bytes(json_get(o, key)))
		json_set_str(d, o, key, quantity_bytes_text(bytes, text));
}

/* While it grows or shrinks the size is another one every few milliseconds: told when it has come to rest. Of a change that takes
 * its time people want to see how it gets on: in tenths of the way, so that it is never more than ten writes. */
static bool worth_telling(const struct guest_view *v, const struct json *status, const struct json *told)
{
	const struct json *c = cond_find(json_get(status, "conditions"), COND_HOT_MEMORY);
	const struct json *memory = json_get(status, "memory");
	const char *began = json_get_str(c, "lastTransitionTime");
	int64_t from = quantity_bytes(json_get(memory, "guestRequested"));
	int64_t to = quantity_bytes(json_at(obj_json(v->vmi), "/spec/domain/memory/guest"));
	int64_t shown = quantity_bytes(json_get(memory, "guestCurrent")), since;

	if (!v->facts->memory.busy && !json_bool(json_get(told, "resizing")))
		return true;
	if (!began || !time_parse(began, &since) || v->now < since + GUEST_SLOW_RESIZE_MS || from == to)
		return false;
	return llabs(json_i64(json_get(told, "current")) - shown) >= llabs(to - from) / 10;
}

static void put_memory(const struct guest_view *v, struct json_doc *d, struct json *status)
{
	const struct json *told = json_get(v->facts->state, "memory");
	struct json *memory;

	if (!told)
		return;
	memory = json_need_obj(d, status, "memory");
	put_quantity(d, memory, "guestAtBoot", json_i64(json_get(told, "guestAtBoot")));
	if (!json_get(memory, "guestRequested"))
		put_quantity(d, memory, "guestRequested", json_i64(json_get(told, "guestAtBoot")));
	if (worth_telling(v, status, told))
		put_quantity(d, memory, "guestCurrent", json_i64(json_get(told, "current")));
}

static void put_topology(const struct guest_view *v, struct json_doc *d, struct json *status)
{
	static const char *const fields[] = { "sockets", "cores", "threads" };
	const struct json *told = json_get(v->facts->state, "cpus");

	/* While they are being changed it stands still, and then it ends with the condition. */
	if (v->facts->cpus.busy || json_bool(json_get(told, "changing")))
		return;
	for (size_t i = 0; told && i < ARRAY_LEN(fields); i++)
		json_set_i64(d, json_need_obj(d, status, "currentCPUTopology"), fields[i],
			json_i64(json_get(told, fields[i])));
}

/* Texts as KubeVirt's clients know them (kubevirt-api.md 4). */
static void put_paused(const struct guest_view *v, struct json_doc *d, struct json *status)
{
	const struct json *state = v->facts->state;
	const char *reason = json_get_str(state, "reason");

	if (!str_eq(json_get_str(state, "phase"), "Paused"))
		cond_remove(d, status, COND_PAUSED);
	else if (str_eq(reason, "PausedIOError"))
		cond_set(d, status, COND_PAUSED, "True", reason,
			"VMI was paused, low-level IO error detected", v->now);
	else
		cond_set(d, status, COND_PAUSED, "True", "PausedByUser", "VMI was paused by user", v->now);
}

void guest_status(const struct guest_view *v, struct json_doc *d, struct json *vmi)
{
	struct json *status = json_need_obj(d, vmi, "status");
	const struct json *state = v->facts->state;

	guest_nic_status(v, d, vmi);
	put_volumes(v, d, status);
	put_memory(v, d, status);
	put_topology(v, d, status);
	if (!str_empty(json_get_str(state, "machine")))
		json_set_str(d, json_need_obj(d, status, "machine"), "type", json_get_str(state, "machine"));
	put_paused(v, d, status);
	if (json_bool(json_at(state, "/guest/agent")))
		cond_set(d, status, COND_AGENT_CONNECTED, "True", NULL, NULL, v->now);
	else
		cond_remove(d, status, COND_AGENT_CONNECTED);
}
