/* SPDX-License-Identifier: Apache-2.0 */
/* virt-launcher - runs one virtual machine; see kubevirt/launcher/launcher.h. The main process of a launcher pod, and
 * usable without any Kubernetes: whoever speaks kubevirt/wire/wire.h on its socket is its handler. */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "kubevirt/api/names.h"
#include "kubevirt/launcher/attach.h"
#include "kubevirt/launcher/launcher.h"
#include "kubevirt/launcher/place.h"
#include "kubevirt/wire/wire.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define DEFAULT_DIR "/var/run/kubevirt/vm"
#define DIR_WAIT_MS 30000 /* for virt-handler to make the directory ours (kubevirt/api/handoff.h) */

struct options {
	char **rest; /* behind --place, --attach */
	size_t n_rest;
	const char *dir, *socket, *qemu, *kvm;
	bool allow_emulation, place, attach, debug, version, help;
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
	{ "--place", NULL, "make disk images instead: pairs PATH BYTES follow",
		offsetof(struct options, place) },
	{ "--attach", NULL, "offer a disk to the launcher of --dir instead: ID FILE BYTES [ro] follow",
		offsetof(struct options, attach) },
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

		if ((o->place || o->attach) && argv[i][0] != '-') {
			o->rest = argv + i;
			o->n_rest = (size_t)(argc - i);
			return true;
		}
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

/* The init container of a launcher pod: kubevirt/launcher/place.h. */
static int place(const struct options *o)
{
	struct err e;

	for (size_t i = 0; i + 1 < o->n_rest; i += 2) {
		uint64_t size;

		if (!str_to_u64(o->rest[i + 1], &size))
			err_set(&e, ERR_BAD_REQUEST, "\"%s\" is no number of bytes", o->rest[i + 1]);
		else if (place_disk(o->rest[i], size, KV_LAUNCHER_UID, &e) == 0)
			continue;
		log_error("%s", e.msg);
		return 1;
	}
	return 0;
}

/* An attachment pod: kubevirt/launcher/attach.h. */
static int attach(const struct options *o)
{
	CLEANUP(mem_freep)
	char *socket = o->socket ? mem_strdup(o->socket) : str_printf("%s/%s", o->dir, WIRE_SOCKET);
	struct attach_spec s = { .socket = socket, .uid = KV_LAUNCHER_UID };

	if (o->n_rest < 3 || !str_to_u64(o->rest[2], &s.size))
		return usage(stderr);
	s.id = o->rest[0];
	s.file = o->rest[1];
	s.readonly = o->n_rest > 3 && str_eq(o->rest[3], "ro");
	return attach_run(&s);
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
	if (o.place)
		return place(&o);
	if (o.attach)
		return attach(&o);
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
