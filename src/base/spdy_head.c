/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spdy_head.h"

#include "base/mem.h"
#include "base/spdy.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

/* A window larger than the dictionary, and little memory: a block is a few names. */
#define DEFLATE_WINDOW_BITS 11
#define DEFLATE_MEMORY 1
#define NUMBER_BYTES 4

/* SPDY/3 2.6.10.1; its Adler-32 is e3c6a7c2. Words with their length before them, then text. */
/* clang-format off */
static const char dictionary[] =
	"\0\0\0\007" "options" "\0\0\0\004" "head" "\0\0\0\004" "post" "\0\0\0\003" "put"
	"\0\0\0\006" "delete" "\0\0\0\005" "trace" "\0\0\0\006" "accept"
	"\0\0\0\016" "accept-charset" "\0\0\0\017" "accept-encoding"
	"\0\0\0\017" "accept-language" "\0\0\0\015" "accept-ranges" "\0\0\0\003" "age"
	"\0\0\0\005" "allow" "\0\0\0\015" "authorization" "\0\0\0\015" "cache-control"
	"\0\0\0\012" "connection" "\0\0\0\014" "content-base" "\0\0\0\020" "content-encoding"
	"\0\0\0\020" "content-language" "\0\0\0\016" "content-length"
	"\0\0\0\020" "content-location" "\0\0\0\013" "content-md5" "\0\0\0\015" "content-range"
	"\0\0\0\014" "content-type" "\0\0\0\004" "date" "\0\0\0\004" "etag" "\0\0\0\006" "expect"
	"\0\0\0\007" "expires" "\0\0\0\004" "from" "\0\0\0\004" "host" "\0\0\0\010" "if-match"
	"\0\0\0\021" "if-modified-since" "\0\0\0\015" "if-none-match" "\0\0\0\010" "if-range"
	"\0\0\0\023" "if-unmodified-since" "\0\0\0\015" "last-modified" "\0\0\0\010" "location"
	"\0\0\0\014" "max-forwards" "\0\0\0\006" "pragma" "\0\0\0\022" "proxy-authenticate"
	"\0\0\0\023" "proxy-authorization" "\0\0\0\005" "range" "\0\0\0\007" "referer"
	"\0\0\0\013" "retry-after" "\0\0\0\006" "server" "\0\0\0\002" "te" "\0\0\0\007" "trailer"
	"\0\0\0\021" "transfer-encoding" "\0\0\0\007" "upgrade" "\0\0\0\012" "user-agent"
	"\0\0\0\004" "vary" "\0\0\0\003" "via" "\0\0\0\007" "warning"
	"\0\0\0\020" "www-authenticate" "\0\0\0\006" "method" "\0\0\0\003" "get"
	"\0\0\0\006" "status" "\0\0\0\006" "200 OK" "\0\0\0\007" "version"
	"\0\0\0\010" "HTTP/1.1" "\0\0\0\003" "url" "\0\0\0\006" "public"
	"\0\0\0\012" "set-cookie" "\0\0\0\012" "keep-alive" "\0\0\0\006" "origin"
	"100101201202205206300302303304305306307402405406407408409410411412413414415416417502"
	"504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Re"
	"quest401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Impl"
	"emented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00"
	":00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,imag"
	"e/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivate"
	"max-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
/* clang-format on */
#define DICTIONARY_LEN (sizeof(dictionary) - 1)

struct spdy_inflate {
	z_stream z;
};
struct spdy_deflate {
	z_stream z;
};

void spdy_headers_done(struct spdy_headers *h)
{
	strv_done(&h->items);
}

const char *spdy_headers_get(const struct spdy_headers *h, const char *name)
{
	for (size_t i = 0; i + 1 < h->items.len; i += 2)
		if (strcasecmp(h->items.items[i], name) == 0)
			return h->items.items[i + 1];
	return NULL;
}

/* ---- reading ---- */
struct spdy_inflate *spdy_inflate_new(void)
{
	struct spdy_inflate *z = MEM_NEW(struct spdy_inflate);

	MUST(inflateInit(&z->z) == Z_OK);
	return z;
}

void spdy_inflate_free(struct spdy_inflate *z)
{
	if (!z)
		return;
	inflateEnd(&z->z);
	free(z);
}

