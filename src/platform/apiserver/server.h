/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/server.h - the server's inside: what its files share. Private to platform/apiserver. */
#pragma once

#include "platform/apiserver/apiserver.h"
#include "platform/apiserver/bucket.h"
#include "platform/codec/codec.h"
#include "platform/describe/describe.h"
#include "platform/apiserver/pki.h"
#include "platform/kinds/registry.h"
#include "platform/request/reqinfo.h"
#include "platform/request/request_impl.h"

#define BODY_MAX (3 * 1024 * 1024) /* kubernetes-api.md 2.1: 413 beyond */
/* What HTTP lets in: a client that is over the limit still gets a Status. */
#define BODY_READ_MAX (16 * 1024 * 1024)
/* Smaller collections keep the trees of their objects until the next tick. */
#define SERVER_COMPACT_FROM 512
#define REVISION_WAIT_MS 3000 /* 2.6: a list at a future revision */

struct webhooks;
struct policies;
struct aggregator;
struct metrics;
struct crds;
struct namespaces;
struct expirer;
struct backend;
struct token_cache;
struct quotas;
struct services;
struct signer;
struct deadlines;
struct roles;
struct accounts;
struct converter;
struct flow;
struct audit;
struct rev_wait;

struct apiserver {
	struct loop *loop;
	struct store *store;
	struct registry *registry;
	struct bucket **buckets; /* by storage */
	size_t n_buckets, cap_buckets;
	struct pki pki;
	char *data_dir, *kubeconfig;
	int port;
	bool bare, stopping;
	struct http_server *http;
	node_proxy_fn *node_proxy;
	void *node_proxy_arg;
	struct discovery *discovery;
	struct openapi *openapi;
	struct metrics *metrics;
	struct webhooks *webhooks;
	struct policies *policies;
	struct aggregator *aggregator;
	struct crds *crds;
	struct backend *backends; /* backend.h */
	struct namespaces *namespaces;
	struct expirer *expirer;
	struct watch *watches; /* every open watch */
	struct rev_wait *waits;
	/* The line of the newest change, as all plain watchers of one resource get it. */
	struct str line;
	uint64_t line_rev;
	struct resource *line_res; /* compared only */
	struct loop_timer
		*tick;    /* bookmarks, history, trees: only while somebody watches or something changed */
	unsigned commits; /* queued in the store */
	struct commit *pending; /* those of a shared store */
	uint64_t tokens_given;
	char *shared_pki;    /* as the shared store has it; NULL: not yet */
	struct reset *reset; /* everything is being read anew */
	char *service_host;  /* our endpoint of Service kubernetes */
	struct token_cache *tokens;
	struct roles *roles;         /* roles.h */
	struct accounts *accounts;   /* accounts.h; NULL: bare */
	struct quotas *quotas;       /* quota.h; NULL: switched off */
	struct services *services;   /* service.h; NULL: none was written yet */
	struct signer *signer;       /* signer.h; NULL: bare */
	struct converter *converter; /* convert.h; NULL: not needed yet */
	unsigned plugins_off;        /* plugins.h */
	struct flow *flow;           /* flow.h */
	struct deadlines *deadlines; /* deadline.h */
	struct audit *audit;         /* NULL: nobody wants it */
};

/* ---- buckets (server.c) ---- */
struct bucket *server_bucket(struct apiserver *s, const char *storage); /* made if absent */
struct bucket *server_bucket_of(struct apiserver *s, struct resource *r);
void server_end_watches(struct apiserver *s, const char *storage); /* the resource is no longer served */
/* Shorthand for internal lookups: the built-in resource's stored object as acknowledged. */
const struct obj *server_get(struct apiserver *s, const char *storage, const char *key);
const struct kind *server_resource_kind(struct apiserver *s, const char *group, const char *plural);
uint64_t server_revision(const struct apiserver *s);
int server_load(struct apiserver *s, struct err *e);
void server_store_key(const struct bucket *b, const char *key, struct str *out);
/* A deleted object as watchers see it: the last state, with the revision of its deletion. */
struct obj *server_last_state(const struct obj *old, uint64_t rev);

/* ---- committing (commit.c) ---- */
typedef void commit_fn(void *arg, const struct obj *o, const struct err *e);
/* Queues the draft (taken) as the new state of key, which is at revision `expect` now (bucket_latest()). done() comes after
 * memory and watchers have it, with the stored object. */
