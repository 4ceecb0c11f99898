/** A chain with our registry on it, and means to wait for what a watcher says. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RegistryChange } from '../../../src/trust/chain/changes.ts';
import { KEY_FLAGS, type KeySlot } from '../../../src/trust/chain/key-slot.ts';
import {
  deployRegistry,
  openRegistryWriter,
  type RegistryWriter,
} from '../../../src/trust/chain/registry.ts';
import { startWatcher, type Watcher, type WatcherOptions } from '../../../src/trust/chain/watcher.ts';
import { type KeySource, type KeySourceOptions, openKeySource } from '../../../src/trust/key-source.ts';
import { startAnvil, type TestAnvil } from '../../support/anvil.ts';

export interface TestChain extends AsyncDisposable {
  readonly anvil: TestAnvil;
  readonly registry: string;
  /** By account 0, which deployed. */
  readonly owner: RegistryWriter;
  writer(account: number): RegistryWriter;
}

export async function startChain(options: Parameters<typeof startAnvil>[0] = {}): Promise<TestChain> {
  const anvil = await startAnvil(options);
  const writers: RegistryWriter[] = [];
  const access = (account: number) => ({
    rpcUrl: anvil.httpUrl,
    chainId: anvil.chainId,
    privateKey: anvil.accounts[account]?.privateKey ?? '',
  });
  const { address } = await deployRegistry(access(0));
  const writer = (account: number): RegistryWriter => {
    const opened = openRegistryWriter({ ...access(account), registry: address });
    writers.push(opened);
    return opened;
  };
  return {
    anvil,
    registry: address,
    owner: writer(0),
    writer,
    async [Symbol.asyncDispose]() {
      for (const opened of writers) opened.close();
      await anvil.stop();
    },
  };
}

/** Keys that are read from the chain and follow it, by themselves: no database, no Redis. */
export function followKeys(
  { anvil, registry }: Pick<TestChain, 'anvil' | 'registry'>,
  { url = anvil.wsUrl, confirmations = 0, ...change }: Partial<KeySourceOptions> & FollowedAs = {},
): KeySource {
  return openKeySource({
    chains: [
      {
        id: anvil.chainId,
        urls: [url],
        registries: [{ kind: 'erc8004', address: registry, fromBlock: 0 }],
        finality: { confirmations },
      },
    ],
    configured: () => undefined,
    shared: null,
    clusterSecret: null,
    pollIntervalMs: 50,
    allowPrivateHosts: false,
    chainsMayBeginAnew: true,
    log: { info: () => undefined, warn: () => undefined },
    now: Date.now,
    monotonicNow: () => performance.now(),
    ...change,
  });
}

interface FollowedAs {
  /** Of the node; by default its WebSocket. */
  readonly url?: string;
  /** With none a key counts at once, and may be taken away by a reorganisation. */
  readonly confirmations?: number;
}

/** A slot with a fresh Ed25519 multikey that stands in `authentication`. */
export function someKey(notAfter = 0): KeySlot {
  return {
    flags: KEY_FLAGS.authentication,
    notAfter,
    multikey: Uint8Array.of(0xed, 0x01, ...randomBytes(32)),
  };
}

export interface Observed extends AsyncDisposable {
  readonly watcher: Watcher;
  readonly changes: readonly RegistryChange[];
  readonly warnings: readonly string[];
  /** The first change that matches, whether it came already or is still to come. */
  seen(matches: (change: RegistryChange) => boolean): Promise<RegistryChange>;
  /** Until a head of at least that number was followed. */
  followed(block: number): Promise<void>;
}

/** A watcher whose reports are kept and can be waited for. */
export function observe(
  options: Pick<WatcherOptions, 'urls' | 'registries'> & Partial<WatcherOptions>,
): Observed {
  const changes: RegistryChange[] = [];
  const warnings: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const check of waiting) check();
  };
  const until = <T>(find: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const check = (): void => {
        const found = find();
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  const watcher = startWatcher({
    mayBeginAnew: true,
    chainId: 31337,
    now: Date.now,
    random: () => 0,
    log: { info: () => undefined, warn: (_fields, message) => warnings.push(message) },
    ...options,
    onChanged(change) {
      changes.push(change);
      options.onChanged?.(change);
      wake();
    },
    onHead(head) {
      options.onHead?.(head);
      wake();
    },
  });
  return {
    watcher,
    changes,
    warnings,
    seen: (matches) => until(() => changes.find(matches)),
    async followed(block) {
      await until(() => ((watcher.state().head?.number ?? -1) >= block ? true : undefined));
    },
    [Symbol.asyncDispose]: () => watcher.close(),
  };
}

export interface TestNode extends AsyncDisposable {
  readonly url: string;
  /** Methods of every request, a batch being one request. */
  readonly requests: readonly (readonly string[])[];
}

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** An HTTP node that answers what the test says, or passes on what it leaves undefined to a real one. */
export async function startNode(
  answer: (call: Call, response: ServerResponse) => unknown,
  behind?: string,
): Promise<TestNode> {
  const requests: string[][] = [];
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const calls = JSON.parse(Buffer.concat(chunks).toString()) as Call[];
    requests.push(calls.map((call) => call.method));
    const ours = calls.map((call) => answer(call, response));
    if (response.writableEnded || ours.includes(HANG)) return;
    const passed =
      behind === undefined
        ? []
        : await pass(
            behind,
            calls.filter((_, i) => ours[i] === undefined),
          );
    const answers = calls.map((call, i) => ours[i] ?? passed.find(({ id }) => id === call.id));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answers));
  }
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Given as an answer: the request is never answered. */
export const HANG = Symbol('hang');

async function pass(url: string, calls: readonly Call[]): Promise<{ id: number }[]> {
  if (calls.length === 0) return [];
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(calls),
  });
  return (await answer.json()) as { id: number }[];
}
