/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/request/request.h"

#include "base/mem.h"
#include "base/url.h"
#include "base/ws.h"
#include "platform/codec/codec.h"
#include "platform/request/reqinfo.h"
#include "platform/request/request_impl.h"

#include <stdarg.h>
#include <string.h>

#define EVENT_LENGTH 4 /* before each event of a watch in protobuf */

struct query_param {
	char *name, *value;
};
/* A request of the same program: what came in, and what goes back when the loop turns. */
struct inproc {
	struct kube_request in;
	char *method, *raw_path, *path, *content_type, *accept, *body;
	struct query_param *params;
	size_t n_params, cap_params;
	request_serve_fn *serve;
	void *serve_arg;
	struct loop_timer *timer, *timeout;
	struct str out;
	int status;
	bool served, ended, killed, flushing, cancelled;
};
/* Events as frames. The HTTP request ended with the upgrade: what was asked lives on as that of one in process. */
struct sockets {
	struct ws *ws;
	enum ws_kind kind;
	char *agent;
	loop_fn *drained_fn;
	void *drained_arg;
};
struct request {
	struct loop *loop;
	struct http_req *http;
	struct inproc *in;
	struct sockets *socket; /* then in, not http */
	struct user user;
	loop_fn *abort_fn;
	void *abort_arg;
	request_status_fn *status_fn;
	void *status_arg;
	void (*end_fn)(void *arg, struct request *r);
	void *end_arg;
	int64_t started;
	char *verb, *resource;
	struct audit_note *audit;
	struct reqinfo *info;
};

/* ---- life ---- */
static void inproc_free(struct inproc *in)
{
	for (size_t i = 0; i < in->n_params; i++) {
		free(in->params[i].name);
		free(in->params[i].value);
	}
	free(in->params);
	loop_timer_free(in->timer);
	loop_timer_free(in->timeout);
	str_done(&in->out);
	free(in->method);
	free(in->raw_path);
	free(in->path);
	free(in->content_type);
	free(in->accept);
	free(in->body);
	free(in);
}

static void request_status(struct request *r, int status)
{
	request_status_fn *fn = r->status_fn;

	r->status_fn = NULL;
	if (fn)
		fn(r->status_arg, r, status);
}

static void request_free(void *arg)
{
	struct request *r = arg;

	request_status(r, 0);
	if (r->end_fn)
		r->end_fn(r->end_arg, r);
	if (r->in)
		inproc_free(r->in);
	if (r->socket)
		free(r->socket->agent);
	free(r->socket);
	user_done(&r->user);
	free(r->verb);
	free(r->resource);
	reqinfo_free(r->info);
	free(r);
}

static void request_aborted(void *arg)
{
	struct request *r = arg;
	loop_fn *fn = r->abort_fn;

	r->abort_fn = NULL;
	if (fn)
		fn(r->abort_arg);
}

/* A node's agent answers without asking us. */
static void request_answers(void *arg, int status)
{
	request_status(arg, status);
}

struct request *request_new_http(struct loop *l, struct http_req *h)
{
	struct request *r = MEM_NEW(struct request);

	r->loop = l;
	r->http = h;
	r->started = loop_mono_ms(l);
	http_req_set_ctx(h, r, request_free);
	http_req_on_abort(h, request_aborted, r);
	http_req_on_answer(h, request_answers, r);
	return r;
}

/* ---- in process ---- */
static void inproc_add_param(struct inproc *in, const char *s, size_t n)
{
	const char *eq = memchr(s, '=', n);
	size_t name = eq ? (size_t)(eq - s) : n;

	if (n == 0)
		return;
	in->params = mem_grow(in->params, &in->cap_params, in->n_params + 1, sizeof(*in->params));
	in->params[in->n_params].name = url_decoded(s, name, true);
	in->params[in->n_params++].value = eq ? url_decoded(eq + 1, n - name - 1, true) : mem_strdup("");
}

static void inproc_parse_path(struct inproc *in, const char *raw)
{
	size_t path = strcspn(raw, "?");
	const char *q = raw + path;

	in->raw_path = mem_strdup(raw);
	in->path = url_decoded(raw, path, false);
	while (*q) {
		size_t n = strcspn(++q, "&");

		inproc_add_param(in, q, n);
		q += n;
	}
}

