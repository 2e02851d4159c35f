/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/signer.h - CertificateSigningRequests of Kubernetes' own signers, once somebody has approved them, get their
 * certificate from the server's CA; nothing is approved by itself. What a signer may sign is said in the table of signer.c;
 * others get the condition Failed. Not in a bare server: there signing is somebody else's work. */
#pragma once

#include "api/status.h"

#define SIGNER_CLIENT "kubernetes.io/kube-apiserver-client"
#define SIGNER_EXPIRATION_MIN_S 600
#define SIGNER_DAYS 365 /* at most, and where nothing is asked for */

struct apiserver;
struct op;
struct signer;
struct signer *signer_new(struct apiserver *s);
void signer_free(struct signer *g); /* NULL is fine */
/* A new request, as somebody wrote it: what can not be signed by anybody. 0 or -1 with op->err. */
int signer_check(struct op *op);
