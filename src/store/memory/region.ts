/**
 * One region of the table: a hash table of fixed size in shared memory, from 96-bit tags to one number that is
 * value and expiry in one: an entry is alive while its number is above `now`, and a slot whose entry has died is
 * free for the next. Nothing is ever evicted: a replayed nonce or a spent limit that could be pushed out by
 * traffic would be a hole in the shape of that traffic.
 *
 * A tag may live in two buckets of 8 slots and goes into the emptier one, which keeps buckets even: the first
 * "full" comes when some two thirds of a region's slots are alive, and it is one in a thousand at 85 %. Both buckets lie in one stripe, which one lock
 * guards; so a look-up, and the decision that rests on it, is one atomic step between all threads. A look-up
 * reads 16 slots, whatever a stranger sends.
 */
import { acquire, release, releaseHeldBy } from './lock.ts';
import type { Tag } from './tag.ts';

const BUCKET_SLOTS = 8;
/**
 * A bucket is three cache lines side by side: 8 values (64-bit floats), then 8 words each of the tags' three
 * parts and of counts. Below, the same bytes as floats and as words.
 */
const BUCKET_FLOATS = 24;
const BUCKET_WORDS = 48;
const A = 16;
const B = 24;
const C = 32;
const COUNT = 40;
const BUCKET_BYTES = 192;
/** 128 buckets to a lock: 1,024 locks for a million slots, so that threads seldom meet. */
const STRIPE_BUCKETS_MAX = 128;
/** Lock words stand 64 bytes apart, or threads at different locks would fight for one cache line. */
const LOCK_STRIDE = 16;
/** Slots looked at to estimate how full the region is: within 2 % and in some 20 us. */
const SAMPLED_STRIPES_MAX = 32;
/** Two buckets are needed for a choice of two. */
const REGION_SLOTS_MIN = 2 * BUCKET_SLOTS;

/** What `update` and `count` answer when there is no room, or when the lock could not be had in time. */
export const FULL = -1;

/**
 * The number an entry shall hold next, from the number it holds (0 when there is none). Static functions only:
 * a closure per call would cost more than the look-up.
 */
export type Step = (value: number, now: number, p: number, q: number) => number;

/** Slots are a power of two, so that a mask chooses among them. */
export function regionSlots(wanted: number): number {
  return Math.max(REGION_SLOTS_MIN, 2 ** Math.ceil(Math.log2(wanted)));
}

function shape(slots: number) {
  const stripeBuckets = Math.min(STRIPE_BUCKETS_MAX, slots / BUCKET_SLOTS);
  return { stripeBuckets, stripes: slots / (stripeBuckets * BUCKET_SLOTS) };
}

/** The buckets, the locks, and a line for the hint; a multiple of 64. */
export function regionBytes(slots: number): number {
  return (slots / BUCKET_SLOTS) * BUCKET_BYTES + (shape(slots).stripes * LOCK_STRIDE + LOCK_STRIDE) * 4;
}

/** From the index of a slot's value to the index of its word `part`. */
function wordOf(slot: number, part: number): number {
  const within = slot % BUCKET_FLOATS;
  return (slot - within) * 2 + part + within;
}

/** A view on the shared bytes; every thread has its own, and all of them see the same entries. */
export class Region {
  readonly slots: number;
  /** One shared word for the region's user; starts at 0. */
  readonly hint: Int32Array;
  readonly #values: Float64Array;
  readonly #words: Int32Array;
  readonly #locks: Int32Array;
  readonly #stripes: number;
  readonly #stripeBuckets: number;
  /** What the last `#scan` and `#find` met, read under the same lock. A slot is named by the index of its value. */
  #vacant = -1;
  #used = 0;

  /** @param offset where the region begins in the buffer, a multiple of 64. */
  constructor(buffer: SharedArrayBuffer, offset: number, slots: number) {
    const { stripeBuckets, stripes } = shape(slots);
    const buckets = stripes * stripeBuckets;
    const locksAt = offset + buckets * BUCKET_BYTES;
    this.slots = slots;
    this.#stripes = stripes;
    this.#stripeBuckets = stripeBuckets;
    this.#values = new Float64Array(buffer, offset, buckets * BUCKET_FLOATS);
    this.#words = new Int32Array(buffer, offset, buckets * BUCKET_WORDS);
    this.#locks = new Int32Array(buffer, locksAt, stripes * LOCK_STRIDE);
    this.hint = new Int32Array(buffer, locksAt + stripes * LOCK_STRIDE * 4, 1);
  }

