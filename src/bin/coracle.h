/* SPDX-License-Identifier: Apache-2.0 */
/* bin/coracle.h - what the files of the program `coracle` share: one table of verbs and one of options, from which the parser and
 * --help are made; docs/man/coracle.8 is checked against them. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

#define VERBS(X)                                                                                           \
	X(UP, up, "run the whole of it on this host: API server, controllers, node, KubeVirt", cmd_up)     \
	X(SERVER, server, "run API server, scheduler and controllers only, without a node", cmd_up)        \
	X(STATUS, status, "what runs, in which version, and the virtual machines", cmd_status)             \
	X(DOCTOR, doctor, "what this host has and lacks, and what to do about it", cmd_doctor)             \
	X(KUBECONFIG, kubeconfig, "print the administrator's kubeconfig", cmd_kubeconfig)                  \
	X(DOWN, down, "stop virtual machines gracefully, then the control plane; the next up starts them", \
		cmd_down)                                                                                  \
	X(UNINSTALL, uninstall, "stop everything at once and remove every trace of it", cmd_uninstall)     \
	X(VERSION, version, "print the version", cmd_version)
enum verb {
#define X(id, name, help, fn) VERB_##id,
	VERBS(X)
#undef X
		VERB_MAX
};
#define VERB_BIT(v) (1U << (v))

struct args {
	enum verb verb;
	char *data_dir; /* absolute */
	bool default_dir;
	int port;
	bool bare, yes, verbose;
	const char *audit_log; /* of argv */
	unsigned max_inflight;
	struct store_choice store; /* of argv */
	const char *listen;
	unsigned plugins_off; /* platform/admission/plugins.h */
};

typedef int cmd_fn(const struct args *a); /* exit status */
#define X(id, name, help, fn) cmd_fn fn;
VERBS(X)
#undef X

/* "coracle: TEXT" on stderr. Returns 1. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_usage(void);
