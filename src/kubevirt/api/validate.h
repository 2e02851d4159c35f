/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/validate.h - what admission refuses, beyond the schema. Pure. Every cause carries KubeVirt's wording
 * (kubevirt-api.md 6, rollout.md 4, operator.md 1.6); an empty causes list means accepted. */
#pragma once

#include "api/status.h"
#include "kubevirt/api/config.h"

/* old is NULL on create. Defaults are applied to a copy first, so the caller passes what the user wrote. */
void vm_validate(
	const struct json *vm, const struct json *old, const struct kv_config *c, struct causes *causes);
/* Nothing that a guest is made of differs. What is there already is not judged anew then: the strategy, a gate, or we ourselves
 * may have become stricter since, and the VM must still be stopped, for example. */
bool vm_same_guest(const struct json *vm, const struct json *old);
/* A VMI spec; at is where it stands: "spec" or "spec.template.spec". */
void vmi_spec_validate(
	const struct json *spec, const char *at, const struct kv_config *c, struct causes *causes);
/* A VM's template.spec: what LiveUpdate asks beyond the above; nothing under Stage. */
void vm_live_update_validate(const struct json *spec, const struct kv_config *c, struct causes *causes);
/* A write of a VM's status. vmi: its instance, NULL if there is none. */
void vm_validate_status(
	const struct json *vm, const struct json *old, const struct json *vmi, struct causes *causes);
/* trusted: the user is one of KubeVirt's own service accounts. */
void vmi_validate_create(
	const struct json *vmi, const struct kv_config *c, bool trusted, struct causes *causes);
void vmi_validate_update(const struct json *vmi, const struct json *old, bool trusted, struct causes *causes);
/* vmi: the instance it names, NULL if there is none; others: the other VMIMs of the namespace (array, may be NULL). */
void vmim_validate_create(
	const struct json *vmim, const struct json *vmi, const struct json *others, struct causes *causes);
void vmim_validate_update(const struct json *vmim, const struct json *old, struct causes *causes);
/* old NULL on create. count: how many KubeVirt objects exist already. */
void kubevirt_validate(const struct json *kv, const struct json *old, size_t count, struct causes *causes);
void kubevirt_validate_delete(const struct json *kv, size_t vmis, struct causes *causes);

/* Warnings (HTTP Warning headers), added to the list. old may be NULL. */
void vm_warnings(const struct json *vm, struct strv *warnings);
void kubevirt_warnings(const struct json *kv, const struct json *old, struct strv *warnings);

/* "system:serviceaccount:<install ns>:kubevirt-controller" and the like. */
bool is_kubevirt_account(const char *username, const char *install_ns);
