/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spdy.h"

#include "base/mem.h"
#include "base/spdy_head.h"
#include "base/test_util.h"

#include <string.h>

/* SYN_STREAM of streams 1 and 3 with one header each, {streamtype: error} and {streamtype: stdin}, as written by another
 * program with the dictionary of SPDY/3 2.6.10.1: the second needs what the first left behind. */
static const uint8_t first_frame[] = { 0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x28, 0x00, 0x00, 0x00, 0x01,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2, 0x02, 0xa6, 0x23, 0x46, 0x70,
	0x3a, 0x2b, 0x29, 0x4a, 0x4d, 0xcc, 0x85, 0x16, 0x25, 0xac, 0xa9, 0xa0, 0x80, 0x06, 0x00, 0x00, 0x00,
	0xff, 0xff };
static const uint8_t second_frame[] = { 0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x17, 0x00, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc2, 0x2e, 0x55, 0x5c, 0x02, 0xcc, 0x2e, 0x00, 0x00, 0x00,
	0x00, 0xff, 0xff };

enum { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, PING = 6, GOAWAY, HEADERS, WINDOW_UPDATE };

struct fixture {
	struct loop *loop;
	struct spdy *y;
	struct spdy_deflate *z; /* the client's */
	struct str out;         /* frames to the client */
	size_t stuck;           /* what the carrier claims to hold */
	bool carrier_paused, carrier_closed, refuse, pause_on_data;
	struct spdy_stream *streams[8];
	char types[8][16];
	size_t n;
	struct str got;
	int ends, resets, closed, drains;
	unsigned reset_status;
	enum err_code code;
};

/* ---- a carrier that remembers ---- */
static void c_start(void *c, struct spdy *y)
{
}

static void c_write(void *c, const void *data, size_t len)
{
	str_addn(&((struct fixture *)c)->out, data, len);
}

static size_t c_pending(const void *c)
{
	return ((const struct fixture *)c)->stuck;
}

static void c_pause(void *c, bool paused)
{
	((struct fixture *)c)->carrier_paused = paused;
}

static void c_close(void *c)
{
	((struct fixture *)c)->carrier_closed = true;
}

static const struct spdy_carrier carrier = { c_start, c_write, c_pending, c_pause, c_close };

/* ---- the user ---- */
static void s_data(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	str_addn(&f->got, data, len);
	if (f->pause_on_data)
		spdy_pause(f->streams[0], true);
}

static void s_end(void *arg)
{
	((struct fixture *)arg)->ends++;
}

static void s_reset(void *arg, unsigned status)
{
	struct fixture *f = arg;

	f->resets++;
	f->reset_status = status;
}

static void y_opened(void *arg, struct spdy_stream *s)
{
	static const struct spdy_stream_ops ops = { s_data, s_end, s_reset };
	struct fixture *f = arg;
	const char *type = spdy_stream_header(s, "streamType");

	if (f->refuse)
		return;
	str_copy(f->types[f->n % 8], sizeof(f->types[0]), type ? type : "");
	f->streams[f->n++ % 8] = s;
	spdy_accept(s, &ops, f);
}

static void y_drained(void *arg)
{
	((struct fixture *)arg)->drains++;
}

static void y_closed(void *arg, const struct err *e)
{
	struct fixture *f = arg;

	f->closed++;
	f->code = e->code;
	f->y = NULL;
}

