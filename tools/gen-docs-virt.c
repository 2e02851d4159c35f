/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks from the tables of virt: fields, gates, kinds, QMP commands. */
#include "gen-docs.h"

#include "base/mem.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/gates.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/live.h"
#include "kubevirt/api/tables.h"
#include "qemu/qmp_cmds.h"

/* ---- which field is live ---- */
static void on_live_field(void *arg, const char *path, const struct field *f)
{
	struct str *out = arg;
	const struct live_text *t;

	if (!f->live)
		return;
	t = live_class_text((enum live_class)f->live);
	str_addf(out, "| `%s` | %s | %s | %s |\n", path, t->by, t->limits, t->otherwise);
}

static void live_fields(struct str *out, const char *top)
{
	const struct live_text *t = live_class_text(LIVE_RESTART);

	str_add(out, "| below `spec.template.spec` | under LiveUpdate | limits | beyond them "
		     "|\n|---|---|---|---|\n");
	fields_visit(&vmi_spec_fields, on_live_field, out);
	str_addf(out, "| every other field | %s | %s | %s |\n", t->by, t->limits, t->otherwise);
}

/* ---- gates ---- */
static void gates(struct str *out, const char *top)
{
	static const struct {
		enum gate_stage stage;
		const char *text;
	} stages[] = {
		{ GATE_STAGE_SWITCH, "on; listing it warns; can be disabled" },
		{ GATE_STAGE_BETA, "on unless in `disabledFeatureGates`" },
		{ GATE_STAGE_ALPHA, "off unless in `featureGates`" },
		{ GATE_STAGE_DEPRECATED, "off unless in `featureGates`, which warns" },
		{ GATE_STAGE_GONE, "accepted, without effect, warns" },
		{ GATE_STAGE_GA, "always on; listing it warns" },
	};

	str_add(out, "| state | gates |\n|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		const char *sep = "";

		str_addf(out, "| %s | ", stages[i].text);
		for (int g = 0; g < GATE_MAX; g++) {
			if (gate_stage((enum gate)g) != stages[i].stage)
				continue;
			str_addf(out, "%s%s", sep, gate_name((enum gate)g));
			sep = ", ";
		}
		str_add(out, " |\n");
	}
}

/* ---- kinds and commands ---- */
static void own_kinds(struct str *out, const char *top)
{
	str_add(out, "| CustomResourceDefinition | kind | short names |\n|---|---|---|\n");
	for (size_t i = 0; kinds_own[i]; i++) {
		const struct kind *k = kinds_own[i];
		CLEANUP(mem_freep) char *name = crd_name(k);
		const char *sep = "";

		str_addf(out, "| %s | %s | ", name, k->kind);
		for (size_t n = 0; k->short_names && k->short_names[n]; n++) {
			str_addf(out, "%s%s", sep, k->short_names[n]);
			sep = ", ";
		}
		str_add(out, " |\n");
	}
}

static void qmp_commands(struct str *out, const char *top)
{
	const char *sep = "";

	for (int c = 0; c < QMP_CMD_MAX; c++) {
		str_addf(out, "%s`%s`", sep, qmp_cmds[c].wire);
		sep = ", ";
	}
	str_add(out, "\n");
}

/* ---- every field ---- */
static const char *type_text(enum field_type t)
{
	switch (t) {
	case F_STRING:
	case F_TIME:
	case F_BYTES:
		return t == F_TIME ? "time" : t == F_BYTES ? "base64" : "string";
	case F_INT:
	case F_INT32:
		return "integer";
	case F_BOOL:
		return "boolean";
	case F_NUMBER:
		return "number";
	case F_QUANTITY:
		return "quantity";
	case F_INT_OR_STRING:
		return "integer or string";
	case F_LIST:
	case F_REF_LIST:
		return "list";
	case F_MAP:
	case F_REF_MAP:
		return "map";
	case F_ANY:
		return "anything";
	case F_OBJECT:
	case F_REF:
		return "object";
	}
	return "?";
}

struct reference {
	struct str *out;
	const char *skip; /* rows below it are described elsewhere */
};

static void on_field(void *arg, const char *path, const struct field *f)
{
	struct reference *r = arg;

	if (r->skip && str_starts(path, r->skip))
		return;
	str_addf(r->out, "| `%s` | %s%s | %s", path, type_text(f->type),
		f->flags & FIELD_REQUIRED ? ", required" : "", f->doc ? f->doc : "");
	if (f->enums) {
		str_add(r->out, " One of ");
		for (const char *c = f->enums; *c; c++)
			str_addn(r->out, *c == '|' ? ", " : c, *c == '|' ? 2 : 1);
		str_addc(r->out, '.');
	}
	if (f->deflt)
		str_addf(r->out, " Default `%s`.", f->deflt);
	str_add(r->out, " |\n");
}

static void fields_of(struct str *out, const struct field_table *t, const char *skip)
{
	struct reference r = { .out = out, .skip = skip };

	str_add(out, "| field | type | |\n|---|---|---|\n");
	fields_visit(t, on_field, &r);
}

static void fields_vm(struct str *out, const char *top)
{
	fields_of(out, kind_vm.fields, "spec.template.spec.");
}

static void fields_vmi(struct str *out, const char *top)
{
	fields_of(out, kind_vmi.fields, NULL);
}

static void fields_kubevirt(struct str *out, const char *top)
{
	fields_of(out, kind_kubevirt.fields, NULL);
}

static void fields_instancetype(struct str *out, const char *top)
{
	fields_of(out, kind_instancetype.fields, NULL);
}

static void fields_preference(struct str *out, const char *top)
{
	fields_of(out, kind_preference.fields, NULL);
}

const struct block blocks[] = {
	{ "live-fields", live_fields },
	{ "gates", gates },
	{ "own-kinds", own_kinds },
	{ "qmp-commands", qmp_commands },
	{ "fields-vm", fields_vm },
	{ "fields-vmi", fields_vmi },
	{ "fields-kubevirt", fields_kubevirt },
	{ "fields-instancetype", fields_instancetype },
	{ "fields-preference", fields_preference },
	{ NULL, NULL },
};
