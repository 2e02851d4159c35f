/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/vmi/fleet.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/names.h"
#include "kubevirt/health/metrics.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

bool fleet_outdated(const struct json *vmi)
{
	static const char *const wanting[] = { COND_HOT_MEMORY, COND_MIGRATION_REQUIRED,
		COND_VOLUMES_CHANGE };

	if (vmi_phase(vmi) != VMI_RUNNING || !str_empty(meta_str(vmi, "deletionTimestamp")))
		return false;
	if (meta_label(vmi, LABEL_OUTDATED_LAUNCHER))
		return true;
	if (vmi_migrating(vmi) || meta_annotation(vmi, ANN_WORKLOAD_UPDATE_ABORT))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(wanting); i++)
		if (vmi_cond_is(vmi, wanting[i], "True"))
			return true;
	return vmi_cond(vmi, COND_HOT_CPU) != NULL;
}

static void outdated(const struct fleet *f, struct str *out)
{
	static const char name[] = "kubevirt_vmi_number_of_outdated";
	int64_t n = 0;

	for (size_t i = 0; i < f->vmis.n; i++)
		n += fleet_outdated(obj_json(f->vmis.items[i]));
	metric_family(out, name, "gauge",
		"Running instances with an outdated launcher or a live change under way.");
	metric_i64(out, name, NULL, n);
}

static void phases(const struct fleet *f, struct str *out)
{
	static const char name[] = "kubevirt_vmi_phase_count";
	int64_t n[VMI_PHASE_MAX] = { 0 };

	for (size_t i = 0; i < f->vmis.n; i++)
		n[vmi_phase(obj_json(f->vmis.items[i]))]++;
	metric_family(out, name, "gauge", "Instances in a phase.");
	for (int p = 0; p < VMI_PHASE_MAX; p++)
		if (n[p]) {
			CLEANUP(mem_freep) char *phase = str_lower(vmi_phase_name((enum vmi_phase)p));
			metric_i64(
				out, name, (const struct metric_label[]){ { "phase", phase }, { 0 } }, n[p]);
		}
}

/* ---- migrations ---- */
enum { M_UNSET, M_PENDING, M_SCHEDULING, M_RUNNING, M_SUCCEEDED, M_FAILED };

static int migration_phase(const struct json *vmim)
{
	const char *phase = json_str_or(json_at(vmim, "/status/phase"), "");
	static const struct {
		const char *text;
		int phase;
	} rows[] = { { "", M_UNSET }, { "Pending", M_PENDING }, { "Scheduling", M_SCHEDULING },
		{ "Succeeded", M_SUCCEEDED }, { "Failed", M_FAILED } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq(phase, rows[i].text))
			return rows[i].phase;
	return M_RUNNING; /* Scheduled, PreparingTarget, TargetReady, Running */
}

static void migrations_now(const struct fleet *f, struct str *out)
{
	static const struct {
		const char *name, *help;
	} rows[] = {
		[M_UNSET] = { "kubevirt_vmi_migrations_in_unset_phase",
			"Migrations nobody has looked at yet." },
		[M_PENDING] = { "kubevirt_vmi_migrations_in_pending_phase", "Migrations that are pending." },
		[M_SCHEDULING] = { "kubevirt_vmi_migrations_in_scheduling_phase",
			"Migrations whose target is being scheduled." },
		[M_RUNNING] = { "kubevirt_vmi_migrations_in_running_phase", "Migrations that run." },
	};
	int64_t n[M_FAILED + 1] = { 0 };

	for (size_t i = 0; i < f->migrations.n; i++)
		n[migration_phase(obj_json(f->migrations.items[i]))]++;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metric_family(out, rows[i].name, "gauge", rows[i].help);
		metric_i64(out, rows[i].name, NULL, n[i]);
	}
}

static void migrations_over(
	const struct fleet *f, int phase, const char *name, const char *help, struct str *out)
{
	metric_family(out, name, "gauge", help);
	for (size_t i = 0; i < f->migrations.n; i++) {
		const struct obj *o = f->migrations.items[i];
		const struct metric_label labels[] = { { "vmi", json_at_str(obj_json(o), "/spec/vmiName") },
			{ "vmim", obj_name(o) }, { "namespace", obj_namespace(o) }, { 0 } };

		if (migration_phase(obj_json(o)) == phase)
			metric_i64(out, name, labels, 1);
	}
}

/* ---- what VMs ask for ---- */
struct resource {
	const char *resource, *unit, *source; /* source NULL: no such label */
};

static void add_resource(
	const struct obj *vm, const char *name, const struct resource *r, int64_t milli, struct str *out)
{
	const struct metric_label labels[] = { { "name", obj_name(vm) }, { "namespace", obj_namespace(vm) },
		{ "resource", r->resource }, { "unit", r->unit }, { r->source ? "source" : NULL, r->source },
		{ 0 } };

	if (milli % 1000)
		metric_milli(out, name, labels, milli);
	else
		metric_i64(out, name, labels, milli / 1000);
}

static void add_bytes(
	const struct obj *vm, const char *name, const char *source, int64_t bytes, struct str *out)
{
	const struct metric_label labels[] = { { "name", obj_name(vm) }, { "namespace", obj_namespace(vm) },
		{ "resource", "memory" }, { "unit", "bytes" }, { source ? "source" : NULL, source }, { 0 } };

	if (bytes >= 0)
		metric_i64(out, name, labels, bytes);
}

