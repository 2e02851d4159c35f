/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/migration/migration.h - which guests are to be moved, decided: the workload updater makes a
 * VirtualMachineInstanceMigration for each instance whose change of CPUs, memory or placement waits for one, and takes it back
 * when the change is not wanted any more; the migration controller keeps those objects. rollout.md 3.1, 6.37-6.47; decisions
 * 11, 19.
 *
 * Carrying a move out is not here: a migration stays Pending, with a condition that says so, until somebody takes it (who writes
 * status.migrationState of the instance, and phase Running). */
#pragma once

#include "kube/controller.h"
#include "kubevirt/api/config.h"

extern const struct controller updater_controller; /* env: NULL; keys are instances */
extern const struct controller vmim_controller;    /* env: NULL; keys are migrations */

#define MIGRATION_SETTLE_MS 5000   /* a reason to move that is gone by then is none */
#define MIGRATION_BACKOFF_MS 20000 /* after a failed automated move; doubled by each further one */
#define MIGRATION_REPORT_MS 10000  /* so long a finished move waits for what it was for to be reported */
#define MIGRATION_KEPT 5           /* finished ones of an instance that are kept */
#define MIGRATIONS_SEEN_MAX 64     /* of an instance, looked at in a pass; the newest are among them */

/* Index of migrations: key of the instance. */
void vmim_by_vmi(const struct obj *o, index_emit_fn *emit, void *emit_arg);
bool vmim_is_final(const struct json *vmim);
bool vmim_is_automated(const struct json *vmim); /* by the updater */
/* An automated one does not begin before then, wall ms; 0: at any time. others: all of the instance. */
int64_t vmim_not_before(const struct obj *vmim, const struct obj *const *others, size_t n);

/* ---- the pure parts ---- */
struct updater_seen {
	const struct obj *vmi;
	const struct obj *migrations[MIGRATIONS_SEEN_MAX]; /* of this instance */
	size_t n_migrations;
	size_t running; /* automated ones that are not over, of the cluster */
	bool deployed;  /* the installation is what it is to be */
	const struct kv_config *config;
	int64_t now;
};
void updater_decide_seen(const struct updater_seen *s, struct plan *out);
/* Why it is to be moved: type of a condition; NULL: it is not. *ret_since: when that began. */
const char *migration_wanted(const struct json *vmi, int64_t *ret_since);

struct vmim_seen {
	const struct obj *vmim;
	const struct obj *vmi; /* NULL: gone */
	const struct obj *others[MIGRATIONS_SEEN_MAX];
	size_t n_others;
	int64_t now;
};
void vmim_decide_seen(const struct vmim_seen *s, struct plan *out);
