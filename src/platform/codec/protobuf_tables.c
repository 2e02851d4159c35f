/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/codec/protobuf.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct protobuf_message messages[] = {
#define M(name, fields) { name, fields },
#include "platform/codec/protobuf_admin.def"
#include "platform/codec/protobuf_core.def"
#include "platform/codec/protobuf_other.def"
#undef M
};

static int by_name(const void *name, const void *m)
{
	return strcmp(name, ((const struct protobuf_message *)m)->name);
}

const struct protobuf_message *protobuf_message(const char *name)
{
	return bsearch(name, messages, ARRAY_LEN(messages), sizeof(messages[0]), by_name);
}

const struct protobuf_message *protobuf_messages(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(messages);
	return messages;
}

int protobuf_field_next(const char **at, struct protobuf_field *ret)
{
	const char *p = *at;

	*ret = (struct protobuf_field){ 0 };
	while (*p == ' ')
		p++;
	if (!*p)
		return 0;
	while (*p >= '0' && *p <= '9' && ret->num < 100000)
		ret->num = ret->num * 10 + (*p++ - '0');
	if (ret->num == 0 || *p++ != ':')
		return -1;
	ret->name = p;
	ret->name_len = strcspn(p, ": ");
	p += ret->name_len;
	if (*p++ != ':')
		return -1;
	for (; *p && strchr("*%^!", *p); p++) {
		if (*p == '!')
			ret->keep_zero = *p;
		else
			ret->shape = *p;
	}
	ret->type = p;
	ret->type_len = strcspn(p, " ");
	if (ret->type_len == 1)
		ret->scalar = *p;
	*at = p + ret->type_len;
	return ret->type_len > 0 && (ret->name_len > 0) == (ret->shape != '^') ? 1 : -1;
}

const struct protobuf_message *protobuf_field_message(const char *from, const struct protobuf_field *f)
{
	char name[128];
	const char *dot = strchr(from, '.');
	int package = dot ? (int)(strcspn(dot + 1, ".") + (size_t)(dot - from) + 2) : 0; /* "core.v1." */

	if (f->scalar)
		return NULL;
	if (memchr(f->type, '.', f->type_len))
		package = 0;
	if (snprintf(name, sizeof(name), "%.*s%.*s", package, from, (int)f->type_len, f->type) >=
		(int)sizeof(name))
		return NULL;
	return protobuf_message(name);
}
