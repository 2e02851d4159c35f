/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/console.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096

struct client {
	struct client *next;
	struct console *console;
	struct loop_fd *watch;
	int fd;
	enum console_mode mode;
	struct str out;
	int64_t stuck_since; /* when the socket last refused bytes; 0: it takes them */
	bool leaving;        /* freed at the end of the turn's work */
};

struct console {
	struct loop *loop;
	struct loop_fd *guest_watch;
	int guest;     /* -1: not attached */
	struct str in; /* on its way to the guest */
	struct client *clients;
	size_t n_clients;
	struct loop_timer *stuck;
};

bool console_mode_parse(const char *text, enum console_mode *ret)
{
	if (!text || !strcmp(text, "takeover"))
		*ret = CONSOLE_TAKEOVER;
	else if (!strcmp(text, "shared"))
		*ret = CONSOLE_SHARED;
	else if (!strcmp(text, "listen"))
		*ret = CONSOLE_LISTEN;
	else
		return false;
	return true;
}

size_t console_clients(const struct console *c)
{
	return c->n_clients;
}

/* ---- what to listen for: derived from the buffers each time ---- */

static void console_watch(struct console *c)
{
	bool full = false, busy = c->in.len > CONSOLE_INPUT_MAX;

	for (struct client *k = c->clients; k; k = k->next) {
		full |= k->out.len > CONSOLE_HIGH;
		loop_fd_set(k->watch, (busy ? 0 : LOOP_READ) | (k->out.len ? LOOP_WRITE : 0));
	}
	if (c->guest >= 0)
		loop_fd_set(c->guest_watch, (full ? 0 : LOOP_READ) | (c->in.len ? LOOP_WRITE : 0));
}

static void client_free(struct client *k)
{
	loop_fd_free(k->watch);
	close(k->fd);
	str_done(&k->out);
	free(k);
}

static void console_sweep(struct console *c)
{
	for (struct client **at = &c->clients; *at;) {
		struct client *k = *at;

		if (!k->leaving) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		c->n_clients--;
		client_free(k);
	}
	console_watch(c);
}

/* Writes what the socket takes. False: the peer is gone. */
static bool flush(int fd, struct str *s)
{
	while (s->len) {
		ssize_t n = send(fd, s->data, s->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		if ((size_t)n == s->len)
			str_done(s);
		else
			str_drop_front(s, (size_t)n);
	}
	return true;
}

static void client_send(struct client *k, const char *data, size_t len)
{
	size_t before;

	str_addn(&k->out, data, len);
	before = k->out.len;
	if (!flush(k->fd, &k->out)) {
		k->leaving = true;
		return;
	}
	if (k->out.len && k->out.len == before) {
		if (!k->stuck_since)
			k->stuck_since = loop_mono_ms(k->console->loop);
		if (!loop_timer_armed(k->console->stuck))
			loop_timer_set(k->console->stuck, CONSOLE_STUCK_MS);
	} else {
		k->stuck_since = 0;
	}
}

static void console_stuck(void *arg)
{
	struct console *c = arg;
	int64_t now = loop_mono_ms(c->loop), next = 0;

	for (struct client *k = c->clients; k; k = k->next) {
		if (!k->stuck_since)
			continue;
		if (now - k->stuck_since >= CONSOLE_STUCK_MS) {
			log_warn(
				"a console client took nothing for %d ms with %zu bytes waiting, dropping it",
				CONSOLE_STUCK_MS, k->out.len);
			k->leaving = true;
		} else if (!next || k->stuck_since + CONSOLE_STUCK_MS < next) {
			next = k->stuck_since + CONSOLE_STUCK_MS;
		}
	}
	if (next)
		loop_timer_set(c->stuck, next - now);
	console_sweep(c);
}

/* ---- guest side ---- */

static void guest_detach(struct console *c)
{
	if (c->guest < 0)
		return;
	loop_fd_free(TAKE(c->guest_watch));
	close(c->guest);
	c->guest = -1;
	str_done(&c->in);
}

static void guest_io(void *arg, int what)
{
	struct console *c = arg;
	char buf[CHUNK];
	ssize_t n = 0;

	if ((what & LOOP_WRITE) && !flush(c->guest, &c->in)) {
		guest_detach(c);
		console_sweep(c);
		return;
	}
	if (what & LOOP_READ) {
		n = recv(c->guest, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR && errno != EWOULDBLOCK))
			guest_detach(c);
		for (struct client *k = c->clients; k && n > 0; k = k->next)
			client_send(k, buf, (size_t)n);
	}
	console_sweep(c);
}

void console_attach(struct console *c, int fd)
{
	guest_detach(c);
	c->guest = fd;
	c->guest_watch = loop_fd_new(c->loop, fd, LOOP_READ, guest_io, c);
	console_watch(c);
}

/* ---- client side ---- */

static void guest_input(struct console *c, const char *data, size_t len)
{
	if (c->guest < 0)
		return; /* typed into a machine that is off */
	str_addn(&c->in, data, len);
	if (!flush(c->guest, &c->in))
		guest_detach(c);
}

static void client_io(void *arg, int what)
{
	struct client *k = arg;
	char buf[CHUNK];
	ssize_t n;

	if (what & LOOP_WRITE) {
		size_t before = k->out.len;

		if (!flush(k->fd, &k->out))
			k->leaving = true;
		if (k->out.len < before)
			k->stuck_since = 0;
	}
	if ((what & LOOP_READ) && !k->leaving) {
		n = recv(k->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR && errno != EWOULDBLOCK))
			k->leaving = true;
		else if (n > 0 && k->mode != CONSOLE_LISTEN)
			guest_input(k->console, buf, (size_t)n);
	}
	console_sweep(k->console); /* may free k */
}

void console_add(struct console *c, int fd, enum console_mode mode, const struct str *first)
{
	struct client *k = MEM_NEW(struct client);

	if (mode == CONSOLE_TAKEOVER)
		for (struct client *old = c->clients; old; old = old->next)
			old->leaving |= old->mode != CONSOLE_LISTEN;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	k->console = c;
	k->fd = fd;
	k->mode = mode;
	k->watch = loop_fd_new(c->loop, fd, LOOP_READ, client_io, k);
	k->leaving = c->n_clients >= CONSOLE_CLIENTS_MAX && mode != CONSOLE_TAKEOVER;
	k->next = c->clients;
	c->clients = k;
	c->n_clients++;
	if (first && first->len && mode != CONSOLE_LISTEN)
		guest_input(c, first->data, first->len);
	console_sweep(c);
}

void console_hang_up(struct console *c)
{
	guest_detach(c);
	for (struct client *k = c->clients; k; k = k->next) {
		flush(k->fd, &k->out);
		k->leaving = true;
	}
	console_sweep(c);
}

struct console *console_new(struct loop *l)
{
	struct console *c = MEM_NEW(struct console);

	c->loop = l;
	c->guest = -1;
	c->stuck = loop_timer_new(l, console_stuck, c);
	return c;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	console_hang_up(c);
	loop_timer_free(c->stuck);
	free(c);
}
