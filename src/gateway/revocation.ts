import { isOnChain } from '../trust/did/did-url.ts';
import type { Resolver } from '../trust/did/resolver.ts';
import type { StillValid } from '../trust/did/revocations.ts';
import type { Caller } from './identity/caller.ts';
import type { OpenExchanges } from './proxy/open-exchanges.ts';

/**
 * How often the documents behind what is open are looked after. Nobody tells when the document of a did:web changes, and
 * who only listens sends no request that would ask; the resolver asks a host no more often than a key may be used.
 */
const RECHECK_MS = 10_000;
/** Documents looked after at once, so that new callers find the fetcher free. */
const RECHECKS_AT_ONCE = 8;

export interface RevocationLog {
  error(fields: object, message: string): void;
}

export interface Revoking {
  /** How many exchanges the last revocation closed, once it has. */
  closed(): Promise<number>;
  stop(): void;
}

/** Closes what is open as soon as the keys it was opened with no longer stand. */
export function closeWhenRevoked(exchanges: OpenExchanges, resolver: Resolver, log: RevocationLog): Revoking {
  let closing: Promise<number> = Promise.resolve(0);
  resolver.onRevoked((did, stillValid) => {
    closing = closeRevoked(exchanges, did, stillValid);
    closing.catch((error: unknown) => log.error({ err: error, did }, 'what is open could not be closed'));
  });
  let checking = false;
  const timer = setInterval(() => {
    if (checking) return;
    checking = true;
    recheck(exchanges, resolver)
      .catch((error: unknown) => log.error({ err: error }, 'what is open could not be looked after'))
      .finally(() => {
        checking = false;
      });
  }, RECHECK_MS);
  return { closed: () => closing, stop: () => clearInterval(timer) };
}

async function recheck(exchanges: OpenExchanges, resolver: Resolver): Promise<void> {
  const dids = new Set(Array.from(exchanges.callers(), ({ did }) => did)).values();
  const work = async (): Promise<void> => {
    for (const did of dids) await resolver.recheck(did);
  };
  await Promise.all(Array.from({ length: RECHECKS_AT_ONCE }, work));
}

/**
 * Closes what callers hold open with a key that no longer stands. Each key is asked about once, however many streams
 * were opened with it.
 * @param did whose keys changed; null when any chain key may be meant
 * @returns how many exchanges were closed
 */
async function closeRevoked(
  exchanges: OpenExchanges,
  did: string | null,
  stillValid: StillValid,
): Promise<number> {
  const keys = new Map<string, Caller>();
  for (const caller of exchanges.callers()) {
    if (did === null ? isOnChain(caller.did) : caller.did === did) {
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
