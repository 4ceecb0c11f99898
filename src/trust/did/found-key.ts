import type { MethodClass, ParsedKeyId } from './did-url.ts';
import { chooseKey, type DidDocument, isSoleKey } from './document.ts';
import { type Tier, tellMiss, tellResolution } from './events.ts';
import { frequencyHash } from './frequency.ts';
import { importOnce, isStillNamed } from './key-import.ts';
import type { ResolvedKey } from './key-memory.ts';

/** How a document came to answer a keyid. */
export interface Finding {
  readonly document: DidDocument;
  /** Milliseconds since the epoch until which it may answer. */
  readonly freshUntilMs: number;
  readonly tier: Tier;
  readonly methodClass: MethodClass;
  /** The purge counter when it was known to be current. */
  readonly epoch: number;
  readonly nowMs: number;
  /** How long it took, for the event. */
  readonly ms: number;
}

/**
 * The key that `keyId` names in a document; told of either way.
 * @throws DidError did_unknown, key_unknown, key_expired, key_ambiguous, key_unsupported
 */
export function foundKey(keyId: ParsedKeyId, finding: Finding): ResolvedKey {
  const { document, freshUntilMs, tier, methodClass, epoch, nowMs, ms } = finding;
  try {
    const chosen = chooseKey(document, keyId.fragment, nowMs);
    const key = importOnce(chosen);
    tellResolution(tier, ms, 'found');
    return {
      did: keyId.did,
      keyId: `${keyId.did}#${chosen.fragment}`,
      fragment: chosen.fragment,
      key,
      validUntilMs: chosen.validUntilMs,
      tier,
      methodClass,
      epoch,
      freshUntilMs: Math.min(freshUntilMs, chosen.validUntilMs),
      sole: isSoleKey(document, chosen),
      hash: frequencyHash(keyId.did),
    };
  } catch (error) {
    throw tellMiss(tier, ms, error);
  }
}

/** A key that verified before, as a fresh document that still names it has it. */
export function renewedKey(
  key: ResolvedKey,
  { document, freshUntilMs }: Pick<Finding, 'document' | 'freshUntilMs'>,
  nowMs: number,
): ResolvedKey {
  // What a slow request admitted after the document was read may not be in it: it ends at its own time.
  if (freshUntilMs <= key.freshUntilMs || !isStillNamed(document, key, nowMs)) return key;
  const chosen = chooseKey(document, key.fragment, nowMs);
  const { validUntilMs } = chosen;
  const sole = isSoleKey(document, chosen);
  return { ...key, validUntilMs, sole, freshUntilMs: Math.min(freshUntilMs, validUntilMs) };
}
