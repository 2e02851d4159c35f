/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/qmp_cmds.h"

#include <string.h>

const struct qmp_cmd_info qmp_cmds[QMP_CMD_MAX] = {
#define C(id, text, limit, again) [QMP_##id] = { text, limit, again },
	QMP_COMMANDS(C)
#undef C
};

bool qmp_cmd_parse(const char *wire, enum qmp_cmd *ret)
{
	for (int i = 0; i < QMP_CMD_MAX; i++)
		if (!strcmp(qmp_cmds[i].wire, wire)) {
			*ret = (enum qmp_cmd)i;
			return true;
		}
	return false;
}

static inline void put_str(struct json_doc *d, struct json *o, const char *key, const char *v)
{
	if (v)
		json_set_str(d, o, key, v);
}

static inline void put_u64(struct json_doc *d, struct json *o, const char *key, uint64_t v)
{
	json_set(d, o, key, json_new_u64(d, v));
}

static inline void put_flag(struct json_doc *d, struct json *o, const char *key, bool v)
{
	json_set_bool(d, o, key, v);
}

/* key NULL: its members are the arguments (blockdev-add, device_add). */
static inline void put_tree(struct json_doc *d, struct json *o, const char *key, const struct json *v)
{
	if (key && v)
		json_set_copy(d, o, key, v);
	else if (v)
		JSON_EACH (it, v)
			json_set_copy(d, o, it.key, it.val);
}

#define QMP_PUT(type, name, wire) put_##type(d, o, wire, a->name);
#define C(id, text, limit, again)                                                                      \
	void qmp_send_##id(struct qmp *q, const struct qmp_##id *a, qmp_reply_fn *fn, void *arg)       \
	{                                                                                              \
		struct json_doc *d = json_doc_new();                                                   \
		struct json *o = json_new_obj(d);                                                      \
                                                                                                       \
		(void)a;                                                                               \
		QMP_ARGS_##id(QMP_PUT)                                                                 \
			qmp_send(q, qmp_cmds[QMP_##id].wire, o, qmp_cmds[QMP_##id].limit_ms, fn, arg); \
		json_doc_free(d);                                                                      \
	}
QMP_COMMANDS(C)
