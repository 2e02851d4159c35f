/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/fat.h - a small read-only FAT12 image with long names, for cloud-init seeds (qemu.md 14: FAT is
 * enough for NoCloud, no ISO writer needed). Sectors of 2048 bytes, so that it mounts from a CD-ROM as well as from a
 * disk. A pure function: the same files give the same bytes. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define FAT_IMAGE_MIN (1u << 20)
#define FAT_IMAGE_MAX (8u << 20) /* what 4084 clusters of 2 KiB hold */

struct fat_file {
	const char *path; /* "meta-data", "openstack/latest/user_data": ASCII, at most 255 a component */
	const void *data;
	size_t len;
};
/* label: up to 11 characters, upper-cased. ERR_TOO_LARGE beyond FAT_IMAGE_MAX. */
int fat_image(const char *label, const struct fat_file *files, size_t n, struct str *out, struct err *e);
