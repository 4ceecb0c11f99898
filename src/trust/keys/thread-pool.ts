/**
 * Verifications that would hold the event loop for longer than one Ed25519 check go to the threads of libuv: there a
 * check costs this thread some microseconds, and a stranger who brings slow keys slows nobody else down.
 */
import type { VerifyKeyObjectInput, VerifyPublicKeyInput } from 'node:crypto';
import { verify as nodeVerify } from 'node:crypto';
import { VerificationBusy } from './errors.ts';

/** Under way or waiting at once: some 30 ms of work for two threads. Past it a check fails at once rather than queue. */
export const POOLED_VERIFICATIONS_MAX = 128;

let underWay = 0;

/** Whether `signature` verifies. @throws {VerificationBusy} */
export function verifyOnThread(
  hash: string,
  data: Uint8Array,
  key: VerifyKeyObjectInput | VerifyPublicKeyInput,
  signature: Uint8Array,
): Promise<boolean> {
  if (underWay >= POOLED_VERIFICATIONS_MAX) throw new VerificationBusy();
  return new Promise((resolve) => {
    nodeVerify(hash, data, key as VerifyKeyObjectInput, signature, (error, verified) => {
      underWay -= 1;
      // OpenSSL says of some malformed signatures that they are an error, not that they are wrong.
      resolve(error === null && verified);
    });
    // Once it is: a call that throws takes no place.
    underWay += 1;
  });
}

/** For metrics. */
export function pooledVerifications(): number {
  return underWay;
}
