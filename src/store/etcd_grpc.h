/* SPDX-License-Identifier: Apache-2.0 */
/* store/etcd_grpc.h - calls of gRPC over one connection (grpc.io, PROTOCOL-HTTP2): messages with a prefix of five bytes over a
 * stream of HTTP/2, the result in the trailers. */
#pragma once

#include "base/http2_client.h"

/* A message that comes; etcd's own limit of a request is 1.5 MiB, of an event that and the value before. */
#define GRPC_MESSAGE_MAX (64 * 1024 * 1024)

/* Status codes used here */
enum grpc_status {
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14
};

struct grpc_call;
struct grpc_call_ops {
	void (*message)(void *arg, const void *data, size_t len);
	/* Last call; the call is gone when it returns. text: "" or why. */
	void (*done)(void *arg, int status, const char *text);
};
/* path "/package.Service/Method". timeout_ms 0: none; a call that takes longer ends with GRPC_DEADLINE_EXCEEDED. Calls
 * end without callbacks when their connection does; whoever holds a pointer forgets it then. message() does not cancel. */
struct grpc_call *grpc_call_new(struct loop *l, struct http2_client *c, const char *path, int timeout_ms,
	const struct grpc_call_ops *ops, void *arg);
void grpc_call_send(struct grpc_call *c, const struct str *message);
void grpc_call_end(struct grpc_call *c);    /* nothing more is sent */
void grpc_call_cancel(struct grpc_call *c); /* while the connection lives; no more callbacks. NULL is fine */
void grpc_call_forget(struct grpc_call *c); /* after the connection's end: frees it. NULL is fine */
