/* SPDX-License-Identifier: Apache-2.0 */
/* tests/sim/world.h - a small world for virt-controller: its three controllers, an API server (kube/fake_api.h), one node with a
 * pretended agent, virt-handler and launchers, on a simulated loop. Everything follows from one seed. */
#pragma once

#include "base/mem.h"
#include "kube/fake_api.h"
#include "kube/rng.h"
#include "kubevirt/api/config.h"
#include "kubevirt/api/synced.h"
#include "kubevirt/handler/guest.h"
#include "kubevirt/migration/migration.h"
#include "kubevirt/node/node.h"
#include "kubevirt/vm/vm.h"
#include "kubevirt/vmi/vmi.h"

#define WORLD_START_MS 1700000000000
#define WORLD_NODE "n1"
#define WORLD_GUESTS_MAX 256
#define GI (1024LL * 1024 * 1024)

/* What a launcher does with its guest; the truth that the API only tells about. */
enum guest_state { GUEST_NONE, GUEST_RUNS, GUEST_SHUT_DOWN, GUEST_CRASHED };
/* What virt-handler knows of a launcher. */
struct sim_link {
	char *key; /* NULL: nothing */
	struct guest_facts facts;
	struct json_doc *state;
};
#define SIM_NICS_MAX 8
struct sim_nic {
	char name[16], network[16]; /* network "": the pod's */
	bool tap, down;
};
#define SIM_VOLUMES_MAX 16
#define SIM_OFFERS_MAX 64
enum sim_volume_phase { SIM_OFFERED, SIM_PLUGGING, SIM_READY, SIM_UNPLUGGING };
struct sim_volume {
	char id[64], name[16], pod_uid[37];
	enum sim_volume_phase phase;
	bool failed;
};
struct guest {
	char uid[37]; /* of its instance */
	enum guest_state state;
	bool ran, released, paused;
	int64_t floor, room; /* bytes: it can not be shrunk below; its maximum can be raised to that */
	int64_t boot, max, memory, requested; /* bytes */
	int64_t due_memory, due_ms;           /* being changed to that; 0: it is not */
	int64_t sockets, cores, threads, max_sockets, boot_sockets;
	int64_t due_sockets, due_cpus_ms; /* likewise */
	bool may_remove;
	int set_cpus_calls;
	int set_memory_calls;
	int64_t ended_ms;
	int64_t moved_ms; /* when its move is over; 0: it does not move */
	struct sim_nic nics[SIM_NICS_MAX];
	size_t n_nics;
	struct sim_volume volumes[SIM_VOLUMES_MAX];
	size_t n_volumes;
	char offered[SIM_OFFERS_MAX][37]; /* uids of attachment pods that have done so */
	size_t n_offered;
	char nic_name[16];         /* of the latest action */
	struct json_doc *nic_args; /* of one that was asked for; NULL: none */
	const char *nic_action;
	struct sim_link link;
};

/* What goes wrong on the node; chances in 1/1000 per occasion. */
struct node_faults {
	bool no_room;                  /* resizes are answered Infeasible */
	int64_t room;                  /* those of memory beyond that; 0: none */
	bool unschedulable;            /* new pods find no place */
	bool image_error;              /* and their image can not be had */
	bool handler_down;             /* nothing is done for guests */
	bool refuse_vmis, refuse_pods; /* by admission */
	bool no_resize;                /* the API server has no pods/resize */
	int fail_start, partial, refuse, slow, fail_move;
	int lost; /* a launcher does not answer in time, and the guest takes nothing */
};

/* What is told by an event each time that it happens, check.c. */
enum sim_story { STORY_CPUS, STORY_MEMORY, STORY_CPUS_FAILED, STORY_MEMORY_FAILED, SIM_STORIES };

struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client, *user; /* of virt-controller; of the person */
	struct controller_set *set;
	struct kube_client *handler_client;
	struct controller_set *handler; /* NULL: it is down */
	struct vm_env vm_env;
	struct vmi_env vmi_env;
	struct synced_keys synced;
	struct node_env node_env;
	struct rng rng;
	struct guest guests[WORLD_GUESTS_MAX];
	size_t n_guests;
	struct node_faults faults;
	bool trace;
	bool removable_cpus;                       /* as under KVM */
	bool no_identity;                          /* admission gives VMs no UUID of their own */
	int shown[SIM_STORIES], told[SIM_STORIES]; /* by what is written; by events */
	bool lossy;                                /* requests fail, answers are lost: events, too */
	bool handler_died, controller_died;
	struct str broken; /* invariants that did not hold */
	int vmis_made, pods_made;
	int n_uuids;
	int64_t edited_ms; /* when a person was there last */
	bool migrates;     /* what waits for a migration gets one, where that is allowed */
	/* After so many writes of anybody one program dies, before it hears of its own; 0: none does. */
	int die_in;
	bool die_handler, dying, person_busy;
	bool idle; /* nobody is in a hurry: the node looks less often */
};

