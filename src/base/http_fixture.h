/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_fixture.h - a server, its handler and a client on one loop, for http_test.c (HTTP/1.1) and http_both_test.c
 * (both framings). What the handler does is chosen by the path of the request. */
#pragma once

#include "base/http.h"
#include "base/http2_test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 10000
#define QUIET_MS 300
#define DAY_MS INT64_C(86400000)

/* One loop with a server and what its handler saw; every test drives it by waiting for a condition. */
struct fixture {
	struct loop *loop;
	struct key_pair ca, other_ca, server, client, expired;
	struct tls_ctx *server_tls;
	struct http_server *srv;
	struct http_client *cl;
	int port;
	/* handler */
	struct http_req *held;
	struct http_stream *raw;
	int requests, aborts, drains, ctx_freed;
	struct str raw_in, proxied;
	bool raw_closed;
	int pipes_done, backend_port;
	/* client */
	int status, done;
	enum err_code failed;
	char msg[ERR_MSG_MAX];
	struct str body, headers;
	bool head_seen;
	struct http_call *call;
	struct http2_tc *h2; /* instead of cl: HTTP/2 */
	struct http2_tc_call *h2_call;
	struct http_stream *up;
	struct str up_in;
	bool up_closed;
};

bool until(struct fixture *f, const int *counter, int at_least); /* false: not within WAIT_MS */
bool until_true(struct fixture *f, const bool *flag);
void turns(struct fixture *f, int n);
void make_cert(const char *cn, bool is_ca, int64_t to_ms, const struct key_pair *ca, struct key_pair *ret);
struct tls_ctx *client_tls(const char *ca, const struct key_pair *kp, const char *name, const char *alpn);
void handler(void *arg, struct http_req *r);
void reply_text(struct http_req *r, const char *text);

/* By the client in use. */
void start_call(struct fixture *f, const struct http_call_spec *spec);
void start(struct fixture *f, const char *method, const char *path, const char *body);
void call(struct fixture *f, const char *method, const char *path, const char *body); /* and waits */
void start_stream(struct fixture *f, const char *path); /* and waits for its head */
void cancel_call(struct fixture *f);
void pause_call(struct fixture *f, bool paused);
bool has_header(const struct fixture *f, const char *line); /* "Name: value", in any case */

void use_client(struct fixture *f, struct tls_ctx *tls, int conns_max);
void use_h2(struct fixture *f, const struct key_pair *kp);
void use_server(struct fixture *f, struct tls_ctx *tls);
void use_server_spec(
	struct fixture *f, const struct http_server_spec *spec); /* handler and arg are set here */
int setup(void **state);
int setup_tls(void **state); /* no client yet */
int setup_h2(void **state);
int teardown(void **state);

/* Streams of a client: collect in up_in. */
extern const struct http_stream_ops up_ops, raw_ops;
void cl_upgraded(void *arg, const struct http_response *r, struct http_stream *s);
void cl_done(void *arg, const struct http_response *r, const struct err *e);
/* Writes bytes on a connection of its own and collects the answer until the server closes or falls silent. */
char *raw_talk(struct fixture *f, const char *text, size_t len);
#define assert_talk(f, text, part)                                               \
	do {                                                                     \
		CLEANUP(mem_freep) char *got_ = raw_talk(f, text, strlen(text)); \
		if (!strstr(got_, part))                                         \
			fail_msg("no \"%s\" in: %s", part, got_);                \
	} while (0)
