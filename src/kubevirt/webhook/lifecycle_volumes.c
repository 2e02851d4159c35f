/* SPDX-License-Identifier: Apache-2.0 */
/* addvolume and removevolume: kubevirt-api.md 2.1, 2.2, rollout.md 3.5, decision 4. On a VM one write: the template,
 * and with it the name in ANN_VOLUMES_AT_ONCE, so that virt-controller brings it to the guest whatever the strategy and
 * whatever else waits. */
#include "api/meta.h"
#include "api/status.h"
#include "base/mem.h"
#include "kubevirt/api/gates.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/webhook/lifecycle_impl.h"

static const char *const sources[] = { "persistentVolumeClaim", "dataVolume", "hostDisk" };

static const char *source_of(const struct json *options)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (json_is_obj(json_get(json_get(options, "volumeSource"), sources[i])))
			return sources[i];
	return NULL;
}

static int refuse(const struct lifecycle_in *in, bool vm, struct err *e, const char *fmt, const char *what)
{
	CLEANUP(str_done) struct str text = { 0 };

	for (const char *p = fmt; *p; p++)
		if (*p == '%')
			str_add(&text, what);
		else
			str_addc(&text, *p);
	return err_set(e, ERR_CONFLICT, "Operation cannot be fulfilled on %s.kubevirt.io \"%s\": %s",
		vm ? kind_vm.singular : kind_vmi.singular, in->name, str_cstr(&text));
}

/* ---- a spec with one volume more or less ---- */

static int check_add(const struct json *o, struct err *e)
{
	if (str_empty(json_get_str(o, "name")))
		return err_set(e, ERR_BAD_REQUEST, "AddVolumeOptions requires name to be set");
	if (!json_is_obj(json_get(o, "disk")))
		return err_set(e, ERR_BAD_REQUEST, "AddVolumeOptions requires disk to not be nil");
	if (!source_of(o))
		return err_set(e, ERR_BAD_REQUEST, "AddVolumeOptions requires VolumeSource to not be nil");
	return 0;
}

static bool is_drive(const struct json *disk)
{
	return json_is_obj(json_get(disk, "cdrom"));
}

static bool same_source(const struct json *volume, const struct json *options)
{
	const struct json *source = json_get(options, "volumeSource");
	const char *claim = volume_claim(volume), *path = json_at_str(volume, "/hostDisk/path");

	return (claim && str_eq(claim, volume_claim(source))) ||
	       (path && str_eq(path, json_at_str(source, "/hostDisk/path")));
}

static bool runs(const struct json *vmi)
{
	const char *phase = json_at_str(vmi, "/status/phase");

	return vmi && !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed");
}

/* What no guest can be given, or none that runs: it would stay in the template, and be waited for. rollout.md 2.6. */
static int check_disk(const struct lifecycle_in *in, bool vm, const struct json *disk, struct err *e)
{
	const char *name = json_get_str(in->body, "name"), *bus = json_at_str(disk, "/disk/bus");

	if (json_get(disk, "lun"))
		return refuse(in, vm, e, "Unable to add volume [%] because LUNs are not supported", name);
	if (is_drive(disk) && runs(in->vmi))
		return refuse(in, vm, e,
			"Unable to add volume [%] because there is no CD-ROM drive of that name, and drives "
			"can not be plugged",
			name);
	if (bus && !str_eq(bus, "scsi") && !str_eq(bus, "virtio"))
		return refuse(in, vm, e,
			"Unable to add volume [%] because its disk is on neither bus scsi nor virtio: others "
			"can "
			"not be plugged",
			name);
	return 0;
}

static int add(const struct lifecycle_in *in, bool vm, struct json_doc *d, struct json *spec, struct err *e)
{
	const struct json *o = in->body;
	const char *name = json_get_str(o, "name"), *kind = source_of(o);
	struct json *volumes = json_need_arr(d, spec, "volumes"), *disks, *volume, *disk;

	disks = json_need_arr(d, json_need_obj(d, json_need_obj(d, spec, "domain"), "devices"), "disks");
	if (volume_named(volumes, name))
		return refuse(in, vm, e,
			"Unable to add volume [%] because volume with that name already exists", name);
	JSON_EACH (it, volumes)
		if (same_source(it.val, o))
			return refuse(
				in, vm, e, "Unable to add volume source [%] because it already exists", name);
	/* A drive of that name gets it as its medium. */
	if (volume_named(disks, name) && !is_drive(volume_named(disks, name)))
		return refuse(in, vm, e,
			"Unable to add volume [%] because disk with that name already exists", name);
	if (!volume_named(disks, name) && check_disk(in, vm, json_get(o, "disk"), e) < 0)
		return -1;
	volume = json_new_obj(d);
	json_set_str(d, volume, "name", name);
	json_set_copy(d, volume, kind, json_get(json_get(o, "volumeSource"), kind));
	json_set_bool(d, json_get(volume, kind), "hotpluggable", true);
	json_append(d, volumes, volume);
	if (volume_named(disks, name))
		return 0;
	disk = json_copy(d, json_get(o, "disk"));
	json_set_str(d, disk, "name", name);
	if (!json_get(disk, "disk") && !json_get(disk, "lun") && !is_drive(disk))
		json_set_str(d, json_need_obj(d, disk, "disk"), "bus", "scsi");
	json_append(d, disks, disk);
	return 0;
}

