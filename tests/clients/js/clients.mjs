// SPDX-License-Identifier: Apache-2.0
// The official JavaScript client against the server that KUBECONFIG names. Prints TAP.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as k8s from '@kubernetes/client-node';

const PATIENCE = 20000;
const kc = new k8s.KubeConfig();
kc.loadFromDefault(); // $KUBECONFIG
const core = kc.makeApiClient(k8s.CoreV1Api);
const apps = kc.makeApiClient(k8s.AppsV1Api);
const namespace = 'js-' + randomBytes(4).toString('hex');

async function eventually(what, ok) {
	for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(30)) if (await ok()) return;
	throw new Error(`not in ${PATIENCE} ms: ${what}`);
}

async function refused(code, promise) {
	try {
		await promise;
	} catch (e) {
		assert.equal(e.code, code, String(e));
		return typeof e.body === 'string' ? JSON.parse(e.body) : e.body;
	}
	assert.fail(`no error, want ${code}`);
}

const configMap = (name, data, meta = {}) => ({ metadata: { name, namespace, ...meta }, data });
const deployment = (name) => ({
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name, namespace },
	spec: {
		replicas: 2,
		selector: { matchLabels: { app: name } },
		template: {
			metadata: { labels: { app: name } },
			spec: { containers: [{ name: 'main', image: 'registry.invalid/main', env: [{ name: 'A', value: '1' }, { name: 'B', value: '2' }] }] },
		},
	},
});

