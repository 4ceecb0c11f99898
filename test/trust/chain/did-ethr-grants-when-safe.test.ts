import { expect, test } from 'vitest';
import { replayEthr } from '../../../src/trust/chain/ethr-history.ts';
import { attribute, delegate, HEAD_TIME, historyOf, IDENTITY, owner, type Told } from './ethr-history.ts';

const [ALICE, BOB, NOBODY] = ['a1', 'b0', '00'].map((byte) => `0x${byte.repeat(20)}`) as [
  string,
  string,
  string,
];
const NAME = 'did/pub/Ed25519/sigAuth/hex';
const KEY = `0x${'11'.repeat(32)}`;
const [SOON, LATE] = [HEAD_TIME + 100, HEAD_TIME + 10_000];

/** Fragments and ends of what counts and what waits. */
function read(safeBlock: number, ...told: readonly Told[]) {
  const { keys, pending, ...rest } = replayEthr(
    historyOf(...told),
    { address: IDENTITY },
    { safeBlock, headTime: HEAD_TIME },
  );
  const names = (list: typeof keys): string[] =>
    list.map(({ fragment, notAfter, material }) =>
      [fragment, material.kind === 'account' ? material.address.slice(2, 4) : notAfter - HEAD_TIME].join(' '),
    );
  return { keys: names(keys), pending: names(pending), ...rest };
}

test('a key waits until its block is safe; its revocation does not', () => {
  const set = attribute(10, NAME, KEY, SOON);
  expect(read(9, set)).toMatchObject({ keys: ['controller 1d'], pending: ['delegate-1 100'] });
  expect(read(10, set)).toMatchObject({ keys: ['controller 1d', 'delegate-1 100'], pending: [] });
  expect(read(10, set, attribute(50, NAME, KEY, 0))).toMatchObject({ keys: ['controller 1d'], pending: [] });
  expect(read(-1, set).keys).toEqual(['controller 1d']);
});

test('a delegate ends at the time of the block that revokes it, whatever our clock says', () => {
  const set = delegate(10, 'sigAuth', ALICE, LATE);
  expect(read(10, set).keys).toContain('delegate-1 a1');
  expect(read(10, set, delegate(50, 'sigAuth', ALICE, HEAD_TIME)).keys).toEqual(['controller 1d']);
});

test('while a renewal waits, the key keeps its old name for the shorter of both times', () => {
  const first = attribute(10, NAME, KEY, SOON);
  expect(read(10, first, attribute(50, NAME, KEY, LATE))).toMatchObject({
    keys: ['controller 1d', 'delegate-1 100'],
    pending: ['delegate-2 10000'],
  });
  const long = attribute(10, NAME, KEY, LATE);
  expect(read(10, long, attribute(50, NAME, KEY, SOON)).keys).toEqual(['controller 1d', 'delegate-1 100']);
  expect(read(50, first, attribute(50, NAME, KEY, LATE))).toMatchObject({
    keys: ['controller 1d', 'delegate-2 10000'],
    pending: [],
  });
});

test('what was revoked and set again waits, though it once was safe', () => {
  const told = [
    attribute(10, NAME, KEY, LATE),
    attribute(50, NAME, KEY, 0),
    attribute(51, NAME, KEY, LATE),
  ] as const;
  expect(read(49, ...told)).toMatchObject({ keys: ['controller 1d'], pending: ['delegate-3 10000'] });
  expect(read(50, ...told)).toMatchObject({ keys: ['controller 1d'], pending: ['delegate-3 10000'] });
  expect(read(51, ...told).keys).toEqual(['controller 1d', 'delegate-3 10000']);
});

test('the former owner stops at once, the new one counts when safe', () => {
  expect(read(49, owner(50, BOB))).toMatchObject({ keys: [], pending: ['controller b0'], owner: BOB });
  expect(read(50, owner(50, BOB)).keys).toEqual(['controller b0']);
  // Away and back again is a new grant, too.
  expect(read(49, owner(50, BOB), owner(51, IDENTITY))).toMatchObject({
    keys: [],
    pending: ['controller 1d'],
  });
});

test('given to nobody it is over for good, although the contract lets its first owner go on', () => {
  const over = read(9, attribute(5, NAME, KEY, LATE), owner(10, NOBODY));
  expect(over).toMatchObject({ deactivated: true, keys: [], pending: [], owner: IDENTITY });
  const again = read(20, owner(10, NOBODY), owner(11, BOB), attribute(12, NAME, KEY, LATE));
  expect(again).toMatchObject({ deactivated: true, keys: [], pending: [], owner: BOB });
});

test('a name keeps its meaning: an attribute nobody can use counts, valid or not', () => {
  const odd = (validTo: number) => attribute(5, 'did/pub/Ed25519/sigAuth/hex/x', KEY, validTo);
  const key = attribute(6, NAME, KEY, LATE);
  expect(read(9, odd(LATE), key).keys).toEqual(['controller 1d', 'delegate-2 10000']);
  expect(read(9, odd(0), key).keys).toEqual(['controller 1d', 'delegate-2 10000']);
});

test('an event that is missing between two others is noticed', () => {
  const [first, second, third] = historyOf(
    attribute(5, NAME, KEY, LATE),
    attribute(6, NAME, KEY, 0),
    owner(7, BOB),
  );
  const replay = (logs: Parameters<typeof replayEthr>[0]) =>
    replayEthr(logs, { address: IDENTITY }, { safeBlock: 9, headTime: HEAD_TIME });
  expect(() => replay([first, third] as never)).toThrow('no event of block 6');
  expect(() => replay([second, third] as never)).toThrow('no event of block 5');
});

test('only sigAuth authenticates, X25519 never, and what is no key is none', () => {
  const flags = (name: string, value: string) =>
    replayEthr(
      historyOf(attribute(5, name, value, LATE)),
      { address: IDENTITY },
      { safeBlock: 9, headTime: HEAD_TIME },
    ).keys.find(({ fragment }) => fragment === 'delegate-1')?.flags;
  expect(flags('did/pub/Ed25519/sigAuth/hex', KEY)).toBe(3);
  expect(flags('did/pub/Ed25519/veriKey/base64', KEY)).toBe(2);
  expect(flags('did/pub/Ed25519', KEY)).toBe(2);
  expect(flags('did/pub/X25519/enc/hex', KEY)).toBe(4);
  expect(flags('did/pub/X25519/sigAuth/hex', KEY)).toBe(4);
  expect(flags('did/pub/Ed25519/sigAuth/hex', `${KEY}00`)).toBeUndefined();
  expect(flags('did/pub/Secp256k1/sigAuth/hex', `0x02${'00'.repeat(32)}`)).toBeUndefined();
  expect(flags('did/pub/RSA/sigAuth/pem', `0x${Buffer.from('no key').toString('hex')}`)).toBeUndefined();
  expect(flags('did/pub/Quantum/sigAuth/hex', KEY)).toBeUndefined();
});
