import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, it } from 'vitest';
import { chooseKey, DOCUMENT_KEYS_MAX } from '../../../src/trust/did/document.ts';
import { DidError } from '../../../src/trust/did/errors.ts';
import { importOnce } from '../../../src/trust/did/key-import.ts';
import { publishedKeys } from '../../../src/trust/did/published-document.ts';
import { importPublicKey } from '../../../src/trust/keys/import.ts';
import { codeOf } from './world.ts';

const DID = 'did:web:agents.example';
const ADDRESS = '0xF3beAC30C498D9E26865F34fCAa57dBB935b0D74';

const ed = generateKeyPairSync('ed25519').publicKey;
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
const k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

type Json = Record<string, unknown>;
const jwkOf = (key: KeyObject): Json => ({ ...key.export({ format: 'jwk' }) });
const bytesOf = (text: unknown): Buffer => Buffer.from(String(text), 'base64url');

/** As in a Multikey, without the prefix. */
function raw(key: KeyObject): Buffer {
  const { x, y } = jwkOf(key);
  if (y === undefined) return bytesOf(x);
  return Buffer.concat([Buffer.of(((bytesOf(y).at(-1) ?? 0) & 1) | 2), bytesOf(x)]);
}
const uncompressed = (key: KeyObject): Buffer =>
  Buffer.concat([Buffer.of(4), bytesOf(jwkOf(key).x), bytesOf(jwkOf(key).y)]);
const multikey = (prefix: readonly number[], key: KeyObject): Buffer =>
  Buffer.concat([Buffer.from(prefix), raw(key)]);
const multibase = (prefix: readonly number[], key: KeyObject): string =>
  base58btc.encode(multikey(prefix, key));
const base58 = (bytes: Uint8Array): string => base58btc.encode(bytes).slice(1);

function method(more: Json, fragment = 'k'): Json {
  return { id: `${DID}#${fragment}`, controller: DID, ...more };
}

function documentWith(methods: readonly unknown[], more: Json = {}): Json {
  return { id: DID, verificationMethod: methods, authentication: ['#k'], ...more };
}

const ED_PREFIX = [0xed, 0x01];
const good = (fragment = 'k', more: Json = {}): Json =>
  method({ type: 'Multikey', publicKeyMultibase: multibase(ED_PREFIX, ed), ...more }, fragment);

/** The thumbprint of the key that `#k` names and that may sign. */
function named(document: Json, nowMs = 0): string {
  const keys = publishedKeys(document, DID);
  return importOnce(chooseKey({ exists: true, keys, readAtMs: 0 }, 'k', nowMs)).thumbprint;
}

