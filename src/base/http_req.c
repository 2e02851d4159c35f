/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/http_conn.h"
#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define GZIP_FROM (128 * 1024) /* kubernetes-api.md 2.10: bodies larger than this */
#define GZIP_LEVEL 1

/* ---- life ---- */

void http_req_free(struct http_req *r)
{
	if (r->ctx_free)
		r->ctx_free(r->ctx);
	http_head_done(&r->head);
	free(r->path);
	url_query_done(&r->query);
	str_done(&r->body);
	strv_done(&r->joined);
	str_done(&r->extra);
	free(r);
}

void http_req_gone(struct http_req *r)
{
	loop_fn *fn = r->abort_fn;

	if (!fn)
		return; /* ends with the handler's answer */
	r->abort_fn = NULL;
	r->aborting = true;
	fn(r->abort_arg);
	http_req_free(r);
}

/* The handler is done with r. Inside its abort callback the caller of that frees it. */
static void req_done(struct http_req *r)
{
	if (!r->aborting)
		http_req_free(r);
}

static void req_answered(struct http_req *r, bool keep)
{
	struct http_conn *c = r->conn;

	req_done(r);
	if (c)
		http_conn_answered(c, keep);
}

/* ---- what was asked ---- */

const char *http_req_method(const struct http_req *r)
{
	return r->head.method;
}

const char *http_req_path(const struct http_req *r)
{
	return r->path;
}

const char *http_req_raw_path(const struct http_req *r)
{
	return r->head.target;
}

const char *http_req_query(const struct http_req *r, const char *name)
{
	for (size_t i = 0; i < r->query.len; i++)
		if (str_eq(r->query.items[i].name, name))
			return r->query.items[i].value;
	return NULL;
}

bool http_req_query_each(const struct http_req *r, size_t *i, const char **ret_name, const char **ret_value)
{
	if (*i >= r->query.len)
		return false;
	*ret_name = r->query.items[*i].name;
	*ret_value = r->query.items[*i].value;
	++*i;
	return true;
}

/* Joined values live in r until it ends. Joined once: the same answer for the same name. */
static const char *req_join(struct http_req *r, const char *name)
{
	CLEANUP(str_done) struct str all = { 0 };
	struct http_header h;

	for (size_t i = 0; i + 1 < r->joined.len; i += 2)
		if (strcasecmp(r->joined.items[i], name) == 0)
			return r->joined.items[i + 1];
	for (size_t i = 0; http_req_header_each(r, &i, &h);)
		if (strcasecmp(h.name, name) == 0) {
			str_add(&all, all.len ? ", " : "");
			str_add(&all, h.value);
		}
	strv_add(&r->joined, name);
	strv_take(&r->joined, str_take(&all));
	return r->joined.items[r->joined.len - 1];
}

const char *http_req_header(const struct http_req *r, const char *name)
{
	const char *first = NULL;
	struct http_header h;
	size_t n = 0;

	for (size_t i = 0; http_req_header_each(r, &i, &h);) {
		if (strcasecmp(h.name, name) != 0)
			continue;
		if (!n++)
			first = h.value;
	}
	return n < 2 ? first : req_join((struct http_req *)r, name);
}

bool http_req_header_each(const struct http_req *r, size_t *i, struct http_header *ret)
{
	if (*i >= r->head.n_headers)
		return false;
	*ret = r->head.headers[(*i)++];
	return true;
}

const char *http_req_body(const struct http_req *r, size_t *ret_len)
{
	if (ret_len)
		*ret_len = r->body.len;
	return str_cstr(&r->body);
}

bool http_req_wants_upgrade(const struct http_req *r)
{
	return r->head.upgrade;
}

const char *http_req_head(const struct http_req *r, size_t *ret_len)
{
	*ret_len = r->head.raw_len;
	return r->head.raw;
}

const char *http_req_peer(const struct http_req *r)
{
	return r->conn ? r->conn->peer : "gone";
}

static const struct peer_cert *req_cert(const struct http_req *r)
{
	struct http_conn *c = r->conn;
	struct peer_cert *p;
	SSL *ssl;

	if (!c || c->cert_known)
		return c ? c->cert : NULL;
	c->cert_known = true;
	ssl = bufferevent_openssl_get_ssl(c->bev);
	if (!ssl)
		return NULL;
	p = MEM_NEW(struct peer_cert);
	if (tls_peer(ssl, &p->cn, &p->orgs, p->issuer))
		c->cert = p;
	else
		free(p);
	return c->cert;
}

