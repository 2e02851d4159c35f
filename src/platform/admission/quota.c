/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/quota.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/admission/plugins.h"

#include <string.h>

#define STORAGE "resourcequotas"
#define SYNC_MS 20   /* after something went: what goes together is counted together */
#define REST_MS 2000 /* bookings of other servers are written or given up by then */
/* Of a store that others write to as well: what they have booked and not yet written is not known here, so usage is counted
 * only when nobody has booked for a while. */
#define QUIET_MS 500
#define BOOK_TRIES_MAX 20 /* of a booking that meets those of other servers */

/* Usage that is booked for a write under way. */
struct quota_hold {
	struct quotas *q;
	char *ns;
	struct strv keys; /* of the quotas that count it */
	struct amounts delta;
	struct quota_hold *next, **prev;
};
/* Objects of one resource whose comings and goings change what is used. */
struct quota_follow {
	struct bucket_watch watch;
	struct quotas *q;
	char *storage;
	struct quota_follow *next;
};
struct quotas {
	struct admitter *adm;
	struct bucket_watch watch; /* the quotas */
	struct quota_follow *follows;
	struct quota_hold *holds;
	struct strv dirty; /* namespaces to be counted afresh */
	int64_t booked_at; /* a quota's status changed */
	struct loop_timer *timer;
};

static void touch(struct quotas *q, const char *ns)
{
	if (!strv_has(&q->dirty, ns))
		strv_add(&q->dirty, ns);
	if (!loop_timer_armed(q->timer))
		loop_timer_set(q->timer, SYNC_MS);
}

static struct resource *subject_of(struct admitter *adm, const char *hard)
{
	CLEANUP(mem_freep) char *group = NULL;
	CLEANUP(mem_freep) char *plural = NULL;

	if (!quota_subject(hard, &group, &plural))
		return NULL;
	return registry_storage(adm->objects->registry, group, plural);
}

/* ---- counting afresh ---- */
static void count_objects(struct admitter *adm, const struct resource *res, const char *ns,
	const struct json *spec, struct amounts *ret)
{
	static const char *const looked_into[] = { "pods", "services", "persistentvolumeclaims", NULL };
	const struct kind *k = res->kind;
	const struct bucket *b = objects_bucket(adm->objects, res->storage);
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", ns);
	bool tree = str_empty(k->group) && str_in(k->plural, looked_into); /* others are only counted */
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix);
		i++) {
		const struct json *root = tree ? obj_json(o) : NULL;

		if (quota_in_scope(spec, k->group, k->plural, root))
			quota_usage(k->group, k->plural, root, ret);
	}
}

static void add_holds(const struct quotas *q, const char *key, struct amounts *ret)
{
	for (const struct quota_hold *h = q ? q->holds : NULL; h; h = h->next)
		if (strv_has(&h->keys, key))
			amounts_add_all(ret, &h->delta);
}

/* status.hard and .used as they ought to be. */
static void set_status(struct admitter *adm, const char *ns, const char *key, struct json_doc *d)
{
	const struct json *spec = json_get(json_root(d), "spec"), *hard = json_get(spec, "hard");
	struct json *status = json_need_obj(d, json_root(d), "status"), *used;
	CLEANUP(amounts_done) struct amounts all = { 0 };
	CLEANUP(strv_done) struct strv counted = { 0 };
	char buf[QUANTITY_TEXT_MAX];

	JSON_EACH (it, hard) {
		struct resource *res = subject_of(adm, it.key);

		if (!res || !res->kind->namespaced || strv_has(&counted, res->storage))
			continue;
		strv_add(&counted, res->storage);
		count_objects(adm, res, ns, spec, &all);
	}
	add_holds(adm->quotas, key, &all);
	if (hard)
		json_set_copy(d, status, "hard", hard);
	json_set(d, status, "used", json_new_obj(d));
	used = json_get(status, "used");
	JSON_EACH (it, hard) {
		const struct quantity *n = amounts_get(&all, it.key);

		json_set_str(d, used, it.key, n ? quantity_text(n, buf) : "0");
	}
}

