/* SPDX-License-Identifier: Apache-2.0 */
/* base/url.h - percent decoding, beside what base/http.h says of URLs. */
#pragma once

#include "base/http.h"

/* Percent-decodes; plus: '+' is a space (queries). ERR_BAD_REQUEST on broken escapes and on NUL bytes. */
int url_decode(const char *text, size_t len, bool plus, struct str *out, struct err *e);
/* For what has come through already: as it is, if it can not be decoded. Caller frees. */
char *url_decoded(const char *text, size_t len, bool plus);

struct url_query {
	struct http_header *items; /* name and value, decoded, both owned */
	size_t len, cap;
};
/* "a=1&b&c=%20"; a bare name has the value "". */
int url_query_parse(const char *text, struct url_query *ret, struct err *e);
void url_query_done(struct url_query *q);
