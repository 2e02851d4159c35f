/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/agent.h"

#include "platform/agent/impl.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#define IP_FILE_MAX 64
#define IMAGES_KEEP_MS (10 * 60 * 1000)
#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

static struct pod *find(struct agent *a, const char *uid)
{
	return keymap_get(&a->by_uid, uid);
}

static struct pod *add(struct agent *a, const struct obj *o)
{
	struct pod *p = pod_new(a, o);

	keymap_put(&a->by_uid, p->uid, p);
	return p;
}

void agent_forget(struct agent *a, struct pod *p)
{
	struct err e = { 0 };

	keymap_take(&a->by_uid, p->uid);
	if (file_remove_tree(p->dir, &e) < 0 || file_remove_tree(p->log_dir, &e) < 0)
		log_warn("remains of %s: %s", p->key, e.msg);
	pod_free(p);
	loop_timer_set(a->images_gc, IMAGES_KEEP_MS);
	/* Somebody may have waited for the room */
	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *other = a->by_uid.items[i].val;

		if (other->resize_state == RESIZE_DEFERRED)
			pod_kick(other);
	}
}

/* Unpacked images that no pod has had for a while go. */
static void collect_images(void *arg)
{
	struct agent *a = arg;
	struct strv used = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < a->by_uid.len; i++) {
		const struct pod *p = a->by_uid.items[i].val;

		for (size_t j = 0; j < p->n_ctrs; j++) {
			/* What an earlier agent started: which image that was is not known here. */
			if (ctr_active(p->ctrs[j]) && !p->ctrs[j]->image) {
				strv_done(&used);
				return;
			}
			if (p->ctrs[j]->image)
				strv_add(&used, p->ctrs[j]->image->id);
		}
		for (size_t j = 0; j < p->n_vols; j++)
			if (p->vols[j].image)
				strv_add(&used, p->vols[j].image->id);
	}
	if (images_collect(a->images, (const char *const *)strv_argv(&used), &e) < 0)
		log_warn("collecting images: %s", e.msg);
	strv_done(&used);
}

/* ---- what is left of an earlier run ---- */
static bool is_mounted(const char *path, unsigned long magic)
{
	struct statfs st;

	return statfs(path, &st) == 0 && (unsigned long)st.f_type == magic;
}

static void find_again(struct agent *a, const char *uid)
{
	CLEANUP(mem_freep) char *dir = str_printf("%s/pods/%s", a->dir, uid);
	CLEANUP(mem_freep) char *json = file_join(dir, "pod.json");
	CLEANUP(mem_freep) char *ip_file = file_join(dir, "ip");
	CLEANUP(mem_freep) char *ns = file_join(dir, "netns");
	CLEANUP(mem_freep) char *mem = file_join(dir, "mem");
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(mem_freep) char *ip = NULL;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	struct err e = { 0 };
	struct pod *p;
	size_t len;

	if (file_read(json, POD_JSON_MAX, &text, &len, &e) < 0 || !(o = obj_from_text(text, len, &e)) ||
		!str_eq(obj_uid(o), uid)) {
		log_warn("%s is no pod's directory (%s): removed", dir, e.msg);
		file_remove_tree(dir, NULL);
		return;
	}
	p = add(a, o);
	p->dir_made = true;
	p->finished = false;
	p->mem_mounted = is_mounted(mem, TMPFS_MAGIC);
	if (file_read(ip_file, IP_FILE_MAX, &ip, NULL, NULL) == 0) {
		net_take(a->net, uid, ip);
		str_copy(p->ip, sizeof(p->ip), ip);
		p->net_ready = is_mounted(ns, NSFS_MAGIC);
	}
	for (size_t i = 0; i < p->n_ctrs; i++)
		ctr_reattach(p->ctrs[i]);
}

static int find_all_again(struct agent *a, struct err *e)
{
	CLEANUP(mem_freep) char *dir = file_join(a->dir, "pods");
	struct strv names = { 0 };

	if (file_mkdirs(dir, 0700, e) < 0 || file_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.len; i++)
		find_again(a, names.items[i]);
	if (names.len)
		log_info("%zu pods found on this host", a->by_uid.len);
	strv_done(&names);
	return 0;
}

/* ---- watches ---- */
static bool is_over(const struct obj *o)
{
	const char *phase = json_at_str(obj_json(o), "/status/phase");

	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static void pod_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct agent *a = arg;
	struct pod *p = find(a, obj_uid(new ? new : old));

	if (!new) {
		if (p) {
			p->gone = true;
			pod_kick(p);
		}
		return;
	}
	if (!p && is_over(new) && !obj_deleting(new))
		return; /* nothing to do for it here */
	if (!p)
		p = add(a, new);
	pod_set_obj(p, new);
	p->finished |= is_over(new);
	pod_kick(p);
}

static void pods_synced(void *arg)
{
	struct agent *a = arg;

	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *p = a->by_uid.items[i].val;
		const struct obj *o = cache_get(a->pods, p->key);

		if (!o || !str_eq(obj_uid(o), p->uid))
			p->gone = true;
		pod_kick(p);
	}
}

