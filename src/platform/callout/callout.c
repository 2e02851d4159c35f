/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/callout/callout.h"

#include "base/mem.h"

#include <string.h>

void callout_read(const struct json *client, struct callout *ret, struct str *ret_pem)
{
	const struct json *svc = json_get(client, "service"), *ca = json_get(client, "caBundle");

	*ret = (struct callout){ .url = json_get_str(client, "url"),
		.service_ns = json_get_str(svc, "namespace"),
		.service = json_get_str(svc, "name"),
		.path = json_get_str(svc, "path"),
		.port = json_get(svc, "port") ? (int)json_i64(json_get(svc, "port")) : 443 };
	if (json_str_len(ca) > 0 && b64_decode(json_str(ca), json_str_len(ca), false, ret_pem, NULL) == 0)
		ret->ca_pem = ret_pem->data;
}

struct backend *callout_backend(
	struct callouts *out, const struct callout *c, int timeout_s, char **ret_path, struct err *e)
{
	struct backend_spec spec = { .ca_pem = c->ca_pem };
	CLEANUP(url_done) struct url url = { 0 };
	CLEANUP(mem_freep) char *host = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	const char *path;
	struct backend *b;

	if (c->url) {
		if (url_parse(c->url, &url, e) < 0)
			return NULL;
		spec.host = url.host;
		spec.port = url.port;
		path = url.path;
	} else {
		if (service_resolve(out->objects, c->service_ns ? c->service_ns : "",
			    c->service ? c->service : "", c->port, &host, &spec.port, NULL, e) < 0)
			return NULL;
		name = str_printf("%s.%s.svc", c->service, c->service_ns);
		spec.host = host;
		spec.server_name = name;
		path = c->path ? c->path : "/";
	}
	b = backend_get(out, &spec, e);
	if (b)
		*ret_path = str_printf("%s%s%stimeout=%ds", *path == '/' ? "" : "/", path,
			strchr(path, '?') ? "&" : "?", timeout_s);
	return b;
}
