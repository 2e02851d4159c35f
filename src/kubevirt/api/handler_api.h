/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/handler_api.h - what virt-api asks of virt-handler, over the network.
 *
 * virt-handler listens on port KV_PORT_HANDLER (8186) of its pod's IP, HTTPS only. Server certificate: Secret
 * KV_SECRET_HANDLER_SERVER, whose DNS SANs include KV_CN_HANDLER_SERVER (what virt-api verifies, whatever the address).
 * Client certificate: demanded, signed by the CA of ConfigMap KV_CONFIGMAP_CA, common name KV_CN_HANDLER_CLIENT
 * (Secret KV_SECRET_HANDLER); anything else is 401.
 *
 *   PUT  /v1/namespaces/NS/virtualmachineinstances/NAME/pause      200, empty
 *   PUT  /v1/namespaces/NS/virtualmachineinstances/NAME/unpause    200, empty
 *   PUT  /v1/namespaces/NS/virtualmachineinstances/NAME/reset      200, empty
 *   GET  /v1/namespaces/NS/virtualmachineinstances/NAME/console    with Connection: Upgrade, Upgrade: HANDLER_CONSOLE_PROTO:
 *        101, and from then on raw console bytes both ways until either side closes. ?mode=shared or listen as in
 *        kubevirt/wire/wire.h, default takeover: a new console ends the old one.
 *
 * Failures come before the upgrade as a Status object (application/json): 404 this node runs no such VMI; 409 "VMI is not
 * running" or the launcher's refusal; 503 the launcher does not answer. virt-api has checked everything that the VMI object
 * tells (phase, conditions, devices) before it asks. */
#pragma once

#define HANDLER_CONSOLE_PROTO "kubevirt-console"
#define HANDLER_PATH_FMT \
	"/v1/namespaces/%s/virtualmachineinstances/%s/%s" /* ns, name, console|pause|unpause|reset */
