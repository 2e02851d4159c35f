/* SPDX-License-Identifier: Apache-2.0 */
/* A preference onto a template: it fills in what is left open, and never argues. */
#include "base/mem.h"
#include "kubevirt/instancetype/instancetype.h"

struct wish {
	const char *from, *to; /* of the preference, of the template */
	bool always;           /* whatever the template says */
};

static bool open_field(const struct json *v)
{
	return json_is_null(v) || (json_is_str(v) && !*json_str(v));
}

/* to_of: object that the field belongs to; made when something goes into it. */
static void fill(struct json_doc *d, struct json *parent, const char *of, const struct json *preference,
	const struct wish *wishes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *want = json_get(preference, wishes[i].from);

		if (!open_field(want) &&
			(wishes[i].always || open_field(json_get(json_get(parent, of), wishes[i].to))))
			json_set_copy(d, json_need_obj(d, parent, of), wishes[i].to, want);
	}
}

static void fill_one(struct json_doc *d, struct json *o, const char *key, const struct json *want)
{
	if (json_is_obj(o) && !open_field(want) && open_field(json_get(o, key)))
		json_set_copy(d, o, key, want);
}

/* ---- CPU features ---- */
static bool named(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return true;
	return false;
}

static void cpu_features(struct json_doc *d, struct json *domain, const struct json *preference)
{
	JSON_EACH (it, json_at(preference, "/cpu/preferredCPUFeatures")) {
		struct json *cpu = json_need_obj(d, domain, "cpu");
		if (!named(json_get(cpu, "features"), json_get_str(it.val, "name")))
			json_append(d, json_need_arr(d, cpu, "features"), json_copy(d, it.val));
	}
}

/* ---- devices ---- */
static void disk(struct json_doc *d, struct json *disk, const struct json *p)
{
	struct json *plain, *lun, *cdrom;

	if (!json_is_obj(disk))
		return;
	lun = json_get(disk, "lun");
	cdrom = json_get(disk, "cdrom");
	if (json_is_obj(cdrom) && !json_is_obj(json_get(disk, "disk"))) {
		fill_one(d, cdrom, "bus", json_get(p, "preferredCdromBus"));
		return;
	}
	if (json_is_obj(lun) && !json_is_obj(json_get(disk, "disk"))) {
		fill_one(d, lun, "bus", json_get(p, "preferredLunBus"));
		return;
	}
	plain = json_need_obj(d, disk, "disk");
	fill_one(d, plain, "bus", json_get(p, "preferredDiskBus"));
	fill_one(d, disk, "blockSize", json_get(p, "preferredDiskBlockSize"));
	fill_one(d, disk, "cache", json_get(p, "preferredDiskCache"));
	fill_one(d, disk, "io", json_get(p, "preferredDiskIO"));
	if (str_eq(json_get_str(plain, "bus"), "virtio"))
		fill_one(d, disk, "dedicatedIOThread", json_get(p, "preferredDiskDedicatedIoThread"));
}

static bool has_binding(const struct json *nic)
{
	static const char *const bindings[] = { "masquerade", "bridge", "sriov", "passtBinding", "binding",
		"slirp", "macvtap", "passt" };

	for (size_t i = 0; i < ARRAY_LEN(bindings); i++)
		if (!json_is_null(json_get(nic, bindings[i])))
			return true;
	return false;
}

static bool on_pod_network(const struct json *spec, const char *name)
{
	JSON_EACH (it, json_get(spec, "networks"))
		if (str_eq(json_get_str(it.val, "name"), name))
			return json_is_obj(json_get(it.val, "pod"));
	return false;
}

static void nic(struct json_doc *d, const struct json *spec, struct json *nic, const struct json *p)
{
	fill_one(d, nic, "model", json_get(p, "preferredInterfaceModel"));
	if (!has_binding(nic) && on_pod_network(spec, json_get_str(nic, "name")))
		fill_one(d, nic, "masquerade", json_get(p, "preferredInterfaceMasquerade"));
}

static void panic_devices(struct json_doc *d, struct json *devices, const struct json *model)
{
	if (open_field(model))
		return;
	struct json *list = json_need_arr(d, devices, "panicDevices");
	if (!json_len(list))
		json_append(d, list, json_new_obj(d));
	JSON_EACH (it, list)
		fill_one(d, it.val, "model", model);
}

static void apply_devices(struct json_doc *d, struct json *spec, const struct json *p)
{
	static const struct wish wishes[] = {
		{ "preferredUseVirtioTransitional", "useVirtioTransitional", false },
		{ "preferredBlockMultiQueue", "blockMultiQueue", false },
		{ "preferredNetworkInterfaceMultiQueue", "networkInterfaceMultiqueue", false },
		{ "preferredDisableHotplug", "disableHotplug", true },
		{ "preferredRng", "rng", false },
		{ "preferredTPM", "tpm", false },
		{ "preferredAutoattachGraphicsDevice", "autoattachGraphicsDevice", false },
		{ "preferredAutoattachMemBalloon", "autoattachMemBalloon", false },
		{ "preferredAutoattachPodInterface", "autoattachPodInterface", false },
		{ "preferredAutoattachSerialConsole", "autoattachSerialConsole", false },
		{ "preferredAutoattachInputDevice", "autoattachInputDevice", false },
	};
	static const struct wish video[] = { { "preferredVideoType", "type", false } };

	if (!json_is_obj(p))
		return;
	struct json *domain = json_get(spec, "domain"), *devices = json_need_obj(d, domain, "devices");
	fill(d, domain, "devices", p, wishes, ARRAY_LEN(wishes));
	fill(d, devices, "video", p, video, ARRAY_LEN(video));
	if (json_is_obj(json_get(devices, "sound")))
		fill_one(d, json_get(devices, "sound"), "model", json_get(p, "preferredSoundModel"));
	JSON_EACH (it, json_get(devices, "disks"))
		disk(d, it.val, p);
	JSON_EACH (it, json_get(devices, "interfaces"))
		nic(d, spec, it.val, p);
	JSON_EACH (it, json_get(devices, "inputs")) {
		fill_one(d, it.val, "bus", json_get(p, "preferredInputBus"));
		fill_one(d, it.val, "type", json_get(p, "preferredInputType"));
	}
	panic_devices(d, devices, json_get(p, "preferredPanicDeviceModel"));
}

