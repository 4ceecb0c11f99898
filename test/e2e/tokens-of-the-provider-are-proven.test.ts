import { createHmac, createPublicKey } from 'node:crypto';
import { exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AUDIENCE,
  type Issuer,
  newKey,
  type SigningKey,
  startIssuer,
  token,
} from '../operator/access/issuer.ts';
import { openGateway, type TestGateway } from '../support/gateway.ts';
import { type Json, OPERATOR_KEY, operate } from './support/operator.ts';

const agents = ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'];
let [key, ec, foreign]: SigningKey[] = [];
let issuer: Issuer;
let stranger: Issuer;
let gateway: TestGateway;

const open = (oidcIssuer: string) =>
  openGateway({
    agents,
    env: {
      OPERATOR_API_KEY: OPERATOR_KEY,
      OIDC_ISSUER: oidcIssuer,
      OIDC_AUDIENCE: AUDIENCE,
      TRUSTED_PROXIES: '127.0.0.1',
    },
    atOnce: true,
  });

beforeAll(async () => {
  [key, ec, foreign] = await Promise.all([newKey('k1'), newKey('k2', 'ES256'), newKey('k1')]);
  issuer = await startIssuer([key, ec]);
  stranger = await startIssuer([foreign]);
  gateway = await open(issuer.url);
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([issuer[Symbol.asyncDispose](), stranger[Symbol.asyncDispose]()]);
});

const made = (changes: Parameters<typeof token>[2] = {}, by: SigningKey | undefined = key) => {
  if (by === undefined) throw new Error('no key yet');
  return token(issuer.url, by, changes);
};
/** From an address of its own each time: wrong tokens are counted by address, and each is to be judged by itself. */
let asked = 0;
function whoami(jwt: string, at: TestGateway = gateway) {
  asked += 1;
  const headers = { 'x-forwarded-for': `203.0.${asked >> 8}.${asked & 255}` };
  return operate(at, 'GET', '/v1/whoami', { key: jwt, headers });
}
const part = (value: Json) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token', () => {
  test('names its holder, its role and its end', async () => {
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const { status, body } = await whoami(await made({ claims: { exp } }));
    expect(status).toBe(200);
    expect(body).toMatchObject({ actor: `jwt:${issuer.url}|ann`, method: 'jwt', role: 'operator' });
    expect(Date.parse(body.expires_at)).toBe(exp * 1_000);
    expect((await whoami(await made({ header: { alg: 'ES256' } }, ec))).status).toBe(200);
  });

  test('has the highest role it names, and none it does not', async () => {
    const roleOf = async (sage_role: unknown) => (await whoami(await made({ claims: { sage_role } }))).body;
    expect((await roleOf('viewer')).role).toBe('viewer');
    expect((await roleOf(['viewer', 'admin', 'other'])).role).toBe('admin');
    for (const none of [undefined, 'root', [], ['Admin'], { admin: true }, 3])
      expect(await roleOf(none)).toMatchObject({ status: 403, code: 'operator_forbidden' });
  });
});

