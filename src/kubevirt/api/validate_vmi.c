/* SPDX-License-Identifier: Apache-2.0 */
/* A VMI spec: CPUs, memory, machine, firmware, probes, names. Texts: kubevirt-api.md 6, rollout.md 4.1. */
#include "kubevirt/api/validate_impl.h"

#include <stdarg.h>
#include <string.h>

#include "api/quantity.h"
#include "api/semantics.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"

#define DNS_NAMESERVERS_MAX 3
#define DNS_SEARCHES_MAX 32
#define MIN_MEMORY_REQUEST 1000000

/* ---- refusing ---- */

char *check_path(const struct check *k, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	str_addf(&s, "%s.", k->at);
	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	return str_take(&s);
}

__attribute__((format(printf, 5, 0))) static void refuse(
	const struct check *k, const char *reason, const char *sub, bool named, const char *fmt, va_list ap)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(mem_freep) char *field = *sub ? check_path(k, "%s", sub) : mem_strdup(k->at);

	if (named)
		str_addf(&text, "%s ", field);
	str_addv(&text, fmt, ap);
	cause_text(k->causes, reason, field, "%s", str_cstr(&text));
}

void check_refuse(const struct check *k, const char *reason, const char *sub, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	refuse(k, reason, sub, false, fmt, ap);
	va_end(ap);
}

void check_refuse_named(const struct check *k, const char *reason, const char *sub, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	refuse(k, reason, sub, true, fmt, ap);
	va_end(ap);
}

int check_index(const struct json *list, const char *name)
{
	int i = 0;
	JSON_EACH (it, list) {
		if (str_eq(json_get_str(it.val, "name"), name))
			return i;
		i++;
	}
	return -1;
}

/* ---- CPUs ---- */

static void check_max_sockets(const struct check *k)
{
	const struct json *cpu = json_at(k->spec, "/domain/cpu");
	int64_t sockets = json_i64(json_get(cpu, "sockets")), max = json_i64(json_get(cpu, "maxSockets"));

	if (max && sockets > max) /* rollout.md 6.29 */
		check_refuse(k, REASON_INVALID, "domain.cpu.sockets",
			"Number of sockets in CPU topology is greater than the maximum sockets allowed");
}

static void check_topology(const struct check *k)
{
	const struct json *cpu = json_at(k->spec, "/domain/cpu");

	check_max_sockets(k);
	if (str_eq(json_get_str(k->spec, "architecture"), "arm64") && json_i64(json_get(cpu, "threads")) > 1)
		check_refuse(k, REASON_INVALID, "domain.cpu.threads",
			"threads must not be greater than 1 at %s.domain.cpu.threads (got %lld) when "
			"%s.architecture is arm64",
			k->at, (long long)json_i64(json_get(cpu, "threads")), k->at);
	static const char *const policies[] = { "force", "require", "optional", "disable", "forbid", NULL };
	JSON_EACH (it, json_get(cpu, "features")) {
		const char *policy = json_get_str(it.val, "policy");
		if (!str_empty(policy) && !str_in(policy, policies)) {
			CLEANUP(mem_freep) char *sub = str_printf("domain.cpu.features[%zu].policy", it.i);
			check_refuse(k, REASON_NOT_SUPPORTED, sub,
				"CPU feature %s uses policy %s that is not supported.",
				json_str_or(json_get(it.val, "name"), ""), policy);
		}
	}
	if (json_bool(json_get(cpu, "isolateEmulatorThread")) &&
		!json_bool(json_get(cpu, "dedicatedCpuPlacement")))
		check_refuse(k, REASON_INVALID, "domain.cpu.isolateEmulatorThread",
			"IsolateEmulatorThread should be only set in combination with DedicatedCPUPlacement");
}

static bool milli_of(const struct check *k, const char *pointer, int64_t *ret)
{
	const struct json *v = json_at(k->spec, pointer);
	*ret = quantity_millis(v);
	return v != NULL;
}

