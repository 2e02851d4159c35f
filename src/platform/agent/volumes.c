/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's volumes as directories and files of the host, to be bound into its containers. What the agent itself writes (secrets,
 * tokens, ...) lives in a tmpfs of the pod: never on disk. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "api/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static char *mem_dir(const struct pod *p)
{
	return file_join(p->dir, "mem");
}

void volumes_init(struct pod *p)
{
	const struct json *list = json_get(pod_spec(p), "volumes");

	p->vols = mem_zalloc((json_len(list) + 1) * sizeof(p->vols[0]));
	JSON_EACH (it, list)
		p->vols[p->n_vols++].name = mem_strdup(json_str_or(json_get(it.val, "name"), ""));
}

const struct vol *volume_get(const struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->n_vols; i++)
		if (str_eq(p->vols[i].name, name))
			return &p->vols[i];
	return NULL;
}

static const struct json *vol_spec(const struct pod *p, const struct vol *v)
{
	JSON_EACH (it, json_get(pod_spec(p), "volumes"))
		if (str_eq(json_get_str(it.val, "name"), v->name))
			return it.val;
	return NULL;
}

static bool is_tmpfs(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == TMPFS_MAGIC;
}

/* ---- emptyDir ---- */
static int empty_dir(struct pod *p, struct vol *v, const struct json *spec, struct err *e)
{
	const struct json *group = json_at(pod_spec(p), "/securityContext/fsGroup");
	CLEANUP(mem_freep) char *path = str_printf("%s/volumes/%s", p->dir, v->name);
	bool memory = str_eq(json_get_str(spec, "medium"), "Memory");
	int64_t limit = quantity_bytes(json_get(spec, "sizeLimit"));
	CLEANUP(mem_freep)
	char *options = limit > 0 ? str_printf("mode=0777,size=%" PRId64, limit) : mem_strdup("mode=0777");
	bool made = !file_exists(path);

	if (file_mkdirs(path, 0777, e) < 0)
		return -1;
	if (memory && !is_tmpfs(path) && mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(e, "mounting a tmpfs at %s", path);
	if (str_starts(json_str_or(json_get(spec, "medium"), ""), "HugePages")) {
		if (hugepages_mount(p, json_get_str(spec, "medium"), path, e) < 0)
			return -1;
		made = false; /* its owner and mode are the mount's */
	}
	if (made && (chmod(path, json_is_int(group) ? 02777 : 0777) < 0 ||
			    (json_is_int(group) && chown(path, (uid_t)-1, (gid_t)json_i64(group)) < 0)))
		return err_sys(e, "owner of %s", path);
	v->path = TAKE(path);
	return 0;
}

/* ---- hostPath ---- */
static int host_path(struct vol *v, const char *path, const char *type, struct err *e)
{
	static const struct {
		const char *type;
		mode_t format;
		const char *what;
	} kinds[] = { { "Directory", S_IFDIR, "a directory" }, { "File", S_IFREG, "a file" },
		{ "Socket", S_IFSOCK, "a socket" }, { "CharDevice", S_IFCHR, "a character device" },
		{ "BlockDevice", S_IFBLK, "a block device" } };
	struct stat st;

	if (!path || *path != '/')
		return err_set(e, ERR_INVALID, "hostPath \"%s\" is not absolute", path ? path : "");
	if (str_eq(type, "DirectoryOrCreate") && file_mkdirs(path, 0755, e) < 0)
		return -1;
	if (str_eq(type, "FileOrCreate") && !file_exists(path) && file_write(path, "", 0, 0644, e) < 0)
		return -1;
	if (stat(path, &st) < 0) {
		/* Without a type kubelet leaves it to the runtime, which makes a directory */
		if (!str_empty(type))
			return err_set(e, ERR_NOT_FOUND, "hostPath type check failed: %s: %s", path,
				strerror(errno));
		if (file_mkdirs(path, 0755, e) < 0)
			return -1;
		if (stat(path, &st) < 0)
			return err_sys(e, "hostPath %s", path);
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(type, kinds[i].type) && (st.st_mode & S_IFMT) != kinds[i].format)
			return err_set(e, ERR_INVALID, "hostPath type check failed: %s is not %s", path,
				kinds[i].what);
	v->path = mem_strdup(path);
	v->is_file = !S_ISDIR(st.st_mode);
	return 0;
}

/* ---- persistentVolumeClaim ---- */
static int claim(struct pod *p, struct vol *v, const struct json *spec, struct err *e)
{
	const char *name = json_str_or(json_get(spec, "claimName"), ""), *pv_name, *path;
	CLEANUP(mem_freep) char *key = kind_key(obj_namespace(p->obj), name);
	const struct obj *pvc = cache_get(p->agent->pvcs, key), *pv;

	if (!pvc)
		return err_set(e, ERR_NOT_FOUND, "persistentvolumeclaim \"%s\" not found", name);
	pv_name = json_at_str(obj_json(pvc), "/spec/volumeName");
	if (str_empty(pv_name) || !str_eq(json_at_str(obj_json(pvc), "/status/phase"), "Bound"))
		return err_set(e, ERR_TIMEOUT, "persistentvolumeclaim \"%s\" is not bound", name);
	pv = cache_get(p->agent->pvs, pv_name);
	if (!pv) /* told of by another watch: on its way */
		return err_set(e, ERR_TIMEOUT, "persistentvolume \"%s\" not found", pv_name);
	path = json_at_str(obj_json(pv), "/spec/hostPath/path");
	if (!path)
		path = json_at_str(obj_json(pv), "/spec/local/path");
	if (!path)
		return err_set(
			e, ERR_INVALID, "persistentvolume \"%s\" is neither hostPath nor local", pv_name);
	v->read_only = json_bool(json_get(spec, "readOnly"));
	v->block = str_eq(json_at_str(obj_json(pv), "/spec/volumeMode"), "Block");
	return host_path(v, path, v->block ? "BlockDevice" : "DirectoryOrCreate", e);
}

/* ---- image ---- */
static void vol_image_done(void *arg, struct image *img, bool pulled, const char *reason, const struct err *e)
{
	struct vol_pull *w = arg;
	struct pod *p = w->pod;
	struct vol *v = &p->vols[w->index];

	v->get = NULL;
	free(TAKE(v->pull));
	free(TAKE(v->error));
	if (!img) {
		v->failures++;
		v->error = str_printf("%s: %s", reason, e->msg);
		v->retry = loop_mono_ms(p->agent->loop) +
			   back_off_ms(v->failures, BACK_OFF_MIN_MS, BACK_OFF_MAX_MS);
		pod_event(p, true, "Failed", "Failed to pull image for volume \"%s\": %s", v->name, e->msg);
		pod_event(p, true, "Failed", "Error: %s", reason);
	} else {
		v->image = img;
		v->path = mem_strdup(img->rootfs ? img->rootfs : img->bin_dir);
		v->read_only = true;
		v->state = VOL_READY;
		if (pulled)
			pod_event(p, false, "Pulled", "Successfully pulled image \"%s\"", img->ref);
	}
	pod_kick(p);
}

static int image_volume(struct pod *p, struct vol *v, const struct json *spec, struct err *e)
{
	const char *ref = json_str_or(json_get(spec, "reference"), "");
	enum image_policy policy = image_policy_from(json_get_str(spec, "pullPolicy"), ref);
	struct vol_pull *w;

	/* Of a pod that an earlier agent started: what it has is what counts. */
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->attempted && policy == IMAGE_ALWAYS)
			policy = IMAGE_IF_NOT_PRESENT;
	if (v->get)
		return err_set(e, ERR_UNAVAILABLE, "image \"%s\" is being pulled", ref);
	if (v->error && loop_mono_ms(p->agent->loop) < v->retry) {
		pod_kick_at(p, v->retry);
		return err_set(e, ERR_UNAVAILABLE, "%s", v->error);
	}
	if (images_will_pull(p->agent->images, ref, policy))
		pod_event(p, false, "Pulling", "Pulling image \"%s\"", ref);
	w = MEM_NEW(struct vol_pull);
	w->pod = p;
	w->index = (size_t)(v - p->vols);
	v->pull = w;
	v->get = images_get(p->agent->images, ref, policy, vol_image_done, w);
	return err_set(e, ERR_UNAVAILABLE, "image \"%s\" is being pulled", ref);
}

