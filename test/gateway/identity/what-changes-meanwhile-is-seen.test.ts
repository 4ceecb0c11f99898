import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import type { NonceOutcome } from '../../../src/store/nonces.ts';
import { ask, type Bench, BODY, openBench } from './support.ts';

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});

describe('a key revoked', () => {
  test('while the nonce was being reserved', async () => {
    const reserving = Promise.withResolvers<NonceOutcome>();
    bench.outcome = reserving.promise;
    const answer = ask(bench);
    bench.stands = false;
    reserving.resolve('reserved');
    expect((await answer).code).toBe('key_withdrawn');
  });

  test.each([false, true])('while the body arrived; streamed: %s', async (streamed) => {
    const reserving = Promise.withResolvers<NonceOutcome>();
    bench.outcome = reserving.promise;
    const answer = ask(bench, { body: BODY, streamed });
    bench.stands = false;
    reserving.resolve('reserved');
    expect((await answer).code).toBe('key_withdrawn');
    expect(bench.settings.budget.heldBytes).toBe(0);
  });
});

test('a signature that grew old while its body arrived is refused, its nonce not spent', async () => {
  const body = new PassThrough();
  const answer = ask(bench, { body, signedBody: BODY });
  body.write(BODY.subarray(0, 4));
  bench.nowMs += 66_000;
  body.end(BODY.subarray(4));
  expect((await answer).code).toBe('signature_too_old');
  expect(bench.asked).not.toContain('reserve');
  expect(bench.settings.budget.heldBytes).toBe(0);
});

test('what identity has handed on stays counted until it is given back', async () => {
  const { identified } = await ask(bench, { body: BODY });
  expect(bench.settings.budget.heldBytes).toBe(identified?.body?.length);
});
