/* SPDX-License-Identifier: Apache-2.0 */
/* What has reached the guest is told on its VM: kubectl describe vm tells the whole story then (rollout.md 5.2). By the one who
 * writes it down, from nothing but the instance before and after that write: a change may be over before virt-controller has
 * seen that it began. The write is guarded: nothing is told twice. What is lost are events of a virt-handler that dies behind
 * the write, or did not hear that it was done. */
#include "kubevirt/handler/guest.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/names.h"

/* Who owns the instance, as far as an event needs to know; NULL: it is nobody's. */
static struct obj *owner(const struct guest_view *v)
{
	const struct json *ref = meta_controller_ref(obj_json(v->vmi));
	struct json_doc *d;
	struct json *meta;

	if (!str_eq(json_get_str(ref, "kind"), "VirtualMachine"))
		return NULL;
	d = json_lit("{'metadata':{}}");
	meta = json_get(json_root(d), "metadata");
	json_set_str(d, json_root(d), "apiVersion", json_str_or(json_get(ref, "apiVersion"), ""));
	json_set_str(d, json_root(d), "kind", "VirtualMachine");
	json_set_str(d, meta, "namespace", obj_namespace(v->vmi));
	json_set_str(d, meta, "name", json_str_or(json_get(ref, "name"), ""));
	json_set_str(d, meta, "uid", json_str_or(json_get(ref, "uid"), ""));
	return obj_from_doc(d);
}

/* Bytes; 0: a change is under way, or has stopped half-way. */
static int64_t memory_at_rest(const struct json *vmi)
{
	const struct json *memory = json_at(vmi, "/status/memory");
	int64_t current = quantity_bytes(json_get(memory, "guestCurrent"));

	if (cond_is(json_at(vmi, "/status/conditions"), COND_HOT_MEMORY, "True") ||
		current != quantity_bytes(json_get(memory, "guestRequested")))
		return 0;
	return current > 0 ? current : 0;
}

static bool memory_differs(const struct json *a, const struct json *b)
{
	static const char *const sizes[] = { "/status/memory/guestCurrent", "/status/memory/guestRequested" };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (quantity_bytes(json_at(a, sizes[i])) != quantity_bytes(json_at(b, sizes[i])))
			return true;
	return false;
}

struct guest_news guest_news(const struct guest_view *v, const struct json *vmi)
{
	const struct json *was = obj_json(v->vmi), *cpus = json_at(vmi, "/status/currentCPUTopology");
	struct guest_news n = { 0 };

	if (cpus && vcpu_count(cpus) != vcpu_count(json_at(was, "/status/currentCPUTopology")))
		n.cpus = vcpu_count(cpus);
	if (memory_differs(was, vmi))
		n.memory = memory_at_rest(vmi);
	return n;
}

void guest_tell(const struct guest_view *v, const struct guest_news *n, struct plan *out)
{
	CLEANUP(obj_unrefp) struct obj *vm = n->cpus > 0 || n->memory > 0 ? owner(v) : NULL;
	char text[QUANTITY_TEXT_MAX];

	if (vm && n->cpus > 0)
		plan_event(out, vm, false, "CPUUpdated", "the guest has %lld CPUs now", (long long)n->cpus);
	if (vm && n->memory > 0)
		plan_event(out, vm, false, "MemoryUpdated", "the guest has %s of memory now",
			quantity_bytes_text(n->memory, text));
}
