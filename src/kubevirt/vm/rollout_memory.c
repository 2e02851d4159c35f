/* SPDX-License-Identifier: Apache-2.0 */
/* domain.memory.guest: rollout.md 2.4 (order of the checks, H4 to H9), 3.3, 4.2, 7.4; decisions 10 to 12. */
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define PATH "spec.template.spec.domain.memory.guest"
#define PATH_MAX_GUEST "spec.template.spec.domain.memory.maxGuest"
#define M "memory updated in template spec"
#define NOT_SUPPORTED "memory hotplug not supported, "

struct memory_case {
	const struct vm_seen *seen;
	const struct json *vmi, *domain; /* the VM's domain */
	int64_t wanted, max, at_boot, floor;
};

/* H7's texts are made of a fixed part and the failing check; meanings are static, so here they all are. */
static const char *unsupported(const char *why)
{
	static const char *const texts[] = {
		NOT_SUPPORTED "Memory hotplug is not compatible with realtime VMs",
		NOT_SUPPORTED "Memory hotplug is not compatible with guest mapping passthrough",
		NOT_SUPPORTED "Memory hotplug is not compatible with encrypted VMs",
		NOT_SUPPORTED "Guest memory must be configured when memory hotplug is enabled",
		NOT_SUPPORTED "Max guest memory must be configured when memory hotplug is enabled",
		NOT_SUPPORTED "MaxGuest is more than any guest can address",
		NOT_SUPPORTED "Guest memory is greater than the configured maxGuest memory",
		NOT_SUPPORTED "Guest memory must be 2Mi aligned",
		NOT_SUPPORTED "Guest memory must be 1Gi aligned",
		NOT_SUPPORTED "MaxGuest must be 2Mi aligned",
		NOT_SUPPORTED "MaxGuest must be 1Gi aligned",
		NOT_SUPPORTED "Memory hotplug is only available for x86_64 and arm64 VMs",
		NOT_SUPPORTED "Memory hotplug is only available for VMs with at least 1Gi of guest memory",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_eq(texts[i] + sizeof(NOT_SUPPORTED) - 1, why))
			return texts[i];
	return "memory hotplug not supported";
}

/* The first check that fails, or NULL: the change can go live. */
static const char *first_refusal(const struct memory_case *m)
{
	const struct vm_seen *s = m->seen;
	const char *why;

	if (!gate_on(&s->config->gates, GATE_IN_PLACE_HOTPLUG) &&
		vmi_cond_is(m->vmi, COND_LIVE_MIGRATABLE, "False"))
		return M
			". Memory-hotplug is only available for migratable VMs"; /* H5; in place nothing migrates */
	if (m->max < 0)
		return M ". Memory-hotplug is not available for this VM configuration"
			 " (the instance was started without room for more memory)"; /* H6, decision 12 */
	why = memory_hotplug_check(m->domain, json_at_str(m->vmi, "/spec/architecture"), m->wanted, m->max);
	if (why)
		return unsupported(why); /* H7; it shadows H9 */
	if (m->wanted < m->floor)
		return M " to a value lower than what the VM started with"; /* H8 */
	if (m->wanted > m->max)
		return M " to a value higher than what's available"; /* H9 */
	return NULL;
}

static void stage(struct edits *r, const struct json *was, const struct json *is, const char *why)
{
	struct change *c = rollout_add(r, PATH, was, is, LIVE_MEMORY);

	c->staged = true;
	c->why = why;
}

/* What the pod must have, from the template and the size at start, so that going back and forth ends where it began. rollout.md
 * 3.3, 1.: the request follows the guest and is the guest's size at least; the limit keeps its distance unless the request had to
 * jump. */
