/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define PROC_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PROC_FD_PARK (PROC_FD_BASE + PROC_FDS_MAX) /* the child moves everything above this first */
#define PROC_STAT_MAX 4096
#define PROC_READS_AT_EXIT 80 /* of 16 KiB: more than a pipe holds; a talkative grandchild does not keep us */

/* ---- the child, between fork and exec: async-signal-safe calls only, nothing allocated ---- */

struct child {
	const struct proc_spec *spec;
	char *const *env;
	char *const *paths; /* candidates, NULL-terminated */
	int report;         /* write end: errno of the failure; closed by exec */
	pid_t parent;
};

static _Noreturn void child_fail(int report)
{
	int n = errno;
	ssize_t r = write(report, &n, sizeof(n));

	(void)r;
	_exit(127);
}

static int park(int fd)
{
	return fcntl(fd, F_DUPFD, PROC_FD_PARK);
}

/* Our descriptors may have any numbers, also each other's future ones: park all of them high, then put them down. */
static int place_fds(struct child *c)
{
	const struct proc_spec *s = c->spec;
	const int std[3] = { s->stdin_fd, s->stdout_fd, s->stderr_fd };
	int parked[3 + PROC_FDS_MAX];

	c->report = fcntl(c->report, F_DUPFD_CLOEXEC, PROC_FD_PARK);
	if (c->report < 0)
		return -1;
	for (size_t i = 0; i < 3 + s->n_fds; i++) {
		int fd = i < 3 ? std[i] : s->fds[i - 3];

		if (i < 3 && fd < 0)
			fd = open("/dev/null", i == 0 ? O_RDONLY : O_WRONLY);
		parked[i] = park(fd);
		if (parked[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < 3 + s->n_fds; i++)
		if (dup2(parked[i], i < 3 ? (int)i : PROC_FD_BASE + (int)i - 3) < 0)
			return -1;
	return 0;
}

static void close_others(int first_free, int report)
{
	/* 3..9, and from behind the passed ones, sparing the report pipe which exec closes */
	syscall(SYS_close_range, 3, PROC_FD_BASE - 1, 0);
	if (first_free < report)
		syscall(SYS_close_range, first_free, report - 1, 0);
	syscall(SYS_close_range, report + 1, ~0U, 0);
}

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_main(struct child *c)
{
	const struct proc_spec *s = c->spec;
	int why = ENOENT;

	reset_signals();
	if (s->new_session && setsid() < 0)
		child_fail(c->report);
	if (s->die_with_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			child_fail(c->report);
		/* it may have died before that */
		if (getppid() != c->parent)
			_exit(127);
	}
	if (s->dir && chdir(s->dir))
		child_fail(c->report);
	if (place_fds(c))
		child_fail(c->report);
	close_others(PROC_FD_BASE + (int)s->n_fds, c->report);
	for (char *const *p = c->paths; *p; p++) {
		execve(*p, s->argv, c->env);
		/* as execvp(): "not found" does not hide "found but forbidden" */
		if (errno != ENOENT && errno != ENOTDIR)
			why = errno;
	}
	errno = why;
	child_fail(c->report);
}

/* ---- the parent ---- */

static void find_candidates(const char *name, struct strv *ret)
{
	if (strchr(name, '/')) {
		strv_add(ret, name);
		return;
	}
	const char *path = getenv("PATH");
	CLEANUP(mem_freep) char *copy = mem_strdup(str_empty(path) ? PROC_PATH_DEFAULT : path);
	char *rest = copy;
	for (char *dir; (dir = str_next(&rest, ':'));)
		strv_take(ret, file_join(*dir ? dir : ".", name));
}

static int read_report(int fd)
{
	int n = 0;
	ssize_t r;

	do {
		r = read(fd, &n, sizeof(n));
	} while (r < 0 && errno == EINTR);
	return r == (ssize_t)sizeof(n) ? n : 0;
}

int proc_spawn(const struct proc_spec *spec, pid_t *ret_pid, struct err *e)
{
	CLEANUP(strv_done) struct strv paths = { 0 };
	int pipe_fds[2];
	sigset_t all, old;

	MUST(spec->n_fds <= PROC_FDS_MAX && spec->argv && spec->argv[0]);
	find_candidates(spec->argv[0], &paths);
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_sys(e, "start %s: pipe", spec->argv[0]);
	CLEANUP(fd_closep) int from_child = pipe_fds[0];
	CLEANUP(fd_closep) int to_parent = pipe_fds[1];
	struct child c = {
		.spec = spec,
		.env = spec->env ? spec->env : environ,
		.paths = strv_argv(&paths),
		.report = to_parent,
		.parent = getpid(),
	};

	/* no handler of ours may run in the child: it would write to the loop's pipes, which both share */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	if (pid == 0)
		child_main(&c);
	int saved = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	if (pid < 0)
		return err_sys(e, "start %s: fork", spec->argv[0]);
	fd_closep(&to_parent);
	int why = read_report(from_child);
	if (why) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		errno = why;
		err_sys(e, "start %s", spec->argv[0]);
		if (e && why == ENOENT)
			e->code = ERR_NOT_FOUND;
		return -1;
	}
	*ret_pid = pid;
	return 0;
}

/* ---- running to the end, on the loop ---- */

struct stream {
	struct proc_run *run;
	int fd; /* -1: ended */
	struct loop_fd *watch;
	struct str text;
	size_t sent; /* of stdin */
};

enum { IN, OUT, ERR };

struct proc_run {
	struct loop *loop;
	pid_t pid;
	struct loop_child *child;
	struct loop_timer *timer, *last; /* last: never rings, but at the end of the loop */
	struct stream s[3];
	bool exited;
	int status;
	int timeout_ms;
	struct err e;
	proc_done_fn *fn; /* NULL: abandoned, only to be reaped */
	void *arg;
	char *name;
};

static void stream_end(struct stream *s)
{
	loop_fd_free(s->watch);
	s->watch = NULL;
	fd_closep(&s->fd);
}

static void run_destroy(struct proc_run *r)
{
	for (int i = 0; i < 3; i++) {
		stream_end(&r->s[i]);
		str_done(&r->s[i].text);
	}
	loop_child_free(r->child);
	loop_timer_free(r->timer);
	loop_timer_free(r->last);
	free(r->name);
	free(r);
}

static void finish(struct proc_run *r)
{
	struct proc_result res = {
		.wait_status = r->status,
		.out = str_cstr(&r->s[OUT].text),
		.out_len = r->s[OUT].text.len,
		.err = str_cstr(&r->s[ERR].text),
		.err_len = r->s[ERR].text.len,
		.e = r->e.code ? &r->e : NULL,
	};
	proc_done_fn *fn = r->fn;

	/* the callback may not free what is being read; proc_run_free() sees fn == NULL */
	r->fn = NULL;
	if (fn)
		fn(r->arg, &res);
	run_destroy(r);
}

/* One read; false when there is nothing more at the moment, or ever. */
static bool read_some(struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		stream_end(s);
		return false;
	}
	size_t room = PROC_OUTPUT_MAX - s->text.len;
	str_addn(&s->text, buf, (size_t)n < room ? (size_t)n : room);
	return true;
}

