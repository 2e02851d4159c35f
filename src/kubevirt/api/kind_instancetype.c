/* SPDX-License-Identifier: Apache-2.0 */
/* Instance types and preferences: named sizes and choices. Their spec is kept as it is for now; nothing acts on it yet. */
#include "kubevirt/api/kind_defs.h"

#define GROUP "instancetype.kubevirt.io"

/* clang-format off */
FIELD_TABLE(instancetype_fields, NULL, "A named size of virtual machines.", ANY("spec", "The size."));
FIELD_TABLE(preference_fields, NULL, "Named preferences for virtual machines.", ANY("spec", "The preferences."));
/* clang-format on */

static const char *const it_short[] = { "vminstancetype", "vminstancetypes", "vmf", "vmfs", NULL };
const struct kind kind_instancetype = { GROUP, "v1beta1", "VirtualMachineInstancetype",
	"virtualmachineinstancetypes", "virtualmachineinstancetype", it_short, category_all,
	.namespaced = true, .fields = &instancetype_fields };
const struct crd crd_instancetype = { &kind_instancetype, NULL, NULL };

static const char *const cit_short[] = { "vmclusterinstancetype", "vmclusterinstancetypes", "vmcf", "vmcfs",
	NULL };
const struct kind kind_clusterinstancetype = { GROUP, "v1beta1", "VirtualMachineClusterInstancetype",
	"virtualmachineclusterinstancetypes", "virtualmachineclusterinstancetype", cit_short, NULL,
	.fields = &instancetype_fields };
const struct crd crd_clusterinstancetype = { &kind_clusterinstancetype, NULL, NULL };

static const char *const pref_short[] = { "vmpref", "vmprefs", "vmp", "vmps", NULL };
const struct kind kind_preference = { GROUP, "v1beta1", "VirtualMachinePreference",
	"virtualmachinepreferences", "virtualmachinepreference", pref_short, category_all, .namespaced = true,
	.fields = &preference_fields };
const struct crd crd_preference = { &kind_preference, NULL, NULL };

static const char *const cpref_short[] = { "vmcp", "vmcps", NULL };
const struct kind kind_clusterpreference = { GROUP, "v1beta1", "VirtualMachineClusterPreference",
	"virtualmachineclusterpreferences", "virtualmachineclusterpreference", cpref_short, NULL,
	.fields = &preference_fields };
const struct crd crd_clusterpreference = { &kind_clusterpreference, NULL, NULL };
