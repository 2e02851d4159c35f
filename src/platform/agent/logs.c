/* SPDX-License-Identifier: Apache-2.0 */
/* pods/log: the shim's log files, without their decoration unless timestamps are wanted, with back-pressure; follow waits for the
 * file to change (inotify) and ends with the container. */
#include "platform/agent/serve.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536
#define UNSENT_MAX (1 << 20)
#define STAMP_MAX 40

struct log_stream {
	struct agent *agent;
	struct log_stream *next;
	struct http_req *req;
	char *uid, *ctr;
	int attempt;
	char *path;    /* of the current file; path.1 is older */
	bool old_file; /* reading path.1 now */
	int fd, inotify;
	struct loop_fd *watch;
	bool follow, timestamps, more_of_line, skipping_line;
	int64_t since_ms, tail, limit; /* tail, limit: -1 none */
	struct str carry;
};

static void pump(struct log_stream *s);

static void log_free(struct log_stream *s)
{
	for (struct log_stream **at = &s->agent->logs; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	loop_fd_free(s->watch);
	fd_closep(&s->fd);
	fd_closep(&s->inotify);
	str_done(&s->carry);
	free(s->uid);
	free(s->ctr);
	free(s->path);
	free(s);
}

static void aborted(void *arg)
{
	log_free(arg);
}

static void finish(struct log_stream *s)
{
	struct http_req *r = s->req;

	http_req_on_abort(r, NULL, NULL);
	log_free(s);
	http_req_end(r);
}

static void send_text(struct log_stream *s, const char *text, size_t len)
{
	if (s->limit >= 0 && (int64_t)len > s->limit)
		len = (size_t)s->limit;
	if (len)
		http_req_write(s->req, text, len);
	if (s->limit >= 0)
		s->limit -= (int64_t)len;
}

/* "TIME stdout F text" */
static void one_line(struct log_stream *s, char *line, size_t len)
{
	char *stream = memchr(line, ' ', len), *flag, *text;
	int64_t at;
	bool full;

	if (!stream || stream - line >= STAMP_MAX || !(flag = strchr(stream + 1, ' ')) || !flag[1] ||
		flag[2] != ' ')
		return;
	text = flag + 3;
	full = flag[1] == 'F';
	if (!s->more_of_line) {
		*stream = 0;
		s->skipping_line = s->since_ms && time_parse(line, &at) && at < s->since_ms;
		if (s->timestamps && !s->skipping_line) {
			send_text(s, line, strlen(line));
			send_text(s, " ", 1);
		}
	}
	if (!s->skipping_line) {
		send_text(s, text, (size_t)(line + len - text));
		if (full)
			send_text(s, "\n", 1);
	}
	s->more_of_line = !full;
}

static void lines(struct log_stream *s)
{
	size_t at = 0;

	for (char *nl; at < s->carry.len && (nl = memchr(s->carry.data + at, '\n', s->carry.len - at));) {
		*nl = 0;
		one_line(s, s->carry.data + at, (size_t)(nl - s->carry.data) - at);
		at = (size_t)(nl - s->carry.data) + 1;
	}
	str_drop_front(&s->carry, at);
}

static const struct ctr *its_container(const struct log_stream *s)
{
	const struct pod *p = keymap_get(&s->agent->by_uid, s->uid);

	for (size_t i = 0; p && i < p->n_ctrs; i++)
		if (str_eq(p->ctrs[i]->name, s->ctr))
			return p->ctrs[i];
	return NULL;
}

static bool may_grow(const struct log_stream *s)
{
	const struct ctr *c = its_container(s);

	return c && c->attempt == s->attempt && (c->state == CTR_RUNNING || c->state == CTR_STARTING);
}

/* The file was moved away under us: the new one begins. */
static bool rotated(struct log_stream *s)
{
	struct stat mine, now;

	return fstat(s->fd, &mine) == 0 && stat(s->path, &now) == 0 && mine.st_ino != now.st_ino;
}

static void reopen(struct log_stream *s)
{
	fd_closep(&s->fd);
	s->old_file = false;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
}

static void pump(struct log_stream *s)
{
	char buf[CHUNK];
	ssize_t n;

	for (;;) {
		if (http_req_pending(s->req) > UNSENT_MAX)
			return; /* drained() goes on */
		n = s->fd < 0 ? 0 : read(s->fd, buf, sizeof(buf));
		if (n > 0) {
			str_addn(&s->carry, buf, (size_t)n);
			lines(s);
			if (s->limit != 0)
				continue;
		} else if (s->old_file || (s->follow && s->fd >= 0 && rotated(s))) {
			reopen(s);
			continue;
		} else if (s->follow && may_grow(s)) {
			if (s->fd < 0)
				reopen(s);
			return;
		}
		finish(s);
		return;
	}
}

static void drained(void *arg)
{
	pump(arg);
}

static void file_changed(void *arg, int what)
{
	struct log_stream *s = arg;
	char buf[4096];

	while (read(s->inotify, buf, sizeof(buf)) > 0)
		;
	pump(s);
}

void logs_container_ended(struct ctr *c)
{
	struct log_stream *next;

	for (struct log_stream *s = c->pod->agent->logs; s; s = next) {
		next = s->next;
		if (s->follow && str_eq(s->uid, c->pod->uid) && str_eq(s->ctr, c->name))
			pump(s);
	}
}

char *logs_tail(const struct ctr *c, size_t max)
{
	CLEANUP(mem_freep) char *path = ctr_log_path(c, c->attempt);
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct str out = { 0 };
	char buf[CHUNK];
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = end > 0 ? pread(fd, buf, sizeof(buf) - 1, end > CHUNK - 1 ? end - (CHUNK - 1) : 0) : 0;

	buf[n > 0 ? n : 0] = 0;
	for (char *rest = buf; rest;) {
		char *line = str_next(&rest, '\n'), *stream = strchr(line, ' '),
		     *flag = stream ? strchr(stream + 1, ' ') : NULL;

		if (flag && flag[1] && flag[2] == ' ')
			str_addf(&out, "%s%s", flag + 3, flag[1] == 'F' ? "\n" : "");
	}
	if (out.len > max)
		str_drop_front(&out, out.len - max);
	if (!out.len) {
		str_done(&out);
		return NULL;
	}
	return str_take(&out);
}

void logs_end_all(struct agent *a)
{
	while (a->logs)
		finish(a->logs);
}

/* ---- where to begin ---- */
/* Offset behind which the last *want lines begin; *want becomes how many more are needed from an older file. */
static int64_t tail_offset(int fd, int64_t *want)
{
	char buf[CHUNK];
	int64_t end = lseek(fd, 0, SEEK_END);
	bool first = true;

	for (int64_t at = end; at > 0;) {
		int64_t len = at < CHUNK ? at : CHUNK;
		ssize_t n = pread(fd, buf, (size_t)len, at - len);

		if (n != len)
			return 0;
		for (int64_t i = len - 1; i >= 0; i--) {
			if (buf[i] != '\n')
				continue;
			if (!first && --*want == 0)
				return at - len + i + 1;
			first = false;
		}
		at -= len;
	}
	if (end > 0)
		--*want;
	return 0;
}

static void begin(struct log_stream *s)
{
	CLEANUP(mem_freep) char *older = str_printf("%s.1", s->path);
	int64_t want = s->tail, at = 0;

	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->tail == 0 && s->fd >= 0) {
		lseek(s->fd, 0, SEEK_END);
		return;
	}
	if (s->tail > 0 && s->fd >= 0)
		at = tail_offset(s->fd, &want);
	if (s->fd >= 0)
		lseek(s->fd, at, SEEK_SET);
	if ((s->tail < 0 || want > 0) && file_exists(older)) {
		fd_closep(&s->fd);
		s->fd = open(older, O_RDONLY | O_CLOEXEC);
		s->old_file = s->fd >= 0;
		if (s->tail > 0 && s->fd >= 0)
			lseek(s->fd, tail_offset(s->fd, &want), SEEK_SET);
	}
}

