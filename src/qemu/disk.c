/* SPDX-License-Identifier: Apache-2.0 */
/* A disk as QEMU's block layer and device model want to hear of it: on the command line, and when it is plugged later. */
#include "qemu/vm_config.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* QEMU takes 31 characters, the first a letter, and we need ".base.file" behind it. */
#define NODE_NAME_KEEP 19

void vm_node_name(const char *disk, char ret[VM_NODE_NAME_MAX])
{
	uint32_t h = 2166136261u; /* FNV-1a: the same on both ends of a migration */

	if (strlen(disk) <= NODE_NAME_KEEP) {
		snprintf(ret, VM_NODE_NAME_MAX, "d-%s", disk);
		return;
	}
	for (const char *p = disk; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	snprintf(ret, VM_NODE_NAME_MAX, "d-%.*s-%08x", NODE_NAME_KEEP - 9, disk, h);
}

/* ---- nodes ---- */

static void put_cache(struct json_doc *d, struct json *o, const struct vm_disk *k)
{
	if (k->cache == VM_CACHE_NONE || k->cache == VM_CACHE_DIRECTSYNC)
		json_set_bool(d, json_need_obj(d, o, "cache"), "direct", true);
}

/* {"driver":"file",...}: the protocol node below `name`. */
static void file_node(const struct vm_disk *k, const char *name, const char *suffix, const char *file,
	bool readonly, vm_node_fn *fn, void *arg)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);
	bool own = !*suffix;

	json_set_str(d, o, "driver", (own ? k->block_device : k->base_device) ? "host_device" : "file");
	json_set_strf(d, o, "node-name", "%s%s.file", name, suffix);
	json_set_str(d, o, "filename", file);
	if (readonly) {
		json_set_bool(d, o, "read-only", true);
		json_set_bool(d, o, "auto-read-only", false);
	} else {
		json_set_str(d, o, "discard", "unmap");
	}
	if (own)
		put_cache(d, o, k);
	fn(arg, o);
}

static void format_node(const struct vm_disk *k, const char *name, const char *suffix, enum vm_format f,
	bool readonly, vm_node_fn *fn, void *arg)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);
	bool own = !*suffix;

	json_set_str(d, o, "driver", f == VM_QCOW2 ? "qcow2" : "raw");
	json_set_strf(d, o, "node-name", "%s%s", name, suffix);
	json_set_strf(d, o, "file", "%s%s.file", name, suffix);
	if (own && k->base)
		json_set_strf(d, o, "backing", "%s.base", name);
	else if (f == VM_QCOW2)
		json_set(d, o, "backing",
			json_new_null(d)); /* never follow a name that an image brings along */
	if (readonly)
		json_set_bool(d, o, "read-only", true);
	else
		json_set_str(d, o, "discard", "unmap");
	if (own)
		put_cache(d, o, k);
	fn(arg, o);
}

void vm_disk_nodes(const struct vm_disk *k, vm_node_fn *fn, void *arg)
{
	char node[VM_NODE_NAME_MAX];

	if (k->empty)
		return;
	vm_node_name(k->name, node);
	if (k->base) {
		file_node(k, node, ".base", k->base, true, fn, arg);
		format_node(k, node, ".base", k->base_format, true, fn, arg);
	}
	file_node(k, node, "", k->file, k->readonly && !k->opened_rw, fn, arg);
	format_node(k, node, "", k->format, k->readonly, fn, arg);
}

void vm_firmware_nodes(const struct vm_config *c, vm_node_fn *fn, void *arg)
{
	static const struct vm_disk plain = { .name = "fw" };

	file_node(&plain, "fw-code", "", c->firmware_code, true, fn, arg);
	file_node(&plain, "fw-vars", "", c->firmware_vars, false, fn, arg);
	format_node(&plain, "fw-code", "", VM_RAW, true, fn, arg);
	format_node(&plain, "fw-vars", "", VM_RAW, false, fn, arg);
}

/* ---- the device ---- */

static const char *driver_of(const struct vm_disk *k)
{
	switch (k->bus) {
	case VM_SCSI:
		return k->cdrom ? "scsi-cd" : "scsi-hd";
	case VM_SATA: /* q35's own controller at 00:1f.2 is bus ide */
		return k->cdrom ? "ide-cd" : "ide-hd";
	default:
		return "virtio-blk-pci";
	}
}

struct json *vm_disk_device(struct json_doc *d, const struct vm_disk *k, const char *bus, unsigned lun)
{
	struct json *o = json_new_obj(d);
	char node[VM_NODE_NAME_MAX];

	vm_node_name(k->name, node);
	json_set_str(d, o, "driver", driver_of(k));
	json_set_strf(d, o, "id", "disk-%s", k->name);
	if (!k->empty)
		json_set_str(d, o, "drive", node);
	if (k->bus == VM_VIRTIO) {
		json_set_str(d, o, "bus", bus);
	} else if (k->bus == VM_SATA) {
		json_set_strf(d, o, "bus", "ide.%u", lun);
	} else {
		json_set_str(d, o, "bus", "scsi0.0");
		json_set_i64(d, o, "channel", 0);
		json_set_i64(d, o, "scsi-id", 0);
		json_set_i64(d, o, "lun", lun);
	}
	if (!k->cdrom)
		json_set_str(d, o, "write-cache",
			k->cache == VM_CACHE_WRITETHROUGH || k->cache == VM_CACHE_DIRECTSYNC ? "off" : "on");
	if (k->shareable)
		json_set_bool(d, o, "share-rw", true);
	if (k->bootindex)
		json_set_i64(d, o, "bootindex", k->bootindex);
	if (k->serial)
		json_set_str(d, o, "serial", k->serial);
	if (!k->empty) { /* of the medium that is there; QEMU takes none for a drive without */
		json_set_str(d, o, "werror", k->error_policy ? k->error_policy : "stop");
		json_set_str(d, o, "rerror",
			!k->error_policy || str_eq(k->error_policy, "enospc")
				? (k->error_policy ? "report" : "stop")
				: k->error_policy);
	}
	return o;
}

static unsigned number(struct vm_config *c, bool cdroms, unsigned next)
{
	for (size_t i = 0; i < c->n_disks; i++)
		if (c->disks[i].cdrom == cdroms && !c->disks[i].empty)
			c->disks[i].bootindex = (int)next++;
	return next;
}

void vm_boot_order(struct vm_config *c)
{
	for (size_t i = 0; i < c->n_disks; i++)
		if (c->disks[i].bootindex)
			return;
	for (size_t i = 0; i < c->n_nics; i++)
		if (c->nics[i].bootindex)
			return;
	number(c, true, number(c, false, 1));
}
