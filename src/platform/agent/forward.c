/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/forward.h"

#include "base/http_parse.h"
#include "base/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 32768

struct forward {
	struct loop *loop;
	const struct forward_ops *ops;
	void *arg;
	char *netns; /* NULL: the host's */
	int port, fd;
	struct loop_fd *watch;
	struct loop_timer *timer; /* connecting; telling a failure */
	bool v6, connected, end_wanted, ended, peer_ended, paused;
	struct str out;
	char why[128];
};

static void drop_fd(struct forward *f)
{
	loop_fd_free(TAKE(f->watch));
	fd_closep(&f->fd);
	f->fd = -1;
}

void forward_free(struct forward *f)
{
	if (!f)
		return;
	drop_fd(f);
	loop_timer_free(f->timer);
	str_done(&f->out);
	free(f->netns);
	free(f);
}

/* Told in a later turn. */
static void fail(struct forward *f, const char *why)
{
	drop_fd(f);
	str_copy(f->why, sizeof(f->why), why);
	loop_timer_set(f->timer, 0);
}

static void timer_rings(void *arg)
{
	struct forward *f = arg;

	if (f->connected || f->why[0]) {
		f->ops->failed(f->arg, f->why);
		return;
	}
	drop_fd(f);
	f->ops->failed(f->arg, "connection timed out");
}

static void watch(struct forward *f)
{
	int what = f->paused || f->peer_ended ? 0 : LOOP_READ;

	if (f->watch)
		loop_fd_set(f->watch, f->connected ? what | (f->out.len ? LOOP_WRITE : 0) : LOOP_WRITE);
}

/* ---- connected ---- */
static void push(struct forward *f)
{
	while (f->out.len) {
		ssize_t n = send(f->fd, f->out.data, f->out.len, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			fail(f, strerror(errno));
			return;
		}
		str_drop_front(&f->out, (size_t)n);
	}
	if (!f->out.len && f->end_wanted && !f->ended) {
		f->ended = true;
		shutdown(f->fd, SHUT_WR);
	}
	watch(f);
}

static void pull(struct forward *f)
{
	char buf[CHUNK];
	ssize_t n = recv(f->fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		f->ops->data(f->arg, buf, (size_t)n);
		return;
	}
	f->peer_ended = true;
	if (n < 0) {
		fail(f, strerror(errno));
		return;
	}
	watch(f);
	f->ops->end(f->arg);
}

static void on_fd(void *arg, int what)
{
	struct forward *f = arg;
	bool unsent = f->out.len > 0;

	if (what & LOOP_WRITE) {
		push(f);
		if (unsent && !f->out.len) {
			f->ops->drained(f->arg);
			return; /* reading is told again */
		}
	}
	if ((what & LOOP_READ) && f->fd >= 0 && !f->paused && !f->peer_ended)
		pull(f);
}

/* ---- connecting ---- */
static int dial(struct forward *f);

static void on_connect(void *arg, int what)
{
	struct forward *f = arg;
	int n = 0;
	socklen_t len = sizeof(n);

	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &n, &len) < 0)
		n = errno;
	loop_fd_free(TAKE(f->watch));
	if (n && !f->v6) {
		drop_fd(f);
		f->v6 = true;
		if (dial(f) == 0)
			return;
	}
	if (n) {
		if (!f->why[0])
			fail(f, strerror(n));
		return;
	}
	loop_timer_stop(f->timer);
	f->connected = true;
	f->watch = loop_fd_new(f->loop, f->fd, 0, on_fd, f);
	push(f);
}

static int dial(struct forward *f)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)f->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const void *to = f->v6 ? (void *)&v6 : (void *)&v4;
	struct err e = { 0 };

	f->fd = net_socket_in(f->netns, f->v6 ? AF_INET6 : AF_INET, &e);
	if (f->fd < 0)
		return -1;
	if (connect(f->fd, to, f->v6 ? sizeof(v6) : sizeof(v4)) < 0 && errno != EINPROGRESS) {
		fd_closep(&f->fd);
		f->fd = -1;
		return -1;
	}
	f->watch = loop_fd_new(f->loop, f->fd, LOOP_WRITE, on_connect, f);
	return 0;
}

struct forward *forward_new(
	struct agent *a, const struct pod *p, int port, const struct forward_ops *ops, void *arg)
{
	struct forward *f = MEM_NEW(struct forward);

	f->loop = a->loop;
	f->ops = ops;
	f->arg = arg;
	f->netns = pod_host_network(p) ? NULL : file_join(p->dir, "netns");
	f->port = port;
	f->fd = -1;
	f->timer = loop_timer_new(a->loop, timer_rings, f);
	loop_timer_set(f->timer, FORWARD_CONNECT_MS);
	if (dial(f) < 0)
		fail(f, strerror(errno));
	return f;
}

void forward_write(struct forward *f, const void *data, size_t len)
{
	if (f->why[0] || f->end_wanted)
		return;
	str_addn(&f->out, data, len);
	if (f->connected)
		push(f);
}

void forward_end(struct forward *f)
{
	f->end_wanted = true;
	if (f->connected && f->fd >= 0)
		push(f);
}

size_t forward_pending(const struct forward *f)
{
	return f->out.len;
}

void forward_pause(struct forward *f, bool paused)
{
	f->paused = paused;
	watch(f);
}

/* ---- the request ---- */
void serve_port_forward(struct agent *a, const struct obj *pod, struct http_req *r)
{
	const char *to = http_req_header(r, "Upgrade"),
		   *offered = http_req_header(r, "Sec-WebSocket-Protocol");
	struct pod *p = keymap_get(&a->by_uid, obj_uid(pod));

	if (!p || p->finished || (!pod_host_network(p) && !p->net_ready))
		serve_error(r, ERR_BAD_REQUEST,
			"unable to forward port because pod is not running. Current status=%s",
			p ? pod_phase(p) : "Unknown");
	else if (ws_wanted(r) && offered && http_list_has(offered, "SPDY/3.1+portforward.k8s.io"))
		forward_serve_tunnel(a, p, r);
	else if (ws_wanted(r))
		forward_serve_channels(a, p, r);
	else if (http_req_wants_upgrade(r) && to && http_list_has(to, "SPDY/3.1"))
		forward_serve_spdy(a, p, r);
	else
		serve_error(r, ERR_BAD_REQUEST, "Upgrade request required");
}
