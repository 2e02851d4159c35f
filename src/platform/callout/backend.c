/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/callout/backend.h"

#include "base/mem.h"
#include "platform/callout/convert.h"

#include <string.h>

/* ---- pools ---- */
static struct backend *backend_new(struct callouts *out, const struct backend_spec *spec, struct err *e)
{
	const struct tls_client_spec t = { .ca_pem = spec->ca_pem,
		.server_name = spec->server_name,
		.insecure = spec->insecure,
		.cert_pem = spec->front_proxy ? out->pki->front_client.cert_pem : NULL,
		.key_pem = spec->front_proxy ? out->pki->front_client.key_pem : NULL };
	CLEANUP(tls_unrefp) struct tls_ctx *tls = tls_client_new(&t, e);
	struct backend *b;

	if (!tls)
		return NULL;
	b = MEM_NEW(struct backend);
	b->client = http_client_new(out->objects->loop,
		&(struct http_client_spec){ .host = spec->host, .port = spec->port, .tls = tls });
	return b;
}

static void backend_free(struct backend *b)
{
	http_client_free(b->client);
	free(b->key);
	free(b);
}

/* Endpoints come and go with pods: the oldest pools that nobody uses are dropped. */
static void backends_trim(struct callouts *out)
{
	struct backend **p = &out->backends, **victim = NULL;
	size_t n = 0;

	for (; *p; p = &(*p)->next, n++)
		if ((*p)->refs == 0)
			victim = p;
	if (n >= BACKENDS_MAX && victim) {
		struct backend *b = *victim;

		*victim = b->next;
		backend_free(b);
	}
}

struct backend *backend_get(struct callouts *out, const struct backend_spec *spec, struct err *e)
{
	char hash[SHA256_HEX_LEN + 1] = "";
	CLEANUP(mem_freep) char *key = NULL;
	struct backend *b;

	if (spec->ca_pem)
		crypto_sha256_hex(spec->ca_pem, strlen(spec->ca_pem), hash);
	key = str_printf("%s %d %s %s %d %d", spec->host, spec->port,
		spec->server_name ? spec->server_name : "", hash, spec->insecure, spec->front_proxy);
	for (b = out->backends; b; b = b->next)
		if (str_eq(b->key, key))
			break;
	if (!b) {
		b = backend_new(out, spec, e);
		if (!b)
			return NULL;
		backends_trim(out);
		b->key = TAKE(key);
		b->next = out->backends;
		out->backends = b;
	}
	b->refs++;
	return b;
}

void backend_unref(struct backend *b)
{
	if (b)
		b->refs--;
}

struct callouts *callouts_new(struct objects *objects, const struct pki *pki)
{
	struct callouts *out = MEM_NEW(struct callouts);

	out->objects = objects;
	out->pki = pki;
	return out;
}

void callouts_end(struct callouts *out)
{
	converter_free(out);
	while (out->backends) {
		struct backend *b = out->backends;

		out->backends = b->next;
		backend_free(b);
	}
}

void callouts_free(struct callouts *out)
{
	if (out)
		callouts_end(out);
	free(out);
}

/* ---- a Service's endpoints ---- */
static const struct json *service_port(const struct json *svc, int port)
{
	JSON_EACH (it, json_at(svc, "/spec/ports")) {
		if (json_i64(json_get(it.val, "port")) == port)
			return it.val;
	}
	return NULL;
}

/* The port of an endpoint list that stands for the service's port: by name, or the only one. */
static int port_of(const struct json *ports, const struct json *service)
{
	const char *name = json_str_or(json_get(service, "name"), "");

	JSON_EACH (it, ports) {
		if (str_eq(json_str_or(json_get(it.val, "name"), ""), name) || json_len(ports) == 1)
			return (int)json_i64(json_get(it.val, "port"));
	}
	return 0;
}

static bool slice_endpoint(const struct json *slice, const struct json *port, char **ret_host, int *ret_port)
{
	int n = port_of(json_get(slice, "ports"), port);

	JSON_EACH (it, json_get(slice, "endpoints")) {
		const char *address = json_at_str(it.val, "/addresses/0");

		if (n == 0 || str_empty(address) || !json_bool_or(json_at(it.val, "/conditions/ready"), true))
			continue;
		*ret_host = mem_strdup(address);
		*ret_port = n;
		return true;
	}
	return false;
}

static bool from_slices(struct objects *objects, const char *ns, const char *name, const struct json *port,
	char **ret_host, int *ret_port, bool *ret_any)
{
	const struct bucket *b = objects_bucket(objects, "discovery.k8s.io/endpointslices");
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", ns);
	const struct obj *o;

	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix);
		i++) {
		const struct json *labels = json_at(obj_json(o), "/metadata/labels");

		if (!str_eq(json_get_str(labels, "kubernetes.io/service-name"), name))
			continue;
		*ret_any = true;
		if (slice_endpoint(obj_json(o), port, ret_host, ret_port))
			return true;
	}
	return false;
}

static bool from_endpoints(struct objects *objects, const char *key, const struct json *port, char **ret_host,
	int *ret_port, bool *ret_any)
{
	const struct obj *o = objects_get(objects, "services/endpoints", key);

	if (!o)
		return false;
	*ret_any = true;
	JSON_EACH (it, json_get(obj_json(o), "subsets")) {
		const char *ip = json_at_str(it.val, "/addresses/0/ip");
		int n = port_of(json_get(it.val, "ports"), port);

		if (!str_empty(ip) && n > 0) {
			*ret_host = mem_strdup(ip);
			*ret_port = n;
			return true;
		}
	}
	return false;
}

int service_resolve(struct objects *objects, const char *ns, const char *name, int port, char **ret_host,
	int *ret_port, const char **ret_why, struct err *e)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, name);
	const struct obj *svc = objects_get(objects, "services/specs", key);
	const struct json *p = svc ? service_port(obj_json(svc), port) : NULL;
	const char *why = "ServiceNotFound";
	bool any = false;

	if (svc && !p) {
		why = "ServicePortError";
		err_set(e, ERR_UNAVAILABLE, "service/%s in \"%s\" is not listening on port %d", name, ns,
			port);
	} else if (!svc) {
		err_set(e, ERR_UNAVAILABLE, "service/%s in \"%s\" is not present", name, ns);
	} else if (from_slices(objects, ns, name, p, ret_host, ret_port, &any) ||
		   from_endpoints(objects, key, p, ret_host, ret_port, &any)) {
		return 0;
	} else {
		why = any ? "MissingEndpoints" : "EndpointsNotFound";
		err_set(e, ERR_UNAVAILABLE,
			any ? "endpoints for service/%s in \"%s\" have no addresses"
			    : "cannot find endpoints for service/%s in \"%s\"",
			name, ns);
	}
	if (ret_why)
		*ret_why = why;
	return -1;
}
