/** Everything that remembers, put together: this process's table, the mark on disk, and Redis when there is one. */

import { type AcceptedMark, openAcceptedMark } from './accepted-mark.ts';
import { type Blocks, createBlocks } from './blocks.ts';
import { createLimits, type LimitStore } from './limits.ts';
import { createTable, type Table, type TableSizes } from './memory/table.ts';
import { createMemoryNonces, createSharedNonces, type NonceStore } from './nonces.ts';
import { connectRedis, type RedisStore, type StoreLog } from './redis/connection.ts';
import { createSharedKeyCache, type SharedKeyCache } from './redis/key-cache.ts';

export interface StoreOptions {
  readonly redisUrl: string | null;
  /** DATA_DIR. */
  readonly folder: string;
  /** 32 random bytes. */
  readonly seed: Uint8Array;
  /** Names this process among the nodes; random. */
  readonly nodeId: string;
  readonly sizes?: TableSizes;
  /** The skew that identity allows callers' clocks, in milliseconds. */
  readonly clockSkewMs: number;
  readonly log: StoreLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds that never step, the same for all threads of the process. */
  readonly monotonicNow: () => number;
}

export interface Store {
  readonly table: Table;
  readonly redis: RedisStore | null;
  readonly nonces: NonceStore;
  readonly limits: LimitStore;
  readonly blocks: Blocks;
  readonly sharedKeys: SharedKeyCache | null;
  readonly acceptedMark: AcceptedMark;
  close(): Promise<void>;
}

/**
 * Resolves when Redis has answered or has been found away; it goes on being tried, and the gateway on serving.
 * @throws {RedisUrlInvalid} and what the file system says of DATA_DIR.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { now, monotonicNow, log } = options;
  const acceptedMark = openAcceptedMark(options.folder);
  const table = createTable({
    seed: options.seed,
    startedAtMs: now(),
    monotonicMs: monotonicNow(),
    ...(options.sizes === undefined ? {} : { sizes: options.sizes }),
  });
  const redis =
    options.redisUrl === null
      ? null
      : connectRedis({
          url: options.redisUrl,
          log,
          now,
          nodeId: options.nodeId,
          createdAheadMsMax: options.clockSkewMs,
        });
  await redis?.ready;
  return {
    table,
    redis,
    nonces:
      redis === null
        ? createMemoryNonces(table, { monotonicNow, log })
        : createSharedNonces(table, redis, { monotonicNow, log }),
    limits: createLimits(table, redis),
    blocks: createBlocks({ table, redis, now, log }),
    sharedKeys: redis === null ? null : createSharedKeyCache(redis),
    acceptedMark,
    close: async () => redis?.close(),
  };
}
