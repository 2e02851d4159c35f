/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes, disks, networks and network cards of a VMI spec. Texts: kubevirt-api.md 6. */
#include "kubevirt/api/validate_impl.h"

#include <ctype.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

#define CLOUD_INIT_INLINE_MAX 2048
#define SERIAL_MAX 256
#define BOOT_ORDERS_MAX 512
#define RESERVED_MAC "02:00:00:00:00:00"

/* ---- volumes ---- */

static const char *const sources[] = { "containerDisk", "cloudInitNoCloud", "cloudInitConfigDrive",
	"persistentVolumeClaim", "dataVolume", "ephemeral", "emptyDisk", "hostDisk", "configMap", "secret",
	"downwardAPI", "serviceAccount", "sysprep", "memoryDump", "downwardMetrics", "containerPath", NULL };

static void check_inline(const struct check *k, const char *sub, const struct json *source, const char *what,
	const char *inline_key, const char *base64_key, const char *ref_key, const char *ref_text,
	int *ret_given)
{
	const char *plain = json_get_str(source, inline_key), *base64 = json_get_str(source, base64_key);
	size_t len = plain ? strlen(plain) : 0;
	int n = !str_empty(plain) + !str_empty(base64) + json_is_obj(json_get(source, ref_key));
	CLEANUP(mem_freep) char *field = check_path(k, "%s", sub);

	*ret_given += n;
	if (!str_empty(base64)) {
		CLEANUP(str_done) struct str out = { 0 };
		if (b64_decode(base64, strlen(base64), false, &out, NULL) < 0)
			check_refuse(k, REASON_INVALID, sub, "%s.%s is not a valid base64 value.", field,
				base64_key);
		len = out.len;
	}
	if (n > 1)
		check_refuse(k, REASON_INVALID, sub, "%s must have only one %s set.", field,
			str_eq(what, "userdata") ? "userdatasource" : "networkdata source");
	if (len > CLOUD_INIT_INLINE_MAX)
		check_refuse(k, REASON_INVALID, sub,
			"%s %s exceeds %d byte limit. Should use %s for larger data.", field, what,
			CLOUD_INIT_INLINE_MAX, ref_text);
}

static void check_cloud_init(const struct check *k, const struct json *volume, size_t i, const char *type)
{
	const struct json *source = json_get(volume, type);
	CLEANUP(mem_freep) char *sub = str_printf("volumes[%zu].%s", i, type);
	int given = 0;

	if (!json_is_obj(source))
		return;
	check_inline(k, sub, source, "userdata", "userData", "userDataBase64", "secretRef",
		"UserDataSecretRef", &given);
	check_inline(k, sub, source, "networkdata", "networkData", "networkDataBase64",
		"networkDataSecretRef", "NetworkDataSecretRef", &given);
	if (!given)
		check_refuse_named(k, REASON_INVALID, sub,
			"must have at least one userdatasource or one networkdatasource set.");
}

static void check_host_disk(const struct check *k, const struct json *disk, size_t i)
{
	CLEANUP(mem_freep) char *at = str_printf("volumes[%zu]", i);
	CLEANUP(mem_freep) char *path = str_printf("volumes[%zu].hostDisk.path", i);
	CLEANUP(mem_freep) char *type = str_printf("volumes[%zu].hostDisk.type", i);
	const char *t = json_get_str(disk, "type"), *p = json_get_str(disk, "path");

	if (!json_is_obj(disk))
		return;
	if (!gate_on(&k->config->gates, GATE_HOST_DISK))
		check_refuse(k, REASON_INVALID, at, "HostDisk feature gate is not enabled");
	if (str_empty(p))
		check_refuse_named(k, REASON_NOT_SUPPORTED, path, "is required for hostDisk volume");
	else if (p[0] != '/' || str_ends(p, "/") || strstr(p, "/../") || strstr(p, "/./"))
		check_refuse_named(k, REASON_INVALID, path,
			"must be an absolute path to a file without relative components");
	if (!str_eq(t, "Disk") && !str_eq(t, "DiskOrCreate"))
		check_refuse_named(k, REASON_INVALID, type,
			"has invalid value '%s', allowed are 'Disk' or 'DiskOrCreate'", t ? t : "");
}

