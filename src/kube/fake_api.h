/* SPDX-License-Identifier: Apache-2.0 */
/* kube/fake_api.h - an API server for tests: a map, a revision counter and watchers around the true rules of api/semantics.
 * Serves every registered kind over a kube_transport on a (simulated) loop, with faults injected from a seed. */
#pragma once

#include "api/semantics.h"
#include "kube/client.h"

struct fake_api;
struct fake_api *fake_api_new(struct loop *l);
void fake_api_free(struct fake_api *f); /* after its clients */
void fake_api_add_kind(struct fake_api *f,
	const struct kind *k); /* schema from k->fields, if any: prunes, defaults, validates */
/* PUT and PATCH of this subresource write the main object. Known without being told: status, pods/resize, pods/binding,
 * pods/eviction. */
void fake_api_sub_writes_main(struct fake_api *f, const struct kind *k, const char *sub);
/* Deletes what all owners have left behind, and what a foreground deletion waits for. Off at first. */
void fake_api_collect_orphans(struct fake_api *f, bool on);
/* Admission as a webhook would do it: may change the draft (mutating) or refuse. old NULL on create, o NULL on delete. */
typedef int fake_admit_fn(void *arg, const struct kind *k, const char *sub, struct json_doc *d,
	struct json *o, const struct json *old, struct causes *c, struct err *e);
void fake_api_admit(struct fake_api *f, fake_admit_fn *fn, void *arg);
struct kube_transport fake_api_transport(struct fake_api *f, const char *user); /* one per client */

/* Direct access for tests. o in json_lit() style documents; taken. */
const struct obj *fake_api_get(struct fake_api *f, const struct kind *k, const char *key);
const struct obj *fake_api_put(
	struct fake_api *f, const struct kind *k, struct json_doc *o); /* replaces; no admission */
void fake_api_remove(struct fake_api *f, const struct kind *k, const char *key);
size_t fake_api_len(struct fake_api *f, const struct kind *k);
const struct obj *fake_api_at(struct fake_api *f, const struct kind *k, size_t i);
uint64_t fake_api_writes(const struct fake_api *f); /* writes by clients that changed something */
uint64_t fake_api_rv(const struct fake_api *f);

/* Faults, each a chance in 1/1000 per occasion; 0 by default. */
struct fake_faults {
	uint64_t seed;
	int fail_request;   /* answered 500 before anything happened */
	int lose_answer;    /* done, but the connection breaks before the answer */
	int conflict;       /* 409 although nothing changed */
	int drop_watch;     /* a watch ends */
	int expire_watch;   /* a watch ends with 410 */
	int repeat_event;   /* an event is delivered twice */
	int latency_max_ms; /* uniform */
};
void fake_api_faults(struct fake_api *f, const struct fake_faults *faults);
/* A client's process died: its calls and watches vanish silently. */
void fake_api_disconnect(struct fake_api *f, const char *user);
