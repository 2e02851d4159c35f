/* SPDX-License-Identifier: Apache-2.0 */
/* What a preference requires of the VM that names it. rollout.md 6.91. */
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/instancetype/instancetype.h"
#include "kubevirt/instancetype/topology.h"

#define TEMPLATE "spec.template.spec"
#define CPU TEMPLATE ".domain.cpu"

/* Which numbers of a VM's own topology have to reach what is required, multiplied. */
enum { SOCKETS = 1, CORES = 2, THREADS = 4 };
static const char *const dimensions[] = { "sockets", "cores", "threads" };

static unsigned counted(const struct json *preference, const char **ret_as)
{
	int64_t ratio;
	enum it_across across = it_across(preference, &ratio);

	switch (it_layout(preference, NULL)) {
	case LAYOUT_CORES:
		*ret_as = "cores";
		return CORES;
	case LAYOUT_THREADS:
		*ret_as = "threads";
		return THREADS;
	case LAYOUT_ANY:
		*ret_as = "cores, sockets and threads";
		return SOCKETS | CORES | THREADS;
	case LAYOUT_SPREAD:
		*ret_as = it_across_name(across);
		return across == ACROSS_CORES_THREADS   ? CORES | THREADS
		       : across == ACROSS_SOCKETS_CORES ? SOCKETS | CORES
							: SOCKETS | CORES | THREADS;
	case LAYOUT_SOCKETS:
	case LAYOUT_UNKNOWN:
		break;
	}
	*ret_as = "sockets";
	return SOCKETS;
}

static char *cpu_problem(const struct json *type, const struct json *preference, const struct json *vmi_spec,
	int64_t required, struct str *fields)
{
	const struct json *cpu = json_at(vmi_spec, "/domain/cpu");
	int64_t have = json_i64(json_at(type, "/cpu/guest"));
	const char *as;
	unsigned what;

	if (type) {
		if (have >= required)
			return NULL;
		str_add(fields, "spec.instancetype");
		return str_printf("insufficient CPU resources of %lld vCPU provided by instance type, "
				  "preference requires %lld vCPU",
			(long long)have, (long long)required);
	}
	if (!json_is_obj(cpu)) {
		str_add(fields, CPU);
		return str_printf(
			"no CPU resources provided by VirtualMachine, preference requires %lld vCPU",
			(long long)required);
	}
	what = counted(preference, &as);
	have = 1;
	for (size_t i = 0; i < ARRAY_LEN(dimensions); i++) {
		if (!(what & (1u << i)))
			continue;
		str_addf(fields, "%s%s.%s", fields->len ? ", " : "", CPU, dimensions[i]);
		if (__builtin_mul_overflow(have, json_i64(json_get(cpu, dimensions[i])), &have))
			have = INT64_MAX;
	}
	if (have >= required) {
		str_clear(fields);
		return NULL;
	}
	return str_printf("insufficient CPU resources of %lld vCPU provided by VirtualMachine, preference "
			  "requires %lld vCPU provided as %s",
		(long long)have, (long long)required, as);
}

static char *memory_problem(
	const struct json *type, const struct json *vmi_spec, const struct json *required, struct str *fields)
{
	const struct json *given = json_at(vmi_spec, "/domain/memory/guest");
	struct quantity have = { 0 }, want;
	char a[QUANTITY_TEXT_MAX], b[QUANTITY_TEXT_MAX];

	if (!given)
		given = json_at(type, "/memory/guest");
	if (quantity_from_json(required, &want, NULL) < 0)
		return NULL;
	if (given && quantity_from_json(given, &have, NULL) < 0)
		return NULL; /* refused for that */
	if (quantity_cmp(&have, &want) >= 0)
		return NULL;
	str_add(fields, type ? "spec.instancetype" : TEMPLATE ".domain.memory");
	return str_printf("insufficient Memory resources of %s provided by %s, preference requires %s",
		quantity_text(&have, a), type ? "instance type" : "VirtualMachine", quantity_text(&want, b));
}

char *it_requirements_problem(const struct json *type, const struct json *preference,
	const struct json *vmi_spec, struct str *ret_fields)
{
	const struct json *required = json_get(preference, "requirements");
	const struct json *arch = json_get(required, "architecture");
	const char *has = json_str_or(json_get(vmi_spec, "architecture"), "");
	char *problem = NULL;

	if (json_is_obj(json_get(required, "cpu")))
		problem = cpu_problem(
			type, preference, vmi_spec, json_i64(json_at(required, "/cpu/guest")), ret_fields);
	if (!problem && json_is_obj(json_get(required, "memory")))
		problem = memory_problem(type, vmi_spec, json_at(required, "/memory/guest"), ret_fields);
	if (!problem && json_is_str(arch) && !str_eq(json_str(arch), has)) {
		str_add(ret_fields, TEMPLATE ".architecture");
		problem = str_printf(
			"preference requires architecture %s but %s is being requested", json_str(arch), has);
	}
	return problem;
}
