/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fake_api.h"

#include "api/fields.h"
#include "kube/fake_impl.h"

#include <string.h>

/* ---- chance ---- */
bool fake_chance(struct fake_api *f, int per_mille)
{
	return per_mille > 0 && rng_below(&f->rng, 1000) < (uint64_t)per_mille;
}

int64_t fake_latency(struct fake_api *f)
{
	return (int64_t)rng_below(&f->rng, (uint64_t)f->faults.latency_max_ms + 1);
}

/* ---- set-up ---- */
struct fake_api *fake_api_new(struct loop *l)
{
	struct fake_api *f = MEM_NEW(struct fake_api);

	f->loop = l;
	f->rv = 1;
	f->rng.state = 1;
	return f;
}

static void kind_free(struct fake_kind *fk)
{
	for (size_t i = 0; i < fk->objs.len; i++)
		obj_unref(fk->objs.items[i].val);
	keymap_done(&fk->objs, NULL);
	strv_done(&fk->main_subs);
	schema_free(fk->schema);
	free(fk);
}

void fake_api_free(struct fake_api *f)
{
	if (!f)
		return;
	MUST(!f->calls); /* clients go first */
	for (size_t i = 0; i < f->n_log; i++) {
		obj_unref(f->log[i].old);
		obj_unref(f->log[i].new);
	}
	for (size_t i = 0; i < f->n_kinds; i++)
		kind_free(f->kinds[i]);
	loop_timer_free(f->gc);
	free(f->log);
	free(f->kinds);
	free(f);
}

/* kubernetes-api.md 2.2; the kinds not named here follow the rule of custom resources. */
static const struct {
	const char *group, *plural;
	enum gen_rule rule;
} generations[] = {
	{ "", "pods", GEN_NONE },
	{ "", "nodes", GEN_NONE },
	{ "", "namespaces", GEN_NONE },
	{ "", "configmaps", GEN_NONE },
	{ "", "secrets", GEN_NONE },
	{ "", "services", GEN_NONE },
	{ "", "serviceaccounts", GEN_NONE },
	{ "", "events", GEN_NONE },
	{ "coordination.k8s.io", "leases", GEN_NONE },
	{ "apps", "deployments", GEN_SPEC_AND_ANNOTATIONS },
	{ "apps", "daemonsets", GEN_SPEC },
	{ "apps", "replicasets", GEN_SPEC },
	{ "batch", "jobs", GEN_SPEC },
};

static bool is_builtin(const struct kind *k)
{
	return !strchr(k->group, '.') || str_ends(k->group, ".k8s.io");
}

static struct write_rules rules_of(const struct kind *k)
{
	struct write_rules r = { .kind = k, .name_max = 253 };

	r.generation = k->has_status ? GEN_ALL_BUT_STATUS : GEN_ALL_BUT_META;
	for (size_t i = 0; i < ARRAY_LEN(generations); i++)
		if (str_eq(k->group, generations[i].group) && str_eq(k->plural, generations[i].plural))
			r.generation = generations[i].rule;
	r.needs_rv = !is_builtin(k) || str_eq(k->plural, "leases");
	r.create_on_update = str_eq(k->plural, "leases") || str_eq(k->plural, "events");
	if (k->group[0] == '\0' && (str_eq(k->plural, "namespaces") || str_eq(k->plural, "services")))
		r.name_max = 63;
	return r;
}

void fake_api_add_kind(struct fake_api *f, const struct kind *k)
{
	struct fake_kind *fk = MEM_NEW(struct fake_kind);
	CLEANUP(causes_done) struct causes causes = { 0 };

	fk->k = k;
	fk->rules = rules_of(k);
	if (k->fields) {
		CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(k->fields);

		MUST(schema_compile(json_root(d), "", &fk->schema, &causes, NULL) == 0);
	}
	f->kinds = mem_grow(f->kinds, &f->cap_kinds, f->n_kinds + 1, sizeof(struct fake_kind *));
	f->kinds[f->n_kinds++] = fk;
}

void fake_api_sub_writes_main(struct fake_api *f, const struct kind *k, const char *sub)
{
	strv_add(&fake_kind_of(f, k)->main_subs, sub);
}

void fake_api_admit(struct fake_api *f, fake_admit_fn *fn, void *arg)
{
	MUST(f->n_admits < FAKE_ADMITS_MAX);
	f->admits[f->n_admits].fn = fn;
	f->admits[f->n_admits++].arg = arg;
}

void fake_api_collect_orphans(struct fake_api *f, bool on)
{
	loop_timer_free(f->gc);
	f->gc = on ? loop_timer_new(f->loop, fake_gc_run, f) : NULL;
	if (on)
		loop_timer_set(f->gc, 0);
}

void fake_api_faults(struct fake_api *f, const struct fake_faults *faults)
{
	f->faults = *faults;
	if (faults->seed)
		f->rng.state = faults->seed;
}

