/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/wire/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "qemu/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	struct conn *next;
	struct wire_server *server;
	struct lines *lines;
	struct wire_call *calls;
	bool subscribed;
};

struct wire_call {
	struct wire_call *next;
	struct conn *conn; /* NULL: gone */
	uint64_t id;
	int files[LINES_FDS_MAX];
	size_t n_files, at_file;
};

struct wire_server {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	char *path;
	const struct wire_server_ops *ops;
	void *arg;
	struct conn *conns;
	size_t n_conns;
};

static void conn_free(struct conn *c)
{
	struct wire_server *s = c->server;

	for (struct conn **at = &s->conns; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			s->n_conns--;
			break;
		}
	for (struct wire_call *k = c->calls; k; k = k->next)
		k->conn = NULL;
	lines_free(c->lines);
	free(c);
}

static void conn_closed(void *arg, const struct err *e)
{
	if (e->code == ERR_TOO_LARGE)
		log_warn("connection on the launcher socket ended: %s", e->msg);
	conn_free(arg);
}

static void conn_send(struct conn *c, const struct json *v)
{
	struct str s = { 0 };

	json_write_to(v, &s);
	str_addc(&s, '\n');
	lines_write(c->lines, s.data, s.len);
	str_done(&s);
}

/* ---- calls ---- */

int wire_call_file(struct wire_call *c)
{
	return c->at_file < c->n_files ? c->files[c->at_file++] : -1;
}

static void call_free(struct wire_call *c)
{
	for (int fd; (fd = wire_call_file(c)) >= 0;)
		close(fd);
	free(c);
}

/* As many as the request says it brings; they came with its first byte, or it lies. */
static void call_files(struct wire_call *c, const struct json *request)
{
	uint64_t n = json_u64(json_get(request, "files"));
	int fd;

	while (c->n_files < LINES_FDS_MAX && c->n_files < n && (fd = lines_next_fd(c->conn->lines)) >= 0)
		c->files[c->n_files++] = fd;
}

static void call_unlink(struct wire_call *c)
{
	for (struct wire_call **at = c->conn ? &c->conn->calls : NULL; at && *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
}

static void call_answer(struct wire_call *c, const char *key, const struct json *v)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	if (!c->conn)
		return;
	d = json_doc_new();
	o = json_new_obj(d);
	json_set(d, o, "id", json_new_u64(d, c->id));
	json_set(d, o, key, v ? json_copy(d, v) : json_new_obj(d));
	conn_send(c->conn, o);
}

void wire_call_ok(struct wire_call *c, const struct json *ok)
{
	call_answer(c, "ok", ok);
	call_unlink(c);
	call_free(c);
}

void wire_call_fail(struct wire_call *c, const struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "code", err_name(e->code));
	json_set_str(d, o, "message", e->msg);
	call_answer(c, "error", o);
	call_unlink(c);
	call_free(c);
}

void wire_call_subscribe(struct wire_call *c)
{
	if (c->conn)
		c->conn->subscribed = true;
}

int wire_call_take_fd(struct wire_call *c, struct str *rest)
{
	struct conn *conn = c->conn;
	int fd = -1;

	call_answer(c, "ok", NULL);
	call_unlink(c);
	call_free(c);
	if (conn) {
		fd = lines_take_fd(TAKE(conn->lines), rest);
		conn_free(conn);
	}
	return fd;
}

/* ---- requests ---- */

static int request(struct conn *c, const struct json *msg, struct wire_call *call, struct err *e)
{
	struct wire_server *s = c->server;
	const char *name = json_get_str(msg, "verb");
	const struct json *args = json_get(msg, "args");
	enum wire_verb v;

	if (!name || !wire_verb_parse(name, &v))
		return err_set(e, ERR_BAD_REQUEST, "no verb \"%s\"", name ? name : "");
	if (args && !json_is_obj(args))
		return err_set(e, ERR_BAD_REQUEST, "%s: args must be an object", name);
	if (wire_check(v, s->ops->phase(s->arg), args, e) < 0)
		return -1;
	s->ops->verb(s->arg, v, args, call);
	return 0;
}

static void conn_line(void *arg, char *line, size_t len)
{
	struct conn *c = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct wire_call *call;
	struct err e;

	if (!len)
		return;
	call = MEM_NEW(struct wire_call);
	call->conn = c;
	call->next = c->calls;
	c->calls = call;
	d = json_parse(line, len, &e);
	if (!d) {
		wire_call_fail(call, &e);
		return;
	}
	call->id = json_u64(json_get(json_root(d), "id"));
	call_files(call, json_root(d));
	if (request(c, json_root(d), call, &e) < 0)
		wire_call_fail(call, &e);
}

static void server_accept(void *arg, int what)
{
	static const struct lines_ops ops = { .line = conn_line, .closed = conn_closed };
	struct wire_server *s = arg;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c;

	(void)what;
	if (fd < 0)
		return;
	if (s->n_conns >= WIRE_CONNS_MAX) {
		log_warn("more than %d connections on the launcher socket, refusing one", WIRE_CONNS_MAX);
		close(fd);
		return;
	}
	c = MEM_NEW(struct conn);
	c->server = s;
	c->next = s->conns;
	s->conns = c;
	s->n_conns++;
	c->lines = lines_new(s->loop, fd, WIRE_LINE_MAX, WIRE_OUT_MAX, &ops, c);
	lines_accept_fds(c->lines);
}

void wire_server_event(struct wire_server *s, const char *event, const struct json *data)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "event", event);
	json_set(d, o, "data", data ? json_copy(d, data) : json_new_obj(d));
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->subscribed)
			conn_send(c, o); /* a failure is told later, never from in here */
}

int wire_server_new(struct loop *l, const char *path, const struct wire_server_ops *ops, void *arg,
	struct wire_server **ret, struct err *e)
{
	struct wire_server *s;
	int fd;

	if (unix_listen(path, 0600, 16, &fd, e) < 0)
		return err_wrap(e, "the launcher's socket");
	s = MEM_NEW(struct wire_server);
	s->loop = l;
	s->fd = fd;
	s->path = mem_strdup(path);
	s->ops = ops;
	s->arg = arg;
	s->watch = loop_fd_new(l, fd, LOOP_READ, server_accept, s);
	*ret = s;
	return 0;
}

void wire_server_free(struct wire_server *s)
{
	if (!s)
		return;
	while (s->conns)
		conn_free(s->conns);
	loop_fd_free(s->watch);
	close(s->fd);
	unlink(s->path);
	free(s->path);
	free(s);
}
