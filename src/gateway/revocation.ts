import type { StillValid } from '../trust/did/revocations.ts';
import type { Caller } from './identity/caller.ts';
import type { OpenExchanges } from './proxy/open-exchanges.ts';

const CHAIN_METHOD = 'did:sage:';

/**
 * Closes what callers hold open with a key that no longer stands. Each key is asked about once, however many streams
 * were opened with it.
 * @param did whose keys changed; null when any chain key may be meant
 * @returns how many exchanges were closed
 */
export async function closeRevoked(
  exchanges: OpenExchanges,
  did: string | null,
  stillValid: StillValid,
): Promise<number> {
  const keys = new Map<string, Caller>();
  for (const caller of exchanges.callers()) {
    if (did === null ? caller.did.startsWith(CHAIN_METHOD) : caller.did === did) {
      keys.set(`${caller.keyId} ${caller.keyThumbprint}`, caller);
    }
  }
  let closed = 0;
  await Promise.all(
    Array.from(keys.values(), async (key) => {
      if (await stillValid(key.keyId, key.keyThumbprint)) return;
      closed += exchanges.closeByDid(
        key.did,
        (caller) => caller.keyId === key.keyId && caller.keyThumbprint === key.keyThumbprint,
      );
    }),
  );
  return closed;
}
