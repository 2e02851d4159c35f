/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of virt-handler, put together: two controllers, the links to launchers, two servers. */
#include "kubevirt/handler/handler.h"

#include <string.h>

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/config.h"
#include "kubevirt/handler/handler_impl.h"

#define KEY_UIDS_MAX 16 /* incarnations of one VMI name seen at a time */

/* ---- guests: look ---- */
const struct obj *handler_vmi(const struct handler *h, const char *key)
{
	return cache_get(h->vmis, key);
}

static void index_by_owner_key(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	key_owner(NULL, o, emit, emit_arg);
}

/* The launcher pod of that VMI; of several the one that has not ended. */
static const struct obj *pod_of(const struct handler *h, const char *key, const char *uid)
{
	const struct obj *o, *found = NULL;

	for (size_t i = 0; (o = cache_index_at(h->pods, 0, key, i)); i++) {
		const char *phase = json_str_or(json_at(obj_json(o), "/status/phase"), "");

		if (!str_eq(meta_label(obj_json(o), LABEL_CREATED_BY), uid))
			continue;
		if (!found || (!str_eq(phase, "Failed") && !str_eq(phase, "Succeeded")))
			found = o;
	}
	return found;
}

static const struct obj *cluster_config(const struct handler *h)
{
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(h->kubevirts, i)); i++)
		if (str_eq(obj_namespace(o), h->spec.ns))
			return o;
	return NULL;
}

static void add_uid(const char **uids, size_t *n, const char *uid)
{
	if (str_empty(uid))
		return;
	for (size_t i = 0; i < *n; i++)
		if (str_eq(uids[i], uid))
			return;
	if (*n < KEY_UIDS_MAX)
		uids[(*n)++] = uid;
}

/* A name may stand for several instances: the present one, and those whose pods or launchers are still
 * there. */
static void guests_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct handler *h = look_env(l);
	const struct obj *vmi = look_get(l, &kind_vmi, key), *o, *cr = cluster_config(h);
	const char *uids[KEY_UIDS_MAX], *uid;
	struct kv_config config;
	size_t n = 0;

	if (vmi)
		add_uid(uids, &n, obj_uid(vmi));
	for (size_t i = 0; (o = cache_index_at(h->pods, 0, key, i)); i++)
		add_uid(uids, &n, meta_label(obj_json(o), LABEL_CREATED_BY));
	for (size_t i = 0; (uid = links_of(h->links, key, i)); i++)
		add_uid(uids, &n, uid);
	kv_config_from(cr ? obj_json(cr) : NULL, &config);
	for (size_t i = 0; i < n; i++) {
		const struct guest_view v = { .key = key,
			.uid = uids[i],
			.node = h->spec.node,
			.vmi = vmi && str_eq(obj_uid(vmi), uids[i]) ? vmi : NULL,
			.pod = pod_of(h, key, uids[i]),
			.facts = links_facts(h->links, uids[i]),
			.config = &config,
			.now = look_now(l) };

		guest_decide(&v, out);
	}
}

