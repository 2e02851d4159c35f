/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/names.h - every name the virt programs agree on with each other or with KubeVirt's clients: labels,
 * annotations, finalizers, accounts, secrets, services, ports, event and condition types. kubevirt-api.md 4-8, operator.md 2.
 * Values are KubeVirt's own; those without counterpart there start with "coracle". */
#pragma once

/* ---- where things live ---- */
#define KV_NAMESPACE_DEFAULT "kubevirt" /* the install namespace, when POD_NAMESPACE does not say */
#define KV_CR_NAME_DEFAULT "kubevirt"
#define KV_HOST_DIR_ENV "KUBEVIRT_HOST_DIR"
#define KV_HOST_DIR_DEFAULT "/var/run/kubevirt"
#define KV_VM_DIR "/var/run/kubevirt/vm" /* the VM's own directory inside its launcher */
#define KV_LAUNCHER_UID 107

/* ---- components: value of label kubevirt.io, name of Deployment/DaemonSet and ServiceAccount prefix ---- */
#define KV_VIRT_OPERATOR "virt-operator"
#define KV_VIRT_API "virt-api"
#define KV_VIRT_CONTROLLER "virt-controller"
#define KV_VIRT_HANDLER "virt-handler"
#define KV_VIRT_LAUNCHER "virt-launcher"
#define KV_HOTPLUG_DISK "hotplug-disk" /* attachment pods */
#define KV_SA_OPERATOR "kubevirt-operator"
#define KV_SA_API "kubevirt-apiserver"
#define KV_SA_CONTROLLER "kubevirt-controller"
#define KV_SA_HANDLER "kubevirt-handler"
#define KV_SERVICE_API "virt-api"
#define KV_SERVICE_OPERATOR_WEBHOOK "kubevirt-operator-webhook"
#define KV_PORT_METRICS 8443 /* every component: /metrics, /healthz (TLS) */
#define KV_PORT_API 8443     /* virt-api; Service port 443 */
#define KV_PORT_OPERATOR_WEBHOOK 8444
#define KV_PORT_HANDLER 8186 /* kubevirt/api/handler_api.h */

/* ---- certificates: Secrets (tls.crt, tls.key) and ConfigMap (ca-bundle) in the install namespace ---- */
#define KV_SECRET_CA "kubevirt-ca"
#define KV_SECRET_API "kubevirt-virt-api-certs"          /* server: virt-api.<ns>.svc */
#define KV_SECRET_CONTROLLER "kubevirt-controller-certs" /* server */
#define KV_SECRET_OPERATOR "kubevirt-operator-certs"     /* server: kubevirt-operator-webhook.<ns>.svc */
#define KV_SECRET_HANDLER \
	"kubevirt-virt-handler-certs" /* client: CN below; virt-api shows it to virt-handler */
#define KV_SECRET_HANDLER_SERVER \
	"kubevirt-virt-handler-server-certs" /* server: CN below is the name to verify */
#define KV_CONFIGMAP_CA "kubevirt-ca"
#define KV_CA_BUNDLE_KEY "ca-bundle"
#define KV_CN_HANDLER_CLIENT "kubevirt.io:system:client:virt-handler"
#define KV_CN_HANDLER_SERVER \
	"kubevirt.io:system:node:virt-handler" /* also a DNS SAN of the server certificate */

/* ---- labels ---- */
#define LABEL_APP "kubevirt.io" /* on components: their name; on launchers: virt-launcher; on CRDs: "" */
#define LABEL_CREATED_BY "kubevirt.io/created-by" /* launcher pod: VMI uid */
#define LABEL_NODE_NAME "kubevirt.io/nodeName"
#define LABEL_MIGRATION_JOB "kubevirt.io/migrationJobUID"
#define LABEL_MIGRATION_TARGET_NODE "kubevirt.io/migrationTargetNodeName"
#define LABEL_MIGRATION_SELECTOR "kubevirt.io/vmi-name" /* on VMIMs */
#define LABEL_SCHEDULABLE "kubevirt.io/schedulable"
#define LABEL_CPU_MANAGER "kubevirt.io/cpumanager"
#define LABEL_OUTDATED_LAUNCHER "kubevirt.io/outdatedLauncherImage"
#define LABEL_VM_NAME "vm.kubevirt.io/name"
#define LABEL_VMI_ID "vmi.kubevirt.io/id"
#define LABEL_INSTALL_STRATEGY "kubevirt.io/install-strategy"
#define LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
#define LABEL_POD_CPU_LIMITS "kubevirt.io/vmi-pod-cpu-resource-limits"
#define LABEL_POD_MEMORY_REQUESTS "kubevirt.io/vmi-pod-memory-resource-requests"
#define LABEL_AUTO_LIMIT_RATIO "alpha.kubevirt.io/auto-memory-limits-ratio" /* on a namespace */
#define LABEL_MEMORY_OVERHEAD_RATIO "kubevirt.io/memory-hotplug-overhead-ratio"
#define LABEL_VOLUME_UPDATE_MIGRATION "kubevirt.io/volume-update-migration"
#define LABEL_ARCH "kubernetes.io/arch"
#define LABEL_EMULATES_PREFIX \
	"coracle.dev/emulates-" /* + arm64: this node, of another one, runs such guests */
#define LABEL_MACHINE_TYPE_PREFIX "machine-type.node.kubevirt.io/"
#define LABEL_CPU_MODEL_PREFIX "cpu-model.node.kubevirt.io/"
#define LABEL_CPU_FEATURE_PREFIX "cpu-feature.node.kubevirt.io/"
#define LABEL_HOST_MODEL_PREFIX "host-model-cpu.node.kubevirt.io/"
#define LABEL_CPU_VENDOR_PREFIX "cpu-vendor.node.kubevirt.io/"

