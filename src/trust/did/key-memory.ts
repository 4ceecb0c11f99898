import { LRUCache } from 'lru-cache';
import type { VerificationKey } from '../keys/key.ts';
import type { MethodClass } from './did-url.ts';
import type { Tier } from './events.ts';
import { createFrequencySketch } from './frequency.ts';

/** Keys of one DID held at once: its owner alone can make them many, and each has verified a request. */
const KEYS_PER_DID_MAX = 8;

/** A key found for a keyid. */
export interface ResolvedKey {
  readonly did: string;
  /** The absolute DID URL of the key, fragment included. */
  readonly keyId: string;
  readonly fragment: string;
  readonly key: VerificationKey;
  /** Milliseconds since the epoch after which the key must not be used; Infinity when it does not expire. */
  readonly validUntilMs: number;
  readonly tier: Tier;
  readonly methodClass: MethodClass;
  /** The purge counter when this was known to be current: what `admit` compares. */
  readonly epoch: number;
  /** Milliseconds since the epoch until which the cache may answer with it. */
  readonly freshUntilMs: number;
  /** The only key of its document, so that a bare DID means it. */
  readonly sole: boolean;
  /** Of the DID, for the frequency sketch; reckoned once. */
  readonly hash: number;
}

/** How a key stands in memory: its epoch moves on with each hit, since being here proves that it was not purged. */
type HeldKey = { -readonly [K in keyof ResolvedKey]: ResolvedKey[K] };

export interface KeyMemory {
  /** The key, if held; leaves no trace, because nothing has been proven yet. */
  find(did: string, fragment: string | null, epoch: number): ResolvedKey | undefined;
  /** After a signature verified with it: counts it, and keeps it if it is more frequent than what it would push out. */
  admit(resolved: ResolvedKey, epoch: number): void;
  /** Whether a key is held that a fresh document of its DID does not name any more. */
  holdsOther(did: string, isStillNamed: (key: ResolvedKey) => boolean): boolean;
  /** Puts in place of each key of the DID what a fresh document makes of it. */
  renew(did: string, renewed: (key: ResolvedKey) => ResolvedKey): void;
  /** How often a DID with this hash has proven itself lately. */
  frequency(hash: number): number;
  /** DIDs held that proved themselves at least `countMin` times lately, the most frequent first. */
  mostFrequent(max: number, countMin: number): readonly string[];
  delete(did: string): void;
  clear(): void;
  /** DIDs held. */
  readonly size: number;
}

/**
 * One partition of memory, for `capacity` DIDs. Recency and frequency move on `admit` alone: requests that never
 * verify (under attack, nine in ten) change nothing here.
 */
export function createKeyMemory(capacity: number): KeyMemory {
  const byDid = new LRUCache<string, HeldKey[]>({ max: capacity });
  const frequency = createFrequencySketch(capacity);

  function worthMoreThanTheOldest(hash: number): boolean {
    for (const oldest of byDid.rvalues()) {
      const held = oldest?.[0];
      return held === undefined || frequency.estimate(hash) > frequency.estimate(held.hash);
    }
    return true;
  }

  return {
    find(did, fragment, epoch) {
      const keys = byDid.peek(did);
      if (keys === undefined) return undefined;
      for (const key of keys) {
        if (fragment === null ? key.sole : key.fragment === fragment) {
          key.epoch = epoch;
          return key;
        }
      }
      return undefined;
    },
    admit(resolved, epoch) {
      frequency.record(resolved.hash);
      const keys = byDid.get(resolved.did);
      if (keys === undefined) {
        if (byDid.size >= capacity && !worthMoreThanTheOldest(resolved.hash)) return;
        byDid.set(resolved.did, [held(resolved, epoch)]);
        return;
      }
      const at = keys.findIndex((key) => key.fragment === resolved.fragment);
      if (at >= 0) {
        // The later reading wins: a slow request must not put back what a newer one replaced.
        const other = keys[at];
        if (other !== undefined && other !== resolved && other.freshUntilMs < resolved.freshUntilMs) {
          keys[at] = held(resolved, epoch);
        }
        return;
      }
      if (keys.length >= KEYS_PER_DID_MAX) keys.shift();
      keys.push(held(resolved, epoch));
    },
    holdsOther(did, isStillNamed) {
      return byDid.peek(did)?.every(isStillNamed) === false;
    },
    renew(did, renewed) {
      const keys = byDid.peek(did);
      if (keys === undefined) return;
      // New ones, so that what a request has in hand stays as it was found.
      for (const [at, key] of keys.entries()) keys[at] = { ...renewed(key) };
    },
    frequency: (hash) => frequency.estimate(hash),
    mostFrequent(max, countMin) {
      const counted = Array.from(byDid, ([did, keys]) => ({
        did,
        count: frequency.estimate(keys[0]?.hash ?? 0),
      })).filter(({ count }) => count >= countMin);
      counted.sort((a, b) => b.count - a.count);
      return counted.slice(0, max).map(({ did }) => did);
    },
    delete(did) {
      byDid.delete(did);
    },
    clear() {
      byDid.clear();
    },
    get size() {
      return byDid.size;
    },
  };
}

function held(resolved: ResolvedKey, epoch: number): HeldKey {
  return { ...resolved, tier: 'memory', epoch };
}
