/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/qmp.h"

#include "base/mem.h"
#include "qemu/lines.h"
#include "qemu/qmp_cmds.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct call {
	struct call *next;
	uint64_t id;
	int limit_ms;
	int64_t deadline; /* 0 while unsent */
	qmp_reply_fn *fn;
	void *arg;
	char *text; /* the request while unsent */
	char name[40];
	int fd; /* goes with it; -1: none */
};

enum qmp_state { QMP_GREETING, QMP_AGREEING, QMP_READY, QMP_CLOSED };

struct qmp {
	struct loop *loop;
	struct lines *lines;
	struct loop_timer *timer; /* the greeting's, then the earliest call's limit */
	const struct qmp_ops *ops;
	void *arg;
	struct call *calls, **end; /* in the order sent */
	uint64_t next_id;
	enum qmp_state state;
	int64_t greeting_deadline;
	bool *gone;
};

static void call_free(struct call *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->text);
	free(c);
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	if (q->gone)
		*q->gone = true;
	while (q->calls) {
		struct call *c = q->calls;

		q->calls = c->next;
		call_free(c);
	}
	lines_free(q->lines);
	loop_timer_free(q->timer);
	free(q);
}

void qmp_freep(struct qmp **q)
{
	qmp_free(*q);
}

static struct call *qmp_unlink(struct qmp *q, struct call **at)
{
	struct call *c = *at;

	*at = c->next;
	if (!*at)
		q->end = at;
	return c;
}

static void qmp_arm(struct qmp *q)
{
	int64_t first = q->state == QMP_GREETING ? q->greeting_deadline : 0;

	for (struct call *c = q->calls; c; c = c->next)
		if (c->deadline && (!first || c->deadline < first))
			first = c->deadline;
	if (first) {
		int64_t left = first - loop_mono_ms(q->loop);

		loop_timer_set(q->timer, left > 0 ? left : 0);
	} else {
		loop_timer_stop(q->timer);
	}
}

/* Ends one call that is no longer in the list. False if the client was freed by it. */
static bool qmp_end_call(struct qmp *q, struct call *c, const struct json *ret, const struct err *e)
{
	bool gone = false, *outer = q->gone;

	q->gone = &gone;
	if (c->fn)
		c->fn(c->arg, ret, e);
	call_free(c);
	if (gone) {
		if (outer)
			*outer = true;
		return false;
	}
	q->gone = outer;
	return true;
}

/* Fails everything that waits, then tells the owner; it may free q. */
static void qmp_close(struct qmp *q, const struct err *why)
{
	struct err e, copy;

	if (q->state == QMP_CLOSED)
		return;
	q->state = QMP_CLOSED;
	err_copy(&copy, why);
	loop_timer_stop(q->timer);
	lines_free(TAKE(q->lines));
	while (q->calls) {
		struct call *c = qmp_unlink(q, &q->calls);

		err_copy(&e, &copy);
		e.code = e.code == ERR_CONFLICT ? ERR_CONFLICT : ERR_UNREACHABLE;
		err_wrap(&e, "%s", c->name);
		if (!qmp_end_call(q, c, NULL, &e))
			return;
	}
	q->ops->closed(q->arg, &copy);
}

static void qmp_timer(void *arg)
{
	struct qmp *q = arg;
	int64_t now = loop_mono_ms(q->loop);
	struct err e;

	if (q->state == QMP_GREETING && now >= q->greeting_deadline) {
		err_set(&e, ERR_CONFLICT,
			"the monitor is busy: it accepted the connection but did not greet, another client "
			"holds it");
		qmp_close(q, &e);
		return;
	}
	for (struct call **at = &q->calls; *at;) {
		struct call *c = *at;

		if (!c->deadline || c->deadline > now) {
			at = &c->next;
			continue;
		}
		qmp_unlink(q, at);
		if (q->state == QMP_CLOSED)
			err_set(&e, ERR_UNREACHABLE, "%s: the monitor is gone", c->name);
		else
			err_set(&e, ERR_TIMEOUT, "%s: no answer from QEMU within %d ms", c->name,
				c->limit_ms);
		if (!qmp_end_call(q, c, NULL, &e))
			return;
		at = &q->calls; /* the callback may have changed the list */
	}
	qmp_arm(q);
}

static void qmp_transmit(struct qmp *q, struct call *c)
{
	c->deadline = loop_mono_ms(q->loop) + c->limit_ms;
	lines_write_fds(q->lines, c->text, strlen(c->text), &c->fd, c->fd >= 0);
	c->fd = -1;
	free(TAKE(c->text));
}

static struct call *qmp_queue(
	struct qmp *q, const char *cmd, const struct json *args, int limit_ms, qmp_reply_fn *fn, void *arg)
{
	struct call *c = MEM_NEW(struct call);
	struct str s = { 0 };

	c->id = ++q->next_id;
	c->fd = -1;
	c->limit_ms = limit_ms;
	c->fn = fn;
	c->arg = arg;
	str_copy(c->name, sizeof(c->name), cmd);
	str_addf(&s, "{\"execute\":\"%s\"", cmd);
	if (json_len(args)) {
		str_add(&s, ",\"arguments\":");
		json_write_to(args, &s);
	}
	str_addf(&s, ",\"id\":%llu}\n", (unsigned long long)c->id);
	c->text = str_take(&s);
	*q->end = c;
	q->end = &c->next;
	return c;
}

