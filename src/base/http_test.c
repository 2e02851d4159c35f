/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 10000
#define QUIET_MS 300
#define DAY_MS INT64_C(86400000)

/* One loop with a server and what its handler saw; every test drives it by waiting for a condition. */
struct fixture {
	struct loop *loop;
	struct key_pair ca, other_ca, server, client, expired;
	struct tls_ctx *server_tls;
	struct http_server *srv;
	struct http_client *cl;
	int port;
	/* handler */
	struct http_req *held;
	struct http_stream *raw;
	int requests, aborts, drains, ctx_freed;
	struct str raw_in, proxied;
	bool raw_closed;
	int pipes_done, backend_port;
	/* client */
	int status, done;
	enum err_code failed;
	char msg[ERR_MSG_MAX];
	struct str body, headers;
	bool head_seen;
	struct http_call *call;
	struct http_stream *up;
	struct str up_in;
	bool up_closed;
};

static bool until(struct fixture *f, const int *counter, int at_least)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (*counter < at_least && time_mono_now() < end)
		loop_step(f->loop, 100);
	return *counter >= at_least;
}

static bool until_true(struct fixture *f, const bool *flag)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (!*flag && time_mono_now() < end)
		loop_step(f->loop, 100);
	return *flag;
}

static void turns(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		loop_step(f->loop, 5);
}

static void make_cert(
	const char *cn, bool is_ca, int64_t to_ms, const struct key_pair *ca, struct key_pair *ret)
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

static const struct http_stream_ops raw_ops = { .data = raw_data, .closed = raw_closed };

static void reply_text(struct http_req *r, const char *text)
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

static void handler(void *arg, struct http_req *r)
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

static void cl_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct fixture *f = arg;

	f->call = NULL;
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

static const struct http_stream_ops up_ops = { .data = up_data, .closed = up_closed };

static void cl_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	struct fixture *f = arg;

	f->call = NULL;
	f->done++;
	f->status = r->status;
	f->up = s;
	http_stream_start(s, &up_ops, f);
}

static void start(struct fixture *f, const char *method, const char *path, const char *body)
{
	str_clear(&f->body);
	f->status = 0;
	f->call = http_client_call(f->cl, &(struct http_call_spec){ .method = method,
						  .path = path,
						  .body = body,
						  .len = body ? strlen(body) : 0,
						  .done = cl_done,
						  .arg = f });
}

static void call(struct fixture *f, const char *method, const char *path, const char *body)
{
	int want = f->done + 1;

	start(f, method, path, body);
	assert_true(until(f, &f->done, want));
}

static void start_stream(struct fixture *f, const char *path)
{
	str_clear(&f->body);
	f->head_seen = false;
	f->call = http_client_call(f->cl, &(struct http_call_spec){ .method = "GET",
						  .path = path,
						  .head = cl_head,
						  .data = cl_data,
						  .done = cl_done,
						  .arg = f });
	assert_true(until_true(f, &f->head_seen));
}

/* ---- fixture ---- */

static void use_client(struct fixture *f, struct tls_ctx *tls, int conns_max)
{
	http_client_free(f->cl);
	f->cl = http_client_new(
		f->loop, &(struct http_client_spec){
				 .host = "127.0.0.1", .port = f->port, .tls = tls, .conns_max = conns_max });
}

static void use_server(struct fixture *f, struct tls_ctx *tls)
{
	struct err e;

	http_server_free(f->srv);
	f->srv = http_server_new(
		f->loop, &(struct http_server_spec){ .tls = tls, .handler = handler, .arg = f });
	assert_int_equal(http_server_listen(f->srv, NULL, 0, &f->port, &e), 0);
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->loop = loop_new();
	use_server(f, NULL);
	use_client(f, NULL, 0);
	*state = f;
	return 0;
}

static int setup_tls(void **state)
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

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->cl);
	if (f->up)
		http_stream_close(f->up);
	turns(f, 5);
	if (f->raw)
		http_stream_close(f->raw);
	http_server_free(f->srv);
	turns(f, 5);
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

/* Writes bytes on a connection of its own and collects the answer until the server closes or falls silent. */
static char *raw_talk(struct fixture *f, const char *text, size_t len)
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

#define assert_talk(f, text, part)                                               \
	do {                                                                     \
		CLEANUP(mem_freep) char *got_ = raw_talk(f, text, strlen(text)); \
		if (!strstr(got_, part))                                         \
			fail_msg("no \"%s\" in: %s", part, got_);                \
	} while (0)

