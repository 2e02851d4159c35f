/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/attach.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/launcher/place.h"
#include "kubevirt/wire/wire.h"
#include "qemu/lines.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 4096
#define ANSWER_MS 5000
#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 2000

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

int attach_offer(const struct attach_spec *s, struct err *e)
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
	return send_offer(sock, s->id, fd, e) < 0 ? -1 : read_answer(sock, e);
}

int attach_run(const struct attach_spec *s)
{
	struct timespec wait;
	sigset_t end;
	int ms = AGAIN_MIN_MS, got = -1;
	struct err e;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	sigprocmask(SIG_BLOCK, &end, NULL);
	while (attach_offer(s, &e) < 0) {
		if (e.code != ERR_UNREACHABLE) {
			log_error("%s", e.msg); /* in the pod's status, and another try by the kubelet */
			return 1;
		}
		log_info("not yet: %s", e.msg);
		wait = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
		if (sigtimedwait(&end, NULL, &wait) > 0)
			return 0;
		ms = ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : ms * 2;
	}
	log_info("%s was handed to the launcher", s->file);
	while (got < 0)
		got = sigwaitinfo(&end, NULL);
	return 0;
}
