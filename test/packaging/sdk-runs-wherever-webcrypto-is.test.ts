/** The SDK of the packed package, in Node, Deno, Bun and a browser, against one gateway. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSigner, generateKeyPair, readRefusal, signedFetch, signRequest } from '../../src/sdk/index.ts';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { CHROMIUM_FLAGS, ensureChromium } from '../support/ensure-chromium.ts';
import { openGateway, policyOf, type TestGateway } from '../support/gateway.ts';
import { RUNTIMES, type SdkFolder, sdkFolder } from './support/sdk-folder.ts';

/** Installing a browser is once a machine. */
const SET_UP_TIMEOUT_MS = 400_000;
const RUN_TIMEOUT_MS = 60_000;

const OWN = ['{"유니":"코드"}', 'signature_invalid', 'nonce_replayed'];
const EXPECTED = {
  own: Object.fromEntries(
    ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512', 'hmac-sha256'].map((name) => [
      name,
      [name, ...OWN],
    ]),
  ),
  gateway: Object.fromEntries(
    ['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512'].map((name) => [
      name,
      [200, 200, 200, 200, 'nonce_replayed'],
    ]),
  ),
  streamed: 200,
};

let project: SdkFolder;
let agent: TestAgent;
let site: Server;
let gateway: TestGateway;

/** The package's own files, as a browser loads them: no bundler has touched them. */
function startSite(root: string, folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://site').pathname);
    const file = path.startsWith('/dist/') ? join(root, path) : join(folder, path);
    if (path === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>sdk</title>');
      return;
    }
    const type = extname(file) === '.html' ? 'text/html' : 'text/javascript';
    response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

beforeAll(async () => {
  project = await sdkFolder('sdk-story.mjs', 'sdk-run.mjs', 'sdk-server.mjs');
  agent = await startAgent({
    answer: (request, response) => {
      if (request.url === '/redirect') response.writeHead(302, { location: '/agents/echo/there' }).end();
      else response.end('ok');
    },
  });
  site = await startSite(project.root, project.folder);
  gateway = await openGateway({
    agents: [
      `{ id: echo, upstreams: ["${agent.url}"] }`,
      `{ id: site, authentication: none, upstreams: ["http://127.0.0.1:${(site.address() as AddressInfo).port}"] }`,
    ],
    policy: policyOf('rules: [{ id: everybody, effect: allow, match: { path: /agents/** } }]'),
  });
}, SET_UP_TIMEOUT_MS);
afterAll(async () => {
  await gateway?.close();
  await agent?.stop();
  site?.close();
  project?.[Symbol.dispose]();
});

test.each(RUNTIMES)(
  '%s signs, verifies and calls',
  async (_name, command, args) => {
    const { privateJwk, keyId } = await generateKeyPair();
    const keyFile = join(project.folder, 'key.jwk');
    writeFileSync(keyFile, JSON.stringify(privateJwk));
    const script = join(project.folder, 'sdk-run.mjs');
    const { stdout } = await promisify(execFile)(command, [...args, script, gateway.origin, keyFile], {
      cwd: project.folder,
      timeout: RUN_TIMEOUT_MS,
    });
    expect(JSON.parse(stdout)).toEqual({ ...EXPECTED, redirect: 'none', keyId });
  },
  RUN_TIMEOUT_MS,
);

test(
  'a browser signs, verifies and calls, without a bundler',
  async (ctx) => {
    const executablePath = ensureChromium();
    if (executablePath === null)
      return ctx.skip('chromium is not on this machine, and ALLOW_MISSING says so');
    const browser = await chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
    try {
      const page = await browser.newPage();
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      await page.goto(`${gateway.origin}/agents/site/`);
      // As text: the test runner rewrites an `import()` in a function.
      const said: unknown = await page.evaluate(`(async () => {
        const sdk = await import('/agents/site/dist/sdk/index.js');
        const { story } = await import('/agents/site/sdk-story.mjs');
        return story(sdk, location.origin);
      })()`);
      expect(faults).toEqual([]);
      expect(said).toEqual({ ...EXPECTED, redirect: 'redirect_unreadable' });
    } finally {
      await browser.close();
    }
  },
  SET_UP_TIMEOUT_MS,
);

/** Hono speaks of `Request` and `Response` only, and Node's own server does not. */
const SERVERS = RUNTIMES.flatMap(([runtime, command, args]) =>
  (runtime === 'node' ? ['fastify', 'express'] : ['fastify', 'express', 'hono']).map(
    (framework) => [framework, runtime, command, args] as const,
  ),
);

test.each(SERVERS)(
  '%s on %s lets only proven callers in',
  async (framework, _runtime, command, args) => {
    const child = spawn(command, [...args, 'sdk-server.mjs', framework], {
      cwd: project.folder,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      const origin = `http://127.0.0.1:${JSON.parse(String(line)).port}`;
      const { privateJwk, did } = await generateKeyPair('ecdsa-p256-sha256');
      const signer = await createSigner({ privateKey: privateJwk });
      const fetching = signedFetch(signer);
      const json = (body: unknown) => ({
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      expect(await (await fetching(`${origin}/a?b=c`)).json()).toEqual({ did, body: null });
      const body = { text: 'x'.repeat(90_000) };
      for (let times = 0; times < 2; times += 1) {
        const posted = await fetching(`${origin}/post`, json(body));
        expect(await posted.json()).toEqual({ did, body });
      }
      const signed = await signRequest({ url: `${origin}/post`, ...json({ one: 1 }) }, signer);
      const codes = [];
      for (const sent of [{ ...signed, body: '{"one":2}' }, signed, signed, json({ bare: true })])
        codes.push((await readRefusal(await fetch(signed.url, sent)))?.code);
      const large = await fetching(`${origin}/post`, json([body, body]));
      codes.push((await readRefusal(large))?.code);
      expect(codes).toEqual([
        'digest_mismatch',
        undefined,
        'nonce_replayed',
        'signature_required',
        'body_too_large',
      ]);
    } finally {
      child.stdin.end();
      await exited;
    }
  },
  RUN_TIMEOUT_MS,
);
