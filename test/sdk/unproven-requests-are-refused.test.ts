import { inspect } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { REFUSALS, RequestRefused } from '../../src/sdk/errors.ts';
import type { ReceivedRequest } from '../../src/sdk/incoming.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { type RequestToSign, type SignedRequest, type SignOptions, signRequest } from '../../src/sdk/sign.ts';
import type { Signer } from '../../src/sdk/signer.ts';
import { type VerifierOptions, verifyRequest } from '../../src/sdk/verify.ts';
import { codeOf, NOW, newParty, ORIGIN, serverOptions } from './support/parties.ts';

let signer: Signer;
let stranger: Signer;
beforeAll(async () => {
  signer = (await newParty()).signer;
  stranger = (await newParty()).signer;
});

const POST: RequestToSign = {
  method: 'POST',
  url: `${ORIGIN}/orders?id=7`,
  headers: { 'content-type': 'application/json', authorization: 'Bearer abc' },
  body: '{"a":1}',
};

const sign = (options: SignOptions = {}, request = POST): Promise<SignedRequest> =>
  signRequest(request, signer, { now: () => NOW, ...options });

function without(request: SignedRequest, name: string): SignedRequest {
  return { ...request, headers: request.headers.filter(([one]) => one !== name) };
}

function edited(request: SignedRequest, name: string, edit: (value: string) => string): SignedRequest {
  const headers = request.headers.map(([one, value]): [string, string] => [
    one,
    one === name ? edit(value) : value,
  ]);
  return { ...request, headers };
}

