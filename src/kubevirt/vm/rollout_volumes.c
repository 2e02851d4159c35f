/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and their disks: those that can be plugged, CD-ROMs that get another medium, and claims that are to be
 * replaced by migration. rollout.md 2.3 (1, 2), 3.5, behaviours 77 to 83; decision 4. Compared with the instance by
 * name: that is what the guest has. */
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/gates.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vm/vm_impl.h"

#define MEANING "volumes updated in template spec"
#define INVALID_VOLUMES "invalid volumes to update with migration:"
#define NAMES_MAX 512

/* One name on the three sides. */
struct sides {
	const char *name;
	const struct json *want, *have, *start;                /* volumes: template, instance, start */
	const struct json *want_disk, *have_disk, *start_disk; /* disks */
};

static const struct json *volume_in(const struct json *spec, const char *name)
{
	return volume_named(json_get(spec, "volumes"), name);
}

static const struct json *disk_in(const struct json *spec, const char *name)
{
	return volume_named(json_at(spec, "/domain/devices/disks"), name);
}

static struct sides sides_of(const struct vm_seen *s, const char *name)
{
	const struct json *want = json_get(s->template, "spec"), *start = json_get(s->start, "spec"),
			  *have = json_get(obj_json(s->vmi), "spec");

	return (struct sides){ name, volume_in(want, name), volume_in(have, name), volume_in(start, name),
		disk_in(want, name), disk_in(have, name), disk_in(start, name) };
}

static bool is_drive(const struct json *disk)
{
	return json_is_obj(json_get(disk, "cdrom"));
}

/* ---- can it go live? ---- */
static bool volume_goes(const struct sides *k)
{
	if (k->want || k->have)
		return (!k->want || volume_hotpluggable(k->want)) &&
		       (!k->have || volume_hotpluggable(k->have));
	return volume_hotpluggable(k->start);
}

static bool can_be_plugged(const struct json *disk)
{
	const char *bus = json_at_str(disk, "/disk/bus");

	return !json_get(disk, "lun") && !is_drive(disk) &&
	       (!bus || str_eq(bus, "scsi") || str_eq(bus, "virtio"));
}

static bool disk_goes(const struct sides *k)
{
	if (!volume_goes(k) && (k->want || k->have || k->start))
		return false;
	if (is_drive(k->have_disk) ||
		is_drive(k->start_disk)) /* the drive stays as it is; its medium may change */
		return false;
	return !k->want_disk || can_be_plugged(k->want_disk);
}

/* A medium for a drive that is there, or a disk that can be plugged. Anything else in the instance would be a disk that its guest
 * never gets, and that stands in the way of the next one of its name. */
static bool comes_and_goes(const struct sides *k)
{
	return volume_goes(k) && (!k->want || is_drive(k->have_disk) || can_be_plugged(k->want_disk));
}

/* "volumes[data].x", "domain.devices.disks[data]": data; NULL: about the list itself. Caller frees. */
static char *name_in(const char *shown)
{
	const char *from = strchr(shown, '['), *to = from ? strchr(from, ']') : NULL;

	return to ? mem_strndup(from + 1, (size_t)(to - from) - 1) : NULL;
}

/* ---- replaced by migration ---- */
static bool by_migration(const struct vm_seen *s, const struct sides *k)
{
	return str_eq(json_at_str(obj_json(s->vm), "/spec/updateVolumesStrategy"), "Migration") && k->want &&
	       k->start && k->have && volume_claim(k->want) && !volume_goes(k);
}

bool rollout_volume_goes(const struct vm_seen *s, enum live_class class, const char *shown)
{
	CLEANUP(mem_freep) char *name = name_in(shown);
	struct sides k;

	if (!name)
		return false;
	k = sides_of(s, name);
	if (class == LIVE_DISKS)
		return disk_goes(&k);
	return volume_goes(&k) || (rollout_live(s) && by_migration(s, &k));
}

/* ---- what differs ---- */
static struct json_doc *plugged_disk(const struct sides *k)
{
	struct json_doc *d = json_doc_new();
	struct json *o = k->want_disk ? json_copy(d, k->want_disk) : json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "name", k->name);
	if (!is_drive(o) && !json_at(o, "/disk/bus"))
		json_set_str(d, json_need_obj(d, o, "disk"), "bus", "scsi");
	return d;
}

static bool same_disk(const struct sides *k)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (is_drive(k->have_disk))
		return true;
	d = plugged_disk(k);
	return k->have_disk && spec_same("domain.devices.disks.0", k->have_disk, json_root(d));
}

