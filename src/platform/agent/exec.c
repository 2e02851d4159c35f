/* SPDX-License-Identifier: Apache-2.0 */
/* pods/exec over WebSocket (v5.channel.k8s.io, v4.channel.k8s.io; kubernetes-api.md 2.9): a program in a running container, its
 * streams as channels: 0 stdin, 1 stdout, 2 stderr, 3 the end as a Status, 4 terminal size, 255 closing (v5). */
#include "platform/agent/serve.h"

#include "base/ws.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK 32768
#define UNSENT_MAX (1 << 20)
#define STDIN_MAX (1 << 20) /* unread by the program: then the client has to wait */
#define COMMAND_MAX 1024
enum { CH_STDIN, CH_STDOUT, CH_STDERR, CH_ERROR, CH_RESIZE, CH_CLOSE = 255 };

struct out {
	struct exec_session *x;
	int fd, channel;
	struct loop_fd *watch;
};
struct exec_session {
	struct agent *agent;
	struct exec_session *next;
	struct ws *ws;
	struct loop_child *child;
	pid_t pid;
	int wait_status;
	bool ended, tty, left; /* left: the client has gone */
	struct out out[2];
	int in_fd; /* stdin, or the terminal */
	struct loop_fd *in_watch;
	struct str in;
	bool in_over;
};

static void in_close(struct exec_session *x)
{
	loop_fd_free(x->in_watch);
	x->in_watch = NULL;
	fd_closep(&x->in_fd);
	x->in_fd = -1;
}

static void out_close(struct out *o)
{
	loop_fd_free(o->watch);
	o->watch = NULL;
	fd_closep(&o->fd);
	o->fd = -1;
}

static void exec_free(struct exec_session *x)
{
	for (struct exec_session **at = &x->agent->execs; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	loop_child_free(x->child);
	in_close(x);
	out_close(&x->out[0]);
	out_close(&x->out[1]);
	str_done(&x->in);
	free(x);
}

void exec_free_all(struct agent *a)
{
	while (a->execs) {
		struct exec_session *x = a->execs;

		if (!x->ended)
			kill(x->pid, SIGKILL);
		if (!x->left)
			ws_close(x->ws, 1001);
		exec_free(x);
	}
}

static void send_on(struct exec_session *x, int channel, const void *data, size_t len)
{
	CLEANUP(str_done) struct str frame = { 0 };

	str_addc(&frame, (char)channel);
	str_addn(&frame, data, len);
	ws_send(x->ws, WS_BINARY, frame.data, frame.len);
}

/* ---- the end ---- */
static void tell_end(struct exec_session *x)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(mem_freep) char *text = NULL;
	int code = WIFEXITED(x->wait_status) ? WEXITSTATUS(x->wait_status) : 128 + WTERMSIG(x->wait_status);
	struct json *cause;
	size_t len;

	if (code == 0) {
		d = json_lit("{'metadata':{},'status':'Success'}");
	} else {
		d = json_lit("{'metadata':{},'status':'Failure','reason':'NonZeroExitCode','details':{'"
			     "causes':[{'reason':'ExitCode'}]}}");
		json_set_strf(d, json_root(d), "message",
			"command terminated with non-zero exit code: exit status %d", code);
		cause = json_at(json_root(d), "/details/causes/0");
		json_set_strf(d, cause, "message", "%d", code);
	}
	text = json_write(json_root(d), &len);
	send_on(x, CH_ERROR, text, len);
}

static void look_for_end(struct exec_session *x)
{
	struct ws *ws = x->ws;

	if (!x->ended || x->out[0].fd >= 0 || x->out[1].fd >= 0)
		return;
	tell_end(x);
	exec_free(x);
	ws_close(ws, 1000);
}

static void child_ended(void *arg, pid_t pid, int wait_status)
{
	struct exec_session *x = arg;

	x->ended = true;
	if (x->left) {
		exec_free(x);
		return;
	}
	x->wait_status = wait_status;
	loop_child_free(TAKE(x->child));
	if (x->tty)
		in_close(x);
	look_for_end(x);
}

