/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/accel.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *accel_name(enum accel_verdict v)
{
	static const char *const names[] = {
#define X(id, name) [ACCEL_##id] = name,
		ACCEL_VERDICTS(X)
#undef X
	};

	return names[v];
}

static void verdict(struct accel_result *r, enum accel_verdict v, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void verdict(struct accel_result *r, enum accel_verdict v, const char *fmt, ...)
{
	va_list ap;

	r->verdict = v;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

static void judge_run(const struct accel_sample *s, struct accel_result *r)
{
	bool finished = s->exit_reason == KVM_EXIT_IO && s->port == 0x3f8 && s->value == 'K';

	if (!finished && s->exit_reason != -1) {
		verdict(r, ACCEL_BROKEN,
			"KVM could not run guest code: exit reason %d after %llu of %d loop rounds",
			s->exit_reason, (unsigned long long)s->done, ACCEL_LOOP_COUNT);
		return;
	}
	if (s->ns > 0)
		r->per_second = (double)s->done * 1e9 / (double)s->ns;
	if (finished && r->per_second >= ACCEL_USABLE_PER_S)
		verdict(r, ACCEL_USABLE, "KVM runs guest code at %.0f million loop rounds per second",
			r->per_second / 1e6);
	else
		verdict(r, ACCEL_SLOW,
			"KVM interprets guest code: %.1f million loop rounds per second (%llu of %d in %.1f "
			"ms), %.0f million are needed",
			r->per_second / 1e6, (unsigned long long)s->done, ACCEL_LOOP_COUNT,
			(double)s->ns / 1e6, ACCEL_USABLE_PER_S / 1e6);
}

void accel_judge(const struct accel_sample *s, struct accel_result *r)
{
	memset(r, 0, sizeof(*r));
	switch (s->step) {
	case ACCEL_STEP_OPEN:
		if (s->sys == EACCES || s->sys == EPERM)
			verdict(r, ACCEL_DENIED, "no access to the KVM device: %s", strerror(s->sys));
		else
			verdict(r, ACCEL_ABSENT, "no KVM device: %s", strerror(s->sys));
		return;
	case ACCEL_STEP_SETUP:
	case ACCEL_STEP_RUN:
		verdict(r, ACCEL_BROKEN, "KVM refuses to %s: %s",
			s->step == ACCEL_STEP_RUN ? "run a vCPU" : "make a vCPU", strerror(s->sys));
		return;
	case ACCEL_STEP_ARCH:
		verdict(r, ACCEL_BROKEN, "no KVM probe for this processor architecture");
		return;
	default:
		judge_run(s, r);
	}
}

/* ---- the child ---- */

static int probe_fork(const char *path, accel_measure_fn *measure, pid_t *ret_pid)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct accel_sample s = { 0 };

		(measure ? measure : accel_measure)(path, &s);
		_exit(write(p[1], &s, sizeof(s)) == sizeof(s) ? 0 : 1);
	}
	close(p[1]);
	if (pid < 0) {
		close(p[0]);
		return -1;
	}
	*ret_pid = pid;
	return p[0];
}

/* The child has written its sample, died, or neither. */
static void probe_conclude(int fd, bool in_time, struct accel_result *r)
{
	struct accel_sample s;

	memset(r, 0, sizeof(*r));
	if (fd < 0)
		verdict(r, ACCEL_BROKEN, "the KVM probe could not be started: %s", strerror(errno));
	else if (!in_time)
		verdict(r, ACCEL_HUNG, "KVM did not come back from guest code within %d ms", ACCEL_PROBE_MS);
	else if (read(fd, &s, sizeof(s)) == sizeof(s))
		accel_judge(&s, r);
	else
		verdict(r, ACCEL_BROKEN, "the KVM probe died while running guest code");
}

struct accel_probe {
	struct loop_timer *timer;
	struct loop_fd *watch;
	int fd;
	pid_t pid;
	accel_done_fn *fn;
	void *arg;
};

void accel_probe_free(struct accel_probe *p)
{
	if (!p)
		return;
	loop_timer_free(p->timer);
	if (p->watch)
		loop_fd_free(p->watch);
	if (p->fd >= 0)
		close(p->fd);
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	free(p);
}

static void probe_end(struct accel_probe *p, bool in_time)
{
	struct accel_result r;
	accel_done_fn *fn = p->fn;
	void *arg = p->arg;

	probe_conclude(p->fd, in_time, &r);
	p->fn = NULL;
	loop_timer_stop(p->timer);
	if (p->watch)
		loop_fd_free(TAKE(p->watch));
	fn(arg, &r); /* may free p */
}

static void probe_readable(void *arg, int what)
{
	(void)what;
	probe_end(arg, true);
}

static void probe_late(void *arg)
{
	probe_end(arg, ((struct accel_probe *)arg)->fd < 0);
}

struct accel_probe *accel_probe_new(
	struct loop *l, const char *path, accel_measure_fn *measure, accel_done_fn *fn, void *arg)
{
	struct accel_probe *p = MEM_NEW(struct accel_probe);

	p->fn = fn;
	p->arg = arg;
	p->fd = probe_fork(path, measure, &p->pid);
	p->timer = loop_timer_new(l, probe_late, p);
	loop_timer_set(p->timer, p->fd < 0 ? 0 : ACCEL_PROBE_MS);
	if (p->fd >= 0)
		p->watch = loop_fd_new(l, p->fd, LOOP_READ, probe_readable, p);
	return p;
}

void accel_probe_wait(const char *path, accel_measure_fn *measure, struct accel_result *ret)
{
	pid_t pid = 0;
	int fd = probe_fork(path, measure, &pid);
	struct pollfd pf = { .fd = fd, .events = POLLIN };

	probe_conclude(fd, fd >= 0 && poll(&pf, 1, ACCEL_PROBE_MS) == 1, ret);
	if (fd >= 0) {
		close(fd);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}
