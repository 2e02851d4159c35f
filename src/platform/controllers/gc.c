/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/gc.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/workqueue.h"
#include "platform/controllers/discover.h"
#include "platform/controllers/gc_graph.h"
#include "platform/clients/kinds.h"

#include <stdlib.h>
#include <string.h>

#define GC_RETRY_MS 200
#define GC_RETRY_MAX_MS 30000

/* One watched kind. The kind is owned here, because nodes point to it for as long as it is watched. */
struct follow {
	struct gc *g;
	struct kind kind;
	char *group, *version, *name, *plural;
	struct kube_call *call;
	struct loop_timer *again;
	uint64_t rv;
	int64_t delay;
	bool synced, wanted;
	struct strv seen; /* uids of the list under way */
};

struct gc {
	struct kube_client *client;
	struct loop *loop;
	struct gc_graph *graph;
	struct workqueue *queue;
	struct follow **follows;
	size_t n_follows, cap_follows;
	struct loop_timer *discover_timer;
	bool discovering, known, stopped;
	int busy, pending; /* jobs under way; calls that still refer to us */
};

/* ---- following one kind ---- */
static void follow_list(void *arg);
static void watch_event(void *arg, enum kube_event type, const struct obj *o);
static void watch_ended(void *arg, const struct err *e);

static bool all_synced(const struct gc *g)
{
	for (size_t i = 0; i < g->n_follows; i++)
		if (!g->follows[i]->synced)
			return false;
	return g->known;
}

static void wake_dependents(struct gc *g, const struct gc_node *n)
{
	for (size_t i = 0; n && i < n->n_dependents; i++)
		wq_add(g->queue, n->dependents[i]->uid);
}

/* The owners that wait for it (foreground) are looked at again as well. */
static void wake_owners(struct gc *g, const struct gc_node *n)
{
	for (size_t i = 0; n && i < n->n_owners; i++)
		wq_add(g->queue, n->owners[i].uid);
}

static void saw(struct follow *f, const struct obj *o)
{
	struct gc *g = f->g;
	struct gc_node *n = gc_graph_put(g->graph, &f->kind, o);

	if (n->n_owners || n->deleting)
		wq_add(g->queue, n->uid);
	if (n->deleting)
		wake_owners(g, n);
}

static void gone(struct gc *g, const char *uid)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(uid);
	struct gc_node *n = gc_graph_find(g->graph, copy);

	wake_dependents(g, n);
	wake_owners(g, n);
	gc_graph_gone(g->graph, copy);
}

static void rediscover_soon(struct gc *g)
{
	loop_timer_set(g->discover_timer, GC_REDISCOVER_MS);
}

static void follow_again(struct follow *f)
{
	f->delay = f->delay ? f->delay * 2 : GC_RETRY_MS;
	if (f->delay > GC_RETRY_MAX_MS)
		f->delay = GC_RETRY_MAX_MS;
	loop_timer_set(f->again, f->delay);
}

static void start_watch(struct follow *f)
{
	static const struct kube_watch_ops ops = { .event = watch_event, .ended = watch_ended };
	struct kube_list_opts opts = { 0 };

	f->call = kube_watch(f->g->client, &f->kind, &opts, f->rv, &ops, f);
}

static void watch_event(void *arg, enum kube_event type, const struct obj *o)
{
	struct follow *f = arg;

	f->rv = obj_rv(o);
	if (type == KUBE_BOOKMARK)
		return;
	if (type == KUBE_DELETED)
		gone(f->g, obj_uid(o));
	else
		saw(f, o);
	if (str_eq(f->plural, "customresourcedefinitions") || str_eq(f->plural, "apiservices"))
		rediscover_soon(f->g);
}

static void watch_ended(void *arg, const struct err *e)
{
	struct follow *f = arg;

	f->call = NULL;
	if (!e) {
		start_watch(f);
		return;
	}
	if (e->code == ERR_EXPIRED)
		f->rv = 0;
	if (e->code == ERR_NOT_FOUND)
		rediscover_soon(f->g);
	follow_again(f);
}

static void forget_if_unseen(void *arg, struct gc_node *n)
{
	struct follow *f = arg;

	if (!strv_has(&f->seen, n->uid))
		gone(f->g, n->uid);
}

