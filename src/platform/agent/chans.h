/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/chans.h - the client's side of exec and attach, whichever way it came (kubernetes-api.md 2.9): WebSocket
 * (v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io and their base64 forms: channels are the first byte of a message) or
 * SPDY/3.1 (v4, v3, v2, v1: channels are streams with a "streamtype"). Stdin and terminal sizes come in, stdout, stderr and the
 * final word go out.
 *
 * Nothing calls back from inside a call of ours. After chans_end() or chans_fail(), and after closed(), it is gone. */
#pragma once

#include "base/http.h"

#define CHANS_OPEN_MS 30000        /* SPDY: until all streams are there */
#define CHANS_UNSENT_MAX (1 << 20) /* of output: the program has to wait */

enum chan { CHAN_STDIN, CHAN_STDOUT, CHAN_STDERR, CHAN_ERROR, CHAN_RESIZE, CHANS };

struct chans_want {
	bool in, out, err, tty;
};
struct chans_ops {
	void (*ready)(void *arg);                               /* begin */
	void (*input)(void *arg, const void *data, size_t len); /* stdin; may come before ready() */
	void (*input_end)(void *arg);
	void (*resize)(void *arg, int columns, int rows);
	void (*drained)(void *arg); /* output has left: see chans_pending() */
	void (*closed)(void *arg);  /* the client has gone, or never opened all streams: last call */
};
struct chans;

/* What the request asks for; false: nothing, and it has been refused. */
bool chans_want(struct http_req *r, struct chans_want *ret);
/* NULL: refused and answered. */
struct chans *chans_accept(struct loop *l, struct http_req *r, const struct chans_want *want,
	const struct chans_ops *ops, void *arg);
void chans_send(struct chans *c, enum chan to, const void *data, size_t len);
size_t chans_pending(const struct chans *c);    /* unsent bytes of output */
void chans_pause(struct chans *c, bool paused); /* of input */
/* The end: how the program ended (0: success, else told as NonZeroExitCode), or why there is none. */
void chans_end(struct chans *c, int exit_code);
void chans_fail(struct chans *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
