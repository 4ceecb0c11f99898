/** The Lua scripts, read once at start; ioredis sends them by hash and loads them where a server lacks them. */
import { readFileSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import type { Heartbeat } from './memory.ts';

/** Each script is a method of the client; what it takes and returns is told at the head of its file. */
export interface ScriptedRedis extends Redis {
  gcra(bucket: string, priceUs: number, capacityUs: number): Promise<number>;
  heartbeat(
    nodes: string,
    memory: string,
    node: string,
    runId: string,
    goneMs: number,
    knownMark: string,
    knownBeat: number,
    aheadMs: number,
    jumped: '0' | '1',
  ): Promise<Heartbeat>;
  reserve(
    nonce: string,
    memory: string,
    ttlMs: number,
    mark: string,
    beat: number,
    nowMs: number,
    clockDifferenceMs: number,
  ): Promise<number>;
  block(
    blocks: string,
    notes: string,
    lifted: string,
    address: string,
    forMs: number,
    most: number,
    channel: string,
    note: string,
  ): Promise<number>;
  blocked(blocks: string, notes: string, most: number): Promise<(string | number)[]>;
  unblock(
    blocks: string,
    notes: string,
    lifted: string,
    address: string,
    blockMsMax: number,
    most: number,
    channel: string,
  ): Promise<number>;
  unblocked(lifted: string): Promise<(string | number)[]>;
}

/** Replies are read in their RESP2 shape, whichever protocol is spoken. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>;

const KEYS = { gcra: 1, heartbeat: 2, reserve: 2, block: 3, blocked: 2, unblock: 3, unblocked: 1 } as const;

/** A client that knows the scripts; it does not connect before `connect()` is called. */
export function createClient(url: string, options: ClientOptions): ScriptedRedis {
  const scripts = Object.fromEntries(
    Object.entries(KEYS).map(([name, numberOfKeys]) => {
      const lua = readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
      return [name, { lua, numberOfKeys }] as const;
    }),
  );
  // ioredis adds the scripts as methods at run time, which its types cannot say.
  return new Redis(url, { ...options, lazyConnect: true, scripts }) as ScriptedRedis;
}
