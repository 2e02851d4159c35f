/* SPDX-License-Identifier: Apache-2.0 */
/* coracle doctor: what this host has, tried out where trying is the only way to know, and what to do about what it lacks. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "bin/coracle.h"
#include "platform/agent/agent.h"
#include "platform/up/instance.h"
#include "qemu/accel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_WARN_MIB 5120 /* images and overlays of a few guests */
#define DISK_FAIL_MIB 512
#define MEMORY_WARN_MIB 2048
#define PROC_FILE_MAX 65536

enum verdict { OK, WARN, FAIL };
struct doctor {
	const struct args *args;
	unsigned counts[3];
};

/* todo NULL: nothing */
static void report(struct doctor *d, enum verdict v, const char *what, const char *todo, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static void report(struct doctor *d, enum verdict v, const char *what, const char *todo, const char *fmt, ...)
{
	static const char *const words[] = { "ok  ", "warn", "FAIL" };
	va_list ap;

	d->counts[v]++;
	printf("%s  %-12s ", words[v], what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (v != OK && todo)
		printf("      %-12s -> %s\n", "", todo);
}

/* First line of what it prints; false if it can not be run. */
static bool first_line(char *const *argv, struct str *ret)
{
	char *end;

	if (proc_wait(argv, ret, NULL) < 0)
		return false;
	end = ret->data ? strchr(ret->data, '\n') : NULL;
	if (end)
		*end = 0;
	return true;
}

/* ---- guests ---- */
static void check_kvm(struct doctor *d)
{
	static const char *const todo[] = {
		[ACCEL_USABLE] = NULL,
		[ACCEL_SLOW] = "KVM is emulated itself here; guests run, slower with it than without: they "
			       "are run without",
		[ACCEL_BROKEN] = "the hypervisor below lets no guest run; turn on nested virtualization "
				 "there. Guests are emulated",
		[ACCEL_ABSENT] = "load kvm_intel or kvm_amd; if that fails, turn virtualization on in the "
				 "firmware. Guests are emulated",
		[ACCEL_DENIED] = "run as root, or give /dev/kvm to your group. Guests are emulated",
		[ACCEL_HUNG] = "the hypervisor below hangs when a guest runs; do not use KVM there. Guests "
			       "are emulated",
	};
	struct accel_result r;

	accel_probe_wait("/dev/kvm", NULL, &r);
	report(d, r.verdict == ACCEL_USABLE ? OK : WARN, "KVM", todo[r.verdict], "%s: %s",
		accel_name(r.verdict), r.text);
}

static void check_qemu(struct doctor *d)
{
	static const char *const devices[] = { "virtio-mem-pci", "virtio-blk-pci", "virtio-net-pci",
		"virtio-scsi-pci", "virtio-balloon-pci", "pcie-root-port", NULL };
	CLEANUP(str_done) struct str version = { 0 }, list = { 0 }, lacking = { 0 };

	if (!first_line((char *const[]){ "qemu-system-x86_64", "--version", NULL }, &version)) {
		report(d, FAIL, "QEMU", "install qemu-system-x86", "qemu-system-x86_64 can not be run");
		return;
	}
	proc_wait((char *const[]){ "qemu-system-x86_64", "-device", "help", NULL }, &list, NULL);
	for (size_t i = 0; devices[i]; i++) {
		CLEANUP(mem_freep) char *name = str_printf("name \"%s\"", devices[i]);

		if (!strstr(str_cstr(&list), name))
			str_addf(&lacking, " %s", devices[i]);
	}
	report(d, lacking.len ? FAIL : OK, "QEMU",
		"install the distribution's qemu-system-x86 with all its parts", "%s%s%s", str_cstr(&version),
		lacking.len ? "; lacks" : "", str_cstr(&lacking));
}

/* ---- pods ---- */
static void check_cgroups(struct doctor *d)
{
	bool v2 = file_exists("/sys/fs/cgroup/cgroup.controllers");
	bool hybrid = file_exists("/sys/fs/cgroup/unified/cgroup.controllers");
	bool v1 = file_exists("/sys/fs/cgroup/memory/memory.limit_in_bytes");

	if (v2)
		report(d, OK, "cgroups", NULL, "version 2");
	else if (v1)
		report(d, OK, "cgroups", NULL, hybrid ? "version 1 and 2 (hybrid)" : "version 1");
	else
		report(d, FAIL, "cgroups",
			"mount the cgroup file system, with the memory and cpu controllers",
			"no memory controller at /sys/fs/cgroup");
}

static void check_runtime(struct doctor *d)
{
	CLEANUP(mem_freep) char *dir = str_printf("/tmp/coracle-doctor-%d", (int)getpid());
	CLEANUP(mem_freep) char *name = NULL;
	struct err e = { 0 };

	if (file_mkdirs(dir, 0700, &e) == 0 && agent_runtime_try(dir, &name, &e) == 0)
		report(d, OK, "OCI runtime", NULL, "%s has run a container", name);
	else
		report(d, FAIL, "OCI runtime", "install crun or runc; as root", "%s", e.msg);
	file_remove_tree(dir, NULL);
}

static void check_program(
	struct doctor *d, enum verdict without, char *const *argv, const char *package, const char *what_for)
{
	CLEANUP(str_done) struct str line = { 0 };
	CLEANUP(mem_freep) char *todo = str_printf("install %s", package);

	if (first_line(argv, &line))
		report(d, OK, argv[0], NULL, "%s", str_cstr(&line));
	else
		report(d, without, argv[0], todo, "can not be run; %s", what_for);
}

static void check_programs(struct doctor *d)
{
	check_program(d, WARN, (char *const[]){ "skopeo", "--version", NULL }, "skopeo",
		"images of registries, container disks among them, can not be fetched");
	check_program(d, WARN, (char *const[]){ "umoci", "--version", NULL }, "umoci",
		"images can not be unpacked");
	check_program(d, FAIL, (char *const[]){ "qemu-img", "--version", NULL }, "qemu-utils",
		"guests' disks can not be made");
	check_program(d, WARN, (char *const[]){ "passt", "--version", NULL }, "passt",
		"guests use QEMU's own user network instead");
	check_program(d, FAIL, (char *const[]){ "ip", "-Version", NULL }, "iproute2", "pods have no network");
	check_program(d, WARN, (char *const[]){ "nft", "--version", NULL }, "nftables",
		"pods can not reach other hosts");
	check_program(d, FAIL, (char *const[]){ "unshare", "--version", NULL }, "util-linux",
		"pods have no network");
}

/* ---- this host ---- */
static void check_port(struct doctor *d)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)d->args->port) };
	struct instance i;
	int on = 1;

	instance_look(d->args->data_dir, &i);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (i.running && i.port == d->args->port)
		report(d, OK, "port", NULL, "%d is this instance's own (pid %d)", i.port, (int)i.pid);
	else if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		report(d, OK, "port", NULL, "%d is free", d->args->port);
	else
		report(d, i.running ? WARN : FAIL, "port",
			"give up another one: coracle up --port N; `ss -tlnp` tells whose it is", "%d: %s",
			d->args->port, strerror(errno));
}