bool http_req_client_cert(const struct http_req *r, const char **ret_cn, const struct strv **ret_orgs)
{
	const struct peer_cert *p = req_cert(r);

	if (!p)
		return false;
	*ret_cn = p->cn;
	*ret_orgs = &p->orgs;
	return true;
}

const char *http_req_client_issuer(const struct http_req *r)
{
	const struct peer_cert *p = req_cert(r);

	return p ? p->issuer : NULL;
}

void http_req_set_ctx(struct http_req *r, void *ctx, void (*free_fn)(void *))
{
	if (r->ctx_free && r->ctx != ctx)
		r->ctx_free(r->ctx);
	r->ctx = ctx;
	r->ctx_free = free_fn;
}

void *http_req_ctx(const struct http_req *r)
{
	return r->ctx;
}

void http_req_on_abort(struct http_req *r, loop_fn *fn, void *arg)
{
	r->abort_fn = fn;
	r->abort_arg = arg;
}

void http_req_on_drained(struct http_req *r, loop_fn *fn, void *arg)
{
	r->drained_fn = fn;
	r->drained_arg = arg;
}

/* ---- the answer ---- */

static const char *status_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} all[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Request Entity Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].status == status)
			return all[i].reason;
	return "Unknown";
}

void http_req_add_header(struct http_req *r, const char *name, const char *value)
{
	MUST(http_is_token(name));
	r->extra_type |= strcasecmp(name, "Content-Type") == 0;
	r->extra_encoding |= strcasecmp(name, "Content-Encoding") == 0;
	str_addf(&r->extra, "%s: ", name);
	/* values come from objects, so from users: no line of theirs becomes a header */
	for (; *value; value++)
		str_addc(&r->extra, (unsigned char)*value < 0x20 || *value == 0x7f ? ' ' : *value);
	str_add(&r->extra, "\r\n");
}

static void add_head(struct http_req *r, struct str *out, int status, const char *type)
{
	str_addf(out, "HTTP/1.1 %d %s\r\n", status, status_reason(status));
	if (r->extra.len)
		str_addn(out, r->extra.data, r->extra.len);
	if (type && !r->extra_type)
		str_addf(out, "Content-Type: %s\r\n", type);
}

/* NULL q is 1; "gzip;q=0" refuses. */
static bool takes_gzip(const struct http_req *r)
{
	const char *v = http_req_header(r, "Accept-Encoding"), *q;

	if (!v || !http_list_has(v, "gzip"))
		return false;
	q = strcasestr(v, "gzip");
	q += 4;
	q += strspn(q, " \t;");
	return strncasecmp(q, "q=0", 3) != 0 || (q[3] == '.' && strspn(q + 4, "0") != strcspn(q + 4, " ,\t"));
}