/* cpus.c */
void sim_set_cpus(struct world *w, struct guest *g, int64_t sockets, bool remove);
void sim_cpus_step(struct world *w, struct guest *g);
void sim_cpus_seen(struct guest *g);

/* schemas: the API server prunes and checks by the real schemas (slower). */
void world_init(struct world *w, uint64_t seed, bool schemas);
void world_done(struct world *w);
void world_start(struct world *w); /* virt-controller */
void world_kill(struct world *w);  /* -9 */
/* Lets time go on, the node doing its part about every 100 ms. */
void world_run(struct world *w, int64_t ms);
/* Until nobody writes any more; false if that does not happen within limit_ms. */
bool world_settle(struct world *w, int64_t limit_ms);
bool world_quiet(struct world *w, int64_t ms); /* true: nothing was written all that time */
void world_broken(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool world_chance(struct world *w, int per_mille);

/* A person's hands. Text like json_lit(); errors are the person's: they are returned and otherwise nothing. */
int user_create(struct world *w, const struct kind *k, const char *text, struct err *e);
int user_merge(struct world *w, const struct kind *k, const char *name, const char *sub, const char *text);
int user_ops(struct world *w, const struct kind *k, const char *name, const struct json *ops);
int user_delete(struct world *w, const struct kind *k, const char *name);
int user_config(struct world *w, const char *text); /* merge patch of the KubeVirt CR */
void user_vm(struct world *w, const char *name, const char *strategy, const char *memory);
/* domain: further members of the domain, each with a comma behind */
void user_vm_with(
	struct world *w, const char *name, const char *strategy, const char *memory, const char *domain);
void user_memory(struct world *w, const char *name, const char *memory);

const struct json *world_vm(struct world *w, const char *name); /* NULL: there is none */
const struct json *world_vmi(struct world *w, const char *name);
struct guest *world_guest(struct world *w, const char *uid); /* made on first use */

const struct json *world_vmi_by_key(struct world *w, const char *key);

/* handler.c */
void handler_start(struct world *w);
void handler_kill(struct world *w);
void launchers_step(struct world *w);
const struct obj *world_pod_of(struct world *w, const char *uid); /* that is not going */
/* node.c */
void node_step(struct world *w);
/* nics.c */
void edit_nics(struct world *w, const char *vm);
bool pod_networks(struct json_doc *d, struct json *pod);
void sim_nics_new(struct world *w, struct guest *g, const struct json *vmi);
void sim_nics_tell(struct json_doc *d, const struct guest *g);
void sim_nics_step(struct world *w, struct guest *g);
void sim_nics_forget(struct guest *g);
bool sim_nic_act(struct world *w, struct guest *g, const struct intent *i); /* false: not about cards */
bool sim_nic_as_wanted(struct guest *g, const struct json *spec, const char *name);
/* volumes.c */
void edit_plugged(struct world *w, const char *vm);
bool sim_is_attachment(const struct obj *pod);
void sim_attachment_step(struct world *w, const struct obj *pod);
void sim_volumes_new(struct guest *g);
void sim_volumes_tell(struct json_doc *d, const struct guest *g);
void sim_volumes_step(struct world *w, struct guest *g);
bool sim_volume_act(struct world *w, struct guest *g, const struct intent *i); /* false: not about volumes */
bool sim_volume_as_wanted(
	struct world *w, struct guest *g, const struct json *vmi, const struct json *spec, const char *name);
void check_plugged(struct world *w, const char *name, const struct json *vmi);
/* migrate.c */
void migrations_step(struct world *w);
/* fields.c: edits, and what must be said of them */
void edit_static(struct world *w, const char *vm);
void edit_volumes(struct world *w, const char *vm);
void edit_placement(struct world *w, const char *vm);
void edit_revert(struct world *w, const char *vm);
const struct json *world_start_template(struct world *w, const struct json *vmi); /* NULL: lost */
void check_vmi_written(struct world *w, const struct json *vmi, const struct json *old);
void check_edits(struct world *w, const char *name, const struct json *vm, const struct json *vmi);
/* check.c: what holds at every moment, and what holds when all is quiet */
void check_status_written(struct world *w, const struct json *vm, const struct json *old);
void check_shown(struct world *w, const struct json *vmi, const struct json *old);
void check_event_written(struct world *w, const struct json *event, const struct json *old);
void check_pod_created(struct world *w, const struct json *pod);
void check_settled(struct world *w);
