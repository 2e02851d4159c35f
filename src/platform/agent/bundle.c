/* SPDX-License-Identifier: Apache-2.0 */
/* From a container's spec to an OCI bundle: config.json, the root file system and its mounts.
 *
 * The root of our own images is the host's: /usr, /bin, /lib*, /sbin and /etc, read-only, with the release's programs at
 * /usr/libexec/coracle. A mount point that the host does not have is put in by a read-only overlay whose upper layer
 * holds nothing but that directory. Other images are an overlay over the shared unpacked files. */
#include "platform/agent/bundle.h"

#include "api/quantity.h"
#include "platform/agent/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const host_dirs[] = { "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
	"/libx32", NULL };
static const char *const empty_dirs[] = { "proc", "sys", "dev", "tmp", "run", "var", "var/lib", "var/log",
	"var/tmp", "var/cache", "root", "home", "mnt", "opt", "srv", NULL };

/* ---- mounts ---- */
static struct json *add_mount(struct json_doc *d, struct json *mounts, const char *to, const char *type,
	const char *from, const char *options /* comma-separated */)
{
	struct json *m = json_new_obj(d), *list = json_need_arr(d, m, "options");
	CLEANUP(mem_freep) char *text = mem_strdup(options);

	json_set_str(d, m, "destination", to);
	json_set_str(d, m, "type", type);
	json_set_str(d, m, "source", from);
	for (char *rest = text; rest && *rest;)
		json_append_str(d, list, str_next(&rest, ','));
	json_append(d, mounts, m);
	return m;
}

