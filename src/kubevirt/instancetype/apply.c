/* SPDX-License-Identifier: Apache-2.0 */
/* An instance type onto a template: the size is the type's alone, so what the template says about it conflicts. */
#include "kubevirt/instancetype/instancetype.h"

#include <string.h>

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/instancetype/topology.h"

struct apply {
	struct json_doc *d;
	struct json *spec; /* of the template */
	const struct json *type, *preference;
	const char *at;
	struct strv *conflicts;
};

static void conflict(const struct apply *a, const char *sub)
{
	strv_addf(a->conflicts, "%s.%s", a->at, sub);
}

/* A number that is not 0, a text that is not empty, true, or any list or object. */
static bool given(const struct json *v)
{
	return json_is_num(v)    ? json_i64(v) != 0
	       : json_is_str(v)  ? *json_str(v) != 0
	       : json_is_bool(v) ? json_bool(v)
				 : !json_is_null(v);
}

static struct json *need(const struct apply *a, struct json *o, const char *key)
{
	return json_need_obj(a->d, o, key);
}

/* One field of the type, where the template has it under another name at most. */
static void take(const struct apply *a, struct json *to, const char *key, const struct json *from,
	const char *from_key)
{
	if (!json_is_null(json_get(from, from_key)))
		json_set_copy(a->d, to, key, json_get(from, from_key));
}

/* ---- CPUs ---- */
static void check_cpu(const struct apply *a)
{
	static const char *const whole[] = { "sockets", "cores", "threads" };
	static const char *const parts[][2] = { { "model", "model" },
		{ "dedicatedCpuPlacement", "dedicatedCPUPlacement" },
		{ "isolateEmulatorThread", "isolateEmulatorThread" }, { "numa", "numa" },
		{ "realtime", "realtime" } };
	const struct json *domain = json_get(a->spec, "domain"), *cpu = json_get(domain, "cpu");
	const struct json *type = json_get(a->type, "cpu");

	if (json_at(domain, "/resources/requests/cpu"))
		conflict(a, "domain.resources.requests.cpu");
	if (json_at(domain, "/resources/limits/cpu"))
		conflict(a, "domain.resources.limits.cpu");
	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (given(json_get(cpu, whole[i])))
			strv_addf(a->conflicts, "%s.domain.cpu.%s", a->at, whole[i]);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (given(json_get(cpu, parts[i][0])) && !json_is_null(json_get(type, parts[i][1])))
			strv_addf(a->conflicts, "%s.domain.cpu.%s", a->at, parts[i][1]);
}

static void apply_cpu(const struct apply *a)
{
	const struct json *type = json_get(a->type, "cpu");
	size_t before = a->conflicts->len;
	struct it_topology t;
	int64_t vcpus;

	check_cpu(a);
	if (a->conflicts->len > before)
		return;
	struct json *cpu = need(a, need(a, a->spec, "domain"), "cpu");
	take(a, cpu, "model", type, "model");
	take(a, cpu, "dedicatedCpuPlacement", type, "dedicatedCPUPlacement");
	take(a, cpu, "isolateEmulatorThread", type, "isolateEmulatorThread");
	take(a, cpu, "numa", type, "numa");
	take(a, cpu, "realtime", type, "realtime");
	take(a, cpu, "maxSockets", type, "maxSockets");
	vcpus = json_i64(json_get(type, "guest"));
	it_topology(vcpus > UINT32_MAX ? UINT32_MAX : vcpus, a->preference, &t);
	json_set_i64(a->d, cpu, "sockets", t.sockets);
	json_set_i64(a->d, cpu, "cores", t.cores);
	json_set_i64(a->d, cpu, "threads", t.threads);
}

/* ---- memory ---- */
static const char *memory_conflict(const struct apply *a)
{
	const struct json *domain = json_get(a->spec, "domain"), *memory = json_get(domain, "memory");
	const struct json *type = json_get(a->type, "memory");

	if (!json_is_null(json_get(memory, "guest")))
		return "domain.memory.guest";
	if (!json_is_null(json_get(memory, "hugepages")) && !json_is_null(json_get(type, "hugepages")))
		return "domain.memory.hugepages";
	if (!json_is_null(json_get(memory, "maxGuest")) && !json_is_null(json_get(type, "maxGuest")))
		return "domain.memory.maxGuest";
	if (json_at(domain, "/resources/requests/memory"))
		return "domain.resources.requests.memory";
	if (json_at(domain, "/resources/limits/memory"))
		return "domain.resources.limits.memory";
	return NULL;
}

