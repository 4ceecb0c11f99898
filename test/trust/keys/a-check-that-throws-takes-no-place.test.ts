import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  POOLED_VERIFICATIONS_MAX,
  pooledVerifications,
  verifyOnThread,
} from '../../../src/trust/keys/thread-pool.ts';

test('a check that cannot even begin takes no place among those under way', async () => {
  const { publicKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const data = Buffer.from('what is signed');
  const checks = Array.from({ length: POOLED_VERIFICATIONS_MAX + 1 }, () =>
    verifyOnThread('no such hash', data, { key }, Buffer.alloc(96)),
  );
  const outcomes = await Promise.allSettled(checks);
  expect(outcomes.map(({ status }) => status)).not.toContain('fulfilled');
  expect(pooledVerifications()).toBe(0);
});