/* Of the directory, or of what it would be made in. */
static void check_disk(struct doctor *d)
{
	CLEANUP(mem_freep) char *path = mem_strdup(d->args->data_dir);
	struct statvfs st;
	long long mib;

	while (statvfs(path, &st) < 0 && path[1]) {
		char *slash = strrchr(path, '/');

		slash[slash == path] = 0;
	}
	mib = (long long)st.f_bavail * (long long)st.f_frsize / (1 << 20);
	report(d,
		mib < DISK_FAIL_MIB   ? FAIL
		: mib < DISK_WARN_MIB ? WARN
				      : OK,
		"disk",
		"images and guests' disks go below the data directory: make room, or choose another "
		"--data-dir",
		"%lld MiB free for %s", mib, d->args->data_dir);
}

static void check_memory(struct doctor *d)
{
	CLEANUP(mem_freep) char *text = NULL;
	const char *line;
	long long mib = 0;

	if (file_read("/proc/meminfo", PROC_FILE_MAX, &text, NULL, NULL) == 0 &&
		(line = strstr(text, "MemAvailable:")))
		mib = strtoll(line + strlen("MemAvailable:"), NULL, 10) / 1024;
	report(d, mib < MEMORY_WARN_MIB ? WARN : OK, "memory",
		"guests need what their manifests say, and some more", "%lld MiB available", mib);
}

int cmd_doctor(const struct args *a)
{
	struct doctor d = { .args = a };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() == 0)
		report(&d, OK, "user", NULL, "root");
	else
		report(&d, FAIL, "user", "run coracle up, and this, as root", "uid %d", (int)geteuid());
	check_kvm(&d);
	check_qemu(&d);
	check_cgroups(&d);
	check_runtime(&d);
	check_programs(&d);
	check_port(&d);
	check_disk(&d);
	check_memory(&d);
	printf("\n%u ok, %u warnings, %u failures\n", d.counts[OK], d.counts[WARN], d.counts[FAIL]);
	if (d.counts[FAIL])
		printf("coracle up will not work here before the failures are seen to.\n");
	return d.counts[FAIL] ? 1 : 0;
}
