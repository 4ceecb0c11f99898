import { expect, test } from 'vitest';
import { alone, atOnce, NOW } from './support.ts';

const perDid = { ratePerPeriod: 100, periodMs: 60_000, burst: 20 };

test('an allowed call carries the quota and what is left of it', () => {
  const { admission } = alone();
  admission.setLimits({ perDid });
  const verdict = atOnce(admission.admitCaller('did:web:a.example', NOW));
  expect(verdict).toMatchObject({ allowed: true, code: '', refusal: null });
  expect(verdict.headers).toEqual([
    'ratelimit-policy',
    '"per-did";q=100;w=60',
    'ratelimit',
    '"per-did";r=19;t=1',
  ]);
});

test('a refused call carries the quota, nothing left, and when to come back', () => {
  const { admission } = alone();
  admission.setLimits({ perDid });
  for (let call = 0; call < 20; call += 1)
    expect(atOnce(admission.admitCaller('did:web:a.example', NOW)).allowed).toBe(true);
  const verdict = atOnce(admission.admitCaller('did:web:a.example', NOW));
  const headers = [
    'ratelimit-policy',
    '"per-did";q=100;w=60',
    'ratelimit',
    '"per-did";r=0;t=12',
    'retry-after',
    '1',
  ];
  expect(verdict).toMatchObject({ allowed: false, code: 'caller_rate_limited', headers });
  expect(verdict.refusal).toMatchObject({
    kind: { status: 429, code: 'caller_rate_limited', retryable: true },
    headers,
  });
  expect(atOnce(admission.admitCaller('did:web:b.example', NOW)).allowed).toBe(true);
});

test('Retry-After is long enough: after it the call is allowed', () => {
  const { admission } = alone();
  admission.setLimits({ perDid: { ratePerPeriod: 7, periodMs: 60_000, burst: 1 } });
  void admission.admitCaller('did:web:a.example', NOW);
  const { headers } = atOnce(admission.admitCaller('did:web:a.example', NOW));
  const seconds = Number(headers[headers.indexOf('retry-after') + 1]);
  expect(seconds).toBe(9);
  expect(atOnce(admission.admitCaller('did:web:a.example', NOW + seconds * 1000)).allowed).toBe(true);
});

test('callers without a rule are not limited and hear of no quota', () => {
  const { admission } = alone();
  const verdict = atOnce(admission.admitCaller('did:web:a.example', NOW));
  expect(verdict).toMatchObject({ allowed: true, headers: [] });
});

test('an address has 600 a minute and bursts of 50 before any policy says otherwise, IPv6 by its /64', () => {
  const { admission } = alone();
  for (let call = 0; call < 50; call += 1) {
    expect(atOnce(admission.admitAddress(`2001:db8::${call.toString(16)}`, NOW)).allowed).toBe(true);
  }
  const verdict = atOnce(admission.admitAddress('2001:db8::ffff', NOW));
  expect(verdict.code).toBe('address_rate_limited');
  expect(verdict.headers.join('|')).toBe(
    'ratelimit-policy|"per-address";q=600;w=60|ratelimit|"per-address";r=0;t=5|retry-after|1',
  );
  expect(atOnce(admission.admitAddress('2001:db8:0:1::1', NOW)).allowed).toBe(true);
  expect(atOnce(admission.admitAddress('::ffff:192.0.2.1', NOW)).headers[3]).toContain('r=49');
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).headers[3]).toContain('r=48');
});

test('new limits hold from the next call on, and going back to none restores the default', () => {
  const { admission } = alone();
  admission.setLimits({ perAddress: { ratePerPeriod: 1, periodMs: 1_000, burst: 1 } });
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).allowed).toBe(true);
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).allowed).toBe(false);
  admission.setLimits({});
  expect(atOnce(admission.admitAddress('192.0.2.1', NOW)).allowed).toBe(true);
});

test('no room to count is 503, with when to come back and no quota that was not counted', () => {
  const { admission } = alone(16);
  for (let at = 0; at < 16; at += 1) void admission.admitAddress(`192.0.2.${at}`, NOW);
  const verdict = atOnce(admission.admitAddress('192.0.2.99', NOW));
  expect(verdict).toMatchObject({ code: 'limits_unavailable', headers: ['retry-after', '1'] });
  expect(verdict.refusal?.kind.status).toBe(503);
});
