/** Entry of the thread that recovers public keys; see `recovery.ts`. */
import { parentPort } from 'node:worker_threads';
import { getBytes, hexlify, Signature, SigningKey } from 'ethers';
import type { RecoverableSignature } from './recovery.ts';

parentPort?.on('message', (asked: RecoverableSignature) => parentPort?.postMessage(recover(asked)));

function recover({ digest, signature, recoveryId }: RecoverableSignature): Uint8Array | null {
  try {
    const r = hexlify(signature.subarray(0, 32));
    const signed = Signature.from({ r, s: `0x${'0'.repeat(64)}`, v: 27 + recoveryId });
    // Set and not read: ethers reads no high S, and has it made a low one of the same key.
    signed.s = hexlify(signature.subarray(32));
    return getBytes(SigningKey.recoverPublicKey(hexlify(digest), signed.getCanonical()));
  } catch {
    // r or s is out of range, r is the x of no point, or the point is the one at infinity.
    return null;
  }
}
