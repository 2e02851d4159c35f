/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_parse.h"

#include "base/mem.h"
#include "base/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int request(const char *text, struct http_head *h, struct err *e)
{
	return http_request_parse(text, strlen(text), h, e);
}

static void a_head_is_found_however_it_arrives(void **state)
{
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
	size_t head = strlen(text) - 4;
	struct http_scan s = { 0 };
	struct err e;

	for (size_t n = 1; n < head; n++)
		assert_int_equal(http_head_scan(&s, text, n, 1000, &e), 0);
	assert_int_equal(http_head_scan(&s, text, head, 1000, &e), head);
	s = (struct http_scan){ 0 };
	assert_int_equal(http_head_scan(&s, text, strlen(text), 1000, &e), head);
	s = (struct http_scan){ 0 };
	assert_int_equal(http_head_scan(&s, text, strlen(text), 20, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void a_request_head_is_taken_apart(void **state)
{
	CLEANUP(http_head_done) struct http_head h = { 0 };
	struct err e;

	assert_int_equal(request("PATCH /a?b=c HTTP/1.1\r\nhost:x\r\nContent-Length: 12 \r\nConnection: "
				 "Upgrade, foo\r\n"
				 "Upgrade: websocket\r\nExpect: 100-continue\r\nEmpty:\r\n\r\n",
				 &h, &e),
		0);
	assert_string_equal(h.method, "PATCH");
	assert_string_equal(h.target, "/a?b=c");
	assert_int_equal(h.body, HTTP_BODY_LENGTH);
	assert_int_equal(h.length, 12);
	assert_true(h.upgrade && h.keep_alive && h.expect_continue);
	assert_string_equal(http_header_find(h.headers, h.n_headers, "EMPTY"), "");
	assert_string_equal(http_header_find(h.headers, h.n_headers, "Host"), "x");
	assert_null(http_header_find(h.headers, h.n_headers, "Hos"));
}

static void keep_alive_follows_version_and_header(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(http_head_done) struct http_head h = { 0 };
		assert_int_equal(request(rows[i].text, &h, &e), 0);
		assert_int_equal(h.keep_alive, rows[i].keep);
	}
}

static void bad_heads_are_refused(void **state)
{
	static const char *const bad[] = {
		"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
		"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000000\r\n\r\n",
		("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_head h = { 0 };
		if (request(bad[i], &h, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_null(h.text);
	}
}

static void whether_an_answer_has_a_body_depends_on_the_question(void **state)
{
	static const struct {
		const char *method, *text;
		enum http_body_kind body;
	} rows[] = {
		{ "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH },
		{ "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BODY_CHUNKED },
		{ "GET", "HTTP/1.1 200 OK\r\n\r\n", HTTP_BODY_UNTIL_CLOSE },
		{ "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_NO_BODY },
		{ "GET", "HTTP/1.1 204 No Content\r\n\r\n", HTTP_NO_BODY },
		{ "GET", "HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n", HTTP_NO_BODY },
		{ "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", HTTP_NO_BODY },
		{ "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_NO_BODY },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(http_head_done) struct http_head h = { 0 };
		assert_int_equal(
			http_response_parse(rows[i].text, strlen(rows[i].text), rows[i].method, &h, &e), 0);
		assert_int_equal(h.body, rows[i].body);
		assert_int_equal(h.keep_alive, rows[i].body != HTTP_BODY_UNTIL_CLOSE);
	}
}

/* Feeds in pieces of n bytes; NULL on error, else the body. */
static char *unchunk(const char *text, size_t n, size_t *ret_used)
{
	CLEANUP(str_done) struct str body = { 0 };
	struct http_chunked c = { 0 };
	size_t at = 0, len = strlen(text);
	struct err e;

	while (at < len && !c.done) {
		const char *piece;
		size_t piece_len;
		ssize_t used =
			http_chunked_feed(&c, text + at, n < len - at ? n : len - at, &piece, &piece_len, &e);

		if (used < 0)
			return NULL;
		assert_true(used > 0);
		if (piece_len)
			str_addn(&body, piece, piece_len);
		at += (size_t)used;
	}
	*ret_used = c.done ? at : 0;
	return str_take(&body);
}

static void chunks_make_a_body_however_they_arrive(void **state)
{
	const char *text = "5\r\nhello\r\n001;a=\"b\"\r\n \r\n5 \r\nworld\r\n0\r\nX: y\r\nZ: 1\r\n\r\nGET /";

	for (size_t n = 1; n < 70; n++) {
		size_t used;
		CLEANUP(mem_freep) char *got = unchunk(text, n, &used);
		assert_string_equal(got, "hello world");
		assert_int_equal(used, strlen(text) - 5);
	}
}

static void broken_chunks_are_refused(void **state)
{
	static const char *const bad[] = { "\r\n", "g\r\n", "5\nhello", "5\r\nhelloX", "5\r\nhello\n",
		"-1\r\n", "0x5\r\n", "1000000000000000\r\n", "5\rhello", "0\r\n\n", "0\r\n\rX",
		" 5\r\nhello\r\n", "5;\x01\r\nhello" };
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(mem_freep) char *got = unchunk(bad[i], 100, &used);
		if (got)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void lists_are_searched_by_item(void **state)
{
	assert_true(http_list_has("a, B ,c;q=1", "b"));
	assert_true(http_list_has("a, B ,c;q=1", "c"));
	assert_false(http_list_has("ab, bc", "b"));
	assert_false(http_list_has("", "b"));
	assert_false(http_list_has(NULL, "b"));
}

static void urls_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host, *path;
		int port;
	} rows[] = {
		{ "https://10.0.0.1:6443", "10.0.0.1", "/", 6443 },
		{ "HTTPS://Host.example/a?b#c", "Host.example", "/a?b", 443 },
		{ "http://[fd00::1]:80/x", "fd00::1", "/x", 80 },
		{ "http://h?x=1", "h", "/?x=1", 80 },
	};
	static const char *const bad[] = { "", "host", "://x", "http://", "http://:80", "http://h:0",
		"http://h:99999", "http://h:x", "http://u@h", "http://[::1", "http://h/a b", "http://h\r\n" };
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(url_done) struct url u = { 0 };
		assert_int_equal(url_parse(rows[i].text, &u, &e), 0);
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.path, rows[i].path);
		assert_int_equal(u.port, rows[i].port);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct url u = { 0 };
		if (url_parse(bad[i], &u, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void escapes_are_decoded_once(void **state)
{
	CLEANUP(str_done) struct str out = { 0 }, enc = { 0 };
	CLEANUP(url_query_done) struct url_query q = { 0 };
	struct err e;

	assert_int_equal(url_decode("a%2520+b", 8, false, &out, &e), 0);
	assert_string_equal(out.data, "a%20+b");
	assert_int_equal(url_decode("%4", 2, false, &out, &e), -1);
	assert_int_equal(url_decode("%4g", 3, false, &out, &e), -1);
	url_encode("a b/\xc3\xa4", &enc);
	assert_string_equal(enc.data, "a%20b%2F%C3%A4");
	assert_int_equal(url_query_parse("a=1&&watch&b=x%3D+y&=z", &q, &e), 0);
	assert_int_equal(q.len, 4);
	assert_string_equal(q.items[1].name, "watch");
	assert_string_equal(q.items[1].value, "");
	assert_string_equal(q.items[2].value, "x= y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_found_however_it_arrives),
		cmocka_unit_test(a_request_head_is_taken_apart),
		cmocka_unit_test(keep_alive_follows_version_and_header),
		cmocka_unit_test(bad_heads_are_refused),
		cmocka_unit_test(whether_an_answer_has_a_body_depends_on_the_question),
		cmocka_unit_test(chunks_make_a_body_however_they_arrive),
		cmocka_unit_test(broken_chunks_are_refused),
		cmocka_unit_test(lists_are_searched_by_item),
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(escapes_are_decoded_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
