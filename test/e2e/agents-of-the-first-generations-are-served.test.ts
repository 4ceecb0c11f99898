/** Agents of SAGE's own registry, read only, who sign as their generation does. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { keccak256 } from 'ethers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contentDigest } from '../../src/trust/wire/content-digest.ts';
import { signMessage } from '../../src/trust/wire/sign.ts';
import { openGateway, policyOf, type TestGateway, until } from '../support/gateway.ts';
import { type ContractChain, startCardChain } from '../trust/chain/contract-fixture.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import type { Call } from './support/callers.ts';
import { send } from './support/clients.ts';

const ECDSA = 0;
const PROOF = `0x${'5a'.repeat(64)}`;
let chain: ContractChain;
let agent: TestAgent;
let gateway: TestGateway;
let owner: string;
let stranger: string;

beforeAll(async () => {
  chain = await startCardChain();
  [owner, stranger] = chain.accounts as [string, string];
  agent = await startAgent();
  const upstreams = `upstreams: ["${agent.url}"]`;
  gateway = await openGateway({
    agents: [
      `{ id: first, ${upstreams}, profiles: [sage-g1] }`,
      `{ id: second, ${upstreams}, profiles: [sage-g2] }`,
      `{ id: plain, ${upstreams} }`,
    ],
    policy: policyOf(
      'rules: [{ id: sage, effect: allow, match: { did: "did:sage:ethereum:*", path: /agents/** } }]',
    ),
    more: `chains: [{ id: 31337, registries: [{ address: "${chain.address}", kind: agent-card }], finality: safe }]`,
    env: { CHAIN_RPC_URLS: chain.anvil.wsUrl },
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  await chain[Symbol.asyncDispose]();
});

interface Registered {
  readonly id: string;
  readonly agentId: string;
  readonly key: KeyObject;
  readonly keyHash: string;
}

async function register(id: string): Promise<Registered> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const { x = '', y = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const data = `0x04${Buffer.from(x, 'base64url').toString('hex')}${Buffer.from(y, 'base64url').toString('hex')}`;
  const did = `did:sage:ethereum:${id}`;
  await chain.transact(owner, 'register', did, [ECDSA], [data], [PROOF]);
  const logs = (await chain.anvil.call('eth_getLogs', {
    fromBlock: '0x0',
    address: chain.address,
    topics: [null, null, keccak256(Buffer.from(did))],
  })) as { topics: string[] }[];
  const agentId = logs.at(-1)?.topics[1] ?? '';
  await chain.transact(stranger, 'activateAgent', agentId);
  await chain.anvil.mine(2);
  return { id, agentId, key: privateKey, keyHash: keccak256(data) };
}

const SECOND = [
  '@method',
  '@target-uri',
  '@authority',
  'content-type',
  'content-digest',
  'x-sage-did',
  'date',
];
const FIRST = ['@method', '@path', 'content-digest'];

function call(by: Registered, generation: 'first' | 'second', did = `did:sage:ethereum:${by.id}`): Call {
  const target = `/agents/${generation}/tasks`;
  const body = Buffer.from('{"do":"it"}');
  const fields: [string, string][] = [
    ['content-type', 'application/json'],
    ['content-digest', contentDigest(body)],
    ['x-sage-did', did],
    ['date', new Date().toUTCString()],
  ];
  const { host } = new URL(gateway.origin);
  const { signatureInput, signature } = signMessage(
    { method: 'POST', scheme: 'http', authority: host, target, rawHeaders: fields.flat() },
    {
      label: 'sig1',
      components: generation === 'first' ? FIRST : SECOND,
      params: {
        keyid: did,
        alg: 'es256k',
        created: Math.floor(Date.now() / 1_000),
        nonce: randomBytes(16).toString('base64url'),
      },
    },
    (base) => {
      const digest = generation === 'first' ? 'sha256' : 'keccak-256';
      return sign(digest, base, { key: by.key, dsaEncoding: 'ieee-p1363' });
    },
  );
  return {
    method: 'POST',
    target,
    body,
    headers: [...fields, ['signature-input', signatureInput], ['signature', signature]],
  };
}

test('both generations, each on its own route, in any spelling of the chain', async () => {
  const alice = await register('alice');
  for (const did of ['did:sage:ethereum:alice', 'did:sage:eth:alice', 'did:sage:Ethereum:alice']) {
    expect(await send(gateway, call(alice, 'first', did))).toMatchObject({ status: 200 });
    expect(await send(gateway, call(alice, 'second', did))).toMatchObject({ status: 200 });
    expect(agent.seen.at(-1)?.headers['x-sage-verified-did']).toBe('did:sage:ethereum:alice');
  }
  const { headers = [] } = call(alice, 'first');
  expect(
    (await send(gateway, { ...call(alice, 'first'), target: '/agents/plain/tasks', headers })).status,
  ).not.toBe(200);
});

test('that the first generation can be sent to another server is told in the log, once', () => {
  const lines = gateway.lines.filter(({ profile }) => profile === 'sage-g1');
  expect(lines).toMatchObject([{ level: 'warn', agent: 'first' }]);
});

test('a stranger takes no key away, and a deactivation is for good', async () => {
  const bob = await register('bob');
  const mallory = await register('mallory');
  expect((await send(gateway, call(bob, 'second'))).status).toBe(200);
  await chain.transact(owner, 'revokeKey', mallory.agentId, bob.keyHash);
  await chain.anvil.mine(2);
  expect((await send(gateway, call(bob, 'second'))).status).toBe(200);
  await chain.transact(owner, 'deactivateAgentByHash', bob.agentId);
  await until(async () => (await send(gateway, call(bob, 'second'))).status === 401, 'bob is refused');
  await chain.transact(stranger, 'activateAgent', bob.agentId);
  await chain.anvil.mine(2);
  for (let n = 0; n < 3; n += 1) expect((await send(gateway, call(bob, 'second'))).status).toBe(401);
});

test('a key that its owner revokes is refused as soon as the block is there', async () => {
  const carol = await register('carol');
  expect((await send(gateway, call(carol, 'second'))).status).toBe(200);
  await chain.transact(owner, 'revokeKey', carol.agentId, carol.keyHash);
  await until(async () => (await send(gateway, call(carol, 'second'))).status === 401, 'carol is refused');
});

test('Solana is refused by name, and who was never registered is unknown', async () => {
  const dave = await register('dave');
  expect((await send(gateway, call(dave, 'second', 'did:sage:solana:dave'))).code).toBe(
    'did_method_unsupported',
  );
  expect((await send(gateway, call(dave, 'second', 'did:sage:ethereum:nobody'))).code).toBe('did_unknown');
});