static void on_list(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct follow *f = arg;
	struct gc *g = f->g;

	f->call = NULL;
	if (e) {
		/* a kind that is served no more, or not to us: nothing of it is known, and that is all there is to know */
		if (e->code == ERR_NOT_FOUND || e->code == ERR_METHOD_NOT_ALLOWED ||
			e->code == ERR_FORBIDDEN) {
			f->synced = true;
			if (e->code == ERR_NOT_FOUND)
				rediscover_soon(g);
		}
		follow_again(f);
		return;
	}
	f->delay = 0;
	f->rv = rv;
	strv_done(&f->seen);
	for (size_t i = 0; i < n; i++) {
		saw(f, items[i]);
		if (f->synced)
			strv_add(&f->seen, obj_uid(items[i]));
	}
	if (f->synced)
		gc_graph_each(g->graph, &f->kind, forget_if_unseen, f);
	strv_done(&f->seen);
	f->synced = true;
	start_watch(f);
	wq_add(g->queue, "sync"); /* processing may begin */
}

static void follow_list(void *arg)
{
	struct follow *f = arg;
	struct kube_list_opts opts = { .limit = 500 };

	if (f->rv)
		start_watch(f);
	else
		f->call = kube_list(f->g->client, &f->kind, &opts, on_list, f);
}

static void follow_free(struct follow *f)
{
	kube_call_cancel(f->call);
	loop_timer_free(f->again);
	strv_done(&f->seen);
	free(f->group);
	free(f->version);
	free(f->name);
	free(f->plural);
	free(f);
}

static void follow_new(struct gc *g, const struct kind *k)
{
	struct follow *f = MEM_NEW(struct follow);

	f->g = g;
	f->group = mem_strdup(k->group);
	f->version = mem_strdup(k->version);
	f->name = mem_strdup(k->kind);
	f->plural = mem_strdup(k->plural);
	f->kind = (struct kind){ .group = f->group,
		.version = f->version,
		.kind = f->name,
		.plural = f->plural,
		.singular = "",
		.namespaced = k->namespaced };
	f->again = loop_timer_new(g->loop, follow_list, f);
	f->wanted = true;
	g->follows = mem_grow(g->follows, &g->cap_follows, g->n_follows + 1, sizeof(*g->follows));
	g->follows[g->n_follows++] = f;
	follow_list(f);
}

/* ---- what is served ---- */
static void forget_node(void *arg, struct gc_node *n)
{
	gone(arg, n->uid);
}

static void drop_unwanted(struct gc *g)
{
	for (size_t i = 0; i < g->n_follows; i++) {
		struct follow *f = g->follows[i];

		if (f->wanted)
			continue;
		gc_graph_each(g->graph, &f->kind, forget_node, g);
		follow_free(f);
		g->follows[i--] = g->follows[--g->n_follows];
	}
}

static void gc_unpin(struct gc *g);

static void on_discovered(void *arg, struct discovered *found, const struct err *e)
{
	struct gc *g = arg;
	const struct kind *k;

	g->discovering = false;
	if (g->stopped || e) {
		discovered_free(found);
		if (!g->stopped)
			loop_timer_set(g->discover_timer, GC_RETRY_MS);
		gc_unpin(g);
		return;
	}
	for (size_t i = 0; i < g->n_follows; i++)
		g->follows[i]->wanted = false;
	for (size_t i = 0; (k = discovered_at(found, i)); i++) {
		bool have = false;

		/* events are many, owned by nobody, and gone in an hour */
		if (!discovered_watchable(found, i) || str_eq(k->plural, "events"))
			continue;
		for (size_t j = 0; j < g->n_follows; j++)
			if (kind_is(&g->follows[j]->kind, k) &&
				str_eq(g->follows[j]->kind.version, k->version))
				have = g->follows[j]->wanted = true;
		if (!have)
			follow_new(g, k);
	}
	discovered_free(found);
	g->known = true;
	drop_unwanted(g);
	gc_unpin(g);
}

static void start_discovery(void *arg)
{
	struct gc *g = arg;

	if (g->discovering) {
		loop_timer_set(g->discover_timer, GC_REDISCOVER_MS);
		return;
	}
	g->discovering = true;
	g->pending++;
	discover(g->client, on_discovered, g);
}

/* ---- acting on one object ---- */
struct job {
	struct gc *g;
	char *uid;
	size_t at_owner; /* being asked for */
	bool solid;      /* an owner that exists */
	struct strv dangling;
};

static void job_end(struct job *j, const struct err *e)
{
	struct gc *g = j->g;

	g->busy--;
	wq_done(g->queue, j->uid);
	if (e && !g->stopped) {
		log_debug("garbage collection of %s: %s", j->uid, e->msg);
		wq_add_after(g->queue, j->uid, GC_RETRY_MS * 5);
	}
	strv_done(&j->dangling);
	free(j->uid);
	free(j);
	gc_unpin(g);
}