static bool differs(const struct sides *k)
{
	if (!k->want || !k->have)
		return k->want != k->have;
	return !spec_same("volumes.0", k->have, k->want) || (volume_goes(k) && !same_disk(k));
}

/* ---- bringing it to the instance ---- */
static void remove_named(struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			json_iter_remove(&it);
}

static void take_away(struct edits *r, struct json *vmi, const struct sides *k)
{
	remove_named(json_at(vmi, "/spec/volumes"), k->name);
	if (!is_drive(k->have_disk) || !k->start_disk)
		remove_named(json_at(vmi, "/spec/domain/devices/disks"), k->name);
}

static void bring(struct edits *r, struct json *vmi, const struct sides *k)
{
	struct json *spec = json_get(vmi, "spec");
	struct json *devices = json_need_obj(r->vmi, json_need_obj(r->vmi, spec, "domain"), "devices");

	if (volume_named(json_get(spec, "volumes"), k->name))
		return; /* asked for directly, and twice */
	json_append(r->vmi, json_need_arr(r->vmi, spec, "volumes"), json_copy(r->vmi, k->want));
	if (!k->have_disk) {
		CLEANUP(json_doc_freep) struct json_doc *d = plugged_disk(k);

		json_append(r->vmi, json_need_arr(r->vmi, devices, "disks"), json_copy(r->vmi, json_root(d)));
	}
}

/* A changed one goes first, and comes again when nothing is left of it (81). */
static void apply(const struct vm_seen *s, struct edits *r, const struct sides *k)
{
	const struct json *vmi = obj_json(s->vmi);

	if (vmi_phase(vmi) != VMI_RUNNING)
		return;
	if (vmi_migrating(vmi))
		rollout_busy(r, "HotPlugVolumeError", "a change of volumes waits for the end of a migration");
	else if (k->have)
		take_away(r, rollout_vmi(s, r), k);
	else if (!json_get(volume_named(json_at(vmi, "/status/volumeStatus"), k->name), "hotplugVolume"))
		bring(r, rollout_vmi(s, r), k);
}

/* ---- direct requests (decision 4): names in an annotation of the VM ---- */
static bool names_has(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = names; at && *at;) {
		const char *end = strchrnul(at, ',');

		if ((size_t)(end - at) == n && !strncmp(at, name, n))
			return true;
		at = *end ? end + 1 : end;
	}
	return false;
}

static bool at_once(const struct vm_seen *s, const char *name)
{
	return names_has(meta_annotation(obj_json(s->vm), ANN_VOLUMES_AT_ONCE), name);
}

void rollout_volumes_at_once(const struct vm_seen *s, struct edits *r)
{
	CLEANUP(mem_freep) char *names = NULL;
	const char *given = meta_annotation(obj_json(s->vm), ANN_VOLUMES_AT_ONCE);

	if (!given)
		return;
	names = mem_strdup(given);
	for (char *rest = names, *name; rest && (name = str_next(&rest, ','));) {
		struct sides k = sides_of(s, name);

		if (comes_and_goes(&k) && differs(&k))
			apply(s, r, &k);
	}
}

char *rollout_volumes_left(const struct vm_seen *s)
{
	const char *given = meta_annotation(obj_json(s->vm), ANN_VOLUMES_AT_ONCE);
	CLEANUP(mem_freep) char *names = given ? mem_strdup(given) : NULL;
	struct str left = { 0 };

	if (!given || !s->vmi || !s->template || vmi_is_final(obj_json(s->vmi)) || obj_deleting(s->vmi))
		return NULL;
	for (char *rest = names, *name; rest && (name = str_next(&rest, ','));) {
		struct sides k = sides_of(s, name);

		if (comes_and_goes(&k) && differs(&k) && !names_has(str_cstr(&left), name))
			str_addf(&left, "%s%s", left.len ? "," : "", name);
	}
	return left.len ? str_take(&left) : NULL;
}

/* ---- the comparison ---- */
static void one(const struct vm_seen *s, struct edits *r, const struct sides *k)
{
	CLEANUP(mem_freep) char *path = str_printf("spec.template.spec.volumes[%s]", k->name);
	struct change *c;

	if ((at_once(s, k->name) && comes_and_goes(k)) || !volume_goes(k) || !differs(k))
		return;
	/* In the imperative mode of KubeVirt the instance may have more than its VM. */
	if (!k->want && !k->start && gate_on(&s->config->gates, GATE_HOTPLUG_VOLUMES))
		return;
	c = rollout_add(r, path, k->have, k->want, LIVE_VOLUMES);
	c->staged = !rollout_live(s);
	c->why = c->staged ? MEANING : NULL;
	if (!c->staged)
		apply(s, r, k);
}

