/* SPDX-License-Identifier: Apache-2.0 */
/* What of an instance's volumes its launcher pod has: images of container disks, claims, directories of the node, and files of
 * ConfigMaps and the like. kubevirt-api.md 7, 9. Names of a pod's volumes are labels of 63 characters at most and so are ours:
 * numbered, not prefixed. Volumes that can be plugged come in pods of their own (render_attach.c). */
#include "kubevirt/vmi/render.h"

#include <string.h>

#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"

struct draft {
	const struct render_pod_in *in;
	struct json_doc *d;
	struct json *pod, *compute, *volumes;
	struct json *place; /* command of the init container; NULL: nothing is to be prepared */
	struct json *place_mounts;
};

static struct json *add_volume(struct draft *p, const char *kind, size_t i)
{
	struct json *volume = json_new_obj(p->d);

	json_set_strf(p->d, volume, "name", "%s-%zu", kind, i);
	json_append(p->d, p->volumes, volume);
	return volume;
}

static void add_mount(
	struct draft *p, struct json *mounts, const struct json *volume, const char *path, bool read_only)
{
	struct json *mount = json_new_obj(p->d);

	json_set_str(p->d, mount, "name", json_get_str(volume, "name"));
	json_set_str(p->d, mount, "mountPath", path);
	if (read_only)
		json_set_bool(p->d, mount, "readOnly", true);
	json_append(p->d, mounts, mount);
}

static struct json *compute_mounts(struct draft *p)
{
	return json_get(p->compute, "volumeMounts");
}

static const char *name_of(const struct json *given)
{
	return json_str_or(json_get(given, "name"), "");
}

/* ---- the VM's directory ---- */
static void vm_dir(struct draft *p)
{
	CLEANUP(json_doc_freep)
	struct json_doc *v =
		json_lit("{'name':'" RENDER_VM_DIR_VOLUME "','hostPath':{'type':'DirectoryOrCreate'}}");
	struct json *volume = json_copy(p->d, json_root(v));

	json_set_strf(p->d, json_get(volume, "hostPath"), "path", HANDOFF_VM_DIR_FMT, p->in->host_dir,
		obj_uid(p->in->vmi));
	json_append(p->d, p->volumes, volume);
}

/* ---- huge pages: rollout.md 68 ---- */
static void huge_pages(struct draft *p)
{
	const char *size = json_at_str(obj_json(p->in->vmi), "/spec/domain/memory/hugepages/pageSize");
	struct json *volume;

	if (str_empty(size))
		return;
	volume = json_new_obj(p->d);
	json_set_str(p->d, volume, "name", "hugepages");
	json_set_strf(p->d, json_need_obj(p->d, volume, "emptyDir"), "medium", "HugePages-%s", size);
	json_append(p->d, p->volumes, volume);
	add_mount(p, compute_mounts(p), volume, HANDOFF_HUGEPAGES_DIR, false);
}

/* ---- container disks ---- */
static void pull_secret(struct draft *p, const struct json *disk)
{
	const char *secret = json_get_str(disk, "imagePullSecret");
	struct json *list, *ref;

	if (str_empty(secret))
		return;
	list = json_need_arr(p->d, p->pod, "imagePullSecrets");
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), secret))
			return;
	ref = json_new_obj(p->d);
	json_set_str(p->d, ref, "name", secret);
	json_append(p->d, list, ref);
}

static void container_disk(struct draft *p, const struct json *given, size_t i)
{
	const struct json *disk = json_get(given, "containerDisk");
	struct json *volume = add_volume(p, "containerdisk", i), *image = json_new_obj(p->d);
	CLEANUP(mem_freep) char *path = str_printf(HANDOFF_CONTAINER_DISK_FMT, name_of(given));

	json_set_str(p->d, image, "reference", json_get_str(disk, "image"));
	if (json_get_str(disk, "imagePullPolicy"))
		json_set_str(p->d, image, "pullPolicy", json_get_str(disk, "imagePullPolicy"));
	json_set(p->d, volume, "image", image);
	add_mount(p, compute_mounts(p), volume, path, true);
	pull_secret(p, disk);
}

/* ---- images that are prepared before the launcher starts ---- */
static void prepare(
	struct draft *p, const struct json *volume, const char *dir, const char *file, int64_t size)
{
	if (!p->place) {
		CLEANUP(json_doc_freep)
		struct json_doc *box = json_lit(
			"{'name':'place-disks','command':['" RENDER_LAUNCHER
			"','--place'],'securityContext':{"
			"'runAsUser':0,'runAsGroup':0,'runAsNonRoot':false,'allowPrivilegeEscalation':false,"
			"'capabilities':{'drop':['ALL'],'add':['CHOWN','DAC_OVERRIDE','FOWNER']}},"
			"'volumeMounts':[],'resources':{'requests':{'cpu':'10m','memory':'16Mi'}}}");
		struct json *o = json_copy(p->d, json_root(box));

		json_set_str(p->d, o, "image", p->in->launcher_image);
		json_set_str(p->d, o, "imagePullPolicy", p->in->config->image_pull_policy);
		json_append(p->d, json_need_arr(p->d, p->pod, "initContainers"), o);
		p->place = json_get(o, "command");
		p->place_mounts = json_get(o, "volumeMounts");
	}
	json_append(p->d, p->place, json_new_strf(p->d, "%s/%s", dir, file));
	json_append(p->d, p->place, json_new_strf(p->d, "%lld", (long long)(size > 0 ? size : 0)));
	add_mount(p, p->place_mounts, volume, dir, false);
}

