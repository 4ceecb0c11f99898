import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildGateway } from '../../src/app.ts';
import { readEnv } from '../../src/env.ts';
import { codeBlocks, codeSpans, page, section, tableRows } from './markdown.ts';

const KEY = 'operator-key-of-at-least-32-characters';
const README = page('README.md');
const folder = mkdtempSync(join(tmpdir(), 'sage-docs-'));

let app: Awaited<ReturnType<typeof buildGateway>>;
let origin = '';

beforeAll(async () => {
  // The file that the README shows, as it shows it.
  const example = codeBlocks(README).find(({ language }) => language === 'yaml')?.text ?? '';
  writeFileSync(join(folder, 'sage.yaml'), example);
  const env = readEnv({
    CONFIG_FILE: join(folder, 'sage.yaml'),
    DATA_DIR: folder,
    OPERATOR_API_KEY: KEY,
    LOG_LEVEL: 'silent',
    PORT: '0',
  });
  app = await buildGateway(env);
  await app.listen({ host: env.host, port: 0 });
  origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true });
});

interface Route {
  readonly path: string;
  readonly open: boolean;
}

function routes(): Route[] {
  return tableRows(section(README, '### Operating it'))
    .slice(1)
    .flatMap(([paths = '', who = '']) =>
      [...paths.matchAll(/`(\/[^`]+)`/g)].map(([, path = '']) => ({ path, open: who === 'everybody' })),
    );
}

async function statusOf(path: string, key?: string): Promise<number> {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch(new URL(path, origin), { headers });
  await answer.arrayBuffer();
  return answer.status;
}

test('what the README lists is served to whom it says', async () => {
  expect(routes().length).toBeGreaterThan(4);
  for (const { path, open } of routes()) {
    expect(await statusOf(path, KEY), path).toBe(200);
    expect(await statusOf(path), path).toBe(open ? 200 : 401);
  }
});

test('agents are served where the README says', async () => {
  expect(codeSpans(README)).toContain('/agents/<id>');
  expect(await statusOf('/agents/weather/today')).toBe(401);
  expect(await statusOf('/agents/nobody/today')).toBe(404);
});
