/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_parse.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX 32
#define LENGTH_DIGITS_MAX 18
#define CHUNK_DIGITS_MAX 15
#define CHUNK_SKIPPED_MAX 8192 /* extensions and trailers of one body */

static bool is_tchar(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!is_tchar((unsigned char)*s))
			return false;
	return true;
}

static bool is_value_char(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

ssize_t http_head_scan(struct http_scan *s, const char *data, size_t len, size_t max, struct err *e)
{
	while (s->pos < len) {
		const char *nl = memchr(data + s->pos, '\n', len - s->pos);
		size_t at;

		if (!nl) {
			s->pos = len;
			break;
		}
		at = (size_t)(nl - data);
		if (at == s->line || data[at - 1] != '\r')
			return err_set(e, ERR_BAD_REQUEST, "HTTP head: line does not end in CRLF");
		if (at >= max)
			break;
		if (at - 1 == s->line) {
			if (s->line == 0)
				return err_set(e, ERR_BAD_REQUEST, "HTTP head: empty first line");
			return (ssize_t)at + 1;
		}
		s->pos = s->line = at + 1;
	}
	if (len >= max)
		return err_set(e, ERR_TOO_LARGE, "HTTP head is larger than %zu bytes", max);
	return 0;
}

const char *http_header_find(const struct http_header *h, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(h[i].name, name) == 0)
			return h[i].value;
	return NULL;
}

