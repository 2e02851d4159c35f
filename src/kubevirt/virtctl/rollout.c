/* SPDX-License-Identifier: Apache-2.0 */
/* virtctl rollout status and diff: fetches what the comparison needs, shows what comes out, and waits if asked to. */
#include "kubevirt/virtctl/rollout.h"

#include <stdio.h>
#include <unistd.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kube/cache.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/virtctl/virtctl.h"

#define DIFF_TROUBLE 2
#define STEP_MS 1000 /* how late the end of --timeout is noticed at most */

#define TYPES_MAX 16 /* two names, their revisions now and at the start, and some to spare */

/* All that the comparison looks at. */
struct snapshot {
	struct virtctl *v;
	struct obj *types[TYPES_MAX]; /* found on the way */
	size_t n_types;
	struct obj *vm, *vmi, *revision;
	struct json_doc *kubevirt;
	struct kv_config config;
	bool guessed; /* the KubeVirt object may not be read */
	struct edits edits;
	struct rollout_view view;
};

static void snapshot_done(struct snapshot *s)
{
	rollout_done(&s->edits);
	obj_unref(s->vm);
	obj_unref(s->vmi);
	obj_unref(s->revision);
	for (size_t i = 0; i < s->n_types; i++)
		obj_unref(s->types[i]);
	json_doc_free(s->kubevirt);
	*s = (struct snapshot){ 0 };
}

/* Absent is no failure. */
static int get(struct virtctl *v, const struct kind *k, const char *name, struct obj **ret, struct err *e)
{
	if (kube_get_wait(v->client, k, v->ns, name, ret, e) == 0 || e->code == ERR_NOT_FOUND)
		return 0;
	return err_wrap(e, "Error getting %s %s", k->kind, name);
}

static int get_config(struct virtctl *v, struct snapshot *s, struct err *e)
{
	CLEANUP(str_done) struct str body = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *list = NULL;
	int status;

	if (kube_raw_wait(
		    v->client, "GET", "/apis/kubevirt.io/v1/kubevirts", NULL, NULL, 0, &status, &body, e) < 0)
		return -1;
	s->guessed = status == 403;
	if (s->guessed) {
		kv_config_from(NULL, &s->config);
		return 0;
	}
	if (virtctl_check_status(status, &body, e) < 0)
		return err_wrap(e, "Error getting the KubeVirt object");
	list = json_parse(str_cstr(&body), body.len, e);
	if (!list)
		return -1;
	s->kubevirt = json_doc_from(json_at(json_root(list), "/items/0"));
	kv_config_from(json_root(s->kubevirt), &s->config);
	return 0;
}

/* An instance type, a preference, or a revision of one. What can not be had is not there: nothing is compared then. */
static const struct json *get_type(
	struct it_lookup *l, const struct kind *k, const char *ns, const char *name)
{
	struct snapshot *s = l->arg;
	struct obj *o = NULL;
	struct err e;

	for (size_t i = 0; i < s->n_types; i++)
		if (str_eq(obj_name(s->types[i]), name) &&
			str_eq(json_get_str(obj_json(s->types[i]), "kind"), k->kind))
			return obj_json(s->types[i]);
	if (s->n_types == TYPES_MAX ||
		kube_get_wait(s->v->client, k, k->namespaced ? ns : NULL, name, &o, &e) < 0)
		return NULL;
	s->types[s->n_types++] = o;
	return obj_json(o);
}

static bool is_ours(const struct obj *vmi, const struct obj *vm)
{
	return str_eq(json_get_str(meta_controller_ref(obj_json(vmi)), "uid"), obj_uid(vm));
}

/* Whoever has rights in a namespace only sees what virt-controller made of the strategy: the first one is taken that agrees with
 * RestartRequired. */
static void list_guessed(struct snapshot *s, const struct rollout_in *in)
{
	static const struct {
		enum rollout rollout;
		unsigned methods;
	} guesses[] = { { ROLLOUT_LIVE_UPDATE, KV_UPDATE_LIVE_MIGRATE }, { ROLLOUT_LIVE_UPDATE, 0 },
		{ ROLLOUT_STAGE, 0 } };
	const struct json *c =
		cond_find(json_at(obj_json(s->vm), "/status/conditions"), COND_RESTART_REQUIRED);
	bool required = str_eq(json_get_str(c, "status"), "True");

	for (size_t i = 0; i < ARRAY_LEN(guesses); i++) {
		s->config.rollout = guesses[i].rollout;
		s->config.workload_methods = guesses[i].methods;
		rollout_done(&s->edits);
		rollout_list(in, &s->edits);
		if (s->edits.staged == required)
			return;
	}
}

