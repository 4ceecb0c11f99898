/** A gateway as its own process, started and stopped as an operator would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '../../env.ts';

export interface GatewayProcess {
  readonly port: number;
  /** Milliseconds from spawn to the line that says where it listens. */
  readonly startedInMs: number;
  /** Sends SIGTERM and resolves with the exit code. */
  stop(): Promise<number | null>;
}

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));
/** Far above what a start takes, so that only a broken one reaches it. */
const START_TIMEOUT_MS = 20_000;
/** What is kept of its output, to show when it does not start. */
const OUTPUT_CHARS_MAX = 8_192;
const LISTENING = /listening on https?:\/\/\S+?:(\d+)\n/;

/** @throws Error with the process's own words when it ends before it listens. */
export function startGateway(variables: Readonly<Record<string, string | null>>): Promise<GatewayProcess> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [MAIN], {
    env: childEnvironment(variables),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const killAtExit = (): boolean => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  void exited.then(() => process.off('exit', killAtExit));
  return new Promise((resolve, reject) => {
    let output = '';
    let port = 0;
    const fail = (why: string): void => reject(new Error(`the gateway ${why}:\n${output}`));
    const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS);
    const read = (chunk: Buffer): void => {
      if (port !== 0) return;
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX);
      port = Number(LISTENING.exec(output)?.[1] ?? 0);
      if (port === 0) return;
      clearTimeout(timer);
      resolve({ port, startedInMs: performance.now() - startedAt, stop: () => stop(child, exited) });
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void exited.then((code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}

function stop(child: ChildProcess, exited: Promise<number | null>): Promise<number | null> {
  child.kill('SIGTERM');
  return exited;
}
