/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/health/health.h - what virt-controller and virt-handler serve on KV_PORT_METRICS, over TLS:
 * GET /healthz with the resourceVersion of the KubeVirt object in force (kubevirt-api.md 12.1: suites
 * wait for it after a change of the configuration; 500 while the API server does not answer) and GET
 * /metrics. Listens as soon as there is a certificate. */
#pragma once

#include "base/http.h"
#include "kube/cache.h"

struct health;
struct health_spec {
	struct loop *loop;
	struct kube_client *client;
	const char *ns, *secret;                     /* of the certificate; copied */
	const char *host;                            /* NULL: all addresses */
	int port;                                    /* 0: any */
	const struct cache *kubevirts;               /* the oldest KubeVirt in ns counts */
	void (*metrics)(void *arg, struct str *out); /* Prometheus text; may be NULL */
	/* Instead of it: answers the request itself, at once or later, with health_reply_metrics(). */
	void (*scrape)(void *arg, struct http_req *r);
	/* The first listening, or why it failed; may be NULL. */
	void (*listening)(void *arg, int port, const struct err *e);
	void *arg;
};
struct health *health_new(const struct health_spec *spec);
void health_free(struct health *h);
void health_reply_metrics(struct http_req *r, const struct str *text);
/* Answers /healthz alone, for servers of one's own. config: asked for the resourceVersion of the KubeVirt object in
 * force ("": none) when the API server has answered; arg lives as long as requests do. */
void health_probe(
	struct kube_client *client, struct http_req *r, const char *(*config)(void *arg), void *arg);
/* Answers one request of this kind; 404 for other paths. For servers of one's own. */
void health_serve(struct health *h, struct http_req *r);
