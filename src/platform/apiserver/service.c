/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/service.h"

#include "platform/apiserver/write.h"

#include "base/mem.h"
#include "store/revs.h"

#include <arpa/inet.h>
#include <string.h>

#define STORAGE "services/specs"
#define PORTS (SERVICE_PORT_MAX - SERVICE_PORT_MIN + 1)
#define NET_FIRST 0x0A600000u /* SERVICE_NET */
#define NET_MASK 0xFFF00000u
#define ADDRESS_TRIES 65536

struct services {
	struct apiserver *s;
	struct bucket_watch watch;
	uint16_t ports[PORTS]; /* by how many each is used */
	struct revs *addresses;
};
struct service_hold {
	struct services *v;
	uint16_t *ports;
	size_t n, cap;
	char address[INET_ADDRSTRLEN]; /* "": none */
};

/* ---- what is in use ---- */
static bool in_range(int64_t port)
{
	return port >= SERVICE_PORT_MIN && port <= SERVICE_PORT_MAX;
}

static void count_port(struct services *v, int64_t port, int n)
{
	if (in_range(port))
		v->ports[port - SERVICE_PORT_MIN] = (uint16_t)(v->ports[port - SERVICE_PORT_MIN] + n);
}

static void count_address(struct services *v, const char *ip, int n)
{
	if (!str_empty(ip) && !str_eq(ip, "None"))
		revs_set(v->addresses, ip, revs_get(v->addresses, ip) + (uint64_t)(int64_t)n);
}

static bool has_port(const struct json *spec, int64_t port, const struct json *before)
{
	JSON_EACH (it, json_get(spec, "ports")) {
		if (before && it.val == before)
			return false;
		if (json_i64(json_get(it.val, "nodePort")) == port)
			return true;
	}
	return port != 0 && !before && json_i64(json_get(spec, "healthCheckNodePort")) == port;
}

/* A number for UDP and for TCP counts once. */
static void count(struct services *v, const struct obj *o, int n)
{
	const struct json *spec = json_get(obj_json(o), "spec");

	JSON_EACH (it, json_get(spec, "ports")) {
		int64_t port = json_i64(json_get(it.val, "nodePort"));

		if (!has_port(spec, port, it.val))
			count_port(v, port, n);
	}
	count_port(v, json_i64(json_get(spec, "healthCheckNodePort")), n);
	count_address(v, json_get_str(spec, "clusterIP"), n);
}

static void changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct services *v = w->arg;

	if (c->type != BUCKET_DELETED)
		count(v, c->obj, 1);
	if (c->old)
		count(v, c->old, -1);
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

static struct services *services_of(struct apiserver *s)
{
	struct services *v = s->services;
	struct bucket *b = objects_bucket(s->objects, STORAGE);
	const struct obj *o;

	if (v)
		return v;
	v = s->services = MEM_NEW(struct services);
	v->s = s;
	v->addresses = revs_new();
	for (size_t i = 0; (o = bucket_at(b, i)); i++)
		count(v, o, 1);
	v->watch = (struct bucket_watch){ .arg = v, .change = changed, .gone = never_gone };
	bucket_watch_add(b, &v->watch, "");
	return v;
}

void services_free(struct services *v)
{
	if (!v)
		return;
	bucket_watch_remove(&v->watch);
	revs_free(v->addresses);
	free(v);
}

/* ---- holds ---- */
void service_settle(struct service_hold *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n; i++)
		count_port(h->v, h->ports[i], -1);
	count_address(h->v, h->address, -1);
	free(h->ports);
	free(h);
}

static void hold_port(struct service_hold *h, int64_t port)
{
	h->ports = mem_grow(h->ports, &h->cap, h->n + 1, sizeof(*h->ports));
	h->ports[h->n++] = (uint16_t)port;
	count_port(h->v, port, 1);
}

static bool holds(const struct service_hold *h, int64_t port)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->ports[i] == port)
			return true;
	return false;
}

/* ---- node ports ---- */
/* One write's way through its ports. */
struct giving {
	struct op *op;
	struct service_hold *h;
	struct json *spec;
	const struct json *old; /* spec; NULL: there was none */
};

