/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/lines.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_CHUNK 16384
/* One turn reads at most this much, so that a flood leaves time for others. */
#define READ_PER_TURN (16 * READ_CHUNK)

/* Descriptors that wait to be sent with the byte at offset `at` of out. */
struct parcel {
	struct parcel *next;
	size_t at, n;
	int fds[LINES_FDS_MAX];
};

struct lines {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *fail_later; /* an error found while writing is told in the next turn */
	int fd;
	size_t line_max, out_max;
	const struct lines_ops *ops;
	void *arg;
	struct str in, out;
	struct err why;
	size_t at;  /* while lines are handed out: behind the current one */
	bool *gone; /* set when freed while a callback runs */
	bool failed;
	struct parcel *parcels;
	bool accept_fds;
	int in_fds[LINES_FDS_MAX];
	size_t n_in_fds;
};

static void parcel_free(struct parcel *p)
{
	for (size_t i = 0; i < p->n; i++)
		close(p->fds[i]);
	free(p);
}

static void lines_destroy(struct lines *s)
{
	while (s->parcels) {
		struct parcel *p = s->parcels;

		s->parcels = p->next;
		parcel_free(p);
	}
	for (size_t i = 0; i < s->n_in_fds; i++)
		close(s->in_fds[i]);
	loop_fd_free(s->watch);
	loop_timer_free(s->fail_later);
	if (s->fd >= 0)
		close(s->fd);
	str_done(&s->in);
	str_done(&s->out);
	free(s);
}

void lines_free(struct lines *s)
{
	if (!s)
		return;
	if (s->gone)
		*s->gone = true;
	lines_destroy(s);
}

static void lines_watch(struct lines *s)
{
	if (s->failed)
		loop_fd_set(s->watch, 0);
	else
		loop_fd_set(s->watch, LOOP_READ | (s->out.len ? LOOP_WRITE : 0));
}

/* Records the first failure; closed() follows from the timer, never from inside a call of the owner. */
static void lines_fail(struct lines *s, const struct err *why)
{
	if (s->failed)
		return;
	s->failed = true;
	err_copy(&s->why, why);
	loop_timer_set(s->fail_later, 0);
	lines_watch(s);
}

static void lines_fail_due(void *arg)
{
	struct lines *s = arg;
	struct err why;

	err_copy(&why, &s->why); /* closed() may free s */
	s->ops->closed(s->arg, &why);
}

