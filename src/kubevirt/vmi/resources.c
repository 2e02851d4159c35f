/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt-api.md 7.1 */
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/vmi/render.h"

#define MIB (1024LL * 1024)
#define VCPU_MIB 8
#define DEDICATED(vmi) json_bool(json_at(vmi, "/spec/domain/cpu/dedicatedCpuPlacement"))

/* ---- memory overhead: a table of what counts how often ---- */
static int64_t once(const struct json *vmi)
{
	return 1;
}
static int64_t per_vcpu(const struct json *vmi)
{
	return vcpu_count(json_at(vmi, "/spec/domain/cpu"));
}
static int64_t per_graphics(const struct json *vmi)
{
	return json_bool_or(json_at(vmi, "/spec/domain/devices/autoattachGraphicsDevice"), true);
}
static int64_t on_arm(const struct json *vmi)
{
	return str_eq(json_at_str(vmi, "/spec/architecture"), "arm64");
}
static int64_t per_vfio(const struct json *vmi)
{
	const struct json *devices = json_at(vmi, "/spec/domain/devices");

	if (json_len(json_get(devices, "hostDevices")) || json_len(json_get(devices, "gpus")))
		return 1;
	JSON_EACH (it, json_get(devices, "interfaces"))
		if (json_get(it.val, "sriov"))
			return 1;
	return 0;
}
static int64_t per_exec_probe(const struct json *vmi)
{
	return (json_at(vmi, "/spec/livenessProbe/exec") != NULL) +
	       (json_at(vmi, "/spec/readinessProbe/exec") != NULL);
}
static int64_t any_exec_probe(const struct json *vmi)
{
	return per_exec_probe(vmi) > 0;
}
static int64_t per_encryption(const struct json *vmi)
{
	return json_is_obj(json_at(vmi, "/spec/domain/launchSecurity"));
}
static int64_t per_tpm(const struct json *vmi)
{
	return json_is_obj(json_at(vmi, "/spec/domain/devices/tpm"));
}
static int64_t per_metrics_disk(const struct json *vmi)
{
	JSON_EACH (it, json_at(vmi, "/spec/volumes"))
		if (json_get(it.val, "downwardMetrics"))
			return 1;
	return 0;
}
static bool guaranteed(const struct json *vmi)
{
	const struct json *r = json_at(vmi, "/spec/domain/resources");
	int64_t memory = quantity_bytes(json_at(r, "/requests/memory")),
		cpu = quantity_millis(json_at(r, "/requests/cpu"));

	return memory > 0 && cpu > 0 && memory == quantity_bytes(json_at(r, "/limits/memory")) &&
	       cpu == quantity_millis(json_at(r, "/limits/cpu"));
}
static int64_t per_locked(const struct json *vmi)
{
	return DEDICATED(vmi) || guaranteed(vmi);
}

static const struct {
	const char *part;
	int64_t mib;
	int64_t (*times)(const struct json *vmi);
} overheads[] = {
	{ "launcher monitor", 25, once },
	{ "launcher", 100, once },
	{ "log daemon", 25, once },
	{ "machine daemon", 40, once },
	{ "qemu", 50, once },
	{ "vCPU", VCPU_MIB, per_vcpu },
	{ "I/O thread", 8, once },
	{ "graphics device", 32, per_graphics },
	{ "arm64 firmware", 128, on_arm },
	{ "VFIO devices", 1024, per_vfio },
	{ "exec probe", 10, per_exec_probe },
	{ "exec probes at all", 100, any_exec_probe },
	{ "memory encryption", 256, per_encryption },
	{ "TPM", 53, per_tpm },
	{ "downward metrics", 1, per_metrics_disk },
	{ "guaranteed resources", 100, per_locked },
};

int64_t pod_memory_overhead(const struct json *vmi, const struct kv_config *c)
{
	int64_t request = quantity_bytes(json_at(vmi, "/spec/domain/resources/requests/memory"));
	int64_t added = quantity_bytes(json_at(vmi, "/spec/domain/memory/reservedOverhead/addedOverhead"));
	int64_t sum = request > 0 ? (request + 1023) / 1024 * 1024 / 512 : 0; /* page tables */

	for (size_t i = 0; i < ARRAY_LEN(overheads); i++)
		sum += overheads[i].mib * MIB * overheads[i].times(vmi);
	if (added > 0)
		sum += added;
	return (int64_t)((double)sum * c->overhead_ratio);
}

int64_t pod_vcpu_overhead(int64_t vcpus, const struct kv_config *c)
{
	return (int64_t)((double)(vcpus * VCPU_MIB * MIB) * c->overhead_ratio);
}

static void cpu_resources(const struct json *vmi, const struct kv_config *c, struct pod_resources *ret)
{
	const struct json *r = json_at(vmi, "/spec/domain/resources");
	int64_t vcpus = vcpu_count(json_at(vmi, "/spec/domain/cpu"));

	ret->cpu_request = quantity_millis(json_at(r, "/requests/cpu"));
	ret->cpu_limit = quantity_millis(json_at(r, "/limits/cpu"));
	if (DEDICATED(vmi))
		ret->cpu_request = ret->cpu_limit = vcpus * 1000;
	else if (ret->cpu_request < 0)
		ret->cpu_request = vcpus * 1000 / c->cpu_allocation_ratio;
}

void pod_resources_of(
	const struct json *vmi, const struct kv_config *c, int64_t overhead, struct pod_resources *ret)
{
	const struct json *domain = json_at(vmi, "/spec/domain"), *r = json_get(domain, "resources");
	int64_t guest = domain_guest_memory(domain), request = quantity_bytes(json_at(r, "/requests/memory"));
	int64_t limit = quantity_bytes(json_at(r, "/limits/memory"));

	*ret = (struct pod_resources){ .overhead = overhead >= 0 ? overhead : pod_memory_overhead(vmi, c),
		.hugepages = -1 };
	cpu_resources(vmi, c, ret);
	ret->hugepage_size = json_at_str(domain, "/memory/hugepages/pageSize");
	if (ret->hugepage_size) { /* the guest's memory comes from there */
		ret->hugepages = guest;
		ret->memory_request = ret->memory_limit = ret->overhead;
		return;
	}
	if (request < 0)
		request = limit >= 0 ? limit : guest < 0 ? 0 : guest * 100 / c->memory_overcommit;
	if (!json_bool(json_get(r, "overcommitGuestOverhead")))
		request += ret->overhead;
	ret->memory_request = request;
	ret->memory_limit = limit >= 0 ? limit + ret->overhead : -1;
}
