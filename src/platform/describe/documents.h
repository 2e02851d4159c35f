/* SPDX-License-Identifier: Apache-2.0 */
/* platform/describe/documents.h - answering with a document that clients keep: entity tags and 304 (kubernetes-api.md 1.2,
 * 1.4). Shared by discovery and OpenAPI. */
#pragma once

#include "base/crypto.h"
#include "platform/request/request.h"

/* Kubernetes' own version that this server stands for; semver, or kubectl refuses it (1.3). */
#define DOCUMENT_KUBE_MAJOR "1"
#define DOCUMENT_KUBE_MINOR "34"
#define DOCUMENT_GIT_VERSION "v" DOCUMENT_KUBE_MAJOR "." DOCUMENT_KUBE_MINOR ".0+coracle." CORACLE_VERSION

#define DOCUMENT_TAG_MAX (SHA256_HEX_LEN + 1)
void document_tag(const void *body, size_t len, char ret[DOCUMENT_TAG_MAX]); /* hash in hex, without quotes */
/* Has the client this one already (If-None-Match)? */
bool document_is_known(const struct request *r, const char *tag);
/* 200 with the body, or 304 if the client has it; body may be NULL in the latter case. cache: the Cache-Control value. */
void document_reply(struct request *r, const char *type, const char *tag, const char *cache, const void *body,
	size_t len);
/* GET and HEAD pass; anything else is answered with 405, and false comes back. */
bool document_method_ok(struct request *r);
