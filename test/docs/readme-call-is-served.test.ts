import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildGateway } from '../../src/app.ts';
import { readEnv } from '../../src/env.ts';
import { codeBlocks, fileUrl, page } from './markdown.ts';

const README = page('README.md');
const block = (language: string): string =>
  codeBlocks(README).find((candidate) => candidate.language === language)?.text ?? '';

const folder = mkdtempSync(join(tmpdir(), 'sage-readme-'));
const seen: { url: string; headers: IncomingHttpHeaders; body: string }[] = [];
const agent = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  seen.push({ url: request.url ?? '', headers: request.headers, body });
  response.end('clear');
});

let app: Awaited<ReturnType<typeof buildGateway>>;
let origin = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  const upstream = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  const configuration = block('yaml').replace('http://127.0.0.1:9100', upstream);
  expect(configuration).toContain(upstream);
  writeFileSync(join(folder, 'sage.yaml'), configuration);
  app = await buildGateway(
    readEnv({ CONFIG_FILE: join(folder, 'sage.yaml'), DATA_DIR: folder, LOG_LEVEL: 'silent' }),
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  // A signature of the second in which a gateway without Redis starts may be older than it, and is refused.
  await new Promise((resolve) => setTimeout(resolve, 1_001 - (Date.now() % 1_000)));
});

afterAll(async () => {
  await app.close();
  agent.close();
  rmSync(folder, { recursive: true });
});

test('the program in the README is served, and the agent learns who it is', async () => {
  const program = block('ts')
    .replace('http://127.0.0.1:8080', origin)
    .replace("'sage-gateway/sdk'", `'${fileUrl('src/sdk/index.ts').href}'`);
  expect(program).toContain(origin);
  const file = join(folder, 'call.ts');
  writeFileSync(file, program);
  const { stdout } = await promisify(execFile)(process.execPath, [file]);
  expect(stdout).toBe('200 clear\n');
  expect(seen).toHaveLength(1);
  expect(seen[0]?.url).toBe('/today?city=Seoul');
  expect(seen[0]?.body).toBe('{"unit":"celsius"}');
  expect(seen[0]?.headers['x-sage-verified-did']).toMatch(/^did:key:z6Mk/);
});