static void check_cpu_resources(const struct check *k)
{
	static const char req[] = "domain.resources.requests.cpu", lim[] = "domain.resources.limits.cpu";
	int64_t request, limit;
	bool has_request = milli_of(k, "/domain/resources/requests/cpu", &request);
	bool has_limit = milli_of(k, "/domain/resources/limits/cpu", &limit);

	if (has_request && request < 0)
		check_refuse(k, REASON_INVALID, req, "%s.%s '%s': must be greater than or equal to 0.", k->at,
			req, json_str_or(json_at(k->spec, "/domain/resources/requests/cpu"), ""));
	if (has_limit && limit < 0)
		check_refuse(k, REASON_INVALID, lim, "%s.%s '%s': must be greater than or equal to 0.", k->at,
			lim, json_str_or(json_at(k->spec, "/domain/resources/limits/cpu"), ""));
	if (has_request && has_limit && limit > 0 && request > limit)
		check_refuse(k, REASON_INVALID, req, "%s.%s '%s' is greater than %s.%s '%s'", k->at, req,
			json_str_or(json_at(k->spec, "/domain/resources/requests/cpu"), ""), k->at, lim,
			json_str_or(json_at(k->spec, "/domain/resources/limits/cpu"), ""));
}

static void check_dedicated(const struct check *k)
{
	const struct json *cpu = json_at(k->spec, "/domain/cpu");
	int64_t request, limit, vcpus = vcpu_count(cpu);
	bool has_request = milli_of(k, "/domain/resources/requests/cpu", &request);
	bool has_limit = milli_of(k, "/domain/resources/limits/cpu", &limit);

	if (json_is_obj(json_get(cpu, "realtime"))) {
		if (!json_bool(json_get(cpu, "dedicatedCpuPlacement")))
			check_refuse(k, REASON_REQUIRED, "domain.cpu.dedicatedCpuPlacement",
				"%s.domain.cpu.dedicatedCpuPlacement must be set to true when "
				"%s.domain.cpu.realtime is used",
				k->at, k->at);
		if (!json_is_obj(json_at(cpu, "/numa/guestMappingPassthrough")))
			check_refuse(k, REASON_REQUIRED, "domain.cpu.numa.guestMappingPassthrough",
				"%s.domain.cpu.numa.guestMappingPassthrough must be defined when "
				"%s.domain.cpu.realtime is used",
				k->at, k->at);
	}
	if (!json_bool(json_get(cpu, "dedicatedCpuPlacement")))
		return;
	if (has_limit && limit % 1000)
		check_refuse(k, REASON_INVALID, "domain.resources.limits.cpu",
			"provided resources CPU limits must be an interger");
	if (has_request && request % 1000)
		check_refuse(k, REASON_INVALID, "domain.resources.requests.cpu",
			"provided resources CPU requests must be an interger");
	if (has_request && has_limit && request != limit)
		check_refuse(k, REASON_INVALID, "domain.cpu.dedicatedCpuPlacement",
			"%s.domain.resources.requests.cpu or %s.domain.resources.limits.cpu must be equal "
			"when "
			"DedicatedCPUPlacement is true ",
			k->at, k->at);
	if ((has_request && request > 0 && request / 1000 != vcpus) ||
		(has_limit && limit > 0 && limit / 1000 != vcpus))
		check_refuse(k, REASON_INVALID, "domain.cpu.dedicatedCpuPlacement",
			"%s.domain.resources.requests.cpu or %s.domain.resources.limits.cpu must equal the "
			"number of vCPUs (%lld) "
			"when DedicatedCPUPlacement is true",
			k->at, k->at, (long long)vcpus);
	if (json_i64(json_get(cpu, "threads")) > 2)
		check_refuse(k, REASON_INVALID, "domain.cpu.dedicatedCpuPlacement",
			"Not more than two threads must be provided at %s.domain.cpu.threads (got %lld) when "
			"DedicatedCPUPlacement "
			"is true",
			k->at, (long long)json_i64(json_get(cpu, "threads")));
}

/* ---- memory ---- */

static const char *text_of(const struct check *k, const char *pointer)
{
	return json_str_or(json_at(k->spec, pointer), "0");
}

