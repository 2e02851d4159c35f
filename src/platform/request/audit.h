/* SPDX-License-Identifier: Apache-2.0 */
/* platform/request/audit.h - who asked for what, and what became of it: a JSON line for each answer, an Event of
 * audit.k8s.io/v1 at level Metadata (no bodies). Answers that go on, such as watches, have a line when they begin
 * (ResponseStarted) and one when they end (ResponseComplete). Health checks are left out.
 *
 * The file is appended to; at AUDIT_FILE_MAX it becomes FILE.1, what was FILE.1 becomes FILE.2, and so on up to AUDIT_FILES. A
 * line that can not be written is counted, told in the log once, and does not stop the request. */
#pragma once

#include "platform/request/reqinfo.h"

#define AUDIT_FILE_MAX (100LL * 1024 * 1024)
#define AUDIT_FILES 4 /* kept, besides the one written to */
#define AUDIT_USER_AGENT_MAX 512
#define AUDIT_NOTES_MAX 32 /* annotations of one request */

struct audit;
struct audit *audit_open(struct loop *l, const char *path, struct err *e);
void audit_close(struct audit *a); /* NULL is fine */
uint64_t audit_lost(const struct audit *a);

/* What is remembered of one request until it is answered. */
struct audit_note;
/* user: who came, before it acts for another. NULL if the request is of no interest. */
struct audit_note *audit_begin(struct audit *a, const struct request *r);
void audit_note_free(struct audit_note *n);
/* The first one of a key wins. */
void audit_annotate(struct audit_note *n, const char *key, const char *value);
/* status 0: the client went away before. */
enum audit_stage { AUDIT_STARTED, AUDIT_COMPLETE };
void audit_write(
	struct audit *a, struct audit_note *n, struct request *r, enum audit_stage stage, int status);
