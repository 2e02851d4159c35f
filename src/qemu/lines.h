/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/lines.h - a Unix socket that carries text lines, on the loop: QMP, the guest agent, launcher.sock.
 *
 * Everything readable is read at once (QEMU buffers what nobody reads without limit, qemu.md 3.7), lines are handed
 * out one by one without their end (\n or \r\n). Owns the descriptor. Freeing inside any callback is allowed. Nothing
 * calls back before the creating call has returned. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <sys/types.h>

struct lines;
struct lines_ops {
	/* line is NUL-terminated, changeable, valid for the call. */
	void (*line)(void *arg, char *line, size_t len);
	/* The peer left (ERR_UNREACHABLE), or broke a limit (ERR_TOO_LARGE). Called once, last; free it in there or
	 * later. */
	void (*closed)(void *arg, const struct err *e);
};
/* fd is taken. line_max: a longer line ends the stream. out_max: so does more unsent output. */
struct lines *lines_new(
	struct loop *l, int fd, size_t line_max, size_t out_max, const struct lines_ops *ops, void *arg);
void lines_free(struct lines *s); /* drops what is unsent */
void lines_write(struct lines *s, const void *data, size_t len);
size_t lines_pending(const struct lines *s);
/* The same, with descriptors that travel with the first byte (SCM_RIGHTS). They are taken, whatever happens. */
#define LINES_FDS_MAX 16
void lines_write_fds(struct lines *s, const void *data, size_t len, const int *fds, size_t n);
/* Receive descriptors, too; without this the kernel drops them. They wait in order, at most LINES_FDS_MAX, for
 * lines_next_fd(): the caller's from then on, -1 when there is none. More ends the stream. */
void lines_accept_fds(struct lines *s);
int lines_next_fd(struct lines *s);
/* Gives the descriptor away and frees s. What was read beyond the last line goes to rest. Unsent output is written
 * first, as far as the socket takes it. Inside line() no further line is handed out. */
int lines_take_fd(struct lines *s, struct str *rest);

/* Who listened at the other end when this was connected (SO_PEERCRED); -1: not known, or not to be seen from here. */
pid_t lines_peer(const struct lines *s);

/* A connected, non-blocking socket. ERR_NOT_FOUND: no such path; ERR_UNREACHABLE: nobody listens (any more). */
int unix_connect(const char *path, int *ret_fd, struct err *e);
/* Bound with this mode from the first moment on, listening, non-blocking; a stale path is replaced. qemu.md 16.5 */
int unix_listen(const char *path, mode_t mode, int backlog, int *ret_fd, struct err *e);
