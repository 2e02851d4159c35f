/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/loop_impl.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOP_LAST_TURNS 3
#define LOOP_BRISK_US 300 /* a wait and what it brought: shorter than this, the next may be short too */
#define LOOP_LOOK_US 100  /* awake for this long, then asleep */

struct real {
	struct event_base *base;
	struct event *tick; /* ends the wait when the heap's first entry is due */
	struct event *posted;
	int post_fd;
	bool brisk; /* the last wait was so short that looking again and again is cheaper than sleeping */
};

struct loop_fd {
	struct loop *loop;
	struct event *ev;
	int fd, what;
	loop_fd_fn *fn;
	void *arg;
	/* Regular files and /dev/null are always ready, but epoll refuses them: this stands in. */
	struct loop_timer *always;
};

struct loop_signal {
	struct event *ev;
	loop_fn *fn;
	void *arg;
};

struct loop_child {
	struct loop *loop;
	struct event *ev;
	struct loop_timer *gone; /* for a process that had ended and been reaped before we looked */
	int fd;
	pid_t pid;
	bool ours; /* a child of this process: to be reaped */
	loop_child_fn *fn;
	void *arg;
};

static const struct loop_ops real_ops;

static struct real *real_of(struct loop *l)
{
	MUST(l->ops == &real_ops); /* a simulated loop has no descriptors, signals or children */
	return l->impl;
}

/* ---- the loop ---- */

/* EVLOOP_ONCE goes on while its callbacks make further ones active, as connections under load do all the time. So what this
 * loop has to run itself, timers and posts, breaks the wait; what libevent had still to call waits for the next one. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(((struct real *)arg)->base);
}

static void on_posted(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		MUST(errno == EAGAIN || errno == EINTR);
	loop_impl_take_posts(arg);
	event_base_loopbreak(((struct real *)((struct loop *)arg)->impl)->base);
}

/* How long to sleep: until the first entry, at most max_wait_ms (-1: any time). */
static int64_t wait_ms(struct loop *l, int max_wait_ms)
{
	const struct loop_entry *e = loop_impl_top(l);
	int64_t wait = max_wait_ms < 0 ? -1 : max_wait_ms;

	if (!e)
		return wait;
	/* read anew, not loop_mono_ms(): the callbacks' reading is made after the wait */
	int64_t until = e->due - time_mono_now();
	if (until < 0)
		until = 0;
	if (until > INT_MAX)
		until = INT_MAX;
	return wait < 0 || until < wait ? until : wait;
}

static void wait_and_dispatch(struct real *r, int64_t ms)
{
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

	if (ms == 0)
		flags = EVLOOP_NONBLOCK; /* which goes on like EVLOOP_ONCE: the tick ends it too */
	if (ms >= 0) {
		struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
		MUST(event_add(r->tick, &tv) == 0);
	}
	MUST(event_base_loop(r->base, flags) >= 0);
	if (ms >= 0)
		event_del(r->tick);
}

/* Whether a look at the descriptors found anything to do, beside the tick that ends it. */
static bool look(struct real *r)
{
	(void)event_base_get_max_events(r->base, EVENT_BASE_COUNT_ACTIVE, 1);
	wait_and_dispatch(r, 0);
	return event_base_get_max_events(r->base, EVENT_BASE_COUNT_ACTIVE, 1) > 1;
}

/* Looks until there was something to do, for LOOP_LOOK_US at most. */
static bool look_on(struct real *r)
{
	int64_t until = time_mono_us() + LOOP_LOOK_US;

	while (!look(r))
		if (time_mono_us() >= until)
			return false;
	return true;
}

/* A client that asks one thing after the other is back within less time than it takes to put a processor to sleep and
 * wake it, above all in a virtual machine. So after a short wait the next one is spent awake; after a long one no more. */
static void wait_for_work(struct real *r, int64_t ms)
{
	int64_t began;

	if (ms == 0) {
		wait_and_dispatch(r, 0);
		return;
	}
	if (r->brisk && look_on(r))
		return;
	began = time_mono_us();
	wait_and_dispatch(r, ms);
	r->brisk = time_mono_us() - began < LOOP_BRISK_US;
}

static bool real_step(struct loop *l, int max_wait_ms)
{
	/* what is asked for during this turn runs in the next one */
	uint64_t limit = l->seq;
	struct loop_entry *e;

	l->clocks_read = false;
	wait_for_work(l->impl, l->stop ? 0 : wait_ms(l, max_wait_ms));
	while ((e = loop_impl_top(l)) && e->due <= loop_mono_ms(l) && e->seq < limit)
		loop_impl_run_top(l);
	return true;
}

static void real_clocks(struct loop *l)
{
	int64_t mono = time_mono_now();

	if (mono > l->mono)
		l->mono = mono;
	l->wall = time_wall_now();
}

static void real_wake(struct loop *l)
{
	struct real *r = l->impl;
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is readable anyway */
	if (write(r->post_fd, &one, sizeof(one)) < 0)
		MUST(errno == EAGAIN);
}

static void real_armed(struct loop *l)
{
	if (l->in_step)
		event_base_loopbreak(((struct real *)l->impl)->base);
}

static void real_free(struct loop *l)
{
	struct real *r = l->impl;

	event_free(r->posted);
	/* Connections freed in the last turn are let go of by calls that libevent has put off; it would forget those. */
	for (int i = 0; i < LOOP_LAST_TURNS; i++)
		wait_and_dispatch(r, 0);
	event_free(r->tick);
	event_base_free(r->base);
	close(r->post_fd);
	free(r);
}

static const struct loop_ops real_ops = {
	.step = real_step,
	.read_clocks = real_clocks,
	.wake = real_wake,
	.free = real_free,
	.armed = real_armed,
};

