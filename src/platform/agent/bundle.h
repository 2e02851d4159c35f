/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/bundle.h - a bundle in the making: between bundle.c (root and mounts) and bundle_process.c (process, user,
 * capabilities, namespaces, limits). */
#pragma once

#include "platform/agent/impl.h"

struct bundle {
	struct ctr *c;
	const struct json *spec; /* the container's */
	struct json_doc *d;
	struct json *root, *mounts;
	const char *rootfs;
	bool privileged;
	struct strv env;
	int64_t uid, gid;
};
/* Fills /process; sets uid and gid. ERR_INVALID, ERR_NOT_FOUND: the spec asks for what can not be. */
int bundle_process(struct bundle *b, struct err *e);
/* Fills /linux and /hostname. */
int bundle_linux(struct bundle *b, struct err *e);
