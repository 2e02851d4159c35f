/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler and a client see of each other is the same over HTTP/1.1 and HTTP/2: each case runs over both. */
#include "base/http_fixture.h"

#include "base/mem.h"
#include "base/time.h"

#define WINDOW 65535 /* RFC 9113 6.9.2: what a stream may be sent at first */

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
	assert_true(has_header(f, "X-Method: POST\n"));
	assert_true(has_header(f, "X-Q: x+y z\n"));
	assert_false(has_header(f, "\nInjected:"));
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
	assert_true(has_header(f, "Content-Length: 1000000\n"));
	call(f, "GET", "/next", NULL);
	assert_string_equal(str_cstr(&f->body), "/next");
	assert_int_equal(http_server_conns(f->srv), 1);
}

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
	cancel_call(f);
	assert_true(until(f, &f->aborts, 1));
	assert_int_equal(f->ctx_freed, 1);
	assert_int_equal(f->done, 0);
	assert_int_equal(http_server_conns(f->srv), f->h2 ? 1 : 0);
}

static void an_answer_after_the_client_left_goes_nowhere(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold-bare", NULL);
	assert_true(until(f, &f->requests, 1));
	cancel_call(f);
	turns(f, 10);
	assert_int_equal(http_server_conns(f->srv), f->h2 ? 1 : 0);
	assert_int_equal(f->ctx_freed, 0);
	assert_true(str_starts(http_req_peer(f->held), "127.0.0.1:"));
	reply_text(f->held, "late");
	assert_int_equal(f->ctx_freed, 1);
}

static void a_late_upgrade_yields_a_stream_that_closes(void **state)
{
	struct fixture *f = *state;

	start(f, "GET", "/hold-bare", NULL);
	assert_true(until(f, &f->requests, 1));
	cancel_call(f);
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
	pause_call(f, true);
	turns(f, 5);
	str_clear(&f->body);
	while (http_req_pending(f->held) < 2000000 && sent < 100000000) {
		http_req_write(f->held, block, sizeof(block));
		sent += sizeof(block);
		turns(f, 1);
	}
	assert_true(http_req_pending(f->held) >= 2000000);
	assert_true(f->body.len <= (f->h2 ? WINDOW : 0)); /* what was under way */
	http_req_end(f->held);
	pause_call(f, false);
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
	pause_call(f, true);
	for (int i = 0; i < 10000 && !f->aborts; i++) {
		http_req_write(f->held, block, sizeof(block));
		turns(f, 1);
	}
	assert_int_equal(f->aborts, 1);
	assert_int_equal(http_server_conns(f->srv), f->h2 ? 1 : 0);
	cancel_call(f);
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

static void many_calls_at_once_are_all_answered(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 200; i++)
		start(f, "GET", "/x", NULL);
	assert_true(until(f, &f->done, 200));
	assert_int_equal(f->failed, ERR_NONE);
	assert_int_equal(f->requests, 200);
}

static void a_body_over_its_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str big = { 0 };

	while (big.len <= HTTP_BODY_MAX)
		str_add(&big, "0123456789012345678901234567890123456789012345678901234567890123");
	call(f, "POST", "/echo", big.data);
	assert_int_equal(f->status, 413);
	assert_int_equal(f->requests, 0);
	big.data[HTTP_BODY_MAX] = '\0';
	call(f, "POST", "/echo", big.data);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->body.len, HTTP_BODY_MAX);
}

static const char *as_json(void *arg, int status, const char *why, struct str *body)
{
	str_addf(body, "{\"code\":%d}", status);
	return "application/json";
}

/* Errors of the transport look as the owner of the server wants them. */
static void the_owner_words_what_the_server_refuses(void **state)
{
	struct fixture *f = *state;
	struct http_header many[HTTP_HEADERS_MAX + 1];
	struct http_call_spec spec = { .method = "GET",
		.path = "/x",
		.headers = many,
		.n_headers = ARRAY_LEN(many),
		.done = cl_done,
		.arg = f };

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct http_header){ "x-many", "y" };
	use_server_spec(
		f, &(struct http_server_spec){ .tls = f->server_tls, .reject = as_json, .body_max = 10 });
	if (f->h2)
		use_h2(f, NULL);
	else
		use_client(f, NULL, 0);
	call(f, "POST", "/echo", "more than ten bytes");
	assert_int_equal(f->status, 413);
	assert_string_equal(str_cstr(&f->body), "{\"code\":413}");
	assert_true(has_header(f, "content-type: application/json\n"));
	str_clear(&f->body);
	start_call(f, &spec);
	assert_true(until(f, &f->done, 2));
	assert_string_equal(str_cstr(&f->body), "{\"code\":431}");
	call(f, "GET", "/%zz", NULL);
	assert_string_equal(str_cstr(&f->body), "{\"code\":400}");
}