/* ---- annotations ---- */
#define ANN_DOMAIN "kubevirt.io/domain"
/* On a VM, by virt-api with the edit of the template: volumes, by name, that addvolume and removevolume asked for. They reach the
 * instance under either strategy (decision 4); virt-controller takes them off when they have. */
#define ANN_VOLUMES_AT_ONCE "coracle.dev/volumes-at-once"
#define ANN_HEARTBEAT "kubevirt.io/heartbeat"
#define ANN_VM_GENERATION "kubevirt.io/vm-generation"
#define ANN_MEMORY_OVERHEAD "kubevirt.io/memory-overhead-bytes"
#define ANN_MIGRATION_TRANSPORT_UNIX "kubevirt.io/migrationTransportUnix"
#define ANN_WORKLOAD_UPDATE_MIGRATION "kubevirt.io/workloadUpdateMigration"
#define ANN_WORKLOAD_UPDATE_ABORT "kubevirt.io/testWorkloadUpdateMigrationAbortion"
#define ANN_EVACUATION_MIGRATION "kubevirt.io/evacuationMigration"
#define ANN_PCI_TOPOLOGY "kubevirt.io/pci-topology-version"
#define ANN_BRIDGE_MIGRATION "kubevirt.io/allow-pod-bridge-network-live-migration"
#define ANN_RESTORE_RUN_STRATEGY "kubevirt.io/restore-run-strategy"
#define ANN_IMMEDIATE_DATA_VOLUME "kubevirt.io/immediate-data-volume-creation"
#define ANN_STRATEGY_VERSION "kubevirt.io/install-strategy-version"
#define ANN_STRATEGY_REGISTRY "kubevirt.io/install-strategy-registry"
#define ANN_STRATEGY_IDENTIFIER "kubevirt.io/install-strategy-identifier"
#define ANN_STRATEGY_ENCODING "kubevirt.io/install-strategy-cm-encoding"
#define ANN_GENERATION "kubevirt.io/generation"
#define ANN_CUSTOMIZER "kubevirt.io/customizer-identifier"
#define ANN_TEST_MEMORY_FAIL "kubevirt.io/func-test-memory-hotplug-fail"
#define ANN_TEST_LAUNCHER_FAIL "kubevirt.io/func-test-virt-launcher-fail-fast"
#define ANN_SKIP_BACKUP_HOOKS "kubevirt.io/skip-backup-hooks"
#define ANN_DESCHEDULER_EVICT "descheduler.alpha.kubernetes.io/evict"
#define ANN_DESCHEDULER_PREFER_NO_EVICTION "descheduler.alpha.kubernetes.io/prefer-no-eviction"
/* "true" on a VM, or on the KubeVirt object for all VMs that do not say "false" (docs/rollout.md) */
#define ANN_ROLLOUT_CONFIGURATION "coracle.dev/rollout-configuration"
#define ANN_ENFORCE_PLACEMENT "coracle.dev/enforce-placement"     /* copied to the instance */
#define ANN_CONFIGURATION_DRIFT "coracle.dev/configuration-drift" /* on a VM: what it would get at a start */
#define ANN_DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container"
#define ANN_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* ---- finalizers ---- */
#define FINALIZER_KUBEVIRT "kubevirt.io/foregroundDeleteKubeVirt"
#define FINALIZER_VMI "kubevirt.io/foregroundDeleteVirtualMachine"
#define FINALIZER_VM "kubevirt.io/virtualMachineControllerFinalize" /* on VM and on its VMI */
#define FINALIZER_VMIM "kubevirt.io/migrationJobFinalize"

/* ---- pods ---- */
#define POD_GATE_UNPAUSED "kubevirt.io/virtual-machine-unpaused"
#define POD_CONTAINER_COMPUTE "compute"
#define RESOURCE_KVM "devices.kubevirt.io/kvm"
#define RESOURCE_TUN "devices.kubevirt.io/tun"
#define RESOURCE_VHOST_NET "devices.kubevirt.io/vhost-net"
#define TAINT_DRAIN "kubevirt.io/drain"

/* ---- conditions ---- */
#define COND_READY "Ready"
#define COND_FAILURE "Failure"
#define COND_PAUSED "Paused"
#define COND_SYNCHRONIZED "Synchronized"
#define COND_RESTART_REQUIRED "RestartRequired"
#define COND_LIVE_MIGRATABLE "LiveMigratable"
#define COND_HOT_CPU "HotVCPUChange"
#define COND_HOT_MEMORY "HotMemoryChange"
#define COND_VOLUMES_CHANGE "VolumesChange"
#define REASON_DISKS_BOUND "DisksNotLiveMigratable" /* of LiveMigratable */
#define COND_MIGRATION_REQUIRED "MigrationRequired"
#define COND_AGENT_CONNECTED "AgentConnected"
#define COND_POD_SCHEDULED "PodScheduled"

/* ---- revisions and generated names ---- */
#define VM_REVISION_PREFIX "revision-start-vm-" /* + VM uid + "-" + generation */
#define VMIM_PREFIX_VM "kubevirt-migrate-vm-"
#define VMIM_PREFIX_WORKLOAD_UPDATE "kubevirt-workload-update-"
#define VM_FIRMWARE_UUID_NAMESPACE "6a1a24a1-4061-4607-8bf4-a3963d0c5895" /* kubevirt-api.md 5 */
