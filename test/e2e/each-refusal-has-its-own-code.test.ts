import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateSigningKey } from '../../src/trust/keys/signing.ts';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, type SigningChoices, signed } from './support/callers.ts';
import { type Answer, send, TRANSPORTS } from './support/clients.ts';

const alice = newCaller();
const mallory = newCaller();
const BODY = Buffer.from('{"pay":1}');
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [`{ id: echo, ${upstreams} }`],
    policy: policyOf(`rules:
  - { id: everybody, effect: allow, match: { path: /agents/** } }
  - { id: nothing-is-deleted, effect: deny, match: { method: [DELETE] } }`),
    tls: true,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const get = (choices: SigningChoices = {}, more: Partial<Call> = {}): Call =>
  signed(alice, gateway.origin, { method: 'GET', target: '/agents/echo/today', ...more }, choices);
const post = (): Call =>
  signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/pay', body: BODY });

/** The same call with one of its fields written anew. */
function rewrite(call: Call, name: string, change: (value: string) => string): Call {
  return {
    ...call,
    headers: (call.headers ?? []).map(([field, value]) => [field, field === name ? change(value) : value]),
  };
}
const without = (call: Call, ...names: string[]): Call => ({
  ...call,
  headers: (call.headers ?? []).filter(([name]) => !names.includes(name)),
});
const input = (call: Call, from: RegExp, to: string): Call =>
  rewrite(call, 'signature-input', (value) => {
    expect(value).toMatch(from);
    return value.replace(from, to);
  });