/* Missing mount points of this container below a host directory, made in `skeleton`. */
static int make_skeleton(
	const struct json *mounts, const char *top, const char *skeleton, bool *ret_any, struct err *e)
{
	size_t n = strlen(top);

	*ret_any = false;
	JSON_EACH (it, mounts) {
		const char *to = json_str_or(json_get(it.val, "destination"), "");
		const char *from = json_str_or(json_get(it.val, "source"), "");
		CLEANUP(mem_freep) char *made = NULL;
		struct stat st;

		if (strncmp(to, top, n) != 0 || to[n] != '/' || file_exists(to))
			continue;
		made = str_printf("%s%s", skeleton, to + n);
		*ret_any = true;
		if (stat(from, &st) == 0 && !S_ISDIR(st.st_mode)) {
			char *slash = strrchr(made, '/');

			*slash = 0;
			if (file_mkdirs(made, 0755, e) < 0)
				return -1;
			*slash = '/';
			if (file_write(made, "", 0, 0644, e) < 0)
				return -1;
		} else if (file_mkdirs(made, 0755, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int mount_host_dir(struct bundle *b, const char *top, struct json *front, struct err *e)
{
	CLEANUP(mem_freep) char *skeleton = str_printf("%s/skel%s", b->c->dir, top);
	CLEANUP(mem_freep) char *in_root = str_printf("%s%s", b->rootfs, top);
	CLEANUP(mem_freep) char *options = NULL;
	char link[256];
	ssize_t n = readlink(top, link, sizeof(link) - 1);
	bool missing;

	if (n > 0) {
		link[n] = 0;
		if (symlink(link, in_root) < 0 && errno != EEXIST)
			return err_sys(e, "linking %s", in_root);
		return 0;
	}
	if (!file_exists(top))
		return 0;
	if (file_mkdirs(in_root, 0755, e) < 0 || make_skeleton(b->mounts, top, skeleton, &missing, e) < 0)
		return -1;
	if (!missing) {
		add_mount(b->d, front, top, "bind", top, "rbind,ro,rprivate");
		return 0;
	}
	options = str_printf("ro,lowerdir=%s:%s", skeleton, top);
	add_mount(b->d, front, top, "overlay", "overlay", options);
	return 0;
}

static int own_root(struct bundle *b, struct err *e)
{
	struct json *front = json_new_arr(b->d);
	CLEANUP(mem_freep) char *var_run = str_printf("%s/var/run", b->rootfs);

	for (size_t i = 0; empty_dirs[i]; i++) {
		CLEANUP(mem_freep) char *dir = file_join(b->rootfs, empty_dirs[i]);

		if (file_mkdirs(dir, 0755, e) < 0)
			return -1;
		if (str_ends(dir, "tmp") && chmod(dir, 01777) < 0)
			return err_sys(e, "mode of %s", dir);
	}
	if (symlink("../run", var_run) < 0 && errno != EEXIST)
		return err_sys(e, "linking %s", var_run);
	add_mount(b->d, b->mounts, "/usr/libexec/coracle", "bind", b->c->image->bin_dir, "bind,ro,rprivate");
	for (size_t i = 0; host_dirs[i]; i++)
		if (mount_host_dir(b, host_dirs[i], front, e) < 0)
			return -1;
	/* The host's directories come first: everything else is mounted over them. */
	JSON_EACH (it, b->mounts)
		json_append(b->d, front, json_copy(b->d, it.val));
	b->mounts = front;
	return 0;
}

static int oci_root(struct bundle *b, struct err *e)
{
	CLEANUP(mem_freep) char *upper = file_join(b->c->dir, "upper");
	CLEANUP(mem_freep) char *work = file_join(b->c->dir, "work");
	CLEANUP(mem_freep)
	char *options = str_printf("lowerdir=%s,upperdir=%s,workdir=%s", b->c->image->rootfs, upper, work);

	if (file_mkdirs(upper, 0755, e) < 0 || file_mkdirs(work, 0755, e) < 0)
		return -1;
	if (mount("overlay", b->rootfs, "overlay", 0, options) < 0)
		return err_sys(e, "mounting the image's files at %s", b->rootfs);
	return 0;
}

void bundle_remove(const char *ctr_dir)
{
	static const char *const parts[] = { "rootfs", "upper", "work", "skel", NULL };

	for (size_t i = 0; parts[i]; i++) {
		CLEANUP(mem_freep) char *path = file_join(ctr_dir, parts[i]);
		struct err e = { 0 };

		if (i == 0)
			umount2(path, MNT_DETACH);
		if (file_remove_tree(path, &e) < 0)
			log_warn("%s", e.msg);
	}
}

static void system_mounts(struct bundle *b)
{
	struct json *m = b->mounts;

	add_mount(b->d, m, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	if (b->privileged) {
		add_mount(b->d, m, "/dev", "bind", "/dev", "rbind,rslave");
		add_mount(b->d, m, "/sys", "bind", "/sys", "rbind,rslave");
	} else {
		add_mount(b->d, m, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
		add_mount(b->d, m, "/dev/pts", "devpts", "devpts",
			"nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
		add_mount(b->d, m, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
		add_mount(b->d, m, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
		add_mount(b->d, m, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	}
}

/* subPath within a volume, without following links out of it. Directories are made. */
static char *sub_path(const struct vol *v, const char *sub, struct err *e)
{
	CLEANUP(mem_freep) char *full = file_join(v->path, sub);
	CLEANUP(mem_freep) char *real = NULL;
	CLEANUP(mem_freep) char *top = NULL;
	size_t n;

	if (!v->mem && !v->image && !file_exists(full) && !strstr(sub, "..") &&
		file_mkdirs(full, 0755, e) < 0)
		return NULL;
	top = realpath(v->path, NULL);
	real = realpath(full, NULL);
	n = top ? strlen(top) : 0;
	if (!top || !real || strncmp(real, top, n) != 0 || (real[n] && real[n] != '/')) {
		err_set(e, ERR_INVALID, "subPath \"%s\" of volume \"%s\" does not exist or leads out of it",
			sub, v->name);
		return NULL;
	}
	return TAKE(real);
}

static int volume_mount(struct bundle *b, const struct json *vm, struct err *e)
{
	const char *name = json_str_or(json_get(vm, "name"), ""),
		   *to = json_str_or(json_get(vm, "mountPath"), "");
	const char *propagation = json_get_str(vm, "mountPropagation"),
		   *expr = json_get_str(vm, "subPathExpr");
	const struct vol *v = volume_get(b->c->pod, name);
	CLEANUP(mem_freep)
	char *sub = expr ? env_expand(expr, &b->env) : mem_strdup(json_str_or(json_get(vm, "subPath"), ""));
	CLEANUP(mem_freep) char *from = NULL;
	CLEANUP(mem_freep) char *options = NULL;

	if (!v || !v->path)
		return err_set(e, ERR_NOT_FOUND, "volumeMounts: volume \"%s\" not found", name);
	if (v->block)
		return err_set(e, ERR_INVALID,
			"volume \"%s\" has volumeMode Block, but is specified in volumeMounts", name);
	if (*to != '/')
		return err_set(e, ERR_INVALID, "mountPath \"%s\" is not absolute", to);
	from = *sub ? sub_path(v, sub, e) : mem_strdup(v->path);
	if (!from)
		return -1;
	options = str_printf("rbind,%s,%s", json_bool(json_get(vm, "readOnly")) || v->read_only ? "ro" : "rw",
		str_eq(propagation, "Bidirectional")     ? "rshared"
		: str_eq(propagation, "HostToContainer") ? "rslave"
							 : "rprivate");
	add_mount(b->d, b->mounts, to, "bind", from, options);
	return 0;
}

/* Names for the pod's own address; mounted only where the root has such a file or is writable. */
static int etc_files(struct bundle *b, struct err *e)
{
	const struct pod *p = b->c->pod;
	const char *host = json_str_or(json_get(pod_spec(p), "hostname"), obj_name(p->obj));
	CLEANUP(mem_freep) char *hosts = file_join(p->dir, "hosts");
	CLEANUP(mem_freep) char *hostname = file_join(p->dir, "hostname");
	CLEANUP(str_done) struct str text = { 0 };

	if (pod_host_network(p))
		return 0;
	str_addf(&text,
		"# made by coracle\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
		"ip6-loopback\n%s\t%s\n",
		pod_ip(p), host);
	JSON_EACH (it, json_get(pod_spec(p), "hostAliases")) {
		str_addf(&text, "%s", json_str_or(json_get(it.val, "ip"), ""));
		JSON_EACH (name, json_get(it.val, "hostnames"))
			str_addf(&text, "\t%s", json_str_or(name.val, ""));
		str_addc(&text, '\n');
	}
	if (file_write(hosts, text.data, text.len, 0644, e) < 0)
		return -1;
	str_clear(&text);
	str_addf(&text, "%s\n", host);
	if (file_write(hostname, text.data, text.len, 0644, e) < 0)
		return -1;
	if (!b->c->image->own || file_exists("/etc/hosts"))
		add_mount(b->d, b->mounts, "/etc/hosts", "bind", hosts, "bind,ro,rprivate");
	if (!b->c->image->own || file_exists("/etc/hostname"))
		add_mount(b->d, b->mounts, "/etc/hostname", "bind", hostname, "bind,ro,rprivate");
	if (!b->c->image->own && file_exists("/etc/resolv.conf"))
		add_mount(
			b->d, b->mounts, "/etc/resolv.conf", "bind", "/etc/resolv.conf", "bind,ro,rprivate");
	return 0;
}

static int fill_mounts(struct bundle *b, const struct json *spec, struct err *e)
{
	const char *log = json_str_or(json_get(spec, "terminationMessagePath"), "/dev/termination-log");

	system_mounts(b);
	if (etc_files(b, e) < 0)
		return -1;
	if (!b->privileged || !str_starts(log, "/dev/")) {
		CLEANUP(mem_freep) char *file = file_join(b->c->dir, "termination-log");

		if (file_write(file, "", 0, 0666, e) < 0 || chmod(file, 0666) < 0)
			return -1;
		add_mount(b->d, b->mounts, log, "bind", file, "bind,rw,rprivate");
	}
	JSON_EACH (it, json_get(spec, "volumeMounts"))
		if (volume_mount(b, it.val, e) < 0)
			return -1;
	return 0;
}

int bundle_write(struct ctr *c, struct err *e)
{
	const struct json *spec = ctr_spec(c);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(mem_freep) char *rootfs = file_join(c->dir, "rootfs");
	CLEANUP(mem_freep) char *path = file_join(c->dir, "config.json");
	CLEANUP(mem_freep) char *text = NULL;
	struct bundle b = { .c = c, .spec = spec, .d = d, .root = json_new_obj(d), .rootfs = rootfs };
	size_t len;
	int r = -1;

	if (!spec)
		return err_set(e, ERR_NOT_FOUND, "container %s is not in the pod's spec", c->name);
	json_set_root(d, b.root);
	b.mounts = json_new_arr(d);
	b.privileged = json_bool(json_at(spec, "/securityContext/privileged"));
	if (env_build(c, spec, &b.env, e) == 0 && file_mkdirs(rootfs, 0755, e) == 0 &&
		fill_mounts(&b, spec, e) == 0 && (c->image->own ? own_root(&b, e) : oci_root(&b, e)) == 0 &&
		bundle_process(&b, e) == 0 && bundle_linux(&b, e) == 0) {
		json_set_str(d, b.root, "ociVersion", "1.0.2");
		json_set(d, b.root, "mounts", b.mounts);
		json_put_str(d, b.root, "/root/path", "rootfs");
		json_put(d, b.root, "/root/readonly",
			json_new_bool(
				d, json_bool(json_at(spec, "/securityContext/readOnlyRootFilesystem"))));
		text = json_write(b.root, &len);
		r = file_write(path, text, len, 0600, e);
	}
	strv_done(&b.env);
	if (r == 0) {
		json_doc_free(c->resources);
		c->resources = resources_of(spec);
		resources_save(c);
	}
	return r;
}
