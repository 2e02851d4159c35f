/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_fixture.h"

#include "base/file.h"
#include "base/http_io.h"
#include "base/mem.h"
#include "base/time.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- plain HTTP ---- */

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

/* HTTP_CONNS_MAX, and HTTP_REFUSALS_MAX for those who are told */
static void connections_over_the_ceiling_are_refused(void **state)
{
	struct fixture *f = *state;
	struct http_stream *idle[HTTP_REFUSALS_MAX];
	struct fixture over = { .loop = f->loop };
	struct err e;

	use_server_spec(f, &(struct http_server_spec){ .conns_max = 1 });
	use_client(f, NULL, 0);
	call(f, "GET", "/x", NULL);
	assert_talk(f, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 ");
	assert_talk(f, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nRetry-After: 1\r\n");
	assert_int_equal(f->requests, 1);
	assert_int_equal(http_server_conns(f->srv), 1);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		idle[i] = http_stream_tcp(f->loop, "127.0.0.1", f->port, &e);
		http_stream_start(idle[i], &up_ops, &over);
	}
	while (http_server_conns(f->srv) < 1 + HTTP_REFUSALS_MAX)
		loop_step(f->loop, 5);
	CLEANUP(mem_freep) char *got = raw_talk(f, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", 28);
	assert_string_equal(got, "");
	call(f, "GET", "/x", NULL); /* who was there before is served */
	assert_int_equal(f->status, 200);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		http_stream_close(idle[i]);
	turns(f, 20);
}

/* HTTP_BODIES_MAX: all bodies that are arriving together */
static void bodies_beyond_what_all_may_take_are_refused(void **state)
{
	struct fixture *f = *state;
	struct fixture other = { .loop = f->loop };
	CLEANUP(str_done) struct str body = { 0 };
	size_t half = HTTP_BODIES_MAX / 2 + 100;
	struct err e;

	use_server_spec(f, &(struct http_server_spec){ .body_max = HTTP_BODIES_MAX });
	other.up = http_stream_tcp(f->loop, "127.0.0.1", f->port, &e);
	http_stream_start(other.up, &up_ops, &other);
	str_addf(&body, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", half + 1);
	http_stream_write(other.up, body.data, body.len);
	str_clear(&body);
	while (body.len < 1000000)
		str_add(&body, "0123456789012345678901234567890123456789012345678901234567890123");
	for (size_t sent = 0; sent < half; sent += body.len) {
		while (http_stream_pending(other.up))
			loop_step(f->loop, 5);
		http_stream_write(other.up, body.data, half - sent < body.len ? half - sent : body.len);
	}
	while (http_stream_pending(other.up))
		loop_step(f->loop, 5);
	str_reserve(&body, half);
	memset(body.data, 'x', half);
	body.data[half] = '\0';
	use_client(f, NULL, 0);
	call(f, "PUT", "/b", body.data);
	assert_int_equal(f->status, 503);
	http_stream_close(other.up); /* who leaves makes room */
	turns(f, 10);
	call(f, "PUT", "/b", body.data);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->requests, 1);
}

/* ---- answers that take their time ---- */

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

static void call_tls(struct fixture *f, const char *ca, const struct key_pair *kp, const char *name)
{
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(ca, kp, name, NULL);

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
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, NULL, NULL, NULL);
	struct err e;

	use_client(f, t, 1);
	start(f, "GET", "/hold", NULL);
	assert_true(until(f, &f->requests, 1));
	fresh = tls_server_new(&(struct tls_server_spec){ f->client.cert_pem, f->client.key_pem, NULL }, &e);
	assert_non_null(fresh);
	http_server_set_tls(f->srv, fresh);
	reply_text(f->held, "late"); /* what is under way is answered, and is the last there */
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->status, 200);
	assert_true(has_header(f, "connection: close\n"));
	call(f, "GET", "/who", NULL); /* on a new one, whose certificate this client does not believe */
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	call_tls(f, f->ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	call_tls(f, f->other_ca.cert_pem, NULL, NULL);
	assert_int_equal(f->failed, ERR_NONE);
}

/* A CA is replaced: nobody goes on under the old one, but what is being watched is watched to its end. */
static void idle_connections_of_an_older_context_close_at_once(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *fresh = NULL, *renewed = NULL;
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, &f->client, NULL, NULL);
	CLEANUP(mem_freep) char *cas = str_printf("%s%s", f->ca.cert_pem, f->other_ca.cert_pem);
	struct tls_server_spec spec = { f->server.cert_pem, f->server.key_pem, cas };
	struct err e;

	use_client(f, t, 2);
	start_stream(f, "/watch");
	call(f, "GET", "/who", NULL);
	assert_int_equal(http_server_conns(f->srv), 2);
	http_server_set_tls(f->srv, f->server_tls); /* no other one */
	assert_int_equal(http_server_conns(f->srv), 2);
	renewed = tls_server_new(&spec, &e);
	assert_non_null(renewed);
	http_server_set_tls(f->srv,
		renewed); /* only the server's certificate is another: all clients stay who they are */
	assert_int_equal(http_server_conns(f->srv), 2);
	spec.client_ca_pem = f->ca.cert_pem;
	fresh = tls_server_new(&spec, &e);
	assert_non_null(fresh);
	http_server_set_tls(f->srv, fresh);
	assert_int_equal(http_server_conns(f->srv), 1);
	str_clear(&f->body);
	http_req_write(f->held, "one\n", 4);
	while (f->body.len < 4)
		loop_step(f->loop, 100);
	http_req_end(f->held);
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->failed, ERR_NONE);
	turns(f, 20);
	assert_int_equal(http_server_conns(f->srv), 0);
}

