/* SPDX-License-Identifier: Apache-2.0 */
/* object.h - the object that everything is measured with: a VirtualMachine of about OBJECT_BYTES. */
#pragma once

#include "base/json.h"

#define OBJECT_BYTES 2500
/* Text of a VirtualMachine of that name in namespace NS; the caller frees. */
#define OBJECT_NS "bench"
char *object_text(const char *name);
/* The same text with any name, without building it anew: the load generator shall not be what is measured. */
struct object_form {
	char *head, *tail;
	size_t head_len, tail_len;
};
void object_form_init(struct object_form *f);
void object_form_done(struct object_form *f);
char *object_form_text(const struct object_form *f, const char *name, size_t *ret_len);