static bool gzip(const void *data, size_t len, struct str *out)
{
	z_stream z = { 0 };
	bool ok;

	if (len > UINT32_MAX ||
		deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	str_reserve(out, deflateBound(&z, len));
	z.next_in = (Bytef *)data;
	z.avail_in = (uInt)len;
	z.next_out = (Bytef *)out->data;
	z.avail_out = (uInt)(out->cap - 1 < UINT32_MAX ? out->cap - 1 : UINT32_MAX);
	ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
	out->len = ok ? z.total_out : 0;
	out->data[out->len] = '\0';
	deflateEnd(&z);
	return ok;
}

void http_req_reply(struct http_req *r, int status, const char *type, const void *body, size_t len)
{
	CLEANUP(str_done) struct str head = { 0 }, packed = { 0 };
	bool no_body = status < 200 || status == 204 || status == 304;
	bool keep = r->head.keep_alive && r->conn && !r->conn->srv->stopping;
	struct evbuffer *out;

	MUST(r->state == REQ_WAITING);
	if (!r->conn) {
		req_done(r);
		return;
	}
	add_head(r, &head, status, len || r->extra_type ? type : NULL);
	if (len > GZIP_FROM && !r->extra_encoding && takes_gzip(r) && gzip(body, len, &packed)) {
		str_add(&head, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
		body = packed.data;
		len = packed.len;
	}
	if (!no_body)
		str_addf(&head, "Content-Length: %zu\r\n", len);
	str_add(&head, keep ? "\r\n" : "Connection: close\r\n\r\n");
	no_body |= str_eq(r->head.method, "HEAD");
	if (no_body)
		len = 0;
	/* one piece of memory: one TLS record, one packet if it fits */
	out = bufferevent_get_output(r->conn->bev);
	MUST(evbuffer_expand(out, head.len + len) == 0);
	MUST(evbuffer_add(out, head.data, head.len) == 0 && (!len || evbuffer_add(out, body, len) == 0));
	req_answered(r, keep);
}

void http_req_stream(struct http_req *r, int status, const char *type)
{
	CLEANUP(str_done) struct str head = { 0 };

	MUST(r->state == REQ_WAITING);
	r->state = REQ_STREAMING;
	if (!r->conn)
		return;
	r->chunked = r->head.minor >= 1 && !str_eq(r->head.method, "HEAD");
	add_head(r, &head, status, type);
	if (r->head.minor >= 1)
		str_add(&head, "Transfer-Encoding: chunked\r\n");
	else
		r->head.keep_alive = false;
	str_add(&head, r->head.keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
	MUST(bufferevent_write(r->conn->bev, head.data, head.len) == 0);
}

void http_req_write(struct http_req *r, const void *data, size_t len)
{
	struct evbuffer *out;
	char size[24];
	int n;

	MUST(r->state == REQ_STREAMING);
	if (!r->conn || !len || r->stuck || str_eq(r->head.method, "HEAD"))
		return;
	out = bufferevent_get_output(r->conn->bev);
	if (evbuffer_get_length(out) > HTTP_STREAM_BUFFER_MAX) {
		r->stuck = true;
		http_conn_drop_later(r->conn);
		return;
	}
	if (!r->chunked) {
		MUST(evbuffer_add(out, data, len) == 0);
		return;
	}
	n = snprintf(size, sizeof(size), "%zx\r\n", len);
	MUST(evbuffer_expand(out, len + (size_t)n + 2) == 0);
	MUST(evbuffer_add(out, size, (size_t)n) == 0 && evbuffer_add(out, data, len) == 0 &&
		evbuffer_add(out, "\r\n", 2) == 0);
}

size_t http_req_pending(const struct http_req *r)
{
	return r->conn ? http_bev_unsent(r->conn->bev) : 0;
}

void http_req_end(struct http_req *r)
{
	bool keep = r->head.keep_alive && !r->stuck;

	MUST(r->state == REQ_STREAMING);
	if (r->conn && r->chunked && !r->stuck)
		MUST(bufferevent_write(r->conn->bev, "0\r\n\r\n", 5) == 0);
	req_answered(r, keep);
}

void http_req_kill(struct http_req *r)
{
	struct http_conn *c = r->conn;

	if (c)
		c->req = NULL;
	req_done(r);
	if (c)
		http_conn_drop(c);
}

static struct http_stream *req_take_stream(struct http_req *r)
{
	struct http_conn *c = r->conn;
	struct http_stream *s;
	struct err e;

	if (c) {
		s = http_conn_detach(c);
	} else {
		err_set(&e, ERR_UNREACHABLE, "the client is gone");
		s = http_stream_dead(r->loop, &e);
	}
	req_done(r);
	return s;
}

struct http_stream *http_req_detach(struct http_req *r)
{
	MUST(r->state == REQ_WAITING);
	return req_take_stream(r);
}

struct http_stream *http_req_upgrade(struct http_req *r, const char *proto)
{
	CLEANUP(str_done) struct str head = { 0 };

	MUST(r->state == REQ_WAITING);
	if (r->conn) {
		str_add(&head, "HTTP/1.1 101 Switching Protocols\r\n");
		if (r->extra.len)
			str_addn(&head, r->extra.data, r->extra.len);
		str_addf(&head, "Connection: Upgrade\r\nUpgrade: %s\r\n\r\n", proto);
		MUST(bufferevent_write(r->conn->bev, head.data, head.len) == 0);
	}
	return req_take_stream(r);
}
