/** What the store's tests share: a small table, a log that is kept, a wait for a condition that has no event. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { createTable, type Table, type TableSizes } from '../../src/store/memory/table.ts';
import type { NonceUse } from '../../src/store/nonces.ts';
import { connectRedis, type RedisStore, type StoreLog } from '../../src/store/redis/connection.ts';

export function smallTable(sizes: TableSizes = {}, startedAtMs = 0): Table {
  const seed = createHash('sha256').update('test').digest();
  return createTable({
    seed,
    startedAtMs,
    monotonicMs: 0,
    sizes: { nonces: 4096, counters: 4096, blocks: 64, failures: 64, ...sizes },
  });
}

export interface KeptLog extends StoreLog {
  readonly lines: { level: string; fields: object; message: string }[];
}

export function keptLog(): KeptLog {
  const lines: KeptLog['lines'] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** For nonces whose time does not matter: it stands still. */
export const still = { monotonicNow: () => 0, log: keptLog() };

/** One use of a signature made now and acceptable for 65 s, unless said otherwise. */
export function useOf(nonce: string, more: Partial<NonceUse> = {}): NonceUse {
  const now = Date.now();
  const usual = {
    did: 'did:web:a.example',
    key: 'k',
    aheadMs: 5_000,
    createdSeconds: Math.floor(now / 1_000),
  };
  return { ...usual, nonce, expiresAtMs: now + 65_000, ...more };
}

let nodes = 0;

export function connect(url: string, log: StoreLog = keptLog(), now: () => number = Date.now): RedisStore {
  nodes += 1;
  return connectRedis({
    url,
    log,
    now,
    nodeId: `node-${process.pid}-${nodes}`,
    createdAheadMsMax: 5_000,
  });
}

/** Polls, because what it waits for happens inside a client that does not tell. */
export async function until(condition: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain for ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One command to Redis, in the inline form of its protocol. */
export async function say(port: number, command: string): Promise<void> {
  const socket = connectSocket(port, '127.0.0.1');
  socket.write(`${command}\r\nQUIT\r\n`);
  socket.resume();
  await once(socket, 'close');
}
