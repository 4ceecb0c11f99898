/**
 * What one gateway process remembers for a moment: nonces, counters, blocks, failures, in one fixed table in a
 * SharedArrayBuffer, so that worker threads share it (`workerData: { table: table.buffer }`, then `openTable`).
 * Its size is set at the start and nothing a stranger does makes it grow. The seed of its tags and the moment
 * since which it remembers travel inside the buffer.
 */
import { Region, regionBytes, regionSlots } from './region.ts';
import { createSteadyClock, STEADY_WORDS, type SteadyClock } from './steady.ts';
import { makeTag, type Tag } from './tag.ts';

/** "SAGE", so that some other buffer handed over by mistake is refused. */
const MAGIC = 0x53414745;
const HEADER_BYTES = 128;
const SEED_AT = 16;
const SEED_BYTES = 32;
const SIZES_AT = 64;
const MONOTONIC_AT = 80;
const STEADY_AT = 88;

export interface TableSizes {
  /**
   * A signature lives about 66 s, so a million slots carry 15,000 signed requests a second, more than the
   * cores of one machine verify. Zeroed memory is not resident before it is used: 25 MB at most, 0 when idle.
   */
  readonly nonces?: number;
  /** A bucket of the default address limit holds its slot for 100 ms a call: 131,072 slots, 1.3 million calls a second. */
  readonly counters?: number;
  /** Addresses blocked at one time. */
  readonly blocks?: number;
  /** Addresses with recent failures. */
  readonly failures?: number;
}

const SIZES_DEFAULT = { nonces: 1_048_576, counters: 131_072, blocks: 16_384, failures: 65_536 } as const;

export interface Table {
  readonly buffer: SharedArrayBuffer;
  /** Milliseconds since the epoch: when the process began to remember. */
  readonly startedAtMs: number;
  /** Entries are milliseconds of a steady clock. */
  readonly nonces: Region;
  /** Entries are microseconds since the epoch (theoretical arrival times). */
  readonly counters: Region;
  /** Entries are milliseconds since the epoch. */
  readonly blocks: Region;
  /** Entries are milliseconds since the epoch. */
  readonly failures: Region;
  tag(key: string): Tag;
  /** The clock by which nonces live; see `steady.ts`. */
  steadyClock(monotonicNow: () => number, onStepBack: (milliseconds: number) => void): SteadyClock;
  /**
   * To be called when a worker thread has exited: one that was terminated inside the table leaves a lock behind,
   * and that stripe would answer "full" for ever. Returns how many were freed.
   */
  forgetThread(deadThreadId: number): number;
}

/**
 * @param seed 32 random bytes; whoever knows them can aim keys at one bucket.
 * @param startedAtMs signatures created before it cannot be told from replays.
 * @param monotonicMs what the monotonic clock shows at that moment.
 */
export function createTable(options: {
  seed: Uint8Array;
  startedAtMs: number;
  monotonicMs: number;
  sizes?: TableSizes;
}): Table {
  if (options.seed.length !== SEED_BYTES) throw new RangeError(`a table's seed is ${SEED_BYTES} bytes`);
  const wanted = { ...SIZES_DEFAULT, ...options.sizes };
  const slots = [wanted.nonces, wanted.counters, wanted.blocks, wanted.failures].map(regionSlots);
  const bytes = slots.reduce((sum, count) => sum + regionBytes(count), HEADER_BYTES);
  const buffer = new SharedArrayBuffer(bytes);
  const view = new DataView(buffer);
  view.setInt32(0, MAGIC);
  view.setFloat64(8, options.startedAtMs);
  view.setFloat64(MONOTONIC_AT, options.monotonicMs);
  new Uint8Array(buffer, SEED_AT, SEED_BYTES).set(options.seed);
  for (const [at, count] of slots.entries()) view.setInt32(SIZES_AT + at * 4, count);
  return openTable(buffer);
}

/** Opens, in another thread, the table that `createTable` made. */
export function openTable(buffer: SharedArrayBuffer): Table {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getInt32(0) !== MAGIC) throw new TypeError('not a table');
  let offset = HEADER_BYTES;
  const next = (at: number): Region => {
    const slots = view.getInt32(SIZES_AT + at * 4);
    const region = new Region(buffer, offset, slots);
    offset += regionBytes(slots);
    return region;
  };
  const nonces = next(0);
  const counters = next(1);
  const blocks = next(2);
  const failures = next(3);
  const seed = Buffer.from(new Uint8Array(buffer, SEED_AT, SEED_BYTES)).toString('base64');
  return {
    buffer,
    startedAtMs: view.getFloat64(8),
    nonces,
    counters,
    blocks,
    failures,
    tag: (key) => makeTag(seed, key),
    steadyClock: (monotonicNow, onStepBack) =>
      createSteadyClock({
        words: new Int32Array(buffer, STEADY_AT, STEADY_WORDS),
        wallMs: view.getFloat64(8),
        monotonicMs: view.getFloat64(MONOTONIC_AT),
        monotonicNow,
        onStepBack,
      }),
    forgetThread: (deadThreadId) =>
      [nonces, counters, blocks, failures].reduce(
        (freed, region) => freed + region.releaseLocksOf(deadThreadId),
        0,
      ),
  };
}
