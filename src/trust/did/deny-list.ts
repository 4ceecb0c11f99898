/**
 * DIDs and keys that an operator denies, whatever their documents say: the only way to shut out a did:key, whose
 * document is its name, and the quickest for any other. Asked for every signed request, so it is a map in memory;
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

/** What is denied of one DID. */
interface Denied {
  /** Milliseconds since the epoch until which all its keys are; 0 when they are not. */
  untilMs: number;
  /** The same for single keys; null when there are none. */
  keys: Map<string, number> | null;
}

export interface DenyList {
  /**
   * Why a caller is denied now, or null. One look-up by the DID, which the memory of keys makes too; the key's name is
   * looked at only when some key of that DID is denied.
   * @param keyId the absolute DID URL of the key; null when it is not known yet, and then only the DID is judged
   */
  why(did: string, keyId: string | null): 'did_denied' | 'key_denied' | null;
  /**
   * Puts a whole new list in place at once.
   * @returns the DIDs of which something is denied now that was not before, each once: theirs to purge
   */
  replace(denials: readonly Denial[]): readonly string[];
  /** DIDs on the list, those whose denials have run out included. */
  readonly size: number;
}

/** @param now milliseconds since the epoch; asked only about what is on the list */
export function createDenyList(now: () => number): DenyList {
  let dids: ReadonlyMap<string, Denied> = new Map();
  return {
    why(did, keyId) {
      if (dids.size === 0) return null;
      const denied = dids.get(did);
      if (denied === undefined) return null;
      const nowMs = now();
      if (nowMs < denied.untilMs) return 'did_denied';
      if (denied.keys === null || keyId === null) return null;
      return nowMs < (denied.keys.get(keyId) ?? 0) ? 'key_denied' : null;
    },
    replace(denials) {
      const next = new Map<string, Denied>();
      const changed = new Set<string>();
      const nowMs = now();
      for (const { did, keyId, expiresAtMs } of denials) {
        const untilMs = expiresAtMs ?? Number.POSITIVE_INFINITY;
        const before = dids.get(did);
        const heldUntilMs = (keyId === null ? before?.untilMs : before?.keys?.get(keyId)) ?? 0;
        if (nowMs < untilMs && nowMs >= heldUntilMs) changed.add(did);
        const denied = next.get(did) ?? { untilMs: 0, keys: null };
        next.set(did, denied);
        if (keyId === null) denied.untilMs = Math.max(denied.untilMs, untilMs);
        else {
          denied.keys ??= new Map();
          denied.keys.set(keyId, Math.max(untilMs, denied.keys.get(keyId) ?? 0));
        }
      }
      dids = next;
      return [...changed];
    },
    get size() {
      return dids.size;
    },
  };
}

/**
 * Before a key is looked up, so that a denied caller costs no read of a chain.
 * @param keyId the key as it was named; null when a bare DID leaves that to its document
 * @throws DidError did_denied, key_denied
 */
export function refuseDenied(denied: DenyList, did: string, keyId: string | null): void {
  const code = denied.why(did, keyId);
  if (code === null) return;
  const subject = code === 'did_denied' ? did : (keyId ?? did);
  throw new DidError(code, `${subject} was revoked by an operator of this gateway`);
}
