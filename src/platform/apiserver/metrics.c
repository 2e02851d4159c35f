/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/metrics.h"

#include "base/mem.h"
#include "base/proc.h"
#include "platform/apiserver/flow.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Series are bounded: labels are names of what is served, never of what somebody asked for. */
#define SERIES_MAX 4000
#define CODES_MAX 24
#define LABELS_USUAL 256 /* bytes: for one allocation, no limit */
static const int64_t bounds_ms[] = { 5, 25, 50, 100, 200, 400, 600, 800, 1000, 1250, 1500, 2000, 3000, 4000,
	5000, 6000, 8000, 10000, 15000, 20000, 30000, 45000, 60000 };

struct code_count {
	int code;
	uint64_t n;
};
/* Requests of one kind: how many got which answer, and how long that took. */
struct series {
	char *labels; /* as they are printed; the key */
	uint64_t hash;
	struct code_count codes[CODES_MAX];
	uint64_t buckets[ARRAY_LEN(bounds_ms)], count; /* of those that have a duration: not of watches */
	int64_t sum_ms;
};
struct metrics {
	struct series *items;
	size_t n, cap;
};

struct metrics *metrics_new(void)
{
	return MEM_NEW(struct metrics);
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].labels);
	free(m->items);
	free(m);
}

/* ---- counting ---- */
static uint64_t text_hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static struct series *series_of(struct metrics *m, const char *labels)
{
	uint64_t hash = text_hash(labels);

	for (size_t i = 0; i < m->n; i++)
		if (m->items[i].hash == hash && str_eq(m->items[i].labels, labels))
			return &m->items[i];
	if (m->n == SERIES_MAX)
		return NULL;
	m->items = mem_grow(m->items, &m->cap, m->n + 1, sizeof(*m->items));
	m->items[m->n] = (struct series){ .labels = mem_strdup(labels), .hash = hash };
	return &m->items[m->n++];
}

static void count_code(struct series *s, int code)
{
	for (size_t i = 0; i < CODES_MAX; i++) {
		if (s->codes[i].n && s->codes[i].code != code)
			continue;
		s->codes[i].code = code;
		s->codes[i].n++;
		return;
	}
}

/* The verb as Kubernetes' metrics name it. */
static const char *verb_label(const struct request *r, const struct reqinfo *i)
{
	static const char *const names[][2] = { { "get", "GET" }, { "list", "LIST" }, { "watch", "WATCH" },
		{ "create", "POST" }, { "update", "PUT" }, { "patch", "PATCH" }, { "delete", "DELETE" },
		{ "deletecollection", "DELETECOLLECTION" }, { "post", "POST" }, { "put", "PUT" },
		{ "head", "GET" }, { "options", "OPTIONS" } };

	if (str_eq(i->verb, "patch") &&
		str_starts(request_header(r, "Content-Type"), "application/apply-patch"))
		return "APPLY";
	for (size_t n = 0; n < ARRAY_LEN(names); n++)
		if (str_eq(i->verb, names[n][0]))
			return names[n][1];
	return "other";
}

/* For each request: without printf. */
static void add_label(struct str *out, const char *name, const char *value)
{
	str_addc(out, ',');
	str_add(out, name);
	str_add(out, "=\"");
	str_add(out, value);
	str_addc(out, '"');
}

/* What is not served has no labels of its own, however it is called. */
static void add_labels(const struct apiserver *s, struct request *r, struct str *out)
{
	const struct reqinfo *i = request_info(r);
	const struct resource *res = NULL;
	const char *sub = "", *scope = "", *dry = request_query(r, "dryRun");

	if (i->resource_request && *request_label_resource(r))
		res = registry_find(s->objects->registry, i->group, i->version, i->plural);
	if (res) {
		scope = i->name ? "resource" : i->ns ? "namespace" : "cluster";
		if (i->sub && resource_sub(res, i->sub))
			sub = i->sub;
	}
	str_add(out, "component=\"apiserver\"");
	add_label(out, "dry_run", res && str_eq(dry, "All") ? "All" : "");
	add_label(out, "group", res ? res->kind->group : "");
	add_label(out, "resource", res ? res->kind->plural : "");
	add_label(out, "scope", scope);
	add_label(out, "subresource", sub);
	add_label(out, "verb", verb_label(r, i));
	add_label(out, "version", res ? res->kind->version : "");
}

