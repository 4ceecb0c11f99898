import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { computeAddress, hashMessage, keccak256, SigningKey, Wallet } from 'ethers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VerificationBusy } from '../../../src/trust/keys/errors.ts';
import { importJwk, importMultikey } from '../../../src/trust/keys/import.ts';
import { RECOVERIES_MAX, recoveriesUnderWay } from '../../../src/trust/keys/recovery.ts';
import {
  accountVerifier,
  addressOf,
  secp256k1Engine,
  secp256k1Verifier,
} from '../../../src/trust/keys/secp256k1.ts';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import { POOLED_VERIFICATIONS_MAX, pooledVerifications } from '../../../src/trust/keys/thread-pool.ts';

const DATA = Buffer.from('what is signed');
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const ENGINES = ['libsecp256k1', 'node:crypto'] as const;
const DIGESTS = ['sha256', 'keccak-256'] as const;

const pair = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const signed = (digest: string, key: KeyObject = pair.privateKey, data: Uint8Array = DATA): Buffer =>
  sign(digest, data, { key, dsaEncoding: 'ieee-p1363' });

function pointOf(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

/** The second valid form of a signature: n - s. */
function mirrored(signature: Buffer): Buffer {
  const s = ORDER - BigInt(`0x${signature.subarray(32).toString('hex')}`);
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
}

test('the addon loads where its prebuilt binary fits', () => {
  expect(secp256k1Engine).toBe('libsecp256k1');
});

describe.each(ENGINES)('%s', (engine) => {
  describe.each(DIGESTS)('over %s', (digest) => {
    const verify = secp256k1Verifier(pair.publicKey, pointOf(pair.publicKey), digest, engine);

    test('accepts what OpenSSL signs, with a low and with a high S', async () => {
      for (let n = 0; n < 20; n += 1) {
        const good = signed(digest);
        expect(await verify(DATA, good)).toBe(true);
        expect(await verify(DATA, mirrored(good))).toBe(true);
      }
    });

    test('refuses other data, other keys, other hashes, other lengths and numbers out of range', async () => {
      const good = signed(digest);
      const elsewhere = DIGESTS.find((name) => name !== digest) ?? '';
      const big = Buffer.from(ORDER.toString(16), 'hex');
      const bad = [
        signed(digest, other.privateKey),
        signed(elsewhere),
        signed(digest, pair.privateKey, Buffer.from('else')),
        sign(digest, DATA, pair.privateKey),
        Buffer.concat([good, Buffer.of(0)]),
        good.subarray(1),
        Buffer.alloc(64),
        Buffer.alloc(64, 0xff),
        Buffer.concat([big, good.subarray(32)]),
        Buffer.concat([good.subarray(0, 32), big]),
        Buffer.concat([Buffer.alloc(32), good.subarray(32)]),
        Buffer.alloc(0),
      ];
      for (const signature of bad) expect(await verify(DATA, signature)).toBe(false);
    });
  });
});

test('the engines agree on noise', async () => {
  const point = pointOf(pair.publicKey);
  const [one, two] = ENGINES.map((engine) => secp256k1Verifier(pair.publicKey, point, 'sha256', engine));
  const good = signed('sha256');
  await fc.assert(
    fc.asyncProperty(fc.nat(63), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
      const bent = Buffer.from(good);
      bent[at] = (bent[at] ?? 0) ^ bits;
      expect(await one?.(DATA, bent)).toBe(await two?.(DATA, bent));
    }),
    { numRuns: 200 },
  );
});

test('a key has both hashes in every form it comes in, and keeps them apart', async () => {
  const { signing, publicJwk, multikey } = generateSigningKey('ecdsa-secp256k1-sha256');
  const forms = [importJwk({ ...publicJwk }), importMultikey(multikey ?? '')];
  expect(new Set(forms.map(({ thumbprint }) => thumbprint)).size).toBe(1);
  for (const key of forms) {
    expect(key.algorithm).toBe('ecdsa-secp256k1-sha256');
    expect(key.keccak?.algorithm).toBe('ecdsa-secp256k1-keccak256');
    expect(await key.verify(DATA, signing.sign(DATA))).toBe(true);
    expect(await key.keccak?.verify(DATA, signing.sign(DATA))).toBe(false);
  }
});

