/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_io.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DIAL_ADDRS_MAX 4

struct dial_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

/* Shared with the resolving thread; the last of the two to let go frees it. */
struct resolve {
	atomic_int refs;
	char *host;
	int port, done_fd;
	int rc; /* of getaddrinfo() */
	struct dial_addr addrs[DIAL_ADDRS_MAX];
	size_t n;
};

struct http_dial {
	struct loop *loop;
	http_dial_fn *fn;
	void *arg;
	char *host, *what;
	int port;
	struct tls_ctx *tls;
	struct dial_addr addrs[DIAL_ADDRS_MAX];
	size_t n, next;
	struct resolve *resolve;
	struct loop_fd *watch; /* of the resolver or of the connecting socket */
	int fd;
	struct bufferevent *bev; /* shaking hands */
	struct loop_timer *timer, *fail_later;
	struct err err;
};

static void resolve_unref(struct resolve *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	close(r->done_fd);
	free(r->host);
	free(r);
}

static void *resolve_thread(void *arg)
{
	struct resolve *r = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	char port[16];
	uint64_t one = 1;

	snprintf(port, sizeof(port), "%d", r->port);
	r->rc = getaddrinfo(r->host, port, &hints, &list);
	for (struct addrinfo *a = r->rc ? NULL : list; a && r->n < DIAL_ADDRS_MAX; a = a->ai_next) {
		memcpy(&r->addrs[r->n].sa, a->ai_addr, a->ai_addrlen);
		r->addrs[r->n++].len = a->ai_addrlen;
	}
	if (list)
		freeaddrinfo(list);
	if (write(r->done_fd, &one, sizeof(one)) < 0)
		r->rc = EAI_SYSTEM;
	resolve_unref(r);
	return NULL;
}

static void dial_free(struct http_dial *d)
{
	loop_fd_free(d->watch);
	if (d->fd >= 0)
		close(d->fd);
	if (d->bev)
		bufferevent_free(d->bev);
	if (d->resolve)
		resolve_unref(d->resolve);
	loop_timer_free(d->timer);
	loop_timer_free(d->fail_later);
	tls_unref(d->tls);
	free(d->host);
	free(d->what);
	free(d);
}

void http_dial_cancel(struct http_dial *d)
{
	if (d)
		dial_free(d);
}

static void dial_fail(void *arg)
{
	struct http_dial *d = arg;
	struct err e = d->err;
	http_dial_fn *fn = d->fn;
	void *fn_arg = d->arg;

	dial_free(d);
	fn(fn_arg, NULL, &e);
}

/* Never from inside http_dial_new(). */
static void dial_fail_later(struct http_dial *d)
{
	loop_timer_set(d->fail_later, 0);
}

static void dial_timeout(void *arg)
{
	struct http_dial *d = arg;

	err_set(&d->err, ERR_UNREACHABLE, "%s: no connection in time", d->what);
	dial_fail(d);
}

static void dial_give(struct http_dial *d)
{
	struct bufferevent *bev = TAKE(d->bev);
	http_dial_fn *fn = d->fn;
	void *arg = d->arg;

	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	dial_free(d);
	fn(arg, bev, NULL);
}

static void dial_next(struct http_dial *d);

static void dial_handshake(struct bufferevent *bev, short what, void *arg)
{
	struct http_dial *d = arg;

	if (what & BEV_EVENT_CONNECTED) {
		dial_give(d);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		http_bev_err(bev, d->what, &d->err);
		bufferevent_free(TAKE(d->bev));
		dial_fail_later(d);
	}
}

static void dial_connected(void *arg, int what)
{
	struct http_dial *d = arg;
	int sys = 0, fd = d->fd;
	socklen_t len = sizeof(sys);

	loop_fd_free(TAKE(d->watch));
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
		sys = errno;
	if (sys) {
		err_set(&d->err, ERR_UNREACHABLE, "%s: %s", d->what, strerror(sys));
		close(fd);
		d->fd = -1;
		dial_next(d);
		return;
	}
	d->fd = -1;
	http_fd_tune(fd);
	d->bev = http_bev_new(d->loop, fd, d->tls, d->host, &d->err);
	if (!d->bev) {
		dial_fail_later(d);
	} else if (!d->tls) {
		dial_give(d);
	} else {
		bufferevent_setcb(d->bev, NULL, NULL, dial_handshake, d);
		bufferevent_enable(d->bev, EV_READ | EV_WRITE);
	}
}

