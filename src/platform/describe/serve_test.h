/* SPDX-License-Identifier: Apache-2.0 */
/* platform/describe/serve_test.h - for the tests of documents: a server of discovery and OpenAPI on a loopback port, and a
 * client that asks it one thing at a time. */
#pragma once

#include "base/mem.h"
#include "base/test_util.h"
#include "base/time.h"
#include "platform/describe/describe.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/widget_test.h"
#include "platform/request/request_impl.h"

#include <string.h>

#define SERVE_WAIT_MS 10000

struct served {
	int status; /* 0: no answer yet */
	char *type, *tag, *cache, *location;
	struct str body;
};

static inline void served_done(struct served *s)
{
	free(s->type);
	free(s->tag);
	free(s->cache);
	free(s->location);
	str_done(&s->body);
	*s = (struct served){ 0 };
}

struct bed {
	struct loop *loop;
	struct registry *registry;
	struct discovery *discovery;
	struct openapi *openapi;
	struct http_server *server;
	struct http_client *client;
	struct served last;
};

static inline void bed_handle(void *arg, struct http_req *h)
{
	struct bed *b = arg;
	struct request *r = request_new_http(b->loop, h);

	if (!discovery_serve(b->discovery, r) && !openapi_serve(b->openapi, r))
		request_reply_text(r, 404, "404 page not found");
}

static inline struct bed *bed_new(bool builtin)
{
	struct bed *b = MEM_NEW(struct bed);
	struct http_server_spec spec = { .handler = bed_handle, .arg = b };
	struct http_client_spec to = { .host = "127.0.0.1" };

	b->loop = loop_new();
	b->registry = registry_new();
	if (builtin)
		builtin_register(b->registry);
	b->discovery = discovery_new(b->registry);
	b->openapi = openapi_new(b->registry);
	b->server = http_server_new(b->loop, &spec);
	assert_int_equal(http_server_listen(b->server, NULL, 0, &to.port, NULL), 0);
	b->client = http_client_new(b->loop, &to);
	return b;
}

static inline void bed_free(struct bed *b)
{
	http_client_free(b->client);
	http_server_free(b->server);
	openapi_free(b->openapi);
	discovery_free(b->discovery);
	registry_free(b->registry);
	served_done(&b->last);
	loop_free(b->loop);
	free(b);
}

static inline char *served_header(const struct http_response *r, const char *name)
{
	const char *v = http_response_header(r, name);

	return v ? mem_strdup(v) : NULL;
}

static inline void bed_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct bed *b = arg;

	if (!r) {
		b->last.status = -1;
		return;
	}
	b->last.status = r->status;
	b->last.type = served_header(r, "Content-Type");
	b->last.tag = served_header(r, "Etag");
	b->last.cache = served_header(r, "Cache-Control");
	b->last.location = served_header(r, "Location");
	str_addn(&b->last.body, r->body ? r->body : "", r->len);
}

/* accept and known (If-None-Match) may be NULL. The answer is good until the next call. */
static inline const struct served *bed_ask(
	struct bed *b, const char *method, const char *path, const char *accept, const char *known)
{
	struct http_header headers[2];
	struct http_call_spec spec = {
		.method = method, .path = path, .headers = headers, .done = bed_done, .arg = b
	};
	int64_t end = time_mono_now() + SERVE_WAIT_MS;

	if (accept)
		headers[spec.n_headers++] = (struct http_header){ "Accept", accept };
	if (known)
		headers[spec.n_headers++] = (struct http_header){ "If-None-Match", known };
	served_done(&b->last);
	http_client_call(b->client, &spec);
	while (b->last.status == 0 && time_mono_now() < end)
		loop_step(b->loop, 100);
	assert_true(b->last.status > 0);
	return &b->last;
}

static inline struct json_doc *bed_json(struct bed *b, const char *path, const char *accept)
{
	const struct served *s = bed_ask(b, "GET", path, accept, NULL);
	struct json_doc *d;

	assert_int_equal(s->status, 200);
	d = json_parse(s->body.data, s->body.len, NULL);
	assert_non_null(d);
	return d;
}
