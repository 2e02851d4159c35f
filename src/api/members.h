/* SPDX-License-Identifier: Apache-2.0 */
/* api/members.h - looking up members of one object many times: a sorted index where the object is large. For the walks over
 * two trees in this room, which would else take quadratic time on a large map. */
#pragma once

#include "base/json.h"

/* Changing a map of n members by a patch of m costs n times m, which is refused beyond this. */
#define MEMBERS_WORK_MAX 200000000

bool members_too_many(
	const struct json *map, const struct json *patch, struct err *e); /* true: ERR_TOO_LARGE */

struct member {
	const char *key;
	size_t len;
	struct json *v;
};
struct members {
	const struct json *obj;
	struct member *sorted; /* NULL: small, looked through */
	size_t n;
};
/* obj may be NULL or no object: then nothing is found. Not to be changed meanwhile. */
void members_init(struct members *m, const struct json *obj);
void members_done(struct members *m);
struct json *members_get(const struct members *m, const char *key, size_t len);
