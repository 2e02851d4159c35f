/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/http_conn.h"
#include "base/mem.h"

#include <event2/bufferevent_ssl.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define GZIP_FROM (128 * 1024) /* kubernetes-api.md 2.10: bodies larger than this */
#define GZIP_LEVEL 1
#define GZIP_PIECE (64 * 1024)

/* ---- compression ---- */

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

/* A stream being compressed: what is written gathers until the compressor gives something out. */
struct http_gzip {
	z_stream z;
	struct str out;
};

static struct http_gzip *gzip_new(void)
{
	struct http_gzip *g = MEM_NEW(struct http_gzip);

	MUST(deflateInit2(&g->z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	return g;
}

static void gzip_free(struct http_gzip *g)
{
	deflateEnd(&g->z);
	str_done(&g->out);
	free(g);
}

static void gzip_add(struct http_gzip *g, const void *data, size_t len, int flush)
{
	int rc;

	g->z.next_in = (Bytef *)data;
	g->z.avail_in = (uInt)len;
	do {
		str_reserve(&g->out, GZIP_PIECE);
		g->z.next_out = (Bytef *)g->out.data + g->out.len;
		g->z.avail_out = GZIP_PIECE;
		rc = deflate(&g->z, flush);
		MUST(rc != Z_STREAM_ERROR);
		g->out.len += GZIP_PIECE - g->z.avail_out;
	} while (g->z.avail_out == 0);
}

/* ---- life ---- */

void http_req_free(struct http_req *r)
{
	if (r->ctx_free)
		r->ctx_free(r->ctx);
	http_head_done(&r->head);
	free(r->path);
	free(r->raw_head);
	if (r->gzip)
		gzip_free(r->gzip);
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

void http_req_attach(struct http_req *r, struct http_conn *c)
{
	r->conn = c;
	(void)str_copy(r->peer, sizeof(r->peer), c->peer ? c->peer : "unknown");
}

int http_req_set_target(struct http_req *r, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 };
	const char *t = r->head.target, *q = strchr(t, '?');

	if (url_decode(t, q ? (size_t)(q - t) : strlen(t), false, &path, e) < 0)
		return -1;
	r->path = str_take(&path);
	return q ? url_query_parse(q + 1, &r->query, e) : 0;
}

/* Made when asked for, which is rare. */
const char *http_req_head(const struct http_req *r, size_t *ret_len)
{
	struct http_req *m = (struct http_req *)r;
	struct str head = { 0 };
	struct http_header h;

	if (!r->raw_head) {
		str_addf(&head, "%s %s HTTP/1.%d\r\n", r->head.method, r->head.target, r->head.minor);
		for (size_t i = 0; http_req_header_each(r, &i, &h);)
			str_addf(&head, "%s: %s\r\n", h.name, h.value);
		str_add(&head, "\r\n");
		m->raw_head = str_take(&head);
	}
	*ret_len = strlen(r->raw_head);
	return r->raw_head;
}

const char *http_req_peer(const struct http_req *r)
{
	return r->peer;
}

static const struct peer_cert *req_cert(const struct http_req *r)
{
	struct http_conn *c = r->conn;
	struct peer_cert *p;
	SSL *ssl;

	if (!c || c->cert_known || !c->bev)
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

void http_req_on_answer(struct http_req *r, http_answer_fn *fn, void *arg)
{
	r->answer_fn = fn;
	r->answer_arg = arg;
}

static void req_answers(struct http_req *r, int status)
{
	http_answer_fn *fn = r->answer_fn;

	r->answer_fn = NULL;
	if (fn)
		fn(r->answer_arg, status);
}

void http_req_on_drained(struct http_req *r, loop_fn *fn, void *arg)
{
	r->drained_fn = fn;
	r->drained_arg = arg;
}

/* ---- the answer ---- */

void http_req_add_header(struct http_req *r, const char *name, const char *value)
{
	MUST(http_is_token(name));
	r->extra_type |= strcasecmp(name, "Content-Type") == 0;
	r->extra_encoding |= strcasecmp(name, "Content-Encoding") == 0;
	str_add(&r->extra, name);
	str_add(&r->extra, ": ");
	/* values come from objects, so from users: no line of theirs becomes a header */
	for (; *value; value++)
		str_addc(&r->extra, (unsigned char)*value < 0x20 || *value == 0x7f ? ' ' : *value);
	str_add(&r->extra, "\r\n");
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

void http_req_reply(struct http_req *r, int status, const char *type, const void *body, size_t len)
{
	CLEANUP(str_done) struct str packed = { 0 };
	bool no_body = status < 200 || status == 204 || status == 304;
	struct http_answer a = { .status = status, .body = body, .len = len, .tell_length = !no_body };

	MUST(r->state == REQ_WAITING);
	req_answers(r, status);
	if (r->conn) {
		a.type = len && !r->extra_type ? type : NULL;
		a.no_body = no_body || str_eq(r->head.method, "HEAD");
		if (len > GZIP_FROM && !r->extra_encoding && takes_gzip(r) && gzip(body, len, &packed)) {
			a.gzip = true;
			a.body = packed.data;
			a.len = packed.len;
		}
		r->conn->framing->reply(r->conn, r, &a);
	}
	req_done(r);
}

void http_req_compress(struct http_req *r)
{
	MUST(r->state == REQ_WAITING);
	r->compress = true;
}

void http_req_stream(struct http_req *r, int status, const char *type)
{
	MUST(r->state == REQ_WAITING);
	req_answers(r, status);
	r->state = REQ_STREAMING;
	if (!r->conn)
		return;
	if (r->compress && !r->extra_encoding && takes_gzip(r))
		r->gzip = gzip_new();
	r->conn->framing->stream(r->conn, r, status, r->extra_type ? NULL : type);
	/* it may last for hours */
	str_done(&r->extra);
	str_done(&r->body);
}

static void req_write(struct http_req *r, const void *data, size_t len)
{
	const struct http_framing *f = r->conn->framing;

	if (f->pending(r->conn, r) > HTTP_STREAM_BUFFER_MAX) {
		r->stuck = true;
		f->stuck(r->conn, r);
	} else if (len) {
		f->write(r->conn, r, data, len);
	}
}

void http_req_write(struct http_req *r, const void *data, size_t len)
{
	MUST(r->state == REQ_STREAMING);
	if (!r->conn || !len || r->stuck)
		return;
	if (str_eq(r->head.method, "HEAD")) {
		r->conn->framing->nudge(r->conn, r);
		return;
	}
	if (!r->gzip) {
		req_write(r, data, len);
		return;
	}
	gzip_add(r->gzip, data, len, Z_NO_FLUSH);
	if (r->gzip->out.len < GZIP_PIECE) {
		if (!http_req_pending(r))
			r->conn->framing->nudge(r->conn, r);
		return;
	}
	req_write(r, r->gzip->out.data, r->gzip->out.len);
	str_clear(&r->gzip->out);
}

size_t http_req_pending(const struct http_req *r)
{
	return r->conn ? r->conn->framing->pending(r->conn, r) : 0;
}

void http_req_end(struct http_req *r)
{
	MUST(r->state == REQ_STREAMING);
	if (r->conn && r->gzip && !r->stuck && !str_eq(r->head.method, "HEAD")) {
		gzip_add(r->gzip, NULL, 0, Z_FINISH);
		req_write(r, r->gzip->out.data, r->gzip->out.len);
	}
	if (r->conn)
		r->conn->framing->end(r->conn, r);
	req_done(r);
}

void http_req_kill(struct http_req *r)
{
	if (r->conn)
		r->conn->framing->kill(r->conn, r);
	req_done(r);
}

static struct http_stream *req_take_stream(struct http_req *r, const char *proto)
{
	struct http_stream *s = NULL;
	struct err e;

	MUST(r->state == REQ_WAITING);
	if (r->conn)
		s = r->conn->framing->detach(r->conn, r, proto);
	if (!s) {
		err_set(&e, ERR_UNREACHABLE, "the client is gone");
		s = http_stream_dead(r->loop, &e);
	}
	req_done(r);
	return s;
}

struct http_stream *http_req_detach(struct http_req *r)
{
	return req_take_stream(r, NULL);
}

struct http_stream *http_req_upgrade(struct http_req *r, const char *proto)
{
	req_answers(r, 101);
	return req_take_stream(r, proto);
}
