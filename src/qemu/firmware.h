/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/firmware.h - UEFI for machines that have no other firmware (qemu.md 13): where distributions put it, and
 * the VM's own copy of its variables. */
#pragma once

#include "base/err.h"
#include "qemu/vm_config.h"

/* Does a machine of this architecture start without it? Then there is nothing to find. */
bool firmware_needed(enum vm_arch arch);
/* *ret_code: static text. NOT_FOUND names what is missing. */
int firmware_find(enum vm_arch arch, const char **ret_code, const char **ret_vars, struct err *e);
/* Leaves out what is zero: variables are a flash of 64 MiB with next to nothing in it. */
int firmware_copy_vars(const char *from, const char *to, struct err *e);
