/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that come and go while the guest runs: offered by an attachment pod as an open descriptor, plugged as
 * a disk or put into a CD-ROM drive, unplugged when the guest has let go. qemu.md 8. QEMU never opens such a
 * file by name, so nothing has to appear in this pod's mounts. Each step is one command and its answer; what
 * happens is a list, so that the way back is the same list. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/log.h"
#include "qemu/qmp_cmds.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGS_MAX 256
#define UNPLUG_LIMIT_MS 30000 /* qemu.md 8 */
#define RETRY_MS 10000
#define BOOT_AGAIN_MS 500
#define ID_MAX (VM_NAME_MAX + 8)
#define SUFFIX_MAX 8

/* Where it is. Between OFFERED and READY every step has something to take back. */
enum { V_OFFERED, V_PLUGGING, V_READY, V_WAITING, V_UNPLUGGING, V_GONE };
static const struct sm_state states[] = {
	[V_OFFERED] = { "offered", SM_TO(V_PLUGGING) | SM_TO(V_GONE) },
	[V_PLUGGING] = { "plugging", SM_TO(V_READY) | SM_TO(V_OFFERED) },
	[V_READY] = { "ready", SM_TO(V_WAITING) | SM_TO(V_UNPLUGGING) },
	[V_WAITING] = { "unplugging", SM_TO(V_UNPLUGGING) }, /* for the guest to boot */
	[V_UNPLUGGING] = { "unplugging", SM_TO(V_GONE) },
	[V_GONE] = { "gone", 0 },
};

struct plug {
	struct plug *next;
	struct launcher *l;
	char *id;
	int fd;
	int hold;              /* connection to whom it came from, until it is let go */
	bool device, readonly; /* a block device; opened for reading only */
	uint64_t size, set;
	struct sm sm;
	struct domain_disk disk;
	struct vm_disk vm;
	char file[32], node[VM_NODE_NAME_MAX], file_node[VM_NODE_NAME_MAX + SUFFIX_MAX], dev[ID_MAX];
	bool medium;   /* of a drive that is there anyway */
	int port;      /* -1: none */
	unsigned lun;  /* of a SCSI disk */
	bool unwanted; /* asked to go while it was being plugged */
	struct loop_timer *timer;
	struct err why; /* a plug that is being taken back */
	char error[256];
};

static void plug_free(struct plug *v)
{
	for (struct plug **at = &v->l->plugs; *at; at = &(*at)->next)
		if (*at == v) {
			*at = v->next;
			break;
		}
	fd_closep(&v->fd);
	fd_closep(&v->hold);
	loop_timer_free(v->timer);
	free(v->id);
	free(v);
}

static struct plug *plug_find(const struct launcher *l, const char *id)
{
	for (struct plug *v = l->plugs; v; v = v->next)
		if (str_eq(v->id, id))
			return v;
	return NULL;
}

static void say(struct plug *v, const char *error)
{
	str_copy(v->error, sizeof(v->error), error ? error : "");
	state_changed(v->l);
}

static struct domain_disk *drive_named(const struct launcher *l, const char *name)
{
	for (size_t i = 0; i < l->domain->n_disks; i++)
		if (str_eq(l->domain->disks[i].name, name))
			return &l->domain->disks[i];
	return NULL;
}

/* ---- taking back: from the step that failed downward ---- */

static void on_retry(void *arg)
{
	say(arg, NULL);
}

/* Nothing of it is in QEMU any more. */
static void cleared(struct plug *v)
{
	if (v->port >= 0)
		vm_port_give(v->l->ports, "disk", v->disk.name);
	v->port = -1;
	sm_move(&v->sm, V_OFFERED);
	if (v->unwanted) {
		sm_move(&v->sm, V_GONE);
		state_changed(v->l);
		plug_free(v);
		return;
	}
	log_warn("volume %s: %s", v->disk.name, v->why.msg);
	say(v, v->why.msg);
	loop_timer_free(v->timer);
	v->timer = loop_timer_new(v->l->loop, on_retry, v);
	loop_timer_set(v->timer, RETRY_MS);
}

static void on_file_back(void *arg, const struct json *ret, const struct err *e)
{
	cleared(arg);
}

