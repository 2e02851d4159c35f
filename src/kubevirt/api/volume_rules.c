/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/volume_rules.h"

#include "api/meta.h"
#include "kubevirt/api/names.h"

bool volume_hotpluggable(const struct json *v)
{
	static const char *const kinds[] = { "persistentVolumeClaim", "dataVolume", "hostDisk" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (json_bool(json_get(json_get(v, kinds[i]), "hotpluggable")))
			return true;
	return false;
}

const char *volume_claim(const struct json *v)
{
	const char *name = json_at_str(v, "/persistentVolumeClaim/claimName");

	if (!name)
		name = json_at_str(v, "/dataVolume/name");
	return name ? name : json_at_str(v, "/ephemeral/persistentVolumeClaim/claimName");
}

const char *volume_of_files(const struct json *v)
{
	static const char *const kinds[] = { "configMap", "secret", "downwardAPI", "serviceAccount",
		"sysprep" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (json_is_obj(json_get(v, kinds[i])))
			return kinds[i];
	return NULL;
}

struct json *volume_named(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

bool volumes_move_along(const struct json *vmi)
{
	const struct json *all = json_at(vmi, "/status/conditions");
	const struct json *able = cond_find(all, COND_LIVE_MIGRATABLE),
			  *change = cond_find(all, COND_VOLUMES_CHANGE);

	return str_eq(json_get_str(able, "reason"), REASON_DISKS_BOUND) &&
	       str_eq(json_get_str(change, "status"), "True");
}
