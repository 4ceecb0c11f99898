import { constants, createPrivateKey, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ed25519Engine, ed25519Signer, ed25519Verifier } from '../../../src/trust/keys/ed25519.ts';
import { importJwk } from '../../../src/trust/keys/import.ts';
import type { SignatureAlgorithm } from '../../../src/trust/keys/key.ts';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';

const DATA = Buffer.from('what is signed');
const made = (algorithm: SignatureAlgorithm) => {
  const { signing, publicJwk, privateJwk } = generateSigningKey(algorithm);
  const key = importJwk({ ...publicJwk }, { algorithm, allowRsaV15: true });
  return { signing, key, privateKey: createPrivateKey({ key: privateJwk, format: 'jwk' }) };
};

describe('a signature of any other form is no signature', () => {
  test.each<SignatureAlgorithm>([
    'ed25519',
    'ecdsa-p256-sha256',
    'ecdsa-p384-sha384',
    'rsa-pss-sha512',
    'rsa-v1_5-sha256',
  ])('%s: of another length, or empty, or of noise', async (algorithm) => {
    const { signing, key } = made(algorithm);
    const good = Buffer.from(signing.sign(DATA));
    expect(await key.verify(DATA, good)).toBe(true);
    const noise = [0, 0x7f, 0xff].flatMap((byte) =>
      [0, 1, 32, 63, 64, 65, 96, 97, good.length].map((length) => Buffer.alloc(length, byte)),
    );
    const others = [
      good.subarray(1),
      good.subarray(0, -1),
      Buffer.concat([good, Buffer.alloc(1)]),
      Buffer.concat([Buffer.alloc(1), good]),
    ];
    for (const bad of [...noise, ...others]) expect(await key.verify(DATA, bad)).toBe(false);
  });

  test.each([
    ['ecdsa-p256-sha256', 'sha256'],
    ['ecdsa-p384-sha384', 'sha384'],
  ] as const)('%s in DER', async (algorithm, hash) => {
    const { key, privateKey } = made(algorithm);
    expect(await key.verify(DATA, sign(hash, DATA, privateKey))).toBe(false);
    expect(await key.verify(DATA, sign(hash, DATA, { key: privateKey, dsaEncoding: 'ieee-p1363' }))).toBe(
      true,
    );
  });

  test('RSA-PSS with another salt or hash, and RSA of the other padding', async () => {
    const { key, privateKey } = made('rsa-pss-sha512');
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    for (const saltLength of [0, 20, 32, 63, 65]) {
      expect(await key.verify(DATA, sign('sha512', DATA, { key: privateKey, padding, saltLength }))).toBe(
        false,
      );
    }
    expect(await key.verify(DATA, sign('sha512', DATA, { key: privateKey, padding, saltLength: 64 }))).toBe(
      true,
    );
    expect(await key.verify(DATA, sign('sha256', DATA, { key: privateKey, padding, saltLength: 64 }))).toBe(
      false,
    );
    expect(await key.verify(DATA, sign('sha512', DATA, privateKey))).toBe(false);
    expect(await key.verify(DATA, sign('sha256', DATA, privateKey))).toBe(false);
  });

  test('Ed25519 with an S that is not reduced', async () => {
    const { signing, key } = made('ed25519');
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const signature = Buffer.from(signing.sign(DATA));
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse().copy(signature, 32);
    expect(await key.verify(DATA, signature)).toBe(false);
  });
});

describe('both Ed25519 engines', () => {
  test('libsodium is in use where its addon is installed', async () => {
    expect(ed25519Engine).toBe('libsodium');
  });

  test('make the same signatures and the same decisions', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { publicJwk, privateJwk } = generateSigningKey('ed25519');
      const publicKey = Buffer.from(publicJwk.x ?? '', 'base64url');
      const seed = Buffer.from(privateJwk.d ?? '', 'base64url');
      const data = Buffer.alloc(round * 40, round);
      const [sodium, node] = [
        ed25519Verifier(publicKey, 'libsodium'),
        ed25519Verifier(publicKey, 'node:crypto'),
      ];
      const signature = Buffer.from(ed25519Signer(seed, publicKey, 'libsodium')(data));
      expect(Buffer.from(ed25519Signer(seed, publicKey, 'node:crypto')(data))).toEqual(signature);
      for (let bit = 0; bit < 512; bit += 37) {
        const changed = Buffer.from(signature);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect([sodium(data, changed), node(data, changed)]).toEqual([false, false]);
      }
      expect([sodium(data, signature), node(data, signature)]).toEqual([true, true]);
    }
  });
});
