/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/chans_impl.h - between chans.c (what both wires have in common) and the wires. Private to chans*.c. */
#pragma once

#include "platform/agent/chans.h"

#define RESIZE_TEXT_MAX 256

struct chans_wire {
	void (*send)(struct chans *c, enum chan to, const void *data, size_t len);
	size_t (*pending)(const struct chans *c);
	void (*pause)(struct chans *c, bool paused);
	void (*start)(struct chans *c);
	void (*close)(struct chans *c); /* sends what is unsent, frees what is the wire's */
};
struct chans {
	const struct chans_wire *wire;
	const struct chans_ops *ops;
	void *arg;
	struct loop *loop;
	struct chans_want want;
	bool status_text; /* before v4: errors are plain text, success is silence */
	struct loop_timer *timer;
	struct str size; /* a terminal size that has not come whole */
};

/* From the wires. */
void chans_in(struct chans *c, enum chan from, const void *data, size_t len);
void chans_gone(struct chans *c); /* the client: ends c */

/* The wires. NULL: refused and answered. */
struct chans *chans_ws(struct loop *l, struct http_req *r);
struct chans *chans_spdy(struct loop *l, struct http_req *r);
