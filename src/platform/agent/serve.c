/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/serve.h"

#include "api/status.h"

#include <stdarg.h>
#include <strings.h>

void serve_error(struct http_req *r, enum err_code code, const char *fmt, ...)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(mem_freep) char *text = NULL;
	struct err e = { 0 };
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&e, code, fmt, ap);
	va_end(ap);
	d = status_from_err(&e, NULL, NULL, NULL);
	text = json_write(json_root(d), &len);
	http_req_reply(r, err_http(code), "application/json", text, len);
}

bool serve_flag(struct http_req *r, const char *name)
{
	const char *text = http_req_query(r, name);

	return text && !str_eq(text, "0") && strcasecmp(text, "false") != 0;
}

struct ctr *serve_container(struct agent *a, const struct obj *pod, struct http_req *r)
{
	struct pod *p = keymap_get(&a->by_uid, obj_uid(pod));
	const char *name = http_req_query(r, "container");
	CLEANUP(str_done) struct str choices = { 0 };
	struct ctr *only = NULL;
	size_t mains = 0;

	if (!p) {
		serve_error(r, ERR_NOT_FOUND, "pod %s is not on node %s", obj_key(pod), a->node_name);
		return NULL;
	}
	for (size_t i = 0; i < p->n_ctrs; i++) {
		if (!str_empty(name) && str_eq(p->ctrs[i]->name, name))
			return p->ctrs[i];
		if (p->ctrs[i]->class != CTR_MAIN)
			continue;
		only = mains++ ? only : p->ctrs[i];
		str_addf(&choices, "%s%s", mains > 1 ? " " : "", p->ctrs[i]->name);
	}
	if (!str_empty(name)) {
		serve_error(r, ERR_BAD_REQUEST, "container %s is not valid for pod %s", name, obj_name(pod));
		return NULL;
	}
	if (mains != 1) {
		serve_error(r, ERR_BAD_REQUEST,
			"a container name must be specified for pod %s, choose one of: [%s]", obj_name(pod),
			str_cstr(&choices));
		return NULL;
	}
	return only;
}

void agent_serve(struct agent *a, const char *verb, const struct obj *pod, struct http_req *r)
{
	if (str_eq(verb, "log"))
		serve_log(a, pod, r);
	else if (str_eq(verb, "exec"))
		serve_exec(a, pod, r);
	else if (str_eq(verb, "attach"))
		serve_attach(a, pod, r);
	else if (str_eq(verb, "portforward"))
		serve_port_forward(a, pod, r);
	else
		serve_error(r, ERR_NOT_FOUND, "nodes do not answer %s", verb);
}
