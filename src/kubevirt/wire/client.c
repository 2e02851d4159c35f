/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/wire/client.h"

#include "base/mem.h"
#include "kubevirt/wire/server.h"
#include "qemu/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pending {
	struct pending *next;
	uint64_t id;
	int64_t deadline;
	enum wire_verb verb;
	wire_reply_fn *fn;
	void *arg;
};

struct wire_client {
	struct loop *loop;
	struct lines *lines; /* NULL: lost */
	struct loop_timer *timer;
	const struct wire_client_ops *ops;
	void *arg;
	struct pending *calls;
	uint64_t next_id;
	bool *gone;
};

void wire_client_free(struct wire_client *c)
{
	if (!c)
		return;
	if (c->gone)
		*c->gone = true;
	while (c->calls) {
		struct pending *p = c->calls;

		c->calls = p->next;
		free(p);
	}
	lines_free(c->lines);
	loop_timer_free(c->timer);
	free(c);
}

static void client_arm(struct wire_client *c)
{
	int64_t first = 0, left;

	for (struct pending *p = c->calls; p; p = p->next)
		if (!first || p->deadline < first)
			first = p->deadline;
	left = first - loop_mono_ms(c->loop);
	if (first)
		loop_timer_set(c->timer, left > 0 ? left : 0);
	else
		loop_timer_stop(c->timer);
}

/* Unlinks and ends one call; false if c was freed by it. */
static bool client_end(struct wire_client *c, struct pending **at, const struct json *ok, const struct err *e)
{
	struct pending *p = *at;
	bool gone = false, *outer = c->gone;

	*at = p->next;
	c->gone = &gone;
	if (p->fn)
		p->fn(p->arg, ok, e);
	free(p);
	if (gone) {
		if (outer)
			*outer = true;
		return false;
	}
	c->gone = outer;
	return true;
}

static void client_timer(void *arg)
{
	struct wire_client *c = arg;
	int64_t now = loop_mono_ms(c->loop);

	for (struct pending **at = &c->calls; *at;) {
		const struct wire_verb_info *v = &wire_verbs[(*at)->verb];
		struct err e;

		if ((*at)->deadline > now) {
			at = &(*at)->next;
			continue;
		}
		if (!c->lines)
			err_set(&e, ERR_UNREACHABLE, "%s: the launcher is gone", v->name);
		else
			err_set(&e, ERR_TIMEOUT, "%s: no answer from the launcher within %d ms", v->name,
				v->limit_ms);
		if (!client_end(c, at, NULL, &e))
			return;
		at = &c->calls;
	}
	client_arm(c);
}

static void client_closed(void *arg, const struct err *why)
{
	struct wire_client *c = arg;
	struct err e, copy;

	err_copy(&copy, why);
	copy.code = ERR_UNREACHABLE;
	lines_free(TAKE(c->lines));
	while (c->calls) {
		err_copy(&e, &copy);
		err_wrap(&e, "%s", wire_verbs[c->calls->verb].name);
		if (!client_end(c, &c->calls, NULL, &e))
			return;
	}
	if (c->ops && c->ops->lost)
		c->ops->lost(c->arg, &copy);
}

static enum err_code code_parse(const char *name)
{
	for (int i = 1; i < ERR_CODE_MAX; i++)
		if (str_eq(err_name((enum err_code)i), name))
			return (enum err_code)i;
	return ERR_INTERNAL;
}

static void reply_error(const struct json *error, struct err *e)
{
	err_set(e, code_parse(json_get_str(error, "code")), "%s",
		json_str_or(json_get(error, "message"), "the launcher gave no reason"));
}

static void client_line(void *arg, char *line, size_t len)
{
	struct wire_client *c = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct json *msg, *error;
	struct err e;

	d = json_parse(line, len, &e);
	if (!d) {
		err_wrap(&e, "the launcher sent what is not JSON");
		client_closed(c, &e);
		return;
	}
	msg = json_root(d);
	if (json_get_str(msg, "event")) {
		if (c->ops && c->ops->event)
			c->ops->event(c->arg, json_get_str(msg, "event"), json_get(msg, "data"));
		return;
	}
	error = json_get(msg, "error");
	for (struct pending **at = &c->calls; *at; at = &(*at)->next) {
		if ((*at)->id != json_u64(json_get(msg, "id")))
			continue;
		if (error)
			reply_error(error, &e);
		if (client_end(c, at, error ? NULL : json_get(msg, "ok"), error ? &e : NULL) && c->lines)
			client_arm(c);
		return;
	}
}

