/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "kube/cache.h"

static const struct kind kind_lease = { .group = "coordination.k8s.io",
	.version = "v1",
	.kind = "Lease",
	.plural = "leases",
	.singular = "lease",
	.namespaced = true };

/* Those who wait watch the lease, so one given back is seen at once. How long a holder has been silent is measured by our own
 * clock from the moment we saw its last sign of life: clocks of two hosts are never compared. */
struct lease {
	struct kube_client *client;
	struct loop *loop;
	struct cache *cache; /* just this one object */
	char *ns, *name, *key, *identity;
	struct lease_ops ops;
	void *arg;
	struct loop_timer *timer;
	struct kube_call *call;
	struct obj *seen; /* the newest we know of, from the watch or from our own write */
	int64_t seen_at;  /* mono */
	bool leader, tell_lost;
	int64_t renewed_at; /* mono, when the last successful write was begun */
	int64_t began_at;   /* of the write under way */
	loop_fn *released;
	void *released_arg;
};

#define LEASE_RELEASE_MS 5000 /* an orderly stop waits no longer for the server */

static void lease_try(void *arg);
static void lease_gone(struct lease *l);
static void lease_give_back(struct lease *l);

static void lease_see(struct lease *l, const struct obj *o)
{
	struct obj *old = l->seen;

	if (old && o && obj_rv(o) <= obj_rv(old) && str_eq(obj_uid(o), obj_uid(old)))
		return;
	l->seen = o ? obj_ref(o) : NULL;
	obj_unref(old);
	l->seen_at = loop_mono_ms(l->loop);
}

static const char *holder_of(const struct lease *l)
{
	const char *s = l->seen ? json_at_str(obj_json(l->seen), "/spec/holderIdentity") : NULL;

	return s ? s : "";
}

static bool held_by_us(const struct lease *l)
{
	return str_eq(holder_of(l), l->identity);
}

static int64_t silent_until(const struct lease *l)
{
	return l->seen_at + json_i64(json_at(obj_json(l->seen), "/spec/leaseDurationSeconds")) * 1000;
}

/* Told from the timer: lost() may free us, which a cache handler must not. */
static void lease_lose(struct lease *l, const char *why)
{
	log_warn("lease %s: lost: %s", l->key, why);
	l->leader = false;
	l->tell_lost = true;
	loop_timer_set(l->timer, 0);
}

static void lease_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct lease *l = arg;

	lease_see(l, new);
	if (l->released)
		return;
	if (l->leader && new && !held_by_us(l)) {
		lease_lose(l, "another holds it");
		return;
	}
	if (!l->leader && !l->call)
		loop_timer_set(l->timer, 0);
}

/* ---- writing ---- */
static struct json_doc *lease_doc(const struct lease *l, const char *holder, int64_t seconds)
{
	struct json_doc *d = l->seen ? obj_draft(l->seen) : json_lit("{'metadata':{}}");
	struct json *root = json_root(d), *spec = json_need_obj(d, root, "spec");
	bool new_holder = !str_empty(holder) && !str_eq(holder, holder_of(l));
	char now[TIME_TEXT_MAX];

	time_rfc3339_micro(loop_wall_ms(l->loop), now);
	json_set_str(d, root, "apiVersion", "coordination.k8s.io/v1");
	json_set_str(d, root, "kind", "Lease");
	json_put_str(d, root, "/metadata/name", l->name);
	json_put_str(d, root, "/metadata/namespace", l->ns);
	json_set(d, spec, "holderIdentity", json_new_str(d, holder));
	json_set_i64(d, spec, "leaseDurationSeconds", seconds);
	json_set_str(d, spec, "renewTime", now);
	if (new_holder || !json_get(spec, "acquireTime"))
		json_set_str(d, spec, "acquireTime", now);
	if (!json_get(spec, "leaseTransitions"))
		json_set_i64(d, spec, "leaseTransitions", 0);
	else if (new_holder)
		json_set_i64(d, spec, "leaseTransitions", json_i64(json_get(spec, "leaseTransitions")) + 1);
	return d;
}

static void lease_send(struct lease *l, const char *holder, int64_t seconds, kube_done_fn *done)
{
	CLEANUP(json_doc_freep) struct json_doc *d = lease_doc(l, holder, seconds);

	l->began_at = loop_mono_ms(l->loop);
	l->call = l->seen ? kube_update(l->client, &kind_lease, l->ns, l->name, NULL, json_root(d), done, l)
			  : kube_create(l->client, &kind_lease, l->ns, json_root(d), done, l);
}

static void lease_read(void *arg, const struct obj *o, const struct err *e)
{
	struct lease *l = arg;

	l->call = NULL;
	if (o)
		lease_see(l, o);
	else if (e && e->code == ERR_NOT_FOUND)
		lease_see(l, NULL);
	if (l->released) {
		lease_give_back(l);
		return;
	}
	if (l->leader && o && !held_by_us(l)) {
		lease_lose(l, "another holds it");
		return;
	}
	loop_timer_set(l->timer, e && e->code != ERR_NOT_FOUND ? LEASE_RETRY_MS : 0);
}

