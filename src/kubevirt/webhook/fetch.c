/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that a pure decision asks for: it is made again after each, until it has all it wants to see. */
#include <string.h>

#include "base/mem.h"
#include "kubevirt/webhook/server_impl.h"

static const struct json *get(struct it_lookup *l, const struct kind *k, const char *ns, const char *name)
{
	struct fetch *f = l->arg;

	for (size_t i = 0; i < f->n; i++) {
		const struct fetched *x = &f->items[i];
		if (kind_is(x->kind, k) && str_eq(x->ns, ns) && str_eq(x->name, name))
			return x->o ? obj_json(x->o) : NULL;
	}
	if (f->n == FETCH_MAX || l->pending || str_empty(name))
		return NULL; /* one after the other; too many are not there */
	f->items[f->n] =
		(struct fetched){ .kind = k, .ns = ns ? mem_strdup(ns) : NULL, .name = mem_strdup(name) };
	l->pending = true;
	return NULL;
}

void fetch_init(struct fetch *f, struct virt_api *a, void (*again)(void *arg, const struct err *e), void *arg)
{
	*f = (struct fetch){ .api = a, .again = again, .arg = arg };
	f->lookup = (struct it_lookup){ .get = get, .arg = f };
}

void fetch_done(struct fetch *f)
{
	kube_call_cancel(f->kube);
	for (size_t i = 0; i < FETCH_MAX; i++) {
		free(f->items[i].ns);
		free(f->items[i].name);
		obj_unref(f->items[i].o);
	}
	*f = (struct fetch){ 0 };
}

static void got(void *arg, const struct obj *o, const struct err *e)
{
	struct fetch *f = arg;
	struct err mine;

	f->kube = NULL;
	f->lookup.pending = false;
	if (e && e->code != ERR_NOT_FOUND) {
		err_copy(&mine, e);
		f->again(f->arg, &mine);
		return;
	}
	f->items[f->n++].o = o ? obj_ref(o) : NULL;
	f->again(f->arg, NULL);
}

bool fetch_pending(struct fetch *f)
{
	const struct fetched *x = &f->items[f->n];

	if (!f->lookup.pending)
		return false;
	f->kube = kube_get(f->api->spec.client, x->kind, x->ns, x->name, got, f);
	return true;
}
