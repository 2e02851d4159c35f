/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/wire/server.h - the launcher's end of launcher.sock.
 *
 * Parses requests, checks verb, phase and arguments by the table, and hands the rest to the launcher, which ends each
 * call exactly once, at once or later; a peer that left meanwhile is no concern of its. A peer that does not read its
 * events is disconnected (WIRE_OUT_MAX). Loop thread only. */
#pragma once

#include "base/json.h"
#include "base/loop.h"
#include "kubevirt/wire/wire.h"

#define WIRE_OUT_MAX (1024 * 1024)
#define WIRE_CONNS_MAX 64 /* consoles that were handed out do not count */

struct wire_server;
struct wire_call;
struct wire_server_ops {
	enum wire_phase (*phase)(void *arg);
	/* args may be NULL; borrowed for the call. */
	void (*verb)(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call);
};
int wire_server_new(struct loop *l, const char *path, const struct wire_server_ops *ops, void *arg,
	struct wire_server **ret, struct err *e);
void wire_server_free(struct wire_server *s); /* open calls stay valid to end; nobody hears it */
/* To every connection that said hello. */
void wire_server_event(struct wire_server *s, const char *event, const struct json *data);

/* Each frees the call. ok NULL: {}. */
void wire_call_ok(struct wire_call *c, const struct json *ok);
void wire_call_fail(struct wire_call *c, const struct err *e);
/* Answers {} and gives the connection away; bytes the peer sent too early go to rest. -1: the peer is gone. */
int wire_call_take_fd(struct wire_call *c, struct str *rest);
/* The next descriptor that came with the request, the caller's; -1: no more. What nobody took is closed with the call. */
int wire_call_file(struct wire_call *c);
void wire_call_subscribe(struct wire_call *c); /* to events, before wire_call_ok() */
