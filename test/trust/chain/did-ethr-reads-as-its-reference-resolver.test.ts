import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Resolver, type VerificationMethod } from 'did-resolver';
import { JsonRpcProvider, SigningKey, Wallet } from 'ethers';
import { getResolver } from 'ethr-did-resolver';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readEthrKeys } from '../../../src/trust/chain/ethr-keys.ts';
import { createRpc, type Rpc } from '../../../src/trust/chain/rpc.ts';
import type { ChainKey } from '../../../src/trust/did/ports.ts';
import { bytes32, type ContractChain, startEthrChain } from './contract-fixture.ts';

const RUNS = 25 * Number(process.env.TORTURE ?? 1);
const [AUTHENTICATION, ASSERTION, AGREEMENT] = [1, 2, 4];

let chain: ContractChain;
let rpc: Rpc;
let provider: JsonRpcProvider;
let oracle: Resolver;
beforeAll(async () => {
  chain = await startEthrChain();
  rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  provider = new JsonRpcProvider(chain.anvil.httpUrl, 31337, {
    staticNetwork: true,
    cacheTimeout: -1,
    batchStallTime: 0,
  });
  // Its types name ethers' CommonJS build, which is the same.
  const config = { name: 'dev', chainId: 31337, registry: chain.address, provider: provider as never };
  oracle = new Resolver(getResolver(config));
  await chain.anvil.call('evm_setAutomine', false);
});
afterAll(async () => {
  vi.useRealTimers();
  provider.destroy();
  await rpc.close();
  await chain[Symbol.asyncDispose]();
});

const points = Array.from({ length: 2 }, () => new SigningKey(randomBytes(32)));
const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
  type: 'spki',
  format: 'pem',
});
const accounts = Array.from({ length: 2 }, () => Wallet.createRandom().address);

/** What stands in attributes: names and values, few enough to meet again. */
const attributes: readonly (readonly [name: string, value: string])[] = [
  ['did/pub/Ed25519/sigAuth/base58', `0x${'11'.repeat(32)}`],
  ['did/pub/Ed25519/veriKey/base64', `0x${'11'.repeat(32)}`],
  ['did/pub/Ed25519/sigAuth', `0x${'22'.repeat(32)}`],
  ['did/pub/Secp256k1/veriKey/hex', points[0]?.compressedPublicKey ?? ''],
  ['did/pub/Secp256k1/sigAuth/hex', points[1]?.publicKey ?? ''],
  ['did/pub/X25519/enc/base64', `0x${'33'.repeat(32)}`],
  ['did/pub/RSA/sigAuth/pem', `0x${Buffer.from(pem).toString('hex')}`],
  ['did/svc/AgentService', `0x${Buffer.from('https://agent.example').toString('hex')}`],
  ['hello/world', '0x00'],
];
const NO_TEXT = `0x${'ff'.repeat(32)}`;

type Step = (from: string, identity: string) => Promise<void>;
const validity = fc.constantFrom(0, 1, 50, 1_000_000, 2_000_000, 3_000_000);
const steps = fc.oneof(
  fc
    .tuple(fc.constantFrom(...attributes), validity)
    .map(([[name, value], seconds]): readonly [string, Step] => [
      `set ${name} for ${seconds}`,
      (from, id) => chain.send(from, 'setAttribute', id, bytes32(name), value, seconds),
    ]),
  fc
    .constantFrom(...attributes)
    .map(([name, value]): readonly [string, Step] => [
      `revoke ${name}`,
      (from, id) => chain.send(from, 'revokeAttribute', id, bytes32(name), value),
    ]),
  fc
    .tuple(fc.constantFrom('sigAuth', 'veriKey', 'other'), fc.constantFrom(...accounts), validity)
    .map(([type, delegate, seconds]): readonly [string, Step] => [
      `add ${type} ${delegate} for ${seconds}`,
      (from, id) => chain.send(from, 'addDelegate', id, bytes32(type), delegate, seconds),
    ]),
  fc
    .tuple(fc.constantFrom('sigAuth', 'veriKey', 'other'), fc.constantFrom(...accounts))
    .map(([type, delegate]): readonly [string, Step] => [
      `remove ${type} ${delegate}`,
      (from, id) => chain.send(from, 'revokeDelegate', id, bytes32(type), delegate),
    ]),
  fc.constant<readonly [string, Step]>([
    'a name that is no text',
    (from, id) => chain.send(from, 'setAttribute', id, NO_TEXT, '0x01', 1000),
  ]),
);
const owners = fc.oneof(
  { weight: 40, arbitrary: fc.constant<string | null>(null) },
  { weight: 4, arbitrary: fc.constantFrom<string | null>(...accounts) },
  { weight: 1, arbitrary: fc.constant<string | null>(`0x${'00'.repeat(20)}`) },
);
const histories = fc.array(
  fc.record({
    steps: fc.array(steps, { minLength: 1, maxLength: 4, size: 'max' }),
    owner: owners,
    seconds: fc.constantFrom(1, 1, 1, 60, 200_000),
  }),
  { minLength: 1, maxLength: 8, size: 'max' },
);