void metrics_count(void *server, struct request *r, int status)
{
	struct apiserver *s = server;
	CLEANUP(str_done) struct str labels = { 0 };
	struct series *c;
	int64_t ms = loop_mono_ms(s->loop) - request_started_ms(r);

	str_reserve(&labels, LABELS_USUAL);
	add_labels(s, r, &labels);
	c = series_of(s->metrics, labels.data);
	if (!c)
		return;
	count_code(c, status);
	if (str_eq(request_label_verb(r), "watch"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(bounds_ms); i++)
		c->buckets[i] += ms <= bounds_ms[i];
	c->count++;
	c->sum_ms += ms;
}

/* ---- printing ---- */
static void head(struct str *out, const char *name, const char *type, const char *help)
{
	str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct str *out, const char *name, const char *help, int64_t v)
{
	head(out, name, "gauge", help);
	str_addf(out, "%s %" PRId64 "\n", name, v);
}

static void add_requests(const struct metrics *m, struct str *out)
{
	head(out, "apiserver_request_total", "counter",
		"Requests by what they asked for and the code of the answer.");
	for (size_t i = 0; i < m->n; i++)
		for (size_t c = 0; c < CODES_MAX && m->items[i].codes[c].n; c++)
			str_addf(out, "apiserver_request_total{code=\"%d\",%s} %" PRIu64 "\n",
				m->items[i].codes[c].code, m->items[i].labels, m->items[i].codes[c].n);
	head(out, "apiserver_request_duration_seconds", "histogram", "Time until the answer, watches aside.");
	for (size_t i = 0; i < m->n; i++) {
		const struct series *s = &m->items[i];

		if (!s->count)
			continue;
		for (size_t b = 0; b < ARRAY_LEN(bounds_ms); b++)
			str_addf(out, "apiserver_request_duration_seconds_bucket{%s,le=\"%g\"} %" PRIu64 "\n",
				s->labels, (double)bounds_ms[b] / 1000, s->buckets[b]);
		str_addf(out,
			"apiserver_request_duration_seconds_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n"
			"apiserver_request_duration_seconds_sum{%s} %.3f\n"
			"apiserver_request_duration_seconds_count{%s} %" PRIu64 "\n",
			s->labels, s->count, s->labels, (double)s->sum_ms / 1000, s->labels, s->count);
	}
}

/* One line per resource that is stored and has been used. */
typedef void resource_line_fn(const struct resource *res, const struct bucket *b, struct str *out);
static void each_resource(const struct apiserver *s, resource_line_fn *fn, struct str *out)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(s->objects->registry, i)); i++) {
		for (size_t n = 0; n < gv->n; n++) {
			const struct bucket *b =
				gv->items[n]->def->transient
					? NULL
					: objects_bucket_known(s->objects, gv->items[n]->storage);

			if (b)
				fn(gv->items[n], b, out);
		}
	}
}

static void line_objects(const struct resource *res, const struct bucket *b, struct str *out)
{
	CLEANUP(mem_freep) char *name = kind_group_resource(res->kind);

	if (!res->def->not_storage)
		str_addf(out, "apiserver_storage_objects{resource=\"%s\"} %zu\n", name, bucket_len(b));
}

static void line_watches(const struct resource *res, const struct bucket *b, struct str *out)
{
	if (!res->def->not_storage && bucket_watches(b))
		str_addf(out,
			"apiserver_longrunning_requests{component=\"apiserver\",group=\"%s\",resource=\"%s\","
			"subresource=\"\",verb=\"WATCH\",version=\"%s\"} %zu\n",
			res->kind->group, res->kind->plural, res->kind->version, bucket_watches(b));
}

