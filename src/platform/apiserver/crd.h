/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/crd.h - CustomResourceDefinitions: checked, and served from the moment their write is acknowledged
 * (kubernetes-api.md 4). */
#pragma once

#include "platform/apiserver/write.h"

#define CRD_STORAGE "apiextensions.k8s.io/customresourcedefinitions"
#define CRD_FINALIZER "customresourcecleanup.apiextensions.k8s.io"

struct crds *crds_new(struct apiserver *s); /* registers what is stored, follows what changes */
void crds_free(struct crds *c);
/* For a draft of a CRD: what is wrong with it; then the status the server gives it. */
void crd_check(struct op *op, struct causes *c);
void crd_prepare(struct op *op);
/* A definition went: those whose names clashed with it may be good now. */
void crd_reconsider(struct apiserver *s);
bool crd_terminating(struct apiserver *s, const struct resource *res);