/* ---- output ---- */
static void out_ready(void *arg, int what)
{
	struct out *o = arg;
	struct exec_session *x = o->x;
	char buf[CHUNK];
	ssize_t n = read(o->fd, buf, sizeof(buf));

	if (n > 0) {
		send_on(x, o->channel, buf, (size_t)n);
		if (ws_pending(x->ws) > UNSENT_MAX) {
			loop_fd_set(x->out[0].watch ? x->out[0].watch : o->watch, 0);
			if (x->out[1].watch)
				loop_fd_set(x->out[1].watch, 0);
		}
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

	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		if (x->out[i].watch)
			loop_fd_set(x->out[i].watch, LOOP_READ);
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
	if (x->in_fd >= 0 && !x->in.len && x->in_over && !x->tty)
		in_close(x);
	if (x->in_watch)
		loop_fd_set(x->in_watch, x->in.len ? LOOP_WRITE : 0);
	ws_pause(x->ws, x->in_fd >= 0 && x->in.len > STDIN_MAX);
}

static void in_ready(void *arg, int what)
{
	in_pump(arg);
}

static void resize(struct exec_session *x, const char *text, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(text, len, NULL);
	struct winsize w = { 0 };

	if (!x->tty || !d || x->in_fd < 0)
		return;
	w.ws_col = (unsigned short)json_i64(json_get(json_root(d), "Width"));
	w.ws_row = (unsigned short)json_i64(json_get(json_root(d), "Height"));
	/* The runtime has no controlling terminal that would tell it. */
	if (ioctl(x->in_fd, TIOCSWINSZ, &w) == 0 && !x->ended)
		kill(x->pid, SIGWINCH);
}

static void message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct exec_session *x = arg;
	const unsigned char *p = data;

	if (!len)
		return;
	if (p[0] == CH_STDIN && x->in_fd >= 0) {
		str_addn(&x->in, (const char *)p + 1, len - 1);
		in_pump(x);
	} else if (p[0] == CH_RESIZE) {
		resize(x, (const char *)p + 1, len - 1);
	} else if (p[0] == CH_CLOSE && len == 2 && p[1] == CH_STDIN) {
		x->in_over = true;
		in_pump(x);
	}
}

/* Who hung up can not see the rest: the program goes, and is waited for. */
static void closed(void *arg, const struct err *e)
{
	struct exec_session *x = arg;

	x->left = true;
	if (x->ended) {
		exec_free(x);
		return;
	}
	kill(x->pid, SIGKILL);
	in_close(x);
	out_close(&x->out[0]);
	out_close(&x->out[1]);
}

/* ---- starting ---- */
static bool is_true(struct http_req *r, const char *name)
{
	const char *text = http_req_query(r, name);

	return str_eq(text, "true") || str_eq(text, "1");
}

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

struct stdio {
	int in[2], out[2], err[2]; /* theirs, ours */
};