/* Every name once: of the template first, then what only the instance has. */
static void each_name(const struct vm_seen *s, struct edits *r,
	void (*fn)(const struct vm_seen *s, struct edits *r, const struct sides *k))
{
	const struct json *want = json_get(json_get(s->template, "spec"), "volumes");
	const struct json *have = json_at(obj_json(s->vmi), "/spec/volumes");

	for (int pass = 0; pass < 2; pass++)
		JSON_EACH (it, pass ? have : want) {
			const char *name = json_get_str(it.val, "name");
			struct sides k;

			if (!name || (pass && volume_named(want, name)))
				continue;
			k = sides_of(s, name);
			fn(s, r, &k);
		}
}

/* ---- strategy Migration ---- */
static void collect(
	struct strv *list, const struct json *items, const struct vm_seen *s, bool (*is)(const struct json *))
{
	JSON_EACH (it, items) {
		const char *name = json_get_str(it.val, "name");
		struct sides k = sides_of(s, name ? name : "");

		if (name && by_migration(s, &k) && differs(&k) && is(it.val) && !strv_has(list, name))
			strv_add(list, name);
	}
}

static bool is_any(const struct json *o)
{
	return true;
}
static bool is_shareable(const struct json *disk)
{
	return json_bool(json_get(disk, "shareable"));
}
static bool is_lun(const struct json *disk)
{
	return json_is_obj(json_get(disk, "lun"));
}

/* H10: volumes that no migration can copy. NULL: none. */
static char *invalid_volumes(const struct vm_seen *s)
{
	const struct json *devices = json_at(json_get(s->template, "spec"), "/domain/devices");
	const struct {
		const char *kind, *list;
		bool (*is)(const struct json *);
	} rows[] = { { "filesystems", "filesystems", is_any }, { "shareable", "disks", is_shareable },
		{ "luns", "disks", is_lun } };
	struct str out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(strv_done) struct strv names = { 0 };
		CLEANUP(mem_freep) char *text = NULL;

		collect(&names, json_get(devices, rows[i].list), s, rows[i].is);
		text = strv_join(&names, " ");
		if (names.len)
			str_addf(&out, "%s %s: [%s]", out.len ? "," : INVALID_VOLUMES, rows[i].kind, text);
	}
	return out.len ? str_take(&out) : NULL;
}

static bool is_shared(const struct vm_seen *s, const char *name)
{
	const struct json *entry = volume_named(json_at(obj_json(s->vmi), "/status/volumeStatus"), name);

	JSON_EACH (it, json_at(entry, "/persistentVolumeClaimInfo/accessModes"))
		if (str_eq(json_str(it.val), "ReadWriteMany"))
			return true;
	return false;
}

static bool on_one_node(const struct vm_seen *s, const struct json *volume, const char *name)
{
	const struct json *disk = json_get(volume, "hostDisk");

	return disk ? !json_bool(json_get(disk, "shared"))
		    : volume_claim(volume) && !json_get(volume, "ephemeral") && !is_shared(s, name);
}

/* H11: a volume that only one node can have, and that is not among those to be copied: it keeps the guest where it is. */
static char *left_out(const struct vm_seen *s)
{
	JSON_EACH (it, json_at(obj_json(s->vmi), "/spec/volumes")) {
		const char *name = json_get_str(it.val, "name");
		struct sides k = sides_of(s, name ? name : "");

		if (!name || !on_one_node(s, it.val, name))
			continue;
		if (!by_migration(s, &k) || !differs(&k))
			return str_printf(INVALID_VOLUMES
				" volume %s is %s and is not among the volumes to be migrated",
				name, json_get(it.val, "hostDisk") ? "on its host" : "RWO");
	}
	return NULL;
}

/* H11, decision 19: what else keeps the guest where it is, or nobody who may move it. */
static char *can_not_move(const struct vm_seen *s)
{
	const struct json *c = vmi_cond(obj_json(s->vmi), COND_LIVE_MIGRATABLE);

	/* Disks that one node has alone are what a migration of volumes is for */
	if (str_eq(json_get_str(c, "status"), "False") &&
		!str_eq(json_get_str(c, "reason"), REASON_DISKS_BOUND))
		return str_printf("the volumes can not be migrated: %s",
			json_str_or(json_get(c, "message"), "the instance can not be"));
	if (!(s->config->workload_methods & KV_UPDATE_LIVE_MIGRATE))
		return mem_strdup(
			"the volumes change with a live migration, and workloadUpdateMethods has no "
			"LiveMigrate");
	return NULL;
}

