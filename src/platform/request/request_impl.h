/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/request_impl.h - where requests come from: HTTP, or a part of the same program. For the server only. */
#pragma once

#include "kube/client.h"
#include "platform/request/request.h"

typedef void request_serve_fn(void *arg, struct request *r);
/* Lives as long as the HTTP request. */
struct request *request_new_http(struct loop *l, struct http_req *h);
/* A transport whose requests are served by fn, as the given user; answers arrive in a later turn. */
struct kube_transport request_transport(
	struct loop *l, request_serve_fn *fn, void *arg, const struct user *u);

/* Tells whoever works on it as if the client had left; then it is the caller's to answer. False: nobody can be told. */
bool request_abandon(struct request *r);

struct user *request_user_mut(struct request *r);
/* Authentication is done: the user of an in-process request is fixed from the start. */
bool request_in_process(const struct request *r);
struct loop *request_loop(const struct request *r);
/* For counting: called once when the answer starts (status) or the request ends without one (status 0). */
typedef void request_status_fn(void *arg, struct request *r, int status);
void request_on_status(struct request *r, request_status_fn *fn, void *arg);
int64_t request_started_ms(const struct request *r);
/* What the request asks for, as text for log and metrics: "get pods". Copied. */
void request_set_label(struct request *r, const char *verb, const char *resource);
const char *request_label_verb(const struct request *r);
const char *request_label_resource(const struct request *r);
/* Its line of the audit log, for who has something to add; NULL: none. Borrowed from whoever set it until the end. */
struct audit_note;
void request_set_audit(struct request *r, struct audit_note *n);
struct audit_note *request_audit(const struct request *r);
/* Called when the request is over in whatever way; its fields can still be read. */
void request_on_end(struct request *r, void (*fn)(void *arg, struct request *r), void *arg);
