import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Env, readEnv } from '../../src/env.ts';
import { VARIABLES } from '../../src/env-variables.ts';
import { spawnGateway } from '../e2e/support/process.ts';
import { assignments, parseDockerfile } from '../packaging/support/dockerfile.ts';
import { configOf, makeFolder } from '../support/gateway.ts';
import { type InstalledPackage, installedPackage, packedTarball } from '../support/packed.ts';
import { selfSigned } from '../support/tls.ts';
import { codeBlocks, fileUrl, page, section } from './markdown.ts';

const PAGE = page('docs/deployment.md');
const PACK_TIMEOUT_MS = 240_000;
/** The lines of the shell blocks below a heading, those that go on joined. */
const shell = (heading: string): string[] =>
  codeBlocks({ path: PAGE.path, text: section(PAGE, heading) })
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) =>
      text
        .replace(/\\\n\s*/g, '')
        .trim()
        .split('\n'),
    );

let folder: string;
let secrets: string;
beforeAll(async () => {
  folder = makeFolder();
  secrets = join(folder, 'secrets');
  const [make = ''] = shell('## Secrets');
  execFileSync('sh', ['-c', make.replace(/ secrets$/, ` ${secrets}`)], { cwd: fileUrl('.') });
  const { cert, key } = await selfSigned();
  for (const [name, text] of Object.entries({ tls_cert: cert, tls_key: key }))
    writeFileSync(join(secrets, name), text);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(
  'from the package, each line does what it says',
  async () => {
    const installed: InstalledPackage = await installedPackage();
    const [install, version, serve] = shell('## From the package');
    // Installed as `packed.ts` does it: the same package, from its tarball.
    expect(install).toBe('npm install sage-gateway');
    const { version: ours, engines } = JSON.parse(readFileSync(fileUrl('package.json'), 'utf8'));
    expect(PAGE.text).toContain(`Node ${engines.node.replace(/^>=|\.0$/g, '')} or newer`);
    const said = execFileSync('sh', ['-c', version ?? ''], { cwd: installed.folder, encoding: 'utf8' });
    expect(said.trim()).toBe(ours);
    writeFileSync(
      join(folder, 'sage.yaml'),
      configOf({ agents: ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'] }),
    );
    const env = { PORT: '0', CONFIG_FILE: join(folder, 'sage.yaml'), DATA_DIR: folder };
    const command = ['sh', '-c', `exec ${serve?.replace('npx sage', installed.sage)}`] as const;
    await using child = spawnGateway(env, { command, folder: installed.folder });
    expect((await fetch(new URL('/health/ready', (await child.listening()).origin))).status).toBe(200);
  },
  PACK_TIMEOUT_MS,
);

test('every file of the project that a line names is there', () => {
  const lines = codeBlocks(PAGE).flatMap(({ language, text }) => (language === 'sh' ? text.split('\n') : []));
  const named = lines.flatMap((line) => line.match(/(?:deploy\/[\w./-]+|docker-compose[\w.-]*\.yml)/g) ?? []);
  expect(named.length).toBeGreaterThan(6);
  expect(named.filter((path) => !existsSync(fileUrl(path)))).toEqual([]);
});

test('the secrets that Kubernetes is given are those its pods read', () => {
  const given = shell('## Kubernetes').flatMap((line) =>
    [...line.matchAll(/--from-file=(\w+)/g)].map(([, name]) => name),
  );
  const manifest = readFileSync(fileUrl('deploy/kubernetes/deployment.yaml'), 'utf8');
  const read = [...manifest.matchAll(/\/run\/secrets\/sage\/(\w+)/g)].map(([, name]) => name);
  expect(new Set(given)).toEqual(new Set(read));
  for (const name of given) expect(existsSync(join(secrets, name ?? ''))).toBe(true);
});

test('the container that is run by hand has settings the product accepts', () => {
  const run = shell('## Docker').find((line) => line.startsWith('docker run')) ?? '';
  const image = parseDockerfile(readFileSync(fileUrl('Dockerfile'), 'utf8')).at(-1)?.instructions ?? [];
  const given = [...run.matchAll(/-e (\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]);
  const mounted = given.map(([name, value = '']) => [name, value.replace('/run/secrets', secrets)]);
  expect(given.every(([, value = '']) => !value.startsWith('/') || value.startsWith('/run/secrets/'))).toBe(
    true,
  );
  const env = readEnv({
    ...assignments(image.find(({ name }) => name === 'ENV')?.rest ?? ''),
    ...Object.fromEntries(mounted),
  });
  expect(env.operatorApiKey).toMatch(/^[0-9a-f]{64}$/);
  expect(run).toContain(`:${env.dataDir} `);
  expect(run).toContain(`:${env.configFile.replace('/sage.yaml', '')}:ro`);
});

describe('the systemd unit', () => {
  const unit = readFileSync(fileUrl('deploy/systemd/sage-gateway.service'), 'utf8');
  const values = (key: string): string[] =>
    [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');
  let env: Env;
  beforeAll(() => {
    const lines = shell('## systemd');
    const settings = lines.find((line) => line.startsWith('echo '))?.split(' ')[1] ?? '';
    const given = Object.fromEntries(
      [...values('Environment'), settings].map((line) => [
        line.slice(0, line.indexOf('=')),
        line.slice(line.indexOf('=') + 1).replace('%d', secrets),
      ]),
    );
    expect(Object.keys(given).filter((name) => !VARIABLES.includes(name))).toEqual([]);
    env = readEnv(given);
  });

  test(
    'starts what npm installs where the page says',
    async () => {
      const [node, entry = '', command] = values('ExecStart')[0]?.split(' ') ?? [];
      expect(node).toMatch(/^\/.*\/node$/);
      expect(command).toBe('serve');
      const [prefix = ''] = /(?<=--prefix )\S+/.exec(shell('## systemd').join('\n')) ?? [];
      const inPackage = entry.replace(`${prefix}/node_modules/sage-gateway/`, '');
      expect((await packedTarball()).files).toContain(inPackage);
    },
    PACK_TIMEOUT_MS,
  );

  test('has settings the product accepts, and shows it each secret it names', () => {
    expect(env).toMatchObject({ sageEnv: 'production', dataDir: `/var/lib/${values('StateDirectory')[0]}` });
    expect(env.tls).not.toBeNull();
    expect(env.operatorApiKey).toMatch(/^[0-9a-f]{64}$/);
    const shown = values('LoadCredential').map((line) => line.split(':')[0]);
    const named = values('Environment').flatMap((line) => line.match(/(?<=%d\/)\w+/g) ?? []);
    expect(new Set(named)).toEqual(new Set(shown));
    expect(Number(values('TimeoutStopSec')[0]) * 1_000).toBeGreaterThan(env.drainTimeoutMs);
  });

  test('takes everything away that the gateway does not need', () => {
    const yes =
      'NoNewPrivileges ProtectHome PrivateTmp PrivateDevices PrivateUsers ProtectKernelModules ProtectKernelTunables ProtectControlGroups RestrictNamespaces RestrictSUIDSGID LockPersonality';
    for (const key of yes.split(' ')) expect(values(key), key).toEqual(['yes']);
    expect(values('ProtectSystem')).toEqual(['strict']);
    expect(values('CapabilityBoundingSet')).toEqual(['']);
    expect(values('SystemCallFilter')).toEqual(['@system-service', '~@privileged @resources']);
    expect(values('User')).toEqual(['sage-gateway']);
  });
});
