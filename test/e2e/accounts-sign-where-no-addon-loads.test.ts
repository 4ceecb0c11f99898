/** A platform that `secp256k1` has no binary for: accounts and secp256k1 keys are served all the same, on threads. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RECOVERIES_MAX, recoverOnThread } from '../../src/trust/keys/recovery.ts';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { newCaller, signed } from './support/callers.ts';
import { send } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';
import { newWallet, signedByWallet } from './support/wallets.ts';

// Before anything is imported, as the module of the keys looks for the addon when it loads.
const platform = vi.hoisted(() => {
  const { registerHooks: register } = process.getBuiltinModule('node:module');
  return register({
    resolve(specifier, context, next) {
      if (specifier === 'secp256k1/bindings') throw new Error('no binary for this platform');
      return next(specifier, context);
    },
  });
});

let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"], profiles: [rfc9421, erc8128] }`],
    policy: ALLOW_ALL,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
});
afterAll(async () => {
  platform.deregister();
  await gateway.close();
  await agent.stop();
});

const target = '/agents/echo/orders';

test('what verifies is told', async () => {
  const { body } = await operate(gateway, 'GET', '/health/detailed');
  expect(body.checks['signatures:secp256k1'][0].observedValue).toBe('node:crypto');
  expect(body.checks['signatures:ed25519'][0].observedValue).toBe('libsodium');
});

test('an account calls, once recovered and once known, and each signature once', async () => {
  const wallet = newWallet(1);
  for (const body of [undefined, '{"amount":"1"}', '{"amount":"2"}']) {
    const call = await signedByWallet(wallet, gateway, { target, ...(body === undefined ? {} : { body }) });
    expect(await send(gateway, call)).toMatchObject({ status: 200 });
    expect((await send(gateway, call)).code).toBe('nonce_replayed');
  }
  const forged = { ...newWallet(1), address: wallet.address };
  const call = await signedByWallet(forged, gateway, { target });
  expect((await send(gateway, call)).code).toBe('signature_invalid');
  const unknown = { ...newWallet(1), address: newWallet(1).address };
  expect((await send(gateway, await signedByWallet(unknown, gateway, { target }))).code).toBe(
    'signature_invalid',
  );
});

test('a secp256k1 key calls', async () => {
  const call = signed(newCaller('ecdsa-secp256k1-sha256'), gateway.origin, { method: 'GET', target });
  expect(await send(gateway, call)).toMatchObject({ status: 200 });
});

test('while too many keys are recovered accounts are refused with 503, and Ed25519 goes on', async () => {
  const call = await signedByWallet(newWallet(1), gateway, { target });
  const quick = signed(newCaller(), gateway.origin, { method: 'GET', target });
  let answered = false;
  const occupy = async (): Promise<void> => {
    const signature = randomBytes(64);
    while (!answered) await recoverOnThread({ digest: randomBytes(32), signature, recoveryId: 0 });
  };
  const busy = Array.from({ length: RECOVERIES_MAX }, occupy);
  try {
    expect(await send(gateway, call)).toMatchObject({ status: 503, code: 'verification_busy' });
    expect(await send(gateway, quick)).toMatchObject({ status: 200 });
    const scraped = await fetch(`${gateway.origin}/metrics`, {
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    });
    expect(await scraped.text()).toContain(`\nsage_key_recoveries ${RECOVERIES_MAX}\n`);
  } finally {
    answered = true;
    await Promise.all(busy);
  }
  expect(await send(gateway, call)).toMatchObject({ status: 200 });
});
