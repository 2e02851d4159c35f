/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/wire/client.h - the handler's end of launcher.sock.
 *
 * One wire_client per launcher; it lives until freed, connected or not. A lost launcher fails all pending calls with
 * ERR_UNREACHABLE, then lost() is called, once; the owner frees it (allowed inside) and may make a new one. Never
 * calls back before the registering call has returned. Loop thread only. */
#pragma once

#include "base/json.h"
#include "base/loop.h"
#include "kubevirt/wire/wire.h"

#include <sys/types.h>

struct wire_client;
struct wire_client_ops {
	/* "state", "guest-reboot", ...: wire.h. data is borrowed for the call. May be NULL. */
	void (*event)(void *arg, const char *event, const struct json *data);
	void (*lost)(void *arg, const struct err *why);
};
/* ERR_UNREACHABLE or ERR_NOT_FOUND (no socket yet) at once; connecting to a Unix socket does not block. */
struct wire_client *wire_client_new(
	struct loop *l, const char *path, const struct wire_client_ops *ops, void *arg, struct err *e);
void wire_client_free(struct wire_client *c); /* pending calls get no callback */

/* ok is NULL and e set on failure; both borrowed for the call. The verb's time limit ends it with ERR_TIMEOUT. */
typedef void wire_reply_fn(void *arg, const struct json *ok, const struct err *e);
/* args is copied; NULL for none. fn may be NULL. */
void wire_client_call(
	struct wire_client *c, enum wire_verb v, const struct json *args, wire_reply_fn *fn, void *arg);
/* The same with descriptors, which are taken. */
void wire_client_call_files(struct wire_client *c, enum wire_verb v, const struct json *args,
	const int *files, size_t n, wire_reply_fn *fn, void *arg);

/* The process that listens at the other end, as this one sees it; -1: not known. */
pid_t wire_client_peer(const struct wire_client *c);

/* Opens a second connection and asks for the console there. The reply arrives at fn with the descriptor, which is then
 * the caller's (non-blocking, raw console), and the first console bytes that came with the reply; or with -1 and e.
 * mode NULL: takeover. */
struct wire_console_call;
typedef void wire_console_fn(void *arg, int fd, const struct str *first, const struct err *e);
struct wire_console_call *wire_console_open(
	struct loop *l, const char *path, const char *mode, wire_console_fn *fn, void *arg, struct err *e);
void wire_console_cancel(struct wire_console_call *c); /* only before fn was called */
