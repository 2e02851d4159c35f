/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy in front of aggregated APIs: the request goes on under the front proxy's certificate, with the caller's identity in
 * headers (kubernetes-api.md 5.4). Answers are streamed; upgrades become a pipe. */
#include "platform/apiserver/aggregate.h"

#include "base/mem.h"
#include "platform/apiserver/aggregate_impl.h"

#include <string.h>
#include <strings.h>

#define PROXY_AHEAD (1024 * 1024)

struct proxy {
	struct apiserver *s;
	struct request *r;
	struct backend *backend;
	struct http_call *call;
	bool started, paused;
};

static void proxy_free(struct proxy *p)
{
	backend_unref(p->backend);
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

static const char *copy_headers(struct request *r, const struct http_response *a)
{
	const char *type = NULL;

	for (size_t i = 0; i < a->n_headers; i++) {
		if (strcasecmp(a->headers[i].name, "Content-Type") == 0)
			type = a->headers[i].value;
		else if (!hop_by_hop(a->headers[i].name))
			request_add_header(r, a->headers[i].name, a->headers[i].value);
	}
	return type;
}

static void proxy_head(void *arg, const struct http_response *a)
{
	struct proxy *p = arg;

	p->started = true;
	request_stream(p->r, a->status, copy_headers(p->r, a));
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
struct headers {
	struct http_header *items;
	size_t n, cap;
	struct strv texts; /* owns what was made */
};

static void headers_done(struct headers *h)
{
	free(h->items);
	strv_done(&h->texts);
}

static void add(struct headers *h, const char *name, const char *value)
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

static void add_incoming(struct headers *h, const struct request *r, bool upgrade)
{
	static const char *const own[] = { "Accept", "Content-Type" };
	struct http_header in;

	if (!request_http(r)) {
		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			if (request_header(r, own[i]))
				add(h, own[i], request_header(r, own[i]));
		return;
	}
	for (size_t i = 0; http_req_header_each(request_http(r), &i, &in);)
		if (!kept_back(in.name))
			add(h, in.name, in.value);
	if (upgrade) {
		add(h, "Connection", "Upgrade");
		add(h, "Upgrade", request_header(r, "Upgrade"));
	}
}

static void add_identity(struct headers *h, const struct user *u)
{
	add(h, "X-Remote-User", u->name);
	if (!str_empty(u->uid))
		add(h, "X-Remote-Uid", u->uid);
	for (size_t i = 0; i < u->groups.len; i++)
		add(h, "X-Remote-Group", u->groups.items[i]);
	for (size_t i = 0; i < u->extra.len; i++) {
		const char *eq = strchr(u->extra.items[i], '=');
		CLEANUP(str_done) struct str name = { 0 };
		CLEANUP(mem_freep)
		char *key = mem_strndup(u->extra.items[i], (size_t)(eq - u->extra.items[i]));

		str_add(&name, "X-Remote-Extra-");
		url_encode(key, &name);
		strv_take(&h->texts, str_take(&name));
		add(h, h->texts.items[h->texts.len - 1], eq + 1);
	}
}

void aggregate_proxy(struct apiserver *s, struct request *r, const char *group, const char *version)
{
	CLEANUP(mem_freep) char *name = str_printf("%s.%s", version, group);
	CLEANUP(headers_done) struct headers h = { 0 };
	struct err e = { 0 }, out = { 0 };
	struct backend *b = aggregate_backend(s, name, NULL, &e);
	bool upgrade = request_http(r) && http_req_wants_upgrade(request_http(r));
	struct http_call_spec spec = { .method = request_method(r),
		.path = request_raw_path(r),
		.head = proxy_head,
		.data = proxy_data,
		.done = proxy_done,
		.upgraded = upgrade ? proxy_upgraded : NULL };
	struct proxy *p;

	if (!b) {
		err_set(&out, ERR_UNAVAILABLE, "service unavailable: %s", e.msg);
		request_fail(r, &out, NULL, NULL, NULL);
		return;
	}
	add_incoming(&h, r, upgrade);
	add_identity(&h, request_user(r));
	p = MEM_NEW(struct proxy);
	*p = (struct proxy){ .s = s, .r = r, .backend = b };
	spec.headers = h.items;
	spec.n_headers = h.n;
	spec.body = request_body(r, &spec.len);
	spec.arg = p;
	request_on_abort(r, proxy_aborted, p);
	p->call = http_client_call(b->client, &spec);
}
