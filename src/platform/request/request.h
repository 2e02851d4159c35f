/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/request.h - one API request, whether it came over HTTP or from a part of the same program through the
 * in-process transport. Answered exactly once: request_reply*(), or request_stream() .. request_end(). It may be answered
 * in a later turn; if the client goes away first, the function given to request_on_abort() is called and the request
 * must not be touched any more. Texts are borrowed until the answer is complete. */
#pragma once

#include "api/obj.h"
#include "api/status.h"
#include "base/http.h"
#include "platform/request/user.h"

struct request;

const char *request_method(const struct request *r);
const char *request_path(const struct request *r);     /* decoded, without query */
const char *request_raw_path(const struct request *r); /* as sent, with query */
const char *request_query(
	const struct request *r, const char *name); /* first value, decoded; NULL if absent */
bool request_query_each(const struct request *r, size_t *i, const char **ret_name, const char **ret_value);
const char *request_header(const struct request *r, const char *name);
const char *request_body(const struct request *r, size_t *ret_len);
const struct user *request_user(const struct request *r);
struct http_req *request_http(const struct request *r); /* NULL in process: no upgrades there */

void request_add_header(struct request *r, const char *name, const char *value); /* before the answer */
void request_warn(struct request *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* Warning: 299 - "..." */
/* Ends the request; the body is copied. */
void request_reply(struct request *r, int status, const char *type, const void *body, size_t len);
/* In protobuf, if the client prefers that and the kind of v has it. */
void request_reply_json(struct request *r, int status, const struct json *v);
void request_reply_text(struct request *r, int status, const char *text); /* text/plain */
void request_reply_obj(struct request *r, int status, const struct obj *o);
/* The error as a Status; k, name, causes may be NULL. */
void request_fail(struct request *r, const struct err *e, const struct kind *k, const char *name,
	const struct causes *c);
void request_compress(
	struct request *r); /* before request_stream(): gzip if the client takes it. Not for watches */
void request_stream(struct request *r, int status, const char *type);
/* The same for a watch: a client that wants a WebSocket gets each write as a frame, text unless the type is protobuf's. */
void request_stream_events(struct request *r, int status, const char *type);
void request_write(struct request *r, const void *data, size_t len);
size_t request_pending(const struct request *r); /* unsent bytes; 0 in process */
/* A streaming answer: fn each time everything written has left. Never called in process. */
void request_on_drained(struct request *r, loop_fn *fn, void *arg);
void request_end(struct request *r);
void request_kill(struct request *r); /* drops the connection in mid-answer */
void request_on_abort(struct request *r, loop_fn *fn, void *arg);

/* The best of the media types offered for the Accept header; entries are matched with all their parameters, e.g.
 * "application/json;as=Table;v=v1;g=meta.k8s.io" against an offer written the same way (order and blanks free).
 * Absent, and a wildcard for everything, mean offer 0; unknown entries are skipped. -1: nothing acceptable (406). */
int request_accept(const struct request *r, const char *const *offers, size_t n);
/* Fails with 406 naming the offers. */
void request_fail_accept(struct request *r, const char *const *offers, size_t n);
#define PROTOBUF_TYPE "application/vnd.kubernetes.protobuf"
