/** What the resolver asks of each class of methods: offline, chain, web. */
import type { ParsedKeyId } from './did-url.ts';
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
  /** Where keys are kept once a signature verified with them. */
  readonly memory: KeyMemory;
  /** Forgets what is held of one DID; what is under way is told by `Withdrawals`. */
  forget(did: string): void;
}

/** What the classes share, and what they ask of the resolver. */
export interface ClassTools {
  readonly withdrawals: Withdrawals;
  /** Withdraws a DID, and forgets it in every class. */
  readonly forget: (did: string, change: ChangePoint | null, reason: PurgeReason) => void;
  /** Tells whoever holds something open; null: any key of this class may be meant. */
  readonly announce: (did: string | null) => void;
}
