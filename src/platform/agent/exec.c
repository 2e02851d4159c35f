/* SPDX-License-Identifier: Apache-2.0 */
/* pods/exec (kubernetes-api.md 2.9): a program in a running container. Its streams are pipes or a terminal of ours; the client's
 * are behind chans.h, whichever way it came. */
#include "platform/agent/chans.h"
#include "platform/agent/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK 32768
#define STDIN_MAX (1 << 20) /* unread by the program: then the client has to wait */
#define COMMAND_MAX 1024

struct out {
	struct exec_session *x;
	int fd;
	enum chan to;
	struct loop_fd *watch;
};
struct exec_session {
	struct served served;
	struct agent *agent;
	struct chans *chans; /* NULL: the client has gone */
	struct chans_want want;
	struct strv argv;
	struct loop_child *child;
	pid_t pid; /* 0: not started */
	int wait_status;
	bool ended;
	struct out out[2];
	int in_fd; /* stdin, or the terminal */
	struct loop_fd *in_watch;
	struct str in;
	bool in_over;
	struct winsize size;
};

static void in_close(struct exec_session *x)
{
	loop_fd_free(TAKE(x->in_watch));
	fd_closep(&x->in_fd);
	x->in_fd = -1;
}

static void out_close(struct out *o)
{
	loop_fd_free(TAKE(o->watch));
	fd_closep(&o->fd);
	o->fd = -1;
}

static void exec_free(struct exec_session *x)
{
	served_remove(&x->served);
	loop_child_free(x->child);
	in_close(x);
	out_close(&x->out[0]);
	out_close(&x->out[1]);
	strv_done(&x->argv);
	str_done(&x->in);
	free(x);
}

static void stop(struct served *s)
{
	struct exec_session *x = (struct exec_session *)s;

	if (x->pid && !x->ended)
		kill(x->pid, SIGKILL);
	if (x->chans)
		chans_fail(x->chans, "the node agent is shutting down");
	exec_free(x);
}

/* ---- the end ---- */
static void look_for_end(struct exec_session *x)
{
	int code;

	if (!x->ended || x->out[0].fd >= 0 || x->out[1].fd >= 0)
		return;
	code = WIFEXITED(x->wait_status) ? WEXITSTATUS(x->wait_status) : 128 + WTERMSIG(x->wait_status);
	chans_end(TAKE(x->chans), code);
	exec_free(x);
}

static void child_ended(void *arg, pid_t pid, int wait_status)
{
	struct exec_session *x = arg;

	x->ended = true;
	if (!x->chans) {
		exec_free(x);
		return;
	}
	x->wait_status = wait_status;
	loop_child_free(TAKE(x->child));
	if (x->want.tty)
		in_close(x);
	look_for_end(x);
}

/* ---- output ---- */
static void read_on(struct exec_session *x, int what)
{
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		if (x->out[i].watch)
			loop_fd_set(x->out[i].watch, what);
}

