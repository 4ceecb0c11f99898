import type { Store } from '../../store/open-store.ts';
import type { KeySource } from '../../trust/key-source.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import type { IdentityPorts, IdentitySettings } from './identify.ts';

/** RSA-v1_5 is off: PKCS #1 v1.5 has a history of forgeries. HMAC has no place where keys are public. */
const ALGORITHMS: ReadonlySet<SignatureAlgorithm> = new Set([
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
]);
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
    algorithms: ALGORITHMS,
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

/** Identity's view of the other rooms. @param clockSkewSeconds as in the settings @param now milliseconds since the epoch */
export function identityPorts(
  { nonces, futureMark }: Store,
  keys: KeySource,
  clockSkewSeconds: number,
  now: () => number,
  log: Log,
): IdentityPorts {
  let unwritable = false;
  return {
    now,
    keys: keys.resolver,
    nonces: {
      reserve: (did, keyId, nonce, expiresAtMs, nowMs) =>
        nonces.reserve(did, keyId, nonce, expiresAtMs, nowMs),
      mayPredateMemory(createdSeconds) {
        const since = nonces.remembersSinceMs;
        if (createdSeconds * 1_000 < since) return true;
        // A caller's clock may run ahead, so what an earlier process accepted may be dated after the start of this one.
        // It was accepted at most the skew before its date: a memory that goes back that far knows it.
        return (
          createdSeconds <= futureMark.inheritedSeconds && since > (createdSeconds - clockSkewSeconds) * 1_000
        );
      },
      noteFutureCreated(createdSeconds) {
        try {
          futureMark.note(createdSeconds);
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
