/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's way: directory, network, volumes, images, init containers, containers, end, removal. pod_sync() is run whenever
 * anything about the pod may have changed; it looks at what is and starts what is next. */
#include "platform/agent/impl.h"

#include "api/meta.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WRITE_RETRY_MIN_MS 200
#define WRITE_RETRY_MAX_MS 10000
#define EVENT_TEXT_MAX 1024
#define GRACE_GONE_MS 1000 /* the object vanished without a grace of its own */

static void pod_sync(void *arg);

/* ---- small questions ---- */
const struct json *pod_spec(const struct pod *p)
{
	return json_get(obj_json(p->obj), "spec");
}

const char *ctr_list(const struct ctr *c)
{
	return c->class == CTR_MAIN        ? "containers"
	       : c->class == CTR_EPHEMERAL ? "ephemeralContainers"
					   : "initContainers";
}

const struct json *ctr_spec(const struct ctr *c)
{
	JSON_EACH (it, json_get(pod_spec(c->pod), ctr_list(c)))
		if (str_eq(json_get_str(it.val, "name"), c->name))
			return it.val;
	return NULL;
}

bool pod_terminating(const struct pod *p)
{
	return p->gone || obj_deleting(p->obj);
}

bool pod_host_network(const struct pod *p)
{
	return json_bool(json_get(pod_spec(p), "hostNetwork"));
}

const char *pod_ip(const struct pod *p)
{
	if (pod_host_network(p))
		return net_host_ip(p->agent->net);
	return p->net_ready ? p->ip : "";
}

int64_t back_off_ms(int failures, int64_t min, int64_t max)
{
	int64_t ms = min;

	for (int i = 1; i < failures && ms < max; i++)
		ms *= 2;
	return ms < max ? ms : max;
}