static void set_resources(struct json_doc *d, struct json *vmi, const struct memory_case *m)
{
	const struct json *given = json_get(m->domain, "resources");
	int64_t request = quantity_bytes(json_at(given, "/requests/memory"));
	int64_t limit = quantity_bytes(json_at(given, "/limits/memory"));
	int64_t delta = m->wanted - m->at_boot;
	bool jumps = delta != 0 && request >= 0 && request + delta < m->wanted;
	char text[QUANTITY_TEXT_MAX];

	if (request < 0 && json_at(vmi, "/spec/domain/resources/requests/memory")) {
		request = limit; /* admission copied it from the limit */
		jumps = false;
	}
	if (request >= 0 && json_at(vmi, "/spec/domain/resources/requests/memory"))
		json_put_str(d, vmi, "/spec/domain/resources/requests/memory",
			quantity_bytes_text(jumps ? m->wanted : request + delta, text));
	if (limit >= 0)
		json_put_str(d, vmi, "/spec/domain/resources/limits/memory",
			quantity_bytes_text(jumps ? limit : limit + delta, text));
}

static void apply(struct edits *r, const struct memory_case *m)
{
	struct json *vmi = rollout_vmi(m->seen, r);
	char text[QUANTITY_TEXT_MAX];

	json_put_str(r->vmi, vmi, "/spec/domain/memory/guest", quantity_bytes_text(m->wanted, text));
	set_resources(r->vmi, vmi, m);
}

/* H4. The same value is not tried twice; another one is a new attempt (handoff.h, limit 12). */
static bool failed_before(const struct memory_case *m)
{
	return vmi_cond_is(m->vmi, COND_HOT_MEMORY, "False") && vmi_hot_memory_target(m->vmi) == m->wanted;
}

/* Asked of the instance, and nothing has been done for it yet: no room, or a migration is waited for. */
static bool is_waiting(const struct memory_case *m)
{
	return str_eq(json_get_str(vmi_cond(m->vmi, COND_HOT_MEMORY), "reason"), HOT_MEMORY_NEEDS_MIGRATION);
}

/* Decision 19: what works neither in place nor by a migration waits for a restart; nobody is evicted for it. */
static bool stuck(const struct memory_case *m)
{
	return m->wanted != vmi_guest_current(m->vmi) && is_waiting(m) &&
	       !(m->seen->config->workload_methods & KV_UPDATE_LIVE_MIGRATE);
}

static bool is_what_the_guest_has(const struct memory_case *m)
{
	return m->wanted == vmi_guest_current(m->vmi);
}

/* ---- the maximum (rollout.md 7.7) ---- */
bool rollout_memory_max_goes(const struct vm_seen *s)
{
	const struct json *vmi = obj_json(s->vmi), *domain = json_at(s->template, "/spec/domain");
	int64_t is = quantity_bytes(json_at(domain, "/memory/maxGuest"));

	if (is < 0 || vmi_guest_max(vmi) < 0)
		return false;
	if (is == vmi_guest_max(vmi))
		return vmi_guest_room(vmi) >= 0; /* there already, whatever it was at the start */
	return rollout_live(s) && is <= vmi_guest_room(vmi) && is % domain_memory_block(domain) == 0 &&
	       is >= vmi_guest_at_boot(vmi);
}

void rollout_memory_max(const struct vm_seen *s, struct edits *r)
{
	const struct json *vmi = obj_json(s->vmi), *is = json_at(s->template, "/spec/domain/memory/maxGuest");
	char text[QUANTITY_TEXT_MAX];
	int64_t bytes = quantity_bytes(is);

	if (!rollout_memory_max_goes(s) || bytes == vmi_guest_max(vmi))
		return;
	rollout_add(r, PATH_MAX_GUEST, json_at(vmi, "/spec/domain/memory/maxGuest"), is, LIVE_MEMORY_MAX);
	if (vmi_migrating(vmi))
		rollout_busy(
			r, "HotPlugMemoryError", "the maximum of memory waits for the end of a migration");
	else if (vmi_phase(vmi) == VMI_RUNNING) {
		struct json *draft = rollout_vmi(s, r);

		json_put_str(r->vmi, draft, "/spec/domain/memory/maxGuest", quantity_bytes_text(bytes, text));
	}
}

