/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/impl.h - what the agent's files share. Private to platform/agent. */
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
#include "platform/controllers/kinds.h"
#include "platform/image/image.h"

#define POD_JSON_MAX (4 << 20)
#define CTR_LOG_MAX (10 << 20)       /* then rotated, one old file is kept */
#define BACK_OFF_MIN_MS 10000        /* of restarts and pulls */
#define BACK_OFF_MAX_MS 300000
#define BACK_OFF_FORGET_MS 600000    /* a container that ran this long starts afresh */
#define MOUNT_RETRY_MIN_MS 500
#define MOUNT_RETRY_MAX_MS 120000
#define GRACE_DEFAULT_S 30

struct agent;
struct pod;
struct ctr;
struct probe;
struct log_stream;
struct exec_session;

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

enum ctr_class { CTR_MAIN, CTR_INIT, CTR_SIDECAR };
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
	struct loop_child *shim_end;
	int64_t started_ms, started_mono;
	bool stopping;
	int64_t term_sent, stop_grace_ms; /* mono ms; of a stop that a probe asked for */
	char *config_error, *config_reason; /* CreateContainerConfigError and the like */
	int64_t config_retry;
	int config_failures;
	struct ctr_end end, last; /* of this attempt; of the one before */
	int failures;         /* restarts in a row, for the back-off */
	int64_t restart_at;   /* mono ms */
	bool restart_told;    /* BackOff event */
	/* probes */
	struct probe *probes[3];
	bool started, ready;
	struct json_doc *resources; /* as applied to the cgroup, for status */
};

enum vol_state { VOL_NEW, VOL_READY };
struct vol {
	char *name;
	enum vol_state state;
	char *path;  /* on the host */
	bool is_file, mem; /* mem: content made by us, in the pod's tmpfs */
	bool read_only;
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
	struct obj *obj;  /* newest known */
	char *uid, *key, *dir, *log_dir;
	bool gone;        /* not in the API any more */
	bool finished;    /* phase is final */
	bool failed_admission;
	const char *fail_reason; /* of the phase, static */
	char *fail_message;
	struct ctr **ctrs; /* init first, in the spec's order */
	size_t n_ctrs;
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
	/* reporting */
	struct loop_timer *sync, *later; /* now; at next_at (mono ms) */
	int64_t next_at;
	struct kube_call *write, *removal;
	uint64_t stale_rv; /* our write of this version met a conflict */
	int write_failures;
	int64_t write_retry, start_ms;
	bool mains_over; /* its own containers are through: the sidecars go */
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
	struct log_stream *logs; /* open ones */
	struct exec_session *execs;
	struct stopping *stopping; /* stop.c; nothing is started any more */
	int64_t memory_bytes, cpu_millis; /* allocatable */
	unsigned unsynced; /* caches that pods wait for */
};

/* ---- agent.c ---- */
void agent_forget(struct agent *a, struct pod *p); /* frees the pod */
int runtime_find(struct runtime *ret, const char *data_dir, struct err *e); /* runtime.c */
void runtime_done(struct runtime *r);

/* ---- node.c: the Node object and its lease ---- */
struct node_reg *node_reg_new(struct agent *a);
void node_reg_free(struct node_reg *n);

