/**
 * The three generations of SAGE, which do not understand each other. All of them cover method, target and digest and
 * are made by a DID that `X-SAGE-DID`, where there is one, must repeat; Content-Digest is sha-256 alone.
 */
import { type ParsedKeyId, parseKeyId } from '../did/did-url.ts';
import { DidError } from '../did/errors.ts';
import type { SignatureAlgorithm, VerificationKey } from '../keys/key.ts';
import { digestEntries } from '../wire/digest-field.ts';
import { WireError } from '../wire/errors.ts';
import type { RequestView } from '../wire/message.ts';
import type { Signature, SignatureParams } from '../wire/signature-input.ts';
import { mustCover } from '../wire/verify.ts';
import { ethereumSignature } from './ethereum-signature.ts';
import type { Profile, RequestFacts } from './profile.ts';

const TAG_0_10 = 'sage-0.10.0';
const VERSION_0_10 = '0.10.0';
const FIVE_MINUTES = 300;
/** 0.10: of the clock, and after `expires`; the latter excludes its end. */
const SKEW_0_10 = 30;
/** 16 bytes in base64url, without padding; the last character holds four of its six bits. */
const NONCE_0_10 = /^[A-Za-z0-9_-]{21}[AQgw]$/;

function mustHave(params: Readonly<SignatureParams>, names: readonly (keyof SignatureParams)[]): void {
  for (const name of names) if (params[name] === undefined) throw new WireError('parameter_missing', name);
}

function checkDigests(view: RequestView): void {
  const value = view.fields.value('content-digest');
  if (value === undefined) return;
  for (const { algorithm } of digestEntries(value))
    if (algorithm !== 'sha-256') throw new WireError('digest_unsupported', algorithm);
}

/** What changes the meaning of a request beside what the text lists. */
function mustCoverWhatIsSent({ covered }: Signature, view: RequestView, { hasBody }: RequestFacts): void {
  if (hasBody) mustCover(covered, '"content-digest"');
  if (view.fields.has('authorization')) mustCover(covered, '"authorization"');
  checkDigests(view);
}

/** A DID in a field of its own, which intermediaries read, must be that of the key. */
function checkSageDid(view: RequestView, did: string): void {
  const lines = view.fields.lines('x-sage-did');
  if (lines.length === 0) return;
  let claimed: string | null = null;
  try {
    claimed = lines.length === 1 ? parseKeyId(lines[0] as string).did : null;
  } catch (error) {
    if (!(error instanceof DidError)) throw error;
  }
  if (claimed !== did) throw new WireError('field_disagrees', 'x-sage-did');
}

function keyIdOf({ params }: Signature, view: RequestView): ParsedKeyId {
  const keyId = parseKeyId(params.keyid ?? '');
  if (keyId.method !== 'sage') throw new DidError('did_method_unsupported', 'this profile is for did:sage');
  checkSageDid(view, keyId.did);
  return keyId;
}

const isSecp256k1 = ({ algorithm }: VerificationKey): boolean => algorithm === 'ecdsa-secp256k1-sha256';

const G1_ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['ed25519', 'ed25519'],
  ['ecdsa-p256-sha256', 'ecdsa-p256-sha256'],
  ['es256k', 'ecdsa-secp256k1-sha256'],
]);

/**
 * Core 1.5. It does not cover the authority: what is signed for one server can be sent to another, which is why a
 * route must name it and the log warns of it.
 */
export const sageG1: Profile = {
  name: 'sage-g1',
  wants: (_label, { tag }) => tag === undefined,
  time: ({ skewSeconds }) => ({ maxAgeSeconds: FIVE_MINUTES, skewSeconds }),
  check(signature, view, facts) {
    const { covered, params } = signature;
    mustHave(params, ['created', 'keyid', 'nonce']);
    mustCover(covered, '"@method"');
    mustCover(covered, '"@path"');
    if (view.queryAt >= 0) mustCover(covered, '"@query"');
    mustCoverWhatIsSent(signature, view, facts);
  },
  algorithms: G1_ALGORITHMS,
  keyId(signature, view) {
    const keyId = keyIdOf(signature, view);
    if (keyId.fragment !== null) throw new DidError('did_malformed', 'keyid is a bare DID in this profile');
    return keyId;
  },
  keyOf: (key) => key,
  signed: (base) => base,
  signature: (bytes) => bytes,
};

const G2_COVERED = ['"@method"', '"@target-uri"', '"@authority"', '"x-sage-did"', '"date"'] as const;

const G2_ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['ed25519', 'ed25519'],
  ['ecdsa-p256-sha256', 'ecdsa-p256-sha256'],
  ['es256k', 'ecdsa-secp256k1-keccak256'],
]);

/** Specification 1.0.0-draft.1, in its strict mode: with a nonce. Over secp256k1 it hashes with Keccak-256. */
export const sageG2: Profile = {
  name: 'sage-g2',
  wants: (_label, { tag }) => tag === undefined || (tag.startsWith('sage') && tag !== TAG_0_10),
  time: () => ({ maxAgeSeconds: 0, skewSeconds: FIVE_MINUTES }),
  check(signature, view, facts) {
    mustHave(signature.params, ['created', 'keyid', 'nonce']);
    for (const identifier of G2_COVERED) mustCover(signature.covered, identifier);
    if (facts.hasBody) mustCover(signature.covered, '"content-type"');
    mustCoverWhatIsSent(signature, view, facts);
  },
  algorithms: G2_ALGORITHMS,
  keyId: keyIdOf,
  keyOf: (key) => (isSecp256k1(key) ? (key.keccak ?? null) : key),
  signed: (base) => base,
  signature: ethereumSignature,
};

const COVERED_0_10 = [
  '"@method"',
  '"@target-uri"',
  '"@authority"',
  '"content-type"',
  '"content-digest"',
  '"x-sage-did"',
  '"x-sage-version"',
].join(' ');

const ALGORITHMS_0_10: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['ed25519', 'ed25519'],
  ['ecdsa-p256-sha256', 'ecdsa-p256-sha256'],
]);

/** Specification 0.10.0: one way to sign, to the letter. Its label is `sig1`; signatures of other labels are foreign. */
export const sage010: Profile = {
  name: 'sage-0.10',
  wants: (label, { tag }) => label === 'sig1' && tag === TAG_0_10,
  time: () => ({
    maxAgeSeconds: FIVE_MINUTES,
    skewSeconds: SKEW_0_10,
    expiresGraceSeconds: SKEW_0_10 - 1,
    lifetimeMaxSeconds: FIVE_MINUTES,
  }),
  check(signature, view, facts) {
    const { params, components } = signature;
    mustHave(params, ['keyid', 'alg', 'created', 'expires', 'nonce']);
    if (!NONCE_0_10.test(params.nonce ?? '')) throw new WireError('parameter_invalid', 'nonce');
    const covered = components.map(({ identifier }) => identifier).join(' ');
    if (covered !== COVERED_0_10) throw new WireError('coverage_insufficient', COVERED_0_10);
    if (view.fields.value('x-sage-version') !== VERSION_0_10)
      throw new WireError('field_disagrees', 'x-sage-version');
    mustCoverWhatIsSent(signature, view, facts);
  },
  algorithms: ALGORITHMS_0_10,
  keyId(signature, view) {
    const keyId = keyIdOf(signature, view);
    if (keyId.fragment === null) throw new DidError('did_malformed', 'keyid names a key in this profile');
    return keyId;
  },
  keyOf: (key) => (ALGORITHMS_0_10.has(key.algorithm) ? key : null),
  signed: (base) => base,
  signature: (bytes) => bytes,
};