/* ---- the size ---- */
/* A VM that names none and did not at its start asks for what it was started with: the way back from a size that was asked for
 * since (72). One that named a size then and does not now is compared with its start revision. */
static int64_t wanted_guest(const struct vm_seen *s)
{
	const struct json *guest = json_at(s->template, "/spec/domain/memory/guest");
	const struct json *boot = json_at(s->start, "/spec/domain");

	return json_is_null(guest) && json_is_null(json_at(boot, "/memory/guest")) ? domain_guest_memory(boot)
										   : quantity_bytes(guest);
}

static struct memory_case case_of(const struct vm_seen *s)
{
	const struct json *vmi = obj_json(s->vmi), *domain = json_at(s->template, "/spec/domain");
	struct memory_case m = { .seen = s,
		.vmi = vmi,
		.domain = domain,
		.wanted = wanted_guest(s),
		.max = rollout_memory_max_goes(s) ? quantity_bytes(json_at(domain, "/memory/maxGuest"))
						  : vmi_guest_limit(vmi),
		.at_boot = vmi_guest_at_boot(vmi),
		.floor = vmi_guest_floor(vmi) };

	if (m.max >= 0 && m.wanted > m.max && rollout_config_max_guest(s) > m.max)
		m.max = rollout_config_max_guest(s); /* it comes with this very pass */
	return m;
}

void rollout_memory_cancel(const struct vm_seen *s, struct edits *r)
{
	struct memory_case m = case_of(s);

	if (m.wanted < 0 || m.at_boot < 0 || vmi_phase(m.vmi) != VMI_RUNNING || vmi_migrating(m.vmi) ||
		failed_before(&m) || m.wanted == vmi_guest_wanted(m.vmi))
		return;
	/* Another size is wanted, and something that is staged holds it back: that may be what this one has no room for. */
	if (r->staged && is_waiting(&m) && vmi_guest_current(m.vmi) >= 0)
		m.wanted = vmi_guest_current(m.vmi);
	if (is_what_the_guest_has(&m))
		apply(r, &m);
}

void rollout_memory(const struct vm_seen *s, struct edits *r)
{
	struct memory_case m = case_of(s);
	const struct json *vmi = m.vmi, *guest = json_at(m.domain, "/memory/guest"),
			  *now = json_at(vmi, "/spec/domain/memory/guest");
	const char *why;

	if (m.wanted < 0 || !now || vmi_guest_current(vmi) < 0 || m.at_boot < 0)
		return;
	if (failed_before(&m)) {
		stage(r, json_at(vmi, "/status/memory/guestCurrent"), guest,
			M ". Memory-hotplug failed and is not available for this VM configuration");
		return;
	}
	if (is_what_the_guest_has(&m) && m.wanted != vmi_guest_wanted(vmi))
		return; /* see rollout_memory_cancel() */
	if (m.wanted == vmi_guest_wanted(vmi)) {
		if (stuck(&m))
			stage(r, json_at(vmi, "/status/memory/guestCurrent"), guest,
				M ". The node can not give it in place and live migration is not enabled");
		return;
	}
	if (!rollout_live(s)) {
		stage(r, now, guest, M);
		return;
	}
	why = first_refusal(&m);
	if (why) {
		stage(r, now, guest, why);
		return;
	}
	rollout_add(r, PATH, now, guest, LIVE_MEMORY);
	r->retried = r->retried || stuck(&m);
	if (vmi_migrating(vmi))
		rollout_busy(r, "HotPlugMemoryError", "memory hotplug waits for the end of a migration");
	else if (vmi_phase(vmi) == VMI_RUNNING)
		apply(r, &m);
	/* else: the guest is being started with the value before; this one follows when it runs */
}
