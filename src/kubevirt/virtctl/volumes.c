/* SPDX-License-Identifier: Apache-2.0 */
/* addvolume and removevolume: kubevirt-api.md 10. */
#include <stdio.h>

#include "api/status.h"
#include "base/http.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/virtctl/virtctl.h"

#define SUB_PATH "/apis/subresources.kubevirt.io/v1/namespaces/"
#define DATA_VOLUMES "/apis/cdi.kubevirt.io/v1beta1/namespaces/"

static const char *disk_type(const struct virtctl *v)
{
	return v->disk_type ? v->disk_type : "disk";
}

static void put_disk(const struct virtctl *v, struct json_doc *d, struct json *o)
{
	struct json *disk = json_need_obj(d, o, "disk"), *device = json_need_obj(d, disk, disk_type(v));

	json_set_str(d, disk, "name", v->disk_name ? v->disk_name : v->volume);
	json_set_str(d, device, "bus", v->bus ? v->bus : "scsi");
	if (!str_eq(disk_type(v), "cdrom"))
		json_set_str(d, disk, "serial", v->serial ? v->serial : v->volume);
	if (!str_eq(v->cache, "default"))
		json_set_str(d, disk, "cache", v->cache);
}

void volumes_request(const struct virtctl *v, bool data_volume, struct str *body)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *source;

	json_set_str(d, o, "name", v->volume);
	if (str_eq(v->command, "addvolume")) {
		put_disk(v, d, o);
		if (v->disk_name)
			json_set_str(d, o, "name", v->disk_name);
		source = json_need_obj(d, json_need_obj(d, o, "volumeSource"),
			data_volume ? "dataVolume" : "persistentVolumeClaim");
		json_set_str(d, source, data_volume ? "name" : "claimName", v->volume);
		json_set_bool(d, source, "hotpluggable", true);
	}
	if (v->dry_run)
		json_append_str(d, json_need_arr(d, o, "dryRun"), "All");
	json_write_to(o, body);
}

static void sub_path(const struct virtctl *v, const struct kind *k, struct str *path)
{
	str_add(path, SUB_PATH);
	url_encode(v->ns, path);
	str_addf(path, "/%s/", k->plural);
	url_encode(v->args[0], path);
	str_addf(path, "/%s", v->command);
}

static int put(struct virtctl *v, const struct kind *k, const struct str *body, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 }, answer = { 0 };
	int status;

	sub_path(v, k, &path);
	if (kube_raw_wait(v->client, "PUT", path.data, "application/json", body->data, body->len, &status,
		    &answer, e) < 0)
		return -1;
	return virtctl_check_status(status, &answer, e);
}

/* A DataVolume of that name, else a claim. */
static int find_source(struct virtctl *v, bool *ret_data_volume, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 }, answer = { 0 };
	struct obj *claim = NULL;
	int status;

	str_add(&path, DATA_VOLUMES);
	url_encode(v->ns, &path);
	str_add(&path, "/datavolumes/");
	url_encode(v->volume, &path);
	*ret_data_volume =
		kube_raw_wait(v->client, "GET", path.data, NULL, NULL, 0, &status, &answer, e) == 0 &&
		status == 200;
	if (*ret_data_volume)
		return 0;
	if (kube_get_wait(v->client, &kind_pvc, v->ns, v->volume, &claim, e) < 0) {
		if (e->code == ERR_NOT_FOUND)
			err_set(e, ERR_NOT_FOUND, "Volume %s is not a DataVolume or PersistentVolumeClaim",
				v->volume);
		return -1;
	}
	obj_unref(claim);
	return 0;
}

int volumes_run(struct virtctl *v, struct err *e)
{
	CLEANUP(str_done) struct str body = { 0 };
	bool adding = str_eq(v->command, "addvolume"), data_volume = false;

	if (adding && find_source(v, &data_volume, e) < 0)
		return err_wrap(e, "error adding volume");
	volumes_request(v, data_volume, &body);
	/* One that no VM stands behind is asked itself. */
	if (put(v, &kind_vm, &body, e) < 0 && (e->code != ERR_NOT_FOUND || put(v, &kind_vmi, &body, e) < 0))
		return err_wrap(e, "error %s volume", adding ? "adding" : "removing");
	printf("Successfully submitted %s volume request to VM %s for volume %s%s\n",
		adding ? "add" : "remove", v->args[0], v->volume, v->dry_run ? " (dry run)" : "");
	return 0;
}