static void check_hugepages(const struct check *k)
{
	static const char field[] = "domain.resources.requests.memory";
	const struct json *size = json_at(k->spec, "/domain/memory/hugepages/pageSize");
	int64_t page = quantity_bytes(size),
		memory = quantity_bytes(json_at(k->spec, "/domain/resources/requests/memory"));

	if (!json_is_obj(json_at(k->spec, "/domain/memory/hugepages")))
		return;
	if (page <= 0) {
		check_refuse(k, REASON_INVALID, "domain.memory.hugepages.pageSize",
			"%s.domain.memory.hugepages.pageSize '%s': quantities must match the regular "
			"expression "
			"'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
			k->at, json_str_or(size, ""));
		return;
	}
	/* The cause stands at the request, as KubeVirt has it; its text names what was given. */
	const char *from = memory > 0 ? field : "domain.memory.guest";
	const char *given =
		text_of(k, memory > 0 ? "/domain/resources/requests/memory" : "/domain/memory/guest");
	if (memory <= 0)
		memory = domain_guest_memory(json_get(k->spec, "domain"));
	if (memory > 0 && memory < page)
		check_refuse(k, REASON_INVALID, field,
			"%s.%s '%s' must be equal to or larger than page size "
			"%s.domain.memory.hugepages.pageSize '%s'",
			k->at, from, given, k->at, json_str_or(size, ""));
	else if (memory > 0 && memory % page)
		check_refuse(k, REASON_INVALID, field,
			"%s.%s '%s' is not a multiple of the page size "
			"%s.domain.memory.hugepages.pageSize '%s'",
			k->at, from, given, k->at, json_str_or(size, ""));
}

static void check_memory(const struct check *k)
{
	static const char req[] = "domain.resources.requests.memory",
			  lim[] = "domain.resources.limits.memory";
	const struct json *domain = json_get(k->spec, "domain");
	const struct json *request = json_at(domain, "/resources/requests/memory");
	const struct json *limit = json_at(domain, "/resources/limits/memory"),
			  *guest = json_at(domain, "/memory/guest");
	int64_t r = quantity_bytes(request), l = quantity_bytes(limit), g = quantity_bytes(guest);

	if (domain_guest_memory(domain) < 0 && !k->sized_elsewhere)
		check_refuse(k, REASON_REQUIRED, "domain.memory",
			"no memory requested, at least one of '%s.domain.memory.guest', "
			"'%s.domain.memory.hugepages.pageSize' or "
			"'%s.domain.resources.requests.memory' must be set",
			k->at, k->at, k->at);
	if (request && r < 0)
		check_refuse(k, REASON_INVALID, req, "%s.%s '%s': must be greater than or equal to 0.", k->at,
			req, json_str_or(request, ""));
	else if (request && r > 0 && r < MIN_MEMORY_REQUEST)
		check_refuse(k, REASON_INVALID, req, "%s.%s '%s': must be greater than or equal to 1M.",
			k->at, req, json_str_or(request, ""));
	if (limit && l < 0)
		check_refuse(k, REASON_INVALID, lim, "%s.%s '%s': must be greater than or equal to 0.", k->at,
			lim, json_str_or(limit, ""));
	if (l > 0 && r > l)
		check_refuse(k, REASON_INVALID, req, "%s.%s '%s' is greater than %s.%s '%s'", k->at, req,
			json_str_or(request, ""), k->at, lim, json_str_or(limit, ""));
	if (guest && g <= 0)
		check_refuse(k, REASON_INVALID, "domain.memory.guest",
			"%s.domain.memory.guest '%s': must be greater than 0.", k->at,
			json_str_or(guest, "0"));
	/* Only under Stage: growing takes the limit along (rollout.md 4.1). */
	if (k->config->rollout == ROLLOUT_STAGE && l > 0 && g > l)
		check_refuse(k, REASON_INVALID, "domain.memory.guest",
			"%s.domain.memory.guest '%s' must be equal to or less than the memory limit %s.%s "
			"'%s'",
			k->at, json_str_or(guest, ""), k->at, lim, json_str_or(limit, ""));
	check_hugepages(k);
}