static int unpack(struct spdy_inflate *z, const void *data, size_t len, struct str *out, struct err *e)
{
	int r = Z_OK;

	str_reserve(out, SPDY_HEADER_BYTES_MAX + 1);
	z->z.next_in = (Bytef *)data;
	z->z.avail_in = (uInt)len;
	z->z.next_out = (Bytef *)out->data;
	z->z.avail_out = SPDY_HEADER_BYTES_MAX + 1;
	while (z->z.avail_in && z->z.avail_out && r == Z_OK) {
		r = inflate(&z->z, Z_SYNC_FLUSH);
		if (r == Z_NEED_DICT)
			r = inflateSetDictionary(&z->z, (const Bytef *)dictionary, DICTIONARY_LEN);
	}
	out->len = SPDY_HEADER_BYTES_MAX + 1 - z->z.avail_out;
	out->data[out->len] = '\0';
	if (out->len > SPDY_HEADER_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "spdy: a header block of more than %d bytes",
			SPDY_HEADER_BYTES_MAX);
	if (r != Z_OK || z->z.avail_in)
		return err_set(e, ERR_BAD_REQUEST, "spdy: a header block that is not compressed as agreed");
	return 0;
}

static bool take_number(const char **at, const char *end, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)*at;

	if (end - *at < NUMBER_BYTES)
		return false;
	*ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	*at += NUMBER_BYTES;
	return true;
}

static bool take_text(const char **at, const char *end, struct strv *to)
{
	uint32_t len;

	if (!take_number(at, end, &len) || len > (size_t)(end - *at))
		return false;
	strv_take(to, mem_strndup(*at, strnlen(*at, len)));
	*at += len;
	return true;
}

int spdy_inflate_block(
	struct spdy_inflate *z, const void *data, size_t len, struct spdy_headers *ret, struct err *e)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(spdy_headers_done) struct spdy_headers h = { 0 };
	const char *at, *end;
	uint32_t n;

	if (unpack(z, data, len, &text, e) < 0)
		return -1;
	at = text.data;
	end = at + text.len;
	if (!take_number(&at, end, &n) || n > SPDY_HEADERS_MAX)
		return err_set(
			e, ERR_BAD_REQUEST, "spdy: no count of headers, or more than %d", SPDY_HEADERS_MAX);
	for (uint32_t i = 0; i < 2 * n; i++)
		if (!take_text(&at, end, &h.items))
			return err_set(e, ERR_BAD_REQUEST, "spdy: a header block that ends too early");
	if (at != end)
		return err_set(e, ERR_BAD_REQUEST, "spdy: bytes behind the headers");
	*ret = h;
	h = (struct spdy_headers){ 0 };
	return 0;
}

/* ---- writing ---- */
struct spdy_deflate *spdy_deflate_new(void)
{
	struct spdy_deflate *z = MEM_NEW(struct spdy_deflate);

	MUST(deflateInit2(&z->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, DEFLATE_WINDOW_BITS, DEFLATE_MEMORY,
		     Z_DEFAULT_STRATEGY) == Z_OK);
	MUST(deflateSetDictionary(&z->z, (const Bytef *)dictionary, DICTIONARY_LEN) == Z_OK);
	return z;
}

void spdy_deflate_free(struct spdy_deflate *z)
{
	if (!z)
		return;
	deflateEnd(&z->z);
	free(z);
}

static void add_number(struct str *out, size_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		str_addc(out, (char)(n >> shift));
}

void spdy_deflate_block(struct spdy_deflate *z, const char *const *pairs, size_t n_pairs, struct str *out)
{
	CLEANUP(str_done) struct str text = { 0 };

	add_number(&text, n_pairs);
	for (size_t i = 0; i < 2 * n_pairs; i++) {
		add_number(&text, strlen(pairs[i]));
		str_add(&text, pairs[i]);
	}
	z->z.next_in = (Bytef *)text.data;
	z->z.avail_in = (uInt)text.len;
	do {
		str_reserve(out, 64 + text.len);
		z->z.next_out = (Bytef *)out->data + out->len;
		z->z.avail_out = (uInt)(out->cap - out->len - 1);
		MUST(deflate(&z->z, Z_SYNC_FLUSH) != Z_STREAM_ERROR);
		out->len = out->cap - 1 - z->z.avail_out;
	} while (z->z.avail_out == 0);
	out->data[out->len] = '\0';
}
