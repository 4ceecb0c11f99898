import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../src/config.ts';
import { type Env, readEnv } from '../../src/env.ts';
import { makeFolder, openGateway } from '../support/gateway.ts';
import { selfSigned } from '../support/tls.ts';
import { placeOf } from './support/compose.ts';
import { assignments, parseDockerfile } from './support/dockerfile.ts';
import { checkNames, checkValues, type Manifest, readManifests } from './support/kubernetes.ts';

const manifests = readManifests();
let folder: string;
beforeAll(() => {
  folder = makeFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function only(kind: string, name = 'sage-gateway'): Manifest {
  const found = manifests.find(({ kind: each, metadata }) => each === kind && metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

const Probe = Type.Object({
  httpGet: Type.Object({ path: Type.String(), port: Type.String(), scheme: Type.Literal('HTTPS') }),
});
const Container = Type.Object({
  image: Type.String(),
  ports: Type.Array(Type.Object({ name: Type.String(), containerPort: Type.Number() })),
  env: Type.Array(Type.Object({ name: Type.String(), value: Type.String() })),
  envFrom: Type.Array(Type.Object({ configMapRef: Type.Object({ name: Type.String() }) })),
  volumeMounts: Type.Array(Type.Object({ name: Type.String(), mountPath: Type.String() })),
  securityContext: Type.Unknown(),
  resources: Type.Object({ requests: Type.Unknown(), limits: Type.Unknown() }),
  startupProbe: Probe,
  readinessProbe: Probe,
  livenessProbe: Probe,
  lifecycle: Type.Object({ preStop: Type.Object({ sleep: Type.Object({ seconds: Type.Number() }) }) }),
});
const Labels = Type.Record(Type.String(), Type.String());
const Volume = Type.Object({
  name: Type.String(),
  configMap: Type.Optional(Type.Object({ name: Type.String() })),
  secret: Type.Optional(Type.Object({ secretName: Type.String(), defaultMode: Type.Number() })),
  emptyDir: Type.Optional(Type.Object({ sizeLimit: Type.String() })),
});
const Pod = Type.Object({
  serviceAccountName: Type.String(),
  automountServiceAccountToken: Type.Literal(false),
  terminationGracePeriodSeconds: Type.Number(),
  securityContext: Type.Unknown(),
  containers: Type.Array(Container, { minItems: 1, maxItems: 1 }),
  volumes: Type.Array(Volume),
});
const DeploymentShape = Type.Object({
  spec: Type.Object({
    selector: Type.Object({ matchLabels: Labels }),
    template: Type.Object({ metadata: Type.Object({ labels: Labels }), spec: Pod }),
  }),
});
const deployment = Value.Parse(DeploymentShape, only('Deployment')).spec;
const pod = deployment.template.spec;
const [container] = pod.containers;
if (container === undefined) throw new Error('no container');

describe('by Kubernetes’ schemas', () => {
  test.each(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
    '%s has values that may be',
    (_name, manifest) => {
      checkValues(manifest);
    },
  );

  test('and every name in them exists', async () => {
    expect(await checkNames(manifests, join(folder, 'good'))).toBe('');
  });

  test('a broken manifest is refused', async () => {
    const broken = (replace: string, by: string): Manifest =>
      JSON.parse(JSON.stringify(only('Deployment')).replace(replace, by));
    const wrongValue = broken('"containerPort":8080', '"containerPort":"https"');
    expect(() => checkValues(wrongValue)).toThrow(/containerPort/);
    expect(() => checkValues(broken('"selector":', '"chooser":'))).toThrow(/selector/);
    const wrongName = broken('"livenessProbe":', '"livenessprobe":');
    expect(await checkNames([wrongName], join(folder, 'bad'))).toMatch(/livenessprobe/);
  });
});

describe('the pod', () => {
  test('is as restricted as the profile asks, and more', () => {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 10_001,
      runAsGroup: 10_001,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.any(String), memory: expect.any(String) },
      limits: { cpu: expect.any(String), memory: expect.any(String) },
    });
    for (const { emptyDir } of pod.volumes)
      if (emptyDir !== undefined) expect(emptyDir.sizeLimit).toMatch(/^\d+Mi$/);
    expect(only('ServiceAccount')).toMatchObject({ automountServiceAccountToken: false });
    expect(pod.serviceAccountName).toBe(only('ServiceAccount').metadata.name);
  });

  test('mounts what is there, and all of it', () => {
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(
      pod.volumes.map(({ name }) => name).sort(),
    );
    for (const { configMap, secret } of pod.volumes) {
      if (configMap !== undefined) only('ConfigMap', configMap.name);
      // Not for others of the pod, should there be any.
      if (secret !== undefined) expect(secret.defaultMode).toBe(0o440);
    }
  });

  test('is asked where the gateway answers', async () => {
    await using gateway = await openGateway({
      agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
      atOnce: true,
    });
    const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
    for (const { httpGet } of probes) {
      expect(container.ports.map(({ name }) => name)).toContain(httpGet.port);
      expect((await fetch(new URL(httpGet.path, gateway.origin))).status, httpGet.path).toBe(200);
    }
    expect(container.livenessProbe.httpGet.path).toBe('/health/live');
  });
});

describe('the settings', () => {
  let env: Env;
  beforeAll(async () => {
    const secrets = join(folder, 'secrets');
    execFileSync('sh', [placeOf('deploy/scripts/make-secrets.sh'), secrets]);
    const { cert, key } = await selfSigned();
    writeFileSync(join(secrets, 'tls.crt'), cert);
    writeFileSync(join(secrets, 'tls.key'), key);
    const image = parseDockerfile(readFileSync(placeOf('Dockerfile'), 'utf8')).at(-1)?.instructions ?? [];
    const Data = Type.Object({ data: Labels });
    const settings = container.envFrom.map(
      ({ configMapRef }) => Value.Parse(Data, only('ConfigMap', configMapRef.name)).data,
    );
    const given = container.env.map(({ name, value }) => [name, value.replace(/^.*\//, `${secrets}/`)]);
    env = readEnv({
      ...assignments(image.find(({ name }) => name === 'ENV')?.rest ?? ''),
      ...Object.assign({}, ...settings),
      ...Object.fromEntries(given),
    });
  });

  test('are accepted by the product, in production', () => {
    expect(env).toMatchObject({ sageEnv: 'production', host: '0.0.0.0' });
    expect(container.ports.map(({ containerPort }) => containerPort)).toEqual([env.port]);
    for (const secret of [env.operatorApiKey, env.clusterSecret, env.databaseUrl, env.redisUrl])
      expect(secret).toMatch(/[0-9a-f]{64}/);
  });

  test('give secrets as files that are mounted', () => {
    const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
    for (const { name, value } of container.env) {
      expect(name).toMatch(/_FILE$/);
      expect(
        mounts.some((mount) => value.startsWith(`${mount}/`)),
        value,
      ).toBe(true);
    }
    for (const path of [env.configFile, env.dataDir])
      expect(
        mounts.some((mount) => `${path}/`.startsWith(`${mount}/`)),
        path,
      ).toBe(true);
  });

  test('let it drain before it is killed', () => {
    const pause = container.lifecycle.preStop.sleep.seconds;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(pause + env.drainTimeoutMs / 1_000);
  });

  test('have a sage.yaml that is one', () => {
    const { data } = Value.Parse(Type.Object({ data: Labels }), only('ConfigMap', 'sage-gateway-config'));
    expect(Object.keys(data)).toEqual([env.configFile.split('/').at(-1)]);
    expect(parseConfig(data['sage.yaml'] ?? '', 'sage.yaml').agents.length).toBeGreaterThan(0);
  });
});

describe('what belongs together', () => {
  test('is in one namespace, which refuses what is less restricted', () => {
    const others = manifests.filter(({ kind }) => kind !== 'Namespace');
    expect(new Set(others.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['sage-gateway']));
    expect(only('Namespace')).toMatchObject({
      metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
  });

  test('selects the pods', () => {
    const labels = deployment.template.metadata.labels;
    expect(deployment.selector.matchLabels).toEqual(labels);
    expect(only('Service')).toMatchObject({ spec: { selector: labels, ports: [{ targetPort: 'https' }] } });
    expect(only('PodDisruptionBudget')).toMatchObject({ spec: { selector: { matchLabels: labels } } });
    expect(only('NetworkPolicy')).toMatchObject({ spec: { podSelector: { matchLabels: labels } } });
    expect(only('HorizontalPodAutoscaler')).toMatchObject({
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'sage-gateway' }, minReplicas: 2 },
    });
  });

  test('is closed unless it is opened', () => {
    expect(only('NetworkPolicy', 'default-deny')).toMatchObject({
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
    });
    const opened = JSON.stringify(only('NetworkPolicy'));
    // An empty peer or an empty list of them is everybody.
    expect(opened).not.toMatch(/"(?:from|to)":\[\]|"namespaceSelector":\{\}/);
    expect(opened).toContain('169.254.0.0/16');
  });

  test('runs the image of this version', () => {
    const { version } = JSON.parse(readFileSync(placeOf('package.json'), 'utf8'));
    const { images } = parse(readFileSync(placeOf('deploy/kubernetes/kustomization.yaml'), 'utf8'));
    expect(images).toEqual([{ name: container.image, newTag: version }]);
  });
});