void pod_event(const struct pod *p, bool warning, const char *reason, const char *fmt, ...)
{
	char text[EVENT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	events_record(p->agent->events, p->obj, warning, reason, text);
}

void pod_kick(struct pod *p)
{
	loop_timer_set(p->sync, 0);
}

void pod_kick_at(struct pod *p, int64_t mono_ms)
{
	int64_t in = mono_ms - loop_mono_ms(p->agent->loop);

	if (!p->next_at || mono_ms < p->next_at || p->next_at <= loop_mono_ms(p->agent->loop)) {
		p->next_at = mono_ms;
		loop_timer_set(p->later, in > 0 ? in : 0);
	}
}

static void pod_later(void *arg)
{
	struct pod *p = arg;

	p->next_at = 0;
	pod_sync(p);
}

/* ---- making and freeing ---- */
static struct ctr *add_ctr(struct pod *p, const struct json *spec, enum ctr_class class)
{
	struct ctr *c = MEM_NEW(struct ctr);

	c->pod = p;
	c->name = mem_strdup(json_str_or(json_get(spec, "name"), ""));
	c->watch = -1;
	c->class = class;
	p->ctrs = mem_grow(p->ctrs, &p->cap_ctrs, p->n_ctrs + 1, sizeof(p->ctrs[0]));
	p->ctrs[p->n_ctrs++] = c;
	return c;
}

static void add_ephemeral(struct pod *p)
{
	JSON_EACH (it, json_get(pod_spec(p), "ephemeralContainers")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		bool known = false;

		for (size_t i = 0; i < p->n_ctrs; i++)
			known |= p->ctrs[i]->class == CTR_EPHEMERAL && str_eq(p->ctrs[i]->name, name);
		if (!known) /* it may have been started by an earlier agent */
			ctr_reattach(add_ctr(p, it.val, CTR_EPHEMERAL));
	}
}

struct pod *pod_new(struct agent *a, const struct obj *o)
{
	struct pod *p = MEM_NEW(struct pod);
	const struct json *spec = json_get(obj_json(o), "spec");
	const char *phase = json_at_str(obj_json(o), "/status/phase"),
		   *start = json_at_str(obj_json(o), "/status/startTime");

	p->agent = a;
	p->obj = obj_ref(o);
	p->uid = mem_strdup(obj_uid(o));
	p->key = mem_strdup(obj_key(o));
	p->dir = str_printf("%s/pods/%s", a->dir, p->uid);
	p->log_dir = str_printf("%s/logs/pods/%s_%s_%s", a->dir, obj_namespace(o), obj_name(o), p->uid);
	p->sync = loop_timer_new(a->loop, pod_sync, p);
	p->later = loop_timer_new(a->loop, pod_later, p);
	if (!start || !time_parse(start, &p->start_ms))
		p->start_ms = loop_wall_ms(a->loop) / 1000 * 1000;
	p->finished = str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
	JSON_EACH (it, json_get(spec, "initContainers"))
		add_ctr(p, it.val,
			str_eq(json_get_str(it.val, "restartPolicy"), "Always") ? CTR_SIDECAR : CTR_INIT);
	JSON_EACH (it, json_get(spec, "containers"))
		add_ctr(p, it.val, CTR_MAIN);
	volumes_init(p);
	tokens_init(p);
	networks_init(p);
	return p;
}

void pod_free(struct pod *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_ctrs; i++)
		ctr_free(p->ctrs[i]);
	tokens_done(p);
	for (size_t i = 0; i < p->n_vols; i++) {
		image_get_cancel(p->vols[i].get);
		free(p->vols[i].pull);
		image_free(p->vols[i].image);
		free(p->vols[i].name);
		free(p->vols[i].path);
		free(p->vols[i].error);
	}
	kube_call_cancel(p->write);
	kube_call_cancel(p->removal);
	net_job_free(p->net_job);
	networks_done(p);
	loop_timer_free(p->sync);
	loop_timer_free(p->later);
	free(p->resize_message);
	obj_unref(p->obj);
	free(p->ctrs);
	free(p->vols);
	free(p->uid);
	free(p->key);
	free(p->dir);
	free(p->log_dir);
	free(p->fail_message);
	free(p->mount_error);
	free(p->net_error);
	free(p);
}

void pod_set_obj(struct pod *p, const struct obj *o)
{
	struct obj *old = p->obj;

	if (obj_rv(o) < obj_rv(old))
		return;
	p->obj = obj_ref(o);
	obj_unref(old);
	add_ephemeral(p);
}

/* ---- directory and network ---- */
static bool dir_ready(struct pod *p)
{
	CLEANUP(mem_freep) char *path = file_join(p->dir, "pod.json");
	struct err e = { 0 };
	const char *text;
	size_t len;

	if (p->dir_made)
		return true;
	text = obj_text(p->obj, &len);
	if (file_mkdirs(p->dir, 0700, &e) < 0 || file_write_atomic(path, text, len, 0600, &e) < 0) {
		log_error("pod %s: %s", p->key, e.msg);
		pod_kick_at(p, loop_mono_ms(p->agent->loop) + MOUNT_RETRY_MAX_MS);
		return false;
	}
	p->dir_made = true;
	return true;
}

