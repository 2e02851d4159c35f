/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a domain: what each is made of, and how the guest sees it. kubevirt-api.md 9. */
#include "kubevirt/launcher/domain.h"

#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/launcher/b64.h"

#include <string.h>

#define MIB (1ull << 20)

static const char *keep(struct domain *d, const char *s)
{
	return s ? arena_strdup(d->arena, s) : NULL;
}

static int read_bus(
	struct domain_disk *k, const struct json *disk, size_t i, enum vm_arch arch, struct err *e)
{
	const struct json *dev = json_get(disk, "disk");
	const char *bus;

	k->cdrom = json_is_obj(json_get(disk, "cdrom"));
	if (json_get(disk, "lun"))
		return err_set(e, ERR_INVALID, "spec.domain.devices.disks[%zu].lun: not supported", i);
	if (k->cdrom)
		dev = json_get(disk, "cdrom");
	bus = json_get_str(dev, "bus");
	if (str_empty(bus))
		bus = arch == VM_AARCH64 ? "virtio" : "sata"; /* KubeVirt's defaults */
	k->readonly = json_bool_or(json_get(dev, "readonly"), k->cdrom);
	if (!strcmp(bus, "virtio"))
		k->bus = VM_VIRTIO;
	else if (!strcmp(bus, "scsi"))
		k->bus = VM_SCSI;
	else if (!strcmp(bus, "sata"))
		k->bus = VM_SATA;
	else
		return err_set(e, ERR_INVALID, "spec.domain.devices.disks[%zu]: bus \"%s\" is not supported",
			i, bus);
	return 0;
}

/* How it is written, and what happens when that fails; texts were checked by virt-api. */
static void read_options(struct domain *d, struct domain_disk *k, const struct json *disk)
{
	static const char *const caches[] = { [VM_CACHE_NONE] = "none",
		[VM_CACHE_WRITETHROUGH] = "writethrough",
		[VM_CACHE_WRITEBACK] = "writeback",
		[VM_CACHE_DIRECTSYNC] = "directsync" };
	static const char *const policies[][2] = { { "stop", "stop" }, { "ignore", "ignore" },
		{ "report", "report" }, { "enospace", "enospc" } };
	const char *cache = json_get_str(disk, "cache"), *policy = json_get_str(disk, "errorPolicy");

	k->serial = keep(d, json_get_str(disk, "serial"));
	k->boot_order = (int)json_i64(json_get(disk, "bootOrder"));
	k->shareable = json_bool(json_get(disk, "shareable"));
	for (size_t i = VM_CACHE_NONE; i < ARRAY_LEN(caches); i++)
		if (str_eq(cache, caches[i]))
			k->cache = (enum vm_cache)i;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		if (str_eq(policy, policies[i][0]))
			k->error_policy = policies[i][1];
}

/* A text of the volume: inline, base64, or from the Secret whose content the handler sent. */
static int read_text(struct domain *d, const struct json *src, const char *plain, const char *base64,
	const struct json *files, const char *file_key, const char **ret, size_t *ret_len, struct err *e)
{
	const char *text = json_get_str(files, file_key);
	size_t len;

	if (!text)
		text = json_get_str(src, plain);
	if (text) {
		*ret = keep(d, text);
		*ret_len = strlen(text);
		return 0;
	}
	text = json_get_str(src, base64);
	if (!text)
		return 0;
	len = strlen(text);
	*ret = arena_alloc(d->arena, len + 1);
	if (!b64_text((char *)*ret, text, len, ret_len))
		return err_set(e, ERR_INVALID, "%s is not base64", base64);
	return 0;
}

static int read_cloud_init(struct domain *d, struct domain_disk *k, const struct json *src,
	const struct json *files, struct err *e)
{
	if (read_text(d, src, "userData", "userDataBase64", files, "userdata", &k->user_data,
		    &k->user_data_len, e) < 0 ||
		read_text(d, src, "networkData", "networkDataBase64", files, "networkdata", &k->network_data,
			&k->network_data_len, e) < 0)
		return -1;
	return 0;
}

/* Where the pod has it: HOST.disks, else the places of handoff.h. file NULL: the place itself. */
static const char *placed(
	struct domain *d, const struct domain_disk *k, const struct json *host, const char *file)
{
	const char *dir = json_get_str(json_get(host, "disks"), k->name);
	CLEANUP(mem_freep) char *own = str_printf(HANDOFF_DISK_FMT, k->name);

	return file ? arena_printf(d->arena, "%s/%s", dir ? dir : own, file) : keep(d, dir ? dir : own);
}

static int read_claim(struct domain *d, struct domain_disk *k, const struct json *src, enum volume_kind kind,
	const struct json *host)
{
	k->kind = kind;
	k->file = placed(d, k, host, "disk.img");
	k->device = arena_printf(d->arena, HANDOFF_BLOCK_FMT, k->name);
	if (json_bool(json_get(src, "readOnly")) && kind == VOL_CLAIM)
		k->readonly = true;
	return 0;
}

