/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/seed.h"

#include "kubevirt/launcher/fat.h"

#include <string.h>

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

int seed_image(const struct domain *d, const struct domain_disk *disk, struct str *out, struct err *e)
{
	return disk->kind == VOL_CONFIG_DRIVE ? config_drive(d, disk, out, e) : no_cloud(d, disk, out, e);
}
