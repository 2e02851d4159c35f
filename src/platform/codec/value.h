/* SPDX-License-Identifier: Apache-2.0 */
/* platform/codec/value.h - the stored form of an object: its JSON text without metadata.resourceVersion, which is the
 * store's revision of the row. Both directions work on the text, without parsing it. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* Both are given the text of one JSON object, valid as JSON. */
void value_without_rv(const char *text, size_t len, struct str *out);
void value_with_rv(const char *text, size_t len, uint64_t rv, struct str *out);
/* The value of a member of the object at text: position and length, or NULL. */
const char *value_member(const char *text, size_t len, const char *key, size_t *ret_len);
/* The same for a member of an object that is a member, without looking at what follows it. */
const char *value_member_of(
	const char *text, size_t len, const char *outer, const char *key, size_t *ret_len);
