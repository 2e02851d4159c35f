/* SPDX-License-Identifier: Apache-2.0 */
/* virt-handler's /metrics: what the guests of this node cost. Every launcher is asked when somebody wants to know, all at
 * once; the answer waits for the slowest, at most for the verb's time limit. Names and labels are KubeVirt's (rollout.md 5.1). */
#include "base/mem.h"
#include "kubevirt/handler/handler_impl.h"
#include "kubevirt/health/metrics.h"

struct sample {
	struct scrape *scrape;
	struct sample *next;
	char *ns, *name;
	struct json_doc *state; /* what its launcher said last */
	struct json_doc *stats; /* NULL: it has not answered */
};
struct scrape {
	struct handler *handler;
	struct http_req *req; /* NULL: nobody waits any more */
	struct sample *samples, **end;
	size_t waiting;
};

static void scrape_free(struct scrape *s)
{
	for (struct sample *m = s->samples, *next; m; m = next) {
		next = m->next;
		json_doc_free(m->state);
		json_doc_free(m->stats);
		free(m->ns);
		free(m->name);
		free(m);
	}
	free(s);
}

/* ---- text ---- */
static void add_value(const struct scrape *s, const struct sample *m, const char *name, const struct json *v,
	bool milli, struct str *out)
{
	const struct metric_label labels[] = { { "node", s->handler->spec.node }, { "namespace", m->ns },
		{ "name", m->name }, { 0 } };

	if (v && milli)
		metric_milli(out, name, labels, json_i64(v));
	else if (v)
		metric_i64(out, name, labels, json_i64(v));
}

static const struct {
	const char *name, *type, *help;
	const char *stats, *state; /* where it stands: the former goes before */
	bool milli;
} rows[] = {
	{ "kubevirt_vmi_memory_domain_bytes", "gauge", "Memory the guest has.", NULL, "/memory/current" },
	{ "kubevirt_vmi_memory_available_bytes", "gauge", "Memory the guest's system sees.", "/guestTotal",
		"/memory/guestTotal" },
	{ "kubevirt_vmi_memory_usable_bytes", "gauge", "Memory the guest's system could give away.",
		"/guestAvailable", "/memory/guestAvailable" },
	{ "kubevirt_vmi_memory_actual_balloon_bytes", "gauge", "Memory the balloon leaves to the guest.",
		"/balloon", NULL },
	{ "kubevirt_vmi_memory_resident_bytes", "gauge", "Memory of the host that QEMU has in use.",
		"/resident", NULL },
	{ "kubevirt_vmi_cpu_user_usage_seconds_total", "counter", "Time QEMU has run in user mode.",
		"/userMs", NULL, true },
	{ "kubevirt_vmi_cpu_system_usage_seconds_total", "counter", "Time QEMU has run in system mode.",
		"/systemMs", NULL, true },
};

static void add_rows(const struct scrape *s, struct str *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metric_family(out, rows[i].name, rows[i].type, rows[i].help);
		for (const struct sample *m = s->samples; m; m = m->next) {
			const struct json *v = rows[i].stats && m->stats
						       ? json_at(json_root(m->stats), rows[i].stats)
						       : NULL;

			if (!v && rows[i].state)
				v = json_at(json_root(m->state), rows[i].state);
			add_value(s, m, rows[i].name, v, rows[i].milli, out);
		}
	}
}

static void add_cpu(const struct scrape *s, struct str *out)
{
	static const char all[] = "kubevirt_vmi_cpu_usage_seconds_total",
			  one[] = "kubevirt_vmi_vcpu_seconds_total";

	metric_family(out, all, "counter", "Time QEMU has run.");
	for (const struct sample *m = s->samples; m; m = m->next) {
		const struct json *stats = m->stats ? json_root(m->stats) : NULL;
		const struct metric_label labels[] = { { "node", s->handler->spec.node },
			{ "namespace", m->ns }, { "name", m->name }, { 0 } };

		if (json_get(stats, "userMs"))
			metric_milli(out, all, labels,
				json_i64(json_get(stats, "userMs")) + json_i64(json_get(stats, "systemMs")));
	}
	metric_family(out, one, "counter", "Time each vCPU has run.");
	for (const struct sample *m = s->samples; m; m = m->next)
		JSON_EACH (it, m->stats ? json_get(json_root(m->stats), "vcpus") : NULL) {
			CLEANUP(mem_freep)
			char *id = str_printf("%lld", (long long)json_i64(json_get(it.val, "id")));
			const struct metric_label labels[] = { { "node", s->handler->spec.node },
				{ "namespace", m->ns }, { "name", m->name }, { "id", id },
				{ "state", "running" }, { 0 } };

			metric_milli(out, one, labels, json_i64(json_get(it.val, "ms")));
		}
}

static void scrape_answer(struct scrape *s)
{
	CLEANUP(str_done) struct str out = { 0 };

	controllers_metrics(s->handler->controllers, &out);
	add_rows(s, &out);
	add_cpu(s, &out);
	health_reply_metrics(s->req, &out);
}

/* ---- asking ---- */
static void one_less(struct scrape *s)
{
	if (--s->waiting)
		return;
	if (s->req)
		scrape_answer(s); /* the request's end frees it */
	else
		scrape_free(s);
}

static void on_stats(void *arg, const struct json *ok, const struct err *e)
{
	struct sample *m = arg;

	if (ok)
		m->stats = json_doc_from(ok);
	one_less(m->scrape);
}

static void on_request_gone(void *arg)
{
	struct scrape *s = arg;

	s->req = NULL;
	if (!s->waiting)
		scrape_free(s);
}

static void add_sample(struct scrape *s, const struct obj *vmi, const struct guest_facts *f)
{
	struct sample *m = MEM_NEW(struct sample);

	*m = (struct sample){ .scrape = s,
		.ns = mem_strdup(obj_namespace(vmi)),
		.name = mem_strdup(obj_name(vmi)),
		.state = json_doc_from(f->state) };
	*s->end = m;
	s->end = &m->next;
	s->waiting += links_stats(s->handler->links, obj_uid(vmi), on_stats, m);
}

void scrape_serve(void *handler, struct http_req *r)
{
	struct scrape *s = MEM_NEW(struct scrape);
	struct handler *h = handler;
	const struct guest_facts *f;
	const struct obj *o;

	*s = (struct scrape){ .handler = h, .req = r, .waiting = 1 };
	s->end = &s->samples;
	http_req_set_ctx(r, s, on_request_gone);
	for (size_t i = 0; (o = cache_at(h->vmis, i)); i++)
		if ((f = links_facts(h->links, obj_uid(o))) && f->state)
			add_sample(s, o, f);
	one_less(s);
}
