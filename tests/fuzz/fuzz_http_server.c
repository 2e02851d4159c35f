/* SPDX-License-Identifier: Apache-2.0 */
/* A server's connection in either framing, fed by a client that sends anything. The handler answers in every way there is:
 * at once, later, in a stream, never; and the client leaves in the middle. The first byte: bit 0 HTTP/2, bit 1 without
 * its preface, bits 2 to 7 how the bytes are cut. */
#include "base/http_conn.h"

#include "base/mem.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELD_MAX 64
#define TURNS_MAX 200
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* One server for all inputs. */
static struct loop *loop;
static struct http_server *server;
static struct http_req *held[HELD_MAX];
static size_t n_held;

static void on_abort(void *arg)
{
	struct http_req **slot = arg;

	MUST(*slot);
	*slot = NULL;
}

static void hold(struct http_req *r)
{
	held[n_held] = r;
	http_req_on_abort(r, on_abort, &held[n_held++]);
}

static void stream_some(struct http_req *r, size_t n)
{
	static const char piece[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

	for (size_t i = 0; i < n; i++)
		http_req_write(r, piece, sizeof(piece));
}

static void answer(struct http_req *r, unsigned how)
{
	size_t len;
	const char *body = http_req_body(r, &len);

	http_req_add_header(r, "X-Path", http_req_path(r));
	switch (how % 6) {
	case 0:
		http_req_reply(r, 200, "text/plain", body, len);
		break;
	case 1:
		http_req_compress(r);
		http_req_stream(r, 200, "text/plain");
		stream_some(r, 3000);
		http_req_end(r);
		break;
	case 2:
		http_req_stream(r, 200, NULL);
		stream_some(r, 3);
		http_req_kill(r);
		break;
	case 3:
		http_req_kill(r);
		break;
	case 4:
		http_stream_close(http_req_upgrade(r, "x"));
		break;
	default:
		http_req_reply(r, 204, NULL, NULL, 0);
	}
}

static void handler(void *arg, struct http_req *r)
{
	const char *path = http_req_path(r);
	size_t len = strlen(path), n;
	struct http_header h;

	MUST(http_req_method(r) && http_req_head(r, &n) && n > 0);
	for (size_t i = 0; http_req_header_each(r, &i, &h);)
		MUST(http_req_header(r, h.name));
	if (len > 1 && path[1] == 'h' && n_held < HELD_MAX) {
		hold(r);
	} else if (len > 1 && path[1] == 'w' && n_held < HELD_MAX) {
		hold(r);
		http_req_stream(r, 200, "application/json");
		stream_some(r, 1);
	} else {
		answer(r, (unsigned)len);
	}
}

static void drain(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void turns(int fd, int n)
{
	for (int i = 0; i < n; i++) {
		(void)loop_step(loop, 0);
		if (fd >= 0)
			drain(fd);
	}
}

static void let_go(void)
{
	for (size_t i = 0; i < n_held; i++) {
		struct http_req *r = held[i];

		if (!r)
			continue;
		held[i] = NULL;
		http_req_on_abort(r, NULL, NULL);
		if (http_req_path(r)[1] == 'w')
			http_req_end(r);
		else
			answer(r, (unsigned)i);
	}
}

static void begin(void)
{
	loop = loop_new();
	server = http_server_new(loop, &(struct http_server_spec){ .handler = handler, .body_max = 4096 });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fds[2];
	size_t step;
	bool h2;

	if (!loop)
		begin();
	if (len < 2)
		return 0;
	h2 = *data & 1;
	step = (size_t)(*data >> 2) * 8 + 1;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	n_held = 0;
	http_server_take_fd(server, fds[0], h2);
	if (h2 && !(*data & 2))
		(void)send(fds[1], PREFACE, sizeof(PREFACE) - 1, MSG_NOSIGNAL);
	for (size_t at = 1; at < len; at += step) {
		(void)send(fds[1], data + at, len - at < step ? len - at : step, MSG_NOSIGNAL | MSG_DONTWAIT);
		turns(fds[1], 2);
	}
	turns(fds[1], 3);
	if (*data & 4)
		let_go();
	turns(fds[1], 3);
	close(fds[1]);
	for (int i = 0; i < TURNS_MAX && http_server_conns(server); i++)
		turns(-1, 1);
	MUST(http_server_conns(server) == 0);
	let_go();
	for (size_t i = 0; i < n_held; i++)
		MUST(!held[i]);
	return 0;
}
