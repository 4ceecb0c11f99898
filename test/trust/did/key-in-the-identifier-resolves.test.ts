import { createPublicKey } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, it } from 'vitest';
import { encodeDidKey } from '../../../src/trust/did/did-key.ts';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import { importJwk } from '../../../src/trust/keys/import.ts';
import { codeOf, newWorld } from './world.ts';

// w3c-ccg/did-method-key, test-vectors/ed25519-x25519.json and nist-curves.json.
const DID_KEYS = [
  {
    did: 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp',
    jwk: { kty: 'OKP', crv: 'Ed25519', x: 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik' },
  },
  {
    did: 'did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv',
    jwk: {
      kty: 'EC',
      crv: 'P-256',
      x: 'igrFmi0whuihKnj9R3Om1SoMph72wUGeFaBbzG2vzns',
      y: 'efsX5b10x8yjyrj4ny3pGfLcY7Xby1KzgqOdqnsrJIM',
    },
  },
  {
    did: 'did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169',
    jwk: {
      kty: 'EC',
      crv: 'P-256',
      x: 'fyNYMN0976ci7xqiSdag3buk-ZCwgXU4kz9XNkBlNUI',
      y: 'hW2ojTNfH7Jbi8--CJUo3OCbH3y5n91g-IMA9MLMbTU',
    },
  },
  {
    did: 'did:key:z82Lm1MpAkeJcix9K8TMiLd5NMAhnwkjjCBeWHXyu3U4oT2MVJJKXkcVBgjGhnLBn2Kaau9',
    jwk: {
      kty: 'EC',
      crv: 'P-384',
      x: 'lInTxl8fjLKp_UCrxI0WDklahi-7-_6JbtiHjiRvMvhedhKVdHBfi2HCY8t_QJyc',
      y: 'y6N1IC-2mXxHreETBW7K3mBcw0qGr3CWHCs-yl09yCQRLcyfGv7XhqAngHOu51Zv',
    },
  },
  {
    did: 'did:key:z82LkvCwHNreneWpsgPEbV3gu1C6NFJEBg4srfJ5gdxEsMGRJUz2sG9FE42shbn2xkZJh54',
    jwk: {
      kty: 'EC',
      crv: 'P-384',
      x: 'CA-iNoHDg1lL8pvX3d1uvExzVfCz7Rn6tW781Ub8K5MrDf2IMPyL0RTDiaLHC1JT',
      y: 'Kpnrn8DkXUD3ge4mFxi-DKr0DYO2KuJdwNBrhzLRtfMa3WFMZBiPKUPfJj8dYNl_',
    },
  },
];
// did:jwk specification, section "Examples".
const DID_JWK_P256 =
  'did:jwk:eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImFjYklRaXVNczNpOF91c3pFakoydHBUdFJNNEVVM3l6OTFQSDZDZEgyVjAiLCJ5IjoiX0tjeUxqOXZXTXB0bm1LdG00NkdxRHo4d2Y3NEk1TEtncmwyR3pIM25TRSJ9';
const DID_JWK_X25519_ENC =
  'did:jwk:eyJrdHkiOiJPS1AiLCJjcnYiOiJYMjU1MTkiLCJ1c2UiOiJlbmMiLCJ4IjoiM3A3YmZYdDl3YlRUVzJIQzdPUTFOei1EUThoYmVHZE5yZngtRkctSUswOCJ9';

const UNSAFE = { safeMethod: false };
const { resolver } = newWorld();

function didJwk(jwk: object): string {
  return `did:jwk:${Buffer.from(JSON.stringify(jwk)).toString('base64url')}`;
}

function didKey(publicKey: Uint8Array): string {
  return `did:key:${base58btc.encode(Buffer.concat([Uint8Array.of(0xed, 0x01), publicKey]))}`;
}

describe('did:key', () => {
  it.each(DID_KEYS)('$did is the key of its vector, at once', ({ did, jwk }) => {
    const id = did.slice('did:key:'.length);
    const found = resolver.find(parseKeyId(`${did}#${id}`), UNSAFE);
    if (found instanceof Promise) throw new Error('must be at hand');
    expect(found).toMatchObject({ did, keyId: `${did}#${id}`, tier: 'offline', validUntilMs: Infinity });
    expect(found.key.thumbprint).toBe(importJwk(jwk).thumbprint);
    expect(encodeDidKey(createPublicKey({ key: jwk, format: 'jwk' }))).toBe(did);
  });

  it('is found by its bare DID, and by no other fragment', async () => {
    const [{ did }] = DID_KEYS as [(typeof DID_KEYS)[0]];
    expect(await resolver.find(parseKeyId(did), UNSAFE)).toMatchObject({ did });
    expect(await codeOf(() => resolver.find(parseKeyId(`${did}#key-1`), UNSAFE))).toBe('key_unknown');
  });

  it.each([
    ['X25519', 'did:key:z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW', 'key_unsupported'],
    [
      'P-521',
      'did:key:z2J9gaYxrKVpdoG9A4gRnmpnRCcxU6agDtFVVBVdn1JedouoZN7SzcyREXXzWgt3gGiwpoHq7K68X4m32D8HgzG8wv3sY5j7',
      'key_unsupported',
    ],
    ['an Ed25519 key cut short', didKey(Buffer.alloc(31, 9)), 'key_unsupported'],
    ['an Ed25519 key of small order', didKey(Buffer.alloc(32)), 'key_unsupported'],
    ['a text cut short', 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDoo', 'did_malformed'],
    ['nothing known', 'did:key:z1111', 'did_malformed'],
  ])('with %s is refused', async (_what, did, code) => {
    expect(await codeOf(() => resolver.find(parseKeyId(did), UNSAFE))).toBe(code);
  });
});

describe('did:jwk', () => {
  it('is the key of its vector, under #0 and bare', async () => {
    const found = await resolver.find(parseKeyId(`${DID_JWK_P256}#0`), UNSAFE);
    expect(found).toMatchObject({ keyId: `${DID_JWK_P256}#0`, key: { algorithm: 'ecdsa-p256-sha256' } });
    expect(await resolver.find(parseKeyId(DID_JWK_P256), UNSAFE)).toMatchObject({ fragment: '0' });
    expect(await codeOf(() => resolver.find(parseKeyId(`${DID_JWK_P256}#1`), UNSAFE))).toBe('key_unknown');
  });

  it.each([
    ['a key for encryption', DID_JWK_X25519_ENC, 'key_unknown'],
    ['a private key', didJwk({ ...DID_KEYS[0]?.jwk, d: 'AA' }), 'did_malformed'],
    ['a shared secret', didJwk({ kty: 'oct', k: 'A'.repeat(43) }), 'did_malformed'],
    ['an unknown curve', didJwk({ kty: 'OKP', crv: 'Ed448', x: 'AA' }), 'key_unsupported'],
    ['an array', didJwk([]), 'did_malformed'],
    ['no JSON', 'did:jwk:AAAA', 'did_malformed'],
    // The same bytes with unused bits set: one key must not have two names.
    ['a second spelling', `${didJwk({ kty: 'OKP' }).slice(0, -1)}R`, 'did_malformed'],
  ])('with %s is refused', async (_what, did, code) => {
    expect(await codeOf(() => resolver.find(parseKeyId(did), UNSAFE))).toBe(code);
  });
});