/** What a method's key is, in the words of ours. */
function materialOf(method: VerificationMethod): unknown {
  if (method.blockchainAccountId !== undefined)
    return { account: method.blockchainAccountId.split(':').at(-1)?.toLowerCase() };
  if (method.publicKeyPem !== undefined) return 'pem';
  const { publicKeyHex, publicKeyBase64, publicKeyBase58 } = method;
  if (publicKeyHex?.length === 130)
    return { hex: SigningKey.computePublicKey(`0x${publicKeyHex}`, true).slice(2) };
  if (publicKeyHex !== undefined) return { hex: publicKeyHex };
  if (publicKeyBase64 !== undefined) return { hex: Buffer.from(publicKeyBase64, 'base64').toString('hex') };
  return { base58: publicKeyBase58 };
}

function ourMaterial({ material }: ChainKey, theirs: unknown): unknown {
  if (material.kind === 'account') return { account: material.address };
  if (material.kind === 'jwk') return 'pem';
  const hex = Buffer.from(material.bytes.subarray(2)).toString('hex');
  // One of the values only is written in base58 by the names above.
  if (typeof theirs === 'object' && theirs !== null && 'base58' in theirs)
    return hex === '11'.repeat(32) ? theirs : { hex };
  return { hex };
}

async function compare(did: string, identifier: string): Promise<number> {
  const head = (await chain.anvil.call('eth_getBlockByNumber', 'latest', false)) as { timestamp: string };
  // It takes its own clock for the time, and counts the second of the end in: so one later, it says what the contract does.
  vi.useFakeTimers({ toFake: ['Date'], now: (Number(head.timestamp) + 1) * 1000 });
  const { didDocument, didDocumentMetadata, didResolutionMetadata } = await oracle.resolve(did);
  vi.useRealTimers();
  expect(didResolutionMetadata.error).toBeUndefined();
  const ours = await readEthrKeys(rpc, {
    contract: chain.address,
    identifier,
    finality: { confirmations: 0 },
  });
  expect(ours.deactivated).toBe(didDocumentMetadata.deactivated ?? false);
  expect(ours.pending).toEqual([]);
  const methods = didDocument?.verificationMethod ?? [];
  const idsOf = (list: readonly (string | VerificationMethod)[] | undefined): string[] =>
    (list ?? []).map(String).filter((id) => methods.some((method) => method.id === id));
  const withFlag = (flag: number): string[] =>
    ours.keys.filter((key) => (key.flags & flag) !== 0).map((key) => `${did}#${key.fragment}`);
  expect(withFlag(AUTHENTICATION).sort()).toEqual(idsOf(didDocument?.authentication).sort());
  expect(withFlag(ASSERTION).sort()).toEqual(idsOf(didDocument?.assertionMethod).sort());
  expect(withFlag(AGREEMENT).sort()).toEqual(idsOf(didDocument?.keyAgreement).sort());
  expect(ours.keys.length).toBe(methods.length);
  for (const key of ours.keys) {
    const method = methods.find(({ id }) => id === `${did}#${key.fragment}`) as VerificationMethod;
    const theirs = materialOf(method);
    expect(ourMaterial(key, theirs)).toEqual(theirs);
  }
  return ours.keys.length;
}

test(
  'any history gives the keys that ethr-did-resolver gives',
  async () => {
    let keys = 0;
    await fc.assert(
      fc.asyncProperty(histories, async (blocks) => {
        const { signingKey, address } = Wallet.createRandom() as unknown as {
          signingKey: SigningKey;
          address: string;
        };
        await chain.fund(address);
        for (const account of accounts) await chain.fund(account);
        let owner = address;
        for (const block of blocks) {
          for (const [, step] of block.steps) await step(owner, address);
          if (block.owner !== null) {
            await chain.send(owner, 'changeOwner', address, block.owner);
            owner = /^0x0+$/.test(block.owner) ? address : block.owner;
          }
          await chain.anvil.call('evm_increaseTime', block.seconds);
          await chain.anvil.mine();
        }
        const lower = address.toLowerCase();
        keys += await compare(`did:ethr:dev:${lower}`, lower);
        const key = signingKey.compressedPublicKey;
        keys += await compare(`did:ethr:dev:${key}`, key);
      }),
      { numRuns: RUNS },
    );
    // Three of each run are controllers.
    expect(keys).toBeGreaterThan(3.4 * RUNS);
  },
  60_000 * Math.max(1, RUNS / 25),
);
