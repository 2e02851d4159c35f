/* SPDX-License-Identifier: Apache-2.0 */
/* What only HTTP/2 has: many streams on one connection, its limits by name, and clients that misuse it. */
#include "base/http_fixture.h"

#include "base/mem.h"
#include "base/time.h"

#include <nghttp2/nghttp2.h>

static void serve(struct fixture *f, struct http_server_spec spec)
{
	spec.tls = f->server_tls;
	use_server_spec(f, &spec);
	use_h2(f, NULL);
}

static bool until_closed(struct fixture *f)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (!http2_tc_closed(f->h2) && time_mono_now() < end)
		loop_step(f->loop, 20);
	return http2_tc_closed(f->h2);
}

static void wait_ms(struct fixture *f, int ms)
{
	for (int64_t end = time_mono_now() + ms; time_mono_now() < end;)
		loop_step(f->loop, 5);
}

static unsigned goaway(struct fixture *f)
{
	unsigned code = 99;

	return http2_tc_goaways(f->h2, &code) ? code : 99;
}

/* ---- agreeing ---- */

static void the_client_chooses_the_version(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *old = client_tls(f->ca.cert_pem, NULL, NULL, NULL);
	CLEANUP(tls_unrefp) struct tls_ctx *none = client_tls(f->ca.cert_pem, NULL, NULL, "spdy/3");

	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
	http2_tc_free(TAKE(f->h2));
	use_client(f, old, 0);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
	use_client(f, none, 0);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
}

static void a_client_certificate_names_the_user(void **state)
{
	struct fixture *f = *state;

	use_h2(f, &f->client);
	call(f, "GET", "/who", NULL);
	assert_true(str_starts(str_cstr(&f->body), "alice second "));
}

/* Clients take HTTP/1.1 for upgrades; who does not is told to. */
static void an_upgrade_is_sent_to_http1(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/detach", NULL);
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_int_equal(http2_tc_reset_code(f->h2), NGHTTP2_HTTP_1_1_REQUIRED);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
}

static void headers_are_the_same_as_in_http1(void **state)
{
	struct fixture *f = *state;
	static const struct http_header h[] = { { "cookie", "a=1" }, { "x-twice", "1" }, { "cookie", "b=2" },
		{ "x-twice", "2" } };
	size_t len;

	f->h2_call = http2_tc_call(f->h2, &(struct http_call_spec){ .method = "GET",
						  .path = "/hold?q=1",
						  .headers = h,
						  .n_headers = ARRAY_LEN(h),
						  .done = cl_done,
						  .arg = f });
	assert_true(until(f, &f->requests, 1));
	assert_string_equal(http_req_header(f->held, "Cookie"), "a=1; b=2");
	assert_string_equal(http_req_header(f->held, "X-Twice"), "1, 2");
	assert_string_equal(http_req_header(f->held, "Host"), "server.test");
	assert_string_equal(http_req_raw_path(f->held), "/hold?q=1");
	assert_true(str_starts(http_req_head(f->held, &len), "GET /hold?q=1 HTTP/1.1\r\n"));
	assert_true(str_starts(http_req_peer(f->held), "127.0.0.1:"));
	reply_text(f->held, "x");
	assert_true(until(f, &f->done, 1));
}

/* ---- limits ---- */

/* HTTP_STREAMS_MAX */
static void streams_beyond_the_limit_wait(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct http_server_spec){ .streams_max = 3 });
	call(f, "GET", "/x", NULL); /* the server's settings are known now */
	for (int i = 0; i < 5; i++)
		start(f, "GET", "/hold", NULL);
	wait_ms(f, QUIET_MS);
	assert_int_equal(f->requests, 4);
	reply_text(f->held, "x");
	assert_true(until(f, &f->requests, 5));
}

