import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { readEnv } from '../../src/env.ts';
import { VARIABLES } from '../../src/env-variables.ts';
import { selfSigned } from '../support/tls.ts';
import { COMPOSE_FILES, placeOf, readCompose, serviceOf } from './support/compose.ts';
import { assignments, parseDockerfile } from './support/dockerfile.ts';

/** The part of dclint that is used; its own declarations leave the messages untyped. */
interface Dclint {
  readonly DCLinter: new (options: {
    rules: Readonly<Record<string, 0>>;
    quiet: boolean;
    debug: boolean;
    exclude: readonly string[];
  }) => {
    lintFiles(
      paths: readonly string[],
      recursive: boolean,
    ): readonly { messages: readonly { rule: string; line: number; message: string }[] }[];
  };
}
const { DCLinter }: Dclint = createRequire(import.meta.url)('dclint');

const INPUTS = { PUBLIC_ORIGINS: 'https://gateway.example', SAGE_IMAGE: 'sage-gateway:0.1.0' };
const SECRETS = '/run/secrets/';
/** What TLS needs is not ours to make. */
const FROM_OUTSIDE = new Set(['tls_cert', 'tls_key']);
const image = parseDockerfile(readFileSync(placeOf('Dockerfile'), 'utf8')).at(-1);
const imageEnv = assignments(image?.instructions.find(({ name }) => name === 'ENV')?.rest ?? '');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sage-compose-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const files = COMPOSE_FILES.map((path) => ({ path, file: readCompose(path, INPUTS) }));

describe('by the schema of the Compose Specification', () => {
  /** About taste; and that a service which is built has a name for what is built is no mistake. */
  const OFF = [
    'no-build-and-image',
    'require-quotes-in-ports',
    'service-dependencies-alphabetical-order',
    'service-keys-order',
    'services-alphabetical-order',
    'top-level-properties-order',
  ];
  const rules: Record<string, 0> = Object.fromEntries(OFF.map((name) => [name, 0]));
  const faultsOf = (path: string): string[] => {
    const linter = new DCLinter({ rules, quiet: true, debug: false, exclude: [] });
    const messages = linter.lintFiles([path], false).flatMap((result) => result.messages);
    return messages.map(({ rule, message, line }) => `${rule}:${line} ${message}`);
  };

  test.each(COMPOSE_FILES)('%s is valid', (path) => {
    expect(faultsOf(placeOf(path))).toEqual([]);
  });

  test('one with a fault is not', () => {
    const broken = join(folder, 'docker-compose.yml');
    const text = readFileSync(placeOf('docker-compose.prod.yml'), 'utf8');
    writeFileSync(broken, text.replace('read_only: true', 'readonly: true'));
    expect(faultsOf(broken).join()).toMatch(/^invalid-schema:/);
    writeFileSync(broken, text.replace('    image: postgres:18.4-alpine', '    image: postgres:latest'));
    expect(faultsOf(broken).join()).toMatch(/service-image-require-explicit-tag/);
  });
});