static bool same_amounts(const struct json *a, const struct json *b)
{
	CLEANUP(amounts_done) struct amounts x = { 0 };
	CLEANUP(amounts_done) struct amounts y = { 0 };

	amounts_read(&x, a);
	amounts_read(&y, b);
	if (x.len != y.len || x.len != json_len(b))
		return false;
	for (size_t i = 0; i < x.len; i++)
		if (!str_eq(x.items[i].name, y.items[i].name) ||
			quantity_cmp(&x.items[i].q, &y.items[i].q) != 0)
			return false;
	return true;
}

/* Where several servers book, those of the others that are under way are not known: what is booked is counted afresh only
 * when it has rested. */
static bool may_be_booked_by_others(struct quotas *q, const struct bucket *b, const struct obj *quota)
{
	int64_t since = loop_mono_ms(q->adm->objects->loop) - REST_MS;
	const struct bucket_change *c;

	for (size_t i = store_shared(q->adm->objects->store) ? bucket_change_seek(b, UINT64_MAX) : 0;
		i-- > 0;) {
		c = bucket_change_at(b, i);
		if (c->at_ms < since)
			return false;
		if (str_eq(obj_key(c->obj), obj_key(quota)))
			return true;
	}
	return false;
}

static void count_later(struct quotas *q, const char *ns)
{
	touch(q, ns);
	loop_timer_set(q->timer, REST_MS);
}

static void count_again(void *arg, const struct obj *o, const struct err *e);
static void sync_quota(struct quotas *q, const struct obj *quota)
{
	struct bucket *b = objects_bucket(q->adm->objects, STORAGE);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct json *is, *will;
	uint64_t rev;
	const struct obj *now = bucket_latest(b, obj_key(quota), &rev);

	if (!now)
		return;
	if (may_be_booked_by_others(q, b, now)) {
		count_later(q, obj_namespace(now));
		return;
	}
	d = obj_draft(now);
	set_status(q->adm, obj_namespace(now), obj_key(now), d);
	is = json_get(obj_json(now), "status");
	will = json_get(json_root(d), "status");
	if (!same_amounts(json_get(is, "hard"), json_get(will, "hard")) ||
		!same_amounts(json_get(is, "used"), json_get(will, "used")))
		objects_put(q->adm->objects, b, TAKE(d), rev, count_again, q);
}

/* Another server was quicker, or the store in trouble. */
static void count_again(void *arg, const struct obj *o, const struct err *e)
{
	struct quotas *q = arg;

	(void)o;
	if (e && e->code != ERR_CONFLICT)
		log_warn("apiserver: quota: %s", e->msg);
	else if (e)
		loop_timer_set(q->timer, SYNC_MS);
}

static void follow_all(struct quotas *q);
static void sync(void *arg)
{
	struct quotas *q = arg;
	CLEANUP(strv_done) struct strv dirty = { 0 };
	const struct bucket *b = objects_bucket(q->adm->objects, STORAGE);

	if (store_shared(q->adm->objects->store) &&
		loop_mono_ms(q->adm->objects->loop) < q->booked_at + QUIET_MS) {
		loop_timer_set(q->timer, QUIET_MS);
		return;
	}
	dirty = q->dirty;
	q->dirty = (struct strv){ 0 };
	if (q->adm->objects->stopping)
		return;
	follow_all(q);
	for (size_t n = 0; n < dirty.len; n++) {
		CLEANUP(mem_freep) char *prefix = str_printf("%s/", dirty.items[n]);
		const struct obj *o;

		for (size_t i = bucket_seek(b, prefix);
			(o = bucket_at(b, i)) && str_starts(obj_key(o), prefix); i++)
			sync_quota(q, o);
	}
}

/* ---- following ---- */
static bool has_quota(const struct quotas *q, const char *ns)
{
	const struct bucket *b = objects_bucket(q->adm->objects, STORAGE);
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", ns);
	const struct obj *o = bucket_at(b, bucket_seek(b, prefix));

	return o && str_starts(obj_key(o), prefix);
}

