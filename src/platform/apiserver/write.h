/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/write.h - one write on its way: create, update, patch, delete. Shared by write*.c. */
#pragma once

#include "api/patch.h"
#include "platform/admission/quota.h"
#include "platform/auth/auth.h"
#include "platform/request/listopts.h"
#include "platform/apiserver/server.h"

#define WRITE_TRIES_MAX 50 /* of a patch that meets other writers */
#define GENERATE_NAME_TRIES_MAX 8

enum op_kind { OP_CREATE, OP_UPDATE, OP_PATCH, OP_DELETE };
enum op_patch { OP_PATCH_JSON, OP_PATCH_MERGE, OP_PATCH_STRATEGIC, OP_PATCH_APPLY };
enum field_validation { FIELDS_IGNORE, FIELDS_WARN, FIELDS_STRICT };

struct op;
typedef void op_done_fn(struct op *op); /* result is in op; frees it */
struct op {
	struct apiserver *s;
	struct request *r; /* NULL: the client is gone, or nobody asked (collections, the server itself) */
	struct resource *res;
	enum op_kind kind;
	char *ns, *name, *key; /* key NULL until the name is known; ns "" for cluster-scoped */
	char *sub;             /* "" or subresource */
	struct user user;
	/* options */
	bool dry_run, force, validation_given;
	enum field_validation validation;
	char *manager;
	enum op_patch patch;
	struct json_doc *
		input; /* body of the request; patches and DeleteOptions too. NULL once it became the draft */
	/* now */
	unsigned stage, tries, name_tries;
	struct obj *old;   /* what it builds on; NULL: create */
	struct obj *seen;  /* the same in the version of the URL */
	struct obj *shown; /* the draft in that version, if a webhook converted it to the stored one */
	struct convert *convert;
	uint64_t old_rev;
	struct json_doc *draft;
	enum delete_outcome outcome; /* deletes, and updates that empty the finalizers (DELETE_NOW) */
	bool same, created, warned, unconditional;
	bool named; /* by who creates it, not by generateName */
	struct admission *admission;
	struct rev_wait *wait;
	struct quota_booking quota;
	struct service_hold *service; /* service.h */
	uint64_t view;                /* server_revision() of what it was refused on */
	bool fresh;                   /* everything others had written before is known */
	struct strv warnings;
	/* result */
	struct causes causes;
	struct err err;
	struct json_doc *status;  /* answered instead of the error */
	const struct obj *result; /* referenced */
	op_done_fn *done;
	void *arg;
};
struct op *op_new(struct apiserver *s, struct resource *res, enum op_kind kind, const struct user *u,
	const char *ns, const char *name);
void op_free(struct op *op);
void op_run(struct op *op); /* to its end or to a point where it waits */
/* The same after another server was quicker for the n-th time: after a pause, so that none is always the slower one. */
void op_run_again(struct op *op, unsigned n);

/* ---- write_input.c: what the client sent; -1 with op->err (and causes) set ---- */
int op_read_options(struct op *op);
int op_read_body(struct op *op);
/* The draft from the input: checked against the URL, unknown fields dropped and noted. old is set for updates and patches. */
int op_make_draft(struct op *op);
/* Reads any accepted body. want may be NULL (DeleteOptions). dups may be NULL. */
int body_decode(struct apiserver *s, struct request *r, struct resource *want, struct json_doc **ret,
	struct strv *dups, struct err *e);
/* Drops what the schema does not know; warns or fails as op->validation says. Checks types, too. */
int op_prune(struct op *op, struct json_doc *d, struct strv *dups);

/* Built-in kinds: fails at the first value of another type than the schema's, before anything takes it for what it is not. */
int op_check_types(struct op *op, const struct json_doc *d);

/* 403 `R.G "name" is forbidden: ...`. Returns -1. */
/* As plug-ins see it; with the draft as it is now. */
struct plugin_write op_plugin_write(struct op *op);
int op_refuse(struct op *op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- special.c: rules of single kinds ---- */
int special_check(struct op *op);   /* before admission: namespaces, service accounts, ... */
int special_prepare(struct op *op); /* the draft is nearly final */

/* ---- escalate.c ---- */
int escalation_check(struct op *op); /* 403 if the draft, a role or binding, grants more than the user has */

/* ---- eviction.c ---- */
void server_evict(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i);

/* ---- write_sub.c ---- */
/* A write whose answer is a Status: bindings, evictions. */
struct op *action_new(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i,
	enum op_kind kind);
void action_done(struct op *op); /* answers and frees */
void server_bind(struct apiserver *s, struct request *r, struct resource *bindings, const struct reqinfo *i);
/* True if the request was one of these and is taken care of: binding, eviction, token. */
bool server_write_action(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i);
struct json_doc *scale_from(const struct resource *res, const struct obj *o, struct err *e);
/* What a scale of it would choke on. */
void scale_validate(const struct resource *res, const struct json *o, struct causes *c);
int scale_into(struct op *op, const struct json *scale); /* op->draft := old with the wanted size */
struct json_doc *scale_applied(
	struct op *op);           /* an applied Scale as the same wish of the whole object; NULL: op->err */
int finalize_into(struct op *op); /* op->draft: old with the finalizers of the body's spec */
int binding_into(struct op *op);  /* op->draft: old on the node of the Binding in op->input */
/* After prepare: what a Binding does to the status, which the main part does not write. */
void binding_status(struct op *op);