static void out_ready(void *arg, int what)
{
	struct out *o = arg;
	struct exec_session *x = o->x;
	char buf[CHUNK];
	ssize_t n = read(o->fd, buf, sizeof(buf));

	if (n > 0) {
		chans_send(x->chans, o->to, buf, (size_t)n);
		if (chans_pending(x->chans) > CHANS_UNSENT_MAX)
			read_on(x, 0);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	out_close(o); /* a terminal ends with EIO */
	look_for_end(x);
}

static void drained(void *arg)
{
	struct exec_session *x = arg;

	if (chans_pending(x->chans) <= CHANS_UNSENT_MAX)
		read_on(x, LOOP_READ);
}

/* ---- input ---- */
static void in_pump(struct exec_session *x)
{
	while (x->in_fd >= 0 && x->in.len) {
		ssize_t n = write(x->in_fd, x->in.data, x->in.len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			in_close(x);
			break;
		}
		str_drop_front(&x->in, (size_t)n);
	}
	if (x->in_fd < 0 && x->pid)
		str_clear(&x->in);
	if (x->in_fd >= 0 && !x->in.len && x->in_over && !x->want.tty)
		in_close(x);
	if (x->in_watch)
		loop_fd_set(x->in_watch, x->in.len ? LOOP_WRITE : 0);
	chans_pause(x->chans, x->in.len > STDIN_MAX);
}

static void in_ready(void *arg, int what)
{
	in_pump(arg);
}

static void input(void *arg, const void *data, size_t len)
{
	struct exec_session *x = arg;

	if (x->in_over || (x->pid && x->in_fd < 0))
		return;
	str_addn(&x->in, data, len);
	in_pump(x);
}

static void input_end(void *arg)
{
	struct exec_session *x = arg;

	x->in_over = true;
	in_pump(x);
}

static void set_size(struct exec_session *x)
{
	/* The runtime has no controlling terminal that would tell it. */
	if (x->want.tty && x->in_fd >= 0 && x->size.ws_col && ioctl(x->in_fd, TIOCSWINSZ, &x->size) == 0 &&
		x->pid && !x->ended)
		kill(x->pid, SIGWINCH);
}

static void resize(void *arg, int columns, int rows)
{
	struct exec_session *x = arg;

	x->size = (struct winsize){ .ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows };
	set_size(x);
}

/* Who hung up can not see the rest: the runtime goes, and is waited for. */
static void closed(void *arg)
{
	struct exec_session *x = arg;

	x->chans = NULL;
	if (!x->pid || x->ended) {
		exec_free(x);
		return;
	}
	kill(x->pid, SIGKILL);
	in_close(x);
	out_close(&x->out[0]);
	out_close(&x->out[1]);
}

/* ---- starting ---- */
struct stdio {
	int in[2], out[2], err[2]; /* theirs, ours */
};

static int open_terminal(int *ret_master, int *ret_slave, struct err *e)
{
	char name[64];
	int m = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (m < 0 || grantpt(m) < 0 || unlockpt(m) < 0 || ptsname_r(m, name, sizeof(name)) != 0 ||
		(*ret_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		err_sys(e, "opening a terminal");
		fd_closep(&m);
		return -1;
	}
	*ret_master = m;
	return 0;
}

static int open_pipe(int *ret_read, int *ret_write, bool we_read, struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	*ret_read = p[0];
	*ret_write = p[1];
	fcntl(p[!we_read], F_SETFL, O_NONBLOCK);
	return 0;
}

static int open_stdio(const struct chans_want *want, struct stdio *s, struct err *e)
{
	*s = (struct stdio){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (want->tty) {
		if (open_terminal(&s->in[1], &s->in[0], e) < 0)
			return -1;
		s->out[1] = fcntl(s->in[1], F_DUPFD_CLOEXEC, 3);
		return s->out[1] < 0 ? err_sys(e, "terminal") : 0;
	}
	if ((want->in && open_pipe(&s->in[0], &s->in[1], false, e) < 0) ||
		(want->out && open_pipe(&s->out[1], &s->out[0], true, e) < 0) ||
		(want->err && open_pipe(&s->err[1], &s->err[0], true, e) < 0))
		return -1;
	return 0;
}

static void close_stdio(struct stdio *s, bool ours)
{
	fd_closep(&s->in[0]);
	fd_closep(&s->out[0]);
	fd_closep(&s->err[0]);
	if (!ours)
		return;
	fd_closep(&s->in[1]);
	fd_closep(&s->out[1]);
	fd_closep(&s->err[1]);
}

static int spawn(struct exec_session *x, const struct stdio *s, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_INIT;

	spec.argv = strv_argv(&x->argv);
	spec.stdin_fd = s->in[0];
	spec.stdout_fd = x->want.tty ? s->in[0] : s->out[0];
	spec.stderr_fd = x->want.tty ? s->in[0] : s->err[0];
	spec.new_session = true;
	return proc_spawn(&spec, &x->pid, e);
}

static void watch_out(struct exec_session *x, int i, int fd, enum chan to)
{
	x->out[i] = (struct out){ x, fd, to, NULL };
	if (fd >= 0)
		x->out[i].watch = loop_fd_new(x->agent->loop, fd, LOOP_READ, out_ready, &x->out[i]);
}

static void ready(void *arg)
{
	struct exec_session *x = arg;
	struct err e = { 0 };
	struct stdio s;

	if (open_stdio(&x->want, &s, &e) < 0) {
		close_stdio(&s, true);
		chans_fail(TAKE(x->chans), "%s", e.msg);
		exec_free(x);
		return;
	}
	x->in_fd = s.in[1];
	set_size(x);
	if (spawn(x, &s, &e) < 0) {
		x->in_fd = -1;
		close_stdio(&s, true);
		chans_fail(TAKE(x->chans), "%s", e.msg);
		exec_free(x);
		return;
	}
	close_stdio(&s, false);
	watch_out(x, 0, s.out[1], CHAN_STDOUT);
	watch_out(x, 1, s.err[1], CHAN_STDERR);
	x->child = loop_child_new(x->agent->loop, x->pid, child_ended, x);
	if (x->in_fd >= 0)
		x->in_watch = loop_fd_new(x->agent->loop, x->in_fd, 0, in_ready, x);
	in_pump(x);
}

/* false: nothing to run, or more than we take. */
static bool command(const struct ctr *c, struct http_req *r, bool tty, struct strv *ret)
{
	const struct runtime *rt = &c->pod->agent->runtime;
	CLEANUP(mem_freep) char *id = ctr_id(c, c->attempt);
	const char *name, *value;
	size_t n = 0;

	strv_add(ret, rt->path);
	strv_addf(ret, "--root=%s", rt->root);
	strv_add(ret, "exec");
	if (tty)
		strv_add(ret, "--tty");
	strv_add(ret, id);
	for (size_t i = 0; http_req_query_each(r, &i, &name, &value);)
		if (str_eq(name, "command") && n++ < COMMAND_MAX)
			strv_add(ret, value);
	return n > 0 && n <= COMMAND_MAX;
}

void serve_exec(struct agent *a, const struct obj *pod, struct http_req *r)
{
	static const struct chans_ops ops = { ready, input, input_end, resize, drained, closed };
	struct ctr *c = serve_container(a, pod, r);
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct chans_want want;
	struct exec_session *x;

	if (!c || !chans_want(r, &want))
		return;
	if (!command(c, r, want.tty, &argv)) {
		serve_error(r, ERR_BAD_REQUEST, "you must specify at least 1 command for the container");
		return;
	}
	if (c->state != CTR_RUNNING) {
		serve_error(r, ERR_INTERNAL, "unable to upgrade connection: container not found (\"%s\")",
			c->name);
		return;
	}
	x = MEM_NEW(struct exec_session);
	x->chans = chans_accept(a->loop, r, &want, &ops, x);
	if (!x->chans) {
		free(x);
		return;
	}
	x->agent = a;
	x->want = want;
	x->argv = argv;
	argv = (struct strv){ 0 };
	x->in_fd = x->out[0].fd = x->out[1].fd = -1;
	served_add(a, &x->served, stop);
}