static int read_volume(struct domain *d, struct domain_disk *k, const struct json *vol,
	const struct json *host, struct err *e)
{
	const struct json *src, *files = json_get(json_get(host, "files"), k->name);
	const char *dir;

	if ((src = json_get(vol, "containerDisk"))) {
		k->kind = VOL_CONTAINER_DISK;
		dir = json_get_str(json_get(host, "containerDisks"), k->name);
		k->image_dir =
			dir ? keep(d, dir) : arena_printf(d->arena, "%s/%s", CONTAINER_DISK_DIR, k->name);
		k->image_path = keep(d, json_get_str(src, "path"));
		return 0;
	}
	if ((src = json_get(vol, "cloudInitNoCloud"))) {
		k->kind = VOL_NO_CLOUD;
		return read_cloud_init(d, k, src, files, e);
	}
	if ((src = json_get(vol, "cloudInitConfigDrive"))) {
		k->kind = VOL_CONFIG_DRIVE;
		return read_cloud_init(d, k, src, files, e);
	}
	if ((src = json_get(vol, "emptyDisk"))) {
		int64_t size = quantity_bytes(json_get(src, "capacity"));

		k->kind = VOL_EMPTY;
		if (size < (int64_t)MIB)
			return err_set(e, ERR_INVALID, "emptyDisk.capacity: at least 1Mi is needed");
		k->capacity = (uint64_t)size / MIB * MIB;
		return 0;
	}
	if ((src = json_get(vol, "persistentVolumeClaim")) || (src = json_get(vol, "dataVolume")))
		return read_claim(d, k, src, VOL_CLAIM, host);
	if ((src = json_get(vol, "ephemeral")))
		return read_claim(d, k, json_get(src, "persistentVolumeClaim"), VOL_EPHEMERAL, host);
	if ((src = json_get(vol, "hostDisk"))) {
		const char *path = json_str_or(json_get(src, "path"), "");

		k->kind = VOL_HOST_DISK;
		k->file = placed(d, k, host, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
		return 0;
	}
	if (volume_of_files(vol)) {
		k->kind = VOL_FILES;
		k->image_dir = placed(d, k, host, NULL);
		k->label = keep(d, json_get_str(json_get(vol, volume_of_files(vol)), "volumeLabel"));
		if (!k->label && json_get(vol, "sysprep"))
			k->label = "unattend";
		k->readonly = true;
		return 0;
	}
	JSON_EACH (it, vol)
		if (strcmp(it.key, "name") != 0)
			return err_set(e, ERR_INVALID, "volumes of type %s are not supported", it.key);
	return err_set(e, ERR_INVALID, "the volume has no source");
}

static const struct json *by_name(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

static int add_disk(struct domain *d, const struct json *vmi, const struct json *host, const char *name,
	const struct json *disk, size_t i, struct err *e)
{
	const struct json *vol = by_name(json_at(vmi, "/spec/volumes"), name);
	struct domain_disk *k = &d->disks[d->n_disks];

	if (d->n_disks >= VM_DISKS_MAX)
		return err_set(e, ERR_INVALID, "spec.domain.devices.disks: more than %d", VM_DISKS_MAX);
	/* An empty drive; or one whose medium comes later, like any volume that can be plugged. */
	if (json_get(disk, "cdrom") && (!vol || volume_hotpluggable(vol))) {
		k->name = keep(d, name);
		k->kind = VOL_NONE;
		if (read_bus(k, disk, i, d->arch, e) < 0)
			return -1;
		read_options(d, k, disk);
		d->n_disks++;
		return 0;
	}
	if (vol && volume_hotpluggable(vol))
		return 0;
	if (!vol)
		return err_set(e, ERR_INVALID, "spec.domain.devices.disks[%zu]: no volume is named \"%s\"", i,
			name ? name : "");
	k->name = keep(d, name);
	if (disk) {
		if (read_bus(k, disk, i, d->arch, e) < 0)
			return -1;
		read_options(d, k, disk);
	} else {
		k->bus = d->arch == VM_AARCH64 ? VM_VIRTIO : VM_SATA;
	}
	if (read_volume(d, k, vol, host, e) < 0)
		return err_wrap(e, "volume \"%s\"", name);
	d->n_disks++;
	return 0;
}

int domain_read_disks(struct domain *d, const struct json *vmi, const struct json *host, struct err *e)
{
	const struct json *disks = json_at(vmi, "/spec/domain/devices/disks");

	JSON_EACH (it, disks)
		if (add_disk(d, vmi, host, json_get_str(it.val, "name"), it.val, it.i, e) < 0)
			return -1;
	JSON_EACH (it, json_at(vmi, "/spec/volumes")) {
		const char *name = json_get_str(it.val, "name");

		if (name && !by_name(disks, name) && add_disk(d, vmi, host, name, NULL, it.i, e) < 0)
			return -1;
	}
	return 0;
}

int domain_read_plugged(struct domain *d, const struct json *disk, struct domain_disk *k, struct err *e)
{
	const char *name = json_get_str(disk, "name");

	*k = (struct domain_disk){ .name = keep(d, name), .kind = VOL_CLAIM };
	if (str_empty(name))
		return err_set(e, ERR_INVALID, "the disk has no name");
	if (read_bus(k, disk, 0, d->arch, e) < 0)
		return -1;
	read_options(d, k, disk);
	return 0;
}
