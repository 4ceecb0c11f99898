import type { Store } from '../../store/open-store.ts';
import type { KeySource } from '../../trust/key-source.ts';
import type { IdentityPorts, IdentitySettings } from './identify.ts';

/** A whole body may take this many times its longest silence. */
const BODY_TOTAL_IDLES = 8;

export interface IdentityBounds {
  readonly signatureMaxAgeSeconds: number;
  readonly clockSkewSeconds: number;
  readonly bodyBufferBytes: number;
  readonly bodyBufferTotalBytes: number;
  readonly bodyIdleTimeoutMs: number;
}

export function identitySettings(bounds: IdentityBounds): IdentitySettings {
  return {
    maxAgeSeconds: bounds.signatureMaxAgeSeconds,
    skewSeconds: bounds.clockSkewSeconds,
    body: {
      limitBytes: bounds.bodyBufferBytes,
      idleTimeoutMs: bounds.bodyIdleTimeoutMs,
      totalTimeoutMs: BODY_TOTAL_IDLES * bounds.bodyIdleTimeoutMs,
    },
    budget: { totalBytes: bounds.bodyBufferTotalBytes, heldBytes: 0 },
  };
}

interface Log {
  error(fields: object, message: string): void;
}

/** Identity's view of the other rooms. @param now milliseconds since the epoch */
export function identityPorts(
  { nonces, acceptedMark }: Store,
  keys: KeySource,
  now: () => number,
  log: Log,
): IdentityPorts {
  let unwritable = false;
  return {
    now,
    keys: keys.resolver,
    nonces: {
      reserve: (use, nowMs) => nonces.reserve(use, nowMs),
      mayPredateMemory(createdSeconds, skewSeconds) {
        const since = nonces.remembersSince(skewSeconds * 1_000);
        if (createdSeconds * 1_000 < since) return true;
        // A caller's clock may run ahead, and the clock of this machine have been set back, so what an earlier process
        // accepted may be dated after the start of this one. It was accepted at most the skew before its date: a memory that goes back that far knows it.
        return (
          createdSeconds <= acceptedMark.inheritedSeconds && since > (createdSeconds - skewSeconds) * 1_000
        );
      },
      noteCreated(createdSeconds) {
        // Redis keeps the nonce, and asks for clocks that agree with its own.
        if (nonces.shared && createdSeconds * 1_000 <= now()) return true;
        try {
          acceptedMark.note(createdSeconds);
          unwritable = false;
          return true;
        } catch (error) {
          // Once, not for each of the requests that are refused for it.
          if (!unwritable)
            log.error(
              { err: error },
              'DATA_DIR cannot be written: signatures dated ahead of this clock are refused',
            );
          unwritable = true;
          return false;
        }
      },
    },
  };
}
