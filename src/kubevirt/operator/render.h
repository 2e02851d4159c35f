/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/render.h - every object that an installation consists of, as data. Pure: the same target and settings give
 * the same objects. operator.md 2.3, 2.7; kubevirt-api.md 2, 5, 10. */
#pragma once

#include "api/kind.h"
#include "kubevirt/operator/target.h"

/* In the order of installation; workloads come in the order of operator.md 2.4 by the operator itself. */
enum stage {
	STAGE_CRD,
	STAGE_RBAC,
	STAGE_SERVICE,
	STAGE_WEBHOOK,
	STAGE_API,
	STAGE_CONTROLLER,
	STAGE_HANDLER,
	STAGE_MAX
};

struct rendered {
	const struct kind *kind;
	enum stage stage;
	char *key; /* "ns/name" or "name" */
	struct json *o;
};
struct rendering {
	struct json_doc *doc; /* owns every o */
	struct rendered *items;
	size_t len, cap;
};
struct render_in {
	const struct operator_settings *settings;
	const struct target *target;
	const struct json *cr;
	const char *ca_b64; /* CA bundle, PEM in base64; for webhooks and APIServices */
	size_t nodes;       /* schedulable ones: 1 node, 1 replica */
};
void render_install(const struct render_in *in, struct rendering *ret);
void rendering_done(struct rendering *r);

/* What has to be there before the operator can run, for `virt-operator --print-manifest`: namespace, CRD kubevirts, priority
 * class, accounts, roles, the operator's Deployment. A stream of YAML documents. */
void render_manifest(const struct operator_settings *s, struct str *out);
/* The KubeVirt CR Coracle installs: the user guide's JSON patches need its two empty objects. */
void render_cr(const struct operator_settings *s, struct str *out);

/* ---- shared by the render_*.c files ---- */
/* JSON from a printf format in which ' stands for "; inserted texts must not hold quotes (they are checked names). */
struct json *render_lit(struct json_doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void render_add(struct rendering *r, const struct kind *k, enum stage stage, struct json *o);
/* Labels and annotations every managed object carries (operator.md 2.5, 2.7). */
void render_mark(struct json_doc *d, struct json *o, const struct render_in *in);
void render_rbac(const struct render_in *in, struct rendering *r);
void render_workloads(const struct render_in *in, struct rendering *r);
/* Rules of the operator: its own and the union of all it grants. */
struct json *render_operator_rules(struct json_doc *d);
