import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildGateway } from '../../src/app.ts';
import { readEnv } from '../../src/env.ts';
import { migrate } from '../../src/store/migrate.ts';
import {
  ALLOW_ALL,
  type GatewayFiles,
  makeFolder,
  policyOf,
  replaceFile,
  writeGatewayFiles,
} from '../support/gateway.ts';
import { selfSigned } from '../support/tls.ts';
import { spawnGateway } from './support/process.ts';

const SECRET = 'never-to-be-printed';
const AGENT = '{ id: echo, upstreams: ["http://127.0.0.1:9"] }';
const CHAIN = '{ id: 31337, registries: [{ address: "0x00000000000000000000000000000000000000ab" }] }';
let folder: string;

beforeAll(() => {
  folder = makeFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
/** A folder with a gateway's files in it, and the environment that names them. */
async function prepare(
  files: Partial<GatewayFiles> = {},
  env: Record<string, string> = {},
): Promise<{ place: string; env: Record<string, string> }> {
  count += 1;
  const place = join(folder, String(count));
  mkdirSync(place);
  return { place, env: await writeGatewayFiles(place, { agents: [AGENT], ...files, env }) };
}

describe('the process', () => {
  /** Runs to its end; what it says must be about what is wrong, not about where in our code. */
  async function run(env: Record<string, string>): Promise<string> {
    await using gateway = spawnGateway(env);
    const code = await gateway.exited;
    expect(code, gateway.stderr()).toBe(1);
    expect(gateway.stdout()).not.toContain('listening');
    const said = gateway.stderr();
    expect(said).toMatch(/^sage-gateway: /);
    expect(said).not.toMatch(/^\s+at /m);
    expect(said).not.toContain(SECRET);
    return said;
  }

  test('every fault of the environment in one message', async () => {
    const said = await run({
      PORT: '70000',
      HOST: 'nowhere.example',
      LOG_LEVEL: 'loud',
      TLS_CERT_FILE: '/none/cert.pem',
      TLS_KEY_FILE: '/none/key.pem',
      OPERATOR_API_KEY: SECRET,
      REDIS_URL: `http://user:${SECRET}@127.0.0.1`,
      PUBLIC_ORIGINS: 'https://gateway.example/path',
    });
    for (const name of [
      'PORT',
      'HOST',
      'LOG_LEVEL',
      'TLS_CERT_FILE',
      'TLS_KEY_FILE',
      'OPERATOR_API_KEY',
      'REDIS_URL',
      'PUBLIC_ORIGINS',
      'CLUSTER_SECRET',
    ])
      expect(said).toContain(name);
  });

  test('a malformed sage.yaml, with line and column', async () => {
    const { place, env } = await prepare();
    replaceFile(place, 'sage.yaml', 'apiVersion: sage/v1\nagents:\n  - id: echo\n    upstreams: [\n');
    expect(await run(env)).toMatch(/sage\.yaml:\d+:\d+: /);
  });

  test('a port in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { env } = await prepare({}, { PORT: String(port) });
    const said = await run(env);
    other.close();
    expect(said).toContain(`port ${port} on 127.0.0.1 is in use`);
  });

  test('a key file that holds no key', async () => {
    const { place, env } = await prepare();
    writeFileSync(join(place, 'cert.pem'), (await selfSigned()).cert);
    writeFileSync(join(place, 'key.pem'), 'not a key');
    const said = await run({
      ...env,
      TLS_CERT_FILE: join(place, 'cert.pem'),
      TLS_KEY_FILE: join(place, 'key.pem'),
    });
    expect(said).toContain('TLS_KEY_FILE');
  });
});

describe('the gateway is not built', () => {
  async function refusal(files: Partial<GatewayFiles>, env: Record<string, string> = {}): Promise<string> {
    const prepared = await prepare(files, env);
    return whyNot(prepared.env);
  }
  async function whyNot(env: Record<string, string>): Promise<string> {
    // As `main` does it: an error with a code is said by its message alone.
    const built = async (): Promise<string> => {
      const app = await buildGateway(readEnv(env), { write: () => undefined });
      await app.close();
      return 'it was built';
    };
    return built().catch((error: Error & { code?: string }) => {
      expect(error.code, error.stack).toBeTypeOf('string');
      // Whoever opens, closes: what the plugins before the fault have opened is gone.
      expect(channel('sage:request.finished').hasSubscribers).toBe(false);
      return error.message;
    });
  }

  const faulty: readonly (readonly [string, Partial<GatewayFiles>, Record<string, string>, RegExp])[] = [
    [
      'an unknown key',
      { agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"], colour: blue }'] },
      {},
      /sage\.yaml:3:\d+: .*colour/,
    ],
    ['an unknown key at the top', { more: 'colour: blue' }, {}, /sage\.yaml:\d+:1: .*colour/],
    ['an agent without upstreams', { agents: ['{ id: echo }'] }, {}, /sage\.yaml:3:\d+: .*upstreams/],
    [
      'an upstream with a path',
      { agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9/api"] }'] },
      {},
      /sage\.yaml:3:\d+: .*origin/,
    ],
    [
      'an upstream twice',
      { agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9", "http://127.0.0.1:9"] }'] },
      {},
      /twice/,
    ],
    [
      'a pattern that is no DID',
      { agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"], allow: ["did:web:acme.com*"] }'] },
      {},
      /acme\.com/,
    ],
    ['a policy file that is not there', { more: 'policy: ./none.yaml' }, {}, /none\.yaml/],
    ['a policy that is not YAML', { policy: 'rules: [' }, {}, /policy\.yaml:\d+:\d+/],
    [
      'a policy whose tests fail',
      {
        policy: `${ALLOW_ALL}tests:\n  - name: nobody may\n    request: { did: "did:key:z6MkExample", method: GET, path: /agents/echo/ }\n    expect: { allow: false, rule: default }\n`,
      },
      {},
      /nobody may/,
    ],
    [
      'a region rule without a database',
      { policy: policyOf('rules: [{ id: eu, effect: allow, match: { region: [EU] } }]') },
      {},
      /region/i,
    ],
    ['a database that is none', {}, { REGION_DATABASE_FILE: import.meta.filename }, /not a usable MMDB file/],
    [
      'a database that is not there',
      {},
      { REGION_DATABASE_FILE: '/none/regions.mmdb' },
      /\/none\/regions\.mmdb/,
    ],
    ['a chain without an endpoint', { more: `chains: [${CHAIN}]` }, {}, /chain 31337 .*CHAIN_RPC_URLS/],
    [
      'a chain twice',
      { more: `chains: [${CHAIN}, ${CHAIN}]` },
      { CHAIN_RPC_URLS: 'http://127.0.0.1:9' },
      /chain 31337 is configured twice/,
    ],
    [
      'an endpoint of no chain',
      {},
      { CHAIN_RPC_URLS: 'eip155:1=http://127.0.0.1:9' },
      /chain 1 is not in the configuration/,
    ],
    [
      'proxies that are no addresses',
      {},
      { TRUSTED_PROXIES: '10.0.0.0/8,everyone' },
      /TRUSTED_PROXIES.*everyone/,
    ],
  ];

  test.each(faulty)('%s', async (_what, files, env, says) => {
    expect(await refusal(files, env)).toMatch(says);
  });

  test('no sage.yaml', async () => {
    const { place, env } = await prepare();
    rmSync(join(place, 'sage.yaml'));
    expect(await whyNot(env)).toMatch(/cannot read .*sage\.yaml: ENOENT; set CONFIG_FILE/);
  });

  test('a key and a certificate that do not belong together', async () => {
    const { cert } = await selfSigned();
    const { createLocalCertificate } = await import('../../src/cli/demo/certificate.ts');
    const { key } = await createLocalCertificate(Date.now());
    const { place, env } = await prepare();
    writeFileSync(join(place, 'cert.pem'), cert);
    writeFileSync(join(place, 'key.pem'), key);
    const files = { TLS_CERT_FILE: join(place, 'cert.pem'), TLS_KEY_FILE: join(place, 'key.pem') };
    expect(await whyNot({ ...env, ...files })).toMatch(/TLS_KEY_FILE/);
  });

  test('a mark in DATA_DIR that cannot be read', async () => {
    const { place, env } = await prepare();
    mkdirSync(join(place, 'data'));
    writeFileSync(join(place, 'data', 'accepted-until'), 'yesterday');
    expect(await whyNot(env)).toMatch(/accepted-until/);
  });

  test('a file that is no database', async () => {
    const { place, env } = await prepare();
    mkdirSync(join(place, 'data'));
    writeFileSync(join(place, 'data', 'sage.db'), 'yesterday '.repeat(1_000));
    expect(await whyNot(env)).toMatch(/sage\.db: file is not a database/);
  });

  test('a database of a later release', async () => {
    const { place, env } = await prepare();
    await migrate({ databaseUrl: null, dataDir: join(place, 'data'), now: Date.now }, { direction: 'up' });
    const file = new DatabaseSync(join(place, 'data', 'sage.db'));
    file.exec("insert into schema_migrations values (9999, 'later', '', 1)");
    file.close();
    expect(await whyNot(env)).toMatch(/cannot be used by this release.*9999_later/);
  });
});