static void qmp_submit(struct qmp *q, struct call *c)
{
	/* After the end the call waits in the list too: the timer ends it, so that nothing calls back from in here. */
	if (q->state == QMP_CLOSED)
		c->deadline = 1;
	else if (q->state == QMP_READY)
		qmp_transmit(q, c);
	qmp_arm(q);
}

void qmp_send(
	struct qmp *q, const char *cmd, const struct json *args, int limit_ms, qmp_reply_fn *fn, void *arg)
{
	qmp_submit(q, qmp_queue(q, cmd, args, limit_ms, fn, arg));
}

void qmp_send_file(struct qmp *q, const char *name, int fd, qmp_reply_fn *fn, void *arg)
{
	const struct qmp_cmd_info *info = &qmp_cmds[QMP_getfd];
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *args = json_new_obj(d);
	struct call *c;

	json_set_str(d, args, "fdname", name);
	c = qmp_queue(q, info->wire, args, info->limit_ms, fn, arg);
	c->fd = fd;
	qmp_submit(q, c);
}

void qmp_send_fdset(struct qmp *q, uint64_t set, int fd, qmp_reply_fn *fn, void *arg)
{
	const struct qmp_cmd_info *info = &qmp_cmds[QMP_add_fd];
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *args = json_new_obj(d);
	struct call *c;

	json_set_i64(d, args, "fdset-id", (int64_t)set);
	c = qmp_queue(q, info->wire, args, info->limit_ms, fn, arg);
	c->fd = fd;
	qmp_submit(q, c);
}

static void qmp_first_reply(void *arg, const struct json *ret, const struct err *e)
{
	struct qmp *q = arg;

	if (e) {
		qmp_close(q, e);
		return;
	}
	q->state = QMP_READY;
	for (struct call *c = q->calls; c; c = c->next)
		if (c->text)
			qmp_transmit(q, c);
	qmp_arm(q);
	q->ops->ready(q->arg);
}

/* Both are sent at once: the answer to the second proves that the machine exists. */
static void qmp_agree(struct qmp *q)
{
	struct call *waiting = q->calls;

	q->state = QMP_AGREEING;
	q->calls = NULL;
	q->end = &q->calls;
	qmp_transmit(q,
		qmp_queue(q, "qmp_capabilities", NULL, qmp_cmds[QMP_qmp_capabilities].limit_ms, NULL, NULL));
	qmp_transmit(q,
		qmp_queue(q, "query-status", NULL, qmp_cmds[QMP_query_status].limit_ms, qmp_first_reply, q));
	*q->end = waiting;
	while (*q->end)
		q->end = &(*q->end)->next;
	qmp_arm(q);
}

static void qmp_failure(const struct json *error, const char *cmd, struct err *e)
{
	const char *class = json_str_or(json_get(error, "class"), "");
	enum err_code code = ERR_INVALID;

	if (!strcmp(class, "CommandNotFound"))
		code = ERR_NOT_IMPLEMENTED;
	else if (!strcmp(class, "DeviceNotFound"))
		code = ERR_NOT_FOUND;
	err_set(e, code, "%s: %s", cmd, json_str_or(json_get(error, "desc"), "refused without a reason"));
}

static void qmp_reply(struct qmp *q, const struct json *msg)
{
	const struct json *id = json_get(msg, "id"), *error = json_get(msg, "error");

	/* No id: the answer to a line QEMU could not parse. An unknown one: its call ended at its limit. */
	for (struct call **at = &q->calls; id && *at; at = &(*at)->next) {
		struct err e;

		if ((*at)->id != json_u64(id) || (*at)->text)
			continue;
		if (error)
			qmp_failure(error, (*at)->name, &e);
		if (qmp_end_call(
			    q, qmp_unlink(q, at), error ? NULL : json_get(msg, "return"), error ? &e : NULL))
			if (q->state != QMP_CLOSED)
				qmp_arm(q);
		return;
	}
}

static void qmp_line(void *arg, char *line, size_t len)
{
	struct qmp *q = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL, *empty = NULL;
	const struct json *msg, *data;
	const char *event;
	struct err e;

	if (!len)
		return;
	d = json_parse(line, len, &e);
	if (!d) {
		err_wrap(&e, "QEMU sent what is not JSON");
		qmp_close(q, &e);
		return;
	}
	msg = json_root(d);
	event = json_get_str(msg, "event");
	if (event) {
		data = json_get(msg, "data");
		if (!data) {
			empty = json_lit("{}");
			data = json_root(empty);
		}
		if (q->ops->event)
			q->ops->event(q->arg, event, data);
	} else if (json_get(msg, "QMP")) {
		if (q->state == QMP_GREETING)
			qmp_agree(q);
	} else {
		qmp_reply(q, msg);
	}
}

static void qmp_lines_closed(void *arg, const struct err *e)
{
	qmp_close(arg, e);
}

struct qmp *qmp_new(struct loop *l, int fd, int greeting_ms, const struct qmp_ops *ops, void *arg)
{
	static const struct lines_ops lops = { .line = qmp_line, .closed = qmp_lines_closed };
	struct qmp *q = MEM_NEW(struct qmp);

	q->loop = l;
	q->ops = ops;
	q->arg = arg;
	q->end = &q->calls;
	q->timer = loop_timer_new(l, qmp_timer, q);
	q->greeting_deadline = loop_mono_ms(l) + (greeting_ms ? greeting_ms : QMP_GREETING_MS);
	q->lines = lines_new(l, fd, QMP_LINE_MAX, QMP_OUT_MAX, &lops, q);
	qmp_arm(q);
	return q;
}