describe('refused are', () => {
  const now = Math.floor(Date.now() / 1_000);
  const claims: [string, Record<string, unknown>][] = [
    ['an expired one', { exp: now - 60 }],
    ['one without an end', { exp: undefined }],
    ['one of later', { nbf: now + 3_600 }],
    ['one for somebody else', { aud: 'other' }],
    ['one for nobody', { aud: undefined }],
    ['one without a subject', { sub: undefined }],
    ['one of another issuer', { iss: 'https://other.example' }],
    ['one of almost this issuer', { iss: 'PLACE/' }],
  ];
  test.each(claims)('%s', async (_name, changed) => {
    const iss = changed.iss === 'PLACE/' ? { iss: `${issuer.url}/` } : {};
    const { status, body, headers } = await whoami(await made({ claims: { ...changed, ...iss } }));
    expect([status, body.code]).toEqual([401, 'operator_unauthenticated']);
    expect(headers.get('www-authenticate')).toMatch(/^Bearer .*invalid_token/);
  });

  test('one with alg none, with or without a signature', async () => {
    const [, payload, signature] = (await made()).split('.');
    for (const alg of ['none', 'None', 'NONE', ''])
      for (const end of ['', signature])
        expect((await whoami(`${part({ alg, kid: 'k1' })}.${payload}.${end}`)).status).toBe(401);
  });

  test('one whose HMAC is keyed with the public key', async () => {
    const jwk = issuer.keys[0] ?? {};
    const pem = createPublicKey({ key: jwk as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const [, payload] = (await made()).split('.');
    for (const secret of [pem, JSON.stringify(jwk), jwk.n ?? '']) {
      const signing = `${part({ alg: 'HS256', kid: 'k1' })}.${payload}`;
      const mac = createHmac('sha256', secret).update(signing).digest('base64url');
      expect((await whoami(`${signing}.${mac}`)).status).toBe(401);
    }
  });

  test('one signed by the key of another issuer, whatever its header points to', async () => {
    if (foreign === undefined) throw new Error('no key yet');
    const jwk = await exportJWK(foreign.privateKey).then(({ kty, n, e }) => ({ kty, n, e }));
    const headers = [
      {},
      { jwk },
      { jku: `${stranger.url}/keys` },
      { x5u: `${stranger.url}/cert` },
      { kid: `${stranger.url}/keys#k1` },
      { kid: undefined },
    ] as object[];
    for (const header of headers) {
      const { status, body } = await whoami(await made({ header }, foreign));
      expect([status, body.code], JSON.stringify(header)).toEqual([401, 'operator_unauthenticated']);
    }
    expect(stranger.asked).toEqual([]);
  });

  test('one with a critical header that nobody knows', async () => {
    const jwt = await made({ header: { crit: ['urn:test'], 'urn:test': 1 } as object });
    expect((await whoami(jwt)).status).toBe(401);
  });

  test('one that was changed, cut or is no token', async () => {
    const jwt = await made();
    const [header, , signature] = jwt.split('.');
    const payload = part({ iss: issuer.url, aud: AUDIENCE, sub: 'eve', exp: now + 300, sage_role: 'admin' });
    for (const bad of [
      `${header}.${payload}.${signature}`,
      jwt.slice(0, -4),
      `${header}..${signature}`,
      'a.b.c',
      '..',
    ])
      expect((await whoami(bad)).status, bad).toBe(401);
  });
});

test('guessing at tokens is limited like guessing at keys', async () => {
  await using fresh = await open(issuer.url);
  if (foreign === undefined) throw new Error('no key yet');
  const forged = await made({}, foreign);
  const statuses: number[] = [];
  for (let i = 0; i < 11; i++)
    statuses.push((await operate(fresh, 'GET', '/v1/whoami', { key: forged })).status);
  expect(statuses).toEqual([...Array<number>(10).fill(401), 429]);
});

test('an expired token is no guess', async () => {
  await using fresh = await open(issuer.url);
  const expired = await made({ claims: { exp: Math.floor(Date.now() / 1_000) - 60 } });
  for (let i = 0; i < 12; i++)
    expect((await operate(fresh, 'GET', '/v1/whoami', { key: expired })).status).toBe(401);
  expect((await operate(fresh, 'GET', '/v1/whoami', { key: await made() })).status).toBe(200);
});

describe('a provider that', () => {
  type Spoilt = Pick<Partial<Issuer>, 'answer' | 'discovery'>;
  const always = (status: number, body: string): Spoilt => ({ answer: () => ({ status, body }) });
  const cases: [string, (url: string) => Spoilt][] = [
    ['does not answer', () => always(500, '')],
    ['answers with what is no JSON', () => always(200, '<html>')],
    ['answers with too much', () => always(200, ' '.repeat(300_000))],
    [
      'is named otherwise in its own document',
      (url) => ({ discovery: { issuer: `${url}/`, jwks_uri: `${url}/keys` } }),
    ],
    [
      'names keys over cleartext',
      (url) => ({ discovery: { issuer: url, jwks_uri: 'http://keys.example/keys' } }),
    ],
    ['names no keys', (url) => ({ discovery: { issuer: url } })],
    [
      'sends elsewhere',
      () => ({
        answer: (path) =>
          path === '/keys' ? { status: 302, headers: { location: `${issuer.url}/keys` }, body: '' } : null,
      }),
    ],
  ];
  test.each(cases)('%s proves nobody, and the answer says so', async (_name, spoil) => {
    if (key === undefined) throw new Error('no key yet');
    await using other = await startIssuer([key]);
    Object.assign(other, spoil(other.url));
    await using closed = await open(other.url);
    const { status, body, headers } = await operate(closed, 'GET', '/v1/whoami', {
      key: await token(other.url, key),
    });
    expect([status, body.code]).toEqual([503, 'identity_provider_unavailable']);
    expect(headers.get('retry-after')).toBe('30');
    // Keys are independent of it.
    expect((await operate(closed, 'GET', '/v1/whoami')).status).toBe(200);
    // Whoever repeats himself does not make the gateway ask again.
    const asked = other.asked.length;
    await operate(closed, 'GET', '/v1/whoami', { key: await token(other.url, key) });
    expect(other.asked.length).toBe(asked);
  });

  test('goes away later is remembered for a while', async () => {
    if (key === undefined) throw new Error('no key yet');
    const other = await startIssuer([key]);
    await using known = await open(other.url);
    expect((await whoami(await token(other.url, key), known)).status).toBe(200);
    await other[Symbol.asyncDispose]();
    expect((await whoami(await token(other.url, key), known)).status).toBe(200);
  });
});
