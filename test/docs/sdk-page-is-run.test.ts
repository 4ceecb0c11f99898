/** Every program of `docs/sdk.md` runs as it stands there, and every export and code is on the page. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as sdk from '../../src/sdk/index.ts';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { ALLOW_ALL, openGateway, type TestGateway, until } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { codeBlocks, codeSpans, fileUrl, page, section, tableRows } from './markdown.ts';

const PAGE = page('docs/sdk.md');
const PROGRAMS = codeBlocks(PAGE).filter(({ language }) => language === 'ts');
/** Above the five seconds for which a server with nonces in memory refuses. */
const WARM_UP_TIMEOUT_MS = 15_000;

const folder = mkdtempSync(join(tmpdir(), 'sage-sdk-page-'));
let agent: TestAgent;
let gateway: TestGateway;
beforeAll(async () => {
  symlinkSync(fileURLToPath(fileUrl('node_modules')), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  agent = await startAgent();
  gateway = await openGateway({
    agents: [`{ id: weather, upstreams: ["${agent.url}"] }`],
    policy: ALLOW_ALL,
  });
});
afterAll(async () => {
  await gateway.close();
  await agent.stop();
  rmSync(folder, { recursive: true });
});

/** The one program that holds `mark`, written to a file, with the places it talks to put in. */
function program(mark: string, port = 0): string {
  const [found, ...more] = PROGRAMS.filter(({ text }) => text.includes(mark));
  if (found === undefined || more.length > 0) throw new Error(`${1 + more.length} programs have ${mark}`);
  const text = found.text
    .replaceAll(/https?:\/\/gateway\.example/g, gateway.origin)
    .replaceAll('3000', String(port))
    .replaceAll(/'sage-gateway\/sdk(?:\/(\w+))?'/g, (_whole, entry = 'index') => {
      return `'${fileUrl(`src/sdk/${String(entry)}.ts`).href}'`;
    });
  const file = join(folder, `line-${found.line}.ts`);
  writeFileSync(file, text);
  return file;
}

async function run(mark: string, env: Record<string, string> = {}): Promise<string> {
  const options = { cwd: folder, env: { ...process.env, ...env } };
  return (await promisify(execFile)(process.execPath, [program(mark)], options)).stdout;
}

describe('the programs', () => {
  test('are all run here', () => {
    expect(PROGRAMS).toHaveLength(9);
  });
  test('that call are served', async () => {
    expect(await run('refusal.requestId')).toBe('200 {"ok":true}\n');
    expect(await run("from 'node:http'")).toBe('200\n');
  });
  test('that make keys make them', async () => {
    expect(await run('const remote')).toMatch(/^did:key:z82\w+ 2\n$/);
  });
  test('that read the environment are served', async () => {
    const { privateJwk } = await sdk.generateKeyPair();
    expect(await run('signerFromEnv(process.env)', { SAGE_PRIVATE_KEY: JSON.stringify(privateJwk) })).toBe(
      '200\n',
    );
  });
  test('that verify prove and refuse', async () => {
    expect(await run('const partner')).toBe(
      'proven: true "@method" "@target-uri"\nrefused: 401 nonce_replayed\n',
    );
    expect(await run('new Hono')).toBe('401 signature_required\n');
  });
  test('that remember in Redis do', async () => {
    const redis = await startRedis();
    expect(await run("from 'ioredis'", { REDIS_URL: redis.url })).toBe('reserved\n');
    await redis.stop();
  });
  test.concurrent.each(['fastify()', 'express()'])(
    'that serve by %s let proven callers in',
    async (mark) => {
      const port = await freePort();
      const child: ChildProcess = spawn(process.execPath, [program(mark, port)], {
        cwd: folder,
        stdio: 'inherit',
      });
      const { privateJwk, did } = await sdk.generateKeyPair();
      const call = sdk.signedFetch(await sdk.createSigner({ privateKey: privateJwk }));
      const order = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"tea":1}' };
      const refusals = new Set<string | undefined>();
      const answer = await until(
        async () => {
          const response = await call(`http://127.0.0.1:${port}/orders`, order).catch(() => null);
          if (response !== null && !response.ok) refusals.add((await sdk.readRefusal(response))?.code);
          return response?.ok === true ? response : null;
        },
        'a proven order',
        WARM_UP_TIMEOUT_MS,
      );
      expect(await answer.json()).toEqual({ from: did, order: { tea: 1 } });
      expect([...refusals]).toEqual(['signature_predates_start']);
      child.kill();
      await once(child, 'exit');
    },
    2 * WARM_UP_TIMEOUT_MS,
  );
});

describe('the page', () => {
  test('names every export', () => {
    const said = codeSpans(PAGE).join(' ') + PROGRAMS.map(({ text }) => text).join(' ');
    expect(Object.keys(sdk).filter((name) => !new RegExp(`\\b${name}\\b`).test(said))).toEqual([]);
  });

  test('lists every code of an SdkError, and invents none', () => {
    const rows = tableRows(section(PAGE, '## Errors')).map(([code = '']) => code.replaceAll('`', ''));
    expect(rows.filter((code) => code !== 'code').sort()).toEqual(Object.keys(sdk.SDK_ERRORS).sort());
  });
});
