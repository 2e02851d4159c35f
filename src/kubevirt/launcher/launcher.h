/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/launcher.h - one virtual machine and the process that owns it.
 *
 * Waits on launcher.sock for the handler's `start`, prepares disks and network, starts QEMU, follows it to its end,
 * and then ends itself. The only writer of the VM's directory. QEMU and passt are its children and die with it. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "qemu/accel.h"

struct launcher_spec {
	const char *dir;           /* the VM's own, made with mode 0700 if absent */
	const char *socket;        /* NULL: launcher.sock in dir */
	bool allow_emulation;      /* as HOST.allowEmulation */
	const char *qemu;          /* NULL: qemu-system-x86_64 */
	const char *kvm;           /* NULL: /dev/kvm */
	accel_measure_fn *measure; /* NULL: the real one */
};
struct launcher;
int launcher_new(struct loop *l, const struct launcher_spec *spec, struct launcher **ret, struct err *e);
void launcher_free(struct launcher *l);
/* Graceful end, as by SIGTERM; loop_stop() follows. */
void launcher_terminate(struct launcher *l);
/* After the loop stopped: 0 after Succeeded or when there was no guest, else 1. */
int launcher_status(const struct launcher *l);
