/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/fake_qmp.h"

#include "base/mem.h"
#include "qemu/lines.h"
#include "qemu/qmp_cmds.h"

#include <string.h>

#define FAKE_MAX (16 * 1024 * 1024)

struct fake_qmp {
	struct loop *loop;
	struct lines *lines;
	struct loop_timer *drip;
	struct str queue;
	bool split;
	fake_qmp_fn *fn;
	void *arg;
};

void fake_qmp_free(struct fake_qmp *f)
{
	if (!f)
		return;
	lines_free(f->lines);
	loop_timer_free(f->drip);
	str_done(&f->queue);
	free(f);
}

static void drip(void *arg)
{
	struct fake_qmp *f = arg;

	if (!f->queue.len || !f->lines)
		return;
	lines_write(f->lines, f->queue.data, 1);
	str_drop_front(&f->queue, 1);
	loop_timer_set(f->drip, 0);
}

void fake_qmp_raw(struct fake_qmp *f, const void *data, size_t len)
{
	if (!f->lines)
		return;
	if (!f->split) {
		lines_write(f->lines, data, len);
		return;
	}
	str_addn(&f->queue, data, len);
	loop_timer_set(f->drip, 0);
}

void fake_qmp_split(struct fake_qmp *f)
{
	f->split = true;
}

static void send_line(struct fake_qmp *f, struct str *s)
{
	str_add(s, "\r\n");
	fake_qmp_raw(f, s->data, s->len);
	str_done(s);
}

void fake_qmp_greet(struct fake_qmp *f)
{
	struct str s = { 0 };

	str_add(&s,
		"{\"QMP\":{\"version\":{\"qemu\":{\"micro\":22,\"minor\":2,\"major\":7},\"package\":\"\"},"
		"\"capabilities\":[\"oob\"]}}");
	send_line(f, &s);
}

static void add_quoted(struct str *s, const char *text)
{
	for (; *text; text++)
		str_addc(s, *text == '\'' ? '"' : *text);
}

void fake_qmp_event(struct fake_qmp *f, const char *name, const char *data)
{
	struct str s = { 0 };

	str_addf(&s, "{\"timestamp\":{\"seconds\":1,\"microseconds\":2},\"event\":\"%s\"", name);
	if (data) {
		str_add(&s, ",\"data\":");
		add_quoted(&s, data);
	}
	str_addc(&s, '}');
	send_line(f, &s);
}

static void fake_line(void *arg, char *line, size_t len)
{
	struct fake_qmp *f = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(line, len, NULL);
	const char *cmd = json_get_str(json_root(d), "execute"), *text = NULL;
	struct fake_answer answer = { 0 };
	struct str s = { 0 };
	enum qmp_cmd known;

	if (!cmd) {
		str_add(&s, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error\"}}");
		send_line(f, &s);
		return;
	}
	if (!qmp_cmd_parse(cmd, &known)) {
		str_addf(&s,
			"{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command %s has not been "
			"found\"}",
			cmd);
	} else {
		if (f->fn && known != QMP_qmp_capabilities)
			text = f->fn(f->arg, cmd, json_get(json_root(d), "arguments"), &answer);
		if (answer.silent)
			return;
		if (answer.error)
			str_addf(&s, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"%s\"}", answer.error);
		else
			add_quoted(&s, "{'return':"), add_quoted(&s, text ? text : "{}");
	}
	str_addf(&s, ",\"id\":%llu}", (unsigned long long)json_u64(json_get(json_root(d), "id")));
	send_line(f, &s);
}

static void fake_closed(void *arg, const struct err *e)
{
	struct fake_qmp *f = arg;

	(void)e;
	lines_free(TAKE(f->lines));
}

struct fake_qmp *fake_qmp_new(struct loop *l, int fd, fake_qmp_fn *fn, void *arg)
{
	static const struct lines_ops ops = { .line = fake_line, .closed = fake_closed };
	struct fake_qmp *f = MEM_NEW(struct fake_qmp);

	f->loop = l;
	f->fn = fn;
	f->arg = arg;
	f->drip = loop_timer_new(l, drip, f);
	f->lines = lines_new(l, fd, FAKE_MAX, FAKE_MAX, &ops, f);
	return f;
}