static int dial_addr(struct http_dial *d, const struct dial_addr *a)
{
	d->fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd >= 0 &&
		(connect(d->fd, (const struct sockaddr *)&a->sa, a->len) == 0 || errno == EINPROGRESS))
		return 0;
	err_set(&d->err, ERR_UNREACHABLE, "%s: %s", d->what, strerror(errno));
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	return -1;
}

static void dial_next(struct http_dial *d)
{
	while (d->next < d->n) {
		if (dial_addr(d, &d->addrs[d->next++]) == 0) {
			d->watch = loop_fd_new(d->loop, d->fd, LOOP_WRITE, dial_connected, d);
			return;
		}
	}
	dial_fail_later(d);
}

static void dial_resolved(void *arg, int what)
{
	struct http_dial *d = arg;
	struct resolve *r = TAKE(d->resolve);

	loop_fd_free(TAKE(d->watch));
	memcpy(d->addrs, r->addrs, sizeof(d->addrs));
	d->n = r->n;
	if (!r->n)
		err_set(&d->err, ERR_UNREACHABLE, "%s: %s", d->what,
			r->rc ? gai_strerror(r->rc) : "no address");
	resolve_unref(r);
	dial_next(d);
}

/* getaddrinfo() can block for seconds: a thread of its own, which outlives a cancelled dial. */
static void dial_resolve(struct http_dial *d)
{
	struct resolve *r = MEM_NEW(struct resolve);
	pthread_attr_t attr;
	pthread_t t;
	int rc;

	r->refs = 2;
	r->host = mem_strdup(d->host);
	r->port = d->port;
	r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(r->done_fd >= 0);
	d->resolve = r;
	d->watch = loop_fd_new(d->loop, r->done_fd, LOOP_READ, dial_resolved, d);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&t, &attr, resolve_thread, r);
	pthread_attr_destroy(&attr);
	if (rc) {
		resolve_unref(r);
		err_set(&d->err, ERR_UNREACHABLE, "%s: starting the resolver: %s", d->what, strerror(rc));
		dial_fail_later(d);
	}
}

static void add_v4(struct http_dial *d, struct in_addr a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&d->addrs[d->n].sa;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)d->port);
	in->sin_addr = a;
	d->addrs[d->n++].len = sizeof(*in);
}

static void add_v6(struct http_dial *d, struct in6_addr a)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&d->addrs[d->n].sa;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons((uint16_t)d->port);
	in->sin6_addr = a;
	d->addrs[d->n++].len = sizeof(*in);
}

static void dial_start(struct http_dial *d, const char *unix_path)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (unix_path) {
		struct sockaddr_un *un = (struct sockaddr_un *)&d->addrs[0].sa;
		un->sun_family = AF_UNIX;
		if (str_copy(un->sun_path, sizeof(un->sun_path), unix_path)) {
			d->addrs[0].len = sizeof(*un);
			d->n = 1;
		} else {
			err_set(&d->err, ERR_UNREACHABLE, "%s: path is too long for a socket", d->what);
		}
		dial_next(d);
	} else if (inet_pton(AF_INET, d->host, &a4) == 1) {
		add_v4(d, a4);
		dial_next(d);
	} else if (inet_pton(AF_INET6, d->host, &a6) == 1) {
		add_v6(d, a6);
		dial_next(d);
	} else if (str_eq(d->host, "localhost")) {
		add_v4(d, (struct in_addr){ htonl(INADDR_LOOPBACK) });
		add_v6(d, in6addr_loopback);
		dial_next(d);
	} else {
		dial_resolve(d);
	}
}

struct http_dial *http_dial_new(
	struct loop *l, const struct http_dial_spec *spec, http_dial_fn *fn, void *arg)
{
	struct http_dial *d = MEM_NEW(struct http_dial);

	d->loop = l;
	d->fn = fn;
	d->arg = arg;
	d->fd = -1;
	d->host = mem_strdup(spec->host ? spec->host : "localhost");
	d->port = spec->port;
	d->tls = tls_ref(spec->tls);
	d->what = spec->unix_path ? str_printf("connect to %s", spec->unix_path)
				  : str_printf("connect to %s port %d", d->host, d->port);
	d->timer = loop_timer_new(l, dial_timeout, d);
	d->fail_later = loop_timer_new(l, dial_fail, d);
	if (spec->timeout_ms > 0)
		loop_timer_set(d->timer, spec->timeout_ms);
	dial_start(d, spec->unix_path);
	return d;
}
