import { randomBytes } from 'node:crypto';
import { keccak256 } from 'ethers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CardMemo, readCardKeys } from '../../../src/trust/chain/card-keys.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { type ContractChain, startCardChain } from './contract-fixture.ts';
import { startNode, type TestNode } from './fixture.ts';

const [ECDSA, ED25519, X25519] = [0, 1, 2];

let chain: ContractChain;
let node: TestNode;
let owner: string;
let stranger: string;
beforeAll(async () => {
  chain = await startCardChain();
  node = await startNode(() => undefined, chain.anvil.httpUrl);
  [owner, stranger] = chain.accounts as [string, string];
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
  await chain[Symbol.asyncDispose]();
});

const newKey = (): string => `0x${randomBytes(32).toString('hex')}`;
const PROOF = `0x${'5a'.repeat(64)}`;
let agents = 0;

interface TestAgent {
  readonly id: string;
  readonly agentId: string;
  readonly keys: readonly string[];
}

/** An agent with Ed25519 keys, active and safe. Its proofs are 64 bytes of nothing, which the contract takes. */
async function register(
  keys: readonly string[],
  from = owner,
  spelling = 'ethereum',
  more: { readonly id?: string; readonly types?: readonly number[] } = {},
): Promise<TestAgent> {
  agents += 1;
  const id = more.id ?? `agent-${agents}`;
  await chain.transact(
    from,
    'register',
    `did:sage:${spelling}:${id}`,
    more.types ?? keys.map(() => ED25519),
    keys,
    keys.map(() => PROOF),
  );
  const agentId = await agentIdOf(`did:sage:${spelling}:${id}`);
  await chain.transact(stranger, 'activateAgent', agentId);
  await chain.anvil.mine();
  return { id, agentId, keys };
}

async function agentIdOf(did: string): Promise<string> {
  const logs = (await chain.anvil.call('eth_getLogs', {
    fromBlock: '0x0',
    address: chain.address,
    topics: [null, null, keccak256(Buffer.from(did))],
  })) as { topics: string[] }[];
  return logs.at(-1)?.topics[1] ?? '';
}

async function read(id: string, memo?: CardMemo, finality?: { confirmations: number }) {
  const rpc = createRpc({ urls: [node.url], chainId: 31337 });
  const before = node.requests.length;
  try {
    const answer = await readCardKeys(rpc, {
      contract: chain.address,
      id,
      memo,
      ...(finality === undefined ? {} : { finality }),
    });
    return { ...answer, roundTrips: node.requests.length - before };
  } finally {
    await rpc.close();
  }
}

const namesOf = (keys: Awaited<ReturnType<typeof read>>['keys']): Record<string, string> =>
  Object.fromEntries(
    keys.map(({ fragment, material }) => [
      fragment,
      material.kind === 'multikey' ? `0x${Buffer.from(material.bytes.subarray(2)).toString('hex')}` : '',
    ]),
  );

test.each([0, 20])(
  'with %i changes: two round trips the first time, one when its id is known',
  async (changes) => {
    const [first, second] = [newKey(), newKey()];
    const agent = await register([first, second]);
    for (let i = 0; i < changes; i += 2) {
      const key = newKey();
      await chain.transact(owner, 'addKey', agent.agentId, ED25519, key, PROOF);
      await chain.transact(owner, 'revokeKey', agent.agentId, keccak256(key));
    }
    await chain.anvil.mine();
    const cold = await read(agent.id);
    expect(cold).toMatchObject({ exists: true, deactivated: false, pending: [], roundTrips: 2 });
    expect(namesOf(cold.keys)).toEqual({ 'key-1': first, 'key-2': second });
    expect(await read(agent.id, cold.memo)).toEqual({ ...cold, roundTrips: 1 });
    // A key that came since is found all the same, and what was remembered of another chain is not believed.
    const third = newKey();
    await chain.transact(owner, 'addKey', agent.agentId, ED25519, third, PROOF);
    await chain.anvil.mine();
    expect(namesOf((await read(agent.id, cold.memo)).keys)).toMatchObject({ 'key-1': first });
    expect(Object.values(namesOf((await read(agent.id, cold.memo)).keys))).toEqual([first, second, third]);
    const wrong = { agentId: `0x${'77'.repeat(32)}`, keyHashes: [] };
    expect(Object.values(namesOf((await read(agent.id, wrong)).keys))).toEqual([first, second, third]);
  },
);

test('nobody is an answer, no contract is none', async () => {
  expect(await read('nobody')).toMatchObject({ exists: false, keys: [], roundTrips: 1 });
  const rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: 31337 });
  const elsewhere = readCardKeys(rpc, { contract: `0x${'12'.repeat(20)}`, id: 'nobody' });
  await expect(elsewhere).rejects.toMatchObject({ code: 'rpc_bad_answer' });
  await rpc.close();
});

test.each(['deactivateAgentByHash', 'deactivateAgent'])(
  'hole 1: after %s the agent is ended, whoever sets it active again',
  async (method) => {
    const agent = await register([newKey()]);
    expect((await read(agent.id)).keys).toHaveLength(1);
    const what = method === 'deactivateAgent' ? `did:sage:ethereum:${agent.id}` : agent.agentId;
    await chain.transact(owner, method, what);
    // At once: what takes away does not wait for its block to be safe.
    expect(await read(agent.id)).toMatchObject({ exists: true, deactivated: true, keys: [], pending: [] });
    await chain.transact(stranger, 'activateAgent', agent.agentId);
    await chain.anvil.mine(3);
    expect(await read(agent.id)).toMatchObject({ exists: true, deactivated: true, keys: [], pending: [] });
  },
);

