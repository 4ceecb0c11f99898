/**
 * What was let in stays open for long: streams, WebSockets, uploads. When the keys of a DID change, whoever holds
 * such a thing open is told, and asks again whether the key it was opened with still stands.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { DidError } from './errors.ts';
import type { ResolverLog } from './ports.ts';

/** Questions answered at once: a flush may concern every open stream, and the chain's reads serve new callers too. */
const CHECKS_AT_ONCE_MAX = 16;
/** Waits between tries while the chain cannot be asked; then the stream is closed, since nobody can vouch for it. */
const RETRY_DELAYS_MS = [50, 150, 400, 1_000] as const;

/**
 * Whether the key named `keyId` with this thumbprint (of `VerificationKey`) may still sign. Never throws: what
 * cannot be told within about two seconds is answered with false.
 */
export type StillValid = (keyId: string, thumbprint: string) => Promise<boolean>;

/** `did` is null when any chain key may be meant: ask for every open stream of a caller for whom `isOnChain`. */
export type RevokedListener = (did: string | null, stillValid: StillValid) => void;

export interface Revocations {
  onRevoked(listener: RevokedListener): void;
  announce(did: string | null): void;
  readonly stillValid: StillValid;
  close(): void;
}

/** `thumbprintOf` resolves a keyid afresh; it throws a `DidError` when it cannot. */
export function createRevocations(
  thumbprintOf: (keyId: string) => Promise<string>,
  log: ResolverLog,
): Revocations {
  const listeners: RevokedListener[] = [];
  const closing = new AbortController();
  // Bounded by the streams that are open: each asks once for itself.
  const waiting: (() => void)[] = [];
  let checks = 0;

  async function check(keyId: string, thumbprint: string): Promise<boolean> {
    for (let tries = 0; ; tries += 1) {
      try {
        return (await thumbprintOf(keyId)) === thumbprint;
      } catch (error) {
        const waitMs = RETRY_DELAYS_MS[tries];
        if (!(error instanceof DidError && error.retryable) || waitMs === undefined) return false;
        try {
          await delay(waitMs, undefined, { signal: closing.signal });
        } catch {
          return false;
        }
      }
    }
  }

  async function stillValid(keyId: string, thumbprint: string): Promise<boolean> {
    if (checks >= CHECKS_AT_ONCE_MAX) await new Promise<void>((resume) => waiting.push(resume));
    else checks += 1;
    try {
      return await check(keyId, thumbprint);
    } finally {
      // The place is handed on, not given up and taken again, so that nobody slips in between.
      const next = waiting.shift();
      if (next === undefined) checks -= 1;
      else next();
    }
  }

  return {
    stillValid,
    onRevoked(listener) {
      listeners.push(listener);
    },
    announce(did) {
      for (const listener of listeners) {
        try {
          listener(did, stillValid);
        } catch (error) {
          // One that fails must not keep the others from hearing of a revocation.
          log.warn({ err: error, did }, 'a listener for revoked keys failed');
        }
      }
    },
    close() {
      closing.abort();
      listeners.length = 0;
    },
  };
}