/* Hands over what has gathered. The client may cancel from within its callbacks. */
static void inproc_flush(struct request *r)
{
	struct inproc *in = r->in;
	struct err e = { 0 };

	in->flushing = true;
	if (in->in.stream && in->out.len > 0 && in->in.data && !in->killed) {
		struct str out = in->out;

		in->out = (struct str){ 0 };
		in->in.data(in->in.arg, in->status, out.data, out.len);
		str_done(&out);
	}
	in->flushing = false;
	if (in->ended && !in->cancelled) {
		if (in->killed)
			err_set(&e, ERR_UNREACHABLE, "the server dropped the connection");
		in->flushing = true;
		in->in.done(in->in.arg, in->status, in->in.stream ? NULL : str_cstr(&in->out),
			in->in.stream ? 0 : in->out.len, in->killed ? &e : NULL);
		in->cancelled = true;
	}
	if (in->cancelled)
		request_free(r);
}

static void inproc_timer(void *arg)
{
	struct request *r = arg;

	if (r->in->served) {
		inproc_flush(r);
		return;
	}
	r->in->served = true;
	r->in->serve(r->in->serve_arg, r);
}

static void inproc_wake(struct request *r)
{
	if (!r->in->cancelled && !loop_timer_armed(r->in->timer))
		loop_timer_set(r->in->timer, 0);
}

static void inproc_timed_out(void *arg)
{
	struct request *r = arg;

	if (r->in->ended)
		return;
	request_aborted(r);
	r->in->killed = r->in->ended = true;
	inproc_wake(r);
}

struct inproc_transport {
	struct loop *loop;
	request_serve_fn *serve;
	void *arg;
	struct user user;
};

static void *inproc_call(void *self, const struct kube_request *k)
{
	struct inproc_transport *t = self;
	struct request *r = MEM_NEW(struct request);
	struct inproc *in = MEM_NEW(struct inproc);

	r->loop = t->loop;
	r->in = in;
	r->started = loop_mono_ms(t->loop);
	user_copy(&r->user, &t->user);
	in->in = *k;
	in->method = mem_strdup(k->method);
	inproc_parse_path(in, k->path);
	in->content_type = k->content_type ? mem_strdup(k->content_type) : NULL;
	in->accept = k->accept ? mem_strdup(k->accept) : NULL;
	in->body = mem_alloc(k->len + 1);
	if (k->len > 0)
		memcpy(in->body, k->body, k->len);
	in->body[k->len] = '\0';
	in->serve = t->serve;
	in->serve_arg = t->arg;
	in->timer = loop_timer_new(t->loop, inproc_timer, r);
	loop_timer_set(in->timer, 0);
	if (k->timeout_ms > 0) {
		in->timeout = loop_timer_new(t->loop, inproc_timed_out, r);
		loop_timer_set(in->timeout, k->timeout_ms);
	}
	return r;
}

static void inproc_cancel(void *self, void *handle)
{
	struct request *r = handle;

	(void)self;
	if (r->in->cancelled)
		return;
	r->in->cancelled = true;
	if (!r->in->ended)
		request_aborted(r);
	if (!r->in->flushing)
		request_free(r);
}

static void inproc_transport_free(void *self)
{
	struct inproc_transport *t = self;

	user_done(&t->user);
	free(t);
}

struct kube_transport request_transport(struct loop *l, request_serve_fn *fn, void *arg, const struct user *u)
{
	struct inproc_transport *t = MEM_NEW(struct inproc_transport);

	t->loop = l;
	t->serve = fn;
	t->arg = arg;
	user_copy(&t->user, u);
	return (struct kube_transport){ t, inproc_call, inproc_cancel, inproc_transport_free };
}

/* ---- what was asked ---- */
const char *request_method(const struct request *r)
{
	return r->http ? http_req_method(r->http) : r->in->method;
}

const char *request_path(const struct request *r)
{
	return r->http ? http_req_path(r->http) : r->in->path;
}

const char *request_raw_path(const struct request *r)
{
	return r->http ? http_req_raw_path(r->http) : r->in->raw_path;
}

const char *request_query(const struct request *r, const char *name)
{
	if (r->http)
		return http_req_query(r->http, name);
	for (size_t i = 0; i < r->in->n_params; i++)
		if (str_eq(r->in->params[i].name, name))
			return r->in->params[i].value;
	return NULL;
}

bool request_query_each(const struct request *r, size_t *i, const char **ret_name, const char **ret_value)
{
	if (r->http)
		return http_req_query_each(r->http, i, ret_name, ret_value);
	if (*i >= r->in->n_params)
		return false;
	*ret_name = r->in->params[*i].name;
	*ret_value = r->in->params[(*i)++].value;
	return true;
}

