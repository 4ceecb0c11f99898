import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'vitest';
import { openDatabase } from '../../../src/store/open-database.ts';
import { placeAt } from '../contract/support.ts';
import { ownPostgres, postgresTest } from './postgres-support.ts';
import { openAt } from './support.ts';

const postgres = ownPostgres();

postgresTest(
  'one that does not come is waited for as long as was said, then named without its password',
  async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const address = probe.address();
    probe.close();
    await once(probe, 'close');
    const port = address === null || typeof address === 'string' ? 0 : address.port;
    const { options, lines } = placeAt(`postgresql://sage:hunter2hunter2@127.0.0.1:${port}/sage`, '/nowhere');
    const started = performance.now();
    const opening = openDatabase({ ...options, startMs: 700 });
    await expect(opening).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port}/sage: .*ECONNREFUSED`)),
    });
    const tookMs = performance.now() - started;
    expect(tookMs).toBeGreaterThan(600);
    expect(tookMs).toBeLessThan(3_000);
    expect(lines.map(({ message }) => message)).toEqual(['database not ready, trying again']);
    await opening.catch((error: Error) => {
      expect(`${error.stack} ${JSON.stringify(error)} ${JSON.stringify(lines)}`).not.toContain('hunter2');
    });
  },
);

postgresTest('one that comes while it is waited for is used', async () => {
  const server = postgres();
  const url = await server.createDatabase();
  await server.kill();
  const opening = openAt(url, '/nowhere');
  await server.start();
  const { database } = await opening;
  expect(await database.agents.all()).toEqual([]);
});

postgresTest.each([
  ['a wrong password', (url: URL) => (url.password = 'hunter2hunter2'), 'password authentication failed'],
  ['an unknown database', (url: URL) => (url.pathname = '/nowhere'), 'does not exist'],
  ['a host that is none', (url: URL) => (url.hostname = 'nowhere.invalid'), 'nowhere.invalid'],
])('%s is said, and no secret with it', async (_what, change, said) => {
  const url = new URL(postgres().url());
  change(url);
  const opening = openDatabase({ ...placeAt(url.href, '/nowhere').options, startMs: 0 });
  await expect(opening).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining(said),
  });
  await opening.catch((error: Error) => {
    for (const secret of ['hunter2', postgres().password])
      expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain(secret);
  });
});