static void check_source_names(const struct check *k, const struct json *volume, size_t i)
{
	static const char *const named[][2] = { { "configMap", "name" }, { "secret", "secretName" },
		{ "serviceAccount", "serviceAccountName" }, { "containerDisk", "image" },
		{ "dataVolume", "name" }, { "persistentVolumeClaim", "claimName" } };

	for (size_t n = 0; n < ARRAY_LEN(named); n++) {
		const struct json *source = json_get(volume, named[n][0]);
		CLEANUP(mem_freep) char *sub = str_printf("volumes[%zu].%s.%s", i, named[n][0], named[n][1]);
		if (json_is_obj(source) && str_empty(json_get_str(source, named[n][1])))
			check_refuse_named(k, REASON_REQUIRED, sub, "is a required field");
	}
	if (json_is_obj(json_get(volume, "downwardMetrics")) &&
		!gate_on(&k->config->gates, GATE_DOWNWARD_METRICS)) {
		CLEANUP(mem_freep) char *sub = str_printf("volumes[%zu]", i);
		check_refuse(k, REASON_INVALID, sub,
			"downwardMetrics disks are not allowed: DownwardMetrics feature gate is not "
			"enabled.");
	}
}

void check_volumes(const struct check *k)
{
	const struct json *volumes = json_get(k->spec, "volumes");

	JSON_EACH (it, volumes) {
		CLEANUP(mem_freep) char *sub = str_printf("volumes[%zu]", it.i);
		int n = 0, first = check_index(volumes, json_get_str(it.val, "name"));
		if (first >= 0 && (size_t)first < it.i) {
			CLEANUP(mem_freep) char *field = check_path(k, "volumes[%d]", first);
			CLEANUP(mem_freep) char *name = str_printf("volumes[%d].name", first);
			check_refuse(k, REASON_DUPLICATE, name, "%s and %s.%s must not have the same Name.",
				field, k->at, sub);
		}
		for (size_t i = 0; sources[i]; i++)
			n += json_is_obj(json_get(it.val, sources[i]));
		if (n != 1)
			check_refuse_named(k, REASON_INVALID, sub, "must have exactly one source type set");
		check_cloud_init(k, it.val, it.i, "cloudInitNoCloud");
		check_cloud_init(k, it.val, it.i, "cloudInitConfigDrive");
		check_host_disk(k, json_get(it.val, "hostDisk"), it.i);
		check_source_names(k, it.val, it.i);
	}
}

/* ---- disks ---- */

static const char *disk_type(const struct json *disk)
{
	static const char *const types[] = { "disk", "cdrom", "lun", NULL };
	for (size_t i = 0; types[i]; i++)
		if (json_is_obj(json_get(disk, types[i])))
			return types[i];
	return "disk";
}

static void check_bus(const struct check *k, const struct json *disk, size_t i)
{
	static const char *const buses[] = { "virtio", "scsi", "sata", "usb", NULL };
	const char *type = disk_type(disk), *bus = json_get_str(json_get(disk, type), "bus");
	CLEANUP(mem_freep) char *sub = str_printf("domain.devices.disks[%zu].%s.bus", i, type);

	if (str_empty(bus))
		return;
	if (str_eq(bus, "ide"))
		check_refuse(k, REASON_INVALID, sub, "IDE bus is not supported");
	else if (!str_in(bus, buses))
		check_refuse(k, REASON_INVALID, sub,
			"%s.domain.devices.disks[%zu] is set with an unrecognized bus %s, must be one of: "
			"[virtio scsi sata usb]",
			k->at, i, bus);
	else if (str_eq(bus, "virtio") && str_eq(type, "cdrom"))
		check_refuse(k, REASON_INVALID, sub, "Bus type virtio is invalid for CD-ROM device");
	else if (str_eq(bus, "sata") && str_eq(type, "disk") && json_bool(json_at(disk, "/disk/readonly")))
		check_refuse(k, REASON_INVALID, sub, "sata hard-disks do not support read-only.");
	if (json_bool(json_get(disk, "dedicatedIOThread")) && !str_eq(bus, "virtio"))
		check_refuse(k, REASON_NOT_SUPPORTED, sub,
			"IOThreads are not supported for disks on a %s bus", bus);
}