/* ---- features, firmware, clock ---- */
static void apply_features(struct json_doc *d, struct json *domain, const struct json *p)
{
	static const struct wish wishes[] = {
		{ "preferredAcpi", "acpi", true },
		{ "preferredApic", "apic", false },
		{ "preferredKvm", "kvm", false },
		{ "preferredPvspinlock", "pvspinlock", false },
		{ "preferredSmm", "smm", false },
	};
	const struct json *hyperv = json_get(p, "preferredHyperv");

	fill(d, domain, "features", p, wishes, ARRAY_LEN(wishes));
	if (!json_is_obj(hyperv))
		return;
	struct json *to = json_need_obj(d, json_need_obj(d, domain, "features"), "hyperv");
	JSON_EACH (it, hyperv)
		fill_one(d, to, it.key, it.val);
}

static void use_efi(struct json_doc *d, struct json *loader, const struct json *p)
{
	const struct json *efi = json_get(p, "preferredEfi");
	bool none = !json_is_obj(json_get(loader, "efi")) && !json_is_obj(json_get(loader, "bios"));

	if (none && json_is_obj(efi)) {
		json_set_copy(d, loader, "efi", efi);
		return;
	}
	if (none && json_bool(json_get(p, "preferredUseEfi")))
		json_set(d, loader, "efi", json_new_obj(d));
	if (json_is_obj(json_get(loader, "efi")))
		fill_one(d, json_get(loader, "efi"), "secureBoot", json_get(p, "preferredUseSecureBoot"));
}

static void apply_firmware(struct json_doc *d, struct json *domain, const struct json *p)
{
	if (!json_is_obj(p))
		return;
	struct json *loader = json_need_obj(d, json_need_obj(d, domain, "firmware"), "bootloader");
	if (json_bool(json_get(p, "preferredUseBios")) && !json_is_obj(json_get(loader, "bios")) &&
		!json_is_obj(json_get(loader, "efi")))
		json_set(d, loader, "bios", json_new_obj(d));
	if (json_is_obj(json_get(loader, "bios")))
		fill_one(d, json_get(loader, "bios"), "useSerial", json_get(p, "preferredUseBiosSerial"));
	use_efi(d, loader, p);
}

static void apply_clock(struct json_doc *d, struct json *domain, const struct json *p)
{
	const struct json *offset = json_get(p, "preferredClockOffset"),
			  *timer = json_get(p, "preferredTimer");

	if (!json_is_obj(offset) && !json_is_obj(timer))
		return;
	struct json *clock = json_need_obj(d, domain, "clock");
	if (json_is_null(json_get(clock, "utc")) && json_is_null(json_get(clock, "timezone")) &&
		json_is_obj(offset))
		JSON_EACH (it, offset)
			json_set_copy(d, clock, it.key, it.val);
	fill_one(d, clock, "timer", timer);
}

static void apply_annotations(struct json_doc *d, struct json *template, const struct json *want)
{
	if (!json_is_obj(want))
		return;
	struct json *map = json_need_obj(d, json_need_obj(d, template, "metadata"), "annotations");
	JSON_EACH (it, want)
		if (json_is_null(json_get(map, it.key)))
			json_set_copy(d, map, it.key, it.val);
}

void it_apply_preference(struct json_doc *d, struct json *template, const struct json *p)
{
	static const struct wish of_spec[] = {
		{ "preferredSubdomain", "subdomain", false },
		{ "preferredTerminationGracePeriodSeconds", "terminationGracePeriodSeconds", false },
		{ "preferredArchitecture", "architecture", false },
	};
	static const struct wish of_domain[] = { { "preferredLaunchSecurity", "launchSecurity", false } };
	static const struct wish machine[] = { { "preferredMachineType", "type", false } };
	struct json *spec = json_need_obj(d, template, "spec"), *domain = json_need_obj(d, spec, "domain");

	cpu_features(d, domain, p);
	apply_devices(d, spec, json_get(p, "devices"));
	apply_features(d, domain, json_get(p, "features"));
	apply_firmware(d, domain, json_get(p, "firmware"));
	fill(d, domain, "machine", json_get(p, "machine"), machine, ARRAY_LEN(machine));
	apply_clock(d, domain, json_get(p, "clock"));
	fill(d, template, "spec", p, of_spec, ARRAY_LEN(of_spec));
	fill(d, spec, "domain", p, of_domain, ARRAY_LEN(of_domain));
	apply_annotations(d, template, json_get(p, "annotations"));
}
