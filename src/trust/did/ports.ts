/** What the resolver needs from elsewhere; `app.ts` hands these in. */

/** One key slot of an agent in the registry, after history and finality have been applied. */
export interface AgentKey {
  readonly fragment: string;
  /** Bit 0: authentication. Other bits are reserved and ignored. */
  readonly flags: number;
  /** Unix seconds after which the key is not valid; 0 means never. */
  readonly notAfter: number;
  /** Multicodec prefix and public key. */
  readonly multikey: Uint8Array;
  readonly setAtBlock: number;
}

/** What the chain said about an agent, authoritatively. */
export interface AgentKeys {
  readonly exists: boolean;
  readonly keys: readonly AgentKey[];
  /** The `latest` block the answer was read at. */
  readonly blockNumber: number;
  readonly blockHash: string;
}

export interface ChainReader {
  /**
   * Throws when the chain cannot be asked or its answer is not to be trusted; that is never the same as
   * `exists: false`. Must settle within its own time limit; the resolver stops waiting after
   * `CHAIN_READ_TIMEOUT_MS` whatever happens.
   */
  readAgentKeys(chainId: number, registry: string, agentId: bigint): Promise<AgentKeys>;
}

export interface ResolverLog {
  warn(fields: object, message: string): void;
}

/** What the watcher of a chain saw change: one agent, or (`reset`) any that stands in the registry. */
export type ChainChange = AgentChange | RegistryReset;

export interface AgentChange {
  readonly chainId: number;
  readonly registry: string;
  readonly agentId: bigint | string;
  readonly kind: 'key' | 'transfer' | 'registered' | 'reorg';
  readonly fragment?: string | undefined;
  /** True when a key reported before became final: only then does it count. */
  readonly safe?: boolean | undefined;
  readonly blockNumber: number;
  readonly blockHash: string;
}

interface RegistryReset {
  readonly chainId: number;
  readonly registry: string;
  readonly kind: 'reset';
  readonly blockNumber: number;
}
