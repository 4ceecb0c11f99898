import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { EnvError, readEnv } from '../src/env.ts';

const SECRET = 'only-to-be-known-to-few';

/** The faults of an environment, or none. */
function faultsOf(source: Record<string, string>): readonly string[] {
  try {
    readEnv(source);
    return [];
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    for (const fault of error.faults) expect(error.message).toContain(`\n  - ${fault}`);
    expect(error.message).not.toContain(SECRET);
    return error.faults;
  }
}

test('an empty environment is a good one', () => {
  expect(faultsOf({})).toEqual([]);
  expect(readEnv({})).toMatchObject({ host: '127.0.0.1', port: 8_080, sageEnv: 'production', tls: null });
});

test('all faults at once', () => {
  const faults = faultsOf({
    PORT: '-1',
    DRAIN_TIMEOUT_MS: '1e4',
    LOG_LEVEL: 'loud',
    EXPLAIN_REFUSALS: 'yes',
    OPERATOR_API_KEY: SECRET,
    CLUSTER_SECRET: SECRET,
    REDIS_URL: `https://user:${SECRET}@redis.example`,
    CHAIN_RPC_URLS: `ftp://rpc.example/${SECRET}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: SECRET,
  });
  const names = [
    'PORT',
    'DRAIN_TIMEOUT_MS',
    'LOG_LEVEL',
    'EXPLAIN_REFUSALS',
    'OPERATOR_API_KEY',
    'CLUSTER_SECRET',
    'REDIS_URL',
    'CHAIN_RPC_URLS',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
  ];
  expect(faults).toHaveLength(names.length);
  for (const name of names) expect(faults.filter((fault) => fault.startsWith(name))).toHaveLength(1);
});

describe('numbers', () => {
  test.each(['', ' ', '0x10', '1.5', '-5', '1e3', 'ten', '99999999999999999999'])('%j', (text) => {
    expect(faultsOf({ PORT: text }).length).toBe(text.trim() === '' ? 0 : 1);
  });
  test.each([
    ['PORT', '65535', '65536'],
    ['SIGNATURE_MAX_AGE_SECONDS', '300', '301'],
    ['CLOCK_SKEW_SECONDS', '60', '61'],
    ['BODY_BUFFER_BYTES', '1024', '1023'],
    ['MAX_HEADER_BYTES', '262144', '262145'],
    ['CHAIN_POLL_INTERVAL_MS', '50', '49'],
  ])('%s: %s is allowed, %s is not', (name, good, bad) => {
    expect(faultsOf({ [name]: good })).toEqual([]);
    expect(faultsOf({ [name]: bad })[0]).toMatch(
      new RegExp(`^${name} must be a whole number from \\d+ to \\d+`),
    );
  });
});

describe('a secret by file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sage-env-'));
  const file = join(folder, 'secret');
  const GOOD = 'q7RzN0c2Wm5Kx1JtUe8hVb4sLd3gPyAf';
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    ['OPERATOR_API_KEY', GOOD, 'operatorApiKey'],
    ['CLUSTER_SECRET', GOOD, 'clusterSecret'],
    ['DATABASE_URL', 'postgres://a:b@c.example/d', 'databaseUrl'],
  ] as const)('%s', (name, content, member) => {
    writeFileSync(file, `${content}\n`);
    expect(readEnv({ [`${name}_FILE`]: file })[member]).toBe(content);
    expect(faultsOf({ [`${name}_FILE`]: file, [name]: content })).toEqual([
      `${name} and ${name}_FILE cannot both be given`,
    ]);
    expect(faultsOf({ [`${name}_FILE`]: join(folder, 'none') }).join()).toMatch(/cannot read .*ENOENT/);
    writeFileSync(file, '\n');
    expect(faultsOf({ [`${name}_FILE`]: file }).join()).toMatch(`${name}_FILE must hold one secret`);
  });
});

describe('what does not go together', () => {
  const TLS = { TLS_CERT_FILE: '/none/cert.pem', TLS_KEY_FILE: '/none/key.pem' };
  test.each([
    ['off loopback without origins', { HOST: '0.0.0.0', TRUSTED_PROXIES: '10.0.0.1' }, /PUBLIC_ORIGINS/],
    [
      'off loopback without TLS or a proxy',
      { HOST: '0.0.0.0', PUBLIC_ORIGINS: 'https://a.example' },
      /TLS_CERT_FILE.*TRUSTED_PROXIES/,
    ],
    [
      'development off loopback',
      { HOST: '0.0.0.0', PUBLIC_ORIGINS: 'https://a.example', SAGE_ENV: 'development' },
      /SAGE_ENV/,
    ],
    ['Redis without a cluster secret', { REDIS_URL: 'redis://127.0.0.1' }, /CLUSTER_SECRET/],
    ['a certificate without its key', { TLS_CERT_FILE: '/none/cert.pem' }, /given together/],
    ['files that are not there', TLS, /cannot read \/none\/cert\.pem \(ENOENT\)/],
    [
      'a budget smaller than one body',
      { BODY_BUFFER_BYTES: '2097152', BODY_BUFFER_TOTAL_BYTES: '1048576' },
      /BODY_BUFFER_TOTAL_BYTES/,
    ],
    ['an origin with a path', { PUBLIC_ORIGINS: 'https://a.example/api' }, /bare origins/],
    ['a host that is a name', { HOST: 'gateway.example' }, /HOST/],
  ])('%s', (_what, source, says) => {
    expect(faultsOf(source).join('\n')).toMatch(says);
  });

  const UNSAFE = {
    OPERATOR_API_KEY: 'short',
    CLUSTER_SECRET: `change-me-${'abcdefghijklmnop'.repeat(2)}`,
    DATABASE_URL: 'postgres://sage:sage@db.example/sage',
    REDIS_URL: 'redis://:password@redis.example',
    EXPLAIN_REFUSALS: 'true',
    ALLOW_PRIVATE_DID_HOSTS: 'true',
  };

  test('what is unsafe in production is refused by name, each once', () => {
    const faults = faultsOf(UNSAFE);
    expect(new Set(faults.map((fault) => fault.split(/[ =]/)[0]))).toEqual(new Set(Object.keys(UNSAFE)));
    expect(faults).toHaveLength(6);
    expect(faultsOf({ ...UNSAFE, HOST: '0.0.0.0', PUBLIC_ORIGINS: 'https://a.example' })).toHaveLength(7);
  });

  test('and allowed in development, on loopback alone', () => {
    expect(faultsOf({ ...UNSAFE, SAGE_ENV: 'development' })).toEqual([]);
    expect(
      faultsOf({
        ...UNSAFE,
        SAGE_ENV: 'development',
        HOST: '0.0.0.0',
        PUBLIC_ORIGINS: 'https://a.example',
      }).join(),
    ).toMatch(/SAGE_ENV=development/);
  });

  test.each([
    ['of one character', 'x'.repeat(40)],
    ['of a pattern', '12345'.repeat(8)],
    ['from an example', `your-secret-${'0123456789abcdef'.repeat(2)}`],
  ])('a secret %s is none', (_what, secret) => {
    expect(faultsOf({ OPERATOR_API_KEY: secret })).toEqual([
      expect.stringMatching(/^OPERATOR_API_KEY is a placeholder/),
    ]);
    expect(faultsOf({ OPERATOR_API_KEY: secret }).join()).not.toContain(secret);
  });

  test.each([
    ['OIDC without an audience', { OIDC_ISSUER: 'https://login.example' }, /OIDC_AUDIENCE/],
    ['OIDC in the clear', { OIDC_ISSUER: 'http://login.example', OIDC_AUDIENCE: 'a' }, /OIDC_ISSUER/],
    ['a database of another make', { DATABASE_URL: 'mysql://db.example/x' }, /DATABASE_URL must hold/],
    ['an origin with a path', { CORS_ORIGINS: 'https://a.example/x' }, /CORS_ORIGINS must hold bare/],
  ])('%s', (_what, source, says) => {
    expect(faultsOf(source).join('\n')).toMatch(says);
  });

  test('what does is taken', () => {
    const env = readEnv({
      HOST: '0.0.0.0',
      TRUSTED_PROXIES: '10.0.0.0/8',
      PUBLIC_ORIGINS: 'https://A.example, http://b.example:8080,https://c.example:443',
      REDIS_URL: 'rediss://:v9-KdQ@redis.example:6380/1',
      CLUSTER_SECRET: 'q7RzN0c2Wm5Kx1JtUe8hVb4sLd3gPyAf',
      CHAIN_RPC_URLS: 'eip155:1=https://one.example/key, eip155:137=wss://two.example',
    });
    expect(env.publicOrigins).toEqual(['https://a.example', 'http://b.example:8080', 'https://c.example']);
    expect(env.chainRpcUrls).toEqual([
      { chainId: 1, url: 'https://one.example/key' },
      { chainId: 137, url: 'wss://two.example/' },
    ]);
  });
});
