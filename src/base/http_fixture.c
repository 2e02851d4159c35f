/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_fixture.h"

#include "base/mem.h"
#include "base/time.h"

bool until(struct fixture *f, const int *counter, int at_least)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (*counter < at_least && time_mono_now() < end)
		loop_step(f->loop, 100);
	return *counter >= at_least;
}

bool until_true(struct fixture *f, const bool *flag)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (!*flag && time_mono_now() < end)
		loop_step(f->loop, 100);
	return *flag;
}

void turns(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		loop_step(f->loop, 5);
}

void make_cert(const char *cn, bool is_ca, int64_t to_ms, const struct key_pair *ca, struct key_pair *ret)
{
	int64_t now = time_wall_now();
	struct cert_spec spec = { .common_name = cn,
		.is_ca = is_ca,
		.server = !is_ca,
		.client = !is_ca,
		.orgs = (const char *const[]){ "system:masters", "second", NULL },
		.dns_names = (const char *const[]){ "server.test", NULL },
		.ip_addrs = (const char *const[]){ "127.0.0.1", NULL },
		.not_before_ms = now - 2 * DAY_MS,
		.not_after_ms = now + to_ms };
	struct err e;

	assert_int_equal(cert_make(&spec, ca, ret, &e), 0);
}

/* ---- handler: what it does is chosen by the path ---- */

static void on_abort(void *arg)
{
	struct fixture *f = arg;

	f->aborts++;
	f->held = NULL;
}

static void on_drained(void *arg)
{
	((struct fixture *)arg)->drains++;
}

static void ctx_free(void *arg)
{
	((struct fixture *)arg)->ctx_freed++;
}

static void raw_data(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	str_addn(&f->raw_in, data, len);
	http_stream_write(f->raw, data, len);
}

static void raw_closed(void *arg, const struct err *e)
{
	struct fixture *f = arg;

	f->raw = NULL;
	f->raw_closed = true;
}

const struct http_stream_ops raw_ops = { .data = raw_data, .closed = raw_closed };

void reply_text(struct http_req *r, const char *text)
{
	http_req_reply(r, 200, "text/plain", text, strlen(text));
}

static void reply_who(struct http_req *r)
{
	const char *cn = "nobody", *issuer = http_req_client_issuer(r);
	const struct strv *orgs = NULL;
	bool has = http_req_client_cert(r, &cn, &orgs);
	CLEANUP(mem_freep)
	char *text = str_printf("%s %s %s", cn, has ? orgs->items[1] : "-", issuer ? issuer : "-");

	reply_text(r, text);
}

static void reply_big(struct http_req *r, size_t len)
{
	CLEANUP(mem_freep) char *text = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 23);
	http_req_reply(r, 200, "text/plain", text, len);
}

static void proxy_done(void *arg)
{
	((struct fixture *)arg)->pipes_done++;
}

/* As the aggregation proxy does: the head goes on to the backend, then bytes both ways. */
static void proxy(struct fixture *f, struct http_req *r)
{
	struct err e;
	struct http_stream *back = http_stream_tcp(f->loop, "127.0.0.1", f->backend_port, &e);
	CLEANUP(mem_freep) char *head = NULL;
	size_t len;

	head = mem_strdup(http_req_head(r, &len));
	str_clear(&f->proxied);
	str_addf(&f->proxied, "GET /up %s", strstr(head, "HTTP/1.1"));
	http_stream_write(back, f->proxied.data, f->proxied.len);
	http_stream_pipe(http_req_detach(r), back, proxy_done, f);
}

