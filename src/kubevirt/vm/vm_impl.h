/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vm/vm_impl.h - one pass over one VM, in parts. Look (vm_look.c) fills struct vm_seen; everything behind it is pure:
 * what is to run (vm_run.c, vm_backoff.c), what an edit means for the running instance (vm_rollout.c, rollout_*.c), what to
 * report (vm_status.c), and the plan (vm.c). */
#pragma once

#include "kubevirt/instancetype/instancetype.h"
#include "kubevirt/vm/rollout.h"
#include "kubevirt/vm/vm.h"
#include "kubevirt/vmi/facts.h"

#define VM_SETTLE_MS 20
#define VM_REVISIONS_MAX 16 /* start revisions looked at; there are never more than two for long */

/* All a pass may look at; borrowed, read only. */
struct vm_seen {
	const struct obj *vm;      /* NULL: gone */
	const struct obj *vmi;     /* the instance, ours */
	const struct obj *foreign; /* an instance of our name that is not ours */
	const struct obj *revisions[VM_REVISIONS_MAX];
	size_t n_revisions;
	const struct obj *revision; /* of these: how the instance was started; NULL: not known */
	/* spec.template of the VM and of its start revision, instance type and preference applied: what is compared. NULL:
	 * there is none, or it can not be expanded just now, and nothing is compared. */
	const struct json *template, *start;
	const struct vm_types *types; /* NULL: nobody looked */
	const struct obj
		*kept[VM_REVISIONS_MAX]; /* revisions of types and preferences that belong to the VM */
	size_t n_kept;
	/* A claim of its namespace; NULL: there is none. No function: claims are not known. */
	const struct obj *(*claim)(const void *claim_arg, const char *name);
	const void *claim_arg;
	const struct kv_config *config;
	const struct vm_env *env;
	int64_t now; /* wall ms */
	uint64_t random;
};

/* ---- what is to run (kubevirt-api.md 3) ---- */
#define RUN_STRATEGIES(X)                     \
	X(ALWAYS, "Always")                   \
	X(RERUN_ON_FAILURE, "RerunOnFailure") \
	X(MANUAL, "Manual")                   \
	X(HALTED, "Halted")                   \
	X(ONCE, "Once")                       \
	X(WAIT_AS_RECEIVER, "WaitAsReceiver")
enum run_strategy {
#define X(id, name) RUN_##id,
	RUN_STRATEGIES(X)
#undef X
		RUN_MAX
};
enum run_inst { INST_NONE, INST_LIVE, INST_SUCCEEDED, INST_FAILED, INST_GOING, INST_MAX };
enum run_act { ACT_KEEP, ACT_START, ACT_START_IF_ASKED, ACT_STOP };

struct vm_turn {
	enum run_strategy strategy;
	enum run_inst inst;
	enum run_act act;     /* never ACT_START_IF_ASKED */
	bool paused;          /* start it paused */
	bool to_always;       /* spec.runStrategy becomes Always: a paused start of a halted VM */
	int64_t retry_at;     /* a start is due, but not before; 0: none waits */
	struct json_doc *doc; /* the whole VM with its next status */
	struct json *status;
};
enum run_strategy vm_run_strategy(const struct json *vm); /* runStrategy, else running, else Halted */
const char *vm_run_strategy_name(enum run_strategy s);
enum run_inst vm_run_inst(const struct vm_seen *s);
enum run_act vm_run_table(enum run_strategy s, enum run_inst i);
/* Decides act; changes stateChangeRequests, startFailure and runStrategy of t->status. */
void vm_run(const struct vm_seen *s, struct vm_turn *t);
/* startFailure: counts an instance that ended without ever having run, forgets when one ran. */
void vm_backoff_count(const struct vm_seen *s, struct vm_turn *t);
int64_t vm_backoff_until(const struct json *status); /* 0: none */
int64_t vm_backoff_delay_ms(int64_t failures, uint64_t random);

/* ---- start revisions and instances (rollout.md 2.1) ---- */
char *vm_revision_name(const struct obj *vm); /* caller frees */
bool vm_revision_of(const struct obj *revision, const struct obj *vm, int64_t *ret_generation);
/* status: with the references of this pass */
struct json_doc *vm_revision_render(const struct obj *vm, const struct json *status);
struct json_doc *vm_instance_render(const struct vm_seen *s, bool paused);

/* ---- instance type and preference (vm_types.c, rollout.md 3.7) ---- */
struct vm_types {
	struct json_doc *template, *start,
		*launch; /* both applied; NULL: nothing to apply, or not possible now */
	struct it_ref refs[IT_SIDES];
	struct json_doc *
		plain; /* the VM as it is to be without either, by the cluster's policy; NULL: it keeps them */
	const char *failure; /* reason of VM condition Failure: it can not be started; NULL: it can */
	struct err why;
};
/* Sets s->template, s->start and s->types. */
void vm_types_look(struct vm_seen *s, struct it_lookup *l, struct vm_types *t);
void vm_types_done(struct vm_types *t);
/* True: this pass only rewrites the VM without instance type and preference. */
bool vm_types_rewrite(const struct vm_seen *s, struct plan *out);
/* A start of a VM that names nothing: revisions of what it named, which nothing needs any more, go. */
void vm_types_forget(const struct vm_seen *s, struct plan *out);
/* Makes the revisions that are missing and refers to them in the status. */
void vm_types_keep(const struct vm_seen *s, struct vm_turn *t, struct plan *out);
/* "spec.instancetype.name "a" -> "b"": what the VM names now and did not at its start. Caller frees; NULL: the same. */
char *vm_types_because(const struct vm_seen *s);
/* Index 0 of the cache of VMs: what each names. And who names this object of kind k? */
void vm_index_types(const struct obj *o, index_emit_fn *emit, void *emit_arg);
void vm_keys_of_type(const struct kind *k, const struct cache *vms, const struct obj *o, key_emit_fn *emit,
	void *emit_arg);