static void check_choice(
	const struct check *k, const struct json *disk, size_t i, const char *key, const char *const *allowed)
{
	const char *text = json_get_str(disk, key);
	CLEANUP(mem_freep) char *sub = str_printf("domain.devices.disks[%zu].%s", i, key);

	if (!str_empty(text) && !str_in(text, allowed))
		check_refuse_named(k, REASON_INVALID, sub, "has invalid value %s", text);
}

static void check_disk(const struct check *k, const struct json *disk, size_t i)
{
	static const char *const caches[] = { "none", "writethrough", "writeback", "directsync", NULL };
	static const char *const ios[] = { "native", "threads", "default", NULL };
	static const char *const policies[] = { "stop", "ignore", "report", "enospace", NULL };
	const char *name = json_get_str(disk, "name"), *serial = json_get_str(disk, "serial");
	CLEANUP(mem_freep) char *sub = str_printf("domain.devices.disks[%zu]", i);
	int targets = json_is_obj(json_get(disk, "disk")) + json_is_obj(json_get(disk, "cdrom")) +
		      json_is_obj(json_get(disk, "lun"));

	if (check_index(json_get(k->spec, "volumes"), name) < 0 && !json_is_obj(json_get(disk, "cdrom"))) {
		CLEANUP(mem_freep) char *field = str_printf("%s.name", sub);
		check_refuse_named(k, REASON_INVALID, field, "'%s' not found.", name ? name : "");
	}
	if (targets > 1)
		check_refuse_named(k, REASON_INVALID, sub, "can only have a single target type defined");
	check_bus(k, disk, i);
	if (serial && strlen(serial) > SERIAL_MAX)
		check_refuse_named(k, REASON_INVALID, sub,
			"must be less than or equal to %d in length, if specified", SERIAL_MAX);
	for (const char *p = serial; p && *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_.+-", *p)) {
			check_refuse_named(k, REASON_INVALID, sub,
				"must be made up of the following characters [A-Za-z0-9_.+-], if specified");
			break;
		}
	check_choice(k, disk, i, "cache", caches);
	check_choice(k, disk, i, "io", ios);
	check_choice(k, disk, i, "errorPolicy", policies);
}

static bool taken(int64_t *orders, size_t *n, int64_t order)
{
	for (size_t i = 0; i < *n; i++)
		if (orders[i] == order)
			return true;
	if (*n < BOOT_ORDERS_MAX)
		orders[(*n)++] = order;
	return false;
}

static void check_boot_order(const struct check *k, const char *list, int64_t *orders, size_t *n)
{
	CLEANUP(mem_freep) char *pointer = str_printf("/domain/devices/%s", list);

	JSON_EACH (it, json_at(k->spec, pointer)) {
		const struct json *order = json_get(it.val, "bootOrder");
		CLEANUP(mem_freep) char *sub = str_printf("domain.devices.%s[%zu].bootOrder", list, it.i);
		if (!order)
			continue;
		if (json_i64(order) < 1)
			check_refuse(k, REASON_INVALID, sub,
				"%s.domain.devices.%s[%zu] must have a boot order > 0, if supplied", k->at,
				list, it.i);
		else if (taken(orders, n, json_i64(order)))
			check_refuse(k, REASON_INVALID, sub,
				"Boot order for %s.%s already set for a different device.", k->at, sub);
	}
}

