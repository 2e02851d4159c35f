/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the virt-handler of a node. */
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server_impl.h"

static bool usable(const struct json *pod)
{
	return !str_empty(json_at_str(pod, "/status/podIP")) &&
	       str_eq(json_at_str(pod, "/status/phase"), "Running") &&
	       !json_at(pod, "/metadata/deletionTimestamp");
}

static void found(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct call *c = arg;
	struct err mine;
	const char *ip = NULL;

	c->kube = NULL;
	if (e) {
		call_fail(c, e);
		return;
	}
	for (size_t i = 0; i < n && !ip; i++)
		if (usable(obj_json(items[i])))
			ip = json_at_str(obj_json(items[i]), "/status/podIP");
	if (!ip || !c->api->handler_tls) {
		err_set(&mine, ERR_UNAVAILABLE,
			ip ? "no certificate for virt-handler yet"
			   : "no virt-handler is running on the node");
		call_fail(c, &mine);
		return;
	}
	const struct http_client_spec spec = {
		.host = ip, .port = c->api->spec.handler_port, .tls = c->api->handler_tls, .conns_max = 1
	};
	c->handler_ip = mem_strdup(ip);
	c->handler = http_client_new(c->api->spec.loop, &spec);
	c->then(c);
}

void handler_find(struct call *c, const char *node, void (*then)(struct call *c))
{
	CLEANUP(mem_freep) char *fields = str_printf("spec.nodeName=%s", node ? node : "");
	const struct kube_list_opts opts = { .ns = c->api->install_ns,
		.label_selector = LABEL_APP "=" KV_VIRT_HANDLER,
		.field_selector = fields };

	c->then = then;
	c->kube = kube_list(c->api->spec.client, &kind_pod, &opts, found, c);
}
