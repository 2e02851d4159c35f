/* SPDX-License-Identifier: Apache-2.0 */
/* Resources changed while the pod runs (pods/resize): the cgroup follows at once if the node has room; status tells what is in
 * force, conditions tell what is not and why. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "platform/scheduler/fit.h"

#include <inttypes.h>
#include <string.h>

#define RESIZE_RETRY_MIN_MS 1000
#define RESIZE_RETRY_MAX_MS 30000

struct cgroup_limits limits_of(const struct json *resources)
{
	int64_t memory = quantity_bytes(json_at(resources, "/limits/memory"));
	int64_t cpu = quantity_millis(json_at(resources, "/requests/cpu")),
		limit = quantity_millis(json_at(resources, "/limits/cpu"));

	return (struct cgroup_limits){ .memory = memory > 0 ? memory : -1,
		.cpu_request = cpu > 0     ? cpu
			       : limit > 0 ? limit
					   : 0,
		.cpu_limit = limit > 0 ? limit : -1 };
}

struct json_doc *resources_of(const struct json *ctr_spec)
{
	const struct json *r = json_get(ctr_spec, "resources");

	return json_len(r) ? json_doc_from(r) : NULL;
}

/* What is in force, for the agent that comes after us. */
void resources_save(const struct ctr *c)
{
	CLEANUP(mem_freep) char *path = file_join(c->dir, "resources.json");
	CLEANUP(mem_freep)
	char *text = c->resources ? json_write(json_root(c->resources), NULL) : mem_strdup("null");
	struct err e = { 0 };

	if (file_write(path, text, strlen(text), 0600, &e) < 0)
		log_warn("pod %s: %s", c->pod->key, e.msg);
}

void resources_load(struct ctr *c)
{
	CLEANUP(mem_freep) char *path = file_join(c->dir, "resources.json");
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	size_t len;

	if (file_read(path, POD_JSON_MAX, &text, &len, NULL) == 0 && (d = json_parse(text, len, NULL)) &&
		json_is_obj(json_root(d)))
		c->resources = TAKE(d);
}

static bool same(const struct json *a, const struct json *b)
{
	static const char *const paths[] = { "/requests/memory", "/limits/memory" }, *const cpus[] = {
		"/requests/cpu", "/limits/cpu"
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (quantity_bytes(json_at(a, paths[i])) != quantity_bytes(json_at(b, paths[i])) ||
			quantity_millis(json_at(a, cpus[i])) != quantity_millis(json_at(b, cpus[i])))
			return false;
	return true;
}

/* ---- is there room? ---- */
static void others(const struct pod *p, struct usage *ret)
{
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(p->agent->pods, i)); i++) {
		const char *phase = json_at_str(obj_json(o), "/status/phase");

		if (!str_eq(obj_uid(o), p->uid) && !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed"))
			usage_add(ret, o);
	}
}

static bool fits(struct pod *p, const char *what, int64_t want, int64_t taken, int64_t all, const char *unit)
{
	if (want <= all - taken)
		return true;
	p->resize_state = want > all ? RESIZE_INFEASIBLE : RESIZE_DEFERRED;
	free(p->resize_message);
	p->resize_message = want > all
				    ? str_printf("Node didn't have enough capacity: %s, requested: %" PRId64
						 "%s, capacity: %" PRId64 "%s",
					      what, want, unit, all, unit)
				    : str_printf("Node didn't have enough resource: %s, requested: %" PRId64
						 "%s, used: %" PRId64 "%s, capacity: %" PRId64 "%s",
					      what, want, unit, taken, unit, all, unit);
	return false;
}

static bool node_has_room(struct pod *p)
{
	CLEANUP(mem_freep) struct usage *mine = MEM_NEW(struct usage);
	CLEANUP(mem_freep) struct usage *rest = MEM_NEW(struct usage);

	pod_requests(p->obj, mine);
	others(p, rest);
	return fits(p, "memory", usage_of(mine, "memory"), usage_of(rest, "memory"), p->agent->memory_bytes,
		       "") &&
	       fits(p, "cpu", usage_of(mine, "cpu"), usage_of(rest, "cpu"), p->agent->cpu_millis, "m");
}

/* ---- doing it ---- */
static bool apply(struct ctr *c, const struct json *want)
{
	struct pod *p = c->pod;
	struct cgroup_limits l = limits_of(want);
	CLEANUP(mem_freep) char *path = ctr_cgroup(c);
	struct err e = { 0 };

	if (cgroup_set(p->agent->cgroups, path, &l, &e) < 0) {
		p->resize_state = RESIZE_ERROR;
		free(p->resize_message);
		p->resize_message = str_printf("container %s: %s", c->name, e.msg);
		p->resize_retry = loop_mono_ms(p->agent->loop) +
				  back_off_ms(++p->resize_failures, RESIZE_RETRY_MIN_MS, RESIZE_RETRY_MAX_MS);
		pod_kick_at(p, p->resize_retry);
		return false;
	}
	json_doc_free(c->resources);
	c->resources = json_doc_from(want);
	resources_save(c);
	return true;
}

void resize_check(struct pod *p)
{
	enum resize_state before = p->resize_state;
	bool checked = false, applied = false;

	if (before == RESIZE_ERROR && loop_mono_ms(p->agent->loop) < p->resize_retry)
		return;
	p->resize_state = RESIZE_NONE;
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = p->ctrs[i];
		const struct json *want = json_get(ctr_spec(c), "resources"),
				  *have = c->resources ? json_root(c->resources) : NULL;

		if (c->state != CTR_RUNNING || same(want, have))
			continue;
		if (!checked && !node_has_room(p))
			break;
		checked = true;
		if (!apply(c, want))
			break;
		applied = true;
	}
	if (applied && p->resize_state == RESIZE_NONE)
		pod_event(p, false, "ResizeCompleted", "Pod resize completed");
	if (p->resize_state == RESIZE_NONE) {
		p->resize_failures = 0;
		free(TAKE(p->resize_message));
	} else if (p->resize_state != before) {
		pod_event(p, true,
			p->resize_state == RESIZE_INFEASIBLE ? "ResizeInfeasible"
			: p->resize_state == RESIZE_DEFERRED ? "ResizeDeferred"
							     : "ResizeError",
			"%s", p->resize_message);
	}
}

void resize_conditions(struct pod *p, struct json_doc *d, struct json *status, int64_t now_ms)
{
	if (p->resize_state == RESIZE_INFEASIBLE || p->resize_state == RESIZE_DEFERRED)
		cond_set(d, status, "PodResizePending", "True",
			p->resize_state == RESIZE_INFEASIBLE ? "Infeasible" : "Deferred", p->resize_message,
			now_ms);
	else
		cond_remove(d, status, "PodResizePending");
	if (p->resize_state == RESIZE_ERROR)
		cond_set(d, status, "PodResizeInProgress", "True", "Error", p->resize_message, now_ms);
	else
		cond_remove(d, status, "PodResizeInProgress");
}
