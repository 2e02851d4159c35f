/* SPDX-License-Identifier: Apache-2.0 */
/* platform/callout/callout.h - where a webhook is, admission's or conversion's: a service or a URL, as a clientConfig says. */
#pragma once

#include "platform/callout/backend.h"

struct callout {
	const char *url; /* or */
	const char *service_ns, *service, *path;
	int port;
	const char *ca_pem; /* NULL: the system's */
};
/* Texts are borrowed from the clientConfig; *ret_pem owns the decoded CA. */
void callout_read(const struct json *client_config, struct callout *ret, struct str *ret_pem);
/* Who to ask, and with which path ("?timeout=" included; the caller frees). NULL with e. */
struct backend *callout_backend(
	struct callouts *out, const struct callout *c, int timeout_s, char **ret_path, struct err *e);
