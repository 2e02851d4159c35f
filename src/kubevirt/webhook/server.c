/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/webhook/server.h"

#include <string.h>

#include "api/status.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server_impl.h"

#define REVIEW_BODY_MAX (2 * OBJ_BYTES_MAX + 1024 * 1024) /* a review holds the old and the new object */
#define RELOAD_DELAY_MS 20 /* several objects change together when certificates are rotated */

void reply_json(struct http_req *r, int status, const struct json *v)
{
	size_t len;
	CLEANUP(mem_freep) char *text = json_write(v, &len);
	http_req_reply(r, status, "application/json", text, len);
}

void reply_err(struct http_req *r, const struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(e, NULL, NULL, NULL);
	reply_json(r, err_http(e->code), json_root(d));
}

static void serve(void *arg, struct http_req *r)
{
	struct virt_api *a = arg;
	const char *path = http_req_path(r);
	const struct hook *h = hook_find(path);
	struct err e;

	if (h && str_eq(http_req_method(r), "POST"))
		hooks_serve(a, h, r);
	else if (discovery_serve(a, r))
		return;
	else if (str_starts(path, SUBRESOURCES_PREFIX))
		verbs_serve(a, r);
	else {
		err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
		reply_err(r, &e);
	}
}

static void listen_when_ready(struct virt_api *a)
{
	const struct http_server_spec spec = {
		.tls = a->server_tls, .handler = serve, .arg = a, .body_max = REVIEW_BODY_MAX
	};
	struct err e;
	int port = 0;

	/* Whom to believe has to be known too: connections keep what was asked of them in their handshake. */
	if (a->listening || !a->server_tls || !cache_synced(a->kubevirts) || !cache_synced(a->authentication))
		return;
	a->listening = true;
	a->http = http_server_new(a->spec.loop, &spec);
	if (http_server_listen(a->http, a->spec.host ? a->spec.host : "0.0.0.0", a->spec.port, &port, &e) < 0)
		a->spec.ready(a->spec.arg, 0, &e);
	else
		a->spec.ready(a->spec.arg, port, NULL);
}

static void reload_config(struct virt_api *a)
{
	const struct obj *cr = cache_at(a->kubevirts, 0);

	if (cr == a->kubevirt && a->config.default_arch)
		return;
	obj_unref(a->kubevirt);
	json_doc_free(a->config_of);
	a->kubevirt = cr ? obj_ref(cr) : NULL;
	a->config_of = cr ? obj_draft(cr) : NULL;
	kv_config_from(json_root(a->config_of), &a->config);
}

static void reload(void *arg)
{
	struct virt_api *a = arg;

	trust_reload(a);
	listen_when_ready(a);
}

static void on_config(void *arg, const struct obj *old, const struct obj *new)
{
	reload_config(arg);
}

static void on_trust(void *arg, const struct obj *old, const struct obj *new)
{
	struct virt_api *a = arg;
	loop_timer_set(a->reload, RELOAD_DELAY_MS);
}

static void on_synced(void *arg)
{
	struct virt_api *a = arg;
	reload_config(a);
	loop_timer_set(a->reload, 0);
}

static void on_authentication(void *arg)
{
	struct virt_api *a = arg;
	loop_timer_set(a->reload, 0);
}

static struct cache *watch_one(struct virt_api *a, const struct kind *k, const char *ns, const char *name)
{
	CLEANUP(mem_freep) char *selector = str_printf("metadata.name=%s", name);
	const struct cache_opts opts = { .ns = ns, .field_selector = selector };
	struct cache *c = cache_new(a->spec.client, k, &opts);

	cache_on_change(c, on_trust, a);
	cache_start(c);
	return c;
}

struct virt_api *virt_api_new(const struct virt_api_spec *spec)
{
	struct virt_api *a = MEM_NEW(struct virt_api);

	a->spec = *spec;
	a->install_ns = mem_strdup(spec->install_ns);
	if (!a->spec.handler_port)
		a->spec.handler_port = KV_PORT_HANDLER;
	a->reload = loop_timer_new(spec->loop, reload, a);
	const struct cache_opts opts = { .ns = a->install_ns };
	a->kubevirts = cache_new(spec->client, &kind_kubevirt, &opts);
	cache_on_change(a->kubevirts, on_config, a);
	cache_on_synced(a->kubevirts, on_synced, a);
	cache_start(a->kubevirts);
	a->api_secret = watch_one(a, &kind_secret, a->install_ns, KV_SECRET_API);
	a->handler_secret = watch_one(a, &kind_secret, a->install_ns, KV_SECRET_HANDLER);
	a->kubevirt_ca = watch_one(a, &kind_configmap, a->install_ns, KV_CONFIGMAP_CA);
	a->authentication =
		watch_one(a, &kind_configmap, "kube-system", "extension-apiserver-authentication");
	cache_on_synced(a->authentication, on_authentication, a);
	return a;
}

void virt_api_free(struct virt_api *a)
{
	if (!a)
		return;
	bridges_end(a);
	http_server_free(a->http);
	loop_timer_free(a->reload);
	cache_free(a->kubevirts);
	cache_free(a->api_secret);
	cache_free(a->handler_secret);
	cache_free(a->kubevirt_ca);
	cache_free(a->authentication);
	trust_done(a);
	obj_unref(a->kubevirt);
	json_doc_free(a->config_of);
	free(a->install_ns);
	free(a);
}
