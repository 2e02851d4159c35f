/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/chans.h"

#include "base/http_parse.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/ws.h"
#include "platform/agent/chans_impl.h"
#include "platform/agent/serve.h"

#include <stdarg.h>
#include <string.h>

bool chans_want(struct http_req *r, struct chans_want *ret)
{
	struct chans_want w = { .in = serve_flag(r, "stdin"),
		.out = serve_flag(r, "stdout"),
		.err = serve_flag(r, "stderr"),
		.tty = serve_flag(r, "tty") };

	if (w.tty)
		w.err = false; /* a terminal has one output */
	if (!w.in && !w.out && !w.err) {
		serve_error(r, ERR_BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
		return false;
	}
	*ret = w;
	return true;
}

static void chans_free(struct chans *c)
{
	loop_timer_free(c->timer);
	str_done(&c->size);
	free(c);
}

static void start(void *arg)
{
	struct chans *c = arg;

	c->wire->start(c);
}

struct chans *chans_accept(struct loop *l, struct http_req *r, const struct chans_want *want,
	const struct chans_ops *ops, void *arg)
{
	const char *to = http_req_header(r, "Upgrade");
	struct chans *c = NULL;

	if (ws_wanted(r))
		c = chans_ws(l, r);
	else if (http_req_wants_upgrade(r) && to && http_list_has(to, "SPDY/3.1"))
		c = chans_spdy(l, r);
	else
		serve_error(r, ERR_BAD_REQUEST, "Upgrade request required");
	if (!c)
		return NULL;
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	c->want = *want;
	c->timer = loop_timer_new(l, start, c);
	loop_timer_set(c->timer, 0);
	return c;
}

void chans_send(struct chans *c, enum chan to, const void *data, size_t len)
{
	c->wire->send(c, to, data, len);
}

size_t chans_pending(const struct chans *c)
{
	return c->wire->pending(c);
}

void chans_pause(struct chans *c, bool paused)
{
	c->wire->pause(c, paused);
}

/* ---- input ---- */
static void one_size(struct chans *c, const char *text, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(text, len, NULL);
	int64_t columns = d ? json_i64(json_get(json_root(d), "Width")) : 0;
	int64_t rows = d ? json_i64(json_get(json_root(d), "Height")) : 0;

	if (columns > 0 && rows > 0 && columns <= UINT16_MAX && rows <= UINT16_MAX)
		c->ops->resize(c->arg, (int)columns, (int)rows);
}

/* Objects without nesting, one behind the other: each ends at its brace. */
static void take_sizes(struct chans *c, const char *data, size_t len)
{
	const char *end;

	while (len && (end = memchr(data, '}', len))) {
		size_t n = (size_t)(end - data) + 1;

		if (c->size.len + n <= RESIZE_TEXT_MAX) {
			str_addn(&c->size, data, n);
			one_size(c, c->size.data, c->size.len);
		}
		str_clear(&c->size);
		data += n;
		len -= n;
	}
	if (len && c->size.len + len <= RESIZE_TEXT_MAX)
		str_addn(&c->size, data, len);
}

void chans_in(struct chans *c, enum chan from, const void *data, size_t len)
{
	if (from == CHAN_STDIN && c->want.in)
		c->ops->input(c->arg, data, len);
	else if (from == CHAN_RESIZE && c->want.tty)
		take_sizes(c, data, len);
}

void chans_gone(struct chans *c)
{
	c->ops->closed(c->arg);
	c->wire->close(c);
	chans_free(c);
}

/* ---- the end ---- */
static void finish(struct chans *c, const struct json_doc *status)
{
	CLEANUP(mem_freep) char *text = NULL;
	const char *plain = json_str_or(json_get(json_root(status), "message"), "");
	size_t len;

	if (!c->status_text) {
		text = json_write(json_root(status), &len);
		c->wire->send(c, CHAN_ERROR, text, len);
	} else if (*plain) {
		c->wire->send(c, CHAN_ERROR, plain, strlen(plain));
	}
	c->wire->close(c);
	chans_free(c);
}

void chans_end(struct chans *c, int exit_code)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *cause;

	if (exit_code == 0) {
		d = json_lit("{'metadata':{},'status':'Success'}");
	} else {
		d = json_lit("{'metadata':{},'status':'Failure','reason':'NonZeroExitCode','details':{'"
			     "causes':[{'reason':'ExitCode'}]}}");
		json_set_strf(d, json_root(d), "message",
			"command terminated with non-zero exit code: exit status %d", exit_code);
		cause = json_at(json_root(d), "/details/causes/0");
		json_set_strf(d, cause, "message", "%d", exit_code);
	}
	finish(c, d);
}

void chans_fail(struct chans *c, const char *fmt, ...)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'metadata':{},'status':'Failure','reason':'InternalError','code':500}");
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&e, ERR_INTERNAL, fmt, ap);
	va_end(ap);
	json_set_str(d, json_root(d), "message", e.msg);
	finish(c, d);
}
