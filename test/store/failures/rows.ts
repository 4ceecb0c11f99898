import type { DecisionRow, RevocationRow } from '../../../src/store/database.ts';

const AT_MS = 1_800_000_000_000;

export const revocationRow = (id: string): RevocationRow => ({
  id,
  did: `did:web:${id}.example`,
  keyId: null,
  reason: 'stolen',
  createdAtMs: AT_MS,
  createdBy: 'key:one',
  expiresAtMs: null,
});

export const decisionRow = (requestId: string, more: Partial<DecisionRow> = {}): DecisionRow => ({
  requestId,
  atMs: AT_MS,
  traceId: 'a'.repeat(32),
  transport: 'http1',
  method: 'POST',
  path: '/agents/echo/x',
  address: '192.0.2.1',
  agentId: 'echo',
  did: 'did:web:c.example',
  keyId: 'did:web:c.example#1',
  effect: 'allow',
  ruleId: 'rule',
  policyRevision: 'abc',
  status: 200,
  code: '',
  detail: '{}',
  ...more,
});
