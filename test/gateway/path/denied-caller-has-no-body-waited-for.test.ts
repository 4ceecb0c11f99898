import { once } from 'node:events';
import { expect, test } from 'vitest';
import { codeOf, head, newCaller, openSocket, signed, startPath, statusOf } from './support.ts';

test.each([[[]], [['Expect: 100-continue']]])('a denied upload is refused by its head (%j)', async (more) => {
  const path = await startPath();
  const target = '/agents/signed/forbidden';
  const fields = signed(path, newCaller(), { method: 'POST', target, body: Buffer.from('hello') });
  const socket = await openSocket(path.port);
  socket.write(head(path, `POST ${target}`, fields, ['Content-Length: 5', ...more]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  const text = answer.toString('latin1');
  expect([statusOf(text), codeOf(text)]).toEqual([403, 'policy_denied']);
  await path.recorded(1);
  expect(path.records).toMatchObject([{ code: 'policy_denied', effect: 'deny', ruleId: 'forbidden' }]);
  expect(path.seen).toEqual([]);
  expect(path.app.exchanges.size).toBe(0);
  socket.destroy();
});
