/** `OPERATOR_API_KEY`: the admin that is there before any other key. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { CheckBearer } from './guard.ts';
import { type Principal, scopesFor } from './principal.ts';

const BOOTSTRAP: Principal = {
  actor: 'key:bootstrap',
  method: 'api_key',
  role: 'admin',
  scopes: scopesFor('admin', null),
  expiresAtMs: Number.POSITIVE_INFINITY,
  // The environment of a process does not change.
  stands: () => true,
};

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function bootstrapKey(key: string): CheckBearer {
  const expected = digest(key);
  // Both sides are hashed, so the comparison takes as long whatever the key's length or first wrong letter.
  return (presented) => (timingSafeEqual(digest(presented), expected) ? BOOTSTRAP : null);
}