bool http_list_has(const char *list, const char *token)
{
	size_t n = strlen(token);

	while (list && *list) {
		size_t len;

		list += strspn(list, " \t,");
		len = strcspn(list, " \t,;");
		if (len == n && strncasecmp(list, token, n) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

void http_head_done(struct http_head *h)
{
	free(h->text);
	free(h->headers);
	*h = (struct http_head){ 0 };
}

/* Cuts the next line off: NUL in place of its CRLF. A NUL or CR within it is found by the checks on its bytes. */
static char *next_line(char **at, size_t *ret_len)
{
	char *line = *at, *nl = strstr(line, "\r\n");

	if (!nl)
		return NULL;
	*nl = '\0';
	*ret_len = (size_t)(nl - line);
	*at = nl + 2;
	return line;
}

static int parse_header(char *line, struct http_header *ret, struct err *e)
{
	char *colon = strchr(line, ':'), *v, *end;

	if (!colon)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: header without colon");
	*colon = '\0';
	if (!http_is_token(line))
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal header name");
	v = colon + 1 + strspn(colon + 1, " \t");
	end = v + strlen(v);
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	for (const char *p = v; *p; p++)
		if (!is_value_char((unsigned char)*p))
			return err_set(e, ERR_BAD_REQUEST, "HTTP head: control character in header %s", line);
	*ret = (struct http_header){ line, v };
	return 0;
}

static int parse_headers(struct http_head *h, char *at, struct err *e)
{
	size_t cap = 0, len = 0;

	for (;;) {
		char *line = next_line(&at, &len);
		if (!line)
			return err_set(e, ERR_BAD_REQUEST, "HTTP head: no empty line at its end");
		if (len == 0)
			return 0;
		if (h->n_headers == HTTP_HEADERS_MAX)
			return err_set(
				e, ERR_TOO_LARGE, "HTTP head has more than %d headers", HTTP_HEADERS_MAX);
		h->headers = mem_grow(h->headers, &cap, h->n_headers + 1, sizeof(*h->headers));
		if (parse_header(line, &h->headers[h->n_headers], e) < 0)
			return -1;
		h->n_headers++;
	}
}

static int parse_length(const char *v, uint64_t *ret, struct err *e)
{
	uint64_t n = 0;
	size_t len = strlen(v);

	if (!len || len > LENGTH_DIGITS_MAX || strspn(v, "0123456789") != len)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal Content-Length");
	for (; *v; v++)
		n = n * 10 + (uint64_t)(*v - '0');
	*ret = n;
	return 0;
}

struct framing {
	const char *length, *coding, *host;
	bool close, keep_alive, upgrade, upgrade_to;
};

static int read_framing(const struct http_head *h, struct framing *f, struct err *e)
{
	for (size_t i = 0; i < h->n_headers; i++) {
		const char *n = h->headers[i].name, *v = h->headers[i].value;
		const char **once = strcasecmp(n, "Content-Length") == 0      ? &f->length
				    : strcasecmp(n, "Transfer-Encoding") == 0 ? &f->coding
				    : strcasecmp(n, "Host") == 0              ? &f->host
									      : NULL;
		if (once && *once)
			return err_set(e, ERR_BAD_REQUEST, "HTTP head: more than one %s", n);
		if (once)
			*once = v;
		if (strcasecmp(n, "Connection") == 0) {
			f->close |= http_list_has(v, "close");
			f->keep_alive |= http_list_has(v, "keep-alive");
			f->upgrade |= http_list_has(v, "upgrade");
		}
		if (strcasecmp(n, "Upgrade") == 0)
			f->upgrade_to = true;
	}
	if (f->length && f->coding)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: both Content-Length and Transfer-Encoding");
	if (f->coding && h->minor == 0)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: Transfer-Encoding in HTTP/1.0");
	if (f->coding && strcasecmp(f->coding, "chunked") != 0)
		return err_set(e, ERR_NOT_IMPLEMENTED, "HTTP head: transfer coding \"%.40s\"", f->coding);
	return 0;
}

static int apply_framing(struct http_head *h, enum http_body_kind none, struct err *e)
{
	struct framing f = { 0 };

	if (read_framing(h, &f, e) < 0)
		return -1;
	if (h->method && h->minor >= 1 && !f.host)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: no Host");
	h->body = none;
	if (f.coding)
		h->body = HTTP_BODY_CHUNKED;
	if (f.length) {
		if (parse_length(f.length, &h->length, e) < 0)
			return -1;
		h->body = h->length ? HTTP_BODY_LENGTH : HTTP_NO_BODY;
	}
	h->keep_alive = !f.close && (h->minor >= 1 || f.keep_alive);
	h->upgrade = f.upgrade && f.upgrade_to;
	return 0;
}

/* "HTTP/1.x": other major versions have other framing. */
static bool parse_version(const char *v, int *ret_minor)
{
	if (strncmp(v, "HTTP/1.", 7) != 0 || (v[7] != '0' && v[7] != '1') || v[8])
		return false;
	*ret_minor = v[7] - '0';
	return true;
}

static int parse_target(const char *t, struct http_head *h, struct err *e)
{
	for (const char *p = t; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '#')
			return err_set(
				e, ERR_BAD_REQUEST, "HTTP head: illegal character in the request target");
	if (strncasecmp(t, "http://", 7) == 0 || strncasecmp(t, "https://", 8) == 0) {
		const char *slash = strchr(strstr(t, "://") + 3, '/');
		t = slash ? slash : "/";
	}
	if (*t != '/' && !(str_eq(t, "*") && str_eq(h->method, "OPTIONS")))
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal request target");
	h->target = t;
	return 0;
}

static int request_line(char *line, struct http_head *h, struct err *e)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal request line");
	*target++ = '\0';
	*version++ = '\0';
	if (!http_is_token(line) || strlen(line) > METHOD_MAX)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal method");
	if (!parse_version(version, &h->minor))
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: not HTTP/1.1");
	h->method = line;
	return parse_target(target, h, e);
}

static char *begin(struct http_head *h, const char *data, size_t len, struct err *e)
{
	if (memchr(data, 0, len)) {
		err_set(e, ERR_BAD_REQUEST, "HTTP head: NUL byte");
		return NULL;
	}
	h->text = mem_strndup(data, len);
	return h->text;
}

int http_request_parse(const char *data, size_t len, struct http_head *ret, struct err *e)
{
	CLEANUP(http_head_done) struct http_head h = { 0 };
	char *at = begin(&h, data, len, e), *line;
	size_t n;

	if (!at)
		return -1;
	line = next_line(&at, &n);
	if (!line)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: no request line");
	if (request_line(line, &h, e) < 0 || parse_headers(&h, at, e) < 0 ||
		apply_framing(&h, HTTP_NO_BODY, e) < 0)
		return -1;
	h.expect_continue =
		http_list_has(http_header_find(h.headers, h.n_headers, "Expect"), "100-continue") &&
		h.minor >= 1;
	*ret = h;
	h = (struct http_head){ 0 };
	return 0;
}

/* HTTP/2 lets a client cut its cookies into several fields (RFC 9113 8.2.3); everybody else wants one. */
static void join_cookies(struct str *fields, size_t *n)
{
	CLEANUP(str_done) struct str all = { 0 }, rest = { 0 };
	size_t cookies = 0, left = 0;

	for (const char *p = fields->data; left < *n; left++) {
		const char *value = p + strlen(p) + 1;

		if (str_eq(p, "cookie")) {
			str_addf(&all, "%s%s", cookies++ ? "; " : "", value);
		} else {
			str_addn(&rest, p, strlen(p) + 1);
			str_addn(&rest, value, strlen(value) + 1);
		}
		p = value + strlen(value) + 1;
	}
	if (cookies < 2)
		return;
	str_addn(&rest, "cookie", 7);
	str_addn(&rest, str_cstr(&all), all.len + 1);
	*n -= cookies - 1;
	str_done(fields);
	*fields = rest;
	rest = (struct str){ 0 };
}

static int take_field(struct http_head *h, const char **authority, struct http_header f, struct err *e)
{
	if (*f.name != ':') {
		if (!http_is_token(f.name))
			return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal header name");
		for (const char *p = f.value; *p; p++)
			if (!is_value_char((unsigned char)*p))
				return err_set(e, ERR_BAD_REQUEST,
					"HTTP head: control character in header %s", f.name);
		h->headers[h->n_headers++] = f;
	} else if (str_eq(f.name, ":method")) {
		h->method = f.value;
	} else if (str_eq(f.name, ":path")) {
		h->target = f.value;
	} else if (str_eq(f.name, ":authority")) {
		*authority = f.value;
	}
	return 0;
}

static int fields_framing(struct http_head *h, bool has_body, struct err *e)
{
	struct framing f = { 0 };

	if (read_framing(h, &f, e) < 0)
		return -1;
	h->body = has_body ? HTTP_BODY_CHUNKED : HTTP_NO_BODY;
	if (f.length && parse_length(f.length, &h->length, e) < 0)
		return -1;
	if (f.length && has_body)
		h->body = HTTP_BODY_LENGTH;
	h->keep_alive = true;
	h->minor = 1;
	h->expect_continue =
		http_list_has(http_header_find(h->headers, h->n_headers, "Expect"), "100-continue");
	return 0;
}

int http_request_from_fields(
	struct str *fields, size_t n, bool has_body, struct http_head *ret, struct err *e)
{
	CLEANUP(http_head_done) struct http_head h = { 0 };
	const char *authority = NULL;
	char *p;

	join_cookies(fields, &n);
	p = h.text = str_take(fields);
	h.headers = mem_zalloc((n + 1) * sizeof(*h.headers));
	for (size_t i = 0; i < n; i++) {
		struct http_header f = { p, p + strlen(p) + 1 };

		if (take_field(&h, &authority, f, e) < 0)
			return -1;
		p = (char *)f.value + strlen(f.value) + 1;
	}
	if (!h.method || !h.target)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: no method or no path");
	if (!http_is_token(h.method) || strlen(h.method) > METHOD_MAX)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal method");
	if (parse_target(h.target, &h, e) < 0)
		return -1;
	if (authority && !http_header_find(h.headers, h.n_headers, "Host"))
		h.headers[h.n_headers++] = (struct http_header){ "Host", authority };
	if (fields_framing(&h, has_body, e) < 0)
		return -1;
	*ret = h;
	h = (struct http_head){ 0 };
	return 0;
}

static int status_line(char *line, struct http_head *h, struct err *e)
{
	char *status = strchr(line, ' ');

	if (!status)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal status line");
	*status++ = '\0';
	if (!parse_version(line, &h->minor))
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: not HTTP/1.1");
	if (strspn(status, "0123456789") != 3 || (status[3] && status[3] != ' ') || *status < '1' ||
		*status > '5')
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: illegal status");
	h->status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
	return 0;
}

int http_response_parse(
	const char *data, size_t len, const char *method, struct http_head *ret, struct err *e)
{
	CLEANUP(http_head_done) struct http_head h = { 0 };
	char *at = begin(&h, data, len, e), *line;
	size_t n;

	if (!at)
		return -1;
	line = next_line(&at, &n);
	if (!line)
		return err_set(e, ERR_BAD_REQUEST, "HTTP head: no status line");
	if (status_line(line, &h, e) < 0 || parse_headers(&h, at, e) < 0 ||
		apply_framing(&h, HTTP_BODY_UNTIL_CLOSE, e) < 0)
		return -1;
	if (h.status < 200 || h.status == 204 || h.status == 304 || str_eq(method, "HEAD"))
		h.body = HTTP_NO_BODY;
	if (h.body == HTTP_BODY_UNTIL_CLOSE)
		h.keep_alive = false;
	*ret = h;
	h = (struct http_head){ 0 };
	return 0;
}

enum {
	CH_SIZE,
	CH_EXT,
	CH_SIZE_LF,
	CH_DATA,
	CH_DATA_CR,
	CH_DATA_LF,
	CH_LINE,
	CH_TRAILER,
	CH_TRAILER_LF,
	CH_END_LF
};

/* One byte outside of chunk data; -1 if it has no place there. */
static int chunked_byte(struct http_chunked *c, char b)
{
	int d;

	switch (c->state) {
	case CH_SIZE:
		d = str_hex(b);
		if (d >= 0 && c->digits++ < CHUNK_DIGITS_MAX) {
			c->left = c->left << 4 | (uint64_t)d;
			return 0;
		}
		if (d >= 0 || !c->digits)
			return -1;
		c->state = b == '\r' ? CH_SIZE_LF : CH_EXT;
		return b == '\r' || b == ';' || b == ' ' || b == '\t' ? 0 : -1;
	case CH_EXT:
	case CH_TRAILER:
		if (b == '\r')
			c->state = c->state == CH_EXT ? CH_SIZE_LF : CH_TRAILER_LF;
		else if (!is_value_char((unsigned char)b) || ++c->skipped > CHUNK_SKIPPED_MAX)
			return -1;
		return 0;
	case CH_SIZE_LF:
		c->state = c->left ? CH_DATA : CH_LINE;
		return b == '\n' ? 0 : -1;
	case CH_DATA_CR:
		c->state = CH_DATA_LF;
		return b == '\r' ? 0 : -1;
	case CH_DATA_LF:
		c->state = CH_SIZE;
		c->digits = 0;
		return b == '\n' ? 0 : -1;
	case CH_LINE: /* a trailer line begins, or the end */
		c->state = b == '\r' ? CH_END_LF : CH_TRAILER;
		return b == '\r' || is_tchar((unsigned char)b) ? 0 : -1;
	case CH_TRAILER_LF:
		c->state = CH_LINE;
		return b == '\n' ? 0 : -1;
	case CH_END_LF:
		c->done = true;
		return b == '\n' ? 0 : -1;
	default:
		return -1;
	}
}

ssize_t http_chunked_feed(struct http_chunked *c, const char *data, size_t len, const char **ret_piece,
	size_t *ret_piece_len, struct err *e)
{
	size_t i = 0;

	*ret_piece = NULL;
	*ret_piece_len = 0;
	while (i < len && !c->done) {
		if (c->state == CH_DATA) {
			size_t n = len - i < c->left ? len - i : (size_t)c->left;

			*ret_piece = data + i;
			*ret_piece_len = n;
			c->left -= n;
			if (!c->left)
				c->state = CH_DATA_CR;
			return (ssize_t)(i + n);
		}
		if (chunked_byte(c, data[i]) < 0)
			return err_set(e, ERR_BAD_REQUEST, "HTTP body: broken chunked coding");
		i++;
	}
	return (ssize_t)i;
}
