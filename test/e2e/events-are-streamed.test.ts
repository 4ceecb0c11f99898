import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { record } from '../operator/support.ts';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';
import { openStream, type StreamClient, type StreamEvent, type StreamOptions } from './support/stream.ts';

const alice = newCaller();
const ORIGIN = 'https://console.example';
const POLICY = policyOf('rules: [{ id: everybody, effect: allow, match: { path: /agents/** } }]');
const RING = 10_000;
const CLIENTS_MAX = 100;

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: POLICY,
    env: { OPERATOR_API_KEY: OPERATOR_KEY, CORS_ORIGINS: ORIGIN },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const clients: StreamClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.socket.terminate();
});

/** A client that is connected. */
async function stream(options: StreamOptions = {}): Promise<StreamClient> {
  const client = openStream(gateway, options);
  clients.push(client);
  expect((await client.opened).status).toBe(101);
  return client;
}

async function refusal(options: StreamOptions): Promise<{ status: number; code: string }> {
  const client = openStream(gateway, options);
  clients.push(client);
  const { status, body } = await client.opened;
  return { status, code: body?.code };
}

/** As the store publishes it; what it says is for the test to recognise. */
function publishBlocks(count: number, reason: string): void {
  for (let i = 0; i < count; i++)
    channel('sage:block').publish({ address: `192.0.2.${i % 256}`, untilMs: 0, reason, setBy: 'key:test' });
}

const numbers = (events: readonly StreamEvent[]): number[] =>
  events.map(({ id = '' }) => Number(id.slice(id.indexOf('-') + 1)));
const blocksOf = ({ events }: StreamClient, reason: string): StreamEvent[] =>
  events.filter(({ data }) => data.reason === reason);
const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

