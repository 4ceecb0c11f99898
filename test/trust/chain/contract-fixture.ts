/** Contracts that others have deployed, on a chain of the test's own; transactions are sent for any account without its key. */
import { Interface, type InterfaceAbi } from 'ethers';
import { startAnvil, type TestAnvil } from '../../support/anvil.ts';
import cardArtifact from '../../support/contracts/AgentCardRegistry.artifact.json' with { type: 'json' };
import ethrArtifact from '../../support/contracts/EthereumDIDRegistry.artifact.json' with { type: 'json' };

export interface TestContract {
  /** Lower case. */
  readonly address: string;
  /** Puts a transaction into the next block; whether it succeeds is the contract's business. */
  send(from: string, method: string, ...args: readonly unknown[]): Promise<void>;
  /** The same, mined at once; throws when it is refused. */
  transact(from: string, method: string, ...args: readonly unknown[]): Promise<Receipt>;
}

export interface ContractChain extends TestContract, AsyncDisposable {
  readonly anvil: TestAnvil;
  /** Lower case. */
  readonly accounts: readonly string[];
  /** Gives an account what its transactions cost. */
  fund(address: string): Promise<void>;
}

type Artifact = { readonly abi: InterfaceAbi; readonly bytecode: string };

/** With an ERC-1056 registry. */
export function startEthrChain(options: Parameters<typeof startAnvil>[0] = {}): Promise<ContractChain> {
  return startContractChain(ethrArtifact, options);
}

/** With SAGE's AgentCardRegistry. */
export function startCardChain(options: Parameters<typeof startAnvil>[0] = {}): Promise<ContractChain> {
  return startContractChain(cardArtifact, options);
}

async function startContractChain(artifact: Artifact, options: object): Promise<ContractChain> {
  const anvil = await startAnvil(options);
  return {
    anvil,
    accounts: anvil.accounts.map(({ address }) => address.toLowerCase()),
    ...(await openContract(anvil, artifact)),
    async fund(address) {
      await anvil.call('anvil_setBalance', address, `0x${(10n ** 20n).toString(16)}`);
    },
    [Symbol.asyncDispose]: () => anvil.stop(),
  };
}

async function openContract(anvil: TestAnvil, { abi, bytecode }: Artifact): Promise<TestContract> {
  const contract = new Interface(abi);
  const to = await deploy(anvil, bytecode);
  await anvil.call('anvil_autoImpersonateAccount', true);
  const hashOf = (from: string, method: string, args: readonly unknown[]): Promise<unknown> => {
    const data = contract.encodeFunctionData(method, args);
    return anvil.call('eth_sendTransaction', { from, to, data, gas: '0x200000' });
  };
  return {
    address: to,
    async send(from, method, ...args) {
      await hashOf(from, method, args);
    },
    async transact(from, method, ...args) {
      return receiptOf(anvil, await hashOf(from, method, args));
    },
  };
}

/** Deploys for account 0. @returns the address, lower case */
async function deploy(anvil: TestAnvil, bytecode: string): Promise<string> {
  const from = anvil.accounts[0]?.address;
  const hash = await anvil.call('eth_sendTransaction', { from, data: bytecode, gas: '0x1c9c380' });
  const { contractAddress } = await receiptOf(anvil, hash);
  return contractAddress.toLowerCase();
}

interface Receipt {
  readonly blockNumber: number;
  readonly contractAddress: string;
}

/** The node answers a transaction before its block is mined, and has no event for that over HTTP. */
async function receiptOf(anvil: TestAnvil, hash: unknown): Promise<Receipt> {
  for (;;) {
    const receipt = (await anvil.call('eth_getTransactionReceipt', hash)) as {
      blockNumber: string;
      contractAddress: string;
      status: string;
    } | null;
    if (receipt === null) continue;
    if (receipt.status !== '0x1') throw new Error('the transaction was refused');
    return { blockNumber: Number(receipt.blockNumber), contractAddress: receipt.contractAddress };
  }
}

/** A text in 32 bytes, as ERC-1056 holds names and types. */
export function bytes32(text: string): string {
  return `0x${Buffer.from(text).toString('hex').padEnd(64, '0')}`;
}