/* 83: without its destination nothing happens, and nothing is staged either. */
static const char *missing_claim(const struct vm_seen *s)
{
	JSON_EACH (it, json_get(json_get(s->template, "spec"), "volumes")) {
		const char *name = json_get_str(it.val, "name");
		struct sides k = sides_of(s, name ? name : "");

		if (name && by_migration(s, &k) && differs(&k) && s->claim &&
			!s->claim(s->claim_arg, volume_claim(k.want)))
			return volume_claim(k.want);
	}
	return NULL;
}

static void say(
	const struct vm_seen *s, struct edits *r, const char *status, const char *reason, const char *message)
{
	const struct json *was = vmi_cond(obj_json(s->vmi), COND_VOLUMES_CHANGE);
	struct json *vmi;

	if (str_eq(json_get_str(was, "status"), status) && str_eq(json_get_str(was, "message"), message))
		return;
	vmi = rollout_vmi(s, r);
	cond_set(r->vmi, json_need_obj(r->vmi, vmi, "status"), COND_VOLUMES_CHANGE, status, reason, message,
		s->now);
}

static void stage(const struct vm_seen *s, struct edits *r, const char *why)
{
	JSON_EACH (it, json_get(json_get(s->template, "spec"), "volumes")) {
		const char *name = json_get_str(it.val, "name");
		struct sides k = sides_of(s, name ? name : "");
		CLEANUP(mem_freep)
		char *path = name ? str_printf("spec.template.spec.volumes[%s]", name) : NULL;
		struct change *c;

		if (!name || !by_migration(s, &k) || !differs(&k))
			continue;
		c = rollout_add(r, path, k.have, k.want, LIVE_VOLUMES);
		c->staged = true;
		c->why = r->meaning ? r->meaning : (r->meaning = mem_strdup(why));
	}
}

/* Which, from where and to where. */
static void list_migrated(const struct vm_seen *s, struct edits *r)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *list = json_new_arr(d), *status;

	JSON_EACH (it, json_get(json_get(s->template, "spec"), "volumes")) {
		const char *name = json_get_str(it.val, "name");
		struct sides k = sides_of(s, name ? name : "");
		struct json *o;

		if (!name || !by_migration(s, &k) || !differs(&k))
			continue;
		o = json_new_obj(d);
		json_set_str(d, o, "volumeName", name);
		if (volume_claim(k.have))
			json_set_str(
				d, json_need_obj(d, o, "sourcePVCInfo"), "claimName", volume_claim(k.have));
		json_set_str(d, json_need_obj(d, o, "destinationPVCInfo"), "claimName", volume_claim(k.want));
		json_append(d, list, o);
	}
	if (json_eq(json_at(obj_json(s->vmi), "/status/migratedVolumes"), list))
		return;
	status = json_need_obj(r->vmi, rollout_vmi(s, r), "status");
	json_set_copy(r->vmi, status, "migratedVolumes", list);
}

static void count_migrated(const struct vm_seen *s, struct edits *r, const struct sides *k)
{
	r->migrated += by_migration(s, k) && differs(k);
}

/* Its destination is there and all of it can be moved: what it needs is a migration. */
static void by_moving(const struct vm_seen *s, struct edits *r)
{
	CLEANUP(mem_freep) char *invalid = invalid_volumes(s);
	CLEANUP(mem_freep) char *left = invalid ? NULL : left_out(s);
	CLEANUP(mem_freep) char *out = left ? TAKE(left) : invalid ? NULL : can_not_move(s);
	const char *missing = missing_claim(s);

	if (invalid || out) {
		stage(s, r, invalid ? invalid : out);
	} else if (missing) {
		CLEANUP(mem_freep)
		char *text = str_printf("PVC %s does not exist, waiting for it to appear", missing);
		say(s, r, "False", "FailedPvcNotFound", text);
	} else {
		say(s, r, "True", "LiveMigrationRequired",
			"the volumes change with a live migration, which this version does not make");
		list_migrated(s, r);
	}
}

static void taken_back(const struct vm_seen *s, struct edits *r)
{
	struct json *status;

	if (!vmi_cond(obj_json(s->vmi), COND_VOLUMES_CHANGE))
		return;
	status = json_need_obj(r->vmi, rollout_vmi(s, r), "status");
	cond_remove(r->vmi, status, COND_VOLUMES_CHANGE);
	json_remove(status, "migratedVolumes");
}

void rollout_volumes(const struct vm_seen *s, struct edits *r)
{
	each_name(s, r, one);
	if (!rollout_live(s))
		return;
	each_name(s, r, count_migrated);
	if (r->migrated)
		by_moving(s, r);
	else
		taken_back(s, r);
}
