/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/certs.h - the certificates of an installation: one CA, a few leaves, a bundle of every CA still valid.
 * operator.md 1.1 (durations), 2.3 step 6. Plans Secrets and the ConfigMap; reads them through the look. */
#pragma once

#include "kube/controller.h"
#include "kubevirt/operator/target.h"

#define CERT_CA_MS (168 * 3600 * 1000LL)
#define CERT_LEAF_MS (24 * 3600 * 1000LL)
#define CERT_RENEW_PERCENT 20 /* of the lifetime left: time for a new one */
#define CERT_BUNDLE_MAX 5     /* CAs kept in the bundle */

/* Makes what is missing, expired soon or broken. *ret_ca_b64 (caller frees) is the bundle for webhooks and APIServices. */
int certs_ensure(const struct look *l, const struct operator_settings *s, const struct json *cr,
	struct plan *out, char **ret_ca_b64, struct err *e);
