/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/config.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/names.h"

#define MIB (1024 * 1024)

static const struct {
	const char *name, *machine_type;
	const char *machines[3];
} arch_defaults[KV_ARCH_MAX] = {
	[KV_ARCH_AMD64] = { "amd64", "q35", { "q35*", "pc-q35*" } },
	[KV_ARCH_ARM64] = { "arm64", "virt", { "virt*" } },
	[KV_ARCH_S390X] = { "s390x", "s390-ccw-virtio", { "s390-ccw-virtio*" } },
};

const char *kv_arch_host(void)
{
#if defined(__aarch64__)
	return "arm64";
#elif defined(__s390x__)
	return "s390x";
#else
	return "amd64";
#endif
}

const char *kv_arch_name(enum kv_arch a)
{
	return arch_defaults[a].name;
}

bool kv_arch_of(const struct kv_config *c, const char *text, enum kv_arch *ret)
{
	if (str_empty(text))
		text = c->default_arch;
	for (int a = 0; a < KV_ARCH_MAX; a++)
		if (str_eq(arch_defaults[a].name, text)) {
			*ret = (enum kv_arch)a;
			return true;
		}
	return false;
}

bool kv_opted(const struct json *o, const char *annotation, bool deflt)
{
	const char *text = meta_annotation(o, annotation);

	return str_eq(text, "true") || (deflt && !str_eq(text, "false"));
}

const char *rollout_name(enum rollout r)
{
	return r == ROLLOUT_LIVE_UPDATE ? "LiveUpdate" : "Stage";
}

/* A positive number, else what stands there already: zero means not set. */
static void take_i64(const struct json *v, int64_t *to)
{
	if (json_is_num(v) && json_i64(v) > 0)
		*to = json_i64(v);
}

static void take_str(const struct json *v, const char **to)
{
	if (!str_empty(json_str(v)))
		*to = json_str(v);
}

static void take_bool(const struct json *v, bool *to)
{
	if (json_is_bool(v))
		*to = json_bool(v);
}

static void read_migrations(const struct json *m, struct kv_migration_config *c)
{
	*c = (struct kv_migration_config){ .parallel_per_cluster = 5,
		.parallel_outbound = 2,
		.completion_timeout_gib = 150,
		.progress_timeout = 150,
		.max_downtime_ms = 900,
		.drain_taint = TAINT_DRAIN };
	take_i64(json_get(m, "parallelMigrationsPerCluster"), &c->parallel_per_cluster);
	take_i64(json_get(m, "parallelOutboundMigrationsPerNode"), &c->parallel_outbound);
	take_i64(json_get(m, "completionTimeoutPerGiB"), &c->completion_timeout_gib);
	take_i64(json_get(m, "progressTimeout"), &c->progress_timeout);
	take_i64(json_get(m, "maxDowntimeMs"), &c->max_downtime_ms);
	take_bool(json_get(m, "allowAutoConverge"), &c->auto_converge);
	take_bool(json_get(m, "allowPostCopy"), &c->post_copy);
	take_bool(json_get(m, "allowWorkloadDisruption"), &c->workload_disruption);
	take_bool(json_get(m, "disableTLS"), &c->disable_tls);
	take_bool(json_get(m, "unsafeMigrationOverride"), &c->unsafe_override);
	take_str(json_get(m, "nodeDrainTaintKey"), &c->drain_taint);
	take_str(json_get(m, "network"), &c->network);

	int64_t bandwidth = quantity_bytes(json_get(m, "bandwidthPerMigration"));
	if (bandwidth > 0) /* kubevirt-api.md 12.2 */
		c->bandwidth_bytes = bandwidth < MIB ? MIB : (bandwidth + MIB / 2) / MIB * MIB;
}