/* HTTP_HEADERS_MAX */
static void too_many_fields_are_refused(void **state)
{
	struct fixture *f = *state;
	struct http_header h[HTTP_HEADERS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(h); i++)
		h[i] = (struct http_header){ "x-many", "y" };
	f->h2_call = http2_tc_call(f->h2, &(struct http_call_spec){ .method = "GET",
						  .path = "/x",
						  .headers = h,
						  .n_headers = ARRAY_LEN(h),
						  .done = cl_done,
						  .arg = f });
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->status, 431);
	assert_int_equal(f->requests, 0);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
}

/* RESETS_BURST (CVE-2023-44487) */
static void a_client_that_resets_without_end_is_sent_away(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/x", NULL);
	http2_tc_rapid_reset(f->h2, 400); /* as somebody who closes all watches may do */
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
	http2_tc_rapid_reset(f->h2, 3000);
	assert_true(until_closed(f));
	assert_int_not_equal(goaway(f), NGHTTP2_NO_ERROR);
	use_h2(f, NULL);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
}

/* CONTROL_PER_S (CVE-2019-9512) */
static void pings_are_answered_but_not_without_end(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/x", NULL);
	http2_tc_pings(f->h2, 20);
	wait_ms(f, 100);
	assert_int_equal(http2_tc_pongs(f->h2), 20);
	http2_tc_pings(f->h2, 5000);
	assert_true(until_closed(f));
	assert_true(goaway(f) != NGHTTP2_NO_ERROR);
}

/* ACKS_MAX: and nothing piles up for who does not read the answers */
static void pings_of_a_client_that_does_not_read_end_its_connection(void **state)
{
	struct fixture *f = *state;
	struct str pings = { 0 };

	call(f, "GET", "/x", NULL);
	http2_tc_stop_reading(f->h2);
	for (int i = 0; i < 100000; i++)
		str_addn(&pings, "\0\0\x08\x06\0\0\0\0\0abcdefgh", 17);
	http2_tc_raw(f->h2, pings.data, pings.len);
	str_done(&pings);
	for (int64_t end = time_mono_now() + WAIT_MS; http_server_conns(f->srv) && time_mono_now() < end;)
		loop_step(f->loop, 20);
	assert_int_equal(http_server_conns(f->srv), 0);
}

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define EMPTY_SETTINGS "\0\0\0\x04\0\0\0\0\0"

/* HTTP_HEAD_TIMEOUT_MS */
static void slow_prefaces_and_heads_are_cut_off(void **state)
{
	struct fixture *f = *state;
	static const char half_head[] = PREFACE EMPTY_SETTINGS "\0\0\x03\x01\x01\0\0\0\x01\x82\x84\x87";

	serve(f, (struct http_server_spec){ .head_timeout_ms = 100 });
	http2_tc_raw(f->h2, "PRI * HT", 8);
	assert_true(until_closed(f));
	assert_int_equal(f->requests, 0);
	use_h2(f, NULL);
	http2_tc_raw(f->h2, half_head, sizeof(half_head) - 1); /* a CONTINUATION never comes */
	assert_true(until_closed(f));
	assert_int_equal(http_server_conns(f->srv), 0);
}

/* HTTP_BODY_TIMEOUT_MS */
static void a_slow_body_is_answered_408(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct http_server_spec){ .body_timeout_ms = 100 });
	call(f, "GET", "/x", NULL);
	f->h2_call = http2_tc_half_post(f->h2,
		&(struct http_call_spec){ .method = "POST", .path = "/echo", .done = cl_done, .arg = f });
	start(f, "GET", "/hold", NULL); /* others on the connection go on */
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->status, 408);
	wait_ms(f, 150);
	assert_int_equal(f->aborts, 0);
	reply_text(f->held, "late");
	assert_true(until(f, &f->done, 3));
	assert_int_equal(f->status, 200);
}