/* ---- guests: act ---- */
static void guests_action(
	void *env, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct handler *h = env;
	const struct json *args = json_root(i->doc);
	const char *uid = json_get_str(args, "uid");
	struct err e = { 0 };

	if (str_eq(i->action, GUEST_START)) {
		start_guest(h, i->key, args, done, done_arg);
		return;
	}
	if (str_eq(i->action, GUEST_ATTACH))
		links_attach(h->links, uid, i->key, &e);
	else if (str_eq(i->action, GUEST_FORGET))
		links_forget(h->links, uid);
	else if (str_eq(i->action, GUEST_DETACH))
		links_detach(h->links, uid);
	else if (str_eq(i->action, GUEST_SET_MEMORY))
		links_set_memory(
			h->links, uid, json_i64(json_get(args, "bytes")), json_i64(json_get(args, "max")));
	else if (str_eq(i->action, GUEST_MEMORY_SEEN))
		links_memory_seen(h->links, uid);
	else if (str_eq(i->action, GUEST_PLUG_DISK))
		links_tell(h->links, uid, WIRE_plug_disk, json_get(args, "args"));
	else if (str_eq(i->action, GUEST_UNPLUG_DISK))
		links_tell(h->links, uid, WIRE_unplug_disk, json_get(args, "args"));
	else if (str_eq(i->action, GUEST_SET_CPUS))
		links_set_cpus(h->links, uid, json_i64(json_get(args, "sockets")),
			json_bool(json_get(args, "remove")));
	else if (str_eq(i->action, GUEST_CPUS_SEEN))
		links_cpus_seen(h->links, uid);
	else if (str_eq(i->action, GUEST_PLUG_NIC))
		links_plug_nic(h->links, uid, args);
	else if (str_eq(i->action, GUEST_UNPLUG_NIC))
		links_unplug_nic(h->links, uid, args);
	else if (str_eq(i->action, GUEST_SET_LINK))
		links_set_link(h->links, uid, args);
	else if (str_eq(i->action, GUEST_NIC_SEEN))
		links_nic_seen(h->links, uid);
	else if (str_eq(i->action, GUEST_SHUTDOWN))
		links_shutdown(h->links, uid, json_i64(json_get(args, "graceSeconds")));
	else if (str_eq(i->action, GUEST_KILL))
		links_kill(h->links, uid);
	else if (str_eq(i->action, GUEST_RELEASE))
		links_release(h->links, uid);
	else
		MUST(!"an action of guest.h");
	done(done_arg, e.code ? &e : NULL);
}

static void on_link(void *arg, const char *key)
{
	struct handler *h = arg;

	controllers_kick(h->controllers, h->guests.name, key);
}

/* ---- the node ---- */
static void nodes_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct handler *h = look_env(l);
	const struct node_view v = { .node = look_get(l, &kind_node, key),
		.facts = &h->node,
		.now = look_now(l),
		.random = look_random(l) };

	if (str_eq(key, h->spec.node))
		node_decide(&v, out);
}

/* ---- what VMs left behind while nobody looked ---- */
static bool still_wanted(void *arg, const char *uid)
{
	const struct handler *h = arg;
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(h->vmis, i)); i++)
		if (str_eq(obj_uid(o), uid))
			return true;
	for (size_t i = 0; (o = cache_at(h->pods, i)); i++)
		if (str_eq(meta_label(obj_json(o), LABEL_CREATED_BY), uid))
			return true;
	return false;
}

static void on_synced(void *arg)
{
	struct handler *h = arg;

	if (cache_synced(h->vmis) && cache_synced(h->pods))
		links_sweep(h->links, still_wanted, h);
}

/* ---- servers ---- */
static void told(struct handler *h, const char *which, int port, const struct err *e)
{
	if (e)
		log_error("%s: %s", which, e->msg);
	else
		log_info("%s on port %d", which, port);
	if (h->spec.listening)
		h->spec.listening(h->spec.arg, which, port, e);
}

static void on_health(void *arg, int port, const struct err *e)
{
	told(arg, "health", port, e);
}

static void on_cert(void *arg, struct tls_ctx *tls)
{
	struct handler *h = arg;
	const struct http_server_spec spec = { .tls = tls, .handler = rest_serve, .arg = h };
	struct err e;
	int port = 0;

	if (h->http) {
		http_server_set_tls(h->http, tls);
		return;
	}
	h->http = http_server_new(h->spec.loop, &spec);
	if (http_server_listen(h->http, h->spec.host ? h->spec.host : "0.0.0.0", h->spec.port, &port, &e) < 0)
		told(h, "console", 0, &e);
	else
		told(h, "console", port, NULL);
}

static void serve(struct handler *h)
{
	const struct cert_watch_spec certs = { .client = h->spec.client,
		.ns = h->spec.ns,
		.secret = KV_SECRET_HANDLER_SERVER,
		.client_ca = true,
		.changed = on_cert,
		.arg = h };
	const struct health_spec health = { .loop = h->spec.loop,
		.client = h->spec.client,
		.ns = h->spec.ns,
		.secret = KV_SECRET_HANDLER_SERVER,
		.host = h->spec.host,
		.port = h->spec.health_port,
		.kubevirts = h->kubevirts,
		.scrape = scrape_serve,
		.listening = on_health,
		.arg = h };

	h->certs = cert_watch_new(&certs);
	h->health = health_new(&health);
}

