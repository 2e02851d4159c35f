/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/lifecycle.h - what start, stop, restart and their like make of a VM and its instance, as pure functions.
 * kubevirt-api.md 2.1, 2.2, 3. The result is a list of API writes and at most one request to the instance's virt-handler. */
#pragma once

#include "api/kind.h"
#include "base/json.h"
#include "kubevirt/instancetype/instancetype.h"

struct lifecycle_in {
	const char *ns, *name;
	const struct json *vm;   /* NULL: there is none */
	const struct json *vmi;  /* NULL: there is none */
	const struct json *body; /* options; NULL: none */
	const struct kv_config *config;
	struct it_lookup *lookup; /* pending afterwards: fetch what it wants, and run again */
};

#define LIFECYCLE_STEPS_MAX 3
struct lifecycle_step {
	const struct kind *kind;
	const char *sub;      /* "status" or NULL */
	struct json_doc *ops; /* JSON patch; or, with create, the object */
	bool create;
};
struct lifecycle_out {
	int status; /* HTTP status of success */
	struct lifecycle_step steps[LIFECYCLE_STEPS_MAX];
	size_t n_steps;
	const char *handler_verb; /* PUT to virt-handler before answering: "pause", ...; NULL: none */
	const struct json *reply; /* body of success, borrowed from the input or from made; NULL: empty */
	struct json_doc *made;
	bool dry_run;
	bool again; /* when somebody else was faster: look, and decide afresh */
};
void lifecycle_done(struct lifecycle_out *out);

typedef int lifecycle_fn(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e);
struct lifecycle_verb {
	const char *resource; /* "virtualmachines" */
	const char *sub;      /* "start" */
	const char *method;
	bool wants_vm,
		wants_vmi; /* to be fetched; a missing wanted VM is 404 before fn, a missing VMI is fn's to judge */
	lifecycle_fn *fn;
};
extern const struct lifecycle_verb lifecycle_verbs[]; /* ends with a NULL sub */
/* Runs the verb; reads dryRun from the body. */
int lifecycle_run(const struct lifecycle_verb *v, const struct lifecycle_in *in, struct lifecycle_out *out,
	struct err *e);
const struct lifecycle_verb *lifecycle_find(const char *resource, const char *sub, const char *method);

/* The VM without instance type and preference, both applied: KubeVirt's expand-spec and expand-vm-spec. */
int lifecycle_expand(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e);

/* Where a console of this VMI can be had: its node. 400 "VMI is not running" while it is not, 409 when it has Failed
 * (kubevirt-api.md 2.3: clients repeat on 400 only). */
int console_check(const struct json *vmi, const char *name, const char **ret_node, struct err *e);
/* Where a port of it can be reached: its address. */
int portforward_check(const struct json *vmi, const char *name, const char **ret_ip, struct err *e);
