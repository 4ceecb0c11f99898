import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../e2e/support/agent.ts';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { send } from '../e2e/support/clients.ts';
import { type HowToStart, spawnGateway } from '../e2e/support/process.ts';
import { freePort } from '../support/free-port.ts';
import { configOf, nextSecond } from '../support/gateway.ts';
import { contextFiles, parseDockerfile } from './support/dockerfile.ts';
import { followDockerfile, type Image } from './support/follow-dockerfile.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const MANIFEST = JSON.parse(read('package.json'));
const stages = parseDockerfile(read('Dockerfile'));
const BUILD_TIMEOUT_MS = 300_000;

describe('what is written', () => {
  test('each base is an exact version, the one that the tests run on', () => {
    expect(stages.length).toBeGreaterThan(1);
    for (const { base } of stages) expect(base).toMatch(`node:${MANIFEST.devDependencies.node}-`);
  });

  test('the last stage runs nothing as root, and ends as a user with a number', () => {
    const last = stages.at(-1)?.instructions ?? [];
    expect(last.filter(({ name }) => name === 'RUN')).toEqual([]);
    expect(last.filter(({ name }) => name === 'USER').map(({ rest }) => rest)).toEqual(['10001:10001']);
  });

  test('the builder is sent the source and no secret, test or history', () => {
    const files = contextFiles(ROOT, read('.dockerignore'));
    expect(files).toContain('src/main.ts');
    expect(files).toContain('package-lock.json');
    expect(files.filter((file) => !/^(?:src|migrations|deploy)\/|^[\w.-]+$/.test(file))).toEqual([]);
    expect(files.filter((file) => /^(?:\.|test|node_modules|dist)/.test(file))).toEqual([]);
  });
});

describe('what is built by its lines', () => {
  let image: Image;
  let agent: TestAgent;
  beforeAll(async () => {
    agent = await startAgent({ answer: (_request, response) => void response.end('ok') });
    image = await followDockerfile(ROOT, read('Dockerfile'), read('.dockerignore'));
  }, BUILD_TIMEOUT_MS);
  afterAll(async () => {
    await agent.stop();
    if (image !== undefined) rmSync(image.clean, { recursive: true, force: true });
  });

  const asItsUser = (): HowToStart => ({
    command: image.command,
    folder: image.folder,
    ...(image.uid === undefined ? {} : { uid: image.uid }),
  });
  const checkHealth = (env: Record<string, string>) => {
    const [file, ...args] = image.healthCheck;
    const identity = image.uid === undefined ? {} : { uid: image.uid, gid: image.uid };
    return spawnSync(file, args, { cwd: image.folder, env, encoding: 'utf8', ...identity });
  };

  test('holds what it depends on, and nothing that only developers need', () => {
    const has = (name: string): boolean => existsSync(join(image.folder, 'node_modules', name));
    expect(Object.keys(MANIFEST.dependencies).filter((name) => !has(name))).toEqual([]);
    // Those that something needed depends on as well stay.
    const lock = JSON.parse(read('package-lock.json')).packages;
    const development = Object.keys(MANIFEST.devDependencies).filter(
      (name) => lock[`node_modules/${name}`]?.dev === true,
    );
    expect(development.length).toBeGreaterThan(10);
    expect(development.filter(has)).toEqual([]);
    expect(existsSync(join(image.folder, 'src/app.ts'))).toBe(false);
  });

  test.skipIf(process.getuid?.() !== 0)('can be written by its user in one place only', () => {
    const mayWrite = (path: string): boolean => {
      const { uid, mode } = statSync(path);
      return uid === image.uid || (mode & 0o002) !== 0;
    };
    const program = ['.', 'dist/cli/main.js', 'node_modules', 'health-check.mjs'];
    expect(program.filter((path) => mayWrite(join(image.folder, path)))).toEqual([]);
    expect(mayWrite(join(image.root, 'var/lib/sage'))).toBe(true);
  });

  test('serves as its user, says that it is healthy, and drains', async () => {
    mkdirSync(join(image.root, 'etc/sage'), { recursive: true });
    const file = join(image.root, 'etc/sage/sage.yaml');
    writeFileSync(
      file,
      configOf({ agents: [`{ id: echo, upstreams: ["${agent.url}"], allow: ["did:key:*"] }`] }),
    );
    accessSync(file, constants.R_OK);
    const port = await freePort();
    const origin = 'http://gateway.example';
    // What the image leaves to whoever runs it; and here, where there is no container around it, loopback.
    const own = {
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_ORIGINS: origin,
      TRUSTED_PROXIES: '127.0.0.1',
    };
    const env = { ...image.env, ...own };
    expect(checkHealth(env)).toMatchObject({ status: 1, stderr: expect.stringContaining('not ready') });
    await using child = spawnGateway(env, asItsUser());
    const gateway = await child.listening();
    expect(checkHealth(env)).toMatchObject({ status: 0, stderr: '' });
    await nextSecond();
    const call = { method: 'GET', target: '/agents/echo/', authority: 'gateway.example' };
    expect(await send(gateway, signed(newCaller(), origin, call))).toMatchObject({ status: 200, body: 'ok' });
    child.signal('SIGTERM');
    expect(await child.exited).toBe(0);
  }, 60_000);

  test('refuses to start off loopback before it is told who stands in front', async () => {
    await using child = spawnGateway(image.env, asItsUser());
    expect(await child.exited).toBeGreaterThan(0);
    expect(child.stderr()).toMatch(/PUBLIC_ORIGINS[\s\S]*TRUSTED_PROXIES/);
  }, 30_000);
});