/* ---- machine ---- */

static void check_machine(const struct check *k)
{
	const char *arch_text = json_str_or(json_get(k->spec, "architecture"), "");
	const char *type = json_at_str(k->spec, "/domain/machine/type");
	CLEANUP(str_done) struct str allowed = { 0 };
	enum kv_arch arch;

	if (!kv_arch_of(k->config, arch_text, &arch)) {
		check_refuse(
			k, REASON_NOT_SUPPORTED, "architecture", "unsupported architecture: %s", arch_text);
		return;
	}
	if (!str_empty(type) && !kv_machine_allowed(k->config, arch, type, &allowed))
		check_refuse_named(k, REASON_INVALID, "domain.machine.type",
			"is not supported: %s (allowed values: %s)", type, str_cstr(&allowed));
}

static bool enabled(const struct json *feature)
{
	return json_is_obj(feature) && json_bool_or(json_get(feature, "enabled"), true);
}

static void check_firmware(const struct check *k)
{
	const struct json *loader = json_at(k->spec, "/domain/firmware/bootloader");
	const struct json *efi = json_get(loader, "efi"),
			  *boot = json_at(k->spec, "/domain/firmware/kernelBoot");

	if (json_is_obj(efi) && json_is_obj(json_get(loader, "bios")))
		check_refuse_named(k, REASON_INVALID, "domain.firmware.bootloader",
			"has both EFI and BIOS configured, but they are mutually exclusive.");
	if (json_is_obj(efi) && json_bool_or(json_get(efi, "secureBoot"), true) &&
		!enabled(json_at(k->spec, "/domain/features/smm")))
		check_refuse_named(k, REASON_INVALID, "domain.firmware",
			"has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.");
	if (!json_is_obj(boot))
		return;
	const struct json *container = json_get(boot, "container");
	if (!str_empty(json_get_str(boot, "kernelArgs")) && str_empty(json_get_str(container, "kernelPath")))
		check_refuse(k, REASON_INVALID, "domain.firmware.kernelBoot",
			"kernel arguments cannot be provided without an external kernel");
	if (json_is_obj(container) && str_empty(json_get_str(container, "kernelPath")) &&
		str_empty(json_get_str(container, "initrdPath")))
		check_refuse_named(k, REASON_REQUIRED, "domain.firmware.kernelBoot.container",
			"must be defined with at least one of the following: kernelPath, initrdPath");
}

static void check_devices(const struct check *k)
{
	const struct json *devices = json_at(k->spec, "/domain/devices");

	JSON_EACH (it, json_get(devices, "inputs")) {
		CLEANUP(mem_freep) char *sub = str_printf("domain.devices.inputs[%zu]", it.i);
		const char *bus = json_get_str(it.val, "bus");
		if (!str_empty(bus) && !str_eq(bus, "usb") && !str_eq(bus, "virtio"))
			check_refuse(k, REASON_INVALID, sub, "Input device can have only virtio or usb bus.");
		if (!str_eq(json_get_str(it.val, "type"), "tablet"))
			check_refuse(k, REASON_INVALID, sub, "Input device can have only tablet type.");
	}
	const struct json *sound = json_get(devices, "sound");
	const char *model = json_get_str(sound, "model");
	if (!str_empty(model) && !str_eq(model, "ich9") && !str_eq(model, "ac97"))
		check_refuse(k, REASON_NOT_SUPPORTED, "domain.devices.sound",
			"Sound device type is not supported. Options: 'ich9' or 'ac97'");
	if (json_is_obj(sound) && str_empty(json_get_str(sound, "name")))
		check_refuse(
			k, REASON_REQUIRED, "domain.devices.sound", "Sound device requires a name field.");
	if (json_is_obj(json_get(devices, "video")) &&
		!json_bool_or(json_get(devices, "autoattachGraphicsDevice"), true))
		check_refuse(k, REASON_INVALID, "domain.devices.video",
			"Video configuration is not allowed when autoattachGraphicsDevice is set to false");
	if (json_len(json_get(devices, "hostDevices")) && !gate_on(&k->config->gates, GATE_HOST_DEVICES))
		check_refuse(k, REASON_INVALID, "domain.devices.hostDevices",
			"Host Devices feature gate is not enabled in kubevirt-config");
	if (json_bool(json_get(devices, "autoattachVSOCK")) && !gate_on(&k->config->gates, GATE_VSOCK))
		check_refuse(k, REASON_INVALID, "domain.devices.autoattachVSOCK",
			"VSOCK feature gate is not enabled in kubevirt-config");
	if (json_is_obj(json_get(devices, "downwardMetrics")) &&
		!gate_on(&k->config->gates, GATE_DOWNWARD_METRICS))
		check_refuse(k, REASON_INVALID, "domain.devices.downwardMetrics",
			"downwardMetrics virtio serial is not allowed: DownwardMetrics feature gate is not "
			"enabled");
	static const char *const policies[] = { "shared", "auto", "supplementalPool", NULL };
	const char *policy = json_at_str(k->spec, "/domain/ioThreadsPolicy");
	if (policy && !str_in(policy, policies))
		check_refuse(
			k, REASON_INVALID, "domain.ioThreadsPolicy", "Invalid IOThreadsPolicy (%s)", policy);
}