struct log_options {
	int64_t tail, limit, since; /* -1: not asked for */
	int64_t since_ms;           /* 0: not asked for */
};

/* false: answered */
static bool number(struct http_req *r, const char *name, int64_t min, int64_t *ret)
{
	const char *text = http_req_query(r, name);

	if (!text)
		return true;
	if (!str_to_i64(text, INT64_MIN, INT64_MAX, ret)) {
		serve_error(r, ERR_BAD_REQUEST, "%s: \"%.100s\" is not a number", name, text);
		return false;
	}
	if (*ret < min) {
		serve_error(r, ERR_INVALID,
			"PodLogOptions \"\" is invalid: %s: Invalid value: %" PRId64 ": must be "
			"greater than %s0",
			name, *ret, min ? "" : "or equal to ");
		return false;
	}
	return true;
}

static bool read_options(struct http_req *r, int64_t now_ms, struct log_options *o)
{
	const char *time = http_req_query(r, "sinceTime");

	*o = (struct log_options){ -1, -1, -1, 0 };
	if (!number(r, "tailLines", 0, &o->tail) || !number(r, "limitBytes", 1, &o->limit) ||
		!number(r, "sinceSeconds", 1, &o->since))
		return false;
	if (!str_empty(time) && o->since > 0) {
		serve_error(r, ERR_INVALID,
			"PodLogOptions \"\" is invalid: : Forbidden: at most one of `sinceTime` or "
			"`sinceSeconds` may "
			"be specified");
		return false;
	}
	if (!str_empty(time) && !time_parse(time, &o->since_ms)) {
		serve_error(r, ERR_BAD_REQUEST, "sinceTime: \"%.100s\" is not a time", time);
		return false;
	}
	if (o->since > 0)
		o->since_ms = o->since < now_ms / 1000 ? now_ms - o->since * 1000 : 1;
	return true;
}

