/* SPDX-License-Identifier: Apache-2.0 */
/* kube/client_impl.h - the insides shared by client.c (verbs), client_list.c (lists, watches) and client_https.c (the
 * transport). Nobody else includes this.
 *
 * A call is in its client's list from start to end. It ends by call_end(), before the last callback, so that the callback may
 * free the client; within a callback that is not the last, the call is held and looks at `over` afterwards. */
#pragma once

#include "base/mem.h"
#include "kube/client.h"
#include "kube/rng.h"

struct kube_client {
	struct loop *loop;
	struct kube_transport transport;
	char *manager;
	struct kube_call *calls; /* doubly linked */
	struct rng rng;
};

struct kube_call {
	struct kube_client *c;
	struct kube_call *prev, *next;
	const struct kind *kind;
	void *handle; /* the transport's, while it works */
	int holds;
	bool over;
	kube_done_fn *done;
	kube_raw_fn *raw;
	kube_list_fn *list;
	struct kube_watch_ops watch;
	void *arg;
	/* lists */
	char *path, *token; /* path without limit and continue; token of the next page */
	int limit;
	bool any_version;
	struct obj **items;
	size_t n_items, cap_items;
	/* watches: an unfinished line, or the body of an error */
	struct str line;
	int status;
};

struct kube_call *call_new(struct kube_client *c, const struct kind *k, void *arg);
void call_end(struct kube_call *h); /* unlinks; frees when nobody holds it */
void call_hold(struct kube_call *h);
void call_release(struct kube_call *h);
void call_start(struct kube_call *h, const struct kube_request *r);
/* Any status of 400 and above becomes an error; the body is a Status object if the server is one of ours. */
int answer_error(int status, const void *body, size_t len, struct err *e);
void path_add(
	struct str *path, const char *name, const char *value); /* "?name=value" or "&name=value", encoded */

struct kube_transport https_transport(
	struct loop *l, const struct kube_config *c, struct err *e); /* call NULL: failed */
