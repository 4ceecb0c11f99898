/** RFC 9421 as it stands, for keys in DID documents: untagged, covering what its section 7.2.1 asks for. */
import { parseKeyId } from '../did/did-url.ts';
import type { SignatureAlgorithm } from '../keys/key.ts';
import { checkCoverage } from '../wire/verify.ts';
import type { Profile } from './profile.ts';

/** rsa-v1_5-sha256 is not among them: PKCS #1 v1.5 has a history of forgeries. */
const STANDARD: readonly SignatureAlgorithm[] = [
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'hmac-sha256',
  'ecdsa-secp256k1-sha256',
];

const STANDARD_ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  STANDARD.map((name) => [name, name]),
);

export const rfc9421: Profile = {
  name: 'rfc9421',
  wants: (_label, params) => params.tag === undefined,
  time: (operator) => operator,
  check(signature, view, { hasBody }) {
    checkCoverage(signature, view, { hasBody });
  },
  algorithms: STANDARD_ALGORITHMS,
  keyId: ({ params }) => parseKeyId(params.keyid ?? ''),
  keyOf: (key) => key,
  signed: (base) => base,
  signature: (bytes) => bytes,
};
