/* SPDX-License-Identifier: Apache-2.0 */
/* bench-load: as many requests as an API server answers.
 *
 *   bench-load VERB CLIENTS SECONDS      VERB: create, get, patch, list; with KUBECONFIG
 *   bench-load fill CLIENTS COUNT        that many objects, fill-0 and so on
 *   bench-load churn CLIENTS COUNT N     that many patches, over fill-0 to fill-(N-1) in turn
 *   bench-load lists CLIENTS COUNT [QUERY [ACCEPT]]    that many lists of everything
 *   bench-load fanout WATCHERS COUNT     that many patches, each seen by all watchers
 *   bench-load prepare                   what the verbs need: kind VirtualMachine, a namespace
 *   bench-load bare CLIENTS SECONDS      the floor: the same GET from a server that does nothing but answer
 *
 * Prints one line of JSON: requests per second, latency in microseconds. Each client has one request under way. */
#include "load.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/kinds.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 4000000
#define LIST_MAX (512 * 1024 * 1024)
#define DAY_MS INT64_C(86400000)

struct load;
struct worker {
	struct load *load;
	int i;
	int64_t n, began;
};
struct load {
	struct loop *loop;
	struct http_client *http;
	const char *verb;
	char *auth; /* of a bearer token; NULL */
	struct worker workers[CLIENTS_MAX];
	int clients, under_way;
	bool over;
	int64_t count, begun, objects; /* count 0: until the time is over */
	const char *query, *accept;    /* of lists */
	struct object_form form;
	uint64_t bytes;
	int64_t run; /* makes names of several runs differ */
	uint32_t *us;
	size_t n, failed;
	char first_failure[256];
};

int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void next(struct worker *w);

static void on_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct worker *w = arg;
	struct load *l = w->load;

	l->under_way--;
	if (e || r->status >= 300) {
		if (!l->failed++)
			snprintf(l->first_failure, sizeof(l->first_failure), "%d %.*s", e ? 0 : r->status,
				e ? 200 : (int)(r->len < 200 ? r->len : 200), e ? e->msg : r->body);
	} else if (l->n < SAMPLES_MAX) {
		l->us[l->n++] = (uint32_t)(now_us() - w->began);
		l->bytes += r->len;
	}
	if (!l->over)
		next(w);
	else if (!l->under_way)
		loop_stop(l->loop);
}

/* A list of tens of megabytes is counted, not kept: it shall be the server's time that is measured. */
static void on_piece(void *arg, const void *data, size_t len)
{
	struct worker *w = arg;

	w->load->bytes += len;
}

/* What the next request of this worker is. Returned texts are the caller's. */
static void form_request(struct worker *w, struct http_call_spec *s, struct http_header *headers,
	char **ret_path, char **ret_body)
{
	struct load *l = w->load;
	CLEANUP(mem_freep) char *name = NULL;

	s->method = "GET";
	if (str_eq(l->verb, "create") || str_eq(l->verb, "fill")) {
		name = l->count ? str_printf("fill-%lld", (long long)l->begun)
				: str_printf("vm-%lld-%d-%lld", (long long)l->run, w->i, (long long)w->n);
		*ret_body = object_form_text(&l->form, name, &s->len);
		*ret_path = mem_strdup(VM_PATH);
		s->method = "POST";
		headers[s->n_headers++] = (struct http_header){ "Content-Type", "application/json" };
	} else if (str_eq(l->verb, "patch") || str_eq(l->verb, "churn")) {
		*ret_body = str_printf("[{\"op\":\"replace\",\"path\":\"/spec/template/metadata/labels/"
				       "round\",\"value\":\"%lld-%d-%lld\"}]",
			(long long)l->run, w->i, (long long)w->n);
		*ret_path = l->count ? str_printf(VM_PATH "/fill-%lld", (long long)(l->begun % l->objects))
				     : str_printf(VM_PATH "/fixed-%d", w->i);
		s->len = strlen(*ret_body);
		s->method = "PATCH";
		headers[s->n_headers++] =
			(struct http_header){ "Content-Type", "application/json-patch+json" };
	} else if (str_starts(l->verb, "list")) {
		*ret_path = str_printf(VM_PATH "%s", l->query ? l->query : "");
		s->body_max = LIST_MAX;
		s->data = on_piece;
		if (l->accept)
			headers[s->n_headers++] = (struct http_header){ "Accept", l->accept };
	} else {
		*ret_path = str_printf(VM_PATH "/fixed-%d", w->i);
	}
}

