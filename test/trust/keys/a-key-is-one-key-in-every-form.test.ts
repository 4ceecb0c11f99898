import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { importHmac, importJwk, importMultikey, importSpki } from '../../../src/trust/keys/import.ts';
import type { SignatureAlgorithm, VerificationKey } from '../../../src/trust/keys/key.ts';
import {
  generateSigningKey,
  hmacSigningKey,
  importSigningJwk,
  signingKey,
} from '../../../src/trust/keys/signing.ts';
import { thumbprint } from '../../../src/trust/keys/thumbprint.ts';

const DATA = Buffer.from('what is signed');
const ASYMMETRIC: SignatureAlgorithm[] = [
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'rsa-v1_5-sha256',
];

describe('one key, whatever it came in', () => {
  test.each(ASYMMETRIC)('%s', async (algorithm) => {
    const { signing, publicJwk, privateJwk, multikey } = generateSigningKey(algorithm);
    const options = { algorithm, allowRsaV15: true };
    const spki = createPublicKey({ key: publicJwk, format: 'jwk' });
    const forms: VerificationKey[] = [
      importJwk({ ...publicJwk }, options),
      importSpki(spki.export({ format: 'pem', type: 'spki' }).toString(), options),
      importSpki(spki.export({ format: 'der', type: 'spki' }), options),
    ];
    if (multikey !== null) forms.push(importMultikey(multikey, options));
    const signature = signing.sign(DATA);
    const again = importSigningJwk(privateJwk, options).sign(DATA);
    for (const key of forms) {
      expect(key.algorithm).toBe(algorithm);
      expect(key.thumbprint).toBe(thumbprint({ ...publicJwk }));
      expect(await key.verify(DATA, signature)).toBe(true);
      expect(await key.verify(DATA, again)).toBe(true);
      expect(await key.verify(Buffer.from('something else'), signature)).toBe(false);
    }
  });

  test('an RSA key under the PSS identifier', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
    const key = importSpki(publicKey.export({ format: 'pem', type: 'spki' }).toString());
    expect(key.algorithm).toBe('rsa-pss-sha512');
    expect(await key.verify(DATA, signingKey(privateKey).sign(DATA))).toBe(true);
  });

  test('a shared secret', async () => {
    const secret = Buffer.alloc(32, 7);
    const signature = hmacSigningKey(secret).sign(DATA);
    const keys = [importHmac(secret), importJwk({ kty: 'oct', k: secret.toString('base64url') })];
    for (const key of keys) {
      expect(await key.verify(DATA, signature)).toBe(true);
      expect(await key.verify(DATA, signature.subarray(0, 31))).toBe(false);
      expect(await key.verify(Buffer.from('else'), signature)).toBe(false);
    }
    expect(keys[0]?.thumbprint).toBe(keys[1]?.thumbprint);
  });

  test('a secret changed by its owner afterwards changes no key', async () => {
    const secret = Buffer.alloc(32, 7);
    const key = importHmac(secret);
    const signature = hmacSigningKey(secret).sign(DATA);
    secret.fill(0);
    expect(await key.verify(DATA, signature)).toBe(true);
  });

  test('the thumbprint is that of RFC 7638 and RFC 8037', async () => {
    const jwk = {
      kty: 'OKP',
      crv: 'Ed25519',
      x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
      kid: 'ignored',
    };
    expect(thumbprint(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });
});
