/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/tables.h - the field tables the kinds are put together from (fields_*.c), and the shorthands their rows are
 * written in. Paths, types and demands follow KubeVirt's API; see api/fields.h for what a row means. */
#pragma once

#include "api/fields.h"
#include "kubevirt/api/live.h"

#define ROW(p, t, text, ...)                                   \
	{                                                      \
		.path = p, .type = t, .doc = text, __VA_ARGS__ \
	}
#define S(p, text, ...) ROW(p, F_STRING, text, __VA_ARGS__)
#define I(p, text, ...) ROW(p, F_INT, text, __VA_ARGS__)
#define I32(p, text, ...) ROW(p, F_INT32, text, __VA_ARGS__)
#define U32(p, text, ...) ROW(p, F_INT, text, .min = 0, .max = 4294967295, __VA_ARGS__)
#define B(p, text, ...) ROW(p, F_BOOL, text, __VA_ARGS__)
#define Q(p, text, ...) ROW(p, F_QUANTITY, text, __VA_ARGS__)
#define O(p, text, ...) ROW(p, F_OBJECT, text, __VA_ARGS__)
#define T(p, text, ...) ROW(p, F_TIME, text, .flags = FIELD_NULLABLE, __VA_ARGS__)
#define ANY(p, text, ...) ROW(p, F_ANY, text, .flags = FIELD_NULLABLE, __VA_ARGS__)
#define LIST(p, text, ...) ROW(p, F_LIST, text, __VA_ARGS__)
#define STRINGS(p, text, ...) ROW(p, F_LIST, text, .items = F_STRING, __VA_ARGS__)
#define STRINGMAP(p, text, ...) ROW(p, F_MAP, text, .items = F_STRING, __VA_ARGS__)
#define QUANTITIES(p, text, ...) ROW(p, F_MAP, text, .items = F_QUANTITY, __VA_ARGS__)
#define REF(p, table, text, ...) ROW(p, F_REF, text, .ref = &table, __VA_ARGS__)
#define REFS(p, table, text, ...) ROW(p, F_REF_LIST, text, .ref = &table, __VA_ARGS__)
#define MUSTHAVE .flags = FIELD_REQUIRED
#define PULL_POLICIES .enums = "Always|IfNotPresent|Never"

/* Kubernetes' own (fields_core.c) */
extern const struct field_table label_selector_fields;
extern const struct field_table affinity_fields;
extern const struct field_table toleration_fields;
extern const struct field_table topology_spread_fields;
extern const struct field_table dns_config_fields;
extern const struct field_table object_name_fields; /* {name} */
extern const struct field_table condition_fields;
extern const struct field_table pvc_spec_fields;

/* Machine (fields_vmi.c, fields_domain.c, fields_devices.c, fields_volumes.c, fields_status.c) */
extern const struct field_table vmi_spec_fields;
extern const struct field_table vmi_template_fields;
extern const struct field_table domain_fields;
extern const struct field_table cpu_fields;
extern const struct field_table memory_fields;
extern const struct field_table features_fields;
extern const struct field_table hyperv_fields;
extern const struct field_table timers_fields;
extern const struct field_table launch_security_fields;
extern const struct field_table devices_fields;
extern const struct field_table disk_fields;
extern const struct field_table block_size_fields;
extern const struct field_table gpu_fields;
extern const struct field_table host_device_fields;
extern const struct field_table interface_fields;
extern const struct field_table network_fields;
extern const struct field_table volume_fields;
extern const struct field_table probe_fields;
extern const struct field_table feature_state_fields; /* {enabled} */
extern const struct field_table vmi_status_fields;
extern const struct field_table migration_state_fields;
extern const struct field_table migration_options_fields;
extern const struct field_table migrated_volume_fields;
extern const struct field_table data_volume_spec_fields;