static void line_events(const struct resource *res, const struct bucket *b, struct str *out)
{
	if (res->watch_events)
		str_addf(out,
			"apiserver_watch_events_total{group=\"%s\",resource=\"%s\",version=\"%s\"} %" PRIu64
			"\n",
			res->kind->group, res->kind->plural, res->kind->version, res->watch_events);
}

static void add_resources(const struct apiserver *s, struct str *out)
{
	head(out, "apiserver_storage_objects", "gauge", "Objects stored, by resource.");
	each_resource(s, line_objects, out);
	head(out, "apiserver_longrunning_requests", "gauge", "Watches that are open, by what is stored.");
	each_resource(s, line_watches, out);
	head(out, "apiserver_watch_events_total", "counter", "Events sent to watchers.");
	each_resource(s, line_events, out);
}

static int64_t file_bytes(const char *dir, const char *name)
{
	CLEANUP(mem_freep) char *path = str_printf("%s/%s", dir ? dir : "", name);
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

static void add_server(const struct apiserver *s, struct str *out)
{
	int64_t bytes = file_bytes(s->data_dir, "state.db") + file_bytes(s->data_dir, "state.db-wal");

	gauge(out, "apiserver_current_inflight_requests", "Requests at work.", flow_seats_taken(s->flow));
	gauge(out, "apiserver_current_inqueue_requests", "Requests that wait for their turn.",
		flow_waiting(s->flow));
	head(out, "apiserver_flowcontrol_rejected_requests_total", "counter",
		"Requests refused because their user has too many.");
	str_addf(out, "apiserver_flowcontrol_rejected_requests_total %" PRIu64 "\n", flow_refused(s->flow));
	gauge(out, "coracle_store_revision", "Revision of the newest write.",
		(int64_t)objects_revision(s->objects));
	gauge(out, "coracle_store_compacted_revision", "The history reaches back to this revision.",
		(int64_t)store_compacted(s->objects->store));
	gauge(out, "coracle_store_queued_writes", "Writes that are not yet on disk.", s->objects->commits);
	gauge(out, "coracle_store_up", "Whether writes work.", !store_trouble(s->objects->store));
	if (bytes)
		gauge(out, "apiserver_storage_size_bytes", "Size of the store's files.", bytes);
}

static long open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	long n = -3; /* ".", ".." and this one */

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* /proc gives the start in ticks since the machine's. */
static double start_time(void)
{
	struct timespec wall, boot;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(wall.tv_sec - boot.tv_sec) +
	       (double)proc_start_time(getpid()) / (double)sysconf(_SC_CLK_TCK);
}

static void add_process(struct str *out)
{
	long pages = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	struct rusage use;
	struct rlimit files = { 0 };

	if (f && fscanf(f, "%ld %ld", &pages, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	getrusage(RUSAGE_SELF, &use);
	getrlimit(RLIMIT_NOFILE, &files);
	head(out, "process_cpu_seconds_total", "counter", "Processor time used.");
	str_addf(out, "process_cpu_seconds_total %.2f\n",
		(double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
			(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	gauge(out, "process_resident_memory_bytes", "Memory in use.", (int64_t)rss * sysconf(_SC_PAGESIZE));
	gauge(out, "process_virtual_memory_bytes", "Address space.", (int64_t)pages * sysconf(_SC_PAGESIZE));
	gauge(out, "process_open_fds", "Open files.", open_files());
	gauge(out, "process_max_fds", "Open files allowed.", (int64_t)files.rlim_cur);
	head(out, "process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.");
	str_addf(out, "process_start_time_seconds %.2f\n", start_time());
}

void metrics_serve(struct apiserver *s, struct request *r)
{
	CLEANUP(str_done) struct str out = { 0 };

	add_requests(s->metrics, &out);
	add_resources(s, &out);
	add_server(s, &out);
	add_process(&out);
	request_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}