const checks = {
	async 'the kubeconfig has a cluster, a user and a context'() {
		assert.ok(kc.getCurrentCluster().server.startsWith('https://'));
		assert.ok(kc.getCurrentCluster().caData || kc.getCurrentCluster().caFile);
		assert.ok(kc.getCurrentUser().certData);
		const v = await kc.makeApiClient(k8s.VersionApi).getCode();
		assert.match(v.gitVersion, /^v1\.\d+/);
	},

	async 'create, read, replace, delete'() {
		const made = await core.createNamespacedConfigMap({ namespace, body: configMap('a', { k: 'v' }) });
		assert.ok(made.metadata.uid && made.metadata.creationTimestamp instanceof Date);
		made.data.k = 'w';
		const next = await core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made });
		assert.notEqual(next.metadata.resourceVersion, made.metadata.resourceVersion);
		assert.equal((await refused(409, core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }))).reason, 'Conflict');
		const list = await core.listNamespacedConfigMap({ namespace });
		assert.ok(list.items.some((c) => c.metadata.name === 'a' && c.data.k === 'w'));
		const gone = await core.deleteNamespacedConfigMap({ name: 'a', namespace });
		assert.equal(gone.status, 'Success');
		assert.equal((await refused(404, core.readNamespacedConfigMap({ name: 'a', namespace }))).details.name, 'a');
	},

	async 'a patch of each kind'() {
		const name = 'd';
		await apps.createNamespacedDeployment({ namespace, body: deployment(name) });
		const patch = (body, type) => apps.patchNamespacedDeployment({ name, namespace, body }, k8s.setHeaderOptions('Content-Type', type));
		let d = await patch([{ op: 'replace', path: '/spec/replicas', value: 3 }], k8s.PatchStrategy.JsonPatch);
		assert.equal(d.spec.replicas, 3);
		d = await patch({ spec: { replicas: 4, minReadySeconds: 5 } }, k8s.PatchStrategy.MergePatch);
		assert.deepEqual([d.spec.replicas, d.spec.minReadySeconds], [4, 5]);
		d = await patch({ spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'A', $patch: 'delete' }] }] } } } },
			k8s.PatchStrategy.StrategicMergePatch);
		assert.deepEqual(d.spec.template.spec.containers[0].env.map((e) => e.name), ['B']);
		d = await apps.patchNamespacedDeployment({ name, namespace, fieldManager: 'js', force: true, body: {
			apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { replicas: 6 } } },
		k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.ServerSideApply));
		assert.equal(d.spec.replicas, 6);
		assert.ok(d.metadata.managedFields.some((f) => f.manager === 'js' && f.operation === 'Apply'));
	},

	async 'status and scale'() {
		const d = await apps.patchNamespacedDeploymentStatus({ name: 'd', namespace, body: { status: { replicas: 1 } } },
			k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
		assert.equal(d.status.replicas, 1);
		const s = await apps.readNamespacedDeploymentScale({ name: 'd', namespace });
		s.spec.replicas = 9;
		await apps.replaceNamespacedDeploymentScale({ name: 'd', namespace, body: s });
		assert.equal((await apps.readNamespacedDeployment({ name: 'd', namespace })).spec.replicas, 9);
	},

	async 'KubernetesObjectApi takes any object'() {
		const api = k8s.KubernetesObjectApi.makeApiClient(kc);
		const specs = k8s.loadAllYaml(`
apiVersion: v1
kind: ConfigMap
metadata: {name: y, namespace: ${namespace}}
data: {a: b}
---
apiVersion: v1
kind: Service
metadata: {name: y, namespace: ${namespace}}
spec: {ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: y, namespace: ${namespace}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
`);
		for (const spec of specs) {
			const made = await api.create(spec);
			assert.equal(made.kind, spec.kind);
			const read = await api.read(made);
			assert.equal(read.metadata.uid, made.metadata.uid);
			const patched = await api.patch({ ...spec, metadata: { ...spec.metadata, labels: { l: 'm' } } });
			assert.equal(patched.metadata.labels.l, 'm');
			patched.metadata.labels.l = 'n';
			assert.equal((await api.replace(patched)).metadata.labels.l, 'n');
			const list = await api.list(spec.apiVersion, spec.kind, namespace);
			assert.ok(list.items.some((o) => o.metadata.name === 'y'));
			await api.delete(spec);
			await refused(404, api.read(spec));
		}
		const dry = await api.create(specs[0], undefined, 'All');
		assert.equal(dry.metadata.resourceVersion, undefined);
		await refused(404, api.read(specs[0]));
	},

	async 'custom resources, right after their definition'() {
		const ext = kc.makeApiClient(k8s.ApiextensionsV1Api);
		const group = 'js.coracle.dev';
		const crd = await ext.createCustomResourceDefinition({ body: { metadata: { name: `gems.${group}` }, spec: {
			group, scope: 'Namespaced', names: { plural: 'gems', kind: 'Gem' },
			versions: [{ name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema: {
				type: 'object', properties: {
					spec: { type: 'object', properties: { carat: { type: 'number' }, cut: { type: 'string', _default: 'round' } } },
					status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } } } }] } } });
		assert.equal(crd.spec.names.listKind, 'GemList');
		const custom = kc.makeApiClient(k8s.CustomObjectsApi);
		const at = { group, version: 'v1', namespace, plural: 'gems' };
		const made = await custom.createNamespacedCustomObject({ ...at, body: { apiVersion: `${group}/v1`, kind: 'Gem', metadata: { name: 'g' }, spec: { carat: 1.5, junk: 1 } } });
		assert.deepEqual(made.spec, { carat: 1.5, cut: 'round' });
		const patched = await custom.patchNamespacedCustomObject({ ...at, name: 'g', body: [{ op: 'replace', path: '/spec/carat', value: 2 }] });
		assert.equal(patched.spec.carat, 2);
		await refused(422, custom.patchNamespacedCustomObject({ ...at, name: 'g', body: [{ op: 'replace', path: '/spec/carat', value: 'big' }] }));
		assert.equal((await custom.listNamespacedCustomObject(at)).items.length, 1);
		await custom.deleteNamespacedCustomObject({ ...at, name: 'g' });
		await ext.deleteCustomResourceDefinition({ name: `gems.${group}` });
		await eventually('the definition to go', async () => {
			try {
				await ext.readCustomResourceDefinition({ name: `gems.${group}` });
				return false;
			} catch (e) {
				return e.code === 404;
			}
		});
	},

	async 'a watch tells every change and can be ended'() {
		const path = `/api/v1/namespaces/${namespace}/configmaps`;
		const { metadata } = await core.listNamespacedConfigMap({ namespace });
		const seen = [];
		let ended;
		const done = new Promise((resolve) => { ended = resolve; });
		const request = await new k8s.Watch(kc).watch(path, { resourceVersion: metadata.resourceVersion, labelSelector: 'w', allowWatchBookmarks: true },
			(type, o) => { if (type !== 'BOOKMARK') seen.push(`${type} ${o.metadata.name} ${o.data?.n}`); }, ended);
		for (let i = 0; i < 3; i++) await core.createNamespacedConfigMap({ namespace, body: configMap(`w-${i}`, { n: '0' }, { labels: { w: 'x' } }) });
		await core.replaceNamespacedConfigMap({ name: 'w-0', namespace, body: configMap('w-0', { n: '1' }, { labels: { w: 'x' } }) });
		await core.deleteNamespacedConfigMap({ name: 'w-1', namespace });
		await eventually('the events', () => seen.length >= 5);
		assert.deepEqual(seen, ['ADDED w-0 0', 'ADDED w-1 0', 'ADDED w-2 0', 'MODIFIED w-0 1', 'DELETED w-1 0']);
		request.abort();
		await done;
	},

	async 'kubernetes-api.md 69: a watch with a timeout ends by itself'() {
		const ended = await new Promise((resolve, reject) => {
			new k8s.Watch(kc).watch('/api/v1/namespaces', { timeoutSeconds: 1 }, () => {}, resolve).catch(reject);
		});
		assert.ok(!ended, `ended with ${ended}`);
	},

	async 'an informer keeps a cache, over the end of its watches too'() {
		const path = `/api/v1/namespaces/${namespace}/secrets`;
		const informer = k8s.makeInformer(kc, path, () => core.listNamespacedSecret({ namespace }));
		const seen = { add: [], update: [], delete: [], errors: [] };
		for (const verb of ['add', 'update', 'delete']) informer.on(verb, (o) => seen[verb].push(o.metadata.name));
		informer.on('error', (e) => { seen.errors.push(e); setTimeout(() => informer.start(), 100); });
		await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'before' }, stringData: { a: 'b' } } });
		await informer.start();
		await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'after' } } });
		await core.patchNamespacedSecret({ name: 'after', namespace, body: { metadata: { labels: { a: 'b' } } } },
			k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
		await core.deleteNamespacedSecret({ name: 'before', namespace });
		await eventually('add, update and delete', () => seen.add.includes('before') && seen.add.includes('after') &&
			seen.update.includes('after') && seen.delete.includes('before'));
		assert.equal(informer.get('after', namespace).metadata.labels.a, 'b');
		assert.equal(informer.get('before', namespace), undefined);
		await informer.stop();
	},

	async 'errors are Status objects'() {
		const e = await refused(422, core.createNamespacedConfigMap({ namespace, body: configMap('Bad_Name') }));
		assert.equal(e.reason, 'Invalid');
		assert.equal(e.details.causes[0].field, 'metadata.name');
		const anonymous = new k8s.KubeConfig();
		anonymous.loadFromClusterAndUser(kc.getCurrentCluster(), { name: 'nobody' });
		await refused(403, anonymous.makeApiClient(k8s.CoreV1Api).listNamespacedSecret({ namespace }));
		anonymous.loadFromClusterAndUser(kc.getCurrentCluster(), { name: 'nobody', token: 'wrong' });
		await refused(401, anonymous.makeApiClient(k8s.CoreV1Api).listNamespacedSecret({ namespace }));
	},
};

let failed = 0;
let n = 0;
await core.createNamespace({ body: { metadata: { name: namespace } } });
for (const [name, fn] of Object.entries(checks)) {
	n++;
	try {
		await fn();
		console.log(`ok ${n} - javascript: ${name}`);
	} catch (e) {
		failed++;
		console.log(`not ok ${n} - javascript: ${name}\n# ${(e.stack || String(e)).replaceAll('\n', '\n# ')}`);
	}
}
console.log(`1..${n}`);
await core.deleteNamespace({ name: namespace });
process.exit(failed ? 1 : 0);
