/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/describe/documents.h"

#include <stdio.h>
#include <string.h>

void document_tag(const void *body, size_t len, char ret[DOCUMENT_TAG_MAX])
{
	crypto_sha256_hex(body, len, ret);
}

/* A list of quoted tags, weak or strong, or "*"; our tags are hex, so that looking for the text is exact. */
bool document_is_known(const struct request *r, const char *tag)
{
	const char *known = request_header(r, "If-None-Match");
	char quoted[DOCUMENT_TAG_MAX + 2];

	if (!known)
		return false;
	snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
	return str_eq(known, "*") || strstr(known, quoted);
}

void document_reply(
	struct request *r, const char *type, const char *tag, const char *cache, const void *body, size_t len)
{
	char quoted[DOCUMENT_TAG_MAX + 2];

	snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
	request_add_header(r, "Etag", quoted);
	request_add_header(r, "Vary", "Accept");
	request_add_header(r, "Cache-Control", cache);
	if (document_is_known(r, tag))
		request_reply(r, 304, NULL, NULL, 0);
	else
		request_reply(r, 200, type, body, len);
}

bool document_method_ok(struct request *r)
{
	struct err e = { 0 };

	if (str_eq(request_method(r), "GET") || str_eq(request_method(r), "HEAD"))
		return true;
	err_set(&e, ERR_METHOD_NOT_ALLOWED,
		"the server does not allow this method on the requested resource");
	request_fail(r, &e, NULL, NULL, NULL);
	return false;
}
