/* SPDX-License-Identifier: Apache-2.0 */
/* kube/events.h - recording Events: same object, reason and message within EVENTS_AGGREGATE_MS raise the count of one Event
 * instead of making another. Best effort: failures are logged at debug level, never retried for ever. */
#pragma once

#include "kube/client.h"

#define EVENTS_AGGREGATE_MS 600000
#define EVENTS_KNOWN_MAX 4096
struct event_recorder;
struct event_recorder *events_new(
	struct kube_client *c, const char *component, const char *host /* or NULL */);
void events_free(struct event_recorder *r);
void events_record(struct event_recorder *r, const struct obj *about, bool warning, const char *reason,
	const char *message);
