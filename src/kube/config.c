/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/http.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"

#include <libgen.h>
#include <string.h>

#define KUBECONFIG_BYTES_MAX (4 * 1024 * 1024)
#define PEM_BYTES_MAX (1024 * 1024)
#define POD_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

void kube_config_done(struct kube_config *c)
{
	free(c->host);
	free(c->ca_pem);
	free(c->cert_pem);
	free(c->key_pem);
	free(c->token);
	free(c->token_path);
	free(c->namespace);
	free(c->server_name);
	free(c->user_agent);
	*c = (struct kube_config){ 0 };
}

/* The entry of a named list ("clusters": [{name, cluster}]). */
static const struct json *named(
	const struct json *root, const char *list, const char *name, const char *member)
{
	JSON_EACH (it, json_get(root, list))
		if (str_eq(json_get_str(it.val, "name"), name))
			return json_get(it.val, member);
	return NULL;
}

static char *beside(const char *dir, const char *path)
{
	return path[0] == '/' ? mem_strdup(path) : file_join(dir, path);
}

/* "x-data" holds base64 and wins over "x", a path relative to the kubeconfig. Neither: NULL. */
static int text_of(const struct json *o, const char *field, const char *dir, char **ret, struct err *e)
{
	CLEANUP(mem_freep) char *data_field = str_printf("%s-data", field);
	CLEANUP(mem_freep) char *path = NULL;
	CLEANUP(str_done) struct str out = { 0 };
	const char *data = json_get_str(o, data_field), *file = json_get_str(o, field);

	if (!str_empty(data)) {
		if (b64_decode(data, strlen(data), false, &out, e) < 0)
			return err_wrap(e, "%s", data_field);
		*ret = str_take(&out);
		return 0;
	}
	if (str_empty(file))
		return 0;
	path = beside(dir, file);
	return file_read(path, PEM_BYTES_MAX, ret, NULL, e);
}

static int server_of(const struct json *cluster, struct kube_config *c, struct err *e)
{
	const char *server = json_get_str(cluster, "server");
	struct url u = { 0 };
	bool https;

	if (str_empty(server))
		return err_set(e, ERR_BAD_REQUEST, "the cluster names no server");
	if (url_parse(server, &u, e) < 0)
		return err_wrap(e, "server \"%s\"", server);
	https = str_eq(u.scheme, "https");
	c->host = TAKE(u.host);
	c->port = u.port;
	url_done(&u);
	return https ? 0 : err_set(e, ERR_BAD_REQUEST, "server \"%s\" is not https", server);
}

static char *dup_or_null(const char *s)
{
	return str_empty(s) ? NULL : mem_strdup(s);
}

static int from_text(const char *text, size_t len, const char *dir, struct kube_config *c, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = yaml_parse(text, len, e);
	const struct json *root, *context, *cluster, *user;
	const char *current;

	if (!d)
		return -1;
	root = json_root(d);
	current = json_get_str(root, "current-context");
	context = named(root, "contexts", current, "context");
	if (!context)
		return err_set(e, ERR_BAD_REQUEST, "no context \"%s\"", current ? current : "");
	cluster = named(root, "clusters", json_get_str(context, "cluster"), "cluster");
	if (!cluster)
		return err_set(e, ERR_BAD_REQUEST, "context \"%s\" names no known cluster", current);
	user = named(root, "users", json_get_str(context, "user"), "user");
	if (server_of(cluster, c, e) < 0 ||
		text_of(cluster, "certificate-authority", dir, &c->ca_pem, e) < 0 ||
		text_of(user, "client-certificate", dir, &c->cert_pem, e) < 0 ||
		text_of(user, "client-key", dir, &c->key_pem, e) < 0)
		return -1;
	c->server_name = dup_or_null(json_get_str(cluster, "tls-server-name"));
	c->insecure = json_bool(json_get(cluster, "insecure-skip-tls-verify"));
	c->token = dup_or_null(json_get_str(user, "token"));
	if (!str_empty(json_get_str(user, "tokenFile")))
		c->token_path = beside(dir, json_get_str(user, "tokenFile"));
	c->namespace = mem_strdup(json_str_or(json_get(context, "namespace"), "default"));
	return 0;
}

