/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/metrics.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Series are bounded: the combinations of verb, resource and code that occur; strangers' resources count as one. */
#define SERIES_MAX 2000
static const int64_t bounds_ms[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000,
	60000 };

struct series {
	char *verb, *resource;
	int code;
	uint64_t count;
};
struct latency {
	char *verb;
	uint64_t buckets[ARRAY_LEN(bounds_ms)], count;
	int64_t sum_ms;
};
struct metrics {
	struct series *items;
	size_t n, cap;
	struct latency *verbs;
	size_t n_verbs, cap_verbs;
};

struct metrics *metrics_new(void)
{
	return MEM_NEW(struct metrics);
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->items[i].verb);
		free(m->items[i].resource);
	}
	for (size_t i = 0; i < m->n_verbs; i++)
		free(m->verbs[i].verb);
	free(m->items);
	free(m->verbs);
	free(m);
}

static struct series *series_of(struct metrics *m, const char *verb, const char *resource, int code)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->items[i].code == code && str_eq(m->items[i].resource, resource) &&
			str_eq(m->items[i].verb, verb))
			return &m->items[i];
	if (m->n == SERIES_MAX)
		return NULL;
	m->items = mem_grow(m->items, &m->cap, m->n + 1, sizeof(*m->items));
	m->items[m->n] = (struct series){ mem_strdup(verb), mem_strdup(resource), code, 0 };
	return &m->items[m->n++];
}

static struct latency *latency_of(struct metrics *m, const char *verb)
{
	for (size_t i = 0; i < m->n_verbs; i++)
		if (str_eq(m->verbs[i].verb, verb))
			return &m->verbs[i];
	m->verbs = mem_grow(m->verbs, &m->cap_verbs, m->n_verbs + 1, sizeof(*m->verbs));
	m->verbs[m->n_verbs] = (struct latency){ .verb = mem_strdup(verb) };
	return &m->verbs[m->n_verbs++];
}

void metrics_count(void *server, struct request *r, int status)
{
	struct apiserver *s = server;
	const char *verb = request_label_verb(r), *resource = request_label_resource(r);
	int64_t ms = loop_mono_ms(s->loop) - request_started_ms(r);
	struct series *c = series_of(s->metrics, verb, status == 404 ? "" : resource, status);
	struct latency *l = latency_of(s->metrics, verb);

	if (c)
		c->count++;
	if (str_eq(verb, "watch"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(bounds_ms); i++)
		l->buckets[i] += ms <= bounds_ms[i];
	l->count++;
	l->sum_ms += ms;
}

static void add_requests(const struct metrics *m, struct str *out)
{
	str_add(out, "# TYPE apiserver_request_total counter\n");
	for (size_t i = 0; i < m->n; i++)
		str_addf(out, "apiserver_request_total{verb=\"%s\",resource=\"%s\",code=\"%d\"} %llu\n",
			m->items[i].verb, m->items[i].resource, m->items[i].code,
			(unsigned long long)m->items[i].count);
	str_add(out, "# TYPE apiserver_request_duration_seconds histogram\n");
	for (size_t i = 0; i < m->n_verbs; i++) {
		const struct latency *l = &m->verbs[i];

		for (size_t b = 0; b < ARRAY_LEN(bounds_ms); b++)
			str_addf(out,
				"apiserver_request_duration_seconds_bucket{verb=\"%s\",le=\"%g\"} %llu\n",
				l->verb, (double)bounds_ms[b] / 1000, (unsigned long long)l->buckets[b]);
		str_addf(out,
			"apiserver_request_duration_seconds_bucket{verb=\"%s\",le=\"+Inf\"} %llu\n"
			"apiserver_request_duration_seconds_sum{verb=\"%s\"} %g\n"
			"apiserver_request_duration_seconds_count{verb=\"%s\"} %llu\n",
			l->verb, (unsigned long long)l->count, l->verb, (double)l->sum_ms / 1000, l->verb,
			(unsigned long long)l->count);
	}
}

static void add_process(struct str *out)
{
	long pages = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%ld %ld", &pages, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	str_addf(out, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %ld\n",
		rss * sysconf(_SC_PAGESIZE));
}

void metrics_serve(struct apiserver *s, struct request *r)
{
	CLEANUP(str_done) struct str out = { 0 };
	size_t watches = 0;

	add_requests(s->metrics, &out);
	str_add(&out, "# TYPE apiserver_storage_objects gauge\n");
	for (size_t i = 0; i < s->n_buckets; i++) {
		watches += bucket_watches(s->buckets[i]);
		str_addf(&out, "apiserver_storage_objects{resource=\"%s\"} %zu\n",
			bucket_storage(s->buckets[i]), bucket_len(s->buckets[i]));
	}
	str_addf(&out,
		"# TYPE apiserver_current_inflight_requests gauge\napiserver_current_inflight_requests %u\n"
		"# TYPE apiserver_longrunning_requests gauge\napiserver_longrunning_requests{verb=\"watch\"} "
		"%zu\n"
		"# TYPE coracle_store_revision counter\ncoracle_store_revision %llu\n",
		s->commits, watches, (unsigned long long)server_revision(s));
	add_process(&out);
	request_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}
