import { beforeEach, describe, expect, test } from 'vitest';
import { type Caller, newCaller } from '../../e2e/support/callers.ts';
import { type Asking, alice, ask, type Bench, BODY, openBench } from './support.ts';

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});

const drop =
  (...names: string[]): NonNullable<Asking['fields']> =>
  (fields) =>
    fields.filter(([name]) => !names.includes(name));

describe('no key is asked for', () => {
  test.each<readonly [string, Asking, string]>([
    ['nothing signed', { fields: drop('signature', 'signature-input') }, 'signature_required'],
    ['a signature that is too old', { createdIn: -66 }, 'signature_too_old'],
    ['one of the future', { createdIn: 7 }, 'created_in_future'],
    ['one that has expired', { createdIn: -10, expiresIn: -1 }, 'signature_expired'],
    [
      'a body that is not covered',
      {
        body: BODY,

        fields: (fields) =>
          fields.map(([name, value]) => [
            name,
            name === 'signature-input' ? value.replace(' "content-digest"', '') : value,
          ]),
      },
      'coverage_insufficient',
    ],
    ['an algorithm that is off', { by: offAlgorithm() }, 'algorithm_unsupported'],
  ])('%s', async (_what, asking, code) => {
    expect((await ask(bench, asking)).code).toBe(code);
    expect(bench.asked).toEqual([]);
  });

  test('a signature from before memory began', async () => {
    bench.predates = true;
    expect((await ask(bench)).code).toBe('signature_predates_start');
    expect(bench.asked).toEqual([]);
  });
});

describe('no body is read and no nonce spent', () => {
  test('a signature that does not verify', async () => {
    const forger = { signer: { keyId: alice.signer.keyId, key: newCaller().signer.key } };
    expect((await ask(bench, { by: forger, body: BODY })).code).toBe('signature_invalid');
    expect(bench.asked).toEqual(['find', 'checked']);
    expect(bench.settings.budget.heldBytes).toBe(0);
  });

  test('a key that was withdrawn while it was fetched', async () => {
    bench.admits = false;
    expect((await ask(bench, { body: BODY })).code).toBe('key_withdrawn');
    expect(bench.asked).toEqual(['find', 'checked']);
  });
});

test('no nonce is spent on a body that is not the one signed', async () => {
  expect((await ask(bench, { body: Buffer.from('{"pay":9}'), signedBody: BODY })).code).toBe(
    'digest_mismatch',
  );
  expect(bench.asked).toEqual(['find', 'checked', 'verified']);
  expect(bench.settings.budget.heldBytes).toBe(0);
});

test('in this order for a request that is accepted', async () => {
  const { identified } = await ask(bench, { body: BODY });
  expect(identified).toMatchObject({ caller: { did: alice.did, method: 'signature', algorithm: 'ed25519' } });
  expect(identified?.body).toEqual(BODY);
  expect(bench.asked).toEqual(['find', 'checked', 'verified', 'mark', 'reserve', 'stands']);
});

test('a covered digest of nothing is checked as well', async () => {
  const good = await ask(bench, { method: 'POST', signedBody: Buffer.alloc(0) });
  expect(good.code).toBe('');
  expect((await ask(bench, { method: 'POST', signedBody: BODY })).code).toBe('digest_mismatch');
});

/** Somebody whose signatures name an algorithm with a history of forgeries. */
function offAlgorithm(): Caller {
  const caller = newCaller();
  const { key, keyId } = caller.signer;
  return {
    ...caller,
    signer: { keyId, key: { algorithm: 'rsa-v1_5-sha256', sign: (data) => key.sign(data) } },
  };
}
