/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/image.h - disk images that came from outside: what they are, without trusting what they say. */
#pragma once

#include "base/err.h"
#include "qemu/vm_config.h"

struct image {
	char *path; /* real path; image_done() frees */
	enum vm_format format;
	uint64_t virtual_size;
	bool block_device;
};
void image_done(struct image *i);

/* The disk of a container disk: `dir` is where its root is mounted, or the disk file itself. path NULL: the only file
 * in dir/disk. Links are followed inside dir only. ERR_INVALID with a reason a user can act on: nothing mounted, no
 * /disk, several files. */
int image_find(const char *dir, const char *path, struct image *ret, struct err *e);
/* Reads the header of an open file. qcow2 only if it names no other file (no backing, no data file) and is not
 * encrypted; other known formats are refused; anything else is raw. */
int image_inspect(int fd, struct image *ret, struct err *e);