const FORMS: readonly (readonly [string, Json, KeyObject])[] = [
  ['Multikey, Ed25519, base58', { type: 'Multikey', publicKeyMultibase: multibase(ED_PREFIX, ed) }, ed],
  [
    'Multikey, Ed25519, base64url',
    { type: 'Multikey', publicKeyMultibase: `u${multikey(ED_PREFIX, ed).toString('base64url')}` },
    ed,
  ],
  ['Multikey, P-256', { type: 'Multikey', publicKeyMultibase: multibase([0x80, 0x24], p256) }, p256],
  ['Multikey, P-384', { type: 'Multikey', publicKeyMultibase: multibase([0x81, 0x24], p384) }, p384],
  ['JsonWebKey, Ed25519', { type: 'JsonWebKey', publicKeyJwk: jwkOf(ed) }, ed],
  [
    'JsonWebKey2020, P-256',
    { type: 'JsonWebKey2020', publicKeyJwk: { ...jwkOf(p256), kid: 'x', x5c: [] } },
    p256,
  ],
  ['JsonWebKey2020, P-384', { type: 'JsonWebKey2020', publicKeyJwk: jwkOf(p384) }, p384],
  ['JsonWebKey2020, RSA', { type: 'JsonWebKey2020', publicKeyJwk: jwkOf(rsa.publicKey) }, rsa.publicKey],
  [
    'RsaVerificationKey2018',
    { type: 'RsaVerificationKey2018', publicKeyJwk: jwkOf(rsa.publicKey) },
    rsa.publicKey,
  ],
  ['Ed25519 2018, base58', { type: 'Ed25519VerificationKey2018', publicKeyBase58: base58(raw(ed)) }, ed],
  ['Ed25519 2018, hex', { type: 'Ed25519VerificationKey2018', publicKeyHex: raw(ed).toString('hex') }, ed],
  [
    'Ed25519 2018, base64',
    { type: 'Ed25519VerificationKey2018', publicKeyBase64: raw(ed).toString('base64') },
    ed,
  ],
  ['Ed25519 2018, JWK', { type: 'Ed25519VerificationKey2018', publicKeyJwk: jwkOf(ed) }, ed],
  ['Ed25519 2020', { type: 'Ed25519VerificationKey2020', publicKeyMultibase: multibase(ED_PREFIX, ed) }, ed],
  ['secp256r1 2019, JWK', { type: 'EcdsaSecp256r1VerificationKey2019', publicKeyJwk: jwkOf(p256) }, p256],
  [
    'secp256r1 2019, hex',
    { type: 'EcdsaSecp256r1VerificationKey2019', publicKeyHex: raw(p256).toString('hex') },
    p256,
  ],
  ['P256Key2021, base58', { type: 'P256Key2021', publicKeyBase58: base58(raw(p256)) }, p256],
  [
    'P-256, uncompressed',
    { type: 'EcdsaSecp256r1VerificationKey2019', publicKeyHex: uncompressed(p256).toString('hex') },
    p256,
  ],
  [
    'P384Key2021, multibase',
    { type: 'P384Key2021', publicKeyMultibase: multibase([0x81, 0x24], p384) },
    p384,
  ],
  ['secp384r1 2019', { type: 'EcdsaSecp384r1VerificationKey2019', publicKeyBase58: base58(raw(p384)) }, p384],
];

describe('a key is found in every form', () => {
  it.each(FORMS)('%s', (_name, form, key) => {
    expect(named(documentWith([method(form)]))).toBe(importPublicKey(key).thumbprint);
  });

  it.each([
    ['hex', { publicKeyHex: raw(k1).toString('hex') }],
    ['base58', { publicKeyBase58: base58(raw(k1)) }],
    ['multibase', { publicKeyMultibase: multibase([0xe7, 0x01], k1) }],
  ])('secp256k1 in %s is handed on', (_name, form) => {
    const [key] = publishedKeys(
      documentWith([method({ type: 'EcdsaSecp256k1VerificationKey2019', ...form })]),
      DID,
    );
    expect(key?.material).toEqual({ kind: 'multikey', bytes: new Uint8Array(multikey([0xe7, 0x01], k1)) });
  });

  it.each([
    ['a JWK', { publicKeyJwk: jwkOf(k1) }],
    ['an uncompressed point', { publicKeyHex: uncompressed(k1).toString('hex') }],
  ])('secp256k1 as %s is handed on', (_name, form) => {
    const [key] = publishedKeys(
      documentWith([method({ type: 'EcdsaSecp256k1VerificationKey2019', ...form })]),
      DID,
    );
    expect(key?.material).toEqual({ kind: 'jwk', jwk: jwkOf(k1) });
  });

  it.each([
    ['blockchainAccountId', `eip155:1:${ADDRESS}`],
    ['ethereumAddress', ADDRESS],
  ])('an account by %s is handed on in lower case', (form, value) => {
    const account = method({ type: 'EcdsaSecp256k1RecoveryMethod2020', [form]: value });
    const [key] = publishedKeys(documentWith([account]), DID);
    expect(key).toMatchObject({ flags: 1, material: { kind: 'account', address: ADDRESS.toLowerCase() } });
  });
});

