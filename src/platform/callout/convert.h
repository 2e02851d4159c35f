/* SPDX-License-Identifier: Apache-2.0 */
/* platform/callout/convert.h - objects in another version of their resource (kubernetes-api.md 4). With the strategy None, and
 * for the built-in kinds, that is done on the spot (versions.c); with Webhook the definition's webhook is asked, in batches,
 * and what it said of a stored object is remembered. */
#pragma once

#include "platform/callout/backend.h"
#include "platform/request/request.h"

#define CONVERT_TIMEOUT_S 30
#define CONVERT_BATCH 500                     /* objects in one review */
#define CONVERT_BATCH_BYTES (2 * 1024 * 1024) /* and their size, but for a single one */
#define CONVERTED_MAX 4096                    /* remembered, of all definitions */

/* The object in r's version, on the spot: referenced, usually the object itself. */
struct obj *object_present(struct resource *r, const struct obj *o);
/* The other way, for a draft in r's version. */
void object_to_stored(const struct registry *g, struct resource *r, struct json_doc *d);

/* Does a webhook convert the resource's objects? */
bool convert_remote(const struct resource *r);
/* "group/version" that objects of r, a custom resource, are stored in. buf of KIND_API_VERSION_MAX. */
const char *convert_storage(const struct resource *r, char *buf);
bool convert_is_in(const struct obj *o, const char *api_version);
/* The object in r's version as far as nobody has to be asked: referenced; NULL: the webhook has to be. */
struct obj *convert_known(struct callouts *out, struct resource *r, const struct obj *o);

struct convert;
/* objs[i] stands for the i-th object given, in the version asked for; borrowed. Or e says why not. */
typedef void convert_fn(void *arg, struct obj *const *objs, const struct err *e);
/* Asks for those that are not known; fn is called in a later turn, once. fresh: objects that are not stored (nothing is
 * remembered of them). */
struct convert *convert_start(struct callouts *out, struct resource *r, const char *api_version,
	const struct obj *const *objs, size_t n, bool fresh, convert_fn *fn, void *arg);
void convert_cancel(struct convert *c); /* NULL is fine */
/* What the stored object is in r's version. */
void convert_note(
	struct callouts *out, struct resource *r, const struct obj *stored, const struct obj *in_version);
void convert_forget(struct callouts *out, const char *storage); /* the definition changed */
void converter_free(struct callouts *out);

/* fn with the object in res' version: now or later; a request that fails in between is answered, one whose client goes away is
 * forgotten. */
typedef void convert_then_fn(
	void *arg, struct request *r, struct resource *res, int status, const struct obj *o);
void convert_then(struct callouts *out, struct request *r, struct resource *res, int status,
	const struct obj *o, convert_then_fn *fn, void *arg);
