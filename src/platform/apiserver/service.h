/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/service.h - the addresses and node ports of Services: given out once, refused if taken. What is in use is
 * what the Services in memory have, and what writes under way have been given. (Of several servers on one store each looks at
 * what it knows: two that give out the same port in the same instant are not told.) */
#pragma once

#define SERVICE_PORT_MIN 30000 /* kube-apiserver's own range */
#define SERVICE_PORT_MAX 32767
#define SERVICE_NET "10.96.0.0/12"

struct apiserver;
struct op;
struct services;
struct service_hold; /* of a write under way */
/* The draft of a Service gets what it lacks. 0 or -1 with op->err (422: taken, or out of range). */
int service_allocate(struct op *op);
void service_settle(struct service_hold *h); /* it is over; NULL is fine */
void services_free(struct services *v);      /* NULL is fine */
