/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/attach.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/launcher/place.h"
#include "kubevirt/wire/wire.h"
#include "qemu/lines.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 4096
#define ANSWER_MS 5000
#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 2000
#define LET_GO_MIN_MS 2000 /* meanwhile this pod is deleted, but for a volume that is wanted again */
#define LET_GO_MAX_MS 30000

/* The request, and with its first byte the descriptor. */
static int send_offer(int sock, const char *id, int fd, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct json *o = json_new_obj(d);
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part;
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	json_set_i64(d, o, "id", 1);
	json_set_str(d, o, "verb", wire_verbs[WIRE_offer_disk].name);
	json_set_i64(d, o, "files", 1);
	json_set_str(d, json_need_obj(d, o, "args"), "id", id);
	json_write_to(o, &text);
	str_addc(&text, '\n');
	part = (struct iovec){ text.data, text.len };
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &m, MSG_NOSIGNAL) !=
		(ssize_t)text.len) /* it is short: goes at once or not at all */
		return err_sys(e, "offering the disk");
	return 0;
}

static int read_answer(int sock, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	char buf[ANSWER_MAX];
	const char *message;
	size_t len = 0;
	ssize_t n;

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return err_sys(e, "waiting for the launcher");
	while (!memchr(buf, '\n', len) && len < sizeof(buf)) {
		n = recv(sock, buf + len, sizeof(buf) - len, 0);
		if (n <= 0)
			return err_set(e, ERR_UNREACHABLE, "the launcher does not answer");
		len += (size_t)n;
	}
	d = json_parse(buf, len, e);
	if (!d)
		return -1;
	message = json_at_str(json_root(d), "/error/message");
	return message ? err_set(e, ERR_INVALID, "%s", message) : 0;
}

int attach_offer(const struct attach_spec *s, int *ret_conn, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1, sock = -1;

	if (!s->readonly && place_disk(s->file, s->size, s->uid, e) < 0)
		return -1;
	fd = open(s->file, (s->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "opening %s", s->file);
	if (unix_connect(s->socket, &sock, e) < 0) {
		e->code = ERR_UNREACHABLE;
		return -1;
	}
	if (fcntl(sock, F_SETFL, 0) < 0)
		return err_sys(e, "socket");
	if (send_offer(sock, s->id, fd, e) < 0 || read_answer(sock, e) < 0)
		return -1;
	*ret_conn = sock;
	sock = -1;
	return 0;
}

/* Up to ms, or for ever (-1). */
enum woken { WOKEN_TIME, WOKEN_LET_GO, WOKEN_END };
static enum woken wait_for(int end, int conn, int ms)
{
	struct pollfd fds[] = { { .fd = end, .events = POLLIN }, { .fd = conn, .events = POLLIN } };
	char byte;

	for (;;) {
		int n = poll(fds, 2, ms);

		if (n > 0 && fds[0].revents)
			return WOKEN_END;
		/* nothing is said on it: what comes is its end */
		if (n > 0 && recv(conn, &byte, 1, MSG_DONTWAIT) <= 0)
			return WOKEN_LET_GO;
		if (!n)
			return WOKEN_TIME;
	}
}

static int next_wait(int ms, int max)
{
	return ms * 2 > max ? max : ms * 2;
}

int attach_run(const struct attach_spec *s)
{
	CLEANUP(fd_closep) int end = -1;
	int ms = AGAIN_MIN_MS, after = LET_GO_MIN_MS;
	sigset_t set;
	struct err e;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	end = signalfd(-1, &set, SFD_CLOEXEC);
	for (;;) {
		CLEANUP(fd_closep) int conn = -1;
		bool done = attach_offer(s, &conn, &e) == 0;

		if (!done && e.code != ERR_UNREACHABLE) {
			log_error("%s", e.msg); /* in the pod's status, and another try by the kubelet */
			return 1;
		}
		log_info("%s%s%s", done ? s->file : "not yet", done ? " was handed to the launcher" : ": ",
			done ? "" : e.msg);
		if (done && wait_for(end, conn, -1) == WOKEN_END)
			return 0;
		if (wait_for(end, -1, done ? after : ms) == WOKEN_END)
			return 0;
		ms = done ? AGAIN_MIN_MS : next_wait(ms, AGAIN_MAX_MS);
		after = done ? next_wait(after, LET_GO_MAX_MS) : after;
	}
}