/* An instance has the name of its VM, and both lists are in the order of their keys. */
static const struct json *instance_of(const struct fleet *f, const struct obj *vm, size_t *at)
{
	while (*at < f->vmis.n) {
		int order = strcmp(obj_key(f->vmis.items[*at]), obj_key(vm));
		if (order == 0)
			return obj_json(f->vmis.items[*at]);
		if (order > 0)
			return NULL;
		(*at)++;
	}
	return NULL;
}

/* With instance type and preference applied, as far as they can be found. NULL: the template stands for itself. */
static struct json_doc *expanded(const struct fleet *f, const struct obj *vm)
{
	struct json_doc *d = NULL;

	if (f->types && instancetype_expand(obj_json(vm), IT_COMPARE, f->config, f->types, &d, NULL) < 0)
		return NULL;
	return d;
}

static const struct json *domain_of(const struct obj *vm, struct json_doc *d)
{
	return d ? json_at(json_root(d), "/spec/domain")
		 : json_at(obj_json(vm), "/spec/template/spec/domain");
}

static void requests_of(
	const struct obj *vm, const struct json *domain, const struct json *vmi, struct str *out)
{
	static const char name[] = "kubevirt_vm_resource_requests";
	static const char *const parts[] = { "cores", "threads", "sockets" };
	const struct json *cpu = json_get(domain, "cpu");
	const struct json *now = vmi ? json_at(vmi, "/spec/domain") : domain;
	int64_t request = quantity_millis(json_at(domain, "/resources/requests/cpu"));
	bool given = json_i64(json_get(cpu, "cores")) || json_i64(json_get(cpu, "threads")) ||
		     json_i64(json_get(cpu, "sockets"));

	add_bytes(vm, name, "domain", quantity_bytes(json_at(domain, "/resources/requests/memory")), out);
	add_bytes(vm, name, "guest", quantity_bytes(json_at(domain, "/memory/guest")), out);
	add_bytes(vm, name, "hugepages", quantity_bytes(json_at(domain, "/memory/hugepages/pageSize")), out);
	add_bytes(vm, name, "guest_effective", domain_guest_memory(now), out);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		int64_t n = json_i64(json_get(cpu, parts[i]));
		add_resource(vm, name, &(struct resource){ "cpu", parts[i], given ? "domain" : "default" },
			(n > 0 ? n : 1) * 1000, out);
	}
	if (request >= 0)
		add_resource(vm, name, &(struct resource){ "cpu", "cores", "requests" }, request, out);
	add_resource(vm, name, &(struct resource){ "cpu", "cores", "guest_effective" },
		vcpu_count(json_get(now, "cpu")) * 1000, out);
}

static void resources(const struct fleet *f, struct str *out)
{
	static const char limits[] = "kubevirt_vm_resource_limits";
	size_t at = 0;

	metric_family(out, "kubevirt_vm_resource_requests", "gauge",
		"What a VM asks for, by the part of its template that says so; guest_effective: what its "
		"guest "
		"is to have now.");
	for (size_t i = 0; i < f->vms.n; i++) {
		const struct obj *vm = f->vms.items[i];
		CLEANUP(json_doc_freep) struct json_doc *d = expanded(f, vm);

		requests_of(vm, domain_of(vm, d), instance_of(f, vm, &at), out);
	}
	metric_family(out, limits, "gauge", "Limits that a VM gives.");
	for (size_t i = 0; i < f->vms.n; i++) {
		const struct obj *vm = f->vms.items[i];
		CLEANUP(json_doc_freep) struct json_doc *d = expanded(f, vm);
		const struct json *given = json_at(domain_of(vm, d), "/resources/limits");
		int64_t cpu = quantity_millis(json_get(given, "cpu"));

		add_bytes(vm, limits, NULL, quantity_bytes(json_get(given, "memory")), out);
		if (cpu >= 0)
			add_resource(vm, limits, &(struct resource){ "cpu", "cores", NULL }, cpu, out);
	}
}

/* What its pod was made with; before there is one, what it would be. */
static void overhead(const struct fleet *f, struct str *out)
{
	static const char name[] = "kubevirt_vmi_launcher_memory_overhead_bytes";

	metric_family(out, name, "gauge", "Memory of a launcher's pod beyond the guest's.");
	for (size_t i = 0; i < f->vmis.n; i++) {
		const struct obj *vmi = f->vmis.items[i];
		const struct metric_label labels[] = { { "namespace", obj_namespace(vmi) },
			{ "name", obj_name(vmi) }, { 0 } };
		int64_t bytes = quantity_bytes(json_at(obj_json(vmi), "/status/memory/memoryOverhead"));

		if (vmi_is_final(obj_json(vmi)))
			continue;
		metric_i64(out, name, labels,
			bytes >= 0 ? bytes : pod_memory_overhead(obj_json(vmi), f->config));
	}
}

void fleet_metrics(const struct fleet *f, struct str *out)
{
	outdated(f, out);
	phases(f, out);
	migrations_now(f, out);
	migrations_over(
		f, M_SUCCEEDED, "kubevirt_vmi_migration_succeeded", "A migration that succeeded.", out);
	migrations_over(f, M_FAILED, "kubevirt_vmi_migration_failed", "A migration that failed.", out);
	resources(f, out);
	overhead(f, out);
}