describe('a request that was changed on its way', () => {
  const changes: [string, string, (request: SignedRequest) => ReceivedRequest][] = [
    ['method', 'signature_invalid', (one) => ({ ...one, method: 'PUT' })],
    ['path', 'signature_invalid', (one) => ({ ...one, url: `${ORIGIN}/refunds?id=7` })],
    ['query', 'signature_invalid', (one) => ({ ...one, url: `${ORIGIN}/orders?id=8` })],
    ['host', 'authority_unknown', (one) => ({ ...one, url: 'https://other.example/orders?id=7' })],
    ['body', 'digest_mismatch', (one) => ({ ...one, body: new TextEncoder().encode('{"a":2}') })],
    ['body cut off', 'digest_mismatch', (one) => ({ ...one, body: null })],
    ['content type', 'signature_invalid', (one) => edited(one, 'content-type', () => 'text/plain')],
    ['authorization', 'signature_invalid', (one) => edited(one, 'authorization', () => 'Bearer other')],
    ['digest', 'signature_invalid', (one) => edited(one, 'content-digest', (it) => it.replace('=:', '=:AA'))],
    [
      'created',
      'signature_invalid',
      (one) =>
        edited(one, 'signature-input', (it) => it.replace(/created=\d+/, `created=${NOW / 1_000 - 5.5}`)),
    ],
    [
      'nonce',
      'signature_invalid',
      (one) => edited(one, 'signature-input', (it) => it.replace(/nonce="[^"]+"/, 'nonce="x"')),
    ],
    [
      'key',
      'signature_invalid',
      (one) => edited(one, 'signature-input', (it) => it.replace(signer.keyId, stranger.keyId)),
    ],
    [
      'alg',
      'algorithm_mismatch',
      (one) => edited(one, 'signature-input', (it) => it.replace('"ed25519"', '"hmac-sha256"')),
    ],
    ['signature cut', 'signature_invalid', (one) => edited(one, 'signature', () => 'sig1=:AAAA:')],
    ['no signature', 'signature_required', (one) => without(without(one, 'signature'), 'signature-input')],
    ['half of it', 'signature_incomplete', (one) => without(one, 'signature')],
    [
      'a field added',
      'field_repeated',
      (one) => ({ ...one, headers: [...one.headers, ['content-type', 'a/b']] }),
    ],
  ];
  test.each(changes)('%s: %s', async (_what, code, change) => {
    expect(await codeOf(verifyRequest(change(await sign()), serverOptions()))).toBe(code);
  });
});

describe('a request that was signed wrongly', () => {
  const cases: [string, string, SignOptions, RequestToSign?, Partial<VerifierOptions>?][] = [
    ['long ago', 'signature_too_old', { now: () => NOW - 66_000 }],
    ['in the future', 'created_in_future', { now: () => NOW + 6_000 }],
    ['with an end that has come', 'signature_expired', { now: () => NOW - 10_000, expiresInSeconds: 5 }],
    ['with a tag', 'signature_not_found', { tag: 'other' }],
    ['without the tag that is asked for', 'signature_not_found', {}, POST, { tag: 'mine' }],
    ['without a field that is asked for', 'coverage_insufficient', {}, POST, { cover: ['x-tenant'] }],
    [
      'by an algorithm that is not taken',
      'algorithm_unsupported',
      {},
      POST,
      { algorithms: ['rsa-pss-sha512'] },
    ],
    ['by a key nobody knows', 'key_unknown', {}, POST, { resolveKey: () => null }],
    [
      'by a key that cannot be looked up',
      'did_unresolvable',
      {},
      POST,
      { resolveKey: () => Promise.reject(new Error('down')) },
    ],
    ['with a body that is too long', 'body_too_large', {}, POST, { maxBodyBytes: 6 }],
  ];
  test.each(cases)('%s: %s', async (_what, code, options, request = POST, change = {}) => {
    expect(await codeOf(verifyRequest(await sign(options, request), serverOptions(change)))).toBe(code);
  });

  test('a body whose digest is not covered', async () => {
    const bare = await sign({}, { method: 'POST', url: `${ORIGIN}/` });
    const smuggled = { ...bare, body: new TextEncoder().encode('x') };
    expect(await codeOf(verifyRequest(smuggled, serverOptions()))).toBe('coverage_insufficient');
    const asRequest = new Request(bare.url, { method: 'POST', headers: bare.headers, body: 'x' });
    expect(await codeOf(verifyRequest(asRequest, serverOptions()))).toBe('coverage_insufficient');
  });
});

describe('used once', () => {
  test('the same request is refused the second time', async () => {
    const options = serverOptions();
    const request = await sign();
    await verifyRequest(request, options);
    expect(await codeOf(verifyRequest(request, options))).toBe('nonce_replayed');
  });

  test('of many at once, one passes', async () => {
    const options = serverOptions();
    const request = await sign();
    const all = await Promise.all(Array.from({ length: 20 }, () => codeOf(verifyRequest(request, options))));
    expect(all.filter((code) => code === 'none')).toHaveLength(1);
    expect(all.filter((code) => code === 'nonce_replayed')).toHaveLength(19);
  });

  test('a refused request spends no nonce', async () => {
    const options = serverOptions();
    const request = await sign();
    const tampered = { ...request, body: new TextEncoder().encode('{"a":2}') };
    expect(await codeOf(verifyRequest(tampered, options))).toBe('digest_mismatch');
    expect(await codeOf(verifyRequest(request, options))).toBe('none');
  });

  test('a full memory lets nobody in, and forgets only what cannot come back', async () => {
    let nowMs = NOW;
    const nonces = createNonceMemory({ noEarlierProcess: true, maxEntries: 2 });
    const options = serverOptions({ nonces, now: () => nowMs });
    const first = await sign();
    await verifyRequest(first, options);
    await verifyRequest(await sign(), options);
    expect(await codeOf(verifyRequest(await sign(), options))).toBe('nonce_store_full');
    expect(await codeOf(verifyRequest(first, options))).toBe('nonce_replayed');
    nowMs += 70_000;
    expect(await codeOf(verifyRequest(await sign({ now: () => nowMs }), options))).toBe('none');
    expect(await codeOf(verifyRequest(first, options))).toBe('signature_too_old');
  });

  test('what an earlier process may have accepted is refused', async () => {
    const nonces = createNonceMemory({ now: () => NOW });
    const at = (nowMs: number) => serverOptions({ nonces, now: () => nowMs });
    expect(await codeOf(verifyRequest(await sign(), at(NOW)))).toBe('signature_predates_start');
    // Dated within the skew after the start: the process before may have taken it as one from a fast clock.
    const early = await sign({ now: () => NOW + 4_000 });
    expect(await codeOf(verifyRequest(early, at(NOW + 4_000)))).toBe('signature_predates_start');
    const later = await sign({ now: () => NOW + 6_000 });
    expect(await codeOf(verifyRequest(later, at(NOW + 6_000)))).toBe('none');
  });

  test.each(['unavailable', undefined, null, true])('a store that answers %s refuses', async (answer) => {
    const nonces = { remembersSinceMs: 0, reserve: () => answer as never };
    expect(await codeOf(verifyRequest(await sign(), serverOptions({ nonces })))).toBe(
      'nonce_store_unavailable',
    );
  });

  test('a store that fails refuses', async () => {
    const nonces = { remembersSinceMs: 0, reserve: () => Promise.reject(new Error('gone')) };
    expect(await codeOf(verifyRequest(await sign(), serverOptions({ nonces })))).toBe(
      'nonce_store_unavailable',
    );
  });
});

test('a caller reads the code, and only when told to what exactly failed', async () => {
  const request = { ...(await sign()), method: 'PUT' };
  const refused = await verifyRequest(request, serverOptions()).catch((error: unknown) => error);
  if (!(refused instanceof RequestRefused)) throw new Error('was not refused');
  expect(refused.problem()).toEqual({
    type: 'urn:sage:problem:signature_invalid',
    title: 'The signature does not verify',
    status: 401,
    code: 'signature_invalid',
    detail: REFUSALS.signature_invalid.detail,
    retryable: false,
  });
  expect(refused.problem(true).explanation).toContain('PUT /orders?id=7');
  expect(refused.problem(true).signature_base).toContain('"@method": PUT');
});

test('a refusal that is logged repeats no credential', async () => {
  const request = { ...(await sign()), method: 'PUT' };
  const refused = await verifyRequest(request, serverOptions()).catch((error: unknown) => error);
  expect(inspect(refused, { showHidden: true, depth: 9 })).not.toContain('Bearer abc');
});

describe('options that would let strangers in are refused', () => {
  const wrong: [string, Record<string, unknown>][] = [
    ['no keys', { resolveKey: undefined }],
    ['no origins', { origins: undefined }],
    ['an empty list of origins', { origins: [] }],
    ['an origin with a path', { origins: 'https://api.example/v1' }],
    ['an origin that is none', { origins: 'api.example' }],
    ['an age that is not a number', { maxAgeSeconds: Number.NaN }],
    ['a body bound that is not a number', { maxBodyBytes: '1 MB' }],
    ['a component that does not exist', { cover: ['@nonsense'] }],
  ];
  test.each(wrong)('%s', async (_what, change) => {
    const options = serverOptions(change as Partial<VerifierOptions>);
    expect(await codeOf(async () => verifyRequest(await sign(), options))).toBe('options_invalid');
  });
});