struct wire_client *wire_client_new(
	struct loop *l, const char *path, const struct wire_client_ops *ops, void *arg, struct err *e)
{
	static const struct lines_ops lops = { .line = client_line, .closed = client_closed };
	struct wire_client *c;
	int fd;

	if (unix_connect(path, &fd, e) < 0)
		return NULL;
	c = MEM_NEW(struct wire_client);
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	c->timer = loop_timer_new(l, client_timer, c);
	c->lines = lines_new(l, fd, WIRE_LINE_MAX, WIRE_OUT_MAX, &lops, c);
	return c;
}

static void request_text(struct str *s, uint64_t id, enum wire_verb v, const struct json *args, size_t files)
{
	str_addf(s, "{\"id\":%llu,\"verb\":\"%s\"", (unsigned long long)id, wire_verbs[v].name);
	if (files)
		str_addf(s, ",\"files\":%zu", files);
	if (args) {
		str_add(s, ",\"args\":");
		json_write_to(args, s);
	}
	str_add(s, "}\n");
}

void wire_client_call(
	struct wire_client *c, enum wire_verb v, const struct json *args, wire_reply_fn *fn, void *arg)
{
	wire_client_call_files(c, v, args, NULL, 0, fn, arg);
}

void wire_client_call_files(struct wire_client *c, enum wire_verb v, const struct json *args,
	const int *files, size_t n, wire_reply_fn *fn, void *arg)
{
	struct pending *p = MEM_NEW(struct pending), **end = &c->calls;
	struct str s = { 0 };

	p->id = ++c->next_id;
	p->verb = v;
	p->fn = fn;
	p->arg = arg;
	p->deadline = loop_mono_ms(c->loop) + (c->lines ? wire_verbs[v].limit_ms : 0);
	while (*end)
		end = &(*end)->next;
	*end = p;
	if (c->lines) {
		request_text(&s, p->id, v, args, n);
		lines_write_fds(c->lines, s.data, s.len, files, n);
		str_done(&s);
	} else {
		for (size_t i = 0; i < n; i++)
			close(files[i]);
	}
	client_arm(c);
}

pid_t wire_client_peer(const struct wire_client *c)
{
	return c->lines ? lines_peer(c->lines) : -1;
}

/* ---- console ---- */

struct wire_console_call {
	struct lines *lines;
	struct loop_timer *timer;
	wire_console_fn *fn;
	void *arg;
};

void wire_console_cancel(struct wire_console_call *c)
{
	if (!c)
		return;
	lines_free(c->lines);
	loop_timer_free(c->timer);
	free(c);
}

static void console_fail(struct wire_console_call *c, const struct err *e)
{
	wire_console_fn *fn = c->fn;
	void *arg = c->arg;
	struct err copy;

	err_copy(&copy, e);
	wire_console_cancel(c);
	fn(arg, -1, NULL, &copy);
}

static void console_closed(void *arg, const struct err *e)
{
	console_fail(arg, e);
}

static void console_late(void *arg)
{
	struct err e;

	err_set(&e, ERR_TIMEOUT, "console: no answer from the launcher within %d ms",
		wire_verbs[WIRE_console].limit_ms);
	console_fail(arg, &e);
}

static void console_line(void *arg, char *line, size_t len)
{
	struct wire_console_call *c = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(str_done) struct str rest = { 0 };
	struct err e;
	int fd;

	d = json_parse(line, len, &e);
	if (d && !json_get(json_root(d), "ok"))
		reply_error(json_get(json_root(d), "error"), &e);
	if (!d || !json_get(json_root(d), "ok")) {
		console_fail(c, &e);
		return;
	}
	fd = lines_take_fd(TAKE(c->lines), &rest);
	c->fn(c->arg, fd, &rest, NULL);
	wire_console_cancel(c);
}

struct wire_console_call *wire_console_open(
	struct loop *l, const char *path, const char *mode, wire_console_fn *fn, void *arg, struct err *e)
{
	static const struct lines_ops ops = { .line = console_line, .closed = console_closed };
	struct wire_console_call *c;
	CLEANUP(str_done) struct str s = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *args = json_new_obj(d);
	int fd;

	if (unix_connect(path, &fd, e) < 0)
		return NULL;
	c = MEM_NEW(struct wire_console_call);
	c->fn = fn;
	c->arg = arg;
	c->timer = loop_timer_new(l, console_late, c);
	loop_timer_set(c->timer, wire_verbs[WIRE_console].limit_ms);
	c->lines = lines_new(l, fd, WIRE_LINE_MAX, WIRE_OUT_MAX, &ops, c);
	json_set_str(d, args, "mode", mode ? mode : "takeover");
	request_text(&s, 1, WIRE_console, args, 0);
	lines_write(c->lines, s.data, s.len);
	return c;
}
