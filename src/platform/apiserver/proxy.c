/* SPDX-License-Identifier: Apache-2.0 */
/* A request goes on to somebody else: answers are streamed, upgrades become a pipe. And the proxy in front of aggregated APIs:
 * under the front proxy's certificate, with the caller's identity in headers (kubernetes-api.md 5.4). */
#include "platform/apiserver/proxy.h"

#include "base/mem.h"
#include "platform/apiserver/aggregate.h"
#include "platform/apiserver/aggregate_impl.h"

#include <string.h>
#include <strings.h>

#define PROXY_AHEAD (1024 * 1024)

struct proxy {
	struct request *r;
	struct http_call *call;
	loop_fn *release;
	void *release_arg;
	char *prefix, *authority;
	bool started, paused;
};

static void proxy_free(struct proxy *p)
{
	p->release(p->release_arg);
	free(p->prefix);
	free(p->authority);
	free(p);
}

static void proxy_aborted(void *arg)
{
	struct proxy *p = arg;

	http_call_cancel(p->call);
	proxy_free(p);
}

/* ---- the way back ---- */
static bool hop_by_hop(const char *name)
{
	static const char *const names[] = { "Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
		"Date" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Where a redirect leads: a place of the backend's own is below our path for it (Kubernetes' rules: relative ones and other hosts
 * stay as they are). Caller frees. */
static char *redirect(const struct proxy *p, const char *to)
{
	const char *at = strstr(to, "://"), *host = request_header(p->r, "Host"), *path;
	CLEANUP(mem_freep) char *authority = NULL;

	if (!p->prefix)
		return mem_strdup(to);
	path = to;
	if (at || str_starts(to, "//")) {
		at = at ? at + 3 : to + 2;
		authority = mem_strndup(at, strcspn(at, "/?#"));
		path = at + strlen(authority);
		if (!str_eq(authority, p->authority) && !str_eq(authority, host))
			return mem_strdup(to);
	}
	if ((!authority && *path != '/') || str_starts(path, p->prefix))
		return mem_strdup(path);
	return str_printf("%s%s%s", p->prefix, *path == '/' ? "" : "/", path);
}

static void copy_header(const struct proxy *p, const struct http_header *h)
{
	CLEANUP(mem_freep) char *to = NULL;

	if (hop_by_hop(h->name) || (p->prefix && strncasecmp(h->name, "Access-Control-", 15) == 0))
		return;
	if (strcasecmp(h->name, "Location") == 0)
		to = redirect(p, h->value);
	request_add_header(p->r, h->name, to ? to : h->value);
}

static void proxy_head(void *arg, const struct http_response *a)
{
	struct proxy *p = arg;
	const char *type = NULL;

	for (size_t i = 0; i < a->n_headers; i++)
		if (strcasecmp(a->headers[i].name, "Content-Type") == 0)
			type = a->headers[i].value;
		else
			copy_header(p, &a->headers[i]);
	p->started = true;
	request_stream(p->r, a->status, type);
}

static void proxy_drained(void *arg)
{
	struct proxy *p = arg;

	if (p->paused && p->call)
		http_call_pause(p->call, false);
	p->paused = false;
}

static void proxy_data(void *arg, const void *data, size_t len)
{
	struct proxy *p = arg;

	request_write(p->r, data, len);
	if (!p->paused && request_pending(p->r) > PROXY_AHEAD) {
		p->paused = true;
		request_on_drained(p->r, proxy_drained, p);
		http_call_pause(p->call, true);
	}
}

static void proxy_done(void *arg, const struct http_response *a, const struct err *e)
{
	struct proxy *p = arg;
	struct request *r = p->r;
	bool started = p->started;
	struct err out = { 0 };

	(void)a;
	p->call = NULL;
	proxy_free(p);
	if (!e || e->code == ERR_NONE) {
		request_end(r);
	} else if (started) {
		request_kill(r);
	} else {
		err_set(&out, ERR_UNAVAILABLE, "error trying to reach service: %s", e->msg);
		request_fail(r, &out, NULL, NULL, NULL);
	}
}

static void pipe_done(void *arg)
{
	(void)arg;
}

static void proxy_upgraded(void *arg, const struct http_response *a, struct http_stream *backend)
{
	struct proxy *p = arg;
	struct http_req *h = request_http(p->r);
	CLEANUP(mem_freep)
	char *proto = mem_strdup(
		http_response_header(a, "Upgrade") ? http_response_header(a, "Upgrade") : "websocket");
	struct http_stream *client;

	p->call = NULL;
	for (size_t i = 0; i < a->n_headers; i++)
		if (!hop_by_hop(a->headers[i].name))
			http_req_add_header(h, a->headers[i].name, a->headers[i].value);
	request_on_abort(p->r, NULL, NULL);
	proxy_free(p);
	client = http_req_upgrade(h, proto);
	http_stream_pipe(client, backend, pipe_done, NULL);
}

/* ---- the way there ---- */
void proxy_headers_done(struct proxy_headers *h)
{
	free(h->items);
	strv_done(&h->texts);
}

void proxy_headers_add(struct proxy_headers *h, const char *name, const char *value)
{
	h->items = mem_grow(h->items, &h->cap, h->n + 1, sizeof(*h->items));
	h->items[h->n++] = (struct http_header){ name, value };
}

/* What the backend must not see from a client: its credentials, and claims about who it is. */
static bool kept_back(const char *name)
{
	return strcasecmp(name, "Authorization") == 0 || strncasecmp(name, "X-Remote-", 9) == 0 ||
	       strncasecmp(name, "Impersonate-", 12) == 0 || strcasecmp(name, "Host") == 0 ||
	       strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
	       strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Upgrade") == 0;
}

/* Browsers can send a token only as one of the protocols: that one is for us. NULL: nothing is left. Caller frees. */
static char *without_token(const char *protocols)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(protocols);
	CLEANUP(str_done) struct str out = { 0 };

	for (char *rest = copy; rest;) {
		char *one = str_next(&rest, ',');

		one += strspn(one, " \t");
		if (*one && !str_starts(one, "base64url.bearer.authorization.k8s.io."))
			str_addf(&out, "%s%s", out.len ? ", " : "", one);
	}
	return out.len ? str_take(&out) : NULL;
}