/* HTTP_IDLE_TIMEOUT_MS */
static void an_idle_connection_is_told_goodbye(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct http_server_spec){ .idle_timeout_ms = 100 });
	call(f, "GET", "/x", NULL);
	start(f, "GET", "/hold", NULL); /* while something is under way no clock runs */
	wait_ms(f, 250);
	assert_false(http2_tc_closed(f->h2));
	reply_text(f->held, "late");
	assert_true(until(f, &f->done, 2));
	assert_true(until_closed(f));
	assert_int_equal(goaway(f), NGHTTP2_NO_ERROR);
	assert_int_equal(http_server_conns(f->srv), 0);
}

/* An answer that nobody takes does not stay for ever. */
static void an_unread_answer_is_given_up(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct http_server_spec){ .idle_timeout_ms = 200 });
	call(f, "GET", "/x", NULL);
	start(f, "GET", "/big", NULL);
	pause_call(f, true);
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->failed, ERR_UNREACHABLE);
	assert_false(http2_tc_closed(f->h2));
}

/* HTTP_CONNS_MAX */
static void a_connection_over_the_ceiling_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(tls_unrefp) struct tls_ctx *tls = client_tls(f->ca.cert_pem, NULL, NULL, NULL);

	http2_tc_free(TAKE(f->h2));
	use_server_spec(f, &(struct http_server_spec){ .tls = f->server_tls, .conns_max = 1 });
	use_client(f, tls, 1);
	call(f, "GET", "/first", NULL); /* HTTP/1.1 holds the only place */
	assert_int_equal(f->status, 200);
	use_h2(f, NULL);
	call(f, "GET", "/second", NULL);
	assert_int_equal(f->status, 503);
	assert_true(has_header(f, "retry-after: 1\n"));
	assert_true(until_closed(f));
}

/* ---- stopping ---- */

static void a_stopping_server_finishes_what_is_under_way(void **state)
{
	struct fixture *f = *state;
	struct http_req *held;

	start(f, "GET", "/hold-bare", NULL);
	assert_true(until(f, &f->requests, 1));
	held = f->held;
	start_stream(f, "/watch");
	http_server_free(TAKE(f->srv));
	assert_int_equal(f->aborts, 1);
	assert_true(until(f, &f->done, 1)); /* the watch ends cleanly */
	assert_int_equal(f->failed, ERR_NONE);
	assert_int_equal(goaway(f), NGHTTP2_NO_ERROR);
	assert_false(http2_tc_closed(f->h2));
	reply_text(held, "last");
	assert_true(until(f, &f->done, 2));
	assert_int_equal(f->status, 200);
	assert_true(until_closed(f));
}

/* A CA is replaced: new requests go to a new connection, what is under way ends here. */
static void connections_of_an_older_context_end_with_their_streams(void **state)
{
	struct fixture *f = *state;
	struct tls_server_spec spec = { f->server.cert_pem, f->server.key_pem, f->ca.cert_pem };
	CLEANUP(tls_unrefp) struct tls_ctx *fresh = NULL, *again = NULL;
	CLEANUP(mem_freep) char *cas = str_printf("%s%s", f->other_ca.cert_pem, f->ca.cert_pem);
	struct err e;

	again = tls_server_new(&spec, &e);
	spec.client_ca_pem = cas;
	fresh = tls_server_new(&spec, &e);
	assert_true(fresh && again);
	start_stream(f, "/watch");
	http_server_set_tls(f->srv, fresh);
	wait_ms(f, 50);
	assert_int_equal(goaway(f), NGHTTP2_NO_ERROR);
	assert_false(http2_tc_closed(f->h2));
	str_clear(&f->body);
	http_req_write(f->held, "one\n", 4);
	while (f->body.len < 4)
		loop_step(f->loop, 100);
	http_req_end(f->held);
	assert_true(until(f, &f->done, 1));
	assert_int_equal(f->failed, ERR_NONE);
	assert_true(until_closed(f));
	use_h2(f, NULL);
	call(f, "GET", "/x", NULL);
	assert_int_equal(f->status, 200);
	http_server_set_tls(f->srv, again); /* nothing under way */
	assert_true(until_closed(f));
	assert_int_equal(http_server_conns(f->srv), 0);
}

