/* SPDX-License-Identifier: Apache-2.0 */
/* Where storage comes from: the volume sources of pods and of PersistentVolumes, and claims. Sources of clouds and drivers this
 * host can not mount are described too: clients write them, and get them back as they were. */
#include "platform/kinds/builtin.h"

/* ---- references ---- */
FIELD_TABLE_ATOMIC(local_reference_fields, "io.k8s.api.core.v1.LocalObjectReference",
	"Another object of the same namespace, by name.", ROW_STR("name", "Name of the object."));
FIELD_TABLE_ATOMIC(secret_reference_fields, "io.k8s.api.core.v1.SecretReference",
	"A Secret in whatever namespace.", ROW_STR("name", "Name of the Secret."),
	ROW_STR("namespace", "Namespace of the Secret."));
FIELD_TABLE_ATOMIC(typed_local_reference_fields, "io.k8s.api.core.v1.TypedLocalObjectReference",
	"Another object of the same namespace, by kind and name.",
	ROW_STR("apiGroup", "API group of the kind; none is core."),
	{ "kind", F_STRING, FIELD_REQUIRED, "Kind of the object." },
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the object." });
FIELD_TABLE(typed_reference_fields, "io.k8s.api.core.v1.TypedObjectReference",
	"Another object, by kind, name and perhaps namespace.",
	ROW_STR("apiGroup", "API group of the kind; none is core."),
	{ "kind", F_STRING, FIELD_REQUIRED, "Kind of the object." },
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the object." },
	ROW_STR("namespace", "Namespace of the object, if it is another one."));
FIELD_TABLE_ATOMIC(object_field_fields, "io.k8s.api.core.v1.ObjectFieldSelector", "A field of the pod.",
	{ "apiVersion", F_STRING, 0, "Version of the schema the path is written for.", .deflt = "\"v1\"" },
	{ "fieldPath", F_STRING, FIELD_REQUIRED, "Path of the field, such as metadata.name." });
FIELD_TABLE_ATOMIC(resource_field_fields, "io.k8s.api.core.v1.ResourceFieldSelector",
	"A resource of a container.", ROW_STR("containerName", "Container; in environments it is implied."),
	{ "divisor", F_QUANTITY, 0, "Unit the amount is given in.", .deflt = "\"0\"" },
	{ "resource", F_STRING, FIELD_REQUIRED, "limits.cpu, requests.memory and the like." });

/* ---- pieces ---- */
FIELD_TABLE(key_to_path_fields, "io.k8s.api.core.v1.KeyToPath", "A key shown as a file.",
	{ "key", F_STRING, FIELD_REQUIRED, "Key." },
	{ "path", F_STRING, FIELD_REQUIRED, "Path of the file below the volume." },
	{ "mode", F_INT32, 0, "Permission bits of the file; defaultMode if there are none.", .max = 511 });
FIELD_TABLE(downward_file_fields, "io.k8s.api.core.v1.DownwardAPIVolumeFile",
	"A fact about the pod shown as a file.", { "path", F_STRING, FIELD_REQUIRED, "Path of the file." },
	ROW_REF("fieldRef", object_field_fields, "Field of the pod that is shown."),
	ROW_REF("resourceFieldRef", resource_field_fields, "Resource of a container that is shown."),
	{ "mode", F_INT32, 0, "Permission bits of the file; defaultMode if there are none.", .max = 511 });
#define ROW_MODE(p)                                                                                   \
	{                                                                                             \
		p, F_INT32, 0, "Permission bits of files that name none.", .deflt = "420", .max = 511 \
	}
#define FS_TYPE ROW_STR("fsType", "File system on the disk; the driver's usual one if none is named.")
#define READ_ONLY ROW_BOOL("readOnly", "Whether nothing may be written.")
#define LOCAL_SECRET ROW_REF("secretRef", local_reference_fields, "Secret with the credentials.")
#define ANY_SECRET ROW_REF("secretRef", secret_reference_fields, "Secret with the credentials.")

/* ---- sources that pods and PersistentVolumes have in common ---- */
FIELD_TABLE(host_path_fields, "io.k8s.api.core.v1.HostPathVolumeSource", "A path of the node.",
	{ "path", F_STRING, FIELD_REQUIRED, "Path on the node." },
	{ "type", F_STRING, 0, "What must be there, or is made there.", .deflt = "\"\"",
		.enums = "|BlockDevice|CharDevice|Directory|DirectoryOrCreate|File|FileOrCreate|Socket" });
FIELD_TABLE(nfs_fields, "io.k8s.api.core.v1.NFSVolumeSource", "A share of an NFS server.",
	{ "server", F_STRING, FIELD_REQUIRED, "Name or address of the server." },
	{ "path", F_STRING, FIELD_REQUIRED, "Path the server exports." }, READ_ONLY);
FIELD_TABLE(gce_disk_fields, "io.k8s.api.core.v1.GCEPersistentDiskVolumeSource",
	"Deprecated: a disk of Google Compute Engine.",
	{ "pdName", F_STRING, FIELD_REQUIRED, "Name of the disk." }, FS_TYPE,
	ROW_I32("partition", "Partition to mount; 0 is the whole disk."), READ_ONLY);
FIELD_TABLE(aws_disk_fields, "io.k8s.api.core.v1.AWSElasticBlockStoreVolumeSource",
	"Deprecated: a disk of Amazon's Elastic Block Store.",
	{ "volumeID", F_STRING, FIELD_REQUIRED, "Id of the disk." }, FS_TYPE,
	ROW_I32("partition", "Partition to mount; 0 is the whole disk."), READ_ONLY);
FIELD_TABLE(azure_disk_fields, "io.k8s.api.core.v1.AzureDiskVolumeSource", "Deprecated: a disk of Azure.",
	{ "diskName", F_STRING, FIELD_REQUIRED, "Name of the disk." },
	{ "diskURI", F_STRING, FIELD_REQUIRED, "Where the disk is in blob storage." },
	{ "cachingMode", F_STRING, 0, "How the host caches it.", .deflt = "\"ReadWrite\"",
		.enums = "None|ReadOnly|ReadWrite" },
	{ "fsType", F_STRING, 0, "File system on the disk.", .deflt = "\"ext4\"" },
	{ "readOnly", F_BOOL, 0, "Whether nothing may be written.", .deflt = "false" },
	{ "kind", F_STRING, 0, "Whether accounts are shared, one per disk, or managed.",
		.deflt = "\"Shared\"", .enums = "Dedicated|Managed|Shared" });
FIELD_TABLE(fc_fields, "io.k8s.api.core.v1.FCVolumeSource", "A disk reached by Fibre Channel.",
	ROW_STRS("targetWWNs", "World wide names of the target."), ROW_I32("lun", "Logical unit."), FS_TYPE,
	READ_ONLY, ROW_STRS("wwids", "World wide ids of the disk, instead of names and unit."));
FIELD_TABLE(flocker_fields, "io.k8s.api.core.v1.FlockerVolumeSource", "Deprecated: a Flocker volume.",
	ROW_STR("datasetName", "Name of the dataset; the UID is better."),
	ROW_STR("datasetUUID", "UID of the dataset."));
FIELD_TABLE(photon_fields, "io.k8s.api.core.v1.PhotonPersistentDiskVolumeSource",
	"Deprecated: a disk of a Photon controller.", { "pdID", F_STRING, FIELD_REQUIRED, "Id of the disk." },
	FS_TYPE);
FIELD_TABLE(portworx_fields, "io.k8s.api.core.v1.PortworxVolumeSource", "Deprecated: a Portworx volume.",
	{ "volumeID", F_STRING, FIELD_REQUIRED, "Id of the volume." }, FS_TYPE, READ_ONLY);
FIELD_TABLE(quobyte_fields, "io.k8s.api.core.v1.QuobyteVolumeSource", "Deprecated: a Quobyte mount.",
	{ "registry", F_STRING, FIELD_REQUIRED, "Registries as host:port, separated by commas." },
	{ "volume", F_STRING, FIELD_REQUIRED, "Name of the volume." }, READ_ONLY,
	ROW_STR("user", "User it is mounted as."), ROW_STR("group", "Group it is mounted as."),
	ROW_STR("tenant", "Owner of the volume in the backend."));
FIELD_TABLE(vsphere_fields, "io.k8s.api.core.v1.VsphereVirtualDiskVolumeSource",
	"Deprecated: a virtual disk of vSphere.",
	{ "volumePath", F_STRING, FIELD_REQUIRED, "Path of the disk." }, FS_TYPE,
	ROW_STR("storagePolicyName", "Storage policy by name."),
	ROW_STR("storagePolicyID", "Storage policy by id."));

/* ---- sources that differ in where their Secret is ---- */
#define RBD_ROWS(secret)                                                                               \
	{ "monitors", F_LIST, FIELD_REQUIRED | FIELD_ATOMIC, "Monitors of the Ceph cluster.",          \
		.items = F_STRING },                                                                   \
		{ "image", F_STRING, FIELD_REQUIRED, "Name of the image." }, FS_TYPE,                  \
		{ "pool", F_STRING, 0, "Pool of the image.", .deflt = "\"rbd\"" },                     \
		{ "user", F_STRING, 0, "User of the cluster.", .deflt = "\"admin\"" },                 \
		{ "keyring", F_STRING, 0, "Key ring on the node.", .deflt = "\"/etc/ceph/keyring\"" }, \
		secret, READ_ONLY
FIELD_TABLE(rbd_fields, "io.k8s.api.core.v1.RBDVolumeSource", "Deprecated: a block device of Ceph.",
	RBD_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_rbd_fields, "io.k8s.api.core.v1.RBDPersistentVolumeSource",
	"Deprecated: a block device of Ceph.", RBD_ROWS(ANY_SECRET));
#define ISCSI_ROWS(secret)                                                                                   \
	{ "targetPortal", F_STRING, FIELD_REQUIRED, "Address of the target, with port if not 3260." },       \
		{ "iqn", F_STRING, FIELD_REQUIRED, "Qualified name of the target." },                        \
		{ "lun", F_INT32, 0, "Logical unit.", .deflt = "0", .max = 255 },                            \
		{ "iscsiInterface", F_STRING, 0, "Transport.", .deflt = "\"default\"" }, FS_TYPE, READ_ONLY, \
		ROW_STRS("portals", "Further addresses of the target."),                                     \
		ROW_BOOL("chapAuthDiscovery", "Whether discovery authenticates by CHAP."),                   \
		ROW_BOOL("chapAuthSession", "Whether sessions authenticate by CHAP."), secret,               \
		ROW_STR("initiatorName", "Name this side goes by.")
FIELD_TABLE(iscsi_fields, "io.k8s.api.core.v1.ISCSIVolumeSource", "A disk reached by iSCSI.",
	ISCSI_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_iscsi_fields, "io.k8s.api.core.v1.ISCSIPersistentVolumeSource", "A disk reached by iSCSI.",
	ISCSI_ROWS(ANY_SECRET));
#define CINDER_ROWS(secret) \
	{ "volumeID", F_STRING, FIELD_REQUIRED, "Id of the volume." }, FS_TYPE, READ_ONLY, secret
FIELD_TABLE(cinder_fields, "io.k8s.api.core.v1.CinderVolumeSource", "Deprecated: a volume of OpenStack.",
	CINDER_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_cinder_fields, "io.k8s.api.core.v1.CinderPersistentVolumeSource",
	"Deprecated: a volume of OpenStack.", CINDER_ROWS(ANY_SECRET));
#define CEPHFS_ROWS(secret)                                                                   \
	{ "monitors", F_LIST, FIELD_REQUIRED | FIELD_ATOMIC, "Monitors of the Ceph cluster.", \
		.items = F_STRING },                                                          \
		ROW_STR("path", "Directory that becomes the root."),                          \
		ROW_STR("user", "User of the cluster."),                                      \
		ROW_STR("secretFile", "File on the node with the key."), secret, READ_ONLY
FIELD_TABLE(cephfs_fields, "io.k8s.api.core.v1.CephFSVolumeSource", "Deprecated: a file system of Ceph.",
	CEPHFS_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_cephfs_fields, "io.k8s.api.core.v1.CephFSPersistentVolumeSource",
	"Deprecated: a file system of Ceph.", CEPHFS_ROWS(ANY_SECRET));
#define FLEX_ROWS(secret)                                                                          \
	{ "driver", F_STRING, FIELD_REQUIRED, "Name of the driver." }, FS_TYPE, secret, READ_ONLY, \
		ROW_SMAP("options", "Options for the driver.")
FIELD_TABLE(flex_fields, "io.k8s.api.core.v1.FlexVolumeSource",
	"Deprecated: a volume mounted by a program on the node.", FLEX_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_flex_fields, "io.k8s.api.core.v1.FlexPersistentVolumeSource",
	"Deprecated: a volume mounted by a program on the node.", FLEX_ROWS(ANY_SECRET));
#define SCALEIO_ROWS(secret)                                                                                \
	{ "gateway", F_STRING, FIELD_REQUIRED, "Address of the gateway." },                                 \
		{ "system", F_STRING, FIELD_REQUIRED, "Name of the storage system." }, secret,              \
		ROW_BOOL("sslEnabled", "Whether the gateway is reached by TLS."),                           \
		ROW_STR("protectionDomain", "Protection domain."), ROW_STR("storagePool", "Storage pool."), \
		{ "storageMode", F_STRING, 0, "ThickProvisioned or ThinProvisioned.",                       \
			.deflt = "\"ThinProvisioned\"" },                                                   \
		ROW_STR("volumeName", "Name of the volume."),                                               \
		{ "fsType", F_STRING, 0, "File system on the disk.", .deflt = "\"xfs\"" }, READ_ONLY
FIELD_TABLE(scaleio_fields, "io.k8s.api.core.v1.ScaleIOVolumeSource", "Deprecated: a ScaleIO volume.",
	SCALEIO_ROWS(LOCAL_SECRET));
FIELD_TABLE(pv_scaleio_fields, "io.k8s.api.core.v1.ScaleIOPersistentVolumeSource",
	"Deprecated: a ScaleIO volume.", SCALEIO_ROWS(ANY_SECRET));
#define STORAGEOS_ROWS                                                                               \
	ROW_STR("volumeName", "Name of the volume."),                                                \
		ROW_STR("volumeNamespace", "Scope of the volume's name within StorageOS."), FS_TYPE, \
		READ_ONLY
FIELD_TABLE(storageos_fields, "io.k8s.api.core.v1.StorageOSVolumeSource", "Deprecated: a StorageOS volume.",
	STORAGEOS_ROWS, LOCAL_SECRET);
FIELD_TABLE(pv_storageos_fields, "io.k8s.api.core.v1.StorageOSPersistentVolumeSource",
	"Deprecated: a StorageOS volume.", STORAGEOS_ROWS,
	ROW_REF("secretRef", object_reference_fields, "Secret with the credentials."));
#define AZURE_FILE_ROWS                                                             \
	{ "secretName", F_STRING, FIELD_REQUIRED, "Secret with account and key." }, \
		{ "shareName", F_STRING, FIELD_REQUIRED, "Name of the share." }, READ_ONLY
FIELD_TABLE(azure_file_fields, "io.k8s.api.core.v1.AzureFileVolumeSource",
	"Deprecated: a file share of Azure.", AZURE_FILE_ROWS);
FIELD_TABLE(pv_azure_file_fields, "io.k8s.api.core.v1.AzureFilePersistentVolumeSource",
	"Deprecated: a file share of Azure.", AZURE_FILE_ROWS,
	ROW_STR("secretNamespace", "Namespace of the Secret; the pod's by default."));
#define GLUSTER_ROWS                                                                     \
	{ "endpoints", F_STRING, FIELD_REQUIRED, "Endpoints object with the servers." }, \
		{ "path", F_STRING, FIELD_REQUIRED, "Name of the volume." }, READ_ONLY
FIELD_TABLE(gluster_fields, "io.k8s.api.core.v1.GlusterfsVolumeSource", "Deprecated: a Gluster volume.",
	GLUSTER_ROWS);
FIELD_TABLE(pv_gluster_fields, "io.k8s.api.core.v1.GlusterfsPersistentVolumeSource",
	"Deprecated: a Gluster volume.", GLUSTER_ROWS,
	ROW_STR("endpointsNamespace", "Namespace of the Endpoints; the claim's by default."));

/* ---- sources of pods ---- */
FIELD_TABLE(csi_fields, "io.k8s.api.core.v1.CSIVolumeSource", "A volume that a CSI driver makes for the pod.",
	{ "driver", F_STRING, FIELD_REQUIRED, "Name of the driver." }, READ_ONLY, FS_TYPE,
	ROW_SMAP("volumeAttributes", "Settings of the driver."),
	ROW_REF("nodePublishSecretRef", local_reference_fields, "Secret for mounting."));
#define CONFIG_SOURCE_ROWS                                                                      \
	ROW_REFS("items", key_to_path_fields, "Keys to show; all of them if none are listed."), \
		ROW_BOOL("optional", "Whether the object or its keys may be missing.")
FIELD_TABLE(configmap_volume_fields, "io.k8s.api.core.v1.ConfigMapVolumeSource",
	"The keys of a ConfigMap as files.", ROW_STR("name", "Name of the ConfigMap."),
	ROW_MODE("defaultMode"), CONFIG_SOURCE_ROWS);
FIELD_TABLE(secret_volume_fields, "io.k8s.api.core.v1.SecretVolumeSource", "The keys of a Secret as files.",
	ROW_STR("secretName", "Name of the Secret."), ROW_MODE("defaultMode"), CONFIG_SOURCE_ROWS);
FIELD_TABLE(downward_volume_fields, "io.k8s.api.core.v1.DownwardAPIVolumeSource",
	"Facts about the pod as files.", ROW_REFS("items", downward_file_fields, "The files."),
	ROW_MODE("defaultMode"));
FIELD_TABLE(projected_volume_fields, "io.k8s.api.core.v1.ProjectedVolumeSource",
	"Several sources in one directory.", ROW_MODE("defaultMode"),
	ROW_LIST("sources", "The sources, each of one kind."), ROW_OBJ("sources[].configMap", "A ConfigMap."),
	ROW_STR("sources[].configMap.name", "Name of the ConfigMap."),
	ROW_REFS("sources[].configMap.items", key_to_path_fields, "Keys to show; all if none are listed."),
	ROW_BOOL("sources[].configMap.optional", "Whether it may be missing."),
	ROW_OBJ("sources[].secret", "A Secret."), ROW_STR("sources[].secret.name", "Name of the Secret."),
	ROW_REFS("sources[].secret.items", key_to_path_fields, "Keys to show; all if none are listed."),
	ROW_BOOL("sources[].secret.optional", "Whether it may be missing."),
	ROW_OBJ("sources[].downwardAPI", "Facts about the pod."),
	ROW_REFS("sources[].downwardAPI.items", downward_file_fields, "The files."),
	ROW_OBJ("sources[].serviceAccountToken", "A token of the pod's service account, renewed in time."),
	ROW_STR("sources[].serviceAccountToken.audience",
		"Whom the token is for; the API server by default."),
	{ "sources[].serviceAccountToken.expirationSeconds", F_INT, 0, "Lifetime wanted.", .deflt = "3600",
		.min = 600, .max = 4294967296 },
	{ "sources[].serviceAccountToken.path", F_STRING, FIELD_REQUIRED, "Path of the file." },
	ROW_OBJ("sources[].clusterTrustBundle", "Certificates of a trust bundle as one PEM file."),
	ROW_STR("sources[].clusterTrustBundle.name", "The bundle by name."),
	ROW_STR("sources[].clusterTrustBundle.signerName", "Bundles of this signer, with labelSelector."),
	ROW_REF("sources[].clusterTrustBundle.labelSelector", label_selector_fields, "Which of its bundles."),
	ROW_BOOL("sources[].clusterTrustBundle.optional", "Whether there may be none."),
	{ "sources[].clusterTrustBundle.path", F_STRING, FIELD_REQUIRED, "Path of the file." },
	ROW_OBJ("sources[].podCertificate", "A key and a certificate for the pod, renewed in time."),
	{ "sources[].podCertificate.signerName", F_STRING, FIELD_REQUIRED, "Who signs." },
	{ "sources[].podCertificate.keyType", F_STRING, FIELD_REQUIRED, "ED25519, ECDSAP256, RSA3072, ..." },
	ROW_I32("sources[].podCertificate.maxExpirationSeconds", "Longest lifetime that is accepted."),
	ROW_STR("sources[].podCertificate.credentialBundlePath", "File for key and chain together."),
	ROW_STR("sources[].podCertificate.keyPath", "File for the key."),
	ROW_STR("sources[].podCertificate.certificateChainPath", "File for the chain."));

FIELD_TABLE(pvc_spec_fields, "io.k8s.api.core.v1.PersistentVolumeClaimSpec", "What storage is wanted.",
	ROW_STRS("accessModes", "ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod."),
	ROW_REF("selector", label_selector_fields, "Volumes that may be bound."),
	ROW_OBJ("resources", "How much is wanted."),
	ROW_QMAP("resources.limits", "The most that may be used."),
	ROW_QMAP("resources.requests", "The least that will do; storage is the size."),
	ROW_STR("volumeName", "Volume bound, or to be bound."),
	ROW_STR("storageClassName", "Class of storage; empty: none, absent: the default class."),
	ROW_STR("volumeAttributesClassName", "Class of attributes that may change later."),
	ROW_ENUM("volumeMode", "Block|Filesystem", "Whether pods see a file system or a disk."),
	ROW_REF("dataSource", typed_local_reference_fields, "What the volume starts as a copy of."),
	ROW_REF("dataSourceRef", typed_reference_fields,
		"The same, for any kind and perhaps another namespace."));

FIELD_TABLE(pvc_condition_fields, "io.k8s.api.core.v1.PersistentVolumeClaimCondition",
	"A condition of a claim.", CONDITION_ROWS, ROW_TIME("lastProbeTime", "When it was last looked at."));
FIELD_TABLE(pvc_status_fields, "io.k8s.api.core.v1.PersistentVolumeClaimStatus", "How a claim fares.",
	ROW_ENUM("phase", "Bound|Lost|Pending", "Phase."),
	ROW_STRS("accessModes", "Access modes of the volume bound."),
	ROW_QMAP("capacity", "Size of the volume bound."),
	ROW_KEYED_REFS("conditions", pvc_condition_fields, "type", "Conditions, of resizing for example."),
	ROW_QMAP("allocatedResources", "Size set aside while a resize is under way."),
	ROW_SMAP("allocatedResourceStatuses", "How far a resize is, by resource."),
	ROW_STR("currentVolumeAttributesClassName", "Class of attributes in force."),
	ROW_OBJ("modifyVolumeStatus", "A change of attributes under way."),
	ROW_STR("modifyVolumeStatus.targetVolumeAttributesClassName", "Class that is to come into force."),
	{ "modifyVolumeStatus.status", F_STRING, FIELD_REQUIRED, "Pending, InProgress or Infeasible." });

#define COMMON_SOURCE_ROWS                                                                                 \
	ROW_REF("hostPath", host_path_fields, "A path of the node."),                                      \
		ROW_REF("nfs", nfs_fields, "A share of an NFS server."),                                   \
		ROW_REF("fc", fc_fields, "A disk reached by Fibre Channel."),                              \
		ROW_REF("gcePersistentDisk", gce_disk_fields, "Deprecated: a disk of Google's cloud."),    \
		ROW_REF("awsElasticBlockStore", aws_disk_fields, "Deprecated: a disk of Amazon's cloud."), \
		ROW_REF("azureDisk", azure_disk_fields, "Deprecated: a disk of Azure."),                   \
		ROW_REF("flocker", flocker_fields, "Deprecated: a Flocker volume."),                       \
		ROW_REF("photonPersistentDisk", photon_fields, "Deprecated: a Photon disk."),              \
		ROW_REF("portworxVolume", portworx_fields, "Deprecated: a Portworx volume."),              \
		ROW_REF("quobyte", quobyte_fields, "Deprecated: a Quobyte mount."),                        \
		ROW_REF("vsphereVolume", vsphere_fields, "Deprecated: a virtual disk of vSphere.")

FIELD_TABLE(volume_source_fields, "io.k8s.api.core.v1.Volume", "A volume: a name and where it comes from.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the volume, unique within the pod." },
	ROW_OBJ("emptyDir", "A directory that lives as long as the pod."),
	ROW_ENUM("emptyDir.medium", "|HugePages|HugePages-1Gi|HugePages-2Mi|Memory",
		"What it is kept in: the node's disk, or memory."),
	ROW_QTY("emptyDir.sizeLimit", "Size limit."),
	ROW_REF("configMap", configmap_volume_fields, "The keys of a ConfigMap as files."),
	ROW_REF("secret", secret_volume_fields, "The keys of a Secret as files."),
	ROW_REF("downwardAPI", downward_volume_fields, "Facts about the pod as files."),
	ROW_REF("projected", projected_volume_fields, "Several sources in one directory."),
	ROW_OBJ("persistentVolumeClaim", "A claim of the pod's namespace."),
	{ "persistentVolumeClaim.claimName", F_STRING, FIELD_REQUIRED, "Name of the claim." },
	ROW_BOOL("persistentVolumeClaim.readOnly", "Whether nothing may be written."),
	ROW_OBJ("image", "The files of an OCI image, read-only."), ROW_STR("image.reference", "Image."),
	ROW_ENUM("image.pullPolicy", "Always|IfNotPresent|Never", "When it is fetched."),
	ROW_OBJ("ephemeral", "A claim made for the pod, and deleted with it."),
	ROW_OBJ("ephemeral.volumeClaimTemplate", "Template of the claim."),
	ROW_REF("ephemeral.volumeClaimTemplate.metadata", object_meta_fields,
		"Labels and annotations of the claim."),
	{ "ephemeral.volumeClaimTemplate.spec", F_REF, FIELD_REQUIRED, "What storage is wanted.",
		.ref = &pvc_spec_fields },
	ROW_REF("csi", csi_fields, "A volume that a CSI driver makes for the pod."),
	ROW_OBJ("gitRepo", "Deprecated: a checkout of a git repository."),
	{ "gitRepo.repository", F_STRING, FIELD_REQUIRED, "URL of the repository." },
	ROW_STR("gitRepo.revision", "Commit that is checked out."),
	ROW_STR("gitRepo.directory", "Directory it goes into."), COMMON_SOURCE_ROWS,
	ROW_REF("iscsi", iscsi_fields, "A disk reached by iSCSI."),
	ROW_REF("rbd", rbd_fields, "Deprecated: a block device of Ceph."),
	ROW_REF("cinder", cinder_fields, "Deprecated: a volume of OpenStack."),
	ROW_REF("cephfs", cephfs_fields, "Deprecated: a file system of Ceph."),
	ROW_REF("flexVolume", flex_fields, "Deprecated: mounted by a program on the node."),
	ROW_REF("scaleIO", scaleio_fields, "Deprecated: a ScaleIO volume."),
	ROW_REF("storageos", storageos_fields, "Deprecated: a StorageOS volume."),
	ROW_REF("azureFile", azure_file_fields, "Deprecated: a file share of Azure."),
	ROW_REF("glusterfs", gluster_fields, "Deprecated: a Gluster volume."));

