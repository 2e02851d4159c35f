/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/reqinfo.h - what a request is about, read from method, path and query alone (kubernetes-api.md 1.1). This is
 * what authorization decides on and the handler routes by. */
#pragma once

#include "platform/request/request.h"

struct reqinfo {
	bool resource_request; /* else: only verb (lower-case method) and path count */
	const char *verb;      /* get list watch create update patch delete deletecollection */
	const char *path;
	const char *group, *version, *plural; /* "" group: core */
	const char *ns, *name, *sub;          /* NULL if absent. sub: first segment */
	const char *sub_rest; /* what follows the first segment of sub, with its slash, or NULL */
	bool old_watch; /* the deprecated /api/v1/watch/...: a watch of what follows, of name alone if given */
};
/* reqinfo_free() frees it. */
struct reqinfo *reqinfo_new(const struct request *r);
void reqinfo_free(struct reqinfo *i);
/* Read once; the request keeps it as long as it lives. */
const struct reqinfo *request_info(struct request *r);
/* The parameter is there and neither "0" nor "false". */
bool query_true(const struct request *r, const char *name);