static void on_node_back(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	qmp_send_blockdev_del(
		v->l->qmp, &(struct qmp_blockdev_del){ .node_name = v->file_node }, on_file_back, v);
}

static void take_back_nodes(struct plug *v, const struct err *e)
{
	err_copy(&v->why, e);
	qmp_send_blockdev_del(v->l->qmp, &(struct qmp_blockdev_del){ .node_name = v->node }, on_node_back, v);
}

/* ---- unplugging ---- */

static void unplug_start(struct plug *v);

static void on_file_gone(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;
	struct launcher *l = v->l;

	if (e)
		log_warn("volume %s: %s", v->disk.name, e->msg);
	log_info("volume %s: the guest has let go of it", v->disk.name);
	if (v->port >= 0)
		vm_port_give(l->ports, "disk", v->disk.name);
	sm_move(&v->sm, V_GONE);
	state_changed(l);
	plug_free(v);
}

static void on_node_gone(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (e)
		log_warn("volume %s: %s", v->disk.name, e->msg);
	qmp_send_blockdev_del(
		v->l->qmp, &(struct qmp_blockdev_del){ .node_name = v->file_node }, on_file_gone, v);
}

static void let_go(struct plug *v)
{
	loop_timer_free(TAKE(v->timer));
	qmp_send_blockdev_del(v->l->qmp, &(struct qmp_blockdev_del){ .node_name = v->node }, on_node_gone, v);
}

void plug_device_deleted(struct launcher *l, const char *id)
{
	for (struct plug *v = l->plugs; v && l->qmp; v = v->next)
		if (!v->medium && str_eq(v->dev, id) && v->sm.at == V_UNPLUGGING) {
			let_go(v);
			return;
		}
}

static void unplug_late(void *arg)
{
	say(arg, "the guest has not let go of it within 30 s");
}

static void on_del(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	/* "already in the process of unplug": of an earlier request; the event still comes */
	if (e && e->code == ERR_NOT_FOUND)
		let_go(v);
	else if (e && e->code != ERR_UNREACHABLE)
		log_info("%s", e->msg);
}

/* ---- the drive of a medium ---- */

static void on_closed_empty(void *arg, const struct json *ret, const struct err *e)
{
	let_go(arg);
}

static void on_removed(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (e)
		log_warn("volume %s: %s", v->disk.name, e->msg);
	qmp_send_blockdev_close_tray(
		v->l->qmp, &(struct qmp_blockdev_close_tray){ .id = v->dev }, on_closed_empty, v);
}

static void on_opened_to_remove(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	qmp_send_blockdev_remove_medium(
		v->l->qmp, &(struct qmp_blockdev_remove_medium){ .id = v->dev }, on_removed, v);
}

/* A guest that has not loaded its drivers does not hear that a PCI device is to go, and is never asked twice
 * (qemu.md 8). SCSI disks and media go without its consent. */
static bool may_ask(const struct plug *v)
{
	const struct launcher *l = v->l;

	return v->medium || v->disk.bus == VM_SCSI || l->booted ||
	       loop_wall_ms(l->loop) - l->started_wall >= NIC_BOOT_MS;
}

static void on_boot_wait(void *arg)
{
	unplug_start(arg);
}

static void arm(struct plug *v, loop_fn *fn, int ms)
{
	loop_timer_free(TAKE(v->timer));
	v->timer = loop_timer_new(v->l->loop, fn, v);
	loop_timer_set(v->timer, ms);
}

static void unplug_start(struct plug *v)
{
	if (!v->l->qmp)
		return;
	if (!may_ask(v)) {
		if (v->sm.at != V_WAITING)
			sm_move(&v->sm, V_WAITING);
		arm(v, on_boot_wait, BOOT_AGAIN_MS);
		return;
	}
	sm_move(&v->sm, V_UNPLUGGING);
	arm(v, unplug_late, UNPLUG_LIMIT_MS);
	if (v->medium) /* by force: a guest that has it mounted has locked the tray */
		qmp_send_blockdev_open_tray(v->l->qmp,
			&(struct qmp_blockdev_open_tray){ .id = v->dev, .force = true }, on_opened_to_remove,
			v);
	else
		qmp_send_device_del(v->l->qmp, &(struct qmp_device_del){ .id = v->dev }, on_del, v);
	say(v, NULL);
}

