import { beforeEach, describe, expect, test } from 'vitest';
import type { NonceOutcome } from '../../../src/store/nonces.ts';
import { type Asking, ask, type Bench, BODY, openBench } from './support.ts';

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});

type Row = readonly [
  outcome: NonceOutcome,
  policy: NonNullable<Asking['nonceDownPolicy']>,
  method: string,
  code: string,
];
const rows: readonly Row[] = [
  ['reserved', 'refuse', 'POST', ''],
  ['replayed', 'refuse', 'GET', 'nonce_replayed'],
  ['replayed', 'refuse_unsafe', 'GET', 'nonce_replayed'],
  ['full', 'refuse', 'GET', 'nonce_store_full'],
  ['forgotten', 'refuse', 'GET', 'signature_predates_start'],
  ['forgotten', 'refuse_unsafe', 'GET', 'signature_predates_start'],
  // Full is not away: what cannot be remembered is not accepted, whatever the route allows.
  ['full', 'refuse_unsafe', 'GET', 'nonce_store_full'],
  ['unavailable', 'refuse', 'GET', 'nonce_store_unavailable'],
  ['unavailable', 'refuse_unsafe', 'GET', ''],
  ['unavailable', 'refuse_unsafe', 'HEAD', ''],
  ['unavailable', 'refuse_unsafe', 'OPTIONS', ''],
  ['unavailable', 'refuse_unsafe', 'POST', 'nonce_store_unavailable'],
  ['unavailable', 'refuse_unsafe', 'PUT', 'nonce_store_unavailable'],
  ['unavailable', 'refuse_unsafe', 'DELETE', 'nonce_store_unavailable'],
  ['unavailable', 'refuse_unsafe', 'PATCH', 'nonce_store_unavailable'],
];

describe.each(['at once', 'later'])('told %s', (when) => {
  test.each(rows)('%s, %s, %s: %j', async (outcome, nonceDownPolicy, method, code) => {
    bench.outcome = when === 'later' ? Promise.resolve(outcome) : outcome;
    expect((await ask(bench, { method, nonceDownPolicy })).code).toBe(code);
  });

  test.each(['replayed', 'forgotten', 'full', 'unavailable'] as const)(
    '%s gives the room of its body back',
    async (outcome) => {
      bench.outcome = when === 'later' ? Promise.resolve(outcome) : outcome;
      expect((await ask(bench, { body: BODY })).code).not.toBe('');
      expect(bench.settings.budget.heldBytes).toBe(0);
    },
  );
});

describe('a signature dated ahead of the clock', () => {
  test('is marked before its nonce is reserved', async () => {
    expect((await ask(bench, { createdIn: 3 })).code).toBe('');
    expect(bench.asked.indexOf('mark')).toBeLessThan(bench.asked.indexOf('reserve'));
    expect(bench.asked).toContain('mark');
  });

  test('is refused where it cannot be marked', async () => {
    bench.marks = false;
    expect((await ask(bench, { createdIn: 3 })).code).toBe('nonce_store_unavailable');
    expect(bench.asked).not.toContain('reserve');
  });

  test('one of now is marked too, but not refused where it cannot be: a restart refuses it by its own clock', async () => {
    bench.marks = false;
    expect((await ask(bench)).code).toBe('');
    expect(bench.asked).toContain('mark');
  });
});
