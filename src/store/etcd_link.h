/* SPDX-License-Identifier: Apache-2.0 */
/* store/etcd_link.h - a connection to one of the members of an etcd cluster, and to the next one when it fails. One at a time:
 * what one member has told is in one order. */
#pragma once

#include "base/http2_client.h"

#define ETCD_CONNECT_TIMEOUT_MS 1000
/* When no member could be reached: doubled from the first to the second. */
#define ETCD_RETRY_MIN_MS 50
#define ETCD_RETRY_MAX_MS 1000
#define ETCD_MEMBERS_MAX 32

struct etcd_link;
struct etcd_link_ops {
	void (*up)(void *arg);                        /* connected: calls can be made */
	void (*down)(void *arg, const struct err *e); /* it was up: all calls of the connection are void */
};
/* urls: "https://h:p,http://h:p"; tls as for http2_client, needed if one is https. */
struct etcd_link *etcd_link_new(struct loop *l, const char *urls, struct tls_ctx *tls,
	const struct etcd_link_ops *ops, void *arg, struct err *e);
void etcd_link_free(struct etcd_link *k);                       /* no callbacks. NULL is fine */
struct http2_client *etcd_link_client(struct etcd_link *k);     /* NULL: not up */
const struct err *etcd_link_trouble(const struct etcd_link *k); /* why the last connection failed */
/* Gives this member up; down() follows in a later turn, then the next one's turn comes. */
void etcd_link_drop(struct etcd_link *k, const char *why);
/* It works: failures before this are forgotten. */
void etcd_link_good(struct etcd_link *k);
