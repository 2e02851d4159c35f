/* SPDX-License-Identifier: Apache-2.0 */
/* A launcher is asked for another number of sockets; what became of it is kept until it was reported. */
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/handler/links_impl.h"

struct cpus_ask {
	struct link *link;
	int64_t target;
};

/* The answer may be here before the STATE that says the same. */
static void answered(struct link *k, int64_t sockets)
{
	struct json *cpus = k->state ? json_get(json_root(k->state), "cpus") : NULL;

	if (!cpus)
		return;
	json_set_i64(k->state, cpus, "sockets", sockets);
	json_set_bool(k->state, cpus, "changing", false);
}

static void cpus_done(void *arg, const struct err *e)
{
	CLEANUP(mem_freep) struct cpus_ask *a = arg;
	struct link *k = a->link;
	struct guest_cpus *c = &k->facts.cpus;

	/* A newer request must not be taken for the end of an older one. */
	if (!c->busy || c->target != a->target)
		return;
	c->busy = false;
	/* Without launcher there is no result: asked again when it is back. */
	c->done = !e || e->code != ERR_UNREACHABLE;
	c->refused = e && e->code == ERR_INVALID;
	if (!e)
		answered(k, a->target);
	if (e && c->done) {
		c->failures++;
		c->failed_at = loop_wall_ms(k->all->spec.loop);
		log_warn("%s: %lld sockets: %s", k->key, (long long)a->target, e->msg);
	}
	free(k->cpus_error);
	c->error = k->cpus_error = e && c->done ? mem_strdup(e->msg) : NULL;
	link_changed(k);
}

void links_set_cpus(struct links *l, const char *uid, int64_t sockets, bool remove)
{
	struct link *k = link_connected(l, uid);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct guest_cpus *c;
	struct cpus_ask *a;
	struct json *args;

	if (!k || guest_cpus_are(&k->facts, sockets))
		return;
	d = json_doc_new();
	args = json_new_obj(d);
	json_set_i64(d, args, "sockets", sockets);
	if (remove)
		json_set_i64(d, args, "remove", 1);
	c = &k->facts.cpus;
	if (c->target != sockets)
		c->failures = 0;
	*c = (struct guest_cpus){
		.busy = true, .target = sockets, .failures = c->failures, .failed_at = c->failed_at
	};
	log_info("%s: guest CPUs to %lld sockets", k->key, (long long)sockets);
	a = MEM_NEW(struct cpus_ask);
	*a = (struct cpus_ask){ k, sockets };
	link_ask(k, WIRE_set_cpus, args, cpus_done, a);
}

void links_cpus_seen(struct links *l, const char *uid)
{
	struct link *k = link_find(l, uid);

	if (!k || !k->facts.cpus.done)
		return;
	k->facts.cpus.done = false;
	if (!k->facts.cpus.error)
		k->facts.cpus.failures = 0;
}
