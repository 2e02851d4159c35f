/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/seed.h"

#include "kubevirt/launcher/fat.h"

#include "base/file.h"

#include <string.h>
#include <sys/stat.h>

static int no_cloud(const struct domain *d, const struct domain_disk *k, struct str *out, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
	CLEANUP(mem_freep) char *meta = NULL;
	struct json *o = json_new_obj(doc);
	struct fat_file files[3];
	size_t n = 0;

	json_set_str(doc, o, "instance-id", d->uuid);
	json_set_str(doc, o, "local-hostname", d->hostname);
	meta = json_write_pretty(o, NULL);
	files[n++] = (struct fat_file){ "meta-data", meta, strlen(meta) };
	files[n++] = (struct fat_file){ "user-data", k->user_data ? k->user_data : "", k->user_data_len };
	if (k->network_data)
		files[n++] = (struct fat_file){ "network-config", k->network_data, k->network_data_len };
	return fat_image("CIDATA", files, n, out, e);
}

static int config_drive(const struct domain *d, const struct domain_disk *k, struct str *out, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
	CLEANUP(mem_freep) char *meta = NULL;
	struct json *o = json_new_obj(doc);
	struct fat_file files[3];
	size_t n = 0;

	json_set_strf(doc, o, "instance_id", "%s.%s", d->name, d->ns);
	json_set_str(doc, o, "uuid", d->uuid);
	json_set_str(doc, o, "hostname", d->hostname);
	meta = json_write_pretty(o, NULL);
	files[n++] = (struct fat_file){ "openstack/latest/meta_data.json", meta, strlen(meta) };
	files[n++] = (struct fat_file){ "openstack/latest/user_data", k->user_data ? k->user_data : "",
		k->user_data_len };
	if (k->network_data)
		files[n++] = (struct fat_file){ "openstack/latest/network_data.json", k->network_data,
			k->network_data_len };
	return fat_image("CONFIG-2", files, n, out, e);
}

/* ---- files of a ConfigMap and the like ---- */

static int add_file(const char *dir, const char *name, struct fat_file *to, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(dir, name);
	char *text = NULL;
	size_t len;

	if (file_read(path, FAT_IMAGE_MAX, &text, &len, e) < 0)
		return -1;
	*to = (struct fat_file){ name, text, len };
	return 0;
}

static bool is_file(const char *dir, const char *name)
{
	CLEANUP(mem_freep) char *path = file_join(dir, name);
	struct stat st;

	/* "..data" and the like are how an update is made all at once */
	return !str_starts(name, "..") && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int files_image(const struct domain_disk *k, struct str *out, struct err *e)
{
	struct strv names = { 0 };
	struct fat_file *files;
	size_t n = 0;
	int r = 0;

	if (file_list(k->image_dir, &names, e) < 0)
		return -1;
	if (names.len > SEED_FILES_MAX) {
		r = err_set(
			e, ERR_TOO_LARGE, "%zu files, at most %d are possible", names.len, SEED_FILES_MAX);
		strv_done(&names);
		return r;
	}
	files = mem_zalloc((names.len + 1) * sizeof(*files));
	for (size_t i = 0; i < names.len && !r; i++)
		if (is_file(k->image_dir, names.items[i])) {
			r = add_file(k->image_dir, names.items[i], &files[n], e);
			n += !r;
		}
	if (!r)
		r = fat_image(k->label ? k->label : "cfgdata", files, n, out, e);
	for (size_t i = 0; i < n; i++)
		free((void *)files[i].data);
	free(files);
	strv_done(&names);
	return r;
}

int seed_image(const struct domain *d, const struct domain_disk *disk, struct str *out, struct err *e)
{
	if (disk->kind == VOL_FILES)
		return files_image(disk, out, e);
	return disk->kind == VOL_CONFIG_DRIVE ? config_drive(d, disk, out, e) : no_cloud(d, disk, out, e);
}
