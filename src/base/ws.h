/* SPDX-License-Identifier: Apache-2.0 */
/* base/ws.h - WebSocket (RFC 6455) over an upgraded stream, both sides. Frames over WS_FRAME_MAX close with 1009. Pings are
 * answered by themselves. */
#pragma once

#include "base/http.h"

#define WS_FRAME_MAX (1 << 20)
enum ws_kind { WS_TEXT, WS_BINARY };

struct ws;
struct ws_ops {
	void (*message)(void *arg, enum ws_kind kind, const void *data, size_t len); /* whole messages */
	/* Last call ever: the websocket is gone when it returns. ERR_NONE: closed by the peer with 1000, 1001 or no code. */
	void (*closed)(void *arg, const struct err *e);
	void (*drained)(void *arg); /* may be NULL */
};
bool ws_wanted(const struct http_req *r); /* Upgrade: websocket with a key and version 13 */
/* Accepts with the first of our protocols (NULL-terminated, by our preference) that the client offers; if it offers none,
 * without. ERR_BAD_REQUEST (nothing answered) if it offers only others. *ret_protocol may be NULL. */
struct ws *ws_accept(
	struct http_req *r, const char *const *protocols, const char **ret_protocol, struct err *e);
void ws_start(struct ws *w, const struct ws_ops *ops, void *arg);
void ws_send(struct ws *w, enum ws_kind kind, const void *data, size_t len);
size_t ws_pending(const struct ws *w);
void ws_pause(struct ws *w, bool paused);
void ws_ping(struct ws *w);
void ws_close(struct ws *w, int code); /* flushes, frees, no more callbacks */

/* Client: headers for the handshake, then wrap the stream of http_call's upgraded(). */
#define WS_KEY_MAX 32
void ws_client_headers(char key[WS_KEY_MAX], struct http_header *h, size_t *n /* in: room, out: used */,
	const char *protocol);
/* Is the 101 an answer to our key? */
bool ws_accepted(const char *key, const struct http_response *r);
struct ws *ws_client(struct http_stream *s);
