/** What the resolver asks of each class of methods: offline, chain, web. */
import type { ParsedKeyId } from './did-url.ts';
import type { DocumentKey } from './document.ts';
import type { PurgeReason } from './events.ts';
import type { KeyMemory, ResolvedKey } from './key-memory.ts';
import type { FindOptions } from './resolver.ts';
import type { ChangePoint, Withdrawals } from './withdrawals.ts';

export interface KeyClass {
  /**
   * The key for `keyId`; synchronous, throws included, whenever memory has the answer.
   * @throws DidError
   */
  find(keyId: ParsedKeyId, options: FindOptions): ResolvedKey | Promise<ResolvedKey>;
  /**
   * For what is open with a key of the DID: sees to it that a change is heard of in time, where nobody tells of it. Announces
   * the DID when its keys have changed, or can no longer be vouched for. Never rejects.
   */
  recheck?(keyId: ParsedKeyId): Promise<void>;
  /**
   * What stands under the DID now, read anew.
   * @param known whether the one who asks may take the places that strangers may not
   * @throws DidError
   */
  describe(keyId: ParsedKeyId, known: boolean): Promise<DidDescription>;
  /** Where keys are kept once a signature verified with them. */
  readonly memory: KeyMemory;
  /** Forgets what is held of one DID; what is under way is told by `Withdrawals`. */
  forget(did: string): void;
}

/** A DID as its authority has it at this moment. */
export interface DidDescription {
  /** In its one spelling. */
  readonly did: string;
  readonly exists: boolean;
  readonly deactivated: boolean;
  readonly keys: readonly DocumentKey[];
  /** The document that was published, where one was; else it is written from the keys. */
  readonly published: Readonly<Record<string, unknown>> | null;
  /** EIP-155 chain and block it was read at, where it stands on one. */
  readonly chain: { readonly id: number; readonly blockNumber: number; readonly blockHash: string } | null;
}

/** What the classes share, and what they ask of the resolver. */
export interface ClassTools {
  readonly withdrawals: Withdrawals;
  /** Withdraws a DID, and forgets it in every class. */
  readonly forget: (did: string, change: ChangePoint | null, reason: PurgeReason) => void;
  /** Tells whoever holds something open; null: any key of this class may be meant. */
  readonly announce: (did: string | null) => void;
}
