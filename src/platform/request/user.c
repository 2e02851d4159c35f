/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks. */
#include "platform/request/user.h"

#include "base/mem.h"

#include <string.h>

void user_done(struct user *u)
{
	free(u->name);
	free(u->uid);
	strv_done(&u->groups);
	strv_done(&u->extra);
	*u = (struct user){ 0 };
}

void user_copy(struct user *to, const struct user *from)
{
	user_done(to);
	to->name = from->name ? mem_strdup(from->name) : NULL;
	to->uid = from->uid ? mem_strdup(from->uid) : NULL;
	for (size_t i = 0; i < from->groups.len; i++)
		strv_add(&to->groups, from->groups.items[i]);
	for (size_t i = 0; i < from->extra.len; i++)
		strv_add(&to->extra, from->extra.items[i]);
}

bool user_in(const struct user *u, const char *group)
{
	return strv_has(&u->groups, group);
}

void user_to_json(struct json_doc *d, struct json *to, const struct user *u)
{
	if (!str_empty(u->name))
		json_set_str(d, to, "username", u->name);
	if (!str_empty(u->uid))
		json_set_str(d, to, "uid", u->uid);
	for (size_t i = 0; i < u->groups.len; i++)
		json_append_str(d, json_need_arr(d, to, "groups"), u->groups.items[i]);
	for (size_t i = 0; i < u->extra.len; i++) {
		const char *eq = strchr(u->extra.items[i], '=');
		CLEANUP(mem_freep)
		char *key = mem_strndup(u->extra.items[i], (size_t)(eq - u->extra.items[i]));

		json_append_str(d, json_need_arr(d, json_need_obj(d, to, "extra"), key), eq + 1);
	}
}
