/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/forward.h - a TCP connection to a port of a pod, as port-forward needs it: made inside the pod's network
 * namespace to its 127.0.0.1 (then ::1), so that it reaches programs that listen there only. Both directions end by
 * themselves. Private to forward*.c.
 *
 * Nothing calls back from inside a call. */
#pragma once

#include "platform/agent/serve.h"

#define FORWARD_UNSENT_MAX (256 * 1024) /* of one connection, either way: then the sender has to wait */
#define FORWARD_CONNECT_MS 10000

struct forward_ops {
	void (*data)(void *arg, const void *data, size_t len);
	void (*end)(void *arg);     /* the pod sends no more */
	void (*drained)(void *arg); /* everything written has left */
	void (*failed)(
		void *arg, const char *why); /* not connected, or broken: only forward_free() may follow */
};
struct forward;
struct forward *forward_new(
	struct agent *a, const struct pod *p, int port, const struct forward_ops *ops, void *arg);
void forward_write(struct forward *f, const void *data, size_t len);
void forward_end(struct forward *f); /* of our direction, behind what was written */
size_t forward_pending(const struct forward *f);
void forward_pause(struct forward *f, bool paused); /* of reading */
void forward_free(struct forward *f);               /* NULL is fine; allowed in its callbacks */

/* The ways in. The request is answered by them. */
void forward_serve_spdy(struct agent *a, struct pod *p, struct http_req *r);   /* Upgrade: SPDY/3.1 */
void forward_serve_tunnel(struct agent *a, struct pod *p, struct http_req *r); /* the same in a WebSocket */
void forward_serve_channels(
	struct agent *a, struct pod *p, struct http_req *r); /* WebSocket v4.channel.k8s.io */
