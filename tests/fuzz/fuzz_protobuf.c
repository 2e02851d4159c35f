/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in protobuf from outside. The first byte chooses the resource of the URL, the rest is what follows "k8s\0". */
#include "base/mem.h"
#include "platform/codec/codec.h"
#include "platform/kinds/builtin.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct resource *choose(const struct registry *g, unsigned n)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++) {
		if (n < gv->n)
			return gv->items[n];
		n -= (unsigned)gv->n;
	}
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct registry *g; /* made once: tables do not change */
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(str_done) struct str body = { 0 };
	struct err e = { 0 };

	if (!g) {
		g = registry_new();
		builtin_register(g);
	}
	if (len < 1)
		return 0;
	str_addn(&body, "k8s\0", 4);
	str_addn(&body, (const char *)data + 1, len - 1);
	if (protobuf_decode(g, choose(g, data[0]), body.data, body.len, &d, &e) == 0)
		MUST(json_is_obj(json_root(d)) && json_depth_ok(json_root(d)));
	return 0;
}
