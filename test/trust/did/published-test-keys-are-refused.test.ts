import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { usableKey } from '../../../src/trust/did/key-import.ts';

/** RFC 9421, appendix B.1.4: test-key-ed25519, as published. */
const PUBLISHED = { kty: 'OKP', crv: 'Ed25519', x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' };

test('a key whose private half is printed in a standard proves nothing', () => {
  expect(() => usableKey({ kind: 'jwk', jwk: PUBLISHED })).toThrow(/printed in an RFC/);
});

test('any other key of that kind is taken', () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  expect(usableKey({ kind: 'jwk', jwk: { ...publicKey.export({ format: 'jwk' }) } }).algorithm).toBe(
    'ed25519',
  );
});
