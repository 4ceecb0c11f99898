/**
 * The key slot of did:sage over ERC-8004. The standard has no place for signing keys; ours is the metadata
 * `did/vm/<fragment>`, whose value is flags (1 byte) || notAfter (8 bytes, big-endian) || multicodec public key.
 */
const KEY_SLOT_PREFIX = 'did/vm/';

/** A fragment is part of a DID URL that people type and logs repeat. */
const FRAGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const HEADER_BYTES = 9;

/** An RSA-4096 multikey is about 540 bytes; the shortest key that exists is 32 after two bytes of codec. */
const MULTIKEY_BYTES_MAX = 1015;
const MULTIKEY_BYTES_MIN = 3;

/** Bits of a slot's first byte: the verification relationships of DID Core, section 5.3, the key stands in. */
export const KEY_FLAGS = { authentication: 0x01, assertionMethod: 0x02, keyAgreement: 0x04 } as const;

export interface KeySlot {
  /** Any of `KEY_FLAGS`; bits unknown to this version are kept, and mean nothing. */
  readonly flags: number;
  /** Unix seconds after which the key is not valid; 0 is never. */
  readonly notAfter: number;
  /** Multicodec prefix and public key, as in a Multikey before its base58. */
  readonly multikey: Uint8Array;
}

/** @returns undefined for metadata that is not a key slot; an empty string when the slot's name is malformed. */
export function fragmentOf(metadataKey: string): string | undefined {
  if (!metadataKey.startsWith(KEY_SLOT_PREFIX)) return undefined;
  const fragment = metadataKey.slice(KEY_SLOT_PREFIX.length);
  return FRAGMENT.test(fragment) ? fragment : '';
}

/** @throws RangeError for a fragment that no reader would accept. */
export function metadataKeyOf(fragment: string): string {
  if (!FRAGMENT.test(fragment)) throw new RangeError(`not a key fragment: ${JSON.stringify(fragment)}`);
  return KEY_SLOT_PREFIX + fragment;
}

/** @returns undefined when the value is no key slot. An empty value is a revocation and is not asked here. */
export function decodeKeySlot(value: Uint8Array): KeySlot | undefined {
  const length = value.length - HEADER_BYTES;
  if (length < MULTIKEY_BYTES_MIN || length > MULTIKEY_BYTES_MAX) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const notAfter = Number(view.getBigUint64(1));
  if (!Number.isSafeInteger(notAfter)) return undefined;
  return { flags: view.getUint8(0), notAfter, multikey: new Uint8Array(value.subarray(HEADER_BYTES)) };
}

/** @throws RangeError when the slot could not be read back. */
export function encodeKeySlot(slot: KeySlot): Uint8Array {
  const value = new Uint8Array(HEADER_BYTES + slot.multikey.length);
  const view = new DataView(value.buffer);
  view.setUint8(0, slot.flags);
  view.setBigUint64(1, BigInt(slot.notAfter));
  value.set(slot.multikey, HEADER_BYTES);
  const read = decodeKeySlot(value);
  if (read === undefined || read.flags !== slot.flags || read.notAfter !== slot.notAfter) {
    throw new RangeError(
      'not a key slot: flags is one byte, notAfter a safe integer, multikey 3 to 1015 bytes',
    );
  }
  return value;
}