struct loop *loop_new(void)
{
	struct real *r = MEM_NEW(struct real);
	struct loop *l = loop_impl_new(&real_ops, r);

	/* a peer that hangs up is an error return, not our end */
	signal(SIGPIPE, SIG_IGN);
	r->base = event_base_new();
	MUST(r->base);
	r->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(r->post_fd >= 0);
	r->tick = evtimer_new(r->base, on_tick, r);
	r->posted = event_new(r->base, r->post_fd, EV_READ | EV_PERSIST, on_posted, l);
	MUST(r->tick && r->posted && event_add(r->posted, NULL) == 0);
	return l;
}

void *loop_event_base(struct loop *l)
{
	return l->ops == &real_ops ? ((struct real *)l->impl)->base : NULL;
}

/* ---- descriptors ---- */

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;

	(void)fd;
	f->fn(f->arg, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

static void on_always_ready(void *arg)
{
	struct loop_fd *f = arg;

	/* armed again first: the callback may free f */
	loop_timer_set(f->always, 0);
	f->fn(f->arg, f->what);
}

/* Asked beforehand: libevent would write its own message when it is refused. */
static bool epoll_refuses(int fd)
{
	struct stat st;
	struct epoll_event ev = { .events = EPOLLIN };

	if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode)))
		return false;
	CLEANUP(fd_closep) int ep = epoll_create1(EPOLL_CLOEXEC);
	return ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) && errno == EPERM;
}

static void watch(struct loop_fd *f)
{
	short what = (f->what & LOOP_READ ? EV_READ : 0) | (f->what & LOOP_WRITE ? EV_WRITE : 0);

	if (!what)
		return;
	if (f->always) {
		loop_timer_set(f->always, 0);
		return;
	}
	MUST(event_assign(f->ev, real_of(f->loop)->base, f->fd, (short)(what | EV_PERSIST), on_fd, f) == 0);
	MUST(event_add(f->ev, NULL) == 0);
}

struct loop_fd *loop_fd_new(struct loop *l, int fd, int what, loop_fd_fn *fn, void *arg)
{
	struct loop_fd *f = MEM_NEW(struct loop_fd);

	*f = (struct loop_fd){ .loop = l, .fd = fd, .what = what, .fn = fn, .arg = arg };
	f->ev = event_new(real_of(l)->base, fd, EV_READ, on_fd, f);
	MUST(f->ev);
	if (epoll_refuses(fd))
		f->always = loop_timer_new(l, on_always_ready, f);
	watch(f);
	return f;
}

void loop_fd_set(struct loop_fd *f, int what)
{
	if (what == f->what)
		return;
	f->what = what;
	event_del(f->ev);
	if (f->always)
		loop_timer_stop(f->always);
	watch(f);
}

void loop_fd_free(struct loop_fd *f)
{
	if (!f)
		return;
	event_free(f->ev); /* takes it off the list of active ones too */
	loop_timer_free(f->always);
	free(f);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct loop_signal *s = arg;

	(void)sig;
	(void)what;
	s->fn(s->arg);
}

struct loop_signal *loop_signal_new(struct loop *l, int sig, loop_fn *fn, void *arg)
{
	struct loop_signal *s = MEM_NEW(struct loop_signal);

	s->fn = fn;
	s->arg = arg;
	s->ev = evsignal_new(real_of(l)->base, sig, on_signal, s);
	MUST(s->ev && event_add(s->ev, NULL) == 0);
	return s;
}

void loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return;
	event_free(s->ev);
	free(s);
}

/* ---- processes ---- */

/* As waitpid() would have said it; -1 if somebody else reaped it. */
static int reap(int pidfd)
{
	siginfo_t si = { 0 };
	int r;

	do {
		r = waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -1;
	switch (si.si_code) {
	case CLD_EXITED:
		return (si.si_status & 0xff) << 8;
	case CLD_DUMPED:
		return (si.si_status & 0x7f) | 0x80;
	default:
		return si.si_status & 0x7f;
	}
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct loop_child *c = arg;
	int status = c->ours ? reap(c->fd) : -1;

	(void)fd;
	(void)what;
	event_del(c->ev);
	fd_closep(&c->fd);
	c->fn(c->arg, c->pid, status);
}

static void on_gone(void *arg)
{
	struct loop_child *c = arg;

	c->fn(c->arg, c->pid, -1);
}

static struct loop_child *watch_pid(struct loop *l, pid_t pid, bool ours, loop_child_fn *fn, void *arg)
{
	struct real *r = real_of(l);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* EINVAL: pid is a thread, or negative; both bugs */
	MUST(fd >= 0 || errno == ESRCH);
	if (fd < 0 && !ours)
		return NULL;
	struct loop_child *c = MEM_NEW(struct loop_child);
	*c = (struct loop_child){ .loop = l, .fd = fd, .pid = pid, .ours = ours, .fn = fn, .arg = arg };
	if (fd < 0) {
		c->gone = loop_timer_new(l, on_gone, c);
		loop_timer_set(c->gone, 0);
		return c;
	}
	c->ev = event_new(r->base, fd, EV_READ, on_ended, c);
	MUST(c->ev && event_add(c->ev, NULL) == 0);
	return c;
}

struct loop_child *loop_child_new(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg)
{
	return watch_pid(l, pid, true, fn, arg);
}

struct loop_child *loop_pid_new(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg)
{
	return watch_pid(l, pid, false, fn, arg);
}

void loop_child_free(struct loop_child *c)
{
	if (!c)
		return;
	if (c->ev)
		event_free(c->ev);
	fd_closep(&c->fd);
	loop_timer_free(c->gone);
	free(c);
}
