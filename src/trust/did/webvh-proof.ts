/** Hashes and proofs of did:webvh 1.0: SHA-256 over canonical JSON, and the Data Integrity suite eddsa-jcs-2022. */
import { createHash } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { isJsonObject, type JsonObject } from '../fetch/json.ts';
import { importMultikey } from '../keys/import.ts';
import type { VerificationKey } from '../keys/key.ts';
import { canonicalJson } from './canonical-json.ts';

/** `z` and the base58 of 64 bytes takes 89 at most; decoding costs the square of the length. */
const PROOF_VALUE_CHARS_MAX = 96;
/** Multihash (varint code and length) of SHA-256. */
const SHA256_MULTIHASH = Buffer.of(0x12, 0x20);
const SIGNER = /^did:key:(z[1-9A-HJ-NP-Za-km-z]{1,90})#\1$/;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** As SCIDs, entry hashes and the hashes of next keys are written: base58btc without its prefix. */
export function multihash(text: string): string {
  return base58btc.encode(Buffer.concat([SHA256_MULTIHASH, sha256(text)])).slice(1);
}

/** Checks proofs of one log; a key is imported once. */
export class Proofs {
  readonly #keys = new Map<string, VerificationKey | null>();
  readonly #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  /**
   * The Multikey of whoever made `proof` over a document, if it may count and its signature is good, else null.
   * @param documentHash of `documentHash`, made once for all proofs of a document
   * @param mayCount asked before anything is verified
   */
  async signer(
    proof: unknown,
    documentHash: Uint8Array,
    mayCount: (multikey: string) => boolean,
  ): Promise<string | null> {
    if (!isJsonObject(proof)) return null;
    const { proofValue, ...options } = proof;
    const { type, cryptosuite, proofPurpose, verificationMethod, expires } = options as JsonObject;
    if (type !== 'DataIntegrityProof' || cryptosuite !== 'eddsa-jcs-2022') return null;
    if (proofPurpose !== 'assertionMethod' || this.#isOver(expires)) return null;
    const multikey =
      typeof verificationMethod === 'string' ? SIGNER.exec(verificationMethod)?.[1] : undefined;
    if (multikey === undefined || !mayCount(multikey)) return null;
    const signature = signatureOf(proofValue);
    const key = this.#keyOf(multikey);
    if (signature === null || key === null) return null;
    const data = hashData(options, documentHash);
    if (data === null) return null;
    return (await key.verify(data, signature)) ? multikey : null;
  }

  #isOver(expires: unknown): boolean {
    if (expires === undefined) return false;
    return !(typeof expires === 'string' && Date.parse(expires) > this.#nowMs);
  }

  #keyOf(multikey: string): VerificationKey | null {
    const known = this.#keys.get(multikey);
    if (known !== undefined) return known;
    let key: VerificationKey | null = null;
    try {
      const imported = importMultikey(multikey, { refuseKnownTestKeys: true });
      if (imported.algorithm === 'ed25519') key = imported;
    } catch {
      // A key that is none signs nothing.
    }
    this.#keys.set(multikey, key);
    return key;
  }
}

/** What a proof says of its document. @param canonical the document without its proofs, in canonical JSON */
export function documentHash(canonical: string): Uint8Array {
  return sha256(canonical);
}

/** Data Integrity EdDSA Cryptosuites 1.0, section 3.3.4: the proof's own options come first. Null: not canonical JSON. */
function hashData(options: JsonObject, document: Uint8Array): Uint8Array | null {
  try {
    return Buffer.concat([sha256(canonicalJson(options)), document]);
  } catch {
    return null;
  }
}

function signatureOf(value: unknown): Uint8Array | null {
  if (typeof value !== 'string' || value.length > PROOF_VALUE_CHARS_MAX || !value.startsWith('z'))
    return null;
  try {
    return base58btc.baseDecode(value.slice(1));
  } catch {
    return null;
  }
}
