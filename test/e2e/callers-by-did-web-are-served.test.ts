import { afterAll, beforeAll, expect, test } from 'vitest';
import { signingKey } from '../../src/trust/keys/signing.ts';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { Controller, created, linesOf, updated } from '../trust/did/webvh-world.ts';
import { newIdentity } from '../trust/did/world.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, signed } from './support/callers.ts';
import { closeOf, openWebSocket, send } from './support/clients.ts';
import {
  DEVELOPMENT,
  type DidHost,
  type HostedCaller,
  hostedCaller,
  startDidHost,
} from './support/did-host.ts';
import { openStream } from './support/stream.ts';

/** The least time that a document is kept, and what a busy machine takes. */
const REFUSED_WITHIN_MS = 8_000;
/** The document's time, the interval in which what is open is looked after, and what a busy machine takes. */
const CLOSED_WITHIN_MS = 20_000;

let agent: TestAgent;
let host: DidHost;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  host = await startDidHost();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: policyOf(
      `rules: [{ id: hosted, effect: allow, match: { did: ["did:web:localhost%3A${host.port}:*", "did:webvh:*"], path: /agents/** } }]`,
    ),
    env: DEVELOPMENT,
  });
});
afterAll(async () => {
  await gateway.close();
  await host[Symbol.asyncDispose]();
  await agent.stop();
});

/** A caller whose document stands at `path`. */
function caller(path: string): HostedCaller {
  const made = hostedCaller(host.did(path));
  host.publish(path, { 'key-1': made.multikey });
  return made;
}

const get = (from: Pick<HostedCaller, 'signer'>): Call =>
  signed(from, gateway.origin, { method: 'GET', target: '/agents/echo/' });
const post = (from: Pick<HostedCaller, 'signer'>): Call =>
  signed(from, gateway.origin, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') });

test('a caller whose document is published is served, and the agent is told his DID', async () => {
  const alice = caller('alice');
  expect(await send(gateway, post(alice))).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(alice.did);
  const asked = host.asked.length;
  expect(await send(gateway, get(alice))).toMatchObject({ status: 200 });
  expect(host.asked.length).toBe(asked);
});

test('who signs with another key than the published one is refused', async () => {
  const path = 'bob';
  caller(path);
  const forger = hostedCaller(host.did(path));
  expect(await send(gateway, get(forger))).toMatchObject({ status: 401, code: 'signature_invalid' });
});

test('a document of somebody else speaks for nobody', async () => {
  const victim = caller('victim');
  const mallory = hostedCaller(host.did('mallory'));
  host.publish('mallory', { 'key-1': mallory.multikey }, victim.did);
  expect(await send(gateway, get(mallory))).toMatchObject({ status: 503, code: 'did_unresolvable' });
  expect(
    await send(gateway, get({ signer: { ...mallory.signer, keyId: victim.signer.keyId } })),
  ).toMatchObject({
    status: 401,
    code: 'signature_invalid',
  });
});

test('where there is no document there is nobody', async () => {
  const nobody = hostedCaller(host.did('nobody'));
  expect(await send(gateway, get(nobody))).toMatchObject({ status: 401, code: 'did_unknown' });
});

test('a key that is taken out of its document is refused, and what it has open ends', async () => {
  const carol = caller('carol');
  const socket = await openWebSocket(gateway, get(carol));
  const closed = closeOf(socket);
  const dave = caller('dave');
  const listening = await openWebSocket(gateway, get(dave));
  const silent = closeOf(listening);
  host.publish('carol', {});
  host.publish('dave', {});
  const removedAt = performance.now();
  const refused = await until(
    async () => {
      const answer = await send(gateway, get(carol));
      return answer.status === 200 ? null : answer;
    },
    'the key is refused',
    REFUSED_WITHIN_MS,
  );
  expect(refused).toMatchObject({ status: 401, code: 'key_unknown' });
  expect((await closed).code).toBe(1008);
  // Who only listens sends nothing that would make anybody ask.
  expect((await silent).code).toBe(1008);
  expect(performance.now() - removedAt).toBeLessThan(CLOSED_WITHIN_MS);
}, 30_000);

test('a caller whose log is published is served until his key is taken out of it', async () => {
  const controller = new Controller();
  const domain = `localhost%3A${host.port}:grace`;
  const identity = newIdentity();
  const { did, log } = await created(controller, { domain, identities: { 'key-1': identity } });
  const grace = { signer: { keyId: `${did}#key-1`, key: signingKey(identity.privateKey) } };
  host.put('/grace/did.jsonl', linesOf(log).toString(), 'text/jsonl');
  expect(await send(gateway, post(grace))).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(did);
  const longer = await updated(log, controller, { identities: { 'key-2': newIdentity() } });
  host.put('/grace/did.jsonl', linesOf(longer).toString(), 'text/jsonl');
  const refused = await until(
    async () => {
      const answer = await send(gateway, get(grace));
      return answer.status === 200 ? null : answer;
    },
    'the key is refused',
    REFUSED_WITHIN_MS,
  );
  expect(refused).toMatchObject({ status: 401, code: 'key_unknown' });
});

test('an operator whose key is taken out of his document loses the stream that he listens to', async () => {
  const oscar = caller('oscar');
  await using own = await openGateway({
    agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'],
    more: `operators: ["${oscar.did}"]`,
    env: DEVELOPMENT,
  });
  const { headers = [] } = signed(oscar, own.origin, { method: 'GET', target: '/v1/stream' });
  using client = openStream(own, { key: null, headers: Object.fromEntries(headers) });
  expect((await client.opened).status).toBe(101);
  host.publish('oscar', {});
  expect(await client.closed).toMatchObject({ code: 1008 });
});

test('while the host is away its callers are served for a while, then not, and never taken for unknown', async () => {
  const erin = caller('erin');
  const frank = caller('frank');
  expect(await send(gateway, get(erin))).toMatchObject({ status: 200 });
  host.away = true;
  expect(await send(gateway, get(frank))).toMatchObject({ status: 503, code: 'did_unresolvable' });
  expect(await send(gateway, get(erin))).toMatchObject({ status: 200 });
  const refused = await until(
    async () => {
      const answer = await send(gateway, get(erin));
      return answer.status === 200 ? null : answer;
    },
    'nothing vouches for the key',
    REFUSED_WITHIN_MS,
  );
  expect(refused).toMatchObject({ status: 503, code: 'did_unresolvable' });
  host.away = false;
  await until(
    async () => (await send(gateway, get(erin))).status === 200,
    'the host is back',
    REFUSED_WITHIN_MS,
  );
}, 30_000);