/* A pod that waits for this object, or shows it in a volume, looks again. */
static void content_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct agent *a = arg;
	const char *ns = obj_namespace(new ? new : old);

	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *p = a->by_uid.items[i].val;

		if ((!str_empty(ns) && !str_eq(obj_namespace(p->obj), ns)) || p->finished)
			continue;
		p->mount_retry = 0;
		for (size_t j = 0; j < p->n_ctrs; j++)
			if (p->ctrs[j]->config_error)
				p->ctrs[j]->config_retry = 0;
		pod_kick(p);
	}
}

static void content_synced(void *arg)
{
	struct agent *a = arg;

	if (--a->unsynced == 0)
		cache_start(a->pods);
}

static struct cache *content(struct agent *a, const struct kind *k, cache_fn *fn)
{
	struct cache *c = cache_new(a->client, k, NULL);

	if (fn)
		cache_on_change(c, fn, a);
	cache_on_synced(c, content_synced, a);
	a->unsynced++;
	return c;
}

static void start_watches(struct agent *a)
{
	CLEANUP(mem_freep) char *on_node = str_printf("spec.nodeName=%s", a->node_name);
	CLEANUP(mem_freep) char *me = str_printf("metadata.name=%s", a->node_name);

	a->configmaps = content(a, &pk_configmap, content_changed);
	a->secrets = content(a, &pk_secret, content_changed);
	a->pvcs = content(a, &pk_pvc, content_changed);
	a->pvs = content(a, &pk_pv, content_changed);
	a->nodes = cache_new(a->client, &pk_node, &(struct cache_opts){ .field_selector = me });
	a->pods = cache_new(a->client, &pk_pod, &(struct cache_opts){ .field_selector = on_node });
	cache_on_change(a->pods, pod_changed, a);
	cache_on_synced(a->pods, pods_synced, a);
	a->node_reg = node_reg_new(a);
	cache_start(a->configmaps);
	cache_start(a->secrets);
	cache_start(a->pvcs);
	cache_start(a->pvs);
	cache_start(a->nodes);
}

/* ---- the shims' status files ---- */
static struct ctr *by_watch(struct agent *a, int wd)
{
	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *p = a->by_uid.items[i].val;

		for (size_t j = 0; j < p->n_ctrs; j++)
			if (p->ctrs[j]->watch == wd)
				return p->ctrs[j];
	}
	return NULL;
}

static void on_inotify(void *arg, int what)
{
	struct agent *a = arg;
	char buf[16384] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(a->inotify, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const void *)(buf + at);
			struct ctr *c = ev->len && str_eq(ev->name, "status") ? by_watch(a, ev->wd) : NULL;

			if (c)
				ctr_status_changed(c);
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
}

/* ---- start and stop ---- */
static char *beside_us(const char *program)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	return str_printf("%s/%s", exe, program);
}

static char *host_name(void)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
		return mem_strdup("localhost");
	return str_lower(name);
}

struct agent *agent_start(struct loop *l, struct kube_client *c, const struct agent_spec *spec, struct err *e)
{
	struct agent *a = MEM_NEW(struct agent);

	a->loop = l;
	a->client = c;
	a->net = spec->net;
	a->dir = mem_strdup(spec->data_dir);
	a->node_name = spec->node_name ? mem_strdup(spec->node_name) : host_name();
	a->shim = spec->shim ? mem_strdup(spec->shim) : beside_us("coracle-shim");
	a->api_host = mem_strdup(spec->api_host);
	a->api_port = spec->api_port;
	a->inotify = -1;
	if (access(a->shim, X_OK) < 0) {
		err_sys(e, "%s", a->shim);
		goto fail;
	}
	if (runtime_find(&a->runtime, a->dir, e) < 0)
		goto fail;
	a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->inotify < 0) {
		err_sys(e, "inotify");
		goto fail;
	}
	a->inotify_fd = loop_fd_new(l, a->inotify, LOOP_READ, on_inotify, a);
	a->cgroups = cgroups_new();
	a->images = images_new(l, a->dir);
	a->images_gc = loop_timer_new(l, collect_images, a);
	a->events = events_new(c, "kubelet", a->node_name);
	if (find_all_again(a, e) < 0)
		goto fail;
	start_watches(a);
	return a;
fail:
	agent_stop(a);
	return NULL;
}

void agent_stop(struct agent *a)
{
	if (!a)
		return;
	node_reg_free(a->node_reg);
	logs_end_all(a);
	served_stop_all(a);
	for (size_t i = 0; i < a->by_uid.len; i++)
		pod_free(a->by_uid.items[i].val);
	keymap_done(&a->by_uid, NULL);
	cache_free(a->pods);
	cache_free(a->nodes);
	cache_free(a->configmaps);
	cache_free(a->secrets);
	cache_free(a->pvcs);
	cache_free(a->pvs);
	events_free(a->events);
	images_free(a->images);
	cgroups_free(a->cgroups);
	loop_fd_free(a->inotify_fd);
	loop_timer_free(a->images_gc);
	fd_closep(&a->inotify);
	runtime_done(&a->runtime);
	free(a->dir);
	free(a->node_name);
	free(a->shim);
	free(a->api_host);
	free(a->stopping);
	free(a);
}

const char *agent_node_name(const struct agent *a)
{
	return a->node_name;
}

size_t agent_pods(const struct agent *a)
{
	return a->by_uid.len;
}