/* ---- life ---- */

static void check_probe(const struct check *k, const char *name)
{
	static const char *const kinds[] = { "httpGet", "tcpSocket", "exec", "guestAgentPing" };
	const struct json *probe = json_get(k->spec, name);
	int n = 0;

	if (!json_is_obj(probe))
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		n += json_is_obj(json_get(probe, kinds[i]));
	if (n > 1)
		check_refuse_named(k, REASON_INVALID, name, "must have exactly one probe type set");
	if (n < 1)
		check_refuse(k, REASON_REQUIRED, name,
			"either %s.%s.tcpSocket, %s.%s.exec or %s.%s.httpGet must be set if a %s.%s is "
			"specified",
			k->at, name, k->at, name, k->at, name, k->at, name);
	bool pod_network = false;
	JSON_EACH (it, json_get(k->spec, "networks"))
		pod_network = pod_network || json_is_obj(json_get(it.val, "pod"));
	for (size_t i = 0; i < 2 && !pod_network; i++) {
		CLEANUP(mem_freep) char *sub = str_printf("%s.%s", name, kinds[i]);
		if (json_is_obj(json_get(probe, kinds[i])))
			check_refuse_named(
				k, REASON_INVALID, sub, "is only allowed if the Pod Network is attached");
	}
}

static void check_life(const struct check *k)
{
	static const char *const eviction[] = { "None", "LiveMigrate", "LiveMigrateIfPossible", "External",
		NULL };
	const char *text = json_get_str(k->spec, "evictionStrategy");

	if (text && !str_in(text, eviction))
		check_refuse_named(k, REASON_INVALID, "evictionStrategy",
			"is set with an unrecognized option: %s", text);
	text = json_get_str(k->spec, "startStrategy");
	if (text && !str_eq(text, "Paused"))
		check_refuse_named(
			k, REASON_INVALID, "startStrategy", "is set with an unrecognized option: %s", text);
	if (text && json_is_obj(json_get(k->spec, "livenessProbe")))
		check_refuse(k, REASON_INVALID, "startStrategy",
			"either %s.startStrategy or %s.livenessProbe should be provided.Pausing VMI with "
			"LivenessProbe is not supported",
			k->at, k->at);
	if (json_i64(json_get(k->spec, "terminationGracePeriodSeconds")) < 0)
		check_refuse_named(k, REASON_INVALID, "terminationGracePeriodSeconds",
			"must be greater than or equal to 0");
	text = json_at_str(k->spec, "/domain/rebootPolicy");
	if (text && !str_eq(text, "Reboot") && !str_eq(text, "Terminate"))
		check_refuse_named(k, REASON_INVALID, "domain.rebootPolicy",
			"is set with an unrecognized option: %s", text);
	check_probe(k, "livenessProbe");
	check_probe(k, "readinessProbe");
}

