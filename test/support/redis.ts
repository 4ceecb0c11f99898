/** A real Redis (or Valkey) for tests: a child process on a free port of the loopback, nothing kept on disk. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './free-port.ts';

/** How long a server may take to say that it accepts connections. */
const START_MS_MAX = 10_000;
/** A free port can be taken between finding and binding it; that is a new try, not a failure. */
const START_ATTEMPTS_MAX = 5;
const SERVERS = ['redis-server', 'valkey-server'] as const;

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Of the process now running; another one after `restart`. */
  readonly pid: number;
  /** Ends it in an orderly way; safe to call twice. */
  stop(): Promise<void>;
  /** SIGKILL: connections die without a word, memory is lost. */
  kill(): Promise<void>;
  /** Starts it again, empty, on the same port; stops it first when it still runs. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers, as with a machine that hangs. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

/** The server a test needs is not on this machine; the runner turns `part` into its closing line. */
class MissingServer extends Error {
  readonly part: string;

  constructor(part: string, looked: readonly string[]) {
    super(
      `${part} is needed and none of ${looked.join(', ')} is on PATH; ALLOW_MISSING=${part} skips its tests`,
    );
    this.name = 'MissingServer';
    this.part = part;
  }
}

/**
 * Whether tests that need Redis can run. False only when it is absent and `ALLOW_MISSING` names it, so that a
 * skipped test was always allowed to be skipped; absent and not allowed throws.
 * @throws {MissingServer}
 */
export function redisAvailable(): boolean {
  if (findServer() !== null) return true;
  const allowed = (process.env.ALLOW_MISSING ?? '').split(',').map((part) => part.trim());
  if (allowed.includes('redis')) return false;
  throw new MissingServer('redis', SERVERS);
}

/** @throws {MissingServer} when there is no server on PATH. */
export async function startRedis(options: { args?: readonly string[] } = {}): Promise<TestRedis> {
  const binary = findServer();
  if (binary === null) throw new MissingServer('redis', SERVERS);
  const args = options.args ?? [];
  let port = 0;
  let child: ChildProcess | null = null;
  for (let attempt = 1; child === null; attempt += 1) {
    port = await freePort();
    try {
      child = await launch(binary, port, args);
    } catch (error) {
      if (attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
  let running: ChildProcess = child;
  const end = async (signal: NodeJS.Signals) => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGCONT');
    running.kill(signal);
    await exited;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return running.pid ?? 0;
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async restart() {
      await end('SIGKILL');
      running = await launch(binary, port, args);
    },
    pause: () => void running.kill('SIGSTOP'),
    resume: () => void running.kill('SIGCONT'),
  };
}

function findServer(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of SERVERS) {
      const file = join(folder, name);
      if (isExecutable(file)) return file;
    }
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Resolves once the server has said that it accepts connections; its own words are the error when it ends first. */
async function launch(binary: string, port: number, args: readonly string[]): Promise<ChildProcess> {
  const own = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--daemonize',
    'no',
  ];
  const child = spawn(binary, [...own, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  const killWithParent = () => void child.kill('SIGKILL');
  process.once('exit', killWithParent);
  child.once('exit', () => process.removeListener('exit', killWithParent));
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('no answer in time')), START_MS_MAX);
  child.once('error', reject);
  child.once('exit', (code) => reject(new Error(`ended with code ${code}`)));
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (/ready to accept connections/i.test(line)) resolve();
    else if (said.length < 100) said.push(line);
  });
  try {
    await promise;
    return child;
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${binary} did not start on port ${port}: ${said.slice(-5).join(' | ')}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}
