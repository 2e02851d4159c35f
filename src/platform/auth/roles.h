/* SPDX-License-Identifier: Apache-2.0 */
/* platform/auth/roles.h - aggregated ClusterRoles: their stored rules follow the roles that their selectors select
 * (kubernetes-api.md 5.2). What is allowed does not wait for that: rbac.c looks at the selected roles themselves. */
#pragma once

#include "platform/objects/objects.h"

struct roles;
struct roles *roles_new(struct objects *objects);
void roles_free(struct roles *r); /* NULL is fine */
/* The rules of a role, aggregated ones as of now, appended to list. */
void role_rules(struct objects *objects, const struct obj *role, struct json_doc *d, struct json *list);
