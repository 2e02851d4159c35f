/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/lifecycle_impl.h - what the files of lifecycle.h share. */
#pragma once

#include "kubevirt/webhook/lifecycle.h"

/* A JSON patch to be made: its list of operations. */
struct json *lifecycle_add_step(
	struct lifecycle_out *out, const struct kind *k, const char *sub, struct json_doc **ret_doc);
/* value NULL: null; not used by "remove". */
void lifecycle_add_op(
	struct json_doc *d, struct json *ops, const char *op, const char *path, const struct json *value);
/* lifecycle_volumes.c */
lifecycle_fn lifecycle_vm_add_volume, lifecycle_vm_remove_volume, lifecycle_vmi_add_volume,
	lifecycle_vmi_remove_volume;