static int setup(void **state)
{
	static const struct spdy_ops ops = { y_opened, y_drained, y_closed };
	struct fixture *f = MEM_NEW(struct fixture);

	f->loop = loop_new_sim(0);
	f->z = spdy_deflate_new();
	f->y = spdy_new(f->loop, &carrier, f);
	spdy_start(f->y, &ops, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	spdy_close(f->y);
	spdy_deflate_free(f->z);
	str_done(&f->out);
	str_done(&f->got);
	loop_free(f->loop);
	free(f);
	return 0;
}

/* ---- the client ---- */
static void add32(struct str *s, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		str_addc(s, (char)(v >> shift));
}

static void control(struct fixture *f, int type, int flags, const struct str *body)
{
	CLEANUP(str_done) struct str frame = { 0 };

	add32(&frame, 0x80030000u | (uint32_t)type);
	add32(&frame, (uint32_t)flags << 24 | (uint32_t)body->len);
	if (body->len)
		str_addn(&frame, body->data, body->len);
	spdy_feed(f->y, frame.data, frame.len);
}

static void words(struct fixture *f, int type, uint32_t a, uint32_t b)
{
	CLEANUP(str_done) struct str body = { 0 };

	add32(&body, a);
	add32(&body, b);
	control(f, type, 0, &body);
}

static void open_stream(struct fixture *f, uint32_t id, int flags)
{
	CLEANUP(str_done) struct str body = { 0 };

	add32(&body, id);
	add32(&body, 0);
	str_addn(&body, "\0\0", 2);
	spdy_deflate_block(f->z, (const char *const[]){ "streamtype", "data" }, 1, &body);
	control(f, SYN_STREAM, flags, &body);
}

static void data(struct fixture *f, uint32_t id, const char *text, bool fin)
{
	CLEANUP(str_done) struct str frame = { 0 };

	add32(&frame, id);
	add32(&frame, (fin ? 1u << 24 : 0) | (uint32_t)strlen(text));
	str_add(&frame, text);
	spdy_feed(f->y, frame.data, frame.len);
}

static uint32_t at32(const struct str *s, size_t at)
{
	const uint8_t *p = (const uint8_t *)s->data + at;

	assert_true(at + 4 <= s->len);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Takes the next frame to the client: its first word, its length and the offset of its body go to the caller. */
static uint32_t take(struct fixture *f, struct str *ret)
{
	uint32_t first = at32(&f->out, 0), len = at32(&f->out, 4) & 0xffffff;

	str_clear(ret);
	assert_true(f->out.len >= 8 + len);
	str_addn(ret, f->out.data, 8 + len);
	str_drop_front(&f->out, 8 + len);
	return first;
}

/* The next control frame of this type, others skipped; false if there is none. */
static bool take_control(struct fixture *f, int type, struct str *ret)
{
	while (f->out.len)
		if (take(f, ret) == (0x80030000u | (uint32_t)type))
			return true;
	return false;
}

static size_t data_bytes(struct fixture *f, uint32_t id, bool *ret_fin)
{
	CLEANUP(str_done) struct str frame = { 0 };
	size_t n = 0;

	*ret_fin = false;
	while (f->out.len)
		if (take(f, &frame) == id) {
			n += frame.len - 8;
			*ret_fin |= at32(&frame, 4) >> 24 & 1;
		}
	return n;
}

/* ---- tests ---- */
static void frames_of_another_implementation_are_understood(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str frame = { 0 };

	spdy_feed(f->y, first_frame, sizeof(first_frame));
	spdy_feed(f->y, second_frame, sizeof(second_frame));
	assert_int_equal(f->n, 2);
	assert_string_equal(f->types[0], "error");
	assert_string_equal(f->types[1], "stdin");
	assert_true(take_control(f, SYN_REPLY, &frame));
	assert_int_equal(at32(&frame, 8), 1);
	/* the zlib header says which dictionary: its Adler-32 */
	assert_int_equal(at32(&frame, 14), 0xe3c6a7c2);
	assert_true(take_control(f, SYN_REPLY, &frame));
	assert_int_equal(at32(&frame, 8), 3);
}

static void bytes_may_come_one_at_a_time(void **state)
{
	static const char data[] = "\0\0\0\1\1\0\0\5hello";
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(first_frame); i++)
		spdy_feed(f->y, first_frame + i, 1);
	for (size_t i = 0; i < sizeof(data) - 1; i++)
		spdy_feed(f->y, &data[i], 1);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->got.data, "hello");
	assert_int_equal(f->ends, 1);
}

static void data_and_ends_go_both_ways(void **state)
{
	struct fixture *f = *state;
	bool fin;

	open_stream(f, 1, 0);
	data(f, 1, "abc", false);
	data(f, 1, "", true);
	assert_string_equal(f->got.data, "abc");
	assert_int_equal(f->ends, 1);
	spdy_send(f->streams[0], "xy", 2);
	spdy_end(f->streams[0]);
	spdy_send(f->streams[0], "late", 4);
	assert_int_equal(data_bytes(f, 1, &fin), 2);
	assert_true(fin);
}

static void a_ping_is_answered_and_ours_are_not(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str body = { 0 }, frame = { 0 };

	add32(&body, 7);
	control(f, PING, 0, &body);
	assert_true(take_control(f, PING, &frame));
	assert_int_equal(at32(&frame, 8), 7);
	body.data[3] = 8;
	control(f, PING, 0, &body);
	assert_int_equal(f->out.len, 0);
}