static int open_stdio(struct http_req *r, bool tty, struct stdio *s, struct err *e)
{
	int p[2];

	*s = (struct stdio){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (tty) {
		if (open_terminal(&s->in[1], &s->in[0], e) < 0)
			return -1;
		s->out[1] = fcntl(s->in[1], F_DUPFD_CLOEXEC, 3);
		return s->out[1] < 0 ? err_sys(e, "terminal") : 0;
	}
	if (is_true(r, "stdin")) {
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_sys(e, "pipe");
		s->in[0] = p[0];
		s->in[1] = p[1];
		fcntl(p[1], F_SETFL, O_NONBLOCK);
	}
	for (int i = 0; i < 2; i++) {
		int *to = i ? s->err : s->out;

		if (!is_true(r, i ? "stderr" : "stdout"))
			continue;
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_sys(e, "pipe");
		to[0] = p[1];
		to[1] = p[0];
		fcntl(p[0], F_SETFL, O_NONBLOCK);
	}
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

static int spawn(
	struct ctr *c, struct http_req *r, bool tty, const struct stdio *s, pid_t *ret, struct err *e)
{
	const struct runtime *rt = &c->pod->agent->runtime;
	CLEANUP(mem_freep) char *id = ctr_id(c, c->attempt);
	struct proc_spec spec = PROC_SPEC_INIT;
	struct strv argv = { 0 };
	const char *name, *value;
	size_t n = 0;
	int rc;

	strv_add(&argv, rt->path);
	strv_addf(&argv, "--root=%s", rt->root);
	strv_add(&argv, "exec");
	if (tty)
		strv_add(&argv, "--tty");
	strv_add(&argv, id);
	for (size_t i = 0; http_req_query_each(r, &i, &name, &value) && n < COMMAND_MAX;)
		if (str_eq(name, "command")) {
			strv_add(&argv, value);
			n++;
		}
	spec.argv = strv_argv(&argv);
	spec.stdin_fd = s->in[0];
	spec.stdout_fd = tty ? s->in[0] : s->out[0];
	spec.stderr_fd = tty ? s->in[0] : s->err[0];
	spec.new_session = true;
	rc = n ? proc_spawn(&spec, ret, e)
	       : err_set(e, ERR_BAD_REQUEST, "you must specify at least 1 command for the container");
	strv_done(&argv);
	return rc;
}

static void watch_out(struct exec_session *x, int i, int fd, int channel)
{
	x->out[i] = (struct out){ x, fd, channel, NULL };
	if (fd >= 0)
		x->out[i].watch = loop_fd_new(x->agent->loop, fd, LOOP_READ, out_ready, &x->out[i]);
}

void serve_exec(struct agent *a, const struct obj *pod, struct http_req *r)
{
	static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
	static const struct ws_ops ops = { message, closed, drained };
	struct ctr *c = serve_container(a, pod, r);
	bool tty = is_true(r, "tty");
	struct exec_session *x;
	struct stdio s;
	struct err e = { 0 };
	struct ws *ws;
	pid_t pid;

	if (!c)
		return;
	if (c->state != CTR_RUNNING) {
		serve_error(r, ERR_INTERNAL, "container not found (\"%s\"): it is not running", c->name);
		return;
	}
	if (!ws_wanted(r)) {
		serve_error(r, ERR_BAD_REQUEST,
			"exec needs a WebSocket with protocol v5.channel.k8s.io or v4.channel.k8s.io");
		return;
	}
	if (open_stdio(r, tty, &s, &e) < 0 || spawn(c, r, tty, &s, &pid, &e) < 0) {
		close_stdio(&s, true);
		serve_error(r, e.code, "%s", e.msg);
		return;
	}
	close_stdio(&s, false);
	ws = ws_accept(r, protocols, NULL, &e);
	x = MEM_NEW(struct exec_session);
	x->agent = a;
	x->next = a->execs;
	a->execs = x;
	x->ws = ws;
	x->pid = pid;
	x->tty = tty;
	x->in_fd = s.in[1];
	watch_out(x, 0, s.out[1], CH_STDOUT);
	watch_out(x, 1, s.err[1], CH_STDERR);
	x->child = loop_child_new(a->loop, pid, child_ended, x);
	if (!ws) {
		closed(x, NULL);
		serve_error(r, e.code, "%s", e.msg);
		return;
	}
	if (x->in_fd >= 0)
		x->in_watch = loop_fd_new(a->loop, x->in_fd, 0, in_ready, x);
	ws_start(ws, &ops, x);
}

void serve_attach(struct agent *a, const struct obj *pod, struct http_req *r)
{
	serve_error(r, ERR_NOT_IMPLEMENTED, "attach is not built in: use exec, or logs --follow");
}

void serve_port_forward(struct agent *a, const struct obj *pod, struct http_req *r)
{
	serve_error(r, ERR_NOT_IMPLEMENTED,
		"port-forward is not built in: pod addresses can be reached from this host");
}