const cases: readonly (readonly [name: string, status: number, code: string, make: () => Call])[] = [
  ['unsigned', 401, 'signature_required', () => ({ method: 'GET', target: '/agents/echo/today' })],
  ['another path', 401, 'signature_invalid', () => ({ ...get(), target: '/agents/echo/tomorrow' })],
  ['another method', 401, 'signature_invalid', () => ({ ...get(), method: 'OPTIONS' })],
  ['another query', 401, 'signature_invalid', () => ({ ...get(), target: '/agents/echo/today?x=1' })],
  ['another body', 401, 'digest_mismatch', () => ({ ...post(), body: Buffer.from('{"pay":9}') })],
  ['a body cut short', 401, 'digest_mismatch', () => ({ ...post(), body: BODY.subarray(1) })],
  [
    'a body that was never signed',
    401,
    'coverage_insufficient',
    () => ({ ...get({}, { method: 'POST' }), body: BODY }),
  ],
  [
    'a digest that is not covered',
    401,
    'coverage_insufficient',
    () => input(post(), / "content-digest"/, ''),
  ],
  [
    'the key of somebody else',
    401,
    'signature_invalid',
    () =>
      signed({ signer: { keyId: alice.signer.keyId, key: mallory.signer.key } }, gateway.origin, {
        method: 'GET',
        target: '/agents/echo/today',
      }),
  ],
  ['a key that the DID does not hold', 401, 'key_unknown', () => input(get(), /#[^"]+/, '#key-9')],
  ['a relative key id', 400, 'did_malformed', () => input(get(), /keyid="[^"]+"/, 'keyid="key-1"')],
  ['a DID method of no ours', 401, 'did_method_unsupported', () => input(get(), /did:key:/, 'did:plc:')],
  ['an expired signature', 401, 'signature_expired', () => get({ createdIn: -30, expiresIn: -10 })],
  ['an old signature', 401, 'signature_too_old', () => get({ createdIn: -120 })],
  ['a signature of the future', 401, 'created_in_future', () => get({ createdIn: 120 })],
  ['no creation time', 401, 'parameter_missing', () => input(get(), /;created=\d+/, '')],
  ['no nonce', 401, 'parameter_missing', () => input(get(), /;nonce="[^"]+"/, '')],
  ['no key id', 401, 'parameter_missing', () => input(get(), /;keyid="[^"]+"/, '')],
  ['a method that is not covered', 401, 'coverage_insufficient', () => input(get(), /"@method" /, '')],
  ['a target that is not covered', 401, 'coverage_insufficient', () => input(get(), / "@target-uri"/, '')],
  [
    'an algorithm of the past',
    401,
    'algorithm_unsupported',
    () => input(get(), /alg="[^"]+"/, 'alg="rsa-v1_5-sha256"'),
  ],
  ['a shared secret', 401, 'algorithm_mismatch', () => input(get(), /alg="[^"]+"/, 'alg="hmac-sha256"')],
  [
    'an algorithm of another key',
    401,
    'algorithm_mismatch',
    () => input(get(), /alg="[^"]+"/, 'alg="ecdsa-p256-sha256"'),
  ],
  ['a signature without its input', 400, 'signature_incomplete', () => without(get(), 'signature-input')],
  ['an input without its signature', 400, 'signature_incomplete', () => without(get(), 'signature')],
  [
    'a signature that does not parse',
    400,
    'signature_malformed',
    () => rewrite(get(), 'signature', () => 'sig1=:!:'),
  ],
  ['a component twice', 400, 'component_repeated', () => input(get(), /"@method"/, '"@method" "@method"')],
  ['a digest nobody knows', 401, 'digest_unsupported', () => signWeakDigest()],
  [
    'an authorization that is not covered',
    401,
    'coverage_insufficient',
    () => addField(get(), 'authorization', 'Bearer x'),
  ],
  ['an agent that is not there', 404, 'agent_unknown', () => get({}, { target: '/agents/nobody/' })],
  ['a path with an encoded slash', 400, 'path_ambiguous', () => get({}, { target: '/agents/echo/a%2Fb' })],
  ['what the policy denies', 403, 'policy_denied', () => get({}, { method: 'DELETE' })],
];

function addField(call: Call, name: string, value: string): Call {
  return { ...call, headers: [...(call.headers ?? []), [name, value]] };
}

function signWeakDigest(): Call {
  const headers = [['content-digest', 'md5=:0Pzs1dLCBrRpScvaKsB2AQ==:']] as const;
  return {
    ...signed(alice, gateway.origin, { method: 'POST', target: '/agents/echo/pay', headers }),
    body: BODY,
  };
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(cases)('%s: %i %s', async (_name, status, code, make) => {
    const before = agent.begun();
    const answer = await send(gateway, make(), transport);
    expect({ status: answer.status, code: answer.code }).toEqual({ status, code });
    expectProblem(answer);
    expect(agent.begun()).toBe(before);
  });

  test('the same request sent again: 401 nonce_replayed', async () => {
    const call = post();
    expect(await send(gateway, call, transport)).toMatchObject({ status: 200 });
    const before = agent.begun();
    const again = await send(gateway, call, transport);
    expect(again).toMatchObject({ status: 401, code: 'nonce_replayed' });
    expect(agent.begun()).toBe(before);
  });

  test('the same nonce under another signature: 401 nonce_replayed', async () => {
    const nonce = randomBytes(16).toString('base64url');
    expect(await send(gateway, get({ nonce }), transport)).toMatchObject({ status: 200 });
    const other = get({ nonce }, { target: '/agents/echo/tomorrow' });
    expect(await send(gateway, other, transport)).toMatchObject({ status: 401, code: 'nonce_replayed' });
  });

  test('a nonce belongs to its caller: another one may use the same', async () => {
    const nonce = randomBytes(16).toString('base64url');
    expect(await send(gateway, get({ nonce }), transport)).toMatchObject({ status: 200 });
    const call = { method: 'GET', target: '/agents/echo/today' };
    const theirs = signed(mallory, gateway.origin, call, { nonce });
    expect(await send(gateway, theirs, transport)).toMatchObject({ status: 200 });
  });
});

test('a key of every supported algorithm is served', async () => {
  for (const algorithm of ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384'] as const) {
    const call = signed(newCaller(algorithm), gateway.origin, { method: 'GET', target: '/agents/echo/' });
    expect(await send(gateway, call), algorithm).toMatchObject({ status: 200 });
  }
});

test('did:jwk is served, and RSA is not hidden in it', async () => {
  const { signing, publicJwk } = generateSigningKey('ed25519');
  const did = `did:jwk:${Buffer.from(JSON.stringify(publicJwk)).toString('base64url')}`;
  const call = { method: 'GET', target: '/agents/echo/' };
  const answer = await send(
    gateway,
    signed({ signer: { keyId: `${did}#0`, key: signing } }, gateway.origin, call),
  );
  expect(answer).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(did);
});

/** RFC 9457, and nothing that names what is inside. */
function expectProblem({ status, headers, body }: Answer): void {
  expect(headers['content-type']).toBe('application/problem+json');
  expect(headers['cache-control']).toBe('no-store');
  const problem = JSON.parse(body) as Record<string, unknown>;
  expect(Object.keys(problem).sort()).toEqual(
    ['code', 'detail', 'request_id', 'retryable', 'status', 'title', 'type'].sort(),
  );
  expect(problem.status).toBe(status);
  expect(problem.request_id).toBe(headers['x-request-id']);
}
