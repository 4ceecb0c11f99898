import { expect, test } from 'vitest';
import { alone, atOnce, NOW } from './support.ts';

const rule = { threshold: 5, windowMs: 60_000, blockMs: 600_000 };

test('the fifth failure blocks the address for ten minutes; the DID it claimed still calls from elsewhere', () => {
  const { admission } = alone();
  admission.setLimits({ blockOnSignatureFailure: rule });
  for (let failure = 1; failure <= 4; failure += 1) admission.noteSignatureFailure('2001:db8::1', NOW);
  expect(atOnce(admission.admitAddress('2001:db8::1', NOW)).allowed).toBe(true);
  admission.noteSignatureFailure('2001:db8::2', NOW);
  const verdict = atOnce(admission.admitAddress('2001:db8::3', NOW));
  expect(verdict).toMatchObject({ code: 'address_blocked', headers: ['retry-after', '600'] });
  expect(verdict.refusal?.kind).toMatchObject({ status: 429, retryable: true });
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).allowed).toBe(true);
  expect(atOnce(admission.admitCaller('did:web:claimed.example', NOW)).allowed).toBe(true);
  expect(atOnce(admission.admitAddress('2001:db8::1', NOW + 600_000)).allowed).toBe(true);
});

test('a blocked address costs its own budget nothing', () => {
  const { admission } = alone();
  admission.setLimits({
    perAddress: { ratePerPeriod: 1, periodMs: 60_000, burst: 1 },
    blockOnSignatureFailure: rule,
  });
  for (let failure = 1; failure <= 5; failure += 1) admission.noteSignatureFailure('192.0.2.1', NOW);
  for (let call = 0; call < 10; call += 1)
    expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).code).toBe('address_blocked');
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW + 600_000)).allowed).toBe(true);
});

test('without the rule failures block nobody', () => {
  const { admission } = alone();
  for (let failure = 1; failure <= 50; failure += 1) admission.noteSignatureFailure('192.0.2.1', NOW);
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).allowed).toBe(true);
});
