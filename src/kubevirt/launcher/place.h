/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/place.h - disk images on volumes: made where there is none, and given to the user that QEMU
 * runs as. Done as root, by an init container of the launcher pod or by an attachment pod, before QEMU opens
 * them. kubevirt-api.md 9. */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define PLACE_RESERVE 131072   /* bytes of a volume that are not given to the image */
#define PLACE_TOLERATED_PCT 10 /* by so much an image may be smaller than it was asked to be */

/* The image at path becomes a regular file of uid. size > 0: made, sparse and of whole MiB, if it is not there;
 * its size fits the file system, up to PLACE_TOLERATED_PCT less than wanted. 0: it has to be there. A block
 * device is left as it is. No links are followed. */
int place_disk(const char *path, uint64_t size, int uid, struct err *e);
/* What room there is for an image that should have `wanted` bytes. ERR_TOO_LARGE with numbers. */
int place_size(uint64_t wanted, uint64_t available, uint64_t *ret, struct err *e);
