/* SPDX-License-Identifier: Apache-2.0 */
/* platform/codec/protobuf.h - the tables behind protobuf_decode() and protobuf_encode(): which field number of which message
 * is which member in JSON. Facts of the published generated.proto files; a message is one line:
 *
 *     M("core.v1.Toleration", "1:key:s 2:operator:s 3:value:s 4:effect:s 5:tolerationSeconds:!i")
 *
 * number:member:form, in the order of numbers, messages in the order of names. Forms:
 *     s string   b bool   i integer   d double   y bytes   t Time   u MicroTime   q Quantity   n IntOrString   r raw JSON
 *     L list of strings in a message   O B S  JSONSchemaPropsOrArray, OrBool, OrStringArray
 *     Name or group.v1.Name  a message, of the same group unless it says so
 * after *: repeated, %: a map from strings, ^: its members stand in this message itself (no member name), !: zero is a value
 * (the sender leaves it out when it means nothing), else zero and "" are dropped as JSON's omitempty would. */
#pragma once

#include <stddef.h>

struct protobuf_message {
	const char *name, *fields;
};
/* What every body begins with. */
#define PROTOBUF_MAGIC "k8s\0"
#define PROTOBUF_MAGIC_LEN 4
/* NULL if there is none. */
const struct protobuf_message *protobuf_message(const char *name);
/* "rbac.authorization.k8s.io/v1", "Role" -> rbac.v1.Role. Status and the options come in any group's version. */
const struct protobuf_message *protobuf_message_of(const char *api_version, const char *kind);
/* All, for tests. */
const struct protobuf_message *protobuf_messages(size_t *ret_n);

/* A form taken apart. */
struct protobuf_field {
	int num;
	const char *name, *type; /* not NUL-terminated */
	size_t name_len, type_len;
	char shape;  /* '*', '%', '^' or 0 */
	char scalar; /* the letter, or 0 for a message */
	char keep_zero;
};
/* Reads one field of a table line and moves *at behind it; 0 at the end, < 0 if it is malformed. */
int protobuf_field_next(const char **at, struct protobuf_field *ret);
/* The message a field's type names, seen from a message called `from`. NULL if there is none. */
const struct protobuf_message *protobuf_field_message(const char *from, const struct protobuf_field *f);
