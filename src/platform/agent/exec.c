/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/serve.h"

void serve_exec(struct agent *a, const struct obj *pod, struct http_req *r)
{
	serve_error(r, ERR_NOT_IMPLEMENTED, "exec is not built in yet");
}

void serve_attach(struct agent *a, const struct obj *pod, struct http_req *r)
{
	serve_error(r, ERR_NOT_IMPLEMENTED, "attach is not built in yet");
}

void serve_port_forward(struct agent *a, const struct obj *pod, struct http_req *r)
{
	serve_error(r, ERR_NOT_IMPLEMENTED, "port-forward is not built in yet");
}
