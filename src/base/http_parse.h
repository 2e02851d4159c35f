/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_parse.h - HTTP/1.1 heads and chunked bodies (RFC 9110, 9112), for both sides. Pure: no I/O, no clock.
 *
 * Strict where leniency lets two parsers disagree (request smuggling): lines end in CRLF, no folded lines, no space
 * before a colon, one Content-Length of digits only, never together with Transfer-Encoding, no coding but chunked.
 * Private to base/http_*.c. */
#pragma once

#include "base/err.h"
#include "base/http.h"

#include <sys/types.h>

enum http_body_kind { HTTP_NO_BODY, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE };

struct http_head {
	char *text;                  /* what the pointers below point into */
	const char *method, *target; /* request; target in origin form or "*" */
	int status;                  /* response */
	int minor;                   /* HTTP/1.minor */
	struct http_header *headers;
	size_t n_headers;
	enum http_body_kind body;
	uint64_t length; /* for HTTP_BODY_LENGTH */
	bool keep_alive, upgrade, expect_continue;
};

/* Looks for the end of a head in bytes that grow at the end between calls. Zero-initialise for each head. */
struct http_scan {
	size_t pos, line;
};
/* Length of the head with its empty line; 0: needs more; -1: ERR_BAD_REQUEST, or ERR_TOO_LARGE beyond max. */
ssize_t http_head_scan(struct http_scan *s, const char *data, size_t len, size_t max, struct err *e);
/* data: one whole head. ERR_BAD_REQUEST, ERR_TOO_LARGE (more than HTTP_HEADERS_MAX), ERR_NOT_IMPLEMENTED (a transfer
 * coding we do not know). */
int http_request_parse(const char *data, size_t len, struct http_head *ret, struct err *e);
/* method: of the request this answers; it decides whether there is a body. */
int http_response_parse(
	const char *data, size_t len, const char *method, struct http_head *ret, struct err *e);
/* The same from HTTP/2's fields: fields (taken) is "name\0value\0" n times, pseudo-headers first, as the framing checked
 * them. has_body: more frames follow. */
int http_request_from_fields(
	struct str *fields, size_t n, bool has_body, struct http_head *ret, struct err *e);
void http_head_done(struct http_head *h);
/* First value, NULL if absent. */
const char *http_header_find(const struct http_header *h, size_t n, const char *name);
/* Is token one of the comma-separated list's items (case-insensitive; parameters after ; ignored)? */
bool http_list_has(const char *list, const char *token);
bool http_is_token(const char *s);

/* Chunked decoding. Zero-initialise. */
struct http_chunked {
	int state;
	unsigned digits;
	size_t skipped; /* extension and trailer bytes */
	uint64_t left;
	bool done;
};
/* Consumes bytes and yields at most one piece of the body, which lies inside data. Returns how many bytes were
 * consumed (0 only for len 0 or when done), -1: ERR_BAD_REQUEST. */
ssize_t http_chunked_feed(struct http_chunked *c, const char *data, size_t len, const char **ret_piece,
	size_t *ret_piece_len, struct err *e);