/* What comes was booked; what goes, and what changes of itself (a pod that ends), was not. */
static void object_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct quota_follow *f = CONTAINER_OF(w, struct quota_follow, watch);

	if (c->type != BUCKET_ADDED && has_quota(f->q, obj_namespace(c->obj)))
		touch(f->q, obj_namespace(c->obj));
}

static void objects_gone(struct bucket_watch *w)
{
	struct quota_follow *f = CONTAINER_OF(w, struct quota_follow, watch);

	/* a definition went: followed anew when its resource is served again and counted */
	if (!loop_timer_armed(f->q->timer))
		loop_timer_set(f->q->timer, SYNC_MS);
}

static void follow(struct quotas *q, const char *storage)
{
	struct quota_follow *f = q->follows;

	while (f && !str_eq(f->storage, storage))
		f = f->next;
	if (f && f->watch.scope)
		return;
	if (!f) {
		f = MEM_NEW(struct quota_follow);
		*f = (struct quota_follow){ .q = q, .storage = mem_strdup(storage), .next = q->follows };
		f->watch.change = object_changed;
		f->watch.gone = objects_gone;
		q->follows = f;
	}
	bucket_watch_add(objects_bucket(q->adm->objects, storage), &f->watch, "");
}

static void follow_quota(struct quotas *q, const struct obj *quota)
{
	JSON_EACH (it, json_at(obj_json(quota), "/spec/hard")) {
		struct resource *res = subject_of(q->adm, it.key);

		if (res)
			follow(q, res->storage);
	}
}

static void follow_all(struct quotas *q)
{
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(objects_bucket(q->adm->objects, STORAGE), i)); i++)
		follow_quota(q, o);
}

static void quota_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct quotas *q = CONTAINER_OF(w, struct quotas, watch);

	if (c->type == BUCKET_DELETED)
		return;
	q->booked_at = loop_mono_ms(q->adm->objects->loop);
	if (!c->old || !json_eq(json_get(obj_json(c->old), "spec"), json_get(obj_json(c->obj), "spec"))) {
		follow_quota(q, c->obj);
		touch(q, obj_namespace(c->obj));
	}
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

struct quotas *quotas_new(struct admitter *adm)
{
	struct quotas *q = MEM_NEW(struct quotas);
	const struct obj *o;

	q->adm = adm;
	q->timer = loop_timer_new(adm->objects->loop, sync, q);
	q->watch.change = quota_changed;
	q->watch.gone = never_gone;
	bucket_watch_add(objects_bucket(adm->objects, STORAGE), &q->watch, "");
	for (size_t i = 0; (o = bucket_at(objects_bucket(adm->objects, STORAGE), i)); i++)
		touch(q, obj_namespace(o));
	return q;
}

void quotas_free(struct quotas *q)
{
	if (!q)
		return;
	while (q->follows) {
		struct quota_follow *f = q->follows;

		q->follows = f->next;
		bucket_watch_remove(&f->watch);
		free(f->storage);
		free(f);
	}
	bucket_watch_remove(&q->watch);
	loop_timer_free(q->timer);
	strv_done(&q->dirty);
	free(q);
}

/* ---- booking ---- */
struct asking {
	struct quota_booking *booking;
	quota_fn *fn;
	void *arg;
	size_t left;
	bool again;
	struct err err;
};

static struct quota_hold *hold_new(struct quotas *q, const char *ns)
{
	struct quota_hold *h = MEM_NEW(struct quota_hold);

	h->q = q;
	h->ns = mem_strdup(ns);
	h->next = q->holds;
	h->prev = &q->holds;
	if (h->next)
		h->next->prev = &h->next;
	q->holds = h;
	return h;
}

void quota_settle(struct quota_booking *b, bool failed)
{
	struct quota_hold *h = TAKE(b->hold);

	if (!h)
		return;
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	if (failed)
		touch(h->q, h->ns);
	free(h->ns);
	strv_done(&h->keys);
	amounts_done(&h->delta);
	free(h);
}

