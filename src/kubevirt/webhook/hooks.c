/* SPDX-License-Identifier: Apache-2.0 */
/* Admission over HTTP: fetch what the hook needs, then let kubevirt/webhook/review.h decide. */
#include <string.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server_impl.h"

struct hook_call {
	struct virt_api *api;
	struct http_req *req;
	const struct hook *hook;
	struct json_doc *review;
	struct obj *vmi;
	struct json_doc *migrations;
	size_t count;
	struct kube_call *kube;
	struct fetch fetch;
};

static void hook_free(void *arg)
{
	struct hook_call *h = arg;

	kube_call_cancel(h->kube);
	fetch_done(&h->fetch);
	json_doc_free(h->review);
	json_doc_free(h->migrations);
	obj_unref(h->vmi);
	free(h);
}

static void failed(struct hook_call *h, const struct err *e)
{
	log_warn("%s: looking things up failed: %s", h->hook->path, e->msg);
	reply_err(h->req, e);
}

static void answer(struct hook_call *h)
{
	char uuid[37], serial[37];
	struct json_doc *d = NULL;
	struct err e;

	crypto_uuid(uuid);
	crypto_uuid(serial);
	const struct review_env env = { .config = &h->api->config,
		.install_ns = h->api->install_ns,
		.uuid = uuid,
		.serial = serial,
		.vmi = h->vmi ? obj_json(h->vmi) : NULL,
		.migrations = h->migrations ? json_root(h->migrations) : NULL,
		.count = h->count,
		.lookup = &h->fetch.lookup };
	if (review_answer(h->hook, json_root(h->review), &env, &d, &e) < 0) {
		reply_err(h->req, &e);
		return;
	}
	if (fetch_pending(&h->fetch)) {
		json_doc_free(d);
		return;
	}
	struct review_count *n = &h->api->reviews[h->hook->id];
	if (json_bool(json_at(json_root(d), "/response/allowed")))
		n->allowed++;
	else
		n->refused++;
	reply_json(h->req, 200, json_root(d));
	json_doc_free(d);
}

static void fetched(void *arg, const struct err *e)
{
	if (e)
		failed(arg, e);
	else
		answer(arg);
}

static void listed(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct hook_call *h = arg;

	h->kube = NULL;
	if (e &&
		e->code !=
			ERR_NOT_FOUND) { /* the kind itself may be gone already, in the middle of a removal */
		failed(h, e);
		return;
	}
	h->count = n;
	if (h->hook->needs == NEEDS_VMI_AND_MIGRATIONS) {
		h->migrations = json_doc_new();
		struct json *a = json_new_arr(h->migrations);
		json_set_root(h->migrations, a);
		for (size_t i = 0; i < n; i++)
			json_append(h->migrations, a, json_copy(h->migrations, obj_json(items[i])));
	}
	answer(h);
}

static void list(struct hook_call *h, const struct kind *k, const char *ns)
{
	const struct kube_list_opts opts = { .ns = ns };
	h->kube = kube_list(h->api->spec.client, k, &opts, listed, h);
}

static void got_vmi(void *arg, const struct obj *o, const struct err *e)
{
	struct hook_call *h = arg;
	const char *ns;

	h->kube = NULL;
	if (e && e->code != ERR_NOT_FOUND) {
		failed(h, e);
		return;
	}
	h->vmi = o ? obj_ref(o) : NULL;
	if (h->hook->needs == NEEDS_VMI) {
		answer(h);
		return;
	}
	review_vmi_name(json_root(h->review), &ns);
	list(h, &kind_vmim, ns);
}

void hooks_serve(struct virt_api *a, const struct hook *hook, struct http_req *r)
{
	struct hook_call *h = MEM_NEW(struct hook_call);
	size_t len;
	const char *body = http_req_body(r, &len), *ns = NULL, *vmi;
	struct err e;

	*h = (struct hook_call){ .api = a, .req = r, .hook = hook };
	fetch_init(&h->fetch, a, fetched, h);
	http_req_set_ctx(r, h, hook_free);
	h->review = json_parse(body, len, &e);
	if (!h->review) {
		reply_err(r, &e);
		return;
	}
	switch (hook->needs) {
	case NEEDS_NOTHING:
		answer(h);
		return;
	case NEEDS_KUBEVIRT_COUNT:
		list(h, &kind_kubevirt, NULL);
		return;
	case NEEDS_VMI_COUNT:
		list(h, &kind_vmi, NULL);
		return;
	case NEEDS_VMI:
	case NEEDS_VMI_AND_MIGRATIONS:
		vmi = review_vmi_name(json_root(h->review), &ns);
		if (str_empty(vmi) || str_empty(ns))
			answer(h);
		else
			h->kube = kube_get(a->spec.client, &kind_vmi, ns, vmi, got_vmi, h);
		return;
	}
}
