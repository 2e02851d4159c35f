/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on CPUs and memory, and the memory hotplug check: shared by admission, defaults and the VM controller. */
#include "api/quantity.h"
#include "kubevirt/api/defaults.h"

#define HOTPLUG_BLOCK (2LL * 1024 * 1024)
#define HOTPLUG_BLOCK_1G (1024LL * 1024 * 1024)
#define HOTPLUG_MIN_GUEST (1024LL * 1024 * 1024)
#define HOTPLUG_MAX_GUEST \
	(256LL << 40) /* 48 address bits; what a node has is its launcher's to know (qemu/vm_config.h) */

static int64_t at_least_one(const struct json *v)
{
	int64_t n = json_i64(v);
	return n > 0 ? n : 1;
}

int64_t vcpu_count_sockets(const struct json *cpu, int64_t sockets)
{
	int64_t per_socket, all;

	/* The schema bounds each to 32 bits; the product of three may still be too much. */
	if (__builtin_mul_overflow(at_least_one(json_get(cpu, "cores")),
		    at_least_one(json_get(cpu, "threads")), &per_socket) ||
		__builtin_mul_overflow(per_socket, sockets > 0 ? sockets : 1, &all))
		return INT64_MAX;
	return all;
}

int64_t vcpu_count(const struct json *cpu)
{
	return vcpu_count_sockets(cpu, json_i64(json_get(cpu, "sockets")));
}

int64_t domain_sockets(const struct json *domain)
{
	const struct json *cpu = json_get(domain, "cpu"), *limit = json_at(domain, "/resources/limits/cpu");
	const struct json *given = limit ? limit : json_at(domain, "/resources/requests/cpu");
	int64_t sockets = json_i64(json_get(cpu, "sockets"));
	struct quantity q;

	if (!sockets && !json_i64(json_get(cpu, "cores")) && !json_i64(json_get(cpu, "threads")) &&
		quantity_from_json(given, &q, NULL) == 0)
		sockets = quantity_ceil(&q);
	return sockets > 0 ? sockets : 1;
}

int64_t domain_guest_memory(const struct json *domain)
{
	static const char *const sources[] = { "/memory/guest", "/resources/requests/memory",
		"/resources/limits/memory", "/memory/hugepages/pageSize" };

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		int64_t n = quantity_bytes(json_at(domain, sources[i]));
		if (n >= 0)
			return n;
	}
	return -1;
}

int64_t domain_memory_block(const struct json *domain)
{
	return str_eq(json_at_str(domain, "/memory/hugepages/pageSize"), "1Gi") ? HOTPLUG_BLOCK_1G
										: HOTPLUG_BLOCK;
}

const char *memory_hotplug_check(
	const struct json *domain, const char *arch, int64_t guest, int64_t max_guest)
{
	int64_t block = domain_memory_block(domain);
	bool huge = block == HOTPLUG_BLOCK_1G;

	if (json_is_obj(json_at(domain, "/cpu/realtime")))
		return "Memory hotplug is not compatible with realtime VMs";
	if (json_is_obj(json_at(domain, "/cpu/numa/guestMappingPassthrough")))
		return "Memory hotplug is not compatible with guest mapping passthrough";
	if (json_is_obj(json_get(domain, "launchSecurity")))
		return "Memory hotplug is not compatible with encrypted VMs";
	if (guest < 0)
		return "Guest memory must be configured when memory hotplug is enabled";
	if (max_guest < 0)
		return "Max guest memory must be configured when memory hotplug is enabled";
	if (max_guest > HOTPLUG_MAX_GUEST)
		return "MaxGuest is more than any guest can address";
	if (guest > max_guest)
		return "Guest memory is greater than the configured maxGuest memory";
	if (guest % block)
		return huge ? "Guest memory must be 1Gi aligned" : "Guest memory must be 2Mi aligned";
	if (max_guest % block)
		return huge ? "MaxGuest must be 1Gi aligned" : "MaxGuest must be 2Mi aligned";
	if (!str_eq(arch, "amd64") && !str_eq(arch, "arm64"))
		return "Memory hotplug is only available for x86_64 and arm64 VMs";
	if (guest < HOTPLUG_MIN_GUEST)
		return "Memory hotplug is only available for VMs with at least 1Gi of guest memory";
	return NULL;
}