static void on_output(void *arg, int what)
{
	(void)what;
	read_some(arg);
}

static void on_input(void *arg, int what)
{
	struct stream *s = arg;

	(void)what;
	ssize_t n = write(s->fd, s->text.data + s->sent, s->text.len - s->sent);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	s->sent += n > 0 ? (size_t)n : 0;
	if (n < 0 || s->sent == s->text.len)
		stream_end(s); /* EPIPE: it does not want to know */
}

/* All it wrote is in the pipes now. A grandchild that keeps them open (a daemon, a container) is not waited for. */
static void on_exit_of(void *arg, pid_t pid, int status)
{
	struct proc_run *r = arg;

	(void)pid;
	r->exited = true;
	r->status = status;
	for (int i = OUT; r->fn && i <= ERR; i++)
		for (int reads = 0; r->s[i].fd >= 0 && reads < PROC_READS_AT_EXIT && read_some(&r->s[i]);
			reads++)
			;
	finish(r);
}

static void on_timeout(void *arg)
{
	struct proc_run *r = arg;

	err_set(&r->e, ERR_TIMEOUT, "%s did not end within %d ms", r->name, r->timeout_ms);
	kill(r->pid, SIGKILL); /* not reaped yet, so the pid is still its own */
}

static void on_not_started(void *arg)
{
	finish(arg);
}

