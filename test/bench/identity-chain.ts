/** What identity asks of chains: round trips of a first reading, reads under a stampede, and how soon a revocation is felt. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { keccak256 } from 'ethers';
import { WebSocket } from 'ws';
import { readAgentKeys } from '../../src/trust/chain/agent-keys.ts';
import { readCardKeys } from '../../src/trust/chain/card-keys.ts';
import { readEthrKeys } from '../../src/trust/chain/ethr-keys.ts';
import { createRpc, type Rpc } from '../../src/trust/chain/rpc.ts';
import { type ChainCaller, registerCaller, settle, signed } from '../e2e/support/callers.ts';
import { startRedis } from '../support/redis.ts';
import { askAll, takeAnswer } from '../torture/support/raw-client.ts';
import { bytes32, startCardChain, startEthrChain } from '../trust/chain/contract-fixture.ts';
import { someKey, startChain, startNode, type TestChain } from '../trust/chain/fixture.ts';
import { startGateway } from './gateways.ts';
import { here, type Server, start } from './processes.ts';

const CHAIN_ID = 31337;

/** A method that lives on a chain: how an identity with so many changes is made, and then read for the first time. */
interface Method {
  readonly name: string;
  /** Runs `use` with the node's URL and with what makes an identity. */
  measure(
    use: (
      nodeUrl: string,
      make: (changes: number) => Promise<(rpc: Rpc) => Promise<unknown>>,
    ) => Promise<void>,
  ): Promise<void>;
}

/** One line for each method: to add one, say how its identity is made and read. */
const METHODS: readonly Method[] = [
  {
    name: 'did:sage (ERC-8004)',
    async measure(use) {
      await using chain = await startChain();
      await use(chain.anvil.httpUrl, async (changes) => {
        const { agentId } = await chain.owner.registerAgent({ keys: { main: someKey() } });
        for (let at = 0; at < changes; at += 1) await chain.owner.setKey(agentId, `k${at % 4}`, someKey());
        await chain.anvil.mine();
        return (rpc) => readAgentKeys(rpc, { registry: chain.registry, agentId });
      });
    },
  },
  {
    name: 'did:ethr (ERC-1056)',
    async measure(use) {
      await using chain = await startEthrChain();
      let next = 1;
      await use(chain.anvil.httpUrl, async (changes) => {
        const identifier = chain.accounts[next++] ?? '';
        const name = bytes32('did/pub/Ed25519/sigAuth/hex');
        for (let at = 0; at < changes; at += 1)
          await chain.transact(
            identifier,
            'setAttribute',
            identifier,
            name,
            `0x${String(at).padStart(64, '0')}`,
            9_999,
          );
        await chain.anvil.mine();
        return (rpc) => readEthrKeys(rpc, { contract: chain.address, identifier });
      });
    },
  },
  {
    name: 'did:sage:ethereum (legacy cards)',
    async measure(use) {
      await using chain = await startCardChain();
      const [owner = ''] = chain.accounts;
      const proof = `0x${'5a'.repeat(64)}`;
      const newKey = (): string => `0x${Buffer.from(someKey().multikey.subarray(2)).toString('hex')}`;
      let next = 0;
      await use(chain.anvil.httpUrl, async (changes) => {
        const id = `agent-${next++}`;
        const did = `did:sage:ethereum:${id}`;
        await chain.transact(owner, 'register', did, [1], [newKey()], [proof]);
        const logs = (await chain.anvil.call('eth_getLogs', {
          fromBlock: '0x0',
          address: chain.address,
          topics: [null, null, keccak256(Buffer.from(did))],
        })) as { topics: string[] }[];
        const agentId = logs.at(-1)?.topics[1] ?? '';
        await chain.transact(owner, 'activateAgent', agentId);
        for (let at = 0; at < changes; at += 2) {
          const key = newKey();
          await chain.transact(owner, 'addKey', agentId, 1, key, proof);
          await chain.transact(owner, 'revokeKey', agentId, keccak256(key));
        }
        await chain.anvil.mine();
        return (rpc) => readCardKeys(rpc, { contract: chain.address, id });
      });
    },
  },
];

export interface ColdRead {
  readonly method: string;
  readonly changes: number;
  /** Requests to the node; a batch counts once. */
  readonly roundTrips: number;
}

export async function measureColdReads(): Promise<ColdRead[]> {
  const found: ColdRead[] = [];
  for (const method of METHODS) {
    await method.measure(async (nodeUrl, make) => {
      for (const changes of [0, 20]) {
        const read = await make(changes);
        await using node = await startNode(() => undefined, nodeUrl);
        const rpc = createRpc({ urls: [node.url], chainId: CHAIN_ID });
        await read(rpc);
        found.push({ method: method.name, changes, roundTrips: node.requests.length });
        await rpc.close();
      }
    });
  }
  return found;
}

const configOf = (registry: string): string[] => [
  'chains:',
  `  - { id: ${CHAIN_ID}, registries: [{ address: "${registry}" }], finality: safe }`,
];

function requestOf(caller: ChainCaller, { port }: Server): Buffer {
  const target = '/agents/verified/v1/answer';
  const { headers = [] } = signed(caller, `http://127.0.0.1:${port}`, { method: 'GET', target });
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`GET ${target} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${lines}\r\n`);
}

const statusOf = async (caller: ChainCaller, gateway: Server): Promise<number> =>
  (await askAll(gateway.port, [requestOf(caller, gateway)], () => true))[0]?.status ?? 0;