static bool wants_ports(const struct json *spec)
{
	const char *type = json_get_str(spec, "type");
	const struct json *wanted = json_get(spec, "allocateLoadBalancerNodePorts");

	return str_eq(type, "NodePort") || (str_eq(type, "LoadBalancer") && (!wanted || json_bool(wanted)));
}

static bool may_have_ports(const struct json *spec)
{
	const char *type = json_get_str(spec, "type");

	return str_eq(type, "NodePort") || str_eq(type, "LoadBalancer");
}

/* 0: none left */
static int64_t free_port(const struct giving *g)
{
	uint32_t from;

	crypto_random(&from, sizeof(from));
	for (uint32_t i = 0; i < PORTS; i++) {
		uint32_t at = (from % PORTS + i) % PORTS;

		if (!g->h->v->ports[at] && !has_port(g->spec, SERVICE_PORT_MIN + at, NULL))
			return SERVICE_PORT_MIN + at;
	}
	return 0;
}

static void check_port(struct giving *g, const char *field, const struct json *value)
{
	int64_t port = json_i64(value);

	if (has_port(g->old, port, NULL) || holds(g->h, port))
		return;
	if (!in_range(port))
		cause_invalid(&g->op->causes, field, value,
			"provided port is not in the valid range. The range of valid ports is %d-%d",
			SERVICE_PORT_MIN, SERVICE_PORT_MAX);
	else if (g->h->v->ports[port - SERVICE_PORT_MIN])
		cause_invalid(&g->op->causes, field, value, "provided port is already allocated");
	else
		hold_port(g->h, port);
}

static void give_port(struct giving *g, struct json *to, const char *member)
{
	int64_t port = free_port(g);

	if (!port) {
		err_set(&g->op->err, ERR_INTERNAL, "failed to allocate a nodePort: range is full");
		return;
	}
	json_set_i64(g->op->draft, to, member, port);
	hold_port(g->h, port);
}

/* As it was: who leaves a node port out means no change. */
static int64_t port_before(const struct giving *g, const struct json *port)
{
	if (!g->old || !may_have_ports(g->old))
		return 0;
	JSON_EACH (it, json_get(g->old, "ports")) {
		if (json_i64(json_get(it.val, "port")) == json_i64(json_get(port, "port")) &&
			str_eq(json_str_or(json_get(it.val, "protocol"), "TCP"),
				json_str_or(json_get(port, "protocol"), "TCP")))
			return json_i64(json_get(it.val, "nodePort"));
	}
	return 0;
}

static bool same_as(const struct json *a, const struct json *b, const char *member)
{
	return json_i64(json_get(a, member)) == json_i64(json_get(b, member)) &&
	       str_eq(json_str_or(json_get(a, "protocol"), "TCP"),
		       json_str_or(json_get(b, "protocol"), "TCP"));
}

static void one_port(struct giving *g, struct json *port, size_t i)
{
	CLEANUP(mem_freep) char *field = str_printf("spec.ports[%zu].nodePort", i);
	int64_t now = json_i64(json_get(port, "nodePort")), before = port_before(g, port);

	if (!may_have_ports(g->spec)) {
		/* it was another type's, and that is no more */
		if (now && has_port(g->old, now, NULL))
			json_remove(port, "nodePort");
		else if (now)
			cause_forbidden(&g->op->causes, field, "may not be used when `type` is '%s'",
				json_str_or(json_get(g->spec, "type"), "ClusterIP"));
		return;
	}
	if (!now && before && !has_port(g->spec, before, NULL))
		json_set_i64(g->op->draft, port, "nodePort", now = before);
	if (now)
		JSON_EACH (it, json_get(g->spec, "ports")) {
			if (it.val == port)
				break;
			if (same_as(it.val, port, "nodePort")) {
				cause_duplicate(&g->op->causes, field, json_get(port, "nodePort"));
				return;
			}
		}
	if (now)
		check_port(g, field, json_get(port, "nodePort"));
	else if (wants_ports(g->spec))
		give_port(g, port, "nodePort");
}