/* ---- claims ---- */
static int64_t wanted_size(const struct obj *claim)
{
	const struct json *o = obj_json(claim);
	int64_t request = quantity_bytes(json_at(o, "/spec/resources/requests/storage"));
	int64_t capacity = quantity_bytes(json_at(o, "/status/capacity/storage"));

	return capacity > 0 && capacity < request ? capacity : request;
}

static void claim(struct draft *p, const struct json *given, size_t i)
{
	const char *name = volume_claim(given);
	const struct obj *pvc = p->in->claim ? p->in->claim(p->in->claim_arg, name) : NULL;
	bool read_only = json_bool(json_at(given, "/persistentVolumeClaim/readOnly")) ||
			 json_bool(json_at(given, "/ephemeral/persistentVolumeClaim/readOnly"));
	CLEANUP(mem_freep) char *dir = str_printf(HANDOFF_DISK_FMT, name_of(given));
	struct json *volume = add_volume(p, "claim", i),
		    *source = json_need_obj(p->d, volume, "persistentVolumeClaim"), *dev;

	json_set_str(p->d, source, "claimName", name);
	if (read_only)
		json_set_bool(p->d, source, "readOnly", true);
	if (pvc && str_eq(json_at_str(obj_json(pvc), "/spec/volumeMode"), "Block")) {
		dev = json_new_obj(p->d);
		json_set_str(p->d, dev, "name", json_get_str(volume, "name"));
		json_set_strf(p->d, dev, "devicePath", HANDOFF_BLOCK_FMT, name_of(given));
		json_append(p->d, json_need_arr(p->d, p->compute, "volumeDevices"), dev);
		return;
	}
	add_mount(p, compute_mounts(p), volume, dir, read_only);
	if (!read_only)
		prepare(p, volume, dir, "disk.img", pvc ? wanted_size(pvc) : 0);
}

/* ---- hostDisk ---- */
static void host_disk(struct draft *p, const struct json *given, size_t i)
{
	const struct json *disk = json_get(given, "hostDisk");
	const char *path = json_str_or(json_get(disk, "path"), ""), *slash = strrchr(path, '/');
	CLEANUP(mem_freep) char *dir = str_printf(HANDOFF_DISK_FMT, name_of(given));
	bool make = str_eq(json_get_str(disk, "type"), "DiskOrCreate");
	struct json *volume, *source;

	if (!slash || !slash[1])
		return; /* virt-api does not let such a path in */
	volume = add_volume(p, "hostdisk", i);
	source = json_need_obj(p->d, volume, "hostPath");
	json_set(p->d, source, "path", json_new_strn(p->d, path, slash == path ? 1 : (size_t)(slash - path)));
	json_set_str(p->d, source, "type", make ? "DirectoryOrCreate" : "Directory");
	add_mount(p, compute_mounts(p), volume, dir, false);
	prepare(p, volume, dir, slash + 1, make ? quantity_bytes(json_get(disk, "capacity")) : 0);
}

/* ---- files ---- */
static void service_account(struct draft *p, struct json *volume)
{
	CLEANUP(json_doc_freep)
	struct json_doc *v = json_lit(
		"{'defaultMode':420,'sources':[{'serviceAccountToken':{'expirationSeconds':3607,'path':'"
		"token'}},"
		"{'configMap':{'name':'kube-root-ca.crt','items':[{'key':'ca.crt','path':'ca.crt'}]}},"
		"{'downwardAPI':{'items':[{'path':'namespace','fieldRef':{'apiVersion':'v1','fieldPath':"
		"'metadata.namespace'}}]}}]}");

	json_set_copy(p->d, volume, "projected", json_root(v));
}

static void files(struct draft *p, const struct json *given, const char *kind, size_t i)
{
	const struct json *from = json_get(given, kind);
	CLEANUP(mem_freep) char *dir = str_printf(HANDOFF_DISK_FMT, name_of(given));
	struct json *volume = add_volume(p, "files", i), *source;

	if (str_eq(kind, "serviceAccount")) {
		json_set_str(p->d, p->pod, "serviceAccountName", json_get_str(from, "serviceAccountName"));
		service_account(p, volume);
	} else if (str_eq(kind, "sysprep") && json_get(from, "secret")) {
		json_set_str(p->d, json_need_obj(p->d, volume, "secret"), "secretName",
			json_at_str(from, "/secret/name"));
	} else if (str_eq(kind, "sysprep")) {
		json_set_str(p->d, json_need_obj(p->d, volume, "configMap"), "name",
			json_at_str(from, "/configMap/name"));
	} else {
		source = json_copy(p->d, from);
		json_remove(source, "volumeLabel");
		if (str_eq(kind, "downwardAPI")) {
			struct json *items = json_copy(p->d, json_get(from, "fields"));

			json_remove(source, "fields");
			json_set(p->d, source, "items", items);
		}
		json_set(p->d, volume, kind, source);
	}
	add_mount(p, compute_mounts(p), volume, dir, true);
}

void render_volumes(
	const struct render_pod_in *in, struct json_doc *d, struct json *pod_spec, struct json *compute)
{
	struct draft p = { .in = in, .d = d, .pod = pod_spec, .compute = compute };

	p.volumes = json_need_arr(d, pod_spec, "volumes");
	vm_dir(&p);
	huge_pages(&p);
	JSON_EACH (it, json_at(obj_json(in->vmi), "/spec/volumes")) {
		if (volume_hotpluggable(it.val))
			continue;
		if (json_get(it.val, "containerDisk"))
			container_disk(&p, it.val, it.i);
		else if (volume_claim(it.val))
			claim(&p, it.val, it.i);
		else if (json_get(it.val, "hostDisk"))
			host_disk(&p, it.val, it.i);
		else if (volume_of_files(it.val))
			files(&p, it.val, volume_of_files(it.val), it.i);
	}
}
