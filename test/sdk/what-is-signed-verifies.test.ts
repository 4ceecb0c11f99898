import { describe, expect, test } from 'vitest';
import { signRequest } from '../../src/sdk/sign.ts';
import { createVerifier, verifyRequest } from '../../src/sdk/verify.ts';
import { prepareSignature } from '../../src/trust/wire/sign.ts';
import { ALL, NOW, newParty, ORIGIN, serverOptions } from './support/parties.ts';

const now = () => NOW;

describe.each(ALL)('%s', (algorithm) => {
  test('signs what it verifies, as a Request and as parts', async () => {
    const { signer, publicKey } = await newParty(algorithm);
    const options = serverOptions({ keys: { [signer.keyId]: publicKey } });

    const request = new Request(`${ORIGIN}/orders?id=7`, { method: 'POST', body: '{"a":1}' });
    const signed = await signRequest(request, signer, { now });
    const proven = await verifyRequest(signed, options);
    expect(proven.caller.keyId).toBe(signer.keyId);
    expect(proven.caller.algorithm).toBe(algorithm);
    expect(new TextDecoder().decode(proven.body ?? undefined)).toBe('{"a":1}');
    expect([...proven.caller.covered].sort()).toEqual([
      '"@method"',
      '"@target-uri"',
      '"content-digest"',
      '"content-type"',
    ]);

    const parts = await signRequest({ url: `${ORIGIN}/orders`, headers: { accept: '*/*' } }, signer, { now });
    const alsoProven = await verifyRequest(parts, options);
    expect(alsoProven.body).toBeNull();
    expect(alsoProven.caller.did).toBe(algorithm === 'hmac-sha256' ? null : signer.keyId.split('#')[0]);
  });
});

test('a request as Node has it, with path and host field, verifies', async () => {
  const { signer } = await newParty();
  const { method, headers, body } = await signRequest(
    { method: 'PUT', url: `${ORIGIN}/a/b?c=%20d`, body: new Uint8Array([1, 2, 3]) },
    signer,
    { now },
  );
  const received = {
    method,
    url: '/a/b?c=%20d',
    headers: [...headers, ['Host', 'API.example:443'] as const],
  };
  const { verify } = { verify: createVerifier(serverOptions()) };
  const proven = await verify.verify({ ...received, body });
  expect(proven.body).toEqual(new Uint8Array([1, 2, 3]));
});

test('a fragment is neither signed nor sent', async () => {
  const { signer } = await newParty();
  const signed = await signRequest({ url: `${ORIGIN}/page#there` }, signer, { now });
  expect(signed.url).toBe(`${ORIGIN}/page`);
  await expect(verifyRequest(signed, serverOptions())).resolves.toBeDefined();
});

test('what a request carried of an older signature is replaced', async () => {
  const { signer } = await newParty();
  const once = await signRequest({ method: 'POST', url: `${ORIGIN}/`, body: 'first' }, signer, { now });
  const twice = await signRequest({ ...once, body: 'second' }, signer, { now });
  const names = twice.headers.map(([name]) => name);
  expect(names.filter((name) => name === 'signature')).toHaveLength(1);
  expect(names.filter((name) => name === 'content-digest')).toHaveLength(1);
  await expect(verifyRequest(twice, serverOptions())).resolves.toBeDefined();
});

test('further fields are covered when asked for, and a server can ask for them', async () => {
  const { signer } = await newParty();
  const request = { url: `${ORIGIN}/?id=7&x=1`, headers: { 'X-Tenant': 'blue' } };
  const cover = ['x-tenant', '"@query-param";name="id"'];
  const signed = await signRequest(request, signer, { now, cover });
  const { caller } = await verifyRequest(
    signed,
    serverOptions({ cover: ['X-Tenant', '"@query-param";name="id"'] }),
  );
  expect(caller.covered.has('"x-tenant"')).toBe(true);
});

test('a signer may be anything that signs', async () => {
  const { signer, publicKey } = await newParty('ecdsa-p256-sha256');
  const remote = {
    keyId: 'kms-key',
    algorithm: signer.algorithm,
    sign: (data: Uint8Array) => signer.sign(data),
  };
  const signed = await signRequest({ url: `${ORIGIN}/` }, remote, { now });
  const { caller } = await verifyRequest(signed, serverOptions({ keys: { 'kms-key': publicKey } }));
  expect(caller).toMatchObject({ did: null, keyId: 'kms-key' });
});

test.each(['/a?', '/a?#x', '/?a=%20&b', '/%7Ea/../b;c=d', '/a//b'])(
  'the target of %s is the one that is sent',
  async (path) => {
    const { signer } = await newParty();
    const signed = await signRequest(new Request(ORIGIN + path), signer, { now });
    await expect(verifyRequest(signed, serverOptions())).resolves.toBeDefined();
  },
);

test('a question mark that a client did send is part of what it signed', async () => {
  const { signer } = await newParty();
  const params = { created: Math.floor(NOW / 1_000), nonce: 'n', keyid: signer.keyId };
  const prepared = prepareSignature(
    { method: 'GET', scheme: 'https', authority: 'api.example', target: '/a?', rawHeaders: [] },
    { label: 's', components: ['@method', '@target-uri'], params },
  );
  const { signatureInput, signature } = prepared.finish(await signer.sign(prepared.base));
  const headers = { 'signature-input': signatureInput, signature };
  for (const request of [
    new Request(`${ORIGIN}/a?`, { headers }),
    { method: 'GET', url: `${ORIGIN}/a?`, headers },
  ])
    await expect(verifyRequest(request, serverOptions())).resolves.toBeDefined();
  const other = new Request(`${ORIGIN}/a`, { headers });
  await expect(verifyRequest(other, serverOptions())).rejects.toMatchObject({ code: 'signature_invalid' });
});
