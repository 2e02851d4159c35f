/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/virtctl/rollout.h"

#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"

#define VALUE_MAX 80
#define COLUMN 44 /* where values begin, if the path is not longer */

static const struct json *instance(const struct rollout_view *v)
{
	return v->vmi ? obj_json(v->vmi) : NULL;
}

static bool runs(const struct rollout_view *v)
{
	return v->vmi && !vmi_is_final(instance(v));
}

static size_t count(const struct rollout_view *v, enum change_state s)
{
	size_t n = 0;

	for (size_t i = 0; i < v->edits->n; i++)
		n += v->edits->items[i].state == s;
	return n;
}

enum rollout_result rollout_result(const struct rollout_view *v)
{
	if (!runs(v))
		return ROLLOUT_DONE;
	if (!v->edits->known) /* on its way down, or not yet to be compared */
		return ROLLOUT_PENDING;
	if (count(v, CHANGE_GOING) + count(v, CHANGE_APPLYING))
		return ROLLOUT_PENDING;
	return count(v, CHANGE_STAGED) ? ROLLOUT_STAGED : ROLLOUT_DONE;
}

/* ---- progress ---- */
static double part(int64_t from, int64_t now, int64_t to)
{
	double p;

	if (from == to)
		return -1;
	p = (double)(now - from) / (double)(to - from);
	return p < 0 ? 0 : p > 1 ? 1 : p;
}

static bool number(const char *json, int64_t *ret)
{
	return json && str_to_i64(json, 0, INT64_MAX, ret);
}

double rollout_progress(const struct rollout_view *v, const struct change *c)
{
	const struct json *vmi = instance(v);
	int64_t was, is, has;

	if (c->state != CHANGE_APPLYING)
		return -1;
	switch (c->class) {
	case LIVE_MEMORY: /* guestRequested: the last size that was reached */
		return part(vmi_guest_requested(vmi), vmi_guest_current(vmi), vmi_guest_wanted(vmi));
	case LIVE_CPU_SOCKETS:
		has = json_i64(json_at(vmi, "/status/currentCPUTopology/sockets"));
		return number(c->was, &was) && number(c->is, &is) ? part(was, has, is) : -1;
	default:
		return -1;
	}
}

void rollout_bar(double progress, struct str *out)
{
	int full = (int)(progress * ROLLOUT_BAR_WIDTH);

	str_addc(out, '[');
	for (int i = 0; i < ROLLOUT_BAR_WIDTH; i++)
		str_addc(out, i < full ? '#' : '-');
	str_addf(out, "] %3d%%", (int)(progress * 100));
}

/* ---- values ---- */
/* A text without anything odd in it goes without its quotes. */
static bool plain(const char *json, size_t n)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:";

	return n > 2 && json[0] == '"' && strspn(json + 1, ok) == n - 2;
}

static void add_value(const char *json, size_t max, struct str *out)
{
	size_t n = json ? strlen(json) : 0, cut = n;

	if (!json) {
		str_add(out, "(none)");
		return;
	}
	if (plain(json, n)) {
		json++;
		cut = n -= 2;
	}
	if (cut > max) /* not in the middle of a character */
		for (cut = max; cut && ((unsigned char)json[cut] & 0xc0) == 0x80;)
			cut--;
	str_addn(out, json, cut);
	if (cut < n)
		str_add(out, "...");
}

/* ---- for people ---- */
/* Where a volume is on its way, as its status says. */
static void add_phase(const struct rollout_view *v, const struct change *c, struct str *out)
{
	const char *from = strchr(c->path, '['), *to = from ? strchr(from, ']') : NULL;

	JSON_EACH (it, to ? json_at(instance(v), "/status/volumeStatus") : NULL) {
		const char *name = json_get_str(it.val, "name"), *message = json_get_str(it.val, "message");

		if (name && json_get(it.val, "hotplugVolume") && strlen(name) == (size_t)(to - from) - 1 &&
			!strncmp(name, from + 1, (size_t)(to - from) - 1))
			str_addf(out, "      %s%s%s\n",
				json_str_or(json_get(it.val, "phase"), "no phase yet"),
				str_empty(message) ? "" : ": ", str_empty(message) ? "" : message);
	}
}

