import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyMmdb } from '../policy/tiny-mmdb.ts';
import { makeFolder, openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
const bob = newCaller();
let agent: TestAgent;
let gateway: TestGateway;
let folder: string;

beforeAll(async () => {
  agent = await startAgent();
  folder = makeFolder();
  const mmdb = join(folder, 'regions.mmdb');
  const country = (code: string): unknown => ({ country: { iso_code: code } });
  writeFileSync(
    mmdb,
    tinyMmdb({
      '192.0.2.0/24': country('DE'),
      '198.51.100.0/24': country('KP'),
      '203.0.113.0/24': country('US'),
    }),
  );
  const agents = ['tenants', 'regions', 'mine', 'open'].map(
    (id) => `{ id: ${id}, upstreams: ["${agent.url}"]${id === 'open' ? ', authentication: none' : ''} }`,
  );
  gateway = await openGateway({
    agents,
    folder,
    env: { REGION_DATABASE_FILE: mmdb, TRUSTED_PROXIES: '127.0.0.1' },
    policy: policyOf(`rules:
  - { id: tenants, effect: allow, match: { path: /agents/tenants/**, header: { x-tenant: "acme-*" } } }
  - { id: nobody-from-evil, effect: deny, match: { header: { x-tenant: evil } } }
  - { id: europe, effect: allow, match: { path: /agents/regions/**, region: [EU] } }
  - { id: only-alice, effect: allow, match: { did: "${alice.did}", path: /agents/mine/**, method: [GET, POST] } }
  - { id: proven-callers, effect: allow, match: { did: "*", path: /agents/open/** } }`),
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  rmSync(folder, { recursive: true, force: true });
});

const call = (target: string, more: Partial<Call> = {}): Call => ({ method: 'GET', target, ...more });

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('a header allows only when the signature covers it', async () => {
    const request = call('/agents/tenants/', { headers: [['x-tenant', 'acme-eu']] });
    const covered = signed(alice, gateway.origin, request, { cover: ['x-tenant'] });
    expect(await send(gateway, covered, transport)).toMatchObject({ status: 200 });
    const bare = signed(alice, gateway.origin, request);
    expect(await send(gateway, bare, transport)).toMatchObject({ status: 403, code: 'policy_denied' });
    const added = signed(alice, gateway.origin, call('/agents/tenants/'));
    const headers = [...(added.headers ?? []), ['x-tenant', 'acme-eu'] as const];
    expect(await send(gateway, { ...added, headers }, transport)).toMatchObject({ status: 403 });
  });

  test('a header denies whether it is covered or not', async () => {
    const request = call('/agents/mine/', { headers: [['x-tenant', 'evil']] });
    expect(await send(gateway, signed(alice, gateway.origin, request), transport)).toMatchObject({
      status: 403,
    });
  });

  test('a DID rule is for that DID', async () => {
    const target = '/agents/mine/things';
    expect(await send(gateway, signed(alice, gateway.origin, call(target)), transport)).toMatchObject({
      status: 200,
    });
    expect(await send(gateway, signed(bob, gateway.origin, call(target)), transport)).toMatchObject({
      status: 403,
    });
    const deletes = signed(alice, gateway.origin, call(target, { method: 'DELETE' }));
    expect(await send(gateway, deletes, transport)).toMatchObject({ status: 403 });
  });

  test('who has proven nothing is no "any DID"', async () => {
    expect(await send(gateway, call('/agents/open/'), transport)).toMatchObject({
      status: 403,
      code: 'policy_denied',
    });
  });

  test.each([
    ['192.0.2.7', 200],
    ['198.51.100.7', 403],
    ['203.0.113.7', 403],
    ['233.252.0.7', 403],
    // The address that a trusted proxy saw counts, not what the caller told that proxy.
    ['192.0.2.7, 198.51.100.7', 403],
    ['198.51.100.7, 192.0.2.7', 200],
  ])('a region rule follows the address: %s -> %i', async (forwardedFor, status) => {
    const request = signed(alice, gateway.origin, call('/agents/regions/'));
    const headers = [...(request.headers ?? []), ['x-forwarded-for', forwardedFor] as const];
    expect((await send(gateway, { ...request, headers }, transport)).status).toBe(status);
  });
});