static void on_done(void *arg, const struct obj *o, const struct err *e)
{
	job_end(arg, e && e->code != ERR_NOT_FOUND ? e : NULL);
}

static void call_names(const struct gc_node *n, char **ns, char **name)
{
	kind_key_split(n->key, ns, name);
}

static void delete_node(struct job *j, const struct gc_node *n)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(mem_freep) char *ns = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "v1");
	json_set_str(d, o, "kind", "DeleteOptions");
	json_set_str(d, json_need_obj(d, o, "preconditions"), "uid", n->uid);
	json_set_str(d, o, "propagationPolicy",
		n->foreground ? "Foreground"
		: n->orphan   ? "Orphan"
			      : "Background");
	call_names(n, &ns, &name);
	kube_delete(j->g->client, n->kind, ns, name, o, on_done, j);
}

/* Takes owner references (or a finalizer) away by a merge patch guarded by the resourceVersion that was read. */
struct edit {
	struct job *j;
	const char *finalizer; /* to take; or */
	struct strv owners;    /* uids of references to take */
	const struct kind *kind;
	char *ns, *name, *uid;
};

static void edit_free(struct edit *ed)
{
	strv_done(&ed->owners);
	free(ed->ns);
	free(ed->name);
	free(ed->uid);
	free(ed);
}

static void edit_read(void *arg, const struct obj *o, const struct err *e)
{
	struct edit *ed = arg;
	struct job *j = ed->j;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *refs;

	if (e || !str_eq(obj_uid(o), ed->uid)) {
		edit_free(ed);
		job_end(j, e && e->code != ERR_NOT_FOUND ? e : NULL);
		return;
	}
	d = obj_draft(o);
	if (ed->finalizer)
		meta_set_finalizer(d, json_root(d), ed->finalizer, false);
	refs = json_at(json_root(d), "/metadata/ownerReferences");
	for (struct json_iter it = json_iter(refs); json_next(&it);)
		if (strv_has(&ed->owners, json_str_or(json_get(it.val, "uid"), "")))
			json_iter_remove(&it);
	kube_update(j->g->client, ed->kind, ed->ns, ed->name, NULL, json_root(d), on_done, j);
	edit_free(ed);
}

static struct edit *edit_new(struct job *j, const struct gc_node *n)
{
	struct edit *ed = MEM_NEW(struct edit);

	ed->j = j;
	ed->kind = n->kind;
	ed->uid = mem_strdup(n->uid);
	call_names(n, &ed->ns, &ed->name);
	return ed;
}

static void edit_start(struct edit *ed)
{
	kube_get(ed->j->g->client, ed->kind, ed->ns, ed->name, edit_read, ed);
}

static void take_finalizer(struct job *j, const struct gc_node *n, const char *finalizer)
{
	struct edit *ed = edit_new(j, n);

	ed->finalizer = finalizer;
	edit_start(ed);
}

static const struct kind *kind_of_owner(const struct gc *g, const struct gc_owner *o)
{
	for (size_t i = 0; i < g->n_follows; i++) {
		const struct kind *k = &g->follows[i]->kind;
		const char *slash = strchr(o->api_version, '/');
		size_t len = slash ? (size_t)(slash - o->api_version) : 0;

		if (str_eq(k->kind, o->kind) && strlen(k->group) == len &&
			strncmp(k->group, o->api_version, len) == 0)
			return k;
	}
	return NULL;
}

static void next_owner(struct job *j);

static void on_owner(void *arg, const struct obj *o, const struct err *e)
{
	struct job *j = arg;
	struct gc_node *n = gc_graph_find(j->g->graph, j->uid);

	if (e && e->code != ERR_NOT_FOUND) {
		job_end(j, e);
		return;
	}
	if (!n || j->at_owner >= n->n_owners) {
		job_end(j, NULL); /* changed meanwhile: its event is on the way */
		return;
	}
	if (o && str_eq(obj_uid(o), n->owners[j->at_owner].uid))
		j->solid = true;
	else
		strv_add(&j->dangling, n->owners[j->at_owner].uid);
	j->at_owner++;
	next_owner(j);
}

/* Every owner has been looked at. */
static void judge(struct job *j, struct gc_node *n)
{
	struct edit *ed;

	if (!j->solid) {
		delete_node(j, n);
		return;
	}
	if (!j->dangling.len) {
		job_end(j, NULL);
		return;
	}
	ed = edit_new(j, n);
	for (size_t i = 0; i < j->dangling.len; i++)
		strv_add(&ed->owners, j->dangling.items[i]);
	edit_start(ed);
}

