/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/deadline.h - no request is waited for without end (kubernetes-api.md 2.5): one whose answer has not begun in
 * time gets 504, and whoever works on it is told as if the client had left; what it has begun to write may yet be written.
 * Watches, streams, and what other servers answer have no deadline. Looked at DEADLINE_TICK_MS apart. */
#pragma once

#include "platform/request/reqinfo.h"

#define DEADLINE_READ_MS 60000
#define DEADLINE_WRITE_MS 34000 /* the query's `timeout` may shorten both */
#define DEADLINE_TICK_MS 200

struct apiserver;
struct deadlines;
struct deadline {
	struct deadline *next, **prev; /* prev NULL: not waited for */
	struct request *r;
	int64_t at;
};
struct deadlines *deadlines_new(struct loop *l);
void deadlines_free(struct deadlines *ds); /* NULL is fine */
/* ERR_BAD_REQUEST: the query's timeout is no duration. */
int deadline_begin(
	struct apiserver *s, struct deadline *d, struct request *r, const struct reqinfo *i, struct err *e);
void deadline_over(struct deadline *d); /* the answer begins, or nobody waits any more; any number of times */