describe('what happens is told', () => {
  test('a decision, with who, what and by which rule', async () => {
    const client = await stream();
    const call = signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/x?token=secret' });
    const id = (await send(gateway, call)).headers['x-request-id'];
    const event = await client.event(({ data }) => data.request_id === id, 'the decision');
    expect(event).toMatchObject({
      type: 'decision',
      data: {
        method: 'GET',
        path: '/agents/echo/x',
        caller: alice.did,
        effect: 'allow',
        rule: 'everybody',
        status: 200,
        code: null,
        left_out: 0,
      },
    });
    expect(event.id).toBe(`${event.node}-${numbers([event])[0]}`);
    expect(event.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(JSON.stringify(client.events)).not.toContain('secret');
  });

  test('what operators do', async () => {
    const client = await stream();
    const post = (path: string, body: object) => operate(gateway, 'POST', path, { body });
    const told = (type: string, data: object) =>
      client.event(
        (event) => {
          if (event.type !== type) return false;
          return Object.entries(data).every(([name, value]) => event.data[name] === value);
        },
        `${type} ${JSON.stringify(data)}`,
      );
    const did = newCaller().did;
    const { body: revocation } = await post('/v1/revocations', { did, reason: 'lost its key' });
    await told('revocation', {
      id: revocation.id,
      did,
      key_id: null,
      reason: 'lost its key',
      by: 'key:bootstrap',
    });
    await operate(gateway, 'DELETE', `/v1/revocations/${revocation.id}`);
    await told('revocation_lifted', { id: revocation.id, did });
    await post('/v1/blocks', { address: '203.0.113.9', for_seconds: 60, reason: 'noisy' });
    await told('block', { address: '203.0.113.9', reason: 'noisy', set_by: 'key:bootstrap' });
    await operate(gateway, 'DELETE', '/v1/blocks/203.0.113.9');
    await told('unblock', { address: '203.0.113.9' });
    await post('/v1/agents', { id: 'more', upstreams: [agent.url] });
    await told('agents', { id: 'more', change: 'added', by: 'key:bootstrap' });
    await operate(gateway, 'PUT', '/v1/policy', { body: { text: POLICY } });
    await told('policy', { sequence: 1, source: 'store', by: 'key:bootstrap' });
  });

  test('circuits and chains, a chain once for each change', async () => {
    const client = await stream({ query: '?types=circuit,chain' });
    channel('sage:circuit').publish({ agentId: 'echo', instance: agent.url, state: 'open' });
    const head = { chainId: 31_337, head: 7n, lagBlocks: 0 };
    channel('sage:chain.head').publish({ ...head, connected: true });
    channel('sage:chain.head').publish({ ...head, head: 8n, connected: true });
    channel('sage:chain.head').publish({ ...head, head: 8n, connected: false });
    await client.event(({ data }) => data.connected === false, 'the chain is lost');
    expect(client.events.map(({ type, data }) => [type, data])).toEqual([
      ['circuit', { agent_id: 'echo', instance: agent.url, state: 'open' }],
      ['chain', { chain: '31337', connected: true, head: '7' }],
      ['chain', { chain: '31337', connected: false, head: '8' }],
    ]);
  });

  test('only the types that were asked for', async () => {
    const client = await stream({ query: '?types=unblock' });
    publishBlocks(3, 'unasked');
    channel('sage:unblock').publish({ address: '192.0.2.1' });
    await client.event(({ type }) => type === 'unblock', 'the one');
    expect(client.events.map(({ type }) => type)).toEqual(['unblock']);
  });

  test('decisions at a bounded rate, refusals first, saying how many were left out', async () => {
    const client = await stream({ query: '?types=decision' });
    const publish = (n: number, code: string): void =>
      channel('sage:request.finished').publish(record({ requestId: `flood-${code}-${n}`, code }));
    for (let n = 0; n < 600; n++) publish(n, '');
    for (let n = 0; n < 40; n++) publish(n, 'signature_invalid');
    const ofFlood = () => client.events.filter(({ data }) => data.request_id.startsWith('flood-'));
    const accounted = () => ofFlood().reduce((sum, { data }) => sum + 1 + data.left_out, 0);
    await until(() => accounted() === 640, 'each is told, or told to be left out');
    expect(ofFlood().length).toBeLessThanOrEqual(100);
    expect(ofFlood().filter(({ data }) => data.code !== null).length).toBe(40);
  });
});

test('blocks of the gateway at a bounded rate, those of operators all', async () => {
  const client = await stream({ query: '?types=block' });
  const block = { address: '192.0.2.1', untilMs: 0, reason: 'storm' };
  for (let i = 0; i < 500; i++) channel('sage:block').publish({ ...block, setBy: 'gateway' });
  for (let i = 0; i < 50; i++) channel('sage:block').publish({ ...block, setBy: 'key:test' });
  const ofOperators = () => blocksOf(client, 'storm').filter(({ data }) => data.set_by === 'key:test');
  await until(() => ofOperators().length === 50, 'all of the operators');
  const told = blocksOf(client, 'storm');
  expect(told.length).toBeLessThan(100);
  expect(told.length - 50 + told.reduce((sum, { data }) => sum + data.left_out, 0)).toBe(500);
});

describe('a client that comes again', () => {
  test('is told exactly what came after its cursor', async () => {
    const first = await stream();
    publishBlocks(50, 'resumed');
    await until(() => blocksOf(first, 'resumed').length === 50, 'fifty have come');
    const cursor = blocksOf(first, 'resumed')[19]?.id ?? '';
    first.socket.terminate();
    publishBlocks(50, 'resumed');
    const second = await stream({ query: `?cursor=${cursor}` });
    publishBlocks(50, 'resumed');
    await until(() => blocksOf(second, 'resumed').length >= 130, 'the rest has come');
    const after = Number(cursor.slice(cursor.indexOf('-') + 1));
    expect(numbers(second.events)).toEqual(range(after + 1, second.events.length));
    expect(blocksOf(second, 'resumed').length).toBe(130);
  });

  test('is sent what it missed no faster than it reads, and is not let go for that', async () => {
    const first = await stream();
    publishBlocks(1, 'begin');
    const { id = '' } = await first.event(({ data }) => data.reason === 'begin', 'the first');
    first.socket.terminate();
    // Some 14 MB: more than the kernel takes for a reader that has stopped.
    const reason = '€'.repeat(500);
    publishBlocks(8_000, reason);
    const second = openStream(gateway, { query: `?cursor=${id}&types=block` });
    clients.push(second);
    second.socket.once('open', () => second.socket.pause());
    await second.opened;
    publishBlocks(500, reason);
    second.socket.resume();
    await until(() => blocksOf(second, reason).length === 8_500, 'all have come', 20_000);
    expect(second.socket.readyState).toBe(second.socket.OPEN);
    const read = numbers(second.events);
    expect(read).toEqual(range(read[0] ?? 0, read.length));
    publishBlocks(1, 'afterwards');
    await second.event(({ data }) => data.reason === 'afterwards', 'it goes on');
  }, 40_000);

  test('too late is told so, and then all that is left', async () => {
    const first = await stream();
    publishBlocks(1, 'old');
    const { id: cursor = '' } = await first.event(({ data }) => data.reason === 'old', 'the first');
    const old = numbers(first.events).at(-1) ?? 0;
    first.socket.terminate();
    publishBlocks(RING + 100, 'flood');
    const second = await stream({ query: `?cursor=${cursor}` });
    await until(() => second.events.length > RING, 'all has come', 20_000);
    const [gap, ...rest] = second.events;
    expect(gap).toMatchObject({ type: 'gap', data: { missed_after: cursor } });
    expect(gap).not.toHaveProperty('id');
    const from = numbers(rest)[0] ?? 0;
    expect(from).toBeGreaterThan(old + 1);
    expect(numbers(rest)).toEqual(range(from, rest.length));
  });

  test.each(['0123456789abcdef-7', 'x-1'])(
    'with the cursor of another node (%s) is told so',
    async (cursor) => {
      const client = await stream({ query: `?cursor=${cursor}&types=unblock` });
      const gap = await client.event(({ type }) => type === 'gap', 'the gap');
      expect(gap.data).toEqual({ missed_after: cursor });
    },
  );
});

describe('a client that does not read', () => {
  test('is closed with 1013, and costs the others nothing', async () => {
    const reason = 'r'.repeat(500);
    const slow = await stream();
    const quick = await stream();
    slow.socket.pause();
    const metric = async (): Promise<number> => {
      const { body } = await send(gateway, {
        method: 'GET',
        target: '/metrics',
        headers: [['authorization', `Bearer ${OPERATOR_KEY}`]],
      });
      return Number(/^sage_stream_closed_total\{reason="slow"\} (\d+)$/m.exec(body)?.[1]);
    };
    const before = await metric();
    let published = 0;
    // The kernel takes some megabytes before anything waits in the gateway.
    while ((await metric()) === before) {
      expect(published).toBeLessThan(200_000);
      publishBlocks(1_000, reason);
      published += 1_000;
      await until(() => blocksOf(quick, reason).length === published, 'the quick one has read it');
    }
    slow.socket.resume();
    expect(await slow.closed).toMatchObject({ code: 1013 });
    const read = numbers(slow.events);
    expect(read).toEqual(range(read[0] ?? 0, read.length));
    expect(read.length).toBeLessThan(numbers(quick.events).length);
    expect(quick.socket.readyState).toBe(quick.socket.OPEN);
  }, 60_000);
});

describe('before the handshake is answered', () => {
  test.each<[string, StreamOptions, number, string]>([
    ['no credential', { key: null }, 401, 'operator_unauthenticated'],
    ['a wrong key', { key: 'x'.repeat(40) }, 401, 'operator_unauthenticated'],
    ['an unknown type', { query: '?types=decision,rumour' }, 400, 'request_invalid'],
    ['no type', { query: '?types=' }, 400, 'request_invalid'],
    ['a cursor of another form', { query: '?cursor=yesterday' }, 400, 'request_invalid'],
    [
      'a key in the query',
      { query: `?access_token=${OPERATOR_KEY}`, key: null },
      401,
      'operator_unauthenticated',
    ],
    ['an unknown member of the query', { query: '?since=1' }, 400, 'request_invalid'],
    ['a page of another site', { headers: { origin: 'https://evil.example' } }, 403, 'operator_forbidden'],
    ['a page of no site', { headers: { origin: 'null' } }, 403, 'operator_forbidden'],
    ['another subprotocol', { protocols: ['graphql-ws'] }, 400, 'request_invalid'],
    ['another version', { version: 8 }, 400, 'request_invalid'],
  ])('%s is refused', async (_name, options, status, code) => {
    expect(await refusal(options)).toEqual({ status, code });
  });

  test('what is no WebSocket is told what to speak', async () => {
    const { status, headers, body } = await operate(gateway, 'GET', '/v1/stream');
    expect({ status, code: body.code }).toEqual({ status: 426, code: 'upgrade_required' });
    expect(headers.get('upgrade')).toBe('websocket');
  });

  test('a page of a listed origin, or of the gateway itself, may open it', async () => {
    await stream({ headers: { origin: ORIGIN } });
    await stream({ headers: { origin: gateway.origin } });
  });

  test('a browser brings its key among the subprotocols, and is never sent it back', async () => {
    const encode = (key: string): string => `bearer.${Buffer.from(key).toString('base64url')}`;
    const client = await stream({ key: null, protocols: ['sage.v1', encode(OPERATOR_KEY)] });
    expect(client.socket.protocol).toBe('sage.v1');
    expect(JSON.stringify((await client.opened).headers)).not.toContain(encode(OPERATOR_KEY));
    const wrong = { status: 401, code: 'operator_unauthenticated' };
    expect(await refusal({ key: null, protocols: ['sage.v1', encode('x'.repeat(40))] })).toEqual(wrong);
    // Two spellings of one key would make it two.
    expect(await refusal({ key: null, protocols: ['sage.v1', 'bearer.QR'] })).toEqual(wrong);
    expect(await refusal({ key: null, protocols: [encode(OPERATOR_KEY)] })).toEqual({
      status: 400,
      code: 'request_invalid',
    });
    // Elsewhere it opens nothing.
    const { status } = await operate(gateway, 'GET', '/v1/agents', {
      key: null,
      headers: { 'sec-websocket-protocol': `sage.v1, ${encode(OPERATOR_KEY)}` },
    });
    expect(status).toBe(401);
  });

  test('the 101st client is refused, until one of the others leaves', async () => {
    const all = await Promise.all(range(0, CLIENTS_MAX).map(() => stream()));
    const one = openStream(gateway);
    clients.push(one);
    const { status, headers, body } = await one.opened;
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'stream_unavailable' });
    expect(headers['retry-after']).toBe('5');
    all[0]?.socket.close();
    await until(
      async () => (await refusal({ query: '?types=unblock' })).status === 101,
      'there is room again',
    );
  });
});

