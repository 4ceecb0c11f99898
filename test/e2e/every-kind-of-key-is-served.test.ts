/** A caller of each algorithm, over sockets; slow keys wait for threads, and past their bound they are told to come back. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importJwk } from '../../src/trust/keys/import.ts';
import type { SignatureAlgorithm } from '../../src/trust/keys/key.ts';
import { generateSigningKey, signingKey } from '../../src/trust/keys/signing.ts';
import { POOLED_VERIFICATIONS_MAX } from '../../src/trust/keys/thread-pool.ts';
import type { Signer } from '../../src/trust/sign-request.ts';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send, TRANSPORTS } from './support/clients.ts';
import { OPERATOR_KEY } from './support/operator.ts';

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

/** Keys in their own names; an RSA key of 2,048 bits fits into a did:jwk. */
function signerOf(algorithm: SignatureAlgorithm): Signer {
  if (algorithm !== 'rsa-pss-sha512') return newCaller(algorithm).signer;
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = JSON.stringify(publicKey.export({ format: 'jwk' }));
  return { keyId: `did:jwk:${Buffer.from(jwk).toString('base64url')}#0`, key: signingKey(privateKey) };
}

const post = (signer: Signer) =>
  signed({ signer }, gateway.origin, { method: 'POST', target: '/agents/echo/', body: randomBytes(20) });

const ALGORITHMS: readonly SignatureAlgorithm[] = [
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'ecdsa-secp256k1-sha256',
];
const cases = ALGORITHMS.flatMap((algorithm) =>
  TRANSPORTS.map((transport) => [algorithm, transport] as const),
);

test.each(cases)(
  '%s over %s: cold, from memory, once each, and not by another',
  async (algorithm, transport) => {
    const signer = signerOf(algorithm);
    const call = post(signer);
    expect(await send(gateway, call, transport)).toMatchObject({ status: 200 });
    expect((await send(gateway, call, transport)).code).toBe('nonce_replayed');
    expect(await send(gateway, post(signer), transport)).toMatchObject({ status: 200 });
    const other = { keyId: signer.keyId, key: signerOf(algorithm).key };
    expect((await send(gateway, post(other), transport)).code).toBe('signature_invalid');
  },
);

test('while the threads are full of slow keys theirs are refused with 503, and Ed25519 goes on', async () => {
  const { signing, publicJwk } = generateSigningKey('ecdsa-p384-sha384');
  const key = importJwk({ ...publicJwk });
  const data = randomBytes(100);
  const signature = signing.sign(data);
  let answered = false;
  const occupy = async (): Promise<void> => {
    while (!answered) await key.verify(data, signature);
  };
  const slow = post(signerOf('ecdsa-p384-sha384'));
  const quick = post(signerOf('ed25519'));
  const busy = Array.from({ length: POOLED_VERIFICATIONS_MAX }, occupy);
  try {
    const refused = await send(gateway, slow);
    expect(refused).toMatchObject({ status: 503, code: 'verification_busy' });
    expect(await send(gateway, quick)).toMatchObject({ status: 200 });
    const scraped = await fetch(`${gateway.origin}/metrics`, {
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    });
    expect(await scraped.text()).toContain(`\nsage_slow_verifications ${POOLED_VERIFICATIONS_MAX}\n`);
  } finally {
    answered = true;
    await Promise.all(busy);
  }
  // Nothing was spent: the same signature is good once there is room.
  expect(await send(gateway, slow)).toMatchObject({ status: 200 });
});
