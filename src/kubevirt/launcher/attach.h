/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/attach.h - what an attachment pod runs: opens the disk of the volume that the pod has, and
 * hands it to the launcher of the VM whose directory is mounted here (offer-disk in kubevirt/wire/wire.h). As
 * long as the pod is there the volume stays mounted on the node. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct attach_spec {
	const char *socket; /* the launcher's */
	const char *id;     /* name of this pod */
	const char *file;   /* image or block device; made as place_disk() does */
	uint64_t size;
	bool readonly;
	int uid; /* whose it becomes */
};
/* Blocks until the launcher has it. UNREACHABLE: it is not there (yet). The connection is the caller's: the launcher ends it
 * when it has let go of the disk. */
int attach_offer(const struct attach_spec *s, int *ret_conn, struct err *e);
/* Repeats that until it is done, and again some time after the launcher has let go, until the end (SIGTERM): a volume that is
 * wanted again when it was just being given up has the same pod. Returns the exit status. */
int attach_run(const struct attach_spec *s);