static void read_workload_update(const struct json *w, struct kv_config *c)
{
	JSON_EACH (it, json_get(w, "workloadUpdateMethods")) {
		if (str_eq(json_str(it.val), "LiveMigrate"))
			c->workload_methods |= KV_UPDATE_LIVE_MIGRATE;
		else if (str_eq(json_str(it.val), "Evict"))
			c->workload_methods |= KV_UPDATE_EVICT;
	}
	/* The guide's spelling first, so that the API's own wins (decision 3). */
	static const char *const size[] = { "batchEvictSize", "batchEvictionSize" };
	static const char *const interval[] = { "batchEvictInterval", "batchEvictionInterval" };
	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		int64_t ms;
		if (json_is_num(json_get(w, size[i])))
			c->eviction_batch_size = json_i64(json_get(w, size[i]));
		if (json_get_str(w, interval[i]) && time_parse_duration(json_get_str(w, interval[i]), &ms))
			c->eviction_batch_interval_ms = ms;
	}
}

static void read_architectures(const struct json *conf, struct kv_config *c)
{
	for (int a = 0; a < KV_ARCH_MAX; a++) {
		const struct json *of =
			json_get(json_get(conf, "architectureConfiguration"), arch_defaults[a].name);
		c->machine_type[a] = arch_defaults[a].machine_type;
		if (a == KV_ARCH_AMD64) { /* the fields from before there were architectures */
			take_str(json_get(conf, "machineType"), &c->machine_type[a]);
			if (json_len(json_get(conf, "emulatedMachines")))
				c->emulated_machines[a] = json_get(conf, "emulatedMachines");
		}
		take_str(json_get(of, "machineType"), &c->machine_type[a]);
		if (json_len(json_get(of, "emulatedMachines")))
			c->emulated_machines[a] = json_get(of, "emulatedMachines");
	}
}

static enum kv_reference_policy read_policy(const struct json *conf)
{
	const char *text = json_at_str(conf, "/instancetype/referencePolicy");

	return str_eq(text, "expandAll") ? KV_POLICY_EXPAND_ALL
	       : str_eq(text, "expand")  ? KV_POLICY_EXPAND
					 : KV_POLICY_REFERENCE;
}

static void read_live_update(const struct json *conf, struct kv_config *c)
{
	const struct json *live = json_get(conf, "liveUpdateConfiguration");

	take_i64(json_get(live, "maxHotplugRatio"), &c->max_hotplug_ratio);
	take_i64(json_get(live, "maxCpuSockets"), &c->max_cpu_sockets);
	int64_t guest = quantity_bytes(json_get(live, "maxGuest"));
	if (guest > 0) {
		c->max_guest = guest;
		c->max_guest_json = json_get(live, "maxGuest");
	}
	/* Decisions 1 and 2: unset is Stage, and the gate switched off holds Stage. */
	if (str_eq(json_get_str(conf, "vmRolloutStrategy"), "LiveUpdate") &&
		gate_on(&c->gates, GATE_VM_LIVE_UPDATE_FEATURES))
		c->rollout = ROLLOUT_LIVE_UPDATE;
}

static void read_guests(const struct json *conf, struct kv_config *c)
{
	const struct json *dev = json_get(conf, "developerConfiguration");

	take_str(json_get(conf, "cpuModel"), &c->cpu_model);
	take_i64(json_get(dev, "cpuAllocationRatio"), &c->cpu_allocation_ratio);
	take_i64(json_get(dev, "memoryOvercommit"), &c->memory_overcommit);
	int64_t milli = quantity_millis(json_get(conf, "cpuRequest"));
	if (milli > 0)
		c->cpu_request_milli = milli;
	take_bool(json_get(dev, "useEmulation"), &c->use_emulation);
	take_str(json_get(conf, "evictionStrategy"), &c->eviction_strategy);
	take_str(json_at(conf, "/network/defaultNetworkInterface"), &c->default_interface);
	take_bool(json_at(conf, "/network/permitBridgeInterfaceOnPodNetwork"), &c->permit_bridge);
	take_str(json_get(conf, "imagePullPolicy"), &c->image_pull_policy);
	take_str(json_get(conf, "defaultRuntimeClass"), &c->runtime_class);
	if (json_len(json_get(dev, "nodeSelectors")))
		c->node_selectors = json_get(dev, "nodeSelectors");
	c->serial_console_log = !json_is_obj(json_at(conf, "/virtualMachineOptions/disableSerialConsoleLog"));
	if (json_is_num(json_get(conf, "memBalloonStatsPeriod")))
		c->balloon_stats_period = json_i64(json_get(conf, "memBalloonStatsPeriod"));
	take_i64(json_get(conf, "virtualMachineInstancesPerNode"), &c->vmis_per_node);
	const char *ratio = json_get_str(conf, "additionalGuestMemoryOverheadRatio");
	char *end = NULL;
	double d = ratio ? strtod(ratio, &end) : 0;
	if (ratio && *ratio && !*end && d > 0 && d < 1000) {
		c->overhead_ratio = d;
		c->overhead_ratio_text = ratio;
	}
}

