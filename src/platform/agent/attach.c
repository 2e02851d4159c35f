/* SPDX-License-Identifier: Apache-2.0 */
/* pods/attach (kubernetes-api.md 2.9): the main process of a container, through its shim, which copies the output from now on and
 * takes what is typed. Packets as coracle-shim.c describes them. */
#include "platform/agent/chans.h"
#include "platform/agent/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PACKET_MAX 16384 /* of the shim's, without the first byte */
#define STDIN_MAX (1 << 20)

enum { TO_STDIN = 0, FROM_STDOUT = 1, FROM_STDERR = 2, TO_SIZE = 4, TO_FEED = 5, TO_STDIN_END = 255 };

struct attach_session {
	struct served served;
	struct agent *agent;
	struct chans *chans;
	struct chans_want want;
	int fd;
	struct loop_fd *watch; /* NULL until begun */
	struct str in;
	bool in_over, holding; /* holding: the client is slow, nothing is read for it */
	unsigned char size[5]; /* packet to send; size[0] 0: none */
};

static void attach_free(struct attach_session *x)
{
	served_remove(&x->served);
	loop_fd_free(x->watch);
	fd_closep(&x->fd);
	str_done(&x->in);
	free(x);
}

static void stop(struct served *s)
{
	struct attach_session *x = (struct attach_session *)s;

	chans_fail(x->chans, "the node agent is shutting down");
	attach_free(x);
}

static void closed(void *arg)
{
	attach_free(arg);
}

/* ---- what is typed ---- */
/* false: not now */
static bool send_packet(struct attach_session *x, unsigned char kind, const void *data, size_t len)
{
	struct iovec v[2] = { { &kind, 1 }, { (void *)data, len } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = len ? 2 : 1 };

	/* A shim that has gone is seen by reading. */
	return sendmsg(x->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || (errno != EAGAIN && errno != EINTR);
}

static void in_pump(struct attach_session *x)
{
	bool ok = true;
	size_t n;

	if (!x->watch)
		return;
	if (x->size[0] && (ok = send_packet(x, x->size[0], x->size + 1, sizeof(x->size) - 1)))
		x->size[0] = 0;
	while (ok && x->in.len) {
		n = x->in.len < PACKET_MAX ? x->in.len : PACKET_MAX;
		ok = send_packet(x, TO_STDIN, x->in.data, n);
		if (ok)
			str_drop_front(&x->in, n);
	}
	if (ok && x->in_over) {
		ok = send_packet(x, TO_STDIN_END, NULL, 0);
		x->in_over = !ok;
	}
	loop_fd_set(x->watch, (x->holding ? 0 : LOOP_READ) | (ok ? 0 : LOOP_WRITE));
	chans_pause(x->chans, x->in.len > STDIN_MAX);
}

static void input(void *arg, const void *data, size_t len)
{
	struct attach_session *x = arg;

	str_addn(&x->in, data, len);
	in_pump(x);
}

static void input_end(void *arg)
{
	struct attach_session *x = arg;

	x->in_over = true;
	in_pump(x);
}

static void resize(void *arg, int columns, int rows)
{
	struct attach_session *x = arg;

	x->size[0] = TO_SIZE;
	x->size[1] = (unsigned char)columns;
	x->size[2] = (unsigned char)(columns >> 8);
	x->size[3] = (unsigned char)rows;
	x->size[4] = (unsigned char)(rows >> 8);
	in_pump(x);
}

/* ---- output ---- */
static void drained(void *arg)
{
	struct attach_session *x = arg;

	if (!x->holding || chans_pending(x->chans) > CHANS_UNSENT_MAX)
		return;
	x->holding = false;
	in_pump(x);
}

static void out_ready(struct attach_session *x)
{
	char p[PACKET_MAX + 1];
	ssize_t n = recv(x->fd, p, sizeof(p), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* the container has ended */
		chans_end(TAKE(x->chans), 0);
		attach_free(x);
		return;
	}
	if (p[0] == FROM_STDOUT && x->want.out)
		chans_send(x->chans, CHAN_STDOUT, p + 1, (size_t)n - 1);
	else if (p[0] == FROM_STDERR && (x->want.err || x->want.tty))
		chans_send(x->chans, x->want.err ? CHAN_STDERR : CHAN_STDOUT, p + 1, (size_t)n - 1);
	if (chans_pending(x->chans) > CHANS_UNSENT_MAX) {
		x->holding = true;
		in_pump(x);
	}
}

static void on_shim(void *arg, int what)
{
	struct attach_session *x = arg;

	if (what & LOOP_WRITE)
		in_pump(x);
	if (what & LOOP_READ)
		out_ready(x);
}

/* ---- starting ---- */
static void ready(void *arg)
{
	struct attach_session *x = arg;

	x->watch = loop_fd_new(x->agent->loop, x->fd, LOOP_READ, on_shim, x);
	in_pump(x);
}

static int connect_shim(const struct ctr *c, struct err *e)
{
	CLEANUP(fd_closep) int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* the path may be longer than an address can be */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/attach", dir);
	if (fd < 0 || dir < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err_sys(e, "attaching to container %s (was it started by an older version?)", c->name);
		fd_closep(&fd);
		return -1;
	}
	return fd;
}

void serve_attach(struct agent *a, const struct obj *pod, struct http_req *r)
{
	static const struct chans_ops ops = { ready, input, input_end, resize, drained, closed };
	struct ctr *c = serve_container(a, pod, r);
	struct attach_session *x;
	struct chans_want want;
	struct err e = { 0 };
	int fd;

	if (!c || !chans_want(r, &want))
		return;
	if (c->state != CTR_RUNNING || !c->dir) {
		serve_error(r, ERR_INTERNAL, "unable to upgrade connection: container %s not found in pod %s",
			c->name, obj_name(pod));
		return;
	}
	if ((fd = connect_shim(c, &e)) < 0) {
		serve_error(r, ERR_INTERNAL, "%s", e.msg);
		return;
	}
	x = MEM_NEW(struct attach_session);
	x->chans = chans_accept(a->loop, r, &want, &ops, x);
	if (!x->chans) {
		fd_closep(&fd);
		free(x);
		return;
	}
	x->agent = a;
	x->want = want;
	x->fd = fd;
	if (want.in)
		send_packet(x, TO_FEED, NULL, 0);
	served_add(a, &x->served, stop);
}
