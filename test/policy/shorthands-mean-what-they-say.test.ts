import { expect, test } from 'vitest';
import { decide } from '../../src/policy/decide.ts';
import { policyFromYaml, request } from './support.ts';

test('`max_requests_per_minute` is a limit per DID', () => {
  expect(policyFromYaml('max_requests_per_minute: 100').limits).toEqual({
    perDid: { rate: 100, periodMs: 60_000 },
  });
});

test('limits by address and by DID are data', () => {
  const { limits } = policyFromYaml(`
limits:
  - { id: per-ip, key: ip, when: pre_auth, rate: 600/m, burst: 50 }
  - { id: per-did, key: did, rate: 5/s }`);
  expect(limits).toEqual({
    perAddress: { rate: 600, periodMs: 60_000, burst: 50 },
    perDid: { rate: 5, periodMs: 1_000 },
  });
});

test('`auto_block_on_signature_failure` is a block of the source address', () => {
  expect(policyFromYaml('auto_block_on_signature_failure: true').threats).toEqual({
    blockOnSignatureFailure: { threshold: 5, windowMs: 60_000, blockMs: 600_000 },
  });
  expect(policyFromYaml('auto_block_on_signature_failure: false').threats).toEqual({});
});

test.each([
  ['US', 'allow', 'open'],
  ['DE', 'allow', 'open'],
  ['KR', 'deny', 'allowed_regions'],
  [null, 'deny', 'allowed_regions'],
] as const)('`allowed_regions: [US, EU]` from %s: %s', (region, effect, ruleId) => {
  const policy = policyFromYaml('allowed_regions: [US, EU]\nrules: [{ id: open, effect: allow }]');
  expect(decide(policy, request({ region }), 0)).toMatchObject({ effect, ruleId });
});

test('`unknown_region: allow` lets through who cannot be placed', () => {
  const policy = policyFromYaml(
    'allowed_regions: [US]\nunknown_region: allow\nrules: [{ id: open, effect: allow }]',
  );
  expect(decide(policy, request({ region: null }), 0).effect).toBe('allow');
  expect(decide(policy, request({ region: 'KR' }), 0).effect).toBe('deny');
});

test('a deny by region also hits who cannot be placed, unless unknown regions are allowed; an allow never does', () => {
  const deny = '\nrules: [{ id: open, effect: allow }, { id: no, effect: deny, match: { region: KP } }]';
  expect(decide(policyFromYaml(deny), request({ region: null }), 0).effect).toBe('deny');
  expect(decide(policyFromYaml(`unknown_region: allow${deny}`), request({ region: null }), 0).effect).toBe(
    'allow',
  );
  const allow = 'unknown_region: allow\nrules: [{ id: yes, effect: allow, match: { region: KP } }]';
  expect(decide(policyFromYaml(allow), request({ region: null }), 0).effect).toBe('deny');
});

test("sets stand for their values, in sets and presets too; `EU` may be one's own", () => {
  const policy = policyFromYaml(`
sets:
  ours: ["did:web:acme.com", "did:web:acme.com:*"]
  all: [$ours, "did:key:*"]
  EU: [CH]
  union: { preset: eu27 }
rules:
  - { id: friends, effect: allow, match: { did: $all, region: [EU, $union] } }`);
  const from = (did: string, region: string) => decide(policy, request({ did, region }), 0).effect;
  expect(from('did:web:acme.com:bot', 'CH')).toBe('allow');
  expect(from('did:key:z6Mk', 'SE')).toBe('allow');
  expect(from('did:key:z6Mk', 'NO')).toBe('deny');
  expect(from('did:web:acme.com.evil.example', 'CH')).toBe('deny');
});