/* Many staged fields in a row have the same reason: it stands below the last of them. */
static bool told_below(const struct rollout_view *v, const struct change *c)
{
	const struct change *end = v->edits->items + v->edits->n;

	for (const struct change *next = c + 1; next < end; next++)
		if (next->state == c->state)
			return str_eq(next->why, c->why);
	return false;
}

static void add_waiting(const struct rollout_view *v, const struct change *c, struct str *out)
{
	const struct json *cond = NULL;
	const char *reason, *message;

	if (c->state == CHANGE_STAGED && c->why && !told_below(v, c))
		str_addf(out, "      %s\n", c->why);
	if (c->state == CHANGE_GOING && v->edits->busy_message)
		str_addf(out, "      waits: %s\n", v->edits->busy_message);
	if (c->state == CHANGE_APPLYING && c->class == LIVE_VOLUMES)
		add_phase(v, c, out);
	if (c->state == CHANGE_APPLYING && c->class == LIVE_VOLUMES)
		cond = vmi_cond(instance(v), COND_VOLUMES_CHANGE);
	if (c->state == CHANGE_APPLYING && c->class == LIVE_NICS)
		cond = vmi_cond(instance(v), COND_MIGRATION_REQUIRED);
	if (c->state == CHANGE_APPLYING && c->class == LIVE_MEMORY)
		cond = vmi_cond(instance(v), COND_HOT_MEMORY);
	if (c->state == CHANGE_APPLYING && c->class == LIVE_CPU_SOCKETS)
		cond = vmi_cond(instance(v), COND_HOT_CPU);
	reason = json_get_str(cond, "reason");
	message = json_get_str(cond, "message");
	if (!str_empty(reason) && !str_eq(reason, HOT_MEMORY_IN_PLACE))
		str_addf(out, "      %s%s%s\n", reason, str_empty(message) ? "" : ": ",
			str_empty(message) ? "" : message);
}

static void add_change(const struct rollout_view *v, const struct change *c, struct str *out)
{
	double progress = rollout_progress(v, c);

	str_addf(out, "  %-*s  ", COLUMN, c->path);
	add_value(c->was, VALUE_MAX, out);
	str_add(out, " -> ");
	add_value(c->is, VALUE_MAX, out);
	if (progress >= 0) {
		str_add(out, "  ");
		rollout_bar(progress, out);
	}
	str_addc(out, '\n');
	add_waiting(v, c, out);
}

static void add_section(const struct rollout_view *v, enum change_state s, const char *title, struct str *out)
{
	if (!count(v, s))
		return;
	str_addf(out, "%s:\n", title);
	for (size_t i = 0; i < v->edits->n; i++)
		if (v->edits->items[i].state == s)
			add_change(v, &v->edits->items[i], out);
}

void rollout_text(const struct rollout_view *v, struct str *out)
{
	str_addf(out, "VirtualMachine %s: %s, vmRolloutStrategy %s\n", obj_key(v->vm),
		json_str_or(json_at(obj_json(v->vm), "/status/printableStatus"), "Unknown"),
		v->guessed ? "unknown (the KubeVirt object may not be read): judged by the VM's conditions"
			   : rollout_name(v->config->rollout));
	if (!runs(v)) {
		str_add(out, "it does not run: its next start has what the template says\n");
		return;
	}
	if (!v->edits->known) {
		str_add(out, "nothing to compare with: the instance is going; or how it was started, or what "
			     "its instance type says, can not be seen\n");
		return;
	}
	add_section(v, CHANGE_LIVE, "live, the guest has it", out);
	add_section(v, CHANGE_APPLYING, "being applied", out);
	add_section(v, CHANGE_GOING, "to be applied", out);
	add_section(v, CHANGE_STAGED, "staged, needs a restart or has to be put back", out);
	if (count(v, CHANGE_STAGED) && v->edits->because)
		str_addf(out, "      from %s\n", v->edits->because);
	if (!v->edits->n)
		str_add(out, "the guest has what the template asks for\n");
}

