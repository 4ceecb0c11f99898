/**
 * A real PostgreSQL for tests: a server on a free port of the loopback, with passwords and an English collation, as
 * many have it. One is shared by a run, with a database for each file; a test that ends servers starts its own.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { ensurePostgres } from './ensure-postgres.ts';

export const START_MS_MAX = 20_000;
const START_ATTEMPTS_MAX = 5;
/** As root the server runs as `nobody`: it refuses to run as root. */
const NOBODY = 65_534;
export interface TestPostgres {
  readonly port: number;
  readonly password: string;
  /** A folder of its own on a disk of `smallDisk`, for a tablespace; empty without. */
  readonly smallFolder: string;
  /** Of a database on it. */
  url(database?: string): string;
  /** Makes an empty database; answers its URL. */
  createDatabase(): Promise<string>;
  /** Runs statements as the owner of the server, in `database` or in `postgres`. */
  run(sql: string, database?: string): Promise<readonly unknown[]>;
  /** SIGKILL of the server and its children: connections die without a word. */
  kill(): Promise<void>;
  /** Starts it again, on the same port, with what it held. */
  start(): Promise<void>;
  /** SIGSTOP of the server and its children: connections stay open and nothing answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  stop(): Promise<void>;
}

export function connection(
  port: number,
  password: string,
): Pick<TestPostgres, 'url' | 'createDatabase' | 'run'> {
  const url = (database = 'postgres') => `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`;
  const run = async (sql: string, database?: string): Promise<readonly unknown[]> => {
    const client = new pg.Client({ connectionString: url(database) });
    await client.connect();
    try {
      const result = await client.query(sql);
      return result.rows ?? [];
    } finally {
      await client.end();
    }
  };
  return {
    url,
    run,
    async createDatabase() {
      const name = `test_${randomBytes(6).toString('hex')}`;
      await run(`create database ${name}`);
      return url(name);
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has a port');
  return address.port;
}

/** Each session is a process of its own, in a group of its own, whose parent is the server. */
function childrenOf(parent: number): number[] {
  // Without /proc they are left to themselves, and end soon after their parent.
  if (!existsSync('/proc')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(ppid) === parent ? [Number(name)] : [];
      } catch (error) {
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    });
}

/** @throws Error when this platform has no server; see `ensurePostgres`. */
export async function startPostgres(
  options: {
    /** Mounts a tmpfs of this size, such as `24m`, where the server alone sees it. */
    readonly smallDisk?: string;
  } = {},
): Promise<TestPostgres> {
  const binaries = ensurePostgres();
  if (binaries === null) throw new Error('postgres: absent, allowed by ALLOW_MISSING; skip what needs it');
  const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const folder = mkdtempSync(join(tmpdir(), 'sage-pg-'));
  const password = randomBytes(12).toString('hex');
  writeFileSync(join(folder, 'password'), password);
  if ('uid' in identity) {
    chownSync(folder, NOBODY, NOBODY);
    chmodSync(join(folder, 'password'), 0o644);
  }
  const data = join(folder, 'data');
  const common = { cwd: folder, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, ...identity } as const;
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '-E', 'UTF8', '--no-sync'];
  const collation = ['--locale=C', '--locale-provider=icu', '--icu-locale=en'];
  execFileSync(
    join(binaries, 'bin', 'initdb'),
    [...initdb, ...collation, `--pwfile=${join(folder, 'password')}`],
    { ...common, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const port = await freePort();
  const own = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'max_connections=60'];
  const args = ['-D', data, '-p', String(port), ...own.flatMap((one) => ['-c', one])];
  const command = [join(binaries, 'bin', 'postgres'), ...args];
  const smallFolder = options.smallDisk === undefined ? '' : join(folder, 'small');
  if (smallFolder !== '') mkdirSync(smallFolder);
  const launch = (): Promise<ChildProcess> =>
    options.smallDisk === undefined
      ? launchServer(command, common)
      : launchServer([...mountingFor(smallFolder, options.smallDisk), ...command], { ...common, ...ROOT });
  let child = await launch();
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const pid of [child.pid ?? 0, ...childrenOf(child.pid ?? 0)]) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  };
  const end = async (work: () => void): Promise<void> => {
    if (!running()) return;
    const exited = once(child, 'exit');
    work();
    await exited;
  };
  return {
    port,
    password,
    smallFolder,
    ...connection(port, password),
    kill: () => end(() => signalAll('SIGKILL')),
    async start() {
      rmSync(join(data, 'postmaster.pid'), { force: true });
      // A child that outlived its server holds the shared memory until it notices.
      for (let attempt = 1; ; attempt++) {
        try {
          child = await launch();
          return;
        } catch (error) {
          if (attempt === START_ATTEMPTS_MAX) throw error;
        }
      }
    },
    pause: () => signalAll('SIGSTOP'),
    resume: () => signalAll('SIGCONT'),
    async stop() {
      await end(() => {
        signalAll('SIGCONT');
        child.kill('SIGQUIT');
      });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Who is root mounts as root; the words of `mountingFor` then give it up. */
const ROOT = process.getuid?.() === 0 ? { uid: 0, gid: 0 } : {};

/** Words that mount a small disk in a namespace of the server's own, and run it there as somebody who is not root. */
function mountingFor(folder: string, size: string): readonly string[] {
  const root = process.getuid?.() === 0;
  const owner = root ? `,uid=${NOBODY},gid=${NOBODY}` : '';
  const leave = root
    ? `setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups`
    : 'unshare --user --map-user=1000 --map-group=1000';
  const script = `mount -t tmpfs -o size=${size},mode=700${owner} tmpfs '${folder}' && exec ${leave} "$@"`;
  return ['unshare', root ? '-m' : '-Urm', 'sh', '-c', script, 'sh'];
}

/** Resolves once the server says that it accepts connections; its own words are the error when it ends first. */
async function launchServer(
  [command = '', ...args]: readonly string[],
  options: Parameters<typeof spawn>[2],
): Promise<ChildProcess> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  const killWithParent = () => void child.kill('SIGQUIT');
  process.once('exit', killWithParent);
  child.once('exit', () => process.removeListener('exit', killWithParent));
  const said: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('no answer in time')), START_MS_MAX);
  child.once('error', reject);
  child.once('exit', (code) => reject(new Error(`ended with code ${code}`)));
  if (child.stderr === null) throw new Error('a child with a pipe has a stderr');
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (/ready to accept connections/.test(line)) resolve();
    else if (said.length < 100) said.push(line);
  });
  try {
    await promise;
    return child;
  } catch (error) {
    child.kill('SIGQUIT');
    throw new Error(`postgres did not start: ${said.slice(-5).join(' | ')}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
