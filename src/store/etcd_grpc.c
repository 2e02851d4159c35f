/* SPDX-License-Identifier: Apache-2.0 */
#include "store/etcd_grpc.h"

#include "base/mem.h"

#include <string.h>

#define PREFIX_LEN 5

struct grpc_call {
	struct http2_stream *stream;
	struct grpc_call_ops ops;
	void *arg;
	struct str in;
	struct loop_timer *timer; /* NULL: no limit */
	char *broken;             /* what came made no sense */
};

static void call_free(struct grpc_call *c)
{
	loop_timer_free(c->timer);
	str_done(&c->in);
	free(c->broken);
	free(c);
}

/* Every whole message is told; a callback may cancel the call: then ops.message is gone, and the rest waits for the end. */
static void take_messages(struct grpc_call *c)
{
	size_t at = 0;

	while (c->in.len - at >= PREFIX_LEN && !c->broken) {
		const uint8_t *p = (const uint8_t *)c->in.data + at;
		size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];

		if (p[0] != 0)
			c->broken = mem_strdup("the answer is compressed, which was not asked for");
		else if (len > GRPC_MESSAGE_MAX)
			c->broken = str_printf(
				"the answer has %zu bytes, %d are the limit", len, GRPC_MESSAGE_MAX);
		if (c->broken || c->in.len - at - PREFIX_LEN < len)
			break;
		at += PREFIX_LEN + len;
		c->ops.message(c->arg, p + PREFIX_LEN, len);
	}
	str_drop_front(&c->in, at);
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct grpc_call *c = arg;

	str_addn(&c->in, data, len);
	take_messages(c);
}

static void on_done(void *arg, const struct http2_answer *a)
{
	struct grpc_call *c = arg;
	const char *code = http2_answer_header(a, "grpc-status"),
		   *text = http2_answer_header(a, "grpc-message");
	CLEANUP(mem_freep) char *own = NULL;
	int64_t status = GRPC_UNAVAILABLE;
	struct grpc_call_ops ops = c->ops;

	if (c->broken) {
		status = GRPC_INTERNAL;
		text = own = mem_strdup(c->broken);
	} else if (!code || !str_to_i64(code, 0, 1000, &status)) {
		text = own = str_printf("no result (HTTP status %d, reset %u)", a->status, a->error);
	}
	arg = c->arg;
	call_free(c);
	ops.done(arg, (int)status, text ? text : "");
}

static void on_timeout(void *arg)
{
	struct grpc_call *c = arg;
	struct grpc_call_ops ops = c->ops;

	arg = c->arg;
	grpc_call_cancel(c);
	ops.done(arg, GRPC_DEADLINE_EXCEEDED, "no answer in time");
}

struct grpc_call *grpc_call_new(struct loop *l, struct http2_client *client, const char *path, int timeout_ms,
	const struct grpc_call_ops *ops, void *arg)
{
	static const struct http2_stream_ops stream_ops = { on_data, on_done };
	/* hasleader: a member that has lost the others says so instead of keeping silent */
	static const struct http_header headers[] = { { "content-type", "application/grpc" },
		{ "te", "trailers" }, { "hasleader", "true" } };
	struct grpc_call *c = MEM_NEW(struct grpc_call);

	c->ops = *ops;
	c->arg = arg;
	c->stream = http2_post(client, path, headers, ARRAY_LEN(headers), &stream_ops, c);
	if (timeout_ms > 0) {
		c->timer = loop_timer_new(l, on_timeout, c);
		loop_timer_set(c->timer, timeout_ms);
	}
	return c;
}

void grpc_call_send(struct grpc_call *c, const struct str *m)
{
	const uint8_t prefix[PREFIX_LEN] = { 0, (uint8_t)(m->len >> 24), (uint8_t)(m->len >> 16),
		(uint8_t)(m->len >> 8), (uint8_t)m->len };

	http2_stream_write(c->stream, prefix, sizeof(prefix));
	if (m->len)
		http2_stream_write(c->stream, m->data, m->len);
}

void grpc_call_end(struct grpc_call *c)
{
	http2_stream_end(c->stream);
}

void grpc_call_cancel(struct grpc_call *c)
{
	if (!c)
		return;
	http2_stream_cancel(c->stream);
	call_free(c);
}

void grpc_call_forget(struct grpc_call *c)
{
	if (c)
		call_free(c);
}
