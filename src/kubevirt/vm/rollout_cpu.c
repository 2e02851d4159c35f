/* SPDX-License-Identifier: Apache-2.0 */
/* domain.cpu.sockets: rollout.md 2.4 (H1 to H3 and their order), 2.5 (the trap), 3.2, 7.10 to 7.12; decisions 11, 19, 20. */
#include "api/quantity.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define PATH "spec.template.spec.domain.cpu.sockets"
#define M "CPU sockets updated in template spec"
#define H1 M " to a value higher than what's available"
#define H2 "Reduction of CPU socket count requires a restart"
#define H3 "ARM doesn't support CPU hotplug"

struct cpu_case {
	const struct vm_seen *seen;
	const struct json *vmi, *template;
	int64_t wanted, spec, has; /* sockets: by the VM, by its instance, by the guest */
};

static bool gate(const struct cpu_case *c, enum gate g)
{
	return gate_on(&c->seen->config->gates, g);
}

/* The first check that fails, or NULL: the change can go live. */
static const char *first_refusal(const struct cpu_case *c)
{
	if (c->wanted > json_i64(json_at(c->vmi, "/spec/domain/cpu/maxSockets")) && c->wanted > c->has)
		return H1;
	if (c->wanted < c->has && !(gate(c, GATE_CPU_HOT_UNPLUG) && gate(c, GATE_IN_PLACE_HOTPLUG)))
		return H2;
	if (str_eq(json_at_str(c->vmi, "/spec/architecture"), "arm64"))
		return H3;
	return NULL;
}

/* Requests and limits that the VM gives grow by a pod CPU share per vCPU; limits by no more (rollout.md 3.2, 2.). */
static void grow(struct json_doc *d, struct json *vmi, const struct json *given, const char *which,
	int64_t delta_milli)
{
	struct json *cpus = json_get(json_at(vmi, "/spec/domain/resources"), which);
	int64_t milli = quantity_millis(json_get(cpus, "cpu"));
	char text[QUANTITY_TEXT_MAX];

	if (quantity_millis(json_at(json_get(given, which), "/cpu")) < 0 || milli < 0)
		return;
	milli += delta_milli;
	json_set_str(d, cpus, "cpu", quantity_milli_text(milli > 0 ? milli : 1, text));
}

static void apply(struct edits *r, const struct cpu_case *c)
{
	struct json *vmi = rollout_vmi(c->seen, r), *cpu = json_at(vmi, "/spec/domain/cpu");
	const struct json *given = json_at(c->template, "/domain/resources");
	int64_t share = 1000 / c->seen->config->cpu_allocation_ratio;
	int64_t delta = (vcpu_count_sockets(cpu, c->wanted) - vcpu_count(cpu)) * share;

	json_set_i64(r->vmi, cpu, "sockets", c->wanted);
	grow(r->vmi, vmi, given, "requests", delta);
	grow(r->vmi, vmi, given, "limits", delta);
}

static void stage(struct edits *r, const struct json *was, const struct json *is, const char *why)
{
	struct change *c = rollout_add(r, PATH, was, is, LIVE_CPU_SOCKETS);

	c->staged = true;
	c->why = why;
}

/* Limit 12 of rollout.md 7: the same value is not tried again, another one is a new attempt. */
static bool failed_before(const struct cpu_case *c)
{
	return vmi_cond_is(c->vmi, COND_HOT_CPU, "False") && vmi_hot_cpu_target(c->vmi) == c->wanted &&
	       c->wanted != c->has;
}

/* Limit 10, decision 19: what works neither in place nor by a migration waits for a restart; nobody is evicted for it. */
static bool no_migration(const struct cpu_case *c)
{
	return !(c->seen->config->workload_methods & KV_UPDATE_LIVE_MIGRATE) ||
	       vmi_cond_is(c->vmi, COND_LIVE_MIGRATABLE, "False");
}

/* Asked of the instance, and nothing has been done for it yet. */
static bool is_waiting(const struct cpu_case *c)
{
	return str_eq(json_get_str(vmi_cond(c->vmi, COND_HOT_CPU), "reason"), HOT_CPU_NEEDS_MIGRATION);
}

