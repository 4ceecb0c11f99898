/** did:ethr over sockets: accounts, delegates and keys of an ERC-1056 registry, until the chain takes them away. */
import { hash } from 'node:crypto';
import { SigningKey, Wallet } from 'ethers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateSigningKey } from '../../src/trust/keys/signing.ts';
import type { Signer } from '../../src/trust/sign-request.ts';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { bytes32, type ContractChain, startEthrChain } from '../trust/chain/contract-fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { signed } from './support/callers.ts';
import { closeOf, openWebSocket, send } from './support/clients.ts';

let chain: ContractChain;
let agent: TestAgent;
let gateway: TestGateway;
const DAY = 86_400;

beforeAll(async () => {
  chain = await startEthrChain();
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: policyOf(
      'rules: [{ id: ethr, effect: allow, match: { did: "did:ethr:0x7a69:*", path: /agents/** } }]',
    ),
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.address}", kind: ethr }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await chain[Symbol.asyncDispose]();
});

const didOf = (identity: string): string => `did:ethr:0x7a69:${identity.toLowerCase()}`;

/** An account signs r, s and its recovery id over SHA-256, as its kind of verification method has it. */
function accountSigner(wallet: { readonly privateKey: string }, keyId: string): Signer {
  const key = new SigningKey(wallet.privateKey);
  return {
    keyId,
    key: {
      algorithm: 'ecdsa-secp256k1-sha256',
      sign: (data) => Buffer.from(key.sign(hash('sha256', data, 'buffer')).serialized.slice(2), 'hex'),
    },
  };
}

const ask = async (signer: Signer) =>
  send(
    gateway,
    signed({ signer }, gateway.origin, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') }),
  );
const settle = () => chain.anvil.mine(2);

test('the account itself, which no registry has to know', async () => {
  const wallet = Wallet.createRandom();
  const did = didOf(wallet.address);
  expect(await ask(accountSigner(wallet, `${did}#controller`))).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(did);
  // Written as wallets write addresses it is the same caller.
  const mixed = `did:ethr:0x7a69:${wallet.address}#controller`;
  expect(await ask(accountSigner(wallet, mixed))).toMatchObject({ status: 200 });
  expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe(did);
  expect((await ask(accountSigner(Wallet.createRandom(), `${did}#controller`))).code).toBe(
    'signature_invalid',
  );
});

test('a key for sigAuth is served once it is safe, and refused once it is revoked, what it has open included', async () => {
  const [, identity = ''] = chain.accounts;
  const { signing, publicJwk } = generateSigningKey('ed25519');
  const value = `0x${Buffer.from(publicJwk.x ?? '', 'base64url').toString('hex')}`;
  const name = bytes32('did/pub/Ed25519/sigAuth/hex');
  const signer: Signer = { keyId: `${didOf(identity)}#delegate-1`, key: signing };
  expect((await ask(signer)).code).toBe('key_unknown');
  await chain.transact(identity, 'setAttribute', identity, name, value, DAY);
  await settle();
  await until(async () => (await ask(signer)).status === 200, 'the key counts');
  const socket = await openWebSocket(
    gateway,
    signed({ signer }, gateway.origin, { method: 'GET', target: '/agents/echo/' }),
  );
  const closed = closeOf(socket);
  const revokedAt = performance.now();
  await chain.transact(identity, 'revokeAttribute', identity, name, value);
  expect((await closed).code).toBe(1008);
  console.log(
    `[*] from the sending of the revocation to the closed socket ${(performance.now() - revokedAt).toFixed(0)} ms`,
  );
  expect((await ask(signer)).code).toMatch(/^key_(unknown|withdrawn)$/);
});

test('a new owner takes over when he is safe, the old one is refused at once, and nobody owns what was given up', async () => {
  const identity = Wallet.createRandom();
  const heir = Wallet.createRandom();
  await chain.fund(identity.address);
  await chain.fund(heir.address);
  const keyId = `${didOf(identity.address)}#controller`;
  expect((await ask(accountSigner(identity, keyId))).status).toBe(200);
  await chain.transact(identity.address, 'changeOwner', identity.address, heir.address);
  await until(
    async () => (await ask(accountSigner(identity, keyId))).status === 401,
    'the old owner is refused',
  );
  await settle();
  await until(async () => (await ask(accountSigner(heir, keyId))).status === 200, 'the heir is served');
  await chain.transact(heir.address, 'changeOwner', identity.address, `0x${'0'.repeat(40)}`);
  await until(async () => (await ask(accountSigner(heir, keyId))).status === 401, 'nobody is left');
});

test('what is open is asked about after the chain was reorganised deeper than anyone remembers', async () => {
  const [, , identity = ''] = chain.accounts;
  const { signing, publicJwk } = generateSigningKey('ed25519');
  const value = `0x${Buffer.from(publicJwk.x ?? '', 'base64url').toString('hex')}`;
  const signer: Signer = { keyId: `${didOf(identity)}#delegate-1`, key: signing };
  const before = await chain.anvil.call('evm_snapshot');
  const name = bytes32('did/pub/Ed25519/sigAuth/hex');
  await chain.transact(identity, 'setAttribute', identity, name, value, DAY);
  await chain.anvil.mine(600);
  await until(async () => (await ask(signer)).status === 200, 'the key counts');
  const request = signed({ signer }, gateway.origin, { method: 'GET', target: '/agents/echo/' });
  const closed = closeOf(await openWebSocket(gateway, request));
  // On the other branch the key was never set, and no event says so.
  await chain.anvil.call('evm_revert', before);
  await chain.anvil.mine(620);
  expect((await closed).code).toBe(1008);
});
