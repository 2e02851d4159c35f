/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/server.h - the server's inside: what its files share. Private to platform/apiserver. */
#pragma once

#include "platform/admission/admission.h"
#include "platform/apiserver/apiserver.h"
#include "platform/auth/accounts.h"
#include "platform/auth/auth.h"
#include "platform/auth/roles.h"
#include "platform/callout/backend.h"
#include "platform/codec/codec.h"
#include "platform/describe/describe.h"
#include "platform/kinds/registry.h"
#include "platform/objects/objects.h"
#include "platform/request/reqinfo.h"
#include "platform/request/request_impl.h"

#define BODY_MAX (3 * 1024 * 1024) /* kubernetes-api.md 2.1: 413 beyond */
/* What HTTP lets in: a client that is over the limit still gets a Status. */
#define BODY_READ_MAX (16 * 1024 * 1024)

struct aggregator;
struct metrics;
struct crds;
struct namespaces;
struct expirer;
struct services;
struct signer;
struct deadlines;
struct flow;
struct audit;

struct apiserver {
	struct loop *loop;
	struct objects *objects; /* with the store and the registry */
	struct auth *auth;
	struct callouts *callouts;
	struct admitter *admitter;
	struct pki pki;
	char *data_dir, *kubeconfig;
	int port;
	bool bare;
	struct http_server *http;
	node_proxy_fn *node_proxy;
	void *node_proxy_arg;
	struct discovery *discovery;
	struct openapi *openapi;
	struct metrics *metrics;
	struct aggregator *aggregator;
	struct crds *crds;
	struct namespaces *namespaces;
	struct expirer *expirer;
	struct watch *watches; /* every open watch */
	/* The line of the newest change, as all plain watchers of one resource get it. */
	struct str line;
	uint64_t line_rev;
	struct resource *line_res; /* compared only */
	struct loop_timer
		*tick;       /* bookmarks, history, trees: only while somebody watches or something changed */
	char *shared_pki;    /* as the shared store has it; NULL: not yet */
	char *service_host;  /* our endpoint of Service kubernetes */
	struct roles *roles; /* roles.h */
	struct accounts *accounts;   /* accounts.h; NULL: bare */
	struct services *services;   /* service.h; NULL: none was written yet */
	struct signer *signer;       /* signer.h; NULL: bare */
	struct flow *flow;           /* flow.h */
	struct deadlines *deadlines; /* deadline.h */
	struct audit *audit;         /* NULL: nobody wants it */
};

void server_after_change(struct apiserver *s); /* housekeeping is due some time */

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

/* ---- reviews: POST only, answered, not stored (review.c) ---- */
void server_review(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i);
void server_token_request(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i);