static bool stuck(const struct cpu_case *c)
{
	return c->wanted != c->has && no_migration(c) && is_waiting(c);
}

/* false: nothing is asked for, or there is nothing to compare it with. */
static bool case_of(const struct vm_seen *s, struct cpu_case *ret)
{
	const struct json *vmi = obj_json(s->vmi), *template = json_get(s->template, "spec");
	const struct json *boot = json_at(s->start, "/spec/domain/cpu"),
			  *cpu = json_at(template, "/domain/cpu");

	*ret = (struct cpu_case){ .seen = s,
		.vmi = vmi,
		.template = template,
		/* 0 or absent is what it would be started with: no request by itself (2.5), but the way back from one */
		.wanted = domain_sockets(json_get(template, "domain")),
		.spec = vmi_sockets_wanted(vmi),
		.has = vmi_sockets_current(vmi) };
	if (ret->has < 0)
		ret->has = ret->spec;
	return json_is_obj(boot) && json_is_obj(cpu) && json_is_obj(json_at(vmi, "/spec/domain/cpu"));
}

void rollout_cpu_cancel(const struct vm_seen *s, struct edits *r)
{
	struct cpu_case c;

	if (!case_of(s, &c) || c.wanted == c.spec || vmi_phase(c.vmi) != VMI_RUNNING || vmi_migrating(c.vmi))
		return;
	/* Another number is wanted, and something that is staged holds it back: that may be what this one has no room for. */
	if (r->staged && is_waiting(&c))
		c.wanted = c.has;
	if (c.wanted == c.has)
		apply(r, &c);
}

/* Already asked of the instance. */
static void asked(const struct cpu_case *c, struct edits *r, const struct json *has, const struct json *is)
{
	if (failed_before(c))
		stage(r, has, is,
			c->wanted < c->has ? H2 : M ". CPU hotplug failed for this VM configuration");
	else if (stuck(c))
		stage(r, has, is,
			M ". The node can not give them in place and live migration is not possible");
}

/* A change that has to wait for another one: KubeVirt's way knows one at a time (rollout.md 35, 36). In place, and where the
 * one before never comes, the newest value wins (limit 11). */
static const char *wait_for(const struct cpu_case *c)
{
	if (vmi_migrating(c->vmi))
		return "CPU hotplug waits for the end of a migration";
	if (vmi_cond_is(c->vmi, COND_HOT_CPU, "True") && !gate(c, GATE_IN_PLACE_HOTPLUG) && !no_migration(c))
		return "CPU hotplug is in progress";
	return NULL;
}

void rollout_cpu(const struct vm_seen *s, struct edits *r)
{
	const struct json *vmi = obj_json(s->vmi), *was = json_at(vmi, "/spec/domain/cpu/sockets"),
			  *has = json_at(vmi, "/status/currentCPUTopology/sockets"),
			  *is = json_at(s->template, "/spec/domain/cpu/sockets");
	const char *why;
	struct cpu_case c;

	if (!case_of(s, &c))
		return;
	if (c.wanted == c.spec) {
		asked(&c, r, has, is);
		return;
	}
	if (c.wanted == c.has)
		return; /* see rollout_cpu_cancel() */
	if (!rollout_live(s)) {
		stage(r, was, is, M);
		return;
	}
	/* Before what is busy, unlike KubeVirt: it needs a restart then as well, and RestartRequired does not come and go with a
	 * migration (rollout.md 2.5). */
	why = first_refusal(&c);
	if (why) {
		stage(r, has ? has : was, is, why);
		return;
	}
	rollout_add(r, PATH, was, is, LIVE_CPU_SOCKETS);
	r->retried = r->retried || stuck(&c);
	why = wait_for(&c);
	if (why)
		rollout_busy(r, "HotPlugCPUError", why);
	else if (vmi_phase(vmi) == VMI_RUNNING)
		apply(r, &c);
	/* else: the guest is being started with the value before; this one follows when it runs */
}
