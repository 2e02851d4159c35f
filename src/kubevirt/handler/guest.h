/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/guest.h - what virt-handler does about one guest of its node: a pure function of the
 * VMI, its launcher pod and what the launcher said. Writes a plan: changes of the VMI, events, and
 * actions below. Ownership of fields: kubevirt/api/handoff.h. */
#pragma once

#include "kube/plan.h"
#include "kubevirt/api/config.h"

enum guest_start { GUEST_START_NO, GUEST_START_ASKED, GUEST_START_ACCEPTED, GUEST_START_REFUSED };

/* The latest attempt at another memory size. */
struct guest_memory {
	bool busy;         /* asked, not answered */
	bool done;         /* answered, not yet reported ("memory-seen") */
	bool complete;     /* of an answer: the guest has the size */
	bool passing;      /* of an error: it says nothing about the size, another attempt may do */
	int64_t target;    /* bytes */
	int64_t current;   /* of an answer; 0: it did not say */
	const char *error; /* of an answer: why it was refused; NULL */
};
/* The latest attempt at another number of sockets. */
#define GUEST_CPUS_TRIES 5 /* of what is not refused outright; then it has failed (rollout.md 7.12) */
struct guest_cpus {
	bool busy;         /* asked, not answered */
	bool done;         /* answered, not yet reported ("cpus-seen") */
	bool refused;      /* of an answer: asking again is of no use */
	int64_t target;    /* sockets */
	const char *error; /* of an answer; NULL: the guest has them */
	int failures;      /* in a row at this target, the last one then (wall ms) */
	int64_t failed_at;
};
/* The latest change of a network card. */
struct guest_nic {
	bool busy;         /* asked, not answered */
	bool done;         /* answered, not yet reported ("nic-seen") */
	const char *name;  /* which one */
	const char *error; /* of an answer; NULL: it is done */
	int64_t retry_at;  /* wall ms; after a failure, nothing before */
};
/* What is known of a launcher. Everything is borrowed. */
struct guest_facts {
	bool attached;  /* its directory is ours and it is being connected to */
	bool detached;  /* the latter no more: it has ended */
	bool connected; /* it answered hello, and has not gone since */
	const struct json *
		state; /* its last STATE (kubevirt/wire/wire.h), or the one it left on disk; NULL: none yet */
	enum guest_start start;
	const char *start_error; /* of a refusal */
	bool stop_asked, kill_asked, release_asked;
	struct guest_memory memory;
	struct guest_cpus cpus;
	struct guest_nic nic;
};
struct guest_view {
	const char *key, *uid, *node;
	const struct obj *vmi;           /* of this uid, with the label of this node; NULL: none */
	const struct obj *pod;           /* its launcher pod on this node; NULL: none */
	const struct guest_facts *facts; /* NULL: nothing is known */
	const struct kv_config *config;
	int64_t now;
};
void guest_decide(const struct guest_view *v, struct plan *out);

/* Actions. Arguments always hold "uid". */
#define GUEST_ATTACH "attach" /* give the directory to the launcher, connect, stay connected */
#define GUEST_DETACH "detach" /* stop connecting: the launcher has ended for good */
#define GUEST_FORGET "forget" /* disconnect, remove the directory */
/* "emulate": without KVM; "allowEmulation"; "bytes": memory to boot with; "taps": [{"name","mac","podInterface"}] */
#define GUEST_START "start"
#define GUEST_SET_MEMORY "set-memory"   /* "bytes"; "max": spec.domain.memory.maxGuest, if it has one */
#define GUEST_MEMORY_SEEN "memory-seen" /* the result has been reported */
#define GUEST_PLUG_DISK "plug-disk"     /* "args": the verb's */
#define GUEST_UNPLUG_DISK "unplug-disk" /* likewise */
#define GUEST_SET_CPUS "set-cpus"       /* "sockets", "remove" */
#define GUEST_CPUS_SEEN "cpus-seen"     /* the result has been reported */
#define GUEST_PLUG_NIC "plug-nic"       /* "interface", "network", "mac", "podInterface" */
#define GUEST_UNPLUG_NIC "unplug-nic"   /* "name", "podInterface" */
#define GUEST_SET_LINK "set-link"       /* "name", "state" */
#define GUEST_NIC_SEEN "nic-seen"
#define GUEST_NIC_RETRY_MS 5000
#define GUEST_SHUTDOWN "shutdown" /* "graceSeconds" */
#define GUEST_KILL "kill"
#define GUEST_RELEASE "release"

/* ---- parts ---- */
/* guest_status.c: brings status of the draft in line with the launcher's STATE. */
void guest_status(const struct guest_view *v, struct json_doc *d, struct json *vmi);
void guest_phase(const struct guest_view *v, struct json_doc *d, struct json *vmi, const char *phase);
/* guest_tell.c: what the draft says of the guest and the instance did not say before; 0: nothing. Told on the VM, behind the
 * write. */
struct guest_news {
	int64_t cpus, memory; /* vCPUs; bytes */
};
struct guest_news guest_news(const struct guest_view *v, const struct json *vmi);
void guest_tell(const struct guest_view *v, const struct guest_news *n, struct plan *out);
/* guest_memory.c: the change under way, if any. Changes the draft; what has to be done or told after it
 * was written goes to *ret. */
struct guest_memory_step {
	bool seen;     /* report the result as seen */
	int64_t set;   /* ask for this size; 0: no */
	int64_t again; /* look again then, wall ms; 0: no */
	char *failure; /* for an event; freed by the caller */
};
void guest_memory(
	const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_memory_step *ret);
/* guest_cpu.c: the same for CPUs. */
struct guest_cpus_step {
	bool seen, remove;
	int64_t set;      /* ask for so many sockets; 0: no */
	int64_t again_at; /* look again then; 0: no need */
	char *failure;
};
void guest_cpus(
	const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_cpus_step *ret);
/* Has the launcher that, and is it at nothing else? Also asked before it is told: between a decision and its action lies a write,
 * and what was under way then may have failed meanwhile. It is not told what it has; its answer leads to another look. */
bool guest_memory_is(const struct guest_facts *f, int64_t bytes);
bool guest_cpus_are(const struct guest_facts *f, int64_t sockets);
/* Does the pod, as the node reports it, hold a guest of that size? */
bool guest_pod_covers(const struct guest_view *v, const struct json *vmi, int64_t guest);
/* What follows once the VMI was written: events and actions. guest_later_plan() empties it; where nothing was written, it has
 * the VMI confirmed before what can not be taken back. */
struct guest_late {
	bool warning;
	const char *reason, *action; /* static; action NULL: an event */
	char *text;
	struct json_doc *args;
};
struct guest_later {
	struct guest_late *items;
	size_t n, cap;
	bool confirm;
};
void guest_later_plan(const struct guest_view *v, struct guest_later *l, bool written, struct plan *out);
/* guest_volumes.c: volumes that are plugged and unplugged. */
void guest_volumes(const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_later *out);
/* guest_nics.c: cards on secondary networks, and links (rollout.md 3.6). */
/* One step towards what the VMI wants, if none is under way: an action, or when to look again. */
void guest_nics(const struct guest_view *v, const struct json *vmi, struct plan *out);
/* What a start needs: "taps". False: the pod is not attached to all networks yet; *ret_missing names one (borrowed). */
bool guest_nic_taps(
	const struct guest_view *v, struct json_doc *d, struct json *args, const char **ret_missing);
void guest_nic_status(const struct guest_view *v, struct json_doc *d, struct json *vmi);