/* ---- edits against what runs (rollout.md 2.3-2.6); struct edits: rollout.h ---- */
/* What the VM controller acts on: changes that wait or go live now, and the instance as it should be. */
void rollout_compute(const struct vm_seen *s, struct edits *ret);

struct change *rollout_add(struct edits *r, const char *path, const struct json *was, const struct json *is,
	enum live_class class);
/* Differences between two trees that are (parts of) a VMI spec: at is the dotted path of the part below template.spec, "" for
 * all. Semantic: null is empty, quantities by value, order of lists counts (rollout.md 2.3). */
typedef void spec_diff_fn(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b);
void spec_diff(const char *at, const struct json *a, const struct json *b, spec_diff_fn *fn, void *arg);
bool spec_same(const char *at, const struct json *a, const struct json *b);
/* The live fields: each adds its change, staged or with its part of r->vmi. */
void rollout_memory(const struct vm_seen *s, struct edits *r);
/* maxGuest: can it be brought to the instance, or is it there (else it is compared with the start)? */
bool rollout_memory_max_goes(const struct vm_seen *s);
void rollout_memory_max(const struct vm_seen *s, struct edits *r);
/* A change that was on its way and is not wanted any more, while the guest still has what is wanted: taken back, whatever else is
 * staged and under either strategy, for it would come true some day. */
void rollout_memory_cancel(const struct vm_seen *s, struct edits *r);
void rollout_cpu(const struct vm_seen *s, struct edits *r);
void rollout_cpu_cancel(const struct vm_seen *s, struct edits *r);
void rollout_placement(const struct vm_seen *s, struct edits *r);
void rollout_nics(const struct vm_seen *s, struct edits *r);
void rollout_nics_cancel(const struct vm_seen *s, struct edits *r);
/* The template's card is absent, and neither in the instance nor in its guest any more: for nic_drop_absent(). */
bool rollout_nics_gone(const void *seen, const char *name);
void rollout_volumes(const struct vm_seen *s, struct edits *r);
/* Is this difference of volumes or disks, shown as spec_diff() does, left to rollout_volumes()? */
bool rollout_volume_goes(const struct vm_seen *s, enum live_class class, const char *shown);
/* Those of direct requests (decision 4), under either strategy and whatever else is staged. */
void rollout_volumes_at_once(const struct vm_seen *s, struct edits *r);
/* ANN_VOLUMES_AT_ONCE as it is to be: what the instance has not followed yet. NULL: nothing. Caller frees. */
char *rollout_volumes_left(const struct vm_seen *s);
/* What the cluster's configuration would give an instance that is started now, and this one has not: under opt-in a change like
 * others, else only told (decision 13). */
void rollout_config(const struct vm_seen *s, struct edits *r);
/* The maximum of memory that it brings to the instance; -1: none. */
int64_t rollout_config_max_guest(const struct vm_seen *s);
/* The same as text: "path old -> new; ...", NULL: none; caller frees. false: it can not be told now. */
bool rollout_drift(const struct vm_seen *s, char **ret);
/* Labels and annotations that follow an edit of the template, and of the VM (rollout.md 2.6). */
void rollout_synced(const struct vm_seen *s, struct edits *r);
bool rollout_live(const struct vm_seen *s);                         /* LiveUpdate in force */
struct json *rollout_vmi(const struct vm_seen *s, struct edits *r); /* root of r->vmi, made on first use */
void rollout_busy(struct edits *r, const char *reason, const char *message);

/* ---- report (kubevirt-api.md 3.1, 3.2) ---- */
#define VM_REFUSED "FailedCreate" /* reason of Failure */
const char *vm_printable_status(const struct vm_seen *s, const struct vm_turn *t);
void vm_status(const struct vm_seen *s, struct vm_turn *t, const struct edits *r);
void vm_stamp_conditions(struct json_doc *d, struct json *status, int64_t generation);

/* vm_events.c: that a live change failed, or has to wait. Failures with the status that repeats them. */
void vm_failure_events(const struct vm_seen *s, struct plan *out);
void vm_busy_event(const struct vm_seen *s, const struct edits *r, struct plan *out);

/* The server would not take the instance (or its revision): Failure, reason FailedCreate, while a start is due. */
void vm_report_refusal(const struct obj *vm, const struct err *e, int64_t now, struct plan *out);

void vm_decide_seen(const struct vm_seen *s, struct plan *out);
