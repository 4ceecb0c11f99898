/**
 * Addresses that may not call for a while. A block always ends by itself. It is set on the address that
 * failed, never on the DID it claimed to be: who could block a DID by signing badly in its name would own it.
 *
 * The question is asked for every request, so it is answered from this process's memory; other nodes' blocks
 * arrive as messages, and those set while this node was away are fetched when it is back.
 */
import { type AddressKey, isAddressKey } from './address.ts';
import { FULL } from './memory/region.ts';
import type { Table } from './memory/table.ts';
import type { RedisStore, StoreLog } from './redis/connection.ts';

export interface FailureRule {
  /** So many failures... */
  readonly threshold: number;
  /** ... within this time of the first block the address... */
  readonly windowMs: number;
  /** ... for so long; at most 24 hours. */
  readonly blockMs: number;
}

export interface Blocks {
  /** Milliseconds left, 0 when the address is not blocked. */
  isBlocked(address: AddressKey, nowMs: number): number;
  /** Blocks at once here, and soon on every node. A longer block stands. */
  block(address: AddressKey, forMs: number, nowMs: number): void;
  /** Counts one failure; true when it led to a block. Failures are counted by each node for itself. */
  noteFailure(address: AddressKey, rule: FailureRule, nowMs: number): boolean;
}

/** Addresses change hands: whatever a rule or another node says, a block is over after a day. */
const BLOCK_MS_MAX = 86_400_000;
/** Blocks kept in Redis, and fetched by a node that comes back: a megabyte. */
const SHARED_BLOCKS_MAX = 10_000;
/** When a lock of the table cannot be had: refuse for a moment rather than let a blocked address pass. */
const UNCERTAIN_MS = 1_000;

const longer = (value: number, _now: number, until: number) => Math.max(value, until);

/** @param redis null when this node is alone. */
export function createBlocks(options: {
  table: Table;
  redis: RedisStore | null;
  now: () => number;
  log: StoreLog;
}): Blocks {
  const { table, redis, now, log } = options;

  const blockHere = (address: AddressKey, forMs: number, nowMs: number): void => {
    const until = nowMs + Math.min(forMs, BLOCK_MS_MAX);
    if (table.blocks.update(table.tag(address), nowMs, longer, until, 0) === FULL) {
      log.warn({ address }, 'the table of blocks is full; this address stays unblocked');
    }
    raiseHorizon(table, until);
  };

  if (redis !== null) listen(redis, now, blockHere, log);

  const block = (address: AddressKey, forMs: number, nowMs: number): void => {
    blockHere(address, forMs, nowMs);
    if (redis?.usable()) void share(redis, address, forMs, log);
  };

  return {
    isBlocked(address, nowMs) {
      if (nowMs >= horizonMs(table)) return 0;
      const until = table.blocks.read(table.tag(address), nowMs);
      if (until === FULL) return UNCERTAIN_MS;
      return until === 0 ? 0 : until - nowMs;
    },
    block,
    noteFailure(address, rule, nowMs) {
      const tag = table.tag(address);
      if (table.failures.count(tag, nowMs, rule.windowMs) < rule.threshold) return false;
      table.failures.remove(tag, nowMs);
      block(address, rule.blockMs, nowMs);
      return true;
    },
  };
}

/**
 * After this moment nobody is blocked, which is the common case and then costs one load. Whole seconds since the
 * process started, in the region's shared word: it only ever rises, so a late reader errs towards looking.
 */
function horizonMs(table: Table): number {
  return table.startedAtMs + Atomics.load(table.blocks.hint, 0) * 1000;
}

function raiseHorizon(table: Table, untilMs: number): void {
  const wanted = Math.ceil((untilMs - table.startedAtMs) / 1000);
  for (;;) {
    const seen = Atomics.load(table.blocks.hint, 0);
    if (seen >= wanted || Atomics.compareExchange(table.blocks.hint, 0, seen, wanted) === seen) return;
  }
}

async function share(redis: RedisStore, address: AddressKey, forMs: number, log: StoreLog): Promise<void> {
  const ms = Math.ceil(Math.min(forMs, BLOCK_MS_MAX));
  try {
    const kept = await redis.run((client) =>
      client.block(`${redis.prefix}blocks`, address, ms, SHARED_BLOCKS_MAX, `${redis.prefix}block`),
    );
    if (kept === 0)
      log.warn({ address }, 'too many shared blocks; nodes that start later will not know this one');
  } catch (error) {
    log.warn({ err: error, address }, 'this block is known to this node only');
  }
}

/** Takes over what other nodes blocked, now and before. Texts from Redis are checked like any other input. */
function listen(
  redis: RedisStore,
  now: () => number,
  blockHere: (address: AddressKey, forMs: number, nowMs: number) => void,
  log: StoreLog,
): void {
  const accept = (address: string, forMs: number) => {
    if (isAddressKey(address) && forMs > 0) blockHere(address, forMs, now());
  };
  redis.bus.on(`${redis.prefix}block`, (text) => {
    const [forMs = '', address = ''] = text.split(' ', 2);
    accept(address, Number(forMs));
  });
  const fetchAll = async () => {
    if (!redis.usable()) return;
    try {
      const found = await redis.run((client) => client.blocked(`${redis.prefix}blocks`, SHARED_BLOCKS_MAX));
      for (let at = 0; at + 1 < found.length; at += 2) accept(String(found[at]), Number(found[at + 1]));
    } catch (error) {
      log.warn({ err: error }, 'blocks set by other nodes could not be fetched');
    }
  };
  // Either connection may be the later one, and a block set in between reached neither.
  redis.onUp(() => void fetchAll());
  redis.bus.onRestored(() => void fetchAll());
}
