import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { HDNodeWallet, Mnemonic } from 'ethers';
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

/** `test test test …`, with which anvil and Hardhat begin. */
const DEVELOPERS = Mnemonic.fromPhrase('test test test test test test test test test test test junk');

test.each([0, 1, 9])('nor does account %i of development chains, as an account or as a key', (index) => {
  const { address, signingKey } = HDNodeWallet.fromMnemonic(DEVELOPERS, `m/44'/60'/0'/0/${index}`);
  expect(() => usableKey({ kind: 'account', address: address.toLowerCase() })).toThrow(/printed in/);
  const bytes = Buffer.from(`e701${signingKey.compressedPublicKey.slice(2)}`, 'hex');
  expect(() => usableKey({ kind: 'multikey', bytes })).toThrow(/printed in/);
});

test.each([
  '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
  '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
])('nor the secret key %s of RFC 8032', (seed) => {
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
  const jwk = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({
    format: 'jwk',
  });
  expect(() => usableKey({ kind: 'jwk', jwk: { ...jwk } })).toThrow(/printed in/);
});