static void net_done(void *arg, const struct err *e)
{
	struct pod *p = arg;

	p->net_job = NULL;
	free(TAKE(p->net_error));
	if (e) {
		p->net_error = mem_strdup(e->msg);
		p->net_retry = loop_mono_ms(p->agent->loop) + MOUNT_RETRY_MIN_MS * 4;
		pod_event(p, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", e->msg);
	} else {
		p->net_ready = true;
	}
	pod_kick(p);
}

static bool net_ready(struct pod *p)
{
	CLEANUP(mem_freep) char *ns = file_join(p->dir, "netns");
	CLEANUP(mem_freep) char *ip = file_join(p->dir, "ip");
	struct err e = { 0 };

	if (pod_host_network(p) || p->net_ready)
		return true;
	if (p->net_job)
		return false;
	if (loop_mono_ms(p->agent->loop) < p->net_retry) {
		pod_kick_at(p, p->net_retry);
		return false;
	}
	if (!net_alloc(p->agent->net, p->uid, p->ip)) {
		err_set(&e, ERR_UNAVAILABLE, "no free pod address");
		net_done(p, &e);
	} else if (file_write(ip, p->ip, strlen(p->ip), 0600, &e) < 0) {
		net_done(p, &e);
	} else {
		p->net_job = net_attach(p->agent->net, p->uid, ns, p->ip, net_done, p);
	}
	return false;
}

/* ---- images ---- */
static void image_done(void *arg, struct image *img, bool pulled, const char *reason, const struct err *e)
{
	struct ctr *c = arg;
	struct pod *p = c->pod;

	c->get = NULL;
	free(TAKE(c->image_reason));
	free(TAKE(c->image_message));
	c->image = img;
	if (img) {
		c->image_failures = 0;
		if (pulled)
			pod_event(p, false, "Pulled", "Successfully pulled image \"%s\"", img->ref);
		else
			pod_event(p, false, "Pulled", "Container image \"%s\" already present on machine",
				img->ref);
	} else {
		c->image_reason = mem_strdup(reason);
		c->image_message = mem_strdup(e->msg);
		c->image_failures++;
		c->image_retry = loop_mono_ms(p->agent->loop) +
				 back_off_ms(c->image_failures, BACK_OFF_MIN_MS, BACK_OFF_MAX_MS);
		pod_event(p, true, "Failed", "Failed to pull image: %s", e->msg);
		pod_event(p, true, "Failed", "Error: %s", reason);
		if (c->image_failures > 1)
			pod_event(p, false, "BackOff", "Back-off pulling image \"%s\"",
				json_str_or(json_get(ctr_spec(c), "image"), ""));
	}
	pod_kick(p);
}

static bool image_ready(struct ctr *c)
{
	struct pod *p = c->pod;
	const struct json *spec = ctr_spec(c);
	const char *ref = json_str_or(json_get(spec, "image"), "");
	enum image_policy policy = image_policy_from(json_get_str(spec, "imagePullPolicy"), ref);

	/* `kubectl set image`: the next attempt runs the new one */
	if (c->image && !str_eq(c->image->ref, ref)) {
		image_free(c->image);
		c->image = NULL;
	}
	if (c->image)
		return true;
	if (c->get)
		return false;
	if (loop_mono_ms(p->agent->loop) < c->image_retry) {
		pod_kick_at(p, c->image_retry);
		return false;
	}
	if (images_will_pull(p->agent->images, ref, policy))
		pod_event(p, false, "Pulling", "Pulling image \"%s\"", ref);
	c->get = images_get(p->agent->images, ref, policy, image_done, c);
	return false;
}

/* ---- containers ---- */
bool ctr_will_restart(const struct ctr *c)
{
	const char *policy = json_str_or(json_get(pod_spec(c->pod), "restartPolicy"), "Always");

	if (pod_terminating(c->pod) || c->pod->finished || c->pod->fail_reason || c->pod->mains_over)
		return false;
	if (c->class == CTR_EPHEMERAL)
		return false;
	if (c->class == CTR_SIDECAR)
		return true;
	if (c->class == CTR_INIT)
		return c->end.code != 0 && !str_eq(policy, "Never");
	return str_eq(policy, "Always") || (str_eq(policy, "OnFailure") && c->end.code != 0);
}

/* Starts it if that is due. */
static void ctr_advance(struct ctr *c)
{
	struct pod *p = c->pod;
	int64_t now = loop_mono_ms(p->agent->loop);

	if (ctr_active(c)) {
		if (c->stopping && c->stop_grace_ms)
			ctr_stop(c, c->stop_grace_ms, NULL);
		return;
	}
	c->stop_grace_ms = 0;
	if (p->agent->stopping)
		return;
	if (c->state == CTR_ENDED && !ctr_will_restart(c))
		return;
	if (c->state == CTR_ENDED && now < c->restart_at) {
		if (!c->restart_told)
			pod_event(p, true, "BackOff",
				"Back-off restarting failed container %s in pod %s_%s(%s)", c->name,
				obj_name(p->obj), obj_namespace(p->obj), p->uid);
		c->restart_told = true;
		pod_kick_at(p, c->restart_at);
		return;
	}
	if (!image_ready(c))
		return;
	if (c->config_error && now < c->config_retry) {
		pod_kick_at(p, c->config_retry);
		return;
	}
	ctr_start(c);
}

/* True when the pod's own containers may start. */
static bool init_done(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = p->ctrs[i];

		if (c->class == CTR_MAIN || c->class == CTR_EPHEMERAL)
			continue;
		if (c->class == CTR_INIT && c->state == CTR_ENDED && c->end.code == 0)
			continue;
		ctr_advance(c);
		if (c->class == CTR_SIDECAR && c->state == CTR_RUNNING && c->started)
			continue;
		if (c->class == CTR_INIT && c->state == CTR_ENDED && !ctr_will_restart(c) && !p->fail_reason)
			p->fail_reason = "";
		return false;
	}
	return true;
}

