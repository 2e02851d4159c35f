/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/drain.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kube/cache.h"
#include "platform/clients/kinds.h"
#include "platform/image/image.h"

#include <stdio.h>

#define GRACE_DEFAULT_S 30
#define LINE_MAX 300

static const char *restart_policy(const struct obj *pod)
{
	const char *p = json_at_str(obj_json(pod), "/spec/restartPolicy");

	return p ? p : "Always";
}

bool drain_is_ours(const struct obj *pod)
{
	if (!str_eq(restart_policy(pod), "Always"))
		return false;
	JSON_EACH (it, json_at(obj_json(pod), "/spec/containers"))
		if (!str_starts(json_str_or(json_get(it.val, "image"), ""), IMAGE_OWN_PREFIX))
			return false;
	return true;
}

static bool is_over(const struct obj *pod)
{
	const char *phase = json_at_str(obj_json(pod), "/status/phase");

	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

bool drain_deletes(const struct obj *pod)
{
	if (str_eq(restart_policy(pod), "Always") || is_over(pod) ||
		!json_at_str(obj_json(pod), "/spec/nodeName"))
		return false;
	JSON_EACH (it, json_at(obj_json(pod), "/metadata/ownerReferences"))
		if (json_bool(json_get(it.val, "controller")))
			return true;
	return false;
}

bool drain_marked(const struct obj *node)
{
	return json_get(json_at(obj_json(node), "/metadata/annotations"), DRAIN_ANNOTATION) != NULL;
}

struct json_doc *drain_undo(void)
{
	return json_lit(
		"{'metadata':{'annotations':{'" DRAIN_ANNOTATION "':null}},'spec':{'unschedulable':null}}");
}

static struct json_doc *drain_do(void)
{
	return json_lit(
		"{'metadata':{'annotations':{'" DRAIN_ANNOTATION "':'true'}},'spec':{'unschedulable':true}}");
}

/* ---- waiting ---- */
struct drain {
	struct loop *loop;
	struct kube_client *client;
	struct cache *nodes, *pods;
	void (*say)(void *arg, const char *line);
	void *arg;
	size_t calls; /* under way */
	size_t last;
	bool closed, begun, over;
	struct loop_timer *timer;
	struct err failure;
};

static void drain_look(struct drain *d);

static void say_left(struct drain *d, size_t left)
{
	char line[LINE_MAX];

	if (left == d->last)
		return;
	d->last = left;
	snprintf(line, sizeof(line), left == 1 ? "waiting for %zu pod to end" : "waiting for %zu pods to end",
		left);
	if (left)
		d->say(d->arg, line);
}

static void call_done(void *arg, const struct obj *o, const struct err *e)
{
	struct drain *d = arg;

	d->calls--;
	if (e && e->code != ERR_NOT_FOUND && e->code != ERR_CONFLICT)
		err_copy(&d->failure, e);
	drain_look(d);
}

static void close_nodes(struct drain *d)
{
	CLEANUP(json_doc_freep) struct json_doc *p = drain_do();
	const struct obj *o;

	d->closed = true;
	for (size_t i = 0; (o = cache_at(d->nodes, i)); i++) {
		d->calls++;
		kube_patch(d->client, &pk_node, NULL, obj_name(o), NULL, KUBE_PATCH_MERGE, json_root(p),
			call_done, d);
	}
}

static int64_t grace_ms(const struct obj *pod)
{
	const struct json *g = json_at(obj_json(pod), "/spec/terminationGracePeriodSeconds");

	return 1000 * (json_is_int(g) ? json_i64(g) : GRACE_DEFAULT_S);
}

static void delete_pods(struct drain *d)
{
	const struct obj *o;
	int64_t longest = 0;

	d->begun = true;
	for (size_t i = 0; (o = cache_at(d->pods, i)); i++) {
		if (!drain_deletes(o))
			continue;
		longest = grace_ms(o) > longest ? grace_ms(o) : longest;
		if (obj_deleting(o))
			continue;
		d->calls++;
		kube_delete(d->client, &pk_pod, obj_namespace(o), obj_name(o), NULL, call_done, d);
	}
	loop_timer_set(d->timer, longest + DRAIN_EXTRA_MS);
}

static void drain_look(struct drain *d)
{
	const struct obj *o;
	size_t left = 0;

	if (!cache_synced(d->nodes) || !cache_synced(d->pods) || d->calls)
		return;
	if (d->failure.code) {
		d->over = true;
		return;
	}
	if (!d->closed)
		close_nodes(d);
	else if (!d->begun)
		delete_pods(d);
	if (d->calls)
		return;
	for (size_t i = 0; (o = cache_at(d->pods, i)); i++)
		left += drain_deletes(o);
	say_left(d, left);
	d->over = left == 0 && d->begun;
	if (!d->begun)
		drain_look(d);
}

static void changed(void *arg, const struct obj *old, const struct obj *new)
{
	drain_look(arg);
}

static void synced(void *arg)
{
	drain_look(arg);
}

static void too_long(void *arg)
{
	struct drain *d = arg;

	err_set(&d->failure, ERR_TIMEOUT, "%zu pods do not end", d->last);
	d->over = true;
}

int drain_wait(struct kube_client *c, void (*say)(void *arg, const char *line), void *arg, struct err *e)
{
	struct drain d = { .loop = kube_client_loop(c), .client = c, .say = say, .arg = arg };

	d.timer = loop_timer_new(d.loop, too_long, &d);
	d.nodes = cache_new(c, &pk_node, NULL);
	d.pods = cache_new(c, &pk_pod, NULL);
	cache_on_synced(d.nodes, synced, &d);
	cache_on_synced(d.pods, synced, &d);
	cache_on_change(d.pods, changed, &d);
	cache_start(d.nodes);
	cache_start(d.pods);
	loop_timer_set(d.timer, DRAIN_EXTRA_MS);
	while (!d.over)
		loop_step(d.loop, -1);
	cache_free(d.nodes);
	cache_free(d.pods);
	loop_timer_free(d.timer);
	if (d.failure.code) {
		err_copy(e, &d.failure);
		return -1;
	}
	return 0;
}
