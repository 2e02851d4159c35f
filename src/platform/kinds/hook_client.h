/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/hook_client.h - what may be said of how a webhook is reached: clientConfig of webhook configurations and of
 * conversions, the versions of reviews it understands, and what it is asked about. In Kubernetes' words. */
#pragma once

#include "api/status.h"

#define HOOK_KEY_TEXT                                                                                      \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with " \
	"an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "          \
	"validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

/* at: path of the clientConfig. */
void hook_client_check(const struct json *client, const char *at, struct causes *c);
/* none: what is said if there are none; NULL: nothing more than that it is required. */
/* RuleWithOperations: which requests are meant. at: path of the list. */
void hook_rules_check(const struct json *rules, const char *at, struct causes *c);
/* What is wrong with a label selector; NULL is none. */
void hook_selector_check(const struct json *selector, const char *at, struct causes *c);
void hook_versions_check(const struct json *versions, const char *at, const char *none, struct causes *c);