static void next(struct worker *w)
{
	struct load *l = w->load;
	struct http_header headers[2] = { { "Authorization", l->auth } };
	struct http_call_spec s = {
		.headers = headers, .n_headers = l->auth ? 1 : 0, .done = on_done, .arg = w
	};
	CLEANUP(mem_freep) char *body = NULL, *path = NULL;

	if (l->count && l->begun == l->count) {
		if (!l->under_way)
			loop_stop(l->loop);
		return;
	}
	form_request(w, &s, headers, &path, &body);
	s.path = path;
	s.body = body;
	l->begun++;
	w->n++;
	w->began = now_us();
	l->under_way++;
	http_client_call(l->http, &s);
}

static void on_end(void *arg)
{
	struct load *l = arg;

	l->over = true;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int run(struct load *l, int64_t seconds)
{
	struct loop_timer *t;
	int64_t began;
	double took;

	l->us = mem_alloc(SAMPLES_MAX * sizeof(l->us[0]));
	object_form_init(&l->form);
	l->run = now_us();
	began = now_us();
	for (int i = 0; i < l->clients; i++) {
		l->workers[i] = (struct worker){ .load = l, .i = i };
		next(&l->workers[i]);
	}
	t = loop_timer_new(l->loop, on_end, l);
	if (!l->count)
		loop_timer_set(t, seconds * 1000);
	loop_run(l->loop);
	loop_timer_free(t);
	took = (double)(now_us() - began) / 1e6;
	qsort(l->us, l->n, sizeof(l->us[0]), by_value);
	printf("{\"verb\":\"%s\",\"clients\":%d,\"perSecond\":%.0f,\"seconds\":%.3f,\"bytesEach\":%.0f,"
	       "\"p50us\":%u,\"p99us\":%u,\"failed\":%zu}\n",
		l->verb, l->clients, (double)l->n / took, took, l->n ? (double)l->bytes / (double)l->n : 0,
		l->n ? l->us[l->n / 2] : 0, l->n ? l->us[l->n * 99 / 100] : 0, l->failed);
	if (l->failed)
		fprintf(stderr, "bench-load: %s: %s\n", l->verb, l->first_failure);
	free(l->us);
	object_form_done(&l->form);
	return l->n ? 0 : 1;
}

/* ---- against a server ---- */
struct http_client *connect_to(struct loop *loop, const struct kube_config *c, int clients, struct err *e)
{
	CLEANUP(tls_unrefp)
	struct tls_ctx *tls = tls_client_new(&(struct tls_client_spec){ .ca_pem = c->ca_pem,
						     .cert_pem = c->cert_pem,
						     .key_pem = c->key_pem,
						     .server_name = c->server_name,
						     .insecure = c->insecure },
		e);

	return tls ? http_client_new(loop,
			     &(struct http_client_spec){
				     .host = c->host, .port = c->port, .tls = tls, .conns_max = clients })
		   : NULL;
}

int fixed_objects(struct loop *loop, const struct kube_config *c, int n, struct err *e)
{
	struct kube_client *k = kube_client_new(loop, c, e);
	int rc = k ? 0 : -1;

	for (int i = 0; i < n && rc == 0; i++) {
		CLEANUP(mem_freep) char *name = str_printf("fixed-%d", i), *text = object_text(name);
		CLEANUP(json_doc_freep) struct json_doc *d = json_parse(text, strlen(text), e);
		CLEANUP(obj_unrefp) struct obj *o = NULL;

		rc = kube_create_wait(k, &kind_vm, OBJECT_NS, json_root(d), &o, e);
		if (rc < 0 && e->code == ERR_EXISTS)
			rc = 0;
	}
	kube_client_free(k);
	return rc;
}

static int prepare(struct loop *loop, const struct kube_config *c, struct err *e)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_doc_new(),
			*ns = json_lit(
				"{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" OBJECT_NS "'}}");
	struct kube_client *k = kube_client_new(loop, c, e);
	struct obj *o = NULL;
	int rc = k ? 0 : -1;

	if (rc == 0 && (rc = kube_create_wait(k, &kind_crd, NULL, crd_render(d, &kind_vm), &o, e)) < 0 &&
		e->code == ERR_EXISTS)
		rc = 0;
	obj_unrefp(&o);
	if (rc == 0 && (rc = kube_create_wait(k, &kind_namespace, NULL, json_root(ns), &o, e)) < 0 &&
		e->code == ERR_EXISTS)
		rc = 0;
	obj_unrefp(&o);
	kube_client_free(k);
	return rc;
}

/* ---- the floor ---- */
struct bare {
	char *text;
	struct key_pair ca, server;
};

