/* SPDX-License-Identifier: Apache-2.0 */
/* base/http2_test_client.h - calls over one HTTP/2 connection, for tests of the server. It can misbehave. */
#pragma once

#include "base/http.h"

struct http2_tc;
struct http2_tc *http2_tc_new(struct loop *l, int port, struct tls_ctx *tls /* alpn "h2" */);
void http2_tc_free(struct http2_tc *c); /* NULL is fine. Calls end without a word */
/* As http_client_call(); no timeout, no upgrade. */
struct http2_tc_call;
struct http2_tc_call *http2_tc_call(struct http2_tc *c, const struct http_call_spec *spec);
/* A body is announced and never ends. */
struct http2_tc_call *http2_tc_half_post(struct http2_tc *c, const struct http_call_spec *spec);
void http2_tc_cancel(struct http2_tc_call *h);
void http2_tc_pause(struct http2_tc_call *h, bool paused); /* gives the server no more window */

/* Has the connection ended, and how many GOAWAYs, of which code, came before? */
bool http2_tc_closed(const struct http2_tc *c);
int http2_tc_goaways(const struct http2_tc *c, unsigned *ret_code);
/* What nobody should do. raw replaces everything, also the preface. */
void http2_tc_pings(struct http2_tc *c, int n);
int http2_tc_pongs(const struct http2_tc *c);
void http2_tc_rapid_reset(struct http2_tc *c, int n);
void http2_tc_raw(struct http2_tc *c, const void *data, size_t len);
void http2_tc_stop_reading(struct http2_tc *c);
unsigned http2_tc_reset_code(const struct http2_tc *c); /* of the last stream that was reset */
