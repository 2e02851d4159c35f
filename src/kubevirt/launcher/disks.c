/* SPDX-License-Identifier: Apache-2.0 */
/* The disks that a guest starts with: overlays, seeds and empty disks are made, all others looked for, one after the other. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "kubevirt/launcher/seed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

static void on_disk_made(void *arg, const struct proc_result *r)
{
	struct launcher *l = arg;
	const char *name = l->domain->disks[l->disk_at].name;
	CLEANUP(mem_freep) char *text = NULL;
	struct err e;

	if (!proc_ok(r)) {
		text = mem_strndup(r->err ? r->err : "", r->err ? strcspn(r->err, "\n") : 0);
		err_set(&e, ERR_SYSTEM, "volume \"%s\": qemu-img: %s", name,
			r->e && r->e->code ? r->e->msg : text);
		proc_run_free(TAKE(l->run));
		prepare_failed(l, "PrepareFailed", &e);
		return;
	}
	proc_run_free(TAKE(l->run));
	l->disk_at++;
	disks_make(l);
}

static void make_overlay(struct launcher *l, const struct image *base, const char *file)
{
	char *argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", "-F",
		base->format == VM_QCOW2 ? "qcow2" : "raw", "-b", base->path, (char *)file, NULL };

	l->run = proc_run(l->loop, argv, NULL, TOOL_LIMIT_MS, on_disk_made, l);
}

static void make_empty(struct launcher *l, uint64_t capacity, const char *file)
{
	char size[32];
	char *argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", (char *)file, size, NULL };

	snprintf(size, sizeof(size), "%llu", (unsigned long long)capacity);
	l->run = proc_run(l->loop, argv, NULL, TOOL_LIMIT_MS, on_disk_made, l);
}

static int make_seed(struct launcher *l, const struct domain_disk *k, const char *file, struct err *e)
{
	CLEANUP(str_done) struct str img = { 0 };

	if (seed_image(l->domain, k, &img, e) < 0 || file_write(file, img.data, img.len, 0600, e) < 0)
		return -1;
	l->images[l->disk_at].virtual_size = img.len;
	return 0;
}

/* A disk that is used where it is: always raw, for a guest could make a header of its choice. */
static int find_disk(const struct domain_disk *k, struct image *ret, struct err *e)
{
	const char *path = k->device && access(k->device, F_OK) == 0 ? k->device : k->file;
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	off_t size;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "opening %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_INVALID, "%s is neither a file nor a block device", path);
	size = lseek(fd, 0, SEEK_END);
	if (size < SECTOR)
		return err_set(e, ERR_INVALID, "%s is empty", path);
	image_done(ret);
	*ret = (struct image){ .path = mem_strdup(path), .virtual_size = (uint64_t)size };
	ret->block_device = S_ISBLK(st.st_mode);
	return 0;
}

static bool is_qcow2(const struct domain_disk *k)
{
	return k->kind == VOL_CONTAINER_DISK || k->kind == VOL_EMPTY || k->kind == VOL_EPHEMERAL;
}

/* Starts the current disk; 1: it is awaited, 0: it is there, -1. */
static int make_disk(struct launcher *l, struct err *e)
{
	const struct domain_disk *k = &l->domain->disks[l->disk_at];
	struct image *img = &l->images[l->disk_at];
	free(l->files[l->disk_at]);
	l->files[l->disk_at] = str_printf("%s/disk-%s.%s", l->dir, k->name, is_qcow2(k) ? "qcow2" : "img");
	switch (k->kind) {
	case VOL_CONTAINER_DISK:
		image_done(img);
		if (image_find(k->image_dir, k->image_path, img, e) < 0)
			return -1;
		make_overlay(l, img, l->files[l->disk_at]);
		return 1;
	case VOL_EMPTY:
		img->virtual_size = k->capacity;
		make_empty(l, k->capacity, l->files[l->disk_at]);
		return 1;
	case VOL_NO_CLOUD:
	case VOL_CONFIG_DRIVE:
	case VOL_FILES:
		return make_seed(l, k, l->files[l->disk_at], e);
	case VOL_CLAIM:
	case VOL_HOST_DISK:
		return find_disk(k, img, e);
	case VOL_EPHEMERAL:
		if (find_disk(k, img, e) < 0)
			return -1;
		make_overlay(l, img, l->files[l->disk_at]);
		return 1;
	case VOL_NONE:
		return 0;
	}
	return 0;
}

void disks_make(struct launcher *l)
{
	struct err e;

	for (; l->disk_at < l->domain->n_disks; l->disk_at++) {
		int r = make_disk(l, &e);

		if (r > 0)
			return;
		if (r < 0) {
			err_wrap(&e, "volume \"%s\"", l->domain->disks[l->disk_at].name);
			prepare_failed(l, "PrepareFailed", &e);
			return;
		}
	}
	prepare_launch(l);
}

/* ---- for QEMU ---- */

/* O_DIRECT is not to be had on every file system (tmpfs has none); asking for it there would keep QEMU from starting. */
static enum vm_cache possible_cache(enum vm_cache wanted, const char *file)
{
	CLEANUP(fd_closep) int fd = -1;

	if (wanted != VM_CACHE_NONE && wanted != VM_CACHE_DIRECTSYNC)
		return wanted;
	fd = open(file, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (fd >= 0)
		return wanted;
	log_warn("%s: its file system takes no direct writes, cache writethrough is used", file);
	return VM_CACHE_WRITETHROUGH;
}

static void fill_disk(const struct launcher *l, size_t i, struct vm_disk *to)
{
	const struct domain_disk *k = &l->domain->disks[i];
	const struct image *img = &l->images[i];
	bool in_place = k->kind == VOL_CLAIM || k->kind == VOL_HOST_DISK;

	*to = (struct vm_disk){ .name = k->name,
		.bus = k->bus,
		.cdrom = k->cdrom,
		.readonly = k->readonly,
		.empty = k->kind == VOL_NONE,
		.file = in_place ? img->path : l->files[i],
		.format = is_qcow2(k) ? VM_QCOW2 : VM_RAW,
		.block_device = in_place && img->block_device,
		.bootindex = k->boot_order,
		.serial = k->serial,
		.error_policy = k->error_policy,
		.shareable = k->shareable };
	if (k->kind == VOL_CONTAINER_DISK || k->kind == VOL_EPHEMERAL) {
		to->base = img->path;
		to->base_format = img->format;
		to->base_device = img->block_device;
	}
	if (!to->empty)
		to->cache = possible_cache(k->cache, to->file);
	/* A seed disk that the guest may write would differ from the next start's; a SATA disk can not be read-only. */
	if (k->kind == VOL_NO_CLOUD || k->kind == VOL_CONFIG_DRIVE || k->kind == VOL_FILES)
		to->readonly = k->bus != VM_SATA || k->cdrom;
}

void disks_fill(struct launcher *l)
{
	for (size_t i = 0; i < l->domain->n_disks; i++)
		fill_disk(l, i, &l->config->disks[i]);
	l->config->n_disks = l->domain->n_disks;
}
