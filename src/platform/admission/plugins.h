/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/plugins.h - what the server itself adds to and refuses of writes, under the names that kube-apiserver's
 * admission plugins have (kubernetes-api.md 5.1). Each can be switched off. */
#pragma once

#include "platform/admission/admission.h"

#include <stdarg.h>

/* A write as plug-ins see it. */
struct plugin_write {
	struct admitter *adm;
	struct resource *res;
	const char *ns, *sub; /* "" if none */
	const char *name;     /* NULL: it is in the draft, or going to be made */
	bool created, dry_run;
	const struct obj *old;  /* what it builds on; NULL: nothing */
	struct json_doc *draft; /* NULL: a deletion */
	struct err *err;        /* why not */
};
/* Sets err to the 403. Returns -1. */
int plugin_refuse(const struct plugin_write *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int plugin_refusev(const struct plugin_write *w, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

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
bool plugin_on(const struct admitter *adm, enum plugin p);
/* The draft has its defaults; before webhooks, and again if they changed it: idempotent. 0 or -1 with err. */
int plugins_mutate(const struct plugin_write *w);
/* The object is final. */
int plugins_validate(const struct plugin_write *w);
/* account.c: the volume with the account's token, in every container that has none. */
void account_mount(struct json_doc *draft, const struct json *account);
