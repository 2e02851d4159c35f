/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/webhook.h - the configured webhooks, ready to be matched. Between webhook.c (configurations, matching) and
 * admission.c (calling them). */
#pragma once

#include "api/selector.h"
#include "platform/admission/admission.h"
#include "platform/admission/conditions.h"

struct hook {
	unsigned refs;
	char *name;
	bool mutating, ignore_failure, equivalent, reinvoke, dry_run_ok;
	int timeout_ms;
	struct json_doc *doc; /* the webhook's own entry, for its rules */
	struct selector *namespaces, *objects;
	struct match_conditions *conditions; /* NULL: none */
	/* where it is */
	char *url; /* or */
	char *service_ns, *service, *path;
	int port;
	char *ca_pem;
};
struct webhooks {
	struct admitter *adm;
	struct bucket_watch watches[2]; /* mutating, validating configurations */
	bool stale;
	struct hook **hooks[2];
	size_t n[2];
};
struct webhooks *webhooks_new(struct admitter *adm); /* follows the webhook configurations */
void webhooks_free(struct webhooks *w);

void hook_unref(struct hook *h);
/* The hooks of a kind in calling order, up to date. Borrowed until the next turn. */
struct hook **webhooks_list(struct admitter *adm, bool mutating, size_t *ret_n);

bool webhooks_any(struct admitter *adm, bool mutating); /* is there any of the kind? */

/* What is matched, and as which version the hook wants it. */
struct hook_subject {
	struct admitter *adm;
	struct resource *res;
	const char *sub, *operation, *ns;
	const struct json *object, *old; /* either may be NULL */
};
/* The resource whose version to send, or NULL: not for this hook. */
struct resource *hook_matches(const struct hook *h, const struct hook_subject *subject);
