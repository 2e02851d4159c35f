/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/impl.h - what the agent's files call of each other. Private to platform/agent. */
#pragma once

#include "platform/agent/types.h"

/* ---- agent.c ---- */
void agent_forget(struct agent *a, struct pod *p);                          /* frees the pod */
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
/* Member of the pod's spec that lists containers of this class. */
const char *ctr_list(const struct ctr *c);
/* Its entry there; NULL if it is not there (any more). */
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
bool ctr_active(const struct ctr *c);   /* a process of it may be there */
void ctr_reattach(struct ctr *c);       /* after a restart of the agent: from its directory */
void ctr_status_changed(struct ctr *c); /* its status file was replaced */
void ctr_free(struct ctr *c);
void ctr_end_done(struct ctr_end *e);
char *ctr_id(const struct ctr *c, int attempt); /* the runtime's name for it */
char *ctr_log_path(const struct ctr *c, int attempt);
char *ctr_cgroup(const struct ctr *c); /* path within the hierarchies */
void ctr_kill_now(struct ctr *c);
bool ctr_has_terminal(const struct ctr *c);

/* ---- networks.c: secondary networks (net/nad.h), at start and when the annotation changes while the pod runs ---- */
void networks_init(struct pod *p); /* with the pod's directory, if there is one: what an earlier agent did */
/* Goes on with what is to be done, and reports what is. False until a new pod has all of them. */
bool networks_ready(struct pod *p);
void networks_stop(struct pod *p); /* the pod ends: nothing is started any more */
void networks_release(struct pod *p);
void networks_done(struct pod *p);

/* ---- env.c, bundle.c: from spec to the runtime's configuration ---- */
/* NAME=VALUE list. ERR_NOT_FOUND: something it refers to is missing (CreateContainerConfigError). */
int env_build(const struct ctr *c, const struct json *spec, struct strv *ret, struct err *e);
/* $(NAME) references (Kubernetes' rules: $$ escapes, unknown ones stay). Caller frees. */
char *env_expand(const char *text, const struct strv *env);
/* Value of a downward API field such as "metadata.labels['x']". Caller frees; NULL if unsupported. */
char *field_value(const struct pod *p, const char *path);
char *resource_field_value(
	const struct pod *p, const struct json *ref, const struct ctr *self, struct err *e);
/* Writes config.json and everything beside it into c->dir. */
int bundle_write(struct ctr *c, struct err *e);
/* Root file system of the attempt: made by bundle_write(), taken away by this. */
void bundle_remove(const char *ctr_dir);

/* ---- hugepages.c ---- */
void hugepages_put(
	struct json_doc *d, struct json *amounts); /* "hugepages-2Mi": what this host has, per size */
/* The file system of a pod's huge pages; again: nothing. medium: "HugePages" or "HugePages-2Mi". */
int hugepages_mount(const struct pod *p, const char *medium, const char *path, struct err *e);

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
char *logs_tail(const struct ctr *c, size_t max); /* last bytes of this attempt's output; NULL: none */
/* ---- served.c: exec, attach and port-forward end ---- */
void served_stop_all(struct agent *a);

/* ---- devices.c: extended resources that are device files ---- */
const char *device_path(const char *resource);