const char *request_header(const struct request *r, const char *name)
{
	if (r->http)
		return http_req_header(r->http, name);
	if (strcasecmp(name, "Content-Type") == 0)
		return r->in->content_type;
	if (strcasecmp(name, "Accept") == 0)
		return r->in->accept;
	if (strcasecmp(name, "User-Agent") == 0)
		return r->socket ? r->socket->agent : "coracle/" CORACLE_VERSION;
	return NULL;
}

const char *request_body(const struct request *r, size_t *ret_len)
{
	if (r->http)
		return http_req_body(r->http, ret_len);
	*ret_len = r->in->in.len;
	return r->in->body;
}

const struct user *request_user(const struct request *r)
{
	return &r->user;
}

struct user *request_user_mut(struct request *r)
{
	return &r->user;
}

struct http_req *request_http(const struct request *r)
{
	return r->http;
}

bool request_in_process(const struct request *r)
{
	return r->in != NULL && !r->socket;
}

struct loop *request_loop(const struct request *r)
{
	return r->loop;
}

int64_t request_started_ms(const struct request *r)
{
	return r->started;
}

void request_on_status(struct request *r, request_status_fn *fn, void *arg)
{
	r->status_fn = fn;
	r->status_arg = arg;
}

void request_on_end(struct request *r, void (*fn)(void *arg, struct request *r), void *arg)
{
	r->end_fn = fn;
	r->end_arg = arg;
}

void request_set_label(struct request *r, const char *verb, const char *resource)
{
	free(r->verb);
	free(r->resource);
	r->verb = mem_strdup(verb);
	r->resource = mem_strdup(resource);
}

const struct reqinfo *request_info(struct request *r)
{
	if (!r->info)
		r->info = reqinfo_new(r);
	return r->info;
}

void request_set_audit(struct request *r, struct audit_note *n)
{
	r->audit = n;
}

struct audit_note *request_audit(const struct request *r)
{
	return r->audit;
}

const char *request_label_verb(const struct request *r)
{
	return r->verb ? r->verb : "";
}

const char *request_label_resource(const struct request *r)
{
	return r->resource ? r->resource : "";
}

/* ---- answering ---- */
void request_add_header(struct request *r, const char *name, const char *value)
{
	if (r->http)
		http_req_add_header(r->http, name, value);
}

/* RFC 7234 warning text: quoted, control characters dropped, bounded so that a hostile object can not fill the head. */
#define WARNING_MAX 512
void request_warn(struct request *r, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 }, header = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	str_add(&header, "299 - \"");
	for (size_t i = 0; i < text.len && i < WARNING_MAX; i++) {
		char c = text.data[i];

		if (c == '"' || c == '\\')
			str_addc(&header, '\\');
		str_addc(&header, (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c);
	}
	str_addc(&header, '"');
	request_add_header(r, "Warning", header.data);
}

void request_reply(struct request *r, int status, const char *type, const void *body, size_t len)
{
	r->abort_fn = NULL;
	request_status(r, status);
	if (r->http) {
		http_req_reply(r->http, status, type, body, len);
		return;
	}
	r->in->status = status;
	if (len > 0)
		str_addn(&r->in->out, body, len);
	r->in->ended = true;
	inproc_wake(r);
}

void request_reply_json(struct request *r, int status, const struct json *v)
{
	static const char *const offers[] = { "application/json", PROTOBUF_TYPE };
	CLEANUP(str_done) struct str out = { 0 };

	if (request_accept(r, offers, ARRAY_LEN(offers)) == 1 && protobuf_encode(v, &out)) {
		request_reply(r, status, PROTOBUF_TYPE, out.data, out.len);
		return;
	}
	json_write_to(v, &out);
	str_addc(&out, '\n');
	request_reply(r, status, "application/json", out.data, out.len);
}