void kv_config_from(const struct json *cr, struct kv_config *ret)
{
	const struct json *spec = json_get(cr, "spec");
	const struct json *conf = json_get(spec, "configuration");

	*ret = (struct kv_config){
		.gates = gates_effective(json_get(conf, "developerConfiguration")),
		.rollout = ROLLOUT_STAGE,
		.max_hotplug_ratio = KV_MAX_HOTPLUG_RATIO,
		.eviction_batch_size = KV_EVICTION_BATCH_SIZE,
		.eviction_batch_interval_ms = KV_EVICTION_BATCH_INTERVAL_MS,
		.default_arch = kv_arch_host(),
		.cpu_allocation_ratio = 10,
		.memory_overcommit = 100,
		.cpu_request_milli = 100,
		.overhead_ratio = 1.0,
		.eviction_strategy = "None",
		.default_interface = "bridge",
		.permit_bridge = true,
		.image_pull_policy = "IfNotPresent",
		.balloon_stats_period = 10,
		.vmis_per_node = 110,
	};
	take_str(json_at(cr, "/status/defaultArchitecture"), &ret->default_arch);
	take_str(json_at(conf, "/architectureConfiguration/defaultArchitecture"), &ret->default_arch);
	ret->rollout_configuration = kv_opted(cr, ANN_ROLLOUT_CONFIGURATION, false);
	ret->enforce_placement = kv_opted(cr, ANN_ENFORCE_PLACEMENT, false);
	ret->reference_policy = read_policy(conf);
	read_live_update(conf, ret);
	read_guests(conf, ret);
	read_architectures(conf, ret);
	read_migrations(json_get(conf, "migrations"), &ret->migrations);
	read_workload_update(json_get(spec, "workloadUpdateStrategy"), ret);
	ret->block_uninstall =
		str_eq(json_get_str(spec, "uninstallStrategy"), "BlockUninstallIfWorkloadsExist");
}

static void allowed_add(struct str *s, const char *pattern)
{
	if (s && pattern)
		str_addf(s, "%s%s", s->len > 1 ? " " : "", pattern);
}

bool kv_machine_allowed(const struct kv_config *c, enum kv_arch a, const char *type, struct str *ret_allowed)
{
	bool ok = false;

	if (ret_allowed)
		str_add(ret_allowed, "[");
	if (c->emulated_machines[a]) {
		JSON_EACH (it, c->emulated_machines[a]) {
			const char *p = json_str(it.val);
			ok = ok || (p && fnmatch(p, type, 0) == 0);
			allowed_add(ret_allowed, p);
		}
	} else {
		for (size_t i = 0; arch_defaults[a].machines[i]; i++) {
			ok = ok || fnmatch(arch_defaults[a].machines[i], type, 0) == 0;
			allowed_add(ret_allowed, arch_defaults[a].machines[i]);
		}
	}
	if (ret_allowed)
		str_add(ret_allowed, "]");
	return ok;
}
