/* SPDX-License-Identifier: Apache-2.0 */
/* virtctl expand: a VM as it is without instance type and preference, both applied. */
#include <stdio.h>
#include <string.h>

#include "api/meta.h"
#include "base/file.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/virtctl/virtctl.h"

#define PATH "/apis/subresources.kubevirt.io/v1/namespaces/"
#define FILE_MAX (4 * 1024 * 1024)

/* A namespace in the file counts unless another one is given. */
static int read_vm(const char *file, const char *ns, struct str *path, struct str *body, struct err *e)
{
	CLEANUP(mem_freep) char *text = NULL;
	size_t len;

	if (file_read(str_eq(file, "-") ? "/dev/stdin" : file, FILE_MAX, &text, &len, e) < 0)
		return -1;
	CLEANUP(json_doc_freep) struct json_doc *d = yaml_parse(text, len, e);
	if (!d)
		return err_wrap(e, "%s", file);
	const char *own = meta_str(json_root(d), "namespace");
	str_add(path, PATH);
	url_encode(*own ? own : ns, path);
	str_add(path, "/expand-vm-spec");
	json_write_to(json_root(d), body);
	return 0;
}

int expand_run(struct virtctl *v, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 }, body = { 0 }, answer = { 0 }, out = { 0 };
	int status;

	if (v->file) {
		if (read_vm(v->file, v->ns, &path, &body, e) < 0)
			return -1;
	} else {
		str_add(&path, PATH);
		url_encode(v->ns, &path);
		str_addf(&path, "/%s/", kind_vm.plural);
		url_encode(v->vm, &path);
		str_add(&path, "/expand-spec");
	}
	if (kube_raw_wait(v->client, v->file ? "PUT" : "GET", path.data, v->file ? "application/json" : NULL,
		    v->file ? body.data : NULL, body.len, &status, &answer, e) < 0 ||
		virtctl_check_status(status, &answer, e) < 0)
		return err_wrap(e, "Error expanding VirtualMachine %s", v->file ? v->file : v->vm);
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(str_cstr(&answer), answer.len, e);
	if (!d)
		return -1;
	json_remove(
		json_get(json_root(d), "metadata"), "managedFields"); /* who wrote what is of no use here */
	if (str_eq(v->output, "json")) {
		CLEANUP(mem_freep) char *pretty = json_write_pretty(json_root(d), NULL);
		puts(pretty);
	} else {
		yaml_write(json_root(d), &out);
		fputs(str_cstr(&out), stdout);
	}
	return 0;
}