/* ---- PersistentVolume ---- */
FIELD_TABLE(pv_csi_fields, "io.k8s.api.core.v1.CSIPersistentVolumeSource",
	"A volume that a CSI driver mounts.", { "driver", F_STRING, FIELD_REQUIRED, "Name of the driver." },
	{ "volumeHandle", F_STRING, FIELD_REQUIRED, "Id of the volume, as the driver knows it." }, READ_ONLY,
	FS_TYPE, ROW_SMAP("volumeAttributes", "Settings of the driver."),
	ROW_REF("controllerPublishSecretRef", secret_reference_fields, "Secret for attaching."),
	ROW_REF("nodeStageSecretRef", secret_reference_fields, "Secret for preparing on a node."),
	ROW_REF("nodePublishSecretRef", secret_reference_fields, "Secret for mounting."),
	ROW_REF("controllerExpandSecretRef", secret_reference_fields, "Secret for growing the volume."),
	ROW_REF("nodeExpandSecretRef", secret_reference_fields, "Secret for growing the file system."));

FIELD_TABLE(pv_spec_fields, "io.k8s.api.core.v1.PersistentVolumeSpec", "What a piece of storage is.",
	ROW_QMAP("capacity", "Size."),
	ROW_STRS("accessModes", "ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod."),
	{ "claimRef", F_REF, 0, "Claim it is bound to.", .ref = &claim_reference_fields },
	{ "persistentVolumeReclaimPolicy", F_STRING, 0, "What becomes of it when its claim goes.",
		.deflt = "\"Retain\"", .enums = "Delete|Recycle|Retain" },
	ROW_STR("storageClassName", "Class of storage it belongs to."),
	ROW_STRS("mountOptions", "Mount options."),
	{ "volumeMode", F_STRING, FIELD_IMMUTABLE, "Whether pods see a file system or a disk.",
		.deflt = "\"Filesystem\"", .enums = "Block|Filesystem" },
	ROW_OBJ("local", "A disk or directory of one node."),
	{ "local.path", F_STRING, FIELD_REQUIRED, "Path on the node." },
	ROW_STR("local.fsType", "File system of a disk."), ROW_OBJ("nodeAffinity", "Where it can be used."),
	ROW_REF("nodeAffinity.required", node_selector_fields, "Nodes it can be used on."),
	ROW_REF("csi", pv_csi_fields, "A volume that a CSI driver mounts."), COMMON_SOURCE_ROWS,
	ROW_REF("iscsi", pv_iscsi_fields, "A disk reached by iSCSI."),
	ROW_REF("rbd", pv_rbd_fields, "Deprecated: a block device of Ceph."),
	ROW_REF("cinder", pv_cinder_fields, "Deprecated: a volume of OpenStack."),
	ROW_REF("cephfs", pv_cephfs_fields, "Deprecated: a file system of Ceph."),
	ROW_REF("flexVolume", pv_flex_fields, "Deprecated: mounted by a program on the node."),
	ROW_REF("scaleIO", pv_scaleio_fields, "Deprecated: a ScaleIO volume."),
	ROW_REF("storageos", pv_storageos_fields, "Deprecated: a StorageOS volume."),
	ROW_REF("azureFile", pv_azure_file_fields, "Deprecated: a file share of Azure."),
	ROW_REF("glusterfs", pv_gluster_fields, "Deprecated: a Gluster volume."),
	ROW_STR("volumeAttributesClassName", "Class of attributes in force."));
