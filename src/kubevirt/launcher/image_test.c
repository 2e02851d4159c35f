/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "kubevirt/launcher/fat.h"
#include "kubevirt/launcher/seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir {
	char path[64];
};

static int set_up(void **state)
{
	struct dir *d = MEM_NEW(struct dir);

	snprintf(d->path, sizeof(d->path), "/tmp/image-test-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	*state = d;
	return 0;
}

static int tear_down(void **state)
{
	struct dir *d = *state;

	file_remove_tree(d->path, NULL);
	free(d);
	return 0;
}

static void put(const struct dir *d, const char *name, const void *data, size_t len)
{
	CLEANUP(mem_freep) char *path = file_join(d->path, name), *parent = mem_strdup(path);
	struct err e;

	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdirs(parent, 0755, &e), 0);
	assert_int_equal(file_write(path, data, len, 0644, &e), 0);
}

static void put_raw(const struct dir *d, const char *name)
{
	static const char zeros[1024];

	put(d, name, zeros, sizeof(zeros));
}

static void put_qcow2(const struct dir *d, const char *name, size_t at, unsigned char value)
{
	unsigned char h[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

	h[28] = 2; /* 32 MiB */
	if (at)
		h[at] = value;
	put(d, name, h, sizeof(h));
}

static void refused(const struct dir *d, const char *path, const char *part)
{
	struct image i = { 0 };
	struct err e;

	assert_int_equal(image_find(d->path, path, &i, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_null(i.path);
	if (!strstr(e.msg, part))
		fail_msg("\"%s\" is not in \"%s\"", part, e.msg);
}

static void the_only_file_under_disk_is_the_disk(void **state)
{
	struct dir *d = *state;
	struct image i = { 0 };
	struct err e;

	put_qcow2(d, "disk/alpine.qcow2", 0, 0);
	assert_int_equal(image_find(d->path, NULL, &i, &e), 0);
	assert_int_equal(i.format, VM_QCOW2);
	assert_true(i.virtual_size == 32 << 20);
	assert_true(str_ends(i.path, "/disk/alpine.qcow2"));
	image_done(&i);
}

static void a_path_names_another(void **state)
{
	struct dir *d = *state;
	struct image i = { 0 };
	struct err e;

	put_raw(d, "images/a.raw");
	put_raw(d, "images/b.raw");
	assert_int_equal(image_find(d->path, "/images/b.raw", &i, &e), 0);
	assert_int_equal(i.format, VM_RAW);
	assert_true(i.virtual_size == 1024);
	image_done(&i);
	refused(d, "/images/c.raw", "/images/c.raw in the image: No such file");
	refused(d, "images", "not a regular file");
}

static void a_file_may_stand_for_the_whole_image(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep) char *path = file_join(d->path, "disk/x.raw");
	struct image i = { 0 };
	struct err e;

	put_raw(d, "disk/x.raw");
	assert_int_equal(image_find(path, NULL, &i, &e), 0);
	assert_string_equal(i.path, path);
	image_done(&i);
}

static void images_that_are_no_container_disks_say_why(void **state)
{
	struct dir *d = *state;
	struct dir nothing = { "/nonexistent/image" };

	refused(&nothing, NULL, "not mounted");
	refused(d, NULL, "no directory /disk");
	put_raw(d, "disk/sub/x");
	refused(d, NULL, "not a regular file");
	put_raw(d, "disk/a");
	put_raw(d, "disk/b");
	refused(d, NULL, "3 files in /disk");
}

static void an_empty_disk_directory_says_so(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep) char *path = file_join(d->path, "disk");

	assert_int_equal(mkdir(path, 0755), 0);
	refused(d, NULL, "empty");
}

/* A link in an image must not reach the launcher's own files. */
static void links_do_not_leave_the_image(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep)
	char *dir = file_join(d->path, "disk"), *link = file_join(d->path, "disk/x"),
	     *up = file_join(d->path, "up");

	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	refused(d, NULL, "No such file");
	assert_int_equal(symlink("../../../../../../etc/passwd", up), 0);
	refused(d, "/up", "No such file");
	refused(d, "/../../../etc/passwd", "No such file");
}

static void images_that_name_other_files_are_refused(void **state)
{
	struct dir *d = *state;

	put_qcow2(d, "disk/x", 15, 1); /* backing_file_offset */
	refused(d, NULL, "backing file");
	put_qcow2(d, "disk/x", 79, 4); /* incompatible_features: external data */
	refused(d, NULL, "another file");
	put_qcow2(d, "disk/x", 35, 1); /* crypt_method */
	refused(d, NULL, "encrypted");
	put_qcow2(d, "disk/x", 7, 9);
	refused(d, NULL, "version 9");
	put(d, "disk/x", "KDMV0123", 8);
	refused(d, NULL, "vmdk");
	put(d, "disk/x", "hi", 2);
	refused(d, NULL, "only 2 bytes");
}

/* ---- seeds ---- */