void handler(void *arg, struct http_req *r)
{
	struct fixture *f = arg;
	const char *path = http_req_path(r);
	size_t len;

	f->requests++;
	http_req_set_ctx(r, f, ctx_free);
	if (str_eq(path, "/who")) {
		reply_who(r);
	} else if (str_eq(path, "/echo")) {
		const char *body = http_req_body(r, &len);
		http_req_add_header(r, "X-Method", http_req_method(r));
		http_req_add_header(r, "X-Q", http_req_query(r, "q") ? http_req_query(r, "q") : "none");
		http_req_add_header(r, "X-Evil", "a\r\nInjected: yes");
		http_req_reply(r, 200, "text/plain", body, len);
	} else if (str_eq(path, "/big")) {
		reply_big(r, 1000000);
	} else if (str_eq(path, "/huge")) {
		reply_big(r, 16000000);
	} else if (str_eq(path, "/hold")) {
		f->held = r;
		http_req_on_abort(r, on_abort, f);
	} else if (str_eq(path, "/hold-bare")) {
		f->held = r;
	} else if (str_eq(path, "/watch")) {
		f->held = r;
		http_req_on_abort(r, on_abort, f);
		http_req_on_drained(r, on_drained, f);
		http_req_stream(r, 200, "application/json");
	} else if (str_eq(path, "/pack")) {
		f->held = r;
		http_req_compress(r);
		http_req_stream(r, 200, "application/json");
	} else if (str_eq(path, "/up") && http_req_wants_upgrade(r)) {
		f->raw = http_req_upgrade(r, "echo");
		http_stream_start(f->raw, &raw_ops, f);
	} else if (str_eq(path, "/detach")) {
		f->raw = http_req_detach(r);
		http_stream_start(f->raw, &raw_ops, f);
		http_stream_write(f->raw, "HTTP/1.1 299 Own\r\nContent-Length: 0\r\n\r\n", 39);
	} else if (str_eq(path, "/proxy")) {
		proxy(f, r);
	} else if (str_eq(path, "/kill")) {
		http_req_kill(r);
	} else {
		reply_text(r, path);
	}
}

/* ---- client callbacks ---- */

void cl_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct fixture *f = arg;

	f->call = NULL;
	f->h2_call = NULL;
	f->done++;
	f->failed = e ? e->code : ERR_NONE;
	str_copy(f->msg, sizeof(f->msg), e ? e->msg : "");
	if (!r)
		return;
	f->status = r->status;
	if (r->body)
		str_addn(&f->body, r->body, r->len);
	str_clear(&f->headers);
	for (size_t i = 0; i < r->n_headers; i++)
		str_addf(&f->headers, "%s: %s\n", r->headers[i].name, r->headers[i].value);
}

static void cl_head(void *arg, const struct http_response *r)
{
	struct fixture *f = arg;

	f->head_seen = true;
	f->status = r->status;
}

static void cl_data(void *arg, const void *data, size_t len)
{
	str_addn(&((struct fixture *)arg)->body, data, len);
}

static void up_data(void *arg, const void *data, size_t len)
{
	str_addn(&((struct fixture *)arg)->up_in, data, len);
}

static void up_closed(void *arg, const struct err *e)
{
	struct fixture *f = arg;

	f->up = NULL;
	f->up_closed = true;
}

const struct http_stream_ops up_ops = { .data = up_data, .closed = up_closed };

void cl_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	struct fixture *f = arg;

	f->call = NULL;
	f->h2_call = NULL;
	f->done++;
	f->status = r->status;
	f->up = s;
	http_stream_start(s, &up_ops, f);
}

void start_call(struct fixture *f, const struct http_call_spec *spec)
{
	if (f->h2)
		f->h2_call = http2_tc_call(f->h2, spec);
	else
		f->call = http_client_call(f->cl, spec);
}

void cancel_call(struct fixture *f)
{
	if (f->h2)
		http2_tc_cancel(TAKE(f->h2_call));
	else
		http_call_cancel(TAKE(f->call));
}

void pause_call(struct fixture *f, bool paused)
{
	if (f->h2)
		http2_tc_pause(f->h2_call, paused);
	else
		http_call_pause(f->call, paused);
}

bool has_header(const struct fixture *f, const char *line)
{
	return strcasestr(str_cstr(&f->headers), line) != NULL;
}

void start(struct fixture *f, const char *method, const char *path, const char *body)
{
	str_clear(&f->body);
	f->status = 0;
	start_call(f, &(struct http_call_spec){ .method = method,
			      .path = path,
			      .body = body,
			      .len = body ? strlen(body) : 0,
			      .done = cl_done,
			      .arg = f });
}

void call(struct fixture *f, const char *method, const char *path, const char *body)
{
	int want = f->done + 1;

	start(f, method, path, body);
	assert_true(until(f, &f->done, want));
}

void start_stream(struct fixture *f, const char *path)
{
	str_clear(&f->body);
	f->head_seen = false;
	start_call(f, &(struct http_call_spec){ .method = "GET",
			      .path = path,
			      .head = cl_head,
			      .data = cl_data,
			      .done = cl_done,
			      .arg = f });
	assert_true(until_true(f, &f->head_seen));
}

/* ---- fixture ---- */

void use_client(struct fixture *f, struct tls_ctx *tls, int conns_max)
{
	http_client_free(f->cl);
	f->cl = http_client_new(
		f->loop, &(struct http_client_spec){
				 .host = "127.0.0.1", .port = f->port, .tls = tls, .conns_max = conns_max });
}

