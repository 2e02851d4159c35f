/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/instance.h - one data directory is one instance: who runs in it, and that nobody else does. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

#define INSTANCE_DIR_DEFAULT "/var/lib/coracle"
#define INSTANCE_ETC_DIR "/etc/coracle" /* kubeconfig of the default directory */
#define INSTANCE_LOCK "lock"

/* Locks DIR/lock until the descriptor is closed or the process ends; children do not inherit it. ERR_CONFLICT, with the other's
 * pid in the text, if somebody else runs there. */
int instance_lock(const char *data_dir, int *ret_fd, struct err *e);
/* What `status`, `down` and the next up are told; written into the lock file. */
int instance_tell(int lock_fd, int port, const char *version, struct err *e);

struct instance {
	bool running;
	pid_t pid;      /* 0: locked, but nothing told yet */
	uint64_t start; /* proc_start_time() */
	int port;
	char version[64];
};
/* Only looks. */
void instance_look(const char *data_dir, struct instance *ret);
/* Sends the signal to exactly that process. ERR_NOT_FOUND: it is gone. */
int instance_signal(const struct instance *i, int sig, struct err *e);
/* Waits until nobody holds the lock. false: still somebody after timeout_ms. */
bool instance_wait_gone(const char *data_dir, int timeout_ms);

/* Was this directory made by us? Guards removal. */
bool instance_is_ours(const char *data_dir);
/* Removes the directory. One that somebody began to delete by hand, so that nothing there is of `coracle up` alone, may be
 * somebody else's by now: of that only what we make, and itself if nothing is left in it. None there: fine. */
int instance_remove(const char *data_dir, struct err *e);
/* Absolute, without . and .. and double slashes; links stay as they are. Caller frees. NULL: there is no such path. */
char *instance_path(const char *path);
