import Fastify from 'fastify';
import { expect, test } from 'vitest';
import type { RequestRecord } from '../../src/gateway/record.ts';
import { createLogger, logFor } from '../../src/operator/telemetry/logging.ts';
import { createRequestLog } from '../../src/operator/telemetry/request-log.ts';
import { createLines, type Lines, record } from './support.ts';

const SECRET = 'hunter2-canary';
const CONFIGURED = 'configured/secret with "quotes" and spaces';

function start(): { lines: Lines; logger: ReturnType<typeof createLogger> } {
  const lines = createLines();
  return { lines, logger: createLogger({ level: 'trace', destination: lines, secrets: [CONFIGURED] }) };
}

const NAMES = [
  'authorization',
  'Authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'signature',
  'x-api-key',
  'apiKey',
  'access_token',
  'refreshToken',
  'client_secret',
  'password',
  'passphrase',
  'privateKey',
  'private_key',
  'mnemonic',
];

const OBJECTS: [name: string, object: object][] = [
  ...NAMES.map((name): [string, object] => [`member ${name}`, { [name]: SECRET }]),
  ...NAMES.map((name): [string, object] => [`nested ${name}`, { a: { b: [{ c: { [name]: SECRET } }] } }]),
  ...NAMES.map((name): [string, object] => [
    `raw header ${name}`,
    { rawHeaders: ['accept', '*/*', name, SECRET] },
  ]),
  ['a private JWK', { key: { kty: 'OKP', crv: 'Ed25519', x: 'public', d: SECRET } }],
  ['a symmetric JWK', { key: { kty: 'oct', k: SECRET } }],
  ['a Map', { headers: new Map([['authorization', SECRET]]) }],
  ['a Set', { values: new Set(['cookie', SECRET]) }],
  ['bytes', { body: Buffer.from(SECRET), raw: new Uint8Array(Buffer.from(SECRET)) }],
  [
    'an error with members',
    { err: Object.assign(new Error('x'), { config: { headers: { authorization: SECRET } } }) },
  ],
  ['a cause', { err: new Error('x', { cause: Object.assign(new Error('y'), { token: SECRET }) }) }],
  ['depth', { a: { b: { c: { d: { e: { f: { g: { h: SECRET } } } } } } } }],
  ['a query of a request', { req: { method: 'GET', url: `/x?code=${SECRET}`, headers: { cookie: SECRET } } }],
  ['a configured value', { note: `it was ${CONFIGURED} all along` }],
];

const TEXTS: [name: string, text: string][] = [
  ['Redis userinfo', `connect ECONNREFUSED redis://default:${SECRET}@127.0.0.1:6379/0`],
  ['Redis password alone', `redis://:${SECRET}@cache.example`],
  ['a password with a slash and an at', `redis://:a/b@${SECRET}@cache.example:6379`],
  ['a password with a quote', `rediss://:pa"${SECRET}@cache.example:6379`],
  ['an RPC path', `could not reach https://mainnet.infura.example/v3/${SECRET}`],
  ['an RPC query', `wss://rpc.example/?apikey=${SECRET}`],
  ['a database URL', `postgresql://sage:${SECRET}@db.example:5432/sage`],
  ['a bearer credential', `header was Authorization: Bearer ${SECRET}`],
  ['a credential on a line of its own', `headers:\nBearer ${SECRET}`],
  ['a query of a path', `Route GET:/x?code=${SECRET}&state=${SECRET} not found`],
  ['a basic credential', `BASIC ${btoa(`operator:${SECRET}`)}`],
  ['a configured value', `tried ${CONFIGURED} and failed`],
  ['a configured value in a URL', `at ftp.example/${encodeURIComponent(CONFIGURED)}`],
];

function expectClean(lines: Lines): void {
  const text = lines.text();
  for (const leak of [
    SECRET,
    btoa(`operator:${SECRET}`),
    CONFIGURED,
    JSON.stringify(CONFIGURED).slice(1, -1),
  ]) {
    expect(text).not.toContain(leak);
  }
  expect(text).not.toContain(encodeURIComponent(CONFIGURED));
  // Every line is still JSON.
  expect(lines.all().length).toBeGreaterThan(0);
}

