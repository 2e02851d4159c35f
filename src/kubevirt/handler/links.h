/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/links.h - the connections to the launchers of this node, one link per VMI uid, and
 * what each launcher said last.
 *
 * An attached link stays connected: the socket is awaited by inotify, a lost launcher is dialled again
 * with growing pauses. Losing or freeing a link touches no guest. A launcher that is gone has left its
 * last STATE on disk, which then counts. Loop thread only. */
#pragma once

#include "base/loop.h"
#include "kubevirt/handler/guest.h"
#include "kubevirt/wire/wire.h"

#define LINK_RETRY_MIN_MS 50
#define LINK_RETRY_MAX_MS 2000
#define LINK_STATE_FILE_MAX (1 << 20)

struct links;
struct links_spec {
	struct loop *loop;
	const char *host_dir; /* KUBEVIRT_HOST_DIR; copied */
	int uid; /* whom a VM's directory is given to; -1: leave it as it is (tests without root) */
	/* The facts of a link have changed. Never before the registering call has returned. */
	void (*changed)(void *arg, const char *key);
	void *arg;
};
int links_new(const struct links_spec *spec, struct links **ret, struct err *e);
void links_free(struct links *l);

/* NULL: there is no such link. Borrowed until the next turn. */
const struct guest_facts *links_facts(const struct links *l, const char *uid);
/* The i-th link of a VMI key: its uid; NULL at the end. */
const char *links_of(const struct links *l, const char *key, size_t i);
size_t links_len(const struct links *l);
/* Another connection to its launcher, for a console: *ret_path can be dialled while the descriptor returned (the caller's) is
 * open. -1: NOT_FOUND, no socket or no link. */
#define LINK_PATH_MAX 40
int links_socket(const struct links *l, const char *uid, char ret_path[LINK_PATH_MAX], struct err *e);

int links_attach(struct links *l, const char *uid, const char *key, struct err *e);
void links_detach(struct links *l, const char *uid); /* no more connecting; the facts stay */
void links_forget(struct links *l, const char *uid); /* removes the directory */
/* Directories of VMs that `wanted` denies and that have not been touched for a while. */
void links_sweep(struct links *l, bool (*wanted)(void *arg, const char *uid), void *arg);

/* What to tell a launcher; facts say what came of it. Ignored without connection. */
/* What a start takes is being gathered; or (false) could not be: as if it had not been asked. */
void links_starting(struct links *l, const char *uid, bool yes);
/* taps: as GUEST_START has them; they are made here and go along. */
void links_start(struct links *l, const char *uid, const struct json *args, const struct json *taps);
void links_start_failed(struct links *l, const char *uid, const struct err *e); /* as if refused */
void links_set_memory(struct links *l, const char *uid, int64_t bytes, int64_t max /* 0: as it is */);
void links_set_cpus(struct links *l, const char *uid, int64_t sockets, bool remove);
void links_cpus_seen(struct links *l, const char *uid);
void links_memory_seen(struct links *l, const char *uid);
/* A verb whose outcome shows in the STATE. */
void links_tell(struct links *l, const char *uid, enum wire_verb verb, const struct json *args);
/* Arguments as of the actions of guest.h. */
void links_plug_nic(struct links *l, const char *uid, const struct json *args);
void links_unplug_nic(struct links *l, const char *uid, const struct json *args);
void links_set_link(struct links *l, const char *uid, const struct json *args);
void links_nic_seen(struct links *l, const char *uid);
void links_shutdown(struct links *l, const char *uid, int64_t grace_seconds);
void links_kill(struct links *l, const char *uid);
void links_release(struct links *l, const char *uid);
/* Any other verb without arguments, for REST. fn is called exactly once, never at once; UNREACHABLE if
 * the launcher is lost or forgotten before it answers. False: not connected, fn is not called. */
typedef void links_done_fn(void *arg, const struct err *e);
bool links_ask(struct links *l, const char *uid, enum wire_verb verb, links_done_fn *fn, void *arg);
/* What its guest costs (wire.h, stats); fn as above, ok is NULL on failure and borrowed for the call. */
typedef void links_answer_fn(void *arg, const struct json *ok, const struct err *e);
bool links_stats(struct links *l, const char *uid, links_answer_fn *fn, void *arg);