void use_server_spec(struct fixture *f, const struct http_server_spec *spec)
{
	struct http_server_spec mine = *spec;
	struct err e;

	http_server_free(f->srv);
	mine.handler = handler;
	mine.arg = f;
	f->srv = http_server_new(f->loop, &mine);
	assert_int_equal(http_server_listen(f->srv, NULL, 0, &f->port, &e), 0);
}

void use_server(struct fixture *f, struct tls_ctx *tls)
{
	use_server_spec(f, &(struct http_server_spec){ .tls = tls });
}

struct tls_ctx *client_tls(const char *ca, const struct key_pair *kp, const char *name, const char *alpn)
{
	struct err e;
	struct tls_ctx *t = tls_client_new(&(struct tls_client_spec){ .ca_pem = ca,
						   .cert_pem = kp ? kp->cert_pem : NULL,
						   .key_pem = kp ? kp->key_pem : NULL,
						   .server_name = name,
						   .alpn = alpn },
		&e);

	assert_non_null(t);
	return t;
}

void use_h2(struct fixture *f, const struct key_pair *kp)
{
	CLEANUP(tls_unrefp) struct tls_ctx *tls = client_tls(f->ca.cert_pem, kp, NULL, "h2");

	http2_tc_free(f->h2);
	f->h2 = http2_tc_new(f->loop, f->port, tls);
}

int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->loop = loop_new();
	use_server(f, NULL);
	use_client(f, NULL, 0);
	*state = f;
	return 0;
}

int setup_tls(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	CLEANUP(str_done) struct str bundle = { 0 };
	struct err e;

	f->loop = loop_new();
	make_cert("ca", true, DAY_MS, NULL, &f->ca);
	make_cert("other ca", true, DAY_MS, NULL, &f->other_ca);
	make_cert("server", false, DAY_MS, &f->ca, &f->server);
	make_cert("alice", false, DAY_MS, &f->other_ca, &f->client);
	make_cert("bob", false, -DAY_MS, &f->other_ca, &f->expired);
	str_addf(&bundle, "%s%s", f->ca.cert_pem, f->other_ca.cert_pem);
	f->server_tls = tls_server_new(
		&(struct tls_server_spec){ f->server.cert_pem, f->server.key_pem, str_cstr(&bundle) }, &e);
	assert_non_null(f->server_tls);
	use_server(f, f->server_tls);
	*state = f;
	return 0;
}

int setup_h2(void **state)
{
	if (setup_tls(state) != 0)
		return -1;
	use_h2(*state, NULL);
	return 0;
}

int teardown(void **state)
{
	struct fixture *f = *state;
	bool tls = f->server_tls != NULL;

	http_client_free(f->cl);
	if (f->up)
		http_stream_close(f->up);
	http2_tc_free(TAKE(f->h2));
	turns(f, tls ? 20 : 5); /* until what closes in the background has closed */
	if (f->raw)
		http_stream_close(f->raw);
	http_server_free(f->srv);
	turns(f, tls ? 20 : 5);
	tls_unref(f->server_tls);
	key_pair_done(&f->ca);
	key_pair_done(&f->other_ca);
	key_pair_done(&f->server);
	key_pair_done(&f->client);
	key_pair_done(&f->expired);
	str_done(&f->raw_in);
	str_done(&f->proxied);
	str_done(&f->up_in);
	str_done(&f->body);
	str_done(&f->headers);
	loop_free(f->loop);
	free(f);
	return 0;
}

char *raw_talk(struct fixture *f, const char *text, size_t len)
{
	struct fixture r = { .loop = f->loop };
	int64_t quiet_since = loop_mono_ms(f->loop);
	struct err e;

	r.up = http_stream_tcp(f->loop, "127.0.0.1", f->port, &e);
	assert_non_null(r.up);
	http_stream_start(r.up, &up_ops, &r);
	http_stream_write(r.up, text, len);
	while (!r.up_closed && loop_mono_ms(f->loop) - quiet_since < QUIET_MS) {
		size_t before = r.up_in.len + http_stream_pending(r.up);

		loop_step(f->loop, 20);
		if (r.up && r.up_in.len + http_stream_pending(r.up) != before)
			quiet_since = loop_mono_ms(f->loop);
	}
	if (r.up)
		http_stream_close(r.up);
	return str_take(&r.up_in);
}
