import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../../../src/trust/wire/errors.ts';
import type { RequestParts } from '../../../src/trust/wire/message.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { serialiseDictionary, serialiseItem, serialiseList } from '../../../src/trust/wire/serialise.ts';
import { selectSignature } from '../../../src/trust/wire/signature-input.ts';
import type {
  BareItem,
  Dictionary,
  Item,
  List,
  Member,
  Parameters,
} from '../../../src/trust/wire/structured-fields.ts';
import { parseDictionary, parseItem, parseList } from '../../../src/trust/wire/structured-fields.ts';
import { signatureBase } from '../../../src/trust/wire/verify.ts';
import { signed, verificationKey, verify } from './support/messages.ts';

const of = (characters: string) => fc.constantFrom(...Array.from(characters));
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const keys = fc
  .tuple(of(`${LOWER}*`), fc.string({ unit: of(`${LOWER}0123456789_-.*`), maxLength: 8 }))
  .map((parts) => parts.join(''));
const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 20 });
const tokenText = fc
  .tuple(of('AZaz*'), fc.string({ unit: of("!#$%&'*+-.^_`|~09AZaz:/"), maxLength: 8 }))
  .map((parts) => parts.join(''));
const integers = fc.integer({ min: -999_999_999, max: 999_999_999 });
const bareItems: fc.Arbitrary<BareItem> = fc.oneof(
  integers,
  fc.constantFrom(999_999_999_999_999, -999_999_999_999_999),
  integers.map((value) => ({ type: 'decimal' as const, value: value === 0 ? 0 : value / 1000 })),
  ascii,
  fc.boolean(),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  tokenText.map((value) => ({ type: 'token' as const, value })),
  integers.map((value) => ({ type: 'date' as const, value })),
  fc.string({ unit: 'grapheme', maxLength: 10 }).map((value) => ({ type: 'display' as const, value })),
);
const params: fc.Arbitrary<Parameters> = fc
  .array(fc.tuple(keys, bareItems), { maxLength: 3 })
  .map((entries) => new Map(entries));
const items: fc.Arbitrary<Item> = fc.record({ value: bareItems, params });
const members: fc.Arbitrary<Member> = fc.oneof(
  items,
  fc.record({ items: fc.array(items, { maxLength: 3 }), params }),
);
const lists: fc.Arbitrary<List> = fc.array(members, { maxLength: 4 });
const dictionaries: fc.Arbitrary<Dictionary> = fc
  .array(fc.tuple(keys, members), { maxLength: 4 })
  .map((entries) => new Map(entries));

describe('structured fields', () => {
  test('what is serialised parses to the same, and serialises to the same', () => {
    fc.assert(
      fc.property(items, lists, dictionaries, (item, list, dictionary) => {
        expect(parseItem(serialiseItem(item))).toEqual(item);
        expect(parseList(serialiseList(list))).toEqual(list);
        const parsed = parseDictionary(serialiseDictionary(dictionary));
        expect([...parsed]).toEqual([...dictionary]);
        expect(serialiseDictionary(parsed)).toBe(serialiseDictionary(dictionary));
      }),
      { numRuns: 500 },
    );
  });

  test('any text parses or is refused with a WireError', () => {
    const text = fc.string({ unit: of('"\\()=;:,?*@%-.0123456789abzAZ \t\u00e9\n'), maxLength: 60 });
    fc.assert(
      fc.property(text, (value) => {
        for (const parse of [parseItem, parseList, parseDictionary]) {
          try {
            parse(value);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

const methods = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH');
const targets = fc
  .tuple(
    fc.array(fc.string({ unit: of(`${LOWER}AZ09-._~%2`), maxLength: 8 }), { maxLength: 4 }),
    fc.option(fc.string({ unit: of('ab01=&+%2f?/'), maxLength: 20 }), { nil: undefined }),
  )
  .map(([path, query]) => `/${path.join('/')}${query === undefined ? '' : `?${query}`}`);
const requests: fc.Arbitrary<RequestParts> = fc
  .record({ method: methods, target: targets, value: ascii, label: keys })
  .map(({ method, target, value }) => ({
    method,
    scheme: 'https',
    authority: 'gateway.example',
    target,
    rawHeaders: ['Host', 'gateway.example', 'X-Value', value, 'x-value', value],
  }));
const COMPONENTS = ['@method', '@authority', '@path', '@query', 'x-value', '"x-value";bs'];

describe('signatures', () => {
  test('whatever is signed verifies', () => {
    fc.assert(
      fc.property(
        requests,
        keys,
        ascii.filter((text) => text !== ''),
        (parts, label, nonce) => {
          const message = signed(parts, { label, components: COMPONENTS, params: { nonce } });
          expect(verify(message).params.nonce).toBe(nonce);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a change to anything covered, or to the fields themselves, never verifies and only throws WireError', () => {
    const message = signed(undefined, { components: [...COMPONENTS.slice(0, 4), 'accept'] });
    const original = selectSignature(requestView(message));
    const change = fc.record({
      header: fc.constantFrom('Accept', 'Signature-Input', 'Signature'),
      at: fc.nat(400),
      remove: fc.nat(3),
      insert: fc.string({ unit: of('"\\()=;:,?*@%-.019abzAZ +/\t\u00e9'), maxLength: 3 }),
    });
    fc.assert(
      fc.property(change, ({ header, at, remove, insert }) => {
        const index = message.rawHeaders.indexOf(header) + 1;
        const value = message.rawHeaders[index] ?? '';
        const place = at % (value.length + 1);
        const changed = value.slice(0, place) + insert + value.slice(place + remove);
        if (changed === value) return;
        const view = requestView({ ...message, rawHeaders: message.rawHeaders.with(index, changed) });
        try {
          const signature = selectSignature(view);
          const base = signature && signatureBase(signature, view);
          if (!signature || !base || !verificationKey.verify(base, signature.signature)) return;
          // It may verify only when nothing it says was changed: white space, or what stands beside it.
          expect(signature.paramsLine).toBe(original?.paramsLine);
          expect(signature.signature).toEqual(original?.signature);
          expect(view.fields.value('accept')).toBe('application/json');
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 4000 },
    );
  });
});