static void watch_stream(struct proc_run *r, int i, int fd, loop_fd_fn *fn)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	r->s[i].fd = fd;
	r->s[i].watch = loop_fd_new(r->loop, fd, i == IN ? LOOP_WRITE : LOOP_READ, fn, &r->s[i]);
}

static int start_run(struct proc_run *r, char *const *argv, const char *input)
{
	struct proc_spec spec = PROC_SPEC_INIT;
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int ret = -1;

	spec.argv = argv;
	if ((input && pipe2(in, O_CLOEXEC)) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		err_sys(&r->e, "start %s: pipe", argv[0]);
	} else {
		spec.stdin_fd = in[0];
		spec.stdout_fd = out[1];
		spec.stderr_fd = err[1];
		ret = proc_spawn(&spec, &r->pid, &r->e);
	}
	fd_closep(&in[0]);
	fd_closep(&out[1]);
	fd_closep(&err[1]);
	if (ret) {
		fd_closep(&in[1]);
		fd_closep(&out[0]);
		fd_closep(&err[0]);
		return -1;
	}
	if (input) {
		str_add(&r->s[IN].text, input);
		watch_stream(r, IN, in[1], on_input);
	}
	watch_stream(r, OUT, out[0], on_output);
	watch_stream(r, ERR, err[0], on_output);
	return 0;
}

struct proc_run *proc_run(
	struct loop *l, char *const *argv, const char *input, int timeout_ms, proc_done_fn *fn, void *arg)
{
	struct proc_run *r = MEM_NEW(struct proc_run);

	r->loop = l;
	r->fn = fn;
	r->arg = arg;
	r->timeout_ms = timeout_ms;
	r->status = -1;
	r->name = mem_strdup(argv[0]);
	for (int i = 0; i < 3; i++) {
		r->s[i].fd = -1;
		r->s[i].run = r;
	}
	if (start_run(r, argv, input)) {
		/* never before we have returned */
		r->timer = loop_timer_new(l, on_not_started, r);
		loop_timer_set(r->timer, 0);
		return r;
	}
	r->child = loop_child_new(l, r->pid, on_exit_of, r);
	if (timeout_ms > 0) {
		r->timer = loop_timer_new(l, on_timeout, r);
		loop_timer_set(r->timer, timeout_ms);
	}
	return r;
}

void proc_run_free(struct proc_run *r)
{
	if (!r || !r->fn)
		return; /* in its own callback: finish() frees it */
	r->fn = NULL;
	if (!r->child || r->exited) {
		run_destroy(r);
		return;
	}
	/* it is our child until it is reaped: the rest of r lives on for that */
	kill(r->pid, SIGKILL);
	for (int i = 0; i < 3; i++)
		stream_end(&r->s[i]);
	loop_timer_freep(&r->timer);
}

static void left_over(void *arg)
{
	run_destroy(arg);
}

#define FOR_EVER_MS (1000LL * 365 * 24 * 3600 * 1000)

void proc_run_forget(struct proc_run *r)
{
	r->last = loop_timer_new(r->loop, left_over, r);
	loop_timer_at_end(r->last);
	loop_timer_set(r->last, FOR_EVER_MS);
}

bool proc_ok(const struct proc_result *r)
{
	return !r->e && r->wait_status == 0;
}

/* ---- waiting ---- */