const NO_KEYS: readonly (readonly [string, unknown])[] = [
  ['of an unknown type', good('k', { type: 'X25519KeyAgreementKey2020' })],
  ['of a type that every object has', good('k', { type: 'constructor' })],
  ['without a type', good('k', { type: undefined })],
  ['of another kind than its type says', good('k', { type: 'P256Key2021' })],
  ['with a JWK of another kind', method({ type: 'Ed25519VerificationKey2018', publicKeyJwk: jwkOf(p256) })],
  ['in two forms', good('k', { publicKeyJwk: jwkOf(ed) })],
  ['with a private JWK', method({ type: 'JsonWebKey', publicKeyJwk: jwkOf(rsa.privateKey) })],
  ['with a private key beside it', good('k', { privateKeyMultibase: 'z1' })],
  ['with a secret key beside it', good('k', { secretKeyJwk: {} })],
  ['with a shared secret', method({ type: 'JsonWebKey', publicKeyJwk: { kty: 'oct', k: 'A'.repeat(43) } })],
  ['of another controller', good('k', { controller: 'did:web:other.example' })],
  ['without a controller', good('k', { controller: undefined })],
  ['of several controllers', good('k', { controller: [DID] })],
  ['of another DID', good('k', { id: 'did:web:other.example#k' })],
  ['of a DID that begins alike', good('k', { id: `${DID}.evil.example#k` })],
  ['without a fragment', good('k', { id: DID })],
  ['with an encoded fragment', good('k', { id: `${DID}#%6B` })],
  ['with a path', good('k', { id: `${DID}/x#k` })],
  ['that runs out at no readable time', good('k', { expires: 'tomorrow' })],
  ['that runs out at a time without an offset', good('k', { expires: '2090-01-01T00:00:00' })],
  ['that was revoked at no readable time', good('k', { revoked: true })],
  [
    'in base58 with a zero',
    method({ type: 'Ed25519VerificationKey2018', publicKeyBase58: `0${base58(raw(ed))}` }),
  ],
  [
    'in base58 without end',
    method({ type: 'Ed25519VerificationKey2018', publicKeyBase58: '2'.repeat(60_000) }),
  ],
  ['in base64 with white space', method({ type: 'Ed25519VerificationKey2018', publicKeyBase64: ' AAAA' })],
  ['in another base', good('k', { publicKeyMultibase: `f${multikey(ED_PREFIX, ed).toString('hex')}` })],
  [
    'one byte short',
    good('k', { publicKeyMultibase: base58btc.encode(multikey(ED_PREFIX, ed).subarray(0, 33)) }),
  ],
  ['as an account by another type', method({ type: 'Multikey', ethereumAddress: ADDRESS })],
  [
    'as an account of another namespace',
    method({ type: 'EcdsaSecp256k1RecoveryMethod2020', blockchainAccountId: `solana:1:${ADDRESS}` }),
  ],
  ['that is null', null],
  ['that is a list', [good()]],
  ['that is a string', '#k'],
];