test('a client that says too much is closed; one that ends within its handshake harms nothing', async () => {
  const client = await stream();
  client.socket.send('x'.repeat(2_000));
  expect(await client.closed).toMatchObject({ code: 1009 });
  const socket = connect(gateway.port, '127.0.0.1');
  socket.write(
    `GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1:${gateway.port}\r\nauthorization: Bearer ${OPERATOR_KEY}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  socket.resetAndDestroy();
  await once(socket, 'close');
  await stream();
});

describe('an API key', () => {
  const create = async (body: object) => (await operate(gateway, 'POST', '/v1/api-keys', { body })).body;

  test('that is revoked is closed with 1008 within a second or two', async () => {
    const { id, key } = await create({ name: 'watcher', role: 'viewer' });
    const client = await stream({ key });
    const other = await stream();
    expect((await operate(gateway, 'DELETE', `/v1/api-keys/${id}`)).status).toBe(204);
    const asked = performance.now();
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(performance.now() - asked).toBeLessThan(2_000);
    expect(other.socket.readyState).toBe(other.socket.OPEN);
    expect(await refusal({ key })).toMatchObject({ status: 401 });
  });

  test('without the scope is refused before the handshake is answered', async () => {
    const { key } = await create({ name: 'narrow', role: 'viewer', scopes: ['agents:read'] });
    expect(await refusal({ key })).toEqual({ status: 403, code: 'operator_forbidden' });
  });
});

test('a signed request of an operator opens it, over TLS as well', async () => {
  const operator = newCaller();
  await using secure = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    more: `operators: [{ did: "${operator.did}", role: viewer }]`,
    tls: true,
  });
  const { headers = [] } = signed(operator, secure.origin, { method: 'GET', target: '/v1/stream' });
  using client = openStream(secure, { key: null, headers: Object.fromEntries(headers) });
  expect((await client.opened).status).toBe(101);
  using again = openStream(secure, { key: null, headers: Object.fromEntries(headers) });
  expect((await again.opened).body.code).toBe('nonce_replayed');
});

test('a gateway that drains says so with 1001, and takes no more', async () => {
  await using other = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
    atOnce: true,
  });
  using client = openStream(other);
  expect((await client.opened).status).toBe(101);
  other.app.drain.begin();
  expect(await client.closed).toMatchObject({ code: 1001 });
  using late = openStream(other);
  expect((await late.opened).body.code).toBe('stream_unavailable');
});
