/* SPDX-License-Identifier: Apache-2.0 */
/* platform/clients/kinds.h - the built-in kinds that scheduler, controllers and node agent read and write as clients. */
#pragma once

#include "api/kind.h"

/* id, group, version, kind, plural, namespaced */
#define PLATFORM_KINDS(X)                                                                      \
	X(pod, "", "v1", "Pod", "pods", true)                                                  \
	X(node, "", "v1", "Node", "nodes", false)                                              \
	X(namespace, "", "v1", "Namespace", "namespaces", false)                               \
	X(configmap, "", "v1", "ConfigMap", "configmaps", true)                                \
	X(secret, "", "v1", "Secret", "secrets", true)                                         \
	X(service, "", "v1", "Service", "services", true)                                      \
	X(endpoints, "", "v1", "Endpoints", "endpoints", true)                                 \
	X(serviceaccount, "", "v1", "ServiceAccount", "serviceaccounts", true)                 \
	X(event, "", "v1", "Event", "events", true)                                            \
	X(pv, "", "v1", "PersistentVolume", "persistentvolumes", false)                        \
	X(pvc, "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true)              \
	X(deployment, "apps", "v1", "Deployment", "deployments", true)                         \
	X(replicaset, "apps", "v1", "ReplicaSet", "replicasets", true)                         \
	X(daemonset, "apps", "v1", "DaemonSet", "daemonsets", true)                            \
	X(statefulset, "apps", "v1", "StatefulSet", "statefulsets", true)                      \
	X(controllerrevision, "apps", "v1", "ControllerRevision", "controllerrevisions", true) \
	X(job, "batch", "v1", "Job", "jobs", true)                                             \
	X(endpointslice, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true)    \
	X(lease, "coordination.k8s.io", "v1", "Lease", "leases", true)                         \
	X(pdb, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true)            \
	X(storageclass, "storage.k8s.io", "v1", "StorageClass", "storageclasses", false)       \
	X(priorityclass, "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false)

#define X(id, ...) extern const struct kind pk_##id;
PLATFORM_KINDS(X)
#undef X