/* ---- assembly ---- */
static void make_controllers(struct handler *h)
{
	h->vmi_selector = str_printf(LABEL_NODE_NAME "=%s", h->spec.node);
	h->pod_selector = str_printf("spec.nodeName=%s", h->spec.node);
	h->node_selector = str_printf("metadata.name=%s", h->spec.node);
	h->guests = (struct controller){ .name = "guests",
		.decide = guests_decide,
		.action = guests_action,
		.watches = { { .kind = &kind_vmi, .keys = key_self, .label_selector = h->vmi_selector },
			{ .kind = &kind_pod,
				.keys = key_owner,
				.index = index_by_owner_key,
				.label_selector = LABEL_APP "=" KV_VIRT_LAUNCHER,
				.field_selector = h->pod_selector },
			{ .kind = &kind_kubevirt } } };
	h->nodes = (struct controller){ .name = "node",
		.decide = nodes_decide,
		.watches = { { .kind = &kind_node, .keys = key_self, .field_selector = h->node_selector } } };
	h->controllers = controllers_new(h->spec.client, KV_VIRT_HANDLER);
	controllers_set_host(h->controllers, h->spec.node);
	controllers_add(h->controllers, &h->guests, h);
	controllers_add(h->controllers, &h->nodes, h);
	h->vmis = controllers_watch_cache(h->controllers, &h->guests.watches[0]);
	h->pods = controllers_watch_cache(h->controllers, &h->guests.watches[1]);
	h->kubevirts = controllers_watch_cache(h->controllers, &h->guests.watches[2]);
	cache_on_synced(h->vmis, on_synced, h);
	cache_on_synced(h->pods, on_synced, h);
}

int handler_new(const struct handler_spec *spec, struct handler **ret, struct err *e)
{
	struct handler *h = MEM_NEW(struct handler);
	const struct links_spec links = { .loop = spec->loop,
		.host_dir = spec->host_dir,
		.uid = spec->launcher_uid,
		.changed = on_link,
		.arg = h };

	h->spec = *spec;
	if (links_new(&links, &h->links, e) < 0) {
		free(h);
		return -1;
	}
	make_controllers(h);
	probe_start(h);
	serve(h);
	controllers_start(h->controllers);
	*ret = h;
	return 0;
}

void handler_free(struct handler *h)
{
	if (!h)
		return;
	http_server_free(h->http);
	health_free(h->health);
	cert_watch_free(h->certs);
	probe_free(h);
	start_jobs_free(h);
	kube_call_cancel(h->stop_call);
	loop_timer_free(h->stop_timer);
	links_free(h->links);
	controllers_free(h->controllers);
	free(h->vmi_selector);
	free(h->pod_selector);
	free(h->node_selector);
	free(h);
}

/* ---- the end ---- */
static void stop_over(void *arg)
{
	struct handler *h = arg;
	loop_fn *fn = h->stopped;

	loop_timer_stop(h->stop_timer);
	h->stopped = NULL;
	if (fn)
		fn(h->stopped_arg);
}

static void stop_done(void *arg, const struct obj *o, const struct err *e)
{
	struct handler *h = arg;

	h->stop_call = NULL;
	if (e)
		log_warn("the node could not be marked: %s", e->msg);
	stop_over(h);
}

void handler_stop(struct handler *h, loop_fn *done, void *arg)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'metadata':{'labels':{'" LABEL_SCHEDULABLE "':'false'}}}");

	if (h->stopped)
		return;
	h->node.stopping = true;
	h->stopped = done;
	h->stopped_arg = arg;
	h->stop_timer = loop_timer_new(h->spec.loop, stop_over, h);
	loop_timer_set(h->stop_timer, HANDLER_STOP_MS);
	h->stop_call = kube_patch(h->spec.client, &kind_node, NULL, h->spec.node, NULL, KUBE_PATCH_MERGE,
		json_root(d), stop_done, h);
}