/* What the write adds: only increases are booked, what it gives back is counted when it is done. */
static void delta_of(const struct plugin_write *w, struct amounts *ret)
{
	CLEANUP(amounts_done) struct amounts now = { 0 };
	CLEANUP(amounts_done) struct amounts was = { 0 };
	const struct kind *k = w->res->kind;

	quota_usage(k->group, k->plural, json_root(w->draft), &now);
	if (w->old && !w->created)
		quota_usage(k->group, k->plural, obj_json(w->old), &was);
	for (size_t i = 0; i < now.len; i++) {
		struct quantity q = now.items[i].q;
		const struct quantity *before = amounts_get(&was, now.items[i].name);

		if (before)
			quantity_sub(&q, before);
		if (q.value > 0 || (q.value == 0 && q.nano > 0))
			amounts_add(ret, now.items[i].name, &q);
	}
}

/* requested: what the quota counts of delta. False: it is too much, why says so. */
static bool fits(const char *name, const struct json *status, const struct amounts *delta,
	struct amounts *ret_used, struct str *why)
{
	CLEANUP(amounts_done) struct amounts hard = { 0 };
	CLEANUP(amounts_done) struct amounts used = { 0 };
	struct amounts over[3] = { 0 };

	amounts_read(&hard, json_get(status, "hard"));
	amounts_read(&used, json_get(status, "used"));
	amounts_add_all(ret_used, &used);
	for (size_t i = 0; i < delta->len; i++) {
		const struct amount *a = &delta->items[i];
		const struct quantity *limit = amounts_get(&hard, a->name),
				      *now = amounts_get(&used, a->name);
		struct quantity zero = { .format = 'd' }, sum = now ? *now : zero;

		if (!limit)
			continue;
		quantity_add(&sum, &a->q);
		amounts_set(ret_used, a->name, &sum);
		if (quantity_cmp(&sum, limit) <= 0)
			continue;
		amounts_add(&over[0], a->name, &a->q);
		amounts_add(&over[1], a->name, now ? now : &zero);
		amounts_add(&over[2], a->name, limit);
	}
	if (over[0].len > 0) {
		str_addf(why, "exceeded quota: %s, requested: ", name);
		amounts_text(&over[0], why);
		str_add(why, ", used: ");
		amounts_text(&over[1], why);
		str_add(why, ", limited: ");
		amounts_text(&over[2], why);
	}
	for (size_t i = 0; i < ARRAY_LEN(over); i++)
		amounts_done(&over[i]);
	return why->len == 0;
}

static bool counts_any(const struct json *hard, const struct amounts *delta)
{
	for (size_t i = 0; i < delta->len; i++)
		if (json_get(hard, delta->items[i].name))
			return true;
	return false;
}

static bool is_pod(const struct plugin_write *w)
{
	return str_empty(w->res->kind->group) && str_eq(w->res->kind->plural, "pods");
}

/* A pod that gets or loses its deadline goes from quotas of one scope to those of another. */
static bool changes_scope(const struct plugin_write *w)
{
	static const char deadline[] = "/spec/activeDeadlineSeconds";

	return is_pod(w) && w->old && !w->created && str_empty(w->sub) &&
	       !json_at(obj_json(w->old), deadline) != !json_at(json_root(w->draft), deadline);
}

/* One quota: 0 not concerned, 1 *ret is its next state, -1 refused. */
static int judge(const struct plugin_write *w, const struct obj *quota, const struct amounts *delta,
	struct json_doc **ret)
{
	const struct json *o = obj_json(quota), *hard = json_at(o, "/status/hard");
	CLEANUP(amounts_done) struct amounts used = { 0 };
	CLEANUP(str_done) struct str why = { 0 };
	struct json *status;

