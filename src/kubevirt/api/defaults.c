/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/defaults.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"

#define STAGE_ROOM_MIN_GUEST \
	(3LL * 1024 * 1024 * 1024) /* decision 12: from here on room costs a guest nothing */

/* ---- small steps: set only what is missing. Mutating admission comes before the schema is checked, so anything may have
 * any type: what is of the wrong one is left alone, for the schema to refuse. ---- */

/* The member, made if absent. Of the wrong type: one that is in no document, so that what is set in it is lost. */
static struct json *part(struct json_doc *d, struct json *o, const char *key)
{
	struct json *v = json_get(o, key);

	if (json_is_obj(v))
		return v;
	v = json_new_obj(d);
	if (json_is_obj(o) && json_is_null(json_get(o, key)))
		json_set(d, o, key, v);
	return v;
}

static struct json *list_part(struct json_doc *d, struct json *o, const char *key)
{
	struct json *v = json_get(o, key);

	if (json_is_arr(v))
		return v;
	v = json_new_arr(d);
	if (json_is_obj(o) && json_is_null(json_get(o, key)))
		json_set(d, o, key, v);
	return v;
}

static void need_str(struct json_doc *d, struct json *o, const char *key, const char *value)
{
	const struct json *old = json_get(o, key);

	if (value && json_is_obj(o) && (json_is_null(old) || str_eq(json_str(old), "")))
		json_set_str(d, o, key, value);
}

static void need_i64(struct json_doc *d, struct json *o, const char *key, int64_t value)
{
	const struct json *old = json_get(o, key);

	if (json_is_obj(o) && (json_is_null(old) || (json_is_num(old) && !json_i64(old))))
		json_set_i64(d, o, key, value);
}

static void need_bool(struct json_doc *d, struct json *o, const char *key, bool value)
{
	if (json_is_obj(o) && json_is_null(json_get(o, key)))
		json_set_bool(d, o, key, value);
}

static void canonical(struct json_doc *d, struct json *o, const char *key)
{
	struct quantity q;
	char text[QUANTITY_TEXT_MAX];

	if (json_get(o, key) && quantity_from_json(json_get(o, key), &q, NULL) == 0 &&
		!str_eq(json_get_str(o, key), quantity_text(&q, text)))
		json_set_str(d, o, key, quantity_text(&q, text));
}

/* Values first, keys of a copy: the container changes under the walk otherwise. */
static void canonical_all(struct json_doc *d, struct json *map)
{
	CLEANUP(strv_done) struct strv keys = { 0 };

	if (!json_is_obj(map))
		return;
	JSON_EACH (it, map)
		strv_add(&keys, it.key);
	for (size_t i = 0; i < keys.len; i++)
		canonical(d, map, keys.items[i]);
}

/* ---- machine ---- */

static void default_arch(struct json_doc *d, struct json *spec, const struct kv_config *c, enum kv_arch *ret)
{
	need_str(d, spec, "architecture", c->default_arch);
	if (!kv_arch_of(c, json_get_str(spec, "architecture"), ret))
		*ret = KV_ARCH_AMD64; /* validation refuses it */
}

static void default_machine(
	struct json_doc *d, struct json *domain, const struct kv_config *c, enum kv_arch arch)
{
	need_str(d, part(d, domain, "machine"), "type", c->machine_type[arch]);
}

/* kubevirt-api.md 5, rollout.md 1.2: cpu absent or all zero becomes sockets = limit or request, rounded up, or 1. */
static void default_cpu(struct json_doc *d, struct json *domain, const struct kv_config *c, enum kv_arch arch)
{
	struct json *res = json_get(domain, "resources");
	struct json *limit = json_at(res, "/limits/cpu");

	if (limit && !json_at(res, "/requests/cpu"))
		json_set_copy(d, part(d, res, "requests"), "cpu", limit);

	struct json *cpu = part(d, domain, "cpu");
	if (!json_i64(json_get(cpu, "sockets")) && !json_i64(json_get(cpu, "cores")) &&
		!json_i64(json_get(cpu, "threads"))) {
		json_set_i64(d, cpu, "sockets", domain_sockets(domain));
		json_set_i64(d, cpu, "cores", 1);
		json_set_i64(d, cpu, "threads", 1);
	}
	if (c->cpu_model)
		need_str(d, cpu, "model", c->cpu_model);
	else
		need_str(d, cpu, "model", arch == KV_ARCH_ARM64 ? "host-passthrough" : "host-model");
	JSON_EACH (it, json_get(cpu, "features"))
		need_str(d, it.val, "policy", "require");
}

