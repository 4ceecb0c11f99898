/** What the SDK signs the gateway proves, and what is signed for the gateway the SDK proves. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  createNonceMemory,
  createSigner,
  generateKeyPair,
  readRefusal,
  type Signer,
  signedFetch,
  signRequest,
  verifyRequest,
} from '../../src/sdk/index.ts';
import { generateSigningKey } from '../../src/trust/keys/signing.ts';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { signed } from './support/callers.ts';

const PAIRED = ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512'] as const;
const BODY = '{"city":"Seoul","유니코드":true}';

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: stream, upstreams: ["${agent.url}"], body: stream }`,
    ],
    policy: ALLOW_ALL,
    env: { SAGE_ENV: 'development', EXPLAIN_REFUSALS: 'true' },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

async function newSigner(algorithm: (typeof PAIRED)[number]): Promise<Signer> {
  const { privateJwk } = await generateKeyPair(algorithm);
  return createSigner({ privateKey: privateJwk });
}

describe.each(PAIRED)('%s', (algorithm) => {
  test('the gateway proves what the SDK signs', async () => {
    const signer = await newSigner(algorithm);
    const fetching = signedFetch(signer);
    const plain = await fetching(`${gateway.origin}/agents/echo/weather?city=%20Seoul&x=1`);
    expect(plain.status).toBe(200);
    const posted = await fetching(`${gateway.origin}/agents/echo/orders`, {
      method: 'POST',
      body: BODY,
      headers: { 'content-type': 'application/json', authorization: 'Bearer agent' },
    });
    expect(posted.status).toBe(200);
    const arrived = agent.seen.at(-1);
    expect(arrived?.headers['x-sage-verified-did']).toBe(signer.keyId.split('#')[0]);
    expect(arrived?.headers['x-sage-key-id']).toBe(signer.keyId);
    const streamed = await fetching(`${gateway.origin}/agents/stream/upload`, { method: 'PUT', body: BODY });
    expect(streamed.status).toBe(200);
  });

  test('the SDK proves what is signed for the gateway', async () => {
    const { signing, publicJwk } = generateSigningKey(algorithm);
    const origin = 'https://own.example';
    const call = signed({ signer: { keyId: 'own', key: signing } }, origin, {
      method: 'POST',
      target: '/a?b=c',
      body: Buffer.from(BODY),
    });
    const nonces = createNonceMemory({ noEarlierProcess: true });
    const verified = await verifyRequest(
      { method: call.method, url: origin + call.target, headers: call.headers ?? [], body: call.body },
      { origins: origin, keys: { own: publicJwk }, nonces },
    );
    expect(verified.caller.keyId).toBe('own');
    expect(Buffer.from(verified.body ?? []).toString()).toBe(BODY);
  });
});

test('a request that was refused is read as a refusal', async () => {
  const signer = await newSigner('ed25519');
  const stale = signedFetch(signer, { now: () => Date.now() - 300_000 });
  const refusal = await readRefusal(await stale(`${gateway.origin}/agents/echo/`));
  expect(refusal).toMatchObject({ status: 401, code: 'signature_too_old', retryable: true });
  expect(refusal?.requestId).toMatch(/^[0-9A-Z]{26}$/);
  expect(refusal?.explanation).toContain('too long ago');
});

test('a request that is sent again is refused, and by a new call served', async () => {
  const signer = await newSigner('ed25519');
  const request = { url: `${gateway.origin}/agents/echo/once` };
  const once = await signRequest(request, signer);
  const statuses: number[] = [];
  for (const sent of [once, once, await signRequest(request, signer)])
    statuses.push((await fetch(sent.url, sent)).status);
  expect(statuses).toEqual([200, 401, 200]);
});

test('a key the gateway could not use is refused before anything is sent', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const making = createSigner({ privateKey: privateKey.export({ format: 'jwk' }) });
  await expect(making).rejects.toMatchObject({ name: 'SdkError', code: 'key_secp256k1_unsupported' });
});

test('a WebSocket is opened by a signed request', async () => {
  const signer = await newSigner('ed25519');
  const url = `${gateway.origin.replace('http:', 'ws:')}/agents/echo/socket?x=1`;
  const { headers } = await signRequest({ url }, signer);
  const socket = new WebSocket(url, { headers: Object.fromEntries(headers) });
  await once(socket, 'open');
  socket.send('hello');
  const [data] = (await once(socket, 'message')) as [Buffer];
  expect(data.toString()).toBe('hello');
  socket.close();
  await once(socket, 'close');
});

test.each(['?', '?#there', '?a=%20&b=', ';p=1?x=y?z'])('a target that ends in %s is proven', async (end) => {
  const fetching = signedFetch(await newSigner('ed25519'));
  expect((await fetching(`${gateway.origin}/agents/echo/a${end}`)).status).toBe(200);
});