static void check_dns(const struct check *k)
{
	const char *host = json_get_str(k->spec, "hostname"), *sub = json_get_str(k->spec, "subdomain");
	const struct json *config = json_get(k->spec, "dnsConfig");

	if (!str_empty(host) && !name_is_dns1123_label(host))
		check_refuse_named(k, REASON_INVALID, "hostname",
			"does not conform to the kubernetes DNS_LABEL rules : a lowercase RFC 1123 label "
			"must consist of lower case "
			"alphanumeric characters or '-', and must start and end with an alphanumeric "
			"character, at most 63 of them");
	if (!str_empty(sub) && !name_is_dns1123_subdomain(sub))
		check_refuse_named(k, REASON_INVALID, "subdomain",
			"does not conform to the kubernetes DNS_SUBDOMAIN rules : "
			"lower case alphanumeric characters, '-' or '.', at most 253 of them");
	if (json_len(json_get(config, "nameservers")) > DNS_NAMESERVERS_MAX)
		check_refuse(k, REASON_INVALID, "dnsConfig.nameservers",
			"must not have more than %d nameservers", DNS_NAMESERVERS_MAX);
	if (json_len(json_get(config, "searches")) > DNS_SEARCHES_MAX)
		check_refuse(k, REASON_INVALID, "dnsConfig.searches",
			"must not have more than %d search paths", DNS_SEARCHES_MAX);
	if (str_eq(json_get_str(k->spec, "dnsPolicy"), "None") && !json_len(json_get(config, "nameservers")))
		check_refuse(k, REASON_REQUIRED, "dnsConfig.nameservers",
			"must provide at least one DNS nameserver when `dnsPolicy` is None");
}

/* spec has its defaults already. */
static void check_spec(const struct check *k)
{
	check_machine(k);
	check_memory(k);
	check_topology(k);
	check_cpu_resources(k);
	check_dedicated(k);
	check_firmware(k);
	check_volumes(k);
	check_disks(k);
	check_networks(k);
	check_devices(k);
	check_life(k);
	check_dns(k);
	check_placement(k);
}

static void validate(
	const struct json *spec, const char *at, bool sized, const struct kv_config *c, struct causes *causes)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(spec);
	const struct defaults_in in = { .config = c };
	struct check k = {
		.spec = json_root(d), .at = at, .config = c, .causes = causes, .sized_elsewhere = sized
	};

	if (json_is_obj(json_root(d)))
		vmi_default_spec(d, json_root(d), &in);
	check_spec(&k);
}

void vmi_spec_validate(
	const struct json *spec, const char *at, const struct kv_config *c, struct causes *causes)
{
	validate(spec, at, false, c, causes);
}

void vm_spec_validate(const struct json *spec, bool sized, const struct kv_config *c, struct causes *causes)
{
	validate(spec, "spec.template.spec", sized, c, causes);
}

/* What only a VM is asked, and only under LiveUpdate (rollout.md 4.1): KubeVirt looks at the sockets a second time; and a
 * maximum of memory that the user gave has to work. An automatic one is dropped instead, and an instance that is to start
 * from a VM that Stage let through starts without hotplug. */
void vm_live_update_validate(const struct json *spec, const struct kv_config *c, struct causes *causes)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(spec);
	const struct defaults_in in = { .config = c };
	struct check k = { .spec = json_root(d), .at = "spec.template.spec", .config = c, .causes = causes };
	bool has_max = json_at(spec, "/domain/memory/maxGuest") != NULL;
	const char *why;

	if (c->rollout != ROLLOUT_LIVE_UPDATE || !json_is_obj(json_root(d)))
		return;
	vmi_default_spec(d, json_root(d), &in);
	check_max_sockets(&k);
	if (!has_max)
		return;
	const struct json *domain = json_get(k.spec, "domain");
	why = memory_hotplug_check(domain, json_str_or(json_get(k.spec, "architecture"), ""),
		quantity_bytes(json_at(domain, "/memory/guest")),
		quantity_bytes(json_at(domain, "/memory/maxGuest")));
	if (why)
		check_refuse(&k, REASON_INVALID, "domain.memory.guest", "%s", why);
}