static void a_peer_that_never_counts_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *big = mem_zalloc(300000);
	bool fin;

	open_stream(f, 1, 0);
	spdy_send(f->streams[0], big, 300000);
	assert_int_equal(data_bytes(f, 1, &fin), 300000);
	assert_int_equal(spdy_pending(f->streams[0]), 0);
}

static void windows_of_a_peer_that_counts_are_kept_to(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *big = mem_zalloc(300000);
	bool fin;

	open_stream(f, 1, 0);
	words(f, WINDOW_UPDATE, 0, 1000); /* session: 66536, stream: 65536 */
	spdy_send(f->streams[0], big, 300000);
	spdy_end(f->streams[0]);
	assert_int_equal(data_bytes(f, 1, &fin), 65536);
	assert_int_equal(spdy_pending(f->streams[0]), 300000 - 65536);
	words(f, WINDOW_UPDATE, 1, 5000);
	assert_int_equal(data_bytes(f, 1, &fin), 1000); /* what is left of the session's */
	words(f, WINDOW_UPDATE, 0, 1 << 20);
	words(f, WINDOW_UPDATE, 1, 1 << 20);
	assert_int_equal(data_bytes(f, 1, &fin), 300000 - 66536);
	assert_true(fin);
}

static void the_initial_window_changes_open_streams_too(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str body = { 0 };
	CLEANUP(mem_freep) char *big = mem_zalloc(10000);
	bool fin;

	open_stream(f, 1, 0);
	add32(&body, 1);
	add32(&body, 7);
	add32(&body, 100);
	control(f, SETTINGS, 0, &body);
	spdy_send(f->streams[0], big, 10000);
	assert_int_equal(data_bytes(f, 1, &fin), 100);
}

static void what_was_taken_is_confirmed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *text = mem_zalloc(20001);
	CLEANUP(str_done) struct str frame = { 0 };

	memset(text, 'x', 20000);
	open_stream(f, 1, 0);
	str_clear(&f->out);
	data(f, 1, text, false);
	assert_true(take_control(f, WINDOW_UPDATE, &frame));
	assert_int_equal(at32(&frame, 8), 0);
	assert_int_equal(at32(&frame, 12), 20000);
	assert_true(take_control(f, WINDOW_UPDATE, &frame));
	assert_int_equal(at32(&frame, 8), 1);
}

static void a_paused_stream_stops_the_connection_until_it_goes_on(void **state)
{
	struct fixture *f = *state;

	open_stream(f, 1, 0);
	f->pause_on_data = true;
	spdy_feed(f->y, "\0\0\0\1\0\0\0\1a\0\0\0\1\0\0\0\1b", 18);
	assert_string_equal(f->got.data, "a");
	assert_true(f->carrier_paused);
	f->pause_on_data = false;
	spdy_pause(f->streams[0], false);
	assert_false(f->carrier_paused);
	assert_string_equal(f->got.data, "a"); /* nothing calls back from inside a call */
	loop_run(f->loop);
	assert_string_equal(f->got.data, "ab");
}

static void a_reset_ends_a_stream_and_late_data_is_dropped(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str frame = { 0 };

	open_stream(f, 1, 0);
	words(f, RST_STREAM, 1, SPDY_CANCEL);
	assert_int_equal(f->resets, 1);
	assert_int_equal(f->reset_status, SPDY_CANCEL);
	open_stream(f, 3, 0);
	spdy_forget(f->streams[1]);
	assert_true(take_control(f, RST_STREAM, &frame));
	assert_int_equal(at32(&frame, 8), 3);
	data(f, 3, "late", true);
	assert_int_equal(f->got.len, 0);
	assert_int_equal(f->out.len, 0);
	assert_int_equal(f->closed, 0);
}

static void a_stream_nobody_takes_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str frame = { 0 };

	f->refuse = true;
	open_stream(f, 1, 0);
	assert_true(take_control(f, RST_STREAM, &frame));
	assert_int_equal(at32(&frame, 12), SPDY_REFUSED_STREAM);
}

