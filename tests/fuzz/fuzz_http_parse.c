/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and chunked bodies from outside. Beside memory errors it looks for answers that depend on how the bytes were
 * cut into pieces: such a difference is a way to smuggle. The first byte chooses what the rest is. */
#include "base/http_parse.h"

#include "base/mem.h"
#include "base/url.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_head(const char *data, size_t len, bool response)
{
	CLEANUP(http_head_done) struct http_head h = { 0 };
	struct http_scan whole = { 0 }, pieces = { 0 };
	ssize_t n = http_head_scan(&whole, data, len, HTTP_HEAD_MAX, NULL), m = 0;

	for (size_t i = 1; i <= len && m == 0; i++)
		m = http_head_scan(&pieces, data, i, HTTP_HEAD_MAX, NULL);
	MUST(m == n);
	if (n <= 0)
		return;
	if (response) {
		(void)http_response_parse(data, (size_t)n, "GET", &h, NULL);
	} else if (http_request_parse(data, (size_t)n, &h, NULL) == 0) {
		MUST(h.method && h.target &&
			(h.body == HTTP_NO_BODY || h.body == HTTP_BODY_LENGTH ||
				h.body == HTTP_BODY_CHUNKED));
		MUST(h.n_headers <= HTTP_HEADERS_MAX);
	}
}

static bool unchunk(const char *data, size_t len, size_t step, struct str *body, size_t *ret_used)
{
	struct http_chunked c = { 0 };
	size_t at = 0;

	while (at < len && !c.done) {
		const char *piece;
		size_t n = len - at < step ? len - at : step, piece_len;
		ssize_t used = http_chunked_feed(&c, data + at, n, &piece, &piece_len, NULL);

		if (used < 0)
			return false;
		MUST(used > 0 && (size_t)used <= n && piece_len <= (size_t)used);
		if (piece_len)
			str_addn(body, piece, piece_len);
		at += (size_t)used;
	}
	*ret_used = c.done ? at : 0;
	return true;
}

static void fuzz_chunked(const char *data, size_t len)
{
	CLEANUP(str_done) struct str a = { 0 }, b = { 0 };
	size_t used_a = 0, used_b = 0;
	bool ok = unchunk(data, len, SIZE_MAX, &a, &used_a);

	MUST(unchunk(data, len, 1, &b, &used_b) == ok);
	MUST(a.len == b.len && used_a == used_b && (!a.len || memcmp(a.data, b.data, a.len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(mem_freep) char *text = NULL;

	if (!len)
		return 0;
	/* of exactly this size, so that a read beyond it is seen; text only where the parser takes text */
	text = *data % 4 == 3 ? mem_strndup((const char *)data + 1, len - 1) : mem_dup(data + 1, len - 1);
	switch (*data % 4) {
	case 0:
		fuzz_head(text, len - 1, false);
		break;
	case 1:
		fuzz_head(text, len - 1, true);
		break;
	case 2:
		fuzz_chunked(text, len - 1);
		break;
	case 3: {
		CLEANUP(url_done) struct url u = { 0 };
		CLEANUP(url_query_done) struct url_query q = { 0 };
		(void)url_parse(text, &u, NULL);
		(void)url_query_parse(text, &q, NULL);
		break;
	}
	}
	return 0;
}
