/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/shared_pki.h - the certificate authorities and the key of service-account tokens where several
 * servers share a store: kept in it, so that whoever comes later has the same ones without anybody copying files
 * (docs/decisions/0014). */
#pragma once

#include "platform/apiserver/server.h"

bool shared_pki_is(const char *store_key);
/* True if the row is the shared authorities: taken. */
bool shared_pki_take(struct apiserver *s, const char *store_key, const char *value, size_t len);
/* Before pki_load(dir): puts what is shared into dir; or, as the first server, makes it and shares it. Runs the loop. Does
 * nothing where the store is not shared. */
int shared_pki_sync(struct apiserver *s, const char *dir, struct err *e);
