/**
 * DIDs and keys that an operator denies, whatever their documents say: the only way to shut out a did:key, whose
 * document is its name, and the quickest for any other. Asked for every signed request, so it is two maps in memory;
 * where the rows are kept, and how every node hears of them, is told in `stored-denials.ts`.
 */
import { DidError } from './errors.ts';

/** One row, as this room needs it. */
export interface Denial {
  readonly did: string;
  /** The absolute DID URL of one key, or null: all keys of the DID. */
  readonly keyId: string | null;
  /** Milliseconds since the epoch from which it no longer counts; null: until it is lifted. */
  readonly expiresAtMs: number | null;
}

export interface DenyList {
  /** Whether every key of `did` is denied now. */
  did(did: string): boolean;
  /** Whether this one key is denied now; says nothing of its DID. */
  key(keyId: string): boolean;
  /**
   * Puts a whole new list in place at once.
   * @returns the DIDs of which something is denied now that was not before, each once: theirs to purge
   */
  replace(denials: readonly Denial[]): readonly string[];
  /** Denials held, those that have run out included. */
  readonly size: number;
}

/** @param now milliseconds since the epoch; asked only about what is on the list */
export function createDenyList(now: () => number): DenyList {
  let dids: ReadonlyMap<string, number> = new Map();
  let keys: ReadonlyMap<string, number> = new Map();

  const holds = (untilMs: number | undefined): boolean => untilMs !== undefined && now() < untilMs;
  return {
    did: (did) => dids.size > 0 && holds(dids.get(did)),
    key: (keyId) => keys.size > 0 && holds(keys.get(keyId)),
    replace(denials) {
      const nextDids = new Map<string, number>();
      const nextKeys = new Map<string, number>();
      const changed = new Set<string>();
      const nowMs = now();
      for (const { did, keyId, expiresAtMs } of denials) {
        const untilMs = expiresAtMs ?? Number.POSITIVE_INFINITY;
        const [next, before, name] = keyId === null ? [nextDids, dids, did] : [nextKeys, keys, keyId];
        next.set(name, Math.max(untilMs, next.get(name) ?? 0));
        const heldUntilMs = before.get(name) ?? 0;
        if (nowMs < untilMs && nowMs >= heldUntilMs) changed.add(did);
      }
      dids = nextDids;
      keys = nextKeys;
      return [...changed];
    },
    get size() {
      return dids.size + keys.size;
    },
  };
}

/**
 * Before a key is looked up, so that a denied caller costs no read of a chain.
 * @param keyId the key as it was named; null when a bare DID leaves that to its document
 * @throws DidError did_denied, key_denied
 */
export function refuseDenied(denied: DenyList, did: string, keyId: string | null): void {
  if (denied.did(did)) throw new DidError('did_denied', `${did} was revoked by an operator of this gateway`);
  if (keyId !== null && denied.key(keyId))
    throw new DidError('key_denied', `${keyId} was revoked by an operator of this gateway`);
}
