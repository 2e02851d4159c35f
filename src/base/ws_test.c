/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ws.h"

#include "base/mem.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 10000

struct side {
	struct fixture *f;
	struct ws *ws;
	struct str got;
	int messages, closed;
	enum ws_kind kind;
	enum err_code code;
};

struct fixture {
	struct loop *loop;
	struct http_server *srv;
	struct http_client *cl;
	int port;
	struct side server, client;
	struct http_stream *raw; /* the client's end, for frames no client of ours would send */
	struct str raw_in;
	bool raw_mode, echo;
	int done, status, refused, raw_closed;
	char protocol[64], key[WS_KEY_MAX];
	bool accepted;
};

static bool until(struct fixture *f, const int *counter, int at_least)
{
	int64_t end = time_mono_now() + WAIT_MS;

	while (*counter < at_least && time_mono_now() < end)
		loop_step(f->loop, 100);
	return *counter >= at_least;
}

static void on_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct side *s = arg;

	s->messages++;
	s->kind = kind;
	str_addn(&s->got, data, len);
	if (s == &s->f->server && s->f->echo)
		ws_send(s->ws, kind, data, len);
}

static void on_closed(void *arg, const struct err *e)
{
	struct side *s = arg;

	s->closed++;
	s->code = e->code;
	s->ws = NULL;
}

static const struct ws_ops ops = { .message = on_message, .closed = on_closed };

static void handler(void *arg, struct http_req *r)
{
	static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
	struct fixture *f = arg;
	const char *protocol = NULL;
	struct err e;

	f->server.ws = ws_accept(r, protocols, &protocol, &e);
	if (!f->server.ws) {
		f->refused++;
		http_req_reply(r, err_http(e.code), "text/plain", e.msg, strlen(e.msg));
		return;
	}
	str_copy(f->protocol, sizeof(f->protocol), protocol ? protocol : "none");
	ws_start(f->server.ws, &ops, &f->server);
}

static void cl_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct fixture *f = arg;

	f->done++;
	f->status = r ? r->status : -1;
}

static void raw_data(void *arg, const void *data, size_t len)
{
	str_addn(&((struct fixture *)arg)->raw_in, data, len);
}

static void raw_closed(void *arg, const struct err *e)
{
	struct fixture *f = arg;

	f->raw = NULL;
	f->raw_closed++;
}

static const struct http_stream_ops raw_ops = { .data = raw_data, .closed = raw_closed };

static void cl_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	struct fixture *f = arg;

	f->done++;
	f->accepted = ws_accepted(f->key, r);
	if (f->raw_mode) {
		f->raw = s;
		http_stream_start(s, &raw_ops, f);
		return;
	}
	f->client.ws = ws_client(s);
	ws_start(f->client.ws, &ops, &f->client);
}