/* ---- plain HTTP ---- */

static void a_call_is_answered_and_the_connection_used_again(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		call(f, "GET", "/hello%20there", NULL);
		assert_int_equal(f->status, 200);
		assert_string_equal(str_cstr(&f->body), "/hello there");
	}
	assert_int_equal(http_server_conns(f->srv), 1);
	assert_int_equal(f->ctx_freed, 3);
}

static void bodies_queries_and_headers_arrive(void **state)
{
	struct fixture *f = *state;

	call(f, "POST", "/echo?a=1&q=x%2By+z&q=second", "the body");
	assert_string_equal(str_cstr(&f->body), "the body");
	assert_non_null(strstr(str_cstr(&f->headers), "X-Method: POST\n"));
	assert_non_null(strstr(str_cstr(&f->headers), "X-Q: x+y z\n"));
	assert_null(strstr(str_cstr(&f->headers), "\nInjected:"));
}

static void a_large_answer_comes_whole(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/big", NULL);
	assert_int_equal(f->body.len, 1000000);
	for (size_t i = 0; i < f->body.len; i++)
		assert_int_equal(f->body.data[i], 'a' + i % 23);
}

static void head_has_no_body(void **state)
{
	struct fixture *f = *state;

	call(f, "HEAD", "/big", NULL);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->body.len, 0);
	assert_non_null(strstr(str_cstr(&f->headers), "Content-Length: 1000000\n"));
	call(f, "GET", "/next", NULL);
	assert_string_equal(str_cstr(&f->body), "/next");
	assert_int_equal(http_server_conns(f->srv), 1);
}

/* kubernetes-api.md 2.10: gzip above 128 KiB for who takes it */
static void large_answers_are_compressed_on_request(void **state)
{
	struct fixture *f = *state;

	assert_talk(f,
		"GET /big HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\nConnection: close\r\n\r\n",
		"Content-Encoding: gzip\r\n");
	assert_talk(f,
		"GET /big HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0\r\nConnection: close\r\n\r\n",
		"Content-Length: 1000000\r\n");
	assert_talk(f, "GET /x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
		"Content-Length: 2\r\n");
}

static void calls_beyond_the_pool_wait_their_turn(void **state)
{
	struct fixture *f = *state;

	use_client(f, NULL, 2);
	for (int i = 0; i < 20; i++)
		start(f, "GET", "/x", NULL);
	assert_true(until(f, &f->done, 20));
	assert_int_equal(f->failed, ERR_NONE);
	assert_true(http_server_conns(f->srv) <= 2);
}

static void pipelined_requests_are_served_in_order(void **state)
{
	struct fixture *f = *state;
	const char *text = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: "
			   "a\r\nContent-Length: 2\r\n\r\nab"
			   "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	CLEANUP(mem_freep) char *got = raw_talk(f, text, strlen(text));
	char *one = strstr(got, "\r\n/1"), *two = strstr(got, "\r\nab"), *three = strstr(got, "\r\n/3");

	assert_true(one && two && three && one < two && two < three);
}

