/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/firmware.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define CHUNK (64 * 1024)
#define VARS_MAX (256ll << 20)

static const struct {
	enum vm_arch arch;
	const char *code, *vars;
} places[] = {
	{ VM_AARCH64, "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd" },
	{ VM_AARCH64, "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
		"/usr/share/edk2/aarch64/vars-template-pflash.raw" },
};

bool firmware_needed(enum vm_arch arch)
{
	return arch == VM_AARCH64;
}

int firmware_find(enum vm_arch arch, const char **ret_code, const char **ret_vars, struct err *e)
{
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (places[i].arch != arch)
			continue;
		if (!first)
			first = places[i].code;
		if (!file_exists(places[i].code) || !file_exists(places[i].vars))
			continue;
		*ret_code = places[i].code;
		*ret_vars = places[i].vars;
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "no UEFI firmware for %s is installed here (%s)", vm_arch_name(arch),
		first ? first : "none is known");
}

static bool all_zero(const char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static int copy(int in, int out, struct err *e)
{
	CLEANUP(mem_freep) char *buf = mem_alloc(CHUNK);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(in, buf, CHUNK, at)) > 0) {
		if (!all_zero(buf, (size_t)n) && pwrite(out, buf, (size_t)n, at) != n)
			return err_sys(e, "writing the firmware's variables");
		at += n;
	}
	if (n < 0 || ftruncate(out, at) < 0)
		return err_sys(e, "copying the firmware's variables");
	return 0;
}

int firmware_copy_vars(const char *from, const char *to, struct err *e)
{
	CLEANUP(fd_closep) int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_closep) int out = -1;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(e, "opening \"%s\"", from);
	if (st.st_size > VARS_MAX)
		return err_set(e, ERR_TOO_LARGE, "\"%s\" is larger than any firmware", from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(e, "making \"%s\"", to);
	return copy(in, out, e);
}