static bool all_idle(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (ctr_active(p->ctrs[i]))
			return false;
	return true;
}

static void stop_all(struct pod *p, int64_t grace_ms, bool told)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		CLEANUP(mem_freep) char *text = str_printf("Stopping container %s", p->ctrs[i]->name);

		if (ctr_active(p->ctrs[i]))
			ctr_stop(p->ctrs[i], grace_ms, told ? text : NULL);
	}
}

static int64_t spec_grace_ms(const struct pod *p)
{
	const struct json *g = json_get(pod_spec(p), "terminationGracePeriodSeconds");

	return 1000 * (json_is_int(g) ? json_i64(g) : GRACE_DEFAULT_S);
}

static void check_deadline(struct pod *p)
{
	const struct json *s = json_get(pod_spec(p), "activeDeadlineSeconds");
	int64_t left;

	if (!json_is_int(s) || p->fail_reason)
		return;
	left = p->start_ms + json_i64(s) * 1000 - loop_wall_ms(p->agent->loop);
	if (left > 0) {
		pod_kick_at(p, loop_mono_ms(p->agent->loop) + left);
		return;
	}
	p->fail_reason = "DeadlineExceeded";
	p->fail_message = mem_strdup("Pod was active on the node longer than the specified deadline");
}

static bool mains_ended(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->class == CTR_MAIN &&
			(p->ctrs[i]->state != CTR_ENDED || ctr_will_restart(p->ctrs[i])))
			return false;
	return true;
}

static void run_on(struct pod *p)
{
	bool prepared;

	check_deadline(p);
	if (p->fail_reason)
		return;
	if (!dir_ready(p))
		return;
	prepared = net_ready(p) && networks_ready(p);
	prepared = volumes_ready(p) && prepared;
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (!p->ctrs[i]->attempted)
			image_ready(p->ctrs[i]);
	if (!prepared || !init_done(p))
		return;
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->class == CTR_MAIN || p->ctrs[i]->class == CTR_EPHEMERAL)
			ctr_advance(p->ctrs[i]);
	resize_check(p);
}

/* Network, mounts and directories go; logs and exit statuses stay until the object does. */
static void release(struct pod *p)
{
	CLEANUP(mem_freep) char *ns = file_join(p->dir, "netns");
	CLEANUP(mem_freep) char *cgroup = str_printf("/coracle%d/pod%s", net_instance(p->agent->net), p->uid);

	if (p->cleaned)
		return;
	p->cleaned = true;
	networks_release(p);
	if (!pod_host_network(p))
		net_detach(p->agent->net, p->uid, ns);
	volumes_done(p);
	cgroup_remove(p->agent->cgroups, cgroup);
}

