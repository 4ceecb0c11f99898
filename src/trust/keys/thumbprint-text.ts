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

/** Keys whose private halves are printed where developers copy from: anybody can sign with them. */
const PUBLISHED: ReadonlySet<string> = new Set([
  'poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U', // test-key-ed25519
  'ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI', // test-key-ecc-p256
  'oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA', // test-key-rsa-pss
  'BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo', // test-key-rsa
  'CB3RFzX-1pAtHPl7fOKnQgQV1gnrFFXGXoObwmcm4rY', // test-shared-secret
  // RFC 8032, section 7.1, the first of which RFC 8037 and SAGE's vectors print too.
  'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  'FtIu-VbGrfe_KB6CH7GNwODB72MNxj_ml11dEvO-7kk',
  'FVV5umTuau890q59V-4Ga_R6qWb7ON_ivJc4EjvCwTM',
  'lZI1vM7tnlYapaF5-cy86ptx0tT_8Av721hhiNB5ti4',
  'iiDHHfFVNG6ICMUTsicgrWf1igtFYZEK73xlobt1ah4',
  'oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U', // RFC 7515, appendix A.3
]);

export function isPublishedTestKey(keyThumbprint: string): boolean {
  return PUBLISHED.has(keyThumbprint);
}
