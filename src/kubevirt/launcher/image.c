/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/image.h"

#include "base/mem.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QCOW2_DATA_FILE (1u << 2) /* incompatible feature: the data is in another file */

void image_done(struct image *i)
{
	free(TAKE(i->path));
}

static uint64_t be(const unsigned char *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static int inspect_qcow2(const unsigned char *h, size_t len, struct image *ret, struct err *e)
{
	uint32_t version = (uint32_t)be(h + 4, 4);

	if (len < 72 || (version != 2 && version != 3))
		return err_set(
			e, ERR_INVALID, "a qcow2 image of version %u, only 2 and 3 are known", version);
	if (be(h + 8, 8))
		return err_set(e, ERR_INVALID, "the qcow2 image has a backing file, which is not allowed");
	if (be(h + 32, 4))
		return err_set(e, ERR_INVALID, "the qcow2 image is encrypted");
	if (version == 3 && len >= 80 && (be(h + 72, 8) & QCOW2_DATA_FILE))
		return err_set(e, ERR_INVALID,
			"the qcow2 image keeps its data in another file, which is not allowed");
	ret->format = VM_QCOW2;
	ret->virtual_size = be(h + 24, 8);
	return 0;
}

int image_inspect(int fd, struct image *ret, struct err *e)
{
	static const struct {
		const char *magic, *name;
	} refused[] = { { "KDMV", "vmdk" }, { "vhdxfile", "vhdx" }, { "<<< ", "vdi" }, { "QED", "qed" },
		{ "conectix", "vpc" }, { "# Disk DescriptorFile", "vmdk" } };
	unsigned char head[104] = { 0 };
	ssize_t n = pread(fd, head, sizeof(head), 0);
	struct stat st;

	if (n < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "reading the image");
	if (n >= 4 && !memcmp(head, "QFI\xfb", 4))
		return inspect_qcow2(head, (size_t)n, ret, e);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if ((size_t)n >= strlen(refused[i].magic) &&
			!memcmp(head, refused[i].magic, strlen(refused[i].magic)))
			return err_set(e, ERR_INVALID,
				"a disk image of format %s: only raw and qcow2 are supported",
				refused[i].name);
	if (st.st_size < 512)
		return err_set(e, ERR_INVALID, "the disk image has only %lld bytes", (long long)st.st_size);
	ret->format = VM_RAW;
	ret->virtual_size = (uint64_t)st.st_size;
	return 0;
}

/* Opens below root, never leaving it whatever links say. */
static int open_inside(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	while (*path == '/')
		path++;
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The one file of a directory. */
static int only_file(int dir_fd /* taken */, char ret[256], struct err *e)
{
	DIR *d = fdopendir(dir_fd);
	struct dirent *ent;
	struct str seen = { 0 };
	int n = 0, r = 0;

	if (!d) {
		close(dir_fd);
		return err_sys(e, "reading /disk");
	}
	while ((ent = readdir(d))) {
		if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
			continue;
		if (++n <= 4)
			str_addf(&seen, "%s%s", n > 1 ? ", " : "", ent->d_name);
		str_copy(ret, 256, ent->d_name);
	}
	closedir(d);
	if (n == 0)
		r = err_set(e, ERR_INVALID, "the image's directory /disk is empty: it must hold the disk");
	else if (n > 1)
		r = err_set(e, ERR_INVALID,
			"the image has %d files in /disk (%s%s): name one by containerDisk.path", n,
			str_cstr(&seen), n > 4 ? ", ..." : "");
	str_done(&seen);
	return r;
}

static int finish(int fd, struct image *ret, struct err *e)
{
	struct image found = { 0 };
	char link[64], real[4096];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "reading the image");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "it is not a regular file");
	if (image_inspect(fd, &found, e) < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof(real) - 1);
	if (n < 0)
		return err_sys(e, "finding the image's path");
	real[n] = '\0';
	found.path = mem_strdup(real);
	*ret = found;
	return 0;
}

static int open_disk(int root, const char *path, int *ret_fd, struct err *e)
{
	char name[256], rel[300];
	int fd;

	if (!path) {
		fd = open_inside(root, "disk", O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			return err_set(e, ERR_INVALID,
				"the image has no directory /disk: it is not a container disk");
		if (only_file(fd, name, e) < 0)
			return -1;
		snprintf(rel, sizeof(rel), "disk/%s", name);
		path = rel;
	}
	fd = open_inside(root, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, ERR_INVALID, "opening /%s in the image: %s", path + strspn(path, "/"),
			strerror(errno));
	*ret_fd = fd;
	return 0;
}

int image_find(const char *dir, const char *path, struct image *ret, struct err *e)
{
	CLEANUP(fd_closep) int root = open(dir, O_RDONLY | O_CLOEXEC | O_NONBLOCK), fd = -1;
	struct stat st;

	if (root < 0 || fstat(root, &st) < 0)
		return err_set(
			e, ERR_INVALID, "the image is not mounted at \"%s\": %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return finish(root, ret, e);
	if (open_disk(root, path, &fd, e) < 0)
		return -1;
	return finish(fd, ret, e);
}
