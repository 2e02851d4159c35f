/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/types.h - what the agent knows of its pods and containers: the structures that its files share. Private to
 * platform/agent; what the files call of each other is in impl.h. */
#pragma once

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "kube/cache.h"
#include "kube/events.h"
#include "kube/keymap.h"
#include "platform/agent/agent.h"
#include "platform/agent/cgroup.h"
#include "platform/clients/kinds.h"
#include "platform/image/image.h"

#define POD_JSON_MAX (4 << 20)
#define CTR_LOG_MAX (10 << 20) /* then rotated, one old file is kept */
#define CTR_ADOPTIONS_MAX 100  /* of one container; beyond, something keeps killing its shims */
#define BACK_OFF_MIN_MS 10000  /* of restarts and pulls */
#define BACK_OFF_MAX_MS 300000
#define BACK_OFF_FORGET_MS 600000 /* a container that ran this long starts afresh */
#define MOUNT_RETRY_MIN_MS 500
#define MOUNT_RETRY_MAX_MS 120000
#define GRACE_DEFAULT_S 30

struct agent;
struct pod;
struct ctr;
struct probe;
struct log_stream;
struct served;

struct runtime {
	char *name, *path; /* "runc", "/usr/sbin/runc" */
	char *root;        /* its state: DIR/run/runc */
	bool crun;
};

/* One attempt at running a container, ended. */
struct ctr_end {
	bool set;
	int code, signal;
	bool oom, start_failed;
	int64_t started_ms, finished_ms;
	char *id, *message;
};

/* CTR_EPHEMERAL: for debugging, added to a pod that runs; started once */
enum ctr_class { CTR_MAIN, CTR_INIT, CTR_SIDECAR, CTR_EPHEMERAL };
enum ctr_state { CTR_IDLE, CTR_STARTING, CTR_RUNNING, CTR_ENDED };

struct ctr {
	struct pod *pod;
	char *name;
	enum ctr_class class;
	enum ctr_state state;
	/* image */
	struct image *image;
	struct image_get *get;
	char *image_reason, *image_message; /* of the last failure */
	int64_t image_retry;                /* mono ms; 0: now */
	int image_failures;
	/* the attempt under way */
	int attempt; /* 0 for the first; also restartCount */
	bool attempted;
	char *dir; /* DIR/pods/UID/c/NAME/ATTEMPT */
	int watch; /* inotify, -1 */
	pid_t main, shim;
	uint64_t main_start; /* proc_start_time() */
	int adoptions;       /* shims killed so far, each replaced by another */
	struct loop_child *shim_end;
	int64_t started_ms, started_mono;
	bool stopping;
	int64_t term_sent, stop_grace_ms;   /* mono ms; of a stop that a probe asked for */
	char *config_error, *config_reason; /* CreateContainerConfigError and the like */
	int64_t config_retry;
	int config_failures;
	struct ctr_end end, last; /* of this attempt; of the one before */
	int failures;             /* restarts in a row, for the back-off */
	int64_t restart_at;       /* mono ms */
	bool restart_told;        /* BackOff event */
	/* probes */
	struct probe *probes[3];
	bool started, ready;
	struct json_doc *resources; /* as applied to the cgroup, for status */
};

enum vol_state { VOL_NEW, VOL_READY };
struct vol {
	char *name;
	enum vol_state state;
	char *path;        /* on the host */
	bool is_file, mem; /* mem: content made by us, in the pod's tmpfs */
	bool read_only;
	bool block; /* path is a block device, for volumeDevices */
	struct image *image;
	struct image_get *get;
	struct vol_pull *pull; /* what the image's callback gets */
	char *error;
	int failures;
	int64_t retry; /* mono ms */
	char hash[65]; /* of what was projected */
	unsigned generation;
};
enum resize_state { RESIZE_NONE, RESIZE_INFEASIBLE, RESIZE_DEFERRED, RESIZE_ERROR };

struct vol_pull {
	struct pod *pod;
	size_t index;
};
/* One projected service-account token: asked for before the volume is ready, again before it expires. */
struct token {
	char *volume, *audience;
	int64_t seconds;
	char *value;
	struct kube_call *call;
	struct loop_timer *renew;
	struct pod *pod;
	char *error;
};

struct pod {
	struct agent *agent;
	struct obj *obj; /* newest known */
	char *uid, *key, *dir, *log_dir;
	bool gone;     /* not in the API any more */
	bool finished; /* phase is final */
	bool failed_admission;
	const char *fail_reason; /* of the phase, static */
	char *fail_message;
	struct ctr **ctrs; /* init first, in the spec's order; ephemeral ones last, as they come */
	size_t n_ctrs, cap_ctrs;
	struct vol *vols;
	size_t n_vols;
	struct token *tokens;
	size_t n_tokens;
	bool mem_mounted;
	char *mount_error;
	int mount_failures;
	int64_t mount_retry;
	/* sandbox */
	bool dir_made, net_ready;
	char ip[INET_ADDRSTRLEN];
	struct net_job *net_job;
	char *net_error;
	int64_t net_retry;
	struct pod_nets *nets; /* secondary networks: networks.c */
	/* reporting */
	struct loop_timer *sync, *later; /* now; at next_at (mono ms) */
	int64_t next_at;
	struct kube_call *write, *removal;
	uint64_t stale_rv; /* our write of this version met a conflict */
	int write_failures;
	int64_t write_retry, start_ms;
	bool mains_over;               /* its own containers are through: the sidecars go */
	bool cleaned, removed, halted; /* halted: see stop.c */
	enum resize_state resize_state;
	char *resize_message;
	int resize_failures;
	int64_t resize_retry;
};

struct agent {
	struct loop *loop;
	struct kube_client *client;
	char *dir, *node_name, *shim, *api_host;
	int api_port;
	struct net *net;
	struct runtime runtime;
	struct cgroups *cgroups;
	struct image_store *images;
	struct event_recorder *events;
	struct cache *pods, *configmaps, *secrets, *pvcs, *pvs, *nodes;
	struct keymap by_uid;
	int inotify;
	struct loop_fd *inotify_fd;
	struct node_reg *node_reg;
	struct loop_timer *images_gc;     /* some time after a pod has gone */
	struct log_stream *logs;          /* open ones */
	struct served *served;            /* exec, attach, port-forward */
	struct stopping *stopping;        /* stop.c; nothing is started any more */
	int64_t memory_bytes, cpu_millis; /* allocatable */
	unsigned unsynced;                /* caches that pods wait for */
};