/* In single precision, as KubeVirt reckons: clients compare to the byte. */
static void overcommit(const struct apply *a, const struct json *guest, int64_t percent)
{
	struct json *domain = json_get(a->spec, "domain");
	struct quantity q;
	char text[QUANTITY_TEXT_MAX];

	if (percent <= 0 || percent > 100 || quantity_from_json(guest, &q, NULL) < 0)
		return;
	float part = 1 - (float)percent / 100;
	q.value = (int64_t)((float)quantity_ceil(&q) * part);
	q.nano = 0;
	json_set_str(
		a->d, need(a, need(a, domain, "resources"), "requests"), "memory", quantity_text(&q, text));
}

static void apply_memory(const struct apply *a)
{
	const struct json *type = json_get(a->type, "memory");
	const char *both = memory_conflict(a);

	if (both) {
		conflict(a, both);
		return;
	}
	struct json *memory = need(a, need(a, a->spec, "domain"), "memory");
	take(a, memory, "guest", type, "guest");
	take(a, memory, "hugepages", type, "hugepages");
	take(a, memory, "maxGuest", type, "maxGuest");
	overcommit(a, json_get(type, "guest"), json_i64(json_get(type, "overcommitPercent")));
}

/* ---- the rest ---- */
static void apply_whole(const struct apply *a, struct json *to, const char *key, const char *sub)
{
	const struct json *want = json_get(a->type, key);

	if (!given(want) || (json_is_arr(want) && !json_len(want)))
		return;
	if (given(json_get(to, key)) && !(json_is_arr(json_get(to, key)) && !json_len(json_get(to, key))))
		conflict(a, sub);
	else
		json_set_copy(a->d, to, key, want);
}

static void apply_io_threads(const struct apply *a)
{
	static const char key[] = "supplementalPoolThreadCount";
	const struct json *want = json_get(json_get(a->type, "ioThreads"), key);
	struct json *domain = need(a, a->spec, "domain");

	if (json_is_null(want))
		return;
	if (!json_is_null(json_get(json_get(domain, "ioThreads"), key)))
		conflict(a, "domain.ioThreads.supplementalPoolThreadCount");
	else
		json_set_copy(a->d, need(a, domain, "ioThreads"), key, want);
}

static void apply_annotations(const struct apply *a, struct json *template)
{
	const struct json *want = json_get(a->type, "annotations");

	if (!json_is_obj(want))
		return;
	struct json *map = need(a, need(a, template, "metadata"), "annotations");
	JSON_EACH (it, want) {
		const struct json *have = json_get(map, it.key);
		if (json_is_null(have))
			json_set_copy(a->d, map, it.key, it.val);
		else if (!json_eq(have, it.val))
			strv_addf(a->conflicts, "annotations.%s", it.key);
	}
}

static void apply_type(const struct apply *a, struct json *template)
{
	struct json *domain = need(a, a->spec, "domain"), *devices = need(a, domain, "devices");

	apply_whole(a, a->spec, "nodeSelector", "nodeSelector");
	apply_whole(a, a->spec, "schedulerName", "schedulerName");
	apply_cpu(a);
	apply_memory(a);
	apply_io_threads(a);
	apply_whole(a, domain, "ioThreadsPolicy", "domain.ioThreadsPolicy");
	apply_whole(a, domain, "launchSecurity", "domain.launchSecurity");
	apply_whole(a, devices, "gpus", "domain.devices.gpus");
	apply_whole(a, devices, "hostDevices", "domain.devices.hostDevices");
	apply_annotations(a, template);
}

void it_apply(struct json_doc *d, struct json *template, const char *at, const struct json *type,
	const struct json *preference, struct strv *conflicts)
{
	const struct apply a = { .d = d,
		.spec = json_need_obj(d, template, "spec"),
		.type = type,
		.preference = preference,
		.at = at,
		.conflicts = conflicts };

	if (type)
		apply_type(&a, template);
	if (preference && !conflicts->len)
		it_apply_preference(d, template, preference);
}