void request_reply_text(struct request *r, int status, const char *text)
{
	request_reply(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

void request_reply_obj(struct request *r, int status, const struct obj *o)
{
	size_t len;
	const char *text = obj_text(o, &len);

	request_reply(r, status, "application/json", text, len);
}

void request_fail(struct request *r, const struct err *e, const struct kind *k, const char *name,
	const struct causes *c)
{
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(e, k, name, c);

	request_reply_json(r, err_http(e->code), json_root(d));
}

void request_compress(struct request *r)
{
	if (r->http)
		http_req_compress(r->http);
}

void request_stream(struct request *r, int status, const char *type)
{
	request_status(r, status);
	if (r->http)
		http_req_stream(r->http, status, type);
	else
		r->in->status = status;
}

/* ---- events in a WebSocket (kubernetes-api.md 2.7) ---- */
static void socket_closed(void *arg, const struct err *e)
{
	(void)e;
	request_aborted(arg);
	request_free(arg);
}

static void socket_drained(void *arg)
{
	const struct sockets *s = ((struct request *)arg)->socket;

	if (s->drained_fn)
		s->drained_fn(s->drained_arg);
}

/* Watchers have nothing to say. */
static void socket_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	(void)arg, (void)kind, (void)data, (void)len;
}

static const struct ws_ops socket_ops = {
	.message = socket_message, .closed = socket_closed, .drained = socket_drained
};

/* Any that a client offers is fine, but for the one that is its token: frames are the same. */
static char *protocol_of(const struct request *r)
{
	const char *p = request_header(r, "Sec-WebSocket-Protocol");
	size_t n;

	for (; p && *(p += strspn(p, ", ")); p += n) {
		n = strcspn(p, ", ");
		if (!str_starts(p, "base64url.bearer.authorization.k8s.io."))
			return mem_strndup(p, n);
	}
	return NULL;
}

static char *copy_of_header(const struct request *r, const char *name)
{
	const char *v = request_header(r, name);

	return v ? mem_strdup(v) : NULL;
}

static bool socket_begin(struct request *r, bool binary)
{
	CLEANUP(mem_freep) char *protocol = protocol_of(r);
	const char *const ours[] = { protocol, NULL };
	struct http_req *h = r->http;
	struct inproc *in = MEM_NEW(struct inproc);
	struct sockets *s = MEM_NEW(struct sockets);
	struct err e;

	in->method = mem_strdup(request_method(r));
	inproc_parse_path(in, request_raw_path(r));
	in->accept = copy_of_header(r, "Accept");
	s->agent = copy_of_header(r, "User-Agent");
	s->kind = binary ? WS_BINARY : WS_TEXT;
	http_req_set_ctx(h, r, NULL); /* r outlives it */
	http_req_on_abort(h, NULL, NULL);
	s->ws = ws_accept(h, ours, NULL, &e);
	if (!s->ws) { /* offers its token alone */
		http_req_set_ctx(h, r, request_free);
		http_req_on_abort(h, request_aborted, r);
		inproc_free(in);
		free(s->agent);
		free(s);
		return false;
	}
	r->http = NULL;
	r->in = in;
	r->socket = s;
	ws_start(s->ws, &socket_ops, r);
	return true;
}

void request_stream_events(struct request *r, int status, const char *type)
{
	if (!r->http || !ws_wanted(r->http) || !socket_begin(r, str_starts(type, PROTOBUF_TYPE)))
		request_stream(r, status, type);
}

static void socket_end(struct request *r, int code)
{
	ws_close(r->socket->ws, code);
	request_free(r);
}

void request_write(struct request *r, const void *data, size_t len)
{
	if (r->socket) {
		/* a frame says how long it is; the events of protobuf say so themselves, too */
		size_t skip = r->socket->kind == WS_BINARY && len > EVENT_LENGTH ? EVENT_LENGTH : 0;

		ws_send(r->socket->ws, r->socket->kind, (const char *)data + skip, len - skip);
		return;
	}
	if (r->http) {
		http_req_write(r->http, data, len);
		return;
	}
	str_addn(&r->in->out, data, len);
	inproc_wake(r);
}

size_t request_pending(const struct request *r)
{
	if (r->socket)
		return ws_pending(r->socket->ws);
	return r->http ? http_req_pending(r->http) : 0;
}

void request_on_drained(struct request *r, loop_fn *fn, void *arg)
{
	if (r->http) {
		http_req_on_drained(r->http, fn, arg);
	} else if (r->socket) {
		r->socket->drained_fn = fn;
		r->socket->drained_arg = arg;
	}
}

void request_end(struct request *r)
{
	r->abort_fn = NULL;
	if (r->http) {
		http_req_end(r->http);
		return;
	}
	if (r->socket) {
		socket_end(r, 1000);
		return;
	}
	r->in->ended = true;
	inproc_wake(r);
}

void request_kill(struct request *r)
{
	r->abort_fn = NULL;
	if (r->http) {
		http_req_kill(r->http);
		return;
	}
	if (r->socket) {
		socket_end(r, 1001);
		return;
	}
	r->in->ended = r->in->killed = true;
	inproc_wake(r);
}

bool request_abandon(struct request *r)
{
	if (!r->abort_fn)
		return false;
	request_aborted(r);
	return true;
}

void request_on_abort(struct request *r, loop_fn *fn, void *arg)
{
	r->abort_fn = fn;
	r->abort_arg = arg;
}