static void answer(void *arg, struct http_req *r)
{
	struct bare *b = arg;

	http_req_reply(r, 200, "application/json", b->text, strlen(b->text));
}

static void serve(struct bare *b, int to_parent)
{
	struct loop *loop = loop_new();
	struct err e;
	struct tls_ctx *tls = tls_server_new(
		&(struct tls_server_spec){ .cert_pem = b->server.cert_pem, .key_pem = b->server.key_pem },
		&e);
	struct http_server *s =
		http_server_new(loop, &(struct http_server_spec){ .tls = tls, .handler = answer, .arg = b });
	int port = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (http_server_listen(s, NULL, 0, &port, &e) < 0 ||
		write(to_parent, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	loop_run(loop);
	_exit(0);
}

static int bare(struct load *l, int64_t seconds, struct err *e)
{
	static const char *const ips[] = { "127.0.0.1", NULL };
	struct cert_spec ca = { .common_name = "bench",
		.is_ca = true,
		.not_before_ms = time_wall_now() - DAY_MS,
		.not_after_ms = time_wall_now() + DAY_MS },
			 server = ca;
	struct kube_config c = { .host = mem_strdup("127.0.0.1") };
	struct bare b = { .text = object_text("fixed-0") };
	int fds[2], rc;

	server.is_ca = false;
	server.server = true;
	server.ip_addrs = ips;
	if (cert_make(&ca, NULL, &b.ca, e) < 0 || cert_make(&server, &b.ca, &b.server, e) < 0 ||
		pipe(fds) < 0)
		return -1;
	pid_t child = fork();
	if (child == 0)
		serve(&b, fds[1]);
	if (child < 0 || read(fds[0], &c.port, sizeof(c.port)) != sizeof(c.port))
		return err_set(e, ERR_INTERNAL, "the bare server did not start");
	l->loop = loop_new();
	c.ca_pem = b.ca.cert_pem;
	l->http = connect_to(l->loop, &c, l->clients, e);
	rc = l->http ? run(l, seconds) : -1;
	kill(child, SIGKILL);
	return rc;
}

static int against(struct load *l, int64_t seconds, struct err *e)
{
	struct kube_config c = { 0 };

	l->loop = loop_new();
	if (kube_config_load(NULL, &c, e) < 0)
		return -1;
	if (c.token)
		l->auth = str_printf("Bearer %s", c.token);
	if (str_eq(l->verb, "prepare"))
		return prepare(l->loop, &c, e);
	if (str_eq(l->verb, "fanout"))
		return fanout(l->loop, &c, l->clients, l->count, e);
	if (!l->count && !str_eq(l->verb, "create") && fixed_objects(l->loop, &c, l->clients, e) < 0)
		return -1;
	l->http = connect_to(l->loop, &c, l->clients, e);
	return l->http ? run(l, seconds) : -1;
}

static bool counts(const char *verb)
{
	static const char *const verbs[] = { "fill", "churn", "lists", "fanout" };

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verb, verbs[i]))
			return true;
	return false;
}

static int read_args(struct load *l, int argc, char **argv, int64_t *ret_seconds)
{
	int64_t clients = 1, n = 1;

	if (argc < 2)
		return -1;
	l->verb = argv[1];
	if (argc == 2)
		return str_eq(l->verb, "prepare") ? 0 : -1;
	if (argc < 4 || argc > 6 || !str_to_i64(argv[2], 1, CLIENTS_MAX, &clients) ||
		!str_to_i64(argv[3], 1, SAMPLES_MAX, &n))
		return -1;
	l->clients = (int)clients;
	*ret_seconds = n;
	if (!counts(l->verb))
		return argc == 4 ? 0 : -1;
	l->count = n;
	if (str_eq(l->verb, "churn"))
		return argc == 5 && str_to_i64(argv[4], 1, SAMPLES_MAX, &l->objects) ? 0 : -1;
	l->query = argc > 4 ? argv[4] : NULL;
	l->accept = argc > 5 ? argv[5] : NULL;
	return 0;
}

int main(int argc, char **argv)
{
	static struct load l;
	int64_t seconds = 1;
	struct err e = { 0 };
	int rc;

	if (read_args(&l, argc, argv, &seconds) < 0) {
		fprintf(stderr,
			"usage: bench-load prepare | VERB CLIENTS SECONDS | VERB CLIENTS COUNT [...]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	rc = str_eq(l.verb, "bare") ? bare(&l, seconds, &e) : against(&l, seconds, &e);
	if (rc < 0)
		fprintf(stderr, "bench-load: %s\n", e.msg);
	return rc != 0;
}
