import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, test } from 'vitest';
import { decodeBase58, encodeBase58 } from '../../src/sdk/base58.ts';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { encodeDidKey } from '../../src/trust/did/did-key.ts';
import { parseKeyId } from '../../src/trust/did/did-url.ts';
import { DidError } from '../../src/trust/did/errors.ts';
import { offlineKey } from '../../src/trust/did/offline.ts';

async function outcomeOf(find: () => unknown): Promise<string> {
  try {
    await find();
    return 'found';
  } catch (error) {
    if (error instanceof DidError) return error.code;
    throw error;
  }
}

test('base58 is that of the package the gateway uses', () => {
  for (let length = 0; length < 70; length += 1) {
    for (const leading of [0, 1, 3]) {
      const bytes = crypto.getRandomValues(new Uint8Array(length)).fill(0, 0, leading);
      const text = encodeBase58(bytes);
      expect(`z${text}`).toBe(base58btc.encode(bytes));
      expect(decodeBase58(text)).toEqual(bytes);
    }
  }
  for (const text of ['0', 'O', 'I', 'l', 'a b', 'é', '1'.repeat(129)]) expect(decodeBase58(text)).toBeNull();
});

test.each(['P-256', 'P-384'])("a hundred compressed points of %s are the gateway's", async (namedCurve) => {
  const find = didKeyResolver();
  for (let index = 0; index < 100; index += 1) {
    const did = encodeDidKey(generateKeyPairSync('ec', { namedCurve }).publicKey);
    expect((await find(did))?.thumbprint).toBe(offlineKey(parseKeyId(did)).key.thumbprint);
  }
});

describe('what the gateway refuses is refused in the same words', () => {
  const good = encodeDidKey(createPublicKey(generateKeyPairSync('ed25519').privateKey));
  const multikey = (...bytes: number[]): string => `did:key:${base58btc.encode(Uint8Array.from(bytes))}`;
  const jwk = (value: unknown): string =>
    `did:jwk:${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
  const okp = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
  // The key of RFC 9421, appendix B.1.4.
  const published = jwk({ ...okp, x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' });
  test.each([
    good,
    `${good}#${good.slice(8)}`,
    `${good}#other`,
    `${good}?x=1`,
    '#relative',
    'did:key:mAAAA',
    'did:key:z0OIl',
    `did:key:z${'2'.repeat(200)}`,
    multikey(0xed, 0x01),
    multikey(0xed, 0x01, ...Array<number>(32).fill(0)),
    multikey(0x80, 0x24, 2, ...Array<number>(32).fill(0xff)),
    multikey(0x80, 0x24, 2, ...Array<number>(31).fill(0), 5),
    multikey(0x80, 0x24, 4, ...Array<number>(64).fill(1)),
    jwk(okp),
    `${jwk(okp)}#0`,
    `${jwk(okp)}#1`,
    jwk({ ...okp, d: 'AAAA' }),
    jwk({ kty: 'oct', k: 'A'.repeat(43) }),
    jwk({ ...okp, use: 'enc' }),
    jwk({ ...okp, alg: 'RS256' }),
    jwk([okp]),
    'did:jwk:AAAA',
    'did:jwk:A',
    published,
  ])('%s', async (keyId) => {
    const theirs = await outcomeOf(() => offlineKey(parseKeyId(keyId)));
    expect(await outcomeOf(() => didKeyResolver()(keyId))).toBe(theirs);
  });

  test('only secp256k1, which WebCrypto lacks, the gateway takes and the SDK does not', async () => {
    const did = encodeDidKey(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey);
    expect(await outcomeOf(() => offlineKey(parseKeyId(did)))).toBe('found');
    expect(await outcomeOf(() => didKeyResolver()(did))).toBe('key_unsupported');
  });

  test("other methods are somebody else's to resolve", async () => {
    expect(await didKeyResolver()(`did:sage:eip155:1:0x${'0'.repeat(40)}:1#key-1`)).toBeNull();
  });
});
