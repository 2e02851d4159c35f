/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy subresources: pods/[SCHEME:]NAME[:PORT]/proxy/PATH, services/[SCHEME:]NAME[:PORT]/proxy/PATH, nodes/NAME/proxy/PATH.
 * What follows "proxy" becomes the path at the backend. */
#include "base/mem.h"
#include "platform/callout/backend.h"
#include "platform/apiserver/proxy.h"
#include "platform/apiserver/server.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct target {
	char *scheme, *name, *port; /* as asked: "" for none */
	char *host;
	int number;
};

static void target_done(struct target *t)
{
	free(t->scheme);
	free(t->name);
	free(t->port);
	free(t->host);
}

/* "name", "name:port", "scheme:name:port" */
static int read_name(const char *id, const char *what, struct target *t, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(id);
	char *parts[3] = { copy, copy, copy }, *rest = copy;
	size_t n = 0;

	while (rest && n < ARRAY_LEN(parts))
		parts[n++] = str_next(&rest, ':');
	t->scheme = mem_strdup(n == 3 ? parts[0] : "");
	t->name = mem_strdup(parts[n == 3]);
	t->port = mem_strdup(n == 3 ? parts[2] : n == 2 ? parts[1] : "");
	if (rest || !*t->name || !str_in(t->scheme, (const char *const[]){ "", "http", "https", NULL }))
		return err_set(e, ERR_BAD_REQUEST, "invalid %s request \"%s\"", what, id);
	return 0;
}

/* Not through us to what only this host may reach (Kubernetes' rule). */
static int check_address(const char *host, struct err *e)
{
	struct in6_addr v6;
	struct in_addr v4;
	bool bad = true;

	if (host && inet_pton(AF_INET, host, &v4) == 1) {
		uint32_t a = ntohl(v4.s_addr);

		bad = a == 0 || a >> 24 == 127 || a >> 16 == 0xa9fe || a >> 28 == 14 || a == UINT32_MAX;
	} else if (host && inet_pton(AF_INET6, host, &v6) == 1) {
		bad = IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6) ||
		      IN6_IS_ADDR_LINKLOCAL(&v6) || IN6_IS_ADDR_MULTICAST(&v6) || IN6_IS_ADDR_V4MAPPED(&v6);
	}
	return bad ? err_set(e, ERR_BAD_REQUEST, "address not allowed") : 0;
}

/* ---- who is meant ---- */
static int first_port(const struct json *pod)
{
	JSON_EACH (it, json_at(pod, "/spec/containers")) {
		const struct json *port = json_at(it.val, "/ports/0/containerPort");

		if (json_is_int(port))
			return (int)json_i64(port);
	}
	return 0;
}

static int find_pod(struct apiserver *s, struct resource *res, const char *ns, const char *id,
	struct target *t, struct err *e)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, t->name);
	const struct obj *pod = bucket_get(objects_bucket_of(s->objects, res), key);
	const char *ip;
	int64_t port = 0;

	if (!pod)
		return err_not_found(e, res->kind, t->name);
	if (*t->port && !str_to_i64(t->port, 1, 65535, &port))
		return err_set(e, ERR_BAD_REQUEST, "invalid pod request \"%s\": a port is a number", id);
	if (!port)
		port = first_port(obj_json(pod));
	ip = json_at_str(obj_json(pod), "/status/podIP");
	t->host = mem_strdup(ip ? ip : "");
	t->number = port ? (int)port : str_eq(t->scheme, "https") ? 443 : 80;
	return check_address(ip, e);
}

/* The service's port by name, or by number; without either the one that has no name. 0: there is none. */
static int service_port(const struct json *svc, const char *port)
{
	int64_t number = 0;

	str_to_i64(port, 1, 65535, &number);
	JSON_EACH (it, json_at(svc, "/spec/ports")) {
		int64_t n = json_i64(json_get(it.val, "port"));

		if (number ? n == number : str_eq(json_str_or(json_get(it.val, "name"), ""), port))
			return (int)n;
	}
	return 0;
}

static int find_service(struct apiserver *s, struct resource *res, const char *ns, const char *id,
	struct target *t, struct err *e)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, t->name);
	const struct obj *svc = bucket_get(objects_bucket_of(s->objects, res), key);
	int port = svc ? service_port(obj_json(svc), t->port) : 0;

	if (!svc)
		return err_not_found(e, res->kind, t->name);
	if (!port && *t->port)
		return err_set(e, ERR_UNAVAILABLE, "no service port \"%s\" found for service \"%s\"", t->port,
			t->name);
	if (!port || service_resolve(s->objects, ns, t->name, port, &t->host, &t->number, NULL, e) < 0)
		return err_set(e, ERR_UNAVAILABLE, "no endpoints available for service \"%s\"", id);
	return check_address(t->host, e);
}

/* ---- the path ---- */
/* The part of the path as sent that stands for the backend's "/": up to and with the segment "proxy". */
static size_t prefix_len(const char *raw, bool namespaced)
{
	size_t n = namespaced ? 7 : 5, at = 0; /* api v1 namespaces NS R NAME proxy */

	while (n--) {
		at += strspn(raw + at, "/");
		at += strcspn(raw + at, "/?");
	}
	return at;
}

