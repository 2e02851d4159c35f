/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/health/certs.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/cache.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#define RELOAD_DELAY_MS 20 /* Secret and bundle change together when certificates are rotated */

struct cert_watch {
	struct cert_watch_spec spec;
	char *secret_name;
	struct cache *secret, *ca; /* ca NULL: not wanted */
	struct loop_timer *reload;
	struct tls_ctx *tls;
	char *seen; /* what tls was made of */
};

static const struct json *data_of(const struct cache *c)
{
	const struct obj *o = c ? cache_at(c, 0) : NULL;

	return o ? json_get(obj_json(o), "data") : NULL;
}

static char *secret_text(const struct json *data, const char *key)
{
	const char *b64 = json_get_str(data, key);
	struct str out = { 0 };

	if (!b64 || b64_decode(b64, strlen(b64), false, &out, NULL) < 0) {
		str_done(&out);
		return NULL;
	}
	return str_take(&out);
}

static void reload(void *arg)
{
	struct cert_watch *w = arg;
	CLEANUP(mem_freep) char *cert = secret_text(data_of(w->secret), "tls.crt");
	CLEANUP(mem_freep) char *key = secret_text(data_of(w->secret), "tls.key"), *all = NULL;
	const char *ca = w->ca ? json_get_str(data_of(w->ca), KV_CA_BUNDLE_KEY) : NULL;
	const struct tls_server_spec spec = { .cert_pem = cert, .key_pem = key, .client_ca_pem = ca };
	struct tls_ctx *tls;
	struct err e;

	if (!cert || !key || (w->ca && str_empty(ca)))
		return;
	all = str_printf("%s%s%s", cert, key, ca ? ca : "");
	if (str_eq(all, w->seen))
		return;
	tls = tls_server_new(&spec, &e);
	if (!tls) {
		log_error("the certificate in Secret %s can not be used: %s", w->secret_name, e.msg);
		return;
	}
	tls_unref(w->tls);
	w->tls = tls;
	free(w->seen);
	w->seen = TAKE(all);
	w->spec.changed(w->spec.arg, tls);
}

static void on_change(void *arg, const struct obj *old, const struct obj *new)
{
	struct cert_watch *w = arg;

	loop_timer_set(w->reload, RELOAD_DELAY_MS);
}

static struct cache *follow(struct cert_watch *w, const struct kind *k, const char *name)
{
	CLEANUP(mem_freep) char *fields = str_printf("metadata.name=%s", name);
	const struct cache_opts opts = { .ns = w->spec.ns, .field_selector = fields };
	struct cache *c = cache_new(w->spec.client, k, &opts);

	cache_on_change(c, on_change, w);
	cache_start(c);
	return c;
}

struct cert_watch *cert_watch_new(const struct cert_watch_spec *spec)
{
	struct cert_watch *w = MEM_NEW(struct cert_watch);

	w->spec = *spec;
	w->secret_name = mem_strdup(spec->secret);
	w->reload = loop_timer_new(kube_client_loop(spec->client), reload, w);
	w->secret = follow(w, &kind_secret, spec->secret);
	if (spec->client_ca)
		w->ca = follow(w, &kind_configmap, KV_CONFIGMAP_CA);
	w->spec.ns = w->spec.secret = NULL; /* the caller's */
	return w;
}

void cert_watch_free(struct cert_watch *w)
{
	if (!w)
		return;
	cache_free(w->secret);
	if (w->ca)
		cache_free(w->ca);
	loop_timer_free(w->reload);
	tls_unref(w->tls);
	free(w->secret_name);
	free(w->seen);
	free(w);
}