static void a_body_is_asked_for_with_100_continue(void **state)
{
	struct fixture *f = *state;

	assert_talk(f, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n");
}

static void chunked_bodies_are_put_together(void **state)
{
	struct fixture *f = *state;

	assert_talk(f,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		"3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
		"\r\n\r\nabc0123456789");
}

/* What two parsers could read in two ways is refused. */
static void ambiguous_requests_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_talk(f,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 400 ");
	assert_talk(f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 400 ");
	assert_talk(f, "GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 ");
	assert_talk(f, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400 ");
	assert_talk(f, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", "HTTP/1.1 400 ");
	assert_talk(f, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 ");
	assert_talk(f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "HTTP/1.1 400 ");
	assert_talk(
		f, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501 ");
	assert_talk(
		f, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc", "HTTP/1.1 400 ");
	assert_talk(f, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ");
	assert_talk(f, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ");
	assert_talk(f, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ");
	assert_int_equal(f->requests, 0);
}

static void bodies_and_heads_over_their_limits_are_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str t = { 0 };

	assert_talk(f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145729\r\n\r\n", "HTTP/1.1 413 ");
	str_add(&t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n");
	for (int i = 0; i < 0x400000 / 64; i++)
		str_add(&t, "0123456789012345678901234567890123456789012345678901234567890123");
	assert_talk(f, t.data, "HTTP/1.1 413 ");
	for (int64_t end = time_mono_now() + QUIET_MS; time_mono_now() < end;)
		loop_step(f->loop, 5); /* the server reads the rest of the 4 MiB away */
	str_clear(&t);
	str_add(&t, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	while (t.len < HTTP_HEAD_MAX + 100)
		str_add(&t, "0123456789");
	assert_talk(f, t.data, "HTTP/1.1 431 ");
	str_clear(&t);
	str_add(&t, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < HTTP_HEADERS_MAX; i++)
		str_addf(&t, "X%d: y\r\n", i);
	str_add(&t, "\r\n");
	assert_talk(f, t.data, "HTTP/1.1 431 ");
	assert_int_equal(f->requests, 0);
}

static void connections_over_the_ceiling_are_closed(void **state)
{
	struct fixture *f = *state;
	struct err e;

	http_server_free(f->srv);
	f->srv = http_server_new(
		f->loop, &(struct http_server_spec){ .handler = handler, .arg = f, .conns_max = 1 });
	assert_int_equal(http_server_listen(f->srv, NULL, 0, &f->port, &e), 0);
	use_client(f, NULL, 0);
	call(f, "GET", "/x", NULL);
	assert_talk(f, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "");
	assert_int_equal(f->requests, 1);
	assert_int_equal(http_server_conns(f->srv), 1);
}

/* ---- answers that take their time ---- */

static void a_later_answer_arrives(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold", NULL);
	assert_true(until(f, &f->requests, 1));
	turns(f, 3);
	assert_int_equal(f->done, 0);
	reply_text(f->held, "late");
	assert_true(until(f, &f->done, 1));
	assert_string_equal(str_cstr(&f->body), "late");
	assert_int_equal(f->aborts, 0);
}

static void a_client_that_leaves_aborts_its_request(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold", NULL);
	assert_true(until(f, &f->requests, 1));
	http_call_cancel(f->call);
	assert_true(until(f, &f->aborts, 1));
	assert_int_equal(f->ctx_freed, 1);
	assert_int_equal(f->done, 0);
	assert_int_equal(http_server_conns(f->srv), 0);
}

static void an_answer_after_the_client_left_goes_nowhere(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold-bare", NULL);
	assert_true(until(f, &f->requests, 1));
	http_call_cancel(f->call);
	turns(f, 10);
	assert_int_equal(http_server_conns(f->srv), 0);
	assert_int_equal(f->ctx_freed, 0);
	reply_text(f->held, "late");
	assert_int_equal(f->ctx_freed, 1);
}

static void a_late_upgrade_yields_a_stream_that_closes(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold-bare", NULL);
	assert_true(until(f, &f->requests, 1));
	http_call_cancel(f->call);
	turns(f, 10);
	f->raw = http_req_upgrade(f->held, "echo");
	http_stream_start(f->raw, &raw_ops, f);
	http_stream_write(f->raw, "x", 1);
	assert_false(f->raw_closed);
	assert_true(until_true(f, &f->raw_closed));
}

static void a_stream_arrives_piece_by_piece(void **state)
{
	struct fixture *f = *state;

	start_stream(f, "/watch");
	assert_int_equal(f->status, 200);
	http_req_write(f->held, "one\n", 4);
	assert_true(until(f, &f->drains, 1));
	turns(f, 5);
	assert_string_equal(str_cstr(&f->body), "one\n");
	http_req_write(f->held, "two\n", 4);
	http_req_end(f->held);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_NONE);
	assert_string_equal(str_cstr(&f->body), "one\ntwo\n");
	call(f, "GET", "/same", NULL);
	assert_int_equal(http_server_conns(f->srv), 1);
}

static void a_stream_cut_short_is_an_error(void **state)
{
	struct fixture *f = *state;

	start_stream(f, "/watch");
	http_req_kill(f->held);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_int_equal(f->aborts, 0);
}

static void a_paused_stream_holds_the_server_back(void **state)
{
	struct fixture *f = *state;
	static char block[65536];
	size_t sent = 0;

	memset(block, 'x', sizeof(block));
	start_stream(f, "/watch");
	http_call_pause(f->call, true);
	turns(f, 5);
	str_clear(&f->body);
	while (http_req_pending(f->held) < 2000000 && sent < 100000000) {
		http_req_write(f->held, block, sizeof(block));
		sent += sizeof(block);
		turns(f, 1);
	}
	assert_true(http_req_pending(f->held) >= 2000000);
	assert_int_equal(f->body.len, 0);
	http_req_end(f->held);
	http_call_pause(f->call, false);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_NONE);
	assert_int_equal(f->body.len, sent);
}

/* kubernetes-api.md 8, 70: a stuck watcher is closed */
static void a_reader_that_never_reads_is_dropped(void **state)
{
	struct fixture *f = *state;
	static char block[65536];

	start_stream(f, "/watch");
	http_call_pause(f->call, true);
	for (int i = 0; i < 10000 && !f->aborts; i++) {
		http_req_write(f->held, block, sizeof(block));
		turns(f, 1);
	}
	assert_int_equal(f->aborts, 1);
	assert_int_equal(http_server_conns(f->srv), 0);
	http_call_cancel(f->call);
}

static void freeing_the_server_ends_streams_cleanly(void **state)
{
	struct fixture *f = *state;

	start_stream(f, "/watch");
	http_req_write(f->held, "last\n", 5);
	http_server_free(TAKE(f->srv));
	assert_int_equal(f->aborts, 1);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_NONE);
	assert_string_equal(str_cstr(&f->body), "last\n");
}

static void freeing_the_client_fails_its_calls_at_once(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold", NULL);
	assert_true(until(f, &f->requests, 1));
	start(f, "GET", "/x", NULL);
	http_client_free(TAKE(f->cl));
	assert_int_equal(f->done, 2);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_true(until(f, &f->aborts, 1));
}

static void a_call_times_out(void **state)
{
	struct fixture *f = *state;

	f->call = http_client_call(f->cl,
		&(struct http_call_spec){
			.method = "GET", .path = "/hold", .timeout_ms = 30, .done = cl_done, .arg = f });
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_TIMEOUT);
	assert_true(until(f, &f->aborts, 1));
}

static void nobody_listening_is_unreachable(void **state)
{
	struct fixture *f = *state;

	http_server_free(TAKE(f->srv));
	turns(f, 2);
	start(f, "GET", "/x", NULL);
	assert_int_equal(f->done, 0); /* never from inside the call */
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_non_null(strstr(f->msg, "refused"));
}

/* A server that restarts closes our idle connections; the next call must not notice. */
static void a_stale_connection_is_replaced_once(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/x", NULL);
	start(f, "GET", "/kill",
		NULL); /* on the reused connection: dropped, retried on a new one, dropped again */
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_int_equal(f->requests, 3);
	call(f, "GET", "/x", NULL);
	start(f, "POST", "/kill", NULL); /* not idempotent: never twice */
	assert_true(until(f, &f->done, 4));
	assert_int_equal(f->requests, 5);
}

/* ---- upgrades and streams ---- */

static void start_upgrade(struct fixture *f, const char *path)
{
	static const struct http_header h[] = { { "Connection", "Upgrade" }, { "Upgrade", "echo" } };
	int want = f->done + 1;

	f->call = http_client_call(f->cl, &(struct http_call_spec){ .method = "GET",
						  .path = path,
						  .headers = h,
						  .n_headers = 2,
						  .done = cl_done,
						  .upgraded = cl_upgraded,
						  .arg = f });
	assert_true(until(f, &f->done, want));
}

static void an_upgraded_connection_carries_bytes_both_ways(void **state)
{
	struct fixture *f = *state;

	start_upgrade(f, "/up");
	assert_int_equal(f->status, 101);
	assert_int_equal(http_server_conns(f->srv), 1);
	http_stream_write(f->up, "hello", 5);
	while (f->up_in.len < 5)
		loop_step(f->loop, 100);
	assert_string_equal(str_cstr(&f->up_in), "hello");
	http_stream_write(f->up, "bye", 3);
	http_stream_close(TAKE(f->up));
	assert_true(until_true(f, &f->raw_closed));
	assert_string_equal(str_cstr(&f->raw_in), "hellobye");
	turns(f, 3);
	assert_int_equal(http_server_conns(f->srv), 0);
}

static void a_refused_upgrade_is_an_ordinary_answer(void **state)
{
	struct fixture *f = *state;

	start_upgrade(f, "/other");
	assert_int_equal(f->status, 200);
	assert_null(f->up);
}

static void a_detached_connection_answers_for_itself(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/detach", NULL);
	assert_int_equal(f->status, 299);
}

static void count_pipe(void *arg)
{
	(*(int *)arg)++;
}

static struct http_stream *pair(struct fixture *f, struct http_stream **ret_other)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*ret_other = http_stream_fd(f->loop, fds[1]);
	return http_stream_fd(f->loop, fds[0]);
}

static void a_pipe_carries_megabytes_and_half_closes(void **state)
{
	struct fixture *f = *state;
	struct http_stream *left, *right, *a, *b;
	struct fixture l = { .loop = f->loop }, r = { .loop = f->loop };
	static char block[100000];
	int ended = 0;

	memset(block, 'x', sizeof(block));
	left = pair(f, &a);
	right = pair(f, &b);
	http_stream_pipe(a, b, count_pipe, &ended);
	l.up = left;
	r.up = right;
	http_stream_start(left, &up_ops, &l);
	http_stream_start(right, &up_ops, &r);
	http_stream_pause(right, true);
	for (int i = 0; i < 40; i++)
		http_stream_write(left, block, sizeof(block));
	turns(f, 20);
	assert_true(http_stream_pending(left) > 2000000); /* the slow reader holds the writer back */
	http_stream_pause(right, false);
	while (r.up_in.len < 40 * sizeof(block))
		loop_step(f->loop, 100);
	http_stream_write(right, "answer", 6);
	while (l.up_in.len < 6)
		loop_step(f->loop, 100);
	http_stream_close(left);
	assert_true(until_true(&r, &r.up_closed)); /* right sees the end, and ends */
	assert_true(until(f, &ended, 1));
	str_done(&l.up_in);
	str_done(&r.up_in);
}

static void a_name_that_does_not_exist_is_unreachable(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->cl);
	f->cl = http_client_new(
		f->loop, &(struct http_client_spec){ .host = "nonexistent.invalid", .port = 1 });
	start(f, "GET", "/x", NULL);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	start(f, "GET", "/x", NULL); /* freed with the fixture, while it resolves */
}

static void a_stopped_server_is_noticed_before_a_post(void **state)
{
	struct fixture *f = *state;
	struct err e;
	int port = f->port;

	call(f, "GET", "/x", NULL);
	http_server_free(f->srv);
	turns(f, 1); /* it closes; we have not looked */
	f->srv = http_server_new(f->loop, &(struct http_server_spec){ .handler = handler, .arg = f });
	assert_int_equal(http_server_listen(f->srv, NULL, port, NULL, &e), 0);
	call(f, "POST", "/echo", "again");
	assert_int_equal(f->failed, ERR_NONE);
	assert_string_equal(str_cstr(&f->body), "again");
}

static void slow_heads_bodies_and_idlers_are_cut_off(void **state)
{
	struct fixture *f = *state;
	struct err e;

	http_server_free(f->srv);
	f->srv = http_server_new(f->loop, &(struct http_server_spec){ .handler = handler,
						  .arg = f,
						  .head_timeout_ms = 50,
						  .body_timeout_ms = 60,
						  .idle_timeout_ms = 70 });
	assert_int_equal(http_server_listen(f->srv, NULL, 0, &f->port, &e), 0);
	assert_talk(f, "GET / HTTP/1.1\r\nHo", "HTTP/1.1 408 ");
	assert_talk(f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", "HTTP/1.1 408 ");
	assert_int_equal(f->requests, 0);
	use_client(f, NULL, 0);
	call(f, "GET", "/x", NULL);
	assert_int_equal(http_server_conns(f->srv), 1);
	for (int64_t end = time_mono_now() + 200; time_mono_now() < end;)
		loop_step(f->loop, 5);
	assert_int_equal(http_server_conns(f->srv), 0);
	start(f, "GET", "/hold", NULL); /* while it is being answered no clock runs */
	for (int64_t end = time_mono_now() + 200; time_mono_now() < end;)
		loop_step(f->loop, 5);
	assert_int_equal(f->aborts, 0);
	reply_text(f->held, "late");
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->failed, ERR_NONE);
}

static void a_failed_connect_closes_the_stream(void **state)
{
	struct fixture *f = *state;
	struct err e;

	f->up = http_stream_unix(f->loop, "/nonexistent/socket", &e);
	http_stream_start(f->up, &up_ops, f);
	http_stream_write(f->up, "x", 1);
	assert_true(until_true(f, &f->up_closed));
}

static void a_unix_socket_serves_too(void **state)
{
	struct fixture *f = *state;
	char path[64];
	struct err e;

	snprintf(path, sizeof(path), "/tmp/http-test-%d.sock", (int)getpid());
	assert_int_equal(http_server_listen_unix(f->srv, path, 0600, &e), 0);
	http_client_free(f->cl);
	f->cl = http_client_new(f->loop, &(struct http_client_spec){ .unix_path = path });
	call(f, "GET", "/x", NULL);
	assert_string_equal(str_cstr(&f->body), "/x");
	unlink(path);
}

/* ---- TLS ---- */

static struct tls_ctx *client_tls(const char *ca, const struct key_pair *kp, const char *name)
{
	struct err e;
	struct tls_ctx *t = tls_client_new(&(struct tls_client_spec){ .ca_pem = ca,
						   .cert_pem = kp ? kp->cert_pem : NULL,
						   .key_pem = kp ? kp->key_pem : NULL,
						   .server_name = name },
		&e);

	assert_non_null(t);
	return t;
}

static void call_tls(struct fixture *f, const char *ca, const struct key_pair *kp, const char *name)
{
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(ca, kp, name);

	use_client(f, t, 0);
	call(f, "GET", "/who", NULL);
}

static void a_client_certificate_names_the_user(void **state)
{
	struct fixture *f = *state;

	call_tls(f, f->ca.cert_pem, &f->client, NULL);
	assert_int_equal(f->failed, ERR_NONE);
	assert_true(str_starts(str_cstr(&f->body), "alice second "));
	assert_int_equal(f->body.len, strlen("alice second ") + SHA256_HEX_LEN);
	/* the same CA signs for two users, another for the third */
	CLEANUP(mem_freep) char *issuer = mem_strdup(strrchr(f->body.data, ' '));
	call_tls(f, f->ca.cert_pem, &f->server, NULL);
	assert_true(str_starts(str_cstr(&f->body), "server second "));
	assert_string_not_equal(strrchr(f->body.data, ' '), issuer);
}

static void no_certificate_is_nobody(void **state)
{
	struct fixture *f = *state;

	call_tls(f, f->ca.cert_pem, NULL, NULL);
	assert_string_equal(str_cstr(&f->body), "nobody - -");
}

static void an_expired_client_certificate_is_refused(void **state)
{
	struct fixture *f = *state;

	call_tls(f, f->ca.cert_pem, &f->expired, NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_int_equal(f->requests, 0);
}

static void a_server_of_another_ca_is_refused(void **state)
{
	struct fixture *f = *state;

	call_tls(f, f->other_ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_non_null(strstr(f->msg, "certificate"));
	assert_int_equal(f->requests, 0);
}

static void the_server_name_is_verified(void **state)
{
	struct fixture *f = *state;

	call_tls(f, f->ca.cert_pem, NULL, "server.test");
	assert_int_equal(f->failed, ERR_NONE);
	call_tls(f, f->ca.cert_pem, NULL, "other.test");
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_non_null(strstr(f->msg, "ostname mismatch"));
}

static void certificates_are_replaced_under_running_connections(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *fresh = NULL;
	struct err e;

	call_tls(f, f->ca.cert_pem, NULL, NULL);
	fresh = tls_server_new(&(struct tls_server_spec){ f->client.cert_pem, f->client.key_pem, NULL }, &e);
	assert_non_null(fresh);
	http_server_set_tls(f->srv, fresh);
	call(f, "GET", "/who", NULL);
	assert_int_equal(f->failed, ERR_NONE);
	call_tls(f, f->ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	call_tls(f, f->other_ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_NONE);
}

static void large_bodies_streams_and_upgrades_work_over_tls(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, &f->client, NULL);
	CLEANUP(str_done) struct str big = { 0 };

	use_client(f, t, 0);
	while (big.len < 2000000)
		str_add(&big, "some text of a large body ");
	call(f, "PUT", "/echo", big.data);
	assert_int_equal(f->body.len, big.len);
	assert_memory_equal(f->body.data, big.data, big.len);
	start_stream(f, "/watch");
	http_req_write(f->held, "one\n", 4);
	while (f->body.len < 4)
		loop_step(f->loop, 100);
	http_call_cancel(f->call);
	assert_true(until(f, &f->aborts, 1));
	start_upgrade(f, "/up");
	http_stream_write(f->up, big.data, big.len);
	while (f->up_in.len < big.len)
		loop_step(f->loop, 100);
	assert_memory_equal(f->up_in.data, big.data, big.len);
	http_stream_close(TAKE(f->up));
	assert_true(until_true(f, &f->raw_closed));
}

static void an_upgrade_passes_through_a_proxy(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, NULL, NULL);
	CLEANUP(str_done) struct str big = { 0 };
	struct http_server *backend;
	struct err e;

	backend = http_server_new(f->loop, &(struct http_server_spec){ .handler = handler, .arg = f });
	assert_int_equal(http_server_listen(backend, NULL, 0, &f->backend_port, &e), 0);
	use_client(f, t, 0);
	start_upgrade(f, "/proxy");
	assert_int_equal(f->status, 101);
	while (big.len < 2000000)
		str_add(&big, "console output ");
	http_stream_write(f->up, big.data, big.len);
	while (f->up_in.len < big.len)
		loop_step(f->loop, 100);
	assert_memory_equal(f->up_in.data, big.data, big.len);
	assert_int_equal(f->pipes_done, 0);
	http_stream_close(TAKE(f->up));
	assert_true(until_true(f, &f->raw_closed));
	assert_true(until(f, &f->pipes_done, 1));
	/* and when the backend ends it, the client sees that */
	start_upgrade(f, "/proxy");
	http_stream_close(TAKE(f->raw));
	assert_true(until_true(f, &f->up_closed));
	assert_true(until(f, &f->pipes_done, 2));
	http_server_free(backend);
}

static void plain_bytes_on_a_tls_port_hurt_nobody(void **state)
{
	struct fixture *f = *state;

	assert_talk(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
	call_tls(f, f->ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_NONE);
}

#define PLAIN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TLS(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(a_call_is_answered_and_the_connection_used_again),
		PLAIN(bodies_queries_and_headers_arrive),
		PLAIN(a_large_answer_comes_whole),
		PLAIN(head_has_no_body),
		PLAIN(large_answers_are_compressed_on_request),
		PLAIN(calls_beyond_the_pool_wait_their_turn),
		PLAIN(pipelined_requests_are_served_in_order),
		PLAIN(a_body_is_asked_for_with_100_continue),
		PLAIN(chunked_bodies_are_put_together),
		PLAIN(ambiguous_requests_are_refused),
		PLAIN(bodies_and_heads_over_their_limits_are_refused),
		PLAIN(connections_over_the_ceiling_are_closed),
		PLAIN(a_later_answer_arrives),
		PLAIN(a_client_that_leaves_aborts_its_request),
		PLAIN(an_answer_after_the_client_left_goes_nowhere),
		PLAIN(a_late_upgrade_yields_a_stream_that_closes),
		PLAIN(a_stream_arrives_piece_by_piece),
		PLAIN(a_stream_cut_short_is_an_error),
		PLAIN(a_paused_stream_holds_the_server_back),
		PLAIN(a_reader_that_never_reads_is_dropped),
		PLAIN(freeing_the_server_ends_streams_cleanly),
		PLAIN(freeing_the_client_fails_its_calls_at_once),
		PLAIN(a_call_times_out),
		PLAIN(nobody_listening_is_unreachable),
		PLAIN(a_stale_connection_is_replaced_once),
		PLAIN(an_upgraded_connection_carries_bytes_both_ways),
		PLAIN(a_refused_upgrade_is_an_ordinary_answer),
		PLAIN(a_detached_connection_answers_for_itself),
		PLAIN(a_pipe_carries_megabytes_and_half_closes),
		PLAIN(a_name_that_does_not_exist_is_unreachable),
		PLAIN(a_stopped_server_is_noticed_before_a_post),
		PLAIN(slow_heads_bodies_and_idlers_are_cut_off),
		PLAIN(a_failed_connect_closes_the_stream),
		PLAIN(a_unix_socket_serves_too),
		TLS(a_client_certificate_names_the_user),
		TLS(no_certificate_is_nobody),
		TLS(an_expired_client_certificate_is_refused),
		TLS(a_server_of_another_ca_is_refused),
		TLS(the_server_name_is_verified),
		TLS(certificates_are_replaced_under_running_connections),
		TLS(large_bodies_streams_and_upgrades_work_over_tls),
		TLS(an_upgrade_passes_through_a_proxy),
		TLS(plain_bytes_on_a_tls_port_hurt_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