/* ---- plugging: descriptor, nodes, then a device or a medium ---- */

static void plugged(struct plug *v)
{
	log_info("volume %s: plugged as %s", v->disk.name, v->dev);
	sm_move(&v->sm, V_READY);
	say(v, NULL);
	if (v->unwanted)
		unplug_start(v);
}

static void on_closed(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (e)
		log_warn("volume %s: %s", v->disk.name, e->msg);
	plugged(v);
}

static void on_inserted(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	qmp_send_blockdev_close_tray(
		v->l->qmp, &(struct qmp_blockdev_close_tray){ .id = v->dev }, e ? NULL : on_closed, v);
	if (e)
		take_back_nodes(v, e);
}

static void on_opened_to_insert(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	qmp_send_blockdev_insert_medium(v->l->qmp,
		&(struct qmp_blockdev_insert_medium){ .id = v->dev, .node_name = v->node }, on_inserted, v);
}

static void on_device(void *arg, const struct json *ret, const struct err *e)
{
	struct err mine;

	if (!e) {
		plugged(arg);
		return;
	}
	err_copy(&mine, e);
	if (strstr(e->msg, "lock")) /* QEMU's own words do not say who stands in the way */
		err_wrap(&mine, "another virtual machine has it open");
	take_back_nodes(arg, &mine);
}

/* The lowest that is free: a guest should not see them climb. */
static unsigned free_lun(const struct launcher *l)
{
	unsigned lun = 0;

	for (size_t i = 0; i < l->domain->n_disks; i++)
		lun += l->domain->disks[i].bus == VM_SCSI;
	for (const struct plug *v = l->plugs; v;) {
		bool taken = v->sm.at != V_OFFERED && !v->medium && v->disk.bus == VM_SCSI && v->lun == lun;

		lun += taken;
		v = taken ? l->plugs : v->next;
	}
	return lun;
}

static void add_device(struct plug *v)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	char bus[16];

	snprintf(bus, sizeof(bus), "rp%d", v->port);
	qmp_send_device_add(v->l->qmp,
		&(struct qmp_device_add){ .device = vm_disk_device(d, &v->vm, bus, v->lun) }, on_device, v);
}

static void on_set_removed(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (v->medium)
		qmp_send_blockdev_open_tray(v->l->qmp,
			&(struct qmp_blockdev_open_tray){ .id = v->dev, .force = true }, on_opened_to_insert,
			v);
	else
		add_device(v);
}

static void on_node(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (e) {
		if (v->why.code == ERR_NONE)
			err_copy(&v->why, e);
		qmp_send_remove_fd(v->l->qmp, &(struct qmp_remove_fd){ .fdset = v->set }, NULL, NULL);
		on_node_back(v, NULL, NULL);
		return;
	}
	qmp_send_remove_fd(v->l->qmp, &(struct qmp_remove_fd){ .fdset = v->set }, on_set_removed, v);
}

static void on_file_node(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (!e)
		return; /* the format node's answer follows */
	err_copy(&v->why, e);
}

/* Two nodes, file and format, are sent in one go; that the upper one failed says that the lower one did, or itself. */
static void send_node(void *arg, const struct json *o)
{
	struct plug *v = arg;
	bool top = str_eq(json_get_str(o, "node-name"), v->node);

	qmp_send_blockdev_add(
		v->l->qmp, &(struct qmp_blockdev_add){ .node = o }, top ? on_node : on_file_node, v);
}

static void on_set(void *arg, const struct json *ret, const struct err *e)
{
	struct plug *v = arg;

	if (e) {
		err_copy(&v->why, e);
		cleared(v);
		return;
	}
	vm_disk_nodes(&v->vm, send_node, v);
}