  /** Atomically replaces the number under `tag`; returns the number before (0 when none was alive) or FULL. */
  update(tag: Tag, now: number, step: Step, p: number, q: number): number {
    const lock = this.#lockOf(tag);
    if (!acquire(this.#locks, lock)) return FULL;
    const slot = this.#find(tag, now);
    let before = 0;
    if (slot >= 0) {
      before = this.#values[slot] as number;
      this.#values[slot] = step(before, now, p, q);
    } else if (this.#vacant >= 0) this.#put(this.#vacant, tag, step(0, now, p, q), 0);
    else before = FULL;
    release(this.#locks, lock);
    return before;
  }

  /** Atomically counts one more under `tag` for a window that opens with the first; returns the count or FULL. */
  count(tag: Tag, now: number, window: number): number {
    const lock = this.#lockOf(tag);
    if (!acquire(this.#locks, lock)) return FULL;
    const slot = this.#find(tag, now);
    let count = FULL;
    if (slot >= 0) {
      const at = wordOf(slot, COUNT);
      count = (this.#words[at] as number) + 1;
      this.#words[at] = count;
    } else if (this.#vacant >= 0) {
      count = 1;
      this.#put(this.#vacant, tag, now + window, count);
    }
    release(this.#locks, lock);
    return count;
  }

  /** The number under `tag`, 0 when none is alive; FULL when the lock could not be had. */
  read(tag: Tag, now: number): number {
    const lock = this.#lockOf(tag);
    if (!acquire(this.#locks, lock)) return FULL;
    const slot = this.#find(tag, now);
    const value = slot < 0 ? 0 : (this.#values[slot] as number);
    release(this.#locks, lock);
    return value;
  }

  /** Forgets `tag`. */
  remove(tag: Tag, now: number): void {
    const lock = this.#lockOf(tag);
    if (!acquire(this.#locks, lock)) return;
    const slot = this.#find(tag, now);
    if (slot >= 0) this.#values[slot] = 0;
    release(this.#locks, lock);
  }

  /** The part of the slots in use, 0 to 1; an estimate from a sample of stripes. */
  fill(now: number): number {
    const sampled = Math.min(this.#stripes, SAMPLED_STRIPES_MAX) * this.#stripeBuckets;
    let alive = 0;
    // Tags are spread evenly by a keyed hash, so the first stripes are as good a sample as any.
    for (let bucket = 0; bucket < sampled; bucket += 1) {
      const value = bucket * BUCKET_FLOATS;
      for (let at = 0; at < BUCKET_SLOTS; at += 1) if ((this.#values[value + at] as number) > now) alive += 1;
    }
    return alive / (sampled * BUCKET_SLOTS);
  }

  /** Frees the locks of a thread that was terminated while it held them; returns how many. */
  releaseLocksOf(deadThreadId: number): number {
    return releaseHeldBy(this.#locks, deadThreadId);
  }

  #lockOf(tag: Tag): number {
    return (tag.place & (this.#stripes - 1)) * LOCK_STRIDE;
  }

  /** The slot of a live entry, or -1 and `#vacant` set (-1 when both buckets are full). Under the lock. */
  #find(tag: Tag, now: number): number {
    const mask = this.#stripeBuckets - 1;
    const base = (tag.place & (this.#stripes - 1)) * this.#stripeBuckets;
    const first = tag.pair & mask;
    // Any bucket of the stripe but the first, so that there are always two.
    const second = (first + 1 + ((tag.pair >>> 16) % mask)) & mask;
    const found = this.#scan(base + first, tag, now);
    if (found >= 0) return found;
    const vacantInFirst = this.#vacant;
    const usedInFirst = this.#used;
    const foundInSecond = this.#scan(base + second, tag, now);
    if (foundInSecond >= 0) return foundInSecond;
    if (usedInFirst <= this.#used) this.#vacant = vacantInFirst;
    return -1;
  }

  /** The slot of a live entry in this bucket, or -1 with `#vacant` and `#used` set. */
  #scan(bucket: number, tag: Tag, now: number): number {
    const values = this.#values;
    const words = this.#words;
    const value = bucket * BUCKET_FLOATS;
    const word = bucket * BUCKET_WORDS;
    let vacant = -1;
    let used = 0;
    for (let at = 0; at < BUCKET_SLOTS; at += 1) {
      if ((values[value + at] as number) <= now) vacant = value + at;
      else if (
        words[word + A + at] === tag.a &&
        words[word + B + at] === tag.b &&
        words[word + C + at] === tag.c
      ) {
        return value + at;
      } else used += 1;
    }
    this.#vacant = vacant;
    this.#used = used;
    return -1;
  }

  /** The value goes last: it is what makes the slot alive, so a thread stopped halfway leaves it free. */
  #put(slot: number, tag: Tag, value: number, count: number): void {
    const a = wordOf(slot, A);
    this.#words[a] = tag.a;
    this.#words[a + (B - A)] = tag.b;
    this.#words[a + (C - A)] = tag.c;
    this.#words[a + (COUNT - A)] = count;
    this.#values[slot] = value;
  }
}
