/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/scheduler/requests.h"

#include "api/quantity.h"
#include "base/mem.h"

#include <string.h>

void requests_done(struct requests *r)
{
	for (size_t i = 0; i < r->n_more; i++)
		free(r->more[i].name);
	memset(r, 0, sizeof(*r));
}

static int64_t *slot(struct requests *r, const char *name)
{
	if (str_eq(name, "cpu"))
		return &r->cpu_milli;
	if (str_eq(name, "memory"))
		return &r->memory;
	for (size_t i = 0; i < r->n_more; i++)
		if (str_eq(r->more[i].name, name))
			return &r->more[i].n;
	if (r->n_more == REQUESTS_MORE_MAX)
		return NULL;
	r->more[r->n_more].name = mem_strdup(name);
	r->more[r->n_more].n = 0;
	return &r->more[r->n_more++].n;
}

int64_t requests_more(const struct requests *r, const char *name)
{
	for (size_t i = 0; i < r->n_more; i++)
		if (str_eq(r->more[i].name, name))
			return r->more[i].n;
	return 0;
}

void requests_add(struct requests *r, const struct requests *other, int sign)
{
	r->cpu_milli += sign * other->cpu_milli;
	r->memory += sign * other->memory;
	for (size_t i = 0; i < other->n_more; i++) {
		int64_t *n = slot(r, other->more[i].name);

		if (n)
			*n += sign * other->more[i].n;
	}
}

static void raise_to(struct requests *r, const struct requests *other)
{
	if (other->cpu_milli > r->cpu_milli)
		r->cpu_milli = other->cpu_milli;
	if (other->memory > r->memory)
		r->memory = other->memory;
	for (size_t i = 0; i < other->n_more; i++) {
		int64_t *n = slot(r, other->more[i].name);

		if (n && other->more[i].n > *n)
			*n = other->more[i].n;
	}
}

static void read_map(const struct json *map, bool only_missing, struct requests *r)
{
	JSON_EACH(it, map) {
		CLEANUP(mem_freep) char *name = mem_strndup(it.key, it.key_len);
		int64_t *n = slot(r, name), v = str_eq(name, "cpu") ? quantity_millis(it.val) : quantity_bytes(it.val);

		if (n && v > 0 && !(only_missing && *n > 0))
			*n = v;
	}
}

static const struct json *by_name(const struct json *list, const char *name)
{
	JSON_EACH(it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

static void of_container(const struct json *c, const struct json *statuses, struct requests *ret)
{
	struct requests given = { 0 };
	const struct json *status = by_name(statuses, json_get_str(c, "name"));

	read_map(json_at(c, "/resources/requests"), false, ret);
	read_map(json_at(c, "/resources/limits"), true, ret);
	read_map(json_get(status, "allocatedResources"), false, &given);
	raise_to(ret, &given);
	requests_done(&given);
}

void requests_of(const struct json *pod, struct requests *ret)
{
	struct requests sidecars = { 0 }, most = { 0 };

	memset(ret, 0, sizeof(*ret));
	JSON_EACH(it, json_at(pod, "/spec/initContainers")) {
		struct requests one = { 0 };

		of_container(it.val, json_at(pod, "/status/initContainerStatuses"), &one);
		requests_add(&one, &sidecars, 1);
		raise_to(&most, &one);
		if (str_eq(json_get_str(it.val, "restartPolicy"), "Always")) {
			requests_done(&sidecars);
			sidecars = one;
			continue;
		}
		requests_done(&one);
	}
	JSON_EACH(it, json_at(pod, "/spec/containers")) {
		struct requests one = { 0 };

		of_container(it.val, json_at(pod, "/status/containerStatuses"), &one);
		requests_add(ret, &one, 1);
		requests_done(&one);
	}
	requests_add(ret, &sidecars, 1);
	raise_to(ret, &most);
	requests_done(&sidecars);
	requests_done(&most);
	read_map(json_at(pod, "/spec/overhead"), false, &most);
	requests_add(ret, &most, 1);
	requests_done(&most);
}

bool pod_takes_room(const struct json *pod)
{
	const char *phase = json_at_str(pod, "/status/phase");

	return !str_empty(json_at_str(pod, "/spec/nodeName")) && !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed");
}
