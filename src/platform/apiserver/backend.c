/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/backend.h"

#include "base/mem.h"

#include <string.h>

/* ---- pools ---- */
static struct backend *backend_new(struct apiserver *s, const struct backend_spec *spec, struct err *e)
{
	const struct tls_client_spec t = { .ca_pem = spec->ca_pem,
		.server_name = spec->server_name,
		.insecure = spec->insecure,
		.cert_pem = spec->front_proxy ? s->pki.front_client.cert_pem : NULL,
		.key_pem = spec->front_proxy ? s->pki.front_client.key_pem : NULL };
	CLEANUP(tls_unrefp) struct tls_ctx *tls = tls_client_new(&t, e);
	struct backend *b;

	if (!tls)
		return NULL;
	b = MEM_NEW(struct backend);
	b->client = http_client_new(
		s->loop, &(struct http_client_spec){ .host = spec->host, .port = spec->port, .tls = tls });
	return b;
}

static void backend_free(struct backend *b)
{
	http_client_free(b->client);
	free(b->key);
	free(b);
}

/* Endpoints come and go with pods: the oldest pools that nobody uses are dropped. */
static void backends_trim(struct apiserver *s)
{
	struct backend **p = &s->backends, **victim = NULL;
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

struct backend *backend_get(struct apiserver *s, const struct backend_spec *spec, struct err *e)
{
	char hash[SHA256_HEX_LEN + 1] = "";
	CLEANUP(mem_freep) char *key = NULL;
	struct backend *b;

	if (spec->ca_pem)
		crypto_sha256_hex(spec->ca_pem, strlen(spec->ca_pem), hash);
	key = str_printf("%s %d %s %s %d %d", spec->host, spec->port,
		spec->server_name ? spec->server_name : "", hash, spec->insecure, spec->front_proxy);
	for (b = s->backends; b; b = b->next)
		if (str_eq(b->key, key))
			break;
	if (!b) {
		b = backend_new(s, spec, e);
		if (!b)
			return NULL;
		backends_trim(s);
		b->key = TAKE(key);
		b->next = s->backends;
		s->backends = b;
	}
	b->refs++;
	return b;
}

void backend_unref(struct backend *b)
{
	if (b)
		b->refs--;
}

void backends_free(struct apiserver *s)
{
	while (s->backends) {
		struct backend *b = s->backends;

		s->backends = b->next;
		backend_free(b);
	}
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

static bool from_slices(struct apiserver *s, const char *ns, const char *name, const struct json *port,
	char **ret_host, int *ret_port, bool *ret_any)
{
	const struct bucket *b = objects_bucket(s->objects, "discovery.k8s.io/endpointslices");
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

static bool from_endpoints(struct apiserver *s, const char *key, const struct json *port, char **ret_host,
	int *ret_port, bool *ret_any)
{
	const struct obj *o = objects_get(s->objects, "services/endpoints", key);

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

int service_resolve(struct apiserver *s, const char *ns, const char *name, int port, char **ret_host,
	int *ret_port, const char **ret_why, struct err *e)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, name);
	const struct obj *svc = objects_get(s->objects, "services/specs", key);
	const struct json *p = svc ? service_port(obj_json(svc), port) : NULL;
	const char *why = "ServiceNotFound";
	bool any = false;

	if (svc && !p) {
		why = "ServicePortError";
		err_set(e, ERR_UNAVAILABLE, "service/%s in \"%s\" is not listening on port %d", name, ns,
			port);
	} else if (!svc) {
		err_set(e, ERR_UNAVAILABLE, "service/%s in \"%s\" is not present", name, ns);
	} else if (from_slices(s, ns, name, p, ret_host, ret_port, &any) ||
		   from_endpoints(s, key, p, ret_host, ret_port, &any)) {
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
