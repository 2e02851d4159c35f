/* SPDX-License-Identifier: Apache-2.0 */
/* Attachment pods, hp-volume-*: each brings one volume to the node where its guest runs, opens the disk and
 * hands the descriptor to the launcher over a socket in the VM's directory (kubevirt/launcher/attach.h). So
 * neither virt-handler nor launcher needs a right that it would not have anyway, and any Kubernetes attaches,
 * mounts and accounts the volume as it does for every pod. rollout.md 3.5. */
#include "kubevirt/vmi/render.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"

#define ATTACH_DIR "/path/volume"
#define ATTACH_DEVICE "/dev/volume"

char *attachment_pod_name(const struct obj *vmi, const struct json *volume)
{
	CLEANUP(str_done) struct str text = { 0 };
	char hash[41];

	str_addf(&text, "%s\n%s\n%s\n%s\n%d", obj_uid(vmi), json_str_or(json_get(volume, "name"), ""),
		volume_claim(volume) ? volume_claim(volume) : "",
		json_str_or(json_at(volume, "/hostDisk/path"), ""),
		json_bool(json_at(volume, "/persistentVolumeClaim/readOnly")));
	crypto_sha1_hex(str_cstr(&text), text.len, hash);
	return str_printf(HANDOFF_ATTACH_PREFIX "%.12s", hash);
}

static struct json_doc *skeleton(const struct render_pod_in *in, const char *name, const char *node)
{
	struct json_doc *d = json_lit(
		"{'apiVersion':'v1','kind':'Pod','metadata':{},'spec':{'restartPolicy':'Always',"
		"'terminationGracePeriodSeconds':5,'enableServiceLinks':false,'automountServiceAccountToken':"
		"false,"
		"'tolerations':[{'operator':'Exists'}],'affinity':{'nodeAffinity':{"
		"'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[{'matchFields':[{'"
		"key':"
		"'metadata.name','operator':'In','values':[]}]}]}}},'containers':[{'name':'hotplug-disk','"
		"command':['" RENDER_LAUNCHER
		"','--attach'],'securityContext':{'runAsUser':0,'runAsGroup':0,'runAsNonRoot':false,"
		"'allowPrivilegeEscalation':false,'capabilities':{'drop':['ALL'],'add':['CHOWN','DAC_"
		"OVERRIDE',"
		"'FOWNER']}},'resources':{'requests':{'cpu':'10m','memory':'8Mi'},'limits':{'cpu':'100m','"
		"memory':"
		"'80Mi'}},'volumeMounts':[{'name':'" RENDER_VM_DIR_VOLUME "','mountPath':'" KV_VM_DIR "'}]}],"
		"'volumes':[{'name':'" RENDER_VM_DIR_VOLUME "','hostPath':{'type':'Directory'}}]}}");
	struct json *o = json_root(d), *box = json_at(o, "/spec/containers/0");

	json_put_str(d, o, "/metadata/name", name);
	json_put_str(d, o, "/metadata/namespace", obj_namespace(in->vmi));
	meta_set_label(d, o, LABEL_APP, KV_HOTPLUG_DISK);
	meta_set_label(d, o, LABEL_CREATED_BY, obj_uid(in->vmi));
	meta_add_owner(
		d, o, KV_API_VERSION, "VirtualMachineInstance", obj_name(in->vmi), obj_uid(in->vmi), true);
	json_append_str(d,
		json_at(o, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/"
			   "nodeSelectorTerms/0/matchFields/0/values"),
		node);
	json_set_str(d, box, "image", in->launcher_image);
	json_set_str(d, box, "imagePullPolicy", in->config->image_pull_policy);
	json_set_strf(d, json_at(o, "/spec/volumes/0/hostPath"), "path", HANDOFF_VM_DIR_FMT, in->host_dir,
		obj_uid(in->vmi));
	return d;
}

static void set_command(
	struct json_doc *d, struct json *box, const char *pod, const char *file, int64_t size, bool read_only)
{
	struct json *command = json_get(box, "command");

	json_append_str(d, command, pod);
	json_append_str(d, command, file);
	json_append(d, command, json_new_strf(d, "%lld", (long long)(size > 0 ? size : 0)));
	if (read_only)
		json_append_str(d, command, "ro");
}

static void mount_dir(struct json_doc *d, struct json *box)
{
	struct json *mount = json_new_obj(d);

	json_set_str(d, mount, "name", "volume");
	json_set_str(d, mount, "mountPath", ATTACH_DIR);
	json_append(d, json_get(box, "volumeMounts"), mount);
}

static void claim(const struct render_pod_in *in, struct json_doc *d, struct json *box, struct json *volume,
	const char *pod, const struct json *given)
{
	const struct obj *pvc = in->claim ? in->claim(in->claim_arg, volume_claim(given)) : NULL;
	bool read_only = json_bool(json_at(given, "/persistentVolumeClaim/readOnly"));
	struct json *source = json_need_obj(d, volume, "persistentVolumeClaim"), *dev;

	json_set_str(d, source, "claimName", volume_claim(given));
	if (pvc && str_eq(json_at_str(obj_json(pvc), "/spec/volumeMode"), "Block")) {
		dev = json_new_obj(d);
		json_set_str(d, dev, "name", "volume");
		json_set_str(d, dev, "devicePath", ATTACH_DEVICE);
		json_append(d, json_need_arr(d, box, "volumeDevices"), dev);
		set_command(d, box, pod, ATTACH_DEVICE, 0, read_only);
		return;
	}
	mount_dir(d, box);
	set_command(d, box, pod, ATTACH_DIR "/disk.img",
		pvc ? quantity_bytes(json_at(obj_json(pvc), "/spec/resources/requests/storage")) : 0,
		read_only);
}

static bool host_disk(
	struct json_doc *d, struct json *box, struct json *volume, const char *pod, const struct json *disk)
{
	const char *path = json_str_or(json_get(disk, "path"), ""), *slash = strrchr(path, '/');
	bool make = str_eq(json_get_str(disk, "type"), "DiskOrCreate");
	CLEANUP(mem_freep) char *file = NULL;
	struct json *source;

	if (!slash || !slash[1])
		return false;
	file = str_printf(ATTACH_DIR "/%s", slash + 1);
	source = json_need_obj(d, volume, "hostPath");
	json_set(d, source, "path", json_new_strn(d, path, slash == path ? 1 : (size_t)(slash - path)));
	json_set_str(d, source, "type", make ? "DirectoryOrCreate" : "Directory");
	mount_dir(d, box);
	set_command(d, box, pod, file, make ? quantity_bytes(json_get(disk, "capacity")) : 0, false);
	return true;
}

struct json_doc *attachment_pod_render(
	const struct render_pod_in *in, const struct json *given, const char *node)
{
	CLEANUP(mem_freep) char *name = attachment_pod_name(in->vmi, given);
	CLEANUP(json_doc_freep) struct json_doc *d = skeleton(in, name, node);
	struct json *box = json_at(json_root(d), "/spec/containers/0"), *volume = json_new_obj(d);

	json_set_str(d, volume, "name", "volume");
	if (volume_claim(given))
		claim(in, d, box, volume, name, given);
	else if (!json_get(given, "hostDisk") ||
		 !host_disk(d, box, volume, name, json_get(given, "hostDisk")))
		return NULL;
	json_append(d, json_at(json_root(d), "/spec/volumes"), volume);
	return TAKE(d);
}
