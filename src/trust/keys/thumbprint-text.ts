/** What a thumbprint (RFC 7638) is the hash of, and the thumbprints that everybody's keys have; on any platform. */
import { KeyError } from './errors.ts';

/** The required members of each key type, in lexicographic order (section 3.2; RFC 8037 for OKP). */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
  oct: ['k', 'kty'],
};

/** To be hashed with SHA-256. @throws {KeyError} key_type_unsupported, key_malformed */
export function thumbprintText(jwk: Readonly<Record<string, unknown>>): string {
  const members =
    typeof jwk.kty === 'string' && Object.hasOwn(MEMBERS, jwk.kty) ? MEMBERS[jwk.kty] : undefined;
  if (members === undefined) throw new KeyError('key_type_unsupported');
  const required: Record<string, string> = {};
  for (const name of members) {
    const value = jwk[name];
    if (typeof value !== 'string') throw new KeyError('key_malformed');
    required[name] = value;
  }
  return JSON.stringify(required);
}

/** The keys of RFC 9421, appendix B.1, and of RFC 8032, section 7.1: anybody can sign with them. */
const PUBLISHED: ReadonlySet<string> = new Set([
  'poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U', // test-key-ed25519
  'ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI', // test-key-ecc-p256
  'oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA', // test-key-rsa-pss
  'BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo', // test-key-rsa
  'CB3RFzX-1pAtHPl7fOKnQgQV1gnrFFXGXoObwmcm4rY', // test-shared-secret
]);

export function isPublishedTestKey(keyThumbprint: string): boolean {
  return PUBLISHED.has(keyThumbprint);
}
