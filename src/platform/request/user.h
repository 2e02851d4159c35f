/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/user.h - who asks, as authentication has found out. */
#pragma once

#include "base/json.h"
#include "base/str.h"

#define USER_ANONYMOUS "system:anonymous"
#define GROUP_AUTHENTICATED "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"
#define GROUP_MASTERS "system:masters"

struct user {
	char *name, *uid;
	struct strv groups;
	/* "key=value" pairs, keys lower case, several values: several items */
	struct strv extra;
};
void user_done(struct user *u);
void user_copy(struct user *to, const struct user *from);
bool user_in(const struct user *u, const char *group);
/* {username, uid, groups, extra} */
void user_to_json(struct json_doc *d, struct json *to, const struct user *u);