static int from_file(const char *path, struct kube_config *c, struct err *e)
{
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(mem_freep) char *copy = mem_strdup(path);
	size_t len;

	if (file_read(path, KUBECONFIG_BYTES_MAX, &text, &len, e) < 0 ||
		from_text(text, len, dirname(copy), c, e) < 0)
		return err_wrap(e, "kubeconfig \"%s\"", path);
	return 0;
}

static int from_pod(const char *host, struct kube_config *c, struct err *e)
{
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	int64_t n = 443;

	if (port && !str_to_i64(port, 1, 65535, &n))
		return err_set(e, ERR_BAD_REQUEST, "KUBERNETES_SERVICE_PORT \"%s\" is no port", port);
	c->host = mem_strdup(host);
	c->port = (int)n;
	c->token_path = mem_strdup(POD_ACCOUNT_DIR "/token");
	if (file_read(POD_ACCOUNT_DIR "/ca.crt", PEM_BYTES_MAX, &c->ca_pem, NULL, e) < 0)
		return err_wrap(e, "service account of this pod");
	if (file_read(POD_ACCOUNT_DIR "/namespace", PEM_BYTES_MAX, &c->namespace, NULL, NULL) < 0)
		c->namespace = mem_strdup("default");
	return 0;
}

static int load(const char *path, struct kube_config *c, struct err *e)
{
	CLEANUP(mem_freep) char *home = NULL;
	const char *host = getenv("KUBERNETES_SERVICE_HOST");

	if (str_empty(path))
		path = getenv("KUBECONFIG");
	if (!str_empty(path))
		return from_file(path, c, e);
	if (!str_empty(host))
		return from_pod(host, c, e);
	if (str_empty(getenv("HOME")))
		return err_set(e, ERR_NOT_FOUND,
			"no kubeconfig: neither KUBECONFIG nor HOME is set, and this is no pod");
	home = file_join(getenv("HOME"), ".kube/config");
	return from_file(home, c, e);
}

int kube_config_load(const char *path, struct kube_config *ret, struct err *e)
{
	struct kube_config c = { 0 };

	if (load(path, &c, e) < 0) {
		kube_config_done(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

static void set_b64(struct json_doc *d, struct json *o, const char *field, const char *text)
{
	CLEANUP(str_done) struct str out = { 0 };

	if (!text)
		return;
	b64_encode(text, strlen(text), false, &out);
	json_set_str(d, o, field, str_cstr(&out));
}

/* Appends {name, <member>: {}} to a list of root and returns the inner object. */
static struct json *add_named(struct json_doc *d, const char *list, const char *name, const char *member)
{
	struct json *entry = json_new_obj(d), *arr = json_need_arr(d, json_root(d), list);

	json_set_str(d, entry, "name", name);
	json_append(d, arr, entry);
	return json_need_obj(d, entry, member);
}

char *kube_config_text(const struct kube_config *c, const char *name)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'Config','preferences':{}}");
	bool v6 = strchr(c->host, ':') != NULL;
	struct str out = { 0 };
	struct json *o;

	o = add_named(d, "clusters", name, "cluster");
	json_set_strf(d, o, "server", v6 ? "https://[%s]:%d" : "https://%s:%d", c->host, c->port);
	set_b64(d, o, "certificate-authority-data", c->ca_pem);
	json_set_str(d, o, "tls-server-name", c->server_name);
	if (c->insecure)
		json_set_bool(d, o, "insecure-skip-tls-verify", true);
	o = add_named(d, "users", name, "user");
	set_b64(d, o, "client-certificate-data", c->cert_pem);
	set_b64(d, o, "client-key-data", c->key_pem);
	json_set_str(d, o, "token", c->token);
	json_set_str(d, o, "tokenFile", c->token_path);
	o = add_named(d, "contexts", name, "context");
	json_set_str(d, o, "cluster", name);
	json_set_str(d, o, "user", name);
	json_set_str(d, o, "namespace", str_empty(c->namespace) ? "default" : c->namespace);
	json_set_str(d, json_root(d), "current-context", name);
	yaml_write(json_root(d), &out);
	return str_take(&out);
}