/* Owners seen in the graph exist. Others are asked for by name: they may be younger than our view, or of a kind we do not see. */
static void next_owner(struct job *j)
{
	struct gc_node *n = gc_graph_find(j->g->graph, j->uid);
	CLEANUP(mem_freep) char *ns = NULL;
	CLEANUP(mem_freep) char *name = NULL;

	if (!n || !n->kind || n->deleting) {
		job_end(j, NULL);
		return;
	}
	call_names(n, &ns, &name);
	for (; j->at_owner < n->n_owners; j->at_owner++) {
		const struct gc_owner *o = &n->owners[j->at_owner];
		const struct gc_node *owner = gc_graph_find(j->g->graph, o->uid);
		const struct kind *k;

		if (owner && owner->kind) {
			/* an owner that waits in the foreground for this one does not hold it */
			if (!(owner->deleting && owner->foreground && o->blocking))
				j->solid = true;
			continue;
		}
		k = kind_of_owner(j->g, o);
		if (!k) {
			j->solid =
				true; /* a kind that is not served: nothing can be said, so nothing is done */
			continue;
		}
		kube_get(j->g->client, k, k->namespaced ? ns : NULL, o->name, on_owner, j);
		return;
	}
	judge(j, n);
}

static void finish_foreground(struct job *j, const struct gc_node *n)
{
	struct gc *g = j->g;
	bool waits = false;

	for (size_t i = 0; i < n->n_dependents; i++) {
		const struct gc_node *d = n->dependents[i];

		for (size_t k = 0; k < d->n_owners; k++)
			waits = waits ||
				(d->kind && str_eq(d->owners[k].uid, n->uid) && d->owners[k].blocking);
		if (d->kind && !d->deleting)
			wq_add(g->queue, d->uid);
	}
	if (waits)
		job_end(j, NULL);
	else
		take_finalizer(j, n, "foregroundDeletion");
}

/* One dependent after the other loses its reference; each change brings us here again. */
static void finish_orphan(struct job *j, const struct gc_node *n)
{
	for (size_t i = 0; i < n->n_dependents; i++) {
		struct edit *ed;

		if (!n->dependents[i]->kind)
			continue;
		ed = edit_new(j, n->dependents[i]);
		strv_add(&ed->owners, n->uid);
		wq_add_after(j->g->queue, n->uid, 5);
		edit_start(ed);
		return;
	}
	take_finalizer(j, n, "orphan");
}

static void process(struct gc *g, const char *uid)
{
	struct gc_node *n = gc_graph_find(g->graph, uid);
	struct job *j;

	if (!n || !n->kind || (!n->deleting && !n->n_owners)) {
		wq_done(g->queue, uid);
		return;
	}
	j = MEM_NEW(struct job);
	j->g = g;
	j->uid = mem_strdup(uid);
	g->busy++;
	g->pending++;
	if (n->deleting && n->orphan)
		finish_orphan(j, n);
	else if (n->deleting && n->foreground)
		finish_foreground(j, n);
	else if (n->deleting)
		job_end(j, NULL);
	else
		next_owner(j);
}

static void on_ready(void *arg)
{
	struct gc *g = arg;
	const char *uid;

	if (!all_synced(g))
		return; /* what is not there may only not be seen yet; "sync" wakes us */
	while (g->busy < GC_PARALLEL && wq_take(g->queue, &uid))
		process(g, uid);
}

struct gc *gc_start(struct kube_client *c)
{
	struct gc *g = MEM_NEW(struct gc);

	g->client = c;
	g->loop = kube_client_loop(c);
	g->graph = gc_graph_new();
	g->queue = wq_new(g->loop, on_ready, g);
	g->discover_timer = loop_timer_new(g->loop, start_discovery, g);
	g->pending = 1;
	start_discovery(g);
	return g;
}

/* The last one out frees. */
static void gc_unpin(struct gc *g)
{
	if (--g->pending > 0)
		return;
	gc_graph_free(g->graph);
	wq_free(g->queue);
	free(g->follows);
	free(g);
}

void gc_stop(struct gc *g)
{
	if (!g)
		return;
	g->stopped = true;
	for (size_t i = 0; i < g->n_follows; i++)
		follow_free(g->follows[i]);
	g->n_follows = 0;
	loop_timer_free(g->discover_timer);
	g->discover_timer = NULL;
	gc_unpin(g);
}