void serve_log(struct agent *a, const struct obj *pod, struct http_req *r)
{
	struct ctr *c = serve_container(a, pod, r);
	struct log_options o;
	struct log_stream *s;
	bool previous;

	if (!c || !read_options(r, loop_wall_ms(a->loop), &o))
		return;
	previous = serve_flag(r, "previous");
	if (previous && c->attempt == 0) {
		serve_error(r, ERR_BAD_REQUEST,
			"previous terminated container \"%s\" in pod \"%s\" not found", c->name,
			obj_name(pod));
		return;
	}
	if (!c->attempted) {
		serve_error(r, ERR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is waiting to start: %s",
			c->name, obj_name(pod), c->image_reason ? c->image_reason : "ContainerCreating");
		return;
	}
	s = MEM_NEW(struct log_stream);
	s->agent = a;
	s->next = a->logs;
	a->logs = s;
	s->req = r;
	s->uid = mem_strdup(obj_uid(pod));
	s->ctr = mem_strdup(c->name);
	s->attempt = c->attempt - previous;
	s->path = ctr_log_path(c, s->attempt);
	s->follow = serve_flag(r, "follow") && !previous;
	s->timestamps = serve_flag(r, "timestamps");
	s->tail = o.tail;
	s->limit = o.limit;
	s->since_ms = o.since_ms;
	s->fd = s->inotify = -1;
	if (s->follow && (s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0) {
		CLEANUP(mem_freep)
		char *dir = mem_strndup(s->path, (size_t)(strrchr(s->path, '/') - s->path));

		inotify_add_watch(s->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
		s->watch = loop_fd_new(a->loop, s->inotify, LOOP_READ, file_changed, s);
	}
	begin(s);
	http_req_on_abort(r, aborted, s);
	http_req_stream(r, 200, "text/plain");
	http_req_on_drained(r, drained, s);
	pump(s);
}