static void more_than_the_most_streams_are_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str frame = { 0 };

	for (uint32_t i = 0; i < SPDY_STREAMS_MAX; i++)
		open_stream(f, 2 * i + 1, 0);
	assert_false(take_control(f, RST_STREAM, &frame));
	open_stream(f, 2 * SPDY_STREAMS_MAX + 1, 0);
	assert_true(take_control(f, RST_STREAM, &frame));
	assert_int_equal(at32(&frame, 12), SPDY_REFUSED_STREAM);
	assert_int_equal(f->n, SPDY_STREAMS_MAX);
	assert_int_equal(f->closed, 0);
}

static void data_of_a_stream_never_opened_is_answered_by_a_reset(void **state)
{
	struct fixture *f = *state;
	CLEANUP(str_done) struct str frame = { 0 };

	data(f, 5, "x", false);
	assert_true(take_control(f, RST_STREAM, &frame));
	assert_int_equal(at32(&frame, 12), SPDY_INVALID_STREAM);
	assert_int_equal(f->closed, 0);
}

static void breaking_the_rules_ends_the_connection(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x80\x02\0\6\0\0\0\4\0\0\0\1", 12 },                /* SPDY/2 */
		{ "\x80\3\0\1\0\1\0\1", 8 },                           /* a control frame of 65537 bytes */
		{ "\x80\3\0\1\0\0\0\4\0\0\0\1", 12 },                  /* a stream without headers */
		{ "\x80\3\0\1\0\0\0\16\0\0\0\1\0\0\0\0\0\0junk", 22 }, /* headers that zlib does not know */
		{ "\x80\3\0\3\0\0\0\4\0\0\0\1", 12 },                  /* a short reset */
		{ "\x80\3\0\4\0\0\0\4\0\0\0\1", 12 },                  /* settings that miss their entry */
		{ "\x80\3\0\6\0\0\0\0", 8 },                           /* a ping without a number */
		{ "\x80\3\0\11\0\0\0\10\0\0\0\0\0\0\0\0", 16 },        /* a window update of nothing */
		{ "\0\0\0\0\0\0\0\1x", 9 },                            /* data of stream 0 */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fixture *f;
		CLEANUP(str_done) struct str frame = { 0 };

		teardown(state);
		setup(state);
		f = *state;
		spdy_feed(f->y, bad[i].bytes, bad[i].len);
		assert_int_equal(f->closed, 1);
		assert_int_equal(f->code, ERR_BAD_REQUEST);
		assert_true(f->carrier_closed);
		assert_true(take_control(f, GOAWAY, &frame));
	}
}

static void stream_numbers_only_grow(void **state)
{
	struct fixture *f = *state;

	open_stream(f, 5, 0);
	open_stream(f, 3, 0);
	assert_int_equal(f->closed, 1);
}

static void a_bomb_of_headers_ends_the_connection(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *zeros = mem_alloc(4 << 20);
	CLEANUP(str_done) struct str body = { 0 };

	memset(zeros, 'a', 4 << 20);
	zeros[(4 << 20) - 1] = 0;
	add32(&body, 1);
	add32(&body, 0);
	str_addn(&body, "\0\0", 2);
	spdy_deflate_block(f->z, (const char *const[]){ "bomb", zeros }, 1, &body);
	assert_true(body.len < SPDY_CONTROL_MAX);
	control(f, SYN_STREAM, 0, &body);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->n, 0);
}

static void the_peers_goaway_is_an_orderly_end(void **state)
{
	struct fixture *f = *state;

	words(f, GOAWAY, 0, 0);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->code, ERR_NONE);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(frames_of_another_implementation_are_understood),
		T(bytes_may_come_one_at_a_time),
		T(data_and_ends_go_both_ways),
		T(a_ping_is_answered_and_ours_are_not),
		T(a_peer_that_never_counts_is_not_waited_for),
		T(windows_of_a_peer_that_counts_are_kept_to),
		T(the_initial_window_changes_open_streams_too),
		T(what_was_taken_is_confirmed),
		T(a_paused_stream_stops_the_connection_until_it_goes_on),
		T(a_reset_ends_a_stream_and_late_data_is_dropped),
		T(a_stream_nobody_takes_is_refused),
		T(more_than_the_most_streams_are_refused),
		T(data_of_a_stream_never_opened_is_answered_by_a_reset),
		T(breaking_the_rules_ends_the_connection),
		T(stream_numbers_only_grow),
		T(a_bomb_of_headers_ends_the_connection),
		T(the_peers_goaway_is_an_orderly_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
