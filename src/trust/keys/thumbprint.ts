/** JWK thumbprints (RFC 7638): one name for a key, whatever form it came in. */
import { hash } from 'node:crypto';
import { thumbprintText } from './thumbprint-text.ts';

/** SHA-256, base64url. @throws {KeyError} key_type_unsupported, key_malformed */
export function thumbprint(jwk: Readonly<Record<string, unknown>>): string {
  return hash('sha256', thumbprintText(jwk), 'base64url');
}
