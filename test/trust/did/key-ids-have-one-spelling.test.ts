import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentDid, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { DidError } from '../../../src/trust/did/errors.ts';
import { codeOf, didOf, REGISTRY } from './world.ts';

const ED = 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp';
const UINT256_MAX = 2n ** 256n - 1n;

describe('a keyid that is read', () => {
  it('tells its parts', () => {
    expect(parseKeyId(`${didOf(7)}#k1`)).toEqual({
      text: `${didOf(7)}#k1`,
      did: didOf(7),
      method: 'sage',
      fragment: 'k1',
      methodClass: 'chain',
      subject: { kind: 'erc8004', chainId: 31337, contract: REGISTRY, id: '7' },
      site: null,
    });
    expect(parseKeyId(ED)).toEqual({
      text: ED,
      did: ED,
      method: 'key',
      fragment: null,
      methodClass: 'offline',
      subject: null,
      site: null,
    });
    expect(parseKeyId(didOf(UINT256_MAX)).subject?.id).toBe(`${UINT256_MAX}`);
  });

  it('is the one name of an agent, whatever the case its registry is written in', () => {
    const checksummed = '0x5FbDB2315678afecb367f032d93F642f64180aa3';
    expect(agentDid(31337, checksummed, 7n)).toBe(didOf(7));
    expect(parseKeyId(agentDid(31337, checksummed, 7n)).did).toBe(didOf(7));
  });
});

const MALFORMED: readonly string[] = [
  '',
  'key-1',
  '#key-1',
  'did:',
  'did:key',
  'did:key:',
  'did::z6Mk',
  'DID:key:z6Mk',
  'did:KEY:z6Mk',
  ' did:key:z6Mk',
  'did:key:z6Mk ',
  'did:key:z6Mk\n',
  `${ED}#`,
  `${ED}##a`,
  `${ED}#a#b`,
  `${ED}#a%20b`,
  `${ED}#a/b`,
  `${ED}#a?b`,
  `${ED}#ä`,
  `${ED}?service=x#key`,
  `${ED}/path#key`,
  `${ED};v=1#key`,
  'did:key:Z6Mk',
  'did:key:1.1:z6Mk',
  'did:key:z6Mk0OIl',
  'did:key:u7QE',
  'did:jwk:eyJ9==',
  'did:jwk:a.b',
  'did:jwk:a:b',
  'did:sage:',
  'did:sage:eip155',
  `did:sage:eip155:1:${REGISTRY}`,
  `did:sage:eip155:1:${REGISTRY}:`,
  `did:sage:eip155:01:${REGISTRY}:1`,
  `did:sage:eip155:0:${REGISTRY}:1`,
  `did:sage:eip155:-1:${REGISTRY}:1`,
  `did:sage:eip155:0x1:${REGISTRY}:1`,
  `did:sage:eip155:1234567890123456:${REGISTRY}:1`,
  `did:sage:eip155:1:${REGISTRY}:01`,
  `did:sage:eip155:1:${REGISTRY}:-1`,
  `did:sage:eip155:1:${REGISTRY}:1e3`,
  `did:sage:eip155:1:${REGISTRY}:1:2`,
  `did:sage:eip155:1:${REGISTRY}:${UINT256_MAX + 1n}`,
  `did:sage:eip155:1:${REGISTRY}:1${'0'.repeat(78)}`,
  `did:sage:eip155:1:${REGISTRY.toUpperCase()}:1`,
  'did:sage:eip155:1:0x5FbDB2315678afecb367f032d93F642f64180aa3:1',
  `did:sage:eip155:1:${REGISTRY.slice(0, -1)}:1`,
  'did:ethr:0xabc',
  'did:ethr:0x01:0x5fbdb2315678afecb367f032d93f642f64180aa3',
  'did:ethr:goerli:0x5fbdb2315678afecb367f032d93f642f64180aa3',
  'did:ethr:0x045fbdb2315678afecb367f032d93f642f64180aa35fbdb2315678afecb367f032d93f64',
  `${ED}#${'a'.repeat(129)}`,
  `did:key:z${'1'.repeat(512)}`,
];

describe('a keyid in any other spelling is malformed', () => {
  it.each(MALFORMED)('%j', async (keyid) => {
    expect(await codeOf(() => parseKeyId(keyid))).toBe('did_malformed');
  });

  it('and one of a method that is not ours is told apart', async () => {
    expect(await codeOf(() => parseKeyId('did:ion:abc#k'))).toBe('did_method_unsupported');
    expect(await codeOf(() => parseKeyId('did:sage:solana:abc'))).toBe('did_method_unsupported');
  });

  it.each([
    ['did:ethr:mainnet:0x5FbDB2315678afecb367f032d93F642f64180aa3', `did:ethr:${REGISTRY}`],
    [`did:ethr:0x1:${REGISTRY}`, `did:ethr:${REGISTRY}`],
    [`did:ethr:sepolia:${REGISTRY}`, `did:ethr:0xaa36a7:${REGISTRY}`],
    [`did:ethr:0xAA36A7:${REGISTRY}`, `did:ethr:0xaa36a7:${REGISTRY}`],
    ['did:sage:ETH:Agent-1', 'did:sage:ethereum:Agent-1'],
    ['did:pkh:eip155:1:0x5FbDB2315678afecb367f032d93F642f64180aa3', `did:pkh:eip155:1:${REGISTRY}`],
  ])('%s is one name of %s', (sent, did) => {
    expect(parseKeyId(sent)).toMatchObject({ did, text: did });
    expect(parseKeyId(`${sent}#key-1`)).toMatchObject({ did, text: `${did}#key-1`, fragment: 'key-1' });
    expect(parseKeyId(did)).toEqual(parseKeyId(sent));
  });

  it('never ends in anything but a DidError, quickly, for any text', () => {
    const parts = fc.constantFrom(
      'did:',
      'key:',
      'jwk:',
      'sage:',
      'eip155:',
      '1:',
      REGISTRY,
      ':',
      '#',
      'z',
      '%',
      '/',
      '?',
    );
    const text = fc
      .array(fc.oneof(parts, fc.string({ maxLength: 20 })), { maxLength: 40 })
      .map((all) => all.join(''));
    fc.assert(
      fc.property(text, (keyid) => {
        try {
          const parsed = parseKeyId(keyid);
          return parsed.text === keyid && keyid.startsWith(parsed.did);
        } catch (error) {
          return error instanceof DidError && error.stack?.includes('\n    at ') === false;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes no longer for a text made to be slow', () => {
    const hostile = `did:sage:${'a:'.repeat(250)}!`.slice(0, 512);
    const startedAt = performance.now();
    for (let round = 0; round < 1_000; round += 1) {
      expect(() => parseKeyId(hostile)).toThrow(DidError);
    }
    expect((performance.now() - startedAt) / 1_000).toBeLessThan(1);
  });
});