/* Room for the control message, aligned as it has to be. */
union fd_room {
	char buf[CMSG_SPACE(LINES_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

/* From offset `done` up to the next descriptors; theirs go along. */
static ssize_t lines_send(struct lines *s, size_t done)
{
	struct parcel *p = s->parcels;
	bool now = p && p->at == done;
	const struct parcel *limit = now ? p->next : p;
	struct iovec v = { s->out.data + done, (limit ? limit->at : s->out.len) - done };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	union fd_room room = { 0 };
	struct cmsghdr *c;
	ssize_t n;

	if (now) {
		m.msg_control = room.buf;
		m.msg_controllen = CMSG_SPACE(p->n * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(p->n * sizeof(int));
		memcpy(CMSG_DATA(c), p->fds, p->n * sizeof(int));
	}
	n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
	if (now && n > 0) {
		s->parcels = p->next;
		parcel_free(p);
	}
	return n;
}

static void lines_flush(struct lines *s)
{
	size_t done = 0;

	while (done < s->out.len) {
		ssize_t n = lines_send(s, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			struct err e;

			err_set(&e, ERR_UNREACHABLE, "writing to the socket: %s", strerror(errno));
			lines_fail(s, &e);
			return;
		}
		done += (size_t)n;
	}
	for (struct parcel *p = s->parcels; p; p = p->next)
		p->at -= done;
	if (done == s->out.len)
		str_done(&s->out);
	else if (done)
		str_drop_front(&s->out, done);
}

void lines_write(struct lines *s, const void *data, size_t len)
{
	if (s->failed)
		return;
	str_addn(&s->out, data, len);
	lines_flush(s);
	if (s->out.len > s->out_max) {
		struct err e;

		err_set(&e, ERR_TOO_LARGE, "the peer does not read: %zu bytes unsent", s->out.len);
		lines_fail(s, &e);
	}
	if (!s->failed)
		lines_watch(s);
}

void lines_write_fds(struct lines *s, const void *data, size_t len, const int *fds, size_t n)
{
	struct parcel *p, **end = &s->parcels;

	MUST(len && n <= LINES_FDS_MAX);
	if (n) {
		p = MEM_NEW(struct parcel);
		p->at = s->out.len;
		p->n = n;
		memcpy(p->fds, fds, n * sizeof(*fds));
		if (s->failed) {
			parcel_free(p);
			return;
		}
		while (*end)
			end = &(*end)->next;
		*end = p;
	}
	lines_write(s, data, len);
}

void lines_accept_fds(struct lines *s)
{
	s->accept_fds = true;
}

int lines_next_fd(struct lines *s)
{
	int fd;

	if (!s->n_in_fds)
		return -1;
	fd = s->in_fds[0];
	memmove(s->in_fds, s->in_fds + 1, --s->n_in_fds * sizeof(fd));
	return fd;
}

size_t lines_pending(const struct lines *s)
{
	return s->out.len;
}

/* Hands out complete lines; false if s was freed meanwhile. The first `scanned` bytes hold no line end. */
static bool lines_deliver(struct lines *s, size_t scanned)
{
	bool gone = false;
	char *nl;

	s->gone = &gone;
	s->at = 0;
	/* memchr: a NUL inside a line must not hide its end */
	while (s->at < s->in.len && (nl = memchr(s->in.data + scanned, '\n', s->in.len - scanned))) {
		char *line = s->in.data + s->at;
		size_t len = (size_t)(nl - line);

		s->at += len + 1;
		scanned = s->at;
		if (len && line[len - 1] == '\r')
			len--;
		line[len] = '\0';
		s->ops->line(s->arg, line, len);
		if (gone)
			return false;
		if (s->failed)
			break;
	}
	s->gone = NULL;
	str_drop_front(&s->in, s->at);
	s->at = 0;
	if (!s->in.len)
		str_done(&s->in); /* a burst leaves no memory behind (qemu.md 16.10) */
	return true;
}

/* As recv(); what came along is kept, -1 with EMFILE if that is more than anybody takes. */
static ssize_t lines_recv(struct lines *s, void *to, size_t len)
{
	struct iovec v = { to, len };
	union fd_room room;
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room.buf, .msg_controllen = sizeof(room.buf)
	};
	bool full = false;
	ssize_t n;

	if (!s->accept_fds)
		return recv(s->fd, to, len, 0);
	n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (s->n_in_fds < LINES_FDS_MAX) {
				s->in_fds[s->n_in_fds++] = fd;
			} else {
				close(fd);
				full = true;
			}
		}
	}
	if (!full)
		return n;
	errno = EMFILE;
	return -1;
}

static void lines_read(struct lines *s)
{
	size_t total = 0;

	while (total < READ_PER_TURN && !s->failed) {
		size_t scanned = s->in.len;
		ssize_t n;

		str_reserve(&s->in, READ_CHUNK);
		n = lines_recv(s, s->in.data + s->in.len, READ_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (!s->in.len)
				str_done(&s->in);
			return;
		}
		if (n <= 0) {
			struct err e;

			err_set(&e, ERR_UNREACHABLE,
				n ? "the socket failed: %s" : "the other end closed the connection%s",
				n ? strerror(errno) : "");
			lines_fail(s, &e);
			return;
		}
		total += (size_t)n;
		s->in.len += (size_t)n;
		s->in.data[s->in.len] = '\0';
		if (!lines_deliver(s, scanned))
			return;
		if (s->in.len > s->line_max) {
			struct err e;

			err_set(&e, ERR_TOO_LARGE, "a line of more than %zu bytes", s->line_max);
			lines_fail(s, &e);
		}
		if (n < READ_CHUNK)
			return;
	}
}

static void lines_io(void *arg, int what)
{
	struct lines *s = arg;

	if (what & LOOP_WRITE) {
		lines_flush(s);
		if (!s->failed)
			lines_watch(s);
	}
	if ((what & LOOP_READ) && !s->failed)
		lines_read(s); /* may free s */
}

struct lines *lines_new(
	struct loop *l, int fd, size_t line_max, size_t out_max, const struct lines_ops *ops, void *arg)
{
	struct lines *s = MEM_NEW(struct lines);

	s->loop = l;
	s->fd = fd;
	s->line_max = line_max;
	s->out_max = out_max;
	s->ops = ops;
	s->arg = arg;
	s->fail_later = loop_timer_new(l, lines_fail_due, s);
	s->watch = loop_fd_new(l, fd, LOOP_READ, lines_io, s);
	return s;
}

int lines_take_fd(struct lines *s, struct str *rest)
{
	int fd = s->fd;

	lines_flush(s);
	if (s->in.len > s->at)
		str_addn(rest, s->in.data + s->at, s->in.len - s->at);
	s->fd = -1;
	lines_free(s);
	return fd;
}

pid_t lines_peer(const struct lines *s)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);

	if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return -1;
	return who.pid;
}

static int unix_addr(const char *path, struct sockaddr_un *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (!str_copy(ret->sun_path, sizeof(ret->sun_path), path))
		return err_set(e, ERR_TOO_LARGE, "socket path \"%s\" is longer than %zu bytes", path,
			sizeof(ret->sun_path) - 1);
	return 0;
}

int unix_connect(const char *path, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	struct sockaddr_un a;

	if (unix_addr(path, &a, e) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno == ENOENT)
			return err_set(e, ERR_NOT_FOUND, "no socket \"%s\"", path);
		return err_set(e, ERR_UNREACHABLE, "connecting to \"%s\": %s", path, strerror(errno));
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int unix_listen(const char *path, mode_t mode, int backlog, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	struct sockaddr_un a;

	if (unix_addr(path, &a, e) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, "removing the old \"%s\"", path);
	/* bind() gives the new file the socket's own mode (less the umask): no moment in which others may connect. */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(path, mode) < 0 ||
		listen(fd, backlog) < 0)
		return err_sys(e, "listening on \"%s\"", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