/* Sockets are reserved at every start (decision 12); arm64 has no CPU hotplug. */
static void default_max_sockets(
	struct json_doc *d, struct json *domain, const struct kv_config *c, enum kv_arch arch)
{
	struct json *cpu = json_get(domain, "cpu");
	int64_t sockets = json_i64(json_get(cpu, "sockets"));
	int64_t max = c->max_cpu_sockets;

	if (!json_is_obj(cpu) || json_i64(json_get(cpu, "maxSockets")) || arch == KV_ARCH_ARM64)
		return;
	if (json_get(cpu, "maxSockets") && !json_is_num(json_get(cpu, "maxSockets")))
		return;
	if (sockets < 1)
		sockets = 1;
	if (max && max < sockets)
		max = sockets;
	if (!max) {
		if (__builtin_mul_overflow(sockets, c->max_hotplug_ratio, &max))
			max = sockets;
		if (vcpu_count_sockets(cpu, max) > KV_MAX_VCPUS) {
			max = KV_MAX_VCPUS / vcpu_count_sockets(cpu, 1);
			max = max > sockets ? max : sockets;
		}
	}
	json_set_i64(d, cpu, "maxSockets", max);
}

static void default_guest_memory(struct json_doc *d, struct json *domain)
{
	static const char *const sources[] = { "/resources/requests/memory", "/resources/limits/memory",
		"/memory/hugepages/pageSize" };

	if (json_at(domain, "/memory/guest"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (quantity_bytes(json_at(domain, sources[i])) >= 0) {
			struct json *memory = part(d, domain, "memory");
			json_set_copy(d, memory, "guest", json_at(domain, sources[i]));
			return;
		}
}

/* Room for memory: VM or instance type, then cluster value, then ratio; dropped when the check of 4.2 fails on it. */
static void default_max_guest(
	struct json_doc *d, struct json *domain, const struct kv_config *c, enum kv_arch arch)
{
	struct json *memory = json_get(domain, "memory");
	int64_t guest = quantity_bytes(json_get(memory, "guest"));
	int64_t max = c->max_guest;
	char text[QUANTITY_TEXT_MAX];

	if (json_get(memory, "maxGuest") || guest < 0)
		return;
	if (c->rollout != ROLLOUT_LIVE_UPDATE && guest < STAGE_ROOM_MIN_GUEST)
		return;
	if (!max && __builtin_mul_overflow(guest, c->max_hotplug_ratio, &max))
		return;
	if (memory_hotplug_check(domain, kv_arch_name(arch), guest, max))
		return;
	json_set_str(d, memory, "maxGuest", quantity_bytes_text(max, text));
}

static void default_firmware(
	struct json_doc *d, struct json *domain, enum kv_arch arch, const struct defaults_in *in)
{
	struct json *features = part(d, domain, "features");
	part(d, features, "acpi");

	struct json *firmware = part(d, domain, "firmware");
	need_str(d, firmware, "uuid", in->uuid);
	if (arch == KV_ARCH_ARM64) {
		struct json *loader = part(d, firmware, "bootloader");
		if (!json_get(loader, "bios"))
			need_bool(d, part(d, loader, "efi"), "secureBoot", false);
	}
}

/* ---- devices ---- */

static bool named(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return true;
	return false;
}

static void default_disk(struct json_doc *d, struct json *disk, enum kv_arch arch)
{
	bool arm = arch != KV_ARCH_AMD64;
	struct json *cdrom = json_get(disk, "cdrom"), *lun = json_get(disk, "lun");

	if (json_is_obj(cdrom)) {
		need_str(d, cdrom, "bus", arm ? "scsi" : "sata");
		need_bool(d, cdrom, "readonly", true);
		need_str(d, cdrom, "tray", "closed");
	} else if (json_is_obj(lun)) {
		need_str(d, lun, "bus", arm ? "scsi" : "sata");
	} else {
		need_str(d, part(d, disk, "disk"), "bus", arm ? "virtio" : "sata");
	}
}

static void list_disks(struct json_doc *d, struct json *spec)
{
	struct json *devices = part(d, json_get(spec, "domain"), "devices");

	JSON_EACH (it, json_get(spec, "volumes")) {
		const char *name = json_get_str(it.val, "name");
		if (str_empty(name) || json_get(it.val, "memoryDump") || json_get(it.val, "containerPath") ||
			named(json_get(devices, "disks"), name) ||
			named(json_get(devices, "filesystems"), name))
			continue;
		struct json *disk = json_new_obj(d);
		json_set_str(d, disk, "name", name);
		json_append(d, list_part(d, devices, "disks"), disk);
	}
}

static void default_disks(struct json_doc *d, struct json *spec, enum kv_arch arch)
{
	list_disks(d, spec);
	JSON_EACH (it, json_at(spec, "/domain/devices/disks"))
		default_disk(d, it.val, arch);
}

static void default_network(struct json_doc *d, struct json *spec, const struct kv_config *c)
{
	struct json *devices = part(d, json_get(spec, "domain"), "devices");

	if (json_len(json_get(spec, "networks")) || json_len(json_get(devices, "interfaces")) ||
		!json_bool_or(json_get(devices, "autoattachPodInterface"), true))
		return;
	struct json *net = json_new_obj(d), *nic = json_new_obj(d);
	json_set_str(d, net, "name", "default");
	json_set(d, net, "pod", json_new_obj(d));
	json_append(d, list_part(d, spec, "networks"), net);
	json_set_str(d, nic, "name", "default");
	json_set(d, nic, c->default_interface, json_new_obj(d));
	json_append(d, list_part(d, devices, "interfaces"), nic);
}

static void list_input(struct json_doc *d, struct json *devices)
{
	if (json_bool(json_get(devices, "autoattachInputDevice")) && !json_len(json_get(devices, "inputs"))) {
		struct json *input = json_new_obj(d);
		json_set_str(d, input, "name", "default-0");
		json_append(d, list_part(d, devices, "inputs"), input);
	}
}

void vmi_default_devices(struct json_doc *d, struct json *spec, const struct kv_config *c)
{
	struct json *devices = part(d, part(d, spec, "domain"), "devices");

	default_network(d, spec, c);
	list_disks(d, spec);
	list_input(d, devices);
}

static void default_other_devices(struct json_doc *d, struct json *devices)
{
	list_input(d, devices);
	JSON_EACH (it, json_get(devices, "inputs")) {
		need_str(d, it.val, "bus", "usb");
		need_str(d, it.val, "type", "tablet");
	}
	struct json *dog = json_get(devices, "watchdog");
	if (!json_is_obj(dog))
		return;
	if (!json_is_obj(json_get(dog, "diag288")))
		need_str(d, part(d, dog, "i6300esb"), "action", "reset");
	else
		need_str(d, json_get(dog, "diag288"), "action", "reset");
}

/* Always for tag latest or none, else IfNotPresent. A colon before the last slash is the registry's port. */
static void default_pull_policy(struct json_doc *d, struct json *image)
{
	const char *ref = json_get_str(image, "image");
	if (!ref || !str_empty(json_get_str(image, "imagePullPolicy")))
		return;
	const char *slash = strrchr(ref, '/'), *digest = strchr(ref, '@');
	const char *tag = strrchr(slash ? slash : ref, ':');
	bool fixed = digest || (tag && !str_eq(tag, ":latest"));
	json_set_str(d, image, "imagePullPolicy", fixed ? "IfNotPresent" : "Always");
}

static void default_probe(struct json_doc *d, struct json *probe)
{
	if (!json_is_obj(probe))
		return;
	need_i64(d, probe, "timeoutSeconds", 1);
	need_i64(d, probe, "periodSeconds", 10);
	need_i64(d, probe, "successThreshold", 1);
	need_i64(d, probe, "failureThreshold", 3);
}

/* The VMI's quantities are written as the API writes them: patches test them as text (rollout.md 2.6). */
static void canonical_quantities(struct json_doc *d, struct json *spec)
{
	struct json *domain = json_get(spec, "domain");

	canonical(d, json_get(domain, "memory"), "guest");
	canonical(d, json_get(domain, "memory"), "maxGuest");
	canonical_all(d, json_at(domain, "/resources/requests"));
	canonical_all(d, json_at(domain, "/resources/limits"));
	JSON_EACH (it, json_get(spec, "volumes"))
		canonical(d, json_get(it.val, "emptyDisk"), "capacity");
}

void vmi_default_spec(struct json_doc *d, struct json *spec, const struct defaults_in *in)
{
	const struct kv_config *c = in->config;
	enum kv_arch arch;

	default_arch(d, spec, c, &arch);
	struct json *domain = part(d, spec, "domain");
	default_machine(d, domain, c, arch);
	default_cpu(d, domain, c, arch);
	default_guest_memory(d, domain);
	if (!in->for_vm) {
		default_max_sockets(d, domain, c, arch);
		default_max_guest(d, domain, c, arch);
	}
	default_firmware(d, domain, arch, in);
	default_network(d, spec, c);
	default_disks(d, spec, arch);
	default_other_devices(d, json_get(domain, "devices"));
	JSON_EACH (it, json_get(spec, "volumes"))
		default_pull_policy(d, json_get(it.val, "containerDisk"));
	default_pull_policy(d, json_at(domain, "/firmware/kernelBoot/container"));
	need_str(d, spec, "evictionStrategy", c->eviction_strategy);
	default_probe(d, json_get(spec, "livenessProbe"));
	default_probe(d, json_get(spec, "readinessProbe"));
	canonical_quantities(d, spec);
}

/* ---- whole objects ---- */

static void default_vmi_status(struct json_doc *d, struct json *vmi)
{
	const struct json *cpu = json_at(vmi, "/spec/domain/cpu"),
			  *guest = json_at(vmi, "/spec/domain/memory/guest");
	static const char *const sizes[] = { "guestAtBoot", "guestCurrent", "guestRequested" };
	static const char *const parts[] = { "cores", "sockets", "threads" };
	struct json *status = part(d, vmi, "status");

	need_str(d, status, "phase", "Pending");
	need_i64(d, status, "runtimeUser", KV_LAUNCHER_UID);
	if (guest && !json_get(status, "memory")) {
		struct json *memory = part(d, status, "memory");
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
			json_set_copy(d, memory, sizes[i], guest);
	}
	if (!json_get(status, "currentCPUTopology")) {
		struct json *topology = part(d, status, "currentCPUTopology");
		for (size_t i = 0; i < ARRAY_LEN(parts); i++)
			if (json_get(cpu, parts[i]))
				json_set_copy(d, topology, parts[i], json_get(cpu, parts[i]));
	}
}

void vmi_default_create(struct json_doc *d, struct json *vmi, const struct defaults_in *in)
{
	vmi_default_spec(d, part(d, vmi, "spec"), in);
	meta_set_finalizer(d, vmi, FINALIZER_VMI, true);
	default_vmi_status(d, vmi);
}

/* Only what there is: a VM that never had one has it derived from its name. */
static void keep_identity(struct json_doc *d, struct json *template, const struct json *old)
{
	static const char *const parts[] = { "uuid", "serial" };
	const struct json *firmware = json_at(old, "/spec/domain/firmware");
	const char *topology = json_get_str(json_at(old, "/metadata/annotations"), ANN_PCI_TOPOLOGY);

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!str_empty(json_get_str(firmware, parts[i])))
			need_str(d, part(d, json_at(template, "/spec/domain"), "firmware"), parts[i],
				json_get_str(firmware, parts[i]));
	if (topology)
		need_str(
			d, part(d, part(d, template, "metadata"), "annotations"), ANN_PCI_TOPOLOGY, topology);
}

void vm_default(struct json_doc *d, struct json *vm, bool create, const struct defaults_in *in)
{
	struct json *template = json_at(vm, "/spec/template"), *spec = json_get(template, "spec");
	enum kv_arch arch;

	if (!json_is_obj(spec))
		return; /* the schema refuses it */
	default_arch(d, spec, in->config, &arch);
	struct json *domain = part(d, spec, "domain");
	default_machine(d, domain, in->config, arch);
	if (!create) {
		keep_identity(d, template, json_at(in->old, "/spec/template"));
		return;
	}
	struct json *firmware = part(d, domain, "firmware");
	need_str(d, firmware, "uuid", in->uuid);
	need_str(d, firmware, "serial", in->serial);
	struct json *meta = part(d, template, "metadata");
	need_str(d, part(d, meta, "annotations"), ANN_PCI_TOPOLOGY, "v3");
}

void vmim_default_create(struct json_doc *d, struct json *vmim)
{
	const char *vmi = json_at_str(vmim, "/spec/vmiName");

	if (!str_empty(vmi))
		meta_set_label(d, vmim, LABEL_MIGRATION_SELECTOR, vmi);
	meta_set_finalizer(d, vmim, FINALIZER_VMIM, true);
}