static int reserve(struct plug *v, struct err *e)
{
	struct launcher *l = v->l;

	v->medium = drive_named(l, v->disk.name) != NULL;
	for (const struct plug *o = l->plugs; o; o = o->next)
		if (o != v && o->sm.at != V_OFFERED && str_eq(o->disk.name, v->disk.name))
			return err_set(e, ERR_CONFLICT, "another volume \"%s\" is there still", v->disk.name);
	if (v->medium && !drive_named(l, v->disk.name)->cdrom)
		return err_set(e, ERR_CONFLICT, "a disk \"%s\" is there since the start", v->disk.name);
	if (v->medium)
		return 0;
	if (v->disk.cdrom)
		return err_set(e, ERR_INVALID,
			"there is no CD-ROM drive \"%s\", and drives can not be plugged", v->disk.name);
	if (v->disk.bus == VM_SATA)
		return err_set(
			e, ERR_INVALID, "disks on bus sata can not be plugged, only on scsi and virtio");
	if (v->disk.bus == VM_SCSI) {
		v->lun = free_lun(l);
		return 0;
	}
	v->port = vm_port_take(l->ports, "disk", v->disk.name);
	if (v->port < 0)
		return err_set(e, ERR_UNAVAILABLE,
			"no free PCIe port: all that were reserved when the guest started are taken; bus "
			"scsi needs "
			"none");
	return 0;
}

/* As disks.c does for those of the start. QEMU sets the flag on its own copy of the descriptor: what counts is whether it can
 * be set. */
static enum vm_cache possible_cache(const struct plug *v)
{
	int flags = fcntl(v->fd, F_GETFL);

	if (v->disk.cache != VM_CACHE_NONE && v->disk.cache != VM_CACHE_DIRECTSYNC)
		return v->disk.cache;
	if (flags >= 0 && fcntl(v->fd, F_SETFL, flags | O_DIRECT) == 0)
		return v->disk.cache;
	log_warn("volume %s: its file system takes no direct writes, cache writethrough is used",
		v->disk.name);
	return VM_CACHE_WRITETHROUGH;
}

static void plug_start(struct plug *v)
{
	const struct domain_disk *k = &v->disk;

	v->set = ++v->l->fdsets;
	v->error[0] = '\0';
	v->why.code = ERR_NONE;
	vm_node_name(k->name, v->node);
	snprintf(v->file_node, sizeof(v->file_node), "%s.file", v->node);
	snprintf(v->dev, sizeof(v->dev), "disk-%s", k->name);
	snprintf(v->file, sizeof(v->file), "/dev/fdset/%llu", (unsigned long long)v->set);
	v->vm = (struct vm_disk){ .name = k->name,
		.bus = k->bus,
		.cdrom = v->medium,
		.readonly = k->readonly || v->readonly || v->medium,
		.file = v->file,
		.format = VM_RAW,
		.block_device = v->device,
		.opened_rw = !v->readonly,
		.serial = k->serial,
		.cache = possible_cache(v),
		.error_policy = k->error_policy,
		.shareable = k->shareable };
	sm_move(&v->sm, V_PLUGGING);
	state_changed(v->l);
	qmp_send_fdset(v->l->qmp, v->set, fcntl(v->fd, F_DUPFD_CLOEXEC, 3), on_set, v);
}

/* ---- verbs ---- */

void plug_offer(struct launcher *l, const struct json *args, struct wire_call *call)
{
	CLEANUP(fd_closep) int fd = wire_call_file(call);
	const char *id = json_get_str(args, "id");
	CLEANUP(str_done) struct str rest = { 0 };
	struct plug *v = plug_find(l, id);
	struct stat st = { 0 };
	struct err e;
	size_t n = 0;

	for (const struct plug *o = l->plugs; o; o = o->next)
		n++;
	if (fd < 0 || fstat(fd, &st) < 0)
		err_set(&e, ERR_BAD_REQUEST, "offer-disk: no descriptor came with it");
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		err_set(&e, ERR_INVALID, "offer-disk: neither a file nor a block device");
	else if (!v && n >= PLUGS_MAX)
		err_set(&e, ERR_INVALID, "more than %d volumes", PLUGS_MAX);
	else
		e.code = ERR_NONE;
	if (e.code != ERR_NONE) {
		wire_call_fail(call, &e);
		return;
	}
	if (!v) {
		v = MEM_NEW(struct plug);
		v->l = l;
		v->id = mem_strdup(id);
		v->next = l->plugs;
		v->sm.states = states;
		v->port = -1;
		v->device = S_ISBLK(st.st_mode);
		v->readonly = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
		v->size = (uint64_t)lseek(fd, 0, SEEK_END);
		v->fd = fd;
		v->hold = -1;
		fd = -1;
		l->plugs = v;
		log_info("volume of %s: offered", id);
		state_changed(l);
	}
	fd_closep(&v->hold);
	v->hold = wire_call_take_fd(call, &rest);
}

