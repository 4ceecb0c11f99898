import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOW_ALL, CLUSTER_SECRET, makeFolder, openGateway, type TestGateway } from '../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, type SigningChoices, signed } from './support/callers.ts';
import { send } from './support/clients.ts';

const ORIGIN = 'https://gateway.example';
const alice = newCaller();
const folders: string[] = [];
let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent();
});
afterAll(async () => {
  await agent.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = makeFolder();
  folders.push(folder);
  return folder;
}

const open = (folder: string, env: Record<string, string> = {}, atOnce = false): Promise<TestGateway> =>
  openGateway({
    atOnce,
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    folder,
    env: { PUBLIC_ORIGINS: ORIGIN, ...env },
  });

const call = (choices: SigningChoices = {}): Call => ({
  ...signed(alice, ORIGIN, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') }, choices),
  authority: 'gateway.example',
});

describe('without Redis', () => {
  test('a request accepted before it, dated now or ahead of the clock', async () => {
    const folder = newFolder();
    const past = call();
    const ahead = call({ createdIn: 4 });
    {
      await using before = await open(folder);
      const accepted = call();
      expect(await send(before, accepted)).toMatchObject({ status: 200 });
      expect(await send(before, ahead)).toMatchObject({ status: 200 });
    }
    await using after = await open(folder);
    expect(await send(after, past)).toMatchObject({ status: 401, code: 'signature_predates_start' });
    expect(await send(after, ahead)).toMatchObject({ status: 401, code: 'signature_predates_start' });
    expect(await send(after, call({ createdIn: 5 }))).toMatchObject({ status: 200 });
  });

  test('one accepted in its last moment, sent again in its first', async () => {
    const folder = newFolder();
    const before = await open(folder);
    const accepted = call();
    expect(await send(before, accepted)).toMatchObject({ status: 200 });
    await before.close();
    await using after = await open(folder, {}, true);
    expect(await send(after, accepted)).toMatchObject({ status: 401, code: 'signature_predates_start' });
  });

  test('where the mark cannot be written, a request dated ahead is not accepted', async () => {
    const folder = newFolder();
    await using gateway = await open(folder);
    // A disk that has gone: where a file stands nothing can be written beneath.
    rmSync(join(folder, 'data'), { recursive: true, force: true });
    writeFileSync(join(folder, 'data'), '');
    expect(await send(gateway, call())).toMatchObject({ status: 200 });
    expect(await send(gateway, call({ createdIn: 4 }))).toMatchObject({
      status: 503,
      code: 'nonce_store_unavailable',
    });
  });
});

describe.skipIf(!redisAvailable())('with Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  test('a request accepted before it is known to be used, and one that was not used is served', async () => {
    const env = { REDIS_URL: redis.url, CLUSTER_SECRET };
    const folder = newFolder();
    await using before = await open(folder, env);
    const used = call();
    const unused = call();
    expect(await send(before, used)).toMatchObject({ status: 200 });
    await before.close();
    await using after = await open(folder, env);
    expect(await send(after, used)).toMatchObject({ status: 401, code: 'nonce_replayed' });
    expect(await send(after, unused)).toMatchObject({ status: 200 });
    const ahead = call({ createdIn: 4 });
    expect(await send(after, ahead)).toMatchObject({ status: 200 });
    await after.close();
    await using last = await open(folder, env);
    expect((await send(last, ahead)).status).toBe(401);
  });
});
