/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/plugins.h - what the server itself adds to and refuses of writes, under the names that kube-apiserver's
 * admission plugins have (kubernetes-api.md 5.1). Each can be switched off. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct apiserver;
struct op;

#define PLUGINS(X)                                \
	X(LIFECYCLE, NamespaceLifecycle)          \
	X(ACCOUNT, ServiceAccount)                \
	X(PRIORITY, Priority)                     \
	X(TOLERATION, DefaultTolerationSeconds)   \
	X(STORAGE_CLASS, DefaultStorageClass)     \
	X(LIMITS, LimitRanger)                    \
	X(QUOTA, ResourceQuota)                   \
	X(MUTATING, MutatingAdmissionWebhook)     \
	X(VALIDATING, ValidatingAdmissionWebhook) \
	X(POLICY, ValidatingAdmissionPolicy)
enum plugin {
#define X(id, name) PLUGIN_##id,
	PLUGINS(X)
#undef X
		PLUGIN_MAX
};
/* "A,B" -> a mask of PLUGIN_ bits to be off; an unknown name is ERR_INVALID. NULL and "": none. */
int plugins_parse(const char *list, unsigned *ret_off, struct err *e);
bool plugin_on(const struct apiserver *s, enum plugin p);
/* The draft has its defaults; before webhooks, and again if they changed it: idempotent. 0 or -1 with op->err. */
int plugins_mutate(struct op *op);
/* The object is final. */
int plugins_validate(struct op *op);