static void health_port(struct giving *g)
{
	bool wanted = str_eq(json_get_str(g->spec, "type"), "LoadBalancer") &&
		      str_eq(json_get_str(g->spec, "externalTrafficPolicy"), "Local");
	int64_t before = json_i64(json_get(g->old, "healthCheckNodePort"));

	if (!wanted) {
		json_remove(g->spec, "healthCheckNodePort");
		return;
	}
	if (!json_i64(json_get(g->spec, "healthCheckNodePort")) && before)
		json_set_i64(g->op->draft, g->spec, "healthCheckNodePort", before);
	if (json_i64(json_get(g->spec, "healthCheckNodePort")))
		check_port(g, "spec.healthCheckNodePort", json_get(g->spec, "healthCheckNodePort"));
	else
		give_port(g, g->spec, "healthCheckNodePort");
}

/* ---- the address ---- */
static bool is_taken(const struct services *v, const char *ip)
{
	return revs_get(v->addresses, ip) > 0;
}

static void hold_address(struct service_hold *h, const char *ip)
{
	MUST(str_copy(h->address, sizeof(h->address), ip));
	count_address(h->v, ip, 1);
}

static void set_address(struct giving *g, const char *ip)
{
	json_set_str(g->op->draft, g->spec, "clusterIP", ip);
	json_set(g->op->draft, g->spec, "clusterIPs", json_new_arr(g->op->draft));
	json_append_str(g->op->draft, json_get(g->spec, "clusterIPs"), ip);
}

/* The one that its name leads to, or the next free one after it. */
static void next_address(struct giving *g, uint32_t at)
{
	char text[INET_ADDRSTRLEN];

	for (uint32_t i = 0; i < ADDRESS_TRIES; i++, at = NET_FIRST | ((at + 1) & ~NET_MASK)) {
		struct in_addr a = { htonl(at) };

		if ((at & 255) == 0 || (at & 255) == 255 || !inet_ntop(AF_INET, &a, text, sizeof(text)) ||
			is_taken(g->h->v, text))
			continue;
		hold_address(g->h, text);
		set_address(g, text);
		return;
	}
	err_set(&g->op->err, ERR_INTERNAL, "failed to allocate a serviceIP: range is full");
}

static void address(struct giving *g)
{
	const char *ip = json_get_str(g->spec, "clusterIP");
	const char *was = json_get_str(g->old, "clusterIP");
	bool asked = !str_empty(json_at_str(json_root(g->op->input), "/spec/clusterIP"));
	struct in_addr a;

	if (str_empty(ip) || str_eq(ip, "None") || str_eq(json_get_str(g->spec, "type"), "ExternalName") ||
		!str_empty(was)) /* validation says what it thinks of a change */
		return;
	/* validation says what it thinks of others */
	if (inet_pton(AF_INET, ip, &a) != 1)
		return;
	if ((ntohl(a.s_addr) & NET_MASK) != NET_FIRST)
		cause_invalid(&g->op->causes, "spec.clusterIPs", json_get(g->spec, "clusterIPs"),
			"failed to allocate IP %s: the provided network does not match the current range "
			"(" SERVICE_NET ")",
			ip);
	else if (is_taken(g->h->v, ip) && asked)
		cause_invalid(&g->op->causes, "spec.clusterIPs", json_get(g->spec, "clusterIPs"),
			"failed to allocate IP %s: provided IP is already allocated", ip);
	else if (is_taken(g->h->v, ip))
		next_address(g, ntohl(a.s_addr));
	else
		hold_address(g->h, ip);
}

int service_allocate(struct op *op)
{
	struct giving g = { .op = op,
		.spec = json_get(json_root(op->draft), "spec"),
		.old = op->old ? json_get(obj_json(op->old), "spec") : NULL };
	size_t i = 0;

	service_settle(op->service);
	op->service = g.h = MEM_NEW(struct service_hold);
	g.h->v = services_of(op->s);
	JSON_EACH (it, json_get(g.spec, "ports"))
		if (op->err.code == ERR_NONE)
			one_port(&g, it.val, i++);
	if (op->err.code == ERR_NONE)
		health_port(&g);
	if (op->err.code == ERR_NONE)
		address(&g);
	if (op->err.code != ERR_NONE)
		return -1;
	return op->causes.len > 0 ? causes_to_err(&op->causes, op->res->kind,
					    json_at_str(json_root(op->draft), "/metadata/name"), &op->err)
				  : 0;
}
