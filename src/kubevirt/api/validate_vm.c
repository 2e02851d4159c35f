/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/validate_impl.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"

static void check_run_strategy(const struct json *spec, struct causes *causes)
{
	static const char *const strategies[] = { "Always", "Halted", "Manual", "RerunOnFailure", "Once",
		"WaitAsReceiver", NULL };
	const char *strategy = json_get_str(spec, "runStrategy");
	bool running = json_is_bool(json_get(spec, "running"));

	if (strategy && running)
		cause_text(causes, REASON_INVALID, "spec.running",
			"Running and RunStrategy are mutually exclusive. Note that Running is deprecated, "
			"please use RunStrategy instead");
	else if (!strategy && !running)
		cause_text(causes, REASON_INVALID, "spec.running", "RunStrategy must be specified");
	else if (strategy && !str_in(strategy, strategies))
		cause_text(causes, REASON_INVALID, "spec.runStrategy", "Invalid RunStrategy (%s)", strategy);
}

static void check_data_volumes(const struct json *spec, struct causes *causes)
{
	const struct json *volumes = json_at(spec, "/template/spec/volumes");

	JSON_EACH (it, json_get(spec, "dataVolumeTemplates")) {
		const char *name = json_at_str(it.val, "/metadata/name");
		CLEANUP(mem_freep) char *field = str_printf("spec.dataVolumeTemplate[%zu]", it.i);
		bool used = false;
		if (str_empty(name)) {
			cause_text(causes, REASON_REQUIRED, field,
				"'name' field must not be empty for DataVolumeTemplate entry %s.", field);
			continue;
		}
		JSON_EACH (v, volumes)
			used = used || str_eq(json_at_str(v.val, "/dataVolume/name"), name) ||
			       str_eq(json_at_str(v.val, "/persistentVolumeClaim/claimName"), name);
		if (!used)
			cause_text(causes, REASON_REQUIRED, field,
				"DataVolumeTemplate entry %s must be referenced in the VMI template's "
				"'volumes' list",
				field);
	}
}

static void check_update_strategy(const struct json *spec, struct causes *causes)
{
	const char *text = json_get_str(spec, "updateVolumesStrategy");
	if (!str_empty(text) && !str_eq(text, "Replacement") && !str_eq(text, "Migration"))
		cause_text(causes, REASON_INVALID, "spec.updateVolumesStrategy",
			"%s is not a valid updateVolumesStrategy", text);
}

/* template.metadata is open in the schema; what instances take from it must be labels and annotations all the same. */
static void check_template_meta(const struct json *template, struct causes *causes)
{
	static const char *const maps[] = { "labels", "annotations" };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		const struct json *map = json_get(json_get(template, "metadata"), maps[i]);
		CLEANUP(mem_freep) char *field = str_printf("spec.template.metadata.%s", maps[i]);
		bool ok = json_is_null(map) || json_is_obj(map);
		JSON_EACH (it, map)
			ok = ok && json_is_str(it.val);
		if (!ok)
			cause_text(causes, REASON_INVALID, field, "%s must be an object of strings", field);
	}
}

bool vm_same_guest(const struct json *vm, const struct json *old)
{
	static const char *const parts[] = { "template", "instancetype", "preference" };
	const struct json *is = json_get(vm, "spec"), *was = json_get(old, "spec");

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!json_eq(json_get(is, parts[i]), json_get(was, parts[i])))
			return false;
	return old != NULL;
}

void vm_validate(
	const struct json *vm, const struct json *old, const struct kv_config *c, struct causes *causes)
{
	const struct json *spec = json_get(vm, "spec"), *template = json_get(spec, "template");

	/* An object on its way out only loses finalizers: nothing in its spec may hold it back. */
	if (old && json_get(meta_of(vm), "deletionTimestamp"))
		return;
	if (old && json_eq(spec, json_get(old, "spec")))
		return;
	if (!json_is_obj(template)) {
		cause_text(causes, REASON_REQUIRED, "spec.template", "missing virtual machine template.");
		return;
	}
	check_run_strategy(spec, causes);
	check_template_meta(template, causes);
	if (!vm_same_guest(vm, old)) {
		vm_spec_validate(
			json_get(template, "spec"), json_is_obj(json_get(spec, "instancetype")), c, causes);
		vm_live_update_validate(json_get(template, "spec"), c, causes);
	}
	check_data_volumes(spec, causes);
	check_update_strategy(spec, causes);
}

/* Only what is new is refused: requests that were there go as they are done. */
static bool asks_for_more(const struct json *requests, const struct json *before)
{
	JSON_EACH (it, requests) {
		bool known = false;
		JSON_EACH (was, before)
			known = known || json_eq(it.val, was.val);
		if (!known)
			return true;
	}
	return false;
}

/* rollout.md 4.1 */
void vm_validate_status(
	const struct json *vm, const struct json *old, const struct json *vmi, struct causes *causes)
{
	const struct json *move = json_at(vmi, "/status/migrationState");
	bool moving = json_get_str(move, "startTimestamp") && !json_get_str(move, "endTimestamp");

	if (moving &&
		asks_for_more(json_at(vm, "/status/volumeRequests"), json_at(old, "/status/volumeRequests")))
		cause_text(causes, REASON_NOT_SUPPORTED, "spec",
			"Cannot handle volume requests while VMI migration is in progress");
}

/* What is asked for by annotation and will not be there when the instance starts: nothing else says so in time. */
static void warn_of_memory(const struct json *template, struct strv *warnings)
{
	const struct json *domain = json_at(template, "/spec/domain"),
			  *annotations = json_at(template, "/metadata/annotations");
	const struct json *floor = json_get(annotations, ANN_MEMORY_FLOOR),
			  *room = json_get(annotations, ANN_MEMORY_ROOM);
	int64_t guest = domain_guest_memory(domain), block = domain_memory_block(domain);
	int64_t max = quantity_bytes(json_at(domain, "/memory/maxGuest"));
	int64_t least = floor ? quantity_bytes(floor) : -1;

	if (floor && (least < MEMORY_FLOOR_MIN || least % block || (guest >= 0 && least >= guest)))
		strv_add(warnings,
			"annotation " ANN_MEMORY_FLOOR
			" has no effect: it has to be 1Gi or more, in whole blocks (2Mi, or 1Gi with "
			"pages of 1Gi), and less than the guest's memory");
	if (room && (quantity_bytes(room) < 0 || (max >= 0 && quantity_bytes(room) <= max)))
		strv_add(warnings,
			"annotation " ANN_MEMORY_ROOM " has no effect: it has to be more than maxGuest");
}

void vm_warnings(const struct json *vm, struct strv *warnings)
{
	if (json_is_bool(json_at(vm, "/spec/running")))
		strv_add(warnings, "spec.running is deprecated, please use spec.runStrategy instead.");
	warn_of_memory(json_at(vm, "/spec/template"), warnings);
}

bool is_kubevirt_account(const char *username, const char *install_ns)
{
	static const char *const accounts[] = { KV_SA_API, KV_SA_CONTROLLER, KV_SA_HANDLER, KV_SA_OPERATOR,
		NULL };
	static const char prefix[] = "system:serviceaccount:";
	size_t ns = strlen(install_ns);

	if (!str_starts(username, prefix))
		return false;
	const char *rest = username + strlen(prefix);
	return strncmp(rest, install_ns, ns) == 0 && rest[ns] == ':' && str_in(rest + ns + 1, accounts);
}
