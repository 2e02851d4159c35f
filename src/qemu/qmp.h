/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/qmp.h - one client of one QMP monitor, on the loop (qemu.md 3).
 *
 * Replies are matched by id; events come in between and never wait for a reply. Every call ends exactly once: with its
 * reply, with ERR_TIMEOUT at its limit, or with ERR_UNREACHABLE when the connection ends; freeing the client drops
 * pending calls silently. Calls made before QEMU has greeted wait, their limits count from then. A monitor serves one
 * client: no greeting within greeting_ms means that somebody else holds it, told as ERR_CONFLICT, not as a dead QEMU
 * (qemu.md 3.4). Loop thread only. */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"

#define QMP_LINE_MAX (8 * 1024 * 1024) /* the schema has 0.2 MiB; a longer line is not QMP */
#define QMP_OUT_MAX (1024 * 1024)
#define QMP_GREETING_MS 5000

struct qmp;
struct qmp_ops {
	/* Capabilities are agreed and the first command was answered: the machine exists (qemu.md 3.2). */
	void (*ready)(void *arg);
	/* data is {} when QEMU sends none; borrowed for the call. */
	void (*event)(void *arg, const char *name, const struct json *data);
	/* Once and last; the owner frees the client, in here or later. Pending calls were failed before. */
	void (*closed)(void *arg, const struct err *e);
};
/* fd: a connected socket, taken. greeting_ms 0: QMP_GREETING_MS. */
struct qmp *qmp_new(struct loop *l, int fd, int greeting_ms, const struct qmp_ops *ops, void *arg);
void qmp_free(struct qmp *q);
void qmp_freep(struct qmp **q);

/* ret is NULL and e set on failure. QEMU's own refusals are ERR_INVALID, CommandNotFound is ERR_NOT_IMPLEMENTED,
 * DeviceNotFound ERR_NOT_FOUND; the text starts with the command. */
typedef void qmp_reply_fn(void *arg, const struct json *ret, const struct err *e);
/* Use the typed qmp_send_x() of qmp_cmds.h; this is what they call. args may be NULL. fn may be NULL. */
void qmp_send(
	struct qmp *q, const char *cmd, const struct json *args, int limit_ms, qmp_reply_fn *fn, void *arg);
/* getfd: QEMU gets the descriptor (taken) under that name, for netdev_add and the like. */
void qmp_send_file(struct qmp *q, const char *name, int fd, qmp_reply_fn *fn, void *arg);
/* add-fd: QEMU opens it (taken) as "/dev/fdset/SET"; remove_fd() when that has been done. */
void qmp_send_fdset(struct qmp *q, uint64_t set, int fd, qmp_reply_fn *fn, void *arg);
