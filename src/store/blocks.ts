/**
 * Addresses that may not call for a while. A block always ends by itself. It is set on the address that
 * failed, never on the DID it claimed to be: who could block a DID by signing badly in its name would own it.
 *
 * The question is asked for every request, so it is answered from this process's memory; other nodes' blocks
 * arrive as messages, and those set while this node was away are fetched when it is back.
 */
import type { AddressKey } from './address.ts';
import { type BlockNote, type BlockView, createBlockNotes } from './block-notes.ts';
import { StoreFull } from './errors.ts';
import { FULL } from './memory/region.ts';
import type { Table } from './memory/table.ts';
import type { RedisStore, StoreLog } from './redis/connection.ts';
import { BLOCK_MS_MAX, shareBlocks } from './shared-blocks.ts';

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
  block(address: AddressKey, forMs: number, nowMs: number, note?: BlockNote): void;
  /** Counts one failure; true when it led to a block. Failures are counted by each node for itself. */
  noteFailure(address: AddressKey, rule: FailureRule, nowMs: number): boolean;
  /** Those in force here, by address; at most 10,000, one that found no room in the list is blocked all the same. */
  list(nowMs: number): readonly BlockView[];
  /**
   * Blocks on every node, or on none; a longer block stands.
   * @throws RedisUnavailable when the other nodes cannot be told; StoreFull when there is no room.
   */
  set(address: AddressKey, forMs: number, nowMs: number, note: BlockNote): Promise<void>;
  /** Lets an address in again on every node, or on none; false when it was not blocked. @throws RedisUnavailable */
  lift(address: AddressKey, nowMs: number): Promise<boolean>;
}

/** When a lock of the table cannot be had: refuse for a moment rather than let a blocked address pass. */
const UNCERTAIN_MS = 1_000;
/** What this process blocks by itself. */
const BY_RULE: BlockNote = { reason: 'too many signatures failed', setBy: 'gateway' };

const longer = (value: number, _now: number, until: number) => Math.max(value, until);

/** @param redis null when this node is alone. */
export function createBlocks(options: {
  table: Table;
  redis: RedisStore | null;
  now: () => number;
  log: StoreLog;
}): Blocks {
  const { table, redis, now, log } = options;
  const notes = createBlockNotes();

  const blockHere = (address: AddressKey, forMs: number, note: BlockNote, nowMs: number): boolean => {
    const until = nowMs + Math.min(forMs, BLOCK_MS_MAX);
    const before = table.blocks.update(table.tag(address), nowMs, longer, until, 0);
    raiseHorizon(table, until);
    if (before === FULL) {
      log.warn({ address }, 'the table of blocks is full; this address stays unblocked');
      return false;
    }
    notes.note(address, until, note, nowMs);
    return true;
  };
  const liftHere = (address: AddressKey, nowMs: number, beforeMs: number): void => {
    if (notes.forget(address, beforeMs)) table.blocks.remove(table.tag(address), nowMs);
  };
  const shared =
    redis === null
      ? null
      : shareBlocks(
          redis,
          {
            block: (address, forMs, note) => void blockHere(address, forMs, note, now()),
            lift: (address, agoMs) => liftHere(address, now(), now() - agoMs),
          },
          log,
        );

  const block = (address: AddressKey, forMs: number, nowMs: number, note = BY_RULE): void => {
    blockHere(address, forMs, note, nowMs);
    if (redis === null || !redis.usable()) return;
    shared?.block(address, forMs, note).catch((error: unknown) => {
      log.warn({ err: error, address }, 'this block is known to this node only');
    });
  };
  const isBlocked = (address: AddressKey, nowMs: number): number => {
    if (nowMs >= horizonMs(table)) return 0;
    const until = table.blocks.read(table.tag(address), nowMs);
    if (until === FULL) return UNCERTAIN_MS;
    return until === 0 ? 0 : until - nowMs;
  };

  return {
    isBlocked,
    block,
    noteFailure(address, rule, nowMs) {
      const tag = table.tag(address);
      if (table.failures.count(tag, nowMs, rule.windowMs) < rule.threshold) return false;
      table.failures.remove(tag, nowMs);
      block(address, rule.blockMs, nowMs);
      return true;
    },
    list: (nowMs) => notes.list(nowMs),
    async set(address, forMs, nowMs, note) {
      await shared?.block(address, forMs, note);
      if (!blockHere(address, forMs, note, nowMs)) throw new StoreFull('the table of blocks');
    },
    async lift(address, nowMs) {
      const held = isBlocked(address, nowMs) > 0;
      const known = (await shared?.lift(address)) ?? false;
      liftHere(address, nowMs, Number.POSITIVE_INFINITY);
      return held || known;
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
