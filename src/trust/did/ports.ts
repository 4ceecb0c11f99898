/** What the resolver needs from elsewhere; `app.ts` hands these in. */
import type { KeyMaterial } from './key-import.ts';

/** What keeps keys on a chain: an ERC-8004 registry, an ERC-1056 registry, or SAGE's own AgentCardRegistry. */
export type ContractKind = 'erc8004' | 'ethr' | 'agent-card';

/** Whose keys are asked for, and where they stand. */
export interface ChainSubject {
  readonly kind: ContractKind;
  /** EIP-155 chain id. */
  readonly chainId: number;
  /** 0x-address of the contract, lower case. */
  readonly contract: string;
  /** What the contract knows it by: a token id in decimal, an identity, a DID. */
  readonly id: string;
}

/** One key of a subject, after history and finality have been applied. */
export interface ChainKey {
  readonly fragment: string;
  /** `KEY_FLAGS`: bit 0 `authentication`, bit 1 `assertionMethod`, bit 2 `keyAgreement`. */
  readonly flags: number;
  /** Unix seconds after which the key is not valid; 0 means never. */
  readonly notAfter: number;
  readonly material: KeyMaterial;
  readonly setAtBlock: number;
}

/** What the chain said about a subject, authoritatively. */
export interface ChainKeys {
  readonly exists: boolean;
  /** True when it was ended for good; it has no keys then. False when left out. */
  readonly deactivated?: boolean;
  readonly keys: readonly ChainKey[];
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
  readKeys(subject: ChainSubject): Promise<ChainKeys>;
}

export interface ResolverLog {
  warn(fields: object, message: string): void;
}

/** What the watcher of a chain saw change: one DID, or (`reset`) any that is kept there. */
export type ChainChange = SubjectChange | ContractReset;

export interface SubjectChange {
  readonly chainId: number;
  /** In its one spelling. */
  readonly did: string;
  readonly kind: 'key' | 'transfer' | 'registered' | 'reorg';
  readonly fragment?: string | undefined;
  /** True when a key reported before became final: only then does it count. */
  readonly safe?: boolean | undefined;
  readonly blockNumber: number;
  readonly blockHash: string;
}

interface ContractReset {
  readonly chainId: number;
  readonly kind: 'reset';
  readonly blockNumber: number;
}