/* mtools reads what we wrote: an opinion other than ours. NULL: no mtools here. */
static char *with_mtools(const struct dir *d, const char *tool, const char *name)
{
	CLEANUP(mem_freep) char *img = file_join(d->path, "seed.img");
	char *argv[] = { (char *)tool, "-i", img, (char *)name, NULL };
	struct str out = { 0 };
	struct err e;

	if (!file_exists("/usr/bin/mtype"))
		return NULL;
	if (proc_wait(argv, &out, &e) < 0)
		fail_msg("%s", e.msg);
	return str_take(&out);
}

static void make_seed(struct dir *d, enum volume_kind kind, const char *user, const char *net)
{
	struct domain dom = {
		.name = "vm", .ns = "ns", .uuid = "5d307ca9-b3ef-428c-8861-06e72d69f223", .hostname = "host-1"
	};
	struct domain_disk k = { .kind = kind,
		.user_data = user,
		.user_data_len = strlen(user),
		.network_data = net,
		.network_data_len = net ? strlen(net) : 0 };
	CLEANUP(str_done) struct str img = { 0 };
	struct err e;

	assert_int_equal(seed_image(&dom, &k, &img, &e), 0);
	put(d, "seed.img", img.data, img.len);
}

/* qemu.md 16.61 */
static void a_no_cloud_seed_holds_its_files(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep) char *meta = NULL, *user = NULL, *net = NULL;

	make_seed(d, VOL_NO_CLOUD, "#cloud-config\nusers: []\n", "version: 2\n");
	meta = with_mtools(d, "mtype", "::/meta-data");
	if (!meta)
		skip();
	user = with_mtools(d, "mtype", "::/user-data");
	net = with_mtools(d, "mtype", "::/network-config");
	assert_non_null(strstr(meta, "\"instance-id\": \"5d307ca9-b3ef-428c-8861-06e72d69f223\""));
	assert_non_null(strstr(meta, "\"local-hostname\": \"host-1\""));
	assert_string_equal(user, "#cloud-config\nusers: []\n");
	assert_string_equal(net, "version: 2\n");
}

static void a_config_drive_has_its_tree(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep) char *meta = NULL, *user = NULL;

	make_seed(d, VOL_CONFIG_DRIVE, "data", NULL);
	meta = with_mtools(d, "mtype", "::/openstack/latest/meta_data.json");
	if (!meta)
		skip();
	user = with_mtools(d, "mtype", "::/openstack/latest/user_data");
	assert_non_null(strstr(meta, "\"instance_id\": \"vm.ns\""));
	assert_string_equal(user, "data");
}

static void a_large_file_survives_and_too_large_is_refused(void **state)
{
	struct dir *d = *state;
	CLEANUP(mem_freep) char *big = mem_alloc(FAT_IMAGE_MAX + 2), *back = NULL;
	struct fat_file f = { "user-data", big, FAT_IMAGE_MAX };
	CLEANUP(str_done) struct str img = { 0 };
	size_t len;
	struct err e;

	for (size_t i = 0; i < FAT_IMAGE_MAX + 1; i++)
		big[i] = (char)('a' + (i * 7 + i / 2048) % 26);
	big[3000000] = '\0';
	make_seed(d, VOL_NO_CLOUD, big, NULL);
	if (file_exists("/usr/bin/mcopy")) {
		CLEANUP(mem_freep)
		char *seed = file_join(d->path, "seed.img"), *copy = file_join(d->path, "copy");
		char *argv[] = { "mcopy", "-i", seed, "::/user-data", copy, NULL };

		assert_int_equal(proc_wait(argv, NULL, &e), 0);
		assert_int_equal(file_read(copy, FAT_IMAGE_MAX, &back, &len, &e), 0);
		assert_int_equal(len, 3000000);
		assert_string_equal(back, big);
	}
	assert_int_equal(fat_image("X", &f, 1, &img, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void the_same_files_give_the_same_bytes(void **state)
{
	struct fat_file f[] = { { "a", "1", 1 }, { "d/e/a-name-longer-than-thirteen-characters", "2", 1 } };
	CLEANUP(str_done) struct str a = { 0 }, b = { 0 };
	struct err e;

	assert_int_equal(fat_image("cidata", f, 2, &a, &e), 0);
	assert_int_equal(fat_image("cidata", f, 2, &b, &e), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	assert_true(a.len >= FAT_IMAGE_MIN);
	assert_memory_equal(a.data + 43, "CIDATA     ", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_only_file_under_disk_is_the_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_path_names_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_may_stand_for_the_whole_image, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			images_that_are_no_container_disks_say_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_empty_disk_directory_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_do_not_leave_the_image, set_up, tear_down),
		cmocka_unit_test_setup_teardown(images_that_name_other_files_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_no_cloud_seed_holds_its_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_config_drive_has_its_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_large_file_survives_and_too_large_is_refused, set_up, tear_down),
		cmocka_unit_test(the_same_files_give_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
