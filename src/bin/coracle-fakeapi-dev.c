/* SPDX-License-Identifier: Apache-2.0 */
/* The fake API of our unit tests (kube/fake_api.h) behind a socket, so that the same checks run against it as against the true
 * server: what unit tests are built on has to behave like what they stand for.
 *
 *   coracle-fakeapi-dev DIR     writes DIR/kubeconfig, prints its path, serves until SIGTERM */
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct kind kinds[] = {
	{ .group = "", .version = "v1", .kind = "Namespace", .plural = "namespaces", .has_status = true },
	{ .group = "", .version = "v1", .kind = "ConfigMap", .plural = "configmaps", .namespaced = true },
	{ .group = "",
		.version = "v1",
		.kind = "Pod",
		.plural = "pods",
		.namespaced = true,
		.has_status = true },
	{ .group = "coordination.k8s.io",
		.version = "v1",
		.kind = "Lease",
		.plural = "leases",
		.namespaced = true },
	{ .group = "conf.coracle.dev",
		.version = "v1",
		.kind = "Widget",
		.plural = "widgets",
		.namespaced = true,
		.has_status = true },
};

struct server {
	struct loop *loop;
	struct fake_api *fake;
	struct kube_transport transport;
	struct http_server *http;
};
/* One request on its way through the transport. */
struct visit {
	struct server *s;
	struct http_req *r;
	void *call;
	bool streaming;
};

static void visit_data(void *arg, int status, const void *data, size_t len)
{
	struct visit *v = arg;

	if (!v->streaming)
		http_req_stream(v->r, status, "application/json");
	v->streaming = true;
	http_req_write(v->r, data, len);
}

static void visit_done(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct visit *v = arg;

	if (v->streaming)
		http_req_end(v->r);
	else if (e)
		http_req_kill(v->r);
	else
		http_req_reply(v->r, status, "application/json", body, len);
	free(v);
}

static void visit_aborted(void *arg)
{
	struct visit *v = arg;

	v->s->transport.cancel(v->s->transport.self, v->call);
	free(v);
}

static void serve(void *arg, struct http_req *r)
{
	struct visit *v = MEM_NEW(struct visit);
	const char *watch = http_req_query(r, "watch");
	size_t len;
	const char *body = http_req_body(r, &len);

	v->s = arg;
	v->r = r;
	http_req_on_abort(r, visit_aborted, v);
	v->call = v->s->transport.call(
		v->s->transport.self, &(struct kube_request){ .method = http_req_method(r),
					      .path = http_req_raw_path(r),
					      .content_type = http_req_header(r, "Content-Type"),
					      .accept = http_req_header(r, "Accept"),
					      .body = len > 0 ? body : NULL,
					      .len = len,
					      .stream = str_eq(watch, "true") || str_eq(watch, "1"),
					      .data = visit_data,
					      .done = visit_done,
					      .arg = v });
	/* a watch begins with its head, not with its first event */
	if (str_eq(watch, "true"))
		visit_data(v, 200, "", 0);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

int main(int argc, char **argv)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(mem_freep) char *path = NULL, *text = NULL;
	struct server s = { 0 };
	struct loop_signal *term;
	struct err e = { 0 };
	int port;

	if (argc < 2)
		return 2;
	log_init("fake", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	s.loop = l = loop_new();
	s.fake = fake_api_new(l);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fake_api_add_kind(s.fake, &kinds[i]);
	fake_api_collect_orphans(s.fake, true);
	s.transport = fake_api_transport(s.fake, "check");
	s.http = http_server_new(l, &(struct http_server_spec){ .handler = serve, .arg = &s });
	if (http_server_listen(s.http, NULL, 0, &port, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	path = file_join(argv[1], "kubeconfig");
	text = str_printf("server: http://127.0.0.1:%d\n", port);
	if (file_write(path, text, strlen(text), 0600, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	term = loop_signal_new(l, SIGTERM, stop, l); /* before the word that it is ready */
	puts(path);
	fflush(stdout);
	loop_run(l);
	loop_signal_free(term);
	http_server_free(s.http);
	s.transport.free(s.transport.self);
	fake_api_free(s.fake);
	return 0;
}