describe.each(ENGINES)('an account, by %s', (engine) => {
  const wallet = Wallet.createRandom();
  const address = wallet.address.toLowerCase();
  const account = (digest: (typeof DIGESTS)[number] = 'keccak-256') =>
    accountVerifier(address, digest, engine);
  const raw = (r: string, s: string, v: number): Buffer =>
    Buffer.from(r.slice(2) + s.slice(2) + v.toString(16).padStart(2, '0'), 'hex');

  test('is known by the signatures of its wallet, before and after its key was recovered', async () => {
    const verify = account();
    for (const text of ['one', 'two', 'three']) {
      const prefixed = Buffer.from(`\x19Ethereum Signed Message:\n${text.length}${text}`);
      const signature = Buffer.from((await wallet.signMessage(text)).slice(2), 'hex');
      expect(hashMessage(text)).toBe(keccak256(prefixed));
      expect(await verify(prefixed, signature)).toBe(true);
      expect(await account()(prefixed, signature)).toBe(true);
      expect(await account('sha256')(prefixed, signature)).toBe(false);
    }
  });

  test('is not known by those of another, nor by one without a recovery id or with a strange one', async () => {
    const digest = keccak256(DATA);
    const mine = new SigningKey(wallet.privateKey).sign(digest);
    const bytes = (v: number): Buffer => raw(mine.r, mine.s, v);
    const theirs = new SigningKey(Wallet.createRandom().privateKey).sign(digest);
    for (const verify of [account(), account()]) {
      expect(await verify(DATA, Buffer.from(theirs.serialized.slice(2), 'hex'))).toBe(false);
      expect(await verify(DATA, bytes(mine.v).subarray(0, 64))).toBe(false);
      for (const v of [2, 3, 26, 29, 35, 255]) expect(await verify(DATA, bytes(v))).toBe(false);
      expect(await verify(DATA, bytes(55 - mine.v))).toBe(false);
      expect(await verify(DATA, bytes(mine.v))).toBe(true);
      expect(await verify(DATA, bytes(mine.v - 27))).toBe(true);
    }
  });

  test('is known by a high S too, and by no number out of range', async () => {
    const { r, s, v } = new SigningKey(wallet.privateKey).sign(keccak256(DATA));
    const hex = (number: bigint): string => `0x${number.toString(16).padStart(64, '0')}`;
    const high = hex(ORDER - BigInt(s));
    expect(await account()(DATA, raw(r, high, 55 - v))).toBe(true);
    expect(await account()(DATA, raw(r, high, v))).toBe(false);
    const bad: [string, string][] = [
      [hex(0n), s],
      [r, hex(0n)],
      [hex(ORDER), s],
      [r, hex(ORDER)],
      [hex(2n ** 256n - 1n), s],
      [r, hex(2n ** 256n - 1n)],
    ];
    for (const [badR, badS] of bad) expect(await account()(DATA, raw(badR, badS, v))).toBe(false);
  });
});

test('an account is named as ethers names it', () => {
  const point = pointOf(createPublicKey(pair.privateKey));
  expect(addressOf(point)).toBe(computeAddress(`0x${point.toString('hex')}`).toLowerCase());
});

test('both ways to recover agree on noise', async () => {
  const wallet = Wallet.createRandom();
  const good = Buffer.from((await wallet.signMessage(DATA)).slice(2), 'hex');
  const prefixed = Buffer.from(`\x19Ethereum Signed Message:\n${DATA.length}${DATA.toString()}`);
  await fc.assert(
    fc.asyncProperty(fc.nat(64), fc.nat(255), async (at, bits) => {
      const bent = Buffer.from(good);
      bent[at] = (bent[at] ?? 0) ^ bits;
      const [one, two] = ENGINES.map((engine) =>
        accountVerifier(wallet.address.toLowerCase(), 'keccak-256', engine)(prefixed, bent),
      );
      expect(await one).toBe(await two);
    }),
    { numRuns: 100 },
  );
});

test('recoveries past their bound are refused at once, and nothing waits for ever', async () => {
  const verify = accountVerifier(`0x${'00'.repeat(20)}`, 'sha256', 'node:crypto');
  const signature = Buffer.concat([signed('sha256'), Buffer.of(27)]);
  const under = Array.from({ length: RECOVERIES_MAX }, () => Promise.resolve(verify(DATA, signature)));
  expect(recoveriesUnderWay()).toBe(RECOVERIES_MAX);
  expect(() => verify(DATA, signature)).toThrow(VerificationBusy);
  expect(await Promise.all(under)).not.toContain(true);
  expect(recoveriesUnderWay()).toBe(0);
  expect(await verify(DATA, signature)).toBe(false);
});

test('slow checks leave the event loop alone, and past their bound they are refused at once', async () => {
  const { signing, publicJwk } = generateSigningKey('ecdsa-p384-sha384');
  const key = importJwk({ ...publicJwk });
  const signature = signing.sign(DATA);
  const under = Array.from({ length: POOLED_VERIFICATIONS_MAX }, () =>
    Promise.resolve(key.verify(DATA, signature)),
  );
  expect(pooledVerifications()).toBe(POOLED_VERIFICATIONS_MAX);
  expect(() => key.verify(DATA, signature)).toThrow(VerificationBusy);
  expect(await Promise.all(under)).not.toContain(false);
  expect(pooledVerifications()).toBe(0);
  expect(await key.verify(DATA, signature)).toBe(true);
});