static void write_pieces(struct http_req *r, size_t n)
{
	char piece[64];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(piece, sizeof(piece), "{\"item\":%zu,\"text\":\"always the same\"}\n", i);
		http_req_write(r, piece, strlen(piece));
	}
	http_req_end(r);
}

/* kubernetes-api.md 2.9: streamed lists too are compressed for who takes it, watches never */
static void streams_are_compressed_when_that_was_asked_for(void **state)
{
	struct fixture *f = *state;
	static const struct http_header h[] = { { "accept-encoding", "gzip" } };
	struct http_call_spec spec = {
		.method = "GET", .headers = h, .n_headers = 1, .done = cl_done, .arg = f
	};

	for (int packed = 0; packed < 2; packed++) {
		int want = f->done + 1;

		spec.path = packed ? "/pack" : "/watch";
		str_clear(&f->body);
		f->held = NULL;
		start_call(f, &spec);
		assert_true(until(f, &f->requests, packed + 1));
		write_pieces(f->held, 50000);
		assert_true(until(f, &f->done, want));
		assert_int_equal(f->failed, ERR_NONE);
		assert_int_equal(has_header(f, "content-encoding: gzip\n"), packed);
		assert_true(packed ? f->body.len < 500000 : f->body.len > 1500000);
		if (packed)
			assert_memory_equal(f->body.data, "\x1f\x8b", 2);
	}
}

struct feeder {
	struct http_req *r;
	int left;
};

static void feed(void *arg)
{
	struct feeder *fd = arg;

	if (fd->left-- > 0)
		http_req_write(fd->r, "[1,2,3,4]", 9);
	else
		http_req_end(fd->r);
}

static void feed_all(struct fixture *f, const char *method)
{
	static const struct http_header h[] = { { "accept-encoding", "gzip" } };
	struct http_call_spec spec = {
		.method = method, .path = "/pack", .headers = h, .n_headers = 1, .done = cl_done, .arg = f
	};
	int want = f->done + 1;
	int turns_left = 5000; /* the end of an answer to HEAD is not seen from outside */
	struct feeder fd = { .left = 1000 };

	str_clear(&f->body);
	start_call(f, &spec);
	assert_true(until(f, &f->requests, want));
	fd.r = f->held;
	http_req_on_drained(fd.r, feed, &fd);
	feed(&fd);
	assert_true(until(f, &f->done, want));
	while (fd.left >= 0 && turns_left-- > 0)
		loop_step(f->loop, 5);
	assert_int_equal(fd.left, -1);
}

/* Who writes when the last has left must not wait for ever for what the compressor holds back, or what has no place. */
static void a_stream_that_sends_nothing_asks_for_more(void **state)
{
	struct fixture *f = *state;

	feed_all(f, "GET");
	assert_true(f->body.len > 20 && f->body.len < 200);
	feed_all(f, "HEAD");
	assert_int_equal(f->body.len, 0);
}

/* One client that does not read holds back nobody else. kubernetes-api.md 8, 70 */
static void a_stuck_stream_delays_no_other_call(void **state)
{
	struct fixture *f = *state;
	static char block[65536];
	struct http_req *stuck;

	start_stream(f, "/watch");
	pause_call(f, true);
	stuck = f->held;
	while (http_req_pending(stuck) < 2000000) {
		http_req_write(stuck, block, sizeof(block));
		turns(f, 1);
	}
	call(f, "GET", "/next", NULL);
	assert_string_equal(str_cstr(&f->body) + f->body.len - 5, "/next");
	http_req_kill(stuck);
	turns(f, 5);
}

#define BOTH(name)                                                \
	cmocka_unit_test_setup_teardown(name, setup, teardown),   \
	{                                                         \
#name " (HTTP/2)", name, setup_h2, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_call_is_answered_and_the_connection_used_again),
		BOTH(bodies_queries_and_headers_arrive),
		BOTH(a_large_answer_comes_whole),
		BOTH(head_has_no_body),
		BOTH(a_later_answer_arrives),
		BOTH(a_client_that_leaves_aborts_its_request),
		BOTH(an_answer_after_the_client_left_goes_nowhere),
		BOTH(a_late_upgrade_yields_a_stream_that_closes),
		BOTH(a_stream_arrives_piece_by_piece),
		BOTH(a_stream_cut_short_is_an_error),
		BOTH(a_paused_stream_holds_the_server_back),
		BOTH(a_reader_that_never_reads_is_dropped),
		BOTH(freeing_the_server_ends_streams_cleanly),
		BOTH(many_calls_at_once_are_all_answered),
		BOTH(a_body_over_its_limit_is_refused),
		BOTH(the_owner_words_what_the_server_refuses),
		BOTH(streams_are_compressed_when_that_was_asked_for),
		BOTH(a_stream_that_sends_nothing_asks_for_more),
		BOTH(a_stuck_stream_delays_no_other_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