void rollout_line(const struct rollout_view *v, struct str *out)
{
	const char *sep = "";

	for (size_t i = 0; i < v->edits->n; i++) {
		const struct change *c = &v->edits->items[i];
		double progress = rollout_progress(v, c);

		if (c->state != CHANGE_APPLYING && c->state != CHANGE_GOING)
			continue;
		str_addf(out, "%s%s ", sep, strrchr(c->path, '.') ? strrchr(c->path, '.') + 1 : c->path);
		add_value(c->is, VALUE_MAX / 4, out);
		if (progress >= 0) {
			str_addc(out, ' ');
			rollout_bar(progress, out);
		} else if (c->state == CHANGE_GOING) {
			str_add(out, " waits");
		}
		sep = ", ";
	}
	if (!*sep)
		str_add(out, "waits for the instance");
}

/* ---- for programs ---- */
static void put_value(struct json_doc *d, struct json *o, const char *key, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *value = text ? json_parse(text, strlen(text), NULL) : NULL;

	json_set(d, o, key, value ? json_copy(d, json_root(value)) : json_new_null(d));
}

static void put_change(
	const struct rollout_view *v, const struct change *c, struct json_doc *d, struct json *list)
{
	struct json *o = json_new_obj(d);
	double progress = rollout_progress(v, c);

	json_set_str(d, o, "path", c->path);
	json_set_str(d, o, "state", change_state_name(c->state));
	json_set_str(d, o, "class", live_class_name(c->class));
	put_value(d, o, "was", c->was);
	put_value(d, o, "is", c->is);
	if (c->why && c->state == CHANGE_STAGED)
		json_set_str(d, o, "why", c->why);
	if (progress >= 0)
		json_set_i64(d, o, "percent", (int64_t)(progress * 100));
	json_append(d, list, o);
}

struct json_doc *rollout_json(const struct rollout_view *v)
{
	static const char *const results[] = {
		[ROLLOUT_DONE] = "done", [ROLLOUT_STAGED] = "staged", [ROLLOUT_PENDING] = "pending"
	};
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *list = json_new_arr(d);

	json_set_root(d, o);
	json_set_str(d, o, "namespace", obj_namespace(v->vm));
	json_set_str(d, o, "name", obj_name(v->vm));
	json_set_str(d, o, "strategy", v->guessed ? "unknown" : rollout_name(v->config->rollout));
	json_set_bool(d, o, "running", runs(v));
	json_set_str(d, o, "result", results[rollout_result(v)]);
	if (v->edits->busy_reason) {
		json_set_str(d, json_need_obj(d, o, "waits"), "reason", v->edits->busy_reason);
		json_set_str(d, json_need_obj(d, o, "waits"), "message", v->edits->busy_message);
	}
	if (v->edits->because)
		json_set_str(d, o, "because", v->edits->because);
	for (size_t i = 0; i < v->edits->n; i++)
		put_change(v, &v->edits->items[i], d, list);
	json_set(d, o, "changes", list);
	return d;
}

/* ---- as a diff ---- */
/* A value over as many lines as it needs. */
static void add_lines(char sign, const char *text, struct str *out)
{
	CLEANUP(json_doc_freep) struct json_doc *d = text ? json_parse(text, strlen(text), NULL) : NULL;
	CLEANUP(mem_freep) char *pretty = NULL;
	char *rest;
	size_t len;

	if (!d)
		return;
	if (json_is_str(json_root(d))) {
		str_addc(out, sign);
		add_value(text, SIZE_MAX, out);
		str_addc(out, '\n');
		return;
	}
	pretty = rest = json_write_pretty(json_root(d), &len);
	for (char *line; (line = str_next(&rest, '\n'));)
		str_addf(out, "%c%s\n", sign, line);
}

bool rollout_diff(const struct rollout_view *v, struct str *out)
{
	const char *generation = meta_annotation(instance(v), ANN_VM_GENERATION);
	bool any = false;

	if (!runs(v))
		return false;
	for (size_t i = 0; i < v->edits->n; i++) {
		const struct change *c = &v->edits->items[i];

		if (c->state == CHANGE_LIVE)
			continue;
		if (!any)
			str_addf(out,
				"--- VirtualMachineInstance %s, generation %s\n"
				"+++ VirtualMachine %s, generation %lld\n",
				obj_key(v->vmi), generation ? generation : "?", obj_key(v->vm),
				(long long)obj_generation(v->vm));
		any = true;
		str_addf(out, "@@ %s @@ %s\n", c->path, change_state_name(c->state));
		add_lines('-', c->was, out);
		add_lines('+', c->is, out);
	}
	return any;
}
