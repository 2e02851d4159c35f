/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are one request. */
#include <stdio.h>
#include <string.h>

#include "api/status.h"
#include "base/http.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/virtctl/virtctl.h"

#define GROUP_PATH "/apis/subresources.kubevirt.io"

static bool is_vmi_verb(const struct virtctl *v)
{
	return v->n_args == 2;
}

static const char *name_of(const struct virtctl *v)
{
	return v->args[v->n_args - 1];
}

static int add_selector(struct json_doc *d, struct json *o, const char *text, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	char *rest = copy;

	for (char *pair; (pair = str_next(&rest, ','));) {
		char *value = pair, *key = str_next(&value, '=');
		if (!value || !*key)
			return err_set(
				e, ERR_BAD_REQUEST, "--addedNodeSelector takes KEY=VALUE, not %s", pair);
		json_set_str(d, json_need_obj(d, o, "addedNodeSelector"), key, value);
	}
	return 0;
}

int verbs_request(const struct virtctl *v, const char *ns, struct str *path, struct str *body, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	str_add(path, GROUP_PATH "/v1/namespaces/");
	url_encode(ns, path);
	str_addf(path, "/%s/", is_vmi_verb(v) ? kind_vmi.plural : kind_vm.plural);
	url_encode(name_of(v), path);
	str_addf(path, "/%s", v->command);
	if (v->paused)
		json_set_bool(d, o, "paused", true);
	if (v->force)
		json_set_i64(d, o, str_eq(v->command, "stop") ? "gracePeriod" : "gracePeriodSeconds",
			v->grace_seconds);
	if (v->dry_run)
		json_append_str(d, json_need_arr(d, o, "dryRun"), "All");
	if (v->node_selector && add_selector(d, o, v->node_selector, e) < 0)
		return -1;
	if (json_len(o))
		json_write_to(o, body);
	return 0;
}

int virtctl_check_status(int status, const struct str *body, struct err *e)
{
	if (status < 300)
		return 0;
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(str_cstr(body), body->len, NULL);
	if (d)
		return status_to_err(json_root(d), status, e);
	return err_set(e, err_from_wire(status, NULL), "the server answered %d: %s", status, str_cstr(body));
}

/* "pausing", "stopping", "migrating": for the error text */
static void gerund(const char *verb, struct str *out)
{
	size_t n = strlen(verb);
	if (verb[n - 1] == 'e')
		str_addf(out, "%.*sing", (int)n - 1, verb);
	else
		str_addf(out, "%s%sing", verb, str_eq(verb, "stop") ? "p" : "");
}

int verbs_run(struct virtctl *v, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 }, body = { 0 }, answer = { 0 }, doing = { 0 };
	int status;

	/* A VM's instance has the VM's name; asking for the VM first gives the better error. */
	if (is_vmi_verb(v) && str_eq(v->args[0], "vm")) {
		struct obj *vm = NULL;
		if (kube_get_wait(v->client, &kind_vm, v->ns, name_of(v), &vm, e) < 0)
			return err_wrap(e, "Error getting VirtualMachine %s", name_of(v));
		obj_unref(vm);
	}
	if (verbs_request(v, v->ns, &path, &body, e) < 0)
		return -1;
	gerund(v->command, &doing);
	if (kube_raw_wait(v->client, "PUT", path.data, "application/json", body.data, body.len, &status,
		    &answer, e) < 0 ||
		virtctl_check_status(status, &answer, e) < 0)
		return err_wrap(e, "Error %s %s %s", doing.data,
			is_vmi_verb(v) ? kind_vmi.kind : kind_vm.kind, name_of(v));
	printf("%s %s was scheduled to %s%s\n", is_vmi_verb(v) ? "VMI" : "VM", name_of(v), v->command,
		v->dry_run ? " (dry run)" : "");
	return 0;
}

/* ---- version ---- */

static int server_version(struct virtctl *v, char **ret, struct err *e)
{
	CLEANUP(str_done) struct str group = { 0 }, path = { 0 }, body = { 0 };
	int status;

	if (kube_raw_wait(v->client, "GET", GROUP_PATH, NULL, NULL, 0, &status, &group, e) < 0 ||
		virtctl_check_status(status, &group, e) < 0)
		return -1;
	CLEANUP(json_doc_freep) struct json_doc *g = json_parse(str_cstr(&group), group.len, e);
	const char *gv = g ? json_at_str(json_root(g), "/preferredVersion/groupVersion") : NULL;
	str_addf(&path, "/apis/%s/version", gv ? gv : "subresources.kubevirt.io/v1");
	if (kube_raw_wait(v->client, "GET", path.data, NULL, NULL, 0, &status, &body, e) < 0 ||
		virtctl_check_status(status, &body, e) < 0)
		return -1;
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(str_cstr(&body), body.len, e);
	if (!d || !json_get_str(json_root(d), "gitVersion"))
		return err_set(e, ERR_INTERNAL, "the server's version makes no sense: %s", str_cstr(&body));
	*ret = mem_strdup(json_get_str(json_root(d), "gitVersion"));
	return 0;
}

int version_run(struct virtctl *v, struct err *e)
{
	CLEANUP(mem_freep) char *server = NULL;

	printf("Client Version: %s\n", CORACLE_VERSION);
	if (v->client_only)
		return 0;
	if (server_version(v, &server, e) < 0)
		return err_wrap(e, "Error getting the server's version");
	printf("Server Version: %s\n", server);
	return 0;
}

/* Up to the second dot. */
static size_t major_minor(const char *text)
{
	const char *dot = strchr(text, '.');
	dot = dot ? strchr(dot + 1, '.') : NULL;
	return dot ? (size_t)(dot - text) : strlen(text);
}

bool version_differs(const char *ours, const char *theirs)
{
	size_t n = major_minor(ours);
	return n != major_minor(theirs) || strncmp(ours, theirs, n) != 0;
}

void version_compare(struct virtctl *v)
{
	CLEANUP(mem_freep) char *server = NULL;

	if (server_version(v, &server, NULL) == 0 && version_differs(CORACLE_VERSION, server))
		fprintf(stderr,
			"You are using a client virtctl version that is different from the version running "
			"in the cluster\n"
			"Client Version: %s\nServer Version: %s\n",
			CORACLE_VERSION, server);
}
