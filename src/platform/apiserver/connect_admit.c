/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/connect_admit.h"

#include "base/mem.h"
#include "platform/admission/admission.h"

#include <string.h>

struct connect {
	struct apiserver *s;
	struct request *r;
	struct resource *res;
	char *ns, *name, *sub;
	struct strv warnings;
	struct admit *admit;
	connect_fn *fn;
};

static void connect_free(struct connect *c)
{
	admit_cancel(c->admit);
	resource_unref(c->res);
	free(c->ns);
	free(c->name);
	free(c->sub);
	strv_done(&c->warnings);
	free(c);
}

static void connect_aborted(void *arg)
{
	connect_free(arg);
}

static void connect_answered(void *arg, struct json_doc *status, const struct json *object)
{
	struct connect *c = arg;
	struct request *r = c->r;

	(void)object; /* what a webhook makes of the options is not followed: the query says what is done */
	c->admit = NULL;
	request_on_abort(r, NULL, NULL);
	for (size_t i = 0; i < c->warnings.len; i++)
		request_warn(r, "%s", c->warnings.items[i]);
	if (status) {
		int code = (int)json_i64(json_get(json_root(status), "code"));

		request_reply_json(r, code ? code : 500, json_root(status));
	} else {
		c->fn(c->s, r, c->res, c->ns, c->name, c->sub);
	}
	connect_free(c);
}

static void set_from_query(struct json_doc *d, struct json *o, const char *name, const char *value)
{
	static const char *const flags[] = { "stdin", "stdout", "stderr", "tty", NULL };
	int64_t port;

	if (str_in(name, flags))
		json_set_bool(d, o, name, str_eq(value, "true") || str_eq(value, "1"));
	else if (str_eq(name, "command"))
		json_append_str(d, json_need_arr(d, o, name), value);
	else if (str_eq(name, "ports") && str_to_i64(value, 0, 65535, &port))
		json_append(d, json_need_arr(d, o, name), json_new_i64(d, port));
	else if (str_eq(name, "container") || str_eq(name, "path"))
		json_set_str(d, o, name, value);
}

static struct json_doc *options_of(const struct request *r, const struct resource *res, const char *sub)
{
	const struct subresource *s = resource_sub(res, sub);
	struct json_doc *d = json_lit("{'kind':'','apiVersion':'v1'}");
	const char *name, *value;

	json_set_str(d, json_root(d), "kind", s && s->kind ? s->kind : res->kind->kind);
	for (size_t i = 0; request_query_each(r, &i, &name, &value);)
		set_from_query(d, json_root(d), name, value ? value : "");
	return d;
}

void connect_admitted(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i, connect_fn *fn)
{
	CLEANUP(json_doc_freep) struct json_doc *options = options_of(r, res, i->sub);
	struct connect *c = MEM_NEW(struct connect);
	struct admission_in in = { .res = res,
		.sub = i->sub,
		.operation = "CONNECT",
		.ns = i->ns ? i->ns : "",
		.name = i->name,
		.user = request_user(r),
		.object = json_root(options) };
	struct admit *admit;

	*c = (struct connect){ .s = s,
		.r = r,
		.res = resource_ref(res),
		.ns = mem_strdup(in.ns),
		.name = mem_strdup(i->name),
		.sub = mem_strdup(i->sub),
		.fn = fn };
	request_on_abort(r, connect_aborted, c);
	in.client = &c->r;
	admit = admit_start(s->admitter, &in, &c->warnings, connect_answered, c);
	if (admit)
		c->admit = admit;
}
