/* SPDX-License-Identifier: Apache-2.0 */
/* The client of HTTP/2 against our own server. */
#include "base/http2_client.h"

#include "base/http_fixture.h"
#include "base/mem.h"

#define STREAMS 100
#define LARGE (300 * 1024)

struct one {
	struct http2_stream *stream;
	struct str body;
	int status, *done;
	uint32_t error;
};
struct peer {
	struct fixture *f;
	struct http2_client *c;
	int ready, closed, done;
	enum err_code why;
};

static void on_ready(void *arg)
{
	((struct peer *)arg)->ready++;
}

static void on_closed(void *arg, const struct err *e)
{
	struct peer *p = arg;

	p->closed++;
	p->why = e->code;
}

static void on_data(void *arg, const void *data, size_t len)
{
	str_addn(&((struct one *)arg)->body, data, len);
}

static void on_done(void *arg, const struct http2_answer *a)
{
	struct one *o = arg;

	o->stream = NULL;
	o->status = a->status;
	o->error = a->error;
	(*o->done)++;
}

static const struct http2_stream_ops stream_ops = { on_data, on_done };
static const struct http2_client_ops client_ops = { on_ready, on_closed };

static void dial(struct peer *p, struct fixture *f, const char *alpn)
{
	CLEANUP(tls_unrefp) struct tls_ctx *tls = client_tls(f->ca.cert_pem, &f->client, NULL, alpn);

	*p = (struct peer){ .f = f };
	p->c = http2_client_new(f->loop,
		&(struct http2_client_spec){
			.host = "127.0.0.1", .port = f->port, .tls = tls, .connect_timeout_ms = WAIT_MS },
		&client_ops, p);
}

static void post(struct peer *p, struct one *o, const char *path, const char *body, size_t len)
{
	static const struct http_header headers[] = { { "content-type", "text/plain" } };

	o->done = &p->done;
	o->stream = http2_post(p->c, path, headers, 1, &stream_ops, o);
	if (len > 0)
		http2_stream_write(o->stream, body, len);
	http2_stream_end(o->stream);
}

static void a_post_made_before_the_connection_is_answered(void **state)
{
	struct fixture *f = *state;
	struct peer p;
	struct one o = { 0 };

	dial(&p, f, "h2");
	post(&p, &o, "/echo", "hello", 5);
	assert_true(until(f, &p.done, 1));
	assert_int_equal(p.ready, 1);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.error, 0);
	assert_string_equal(str_cstr(&o.body), "hello");
	assert_int_equal(p.closed, 0);
	str_done(&o.body);
	http2_client_free(p.c);
}

/* More than any window lets through at once. */
static void many_large_streams_go_side_by_side(void **state)
{
	struct fixture *f = *state;
	struct one *all = mem_zalloc(STREAMS * sizeof(*all));
	CLEANUP(mem_freep) char *body = mem_alloc(LARGE + 1);
	struct peer p;

	memset(body, 'x', LARGE);
	dial(&p, f, "h2");
	for (size_t i = 0; i < STREAMS; i++) {
		body[0] = (char)('A' + i % 26);
		post(&p, &all[i], "/echo", body, LARGE - i);
	}
	assert_true(until(f, &p.done, STREAMS));
	for (size_t i = 0; i < STREAMS; i++) {
		assert_int_equal(all[i].status, 200);
		assert_int_equal(all[i].body.len, LARGE - i);
		assert_int_equal(all[i].body.data[0], 'A' + i % 26);
		str_done(&all[i].body);
	}
	free(all);
	http2_client_free(p.c);
}

static void a_cancelled_stream_is_heard_of_no_more(void **state)
{
	struct fixture *f = *state;
	struct one gone = { 0 }, stays = { 0 };
	struct peer p;

	dial(&p, f, "h2");
	post(&p, &gone, "/echo", "x", 1);
	http2_stream_cancel(gone.stream);
	http2_stream_cancel(NULL);
	post(&p, &stays, "/echo", "y", 1);
	assert_true(until(f, &p.done, 1));
	turns(f, 20);
	assert_int_equal(p.done, 1);
	assert_int_equal(gone.status, 0);
	assert_string_equal(str_cstr(&stays.body), "y");
	str_done(&stays.body);
	http2_client_free(p.c);
}

static void a_lost_connection_is_told_once_and_not_to_its_streams(void **state)
{
	struct fixture *f = *state;
	struct one o = { .done = NULL };
	struct peer p;

	dial(&p, f, "h2");
	assert_true(until(f, &p.ready, 1));
	o.done = &p.done;
	o.stream = http2_post(p.c, "/echo", NULL, 0, &stream_ops, &o); /* never ended */
	turns(f, 20);
	http_server_free(TAKE(f->srv));
	assert_true(until(f, &p.closed, 1));
	turns(f, 20);
	assert_int_equal(p.closed, 1);
	assert_int_equal(p.why, ERR_UNREACHABLE);
	http2_client_free(p.c);
}

static void nobody_there_is_told_later(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	http_server_free(TAKE(f->srv));
	turns(f, 5);
	dial(&p, f, "h2");
	assert_int_equal(p.closed, 0);
	assert_true(until(f, &p.closed, 1));
	assert_int_equal(p.ready, 0);
	assert_int_equal(p.why, ERR_UNREACHABLE);
	http2_client_free(p.c);
}

/* A server that took the connection for HTTP/1.1 answers what is no frame. */
static void a_peer_that_speaks_something_else_is_left(void **state)
{
	struct fixture *f = *state;
	struct peer p;
	struct one o = { 0 };

	dial(&p, f, "http/1.1");
	post(&p, &o, "/echo", "x", 1);
	assert_true(until(f, &p.closed, 1));
	assert_int_equal(p.done, 0);
	http2_client_free(p.c);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup_tls, teardown)
	const struct CMUnitTest tests[] = {
		T(a_post_made_before_the_connection_is_answered),
		T(many_large_streams_go_side_by_side),
		T(a_cancelled_stream_is_heard_of_no_more),
		T(a_lost_connection_is_told_once_and_not_to_its_streams),
		T(nobody_there_is_told_later),
		T(a_peer_that_speaks_something_else_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
