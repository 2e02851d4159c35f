/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTPS transport: who we are, and a pool of connections. */
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/tls.h"
#include "kube/client_impl.h"

#include <string.h>
#include <sys/stat.h>

#define TOKEN_BYTES_MAX 65536
/* A watch holds a connection for as long as it lasts. */
#define CONNS_MAX 256
#define HEADERS_MAX 5

struct https {
	struct http_client *http;
	char *token, *token_path, *user_agent;
	struct stat token_file; /* when it was read */
};

struct https_call {
	struct http_call *http;
	struct kube_request r; /* callbacks only; the texts in it are gone */
	int status;
};

/* Service account tokens are replaced before they run out; an old one is kept as long as the file can not be read. */
static void token_refresh(struct https *t)
{
	struct stat st;
	char *text = NULL;
	size_t len;
	struct err e = { 0 };

	if (!t->token_path || stat(t->token_path, &st) < 0)
		return;
	if (t->token && st.st_ino == t->token_file.st_ino &&
		st.st_mtim.tv_sec == t->token_file.st_mtim.tv_sec &&
		st.st_mtim.tv_nsec == t->token_file.st_mtim.tv_nsec)
		return;
	if (file_read(t->token_path, TOKEN_BYTES_MAX, &text, &len, &e) < 0) {
		log_warn("token: %s", e.msg);
		return;
	}
	while (len && strchr(" \r\n\t", text[len - 1]))
		text[--len] = '\0';
	free(t->token);
	t->token = text;
	t->token_file = st;
}

static void https_head(void *arg, const struct http_response *r)
{
	struct https_call *c = arg;

	c->status = r->status;
}

static void https_data(void *arg, const void *data, size_t len)
{
	struct https_call *c = arg;

	c->r.data(c->r.arg, c->status, data, len);
}

static void https_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct https_call *c = arg;
	struct kube_request q = c->r;
	int status = r ? r->status : c->status;

	free(c);
	q.done(q.arg, status, r ? r->body : NULL, r ? r->len : 0, e);
}

static void *https_call(void *self, const struct kube_request *r)
{
	struct https *t = self;
	struct https_call *c = MEM_NEW(struct https_call);
	CLEANUP(mem_freep) char *bearer = NULL;
	struct http_header headers[HEADERS_MAX];
	struct http_call_spec spec = { .method = r->method,
		.path = r->path,
		.headers = headers,
		.body = r->body,
		.len = r->len,
		.timeout_ms = r->timeout_ms,
		.done = https_done,
		.arg = c };

	token_refresh(t);
	headers[spec.n_headers++] =
		(struct http_header){ "Accept", r->accept ? r->accept : "application/json" };
	headers[spec.n_headers++] = (struct http_header){ "User-Agent", t->user_agent };
	if (r->content_type)
		headers[spec.n_headers++] = (struct http_header){ "Content-Type", r->content_type };
	if (t->token) {
		bearer = str_printf("Bearer %s", t->token);
		headers[spec.n_headers++] = (struct http_header){ "Authorization", bearer };
	}
	if (r->stream) {
		spec.head = https_head;
		spec.data = https_data;
	}
	c->r = *r;
	c->http = http_client_call(t->http, &spec);
	return c;
}

static void https_cancel(void *self, void *handle)
{
	struct https_call *c = handle;

	http_call_cancel(c->http);
	free(c);
}

static void https_free(void *self)
{
	struct https *t = self;

	http_client_free(t->http);
	free(t->token);
	free(t->token_path);
	free(t->user_agent);
	free(t);
}

struct kube_transport https_transport(struct loop *l, const struct kube_config *c, struct err *e)
{
	struct tls_client_spec tls_spec = { .ca_pem = c->ca_pem,
		.cert_pem = c->cert_pem,
		.key_pem = c->key_pem,
		.server_name = c->server_name,
		.insecure = c->insecure };
	struct tls_ctx *tls = tls_client_new(&tls_spec, e);
	struct http_client_spec spec = {
		.host = c->host, .port = c->port, .tls = tls, .conns_max = CONNS_MAX
	};
	struct https *t;

	if (!tls) {
		err_wrap(e, "server %s:%d", c->host, c->port);
		return (struct kube_transport){ 0 };
	}
	t = MEM_NEW(struct https);
	t->http = http_client_new(l, &spec);
	tls_unref(tls);
	t->token = c->token ? mem_strdup(c->token) : NULL;
	t->token_path = c->token_path ? mem_strdup(c->token_path) : NULL;
	t->user_agent = mem_strdup(c->user_agent ? c->user_agent : "coracle/" CORACLE_VERSION);
	return (struct kube_transport){
		.self = t, .call = https_call, .cancel = https_cancel, .free = https_free
	};
}
