/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, and may they: front-proxy client certificate, X-Remote-* headers, SubjectAccessReview (kubevirt-api.md 2).
 * virt-api's own refusal is 401 in plain text. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server_impl.h"

static void refuse(struct http_req *r, const char *text)
{
	http_req_reply(r, 401, "text/plain; charset=utf-8", text, strlen(text));
}

static bool from_front_proxy(const struct virt_api *a, const struct http_req *r)
{
	const struct strv *orgs;
	const char *cn, *issuer = http_req_client_issuer(r);

	if (!http_req_client_cert(r, &cn, &orgs) || !issuer || !strv_has(&a->proxy.ca_hashes, issuer))
		return false;
	return !a->proxy.allowed_names.len || strv_has(&a->proxy.allowed_names, cn);
}

/* Extra keys come percent-encoded and in any case; they are lower-case keys. */
static char *extra_key(const char *text)
{
	struct str s = { 0 };

	for (const char *p = text; *p; p++) {
		int64_t c;
		char hex[5] = { '0', 'x', p[1], p[1] ? p[2] : 0, 0 };
		if (*p == '%' && isxdigit((unsigned char)hex[2]) && isxdigit((unsigned char)hex[3])) {
			c = strtol(hex, NULL, 16);
			str_addc(&s, (char)c);
			p += 2;
		} else {
			str_addc(&s, (char)tolower((unsigned char)*p));
		}
	}
	return str_take(&s);
}

static void add_user(
	const struct virt_api *a, const struct http_req *r, struct json_doc *d, struct json *spec)
{
	struct http_header h;
	size_t i = 0, prefix = strlen(a->proxy.extra_prefix);

	json_set_str(d, spec, "user", http_req_header(r, a->proxy.user_header));
	while (http_req_header_each(r, &i, &h)) {
		if (strcasecmp(h.name, a->proxy.group_header) == 0)
			json_append_str(d, json_need_arr(d, spec, "groups"), h.value);
		else if (strncasecmp(h.name, a->proxy.extra_prefix, prefix) == 0 && h.name[prefix]) {
			CLEANUP(mem_freep) char *key = extra_key(h.name + prefix);
			json_append_str(d, json_need_arr(d, json_need_obj(d, spec, "extra"), key), h.value);
		}
	}
}

static void answered(void *arg, const struct obj *o, const struct err *e)
{
	struct call *c = arg;
	void (*then)(struct call *) = c->then;

	c->kube = NULL;
	if (e) {
		log_warn("access review failed: %s", e->msg);
		call_fail(c, e);
		return;
	}
	if (!json_bool(json_at(obj_json(o), "/status/allowed"))) {
		const char *reason = json_at_str(obj_json(o), "/status/reason");
		refuse(c->req, str_empty(reason) ? "unauthorized" : reason);
		return;
	}
	then(c);
}

void access_check(struct call *c, const char *rbac_verb, void (*then)(struct call *c))
{
	struct virt_api *a = c->api;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	if (!from_front_proxy(a, c->req)) {
		refuse(c->req, "request is not authenticated");
		return;
	}
	if (str_empty(http_req_header(c->req, a->proxy.user_header))) {
		refuse(c->req, "user header is missing");
		return;
	}
	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "authorization.k8s.io/v1");
	json_set_str(d, o, "kind", "SubjectAccessReview");
	struct json *spec = json_need_obj(d, o, "spec");
	add_user(a, c->req, d, spec);
	struct json *attr = json_need_obj(d, spec, "resourceAttributes");
	json_set_str(d, attr, "namespace", c->ns);
	json_set_str(d, attr, "verb", rbac_verb);
	json_set_str(d, attr, "group", SUBRESOURCES_GROUP);
	json_set_str(d, attr, "version", c->version);
	json_set_str(d, attr, "resource", c->resource);
	json_set_str(d, attr, "subresource", c->sub);
	json_set_str(d, attr, "name", c->name);
	c->then = then;
	c->kube = kube_create(a->spec.client, &kind_subjectaccessreview, NULL, o, answered, c);
}
