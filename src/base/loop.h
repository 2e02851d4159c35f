/* SPDX-License-Identifier: Apache-2.0 */
/* base/loop.h - the event loop of a program, and its clock.
 *
 * One thread, one loop. A callback records its result, marks a key dirty or steps one machine, and returns. Nothing
 * calls back before the registering call has returned. Freeing a source drops its pending callbacks; freeing it from
 * its own callback is allowed. Two implementations: libevent, and a simulated one (virtual time, fixed order) for
 * tests, in which there are no file descriptors, children or signals. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct loop;
/* Also ignores SIGPIPE. Sources are freed before their loop; one loop with signals per process. */
struct loop *loop_new(void);
struct loop *loop_new_sim(int64_t start_wall_ms);
void loop_free(struct loop *l);
void loop_freep(struct loop **l);
/* Runs until loop_stop(). The simulated loop also returns when nothing is left to do. */
void loop_run(struct loop *l);
/* One round; waits at most max_wait_ms (-1: until something happens). Simulated: runs exactly one due callback, jumping
 * the clock if none is due; false when nothing is left. */
bool loop_step(struct loop *l, int max_wait_ms);
void loop_stop(struct loop *l);
/* The libevent base, for base/http_*.c only; NULL when simulated. */
void *loop_event_base(struct loop *l);

/* One reading per turn: all callbacks of a turn see the same time. */
int64_t loop_mono_ms(struct loop *l); /* never goes back */
int64_t loop_wall_ms(struct loop *l); /* since 1970 */
/* Simulated only: advance without running anything. */
void loop_sim_advance(struct loop *l, int64_t ms);

/* ---- timers: one shot; re-arm by loop_timer_set() ---- */
struct loop_timer;
typedef void loop_fn(void *arg);
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void loop_timer_set(struct loop_timer *t, int64_t in_ms); /* replaces an earlier setting; 0 = next turn */
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_armed(const struct loop_timer *t);
/* For what nobody else knows of: loop_free() runs it once more if it is armed then, to free what it belongs to. */
void loop_timer_at_end(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */
void loop_timer_freep(struct loop_timer **t);

/* ---- later: run once in the next turn, in the order asked ---- */
void loop_later(struct loop *l, loop_fn *fn, void *arg); /* can not be cancelled: arg must live until then */
/* From any thread (wakes the loop). Only for results of worker threads. */
void loop_post(struct loop *l, loop_fn *fn, void *arg);

/* ---- descriptors ---- */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_fd;
typedef void loop_fd_fn(void *arg, int what);
struct loop_fd *loop_fd_new(
	struct loop *l, int fd, int what, loop_fd_fn *fn, void *arg); /* does not own fd */
void loop_fd_set(struct loop_fd *f, int what);
void loop_fd_free(struct loop_fd *f);

/* ---- signals (SIGTERM, SIGINT, SIGHUP) ---- */
struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *l, int sig, loop_fn *fn, void *arg);
void loop_signal_free(struct loop_signal *s);

/* ---- children: calls back once with waitid()'s status (as for waitpid; -1 if someone else reaped it). The caller frees
 * the source afterwards, or in the callback. ---- */
struct loop_child;
typedef void loop_child_fn(void *arg, pid_t pid, int wait_status);
struct loop_child *loop_child_new(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg);
void loop_child_free(struct loop_child *c);
/* The same for a process that is not our child: tells only that it ended (wait_status -1). NULL if it is gone. */
struct loop_child *loop_pid_new(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg);
