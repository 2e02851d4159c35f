/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - what bench-load's files share. */
#pragma once

#include "object.h"

#include "base/http.h"
#include "kube/client.h"

#define CLIENTS_MAX 256
#define VM_PATH "/apis/kubevirt.io/v1/namespaces/" OBJECT_NS "/virtualmachines"

int64_t now_us(void);
/* conns connections at most; c lives as long. */
struct http_client *connect_to(struct loop *loop, const struct kube_config *c, int conns, struct err *e);
/* Objects fixed-0 to fixed-n. */
int fixed_objects(struct loop *loop, const struct kube_config *c, int n, struct err *e);
/* fanout.c: watchers that each take events changes; prints a line of JSON. */
int fanout(struct loop *loop, const struct kube_config *c, int watchers, int64_t events, struct err *e);
