/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/live.h - how a change of a field below a VM's spec.template.spec reaches a running guest. The class stands in the
 * field's row of the tables (struct field .live); what has none is staged until restart, so a new field is safe by default.
 * rollout.md 2.6, decisions 4, 6, 20. */
#pragma once

enum live_class {
	LIVE_RESTART = 0,  /* staged: RestartRequired */
	LIVE_MEMORY,       /* domain.memory.guest: resized in place (4.2, 3.3) */
	LIVE_MEMORY_MAX,   /* domain.memory.maxGuest: raised in place where room was reserved (7.7) */
	LIVE_CPU_SOCKETS,  /* domain.cpu.sockets (3.2) */
	LIVE_PLACEMENT,    /* nodeSelector, affinity, tolerations: copied, the next target obeys (3.4) */
	LIVE_VOLUMES,      /* volumes: live if hotpluggable, see 2.3.1 */
	LIVE_DISKS,        /* domain.devices.disks: 2.3.2 */
	LIVE_NICS,         /* domain.devices.interfaces and networks: 3.6 */
	LIVE_NEUTRAL_UUID, /* domain.firmware.uuid: no change when it equals the VMI's */
	LIVE_CLASS_MAX
};
/* Class of a dotted path below template.spec ("domain.memory.guest", "volumes.0.name", "nodeSelector.zone"): that of the
 * nearest row above it that has one. */
enum live_class live_class(const char *dotted_path);
/* What docs/rollout.md says of a class: how a change gets to the guest under LiveUpdate, within which limits, and what becomes
 * of it beyond them. To be kept in step with what is done: the page is made from it (tools/gen-docs). */
struct live_text {
	const char *by, *limits, *otherwise;
};
const struct live_text *live_class_text(enum live_class c);
const char *live_class_name(enum live_class c); /* "memory", for logs and docs */