void plug_plug(struct launcher *l, const struct json *args, struct wire_call *call)
{
	struct plug *v = plug_find(l, json_get_str(args, "id"));
	struct err e;

	if (!v) {
		err_set(&e, ERR_NOT_FOUND, "no such volume was offered");
		wire_call_fail(call, &e);
		return;
	}
	if (!l->qmp)
		err_set(&e, ERR_UNAVAILABLE, "QEMU does not answer");
	else if (v->sm.at != V_OFFERED)
		e.code = ERR_NONE;
	else if (domain_read_plugged(l->domain, json_get(args, "disk"), &v->disk, &e) < 0 ||
		 reserve(v, &e) < 0)
		err_copy(&v->why, &e);
	else
		e.code = ERR_NONE;
	if (e.code == ERR_NONE && v->sm.at == V_OFFERED)
		plug_start(v);
	if (e.code == ERR_NONE) {
		wire_call_ok(call, NULL);
		return;
	}
	say(v, e.msg);
	if (l->qmp)
		arm(v, on_retry, RETRY_MS);
	wire_call_fail(call, &e);
}

void plug_unplug(struct launcher *l, const struct json *args, struct wire_call *call)
{
	struct plug *v = plug_find(l, json_get_str(args, "id"));

	wire_call_ok(call, NULL);
	if (!v)
		return;
	if (v->sm.at == V_OFFERED) {
		plug_free(v);
		state_changed(l);
	} else if (v->sm.at == V_PLUGGING) {
		v->unwanted = true;
	} else if (v->sm.at == V_READY) {
		unplug_start(v);
	}
}

/* ---- the end, and what is told ---- */

void plug_end(struct launcher *l)
{
	while (l->plugs)
		plug_free(l->plugs);
}

const char *plug_of_node(const struct launcher *l, const char *node)
{
	for (const struct plug *v = l->plugs; v; v = v->next)
		if (v->sm.at != V_OFFERED && str_eq(v->node, node))
			return v->disk.name;
	return NULL;
}

/* As Linux names them when it has found all others first. */
static void put_target(const struct launcher *l, const struct plug *v, struct json_doc *d, struct json *o)
{
	unsigned at = 0, cds = 0;
	bool vd = v->disk.bus == VM_VIRTIO;

	for (size_t i = 0; i < l->domain->n_disks; i++) {
		const struct domain_disk *k = &l->domain->disks[i];

		if (v->medium && str_eq(k->name, v->disk.name))
			break;
		at += k->cdrom == v->medium && (v->medium || (k->bus == VM_VIRTIO) == vd);
		cds += k->cdrom && k->bus == VM_SCSI;
	}
	if (v->medium) {
		json_set_strf(d, o, "target", "sr%u", at);
		return;
	}
	if (!vd) {
		for (size_t i = 0; i < l->domain->n_disks; i++)
			cds += !l->domain->disks[i].cdrom && l->domain->disks[i].bus == VM_SCSI;
		at += v->lun - cds;
	} else {
		for (const struct plug *p = v->next; p; p = p->next) /* those that came before */
			at += !p->medium && p->disk.bus == VM_VIRTIO && p->sm.at != V_OFFERED;
	}
	json_set_strf(d, o, "target", "%s%c", vd ? "vd" : "sd", (char)('a' + at % 26));
}

void plug_state(const struct launcher *l, struct json_doc *d, struct json *o)
{
	struct json *list = json_need_arr(d, o, "volumes");

	for (const struct plug *v = l->plugs; v; v = v->next) {
		struct json *k = json_new_obj(d);

		json_set_str(d, k, "id", v->id);
		json_set_str(d, k, "phase", states[v->sm.at].name);
		json_set_str(d, k, "name", v->disk.name ? v->disk.name : "");
		if (v->sm.at == V_READY)
			put_target(l, v, d, k);
		json_set_i64(d, k, "size", (int64_t)v->size);
		json_set_str(d, k, "error", v->error);
		json_append(d, list, k);
	}
}
