/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/launcher_impl.h - what the files of the launcher share. Nobody else includes it. */
#pragma once

#include "base/proc.h"
#include "kubevirt/launcher/console.h"
#include "kubevirt/launcher/cpus.h"
#include "kubevirt/launcher/domain.h"
#include "kubevirt/launcher/image.h"
#include "kubevirt/launcher/launcher.h"
#include "kubevirt/launcher/resize.h"
#include "kubevirt/launcher/sm.h"
#include "kubevirt/wire/server.h"
#include "qemu/qmp.h"

#define POWERDOWN_EVERY_MS 3000 /* a booting guest misses the button (qemu.md 4) */
#define QUIT_LIMIT_MS 5000      /* then SIGKILL */
#define QEMU_GREETING_MS 30000  /* QEMU under load; a QEMU that ends is noticed by its exit, not by this */
#define BALLOON_FAST_S 2
#define BALLOON_SLOW_S 10
#define BALLOON_FAST_FOR_MS 60000
#define SPACE_EVERY_MS 2000
#define SPACE_ENOUGH (64ull << 20)
#define NIC_BOOT_MS 300000 /* a guest without balloon driver has booted by then */
#define REBOOT_DEBOUNCE_MS \
	5000 /* firmware resets once more: two RESET events are one reboot (qemu.md 16.13) */

/* How it ended, decided before the process is gone. */
struct ending {
	bool known;
	enum wire_phase phase;
	const char *reason; /* static */
	char message[512];
};

/* Steps before the guest runs: what is awaited. */
enum { P_NEW, P_PROBE, P_MACHINE, P_DISK, P_GREETING, P_SETUP, P_DONE, P_FAILED };
/* Steps of stopping. */
enum { S_NONE, S_ASKING, S_QUITTING, S_KILLING, S_GONE };

struct launcher {
	struct loop *loop;
	struct launcher_spec spec;
	char *dir, *socket, *qemu_bin;
	struct wire_server *server;
	struct loop_signal *term, *intr;
	struct loop_fd *dir_watch; /* while the directory is not ours yet */
	int dir_notify;
	int exit_status;
	bool terminating; /* by signal: do not linger */

	enum wire_phase phase;
	char reason[64], message[512]; /* of the phase */
	struct ending end;
	struct loop_timer *push; /* one state event per turn */

	/* start */
	struct domain *domain;
	struct sm prep, stop;
	struct accel_probe *probe;
	struct proc_run *run;
	struct vm_config *config;
	struct image images[VM_DISKS_MAX]; /* of container disks, by disk index */
	char *files[VM_DISKS_MAX];         /* what QEMU opens */
	size_t disk_at;
	char *machine, *firmware_vars; /* the VM's own copy; NULL: none */
	const char *firmware_code;
	char room_note[160]; /* why there is less room than asked for; "": there is not */
	struct strv argv, hostfwd[VM_NICS_MAX];

	/* running */
	pid_t qemu_pid, passt_pid[VM_NICS_MAX];
	struct loop_child *qemu_child, *passt_child[VM_NICS_MAX];
	struct vm_ports *ports;   /* who sits where; from the start of QEMU on */
	struct nic_job *nic_jobs; /* nic.c */
	struct plug *plugs;       /* plug.c */
	uint64_t fdsets;          /* numbers given out */
	bool plain_cpu;           /* -cpu host made QEMU abort */
	struct qmp *qmp;
	struct resize *resize;
	struct cpus *cpus;
	struct console *console;
	struct guest_stats stats;
	struct loop_timer *balloon, *stop_timer, *space;
	int64_t balloon_fast_until, stop_deadline, last_reset, started_wall;
	bool user_paused, io_error, booted, agent;
	int reboots;
	int64_t oom_kills;
};

/* state.c */
void state_changed(struct launcher *l);
void phase_set(struct launcher *l, enum wire_phase p, const char *reason, const char *message);
struct json_doc *state_json(struct launcher *l);
void state_push_due(void *arg);

/* prepare.c: from the request to a running guest */
void prepare_start(struct launcher *l);
void prepare_cancel(struct launcher *l);
void prepare_failed(struct launcher *l, const char *reason, const struct err *e);

void prepare_launch(struct launcher *l); /* the disks are there */

/* disks.c: images made and found, then handed to the config */
void disks_make(struct launcher *l); /* ends in prepare_launch() or prepare_failed() */
void disks_fill(struct launcher *l);
#define TOOL_LIMIT_MS 30000 /* qemu-img, qemu -machine help */

/* spawn.c: sockets, passt, QEMU */
int spawn_network(struct launcher *l, struct err *e);
int spawn_qemu(struct launcher *l, struct err *e);
void spawn_done(struct launcher *l); /* kills and forgets what is left */
/* What a program said last in its log, preferably a line that starts with its name; NULL: nothing. Caller frees. */
char *last_line(const char *path, const char *name);

/* guest.c: QEMU's events, its end, stopping */
extern const struct qmp_ops guest_qmp_ops;
void guest_running(struct launcher *l); /* set up, cont was answered */
void guest_cpus_new(struct launcher *l);
void guest_balloon_due(void *arg);
void guest_space_due(void *arg);
void guest_exited(void *arg, pid_t pid, int wait_status);
void guest_stop(struct launcher *l, int grace_s);
void guest_kill(struct launcher *l, const char *reason, const char *message);
void guest_finish(struct launcher *l, enum wire_phase p, const char *reason, const char *message);
int64_t oom_kill_count(void);
extern const struct sm_state stop_states[];

/* prepare.c, called by guest.c */
void prepare_qmp_ready(struct launcher *l);
bool prepare_retry(
	struct launcher *l, int wait_status); /* QEMU ended: true if it was started again in another way */

/* nic.c: secondary network cards, and links */
void nic_plug(struct launcher *l, const struct json *args, struct wire_call *call);
void nic_unplug(struct launcher *l, const struct json *args, struct wire_call *call);
void nic_set_link(struct launcher *l, const struct json *args, struct wire_call *call);
/* Takes the descriptors that came with a start request. */
int nic_take_files(struct domain *d, const struct json *host, struct wire_call *call, struct err *e);
void nic_links_down(struct launcher *l);  /* before the guest runs: those that are wanted so */
void nic_close_files(struct launcher *l); /* QEMU has them now */
void nic_device_deleted(struct launcher *l, const char *id);
int nic_mtu(int tap_fd); /* of a tap device, if it is not what every guest takes for granted; else 0 */
void nic_end(struct launcher *l); /* QEMU is gone: before its client is freed */

/* stats.c: answers the call. The times in a line of /proc/PID/stat, hz ticks a second; false: it is none. */
void stats_answer(struct launcher *l, struct wire_call *call);
bool stats_cpu_times(const char *stat, int64_t hz, int64_t *ret_user_ms, int64_t *ret_system_ms);

/* plug.c: volumes that come and go */
void plug_offer(struct launcher *l, const struct json *args, struct wire_call *call);
void plug_plug(struct launcher *l, const struct json *args, struct wire_call *call);
void plug_unplug(struct launcher *l, const struct json *args, struct wire_call *call);
void plug_device_deleted(struct launcher *l, const char *id);
const char *plug_of_node(const struct launcher *l, const char *node); /* name of the volume; NULL: none */
void plug_state(const struct launcher *l, struct json_doc *d, struct json *o);
void plug_end(struct launcher *l); /* QEMU is gone: after its client was freed, or had failed its calls */

/* verbs.c */
void verbs_dispatch(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call);
