/* SPDX-License-Identifier: Apache-2.0 */
/* Many watchers of one collection while it changes: how many events a second reach them all, and whether each gets every one
 * of them once and in order. */
#include "load.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define WRITERS 16
#define GIVE_UP_US 60000000

struct fanout;
struct watcher {
	struct fanout *f;
	int64_t events;
	uint64_t rv; /* of the last one */
	bool watching;
	struct str rest; /* of a line that is not whole yet */
};
struct fanout {
	struct loop *loop;
	struct http_client *watch, *write;
	struct loop_timer *timer;
	struct watcher *watchers;
	int n, watching;
	int64_t events, begun, written, complete, wrong, began, ended;
	char rv[32];
};

static void change(struct fanout *f);

static void changed(void *arg, const struct http_response *r, const struct err *e)
{
	struct fanout *f = arg;

	f->written++;
	if (e || r->status >= 300)
		f->wrong++;
	change(f);
}

static void change(struct fanout *f)
{
	struct http_header type = { "Content-Type", "application/json-patch+json" };
	CLEANUP(mem_freep) char *body = NULL, *path = NULL;

	if (f->begun == f->events)
		return;
	path = str_printf(VM_PATH "/fixed-%lld", (long long)(f->begun % WRITERS));
	body = str_printf("[{\"op\":\"replace\",\"path\":\"/spec/template/metadata/labels/"
			  "round\",\"value\":\"f%lld\"}]",
		(long long)now_us());
	f->begun++;
	http_client_call(f->write, &(struct http_call_spec){ .method = "PATCH",
					   .path = path,
					   .headers = &type,
					   .n_headers = 1,
					   .body = body,
					   .len = strlen(body),
					   .done = changed,
					   .arg = f });
}

static void one_event(struct watcher *w, const char *line, size_t len)
{
	static const char mark[] = "\"resourceVersion\":\"";
	struct fanout *f = w->f;
	const char *at = memmem(line, len, mark, strlen(mark));
	uint64_t rv = at ? strtoull(at + strlen(mark), NULL, 10) : 0;

	if (rv <= w->rv)
		f->wrong++;
	w->rv = rv;
	if (++w->events < f->events)
		return;
	f->wrong += w->events > f->events;
	if (++f->complete == f->n) {
		f->ended = now_us();
		loop_timer_set(f->timer, 100); /* whatever comes now is one too many */
	}
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct watcher *w = arg;
	const char *p = data, *end = p + len, *nl;

	while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (w->rest.len > 0) {
			str_addn(&w->rest, p, (size_t)(nl - p));
			one_event(w, w->rest.data, w->rest.len);
			str_clear(&w->rest);
		} else {
			one_event(w, p, (size_t)(nl - p));
		}
		p = nl + 1;
	}
	str_addn(&w->rest, p, (size_t)(end - p));
}

static void on_head(void *arg, const struct http_response *r)
{
	struct watcher *w = arg;
	struct fanout *f = w->f;

	if (r->status != 200 || w->watching)
		return;
	w->watching = true;
	if (++f->watching < f->n)
		return;
	f->began = now_us();
	for (int i = 0; i < WRITERS; i++)
		change(f);
}

static void on_over(void *arg, const struct http_response *r, const struct err *e)
{
	struct watcher *w = arg;

	w->f->wrong++; /* no watch ends by itself that soon */
}

static void start_watches(struct fanout *f)
{
	CLEANUP(mem_freep) char *path = str_printf(VM_PATH "?watch=1&resourceVersion=%s", f->rv);

	for (int i = 0; i < f->n; i++) {
		f->watchers[i].f = f;
		http_client_call(f->watch, &(struct http_call_spec){ .method = "GET",
						   .path = path,
						   .head = on_head,
						   .data = on_data,
						   .done = on_over,
						   .arg = &f->watchers[i] });
	}
}

static void on_list(void *arg, const struct http_response *r, const struct err *e)
{
	static const char mark[] = "\"resourceVersion\":\"";
	struct fanout *f = arg;
	const char *at = e ? NULL : memmem(r->body, r->len, mark, strlen(mark));

	if (!at) {
		f->wrong++;
		loop_stop(f->loop);
		return;
	}
	snprintf(f->rv, sizeof(f->rv), "%llu", strtoull(at + strlen(mark), NULL, 10));
	start_watches(f);
}

static void on_time(void *arg)
{
	loop_stop(((struct fanout *)arg)->loop);
}

int fanout(struct loop *loop, const struct kube_config *c, int watchers, int64_t events, struct err *e)
{
	struct fanout f = { .loop = loop, .n = watchers, .events = events };
	double took;

	if (fixed_objects(loop, c, WRITERS, e) < 0)
		return -1;
	f.watch = connect_to(loop, c, watchers, e);
	f.write = f.watch ? connect_to(loop, c, WRITERS, e) : NULL;
	if (!f.write)
		return -1;
	f.watchers = mem_zalloc((size_t)watchers * sizeof(*f.watchers));
	f.timer = loop_timer_new(loop, on_time, &f);
	loop_timer_set(f.timer, GIVE_UP_US / 1000);
	http_client_call(
		f.write, &(struct http_call_spec){
				 .method = "GET", .path = VM_PATH "?limit=1", .done = on_list, .arg = &f });
	loop_run(loop);
	took = (double)((f.ended ? f.ended : now_us()) - f.began) / 1e6;
	printf("{\"verb\":\"fanout\",\"clients\":%d,\"perSecond\":%.0f,\"writesPerSecond\":%.0f,\"failed\":%"
	       "lld}\n",
		watchers, (double)watchers * (double)events / took, (double)events / took,
		(long long)f.wrong + (long long)f.n - (long long)f.complete);
	return 0; /* the process ends: nothing is freed */
}
