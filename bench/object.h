/* SPDX-License-Identifier: Apache-2.0 */
/* object.h - the object that everything is measured with: a VirtualMachine of about OBJECT_BYTES. */
#pragma once

#include "base/json.h"

#define OBJECT_BYTES 2500
/* Text of a VirtualMachine of that name in namespace NS; the caller frees. */
#define OBJECT_NS "bench"
char *object_text(const char *name);
