/* SPDX-License-Identifier: Apache-2.0 */
/* Startup, liveness and readiness probes: httpGet, tcpSocket, exec. Liveness and readiness begin when startup has succeeded. */
#include "platform/agent/impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EAGER_MIN_MS 20

enum { STARTUP, LIVENESS, READINESS };
static const char *const kinds[] = { "startupProbe", "livenessProbe", "readinessProbe" };
static const char *const names[] = { "Startup", "Liveness", "Readiness" };

struct probe {
	struct ctr *ctr;
	int kind;
	int64_t period_ms, timeout_ms;
	int need_good, need_bad, good, bad;
	int eager;     /* early looks so far; -1: it has succeeded once, or had its time */
	int64_t since; /* mono ms, of the first look */
	struct loop_timer *next, *limit;
	/* under way */
	struct http_client *http;
	struct tls_ctx *tls;
	struct http_call *call;
	struct proc_run *run;
	struct strv argv;
	int fd;
	struct loop_fd *fd_watch;
};

static void probe_result(struct probe *b, bool good, const char *why);

static const struct json *probe_spec(const struct probe *b)
{
	return json_get(ctr_spec(b->ctr), kinds[b->kind]);
}

static int64_t number(const struct json *spec, const char *key, int64_t deflt)
{
	const struct json *v = json_get(spec, key);

	return json_is_int(v) && json_i64(v) > 0 ? json_i64(v) : deflt;
}

static void drop_fd(struct probe *b)
{
	loop_fd_free(b->fd_watch);
	b->fd_watch = NULL;
	fd_closep(&b->fd);
	b->fd = -1;
}

/* A number or the name of a port. */
static int port_of(const struct ctr *c, const struct json *v)
{
	if (json_is_int(v))
		return (int)json_i64(v);
	JSON_EACH (it, json_get(ctr_spec(c), "ports"))
		if (str_eq(json_get_str(it.val, "name"), json_str(v)))
			return (int)json_i64(json_get(it.val, "containerPort"));
	return 0;
}

/* ---- httpGet ---- */
static void http_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct probe *b = arg;
	CLEANUP(mem_freep) char *why = NULL;

	b->call = NULL;
	if (!r)
		why = mem_strdup(e->msg);
	else if (r->status < 200 || r->status >= 400)
		why = str_printf("HTTP probe failed with statuscode: %d", r->status);
	probe_result(b, why == NULL, why);
}

static void http_probe(struct probe *b, const struct json *spec)
{
	struct http_header headers[16];
	size_t n = 0;
	const char *host = json_get_str(spec, "host"), *path = json_get_str(spec, "path");
	CLEANUP(mem_freep) char *full = str_printf("%s%s", path && *path == '/' ? "" : "/", path ? path : "");
	bool https = str_eq(json_get_str(spec, "scheme"), "HTTPS");
	struct http_client_spec cs = { .host = host ? host : pod_ip(b->ctr->pod),
		.port = port_of(b->ctr, json_get(spec, "port")),
		.conns_max = 1,
		.connect_timeout_ms = (int)b->timeout_ms };
	struct http_call_spec call = { .method = "GET",
		.path = full,
		.headers = headers,
		.timeout_ms = (int)b->timeout_ms,
		.done = http_done,
		.arg = b };

	JSON_EACH (it, json_get(spec, "httpHeaders"))
		if (n < ARRAY_LEN(headers))
			headers[n++] = (struct http_header){ json_str_or(json_get(it.val, "name"), ""),
				json_str_or(json_get(it.val, "value"), "") };
	call.n_headers = n;
	http_client_free(b->http);
	if (https && !b->tls)
		b->tls = tls_client_new(&(struct tls_client_spec){ .insecure = true }, NULL);
	cs.tls = https ? b->tls : NULL;
	b->http = http_client_new(b->ctr->pod->agent->loop, &cs);
	b->call = http_client_call(b->http, &call);
}

/* ---- tcpSocket ---- */
static void tcp_done(void *arg, int what)
{
	struct probe *b = arg;
	int n = 0;
	socklen_t len = sizeof(n);

	if (getsockopt(b->fd, SOL_SOCKET, SO_ERROR, &n, &len) < 0)
		n = errno;
	drop_fd(b);
	probe_result(b, n == 0, n ? strerror(n) : NULL);
}

static void tcp_probe(struct probe *b, const struct json *spec)
{
	const char *host = json_get_str(spec, "host");
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port_of(b->ctr, json_get(spec, "port"))) };

	inet_pton(AF_INET, host ? host : pod_ip(b->ctr->pod), &to.sin_addr);
	b->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (b->fd < 0 || (connect(b->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)) {
		const char *why = strerror(errno);

		drop_fd(b);
		probe_result(b, false, why);
		return;
	}
	b->fd_watch = loop_fd_new(b->ctr->pod->agent->loop, b->fd, LOOP_WRITE, tcp_done, b);
}

/* ---- exec ---- */
static void exec_done(void *arg, const struct proc_result *r)
{
	struct probe *b = arg;
	CLEANUP(mem_freep) char *why = NULL;

	b->run = NULL;
	if (!proc_ok(r))
		why = str_printf("%.*s%.*s", (int)(r->out_len < 300 ? r->out_len : 300), r->out,
			(int)(r->err_len < 300 ? r->err_len : 300), r->err);
	probe_result(b, why == NULL, why);
}