static void large_bodies_streams_and_upgrades_work_over_tls(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, &f->client, NULL, NULL);
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
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, NULL, NULL, NULL);
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

static int open_fds(void)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	assert_int_equal(file_list("/proc/self/fd", &names, NULL), 0);
	return (int)names.len;
}

static void take_bev(void *arg, struct bufferevent *bev, const struct err *e)
{
	*(struct bufferevent **)arg = bev;
}

/* libevent calls a TLS write that failed an end; taking it for the peer's last word kept a core busy. Here a client that
 * takes nothing says first that it will send no more, then it is gone. */
static void a_reset_with_bytes_unsent_ends_the_connection(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *t = client_tls(f->ca.cert_pem, NULL, NULL, NULL);
	struct http_dial_spec spec = { .host = "127.0.0.1", .port = f->port, .timeout_ms = 5000, .tls = t };
	static const char get[] = "GET /huge HTTP/1.1\r\nHost: a\r\n\r\n";
	struct bufferevent *bev = NULL;
	int before = open_fds();
	int64_t end = time_mono_now() + WAIT_MS;

	(void)http_dial_new(f->loop, &spec, take_bev, &bev);
	while (!bev)
		loop_step(f->loop, 5);
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(bev, EV_READ);
	bufferevent_write(bev, get, sizeof(get) - 1);
	assert_true(until(f, &f->requests, 1));
	turns(f, 20);
	assert_int_equal(shutdown(bufferevent_getfd(bev), SHUT_WR), 0);
	turns(f, 20);
	assert_int_equal(http_server_conns(f->srv), 0); /* what is unsent leaves in the background */
	bufferevent_free(bev);
	turns(f, 5);
	while (open_fds() > before && time_mono_now() < end)
		loop_step(f->loop, 50);
	assert_int_equal(open_fds(), before); /* not after HTTP_FLUSH_TIMEOUT_MS */
}

#define LATE_REQUESTS 200
#define LATE_BODY 30000

struct late {
	struct str got;
	bool closed;
};

static void late_read(struct bufferevent *bev, void *arg)
{
	struct late *l = arg;
	char buf[4096];
	size_t n;

	while ((n = bufferevent_read(bev, buf, sizeof(buf))) > 0)
		str_addn(&l->got, buf, n);
}

static void late_closed(struct bufferevent *bev, short what, void *arg)
{
	((struct late *)arg)->closed = true;
}

/* Sends text, reads nothing until the server has given up answering, and then everything. */
static char *talk_late(struct fixture *f, struct tls_ctx *tls, const struct str *text)
{
	struct http_dial_spec spec = { .host = "127.0.0.1", .port = f->port, .timeout_ms = 5000, .tls = tls };
	struct late l = { 0 };
	struct bufferevent *bev = NULL;
	int seen = -1;

	(void)http_dial_new(f->loop, &spec, take_bev, &bev);
	while (!bev)
		loop_step(f->loop, 5);
	bufferevent_setcb(bev, late_read, NULL, late_closed, &l);
	bufferevent_disable(bev, EV_READ);
	bufferevent_write(bev, text->data, text->len);
	while (f->requests > seen) {
		seen = f->requests;
		turns(f, 20);
	}
	assert_true(seen > 1 && seen < LATE_REQUESTS);
	bufferevent_enable(bev, EV_READ);
	while (!l.closed)
		loop_step(f->loop, 50);
	late_read(bev, &l);
	bufferevent_free(bev);
	return str_take(&l.got);
}

/* Answers are written at once as far as they fit; the rest and what comes after it must follow whole, also where OpenSSL
 * wants a write repeated that was cut. docs/decisions/0017 */
static void answers_to_a_client_that_reads_late_arrive_whole(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str text = { 0 }, body = { 0 };
	CLEANUP(tls_unrefp)
	struct tls_ctx *tls = f->server_tls ? client_tls(f->ca.cert_pem, NULL, NULL, NULL) : NULL;
	CLEANUP(mem_freep) char *got = NULL;
	int n = 0;

	for (int i = 0; i < LATE_BODY; i++)
		str_addc(&body, (char)('a' + i % 26));
	for (int i = 0; i < LATE_REQUESTS; i++)
		str_addf(&text, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s", LATE_BODY,
			i == LATE_REQUESTS - 1 ? "Connection: close\r\n" : "", str_cstr(&body));
	got = talk_late(f, tls, &text);
	for (const char *p = got; (p = strstr(p, "\r\n\r\n")); n++) {
		assert_int_equal(strncmp(p + 4, str_cstr(&body), LATE_BODY), 0);
		p += 4 + LATE_BODY;
	}
	assert_int_equal(n, LATE_REQUESTS);
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
		PLAIN(large_answers_are_compressed_on_request),
		PLAIN(calls_beyond_the_pool_wait_their_turn),
		PLAIN(pipelined_requests_are_served_in_order),
		PLAIN(answers_to_a_client_that_reads_late_arrive_whole),
		PLAIN(a_body_is_asked_for_with_100_continue),
		PLAIN(chunked_bodies_are_put_together),
		PLAIN(ambiguous_requests_are_refused),
		PLAIN(bodies_and_heads_over_their_limits_are_refused),
		PLAIN(connections_over_the_ceiling_are_refused),
		PLAIN(bodies_beyond_what_all_may_take_are_refused),
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
		TLS(idle_connections_of_an_older_context_close_at_once),
		TLS(large_bodies_streams_and_upgrades_work_over_tls),
		TLS(an_upgrade_passes_through_a_proxy),
		TLS(a_reset_with_bytes_unsent_ends_the_connection),
		TLS(answers_to_a_client_that_reads_late_arrive_whole),
		TLS(plain_bytes_on_a_tls_port_hurt_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
