/** Processes that are measured: started, asked for their CPU time, loaded, and ended with the bench. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadOrder, LoadReport } from './load.ts';
import type { RequestPlan } from './requests.ts';

export const CONNECTIONS = 32;

export interface Server {
  readonly child: ChildProcess;
  readonly port: number;
}

export interface Target {
  readonly name: string;
  readonly server: Server;
  readonly plan: RequestPlan;
  /** CPU per request of each pass. */
  readonly microseconds: number[];
}

export const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const children: ChildProcess[] = [];

export function endAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** Starts a measured process and waits for the line with its port. */
export function start(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Server> {
  const child = fork(file, args, {
    execArgv: ['--import', here('./cpu-reporter.ts')],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      const match = /"port":(\d+)|listening on https?:\/\/[^\s]*:(\d+)/.exec(text);
      if (match !== null) resolve({ child, port: Number(match[1] ?? match[2]) });
    });
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code} before it listened: ${text}`)));
  });
}

export function startLoad(): ChildProcess {
  const load = fork(here('./load.ts'));
  children.push(load);
  return load;
}

export async function ask<T>(child: ChildProcess, message: unknown): Promise<T> {
  const done = new AbortController();
  try {
    child.send(message as object);
    const answered = once(child, 'message', { signal: done.signal }).then(([answer]) => answer as T);
    const ended = once(child, 'exit', { signal: done.signal }).then(() => {
      throw new Error('the process ended while it was asked');
    });
    ended.catch(() => undefined);
    return await Promise.race([answered, ended]);
  } finally {
    done.abort();
  }
}

async function cpu(server: Server): Promise<number> {
  return (await ask<{ cpuMicroseconds: number }>(server.child, 'cpu')).cpuMicroseconds;
}

/** One pass over one target. @returns CPU microseconds a request */
export async function pass(load: ChildProcess, target: Target, requests: number): Promise<number> {
  const before = await cpu(target.server);
  const order: LoadOrder = {
    port: target.server.port,
    connections: CONNECTIONS,
    requests,
    plan: target.plan,
  };
  const report = await ask<LoadReport>(load, order);
  if (report.failed > 0 || report.answered !== requests) {
    throw new Error(
      `${target.name}: ${report.answered} of ${requests} answered, ${report.failed} failed: ${report.firstFailure}`,
    );
  }
  return ((await cpu(target.server)) - before) / report.answered;
}

/** Passes over all targets, cut into slices that take turns, so that a slow moment of the machine falls on all alike. */
export async function passes(
  targets: readonly Target[],
  bounds: {
    readonly passes: number;
    readonly requests: number;
    readonly slices: number;
    readonly warmUp: number;
  },
): Promise<void> {
  const load = startLoad();
  for (const target of targets) await pass(load, target, bounds.warmUp);
  for (let i = 0; i < bounds.passes; i += 1) {
    const sums = new Map<Target, number>();
    for (let slice = 0; slice < bounds.slices; slice += 1) {
      for (const target of targets) {
        const cost = await pass(load, target, bounds.requests / bounds.slices);
        sums.set(target, (sums.get(target) ?? 0) + cost / bounds.slices);
      }
    }
    for (const [target, sum] of sums) target.microseconds.push(sum);
  }
}
