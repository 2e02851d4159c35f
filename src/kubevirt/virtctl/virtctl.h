/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/virtctl/virtctl.h - the command line for virtual machines: the calls of kubevirt-api.md 10 through the API server.
 * Output meant for scripts goes to stdout, everything else to stderr. Exit status: 0 done, 1 refused or failed, 2 bad usage;
 * of rollout more, see rollout.h. */
#pragma once

#include "kube/client.h"

#define VIRTCTL_HOST_KUBECONFIG "/etc/coracle/kubeconfig"
#define VIRTCTL_CONSOLE_TIMEOUT_MIN 5 /* how long console waits for the guest, in minutes */

/* What the command line said. Strings are argv's. */
struct virtctl {
	const char *kubeconfig, *ns;
	const char *command;
	const char *args[2]; /* NAME, or vm|vmi NAME, or status|diff NAME */
	size_t n_args;
	bool paused, force, client_only, dry_run;
	int64_t grace_seconds;  /* -1: not given */
	double timeout_minutes; /* console, rollout status --watch */
	bool timeout_given, watch;
	const char *output;        /* "json", expand: or "yaml"; NULL: for people */
	const char *vm, *file;     /* expand */
	const char *node_selector; /* migrate: k=v[,k=v] */
	/* addvolume, removevolume; NULL: not given */
	const char *volume, *disk_name, *serial, *cache, *disk_type, *bus;
	bool persist; /* accepted; what is added to a VM is in its template anyway */
	/* made from it */
	struct loop *loop;
	struct kube_config config;
	struct kube_client *client;
	int trouble; /* exit status for a failure; 0: 1 */
};
/* Below 0: failed, see e. Else the exit status. */
typedef int virtctl_fn(struct virtctl *v, struct err *e);

/* Reads the command line. 0: run v->command; 1: usage or version was printed; -1: bad usage, explained on stderr. */
int virtctl_parse(int argc, char **argv, struct virtctl *v);
/* The body of main(). */
int virtctl_main(int argc, char **argv);

/* verbs.c: sends the command's request. The path and body of a request, for tests: */
int verbs_request(const struct virtctl *v, const char *ns, struct str *path, struct str *body, struct err *e);
virtctl_fn verbs_run, version_run;
/* An answer that is no success: its Status as an error. */
int virtctl_check_status(int status, const struct str *body, struct err *e);
/* rollout.c, expand.c */
virtctl_fn rollout_run, expand_run;
/* volumes.c; the body of its request, for tests: */
virtctl_fn volumes_run;
void volumes_request(const struct virtctl *v, bool data_volume, struct str *body);
/* Warns on stderr if the server's major.minor is another than ours. */
void version_compare(struct virtctl *v);
bool version_differs(const char *ours, const char *theirs);
/* console.c */
virtctl_fn console_run;
/* Bytes of typed input up to the escape character ^]; *ret_escape tells whether it came. */
size_t console_until_escape(const char *data, size_t len, bool *ret_escape);
