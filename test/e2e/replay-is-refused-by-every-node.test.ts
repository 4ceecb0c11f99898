import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { say } from '../store/support.ts';
import {
  ALLOW_ALL,
  CLUSTER_SECRET,
  makeFolder,
  nextSecond,
  type Reachable,
  until,
  writeGatewayFiles,
} from '../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts';
import { startAgent, type TestAgent } from './support/agent.ts';
import { type Call, newCaller, type SigningChoices, signed } from './support/callers.ts';
import { type Answer, send, TRANSPORTS } from './support/clients.ts';
import { type GatewayProcess, spawnGateway } from './support/process.ts';

/** Signed for one origin, so that whichever node gets it could accept it. */
const ORIGIN = 'https://gateway.example';
const OPERATOR_API_KEY = 'an-operator-key-of-more-than-32-characters';
const REPLAYS = 40;
const LOST = /nonces were lost, noticed at .*Z; signatures made before .*Z are refused/;
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

interface Node extends Reachable, AsyncDisposable {
  readonly process: GatewayProcess;
}

async function startNode(folder: string, more: Record<string, string> = {}): Promise<Node> {
  const env = await writeGatewayFiles(folder, {
    agents: [`{ id: echo, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
    env: { PUBLIC_ORIGINS: ORIGIN, OPERATOR_API_KEY, ...more },
  });
  const process = spawnGateway(env);
  const reachable = await process.listening();
  return { ...reachable, process, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

const post = (choices: SigningChoices = {}): Call => ({
  ...signed(alice, ORIGIN, { method: 'POST', target: '/agents/echo/', body: Buffer.from('{}') }, choices),
  authority: 'gateway.example',
});
const codes = (answers: readonly Answer[]): string[] =>
  answers.map(({ status, code }) => (status === 200 ? 'served' : code)).sort();

describe('one process without Redis', () => {
  test('of many that send one signature at once, over both protocols, one is served', async () => {
    await using node = await startNode(newFolder());
    await nextSecond();
    const call = post();
    const answers = await Promise.all(
      Array.from({ length: REPLAYS }, (_, at) => send(node, call, TRANSPORTS[at % 2])),
    );
    expect(codes(answers)).toEqual([
      ...Array.from({ length: REPLAYS - 1 }, () => 'nonce_replayed'),
      'served',
    ]);
  });

  test('killed and started again refuses what it served, dated now or ahead', async () => {
    const folder = newFolder();
    const now = post();
    const ahead = post({ createdIn: 4 });
    {
      await using before = await startNode(folder);
      await nextSecond();
      const served = post();
      expect(codes(await Promise.all([served, ahead].map((call) => send(before, call))))).toEqual([
        'served',
        'served',
      ]);
      before.process.signal('SIGKILL');
      await before.process.exited;
      await using after = await startNode(folder);
      for (const call of [served, now, ahead])
        expect(await send(after, call)).toMatchObject({ status: 401, code: 'signature_predates_start' });
    }
  });
});

describe.skipIf(!redisAvailable())('two processes with one Redis', () => {
  let redis: TestRedis;
  let nodes: Node[];
  const env = (): Record<string, string> => ({
    REDIS_URL: redis.url,
    CLUSTER_SECRET,
    CLOCK_SKEW_SECONDS: '1',
  });

  beforeAll(async () => {
    redis = await startRedis({ args: ['--dir', newFolder()] });
    nodes = await Promise.all([startNode(newFolder(), env()), startNode(newFolder(), env())]);
    await nextSecond();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    await redis.stop();
  });
  const [first, second] = [() => nodes[0] as Node, () => nodes[1] as Node];
  /** Served again, once what may have been used before the loss is too old. */
  const recovered = (node: Node): Promise<unknown> =>
    until(async () => (await send(node, post())).status === 200, 'it serves again', 15_000);
  const told = (node: Node): number => node.process.stdout().split('Redis has forgotten').length - 1;

  async function health(node: Node): Promise<string> {
    const answer = await send(node, {
      method: 'GET',
      target: '/health/detailed',
      headers: [['authorization', `Bearer ${OPERATOR_API_KEY}`]],
      authority: 'gateway.example',
    });
    const { checks } = JSON.parse(answer.body) as {
      checks: Record<string, { status: string; output?: string }[]>;
    };
    const [check] = checks['redis:latency'] ?? [];
    return `${check?.status}: ${check?.output ?? ''}`;
  }

  test('of many that send one signature to both at once, one is served', async () => {
    for (let round = 0; round < 5; round += 1) {
      const call = post();
      const answers = await Promise.all(
        Array.from({ length: REPLAYS }, (_, at) =>
          send(nodes[at % 2] as Node, call, TRANSPORTS[(at >> 1) % 2]),
        ),
      );
      expect(codes(answers)).toEqual([
        ...Array.from({ length: REPLAYS - 1 }, () => 'nonce_replayed'),
        'served',
      ]);
    }
  });

  test.each(['FLUSHALL', 'FLUSHDB'])(
    '%s: the other node refuses the replay as its first request',
    async (flush) => {
      await recovered(first());
      await recovered(second());
      const before = told(second());
      const call = post();
      expect(await send(first(), call)).toMatchObject({ status: 200 });
      await say(redis.port, flush);
      const reached = agent.begun();
      expect(await send(second(), call)).toMatchObject({ status: 401, code: 'signature_predates_start' });
      expect(await send(first(), call)).toMatchObject({ status: 401 });
      expect(agent.begun()).toBe(reached);
      await until(() => told(second()) > before && told(first()) > 0, 'both say so');
      // Health looks every now and then.
      await until(async () => LOST.test(await health(second())), 'health says so', 15_000);
      await recovered(second());
      await until(
        async () => (await health(second())).startsWith('pass: nonces were lost'),
        'it is well',
        15_000,
      );
    },
  );

  test('restored from a dump of before: neither node serves the replay', async () => {
    await recovered(first());
    await say(redis.port, 'SAVE');
    const call = post();
    expect(await send(first(), call)).toMatchObject({ status: 200 });
    await redis.restart();
    const reached = agent.begun();
    const deadline = performance.now() + 4_000;
    // Until long after both have found it again.
    while (performance.now() < deadline) {
      const answers = await Promise.all([send(second(), call), send(first(), call)]);
      expect(codes(answers).filter((code) => code === 'served')).toEqual([]);
    }
    expect(agent.begun()).toBe(reached);
    await recovered(second());
  });

  test('a node that is started anew knows what the others served', async () => {
    await recovered(first());
    const call = post();
    const unused = post();
    expect(await send(first(), call)).toMatchObject({ status: 200 });
    second().process.signal('SIGKILL');
    await second().process.exited;
    nodes[1] = await startNode(join(newFolder()), env());
    expect(await send(second(), call)).toMatchObject({ status: 401, code: 'nonce_replayed' });
    expect(await send(second(), unused)).toMatchObject({ status: 200 });
    expect(await send(first(), unused)).toMatchObject({ status: 401, code: 'nonce_replayed' });
  });
});