describe('a method', () => {
  it.each(NO_KEYS)('%s is left out, and the next is found', (_name, bad) => {
    const keys = publishedKeys(documentWith([bad, good('next')], { authentication: ['#k', '#next'] }), DID);
    expect(keys.map(({ fragment, flags }) => [fragment, flags])).toEqual([['next', 1]]);
  });

  it('that is not under authentication does not sign', async () => {
    const document = documentWith([good()], {
      authentication: [],
      assertionMethod: ['#k'],
      keyAgreement: [`${DID}#k`],
    });
    expect(publishedKeys(document, DID)).toMatchObject([{ fragment: 'k', flags: 6 }]);
    expect(await codeOf(() => named(document))).toBe('key_unknown');
  });

  it('may be named absolutely, relatively, or stand in authentication itself', () => {
    const print = importPublicKey(ed).thumbprint;
    expect(named(documentWith([good('k', { id: '#k' })], { authentication: [`${DID}#k`] }))).toBe(print);
    expect(named(documentWith([], { authentication: [good()] }))).toBe(print);
    expect(named(documentWith([good()], { authentication: [good()] }))).toBe(print);
  });

  it('of another DID is not made ours by a reference', () => {
    const document = documentWith([good()], {
      authentication: ['did:web:other.example#k', 'k', 7, null, ['#k']],
    });
    expect(publishedKeys(document, DID)).toMatchObject([{ fragment: 'k', flags: 0 }]);
  });

  it('that runs out, or was revoked, ends then', async () => {
    const at = Date.parse('2030-01-01T00:00:00Z');
    for (const name of ['expires', 'revoked']) {
      const document = documentWith([good('k', { [name]: '2030-01-01T01:00:00+01:00' })]);
      expect(named(document, at - 1)).toBe(importPublicKey(ed).thumbprint);
      expect(await codeOf(() => named(document, at))).toBe('key_expired');
    }
  });

  it.each([
    ['another key', method({ type: 'JsonWebKey', publicKeyJwk: jwkOf(p256) })],
    ['one that is not understood', good('k', { type: 'Unknown' })],
    ['one that runs out', good('k', { expires: '2090-01-01T00:00:00Z' })],
  ])('that shares its name with %s stands for nothing', (_name, other) => {
    for (const methods of [
      [good(), other],
      [other, good()],
      [good(), other, good()],
    ]) {
      expect(publishedKeys(documentWith(methods), DID)).toEqual([]);
    }
    expect(publishedKeys(documentWith([good()], { keyAgreement: [other] }), DID)).toEqual([]);
  });
});

describe('a document', () => {
  it.each([
    ['another', 'did:web:other.example'],
    ['a longer', `${DID}:x`],
    ['another case', 'did:web:Agents.example'],
    ['no', undefined],
    ['a list as', [DID]],
  ])('with %s id is refused', async (_name, id) => {
    expect(await codeOf(() => publishedKeys(documentWith([good()], { id }), DID))).toBe('did_unresolvable');
  });

  it('that is deactivated has no keys', () => {
    expect(publishedKeys(documentWith([good()], { deactivated: true }), DID)).toEqual([]);
  });

  it('gives no more keys than its bound, wherever they stand', () => {
    const many = Array.from({ length: 200 }, (_, at) => good(`k${at}`));
    const keys = publishedKeys(documentWith(many, { authentication: many }), DID);
    expect(keys.length).toBe(DOCUMENT_KEYS_MAX);
    expect(publishedKeys(documentWith([], { authentication: many }), DID).length).toBe(DOCUMENT_KEYS_MAX);
  });

  it('of any shape ends in keys or in a DidError', () => {
    const leaf = fc.constantFrom<unknown>(
      DID,
      '#k',
      `${DID}#k`,
      'Multikey',
      null,
      0,
      true,
      '__proto__',
      good(),
    );
    const names = fc.constantFrom(
      'id',
      'type',
      'controller',
      'verificationMethod',
      'authentication',
      'publicKeyJwk',
      'publicKeyMultibase',
      'publicKeyBase58',
      'publicKeyHex',
      'publicKeyBase64',
      'blockchainAccountId',
      'expires',
      'kty',
      'crv',
      'x',
    );
    const { any } = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.string(),
        fc.array(tie('any'), { maxLength: 5 }),
        fc.dictionary(names, tie('any')),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(names, any), fc.boolean(), (shape, mine) => {
        const document = mine ? { ...shape, id: DID } : shape;
        try {
          for (const key of publishedKeys(document, DID)) {
            try {
              importOnce(key);
            } catch (error) {
              if (!(error instanceof DidError)) return false;
            }
          }
          return true;
        } catch (error) {
          return error instanceof DidError;
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