static void remove_named(struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			json_iter_remove(&it);
}

static int take(const struct lifecycle_in *in, bool vm, struct json_doc *d, struct json *spec, struct err *e)
{
	const char *name = json_get_str(in->body, "name");
	struct json *volumes = json_get(spec, "volumes"), *disks = json_at(spec, "/domain/devices/disks");
	const struct json *volume = volume_named(volumes, name);

	if (!volume)
		return refuse(in, vm, e, "Unable to remove volume [%] because it does not exist", name);
	if (!volume_hotpluggable(volume))
		return refuse(in, vm, e, "Unable to remove volume [%] because it is not hotpluggable", name);
	remove_named(volumes, name);
	if (!is_drive(volume_named(disks, name)))
		remove_named(disks, name);
	return 0;
}

/* ---- the write ---- */

static char *with_name(const char *was, const char *name)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	CLEANUP(mem_freep) char *copy = mem_strdup(was ? was : "");

	for (char *rest = copy, *one; rest && (one = str_next(&rest, ','));)
		if (*one && !strv_has(&names, one))
			strv_add(&names, one);
	if (!strv_has(&names, name))
		strv_add(&names, name);
	return strv_join(&names, ",");
}

static void mark(struct json_doc *d, struct json *ops, const struct json *vm, const char *name)
{
	const struct json *old = json_at(vm, "/metadata/annotations");
	const char *was = json_get_str(old, ANN_VOLUMES_AT_ONCE);
	CLEANUP(mem_freep) char *now = with_name(was, name);
	CLEANUP(json_doc_freep) struct json_doc *v = json_doc_new();
	struct json *all = old ? json_copy(v, old) : json_new_obj(v);

	json_set_str(v, all, ANN_VOLUMES_AT_ONCE, now);
	lifecycle_add_op(d, ops, "test", "/metadata/annotations", old);
	lifecycle_add_op(d, ops, "add", "/metadata/annotations", all);
}

typedef int change_fn(
	const struct lifecycle_in *in, bool vm, struct json_doc *d, struct json *spec, struct err *e);

static int change(
	const struct lifecycle_in *in, struct lifecycle_out *out, bool vm, change_fn *fn, struct err *e)
{
	const char *path = vm ? "/spec/template/spec" : "/spec";
	const struct json *old = json_at(vm ? in->vm : in->vmi, path);
	CLEANUP(json_doc_freep) struct json_doc *spec = json_doc_from(old);
	struct json_doc *ops_doc;
	struct json *ops;

	if (fn(in, vm, spec, json_root(spec), e) < 0)
		return -1;
	ops = lifecycle_add_step(out, vm ? &kind_vm : &kind_vmi, NULL, &ops_doc);
	lifecycle_add_op(ops_doc, ops, "test", path, old);
	lifecycle_add_op(ops_doc, ops, "replace", path, json_root(spec));
	if (vm && runs(in->vmi))
		mark(ops_doc, ops, in->vm, json_get_str(in->body, "name"));
	out->again = true;
	return 0;
}

static int need_name(const struct lifecycle_in *in, struct err *e)
{
	if (str_empty(json_get_str(in->body, "name")))
		return err_set(e, ERR_BAD_REQUEST, "RemoveVolumeOptions requires name to be set");
	return 0;
}

int lifecycle_vm_add_volume(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 202;
	return check_add(in->body, e) < 0 ? -1 : change(in, out, true, add, e);
}

int lifecycle_vm_remove_volume(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 202;
	return need_name(in, e) < 0 ? -1 : change(in, out, true, take, e);
}

/* What a VM's instance has beyond its VM would be taken away again at once, but for KubeVirt's imperative mode. */
static int check_instance(const struct lifecycle_in *in, struct err *e)
{
	const struct json *owner;

	if (!in->vmi)
		return err_not_found(e, &kind_vmi, in->name);
	if (!str_eq(json_at_str(in->vmi, "/status/phase"), "Running"))
		return refuse(in, false, e, "VMI is not running", "");
	owner = meta_controller_ref(in->vmi);
	if (str_eq(json_get_str(owner, "kind"), kind_vm.kind) &&
		!(in->config && gate_on(&in->config->gates, GATE_HOTPLUG_VOLUMES)))
		return err_set(e, ERR_BAD_REQUEST,
			"the volumes of a VirtualMachineInstance that belongs to a VirtualMachine are "
			"changed in the "
			"VirtualMachine");
	return 0;
}

int lifecycle_vmi_add_volume(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 202;
	if (check_add(in->body, e) < 0 || check_instance(in, e) < 0)
		return -1;
	return change(in, out, false, add, e);
}

int lifecycle_vmi_remove_volume(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 202;
	if (need_name(in, e) < 0 || check_instance(in, e) < 0)
		return -1;
	return change(in, out, false, take, e);
}
