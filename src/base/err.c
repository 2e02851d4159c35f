/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct err_info {
	const char *name;
	int http;
	const char *reason;
	enum err_retry retry;
};

static const struct err_info infos[] = {
#define X(code, http, reason, retry) { #code, http, reason, RETRY_##retry },
	ERR_CODES(X)
#undef X
};

static const struct err_info *info_of(enum err_code code)
{
	if ((unsigned)code >= ERR_CODE_MAX)
		code = ERR_INTERNAL;
	return &infos[code];
}

/* A cut in the middle of a UTF-8 sequence would make the text unfit for JSON. */
static void trim_broken_utf8(char *s)
{
	size_t n = strlen(s), i = n;

	while (i > 0 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
		i--;
	if (i == 0)
		return;
	unsigned char lead = (unsigned char)s[i - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (n - (i - 1) < want)
		s[i - 1] = '\0';
}

static void append(char *msg, const char *text)
{
	size_t n = strlen(msg), m = strlen(text), room = ERR_MSG_MAX - 1 - n;

	memcpy(msg + n, text, m < room ? m : room);
	msg[n + (m < room ? m : room)] = '\0';
	if (m > room)
		trim_broken_utf8(msg);
}

__attribute__((format(printf, 2, 0))) static void format_msg(char *to, const char *fmt, va_list ap)
{
	int n = vsnprintf(to, ERR_MSG_MAX, fmt, ap);

	if (n < 0)
		to[0] = '\0';
	else if (n >= ERR_MSG_MAX)
		trim_broken_utf8(to);
}

int err_setv(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
	char msg[ERR_MSG_MAX];

	if (!e)
		return -1;
	/* by way of a copy: the arguments may point into e->msg */
	format_msg(msg, fmt, ap);
	e->code = code;
	e->sys = 0;
	memcpy(e->msg, msg, strlen(msg) + 1);
	return -1;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_setv(e, code, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	err_setv(e, ERR_SYSTEM, fmt, ap);
	va_end(ap);
	e->sys = saved;

	char buf[128];
	append(e->msg, ": ");
	append(e->msg, strerror_r(saved, buf, sizeof(buf)));
	errno = saved;
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	format_msg(msg, fmt, ap);
	va_end(ap);

	append(msg, ": ");
	append(msg, e->msg);
	memcpy(e->msg, msg, strlen(msg) + 1);
	return -1;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	e->code = ERR_NONE;
	e->sys = 0;
	e->msg[0] = '\0';
}

void err_copy(struct err *to, const struct err *from)
{
	if (!to || to == from)
		return;
	err_clear(to);
	if (!from)
		return;
	to->code = from->code;
	to->sys = from->sys;
	memcpy(to->msg, from->msg, strnlen(from->msg, ERR_MSG_MAX - 1) + 1);
	to->msg[ERR_MSG_MAX - 1] = '\0';
}

const char *err_name(enum err_code code)
{
	return info_of(code)->name;
}

int err_http(enum err_code code)
{
	return info_of(code)->http;
}

const char *err_reason(enum err_code code)
{
	return info_of(code)->reason;
}

enum err_retry err_retry(enum err_code code)
{
	return info_of(code)->retry;
}

enum err_code err_from_wire(int http_status, const char *reason)
{
	if (reason && *reason) {
		for (int i = 1; i < ERR_CODE_MAX; i++)
			if (strcmp(infos[i].reason, reason) == 0)
				return (enum err_code)i;
	}
	if (http_status < 400)
		return ERR_NONE;
	/* 409 without a reason: CONFLICT, whose remedy (read again) suits both */
	if (http_status == 409)
		return ERR_CONFLICT;
	for (int i = 1; i < ERR_CODE_MAX; i++)
		if (infos[i].http == http_status)
			return (enum err_code)i;
	return http_status < 500 ? ERR_BAD_REQUEST : ERR_INTERNAL;
}