static void exec_probe(struct probe *b, const struct json *spec)
{
	struct agent *a = b->ctr->pod->agent;
	CLEANUP(mem_freep) char *id = ctr_id(b->ctr, b->ctr->attempt);

	strv_done(&b->argv);
	strv_add(&b->argv, a->runtime.path);
	strv_addf(&b->argv, "--root=%s", a->runtime.root);
	strv_add(&b->argv, "exec");
	strv_add(&b->argv, id);
	JSON_EACH (it, json_get(spec, "command"))
		strv_add(&b->argv, json_str_or(it.val, ""));
	b->run = proc_run(a->loop, strv_argv(&b->argv), NULL, (int)b->timeout_ms, exec_done, b);
}

/* ---- one round ---- */
static void probe_abort(struct probe *b)
{
	if (b->call)
		http_call_cancel(TAKE(b->call));
	proc_run_free(TAKE(b->run));
	drop_fd(b);
	loop_timer_stop(b->limit);
}

static void probe_limit(void *arg)
{
	struct probe *b = arg;

	probe_abort(b);
	probe_result(b, false, "timed out");
}

static void probe_run(void *arg)
{
	struct probe *b = arg;
	const struct json *spec = probe_spec(b), *part;

	if (!spec)
		return;
	if (!b->since)
		b->since = loop_mono_ms(b->ctr->pod->agent->loop);
	loop_timer_set(b->limit, b->timeout_ms + 50);
	if ((part = json_get(spec, "httpGet")))
		http_probe(b, part);
	else if ((part = json_get(spec, "tcpSocket")))
		tcp_probe(b, part);
	else if ((part = json_get(spec, "exec")))
		exec_probe(b, part);
	else
		probe_result(b, true, NULL); /* grpc: not known here */
}

static void arm(struct ctr *c, int kind)
{
	struct probe *b = c->probes[kind];

	if (b)
		loop_timer_set(b->next, number(probe_spec(b), "initialDelaySeconds", 0) * 1000);
	else if (kind == READINESS)
		c->ready = true;
}

static void after_startup(struct ctr *c)
{
	c->started = true;
	arm(c, LIVENESS);
	arm(c, READINESS);
	pod_kick(c->pod);
}

static void verdict(struct probe *b, bool good)
{
	struct ctr *c = b->ctr;
	bool before = c->ready;

	if (b->kind == READINESS) {
		c->ready = good;
		if (before != good)
			pod_kick(c->pod);
	} else if (!good) {
		CLEANUP(mem_freep)
		char *text = str_printf("Container %s failed %s probe, will be restarted", c->name,
			b->kind == STARTUP ? "startup" : "liveness");
		const struct json *grace = json_get(pod_spec(c->pod), "terminationGracePeriodSeconds");

		c->stop_grace_ms = 1000 * (json_is_int(grace) ? json_i64(grace) : GRACE_DEFAULT_S);
		ctr_stop(c, c->stop_grace_ms, text); /* ends the probes */
	} else if (b->kind == STARTUP && !c->started) {
		loop_timer_stop(b->next);
		after_startup(c);
	}
}

/* A program that has just started answers within milliseconds, mostly: look often at first, so that nobody waits for a whole
 * period. These looks count only if they succeed. */
static bool look_again_soon(struct probe *b)
{
	int64_t now = loop_mono_ms(b->ctr->pod->agent->loop),
		wait = EAGER_MIN_MS << (b->eager < 0 ? 0 : b->eager);

	if (b->kind == LIVENESS || b->eager < 0 || now + wait >= b->since + b->period_ms) {
		b->eager = -1;
		return false;
	}
	b->eager++;
	loop_timer_set(b->next, wait);
	return true;
}

static void probe_result(struct probe *b, bool good, const char *why)
{
	loop_timer_stop(b->limit);
	if (!good && look_again_soon(b))
		return;
	b->eager = -1;
	loop_timer_set(b->next, b->period_ms);
	if (good) {
		b->bad = 0;
		if (++b->good == b->need_good)
			verdict(b, true);
		return;
	}
	b->good = 0;
	if (b->bad == 0 || b->bad < b->need_bad)
		pod_event(b->ctr->pod, true, "Unhealthy", "%s probe failed: %s", names[b->kind],
			why ? why : "");
	if (++b->bad >= b->need_bad)
		verdict(b, false);
}

static struct probe *probe_new(struct ctr *c, int kind)
{
	const struct json *spec = json_get(ctr_spec(c), kinds[kind]);
	struct probe *b;

	if (!json_len(spec))
		return NULL;
	b = MEM_NEW(struct probe);
	b->ctr = c;
	b->kind = kind;
	b->fd = -1;
	b->period_ms = number(spec, "periodSeconds", 10) * 1000;
	b->timeout_ms = number(spec, "timeoutSeconds", 1) * 1000;
	b->need_good = (int)number(spec, "successThreshold", 1);
	b->need_bad = (int)number(spec, "failureThreshold", 3);
	b->next = loop_timer_new(c->pod->agent->loop, probe_run, b);
	b->limit = loop_timer_new(c->pod->agent->loop, probe_limit, b);
	return b;
}

void probes_start(struct ctr *c)
{
	for (int i = 0; i < 3; i++)
		if (!c->probes[i])
			c->probes[i] = probe_new(c, i);
	c->started = c->ready = false;
	if (c->probes[STARTUP])
		arm(c, STARTUP);
	else
		after_startup(c);
}

static void probe_free(void *arg)
{
	struct probe *b = arg;

	http_client_free(b->http);
	tls_unref(b->tls);
	strv_done(&b->argv);
	free(b);
}

void probes_stop(struct ctr *c)
{
	for (int i = 0; i < 3; i++) {
		struct probe *b = TAKE(c->probes[i]);

		if (!b)
			continue;
		probe_abort(b);
		loop_timer_free(b->next);
		loop_timer_free(b->limit);
		/* Not from within a callback of its own client */
		loop_later(c->pod->agent->loop, probe_free, b);
	}
}
