/* SPDX-License-Identifier: Apache-2.0 */
/* What virt-api asks for, by kubevirt/api/handler_api.h. The client is known by its certificate. */
#include "api/status.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/handler_api.h"
#include "kubevirt/handler/handler_impl.h"
#include "kubevirt/wire/client.h"

static void reply_err(struct http_req *r, const struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(e, NULL, NULL, NULL);
	CLEANUP(mem_freep) char *text = NULL;
	size_t len;

	text = json_write(json_root(d), &len);
	http_req_reply(r, err_http(e->code), "application/json", text, len);
}

/* Launchers that can not be reached are a passing trouble; their refusals are passed on. */
static void reply_launcher_err(struct http_req *r, const struct err *e)
{
	struct err mine;

	err_copy(&mine, e);
	if (e->code == ERR_UNREACHABLE || e->code == ERR_TIMEOUT || e->code == ERR_NOT_FOUND)
		mine.code = ERR_UNAVAILABLE;
	reply_err(r, &mine);
}

/* ---- verbs without arguments ---- */
struct verb_ask {
	struct http_req *req; /* NULL: the client has gone */
};

static void verb_client_gone(void *ctx)
{
	((struct verb_ask *)ctx)->req = NULL;
}

static void verb_done(void *arg, const struct err *e)
{
	struct verb_ask *a = arg;
	struct http_req *r = a->req;

	if (r && e)
		reply_launcher_err(r, e);
	else if (r)
		http_req_reply(r, 200, NULL, NULL, 0);
	free(a);
}

static void verb_serve(struct handler *h, struct http_req *r, const char *uid, enum wire_verb v)
{
	struct verb_ask *a = MEM_NEW(struct verb_ask);
	struct err e;

	a->req = r;
	if (links_ask(h->links, uid, v, verb_done, a)) {
		http_req_set_ctx(r, a, verb_client_gone);
		return;
	}
	free(a);
	err_set(&e, ERR_UNAVAILABLE, "the launcher does not answer");
	reply_err(r, &e);
}

/* ---- console ---- */
struct console_ask {
	struct handler *handler;
	struct http_req *req;
	struct wire_console_call *call;
};

static void console_ask_free(void *ctx)
{
	struct console_ask *a = ctx;

	wire_console_cancel(a->call);
	free(a);
}

static void console_over(void *arg)
{
	log_debug("a console was closed");
}

static void console_open(void *arg, int fd, const struct str *first, const struct err *e)
{
	struct console_ask *a = arg;
	struct loop *l = a->handler->spec.loop;
	struct http_stream *client;

	a->call = NULL;
	if (fd < 0) {
		reply_launcher_err(a->req, e);
		return;
	}
	client = http_req_upgrade(a->req, HANDLER_CONSOLE_PROTO); /* ends the request, and with it a */
	if (first->len)
		http_stream_write(client, first->data, first->len);
	http_stream_pipe(client, http_stream_fd(l, fd), console_over, NULL);
}

static void console_serve(struct handler *h, struct http_req *r, const char *uid)
{
	const char *mode = http_req_query(r, "mode");
	CLEANUP(fd_closep) int fd = -1;
	char path[LINK_PATH_MAX];
	struct console_ask *a;
	struct err e;

	if (!http_req_wants_upgrade(r)) {
		err_set(&e, ERR_BAD_REQUEST, "an upgrade to %s is expected", HANDLER_CONSOLE_PROTO);
		reply_err(r, &e);
		return;
	}
	a = MEM_NEW(struct console_ask);
	*a = (struct console_ask){ .handler = h, .req = r };
	fd = links_socket(h->links, uid, path, &e);
	if (fd >= 0)
		a->call = wire_console_open(
			h->spec.loop, path, str_empty(mode) ? NULL : mode, console_open, a, &e);
	if (a->call) {
		http_req_set_ctx(r, a, console_ask_free);
		return;
	}
	free(a);
	reply_launcher_err(r, &e);
}

/* ---- routing ---- */
static const struct {
	const char *name, *method;
	enum wire_verb verb;
} verbs[] = {
	{ "pause", "PUT", WIRE_pause },
	{ "unpause", "PUT", WIRE_unpause },
	{ "reset", "PUT", WIRE_reset },
	{ "console", "GET", WIRE_console },
};

/* The uid of the guest the path names, and the row of its verb. */
static int route(struct handler *h, struct http_req *r, const char **ret_uid, size_t *ret_verb, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(http_req_path(r)), *key = NULL;
	static const char prefix[] = "/v1/namespaces/";
	char *rest = copy + sizeof(prefix) - 1;
	const char *ns, *kind, *name;
	const struct obj *vmi;

	*ret_verb = ARRAY_LEN(verbs);
	if (!str_starts(copy, prefix))
		return err_set(e, ERR_NOT_FOUND, "there is nothing at %s", http_req_path(r));
	ns = str_next(&rest, '/');
	kind = rest ? str_next(&rest, '/') : "";
	name = rest ? str_next(&rest, '/') : "";
	for (size_t i = 0; rest && str_eq(kind, "virtualmachineinstances") && i < ARRAY_LEN(verbs); i++)
		if (str_eq(rest, verbs[i].name))
			*ret_verb = i;
	if (*ret_verb == ARRAY_LEN(verbs))
		return err_set(e, ERR_NOT_FOUND, "there is nothing at %s", http_req_path(r));
	if (!str_eq(http_req_method(r), verbs[*ret_verb].method))
		return err_set(e, ERR_METHOD_NOT_ALLOWED, "%s is possible here, not %s",
			verbs[*ret_verb].method, http_req_method(r));
	key = kind_key(ns, name);
	vmi = handler_vmi(h, key);
	if (!vmi)
		return err_set(e, ERR_NOT_FOUND, "no VirtualMachineInstance \"%s\" runs on node %s", key,
			h->spec.node);
	*ret_uid = obj_uid(vmi);
	return 0;
}

/* A guest to talk to, or why there is none. */
static int guest_ready(struct handler *h, const char *uid, enum wire_verb v, struct err *e)
{
	const struct guest_facts *f = links_facts(h->links, uid);
	enum wire_phase phase;

	if (!f || !f->connected)
		return err_set(e, ERR_UNAVAILABLE, "the launcher does not answer");
	if (!wire_phase_parse(json_get_str(f->state, "phase"), &phase) ||
		!(wire_verbs[v].phases & (1u << phase)))
		return err_set(e, ERR_CONFLICT, "VMI is not running");
	return 0;
}

void rest_serve(void *handler, struct http_req *r)
{
	struct handler *h = handler;
	const struct strv *orgs;
	const char *cn, *uid = NULL;
	size_t at;
	struct err e;

	if (!http_req_client_cert(r, &cn, &orgs) || !str_eq(cn, KV_CN_HANDLER_CLIENT)) {
		err_set(&e, ERR_UNAUTHORIZED, "a certificate of %s is demanded", KV_CN_HANDLER_CLIENT);
		reply_err(r, &e);
	} else if (route(h, r, &uid, &at, &e) < 0 || guest_ready(h, uid, verbs[at].verb, &e) < 0) {
		reply_err(r, &e);
	} else if (verbs[at].verb == WIRE_console) {
		console_serve(h, r, uid);
	} else {
		verb_serve(h, r, uid, verbs[at].verb);
	}
}
