/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/qmp_cmds.h - what the rows of qmp_cmds.def become (models.md 3.3):
 * enum QMP_device_del, struct qmp_device_del, qmp_send_device_del(), a row in qmp_cmds[]. */
#pragma once

#include "base/json.h"
#include "qemu/qmp.h"

#include "qemu/qmp_cmds.def"

enum qmp_cmd {
#define C(id, text, limit, again) QMP_##id,
	QMP_COMMANDS(C)
#undef C
		QMP_CMD_MAX
};

struct qmp_cmd_info {
	const char *wire;
	int limit_ms;
	bool safe_to_repeat;
};
extern const struct qmp_cmd_info qmp_cmds[QMP_CMD_MAX];
bool qmp_cmd_parse(const char *wire, enum qmp_cmd *ret);

#define QMP_CTYPE_str const char *
#define QMP_CTYPE_u64 uint64_t
#define QMP_CTYPE_flag bool
#define QMP_CTYPE_tree const struct json *
#define QMP_MEMBER(type, name, wire) QMP_CTYPE_##type name;
/* A struct without members is a GNU extension; the pad keeps both compilers quiet about it. */
#define C(id, text, limit, again)                   \
	struct qmp_##id {                           \
		QMP_ARGS_##id(QMP_MEMBER) char pad; \
	};                                          \
	void qmp_send_##id(struct qmp *q, const struct qmp_##id *args, qmp_reply_fn *fn, void *arg);
QMP_COMMANDS(C)
#undef C
#undef QMP_MEMBER
