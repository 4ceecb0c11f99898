import { mkdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { send } from '../e2e/support/clients.ts';
import { spawnGateway } from '../e2e/support/process.ts';
import { ALLOW_ALL, CLUSTER_SECRET, makeFolder, nextSecond, writeGatewayFiles } from '../support/gateway.ts';
import { type InstalledPackage, installedPackage } from '../support/packed.ts';
import { redisAvailable, startRedis } from '../support/redis.ts';

const PACK_TIMEOUT_MS = 240_000;
let installed: InstalledPackage;
let agent: TestAgent;
let folder: string;
beforeAll(async () => {
  installed = await installedPackage();
  folder = makeFolder();
  agent = await startAgent({ answer: (_request, response) => void response.end('ok') });
}, PACK_TIMEOUT_MS);
afterAll(async () => {
  await agent?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the installed command in an empty folder, asks it once with and once without a signature, and ends it. */
async function serve(place: string, more: Record<string, string>): Promise<void> {
  mkdirSync(place);
  const files = { agents: [`{ id: echo, upstreams: ["${agent.url}"] }`], policy: ALLOW_ALL };
  const env = await writeGatewayFiles(place, { ...files, env: more });
  await using child = spawnGateway(env, { command: [installed.sage, 'serve'], folder: place });
  const gateway = await child.listening();
  await nextSecond();
  const call = { method: 'POST', target: '/agents/echo/today', body: Buffer.from('{}') };
  expect(await send(gateway, signed(newCaller(), gateway.origin, call))).toMatchObject({
    status: 200,
    body: 'ok',
  });
  expect(await send(gateway, call)).toMatchObject({ status: 401 });
  child.signal('SIGTERM');
  expect(await child.exited).toBe(0);
  expect(child.stderr()).toBe('');
}

test('a signed request gets through, an unsigned one does not', async () => {
  await serve(`${folder}/alone`, {});
}, 30_000);

test.skipIf(!redisAvailable())(
  'with Redis too, whose scripts are packed',
  async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    await serve(`${folder}/shared`, { REDIS_URL: redis.url, CLUSTER_SECRET });
    await redis.stop();
  },
  30_000,
);

test('what keeps it from starting is said, with an exit code of its own', async () => {
  await using child = spawnGateway({ PORT: 'many' }, { command: [installed.sage, 'serve'], folder });
  expect(await child.exited).toBeGreaterThan(0);
  expect(child.stderr()).toContain('PORT');
}, 30_000);
