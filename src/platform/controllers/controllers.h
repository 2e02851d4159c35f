/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/controllers.h - the controllers of the embedded platform: what kube-controller-manager does for a cluster,
 * as far as virt and its users lean on it. Clients of the API like any other (kube/controller.h).
 *
 * A new controller is a file with a `const struct controller` and a row in controllers.c. */
#pragma once

#include "kube/controller.h"

struct platform_controllers;
/* ca_pem: the API server's CA, put into ConfigMap kube-root-ca.crt of every namespace; copied. data_dir: where volumes of the
 * default storage class are made; NULL: no default class. Starts at once. */
struct platform_controllers *platform_controllers_start(
	struct kube_client *c, const char *ca_pem, const char *data_dir);
void platform_controllers_stop(struct platform_controllers *p);
void platform_controllers_metrics(const struct platform_controllers *p, struct str *out);

/* What decide functions get as look_env(). */
struct platform_env {
	char *ca_pem;
	char *data_dir;
	struct kube_client *client; /* for actions only */
};

extern const struct controller replicaset_controller, deployment_controller, daemonset_controller,
	endpoints_controller, namespace_controller, pdb_controller, volumes_controller;