test('hole 2: a stranger cannot revoke a key, its owner can', async () => {
  const [mine, spare] = [newKey(), newKey()];
  const victim = await register([mine, spare]);
  const attacker = await register([newKey(), newKey()], stranger);
  for (let i = 0; i < 3; i++) await chain.transact(stranger, 'revokeKey', attacker.agentId, keccak256(mine));
  await chain.anvil.mine();
  expect(namesOf((await read(victim.id)).keys)).toEqual({ 'key-1': mine, 'key-2': spare });
  expect((await read(attacker.id)).keys).toHaveLength(2);
  await chain.transact(owner, 'revokeKey', victim.agentId, keccak256(mine));
  expect(namesOf((await read(victim.id)).keys)).toEqual({ 'key-2': spare });
});

test('a key that storage calls unverified for no reason that is seen does not count', async () => {
  const agent = await register([newKey()]);
  const honest = await chain.anvil.call('eth_call', {
    to: chain.address,
    data: `0x12aaac70${keccak256(agent.keys[0] ?? '').slice(2)}`,
  });
  // The fourth member of the struct.
  const unverified = `${String(honest).slice(0, 2 + 64 * 4 + 63)}0${String(honest).slice(2 + 64 * 5)}`;
  await using liar = await startNode(({ id, method, params }) => {
    const { data } = (params[0] ?? {}) as { data?: string };
    return method === 'eth_call' && data?.startsWith('0x12aaac70') ? { id, result: unverified } : undefined;
  }, chain.anvil.httpUrl);
  const rpc = createRpc({ urls: [liar.url], chainId: 31337 });
  const answer = await readCardKeys(rpc, { contract: chain.address, id: agent.id });
  expect(answer).toMatchObject({ exists: true, keys: [], pending: [] });
  await rpc.close();
});

test('hole 3: what was registered without proof is told as it stands, and X25519 never signs', async () => {
  const [random, agreement] = [newKey(), newKey()];
  const agent = await register([random, agreement], owner, 'ethereum', { types: [ED25519, X25519] });
  expect((await read(agent.id)).keys.map(({ fragment, flags }) => [fragment, flags])).toEqual([
    ['key-1', 3],
    ['key-2', 4],
  ]);
});

test('hole 4: a name stays with its key when another one is revoked', async () => {
  const [first, second, third] = [newKey(), newKey(), newKey()];
  const agent = await register([first, second, third]);
  expect(namesOf((await read(agent.id)).keys)).toEqual({ 'key-1': first, 'key-2': second, 'key-3': third });
  // In storage the third now stands where the first stood.
  await chain.transact(owner, 'revokeKey', agent.agentId, keccak256(first));
  expect(namesOf((await read(agent.id)).keys)).toEqual({ 'key-2': second, 'key-3': third });
});

test('what grants waits: registration, a new key, and the activation', async () => {
  const key = newKey();
  await chain.transact(owner, 'register', 'did:sage:ethereum:waits', [ED25519], [key], [PROOF]);
  await chain.anvil.mine(3);
  expect(await read('waits')).toMatchObject({ exists: true, keys: [], pending: [] });
  await chain.transact(owner, 'activateAgent', await agentIdOf('did:sage:ethereum:waits'));
  expect(await read('waits')).toMatchObject({ keys: [], pending: [{ fragment: 'key-1' }] });
  await chain.anvil.mine();
  expect(await read('waits')).toMatchObject({ keys: [{ fragment: 'key-1' }], pending: [] });
  expect(await read('waits', undefined, { confirmations: 2 })).toMatchObject({ keys: [] });
});

test('of two agents that share an id under both spellings, the first one has it', async () => {
  const [mine, theirs] = [newKey(), newKey()];
  const { id } = await register([mine], owner, 'eth');
  expect(namesOf((await read(id)).keys)).toEqual({ 'key-1': mine });
  await register([theirs], stranger, 'ethereum', { id });
  expect(namesOf((await read(id)).keys)).toEqual({ 'key-1': mine });
});

test('secp256k1 keys are told compressed, what is no point is left out', async () => {
  // The generator of the curve: SEC 2, section 2.4.1.
  const x = '79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
  const y = '483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8';
  const agent = await register([`0x04${x}${y}`, `0x02${'00'.repeat(32)}`], owner, 'ethereum', {
    types: [ECDSA, ECDSA],
  });
  expect(namesOf((await read(agent.id)).keys)).toEqual({ 'key-1': `0x02${x}` });
});

test('events that a node leaves out contradict the contract', async () => {
  const agent = await register([newKey(), newKey()]);
  await chain.transact(owner, 'revokeKey', agent.agentId, keccak256(agent.keys[0] ?? ''));
  const logsOf = (topics: unknown): Promise<unknown> =>
    chain.anvil.call('eth_getLogs', { fromBlock: '0x0', address: chain.address, topics });
  const own = (await logsOf([null, agent.agentId])) as { topics: string[] }[];
  await using liar = await startNode(({ id, method, params }) => {
    const { topics } = (params[0] ?? {}) as { topics?: unknown[] };
    if (method !== 'eth_getLogs' || topics?.[1] !== agent.agentId) return undefined;
    // All but the revocation, and all but the registration of that key.
    return { id, result: own.slice(2, -1).concat(own.slice(0, 1)) };
  }, chain.anvil.httpUrl);
  const rpc = createRpc({ urls: [liar.url], chainId: 31337 });
  await expect(readCardKeys(rpc, { contract: chain.address, id: agent.id })).rejects.toMatchObject({
    code: 'rpc_bad_answer',
  });
  await rpc.close();
});
