/**
 * Writing to the registry with real transactions: what the demo, the tests and the `sage` command do for an agent.
 * The only file that loads ethers (30 MB of memory): the gateway itself only reads, by `rpc.ts`.
 */
import { Contract, ContractFactory, type ContractTransactionReceipt, JsonRpcProvider, Wallet } from 'ethers';
import artifact from './contracts/SageAgentRegistry.artifact.json' with { type: 'json' };
import { ChainError, originOf } from './errors.ts';
import { REGISTERED } from './events.ts';
import { encodeKeySlot, type KeySlot, metadataKeyOf } from './key-slot.ts';

export interface WriterOptions {
  /** http(s): transactions are few, and waiting for one by polling loses nothing. */
  readonly rpcUrl: string;
  readonly chainId: number;
  /** 0x-hex secp256k1 key of whoever pays and owns. */
  readonly privateKey: string;
}

/** Where a transaction came to stand. */
interface Mined {
  readonly transactionHash: string;
  readonly blockNumber: number;
  readonly blockHash: string;
}

export interface Deployed extends Mined {
  /** Lower case, as in a did:sage. */
  readonly address: string;
}

export interface RegistryWriter {
  /** Lower case; whose the transactions are. */
  readonly account: string;
  registerAgent(agent?: {
    readonly uri?: string;
    readonly keys?: Readonly<Record<string, KeySlot>>;
  }): Promise<Mined & { readonly agentId: bigint }>;
  setKey(agentId: bigint, fragment: string, slot: KeySlot): Promise<Mined>;
  revokeKey(agentId: bigint, fragment: string): Promise<Mined>;
  /** Any other metadata, such as `agentName`; what the key calls above are made of. */
  setMetadata(agentId: bigint, key: string, value: Uint8Array): Promise<Mined>;
  setAgentUri(agentId: bigint, uri: string): Promise<Mined>;
  approve(agentId: bigint, operator: string): Promise<Mined>;
  transferAgent(agentId: bigint, to: string): Promise<Mined>;
  close(): void;
}

/** How often a transaction's receipt is asked for, in milliseconds. */
const RECEIPT_POLL_MS = 50;

/** How long a transaction may take to be mined, in milliseconds: some blocks of a slow chain. */
const MINED_TIMEOUT_MS = 120_000;

const NO_VALUE = new Uint8Array();

/** Without these ethers answers from a cache of 250 ms, waits 10 ms to fill a batch, and asks for the chain again. */
function connect(options: WriterOptions): { provider: JsonRpcProvider; wallet: Wallet } {
  const provider = new JsonRpcProvider(options.rpcUrl, options.chainId, {
    staticNetwork: true,
    cacheTimeout: -1,
    batchStallTime: 0,
    pollingInterval: RECEIPT_POLL_MS,
  });
  return { provider, wallet: new Wallet(options.privateKey, provider) };
}

/** @throws ChainError `transaction_failed` */
export async function deployRegistry(options: WriterOptions): Promise<Deployed> {
  const { provider, wallet } = connect(options);
  try {
    const contract = await new ContractFactory(artifact.abi, artifact.bytecode, wallet).deploy();
    const receipt = await contract.deploymentTransaction()?.wait(1, MINED_TIMEOUT_MS);
    if (receipt == null) throw new Error('no receipt');
    return { ...minedOf(receipt), address: (await contract.getAddress()).toLowerCase() };
  } catch (cause) {
    throw failed('deploy', options.rpcUrl, cause);
  } finally {
    provider.destroy();
  }
}

export function openRegistryWriter(options: WriterOptions & { readonly registry: string }): RegistryWriter {
  const { provider, wallet } = connect(options);
  const contract = new Contract(options.registry, artifact.abi, wallet);
  // One transaction at a time: two at once would be given the same nonce.
  let last: Promise<unknown> = Promise.resolve();

  function transact(method: string, ...args: unknown[]): Promise<ContractTransactionReceipt> {
    const next = last.then(async () => {
      try {
        const sent = await contract.getFunction(method).send(...args);
        const receipt = await sent.wait(1, MINED_TIMEOUT_MS);
        if (receipt === null) throw new Error('no receipt');
        return receipt;
      } catch (cause) {
        throw failed(method, options.rpcUrl, cause);
      }
    });
    last = next.catch(() => undefined);
    return next;
  }

  async function setMetadata(agentId: bigint, key: string, value: Uint8Array): Promise<Mined> {
    return minedOf(await transact('setMetadata', agentId, key, value));
  }

  return {
    account: wallet.address.toLowerCase(),
    async registerAgent({ uri = '', keys = {} } = {}) {
      const metadata = Object.entries(keys).map(([fragment, slot]) => [
        metadataKeyOf(fragment),
        encodeKeySlot(slot),
      ]);
      const receipt = await transact('register(string,(string,bytes)[])', uri, metadata);
      const registered = receipt.logs.find((log) => log.topics[0] === REGISTERED);
      if (registered === undefined)
        throw failed('register', options.rpcUrl, new Error('no Registered event'));
      return { ...minedOf(receipt), agentId: BigInt(registered.topics[1] as string) };
    },
    setMetadata,
    async setKey(agentId, fragment, slot) {
      return await setMetadata(agentId, metadataKeyOf(fragment), encodeKeySlot(slot));
    },
    async revokeKey(agentId, fragment) {
      return await setMetadata(agentId, metadataKeyOf(fragment), NO_VALUE);
    },
    async setAgentUri(agentId, uri) {
      return minedOf(await transact('setAgentURI', agentId, uri));
    },
    async approve(agentId, operator) {
      return minedOf(await transact('approve', operator, agentId));
    },
    async transferAgent(agentId, to) {
      return minedOf(await transact('transferFrom', wallet.address, to, agentId));
    },
    close: () => provider.destroy(),
  };
}

function minedOf(receipt: { hash: string; blockNumber: number; blockHash: string }): Mined {
  return { transactionHash: receipt.hash, blockNumber: receipt.blockNumber, blockHash: receipt.blockHash };
}

function failed(what: string, rpcUrl: string, cause: unknown): ChainError {
  const { shortMessage, message } = cause as { shortMessage?: string; message?: string };
  const detail = `${what}: ${shortMessage ?? message ?? 'unknown'}`;
  return new ChainError('transaction_failed', { node: originOf(rpcUrl), detail, cause });
}
