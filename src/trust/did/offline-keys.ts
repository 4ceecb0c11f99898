/** The class of methods whose identifier is the key: nothing is fetched, and nothing can be stale. */
import type { ParsedKeyId } from './did-url.ts';
import { tellHit, tellMiss, tellResolution } from './events.ts';
import { frequencyHash } from './frequency.ts';
import type { DidDescription, KeyClass } from './key-class.ts';
import { createKeyMemory, type KeyMemory, type ResolvedKey } from './key-memory.ts';
import { offlineKey, offlineMethod } from './offline.ts';
import type { FindOptions } from './resolver.ts';
import type { Withdrawals } from './withdrawals.ts';

export class OfflineKeys implements KeyClass {
  readonly memory: KeyMemory;
  readonly #withdrawals: Withdrawals;
  readonly #monotonicNow: () => number;

  /** @param entries DIDs held, apart from those of other classes: minting them costs nothing */
  constructor(entries: number, withdrawals: Withdrawals, monotonicNow: () => number) {
    this.memory = createKeyMemory(entries);
    this.#withdrawals = withdrawals;
    this.#monotonicNow = monotonicNow;
  }

  find(keyId: ParsedKeyId, { onCold }: FindOptions): ResolvedKey {
    const { epoch } = this.#withdrawals;
    const held = this.memory.find(keyId.did, keyId.fragment, epoch);
    if (held !== undefined) {
      tellHit();
      return held;
    }
    onCold?.();
    const startedAt = this.#monotonicNow();
    try {
      const { fragment, key } = offlineKey(keyId);
      tellResolution('offline', this.#monotonicNow() - startedAt, 'found');
      return {
        did: keyId.did,
        keyId: `${keyId.did}#${fragment}`,
        fragment,
        key,
        validUntilMs: Number.POSITIVE_INFINITY,
        tier: 'offline',
        methodClass: 'offline',
        epoch,
        freshUntilMs: Number.POSITIVE_INFINITY,
        sole: true,
        hash: frequencyHash(keyId.did),
      };
    } catch (error) {
      throw tellMiss('offline', this.#monotonicNow() - startedAt, error);
    }
  }

  async describe(keyId: ParsedKeyId): Promise<DidDescription> {
    const method = offlineMethod({ ...keyId, fragment: null });
    const keys = [{ ...method, validUntilMs: Number.POSITIVE_INFINITY }];
    return { did: keyId.did, exists: true, deactivated: false, keys, published: null, chain: null };
  }

  forget(did: string): void {
    this.memory.delete(did);
  }
}
