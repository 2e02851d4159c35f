/* SPDX-License-Identifier: Apache-2.0 */
/* platform/auth/accounts.h - Secrets of type kubernetes.io/service-account-token: each is filled with a token of the account
 * that its annotation names, and goes with that account (what kube-controller-manager's token controller does; old manifests
 * and CI systems make such Secrets). */
#pragma once

#include "platform/auth/auth.h"

struct accounts;
struct accounts *accounts_new(struct auth *auth);
void accounts_free(struct accounts *a); /* NULL is fine */

#define ACCOUNT_SECRET_TYPE "kubernetes.io/service-account-token"
#define ACCOUNT_NAME_NOTE "kubernetes.io/service-account.name"
#define ACCOUNT_UID_NOTE "kubernetes.io/service-account.uid"