static void lease_written(void *arg, const struct obj *o, const struct err *e)
{
	struct lease *l = arg;

	l->call = NULL;
	if (o)
		lease_see(l, o);
	if (l->released) {
		lease_give_back(l);
		return;
	}
	if (o) {
		l->renewed_at = l->began_at;
		loop_timer_set(l->timer, LEASE_RENEW_MS);
		if (l->leader)
			return;
		l->leader = true;
		log_info("lease %s: %s leads", l->key, l->identity);
		l->ops.leading(l->arg);
		return;
	}
	log_debug("lease %s: %s", l->key, e ? e->msg : "no object in the answer");
	if (e && (e->code == ERR_CONFLICT || e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND)) {
		l->call = kube_get(l->client, &kind_lease, l->ns, l->name, lease_read, l);
		return;
	}
	loop_timer_set(l->timer, LEASE_RETRY_MS);
}

static void lease_try(void *arg)
{
	struct lease *l = arg;
	int64_t now = loop_mono_ms(l->loop), until;

	if (l->released) {
		if (l->call)
			log_warn("lease %s: not given back in time", l->key);
		lease_gone(l);
		return;
	}
	if (l->tell_lost) {
		l->tell_lost = false;
		loop_timer_set(l->timer, LEASE_RETRY_MS);
		l->ops.lost(l->arg);
		return;
	}
	if (l->leader && now - l->renewed_at >= LEASE_RENEW_DEADLINE_MS) {
		kube_call_cancel(TAKE(l->call));
		lease_lose(l, "not renewed in time");
		return;
	}
	if (l->call) { /* a slow answer: look again when it would be too late */
		loop_timer_set(l->timer, LEASE_RETRY_MS);
		return;
	}
	if (!l->leader && l->seen && !held_by_us(l) && holder_of(l)[0]) {
		until = silent_until(l);
		if (now < until) {
			loop_timer_set(l->timer, until - now);
			return;
		}
	}
	lease_send(l, l->identity, LEASE_DURATION_MS / 1000, lease_written);
	loop_timer_set(l->timer, LEASE_RETRY_MS);
}

static void lease_synced(void *arg)
{
	struct lease *l = arg;

	loop_timer_set(l->timer, 0);
}

/* ---- the outside ---- */
struct lease *lease_new(struct kube_client *c, const char *ns, const char *name, const char *identity,
	const struct lease_ops *ops, void *arg)
{
	struct lease *l = MEM_NEW(struct lease);
	CLEANUP(mem_freep) char *selector = str_printf("metadata.name=%s", name);

	l->client = c;
	l->loop = kube_client_loop(c);
	l->ns = mem_strdup(ns);
	l->name = mem_strdup(name);
	l->key = kind_key(ns, name);
	l->identity = mem_strdup(identity);
	l->ops = *ops;
	l->arg = arg;
	l->timer = loop_timer_new(l->loop, lease_try, l);
	l->cache = cache_new(c, &kind_lease, &(struct cache_opts){ .ns = ns, .field_selector = selector });
	cache_on_change(l->cache, lease_changed, l);
	cache_on_synced(l->cache, lease_synced, l);
	cache_start(l->cache);
	return l;
}

bool lease_is_leader(const struct lease *l)
{
	return l->leader;
}

void lease_free(struct lease *l)
{
	if (!l)
		return;
	kube_call_cancel(l->call);
	cache_free(l->cache);
	loop_timer_free(l->timer);
	obj_unref(l->seen);
	free(l->ns);
	free(l->name);
	free(l->key);
	free(l->identity);
	free(l);
}

static void lease_gone(struct lease *l)
{
	loop_fn *fn = l->released;
	void *fn_arg = l->released_arg;

	lease_free(l);
	fn(fn_arg);
}

static void lease_given_back(void *arg, const struct obj *o, const struct err *e)
{
	struct lease *l = arg;

	l->call = NULL;
	if (e)
		log_warn("lease %s: not given back: %s", l->key, e->msg);
	lease_gone(l);
}

static void lease_give_back(struct lease *l)
{
	if (held_by_us(l))
		lease_send(l, "", 1, lease_given_back);
	else
		lease_gone(l);
}

void lease_release(struct lease *l, loop_fn *done, void *arg)
{
	bool leader = l->leader;

	l->released = done;
	l->released_arg = arg;
	l->leader = false;
	loop_timer_set(l->timer, leader || l->call ? LEASE_RELEASE_MS : 0);
	/* A renewal under way ends first: until then we do not know the version to replace. */
	if (leader && !l->call)
		lease_send(l, "", 1, lease_given_back);
}
