/** Requests signed by the reference implementation of ERC-8128 and wallets of ethers, over sockets. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, openGateway, type TestGateway } from '../support/gateway.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import type { Call } from './support/callers.ts';
import { send, TRANSPORTS, type Transport } from './support/clients.ts';
import { OPERATOR_KEY, operate } from './support/operator.ts';
import { newWallet, signedByWallet, type WalletOptions } from './support/wallets.ts';

const signer = newWallet(8453);
const address = signer.address.toLowerCase();
let agent: TestAgent;
let gateway: TestGateway;

beforeAll(async () => {
  agent = await startAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [
      `{ id: wallets, ${upstreams}, profiles: [erc8128] }`,
      `{ id: both, ${upstreams}, profiles: [rfc9421, erc8128] }`,
      `{ id: plain, ${upstreams} }`,
    ],
    policy: ALLOW_ALL,
    env: { OPERATOR_API_KEY: OPERATOR_KEY },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
});

const call = (target: string, body?: string, options: WalletOptions = {}, by = signer): Promise<Call> =>
  signedByWallet(by, gateway, { target, options, ...(body === undefined ? {} : { body }) });

describe.each(TRANSPORTS)('over %s', (transport: Transport) => {
  test.each(['wallets', 'both'])('GET and POST are served at %s', async (id) => {
    for (const body of [undefined, '{"amount":"100"}']) {
      const answer = await send(gateway, await call(`/agents/${id}/orders?market=ETH-USD`, body), transport);
      expect(answer).toMatchObject({ status: 200, code: '' });
      expect(agent.seen.at(-1)?.headers).toMatchObject({
        'x-sage-verified-did': `did:pkh:eip155:8453:${address}`,
        'x-sage-key-id': `did:pkh:eip155:8453:${address}#blockchainAccountId`,
      });
    }
  });

  test('once only, and not at another path, with another body, or where it was not asked for', async () => {
    const good = await call('/agents/wallets/orders', '{"amount":"1"}');
    expect((await send(gateway, good, transport)).status).toBe(200);
    const refused = async (shown: Call): Promise<string> => (await send(gateway, shown, transport)).code;
    expect(await refused(good)).toBe('nonce_replayed');
    const other = await call('/agents/wallets/orders', '{"amount":"1"}');
    expect(await refused({ ...other, target: '/agents/wallets/refunds' })).toBe('signature_invalid');
    expect(await refused({ ...other, body: Buffer.from('{"amount":"9"}') })).toBe('digest_mismatch');
    expect(await refused(await call('/agents/plain/orders'))).toBe('did_malformed');
  });

  test('not as another account, nor without what the ERC or this gateway requires', async () => {
    const refused = async (made: Promise<Call>): Promise<string> =>
      (await send(gateway, await made, transport)).code;
    const forged = { ...signer, address: newWallet(8453).address };
    const target = '/agents/wallets/orders';
    expect(await refused(call(target, undefined, {}, forged))).toBe('signature_invalid');
    expect(await refused(call(target, undefined, { replay: 'replayable' }))).toBe('parameter_missing');
    const classBound: WalletOptions = { binding: 'class-bound', components: ['@authority'] };
    expect(await refused(call(target, undefined, classBound))).toBe('coverage_insufficient');
    const now = Math.floor(Date.now() / 1_000);
    expect(await refused(call(target, undefined, { created: now - 400, expires: now + 60 }))).toBe(
      'signature_too_old',
    );
    expect(await refused(call(target, undefined, { created: now - 30, expires: now - 1 }))).toBe(
      'signature_expired',
    );
    const contract = { ...signer, signMessage: async () => `0x${'ab'.repeat(97)}` as const };
    expect(await refused(call(target, undefined, {}, contract))).toBe('signature_invalid');
    const strange = { ...signer, chainId: 0 };
    expect(await refused(call(target, undefined, {}, strange))).toBe('did_malformed');
  });
});

test.each([
  ['did', (did: string) => ({ did })],
  ['key_id', (did: string) => ({ key_id: `${did}#blockchainAccountId` })],
])('an account that is denied by %s, as wallets write addresses, is shut out', async (_member, body) => {
  const by = newWallet(1);
  const ask = async () => send(gateway, await call('/agents/wallets/orders', undefined, {}, by));
  expect((await ask()).status).toBe(200);
  const answer = await operate(gateway, 'POST', '/v1/revocations', {
    body: body(`did:pkh:eip155:1:${by.address}`),
  });
  expect(answer.status).toBe(201);
  expect((await ask()).code).toMatch(/^(did|key)_denied$/);
});
