import { webcrypto } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  createRandom32,
  formatTraceparent,
  newSpanId,
  newTraceId,
  parseTraceparent,
} from '../../src/gateway/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

const accepted: [value: string, flags: number][] = [
  [`00-${TRACE}-${SPAN}-01`, 1],
  [`00-${TRACE}-${SPAN}-00`, 0],
  [`00-${TRACE}-${SPAN}-ff`, 255],
  // Of a later version, only the first four fields and the sampled flag are known.
  [`01-${TRACE}-${SPAN}-03`, 1],
  [`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, 1],
];
test.each(accepted)('%s is read', (value, flags) => {
  expect(parseTraceparent(value)).toEqual({ traceId: TRACE, parentSpanId: SPAN, flags });
});

const ignored: [name: string, value: string | undefined][] = [
  ['nothing', undefined],
  ['an empty value', ''],
  ['version ff', `ff-${TRACE}-${SPAN}-01`],
  ['a zero trace id', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a zero parent id', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['upper-case flags', `00-${TRACE}-${SPAN}-0A`],
  ['more than version 00 has', `00-${TRACE}-${SPAN}-01-extra`],
  ['a later version without a dash', `cc-${TRACE}-${SPAN}-01what`],
  ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
  ['missing flags', `00-${TRACE}-${SPAN}`],
  ['other separators', `00_${TRACE}_${SPAN}_01`],
  ['what is not hex', `00-${TRACE.replace('4', 'g')}-${SPAN}-01`],
  ['space before', ` 00-${TRACE}-${SPAN}-01`],
  ['space after', `00-${TRACE}-${SPAN}-01 `],
  ['two joined by a comma', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ['an endless one', `cc-${TRACE}-${SPAN}-01-${'x'.repeat(1000)}`],
];
test.each(ignored)('%s is ignored', (_name, value) => {
  expect(parseTraceparent(value)).toBeNull();
});

test('ids are well-formed, survive a round trip and do not repeat', () => {
  const random = createRandom32(webcrypto.getRandomValues(new Uint32Array(4)));
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const traceId = newTraceId(random);
    const spanId = newSpanId(random);
    expect(parseTraceparent(formatTraceparent(traceId, spanId, 1))).toEqual({
      traceId,
      parentSpanId: spanId,
      flags: 1,
    });
    seen.add(traceId).add(spanId);
  }
  expect(seen.size).toBe(40_000);
});

test('a generator that draws zeros still makes valid ids', () => {
  const zero = (): number => 0;
  expect(parseTraceparent(formatTraceparent(newTraceId(zero), newSpanId(zero), 0))).not.toBeNull();
  expect(createRandom32(new Uint32Array(4))()).toBeTypeOf('number');
});

test("a trace id's low bits, which samplers read, are evenly spread", () => {
  const random = createRandom32(new Uint32Array([1, 2, 3, 4]));
  let low = 0;
  for (let i = 0; i < 100_000; i++) if (Number.parseInt(newTraceId(random).slice(-8), 16) < 2 ** 31) low++;
  expect(Math.abs(low - 50_000)).toBeLessThan(1000);
});
