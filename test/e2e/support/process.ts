/** The gateway as its own process, as an operator starts it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from '../../support/gateway.ts';

export const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const LISTENING = /^sage-gateway listening on (https?:\/\/\S+:(\d+))$/m;

export interface GatewayProcess extends AsyncDisposable {
  readonly pid: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exited: Promise<number | null>;
  /** Resolves when it says where it listens. @throws with its own words when it ends instead */
  listening(): Promise<{ origin: string; port: number; ca: undefined }>;
  signal(name: NodeJS.Signals): void;
}

/** What is started, and where; by default this project's `main.ts` where the test runs. */
export interface HowToStart {
  readonly command?: readonly [file: string, ...args: string[]];
  readonly folder?: string;
  /** The user it runs as; ours when absent. Another needs root. */
  readonly uid?: number;
}

/** Nothing of this process's environment but the path reaches it. */
export function spawnGateway(
  env: Readonly<Record<string, string>>,
  { command = [process.execPath, MAIN], folder, uid }: HowToStart = {},
): GatewayProcess {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    ...(folder === undefined ? {} : { cwd: folder }),
    ...(uid === undefined ? {} : { uid, gid: uid }),
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killWithParent = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithParent);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let over = false;
  const exited = once(child, 'close').then(([code]) => {
    over = true;
    process.off('exit', killWithParent);
    return code as number | null;
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    async listening() {
      const match = await until(
        () => {
          if (over) throw new Error(`it ended: ${stderr}${stdout}`);
          return LISTENING.exec(stdout);
        },
        'the gateway listens',
        20_000,
      );
      return { origin: match[1] ?? '', port: Number(match[2]), ca: undefined };
    },
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      if (!over) child.kill('SIGKILL');
      await exited;
    },
  };
}
