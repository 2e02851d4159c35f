/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/vmi/facts.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "base/time.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"

static const struct {
	const char *name;
	bool final;
} phases[VMI_PHASE_MAX] = {
#define X(id, name, final) [VMI_##id] = { name, final },
	VMI_PHASES(X)
#undef X
};

enum vmi_phase vmi_phase(const struct json *vmi)
{
	const char *text = json_at_str(vmi, "/status/phase");

	if (!text)
		return VMI_UNSET;
	for (int p = 0; p < VMI_PHASE_MAX; p++)
		if (str_eq(phases[p].name, text))
			return (enum vmi_phase)p;
	return VMI_UNKNOWN;
}

const char *vmi_phase_name(enum vmi_phase p)
{
	return phases[p].name;
}

bool vmi_phase_final(enum vmi_phase p)
{
	return phases[p].final;
}

bool vmi_is_final(const struct json *vmi)
{
	return vmi && phases[vmi_phase(vmi)].final;
}

int64_t vmi_since(const struct json *vmi, enum vmi_phase p)
{
	int64_t ms;

	JSON_EACH (it, json_at(vmi, "/status/phaseTransitionTimestamps")) {
		const char *at = json_get_str(it.val, "phaseTransitionTimestamp");
		if (str_eq(json_get_str(it.val, "phase"), phases[p].name) && at && time_parse(at, &ms))
			return ms;
	}
	return 0;
}

bool vmi_was(const struct json *vmi, enum vmi_phase p)
{
	return vmi && (vmi_phase(vmi) == p || vmi_since(vmi, p) > 0);
}

void vmi_enter_phase(struct json_doc *d, struct json *vmi, enum vmi_phase to, int64_t now_ms)
{
	struct json *status = json_need_obj(d, vmi, "status");
	struct json *list = json_need_arr(d, status, "phaseTransitionTimestamps");
	char at[TIME_TEXT_MAX];
	struct json *entry;

	json_set_str(d, status, "phase", phases[to].name);
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "phase"), phases[to].name))
			return;
	entry = json_new_obj(d);
	json_set_str(d, entry, "phase", phases[to].name);
	json_set_str(d, entry, "phaseTransitionTimestamp", time_rfc3339(now_ms, at));
	json_append(d, list, entry);
}

const struct json *vmi_cond(const struct json *vmi, const char *type)
{
	return cond_find(json_at(vmi, "/status/conditions"), type);
}

bool vmi_cond_is(const struct json *vmi, const char *type, const char *status)
{
	return cond_is(json_at(vmi, "/status/conditions"), type, status);
}

bool vmi_migrating(const struct json *vmi)
{
	const struct json *m = json_at(vmi, "/status/migrationState");

	return json_get_str(m, "startTimestamp") && !json_get_str(m, "endTimestamp");
}

int64_t vmi_guest_wanted(const struct json *vmi)
{
	return quantity_bytes(json_at(vmi, "/spec/domain/memory/guest"));
}

int64_t vmi_guest_max(const struct json *vmi)
{
	return quantity_bytes(json_at(vmi, "/spec/domain/memory/maxGuest"));
}

int64_t vmi_guest_at_boot(const struct json *vmi)
{
	return quantity_bytes(json_at(vmi, "/status/memory/guestAtBoot"));
}

static int64_t annotated(const struct json *vmi, const char *name)
{
	const struct json *text = json_get(json_at(vmi, "/metadata/annotations"), name);

	return text ? quantity_bytes(text) : -1;
}

/* As the launcher reads them (kubevirt/launcher/domain.c): what does not fit is as if it were not there. */
int64_t vmi_guest_floor(const struct json *vmi)
{
	int64_t boot = vmi_guest_at_boot(vmi), floor = annotated(vmi, ANN_MEMORY_FLOOR);
	int64_t block = domain_memory_block(json_at(vmi, "/spec/domain"));

	return floor >= MEMORY_FLOOR_MIN && floor < boot && floor % block == 0 && boot % block == 0 ? floor
												    : boot;
}

int64_t vmi_guest_limit(const struct json *vmi)
{
	int64_t max = vmi_guest_max(vmi), boot = vmi_guest_at_boot(vmi);

	if (max >= 0)
		return max;
	return vmi_guest_floor(vmi) < boot ? boot : -1;
}

int64_t vmi_guest_room(const struct json *vmi)
{
	int64_t room = annotated(vmi, ANN_MEMORY_ROOM), max = vmi_guest_max(vmi);

	return max >= 0 && room >= max ? room : -1;
}

int64_t vmi_guest_requested(const struct json *vmi)
{
	return quantity_bytes(json_at(vmi, "/status/memory/guestRequested"));
}

int64_t vmi_guest_current(const struct json *vmi)
{
	return quantity_bytes(json_at(vmi, "/status/memory/guestCurrent"));
}

int64_t vmi_hot_memory_target(const struct json *vmi)
{
	const char *text = meta_annotation(vmi, ANN_HOT_MEMORY_TARGET);
	int64_t bytes;

	if (text && str_to_i64(text, 0, INT64_MAX, &bytes))
		return bytes;
	return vmi_guest_wanted(vmi);
}

static int64_t sockets_of(const struct json *cpu)
{
	int64_t n = json_i64(json_get(cpu, "sockets"));

	return n > 0 ? n : 1;
}

int64_t vmi_sockets_wanted(const struct json *vmi)
{
	return sockets_of(json_at(vmi, "/spec/domain/cpu"));
}

int64_t vmi_sockets_current(const struct json *vmi)
{
	const struct json *topology = json_at(vmi, "/status/currentCPUTopology");

	return json_is_obj(topology) ? sockets_of(topology) : -1;
}

int64_t vmi_hot_cpu_target(const struct json *vmi)
{
	const char *text = meta_annotation(vmi, ANN_HOT_CPU_TARGET);
	int64_t sockets;

	if (text && str_to_i64(text, 0, INT64_MAX, &sockets))
		return sockets;
	return vmi_sockets_wanted(vmi);
}

int64_t vmi_vcpus_since(const struct json *vmi, const struct json *pod)
{
	const char *text = meta_annotation(pod, ANN_POD_VCPUS);
	int64_t wanted = vcpu_count(json_at(vmi, "/spec/domain/cpu"));
	int64_t has = vcpu_count(json_at(vmi, "/status/currentCPUTopology")), born;

	if (!text || !str_to_i64(text, 1, INT32_MAX, &born))
		return 0;
	wanted = wanted > has ? wanted : has;
	return wanted > born ? wanted - born : 0;
}

void kv_config_cached(const struct cache *kubevirts, struct kv_config *ret)
{
	const struct obj *cr = cache_at(kubevirts, 0);

	kv_config_from(cr ? obj_json(cr) : NULL, ret);
}
