/* SPDX-License-Identifier: Apache-2.0 */
/* kube/fake_impl.h - the insides of the fake API: fake_api.c (set-up, transport, faults), fake_store.c (objects, history,
 * collection of orphans), fake_watch.c (watchers), fake_verbs.c (requests). Nobody else includes this. */
#pragma once

#include "api/schema.h"
#include "api/selector.h"
#include "base/mem.h"
#include "kube/fake_api.h"
#include "kube/keymap.h"
#include "kube/rng.h"

#define FAKE_ADMITS_MAX 8
#define FAKE_HISTORY_MAX 20000 /* older events are forgotten: watchers from before get 410 */

struct fake_kind {
	const struct kind *k;
	struct schema *schema; /* NULL: anything goes */
	struct write_rules rules;
	struct strv main_subs; /* subresources that write the main object */
	struct keymap objs;
};
struct fake_event {
	uint64_t rv;
	struct fake_kind *kind;
	struct obj *old, *new; /* new NULL: deleted; old then carries the deletion's version */
};
struct fake_api {
	struct loop *loop;
	struct fake_kind **kinds;
	size_t n_kinds, cap_kinds;
	uint64_t rv, floor; /* events up to floor are forgotten */
	struct fake_event *log;
	size_t n_log, cap_log;
	struct fake_call *calls; /* doubly linked */
	struct {
		fake_admit_fn *fn;
		void *arg;
	} admits[FAKE_ADMITS_MAX];
	size_t n_admits;
	struct loop_timer *gc; /* NULL: orphans stay */
	struct rng rng;
	struct fake_faults faults;
	uint64_t writes;
};
struct fake_client {
	struct fake_api *f;
	char *user;
};
enum fake_state { FAKE_COMING, FAKE_ANSWERED, FAKE_WATCHING };
struct fake_call {
	struct fake_client *client;
	struct fake_call *prev, *next;
	struct loop_timer *timer;
	int64_t due; /* mono ms, when the timer is armed */
	enum fake_state state;
	bool dead;      /* its process is gone: nothing is heard of it again */
	bool busy;      /* within data() */
	bool cancelled; /* while busy */
	char *method, *path, *content_type;
	struct str body;
	bool stream;
	void (*data)(void *arg, int status, const void *data, size_t len);
	void (*done)(void *arg, int status, const void *body, size_t len, const struct err *e);
	void *arg;
	int status;
	struct str answer;
	bool lost; /* the answer does not arrive */
	/* watches */
	struct fake_kind *kind;
	char *ns;
	struct selector *labels;
	struct field_selector *fields;
	uint64_t seen;           /* everything up to here has been looked at */
	uint64_t told;           /* newest version the watcher has heard of */
	bool initial, bookmarks; /* initial: all objects first */
	int64_t ends;            /* mono ms */
};

bool fake_chance(struct fake_api *f, int per_mille);
int64_t fake_latency(struct fake_api *f);
void fake_call_arm(struct fake_call *c, int64_t in_ms);       /* the earlier of this and what is armed */
void fake_call_end(struct fake_call *c, const struct err *e); /* done(), frees */
void fake_call_free(struct fake_call *c);

/* store */
struct fake_kind *fake_kind_of(const struct fake_api *f, const struct kind *k); /* MUST be registered */
const struct obj *fake_store(struct fake_api *f, struct fake_kind *fk, struct json_doc *d /* taken */);
void fake_erase(struct fake_api *f, struct fake_kind *fk, const char *key);
void fake_uid(struct fake_api *f, char ret[37]);
void fake_gc_run(void *f);
struct obj *fake_with_rv(const struct obj *o, uint64_t rv);

/* verbs: fills status and answer, or makes the call a watch */
void fake_serve(struct fake_call *c);
/* DELETE: a Status or an object; NULL and e on failure. */
struct json_doc *fake_delete(
	struct fake_api *f, struct fake_kind *fk, const char *key, const struct json *options, struct err *e);

/* watches */
void fake_watch_notify(struct fake_api *f, const struct fake_kind *fk); /* something happened to this kind */
void fake_watch_fire(struct fake_call *c);