/* ---- all ---- */
static int mem_ready(struct pod *p, struct err *e)
{
	CLEANUP(mem_freep) char *dir = mem_dir(p);

	if (p->mem_mounted)
		return 0;
	/* The directory alone may be left from before a reboot of the host. */
	if (!is_tmpfs(dir)) {
		if (file_mkdirs(dir, 0755, e) < 0)
			return -1;
		if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0) {
			err_sys(e, "mounting a tmpfs at %s", dir);
			rmdir(dir);
			return -1;
		}
	}
	p->mem_mounted = true;
	return 0;
}

static int make(struct pod *p, struct vol *v, struct err *e)
{
	const struct json *spec = vol_spec(p, v), *part;

	if ((part = json_get(spec, "emptyDir")) || json_len(spec) == 1)
		return empty_dir(p, v, part, e);
	if ((part = json_get(spec, "hostPath")))
		return host_path(v, json_get_str(part, "path"), json_get_str(part, "type"), e);
	if ((part = json_get(spec, "persistentVolumeClaim")))
		return claim(p, v, part, e);
	if ((part = json_get(spec, "image")))
		return image_volume(p, v, part, e);
	if (!volume_is_projection(spec))
		return err_set(
			e, ERR_NOT_IMPLEMENTED, "volume \"%s\": no driver for this kind of volume", v->name);
	return mem_ready(p, e) < 0 ? -1 : project_volume(p, v, spec, e);
}

