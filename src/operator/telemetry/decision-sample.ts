/**
 * Which finished requests are told of, when there are more than may be. Chosen slice by slice, each some hundred
 * milliseconds: refusals first, allowed requests from what refusals leave; an allowed request is as likely as any other
 * of its slice. Among refusals, no source may take more than its fair share while others want theirs, where a source is
 * an address (an IPv6 subscriber's /64) and the code it was refused with: a flood from one address hides neither other
 * addresses nor, behind a proxy that all come through, other codes.
 *
 * A token bucket of one second bounds what is taken: at most `perSecond * (t + 1)` in any `t` seconds. Half of a full
 * bucket is kept for refusals. Nothing is copied and nothing is allocated for a request; what is offered is held by
 * reference until its slice is taken.
 */
import type { RequestRecord } from '../../gateway/record.ts';

export interface DecisionSample {
  /** On the path of the request: some tens of nanoseconds. The record must not change any more. */
  offer(record: RequestRecord): void;
  /**
   * Ends the slice.
   * @param now monotonic milliseconds
   * @returns what was chosen of it, oldest first
   */
  take(now: number): RequestRecord[];
  /** Requests that were left out, since the start. */
  readonly leftOut: { readonly refused: number; readonly allowed: number };
}

export interface DecisionSampleOptions {
  /** A whole number of at least 1. */
  readonly perSecond: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: number;
}

/** Sources told apart in one slice; two that meet in a cell share one share. */
const CELLS = 1_024;
/** Places looked at for a source that has more than its share, before the newcomer is left out. */
const PROBES = 16;
const FNV_PRIME = 16_777_619;
const COLON = 58;
/** Groups of an IPv6 address that name the subscriber's network. */
const NETWORK_GROUPS = 4;

/**
 * FNV-1a, begun at a secret place so that nobody can choose whose cell he shares. An IPv6 address counts up to its
 * fourth group or its `::`, whichever comes first, which for addresses of one /64 is the same in all but a few cases.
 */
function cellOf(seed: number, address: string, code: string): number {
  let hash = seed;
  let groups = 0;
  let before = 0;
  for (let at = 0; at < address.length; at++) {
    const unit = address.charCodeAt(at);
    if (unit === COLON && (before === COLON || ++groups === NETWORK_GROUPS)) break;
    hash = Math.imul(hash ^ unit, FNV_PRIME);
    before = unit;
  }
  for (let at = 0; at < code.length; at++) hash = Math.imul(hash ^ code.charCodeAt(at), FNV_PRIME);
  return (hash ^ (hash >>> 16)) & (CELLS - 1);
}

/** Refusals of one slice: a full one gives a place of whoever has too many to whoever has too few. */
class FairSlice {
  readonly #records: (RequestRecord | null)[];
  readonly #cells: Uint16Array;
  readonly #counts = new Uint16Array(CELLS);
  readonly #seed: number;
  #length = 0;
  #sources = 0;
  #hand = 0;

  constructor(size: number, seed: number) {
    this.#records = Array.from({ length: size }, () => null);
    this.#cells = new Uint16Array(size);
    this.#seed = seed;
  }

  /** False when the record, or the one whose place it took, is left out. */
  offer(record: RequestRecord, room: number): boolean {
    const cell = cellOf(this.#seed, record.address, record.code);
    const own = this.#counts[cell] as number;
    if (this.#length < room) {
      this.#put(this.#length++, cell, record);
      return true;
    }
    const sources = this.#sources + (own === 0 ? 1 : 0);
    const share = room / sources;
    if (own + 1 <= share) this.#takePlace(cell, record, share);
    return false;
  }

  #takePlace(cell: number, record: RequestRecord, share: number): void {
    for (let probe = 0; probe < PROBES; probe++) {
      const at = this.#hand;
      this.#hand = at + 1 < this.#length ? at + 1 : 0;
      const other = this.#cells[at] as number;
      const held = this.#counts[other] as number;
      if (held <= share) continue;
      this.#counts[other] = held - 1;
      this.#put(at, cell, record);
      return;
    }
  }

  #put(at: number, cell: number, record: RequestRecord): void {
    this.#records[at] = record;
    this.#cells[at] = cell;
    const held = this.#counts[cell] as number;
    if (held === 0) this.#sources++;
    this.#counts[cell] = held + 1;
  }

  takeInto(chosen: RequestRecord[]): void {
    for (let at = 0; at < this.#length; at++) {
      chosen.push(this.#records[at] as RequestRecord);
      this.#records[at] = null;
    }
    this.#counts.fill(0);
    this.#length = 0;
    this.#sources = 0;
    this.#hand = 0;
  }
}

/** Allowed requests of one slice: a reservoir (Vitter's algorithm R). */
class Reservoir {
  readonly #records: (RequestRecord | null)[];
  readonly #random: () => number;
  #length = 0;
  #seen = 0;

  constructor(size: number, random: () => number) {
    this.#records = Array.from({ length: size }, () => null);
    this.#random = random;
  }

  offer(record: RequestRecord, room: number): void {
    this.#seen++;
    if (this.#length < room) {
      this.#records[this.#length++] = record;
      return;
    }
    if (room === 0) return;
    const at = Math.floor(this.#random() * this.#seen);
    if (at < room) this.#records[at] = record;
  }

  /** @returns how many were offered */
  takeInto(chosen: RequestRecord[], most: number): number {
    let left = this.#length;
    for (let taken = 0; taken < most && left > 0; taken++) {
      const at = Math.floor(this.#random() * left);
      chosen.push(this.#records[at] as RequestRecord);
      this.#records[at] = this.#records[--left] as RequestRecord;
    }
    for (let at = 0; at < this.#length; at++) this.#records[at] = null;
    const seen = this.#seen;
    this.#length = 0;
    this.#seen = 0;
    return seen;
  }
}

export function createDecisionSample({ perSecond, random, now }: DecisionSampleOptions): DecisionSample {
  const refusals = new FairSlice(perSecond, Math.floor(random() * 2 ** 32) | 0);
  const reservoir = new Reservoir(perSecond, random);
  const kept = Math.floor(perSecond / 2);
  const leftOut = { refused: 0, allowed: 0 };
  let tokens = perSecond;
  let takenAt = now;
  let room = perSecond;
  let roomForAllowed = perSecond - kept;

  return {
    leftOut,
    offer(record) {
      if (record.code === '') reservoir.offer(record, roomForAllowed);
      else if (!refusals.offer(record, room)) leftOut.refused++;
    },
    take(at) {
      const chosen: RequestRecord[] = [];
      refusals.takeInto(chosen);
      const refused = chosen.length;
      const offered = reservoir.takeInto(chosen, Math.min(roomForAllowed, room - refused));
      leftOut.allowed += offered - (chosen.length - refused);
      tokens = Math.min(perSecond, tokens - chosen.length + (perSecond * Math.max(0, at - takenAt)) / 1_000);
      takenAt = at;
      room = Math.floor(tokens);
      roomForAllowed = Math.max(0, Math.floor(tokens - kept));
      return chosen.sort((a, b) => a.finishedAt - b.finishedAt);
    },
  };
}