static void last_line(struct str *s)
{
	while (s->len > 0 && strchr("\r\n ", s->data[s->len - 1]))
		s->data[--s->len] = '\0';
	char *nl = s->len ? strrchr(s->data, '\n') : NULL;
	if (nl)
		str_drop_front(s, (size_t)(nl + 1 - s->data));
}

static void read_into(struct pollfd *p, struct str *text)
{
	char buf[16384];
	ssize_t n = read(p->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		p->fd = -1;
	else if (text->len + (size_t)n <= PROC_OUTPUT_MAX)
		str_addn(text, buf, (size_t)n);
}

/* Reads both until the process has ended; a full pipe on one side must not block the other. */
static void drain(int pidfd, int out, int err, struct str *out_text, struct str *err_text)
{
	struct pollfd p[3] = {
		{ .fd = out, .events = POLLIN },
		{ .fd = err, .events = POLLIN },
		{ .fd = pidfd, .events = POLLIN },
	};
	bool ended = false;
	int after = 0;

	while (after < PROC_READS_AT_EXIT) {
		int n = poll(p, 3, ended ? 0 : -1);
		after += ended;
		if (n < 0 && errno == EINTR)
			continue;
		/* ended, and nothing more in the pipes */
		if (n <= 0 || (ended && !p[0].revents && !p[1].revents))
			return;
		if (p[2].revents) {
			ended = true;
			p[2].fd = -1;
			p[2].revents = 0;
		}
		if (p[0].fd >= 0 && p[0].revents)
			read_into(&p[0], out_text);
		if (p[1].fd >= 0 && p[1].revents)
			read_into(&p[1], err_text);
	}
}

static int check_status(const char *name, int status, struct str *err_text, struct err *e)
{
	if (status == 0)
		return 0;
	last_line(err_text);
	if (WIFSIGNALED(status))
		return err_set(e, ERR_INTERNAL, "%s was killed by signal %d", name, WTERMSIG(status));
	return err_set(e, ERR_INTERNAL, "%s exited with %d%s%s", name, WEXITSTATUS(status),
		err_text->len ? ": " : "", str_cstr(err_text));
}

int proc_wait(char *const *argv, struct str *out, struct err *e)
{
	CLEANUP(str_done) struct str err_text = { 0 };
	CLEANUP(str_done) struct str unwanted = { 0 };
	int out_fds[2], err_fds[2], status;
	struct proc_spec spec = PROC_SPEC_INIT;
	pid_t pid;

	if (pipe2(out_fds, O_CLOEXEC))
		return err_sys(e, "start %s: pipe", argv[0]);
	CLEANUP(fd_closep) int out_read = out_fds[0];
	CLEANUP(fd_closep) int out_write = out_fds[1];
	if (pipe2(err_fds, O_CLOEXEC))
		return err_sys(e, "start %s: pipe", argv[0]);
	CLEANUP(fd_closep) int err_read = err_fds[0];
	CLEANUP(fd_closep) int err_write = err_fds[1];

	spec.argv = argv;
	spec.stdout_fd = out_write;
	spec.stderr_fd = err_write;
	if (proc_spawn(&spec, &pid, e))
		return -1;
	fd_closep(&out_write);
	fd_closep(&err_write);
	CLEANUP(fd_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		drain(pidfd, out_read, err_read, out ? out : &unwanted, &err_text);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "wait for %s", argv[0]);
	return check_status(argv[0], status, &err_text, e);
}

uint64_t proc_start_time(pid_t pid)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/%d/stat", (int)pid);
	CLEANUP(mem_freep) char *text = NULL;
	uint64_t v;

	if (pid <= 0 || file_read(path, PROC_STAT_MAX, &text, NULL, NULL))
		return 0;
	/* the name, field 2, may hold anything, also ") "; state, field 3, follows its last one */
	char *rest = strrchr(text, ')');
	if (!rest || rest[1] != ' ')
		return 0;
	rest += 2;
	for (int i = 3; i < 22; i++)
		str_next(&rest, ' ');
	char *field = str_next(&rest, ' ');
	return field && str_to_u64(field, &v) ? v : 0;
}