/* ---- nodes ---- */
/* The few things of a kubelet's own server that clients ask for; numbers about containers are not kept (yet). */
static void serve_node_path(struct apiserver *s, struct request *r, const char *node, const char *path)
{
	const struct bucket *pods = objects_bucket(s->objects, "pods");
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct obj *o;

	if (str_eq(path, "/healthz")) {
		request_reply_text(r, 200, "ok");
		return;
	}
	if (!str_eq(path, "/pods") && !str_eq(path, "/pods/")) {
		request_reply_text(r, 404, "404 page not found\n");
		return;
	}
	d = json_lit("{'kind':'PodList','apiVersion':'v1','metadata':{},'items':[]}");
	for (size_t i = 0; (o = bucket_at(pods, i)); i++)
		if (str_eq(json_at_str(obj_json(o), "/spec/nodeName"), node))
			json_append(d, json_get(json_root(d), "items"), json_copy(d, obj_json(o)));
	request_reply_json(r, 200, json_root(d));
}

static void serve_node_proxy(struct apiserver *s, struct request *r, struct resource *res, const char *id)
{
	CLEANUP(mem_freep) char *name = mem_strndup(id, strcspn(id, ":"));
	const char *raw = request_raw_path(r), *rest = raw + prefix_len(raw, false);
	CLEANUP(mem_freep) char *path = mem_strndup(rest, strcspn(rest, "?"));
	struct err e = { 0 };

	if (!bucket_get(objects_bucket_of(s->objects, res), name)) {
		err_not_found(&e, res->kind, name);
		request_fail(r, &e, res->kind, name, NULL);
	} else {
		serve_node_path(s, r, name, path);
	}
}

/* ---- passing on ---- */
struct passing {
	struct http_client *client;
};

static void release(void *arg)
{
	struct passing *p = arg;

	http_client_free(p->client);
	free(p);
}

static void pass_on(struct apiserver *s, struct request *r, const struct target *t, bool namespaced)
{
	MUST(t->host); /* it was found */

	const char *raw = request_raw_path(r);
	size_t len = prefix_len(raw, namespaced);
	CLEANUP(mem_freep) char *prefix = mem_strndup(raw, len);
	CLEANUP(mem_freep) char *path = str_printf("%s%s", raw[len] == '/' ? "" : "/", raw + len);
	CLEANUP(mem_freep)
	char *authority = str_printf(strchr(t->host, ':') ? "[%s]:%d" : "%s:%d", t->host, t->number);
	CLEANUP(mem_freep) char *peer = mem_strdup(http_req_peer(request_http(r)));
	CLEANUP(mem_freep) char *uri = mem_strndup(raw, strcspn(raw, "?"));
	CLEANUP(mem_freep) char *forwarded = NULL;
	CLEANUP(tls_unrefp) struct tls_ctx *tls = NULL;
	CLEANUP(proxy_headers_done) struct proxy_headers h = { 0 };
	struct passing *p;
	struct err e = { 0 };

	if (str_eq(t->scheme, "https") &&
		!(tls = tls_client_new(
			  &(struct tls_client_spec){ .server_name = t->host, .insecure = true }, &e))) {
		request_fail(r, &e, NULL, NULL, NULL);
		return;
	}
	if (strrchr(peer, ':'))
		*strrchr(peer, ':') = '\0';
	forwarded = request_header(r, "X-Forwarded-For")
			    ? str_printf("%s, %s", request_header(r, "X-Forwarded-For"), peer)
			    : mem_strdup(peer);
	proxy_headers_incoming(&h, r);
	for (size_t i = h.n; i-- > 0;)
		if (strncasecmp(h.items[i].name, "X-Forwarded-", 12) == 0)
			h.items[i] = h.items[--h.n];
	if (request_header(r, "Host"))
		proxy_headers_add(&h, "Host", request_header(r, "Host"));
	proxy_headers_add(&h, "X-Forwarded-For", forwarded);
	proxy_headers_add(&h, "X-Forwarded-Uri", uri);
	p = MEM_NEW(struct passing);
	p->client = http_client_new(
		s->loop, &(struct http_client_spec){ .host = t->host, .port = t->number, .tls = tls });
	proxy_run(r, &(struct proxy_spec){ .client = p->client,
			     .release = release,
			     .arg = p,
			     .path = path,
			     .headers = &h,
			     .prefix = prefix,
			     .authority = authority });
}

/* Pages with relative links need a slash at the end. */
static bool redirect_to_slash(struct request *r, bool namespaced)
{
	const char *raw = request_raw_path(r);
	size_t len = prefix_len(raw, namespaced);
	CLEANUP(mem_freep) char *to = NULL;

	if (raw[len] == '/' || !(str_eq(request_method(r), "GET") || str_eq(request_method(r), "HEAD")) ||
		http_req_wants_upgrade(request_http(r)))
		return false;
	to = str_printf("%.*s/%s", (int)len, raw, raw + len);
	request_add_header(r, "Location", to);
	request_reply(r, 301, NULL, "", 0);
	return true;
}

void server_connect(struct apiserver *s, struct request *r, struct resource *res, const char *ns,
	const char *name, const char *sub)
{
	CLEANUP(target_done) struct target t = { 0 };
	bool pod = str_eq(res->kind->plural, "pods"), node = str_eq(res->kind->plural, "nodes");
	struct err e = { 0 };

	if (!request_http(r)) {
		err_set(&e, ERR_UNAVAILABLE, "not from within this program");
		request_fail(r, &e, res->kind, name, NULL);
	} else if (redirect_to_slash(r, !node)) {
		return;
	} else if (node) {
		serve_node_proxy(s, r, res, name);
	} else if (read_name(name, pod ? "pod" : "service", &t, &e) < 0 ||
		   (pod ? find_pod(s, res, ns, name, &t, &e) : find_service(s, res, ns, name, &t, &e)) < 0) {
		request_fail(r, &e, res->kind, name, NULL);
	} else {
		pass_on(s, r, &t, true);
	}
}