/* Frames of all connections are made in one place: they do not get into each other's. */
static void answers_of_many_connections_stay_apart(void **state)
{
	struct fixture *f = *state;
	struct http2_tc *other;
	struct http2_tc_call *big;

	start(f, "GET", "/big", NULL);
	pause_call(f, true); /* with a part of it sent */
	big = TAKE(f->h2_call);
	other = TAKE(f->h2);
	use_h2(f, NULL);
	for (int i = 0; i < 20; i++) {
		CLEANUP(mem_freep) char *path = str_printf("/%d-%0900d", i, i);

		call(f, "GET", path, NULL);
		assert_string_equal(str_cstr(&f->body), path);
	}
	start(f, "GET", "/big", NULL); /* both at once; their bodies come whole */
	http2_tc_pause(big, false);
	assert_true(until(f, &f->done, 22));
	assert_int_equal(f->body.len, 2000000);
	for (size_t i = 0; i < f->body.len; i++)
		if (f->body.data[i] != (char)('a' + i % 1000000 % 23))
			fail_msg("byte %zu is %d", i, f->body.data[i]);
	http2_tc_free(other);
}

static void a_lost_connection_aborts_all_its_requests(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++)
		start(f, "GET", "/hold", NULL);
	assert_true(until(f, &f->requests, 20));
	http2_tc_free(TAKE(f->h2));
	assert_true(until(f, &f->aborts, 20));
	assert_int_equal(f->ctx_freed, 20);
	assert_int_equal(http_server_conns(f->srv), 0);
}

/* What two framings could read in two ways is refused. */
static void malformed_fields_reset_the_stream(void **state)
{
	struct fixture *f = *state;
	static const struct http_header bad[][1] = {
		{ { "transfer-encoding", "chunked" } },
		{ { "connection", "close" } },
		{ { "x", "line\r\nbreak" } },
		{ { ":path", "/second" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int want = f->done + 1;

		f->h2_call = http2_tc_call(f->h2, &(struct http_call_spec){ .method = "GET",
							  .path = "/x",
							  .headers = bad[i],
							  .n_headers = 1,
							  .done = cl_done,
							  .arg = f });
		assert_true(until(f, &f->done, want));
		assert_true(f->failed == ERR_UNREACHABLE || f->status == 400);
		assert_int_equal(f->requests, 0);
	}
}

static void bytes_that_are_no_frames_end_the_connection(void **state)
{
	struct fixture *f = *state;

	http2_tc_raw(f->h2, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	assert_true(until_closed(f));
	assert_int_equal(http_server_conns(f->srv), 0);
	use_h2(f, NULL);
	call(f, "GET", "/x", NULL);
	http2_tc_raw(f->h2, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10);
	assert_true(until_closed(f));
}

#define H2(name) cmocka_unit_test_setup_teardown(name, setup_h2, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		H2(the_client_chooses_the_version),
		H2(a_client_certificate_names_the_user),
		H2(an_upgrade_is_sent_to_http1),
		H2(headers_are_the_same_as_in_http1),
		H2(streams_beyond_the_limit_wait),
		H2(too_many_fields_are_refused),
		H2(a_client_that_resets_without_end_is_sent_away),
		H2(pings_are_answered_but_not_without_end),
		H2(pings_of_a_client_that_does_not_read_end_its_connection),
		H2(slow_prefaces_and_heads_are_cut_off),
		H2(a_slow_body_is_answered_408),
		H2(an_idle_connection_is_told_goodbye),
		H2(an_unread_answer_is_given_up),
		H2(a_connection_over_the_ceiling_is_refused),
		H2(a_stopping_server_finishes_what_is_under_way),
		H2(connections_of_an_older_context_end_with_their_streams),
		H2(answers_of_many_connections_stay_apart),
		H2(a_lost_connection_aborts_all_its_requests),
		H2(malformed_fields_reset_the_stream),
		H2(bytes_that_are_no_frames_end_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
