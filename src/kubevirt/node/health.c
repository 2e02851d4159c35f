/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/node/health.h"

#include <inttypes.h>
#include <string.h>

#include "base/http.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/cache.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#define SELF_MADE_MS (24LL * 3600 * 1000)

struct health {
	struct health_spec spec;
	struct http_server *server;
	struct cache *secret, *kubevirts;
	char *selector;
	int port;
};

int health_port(const struct health *h)
{
	return h->port;
}

/* KubeVirt's test suites wait for config-resource-version to reach the CR's: then the new configuration is known here. */
static void reply_health(struct health *h, struct http_req *r)
{
	const struct obj *cr = cache_at(h->kubevirts, 0);
	CLEANUP(mem_freep)
	char *body =
		str_printf("{\"apiserver\":{\"connectivity\":\"%s\"},\"config-resource-version\":\"%" PRIu64
			   "\",\"version\":\"%s\"}",
			cache_synced(h->kubevirts) ? "ok" : "starting", cr ? obj_rv(cr) : 0, CORACLE_VERSION);

	http_req_reply(r, 200, "application/json", body, strlen(body));
}

static void reply_metrics(struct health *h, struct http_req *r)
{
	CLEANUP(str_done) struct str text = { 0 };

	if (h->spec.metrics)
		h->spec.metrics(h->spec.arg, &text);
	http_req_reply(r, 200, "text/plain; version=0.0.4", str_cstr(&text), text.len);
}

static void on_request(void *arg, struct http_req *r)
{
	static const struct {
		const char *path;
		void (*reply)(struct health *h, struct http_req *r);
	} paths[] = { { "/healthz", reply_health }, { "/livez", reply_health }, { "/readyz", reply_health },
		{ "/metrics", reply_metrics } };

	if (!str_eq(http_req_method(r), "GET")) {
		http_req_reply(r, 405, "text/plain", "only GET\n", 9);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (str_eq(http_req_path(r), paths[i].path)) {
			paths[i].reply(arg, r);
			return;
		}
	http_req_reply(r, 404, "text/plain", "not found\n", 10);
}

/* ---- certificates ---- */
static struct tls_ctx *self_made(struct health *h, struct err *e)
{
	static const char *const names[] = { "localhost", NULL };
	int64_t now = loop_wall_ms(h->spec.loop);
	struct key_pair kp = { 0 };
	struct tls_ctx *tls = NULL;

	if (cert_make(&(struct cert_spec){ .common_name = h->spec.secret,
			      .dns_names = names,
			      .server = true,
			      .not_before_ms = now - 60000,
			      .not_after_ms = now + SELF_MADE_MS },
		    NULL, &kp, e) == 0)
		tls = tls_server_new(
			&(struct tls_server_spec){ .cert_pem = kp.cert_pem, .key_pem = kp.key_pem }, e);
	key_pair_done(&kp);
	return tls;
}

static void on_secret(void *arg, const struct obj *old, const struct obj *new)
{
	struct health *h = arg;
	const struct json *data = new ? json_get(obj_json(new), "data") : NULL;
	const char *cert64 = json_get_str(data, "tls.crt"), *key64 = json_get_str(data, "tls.key");
	CLEANUP(str_done) struct str cert = { 0 };
	CLEANUP(str_done) struct str key = { 0 };
	CLEANUP(tls_unrefp) struct tls_ctx *tls = NULL;
	struct err e;

	if (!cert64 || !key64)
		return;
	if (b64_decode(cert64, strlen(cert64), false, &cert, &e) == 0 &&
		b64_decode(key64, strlen(key64), false, &key, &e) == 0)
		tls = tls_server_new(
			&(struct tls_server_spec){ .cert_pem = str_cstr(&cert), .key_pem = str_cstr(&key) },
			&e);
	if (tls)
		http_server_set_tls(h->server, tls);
	else
		log_warn("Secret %s holds no usable certificate: %s", h->spec.secret, e.msg);
}

int health_new(const struct health_spec *spec, struct health **ret, struct err *e)
{
	struct health *h = MEM_NEW(struct health);
	CLEANUP(tls_unrefp) struct tls_ctx *tls = NULL;

	h->spec = *spec;
	tls = self_made(h, e);
	if (!tls) {
		free(h);
		return -1;
	}
	h->selector = str_printf("metadata.name=%s", spec->secret);
	h->secret = cache_new(spec->client, &kind_secret,
		&(struct cache_opts){ .ns = spec->install_ns, .field_selector = h->selector });
	h->kubevirts = cache_new(spec->client, &kind_kubevirt, NULL);
	h->server = http_server_new(
		spec->loop, &(struct http_server_spec){ .tls = tls, .handler = on_request, .arg = h });
	if (http_server_listen(h->server, spec->host ? spec->host : "0.0.0.0", spec->port, &h->port, e) < 0) {
		health_free(h);
		return -1;
	}
	cache_on_change(h->secret, on_secret, h);
	cache_start(h->secret);
	cache_start(h->kubevirts);
	*ret = h;
	return 0;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	http_server_free(h->server);
	cache_free(h->secret);
	cache_free(h->kubevirts);
	free(h->selector);
	free(h);
}
