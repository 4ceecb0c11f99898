import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createRequestIds } from '../../../src/gateway/listener/request-id.ts';
import { openSession, requestHttp2, sendRaw, startListener } from './support.ts';

test('26 characters, unique within a process and between processes, sorted by time', () => {
  let now = 1_700_000_000_000;
  const one = createRequestIds(() => now, randomBytes(14));
  const two = createRequestIds(() => now, randomBytes(14));
  const early = one();
  const seen = new Set<string>([early]);
  for (let i = 0; i < 50_000; i++) {
    seen.add(one());
    seen.add(two());
  }
  expect(seen.size).toBe(100_001);
  for (const id of seen) expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  now += 1;
  expect(two().slice(0, 10) > early.slice(0, 10)).toBe(true);
});

test('the first ten characters are the time', () => {
  const id = createRequestIds(() => 1_469_922_850_259, randomBytes(14))();
  // The value of the ULID specification's own example.
  expect(id.slice(0, 10)).toBe('01ARZ3NDEK');
});

test("a caller's own id is not taken for ours", async () => {
  const running = await startListener((app) => {
    app.get('/', (req) => ({ id: req.id }));
  });
  const answer = await sendRaw(
    running.port,
    'GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: forged\r\nRequest-Id: forged\r\nConnection: close\r\n\r\n',
  );
  const session = await openSession(`http://127.0.0.1:${running.port}`);
  const second = await requestHttp2(session, { 'x-request-id': 'forged' });
  session.destroy();
  expect(answer.problem.id).toMatch(/^[0-9A-Z]{26}$/);
  expect(JSON.parse(second.body).id).toMatch(/^[0-9A-Z]{26}$/);
  await running.app.close();
});