	if (!quota_in_scope(
		    json_get(o, "spec"), w->res->kind->group, w->res->kind->plural, json_root(w->draft)))
		return 0;
	if (changes_scope(w) && quota_in_scope(json_get(o, "spec"), w->res->kind->group, w->res->kind->plural,
					obj_json(w->old)))
		return 0;
	if (is_pod(w) && quota_missing(hard, json_get(json_root(w->draft), "spec"), &why))
		return plugin_refuse(w, "failed quota: %s: must specify %s", obj_name(quota), why.data);
	if (!counts_any(hard, delta))
		return 0;
	if (!fits(obj_name(quota), json_get(o, "status"), delta, &used, &why))
		return plugin_refuse(w, "%s", why.data);
	*ret = obj_draft(quota);
	status = json_need_obj(*ret, json_root(*ret), "status");
	json_set(*ret, status, "used", json_new_obj(*ret));
	amounts_write(&used, *ret, json_get(status, "used"));
	return 1;
}

static void booked(void *arg, const struct obj *o, const struct err *e)
{
	struct asking *k = arg;

	(void)o;
	if (e && e->code == ERR_CONFLICT)
		k->again = true;
	else if (e)
		err_copy(&k->err, e);
	if (--k->left > 0)
		return;
	if (k->err.code == ERR_NONE && k->again && ++k->booking->tries >= BOOK_TRIES_MAX)
		err_set(&k->err, ERR_CONFLICT,
			"Operation cannot be fulfilled on resourcequotas: too many writers");
	k->fn(k->arg, k->again, k->err.code == ERR_NONE ? NULL : &k->err);
	free(k);
}

struct next_state {
	struct json_doc *doc;
	uint64_t rev;
};

static void states_free(struct next_state *states, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_doc_free(states[i].doc);
	free(states);
}

static int book_all(const struct plugin_write *w, const struct amounts *delta, struct quota_booking *booking,
	quota_fn *fn, void *arg)
{
	struct quotas *q = w->adm->quotas;
	struct bucket *b = objects_bucket(w->adm->objects, STORAGE);
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", w->ns);
	struct next_state *states = NULL;
	struct asking *k;
	size_t n = 0, cap = 0;
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix);
		i++) {
		uint64_t rev;
		const struct obj *now = bucket_latest(b, obj_key(o), &rev);
		struct json_doc *next = NULL;

		if (now && judge(w, now, delta, &next) < 0) {
			states_free(states, n);
			return -1;
		}
		if (!next)
			continue;
		states = mem_grow(states, &cap, n + 1, sizeof(*states));
		states[n++] = (struct next_state){ next, rev };
	}
	if (n == 0 || w->dry_run) {
		states_free(states, n);
		return 0;
	}
	booking->hold = hold_new(q, w->ns);
	amounts_add_all(&booking->hold->delta, delta);
	k = MEM_NEW(struct asking);
	*k = (struct asking){ .booking = booking, .fn = fn, .arg = arg, .left = n };
	for (size_t i = 0; i < n; i++) {
		CLEANUP(mem_freep)
		char *key = kind_key(w->ns, json_at_str(json_root(states[i].doc), "/metadata/name"));

		strv_add(&booking->hold->keys, key);
		objects_put(w->adm->objects, b, TAKE(states[i].doc), states[i].rev, booked, k);
	}
	states_free(states, n);
	return 1;
}

int quota_book(const struct plugin_write *w, struct quota_booking *b, quota_fn *fn, void *arg)
{
	struct quotas *q = w->adm->quotas;
	CLEANUP(amounts_done) struct amounts delta = { 0 };
	const struct kind *k = w->res->kind;

	quota_settle(b, true); /* an earlier try's */
	if (!q || !w->draft || !k->namespaced ||
		(!quota_counts(k->group, k->plural, w->sub, w->created) && !changes_scope(w)) ||
		!has_quota(q, w->ns))
		return 0;
	if (changes_scope(w))
		quota_usage(k->group, k->plural, json_root(w->draft), &delta);
	else
		delta_of(w, &delta);
	if (delta.len == 0)
		return 0;
	return book_all(w, &delta, b, fn, arg);
}

void quota_prepare(struct admitter *adm, const char *ns, struct json_doc *draft)
{
	CLEANUP(mem_freep) char *key = NULL;

	if (!adm->quotas)
		return;
	key = kind_key(ns, json_str_or(json_at(json_root(draft), "/metadata/name"), ""));
	set_status(adm, ns, key, draft);
}
