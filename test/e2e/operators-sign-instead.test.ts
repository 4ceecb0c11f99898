import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startChain } from '../trust/chain/fixture.ts';
import {
  type Call,
  type Caller,
  type Fields,
  newCaller,
  registerCaller,
  settle,
  signed,
} from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';
import { openStream } from './support/stream.ts';

const [operator, viewer, stranger] = [newCaller(), newCaller(), newCaller()];
const agents = ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'];
const operators = (entries: string[]) => `operators: [${entries.join(', ')}]`;
const BOTH = [`"${operator.did}"`, `{ did: "${viewer.did}", role: viewer }`];
const JSON_FIELDS: Fields = [['content-type', 'application/json']];
let gateway: TestGateway;

beforeAll(async () => {
  gateway = await openGateway({ agents, more: operators(BOTH) });
});
afterAll(() => gateway.close());

const call = (method: string, target: string, body?: unknown): Call => ({
  method,
  target,
  ...(body === undefined ? {} : { headers: JSON_FIELDS, body: Buffer.from(JSON.stringify(body)) }),
});
const ask = (who: Caller, ...rest: Parameters<typeof call>) =>
  send(gateway, signed(who, gateway.origin, call(...rest)));

test.each(TRANSPORTS)('an operator is known by signature over %s', async (transport) => {
  const answer = await send(gateway, signed(operator, gateway.origin, call('GET', '/v1/whoami')), transport);
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toMatchObject({ actor: operator.did, method: 'did', role: 'operator' });
  const body = { did: newCaller().did, reason: 'test' };
  const made = await send(
    gateway,
    signed(operator, gateway.origin, call('POST', '/v1/revocations', body)),
    transport,
  );
  expect(made.status).toBe(201);
  expect(JSON.parse(made.body)).toMatchObject({ ...body, created_by: operator.did });
});

test('a role allows what it allows, and the body of who may not is not waited for', async () => {
  expect((await ask(viewer, 'GET', '/v1/agents')).status).toBe(200);
  const refused = await ask(viewer, 'POST', '/v1/revocations', { did: newCaller().did });
  expect([refused.status, refused.code]).toEqual([403, 'operator_forbidden']);
});

test('strangers and the unsigned are refused, and nothing is looked up for them', async () => {
  expect(await ask(stranger, 'GET', '/v1/agents')).toMatchObject({
    status: 401,
    code: 'operator_unauthenticated',
  });
  const onChain = {
    ...stranger,
    signer: { ...stranger.signer, keyId: `did:sage:eip155:1:0x${'ab'.repeat(20)}:1#key-1` },
  };
  expect(await ask(onChain, 'GET', '/v1/agents')).toMatchObject({
    status: 401,
    code: 'operator_unauthenticated',
  });
  expect((await operate(gateway, 'GET', '/v1/agents', { key: null })).status).toBe(401);
  // A key of one's own under the name of an operator.
  const forged = { ...stranger, signer: { ...stranger.signer, keyId: operator.signer.keyId } };
  expect(await ask(forged, 'GET', '/v1/agents')).toMatchObject({ status: 401, code: 'signature_invalid' });
});

test('a request is taken once', async () => {
  const once = signed(operator, gateway.origin, call('POST', '/v1/revocations', { did: newCaller().did }));
  expect((await send(gateway, once)).status).toBe(201);
  expect(await send(gateway, once)).toMatchObject({ status: 401, code: 'nonce_replayed' });
});

test('nothing acts on a body that was not signed', async () => {
  const honest = signed(operator, gateway.origin, call('POST', '/v1/revocations', { did: newCaller().did }));
  const evil = newCaller().did;
  const changed = { ...honest, body: Buffer.from(JSON.stringify({ did: evil })) };
  expect(await send(gateway, changed)).toMatchObject({ status: 401, code: 'digest_mismatch' });
  const list = await ask(operator, 'GET', '/v1/revocations');
  expect(list.body).not.toContain(evil);
});

test('another target, another origin and an old date are refused as they are of agents', async () => {
  const moved = { ...signed(operator, gateway.origin, call('GET', '/v1/agents')), target: '/v1/policy' };
  expect((await send(gateway, moved)).code).toBe('signature_invalid');
  const elsewhere = signed(operator, 'https://other.example', call('GET', '/v1/agents'));
  expect((await send(gateway, elsewhere)).code).toBe('signature_invalid');
  const old = signed(operator, gateway.origin, call('GET', '/v1/agents'), { createdIn: -3_600 });
  expect((await send(gateway, old)).status).toBe(401);
});

test('the list counts as it is written now', async () => {
  gateway.configure({ agents, more: operators([`{ did: "${stranger.did}", role: admin }`]) });
  await until(
    async () => (await ask(stranger, 'GET', '/v1/api-keys')).status === 200,
    'the new operator is known',
  );
  expect((await ask(operator, 'GET', '/v1/agents')).status).toBe(401);
});

test('an operator who is denied loses the stream that is open', async () => {
  await using own = await openGateway({ agents, more: operators(BOTH) });
  const { headers = [] } = signed(viewer, own.origin, call('GET', '/v1/stream'));
  using client = openStream(own, { key: null, headers: Object.fromEntries(headers) });
  expect((await client.opened).status).toBe(101);
  const deny = signed(operator, own.origin, call('POST', '/v1/revocations', { did: viewer.did }));
  expect((await send(own, deny)).status).toBe(201);
  expect(await client.closed).toMatchObject({ code: 1008 });
});

test('an operator whose key is revoked on chain loses it too', async () => {
  await using chain = await startChain();
  const onChain = await registerCaller(chain);
  await settle(chain.anvil);
  await using own = await openGateway({
    agents,
    more: `${operators([`"${onChain.did}"`])}
chains: [{ id: 31337, registries: [{ address: "${chain.registry}" }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl },
  });
  const open = () => {
    const { headers = [] } = signed(onChain, own.origin, call('GET', '/v1/stream'));
    return openStream(own, { key: null, headers: Object.fromEntries(headers) });
  };
  using client = open();
  expect((await client.opened).status).toBe(101);
  await chain.owner.revokeKey(onChain.agentId, 'key-1');
  expect(await client.closed).toMatchObject({ code: 1008 });
  using again = open();
  expect((await again.opened).status).toBe(401);
});

test('without operators a signature opens nothing, and a key beside it decides', async () => {
  await using other = await openGateway({ agents, env: { OPERATOR_API_KEY: OPERATOR_KEY } });
  const request = signed(operator, other.origin, call('GET', '/v1/whoami'));
  expect(await send(other, request)).toMatchObject({ status: 401, code: 'operator_unauthenticated' });
  const headers: Fields = [...(request.headers ?? []), ['authorization', `Bearer ${OPERATOR_KEY}`]];
  expect(JSON.parse((await send(other, { ...request, headers })).body)).toMatchObject({
    actor: 'key:bootstrap',
  });
});