static void add_one(struct proxy_headers *h, const struct http_header *in)
{
	char *protocols;

	if (kept_back(in->name))
		return;
	if (strcasecmp(in->name, "Sec-WebSocket-Protocol") != 0) {
		proxy_headers_add(h, in->name, in->value);
	} else if ((protocols = without_token(in->value))) {
		strv_take(&h->texts, protocols);
		proxy_headers_add(h, in->name, protocols);
	}
}

void proxy_headers_incoming(struct proxy_headers *h, const struct request *r)
{
	bool upgrade = request_http(r) && http_req_wants_upgrade(request_http(r));
	static const char *const own[] = { "Accept", "Content-Type" };
	struct http_header in;

	if (!request_http(r)) {
		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			if (request_header(r, own[i]))
				proxy_headers_add(h, own[i], request_header(r, own[i]));
		return;
	}
	for (size_t i = 0; http_req_header_each(request_http(r), &i, &in);)
		add_one(h, &in);
	if (upgrade) {
		proxy_headers_add(h, "Connection", "Upgrade");
		proxy_headers_add(h, "Upgrade", request_header(r, "Upgrade"));
	}
}

static void add_identity(struct proxy_headers *h, const struct user *u)
{
	proxy_headers_add(h, "X-Remote-User", u->name);
	if (!str_empty(u->uid))
		proxy_headers_add(h, "X-Remote-Uid", u->uid);
	for (size_t i = 0; i < u->groups.len; i++)
		proxy_headers_add(h, "X-Remote-Group", u->groups.items[i]);
	for (size_t i = 0; i < u->extra.len; i++) {
		const char *eq = strchr(u->extra.items[i], '=');
		CLEANUP(str_done) struct str name = { 0 };
		CLEANUP(mem_freep)
		char *key = mem_strndup(u->extra.items[i], (size_t)(eq - u->extra.items[i]));

		str_add(&name, "X-Remote-Extra-");
		url_encode(key, &name);
		strv_take(&h->texts, str_take(&name));
		proxy_headers_add(h, h->texts.items[h->texts.len - 1], eq + 1);
	}
}

void proxy_run(struct request *r, const struct proxy_spec *spec)
{
	struct http_call_spec call = { .method = request_method(r),
		.path = spec->path,
		.headers = spec->headers->items,
		.n_headers = spec->headers->n,
		.head = proxy_head,
		.data = proxy_data,
		.done = proxy_done };
	struct proxy *p = MEM_NEW(struct proxy);

	*p = (struct proxy){ .r = r, .release = spec->release, .release_arg = spec->arg };
	p->prefix = spec->prefix ? mem_strdup(spec->prefix) : NULL;
	p->authority = spec->authority ? mem_strdup(spec->authority) : NULL;
	if (request_http(r) && http_req_wants_upgrade(request_http(r)))
		call.upgraded = proxy_upgraded;
	call.body = request_body(r, &call.len);
	call.arg = p;
	request_on_abort(r, proxy_aborted, p);
	p->call = http_client_call(spec->client, &call);
}

static void release_backend(void *arg)
{
	backend_unref(arg);
}

void aggregate_proxy(struct apiserver *s, struct request *r, const char *group, const char *version)
{
	CLEANUP(mem_freep) char *name = str_printf("%s.%s", version, group);
	CLEANUP(proxy_headers_done) struct proxy_headers h = { 0 };
	const struct group_version *gv = registry_gv(s->objects->registry, group, version);
	struct err e = { 0 }, out = { 0 };
	struct backend *b = NULL;

	if (gv && !gv->available)
		err_set(&e, ERR_UNAVAILABLE, "APIService %s is not available", name);
	else
		b = aggregate_backend(s, name, NULL, &e);
	if (!b) {
		err_set(&out, ERR_UNAVAILABLE, "service unavailable: %s", e.msg);
		request_fail(r, &out, NULL, NULL, NULL);
		return;
	}
	proxy_headers_incoming(&h, r);
	add_identity(&h, request_user(r));
	proxy_run(r, &(struct proxy_spec){ .client = b->client,
			     .release = release_backend,
			     .arg = b,
			     .path = request_raw_path(r),
			     .headers = &h });
}