static void wind_down(struct pod *p)
{
	const struct json *g = json_get(meta_of(obj_json(p->obj)), "deletionGracePeriodSeconds");
	int64_t grace = p->gone ? GRACE_GONE_MS : json_is_int(g) ? json_i64(g) * 1000 : spec_grace_ms(p);

	for (size_t i = 0; i < p->n_ctrs; i++) {
		image_get_cancel(TAKE(p->ctrs[i]->get));
		if (p->ctrs[i]->class == CTR_MAIN)
			continue;
	}
	net_job_free(TAKE(p->net_job));
	networks_stop(p);
	stop_all(p, grace, true);
	if (all_idle(p))
		release(p);
}

/* ---- reporting ---- */
static void written(void *arg, const struct obj *o, const struct err *e)
{
	struct pod *p = arg;

	p->write = NULL;
	if (!e) {
		p->write_failures = 0;
		pod_set_obj(p, o);
		pod_kick(p);
		return;
	}
	log_debug("status of %s: %s", p->key, e->msg);
	/* A conflict goes away when the watch delivers what we did not know. */
	p->write_retry = loop_mono_ms(p->agent->loop) +
			 back_off_ms(++p->write_failures, WRITE_RETRY_MIN_MS, WRITE_RETRY_MAX_MS);
	if (e->code == ERR_CONFLICT)
		p->stale_rv = obj_rv(p->obj);
	pod_kick_at(p, p->write_retry);
}

static void removed(void *arg, const struct obj *o, const struct err *e)
{
	struct pod *p = arg;

	p->removal = NULL;
	if (e && e->code != ERR_NOT_FOUND && e->code != ERR_CONFLICT) {
		log_warn("removing %s: %s", p->key, e->msg);
		p->write_retry = loop_mono_ms(p->agent->loop) +
				 back_off_ms(++p->write_failures, WRITE_RETRY_MIN_MS, WRITE_RETRY_MAX_MS);
		pod_kick_at(p, p->write_retry);
		return;
	}
	p->removed = true;
	pod_kick(p);
}

static void remove_object(struct pod *p)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'gracePeriodSeconds':0,'preconditions':{}}");

	json_put_str(d, json_root(d), "/preconditions/uid", p->uid);
	p->removal = kube_delete(
		p->agent->client, &pk_pod, obj_namespace(p->obj), obj_name(p->obj), json_root(d), removed, p);
}

static void report(struct pod *p)
{
	int64_t now = loop_mono_ms(p->agent->loop);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (p->write || p->removal || p->gone || p->removed)
		return;
	if (now < p->write_retry && !(p->stale_rv && obj_rv(p->obj) > p->stale_rv)) {
		pod_kick_at(p, p->write_retry);
		return;
	}
	p->stale_rv = 0;
	d = status_make(p, loop_wall_ms(p->agent->loop));
	if (d)
		p->write = kube_update(p->agent->client, &pk_pod, obj_namespace(p->obj), obj_name(p->obj),
			"status", json_root(d), written, p);
	else if (pod_terminating(p) && p->cleaned)
		remove_object(p);
}

static void pod_sync(void *arg)
{
	struct pod *p = arg;

	if (p->gone && p->cleaned) {
		agent_forget(p->agent, p);
		return;
	}
	if (pod_terminating(p)) {
		wind_down(p);
	} else if (!p->finished) {
		run_on(p);
		if (p->fail_reason || mains_ended(p)) {
			p->mains_over = true;
			stop_all(p, spec_grace_ms(p), p->fail_reason != NULL);
			p->finished = all_idle(p);
		}
	}
	if (p->finished && all_idle(p))
		release(p);
	if (p->gone && p->cleaned)
		pod_kick(p);
	report(p);
	agent_stop_look(p->agent);
}
