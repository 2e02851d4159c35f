/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/configs.h - how an API server is told about virt-api: webhook configurations and APIServices, made from the
 * table of hooks. For the operator, which installs them. kubevirt-api.md 2, 5; operator.md 1.6. */
#pragma once

#include "kubevirt/webhook/review.h"

/* MutatingWebhookConfiguration virt-api-mutator, ValidatingWebhookConfiguration virt-api-validator or virt-operator-validator,
 * by side. ns: install namespace; ca_b64: CA bundle, PEM in base64. service NULL: virt-api, which answers all of them. */
struct json *webhook_config_render(
	struct json_doc *d, enum hook_side side, const char *ns, const char *service, const char *ca_b64);
/* APIService v1.subresources.kubevirt.io or v1alpha3. */
struct json *apiservice_render(struct json_doc *d, const char *version, const char *ns, const char *ca_b64);
