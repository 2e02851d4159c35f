/* SPDX-License-Identifier: Apache-2.0 */
/* api/managers.h - metadata.managedFields taken apart: who owns which fields. For the patches of this room. */
#pragma once

#include "api/fieldset.h"
#include "api/patch.h"

struct manager {
	char *name, *operation, *api_version, *subresource, *time;
	struct fset fields;
};
struct managers {
	struct manager *items;
	size_t n, cap;
};
void managers_done(struct managers *m);
/* list: metadata.managedFields or NULL; entries that cannot be read are left out. */
void managers_read(struct managers *m, const struct json *list);
/* Sets or, when nobody owns anything, removes metadata.managedFields of o. */
void managers_write(struct managers *m, struct json_doc *d, struct json *o);
/* NULL if there is none. For "Apply" the version does not matter. */
struct manager *managers_find(const struct managers *m, const char *name, const char *operation,
	const char *api_version, const char *subresource);
struct manager *managers_add(struct managers *m, const char *name, const char *operation,
	const char *api_version, const char *subresource);
void manager_touch(struct manager *m, int64_t now_ms);
/* Takes what the server or the URL decides out of a set: names, uid, versions, managedFields; and what the endpoint does not
 * write: all but the status through "status", the status through every other. */
void managers_strip(struct fset *s, const char *subresource);