void server_put(struct apiserver *s, struct bucket *b, struct json_doc *draft, uint64_t expect,
	commit_fn *done, void *arg);
/* Removes; done() gets the last state, with the deletion's revision. */
void server_remove(struct apiserver *s, struct bucket *b, const struct obj *old, commit_fn *done, void *arg);
/* apiVersion, kind, metadata first: lists cut the first two off by that. */
void server_normalize(struct json_doc *d);
/* Makes an object of the server's own unless it exists (queued counts). doc: whole object, taken. */
void server_make(struct apiserver *s, const char *group, const char *plural, struct json_doc *doc);
/* For write_env.get. */
const struct obj *server_env_get(
	const struct write_env *env, const char *group, const char *plural, const char *key);
void server_after_change(struct apiserver *s); /* housekeeping is due some time */
/* Calls back when the revision has been reached or after REVISION_WAIT_MS (false). Returns a handle to cancel with. */
typedef void rev_wait_fn(void *arg, bool reached);
struct rev_wait *server_wait_revision(struct apiserver *s, uint64_t rev, rev_wait_fn *fn, void *arg);
void server_wait_cancel(struct rev_wait *w);
void server_wake_waits(struct apiserver *s);
/* ---- a store that other servers write to, too (store.h) ---- */
/* Revisions of writes under way are not known: bucket_latest() gives a token instead, good for server_put() alone. What needs
 * the object as it will be stored waits for the key: fn(arg, true) when its present write is settled. */
struct rev_wait *server_wait_key(
	struct apiserver *s, struct bucket *b, const char *key, rev_wait_fn *fn, void *arg);
/* fn(arg, false) after a while. */
struct rev_wait *server_wait_pause(struct apiserver *s, int64_t ms, rev_wait_fn *fn, void *arg);
bool server_pending(const struct apiserver *s, const struct bucket *b, const char *key);
/* fn(arg, true) when memory has everything acknowledged by any server before this call; false: it could not be found out. NULL,
 * and no call: it is always so. */
struct rev_wait *server_wait_sync(struct apiserver *s, rev_wait_fn *fn, void *arg);
void server_forget_pending(struct apiserver *s); /* writes that were never answered; frees them, at the end */
void server_follow(struct apiserver *s);         /* takes what others write; before server_load() */

/* ---- the same object in another version of its resource (present.c) ---- */
/* Referenced; usually the object itself. */
struct obj *object_present(struct resource *r, const struct obj *o);
/* The other way, for a draft in r's version. */
void object_to_stored(struct apiserver *s, struct resource *r, struct json_doc *d);

/* ---- request handling ---- */
void server_http(void *arg, struct http_req *h);
bool health_serve(
	struct apiserver *s, struct request *r, const char *path); /* health.c; false: not its path */
void server_serve(void *arg, struct request *r);                   /* front.c: everything starts here */
/* handler.c: authenticated, admitted and authorized. */
void server_route(struct apiserver *s, struct request *r, const struct reqinfo *i);
void server_read(struct apiserver *s, struct request *r, struct resource *res,
	const struct reqinfo *i); /* read.c: get, list */
void server_watch(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i); /* watch.c */
void server_watches_end(struct apiserver *s);
void server_watches_expire(struct apiserver *s); /* with 410: their clients list anew */
void server_watches_tick(struct apiserver *s, int64_t now_mono);
void server_connect(struct apiserver *s, struct request *r, struct resource *res, const char *ns,
	const char *name, const char *sub); /* connect.c: pods/proxy, services/proxy, nodes/proxy */
void server_write(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i); /* write.c */
/* The object as the client wants it: JSON, YAML, Table, metadata only. */
void reply_object(
	struct apiserver *s, struct request *r, struct resource *res, int status, const struct obj *o);
/* What the client asked for and the resource can be (a CR can not be protobuf, its metadata can); fails the request (406) and
 * returns -1 if nothing fits. */
enum shape { SHAPE_JSON, SHAPE_TABLE, SHAPE_METADATA, SHAPE_YAML, SHAPE_PROTOBUF, SHAPE_METADATA_PROTOBUF };
int request_shape(struct request *r, const struct resource *res, bool list, enum shape *ret);
enum table_include request_include(const struct request *r);
/* {kind: PartialObjectMetadata, ...} */
void metadata_only(const struct obj *o, struct str *out);

void server_random(struct apiserver *s, void *buf, size_t n);