describe.each(files)('$path', ({ file }) => {
  const gateway = serviceOf(file, 'gateway');

  test('sets what the gateway reads, and no other', () => {
    const known = new Set<string>(VARIABLES);
    expect(Object.keys(gateway.environment ?? {}).filter((name) => !known.has(name))).toEqual([]);
  });

  test('gives secrets as files alone, each to whom it is for', () => {
    for (const [name, service] of Object.entries(file.services)) {
      const environment = Object.entries(service.environment ?? {});
      const bare = environment.filter(
        ([variable, value]) =>
          /SECRET|KEY|PASSWORD|DATABASE_URL|REDIS_URL/.test(variable) && !value.startsWith(SECRETS),
      );
      expect(bare, name).toEqual([]);
      // Nor in a URL or an argument.
      const words = [...environment.map(([, value]) => value), ...(service.command ?? [])];
      expect(
        words.filter((word) => /:\/\/[^/]*@|requirepass/.test(word)),
        name,
      ).toEqual([]);
      const named = words
        .filter((word) => word.startsWith(SECRETS))
        .map((word) => word.slice(SECRETS.length));
      expect([...(service.secrets ?? [])].sort(), name).toEqual(named.sort());
    }
  });

  test('defines each secret that is given, and make-secrets.sh makes it', () => {
    const place = join(folder, 'made');
    execFileSync('sh', [placeOf('deploy/scripts/make-secrets.sh'), place]);
    const given = new Set(Object.values(file.services).flatMap(({ secrets = [] }) => secrets));
    expect(Object.keys(file.secrets).sort()).toEqual([...given].sort());
    for (const name of given) {
      expect(file.secrets[name]?.file).toBe(`./secrets/${name}`);
      if (!FROM_OUTSIDE.has(name)) expect(readFileSync(join(place, name), 'utf8')).not.toBe('');
    }
  });

  test('pins each image, and starts nobody before what it needs is there', () => {
    for (const [name, { image: tag = '' }] of Object.entries(file.services))
      expect(tag, name).toMatch(/^[\w./-]+:(?:v?\d+\.\d+(?:\.\d+)?[\w.-]*|local)$/);
  });

  test('has a configuration that the product accepts in production', async () => {
    const place = join(folder, 'secrets');
    execFileSync('sh', [placeOf('deploy/scripts/make-secrets.sh'), place]);
    const { cert, key } = await selfSigned();
    writeFileSync(join(place, 'tls_cert'), cert);
    writeFileSync(join(place, 'tls_key'), key);
    const given = Object.entries({ ...imageEnv, ...gateway.environment }).map(([name, value]) => [
      name,
      value.replace(SECRETS, `${place}/`),
    ]);
    const env = readEnv(Object.fromEntries(given));
    expect(env).toMatchObject({ sageEnv: 'production', host: '0.0.0.0', port: 8080 });
    for (const secret of [env.operatorApiKey, env.clusterSecret, env.databaseUrl, env.redisUrl])
      expect(secret).toMatch(/[0-9a-f]{64}/);
    expect(gateway.ports?.map((port) => port.split(':').at(-1))).toEqual([String(env.port)]);
    expect(Number.parseInt(gateway.stop_grace_period ?? '10', 10) * 1_000).toBeGreaterThan(
      env.drainTimeoutMs,
    );
  });
});

test('the configuration that is tried is one the product accepts', () => {
  const config = readConfig(placeOf('deploy/compose/config/sage.yaml'));
  const file = readCompose('docker-compose.yml');
  for (const { upstreams } of config.agents)
    for (const { url } of upstreams) expect(Object.keys(file.services)).toContain(new URL(url).hostname);
});

describe('in production', () => {
  const { services } = readCompose('docker-compose.prod.yml', INPUTS);

  test.each(Object.entries(services))(
    '%s can change nothing and take no more than its share',
    (name, service) => {
      expect(service.read_only).toBe(true);
      expect(service.cap_drop).toEqual(['ALL']);
      expect(service.security_opt).toEqual(['no-new-privileges:true']);
      expect(Number(service.user?.split(':')[0])).toBeGreaterThan(0);
      expect(Object.keys(service.deploy?.resources.limits ?? {}).sort()).toEqual(['cpus', 'memory', 'pids']);
      expect(service.healthcheck?.test?.length).toBeGreaterThan(1);
      for (const mount of service.tmpfs ?? []) expect(mount).toMatch(/size=\d+m.*noexec,nosuid,nodev$/);
      if (name !== 'gateway') expect(service).toMatchObject({ networks: ['data'] });
      expect(service.ports === undefined).toBe(name !== 'gateway');
    },
  );

  test('the gateway runs as the image’s user, and is asked as the image asks', () => {
    const lines = image?.instructions ?? [];
    const gateway = services.gateway;
    expect(gateway?.user).toBe(lines.find(({ name }) => name === 'USER')?.rest);
    const check = lines.find(({ name }) => name === 'HEALTHCHECK')?.rest ?? '';
    expect(gateway?.healthcheck?.test).toEqual(['CMD', ...JSON.parse(check.replace(/^.*CMD /, ''))]);
  });
});

test('secrets are kept when they are made again, and their folder is closed', () => {
  const place = join(folder, 'twice');
  const make = (): string[] => {
    execFileSync('sh', [placeOf('deploy/scripts/make-secrets.sh'), place]);
    return readdirSync(place).map((name) => readFileSync(join(place, name), 'utf8'));
  };
  const first = make();
  expect(make()).toEqual(first);
  expect(new Set(first).size).toBe(first.length);
  expect(statSync(place).mode & 0o777).toBe(0o700);
  // Another folder has others.
  mkdirSync(join(folder, 'other'));
  cpSync(placeOf('deploy/scripts/make-secrets.sh'), join(folder, 'other', 'make.sh'));
  execFileSync('sh', [join(folder, 'other', 'make.sh')], { cwd: join(folder, 'other') });
  expect(readFileSync(join(folder, 'other', 'secrets', 'cluster_secret'), 'utf8')).not.toBe(
    readFileSync(join(place, 'cluster_secret'), 'utf8'),
  );
});
