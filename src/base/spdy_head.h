/* SPDX-License-Identifier: Apache-2.0 */
/* base/spdy_head.h - header blocks of SPDY/3 (2.6.10): names and values under zlib, with the protocol's dictionary and one state
 * per direction for the life of a connection. Private to base/spdy*.c and their tests. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct spdy_inflate; /* what comes in */
struct spdy_deflate; /* what goes out */
struct spdy_headers {
	struct strv
		items; /* name, value, name, value; a value is cut at its first NUL (2.6.10: separates several) */
};
void spdy_headers_done(struct spdy_headers *h);
const char *spdy_headers_get(const struct spdy_headers *h, const char *name);

struct spdy_inflate *spdy_inflate_new(void);
void spdy_inflate_free(struct spdy_inflate *z);
/* Reads one block. An error means that the connection's state is lost: it has to end. Never makes more than
 * SPDY_HEADER_BYTES_MAX bytes of it, however little came in. */
int spdy_inflate_block(
	struct spdy_inflate *z, const void *data, size_t len, struct spdy_headers *ret, struct err *e);

struct spdy_deflate *spdy_deflate_new(void);
void spdy_deflate_free(struct spdy_deflate *z);
void spdy_deflate_block(struct spdy_deflate *z, const char *const *pairs, size_t n_pairs, struct str *out);