void check_disks(const struct check *k)
{
	const struct json *disks = json_at(k->spec, "/domain/devices/disks");
	int64_t orders[BOOT_ORDERS_MAX];
	size_t n = 0;

	JSON_EACH (it, disks) {
		int first = check_index(disks, json_get_str(it.val, "name"));
		if (first >= 0 && (size_t)first < it.i) {
			CLEANUP(mem_freep) char *sub = str_printf("domain.devices.disks[%d].name", first);
			check_refuse(k, REASON_DUPLICATE, sub,
				"%s.domain.devices.disks[%d] and %s.domain.devices.disks[%zu] must not have "
				"the same Name.",
				k->at, first, k->at, it.i);
		}
		check_disk(k, it.val, it.i);
	}
	check_boot_order(k, "disks", orders, &n);
	check_boot_order(k, "interfaces", orders, &n);
}

/* ---- networks ---- */

static bool mac_ok(const char *mac)
{
	size_t n = 0;
	for (const char *p = mac; *p; p++, n++) {
		bool colon = n % 3 == 2;
		if (n >= 17 || (colon ? *p != ':' && *p != '-' : !isxdigit((unsigned char)*p)))
			return false;
	}
	return n == 17;
}

static void check_ports(const struct check *k, const struct json *nic, size_t i)
{
	JSON_EACH (it, json_get(nic, "ports")) {
		CLEANUP(mem_freep)
		char *port = str_printf("domain.devices.interfaces[%zu].ports[%zu].port", i, it.i);
		CLEANUP(mem_freep)
		char *proto = str_printf("domain.devices.interfaces[%zu].ports[%zu].protocol", i, it.i);
		int64_t n = json_i64(json_get(it.val, "port"));
		const char *p = json_get_str(it.val, "protocol");
		if (n == 0)
			check_refuse(k, REASON_REQUIRED, port, "Port field is mandatory.");
		else if (n < 0 || n > 65535)
			check_refuse(k, REASON_INVALID, port, "Port field must be in range 0 < x < 65536.");
		if (!str_empty(p) && !str_eq(p, "TCP") && !str_eq(p, "UDP"))
			check_refuse(k, REASON_INVALID, proto, "Unknown protocol, only TCP or UDP allowed");
	}
}

static void check_binding(const struct check *k, const struct json *nic, const struct json *net, size_t i)
{
	static const char *const bindings[] = { "masquerade", "bridge", "sriov", "passtBinding", "binding",
		"slirp", "macvtap", "passt", NULL };
	CLEANUP(mem_freep) char *sub = str_printf("domain.devices.interfaces[%zu]", i);
	CLEANUP(mem_freep) char *name = str_printf("domain.devices.interfaces[%zu].name", i);
	CLEANUP(mem_freep) char *mac_sub = str_printf("domain.devices.interfaces[%zu].macAddress", i);
	bool pod = json_is_obj(json_get(net, "pod"));
	const char *mac = json_get_str(nic, "macAddress");
	int n = 0;

	for (size_t b = 0; bindings[b]; b++)
		n += json_is_obj(json_get(nic, bindings[b]));
	if (n != 1)
		check_refuse(k, REASON_INVALID, sub,
			"logical %s interface must have exactly one binding method or binding plugin",
			json_str_or(json_get(nic, "name"), ""));
	if (net && json_is_obj(json_get(nic, "masquerade")) && !pod)
		check_refuse(
			k, REASON_INVALID, name, "Masquerade interface only implemented with pod network");
	if (json_is_obj(json_get(nic, "masquerade")) && mac && strcasecmp(mac, RESERVED_MAC) == 0)
		check_refuse(k, REASON_INVALID, mac_sub,
			"The requested MAC address is reserved for the in-pod bridge. Please choose another "
			"one.");
	if (json_is_obj(json_get(nic, "bridge")) && pod && !k->config->permit_bridge)
		check_refuse(k, REASON_INVALID, name,
			"Bridge on pod network configuration is not enabled under kubevirt-config");
	if (!str_empty(mac) && !mac_ok(mac))
		check_refuse(k, REASON_INVALID, mac_sub, "interface %s.%s has malformed MAC address (%s).",
			k->at, name, mac);
}

