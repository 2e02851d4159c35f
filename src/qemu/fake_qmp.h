/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/fake_qmp.h - the other end of a QMP connection, for tests: greets, agrees on capabilities, and knows exactly
 * the commands of qmp_cmds.def; anything else is CommandNotFound. What a command does is the test's. */
#pragma once

#include "base/json.h"
#include "base/loop.h"

struct fake_qmp;
/* Answers one command: JSON text of the return value (single quotes stand for double ones), NULL for {}; or sets
 * *ret_error to the text of a refusal; or sets *ret_silent for no answer at all. */
struct fake_answer {
	const char *error;
	bool silent;
};
typedef const char *fake_qmp_fn(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret);
struct fake_qmp *fake_qmp_new(struct loop *l, int fd /* taken */, fake_qmp_fn *fn, void *arg);
void fake_qmp_free(struct fake_qmp *f);
void fake_qmp_greet(struct fake_qmp *f);
void fake_qmp_event(
	struct fake_qmp *f, const char *name, const char *data); /* data as for answers; NULL: none */
void fake_qmp_raw(struct fake_qmp *f, const void *data, size_t len);
/* Everything sent from now on leaves byte by byte, one per loop turn. */
void fake_qmp_split(struct fake_qmp *f);