static void open_ws(struct fixture *f, const char *protocol)
{
	struct http_header h[8];
	size_t n = ARRAY_LEN(h);

	ws_client_headers(f->key, h, &n, protocol);
	http_client_call(f->cl, &(struct http_call_spec){ .method = "GET",
					.path = "/",
					.headers = h,
					.n_headers = n,
					.done = cl_done,
					.upgraded = cl_upgraded,
					.arg = f });
	assert_true(until(f, &f->done, 1));
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct err e;

	f->loop = loop_new();
	f->server.f = f->client.f = f;
	f->srv = http_server_new(f->loop, &(struct http_server_spec){ .handler = handler, .arg = f });
	assert_int_equal(http_server_listen(f->srv, NULL, 0, &f->port, &e), 0);
	f->cl = http_client_new(f->loop, &(struct http_client_spec){ .host = "127.0.0.1", .port = f->port });
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ws_close(f->client.ws, 1000);
	http_stream_close(f->raw);
	for (int i = 0; i < 10; i++)
		loop_step(f->loop, 5);
	ws_close(f->server.ws, 1000);
	http_client_free(f->cl);
	http_server_free(f->srv);
	for (int i = 0; i < 10; i++)
		loop_step(f->loop, 5);
	str_done(&f->client.got);
	str_done(&f->server.got);
	str_done(&f->raw_in);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void messages_go_both_ways(void **state)
{
	struct fixture *f = *state;
	static char big[WS_FRAME_MAX];

	f->echo = true;
	open_ws(f, NULL);
	assert_true(f->accepted);
	assert_string_equal(f->protocol, "none");
	ws_send(f->client.ws, WS_TEXT, "hello", 5);
	assert_true(until(f, &f->client.messages, 1));
	assert_int_equal(f->client.kind, WS_TEXT);
	assert_string_equal(str_cstr(&f->client.got), "hello");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	str_clear(&f->client.got);
	ws_send(f->client.ws, WS_BINARY, big, sizeof(big));
	ws_send(f->client.ws, WS_BINARY, big, 200);
	ws_send(f->client.ws, WS_BINARY, NULL, 0);
	assert_true(until(f, &f->client.messages, 4));
	assert_int_equal(f->client.got.len, sizeof(big) + 200);
	assert_memory_equal(f->client.got.data, big, sizeof(big));
}

static void the_server_prefers_among_the_protocols_offered(void **state)
{
	struct fixture *f = *state;

	open_ws(f, "base64.channel.k8s.io, v4.channel.k8s.io, v5.channel.k8s.io");
	assert_string_equal(f->protocol, "v5.channel.k8s.io");
}

static void unknown_protocols_only_are_refused(void **state)
{
	struct fixture *f = *state;

	open_ws(f, "v9.channel.k8s.io");
	assert_int_equal(f->refused, 1);
	assert_int_equal(f->status, 400);
}

static void closing_tells_the_peer(void **state)
{
	struct fixture *f = *state;

	open_ws(f, NULL);
	ws_send(f->client.ws, WS_TEXT, "last", 4);
	ws_close(TAKE(f->client.ws), 1000);
	assert_true(until(f, &f->server.closed, 1));
	assert_int_equal(f->server.code, ERR_NONE);
	assert_string_equal(str_cstr(&f->server.got), "last");
	assert_int_equal(f->client.closed, 0);
}

static void a_pause_keeps_messages_back(void **state)
{
	struct fixture *f = *state;

	open_ws(f, NULL);
	ws_pause(f->server.ws, true);
	for (int i = 0; i < 3; i++)
		ws_send(f->client.ws, WS_TEXT, "x", 1);
	for (int i = 0; i < 5; i++)
		loop_step(f->loop, 5);
	assert_int_equal(f->server.messages, 0);
	ws_pause(f->server.ws, false);
	assert_true(until(f, &f->server.messages, 3));
}

/* ---- frames by hand; all masked with zeros unless said otherwise ---- */

static void open_raw(struct fixture *f)
{
	f->raw_mode = true;
	open_ws(f, NULL);
}

static void send_bytes(struct fixture *f, const char *bytes, size_t len)
{
	http_stream_write(f->raw, bytes, len);
}
#define SEND(f, text) send_bytes(f, text, sizeof(text) - 1)

static void expect_close(struct fixture *f, int code)
{
	assert_true(until(f, &f->raw_closed, 1));
	assert_int_equal(f->server.closed, 1);
	assert_int_equal(f->raw_in.len, 4);
	assert_int_equal((uint8_t)f->raw_in.data[0], 0x88);
	assert_int_equal((uint8_t)f->raw_in.data[2] << 8 | (uint8_t)f->raw_in.data[3], code);
}

static void fragments_make_one_message_with_pings_between(void **state)
{
	struct fixture *f = *state;

	open_raw(f);
	SEND(f, "\x01\x82\0\0\0\0he");
	SEND(f, "\x89\x81\0\0\0\0p");
	SEND(f, "\x80\x83\0\0\0\0llo");
	assert_true(until(f, &f->server.messages, 1));
	assert_string_equal(str_cstr(&f->server.got), "hello");
	while (f->raw_in.len < 3)
		loop_step(f->loop, 100);
	assert_memory_equal(f->raw_in.data, "\x8a\x01p", 3);
}

static void frames_cut_anywhere_are_put_together(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = "\x82\x85\x01\x02\x03\x04igoh\x6e\x81\x80\0\0\0\0";

	open_raw(f);
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		send_bytes(f, bytes + i, 1);
		loop_step(f->loop, 1);
	}
	assert_true(until(f, &f->server.messages, 2));
	assert_string_equal(str_cstr(&f->server.got), "hello");
}

static void unmasked_frames_are_a_violation(void **state)
{
	open_raw(*state);
	SEND((struct fixture *)*state, "\x81\x01x");
	expect_close(*state, 1002);
}

static void huge_frames_are_too_big(void **state)
{
	open_raw(*state);
	SEND((struct fixture *)*state, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
	expect_close(*state, 1009);
}

static void text_must_be_utf8(void **state)
{
	open_raw(*state);
	SEND((struct fixture *)*state, "\x81\x82\0\0\0\0\xc0\xaf");
	expect_close(*state, 1007);
}

static void a_lone_continuation_is_a_violation(void **state)
{
	open_raw(*state);
	SEND((struct fixture *)*state, "\x80\x81\0\0\0\0x");
	expect_close(*state, 1002);
}

static void vanishing_without_a_close_frame_is_an_error(void **state)
{
	struct fixture *f = *state;

	open_raw(f);
	http_stream_close(TAKE(f->raw));
	assert_true(until(f, &f->server.closed, 1));
	assert_int_equal(f->server.code, ERR_UNREACHABLE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_go_both_ways),
		T(the_server_prefers_among_the_protocols_offered),
		T(unknown_protocols_only_are_refused),
		T(closing_tells_the_peer),
		T(a_pause_keeps_messages_back),
		T(fragments_make_one_message_with_pings_between),
		T(frames_cut_anywhere_are_put_together),
		T(unmasked_frames_are_a_violation),
		T(huge_frames_are_too_big),
		T(text_must_be_utf8),
		T(a_lone_continuation_is_a_violation),
		T(vanishing_without_a_close_frame_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
