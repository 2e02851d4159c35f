/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/listopts.h - the options of list, watch and deletecollection, read and checked
 * (kubernetes-api.md 2.5-2.7). */
#pragma once

#include "api/selector.h"
#include "platform/kinds/registry.h"
#include "platform/request/reqinfo.h"
#include "platform/request/request.h"

enum rv_match { RV_MATCH_NONE, RV_MATCH_EXACT, RV_MATCH_NOT_OLDER };
struct listopts {
	struct selector *labels;       /* NULL: all */
	struct field_selector *fields; /* NULL: all */
	char *prefix;                  /* of keys: "ns/" or "" */
	bool has_rv;
	uint64_t rv;
	enum rv_match match;
	int64_t limit; /* 0: none */
	bool has_continue;
	uint64_t cont_rv; /* 0: inconsistent, from wherever we are */
	char *cont_key;   /* next key; NULL without continue */
	/* watch */
	int64_t timeout_s; /* 0: not given */
	bool bookmarks;
	int initial; /* sendInitialEvents: -1 not given, 0, 1 */
};
/* On failure the request is answered. */
int listopts_read(
	struct request *r, struct resource *res, const struct reqinfo *i, bool watch, struct listopts *ret);
void listopts_done(struct listopts *o);
bool listopts_match(const struct listopts *o, const struct obj *obj); /* selectors only */
bool listopts_selects(const struct listopts *o);                      /* there are selectors */
char *continue_token(uint64_t rv, const char *key);                   /* caller frees */