async function untilServed(caller: ChainCaller, gateway: Server): Promise<void> {
  const deadline = performance.now() + 20_000;
  while ((await statusOf(caller, gateway)) !== 200)
    if (performance.now() > deadline) throw new Error('the gateway does not serve a registered caller');
}

/** Reads of the chain that a thousand callers of one unknown agent cause, all at once, over sockets. */
export async function measureStampede(folder: string): Promise<number> {
  const CALLERS = 1_000;
  await using chain = await startChain();
  const warm = await registerCaller(chain);
  const caller = await registerCaller(chain);
  await settle(chain.anvil);
  await using node = await startNode(() => undefined, chain.anvil.httpUrl);
  const upstream = await start(here('./upstream.ts'), []);
  const gateway = await startGateway(
    `${folder}/stampede`,
    upstream.port,
    { CHAIN_RPC_URLS: node.url, CHAIN_POLL_INTERVAL_MS: '500' },
    configOf(chain.registry),
  );
  await chain.anvil.mine(2);
  await untilServed(warm, gateway);
  // Only readings of agents call the contract; what follows heads does not.
  const reads = (): number => node.requests.filter((methods) => methods.includes('eth_call')).length;
  const before = reads();
  const requests = Array.from({ length: CALLERS }, () => requestOf(caller, gateway));
  const answers = await askAll(gateway.port, requests, () => true, CALLERS);
  const served = answers.filter((answer) => answer?.status === 200).length;
  if (served !== CALLERS)
    throw new Error(
      `${served} of ${CALLERS} were served: ${answers.find((one) => one?.status !== 200)?.code}`,
    );
  gateway.child.kill('SIGKILL');
  return reads() - before;
}

/** When each block was announced, by its number; on the clock of `performance.now()`. */
async function watchBlocks(wsUrl: string): Promise<{ readonly seenAt: Map<number, number>; close(): void }> {
  const seenAt = new Map<number, number>();
  const socket = new WebSocket(wsUrl);
  await once(socket, 'open');
  socket.on('message', (data) => {
    const at = performance.now();
    const { params } = JSON.parse((data as Buffer).toString('utf8')) as {
      params?: { result?: { number?: string } };
    };
    const number = params?.result?.number;
    if (number !== undefined) seenAt.set(Number(number), at);
  });
  socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] }));
  return { seenAt, close: () => socket.close() };
}

/** Asks over one connection; resolves with the status. */
type Client = (caller: ChainCaller) => Promise<number>;

async function openClient(gateway: Server): Promise<Client> {
  const socket = connect(gateway.port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  return async (caller) => {
    socket.write(requestOf(caller, gateway));
    let held = Buffer.alloc(0);
    for (;;) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      held = Buffer.concat([held, chunk]);
      const taken = takeAnswer(held);
      if (taken !== null) return taken.answer.status;
    }
  };
}

/** When the first refusal had arrived, from a caller that asks again and again. */
async function refusedAt(caller: ChainCaller, ask: Client): Promise<number> {
  const deadline = performance.now() + 10_000;
  while ((await ask(caller)) === 200) {
    if (performance.now() > deadline) throw new Error('the revoked caller is still served');
    await pause(ASK_EVERY_MS);
  }
  return performance.now();
}

/** Often enough for the figure, seldom enough for the machine to do something else, too. */
const ASK_EVERY_MS = 1;
/**
 * Blocks of a real chain come seconds apart. Sooner, anvil's socket holds an announcement back until the client has
 * acknowledged what came before (Nagle's algorithm), which takes up to 40 ms and is no work of a gateway.
 */
const BETWEEN_BLOCKS_MS = 150;
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

async function revokeAndWait(
  chain: TestChain,
  caller: ChainCaller,
  clients: readonly Client[],
  seenAt: ReadonlyMap<number, number>,
): Promise<number[]> {
  const refusals = clients.map((ask) => refusedAt(caller, ask));
  await pause(BETWEEN_BLOCKS_MS);
  const { blockNumber } = await chain.owner.revokeKey(caller.agentId, 'key-1');
  const refused = await Promise.all(refusals);
  const included = seenAt.get(blockNumber);
  if (included === undefined) throw new Error(`block ${blockNumber} was not announced`);
  return refused.map((at) => at - included);
}

/** Milliseconds from the announcement of the including block to the first refusal, on each of two nodes with one Redis. */
export async function measureRevocation(folder: string): Promise<number[]> {
  const REVOCATIONS = 100;
  await using chain = await startChain();
  const redis = await startRedis();
  const blocks = await watchBlocks(chain.anvil.wsUrl);
  try {
    const callers: ChainCaller[] = [];
    while (callers.length < REVOCATIONS) callers.push(await registerCaller(chain));
    await settle(chain.anvil);
    const upstream = await start(here('./upstream.ts'), []);
    const env = {
      CHAIN_RPC_URLS: chain.anvil.wsUrl,
      REDIS_URL: redis.url,
      CLUSTER_SECRET: 'a-secret-of-the-bench-with-32-characters',
    };
    const gateways = await Promise.all(
      ['a', 'b'].map((name) =>
        startGateway(`${folder}/revocation-${name}`, upstream.port, env, configOf(chain.registry)),
      ),
    );
    await chain.anvil.mine(2);
    const clients = await Promise.all(gateways.map(openClient));
    const found: number[] = [];
    for (const caller of callers) {
      for (const gateway of gateways) await untilServed(caller, gateway);
      found.push(...(await revokeAndWait(chain, caller, clients, blocks.seenAt)));
    }
    for (const { child } of gateways) child.kill('SIGKILL');
    return found;
  } finally {
    blocks.close();
    await redis.stop();
  }
}
