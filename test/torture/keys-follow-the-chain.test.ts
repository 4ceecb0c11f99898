/**
 * A key source over a real chain that is reorganised, and whose connections are cut, again and again: whatever it answers
 * once it has caught up must be what the chain says.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Interface } from 'ethers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readAgentKeys } from '../../src/trust/chain/agent-keys.ts';
import { encodeKeySlot, metadataKeyOf } from '../../src/trust/chain/key-slot.ts';
import { createRpc, type Rpc } from '../../src/trust/chain/rpc.ts';
import { agentDid, parseKeyId } from '../../src/trust/did/did-url.ts';
import { DidError } from '../../src/trust/did/errors.ts';
import type { KeySource } from '../../src/trust/key-source.ts';
import { importMultikey } from '../../src/trust/keys/import.ts';
import { until } from '../support/gateway.ts';
import { followKeys, someKey, startChain, type TestChain } from '../trust/chain/fixture.ts';
import { report, SEED, tally, times } from './support/run.ts';

const AGENTS = 4;
const CHAIN_ID = 31_337;
const SET_METADATA = new Interface(['function setMetadata(uint256 agentId, string key, bytes value)']);
const REORG_DEPTH_MAX = 4;

/** A wire that can be cut: whatever is open ends, and new connections are refused while it is. */
interface Wire {
  readonly port: number;
  cut(): void;
  mend(): Promise<void>;
  close(): Promise<void>;
}

async function openWire(to: number): Promise<Wire> {
  const open = new Set<Socket>();
  const accept = (near: Socket): void => {
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket));
    }
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  };
  let server: Server = createServer(accept);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  const cut = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return {
    port,
    cut,
    async mend() {
      server = createServer(accept);
      await once(server.listen(port, '127.0.0.1'), 'listening');
    },
    async close() {
      cut();
    },
  };
}

let chain: TestChain;
let wire: Wire;
let keys: KeySource;
let rpc: Rpc;
let ids: bigint[];
let from: string;
let state = SEED;
const outcomes: string[] = [];

/** Numerical Recipes' generator: the same steps for the same seed. */
function below(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

beforeAll(async () => {
  chain = await startChain();
  from = chain.anvil.accounts[0]?.address ?? '';
  ids = [];
  for (let n = 0; n < AGENTS; n += 1)
    ids.push((await chain.owner.registerAgent({ keys: { main: someKey() } })).agentId);
  // So that no reorganisation reaches the registrations.
  await chain.anvil.mine(2 * REORG_DEPTH_MAX);
  wire = await openWire(chain.anvil.port);
  rpc = createRpc({ urls: [chain.anvil.httpUrl], chainId: CHAIN_ID });
  keys = followKeys(chain, { url: `ws://127.0.0.1:${wire.port}` });
});
afterAll(async () => {
  await keys.close();
  await rpc.close();
  await wire.close();
  await chain[Symbol.asyncDispose]();
});

/** Writes a new key into an agent's slot, or takes it away. */
async function change(id: bigint, revoke: boolean): Promise<void> {
  const value = revoke ? '0x' : `0x${Buffer.from(encodeKeySlot(someKey())).toString('hex')}`;
  const data = SET_METADATA.encodeFunctionData('setMetadata', [id, metadataKeyOf('main'), value]);
  const sent = { from, to: chain.registry, data, gas: '0x100000' };
  const hash = await chain.anvil.call('eth_sendTransaction', sent);
  // The node answers before the block is mined, and has no event for that over HTTP.
  await until(
    async () => (await chain.anvil.call('eth_getTransactionReceipt', hash)) !== null,
    'it is mined',
  );
}

/** Until the watcher has followed the very block that the chain ends in. */
async function caughtUp(): Promise<void> {
  await until(async () => {
    const latest = (await chain.anvil.call('eth_getBlockByNumber', 'latest', false)) as { hash: string };
    const [watched] = keys.chains();
    return watched?.state.connected === true && watched.state.head?.hash === latest.hash;
  }, 'the watcher caught up');
}

const NOBODY = 'no key';

/** What the source answers, and would let in: the thumbprint of the key, kept in memory from then on. */
async function answered(id: bigint): Promise<string> {
  const keyId = parseKeyId(`${agentDid(CHAIN_ID, chain.registry, id)}#main`);
  for (;;) {
    try {
      const found = await keys.resolver.find(keyId, { safeMethod: false });
      if (keys.resolver.admit(found)) return found.key.thumbprint;
    } catch (error) {
      if (!(error instanceof DidError)) throw error;
      if (error.code === 'key_unknown') return NOBODY;
      // Not knowing is no answer: it is asked again, as a caller would.
      if (!error.retryable) throw error;
    }
  }
}

async function truth(id: bigint): Promise<string> {
  const read = await readAgentKeys(rpc, {
    registry: chain.registry,
    agentId: id,
    finality: { confirmations: 0 },
  });
  const main = read.keys.find(({ fragment }) => fragment === 'main');
  return main === undefined ? NOBODY : importMultikey(main.multikey).thumbprint;
}

/** Every agent, from memory where it has him: one lost event would show as a key that the chain does not have. */
async function checkAll(): Promise<void> {
  await caughtUp();
  for (const id of ids) {
    const answer = await answered(id);
    expect(answer, `agent ${id}`).toBe(await truth(id));
    outcomes.push(answer === NOBODY ? 'refused' : 'found');
  }
}

const REORGS = times(15, 1_000);
test(
  `${REORGS} reorganisations leave no stale key`,
  async () => {
    const startedAt = performance.now();
    for (let n = 0; n < REORGS; n += 1) {
      for (let changes = below(3); changes >= 0; changes -= 1)
        await change(ids[below(AGENTS)] as bigint, below(3) === 0);
      // Some are noticed in time to be believed, some are gone before.
      if (below(2) === 0) await checkAll();
      await chain.anvil.reorg(1 + below(REORG_DEPTH_MAX));
      await chain.anvil.mine(1 + below(2));
      await checkAll();
    }
    report('reorganisations', REORGS, startedAt, tally(outcomes.splice(0)));
  },
  times(60_000, 3_600_000),
);

const CUTS = times(10, 1_000);
test(
  `${CUTS} cut connections lose no event`,
  async () => {
    const startedAt = performance.now();
    await checkAll();
    for (let n = 0; n < CUTS; n += 1) {
      wire.cut();
      for (let changes = below(3); changes >= 0; changes -= 1)
        await change(ids[below(AGENTS)] as bigint, below(3) === 0);
      if (below(4) === 0) {
        await chain.anvil.reorg(1 + below(2));
        await chain.anvil.mine();
      }
      await wire.mend();
      // And sometimes once more, while it is catching up.
      if (below(4) === 0) {
        wire.cut();
        await change(ids[below(AGENTS)] as bigint, below(3) === 0);
        await wire.mend();
      }
      await checkAll();
    }
    report('cut connections', CUTS, startedAt, tally(outcomes.splice(0)));
  },
  times(60_000, 3_600_000),
);
