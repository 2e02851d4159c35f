/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/config.h - the effective cluster configuration: built-in defaults overlaid by the KubeVirt CR. A pure function of
 * the CR, so that every program that watches the CR has the same idea of it. rollout.md 1.1, kubevirt-api.md 4.1, decisions 1-3.
 *
 * Zero-valued optional numbers mean "not set", as in KubeVirt. Texts and trees are borrowed from the CR or static: keep the obj
 * of the CR referenced for as long as the kv_config is in use. */
#pragma once

#include "base/json.h"
#include "kubevirt/api/gates.h"

#define KV_MAX_HOTPLUG_RATIO 4
#define KV_MAX_VCPUS 512 /* automatic socket maxima stay below (rollout.md 1.2) */
#define KV_EVICTION_BATCH_SIZE 10
#define KV_EVICTION_BATCH_INTERVAL_MS 60000

enum rollout { ROLLOUT_STAGE, ROLLOUT_LIVE_UPDATE };
/* How VMs hold what their instance types and preferences gave them: by reference, or as plain fields of their own: new ones, or
 * all of them. */
enum kv_reference_policy { KV_POLICY_REFERENCE, KV_POLICY_EXPAND, KV_POLICY_EXPAND_ALL };
enum kv_workload_update { KV_UPDATE_LIVE_MIGRATE = 1, KV_UPDATE_EVICT = 2 };

struct kv_migration_config {
	int64_t parallel_per_cluster; /* 5 */
	int64_t parallel_outbound;    /* per node, 2 */
	int64_t bandwidth_bytes; /* per second; 0: unlimited. Below 1 MiB acts as 1 MiB, else whole MiB */
	int64_t completion_timeout_gib; /* seconds per GiB, 150 */
	int64_t progress_timeout;       /* seconds, 150 */
	int64_t max_downtime_ms;        /* 900 */
	bool auto_converge, post_copy, workload_disruption, disable_tls, unsafe_override;
	const char *drain_taint; /* kubevirt.io/drain */
	const char *network;     /* NULL: the pod network */
};

struct kv_config {
	struct gate_set gates;
	enum rollout rollout;      /* effective: Stage when unset or when VMLiveUpdateFeatures is disabled */
	int64_t max_hotplug_ratio; /* 4 */
	int64_t max_cpu_sockets;   /* 0: not set */
	int64_t max_guest;         /* bytes; 0: not set */
	const struct json *max_guest_json; /* as written, or NULL */

	bool rollout_configuration,
		enforce_placement; /* annotations of the CR: what VMs that do not say get */

	unsigned workload_methods; /* enum kv_workload_update */
	int64_t eviction_batch_size, eviction_batch_interval_ms;

	const char *default_arch;        /* "amd64", "arm64", "s390x" */
	const char *cpu_model;           /* NULL: host-model (arm64: host-passthrough) */
	int64_t cpu_allocation_ratio;    /* 10 */
	int64_t memory_overcommit;       /* percent, 100 */
	int64_t cpu_request_milli;       /* 100 */
	double overhead_ratio;           /* additionalGuestMemoryOverheadRatio, 1.0 */
	const char *overhead_ratio_text; /* as written, or NULL */
	bool use_emulation;
	const char *eviction_strategy;           /* "None" */
	const char *default_interface;           /* bridge, masquerade, ...: "bridge" */
	bool permit_bridge;                      /* bridge on the pod network, true */
	const char *image_pull_policy;           /* of components and launchers, "IfNotPresent" */
	const char *runtime_class;               /* NULL: none */
	const struct json *node_selectors;       /* of all launchers; NULL: none */
	bool serial_console_log;                 /* true */
	int64_t balloon_stats_period;            /* seconds, 10 */
	bool block_uninstall;                    /* uninstallStrategy BlockUninstallIfWorkloadsExist */
	int64_t vmis_per_node;                   /* 110 */
	const struct json *emulated_machines[3]; /* by enum kv_arch; NULL: the built-in list */
	const char *machine_type[3];             /* by enum kv_arch */
	enum kv_reference_policy reference_policy;
	struct kv_migration_config migrations;
};

enum kv_arch { KV_ARCH_AMD64, KV_ARCH_ARM64, KV_ARCH_S390X, KV_ARCH_MAX };
/* false for an architecture we have never heard of; NULL or "" is the default one. */
bool kv_arch_of(const struct kv_config *c, const char *text, enum kv_arch *ret);
const char *kv_arch_name(enum kv_arch a);
/* The architecture this program was built for, in Kubernetes' spelling. */
const char *kv_arch_host(void);

/* cr: the whole KubeVirt object; NULL gives the defaults. Never fails: values that validate.h refuses are taken as not set. */
void kv_config_from(const struct json *cr, struct kv_config *ret);
/* An opt-in: "true" or "false" in the annotation of an object, else deflt. */
bool kv_opted(const struct json *o, const char *annotation, bool deflt);
/* "Stage", "LiveUpdate" */
const char *rollout_name(enum rollout r);
/* Does a machine type match the permitted patterns (q35*, pc-q35*, ...)? ret_allowed (may be NULL) gets them as text:
 * "[q35* pc-q35*]". */
bool kv_machine_allowed(const struct kv_config *c, enum kv_arch a, const char *type, struct str *ret_allowed);
