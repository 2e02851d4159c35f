/* SPDX-License-Identifier: Apache-2.0 */
/* base/err.h - errors as values.
 *
 * A function that can fail returns int (0 or -1) and takes a caller-owned `struct err *` last. The buffer is fixed:
 * making an error can not fail. Callers switch on the code, never on the text. The text says what was tried, on
 * what, and why it failed; callers put their own purpose in front with err_wrap(). Whoever stops propagating an
 * error logs it, once. NULL is accepted everywhere for "do not tell me". */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#define ERR_MSG_MAX 1024

/* What a controller does about it; see kube/controller.h. */
enum err_retry { RETRY_FORGET, RETRY_RESYNC, RETRY_RELIST, RETRY_PARK, RETRY_BACK_OFF };

/* code, HTTP status, reason on the wire (kubernetes-api.md 2.1), retry policy */
#define ERR_CODES(X)                                                   \
	X(NONE, 200, "", FORGET)                                       \
	X(BAD_REQUEST, 400, "BadRequest", PARK)                        \
	X(UNAUTHORIZED, 401, "Unauthorized", BACK_OFF)                 \
	X(FORBIDDEN, 403, "Forbidden", BACK_OFF)                       \
	X(NOT_FOUND, 404, "NotFound", FORGET)                          \
	X(METHOD_NOT_ALLOWED, 405, "MethodNotAllowed", PARK)           \
	X(NOT_ACCEPTABLE, 406, "NotAcceptable", PARK)                  \
	X(EXISTS, 409, "AlreadyExists", RESYNC)                        \
	X(CONFLICT, 409, "Conflict", RESYNC)                           \
	X(EXPIRED, 410, "Expired", RELIST)                             \
	X(TOO_LARGE, 413, "RequestEntityTooLarge", PARK)               \
	X(UNSUPPORTED_MEDIA_TYPE, 415, "UnsupportedMediaType", PARK)   \
	X(INVALID, 422, "Invalid", PARK)                               \
	X(TOO_MANY_REQUESTS, 429, "TooManyRequests", BACK_OFF)         \
	X(INTERNAL, 500, "InternalError", BACK_OFF)                    \
	X(NOT_IMPLEMENTED, 501, "NotImplemented", PARK)                \
	X(UNAVAILABLE, 503, "ServiceUnavailable", BACK_OFF)            \
	X(TIMEOUT, 504, "Timeout", BACK_OFF)                           \
	/* no answer at all: connection refused, reset, TLS failure */ \
	X(UNREACHABLE, 503, "ServiceUnavailable", BACK_OFF)            \
	/* the operating system said no; errno is in the text */       \
	X(SYSTEM, 500, "InternalError", BACK_OFF)

enum err_code {
#define X(code, http, reason, retry) ERR_##code,
	ERR_CODES(X)
#undef X
		ERR_CODE_MAX
};

struct err {
	enum err_code code;
	int sys; /* errno for ERR_SYSTEM, else 0 */
	char msg[ERR_MSG_MAX];
};

/* Fill e and return -1, so that `return err_set(e, ...)` reads well. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, enum err_code code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
/* ERR_SYSTEM with ": strerror(errno)" appended; keeps errno. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "text: " in front of what is there; the code stays. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);
void err_copy(struct err *to, const struct err *from);

const char *err_name(enum err_code code); /* "NOT_FOUND" */
int err_http(enum err_code code);
const char *err_reason(enum err_code code);
enum err_retry err_retry(enum err_code code);
/* The code whose wire reason (preferred; may be NULL or unknown) or HTTP status this is. Never ERR_NONE for status >= 400. */
enum err_code err_from_wire(int http_status, const char *reason);
