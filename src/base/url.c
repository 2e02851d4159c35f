/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include "base/mem.h"

#include <string.h>

int url_decode(const char *text, size_t len, bool plus, struct str *out, struct err *e)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int hi = i + 2 < len ? str_hex(text[i + 1]) : -1;
			int lo = i + 2 < len ? str_hex(text[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return err_set(e, ERR_BAD_REQUEST, "invalid URL escape \"%.*s\"",
					(int)(len - i < 3 ? len - i : 3), text + i);
			c = (char)(hi << 4 | lo);
			if (!c)
				return err_set(e, ERR_BAD_REQUEST, "NUL byte in a URL");
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		str_addc(out, c);
	}
	return 0;
}

char *url_decoded(const char *text, size_t len, bool plus)
{
	CLEANUP(str_done) struct str out = { 0 };

	return url_decode(text, len, plus, &out, NULL) == 0 ? str_take(&out) : mem_strndup(text, len);
}

void url_query_done(struct url_query *q)
{
	for (size_t i = 0; i < q->len; i++) {
		free((char *)q->items[i].name);
		free((char *)q->items[i].value);
	}
	free(q->items);
	*q = (struct url_query){ 0 };
}

/* Requests live long, as watches do: no more room than needed. */
static void make_room(struct url_query *q, const char *text)
{
	size_t n = 1;

	for (const char *p = text; (p = strchr(p, '&')); p++)
		n++;
	q->items = mem_alloc(n * sizeof(*q->items));
	q->cap = n;
}

int url_query_parse(const char *text, struct url_query *ret, struct err *e)
{
	CLEANUP(url_query_done) struct url_query q = { 0 };

	if (*text)
		make_room(&q, text);
	while (*text) {
		size_t len = strcspn(text, "&");
		const char *eq = memchr(text, '=', len);
		size_t name_len = eq ? (size_t)(eq - text) : len;
		CLEANUP(str_done) struct str name = { 0 }, value = { 0 };

		if (len) {
			if (url_decode(text, name_len, true, &name, e) < 0 ||
				(eq && url_decode(eq + 1, len - name_len - 1, true, &value, e) < 0))
				return -1;
			MUST(q.len < q.cap);
			q.items[q.len++] = (struct http_header){ str_take(&name), str_take(&value) };
		}
		text += len;
		if (*text)
			text++;
	}
	*ret = q;
	q = (struct url_query){ 0 };
	return 0;
}

void url_encode(const char *text, struct str *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			strchr("-._~", *p)) {
			str_addc(out, (char)*p);
		} else {
			str_addc(out, '%');
			str_addc(out, hex[*p >> 4]);
			str_addc(out, hex[*p & 15]);
		}
	}
}

void url_done(struct url *u)
{
	free(u->scheme);
	free(u->host);
	free(u->path);
	*u = (struct url){ 0 };
}

static int default_port(const char *scheme)
{
	if (str_eq(scheme, "https") || str_eq(scheme, "wss"))
		return 443;
	return 80;
}

/* host[:port], [v6][:port]; user information is refused: it has no business here. */
static int parse_authority(const char *text, size_t len, struct url *u, struct err *e)
{
	const char *end = text + len, *host_end, *port = NULL;
	int64_t n;

	if (memchr(text, '@', len))
		return err_set(e, ERR_BAD_REQUEST, "user information in a URL");
	if (len && *text == '[') {
		host_end = memchr(text, ']', len);
		if (!host_end || (host_end + 1 != end && host_end[1] != ':'))
			return err_set(e, ERR_BAD_REQUEST, "broken address in a URL");
		port = host_end + 1 != end ? host_end + 2 : NULL;
		text++;
	} else {
		const char *colon = memchr(text, ':', len);
		host_end = colon ? colon : end;
		port = colon ? colon + 1 : NULL;
	}
	if (host_end == text)
		return err_set(e, ERR_BAD_REQUEST, "no host in a URL");
	u->host = mem_strndup(text, (size_t)(host_end - text));
	u->port = default_port(u->scheme);
	if (port && port != end) {
		CLEANUP(mem_freep) char *digits = mem_strndup(port, (size_t)(end - port));
		if (!str_to_i64(digits, 1, 65535, &n))
			return err_set(e, ERR_BAD_REQUEST, "illegal port in a URL");
		u->port = (int)n;
	}
	return 0;
}

int url_parse(const char *text, struct url *ret, struct err *e)
{
	CLEANUP(url_done) struct url u = { 0 };
	CLEANUP(mem_freep) char *scheme = NULL;
	const char *sep = strstr(text, "://"), *rest;
	size_t len;

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return err_set(e, ERR_BAD_REQUEST, "illegal character in the URL \"%.200s\"", text);
	if (!sep || sep == text)
		return err_set(e, ERR_BAD_REQUEST, "no scheme in the URL \"%.200s\"", text);
	scheme = mem_strndup(text, (size_t)(sep - text));
	u.scheme = str_lower(scheme);
	rest = sep + 3;
	len = strcspn(rest, "/?#");
	if (parse_authority(rest, len, &u, e) < 0)
		return err_wrap(e, "\"%.200s\"", text);
	rest += len;
	len = strcspn(rest, "#");
	u.path = *rest == '/' ? mem_strndup(rest, len) : str_printf("/%.*s", (int)len, rest);
	*ret = u;
	u = (struct url){ 0 };
	return 0;
}
