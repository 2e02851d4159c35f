/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/wire/wire.h"

#include <string.h>

static const char *const phase_names[WIRE_PHASE_MAX] = {
#define X(id, name) [WIRE_PHASE_##id] = name,
	WIRE_PHASES(X)
#undef X
};

static const struct wire_arg args_start[] = { { "vmi", WIRE_OBJ, true }, { "host", WIRE_OBJ, false }, { 0 } };
static const struct wire_arg args_plug_nic[] = { { "interface", WIRE_OBJ, true },
	{ "network", WIRE_OBJ, true }, { "mac", WIRE_STR, false }, { 0 } };
static const struct wire_arg args_unplug_nic[] = { { "name", WIRE_STR, true }, { 0 } };
static const struct wire_arg args_set_link[] = { { "name", WIRE_STR, true }, { "state", WIRE_STR, true },
	{ 0 } };
static const struct wire_arg args_set_cpus[] = { { "sockets", WIRE_UINT, true },
	{ "remove", WIRE_UINT, false }, { 0 } };
static const struct wire_arg args_set_memory[] = { { "bytes", WIRE_UINT, true }, { "max", WIRE_UINT, false },
	{ 0 } };
static const struct wire_arg args_offer_disk[] = { { "id", WIRE_STR, true }, { 0 } };
static const struct wire_arg args_plug_disk[] = { { "id", WIRE_STR, true }, { "disk", WIRE_OBJ, true },
	{ 0 } };
static const struct wire_arg args_unplug_disk[] = { { "id", WIRE_STR, true }, { 0 } };
static const struct wire_arg args_shutdown[] = { { "graceSeconds", WIRE_UINT, false }, { 0 } };
static const struct wire_arg args_console[] = { { "mode", WIRE_STR, false }, { 0 } };
static const struct wire_arg args_none[] = { { 0 } };
#define args_hello args_none
#define args_pause args_none
#define args_unpause args_none
#define args_kill args_none
#define args_reset args_none
#define args_stats args_none
#define args_release args_none

const struct wire_verb_info wire_verbs[WIRE_VERB_MAX] = {
#define V(id, name, phases, limit) [WIRE_##id] = { name, phases, limit, args_##id },
	WIRE_VERBS(V)
#undef V
};

const char *wire_phase_name(enum wire_phase p)
{
	return phase_names[p];
}

bool wire_phase_parse(const char *name, enum wire_phase *ret)
{
	for (int i = 0; i < WIRE_PHASE_MAX; i++)
		if (str_eq(phase_names[i], name)) {
			*ret = (enum wire_phase)i;
			return true;
		}
	return false;
}

bool wire_verb_parse(const char *name, enum wire_verb *ret)
{
	for (int i = 0; i < WIRE_VERB_MAX; i++)
		if (str_eq(wire_verbs[i].name, name)) {
			*ret = (enum wire_verb)i;
			return true;
		}
	return false;
}

static bool type_fits(enum wire_type t, const struct json *v)
{
	switch (t) {
	case WIRE_STR:
		return json_is_str(v);
	case WIRE_OBJ:
		return json_is_obj(v);
	case WIRE_UINT:
		return json_type(v) == JSON_UINT || (json_type(v) == JSON_INT && json_i64(v) >= 0);
	}
	return false;
}

int wire_check(enum wire_verb v, enum wire_phase now, const struct json *args, struct err *e)
{
	static const char *const kinds[] = {
		[WIRE_STR] = "text", [WIRE_UINT] = "a whole number", [WIRE_OBJ] = "an object"
	};
	const struct wire_verb_info *info = &wire_verbs[v];

	if (!(info->phases & (1u << now)))
		return err_set(
			e, ERR_CONFLICT, "%s is not possible in phase %s", info->name, wire_phase_name(now));
	for (const struct wire_arg *a = info->args; a->name; a++) {
		const struct json *val = json_get(args, a->name);

		if (!val && a->must)
			return err_set(
				e, ERR_BAD_REQUEST, "%s needs the argument \"%s\"", info->name, a->name);
		if (val && !type_fits(a->type, val))
			return err_set(e, ERR_BAD_REQUEST, "%s: argument \"%s\" must be %s", info->name,
				a->name, kinds[a->type]);
	}
	JSON_EACH (it, args) {
		const struct wire_arg *a = info->args;

		while (a->name && !str_eq(a->name, it.key))
			a++;
		if (!a->name)
			return err_set(e, ERR_BAD_REQUEST, "%s has no argument \"%s\"", info->name, it.key);
	}
	return 0;
}
