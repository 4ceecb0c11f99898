import { once } from 'node:events';
import { constants } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_SECRET, openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startChain, type TestChain } from '../trust/chain/fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, type ChainCaller, registerCaller, settle, signed } from './support/callers.ts';
import {
  answerTo,
  closeOf,
  openEvents,
  openHttp1,
  openSession,
  openStream,
  openWebSocket,
  send,
} from './support/clients.ts';

/** From the including block to the last refusal, on a busy machine; what it takes is told in the demo. */
const REFUSED_WITHIN_MS = 2_000;
const ORIGIN = 'https://gateway.example';

let chain: TestChain;
let agent: TestAgent;
const BODY = Buffer.alloc(1_000, 'x');

beforeAll(async () => {
  chain = await startChain();
  agent = await startAgent({
    answer(request, response) {
      if (request.url !== '/events') {
        response.end('ok');
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n');
    },
  });
});
afterAll(async () => {
  await agent.stop();
  await chain[Symbol.asyncDispose]();
});

function open(env: Record<string, string> = {}): Promise<TestGateway> {
  return openGateway({
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: files, upstreams: ["${agent.url}"], body: stream }`,
    ],
    policy: policyOf(`rules:
  - { id: registered, effect: allow, match: { did: "did:sage:eip155:31337:${chain.registry}:*", path: /agents/** } }`),
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl, PUBLIC_ORIGINS: ORIGIN, ...env },
  });
}

const call = (caller: ChainCaller, target = '/agents/echo/', more: Partial<Call> = {}): Call => ({
  ...signed(caller, ORIGIN, { method: 'GET', target, ...more }),
  authority: 'gateway.example',
});

/** Registered before a gateway starts: who calls while it hears of his registration is told to sign anew. */
async function registerCallers(count: number): Promise<ChainCaller[]> {
  const callers: ChainCaller[] = [];
  while (callers.length < count) callers.push(await registerCaller(chain));
  await settle(chain.anvil);
  return callers;
}

/** Everything one caller can hold open at a gateway, and how each ends. */
async function holdOpen(gateway: TestGateway, caller: ChainCaller) {
  const socket = await openWebSocket(gateway, webSocketCall(caller));
  const events = await openEvents(gateway, call(caller, '/agents/echo/events'));
  await until(() => events.events.length === 1, 'the stream flows');
  const session = await openSession(gateway);
  const stream = openStream(session, gateway, call(caller, '/agents/echo/events'));
  stream.on('error', () => undefined);
  await once(stream, 'data');
  const cut = new Promise<number | undefined>((resolve) => {
    stream.resume().on('close', () => resolve(stream.rstCode));
  });
  const uploads = ['/agents/echo/', '/agents/files/'].map((target) => {
    const post = call(caller, target, { method: 'POST', body: BODY });
    const length = ['content-length', String(BODY.length)] as const;
    const request = openHttp1(gateway, { ...post, headers: [...(post.headers ?? []), length] });
    const answer = answerTo(request);
    request.write(BODY.subarray(0, 500));
    return answer;
  });
  // The uploads stand among the open exchanges once their callers are identified.
  await until(() => gateway.app.connections.requestsInFlight >= 4, 'the uploads have begun');
  const closed = closeOf(socket);
  return { session, closed, events, cut, uploads };
}

/** ws sends Host itself; the gateway hears the published one by a header of the same name. */
function webSocketCall(caller: ChainCaller): Call {
  const { headers = [], ...rest } = call(caller);
  return { ...rest, headers: [...headers, ['host', 'gateway.example']] };
}

async function refusedAt(gateways: readonly TestGateway[], caller: ChainCaller): Promise<void> {
  await Promise.all(
    gateways.map(async (gateway) => {
      const codes: string[] = [];
      await until(
        async () => {
          codes.push((await send(gateway, call(caller))).code);
          return codes.at(-1) === 'key_unknown';
        },
        'the revoked key is refused',
        REFUSED_WITHIN_MS,
      );
      // Served, then perhaps caught on its way, then refused: never served again.
      expect(codes.join(' ')).toMatch(/^ *((exchange_revoked|caller_revoked|key_withdrawn) )*key_unknown$/);
    }),
  );
}

async function expectEnded(held: Awaited<ReturnType<typeof holdOpen>>): Promise<void> {
  expect(await held.closed).toMatchObject({ code: 1008 });
  expect(await held.events.ended).toBe(true);
  expect(await held.cut).not.toBe(constants.NGHTTP2_NO_ERROR);
  held.session.destroy();
  const answers = await Promise.all(held.uploads);
  expect(answers.map(({ status }) => status)).toEqual([401, 401]);
  expect(['caller_revoked', 'exchange_revoked', 'key_withdrawn', 'key_unknown']).toContain(answers[0]?.code);
}

describe('one gateway', () => {
  let gateway: TestGateway;
  let dave: ChainCaller;
  let erin: ChainCaller;
  let frank: ChainCaller;
  beforeAll(async () => {
    [dave, erin, frank] = (await registerCallers(3)) as [ChainCaller, ChainCaller, ChainCaller];
    gateway = await open();
  });
  afterAll(() => gateway.close());

  test('WebSocket 1008, stream cut, uploads refused, the next call refused; others go on', async () => {
    const held = await holdOpen(gateway, dave);
    const others = await openWebSocket(gateway, webSocketCall(erin));
    await chain.owner.revokeKey(dave.agentId, 'key-1');
    await refusedAt([gateway], dave);
    await expectEnded(held);
    expect(others.readyState).toBe(others.OPEN);
    expect(await send(gateway, call(erin))).toMatchObject({ status: 200 });
    others.terminate();
  });

  test('a key that was never on chain, and an agent that is not, are told apart', async () => {
    const unknown = { signer: { ...frank.signer, keyId: frank.signer.keyId.replace(/:\d+#/, ':999999#') } };
    const other = { signer: { ...frank.signer, keyId: frank.signer.keyId.replace(/#.*/, '#key-2') } };
    const request: Call = { method: 'GET', target: '/agents/echo/' };
    const as = (caller: typeof unknown): Call => ({
      ...signed(caller, ORIGIN, request),
      authority: 'gateway.example',
    });
    expect(await send(gateway, as(unknown))).toMatchObject({ status: 401, code: 'did_unknown' });
    expect(await send(gateway, as(other))).toMatchObject({ status: 401, code: 'key_unknown' });
  });
});

describe.skipIf(!redisAvailable())('two gateways that share Redis', () => {
  let redis: TestRedis;
  let gateways: TestGateway[];
  let dave: ChainCaller;
  let gina: ChainCaller;
  let hugo: ChainCaller;
  beforeAll(async () => {
    redis = await startRedis();
    [dave, gina, hugo] = (await registerCallers(3)) as [ChainCaller, ChainCaller, ChainCaller];
    const env = { REDIS_URL: redis.url, CLUSTER_SECRET };
    gateways = await Promise.all([open(env), open(env)]);
  });
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()));
    await redis.stop();
  });

  test('what is open at either is closed, and both refuse', async () => {
    const held = await Promise.all(gateways.map((gateway) => holdOpen(gateway, dave)));
    await chain.owner.revokeKey(dave.agentId, 'key-1');
    await refusedAt(gateways, dave);
    await Promise.all(held.map(expectEnded));
  });

  test('a request used at one is used at the other', async () => {
    const [first, second] = gateways as [TestGateway, TestGateway];
    for (const method of ['GET', 'DELETE']) {
      const request = call(gina, '/agents/echo/', { method });
      expect(await send(first, request)).toMatchObject({ status: 200 });
      expect(await send(second, request, 'h2')).toMatchObject({ status: 401, code: 'nonce_replayed' });
    }
  });

  test('sent to both at once, it is served by one', async () => {
    for (let round = 0; round < 5; round += 1) {
      const request = call(hugo, '/agents/echo/', { method: 'POST', body: BODY });
      const answers = await Promise.all(gateways.map((gateway) => send(gateway, request)));
      expect(answers.map(({ code }) => code).sort((a, b) => a.localeCompare(b))).toEqual([
        '',
        'nonce_replayed',
      ]);
    }
  });
});
