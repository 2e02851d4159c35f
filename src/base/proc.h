/* SPDX-License-Identifier: Apache-2.0 */
/* base/proc.h - running other programs. */
#pragma once

#include "base/loop.h"
#include "base/str.h"

#include <sys/types.h>

#define PROC_FDS_MAX 16
#define PROC_OUTPUT_MAX (1 << 20) /* of proc_run(); more is cut */

struct proc_spec {
	char *const *argv; /* NULL-terminated; argv[0] looked up in PATH unless it has a slash */
	char *const *env;  /* NULL: our own */
	const char *dir;   /* NULL: ours */
	int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
	/* passed on as descriptors 10, 11, ...: stays as given, in this order */
	int fds[PROC_FDS_MAX];
	size_t n_fds;
	bool new_session;     /* setsid: survives our terminal */
	bool die_with_parent; /* SIGKILL when we end */
};
#define PROC_FD_BASE 10
#define PROC_SPEC_INIT                                           \
	{                                                        \
		.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 \
	}

/* Starts it; exec failure (no such program, no permission) is reported here, not by an exit status. */
int proc_spawn(const struct proc_spec *spec, pid_t *ret_pid, struct err *e);

/* Runs a program to its end on the loop, collecting stdout and stderr. Calls back exactly once, unless freed before:
 * freeing kills it (SIGKILL). After the call back it is gone: forget the pointer (freeing it in the callback is fine, after
 * it is not). timeout_ms 0: no limit; input NULL: /dev/null. */
struct proc_run;
struct proc_result {
	int wait_status; /* as waitpid(); -1 if it could not be started (e says why; also set if the time was up) */
	const char *out, *err;
	size_t out_len, err_len;
	const struct err *e;
};
typedef void proc_done_fn(void *arg, const struct proc_result *r);
struct proc_run *proc_run(
	struct loop *l, char *const *argv, const char *input, int timeout_ms, proc_done_fn *fn, void *arg);
void proc_run_free(struct proc_run *r);
/* Nobody keeps the handle: done comes as ever, unless the loop ends before; the process then goes on alone. */
void proc_run_forget(struct proc_run *r);
bool proc_ok(const struct proc_result *r); /* exited with 0 */
/* The same, waiting; for start-up code and command lines only. out/err may be NULL. Nonzero exit is an error that
 * quotes the last line of stderr. */
int proc_wait(char *const *argv, struct str *out, struct err *e);

/* Start time of a process (/proc/PID/stat field 22): with the pid it names a process for ever (qemu.md 3). 0: none. */
uint64_t proc_start_time(pid_t pid);
