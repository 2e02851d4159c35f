/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/prepare.h - what of a start is waiting for others (programs tried and run, files
 * synced), done on a thread beside the
 * loop, so that the API server answers meanwhile. */
#pragma once

#include "base/loop.h"
#include "base/str.h"
#include "platform/net/net.h"

struct prepare_spec {
	const char *data_dir, *version; /* outlive it */
	const char *const *programs;    /* see release.h; NULL: none */
};
struct prepare;
/* net is the callee's; NULL on failure. missing is borrowed: programs that are not there. */
typedef void prepare_done_fn(
	void *arg, struct net *net, const struct strv *missing, struct err *e /* or NULL */);
/* done() once, on the loop. */
struct prepare *prepare_start(
	struct loop *l, const struct prepare_spec *spec, prepare_done_fn *fn, void *arg);
/* Waits for the thread, and runs the loop until done() was called. NULL is fine; not from done(). */
void prepare_free(struct prepare *p);