static void mount_failed(struct pod *p, const struct vol *v, const struct err *e)
{
	char *text = str_printf("MountVolume.SetUp failed for volume \"%s\" : %s", v->name, e->msg);

	if (!str_eq(text, p->mount_error))
		pod_event(p, true, "FailedMount", "%s", text);
	free(p->mount_error);
	p->mount_error = text;
}

bool volumes_ready(struct pod *p)
{
	bool ready = true, failed = false;

	for (size_t i = 0; i < p->n_vols; i++) {
		struct vol *v = &p->vols[i];
		struct err e = { 0 };

		if (v->state == VOL_READY && !v->mem)
			continue;
		if (make(p, v, &e) == 0) {
			v->state = VOL_READY;
			continue;
		}
		/* What is there stays if only its update failed (an optional source vanished, a token is late). */
		if (v->state == VOL_READY)
			continue;
		ready = false;
		if (v->get || v->error || e.code == ERR_TIMEOUT)
			continue; /* on its way, or told already */
		mount_failed(p, v, &e);
		failed = true;
	}
	if (failed) {
		p->mount_retry = loop_mono_ms(p->agent->loop) +
				 back_off_ms(++p->mount_failures, MOUNT_RETRY_MIN_MS, MOUNT_RETRY_MAX_MS);
		pod_kick_at(p, p->mount_retry);
	} else {
		p->mount_failures = 0;
		free(TAKE(p->mount_error));
	}
	return ready;
}

void volumes_done(struct pod *p)
{
	CLEANUP(mem_freep) char *mem = mem_dir(p);
	CLEANUP(mem_freep) char *volumes = file_join(p->dir, "volumes");
	struct strv names = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < p->n_vols; i++) {
		image_get_cancel(TAKE(p->vols[i].get));
		free(TAKE(p->vols[i].pull));
	}
	file_list(volumes, &names, NULL);
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *path = file_join(volumes, names.items[i]);

		umount2(path, MNT_DETACH);
	}
	strv_done(&names);
	umount2(mem, MNT_DETACH);
	p->mem_mounted = false;
	if (file_remove_tree(volumes, &e) < 0 || file_remove_tree(mem, &e) < 0)
		log_warn("volumes of %s: %s", p->key, e.msg);
}
