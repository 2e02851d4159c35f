/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/instancetype/topology.h"

#include "base/mem.h"
#include "kubevirt/instancetype/instancetype.h"

#define RATIO 2

enum it_layout it_layout(const struct json *preference, const char **ret_new)
{
	static const struct {
		const char *name, *old;
	} words[] = {
		[LAYOUT_SOCKETS] = { "sockets", "preferSockets" },
		[LAYOUT_CORES] = { "cores", "preferCores" },
		[LAYOUT_THREADS] = { "threads", "preferThreads" },
		[LAYOUT_SPREAD] = { "spread", "preferSpread" },
		[LAYOUT_ANY] = { "any", "preferAny" },
	};
	const struct json *given = json_at(preference, "/cpu/preferredCPUTopology");

	if (ret_new)
		*ret_new = NULL;
	if (json_is_null(given))
		return LAYOUT_SOCKETS;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq(json_str(given), words[i].name))
			return (enum it_layout)i;
		if (!str_eq(json_str(given), words[i].old))
			continue;
		if (ret_new)
			*ret_new = words[i].name;
		return (enum it_layout)i;
	}
	return LAYOUT_UNKNOWN;
}

static const char *const across_names[] = {
	[ACROSS_SOCKETS_CORES] = "SocketsCores",
	[ACROSS_CORES_THREADS] = "CoresThreads",
	[ACROSS_ALL] = "SocketsCoresThreads",
};

const char *it_across_name(enum it_across a)
{
	return a < ACROSS_UNKNOWN ? across_names[a] : "";
}

enum it_across it_across(const struct json *preference, int64_t *ret_ratio)
{
	const struct json *options = json_at(preference, "/cpu/spreadOptions");
	const struct json *across = json_get(options, "across");
	int64_t ratio = json_i64(json_get(options, "ratio"));

	if (ratio < 1)
		ratio = json_i64(json_get(preference, "preferSpreadSocketToCoreRatio"));
	*ret_ratio = ratio < 1 ? RATIO : ratio;
	if (json_is_null(across))
		return ACROSS_SOCKETS_CORES;
	for (size_t i = 0; i < ARRAY_LEN(across_names); i++)
		if (str_eq(json_str(across), across_names[i]))
			return (enum it_across)i;
	return ACROSS_UNKNOWN;
}

static void spread(int64_t vcpus, const struct json *preference, struct it_topology *t)
{
	int64_t ratio;

	switch (it_across(preference, &ratio)) {
	case ACROSS_SOCKETS_CORES:
	case ACROSS_UNKNOWN:
		t->cores = ratio;
		t->sockets = vcpus / ratio;
		break;
	case ACROSS_CORES_THREADS:
		t->threads = ratio;
		t->cores = vcpus / ratio;
		break;
	case ACROSS_ALL:
		t->threads = IT_THREADS_PER_CORE;
		t->cores = ratio;
		t->sockets = vcpus / IT_THREADS_PER_CORE / ratio;
		break;
	}
}

void it_topology(int64_t vcpus, const struct json *preference, struct it_topology *ret)
{
	*ret = (struct it_topology){ 1, 1, 1 };
	if (vcpus <= 1)
		return;
	switch (it_layout(preference, NULL)) {
	case LAYOUT_CORES:
		ret->cores = vcpus;
		break;
	case LAYOUT_THREADS:
		ret->threads = vcpus;
		break;
	case LAYOUT_SPREAD:
		spread(vcpus, preference, ret);
		break;
	case LAYOUT_SOCKETS:
	case LAYOUT_ANY:
	case LAYOUT_UNKNOWN:
		ret->sockets = vcpus;
		break;
	}
}

char *it_spread_problem(const struct json *type, const struct json *preference)
{
	long long vcpus = json_i64(json_at(type, "/cpu/guest"));
	int64_t ratio;
	enum it_across across = it_across(preference, &ratio);

	if (!type || it_layout(preference, NULL) != LAYOUT_SPREAD)
		return NULL;
	if (across == ACROSS_CORES_THREADS && vcpus % ratio)
		return str_printf("%lld vCPUs provided by the instance type are not divisible by the number "
				  "of threads per core %lld",
			vcpus, (long long)ratio);
	if (across == ACROSS_ALL && (vcpus % IT_THREADS_PER_CORE || vcpus / IT_THREADS_PER_CORE % ratio))
		return str_printf("%lld vCPUs provided by the instance type are not divisible by the number "
				  "of threads per core %d and Spec.PreferSpreadSocketToCoreRatio or "
				  "Spec.CPU.PreferSpreadOptions.Ratio of %lld",
			vcpus, IT_THREADS_PER_CORE, (long long)ratio);
	if (across == ACROSS_SOCKETS_CORES && vcpus % ratio)
		return str_printf("%lld vCPUs provided by the instance type are not divisible by the "
				  "Spec.PreferSpreadSocketToCoreRatio or Spec.CPU.PreferSpreadOptions.Ratio "
				  "of %lld provided by the preference",
			vcpus, (long long)ratio);
	return NULL;
}
