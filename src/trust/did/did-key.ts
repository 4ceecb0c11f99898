import type { KeyObject } from 'node:crypto';
import { varint } from 'multiformats';
import { base58btc } from 'multiformats/bases/base58';

/** multicodec table. */
const CODECS = { Ed25519: 0xed, secp256k1: 0xe7, 'P-256': 0x1200, 'P-384': 0x1201 } as const;

/**
 * The did:key of a public key; its key id is the DID, `#`, and the DID's last part.
 * @throws TypeError for any kind but Ed25519, secp256k1, P-256 and P-384
 */
export function encodeDidKey(publicKey: KeyObject): string {
  return `did:key:${base58btc.encode(encodeMultikey(publicKey))}`;
}

/** Multicodec prefix and public key, points compressed (SEC 1, section 2.3.3): the bytes of a Multikey or a key slot. */
function encodeMultikey(publicKey: KeyObject): Uint8Array {
  const { crv, x, y } = publicKey.export({ format: 'jwk' });
  if (typeof crv !== 'string' || typeof x !== 'string' || !(crv in CODECS)) {
    throw new TypeError('a did:key is made from an Ed25519, secp256k1, P-256 or P-384 key');
  }
  const codec = CODECS[crv as keyof typeof CODECS];
  const prefix = varint.encodeTo(codec, new Uint8Array(varint.encodingLength(codec)));
  const parts = [prefix];
  if (typeof y === 'string') parts.push(Uint8Array.of(((Buffer.from(y, 'base64url').at(-1) ?? 0) & 1) | 2));
  return Buffer.concat([...parts, Buffer.from(x, 'base64url')]);
}
