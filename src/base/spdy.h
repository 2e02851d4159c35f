/* SPDX-License-Identifier: Apache-2.0 */
/* base/spdy.h - SPDY/3.1, server role, as Kubernetes' clients speak it for exec, attach and port-forward (kubernetes-api.md 2.9):
 * the peer opens streams, both sides send data on them and end their direction. Over an upgraded connection, or inside the
 * binary messages of a WebSocket.
 *
 * Flow control: what we receive is acknowledged by WINDOW_UPDATE as it is taken. What we send keeps to the peer's windows once it
 * has shown that it has any (a WINDOW_UPDATE or SETTINGS of its own): the library that those clients use never does, and would
 * stop for ever behind the first 64 KiB. Until then the transport's back-pressure holds: see spdy_pending().
 *
 * Nothing calls back from inside a call of ours. */
#pragma once

#include "base/http.h"
#include "base/ws.h"

#define SPDY_STREAMS_MAX 1024           /* open at a time in a connection; more are refused */
#define SPDY_CONTROL_MAX (64 * 1024)    /* length of a control frame */
#define SPDY_HEADERS_MAX 64             /* of a stream */
#define SPDY_HEADER_BYTES_MAX 32768     /* of a header block, decompressed */
#define SPDY_WINDOW_DEFAULT (64 * 1024) /* SPDY/3 2.6.8 */

enum spdy_status { /* of RST_STREAM */
	SPDY_PROTOCOL_ERROR = 1,
	SPDY_INVALID_STREAM = 2,
	SPDY_REFUSED_STREAM = 3,
	SPDY_CANCEL = 5,
	SPDY_INTERNAL_ERROR = 6,
	SPDY_FLOW_CONTROL_ERROR = 7,
	SPDY_STREAM_ALREADY_CLOSED = 9,
};

struct spdy;
/* Owned by its connection. Valid until its reset(), its spdy_reset() or spdy_forget(), or the connection's end. */
struct spdy_stream;
struct spdy_ops {
	/* A stream of the peer's: spdy_accept() it before returning, or it is refused. */
	void (*opened)(void *arg, struct spdy_stream *s);
	void (*drained)(void *arg); /* what was written has left; may be NULL */
	/* Last call ever: connection and streams are gone when it returns. ERR_NONE: the peer ended it in an orderly way. */
	void (*closed)(void *arg, const struct err *e);
};
struct spdy_stream_ops {
	void (*data)(void *arg, const void *data, size_t len);
	void (*end)(void *arg);                    /* nothing more will come */
	void (*reset)(void *arg, unsigned status); /* last call: the stream is gone when it returns */
};

/* Both take what they are given. */
struct spdy *spdy_over_stream(struct loop *l, struct http_stream *s);
struct spdy *spdy_over_ws(struct loop *l, struct ws *w);
void spdy_start(struct spdy *y, const struct spdy_ops *ops, void *arg);
void spdy_close(struct spdy *y); /* sends what is unsent, frees; no more callbacks. NULL is fine */

uint32_t spdy_stream_id(const struct spdy_stream *s);
/* Case does not matter; NULL if absent. Of several values the first. Borrowed from the stream. */
const char *spdy_stream_header(const struct spdy_stream *s, const char *name);
void spdy_accept(struct spdy_stream *s, const struct spdy_stream_ops *ops, void *arg);
void spdy_send(struct spdy_stream *s, const void *data, size_t len);
void spdy_end(struct spdy_stream *s); /* of our direction, behind what was sent */
/* Bytes not sent yet: this stream's, and what the transport holds. */
size_t spdy_pending(const struct spdy_stream *s);
/* Stops reading the whole connection while any stream is paused (streams share it). */
void spdy_pause(struct spdy_stream *s, bool paused);
void spdy_reset(struct spdy_stream *s, enum spdy_status why);
/* No more callbacks. Resets the stream unless our direction has ended; what the peer still sends on it is dropped. */
void spdy_forget(struct spdy_stream *s);

/* ---- any other transport: tests, fuzzing ---- */
struct spdy_carrier {
	void (*start)(void *c, struct spdy *y);
	void (*write)(void *c, const void *data, size_t len);
	size_t (*pending)(const void *c);
	void (*pause)(void *c, bool paused);
	void (*close)(void *c); /* flush and free */
};
struct spdy *spdy_new(struct loop *l, const struct spdy_carrier *ops, void *c);
void spdy_feed(struct spdy *y, const void *data, size_t len);
void spdy_drained(struct spdy *y);
void spdy_lost(struct spdy *y, const struct err *e); /* the transport is gone, freed by its owner */