static void check_nic(const struct check *k, const struct json *nic, size_t i)
{
	static const char *const models[] = { "virtio", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet",
		"rtl8139", NULL };
	static const char *const states[] = { "up", "down", "absent", NULL };
	const char *name = json_get_str(nic, "name"), *model = json_get_str(nic, "model"),
		   *state = json_get_str(nic, "state");
	const struct json *networks = json_get(k->spec, "networks"),
			  *nics = json_at(k->spec, "/domain/devices/interfaces");
	CLEANUP(mem_freep) char *sub = str_printf("domain.devices.interfaces[%zu].name", i);
	CLEANUP(mem_freep) char *model_sub = str_printf("domain.devices.interfaces[%zu].model", i);
	CLEANUP(mem_freep) char *state_sub = str_printf("domain.devices.interfaces[%zu].state", i);
	int net = check_index(networks, name);

	if (net < 0)
		check_refuse_named(k, REASON_INVALID, sub, "'%s' not found.", name ? name : "");
	if (check_index(nics, name) >= 0 && (size_t)check_index(nics, name) < i)
		check_refuse(k, REASON_DUPLICATE, sub,
			"Only one interface can be connected to one specific network");
	for (const char *p = name; p && *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_') {
			check_refuse(k, REASON_INVALID, sub,
				"Network interface name can only contain alphabetical characters, numbers, "
				"dashes (-) or underscores (_)");
			break;
		}
	if (!str_empty(model) && !str_in(model, models))
		check_refuse(k, REASON_NOT_SUPPORTED, model_sub,
			"interface %s.%s uses model %s that is not supported.", k->at, sub, model);
	if (!str_empty(state) && !str_in(state, states))
		check_refuse(k, REASON_INVALID, state_sub,
			"logical %s interface's state value is invalid: %s", name ? name : "", state);
	check_binding(k, nic, net >= 0 ? json_item(networks, (size_t)net) : NULL, i);
	check_ports(k, nic, i);
	check_nic_details(k, nic, net >= 0 ? json_item(networks, (size_t)net) : NULL, i);
}

static void check_network(const struct check *k, const struct json *net, size_t i)
{
	const struct json *networks = json_get(k->spec, "networks");
	CLEANUP(mem_freep) char *sub = str_printf("networks[%zu]", i);
	CLEANUP(mem_freep) char *name_sub = str_printf("networks[%zu].name", i);
	const char *name = json_get_str(net, "name");
	int n = json_is_obj(json_get(net, "pod")) + json_is_obj(json_get(net, "multus")) +
		json_is_obj(json_get(net, "resourceClaim"));

	if (n == 0)
		check_refuse(k, REASON_REQUIRED, sub, "should have a network type");
	if (n > 1)
		check_refuse(k, REASON_REQUIRED, sub, "should have only one network type");
	if (json_is_obj(json_get(net, "multus")) && str_empty(json_at_str(net, "/multus/networkName")))
		check_refuse(k, REASON_REQUIRED, sub, "CNI delegating plugin must have a networkName");
	if (check_index(networks, name) >= 0 && (size_t)check_index(networks, name) < i)
		check_refuse(k, REASON_DUPLICATE, name_sub,
			"Network with name \"%s\" already exists, every network must have a unique name",
			name);
	if (check_index(json_at(k->spec, "/domain/devices/interfaces"), name) < 0)
		check_refuse_named(k, REASON_REQUIRED, name_sub, "'%s' not found.", name ? name : "");
}

void check_networks(const struct check *k)
{
	int pods = 0, defaults = 0;

	JSON_EACH (it, json_get(k->spec, "networks")) {
		pods += json_is_obj(json_get(it.val, "pod"));
		defaults += json_bool(json_at(it.val, "/multus/default"));
		check_network(k, it.val, it.i);
	}
	JSON_EACH (it, json_at(k->spec, "/domain/devices/interfaces"))
		check_nic(k, it.val, it.i);
	if (pods > 1)
		check_refuse(k, REASON_DUPLICATE, "interfaces",
			"more than one interface is connected to a pod network in %s.interfaces", k->at);
	if (defaults > 1)
		check_refuse(
			k, REASON_INVALID, "networks", "Multus CNI should only have one default network");
	if (pods && defaults)
		check_refuse(k, REASON_INVALID, "networks",
			"Pod network cannot be defined when Multus default network is defined");
}
