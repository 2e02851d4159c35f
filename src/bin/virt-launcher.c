/* SPDX-License-Identifier: Apache-2.0 */
/* virt-launcher - runs one virtual machine; see kubevirt/launcher/launcher.h. The main process of a launcher pod, and
 * usable without any Kubernetes: whoever speaks kubevirt/wire/wire.h on its socket is its handler. */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "kubevirt/launcher/launcher.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DEFAULT_DIR "/var/run/kubevirt/vm"
#define DIR_WAIT_MS 30000 /* for virt-handler to make the directory ours (kubevirt/api/handoff.h) */

struct options {
	const char *dir, *socket, *qemu, *kvm;
	bool allow_emulation, debug, version, help;
};

static const struct option_row {
	const char *name, *value, *help; /* value NULL: a flag */
	size_t at;
} rows[] = {
	{ "--dir", "DIR", "the VM's own directory (" DEFAULT_DIR ")", offsetof(struct options, dir) },
	{ "--socket", "PATH", "where to listen for the handler (DIR/launcher.sock)",
		offsetof(struct options, socket) },
	{ "--allow-emulation", NULL, "run without KVM if need be, however slowly",
		offsetof(struct options, allow_emulation) },
	{ "--qemu", "PATH", "the QEMU to use (qemu-system-x86_64)", offsetof(struct options, qemu) },
	{ "--kvm", "PATH", "the KVM device (/dev/kvm)", offsetof(struct options, kvm) },
	{ "--debug", NULL, "log more", offsetof(struct options, debug) },
	{ "--version", NULL, "print the version", offsetof(struct options, version) },
	{ "--help", NULL, "print this", offsetof(struct options, help) },
};

static int usage(FILE *to)
{
	fprintf(to, "usage: virt-launcher [options]\nRuns one virtual machine and ends with it.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		fprintf(to, "  %-17s %-5s %s\n", rows[i].name, rows[i].value ? rows[i].value : "",
			rows[i].help);
	return to == stdout ? 0 : 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const struct option_row *row = rows;
		size_t len = strcspn(argv[i], "=");

		while (row < rows + ARRAY_LEN(rows) &&
			(strlen(row->name) != len || strncmp(row->name, argv[i], len) != 0))
			row++;
		if (row == rows + ARRAY_LEN(rows) || (!row->value && argv[i][len]) ||
			(row->value && !argv[i][len] && i + 1 >= argc)) {
			fprintf(stderr, "virt-launcher: can not use \"%s\"\n", argv[i]);
			return false;
		}
		if (!row->value)
			*(bool *)((char *)o + row->at) = true;
		else
			*(const char **)((char *)o + row->at) = argv[i][len] ? argv[i] + len + 1 : argv[++i];
	}
	return true;
}

/* A directory made by the mount belongs to root until virt-handler has seen the pod. */
static void await_dir(const char *dir)
{
	int64_t left, end = time_mono_now() + DIR_WAIT_MS;
	CLEANUP(fd_closep) int fd = inotify_init1(IN_CLOEXEC);
	char buf[1024];

	if (fd < 0 || inotify_add_watch(fd, dir, IN_ATTRIB) < 0)
		return; /* not there yet: we make it */
	while (access(dir, R_OK | W_OK | X_OK) < 0 && (left = end - time_mono_now()) > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, (int)left) > 0 && read(fd, buf, sizeof(buf)) < 0)
			return;
	}
}

int main(int argc, char **argv)
{
	struct options o = { .dir = DEFAULT_DIR };
	struct launcher *l;
	struct loop *loop;
	struct err e;
	int status;

	if (!parse(argc, argv, &o))
		return usage(stderr);
	if (o.help)
		return usage(stdout);
	if (o.version) {
		puts("virt-launcher " CORACLE_VERSION);
		return 0;
	}
	log_init("virt-launcher", o.debug ? LOG_DEBUG : LOG_INFO);
	await_dir(o.dir);
	loop = loop_new();
	if (launcher_new(loop,
		    &(struct launcher_spec){ .dir = o.dir,
			    .socket = o.socket,
			    .allow_emulation = o.allow_emulation,
			    .qemu = o.qemu,
			    .kvm = o.kvm },
		    &l, &e) < 0) {
		log_error("%s", e.msg);
		loop_free(loop);
		return 2;
	}
	loop_run(loop);
	status = launcher_status(l);
	launcher_free(l);
	loop_free(loop);
	return status;
}