/* ---- pod.c: what is next ---- */
struct pod *pod_new(struct agent *a, const struct obj *o);
void pod_free(struct pod *p);
void pod_set_obj(struct pod *p, const struct obj *o);
void pod_kick(struct pod *p);                     /* look again, next turn */
void pod_kick_at(struct pod *p, int64_t mono_ms); /* or then; the earliest wins */
const struct json *pod_spec(const struct pod *p);
/* Its entry in spec.containers or spec.initContainers; NULL if it is not there (any more). */
const struct json *ctr_spec(const struct ctr *c);
bool pod_terminating(const struct pod *p);
bool pod_host_network(const struct pod *p);
const char *pod_ip(const struct pod *p);
void pod_event(const struct pod *p, bool warning, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int64_t back_off_ms(int failures, int64_t min, int64_t max); /* min, 2 min, 4 min, ... for 1, 2, 3 */

/* ---- ctr.c: one container's processes ---- */
void ctr_start(struct ctr *c);
void ctr_stop(struct ctr *c, int64_t grace_ms, const char *reason /* for the event, or NULL */);
bool ctr_active(const struct ctr *c); /* a process of it may be there */
void ctr_reattach(struct ctr *c);     /* after a restart of the agent: from its directory */
void ctr_status_changed(struct ctr *c); /* its status file was replaced */
void ctr_free(struct ctr *c);
void ctr_end_done(struct ctr_end *e);
char *ctr_id(const struct ctr *c, int attempt); /* the runtime's name for it */
char *ctr_log_path(const struct ctr *c, int attempt);
char *ctr_cgroup(const struct ctr *c); /* path within the hierarchies */
void ctr_kill_now(struct ctr *c);
pid_t shim_of(const char *ctr_dir); /* of an attempt; 0: gone */

/* ---- env.c, bundle.c: from spec to the runtime's configuration ---- */
/* NAME=VALUE list. ERR_NOT_FOUND: something it refers to is missing (CreateContainerConfigError). */
int env_build(const struct ctr *c, const struct json *spec, struct strv *ret, struct err *e);
/* $(NAME) references (Kubernetes' rules: $$ escapes, unknown ones stay). Caller frees. */
char *env_expand(const char *text, const struct strv *env);
/* Value of a downward API field such as "metadata.labels['x']". Caller frees; NULL if unsupported. */
char *field_value(const struct pod *p, const char *path);
char *resource_field_value(const struct pod *p, const struct json *ref, const struct ctr *self, struct err *e);
/* Writes config.json and everything beside it into c->dir. */
int bundle_write(struct ctr *c, struct err *e);
/* Root file system of the attempt: made by bundle_write(), taken away by this. */
void bundle_remove(const char *ctr_dir);

/* ---- volumes.c ---- */
void volumes_init(struct pod *p);
/* Makes what is missing, updates what changed. False while something is missing: then p->mount_error may say what. */
bool volumes_ready(struct pod *p);
void volumes_done(struct pod *p);
const struct vol *volume_get(const struct pod *p, const char *name);
/* ---- project.c: files of configMap, secret, downwardAPI and projected volumes ---- */
int project_volume(struct pod *p, struct vol *v, const struct json *spec, struct err *e);
bool volume_is_projection(const struct json *spec);
/* ---- token.c ---- */
void tokens_init(struct pod *p);
void tokens_done(struct pod *p);
/* NULL while it is being asked for; *ret_error says why if that failed. */
const char *token_get(struct pod *p, const char *volume, const char *audience, const char **ret_error);

/* ---- status.c ---- */
/* The whole object with its new status; NULL if nothing changed. */
struct json_doc *status_make(struct pod *p, int64_t now_ms);
const char *pod_phase(const struct pod *p);
bool ctr_will_restart(const struct ctr *c);

/* ---- probe.c ---- */
void probes_start(struct ctr *c); /* the container runs: arm what its spec asks for */
void probes_stop(struct ctr *c);

/* ---- resize.c ---- */
void resize_check(struct pod *p); /* spec against what the cgroups have */
struct json_doc *resources_of(const struct json *ctr_spec);
void resources_save(const struct ctr *c);
void resources_load(struct ctr *c);
/* Kubernetes' cgroup numbers of a resources tree. */
struct cgroup_limits limits_of(const struct json *resources);
/* Requests of everything else on this node. */
void resize_conditions(struct pod *p, struct json_doc *d, struct json *status, int64_t now_ms);

/* ---- stop.c ---- */
void agent_stop_look(struct agent *a); /* a container has ended */

/* ---- logs.c: followers of its log end ---- */
void logs_container_ended(struct ctr *c);
void logs_end_all(struct agent *a);
/* ---- exec.c ---- */
void exec_free_all(struct agent *a);

/* ---- devices.c: extended resources that are device files ---- */
const char *device_path(const char *resource);
