/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/handler_impl.h - for this directory only: the parts of virt-handler. */
#pragma once

#include "base/http.h"
#include "base/proc.h"
#include "kube/controller.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/handler/handler.h"
#include "kubevirt/handler/links.h"
#include "kubevirt/handler/node.h"
#include "kubevirt/health/certs.h"
#include "kubevirt/health/health.h"
#include "qemu/vm_config.h"

struct start_job;
struct handler {
	struct handler_spec spec;
	struct controller_set *controllers;
	struct controller guests, nodes; /* copies: their selectors hold the node's name */
	char *vmi_selector, *pod_selector, *node_selector;
	struct cache *vmis, *pods, *kubevirts;
	struct links *links;
	/* the node */
	struct node_facts node;
	struct accel_probe *probe;
	struct proc_run *machines;
	enum vm_arch machines_of; /* which QEMU is being asked */
	bool kvm_known, machines_known;
	loop_fn *stopped;
	void *stopped_arg;
	struct kube_call *stop_call;
	struct loop_timer *stop_timer;
	/* servers */
	struct health *health;
	struct cert_watch *certs;
	struct http_server *http;
	struct start_job *jobs;
};

/* start.c: gathers what the launcher needs (texts of Secrets) and tells it to start. done() as for an
 * action. */
void start_guest(struct handler *h, const char *key, const struct json *args,
	void (*done)(void *arg, const struct err *e), void *arg);
void start_jobs_free(struct handler *h);
/* rest.c: one request of virt-api. */
void rest_serve(void *handler, struct http_req *r);
/* scrape.c: GET /metrics; asks every launcher first. */
void scrape_serve(void *handler, struct http_req *r);
/* probe.c: starts both probes; the node controller is kicked when they have answered. */
void probe_start(struct handler *h);
void probe_free(struct handler *h);
/* handler.c */
const struct obj *handler_vmi(const struct handler *h, const char *key); /* of this node; NULL */
