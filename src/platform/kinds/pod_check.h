/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/pod_check.h - what kube-apiserver finds wrong with a PodSpec beyond types and names of containers, in its words.
 * Pure: a tree in, causes out. */
#pragma once

#include "api/status.h"
#include "base/json.h"

/* Of a new pod or of any template; `at` is the path of the spec. */
void pod_check(const struct json *spec, const char *at, struct causes *c);
/* A port by number (1 to 65535) or by name, as probes and services have them. */
void port_check(const struct json *port, const char *at, struct causes *c);
/* Each value of a map of labels that selects something. */
void selector_values_check(const struct json *labels, const char *at, struct causes *c);
#define DNS_LABEL_TEXT                                                                                    \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must " \
	"start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "    \
	"validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define DNS_SUBDOMAIN_TEXT                                                                                \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " \
	"and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "      \
	"validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
