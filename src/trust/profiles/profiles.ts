/** Every profile, by the name that `sage.yaml` gives it. */

import type { SignatureAlgorithm } from '../keys/key.ts';
import { erc8128 } from './erc8128.ts';
import type { Profile, ProfileName } from './profile.ts';
import { rfc9421 } from './rfc9421.ts';
import { sage010, sageG1, sageG2 } from './sage.ts';
import { webBotAuth } from './web-bot-auth.ts';

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  rfc9421,
  'web-bot-auth': webBotAuth,
  'sage-g2': sageG2,
  'sage-0.10': sage010,
  'sage-g1': sageG1,
  erc8128,
};

/** What a key may be used with when a signature does not name its algorithm: HMAC's place is where it is named. */
export const KEY_ALGORITHMS: ReadonlySet<SignatureAlgorithm> = new Set([
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'hmac-sha256',
  'ecdsa-secp256k1-sha256',
  'ecdsa-secp256k1-keccak256',
]);

/** What a route accepts when it does not say. */
export const DEFAULT_PROFILES: readonly ProfileName[] = ['rfc9421'];
