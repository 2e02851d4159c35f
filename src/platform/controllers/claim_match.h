/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/claim_match.h - which volume suits a claim, and the objects that tie the two together. Pure; the rules of
 * Kubernetes' persistent volumes: class, mode, access modes, size, selector, and a volume kept for a claim by its claimRef. */
#pragma once

#include "api/obj.h"

#define PROVISIONER_LOCAL "coracle.dev/local-path"
#define STORAGE_CLASS_LOCAL "local-path"
#define FINALIZER_PVC "kubernetes.io/pvc-protection"
#define FINALIZER_PV "kubernetes.io/pv-protection"
#define FINALIZER_LOCAL "coracle.dev/local-volume" /* its directory is still there */
#define ANN_PROVISIONED_BY "pv.kubernetes.io/provisioned-by"
#define ANN_BOUND "pv.kubernetes.io/bind-completed"
#define ANN_BOUND_BY_US "pv.kubernetes.io/bound-by-controller"
#define ANN_SELECTED_NODE "volume.kubernetes.io/selected-node"
#define ANN_DEFAULT_CLASS "storageclass.kubernetes.io/is-default-class"

/* Is the volume's claimRef about this very claim? Without uid it is kept for any claim of that name. */
bool volume_is_for(const struct json *pv, const struct obj *claim);
/* Could the claim be given this volume, which nobody has? */
bool volume_suits(const struct json *pv, const struct json *claim);
int64_t volume_bytes(const struct json *pv);
/* Drafts of both sides, tied. */
void volume_tie(struct json_doc *d, struct json *pv, const struct obj *claim);
void claim_tie(struct json_doc *d, struct json *claim, const struct obj *pv);
/* The volume made for a claim on a node: a directory of its own below dir. class: the StorageClass. */
struct json_doc *volume_render(
	const struct obj *claim, const struct json *class, const char *node, const char *dir);
