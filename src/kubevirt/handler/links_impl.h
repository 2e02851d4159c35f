/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/links_impl.h - for links.c (connecting) and links_tell.c (telling a launcher). */
#pragma once

#include <sys/types.h>

#include "kube/keymap.h"
#include "kubevirt/handler/links.h"
#include "kubevirt/wire/client.h"

/* A request whose outcome somebody waits for: ends exactly once, also when the connection is given up. */
struct ask {
	struct link *link;
	struct ask *next;
	int64_t bytes;           /* set-memory */
	char *nic;               /* of the card that this is about; NULL: none */
	char *leaves;            /* the pod's interface that has no tap any more when it is done */
	links_answer_fn *answer; /* stats */
	links_done_fn *fn;       /* any other */
	void *arg;
};
struct link {
	struct links *all;
	struct ask *asks;
	char *uid, *key, *dir;
	int dir_fd, watch;
	struct wire_client *client;
	struct loop_timer *retry;
	int64_t wait_ms;
	struct json_doc *state;
	char *start_error, *memory_error, *cpus_error, *nic_name, *nic_error;
	struct guest_facts facts;
};
struct links {
	struct links_spec spec;
	char *host_dir;
	struct keymap by_uid;
	int inotify;
	struct loop_fd *inotify_fd;
};

struct link *link_connected(struct links *l, const char *uid); /* NULL: not connected */
/* fn: exactly once, also when the connection is given up */
void link_ask(struct link *k, enum wire_verb v, const struct json *args, links_done_fn *fn, void *arg);
struct link *link_find(const struct links *l, const char *uid);
void link_changed(struct link *k);
/* The connection is of no use any more: dialled anew. Also called by the wire. */
void link_lost(void *link, const struct err *why);
pid_t link_launcher(const struct link *k); /* as this program sees it; -1: not connected */
void link_nic_done(struct link *k, const struct ask *a, const struct err *e); /* links_nic.c */
void link_ask_files(struct link *k, enum wire_verb v, const struct json *args, const int *files, size_t n,
	const struct ask *spec /* copied; texts are taken */);
void ask_end(struct ask *a, const struct json *ok, const struct err *e); /* links_tell.c */
