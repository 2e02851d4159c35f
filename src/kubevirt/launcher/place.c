/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/place.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1ull << 20)

int place_size(uint64_t wanted, uint64_t available, uint64_t *ret, struct err *e)
{
	uint64_t room = available > PLACE_RESERVE ? available - PLACE_RESERVE : 0;

	if (wanted > room && room / 100 < wanted / 100 * (100 - PLACE_TOLERATED_PCT) / 100)
		return err_set(e, ERR_TOO_LARGE, "%llu bytes are wanted, there is room for %llu",
			(unsigned long long)wanted, (unsigned long long)room);
	if (wanted > room)
		wanted = room;
	if (wanted < MIB)
		return err_set(e, ERR_INVALID, "a disk of %llu bytes: at least 1Mi is needed",
			(unsigned long long)wanted);
	*ret = wanted / MIB * MIB;
	return 0;
}

/* Under another name first: an image that is there is whole, whenever this is interrupted. */
static int make_image(const char *path, uint64_t wanted, int uid, struct err *e)
{
	CLEANUP(mem_freep) char *tmp = str_printf("%s.new", path), *dir = mem_strdup(path);
	CLEANUP(fd_closep) int fd = -1;
	struct statvfs st;
	uint64_t size = 0;

	*strrchr(dir, '/') = '\0';
	if (statvfs(*dir ? dir : "/", &st) < 0)
		return err_sys(e, "looking at %s", dir);
	if (place_size(wanted, (uint64_t)st.f_bavail * st.f_frsize, &size, e) < 0)
		return err_wrap(e, "making %s", path);
	unlink(tmp);
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_sys(e, "making %s", path);
	if (fchown(fd, (uid_t)uid, (gid_t)uid) < 0 && errno != EPERM)
		return err_sys(e, "owner of %s", path);
	/* not rename(): another pod may have been faster */
	if (link(tmp, path) < 0 && errno != EEXIST && rename(tmp, path) < 0)
		return err_sys(e, "making %s", path);
	unlink(tmp);
	log_info("made %s of %llu MiB", path, (unsigned long long)(size / MIB));
	return 0;
}

int place_disk(const char *path, uint64_t size, int uid, struct err *e)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT && size)
		return make_image(path, size, uid, e);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "opening %s", path);
	if (S_ISBLK(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s is no disk image", path);
	/* A server that lets nobody change owners may have given it to the right one already. */
	if (st.st_uid != (uid_t)uid && fchown(fd, (uid_t)uid, (gid_t)uid) < 0)
		log_warn("%s can not be given to user %d: %s", path, uid, strerror(errno));
	else if ((st.st_mode & 0600) != 0600 && fchmod(fd, st.st_mode | 0600) < 0)
		log_warn("mode of %s: %s", path, strerror(errno));
	return 0;
}
