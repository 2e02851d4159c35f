/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/serve.h - what the node answers for the API server: logs (logs.c), exec (exec.c), attach (attach.c),
 * port-forward (forward*.c). */
#pragma once

#include "platform/agent/impl.h"

/* Something that a client holds open. */
struct served {
	struct served *next, **prev;
	void (*stop)(struct served *s); /* the agent ends: off the list already, frees itself */
};
void served_add(struct agent *a, struct served *s, void (*stop)(struct served *));
void served_remove(struct served *s);

void serve_error(struct http_req *r, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A flag of the query as Kubernetes reads it: there, and neither "0" nor "false". */
bool serve_flag(struct http_req *r, const char *name);
/* The container that the request names, or the only one. NULL: answered already. */
struct ctr *serve_container(struct agent *a, const struct obj *pod, struct http_req *r);
void serve_log(struct agent *a, const struct obj *pod, struct http_req *r);
void serve_exec(struct agent *a, const struct obj *pod, struct http_req *r);
void serve_attach(struct agent *a, const struct obj *pod, struct http_req *r);
void serve_port_forward(struct agent *a, const struct obj *pod, struct http_req *r);