static int snapshot_take(struct virtctl *v, struct snapshot *s, struct err *e)
{
	const char *name = v->args[1], *revision;

	if (kube_get_wait(v->client, &kind_vm, v->ns, name, &s->vm, e) < 0)
		return err_wrap(e, "Error getting VirtualMachine %s", name);
	if (get_config(v, s, e) < 0 || get(v, &kind_vmi, name, &s->vmi, e) < 0)
		return -1;
	if (s->vmi && !is_ours(s->vmi, s->vm))
		obj_unref(TAKE(s->vmi));
	revision = s->vmi ? json_at_str(obj_json(s->vmi), "/status/virtualMachineRevisionName") : NULL;
	if (!str_empty(revision) && get(v, &kind_controllerrevision, revision, &s->revision, e) < 0)
		return -1;
	struct it_lookup types = { .get = get_type, .arg = s };
	const struct rollout_in in = {
		.vm = s->vm, .vmi = s->vmi, .revision = s->revision, .types = &types, .config = &s->config
	};
	s->v = v;
	if (s->guessed)
		list_guessed(s, &in);
	else
		rollout_list(&in, &s->edits);
	s->view = (struct rollout_view){
		.vm = s->vm, .vmi = s->vmi, .config = &s->config, .guessed = s->guessed, .edits = &s->edits
	};
	return 0;
}

static void show(const struct virtctl *v, const struct snapshot *s)
{
	CLEANUP(str_done) struct str text = { 0 };

	if (v->output) {
		CLEANUP(json_doc_freep) struct json_doc *d = rollout_json(&s->view);
		CLEANUP(mem_freep) char *pretty = json_write_pretty(json_root(d), NULL);
		puts(pretty);
		return;
	}
	rollout_text(&s->view, &text);
	fputs(str_cstr(&text), stdout);
}

/* ---- waiting ---- */
struct watch {
	struct cache *vms, *vmis;
	bool changed;
	char *told; /* the last line */
	bool terminal;
};

static void on_change(void *arg, const struct obj *old, const struct obj *new)
{
	((struct watch *)arg)->changed = true;
}

static struct cache *watch_one(struct virtctl *v, const struct kind *k, struct watch *w)
{
	CLEANUP(mem_freep) char *field = str_printf("metadata.name=%s", v->args[1]);
	const struct cache_opts opts = { .ns = v->ns, .field_selector = field };
	struct cache *c = cache_new(v->client, k, &opts);

	cache_on_change(c, on_change, w);
	cache_start(c);
	return c;
}

/* On a terminal one line that changes, else a line for each change. */
static void tell(struct watch *w, const struct snapshot *s)
{
	struct str line = { 0 };

	rollout_line(&s->view, &line);
	if (!str_eq(w->told, str_cstr(&line)))
		fprintf(stderr, w->terminal ? "\r\033[K%s" : "%s\n", str_cstr(&line));
	fflush(stderr);
	free(w->told);
	w->told = str_take(&line);
}

static bool wait_for_change(struct virtctl *v, struct watch *w, int64_t deadline)
{
	while (!w->changed) {
		int64_t left = deadline ? deadline - loop_mono_ms(v->loop) : STEP_MS;
		if (left <= 0)
			return false;
		loop_step(v->loop, left < STEP_MS ? (int)left : STEP_MS);
	}
	w->changed = false;
	return true;
}

static int watch_run(struct virtctl *v, struct snapshot *s, struct watch *w, struct err *e)
{
	int64_t deadline = 0;
	int result;

	if (v->timeout_given)
		deadline = loop_mono_ms(v->loop) + (int64_t)(v->timeout_minutes * 60000);
	while ((result = (int)rollout_result(&s->view)) == ROLLOUT_PENDING) {
		tell(w, s);
		if (!wait_for_change(v, w, deadline))
			break;
		snapshot_done(s);
		if (snapshot_take(v, s, e) < 0)
			return -1;
	}
	return result;
}

static int status_run(struct virtctl *v, struct snapshot *s, struct err *e)
{
	struct watch w = { .terminal = isatty(STDERR_FILENO) };
	int result = (int)rollout_result(&s->view);

	if (v->watch && result == ROLLOUT_PENDING) {
		w.vms = watch_one(v, &kind_vm, &w);
		w.vmis = watch_one(v, &kind_vmi, &w);
		result = watch_run(v, s, &w, e);
		cache_free(w.vms);
		cache_free(w.vmis);
		if (w.terminal && w.told)
			fputs("\r\033[K", stderr);
		free(w.told);
	}
	if (result >= 0)
		show(v, s);
	if (v->watch && result == ROLLOUT_PENDING)
		fputs("time is up\n", stderr);
	return result;
}

static int diff_run(const struct virtctl *v, const struct snapshot *s)
{
	CLEANUP(str_done) struct str text = { 0 };
	bool differs = rollout_diff(&s->view, &text);

	if (v->output)
		show(v, s);
	else
		fputs(str_cstr(&text), stdout);
	return differs;
}

int rollout_run(struct virtctl *v, struct err *e)
{
	CLEANUP(snapshot_done) struct snapshot s = { 0 };
	bool diff = str_eq(v->args[0], "diff");

	if (diff)
		v->trouble = DIFF_TROUBLE;
	if (snapshot_take(v, &s, e) < 0)
		return -1;
	return diff ? diff_run(v, &s) : status_run(v, &s, e);
}
