/** What docker-compose.yml starts, started by hand: its own commands, files and settings, on free ports of loopback. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newCaller, signed } from '../e2e/support/callers.ts';
import { send } from '../e2e/support/clients.ts';
import { type GatewayProcess, spawnGateway } from '../e2e/support/process.ts';
import { startAnvil, type TestAnvil } from '../support/anvil.ts';
import { freePort } from '../support/free-port.ts';
import { makeFolder, nextSecond, until } from '../support/gateway.ts';
import { type InstalledPackage, installedPackage } from '../support/packed.ts';
import { sharedPostgres } from '../support/postgres.ts';
import { redisAvailable } from '../support/redis.ts';
import { placeOf, readCompose, serviceOf } from './support/compose.ts';

const SECRETS = '/run/secrets/';
const FIRST_ORIGIN = 'http://127.0.0.1:8080';
const PACK_TIMEOUT_MS = 240_000;
const file = readCompose('docker-compose.yml');
const children: ChildProcess[] = [];
let folder: string;
let installed: InstalledPackage;
let anvil: TestAnvil;
/** Where each service is reached, by the address it has in the file. */
const places = new Map<string, string>();

const secretPath = (path: string): string => path.replace(SECRETS, `${folder}/secrets/`);
const placed = (text: string): string =>
  [...places].reduce((replaced, [from, to]) => replaced.replaceAll(from, to), text);

function start(command: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const [name = '', ...args] = command;
  const child = spawn(name, args, {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

async function startRedis(): Promise<void> {
  const port = await freePort();
  const { command = [], healthcheck } = serviceOf(file, 'redis');
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  start([...command.map(secretPath), ...own]).stdout?.resume();
  const check = healthcheck?.test?.[1]?.replace('redis-cli', `redis-cli -p ${port}`) ?? '';
  // As Docker asks; before it answers the check says no.
  expect(spawnSync('sh', ['-c', check.replace(String(port), '1')]).status).toBe(1);
  await until(() => spawnSync('sh', ['-c', check]).status === 0, 'Redis is healthy');
  places.set('redis:6379', `127.0.0.1:${port}`);
}

/** The user and database that the file asks of the image, on the server of the tests. */
async function makeDatabase(): Promise<void> {
  const postgres = await sharedPostgres();
  const {
    POSTGRES_USER,
    POSTGRES_DB,
    POSTGRES_PASSWORD_FILE = '',
  } = serviceOf(file, 'postgres').environment ?? {};
  const password = readFileSync(secretPath(POSTGRES_PASSWORD_FILE), 'utf8');
  await postgres.run(`create role ${POSTGRES_USER} login password '${password}'`);
  await postgres.run(`create database ${POSTGRES_DB} owner ${POSTGRES_USER}`);
  places.set('postgres:5432', new URL(postgres.url()).host);
}

async function startAgent(): Promise<void> {
  const [, script = ''] = serviceOf(file, 'agent').command ?? [];
  const mount = serviceOf(file, 'agent').volumes?.find((volume) => volume.includes(script)) ?? '';
  const child = start([process.execPath, placeOf(mount.split(':')[0] ?? '')], { PORT: '0' });
  const [line] = await once(createInterface({ input: child.stdout! }), 'line');
  places.set('agent:9100', `127.0.0.1:${/\d+$/.exec(String(line))?.[0]}`);
}

beforeAll(async () => {
  if (!redisAvailable()) return;
  installed = await installedPackage();
  folder = makeFolder();
  execFileSync('sh', [placeOf('deploy/scripts/make-secrets.sh'), join(folder, 'secrets')]);
  anvil = await startAnvil({ blockTime: 1 });
  places.set('anvil:8545', new URL(anvil.httpUrl).host);
  await Promise.all([startRedis(), makeDatabase(), startAgent()]);
}, PACK_TIMEOUT_MS);

afterAll(async () => {
  for (const child of children) {
    const ended = once(child, 'exit');
    if (child.kill()) await ended;
  }
  await anvil?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function deployRegistry(): string {
  const [, script = '', url = ''] = serviceOf(file, 'registry').entrypoint ?? [];
  // `/app` is where the package is.
  const place = script.replace('/app', installed.root);
  cpSync(placeOf('deploy/compose/deploy-registry.mjs'), place);
  return execFileSync(process.execPath, [place, placed(url)], { encoding: 'utf8' });
}

function startGateway(): GatewayProcess {
  const config = readFileSync(placeOf('deploy/compose/config/sage.yaml'), 'utf8');
  writeFileSync(join(folder, 'sage.yaml'), placed(config));
  const env: Record<string, string> = { DATA_DIR: folder, CONFIG_FILE: join(folder, 'sage.yaml'), PORT: '0' };
  for (const [name, value] of Object.entries(serviceOf(file, 'gateway').environment ?? {})) {
    env[name] = placed(secretPath(value));
    // Their content names a service too.
    if (name.endsWith('_FILE')) writeFileSync(env[name], placed(readFileSync(env[name], 'utf8')));
  }
  // Docker's forwarder, which here is nobody.
  env.TRUSTED_PROXIES = '127.0.0.1';
  return spawnGateway(env, { command: [installed.sage, 'serve'], folder });
}

test.skipIf(!redisAvailable())(
  'a signed call reaches the agent, with Redis, PostgreSQL and the chain connected',
  async () => {
    const registry = /0x[0-9a-f]{40}/.exec(deployRegistry())?.[0];
    expect(readFileSync(placeOf('deploy/compose/config/sage.yaml'), 'utf8')).toContain(registry);
    // Twice is as good as once.
    expect(deployRegistry()).toContain(registry);
    await using child = startGateway();
    const gateway = await child.listening();
    await nextSecond();
    const caller = newCaller();
    const call = { method: 'GET', target: '/agents/weather/today', authority: new URL(FIRST_ORIGIN).host };
    const answer = await send(gateway, signed(caller, FIRST_ORIGIN, call));
    expect(JSON.parse(answer.body)).toEqual({ forecast: 'clear', path: '/today', caller: caller.did });
    const key = readFileSync(join(folder, 'secrets', 'operator_api_key'), 'utf8');
    const health = await until(async () => {
      const response = await fetch(new URL('/health/detailed', gateway.origin), {
        headers: { authorization: `Bearer ${key}` },
      });
      const { checks } = (await response.json()) as { checks: Record<string, [{ status: string }]> };
      const states = ['redis:latency', 'chain-31337:head-age'].map((name) => checks[name]?.[0].status);
      return states.every((state) => state === 'pass') ? states : false;
    }, 'Redis and the chain are well');
    expect(health).toHaveLength(2);
    const { POSTGRES_DB } = serviceOf(file, 'postgres').environment ?? {};
    const applied = await (await sharedPostgres()).run('select name from schema_migrations', POSTGRES_DB);
    expect(applied.length).toBeGreaterThan(0);
  },
  60_000,
);
