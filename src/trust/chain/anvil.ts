/**
 * A local chain for the demo and the tests: `@foundry-rs/anvil`, a development dependency that carries its binary.
 * It listens on 127.0.0.1 and does not outlive this process, however this process ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { ChainError } from './errors.ts';

export interface AnvilOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** EIP-155 id; 31337 by default. */
  readonly chainId?: number;
  /** Seconds between blocks; without it, every transaction mines one. */
  readonly blockTime?: number;
  /** `safe` lies this many blocks below `latest`, `finalized` twice as many. 1 by default. */
  readonly slotsInAnEpoch?: number;
  /** The chain is loaded from this file when it exists, and written to it by `stop()`. */
  readonly stateFile?: string;
}

export interface AnvilAccount {
  readonly address: string;
  readonly privateKey: string;
}

export interface Anvil {
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly port: number;
  readonly chainId: number;
  readonly pid: number;
  /** Ten accounts with 10,000 ether each. Their keys are public: they are the same on every development chain. */
  readonly accounts: readonly AnvilAccount[];
  /** Ends it in order, writing `stateFile`. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

const DEFAULT_CHAIN_ID = 31337;

/** It answers after 34-87 ms on an idle machine. */
const START_TIMEOUT_MS = 15_000;

/** Lines of what it said that are kept for the error when it does not start. */
const LINES_KEPT_MAX = 20;

/** @throws ChainError `anvil_missing` when the package is not installed or the chain does not start. */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const chainId = options.chainId ?? DEFAULT_CHAIN_ID;
  const child = spawn(findBinary(), argumentsOf(options, chainId), { stdio: ['ignore', 'pipe', 'pipe'] });
  const guard = guardAgainstOrphan(child);
  const killAtExit = (): boolean => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));

  async function end(signal: NodeJS.Signals): Promise<void> {
    process.off('exit', killAtExit);
    // The guard goes first: afterwards the number it would kill may belong to another process.
    guard.kill('SIGKILL');
    child.kill(signal);
    await exited;
  }

  try {
    const { port, accounts } = await readBanner(child);
    const host = `127.0.0.1:${port}`;
    return {
      httpUrl: `http://${host}`,
      wsUrl: `ws://${host}`,
      port,
      chainId,
      pid: child.pid as number,
      accounts,
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
    };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

function argumentsOf(options: AnvilOptions, chainId: number): string[] {
  const args = ['--host', '127.0.0.1', '--port', String(options.port ?? 0), '--chain-id', String(chainId)];
  args.push('--slots-in-an-epoch', String(options.slotsInAnEpoch ?? 1));
  if (options.blockTime !== undefined) args.push('--block-time', String(options.blockTime));
  if (options.stateFile !== undefined) args.push('--state', options.stateFile);
  return args;
}

/** The binary itself rather than the package's launcher, which would be one process more to end. */
function findBinary(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const suffix = process.platform === 'win32' ? '.exe' : '';
  try {
    const require = createRequire(import.meta.url);
    const launcher = require.resolve('@foundry-rs/anvil/package.json');
    return createRequire(launcher).resolve(
      `@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil${suffix}`,
    );
  } catch (cause) {
    const detail =
      'it needs the development dependency @foundry-rs/anvil: run "npm ci" without --omit=dev or --omit=optional';
    throw new ChainError('anvil_missing', { detail, cause });
  }
}

/** A parent that is killed runs no exit handler, but its end of a pipe closes: this shell waits for that. */
function guardAgainstOrphan(child: ChildProcess): ChildProcess {
  const guard = spawn('sh', ['-c', 'read -r _; kill -9 "$0"', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without a shell the chain still ends with an orderly exit of this process.
  guard.on('error', () => guard.kill());
  return guard;
}

async function readBanner(child: ChildProcess): Promise<{ port: number; accounts: AnvilAccount[] }> {
  const lines: string[] = [];
  const addresses: string[] = [];
  const privateKeys: string[] = [];
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), START_TIMEOUT_MS);
  child.once('close', () => stop.abort());
  child.once('error', (error) => {
    lines.push(error.message);
    stop.abort();
  });
  child.stderr?.on('data', (text) => keep(lines, String(text).trim()));
  const output = createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> });
  const listening = new Promise<number>((resolve) => {
    output.on('line', (line) => {
      keep(lines, line);
      const address = /^\(\d+\) (0x[0-9a-fA-F]{40}) /.exec(line)?.[1];
      if (address !== undefined) addresses.push(address);
      const key = /^\(\d+\) (0x[0-9a-f]{64})$/.exec(line)?.[1];
      if (key !== undefined) privateKeys.push(key);
      const port = /^Listening on 127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
  try {
    const port = await Promise.race([listening, once(stop.signal, 'abort').then(() => undefined)]);
    if (port === undefined) throw new ChainError('anvil_missing', { detail: lines.join(' | ') });
    const accounts = addresses.map((address, i) => ({ address, privateKey: privateKeys[i] ?? '' }));
    return { port, accounts };
  } finally {
    clearTimeout(timer);
    output.removeAllListeners('line');
    // What it says from now on is read and dropped, or the pipe would fill and stop it.
    child.stdout?.resume();
  }
}

function keep(lines: string[], line: string): void {
  if (line.trim() === '') return;
  lines.push(line);
  if (lines.length > LINES_KEPT_MAX) lines.shift();
}