test.each(OBJECTS)('%s is redacted, on the line and in bindings of children', (_name, object) => {
  const { lines, logger } = start();
  logger.info(object, 'line');
  logger.child(object).info('child');
  logger.child({ a: 1 }).child(object).warn({ more: object }, 'grandchild');
  expectClean(lines);
  expect(lines.all()).toHaveLength(3);
});

test.each(TEXTS)('%s is cut out of text, wherever it stands', (_name, text) => {
  const { lines, logger } = start();
  logger.error(text);
  logger.error('failed: %s', text);
  logger.error({ reason: text, nested: { list: [text] } }, 'x');
  logger.error(new Error(text, { cause: new Error(text) }));
  logger.child({ binding: text }).error('x');
  createRequestLog(logger, () => undefined).finished(
    record({ status: 502, internalReason: text, instance: text }),
  );
  expectClean(lines);
  expect(lines.all()).toHaveLength(6);
});

test('an API key is cut to its name wherever it turns up', () => {
  const secret = 'kq7Rz-N0c2Wm5Kx1JtUe8hVb4sLd3gPyAf_0123456z';
  const { lines, logger } = start();
  logger.info({ path: `/agents/echo/sage_4fK2c9QxYw1B.${secret}` }, `sent sage_4fK2c9QxYw1B.${secret}`);
  logger.info('sage_requests_total');
  expect(lines.text()).not.toContain(secret);
  expect(lines.text().match(/sage_4fK2c9QxYw1B\./g)).toHaveLength(2);
  expect(lines.text()).toContain('sage_requests_total');
});

test('what is useful is kept', () => {
  const { lines, logger } = start();
  logger.info(
    { url: 'http://127.0.0.1:9100', did: 'did:web:weather.example:agents:1', at: 'http://[::1]:80/' },
    'up',
  );
  logger.info('listening on https://gateway.example:8443, as asked (see http://docs.example).');
  expect(lines.all()[0]).toMatchObject({
    url: 'http://127.0.0.1:9100',
    did: 'did:web:weather.example:agents:1',
    at: 'http://[::1]:80/',
    level: 'info',
  });
  expect(lines.all()[1]?.msg).toBe(
    'listening on https://gateway.example:8443, as asked (see http://docs.example).',
  );
  expect(Date.parse(String(lines.all()[0]?.time))).toBeGreaterThan(Date.now() - 60_000);
});

test('a request line carries its ids and nothing of a query', () => {
  const { lines, logger } = start();
  createRequestLog(logger, () => undefined).finished(record());
  logFor(logger, record()).info('within the request');
  for (const line of lines.all()) {
    expect(line).toMatchObject({ request_id: 'req-1', trace_id: '0af7651916cd43dd8448eb211c80319c' });
  }
  expect(lines.all()[0]).toMatchObject({
    msg: 'request',
    request: { path: '/agents/weather/report', duration_ms: 12 },
  });
});

test('each field of a record is scrubbed', () => {
  const url = `https://user:${SECRET}@rpc.example/v3/${SECRET}?key=${SECRET}`;
  const sound = record();
  for (const [name, value] of Object.entries(sound)) {
    if (typeof value !== 'string' || name === 'transport' || name === 'effect') continue;
    const { lines, logger } = start();
    const changed = { ...sound, [name]: url } as RequestRecord;
    createRequestLog(logger, () => undefined).finished(changed);
    expectClean(lines);
  }
});

test("Fastify's own lines lose queries and header values", async () => {
  const { lines, logger } = start();
  const app = Fastify({ loggerInstance: logger });
  app.get('/boom', () => {
    throw Object.assign(new Error(`no answer from redis://:${SECRET}@127.0.0.1`), { token: SECRET });
  });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  await fetch(`${origin}/boom?api_key=${SECRET}`, {
    headers: { authorization: `Bearer ${SECRET}`, cookie: SECRET },
  });
  await fetch(`${origin}/none?api_key=${SECRET}`);
  await app.close();
  expectClean(lines);
  expect(lines.text()).toContain('"path":"/boom"');
});

test('an object that cannot be read costs its members, not the caller', () => {
  const { lines, logger } = start();
  const trap = {
    get member(): string {
      throw new Error(SECRET);
    },
  };
  expect(() => logger.info(trap, 'still said')).not.toThrow();
  const circle: { self?: unknown } = {};
  circle.self = circle;
  logger.info(circle, 'round');
  expectClean(lines);
  expect(lines.all()[0]?.msg).toBe('still said');
});
