/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/health/health.h"

#include "api/status.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/health/certs.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct health {
	struct health_spec spec;
	char *ns, *host;
	struct cert_watch *certs;
	struct http_server *http;
};

static const char *config_version(void *arg)
{
	const struct health *h = arg;
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(h->spec.kubevirts, i)); i++)
		if (str_eq(obj_namespace(o), h->ns))
			return json_str_or(json_at(obj_json(o), "/metadata/resourceVersion"), "");
	return "";
}

static void reply_json(struct http_req *r, int status, const struct json *v)
{
	size_t len;
	CLEANUP(mem_freep) char *text = json_write(v, &len);

	http_req_reply(r, status, "application/json", text, len);
}

/* ---- /healthz ---- */
struct probe {
	struct http_req *req;
	const char *(*config)(void *arg);
	void *arg;
	struct kube_call *call;
};

static void probe_free(void *arg)
{
	struct probe *p = arg;

	kube_call_cancel(p->call);
	free(p);
}

static void probe_answer(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct probe *p = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(json_doc_freep) struct json_doc *version = e ? NULL : json_parse(body, len, NULL);
	struct json *o = json_new_obj(d), *server = json_need_obj(d, o, "apiserver");
	bool ok = !e && status == 200;

	p->call = NULL;
	json_set_root(d, o);
	json_set_str(d, server, "connectivity", ok ? "ok" : "failed");
	if (e)
		json_set_str(d, server, "error", e->msg);
	else if (version)
		json_set_copy(d, server, "version", json_root(version));
	json_set_str(d, o, "config-resource-version", p->config(p->arg));
	reply_json(p->req, ok ? 200 : 500, o);
}

void health_probe(struct kube_client *client, struct http_req *r, const char *(*config)(void *arg), void *arg)
{
	struct probe *p = MEM_NEW(struct probe);

	*p = (struct probe){ .req = r, .config = config, .arg = arg };
	http_req_set_ctx(r, p, probe_free);
	p->call = kube_raw(client, "GET", "/version", NULL, NULL, 0, probe_answer, p);
}

/* ---- the server ---- */
void health_reply_metrics(struct http_req *r, const struct str *text)
{
	http_req_reply(r, 200, METRICS_TYPE, str_cstr(text), text->len);
}

void health_serve(struct health *h, struct http_req *r)
{
	CLEANUP(json_doc_freep) struct json_doc *status = NULL;
	CLEANUP(str_done) struct str out = { 0 };
	struct err e;

	if (!str_eq(http_req_method(r), "GET")) {
		err_set(&e, ERR_METHOD_NOT_ALLOWED, "only GET is possible here");
	} else if (str_eq(http_req_path(r), "/healthz")) {
		health_probe(h->spec.client, r, config_version, h);
		return;
	} else if (str_eq(http_req_path(r), "/metrics")) {
		if (h->spec.scrape) {
			h->spec.scrape(h->spec.arg, r);
			return;
		}
		if (h->spec.metrics)
			h->spec.metrics(h->spec.arg, &out);
		health_reply_metrics(r, &out);
		return;
	} else {
		err_set(&e, ERR_NOT_FOUND, "there are /healthz and /metrics");
	}
	status = status_from_err(&e, NULL, NULL, NULL);
	reply_json(r, err_http(e.code), json_root(status));
}

static void serve(void *arg, struct http_req *r)
{
	health_serve(arg, r);
}

static void on_cert(void *arg, struct tls_ctx *tls)
{
	struct health *h = arg;
	const struct http_server_spec spec = { .tls = tls, .handler = serve, .arg = h };
	struct err e;
	int port = 0;

	if (h->http) {
		http_server_set_tls(h->http, tls);
		return;
	}
	h->http = http_server_new(h->spec.loop, &spec);
	if (http_server_listen(h->http, h->host, h->spec.port, &port, &e) < 0) {
		if (!h->spec.listening)
			log_error("health: %s", e.msg);
		else
			h->spec.listening(h->spec.arg, 0, &e);
	} else if (h->spec.listening) {
		h->spec.listening(h->spec.arg, port, NULL);
	}
}

struct health *health_new(const struct health_spec *spec)
{
	struct health *h = MEM_NEW(struct health);
	struct cert_watch_spec certs = {
		.client = spec->client, .ns = spec->ns, .secret = spec->secret, .changed = on_cert, .arg = h
	};

	h->spec = *spec;
	h->ns = mem_strdup(spec->ns);
	h->host = mem_strdup(spec->host ? spec->host : "0.0.0.0");
	h->certs = cert_watch_new(&certs);
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	http_server_free(h->http);
	cert_watch_free(h->certs);
	free(h->ns);
	free(h->host);
	free(h);
}