uint64_t fake_api_writes(const struct fake_api *f)
{
	return f->writes;
}

uint64_t fake_api_rv(const struct fake_api *f)
{
	return f->rv;
}

/* ---- calls ---- */
void fake_call_free(struct fake_call *c)
{
	struct fake_api *f = c->client->f;

	if (c->prev)
		c->prev->next = c->next;
	else
		f->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	loop_timer_free(c->timer);
	selector_free(c->labels);
	field_selector_free(c->fields);
	str_done(&c->body);
	str_done(&c->answer);
	free(c->method);
	free(c->path);
	free(c->content_type);
	free(c->ns);
	free(c);
}

void fake_call_arm(struct fake_call *c, int64_t in_ms)
{
	int64_t due = loop_mono_ms(c->client->f->loop) + in_ms;

	if (loop_timer_armed(c->timer) && c->due <= due)
		return;
	c->due = due;
	loop_timer_set(c->timer, in_ms > 0 ? in_ms : 0);
}

void fake_call_end(struct fake_call *c, const struct err *e)
{
	void (*done)(void *arg, int status, const void *body, size_t len, const struct err *e) = c->done;
	CLEANUP(str_done) struct str answer = c->answer;
	void *arg = c->arg;
	int status = c->status;

	c->answer = (struct str){ 0 };
	fake_call_free(c);
	if (e)
		done(arg, 0, NULL, 0, e);
	else
		done(arg, status, answer.data, answer.len, NULL);
}

static bool is_write(const struct fake_call *c)
{
	return !str_eq(c->method, "GET");
}

static void call_arrives(struct fake_call *c)
{
	struct fake_api *f = c->client->f;
	static const char failed[] =
		"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
		"\"message\":\"fake: failed as told\",\"reason\":\"InternalError\",\"code\":500}";
	static const char conflict[] =
		"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		"\"status\":\"Failure\",\"message\":\"Operation cannot be fulfilled: the object has "
		"been modified; please apply your changes to the latest version and try again\","
		"\"reason\":\"Conflict\",\"code\":409}";

	c->state = FAKE_ANSWERED;
	if (fake_chance(f, f->faults.fail_request)) {
		c->status = 500;
		str_add(&c->answer, failed);
	} else if (is_write(c) && !str_eq(c->method, "POST") && fake_chance(f, f->faults.conflict)) {
		c->status = 409;
		str_add(&c->answer, conflict);
	} else {
		fake_serve(c);
		c->lost = c->state == FAKE_ANSWERED && fake_chance(f, f->faults.lose_answer);
	}
	fake_call_arm(c, fake_latency(f));
}

static void call_fire(void *arg)
{
	struct fake_call *c = arg;
	struct err e = { 0 };

	if (c->state == FAKE_COMING) {
		call_arrives(c);
	} else if (c->state == FAKE_WATCHING) {
		fake_watch_fire(c);
	} else if (c->lost) {
		err_set(&e, ERR_UNREACHABLE, "fake: the connection broke before the answer");
		fake_call_end(c, &e);
	} else {
		fake_call_end(c, NULL);
	}
}

static void *transport_call(void *self, const struct kube_request *r)
{
	struct fake_client *client = self;
	struct fake_call *c = MEM_NEW(struct fake_call);

	c->client = client;
	c->next = client->f->calls;
	if (c->next)
		c->next->prev = c;
	client->f->calls = c;
	c->timer = loop_timer_new(client->f->loop, call_fire, c);
	c->method = mem_strdup(r->method);
	c->path = mem_strdup(r->path);
	c->content_type = mem_strdup(r->content_type ? r->content_type : "");
	if (r->body)
		str_addn(&c->body, r->body, r->len);
	c->stream = r->stream;
	c->data = r->data;
	c->done = r->done;
	c->arg = r->arg;
	fake_call_arm(c, fake_latency(client->f));
	return c;
}

static void transport_cancel(void *self, void *handle)
{
	struct fake_call *c = handle;

	if (c->busy)
		c->cancelled = true;
	else
		fake_call_free(c);
}

static void transport_free(void *self)
{
	struct fake_client *c = self;

	free(c->user);
	free(c);
}

struct kube_transport fake_api_transport(struct fake_api *f, const char *user)
{
	struct fake_client *c = MEM_NEW(struct fake_client);

	c->f = f;
	c->user = mem_strdup(user);
	return (struct kube_transport){
		.self = c, .call = transport_call, .cancel = transport_cancel, .free = transport_free
	};
}

void fake_api_disconnect(struct fake_api *f, const char *user)
{
	for (struct fake_call *c = f->calls; c; c = c->next) {
		if (!str_eq(c->client->user, user))
			continue;
		c->dead = true;
		loop_timer_stop(c->timer);
	}
}
